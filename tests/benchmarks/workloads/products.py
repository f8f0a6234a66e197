"""Matrix products, reductions along either axis, derivatives of derivatives, distances."""

from __future__ import annotations

import numpy as np

from tests.benchmarks.workloads.basic import _mlp_batch, _mlp_step
from tests.benchmarks.workloads.registry import normal, workload


def _matmul(size):
    def make(fw, jnp):
        x = normal(2, size, size)
        return fw.jit(lambda a, b: a @ b), (jnp.asarray(x[0]), jnp.asarray(x[1]))

    make.__name__ = f"matmul_{size}"
    return make


for _size, _repeat in ((64, 1000), (256, 200), (1024, 20), (2048, 5)):
    workload(repeat=_repeat)(_matmul(_size))


@workload(repeat=50)
def matmul_batched(fw, jnp):
    return fw.jit(lambda a, b: a @ b), (jnp.asarray(normal(64, 128, 64)), jnp.asarray(normal(64, 64, 128)))


@workload(repeat=50)
def matmul_transposed(fw, jnp):
    x = normal(2, 512, 512)
    return fw.jit(lambda a, b: a.T @ b + a @ b.T), (jnp.asarray(x[0]), jnp.asarray(x[1]))


@workload(repeat=20)
def attention_einsum(fw, jnp):
    def attention(q, k, v):
        scores = jnp.einsum("bqhd,bkhd->bhqk", q, k) / 8.0
        return jnp.einsum("bhqk,bkhd->bqhd", fw.nn.softmax(scores, axis=-1), v)

    x = normal(3, 8, 128, 8, 64)
    return fw.jit(attention), tuple(jnp.asarray(y) for y in x)


@workload()
def transpose(fw, jnp):
    return fw.jit(lambda x: x.T), (jnp.asarray(normal(4096, 1024)),)


@workload()
def logsumexp(fw, jnp):
    return fw.jit(lambda x: fw.nn.logsumexp(x, axis=-1)), (jnp.asarray(normal(4096, 1024)),)


@workload()
def logsumexp_grad(fw, jnp):
    return fw.jit(fw.grad(lambda x: fw.nn.logsumexp(x, axis=-1).sum())), (jnp.asarray(normal(4096, 1024)),)


def _batchnorm(jnp, x, scale, bias):
    mean, var = jnp.mean(x, axis=0), jnp.var(x, axis=0)
    return (x - mean) / jnp.sqrt(var + 1e-5) * scale + bias


@workload()
def batchnorm(fw, jnp):
    args = (normal(4096, 1024), normal(1024), normal(1024))
    return fw.jit(lambda *a: _batchnorm(jnp, *a)), tuple(map(jnp.asarray, args))


@workload()
def batchnorm_grad(fw, jnp):
    args = (normal(4096, 1024), normal(1024), normal(1024))
    return fw.jit(fw.grad(lambda *a: (_batchnorm(jnp, *a) ** 3).sum(), argnums=(0, 1, 2))), tuple(
        map(jnp.asarray, args)
    )


@workload()
def variance_columns(fw, jnp):
    return fw.jit(lambda x: jnp.var(x, axis=0)), (jnp.asarray(normal(4096, 1024)),)


@workload()
def variance_rows(fw, jnp):
    return fw.jit(lambda x: jnp.var(x, axis=1)), (jnp.asarray(normal(4096, 1024)),)


@workload()
def variance_grad(fw, jnp):
    return fw.jit(fw.grad(lambda x: jnp.var(x, axis=1).sum())), (jnp.asarray(normal(4096, 1024)),)


@workload()
def variance_columns_grad(fw, jnp):
    return fw.jit(fw.grad(lambda x: jnp.var(x, axis=0).sum())), (jnp.asarray(normal(4096, 1024)),)


_SIZES = (32, 64, 64, 10)


def _loss(fw, jnp):
    def loss(params, x, y):
        for w, b in params[:-1]:
            x = jnp.tanh(x @ w + b)
        w, b = params[-1]
        return -jnp.mean(jnp.sum(fw.nn.log_softmax(x @ w + b) * y, axis=-1))

    return loss


@workload(repeat=50)
def per_example_gradients(fw, jnp):
    _, params = _mlp_step(fw, jnp, _SIZES)
    gradients = fw.vmap(fw.grad(_loss(fw, jnp)), in_axes=(None, 0, 0))
    return fw.jit(gradients), (params, *_mlp_batch(jnp, _SIZES, 256))


@workload(repeat=200)
def hessian_vector_product(fw, jnp):
    _, params = _mlp_step(fw, jnp, _SIZES)
    loss = _loss(fw, jnp)

    def product(params, direction, x, y):
        return fw.jvp(lambda p: fw.grad(loss)(p, x, y), (params,), (direction,))[1]

    return fw.jit(product), (params, params, *_mlp_batch(jnp, _SIZES, 128))


@workload(repeat=200)
def hessian_rosenbrock(fw, jnp):
    def rosenbrock(x):
        return jnp.sum(100.0 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)

    return fw.jit(fw.hessian(rosenbrock)), (jnp.asarray(normal(200)),)


@workload(repeat=10)
def pairwise_argmin(fw, jnp):
    def nearest(x, y):
        return jnp.argmin(jnp.sum((x[:, None, :] - y[None, :, :]) ** 2, axis=-1), axis=1)

    return fw.jit(nearest), (jnp.asarray(normal(2000, 3)), jnp.asarray(normal(3000, 3)[::-1].copy()))


@workload(repeat=10)
def nbody(fw, jnp):
    def accelerations(positions, masses):
        apart = positions[None, :, :] - positions[:, None, :]
        inverse = (jnp.sum(apart**2, axis=-1) + 0.01) ** -1.5
        return jnp.sum(apart * (inverse * masses[None, :])[:, :, None], axis=1)

    def simulate(positions, velocities, masses):
        def step(_, state):
            positions, velocities = state
            velocities = velocities + 0.01 * accelerations(positions, masses)
            return positions + 0.01 * velocities, velocities

        return fw.lax.fori_loop(0, 10, step, (positions, velocities))

    masses = np.abs(normal(1000)) / 1000
    return fw.jit(simulate), tuple(map(jnp.asarray, (normal(1000, 3), normal(1000, 3) * 0.1, masses)))

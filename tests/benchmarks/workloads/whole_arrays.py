"""Operations on whole arrays: sorting, cumulative sums, gathers and scatters, transforms, random numbers, linear
algebra."""

from __future__ import annotations

import numpy as np

from tests.benchmarks.workloads.registry import normal, rng, workload

MILLION = 1_000_000


@workload(repeat=7)
def sort(fw, jnp):
    return fw.jit(jnp.sort), (jnp.asarray(normal(MILLION)),)


@workload(repeat=7)
def argsort(fw, jnp):
    return fw.jit(jnp.argsort), (jnp.asarray(normal(MILLION)),)


@workload(repeat=10)
def top_k(fw, jnp):
    return fw.jit(lambda x: fw.lax.top_k(x, 10)), (jnp.asarray(normal(256, 4096)),)


@workload(repeat=10)
def cumsum(fw, jnp):
    return fw.jit(jnp.cumsum), (jnp.asarray(normal(4 * MILLION) * 1e-3),)


@workload(repeat=10)
def gather(fw, jnp):
    rows = rng().integers(0, 100_000, MILLION).astype(np.int32)
    return fw.jit(lambda x, i: x[i]), (jnp.asarray(normal(100_000, 16)), jnp.asarray(rows))


@workload(repeat=10)
def scatter_add(fw, jnp):
    places = rng().integers(0, 100_000, MILLION).astype(np.int32)
    zeros = jnp.zeros(100_000, jnp.float32)
    return fw.jit(lambda z, i, x: z.at[i].add(x)), (zeros, jnp.asarray(places), jnp.asarray(normal(MILLION)))


@workload(repeat=10)
def segment_sum(fw, jnp):
    segments = np.sort(rng().integers(0, 10_000, MILLION)).astype(np.int32)
    total = fw.jit(lambda x, s: fw.ops.segment_sum(x, s, num_segments=10_000))
    return total, (jnp.asarray(normal(MILLION)), jnp.asarray(segments))


@workload(repeat=10)
def fft(fw, jnp):
    z = normal(2, MILLION)
    return fw.jit(jnp.fft.fft), (jnp.asarray((z[0] + 1j * z[1]).astype(np.complex64)),)


@workload(repeat=10)
def rfft2(fw, jnp):
    return fw.jit(lambda x: jnp.fft.irfft2(jnp.fft.rfft2(x) * 0.5)), (jnp.asarray(normal(512, 512)),)


@workload(repeat=7)
def random_normal(fw, jnp):
    return fw.jit(lambda key: fw.random.normal(key, (4 * MILLION,))), (fw.random.PRNGKey(0),)


@workload(repeat=7)
def random_uniform(fw, jnp):
    return fw.jit(lambda key: fw.random.uniform(key, (4 * MILLION,))), (fw.random.PRNGKey(0),)


def _positive(n):
    a = normal(n, n)
    return a @ a.T / n + np.eye(n, dtype=np.float32)


@workload(repeat=20)
def cholesky(fw, jnp):
    return fw.jit(jnp.linalg.cholesky), (jnp.asarray(_positive(512)),)


@workload(repeat=20)
def solve(fw, jnp):
    return fw.jit(jnp.linalg.solve), (jnp.asarray(_positive(512)), jnp.asarray(normal(512)))


@workload(repeat=10)
def singular_values(fw, jnp):
    call = fw.jit(lambda a: jnp.linalg.svd(a, compute_uv=False))
    return call, (jnp.asarray(normal(256, 256)),)


@workload(repeat=10)
def eigenvalues(fw, jnp):
    return fw.jit(jnp.linalg.eigvalsh), (jnp.asarray(_positive(256)),)


@workload(repeat=10)
def gaussian_process_grad(fw, jnp):
    def likelihood(params, x, y):
        length, noise = jnp.exp(params[0]), jnp.exp(params[1])
        apart = (x[:, None] - x[None, :]) / length
        k = jnp.exp(-0.5 * apart**2) + (noise + 1e-4) * jnp.eye(len(x))
        chol = jnp.linalg.cholesky(k)
        alpha = fw.scipy.linalg.cho_solve((chol, True), y)
        return 0.5 * y @ alpha + jnp.sum(jnp.log(jnp.diag(chol)))

    x = np.sort(rng().uniform(0, 10, 300)).astype(np.float32)
    args = (np.array([0.0, -2.0], np.float32), x, np.sin(x))
    return fw.jit(fw.grad(likelihood)), tuple(map(jnp.asarray, args))

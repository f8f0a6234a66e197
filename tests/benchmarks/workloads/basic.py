"""Dispatch, elementwise work, row-wise reductions, multi-layer perceptrons."""

from __future__ import annotations

import itertools

import numpy as np

from tests.benchmarks.workloads.registry import normal as _normal
from tests.benchmarks.workloads.registry import rng as _rng
from tests.benchmarks.workloads.registry import workload


# Dispatch and eager operation.
@workload(repeat=2000)
def dispatch_1(fw, jnp):
    return fw.jit(lambda x: x + 1), (jnp.asarray(_normal(4)),)


@workload(repeat=2000)
def dispatch_10(fw, jnp):
    return fw.jit(lambda *xs: [x + 1 for x in xs]), tuple(jnp.asarray(_normal(4)) for _ in range(10))


@workload(repeat=300)
def dispatch_100(fw, jnp):
    return fw.jit(lambda *xs: [x + 1 for x in xs]), tuple(jnp.asarray(_normal(4)) for _ in range(100))


@workload(repeat=2000)
def eager_add(fw, jnp):
    return lambda x: x + 1, (jnp.asarray(_normal(4)),)


@workload(repeat=300)
def eager_grad(fw, jnp):
    def f(x):
        return jnp.sum(jnp.sin(x) * x + jnp.tanh(x))

    return fw.grad(f), (jnp.asarray(_normal(4)),)


# Fused elementwise work.
def _black_scholes(fw, jnp):
    def cdf(x):
        return 0.5 * (1 + fw.lax.erf(x * 0.7071067811865475))

    def price(spot, strike, time, rate, vol):
        root = vol * jnp.sqrt(time)
        d1 = (jnp.log(spot / strike) + (rate + 0.5 * vol * vol) * time) / root
        return spot * cdf(d1) - strike * jnp.exp(-rate * time) * cdf(d1 - root)

    rng, n = _rng(), 4_000_000
    draw = [(80, 120), (80, 120), (0.1, 2), (0.01, 0.05), (0.1, 0.5)]
    return price, tuple(jnp.asarray(rng.uniform(a, b, n).astype(np.float32)) for a, b in draw)


@workload(repeat=10)
def black_scholes(fw, jnp):
    price, args = _black_scholes(fw, jnp)
    return fw.jit(price), args


@workload(repeat=7)
def black_scholes_grad(fw, jnp):
    price, args = _black_scholes(fw, jnp)
    return fw.jit(fw.grad(lambda *xs: price(*xs).sum(), argnums=(0, 1, 2, 3, 4))), args


# Row-wise reductions and what follows them.
def _softmax(jnp):
    def softmax(x):
        e = jnp.exp(x - jnp.max(x, axis=-1, keepdims=True))
        return e / jnp.sum(e, axis=-1, keepdims=True)

    return softmax


def _layernorm(jnp):
    def layernorm(x, scale, bias):
        mean = jnp.mean(x, axis=-1, keepdims=True)
        var = jnp.mean((x - mean) ** 2, axis=-1, keepdims=True)
        return (x - mean) / jnp.sqrt(var + 1e-5) * scale + bias

    return layernorm


@workload()
def softmax(fw, jnp):
    return fw.jit(_softmax(jnp)), (jnp.asarray(_normal(4096, 1024)),)


@workload()
def softmax_grad(fw, jnp):
    f, w = _softmax(jnp), jnp.asarray(_normal(4096, 1024))
    return fw.jit(fw.grad(lambda x, w: (f(x) * w).sum())), (jnp.asarray(_normal(4096, 1024)), w)


@workload()
def softmax_columns(fw, jnp):
    return fw.jit(lambda x: fw.nn.softmax(x, axis=0)), (jnp.asarray(_normal(4096, 1024)),)


@workload()
def layernorm(fw, jnp):
    args = (_normal(4096, 1024), _normal(1024), _normal(1024))
    return fw.jit(_layernorm(jnp)), tuple(map(jnp.asarray, args))


@workload()
def layernorm_grad(fw, jnp):
    f = _layernorm(jnp)
    args = (_normal(4096, 1024), _normal(1024), _normal(1024), _normal(4096, 1024))
    gradient = fw.grad(lambda x, s, b, w: (f(x, s, b) * w).sum(), argnums=(0, 1, 2))
    return fw.jit(gradient), tuple(map(jnp.asarray, args))


@workload()
def sum_all(fw, jnp):
    return fw.jit(lambda x: x.sum()), (jnp.asarray(_normal(4096, 1024)),)


@workload()
def sum_rows(fw, jnp):
    return fw.jit(lambda x: x.sum(axis=0)), (jnp.asarray(_normal(4096, 1024)),)


@workload()
def sum_columns(fw, jnp):
    return fw.jit(lambda x: x.sum(axis=1)), (jnp.asarray(_normal(4096, 1024)),)


# Multi-layer perceptrons.
def _mlp_step(fw, jnp, sizes):
    def forward(params, x):
        for w, b in params[:-1]:
            x = jnp.maximum(x @ w + b, 0)
        w, b = params[-1]
        return x @ w + b

    def loss(params, x, y):
        logits = forward(params, x)
        shifted = logits - jnp.max(logits, axis=1, keepdims=True)
        logp = shifted - jnp.log(jnp.sum(jnp.exp(shifted), axis=1, keepdims=True))
        return -jnp.mean(jnp.sum(logp * y, axis=1))

    def step(params, x, y):
        value, grads = fw.value_and_grad(loss)(params, x, y)
        new = [(w - 0.1 * gw, b - 0.1 * gb) for (w, b), (gw, gb) in zip(params, grads)]
        return new, value

    rng = _rng()
    params = [
        (
            jnp.asarray((rng.standard_normal((i, o)) / i**0.5).astype(np.float32)),
            jnp.asarray(np.zeros(o, np.float32)),
        )
        for i, o in itertools.pairwise(sizes)
    ]
    return fw.jit(step), params


def _mlp_batch(jnp, sizes, batch):
    rng = _rng()
    x = rng.standard_normal((batch, sizes[0])).astype(np.float32)
    y = np.eye(sizes[-1], dtype=np.float32)[rng.integers(0, sizes[-1], batch)]
    return jnp.asarray(x), jnp.asarray(y)


_LARGE, _MEDIUM, _SMALL = (784, 512, 512, 10), (128, 256, 256, 10), (32, 64, 64, 10)


@workload(repeat=50, resize=lambda jnp, args: (args[0], *_mlp_batch(jnp, _LARGE, 96)))
def mlp_large(fw, jnp):
    step, params = _mlp_step(fw, jnp, _LARGE)
    return step, (params, *_mlp_batch(jnp, _LARGE, 128))


@workload(repeat=100, resize=lambda jnp, args: (args[0], *_mlp_batch(jnp, _MEDIUM, 48)))
def mlp_medium(fw, jnp):
    step, params = _mlp_step(fw, jnp, _MEDIUM)
    return step, (params, *_mlp_batch(jnp, _MEDIUM, 64))


@workload(repeat=500, resize=lambda jnp, args: (args[0], *_mlp_batch(jnp, _SMALL, 24)))
def mlp_small(fw, jnp):
    step, params = _mlp_step(fw, jnp, _SMALL)
    return step, (params, *_mlp_batch(jnp, _SMALL, 16))

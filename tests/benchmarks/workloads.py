"""The workloads, each written once against the API that funcgrad shares with JAX.

A workload is a function of a framework `fw` (the module `jax` or `funcgrad`) and its `numpy` that gives
`(call, args)`: what is timed is `call(*args)`, waited for. Inputs are made by NumPy from a fixed seed, so
that results can be compared.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np

WORKLOADS: dict[str, Workload] = {}


class Workload:
    """A named workload. `eager` ones are not compiled; `resize` makes the arguments of another batch size."""

    def __init__(self, make: Callable[..., Any], repeat: int, resize: Callable[[], Any] | None):
        self.make = make
        self.repeat = repeat
        self.resize = resize
        self.name = make.__name__


def workload(repeat: int = 20, resize: Callable[[], Any] | None = None):
    """Register a workload that is run `repeat` times for its median."""

    def register(make: Callable[..., Any]) -> Callable[..., Any]:
        WORKLOADS[make.__name__] = Workload(make, repeat, resize)
        return make

    return register


def _rng() -> np.random.Generator:
    return np.random.default_rng(0)


def _normal(*shape: int) -> np.ndarray:
    return _rng().standard_normal(shape).astype(np.float32)


# Dispatch and eager operation.
@workload(repeat=2000)
def dispatch_1(fw, jnp):
    return fw.jit(lambda x: x + 1), (jnp.asarray(_normal(4)),)


@workload(repeat=2000)
def dispatch_10(fw, jnp):
    return fw.jit(lambda *xs: [x + 1 for x in xs]), tuple(jnp.asarray(_normal(4)) for _ in range(10))


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


_LARGE, _SMALL = (784, 512, 512, 10), (32, 64, 64, 10)


@workload(repeat=50)
def mlp_large(fw, jnp):
    step, params = _mlp_step(fw, jnp, _LARGE)
    return step, (params, *_mlp_batch(jnp, _LARGE, 128))


@workload(repeat=500)
def mlp_small(fw, jnp):
    step, params = _mlp_step(fw, jnp, _SMALL)
    return step, (params, *_mlp_batch(jnp, _SMALL, 16))


def new_batch_arguments(name: str, jnp: Any, args: Any) -> Any:
    """The arguments of an MLP workload with a batch size that it has not seen."""
    sizes, batch = (_LARGE, 96) if name == "mlp_large" else (_SMALL, 24)
    return (args[0], *_mlp_batch(jnp, sizes, batch))


HAS_NEW_BATCH = ("mlp_large", "mlp_small")

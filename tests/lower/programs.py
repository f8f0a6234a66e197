"""Functions that the lowering tests share, written with bare operations, and the graphs that they trace
to."""

from __future__ import annotations

import numpy as np

from funcgrad import api
from funcgrad.passes import pipeline
from funcgrad.trace import ops

f32 = np.float32


def graph_of(function, *args):
    """The optimised graph of `function` on arrays like `args`, and all of its operands."""
    closed = api.make_graph(function)(*args)
    return pipeline.run(closed.graph), [np.asarray(a) for a in (*closed.constants, *args)]


def total(x, axes=None):
    return ops.apply("reduce_sum", x, axes=tuple(range(len(x.shape))) if axes is None else axes)


def rows(x, like):
    return ops.broadcast_in_dim(x, like.shape, (0,))


def columns(x, like):
    return ops.broadcast_in_dim(x, like.shape, (1,))


def multiply_add(a, b):
    return ops.add(ops.mul(a, b), a)


def softmax(x):
    e = ops.exp(ops.sub(x, rows(ops.apply("reduce_max", x, axes=(1,)), x)))
    return ops.div(e, rows(total(e, (1,)), x))


def logsumexp(x):
    m = ops.apply("reduce_max", x, axes=(1,))
    return ops.add(ops.log(total(ops.exp(ops.sub(x, rows(m, x))), (1,))), m)


def layernorm(x, gain, bias):
    scale = f32(1 / x.shape[1])
    d = ops.sub(x, rows(ops.mul(total(x, (1,)), scale), x))
    r = ops.rsqrt(ops.add(ops.mul(total(ops.mul(d, d), (1,)), scale), f32(1e-5)))
    return ops.add(ops.mul(ops.mul(d, rows(r, x)), columns(gain, x)), columns(bias, x))


def matmul(a, b):
    numbers = (((1,), (0,)), ((), ()))
    return ops.apply("dot_general", a, b, dimension_numbers=numbers, preferred_element_type=None)


def dense_relu(x, w, b):
    y = matmul(x, w)
    y = ops.add(y, columns(b, y))
    return ops.max_(y, f32(0))


def black_scholes(spot, strike, rate, volatility, time):
    root = ops.mul(volatility, ops.sqrt(time))
    drift = ops.mul(ops.add(rate, ops.mul(ops.mul(volatility, volatility), f32(0.5))), time)
    d1 = ops.div(ops.add(ops.log(ops.div(spot, strike)), drift), root)
    d2 = ops.sub(d1, root)

    def normal(x):
        return ops.mul(ops.add(ops.erf(ops.mul(x, f32(0.70710678))), f32(1)), f32(0.5))

    discounted = ops.mul(strike, ops.exp(ops.neg(ops.mul(rate, time))))
    return ops.sub(ops.mul(spot, normal(d1)), ops.mul(discounted, normal(d2)))


def draw(*shape, seed=0):
    return np.random.default_rng((seed, *shape)).standard_normal(shape).astype(f32)

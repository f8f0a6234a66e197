"""Windows over images, channels first and last: pooling, its gradient, a convolution; and changes of layout."""

from __future__ import annotations

import numpy as np

from tests.benchmarks.workloads.registry import normal, rng, workload


def _pool(fw, jnp, layout, kind):
    window = tuple(3 if d in "HW" else 1 for d in layout)
    strides = tuple(2 if d in "HW" else 1 for d in layout)
    start, combine = (-np.inf, fw.lax.max) if kind == "max" else (0.0, fw.lax.add)
    shape = [{"N": 16, "C": 64, "H": 56, "W": 56}[d] for d in layout]

    def pool(x):
        return fw.lax.reduce_window(x, start, combine, window, strides, "SAME")

    return pool, (jnp.asarray(normal(*shape)),)


@workload(repeat=10)
def max_pool(fw, jnp):
    pool, args = _pool(fw, jnp, "NCHW", "max")
    return fw.jit(pool), args


@workload(repeat=10)
def max_pool_nhwc(fw, jnp):
    pool, args = _pool(fw, jnp, "NHWC", "max")
    return fw.jit(pool), args


@workload(repeat=10)
def max_pool_grad(fw, jnp):
    pool, args = _pool(fw, jnp, "NCHW", "max")
    return fw.jit(fw.grad(lambda x: jnp.sum(pool(x) ** 2))), args


@workload(repeat=10)
def max_pool_grad_nhwc(fw, jnp):
    pool, args = _pool(fw, jnp, "NHWC", "max")
    return fw.jit(fw.grad(lambda x: jnp.sum(pool(x) ** 2))), args


@workload(repeat=10)
def sum_pool_nhwc(fw, jnp):
    pool, args = _pool(fw, jnp, "NHWC", "add")
    return fw.jit(pool), args


@workload(repeat=10)
def sum_pool_grad_nhwc(fw, jnp):
    pool, args = _pool(fw, jnp, "NHWC", "add")
    return fw.jit(fw.grad(lambda x: jnp.sum(pool(x) ** 2))), args


def _convolution(fw, jnp, layouts):
    def forward(x, w):
        return fw.lax.conv_general_dilated(x, w, (1, 1), "SAME", dimension_numbers=layouts)

    random = rng()
    sizes = {"N": 16, "H": 28, "W": 28, "C": 64}
    x = random.standard_normal([sizes[d] for d in layouts[0]])
    w = random.standard_normal([{"O": 128, "I": 64, "H": 3, "W": 3}[d] for d in layouts[1]])
    return forward, (jnp.asarray(x.astype(np.float32)), jnp.asarray(w.astype(np.float32)))


@workload(repeat=10)
def convolution(fw, jnp):
    forward, args = _convolution(fw, jnp, ("NCHW", "OIHW", "NCHW"))
    return fw.jit(forward), args


@workload(repeat=10)
def convolution_nhwc(fw, jnp):
    forward, args = _convolution(fw, jnp, ("NHWC", "HWIO", "NHWC"))
    return fw.jit(forward), args


@workload(repeat=10)
def convolution_grad_nhwc(fw, jnp):
    forward, args = _convolution(fw, jnp, ("NHWC", "HWIO", "NHWC"))
    return fw.jit(fw.grad(lambda x, w: jnp.sum(forward(x, w) ** 2), (0, 1))), args


@workload()
def permute_heads(fw, jnp):
    return fw.jit(lambda x: x.transpose(0, 2, 1, 3)), (jnp.asarray(normal(8, 512, 16, 64)),)


@workload()
def to_channels_first(fw, jnp):
    return fw.jit(lambda x: x.transpose(0, 3, 1, 2)), (jnp.asarray(normal(16, 56, 56, 64)),)


@workload()
def to_channels_last(fw, jnp):
    return fw.jit(lambda x: x.transpose(0, 2, 3, 1)), (jnp.asarray(normal(16, 64, 56, 56)),)

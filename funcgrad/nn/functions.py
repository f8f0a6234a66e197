"""Activation functions, softmax and its relatives, under the names of `jax.nn`.

Written with ordinary operations, so that they fuse. Owns the conventions of derivatives: at a kink the one of
the flat side (relu'(0) = 0), and no infinity or NaN from the side that was not taken.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from funcgrad import dtypes
from funcgrad.custom_rules import custom_jvp
from funcgrad.errors import ArgumentError, AxisError, ShapeError, boundary
from funcgrad.lax.collectives import axis_index, axis_size
from funcgrad.numpy import ufuncs
from funcgrad.numpy.creation import asarray
from funcgrad.numpy.logsumexp import (
    Axes,
    finite_max,
    kept,
    log_sum_exp,
    reduced_axes,
    spread,
)
from funcgrad.promotion import broadcast, cast, check_arrays, promote, promote_inexact
from funcgrad.trace import ops
from funcgrad.trace.core import type_of


def _where(condition: Any, x: Any, y: Any) -> Any:
    """`x` where `condition`, else `y`, with broadcasting; `x` and `y` have one dtype or are numbers."""
    return ops.select(*broadcast("where", (condition, x, y)))


def _inexact(name: str, x: Any) -> Any:
    (x,) = promote_inexact(f"nn.{name}", x)
    return x


# ------------------------------------------------------------------------------------------- activations


def identity(x: Any) -> Any:
    """x itself.

    >>> import funcgrad as fg, funcgrad.numpy as jnp
    >>> fg.nn.identity(jnp.array([-1.0, 0.0, 2.0])).round(3)
    Array([-1.,  0.,  2.], dtype=float32)
    """
    return x


@boundary
def relu(x: Any) -> Any:
    """max(x, 0), with derivative 0 at 0.

    >>> import funcgrad as fg
    >>> fg.grad(fg.nn.relu)(0.0)
    Array(0., dtype=float32)
    """
    (x,) = promote("nn.relu", x)
    return ops.select(ops.le(x, 0), 0, x)


@boundary
def relu6(x: Any) -> Any:
    """min(max(x, 0), 6), with derivative 0 at 0 and at 6.

    Raises:
        DTypeError: what is no array or number.

    >>> import funcgrad as fg, funcgrad.numpy as jnp
    >>> fg.nn.relu6(jnp.array([-1.0, 0.0, 2.0])).round(3)
    Array([0., 0., 2.], dtype=float32)
    """
    x = _inexact("relu6", x)
    return ops.select(ops.le(x, 0.0), 0.0, ops.select(ops.ge(x, 6.0), 6.0, x))


@boundary
def leaky_relu(x: Any, negative_slope: Any = 1e-2) -> Any:
    """x where it is positive, else negative_slope * x.

    Raises:
        DTypeError: what is no array or number.

    >>> import funcgrad as fg, funcgrad.numpy as jnp
    >>> fg.nn.leaky_relu(jnp.array([-1.0, 0.0, 2.0])).round(3)
    Array([-0.01,  0.  ,  2.  ], dtype=float32)
    """
    x = _inexact("leaky_relu", x)
    return _where(ops.ge(x, 0.0), x, _scaled(negative_slope, x))


def _scaled(factor: Any, x: Any) -> Any:
    """factor * x in the dtype of x."""
    return ops.mul(*broadcast("multiply", (cast(factor, type_of(x).dtype, type_of(x).weak), x)))


@boundary
def hard_tanh(x: Any) -> Any:
    """x limited to -1..1.

    Raises:
        DTypeError: what is no array or number.

    >>> import funcgrad as fg, funcgrad.numpy as jnp
    >>> fg.nn.hard_tanh(jnp.array([-1.0, 0.0, 2.0])).round(3)
    Array([-1.,  0.,  1.], dtype=float32)
    """
    x = _inexact("hard_tanh", x)
    return ops.select(ops.gt(x, 1.0), 1.0, ops.select(ops.lt(x, -1.0), -1.0, x))


def hard_sigmoid(x: Any) -> Any:
    """relu6(x + 3) / 6.

    Raises:
        DTypeError: what is no array or number.

    >>> import funcgrad as fg, funcgrad.numpy as jnp
    >>> fg.nn.hard_sigmoid(jnp.array([-1.0, 0.0, 2.0])).round(3)
    Array([0.333, 0.5  , 0.833], dtype=float32)
    """
    return ufuncs.divide(relu6(ufuncs.add(x, 3.0)), 6.0)


def hard_silu(x: Any) -> Any:
    """x * hard_sigmoid(x).

    Raises:
        DTypeError: what is no array or number.

    >>> import funcgrad as fg, funcgrad.numpy as jnp
    >>> fg.nn.hard_silu(jnp.array([-1.0, 0.0, 2.0])).round(3)
    Array([-0.333,  0.   ,  1.667], dtype=float32)
    """
    return ufuncs.multiply(x, hard_sigmoid(x))


hard_swish = hard_silu


@boundary
def sigmoid(x: Any) -> Any:
    """1 / (1 + exp(-x)).

    Raises:
        DTypeError: what is no array or number.

    >>> import funcgrad as fg, funcgrad.numpy as jnp
    >>> fg.nn.sigmoid(jnp.array([-1.0, 0.0, 2.0])).round(3)
    Array([0.269, 0.5  , 0.881], dtype=float32)
    """
    return ops.logistic(_inexact("sigmoid", x))


@boundary
def tanh(x: Any) -> Any:
    """The hyperbolic tangent, as `numpy.tanh`.

    Raises:
        DTypeError: what is no array or number.

    >>> import funcgrad as fg, funcgrad.numpy as jnp
    >>> fg.nn.tanh(jnp.array([-1.0, 0.0, 2.0])).round(3)
    Array([-0.762,  0.   ,  0.964], dtype=float32)
    """
    return ops.tanh(_inexact("tanh", x))


@boundary
def softplus(x: Any) -> Any:
    """log(1 + exp(x)), without overflow.

    Raises:
        DTypeError: what is no array or number.

    >>> import funcgrad as fg, funcgrad.numpy as jnp
    >>> fg.nn.softplus(jnp.array([-1.0, 0.0, 2.0])).round(3)
    Array([0.313, 0.693, 2.127], dtype=float32)
    """
    return _softplus(_inexact("softplus", x))


@custom_jvp
def _softplus(x: Any) -> Any:
    return ops.add(ops.max_(x, 0.0), ops.log1p(ops.exp(ops.neg(ops.abs_(x)))))


@_softplus.defjvp
def _softplus_jvp(primals: Any, tangents: Any) -> tuple[Any, Any]:
    return _softplus(*primals), ops.mul(tangents[0], ops.logistic(primals[0]))


@boundary
def log_sigmoid(x: Any) -> Any:
    """log(sigmoid(x)), without underflow.

    Raises:
        DTypeError: what is no array or number.

    >>> import funcgrad as fg, funcgrad.numpy as jnp
    >>> fg.nn.log_sigmoid(jnp.array([-1.0, 0.0, 2.0])).round(3)
    Array([-1.313, -0.693, -0.127], dtype=float32)
    """
    return ops.neg(_softplus(ops.neg(_inexact("log_sigmoid", x))))


@boundary
def soft_sign(x: Any) -> Any:
    """x / (1 + |x|).

    Raises:
        DTypeError: what is no array or number.

    >>> import funcgrad as fg, funcgrad.numpy as jnp
    >>> fg.nn.soft_sign(jnp.array([-1.0, 0.0, 2.0])).round(3)
    Array([-0.5  ,  0.   ,  0.667], dtype=float32)
    """
    x = _inexact("soft_sign", x)
    return ops.div(x, ops.add(ops.abs_(x), 1.0))


@boundary
def silu(x: Any) -> Any:
    """x * sigmoid(x).

    Raises:
        DTypeError: what is no array or number.

    >>> import funcgrad as fg, funcgrad.numpy as jnp
    >>> fg.nn.silu(jnp.array([-1.0, 0.0, 2.0])).round(3)
    Array([-0.269,  0.   ,  1.762], dtype=float32)
    """
    x = _inexact("silu", x)
    return ops.mul(x, ops.logistic(x))


swish = silu


@boundary
def mish(x: Any) -> Any:
    """x * tanh(softplus(x)).

    Raises:
        DTypeError: what is no array or number.

    >>> import funcgrad as fg, funcgrad.numpy as jnp
    >>> fg.nn.mish(jnp.array([-1.0, 0.0, 2.0])).round(3)
    Array([-0.303,  0.   ,  1.944], dtype=float32)
    """
    x = _inexact("mish", x)
    return ops.mul(x, ops.tanh(_softplus(x)))


@boundary
def elu(x: Any, alpha: Any = 1.0) -> Any:
    """x where it is positive, else alpha * (exp(x) - 1).

    Raises:
        DTypeError: what is no array or number.

    >>> import funcgrad as fg, funcgrad.numpy as jnp
    >>> fg.nn.elu(jnp.array([-1.0, 0.0, 2.0])).round(3)
    Array([-0.632,  0.   ,  2.   ], dtype=float32)
    """
    x = _inexact("elu", x)
    positive = ops.gt(x, 0.0)
    return _where(positive, x, _scaled(alpha, ops.expm1(ops.select(positive, 0.0, x))))


@boundary
def celu(x: Any, alpha: Any = 1.0) -> Any:
    """x where it is positive, else alpha * (exp(x / alpha) - 1).

    Raises:
        DTypeError: what is no array or number.

    >>> import funcgrad as fg, funcgrad.numpy as jnp
    >>> fg.nn.celu(jnp.array([-1.0, 0.0, 2.0])).round(3)
    Array([-0.632,  0.   ,  2.   ], dtype=float32)
    """
    x = _inexact("celu", x)
    t = type_of(x)
    positive = ops.gt(x, 0.0)
    below = ops.div(*broadcast("divide", (ops.select(positive, 0.0, x), cast(alpha, t.dtype, t.weak))))
    return _where(positive, x, _scaled(alpha, ops.expm1(below)))


def selu(x: Any) -> Any:
    """The scaled elu that keeps mean and variance (Klambauer et al. 2017).

    Raises:
        DTypeError: what is no array or number.

    >>> import funcgrad as fg, funcgrad.numpy as jnp
    >>> fg.nn.selu(jnp.array([-1.0, 0.0, 2.0])).round(3)
    Array([-1.111,  0.   ,  2.101], dtype=float32)
    """
    return ufuncs.multiply(1.0507009873554805, elu(x, 1.6732632423543772))


@boundary
def gelu(x: Any, approximate: bool = True) -> Any:
    """x times the normal distribution function of x, by tanh where `approximate` (Hendrycks, Gimpel 2016).

    Raises:
        DTypeError: what is no array or number.

    >>> import funcgrad as fg, funcgrad.numpy as jnp
    >>> fg.nn.gelu(jnp.array([-1.0, 0.0, 2.0])).round(3)
    Array([-0.159,  0.   ,  1.955], dtype=float32)
    """
    x = _inexact("gelu", x)
    if not approximate:
        return ops.mul(ops.mul(x, 0.5), ops.erfc(ops.mul(ops.neg(x), math.sqrt(0.5))))
    cubed = ops.mul(ops.integer_pow(x, 3), 0.044715)
    inner = ops.mul(ops.add(x, cubed), math.sqrt(2 / math.pi))
    return ops.mul(x, ops.mul(ops.add(ops.tanh(inner), 1.0), 0.5))


@boundary
def glu(x: Any, axis: int = -1) -> Any:
    """The first half along `axis` times the sigmoid of the second half.

    Raises:
        ShapeError: an axis of odd length.

    >>> import funcgrad as fg, funcgrad.numpy as jnp
    >>> fg.nn.glu(jnp.array([2.0, 0.0]))
    Array([1.], dtype=float32)
    """
    x = _inexact("glu", x)
    t = type_of(x)
    (axis,) = reduced_axes(axis, t.ndim, "nn.glu")
    n = t.shape[axis]
    if n % 2:
        raise ShapeError(f"nn.glu halves axis {axis}, and {t} has {n} elements there", hint="make it even")
    first, second = (ops.slice_in_dim(x, lo, lo + n // 2, 1, axis) for lo in (0, n // 2))
    return ops.mul(first, ops.logistic(second))


@boundary
def squareplus(x: Any, b: Any = 4.0) -> Any:
    """(x + sqrt(x^2 + b)) / 2.

    Raises:
        DTypeError: what is no array or number.

    >>> import funcgrad as fg, funcgrad.numpy as jnp
    >>> fg.nn.squareplus(jnp.array([-1.0, 0.0, 2.0])).round(3)
    Array([0.618, 1.   , 2.414], dtype=float32)
    """
    x, b = broadcast("nn.squareplus", promote_inexact("nn.squareplus", x, b))
    return ops.mul(ops.add(x, ops.sqrt(ops.add(ops.square(x), b))), 0.5)


@boundary
def sparse_plus(x: Any) -> Any:
    """0 below -1, x above 1, and (x + 1)^2 / 4 between.

    Raises:
        DTypeError: what is no array or number.

    >>> import funcgrad as fg, funcgrad.numpy as jnp
    >>> fg.nn.sparse_plus(jnp.array([-1.0, 0.0, 2.0])).round(3)
    Array([0.  , 0.25, 2.  ], dtype=float32)
    """
    x = _inexact("sparse_plus", x)
    middle = ops.mul(ops.square(ops.add(x, 1.0)), 0.25)
    return ops.select(ops.le(x, -1.0), 0.0, ops.select(ops.ge(x, 1.0), x, middle))


@boundary
def sparse_sigmoid(x: Any) -> Any:
    """(x + 1) / 2 limited to 0..1.

    Raises:
        DTypeError: what is no array or number.

    >>> import funcgrad as fg, funcgrad.numpy as jnp
    >>> fg.nn.sparse_sigmoid(jnp.array([-1.0, 0.0, 2.0])).round(3)
    Array([0. , 0.5, 1. ], dtype=float32)
    """
    x = _inexact("sparse_sigmoid", x)
    return ops.mul(ops.min_(ops.max_(ops.add(x, 1.0), 0.0), 2.0), 0.5)


@boundary
def log1mexp(x: Any) -> Any:
    """log(1 - exp(-x)) for positive x, accurate at both ends."""
    return _log1mexp(_inexact("log1mexp", x))


@custom_jvp
def _log1mexp(x: Any) -> Any:
    small = ops.log(ops.neg(ops.expm1(ops.neg(x))))
    return ops.select(ops.lt(x, math.log(2.0)), small, ops.log1p(ops.neg(ops.exp(ops.neg(x)))))


@_log1mexp.defjvp
def _log1mexp_jvp(primals: Any, tangents: Any) -> tuple[Any, Any]:
    return _log1mexp(*primals), ops.div(tangents[0], ops.expm1(primals[0]))


# ------------------------------------------------------------------------------ softmax and normalization


@boundary
def logsumexp(
    a: Any,
    axis: Axes = None,
    b: Any = None,
    keepdims: bool = False,
    return_sign: bool = False,
    where: Any = None,
) -> Any:
    """log(sum(b * exp(a))) over `axis`, without overflow; with the sign of the sum where `return_sign`.

    Raises:
        AxisError: an axis that there is not.

    >>> import funcgrad as fg, funcgrad.numpy as jnp
    >>> fg.nn.logsumexp(jnp.zeros(3)).round(3)
    Array(1.099, dtype=float32)
    """
    return log_sum_exp("nn.logsumexp", a, axis, b, keepdims, return_sign, where)


@boundary
def logmeanexp(x: Any, axis: Axes = None, where: Any = None, keepdims: bool = False) -> Any:
    """log(mean(exp(x))) over `axis`, without overflow.

    Raises:
        AxisError: an axis that there is not.

    >>> import funcgrad as fg, funcgrad.numpy as jnp
    >>> fg.nn.logmeanexp(jnp.zeros(3)).item()
    0.0
    """
    total = log_sum_exp("nn.logmeanexp", x, axis, None, keepdims, False, where)
    t = type_of(x)
    axes = reduced_axes(axis, t.ndim, "nn.logmeanexp")
    dtype = type_of(total).dtype
    count = _count(t.shape, axes, where, dtype)
    if keepdims and where is not None:
        count = kept(count, t.shape, axes)
    return ops.sub(total, ops.log(count))


def _count(shape: Sequence[int], axes: Sequence[int], where: Any, dtype: np.dtype) -> Any:
    """The number of elements over `axes` for which `where` holds."""
    if where is None:
        return dtype.type(ops.size_of(shape, axes))
    return ops.reduce_sum(ops.convert(ops.broadcast_to(where, shape), dtype), axes)


def _shifted(name: str, x: Any, axis: Axes, where: Any) -> tuple[Any, tuple[int, ...], Any]:
    """x less its maximum over the axes, the axes, and `where` in the shape of x."""
    x = _inexact(name, x)
    t = type_of(x)
    axes = reduced_axes(axis, t.ndim, f"nn.{name}")
    if where is not None:
        where = ops.broadcast_to(where, t.shape)
        x = ops.select(where, x, -math.inf)
    return ops.sub(x, spread(finite_max(x, axes), t.shape, axes)), axes, where


@boundary
def softmax(x: Any, axis: Axes = -1, where: Any = None) -> Any:
    """exp(x) / sum(exp(x)) over `axis`, without overflow; 0 where `where` is false.

    >>> import funcgrad as fg
    >>> fg.nn.softmax(fg.numpy.array([0.0, 0.0]))
    Array([0.5, 0.5], dtype=float32)
    """
    shifted, axes, where = _shifted("softmax", x, axis, where)
    terms = ops.exp(shifted)
    shape = type_of(terms).shape
    out = ops.div(terms, spread(ops.reduce_sum(terms, axes), shape, axes))
    return out if where is None else ops.select(where, out, 0.0)


@boundary
def log_softmax(x: Any, axis: Axes = -1, where: Any = None) -> Any:
    """log(softmax(x)), without underflow; minus infinity where `where` is false.

    Raises:
        DTypeError: what is no array or number.

    >>> import funcgrad as fg, funcgrad.numpy as jnp
    >>> fg.nn.log_softmax(jnp.array([-1.0, 0.0, 2.0])).round(3)
    Array([-3.17, -2.17, -0.17], dtype=float32)
    """
    shifted, axes, where = _shifted("log_softmax", x, axis, where)
    shape = type_of(shifted).shape
    out = ops.sub(shifted, spread(ops.log(ops.reduce_sum(ops.exp(shifted), axes)), shape, axes))
    return out if where is None else ops.select(where, out, -math.inf)


def _mean(x: Any, axes: Sequence[int], where: Any) -> Any:
    """The mean over `axes`, kept with length 1."""
    t = type_of(x)
    if where is not None:
        x = ops.select(ops.broadcast_to(where, t.shape), x, 0.0)
    total = ops.reduce_sum(x, axes)
    return kept(ops.div(total, _count(t.shape, axes, where, t.dtype)), t.shape, axes)


@boundary
def standardize(
    x: Any,
    axis: Axes = -1,
    mean: Any = None,
    variance: Any = None,
    epsilon: Any = 1e-5,
    where: Any = None,
    *,
    algorithm: str = "fast",
) -> Any:
    """(x - mean) / sqrt(variance + epsilon) over `axis`.

    `algorithm` is "fast" (the mean of squares less the square of the mean) or "stable" (the mean of squared
    differences).
    """
    x = _inexact("standardize", x)
    axes = reduced_axes(axis, type_of(x).ndim, "nn.standardize")
    if mean is None:
        mean = _mean(x, axes, where)
    if variance is None:
        if algorithm == "stable":
            variance = _mean(ops.square(ops.sub(*broadcast("subtract", (x, mean)))), axes, where)
        elif algorithm == "fast":
            difference = ufuncs.subtract(_mean(ops.square(x), axes, where), ufuncs.square(mean))
            variance = ops.max_(difference, 0.0)
        else:
            raise ArgumentError(f"standardize has the algorithms 'fast' and 'stable', not {algorithm!r}")
    scale = ops.rsqrt(_inexact("standardize", ufuncs.add(variance, epsilon)))
    return ufuncs.multiply(ufuncs.subtract(x, mean), scale)


def normalize(
    x: Any, axis: Axes = -1, mean: Any = None, variance: Any = None, epsilon: Any = 1e-5, where: Any = None
) -> Any:
    """The older name of `standardize`.

    Raises:
        DTypeError: what is no array or number.

    >>> import funcgrad as fg, funcgrad.numpy as jnp
    >>> fg.nn.normalize(jnp.array([-1.0, 0.0, 2.0])).round(3)
    Array([-1.069, -0.267,  1.336], dtype=float32)
    """
    return standardize(x, axis, mean, variance, epsilon, where)


@boundary
def one_hot(x: Any, num_classes: int, *, dtype: Any = None, axis: Any = -1) -> Any:
    """1 at the position x of a new axis of length `num_classes`, 0 elsewhere; all 0 where x is outside.

    `axis` is the place of the new axis, or the name of a vmap axis over the classes.

    >>> import funcgrad as fg
    >>> fg.nn.one_hot(fg.numpy.array([2, 0]), 3)
    Array([[0., 0., 1.],
           [1., 0., 0.]], dtype=float32)
    """
    if isinstance(x, list | tuple):
        x = asarray(x)
    (t,) = check_arrays("nn.one_hot", x)
    wanted = dtypes.default_float() if dtype is None else dtypes.as_dtype(dtype)
    if not isinstance(axis, int | np.integer):
        if axis_size(axis) != num_classes:
            raise ShapeError(
                f"nn.one_hot of {num_classes} classes over axis {axis!r} of {axis_size(axis)} examples"
            )
        return ops.convert(ops.eq(x, ops.convert(axis_index(axis), t.dtype)), wanted)
    if not -t.ndim - 1 <= axis <= t.ndim:
        raise AxisError(f"nn.one_hot: axis {axis} of a result with {t.ndim + 1} axes")
    at = int(axis) % (t.ndim + 1)
    shape = (*t.shape[:at], int(num_classes), *t.shape[at:])
    classes = ops.iota(t.dtype, shape, at)
    x = cast(x, t.dtype)
    spread_x = ops.broadcast_in_dim(x, shape, [d for d in range(len(shape)) if d != at]) if t.shape else x
    return ops.convert(ops.eq(spread_x, classes), wanted)

"""The gamma distribution and what is made of it: beta, Dirichlet, chi-square, t, F, generalised normal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from funcgrad.errors import ArgumentError, ShapeError
from funcgrad.numpy.creation import asarray
from funcgrad.numpy.promotion import broadcast_shapes
from funcgrad.random.basic import (
    Shape,
    _broadcast_shape,
    _float_dtype,
    _normal,
    _parameter,
    _shape_of,
    _split,
    exponential,
    rademacher,
    split,
)
from funcgrad.sharding import takes_out_sharding
from funcgrad.trace import ops
from funcgrad.trace.core import type_of


def _variates(key: Any, a: Any, shape: tuple[int, ...], dtype: Any, log_space: bool) -> Any:
    """One variate for each of the shapes `a`, by a key for each."""
    a = ops.broadcast_to(_parameter(a, shape, dtype), shape)
    keys = split(key, type_of(a).size)
    words = [ops.reshape(ops.slice_in_dim(keys, k, k + 1, axis=1), shape) for k in range(2)]
    return ops.apply("random_gamma", *words, a, log_space=log_space)


@takes_out_sharding
def gamma(key: Any, a: Any, shape: Shape | None = None, dtype: Any = None) -> Any:
    """Gamma numbers of shape parameter `a` and scale 1. Differentiable by `a`.

    >>> import funcgrad as fg
    >>> fg.random.gamma(fg.random.key(0), 2.0, (1000,)).mean().round(1)
    Array(2., dtype=float32)
    """
    dtype, sizes = _float_dtype(dtype, "gamma"), _broadcast_shape(shape, "gamma", a)
    return _variates(key, a, sizes, dtype, False)


@takes_out_sharding
def loggamma(key: Any, a: Any, shape: Shape | None = None, dtype: Any = None) -> Any:
    """The logarithm of `gamma`'s numbers, which does not underflow for a small `a`."""
    dtype, sizes = _float_dtype(dtype, "loggamma"), _broadcast_shape(shape, "loggamma", a)
    return _variates(key, a, sizes, dtype, True)


@takes_out_sharding
def beta(key: Any, a: Any, b: Any, shape: Shape | None = None, dtype: Any = None) -> Any:
    """Beta numbers of shapes `a` and `b`."""
    dtype, sizes = _float_dtype(dtype, "beta"), _broadcast_shape(shape, "beta", a, b)
    logs = [_variates(k, p, sizes, dtype, True) for k, p in zip(_split(key, "beta"), (a, b))]
    high = ops.max_(*logs)
    x, y = [ops.exp(ops.sub(g, high)) for g in logs]
    return ops.div(x, ops.add(x, y))


@takes_out_sharding
def dirichlet(key: Any, alpha: Any, shape: Sequence[int] | None = None, dtype: Any = None) -> Any:
    """Numbers that sum to 1 along a last axis, of the concentrations along the last axis of `alpha`."""
    dtype = _float_dtype(dtype, "dirichlet")
    concentration = asarray(alpha)
    t = type_of(concentration)
    if not t.ndim:
        raise ShapeError(f"random.dirichlet takes concentrations along an axis, got {t}")
    sizes = t.shape[:-1] if shape is None else _shape_of(shape, "dirichlet")
    if broadcast_shapes(sizes, t.shape[:-1]) != sizes:
        raise ShapeError(f"random.dirichlet of shape {sizes} with concentrations {t} does not broadcast")
    logs = _variates(key, concentration, (*sizes, t.shape[-1]), dtype, True)
    last = (len(sizes),)
    whole = type_of(logs).shape
    high = ops.broadcast_in_dim(ops.reduce_max(logs, last), whole, range(len(sizes)))
    x = ops.exp(ops.sub(logs, ops.apply("stop_gradient", high)))
    return ops.div(x, ops.broadcast_in_dim(ops.reduce_sum(x, last), whole, range(len(sizes))))


@takes_out_sharding
def chisquare(key: Any, df: Any, shape: Shape | None = None, dtype: Any = None) -> Any:
    """Chi-square numbers of `df` degrees of freedom."""
    dtype, sizes = _float_dtype(dtype, "chisquare"), _broadcast_shape(shape, "chisquare", df)
    return _chisquare(key, df, sizes, dtype)


def _chisquare(key: Any, df: Any, shape: tuple[int, ...], dtype: Any) -> Any:
    half = ops.mul(_parameter(df, shape, dtype), dtype.type(0.5))
    return ops.mul(ops.exp(_variates(key, half, shape, dtype, True)), dtype.type(2))


@takes_out_sharding
def t(key: Any, df: Any, shape: Shape = (), dtype: Any = None) -> Any:
    """Student's t numbers of `df` degrees of freedom."""
    dtype, sizes = _float_dtype(dtype, "t"), _broadcast_shape(shape, "t", df)
    normal_key, gamma_key = _split(key, "t")
    half = ops.div(_parameter(df, sizes, dtype), dtype.type(2))
    spread = ops.sqrt(ops.div(half, _variates(gamma_key, half, sizes, dtype, False)))
    return ops.mul(_normal(normal_key, "t", sizes, dtype), spread)


@takes_out_sharding
def f(key: Any, dfnum: Any, dfden: Any, shape: Shape | None = None, dtype: Any = None) -> Any:
    """F numbers of `dfnum` and `dfden` degrees of freedom."""
    dtype, sizes = _float_dtype(dtype, "f"), _broadcast_shape(shape, "f", dfnum, dfden)
    below_key, above_key = _split(key, "f")
    above = ops.div(_chisquare(above_key, dfnum, sizes, dtype), _parameter(dfnum, sizes, dtype))
    below = ops.div(_chisquare(below_key, dfden, sizes, dtype), _parameter(dfden, sizes, dtype))
    return ops.div(above, below)


@takes_out_sharding
def generalized_normal(key: Any, p: Any, shape: Shape = (), dtype: Any = None) -> Any:
    """Numbers of density proportional to exp(-|x|**p)."""
    dtype, sizes = _float_dtype(dtype, "generalized_normal"), _broadcast_shape(shape, "generalized_normal", p)
    return _generalized_normal(key, p, sizes, dtype)


def _generalized_normal(key: Any, p: Any, shape: tuple[int, ...], dtype: Any) -> Any:
    gamma_key, sign_key = _split(key, "generalized_normal")
    inverse = ops.div(dtype.type(1), ops.convert(asarray(p), dtype))
    size = ops.pow_(_variates(gamma_key, inverse, shape, dtype, False), _parameter(inverse, shape, dtype))
    return ops.mul(rademacher(sign_key, shape, dtype), size)


@takes_out_sharding
def ball(key: Any, d: int, p: float = 2, shape: Shape = (), dtype: Any = None) -> Any:
    """Points even in the unit ball of the p-norm in d dimensions: of shape (*shape, d)."""
    dtype, sizes = _float_dtype(dtype, "ball"), _shape_of(shape, "ball")
    if d < 1:
        raise ArgumentError(f"random.ball in {d} dimensions")
    direction_key, depth_key = _split(key, "ball")
    x = _generalized_normal(direction_key, p, (*sizes, d), dtype)
    power = ops.convert(asarray(p), dtype)
    total = ops.add(
        ops.reduce_sum(ops.pow_(ops.abs_(x), power), (len(sizes),)), exponential(depth_key, sizes, dtype)
    )
    norm = ops.pow_(total, ops.div(dtype.type(1), power))
    return ops.div(x, ops.broadcast_in_dim(norm, type_of(x).shape, range(len(sizes))))

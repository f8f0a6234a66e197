"""Distributions of other shapes by transforms: Wald, triangular, the two-sided Maxwell."""

from __future__ import annotations

from typing import Any

from funcgrad.errors import boundary
from funcgrad.random.basic import (
    Shape,
    _broadcast_shape,
    _float_dtype,
    _normal,
    _parameter,
    _split,
    _unit,
    maxwell,
    rademacher,
)
from funcgrad.sharding import takes_out_sharding
from funcgrad.trace import ops


@takes_out_sharding
def wald(key: Any, mean: Any, shape: Shape | None = None, dtype: Any = None) -> Any:
    """Wald (inverse Gaussian) numbers of this mean and scale 1 (Michael, Schucany and Haas 1976)."""
    dtype, sizes = _float_dtype(dtype, "wald"), _broadcast_shape(shape, "wald", mean)
    mean = _parameter(mean, sizes, dtype)
    first, second = _split(key, "wald")
    y = ops.square(_normal(first, "wald", sizes, dtype))
    z = _unit(second, "wald", sizes, dtype)
    square = ops.square(ops.broadcast_to(mean, sizes))
    mean = ops.broadcast_to(mean, sizes)
    root = ops.sqrt(ops.add(ops.mul(ops.mul(mean, y), 4), ops.mul(square, ops.square(y))))
    x = ops.sub(ops.add(mean, ops.div(ops.mul(square, y), 2)), ops.mul(ops.div(mean, 2), root))
    return ops.select(ops.le(z, ops.div(mean, ops.add(mean, x))), x, ops.div(square, x))


@takes_out_sharding
def triangular(
    key: Any, left: Any, mode: Any, right: Any, shape: Shape | None = None, dtype: Any = None
) -> Any:
    """Numbers of a density that rises from `left` to `mode` and falls to `right`."""
    dtype = _float_dtype(dtype, "triangular")
    sizes = _broadcast_shape(shape, "triangular", left, mode, right)
    left, mode, right = [ops.broadcast_to(_parameter(x, sizes, dtype), sizes) for x in (left, mode, right)]
    u = _unit(key, "triangular", sizes, dtype)
    width = ops.sub(right, left)
    rising = ops.add(left, ops.sqrt(ops.mul(ops.mul(u, width), ops.sub(mode, left))))
    falling = ops.sub(right, ops.sqrt(ops.mul(ops.mul(ops.sub(1, u), width), ops.sub(right, mode))))
    return ops.select(ops.lt(u, ops.div(ops.sub(mode, left), width)), rising, falling)


@boundary
def double_sided_maxwell(key: Any, loc: Any, scale: Any, shape: Shape = (), dtype: Any = None) -> Any:
    """Maxwell numbers with a random sign, times `scale`, around `loc`."""
    dtype = _float_dtype(dtype, "double_sided_maxwell")
    sizes = _broadcast_shape(shape, "double_sided_maxwell", loc, scale)
    size_key, sign_key = _split(key, "double_sided_maxwell")
    x = ops.mul(rademacher(sign_key, sizes, dtype), maxwell(size_key, sizes, dtype))
    return ops.add(ops.mul(x, _parameter(scale, sizes, dtype)), _parameter(loc, sizes, dtype))

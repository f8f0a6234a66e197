"""The stable logarithm of a sum of exponentials, which nn and scipy.special both offer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from funcgrad import dtypes
from funcgrad.errors import AxisError
from funcgrad.promotion import broadcast, promote_inexact
from funcgrad.trace import ops
from funcgrad.trace.core import type_of

Axes = int | Sequence[int] | None


def reduced_axes(axis: Axes, ndim: int, function: str) -> tuple[int, ...]:
    """The axes to reduce over, from the front; all for None."""
    if axis is None:
        return tuple(range(ndim))
    given = (axis,) if isinstance(axis, int | np.integer) else tuple(axis)
    for a in given:
        if not -ndim <= a < ndim:
            allowed = f"its axes are {-ndim} to {ndim - 1}" if ndim else "a scalar has no axes"
            raise AxisError(f"{function}: axis {a} of an array with {ndim} axes", hint=allowed)
    axes = tuple([int(a) % ndim for a in given])
    if len(set(axes)) != len(axes):
        raise AxisError(f"{function}: an axis is named twice in {given}")
    return axes


def kept(x: Any, shape: Sequence[int], axes: Sequence[int]) -> Any:
    """A reduced array with the axes that it was reduced over back in, of length 1."""
    return ops.reshape(x, [1 if d in axes else n for d, n in enumerate(shape)])


def spread(x: Any, shape: Sequence[int], axes: Sequence[int]) -> Any:
    """A reduced array repeated along the axes that it was reduced over."""
    return ops.broadcast_in_dim(x, shape, [d for d in range(len(shape)) if d not in axes])


def finite_max(x: Any, axes: Sequence[int]) -> Any:
    """The maximum over `axes` as a constant to derivatives, and 0 where it is not finite."""
    t = type_of(x)
    real = ops.real(x) if dtypes.is_complex(t.dtype) else x
    if not t.size or not axes:
        largest = (
            real
            if not axes
            else ops.full([n for d, n in enumerate(t.shape) if d not in axes], 0, type_of(real).dtype)
        )
    else:
        largest = ops.reduce_max(real, axes)
    largest = ops.apply("stop_gradient", largest)
    largest = ops.select(ops.is_finite(largest), largest, type_of(largest).dtype.type(0))
    return ops.convert(largest, t.dtype)


def log_sum_exp(
    function: str,
    a: Any,
    axis: Axes = None,
    b: Any = None,
    keepdims: bool = False,
    return_sign: bool = False,
    where: Any = None,
) -> Any:
    """log(sum(b * exp(a))) over `axis`, of elements `where` true; with the sign of the sum if asked."""
    operands = promote_inexact(function, *((a,) if b is None else (a, b)))
    if b is not None:
        operands = [ops.broadcast_to(x, _shape(function, operands)) for x in operands]
        a, b = operands
        a = ops.select(ops.ne(b, type_of(b).dtype.type(0)), a, type_of(a).dtype.type(-np.inf))
    else:
        (a,) = operands
    t = type_of(a)
    if where is not None:  # what is left out has no derivative either, however large
        a = ops.select(ops.broadcast_to(where, t.shape), a, t.dtype.type(-np.inf))
    axes = reduced_axes(axis, t.ndim, function)
    largest = finite_max(a, axes)
    terms = ops.exp(ops.sub(a, spread(largest, t.shape, axes)))
    if b is not None:
        terms = ops.mul(b, terms)
    total = ops.reduce_sum(terms, axes)
    sign = None
    if return_sign:
        sign = ops.sign(total)
        total = ops.abs_(total)
        largest = (
            ops.convert(ops.real(largest), type_of(total).dtype) if dtypes.is_complex(t.dtype) else largest
        )
    elif b is not None and not dtypes.is_complex(t.dtype):
        total = ops.select(ops.lt(total, t.dtype.type(0)), t.dtype.type(np.nan), total)
    out = ops.add(ops.log(total), largest)
    if keepdims:
        out = kept(out, t.shape, axes)
        sign = None if sign is None else kept(sign, t.shape, axes)
    return (out, sign) if return_sign else out


def _shape(function: str, operands: Sequence[Any]) -> tuple[int, ...]:
    """The common shape of two operands."""
    first, second = broadcast(function, operands)
    return type_of(first).shape or type_of(second).shape

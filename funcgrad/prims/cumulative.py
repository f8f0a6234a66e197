"""Cumulative operations along one axis: sums, products, extremes, logarithms of sums of exponentials."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from funcgrad import dtypes
from funcgrad.errors import AxisError, DTypeError
from funcgrad.ir import expr as E
from funcgrad.ir.primitive import Primitive, Sample, Zero
from funcgrad.ir.types import ArrayType
from funcgrad.prims.reductions import highest, lowest
from funcgrad.prims.registry import Rule, library_call, linear_jvp, transpose_linear
from funcgrad.prims.samples import draw
from funcgrad.trace import ops
from funcgrad.trace.core import type_of

_NUMERIC = (*dtypes.INTEGERS, *dtypes.FLOATS, *dtypes.COMPLEX)
_ORDERED = (dtypes.bool_, *dtypes.INTEGERS, *dtypes.FLOATS)
Pair = tuple[Any, Any]


def _evaluate(ufunc: str):
    def evaluate(xp: Any, x: Any, *, axis: int, reverse: bool) -> Any:
        wide = x.astype(dtypes.compute_dtype(x.dtype), copy=False)
        wide = xp.flip(wide, axis) if reverse else wide
        out = getattr(xp, ufunc).accumulate(wide, axis=axis, dtype=wide.dtype)
        return (xp.flip(out, axis) if reverse else out).astype(x.dtype, copy=False)

    return evaluate


def _type(name: str, accepts: Sequence[np.dtype]) -> Rule:
    def rule(x: ArrayType, *, axis: int, reverse: bool) -> ArrayType:
        if not 0 <= axis < x.ndim:
            raise AxisError(f"{name} along axis {axis} of {x}: axes go from 0 to {x.ndim - 1}")
        if x.dtype not in accepts:
            names = ", ".join(dtypes.name(d) for d in accepts)
            raise DTypeError(f"{name} is not defined for {x}", hint=f"it takes {names}")
        return x

    return rule


def _batch(name: str):
    def batch(size: int, operands: Sequence[Any], axes: Sequence[int | None], /, *, axis: int, reverse: bool):
        (x,), (at,) = operands, axes
        return ops.apply(name, ops.moveaxis(x, at or 0, 0), axis=axis + 1, reverse=reverse), 0

    return batch


def _scan_jvp(name: str, combine: Callable[[Pair, Pair], Pair], start: Callable[[np.dtype], Any]) -> Rule:
    """The jvp rule of a cumulative operation: the operation on values with their tangents, by doubling.

    `combine(left, right)` gives the value and the tangent of two neighbouring stretches from theirs; `start` is
    the value of an empty stretch.
    """

    def jvp(primals: Sequence[Any], tangents: Sequence[Any], *, axis: int, reverse: bool) -> tuple[Any, Any]:
        (x,), (t,) = primals, tangents
        out = ops.apply(name, x, axis=axis, reverse=reverse)
        if t.__class__ is Zero:
            return out, Zero(type_of(out).tangent())
        shape, dtype = type_of(x).shape, type_of(x).dtype
        length, shift = shape[axis], 1

        def shifted(value: Any, fill: Any) -> Any:
            low_high = (-shift, shift) if reverse else (shift, -shift)
            config = [(*low_high, 0) if d == axis else (0, 0, 0) for d in range(len(shape))]
            return ops.pad(value, dtype.type(fill), config)

        while shift < length:
            x, t = combine((shifted(x, start(dtype)), shifted(t, 0)), (x, t))
            shift *= 2
        return out, t

    return jvp


def _product(left: Pair, right: Pair) -> Pair:
    (x, tx), (y, ty) = left, right
    return ops.mul(x, y), ops.add(ops.mul(tx, y), ops.mul(x, ty))


def _extreme(choose: Callable[[Any, Any], Any], before: Callable[[Any, Any], Any]):
    def combine(left: Pair, right: Pair) -> Pair:
        (x, tx), (y, ty) = left, right
        tied = ops.mul(ops.add(tx, ty), 0.5)
        return choose(x, y), ops.select(ops.eq(x, y), tied, ops.select(before(x, y), tx, ty))

    return combine


def _log_add(left: Pair, right: Pair) -> Pair:
    (x, tx), (y, ty) = left, right
    high = ops.max_(x, y)
    safe = ops.select(ops.is_finite(high), high, 0)
    wx, wy = ops.exp(ops.sub(x, safe)), ops.exp(ops.sub(y, safe))
    total = ops.add(wx, wy)
    out = ops.add(ops.log(total), safe)
    weight = ops.select(ops.gt(total, 0), total, 1)
    return out, ops.div(ops.add(ops.mul(tx, wx), ops.mul(ty, wy)), weight)


def _samples(accepts: Sequence[np.dtype]):
    def samples() -> Iterable[Sample]:
        for dtype in accepts:
            live = (0,) if dtypes.is_inexact(dtype) else ()
            params = {"axis": 0, "reverse": False}
            yield Sample((draw(5, dtype=dtype),), params, live, dtypes.name(dtype))
        for shape, axis, reverse in (
            ((3, 4), 1, True),
            ((4, 3), 0, True),
            ((2, 1), 1, False),
            ((0,), 0, False),
        ):
            yield Sample((draw(*shape),), {"axis": axis, "reverse": reverse}, (0,), f"{shape} along {axis}")

    return samples


_WITH_KERNELS = (dtypes.float32, dtypes.float64, dtypes.int32, dtypes.int64)


def _lower(name: str, kind: str | None) -> Rule:
    """A kernel accumulates by `kind`; NumPy does where there is none, and in the other dtypes."""
    library = library_call(name)

    def lower(in_types: Any, out_types: Any, *, axis: int, reverse: bool) -> E.Extern:
        extern = library(in_types, out_types, axis=axis, reverse=reverse)
        if kind is None or in_types[0].dtype not in _WITH_KERNELS:
            return extern
        shape = in_types[0].shape
        outer, inner = math.prod(shape[:axis]), math.prod(shape[axis + 1 :])
        settings = (kind, outer, shape[axis], inner, int(reverse))
        return E.Routine(extern.name, extern.attributes, "accumulate", settings)

    return lower


def _depends(run: Any, operands: Any, types: Any, outs: Any, *, axis: int, reverse: bool) -> list[Any]:
    from funcgrad.transforms.dependence import along  # imports scipy.sparse

    return along(axis)(run, operands, types, outs)


_KINDS = {"add": "add", "multiply": "mul", "maximum": "max", "minimum": "min"}
"""The names of NumPy's functions as operations of kernels."""


def _define(
    name: str, ufunc: str, accepts: Sequence[np.dtype], jvp: Rule, transpose: Rule | None = None
) -> Primitive:
    return Primitive(
        name=name,
        type_rule=_type(name, accepts),
        evaluate=_evaluate(ufunc),
        jvp=jvp,
        transpose=transpose,
        batch=_batch(name),
        lower=_lower(name, _KINDS.get(ufunc)),
        samples=_samples(accepts),
        depends=_depends,
    )


cumsum_p = _define(
    "cumsum",
    "add",
    _NUMERIC,
    linear_jvp("cumsum"),
    transpose_linear(lambda ct, t, *, axis, reverse: ops.apply("cumsum", ct, axis=axis, reverse=not reverse)),
)
cumprod_p = _define("cumprod", "multiply", _NUMERIC, _scan_jvp("cumprod", _product, lambda d: 1))
cummax_p = _define("cummax", "maximum", _ORDERED, _scan_jvp("cummax", _extreme(ops.max_, ops.gt), lowest))
cummin_p = _define("cummin", "minimum", _ORDERED, _scan_jvp("cummin", _extreme(ops.min_, ops.lt), highest))
cumlogsumexp_p = _define(
    "cumlogsumexp", "logaddexp", dtypes.FLOATS, _scan_jvp("cumlogsumexp", _log_add, lambda d: -np.inf)
)

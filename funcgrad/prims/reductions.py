"""Reductions over axes: sums, products, extremes, logic, and the positions of extremes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from funcgrad import dtypes
from funcgrad.errors import AxisError, DTypeError, ShapeError
from funcgrad.ir import expr as E
from funcgrad.ir.primitive import Primitive, Sample, Zero
from funcgrad.ir.types import ArrayType, array_type
from funcgrad.prims.registry import Rule, linear_jvp, transpose_linear, zero_jvp
from funcgrad.prims.samples import draw
from funcgrad.trace import ops
from funcgrad.trace.core import type_of

_NUMERIC = (*dtypes.INTEGERS, *dtypes.FLOATS, *dtypes.COMPLEX)


def _kept(ndim: int, axes: Sequence[int]) -> list[int]:
    return [d for d in range(ndim) if d not in axes]


def _reduced_type(name: str, accepts: Iterable[np.dtype]) -> Rule:
    accepted = frozenset(accepts)

    def rule(x: ArrayType, *, axes: tuple[int, ...], index_dtype: np.dtype | None = None) -> ArrayType:
        if any(not 0 <= a < x.ndim for a in axes) or len(set(axes)) != len(axes):
            raise AxisError(
                f"{name} over axes {axes} of {x}: axes have to be distinct and from 0 to {x.ndim - 1}"
            )
        if x.dtype not in accepted:
            names = ", ".join(dtypes.name(d) for d in dtypes.ALL if d in accepted)
            raise DTypeError(f"{name} is not defined for {x}", hint=f"it takes {names}")
        if index_dtype is not None and (len(axes) != 1 or not dtypes.is_integer(index_dtype)):
            raise AxisError(
                f"{name} of {x} gives an integer position along one axis; got axes {axes} and an index of "
                f"dtype {dtypes.name(index_dtype)}",
                hint="flatten the axes with reshape first, and take int32 or int64 for the index",
            )
        if index_dtype is not None and 0 in [x.shape[a] for a in axes]:
            raise ShapeError(
                f"{name} of an empty axis has no answer: {x} over axes {axes}", hint="check the length first"
            )
        shape = tuple([x.shape[d] for d in _kept(x.ndim, axes)])
        return array_type(shape, index_dtype or x.dtype, x.weak and index_dtype is None)

    return rule


def _batch(name: str):
    def batch(
        size: int,
        operands: Sequence[Any],
        batch_axes: Sequence[int | None],
        /,
        *,
        axes: tuple[int, ...],
        **params: Any,
    ) -> tuple[Any, int]:
        (x,), (axis,) = operands, batch_axes
        assert axis is not None
        shifted = tuple([a + (a >= axis) for a in axes])
        return ops.apply(name, x, axes=shifted, **params), axis - sum(a < axis for a in shifted)

    return batch


def _lower(kind: str):
    def lower(
        in_types: Sequence[ArrayType], out_types: Any, *, axes: tuple[int, ...], **params: Any
    ) -> E.Reduce:
        (x,), out = in_types, E.one_type(out_types)
        ordered = sorted(axes)
        places = {d: k for k, d in enumerate(_kept(x.ndim, axes))}
        places |= {d: out.ndim + k for k, d in enumerate(ordered)}
        index = tuple([E.axis(places[d]) for d in range(x.ndim)])
        return E.Reduce(kind, tuple([x.shape[d] for d in ordered]), E.Read(0, index))

    return lower


def _samples(accepts: Sequence[np.dtype], moving: bool = True, **params: Any):
    def samples() -> Iterable[Sample]:
        for dtype in accepts:
            live = (0,) if moving and dtypes.is_inexact(dtype) else ()
            cases: list[tuple[tuple[int, ...], tuple[int, ...]]] = [((2, 3), (1,))]
            if dtype == dtypes.float32:
                cases += [
                    ((2, 3), (0,)),
                    ((2, 3), (0, 1)),
                    ((2, 3, 4), (0, 2)),
                    ((3,), (0,)),
                    ((), ()),
                    ((3, 1), (1,)),
                ]
            for shape, axes in cases:
                if params and len(axes) != 1:
                    continue
                yield Sample((draw(*shape, dtype=dtype),), {"axes": axes, **params}, live, dtypes.name(dtype))

    return samples


def _define(
    name: str,
    evaluate: Callable[..., Any],
    kind: str,
    accepts: Sequence[np.dtype],
    jvp: Rule,
    transpose: Rule | None = None,
    **params: Any,
) -> Primitive:
    return Primitive(
        name=name,
        type_rule=_reduced_type(name, accepts),
        evaluate=evaluate,
        jvp=jvp,
        transpose=transpose,
        batch=_batch(name),
        lower=_lower(kind),
        samples=_samples(accepts, **params),
    )


def _wide(function: str):
    """Evaluation by NumPy's reduction; the 16-bit floats accumulate in float32."""

    def evaluate(xp: Any, x: Any, *, axes: tuple[int, ...]) -> Any:
        dtype = dtypes.compute_dtype(x.dtype)
        with np.errstate(all="ignore"):
            return getattr(xp, function)(x, axis=axes, dtype=dtype).astype(x.dtype)

    return evaluate


def _spread(x: Any, shape: Sequence[int], axes: Sequence[int]) -> Any:
    """A reduced array spread over the axes that it was reduced over."""
    return ops.broadcast_in_dim(x, shape, _kept(len(shape), axes))


reduce_sum_p = _define(
    "reduce_sum",
    _wide("sum"),
    "add",
    _NUMERIC,
    linear_jvp("reduce_sum"),
    transpose_linear(lambda ct, t, *, axes: _spread(ct, t.shape, axes)),
)


def _prod_jvp(primals: Sequence[Any], tangents: Sequence[Any], *, axes: tuple[int, ...]) -> tuple[Any, Any]:
    """The product rule along a tree of pairs: right where elements are zero, and to any order."""
    (x,), (t,) = primals, tangents
    out = ops.reduce_prod(x, axes)
    if t.__class__ is Zero:
        return out, Zero(type_of(out).tangent())
    shape = type_of(x).shape
    kept, count = _kept(len(shape), axes), ops.size_of(shape, axes)
    rows = [shape[d] for d in kept]
    if count == 0:
        return out, Zero(type_of(out).tangent())
    axis = len(rows)

    def along_last(value: Any) -> Any:
        return ops.reshape(ops.transpose(value, [*kept, *axes]), (*rows, count))

    def part(value: Any, start: int, limit: int) -> Any:
        return ops.slice_in_dim(value, start, limit, axis=axis)

    x, t = along_last(x), along_last(t)
    while count > 1:
        half, odd = divmod(count, 2)
        left, right = part(x, 0, half), part(x, half, 2 * half)
        tangent = ops.add(ops.mul(part(t, 0, half), right), ops.mul(left, part(t, half, 2 * half)))
        product = ops.mul(left, right)
        if odd:
            product = ops.concatenate([product, part(x, count - 1, count)], axis)
            tangent = ops.concatenate([tangent, part(t, count - 1, count)], axis)
        x, t, count = product, tangent, half + odd
    return out, ops.reshape(t, rows)


reduce_prod_p = _define("reduce_prod", _wide("prod"), "mul", _NUMERIC, _prod_jvp)


def _extreme(function: str, start: Callable[[np.dtype], Any]):
    def evaluate(xp: Any, x: Any, *, axes: tuple[int, ...]) -> Any:
        with np.errstate(all="ignore"):
            return getattr(xp, function)(x, axis=axes, initial=start(x.dtype))

    return evaluate


def lowest(dtype: np.dtype) -> Any:
    """The start of a maximum: minus infinity, or the smallest number."""
    if dtypes.is_bool(dtype):
        return False
    if dtypes.is_complex(dtype):
        return complex(-np.inf, -np.inf)
    return -np.inf if dtypes.is_float(dtype) else np.iinfo(dtype).min


def highest(dtype: np.dtype) -> Any:
    """The start of a minimum: infinity, or the largest number."""
    if dtypes.is_bool(dtype):
        return True
    if dtypes.is_complex(dtype):
        return complex(np.inf, np.inf)
    return np.inf if dtypes.is_float(dtype) else np.iinfo(dtype).max


def _extreme_jvp(name: str):
    def jvp(primals: Sequence[Any], tangents: Sequence[Any], *, axes: tuple[int, ...]) -> tuple[Any, Any]:
        """The mean tangent of the elements that are the extreme one."""
        (x,), (t,) = primals, tangents
        out = ops.apply(name, x, axes=axes)
        if t.__class__ is Zero:
            return out, Zero(type_of(out).tangent())
        shape, dtype = type_of(x).shape, type_of(t).dtype
        chosen = ops.convert(ops.eq(x, _spread(out, shape, axes)), dtype)
        return out, ops.div(ops.reduce_sum(ops.mul(t, chosen), axes), ops.reduce_sum(chosen, axes))

    return jvp


reduce_max_p = _define("reduce_max", _extreme("max", lowest), "max", dtypes.ALL, _extreme_jvp("reduce_max"))
reduce_min_p = _define("reduce_min", _extreme("min", highest), "min", dtypes.ALL, _extreme_jvp("reduce_min"))
_BITS = (dtypes.bool_, *dtypes.INTEGERS)
reduce_and_p = _define(
    "reduce_and",
    lambda xp, x, *, axes: xp.bitwise_and.reduce(x, axis=axes),
    "and",
    _BITS,
    zero_jvp("reduce_and"),
)
reduce_or_p = _define(
    "reduce_or", lambda xp, x, *, axes: xp.bitwise_or.reduce(x, axis=axes), "or", _BITS, zero_jvp("reduce_or")
)


def _position(function: str):
    def evaluate(xp: Any, x: Any, *, axes: tuple[int, ...], index_dtype: np.dtype) -> Any:
        if x.dtype == dtypes.bfloat16:
            x = x.astype(np.float32)
        return xp.asarray(getattr(xp, function)(x, axis=axes[0])).astype(index_dtype)

    return evaluate


_ORDERED = (dtypes.bool_, *dtypes.INTEGERS, *dtypes.FLOATS)
argmax_p = _define(
    "argmax",
    _position("argmax"),
    "argmax",
    _ORDERED,
    zero_jvp("argmax"),
    index_dtype=dtypes.int64,
    moving=False,
)
argmin_p = _define(
    "argmin",
    _position("argmin"),
    "argmin",
    _ORDERED,
    zero_jvp("argmin"),
    index_dtype=dtypes.int64,
    moving=False,
)

"""Slices at computed positions: dynamic_slice and dynamic_update_slice.

One scalar start per axis, moved so that the slice is inside the operand, as in XLA. Batched starts make a
gather or a scatter of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from funcgrad import dtypes
from funcgrad.errors import DTypeError, ShapeError
from funcgrad.ir import expr as E
from funcgrad.ir.primitive import PRIMITIVES, Primitive, Sample, Zero
from funcgrad.ir.types import ArrayType, array_type
from funcgrad.prims.indexing import (
    GatherDimensionNumbers,
    GatherScatterMode,
    ScatterDimensionNumbers,
    out_of_bounds,
)
from funcgrad.prims.registry import is_linear
from funcgrad.prims.samples import draw, draw_integers
from funcgrad.trace import ops
from funcgrad.trace.core import type_of


def _check_starts(name: str, operand: ArrayType, starts: Sequence[ArrayType], sizes: Sequence[int]) -> None:
    if len(starts) != operand.ndim or len(sizes) != operand.ndim:
        raise ShapeError(
            f"{name} of {operand} needs a start and a size for each axis, got {len(starts)}, {len(sizes)}"
        )
    for t in starts:
        if t.shape or not dtypes.is_integer(t.dtype):
            raise DTypeError(f"{name}: starts are integer scalars, got {t}", hint="use .astype(int)")
    if any(not 0 <= s <= n for s, n in zip(sizes, operand.shape)):
        raise ShapeError(
            f"{name}: a slice of sizes {tuple(sizes)} does not fit into {operand}",
            hint="each size is at most the length of its axis",
        )


def _dynamic_slice_type(operand: ArrayType, *starts: ArrayType, slice_sizes: tuple[int, ...]) -> ArrayType:
    _check_starts("dynamic_slice", operand, starts, slice_sizes)
    return array_type(tuple(slice_sizes), operand.dtype, operand.weak)


def _region(shape: Sequence[int], starts: Sequence[Any], sizes: Sequence[int]) -> tuple[slice, ...]:
    begins = [min(max(int(s), 0), n - size) for s, n, size in zip(starts, shape, sizes)]
    return tuple([slice(b, b + size) for b, size in zip(begins, sizes)])


def _dynamic_slice_jvp(primals: Sequence[Any], tangents: Sequence[Any], **params: Any) -> tuple[Any, Any]:
    out = ops.apply("dynamic_slice", *primals, **params)
    if tangents[0].__class__ is Zero:
        return out, Zero(type_of(out).tangent())
    return out, ops.apply("dynamic_slice", tangents[0], *primals[1:], **params)


def _dynamic_slice_transpose(ct: Any, operand: Any, *starts: Any, slice_sizes: tuple[int, ...]) -> list[Any]:
    return [ops.dynamic_update_slice(ops.zeros(operand.type), ct, starts)] + [None] * len(starts)


def _index_vectors(starts: Sequence[Any], axes: Sequence[int | None], size: int) -> Any:
    """Batched starts as index vectors, of shape (size, number of starts)."""
    columns = []
    for start, axis in zip(starts, axes):
        start = ops.convert(start, dtypes.int64)
        columns.append(ops.broadcast_in_dim(start, (size, 1), () if axis is None else (0,)))
    return ops.concatenate(columns, 1) if columns else ops.full((size, 0), 0, dtypes.int64)


def _dynamic_slice_batch(
    size: int, operands: Sequence[Any], axes: Sequence[int | None], /, *, slice_sizes: tuple[int, ...]
):
    (operand, *starts), (oa, *sa) = operands, axes
    if all(a is None for a in sa):
        assert oa is not None
        zero = np.int64(0)
        starts = [ops.convert(s, dtypes.int64) for s in starts]
        return ops.dynamic_slice(ops.moveaxis(operand, oa, 0), [zero, *starts], (size, *slice_sizes)), 0
    everything = tuple(range(len(slice_sizes)))
    numbers = GatherDimensionNumbers(everything, (), everything)
    params = {
        "dimension_numbers": numbers,
        "slice_sizes": slice_sizes,
        "unique_indices": True,
        "indices_are_sorted": True,
        "mode": GatherScatterMode.CLIP,
        "fill_value": None,
    }
    return PRIMITIVES["gather"].batch(size, [operand, _index_vectors(starts, sa, size)], [oa, 0], **params)


def _start_hazards(operand: Any, sizes: Sequence[int], starts: Sequence[Any]):
    return out_of_bounds(type_of(operand).shape, [(s, d, n) for d, (s, n) in enumerate(zip(starts, sizes))])


def _lower_starts(operand: ArrayType, sizes: Sequence[int], first: int) -> list[E.Index]:
    return [
        E.from_scalar(E.Read(first + d, ())).clamp(0, n - s)
        for d, (n, s) in enumerate(zip(operand.shape, sizes))
    ]


def _dynamic_slice_samples() -> Iterable[Sample]:
    for dtype in (dtypes.float32, dtypes.int32, dtypes.bfloat16, dtypes.complex64, dtypes.bool_):
        starts = (draw_integers(-1, 4), draw_integers(-1, 4))
        moving = (0,) if dtypes.is_inexact(dtype) else ()
        yield Sample((draw(4, 5, dtype=dtype), *starts), {"slice_sizes": (2, 3)}, moving, dtypes.name(dtype))
    yield Sample((draw(4), draw_integers(0, 4, dtype=dtypes.int64)), {"slice_sizes": (0,)}, (0,))
    yield Sample((draw(),), {"slice_sizes": ()}, (0,))


dynamic_slice_p = Primitive(
    name="dynamic_slice",
    type_rule=_dynamic_slice_type,
    evaluate=lambda xp, operand, *starts, slice_sizes: operand[_region(operand.shape, starts, slice_sizes)],
    jvp=_dynamic_slice_jvp,
    transpose=_dynamic_slice_transpose,
    batch=_dynamic_slice_batch,
    lower=lambda in_types, out_types, *, slice_sizes: E.Map(
        E.Read(0, tuple([E.axis(d) + s for d, s in enumerate(_lower_starts(in_types[0], slice_sizes, 1))]))
    ),
    samples=_dynamic_slice_samples,
    hazards=lambda operand, *starts, slice_sizes: _start_hazards(operand, slice_sizes, starts),
)


def _update_slice_type(operand: ArrayType, update: ArrayType, *starts: ArrayType) -> ArrayType:
    if operand.dtype != update.dtype:
        raise DTypeError(f"dynamic_update_slice of {update} into {operand}: dtypes differ")
    _check_starts("dynamic_update_slice", operand, starts, update.shape)
    return operand


def _evaluate_update_slice(xp: Any, operand: Any, update: Any, *starts: Any) -> Any:
    result = xp.array(operand)
    result[_region(operand.shape, starts, update.shape)] = update
    return result


def _update_slice_jvp(primals: Sequence[Any], tangents: Sequence[Any]) -> tuple[Any, Any]:
    out = ops.apply("dynamic_update_slice", *primals)
    to, tu, *_ = tangents
    if to.__class__ is Zero and tu.__class__ is Zero:
        return out, Zero(type_of(out).tangent())
    return out, ops.dynamic_update_slice(ops.materialize(to), ops.materialize(tu), primals[2:])


def _update_slice_transpose(ct: Any, operand: Any, update: Any, *starts: Any) -> list[Any]:
    t = update.type if is_linear(update) else type_of(update)
    to_operand = to_update = None
    if is_linear(operand):
        to_operand = ops.dynamic_update_slice(ct, ops.full(t.shape, 0, type_of(ct).dtype), starts)
    if is_linear(update):
        to_update = ops.dynamic_slice(ct, starts, t.shape)
    return [to_operand, to_update] + [None] * len(starts)


def _update_slice_batch(size: int, operands: Sequence[Any], axes: Sequence[int | None], /):
    (operand, update, *starts), (oa, ua, *sa) = operands, axes
    everything = tuple(range(len(starts)))
    params = {
        "dimension_numbers": ScatterDimensionNumbers(everything, (), everything),
        "unique_indices": True,
        "indices_are_sorted": True,
        "mode": GatherScatterMode.CLIP,
    }
    indices = _index_vectors(starts, sa, size)
    return PRIMITIVES["scatter"].batch(size, [operand, indices, update], [oa, 0, ua], **params)


def _update_slice_samples() -> Iterable[Sample]:
    for dtype in (dtypes.float32, dtypes.int32, dtypes.bfloat16, dtypes.complex64, dtypes.bool_):
        starts = (draw_integers(-1, 4), draw_integers(-1, 4))
        moving = (0, 1) if dtypes.is_inexact(dtype) else ()
        yield Sample(
            (draw(4, 5, dtype=dtype), draw(2, 3, dtype=dtype), *starts), {}, moving, dtypes.name(dtype)
        )


dynamic_update_slice_p = Primitive(
    name="dynamic_update_slice",
    type_rule=_update_slice_type,
    evaluate=_evaluate_update_slice,
    jvp=_update_slice_jvp,
    transpose=_update_slice_transpose,
    batch=_update_slice_batch,
    lower=lambda in_types, out_types: E.Scatter(
        "set",
        0,
        in_types[1].shape,
        tuple([E.axis(d) + s for d, s in enumerate(_lower_starts(in_types[0], in_types[1].shape, 2))]),
        E.Read(1, E.axes(in_types[1].ndim)),
    ),
    samples=_update_slice_samples,
    hazards=lambda operand, update, *starts: _start_hazards(operand, type_of(update).shape, starts),
)

"""Primitives that move elements without computing with them: broadcast, reshape, transpose, reverse, pad,
concatenate, slice.

Names and parameters are those of JAX's lax. All are linear in their operands, so that each derivative is the
operation itself, and each transpose is another operation of this family.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from funcgrad import dtypes
from funcgrad.errors import AxisError, DTypeError, ShapeError
from funcgrad.ir import expr
from funcgrad.ir.graph import Equation
from funcgrad.ir.primitive import Primitive, Sample, Zero
from funcgrad.ir.types import ArrayType, array_type
from funcgrad.prims.registry import (
    batch_by_moving_first,
    defined_by,
    is_linear,
    keeps_type,
    linear_jvp,
    transpose_linear,
)
from funcgrad.prims.samples import draw
from funcgrad.trace import ops
from funcgrad.trace.core import type_of


def check_axes(name: str, operand: ArrayType, axes: Sequence[int]) -> None:
    """Raise AxisError unless `axes` are distinct axes of `operand`, counted from the front."""
    for axis in axes:
        if not 0 <= axis < operand.ndim:
            raise AxisError(
                f"{name}: axis {axis} is not one of the {operand.ndim} axes of {operand}",
                hint=f"use axes from 0 to {operand.ndim - 1}" if operand.ndim else "the operand is a scalar",
            )
    if len(set(axes)) != len(axes):
        raise AxisError(f"{name}: {tuple(axes)} names an axis of {operand} twice", hint="name each axis once")


def _check_rank(name: str, operand: ArrayType, what: str, values: Sequence[Any]) -> None:
    if len(values) != operand.ndim:
        raise ShapeError(
            f"{name}: {what} has {len(values)} entries for the {operand.ndim} axes of {operand}",
            hint=f"give one entry of {what} for each axis",
        )


# broadcast_in_dim: operand axis i becomes axis broadcast_dimensions[i]; length 1 may grow.
def _broadcast_type(operand: ArrayType, *, shape: tuple[int, ...], broadcast_dimensions: tuple[int, ...]):
    _check_rank("broadcast_in_dim", operand, "broadcast_dimensions", broadcast_dimensions)
    increasing = all(a < b for a, b in itertools.pairwise(broadcast_dimensions))
    if not increasing or any(not 0 <= d < len(shape) for d in broadcast_dimensions):
        raise AxisError(
            f"broadcast_in_dim: broadcast_dimensions {broadcast_dimensions} are not increasing axes of the "
            f"result, of shape {shape}",
            hint="transpose the operand first where its axes should change their order",
        )
    for axis, (length, d) in enumerate(zip(operand.shape, broadcast_dimensions)):
        if length not in (1, shape[d]):
            raise ShapeError(
                f"broadcast_in_dim: axis {axis} of {operand} has length {length} and cannot become axis {d} of "
                f"shape {shape}",
                hint="an axis keeps its length, or grows from 1",
            )
    return operand.with_shape(shape)


def _evaluate_broadcast(xp: Any, x: Any, *, shape: tuple[int, ...], broadcast_dimensions: tuple[int, ...]):
    """A view in which repeated elements are one in memory; nothing is copied."""
    x = xp.asarray(x)
    strides = [0] * len(shape)
    for length, stride, d in zip(x.shape, x.strides, broadcast_dimensions):
        strides[d] = stride if length != 1 else 0
    return xp.lib.stride_tricks.as_strided(x, shape, strides) if xp is not np else _view(x, shape, strides)


def _view(x: np.ndarray, shape: Sequence[int], strides: Sequence[int]) -> np.ndarray:
    """`as_strided`, at a tenth of its price where the elements are in one piece of memory."""
    if x.size and x.flags.c_contiguous and x.dtype.kind in "biufc" and x.dtype.isbuiltin == 1:
        return np.ndarray(shape, x.dtype, x, 0, strides)
    return np.lib.stride_tricks.as_strided(x, shape, strides)


def _transpose_broadcast(
    ct: Any, operand: ArrayType, *, shape: tuple[int, ...], broadcast_dimensions: tuple[int, ...]
) -> Any:
    kept = {d for length, d in zip(operand.shape, broadcast_dimensions) if length == shape[d]}
    return ops.reshape(ops.reduce_sum(ct, [d for d in range(len(shape)) if d not in kept]), operand.shape)


def _batch_broadcast(
    size: int,
    operands: Sequence[Any],
    axes: Sequence[int],
    *,
    shape: tuple[int, ...],
    broadcast_dimensions: tuple[int, ...],
):
    moved = ops.moveaxis(operands[0], axes[0], 0)
    return ops.broadcast_in_dim(moved, (size, *shape), (0, *(d + 1 for d in broadcast_dimensions))), 0


def _lower_broadcast(in_types, out_types, *, shape, broadcast_dimensions):
    index = [
        expr.axis(d) if shape[d] == length else expr.Index(0)
        for length, d in zip(in_types[0].shape, broadcast_dimensions)
    ]
    return expr.Map(expr.Read(0, tuple(index)))


def _broadcast_samples() -> Iterable[Sample]:
    def sample(operand: Any, shape: tuple[int, ...], *where: int) -> Sample:
        return Sample((operand,), {"shape": shape, "broadcast_dimensions": where})

    yield sample(draw(), (2, 3))
    yield sample(draw(3), (2, 3), 1)
    yield sample(draw(3), (3, 2), 0)
    yield sample(draw(1, 3), (2, 4, 3), 0, 2)
    yield sample(draw(1, 1), (1, 5), 0, 1)
    yield sample(draw(3), (0, 3), 1)
    yield sample(draw(1), (0,), 0)
    yield sample(draw(2, 3, 1), (2, 3, 2), 0, 1, 2)
    yield sample(draw(2, dtype=dtypes.bool_), (2, 2), 0)


def _again(equation: Equation, inner: Equation, **params: Any) -> Equation:
    """The equation on the operand of the one before it, with both effects in its parameters."""
    return Equation(equation.primitive, inner.inputs, equation.outputs, params, equation.source)


def _simplify_broadcast(equation: Equation, definitions: Any) -> Any:
    (x,) = equation.inputs
    if keeps_type(equation, x):
        return [x]
    inner = defined_by("broadcast_in_dim", x, definitions)
    if inner is None:
        return None
    outer = equation.params["broadcast_dimensions"]
    through = tuple([outer[d] for d in inner.params["broadcast_dimensions"]])
    return _again(equation, inner, shape=equation.params["shape"], broadcast_dimensions=through)


broadcast_in_dim_p = Primitive(
    name="broadcast_in_dim",
    type_rule=_broadcast_type,
    evaluate=_evaluate_broadcast,
    jvp=linear_jvp("broadcast_in_dim"),
    transpose=transpose_linear(_transpose_broadcast),
    batch=_batch_broadcast,
    lower=_lower_broadcast,
    simplify=_simplify_broadcast,
    samples=_broadcast_samples,
)


# reshape
def _reshape_type(operand: ArrayType, *, new_sizes: tuple[int, ...]) -> ArrayType:
    if math.prod(new_sizes) != operand.size or any(n < 0 for n in new_sizes):
        raise ShapeError(
            f"reshape: {operand} has {operand.size} elements, shape {new_sizes} has {math.prod(new_sizes)}",
            hint="the number of elements stays; funcgrad.numpy.reshape works out one length given as -1",
        )
    return operand.with_shape(new_sizes)


def _lower_reshape(in_types, out_types, *, new_sizes):
    return expr.Map(
        expr.Read(0, expr.reshape_indices(expr.axes(len(new_sizes)), new_sizes, in_types[0].shape))
    )


def _reshape_samples() -> Iterable[Sample]:
    for old, new in [
        ((), ()),
        ((), (1, 1)),
        ((1,), ()),
        ((6,), (2, 3)),
        ((2, 3), (3, 2)),
        ((2, 3, 4), (4, 6)),
        ((2, 1, 3), (2, 3)),
        ((0, 3), (5, 0)),
    ]:
        yield Sample((draw(*old),), {"new_sizes": new})
    yield Sample((draw(4, dtype=dtypes.int8),), {"new_sizes": (2, 2)})


def _simplify_reshape(equation: Equation, definitions: Any) -> Any:
    (x,) = equation.inputs
    if keeps_type(equation, x):
        return [x]
    inner = defined_by("reshape", x, definitions)
    return None if inner is None else _again(equation, inner, **equation.params)


reshape_p = Primitive(
    name="reshape",
    type_rule=_reshape_type,
    evaluate=lambda xp, x, *, new_sizes: xp.reshape(x, new_sizes),
    jvp=linear_jvp("reshape"),
    transpose=transpose_linear(lambda ct, operand, *, new_sizes: ops.reshape(ct, operand.shape)),
    batch=batch_by_moving_first(
        "reshape", lambda x, *, new_sizes: ops.reshape(x, (type_of(x).shape[0], *new_sizes))
    ),
    lower=_lower_reshape,
    simplify=_simplify_reshape,
    samples=_reshape_samples,
)


# transpose: output axis i is operand axis permutation[i].
def _transpose_type(operand: ArrayType, *, permutation: tuple[int, ...]) -> ArrayType:
    if sorted(permutation) != list(range(operand.ndim)):
        raise AxisError(
            f"transpose: {permutation} is not a permutation of the {operand.ndim} axes of {operand}",
            hint=f"name each axis from 0 to {operand.ndim - 1} once"
            if operand.ndim
            else "the operand is a scalar",
        )
    return operand.with_shape(tuple([operand.shape[p] for p in permutation]))


def inverse(permutation: Sequence[int]) -> tuple[int, ...]:
    """The permutation that undoes `permutation`."""
    return tuple(sorted(range(len(permutation)), key=permutation.__getitem__))


def _transpose_samples() -> Iterable[Sample]:
    for shape, permutation in [
        ((), ()),
        ((3,), (0,)),
        ((2, 3), (1, 0)),
        ((2, 3, 4), (1, 2, 0)),
        ((2, 1, 4), (2, 0, 1)),
        ((0, 3), (1, 0)),
    ]:
        yield Sample((draw(*shape),), {"permutation": permutation})
    yield Sample((draw(2, 3, dtype=dtypes.uint16),), {"permutation": (1, 0)})


def _simplify_transpose(equation: Equation, definitions: Any) -> Any:
    (x,) = equation.inputs
    permutation = equation.params["permutation"]
    if permutation == tuple(range(len(permutation))):
        return [x]
    inner = defined_by("transpose", x, definitions)
    if inner is None:
        return None
    together = tuple([inner.params["permutation"][p] for p in permutation])
    if together == tuple(range(len(together))):
        return [inner.inputs[0]]
    return _again(equation, inner, permutation=together)


transpose_p = Primitive(
    name="transpose",
    type_rule=_transpose_type,
    evaluate=lambda xp, x, *, permutation: xp.transpose(x, permutation),
    jvp=linear_jvp("transpose"),
    transpose=transpose_linear(lambda ct, operand, *, permutation: ops.transpose(ct, inverse(permutation))),
    batch=batch_by_moving_first(
        "transpose", lambda x, *, permutation: ops.transpose(x, (0, *(p + 1 for p in permutation)))
    ),
    lower=lambda in_types, out_types, *, permutation: expr.Map(
        expr.Read(0, tuple(expr.axis(p) for p in inverse(permutation)))
    ),
    simplify=_simplify_transpose,
    samples=_transpose_samples,
)


# rev
def _rev_type(operand: ArrayType, *, dimensions: tuple[int, ...]) -> ArrayType:
    check_axes("rev", operand, dimensions)
    return operand


def _lower_rev(in_types, out_types, *, dimensions):
    index = [
        (length - 1) - expr.axis(d) if d in dimensions else expr.axis(d)
        for d, length in enumerate(in_types[0].shape)
    ]
    return expr.Map(expr.Read(0, tuple(index)))


def _rev_samples() -> Iterable[Sample]:
    for shape, dimensions in [
        ((), ()),
        ((5,), (0,)),
        ((2, 3), (0, 1)),
        ((2, 3, 1), (1,)),
        ((0, 2), (0,)),
    ]:
        yield Sample((draw(*shape),), {"dimensions": dimensions})


rev_p = Primitive(
    name="rev",
    type_rule=_rev_type,
    evaluate=lambda xp, x, *, dimensions: xp.flip(x, dimensions),
    jvp=linear_jvp("rev"),
    transpose=transpose_linear(lambda ct, operand, *, dimensions: ops.rev(ct, dimensions)),
    batch=batch_by_moving_first("rev", lambda x, *, dimensions: ops.rev(x, [d + 1 for d in dimensions])),
    lower=_lower_rev,
    samples=_rev_samples,
)


# pad: (low, high, interior) for each axis; negative low and high crop.
PaddingConfig = tuple[tuple[int, int, int], ...]


def dilated(length: int, interior: int) -> int:
    """The length of an axis with `interior` elements put in between each two neighbours."""
    return length + max(length - 1, 0) * interior


def _pad_type(operand: ArrayType, value: ArrayType, *, padding_config: PaddingConfig) -> ArrayType:
    _check_rank("pad", operand, "padding_config", padding_config)
    if operand.dtype != value.dtype:
        raise DTypeError(
            f"pad takes a padding value of the operand's dtype, got {operand} and {value}",
            hint="convert the padding value with .astype(...)",
        )
    if value.shape:
        raise ShapeError(
            f"pad takes a scalar as padding value, got {value}", hint="index it, or pad by parts"
        )
    shape = []
    for axis, (length, (low, high, interior)) in enumerate(zip(operand.shape, padding_config)):
        result = low + dilated(length, interior) + high
        if interior < 0 or result < 0:
            raise ShapeError(
                f"pad: ({low}, {high}, {interior}) on axis {axis} of {operand} "
                + ("has negative interior padding" if interior < 0 else f"would leave length {result}"),
                hint="crop no more elements than there are",
            )
        shape.append(result)
    return array_type(tuple(shape), operand.dtype, operand.weak and value.weak)


def _evaluate_pad(xp: Any, x: Any, value: Any, *, padding_config: PaddingConfig) -> Any:
    source, target, shape = [], [], []
    for length, (low, high, interior) in zip(x.shape, padding_config):
        step = interior + 1
        result = low + dilated(length, interior) + high
        first = max(-(low // step), 0)  # the first and the number of the elements that are not cropped
        count = max(min(length, (result - 1 - low) // step + 1) - first, 0) if result else 0
        start = low + first * step
        source.append(slice(first, first + count))
        target.append(slice(start, start + (count - 1) * step + 1, step) if count else slice(0, 0))
        shape.append(result)
    out = xp.full(tuple(shape), value, x.dtype)
    out[tuple(target)] = x[tuple(source)]
    return out


def _pad_jvp(primals: Sequence[Any], tangents: Sequence[Any], *, padding_config: PaddingConfig):
    (x, value), (x_tangent, value_tangent) = primals, tangents
    out = ops.pad(x, value, padding_config)
    if x_tangent.__class__ is Zero and value_tangent.__class__ is Zero:
        return out, Zero(type_of(out).tangent())
    return out, ops.pad(ops.materialize(x_tangent), ops.materialize(value_tangent), padding_config)


def _transpose_pad(ct: Any, operand: Any, value: Any, *, padding_config: PaddingConfig) -> list[Any]:
    if ct.__class__ is Zero:
        return [Zero(x.type) if is_linear(x) else None for x in (operand, value)]
    shape = (operand.type if is_linear(operand) else type_of(operand)).shape
    pulled: list[Any] = [None, None]
    if is_linear(operand):
        inner = ops.pad(ct, 0, [(-low, -high, 0) for low, high, _ in padding_config])
        limits = type_of(inner).shape
        pulled[0] = ops.slice_(inner, [0] * len(shape), limits, [i + 1 for _, _, i in padding_config])
    if is_linear(value):
        padding = ops.pad(ops.full(shape, False, dtypes.bool_), True, padding_config)
        outside = ops.select(padding, ct, ops.full_like(ct, 0))
        pulled[1] = ops.reduce_sum(outside, range(len(shape)))
    return pulled


def _batch_pad(
    size: int, operands: Sequence[Any], axes: Sequence[int | None], *, padding_config: PaddingConfig
):
    (x, value), (axis, value_axis) = operands, axes
    if axis is None:
        x = ops.broadcast_in_dim(x, (size, *type_of(x).shape), range(1, type_of(x).ndim + 1))
    else:
        x = ops.moveaxis(x, axis, 0)
    config = ((0, 0, 0), *padding_config)
    if value_axis is None:
        return ops.pad(x, value, config), 0
    padding = ops.pad(ops.full(type_of(x).shape, False, dtypes.bool_), True, config)
    padded = ops.pad(x, type_of(x).dtype.type(0), config)
    return ops.select(padding, ops.broadcast_in_dim(value, type_of(padded).shape, (0,)), padded), 0


def _pad_samples() -> Iterable[Sample]:
    for shape, config in [
        ((), ()),
        ((3,), ((1, 2, 0),)),
        ((3,), ((-1, 1, 0),)),
        ((4,), ((2, -3, 2),)),
        ((3,), ((-4, 0, 3),)),
        ((1,), ((0, 0, 2),)),
        ((2,), ((-1, -1, 0),)),
        ((0,), ((1, 1, 2),)),
        ((2, 3), ((1, 0, 1), (0, -1, 0))),
        ((2, 0, 1), ((0, 0, 0), (1, 0, 0), (0, 1, 0))),
    ]:
        yield Sample((draw(*shape), draw()), {"padding_config": config})
    integers = (draw(3, dtype=dtypes.int32), draw(dtype=dtypes.int32))
    yield Sample(integers, {"padding_config": ((1, 1, 1),)})


def _lower_pad(in_types, out_types, *, padding_config):
    index, inside = [], []
    for d, ((low, _, interior), length) in enumerate(zip(padding_config, in_types[0].shape)):
        place = expr.axis(d) - low
        inside.append((place, 0, length + interior * max(length - 1, 0)))
        if interior:
            inside.append((place % (interior + 1), 0, 1))
        index.append(place // (interior + 1))
    return expr.Map(expr.Guard(tuple(inside), expr.Read(0, tuple(index)), expr.Read(1, ())))


pad_p = Primitive(
    name="pad",
    type_rule=_pad_type,
    evaluate=_evaluate_pad,
    jvp=_pad_jvp,
    transpose=_transpose_pad,
    batch=_batch_pad,
    lower=_lower_pad,
    samples=_pad_samples,
)


# concatenate
def _concatenate_type(*operands: ArrayType, dimension: int) -> ArrayType:
    if not operands:
        raise ShapeError("concatenate takes at least one operand", hint="an empty list has no dtype")
    first = operands[0]
    printed = ", ".join(map(str, operands))
    check_axes("concatenate", first, (dimension,))
    for t in operands:
        if t.dtype != first.dtype:
            raise DTypeError(
                f"concatenate takes operands of one dtype, got {printed}",
                hint="convert them with .astype(...), or use funcgrad.numpy.concatenate, which promotes",
            )
        rest = t.shape[:dimension] + t.shape[dimension + 1 :]
        if t.ndim != first.ndim or rest != first.shape[:dimension] + first.shape[dimension + 1 :]:
            raise ShapeError(
                f"concatenate: operands differ in more than axis {dimension}: {printed}",
                hint="only the lengths of the axis along which they are joined may differ",
            )
    shape = list(first.shape)
    shape[dimension] = sum(t.shape[dimension] for t in operands)
    return array_type(tuple(shape), first.dtype, all(t.weak for t in operands))


def _concatenate_jvp(primals: Sequence[Any], tangents: Sequence[Any], *, dimension: int):
    out = ops.concatenate(primals, dimension)
    if all(t.__class__ is Zero for t in tangents):
        return out, Zero(type_of(out).tangent())
    return out, ops.concatenate([ops.materialize(t) for t in tangents], dimension)


def _transpose_concatenate(ct: Any, *operands: Any, dimension: int) -> list[Any]:
    pulled: list[Any] = []
    start = 0
    for x in operands:
        limit = start + (x.type if is_linear(x) else type_of(x)).shape[dimension]
        if not is_linear(x):
            pulled.append(None)
        elif ct.__class__ is Zero:
            pulled.append(Zero(x.type))
        else:
            pulled.append(ops.slice_in_dim(ct, start, limit, axis=dimension))
        start = limit
    return pulled


def _batch_concatenate(size: int, operands: Sequence[Any], axes: Sequence[int | None], *, dimension: int):
    moved = [
        ops.broadcast_in_dim(x, (size, *type_of(x).shape), range(1, type_of(x).ndim + 1))
        if a is None
        else ops.moveaxis(x, a, 0)
        for x, a in zip(operands, axes)
    ]
    return ops.concatenate(moved, dimension + 1), 0


def _lower_concatenate(in_types, out_types, *, dimension):
    result: expr.Expr | None = None
    end = sum(t.shape[dimension] for t in in_types)
    for number, t in reversed(list(enumerate(in_types))):
        end -= t.shape[dimension]
        index = list(expr.axes(t.ndim))
        index[dimension] = index[dimension] - end
        part = expr.Read(number, tuple(index))
        bounds = ((index[dimension], 0, t.shape[dimension]),)
        result = part if result is None else expr.Guard(bounds, part, result)
    assert result is not None, "concatenate has at least one operand"
    return expr.Map(result)


def _concatenate_samples() -> Iterable[Sample]:
    for shapes, dimension in [
        (((3,), (2,)), 0),
        (((3,),), 0),
        (((1,), (0,), (4,)), 0),
        (((2, 3), (2, 1)), 1),
        (((1, 3), (2, 3)), 0),
        (((2, 1, 2), (2, 3, 2), (2, 2, 2)), 1),
        (((0, 2), (0, 3)), 1),
    ]:
        yield Sample(tuple(draw(*s) for s in shapes), {"dimension": dimension})
    yield Sample((draw(2, dtype=dtypes.bool_), draw(1, dtype=dtypes.bool_)), {"dimension": 0})


concatenate_p = Primitive(
    name="concatenate",
    type_rule=_concatenate_type,
    evaluate=lambda xp, *arrays, dimension: xp.concatenate(arrays, dimension),
    jvp=_concatenate_jvp,
    transpose=_transpose_concatenate,
    batch=_batch_concatenate,
    lower=_lower_concatenate,
    samples=_concatenate_samples,
)


# slice
def _slice_type(
    operand: ArrayType,
    *,
    start_indices: tuple[int, ...],
    limit_indices: tuple[int, ...],
    strides: tuple[int, ...],
) -> ArrayType:
    for what, values in [
        ("start_indices", start_indices),
        ("limit_indices", limit_indices),
        ("strides", strides),
    ]:
        _check_rank("slice", operand, what, values)
    for axis, (length, start, limit, stride) in enumerate(
        zip(operand.shape, start_indices, limit_indices, strides)
    ):
        if not 0 <= start <= limit <= length or stride < 1:
            raise ShapeError(
                f"slice: {start}:{limit}:{stride} is not within axis {axis} of {operand}",
                hint="slice needs 0 <= start <= limit <= length and a stride of at least 1; x[a:b:c] takes any",
            )
    counts = [-((a - b) // s) for a, b, s in zip(start_indices, limit_indices, strides)]
    return operand.with_shape(tuple(counts))


def _evaluate_slice(xp: Any, x: Any, *, start_indices: Any, limit_indices: Any, strides: Any) -> Any:
    return x[tuple(map(slice, start_indices, limit_indices, strides))]


def _transpose_slice(ct: Any, operand: ArrayType, *, start_indices: Any, limit_indices: Any, strides: Any):
    config = []
    for length, count, start, stride in zip(operand.shape, type_of(ct).shape, start_indices, strides):
        config.append((start, length - start - dilated(count, stride - 1), stride - 1))
    return ops.pad(ct, 0, config)


def _batch_slice(
    size: int,
    operands: Sequence[Any],
    axes: Sequence[int],
    *,
    start_indices: Any,
    limit_indices: Any,
    strides: Any,
):
    moved = ops.moveaxis(operands[0], axes[0], 0)
    return ops.slice_(moved, (0, *start_indices), (size, *limit_indices), (1, *strides)), 0


def _lower_slice(in_types, out_types, *, start_indices, limit_indices, strides):
    index = [expr.axis(d) * stride + start for d, (start, stride) in enumerate(zip(start_indices, strides))]
    return expr.Map(expr.Read(0, tuple(index)))


def _slice_samples() -> Iterable[Sample]:
    for shape, starts, limits, strides in [
        ((), (), (), ()),
        ((5,), (1,), (4,), (1,)),
        ((5,), (0,), (5,), (2,)),
        ((7,), (1,), (6,), (3,)),
        ((5,), (2,), (2,), (1,)),
        ((0,), (0,), (0,), (1,)),
        ((3, 4), (1, 0), (3, 4), (1, 3)),
        ((2, 3, 4), (0, 1, 1), (2, 2, 4), (1, 1, 2)),
    ]:
        yield Sample((draw(*shape),), {"start_indices": starts, "limit_indices": limits, "strides": strides})


slice_p = Primitive(
    name="slice",
    type_rule=_slice_type,
    evaluate=_evaluate_slice,
    jvp=linear_jvp("slice"),
    transpose=transpose_linear(_transpose_slice),
    batch=_batch_slice,
    lower=_lower_slice,
    samples=_slice_samples,
)

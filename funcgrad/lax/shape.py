"""Operations on shapes, and creation, under the names of `jax.lax`. Owns no computation: binds primitives."""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from funcgrad import dtypes
from funcgrad.array import Array, array_of
from funcgrad.errors import ArgumentError, AxisError, DTypeError, ShapeError, boundary
from funcgrad.lax.elementwise import same_dtype
from funcgrad.promotion import broadcast_shapes as _broadcast_shapes
from funcgrad.promotion import cast, check_arrays
from funcgrad.trace import ops
from funcgrad.trace.core import PYTHON_SCALARS, type_of


def as_sizes(shape: Any, function: str) -> tuple[int, ...]:
    """A shape as a tuple of ints; ShapeError for anything else, and for negative lengths."""
    try:
        sizes = tuple(
            map(operator.index, shape if isinstance(shape, Sequence | np.ndarray | Array) else (shape,))
        )
    except TypeError:
        raise ShapeError(f"lax.{function}: {shape!r} is not a shape", hint="pass a tuple of ints") from None
    if any(n < 0 for n in sizes):
        raise ShapeError(f"lax.{function}: shape {sizes} has a negative length")
    return sizes


def normal_axis(axis: int, ndim: int, function: str) -> int:
    """`axis` counted from the front; AxisError where there is none."""
    number = operator.index(axis)
    if not -ndim <= number < ndim:
        allowed = f"its axes are {-ndim} to {ndim - 1}" if ndim else "a scalar has no axes"
        raise AxisError(f"lax.{function}: axis {number} of an array with {ndim} axes", hint=allowed)
    return number % ndim


def normal_axes(axes: Any, ndim: int, function: str) -> tuple[int, ...]:
    """Several axes, each once."""
    given = axes if isinstance(axes, Sequence | np.ndarray | Array) else (axes,)
    found = tuple([normal_axis(a, ndim, function) for a in given])
    if len(set(found)) != len(found):
        raise AxisError(f"lax.{function}: an axis is named twice in {tuple(given)}")
    return found


def _array(x: Any, function: str) -> Any:
    check_arrays(f"lax.{function}", x)
    return x


@boundary
def broadcast(operand: Any, sizes: Sequence[int]) -> Any:
    """The operand repeated along new leading axes of lengths `sizes`.

    Raises:
        DTypeError: what is no array or number.

    >>> import funcgrad.numpy as jnp
    >>> from funcgrad import lax
    >>> lax.broadcast(jnp.ones(3), (2,)).shape
    (2, 3)
    """
    shape = type_of(_array(operand, "broadcast")).shape
    return ops.broadcast_to(operand, (*as_sizes(sizes, "broadcast"), *shape))


@boundary
def broadcast_in_dim(operand: Any, shape: Sequence[int], broadcast_dimensions: Sequence[int]) -> Any:
    """The operand in `shape`: its axis i becomes `broadcast_dimensions[i]`; axes of length 1 are repeated.

    Raises:
        ShapeError: a shape to which it does not broadcast.

    >>> import funcgrad.numpy as jnp
    >>> from funcgrad import lax
    >>> lax.broadcast_in_dim(jnp.arange(2), (2, 3), (0,)).tolist()
    [[0, 0, 0], [1, 1, 1]]
    """
    t = type_of(_array(operand, "broadcast_in_dim"))
    sizes = as_sizes(shape, "broadcast_in_dim")
    dimensions = tuple(map(int, broadcast_dimensions))
    if t.shape == sizes and dimensions == tuple(range(t.ndim)):
        return operand
    if len(dimensions) == t.ndim and dimensions != (ordered := tuple(sorted(dimensions))):
        operand = ops.transpose(operand, tuple(np.argsort(dimensions).tolist()))
        dimensions = ordered
    return ops.apply("broadcast_in_dim", operand, shape=sizes, broadcast_dimensions=dimensions)


def broadcast_shapes(*shapes: Sequence[int]) -> tuple[int, ...]:
    """The shape to which arrays of these shapes broadcast."""
    return _broadcast_shapes(*[as_sizes(shape, "broadcast_shapes") for shape in shapes])


@boundary
def broadcast_to_rank(x: Any, rank: int) -> Any:
    """The array with axes of length 1 put before its own, up to `rank` axes."""
    return ops.reshape(x, (1,) * (rank - type_of(x).ndim) + type_of(x).shape)


@boundary
def reshape(operand: Any, new_sizes: Any, dimensions: Sequence[int] | None = None) -> Any:
    """The elements, in row-major order, in another shape; of the axes permuted by `dimensions` where given.

    One length may be -1, which takes what is left.

    >>> import funcgrad.numpy as jnp
    >>> from funcgrad import lax
    >>> lax.reshape(jnp.arange(6), (2, 3)).shape
    (2, 3)
    """
    t = type_of(_array(operand, "reshape"))
    if dimensions is not None:
        operand = ops.transpose(operand, normal_axes(dimensions, t.ndim, "reshape"))
    given = new_sizes if isinstance(new_sizes, Sequence | np.ndarray | Array) else (new_sizes,)
    sizes = [operator.index(n) for n in given]
    if sizes.count(-1) == 1:
        rest = math.prod(n for n in sizes if n != -1)
        if rest and t.size % rest == 0:
            sizes[sizes.index(-1)] = t.size // rest
    if any(n < 0 for n in sizes) or math.prod(sizes) != t.size:
        raise ShapeError(
            f"lax.reshape: {t} has {t.size} elements and does not fit the shape {tuple(sizes)}",
            hint="the product of the lengths has to stay the same",
        )
    return ops.reshape(operand, sizes)


@boundary
def transpose(operand: Any, permutation: Sequence[int]) -> Any:
    """The operand with its axes in the order `permutation`.

    Raises:
        AxisError: an axis that there is not.

    >>> import funcgrad.numpy as jnp
    >>> from funcgrad import lax
    >>> lax.transpose(jnp.ones((2, 3)), (1, 0)).shape
    (3, 2)
    """
    t = type_of(_array(operand, "transpose"))
    order = normal_axes(permutation, t.ndim, "transpose")
    if len(order) != t.ndim:
        raise AxisError(f"lax.transpose: {tuple(permutation)} does not name every axis of {t}")
    return ops.transpose(operand, order)


@boundary
def rev(operand: Any, dimensions: Sequence[int]) -> Any:
    """The operand with the order along `dimensions` reversed.

    Raises:
        AxisError: an axis that there is not.

    >>> import funcgrad.numpy as jnp
    >>> from funcgrad import lax
    >>> lax.rev(jnp.arange(3), (0,)).tolist()
    [2, 1, 0]
    """
    return ops.rev(operand, normal_axes(dimensions, type_of(_array(operand, "rev")).ndim, "rev"))


@boundary
def squeeze(array: Any, dimensions: Sequence[int]) -> Any:
    """The array without the axes `dimensions`, each of length 1.

    Raises:
        AxisError: an axis that there is not.

    >>> import funcgrad.numpy as jnp
    >>> from funcgrad import lax
    >>> lax.squeeze(jnp.ones((1, 3)), (0,)).shape
    (3,)
    """
    t = type_of(_array(array, "squeeze"))
    gone = normal_axes(dimensions, t.ndim, "squeeze")
    for a in gone:
        if t.shape[a] != 1:
            raise ShapeError(f"lax.squeeze: axis {a} of {t} has length {t.shape[a]}, not 1")
    return ops.reshape(array, [n for a, n in enumerate(t.shape) if a not in gone])


@boundary
def expand_dims(array: Any, dimensions: Sequence[int]) -> Any:
    """The array with axes of length 1 at the positions `dimensions` of the result.

    Raises:
        AxisError: an axis that there is not.

    >>> import funcgrad.numpy as jnp
    >>> from funcgrad import lax
    >>> lax.expand_dims(jnp.ones(3), (0, 2)).shape
    (1, 3, 1)
    """
    ndim = type_of(_array(array, "expand_dims")).ndim + len(dimensions)
    return ops.expand_dims(array, normal_axes(dimensions, ndim, "expand_dims"))


@boundary
def collapse(operand: Any, start_dimension: int, stop_dimension: int | None = None) -> Any:
    """The operand with the axes from `start_dimension` to before `stop_dimension` made one.

    >>> import funcgrad.numpy as jnp
    >>> from funcgrad import lax
    >>> lax.collapse(jnp.ones((2, 3, 4)), 1).shape
    (2, 12)
    """
    shape = type_of(_array(operand, "collapse")).shape
    start, stop, _ = slice(start_dimension, stop_dimension).indices(len(shape))
    return ops.reshape(operand, (*shape[:start], math.prod(shape[start:stop]), *shape[stop:]))


@boundary
def pad(operand: Any, padding_value: Any, padding_config: Sequence[tuple[int, int, int]]) -> Any:
    """The operand with (low, high, interior) elements put around and between, on each axis.

    Raises:
        DTypeError: what is no array or number.

    >>> import funcgrad.numpy as jnp
    >>> from funcgrad import lax
    >>> lax.pad(jnp.arange(2), 0, [(1, 2, 1)]).tolist()
    [0, 0, 0, 1, 0, 0]
    """
    operand, padding_value = same_dtype("pad", operand, padding_value)
    config = [tuple(map(operator.index, entry)) for entry in padding_config]
    t = type_of(operand)
    if len(config) != t.ndim or any(len(entry) != 3 for entry in config):
        raise ArgumentError(
            f"lax.pad: padding_config has to give (low, high, interior) for each of {t.ndim} axes of {t}, "
            f"got {padding_config!r}"
        )
    return ops.pad(operand, padding_value, config)


@boundary
def concatenate(operands: Sequence[Any], dimension: int) -> Any:
    """The operands one after the other along the axis `dimension`.

    Raises:
        ShapeError: arrays that differ along another axis.

    >>> import funcgrad.numpy as jnp
    >>> from funcgrad import lax
    >>> lax.concatenate([jnp.ones((1, 2)), jnp.zeros((1, 2))], 0).tolist()
    [[1.0, 1.0], [0.0, 0.0]]
    """
    if not operands:
        raise ArgumentError("lax.concatenate takes at least one array")
    operands = same_dtype("concatenate", *operands)
    axis = normal_axis(dimension, type_of(operands[0]).ndim, "concatenate")
    return operands[0] if len(operands) == 1 else ops.concatenate(operands, axis)


@boundary
def split(operand: Any, sizes: Sequence[int], axis: int = 0) -> list[Any]:
    """The operand cut along `axis` into pieces of these sizes.

    Raises:
        ShapeError: sizes that do not add up to the axis.

    >>> import funcgrad.numpy as jnp
    >>> from funcgrad import lax
    >>> [x.tolist() for x in lax.split(jnp.arange(3), (1, 2))]
    [[0], [1, 2]]
    """
    t = type_of(_array(operand, "split"))
    axis = normal_axis(axis, t.ndim, "split")
    if sum(sizes) != t.shape[axis]:
        raise ShapeError(f"lax.split: sizes {tuple(sizes)} do not add up to axis {axis} of {t}")
    ends = np.cumsum(sizes).tolist()
    return [ops.slice_in_dim(operand, end - n, end, 1, axis) for n, end in zip(sizes, ends)]


@boundary
def tile(operand: Any, reps: Sequence[int]) -> Any:
    """The operand repeated `reps[i]` times along axis i, whole copies one after the other."""
    shape = type_of(_array(operand, "tile")).shape
    counts = as_sizes(reps, "tile")
    if len(counts) != len(shape):
        raise ArgumentError(f"lax.tile: {len(counts)} counts for {len(shape)} axes")
    apart = [n for pair in zip(counts, shape) for n in pair]
    spread = ops.broadcast_in_dim(operand, apart, range(1, 2 * len(shape), 2))
    return ops.reshape(spread, [n * c for n, c in zip(shape, counts)])


# ---------------------------------------------------------------------------------------------- creation


@boundary
def iota(dtype: Any, size: int) -> Any:
    """0, 1, ... size - 1.

    Raises:
        DTypeError: what is no array or number.

    >>> import funcgrad.numpy as jnp
    >>> from funcgrad import lax
    >>> lax.iota(int, 3)
    Array([0, 1, 2], dtype=int64)
    """
    return ops.iota(dtypes.as_dtype(dtype), as_sizes(size, "iota"), 0)


@boundary
def broadcasted_iota(dtype: Any, shape: Sequence[int], dimension: int) -> Any:
    """The position of each element along `dimension`.

    Raises:
        AxisError: an axis that there is not.

    >>> import funcgrad.numpy as jnp
    >>> from funcgrad import lax
    >>> lax.broadcasted_iota(int, (2, 2), 1).tolist()
    [[0, 1], [0, 1]]
    """
    sizes = as_sizes(shape, "broadcasted_iota")
    return ops.iota(dtypes.as_dtype(dtype), sizes, normal_axis(dimension, len(sizes), "broadcasted_iota"))


@boundary
def full(shape: Any, fill_value: Any, dtype: Any = None) -> Any:
    """An array of `shape` filled with the scalar `fill_value`.

    >>> import funcgrad.numpy as jnp
    >>> from funcgrad import lax
    >>> lax.full((2,), 7.0)
    Array([7., 7.], dtype=float32, weak_type=True)
    """
    (t,) = check_arrays("lax.full", fill_value)
    if t.shape:
        raise ShapeError(f"lax.full takes a scalar to fill with, got {t}", hint="use funcgrad.numpy.full")
    weak = dtype is None and t.weak
    wanted = t.dtype if dtype is None else dtypes.as_dtype(dtype)
    sizes = as_sizes(shape, "full")
    if fill_value.__class__ in PYTHON_SCALARS and not weak:
        return ops.full(sizes, fill_value, wanted)
    value = ops.convert(fill_value, wanted, weak)
    if not sizes:
        return ops.convert(cast(value, wanted), wanted) if fill_value.__class__ in PYTHON_SCALARS else value
    return ops.broadcast_in_dim(value, sizes, ())


@boundary
def full_like(x: Any, fill_value: Any, dtype: Any = None, shape: Any = None, sharding: None = None) -> Any:
    """An array of the shape and dtype of `x` filled with the scalar `fill_value`.

    Raises:
        DTypeError: what is no array or number.

    >>> import funcgrad.numpy as jnp
    >>> from funcgrad import lax
    >>> lax.full_like(jnp.arange(2), 7)
    Array([7, 7], dtype=int64)
    """
    t = type_of(x)
    return full(t.shape if shape is None else shape, fill_value, t.dtype if dtype is None else dtype)


def zeros_like_array(x: Any) -> Any:
    """Zeros of the shape and dtype of `x`."""
    return full_like(x, 0)


@boundary
def zeros_like_shaped_array(aval: Any) -> Any:
    """Zeros of a ShapeDtypeStruct."""
    return ops.full(aval.shape, 0, aval.dtype)


def _require_index(x: Any, function: str) -> None:
    """DTypeError for an index that is no integer scalar."""
    (t,) = check_arrays(f"lax.{function}", x)
    if t.shape or not dtypes.is_integer(t.dtype):
        raise DTypeError(f"lax.{function}: a start index is an integer without axes, got {t}")


@boundary
def slice_(operand: Any, start_indices: Any, limit_indices: Any, strides: Any = None) -> Any:
    """The elements from `start_indices` to before `limit_indices`, by `strides`; indices are not wrapped.

    Raises:
        ShapeError: limits outside of the operand.

    >>> import funcgrad.numpy as jnp
    >>> from funcgrad import lax
    >>> lax.slice(jnp.arange(6), (1,), (6,), (2,)).tolist()
    [1, 3, 5]
    """
    t = type_of(_array(operand, "slice"))
    starts, limits = (tuple(map(operator.index, x)) for x in (start_indices, limit_indices))
    steps = (1,) * t.ndim if strides is None else tuple(map(operator.index, strides))
    if not len(starts) == len(limits) == len(steps) == t.ndim:
        raise ArgumentError(
            f"lax.slice: start_indices, limit_indices and strides need one entry per axis of {t}, got "
            f"{starts}, {limits}, {steps}"
        )
    return ops.slice_(operand, starts, limits, steps)


@boundary
def slice_in_dim(
    operand: Any, start_index: int | None, limit_index: int | None, stride: int = 1, axis: int = 0
) -> Any:
    """The elements from `start_index` to before `limit_index` along one axis; negative: from the end.

    Raises:
        AxisError: an axis that there is not.

    >>> import funcgrad.numpy as jnp
    >>> from funcgrad import lax
    >>> lax.slice_in_dim(jnp.arange(6), 1, 4).tolist()
    [1, 2, 3]
    """
    t = type_of(_array(operand, "slice_in_dim"))
    axis = normal_axis(axis, t.ndim, "slice_in_dim")
    n = t.shape[axis]
    start = 0 if start_index is None else operator.index(start_index)
    limit = n if limit_index is None else operator.index(limit_index)
    start, limit = start + n * (start < 0), limit + n * (limit < 0)
    return ops.slice_in_dim(operand, start, limit, operator.index(stride), axis)


@boundary
def index_in_dim(operand: Any, index: int, axis: int = 0, keepdims: bool = True) -> Any:
    """The element at `index` along one axis, which stays with length 1 where `keepdims`.

    Raises:
        AxisError: an axis that there is not.

    >>> import funcgrad.numpy as jnp
    >>> from funcgrad import lax
    >>> lax.index_in_dim(jnp.arange(5), 3, keepdims=False).item()
    3
    """
    t = type_of(_array(operand, "index_in_dim"))
    axis, index = normal_axis(axis, t.ndim, "index_in_dim"), operator.index(index)
    n = t.shape[axis]
    if not -n <= index < n:
        raise AxisError(f"lax.index_in_dim: index {index} is outside axis {axis} of {t}")
    one = ops.slice_in_dim(operand, index % n, index % n + 1, 1, axis)
    return one if keepdims else ops.reshape(one, t.shape[:axis] + t.shape[axis + 1 :])


# ------------------------------------------------------------------------------- slices at traced indices


def _starts(t: Any, indices: Any, function: str, negative: bool | Sequence[bool]) -> list[Any]:
    """One scalar start per axis, where negative ones count from the end if they are allowed."""
    if hasattr(indices, "shape") and len(indices.shape) == 1:
        count = indices.shape[0]
        indices = [ops.reshape(ops.slice_in_dim(indices, i, i + 1), ()) for i in range(count)]
    if len(indices) != t.ndim:
        raise ArgumentError(
            f"lax.{function}: {len(indices)} start indices for the {t.ndim} axes of {t}",
            hint="give one start for each axis; lax.dynamic_slice_in_dim takes one axis",
        )
    wraps = [negative] * t.ndim if isinstance(negative, bool) else list(negative)
    if len(wraps) != t.ndim:
        raise ArgumentError(
            f"lax.{function}: allow_negative_indices={negative!r} for the {t.ndim} axes of {t}"
        )
    starts = []
    for x, size, wrap in zip(indices, t.shape, wraps):
        _require_index(x, function)
        n = size if wrap else 0
        if isinstance(x, int):
            starts.append(dtypes.default_int().type(x + n * (x < 0)))
            continue
        own = type_of(x).dtype
        if wrap and dtypes.is_signed(own) and n <= dtypes.iinfo(own).max:
            wrapped = ops.select(ops.lt(x, own.type(0)), ops.add(x, own.type(n)), x)
            starts.append(wrapped)
        else:
            starts.append(x)
    if len({type_of(s).dtype for s in starts}) > 1:
        starts = [ops.convert(s, dtypes.default_int()) for s in starts]
    return starts


@boundary
def dynamic_slice(
    operand: Any,
    start_indices: Any,
    slice_sizes: Sequence[int],
    *,
    allow_negative_indices: bool | Sequence[bool] = True,
) -> Any:
    """A block of `slice_sizes` that begins at `start_indices` (arrays), moved so that it lies inside. Negative starts
    count from the end, unless `allow_negative_indices` (of each axis, or of all) is false: then they are moved to 0.

    >>> import funcgrad.numpy as jnp
    >>> from funcgrad import lax
    >>> lax.dynamic_slice(jnp.arange(5), (1,), (2,)).tolist()
    [1, 2]
    """
    t = type_of(_array(operand, "dynamic_slice"))
    sizes = as_sizes(slice_sizes, "dynamic_slice")
    return ops.dynamic_slice(
        operand, _starts(t, start_indices, "dynamic_slice", allow_negative_indices), sizes
    )


@boundary
def dynamic_update_slice(
    operand: Any,
    update: Any,
    start_indices: Any,
    *,
    allow_negative_indices: bool | Sequence[bool] = True,
) -> Any:
    """The operand with `update` put at `start_indices` (arrays), moved so that it lies inside.

    Raises:
        ShapeError: an update that is larger than the operand.

    >>> import funcgrad.numpy as jnp
    >>> from funcgrad import lax
    >>> lax.dynamic_update_slice(jnp.arange(4), jnp.array([9, 9]), (1,)).tolist()
    [0, 9, 9, 3]
    """
    operand, update = same_dtype("dynamic_update_slice", operand, update)
    t = type_of(operand)
    starts = _starts(t, start_indices, "dynamic_update_slice", allow_negative_indices)
    return ops.dynamic_update_slice(operand, update, starts)


def _starts_in_dim(operand: Any, start_index: Any, axis: int) -> list[Any]:
    starts: list[Any] = [0] * type_of(operand).ndim
    starts[axis] = start_index
    return starts


@boundary
def dynamic_slice_in_dim(
    operand: Any, start_index: Any, slice_size: int, axis: int = 0, *, allow_negative_indices: bool = True
) -> Any:
    """`dynamic_slice` along one axis.

    Raises:
        ShapeError: a slice longer than the axis.

    >>> import funcgrad.numpy as jnp
    >>> from funcgrad import lax
    >>> lax.dynamic_slice_in_dim(jnp.arange(5), 1, 2).tolist()
    [1, 2]
    """
    shape = list(type_of(_array(operand, "dynamic_slice_in_dim")).shape)
    axis = normal_axis(axis, len(shape), "dynamic_slice_in_dim")
    shape[axis] = operator.index(slice_size)
    starts = _starts_in_dim(operand, start_index, axis)
    return dynamic_slice(operand, starts, shape, allow_negative_indices=allow_negative_indices)


@boundary
def dynamic_index_in_dim(
    operand: Any, index: Any, axis: int = 0, keepdims: bool = True, *, allow_negative_indices: bool = True
) -> Any:
    """The element at a traced `index` along one axis.

    Raises:
        AxisError: an axis that there is not.

    >>> import funcgrad.numpy as jnp
    >>> from funcgrad import lax
    >>> lax.dynamic_index_in_dim(jnp.arange(5), 3, keepdims=False).item()
    3
    """
    shape = type_of(_array(operand, "dynamic_index_in_dim")).shape
    axis = normal_axis(axis, len(shape), "dynamic_index_in_dim")
    one = dynamic_slice_in_dim(operand, index, 1, axis, allow_negative_indices=allow_negative_indices)
    return one if keepdims else ops.reshape(one, shape[:axis] + shape[axis + 1 :])


@boundary
def dynamic_update_slice_in_dim(
    operand: Any, update: Any, start_index: Any, axis: int, *, allow_negative_indices: bool = True
) -> Any:
    """`dynamic_update_slice` along one axis."""
    axis = normal_axis(
        axis, type_of(_array(operand, "dynamic_update_slice_in_dim")).ndim, "dynamic_update_slice_in_dim"
    )
    starts = _starts_in_dim(operand, start_index, axis)
    return dynamic_update_slice(operand, update, starts, allow_negative_indices=allow_negative_indices)


@boundary
def dynamic_update_index_in_dim(
    operand: Any, update: Any, index: Any, axis: int, *, allow_negative_indices: bool = True
) -> Any:
    """The operand with `update` in the place of the element at a traced `index` along one axis."""
    t = type_of(_array(operand, "dynamic_update_index_in_dim"))
    axis = normal_axis(axis, t.ndim, "dynamic_update_index_in_dim")
    if type_of(update).ndim != t.ndim:
        update = ops.expand_dims(update, (axis,))
    return dynamic_update_slice_in_dim(
        operand, update, index, axis, allow_negative_indices=allow_negative_indices
    )


@boundary
def broadcast_like(arr: Any, like_arr: Any) -> Any:
    """The array broadcast to the shape of another, by NumPy's rules."""
    check_arrays("lax.broadcast_like", arr, like_arr)
    return ops.broadcast_to(arr, type_of(like_arr).shape)


def empty(shape: Any, dtype: Any = None) -> Any:
    """An array of this shape whose elements mean nothing; they are zeros."""
    return full(shape, 0, dtypes.default_float() if dtype is None else dtype)


@boundary
def stack(operands: Sequence[Any], axis: int = 0) -> Any:
    """Arrays of one type joined along a new axis."""
    operands = same_dtype("stack", *operands)
    shapes = {type_of(x).shape for x in operands}
    if len(shapes) != 1:
        raise ShapeError(f"lax.stack takes arrays of one shape, got {' and '.join(map(str, sorted(shapes)))}")
    place = normal_axis(axis, len(shapes.pop()) + 1, "stack")
    return ops.concatenate([ops.expand_dims(x, (place,)) for x in operands], place)


@boundary
def unstack(x: Any, axis: int = 0) -> tuple[Any, ...]:
    """The slices along an axis, without it."""
    (t,) = check_arrays("lax.unstack", x)
    place = normal_axis(axis, t.ndim, "unstack")
    shape = t.shape[:place] + t.shape[place + 1 :]
    slices = [ops.slice_in_dim(x, k, k + 1, axis=place) for k in range(t.shape[place])]
    return tuple([ops.reshape(piece, shape) for piece in slices])


def shape_as_value(shape: Any) -> Any:
    """A shape as a vector of integers."""
    return array_of(np.asarray(as_sizes(shape, "shape_as_value"), dtypes.default_int()))

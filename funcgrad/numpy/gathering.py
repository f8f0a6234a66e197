"""Choosing elements by position: take, take_along_axis, delete, insert, compress."""

from __future__ import annotations

from typing import Any

import numpy as np

from funcgrad import dtypes
from funcgrad.errors import ArgumentError, IndexingError, ShapeError, boundary
from funcgrad.numpy import indexing, updates
from funcgrad.numpy.creation import asarray
from funcgrad.numpy.manipulation import concatenate, ravel
from funcgrad.numpy.promotion import broadcast_shapes, check_arrays
from funcgrad.numpy.reductions import canonical_axes
from funcgrad.numpy.searching import nonzero
from funcgrad.trace import ops
from funcgrad.trace.core import Tracer, type_of


def _whole_numbers(name: str, indices: Any) -> Any:
    (t,) = check_arrays(name, indices)
    if not dtypes.is_integer(t.dtype):
        raise IndexingError(
            f"{name} takes positions that are integers, got {t}", hint="convert with .astype(int)"
        )
    return asarray(indices)


@boundary
def take(
    a: Any,
    indices: Any,
    axis: int | None = None,
    out: None = None,
    mode: str | None = None,
    unique_indices: bool = False,
    indices_are_sorted: bool = False,
    fill_value: Any = None,
) -> Any:
    """The elements (along `axis`, the slices) of `a` at `indices`. Out of bounds: `mode`, fill by default.

    With mode="clip", negative positions mean the first element, as in NumPy; else they count from the end.
    """
    x, positions = asarray(a), _whole_numbers("take", indices)
    if axis is None:
        x, axis = ravel(x), 0
    (number,) = canonical_axes("take", axis, x)
    if mode == "clip":
        positions = ops.max_(positions, ops.full_like(positions, 0))
    index = (slice(None),) * number + (positions,)
    return indexing.get(x, index, mode or "fill", fill_value)


@boundary
def take_along_axis(
    arr: Any,
    indices: Any,
    axis: int | None = -1,
    mode: str | None = None,
    fill_value: Any = None,
    *,
    wrap_negative_indices: bool = True,
) -> Any:
    """Along `axis`, for each line of `arr`, the elements at that line of `indices`; other axes broadcast.

    `mode` as of an index, and "one_hot": by a sum over all elements, of which those out of bounds give 0.
    """
    x, positions = asarray(arr), _whole_numbers("take_along_axis", indices)
    if axis is None:
        x, axis = ravel(x), 0
    if type_of(x).ndim != type_of(positions).ndim:
        raise ShapeError(
            f"take_along_axis of {type_of(x)} by {type_of(positions)}: ranks differ",
            hint="give the positions as many axes, of length 1 where they are the same for all: positions[:, None]",
        )
    (number,) = canonical_axes("take_along_axis", axis, x)
    xs, ps = list(type_of(x).shape), list(type_of(positions).shape)
    lead = broadcast_shapes([*xs[:number], 1, *xs[number + 1 :]], [*ps[:number], 1, *ps[number + 1 :]])
    x = ops.broadcast_to(x, [*lead[:number], xs[number], *lead[number + 1 :]])
    positions = ops.broadcast_to(positions, [*lead[:number], ps[number], *lead[number + 1 :]])
    index: list[Any] = []
    for d, n in enumerate(type_of(positions).shape):
        line = [1] * len(ps)
        line[d] = n
        index.append(positions if d == number else np.arange(n).reshape(line))
    if mode == "one_hot":
        return _by_sum(x, positions, number, wrap_negative_indices)
    return indexing.get(
        x, tuple(index), mode or "fill", fill_value, wrap_negative_indices=wrap_negative_indices
    )


def _by_sum(x: Any, positions: Any, axis: int, wrap: bool) -> Any:
    """The elements of `x` at positions along `axis`, 0 where there are none."""
    length = type_of(x).shape[axis]
    if wrap:
        positions = ops.select(ops.lt(positions, 0), ops.add(positions, length), positions)
    places = ops.expand_dims(positions, (axis,))
    shape = list(type_of(places).shape)
    shape[axis] = length
    numbers = ops.iota(type_of(positions).dtype, shape, axis)
    values = ops.broadcast_to(ops.expand_dims(x, (axis + 1,)), shape)
    chosen = ops.select(ops.eq(numbers, ops.broadcast_to(places, shape)), values, 0)
    return ops.apply("reduce_sum", chosen, axes=(axis,))


def _known(name: str, what: Any) -> Any:
    if isinstance(what, Tracer):
        what.concrete(
            f"{name}, whose length depends on its argument,", "pass a Python number or a NumPy array"
        )
    if isinstance(what, slice):
        return what
    return np.asarray(what)


@boundary
def delete(arr: Any, obj: Any, axis: int | None = None, *, assume_unique_indices: bool = False) -> Any:
    """`arr` without the elements (along `axis`, the slices) at the positions `obj`.

    Under jit `obj` may be traced where it is one position, or several with `assume_unique_indices`.
    """
    x = asarray(arr)
    if axis is None:
        x, axis = ravel(x), 0
    (number,) = canonical_axes("delete", axis, x)
    length = type_of(x).shape[number]
    if _is_traced_position(obj):
        kept = np.arange(max(length - 1, 0))
        at = _all_of(obj, length, kept)
        return take(x, ops.select(ops.lt(kept, at), kept, kept + 1), number)
    if isinstance(obj, Tracer) and assume_unique_indices and dtypes.is_integer(type_of(obj).dtype):
        gone = ops.full((length,), False, dtypes.bool_)
        gone = updates.At(gone)[ravel(obj)].set(True)
        count = max(length - type_of(obj).size, 0)
        kept = nonzero(ops.not_(gone), size=count, fill_value=0)[0]
        return take(x, kept, number)
    return take(x, np.delete(np.arange(length), _known("delete", obj)), number)


def _is_traced_position(obj: Any) -> bool:
    return isinstance(obj, Tracer) and type_of(obj).ndim == 0 and dtypes.is_integer(type_of(obj).dtype)


def _all_of(position: Any, length: int, like: np.ndarray) -> Any:
    """A position, from the end where it is negative, for each element of `like`."""
    position = ops.convert(position, like.dtype)
    position = ops.select(ops.lt(position, 0), ops.add(position, length), position)
    return ops.broadcast_to(position, like.shape)


@boundary
def insert(arr: Any, obj: Any, values: Any, axis: int | None = None) -> Any:
    """`arr` with `values` put in before the positions `obj`."""
    x = asarray(arr)
    if axis is None:
        x, axis = ravel(x), 0
    (number,) = canonical_axes("insert", axis, x)
    length = type_of(x).shape[number]
    traced = _is_traced_position(obj)
    before = np.zeros((), np.int64) if traced else _known("insert", obj)
    if isinstance(before, slice):
        before = np.arange(*before.indices(length))
    new = ops.convert(asarray(values), type_of(x).dtype)
    rank = type_of(x).ndim
    if before.ndim == 0 and type_of(new).ndim == rank:
        count = type_of(new).shape[number]
    else:
        count = before.size
        if before.ndim == 0 and type_of(new).ndim > 0:
            if rank == 1:
                count = type_of(new).size
            else:
                new = ops.expand_dims(new, (number,))
    shape = list(type_of(x).shape)
    shape[number] = count
    new = ops.broadcast_to(new, shape)
    if traced:
        places = np.arange(length + count)
        at = _all_of(obj, length, places)
        behind = ops.select(
            ops.lt(places, ops.add(at, count)), ops.add(ops.sub(places, at), length), places - count
        )
        return take(concatenate([x, new], number), ops.select(ops.lt(places, at), places, behind), number)
    where = np.broadcast_to(before.reshape(-1) if before.ndim else before, (count,))
    order = np.insert(np.arange(length), where, length + np.arange(count))
    return take(concatenate([x, new], number), order, number)


@boundary
def compress(
    condition: Any,
    a: Any,
    axis: int | None = None,
    out: None = None,
    *,
    size: int | None = None,
    fill_value: Any = 0,
) -> Any:
    """The elements (along `axis`, the slices) of `a` where `condition`, which has to be known unless `size` is given.

    With `size` there are as many, cut or padded with `fill_value`, and it works under jit.
    """
    if size is not None:
        x = ravel(a) if axis is None else asarray(a)
        (number,) = canonical_axes("compress", axis or 0, x)
        (places,) = nonzero(condition, size=size, fill_value=type_of(x).shape[number])
        return take(x, places, number, mode="fill", fill_value=fill_value)
    if isinstance(condition, Tracer):
        condition.concrete("compress, whose length depends on its condition,", "use where or a mask")
    mask = np.asarray(condition)
    if mask.ndim != 1:
        raise ArgumentError(f"the condition of compress has one axis, got shape {mask.shape}")
    return take(a, np.nonzero(mask)[0], axis)


@boundary
def extract(condition: Any, arr: Any, *, size: int | None = None, fill_value: Any = 0) -> Any:
    """The elements of `arr` where `condition` in a flat array; `size` and `fill_value` as for `compress`."""
    return compress(ravel(condition), ravel(arr), size=size, fill_value=fill_value)

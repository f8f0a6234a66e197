"""NumPy's rules of what an index means: one entry for each axis, positions from the start, and what is out of bounds.

An index is put into one entry for each axis: a slice, a new axis, a known position, or an array of integers, perhaps
traced. indexing.py reads by it, updates.py writes.
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from funcgrad import dtypes
from funcgrad.array import Array, ArrayMethods
from funcgrad.errors import (
    ArgumentError,
    IndexingError,
    boundary,
)
from funcgrad.numpy.promotion import broadcast_shapes
from funcgrad.prims.indexing import GatherScatterMode
from funcgrad.records import record
from funcgrad.trace import ops
from funcgrad.trace.core import Tracer, type_of


def is_array(entry: Any) -> bool:
    return isinstance(entry, ArrayMethods | np.ndarray | np.generic)


@record
class Slice:
    """As an index `size` positions from `start` on, which may be traced, every `stride`-th; `ds` makes it."""

    start: Any
    size: int
    stride: int = 1


@boundary
def ds(start: Any, size: int | None = None, stride: int | None = None) -> Any:
    """As an index `size` positions from `start` on, which may be traced, every `stride`-th; `ds(n)` is `:n`.

    Where the slice does not fit, it is moved until it does when reading, and dropped when writing.

    >>> import funcgrad as fg, funcgrad.numpy as jnp
    >>> fg.jit(lambda x, i: x[fg.ds(i, 2)])(jnp.arange(10), 4).tolist()
    [4, 5]
    """
    if size is None:
        if start is not None and not isinstance(start, int | np.integer):
            raise IndexingError(
                f"ds(n) stands for the first n positions, got {start!r:.60}",
                hint="write ds(start, size) for `size` positions from a traced start on",
            )
        return slice(None, start, stride)
    if not isinstance(size, int | np.integer) or size < 0:
        raise IndexingError(
            f"ds: size has to be an int of at least 0, got {size!r:.60}",
            hint="the shape of the result depends on it: only the start may be traced",
        )
    return Slice(start, int(size), 1 if stride is None else int(stride))


def entries_of(index: Any) -> tuple[Any, ...]:
    """The entries of an index. Lists among several are arrays, as in NumPy."""
    if not isinstance(index, tuple):
        return (index,)
    return tuple([_of_list(e) if e.__class__ is list else e for e in index])


def unwrapped(index: Any) -> tuple[Any, ...]:
    """The index with arrays in place of negative integers, for which the mode says what they mean."""
    return tuple([np.asarray(e) if isinstance(e, int) and e < 0 else e for e in entries_of(index)])


def _of_list(entry: list[Any]) -> Any:
    if any(isinstance(e, Tracer) for e in entry):
        return ops.concatenate([ops.reshape(e, (1,)) for e in entry], 0)
    array = np.asarray(entry)
    return array if array.size else array.astype(np.int64)


def with_slices(x: Any, index: Any) -> tuple[Any, Any, Any]:
    """`x` cut by what `ds` made in `index`, the rest of the index, and whether each of these slices fits."""
    given = entries_of(index)
    if not any(e.__class__ is Slice for e in given):
        return x, index, True
    t, entries, axis, fits = type_of(x), [], 0, True
    used = [1 if e.__class__ is Slice else sum(map(_axes_used, _entry(t, e))) for e in given]
    for k, entry in enumerate(given):
        if entry is Ellipsis:
            axis = max(t.ndim - sum(used[k + 1 :]), axis)
        elif entry.__class__ is Slice:
            if axis >= t.ndim:
                break
            length, extent = t.shape[axis], max((entry.size - 1) * entry.stride + 1, 0)
            if extent > length:
                raise IndexingError(
                    f"ds(start, {entry.size}, {entry.stride}) does not fit into axis {axis} of {t}",
                    hint="take fewer positions than the axis has",
                )
            start = positions_in(entry.start, length)
            fits = ops.and_(fits, ops.and_(ops.ge(start, 0), ops.le(start, length - extent)))
            starts = [start if d == axis else np.int64(0) for d in range(t.ndim)]
            shape = type_of(x).shape
            x = ops.dynamic_slice(x, starts, [extent if d == axis else n for d, n in enumerate(shape)])
            entry = slice(None, None, entry.stride)
        entries.append(entry)
        axis += used[k]
    return x, tuple(entries), fits


def planned(t: Any, index: Any) -> list[Any]:
    """`index` as one entry for each axis of an operand of type `t`, and None for each new axis.

    An entry is an int in bounds, a slice with known bounds, or an array of integers.
    """
    entries: list[Any] = []
    for entry in entries_of(index):
        entries.extend(_entry(t, entry))
    used = sum(_axes_used(e) for e in entries)
    if used > t.ndim:
        raise IndexingError(
            f"{used} indices for {t}, which has {t.ndim} axes", hint="give at most one index for each axis"
        )
    places = [k for k, e in enumerate(entries) if e is Ellipsis]
    if len(places) > 1:
        raise IndexingError(
            f"an index of {t} has more than one ellipsis (...)",
            hint="one ellipsis stands for all axes that have no index; use : for a single one",
        )
    rest = [slice(None)] * (t.ndim - used)
    if places:
        entries[places[0] : places[0] + 1] = rest
    else:
        entries += rest
    axis, result = 0, []
    for entry in entries:
        if entry is None:
            result.append(None)
            continue
        if isinstance(entry, _Mask):
            entry.check(t, axis)
            result.extend(entry.positions)
            axis += len(entry.positions)
            continue
        result.append(_of_axis(entry, t, axis))
        axis += 1
    return result


class _Mask:
    """A boolean array that is known, as positions along the axes that it covers."""

    def __init__(self, mask: np.ndarray):
        self.shape = mask.shape
        self.positions = [np.asarray(p) for p in np.nonzero(mask)]

    def check(self, t: Any, axis: int) -> None:
        covered = t.shape[axis : axis + len(self.shape)]
        # an axis of length 0 of a mask fits any, as in NumPy: there is nothing that it could select
        if len(covered) != len(self.shape) or any(m not in (0, n) for m, n in zip(self.shape, covered)):
            raise IndexingError(
                f"a boolean index of shape {self.shape} for axes of lengths {covered} of {t}",
                hint="a mask has the shape of the axes that it selects from",
            )


def _is_truth_value(entry: Any) -> bool:
    if isinstance(entry, bool | np.bool_):
        return True
    return is_array(entry) and dtypes.is_bool(type_of(entry).dtype) and not type_of(entry).shape


def without_truth_values(x: Any, index: Any) -> tuple[Any, Any]:
    """`x` with an axis of length 1 for each boolean without axes in `index`, and that boolean as an index of it."""
    given = entries_of(index)
    if not any(map(_is_truth_value, given)):
        return x, index
    t, entries, new, place = type_of(x), [], [], 0
    used = [0 if _is_truth_value(e) else sum(map(_axes_used, _entry(t, e))) for e in given]
    for k, entry in enumerate(given):
        if entry is Ellipsis:
            place = max(t.ndim + len(new) - sum(used[k + 1 :]), place)
        if not _is_truth_value(entry):
            entries.append(entry)
            place += used[k]
            continue
        if isinstance(entry, Tracer):
            entry = entry.concrete(
                "a boolean index, whose number of elements depends on its values,",
                "use funcgrad.numpy.where(mask, x, 0), or reduce with where=mask",
            )
        entries.append(np.arange(int(bool(entry))))
        new.append(place)
        place += 1
    return ops.expand_dims(x, tuple(new)), tuple(entries)


def _axes_used(entry: Any) -> int:
    if entry is None or entry is Ellipsis:
        return 0
    return len(entry.shape) if isinstance(entry, _Mask) else 1


def _entry(t: Any, entry: Any) -> list[Any]:
    if entry is None or entry is Ellipsis or isinstance(entry, slice):
        return [entry]
    if isinstance(entry, bool | np.bool_) or (is_array(entry) and dtypes.is_bool(type_of(entry).dtype)):
        if isinstance(entry, Tracer):
            entry = entry.concrete(
                "a boolean index, whose number of elements depends on its values,",
                "use funcgrad.numpy.where(mask, x, 0), or reduce with where=mask",
            )
        return [_Mask(np.asarray(entry))]
    if isinstance(entry, np.integer):
        return [int(entry)]
    if is_array(entry):
        if not dtypes.is_integer(type_of(entry).dtype):
            raise IndexingError(
                f"an index is made of integers or booleans, got {type_of(entry)} for {t}",
                hint="convert it with .astype(int)",
            )
        return [entry]
    if isinstance(entry, list | tuple):
        raise IndexingError(
            f"a {type(entry).__name__} is no index of {t}: {entry!r:.60}",
            hint=f"make it an array: x[funcgrad.numpy.array({entry!r:.60})]; a tuple indexes several axes",
        )
    try:
        return [operator.index(entry)]
    except TypeError:
        raise IndexingError(
            f"{entry!r:.60} of type {type(entry).__name__} is no index of {t}",
            hint="an index is an integer, a slice, None, ..., or an array of integers or booleans",
        ) from None


def _of_axis(entry: Any, t: Any, axis: int) -> Any:
    length = t.shape[axis]
    if isinstance(entry, slice):
        for what in (entry.start, entry.stop, entry.step):
            if isinstance(what, Tracer):
                what.concrete(
                    "a bound of a slice, on which the length of the result depends,",
                    "use funcgrad.lax.dynamic_slice, which takes a traced start and a static length",
                )
        try:
            return slice(*entry.indices(length))
        except TypeError:
            raise IndexingError(
                f"bounds of a slice are integers, got {entry} for axis {axis} of {t}",
                hint="use // in place of /, or int(...), for the bounds",
            ) from None
        except ValueError:
            raise IndexingError(
                f"the step of a slice is not 0: {entry} for axis {axis} of {t}",
                hint="leave the step out, or give 1, or -1 for the reverse order",
            ) from None
    if isinstance(entry, int):
        if not length:
            raise IndexingError(
                f"index {entry} of axis {axis} of {t}, which is empty",
                hint="check x.size before, or use a slice, which may be empty",
            )
        if not -length <= entry < length:
            return np.asarray(entry)  # outside: as the mode says, which is for arrays
        return entry % length
    return entry


def count_of(s: slice) -> int:
    return len(range(s.start, s.stop, s.step))


def positions_in(entry: Any, length: int) -> Any:
    """An array of integers as int64 positions, negative ones counted from the end."""
    if type(entry) is Array or isinstance(entry, np.ndarray | np.generic):
        data = np.asarray(entry).astype(np.int64)
        return np.where(data < 0, data + length, data)
    index = ops.convert(entry, dtypes.int64)
    return ops.select(ops.lt(index, 0), ops.add(index, length), index)


def joined(arrays: Sequence[Any]) -> tuple[Any, tuple[int, ...]]:
    """Positions stacked along a last axis, and the shape to which they broadcast."""
    try:
        shape = broadcast_shapes(*[type_of(a).shape for a in arrays])
    except Exception:
        shapes = ", ".join(str(type_of(a).shape) for a in arrays)
        raise IndexingError(
            f"index arrays of shapes {shapes} do not broadcast",
            hint="index arrays go together element by element; for rows and columns write x[rows[:, None], columns]",
        ) from None
    if all(isinstance(a, np.ndarray | np.generic) for a in arrays):
        return Array(np.stack([np.broadcast_to(a, shape) for a in arrays], -1)), shape
    columns = [
        ops.broadcast_in_dim(a, (*shape, 1), range(len(shape) - type_of(a).ndim, len(shape))) for a in arrays
    ]
    return ops.concatenate(columns, len(shape)) if len(columns) > 1 else columns[0], shape


def checked_mode(mode: Any, reading: bool) -> Any:
    """The mode of a gather or scatter; "wrap" stays a word, since positions are wrapped before."""
    if mode is None:
        return GatherScatterMode.CLIP if reading else GatherScatterMode.FILL_OR_DROP
    if mode == "wrap":
        return mode
    try:
        return GatherScatterMode.of(mode)
    except ValueError:
        raise ArgumentError(
            f"mode of an index is clip, fill, drop, wrap or promise_in_bounds, got {mode!r}",
            hint="write mode='clip' for the nearest element, mode='fill' (when reading) or mode='drop' (when writing)",
        ) from None


def needed_mode(how: Any, positions: Sequence[Any], axes: Sequence[int], shape: Sequence[int]) -> Any:
    """The mode that is needed: none where all positions are known and inside."""
    if how == "wrap" or _in_bounds(positions, axes, shape):
        return GatherScatterMode.PROMISE_IN_BOUNDS
    return how


def _in_bounds(arrays: Sequence[Any], axes: Sequence[int], shape: Sequence[int]) -> bool:
    """Whether all positions are known and inside."""
    return all(
        isinstance(a, np.ndarray | np.generic) and bool(np.all((a >= 0) & (a < shape[d])))
        for a, d in zip(arrays, axes)
    )


def wrapped(entry: Any, length: int, mode: str, negative: bool = True) -> Any:
    positions = positions_in(entry, length if negative else 0)
    if mode != "wrap":
        return positions
    return np.mod(positions, length) if isinstance(positions, np.ndarray | np.generic) else positions % length

"""`x[index]` and `x.at[index]`: NumPy's rules of indexing in terms of slice, rev, gather and scatter.

An index is first put into one entry for each axis; slices and new axes become slice, rev and reshape, and
whatever is an array of integers, or a traced integer, becomes one gather. Positions out of bounds are clamped
when reading and dropped when writing, as in JAX: inside compiled code nothing can raise.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from funcgrad import dtypes
from funcgrad.array import Array, ArrayMethods
from funcgrad.errors import (
    ArgumentError,
    ImmutableError,
    IndexingError,
    UnknownNameError,
    boundary,
    hide_internal_frames,
)
from funcgrad.ir.types import array_type
from funcgrad.names import closest
from funcgrad.numpy.promotion import broadcast_shapes, cast, check_arrays, promote
from funcgrad.prims.indexing import GatherDimensionNumbers, GatherScatterMode, ScatterDimensionNumbers
from funcgrad.records import record
from funcgrad.trace import ops
from funcgrad.trace.core import EAGER, Tracer, state, type_of
from funcgrad.trace.graph_trace import trace_to_graph


def _is_array(entry: Any) -> bool:
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


def _given(index: Any) -> tuple[Any, ...]:
    """The entries of an index. Lists among several are arrays, as in NumPy."""
    if not isinstance(index, tuple):
        return (index,)
    return tuple([_of_list(e) if e.__class__ is list else e for e in index])


def _unwrapped(index: Any) -> tuple[Any, ...]:
    """The index with arrays in place of negative integers, for which the mode says what they mean."""
    return tuple([np.asarray(e) if isinstance(e, int) and e < 0 else e for e in _given(index)])


def _of_list(entry: list[Any]) -> Any:
    if any(isinstance(e, Tracer) for e in entry):
        return ops.concatenate([ops.reshape(e, (1,)) for e in entry], 0)
    array = np.asarray(entry)
    return array if array.size else array.astype(np.int64)


def _with_slices(x: Any, index: Any) -> tuple[Any, Any, Any]:
    """`x` cut by what `ds` made in `index`, the rest of the index, and whether each of these slices fits."""
    given = _given(index)
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
            start = _positions(entry.start, length)
            fits = ops.and_(fits, ops.and_(ops.ge(start, 0), ops.le(start, length - extent)))
            starts = [start if d == axis else np.int64(0) for d in range(t.ndim)]
            shape = type_of(x).shape
            x = ops.dynamic_slice(x, starts, [extent if d == axis else n for d, n in enumerate(shape)])
            entry = slice(None, None, entry.stride)
        entries.append(entry)
        axis += used[k]
    return x, tuple(entries), fits


def _plan(t: Any, index: Any) -> list[Any]:
    """`index` as one entry for each axis of an operand of type `t`, and None for each new axis.

    An entry is an int in bounds, a slice with known bounds, or an array of integers.
    """
    entries: list[Any] = []
    for entry in _given(index):
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
    return _is_array(entry) and dtypes.is_bool(type_of(entry).dtype) and not type_of(entry).shape


def _without_truth_values(x: Any, index: Any) -> tuple[Any, Any]:
    """`x` with an axis of length 1 for each boolean without axes in `index`, and that boolean as an index of it."""
    given = _given(index)
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
    if isinstance(entry, bool | np.bool_) or (_is_array(entry) and dtypes.is_bool(type_of(entry).dtype)):
        if isinstance(entry, Tracer):
            entry = entry.concrete(
                "a boolean index, whose number of elements depends on its values,",
                "use funcgrad.numpy.where(mask, x, 0), or reduce with where=mask",
            )
        return [_Mask(np.asarray(entry))]
    if isinstance(entry, np.integer):
        return [int(entry)]
    if _is_array(entry):
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


def _count(s: slice) -> int:
    return len(range(s.start, s.stop, s.step))


def _positions(entry: Any, length: int) -> Any:
    """An array of integers as int64 positions, negative ones counted from the end."""
    if type(entry) is Array or isinstance(entry, np.ndarray | np.generic):
        data = np.asarray(entry).astype(np.int64)
        return np.where(data < 0, data + length, data)
    index = ops.convert(entry, dtypes.int64)
    return ops.select(ops.lt(index, 0), ops.add(index, length), index)


def _indices(arrays: Sequence[Any]) -> tuple[Any, tuple[int, ...]]:
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


def _mode(mode: Any, reading: bool) -> Any:
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


def _mode_of(how: Any, positions: Sequence[Any], axes: Sequence[int], shape: Sequence[int]) -> Any:
    """The mode that is needed: none where all positions are known and inside."""
    if how == "wrap" or _in_bounds(positions, axes, shape):
        return GatherScatterMode.PROMISE_IN_BOUNDS
    return how


@boundary
def get(
    x: Any,
    index: Any,
    mode: Any = None,
    fill_value: Any = None,
    indices_are_sorted: bool = False,
    unique_indices: bool = False,
    wrap_negative_indices: bool = True,
) -> Any:
    """x[index]. `mode` says what happens out of bounds: clip (the default), fill (with `fill_value`); unless
    `wrap_negative_indices`, negative positions are out of bounds too."""
    how = _mode(mode, True)
    if not wrap_negative_indices:
        index = _unwrapped(index)
    x, index, _ = _with_slices(x, index)
    x, index = _without_truth_values(x, index)
    plan = _plan(type_of(x), index)
    advanced = any(_is_array(e) for e in plan)
    entries = [np.asarray(e) if advanced and isinstance(e, int) else e for e in plan]
    x = _slices(x, entries)
    if not advanced:
        return x
    axes = [d for d, e in enumerate(entries) if _is_array(e)]
    shape = type_of(x).shape
    arrays = [_wrapped(entries[d], shape[d], how, wrap_negative_indices) for d in axes]
    how = _mode_of(how, arrays, axes, shape)
    if any(shape[d] == 0 for d in axes):
        return _of_nothing(x, arrays, axes, fill_value if how is GatherScatterMode.FILL_OR_DROP else None)
    known = all(isinstance(a, np.ndarray | np.generic) for a in arrays)
    if x.__class__ is Array and state.trace is EAGER and known and how is not GatherScatterMode.FILL_OR_DROP:
        clipped = iter([np.clip(a, 0, max(shape[d] - 1, 0)) for a, d in zip(arrays, axes)])
        whole = tuple([next(clipped) if _is_array(e) else slice(None) for e in entries])
        try:
            out = x._data[whole]
        except IndexError:
            _indices(arrays)  # says which shapes
            raise
        return Array(
            out if out.__class__ is np.ndarray else np.asarray(out), type_of(x).with_shape(out.shape)
        )
    stacked, lead = _indices(arrays)
    together = axes == list(range(axes[0], axes[0] + len(axes)))
    start = axes[0] if together else 0
    rank = len(lead) + len(shape) - len(axes)
    if 0 in lead and any(not shape[d] for d in axes):  # no position in an axis without elements
        rest = [n for d, n in enumerate(shape) if d not in axes]
        return ops.full((*rest[:start], *lead, *rest[start:]), 0, type_of(x).dtype)
    offsets = tuple([d for d in range(rank) if not start <= d < start + len(lead)])
    return ops.apply(
        "gather",
        x,
        stacked,
        dimension_numbers=GatherDimensionNumbers(offsets, tuple(axes), tuple(axes)),
        slice_sizes=tuple([1 if d in axes else n for d, n in enumerate(shape)]),
        mode=how,
        fill_value=fill_value,
        unique_indices=unique_indices or not lead,
        indices_are_sorted=indices_are_sorted,
    )


def _of_nothing(x: Any, arrays: Sequence[Any], axes: Sequence[int], fill_value: Any) -> Any:
    """What positions on empty axes select: nothing, or `fill_value`; an error where there is neither."""
    t = type_of(x)
    _, lead = _indices(arrays)
    shape = [n for d, n in enumerate(t.shape) if d not in axes]
    if 0 not in (*lead, *shape) and fill_value is None:
        raise IndexingError(
            f"positions on an empty axis of {t}",
            hint="check x.size before, or use a slice, which may be empty",
        )
    start = axes[0] if list(axes) == list(range(axes[0], axes[0] + len(axes))) else 0
    shape[start:start] = lead
    return ops.full(shape, 0 if fill_value is None else fill_value, t.dtype)


def _in_bounds(arrays: Sequence[Any], axes: Sequence[int], shape: Sequence[int]) -> bool:
    """Whether all positions are known and inside."""
    return all(
        isinstance(a, np.ndarray | np.generic) and bool(np.all((a >= 0) & (a < shape[d])))
        for a, d in zip(arrays, axes)
    )


def _wrapped(entry: Any, length: int, mode: str, negative: bool = True) -> Any:
    positions = _positions(entry, length if negative else 0)
    if mode != "wrap":
        return positions
    return np.mod(positions, length) if isinstance(positions, np.ndarray | np.generic) else positions % length


def _slices(x: Any, entries: Sequence[Any]) -> Any:
    """`x` cut by the slices and integers among `entries`, with new axes; axes of arrays stay whole."""
    shape = type_of(x).shape
    starts, limits, strides, reverse, result = [], [], [], [], []
    axis = 0
    for entry in entries:
        if entry is None:
            result.append(1)
            continue
        if isinstance(entry, int):
            first, last, step = entry, entry + 1, 1
        elif isinstance(entry, slice):
            count = _count(entry)
            first, step = entry.start, entry.step
            if step < 0:
                first, step = entry.start + (count - 1) * step, -step
                if count:
                    reverse.append(axis)
            first = first if count else 0
            last = first + (count - 1) * step + 1 if count else first
            result.append(count)
        else:
            first, last, step = 0, shape[axis], 1
            result.append(shape[axis])
        starts.append(first)
        limits.append(last)
        strides.append(step)
        axis += 1
    whole = all(a == 0 and b == n and s == 1 for a, b, s, n in zip(starts, limits, strides, shape))
    if not whole:
        x = ops.slice_(x, starts, limits, strides)
    if reverse:
        x = ops.rev(x, reverse)
    return ops.reshape(x, result)


_STATIC = frozenset({int, slice, type(None), type(Ellipsis)})


def getitem(x: Any, index: Any) -> Any:
    """x[index], for `__getitem__` of arrays and tracers."""
    if x.__class__ is Array and state.trace is EAGER:
        kind = index.__class__
        if kind in _STATIC or (kind is tuple and all(e.__class__ in _STATIC for e in index)):
            try:
                out = x._data[index]
            except (IndexError, ValueError, TypeError):
                out = None  # `get` clamps, or says what is wrong
            if out is not None:
                out = out if out.__class__ is np.ndarray else np.asarray(out)
                return Array(out, x._type and type_of(x).with_shape(out.shape))
    try:
        return get(x, index)
    except Exception as error:
        hide_internal_frames(error)
        raise


class At:
    """`x.at`: x.at[index].set(value) and its like give a new array with some elements changed."""

    __slots__ = ("array",)

    def __init__(self, array: Any):
        self.array = array

    def __getitem__(self, index: Any) -> AtIndex:
        return AtIndex(self.array, index)

    def __repr__(self) -> str:
        return f"At({self.array!r})"

    @boundary
    def __call__(self, *index: Any) -> Any:
        raise IndexingError(
            f"x.at is indexed, not called: x.at({', '.join(map(repr, index)):.60}) of {type_of(self.array)}",
            hint="write x.at[index].set(value), with brackets",
        )

    @boundary
    def __setitem__(self, index: Any, value: Any) -> None:
        raise ImmutableError(
            f"x.at[index] is not assigned to: arrays do not change in place: {type_of(self.array)}",
            hint="write x = x.at[index].set(value), which gives a new array",
        )


class AtIndex:
    """`x.at[index]`: what can be done with the elements there. Inside jit, x itself is changed where nothing
    else reads it. `mode` says what happens out of bounds: drop (the default), clip, promise_in_bounds."""

    __slots__ = ("array", "index")

    def __init__(self, array: Any, index: Any):
        self.array = array
        self.index = index

    @boundary
    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        raise UnknownNameError(
            f"x.at[index] has no {name!r}", hint=f"{closest(name, AT_METHODS)}; write {AT_USE}"
        )

    @boundary
    def get(
        self,
        *,
        mode: Any = None,
        fill_value: Any = None,
        indices_are_sorted: bool = False,
        unique_indices: bool = False,
        wrap_negative_indices: bool = True,
    ) -> Any:
        """x[index], with a choice of what happens out of bounds."""
        options = indices_are_sorted, unique_indices, wrap_negative_indices
        return get(self.array, self.index, mode, fill_value, *options)

    @boundary
    def apply(self, function: Any, **options: Any) -> Any:
        """`function`, which works element by element, of what is there; n times of an element named n times."""
        found = self.get(mode=options.get("mode"))
        if options.get("unique_indices") or not any(map(_is_array, _given(self.index))):
            return self.set(function(found), **options)
        zeros = ops.full(type_of(self.array).shape, 0, dtypes.int32)
        times = At(At(zeros)[self.index].add(1, **options))[self.index].get(mode=options.get("mode"))
        most = ops.apply("reduce_max", times, axes=tuple(range(type_of(times).ndim)))

        def once_more(n: Any, x: Any) -> list[Any]:
            return [ops.add(n, 1), ops.select(ops.lt(n, times), cast(function(x), type_of(x).dtype), x)]

        types = [array_type((), dtypes.int32), type_of(found)]
        body = trace_to_graph(once_more, types, "apply")
        cond = trace_to_graph(lambda n, x: [ops.lt(n, most)], types, "apply")
        (_, values) = ops.apply(
            "while",
            *cond.constants,
            *body.constants,
            np.int32(0),
            found,
            cond=cond.graph,
            body=body.graph,
            cond_consts=len(cond.constants),
            body_consts=len(body.constants),
        )
        return self.set(values, **options)

    @boundary
    def divide(self, values: Any, **options: Any) -> Any:
        """x[index] / values; elements named twice are divided by both."""
        return self.array / self._ones().at[self.index].multiply(values, **options)

    @boundary
    def power(self, values: Any, **options: Any) -> Any:
        """x[index] ** values; elements named twice are raised to both powers."""
        return self.array ** self._ones().at[self.index].multiply(values, **options)

    def _ones(self) -> Any:
        t = type_of(self.array)
        return ops.full(t.shape, 1, t.dtype)

    @boundary
    def subtract(self, values: Any, **options: Any) -> Any:
        """x[index] - values; elements named twice lose both."""
        return self.add(ops.neg(*promote("subtract", values)), **options)


def _scattering(method: str, kind: str, doc: str) -> Any:
    @boundary
    def change(
        self: AtIndex,
        values: Any,
        *,
        indices_are_sorted: bool = False,
        unique_indices: bool = False,
        mode: Any = None,
        fill_value: Any = None,
        wrap_negative_indices: bool = True,
    ) -> Any:
        options = unique_indices, indices_are_sorted, wrap_negative_indices
        return scatter(kind, self.array, self.index, values, mode, *options)

    change.__name__ = method
    change.__qualname__ = f"AtIndex.{method}"
    change.__doc__ = doc
    return change


for _method, _kind, _doc in [
    ("set", "scatter", "values in place of x[index]."),
    ("add", "scatter_add", "x[index] + values; elements named twice get both."),
    ("multiply", "scatter_mul", "x[index] * values."),
    ("mul", "scatter_mul", "x[index] * values."),
    ("min", "scatter_min", "The smaller of x[index] and values."),
    ("max", "scatter_max", "The larger of x[index] and values."),
]:
    setattr(AtIndex, _method, _scattering(_method, _kind, _doc))


@boundary
def scatter(
    kind: str,
    x: Any,
    index: Any,
    values: Any,
    mode: Any = None,
    unique_indices: bool = False,
    indices_are_sorted: bool = False,
    wrap_negative_indices: bool = True,
) -> Any:
    """`x` with `values` put (added, ...) at `index`; values broadcast to the shape of x[index]."""
    how = _mode(mode, False)
    check_arrays("at[...]", values)
    if not wrap_negative_indices:
        index = _unwrapped(index)
    if any(e.__class__ is Slice for e in _given(index)):
        return _scatter_flat(kind, x, index, cast(values, type_of(x).dtype), how, unique_indices)
    wider, index = _without_truth_values(x, index)
    if wider is not x:
        options = unique_indices, indices_are_sorted, wrap_negative_indices
        return ops.reshape(scatter(kind, wider, index, values, mode, *options), type_of(x).shape)
    t = type_of(x)
    plan = _plan(t, index)
    values = cast(values, t.dtype)
    advanced = any(_is_array(e) for e in plan)
    if any(isinstance(e, slice) and abs(e.step) != 1 and _count(e) > 1 for e in plan):
        return _scatter_flat(kind, x, index, values, how, unique_indices or not advanced)
    axis, axes, arrays, windows, starts, layout, reverse = 0, [], [], [], [], [], []
    for entry in plan:
        if entry is None:
            layout.append(("new", 1))
            continue
        if isinstance(entry, slice):
            count = _count(entry)
            first = entry.start if entry.step > 0 else entry.start - count + 1
            if entry.step < 0:
                reverse.append(len([w for w in layout if w[0] == "window"]))
            layout.append(("window", count))
            windows.append((axis, count))
            if count != t.shape[axis]:
                starts.append((axis, first))
        else:
            layout.append(("array", axis))
            axes.append(axis)
            arrays.append(
                _wrapped(
                    np.asarray(entry) if isinstance(entry, int) else entry,
                    t.shape[axis],
                    how,
                    wrap_negative_indices,
                )
            )
        axis += 1
    lead: tuple[int, ...] = ()
    if arrays:
        _, lead = _indices(arrays)
    places = [k for k, (what, _) in enumerate(layout) if what == "array"]
    together = places == list(range(places[0], places[0] + len(places))) if places else True
    shape: list[int] = [] if together or not advanced else list(lead)
    kept: list[str] = ["lead"] * len(shape)
    for k, (what, size) in enumerate(layout):
        if what != "array":
            shape.append(size)
            kept.append(what)
        elif together and advanced and k == places[0]:
            shape += lead
            kept += ["lead"] * len(lead)
    values = _fitted(values, tuple(shape), t, index)
    values = ops.reshape(values, [n for n, what in zip(shape, kept) if what != "new"])
    kept = [what for what in kept if what != "new"]
    window_dims = [d for d, what in enumerate(kept) if what == "window"]
    if reverse:
        values = ops.rev(values, [window_dims[k] for k in reverse])
    columns = [*arrays, *[np.asarray(first) for _, first in starts]]
    targets = (*axes, *[a for a, _ in starts])
    stacked = _indices(columns)[0] if columns else Array(np.zeros((0,), np.int64))
    return ops.apply(
        kind,
        x,
        stacked,
        values,
        dimension_numbers=ScatterDimensionNumbers(tuple(window_dims), tuple(axes), targets),
        mode=_mode_of(how, columns, targets, t.shape),
        unique_indices=unique_indices or not lead,
        indices_are_sorted=indices_are_sorted,
    )


def _fitted(values: Any, shape: tuple[int, ...], t: Any, index: Any) -> Any:
    have = type_of(values).shape
    while len(have) > len(shape) and have[0] == 1:
        have = have[1:]
    values = ops.reshape(values, have)
    try:
        fits = broadcast_shapes(have, shape) == shape
    except Exception:
        fits = False
    if not fits:
        raise IndexingError(
            f"values of shape {type_of(values).shape} do not broadcast to {shape}, the shape of "
            f"what the index selects from {t}",
            hint="give values of that shape, or a number; axes of length 1 are repeated",
        )
    return ops.broadcast_to(values, shape)


def _scatter_flat(kind: str, x: Any, index: Any, values: Any, mode: Any, unique: bool) -> Any:
    """By positions in the flat array: for slices with steps, and with traced starts."""
    t = type_of(x)
    numbers: Any = Array(np.arange(t.size).reshape(t.shape))
    numbers, index, fits = _with_slices(numbers, index)
    places = get(numbers, index, mode, t.size)
    if fits is not True:
        places = ops.select(ops.broadcast_to(fits, type_of(places).shape), places, t.size)
    values = _fitted(values, type_of(places).shape, t, index)
    flat = scatter(
        kind,
        ops.reshape(x, (t.size,)),
        ops.reshape(places, (type_of(places).size,)),
        ops.reshape(values, (math.prod(type_of(values).shape),)),
        mode,
        unique,
    )
    return ops.reshape(flat, t.shape)


def _no_array(*_: Any) -> Any:
    raise ArgumentError(
        "x.at[index] is no array: it says which elements of x to change", hint=f"write {AT_USE}"
    )


AT_METHODS = tuple(
    name for name in vars(AtIndex) if not name.startswith("_") and name not in AtIndex.__slots__
)
AT_USE = "x.at[index].add(values), .set(values) or the like for a changed array, x[index] for the elements"
for _name in (
    "add",
    "sub",
    "mul",
    "truediv",
    "pow",
    "radd",
    "rsub",
    "rmul",
    "rtruediv",
    "neg",
    "lt",
    "gt",
    "le",
    "ge",
):
    setattr(AtIndex, f"__{_name}__", boundary(_no_array))

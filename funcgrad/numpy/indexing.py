"""`x[index]`: slices and new axes become slice, rev and reshape, arrays of positions and traced integers one gather.

Positions out of bounds are clamped, as in JAX: inside compiled code nothing can raise.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from funcgrad.array import Array
from funcgrad.errors import (
    IndexingError,
    boundary,
    hide_internal_frames,
)
from funcgrad.numpy.indices import (
    checked_mode,
    count_of,
    is_array,
    joined,
    needed_mode,
    planned,
    unwrapped,
    with_slices,
    without_truth_values,
    wrapped,
)
from funcgrad.prims.indexing import GatherDimensionNumbers, GatherScatterMode
from funcgrad.trace import ops
from funcgrad.trace.core import EAGER, state, type_of


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
    how = checked_mode(mode, True)
    if not wrap_negative_indices:
        index = unwrapped(index)
    x, index, _ = with_slices(x, index)
    x, index = without_truth_values(x, index)
    plan = planned(type_of(x), index)
    advanced = any(is_array(e) for e in plan)
    entries = [np.asarray(e) if advanced and isinstance(e, int) else e for e in plan]
    x = _slices(x, entries)
    if not advanced:
        return x
    axes = [d for d, e in enumerate(entries) if is_array(e)]
    shape = type_of(x).shape
    arrays = [wrapped(entries[d], shape[d], how, wrap_negative_indices) for d in axes]
    how = needed_mode(how, arrays, axes, shape)
    if any(shape[d] == 0 for d in axes):
        return _of_nothing(x, arrays, axes, fill_value if how is GatherScatterMode.FILL_OR_DROP else None)
    known = all(isinstance(a, np.ndarray | np.generic) for a in arrays)
    if x.__class__ is Array and state.trace is EAGER and known and how is not GatherScatterMode.FILL_OR_DROP:
        clipped = iter([np.clip(a, 0, max(shape[d] - 1, 0)) for a, d in zip(arrays, axes)])
        whole = tuple([next(clipped) if is_array(e) else slice(None) for e in entries])
        try:
            out = x._data[whole]
        except IndexError:
            joined(arrays)  # says which shapes
            raise
        return Array(
            out if out.__class__ is np.ndarray else np.asarray(out), type_of(x).with_shape(out.shape)
        )
    stacked, lead = joined(arrays)
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
    _, lead = joined(arrays)
    shape = [n for d, n in enumerate(t.shape) if d not in axes]
    if 0 not in (*lead, *shape) and fill_value is None:
        raise IndexingError(
            f"positions on an empty axis of {t}",
            hint="check x.size before, or use a slice, which may be empty",
        )
    start = axes[0] if list(axes) == list(range(axes[0], axes[0] + len(axes))) else 0
    shape[start:start] = lead
    return ops.full(shape, 0 if fill_value is None else fill_value, t.dtype)


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
            count = count_of(entry)
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

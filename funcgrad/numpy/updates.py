"""`x.at[index]`: arrays with some elements changed, by one scatter.

Values for positions out of bounds are dropped, as in JAX: inside compiled code nothing can raise.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from funcgrad import dtypes
from funcgrad.array import Array
from funcgrad.errors import (
    ArgumentError,
    ImmutableError,
    IndexingError,
    UnknownNameError,
    boundary,
)
from funcgrad.ir.types import array_type
from funcgrad.names import closest
from funcgrad.numpy.indexing import get
from funcgrad.numpy.indices import (
    Slice,
    checked_mode,
    count_of,
    entries_of,
    is_array,
    joined,
    needed_mode,
    planned,
    unwrapped,
    with_slices,
    without_truth_values,
    wrapped,
)
from funcgrad.numpy.promotion import broadcast_shapes, cast, check_arrays, promote
from funcgrad.prims.indexing import ScatterDimensionNumbers
from funcgrad.trace import ops
from funcgrad.trace.core import type_of
from funcgrad.trace.graph_trace import trace_to_graph


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
        if options.get("unique_indices") or not any(map(is_array, entries_of(self.index))):
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
    how = checked_mode(mode, False)
    check_arrays("at[...]", values)
    if not wrap_negative_indices:
        index = unwrapped(index)
    if any(e.__class__ is Slice for e in entries_of(index)):
        return _scatter_flat(kind, x, index, cast(values, type_of(x).dtype), how, unique_indices)
    wider, index = without_truth_values(x, index)
    if wider is not x:
        options = unique_indices, indices_are_sorted, wrap_negative_indices
        return ops.reshape(scatter(kind, wider, index, values, mode, *options), type_of(x).shape)
    t = type_of(x)
    plan = planned(t, index)
    values = cast(values, t.dtype)
    advanced = any(is_array(e) for e in plan)
    if any(isinstance(e, slice) and abs(e.step) != 1 and count_of(e) > 1 for e in plan):
        return _scatter_flat(kind, x, index, values, how, unique_indices or not advanced)
    axis, axes, arrays, windows, starts, layout, reverse = 0, [], [], [], [], [], []
    for entry in plan:
        if entry is None:
            layout.append(("new", 1))
            continue
        if isinstance(entry, slice):
            count = count_of(entry)
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
                wrapped(
                    np.asarray(entry) if isinstance(entry, int) else entry,
                    t.shape[axis],
                    how,
                    wrap_negative_indices,
                )
            )
        axis += 1
    lead: tuple[int, ...] = ()
    if arrays:
        _, lead = joined(arrays)
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
    stacked = joined(columns)[0] if columns else Array(np.zeros((0,), np.int64))
    return ops.apply(
        kind,
        x,
        stacked,
        values,
        dimension_numbers=ScatterDimensionNumbers(tuple(window_dims), tuple(axes), targets),
        mode=needed_mode(how, columns, targets, t.shape),
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
    numbers, index, fits = with_slices(numbers, index)
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

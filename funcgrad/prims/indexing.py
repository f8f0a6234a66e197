"""Reading and writing at computed positions: gather, scatter, and dynamic slices.

Parameters are those of JAX's lax (and XLA). A gather reads, for each index vector, a window of `slice_sizes`
that begins there; a scatter writes windows. What an out-of-bounds window does is said by `mode`: CLIP moves it
inside, FILL_OR_DROP reads `fill_value` or writes nothing.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from funcgrad import dtypes
from funcgrad.errors import DTypeError, NotDifferentiableError, ShapeError
from funcgrad.ir import expr as E
from funcgrad.ir.primitive import Primitive, Sample, Zero
from funcgrad.ir.text import register_record
from funcgrad.ir.types import ArrayType, array_type
from funcgrad.prims.checks import first_failing
from funcgrad.prims.registry import is_linear
from funcgrad.prims.samples import draw, draw_integers
from funcgrad.trace import ops
from funcgrad.trace.core import type_of


@register_record
class GatherScatterMode(enum.Enum):
    """What a window that is not inside the operand does."""

    CLIP = 0
    FILL_OR_DROP = 1
    PROMISE_IN_BOUNDS = 2

    @staticmethod
    def of(mode: Any) -> GatherScatterMode:
        """The mode of this name: clip, fill, drop, promise_in_bounds; None is FILL_OR_DROP."""
        if isinstance(mode, GatherScatterMode):
            return mode
        known = {"clip": 0, "fill": 1, "drop": 1, "promise_in_bounds": 2, None: 1}
        if mode not in known:
            raise ValueError(f"mode is 'clip', 'fill', 'drop' or 'promise_in_bounds', got {mode!r}")
        return GatherScatterMode(known[mode])


@register_record
@dataclass(frozen=True)
class GatherDimensionNumbers:
    """Which axes of a gather's operand, indices and output belong together; as in jax.lax."""

    offset_dims: tuple[int, ...]
    collapsed_slice_dims: tuple[int, ...]
    start_index_map: tuple[int, ...]
    operand_batching_dims: tuple[int, ...] = ()
    start_indices_batching_dims: tuple[int, ...] = ()


@register_record
@dataclass(frozen=True)
class ScatterDimensionNumbers:
    """Which axes of a scatter's operand, indices and updates belong together; as in jax.lax."""

    update_window_dims: tuple[int, ...]
    inserted_window_dims: tuple[int, ...]
    scatter_dims_to_operand_dims: tuple[int, ...]
    operand_batching_dims: tuple[int, ...] = ()
    scatter_indices_batching_dims: tuple[int, ...] = ()

    def as_gather(self) -> GatherDimensionNumbers:
        """The numbers of the gather that reads what this scatter writes."""
        return GatherDimensionNumbers(
            self.update_window_dims,
            self.inserted_window_dims,
            self.scatter_dims_to_operand_dims,
            self.operand_batching_dims,
            self.scatter_indices_batching_dims,
        )


def as_scatter(numbers: GatherDimensionNumbers) -> ScatterDimensionNumbers:
    """The numbers of the scatter that writes where this gather reads."""
    return ScatterDimensionNumbers(
        numbers.offset_dims,
        numbers.collapsed_slice_dims,
        numbers.start_index_map,
        numbers.operand_batching_dims,
        numbers.start_indices_batching_dims,
    )


def _window_dims(numbers: GatherDimensionNumbers, ndim: int) -> list[int]:
    """The operand axes whose windows are axes of the output."""
    gone = (*numbers.collapsed_slice_dims, *numbers.operand_batching_dims)
    return [d for d in range(ndim) if d not in gone]


def _shift(dims: Sequence[int]) -> tuple[int, ...]:
    return tuple([d + 1 for d in dims])


def _check_indices(name: str, indices: ArrayType, count: int) -> None:
    if not dtypes.is_integer(indices.dtype):
        raise DTypeError(f"{name} takes integer indices, got {indices}", hint="use x.astype(int)")
    if indices.ndim == 0 or indices.shape[-1] != count:
        raise ShapeError(
            f"{name}: the last axis of the indices holds index vectors of length {count}, got {indices}"
        )


# gather
def _gather_type(
    operand: ArrayType,
    indices: ArrayType,
    *,
    dimension_numbers: GatherDimensionNumbers,
    slice_sizes: tuple[int, ...],
    **params: Any,
) -> ArrayType:
    numbers = dimension_numbers
    _check_indices("gather", indices, len(numbers.start_index_map))
    batching = numbers.operand_batching_dims
    longest = [1 if d in batching else n for d, n in enumerate(operand.shape)]  # of no examples too
    if len(slice_sizes) != operand.ndim or any(not 0 <= s <= n for s, n in zip(slice_sizes, longest)):
        raise ShapeError(f"gather: slice_sizes {slice_sizes} do not fit {operand}: one per axis, none longer")
    for d in (*numbers.collapsed_slice_dims, *numbers.operand_batching_dims):
        if slice_sizes[d] > 1:
            raise ShapeError(f"gather: axis {d} is collapsed, so its slice size is 1, got {slice_sizes[d]}")
    windows = [slice_sizes[d] for d in _window_dims(numbers, operand.ndim)]
    if len(windows) != len(numbers.offset_dims):
        raise ShapeError(f"gather: {len(numbers.offset_dims)} offset_dims for {len(windows)} window axes")
    return array_type(
        _interleaved(indices.shape[:-1], windows, numbers.offset_dims), operand.dtype, operand.weak
    )


def _interleaved(batch: Sequence[Any], windows: Sequence[Any], offset_dims: Sequence[int]) -> tuple[Any, ...]:
    """Batch entries in order, with window entries at the positions `offset_dims`."""
    rest, inside = iter(batch), dict(zip(offset_dims, windows))
    return tuple([inside[d] if d in inside else next(rest) for d in range(len(batch) + len(windows))])


def _positions(
    xp: Any,
    shape: Sequence[int],
    indices: Any,
    numbers: GatherDimensionNumbers,
    sizes: Sequence[int],
    clip: bool,
) -> tuple[list[Any], Any]:
    """For each operand axis the positions that are read, broadcastable to (batch..., one axis per operand axis), and
    which windows are inside (None for all)."""
    batch_shape = indices.shape[:-1]
    ndim, inside, result = len(shape), None, []
    for d in range(ndim):
        if d in numbers.start_index_map:
            start = indices[..., numbers.start_index_map.index(d)].astype(np.int64)
            last = shape[d] - sizes[d]
            if not clip:
                here = (start >= 0) & (start <= last)
                inside = here if inside is None else inside & here
            start = xp.clip(start, 0, max(last, 0))
        elif d in numbers.operand_batching_dims:
            axis = numbers.start_indices_batching_dims[numbers.operand_batching_dims.index(d)]
            lengths = [1] * len(batch_shape)
            lengths[axis] = batch_shape[axis]
            start = xp.arange(batch_shape[axis]).reshape(lengths)
        else:
            start = xp.zeros((1,) * len(batch_shape), np.int64)
        window = [1] * ndim
        window[d] = sizes[d]
        result.append(start.reshape(start.shape + (1,) * ndim) + xp.arange(sizes[d]).reshape(window))
    return result, inside


def _evaluate_gather(
    xp: Any,
    operand: Any,
    indices: Any,
    *,
    dimension_numbers: GatherDimensionNumbers,
    slice_sizes: tuple[int, ...],
    mode: GatherScatterMode,
    fill_value: Any,
    **params: Any,
) -> Any:
    numbers, ndim = dimension_numbers, operand.ndim
    clip = mode is not GatherScatterMode.FILL_OR_DROP
    full = (*indices.shape[:-1], *slice_sizes)
    if 0 in full:
        values = xp.zeros(full, operand.dtype)
    elif operand.size == 0:
        values = xp.full(full, fill_of(operand.dtype, fill_value), operand.dtype)
    else:
        places, inside = _positions(xp, operand.shape, indices, numbers, slice_sizes, clip)
        values = operand[tuple(places)] if ndim else xp.broadcast_to(operand, full)
        if inside is not None:
            values = xp.where(
                inside.reshape(inside.shape + (1,) * ndim), values, fill_of(operand.dtype, fill_value)
            )
    values = values.astype(operand.dtype, copy=False)
    batch_ndim = indices.ndim - 1
    windows = _window_dims(numbers, ndim)
    kept = values.reshape((*indices.shape[:-1], *[slice_sizes[d] for d in windows]))
    order = _interleaved(range(batch_ndim), range(batch_ndim, batch_ndim + len(windows)), numbers.offset_dims)
    return xp.transpose(kept, order)


def fill_of(dtype: np.dtype, fill_value: Any) -> Any:
    """What an out-of-bounds read gives: `fill_value`, or NaN, the smallest integer, the largest unsigned one, True."""
    if fill_value is not None:
        return dtype.type(fill_value)
    if dtypes.is_inexact(dtype):
        return dtype.type(np.nan)
    if dtypes.is_bool(dtype):
        return dtype.type(True)
    info = np.iinfo(dtype)
    return dtype.type(info.min if dtypes.is_signed(dtype) else info.max)


def gather(
    operand: Any,
    indices: Any,
    numbers: GatherDimensionNumbers,
    slice_sizes: Sequence[int],
    mode: GatherScatterMode = GatherScatterMode.CLIP,
    fill_value: Any = None,
    unique_indices: bool = False,
    indices_are_sorted: bool = False,
) -> Any:
    """Bind the primitive."""
    return ops.apply(
        "gather",
        operand,
        indices,
        dimension_numbers=numbers,
        slice_sizes=tuple(slice_sizes),
        unique_indices=unique_indices,
        indices_are_sorted=indices_are_sorted,
        mode=mode,
        fill_value=fill_value,
    )


def out_of_bounds(
    shape: Sequence[int], starts: Sequence[tuple[Any, int, int]]
) -> list[tuple[str, Any, str, Any]]:
    """The hazards of reading or writing windows of an array; `starts` has (positions, axis, size of window)."""
    found = []
    for start, axis, size in starts:
        start = ops.convert(start, dtypes.int64)
        last = ops.full_like(start, shape[axis] - size)
        outside = ops.or_(ops.lt(start, ops.full_like(start, 0)), ops.gt(start, last))
        failed, (value,) = first_failing(ops.not_(outside), [start])
        what = "index {}" if size == 1 else f"the window of length {size} from index {{}} on"
        words = f"out-of-bounds indexing for array of shape {tuple(shape)}: {what} is out of bounds for axis {axis} "
        found.append(("index", failed, words + f"with size {shape[axis]}", value))
    return found


def _gather_hazards(operand: Any, indices: Any, *, dimension_numbers: Any, slice_sizes: Any, **params: Any):
    return _window_hazards(operand, indices, dimension_numbers, slice_sizes)


def _window_hazards(operand: Any, indices: Any, numbers: GatherDimensionNumbers, sizes: Sequence[int]):
    axis = type_of(indices).ndim - 1
    columns = [
        (ops.slice_in_dim(indices, k, k + 1, 1, axis), d, sizes[d])
        for k, d in enumerate(numbers.start_index_map)
    ]
    return out_of_bounds(type_of(operand).shape, columns)


def _gather_jvp(primals: Sequence[Any], tangents: Sequence[Any], **params: Any) -> tuple[Any, Any]:
    operand, indices = primals
    out = ops.apply("gather", operand, indices, **params)
    if tangents[0].__class__ is Zero:
        return out, Zero(type_of(out).tangent())
    return out, ops.apply("gather", tangents[0], indices, **{**params, "fill_value": 0})


def _gather_transpose(ct: Any, operand: Any, indices: Any, **params: Any) -> list[Any]:
    into = ops.zeros(operand.type)
    flags = {k: params[k] for k in ("unique_indices", "indices_are_sorted", "mode")}
    numbers = as_scatter(params["dimension_numbers"])
    return [ops.apply("scatter_add", into, indices, ct, dimension_numbers=numbers, **flags), None]


def _gather_batch(size: int, operands: Sequence[Any], axes: Sequence[int | None], /, **params: Any):
    (operand, indices), (oa, ia) = operands, axes
    numbers: GatherDimensionNumbers = params["dimension_numbers"]
    sizes = params["slice_sizes"]
    if oa is not None:
        operand = ops.moveaxis(operand, oa, 0)
    if ia is not None:
        indices = ops.moveaxis(indices, ia, 0)
    if ia is None:
        numbers = replace(numbers, offset_dims=(0, *_shift(numbers.offset_dims)))
        sizes = (size, *sizes)
    else:
        numbers = replace(
            numbers,
            offset_dims=_shift(numbers.offset_dims),
            start_indices_batching_dims=_shift(numbers.start_indices_batching_dims),
        )
        if oa is not None:
            sizes = (1, *sizes)
    if oa is not None:
        numbers = replace(
            numbers,
            collapsed_slice_dims=_shift(numbers.collapsed_slice_dims),
            start_index_map=_shift(numbers.start_index_map),
            operand_batching_dims=_shift(numbers.operand_batching_dims),
        )
        if ia is not None:
            numbers = replace(
                numbers,
                operand_batching_dims=(0, *numbers.operand_batching_dims),
                start_indices_batching_dims=(0, *numbers.start_indices_batching_dims),
            )
    params = {**params, "dimension_numbers": numbers, "slice_sizes": tuple(int(s) for s in sizes)}
    return ops.apply("gather", operand, indices, **params), 0


def _read_positions(
    operand: ArrayType,
    numbers: GatherDimensionNumbers,
    sizes: Sequence[int],
    out_ndim: int,
    indices_operand: int,
    clip: bool,
) -> tuple[list[E.Index], list[tuple[E.Index, int, int]]]:
    """Per operand axis the index expression of the element that output axes address, and the bounds of starts."""
    batch_axes = [E.axis(d) for d in range(out_ndim) if d not in numbers.offset_dims]
    windows = dict(zip(_window_dims(numbers, operand.ndim), numbers.offset_dims))
    places, bounds = [], []
    for d in range(operand.ndim):
        place = E.axis(windows[d]) if d in windows else E.as_index(0)
        if d in numbers.start_index_map:
            number = numbers.start_index_map.index(d)
            start = E.from_scalar(E.Read(indices_operand, (*batch_axes, E.as_index(number))))
            last = operand.shape[d] - sizes[d]
            if clip:
                start = start.clamp(0, max(last, 0))
            else:
                bounds.append((start, 0, last + 1))
            place = place + start
        elif d in numbers.operand_batching_dims:
            which = numbers.start_indices_batching_dims[numbers.operand_batching_dims.index(d)]
            place = batch_axes[which]
        places.append(place)
    return places, bounds


def _lower_gather(in_types: Sequence[ArrayType], out_types: Any, **params: Any) -> E.Map:
    operand, out = in_types[0], E.one_type(out_types)
    clip = params["mode"] is not GatherScatterMode.FILL_OR_DROP
    numbers, sizes = params["dimension_numbers"], params["slice_sizes"]
    places, bounds = _read_positions(operand, numbers, sizes, out.ndim, 1, clip)
    read = E.Read(0, tuple(places))
    if not bounds:
        return E.Map(read)
    return E.Map(E.Guard(tuple(bounds), read, E.const(fill_of(out.dtype, params["fill_value"]), out.dtype)))


def _gather_samples() -> Iterable[Sample]:
    rows = GatherDimensionNumbers((1,), (0,), (0,))
    flags = {"unique_indices": False, "indices_are_sorted": False}
    for dtype in dtypes.ALL:
        moving = (0,) if dtypes.is_inexact(dtype) else ()
        yield Sample(
            (draw(5, 3, dtype=dtype), draw_integers(0, 5, 4, 1)),
            {
                "dimension_numbers": rows,
                "slice_sizes": (1, 3),
                "mode": GatherScatterMode.CLIP,
                "fill_value": None,
                **flags,
            },
            moving,
            dtypes.name(dtype),
        )
    cases: list[tuple[tuple[int, ...], Any, GatherDimensionNumbers, tuple[int, ...]]] = [
        ((5, 3), draw_integers(-3, 8, 4, 1, dtype=dtypes.int64), rows, (1, 3)),
        ((5,), draw_integers(-2, 7, 2, 3, 1), GatherDimensionNumbers((), (0,), (0,)), (1,)),
        ((4, 5), draw_integers(-1, 6, 3, 2), GatherDimensionNumbers((), (0, 1), (0, 1)), (1, 1)),
        ((4, 5), draw_integers(-1, 4, 3, 2), GatherDimensionNumbers((0, 2), (), (1, 0)), (2, 3)),
        ((3, 5), draw_integers(0, 5, 3, 1), GatherDimensionNumbers((), (1,), (1,), (0,), (0,)), (1, 1)),
    ]
    for shape, indices, numbers, sizes in cases:
        for mode in (GatherScatterMode.CLIP, GatherScatterMode.FILL_OR_DROP):
            params = {
                "dimension_numbers": numbers,
                "slice_sizes": sizes,
                "mode": mode,
                "fill_value": 7,
                **flags,
            }
            yield Sample((draw(*shape), indices), params, (0,) if mode is GatherScatterMode.CLIP else ())


gather_p = Primitive(
    name="gather",
    hazards=_gather_hazards,
    type_rule=_gather_type,
    evaluate=_evaluate_gather,
    jvp=_gather_jvp,
    transpose=_gather_transpose,
    batch=_gather_batch,
    lower=_lower_gather,
    samples=_gather_samples,
)


# scatter, scatter_add, scatter_mul, scatter_min, scatter_max
def _scatter_type(
    operand: ArrayType,
    indices: ArrayType,
    updates: ArrayType,
    *,
    dimension_numbers: ScatterDimensionNumbers,
    **params: Any,
) -> ArrayType:
    numbers = dimension_numbers
    _check_indices("scatter", indices, len(numbers.scatter_dims_to_operand_dims))
    if operand.dtype != updates.dtype:
        raise DTypeError(
            f"scatter of updates {updates} into {operand}: dtypes differ",
            hint="convert the updates with .astype(...)",
        )
    windows = _window_dims(numbers.as_gather(), operand.ndim)
    if updates.ndim != indices.ndim - 1 + len(windows) or len(numbers.update_window_dims) != len(windows):
        raise ShapeError(
            f"scatter of updates {updates} at indices {indices} into {operand}: updates have the batch axes of the "
            f"indices and one axis for each of the {len(windows)} window axes"
        )
    batch = [n for d, n in enumerate(updates.shape) if d not in numbers.update_window_dims]
    if tuple(batch) != indices.shape[:-1]:
        raise ShapeError(
            f"scatter: the batch axes {tuple(batch)} of updates are not those of indices {indices}"
        )
    for d, place in zip(windows, numbers.update_window_dims):
        if updates.shape[place] > operand.shape[d]:
            raise ShapeError(f"scatter: updates {updates} are longer than axis {d} of {operand}")
    return operand


def _update_sizes(
    operand_ndim: int, updates_shape: Sequence[int], numbers: ScatterDimensionNumbers
) -> list[int]:
    """The length of an update's window on each operand axis."""
    windows = dict(zip(_window_dims(numbers.as_gather(), operand_ndim), numbers.update_window_dims))
    return [updates_shape[windows[d]] if d in windows else 1 for d in range(operand_ndim)]


_COMBINE = {
    "scatter_add": "add",
    "scatter_mul": "multiply",
    "scatter_min": "minimum",
    "scatter_max": "maximum",
}


def _evaluate_scatter(name: str):
    def evaluate(
        xp: Any,
        operand: Any,
        indices: Any,
        updates: Any,
        *,
        dimension_numbers: ScatterDimensionNumbers,
        mode: GatherScatterMode,
        **params: Any,
    ) -> Any:
        numbers, ndim = dimension_numbers, operand.ndim
        sizes = _update_sizes(ndim, updates.shape, numbers)
        result = (
            operand.astype(dtypes.compute_dtype(operand.dtype))
            if operand.dtype.itemsize == 2
            else operand.copy()
        )
        if updates.size == 0 or operand.size == 0:
            return operand.copy()
        clip = mode is GatherScatterMode.CLIP
        places, inside = _positions(xp, operand.shape, indices, numbers.as_gather(), sizes, clip)
        batch = [d for d in range(updates.ndim) if d not in numbers.update_window_dims]
        ordered = xp.transpose(updates, [*batch, *numbers.update_window_dims])
        values = ordered.reshape((*indices.shape[:-1], *sizes)).astype(result.dtype)
        if ndim == 0:
            places, values = [], values.reshape(-1)
            result = result.reshape(1)
            places = [xp.zeros(values.shape, np.int64)]
        else:
            places = [xp.broadcast_to(p, values.shape) for p in places]
        if inside is not None:
            chosen = xp.broadcast_to(inside.reshape(inside.shape + (1,) * ndim), values.shape)
            places, values = [p[chosen] for p in places], values[chosen]
        if name == "scatter":
            result[tuple(places)] = values
        elif dtypes.is_bool(operand.dtype):
            function = {"scatter_add": xp.logical_or, "scatter_max": xp.logical_or}.get(name, xp.logical_and)
            function.at(result, tuple(places), values)
        else:
            getattr(xp, _COMBINE[name]).at(result, tuple(places), values)
        return result.reshape(operand.shape).astype(operand.dtype, copy=False)

    return evaluate


def _read_back(
    x: Any, indices: Any, updates_shape: Sequence[int], params: dict[str, Any], fill: Any = 0
) -> Any:
    """What stands in `x` where the updates go."""
    numbers = params["dimension_numbers"]
    sizes = _update_sizes(type_of(x).ndim, updates_shape, numbers)
    mode = params["mode"]
    return gather(x, indices, numbers.as_gather(), sizes, mode, fill, params["unique_indices"])


def _linear_scatter_jvp(name: str):
    def jvp(primals: Sequence[Any], tangents: Sequence[Any], **params: Any) -> tuple[Any, Any]:
        operand, indices, updates = primals
        out = ops.apply(name, operand, indices, updates, **params)
        to, _, tu = tangents
        if to.__class__ is Zero and tu.__class__ is Zero:
            return out, Zero(type_of(out).tangent())
        return out, ops.apply(name, ops.materialize(to), indices, ops.materialize(tu), **params)

    return jvp


def _scatter_add_transpose(ct: Any, operand: Any, indices: Any, updates: Any, **params: Any) -> list[Any]:
    to_updates = _read_back(ct, indices, updates.type.shape, params) if is_linear(updates) else None
    return [ct if is_linear(operand) else None, None, to_updates]


def _scatter_transpose(ct: Any, operand: Any, indices: Any, updates: Any, **params: Any) -> list[Any]:
    """The operand's cotangent is none where something was written; an update's, where it was the last to write."""
    shape = updates.type.shape if is_linear(updates) else type_of(updates).shape
    to_operand = to_updates = None
    if is_linear(operand):
        to_operand = ops.apply("scatter", ct, indices, ops.full(shape, 0, type_of(ct).dtype), **params)
    if is_linear(updates):
        to_updates = _read_back(ct, indices, shape, params)
        if not params["unique_indices"]:
            count = 1
            for n in shape:
                count *= n
            numbers = ops.reshape(ops.iota(dtypes.int64, (count,), 0), shape)
            nobody = ops.full(type_of(ct).shape, -1, dtypes.int64)
            last = ops.apply("scatter", nobody, indices, numbers, **params)
            wrote = ops.eq(_read_back(last, indices, shape, params, -1), numbers)
            to_updates = ops.select(wrote, to_updates, 0)
    return [to_operand, None, to_updates]


def _scatter_mul_jvp(primals: Sequence[Any], tangents: Sequence[Any], **params: Any) -> tuple[Any, Any]:
    operand, indices, updates = primals
    out = ops.apply("scatter_mul", operand, indices, updates, **params)
    to, _, tu = tangents
    total: Any = Zero(type_of(out).tangent())
    if to.__class__ is not Zero:
        total = ops.apply("scatter_mul", to, indices, updates, **params)
    if tu.__class__ is not Zero:
        if not params["unique_indices"]:
            raise NotDifferentiableError(
                "scatter_mul has a derivative with respect to its updates only where the indices are unique",
                hint="say so: x.at[i].multiply(v, unique_indices=True)",
            )
        before = _read_back(operand, indices, type_of(updates).shape, params)
        zeros = ops.full_like(operand, 0)
        total = ops.add_cotangents(
            total, ops.apply("scatter_add", zeros, indices, ops.mul(before, tu), **params)
        )
    return out, total


def _scatter_mul_transpose(ct: Any, operand: Any, indices: Any, updates: Any, **params: Any) -> list[Any]:
    return [ops.apply("scatter_mul", ct, indices, updates, **params), None, None]


def _scatter_extreme_jvp(name: str):
    def jvp(primals: Sequence[Any], tangents: Sequence[Any], **params: Any) -> tuple[Any, Any]:
        """The mean tangent of what equals the extreme."""
        operand, indices, updates = primals
        out = ops.apply(name, operand, indices, updates, **params)
        to, _, tu = tangents
        if to.__class__ is Zero and tu.__class__ is Zero:
            return out, Zero(type_of(out).tangent())
        dtype = type_of(out).dtype
        kept = ops.convert(ops.eq(operand, out), dtype)
        chosen = ops.convert(ops.eq(updates, _read_back(out, indices, type_of(updates).shape, params)), dtype)
        count = ops.apply("scatter_add", kept, indices, chosen, **params)
        moved = ops.mul(kept, ops.materialize(to))
        total = ops.apply("scatter_add", moved, indices, ops.mul(chosen, ops.materialize(tu)), **params)
        return out, ops.div(total, count)

    return jvp


def _scatter_batch(name: str):
    def batch(size: int, operands: Sequence[Any], axes: Sequence[int | None], /, **params: Any):
        operand, indices, updates = operands
        oa, ia, ua = axes
        numbers: ScatterDimensionNumbers = params["dimension_numbers"]

        def spread(x: Any, axis: int | None) -> Any:
            if axis is not None:
                return ops.moveaxis(x, axis, 0)
            shape = type_of(x).shape
            return ops.broadcast_in_dim(x, (size, *shape), range(1, len(shape) + 1))

        operand, updates = spread(operand, oa), spread(updates, ua)
        numbers = replace(
            numbers,
            inserted_window_dims=_shift(numbers.inserted_window_dims),
            scatter_dims_to_operand_dims=_shift(numbers.scatter_dims_to_operand_dims),
            operand_batching_dims=_shift(numbers.operand_batching_dims),
            update_window_dims=_shift(numbers.update_window_dims),
        )
        if ia is None:
            numbers = replace(numbers, update_window_dims=(0, *numbers.update_window_dims))
        else:
            indices = ops.moveaxis(indices, ia, 0)
            numbers = replace(
                numbers,
                operand_batching_dims=(0, *numbers.operand_batching_dims),
                scatter_indices_batching_dims=(0, *_shift(numbers.scatter_indices_batching_dims)),
            )
        params = {**params, "dimension_numbers": numbers}
        return ops.apply(name, operand, indices, updates, **params), 0

    return batch


def _scatter_hazards(operand: Any, indices: Any, updates: Any, *, dimension_numbers: Any, **params: Any):
    sizes = _update_sizes(type_of(operand).ndim, type_of(updates).shape, dimension_numbers)
    return _window_hazards(operand, indices, dimension_numbers.as_gather(), sizes)


def _lower_scatter(kind: str):
    def lower(in_types: Sequence[ArrayType], out_types: Any, **params: Any) -> E.Scatter:
        operand, _, updates = in_types
        numbers: ScatterDimensionNumbers = params["dimension_numbers"]
        sizes = _update_sizes(operand.ndim, updates.shape, numbers)
        clip = params["mode"] is GatherScatterMode.CLIP
        places, bounds = _read_positions(operand, numbers.as_gather(), sizes, updates.ndim, 1, clip)
        value = E.Read(2, E.axes(updates.ndim))
        return E.Scatter(kind, 0, updates.shape, tuple(places), value, tuple(bounds))

    return lower


def _scatter_samples(name: str):
    def samples() -> Iterable[Sample]:
        rows = ScatterDimensionNumbers((1,), (0,), (0,))
        fixed = np.array([[3], [0], [4]], np.int32)
        for dtype in dtypes.ALL:
            if dtypes.is_complex(dtype) and name in ("scatter_min", "scatter_max"):
                continue
            params = {
                "dimension_numbers": rows,
                "unique_indices": True,
                "indices_are_sorted": False,
                "mode": GatherScatterMode.FILL_OR_DROP,
            }
            moving = (0, 2) if dtypes.is_inexact(dtype) else ()
            yield Sample(
                (draw(5, 2, dtype=dtype), fixed, draw(3, 2, dtype=dtype)), params, moving, dtypes.name(dtype)
            )
        single = ScatterDimensionNumbers((), (0,), (0,))
        window = ScatterDimensionNumbers((0, 2), (), (1, 0))
        batched = ScatterDimensionNumbers((), (1,), (1,), (0,), (0,))
        repeated = np.array([[1], [1], [3], [1]], np.int64)
        for mode in (GatherScatterMode.CLIP, GatherScatterMode.FILL_OR_DROP):
            flags = {"unique_indices": False, "indices_are_sorted": False, "mode": mode}
            both = () if name == "scatter_mul" else (0, 2)
            yield Sample(
                (draw(4), repeated, draw(4)), {"dimension_numbers": single, **flags}, both, "repeated"
            )
            yield Sample(
                (draw(4), draw_integers(-2, 6, 5, 1), draw(5)),
                {"dimension_numbers": single, **flags},
                both,
                "outside",
            )
            yield Sample(
                (draw(4, 5), draw_integers(-1, 4, 3, 2), draw(2, 3, 3)),
                {"dimension_numbers": window, **flags},
                both,
            )
            yield Sample(
                (draw(3, 5), draw_integers(0, 5, 3, 1), draw(3)),
                {"dimension_numbers": batched, **flags},
                both,
            )

    return samples


def _define_scatter(name: str, kind: str, jvp: Any, transpose: Any) -> Primitive:
    return Primitive(
        name=name,
        type_rule=_scatter_type,
        evaluate=_evaluate_scatter(name),
        jvp=jvp,
        transpose=transpose,
        batch=_scatter_batch(name),
        lower=_lower_scatter(kind),
        hazards=_scatter_hazards,
        samples=_scatter_samples(name),
    )


scatter_p = _define_scatter("scatter", "set", _linear_scatter_jvp("scatter"), _scatter_transpose)
scatter_add_p = _define_scatter(
    "scatter_add", "add", _linear_scatter_jvp("scatter_add"), _scatter_add_transpose
)
scatter_mul_p = _define_scatter("scatter_mul", "mul", _scatter_mul_jvp, _scatter_mul_transpose)
scatter_min_p = _define_scatter("scatter_min", "min", _scatter_extreme_jvp("scatter_min"), None)
scatter_max_p = _define_scatter("scatter_max", "max", _scatter_extreme_jvp("scatter_max"), None)

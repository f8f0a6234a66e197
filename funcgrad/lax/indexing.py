"""Reading and writing at computed positions, under the names of `jax.lax`. Owns no computation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from funcgrad.errors import ArgumentError, boundary
from funcgrad.lax.elementwise import same_dtype
from funcgrad.lax.shape import as_sizes, normal_axis
from funcgrad.prims.indexing import GatherDimensionNumbers, GatherScatterMode, ScatterDimensionNumbers
from funcgrad.promotion import check_arrays
from funcgrad.trace import ops
from funcgrad.trace.core import type_of

__all__ = [
    "GatherDimensionNumbers",
    "GatherScatterMode",
    "ScatterDimensionNumbers",
    "gather",
    "index_take",
    "scatter",
    "scatter_add",
    "scatter_max",
    "scatter_min",
    "scatter_mul",
    "scatter_sub",
    "take_along",
]


def _mode(mode: Any, function: str) -> GatherScatterMode:
    try:
        return GatherScatterMode.of(mode)
    except ValueError as error:
        raise ArgumentError(f"lax.{function}: {error}") from None


@boundary
def gather(
    operand: Any,
    start_indices: Any,
    dimension_numbers: GatherDimensionNumbers,
    slice_sizes: Sequence[int],
    *,
    unique_indices: bool = False,
    indices_are_sorted: bool = False,
    mode: Any = None,
    fill_value: Any = None,
) -> Any:
    """A window of `slice_sizes` of the operand for each index vector in the last axis of `start_indices`.

    `dimension_numbers` says which axes belong together, as XLA's gather does. `mode` is "clip" (a window
    outside is moved inside), "fill" (it reads `fill_value`, NaN by default) or "promise_in_bounds".
    """
    check_arrays("lax.gather", operand, start_indices)
    return ops.apply(
        "gather",
        operand,
        start_indices,
        dimension_numbers=dimension_numbers,
        slice_sizes=as_sizes(slice_sizes, "gather"),
        unique_indices=unique_indices,
        indices_are_sorted=indices_are_sorted,
        mode=_mode(mode, "gather"),
        fill_value=fill_value,
    )


def _scatter(name: str, doc: str) -> Callable[..., Any]:
    @boundary
    def function(
        operand: Any,
        scatter_indices: Any,
        updates: Any,
        dimension_numbers: ScatterDimensionNumbers,
        *,
        indices_are_sorted: bool = False,
        unique_indices: bool = False,
        mode: Any = None,
    ) -> Any:
        operand, updates = same_dtype(name, operand, updates)
        check_arrays(f"lax.{name}", scatter_indices)
        return ops.apply(
            name,
            operand,
            scatter_indices,
            updates,
            dimension_numbers=dimension_numbers,
            indices_are_sorted=indices_are_sorted,
            unique_indices=unique_indices,
            mode=_mode(mode, name),
        )

    function.__name__ = function.__qualname__ = name
    function.__doc__ = doc
    return function


scatter = _scatter("scatter", "The operand with the windows of `updates` put at `scatter_indices`.")
scatter_add = _scatter("scatter_add", "The operand with the windows of `updates` added at `scatter_indices`.")
scatter_mul = _scatter(
    "scatter_mul", "The operand multiplied by the windows of `updates` at `scatter_indices`."
)
scatter_min = _scatter("scatter_min", "The smaller of the operand and the windows of `updates`.")
scatter_max = _scatter("scatter_max", "The larger of the operand and the windows of `updates`.")


def scatter_sub(
    operand: Any, scatter_indices: Any, updates: Any, dimension_numbers: Any, **options: Any
) -> Any:
    """The operand with the windows of `updates` subtracted at `scatter_indices`."""
    return scatter_add(operand, scatter_indices, ops.neg(updates), dimension_numbers, **options)


@boundary
def index_take(src: Any, idxs: Sequence[Any], axes: Sequence[int]) -> Any:
    """The slices at the positions `idxs` (one vector for each of `axes`), along a new leading axis."""
    t = type_of(src)
    axes = [normal_axis(a, t.ndim, "index_take") for a in axes]
    indices = ops.concatenate([ops.expand_dims(i, (1,)) for i in idxs], 1)
    numbers = GatherDimensionNumbers(
        offset_dims=tuple(range(1, t.ndim - len(axes) + 1)),
        collapsed_slice_dims=tuple(sorted(axes)),
        start_index_map=tuple(axes),
    )
    sizes = [1 if d in axes else n for d, n in enumerate(t.shape)]
    return gather(src, indices, numbers, sizes, mode="clip")


def take_along(operand: Any, indices: Any, axis: int) -> Any:
    """The slices of the operand at `indices` along `axis`; the axes of `indices` take its place."""
    t, own = type_of(operand), type_of(indices)
    after = range(axis + own.ndim, t.ndim + own.ndim - 1)
    numbers = GatherDimensionNumbers((*range(axis), *after), (axis,), (axis,))
    sizes = [1 if d == axis else n for d, n in enumerate(t.shape)]
    return gather(operand, ops.expand_dims(indices, (own.ndim,)), numbers, sizes, mode="clip")

"""Reductions over segments, under the names of `jax.ops`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from funcgrad import dtypes
from funcgrad.errors import ArgumentError, DTypeError, ShapeError, boundary
from funcgrad.lax import indexing
from funcgrad.promotion import check_arrays
from funcgrad.trace import ops
from funcgrad.trace.core import Tracer


def _lowest(dtype: np.dtype) -> Any:
    if dtypes.is_bool(dtype):
        return False
    return -np.inf if dtypes.is_inexact(dtype) else dtypes.iinfo(dtype).min


def _highest(dtype: np.dtype) -> Any:
    if dtypes.is_bool(dtype):
        return True
    return np.inf if dtypes.is_inexact(dtype) else dtypes.iinfo(dtype).max


def _segment(
    name: str, scatter: Callable[..., Any], start: Callable[[np.dtype], Any], what: str
) -> Callable[..., Any]:
    @boundary
    def function(
        data: Any,
        segment_ids: Any,
        num_segments: int | None = None,
        indices_are_sorted: bool = False,
        unique_indices: bool = False,
        bucket_size: int | None = None,
        mode: Any = None,
    ) -> Any:
        t, ids = check_arrays(f"ops.{name}", data, segment_ids)
        if not dtypes.is_integer(ids.dtype):
            raise DTypeError(f"ops.{name} takes integer segment_ids, got {ids}", hint="use x.astype(int)")
        if ids.ndim != 1 or not t.ndim or t.shape[0] != ids.shape[0]:
            raise ShapeError(
                f"ops.{name} takes one segment id for each row of {t}, got {ids}",
                hint="segment_ids is a vector as long as the first axis of the data",
            )
        if num_segments is None:
            if isinstance(segment_ids, Tracer):
                raise ArgumentError(
                    f"ops.{name} needs num_segments for traced segment_ids: the shape depends on it",
                    hint="pass num_segments=n",
                )
            num_segments = int(np.max(np.asarray(segment_ids), initial=-1)) + 1
        numbers = indexing.ScatterDimensionNumbers(tuple(range(1, t.ndim)), (0,), (0,))
        return scatter(
            ops.full((num_segments, *t.shape[1:]), start(t.dtype), t.dtype),
            ops.expand_dims(segment_ids, (1,)),
            data,
            numbers,
            indices_are_sorted=indices_are_sorted,
            unique_indices=unique_indices,
            mode=mode,
        )

    function.__name__ = function.__qualname__ = name
    function.__doc__ = (
        f"{what} of the rows of `data` in each segment; row i is in segment `segment_ids[i]`.\n\n"
        "    Rows with an id outside 0..num_segments-1 are left out."
    )
    return function


segment_sum = _segment("segment_sum", indexing.scatter_add, lambda dtype: 0, "The sum")
segment_prod = _segment("segment_prod", indexing.scatter_mul, lambda dtype: 1, "The product")
segment_max = _segment("segment_max", indexing.scatter_max, _lowest, "The largest")
segment_min = _segment("segment_min", indexing.scatter_min, _highest, "The smallest")

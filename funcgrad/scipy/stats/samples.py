"""Statistics of samples: standard error of the mean."""

from __future__ import annotations

from typing import Any

from funcgrad.errors import ArgumentError, boundary
from funcgrad.numpy.creation import asarray
from funcgrad.numpy.promotion import promote_inexact
from funcgrad.numpy.reductions import std
from funcgrad.trace.core import type_of


@boundary
def sem(
    a: Any, axis: int | None = 0, ddof: int = 1, nan_policy: str = "propagate", *, keepdims: bool = False
) -> Any:
    """The standard error of the mean along `axis`: the standard deviation over the root of the count."""
    if nan_policy not in ("propagate", "omit"):
        raise ArgumentError(f"sem has no nan_policy {nan_policy!r}", hint="use 'propagate' or 'omit'")
    (x,) = promote_inexact("scipy.stats.sem", asarray(a))
    if axis is None:
        x, axis = x.ravel(), 0
    if nan_policy == "omit":
        there = x == x
        count = there.sum(axis=axis, keepdims=keepdims)
        return std(x, axis, ddof=ddof, keepdims=keepdims, where=there) / count**0.5
    return std(x, axis, ddof=ddof, keepdims=keepdims) / type_of(x).shape[axis] ** 0.5

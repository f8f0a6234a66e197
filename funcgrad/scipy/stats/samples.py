"""Statistics of samples: standard error of the mean, most frequent values, ranks."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

import funcgrad.numpy as jnp
from funcgrad.errors import ArgumentError, boundary
from funcgrad.lax import cummax, cummin
from funcgrad.numpy.creation import asarray
from funcgrad.numpy.reductions import std
from funcgrad.promotion import promote_inexact
from funcgrad.trace.core import type_of


@boundary
def sem(
    a: Any, axis: int | None = 0, ddof: int = 1, nan_policy: str = "propagate", *, keepdims: bool = False
) -> Any:
    """The standard error of the mean along `axis`: the standard deviation over the root of the count."""
    if nan_policy not in ("propagate", "omit"):
        raise ArgumentError(f"sem has no nan_policy {nan_policy!r}", hint="use 'propagate' or 'omit'")
    (x,) = promote_inexact("scipy.stats.sem", asarray(a))
    if nan_policy == "omit":
        there = x == x
        count = there.sum(axis=axis, keepdims=keepdims)
        return std(x, axis, ddof=ddof, keepdims=keepdims, where=there) / count**0.5
    t = type_of(x)
    return std(x, axis, ddof=ddof, keepdims=keepdims) / (t.size if axis is None else t.shape[axis]) ** 0.5


def _runs(line: Any) -> tuple[Any, Any, Any]:
    """Of a sorted last axis: where a new value begins, and for each element the first and the last rank, from 1, of
    its value. NaNs are one value."""
    same = line[..., 1:] == line[..., :-1]
    if jnp.issubdtype(line.dtype, jnp.inexact):
        same = same | (jnp.isnan(line[..., 1:]) & jnp.isnan(line[..., :-1]))
    edge = jnp.ones_like(line[..., :1], bool)
    new, last = jnp.concatenate([edge, ~same], -1), jnp.concatenate([~same, edge], -1)
    ranks = np.arange(1, line.shape[-1] + 1)
    axis = line.ndim - 1
    low = cummax(jnp.where(new, ranks, 0), axis=axis)
    return new, low, cummin(jnp.where(last, ranks, line.shape[-1]), axis=axis, reverse=True)


class ModeResult(NamedTuple):
    """The most frequent values and how often they occur."""

    mode: Any
    count: Any


@boundary
def mode(a: Any, axis: int | None = 0, nan_policy: str = "propagate", keepdims: bool = False) -> ModeResult:
    """The most frequent value along `axis` (of all elements for None), of equally frequent ones the least.

    >>> import funcgrad as fg
    >>> tuple(fg.scipy.stats.mode(fg.numpy.array([3, 1, 3, 2])))
    (Array(3, dtype=int64), Array(2, dtype=int64))
    """
    x = jnp.asarray(a)
    if nan_policy != "propagate":
        raise ArgumentError(f"mode: nan_policy is 'propagate', got {nan_policy!r}")
    ndim = x.ndim
    if axis is None:
        x, axis = x.reshape(-1), 0
    line = jnp.sort(jnp.moveaxis(x, axis, -1), -1)
    _, low, high = _runs(line)
    counts = high - low + 1
    best = jnp.argmax(counts, -1, keepdims=True)
    found = [jnp.take_along_axis(v, best, -1) for v in (line, counts)]
    if keepdims and ndim != x.ndim:
        return ModeResult(*[v.reshape((1,) * ndim) for v in found])
    kept = [jnp.moveaxis(v, -1, axis) if keepdims else v[..., 0] for v in found]
    return ModeResult(*kept)


@boundary
def rankdata(
    a: Any, method: str = "average", *, axis: int | None = None, nan_policy: str = "propagate"
) -> Any:
    """The ranks of elements along `axis` (of all of them for None), from 1.

    Equal elements get the 'average', 'min' or 'max' of their ranks, or ranks in the order of values without gaps
    ('dense'), or in the order in which they stand ('ordinal').

    >>> import funcgrad as fg
    >>> fg.scipy.stats.rankdata(fg.numpy.array([10, 30, 10]))
    Array([1.5, 3. , 1.5], dtype=float32)
    """
    x = jnp.asarray(a)
    if method not in ("average", "min", "max", "dense", "ordinal"):
        raise ArgumentError(
            f"rankdata: there is no method {method!r}", hint="average, min, max, dense or ordinal"
        )
    if nan_policy != "propagate":
        raise ArgumentError(f"rankdata: nan_policy is 'propagate', got {nan_policy!r}")
    if axis is None:
        return rankdata(x.reshape(-1), method, axis=0)
    line = jnp.moveaxis(x, axis, -1)
    order = jnp.argsort(line, -1)
    ordinal = jnp.argsort(order, -1) + 1
    if method == "ordinal":
        return jnp.moveaxis(ordinal, -1, axis)
    sorted_ = jnp.take_along_axis(line, order, -1)
    new, low, high = _runs(sorted_)
    found = {"dense": jnp.cumsum(new, -1), "min": low, "max": high, "average": (low + high) / 2}[method]
    ranks = jnp.take_along_axis(found, ordinal - 1, -1)
    if jnp.issubdtype(x.dtype, jnp.inexact):
        ranks = jnp.where(jnp.isnan(line).any(-1, keepdims=True), jnp.nan, ranks)
    return jnp.moveaxis(ranks, -1, axis)

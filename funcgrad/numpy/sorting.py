"""Order: sorting, ranks, binary search, medians and quantiles."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from funcgrad import dtypes
from funcgrad.errors import ArgumentError, ShapeError, boundary
from funcgrad.numpy.creation import asarray
from funcgrad.numpy.elementwise import isnan, where
from funcgrad.numpy.manipulation import ravel
from funcgrad.numpy.reductions import canonical_axes
from funcgrad.prims.sorting import along
from funcgrad.promotion import cast, check_arrays, promote, promote_inexact
from funcgrad.trace import ops
from funcgrad.trace.core import type_of


def _along(name: str, a: Any, axis: int | None) -> tuple[Any, int]:
    """The array and its axis; flat for None."""
    check_arrays(name, a)
    x = asarray(a)
    if axis is None:
        return ravel(x), 0
    return x, canonical_axes(name, axis, x)[0]


def _check_order(name: str, kind: Any, order: Any) -> None:
    if order is not None:
        raise ArgumentError(f"{name}: order={order!r} is for structured arrays, which do not exist here")
    if kind not in (None, "quicksort", "mergesort", "heapsort", "stable"):
        raise ArgumentError(f"{name}: there is no kind {kind!r}", hint="leave kind out, or say stable=True")


def _sorted(operands: Sequence[Any], axis: int, num_keys: int = 1) -> list[Any]:
    return ops.apply("sort", *operands, dimension=axis, is_stable=True, num_keys=num_keys)


def _positions(x: Any, axis: int) -> Any:
    return ops.iota(dtypes.default_int(), type_of(x).shape, axis)


@boundary
def sort(
    a: Any,
    axis: int | None = -1,
    *,
    kind: Any = None,
    order: Any = None,
    stable: bool = True,
    descending: bool = False,
) -> Any:
    """`a` sorted along `axis` (flat for None): of the same shape and dtype; NaN last, descending on request.

    >>> import funcgrad as fg
    >>> fg.numpy.sort(fg.numpy.array([3, 1, 2]))
    Array([1, 2, 3], dtype=int64)
    """
    _check_order("sort", kind, order)
    x, axis = _along("sort", a, axis)
    (out,) = _sorted([x], axis)
    return ops.rev(out, (axis,)) if descending else out


@boundary
def sort_complex(a: Any) -> Any:
    """`a` sorted along its last axis by real, then by imaginary parts, as complex numbers.

    >>> import funcgrad as fg
    >>> fg.numpy.sort_complex(fg.numpy.array([2.0, 1.0]))
    Array([1.+0.j, 2.+0.j], dtype=complex64)
    """
    (t,) = check_arrays("sort_complex", a)
    return sort(ops.convert(asarray(a), dtypes.promote_dtypes(t.dtype, np.dtype(np.complex64))))


@boundary
def argsort(
    a: Any,
    axis: int | None = -1,
    *,
    kind: Any = None,
    order: Any = None,
    stable: bool = True,
    descending: bool = False,
    dtype: Any = None,
) -> Any:
    """The positions along `axis` that sort `a`, in `dtype` (default integer); equal elements keep their order.

    >>> import funcgrad as fg
    >>> fg.numpy.argsort(fg.numpy.array([3, 1, 2]))
    Array([1, 2, 0], dtype=int64)
    """
    _check_order("argsort", kind, order)
    x, axis = _along("argsort", a, axis)
    wanted = dtypes.default_int() if dtype is None else dtypes.as_dtype(dtype)
    if not descending:
        return ops.convert(_sorted([x, _positions(x, axis)], axis)[1], wanted)
    last = type_of(x).shape[axis] - 1  # sort the reversed line, so that equal elements keep their order
    backwards = _sorted([ops.rev(x, (axis,)), _positions(x, axis)], axis)[1]
    return ops.convert(ops.rev(ops.sub(last, backwards), (axis,)), wanted)


@boundary
def lexsort(keys: Any, axis: int = -1) -> Any:
    """The positions that sort by the last of `keys`, then by the one before it, and so on.

    Raises:
        ShapeError: keys of different shapes.

    >>> import funcgrad.numpy as jnp
    >>> jnp.lexsort([jnp.array([1, 2, 3]), jnp.array([1, 0, 0])]).tolist()
    [1, 2, 0]
    """
    keys = [asarray(k) for k in keys]
    if not keys:
        raise ArgumentError("lexsort needs at least one key")
    (axis,) = canonical_axes("lexsort", axis, keys[0])
    return _sorted([*keys[::-1], _positions(keys[0], axis)], axis, len(keys))[-1]


@boundary
def partition(a: Any, kth: int, axis: int = -1) -> Any:
    """`a` with the element at `kth` in its sorted place along `axis`, smaller ones before it and larger after.

    Raises:
        AxisError: an axis that there is not.

    >>> import funcgrad.numpy as jnp
    >>> jnp.partition(jnp.array([3, 1, 2]), 0).tolist()[0]
    1
    """
    x, axis = _along("partition", a, axis)
    _check_kth("partition", kth, x, axis)
    return _sorted([x], axis)[0]


@boundary
def argpartition(a: Any, kth: int, axis: int = -1) -> Any:
    """The positions that partition `a`; see `partition`."""
    x, axis = _along("argpartition", a, axis)
    _check_kth("argpartition", kth, x, axis)
    return _sorted([x, _positions(x, axis)], axis)[1]


def _check_kth(name: str, kth: int, x: Any, axis: int) -> None:
    length = type_of(x).shape[axis]
    if not -length <= kth < length:
        raise ArgumentError(f"{name}: kth={kth} is outside of axis {axis} of {type_of(x)}")


# ------------------------------------------------------------------------------------------------ search
def _before(x: Any, y: Any) -> Any:
    """x < y in the order of sorting, with NaN last."""
    if not dtypes.is_float(type_of(x).dtype):
        return ops.lt(x, y)
    return ops.or_(ops.lt(x, y), ops.and_(ops.ne(y, y), ops.eq(x, x)))


@boundary
def searchsorted(a: Any, v: Any, side: str = "left", sorter: Any = None, *, method: str | None = None) -> Any:
    """The positions in the sorted vector `a` where `v` would be put in: before equal elements ('left') or after
    them ('right'). Of v's shape, of the default integer dtype. By binary search; `method` is accepted for JAX's sake.

    >>> import funcgrad as fg
    >>> fg.numpy.searchsorted(fg.numpy.array([1, 2, 2, 3]), 2, side="right")
    Array(3, dtype=int64)
    """
    if side not in ("left", "right"):
        raise ArgumentError(f"searchsorted: side is 'left' or 'right', got {side!r}")
    if type_of(a).ndim != 1:
        raise ShapeError(
            f"searchsorted looks in a vector, got {type_of(a)}", hint="use vmap over the other axes"
        )
    x, v = map(asarray, promote("searchsorted", a, v))
    if sorter is not None:
        x = along(x, asarray(sorter), 0)
    length, shape = type_of(x).shape[0], type_of(v).shape
    index = dtypes.default_int()
    low, high = ops.full(shape, 0, index), ops.full(shape, length, index)
    flat = (ops.size_of(shape, range(len(shape))),)
    for _ in range(length.bit_length()):
        middle = ops.shift_right_logical(ops.add(low, high), 1)
        inside = ops.min_(middle, max(length - 1, 0))
        element = ops.reshape(along(x, ops.reshape(inside, flat), 0), shape)
        right = _before(element, v) if side == "left" else ops.not_(_before(v, element))
        open_ = ops.lt(low, high)
        low = ops.select(ops.and_(open_, right), ops.add(middle, 1), low)
        high = ops.select(ops.and_(open_, ops.not_(right)), middle, high)
    return low


@boundary
def digitize(x: Any, bins: Any, right: bool = False, *, method: str | None = None) -> Any:
    """The number of the bin that each element falls into: between `bins[i-1]` and `bins[i]`, which rise or fall.

    Raises:
        ShapeError: bins that are no list.

    >>> import funcgrad.numpy as jnp
    >>> jnp.digitize(jnp.array([0.5, 2.5]), jnp.array([0.0, 1.0, 2.0])).tolist()
    [1, 3]
    """
    edges = asarray(bins)
    if type_of(edges).ndim != 1:
        raise ShapeError(f"digitize takes a vector of bins, got {type_of(edges)}")
    length = type_of(edges).shape[0]
    if length == 0:
        return ops.full(type_of(x).shape, 0, dtypes.default_int())
    side = "right" if not right else "left"
    rising = searchsorted(edges, x, side)
    falling = ops.sub(length, searchsorted(ops.rev(edges, (0,)), x, side))
    return where(ops.ge(edges[-1], edges[0]), rising, falling)


# ------------------------------------------------------------------------------------------------ quantiles
_METHODS = ("linear", "lower", "higher", "midpoint", "nearest")


def _quantile(name: str, a: Any, q: Any, axis: Any, method: str, keepdims: bool, skip_nan: bool) -> Any:
    if method not in _METHODS:
        raise ArgumentError(
            f"{name}: there is no method {method!r}", hint=f"it is one of {', '.join(_ALL_METHODS)}"
        )
    check_arrays(name, a, q)
    x, q = map(asarray, promote_inexact(name, a, q))
    dtype = type_of(x).dtype
    if dtypes.is_complex(dtype):
        raise ArgumentError(
            f"{name}: complex numbers have no order: {type_of(x)}", hint="use abs(x), or x.real"
        )
    shape = type_of(x).shape
    axes = canonical_axes(name, axis, x)
    kept = [d for d in range(len(shape)) if d not in axes]
    rows = tuple([shape[d] for d in kept])
    count = ops.size_of(shape, axes)
    if not count:
        raise ShapeError(f"{name} of no elements: {type_of(x)} over axes {axes}")
    x = ops.reshape(ops.transpose(x, [*kept, *axes]), (*rows, count))
    last = len(rows)
    (x,) = _sorted([x], last)
    unknown = isnan(x)
    qs = type_of(q).shape
    flat_q = ops.reshape(q, (ops.size_of(qs, range(len(qs))),))
    wide_dtype = dtypes.compute_dtype(dtype)  # 16 bits do not hold the places of many elements
    flat_q = ops.convert(flat_q, wide_dtype)
    top: Any = ops.full(rows, count - 1, wide_dtype)
    if skip_nan:
        found = ops.reduce_sum(ops.convert(ops.not_(unknown), wide_dtype), (last,))
        top = ops.max_(ops.sub(found, 1), 0)
    wide = (*rows, type_of(flat_q).shape[0])
    place = ops.mul(
        ops.broadcast_in_dim(top, wide, tuple(range(last))), ops.broadcast_in_dim(flat_q, wide, (last,))
    )
    low, high = ops.floor(place), ops.ceil(place)

    def element(at: Any) -> Any:
        at = ops.min_(ops.max_(at, 0), count - 1)
        return along(x, ops.convert(at, dtypes.default_int()), last)

    if method == "lower":
        result = element(low)
    elif method == "higher":
        result = element(high)
    elif method == "nearest":
        result = element(ops.ceil(ops.sub(place, 0.5)))  # the lower one of two as near
    elif method == "midpoint":
        result = ops.mul(ops.add(element(low), element(high)), 0.5)
    else:
        weight = ops.sub(place, low)
        below, above = [ops.convert(element(at), wide_dtype) for at in (low, high)]
        between = ops.add(ops.mul(below, ops.sub(1, weight)), ops.mul(above, weight))
        result = ops.convert(ops.select(ops.eq(below, above), below, between), dtype)
    bad = ops.reduce_and(unknown, (last,)) if skip_nan else ops.reduce_or(unknown, (last,))
    bad = ops.or_(ops.broadcast_in_dim(bad, wide, tuple(range(last))), ops.ne(place, place))
    result = ops.select(bad, np.nan, result)
    result = ops.reshape(ops.moveaxis(result, last, 0), (*qs, *rows))
    if keepdims:
        result = ops.reshape(result, (*qs, *[1 if d in axes else n for d, n in enumerate(shape)]))
    return result


_ALL_METHODS = (*_METHODS, "inverted_cdf")


def _weighted_quantile(
    name: str, a: Any, q: Any, axis: Any, method: str, keepdims: bool, skip_nan: bool, weights: Any
) -> Any:
    """The first element, in order, with at least the share `q` of all weights up to it."""
    if method != "inverted_cdf":
        raise ArgumentError(
            f"{name} with weights is there by the method 'inverted_cdf', not {method!r}",
            hint="add method='inverted_cdf'",
        )
    check_arrays(name, a, q)
    x, q = map(asarray, promote_inexact(name, a, q))
    t = type_of(x)
    if dtypes.is_complex(t.dtype):
        raise ArgumentError(f"{name}: complex numbers have no order: {t}", hint="use abs(x), or x.real")
    axes = canonical_axes(name, axis, x)
    kept = [d for d in range(t.ndim) if d not in axes]
    rows, count = tuple([t.shape[d] for d in kept]), ops.size_of(t.shape, axes)
    if not count:
        raise ShapeError(f"{name} of no elements: {t} over axes {axes}")
    wide_dtype = dtypes.compute_dtype(t.dtype)
    w = asarray(1.0 if weights is None else weights)
    if type_of(w).shape not in ((), t.shape):
        if len(axes) != 1 or type_of(w).shape != (t.shape[axes[0]],):
            raise ShapeError(f"{name} of {t} over axis {axis} with weights {type_of(w)}: lengths differ")
        w = ops.broadcast_in_dim(w, t.shape, axes)
    w = ops.broadcast_to(ops.convert(w, wide_dtype), t.shape)
    w = ops.apply("stop_gradient", w)
    missing = isnan(x)
    if skip_nan:
        w = ops.select(missing, ops.full_like(w, 0), w)
    lines = [ops.reshape(ops.transpose(v, [*kept, *axes]), (*rows, count)) for v in (x, w)]
    last = len(rows)
    x, w = _sorted(lines, last)
    total = ops.apply("cumsum", w, axis=last, reverse=False)
    whole = ops.slice_in_dim(total, count - 1, count, axis=last)
    qs = type_of(q).shape
    flat_q = ops.convert(ops.reshape(q, (ops.size_of(qs, range(len(qs))),)), wide_dtype)
    wide = (*rows, type_of(flat_q).shape[0])
    share = ops.broadcast_in_dim(flat_q, wide, (last,))
    wanted = ops.mul(ops.broadcast_to(whole, wide), share)
    both = (*wide, count)
    up_to = ops.broadcast_in_dim(total, both, (*range(last), last + 1))
    # of nothing, the first element with some weight
    below = ops.or_(
        ops.lt(up_to, ops.broadcast_in_dim(wanted, both, tuple(range(last + 1)))), ops.le(up_to, 0)
    )
    at = ops.reduce_sum(ops.convert(below, dtypes.default_int()), (last + 1,))
    result = along(x, ops.min_(at, count - 1), last)
    unknown = isnan(x)
    bad = ops.reduce_and(unknown, (last,)) if skip_nan else ops.reduce_or(unknown, (last,))
    bad = ops.or_(ops.broadcast_in_dim(bad, wide, tuple(range(last))), ops.ne(share, share))
    result = ops.select(bad, np.nan, result)
    result = ops.reshape(ops.moveaxis(result, last, 0), (*qs, *rows))
    if keepdims:
        result = ops.reshape(result, (*qs, *[1 if d in axes else n for d, n in enumerate(t.shape)]))
    return result


def _quantiles(name: str, skip_nan: bool, scale: float, what: str):
    def function(
        a: Any,
        q: Any,
        axis: int | Sequence[int] | None = None,
        out: None = None,
        overwrite_input: bool = False,
        method: str = "linear",
        keepdims: bool = False,
        *,
        interpolation: str | None = None,
        weights: Any = None,
    ) -> Any:
        if scale != 1:
            a, q = promote_inexact(name, a, q)
            q = ops.div(asarray(q), scale)
        method = interpolation or method
        if weights is not None or method == "inverted_cdf":
            return _weighted_quantile(name, a, q, axis, method, keepdims, skip_nan, weights)
        return _quantile(name, a, q, axis, method, keepdims, skip_nan)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = (
        f"The {what} `q` of the elements (over `axis`; all by default){', NaNs left out' if skip_nan else ''}. "
        "Of shape (*q.shape, *the other axes); between two elements by `method`: "
        + ", ".join(_ALL_METHODS)
        + ". "
        "`weights`, of the array's shape or one for each position along the axis, need the last of these."
    )
    return boundary(function)


quantile = _quantiles("quantile", False, 1, "quantiles")
nanquantile = _quantiles("nanquantile", True, 1, "quantiles")
percentile = _quantiles("percentile", False, 100, "percentiles")
nanpercentile = _quantiles("nanpercentile", True, 100, "percentiles")


def _medians(name: str, skip_nan: bool):
    def function(
        a: Any,
        axis: int | Sequence[int] | None = None,
        out: None = None,
        overwrite_input: bool = False,
        keepdims: bool = False,
    ) -> Any:
        half = cast(0.5, dtypes.default_float(), True)
        return _quantile(name, a, half, axis, "midpoint", keepdims, skip_nan)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = (
        f"The middle element over `axis`, or the mean of the two{', NaNs left out' if skip_nan else ''}."
    )
    return boundary(function)


median = _medians("median", False)
nanmedian = _medians("nanmedian", True)

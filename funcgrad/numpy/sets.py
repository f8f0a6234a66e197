"""Sets and counts: unique elements, membership, histograms.

How many elements a set has depends on their values. With `size=` the result has that length (cut, or padded with
`fill_value`), and works under jit; without it the values have to be known.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from funcgrad import dtypes
from funcgrad.errors import ArgumentError, ShapeError, boundary
from funcgrad.numpy.creation import asarray, linspace
from funcgrad.numpy.elementwise import where
from funcgrad.numpy.gathering import take
from funcgrad.numpy.joining import concatenate, stack
from funcgrad.numpy.manipulation import ravel
from funcgrad.numpy.reductions import max as max_
from funcgrad.numpy.reductions import min as min_
from funcgrad.numpy.searching import nonzero
from funcgrad.numpy.sorting import argsort, searchsorted
from funcgrad.promotion import check_arrays, promote, promote_inexact
from funcgrad.trace import ops
from funcgrad.trace.core import Tracer, type_of


def known(name: str, x: Any) -> np.ndarray:
    """The NumPy array of a value; ConcretizationError where only its type is known."""
    if isinstance(x, Tracer):
        x = x.concrete(
            f"{name}, whose length depends on the elements,", "give size=, or call it outside of jit"
        )
    return np.asarray(x)


def _sized(x: np.ndarray, size: int | None, fill: Any) -> np.ndarray:
    if size is None:
        return x
    rest = np.full((max(size - len(x), 0), *x.shape[1:]), fill, x.dtype)
    return np.concatenate([x[:size], rest])


@boundary
def unique(
    ar: Any,
    return_index: bool = False,
    return_inverse: bool = False,
    return_counts: bool = False,
    axis: int | None = None,
    *,
    equal_nan: bool = True,
    size: int | None = None,
    fill_value: Any = None,
    sorted: bool = True,
) -> Any:
    """The different elements (along `axis`, slices) of `ar`, sorted.

    Args:
        return_index, return_inverse, return_counts: also give where each is first found, which of them each element
            of `ar` is, and how often each is found.
        size: the length of the result, needed under jit; shorter results are padded with `fill_value`, by default
            the smallest element (counts with 0).

    >>> import funcgrad as fg
    >>> fg.numpy.unique(fg.numpy.array([2, 1, 2]), return_counts=True)
    (Array([1, 2], dtype=int64), Array([1, 2], dtype=int64))
    """
    check_arrays("unique", ar)
    if size is not None and isinstance(ar, Tracer):
        if axis is not None:
            raise ArgumentError(
                f"unique along axis {axis} of a traced array of type {type_of(ar)}",
                hint="under jit take axis=None, or call it outside of jit",
            )
        results = _unique_traced(ar, size, fill_value, equal_nan)
    else:
        x = known("unique", ar)
        found, index, inverse, counts = np.unique(x, True, True, True, axis=axis, equal_nan=equal_nan)
        if size is not None and axis not in (None, 0):
            raise ArgumentError("unique: size= goes with axis=None or axis=0")
        fill = fill_value if fill_value is not None else (found[0] if len(found) else 0)
        first = index[0] if len(index) else 0
        inverse = inverse.reshape(x.shape if axis is None else -1)
        parts = (_sized(found, size, fill), _sized(index, size, first), inverse, _sized(counts, size, 0))
        results = [asarray(parts[0])] + [asarray(p.astype(dtypes.default_int())) for p in parts[1:]]
    wanted = (True, return_index, return_inverse, return_counts)
    chosen = tuple([r for r, w in zip(results, wanted) if w])
    return chosen if len(chosen) > 1 else chosen[0]


def _starts(line: Any, equal_nan: bool) -> Any:
    """In a sorted vector of at least one element, where an element differs from the one before it."""
    t = type_of(line)
    before, after = ops.slice_in_dim(line, 0, t.size - 1), ops.slice_in_dim(line, 1, t.size)
    new = ops.ne(before, after)
    if equal_nan and dtypes.is_inexact(t.dtype):
        new = ops.and_(new, ops.or_(ops.eq(before, before), ops.eq(after, after)))
    return concatenate([ops.full((1,), True, dtypes.bool_), new])


def _unique_traced(ar: Any, size: int, fill_value: Any, equal_nan: bool) -> list[Any]:
    x = ravel(ar)
    count, integer = type_of(x).shape[0], dtypes.default_int()
    if not count:
        none = ops.full((size,), 0, integer)
        rest = ops.full((size,), fill_value or 0, type_of(x).dtype)
        return [rest, none, ops.full(type_of(ar).shape, 0, integer), none]
    order = argsort(x)
    line = take(x, order, 0)
    starts = _starts(line, equal_nan)
    (places,) = nonzero(starts, size=size + 1, fill_value=count)
    ends, places = ops.slice_in_dim(places, 1, size + 1), ops.slice_in_dim(places, 0, size)
    number = ops.reduce_sum(ops.convert(starts, dtypes.default_int()), (0,))
    filled = ops.lt(ops.iota(dtypes.default_int(), (size,), 0), number)
    inside = ops.min_(places, count - 1)
    fill = line[0] if fill_value is None else fill_value
    values = where(filled, take(line, inside, 0), fill).astype(type_of(x).dtype)
    index = where(filled, take(order, inside, 0), order[0])
    rank = ops.sub(ops.apply("cumsum", ops.convert(starts, dtypes.default_int()), axis=0, reverse=False), 1)
    inverse = ops.reshape(ops.zeros(type_of(rank)).at[order].set(rank), type_of(ar).shape)
    counts = where(filled, ops.sub(ends, inside), 0)
    return [values, index, inverse, counts]


class UniqueCounts(NamedTuple):
    """What `unique_counts` gives."""

    values: Any
    counts: Any


class UniqueInverse(NamedTuple):
    """What `unique_inverse` gives."""

    values: Any
    inverse_indices: Any


class UniqueAll(NamedTuple):
    """What `unique_all` gives."""

    values: Any
    indices: Any
    inverse_indices: Any
    counts: Any


# The four functions of the Array API count every NaN for itself, unlike `unique`.
def unique_values(x: Any, /, *, size: int | None = None, fill_value: Any = None) -> Any:
    """The different elements of `x`, sorted; every NaN is one of its own."""
    return unique(x, equal_nan=False, size=size, fill_value=fill_value)


def unique_counts(x: Any, /, *, size: int | None = None, fill_value: Any = None) -> UniqueCounts:
    """The different elements of `x` as `.values`, and how often each is found as `.counts`."""
    return UniqueCounts(*unique(x, return_counts=True, equal_nan=False, size=size, fill_value=fill_value))


def unique_inverse(x: Any, /, *, size: int | None = None, fill_value: Any = None) -> UniqueInverse:
    """The different elements of `x` as `.values`, and which of them each element is as `.inverse_indices`."""
    return UniqueInverse(*unique(x, return_inverse=True, equal_nan=False, size=size, fill_value=fill_value))


def unique_all(x: Any, /, *, size: int | None = None, fill_value: Any = None) -> UniqueAll:
    """The different elements of `x` as `.values`, where each is first found as `.indices`, which of them each element
    is as `.inverse_indices`, how often each is found as `.counts`."""
    return UniqueAll(*unique(x, True, True, True, equal_nan=False, size=size, fill_value=fill_value))


@boundary
def isin(
    element: Any,
    test_elements: Any,
    assume_unique: bool = False,
    invert: bool = False,
    *,
    method: str = "auto",
) -> Any:
    """For each element of `element`, whether it is one of `test_elements`; of element's shape. `method` has no effect.

    >>> import funcgrad as fg
    >>> fg.numpy.isin(fg.numpy.array([1, 2, 3]), fg.numpy.array([2, 4]))
    Array([False,  True, False], dtype=bool)
    """
    x, tests = promote("isin", element, asarray(test_elements))
    x, tests = asarray(x), ravel(asarray(tests))
    if not type_of(tests).size:
        return ops.full(type_of(x).shape, invert, dtypes.bool_)
    (tests,) = ops.apply("sort", tests, dimension=0, is_stable=True, num_keys=1)
    place = ops.min_(searchsorted(tests, x), type_of(tests).size - 1)
    found = ops.eq(take(tests, place, 0), x)
    return ops.not_(found) if invert else found


_CHOSEN: dict[str, Callable[[Any, Any, Any], Any]] = {
    "union1d": lambda line, x, y: True,
    "intersect1d": lambda line, x, y: isin(line, y),
    "setdiff1d": lambda line, x, y: isin(line, y, invert=True),
    "setxor1d": lambda line, x, y: ops.ne(isin(line, x), isin(line, y)),
}
"""Of the sorted elements of an operation: which are in its result, each once."""


def _traced_set(name: str, x: Any, y: Any, size: int, fill_value: Any) -> Any:
    x, y = ravel(x), ravel(y)
    line = concatenate([x, y]) if name in ("union1d", "setxor1d") else x
    count, dtype = type_of(line).shape[0], type_of(line).dtype
    if not count:
        return ops.full((size,), fill_value or 0, dtype)
    (line,) = ops.apply("sort", line, dimension=0, is_stable=True, num_keys=1)
    chosen = ops.and_(_starts(line, True), _CHOSEN[name](line, x, y))
    (places,) = nonzero(chosen, size=size, fill_value=count)
    found = ops.lt(places, count)
    values = take(line, ops.min_(places, count - 1), 0)
    if fill_value is None:
        fill_value = 0 if name == "setdiff1d" or not size else where(found[0], values[0], 0)
    return where(found, values, fill_value).astype(dtype)


def _operands(name: str, ar1: Any, ar2: Any) -> tuple[Any, Any, bool]:
    """Both in one dtype, and whether one is traced."""
    x, y = map(asarray, promote(name, ar1, ar2))
    return x, y, isinstance(x, Tracer) or isinstance(y, Tracer)


def _filled(name: str, found: np.ndarray, size: int | None, fill_value: Any) -> Any:
    if fill_value is None:
        fill_value = found[0] if len(found) and name != "setdiff1d" else 0
    return asarray(_sized(found, size, fill_value))


def _set_operation(name: str, doc: str):
    function = getattr(np, name)

    def operation(
        ar1: Any, ar2: Any, assume_unique: bool = False, *, size: int | None = None, fill_value: Any = None
    ) -> Any:
        x, y, traced = _operands(name, ar1, ar2)
        if size is not None and traced:
            return _traced_set(name, x, y, size, fill_value)
        x, y = known(name, x), known(name, y)
        found = function(x, y) if name == "union1d" else function(x, y, assume_unique=assume_unique)
        return _filled(name, found, size, fill_value)

    operation.__name__ = operation.__qualname__ = name
    operation.__doc__ = doc + (
        " As a sorted vector of different elements. `size` is its length, needed under jit; shorter ones are padded "
        f"with `fill_value`, by default {'0' if name == 'setdiff1d' else 'the first element'}."
    )
    return boundary(operation)


union1d = _set_operation("union1d", "The elements of either array.")
setdiff1d = _set_operation("setdiff1d", "The elements of the first array that are not in the second.")
setxor1d = _set_operation("setxor1d", "The elements of one of the arrays that are not in the other.")


@boundary
def intersect1d(
    ar1: Any,
    ar2: Any,
    assume_unique: bool = False,
    return_indices: bool = False,
    *,
    size: int | None = None,
    fill_value: Any = None,
) -> Any:
    """The elements of both arrays, as a sorted vector; with `return_indices` also where each first has them.

    `size` is the length of the result, needed under jit, where there are no indices.
    """
    x, y, traced = _operands("intersect1d", ar1, ar2)
    if size is not None and traced and not return_indices:
        return _traced_set("intersect1d", x, y, size, fill_value)
    x, y = known("intersect1d", x), known("intersect1d", y)
    found, first, second = np.intersect1d(x, y, assume_unique, True)
    results = [_filled("intersect1d", found, size, fill_value)]
    results += [asarray(_sized(i, size, len(z.ravel()))) for i, z in ((first, x), (second, y))]
    return tuple(results) if return_indices else results[0]


# ------------------------------------------------------------------------------------------------ counts
@boundary
def bincount(x: Any, weights: Any = None, minlength: int = 0, *, length: int | None = None) -> Any:
    """How often (or with which sum of `weights`) each of 0, 1, 2, ... is found in the vector of integers `x`.

    `length` fixes the length of the result, as jit needs it; larger elements are left out then.

    >>> import funcgrad as fg
    >>> fg.numpy.bincount(fg.numpy.array([1, 1, 3]))
    Array([0, 2, 0, 1], dtype=int64)
    """
    (t,) = check_arrays("bincount", x)
    if t.ndim != 1 or not (dtypes.is_integer(t.dtype) or dtypes.is_bool(t.dtype)):
        raise ArgumentError(f"bincount takes a vector of integers, got {t}", hint="x.ravel().astype(int)")
    if length is None:
        largest = known("bincount", x).max() if t.size else -1
        length = max(int(largest) + 1, minlength)
    places = ops.max_(ops.convert(asarray(x), dtypes.default_int()), 0)
    if weights is None:
        return ops.full((length,), 0, dtypes.default_int()).at[places].add(1, mode="drop")
    weights = asarray(weights)
    return ops.full((length,), 0, type_of(weights).dtype).at[places].add(weights, mode="drop")


@boundary
def histogram_bin_edges(a: Any, bins: Any = 10, range: Any = None, weights: Any = None) -> Any:
    """The edges of `bins` bins of equal width over `range` (by default that of `a`), or `bins` where it has edges."""
    if isinstance(bins, str):
        raise ArgumentError(
            f"histogram: bins={bins!r} is a rule, which is not there", hint="give a number of bins"
        )
    if type_of(bins).ndim:
        return asarray(bins)
    x = ravel(asarray(a))
    dtype = type_of(x).dtype if dtypes.is_float(type_of(x).dtype) else dtypes.default_float()
    if range is not None:
        low, high = (asarray(r).astype(dtype) for r in range)
    elif type_of(x).size:
        low, high = min_(x).astype(dtype), max_(x).astype(dtype)
    else:
        low, high = asarray(0.0).astype(dtype), asarray(1.0).astype(dtype)
    flat = ops.eq(low, high)
    low, high = where(flat, low - 0.5, low), where(flat, high + 0.5, high)
    return linspace(low, high, int(bins) + 1, dtype=dtype)


@boundary
def histogram(
    a: Any, bins: Any = 10, range: Any = None, weights: Any = None, density: bool | None = None
) -> Any:
    """How many elements (or which sum of `weights`) fall into each bin, and the edges of the bins.

    With `density`, so scaled that the integral is 1.

    >>> import funcgrad.numpy as jnp
    >>> [x.tolist() for x in jnp.histogram(jnp.array([0.0, 0.2, 1.0]), 2)]
    [[2.0, 1.0], [0.0, 0.5, 1.0]]
    """
    edges = histogram_bin_edges(a, bins, range, weights)
    x, edges = promote("histogram", ravel(asarray(a)), edges)
    t = type_of(edges)
    if not dtypes.is_inexact(t.dtype):
        x, edges = x.astype(dtypes.default_float()), edges.astype(dtypes.default_float())
    weights = ops.full(type_of(x).shape, 1, type_of(x).dtype) if weights is None else ravel(asarray(weights))
    (weights,) = promote_inexact("histogram", weights)
    place = searchsorted(edges, x, side="right")
    place = where(ops.eq(x, ops.broadcast_to(edges[-1], type_of(x).shape)), t.shape[0] - 1, place)
    counts = ops.full((t.shape[0],), 0, type_of(weights).dtype).at[place].add(weights, mode="drop")[1:]
    if density:
        counts = counts / (edges[1:] - edges[:-1]) / counts.sum()
    return counts, edges


@boundary
def histogramdd(
    sample: Any, bins: Any = 10, range: Any = None, weights: Any = None, density: bool | None = None
) -> tuple[Any, list[Any]]:
    """How many points (or which sum of `weights`) fall into each cell of a grid, and the edges along each axis.

    Args:
        sample: (n, d), n points of d numbers.
        bins: a number of bins, or d numbers or vectors of edges.
        range: a pair (low, high) for each axis, or None for those of the points.
        density: whether to scale so that the integral is 1.

    >>> import funcgrad as fg
    >>> points = fg.numpy.array([[0.0, 0.0], [1.0, 1.0], [1.0, 0.9]])
    >>> fg.numpy.histogramdd(points, bins=2)[0]
    Array([[1., 0.],
           [0., 2.]], dtype=float32)
    """
    points = asarray(sample)
    t = type_of(points)
    if t.ndim != 2:
        raise ShapeError(
            f"histogramdd takes points (n, d), got {t}", hint="put the numbers of a point into a row"
        )
    (points,) = promote_inexact("histogramdd", points)
    each = list(bins) if isinstance(bins, list | tuple) or type_of(bins).ndim else [bins] * t.shape[1]
    ranges = [None] * t.shape[1] if range is None else list(range)
    if len(each) != t.shape[1] or len(ranges) != t.shape[1]:
        raise ArgumentError(f"histogramdd: {t.shape[1]} axes, {len(each)} bins and {len(ranges)} ranges")
    columns = [points[:, k] for k, _ in enumerate(each)]
    edges = [histogram_bin_edges(x, b, r) for x, b, r in zip(columns, each, ranges)]
    places, shape = [], []
    inside = None
    for x, e in zip(columns, edges):
        x, e = promote("histogramdd", x, e)
        last = type_of(e).shape[0] - 2
        shape.append(last + 1)
        place = searchsorted(e, x, side="right") - 1
        place = where(ops.eq(x, ops.broadcast_to(e[-1], type_of(x).shape)), last, place)
        here = (place >= 0) & (place <= last)
        inside = here if inside is None else inside & here
        places.append(place)
    given = ops.full((t.shape[0],), 1, type_of(points).dtype) if weights is None else ravel(asarray(weights))
    (given,) = promote_inexact("histogramdd", given)
    given = where(inside, given, 0)
    index = tuple([where(inside, place, 0) for place in places])
    counts = ops.full(tuple(shape), 0, type_of(given).dtype).at[index].add(given)
    if density:
        for k, e in enumerate(edges):
            widths = e[1:] - e[:-1]
            counts = counts / widths.reshape([-1 if d == k else 1 for d, _ in enumerate(edges)])
        counts = counts / given.sum()
    return counts, edges


@boundary
def histogram2d(
    x: Any, y: Any, bins: Any = 10, range: Any = None, weights: Any = None, density: bool | None = None
) -> tuple[Any, Any, Any]:
    """`histogramdd` of the points (x[k], y[k]): the counts, and the edges along x and along y.

    `bins` is a number, a vector of edges for both, or a pair of either.
    """
    x, y = promote_inexact("histogram2d", asarray(x), asarray(y))
    if type_of(x).ndim != 1 or type_of(x).shape != type_of(y).shape:
        raise ShapeError(f"histogram2d takes two vectors of one length, got {type_of(x)} and {type_of(y)}")
    pair = isinstance(bins, list | tuple) and len(bins) == 2
    if not pair and not isinstance(bins, int):
        bins = [bins, bins]
    counts, (along_x, along_y) = histogramdd(stack([x, y], 1), bins, range, weights, density)
    return counts, along_x, along_y

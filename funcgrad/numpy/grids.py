"""Grids and indices: mgrid, r_, ix_, diagonals and triangles, flat positions and back."""

from __future__ import annotations

import itertools
import math
import operator
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from funcgrad import dtypes
from funcgrad.array import Array
from funcgrad.batching import vmap
from funcgrad.errors import ArgumentError, DTypeError, ShapeError, boundary
from funcgrad.numpy.creation import arange, asarray, linspace, meshgrid
from funcgrad.numpy.elementwise import clip, where
from funcgrad.numpy.joining import concatenate
from funcgrad.promotion import check_arrays, promote
from funcgrad.trace import ops
from funcgrad.trace.core import Tracer, type_of


def _range(s: slice) -> Any:
    """What a slice stands for in r_ and mgrid: a range, or with an imaginary step so many numbers."""
    start, stop, step = s.start or 0, s.stop, 1 if s.step is None else s.step
    if isinstance(step, complex):
        return linspace(start, stop, int(abs(step)), dtype=None)
    return arange(start, stop, step)


class _Grid:
    """`mgrid[0:3, 0:2]`: for each slice its coordinate over the whole grid, as one array."""

    sparse = False

    def __getitem__(self, key: Any) -> Any:
        if isinstance(key, slice):
            return _range(key)
        if not key:
            return [] if self.sparse else Array(np.zeros(0, dtypes.default_int()))
        lines = promote("mgrid", *[_range(k) for k in key])
        grid = meshgrid(*lines, indexing="ij", sparse=self.sparse)
        if self.sparse:
            return list(grid)
        return ops.concatenate([ops.expand_dims(g, (0,)) for g in grid], 0)


class _OpenGrid(_Grid):
    """`ogrid[0:3, 0:2]`: like `mgrid`, each coordinate with length 1 along the other axes."""

    sparse = True


class _Joiner:
    """`r_[1:4, 0, x]`: slices, numbers and arrays put together along an axis.

    A string first says "axis", "axis,rank" or "axis,rank,place of the old axes", as in NumPy.
    """

    axis, rank, place = 0, 1, -1

    def __getitem__(self, key: Any) -> Any:
        items = list(key) if isinstance(key, tuple) else [key]
        axis, rank, place = self.axis, self.rank, self.place
        matrix = ""
        if items and isinstance(items[0], str):
            directive = items.pop(0)
            if directive in ("r", "c"):
                matrix = directive
            else:
                try:
                    numbers = [int(part) for part in directive.split(",")]
                except ValueError:
                    raise ArgumentError(
                        f"{directive!r} says nothing to r_", hint="write 'axis', 'axis,rank', 'r' or 'c'"
                    ) from None
                axis, rank, place = (*numbers, *(axis, rank, place)[len(numbers) :])
        arrays = []
        for item in items:
            x = _range(item) if isinstance(item, slice) else asarray(item)
            missing = rank - type_of(x).ndim
            if missing > 0:
                before = place if place >= 0 else place + missing + 1
                before = missing if type_of(x).ndim == 0 else before
                shape = type_of(x).shape
                x = ops.reshape(x, (1,) * before + shape + (1,) * (missing - before))
            arrays.append(x)
        joined = concatenate(arrays, axis)
        if matrix and type_of(joined).ndim == 1:
            joined = ops.expand_dims(joined, (0,) if matrix == "r" else (1,))
        return joined


class _Columns(_Joiner):
    """`c_[x, y]`: vectors put side by side as columns."""

    axis, rank, place = -1, 2, 0


class _Index:
    """What is written in brackets, as an index; `always` as a tuple."""

    def __init__(self, always: bool):
        self.always = always

    def __getitem__(self, item: Any) -> Any:
        return (item,) if self.always and not isinstance(item, tuple) else item


mgrid, ogrid, r_, c_ = _Grid(), _OpenGrid(), _Joiner(), _Columns()
index_exp, s_ = _Index(True), _Index(False)


def ix_(*args: Any) -> tuple[Any, ...]:
    """Indices that select the grid of the vectors given: x[ix_(rows, columns)]."""
    result = []
    for k, given in enumerate(args):
        x = asarray(given)
        if type_of(x).ndim != 1:
            raise ShapeError(f"ix_ takes vectors, got {type_of(x)}")
        if dtypes.is_bool(type_of(x).dtype):
            if isinstance(x, Tracer):
                x.concrete("ix_ of booleans, whose length depends on them,", "pass positions")
            x = Array(np.flatnonzero(np.asarray(x)))
        shape = [1] * len(args)
        shape[k] = type_of(x).size
        result.append(ops.reshape(x, shape))
    return tuple(result)


def diag_indices(n: int, ndim: int = 2) -> tuple[Any, ...]:
    """The indices of the main diagonal of an array of `ndim` axes of length n."""
    if n < 0 or ndim < 1:
        raise ArgumentError(f"diag_indices of {ndim} axes of length {n}")
    return (arange(n),) * ndim


def diag_indices_from(arr: Any) -> tuple[Any, ...]:
    """The indices of the main diagonal of `arr`, whose axes have one length."""
    t = type_of(arr)
    if t.ndim < 2 or len(set(t.shape)) != 1:
        raise ShapeError(f"diag_indices_from takes an array of two or more axes of one length, got {t}")
    return diag_indices(t.shape[0], t.ndim)


def _matrix_shape(name: str, arr: Any) -> tuple[int, int]:
    shape = arr.shape if hasattr(arr, "shape") else type_of(arr).shape
    if len(shape) != 2:
        raise ShapeError(f"{name} takes a matrix, got one of shape {tuple(shape)}")
    return shape


def tril_indices_from(arr: Any, k: int = 0) -> tuple[Any, Any]:
    """The indices of the lower triangle of a matrix, up to the k-th diagonal."""
    rows, columns = _matrix_shape("tril_indices_from", arr)
    return tuple(map(Array, np.tril_indices(rows, k, columns)))  # type: ignore[return-value]


def triu_indices_from(arr: Any, k: int = 0) -> tuple[Any, Any]:
    """The indices of the upper triangle of a matrix, from the k-th diagonal on."""
    rows, columns = _matrix_shape("triu_indices_from", arr)
    return tuple(map(Array, np.triu_indices(rows, k, columns)))  # type: ignore[return-value]


def mask_indices(
    n: int, mask_func: Callable[[Any, int], Any], k: int = 0, *, size: int | None = None
) -> tuple[Any, Any]:
    """The indices of the n x n matrix that `mask_func` (triu, tril) leaves with `k`; the first `size` of them, with
    zeros after the last."""
    found = np.nonzero(np.asarray(mask_func(np.ones((n, n)), k)))
    if size is not None:
        found = tuple([np.pad(f[:size], (0, max(0, size - len(f)))) for f in found])
    return tuple(map(Array, found))  # type: ignore[return-value]


def _lengths(name: str, shape: Any) -> tuple[int, ...]:
    try:
        return tuple([operator.index(n) for n in (shape if isinstance(shape, Sequence) else (shape,))])
    except TypeError:
        raise ShapeError(f"{name}: {shape!r} is not a shape", hint="pass a tuple of ints") from None


@boundary
def unravel_index(indices: Any, shape: Any) -> tuple[Any, ...]:
    """For positions in the flat array of this shape, their indices; out of bounds those of the last or first.

    Raises:
        DTypeError: what is no array or number.

    >>> import funcgrad.numpy as jnp
    >>> [x.item() for x in jnp.unravel_index(5, (2, 3))]
    [1, 2]
    """
    lengths = _lengths("unravel_index", shape)
    x = asarray(indices)
    if not dtypes.is_integer(type_of(x).dtype):
        raise DTypeError(f"unravel_index takes integers, got {type_of(x)}")
    size = math.prod(lengths)
    x = clip(where(x < 0, x + size, x), 0, max(size - 1, 0))
    result: list[Any] = []
    for n in reversed(lengths):
        result.append(x % n if n else x)
        x = x // n if n else x
    return tuple(reversed(result))


@boundary
def ravel_multi_index(
    multi_index: Sequence[Any], dims: Any, mode: str = "raise", order: str = "C", *, dtype: Any = None
) -> Any:
    """The positions in the flat array of shape `dims` of indices given axis by axis.

    `mode` says what an index out of bounds does: "clip", "wrap", or "raise", for indices that are known.
    """
    lengths = _lengths("ravel_multi_index", dims)
    if mode not in ("raise", "clip", "wrap") or order not in ("C", "F"):
        raise ArgumentError(f"ravel_multi_index with mode={mode!r}, order={order!r}")
    if len(multi_index) != len(lengths):
        raise ShapeError(f"ravel_multi_index of {len(multi_index)} indices into {len(lengths)} axes")
    check_arrays("ravel_multi_index", *[asarray(i) for i in multi_index])
    strides = [
        math.prod(lengths[k + 1 :]) if order == "C" else math.prod(lengths[:k]) for k in range(len(lengths))
    ]
    total: Any = None
    for given, n, stride in zip(multi_index, lengths, strides):
        index = asarray(given)
        if mode == "wrap":
            index = index % n
        elif mode == "clip":
            index = clip(index, 0, n - 1)
        else:
            if isinstance(index, Tracer):
                index.concrete("ravel_multi_index with mode='raise'", "use mode='clip' or 'wrap'")
            values = np.asarray(index)
            if np.any((values < 0) | (values >= n)):
                raise ArgumentError(f"ravel_multi_index: an index is outside an axis of length {n}")
        term = index * stride
        total = term if total is None else total + term
    return total if dtype is None else ops.convert(total, dtypes.as_dtype(dtype))


def fromfunction(function: Callable[..., Any], shape: Any, *, dtype: Any = float, **kwargs: Any) -> Any:
    """The array of `function` at the coordinates of each element of `shape`; the function is vmapped."""
    lengths = _lengths("fromfunction", shape)

    def mapped(*coordinates: Any) -> Any:
        return function(*coordinates, **kwargs)

    for k in reversed(range(len(lengths))):
        mapped = vmap(mapped, in_axes=tuple([0 if j == k else None for j in range(len(lengths))]))
    return mapped(*[arange(n, dtype=dtypes.as_dtype(dtype)) for n in lengths])


def block(arrays: Any) -> Any:
    """An array from nested lists of blocks: the innermost lists join along the last axis, and so on outwards.

    Raises:
        ShapeError: blocks that do not fit.

    >>> import funcgrad.numpy as jnp
    >>> jnp.block([[jnp.ones((1, 1)), jnp.zeros((1, 2))]]).tolist()
    [[1.0, 0.0, 0.0]]
    """
    depth = _depth(arrays)
    rank = max(depth, *[type_of(x).ndim for x in _leaves(arrays)])
    return _block(arrays, depth, rank)


def _depth(arrays: Any) -> int:
    if not isinstance(arrays, list):
        return 0
    depths = {_depth(a) for a in arrays}
    if len(depths) != 1:
        raise ArgumentError(
            "block takes lists nested to one depth" if depths else "block takes no empty lists",
            hint="write every row as a list of blocks",
        )
    return depths.pop() + 1


def _leaves(arrays: Any) -> list[Any]:
    if not isinstance(arrays, list):
        return [asarray(arrays)]
    return list(itertools.chain.from_iterable(map(_leaves, arrays)))


def _block(arrays: Any, depth: int, rank: int) -> Any:
    if not isinstance(arrays, list):
        x = asarray(arrays)
        return ops.reshape(x, (1,) * (rank - type_of(x).ndim) + type_of(x).shape)
    return concatenate([_block(a, depth - 1, rank) for a in arrays], -depth)

"""Norms of vectors and matrices, as `numpy.linalg` defines them. At zero the gradient is that of the formula."""

from __future__ import annotations

from typing import Any

import numpy as np

from funcgrad import dtypes
from funcgrad.array import Array
from funcgrad.errors import ArgumentError, AxisError, boundary
from funcgrad.numpy.creation import asarray
from funcgrad.numpy.promotion import promote_inexact
from funcgrad.numpy.reductions import canonical_axes
from funcgrad.trace import ops
from funcgrad.trace.core import type_of


def _inexact(name: str, x: Any) -> Any:
    return asarray(promote_inexact(name, x)[0])


def _squares(x: Any) -> Any:
    if dtypes.is_complex(type_of(x).dtype):
        return ops.real(ops.mul(x, ops.conj(x)))
    return ops.mul(x, x)


def _sizes(x: Any) -> Any:
    """Absolute values; with derivative 1 at 0, where that of `abs` is 0."""
    return ops.abs_(x) if dtypes.is_complex(type_of(x).dtype) else ops.select(ops.ge(x, 0), x, ops.neg(x))


def _euclidean(x: Any, axes: tuple[int, ...]) -> Any:
    return ops.sqrt(ops.reduce_sum(_squares(x), axes))


def _of_vectors(x: Any, axes: tuple[int, ...], order: Any) -> Any:
    if isinstance(order, str):
        raise ArgumentError(
            f"norm: ord={order!r} is for matrices, and {type_of(x)} is measured along {len(axes)} axis",
            hint="for vectors ord is a number: 1, 2, float('inf')",
        )
    if order is None or order == 2:
        return _euclidean(x, axes)
    if order in (np.inf, -np.inf):
        reduce = ops.reduce_max if order > 0 else ops.reduce_min
        return reduce(_sizes(x), axes)
    if order == 0:
        return ops.reduce_sum(ops.convert(ops.ne(x, 0), dtypes.real_of(type_of(x).dtype)), axes)
    size = _sizes(x)
    if order == 1:
        return ops.reduce_sum(size, axes)
    return ops.pow_(ops.reduce_sum(ops.pow_(size, order), axes), 1 / order)


def _of_matrices(x: Any, axes: tuple[int, int], order: Any) -> Any:
    row, column = axes
    if order is None or order in ("fro", "f"):
        return _euclidean(x, axes)
    if order in (1, -1, np.inf, -np.inf):
        over, rest = (row, column) if abs(order) == 1 else (column, row)
        sums = ops.reduce_sum(_sizes(x), (over,))
        reduce = ops.reduce_max if order > 0 else ops.reduce_min
        return reduce(sums, (rest - (rest > over),))
    if order in (2, -2, "nuc"):
        lead = [d for d in range(type_of(x).ndim) if d not in axes]
        (s,) = ops.apply("svd", ops.transpose(x, (*lead, *axes)), full_matrices=False, compute_uv=False)
        last = (type_of(s).ndim - 1,)
        reduce = ops.reduce_sum if order == "nuc" else ops.reduce_max if order == 2 else ops.reduce_min
        return reduce(s, last)
    raise ArgumentError(
        f"norm: a matrix has no norm with ord={order!r}",
        hint="use 'fro', 'nuc', 1, -1, 2, -2, float('inf') or -float('inf')",
    )


def _kept(result: Any, x: Any, axes: tuple[int, ...], keepdims: bool) -> Any:
    if not keepdims:
        return result
    return ops.reshape(result, [1 if d in axes else n for d, n in enumerate(type_of(x).shape)])


@boundary
def norm(x: Any, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Array:
    """The norm of vectors (one axis) or matrices (two axes), by default of all elements as one vector.

    Args:
        x: an array; integers become floats.
        ord: of vectors 2 (the default), any number, or infinity; of matrices "fro" (the default), "nuc", 1, 2 or
            infinity, or their negatives.
        axis: an int, a pair of ints, or None for all axes.
        keepdims: whether these axes stay, with length 1.

    Raises AxisError for more than two axes, ArgumentError for an `ord` that does not exist.

    >>> import funcgrad as fg
    >>> fg.numpy.linalg.norm(fg.numpy.array([3.0, 4.0]))
    Array(5., dtype=float32)
    """
    x = _inexact("norm", x)
    rank = type_of(x).ndim
    if axis is None and ord is None:
        axes = tuple(range(rank))
        return _kept(_euclidean(x, axes), x, axes, keepdims)
    if axis is None:
        axes = tuple(range(rank))
    else:
        given = (axis,) if not isinstance(axis, tuple | list) else axis
        axes = tuple([canonical_axes("norm", one, x)[0] for one in given])
    if len(axes) not in (1, 2) or len(set(axes)) != len(axes):
        raise AxisError(
            f"norm of {type_of(x)} with ord={ord!r} over axes {axes}: vectors have one axis and matrices two",
            hint="say with axis= which axes the vectors or matrices have",
        )
    found = _of_vectors(x, axes, ord) if len(axes) == 1 else _of_matrices(x, (axes[0], axes[1]), ord)
    return _kept(found, x, axes, keepdims)


@boundary
def vector_norm(x: Any, /, *, axis: Any = None, keepdims: bool = False, ord: Any = 2) -> Array:
    """The norm of vectors along an axis, or along several taken as one; by default along all."""
    x = _inexact("vector_norm", x)
    axes = canonical_axes("vector_norm", axis, x)
    return _kept(_of_vectors(x, axes, ord), x, axes, keepdims)


@boundary
def matrix_norm(x: Any, /, *, keepdims: bool = False, ord: Any = "fro") -> Array:
    """The norm of the matrices that the last two axes are; `ord` as in `norm`."""
    return norm(x, ord, (-2, -1), keepdims)

"""What the rules of matrix factorizations share: products, triangles and samples of matrices over leading axes.

Matrices are the last two axes; all axes before them are batches. Owns no primitive.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from funcgrad import dtypes
from funcgrad.errors import DTypeError, ShapeError
from funcgrad.ir.types import ArrayType
from funcgrad.prims.samples import Draw, draw
from funcgrad.trace import ops
from funcgrad.trace.core import type_of

NUMBERS = (dtypes.float32, dtypes.float64, dtypes.complex64, dtypes.complex128)
"""The dtypes that LAPACK computes in."""


def check_matrix(name: str, x: ArrayType, square: bool = False) -> None:
    """Raise unless `x` is a matrix, or a batch of them, in a dtype of LAPACK."""
    if x.dtype not in NUMBERS:
        raise DTypeError(
            f"{name} is not defined for {x}",
            hint='it takes float32, float64, complex64 and complex128: use x.astype("float32")',
        )
    if x.ndim < 2:
        raise ShapeError(
            f"{name} takes matrices, the last two axes of an array; got {x}",
            hint="add axes with x[:, None] or x.reshape(rows, columns)",
        )
    if square and x.shape[-1] != x.shape[-2]:
        raise ShapeError(
            f"{name} takes square matrices; got {x}, which has {x.shape[-2]} rows and {x.shape[-1]} columns",
            hint="for matrices that are not square there are qr, svd and lstsq",
        )


def mT(x: Any) -> Any:
    """The transposes of matrices."""
    rank = type_of(x).ndim
    return ops.transpose(x, (*range(rank - 2), rank - 1, rank - 2))


def conj(x: Any) -> Any:
    return ops.conj(x) if dtypes.is_complex(type_of(x).dtype) else x


def mH(x: Any) -> Any:
    """The conjugate transposes of matrices."""
    return conj(mT(x))


def matmul(a: Any, b: Any) -> Any:
    """The products of matrices with equal batches."""
    rank = type_of(a).ndim
    batch = tuple(range(rank - 2))
    return ops.dot_general(a, b, (((rank - 1,), (rank - 2,)), (batch, batch)))


def triangle(x: Any, lower: bool, offset: int = 0) -> Any:
    """The elements on and below the diagonal that lies `offset` to the right (above it, unless `lower`), else 0."""
    shape = type_of(x).shape
    rank = len(shape)
    rows, columns = ops.iota(dtypes.int64, shape, rank - 2), ops.iota(dtypes.int64, shape, rank - 1)
    compare = ops.ge if lower else ops.le
    return ops.select(compare(ops.add(rows, offset), columns), x, 0)


def identity_like(x: Any) -> Any:
    """Identity matrices of the shape and dtype of `x`."""
    return ops.convert(identity_mask(x), type_of(x).dtype)


def diagonal_of(x: Any) -> Any:
    """The diagonals of square matrices."""
    return ops.reduce_sum(ops.select(identity_mask(x), x, 0), (type_of(x).ndim - 1,))


def as_column(v: Any, shape: Sequence[int]) -> Any:
    """Vectors as matrices of `shape`, equal along each row."""
    return ops.broadcast_in_dim(v, shape, range(len(shape) - 1))


def as_row(v: Any, shape: Sequence[int]) -> Any:
    """Vectors as matrices of `shape`, equal along each column."""
    return ops.broadcast_in_dim(v, shape, (*range(len(shape) - 2), len(shape) - 1))


def from_triangle(x: Any, lower: bool) -> Any:
    """The Hermitian matrices that have one triangle of `x`, and the real part of its diagonal."""
    strict = triangle(x, lower, -1 if lower else 1)
    diagonal = ops.select(identity_mask(x), x, 0)
    if dtypes.is_complex(type_of(x).dtype):
        diagonal = ops.convert(ops.real(diagonal), type_of(x).dtype)
    return ops.add(ops.add(strict, mH(strict)), diagonal)


def identity_mask(x: Any) -> Any:
    """Where the diagonals of matrices are."""
    t = type_of(x)
    return ops.eq(ops.iota(dtypes.int64, t.shape, t.ndim - 2), ops.iota(dtypes.int64, t.shape, t.ndim - 1))


def batch_leading(name: str, multiple: bool) -> Callable[..., Any]:
    """The batching rule of a function of matrices: one more batch axis, in front."""

    def batch(size: int, operands: Sequence[Any], axes: Sequence[int | None], /, **params: Any) -> Any:
        moved = [
            ops.broadcast_to(x, (size, *type_of(x).shape)) if a is None else ops.moveaxis(x, a, 0)
            for x, a in zip(operands, axes)
        ]
        out = ops.apply(name, *moved, **params)
        return (out, [0] * len(out)) if multiple else (out, 0)

    return batch


def each(
    function: Callable[..., Sequence[np.ndarray]], x: np.ndarray, types: Sequence[Any]
) -> list[np.ndarray]:
    """`function` of every matrix, NaN (0 in integers) where LAPACK gives up.

    `types` are pairs of the shape for one matrix and the dtype of each output.
    """
    lead = x.shape[:-2]
    outs = [np.empty((*lead, *shape), dtype) for shape, dtype in types]
    for place in np.ndindex(*lead):
        try:
            results: Sequence[Any] = function(x[place])
        except np.linalg.LinAlgError:
            results = [np.nan if dtypes.is_inexact(o.dtype) else 0 for o in outs]
        for out, result in zip(outs, results):
            out[place] = result
    return outs


def tried(function: Callable[[np.ndarray], Any], x: np.ndarray, types: Sequence[Any]) -> list[np.ndarray]:
    """`function` of all matrices at once; one at a time where LAPACK gives up on some of them, which are NaN."""
    try:
        result = function(x)
        return list(result) if isinstance(result, tuple) else [result]
    except np.linalg.LinAlgError:

        def one(matrix: np.ndarray) -> Sequence[Any]:
            result = function(matrix)
            return result if isinstance(result, tuple) else (result,)

        return each(one, x, types)


def draw_positive(*shape: int, dtype: np.dtype = dtypes.float32) -> Draw:
    """Draws Hermitian matrices with eigenvalues well above 0."""
    inner = draw(*shape, dtype=dtypes.complex128 if dtypes.is_complex(dtype) else dtypes.float64)

    def operand(rng: Any) -> np.ndarray:
        a = inner(rng)
        return (a @ np.conj(np.swapaxes(a, -1, -2)) + shape[-1] * np.eye(shape[-1])).astype(dtype)

    return operand


def draw_apart(*shape: int, dtype: np.dtype = dtypes.float32) -> Draw:
    """Draws matrices whose singular values, and whose eigenvalues, lie apart and away from 0."""
    inner = draw(*shape, dtype=dtypes.complex128 if dtypes.is_complex(dtype) else dtypes.float64, scale=0.3)
    *_, rows, columns = shape

    def operand(rng: Any) -> np.ndarray:
        steps = np.zeros((rows, columns))
        np.fill_diagonal(steps, 1.5 * np.arange(1, min(rows, columns) + 1))
        return (inner(rng) + steps).astype(dtype)

    return operand

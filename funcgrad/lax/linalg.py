"""Factorizations of matrices under the names of `jax.lax.linalg`: strict in dtypes, over leading batch axes.

Matrices are the last two axes, in float32, float64, complex64 or complex128. What has no answer is NaN, never an
exception: a matrix that is not positive definite, a singular system, an iteration that does not converge.
"""

from __future__ import annotations

from typing import Any

from funcgrad import dtypes
from funcgrad.array import Array
from funcgrad.errors import ArgumentError, ShapeError, boundary
from funcgrad.numpy.creation import asarray
from funcgrad.prims import decompositions
from funcgrad.prims.matrices import matmul, mH, triangle
from funcgrad.trace import ops
from funcgrad.trace.core import type_of


def symmetrized(x: Any) -> Any:
    """The Hermitian part of matrices."""
    return ops.mul(ops.add(x, mH(x)), 0.5)


def _require_square(name: str, x: Any) -> None:
    t = type_of(x)
    if t.ndim < 2 or t.shape[-1] != t.shape[-2]:
        raise ShapeError(
            f"{name} takes square matrices, the last two axes of an array; got {t}",
            hint="for matrices that are not square there are qr, svd and lstsq",
        )


@boundary
def cholesky(x: Any, *, symmetrize_input: bool = True) -> Array:
    """The lower triangular L with L L^H = x, for Hermitian positive definite matrices `x[..., n, n]`.

    Without `symmetrize_input` only the lower triangle is read. NaN where a matrix is not positive definite.
    Derivative: I. Murray, "Differentiation of the Cholesky decomposition" (2016).

    >>> import funcgrad as fg
    >>> fg.lax.linalg.cholesky(fg.numpy.array([[4.0, 2.0], [2.0, 2.0]]))
    Array([[2., 0.],
           [1., 1.]], dtype=float32)
    """
    x = asarray(x)
    _require_square("cholesky", x)
    return ops.apply("cholesky", symmetrized(x) if symmetrize_input else x)


@boundary
def triangular_solve(
    a: Any,
    b: Any,
    *,
    left_side: bool = False,
    lower: bool = False,
    transpose_a: bool = False,
    conjugate_a: bool = False,
    unit_diagonal: bool = False,
) -> Array:
    """X of X op(a) = b, or of op(a) X = b with `left_side`, for triangular matrices `a[..., n, n]`.

    The other triangle of `a` is not read, nor its diagonal with `unit_diagonal`. `b` has the leading axes of `a`; with
    one axis less than `a` it is a vector. A zero on the diagonal gives infinities and NaN. Raises ShapeError and
    DTypeError where `a` and `b` do not fit.

    >>> import funcgrad as fg
    >>> a, b = fg.numpy.array([[2.0, 0.0], [1.0, 4.0]]), fg.numpy.array([2.0, 9.0])
    >>> fg.lax.linalg.triangular_solve(a, b, left_side=True, lower=True)
    Array([1., 2.], dtype=float32)
    """
    a, b = asarray(a), asarray(b)
    vector = type_of(b).ndim == type_of(a).ndim - 1
    if vector:
        b = ops.expand_dims(b, (type_of(b).ndim if left_side else type_of(b).ndim - 1,))
    out = decompositions.triangular_solve(
        a,
        b,
        left_side=bool(left_side),
        lower=bool(lower),
        transpose_a=bool(transpose_a),
        conjugate_a=bool(conjugate_a),
        unit_diagonal=bool(unit_diagonal),
    )
    if not vector:
        return out
    shape = type_of(out).shape
    return ops.reshape(out, shape[:-1] if left_side else (*shape[:-2], shape[-1]))


@boundary
def lu(x: Any) -> tuple[Array, Array, Array]:
    """The factors of `x[..., m, n]` with partial pivoting: (lu, pivots, permutation).

    `lu` has U in its upper triangle and L below the diagonal, whose own is one; `pivots[..., min(m, n)]`, int32, are
    the rows exchanged one after the other; `permutation[..., m]` is their effect: x[permutation] = L U.
    """
    return tuple(ops.apply("lu", asarray(x)))  # type: ignore[return-value]


@boundary
def lu_pivots_to_permutation(pivots: Any, permutation_size: int) -> Array:
    """The permutation `[..., permutation_size]` that exchanging rows by `pivots[..., k]` gives."""
    pivots = asarray(pivots)
    t = type_of(pivots)
    if not t.ndim or not dtypes.is_integer(t.dtype) or t.shape[-1] > permutation_size:
        raise ShapeError(
            f"lu_pivots_to_permutation of {t}: pivots are integers, at most {permutation_size} along the last axis",
            hint="pass the pivots that lu gives, and the number of rows",
        )
    axis = t.ndim - 1
    shape = (*t.shape[:-1], permutation_size)
    order, places = ops.iota(t.dtype, shape, axis), ops.iota(t.dtype, shape, axis)
    for i in range(t.shape[-1]):
        pivot = ops.broadcast_to(ops.slice_in_dim(pivots, i, i + 1, axis=axis), shape)
        here = ops.broadcast_to(ops.slice_in_dim(order, i, i + 1, axis=axis), shape)
        at = ops.eq(places, pivot)
        there = ops.broadcast_to(
            ops.expand_dims(ops.reduce_sum(ops.select(at, order, 0), (axis,)), (axis,)), shape
        )
        order = ops.select(at, here, ops.select(ops.eq(places, i), there, order))
    return order


@boundary
def qr(x: Any, *, pivoting: bool = False, full_matrices: bool = True) -> tuple[Array, Array]:
    """Q with orthonormal columns and R upper triangular with Q R = `x[..., m, n]`, by Householder reflections.

    Q is m x m with `full_matrices`, else m x min(m, n). The former has no derivative where m > n.
    """
    if pivoting:
        raise ArgumentError("qr with column pivoting is not available", hint="use pivoting=False")
    return tuple(ops.apply("qr", asarray(x), full_matrices=bool(full_matrices)))  # type: ignore[return-value]


@boundary
def householder_product(a: Any, taus: Any) -> Array:
    """The first columns of the product of the reflections 1 - tau v v^H: each v is a column of `a[..., m, n]` below the
    diagonal, and 1 on it; `taus[..., k]`, k <= n <= m."""
    a, taus = asarray(a), asarray(taus)
    t, count = type_of(a), type_of(taus).shape[-1]
    if t.ndim < 2 or type_of(taus).shape[:-1] != t.shape[:-2] or not count <= t.shape[-1] <= t.shape[-2]:
        raise ShapeError(
            f"householder_product of {t} and {type_of(taus)}: leading axes have to be equal, with no more reflections "
            "than columns and no more columns than rows",
            hint="pass the packed matrix of a QR factorization, and one factor for each reflection",
        )
    identity = ops.broadcast_to(asarray(_eye(*t.shape[-2:], t.dtype)), t.shape)
    vectors = ops.add(triangle(a, True, -1), identity)
    out, rank = identity, t.ndim
    for k in reversed(range(count)):
        v = ops.slice_in_dim(vectors, k, k + 1, axis=rank - 1)
        tau = ops.expand_dims(ops.slice_in_dim(taus, k, k + 1, axis=rank - 2), (rank - 1,))
        part = matmul(v, matmul(mH(v), out))
        out = ops.sub(out, ops.mul(ops.broadcast_to(tau, type_of(part).shape), part))
    return out


def _eye(rows: int, columns: int, dtype: Any) -> Any:
    import numpy as np

    return np.eye(rows, columns, dtype=dtype)


@boundary
def svd(
    x: Any,
    *,
    full_matrices: bool = True,
    compute_uv: bool = True,
    subset_by_index: tuple[int, int] | None = None,
    algorithm: Any = None,
) -> Any:
    """(U, s, V^H) with U s V^H = `x[..., m, n]`, s descending; s alone without `compute_uv`.

    With `full_matrices` U is m x m and V^H n x n, which has a derivative for square matrices only; without it their
    inner axis is min(m, n). `algorithm` is accepted for JAX's sake. Derivative: J. Townsend (2016), infinite or NaN
    for vectors where singular values are equal.
    """
    x = asarray(x)
    if subset_by_index is not None:
        small = min(type_of(x).shape[-2:])
        start, stop = subset_by_index
        if not 0 <= start < stop <= small or (full_matrices and compute_uv and (start, stop) != (0, small)):
            raise ArgumentError(
                f"svd of {type_of(x)}: subset_by_index={subset_by_index} is a range of the {small} singular values, "
                "and goes with full_matrices=False"
            )
    outs = ops.apply("svd", x, full_matrices=bool(full_matrices and compute_uv), compute_uv=bool(compute_uv))
    if not compute_uv:
        return outs[0] if subset_by_index is None else _part(outs[0], subset_by_index, -1)
    s, u, vh = outs
    if subset_by_index is None or full_matrices:
        return u, s, vh
    return _part(u, subset_by_index, -1), _part(s, subset_by_index, -1), _part(vh, subset_by_index, -2)


def _part(x: Any, limits: tuple[int, int], axis: int) -> Any:
    return ops.slice_in_dim(x, *limits, axis=type_of(x).ndim + axis)


@boundary
def eigh(
    x: Any,
    *,
    lower: bool = True,
    symmetrize_input: bool = True,
    sort_eigenvalues: bool = True,
    subset_by_index: tuple[int, int] | None = None,
    implementation: Any = None,
) -> tuple[Array, Array]:
    """(v, w): eigenvectors, in columns, and eigenvalues, ascending, of Hermitian matrices `x[..., n, n]`.

    Without `symmetrize_input` only one triangle is read. Derivative: M. B. Giles (2008), infinite or NaN for vectors
    where eigenvalues are equal.
    """
    x = asarray(x)
    _require_square("eigh", x)
    v, w = ops.apply("eigh", symmetrized(x) if symmetrize_input else x, lower=bool(lower))
    if subset_by_index is None:
        return v, w
    return _part(v, subset_by_index, -1), _part(w, subset_by_index, -1)


@boundary
def eig(
    x: Any,
    *,
    compute_left_eigenvectors: bool = True,
    compute_right_eigenvectors: bool = True,
    enable_eigvec_derivs: bool = True,
    implementation: Any = None,
) -> list[Array]:
    """[w, left vectors, right vectors], those that are asked for, of matrices `x[..., n, n]`; all complex.

    Vectors are columns of length 1 whose largest component is real, and have derivatives too.
    """
    return ops.apply(
        "eig", asarray(x), left=bool(compute_left_eigenvectors), right=bool(compute_right_eigenvectors)
    )


@boundary
def schur(x: Any, *, compute_schur_vectors: bool = True) -> tuple[Array, ...]:
    """(T, Z) with Z T Z^H = `x[..., n, n]` and T triangular, with 2 x 2 blocks where `x` is real. No derivative."""
    found = tuple(ops.apply("schur", asarray(x)))
    return found if compute_schur_vectors else found[:1]


__all__ = [
    "cholesky",
    "eig",
    "eigh",
    "householder_product",
    "lu",
    "lu_pivots_to_permutation",
    "qr",
    "schur",
    "svd",
    "triangular_solve",
]

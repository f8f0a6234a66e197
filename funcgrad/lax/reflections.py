"""Products with Householder reflections, and factors of matrices that seldom are asked for, under the names of
`jax.lax.linalg`, which shows them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from funcgrad import dtypes
from funcgrad.errors import ArgumentError, ShapeError, boundary
from funcgrad.numpy.promotion import check_arrays
from funcgrad.prims.matrices import adjoint, as_column, as_row, lower_triangle, matmul, transposed
from funcgrad.trace import ops
from funcgrad.trace.core import type_of


def _reflected(a: Any, taus: Any, c: Any, order: Any, conjugate: bool) -> Any:
    """`c` behind reflections 1 - tau v v^H, in `order`; v are the columns of `a` below its diagonal, and 1 on it."""
    rank, (m, n) = type_of(a).ndim, type_of(a).shape[-2:]
    below = ops.add(
        lower_triangle(a, -1), ops.broadcast_to(np.eye(m, n, dtype=type_of(a).dtype), type_of(a).shape)
    )
    for i in order:
        v = ops.slice_in_dim(below, i, i + 1, axis=rank - 1)
        tau = ops.slice_in_dim(taus, i, i + 1, axis=rank - 2)
        tau = ops.conj(tau) if conjugate and dtypes.is_complex(type_of(taus).dtype) else tau
        step = matmul(v, matmul(adjoint(v), c))
        c = ops.sub(c, ops.mul(ops.broadcast_to(as_column(tau), type_of(step).shape), step))
    return c


def _check(name: str, a: Any, taus: Any, *more: Any) -> int:
    t, u, *rest = check_arrays(name, a, taus, *more)
    if t.ndim < 2 or u.shape[:-1] != t.shape[:-2] or u.ndim != t.ndim - 1 or u.shape[-1] > min(t.shape[-2:]):
        raise ShapeError(
            f"lax.linalg.{name} takes (..., m, n) and (..., k), k at most m and n, got {t} and {u}"
        )
    if any(o.dtype != t.dtype for o in (u, *rest)):
        raise ArgumentError(f"lax.linalg.{name} takes operands of one dtype, got {t}, {u}")
    return u.shape[-1]


@boundary
def householder_product(a: Any, taus: Any) -> Any:
    """The first n columns of the product of k reflections: what QR factors hold in packed form. Differentiable.

    Args:
        a: (..., m, n) with n <= m, the vectors of reflections in the columns below the diagonal, as LAPACK leaves them.
        taus: (..., k), their factors.

    >>> import funcgrad as fg
    >>> fg.lax.linalg.householder_product(fg.numpy.array([[1.0], [1.0]]), fg.numpy.array([1.0]))
    Array([[ 0.],
           [-1.]], dtype=float32)
    """
    k = _check("householder_product", a, taus)
    t = type_of(a)
    if t.shape[-1] > t.shape[-2]:
        raise ShapeError(f"lax.linalg.householder_product takes at least as many rows as columns, got {t}")
    start = ops.broadcast_to(np.eye(*t.shape[-2:], dtype=t.dtype), t.shape)
    return _reflected(a, taus, start, reversed(range(k)), False)


@boundary
def ormqr(a: Any, taus: Any, c: Any, *, left: bool = True, transpose: bool = False) -> Any:
    """`c` times the unitary matrix that reflections make, from the left or the right; its adjoint where `transpose`.

    Args:
        a: (..., m, k) and taus: (..., k), as for `householder_product`.
        c: (..., m, n), or (..., n, m) where not `left`.

    >>> import funcgrad as fg
    >>> a, taus = fg.numpy.array([[1.0], [1.0]]), fg.numpy.array([1.0])
    >>> fg.lax.linalg.ormqr(a, taus, fg.numpy.eye(2))
    Array([[ 0., -1.],
           [-1.,  0.]], dtype=float32)
    """
    k = _check("ormqr", a, taus, c)
    side, m = -2 if left else -1, type_of(a).shape[-2]
    if type_of(c).shape[side] != m or type_of(c).ndim != type_of(a).ndim:
        raise ShapeError(f"lax.linalg.ormqr of reflections of {m} elements and {type_of(c)}: lengths differ")
    flip = transpose if left else not transpose  # c Q is the adjoint of Q^H c^H
    order = range(k) if flip else reversed(range(k))
    if left:
        return _reflected(a, taus, c, order, flip)
    return adjoint(_reflected(a, taus, adjoint(c), order, flip))


@boundary
def hessenberg(a: Any) -> tuple[Any, Any]:
    """The upper Hessenberg form h of square matrices, `a = q @ h @ q^H`, with the vectors of the reflections that make
    q below it, (..., n, n), and their factors, (..., n - 1). No derivative."""
    check_arrays("hessenberg", a)
    return tuple(ops.apply("hessenberg", a))


@boundary
def tridiagonal(a: Any, *, lower: bool = True) -> tuple[Any, Any, Any, Any]:
    """(packed, d, e, taus): the diagonals of the tridiagonal form of hermitian matrices, real, and the reflections that
    lead to it, read from one triangle of `a`. No derivative."""
    check_arrays("tridiagonal", a)
    return tuple(ops.apply("tridiagonal", a, lower=bool(lower)))


@boundary
def schur(
    x: Any,
    *,
    compute_schur_vectors: bool = True,
    sort_eig_vals: bool = False,
    select_callable: Callable[..., Any] | None = None,
) -> tuple[Any, ...]:
    """(t, z) with `x = z @ t @ z^H`, t upper triangular (of real matrices with 2x2 blocks); t alone, in a tuple, unless
    `compute_schur_vectors`. No derivative.

    >>> import funcgrad as fg
    >>> fg.lax.linalg.schur(fg.numpy.array([[1.0, 2.0], [0.0, 3.0]]))[0]
    Array([[1., 2.],
           [0., 3.]], dtype=float32)
    """
    check_arrays("schur", x)
    if sort_eig_vals or select_callable is not None:
        raise ArgumentError("lax.linalg.schur does not sort eigenvalues", hint="leave sort_eig_vals out")
    t, z = ops.apply("schur", x)
    return (t, z) if compute_schur_vectors else (t,)


@boundary
def eig(
    x: Any,
    *,
    compute_left_eigenvectors: bool = True,
    compute_right_eigenvectors: bool = True,
    enable_eigvec_derivs: bool = False,
    implementation: Any = None,
    use_magma: bool | None = None,
) -> list[Any]:
    """Eigenvalues of square matrices, then the left and the right eigenvectors as columns, all complex. Only the
    eigenvalues have derivatives."""
    check_arrays("eig", x)
    if enable_eigvec_derivs:
        raise ArgumentError("eigenvectors of general matrices have no derivative here", hint="use eigh")
    if not (compute_left_eigenvectors or compute_right_eigenvectors):
        return [ops.apply("eigvals", x)]
    values, right = ops.apply("eig", x)
    left = [ops.apply("eig_left", x)] if compute_left_eigenvectors else []
    return [values, *left, *([right] if compute_right_eigenvectors else [])]


@boundary
def cholesky_update(r_matrix: Any, w_vector: Any) -> Any:
    """The upper Cholesky factor of `r^T @ r + outer(w, w)`.

    Args:
        r_matrix: (n, n), upper triangular, real.
        w_vector: (n,).

    >>> import funcgrad as fg
    >>> fg.lax.linalg.cholesky_update(fg.numpy.array([[3.0]]), fg.numpy.array([4.0]))
    Array([[5.]], dtype=float32)
    """
    r, w = check_arrays("cholesky_update", r_matrix, w_vector)
    if r.ndim != 2 or w.ndim != 1 or r.shape != (w.shape[0], w.shape[0]) or r.dtype != w.dtype:
        raise ShapeError(f"lax.linalg.cholesky_update takes (n, n) and (n,) of one dtype, got {r} and {w}")
    # R of the QR of r with w as a further row: no product of r with itself, which would square its condition
    _, upper = ops.apply("qr", ops.concatenate([r_matrix, as_row(w_vector)], 0), full_matrices=False)
    signs = ops.reduce_sum(ops.mul(upper, np.eye(w.shape[0], dtype=w.dtype)), (1,))
    signs = ops.select(ops.lt(signs, 0), ops.full_like(signs, -1), ops.full_like(signs, 1))
    return ops.mul(upper, ops.broadcast_to(as_column(signs), r.shape))


@boundary
def symmetric_product(
    a_matrix: Any, c_matrix: Any, *, alpha: float = 1.0, beta: float = 0.0, symmetrize_output: bool = False
) -> Any:
    """`alpha * a @ a^T + beta * c`; with `symmetrize_output` its lower triangle is mirrored.

    >>> import funcgrad as fg
    >>> fg.lax.linalg.symmetric_product(fg.numpy.array([[1.0], [2.0]]), fg.numpy.zeros((2, 2)))
    Array([[1., 2.],
           [2., 4.]], dtype=float32)
    """
    a, c = check_arrays("symmetric_product", a_matrix, c_matrix)
    if a.ndim < 2 or c.shape != (*a.shape[:-1], a.shape[-2]) or a.dtype != c.dtype:
        raise ShapeError(f"lax.linalg.symmetric_product takes (..., n, k) and (..., n, n), got {a} and {c}")
    product = matmul(a_matrix, transposed(a_matrix))
    out = ops.add(ops.mul(product, a.dtype.type(alpha)), ops.mul(c_matrix, a.dtype.type(beta)))
    return ops.add(lower_triangle(out), transposed(lower_triangle(out, -1))) if symmetrize_output else out


@boundary
def qdwh(
    x: Any,
    *,
    is_hermitian: bool = False,
    max_iterations: int | None = None,
    eps: float | None = None,
    dynamic_shape: tuple[int, int] | None = None,
) -> tuple[Any, Any, Any, Any]:
    """(u, h, number of iterations, whether they converged) of the polar decomposition `x = u @ h`, by the singular
    value decomposition: 1 and true. At least as many rows as columns."""
    (t,) = check_arrays("qdwh", x)
    if t.ndim != 2 or t.shape[0] < t.shape[1] or dynamic_shape is not None:
        raise ShapeError(f"lax.linalg.qdwh takes one matrix of at least as many rows as columns, got {t}")
    s, w, vh = ops.apply("svd", x, full_matrices=False, compute_uv=True)
    scaled = ops.mul(adjoint(vh), ops.broadcast_to(ops.convert(as_row(s), t.dtype), (t.shape[1],) * 2))
    return matmul(w, vh), matmul(scaled, vh), dtypes.default_int().type(1), np.bool_(True)

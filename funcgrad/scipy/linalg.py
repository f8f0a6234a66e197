"""Linear algebra with SciPy's names."""

from __future__ import annotations

from typing import Any

import numpy as np

from funcgrad.errors import ArgumentError, boundary
from funcgrad.lax import linalg as lax_linalg
from funcgrad.numpy import linalg
from funcgrad.numpy.creation import asarray, tri, tril, triu
from funcgrad.numpy.joining import concatenate
from funcgrad.numpy.linalg import _fitting, _matrices
from funcgrad.scipy.matrix_functions import (
    eigh_tridiagonal,
    funm,
    hessenberg,
    polar,
    qr_multiply,
    rsf2csf,
    schur,
    solve_sylvester,
    sqrtm,
)
from funcgrad.scipy.special_matrices import (
    circulant,
    companion,
    convolution_matrix,
    dft,
    fiedler,
    fiedler_companion,
    hadamard,
    hankel,
    helmert,
    hilbert,
    invhilbert,
    invpascal,
    leslie,
    pascal,
    toeplitz,
)
from funcgrad.trace import ops
from funcgrad.trace.core import type_of


@boundary
def det(a: Any, overwrite_a: bool = False, check_finite: bool = True) -> Any:
    """The determinant."""
    return linalg.det(a)


@boundary
def inv(a: Any, overwrite_a: bool = False, check_finite: bool = True) -> Any:
    """The inverse matrix."""
    return linalg.inv(a)


@boundary
def cholesky(a: Any, lower: bool = False, overwrite_a: bool = False, check_finite: bool = True) -> Any:
    """The upper factor (or the `lower` one) of a positive definite matrix, of which only that half is read."""
    (x,) = _matrices("cholesky", a, square=True)
    factor = lax_linalg.cholesky(x if lower else lax_linalg.adjoint(x), symmetrize_input=False)
    return factor if lower else lax_linalg.adjoint(factor)


@boundary
def cho_factor(
    a: Any, lower: bool = False, overwrite_a: bool = False, check_finite: bool = True
) -> tuple[Any, bool]:
    """The factor for `cho_solve`, and whether it is the lower one."""
    return cholesky(a, lower), lower


@boundary
def cho_solve(c_and_lower: Any, b: Any, overwrite_b: bool = False, check_finite: bool = True) -> Any:
    """The x of `a @ x = b` from `cho_factor(a)`."""
    c, lower = c_and_lower
    first = solve_triangular(c, b, trans=0 if lower else 2, lower=lower)
    return solve_triangular(c, first, trans=2 if lower else 0, lower=lower)


@boundary
def solve_triangular(
    a: Any,
    b: Any,
    trans: int | str = 0,
    lower: bool = False,
    unit_diagonal: bool = False,
    overwrite_b: bool = False,
    debug: Any = None,
    check_finite: bool = True,
) -> Any:
    """The x of `op(a) @ x = b` for a triangular matrix; op is itself (trans=0, 'N'), the transpose (1, 'T') or the
    adjoint (2, 'C')."""
    how = {"N": 0, "T": 1, "C": 2}.get(trans, trans)
    if how not in (0, 1, 2):
        raise ArgumentError(f"solve_triangular: trans is 0, 1 or 2 (or 'N', 'T', 'C'), got {trans!r}")
    x, y, vector = _fitting("solve_triangular", *_matrices("solve_triangular", a, b, square=True))
    out = lax_linalg.triangular_solve(
        x,
        y,
        left_side=True,
        lower=bool(lower),
        transpose_a=how > 0,
        conjugate_a=how == 2 and type_of(x).dtype.kind == "c",
        unit_diagonal=bool(unit_diagonal),
    )
    return ops.reshape(out, type_of(out).shape[:-1]) if vector else out


@boundary
def solve(
    a: Any,
    b: Any,
    lower: bool = False,
    overwrite_a: bool = False,
    overwrite_b: bool = False,
    debug: bool = False,
    check_finite: bool = True,
    assume_a: str = "gen",
) -> Any:
    """The x of `a @ x = b`; with assume_a='pos' by Cholesky factors.

    Of matrices that are assumed to be symmetric ('sym'), Hermitian ('her') or positive definite ('pos'), only the
    upper half is read, or the lower one with `lower`.
    """
    if assume_a == "pos":
        return cho_solve(cho_factor(a, lower=lower), b)
    if assume_a in ("sym", "her"):
        (a,) = _matrices("solve", a)
        half, rest = (tril(a), tril(a, -1)) if lower else (triu(a), triu(a, 1))
        a = half + (rest.mT if assume_a == "sym" else lax_linalg.adjoint(rest))
    return linalg.solve(a, b)


@boundary
def lu_factor(a: Any, overwrite_a: bool = False, check_finite: bool = True) -> tuple[Any, Any]:
    """The factors in one matrix, and the pivots, for `lu_solve`."""
    (x,) = _matrices("lu_factor", a)
    factors, pivots, _ = lax_linalg.lu(x)
    return factors, pivots


@boundary
def lu_solve(
    lu_and_piv: Any, b: Any, trans: int = 0, overwrite_b: bool = False, check_finite: bool = True
) -> Any:
    """The x of `a @ x = b` from `lu_factor(a)` (of the transpose with trans=1, of the adjoint with 2)."""
    factors, pivots = lu_and_piv
    x, y, vector = _fitting("lu_solve", *_matrices("lu_solve", factors, b, square=True))
    order = lax_linalg.lu_pivots_to_permutation(pivots, type_of(x).shape[-1])
    conjugate = trans == 2 and type_of(x).dtype.kind == "c"
    how = {"left_side": True, "transpose_a": trans > 0, "conjugate_a": conjugate}

    def with_lower(v: Any) -> Any:
        return lax_linalg.triangular_solve(x, v, lower=True, unit_diagonal=True, **how)

    def with_upper(v: Any) -> Any:
        return lax_linalg.triangular_solve(x, v, lower=False, **how)

    n = type_of(x).ndim
    columns = ops.iota(np.dtype(np.int32), type_of(x).shape, n - 1)
    rows = ops.broadcast_in_dim(order, type_of(x).shape, tuple(range(n - 1)))
    permute = ops.eq(rows, columns).astype(type_of(y).dtype)
    if trans == 0:
        out = with_upper(with_lower(permute @ y))
    else:
        out = linalg.matrix_transpose(permute) @ with_lower(with_upper(y))
    return ops.reshape(out, type_of(out).shape[:-1]) if vector else out


@boundary
def lu(a: Any, permute_l: bool = False, overwrite_a: bool = False, check_finite: bool = True) -> Any:
    """P, L and U of `a = P @ L @ U`; P @ L and U with `permute_l`."""
    (x,) = _matrices("lu", a)
    factors, _, order = lax_linalg.lu(x)
    *lead, m, n = type_of(x).shape
    k, dtype = min(m, n), type_of(x).dtype
    lower = factors[..., :, :k] * tri(m, k, -1, dtype=dtype) + np.eye(m, k, dtype=dtype)
    upper = factors[..., :k, :] * (1 - tri(k, n, -1, dtype=dtype))
    rows = ops.iota(np.dtype(np.int32), (*lead, m, m), len(lead))
    wide = ops.broadcast_in_dim(order, (*lead, m, m), (*range(len(lead)), len(lead) + 1))
    p = ops.eq(rows, wide).astype(dtype)
    return (p @ lower, upper) if permute_l else (p, lower, upper)


@boundary
def qr(
    a: Any,
    overwrite_a: bool = False,
    lwork: Any = None,
    mode: str = "full",
    pivoting: bool = False,
    check_finite: bool = True,
) -> Any:
    """Q and R of `a = Q @ R`, with `pivoting` also the order of columns; mode is 'full', 'economic' or 'r'."""
    if mode not in ("full", "economic", "r"):
        raise ArgumentError(f"qr: mode is 'full', 'economic' or 'r', got {mode!r}")
    if pivoting:
        (x,) = _matrices("qr", a)
        outs = lax_linalg.qr(x, pivoting=True, full_matrices=mode != "economic")
        return outs[1:] if mode == "r" else outs
    if mode == "r":
        return (linalg.qr(a, "complete").R,)
    return tuple(linalg.qr(a, "complete" if mode == "full" else "reduced"))


@boundary
def svd(
    a: Any,
    full_matrices: bool = True,
    compute_uv: bool = True,
    overwrite_a: bool = False,
    check_finite: bool = True,
    lapack_driver: str = "gesdd",
) -> Any:
    """U, the singular values and V^H; see `funcgrad.numpy.linalg.svd`."""
    out = linalg.svd(a, full_matrices, compute_uv)
    return tuple(out) if compute_uv else out


@boundary
def eigh(
    a: Any,
    b: None = None,
    lower: bool = True,
    eigvals_only: bool = False,
    overwrite_a: bool = False,
    overwrite_b: bool = False,
    turbo: bool = True,
    eigvals: None = None,
    type: int = 1,
    check_finite: bool = True,
) -> Any:
    """Eigenvalues, and unless `eigvals_only` eigenvectors, of a symmetric or hermitian matrix."""
    if b is not None or eigvals is not None:
        raise ArgumentError("eigh: generalized problems (b=) and eigvals= are not there")
    w, v = linalg.eigh(a, "L" if lower else "U")
    return w if eigvals_only else (w, v)


@boundary
def expm(A: Any, *, upper_triangular: bool = False, max_squarings: int = 16) -> Any:
    """The exponential of square matrices, by scaling and squaring (A. Al-Mohy and N. Higham, 2009)."""
    (x,) = _matrices("expm", A, square=True)
    return ops.apply("expm", x)


@boundary
def expm_frechet(A: Any, E: Any, *, method: str | None = None, compute_expm: bool = True) -> Any:
    """The derivative of `expm` at `A` in direction `E`; after the exponential itself, if `compute_expm`."""
    x, e = _matrices("expm_frechet", A, E, square=True)
    moved = ops.apply("expm_frechet", x, e)
    return (ops.apply("expm", x), moved) if compute_expm else moved


@boundary
def block_diag(*arrs: Any) -> Any:
    """One matrix with the given ones along its diagonal, and zeros elsewhere."""
    blocks = [asarray(a) for a in (arrs or (0.0,))]
    blocks = [b.reshape(1, -1) if type_of(b).ndim < 2 else b for b in blocks]
    width = sum(type_of(b).shape[1] for b in blocks)
    rows, before = [], 0
    for b in blocks:
        columns = type_of(b).shape[1]
        after = width - before - columns
        rows.append(ops.pad(b, type_of(b).dtype.type(0), [(0, 0, 0), (before, after, 0)]))
        before += columns
    return concatenate(rows, axis=0)


__all__ = [
    "block_diag", "cho_factor", "cho_solve", "cholesky", "circulant", "companion", "convolution_matrix",
    "det", "dft", "eigh", "eigh_tridiagonal", "expm", "expm_frechet", "fiedler", "fiedler_companion", "funm",
    "hadamard", "hankel", "helmert", "hessenberg", "hilbert", "inv", "invhilbert", "invpascal", "leslie",
    "lu", "lu_factor", "lu_solve", "pascal", "polar", "qr", "qr_multiply", "rsf2csf", "schur", "solve",
    "solve_sylvester", "solve_triangular", "sqrtm", "svd", "toeplitz",
]  # fmt: skip

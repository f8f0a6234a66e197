"""Linear algebra under the names of `jax.scipy.linalg`: over `funcgrad.numpy.linalg`, in SciPy's conventions.

Arguments named `overwrite_*`, `check_finite` and the like are accepted and change nothing. Matrices are the last two
axes; leading axes are batches, unless a function says otherwise.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from funcgrad import dtypes
from funcgrad.array import Array
from funcgrad.batching import vmap
from funcgrad.errors import ArgumentError, ShapeError, boundary
from funcgrad.lax.control import scan
from funcgrad.lax.linalg import lu_pivots_to_permutation
from funcgrad.numpy import linalg
from funcgrad.numpy.creation import asarray
from funcgrad.numpy.linalg import matrices
from funcgrad.numpy.promotion import broadcast_shapes, promote
from funcgrad.prims import decompositions
from funcgrad.prims.matrices import as_column, identity_like, mH, triangle
from funcgrad.prims.matrices import matmul as product
from funcgrad.trace import ops
from funcgrad.trace.core import type_of


def _fitted(name: str, a: Any, b: Any) -> tuple[Any, Any, bool]:
    """Matrices and right-hand sides with equal batches; whether `b` was a vector."""
    x, y = matrices(name, a, b, square=True)
    tx, ty = type_of(x), type_of(y)
    vector = ty.ndim == 1
    if not ty.ndim or ty.shape[0 if vector else -2] != tx.shape[-1]:
        raise ShapeError(
            f"{name} of {tx} and {ty}: the second needs {tx.shape[-1]} rows, as many as the first",
            hint="vectors in a batch need an axis of length 1: b[..., None]",
        )
    y = ops.expand_dims(y, (1,)) if vector else y
    batch = broadcast_shapes(tx.shape[:-2], type_of(y).shape[:-2])
    x = ops.broadcast_to(x, (*batch, *tx.shape[-2:]))
    return x, ops.broadcast_to(y, (*batch, *type_of(y).shape[-2:])), vector


def _as_given(out: Any, vector: bool) -> Any:
    return ops.reshape(out, type_of(out).shape[:-1]) if vector else out


@boundary
def cholesky(a: Any, lower: bool = False, overwrite_a: bool = False, check_finite: bool = True) -> Array:
    """The upper triangular U with U^H U = a, or with `lower` L with L L^H = a; NaN where there is none."""
    return linalg.cholesky(a, upper=not lower)


@boundary
def cho_factor(
    a: Any, lower: bool = False, overwrite_a: bool = False, check_finite: bool = True
) -> tuple[Array, bool]:
    """(the Cholesky factor, lower), as `cho_solve` takes them."""
    return cholesky(a, lower), lower


@boundary
def cho_solve(
    c_and_lower: tuple[Any, bool], b: Any, overwrite_b: bool = False, check_finite: bool = True
) -> Array:
    """X of a X = b by the factor that `cho_factor` gave.

    >>> import funcgrad as fg
    >>> a = fg.numpy.array([[4.0, 2.0], [2.0, 2.0]])
    >>> fg.scipy.linalg.cho_solve(fg.scipy.linalg.cho_factor(a), fg.numpy.array([4.0, 2.0]))
    Array([1., 0.], dtype=float32)
    """
    factor, lower = c_and_lower
    factor, y, vector = _fitted("cho_solve", factor, b)
    given = {"left_side": True, "lower": bool(lower), "conjugate_a": True}
    if lower:
        y = decompositions.triangular_solve(factor, y, left_side=True, lower=True)
        return _as_given(decompositions.triangular_solve(factor, y, transpose_a=True, **given), vector)
    y = decompositions.triangular_solve(factor, y, transpose_a=True, **given)
    return _as_given(decompositions.triangular_solve(factor, y, left_side=True, lower=False), vector)


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
) -> Array:
    """X of a X = b; `assume_a="pos"` says that `a` is Hermitian and positive definite, with one triangle given."""
    if assume_a not in ("gen", "sym", "her", "pos"):
        raise ArgumentError(f"solve: assume_a={assume_a!r}", hint="use 'gen', 'sym', 'her' or 'pos'")
    if assume_a != "pos":
        return linalg.solve(a, b)
    (x,) = matrices("solve", a, square=True)
    factor = ops.apply("cholesky", x if lower else mH(x))
    return cho_solve((factor, True), b)


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
) -> Array:
    """X of op(a) X = b, for a triangular `a`; op is nothing for `trans` 0 or "N", the transpose for 1 or "T", the
    conjugate transpose for 2 or "C"."""
    named: dict[Any, int] = {0: 0, 1: 1, 2: 2, "N": 0, "T": 1, "C": 2}
    if trans not in named:
        raise ArgumentError(f"solve_triangular: trans={trans!r}", hint="use 0, 1, 2 or 'N', 'T', 'C'")
    x, y, vector = _fitted("solve_triangular", a, b)
    code = named[trans]
    found = decompositions.triangular_solve(
        x,
        y,
        left_side=True,
        lower=bool(lower),
        transpose_a=code > 0,
        conjugate_a=code == 2,
        unit_diagonal=bool(unit_diagonal),
    )
    return _as_given(found, vector)


@boundary
def lu_factor(a: Any, overwrite_a: bool = False, check_finite: bool = True) -> tuple[Array, Array]:
    """(the packed factors L and U, the rows exchanged), as `lu_solve` takes them."""
    (x,) = matrices("lu_factor", a)
    factors, pivots, _ = ops.apply("lu", x)
    return factors, pivots


@boundary
def lu_solve(
    lu_and_piv: tuple[Any, Any], b: Any, trans: int = 0, overwrite_b: bool = False, check_finite: bool = True
) -> Array:
    """X of a X = b by the factors that `lu_factor` gave; of the transpose for `trans` 1, conjugated for 2."""
    factors, pivots = lu_and_piv
    if trans not in (0, 1, 2):
        raise ArgumentError(f"lu_solve: trans={trans!r}", hint="use 0, 1 or 2")
    factors, y, vector = _fitted("lu_solve", factors, b)
    order = lu_pivots_to_permutation(pivots, type_of(factors).shape[-1])
    order = ops.broadcast_to(order, type_of(factors).shape[:-1])
    return _as_given(decompositions.solve_factored(factors, order, y, int(trans)), vector)


@boundary
def lu(a: Any, permute_l: bool = False, overwrite_a: bool = False, check_finite: bool = True) -> Any:
    """(P, L, U) with P L U = `a[..., m, n]`; (P L, U) with `permute_l`."""
    (x,) = matrices("lu", a)
    factors, _, order = ops.apply("lu", x)
    t = type_of(factors)
    axis, (rows, columns) = t.ndim - 2, t.shape[-2:]
    inner = min(rows, columns)
    left = triangle(ops.slice_in_dim(factors, 0, inner, axis=axis + 1), True, -1)
    left = ops.add(left, identity_like(left))
    upper = triangle(ops.slice_in_dim(factors, 0, inner, axis=axis), False)
    square = (*t.shape[:-2], rows, rows)
    at = ops.broadcast_in_dim(order, square, (*range(axis), axis + 1))
    permutation = ops.convert(ops.eq(ops.iota(dtypes.int32, square, axis), at), dtypes.real_of(t.dtype))
    if permute_l:
        return product(ops.convert(permutation, t.dtype), left), upper
    return permutation, left, upper


@boundary
def qr(
    a: Any,
    overwrite_a: bool = False,
    lwork: Any = None,
    mode: str = "full",
    pivoting: bool = False,
    check_finite: bool = True,
) -> tuple[Array, ...]:
    """(Q, R) with Q R = `a[..., m, n]`: Q is m x m in mode "full", m x min(m, n) in "economic"; (R,) in "r"."""
    if mode not in ("full", "r", "economic"):
        raise ArgumentError(f"qr has no mode {mode!r}", hint="use 'full', 'economic' or 'r'")
    if pivoting:
        raise ArgumentError("qr with column pivoting is not available", hint="use pivoting=False")
    (x,) = matrices("qr", a)
    q, r = ops.apply("qr", x, full_matrices=mode != "economic")
    return (r,) if mode == "r" else (q, r)


@boundary
def svd(
    a: Any,
    full_matrices: bool = True,
    compute_uv: bool = True,
    overwrite_a: bool = False,
    check_finite: bool = True,
    lapack_driver: str = "gesdd",
) -> Any:
    """(U, s, Vh), or s alone without `compute_uv`, as `funcgrad.numpy.linalg.svd`."""
    found = linalg.svd(a, full_matrices, compute_uv)
    return tuple(found) if compute_uv else found


@boundary
def eigh(
    a: Any,
    b: Any = None,
    lower: bool = True,
    eigvals_only: bool = False,
    overwrite_a: bool = False,
    overwrite_b: bool = False,
    turbo: bool = True,
    eigvals: None = None,
    type: int = 1,
    check_finite: bool = True,
) -> Any:
    """(eigenvalues, eigenvectors) of the Hermitian parts of matrices; eigenvalues alone with `eigvals_only`. `lower`
    changes nothing, as in JAX. The generalised problem (`b`, `type`) and ranges of eigenvalues are not available."""
    if b is not None or type != 1 or eigvals is not None:
        raise ArgumentError(
            "eigh takes one matrix, and gives all eigenvalues",
            hint="with a Cholesky factor L of b, solve the problem of L^-1 a L^-H",
        )
    (x,) = matrices("eigh", a, square=True)
    v, w = ops.apply("eigh", linalg.hermitian_part(x), lower=True)
    return w if eigvals_only else (w, v)


@boundary
def inv(a: Any, overwrite_a: bool = False, check_finite: bool = True) -> Array:
    """The inverses of matrices."""
    return linalg.inv(a)


@boundary
def det(a: Any, overwrite_a: bool = False, check_finite: bool = True) -> Array:
    """The determinants of matrices."""
    return linalg.det(a)


@boundary
def schur(a: Any, output: str = "real") -> tuple[Array, Array]:
    """(T, Z) with Z T Z^H = `a[..., n, n]` and T triangular; with 2 x 2 blocks for real matrices, unless `output` is
    "complex". There is no derivative."""
    if output not in ("real", "complex"):
        raise ArgumentError(f"schur: output={output!r}", hint="use 'real' or 'complex'")
    (x,) = matrices("schur", a, square=True)
    if output == "complex" and not dtypes.is_complex(type_of(x).dtype):
        x = ops.convert(x, dtypes.complex128 if type_of(x).dtype == dtypes.float64 else dtypes.complex64)
    return tuple(ops.apply("schur", x))  # type: ignore[return-value]


@boundary
def polar(a: Any, side: str = "right") -> tuple[Array, Array]:
    """(U, P) with U P = `a[..., m, n]` (P U for `side` "left"), U with orthonormal columns or rows, P positive."""
    if side not in ("right", "left"):
        raise ArgumentError(f"polar: side={side!r}", hint="use 'right' or 'left'")
    u, s, vh = linalg.svd(a, full_matrices=False)
    outer = vh if side == "right" else mH(u)
    scaled = ops.mul(ops.convert(as_column(s, type_of(outer).shape), type_of(outer).dtype), outer)
    return product(u, vh), product(mH(outer), scaled)


# --------------------------------------------------------------------------------- the matrix exponential
_PADE = (
    64764752532480000.0,
    32382376266240000.0,
    7771770303897600.0,
    1187353796428800.0,
    129060195264000.0,
    10559470521600.0,
    670442572800.0,
    33522128640.0,
    1323241920.0,
    40840800.0,
    960960.0,
    16380.0,
    182.0,
    1.0,
)
_THETA = 5.371920351148152
"""The norm up to which the approximant of degree 13 is exact to double precision (Higham 2005, table 2.3)."""


@boundary
def expm(A: Any, *, upper_triangular: bool = False, max_squarings: int = 16) -> Array:
    """The exponentials of matrices `A[..., n, n]`; NaN where more than `max_squarings` halvings would be needed.

    Method: N. J. Higham, "The scaling and squaring method for the matrix exponential revisited" (2005).
    `upper_triangular` is accepted; it changes nothing.

    >>> import funcgrad as fg
    >>> fg.scipy.linalg.expm(fg.numpy.array([[0.0, 1.0], [0.0, 0.0]]))
    Array([[1., 1.],
           [0., 1.]], dtype=float32)
    """
    (x,) = matrices("expm", A, square=True)
    t = type_of(x)
    if t.ndim > 2:
        flat = ops.reshape(x, (int(np.prod(t.shape[:-2])), *t.shape[-2:]))
        return ops.reshape(vmap(lambda a: _expm(a, max_squarings))(flat), t.shape)
    return _expm(x, max_squarings) if t.size else x


def _expm(x: Any, max_squarings: int) -> Any:
    t = type_of(x)
    real = dtypes.real_of(t.dtype)
    size = ops.reduce_max(ops.reduce_sum(ops.abs_(x), (0,)), (0,))
    halvings = ops.ceil(ops.div(ops.log(ops.max_(ops.div(size, _THETA), 1)), float(np.log(2.0))))
    enough = ops.le(halvings, max_squarings)  # not where the norm is NaN
    count = ops.select(enough, halvings, 0)
    x = ops.mul(x, ops.convert(ops.exp2(ops.neg(count)), t.dtype))
    one = identity_like(x)
    x2 = product(x, x)
    x4 = product(x2, x2)
    x6 = product(x4, x2)

    def combined(powers: tuple[Any, ...], factors: tuple[float, ...]) -> Any:
        total = ops.mul(powers[0], factors[0])
        for power, factor in zip(powers[1:], factors[1:]):
            total = ops.add(total, ops.mul(power, factor))
        return total

    high = product(x6, combined((x6, x4, x2), (_PADE[13], _PADE[11], _PADE[9])))
    odd = product(x, ops.add(high, combined((x6, x4, x2, one), (_PADE[7], _PADE[5], _PADE[3], _PADE[1]))))
    high = product(x6, combined((x6, x4, x2), (_PADE[12], _PADE[10], _PADE[8])))
    even = ops.add(high, combined((x6, x4, x2, one), (_PADE[6], _PADE[4], _PADE[2], _PADE[0])))
    out = ops.apply("solve", ops.sub(even, odd), ops.add(even, odd))

    def squared(carry: Any, step: Any) -> tuple[Any, None]:
        return ops.select(ops.broadcast_to(ops.lt(step, count), t.shape), product(carry, carry), carry), None

    out, _ = scan(squared, out, asarray(np.arange(max_squarings, dtype=real)))
    return ops.select(ops.broadcast_to(enough, t.shape), out, ops.full_like(out, np.nan))


# --------------------------------------------------------------------------------------- special matrices
@boundary
def block_diag(*arrs: Any) -> Array:
    """The matrix with the given ones along its diagonal, and zeros elsewhere; a vector counts as one row."""
    found = [asarray(x) for x in (promote("block_diag", *arrs) if arrs else [np.zeros((1, 0), np.float32)])]
    if any(type_of(x).ndim > 2 for x in found):
        raise ShapeError(
            f"block_diag takes matrices, got {', '.join(str(type_of(x)) for x in found)}",
            hint="use vmap for batches",
        )
    blocks = [ops.reshape(x, (1,) * (2 - type_of(x).ndim) + type_of(x).shape) for x in found]
    width = sum(type_of(x).shape[1] for x in blocks)
    rows, start = [], 0
    for x in blocks:
        end = start + type_of(x).shape[1]
        rows.append(ops.pad(x, 0, [(0, 0, 0), (start, width - end, 0)]))
        start = end
    return ops.concatenate(rows, 0)


@boundary
def toeplitz(c: Any, r: Any = None) -> Array:
    """The matrix with first column `c[..., m]` and first row `r[..., n]` (conj(c) by default), constant along its
    diagonals. The first element of `r` is not used."""
    x = asarray(c)
    if r is None:
        r = ops.conj(x) if dtypes.is_complex(type_of(x).dtype) else x
    x, y = [asarray(v) for v in promote("toeplitz", x, r)]
    if not type_of(x).ndim or not type_of(y).ndim:
        x, y = [ops.reshape(v, type_of(v).shape or (1,)) for v in (x, y)]
    batch = broadcast_shapes(type_of(x).shape[:-1], type_of(y).shape[:-1])
    rows, columns = type_of(x).shape[-1], type_of(y).shape[-1]
    x, y = ops.broadcast_to(x, (*batch, rows)), ops.broadcast_to(y, (*batch, columns))
    if not rows or not columns:
        return ops.full((*batch, rows, columns), 0, type_of(x).dtype)
    axis = len(batch)
    line = ops.concatenate([ops.rev(x, (axis,)), ops.slice_in_dim(y, 1, columns, axis=axis)], axis)
    places = np.arange(rows)[::-1, None] + np.arange(columns)[None, :]
    return line[..., places]


__all__ = [
    "block_diag",
    "cho_factor",
    "cho_solve",
    "cholesky",
    "det",
    "eigh",
    "expm",
    "inv",
    "lu",
    "lu_factor",
    "lu_solve",
    "polar",
    "qr",
    "schur",
    "solve",
    "solve_triangular",
    "svd",
    "toeplitz",
]

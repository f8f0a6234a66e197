"""Linear algebra of `numpy.linalg`, over leading batch axes, traced and differentiable.

Matrices are the last two axes. Integers become floats; float16 and bfloat16 are refused. Data never raises: a
singular system gives infinities or NaN, and so does what does not converge.
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from funcgrad import dtypes
from funcgrad.api import stop_gradient
from funcgrad.array import Array
from funcgrad.custom_rules import custom_jvp
from funcgrad.errors import ArgumentError, ShapeError, boundary
from funcgrad.numpy import products
from funcgrad.numpy.creation import asarray
from funcgrad.numpy.norms import matrix_norm, norm, vector_norm
from funcgrad.numpy.promotion import broadcast_shapes, promote_inexact
from funcgrad.numpy.reductions import canonical_axes
from funcgrad.prims.matrices import (
    as_column,
    as_row,
    check_matrix,
    diagonal_of,
    identity_like,
    identity_mask,
    mH,
    mT,
)
from funcgrad.prims.matrices import matmul as product
from funcgrad.trace import ops
from funcgrad.trace.core import type_of


class QRResult(NamedTuple):
    """What `qr` gives."""

    Q: Array
    R: Array


class SVDResult(NamedTuple):
    """What `svd` gives."""

    U: Array
    S: Array
    Vh: Array


class EighResult(NamedTuple):
    """What `eigh` gives."""

    eigenvalues: Array
    eigenvectors: Array


class EigResult(NamedTuple):
    """What `eig` gives."""

    eigenvalues: Array
    eigenvectors: Array


class SlogdetResult(NamedTuple):
    """What `slogdet` gives."""

    sign: Array
    logabsdet: Array


def matrices(name: str, *operands: Any, square: bool = False) -> list[Any]:
    """The operands as arrays of one inexact dtype, the first of them matrices."""
    found = [asarray(x) for x in promote_inexact(name, *operands)]
    check_matrix(name, type_of(found[0]), square)
    return found


def hermitian_part(x: Any) -> Any:
    return ops.mul(ops.add(x, mH(x)), 0.5)


def _epsilon(dtype: np.dtype) -> float:
    return float(np.finfo(dtype).eps)


# ------------------------------------------------------------------------------------------- factorizations
@boundary
def cholesky(a: Any, *, upper: bool = False, symmetrize_input: bool = True) -> Array:
    """The lower triangular L with L L^H = `a[..., n, n]` (U with U^H U = a if `upper`); NaN where there is none.

    >>> import funcgrad as fg
    >>> fg.numpy.linalg.cholesky(fg.numpy.array([[4.0, 2.0], [2.0, 2.0]]))
    Array([[2., 0.],
           [1., 1.]], dtype=float32)
    """
    (x,) = matrices("cholesky", a, square=True)
    if symmetrize_input:
        x = hermitian_part(x)
    elif upper:
        x = mH(x)
    factor = ops.apply("cholesky", x)
    return mH(factor) if upper else factor


@boundary
def qr(a: Any, mode: str = "reduced") -> Any:
    """Q with orthonormal columns and R upper triangular with Q R = `a[..., m, n]`.

    `mode` is "reduced" (inner axis min(m, n)), "complete" (m) or "r" (R of the reduced one alone).
    """
    if mode not in ("reduced", "complete", "r", "full"):
        raise ArgumentError(f"qr has no mode {mode!r}", hint="use 'reduced', 'complete' or 'r'")
    (x,) = matrices("qr", a)
    q, r = ops.apply("qr", x, full_matrices=mode in ("complete", "full"))
    return r if mode == "r" else QRResult(q, r)


@boundary
def svd(
    a: Any,
    full_matrices: bool = True,
    compute_uv: bool = True,
    hermitian: bool = False,
    subset_by_index: tuple[int, int] | None = None,
) -> Any:
    """(U, S, Vh) with U S Vh = `a[..., m, n]`, S descending; S alone without `compute_uv`.

    `full_matrices` says whether U is m x m and Vh n x n, which then have no derivative unless m = n. `hermitian` says
    that `a` is, and uses eigh. `subset_by_index` is not available.
    """
    if subset_by_index is not None:
        raise ArgumentError("svd: subset_by_index is not available here", hint="use funcgrad.lax.linalg.svd")
    (x,) = matrices("svd", a, square=hermitian)
    if hermitian:
        return _svd_of_hermitian(x, compute_uv)
    found = ops.apply("svd", x, full_matrices=bool(full_matrices and compute_uv), compute_uv=bool(compute_uv))
    return SVDResult(found[1], found[0], found[2]) if compute_uv else found[0]


def _svd_of_hermitian(x: Any, compute_uv: bool) -> Any:
    """By eigh: the sizes of the eigenvalues, their signs given to the right vectors."""
    v, w = ops.apply("eigh", hermitian_part(x), lower=True)
    t = type_of(w)
    axis, params = t.ndim - 1, {"dimension": t.ndim - 1, "is_stable": True, "num_keys": 1}
    size = ops.neg(ops.abs_(w))
    if not compute_uv:
        return ops.neg(ops.apply("sort", size, **params)[0])
    sorted_size, order = ops.apply("sort", size, ops.iota(dtypes.int64, t.shape, axis), **params)
    at = ops.eq(as_row(order, type_of(v).shape), ops.iota(dtypes.int64, type_of(v).shape, axis))
    pick = ops.convert(at, type_of(v).dtype)
    turned = ops.mul(v, ops.convert(as_row(ops.sign(w), type_of(v).shape), type_of(v).dtype))
    return SVDResult(product(v, pick), ops.neg(sorted_size), mH(product(turned, pick)))


@boundary
def svdvals(x: Any, /) -> Array:
    """The singular values of matrices, descending."""
    return svd(x, compute_uv=False)


@boundary
def eigh(a: Any, UPLO: str | None = None, symmetrize_input: bool = True) -> EighResult:
    """(eigenvalues ascending, eigenvectors in columns) of Hermitian matrices `a[..., n, n]`.

    Without `symmetrize_input` only the triangle `UPLO` ("L" or "U") is read.

    >>> import funcgrad as fg
    >>> fg.numpy.linalg.eigh(fg.numpy.array([[2.0, 0.0], [0.0, 1.0]])).eigenvalues
    Array([1., 2.], dtype=float32)
    """
    if UPLO not in (None, "L", "U"):
        raise ArgumentError(
            f"eigh: UPLO={UPLO!r}", hint="use 'L' for the lower triangle or 'U' for the upper one"
        )
    (x,) = matrices("eigh", a, square=True)
    v, w = ops.apply("eigh", hermitian_part(x) if symmetrize_input else x, lower=UPLO != "U")
    return EighResult(w, v)


@boundary
def eigvalsh(a: Any, UPLO: str | None = "L", *, symmetrize_input: bool = True) -> Array:
    """The eigenvalues of Hermitian matrices, ascending."""
    return eigh(a, UPLO, symmetrize_input)[0]


@boundary
def eig(a: Any) -> EigResult:
    """(eigenvalues, eigenvectors in columns) of matrices `a[..., n, n]`; always complex."""
    (x,) = matrices("eig", a, square=True)
    return EigResult(*ops.apply("eig", x, left=False, right=True))


@boundary
def eigvals(a: Any) -> Array:
    """The eigenvalues of matrices; always complex."""
    (x,) = matrices("eigvals", a, square=True)
    return ops.apply("eig", x, left=False, right=False)[0]


# -------------------------------------------------------------------------------------------------- systems
@boundary
def solve(a: Any, b: Any) -> Array:
    """X of a X = b for `a[..., n, n]` and `b[n]` or `b[..., n, k]`, whose leading axes broadcast.

    A singular matrix gives infinities or NaN. Raises ShapeError where shapes do not fit.

    >>> import funcgrad as fg
    >>> fg.numpy.linalg.solve(fg.numpy.array([[2.0, 0.0], [0.0, 4.0]]), fg.numpy.array([2.0, 8.0]))
    Array([1., 2.], dtype=float32)
    """
    x, y = matrices("solve", a, b, square=True)
    tx, ty = type_of(x), type_of(y)
    vector = ty.ndim == 1
    rows = ty.shape[-2 if ty.ndim > 1 else -1] if ty.ndim else None
    if rows != tx.shape[-1]:
        raise ShapeError(
            f"solve of {tx} and {ty}: the second has {rows} rows, where the first has {tx.shape[-1]}",
            hint="vectors in a batch need an axis of length 1: b[..., None]",
        )
    if vector:
        y = ops.expand_dims(y, (1,))
    batch = broadcast_shapes(tx.shape[:-2], type_of(y).shape[:-2])
    x = ops.broadcast_to(x, (*batch, *tx.shape[-2:]))
    y = ops.broadcast_to(y, (*batch, *type_of(y).shape[-2:]))
    out = ops.apply("solve", x, y)
    return ops.reshape(out, type_of(out).shape[:-1]) if vector else out


@boundary
def inv(a: Any) -> Array:
    """The inverses of matrices `a[..., n, n]`; infinities or NaN where there is none."""
    (x,) = matrices("inv", a, square=True)
    return ops.apply("solve", x, identity_like(x))


def _cutoff(name: str, rtol: Any, s: Any, rows: int, columns: int, factor: float) -> Any:
    """The size, for each matrix, below which singular values count as 0."""
    t = type_of(s)
    if rtol is None:
        rtol = factor * max(rows, columns) * _epsilon(t.dtype)
    largest = ops.reduce_max(s, (t.ndim - 1,))
    return ops.mul(largest, ops.broadcast_to(asarray(rtol, t.dtype), type_of(largest).shape))


@custom_jvp
def _pinv(x: Any, rtol: Any) -> Any:
    s, u, vh = ops.apply("svd", x, full_matrices=False, compute_uv=True)
    rows, columns = type_of(x).shape[-2:]
    limit = _cutoff("pinv", None if type_of(rtol).size == 0 else rtol, s, rows, columns, 10.0)
    large = ops.gt(s, as_column(limit, type_of(s).shape))
    inverse = ops.select(large, ops.div(ops.full_like(s, 1), ops.select(large, s, 1)), 0)
    v = mH(vh)
    scaled = ops.mul(v, ops.convert(as_row(inverse, type_of(v).shape), type_of(v).dtype))
    return product(scaled, mH(u))


@_pinv.defjvp
def _pinv_jvp(primals: Any, tangents: Any) -> Any:
    """G. H. Golub and V. Pereyra, "The differentiation of pseudo-inverses and nonlinear least squares problems
    whose variables separate" (1973), equation 4.12."""
    (x, rtol), (dx, _) = primals, tangents
    p = _pinv(x, rtol)
    moved = ops.neg(product(product(p, dx), p))
    at_left = product(product(p, mH(p)), mH(dx))
    moved = ops.add(moved, ops.sub(at_left, product(at_left, product(x, p))))
    at_right = product(mH(dx), product(mH(p), p))
    return p, ops.add(moved, ops.sub(at_right, product(product(p, x), at_right)))


@boundary
def pinv(a: Any, rtol: Any = None, hermitian: bool = False, *, rcond: Any = None) -> Array:
    """The pseudo-inverses of matrices `a[..., m, n]`: singular values up to `rtol` times the largest count as 0.

    `rtol` is 10 max(m, n) eps by default; `rcond` is another name for it. `hermitian` is accepted; it changes nothing.
    """
    (x,) = matrices("pinv", a, square=hermitian)
    rows, columns = type_of(x).shape[-2:]
    if not rows or not columns:
        return mT(x)
    rtol = rcond if rtol is None else rtol
    real = dtypes.real_of(type_of(x).dtype)
    given = np.zeros((0,), real) if rtol is None else ops.convert(asarray(rtol), real)
    return _pinv(x, asarray(given))


@boundary
def lstsq(
    a: Any, b: Any, rcond: float | None = None, *, numpy_resid: bool = False
) -> tuple[Array, Array, Array, Array]:
    """The least-squares solution of a X = b of least norm: (X, residuals, rank, singular values).

    Args:
        a: a matrix [m, n]. b: a vector [m] or a matrix [m, k].
        rcond: singular values up to this times the largest count as 0; max(m, n) eps by default.
        numpy_resid: whether residuals are empty where NumPy has none; not possible in a traced function.
    """
    x, y = matrices("lstsq", a, b)
    tx, ty = type_of(x), type_of(y)
    if tx.ndim != 2 or ty.ndim not in (1, 2) or ty.shape[0] != tx.shape[0]:
        raise ShapeError(
            f"lstsq of {tx} and {ty}: the first is a matrix, the second a vector or matrix with as many rows",
            hint="use vmap for batches",
        )
    rows, columns = tx.shape
    right = ops.expand_dims(y, (1,)) if ty.ndim == 1 else y
    real = dtypes.real_of(tx.dtype)
    (s,) = ops.apply("svd", x, full_matrices=False, compute_uv=False)
    if rcond is None:
        rcond = _epsilon(real) * max(rows, columns)
    elif rcond < 0:
        rcond = _epsilon(real)
    if rows and columns:
        found = product(_pinv(x, asarray(rcond, real)), right)
        above = ops.gt(s, ops.mul(ops.reduce_max(s, (0,)), asarray(rcond, real)))
        rank = ops.reduce_sum(ops.convert(above, dtypes.default_int()), (0,))
    else:
        found, rank = product(mH(x), right), asarray(0, dtypes.default_int())
    error = ops.sub(right, product(x, found))
    size = ops.real(ops.mul(error, ops.conj(error))) if dtypes.is_complex(tx.dtype) else ops.mul(error, error)
    residuals = ops.reduce_sum(size, (0,))
    if numpy_resid and (rows <= columns or int(rank) < columns):
        residuals = asarray(np.zeros((0,), real))
    return (ops.reshape(found, (columns,)) if ty.ndim == 1 else found), residuals, rank, s


# --------------------------------------------------------------------------------------------- determinants
def _from_factors(x: Any) -> tuple[Any, Any]:
    """The diagonal of U of the LU factorization, and the sign of its permutation."""
    lu, pivots, _ = ops.apply("lu", x)
    diagonal, t = diagonal_of(lu), type_of(pivots)
    moved = ops.ne(pivots, ops.iota(t.dtype, t.shape, t.ndim - 1))
    odd = ops.rem(ops.reduce_sum(ops.convert(moved, dtypes.int32), (t.ndim - 1,)), 2)
    real = dtypes.real_of(type_of(x).dtype)
    return diagonal, ops.sub(1, ops.mul(ops.convert(odd, real), 2))


@custom_jvp
def _slogdet(x: Any) -> Any:
    diagonal, sign = _from_factors(x)
    t = type_of(diagonal)
    last = (t.ndim - 1,)
    sign = ops.mul(ops.convert(sign, t.dtype), ops.reduce_prod(ops.sign(diagonal), last))
    return sign, ops.reduce_sum(ops.log(ops.abs_(diagonal)), last)


@_slogdet.defjvp
def _slogdet_jvp(primals: Any, tangents: Any) -> Any:
    """d log det A = trace(A^-1 dA) (Giles 2008, section 2.2.4)."""
    (x,), (dx,) = primals, tangents
    sign, size = _slogdet(x)
    moved = diagonal_of(ops.apply("solve", x, dx))
    moved = ops.reduce_sum(moved, (type_of(moved).ndim - 1,))
    if not dtypes.is_complex(type_of(x).dtype):
        return (sign, size), (ops.full_like(sign, 0), moved)
    real = ops.real(moved)
    turn = ops.mul(sign, ops.sub(moved, ops.convert(real, type_of(sign).dtype)))
    return (sign, size), (turn, real)


@boundary
def slogdet(a: Any, *, method: str | None = None) -> SlogdetResult:
    """(sign, logabsdet) of the determinants of `a[..., n, n]`: sign * exp(logabsdet); (0, -inf) where singular.

    `method` is "lu" or None.
    """
    if method not in (None, "lu"):
        raise ArgumentError(f"slogdet has no method {method!r}", hint="use method='lu'")
    (x,) = matrices("slogdet", a, square=True)
    return SlogdetResult(*_slogdet(x))


@custom_jvp
def _det(x: Any) -> Any:
    diagonal, sign = _from_factors(x)
    whole = ops.reduce_prod(diagonal, (type_of(diagonal).ndim - 1,))
    return ops.mul(whole, ops.convert(sign, type_of(whole).dtype))


@_det.defjvp
def _det_jvp(primals: Any, tangents: Any) -> Any:
    """d det A = trace(adj(A) dA) (Giles 2008, section 2.2.4).

    adj(A) is det(A) A^-1, and for a singular matrix comes from the singular value decomposition: det(U V^H) V times
    the products of all singular values but one, times U^H. That one is not differentiated again.
    """
    (x,), (dx,) = primals, tangents
    t = type_of(x)
    s, u, vh = ops.apply("svd", x, full_matrices=False, compute_uv=True)
    axis = len(t.shape) - 2
    small = ops.reduce_min(s, (axis,))
    large = ops.mul(ops.reduce_max(s, (axis,)), t.shape[-1] * _epsilon(dtypes.real_of(t.dtype)))
    regular = ops.gt(small, large)
    wide = ops.broadcast_in_dim(regular, t.shape, range(axis))
    safe = ops.select(wide, x, identity_like(x))
    inverse = ops.apply("solve", safe, identity_like(x))
    whole = ops.broadcast_in_dim(_det(safe), t.shape, range(axis))
    s, u, vh = map(stop_gradient, (s, u, vh))
    others = ops.reduce_prod(ops.select(identity_mask(x), 1, as_row(s, t.shape)), (axis + 1,))
    turn = ops.broadcast_in_dim(_det(product(u, vh)), t.shape, range(axis))
    adjugate = ops.mul(mH(vh), ops.convert(as_row(others, t.shape), t.dtype))
    adjugate = ops.mul(turn, product(adjugate, mH(u)))
    adjugate = ops.select(wide, ops.mul(whole, inverse), adjugate)
    moved = ops.reduce_sum(ops.mul(mT(adjugate), dx), (axis, axis + 1))
    return _det(x), moved


@boundary
def det(a: Any) -> Array:
    """The determinants of matrices `a[..., n, n]`. The gradient is right for singular matrices too.

    >>> import funcgrad as fg
    >>> fg.numpy.linalg.det(fg.numpy.array([[2.0, 1.0], [0.0, 3.0]]))
    Array(6., dtype=float32)
    """
    (x,) = matrices("det", a, square=True)
    n = type_of(x).shape[-1]
    if n > 2 or not n:
        return _det(x) if n else ops.full(type_of(x).shape[:-2], 1, type_of(x).dtype)
    lead = type_of(x).shape[:-2]
    flat = ops.reshape(x, (*lead, n * n))
    parts = [ops.reshape(ops.slice_in_dim(flat, k, k + 1, axis=len(lead)), lead) for k in range(n * n)]
    return parts[0] if n == 1 else ops.sub(ops.mul(parts[0], parts[3]), ops.mul(parts[1], parts[2]))


# ------------------------------------------------------------------------------------------ ranks and powers
@boundary
def matrix_rank(M: Any, rtol: Any = None, *, hermitian: bool = False, tol: Any = None) -> Array:
    """The number of singular values above `rtol` times the largest, by default max(m, n) eps; or above `tol`."""
    x = asarray(promote_inexact("matrix_rank", M)[0])
    if type_of(x).ndim < 2:
        return ops.convert(ops.reduce_or(ops.ne(x, 0), range(type_of(x).ndim)), dtypes.int32)
    check_matrix("matrix_rank", type_of(x), hermitian)
    s = svd(x, compute_uv=False, hermitian=hermitian)
    if not type_of(s).shape[-1]:
        return ops.full(type_of(s).shape[:-1], 0, dtypes.default_int())
    if tol is None:
        limit = _cutoff("matrix_rank", rtol, s, *type_of(x).shape[-2:], 1.0)
    else:
        limit = ops.broadcast_to(asarray(tol, type_of(s).dtype), type_of(s).shape[:-1])
    above = ops.gt(s, as_column(limit, type_of(s).shape))
    return ops.reduce_sum(ops.convert(above, dtypes.default_int()), (type_of(s).ndim - 1,))


@boundary
def matrix_power(a: Any, n: int) -> Array:
    """The product of n copies of each matrix, by repeated squaring; of copies of the inverse where n < 0."""
    try:
        n = operator.index(n)
    except TypeError:
        raise ArgumentError(
            f"matrix_power: n has to be an int, got {n!r}", hint="give a Python int"
        ) from None
    x = asarray(a)
    t = type_of(x)
    if t.ndim < 2 or t.shape[-1] != t.shape[-2]:
        raise ShapeError(f"matrix_power takes square matrices; got {t}", hint="check the last two axes")
    if n == 0:
        return identity_like(x)
    x, n = (inv(x), -n) if n < 0 else (x, n)
    result = None
    while True:
        if n & 1:
            result = x if result is None else product(result, x)
        n >>= 1
        if not n:
            return result
        x = product(x, x)


@boundary
def cond(x: Any, p: Any = None) -> Array:
    """The condition number of matrices: the norm `p` times that of the inverse; by default by singular values."""
    (a,) = matrices("cond", x)
    if p in (None, 2, -2):
        s = svdvals(a)
        last = type_of(s).ndim - 1
        first, final = ops.reduce_max(s, (last,)), ops.reduce_min(s, (last,))
        return ops.div(final, first) if p == -2 else ops.div(first, final)
    check_matrix("cond", type_of(a), square=True)
    found = ops.mul(norm(a, p, (-2, -1)), norm(inv(a), p, (-2, -1)))
    rank = type_of(a).ndim
    unknown = ops.reduce_or(ops.ne(a, a), (rank - 2, rank - 1))
    lost = ops.and_(ops.ne(found, found), ops.not_(unknown))
    return ops.select(lost, np.inf, found)


@boundary
def multi_dot(arrays: Sequence[Any], *, precision: Any = None) -> Array:
    """The product of several matrices, in the order that takes the fewest multiplications.

    The first and the last may be vectors. Raises ShapeError where neighbours do not fit.
    """
    found = [asarray(x) for x in arrays]
    if len(found) < 2:
        raise ArgumentError(f"multi_dot multiplies two arrays or more, got {len(found)}")
    for k, x in enumerate(found):
        t = type_of(x)
        if t.ndim != 2 and not (t.ndim == 1 and k in (0, len(found) - 1)):
            raise ShapeError(
                f"multi_dot: array {k} is {t}, and has to be a matrix", hint="use matmul for batches"
            )
    rows = [1 if type_of(found[0]).ndim == 1 else type_of(found[0]).shape[0]]
    inner = [type_of(x).shape[0] for x in found[1:]]
    last = type_of(found[-1])
    sizes = [*rows, *inner, 1 if last.ndim == 1 else last.shape[1]]
    best: dict[tuple[int, int], tuple[int, int]] = {(i, i): (0, i) for i in range(len(found))}
    for width in range(1, len(found)):
        for i in range(len(found) - width):
            j = i + width
            best[i, j] = min(
                (best[i, k][0] + best[k + 1, j][0] + sizes[i] * sizes[k + 1] * sizes[j + 1], k)
                for k in range(i, j)
            )

    def multiplied(i: int, j: int) -> Any:
        if i == j:
            return found[i]
        k = best[i, j][1]
        return products.matmul(multiplied(i, k), multiplied(k + 1, j))

    return multiplied(0, len(found) - 1)


@boundary
def tensorinv(a: Any, ind: int = 2) -> Array:
    """The inverse of `a` as a map from its axes after the first `ind` to those."""
    (x,) = [asarray(v) for v in promote_inexact("tensorinv", a)]
    shape = type_of(x).shape
    left, right = shape[:ind], shape[ind:]
    size = int(np.prod(left))
    if ind <= 0 or size != int(np.prod(right)):
        raise ShapeError(
            f"tensorinv of {type_of(x)} with ind={ind}: the first {ind} axes need as many elements as the others",
            hint="give the number of leading axes that make a square matrix",
        )
    return ops.reshape(inv(ops.reshape(x, (size, size))), (*right, *left))


@boundary
def tensorsolve(a: Any, b: Any, axes: tuple[int, ...] | None = None) -> Array:
    """x of tensordot(a, x, x.ndim) = b; `axes` are axes of `a` that are moved to its end first."""
    x, y = [asarray(v) for v in promote_inexact("tensorsolve", a, b)]
    if axes is not None:
        last = canonical_axes("tensorsolve", axes, x)
        x = ops.transpose(x, [d for d in range(type_of(x).ndim) if d not in last] + list(last))
    shape = type_of(x).shape[type_of(y).ndim :]
    size = int(np.prod(shape))
    if size != type_of(y).size:
        raise ShapeError(
            f"tensorsolve of {type_of(x)} and {type_of(y)}: the axes {shape} have {size} elements, and the second "
            f"{type_of(y).size}",
            hint="move axes of the first to its end with axes=",
        )
    found = solve(ops.reshape(x, (type_of(y).size, size)), ops.reshape(y, (type_of(y).size,)))
    return ops.reshape(found, shape)


# ---------------------------------------------------------------- functions of funcgrad.numpy, on the last axes
@boundary
def cross(x1: Any, x2: Any, /, *, axis: int = -1) -> Array:
    """The cross product of vectors of length 3 along an axis."""
    for x in (x1, x2):
        t = type_of(asarray(x))
        (d,) = canonical_axes("cross", axis, asarray(x))
        if t.shape[d] != 3:
            raise ShapeError(
                f"cross takes vectors of length 3; got {t} along axis {axis}", hint="name the axis"
            )
    return products.cross(x1, x2, axis)


@boundary
def outer(x1: Any, x2: Any, /) -> Array:
    """The products of each element of a vector with each of another, as a matrix."""
    for x in (x1, x2):
        if type_of(asarray(x)).ndim != 1:
            raise ShapeError(
                f"outer takes vectors; got {type_of(asarray(x))}", hint="use funcgrad.numpy.outer"
            )
    return products.outer(x1, x2)


@boundary
def vecdot(
    x1: Any, x2: Any, /, *, axis: int = -1, precision: Any = None, preferred_element_type: Any = None
) -> Array:
    """The sum of products along an axis, that of the first operand conjugated; other axes broadcast."""
    return products.vecdot(x1, x2, axis=axis)


@boundary
def trace(x: Any, /, *, offset: int = 0, dtype: Any = None) -> Array:
    """The sum along a diagonal of the last two axes."""
    return products.trace(x, offset, -2, -1, dtype)


@boundary
def diagonal(x: Any, /, *, offset: int = 0) -> Array:
    """A diagonal of the last two axes."""
    return products.diagonal(x, offset, -2, -1)


@boundary
def matmul(x1: Any, x2: Any, /, *, precision: Any = None, preferred_element_type: Any = None) -> Array:
    """The matrix product over the last two axes; leading axes broadcast."""
    return products.matmul(x1, x2, preferred_element_type=preferred_element_type)


@boundary
def tensordot(
    x1: Any, x2: Any, /, *, axes: Any = 2, precision: Any = None, preferred_element_type: Any = None
) -> Array:
    """The contraction of the last `axes` axes of the first with the first of the second, or of pairs of axes."""
    return products.tensordot(x1, x2, axes, preferred_element_type=preferred_element_type)


@boundary
def matrix_transpose(x: Any, /) -> Array:
    """The last two axes exchanged."""
    x = asarray(x)
    if type_of(x).ndim < 2:
        raise ShapeError(
            f"matrix_transpose of {type_of(x)}, which has no two axes", hint="use x[:, None] for a column"
        )
    return mT(x)


__all__ = [
    "cholesky",
    "cond",
    "cross",
    "det",
    "diagonal",
    "eig",
    "eigh",
    "eigvals",
    "eigvalsh",
    "inv",
    "lstsq",
    "matmul",
    "matrix_norm",
    "matrix_power",
    "matrix_rank",
    "matrix_transpose",
    "multi_dot",
    "norm",
    "outer",
    "pinv",
    "qr",
    "slogdet",
    "solve",
    "svd",
    "svdvals",
    "tensordot",
    "tensorinv",
    "tensorsolve",
    "trace",
    "vecdot",
    "vector_norm",
]

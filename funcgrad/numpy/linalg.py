"""Linear algebra with NumPy's names. The last two axes are matrices; all axes before are a batch.

A matrix that has no answer gives infinities or NaN instead of an error, as under jit there is no way to raise.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from funcgrad import dtypes
from funcgrad.api import stop_gradient
from funcgrad.custom_rules import custom_jvp
from funcgrad.errors import ArgumentError, ShapeError, boundary
from funcgrad.lax import linalg as lax_linalg
from funcgrad.numpy import elementwise, products, reductions, ufuncs
from funcgrad.numpy.creation import asarray, eye
from funcgrad.numpy.manipulation import matrix_transpose as _matrix_transpose
from funcgrad.numpy.manipulation import moveaxis, reshape
from funcgrad.numpy.reductions import canonical_axes
from funcgrad.promotion import broadcast_shapes, check_arrays, promote_inexact
from funcgrad.trace import ops
from funcgrad.trace.core import type_of

matmul, tensordot, vecdot = products.matmul, products.tensordot, products.vecdot
matrix_transpose = _matrix_transpose


class EighResult(NamedTuple):
    eigenvalues: Any
    eigenvectors: Any


class EigResult(NamedTuple):
    eigenvalues: Any
    eigenvectors: Any


class QRResult(NamedTuple):
    Q: Any
    R: Any


class SVDResult(NamedTuple):
    U: Any
    S: Any
    Vh: Any


class SlogdetResult(NamedTuple):
    sign: Any
    logabsdet: Any


def _matrices(name: str, *arrays: Any, square: bool = False) -> list[Any]:
    """The arguments as inexact arrays of one dtype, in float32 where it was a 16-bit one; each has a matrix."""
    check_arrays(name, *arrays)
    given = [asarray(x) for x in promote_inexact(name, *arrays)]
    t = type_of(given[0])
    if t.ndim < 2 or (square and t.shape[-1] != t.shape[-2]):
        what = "square matrices (the last two axes)" if square else "matrices (at least two axes)"
        raise ShapeError(
            f"linalg.{name} takes {what}, got {t}", hint="reshape it, or check for a missing transpose"
        )
    if t.dtype.itemsize == 2:
        raise ArgumentError(
            f"linalg.{name} is not there for {t}", hint="compute in float32: x.astype(funcgrad.numpy.float32)"
        )
    return given


@boundary
def cholesky(a: Any, *, upper: bool = False, symmetrize_input: bool = True) -> Any:
    """The lower factor L of `a = L @ L^H` (or the `upper` one, L^H); NaN where `a` is not positive definite.

    >>> import funcgrad as fg
    >>> fg.numpy.linalg.cholesky(fg.numpy.array([[4.0, 2.0], [2.0, 5.0]]))
    Array([[2., 0.],
           [1., 2.]], dtype=float32)
    """
    (x,) = _matrices("cholesky", a, square=True)
    factor = lax_linalg.cholesky(x, symmetrize_input=symmetrize_input)
    return lax_linalg.adjoint(factor) if upper else factor


def _fitting(name: str, a: Any, b: Any) -> tuple[Any, Any, bool]:
    """Both with the same batch axes; whether `b` was a vector."""
    ta, tb = type_of(a), type_of(b)
    vector = tb.ndim == 1
    if vector:
        b = ops.expand_dims(b, (1,))
        tb = type_of(b)
    if tb.ndim < 2 or ta.shape[-2] != tb.shape[-2]:
        raise ShapeError(
            f"linalg.{name} of {ta} and {tb}: the matrix has {ta.shape[-2]} rows",
            hint="b has as many rows, or is a vector of that length",
        )
    lead = broadcast_shapes(ta.shape[:-2], tb.shape[:-2])
    return (
        ops.broadcast_to(a, (*lead, *ta.shape[-2:])),
        ops.broadcast_to(b, (*lead, *tb.shape[-2:])),
        vector,
    )


@boundary
def solve(a: Any, b: Any) -> Any:
    """The x of `a @ x = b`, for a square matrix `a` and a vector `b`, or a matrix of columns.

    >>> import funcgrad as fg
    >>> fg.numpy.linalg.solve(fg.numpy.array([[2.0, 0.0], [0.0, 4.0]]), fg.numpy.array([2.0, 2.0]))
    Array([1. , 0.5], dtype=float32)
    """
    x, y, vector = _fitting("solve", *_matrices("solve", a, b, square=True))
    out = ops.apply("linear_solve", x, y)
    return ops.reshape(out, type_of(out).shape[:-1]) if vector else out


@boundary
def inv(a: Any) -> Any:
    """The inverse of square matrices.

    Raises:
        ShapeError: no square matrices.

    >>> import funcgrad.numpy as jnp
    >>> jnp.linalg.inv(jnp.array([[2.0, 0.0], [0.0, 4.0]])).tolist()
    [[0.5, 0.0], [0.0, 0.25]]
    """
    (x,) = _matrices("inv", a, square=True)
    t = type_of(x)
    return ops.apply("linear_solve", x, ops.broadcast_to(np.eye(t.shape[-1], dtype=t.dtype), t.shape))


def _sign_and_log(x: Any) -> tuple[Any, Any]:
    factors, pivots, _ = ops.apply("lu", x)
    diagonal = products.diagonal(factors, axis1=-2, axis2=-1)
    swaps = ops.ne(pivots, ops.iota(np.dtype(np.int32), type_of(pivots).shape, type_of(pivots).ndim - 1))
    odd = reductions.sum(ops.convert(swaps, dtypes.int32), axis=-1) % 2
    size = ufuncs.abs(diagonal)
    sign = reductions.prod(ufuncs.sign(diagonal), axis=-1)
    sign = elementwise.where(odd == 1, -sign, sign)
    return sign, reductions.sum(ufuncs.log(size), axis=-1)


@boundary
def slogdet(a: Any, *, method: str | None = None) -> SlogdetResult:
    """The sign of the determinant and the logarithm of its absolute value.

    Raises:
        ShapeError: no square matrices.

    >>> import funcgrad.numpy as jnp
    >>> jnp.linalg.slogdet(-jnp.eye(3)).sign.item()
    -1.0
    """
    (x,) = _matrices("slogdet", a, square=True)
    return SlogdetResult(*_sign_and_log(x))


@custom_jvp
def _det(x: Any) -> Any:
    sign, size = _sign_and_log(x)
    return sign * ufuncs.exp(size).astype(type_of(sign).dtype)


@_det.defjvp
def _det_jvp(primals: Any, tangents: Any) -> Any:
    """d det A = trace(adj(A) dA) (M. Giles, 2008, section 2.2.4).

    adj(A) is det(A) A^-1. Of a singular matrix it is det(U V^H) V D U^H, where D has the products of all singular
    values but one; that one is not differentiated again.
    """
    (x,), (dx,) = primals, tangents
    t = type_of(x)
    u, s, vh = map(stop_gradient, lax_linalg.svd(x, full_matrices=False))
    least = t.shape[-1] * float(np.finfo(dtypes.real_of(t.dtype)).eps)
    regular = (s[..., -1] > least * s[..., 0])[..., None, None]
    one = np.eye(t.shape[-1], dtype=t.dtype)
    safe = elementwise.where(regular, x, one)
    others = reductions.prod(elementwise.where(one != 0, 1, s[..., None, :]), axis=-1).astype(t.dtype)
    singular = matmul(lax_linalg.adjoint(vh), others[..., :, None] * lax_linalg.adjoint(u))
    singular = _det(matmul(u, vh))[..., None, None] * singular
    adjugate = elementwise.where(regular, _det(safe)[..., None, None] * inv(safe), singular)
    return _det(x), reductions.sum(matrix_transpose(adjugate) * dx, axis=(-2, -1))


@boundary
def det(a: Any) -> Any:
    """The determinant of square matrices.

    >>> import funcgrad as fg
    >>> fg.numpy.linalg.det(fg.numpy.array([[2.0, 1.0], [1.0, 3.0]]))
    Array(5., dtype=float32)
    """
    (x,) = _matrices("det", a, square=True)
    n = type_of(x).shape[-1]
    if n <= 3:  # so that singular matrices have derivatives too
        e = [[x[..., i, j] for j in range(n)] for i in range(n)]
        if n == 0:
            return ops.full(type_of(x).shape[:-2], 1, type_of(x).dtype)
        if n == 1:
            return e[0][0]
        if n == 2:
            return e[0][0] * e[1][1] - e[0][1] * e[1][0]
        (p, q, r), (s, t, u), (v, w, z) = e
        return p * (t * z - u * w) - q * (s * z - u * v) + r * (s * w - t * v)
    return _det(x)


@boundary
def qr(a: Any, mode: str = "reduced") -> Any:
    """Q with orthonormal columns and the upper R of `a = Q @ R`; mode is 'reduced', 'complete' or 'r' (R alone).

    Raises:
        ShapeError: no matrices.

    >>> import funcgrad.numpy as jnp
    >>> abs(jnp.linalg.qr(jnp.array([[3.0], [4.0]])).R).round(3).tolist()
    [[5.0]]
    """
    if mode not in ("reduced", "complete", "r"):
        raise ArgumentError(f"qr: mode is 'reduced', 'complete' or 'r', got {mode!r}")
    (x,) = _matrices("qr", a)
    q, r = lax_linalg.qr(x, full_matrices=mode == "complete")
    return r if mode == "r" else QRResult(q, r)


@boundary
def svd(
    a: Any,
    full_matrices: bool = True,
    compute_uv: bool = True,
    hermitian: bool = False,
    subset_by_index: tuple[int, int] | None = None,
) -> Any:
    """U, the singular values (falling) and V^H of `a = U @ diag(S) @ V^H`; the values alone unless `compute_uv`, and
    those from the first to before the last of `subset_by_index`.

    >>> import funcgrad.numpy as jnp
    >>> jnp.linalg.svd(jnp.ones((2, 3)), full_matrices=False).U.shape
    (2, 2)
    """
    (x,) = _matrices("svd", a)
    out = lax_linalg.svd(
        x, full_matrices=full_matrices, compute_uv=compute_uv, subset_by_index=subset_by_index
    )
    return SVDResult(*out) if compute_uv else out


def svdvals(x: Any, /) -> Any:
    """The singular values, falling.

    Raises:
        ShapeError: no matrices.

    >>> import funcgrad.numpy as jnp
    >>> jnp.linalg.svdvals(jnp.array([[3.0, 0.0], [0.0, 4.0]])).tolist()
    [4.0, 3.0]
    """
    return svd(x, compute_uv=False)


@boundary
def eigh(a: Any, UPLO: str | None = None, symmetrize_input: bool = True) -> EighResult:
    """Eigenvalues (rising, real) and eigenvectors (as columns) of symmetric or hermitian matrices.

    Raises:
        ShapeError: no square matrices.

    >>> import funcgrad.numpy as jnp
    >>> jnp.linalg.eigh(jnp.array([[2.0, 0.0], [0.0, 1.0]])).eigenvalues.tolist()
    [1.0, 2.0]
    """
    if UPLO not in (None, "L", "U"):
        raise ArgumentError(f"eigh: UPLO is 'L' or 'U', got {UPLO!r}")
    (x,) = _matrices("eigh", a, square=True)
    v, w = lax_linalg.eigh(x, lower=UPLO != "U", symmetrize_input=symmetrize_input)
    return EighResult(w, v)


def eigvalsh(a: Any, UPLO: str | None = "L", *, symmetrize_input: bool = True) -> Any:
    """The eigenvalues of symmetric or hermitian matrices, rising.

    Raises:
        ShapeError: no square matrices.

    >>> import funcgrad.numpy as jnp
    >>> jnp.linalg.eigvalsh(jnp.array([[2.0, 0.0], [0.0, 1.0]])).tolist()
    [1.0, 2.0]
    """
    return eigh(a, UPLO, symmetrize_input).eigenvalues


@boundary
def eig(a: Any) -> EigResult:
    """Eigenvalues and eigenvectors (as columns) of square matrices, both complex. Not differentiable: see `eigvals`.

    Raises:
        ShapeError: no square matrices.

    >>> import funcgrad.numpy as jnp
    >>> jnp.linalg.eig(jnp.array([[0.0, 1.0], [-1.0, 0.0]])).eigenvalues.tolist()
    [1j, -1j]
    """
    (x,) = _matrices("eig", a, square=True)
    return EigResult(*ops.apply("eig", x))


@boundary
def eigvals(a: Any) -> Any:
    """The eigenvalues of square matrices, complex.

    Raises:
        ShapeError: no square matrices.

    >>> import funcgrad.numpy as jnp
    >>> jnp.linalg.eigvals(jnp.array([[0.0, 1.0], [-1.0, 0.0]])).tolist()
    [1j, -1j]
    """
    (x,) = _matrices("eigvals", a, square=True)
    return ops.apply("eigvals", x)


@boundary
def matrix_power(a: Any, n: int) -> Any:
    """The square matrix `a` to the integer power `n`; negative powers are of the inverse.

    Raises:
        ShapeError: no square matrices.

    >>> import funcgrad.numpy as jnp
    >>> jnp.linalg.matrix_power(jnp.array([[1, 1], [0, 1]]), 5).tolist()
    [[1, 5], [0, 1]]
    """
    check_arrays("matrix_power", a)
    x = asarray(a)
    t = type_of(x)
    if t.ndim < 2 or t.shape[-1] != t.shape[-2]:
        raise ShapeError(f"linalg.matrix_power takes square matrices, got {t}")
    if n == 0:
        return ops.broadcast_to(np.eye(t.shape[-1], dtype=t.dtype), t.shape)
    if n < 0:
        x, n = inv(x), -n
    result = None
    while True:
        if n % 2:
            result = x if result is None else matmul(result, x)
        n //= 2
        if not n:
            return result
        x = matmul(x, x)


@boundary
def matrix_rank(M: Any, rtol: Any = None, hermitian: bool = False, *, tol: Any = None) -> Any:
    """The number of singular values above `rtol` times the largest; those of a `hermitian` matrix are the sizes of its
    eigenvalues, found faster and from its lower triangle.

    >>> import funcgrad.numpy as jnp
    >>> jnp.linalg.matrix_rank(jnp.ones((3, 3))).item()
    1
    """
    (x,) = _matrices("matrix_rank", M)
    t = type_of(x)
    s = abs(eigvalsh(x)) if hermitian else svdvals(x)
    if tol is None and rtol is None:
        rtol = max(t.shape[-2:]) * float(np.finfo(dtypes.real_of(t.dtype)).eps)
    limit = tol if rtol is None else asarray(rtol)[..., None] * s.max(-1, keepdims=True)
    return reductions.sum(s > limit, axis=-1)


@custom_jvp
def _pinv(x: Any, limit: Any) -> Any:
    t = type_of(x)
    u, s, vh = lax_linalg.svd(x, full_matrices=False)
    large = s > limit[..., None] * s[..., :1]
    inverse = elementwise.where(large, 1 / elementwise.where(large, s, 1), 0).astype(t.dtype)
    return matmul(lax_linalg.adjoint(vh), inverse[..., :, None] * lax_linalg.adjoint(u))


@_pinv.defjvp
def _pinv_jvp(primals: Any, tangents: Any) -> Any:
    """By G. Golub and V. Pereyra, "The differentiation of pseudo-inverses and nonlinear least squares problems whose
    variables separate" (1973), equation 4.12: finite where singular values are equal, unlike those of svd."""
    (x, limit), (dx, _) = primals, tangents
    p = _pinv(x, limit)
    ph, dxh = lax_linalg.adjoint(p), lax_linalg.adjoint(dx)
    left, right = matmul(matmul(p, ph), dxh), matmul(dxh, matmul(ph, p))
    moved = left - matmul(left, matmul(x, p)) + right - matmul(matmul(p, x), right)
    return p, moved - matmul(matmul(p, dx), p)


@boundary
def pinv(a: Any, rtol: Any = None, hermitian: bool = False, *, rcond: Any = None) -> Any:
    """The Moore-Penrose inverse, with singular values below `rtol` times the largest taken as 0.

    Raises:
        ShapeError: no matrices.

    >>> import funcgrad.numpy as jnp
    >>> jnp.linalg.pinv(jnp.array([[2.0], [0.0]])).tolist()
    [[0.5, 0.0]]
    """
    (x,) = _matrices("pinv", a)
    t = type_of(x)
    limit = rtol if rtol is not None else rcond
    if limit is None:
        limit = 10.0 * max(t.shape[-2:]) * float(np.finfo(dtypes.real_of(t.dtype)).eps)
    return _pinv(x, asarray(limit, dtypes.real_of(t.dtype)))


@boundary
def lstsq(
    a: Any, b: Any, rcond: float | None = None, *, numpy_resid: bool = False
) -> tuple[Any, Any, Any, Any]:
    """The x that makes the norm of `b - a @ x` smallest; the squared norms, the rank, and the singular values.

    With `numpy_resid`, outside jit, there are no norms where NumPy gives none: for a rank less than the number of
    columns, and where there are no more rows than columns.

    >>> import funcgrad.numpy as jnp
    >>> jnp.linalg.lstsq(jnp.array([[1.0], [1.0]]), jnp.array([1.0, 3.0]))[0].round(3).tolist()
    [2.0]
    """
    x, y = _matrices("lstsq", a, b)
    if type_of(x).ndim != 2:
        raise ShapeError(f"lstsq takes one matrix, got {type_of(x)}", hint="use vmap for a batch")
    vector = type_of(y).ndim == 1
    y = ops.expand_dims(y, (1,)) if vector else y
    t = type_of(x)
    if rcond is None:
        rcond = float(np.finfo(dtypes.real_of(t.dtype)).eps) * max(t.shape)
    u, s, vh = lax_linalg.svd(x, full_matrices=False)
    large = elementwise.logical_and(s >= rcond * s[0], s > 0)
    inverse = elementwise.where(large, 1 / elementwise.where(large, s, 1), 0).astype(t.dtype)
    out = matmul(lax_linalg.adjoint(vh), inverse[:, None] * matmul(lax_linalg.adjoint(u), y))
    rank = reductions.sum(large)
    rest = reductions.sum(ufuncs.abs(y - matmul(x, out)) ** 2, axis=0)
    if numpy_resid and (t.shape[0] <= t.shape[1] or int(rank) < t.shape[1]):
        rest = rest[:0]
    return out[:, 0] if vector else out, rest, rank, s


@boundary
def multi_dot(arrays: Sequence[Any], *, precision: Any = None) -> Any:
    """The product of several matrices, in the cheapest order.

    Raises:
        ShapeError: shapes that do not chain.

    >>> import funcgrad.numpy as jnp
    >>> jnp.linalg.multi_dot([jnp.ones((2, 3)), jnp.ones((3, 4)), jnp.ones((4, 5))]).shape
    (2, 5)
    """
    arrays = [asarray(x) for x in arrays]
    if len(arrays) < 2:
        raise ArgumentError("multi_dot needs at least two arrays")
    if any(type_of(x).ndim not in (1, 2) for x in arrays) or any(type_of(x).ndim != 2 for x in arrays[1:-1]):
        raise ShapeError(
            f"multi_dot takes matrices, and vectors at the ends: {', '.join(map(str, map(type_of, arrays)))}"
        )
    labels = [chr(97 + i) for i in range(len(arrays) + 1)]
    terms = [labels[i : i + 2] for i in range(len(arrays))]
    ends = [labels[0], labels[-1]]
    if type_of(arrays[0]).ndim == 1:
        terms[0], ends[0] = terms[0][1:], ""
    if type_of(arrays[-1]).ndim == 1:
        terms[-1], ends[1] = terms[-1][:1], ""
    return products.einsum(f"{','.join(''.join(t) for t in terms)}->{''.join(ends)}", *arrays)


# ------------------------------------------------------------------------------------------------ norms
def _vector_norm(x: Any, order: Any, axes: Any, keepdims: bool) -> Any:
    size = ufuncs.abs(x)
    if order in (None, 2):
        square = elementwise.real(x * ufuncs.conj(x)) if dtypes.is_complex(type_of(x).dtype) else x * x
        return ufuncs.sqrt(reductions.sum(square, axis=axes, keepdims=keepdims))
    if order == np.inf:
        return reductions.max(size, axis=axes, keepdims=keepdims, initial=0)
    if order == -np.inf:
        return reductions.min(size, axis=axes, keepdims=keepdims)
    if order == 0:
        return reductions.sum(x != 0, axis=axes, keepdims=keepdims).astype(type_of(size).dtype)
    if order == 1:
        return reductions.sum(size, axis=axes, keepdims=keepdims)
    if isinstance(order, str):
        raise ArgumentError(
            f"norm: there is no order {order!r} for vectors", hint="it is a number, inf or -inf"
        )
    return reductions.sum(size**order, axis=axes, keepdims=keepdims) ** (1.0 / order)


def _matrix_norm(x: Any, order: Any, axes: tuple[int, ...], keepdims: bool) -> Any:
    if order in (None, "f", "fro"):
        return _vector_norm(x, 2, axes, keepdims)
    if order in (1, -1, np.inf, -np.inf):
        first, second = axes if order in (1, -1) else axes[::-1]
        sums = reductions.sum(ufuncs.abs(x), axis=first, keepdims=True)
        extreme = reductions.max if order > 0 else reductions.min
        out = extreme(sums, axis=second, keepdims=True)
    elif order in (2, -2, "nuc"):
        s = svdvals(moveaxis(x, axes, (-2, -1)))
        how = {2: reductions.max, -2: reductions.min, "nuc": reductions.sum}[order]
        out = how(s, axis=-1)
        rank = type_of(x).ndim
        out = reshape(out, [1 if d in axes else type_of(x).shape[d] for d in range(rank)])
    else:
        raise ArgumentError(
            f"norm: there is no order {order!r} for matrices",
            hint="it is 1, -1, 2, -2, inf, -inf, 'fro' or 'nuc'",
        )
    return out if keepdims else reductions.sum(out, axis=axes)


@boundary
def norm(x: Any, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Any:
    """The norm of vectors along one axis or of matrices along two; of all elements without `axis` and `ord`.

    Vectors: any number, inf, -inf (2 by default). Matrices: 1, -1, 2, -2, inf, -inf, 'nuc', 'fro' (by default).

    >>> import funcgrad as fg
    >>> fg.numpy.linalg.norm(fg.numpy.array([3.0, 4.0]))
    Array(5., dtype=float32)
    """
    check_arrays("norm", x)
    (x,) = promote_inexact("norm", x)
    x = asarray(x)
    rank = type_of(x).ndim
    if axis is None:
        if ord is None:
            return _vector_norm(x, 2, tuple(range(rank)), keepdims)
        axis = tuple(range(rank))
        if rank not in (1, 2):
            raise ShapeError(
                f"norm with ord={ord} of {type_of(x)}: give axis=, one for vectors or two for matrices"
            )
    axes = canonical_axes("norm", axis, x)
    if isinstance(axis, tuple | list):
        axes = tuple([a + rank if a < 0 else a for a in axis])
    if len(axes) == 1:
        return _vector_norm(x, ord, axes, keepdims)
    if len(axes) == 2:
        return _matrix_norm(x, ord, axes, keepdims)
    raise ArgumentError(f"norm takes one axis or two, got {axis}")


@boundary
def vector_norm(x: Any, /, *, axis: Any = None, keepdims: bool = False, ord: Any = 2) -> Any:
    """The norm of the elements along `axis` (all by default) as one vector.

    Raises:
        AxisError: an axis that there is not.

    >>> import funcgrad.numpy as jnp
    >>> jnp.linalg.vector_norm(jnp.array([3.0, 4.0])).item()
    5.0
    """
    (x,) = promote_inexact("vector_norm", x)
    x = asarray(x)
    return _vector_norm(x, ord, canonical_axes("vector_norm", axis, x), keepdims)


@boundary
def matrix_norm(x: Any, /, *, keepdims: bool = False, ord: Any = "fro") -> Any:
    """The norm of the matrices in the last two axes.

    Raises:
        AxisError: fewer than two axes.

    >>> import funcgrad.numpy as jnp
    >>> jnp.linalg.matrix_norm(jnp.array([[3.0, 0.0], [0.0, 4.0]])).item()
    5.0
    """
    (x,) = promote_inexact("matrix_norm", x)
    x = asarray(x)
    rank = type_of(x).ndim
    return _matrix_norm(x, ord, (rank - 2, rank - 1), keepdims)


@boundary
def cond(x: Any, p: Any = None) -> Any:
    """The condition number: the norm `p` (2 by default) of the matrix times that of its inverse.

    Raises:
        ShapeError: no matrices.

    >>> import funcgrad.numpy as jnp
    >>> jnp.linalg.cond(jnp.array([[4.0, 0.0], [0.0, 2.0]])).item()
    2.0
    """
    (x,) = _matrices("cond", x)
    if p in (None, 2):
        s = svdvals(x)
        return s[..., 0] / s[..., -1]
    if p == -2:
        s = svdvals(x)
        return s[..., -1] / s[..., 0]
    return norm(x, p, axis=(-2, -1)) * norm(inv(x), p, axis=(-2, -1))


@boundary
def tensorinv(a: Any, ind: int = 2) -> Any:
    """The inverse of `a` as a map from its last axes to its first `ind`."""
    x = asarray(a)
    shape = type_of(x).shape
    rows = int(np.prod(shape[:ind]))
    out = inv(reshape(x, (rows, -1)))
    return reshape(out, (*shape[ind:], *shape[:ind]))


@boundary
def tensorsolve(a: Any, b: Any, axes: Any = None) -> Any:
    """The x of `tensordot(a, x, x.ndim) = b`.

    Raises:
        ShapeError: shapes that do not fit.

    >>> import funcgrad.numpy as jnp
    >>> jnp.linalg.tensorsolve(2 * jnp.eye(4).reshape(2, 2, 4), jnp.ones((2, 2))).tolist()
    [0.5, 0.5, 0.5, 0.5]
    """
    x, y = asarray(a), asarray(b)
    if axes is not None:
        x = moveaxis(x, axes, range(type_of(x).ndim - len(axes), type_of(x).ndim))
    shape = type_of(x).shape[type_of(y).ndim :]
    size = int(np.prod(shape))
    return reshape(solve(reshape(x, (-1, size)), y.ravel()), shape)


@boundary
def cross(x1: Any, x2: Any, /, *, axis: int = -1) -> Any:
    """The cross product of 3-vectors along `axis`."""
    return products.cross(x1, x2, axis=axis)


@boundary
def outer(x1: Any, x2: Any, /) -> Any:
    """The outer product of two vectors."""
    return products.outer(x1, x2)


@boundary
def trace(x: Any, /, *, offset: int = 0, dtype: Any = None) -> Any:
    """The sum of the diagonal of the matrices in the last two axes."""
    return products.trace(x, offset, -2, -1, dtype)


@boundary
def diagonal(x: Any, /, *, offset: int = 0) -> Any:
    """The diagonal of the matrices in the last two axes."""
    return products.diagonal(x, offset, -2, -1)


__all__ = [
    "cholesky", "cond", "cross", "det", "diagonal", "eig", "eigh", "eigvals", "eigvalsh", "eye", "inv", "lstsq",
    "matmul", "matrix_norm", "matrix_power", "matrix_rank", "matrix_transpose", "multi_dot", "norm", "outer", "pinv",
    "qr", "slogdet", "solve", "svd", "svdvals", "tensordot", "tensorinv", "tensorsolve", "trace", "vecdot",
    "vector_norm",
]  # fmt: skip

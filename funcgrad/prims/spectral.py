"""Singular values and eigenvalues of matrices by LAPACK: svd, eigh, eig and the Schur form.

Data never raises: what does not converge is NaN. All work over leading batch axes. Vectors are determined up to a
sign (a phase where complex), equal values not even that: their derivatives are infinite or NaN there. The
derivatives are those of M. B. Giles, "Collected matrix derivative results for forward and reverse mode
algorithmic differentiation" (2008), and of J. Townsend, "Differentiating the singular value decomposition" (2016).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from funcgrad import dtypes
from funcgrad.errors import NotDifferentiableError
from funcgrad.ir.primitive import Primitive, Sample, Zero
from funcgrad.ir.types import ArrayType, array_type
from funcgrad.prims.decompositions import solve_factored
from funcgrad.prims.matrices import (
    NUMBERS,
    as_column,
    as_row,
    batch_leading,
    check_matrix,
    conj,
    diagonal_of,
    draw_apart,
    each,
    from_triangle,
    identity_like,
    identity_mask,
    matmul,
    mH,
    tried,
)
from funcgrad.prims.registry import library_call
from funcgrad.prims.samples import draw
from funcgrad.trace import ops
from funcgrad.trace.core import type_of


def _real(x: Any) -> Any:
    return ops.real(x) if dtypes.is_complex(type_of(x).dtype) else x


def _inverse_off_diagonal(differences: Any) -> Any:
    """1 / differences, and 0 on the diagonal."""
    mask = identity_mask(differences)
    return ops.select(mask, 0, ops.div(ops.full_like(differences, 1), ops.select(mask, 1, differences)))


# --------------------------------------------------------------------------------------------------- SVD
def _svd_types(x: ArrayType, full_matrices: bool, compute_uv: bool) -> list[tuple[tuple[int, ...], np.dtype]]:
    """Shape, for one matrix, and dtype of the outputs: s, or s, u and vh."""
    rows, columns = x.shape[-2:]
    inner = min(rows, columns)
    found: list[tuple[tuple[int, ...], np.dtype]] = [((inner,), dtypes.real_of(x.dtype))]
    if compute_uv:
        found.append(((rows, rows if full_matrices else inner), x.dtype))
        found.append(((columns if full_matrices else inner, columns), x.dtype))
    return found


def _svd_type(x: ArrayType, *, full_matrices: bool, compute_uv: bool) -> list[ArrayType]:
    check_matrix("svd", x)
    found = _svd_types(x, full_matrices, compute_uv)
    return [array_type((*x.shape[:-2], *shape), dtype, x.weak) for shape, dtype in found]


def _evaluate_svd(xp: Any, x: np.ndarray, *, full_matrices: bool, compute_uv: bool) -> list[np.ndarray]:
    def function(matrices: np.ndarray) -> Any:
        found = np.linalg.svd(matrices, full_matrices, compute_uv)
        return (found[1], found[0], found[2]) if compute_uv else found

    return tried(function, x, _svd_types(x, full_matrices, compute_uv))


def _svd_jvp(
    primals: Sequence[Any], tangents: Sequence[Any], *, full_matrices: bool, compute_uv: bool
) -> tuple[Any, Any]:
    """With M = U^H dA V: ds = diag(M), dU = U (F o (M s + s M^H)) and dV = V (F o (s M + M^H s)), where F_ij =
    1 / (s_j^2 - s_i^2); and what of dA lies outside of the spaces of U and V, over s (Townsend 2016)."""
    (a,), (da,) = primals, tangents
    params = {"full_matrices": full_matrices, "compute_uv": compute_uv}
    if da.__class__ is Zero:
        outs = ops.apply("svd", a, **params)
        return outs, [Zero(type_of(o).tangent()) for o in outs]
    t = type_of(a)
    rows, columns = t.shape[-2:]
    if compute_uv and full_matrices and rows != columns:
        raise NotDifferentiableError(
            f"the svd of {t} with full_matrices=True has no derivative: the vectors beyond the first "
            f"{min(rows, columns)} are not determined by the matrix",
            hint="use full_matrices=False, or compute_uv=False for the singular values alone",
        )
    s, u, vh = ops.apply("svd", a, full_matrices=False, compute_uv=True)
    v, uh = mH(vh), mH(u)
    moved = matmul(matmul(uh, da), v)
    ds = _real(diagonal_of(moved))
    if not compute_uv:
        return [s], [ds]
    shape = type_of(moved).shape
    at_row, at_column = as_column(s, shape), as_row(s, shape)
    f = _inverse_off_diagonal(ops.mul(ops.sub(at_column, at_row), ops.add(at_column, at_row)))
    f, at_row, at_column = (ops.convert(x, t.dtype) for x in (f, at_row, at_column))
    right, left = ops.mul(moved, at_column), ops.mul(at_row, moved)
    du = matmul(u, ops.mul(f, ops.add(right, mH(right))))
    dv = matmul(v, ops.mul(f, ops.add(left, mH(left))))
    if dtypes.is_complex(t.dtype):  # the phase of U, relative to V
        spin = ops.mul(ops.div(ops.sub(moved, mH(moved)), ops.mul(at_column, 2)), identity_like(moved))
        du = ops.add(du, matmul(u, spin))
    if rows > columns:
        beyond = matmul(da, v)
        beyond = ops.sub(beyond, matmul(u, matmul(uh, beyond)))
        du = ops.add(du, ops.div(beyond, ops.convert(as_row(s, type_of(beyond).shape), t.dtype)))
    if columns > rows:
        beyond = matmul(mH(da), u)
        beyond = ops.sub(beyond, matmul(v, matmul(vh, beyond)))
        dv = ops.add(dv, ops.div(beyond, ops.convert(as_row(s, type_of(beyond).shape), t.dtype)))
    return [s, u, vh], [ds, du, mH(dv)]


def _svd_samples() -> Iterable[Sample]:
    thin, values = {"full_matrices": False, "compute_uv": True}, {"full_matrices": False, "compute_uv": False}
    for dtype in NUMBERS:
        moving = () if dtypes.is_complex(dtype) else (0,)  # LAPACK's phase of complex vectors jumps
        yield Sample((draw_apart(3, 3, dtype=dtype),), thin, moving, dtypes.name(dtype))
        yield Sample((draw_apart(4, 3, dtype=dtype),), values, (0,), dtypes.name(dtype))
    for shape in ((3, 2), (2, 2, 3), (1, 1), (0, 2)):
        yield Sample((draw_apart(*shape),), thin, (0,))
    yield Sample((draw_apart(3, 3),), {**thin, "full_matrices": True}, (0,), "square, full")
    yield Sample((draw(2, 4, 2),), {**thin, "full_matrices": True}, (), "full")


svd_p = Primitive(
    name="svd",
    type_rule=_svd_type,
    evaluate=_evaluate_svd,
    jvp=_svd_jvp,
    transpose=None,
    batch=batch_leading("svd", multiple=True),
    lower=library_call("svd"),
    samples=_svd_samples,
    multiple_results=True,
)


# -------------------------------------------------------------------------------------------------- eigh
def _eigh_type(x: ArrayType, *, lower: bool) -> list[ArrayType]:
    check_matrix("eigh", x, square=True)
    return [
        array_type(x.shape, x.dtype, x.weak),
        array_type(x.shape[:-1], dtypes.real_of(x.dtype), x.weak),
    ]


def _evaluate_eigh(xp: Any, x: np.ndarray, *, lower: bool) -> list[np.ndarray]:
    def function(matrices: np.ndarray) -> Any:
        w, v = np.linalg.eigh(matrices, "L" if lower else "U")
        return v, w

    v, w = tried(function, x, [(x.shape[-2:], x.dtype), (x.shape[-1:], dtypes.real_of(x.dtype))])
    lost = np.isnan(w).any(-1)
    if lost.any():
        v, w = v.copy(), w.copy()
        v[lost], w[lost] = np.nan, np.nan
    return [v, w]


def _eigh_jvp(primals: Sequence[Any], tangents: Sequence[Any], *, lower: bool) -> tuple[Any, Any]:
    """With M = V^H dA V: dw = diag(M), dV = V (F o M), F_ij = 1 / (w_j - w_i) (Giles 2008, section 3.1)."""
    v, w = outs = ops.apply("eigh", primals[0], lower=lower)
    if tangents[0].__class__ is Zero:
        return outs, [Zero(type_of(o).tangent()) for o in outs]
    moved = matmul(matmul(mH(v), from_triangle(tangents[0], lower)), v)
    shape = type_of(moved).shape
    f = _inverse_off_diagonal(ops.sub(as_row(w, shape), as_column(w, shape)))
    dv = matmul(v, ops.mul(ops.convert(f, type_of(v).dtype), moved))
    return outs, [dv, _real(diagonal_of(moved))]


def _eigh_samples() -> Iterable[Sample]:
    for dtype in NUMBERS:
        moving = () if dtypes.is_complex(dtype) else (0,)
        for lower in (True, False):
            yield Sample((draw_apart(3, 3, dtype=dtype),), {"lower": lower}, moving, dtypes.name(dtype))
    for shape in ((2, 2, 2), (1, 1), (0, 0)):
        yield Sample((draw_apart(*shape),), {"lower": True}, (0,))


eigh_p = Primitive(
    name="eigh",
    type_rule=_eigh_type,
    evaluate=_evaluate_eigh,
    jvp=_eigh_jvp,
    transpose=None,
    batch=batch_leading("eigh", multiple=True),
    lower=library_call("eigh"),
    samples=_eigh_samples,
    multiple_results=True,
)


# --------------------------------------------------------------------------------------------------- eig
def _eig_type(x: ArrayType, *, left: bool, right: bool) -> list[ArrayType]:
    check_matrix("eig", x, square=True)
    dtype = dtypes.complex128 if dtypes.real_of(x.dtype) == dtypes.float64 else dtypes.complex64
    vectors = array_type(x.shape, dtype, x.weak)
    return [array_type(x.shape[:-1], dtype, x.weak), *[vectors] * (left + right)]


def _evaluate_eig(xp: Any, x: np.ndarray, *, left: bool, right: bool) -> list[np.ndarray]:
    import scipy.linalg

    wide = np.complex128 if x.dtype in (np.float64, np.complex128) else np.complex64
    n = x.shape[-1]
    outs = [np.empty(x.shape[:-1], wide)] + [np.empty(x.shape, wide) for _ in range(left + right)]
    for place in np.ndindex(*x.shape[:-2]):
        matrix = x[place]
        if not n:
            continue
        try:
            if not np.isfinite(matrix).all():
                raise np.linalg.LinAlgError
            found = scipy.linalg.eig(matrix, left=left, right=right, check_finite=False)
            results = found if isinstance(found, tuple) else (found,)
        except np.linalg.LinAlgError:
            results = [complex(np.nan, np.nan)] * len(outs)
        for out, result in zip(outs, results):
            out[place] = result
    return outs


def _moved_vectors(moved: Any, w: Any, vectors: Any) -> tuple[Any, Any]:
    """The tangents of eigenvalues and right eigenvectors, for a tangent of the matrix, all complex.

    With M = V^-1 dA V: dw = diag(M), dV = V (F o M), F_ij = 1 / (w_j - w_i) (Giles 2008, section 3.1); then each
    column keeps LAPACK's scale, of length 1 and with its largest component real.
    """
    lu, _, order = ops.apply("lu", vectors)
    inside = solve_factored(lu, order, matmul(moved, vectors))
    t = type_of(inside)
    f = _inverse_off_diagonal(ops.sub(as_row(w, t.shape), as_column(w, t.shape)))
    dv = matmul(vectors, ops.mul(f, inside))
    rank = t.ndim
    if not t.shape[-1]:
        return diagonal_of(inside), dv
    stretch = ops.reduce_sum(ops.real(ops.mul(ops.conj(vectors), dv)), (rank - 2,))
    size = ops.abs_(vectors)
    largest = ops.argmax(size, rank - 2, dtypes.int64)
    rows = ops.iota(dtypes.int64, t.shape, rank - 2)
    at = ops.eq(rows, as_row(largest, t.shape))
    spin = ops.imag(ops.div(ops.select(at, dv, 0), ops.select(at, vectors, 1)))
    spin = ops.reduce_sum(spin, (rank - 2,))
    along = as_row(ops.complex_(stretch, spin), t.shape)
    return diagonal_of(inside), ops.sub(dv, ops.mul(along, vectors))


def _eig_jvp(primals: Sequence[Any], tangents: Sequence[Any], *, left: bool, right: bool) -> tuple[Any, Any]:
    (a,), (da,) = primals, tangents
    if da.__class__ is Zero:
        outs = ops.apply("eig", a, left=left, right=right)
        return outs, [Zero(type_of(o).tangent()) for o in outs]
    outs = ops.apply("eig", a, left=left, right=True)
    w, v = outs[0], outs[-1]
    moved = ops.convert(da, type_of(w).dtype)
    dw, dv = _moved_vectors(moved, w, v)
    results, found = [w], [dw]
    if left:
        results.append(outs[1])
        found.append(_moved_vectors(mH(moved), conj(w), outs[1])[1])
    if right:
        results.append(v)
        found.append(dv)
    return results, found


def _eig_samples() -> Iterable[Sample]:
    for dtype in NUMBERS:
        for left, right in ((False, False), (False, True), (True, True)):
            given = {"left": left, "right": right}
            yield Sample((draw_apart(3, 3, dtype=dtype),), given, (0,), dtypes.name(dtype))
    for shape in ((2, 2, 2), (1, 1), (0, 0)):
        yield Sample((draw_apart(*shape),), {"left": False, "right": False}, (0,))


eig_p = Primitive(
    name="eig",
    type_rule=_eig_type,
    evaluate=_evaluate_eig,
    jvp=_eig_jvp,
    transpose=None,
    batch=batch_leading("eig", multiple=True),
    lower=library_call("eig"),
    samples=_eig_samples,
    multiple_results=True,
)


# ------------------------------------------------------------------------------------------------- Schur
def _schur_type(x: ArrayType) -> list[ArrayType]:
    check_matrix("schur", x, square=True)
    same = array_type(x.shape, x.dtype, x.weak)
    return [same, same]


def _evaluate_schur(xp: Any, x: np.ndarray) -> list[np.ndarray]:
    import scipy.linalg

    def one(matrix: np.ndarray) -> Sequence[Any]:
        if not np.isfinite(matrix).all():
            raise np.linalg.LinAlgError
        return scipy.linalg.schur(matrix, check_finite=False) if matrix.size else (matrix, matrix)

    return each(one, x, [(x.shape[-2:], x.dtype)] * 2)


def _schur_samples() -> Iterable[Sample]:
    for dtype in NUMBERS:
        yield Sample((draw(3, 3, dtype=dtype),), {}, (), dtypes.name(dtype))
    for shape in ((2, 2, 2), (1, 1), (0, 0)):
        yield Sample((draw(*shape),), {}, ())


schur_p = Primitive(
    name="schur",
    type_rule=_schur_type,
    evaluate=_evaluate_schur,
    jvp=None,
    transpose=None,
    batch=batch_leading("schur", multiple=True),
    lower=library_call("schur"),
    samples=_schur_samples,
    multiple_results=True,
    not_differentiable="the Schur form of a matrix has no derivative rule",
)

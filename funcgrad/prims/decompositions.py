"""Triangular factors of matrices by LAPACK: Cholesky, LU and QR, and the solution of triangular systems.

Data never raises: a matrix that has no factors gives NaN, a singular system infinities or NaN. All work over
leading batch axes. The derivatives are those of M. B. Giles, "Collected matrix derivative results for forward
and reverse mode algorithmic differentiation" (2008), and of I. Murray, "Differentiation of the Cholesky
decomposition" (arXiv:1602.07527, 2016).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from funcgrad import dtypes
from funcgrad.errors import DTypeError, NotDifferentiableError, ShapeError
from funcgrad.ir.primitive import Primitive, Sample, Zero
from funcgrad.ir.types import ArrayType, array_type
from funcgrad.prims.matrices import (
    NUMBERS,
    batch_leading,
    check_matrix,
    conj,
    draw_apart,
    draw_positive,
    each,
    from_triangle,
    identity_like,
    matmul,
    mH,
    mT,
    triangle,
    tried,
)
from funcgrad.prims.registry import is_linear, library_call
from funcgrad.prims.samples import draw
from funcgrad.prims.sorting import along
from funcgrad.trace import ops
from funcgrad.trace.core import type_of


def _library(kind: str, name: str, dtype: np.dtype) -> Any:
    """The routine of LAPACK or BLAS for a dtype."""
    import scipy.linalg

    find = scipy.linalg.get_lapack_funcs if kind == "lapack" else scipy.linalg.get_blas_funcs
    return find((name,), dtype=dtype)[0]


def _same(x: ArrayType) -> ArrayType:
    return array_type(x.shape, x.dtype, x.weak)


# ------------------------------------------------------------------------------------- triangular systems
def triangular_solve(
    a: Any,
    b: Any,
    *,
    left_side: bool,
    lower: bool,
    transpose_a: bool = False,
    conjugate_a: bool = False,
    unit_diagonal: bool = False,
) -> Any:
    """X of op(a) X = b, or of X op(a) = b unless `left_side`; the batches are equal."""
    return ops.apply(
        "triangular_solve",
        a,
        b,
        left_side=left_side,
        lower=lower,
        transpose_a=transpose_a,
        conjugate_a=conjugate_a and dtypes.is_complex(type_of(a).dtype),
        unit_diagonal=unit_diagonal,
    )


def _triangular_type(a: ArrayType, b: ArrayType, *, left_side: bool, **params: Any) -> ArrayType:
    check_matrix("triangular_solve", a, square=True)
    check_matrix("triangular_solve", b)
    if a.dtype != b.dtype:
        raise DTypeError(
            f"triangular_solve of {a} and {b}: operands need one dtype",
            hint="convert one of them with .astype(...)",
        )
    if a.shape[:-2] != b.shape[:-2] or a.shape[-1] != b.shape[-2 if left_side else -1]:
        axis = "second-to-last" if left_side else "last"
        raise ShapeError(
            f"triangular_solve of {a} and {b}: leading axes have to be equal, and the {axis} axis of b as long as "
            "those of a",
            hint="b stands on the right of the equation a X = b with left_side=True, and X a = b without it",
        )
    return array_type(b.shape, b.dtype, a.weak and b.weak)


def _evaluate_triangular(
    xp: Any,
    a: np.ndarray,
    b: np.ndarray,
    *,
    left_side: bool,
    lower: bool,
    transpose_a: bool,
    conjugate_a: bool,
    unit_diagonal: bool,
) -> np.ndarray:
    if not b.size:
        return b
    if conjugate_a and not transpose_a:
        a, conjugate_a = a.conj(), False
    trans = (2 if conjugate_a else 1) if transpose_a else 0
    trsm = _library("blas", "trsm", a.dtype)
    out = np.empty(b.shape, b.dtype)
    for place in np.ndindex(*a.shape[:-2]):
        # rows of C are columns of Fortran: the transposed equation, on the other side, needs no copy
        out[place] = trsm(
            1, a[place].T, b[place].T, side=left_side, lower=not lower, trans_a=trans, diag=unit_diagonal
        ).T
    return out


def _triangular_jvp(primals: Sequence[Any], tangents: Sequence[Any], **params: Any) -> tuple[Any, Any]:
    """dX = op(a)^-1 (db - op(da) X), and its mirror image (Giles 2008, section 2.2.3)."""
    (a, b), (da, db) = primals, tangents
    x = ops.apply("triangular_solve", a, b, **params)
    right: Any = None if db.__class__ is Zero else db
    if da.__class__ is not Zero:
        lower, left = params["lower"], params["left_side"]
        moved = triangle(da, lower, (-1 if lower else 1) if params["unit_diagonal"] else 0)
        moved = mT(moved) if params["transpose_a"] else moved
        moved = conj(moved) if params["conjugate_a"] else moved
        term = ops.neg(matmul(moved, x) if left else matmul(x, moved))
        right = term if right is None else ops.add(right, term)
    if right is None:
        return x, Zero(type_of(x).tangent())
    return x, ops.apply("triangular_solve", a, right, **params)


def _triangular_transpose(ct: Any, a: Any, b: Any, *, transpose_a: bool, **params: Any) -> list[Any]:
    if is_linear(a):
        raise NotDifferentiableError("triangular_solve is not linear in its first operand")
    return [None, ops.apply("triangular_solve", a, ct, transpose_a=not transpose_a, **params)]


def _draw_triangle(*shape: int, dtype: np.dtype = dtypes.float32) -> Any:
    return lambda rng: (draw(*shape, dtype=dtype)(rng) + 3 * np.eye(shape[-1])).astype(dtype)


def _triangular_samples() -> Iterable[Sample]:
    def params(left: bool, lower: bool, transposed: bool, conjugated: bool, unit: bool) -> dict[str, Any]:
        return {
            "left_side": left,
            "lower": lower,
            "transpose_a": transposed,
            "conjugate_a": conjugated,
            "unit_diagonal": unit,
        }

    for k in range(8):
        left, lower, transposed = bool(k & 1), bool(k & 2), bool(k & 4)
        dtype = NUMBERS[k % 4]
        shapes = ((3, 3), (3, 2)) if left else ((2, 3, 3), (2, 2, 3))
        for unit in (False, True):
            operands = (_draw_triangle(*shapes[0], dtype=dtype), draw(*shapes[1], dtype=dtype))
            given = params(left, lower, transposed, dtypes.is_complex(dtype) and left, unit)
            yield Sample(operands, given, (0, 1), dtypes.name(dtype))
    for rows in ((0, 0), (0, 2)), ((2, 2), (2, 0)):
        yield Sample(tuple(draw(*s) for s in rows), params(True, True, False, False, False), (0, 1), "empty")


triangular_solve_p = Primitive(
    name="triangular_solve",
    type_rule=_triangular_type,
    evaluate=_evaluate_triangular,
    jvp=_triangular_jvp,
    transpose=_triangular_transpose,
    batch=batch_leading("triangular_solve", multiple=False),
    lower=library_call("triangular_solve"),
    samples=_triangular_samples,
)


# ---------------------------------------------------------------------------------------------- Cholesky
def _cholesky_type(x: ArrayType) -> ArrayType:
    check_matrix("cholesky", x, square=True)
    return _same(x)


def _evaluate_cholesky(xp: Any, x: np.ndarray) -> np.ndarray:
    (out,) = tried(np.linalg.cholesky, x, [(x.shape[-2:], x.dtype)])
    return np.tril(out)


def _cholesky_jvp(primals: Sequence[Any], tangents: Sequence[Any]) -> tuple[Any, Any]:
    """dL = L phi(L^-1 dA L^-H), where phi takes the lower triangle and half the diagonal (Murray 2016, eq. 8)."""
    factor = ops.apply("cholesky", primals[0])
    if tangents[0].__class__ is Zero:
        return factor, Zero(type_of(factor).tangent())
    moved = from_triangle(tangents[0], lower=True)
    moved = triangular_solve(factor, moved, left_side=True, lower=True)
    moved = triangular_solve(factor, moved, left_side=False, lower=True, transpose_a=True, conjugate_a=True)
    half = ops.add(triangle(moved, True), triangle(moved, True, -1))
    return factor, matmul(factor, ops.mul(half, 0.5))


def _cholesky_samples() -> Iterable[Sample]:
    for dtype in NUMBERS:
        yield Sample((draw_positive(3, 3, dtype=dtype),), {}, (0,), dtypes.name(dtype))
    for shape in ((2, 2, 2), (1, 1), (0, 0), (0, 2, 2)):
        yield Sample((draw_positive(*shape),), {}, (0,))


cholesky_p = Primitive(
    name="cholesky",
    type_rule=_cholesky_type,
    evaluate=_evaluate_cholesky,
    jvp=_cholesky_jvp,
    transpose=None,
    batch=batch_leading("cholesky", multiple=False),
    lower=library_call("cholesky"),
    samples=_cholesky_samples,
)


# ---------------------------------------------------------------------------------------------------- LU
def _lu_type(x: ArrayType) -> list[ArrayType]:
    check_matrix("lu", x)
    *lead, rows, columns = x.shape
    return [
        _same(x),
        array_type((*lead, min(rows, columns)), dtypes.int32),
        array_type((*lead, rows), dtypes.int32),
    ]


def _evaluate_lu(xp: Any, x: np.ndarray) -> list[np.ndarray]:
    rows, columns = x.shape[-2:]
    getrf = _library("lapack", "getrf", x.dtype)

    def one(matrix: np.ndarray) -> Sequence[Any]:
        order = np.arange(rows, dtype=np.int32)
        if not matrix.size:
            return matrix, 0, order
        factors, pivots, _ = getrf(matrix)
        for i, p in enumerate(pivots):
            order[i], order[p] = order[p], order[i]
        return factors, pivots, order

    sizes = [((rows, columns), x.dtype), ((min(rows, columns),), np.int32), ((rows,), np.int32)]
    return each(one, x, sizes)


def _square_factors(lu: Any) -> tuple[Any, Any]:
    """L and U of a packed factorization, each completed to a square matrix by the identity."""
    *lead, rows, columns = type_of(lu).shape
    inner = min(rows, columns)
    none = [(0, 0, 0)] * len(lead)
    left = ops.slice_in_dim(lu, 0, inner, axis=len(lead) + 1)
    lower = triangle(ops.pad(left, 0, [*none, (0, 0, 0), (0, rows - inner, 0)]), True, -1)
    top = ops.slice_in_dim(lu, 0, inner, axis=len(lead))
    upper = triangle(ops.pad(top, 0, [*none, (0, columns - inner, 0), (0, 0, 0)]), False)
    if columns > inner:  # ones on the diagonal of the rows that were added
        rest = ops.ge(ops.iota(dtypes.int64, type_of(upper).shape, len(lead)), inner)
        upper = ops.select(rest, identity_like(upper), upper)
    return ops.add(lower, identity_like(lower)), upper


def _lu_jvp(primals: Sequence[Any], tangents: Sequence[Any]) -> tuple[Any, Any]:
    """dL = L tril(M), dU = triu(M) U with M = L^-1 P dA U^-1, the lower triangle without the diagonal.

    Derived as the factors of Giles 2008; a matrix that is not square by completing its factors to square ones.
    """
    outs = ops.apply("lu", primals[0])
    lu, _, order = outs
    still = [Zero(type_of(o).tangent()) for o in outs]
    if tangents[0].__class__ is Zero:
        return outs, still
    lower, upper = _square_factors(lu)
    moved = permute_rows(tangents[0], order)
    moved = triangular_solve(lower, moved, left_side=True, lower=True, unit_diagonal=True)
    moved = triangular_solve(upper, moved, left_side=False, lower=False)
    tangent = ops.add(matmul(lower, triangle(moved, True, -1)), matmul(triangle(moved, False), upper))
    return outs, [tangent, *still[1:]]


def permute_rows(x: Any, order: Any) -> Any:
    """The rows of matrices in the order given for each."""
    shape = type_of(x).shape
    indices = ops.broadcast_in_dim(order, shape, range(len(shape) - 1))
    return along(x, indices, len(shape) - 2)


def _lu_samples() -> Iterable[Sample]:
    for dtype in NUMBERS:
        yield Sample((draw_apart(3, 3, dtype=dtype),), {}, (0,), dtypes.name(dtype))
    for shape in ((2, 3, 2), (2, 4), (2, 2, 2), (0, 2), (1, 1)):
        yield Sample((draw_apart(*shape),), {}, (0,))


lu_p = Primitive(
    name="lu",
    type_rule=_lu_type,
    evaluate=_evaluate_lu,
    jvp=_lu_jvp,
    transpose=None,
    batch=batch_leading("lu", multiple=True),
    lower=library_call("lu"),
    samples=_lu_samples,
    multiple_results=True,
)


def solve_factored(lu: Any, order: Any, b: Any, trans: int = 0) -> Any:
    """X of A X = b by the factors of A; of its transpose for `trans` 1 and conjugate transpose for 2."""
    if trans == 0:
        b = permute_rows(b, order)
        b = triangular_solve(lu, b, left_side=True, lower=True, unit_diagonal=True)
        return triangular_solve(lu, b, left_side=True, lower=False)
    turned = {"left_side": True, "transpose_a": True, "conjugate_a": trans == 2}
    b = triangular_solve(lu, b, lower=False, **turned)
    b = triangular_solve(lu, b, lower=True, unit_diagonal=True, **turned)
    t = type_of(order)
    positions = ops.iota(t.dtype, t.shape, t.ndim - 1)
    params = {"dimension": t.ndim - 1, "is_stable": True, "num_keys": 1}
    return permute_rows(b, ops.apply("sort", order, positions, **params)[1])


# ------------------------------------------------------------------------------------------------- solve
def _solve_type(a: ArrayType, b: ArrayType) -> ArrayType:
    check_matrix("solve", a, square=True)
    check_matrix("solve", b)
    if a.dtype != b.dtype or a.shape[:-1] != b.shape[:-1]:
        raise ShapeError(
            f"solve of {a} and {b}: they have one dtype and equal leading axes, and b as many rows as a",
            hint="use funcgrad.numpy.linalg.solve, which promotes and broadcasts",
        )
    return array_type(b.shape, b.dtype, a.weak and b.weak)


def _evaluate_solve(xp: Any, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    if not b.size:
        return b
    try:
        return np.linalg.solve(a, b)
    except np.linalg.LinAlgError:  # singular: what the triangular systems give, infinities and NaN
        lu, _, order = _evaluate_lu(xp, a)
        b = np.take_along_axis(b, order[..., None].astype(np.int64), -2)
        given = {"left_side": True, "transpose_a": False, "conjugate_a": False}
        b = _evaluate_triangular(xp, lu, b, lower=True, unit_diagonal=True, **given)
        return _evaluate_triangular(xp, lu, b, lower=False, unit_diagonal=False, **given)


def _solve_jvp(primals: Sequence[Any], tangents: Sequence[Any]) -> tuple[Any, Any]:
    """dX = A^-1 (db - dA X) (Giles 2008, section 2.2.3), by one factorization for both."""
    (a, b), (da, db) = primals, tangents
    if da.__class__ is Zero and db.__class__ is Zero:
        x = ops.apply("solve", a, b)
        return x, Zero(type_of(x).tangent())
    lu, _, order = ops.apply("lu", a)
    x = solve_factored(lu, order, b)
    right: Any = None if db.__class__ is Zero else db
    if da.__class__ is not Zero:
        term = ops.neg(matmul(da, x))
        right = term if right is None else ops.add(right, term)
    return x, solve_factored(lu, order, right)


def _solve_transpose(ct: Any, a: Any, b: Any) -> list[Any]:
    return [None, ops.apply("solve", mT(a), ct)]


def _solve_samples() -> Iterable[Sample]:
    for dtype in NUMBERS:
        yield Sample((draw_apart(3, 3, dtype=dtype), draw(3, 2, dtype=dtype)), {}, (0, 1), dtypes.name(dtype))
    for a, b in (((2, 2, 2), (2, 2, 1)), ((0, 0), (0, 2)), ((2, 2), (2, 0)), ((1, 1), (1, 1))):
        yield Sample((draw_apart(*a), draw(*b)), {}, (0, 1))


solve_p = Primitive(
    name="solve",
    type_rule=_solve_type,
    evaluate=_evaluate_solve,
    jvp=_solve_jvp,
    transpose=_solve_transpose,
    batch=batch_leading("solve", multiple=False),
    lower=library_call("solve"),
    samples=_solve_samples,
)


# ---------------------------------------------------------------------------------------------------- QR
def _qr_type(x: ArrayType, *, full_matrices: bool) -> list[ArrayType]:
    check_matrix("qr", x)
    *lead, rows, columns = x.shape
    inner = rows if full_matrices else min(rows, columns)
    return [
        array_type((*lead, rows, inner), x.dtype, x.weak),
        array_type((*lead, inner, columns), x.dtype, x.weak),
    ]


def _evaluate_qr(xp: Any, x: np.ndarray, *, full_matrices: bool) -> list[np.ndarray]:
    q, r = np.linalg.qr(x, "complete" if full_matrices else "reduced")
    return [q, r]


def _qr_jvp(primals: Sequence[Any], tangents: Sequence[Any], *, full_matrices: bool) -> tuple[Any, Any]:
    """With M = Q^H dA R^-1: dR = (M - W) R and dQ = Q (W - M) + dA R^-1, where W is skew-Hermitian with the
    triangle of M below the diagonal and its imaginary part there, which keeps R's diagonal real.

    As in Giles 2008 by Q^H Q = 1. Where there are more columns than rows the first of them determine Q.
    """
    (a,), (da,) = primals, tangents
    q, r = outs = ops.apply("qr", a, full_matrices=full_matrices)
    if da.__class__ is Zero:
        return outs, [Zero(type_of(o).tangent()) for o in outs]
    *lead, rows, columns = type_of(a).shape
    if full_matrices and rows > columns:
        raise NotDifferentiableError(
            f"the complete qr of {type_of(a)} has no derivative: the columns of Q after the first {columns} are not "
            "determined by the matrix",
            hint='use mode="reduced" (full_matrices=False)',
        )
    inner, axis = min(rows, columns), len(lead) + 1
    r_square = ops.slice_in_dim(r, 0, inner, axis=axis)
    da_square = ops.slice_in_dim(da, 0, inner, axis=axis)
    moved = triangular_solve(r_square, da_square, left_side=False, lower=False)
    inside = matmul(mH(q), moved)
    strict = triangle(inside, True, -1)
    turn = ops.sub(strict, mH(strict))
    if dtypes.is_complex(type_of(a).dtype):
        real = ops.convert(ops.real(inside), type_of(a).dtype)
        turn = ops.add(turn, ops.mul(identity_like(inside), ops.sub(inside, real)))
    dq = ops.add(matmul(q, ops.sub(turn, inside)), moved)
    dr = triangle(matmul(ops.sub(inside, turn), r_square), False)
    if columns > rows:
        rest = [ops.slice_in_dim(x, inner, columns, axis=axis) for x in (a, da)]
        beyond = ops.add(matmul(mH(dq), rest[0]), matmul(mH(q), rest[1]))
        dr = ops.concatenate([dr, beyond], axis)
    return outs, [dq, dr]


def _qr_samples() -> Iterable[Sample]:
    for dtype in NUMBERS:
        yield Sample((draw_apart(4, 3, dtype=dtype),), {"full_matrices": False}, (0,), dtypes.name(dtype))
        yield Sample((draw_apart(3, 3, dtype=dtype),), {"full_matrices": True}, (0,), dtypes.name(dtype))
    for shape in ((2, 3, 2), (2, 4), (1, 1), (0, 0)):
        yield Sample((draw_apart(*shape),), {"full_matrices": False}, (0,))
    yield Sample((draw(2, 4, 2),), {"full_matrices": True}, (), "complete")


qr_p = Primitive(
    name="qr",
    type_rule=_qr_type,
    evaluate=_evaluate_qr,
    jvp=_qr_jvp,
    transpose=None,
    batch=batch_leading("qr", multiple=True),
    lower=library_call("qr"),
    samples=_qr_samples,
    multiple_results=True,
)

"""Linear systems, and factors of matrices: Cholesky, LU and QR.

Derivatives: M. Giles, "An extended collection of matrix derivative results for forward and reverse mode automatic
differentiation", 2008; of Cholesky factors: I. Murray, "Differentiation of the Cholesky decomposition", 2016.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from funcgrad import dtypes
from funcgrad.errors import NotDifferentiableError, ShapeError
from funcgrad.ir.primitive import Zero
from funcgrad.ir.types import ArrayType, array_type
from funcgrad.prims.matrices import (
    LARGE,
    adjoint,
    as_dtype,
    by_routine,
    checked,
    conj,
    define,
    draw_symmetric,
    draw_well,
    each,
    eye_like,
    lower_triangle,
    matmul,
    mirrored,
    or_nan,
    samples_of,
    transposed,
)
from funcgrad.prims.registry import is_linear
from funcgrad.trace import ops
from funcgrad.trace.core import type_of


# ------------------------------------------------------------------------------------------------ solving
def _same_rows(name: str):
    def result(a: ArrayType, b: ArrayType, **params: Any) -> ArrayType:
        side = -2 if params.get("left_side", True) else -1
        if b.ndim != a.ndim or b.shape[:-2] != a.shape[:-2] or b.shape[side] != a.shape[-1]:
            raise ShapeError(f"{name} of {a} and {b}: sizes do not fit", hint="both need the same batch axes")
        return array_type(b.shape, b.dtype)

    return result


def _solve(xp: Any, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    if not b.size:
        return b
    if a.shape[-1] < LARGE:
        return or_nan(xp.linalg.solve, a, b)
    from scipy.linalg.lapack import get_lapack_funcs

    (gesv,) = get_lapack_funcs(("gesv",), (a, b))

    def one(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray]:
        x, failed = gesv(a, b)[2:]
        return (np.full_like(b, np.nan) if failed else np.ascontiguousarray(x),)

    return each(one, a, b)[0]


def _solve_jvp(primals: Sequence[Any], tangents: Sequence[Any]) -> tuple[Any, Any]:
    (a, b), (ta, tb) = primals, tangents
    x = ops.apply("linear_solve", a, b)
    right = None if tb.__class__ is Zero else tb
    if ta.__class__ is not Zero:
        moved = ops.neg(matmul(ta, x))
        right = moved if right is None else ops.add(right, moved)
    return x, Zero(type_of(x).tangent()) if right is None else ops.apply("linear_solve", a, right)


def _solve_transpose(ct: Any, a: Any, b: Any) -> list[Any]:
    if is_linear(a):
        raise NotDifferentiableError("linear_solve is not linear in the matrix")
    return [None, Zero(b.type) if ct.__class__ is Zero else ops.apply("linear_solve", transposed(a), ct)]


linear_solve_p = define(
    "linear_solve",
    checked("solve", True, _same_rows("solve")),
    _solve,
    _solve_jvp,
    samples_of(draw_well, lambda square, any_: (square(3), any_(3, 2)), [{}]),
    False,
    transpose=_solve_transpose,
    lower=by_routine("linear_solve", "solve", lambda a, b: (b, b[0] ** 3 / 3 + b[0] ** 2 * b[1]), scratch=1),
)


def _triangular(
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
    from scipy.linalg.blas import get_blas_funcs

    if not b.size:
        return b
    (trsm,) = get_blas_funcs(("trsm",), (a, b))
    a = np.conj(a) if conjugate_a and not transpose_a else a
    how = (2 if conjugate_a else 1) if transpose_a else 0

    def one(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray]:
        return (
            trsm(1, a, b, side=int(not left_side), lower=int(lower), trans_a=how, diag=int(unit_diagonal)),
        )

    return np.ascontiguousarray(each(one, a, b)[0])


def _triangle(a: Any, lower: bool, unit_diagonal: bool) -> Any:
    k = -1 if unit_diagonal else 0
    return lower_triangle(a, k) if lower else transposed(lower_triangle(transposed(a), k))


def _triangular_jvp(primals: Sequence[Any], tangents: Sequence[Any], **params: Any) -> tuple[Any, Any]:
    (a, b), (ta, tb) = primals, tangents
    x = ops.apply("triangular_solve", a, b, **params)
    right = None if tb.__class__ is Zero else tb
    if ta.__class__ is not Zero:
        ta = _triangle(ta, params["lower"], params["unit_diagonal"])
        ta = transposed(ta) if params["transpose_a"] else ta
        ta = conj(ta) if params["conjugate_a"] else ta
        moved = ops.neg(matmul(ta, x) if params["left_side"] else matmul(x, ta))
        right = moved if right is None else ops.add(right, moved)
    if right is None:
        return x, Zero(type_of(x).tangent())
    return x, ops.apply("triangular_solve", a, right, **params)


def _triangular_transpose(ct: Any, a: Any, b: Any, **params: Any) -> list[Any]:
    if is_linear(a):
        raise NotDifferentiableError("triangular_solve is not linear in the matrix")
    if ct.__class__ is Zero:
        return [None, Zero(b.type)]
    return [
        None,
        ops.apply("triangular_solve", a, ct, **{**params, "transpose_a": not params["transpose_a"]}),
    ]


def _triangular_extents(a: Any, b: Any, **params: Any) -> tuple[Any, ...]:
    how = [int(params[k]) for k in ("left_side", "lower", "transpose_a", "unit_diagonal")]
    return (*b, *how), a[0] * math.prod(b) / 2


PLAIN = {
    "left_side": True,
    "lower": True,
    "transpose_a": False,
    "conjugate_a": False,
    "unit_diagonal": False,
}
triangular_solve_p = define(
    "triangular_solve",
    checked("triangular_solve", True, _same_rows("triangular_solve")),
    _triangular,
    _triangular_jvp,
    samples_of(
        draw_well,
        lambda square, any_: (square(3), any_(3, 3)),
        [
            PLAIN,
            {**PLAIN, "lower": False},
            {**PLAIN, "left_side": False},
            {**PLAIN, "transpose_a": True, "unit_diagonal": True},
        ],
    ),
    False,
    transpose=_triangular_transpose,
    lower=by_routine("triangular_solve", "triangular_solve", _triangular_extents),
)


# ------------------------------------------------------------------------------------------------ factors
def _cholesky(xp: Any, x: np.ndarray) -> np.ndarray:
    if x.shape[-1] < LARGE or not x.size:
        return xp.tril(or_nan(xp.linalg.cholesky, x))
    from scipy.linalg.lapack import get_lapack_funcs

    (potrf,) = get_lapack_funcs(("potrf",), (x,))

    def one(a: np.ndarray) -> tuple[np.ndarray]:
        upper, failed = potrf(a.T, lower=0, clean=1)  # the upper factor by columns is the lower one by rows
        return (np.full_like(a, np.nan) if failed else upper.T,)

    return each(one, x)[0]


def _cholesky_jvp(primals: Sequence[Any], tangents: Sequence[Any]) -> tuple[Any, Any]:
    (x,), (t,) = primals, tangents
    factor = ops.apply("cholesky", x)
    if t.__class__ is Zero:
        return factor, Zero(type_of(factor).tangent())
    t = mirrored(t, True)
    inner = ops.apply("triangular_solve", factor, t, **PLAIN)
    right = {
        **PLAIN,
        "left_side": False,
        "transpose_a": True,
        "conjugate_a": dtypes.is_complex(type_of(x).dtype),
    }
    inner = ops.apply("triangular_solve", factor, inner, **right)
    half = ops.sub(lower_triangle(inner), ops.div(ops.mul(inner, eye_like(type_of(inner))), 2))
    return factor, matmul(factor, half)


cholesky_p = define(
    "cholesky",
    checked("cholesky", True, lambda x: array_type(x.shape, x.dtype)),
    _cholesky,
    _cholesky_jvp,
    samples_of(
        lambda *s, **d: draw_symmetric(*s[::-1], shift=1.0, **d), lambda square, any_: (square(3),), [{}]
    ),
    False,
    lower=by_routine("cholesky", "cholesky", lambda a: (a[:1], a[0] ** 3 / 6)),
)


def _lu(xp: Any, x: np.ndarray) -> list[np.ndarray]:
    from scipy.linalg.lapack import get_lapack_funcs

    (getrf,) = get_lapack_funcs(("getrf",), (x,))

    def one(a: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        factors, pivots, _ = getrf(a)
        order = np.arange(a.shape[0])
        for i, p in enumerate(pivots):
            order[[i, p]] = order[[p, i]]
        return factors, pivots.astype(np.int32), order.astype(np.int32)

    return each(one, x)


def _lu_type(x: ArrayType) -> list[ArrayType]:
    *lead, m, n = x.shape
    return [
        array_type(x.shape, x.dtype),
        array_type((*lead, min(m, n)), dtypes.int32),
        array_type((*lead, m), dtypes.int32),
    ]


def _lu_jvp(primals: Sequence[Any], tangents: Sequence[Any]) -> tuple[Any, Any]:
    (x,), (t,) = primals, tangents
    factors, pivots, order = ops.apply("lu", x)
    nothing = [Zero(type_of(o).tangent()) for o in (factors, pivots, order)]
    if t.__class__ is Zero:
        return [factors, pivots, order], nothing
    shape = type_of(x).shape
    if shape[-1] != shape[-2]:
        raise NotDifferentiableError(
            f"the derivative of lu is there for square matrices only, got {type_of(x)}", hint="use qr"
        )
    columns = ops.iota(dtypes.int32, shape, len(shape) - 1)
    wide = ops.broadcast_in_dim(order, shape, tuple(range(len(shape) - 1)))
    permuted = matmul(as_dtype(ops.eq(wide, columns), type_of(t).dtype), t)
    inner = ops.apply("triangular_solve", factors, permuted, **{**PLAIN, "unit_diagonal": True})
    inner = ops.apply("triangular_solve", factors, inner, **{**PLAIN, "left_side": False, "lower": False})
    unit = ops.add(lower_triangle(factors, -1), eye_like(type_of(factors)))
    upper = ops.sub(factors, lower_triangle(factors, -1))
    moved = ops.add(
        matmul(unit, lower_triangle(inner, -1)), matmul(ops.sub(inner, lower_triangle(inner, -1)), upper)
    )
    return [factors, pivots, order], [moved, *nothing[1:]]


lu_p = define(
    "lu",
    checked("lu", False, _lu_type),
    _lu,
    _lu_jvp,
    samples_of(draw_well, lambda square, any_: (square(3),), [{}]),
    True,
    lower=by_routine("lu", "lu", lambda x: (x, max(x) * min(x) ** 2 / 2 - min(x) ** 3 / 6)),
)


def _qr_type(x: ArrayType, *, full_matrices: bool) -> list[ArrayType]:
    *lead, m, n = x.shape
    k = m if full_matrices else min(m, n)
    return [array_type((*lead, m, k), x.dtype), array_type((*lead, k, n), x.dtype)]


def _qr_jvp(primals: Sequence[Any], tangents: Sequence[Any], *, full_matrices: bool) -> tuple[Any, Any]:
    (x,), (t,) = primals, tangents
    q, r = ops.apply("qr", x, full_matrices=full_matrices)
    if t.__class__ is Zero:
        return [q, r], [Zero(type_of(o).tangent()) for o in (q, r)]
    m, n = type_of(x).shape[-2:]
    if m < n or (full_matrices and m != n):
        raise NotDifferentiableError(
            f"the derivative of qr is there for mode='reduced' and at least as many rows as columns, got {type_of(x)}"
        )
    scaled = ops.apply("triangular_solve", r, t, **{**PLAIN, "left_side": False, "lower": False})
    inner = matmul(adjoint(q), scaled)
    below = lower_triangle(inner, -1)
    turn = ops.sub(below, adjoint(below))
    if dtypes.is_complex(type_of(x).dtype):
        diagonal = ops.mul(inner, eye_like(type_of(inner)))
        turn = ops.add(turn, ops.div(ops.sub(diagonal, ops.conj(diagonal)), 2))
    dq = ops.add(matmul(q, ops.sub(turn, inner)), scaled)
    return [q, r], [dq, matmul(ops.sub(inner, turn), r)]


qr_p = define(
    "qr",
    checked("qr", False, _qr_type),
    lambda xp, x, *, full_matrices: list(xp.linalg.qr(x, "complete" if full_matrices else "reduced")),
    _qr_jvp,
    samples_of(
        draw_well, lambda square, any_: (square(3),), [{"full_matrices": False}, {"full_matrices": True}]
    ),
    True,
)

"""Eigenvalues and singular values with their vectors, and the matrix exponential.

Derivatives: M. Giles, "An extended collection of matrix derivative results for forward and reverse mode automatic
differentiation", 2008.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from funcgrad import dtypes
from funcgrad.errors import NotDifferentiableError
from funcgrad.ir.primitive import Sample, Zero
from funcgrad.ir.types import ArrayType, array_type
from funcgrad.prims.matrices import (
    DTYPES,
    LARGE,
    adjoint,
    as_column,
    as_dtype,
    as_row,
    checked,
    define,
    diagonal_of,
    draw_symmetric,
    draw_well,
    each,
    eye_like,
    matmul,
    mirrored,
    or_nan,
    real_part,
    refused,
    times,
    transposed,
)
from funcgrad.prims.samples import draw
from funcgrad.trace import ops
from funcgrad.trace.core import type_of


def _eigh_type(x: ArrayType, *, lower: bool) -> list[ArrayType]:
    return [array_type(x.shape[:-1], dtypes.real_of(x.dtype)), array_type(x.shape, x.dtype)]


def _eigh(xp: Any, x: np.ndarray, *, lower: bool) -> list[np.ndarray]:
    if x.shape[-1] < LARGE or not x.size:
        return list(or_nan(lambda a: tuple(xp.linalg.eigh(a, "L" if lower else "U")), x))
    from scipy.linalg.lapack import get_lapack_funcs

    (evd,) = get_lapack_funcs(("heevd" if x.dtype.kind == "c" else "syevd",), (x,))

    def one(a: np.ndarray) -> list[np.ndarray]:
        *outs, failed = evd(a, lower=int(lower))
        return [np.full_like(o, np.nan) for o in outs] if failed else outs

    return each(one, x)


def _apart(values: Any) -> Any:
    """1 / (value of the column - value of the row) off the diagonal, 0 on it."""
    t = type_of(values)
    shape = (*t.shape, t.shape[-1])
    difference = ops.sub(ops.broadcast_to(as_row(values), shape), ops.broadcast_to(as_column(values), shape))
    eye = eye_like(type_of(difference))
    return ops.sub(ops.div(1, ops.add(difference, eye)), eye)


def _eigh_jvp(primals: Sequence[Any], tangents: Sequence[Any], *, lower: bool) -> tuple[Any, Any]:
    (x,), (t,) = primals, tangents
    w, v = ops.apply("eigh", x, lower=lower)
    if t.__class__ is Zero:
        return [w, v], [Zero(type_of(o).tangent()) for o in (w, v)]
    t = mirrored(t, lower)
    inner = matmul(adjoint(v), matmul(t, v))
    return [w, v], [real_part(diagonal_of(inner)), matmul(v, times(inner, _apart(w)))]


eigh_p = define(
    "eigh",
    checked("eigh", True, _eigh_type),
    _eigh,
    _eigh_jvp,
    lambda: [
        Sample(
            (draw_symmetric(3, dtype=d),),
            {"lower": lower},
            (0,) if not dtypes.is_complex(d) else (),
            dtypes.name(d),
        )
        for d in DTYPES
        for lower in (True, False)
    ],
    True,
)


def _svd_type(x: ArrayType, *, full_matrices: bool, compute_uv: bool) -> list[ArrayType]:
    *lead, m, n = x.shape
    k = min(m, n)
    s = array_type((*lead, k), dtypes.real_of(x.dtype))
    if not compute_uv:
        return [s]
    rows, columns = (m, n) if full_matrices else (k, k)
    return [s, array_type((*lead, m, rows), x.dtype), array_type((*lead, columns, n), x.dtype)]


def _svd(xp: Any, x: np.ndarray, *, full_matrices: bool, compute_uv: bool) -> list[np.ndarray]:
    if min(x.shape[-2:]) >= LARGE and x.size:
        return _large_svd(x, full_matrices, compute_uv)
    if not compute_uv:
        return [or_nan(lambda a: xp.linalg.svd(a, compute_uv=False), x)]
    u, s, v = or_nan(lambda a: tuple(xp.linalg.svd(a, full_matrices)), x)
    return [s, u, v]


def _large_svd(x: np.ndarray, full_matrices: bool, compute_uv: bool) -> list[np.ndarray]:
    from scipy.linalg.lapack import get_lapack_funcs

    (gesdd,) = get_lapack_funcs(("gesdd",), (x,))

    def one(a: np.ndarray) -> list[np.ndarray]:
        u, s, v, failed = gesdd(a, compute_uv=int(compute_uv), full_matrices=int(full_matrices))
        outs = [s, u, v] if compute_uv else [s]
        return [np.full_like(o, np.nan) for o in outs] if failed else outs

    return each(one, x)


def _svd_jvp(
    primals: Sequence[Any], tangents: Sequence[Any], *, full_matrices: bool, compute_uv: bool
) -> tuple[Any, Any]:
    (x,), (t,) = primals, tangents
    params = {"full_matrices": full_matrices, "compute_uv": compute_uv}
    if t.__class__ is Zero:
        outs = ops.apply("svd", x, **params)
        return outs, [Zero(type_of(o).tangent()) for o in outs]
    m, n = type_of(x).shape[-2:]
    if compute_uv and full_matrices and m != n:
        raise NotDifferentiableError(
            f"the derivative of svd needs full_matrices=False for matrices that are not square, got {type_of(x)}"
        )
    s, u, vt = ops.apply("svd", x, full_matrices=False, compute_uv=True)
    v, ut = adjoint(vt), adjoint(u)
    inner = matmul(ut, matmul(t, v))
    ds = real_part(diagonal_of(inner))
    if not compute_uv:
        return [s], [ds]
    square = type_of(inner).shape
    row, column = ops.broadcast_to(as_row(s), square), ops.broadcast_to(as_column(s), square)
    eye = eye_like(type_of(row))
    apart = ops.sub(ops.div(1, ops.add(ops.mul(ops.add(row, column), ops.sub(row, column)), eye)), eye)
    by_row, by_column = times(inner, row), times(inner, column)
    zero = as_dtype(ops.eq(s, 0), type_of(s).dtype)
    inverse = ops.sub(ops.div(1, ops.add(s, zero)), zero)
    skew = ops.div(ops.sub(inner, adjoint(inner)), 2)
    skew = times(skew, ops.mul(eye, ops.broadcast_to(as_row(inverse), square)))
    du = matmul(u, ops.add(times(ops.add(by_row, adjoint(by_row)), apart), skew))
    dv = matmul(v, times(ops.add(by_column, adjoint(by_column)), apart))
    if m > n:
        outside = matmul(t, v)
        du = ops.add(du, times(ops.sub(outside, matmul(u, matmul(ut, outside))), as_row(inverse)))
    if n > m:
        outside = matmul(adjoint(t), u)
        dv = ops.add(dv, times(ops.sub(outside, matmul(v, matmul(vt, outside))), as_row(inverse)))
    return [s, u, vt], [ds, du, adjoint(dv)]


_ALL = {"full_matrices": False, "compute_uv": True}
svd_p = define(
    "svd",
    checked("svd", False, _svd_type),
    _svd,
    _svd_jvp,
    lambda: [
        Sample(
            (draw(*shape, dtype=d),), params, (0,) if d == dtypes.float64 else (), f"{dtypes.name(d)}{shape}"
        )
        for d in DTYPES
        for shape, params in (((3, 2), _ALL), ((2, 3), {**_ALL, "compute_uv": False}), ((2, 3), _ALL))
    ],
    True,
)


def _eigvals_type(x: ArrayType) -> ArrayType:
    return array_type(x.shape[:-1], dtypes.promote_dtypes(x.dtype, dtypes.complex64))


def _eigvals_jvp(primals: Sequence[Any], tangents: Sequence[Any]) -> tuple[Any, Any]:
    (x,), (t,) = primals, tangents
    w = ops.apply("eigvals", x)
    if t.__class__ is Zero:
        return w, Zero(type_of(w).tangent())
    _, v = ops.apply("eig", x)
    moved = ops.apply("linear_solve", v, matmul(as_dtype(t, type_of(v).dtype), v))
    return w, diagonal_of(moved)


def _sorted_spectrum(xp: Any, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    wide = dtypes.promote_dtypes(x.dtype, dtypes.complex64)
    w, v = or_nan(lambda a: tuple(xp.linalg.eig(a)), x)
    return w.astype(wide), v.astype(wide)


eigvals_p = define(
    "eigvals",
    checked("eigvals", True, _eigvals_type),
    lambda xp, x: _sorted_spectrum(xp, x)[0],
    _eigvals_jvp,
    lambda: [Sample((draw_well(3, dtype=d),), {}, (), dtypes.name(d)) for d in DTYPES],
    False,
)
eig_p = define(
    "eig",
    checked("eig", True, lambda x: [_eigvals_type(x), array_type(x.shape, _eigvals_type(x).dtype)]),
    lambda xp, x: list(_sorted_spectrum(xp, x)),
    refused("eig", "eigenvectors of a general matrix have no derivative here; use eigvals, or eigh"),
    lambda: [Sample((draw_well(3, dtype=d),), {}, (), dtypes.name(d)) for d in DTYPES],
    True,
)


def _expm(xp: Any, x: np.ndarray) -> np.ndarray:
    from scipy.linalg import expm

    return expm(x).astype(x.dtype)


def _expm_jvp(primals: Sequence[Any], tangents: Sequence[Any]) -> tuple[Any, Any]:
    (x,), (t,) = primals, tangents
    out = ops.apply("expm", x)
    return out, Zero(type_of(out).tangent()) if t.__class__ is Zero else ops.apply("expm_frechet", x, t)


expm_p = define(
    "expm",
    checked("expm", True, lambda x: array_type(x.shape, x.dtype)),
    _expm,
    _expm_jvp,
    lambda: [Sample((draw(3, 3, dtype=d, scale=0.3),), {}, (0,), dtypes.name(d)) for d in DTYPES],
    False,
)


def _block(x: Any, t: Any, below: Any) -> Any:
    """[[x, t], [0, below]]"""
    rank = type_of(x).ndim
    upper = ops.concatenate([x, t], rank - 1)
    lower = ops.concatenate([ops.full_like(x, 0), below], rank - 1)
    return ops.concatenate([upper, lower], rank - 2)


def _upper_right(whole: Any) -> Any:
    rank, n = type_of(whole).ndim, type_of(whole).shape[-1] // 2
    return ops.slice_in_dim(ops.slice_in_dim(whole, 0, n, axis=rank - 2), n, 2 * n, axis=rank - 1)


def _frechet(xp: Any, x: np.ndarray, t: np.ndarray) -> np.ndarray:
    """The derivative in direction `t`: a block of the exponential of a matrix of twice the size."""
    n = x.shape[-1]
    whole = xp.block([[x, t], [xp.zeros_like(x), x]])
    return _expm(xp, whole)[..., :n, n:]


def _frechet_jvp(primals: Sequence[Any], tangents: Sequence[Any]) -> tuple[Any, Any]:
    (x, e), (tx, te) = primals, tangents
    out = ops.apply("expm_frechet", x, e)
    total = None if te.__class__ is Zero else ops.apply("expm_frechet", x, te)
    if tx.__class__ is not Zero:
        moved = ops.apply("expm_frechet", _block(x, e, x), _block(tx, ops.full_like(x, 0), tx))
        moved = _upper_right(moved)
        total = moved if total is None else ops.add(total, moved)
    return out, Zero(type_of(out).tangent()) if total is None else total


def _frechet_transpose(ct: Any, x: Any, t: Any) -> list[Any]:
    return [None, Zero(t.type) if ct.__class__ is Zero else ops.apply("expm_frechet", transposed(x), ct)]


expm_frechet_p = define(
    "expm_frechet",
    checked("expm_frechet", True, lambda x, t: array_type(x.shape, x.dtype)),
    _frechet,
    _frechet_jvp,
    lambda: [
        Sample((draw(2, 2, dtype=d, scale=0.3), draw(2, 2, dtype=d)), {}, (0, 1), dtypes.name(d))
        for d in DTYPES
    ],
    False,
    transpose=_frechet_transpose,
)

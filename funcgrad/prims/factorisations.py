"""Factors of matrices that have no derivative here: Schur, Hessenberg and tridiagonal form, the order of columns of a
QR with pivoting, eigenvectors from the left. LAPACK computes, through SciPy; leading axes are batch axes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from funcgrad import dtypes
from funcgrad.ir.primitive import Sample
from funcgrad.ir.types import ArrayType, array_type
from funcgrad.prims.matrices import DTYPES, checked, define, draw_symmetric, draw_well, each, refused

_HOW = "these factors have no derivative here; use qr, svd or eigh, or stop_gradient"


def _factors(
    name: str,
    evaluate: Callable[..., Any],
    result: Callable[..., Any],
    several: bool = True,
    square: bool = True,
    draw: Callable[..., Any] = draw_well,
    **params: Any,
) -> Any:
    def whole(xp: Any, x: np.ndarray, **given: Any) -> Any:
        kinds = result(array_type(x.shape, x.dtype), **given)
        kinds = kinds if several else [kinds]
        if not x.size:
            return [np.zeros(k.shape, k.dtype) for k in kinds]
        outs = [o.astype(k.dtype) for o, k in zip(each(lambda a: evaluate(a, **given), x), kinds)]
        return outs if several else outs[0]

    return define(
        name,
        checked(name, square, result),
        whole,
        refused(name, _HOW),
        lambda: [Sample((draw(4, dtype=d),), params, (), dtypes.name(d)) for d in DTYPES],
        several,
    )


def _lapack(name: str, x: np.ndarray) -> Callable[..., Any]:
    from scipy.linalg.lapack import get_lapack_funcs

    return get_lapack_funcs((name,), (x,))[0]


def _vector(x: ArrayType, less: int, dtype: np.dtype) -> ArrayType:
    return array_type((*x.shape[:-2], max(0, x.shape[-1] - less)), dtype)


def _schur(a: np.ndarray) -> Any:
    from scipy.linalg import schur

    found: Any = schur(a, output="complex" if a.dtype.kind == "c" else "real")
    return found


def _qr_order(a: np.ndarray) -> tuple[np.ndarray]:
    from scipy.linalg import qr

    found: Any = qr(a, mode="r", pivoting=True)
    return (np.asarray(found[1]),)


def _tridiagonal(a: np.ndarray, lower: bool) -> tuple[np.ndarray, ...]:
    return _lapack("hetrd" if a.dtype.kind == "c" else "sytrd", a)(a, lower=int(lower))[:4]


def _left(a: np.ndarray) -> tuple[np.ndarray]:
    from scipy.linalg import eig

    found: Any = eig(a, left=True, right=False)
    return (found[1],)


def _wide(x: ArrayType) -> np.dtype:
    return dtypes.promote_dtypes(x.dtype, dtypes.complex64)


schur_p = _factors("schur", _schur, lambda x: [array_type(x.shape, x.dtype)] * 2)
hessenberg_p = _factors(
    "hessenberg",
    lambda a: _lapack("gehrd", a)(a)[:2],
    lambda x: [array_type(x.shape, x.dtype), _vector(x, 1, x.dtype)],
)
tridiagonal_p = _factors(
    "tridiagonal",
    _tridiagonal,
    lambda x, lower: [
        array_type(x.shape, x.dtype),
        _vector(x, 0, dtypes.real_of(x.dtype)),
        _vector(x, 1, dtypes.real_of(x.dtype)),
        _vector(x, 1, x.dtype),
    ],
    draw=draw_symmetric,
    lower=True,
)
qr_order_p = _factors(
    "qr_order", _qr_order, lambda x: _vector(x, 0, dtypes.int32), several=False, square=False
)
eig_left_p = _factors("eig_left", _left, lambda x: array_type(x.shape, _wide(x)), several=False)

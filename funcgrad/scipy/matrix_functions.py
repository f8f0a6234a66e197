"""Factorisations and functions of matrices that SciPy computes, with the names of `scipy.linalg`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import funcgrad.numpy as jnp
from funcgrad.array import ShapeDtypeStruct
from funcgrad.callbacks import pure_callback
from funcgrad.custom_rules import custom_jvp
from funcgrad.errors import ArgumentError, ShapeError, boundary
from funcgrad.lax import linalg as lax_linalg
from funcgrad.trace.core import type_of


def _square(name: str, a: Any) -> Any:
    x = jnp.asarray(a)
    if x.ndim != 2 or x.shape[0] != x.shape[1]:
        raise ShapeError(f"{name} takes a square matrix, got {type_of(x)}", hint="use vmap for several")
    return x if jnp.issubdtype(x.dtype, jnp.inexact) else x.astype(float)


def _by_scipy(function: str, like: Any, *args: Any, **options: Any) -> Any:
    """What a function of scipy.linalg gives, in the shapes and dtypes of `like` (one array or several)."""

    def call(*arrays: np.ndarray) -> Any:
        import scipy.linalg

        found = getattr(scipy.linalg, function)(*map(np.asarray, arrays), **options)
        several = isinstance(like, tuple)
        given = found if several else (found,)
        outs = tuple([np.asarray(g, s.dtype) for g, s in zip(given, like if several else (like,))])
        return outs if several else outs[0]

    return pure_callback(call, like, *args, vmap_method="sequential")


def _complex(dtype: Any) -> Any:
    return jnp.result_type(dtype, jnp.complex64)


def _like(x: Any, dtype: Any = None) -> ShapeDtypeStruct:
    return ShapeDtypeStruct(x.shape, x.dtype if dtype is None else dtype)


@boundary
def schur(a: Any, output: str = "real") -> tuple[Any, Any]:
    """(t, z) with `a = z @ t @ z^H`, z unitary and t upper triangular; for a real `a` and output='real' t is real,
    with 2x2 blocks for pairs of complex eigenvalues. No derivative."""
    a = _square("schur", a)
    if output not in ("real", "complex"):
        raise ArgumentError(f"schur: output is 'real' or 'complex', got {output!r}")
    dtype = _complex(a.dtype) if output == "complex" else a.dtype
    kind = "complex" if jnp.issubdtype(dtype, jnp.complexfloating) else "real"
    return _by_scipy("schur", (_like(a, dtype), _like(a, dtype)), a, output=kind)


@boundary
def rsf2csf(T: Any, Z: Any, check_finite: bool = True) -> tuple[Any, Any]:
    """The complex Schur form from the real one. No derivative."""
    T, Z = _square("rsf2csf", T), _square("rsf2csf", Z)
    return _by_scipy("rsf2csf", (_like(T, _complex(T.dtype)), _like(Z, _complex(Z.dtype))), T, Z)


@boundary
def hessenberg(a: Any, *, calc_q: bool = False, overwrite_a: bool = False, check_finite: bool = True) -> Any:
    """The upper Hessenberg matrix h with `a = q @ h @ q^H`; (h, q) with `calc_q`. No derivative."""
    a = _square("hessenberg", a)
    if calc_q:
        return _by_scipy("hessenberg", (_like(a), _like(a)), a, calc_q=True)
    return _by_scipy("hessenberg", _like(a), a)


@custom_jvp
def _sylvester(a: Any, b: Any, q: Any) -> Any:
    return _by_scipy("solve_sylvester", _like(q), a, b, q)


@_sylvester.defjvp
def _sylvester_jvp(primals: Any, tangents: Any) -> Any:
    (a, b, q), (ta, tb, tq) = primals, tangents
    x = _sylvester(a, b, q)
    return x, _sylvester(a, b, tq - ta @ x - x @ tb)


@boundary
def solve_sylvester(A: Any, B: Any, C: Any, *, method: str = "schur", tol: float = 1e-8) -> Any:
    """The X of `A @ X + X @ B = C`; differentiable in forward mode."""
    a, b, c = _square("solve_sylvester", A), _square("solve_sylvester", B), jnp.asarray(C)
    dtype = jnp.result_type(a.dtype, b.dtype, c.dtype)
    if c.shape != (a.shape[0], b.shape[0]):
        raise ShapeError(f"solve_sylvester: C has to be {a.shape[0]} x {b.shape[0]}, got {type_of(c)}")
    return _sylvester(a.astype(dtype), b.astype(dtype), c.astype(dtype))


@custom_jvp
def _sqrtm(a: Any) -> Any:
    return _by_scipy("sqrtm", _like(a), a)


@_sqrtm.defjvp
def _sqrtm_jvp(primals: Any, tangents: Any) -> Any:
    root = _sqrtm(*primals)
    return root, _sylvester(root, root, tangents[0])


@boundary
def sqrtm(A: Any, blocksize: int = 1) -> Any:
    """The principal square root of a matrix, complex in any case; differentiable in forward mode."""
    a = _square("sqrtm", A)
    return _sqrtm(a.astype(_complex(a.dtype)))


@boundary
def funm(A: Any, func: Callable[[Any], Any], disp: bool = True) -> Any:
    """`func` of a square matrix, by its Schur form: complex, since it may be complex. No derivative.

    Args:
        A: (n, n).
        func: a function of arrays of complex numbers, element by element.
        disp: where false, also the estimated relative error, real.

    >>> import funcgrad as fg
    >>> fg.scipy.linalg.funm(fg.numpy.diag(fg.numpy.array([4.0, 9.0])), fg.numpy.sqrt).real
    Array([[2., 0.],
           [0., 3.]], dtype=float32)
    """
    a = _square("funm", A)
    dtype = _complex(a.dtype)
    if not callable(func):
        raise ArgumentError(f"funm takes a function, got {type(func).__name__}")

    like = (_like(a, dtype), ShapeDtypeStruct((), jnp.finfo(dtype).dtype))

    def elementwise(values: np.ndarray) -> np.ndarray:
        return np.asarray(func(values))

    value, error = _by_scipy("funm", like, a.astype(dtype), func=elementwise, disp=False)
    return value if disp else (value, error)


@boundary
def qr_multiply(
    a: Any,
    c: Any,
    mode: str = "right",
    pivoting: bool = False,
    conjugate: bool = False,
    overwrite_a: bool = False,
    overwrite_c: bool = False,
) -> tuple[Any, ...]:
    """`c @ Q` (mode='right') or `Q @ c` ('left') and R of `a = Q @ R`, with Q of min(a.shape) columns; with `pivoting`
    also the order of columns. `c` is a vector or a matrix; `conjugate` takes the conjugate of Q.

    >>> import funcgrad as fg
    >>> product, r = fg.scipy.linalg.qr_multiply(fg.numpy.eye(2), fg.numpy.array([3.0, 4.0]))
    >>> abs(product)
    Array([3., 4.], dtype=float32)
    """
    if mode not in ("left", "right"):
        raise ArgumentError(f"qr_multiply: mode is 'left' or 'right', got {mode!r}")
    a, c = jnp.asarray(a), jnp.asarray(c)
    dtype = jnp.result_type(a.dtype, c.dtype, jnp.float32)
    q, *rest = lax_linalg.qr(a.astype(dtype), full_matrices=False, pivoting=pivoting)
    q = q.conj() if conjugate else q
    return (q @ c if mode == "left" else c @ q, *rest)


@boundary
def polar(a: Any, side: str = "right", *, method: str = "svd", **options: Any) -> tuple[Any, Any]:
    """(u, p) with `a = u @ p` (side='right') or `a = p @ u` ('left'), u with orthonormal columns or rows, p positive
    semidefinite; by the singular value decomposition.

    >>> import funcgrad as fg
    >>> u, p = fg.scipy.linalg.polar(fg.numpy.array([[2.0, 0.0], [0.0, -3.0]]))
    >>> bool(fg.numpy.allclose(p, fg.numpy.diag(fg.numpy.array([2.0, 3.0])), atol=1e-5))
    True
    """
    a = jnp.asarray(a)
    if a.ndim != 2:
        raise ShapeError(f"polar takes a matrix, got {type_of(a)}")
    if side not in ("right", "left"):
        raise ArgumentError(f"polar: side is 'right' or 'left', got {side!r}")
    w, s, vh = jnp.linalg.svd(a, full_matrices=False)
    u = w @ vh
    if side == "right":
        return u, (vh.conj().T * s) @ vh
    return u, (w * s) @ w.conj().T


@boundary
def eigh_tridiagonal(
    d: Any,
    e: Any,
    *,
    eigvals_only: bool = False,
    select: str = "a",
    select_range: Any = None,
    tol: float | None = None,
) -> Any:
    """The eigenvalues, ascending, of the symmetric tridiagonal matrix with diagonal `d` and off-diagonal `e`, and the
    eigenvectors unless `eigvals_only`; with select='i' those from the first to the last of `select_range`."""
    d, e = jnp.asarray(d), jnp.asarray(e)
    if d.ndim != 1 or e.shape != (d.shape[0] - 1,):
        raise ShapeError(
            f"eigh_tridiagonal takes vectors of n and n - 1 elements, got {type_of(d)} and {type_of(e)}"
        )
    if select not in ("a", "i"):
        raise ArgumentError(
            f"eigh_tridiagonal: select is 'a' or 'i', got {select!r}", hint="use jnp.where for 'v'"
        )
    values, vectors = jnp.linalg.eigh(jnp.diag(d) + jnp.diag(e, 1) + jnp.diag(e.conj(), -1))
    if select == "i":
        first, last = select_range
        values, vectors = values[first : last + 1], vectors[:, first : last + 1]
    return values if eigvals_only else (values, vectors)

"""Matrices of known form, with the names of `scipy.linalg`."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

import funcgrad.numpy as jnp
from funcgrad.errors import ArgumentError, boundary
from funcgrad.trace.core import type_of


def _vector(name: str, a: Any, least: int = 1) -> Any:
    x = jnp.asarray(a)
    if x.ndim != 1 or x.shape[0] < least:
        raise ArgumentError(f"{name} takes a vector of at least {least} elements, got {type_of(x)}")
    return x


def _beside(first: Any, second: Any) -> Any:
    """Two vectors, or arrays of vectors, joined along their last axes."""
    batch = jnp.broadcast_shapes(first.shape[:-1], second.shape[:-1])
    return jnp.concatenate([jnp.broadcast_to(x, batch + x.shape[-1:]) for x in (first, second)], axis=-1)


@boundary
def toeplitz(c: Any, r: Any = None) -> Any:
    """The matrix of constant diagonals with first column `c` and first row `r` (the conjugate of `c` by default), for
    each vector along the last axes."""
    c = jnp.atleast_1d(c)
    r = c.conj() if r is None else jnp.atleast_1d(r)
    m, n = c.shape[-1], r.shape[-1]
    return _beside(c[..., ::-1], r[..., 1:])[..., np.arange(m)[::-1, None] + np.arange(n)[None, :]]


@boundary
def hankel(c: Any, r: Any = None) -> Any:
    """The matrix of constant anti-diagonals with first column `c` and last row `r` (zeros by default), for each vector
    along the last axes."""
    c = jnp.atleast_1d(c)
    r = jnp.zeros_like(c) if r is None else jnp.atleast_1d(r)
    return _beside(c, r[..., 1:])[..., np.arange(c.shape[-1])[:, None] + np.arange(r.shape[-1])[None, :]]


@boundary
def circulant(c: Any) -> Any:
    """The square matrix each column of which is the one before, shifted down by one in a circle, for each vector along
    the last axis.

    >>> import funcgrad as fg
    >>> fg.scipy.linalg.circulant(fg.numpy.array([1, 2, 3]))
    Array([[1, 3, 2],
           [2, 1, 3],
           [3, 2, 1]], dtype=int64)
    """
    c = jnp.atleast_1d(c)
    n = c.shape[-1]
    return c[..., (np.arange(n)[:, None] - np.arange(n)[None, :]) % n]


@boundary
def companion(a: Any) -> Any:
    """The companion matrix of the polynomial with coefficients `a`, highest first."""
    a = _vector("companion", a, 2)
    first = -a[1:] / (1.0 * a[0])
    return jnp.concatenate([first[None], jnp.eye(a.shape[0] - 2, a.shape[0] - 1, dtype=first.dtype)])


@boundary
def leslie(f: Any, s: Any) -> Any:
    """The Leslie matrix of fecundities `f` and survival rates `s`."""
    f, s = _vector("leslie", f), jnp.asarray(s)
    if s.shape != (f.shape[0] - 1,):
        raise ArgumentError(f"leslie: {type_of(f)} fecundities need {f.shape[0] - 1} survival rates")
    dtype = jnp.result_type(f.dtype, s.dtype)
    below = jnp.diag(s.astype(dtype), 0)
    return jnp.concatenate([f[None].astype(dtype), jnp.pad(below, ((0, 0), (0, 1)))])


@boundary
def convolution_matrix(a: Any, n: int, mode: str = "full") -> Any:
    """The matrix by which a vector of `n` elements is multiplied to convolve it with `a`."""
    a = _vector("convolution_matrix", a)
    m = a.shape[0]
    full = toeplitz(jnp.pad(a, (0, n - 1)), jnp.pad(a[:1], (0, n - 1)))
    sizes = {"full": m + n - 1, "same": max(m, n), "valid": max(m, n) - min(m, n) + 1}
    if mode not in sizes:
        raise ArgumentError(f"convolution_matrix: mode is 'full', 'same' or 'valid', got {mode!r}")
    start = 0 if mode == "full" else (min(m, n) - 1) // 2 if mode == "same" else min(m, n) - 1
    return full[start : start + sizes[mode]]


@boundary
def fiedler(a: Any) -> Any:
    """The symmetric matrix of the distances between the elements of `a`."""
    a = jnp.asarray(a).ravel()
    return jnp.abs(a[:, None] - a[None, :])


@boundary
def fiedler_companion(a: Any) -> Any:
    """The pentadiagonal matrix whose characteristic polynomial has the coefficients `a`, the highest one first.

    >>> import funcgrad as fg
    >>> fg.scipy.linalg.fiedler_companion(fg.numpy.array([1.0, 2.0, 3.0, 4.0]))
    Array([[-2., -3.,  1.],
           [ 1.,  0.,  0.],
           [ 0., -4.,  0.]], dtype=float32)
    """
    import scipy.linalg

    a = _vector("fiedler_companion", a, 2)
    a = a if jnp.issubdtype(a.dtype, jnp.inexact) else a.astype(float)
    # SciPy's matrix of 1, 2, 3, ... says which coefficient stands where, with a minus; ones and zeros stay
    marks = np.rint(scipy.linalg.fiedler_companion(np.arange(1.0, a.shape[0] + 1))).astype(int)
    return jnp.where(marks < 0, -(a / a[0])[np.maximum(-marks - 1, 0)], marks).astype(a.dtype)


@boundary
def dft(n: int, scale: str | None = None) -> Any:
    """The matrix of the discrete Fourier transform; `scale` is None, 'n' or 'sqrtn'."""
    by = {None: 1, "n": n, "sqrtn": math.sqrt(n)}.get(scale)
    if by is None:
        raise ArgumentError(f"dft: scale is None, 'n' or 'sqrtn', got {scale!r}")
    turns = np.exp(-2j * np.pi * np.arange(n) / n)
    return jnp.asarray(
        np.vander(turns, increasing=True) / by, jnp.complex64 if not _double() else jnp.complex128
    )


def _double() -> bool:
    return jnp.ones(()).dtype == jnp.float64


def _binomials(n: int) -> np.ndarray:
    return np.array([[math.comb(i, j) for j in range(n)] for i in range(n)], dtype=np.float64)


@boundary
def pascal(n: int, kind: str = "symmetric") -> Any:
    """The matrix of binomial coefficients; `kind` is 'symmetric', 'upper' or 'lower'."""
    lower = _binomials(n)
    made = {"lower": lower, "upper": lower.T, "symmetric": lower @ lower.T}.get(kind)
    if made is None:
        raise ArgumentError(f"pascal: kind is 'symmetric', 'upper' or 'lower', got {kind!r}")
    return jnp.asarray(made, float)


@boundary
def invpascal(n: int, kind: str = "symmetric") -> Any:
    """The inverse of `pascal(n, kind)`."""
    signs = (-1.0) ** (np.arange(n)[:, None] + np.arange(n)[None, :])
    lower = _binomials(n) * signs
    made = {"lower": lower, "upper": lower.T, "symmetric": lower.T @ lower}.get(kind)
    if made is None:
        raise ArgumentError(f"invpascal: kind is 'symmetric', 'upper' or 'lower', got {kind!r}")
    return jnp.asarray(made, float)


@boundary
def hilbert(n: int) -> Any:
    """The matrix with elements 1 / (i + j + 1)."""
    return jnp.asarray(1 / (np.arange(n)[:, None] + np.arange(n)[None, :] + 1), float)


@boundary
def invhilbert(n: int) -> Any:
    """The inverse of `hilbert(n)`."""
    made = [
        [
            (-1) ** (i + j) * (i + j + 1) * math.comb(n + i, n - j - 1) * math.comb(n + j, n - i - 1)
            * math.comb(i + j, i) ** 2
            for j in range(n)
        ]
        for i in range(n)
    ]  # fmt: skip
    return jnp.asarray(np.array(made, dtype=np.float64), float)


@boundary
def hadamard(n: int, dtype: Any = int) -> Any:
    """The Hadamard matrix of Sylvester's form; `n` is a power of two."""
    if n < 1 or n & (n - 1):
        raise ArgumentError(f"hadamard: n has to be a power of two, got {n}")
    made = np.ones((1, 1))
    while len(made) < n:
        made = np.block([[made, made], [made, -made]])
    return jnp.asarray(made, dtype)


@boundary
def helmert(n: int, full: bool = False) -> Any:
    """The orthogonal Helmert matrix, without its first row unless `full`."""
    made = np.tril(np.ones((n, n)), -1) - np.diag(np.arange(n))
    made[0] += 1
    k = np.arange(n)
    size = k * (k + 1)
    size[0] = n
    made = made / np.sqrt(size)[:, None]
    return jnp.asarray(made if full else made[1:], float)

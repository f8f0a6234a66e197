"""Polynomials as vectors of coefficients, the highest power first."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from funcgrad import dtypes
from funcgrad.errors import ArgumentError, ShapeError, boundary
from funcgrad.numpy.creation import asarray
from funcgrad.numpy.joining import atleast_1d, concatenate
from funcgrad.numpy.linalg import eigvals, inv, lstsq
from funcgrad.numpy.products import matmul
from funcgrad.promotion import promote, promote_inexact
from funcgrad.trace import ops
from funcgrad.trace.core import Tracer, type_of


def _coefficients(name: str, p: Any) -> Any:
    x = atleast_1d(asarray(p))
    if type_of(x).ndim != 1:
        raise ShapeError(f"{name} takes a vector of coefficients, got {type_of(x)}")
    return x


def _leading_zeros(x: Any, length: int) -> Any:
    missing = length - type_of(x).size
    return ops.pad(x, 0, [(missing, 0, 0)]) if missing else x


@boundary
def polyval(p: Any, x: Any, *, unroll: int = 16) -> Any:
    """The polynomial of coefficients `p` at `x`: p[0] * x**(n-1) + ... + p[n-1], by Horner's rule.

    `p` may have trailing axes, which broadcast with `x`.

    >>> import funcgrad.numpy as fnp
    >>> fnp.polyval(fnp.array([2.0, 0.0, 1.0]), 3.0)
    Array(19., dtype=float32)
    """
    p, x = promote("polyval", asarray(p), asarray(x))
    if not type_of(p).ndim:
        raise ShapeError(f"polyval takes a vector of coefficients, got {type_of(p)}")
    total = x * 0 + p[0] if type_of(p).shape[0] else x * 0
    for k in range(1, type_of(p).shape[0]):
        total = total * x + p[k]
    return total


@boundary
def polyadd(a1: Any, a2: Any) -> Any:
    """The sum of two polynomials."""
    a, b = promote("polyadd", _coefficients("polyadd", a1), _coefficients("polyadd", a2))
    length = max(type_of(a).size, type_of(b).size)
    return ops.add(_leading_zeros(a, length), _leading_zeros(b, length))


@boundary
def polysub(a1: Any, a2: Any) -> Any:
    """The difference of two polynomials."""
    a, b = promote("polysub", _coefficients("polysub", a1), _coefficients("polysub", a2))
    length = max(type_of(a).size, type_of(b).size)
    return ops.sub(_leading_zeros(a, length), _leading_zeros(b, length))


def _product(a: Any, b: Any) -> Any:
    """All products of two coefficients, summed along the antidiagonals by shearing their matrix."""
    n, m = type_of(a).size, type_of(b).size
    products = ops.pad(a[:, None] * b[None, :], 0, [(0, 0, 0), (0, n, 0)])
    flat = ops.slice_in_dim(ops.reshape(products, (n * (m + n),)), 0, n * (m + n - 1))
    return ops.reduce_sum(ops.reshape(flat, (n, m + n - 1)), (0,))


def _trimmed(name: str, x: Any) -> Any:
    """`x`, which has to be known, without leading zeros, but for the last one."""
    if isinstance(x, Tracer):
        x.concrete(f"{name} with trim_leading_zeros, whose length depends on values,", "leave it out")
    nonzero = np.flatnonzero(np.asarray(x))
    return x[int(nonzero[0]) :] if nonzero.size else x[-1:]


@boundary
def polymul(a1: Any, a2: Any, *, trim_leading_zeros: bool = False) -> Any:
    """The product of two polynomials."""
    a, b = promote_inexact("polymul", _coefficients("polymul", a1), _coefficients("polymul", a2))
    if trim_leading_zeros:
        a, b = _trimmed("polymul", a), _trimmed("polymul", b)
    if not type_of(a).size or not type_of(b).size:
        raise ShapeError(f"polymul of {type_of(a)} and {type_of(b)}: a polynomial has a coefficient")
    return _product(a, b)


@boundary
def polydiv(u: Any, v: Any, *, trim_leading_zeros: bool = False) -> tuple[Any, Any]:
    """The quotient of two polynomials and what is left, as long as `u` unless leading zeros are trimmed."""
    u, v = promote_inexact("polydiv", _coefficients("polydiv", u), _coefficients("polydiv", v))
    m, n = type_of(u).size - 1, type_of(v).size - 1
    scale = 1 / v[0]
    quotient, rest = [], u
    for k in range(max(m - n + 1, 0)):
        digit = scale * rest[k]
        quotient.append(digit)
        rest = rest.at[k : k + n + 1].add(-digit * v)
    q = concatenate([ops.reshape(d, (1,)) for d in quotient]) if quotient else ops.full_like(u[:1], 0)
    return q, _trimmed("polydiv", rest) if trim_leading_zeros else rest


@boundary
def polyder(p: Any, m: int = 1) -> Any:
    """The m-th derivative of a polynomial."""
    if m < 0:
        raise ArgumentError(f"polyder of order {m}", hint="the order is 0 or more")
    (x,) = promote_inexact("polyder", _coefficients("polyder", p))
    if m == 0:
        return x
    size = type_of(x).size
    if size <= m:
        return x[:0]
    powers = np.arange(size - 1, m - 1, -1)
    factors = np.array([math.perm(int(k), m) for k in powers], float)
    return ops.mul(x[:-m], factors.astype(type_of(x).dtype))


@boundary
def polyint(p: Any, m: int = 1, k: Any = None) -> Any:
    """The m-th integral of a polynomial; `k` are the constants of integration, the first one's first."""
    if m < 0:
        raise ArgumentError(f"polyint of order {m}", hint="the order is 0 or more")
    k = 0 if k is None else k
    x, k = promote_inexact("polyint", _coefficients("polyint", p), _coefficients("polyint", k))
    if type_of(k).size == 1:
        k = ops.broadcast_to(ops.reshape(k, ()), (m,))
    if type_of(k).shape != (m,):
        raise ShapeError(f"polyint of order {m} with constants {type_of(k)}: give one, or {m}")
    if m == 0:
        return x
    size = type_of(x).size
    dtype = type_of(x).dtype
    whole = concatenate([x, k])
    powers = [*range(size - 1, -1, -1)]
    factors = [math.perm(n + m, m) for n in powers] + [math.factorial(m - 1 - j) for j in range(m)]
    return ops.div(whole, np.array(factors, float).astype(dtype))


@boundary
def poly(seq_of_zeros: Any) -> Any:
    """The coefficients of the polynomial that has these zeros and begins with 1."""
    (zeros,) = promote_inexact("poly", atleast_1d(asarray(seq_of_zeros)))
    t = type_of(zeros)
    if t.ndim != 1:
        raise ShapeError(f"poly takes a vector of zeros, got {t}", hint="pass the eigenvalues of a matrix")
    result = ops.full((1,), 1, t.dtype)
    for k in range(t.size):
        zero = zeros[k]
        result = ops.sub(ops.pad(result, 0, [(0, 1, 0)]), ops.mul(ops.pad(result, 0, [(1, 0, 0)]), zero))
    return result


@boundary
def vander(x: Any, N: int | None = None, increasing: bool = False) -> Any:
    """The matrix whose rows are the powers N-1 .. 0 of the elements of `x` (0 .. N-1 where `increasing`).

    Raises:
        ShapeError: not one axis.

    >>> import funcgrad.numpy as jnp
    >>> jnp.vander(jnp.array([2, 3]), 3).tolist()
    [[4, 2, 1], [9, 3, 1]]
    """
    x = asarray(x)
    if type_of(x).ndim != 1:
        raise ShapeError(f"vander takes a vector, got {type_of(x)}")
    count = type_of(x).size if N is None else int(N)
    if count < 0:
        raise ArgumentError(f"vander of {count} columns", hint="N is 0 or more")
    dtype = type_of(x).dtype
    if dtypes.is_bool(dtype):
        x = ops.convert(x, dtypes.default_int())
    columns = [ops.integer_pow(x, k) if k else ops.full_like(x, 1) for k in range(count)]
    columns = columns if increasing else columns[::-1]
    if not columns:
        return ops.full((type_of(x).size, 0), 0, type_of(x).dtype)
    return ops.concatenate([ops.expand_dims(c, (1,)) for c in columns], 1)


@boundary
def roots(p: Any, *, strip_zeros: bool = True) -> Any:
    """The zeros of a polynomial, complex, as eigenvalues of its companion matrix.

    Leading zeros and trailing ones (which are zeros of the polynomial at 0) are left out first, for which `p` has
    to be known; not where `strip_zeros` is False.
    """
    (x,) = promote_inexact("roots", _coefficients("roots", p))
    at_zero = 0
    if strip_zeros:
        if isinstance(x, Tracer):
            x.concrete("roots, whose number depends on the coefficients,", "pass strip_zeros=False")
        used = np.flatnonzero(np.asarray(x))
        if not used.size:
            return ops.full((0,), 0, dtypes.complex_of(type_of(x).dtype))
        at_zero = type_of(x).size - 1 - int(used[-1])
        x = x[int(used[0]) : int(used[-1]) + 1]
    size = type_of(x).size - 1
    dtype = dtypes.complex_of(type_of(x).dtype)
    found = ops.full((0,), 0, dtype)
    if size > 0:
        below = ops.pad(np.eye(size - 1, dtype=type_of(x).dtype), 0, [(0, 0, 0), (0, 1, 0)])
        companion = ops.concatenate([ops.expand_dims(-x[1:] / x[0], (0,)), below], 0)
        found = eigvals(companion)
    return ops.pad(found, 0, [(0, at_zero, 0)]) if at_zero else found


@boundary
def polyfit(
    x: Any,
    y: Any,
    deg: int,
    rcond: float | None = None,
    full: bool = False,
    w: Any = None,
    cov: bool | str = False,
) -> Any:
    """The polynomial of degree `deg` closest to the points (x, y) by least squares, weighted by `w`.

    `y` may have a second axis for several fits at once. With `full`, also the sums of squared residuals, the rank,
    the singular values and `rcond`; with `cov`, also the covariance matrix of the coefficients.

    >>> import funcgrad.numpy as jnp
    >>> jnp.polyfit(jnp.arange(3.0), jnp.arange(3.0) * 2 + 1, 1).round(2).tolist()
    [2.0, 1.0]
    """
    order = int(deg) + 1
    if deg < 0:
        raise ArgumentError(f"polyfit of degree {deg}", hint="the degree is 0 or more")
    x, y = promote_inexact("polyfit", asarray(x), asarray(y))
    tx, ty = type_of(x), type_of(y)
    if tx.ndim != 1 or not tx.size or ty.ndim not in (1, 2) or ty.shape[0] != tx.size:
        raise ShapeError(f"polyfit takes positions in a vector and as many values, got {tx} and {ty}")
    dtype = tx.dtype
    rcond = tx.size * float(dtypes.finfo(dtype).eps) if rcond is None else rcond
    left, right = vander(x, order), y
    if w is not None:
        weights = ops.convert(asarray(w), dtype)
        if type_of(weights).shape != tx.shape:
            raise ShapeError(f"polyfit of {tx.size} points with weights {type_of(weights)}")
        left = left * weights[:, None]
        right = right * (weights if ty.ndim == 1 else weights[:, None])
    scale = ops.sqrt(ops.reduce_sum(left * left, (0,)))
    left = left / scale
    found, residuals, rank, values = lstsq(left, right, rcond)
    found = found / (scale if ty.ndim == 1 else scale[:, None])
    if full:
        return found, residuals, rank, values, np.asarray(rcond)
    if not cov:
        return found
    base = inv(matmul(left.T, left)) / (scale[:, None] * scale[None, :])
    if cov == "unscaled":
        return found, base
    if tx.size <= order:
        raise ArgumentError(
            f"polyfit of degree {deg} to {tx.size} points leaves nothing to estimate cov from"
        )
    factor = residuals / (tx.size - order)
    return found, base * factor if ty.ndim == 1 else base[:, :, None] * factor

"""Covariance and correlation."""

from __future__ import annotations

from typing import Any

from funcgrad import dtypes
from funcgrad.errors import ArgumentError, ShapeError, boundary
from funcgrad.numpy.creation import asarray
from funcgrad.numpy.elementwise import clip, imag, real, where
from funcgrad.numpy.joining import concatenate
from funcgrad.numpy.products import diag, matmul
from funcgrad.promotion import promote_inexact
from funcgrad.trace import ops
from funcgrad.trace.core import type_of


def _as_rows(name: str, m: Any, rowvar: bool) -> Any:
    t = type_of(m)
    if t.ndim > 2:
        raise ShapeError(f"{name} takes a vector or a matrix, got {t}", hint="vmap over leading axes")
    if t.ndim == 2:
        return m if rowvar or t.shape[0] == 1 else ops.transpose(m, (1, 0))
    return ops.reshape(m, (1, t.size))


def _weights(name: str, given: Any, count: int) -> Any:
    w = asarray(given)
    if type_of(w).shape != (count,):
        raise ShapeError(f"cov of {count} observations with {name} of type {type_of(w)}: give one for each")
    return w


@boundary
def cov(
    m: Any,
    y: Any = None,
    rowvar: bool = True,
    bias: bool = False,
    ddof: int | None = None,
    fweights: Any = None,
    aweights: Any = None,
    dtype: Any = None,
) -> Any:
    """The covariance matrix of variables, one a row (a column where not `rowvar`), and of those of `y`.

    Divides by the number of observations less `ddof` (1, or 0 where `bias`). `fweights` says how often each
    observation counts, `aweights` how much.

    >>> import funcgrad.numpy as jnp
    >>> jnp.cov(jnp.array([1.0, 3.0])).item()
    2.0
    """
    operands = [asarray(m)] if y is None else [asarray(m), asarray(y)]
    operands = promote_inexact("cov", *operands)
    if dtype is not None:
        operands = [ops.convert(x, dtypes.as_dtype(dtype)) for x in operands]
    if ddof is not None and int(ddof) != ddof:
        raise ArgumentError(f"ddof of cov is an integer, got {ddof!r}")
    x = _as_rows("cov", operands[0], rowvar)
    if type_of(x).shape[0] == 0:
        return ops.full((0, 0), 0, type_of(x).dtype)
    if y is not None:
        x = concatenate([x, _as_rows("cov", operands[1], rowvar)], 0)
    ddof = (0 if bias else 1) if ddof is None else ddof
    count = type_of(x).shape[1]
    weights = None
    if fweights is not None:
        weights = _weights("fweights", fweights, count)
    if aweights is not None:
        importance = abs(_weights("aweights", aweights, count))
        weights = importance if weights is None else weights * importance
    if weights is None:
        mean, total = x.mean(axis=1), count
        norm: Any = float(count - ddof)
    else:
        weights = ops.convert(weights, dtypes.real_of(type_of(x).dtype))
        total = weights.sum()
        mean = (x * weights).sum(axis=1) / total
        if ddof == 0:
            norm = total
        elif aweights is None:
            norm = total - ddof
        else:
            norm = total - ddof * (weights * importance).sum() / total
    centered = x - mean[:, None]
    right = centered if weights is None else centered * weights
    conjugate = ops.conj(right) if dtypes.is_complex(type_of(right).dtype) else right
    product = matmul(centered, conjugate.T)
    if isinstance(norm, float):
        product = (
            product * (1.0 / norm) if norm > 0 else product / 0.0
        )  # too few observations, NaN or infinite
    else:
        product = product / norm
    return product.squeeze()


@boundary
def corrcoef(x: Any, y: Any = None, rowvar: bool = True, dtype: Any = None) -> Any:
    """The matrix of correlations of variables, one a row (a column where not `rowvar`), and of those of `y`.

    Raises:
        DTypeError: what is no array or number.

    >>> import funcgrad.numpy as jnp
    >>> jnp.corrcoef(jnp.array([[1.0, 2.0, 3.0], [3.0, 2.0, 1.0]])).round().tolist()
    [[1.0, -1.0], [-1.0, 1.0]]
    """
    c = cov(x, y, rowvar, dtype=dtype)
    if not type_of(c).ndim:
        return c / c
    deviation = ops.sqrt(real(diag(c)))
    c = c / deviation[:, None] / deviation[None, :]
    if dtypes.is_complex(type_of(c).dtype):
        return ops.complex_(clip(real(c), -1, 1), clip(imag(c), -1, 1))
    return where(c == c, clip(c, -1, 1), c)

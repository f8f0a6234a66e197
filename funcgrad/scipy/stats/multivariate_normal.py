"""The normal distribution of vectors, with a mean and a covariance matrix."""

from __future__ import annotations

import math
from typing import Any

from funcgrad.errors import ArgumentError, ShapeError, boundary
from funcgrad.numpy import linalg
from funcgrad.numpy.creation import asarray
from funcgrad.promotion import broadcast_shapes, promote_inexact
from funcgrad.scipy.linalg import solve_triangular
from funcgrad.scipy.stats import norm
from funcgrad.trace import ops
from funcgrad.trace.core import type_of


@boundary
def logpdf(x: Any, mean: Any, cov: Any, allow_singular: None = None) -> Any:
    """The logarithm of the density at x, of shape (..., n).

    `mean` has shape (..., n) and `cov` (..., n, n), positive definite; leading axes broadcast. A scalar `cov` is
    the variance of each element, which are then independent. With a scalar `mean` the normal distribution is
    that of numbers, for each element of x. The result is of the common float dtype, and NaN where `cov` is not
    positive definite. Raises ShapeError where the lengths differ.

    >>> import numpy as np
    >>> logpdf(np.zeros(2), np.zeros(2), np.eye(2)).item()
    -1.8378770664093453
    """
    if allow_singular is not None:
        raise ArgumentError(
            "multivariate_normal.logpdf knows positive definite covariances only, got allow_singular",
            hint="leave allow_singular away; add a small multiple of the identity to a singular covariance",
        )
    x, mean, cov = (
        asarray(v) for v in promote_inexact("scipy.stats.multivariate_normal.logpdf", x, mean, cov)
    )
    if not type_of(mean).ndim and not type_of(cov).ndim:
        return norm.logpdf(x, mean, ops.sqrt(cov))
    n = type_of(mean).shape[-1] if type_of(mean).ndim else 0
    if (
        not type_of(mean).ndim
        or (type_of(x).ndim and type_of(x).shape[-1] != n)
        or (type_of(cov).ndim and type_of(cov).shape[-2:] != (n, n))
    ):
        raise ShapeError(
            "multivariate_normal.logpdf: a mean of length n goes with x of length n and a covariance of shape (n, n)\n"
            f"  x {type_of(x)}, mean {type_of(mean)}, cov {type_of(cov)}",
            hint="the last axis of x and of mean, and the last two of cov, have one length",
        )
    constant = n * math.log(2 * math.pi)
    centred = x - mean
    if not type_of(cov).ndim:
        squares = centred * centred
        return -(squares.sum(axis=-1) / cov + n * ops.log(cov) + constant) / 2
    factor = linalg.cholesky(cov)
    batch = broadcast_shapes(type_of(centred).shape[:-1], type_of(factor).shape[:-2])
    centred = ops.broadcast_to(centred, (*batch, n))
    if type_of(factor).ndim == 2:
        columns = centred.reshape(-1, n).T
        whitened = solve_triangular(factor, columns, lower=True).T.reshape((*batch, n))
    else:
        factors = ops.broadcast_to(factor, (*batch, n, n))
        whitened = solve_triangular(factors, centred[..., None], lower=True)[..., 0]
    half_logdet = ops.log(factor.diagonal(axis1=-2, axis2=-1)).sum(axis=-1)
    return -((whitened * whitened).sum(axis=-1) + constant) / 2 - half_logdet


def pdf(x: Any, mean: Any, cov: Any) -> Any:
    """The density at x; the shapes are those of `logpdf`."""
    return ops.exp(logpdf(x, mean, cov))

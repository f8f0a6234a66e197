"""The Dirichlet distribution of concentrations `alpha` along the first axis."""

from __future__ import annotations

import math
from typing import Any

from funcgrad.errors import ShapeError, boundary
from funcgrad.numpy.creation import asarray
from funcgrad.numpy.elementwise import where
from funcgrad.numpy.joining import concatenate
from funcgrad.promotion import promote_inexact
from funcgrad.scipy import special
from funcgrad.trace import ops
from funcgrad.trace.core import type_of


@boundary
def logpdf(x: Any, alpha: Any) -> Any:
    """The logarithm of the density at x, of shape (n, ...), or (n - 1, ...) where the last is what is left of 1."""
    x, alpha = promote_inexact("scipy.stats.dirichlet.logpdf", asarray(x), asarray(alpha))
    if type_of(alpha).ndim != 1 or not type_of(x).ndim:
        raise ShapeError(f"dirichlet.logpdf takes a vector of concentrations, got {type_of(alpha)}")
    count = type_of(alpha).size
    if type_of(x).shape[0] == count - 1:
        x = concatenate([x, 1 - x.sum(axis=0, keepdims=True)])
    if type_of(x).shape[0] != count:
        raise ShapeError(f"dirichlet.logpdf of {type_of(x)} with {count} concentrations")
    norm = ops.lgamma(alpha).sum() - ops.lgamma(alpha.sum())
    column = alpha.reshape((count,) + (1,) * (type_of(x).ndim - 1))
    value = special.xlogy(column - 1, x).sum(axis=0) - norm
    within = (x >= 0).all(axis=0) & (ops.abs_(x.sum(axis=0) - 1) < 1e-4)
    return where(within, value, -math.inf)


def pdf(x: Any, alpha: Any) -> Any:
    """The density."""
    return ops.exp(logpdf(x, alpha))

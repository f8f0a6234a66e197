"""The exponential distribution of mean `scale`, from `loc` on."""

from __future__ import annotations

import math
from typing import Any

from funcgrad.errors import boundary
from funcgrad.numpy.elementwise import where
from funcgrad.scipy.stats.common import arrays, inside, operands, standard
from funcgrad.trace import ops


@boundary
def logpdf(x: Any, loc: Any = 0.0, scale: Any = 1.0) -> Any:
    """The logarithm of the density."""
    x, loc, scale = operands("expon.logpdf", x, loc, scale)
    return inside(ops.ge(x, loc), ops.neg(ops.add(standard(x, loc, scale), ops.log(scale))))


def pdf(x: Any, loc: Any = 0.0, scale: Any = 1.0) -> Any:
    """The density."""
    return ops.exp(logpdf(x, loc, scale))


@boundary
def cdf(x: Any, loc: Any = 0.0, scale: Any = 1.0) -> Any:
    """The probability of being below x."""
    z = standard(*operands("expon.cdf", x, loc, scale))
    return ops.neg(ops.expm1(ops.neg(ops.select(ops.lt(z, 0.0), 0.0, z))))


@boundary
def logcdf(x: Any, loc: Any = 0.0, scale: Any = 1.0) -> Any:
    """The logarithm of `cdf`."""
    x, loc, scale = arrays("expon.logcdf", x, loc, scale)
    z = (x - loc) / scale
    outside = z < 0
    return where(outside, -math.inf, ops.log1p(-ops.exp(-where(outside, 1.0, z))))


@boundary
def logsf(x: Any, loc: Any = 0.0, scale: Any = 1.0) -> Any:
    """The logarithm of `sf`."""
    x, loc, scale = arrays("expon.logsf", x, loc, scale)
    z = (x - loc) / scale
    return -where(z < 0, 0.0, z)


def sf(x: Any, loc: Any = 0.0, scale: Any = 1.0) -> Any:
    """The probability of being above x."""
    return ops.exp(logsf(x, loc, scale))


@boundary
def ppf(q: Any, loc: Any = 0.0, scale: Any = 1.0) -> Any:
    """The number below which a draw is with probability q."""
    q, loc, scale = arrays("expon.ppf", q, loc, scale)
    return where((q >= 0) & (q <= 1), loc - scale * ops.log1p(-q), math.nan)

"""The Gumbel distribution of smallest values around `loc`."""

from __future__ import annotations

from typing import Any

from funcgrad.errors import boundary
from funcgrad.scipy.stats.common import arrays
from funcgrad.trace import ops


@boundary
def logpdf(x: Any, loc: Any = 0.0, scale: Any = 1.0) -> Any:
    """The logarithm of the density."""
    x, loc, scale = arrays("gumbel_l.logpdf", x, loc, scale)
    z = (loc - x) / scale
    return -z - ops.exp(-z) - ops.log(scale)


def pdf(x: Any, loc: Any = 0.0, scale: Any = 1.0) -> Any:
    """The density."""
    return ops.exp(logpdf(x, loc, scale))


@boundary
def logsf(x: Any, loc: Any = 0.0, scale: Any = 1.0) -> Any:
    """The logarithm of `sf`."""
    x, loc, scale = arrays("gumbel_l.logsf", x, loc, scale)
    z = (loc - x) / scale
    return -ops.exp(-z)


def sf(x: Any, loc: Any = 0.0, scale: Any = 1.0) -> Any:
    """The probability of being above x."""
    return ops.exp(logsf(x, loc, scale))


@boundary
def logcdf(x: Any, loc: Any = 0.0, scale: Any = 1.0) -> Any:
    """The logarithm of `cdf`."""
    x, loc, scale = arrays("gumbel_l.logcdf", x, loc, scale)
    z = (loc - x) / scale
    return ops.log(-ops.expm1(-ops.exp(-z)))


@boundary
def cdf(x: Any, loc: Any = 0.0, scale: Any = 1.0) -> Any:
    """The probability of being below x, or there."""
    x, loc, scale = arrays("gumbel_l.cdf", x, loc, scale)
    z = (loc - x) / scale
    return -ops.expm1(-ops.exp(-z))


@boundary
def ppf(p: Any, loc: Any = 0.0, scale: Any = 1.0) -> Any:
    """The number below which a draw is with probability q."""
    p, loc, scale = arrays("gumbel_l.ppf", p, loc, scale)
    return loc + scale * ops.log(-ops.log1p(-p))

"""The gamma distribution of shape `a`."""

from __future__ import annotations

from typing import Any

from funcgrad.errors import boundary
from funcgrad.numpy.elementwise import where
from funcgrad.scipy import special
from funcgrad.scipy.stats.common import arrays, inside, log_probability, operands, standard
from funcgrad.trace import ops


@boundary
def logpdf(x: Any, a: Any, loc: Any = 0.0, scale: Any = 1.0) -> Any:
    """The logarithm of the density."""
    x, a, loc, scale = operands("gamma.logpdf", x, a, loc, scale)
    within = ops.ge(x, loc)
    z = ops.select(within, standard(x, loc, scale), 1.0)
    value = ops.sub(ops.sub(special.xlogy(ops.sub(a, 1.0), z), z), ops.add(ops.lgamma(a), ops.log(scale)))
    return inside(within, value)


def pdf(x: Any, a: Any, loc: Any = 0.0, scale: Any = 1.0) -> Any:
    """The density."""
    return ops.exp(logpdf(x, a, loc, scale))


@boundary
def cdf(x: Any, a: Any, loc: Any = 0.0, scale: Any = 1.0) -> Any:
    """The probability of being below x, or there."""
    x, a, loc, scale = arrays("gamma.cdf", x, a, loc, scale)
    z = (x - loc) / scale
    return where(z < 0, 0.0, special.gammainc(a, where(z < 0, 1.0, z)))


def logcdf(x: Any, a: Any, loc: Any = 0.0, scale: Any = 1.0) -> Any:
    """The logarithm of `cdf`."""
    return log_probability(cdf(x, a, loc, scale))


@boundary
def sf(x: Any, a: Any, loc: Any = 0.0, scale: Any = 1.0) -> Any:
    """The probability of being above x."""
    x, a, loc, scale = arrays("gamma.sf", x, a, loc, scale)
    z = (x - loc) / scale
    return where(z < 0, 1.0, special.gammaincc(a, where(z < 0, 1.0, z)))


def logsf(x: Any, a: Any, loc: Any = 0.0, scale: Any = 1.0) -> Any:
    """The logarithm of `sf`."""
    return log_probability(sf(x, a, loc, scale))

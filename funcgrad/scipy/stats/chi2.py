"""The chi-square distribution of `df` degrees of freedom."""

from __future__ import annotations

import math
from typing import Any

from funcgrad.errors import boundary
from funcgrad.numpy.elementwise import where
from funcgrad.scipy import special
from funcgrad.scipy.stats.common import arrays, log_probability
from funcgrad.trace import ops


@boundary
def logpdf(x: Any, df: Any, loc: Any = 0.0, scale: Any = 1.0) -> Any:
    """The logarithm of the density."""
    x, df, loc, scale = arrays("chi2.logpdf", x, df, loc, scale)
    z = (x - loc) / scale
    half = df / 2
    safe = where(z > 0, z, 1.0)
    value = special.xlogy(half - 1, safe) - safe / 2 - ops.lgamma(half) - half * math.log(2)
    value = where(z == 0, special.xlogy(half - 1, z) - ops.lgamma(half) - half * math.log(2), value)
    return where(z >= 0, value - ops.log(scale), -math.inf)


def pdf(x: Any, df: Any, loc: Any = 0.0, scale: Any = 1.0) -> Any:
    """The density."""
    return ops.exp(logpdf(x, df, loc, scale))


@boundary
def cdf(x: Any, df: Any, loc: Any = 0.0, scale: Any = 1.0) -> Any:
    """The probability of being below x, or there."""
    x, df, loc, scale = arrays("chi2.cdf", x, df, loc, scale)
    z = (x - loc) / scale / 2
    return where(z < 0, 0.0, special.gammainc(df / 2, where(z < 0, 1.0, z)))


def logcdf(x: Any, df: Any, loc: Any = 0.0, scale: Any = 1.0) -> Any:
    """The logarithm of `cdf`."""
    return log_probability(cdf(x, df, loc, scale))


@boundary
def sf(x: Any, df: Any, loc: Any = 0.0, scale: Any = 1.0) -> Any:
    """The probability of being above x."""
    x, df, loc, scale = arrays("chi2.sf", x, df, loc, scale)
    z = (x - loc) / scale / 2
    return where(z < 0, 1.0, special.gammaincc(df / 2, where(z < 0, 1.0, z)))


def logsf(x: Any, df: Any, loc: Any = 0.0, scale: Any = 1.0) -> Any:
    """The logarithm of `sf`."""
    return log_probability(sf(x, df, loc, scale))

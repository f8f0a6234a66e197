"""The Pareto distribution of shape `b`, from loc + scale on."""

from __future__ import annotations

import math
from typing import Any

from funcgrad.errors import boundary
from funcgrad.numpy.elementwise import where
from funcgrad.scipy.stats.common import arrays
from funcgrad.trace import ops


@boundary
def logpdf(x: Any, b: Any, loc: Any = 0.0, scale: Any = 1.0) -> Any:
    """The logarithm of the density."""
    x, b, loc, scale = arrays("pareto.logpdf", x, b, loc, scale)
    z = (x - loc) / scale
    safe = where(z >= 1, z, 1.0)
    return where(z >= 1, ops.log(b / scale) - (b + 1) * ops.log(safe), -math.inf)


def pdf(x: Any, b: Any, loc: Any = 0.0, scale: Any = 1.0) -> Any:
    """The density."""
    return ops.exp(logpdf(x, b, loc, scale))


@boundary
def cdf(x: Any, b: Any, loc: Any = 0.0, scale: Any = 1.0) -> Any:
    """The probability of being below x, or there."""
    x, b, loc, scale = arrays("pareto.cdf", x, b, loc, scale)
    z = (x - loc) / scale
    z = where(z < 1, 1.0, z)
    return -ops.expm1(-b * ops.log(z))


@boundary
def logcdf(x: Any, b: Any, loc: Any = 0.0, scale: Any = 1.0) -> Any:
    """The logarithm of `cdf`."""
    x, b, loc, scale = arrays("pareto.logcdf", x, b, loc, scale)
    z = (x - loc) / scale
    outside = z < 1
    return where(outside, -math.inf, ops.log1p(-ops.pow_(where(outside, 2.0, z), -b)))


@boundary
def logsf(x: Any, b: Any, loc: Any = 0.0, scale: Any = 1.0) -> Any:
    """The logarithm of `sf`."""
    x, b, loc, scale = arrays("pareto.logsf", x, b, loc, scale)
    z = (x - loc) / scale
    return -b * ops.log(where(z < 1, 1.0, z))


def sf(x: Any, b: Any, loc: Any = 0.0, scale: Any = 1.0) -> Any:
    """The probability of being above x."""
    return ops.exp(logsf(x, b, loc, scale))


@boundary
def ppf(q: Any, b: Any, loc: Any = 0.0, scale: Any = 1.0) -> Any:
    """The number below which a draw is with probability q."""
    q, b, loc, scale = arrays("pareto.ppf", q, b, loc, scale)
    return where((q >= 0) & (q <= 1), loc + scale * ops.exp(-ops.log1p(-q) / b), math.nan)

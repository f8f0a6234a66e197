"""The Cauchy distribution around `loc`."""

from __future__ import annotations

import math
from typing import Any

from funcgrad.errors import boundary
from funcgrad.scipy.stats.common import arrays, operands, standard
from funcgrad.trace import ops


@boundary
def logpdf(x: Any, loc: Any = 0.0, scale: Any = 1.0) -> Any:
    """The logarithm of the density."""
    x, loc, scale = operands("cauchy.logpdf", x, loc, scale)
    spread = ops.log1p(ops.square(standard(x, loc, scale)))
    return ops.neg(ops.add(ops.add(spread, ops.log(scale)), math.log(math.pi)))


def pdf(x: Any, loc: Any = 0.0, scale: Any = 1.0) -> Any:
    """The density."""
    return ops.exp(logpdf(x, loc, scale))


@boundary
def cdf(x: Any, loc: Any = 0.0, scale: Any = 1.0) -> Any:
    """The probability of being below x."""
    z = standard(*operands("cauchy.cdf", x, loc, scale))
    return ops.add(ops.mul(ops.atan(z), 1 / math.pi), 0.5)


def logcdf(x: Any, loc: Any = 0.0, scale: Any = 1.0) -> Any:
    """The logarithm of `cdf`."""
    return ops.log(cdf(x, loc, scale))


@boundary
def sf(x: Any, loc: Any = 0.0, scale: Any = 1.0) -> Any:
    """The probability of being above x."""
    x, loc, scale = arrays("cauchy.sf", x, loc, scale)
    return cdf(-x, -loc, scale)


def logsf(x: Any, loc: Any = 0.0, scale: Any = 1.0) -> Any:
    """The logarithm of `sf`."""
    return ops.log(sf(x, loc, scale))


@boundary
def ppf(q: Any, loc: Any = 0.0, scale: Any = 1.0) -> Any:
    """The number below which a draw is with probability q."""
    q, loc, scale = arrays("cauchy.ppf", q, loc, scale)
    return loc + scale * ops.tan(math.pi * (q - 0.5))


@boundary
def isf(q: Any, loc: Any = 0.0, scale: Any = 1.0) -> Any:
    """The number above which a draw is with probability q."""
    q, loc, scale = arrays("cauchy.isf", q, loc, scale)
    return loc - scale * ops.tan(math.pi * (q - 0.5))

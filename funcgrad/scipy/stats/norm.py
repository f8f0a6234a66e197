"""The normal distribution of mean `loc` and standard deviation `scale`."""

from __future__ import annotations

import math
from typing import Any

from funcgrad.errors import boundary
from funcgrad.scipy import special
from funcgrad.scipy.stats.common import operands, standard
from funcgrad.trace import ops

_LOG_SQRT_TWO_PI = 0.5 * math.log(2 * math.pi)


@boundary
def logpdf(x: Any, loc: Any = 0.0, scale: Any = 1.0) -> Any:
    """The logarithm of the density."""
    x, loc, scale = operands("norm.logpdf", x, loc, scale)
    z = standard(x, loc, scale)
    return ops.sub(ops.mul(ops.square(z), -0.5), ops.add(ops.log(scale), _LOG_SQRT_TWO_PI))


def pdf(x: Any, loc: Any = 0.0, scale: Any = 1.0) -> Any:
    """The density."""
    return ops.exp(logpdf(x, loc, scale))


def _z(name: str, x: Any, loc: Any, scale: Any) -> Any:
    return standard(*operands(f"norm.{name}", x, loc, scale))


@boundary
def cdf(x: Any, loc: Any = 0.0, scale: Any = 1.0) -> Any:
    """The probability of being below x."""
    return special.ndtr(_z("cdf", x, loc, scale))


@boundary
def logcdf(x: Any, loc: Any = 0.0, scale: Any = 1.0) -> Any:
    """The logarithm of `cdf`."""
    return special.log_ndtr(_z("logcdf", x, loc, scale))


@boundary
def sf(x: Any, loc: Any = 0.0, scale: Any = 1.0) -> Any:
    """The probability of being above x."""
    return special.ndtr(ops.neg(_z("sf", x, loc, scale)))


@boundary
def logsf(x: Any, loc: Any = 0.0, scale: Any = 1.0) -> Any:
    """The logarithm of `sf`."""
    return special.log_ndtr(ops.neg(_z("logsf", x, loc, scale)))


@boundary
def ppf(q: Any, loc: Any = 0.0, scale: Any = 1.0) -> Any:
    """The number below which a draw is with probability q."""
    q, loc, scale = operands("norm.ppf", q, loc, scale)
    return ops.add(ops.mul(special.ndtri(q), scale), loc)


def isf(q: Any, loc: Any = 0.0, scale: Any = 1.0) -> Any:
    """The number above which a draw is with probability q."""
    return ppf(ops.sub(1.0, *operands("norm.isf", q)), loc, scale)

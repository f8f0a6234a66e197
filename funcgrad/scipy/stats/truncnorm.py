"""The normal distribution cut off at `a` and `b` standard deviations from `loc`."""

from __future__ import annotations

import math
from typing import Any

from funcgrad.api import stop_gradient
from funcgrad.errors import boundary
from funcgrad.numpy.elementwise import where
from funcgrad.scipy import special
from funcgrad.scipy.stats.common import arrays
from funcgrad.trace import ops


def _difference(a: Any, b: Any) -> Any:
    """log(exp(a) - exp(b)), for a >= b."""
    return a + ops.log(-ops.expm1(ops.min_(b - a, 0.0)))


def _defined(value: Any, a: Any, b: Any, scale: Any) -> Any:
    """`value`, and NaN where the parameters make no distribution."""
    return where((a < b) & (scale > 0), value, math.nan)


def _within(z: Any, a: Any, b: Any) -> Any:
    """z where it lies between a and b, elsewhere some number that does."""
    middle = where(
        ops.is_finite(a), where(ops.is_finite(b), a + (b - a) / 2, a + 1), where(ops.is_finite(b), b - 1, 0.0)
    )
    return where((z > a) & (z < b), z, stop_gradient(middle))


def _log_mass(a: Any, b: Any) -> Any:
    """The logarithm of the standard normal probability from a to b, by the tail that they lie in."""
    right = a > 0
    low, high = where(right, -b, a), where(right, -a, b)
    return _difference(special.log_ndtr(high), special.log_ndtr(low))


@boundary
def logpdf(x: Any, a: Any, b: Any, loc: Any = 0.0, scale: Any = 1.0) -> Any:
    """The logarithm of the density."""
    x, a, b, loc, scale = arrays("truncnorm.logpdf", x, a, b, loc, scale)
    z = (x - loc) / scale
    value = -(z * z) / 2 - math.log(2 * math.pi) / 2 - ops.log(scale) - _log_mass(a, b)
    return _defined(where((z >= a) & (z <= b), value, -math.inf), a, b, scale)


def pdf(x: Any, a: Any, b: Any, loc: Any = 0.0, scale: Any = 1.0) -> Any:
    """The density."""
    return ops.exp(logpdf(x, a, b, loc, scale))


@boundary
def logcdf(x: Any, a: Any, b: Any, loc: Any = 0.0, scale: Any = 1.0) -> Any:
    """The logarithm of `cdf`."""
    x, a, b, loc, scale = arrays("truncnorm.logcdf", x, a, b, loc, scale)
    z = (x - loc) / scale
    value = _log_mass(a, _within(z, a, b)) - _log_mass(a, b)
    return _defined(where(z <= a, -math.inf, where(z >= b, 0.0, value)), a, b, scale)


def cdf(x: Any, a: Any, b: Any, loc: Any = 0.0, scale: Any = 1.0) -> Any:
    """The probability of being below x, or there."""
    return ops.exp(logcdf(x, a, b, loc, scale))


@boundary
def logsf(x: Any, a: Any, b: Any, loc: Any = 0.0, scale: Any = 1.0) -> Any:
    """The logarithm of `sf`."""
    x, a, b, loc, scale = arrays("truncnorm.logsf", x, a, b, loc, scale)
    z = (x - loc) / scale
    value = _log_mass(_within(z, a, b), b) - _log_mass(a, b)
    return _defined(where(z >= b, -math.inf, where(z <= a, 0.0, value)), a, b, scale)


def sf(x: Any, a: Any, b: Any, loc: Any = 0.0, scale: Any = 1.0) -> Any:
    """The probability of being above x."""
    return ops.exp(logsf(x, a, b, loc, scale))

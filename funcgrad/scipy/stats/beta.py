"""The beta distribution of shapes `a` and `b`."""

from __future__ import annotations

import math
from typing import Any

from funcgrad.errors import boundary
from funcgrad.numpy.elementwise import where
from funcgrad.scipy import special
from funcgrad.scipy.stats.common import arrays, inside, log_probability, operands, standard
from funcgrad.trace import ops


@boundary
def logpdf(x: Any, a: Any, b: Any, loc: Any = 0.0, scale: Any = 1.0) -> Any:
    """The logarithm of the density."""
    x, a, b, loc, scale = operands("beta.logpdf", x, a, b, loc, scale)
    z = standard(x, loc, scale)
    within = ops.and_(ops.ge(z, 0.0), ops.le(z, 1.0))
    z = ops.select(within, z, 0.5)
    powers = ops.add(special.xlogy(ops.sub(a, 1.0), z), special.xlog1py(ops.sub(b, 1.0), ops.neg(z)))
    value = inside(within, ops.sub(powers, ops.add(special.betaln(a, b), ops.log(scale))))
    # NaN where the parameters make no distribution
    defined = ops.and_(ops.and_(ops.gt(a, 0.0), ops.gt(b, 0.0)), ops.gt(scale, 0.0))
    return where(defined, value, math.nan)


def pdf(x: Any, a: Any, b: Any, loc: Any = 0.0, scale: Any = 1.0) -> Any:
    """The density."""
    return ops.exp(logpdf(x, a, b, loc, scale))


def _regularized(a: Any, b: Any, z: Any) -> Any:
    """The regularized incomplete beta function up to z, which is 0 below 0 and 1 above 1."""
    below, above = z < 0, z > 1
    value = special.betainc(a, b, where(below | above, 0.5, z))
    return where(below, 0.0, where(above, 1.0, value))


@boundary
def cdf(x: Any, a: Any, b: Any, loc: Any = 0.0, scale: Any = 1.0) -> Any:
    """The probability of being below x, or there."""
    x, a, b, loc, scale = arrays("beta.cdf", x, a, b, loc, scale)
    return _regularized(a, b, (x - loc) / scale)


def logcdf(x: Any, a: Any, b: Any, loc: Any = 0.0, scale: Any = 1.0) -> Any:
    """The logarithm of `cdf`."""
    return log_probability(cdf(x, a, b, loc, scale))


@boundary
def sf(x: Any, a: Any, b: Any, loc: Any = 0.0, scale: Any = 1.0) -> Any:
    """The probability of being above x."""
    x, a, b, loc, scale = arrays("beta.sf", x, a, b, loc, scale)
    return _regularized(b, a, 1 - (x - loc) / scale)


def logsf(x: Any, a: Any, b: Any, loc: Any = 0.0, scale: Any = 1.0) -> Any:
    """The logarithm of `sf`."""
    return log_probability(sf(x, a, b, loc, scale))

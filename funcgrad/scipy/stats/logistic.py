"""The logistic distribution around `loc`."""

from __future__ import annotations

from typing import Any

from funcgrad.errors import boundary
from funcgrad.scipy import special
from funcgrad.scipy.stats.common import arrays, operands, standard
from funcgrad.trace import ops


@boundary
def logpdf(x: Any, loc: Any = 0.0, scale: Any = 1.0) -> Any:
    """The logarithm of the density."""
    x, loc, scale = operands("logistic.logpdf", x, loc, scale)
    z = standard(x, loc, scale)
    return ops.sub(ops.sub(ops.mul(special.log_expit(z), 2.0), z), ops.log(scale))


def pdf(x: Any, loc: Any = 0.0, scale: Any = 1.0) -> Any:
    """The density."""
    return ops.exp(logpdf(x, loc, scale))


@boundary
def cdf(x: Any, loc: Any = 0.0, scale: Any = 1.0) -> Any:
    """The probability of being below x."""
    return ops.logistic(standard(*operands("logistic.cdf", x, loc, scale)))


@boundary
def sf(x: Any, loc: Any = 0.0, scale: Any = 1.0) -> Any:
    """The probability of being above x."""
    return ops.logistic(ops.neg(standard(*operands("logistic.sf", x, loc, scale))))


@boundary
def ppf(x: Any, loc: Any = 0.0, scale: Any = 1.0) -> Any:
    """The number below which a draw is with probability x."""
    x, loc, scale = operands("logistic.ppf", x, loc, scale)
    return ops.add(ops.mul(special.logit(x), scale), loc)


@boundary
def isf(x: Any, loc: Any = 0.0, scale: Any = 1.0) -> Any:
    """The number above which a draw is with probability x."""
    x, loc, scale = arrays("logistic.isf", x, loc, scale)
    return loc - scale * special.logit(x)

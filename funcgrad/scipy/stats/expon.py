"""The exponential distribution of mean `scale`, from `loc` on."""

from __future__ import annotations

from typing import Any

from funcgrad.errors import boundary
from funcgrad.scipy.stats.common import inside, operands, standard
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
    return ops.neg(ops.expm1(ops.neg(ops.max_(z, 0.0))))

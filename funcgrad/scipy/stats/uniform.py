"""The uniform distribution from `loc` to `loc + scale`."""

from __future__ import annotations

from typing import Any

from funcgrad.errors import boundary
from funcgrad.scipy.stats.common import inside, operands, standard
from funcgrad.trace import ops


@boundary
def logpdf(x: Any, loc: Any = 0.0, scale: Any = 1.0) -> Any:
    """The logarithm of the density."""
    x, loc, scale = operands("uniform.logpdf", x, loc, scale)
    within = ops.and_(ops.ge(x, loc), ops.le(x, ops.add(loc, scale)))
    return inside(within, ops.neg(ops.log(scale)))


def pdf(x: Any, loc: Any = 0.0, scale: Any = 1.0) -> Any:
    """The density."""
    return ops.exp(logpdf(x, loc, scale))


@boundary
def cdf(x: Any, loc: Any = 0.0, scale: Any = 1.0) -> Any:
    """The probability of being below x."""
    z = standard(*operands("uniform.cdf", x, loc, scale))
    return ops.select(ops.lt(z, 0.0), 0.0, ops.select(ops.gt(z, 1.0), 1.0, z))


@boundary
def ppf(q: Any, loc: Any = 0.0, scale: Any = 1.0) -> Any:
    """The number below which a draw is with probability q."""
    q, loc, scale = operands("uniform.ppf", q, loc, scale)
    within = ops.and_(ops.ge(q, 0.0), ops.le(q, 1.0))
    return inside(within, ops.add(ops.mul(q, scale), loc), float("nan"))

"""The Laplace distribution around `loc`."""

from __future__ import annotations

import math
from typing import Any

from funcgrad.errors import boundary
from funcgrad.scipy.stats.common import operands, standard
from funcgrad.trace import ops


@boundary
def logpdf(x: Any, loc: Any = 0.0, scale: Any = 1.0) -> Any:
    """The logarithm of the density."""
    x, loc, scale = operands("laplace.logpdf", x, loc, scale)
    distance = ops.abs_(standard(x, loc, scale))
    return ops.neg(ops.add(distance, ops.add(ops.log(scale), math.log(2.0))))


def pdf(x: Any, loc: Any = 0.0, scale: Any = 1.0) -> Any:
    """The density."""
    return ops.exp(logpdf(x, loc, scale))


@boundary
def cdf(x: Any, loc: Any = 0.0, scale: Any = 1.0) -> Any:
    """The probability of being below x."""
    z = standard(*operands("laplace.cdf", x, loc, scale))
    below = ops.le(z, 0.0)
    tail = ops.mul(ops.exp(ops.select(below, z, ops.neg(z))), 0.5)
    return ops.select(below, tail, ops.sub(1.0, tail))

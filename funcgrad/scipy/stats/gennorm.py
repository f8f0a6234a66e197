"""The generalised normal distribution, of density proportional to exp(-|x|**beta)."""

from __future__ import annotations

from typing import Any

from funcgrad.errors import boundary
from funcgrad.numpy.elementwise import where
from funcgrad.scipy import special
from funcgrad.scipy.stats.common import arrays
from funcgrad.trace import ops


@boundary
def logpdf(x: Any, beta: Any) -> Any:
    """The logarithm of the density."""
    x, beta = arrays("gennorm.logpdf", x, beta)
    size = where(
        x < 0, -x, x
    )  # not abs, whose derivative is 0 at 0: then that of x**2 would be constant there
    return ops.log(beta / 2) - ops.lgamma(1 / beta) - ops.pow_(size, beta)


def pdf(x: Any, beta: Any) -> Any:
    """The density."""
    return ops.exp(logpdf(x, beta))


@boundary
def cdf(x: Any, beta: Any) -> Any:
    """The probability of being below x, or there."""
    x, beta = arrays("gennorm.cdf", x, beta)
    return (1 + ops.sign(x) * special.gammainc(1 / beta, ops.pow_(ops.abs_(x), beta))) / 2

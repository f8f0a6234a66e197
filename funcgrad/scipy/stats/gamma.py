"""The gamma distribution of shape `a`."""

from __future__ import annotations

from typing import Any

from funcgrad.errors import boundary
from funcgrad.scipy import special
from funcgrad.scipy.stats.common import inside, operands, standard
from funcgrad.trace import ops


@boundary
def logpdf(x: Any, a: Any, loc: Any = 0.0, scale: Any = 1.0) -> Any:
    """The logarithm of the density."""
    x, a, loc, scale = operands("gamma.logpdf", x, a, loc, scale)
    within = ops.ge(x, loc)
    z = ops.select(within, standard(x, loc, scale), 1.0)
    value = ops.sub(ops.sub(special.xlogy(ops.sub(a, 1.0), z), z), ops.add(ops.lgamma(a), ops.log(scale)))
    return inside(within, value)


def pdf(x: Any, a: Any, loc: Any = 0.0, scale: Any = 1.0) -> Any:
    """The density."""
    return ops.exp(logpdf(x, a, loc, scale))

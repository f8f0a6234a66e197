"""The Poisson distribution of mean `mu`."""

from __future__ import annotations

from typing import Any

from funcgrad.errors import boundary
from funcgrad.scipy import special
from funcgrad.scipy.stats.common import inside, operands
from funcgrad.trace import ops


@boundary
def logpmf(k: Any, mu: Any, loc: Any = 0) -> Any:
    """The logarithm of the probability of k."""
    k, mu, loc = operands("poisson.logpmf", k, mu, loc)
    x = ops.sub(k, loc)
    within = ops.and_(ops.ge(x, 0.0), ops.eq(ops.floor(x), x))
    safe = ops.select(within, x, 0.0)
    return inside(within, ops.sub(ops.sub(special.xlogy(safe, mu), mu), ops.lgamma(ops.add(safe, 1.0))))


def pmf(k: Any, mu: Any, loc: Any = 0) -> Any:
    """The probability of k."""
    return ops.exp(logpmf(k, mu, loc))

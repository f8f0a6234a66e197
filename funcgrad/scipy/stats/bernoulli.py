"""The Bernoulli distribution: 1 with probability `p`, else 0."""

from __future__ import annotations

from typing import Any

from funcgrad.errors import boundary
from funcgrad.scipy import special
from funcgrad.scipy.stats.common import inside, operands
from funcgrad.trace import ops


@boundary
def logpmf(k: Any, p: Any, loc: Any = 0) -> Any:
    """The logarithm of the probability of k."""
    k, p, loc = operands("bernoulli.logpmf", k, p, loc)
    x = ops.sub(k, loc)
    within = ops.or_(ops.eq(x, 0.0), ops.eq(x, 1.0))
    return inside(within, ops.add(special.xlogy(x, p), special.xlog1py(ops.sub(1.0, x), ops.neg(p))))


def pmf(k: Any, p: Any, loc: Any = 0) -> Any:
    """The probability of k."""
    return ops.exp(logpmf(k, p, loc))

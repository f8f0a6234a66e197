"""The Bernoulli distribution: 1 with probability `p`, else 0."""

from __future__ import annotations

import math
from typing import Any

from funcgrad.errors import boundary
from funcgrad.numpy.elementwise import where
from funcgrad.scipy import special
from funcgrad.scipy.stats.common import arrays, inside, operands
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


@boundary
def cdf(k: Any, p: Any) -> Any:
    """The probability of being below k, or there."""
    k, p = arrays("bernoulli.cdf", k, p)
    value = where(k >= 1, 1.0, 1 - p)
    return where((p >= 0) & (p <= 1), where(k < 0, 0.0, value), math.nan)


@boundary
def ppf(q: Any, p: Any) -> Any:
    """The number below which a draw is with probability q."""
    q, p = arrays("bernoulli.ppf", q, p)
    value = where(q <= 1 - p, 0.0, 1.0)
    good = (p >= 0) & (p <= 1) & (q >= 0) & (q <= 1)
    return where(good, where(q == 0, -1.0, value), math.nan)

"""The binomial distribution: successes among `n` trials of probability `p`."""

from __future__ import annotations

import math
from typing import Any

from funcgrad.errors import boundary
from funcgrad.numpy.elementwise import where
from funcgrad.scipy import special
from funcgrad.scipy.stats.common import arrays
from funcgrad.trace import ops


@boundary
def logpmf(k: Any, n: Any, p: Any, loc: Any = 0) -> Any:
    """The logarithm of the probability of k."""
    k, n, p, loc = arrays("binom.logpmf", k, n, p, loc)
    y = k - loc
    within = (y >= 0) & (y <= n)
    y = where(within, y, 0.0)
    ways = ops.lgamma(n + 1) - ops.lgamma(y + 1) - ops.lgamma(n - y + 1)
    value = ways + special.xlogy(y, p) + special.xlog1py(n - y, -p)
    return where(within, value, -math.inf)


def pmf(k: Any, n: Any, p: Any, loc: Any = 0) -> Any:
    """The probability of k."""
    return ops.exp(logpmf(k, n, p, loc))

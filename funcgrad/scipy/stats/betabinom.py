"""The beta-binomial distribution: a binomial one whose probability is beta distributed."""

from __future__ import annotations

import math
from typing import Any

from funcgrad.errors import boundary
from funcgrad.numpy.elementwise import where
from funcgrad.scipy import special
from funcgrad.scipy.stats.common import arrays
from funcgrad.trace import ops


@boundary
def logpmf(k: Any, n: Any, a: Any, b: Any, loc: Any = 0) -> Any:
    """The logarithm of the probability of k."""
    k, n, a, b, loc = arrays("betabinom.logpmf", k, n, a, b, loc)
    y = ops.floor(k - loc)
    ways = -ops.log(n + 1) - special.betaln(n - y + 1, y + 1)
    value = ways + special.betaln(y + a, n - y + b) - special.betaln(a, b)
    return where((y >= 0) & (y <= n) & (k - loc == y), value, -math.inf)


def pmf(k: Any, n: Any, a: Any, b: Any, loc: Any = 0) -> Any:
    """The probability of k."""
    return ops.exp(logpmf(k, n, a, b, loc))

"""The geometric distribution: the number of trials up to the first success of probability `p`."""

from __future__ import annotations

import math
from typing import Any

from funcgrad.errors import boundary
from funcgrad.numpy.elementwise import where
from funcgrad.scipy import special
from funcgrad.scipy.stats.common import arrays
from funcgrad.trace import ops


@boundary
def logpmf(k: Any, p: Any, loc: Any = 0) -> Any:
    """The logarithm of the probability of k."""
    k, p, loc = arrays("geom.logpmf", k, p, loc)
    y = k - loc
    value = special.xlog1py(y - 1, -p) + ops.log(p)
    return where(y >= 1, value, -math.inf)


def pmf(k: Any, p: Any, loc: Any = 0) -> Any:
    """The probability of k."""
    return ops.exp(logpmf(k, p, loc))

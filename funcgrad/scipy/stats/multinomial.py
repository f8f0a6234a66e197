"""The multinomial distribution: how often each outcome occurs among `n` trials."""

from __future__ import annotations

import math
from typing import Any

from funcgrad.errors import boundary
from funcgrad.numpy.creation import asarray
from funcgrad.numpy.elementwise import where
from funcgrad.promotion import promote_inexact
from funcgrad.scipy import special
from funcgrad.trace import ops


@boundary
def logpmf(x: Any, n: Any, p: Any) -> Any:
    """The logarithm of the probability of the counts along the last axis of x."""
    x, n, p = (
        asarray(v)
        for v in promote_inexact("scipy.stats.multinomial.logpmf", asarray(x), asarray(n), asarray(p))
    )
    value = ops.lgamma(n + 1) + (special.xlogy(x, p) - ops.lgamma(x + 1)).sum(axis=-1)
    return where(x.sum(axis=-1) == n, value, -math.inf)


def pmf(x: Any, n: Any, p: Any) -> Any:
    """The probability of the counts along the last axis of x."""
    return ops.exp(logpmf(x, n, p))

"""The Cauchy distribution wrapped around the circle from 0 to 2 pi."""

from __future__ import annotations

import math
from typing import Any

from funcgrad.errors import boundary
from funcgrad.numpy.elementwise import where
from funcgrad.scipy.stats.common import arrays
from funcgrad.trace import ops


@boundary
def logpdf(x: Any, c: Any) -> Any:
    """The logarithm of the density."""
    x, c = arrays("wrapcauchy.logpdf", x, c)
    density = (1 - c * c) / (2 * math.pi * (1 + c * c - 2 * c * ops.cos(x)))
    return where((x >= 0) & (x <= 2 * math.pi), ops.log(density), -math.inf)


def pdf(x: Any, c: Any) -> Any:
    """The density."""
    return ops.exp(logpdf(x, c))

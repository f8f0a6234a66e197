"""The von Mises distribution on the circle, of concentration `kappa`."""

from __future__ import annotations

import math
from typing import Any

from funcgrad.errors import boundary
from funcgrad.scipy import special
from funcgrad.scipy.stats.common import arrays
from funcgrad.trace import ops


@boundary
def logpdf(x: Any, kappa: Any) -> Any:
    """The logarithm of the density."""
    x, kappa = arrays("vonmises.logpdf", x, kappa)
    return kappa * (ops.cos(x) - 1) - ops.log(2 * math.pi * special.i0e(kappa))


def pdf(x: Any, kappa: Any) -> Any:
    """The density."""
    return ops.exp(logpdf(x, kappa))

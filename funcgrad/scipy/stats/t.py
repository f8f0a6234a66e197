"""Student's t distribution of `df` degrees of freedom."""

from __future__ import annotations

import math
from typing import Any

from funcgrad.errors import boundary
from funcgrad.scipy.stats.common import operands, standard
from funcgrad.trace import ops


@boundary
def logpdf(x: Any, df: Any, loc: Any = 0.0, scale: Any = 1.0) -> Any:
    """The logarithm of the density."""
    x, df, loc, scale = operands("t.logpdf", x, df, loc, scale)
    half = ops.mul(ops.add(df, 1.0), 0.5)
    body = ops.mul(half, ops.log1p(ops.div(ops.square(standard(x, loc, scale)), df)))
    constant = ops.sub(ops.lgamma(half), ops.lgamma(ops.mul(df, 0.5)))
    norm = ops.add(ops.mul(ops.log(ops.mul(df, math.pi)), 0.5), ops.log(scale))
    return ops.sub(ops.sub(constant, norm), body)


def pdf(x: Any, df: Any, loc: Any = 0.0, scale: Any = 1.0) -> Any:
    """The density."""
    return ops.exp(logpdf(x, df, loc, scale))

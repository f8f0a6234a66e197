"""The beta distribution of shapes `a` and `b`."""

from __future__ import annotations

from typing import Any

from funcgrad.errors import boundary
from funcgrad.scipy import special
from funcgrad.scipy.stats.common import inside, operands, standard
from funcgrad.trace import ops


@boundary
def logpdf(x: Any, a: Any, b: Any, loc: Any = 0.0, scale: Any = 1.0) -> Any:
    """The logarithm of the density."""
    x, a, b, loc, scale = operands("beta.logpdf", x, a, b, loc, scale)
    z = standard(x, loc, scale)
    within = ops.and_(ops.ge(z, 0.0), ops.le(z, 1.0))
    z = ops.select(within, z, 0.5)
    powers = ops.add(special.xlogy(ops.sub(a, 1.0), z), special.xlog1py(ops.sub(b, 1.0), ops.neg(z)))
    return inside(within, ops.sub(powers, ops.add(special.betaln(a, b), ops.log(scale))))


def pdf(x: Any, a: Any, b: Any, loc: Any = 0.0, scale: Any = 1.0) -> Any:
    """The density."""
    return ops.exp(logpdf(x, a, b, loc, scale))

"""The Poisson distribution of mean `mu`."""

from __future__ import annotations

import math
from typing import Any

from funcgrad.errors import boundary
from funcgrad.numpy.elementwise import where
from funcgrad.scipy import special
from funcgrad.scipy.stats.common import arrays, inside, operands
from funcgrad.trace import ops
from funcgrad.trace.core import type_of

_FEW, _TERMS = 50.0, 200


@boundary
def logpmf(k: Any, mu: Any, loc: Any = 0) -> Any:
    """The logarithm of the probability of k."""
    k, mu, loc = operands("poisson.logpmf", k, mu, loc)
    x = ops.sub(k, loc)
    within = ops.and_(ops.ge(x, 0.0), ops.eq(ops.floor(x), x))
    safe = ops.select(within, x, 0.0)
    return inside(within, ops.sub(ops.sub(special.xlogy(safe, mu), mu), ops.lgamma(ops.add(safe, 1.0))))


def pmf(k: Any, mu: Any, loc: Any = 0) -> Any:
    """The probability of k."""
    return ops.exp(logpmf(k, mu, loc))


@boundary
def cdf(k: Any, mu: Any, loc: Any = 0) -> Any:
    """The probability of being below k, or there."""
    k, mu, loc = arrays("poisson.cdf", k, mu, loc)
    y = ops.floor(k - loc)
    return where(y >= 0, special.gammaincc(ops.max_(y, 0.0) + 1, mu), 0.0)


@boundary
def entropy(mu: Any, loc: Any = 0) -> Any:
    """The entropy in nats: from its sum below a mean of 50, from its expansion in 1 / mu above."""
    mu, _ = arrays("poisson.entropy", mu, loc)
    small = mu < _FEW
    mean = ops.broadcast_in_dim(where(small, mu, 1.0), (*type_of(mu).shape, _TERMS), range(type_of(mu).ndim))
    k = ops.iota(type_of(mu).dtype, type_of(mean).shape, type_of(mu).ndim)
    logs = special.xlogy(k, mean) - mean - ops.lgamma(k + 1)
    summed = -(ops.exp(logs) * logs).sum(axis=-1)
    far = where(small, _FEW, mu)
    series = 1 / (12 * far) + 1 / (24 * far**2) + 19 / (360 * far**3)
    expanded = 0.5 * ops.log(2 * math.pi * math.e * far) - series
    return where(mu == 0, 0.0, where(mu > 0, where(small, summed, expanded), math.nan))

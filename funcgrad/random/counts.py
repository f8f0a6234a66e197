"""Random counts by rejection: Poisson, binomial, multinomial.

Tries go on for all elements until every one is accepted; small means go by sums of waiting times, large ones by
transformed rejection: Hoermann, "The transformed rejection method for generating Poisson random variables",
Insurance: Mathematics and Economics 12 (1993), and "The generation of binomial random variates", J. Stat. Comput.
Simul. 46 (1993).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from funcgrad import dtypes
from funcgrad.errors import DTypeError, ShapeError, boundary
from funcgrad.lax.control import while_loop
from funcgrad.numpy.creation import asarray
from funcgrad.numpy.elementwise import where
from funcgrad.numpy.promotion import check_arrays
from funcgrad.random.basic import (
    Shape,
    _broadcast_shape,
    _float_dtype,
    _parameter,
    _split,
    _unit,
    split,
)
from funcgrad.sharding import takes_out_sharding
from funcgrad.trace import ops
from funcgrad.trace.core import type_of

_KNUTH = 10
"""The mean up to which waiting times are summed."""
_SHARED = "fold_in"
"""As whom large means split the key that small ones split too, so that it does not count as used twice: of the
two results, one is taken for each element."""


def _any(x: Any) -> Any:
    return ops.reduce_or(x, range(type_of(x).ndim)) if type_of(x).ndim else x


def _full(shape: tuple[int, ...], value: Any, dtype: np.dtype) -> Any:
    return ops.broadcast_to(dtype.type(value), shape)


def _tries(
    key: Any, shape: tuple[int, ...], dtype: np.dtype, attempt: Callable[[Any, Any], tuple[Any, Any]]
) -> Any:
    """`attempt(u, v)` of uniform numbers gives candidates and whether they are accepted; again until all are."""

    def step(carry: Any) -> Any:
        key, out, accepted = carry
        key, first, second = _split(key, _SHARED, 3)
        u, v = (_unit(k, "counts", shape, dtype) for k in (first, second))
        candidate, accept = attempt(u, v)
        return key, ops.select(accept, candidate, out), ops.or_(accepted, accept)

    start = (asarray(key), _full(shape, -1, dtype), _full(shape, False, dtypes.bool_))
    return while_loop(lambda carry: _any(ops.not_(carry[2])), step, start)[1]


def _poisson_small(key: Any, rate: Any, shape: tuple[int, ...], dtype: np.dtype) -> Any:
    """How many exponential waiting times fit into `rate`."""
    single = dtypes.float32
    limit = ops.convert(ops.neg(rate), single)

    def step(carry: Any) -> Any:
        key, count, total = carry
        key, subkey = _split(key, "poisson")
        count = ops.select(ops.gt(total, limit), ops.add(count, 1), count)
        return key, count, ops.add(total, ops.log(_unit(subkey, "poisson", shape, single)))

    start = (asarray(key), _full(shape, 0, dtype), _full(shape, 0, single))
    found = while_loop(lambda carry: _any(ops.gt(carry[2], limit)), step, start)
    return ops.sub(found[1], 1)


def _poisson_large(key: Any, rate: Any, shape: tuple[int, ...]) -> Any:
    log_rate = ops.log(rate)
    b = 0.931 + 2.53 * ops.sqrt(rate)
    a = -0.059 + 0.02483 * b
    inverse_alpha = 1.1239 + 1.1328 / (b - 3.4)
    quick = 0.9277 - 3.6224 / (b - 2)

    def attempt(u: Any, v: Any) -> tuple[Any, Any]:
        u = u - 0.5
        edge = 0.5 - ops.abs_(u)
        k = ops.floor((2 * a / edge + b) * u + rate + 0.43)
        s = ops.log(v * inverse_alpha / (a / (edge * edge) + b))
        bound = -rate + k * log_rate - ops.lgamma(k + 1)
        outside = (k < 0) | ((edge < 0.013) & (v > edge))
        return k, ((edge >= 0.07) & (v <= quick)) | (~outside & (s <= bound))

    return _tries(key, shape, type_of(rate).dtype, attempt)


def _integer_dtype(dtype: Any, function: str) -> np.dtype:
    wanted = dtypes.default_int() if dtype is None else dtypes.as_dtype(dtype)
    if not dtypes.is_integer(wanted):
        raise DTypeError(f"random.{function} draws integers, not {wanted.name}", hint="leave dtype out")
    return wanted


@takes_out_sharding
def poisson(key: Any, lam: Any, shape: Shape | None = None, dtype: Any = None) -> Any:
    """Poisson numbers of mean `lam`, as integers.

    >>> import funcgrad as fg
    >>> fg.random.poisson(fg.random.key(0), 3.0, (1000,)).mean().round(0)
    Array(3., dtype=float32)
    """
    wanted, sizes = _integer_dtype(dtype, "poisson"), _broadcast_shape(shape, "poisson", lam)
    given = type_of(lam).dtype
    real = given if given == dtypes.float64 else dtypes.float32
    rate = asarray(ops.broadcast_to(_parameter(lam, sizes, real), sizes))
    rate = ops.apply("stop_gradient", rate)
    small = (rate != rate) | (rate < _KNUTH)
    low = _poisson_small(key, ops.select(small, rate, 0.0), sizes, wanted)
    high = ops.convert(_poisson_large(key, ops.select(small, 1e5, rate), sizes), wanted)
    counts = ops.select(small, low, high)
    return ops.select(rate == 0, 0, counts)


def _stirling(k: Any) -> Any:
    """What Stirling's formula of log(k!) leaves out: from a table below 10, then by its series."""
    table = np.array(
        [
            math.lgamma(n + 1) - ((n + 0.5) * math.log(n + 1) - (n + 1) + 0.5 * math.log(2 * math.pi))
            for n in range(10)
        ],
        type_of(k).dtype,
    )
    square = (k + 1) * (k + 1)
    series = (1.0 / 12 - (1.0 / 360 - 1.0 / 1260 / square) / square) / (k + 1)
    index = ops.convert(ops.max_(ops.min_(k, 9.0), 0.0), dtypes.int32)
    return ops.select(k <= 9, asarray(table)[index], series)


def _binomial_small(key: Any, count: Any, p: Any, shape: tuple[int, ...]) -> Any:
    """How many geometric waiting times fit into `count`."""
    dtype = type_of(p).dtype
    log_failure = ops.log1p(-p)

    def step(carry: Any) -> Any:
        key, successes, total = carry
        subkey, key = _split(key, "binomial")
        successes = ops.select(total <= count, successes + 1, successes)
        wait = ops.ceil(ops.log(_unit(subkey, "binomial", shape, dtype)) / log_failure)
        return key, successes, total + wait

    start = (asarray(key), _full(shape, 0, dtype), _full(shape, 0, dtype))
    return while_loop(lambda carry: _any(carry[2] <= count), step, start)[1] - 1


def _binomial_large(key: Any, count: Any, p: Any, shape: tuple[int, ...]) -> Any:
    deviation = ops.sqrt(count * p * (1 - p))
    b = 1.15 + 2.53 * deviation
    a = -0.0873 + 0.0248 * b + 0.01 * p
    c = count * p + 0.5
    quick = 0.92 - 4.2 / b
    odds = p / (1 - p)
    alpha = (2.83 + 5.1 / b) * deviation
    m = ops.floor((count + 1) * p)

    def attempt(u: Any, v: Any) -> tuple[Any, Any]:
        u = u - 0.5
        edge = 0.5 - ops.abs_(u)
        k = ops.floor((2 * a / edge + b) * u + c)
        outside = (k < 0) | (k > count)
        s = ops.log(v * alpha / (a / (edge * edge) + b))
        bound = (
            (m + 0.5) * ops.log((m + 1) / (odds * (count - m + 1)))
            + (count + 1) * ops.log((count - m + 1) / (count - k + 1))
            + (k + 0.5) * ops.log(odds * (count - k + 1) / (k + 1))
            + _stirling(m)
            + _stirling(count - m)
            - _stirling(k)
            - _stirling(count - k)
        )
        return k, ((edge >= 0.07) & (v <= quick)) | (~outside & (s <= bound))

    return _tries(key, shape, type_of(p).dtype, attempt)


@boundary
def binomial(key: Any, n: Any, p: Any, shape: Shape | None = None, dtype: Any = None) -> Any:
    """The number of successes, as floats, among `n` trials of probability `p`; NaN where there is none."""
    wanted, sizes = _float_dtype(dtype, "binomial"), _broadcast_shape(shape, "binomial", n, p)
    real = wanted if wanted == dtypes.float64 else dtypes.float32
    count = asarray(ops.broadcast_to(_parameter(n, sizes, real), sizes))
    given = asarray(ops.broadcast_to(_parameter(p, sizes, real), sizes))
    count, given = ops.apply("stop_gradient", count), ops.apply("stop_gradient", given)
    possible = (count >= 0) & (count < math.inf) & (given >= 0) & (given <= 1)
    count, prob = where(possible, count, 1.0), where(possible, given, 0.5)
    rare = prob < 0.5
    q = ops.select(rare, prob, 1 - prob)
    small = (count * q <= _KNUTH) | (q == 0)
    low = _binomial_small(key, where(small & (q > 0), count, 0.0), where(small & (q > 0), q, 0.01), sizes)
    low = where(q > 0, low, 0.0)
    high = _binomial_large(key, where(small, 1e4, count), where(small, 0.5, q), sizes)
    successes = ops.select(small, low, high)
    successes = ops.select(rare, successes, count - successes)
    return ops.convert(where(possible, successes, math.nan), wanted)


@boundary
def multinomial(
    key: Any, n: Any, p: Any, *, shape: Shape | None = None, dtype: Any = None, unroll: int = 1
) -> Any:
    """How often each outcome occurs among `n` trials, of the probabilities along the last axis of `p`."""
    wanted = _float_dtype(dtype, "multinomial")
    check_arrays("random.multinomial", n, p)
    probabilities = ops.convert(asarray(p), wanted)
    t = type_of(probabilities)
    if not t.ndim:
        raise ShapeError(f"random.multinomial takes probabilities along an axis, got {t}")
    lead = shape if shape is None else shape[:-1] if not isinstance(shape, int) else ()
    sizes = _broadcast_shape(lead, "multinomial", n, probabilities[..., 0])
    left = asarray(ops.broadcast_to(_parameter(n, sizes, wanted), sizes))
    probabilities = ops.broadcast_to(probabilities, (*sizes, t.shape[-1]))
    rest = probabilities.sum(axis=-1)
    keys, counts = split(key, t.shape[-1]), []
    for k in range(t.shape[-1]):
        own = probabilities[..., k]
        share = where(rest > 0, own / where(rest > 0, rest, 1.0), 0.0).clip(0, 1)
        drawn = left if k == t.shape[-1] - 1 else binomial(keys[k], left, share, sizes, wanted)
        counts.append(ops.expand_dims(drawn, (len(sizes),)))
        left, rest = left - drawn, rest - own
    return ops.concatenate(counts, len(sizes))


__all__ = ["binomial", "multinomial", "poisson"]

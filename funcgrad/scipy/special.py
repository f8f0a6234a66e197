"""Special functions under the names of `jax.scipy.special`, written so that their derivatives are stable."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from funcgrad import dtypes
from funcgrad.custom_rules import custom_jvp
from funcgrad.errors import ArgumentError, DTypeError, boundary
from funcgrad.numpy.logsumexp import Axes, finite_max, log_sum_exp, reduced_axes, spread
from funcgrad.numpy.ufuncs import unary
from funcgrad.promotion import broadcast, promote_inexact
from funcgrad.scipy.harmonics import sph_harm_y
from funcgrad.scipy.special_functions import (
    bernoulli,
    bessel_jn,
    betainc,
    boxcox,
    boxcox1p,
    comb,
    dawsn,
    erfcx,
    exp1,
    expi,
    expn,
    fresnel,
    gammainc,
    gammaincc,
    hyp1f1,
    hyp2f1,
    i0,
    i0e,
    i1,
    i1e,
    loggamma,
    owens_t,
    poch,
    sici,
    spence,
    wofz,
    zeta,
)
from funcgrad.trace import ops
from funcgrad.trace.core import type_of

_LOG_SQRT_TWO_PI = 0.5 * math.log(2 * math.pi)

erf = unary("erf", ops.erf, "The error function.", promote_inexact)
erfc = unary("erfc", ops.erfc, "1 - erf(x), accurate for large x.", promote_inexact)
erfinv = unary("erfinv", ops.erf_inv, "The inverse of erf.", promote_inexact)
expit = unary("expit", ops.logistic, "1 / (1 + exp(-x)).", promote_inexact)
gammaln = unary("gammaln", ops.lgamma, "The logarithm of |gamma(x)|.", promote_inexact)
digamma = psi = unary("digamma", ops.digamma, "The derivative of gammaln.", promote_inexact)


def _floats(name: str, *operands: Any) -> list[Any]:
    """The operands in one float dtype and one shape; scalars stay scalars."""
    operands = tuple(broadcast(f"scipy.special.{name}", promote_inexact(f"scipy.special.{name}", *operands)))
    if dtypes.is_complex(type_of(operands[0]).dtype):
        raise DTypeError(f"scipy.special.{name} takes real numbers, got {type_of(operands[0])}")
    return list(operands)


@boundary
def logit(x: Any) -> Any:
    """log(x / (1 - x))."""
    (x,) = promote_inexact("scipy.special.logit", x)
    return _logit(x)


@custom_jvp
def _logit(x: Any) -> Any:
    return ops.log(ops.div(x, ops.sub(1.0, x)))


@_logit.defjvp
def _logit_jvp(primals: Any, tangents: Any) -> tuple[Any, Any]:
    (x,) = primals
    return _logit(x), ops.div(tangents[0], ops.mul(x, ops.sub(1.0, x)))


def log_expit(x: Any) -> Any:
    """log(expit(x)), without underflow."""
    (x,) = _floats("log_expit", x)
    # Chosen once: derivatives of max and abs would leave a kink at 0.
    below = ops.lt(x, 0.0)
    tail = ops.log1p(ops.exp(ops.select(below, x, ops.neg(x))))
    return ops.sub(ops.select(below, x, 0.0), tail)


def _x_log(
    name: str, log: Callable[[Any], Any], inner: Callable[[Any], Any], doc: str
) -> Callable[[Any, Any], Any]:
    """x * log(y) that is 0 where x is; `inner(y)` is the reciprocal of the derivative of `log`."""

    @custom_jvp
    def safe(x: Any, y: Any) -> Any:
        zero = ops.and_(ops.eq(x, 0.0), ops.eq(y, y))  # a NaN stays one
        return ops.select(zero, 0.0, ops.mul(x, log(ops.select(zero, 1.0, y))))

    @safe.defjvp
    def safe_jvp(primals: Any, tangents: Any) -> tuple[Any, Any]:
        (x, y), (dx, dy) = primals, tangents
        return safe(x, y), ops.add(ops.mul(dx, log(y)), ops.mul(dy, ops.div(x, inner(y))))

    @boundary
    def function(x: Any, y: Any) -> Any:
        x, y = _floats(name, x, y)
        shape = type_of(x).shape or type_of(y).shape
        return safe(ops.broadcast_to(x, shape), ops.broadcast_to(y, shape))

    function.__name__ = function.__qualname__ = name
    function.__doc__ = doc
    return function


xlogy = _x_log("xlogy", ops.log, lambda y: y, "x * log(y); 0 where x is 0 and y is no NaN.")
xlog1py = _x_log(
    "xlog1py", ops.log1p, lambda y: ops.add(y, 1.0), "x * log(1 + y); 0 where x is 0 and y is no NaN."
)


@boundary
def entr(x: Any) -> Any:
    """-x * log(x); 0 at 0, minus infinity below."""
    (x,) = _floats("entr", x)
    return ops.select(ops.lt(x, 0.0), -math.inf, ops.neg(_times_own_log(x)))


@custom_jvp
def _times_own_log(x: Any) -> Any:
    return xlogy(x, x)


@_times_own_log.defjvp
def _times_own_log_jvp(primals: Any, tangents: Any) -> tuple[Any, Any]:
    (x,), (t,) = primals, tangents
    return _times_own_log(x), ops.mul(t, ops.add(ops.log(x), 1.0))


def _shaped(value: Any, like: Any) -> Any:
    """A number or array in the dtype and shape of `like`."""
    t = type_of(like)
    return ops.broadcast_to(ops.convert(value, t.dtype, t.weak), t.shape)


@boundary
def kl_div(p: Any, q: Any) -> Any:
    """p * log(p / q) - p + q; 0 at p = 0 gives q."""
    p, q = _floats("kl_div", p, q)
    return ops.add(ops.sub(_relative(p, q), p), q)


@boundary
def rel_entr(p: Any, q: Any) -> Any:
    """p * log(p / q), and 0 where p is 0."""
    return _relative(*_floats("rel_entr", p, q))


def _relative(p: Any, q: Any) -> Any:
    both = ops.and_(ops.gt(p, 0.0), ops.gt(q, 0.0))
    safe_p, safe_q = ops.select(both, p, 1.0), ops.select(both, q, 1.0)
    edge = ops.select(ops.and_(ops.eq(p, 0.0), ops.ge(q, 0.0)), 0.0, math.inf)
    value = ops.mul(safe_p, ops.log(ops.div(safe_p, safe_q)))
    return ops.select(both, value, _shaped(edge, value))


# ------------------------------------------------------------------------------------- the gamma family


@boundary
def gamma(x: Any) -> Any:
    """The gamma function."""
    (x,) = _floats("gamma", x)
    return ops.mul(_gamma_sign(x), ops.exp(ops.lgamma(x)))


@boundary
def gammasgn(x: Any) -> Any:
    """The sign of the gamma function; NaN of NaN and at the poles below 0, and that of x at 0."""
    return _gamma_sign(*_floats("gammasgn", x))


def _gamma_sign(x: Any) -> Any:
    below = ops.floor(x)
    even = ops.eq(ops.rem(below, 2.0), 0.0)
    below_zero = ops.lt(ops.div(1.0, x), 0.0)  # -0.0 too
    sign = ops.select(ops.or_(ops.not_(below_zero), ops.and_(even, ops.ne(x, 0.0))), 1.0, -1.0)
    pole = ops.or_(ops.and_(ops.lt(x, 0.0), ops.eq(below, x)), ops.ne(x, x))
    return _shaped(ops.select(pole, math.nan, sign), x)


@boundary
def betaln(a: Any, b: Any) -> Any:
    """The logarithm of the beta function's absolute value, exact to rounding for large a and b too.

    There lgamma(b) and lgamma(a + b) nearly cancel; Stirling's series for both leaves only what does not.

    >>> round(float(betaln(1.0, 1e20)) / math.log(1e20), 6)
    -1.0
    """
    a, b = _floats("betaln", a, b)
    a, b = (ops.broadcast_to(x, type_of(a).shape or type_of(b).shape) for x in (a, b))
    swap = ops.lt(b, a)
    small, large = ops.select(swap, b, a), ops.select(swap, a, b)
    wide = ops.and_(ops.ge(ops.min_(large, ops.add(a, b)), _STIRLING), ops.is_finite(large))
    both = ops.and_(wide, ops.ge(small, _STIRLING))
    # where one formula is not used, its operands are harmless, so that derivatives are
    plain = [ops.select(wide, 1.0, x) for x in (a, b)]
    out = ops.sub(ops.add(*map(ops.lgamma, plain)), ops.lgamma(ops.add(*plain)))
    x, y = ops.select(wide, small, 1.0), ops.select(wide, large, 2.0 * _STIRLING)
    total = ops.add(x, y)
    rest = ops.sub(_beyond_stirling(y), _beyond_stirling(total))
    rest = ops.sub(rest, ops.mul(ops.sub(y, 0.5), ops.log1p(ops.div(x, y))))
    one = ops.add(ops.lgamma(ops.select(both, 1.0, x)), ops.mul(x, ops.sub(1.0, ops.log(total))))
    x = ops.select(both, x, 2.0 * _STIRLING)
    ratio = ops.mul(ops.sub(x, 0.5), ops.log(ops.div(x, total)))
    two = ops.sub(
        ops.add(ops.add(_beyond_stirling(x), _LOG_SQRT_TWO_PI), ratio), ops.mul(ops.log(total), 0.5)
    )
    return ops.select(wide, ops.add(rest, ops.select(both, two, one)), out)


_STIRLING = 10.0
"""From here on Stirling's series gives all digits of float64."""


def _beyond_stirling(x: Any) -> Any:
    """lgamma(x) - ((x - 1/2) log(x) - x + log(2 pi) / 2), of x from _STIRLING on."""
    inverse = ops.div(1.0, x)
    square, series = ops.square(inverse), 0.0
    for term in (-691 / 360360, 1 / 1188, -1 / 1680, 1 / 1260, -1 / 360, 1 / 12):
        series = ops.add(ops.mul(square, series), term)
    return ops.mul(inverse, series)


def beta(a: Any, b: Any) -> Any:
    """The beta function, gamma(a) gamma(b) / gamma(a + b)."""
    a, b = _floats("beta", a, b)
    sign = ops.mul(ops.mul(gammasgn(a), gammasgn(b)), gammasgn(ops.add(a, b)))
    return ops.mul(sign, ops.exp(betaln(a, b)))


@boundary
def factorial(n: Any, exact: bool = False) -> Any:
    """gamma(n + 1); 0 of negative numbers."""
    if exact:
        raise ArgumentError("factorial is computed in floats", hint="use math.factorial for exact integers")
    (n,) = _floats("factorial", n)
    return ops.select(
        ops.lt(n, 0.0), 0.0, ops.exp(ops.lgamma(ops.add(ops.select(ops.lt(n, 0.0), 0.0, n), 1.0)))
    )


@boundary
def multigammaln(a: Any, d: int) -> Any:
    """The logarithm of the multivariate gamma function of order `d`."""
    (a,) = _floats("multigammaln", a)
    total = ops.lgamma(a)
    for i in range(1, d):
        total = ops.add(total, ops.lgamma(ops.sub(a, i / 2)))
    return ops.add(total, 0.25 * d * (d - 1) * math.log(math.pi))


@boundary
def polygamma(n: int, x: Any) -> Any:
    """The n-th derivative of digamma."""
    n, x = _floats("polygamma", n, x)
    shape = type_of(x).shape or type_of(n).shape
    return ops.apply("polygamma", ops.broadcast_to(n, shape), ops.broadcast_to(x, shape))


# ------------------------------------------------------------------------------ the normal distribution


@boundary
def ndtr(x: Any) -> Any:
    """The probability that a standard normal number is below x."""
    (x,) = _floats("ndtr", x)
    scaled = ops.mul(x, math.sqrt(0.5))
    middle = ops.add(ops.mul(ops.erf(scaled), 0.5), 0.5)
    tail = ops.mul(ops.erfc(ops.abs_(scaled)), 0.5)
    outer = ops.select(ops.gt(scaled, 0.0), ops.sub(1.0, tail), tail)
    return ops.select(ops.lt(ops.abs_(scaled), math.sqrt(0.5)), middle, outer)


@boundary
def ndtri(p: Any) -> Any:
    """The number below which a standard normal number is with probability p."""
    (p,) = _floats("ndtri", p)
    return ops.mul(ops.erf_inv(ops.sub(ops.mul(p, 2.0), 1.0)), math.sqrt(2.0))


_LOWER_TAIL = {dtypes.float64: -20.0}
_UPPER_TAIL = {dtypes.float64: 8.0}
_TERMS = 3


@boundary
def log_ndtr(x: Any, series_order: int = _TERMS) -> Any:
    """log(ndtr(x)), by an asymptotic series of `series_order` terms far below 0."""
    (x,) = _floats("log_ndtr", x)
    return _log_ndtr(int(series_order))(x)


def _log_ndtr(terms: int) -> Callable[[Any], Any]:
    @custom_jvp
    def function(x: Any) -> Any:
        dtype = type_of(x).dtype
        low, high = _LOWER_TAIL.get(dtype, -10.0), _UPPER_TAIL.get(dtype, 5.0)
        upper = ops.neg(ndtr(ops.neg(x)))
        middle = ops.log(ndtr(ops.max_(x, low)))
        far = ops.min_(x, low)
        square = ops.square(far)
        factor = 1.0
        total: Any = ops.full_like(far, 1.0)
        for k in range(1, terms + 1):
            factor *= -(2 * k - 1)
            total = ops.add(total, ops.mul(ops.integer_pow(square, -k), factor))
        tail = ops.sub(ops.mul(square, -0.5), ops.add(ops.log(ops.neg(far)), _LOG_SQRT_TWO_PI))
        lower = ops.add(tail, ops.log(total))
        return ops.select(ops.gt(x, high), upper, ops.select(ops.gt(x, low), middle, lower))

    @function.defjvp
    def jvp(primals: Any, tangents: Any) -> tuple[Any, Any]:
        (x,), (t,) = primals, tangents
        out = function(x)
        density = ops.sub(ops.mul(ops.square(x), -0.5), _LOG_SQRT_TWO_PI)
        return out, ops.mul(t, ops.exp(ops.sub(density, out)))

    return function


# ----------------------------------------------------------------------------------------- sums and others


@boundary
def logsumexp(
    a: Any,
    axis: Axes = None,
    b: Any = None,
    keepdims: bool = False,
    return_sign: bool = False,
    where: Any = None,
) -> Any:
    """log(sum(b * exp(a))) over `axis`, without overflow; with the sign of the sum where `return_sign`."""
    return log_sum_exp("scipy.special.logsumexp", a, axis, b, keepdims, return_sign, where)


def _soft(name: str, x: Any, axis: Axes) -> tuple[Any, tuple[int, ...]]:
    (x,) = promote_inexact(f"scipy.special.{name}", x)
    shape = type_of(x).shape
    axes = reduced_axes(axis, len(shape), f"scipy.special.{name}")
    return ops.sub(x, spread(finite_max(x, axes), shape, axes)), axes


@boundary
def softmax(x: Any, axis: Axes = None) -> Any:
    """exp(x) / sum(exp(x)) over `axis` (all axes by default)."""
    shifted, axes = _soft("softmax", x, axis)
    terms = ops.exp(shifted)
    return ops.div(terms, spread(ops.reduce_sum(terms, axes), type_of(terms).shape, axes))


@boundary
def log_softmax(x: Any, axis: Axes = None) -> Any:
    """log(softmax(x))."""
    shifted, axes = _soft("log_softmax", x, axis)
    total = ops.log(ops.reduce_sum(ops.exp(shifted), axes))
    return ops.sub(shifted, spread(total, type_of(shifted).shape, axes))


__all__ = [
    "bernoulli",
    "bessel_jn",
    "beta",
    "betainc",
    "betaln",
    "boxcox",
    "boxcox1p",
    "comb",
    "dawsn",
    "digamma",
    "entr",
    "erf",
    "erfc",
    "erfcx",
    "erfinv",
    "exp1",
    "expi",
    "expit",
    "expn",
    "factorial",
    "fresnel",
    "gamma",
    "gammainc",
    "gammaincc",
    "gammaln",
    "gammasgn",
    "hyp1f1",
    "hyp2f1",
    "i0",
    "i0e",
    "i1",
    "i1e",
    "kl_div",
    "log_expit",
    "log_ndtr",
    "log_softmax",
    "loggamma",
    "logit",
    "logsumexp",
    "multigammaln",
    "ndtr",
    "ndtri",
    "owens_t",
    "poch",
    "polygamma",
    "psi",
    "rel_entr",
    "sici",
    "softmax",
    "spence",
    "sph_harm_y",
    "wofz",
    "xlog1py",
    "xlogy",
    "zeta",
]

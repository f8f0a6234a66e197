"""Special functions over primitives of their own: incomplete gamma and beta, zeta, Bessel functions, exponential
and other integrals, hypergeometric functions, and what is made of gamma functions. `funcgrad.scipy.special` shows
them."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import numpy as np

from funcgrad import dtypes
from funcgrad.array import Array
from funcgrad.errors import ArgumentError, DTypeError, boundary
from funcgrad.numpy.creation import asarray
from funcgrad.promotion import broadcast, in_order, promote_inexact
from funcgrad.trace import ops
from funcgrad.trace.core import type_of


def _floats(name: str, *operands: Any) -> list[Any]:
    """The operands in one float dtype and one shape; scalars stay scalars."""
    name = f"scipy.special.{name}"
    values = broadcast(name, promote_inexact(name, *operands))
    if dtypes.is_complex(type_of(values[0]).dtype):
        raise DTypeError(f"{name} takes real numbers, got {type_of(values[0])}")
    return values


def _function(name: str, primitive: str, names: str, doc: str) -> Callable[..., Any]:
    """The function `name` of real numbers with these names over a primitive."""
    in_this_order = names.split()

    @boundary
    def function(*given: Any, **named: Any) -> Any:
        operands = in_order(f"scipy.special.{name}", in_this_order, given, named)
        return ops.apply(primitive, *_floats(name, *operands))

    function.__name__ = function.__qualname__ = name
    function.__doc__ = doc
    return function


gammainc = _function(
    "gammainc", "igamma", "a x", "gammainc(a, x): the regularised lower incomplete gamma function."
)
gammaincc = _function(
    "gammaincc", "igammac", "a x", "gammaincc(a, x): the regularised upper incomplete gamma function."
)
betainc = _function(
    "betainc", "betainc", "a b x", "betainc(a, b, x): the regularised incomplete beta function."
)
zeta = _function("zeta", "zeta", "x q", "zeta(x, q): Hurwitz's zeta function, the sum of 1 / (n + q)**x.")
i0e = _function("i0e", "bessel_i0e", "x", "i0e(x): exp(-|x|) * i0(x).")
i1e = _function("i1e", "bessel_i1e", "x", "i1e(x): exp(-|x|) * i1(x).")
expi = _function("expi", "expi", "x", "expi(x): the exponential integral Ei.")
exp1 = _function("exp1", "exp1", "x", "exp1(x): the exponential integral E1.")
expn = _function("expn", "expn", "n x", "expn(n, x): the generalised exponential integral of whole order n.")
dawsn = _function("dawsn", "dawsn", "x", "dawsn(x): Dawson's integral.")
_real_erfcx = _function("erfcx", "erfcx", "x", "")
spence = _function(
    "spence", "spence", "x", "spence(x): the dilogarithm, the integral of log(t) / (1 - t) from 1."
)
owens_t = _function("owens_t", "owens_t", "h a", "owens_t(h, a): Owen's T function.")
hyp1f1 = _function("hyp1f1", "hyp1f1", "a b x", "hyp1f1(a, b, x): the confluent hypergeometric function.")
hyp2f1 = _function("hyp2f1", "hyp2f1", "a b c x", "hyp2f1(a, b, c, x): Gauss's hypergeometric function.")


def i0(x: Any) -> Any:
    """The modified Bessel function of the first kind, of order 0."""
    (x,) = _floats("i0", x)
    return ops.mul(ops.exp(ops.abs_(x)), i0e(x))


def i1(x: Any) -> Any:
    """The modified Bessel function of the first kind, of order 1."""
    (x,) = _floats("i1", x)
    return ops.mul(ops.exp(ops.abs_(x)), i1e(x))


@boundary
def bessel_jn(z: Any, *, v: int, n_iter: int = 50) -> Any:
    """The Bessel functions of the first kind of orders 0 to `v`, along a new first axis."""
    (z,) = _floats("bessel_jn", asarray(z))
    orders = range(operator.index(v) + 1)
    values = [ops.apply("bessel_jv", ops.full_like(z, n), z) for n in orders]
    return ops.concatenate([ops.expand_dims(value, (0,)) for value in values], 0)


@boundary
def wofz(z: Any) -> Any:
    """Faddeeva's function exp(-z**2) * erfc(-iz) of complex numbers."""
    (z,) = promote_inexact("scipy.special.wofz", z)
    return ops.apply("wofz", ops.convert(z, dtypes.complex_of(type_of(z).dtype)))


@boundary
def erfcx(x: Any) -> Any:
    """exp(x**2) * erfc(x), of complex numbers too."""
    (z,) = promote_inexact("scipy.special.erfcx", x)
    if dtypes.is_complex(type_of(z).dtype):
        return wofz(ops.mul(z, type_of(z).dtype.type(1j)))
    return _real_erfcx(z)


@boundary
def fresnel(x: Any) -> tuple[Any, Any]:
    """Fresnel's sine and cosine integrals."""
    (x,) = _floats("fresnel", x)
    return ops.apply("fresnel_sine", x), ops.apply("fresnel_cosine", x)


@boundary
def sici(x: Any) -> tuple[Any, Any]:
    """The sine and the cosine integral."""
    (x,) = _floats("sici", x)
    return ops.apply("sine_integral", x), ops.apply("cosine_integral", x)


@boundary
def loggamma(x: Any) -> Any:
    """The principal branch of the logarithm of gamma, of real numbers: NaN below 0."""
    (x,) = _floats("loggamma", x)
    return ops.select(ops.lt(x, 0), ops.full_like(x, np.nan), ops.lgamma(x))


def _gamma(x: Any) -> Any:
    """The gamma function, with its sign."""
    below = ops.floor(x)
    odd = ops.ne(ops.rem(below, 2.0), 0.0)
    negative = ops.and_(ops.lt(x, 0.0), odd)
    value = ops.exp(ops.lgamma(x))
    return ops.select(negative, ops.neg(value), value)


@boundary
def poch(z: Any, m: Any) -> Any:
    """Pochhammer's symbol gamma(z + m) / gamma(z)."""
    z, m = _floats("poch", z, m)
    value = ops.div(_gamma(ops.add(z, m)), _gamma(z))
    # at a pole gamma(z) / gamma(z) is NaN; elsewhere the quotient is 1 by itself, and has derivatives
    one = ops.and_(ops.eq(ops.add(m, ops.mul(z, 0)), 0.0), ops.ne(value, value))
    return ops.select(one, ops.full_like(value, 1), value)


@boundary
def comb(N: Any, k: Any, exact: bool = False, repetition: bool = False) -> Any:
    """The number of ways to choose k of N, with `repetition` any number of times each, as a float."""
    if exact:
        raise ArgumentError("comb is computed in floats", hint="use math.comb for exact integers")
    n, k = _floats("comb", N, k)
    n = ops.add(n, ops.mul(k, 0))
    k = ops.add(k, ops.mul(n, 0))
    if repetition:
        possible = ops.or_(ops.gt(n, 0.0), ops.and_(ops.eq(n, 0.0), ops.eq(k, 0.0)))
        possible = ops.and_(possible, ops.ge(k, 0.0))
        n = ops.sub(ops.add(ops.select(ops.eq(n, 0.0), 1.0, n), k), 1.0)
    else:
        possible = ops.and_(ops.and_(ops.ge(k, 0.0), ops.ge(n, 0.0)), ops.le(k, n))
    n, k = ops.select(possible, n, 1.0), ops.select(possible, k, 0.0)
    logs = [ops.lgamma(ops.add(x, 1.0)) for x in (n, k, ops.sub(n, k))]
    value = ops.exp(ops.sub(logs[0], ops.add(logs[1], logs[2])))
    whole = ops.and_(ops.eq(ops.floor(n), n), ops.eq(ops.floor(k), k))
    exact_below = 1 / float(dtypes.finfo(type_of(value).dtype).eps) / 64
    value = ops.select(ops.and_(whole, ops.lt(value, exact_below)), _rounded(value), value)
    return ops.select(possible, value, 0.0)


def _rounded(x: Any) -> Any:
    """The nearest whole number, with the derivative of x."""
    return ops.add(x, ops.apply("stop_gradient", ops.sub(ops.round_(x, 1), x)))


@boundary
def bernoulli(n: int) -> Any:
    """The Bernoulli numbers 0 to n, the first of them -1/2: float[n + 1]."""
    from scipy import special

    n = operator.index(n)
    if n < 0:
        raise ArgumentError(f"bernoulli of {n}", hint="n is 0 or more")
    return Array(np.asarray(special.bernoulli(n))[: n + 1].astype(dtypes.default_float()))


@boundary
def boxcox(x: Any, lmbda: Any) -> Any:
    """(x**lmbda - 1) / lmbda, and log(x) where lmbda is 0."""
    x, lmbda = _floats("boxcox", x, lmbda)
    return _power_of_log(ops.log(x), lmbda)


@boundary
def boxcox1p(x: Any, lmbda: Any) -> Any:
    """((1 + x)**lmbda - 1) / lmbda, and log(1 + x) where lmbda is 0."""
    x, lmbda = _floats("boxcox1p", x, lmbda)
    return _power_of_log(ops.log1p(x), lmbda)


def _power_of_log(log: Any, lmbda: Any) -> Any:
    flat = ops.lt(ops.abs_(lmbda), 1e-19)
    safe = ops.select(flat, ops.full_like(lmbda, 1), lmbda)
    curved = ops.div(ops.expm1(ops.mul(safe, log)), safe)
    shape = type_of(curved).shape
    flat, log = ops.broadcast_to(flat, shape), ops.broadcast_to(log, shape)
    return ops.select(flat, log, curved)

"""Parts of numbers and integers: modf, ldexp, gcd, lcm, fabs, isreal, iscomplex."""

from __future__ import annotations

import math
from typing import Any

from funcgrad import dtypes
from funcgrad.errors import DTypeError, boundary
from funcgrad.numpy.elementwise import imag
from funcgrad.numpy.promotion import broadcast, broadcast_shapes, cast, promote, promote_inexact
from funcgrad.trace import ops
from funcgrad.trace.core import type_of


def _floats(name: str, x: Any) -> Any:
    (x,) = promote_inexact(name, x)
    if dtypes.is_complex(type_of(x).dtype):
        raise DTypeError(f"{name} is not defined for complex numbers: {type_of(x)}")
    return x


@boundary
def fabs(x: Any, /) -> Any:
    """The absolute value, as a float."""
    return ops.abs_(_floats("fabs", x))


@boundary
def modf(x: Any, /) -> tuple[Any, Any]:
    """The fractional and the whole part of x, both with the sign of x."""
    x = _floats("modf", x)
    zero = type_of(x).dtype.type(0)
    whole = ops.select(ops.lt(x, zero), ops.ceil(x), ops.floor(x))
    infinite = ops.eq(ops.abs_(x), math.inf)
    return ops.select(infinite, zero, ops.sub(x, ops.select(infinite, zero, whole))), whole


@boundary
def ldexp(x1: Any, x2: Any, /) -> Any:
    """x1 * 2**x2, of integers x2."""
    x = _floats("ldexp", x1)
    (exponent,) = promote("ldexp", x2)
    if dtypes.is_inexact(type_of(exponent).dtype):
        raise DTypeError(f"the exponent of ldexp is an integer, got {type_of(exponent)}")
    scale = ops.exp2(cast(exponent, type_of(x).dtype))
    return ops.mul(*broadcast("ldexp", [x, scale]))


@boundary
def isreal(x: Any) -> Any:
    """Whether the imaginary part of x is 0."""
    return ops.eq(imag(x), 0)


@boundary
def iscomplex(x: Any) -> Any:
    """Whether the imaginary part of x is not 0."""
    return ops.ne(imag(x), 0)


def _integers(name: str, x1: Any, x2: Any) -> tuple[Any, Any]:
    x, y = promote(name, x1, x2)
    if not dtypes.is_integer(type_of(x).dtype):
        raise DTypeError(f"{name} takes integers, got {type_of(x1)} and {type_of(x2)}")
    shape = broadcast_shapes(type_of(x).shape, type_of(y).shape)
    return ops.abs_(ops.broadcast_to(x, shape)), ops.abs_(ops.broadcast_to(y, shape))


def _divisor(x: Any, y: Any) -> Any:
    """Euclid's algorithm, with as many steps as numbers of this size can take (Lame, 1844)."""
    one = type_of(x).dtype.type(1)
    for _ in range(math.ceil(8 * type_of(x).dtype.itemsize * 1.45)):
        done = ops.eq(y, 0)
        rest = ops.rem(x, ops.select(done, one, y))
        x, y = ops.select(done, x, y), ops.select(done, y, rest)
    return x


@boundary
def gcd(x1: Any, x2: Any, /) -> Any:
    """The greatest common divisor of integers."""
    return _divisor(*_integers("gcd", x1, x2))


@boundary
def lcm(x1: Any, x2: Any, /) -> Any:
    """The least common multiple of integers."""
    x, y = _integers("lcm", x1, x2)
    divisor = _divisor(x, y)
    safe = ops.select(ops.eq(divisor, 0), type_of(x).dtype.type(1), divisor)
    return ops.mul(ops.div(x, safe), y)

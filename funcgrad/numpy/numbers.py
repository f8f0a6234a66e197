"""Parts of numbers and integers: modf, frexp, ldexp, spacing, gcd, lcm, fabs, isreal, iscomplex."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from funcgrad import dtypes
from funcgrad.errors import DTypeError, boundary
from funcgrad.numpy.elementwise import floor_divide, imag
from funcgrad.promotion import broadcast, broadcast_shapes, cast, promote, promote_inexact
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
    x, exponent = broadcast("ldexp", [x, exponent])
    # in three factors, each of which the dtype holds wherever it holds the product
    third = floor_divide(exponent, 3)
    for part in (third, third, ops.sub(exponent, ops.mul(third, 2))):
        x = ops.mul(x, ops.exp2(cast(part, type_of(x).dtype)))
    return x


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


@boundary
def frexp(x: Any, /) -> tuple[Any, Any]:
    """The mantissa, 0.5 or more and below 1, and the int32 exponent of floats: x = mantissa * 2**exponent."""
    (x,) = promote_inexact("frexp", x)
    dtype = type_of(x).dtype
    if dtypes.is_complex(dtype):
        raise DTypeError(f"frexp takes real numbers, got {type_of(x)}")
    limits = dtypes.finfo(dtype)
    word = np.dtype(f"i{dtype.itemsize}")
    plain = ops.and_(ops.is_finite(x), ops.ne(x, 0))
    tiny = ops.lt(ops.abs_(x), dtype.type(limits.tiny))
    lift = limits.nmant + 1
    normal = ops.select(tiny, ops.mul(x, dtype.type(2.0**lift)), x)
    bits = ops.apply("bitcast_convert_type", normal, new_dtype=word)
    mask = word.type((1 << (8 * dtype.itemsize - 1 - limits.nmant)) - 1)
    field = ops.and_(ops.shift_right_logical(bits, word.type(limits.nmant)), mask)
    bias = 1 - limits.minexp
    exponent = ops.sub(ops.convert(field, dtypes.int32), np.int32(bias - 1))
    exponent = ops.select(tiny, ops.sub(exponent, np.int32(lift)), exponent)
    half = np.array(0.5, dtype).view(word)[()]
    kept = ops.and_(bits, word.type(~(int(mask) << limits.nmant)))
    mantissa = ops.apply("bitcast_convert_type", ops.or_(kept, half), new_dtype=dtype)
    # bits have no derivative: the mantissa is x times a constant, given in two factors, since one may overflow
    half_way = ops.shift_right_arithmetic(exponent, np.int32(1))
    moved = ops.sub(x, ops.apply("stop_gradient", x))
    for part in (half_way, ops.sub(exponent, half_way)):
        moved = ops.mul(moved, ops.exp2(ops.convert(ops.neg(part), dtype)))
    mantissa = ops.add(mantissa, moved)
    return ops.select(plain, mantissa, x), ops.select(plain, exponent, np.int32(0))


@boundary
def spacing(x: Any, /) -> Any:
    """The distance from x to the next number away from 0, with the sign of x."""
    (x,) = promote_inexact("spacing", x)
    t = type_of(x)
    away = ops.select(ops.lt(x, 0), ops.full_like(x, -np.inf), ops.full_like(x, np.inf))
    step = ops.sub(ops.nextafter(x, away), x)
    return ops.select(ops.is_finite(x), step, ops.full(t.shape, np.nan, t.dtype))

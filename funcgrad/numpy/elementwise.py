"""The rest of NumPy's elementwise functions, composed of the basic ones: division, powers, special values, logic,
choice, comparison of whole arrays."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from funcgrad import dtypes
from funcgrad.array import Array
from funcgrad.errors import ArgumentError, boundary
from funcgrad.numpy.creation import asarray
from funcgrad.numpy.searching import nonzero
from funcgrad.numpy.ufuncs import binary, equal, maximum, minimum, unary
from funcgrad.promotion import broadcast, check_arrays, promote, promote_inexact
from funcgrad.trace import ops
from funcgrad.trace.core import as_array, type_of


def _hypotenuse(x: Any, y: Any) -> Any:
    """The sides are divided by the longer one, whose square may overflow or vanish. It counts as a constant: the
    result does not depend on it, and derivatives of max and abs would leave a kink where there is none."""
    long = ops.apply("stop_gradient", ops.max_(ops.abs_(x), ops.abs_(y)))
    usual = ops.and_(ops.gt(long, 0.0), ops.lt(long, math.inf))
    unit = ops.select(usual, long, 1.0)
    squares = ops.add(ops.square(ops.div(x, unit)), ops.square(ops.div(y, unit)))
    nothing = ops.eq(long, 0.0)
    return ops.select(nothing, 0.0, ops.mul(unit, ops.sqrt(ops.select(nothing, 1.0, squares))))


hypot = binary(
    "hypot",
    _hypotenuse,
    None,
    "The length of the hypotenuse: sqrt(x1**2 + x2**2).",
    promote_inexact,
)


def _whole(operation: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda x: operation(x) if dtypes.is_inexact(type_of(x).dtype) else x


def _towards_zero(x: Any) -> Any:
    return ops.select(ops.lt(x, 0), ops.ceil(x), ops.floor(x))


floor = unary("floor", _whole(ops.floor), "The largest whole number not above x.")
ceil = unary("ceil", _whole(ops.ceil), "The smallest whole number not below x.")
trunc = fix = unary("trunc", _whole(_towards_zero), "x without its fraction.")


def _rint(x: Any) -> Any:
    if not dtypes.is_complex(type_of(x).dtype):
        return ops.round_(x, 1)
    return ops.complex_(ops.round_(ops.real(x), 1), ops.round_(ops.imag(x), 1))


rint = unary("rint", _rint, "The nearest whole number; ties go to the even one.", promote_inexact)
degrees = rad2deg = unary(
    "degrees", lambda x: ops.mul(x, 180 / math.pi), "Radians in degrees.", promote_inexact
)
radians = deg2rad = unary(
    "radians", lambda x: ops.mul(x, math.pi / 180), "Degrees in radians.", promote_inexact
)
reciprocal = unary("reciprocal", lambda x: ops.div(1, x), "1 / x.", promote_inexact)
positive = unary("positive", as_array, "x itself.")


# Division and remainders with the sign of the divisor, as in Python.
def _floor_divide(x: Any, y: Any) -> Any:
    dtype = type_of(x).dtype
    if dtypes.is_inexact(dtype):
        # from the remainder, which is exact: x / y may round up to the next integer, and 1.0 // 0.1 is 9
        rest = ops.rem(x, y)
        whole = ops.round_(ops.div(ops.sub(x, rest), y), 1)
        whole = ops.select(_wrong_sign(rest, y), ops.sub(whole, 1), whole)
        quotient = ops.div(x, y)
        whole = ops.select(ops.eq(whole, 0), ops.mul(quotient, 0), whole)  # a zero of the quotient's sign
        usual = ops.and_(ops.and_(ops.is_finite(x), ops.is_finite(y)), ops.ne(y, 0))
        return ops.select(usual, whole, ops.floor(quotient))
    quotient = ops.div(x, y)
    if not dtypes.is_signed(dtype):
        return quotient
    apart = ops.and_(ops.ne(ops.sign(x), ops.sign(y)), ops.ne(ops.rem(x, y), 0))
    return ops.select(apart, ops.sub(quotient, 1), quotient)


def _wrong_sign(rest: Any, y: Any) -> Any:
    return ops.and_(ops.ne(rest, 0), ops.ne(ops.lt(rest, 0), ops.lt(y, 0)))


def _remainder(x: Any, y: Any) -> Any:
    rest = ops.rem(x, y)
    rest = ops.select(_wrong_sign(rest, y), ops.add(rest, y), rest)
    if not dtypes.is_float(type_of(x).dtype):
        return rest
    # a zero has y's sign: -(0 - r) and r + 0 change nothing else, and have the derivative of r
    return ops.select(ops.lt(y, 0), ops.neg(ops.sub(0, rest)), ops.add(rest, 0))


floor_divide = binary("floor_divide", _floor_divide, None, "x1 / x2 rounded down.")
remainder = mod = binary(
    "remainder", _remainder, None, "What is left of x1 / x2 rounded down; it has x2's sign."
)
fmod = binary("fmod", ops.rem, None, "What is left of x1 / x2 rounded towards zero; it has x1's sign.")


@boundary
def divmod(x1: Any, x2: Any, /) -> tuple[Any, Any]:
    """`floor_divide` and `remainder`.

    Raises:
        DTypeError: what is no array or number.

    >>> import funcgrad.numpy as jnp
    >>> [x.tolist() for x in jnp.divmod(jnp.array([7, -7]), 3)]
    [[2, -3], [1, 2]]
    """
    return floor_divide(x1, x2), remainder(x1, x2)


# Powers and logarithms.
@boundary
def power(x1: Any, x2: Any, /) -> Any:
    """x1 to the power x2; by multiplications where x2 is a Python integer."""
    types = check_arrays("power", x1, x2)
    if isinstance(x2, int) and not isinstance(x2, bool):
        (x,) = promote("power", x1)
        if dtypes.is_bool(types[0].dtype):
            x = ops.convert(x, dtypes.default_int())
        if x2 < 0 and not dtypes.is_inexact(types[0].dtype):
            raise ArgumentError(
                f"an integer ({types[0]}) to the negative power {x2} is no integer",
                hint="make the base float: x.astype(float)",
            )
        return ops.square(x) if x2 == 2 else ops.integer_pow(x, x2)
    x, y = broadcast("power", promote("power", x1, x2))
    dtype = type_of(x).dtype
    if dtypes.is_inexact(dtype):
        return ops.pow_(x, y)
    wide = ops.pow_(ops.convert(x, dtypes.float64), ops.convert(y, dtypes.float64))
    return ops.convert(wide, dtypes.default_int() if dtypes.is_bool(dtype) else dtype)


pow = power


@boundary
def float_power(x1: Any, x2: Any, /) -> Any:
    """x1 to the power x2, as floats."""
    return ops.pow_(*broadcast("float_power", promote_inexact("float_power", x1, x2)))


def _logaddexp(x: Any, y: Any) -> Any:
    if dtypes.is_complex(type_of(x).dtype):
        return _logaddexp_complex(x, y)
    # Chosen once: derivatives of max and abs, each with a kink of its own at x == y, are wrong from the second on.
    first = ops.ge(x, y)
    high, low = ops.select(first, x, y), ops.select(first, y, x)
    distance = ops.sub(low, high)
    unknown = ops.ne(distance, distance)  # both infinite, or NaN
    safe = ops.select(unknown, 0, distance)
    return ops.select(unknown, ops.add(x, y), ops.add(high, ops.log1p(ops.exp(safe))))


def _logaddexp_complex(x: Any, y: Any) -> Any:
    first = ops.ge(ops.real(x), ops.real(y))
    high, low = ops.select(first, x, y), ops.select(first, y, x)
    nothing = ops.eq(ops.real(high), -math.inf)  # log(0 + 0)
    safe = ops.select(nothing, 0, ops.sub(low, high))
    out = ops.add(high, ops.log1p(ops.exp(safe)))
    angle = ops.imag(out)  # of the principal value, in (-pi, pi]
    turns = ops.ceil(ops.div(ops.sub(angle, math.pi), 2 * math.pi))
    out = ops.complex_(ops.real(out), ops.sub(angle, ops.mul(turns, 2 * math.pi)))
    return ops.select(nothing, high, out)


def _logaddexp2(x: Any, y: Any) -> Any:
    scale = math.log(2)
    return ops.div(_logaddexp(ops.mul(x, scale), ops.mul(y, scale)), scale)


logaddexp = binary(
    "logaddexp", _logaddexp, None, "log(exp(x1) + exp(x2)), without overflow.", promote_inexact
)
logaddexp2 = binary(
    "logaddexp2", _logaddexp2, None, "log2(2**x1 + 2**x2), without overflow.", promote_inexact
)


def _log_to_base(base: int) -> Callable[[Any], Any]:
    scale = math.log(base)

    def function(x: Any) -> Any:
        out = ops.log(x)
        if dtypes.is_complex(
            type_of(out).dtype
        ):  # part by part: an infinity times the scale's own 0 were NaN
            return ops.complex_(ops.div(ops.real(out), scale), ops.div(ops.imag(out), scale))
        return ops.div(out, scale)

    return function


log2 = unary("log2", _log_to_base(2), "The logarithm to base 2.", promote_inexact)
log10 = unary("log10", _log_to_base(10), "The logarithm to base 10.", promote_inexact)


def _sinc(x: Any) -> Any:
    near = ops.lt(
        ops.abs_(x), 0.15
    )  # where derivatives of the quotient would be differences of large numbers
    scaled = ops.mul(ops.select(near, 1, x), math.pi)
    square, series = ops.square(ops.mul(ops.select(near, x, 0), math.pi)), 1.0
    for n in range(18, 0, -2):
        series = ops.sub(1, ops.mul(ops.mul(square, 1 / (n * (n + 1))), series))
    return ops.select(near, series, ops.div(ops.sin(scaled), scaled))


sinc = unary("sinc", _sinc, "sin(pi x) / (pi x), and 1 at 0.", promote_inexact)


# Signs and special values.
def _nan(x: Any) -> Any:
    return ops.ne(x, x)


def _is(name: str, test: Callable[[Any], Any], otherwise: bool, doc: str) -> Callable[[Any], Any]:
    def operation(x: Any) -> Any:
        dtype = type_of(x).dtype
        if dtypes.is_complex(dtype):
            both = ops.and_ if otherwise else ops.or_
            return both(test(ops.real(x)), test(ops.imag(x)))
        return test(x) if dtypes.is_inexact(dtype) else ops.full(type_of(x).shape, otherwise, dtypes.bool_)

    return unary(name, operation, doc)


isfinite = _is("isfinite", ops.is_finite, True, "Whether x is neither infinite nor NaN.")
isnan = _is("isnan", _nan, False, "Whether x is NaN.")
isinf = _is("isinf", lambda x: ops.eq(ops.abs_(x), math.inf), False, "Whether x is infinite.")
isposinf = _is("isposinf", lambda x: ops.eq(x, math.inf), False, "Whether x is infinity.")
isneginf = _is("isneginf", lambda x: ops.eq(x, -math.inf), False, "Whether x is minus infinity.")


def _sign_bit(x: Any) -> Any:
    dtype = type_of(x).dtype
    if not dtypes.is_inexact(dtype):
        return ops.lt(x, 0)
    return ops.lt(ops.apply("bitcast_convert_type", x, new_dtype=np.dtype(f"i{dtype.itemsize}")), 0)


signbit = unary("signbit", _sign_bit, "Whether the sign is set, that of -0.0 too.")
copysign = binary(
    "copysign",
    lambda x, y: ops.select(_sign_bit(y), ops.neg(ops.abs_(x)), ops.abs_(x)),
    None,
    "The size of x1 with the sign of x2.",
    promote_inexact,
)
heaviside = binary(
    "heaviside",
    lambda x, y: ops.select(ops.lt(x, 0), 0, ops.select(ops.gt(x, 0), 1, ops.select(_nan(x), x, y))),
    None,
    "0 below zero, 1 above, x2 at zero.",
    promote_inexact,
)
nextafter = binary("nextafter", ops.nextafter, None, "The next float after x1 towards x2.", promote_inexact)


def _ignoring_nan(operation: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    return lambda x, y: ops.select(_nan(x), y, ops.select(_nan(y), x, operation(x, y)))


fmax = binary("fmax", _ignoring_nan(ops.max_), None, "The larger; NaN only where both are.")
fmin = binary("fmin", _ignoring_nan(ops.min_), None, "The smaller; NaN only where both are.")


@boundary
def nan_to_num(x: Any, copy: bool = True, nan: Any = 0.0, posinf: Any = None, neginf: Any = None) -> Any:
    """x with NaN and infinities replaced: by 0 and by the largest and smallest numbers, where not given.

    Raises:
        DTypeError: what is no array or number.

    >>> import funcgrad.numpy as jnp
    >>> jnp.nan_to_num(jnp.array([jnp.nan, 1.0])).tolist()
    [0.0, 1.0]
    """
    (x,) = promote("nan_to_num", x)
    dtype = type_of(x).dtype
    if not dtypes.is_inexact(dtype):
        return x
    limits = dtypes.finfo(dtype)
    high = float(limits.max) if posinf is None else posinf
    low = float(limits.min) if neginf is None else neginf
    x = ops.select(_nan(x), nan, x)
    return ops.select(ops.eq(x, math.inf), high, ops.select(ops.eq(x, -math.inf), low, x))


# Complex numbers.
real = unary(
    "real", lambda x: ops.real(x) if dtypes.is_complex(type_of(x).dtype) else as_array(x), "The real part."
)
imag = unary(
    "imag",
    lambda x: ops.imag(x) if dtypes.is_complex(type_of(x).dtype) else ops.full_like(x, 0),
    "The imaginary part.",
)


@boundary
def angle(z: Any, deg: bool = False) -> Any:
    """The angle of complex numbers in the plane, in radians (or degrees)."""
    (z,) = promote_inexact("angle", z)
    result = ops.atan2(imag(z), real(z))
    return degrees(result) if deg else result


# Logic and bits.
def _truth(name: str, *operands: Any) -> list[Any]:
    return [
        x if dtypes.is_bool(type_of(x).dtype) else ops.ne(x, type_of(x).dtype.type(0))
        for x in promote(name, *operands)
    ]


logical_not = unary("logical_not", ops.not_, "Whether x is zero.", _truth)
logical_and = binary("logical_and", ops.and_, None, "Whether neither is zero.", _truth)
logical_or = binary("logical_or", ops.or_, None, "Whether one is not zero.", _truth)
logical_xor = binary("logical_xor", ops.xor, None, "Whether exactly one is not zero.", _truth)
bitwise_and = binary("bitwise_and", ops.and_, np.bitwise_and, "And, bit by bit.")
bitwise_or = binary("bitwise_or", ops.or_, np.bitwise_or, "Or, bit by bit.")
bitwise_xor = binary("bitwise_xor", ops.xor, np.bitwise_xor, "Exclusive or, bit by bit.")
bitwise_not = invert = bitwise_invert = unary("bitwise_not", ops.not_, "Every bit inverted.")
left_shift = bitwise_left_shift = binary("left_shift", ops.shift_left, None, "The bits of x1 moved up by x2.")


def _shift_right(x: Any, y: Any) -> Any:
    signed = dtypes.is_signed(type_of(x).dtype)
    return (ops.shift_right_arithmetic if signed else ops.shift_right_logical)(x, y)


right_shift = bitwise_right_shift = binary(
    "right_shift", _shift_right, None, "The bits of x1 moved down by x2."
)
bitwise_count = unary(
    "bitwise_count",
    lambda x: ops.convert(ops.population_count(ops.abs_(x)), dtypes.uint8),
    "The number of bits that are set in |x|.",
)


# Choice.
@boundary
def where(
    condition: Any, x: Any = None, y: Any = None, /, *, size: int | None = None, fill_value: Any = None
) -> Any:
    """`x` where the condition holds, else `y`; with the condition alone, the indices where it holds, as `nonzero`
    gives them.

    A derivative is taken through both, each where it is chosen: an infinite derivative of the side that is
    not chosen still gives NaN; guard the operand of such a function with a `where` of its own.

    >>> import funcgrad.numpy as jnp
    >>> jnp.where(jnp.arange(4) > 1, jnp.arange(4), -1).tolist()
    [-1, -1, 2, 3]
    """
    if x is None and y is None:
        return nonzero(condition, size=size, fill_value=fill_value)
    if x is None or y is None:
        raise ArgumentError("where takes one argument or three", hint="write where(condition, x, y)")
    check_arrays("where", condition, x, y)
    (c,) = _truth("where", condition)
    c, x, y = broadcast("where", [c, *promote("where", x, y)])
    return ops.apply("select_n", c, *ops.same_dtype(y, x))


@boundary
def select(condlist: Sequence[Any], choicelist: Sequence[Any], default: Any = 0) -> Any:
    """For each element the choice of the first condition that holds.

    Raises:
        ShapeError: shapes that do not broadcast.

    >>> import funcgrad.numpy as jnp
    >>> jnp.select([jnp.arange(3) < 1, jnp.arange(3) < 2], [10, 20], 30).tolist()
    [10, 20, 30]
    """
    if len(condlist) != len(choicelist):
        raise ArgumentError(f"select has {len(condlist)} conditions and {len(choicelist)} choices")
    result = default
    for condition, choice in zip(reversed(condlist), reversed(choicelist)):
        result = where(condition, choice, result)
    return result


@boundary
def clip(
    arr: Any = None,
    /,
    min: Any = None,
    max: Any = None,
    *,
    a: Any = None,
    a_min: Any = None,
    a_max: Any = None,
) -> Any:
    """`arr` limited to the range from `min` to `max`; either may be left out.

    Raises:
        DTypeError: what is no array or number.

    >>> import funcgrad.numpy as jnp
    >>> jnp.clip(jnp.array([-3, 0, 3]), -1, 1).tolist()
    [-1, 0, 1]
    """
    arr = a if arr is None else arr
    low, high = a_min if min is None else min, a_max if max is None else max
    if low is not None:
        arr = maximum(arr, low)
    return as_array(promote("clip", arr)[0]) if high is None else minimum(arr, high)


@boundary
def round(a: Any, decimals: int = 0, out: None = None) -> Any:
    """`a` rounded to a number of decimals; ties go to the even digit."""
    (x,) = promote("round", a)
    dtype = type_of(x).dtype
    if dtypes.is_complex(dtype):
        return ops.complex_(round(ops.real(x), decimals), round(ops.imag(x), decimals))
    if not dtypes.is_inexact(dtype):
        if decimals >= 0:
            return x
        tens = ops.round_(ops.div(ops.convert(x, dtypes.float64), 10.0**-decimals), 1)
        return ops.convert(ops.mul(tens, 10.0**-decimals), dtype)
    if decimals == 0:
        return ops.round_(x, 1)
    factor = dtype.type(10.0**decimals)
    return ops.div(ops.round_(ops.mul(x, factor), 1), factor)


around = round


# Comparison of whole arrays.
@boundary
def isclose(a: Any, b: Any, rtol: Any = 1e-5, atol: Any = 1e-8, equal_nan: bool = False) -> Any:
    """Whether |a - b| <= atol + rtol * |b|, element by element.

    Raises:
        DTypeError: what is no array or number.

    >>> import funcgrad.numpy as jnp
    >>> jnp.isclose(jnp.array([1.0, 2.0]), 1).tolist()
    [True, False]
    """
    x, y = broadcast("isclose", promote_inexact("isclose", a, b))
    size = ops.abs_(y)
    bound = ops.add(ops.mul(size, rtol), atol)
    near = ops.and_(ops.le(ops.abs_(ops.sub(x, y)), bound), isfinite(y))
    near = ops.or_(near, ops.eq(x, y))
    return ops.or_(near, ops.and_(_nan(x), _nan(y))) if equal_nan else near


def _everywhere(x: Any) -> Any:
    return ops.reduce_and(x, range(type_of(x).ndim)) if type_of(x).ndim else x


@boundary
def allclose(a: Any, b: Any, rtol: Any = 1e-5, atol: Any = 1e-8, equal_nan: bool = False) -> Any:
    """Whether all elements are close; see `isclose`.

    Raises:
        DTypeError: what is no array or number.

    >>> import funcgrad.numpy as jnp
    >>> bool(jnp.allclose(jnp.array([1.0, 2.0]), jnp.array([1.0, 2.00001])))
    True
    """
    return _everywhere(isclose(a, b, rtol, atol, equal_nan))


@boundary
def array_equal(a1: Any, a2: Any, equal_nan: bool = False) -> Any:
    """Whether shapes and all elements are equal, of arrays or nested lists.

    Raises:
        DTypeError: what is no array or number.

    >>> import funcgrad.numpy as jnp
    >>> bool(jnp.array_equal(jnp.arange(3), [0, 1, 2]))
    True
    """
    a1, a2 = asarray(a1), asarray(a2)
    if type_of(a1).shape != type_of(a2).shape:
        return Array(np.asarray(False))
    same = equal(a1, a2)
    if equal_nan:
        same = ops.or_(same, ops.and_(isnan(a1), isnan(a2)))
    return _everywhere(same)


@boundary
def array_equiv(a1: Any, a2: Any) -> Any:
    """Whether arrays or nested lists broadcast together and all elements are then equal."""
    try:
        return _everywhere(equal(asarray(a1), asarray(a2)))
    except ValueError:
        return Array(np.asarray(False))


@boundary
def result_type(*args: Any) -> np.dtype:
    """The dtype to which arrays, numbers and dtypes promote together.

    Raises:
        DTypeError: what is no array or number.

    >>> import funcgrad.numpy as jnp
    >>> jnp.result_type(jnp.float32, jnp.int64)
    dtype('float32')
    """
    pairs = []
    for arg in args:
        if isinstance(arg, np.dtype | type | str):
            pairs.append((dtypes.as_dtype(arg), False))
        else:
            t = type_of(arg)
            pairs.append((t.dtype, t.weak))
    return dtypes.promote(*pairs)[0]


@boundary
def promote_types(a: Any, b: Any) -> np.dtype:
    """The dtype to which two dtypes promote together."""
    return dtypes.promote_dtypes(dtypes.as_dtype(a), dtypes.as_dtype(b))

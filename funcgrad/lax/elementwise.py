"""Elementwise operations under the names of `jax.lax`: strict in shape and dtype; funcgrad.numpy promotes.

Operands have one dtype and as many axes, of which those of length 1 are repeated; a scalar goes with any shape, and
a Python number takes the dtype of the array. Owns no computation: each function binds the primitive of its name.
"""

from __future__ import annotations

import builtins
from collections.abc import Callable
from typing import Any

import numpy as np

from funcgrad import dtypes, tree
from funcgrad.errors import ArgumentError, DTypeError, ShapeError, boundary
from funcgrad.numpy.bits import bitcast
from funcgrad.numpy.promotion import cast, check_arrays, result_dtype
from funcgrad.trace import ops
from funcgrad.trace.core import WEAK_SCALARS, as_array, type_of


def same_dtype(name: str, *operands: Any) -> list[Any]:
    """The operands, with Python's numbers in the dtype of the arrays; DTypeError where those differ."""
    types = check_arrays(f"lax.{name}", *operands)
    strong = [t for x, t in zip(operands, types) if x.__class__ not in WEAK_SCALARS]
    if not strong:
        dtype, weak = result_dtype(*types)
        return [cast(x, dtype, weak) for x in operands]
    dtype = strong[0].dtype
    for x, t in zip(operands, types):
        if x.__class__ in WEAK_SCALARS and result_dtype(t, strong[0])[0] == dtype:
            continue
        if t.dtype != dtype:
            raise DTypeError(
                f"lax.{name} takes operands of one dtype, got {' and '.join(map(str, types))}",
                hint="convert one with lax.convert_element_type, or use funcgrad.numpy, which promotes",
            )
    return [cast(x, dtype) if x.__class__ in WEAK_SCALARS else x for x in operands]


def repeated(name: str, *operands: Any) -> list[Any]:
    """Operands of as many axes in one shape: axes of length 1 are repeated. Scalars stay; so do operands that do not
    fit, which the primitive refuses."""
    shapes = [type_of(x).shape for x in operands]
    whole = {shape for shape in shapes if shape}
    if len(whole) < 2 or len({len(shape) for shape in whole}) > 1:
        return list(operands)
    common = []
    for lengths in zip(*whole):
        long = {n for n in lengths if n != 1}
        if len(long) > 1:
            types = " and ".join([str(type_of(x)) for x in operands])
            raise ShapeError(
                f"lax.{name} takes operands of one shape (or scalars), got {types}",
                hint="lengths of an axis have to be equal, or one of them 1",
            )
        common.append(long.pop() if long else 1)
    return [ops.broadcast_to(x, common) if shape else x for x, shape in zip(operands, shapes)]


def _operation(
    name: str, operation: Callable[..., Any], arity: int, doc: str, inexact: bool = False
) -> Callable[..., Any]:
    """The function `name` of one or two operands over a primitive; `inexact`: Python ints mean floats."""

    def prepared(operands: tuple[Any, ...]) -> list[Any]:
        if inexact:
            operands = tuple([builtins.float(x) if x.__class__ is int else x for x in operands])
        return same_dtype(name, *operands)

    if arity == 1:

        @boundary
        def function(x: Any) -> Any:
            return operation(*prepared((x,)))
    else:

        @boundary
        def function(x: Any, y: Any) -> Any:
            return operation(*repeated(name, *prepared((x, y))))

    function.__name__ = function.__qualname__ = name
    function.__doc__ = doc
    return function


neg = _operation("neg", ops.neg, 1, "-x.")
sign = _operation("sign", ops.sign, 1, "-1, 0 or 1; of complex numbers x / |x|.")
floor = _operation("floor", ops.floor, 1, "The largest integer not above x.")
ceil = _operation("ceil", ops.ceil, 1, "The smallest integer not below x.")
is_finite = _operation("is_finite", ops.is_finite, 1, "Whether x is neither infinite nor NaN.")
abs = _operation("abs", ops.abs_, 1, "|x|; of complex numbers a real.")
bitwise_not = _operation("bitwise_not", ops.not_, 1, "~x; of booleans, not.")
population_count = _operation("population_count", ops.population_count, 1, "The number of bits that are 1.")
clz = _operation("clz", ops.clz, 1, "The number of leading bits that are 0.")
real = _operation("real", ops.real, 1, "The real part of complex numbers.")
imag = _operation("imag", ops.imag, 1, "The imaginary part of complex numbers.")
square = _operation("square", ops.square, 1, "x * x.")

exp = _operation("exp", ops.exp, 1, "e to the power x.", True)
exp2 = _operation("exp2", ops.exp2, 1, "2 to the power x.", True)
expm1 = _operation("expm1", ops.expm1, 1, "exp(x) - 1, accurate near 0.", True)
log = _operation("log", ops.log, 1, "The natural logarithm.", True)
log1p = _operation("log1p", ops.log1p, 1, "log(1 + x), accurate near 0.", True)
sqrt = _operation("sqrt", ops.sqrt, 1, "The square root.", True)
rsqrt = _operation("rsqrt", ops.rsqrt, 1, "1 / sqrt(x).", True)
cbrt = _operation("cbrt", ops.cbrt, 1, "The cube root.", True)
logistic = _operation("logistic", ops.logistic, 1, "1 / (1 + exp(-x)).", True)
sin = _operation("sin", ops.sin, 1, "The sine of x radians.", True)
cos = _operation("cos", ops.cos, 1, "The cosine of x radians.", True)
tan = _operation("tan", ops.tan, 1, "The tangent of x radians.", True)
asin = _operation("asin", ops.asin, 1, "The angle whose sine is x.", True)
acos = _operation("acos", ops.acos, 1, "The angle whose cosine is x.", True)
atan = _operation("atan", ops.atan, 1, "The angle whose tangent is x.", True)
sinh = _operation("sinh", ops.sinh, 1, "The hyperbolic sine.", True)
cosh = _operation("cosh", ops.cosh, 1, "The hyperbolic cosine.", True)
tanh = _operation("tanh", ops.tanh, 1, "The hyperbolic tangent.", True)
asinh = _operation("asinh", ops.asinh, 1, "The inverse hyperbolic sine.", True)
acosh = _operation("acosh", ops.acosh, 1, "The inverse hyperbolic cosine.", True)
atanh = _operation("atanh", ops.atanh, 1, "The inverse hyperbolic tangent.", True)
erf = _operation("erf", ops.erf, 1, "The error function.", True)
erfc = _operation("erfc", ops.erfc, 1, "1 - erf(x), accurate for large x.", True)
erf_inv = _operation("erf_inv", ops.erf_inv, 1, "The inverse of erf.", True)
lgamma = _operation("lgamma", ops.lgamma, 1, "The logarithm of |gamma(x)|.", True)
digamma = _operation("digamma", ops.digamma, 1, "The derivative of lgamma.", True)

add = _operation("add", ops.add, 2, "x + y.")
sub = _operation("sub", ops.sub, 2, "x - y.")
mul = _operation("mul", ops.mul, 2, "x * y.")
div = _operation("div", ops.div, 2, "x / y; of integers the quotient rounded towards 0.")
rem = _operation("rem", ops.rem, 2, "The remainder of x / y, with the sign of x.")
max = _operation("max", ops.max_, 2, "The larger of x and y; NaN where either is.")
min = _operation("min", ops.min_, 2, "The smaller of x and y; NaN where either is.")
atan2 = _operation("atan2", ops.atan2, 2, "The angle of the point (y, x).", True)
nextafter = _operation("nextafter", ops.nextafter, 2, "The next number after x towards y.", True)
complex = _operation("complex", ops.complex_, 2, "x + iy.", True)
bitwise_and = _operation("bitwise_and", ops.and_, 2, "x & y.")
bitwise_or = _operation("bitwise_or", ops.or_, 2, "x | y.")
bitwise_xor = _operation("bitwise_xor", ops.xor, 2, "x ^ y.")
shift_left = _operation("shift_left", ops.shift_left, 2, "x << y; 0 where y is the number of bits or more.")
shift_right_logical = _operation(
    "shift_right_logical", ops.shift_right_logical, 2, "x >> y, filled with zeros."
)
shift_right_arithmetic = _operation(
    "shift_right_arithmetic", ops.shift_right_arithmetic, 2, "x >> y, filled with the sign bit."
)
eq = _operation("eq", ops.eq, 2, "x == y.")
ne = _operation("ne", ops.ne, 2, "x != y.")
lt = _operation("lt", ops.lt, 2, "x < y.")
le = _operation("le", ops.le, 2, "x <= y.")
gt = _operation("gt", ops.gt, 2, "x > y.")
ge = _operation("ge", ops.ge, 2, "x >= y.")


@boundary
def pow(x: Any, y: Any) -> Any:
    """x to the power y, where y is of the dtype of x or an integer."""
    types = check_arrays("lax.pow", x, y)
    if dtypes.is_integer(types[1].dtype) and dtypes.is_inexact(types[0].dtype):
        if y.__class__ is int:
            return ops.integer_pow(x, y)
        return ops.pow_(*repeated("pow", x, ops.convert(y, types[0].dtype)))
    return ops.pow_(*repeated("pow", *same_dtype("pow", x, y)))


@boundary
def integer_pow(x: Any, y: int) -> Any:
    """x to the power of the Python int y, by multiplications."""
    if isinstance(y, bool) or not isinstance(y, int):
        raise ArgumentError(f"integer_pow takes a Python int as power, got {y!r}", hint="use lax.pow")
    return ops.integer_pow(same_dtype("integer_pow", x)[0], y)


class RoundingMethod:
    """How `round` breaks ties: away from zero, or to even."""

    AWAY_FROM_ZERO = 0
    TO_NEAREST_EVEN = 1


@boundary
def round(x: Any, rounding_method: int = RoundingMethod.AWAY_FROM_ZERO) -> Any:
    """x rounded to integers, as floats."""
    return ops.round_(same_dtype("round", x)[0], int(rounding_method))


@boundary
def conj(x: Any, input_dtype: Any = None) -> Any:
    """The complex conjugate; of reals, as complex numbers."""
    (t,) = check_arrays("lax.conj", x)
    return ops.conj(x if dtypes.is_complex(t.dtype) else ops.convert(x, dtypes.complex_of(t.dtype)))


def reciprocal(x: Any) -> Any:
    """1 / x."""
    return integer_pow(x, -1)


@boundary
def clamp(min: Any, x: Any, max: Any) -> Any:
    """x limited to min..max; both are scalars or of the shape of x."""
    min, x, max = same_dtype("clamp", min, x, max)
    shape = type_of(x).shape
    for t in (type_of(min), type_of(max)):
        if t.shape and t.shape != shape:
            raise ShapeError(
                f"lax.clamp takes limits that are scalars or of the shape of x; got {t} for {type_of(x)}",
                hint="broadcast the limits with lax.broadcast_in_dim, or use funcgrad.numpy.clip",
            )
    return ops.apply("clamp", min, x, max)


@boundary
def select(pred: Any, on_true: Any, on_false: Any) -> Any:
    """`on_true` where `pred`, else `on_false`; `pred` is a scalar or of their shape."""
    on_true, on_false = same_dtype("select", on_true, on_false)
    return select_n(pred, on_false, on_true)


@boundary
def select_n(which: Any, *cases: Any) -> Any:
    """`cases[which]`, element by element; `which` is boolean for two cases, or int32."""
    if not cases:
        raise ArgumentError("select_n takes at least one case")
    cases = tuple(same_dtype("select_n", *cases))
    shapes = {type_of(c).shape for c in cases}
    if len(shapes) > 1:
        raise ShapeError(
            f"lax.select_n takes cases of one shape, got {' and '.join(str(type_of(c)) for c in cases)}",
            hint="broadcast them, or use funcgrad.numpy.where",
        )
    (t,) = check_arrays("lax.select_n", which)
    if t.shape and t.shape != type_of(cases[0]).shape:
        raise ShapeError(
            f"lax.select_n takes a selector that is a scalar or of the cases' shape; got {t} for "
            f"{type_of(cases[0])}",
            hint="broadcast it, or use funcgrad.numpy.where",
        )
    return ops.apply("select_n", which, *cases)


@boundary
def convert_element_type(operand: Any, new_dtype: Any) -> Any:
    """The operand in another dtype. Floats become integers towards 0, saturating; NaN becomes 0."""
    check_arrays("lax.convert_element_type", operand)
    return ops.convert(operand, dtypes.as_dtype(new_dtype))


@boundary
def bitcast_convert_type(operand: Any, new_dtype: Any) -> Any:
    """The bits of the operand read as another dtype.

    Of a narrower one there are several for each element, along a new last axis, the lowest bits first; a wider one
    takes as many elements as it needs from the last axis, which has to have that length.

    Raises:
        DTypeError: booleans or complex numbers as another dtype, which only `x.view(dtype)` reads.
        ShapeError: a last axis that does not make one number.

    >>> import funcgrad as fg
    >>> fg.lax.bitcast_convert_type(fg.numpy.array([1 << 40, 3], "uint64"), "uint32")
    Array([[  0, 256],
           [  3,   0]], dtype=uint32)
    """
    check_arrays("lax.bitcast_convert_type", operand)
    return bitcast(operand, dtypes.as_dtype(new_dtype))


def dtype(x: Any) -> np.dtype:
    """The dtype of an array or number, or that a type stands for.

    >>> import funcgrad as fg
    >>> fg.lax.dtype(1.5), fg.lax.dtype(float)
    (dtype('float32'), dtype('float32'))
    """
    return dtypes.as_dtype(x) if isinstance(x, np.dtype | type | str) else type_of(x).dtype


@boundary
def reduce_precision(operand: Any, exponent_bits: int, mantissa_bits: int) -> Any:
    """The operand, of a float dtype, rounded to the nearest float of so many bits, half to even; of its own dtype.

    What is too large for the exponent becomes infinite, what is too small 0. The derivative is rounded likewise.

    >>> reduce_precision(np.float32(1.2345), 5, 3).item()
    1.25
    """
    (t,) = check_arrays("lax.reduce_precision", operand)
    if not dtypes.is_float(t.dtype):
        raise DTypeError(f"reduce_precision takes floats, got {t}", hint="convert it with .astype(float)")
    if exponent_bits < 1 or mantissa_bits < 0:
        raise ArgumentError(
            f"reduce_precision to {exponent_bits} exponent and {mantissa_bits} mantissa bits",
            hint="at least 1 and 0 bits, as in (5, 10) of float16 and (8, 7) of bfloat16",
        )

    return ops.apply(
        "reduce_precision", operand, exponent_bits=int(exponent_bits), mantissa_bits=int(mantissa_bits)
    )


def optimization_barrier(operand: Any, /) -> Any:
    """The operand, a tree of arrays, through which a compiler moves nothing."""
    return tree.map(lambda x: ops.optimization_barrier(as_array(x)), operand)

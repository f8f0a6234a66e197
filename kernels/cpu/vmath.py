"""Vector math: the scalar functions that generated kernels call, by the name of their opcode (`vm.exp(x)`).

Each is generic in its operands' type and writes LLVM IR directly (see lanes.py), without branches, so that
a loop over it is vectorized; the functions themselves are in vmath_exp, vmath_trig and vmath_special. What
has no polynomial (lgamma, nextafter, fmod) is a call of the C library, one element at a time: right, and
slower. Most complex functions are Python's cmath, compiled by Numba, or those of vmath_complex.

Floats follow IEEE 754 and C99 Annex F; `maximum` and `minimum` give NaN beside NaN; `sign` keeps NaN and
zeros; integer `div` and `rem` go towards zero, x/0 = -1, x%0 = x; shifts by the width or more give 0, or
the sign; conversions of floats to integers stop at the ends of the range, NaN gives 0.

`BOUNDS` states the largest error in ulp over the whole range, as the tests check it.
"""

from __future__ import annotations

import cmath
import math
from collections.abc import Callable, Sequence
from typing import Any

from llvmlite import ir

from . import scalars, vmath_complex, vmath_exp, vmath_special, vmath_trig
from .lanes import F32, F64, Lane
from .random import threefry2x32_32, threefry2x32_64  # noqa: F401
from .scalars import Function, Scalar, declared

BOUNDS = {
    "exp": (1.0, 1.0),
    "exp2": (1.0, 1.0),
    "expm1": (1.5, 2.0),
    "log": (1.0, 1.0),
    "log2": (0.6, 0.6),
    "log10": (0.6, 0.6),
    "log1p": (1.0, 1.0),
    "sin": (1.0, 1.0),
    "cos": (1.0, 1.0),
    "tan": (0.6, 2.5),
    "asin": (0.6, 1.3),
    "acos": (0.6, 1.0),
    "atan": (0.6, 1.0),
    "atan2": (0.6, 1.5),
    "sinh": (0.6, 2.0),
    "cosh": (0.6, 1.5),
    "tanh": (1.5, 1.5),
    "asinh": (0.6, 2.0),
    "acosh": (0.6, 2.5),
    "atanh": (0.6, 2.0),
    "logistic": (2.5, 2.5),
    "erf": (1.0, 1.3),
    "erfc": (0.6, 4.0),
    "erf_inv": (0.7, 2.5),
    "sqrt": (0.5, 0.5),
    "rsqrt": (1.5, 1.5),
    "cbrt": (0.6, 0.6),
    "pow": (0.6, 1.5),
    "digamma": (1.0, 12.0),
}
"""Largest error in ulp, in float32 and float64. For digamma that holds for x > 0: below, its two terms
cancel."""


# What generated kernels call. Each definition gives code by the kind of the operands' type.
def _library(name: str) -> Callable[..., Any]:
    """A call of the C library's function of this name (with an f for float32)."""

    def emit(builder: Any, args: Any) -> Any:
        kind = args[0].type
        symbol = name + ("f" if kind == F32 else "")
        return builder.call(declared(builder.module, symbol, kind, [kind] * len(args)), args)

    return emit


def _llvm(name: str) -> Callable[..., Any]:
    """An LLVM intrinsic."""
    return lambda builder, args: (
        Lane(builder, args[0]).call(name, *[Lane(builder, a) for a in args[1:]]).value
    )


def _lane(function: Callable[..., Lane]) -> Callable[..., Any]:
    """A function written in lanes."""
    return lambda builder, args: function(*[Lane(builder, a) for a in args]).value


def _wide(function: Callable[..., Lane]) -> Callable[..., Any]:
    """A function written in lanes of float64, told to what accuracy."""

    def emit(builder: Any, args: Any) -> Any:
        kind = args[0].type
        return function(kind, *[Lane(builder, a).to_float(F64) for a in args]).to_float(kind).value

    return emit


def _define(
    name: str,
    arity: int,
    floats: Callable[..., Any] | None = None,
    integers: Callable[..., Any] | None = None,
    complexes: Callable[..., Any] | None = None,
    result: Callable[[Any], Any] = lambda t: t,
    parts: Callable[..., Any] | None = None,
) -> Any:
    """The function `name`. `floats` takes a builder and values; `integers` also their type; `complexes` is plain
    Python, for Numba; `parts` is written in lanes, of the parts of complex arguments, and gives a number or two
    parts."""

    def signature(given: Sequence[Any]) -> tuple[Scalar, Sequence[Any]]:
        return result(given[0]), [given[0]] * arity

    def code(builder: Any, kinds: Sequence[Any], args: Sequence[Any]) -> Any:
        kind = kinds[0]
        if kind.kind == "f" and floats is not None:
            return floats(builder, args)
        if kind.kind == "c" and parts is not None:
            both = [of(builder, a) for a in args for of in (scalars.real, scalars.imaginary)]
            found = parts(*[Lane(builder, part) for part in both])
            if isinstance(found, Lane):
                return found.value
            return scalars.joined(builder, kind, *[lane.value for lane in found])
        if kind.kind in "iub" and integers is not None:
            return integers(builder, args, kind)
        raise TypeError(f"{name} is not defined for {kind}")

    return Function(name, signature, code, complexes)


exp = _define("exp", 1, _lane(vmath_exp.exp), complexes=vmath_complex.exp)
exp2 = _define("exp2", 1, _lane(vmath_exp.exp2), complexes=vmath_complex.exp2)
expm1 = _define("expm1", 1, _lane(vmath_exp.expm1), complexes=vmath_complex.expm1)
log = _define("log", 1, _lane(vmath_exp.log), complexes=vmath_complex.log)
log2 = _define("log2", 1, _wide(vmath_exp.log2), complexes=lambda z: cmath.log(z) / 0.6931471805599453)
log10 = _define("log10", 1, _wide(vmath_exp.log10), complexes=lambda z: cmath.log10(z))
log1p = _define("log1p", 1, _lane(vmath_exp.log1p), complexes=vmath_complex.log1p)
sin = _define("sin", 1, _lane(vmath_trig.sin), complexes=vmath_complex.sin)
cos = _define("cos", 1, _lane(vmath_trig.cos), complexes=vmath_complex.cos)
tan = _define("tan", 1, _wide(vmath_trig.tan), complexes=lambda z: cmath.tan(z))
asin = _define("asin", 1, _wide(vmath_trig.asin), complexes=lambda z: cmath.asin(z))
acos = _define("acos", 1, _wide(vmath_trig.acos), complexes=lambda z: cmath.acos(z))
atan = _define("atan", 1, _wide(vmath_trig.atan), complexes=lambda z: cmath.atan(z))
atan2 = _define("atan2", 2, _wide(vmath_trig.atan2))
sinh = _define("sinh", 1, _wide(vmath_exp.sinh), complexes=vmath_complex.sinh)
cosh = _define("cosh", 1, _wide(vmath_exp.cosh), complexes=vmath_complex.cosh)
tanh = _define("tanh", 1, _lane(vmath_exp.tanh), complexes=lambda z: cmath.tanh(z))
asinh = _define("asinh", 1, _wide(vmath_exp.asinh), complexes=lambda z: cmath.asinh(z))
acosh = _define("acosh", 1, _wide(vmath_exp.acosh), complexes=lambda z: cmath.acosh(z))
atanh = _define("atanh", 1, _wide(vmath_exp.atanh), complexes=lambda z: cmath.atanh(z))
logistic = _define("logistic", 1, _lane(vmath_exp.logistic), complexes=vmath_complex.logistic)
erf = _define("erf", 1, _lane(vmath_special.erf))
erf_inv = _define("erf_inv", 1, _wide(vmath_special.erf_inv))
erfc = _define("erfc", 1, _wide(vmath_special.erfc))
lgamma = _define("lgamma", 1, _library("lgamma"))
digamma = _define("digamma", 1, _wide(vmath_special.digamma))
sqrt = _define("sqrt", 1, _llvm("sqrt"), complexes=lambda z: cmath.sqrt(z))
rsqrt = _define("rsqrt", 1, _lane(lambda x: 1.0 / x.call("sqrt")), complexes=vmath_complex.rsqrt)
cbrt = _define("cbrt", 1, _wide(vmath_exp.cbrt))
pow = _define("pow", 2, _wide(vmath_exp.pow), complexes=vmath_complex.power)
floor = _define("floor", 1, _llvm("floor"))
ceil = _define("ceil", 1, _llvm("ceil"))
trunc = _define("trunc", 1, _llvm("trunc"))
round_even = _define("round_even", 1, _llvm("rint"))
round_away = _define("round_away", 1, _llvm("round"))
nextafter = _define("nextafter", 2, _library("nextafter"))


def _signed(kind: Any) -> bool:
    return kind.kind == "i"


def _compare(builder: Any, how: str, a: Any, b: Any, kind: Any) -> Any:
    return (builder.icmp_signed if _signed(kind) else builder.icmp_unsigned)(how, a, b)


def _extreme(how: str, intrinsic_name: str, name: str) -> Any:
    larger = how == ">"

    def of_complex(z: complex, w: complex) -> complex:
        if z != z:
            return z
        if w != w:
            return w
        first = z.real > w.real or (z.real == w.real and z.imag >= w.imag)
        return z if first == larger else w

    return _define(
        name,
        2,
        _llvm(intrinsic_name),
        lambda builder, args, kind: builder.select(_compare(builder, how, *args, kind), *args),
        of_complex,
    )


maximum = _extreme(">", "maximum", "maximum")
minimum = _extreme("<", "minimum", "minimum")


def _integer_abs(builder: Any, args: Any, kind: Any) -> Any:
    (x,) = args
    if not _signed(kind):
        return x
    zero = ir.Constant(x.type, 0)
    return builder.select(builder.icmp_signed("<", x, zero), builder.sub(zero, x), x)


abs = _define(
    "abs",
    1,
    _llvm("fabs"),
    _integer_abs,
    result=lambda t: scalars.PART.get(t, t),
    parts=vmath_special.magnitude,
)


def _float_sign(x: Lane) -> Lane:
    return (x.equals(0.0)).where(x, x.is_nan().where(x, x.constant(1.0).copysign(x)))


def _integer_sign(builder: Any, args: Any, kind: Any) -> Any:
    (x,) = args
    zero, one = ir.Constant(x.type, 0), ir.Constant(x.type, 1)
    positive = builder.select(_compare(builder, ">", x, zero, kind), one, zero)
    if not _signed(kind):
        return positive
    return builder.select(builder.icmp_signed("<", x, zero), ir.Constant(x.type, -1), positive)


def _complex_sign(z: complex) -> complex:
    if math.isinf(z.real) != math.isinf(z.imag):
        if math.isinf(z.real):
            return complex(math.copysign(1.0, z.real), 0.0)
        return complex(0.0, math.copysign(1.0, z.imag))
    size = math.hypot(z.real, z.imag)
    return z if size == 0 else z / size


sign = _define("sign", 1, _lane(_float_sign), _integer_sign, _complex_sign)
square = _define(
    "square",
    1,
    _lane(lambda x: x * x),
    lambda builder, args, kind: builder.mul(args[0], args[0]),
    parts=lambda re, im: (re * re - im * im, re * im + re * im),
)
conj = _define("conj", 1, parts=lambda re, im: (re, -im))
is_finite = _define(
    "is_finite",
    1,
    lambda builder, args: (Lane(builder, args[0]).abs() < math.inf).value,
    result=lambda t: scalars.BOOL,
)


def _divided(builder: Any, args: Any, kind: Any, remainder: bool) -> Any:
    """Towards zero; x // 0 is -1 and x % 0 is x; the smallest number by -1 is itself, with remainder 0."""
    x, y = args
    signed = _signed(kind)
    zero, one = ir.Constant(x.type, 0), ir.Constant(x.type, 1)
    minus_one = ir.Constant(x.type, -1)
    by_zero = builder.icmp_unsigned("==", y, zero)
    by_minus_one = builder.icmp_unsigned("==", y, minus_one) if signed else ir.Constant(ir.IntType(1), 0)
    safe = builder.select(builder.or_(by_zero, by_minus_one), one, y)
    if remainder:
        value = (builder.srem if signed else builder.urem)(x, safe)
        return builder.select(by_zero, x, value)
    value = (builder.sdiv if signed else builder.udiv)(x, safe)
    value = builder.select(by_minus_one, builder.sub(zero, x), value) if signed else value
    return builder.select(by_zero, minus_one, value)


div = _define(
    "div",
    2,
    integers=lambda b, args, kind: _divided(b, args, kind, False),
    parts=vmath_complex.quotient_of_parts,
)
rem = _define("rem", 2, _library("fmod"), lambda b, args, kind: _divided(b, args, kind, True))


def _shifted(builder: Any, args: Any, shift: str) -> Any:
    """Shifts by the width or more (or by a negative number) give 0, or copies of the top bit."""
    x, by = args
    width = ir.Constant(x.type, x.type.width)
    far = builder.icmp_unsigned(">=", by, width)
    if shift == "ashr":
        limit = ir.Constant(x.type, x.type.width - 1)
        return builder.ashr(x, builder.select(far, limit, by))
    moved = getattr(builder, shift)(x, builder.select(far, ir.Constant(x.type, 0), by))
    return builder.select(far, ir.Constant(x.type, 0), moved)


shift_left = _define("shift_left", 2, integers=lambda b, a, k: _shifted(b, a, "shl"))
shift_right_logical = _define("shift_right_logical", 2, integers=lambda b, a, k: _shifted(b, a, "lshr"))
shift_right_arithmetic = _define("shift_right_arithmetic", 2, integers=lambda b, a, k: _shifted(b, a, "ashr"))
population_count = _define("population_count", 1, integers=lambda b, args, kind: b.ctpop(args[0]))
clz = _define("clz", 1, integers=lambda b, args, kind: b.ctlz(args[0], ir.Constant(ir.IntType(1), 0)))


def _select(builder: Any, kinds: Sequence[Any], args: Sequence[Any]) -> Any:
    predicate, on_true, on_false = args
    if kinds[1].kind != "c":
        return builder.select(predicate, on_true, on_false)
    parts = [
        builder.select(predicate, part(builder, on_true), part(builder, on_false))
        for part in (scalars.real, scalars.imaginary)
    ]
    return scalars.joined(builder, kinds[1], *parts)


select = Function("select", lambda given: (given[1], [scalars.BOOL, given[1], given[1]]), _select)
"""The second argument where the first holds, else the third; both are evaluated."""


def _joined(builder: Any, kinds: Sequence[Any], args: Sequence[Any]) -> Any:
    return scalars.joined(builder, _complex_of(kinds[0]), *args)


def _complex_of(part: Scalar) -> Scalar:
    return scalars.C64 if part is scalars.F32 else scalars.C128


complex = Function("complex", lambda given: (_complex_of(given[0]), [given[0]] * 2), _joined)
"""The complex number of two parts."""


# Conversions.
def _bitcast(target: Scalar) -> Function:
    def code(builder: Any, kinds: Sequence[Any], args: Sequence[Any]) -> Any:
        return args[0] if args[0].type == target.llvm else builder.bitcast(args[0], target.llvm)

    return Function(f"bitcast to {target}", lambda given: (target, given), code)


bitcast_f32, bitcast_f64 = _bitcast(scalars.F32), _bitcast(scalars.F64)
bitcast_i8, bitcast_u8 = _bitcast(scalars.I8), _bitcast(scalars.U8)
bitcast_i16, bitcast_u16 = _bitcast(scalars.I16), _bitcast(scalars.U16)
bitcast_i32, bitcast_u32 = _bitcast(scalars.I32), _bitcast(scalars.U32)
bitcast_i64, bitcast_u64 = _bitcast(scalars.I64), _bitcast(scalars.U64)
bitcast_f16 = bitcast_bf16 = bitcast_u16


def _to_integer(target: Scalar) -> Function:
    """Towards zero, limited to the range; NaN gives 0."""

    def code(builder: Any, kinds: Sequence[Any], args: Sequence[Any]) -> Any:
        source = args[0].type
        kind = f"{'si' if target.signed else 'ui'}.sat.i{target.bitwidth}"
        name = f"llvm.fpto{kind}.{'f32' if source == F32 else 'f64'}"
        return builder.call(declared(builder.module, name, target.llvm, [source]), args)

    return Function(f"to {target}", lambda given: (target, given), code)


to_i8, to_u8 = _to_integer(scalars.I8), _to_integer(scalars.U8)
to_i16, to_u16 = _to_integer(scalars.I16), _to_integer(scalars.U16)
to_i32, to_u32 = _to_integer(scalars.I32), _to_integer(scalars.U32)
to_i64, to_u64 = _to_integer(scalars.I64), _to_integer(scalars.U64)


@scalars.function(scalars.F32, scalars.U16)
def bf16_to_f32(builder: Any, x: Any) -> Any:
    """The number whose upper half these bits are."""
    wide = builder.zext(x, ir.IntType(32))
    return builder.bitcast(builder.shl(wide, ir.Constant(wide.type, 16)), F32)


@scalars.function(scalars.U16, scalars.F32)
def f32_to_bf16(builder: Any, value: Any) -> Any:
    """Rounded to nearest, ties to even; NaN stays NaN."""
    x = Lane(builder, value)
    bits = x.bits()
    rounded = bits + ((bits.logical_shift(16) & 1) + 0x7FFF)
    quiet = bits | 0x400000
    return builder.trunc(x.is_nan().where(quiet, rounded).logical_shift(16).value, ir.IntType(16))


@scalars.function(scalars.F32, scalars.U16)
def f16_to_f32(builder: Any, x: Any) -> Any:
    """By shifting the exponent, which also normalises subnormal numbers."""
    h = Lane(builder, builder.zext(x, ir.IntType(32)))
    magnitude = (h & 0x7FFF) << 13
    scaled = magnitude.from_bits(F32) * 2.0**112
    special = (magnitude | 0x7F800000).from_bits(F32)
    value = (magnitude >= 0x0F800000).where(special, scaled)
    return (value.bits() | ((h & 0x8000) << 16)).from_bits(F32).value


@scalars.function(scalars.U16, scalars.F32)
def f32_to_f16(builder: Any, value: Any) -> Any:
    """Rounded to nearest, ties to even, with gradual underflow; NaN stays NaN."""
    x = Lane(builder, value)
    sign_bit = (x.bits().logical_shift(16)) & 0x8000
    size = x.abs()
    bits = size.bits()
    normal = (bits + ((bits.logical_shift(13) & 1) + 0xFFF)).logical_shift(13) - 0x1C000
    subnormal = (size + 0.5).bits() - 0x3F000000  # adding 0.5 rounds to a multiple of 2**-24
    small = (bits < 0x38800000).where(subnormal, normal)
    limited = (bits >= 0x47800000).where(0x7C00, small)
    rounded = x.is_nan().where(0x7E00, limited) | sign_bit
    return builder.trunc(rounded.value, ir.IntType(16))

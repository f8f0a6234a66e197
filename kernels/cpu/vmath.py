"""Vector math: the scalar functions that generated kernels call, by the name of their opcode (`vm.exp(x)`).

Each is generic in its operands' type and writes LLVM IR directly (see lanes.py), without branches, so that a
loop over it is vectorized. The common functions are polynomials; their coefficients are near-minimax fits
(Chebyshev, made with mpmath at 60 digits), their reductions those of Muller, "Elementary Functions", 3rd ed.
What has no polynomial here is a call of the C library, one element at a time: right, and slower.

`BOUNDS` states the largest error in ulp over the whole range, as the tests check it.
"""

from __future__ import annotations

import cmath
import math
from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from .lanes import BIAS, F32, F64, MANTISSA, Lane, power_of_two
from .random import threefry2x32_32, threefry2x32_64  # noqa: F401

BOUNDS = {
    "exp": (1.0, 1.0),
    "exp2": (1.0, 1.0),
    "expm1": (2.0, 2.0),
    "log": (1.0, 1.0),
    "log1p": (1.0, 1.0),
    "tanh": (2.5, 2.5),
    "logistic": (2.5, 2.5),
    "sin": (1.5, 1.0),
    "cos": (1.5, 1.0),
    "erf": (1.5, 1.0),
}
"""Largest error in ulp, in float32 and float64."""

_LN2_HI = {F32: 0.693359375, F64: 6.93147180369123816490e-01}
_LN2_LO = {F32: -2.12194440054690583e-04, F64: 1.90821492927058770002e-10}
_EXPM1 = {
    F32: [0.5000000013457727153, 0.16666666681614255706, 0.041666465006040048761, 0.0083333109344488684687,
          0.001393364103198670115, 0.00019890980869750325563],
    F64: [0.5, 0.16666666666666670986, 0.041666666666666669752, 0.008333333333326140884, 0.0013888888888883752417,
          0.00019841269874800491981, 0.000024801587325533363819, 2.7557255425746434282e-6, 2.7557273661348636219e-7,
          2.5105206373957011116e-8, 2.09146793765839351e-9],
}  # fmt: skip
_LOG = {
    F32: [0.66666685039575855022, 0.39988780566021981899, 0.29579949391972784709],
    F64: [0.66666666666666696862, 0.3999999999989950449, 0.28571428625975484921, 0.22222211134795079855,
          0.1818288912526172208, 0.15331721600556041269, 0.1461644968504340586],
}  # fmt: skip
_SIN = [-0.1666666466231437862, 0.0083327482706297494849, -0.00019587890880412385786]
_COS = [0.041666664659502206772, -0.0013888303035894866037, 0.000024547942085071572513]
_ERF = [0.12837916584835094603, -0.37612626666720331023, 0.11283594715160217732, -0.026854212010626412443,
        0.0051890874234339739861, -0.00080168642871658695293, 0.000078758750626854883411]  # fmt: skip
_LOG_ERFC = [0.00032013804967769883665, -1.1302334348419940295, -0.6318260515591630143, -0.1100800829488202466,
             0.026421136005663896682, -0.0047595962932662646444, 0.00059680562566077970634,
             -0.000046058042689189779247, 1.6371514145936435649e-6]  # fmt: skip
_ERF_INV_NEAR = [1.50140941, 0.246640727, -0.00417768164, -0.00125372503, 0.00021858087, -4.39150654e-06,
                 -3.5233877e-06, 3.43273939e-07, 2.81022636e-08]  # fmt: skip
_ERF_INV_FAR = [2.83297682, 1.00167406, 0.00943887047, -0.0076224613, 0.00573950773, -0.00367342844, 0.00134934322,
                0.000100950558, -0.000200214257]  # fmt: skip
_OVERFLOW = {F32: 89.0, F64: 710.0}
_UNDERFLOW = {F32: -104.0, F64: -746.0}


def _itself_where(condition: Lane, x: Lane, value: Lane) -> Lane:
    """x where the condition holds: for NaN, and to keep the sign of zero."""
    return condition.where(x, value)


# Exponentials.
def _reduced_exp(x: Lane) -> tuple[Lane, Lane, Lane]:
    """n, r and (e**r - 1 - r) with x = n ln 2 + r; x is within the finite range, or NaN."""
    kind = x.type
    n = (x * (1 / math.log(2))).rint()
    r = n.fma(-_LN2_HI[kind], x)
    r = n.fma(-_LN2_LO[kind], r)
    safe = n.number_max(-2.0 * BIAS[kind]).number_min(2.0 * BIAS[kind])
    return safe.to_int(), r, r * r * r.polynomial(_EXPM1[kind])


def _limited(x: Lane) -> Lane:
    """x within the range where exp is neither 0 nor infinite; NaN stays."""
    low, high = _UNDERFLOW[x.type], _OVERFLOW[x.type]
    return (x < low).where(low, (x > high).where(high, x))


def _exp(x: Lane) -> Lane:
    n, r, rest = _reduced_exp(_limited(x))
    return (r + rest + 1.0).times_power_of_two(n)


def _exp2(x: Lane) -> Lane:
    kind = x.type
    bound = 2.0 * BIAS[kind]
    x = (x < -bound).where(-bound, (x > bound).where(bound, x))
    n = x.rint()
    r = (x - n) * math.log(2)
    value = r + r * r * r.polynomial(_EXPM1[kind]) + 1.0
    return value.times_power_of_two(n.number_max(-bound).number_min(bound).to_int())


def _expm1(x: Lane) -> Lane:
    n, r, rest = _reduced_exp(_limited(x))
    scale = power_of_two(n - 1, x.type)
    big = ((r + rest) * scale + (scale - 0.5)) * 2.0
    tiny = n.equals(0)
    large = n > MANTISSA[x.type] + 10
    value = large.where((r + rest + 1.0).times_power_of_two(n), big)
    low = n < -(MANTISSA[x.type] + 5)
    value = low.where(-1.0, tiny.where(r + rest, value))
    return _itself_where(x.is_nan() | x.equals(0.0), x, value)


# Logarithms.
def _log_parts(x: Lane) -> tuple[Lane, Lane]:
    """k and f with x = 2**k (1 + f), 1 + f within sqrt(2) of 1; x is positive and finite."""
    kind = x.type
    small = x < 2.0 ** (1 - BIAS[kind])
    x = small.where(x * 2.0 ** MANTISSA[kind], x)
    bits = x.bits()
    root_half = {F32: 0x3F3504F3, F64: 0x3FE6A09E667F3BCD}[kind]
    k = (bits - root_half) >> MANTISSA[kind]
    m = (bits - (k << MANTISSA[kind])).from_bits(kind)
    k = small.where(k - MANTISSA[kind], k)
    return k.to_float(kind), m - 1.0


def _log_of_parts(k: Lane, f: Lane, c: Lane | None = None) -> Lane:
    """k ln 2 + log(1 + f) + c, for a small correction c."""
    kind = f.type
    s = f / (f + 2.0)
    z = s * s
    r = z * z.polynomial(_LOG[kind])
    half = f * f * 0.5
    low = k * _LN2_LO[kind]
    if c is not None:
        low = low + c
    return k * _LN2_HI[kind] - ((half - (s * (half + r) + low)) - f)


def _log(x: Lane) -> Lane:
    value = _log_of_parts(*_log_parts(x))
    value = x.equals(0.0).where(-math.inf, value)
    value = x.equals(math.inf).where(math.inf, value)
    return (x < 0.0).where(math.nan, x.is_nan().where(x, value))


def _log1p(x: Lane) -> Lane:
    u = x + 1.0
    rounding = (x > 1.0).where(1.0 - (u - x), x - (u - 1.0)) / u
    k, f = _log_parts(u)
    value = _log_of_parts(k, k.equals(0.0).where(u - 1.0, f), rounding)
    value = (x.abs() < 2.0 ** -(MANTISSA[x.type] + 2)).where(x, value)
    value = u.equals(0.0).where(-math.inf, value)
    value = x.equals(math.inf).where(math.inf, value)
    return (u < 0.0).where(math.nan, x.is_nan().where(x, value))


# Hyperbolic.
def _tanh(x: Lane) -> Lane:
    end = {F32: 9.5, F64: 20.0}[x.type]
    size = x.abs()
    size = (size > end).where(end, size)
    t = _expm1(size * 2.0)
    value = t / (t + 2.0)
    tiny = x.abs() < 2.0 ** -(MANTISSA[x.type] // 2 + 2)
    return _itself_where(tiny | x.is_nan(), x, value.copysign(x))


def _logistic(x: Lane) -> Lane:
    e = _exp(-x.abs())
    return (x >= 0.0).where(1.0, e) / (e + 1.0)


# Sine and cosine in float32. The reduction is done in float64, with pi/2 in three parts: the error is far below
# an ulp of float32 up to 2**28 and stays under 1e-10 up to 2**50; beyond that the result is NaN.
_PI_2 = (1.5707963267341256, 6.077100506303966e-11, 2.0222662487959506e-21)
_REDUCIBLE = 2.0**50


def _sin_cos(x: Lane, quarter: int) -> Lane:
    """sin(x + quarter * pi/2) in float32."""
    wide = x.to_float(F64)
    wide = (wide.abs() <= _REDUCIBLE).where(wide, math.nan)
    k = (wide * (2 / math.pi)).rint()
    r = wide
    for part in _PI_2:
        r = k.fma(-part, r)
    r = r.to_float(F32)
    turn = k - (k * 0.25).call("floor") * 4.0  # 0, 1, 2, 3
    n = turn.number_max(0.0).number_min(3.0).to_int() + quarter
    z = r * r
    sine = (z * r).fma(z.polynomial(_SIN), r)
    cosine = (z * z).fma(z.polynomial(_COS), z.fma(-0.5, z.constant(1.0)))
    value = (n & 1).equals(0).where(sine, cosine)
    value = (n & 2).equals(0).where(value, -value)
    return value if quarter else _itself_where(x.equals(0.0), x, value)


def _erf(x: Lane) -> Lane:
    size = x.abs()
    z = x * x
    near = x.fma(z.polynomial(_ERF), x)
    bounded = (size > 4.0).where(4.0, size)
    far = (1.0 - _exp(bounded.polynomial(_LOG_ERFC))).copysign(x)
    return (size <= 1.0).where(near, x.is_nan().where(x, far))


def _erf_inv(x: Lane) -> Lane:
    """Giles, "Approximating the erfinv function", 2010; in float64 then improved by Halley's method."""
    kind = x.type
    inside = x.abs() < 1.0
    safe = inside.where(x, 0.0)
    w = -_log((1.0 - safe) * (safe + 1.0))
    far_w = w.number_max(5.0).call("sqrt") - 3.0
    y = safe * (w < 5.0).where((w - 2.5).polynomial(_ERF_INV_NEAR), far_w.polynomial(_ERF_INV_FAR))
    if kind == F64:
        far = w.number_max(16.0)
        y = (w > 16.0).where((far - _log(far * math.pi) * 0.5).call("sqrt").copysign(x), y)
        for _ in range(3):
            y = _erf_inv_step(safe, y)
    end = x.abs().equals(1.0).where(x * math.inf, math.nan)
    return inside.where(y, end)


def _erf_inv_step(x: Lane, y: Lane) -> Lane:
    """A better y with erf(y) = x; near the ends by erfc, whose argument 1 - |x| is exact there."""
    size, value = x.abs(), y.abs()
    below, above = _called("erf", value) - size, (1.0 - size) - _called("erfc", value)
    step = (size < 0.5).where(below, above) * (0.5 * math.sqrt(math.pi)) * _exp(value * value)
    return (value - step / (value * step + 1.0)).copysign(x)


def _called(name: str, x: Lane) -> Lane:
    """A function of the C library."""
    return Lane(x.builder, _library(name)(x.builder, [x.value]))


# What generated kernels call. Each definition gives code by the kind of the operands' type.
_FLOATS = {types.float32: F32, types.float64: F64}
_COMPLEX = (types.complex64, types.complex128)


def _library(name: str) -> Callable[..., Any]:
    """A call of the C library's function of this name (with an f for float32)."""

    def emit(builder: Any, args: Any) -> Any:
        kind = args[0].type
        function = ir.FunctionType(kind, [kind] * len(args))
        symbol = name + ("f" if kind is F32 or kind == F32 else "")
        return builder.call(cgutils.get_or_insert_function(builder.module, function, symbol), args)

    return emit


def _llvm(name: str) -> Callable[..., Any]:
    """An LLVM intrinsic."""
    return lambda builder, args: (
        Lane(builder, args[0]).call(name, *[Lane(builder, a) for a in args[1:]]).value
    )


def _lane(function: Callable[..., Lane]) -> Callable[..., Any]:
    """A function written in lanes."""
    return lambda builder, args: function(*[Lane(builder, a) for a in args]).value


def _float32_lane(function: Callable[[Lane], Lane], library: str) -> Callable[..., Any]:
    """A function written in lanes for float32, the C library's for float64."""
    by_lane, by_library = _lane(function), _library(library)
    return lambda builder, args: (by_lane if args[0].type == F32 else by_library)(builder, args)


def _define(
    name: str,
    arity: int,
    floats: Callable[..., Any] | None = None,
    integers: Callable[..., Any] | None = None,
    complexes: Callable[..., Any] | None = None,
    result: Callable[[Any], Any] = lambda t: t,
) -> Any:
    """The function `name`. `floats` takes a builder and values; `integers` also the Numba type; `complexes` is plain
    Python for Numba."""

    def typing_of(operands: Any) -> Any:
        operand = operands[0]
        signature = result(operand)(*[operand] * arity)

        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            if operand in _FLOATS and floats is not None:
                return floats(builder, args)
            if operand in _COMPLEX and complexes is not None:
                return context.compile_internal(builder, complexes, signature, args)
            if integers is not None and isinstance(operand, types.Integer | types.Boolean):
                return integers(builder, args, operand)
            raise TypeError(f"{name} is not defined for {operand}")

        return signature, codegen

    if arity == 1:

        def function(typing, x):
            return typing_of((x,))

    elif arity == 2:

        def function(typing, x, y):
            return typing_of((x, y))

    else:

        def function(typing, x, y, z):
            return typing_of((x, y, z))

    function.__name__ = name
    return intrinsic(function)


exp = _define("exp", 1, _lane(_exp), complexes=lambda z: cmath.exp(z))
exp2 = _define("exp2", 1, _lane(_exp2), complexes=lambda z: cmath.exp(z * 0.6931471805599453))
expm1 = _define("expm1", 1, _lane(_expm1), complexes=lambda z: cmath.exp(z) - 1)
log = _define("log", 1, _lane(_log), complexes=lambda z: cmath.log(z))
log1p = _define("log1p", 1, _lane(_log1p), complexes=lambda z: cmath.log(1 + z))
sin = _define("sin", 1, _float32_lane(lambda x: _sin_cos(x, 0), "sin"), complexes=lambda z: cmath.sin(z))
cos = _define("cos", 1, _float32_lane(lambda x: _sin_cos(x, 1), "cos"), complexes=lambda z: cmath.cos(z))
tan = _define("tan", 1, _library("tan"), complexes=lambda z: cmath.tan(z))
asin = _define("asin", 1, _library("asin"), complexes=lambda z: cmath.asin(z))
acos = _define("acos", 1, _library("acos"), complexes=lambda z: cmath.acos(z))
atan = _define("atan", 1, _library("atan"), complexes=lambda z: cmath.atan(z))
sinh = _define("sinh", 1, _library("sinh"), complexes=lambda z: cmath.sinh(z))
cosh = _define("cosh", 1, _library("cosh"), complexes=lambda z: cmath.cosh(z))
tanh = _define("tanh", 1, _lane(_tanh), complexes=lambda z: cmath.tanh(z))
asinh = _define("asinh", 1, _library("asinh"), complexes=lambda z: cmath.asinh(z))
acosh = _define("acosh", 1, _library("acosh"), complexes=lambda z: cmath.acosh(z))
atanh = _define("atanh", 1, _library("atanh"), complexes=lambda z: cmath.atanh(z))
logistic = _define("logistic", 1, _lane(_logistic), complexes=lambda z: 1 / (1 + cmath.exp(-z)))
erf = _define("erf", 1, _float32_lane(_erf, "erf"))
erf_inv = _define("erf_inv", 1, _lane(_erf_inv))
erfc = _define("erfc", 1, _library("erfc"))
lgamma = _define("lgamma", 1, _library("lgamma"))
sqrt = _define("sqrt", 1, _llvm("sqrt"), complexes=lambda z: cmath.sqrt(z))
rsqrt = _define("rsqrt", 1, _lane(lambda x: 1.0 / x.call("sqrt")), complexes=lambda z: 1 / cmath.sqrt(z))
cbrt = _define("cbrt", 1, _library("cbrt"))
atan2 = _define("atan2", 2, _library("atan2"))


def _complex_power(z: complex, w: complex) -> complex:
    if z == 0:
        return z * 0 + (1 if w == 0 else 0)
    return cmath.exp(w * cmath.log(z))


pow = _define("pow", 2, _library("pow"), complexes=_complex_power)
floor = _define("floor", 1, _llvm("floor"))
ceil = _define("ceil", 1, _llvm("ceil"))
round_even = _define("round_even", 1, _llvm("rint"))
round_away = _define("round_away", 1, _llvm("round"))
nextafter = _define("nextafter", 2, _library("nextafter"))


def _signed(kind: Any) -> bool:
    return isinstance(kind, types.Integer) and kind.signed


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
    lambda z: math.hypot(z.real, z.imag),
    lambda t: t.underlying_float if isinstance(t, types.Complex) else t,
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
    size = math.hypot(z.real, z.imag)
    return z if size == 0 else z / size


sign = _define("sign", 1, _lane(_float_sign), _integer_sign, _complex_sign)
square = _define(
    "square",
    1,
    _lane(lambda x: x * x),
    lambda builder, args, kind: builder.mul(args[0], args[0]),
    lambda z: z * z,
)
conj = _define("conj", 1, complexes=lambda z: z.conjugate())
is_finite = _define(
    "is_finite",
    1,
    lambda builder, args: (Lane(builder, args[0]).abs() < math.inf).value,
    result=lambda t: types.boolean,
)


def _quotient(z: complex, w: complex) -> complex:
    """By Smith's method, as NumPy. Nothing here divides by 0: Numba would raise an exception and end the kernel."""
    a, b = abs(w.real), abs(w.imag)
    if b > a:
        ratio = w.real / w.imag
        size = 1 / (w.imag + w.real * ratio)
        return complex((z.real * ratio + z.imag) * size, (z.imag * ratio - z.real) * size)
    if a == 0:
        inverse = math.inf if b == 0 else b
        return complex(z.real * inverse, z.imag * inverse)
    ratio = w.imag / w.real
    size = 1 / (w.real + w.imag * ratio)
    return complex((z.real + z.imag * ratio) * size, (z.imag - z.real * ratio) * size)


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


div = _define("div", 2, integers=lambda b, args, kind: _divided(b, args, kind, False), complexes=_quotient)
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


@intrinsic
def select(typing, predicate, on_true, on_false):
    """`on_true` where `predicate`, both evaluated."""

    def codegen(context, builder, signature, args):
        return builder.select(args[0], args[1], args[2])

    return on_true(types.boolean, on_true, on_true), codegen


@intrinsic
def complex(typing, real, imag):
    """The complex number of two parts."""
    kind = types.complex64 if real == types.float32 else types.complex128

    def codegen(context, builder, signature, args):
        number = context.make_complex(builder, kind)
        number.real, number.imag = args
        return number._getvalue()

    return kind(real, real), codegen


# Conversions.
def _bitcast(target: Any) -> Any:
    @intrinsic
    def bitcast(typing, x):
        def codegen(context, builder, signature, args):
            wanted = context.get_value_type(target)
            return args[0] if args[0].type == wanted else builder.bitcast(args[0], wanted)

        return target(x), codegen

    return bitcast


bitcast_f32, bitcast_f64 = _bitcast(types.float32), _bitcast(types.float64)
bitcast_i8, bitcast_u8 = _bitcast(types.int8), _bitcast(types.uint8)
bitcast_i16, bitcast_u16 = _bitcast(types.int16), _bitcast(types.uint16)
bitcast_i32, bitcast_u32 = _bitcast(types.int32), _bitcast(types.uint32)
bitcast_i64, bitcast_u64 = _bitcast(types.int64), _bitcast(types.uint64)
bitcast_f16 = bitcast_bf16 = bitcast_u16


def _to_integer(target: Any) -> Any:
    """Towards zero, limited to the range; NaN gives 0."""

    @intrinsic
    def convert(typing, x):
        def codegen(context, builder, signature, args):
            wanted = context.get_value_type(target)
            source = args[0].type
            sign, float_name = "si" if target.signed else "ui", "f32" if source == F32 else "f64"
            name = f"llvm.fpto{sign}.sat.i{target.bitwidth}.{float_name}"
            function = cgutils.get_or_insert_function(builder.module, ir.FunctionType(wanted, [source]), name)
            return builder.call(function, args)

        return target(x), codegen

    return convert


to_i8, to_u8 = _to_integer(types.int8), _to_integer(types.uint8)
to_i16, to_u16 = _to_integer(types.int16), _to_integer(types.uint16)
to_i32, to_u32 = _to_integer(types.int32), _to_integer(types.uint32)
to_i64, to_u64 = _to_integer(types.int64), _to_integer(types.uint64)


@intrinsic
def bf16_to_f32(typing, x):
    """The number whose upper half these bits are."""

    def codegen(context, builder, signature, args):
        wide = builder.zext(args[0], ir.IntType(32))
        return builder.bitcast(builder.shl(wide, ir.Constant(wide.type, 16)), F32)

    return types.float32(types.uint16), codegen


@intrinsic
def f32_to_bf16(typing, x):
    """Rounded to nearest, ties to even; NaN stays NaN."""

    def codegen(context, builder, signature, args):
        x = Lane(builder, args[0])
        bits = x.bits()
        rounded = bits + ((bits.logical_shift(16) & 1) + 0x7FFF)
        quiet = bits | 0x400000
        return builder.trunc(x.is_nan().where(quiet, rounded).logical_shift(16).value, ir.IntType(16))

    return types.uint16(types.float32), codegen


@intrinsic
def f16_to_f32(typing, x):
    """By shifting the exponent, which also normalises subnormal numbers."""

    def codegen(context, builder, signature, args):
        h = Lane(builder, builder.zext(args[0], ir.IntType(32)))
        magnitude = (h & 0x7FFF) << 13
        scaled = magnitude.from_bits(F32) * 2.0**112
        special = (magnitude | 0x7F800000).from_bits(F32)
        value = (magnitude >= 0x0F800000).where(special, scaled)
        return (value.bits() | ((h & 0x8000) << 16)).from_bits(F32).value

    return types.float32(types.uint16), codegen


@intrinsic
def f32_to_f16(typing, x):
    """Rounded to nearest, ties to even, with gradual underflow; NaN stays NaN."""

    def codegen(context, builder, signature, args):
        x = Lane(builder, args[0])
        sign_bit = (x.bits().logical_shift(16)) & 0x8000
        size = x.abs()
        bits = size.bits()
        normal = (bits + ((bits.logical_shift(13) & 1) + 0xFFF)).logical_shift(13) - 0x1C000
        subnormal = (size + 0.5).bits() - 0x3F000000  # adding 0.5 rounds to a multiple of 2**-24
        small = (bits < 0x38800000).where(subnormal, normal)
        limited = (bits >= 0x47800000).where(0x7C00, small)
        value = x.is_nan().where(0x7E00, limited) | sign_bit
        return builder.trunc(value.value, ir.IntType(16))

    return types.uint16(types.float32), codegen

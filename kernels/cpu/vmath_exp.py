"""Vector math: exponentials, logarithms, hyperbolic functions, powers and roots, as lane functions.

A function of `x` alone works in x's own type. One of `(kind, x)` gets x in float64 and computes to the
accuracy of `kind`: for float32 that means shorter polynomials, and an error of little more than half an
ulp.

Coefficients are near-minimax fits (Chebyshev, made with mpmath at 60 digits); reductions are those of
Muller, "Elementary Functions", 3rd ed.
"""

from __future__ import annotations

import math

from .lanes import BIAS, F32, F64, MANTISSA, Lane, exact_product, exact_sum, power_of_two

LN2_HI = {F32: 0.693359375, F64: 6.93147180369123816490e-01}
LN2_LO = {F32: -2.12194440054690583e-04, F64: 1.90821492927058770002e-10}
_EXP = {
    F32: [0.5000000013457727153, 0.16666666681614255706, 0.041666465006040048761, 0.0083333109344488684687,
          0.001393364103198670115, 0.00019890980869750325563],
    F64: [0.5, 0.16666666666666670986, 0.041666666666666669752, 0.008333333333326140884,
          0.0013888888888883752417, 0.00019841269874800491981, 0.000024801587325533363819,
          2.7557255425746434282e-6, 2.7557273661348636219e-7, 2.5105206373957011116e-8,
          2.09146793765839351e-9],
}  # fmt: skip
_EXP_SHORT = [0.500000001353873, 0.16666666681704215, 0.04166646419740569, 0.008333310844647862,
              0.0013933730715792083, 0.00019891080463998843]  # fmt: skip
_LOG = {
    F32: [0.66666685039575855022, 0.39988780566021981899, 0.29579949391972784709],
    F64: [0.66666666666666696862, 0.3999999999989950449, 0.28571428625975484921, 0.22222211134795079855,
          0.1818288912526172208, 0.15331721600556041269, 0.1461644968504340586],
}  # fmt: skip
_LOG_SHORT = [0.6666666655404201, 0.4000012221181065, 0.28550778633191964, 0.23331614471843498]  # fmt: skip
_LOG_LONG = [0.4, 0.2857142857142937, 0.22222222221652765, 0.18181818336099848, 0.1538459488700718,
             0.1333480879881234, 0.11706126464563398, 0.11724327060846747]  # fmt: skip
_SINH = {
    F32: [0.16666666646842135, 0.00833333967591706, 0.00019838101968683888, 2.8062802582276946e-06],
    F64: [0.16666666666666666, 0.008333333333333299, 0.00019841269841324198,
          2.7557319191381816e-06, 2.5052117695907823e-08, 1.6057679623801638e-10,
          7.746178593018827e-13],
}  # fmt: skip
_TANH = {
    F32: [-0.3333333317214036, 0.1333330355691574, -0.053959259577204544, 0.02176891865102821,
          -0.008343945515839153, 0.002292744816178142],
    F64: [-0.3333333333333333, 0.13333333333333333, -0.053968253968253076, 0.021869488536096472,
          -0.008863235527882459, 0.0035921279948771647, -0.0014558338279042078,
          0.0005900223329023258, -0.00023909642770594748, 9.676689210002811e-05,
          -3.879904218166128e-05, 1.4832897548417558e-05, -4.770834648519767e-06,
          9.171549402654542e-07],
}  # fmt: skip
_CBRT = [0.5557909602691388, 0.5808263911380952, -0.1586624600531909, 0.022148699208245196]  # fmt: skip
_OVERFLOW = {F32: 89.0, F64: 710.0}
_UNDERFLOW = {F32: -104.0, F64: -746.0}
_MINUS_ONE = -50.0
"""Up to here expm1 is -1."""


# Exponentials.
def _reduced_exp(x: Lane, low: Lane | None = None) -> tuple[Lane, Lane, Lane]:
    """n, r and (e**r - 1 - r) with x + low = n ln 2 + r; x is within the finite range, or NaN."""
    kind = x.type
    n, whole = x.rounded(1 / math.log(2))
    r = n.fma(-LN2_HI[kind], x)
    r = n.fma(-LN2_LO[kind], r)
    if low is not None:
        r = r + low
    return whole, r, r * r * r.polynomial(_EXP[kind])


def _limited(x: Lane, low: float, instead: float) -> Lane:
    """x where exp is finite and x at least `low`, `instead` below that; NaN stays."""
    high = _OVERFLOW[x.type]
    return (x < low).where(instead, (x > high).where(high, x))


def exp(x: Lane, low: Lane | None = None) -> Lane:
    """e**(x + low), for a small correction low.

    What is certain to underflow, as masked scores of attention are, is left out of the arithmetic: a product that
    underflows takes a processor many times as long as any other.
    """
    least = _UNDERFLOW[x.type]
    n, r, rest = _reduced_exp(_limited(x, least, 0.0), low)
    return (x < least).where(0.0, (r + rest + 1.0).times_power_of_two(n))


def exp_short(kind: object, x: Lane) -> Lane:
    """e**x in float64, for results that will be rounded to `kind`."""
    if kind == F64:
        return exp(x)
    x = (x < -200.0).where(-200.0, (x > 200.0).where(200.0, x))
    n, whole = x.rounded(1 / math.log(2))
    r = n.fma(-math.log(2), x)
    return (r + r * r * r.polynomial(_EXP_SHORT) + 1.0) * power_of_two(whole, F64)


def exp2(x: Lane) -> Lane:
    kind = x.type
    least, bound = -float(BIAS[kind] + MANTISSA[kind]), 2.0 * BIAS[kind]
    inside = (x < least).where(0.0, (x > bound).where(bound, x))
    n, whole = inside.rounded()
    r = (inside - n) * math.log(2)
    value = (r + r * r * r.polynomial(_EXP[kind]) + 1.0).times_power_of_two(whole)
    return (x < least).where(0.0, value)


def expm1(x: Lane) -> Lane:
    n, r, rest = _reduced_exp(_limited(x, _MINUS_ONE, _MINUS_ONE))
    scale = power_of_two(n - 1, x.type)
    big = ((r + rest) * scale + (scale - 0.5)) * 2.0
    large = n > MANTISSA[x.type] + 10
    value = large.where((r + rest + 1.0).times_power_of_two(n), big)
    low = n < -(MANTISSA[x.type] + 5)
    value = low.where(-1.0, n.equals(0).where(r + rest, value))
    return (x.is_nan() | x.equals(0.0)).where(x, value)


def logistic(x: Lane) -> Lane:
    e = exp(-x.abs())
    return (x >= 0.0).where(1.0, e) / (e + 1.0)


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
    return k.small_to_float(kind), m - 1.0


def _log_of_parts(k: Lane, f: Lane, c: Lane | None = None) -> Lane:
    """k ln 2 + log(1 + f) + c, for a small correction c."""
    kind = f.type
    s = f / (f + 2.0)
    z = s * s
    r = z * z.polynomial(_LOG[kind])
    half = f * f * 0.5
    low = k * LN2_LO[kind]
    if c is not None:
        low = low + c
    return k * LN2_HI[kind] - ((half - (s * (half + r) + low)) - f)


def _log_ends(x: Lane, value: Lane) -> Lane:
    """The logarithm `value`, put right where x is not positive and finite."""
    value = x.equals(0.0).where(-math.inf, value)
    value = x.equals(math.inf).where(math.inf, value)
    return (x < 0.0).where(math.nan, x.is_nan().where(x, value))


def log(x: Lane) -> Lane:
    return _log_ends(x, _log_of_parts(*_log_parts(x)))


def log1p(x: Lane) -> Lane:
    u = x + 1.0
    rounding = (x > 1.0).where(1.0 - (u - x), x - (u - 1.0)) / u
    k, f = _log_parts(u)
    value = _log_of_parts(k, k.equals(0.0).where(u - 1.0, f), rounding)
    value = (x.abs() < 2.0 ** -(MANTISSA[x.type] + 2)).where(x, value)
    value = u.equals(0.0).where(-math.inf, value)
    value = x.equals(math.inf).where(math.inf, value)
    return (u < 0.0).where(math.nan, x.is_nan().where(x, value))


def log_short(x: Lane) -> Lane:
    """log(x) in float64 to a relative 2**-34, for normal x >= 0."""
    k, f = _log_parts(x)
    s = f / (f + 2.0)
    z = s * s
    return _log_ends(x, k.fma(math.log(2), s * 2.0 + s * z * z.polynomial(_LOG_SHORT)))


def _log_of_base(kind: object, x: Lane, by: tuple[float, float], k_by: tuple[float, float]) -> Lane:
    """k k_by + log(1 + f) by; each factor in two parts."""
    k, f = _log_parts(x)
    if kind == F32:
        s = f / (f + 2.0)
        z = s * s
        value = k.fma(k_by[0], (s * 2.0 + s * z * z.polynomial(_LOG_SHORT)) * by[0])
        return _log_ends(x, value)
    high, low = _log_of_mantissa(f)
    product, rest = exact_product(high, high.constant(by[0]))
    rest = rest + (low * by[0] + high * by[1])
    total, lost = exact_sum(k * k_by[0], product)
    return _log_ends(x, total + (lost + (rest + k * k_by[1])))


def log2(kind: object, x: Lane) -> Lane:
    return _log_of_base(kind, x, (1.4426950408889634, 2.0355273740931033e-17), (1.0, 0.0))


def log10(kind: object, x: Lane) -> Lane:
    by, k_by = (0.4342944819032518, 1.098319650216765e-17), (0.3010299956640665, -8.532344317057107e-14)
    return _log_of_base(kind, x, by, k_by)


def _log_of_mantissa(f: Lane) -> tuple[Lane, Lane]:
    """log(1 + f) in two parts, to about 2**-66, for f from sqrt(1/2) - 1 to sqrt(2) - 1."""
    d = f + 2.0
    d_low = (2.0 - d) + f
    s = f / d
    product, rest = exact_product(s, d)
    s_low = (((f - product) - rest) - s * d_low) / d
    z, z_low = exact_product(s, s)
    z_low = z_low + s * s_low * 2.0
    u = z * z.polynomial(_LOG_LONG)
    c = u + 0.6666666666666666
    c_low = (0.6666666666666666 - c) + u + 3.700743415417188e-17
    w, w_low = exact_product(z, c)
    w_low = w_low + (z * c_low + z_low * c)
    t, t_low = exact_product(s, w)
    t_low = t_low + (s * w_low + s_low * w)
    high, low = exact_sum(s * 2.0, t)
    return high, low + (s_low * 2.0 + t_low)


# Powers and roots.
def pow(kind: object, x: Lane, y: Lane) -> Lane:
    """x**y as IEEE 754 has it: 1 for y = 0 and for x = 1 even beside NaN; NaN for x < 0 unless y is whole."""
    size = x.abs()
    if kind == F32:
        value = exp_short(kind, y * log_short(size))
    else:
        k, f = _log_parts(size)
        m, m_low = _log_of_mantissa(f)
        high, low = exact_sum(k * LN2_HI[F64], m)
        low = low + (m_low + k * LN2_LO[F64])
        total = high + low
        low = (high - total) + low
        high = _log_ends(size, total)
        end = 2.0**900  # above it splitting would overflow; the result has long done so
        bounded = (y.abs() < end).where(y, y.constant(end).copysign(y))
        product, rest = exact_product(bounded, high)
        rest = rest + bounded * low
        safe = product.abs() < 800.0
        value = exp(product, safe.where(rest, 0.0))
    whole = y.call("rint").equals(y)
    half = y * 0.5
    odd = whole & half.call("rint").equals(half).negated()
    value = ((x.bits() < 0) & odd).where(-value, value)
    undefined = (x < 0.0) & whole.negated() & (size < math.inf)
    value = undefined.where(math.nan, value)
    one = y.equals(0.0) | x.equals(1.0) | (size.equals(1.0) & y.abs().equals(math.inf))
    return one.where(1.0, (x.is_nan() | y.is_nan()).where(x + y, value))


def cbrt(kind: object, x: Lane) -> Lane:
    """A cubic for the mantissa, Halley's method; in float64 a last step of Newton's with the exact
    residual."""
    size = x.abs()
    tiny = size < 2.0**-1000
    scaled = tiny.where(size * 2.0**54, size)
    biased = scaled.bits() >> 52
    m = ((scaled.bits() & 0xFFFFFFFFFFFFF) | (1023 << 52)).from_bits(F64)
    e = (biased - 1023).small_to_float(F64)
    third, whole = (e - 1.0).rounded(1 / 3)
    left = e - third * 3.0
    one, two = left.equals(1.0), left.equals(2.0)
    y = m.polynomial(_CBRT) * one.where(2 ** (1 / 3), two.where(4 ** (1 / 3), left.constant(1.0)))
    m = m * one.where(2.0, two.where(4.0, left.constant(1.0)))
    cube = y * y * y
    y = y * (cube + m * 2.0) / (cube * 2.0 + m)
    if kind == F64:
        square, square_low = exact_product(y, y)
        cube, cube_low = exact_product(square, y)
        y = y + ((m - cube) - (cube_low + square_low * y)) / (square * 3.0)
    value = y * power_of_two(whole, F64)
    value = tiny.where(value * 2.0**-18, value).copysign(x)
    special = x.equals(0.0) | (size < math.inf).negated()
    return special.where(x, value)


# Hyperbolic functions.
def sinh(kind: object, x: Lane) -> Lane:
    size = x.abs()
    z = size * size
    near = (size * z).fma(z.polynomial(_SINH[kind]), size)
    half = _half_exp(kind, size)
    return (size < 1.0).where(near, half - 0.25 / half).copysign(x)


def cosh(kind: object, x: Lane) -> Lane:
    half = _half_exp(kind, x.abs())
    return half + 0.25 / half


def _half_exp(kind: object, x: Lane) -> Lane:
    """e**x / 2, for x >= 0."""
    if kind == F32:
        return exp_short(kind, x) * 0.5
    x = (x > 720.0).where(720.0, x)
    n, whole = x.rounded(1 / math.log(2))
    r = n.fma(-LN2_LO[F64], n.fma(-LN2_HI[F64], x))
    return (r + r * r * r.polynomial(_EXP[F64]) + 1.0).times_power_of_two(whole - 1)


def tanh(x: Lane) -> Lane:
    kind = x.type
    end = {F32: 9.5, F64: 20.0}[kind]
    size = x.abs()
    z = size * size
    near = (size * z).fma(z.polynomial(_TANH[kind]), size)
    n, r, rest = _reduced_exp((size > end).where(end, size) * 2.0)
    scale = power_of_two(n, kind)
    far = 1.0 - 2.0 / ((r + rest).fma(scale, scale) + 1.0)
    return (size < 0.625).where(near, far).copysign(x)


_NEAR_ZERO = 2.0**-6
"""Below this, three terms of a series are enough for float32; above, log(1 + x) in float64."""


def asinh(kind: object, x: Lane) -> Lane:
    size = x.abs()
    if kind == F32:
        z = size * size
        far = log_short(size + (z + 1.0).call("sqrt"))
        near = size + size * z * z.polynomial([-1 / 6, 3 / 40])
        return (size < _NEAR_ZERO).where(near, far).copysign(x)
    huge = size > 2.0**28
    bounded = huge.where(0.0, size)
    z = bounded * bounded
    value = log1p(huge.where(size - 1.0, size + z / ((z + 1.0).call("sqrt") + 1.0)))
    return huge.where(value + math.log(2), value).copysign(x)


def acosh(kind: object, x: Lane) -> Lane:
    t = x - 1.0
    if kind == F32:
        return (x < 1.0).where(math.nan, log_short(x + (t * (x + 1.0)).call("sqrt")))
    huge = x > 2.0**28
    bounded = huge.where(0.0, t)
    root = (bounded * 2.0 + bounded * bounded).call("sqrt")
    value = log1p(t + root)
    return (x < 1.0).where(math.nan, huge.where(value + math.log(2), value))


def atanh(kind: object, x: Lane) -> Lane:
    size = x.abs()
    if kind == F32:
        z = size * size
        far = log_short((size + 1.0) / (1.0 - size)) * 0.5
        near = size + size * z * z.polynomial([1 / 3, 1 / 5])
        return (size < _NEAR_ZERO).where(near, far).copysign(x)
    return (log1p(size * 2.0 / (1.0 - size)) * 0.5).copysign(x)

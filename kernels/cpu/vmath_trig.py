"""Vector math: trigonometric functions and their inverses, as lane functions (vmath_exp has the convention).

Arguments are reduced by pi/2 in three parts (Cody and Waite), which is good for |x| up to `_REDUCIBLE`.
Larger ones are rare: they are left to the C library, in a way that keeps the loop vectorized (see rare.py).
"""

from __future__ import annotations

import math

from .lanes import F32, F64, HAS_FMA, I32, Lane, exact_product, exact_sum
from .rare import where_large

_SIN = {
    F32: [-0.1666666666381008, 0.008333331857164982, -0.0001984007727607258,
          2.7248701708232046e-06],
    F64: [-0.16666666666666666, 0.008333333333333331, -0.00019841269841264968,
          2.755731921926441e-06, -2.5052106206531682e-08, 1.605852751943773e-10,
          -7.586455940017973e-13],
}  # fmt: skip
_COS = {
    F32: [0.041666666664283473, -0.001388888765737401, 2.4800592482329196e-05,
          -2.7299937534284773e-07],
    F64: [0.041666666666666664, -0.0013888888888887367, 2.480158729872029e-05,
          -2.7557317248229367e-07, 2.0876141380294955e-09, -1.1382280957702634e-11],
}  # fmt: skip
_SIN_NARROW = [-0.1666666466231437862, 0.0083327482706297494849, -0.00019587890880412385786]
_COS_NARROW = [0.041666664659502206772, -0.0013888303035894866037, 0.000024547942085071572513]
_ATAN = {
    F32: [-0.33333330717249793, 0.1999931443181503, -0.14256567244826554, 0.10668310584673686,
          -0.06215589114146553],
    F64: [-0.33333333333333326, 0.19999999999987758, -0.14285714283146547, 0.11111110900409805,
          -0.09090900190075156, 0.07692087234595789, -0.06663237858076355, 0.05847713503311183,
          -0.050338901748429754, 0.037823856862431886, -0.017545740588500107],
}  # fmt: skip
_ASIN = {
    F32: [0.16666666686085643, 0.07499992404401838, 0.04464766388813485, 0.030269138728589183,
          0.023611817008891752, 0.010574415516912909, 0.030974540371355073],
    F64: [0.16666666666666666, 0.07500000000000118, 0.044642857142551895, 0.03038194447553234,
          0.02237215744350722, 0.017352816540325496, 0.01396378001220357, 0.011566459612121669,
          0.009621842970100282, 0.009319560794767446, 0.0030448799094556773, 0.019554513336123378,
          -0.01924167174674304, 0.02961201126495512],
}  # fmt: skip

# pi/2 in three parts. k times the first must be exact where it is subtracted: always so with a fused
# multiply-add; without one the first two parts have 33 bits and |k| is below 2**20.
if HAS_FMA:
    _PI_2 = (1.5707963267948966, 6.123233995736766e-17, -1.4973849048591698e-33)
    _REDUCIBLE = 2.0**40
else:
    _PI_2 = (1.5707963267341256, 6.077100506303966e-11, 2.0222662487959506e-21)
    _REDUCIBLE = 2.0**20
_PI_2_HI, _PI_2_LO = 1.5707963267948966, 6.123233995736766e-17


def _reduced(kind: object, x: Lane) -> tuple[Lane, Lane, Lane | None]:
    """q, r and a correction of r with x = q pi/2 + r, q modulo 4 as int32."""
    k, whole = x.rounded(2 / math.pi)
    quadrant = whole.truncated(I32)
    first = k.fma(-_PI_2[0], x)
    if kind == F32:
        return quadrant, k.fma(-_PI_2[1], first), None
    product, rest = exact_product(k, k.constant(_PI_2[1]))
    r, low = exact_sum(first, -product)
    return quadrant, r, low - (rest + k * _PI_2[2])


def _sine(kind: object, r: Lane, low: Lane | None) -> Lane:
    z = r * r
    value = r * z * z.polynomial(_SIN[kind])
    return r + (value if low is None else value + low * (1.0 - z * 0.5))


def _cosine(kind: object, r: Lane, low: Lane | None) -> Lane:
    z = r * r
    half = z * 0.5
    w = 1.0 - half
    value = z * z * z.polynomial(_COS[kind])
    if low is None:
        return w + value
    return w + (((1.0 - w) - half) + (value - r * low))


def _sin_cos(x: Lane, quarter: int) -> Lane:
    """sin(x + quarter pi/2)."""
    if x.type == F32:
        q, r, _ = _reduced(F32, x.to_float(F64))
        narrow = r.to_float(F32)
        r, low = narrow, (r - narrow.to_float(F64)).to_float(F32)
        z = r * r
        sine = (z * r).fma(z.polynomial(_SIN_NARROW), low) + r
        half = z * 0.5
        w = 1.0 - half
        cosine = ((1.0 - w) - half + (z * z * z.polynomial(_COS_NARROW) - r * low)) + w
    else:
        q, r, low = _reduced(F64, x)
        sine, cosine = _sine(F64, r, low), _cosine(F64, r, low)
    q = q + quarter
    value = (q & 1).equals(0).where(sine, cosine)
    value = (q & 2).equals(0).where(value, -value)
    if not quarter:
        value = x.equals(0.0).where(x, value)
    return where_large(x, value, _REDUCIBLE, "cos" if quarter else "sin")


def sin(x: Lane) -> Lane:
    return _sin_cos(x, 0)


def cos(x: Lane) -> Lane:
    return _sin_cos(x, 1)


def tan(kind: object, x: Lane) -> Lane:
    return where_large(x, reducible_tan(kind, x), _REDUCIBLE, "tan")


def reducible_tan(kind: object, x: Lane) -> Lane:
    """tan(x), |x| <= _REDUCIBLE."""
    q, r, low = _reduced(kind, x)
    sine, cosine = _sine(kind, r, low), _cosine(kind, r, low)
    odd = (q & 1).equals(1)
    value = odd.where(-cosine, sine) / odd.where(sine, cosine)
    return x.equals(0.0).where(x, value)


def atan(kind: object, x: Lane) -> Lane:
    """Shifted to one of the points atan(0, 1/2, 1, 3/2, infinity), as Moshier and fdlibm do."""
    size = x.abs()
    above, below = size.constant(-1.0), size
    high, low = size.constant(_PI_2_HI), size.constant(_PI_2_LO)
    for limit, c, hi, lo in (
        (39 / 16, 1.5, 0.982793723247329, 1.3903311031230998e-17),
        (19 / 16, 1.0, 0.7853981633974483, 3.061616997868383e-17),
        (11 / 16, 0.5, 0.4636476090008061, 2.2698777452961687e-17),
        (7 / 16, 0.0, 0.0, 0.0),
    ):
        within = size < limit
        above = within.where(size - c, above)
        below = within.where(size * c + 1.0, below)
        high = within.where(hi, high)
        low = within.where(lo, low)
    t = above / below
    z = t * t
    value = high + (t * z * z.polynomial(_ATAN[kind]) + low + t)
    return x.is_nan().where(x, value.copysign(x))


def atan2(kind: object, y: Lane, x: Lane) -> Lane:
    size_y, size_x = y.abs(), x.abs()
    same = size_y.equals(size_x) & (size_x.equals(0.0) | size_x.equals(math.inf))
    ratio = same.where(size_x.equals(0.0).where(0.0, size_x.constant(1.0)), size_y / size_x)
    angle = atan(kind, ratio)
    angle = (x.bits() < 0).where(math.pi - (angle - 2 * _PI_2_LO), angle)
    return (x.is_nan() | y.is_nan()).where(x + y, angle.copysign(y))


def _arc(kind: object, size: Lane) -> tuple[Lane, Lane, Lane]:
    """Is size < 1/2?, and asin(size) or else asin(sqrt((1 - size)/2)), in two parts."""
    small = size < 0.5
    z = small.where(size * size, (1.0 - size) * 0.5)
    root = z.call("sqrt")
    s = small.where(size, root)
    rest = s * z * z.polynomial(_ASIN[kind])
    if kind == F64:
        square, low = exact_product(root, root)
        rest = rest + small.where(0.0, ((z - square) - low) / (root * 2.0 + 1e-300))
    return small, s, rest


def asin(kind: object, x: Lane) -> Lane:
    small, s, rest = _arc(kind, x.abs())
    far = _PI_2_HI - (s * 2.0 + (rest * 2.0 - _PI_2_LO))
    return small.where(s + rest, far).copysign(x)


def acos(kind: object, x: Lane) -> Lane:
    small, s, rest = _arc(kind, x.abs())
    middle = _PI_2_HI - (x - (_PI_2_LO - rest.copysign(x)))
    twice = (s + rest) * 2.0
    below = math.pi - (s * 2.0 + (rest * 2.0 - 2 * _PI_2_LO))
    return small.where(middle, (x < 0.0).where(below, twice))

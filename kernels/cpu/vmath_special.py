"""Vector math: erf and its kin, and digamma, as lane functions (see vmath_exp for the convention)."""

from __future__ import annotations

import math

from .lanes import F32, F64, Lane, exact_product
from .vmath_exp import exp, exp_short, log, log_short
from .vmath_trig import reducible_tan

_ERF_NARROW = [0.12837916584835094603, -0.37612626666720331023, 0.11283594715160217732,
               -0.026854212010626412443, 0.0051890874234339739861, -0.00080168642871658695293,
               0.000078758750626854883411]  # fmt: skip
# The square root of erfc(x) in x - 1.5, for x from 1 to 3.95, fitted so that the error of its square is even (1.2e-8).
_ROOT_ERFC = [0.184105573418, -0.32299453001, 0.201159715696, -0.0239185906323, -0.0307055554435,
              0.0126448174887, 0.00153356859802, -0.00204472113711, 0.000371648543188,
              3.28500672345e-05, -1.19914640217e-05]  # fmt: skip
_ERF_ONE = 3.95
_ERF = {
    F32: [0.12837916706154343, -0.3761263846802871, 0.11283782495236845, -0.026865430727670243,
          0.005221031807858023, -0.0008484080405535107, 0.00011265959025606609,
          -9.667044571486996e-06],
    F64: [0.1283791670955126, -0.37612638903183754, 0.1128379167095512, -0.02686617064512984,
          0.0052239776254232985, -0.000854832702193483, 0.00012055332902888736,
          -1.4925647567519332e-05, 1.6462045441468418e-06, -1.6364642158167616e-07,
          1.4792401209404813e-08, -1.216456005728345e-09, 8.709045129053106e-11,
          -4.230945824295338e-12],
}  # fmt: skip
# e**(x*x) erfc(x) (1 + 2x) in (x - 2)/(x + 2), for x from 1/2 to 28 (10.3 in float32).
_SCALED_ERFC = {
    F32: [1.2769783815986493, -0.0927638257903998, -0.1660304049440455, 0.16405122739685052,
          -0.05421981244335129, -0.008033045438099703, 0.00872089232167515, 0.0012638147240956504,
          -0.0014495800895301997, -0.0004262727515237033, 0.00019420120620771415,
          0.00010078480287344277],
    F64: [1.2769783815525286, -0.09276382658574606, -0.16603039761528912, 0.1640512800334517,
          -0.054220000992067315, -0.008034015082937817, 0.008722653877066427, 0.0012713389783124986,
          -0.0014568139786800675, -0.00045434098947545927, 0.00020636764451044978,
          0.00015104031690645124, -1.5135227382700147e-06, -3.6427733942614585e-05,
          -1.3473053690458942e-05, 3.716286146463672e-06, 5.156486788324917e-06,
          1.5266640387417878e-06, -5.582483769850637e-07, -9.466349831960555e-07,
          -4.0756638097851463e-07, 3.32172175901177e-07, 2.0272011008241793e-07,
          -1.0763374723185795e-07],
}  # fmt: skip
_ERFC_END = {F32: 10.3, F64: 28.0}
# erf_inv(x) / x by w = -log(1 - x*x): in w up to 5, in sqrt(w) up to 4.05, in sqrt(w) beyond.
_ERF_INV = [0.8862269294433731, 0.23201347310748227, 0.011550900732630565, -0.0023400270757833017,
            -0.00012002570136587074, 3.8981637368426895e-05, 6.531430799205241e-06,
            -2.696533465757212e-06, 3.440101487642903e-07, -2.0418841975426785e-08,
            4.671932509038665e-10]  # fmt: skip
_ERF_INV_MIDDLE = [-2.890106467450771, 12.18241186240209, -16.77475787063785, 13.332917050435547,
                   -6.33392649755726, 1.8249549797382993, -0.2790885450418384,
                   0.0016586120936742624, 0.008257658315715937, -0.0016349765005637237,
                   0.00014342337668247376, -5.047794498308319e-06]  # fmt: skip
_ERF_INV_TAIL = [0.20536981493882137, 0.5038371160375102, 0.28345842023048445, -0.0934391065948245,
                 0.019801454250352082, -0.002747801174871014, 0.00024238728071924206,
                 -1.2370333015997175e-05, 2.787317637307952e-07]  # fmt: skip
# digamma(root + t) / t, for arguments from 1 to 2; the terms of its asymptotic series in 1/x**2. The sum of
# 1/(x + k), k < 10, divided by 2x + 9, is a quotient in q = x(x + 9): k and 9 - k meet as 1/(q + k(9 - k)).
_DIGAMMA_ROOT = (1.4616321449683622, 9.549995429965697e-17)
_DIGAMMA = [0.9676722454476212, -0.4427631689835914, 0.25849976095565563, -0.1639427054426265,
            0.10782405069065971, -0.0721995612356164, 0.048804288190805185, -0.03316112738169898,
            0.022597647814121668, -0.015424744215800795, 0.010538789572265207,
            -0.0072048450468288165, 0.004926941541148402, -0.0033670406822440104,
            0.0023027405582980833, -0.0015920777205571531, 0.0010967565208276375,
            -0.0006899264421748512, 0.0004307849061010822, -0.0004170752043001992,
            0.0003925218779784536, -0.00016192228705768594]  # fmt: skip
_TEN_STEPS = [40320.0, 24352.0, 3924.0, 240.0, 5.0], [0.0, 40320.0, 12176.0, 1308.0, 60.0, 1.0]
_DIGAMMA_SERIES = [1 / 12, -1 / 120, 1 / 252, -1 / 240, 1 / 132, -691 / 32760, 1 / 12]


def _erf_near(kind: object, x: Lane) -> Lane:
    """erf(x), |x| <= 1."""
    z = x * x
    return x.fma(z.polynomial(_ERF[kind]), x)


def _erfc_far(kind: object, x: Lane) -> Lane:
    """erfc(x), x >= 1/2."""
    end = _ERFC_END[kind]
    x = (x > end).where(end, x)
    t = (x - 2.0) / (x + 2.0)
    scaled = t.polynomial(_SCALED_ERFC[kind]) / (x * 2.0 + 1.0)
    if kind == F32:
        return exp_short(kind, -(x * x)) * scaled
    square, low = exact_product(x, x)
    return exp(-square, -low) * scaled


def erf(x: Lane) -> Lane:
    size = x.abs()
    if x.type == F32:
        z = x * x
        near = x.fma(z.polynomial(_ERF_NARROW), x)
        bounded = (size > _ERF_ONE).where(_ERF_ONE, size)
        root = (bounded - 1.5).polynomial(_ROOT_ERFC)
        far = (-root).fma(root, 1.0)
    else:
        near = _erf_near(F64, x)
        far = x.is_nan().where(x, 1.0 - _erfc_far(F64, size))
    return (size <= 1.0).where(near, far).copysign(x)


def erfc(kind: object, x: Lane) -> Lane:
    size = x.abs()
    far = _erfc_far(kind, size)
    far = (x < 0.0).where(2.0 - far, far)
    return (size < 0.5).where(1.0 - _erf_near(kind, x), x.is_nan().where(x, far))


def erf_inv(kind: object, x: Lane) -> Lane:
    """Polynomials in the logarithm of 1 - x*x (Giles, 2010); in float64 then one step of Halley's method."""
    size = x.abs()
    inside = size < 1.0
    safe = inside.where(size, 0.0)
    rest = (1.0 - safe) * (safe + 1.0)
    w = -(log_short(rest) if kind == F32 else log(rest))
    root = w.call("sqrt")
    y = (w < 5.0).where(w.polynomial(_ERF_INV), root.polynomial(_ERF_INV_MIDDLE))
    if kind == F64:
        y = (root > 4.05).where(root.polynomial(_ERF_INV_TAIL), y)
    y = y * safe
    if kind == F64:
        excess = (y < 0.9).where(_erf_near(F64, y) - safe, (1.0 - safe) - _erfc_far(F64, y))
        step = excess * (0.5 * math.sqrt(math.pi)) * exp(y * y)
        y = y - step / (y * step + 1.0)
    end = size.equals(1.0).where(math.inf, size.constant(math.nan))
    return inside.where(y, end).copysign(x)


def digamma(kind: object, x: Lane) -> Lane:
    """A polynomial about the positive root for 1 to 2, and one step away from there up to 3; beyond, the
    asymptotic series, ten steps higher up for less than 10; reflection below 0."""
    reflected = x < 0.0
    start = reflected.where(1.0 - x, x)
    low = start < 10.0
    q = start * (start + 9.0)
    steps = (start * 2.0 + 9.0) * q.polynomial(_TEN_STEPS[0]) / q.polynomial(_TEN_STEPS[1])
    y = low.where(start + 10.0, start)
    inverse = 1.0 / y
    z = inverse * inverse
    logarithm = log_short(y) if kind == F32 else log(y)
    value = logarithm - (inverse * 0.5 + z * z.polynomial(_DIGAMMA_SERIES)) - low.where(steps, 0.0)
    below, above = start < 1.01, start > 2.0
    base = below.where(start + 1.0, above.where(start - 1.0, start))
    t = (base - _DIGAMMA_ROOT[0]) - _DIGAMMA_ROOT[1]
    step = 1.0 / below.where(-start, base)
    near = t * t.polynomial(_DIGAMMA) + (below | above).where(step, 0.0)
    value = (start < 3.0).where(near, value)
    whole = x.call("rint")
    value = reflected.where(value - math.pi / reducible_tan(kind, (x - whole) * math.pi), value)
    value = (reflected & whole.equals(x)).where(math.nan, value)
    return x.equals(0.0).where(x.constant(-math.inf).copysign(-x), value)


_SCALES = {F32: (2.0**60, 2.0**-66, 2.0**100), F64: (2.0**500, 2.0**-600, 2.0**700)}
"""A size that is too large to be squared, where its inverse is too small; factors for such sizes."""


def magnitude(x: Lane, y: Lane) -> Lane:
    """sqrt(x*x + y*y) without overflow; infinite where either is, even beside a NaN."""
    limit, down, up = _SCALES[x.type]
    a, b = x.abs(), y.abs()
    size = (a > b).where(a, b)
    large, small = size > limit, size < 1 / limit
    factor = large.where(x.constant(down), small.where(x.constant(up), x.constant(1.0)))
    back = large.where(x.constant(1 / down), small.where(x.constant(1 / up), x.constant(1.0)))
    a, b = a * factor, b * factor
    result = (a * a + b * b).call("sqrt") * back
    infinite = x.abs().equals(math.inf) | y.abs().equals(math.inf)
    return infinite.where(x.constant(math.inf), result)

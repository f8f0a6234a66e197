"""Vector math: the functions of complex numbers that Python's cmath lacks, or loses digits in.

Division is written in lanes. The rest is plain Python, which Numba compiles. Nothing there divides by 0: Numba would
raise an exception, and a kernel that raises leaves the rest of its output unwritten.
"""

from __future__ import annotations

import cmath
import math

from .lanes import F64, Lane

LN2 = math.log(2.0)


def quotient_of_parts(zr: Lane, zi: Lane, wr: Lane, wi: Lane) -> tuple[Lane, Lane]:
    """`quotient` in lanes, without branches: the numbers that it gives."""
    a, b = wr.abs(), wi.abs()
    imaginary = b > a
    large, small = imaginary.where(wi, wr), imaginary.where(wr, wi)
    ratio = small / large
    size = 1.0 / (large + small * ratio).to_float(F64)
    re = (imaginary.where(zr, zi) * ratio + imaginary.where(zi, zr)).to_float(F64) * size
    turned = imaginary.where(zi, zr) * ratio
    im = imaginary.where(turned - zr, zi - turned).to_float(F64) * size
    inverse = (b.equals(0.0)).where(math.inf, b).to_float(F64)
    by_zero = a.equals(0.0) & imaginary.negated()
    parts = by_zero.where(zr.to_float(F64) * inverse, re), by_zero.where(zi.to_float(F64) * inverse, im)
    return parts[0].to_float(zr.type), parts[1].to_float(zr.type)


def quotient(z: complex, w: complex) -> complex:
    """z / w by Smith's method, with the infinities and NaN that NumPy gives."""
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


def exp(z: complex) -> complex:
    """The zero of a real argument is not multiplied by the infinity of a large one, here and in `sinh` to `cos`."""
    return complex(math.exp(z.real), z.imag) if z.imag == 0 else cmath.exp(z)


def sinh(z: complex) -> complex:
    return complex(math.sinh(z.real), z.imag) if z.imag == 0 else cmath.sinh(z)


def cosh(z: complex) -> complex:
    if z.imag == 0:
        return complex(math.cosh(z.real), math.copysign(1.0, z.real) * z.imag)
    return cmath.cosh(z)


def sin(z: complex) -> complex:
    turned = sinh(complex(-z.imag, z.real))
    return complex(turned.imag, -turned.real)


def cos(z: complex) -> complex:
    return cosh(complex(-z.imag, z.real))


def exp2(z: complex) -> complex:
    """2 to the power z; an infinite real part is not multiplied by a zero."""
    return exp(complex(z.real * LN2, z.imag * LN2))


def expm1(z: complex) -> complex:
    """exp(z) - 1, whose real part is expm1(x) cos(y) - 2 sin(y/2)**2."""
    whole = exp(z)
    if abs(z.real) > 1 or not abs(z.imag) < 1:
        return complex(whole.real - 1, whole.imag)
    half = math.sin(z.imag / 2)
    return complex(math.expm1(z.real) * math.cos(z.imag) - 2 * half * half, whole.imag)


def log(z: complex) -> complex:
    """Near the unit circle the real part is log1p(|z|**2 - 1) / 2, with the larger part's 1 taken off first."""
    a, b = abs(z.real), abs(z.imag)
    large, small = (b, a) if b > a else (a, b)
    if 0.5 < large < 1.5 and small < 1:
        return complex(math.log1p((large - 1) * (large + 1) + small * small) / 2, math.atan2(z.imag, z.real))
    return cmath.log(z)


def log1p(z: complex) -> complex:
    """log(1 + z). Near 0 the real part is log1p(|1 + z|**2 - 1) / 2, summed without the 1."""
    near = abs(z.real) < 0.5 and abs(z.imag) < 0.5
    if not near:
        return log(complex(1 + z.real, z.imag))
    size = z.real * (2 + z.real) + z.imag * z.imag
    return complex(math.log1p(size) / 2, math.atan2(z.imag, 1 + z.real))


def logistic(z: complex) -> complex:
    return quotient(complex(1, 0), 1 + cmath.exp(-z))


def rsqrt(z: complex) -> complex:
    return quotient(complex(1, 0), cmath.sqrt(z))


def power(z: complex, w: complex) -> complex:
    """z to the power w; 0 to a power is 0 where the power's real part is positive, 1 where it is 0, else NaN."""
    if z == 0:
        if w == 0:
            return complex(1, 0)
        return complex(0, 0) if w.real > 0 else complex(math.nan, math.nan)
    return cmath.exp(w * cmath.log(z))

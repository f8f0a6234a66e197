"""Derivatives of special functions by their parameters, in NumPy: of the regularized incomplete beta function,
Hurwitz's zeta function and the hypergeometric functions 1F1 and 2F1.

Each function is written here for one complex parameter, as a series or a continued fraction; the derivative is the
imaginary part of its value at a parameter with a tiny imaginary part ("complex step"; Squire and Trapp, "Using complex
variables to estimate derivatives of real functions", 1998), which has all digits that the value has.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

_STEP = 1e-150
_MOST_TERMS = 20_000


def slope(function: Callable[..., Any], operand: int, *operands: Any) -> np.ndarray:
    """The derivative of one of the functions below by one operand, in double precision."""
    given = list(np.broadcast_arrays(*[np.asarray(x, np.float64) for x in operands]))
    given[operand] = given[operand] + 1j * _STEP
    with np.errstate(all="ignore"):
        return np.imag(function(*given)) / _STEP


def _small(part: Any, whole: Any) -> bool:
    """Whether a part, and its derivative, no longer count in the whole."""
    small = np.abs(part.real) <= 1e-17 * np.abs(whole.real)
    small &= np.abs(part.imag) <= 1e-17 * np.abs(whole.imag)
    return bool(np.all(small | ~np.isfinite(whole.real) | ~np.isfinite(whole.imag)))


def _series(ratio: Callable[[int], Any], shape: tuple[int, ...]) -> Any:
    """1 and the terms after it, of which `ratio(n)` is number n + 1 through number n."""
    term = np.ones(shape, complex)
    total = term.copy()
    for n in range(_MOST_TERMS):
        term = term * ratio(n)
        total = total + term
        if n > 4 and _small(term, total):
            break
    return total


def hyp1f1(a: Any, b: Any, x: Any) -> Any:
    """By its series, of a positive argument: that of a negative one by Kummer's transformation."""
    negative = x < 0
    upper = np.where(negative, b - a, a)
    total = _series(lambda n: (upper + n) / (b + n) * np.abs(x) / (n + 1), np.shape(x))
    return np.where(negative, np.exp(x) * total, total)


def hyp2f1(a: Any, b: Any, c: Any, x: Any) -> Any:
    """By its series, of an argument from 0 to 1: that of a negative one by Pfaff's transformation."""
    negative = x < 0
    second, y = np.where(negative, c - b, b), np.where(negative, x / (x - 1), x)
    y = np.where(y < 1, y, np.nan)
    total = _series(lambda n: (a + n) * (second + n) / (c + n) * y / (n + 1), np.shape(x))
    return np.where(negative, (1 - x) ** (-a + 0j), 1) * total


def betainc(a: Any, b: Any, x: Any) -> Any:
    """By its continued fraction (Lentz's method), on the side of the mean where that converges."""
    from scipy import special

    other = x > (a.real + 1) / (a.real + b.real + 2)
    p, q, y = np.where(other, b, a), np.where(other, a, b), np.where(other, 1 - x, x)
    log_x, log_rest = np.log(x), np.log1p(-x)
    powers = p * np.where(other, log_rest, log_x) + q * np.where(other, log_x, log_rest)
    p, q = p + 0j, q + 0j
    front = np.exp(powers + special.loggamma(p + q) - special.loggamma(p) - special.loggamma(q)) / p
    c, d = np.ones(np.shape(x), complex), 1 / (1 - (p + q) * y / (p + 1))
    value = d
    largest = np.max(np.abs(p + q), initial=1.0, where=np.isfinite(p + q))
    for m in range(1, 100 + 5 * int(largest**0.5)):  # how many it takes grows like that
        for numerator in (
            m * (q - m) * y / ((p + 2 * m - 1) * (p + 2 * m)),
            -(p + m) * (p + q + m) * y / ((p + 2 * m) * (p + 2 * m + 1)),
        ):
            d = 1 / (1 + numerator * d)
            c = 1 + numerator / c
            value, last = value * c * d, value
        if m > 4 and _small((value - last) * 0.01, value):
            break
    value = np.where(other, 1 - front * value, front * value)
    return np.where((x > 0) & (x < 1), value, 0)


_BERNOULLI = (1 / 6, -1 / 30, 1 / 42, -1 / 30, 5 / 66, -691 / 2730, 7 / 6, -3617 / 510, 43867 / 798)


def zeta(s: Any, q: Any) -> Any:
    """By the Euler-Maclaurin formula after 20 terms; NaN up to s = 1."""
    s = np.where(s.real > 1, s, np.nan) + 0j
    far = q + 20
    total = sum((q + k) ** -s for k in range(20)) + far ** (1 - s) / (s - 1) + far**-s / 2
    factor = s * far ** (-s - 1) / 2
    for j, number in enumerate(_BERNOULLI, 1):
        total = total + number * factor
        factor = factor * (s + 2 * j - 1) * (s + 2 * j) / (far * far * (2 * j + 1) * (2 * j + 2))
    return total

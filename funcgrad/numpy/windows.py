"""Windows of signal processing and Bessel functions of order 0."""

from __future__ import annotations

from typing import Any

import numpy as np

from funcgrad import dtypes
from funcgrad.array import Array
from funcgrad.errors import boundary
from funcgrad.numpy.creation import asarray
from funcgrad.numpy.ufuncs import unary
from funcgrad.promotion import promote_inexact
from funcgrad.trace import ops
from funcgrad.trace.core import Tracer, type_of

i0 = unary(
    "i0",
    lambda x: ops.mul(ops.exp(ops.abs_(x)), ops.apply("bessel_i0e", x)),
    "The modified Bessel function of the first kind, of order 0.",
    promote_inexact,
)


def _window(values: np.ndarray) -> Array:
    return Array(np.asarray(values).astype(dtypes.default_float()))


def bartlett(M: int) -> Array:
    """The triangular window of M points."""
    return _window(np.bartlett(M))


def blackman(M: int) -> Array:
    """The Blackman window of M points."""
    return _window(np.blackman(M))


def hamming(M: int) -> Array:
    """The Hamming window of M points."""
    return _window(np.hamming(M))


def hanning(M: int) -> Array:
    """The Hann window of M points."""
    return _window(np.hanning(M))


@boundary
def kaiser(M: int, beta: Any) -> Any:
    """The Kaiser window of M points and shape `beta`."""
    if not isinstance(beta, Tracer):
        return _window(np.kaiser(M, np.asarray(beta)))
    beta = ops.convert(asarray(beta), dtypes.default_float())
    if M == 1:
        return ops.full((1,), 1, type_of(beta).dtype)
    half = (M - 1) / 2
    shape = np.sqrt(np.maximum(1 - ((np.arange(M) - half) / half) ** 2, 0)).astype(type_of(beta).dtype)
    return i0(beta * shape) / i0(beta)

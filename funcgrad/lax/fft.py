"""Discrete Fourier transforms under the name of `jax.lax`: strict in shape and dtype."""

from __future__ import annotations

import enum
import operator
from collections.abc import Sequence
from typing import Any

from funcgrad.errors import ArgumentError, boundary
from funcgrad.promotion import check_arrays
from funcgrad.trace import ops
from funcgrad.trace.core import as_array


class FftType(enum.IntEnum):
    """The kinds of transforms: complex forth and back, real forth and back."""

    FFT = 0
    IFFT = 1
    RFFT = 2
    IRFFT = 3


@boundary
def fft(x: Any, fft_type: FftType | str, fft_lengths: Sequence[int]) -> Any:
    """The transform of x over its last axes, which have the lengths `fft_lengths` (halved where it says so).

    `fft_type` is a FftType or its name. FFT and IFFT take and give complex numbers; RFFT takes float32 or
    float64[..., n] and gives complex numbers[..., n // 2 + 1], IRFFT the reverse. The inverses divide by the
    number of elements. Raises DTypeError or ShapeError for an operand that does not fit.

    >>> import funcgrad as fg
    >>> fg.lax.fft(fg.numpy.array([1.0, 2.0]), "RFFT", (2,))
    Array([ 3.+0.j, -1.+0.j], dtype=complex64)
    """
    check_arrays("lax.fft", x)
    try:
        kind = FftType[fft_type.upper()] if isinstance(fft_type, str) else FftType(fft_type)
    except (KeyError, ValueError):
        raise ArgumentError(
            f"lax.fft has no transform {fft_type!r}", hint=f"use one of {', '.join(FftType.__members__)}"
        ) from None
    lengths = (fft_lengths,) if isinstance(fft_lengths, int) else fft_lengths
    if not lengths:
        return as_array(x)
    return ops.apply("fft", x, fft_type=kind.name.lower(), fft_lengths=tuple(map(operator.index, lengths)))

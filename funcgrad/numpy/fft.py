"""Discrete Fourier transforms under the names of `numpy.fft`.

A signal is cut or filled up with zeros to the lengths asked for; `norm` says which direction divides by the
number of elements: "backward" (the inverse), "forward" or "ortho" (both, by its root). Real numbers are taken as
complex ones where a transform needs them, integers as default floats, 16-bit floats as float32.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from funcgrad import dtypes
from funcgrad.array import Array
from funcgrad.errors import ArgumentError, AxisError, DTypeError, boundary
from funcgrad.numpy.creation import asarray
from funcgrad.numpy.manipulation import roll
from funcgrad.promotion import promote_inexact
from funcgrad.trace import ops
from funcgrad.trace.core import type_of

Axes = int | Sequence[int] | None

_NORMS = (None, "backward", "forward", "ortho")


def _prepared(name: str, a: Any, kind: str) -> Any:
    """The operand in a dtype that the transform takes."""
    (x,) = promote_inexact(f"fft.{name}", asarray(a))
    dtype = type_of(x).dtype
    if kind == "rfft" and dtypes.is_complex(dtype):
        raise DTypeError(
            f"fft.{name} takes real numbers, got {type_of(x)}",
            hint="take .real, or use the complex transform",
        )
    if dtype.itemsize == 2:
        dtype = dtypes.float32
    return ops.convert(x, dtype if kind == "rfft" else dtypes.complex_of(dtype))


def _length(name: str, n: Any) -> int:
    length = operator.index(n)
    if length < 1:
        raise ArgumentError(f"fft.{name} of length {length}", hint="lengths are 1 or more")
    return length


def _places(name: str, x: Any, s: Sequence[int] | None, axes: Axes) -> list[int]:
    """The axes to transform, counted from the front."""
    rank = type_of(x).ndim
    if axes is None:
        chosen = list(range(rank)) if s is None else list(range(rank - len(s), rank))
    else:
        chosen = [operator.index(a) for a in ((axes,) if isinstance(axes, int) else axes)]
    if s is not None and len(s) != len(chosen):
        raise ArgumentError(f"fft.{name} has {len(s)} lengths for {len(chosen)} axes")
    for a in chosen:
        if not -rank <= a < rank:
            raise AxisError(
                f"fft.{name} over axis {a} of {type_of(x)}, which has {rank} axes",
                hint="give the array that axis, or name another",
            )
    chosen = [a % rank for a in chosen]
    if len(set(chosen)) != len(chosen):
        raise AxisError(f"fft.{name}: axes={axes!r} names an axis of {type_of(x)} twice")
    if not chosen:
        raise AxisError(f"fft.{name} of {type_of(x)} over no axis", hint="name at least one axis")
    return chosen


def _fit(x: Any, axis: int, length: int) -> Any:
    """`x` cut or filled up with zeros to `length` along `axis`."""
    have = type_of(x).shape[axis]
    if have == length:
        return x
    config = [(0, 0, 0)] * type_of(x).ndim
    config[axis] = (0, length - have, 0)
    return ops.pad(x, 0, config)


def _scale(norm: str | None, kind: str, size: int) -> float:
    """By what a transform over `size` elements is multiplied, over what the primitive does."""
    if norm == "ortho":
        return math.sqrt(size) if kind in ("ifft", "irfft") else 1 / math.sqrt(size)
    if norm == "forward":
        return float(size) if kind in ("ifft", "irfft") else 1 / size
    return 1.0


def _transform(name: str, kind: str, a: Any, s: Sequence[int] | None, axes: Axes, norm: str | None) -> Any:
    if norm not in _NORMS:
        raise ArgumentError(f"fft.{name} has no norm {norm!r}", hint="use 'backward', 'forward' or 'ortho'")
    x = _prepared(name, a, kind)
    places = _places(name, x, s, axes)
    if s is not None:
        lengths = [_length(name, n) for n in s]
    else:
        lengths = [type_of(x).shape[p] for p in places]
        if kind == "irfft":
            lengths[-1] = 2 * (lengths[-1] - 1)
        lengths = [_length(name, n) for n in lengths]
    for place, n in zip(places, lengths):
        last = place == places[-1]
        x = _fit(x, place, n // 2 + 1 if kind == "irfft" and last else n)
    rank = type_of(x).ndim
    order = [d for d in range(rank) if d not in places] + places
    out = ops.apply("fft", ops.transpose(x, order), fft_type=kind, fft_lengths=tuple(lengths))
    out = ops.transpose(out, [order.index(d) for d in range(rank)])
    scale = _scale(norm, kind, math.prod(lengths))
    return out if scale == 1.0 else ops.mul(out, scale)


def _documented(function: Callable[..., Any], name: str, doc: str, lengths: str) -> Callable[..., Any]:
    """A transform with its name and docstring; `lengths` says what its second argument and its axes are."""
    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"""{doc}

    Args:
        a: an array with the axes that are transformed, all others being batch axes; in float32 or float64, or the
            complex numbers of these, as which the result comes. Integers are computed as floats.
        {lengths}; what is longer is cut, what is shorter filled up with zeros.
        norm: "backward" (the default: the inverse has the factor 1/n), "forward" (the other way round) or "ortho".

    Raises:
        ArgumentError: another `norm`, or lengths that do not fit the axes.
        AxisError: an axis that there is not, or one twice.

    >>> import funcgrad.numpy as jnp
    >>> jnp.fft.{name}(jnp.ones((4, 4))).shape
    (4, {3 if name.startswith("rfft") else 6 if name.startswith("irfft") else 4})
    """
    return function


def _of_one_axis(kind: str, doc: str) -> Callable[..., Any]:
    @boundary
    def function(a: Any, n: int | None = None, axis: int = -1, norm: str | None = None) -> Any:
        if not isinstance(axis, int | np.integer):
            raise ArgumentError(f"fft.{kind} takes one axis, got {axis!r}", hint=f"use fft.{kind}n")
        return _transform(kind, kind, a, None if n is None else (n,), int(axis), norm)

    return _documented(function, kind, doc, "n, axis: the length, and the axis")


def _of_two_axes(kind: str, doc: str) -> Callable[..., Any]:
    name = f"{kind}2"

    @boundary
    def function(
        a: Any, s: Sequence[int] | None = None, axes: Sequence[int] = (-2, -1), norm: str | None = None
    ) -> Any:
        if len(tuple(axes)) != 2:
            raise ArgumentError(f"fft.{name} takes two axes, got {axes!r}", hint=f"use fft.{kind}n")
        return _transform(name, kind, a, s, axes, norm)

    return _documented(function, name, doc, "s, axes: the lengths, and the axes")


def _of_axes(kind: str, doc: str) -> Callable[..., Any]:
    name = f"{kind}n"

    @boundary
    def function(a: Any, s: Sequence[int] | None = None, axes: Axes = None, norm: str | None = None) -> Any:
        return _transform(name, kind, a, s, axes, norm)

    return _documented(function, name, doc, "s, axes: the lengths, and the axes")


_ONE = " Over `axis`, cut or filled up to `n`."
_TWO = " Over two axes, cut or filled up to the lengths `s`."
_ALL = " Over `axes` (all by default), cut or filled up to the lengths `s`."

fft = _of_one_axis("fft", "The discrete Fourier transform, complex." + _ONE)
ifft = _of_one_axis("ifft", "The inverse of `fft`." + _ONE)
rfft = _of_one_axis("rfft", "The transform of real numbers: the first n // 2 + 1 of `fft`'s." + _ONE)
irfft = _of_one_axis("irfft", "The inverse of `rfft`, real; of length 2 * (m - 1) by default." + _ONE)
fft2 = _of_two_axes("fft", "The discrete Fourier transform, complex." + _TWO)
ifft2 = _of_two_axes("ifft", "The inverse of `fft2`." + _TWO)
rfft2 = _of_two_axes("rfft", "The transform of real numbers: the last axis halved." + _TWO)
irfft2 = _of_two_axes("irfft", "The inverse of `rfft2`, real." + _TWO)
fftn = _of_axes("fft", "The discrete Fourier transform, complex." + _ALL)
ifftn = _of_axes("ifft", "The inverse of `fftn`." + _ALL)
rfftn = _of_axes("rfft", "The transform of real numbers: the last axis halved." + _ALL)
irfftn = _of_axes("irfft", "The inverse of `rfftn`, real." + _ALL)

_OTHER_WAY = {"ortho": "ortho", "forward": "backward", "backward": "forward", None: "forward"}


def _other_way(name: str, norm: str | None) -> str:
    if norm not in _OTHER_WAY:
        raise ArgumentError(f"fft.{name} has no norm {norm!r}", hint="use 'backward', 'forward' or 'ortho'")
    return _OTHER_WAY[norm]


@boundary
def hfft(a: Any, n: int | None = None, axis: int = -1, norm: str | None = None) -> Any:
    """The transform, real, of a signal whose other half is its conjugate: of complex[..., n // 2 + 1]."""
    conjugate = ops.conj(_prepared("hfft", a, "fft"))
    return _transform("hfft", "irfft", conjugate, None if n is None else (n,), axis, _other_way("hfft", norm))


@boundary
def ihfft(a: Any, n: int | None = None, axis: int = -1, norm: str | None = None) -> Any:
    """The inverse of `hfft`: complex[..., n // 2 + 1]."""
    return ops.conj(
        _transform("ihfft", "rfft", a, None if n is None else (n,), axis, _other_way("ihfft", norm))
    )


def _frequencies(name: str, numbers: np.ndarray, n: int, d: Any, dtype: Any) -> Any:
    wanted = dtypes.default_float() if dtype is None else dtypes.as_dtype(dtype)
    if isinstance(d, int | float | np.number):
        return Array((numbers / (n * d)).astype(wanted))
    return ops.div(ops.div(numbers.astype(wanted), n), ops.convert(d, wanted))


@boundary
def fftfreq(n: int, d: Any = 1.0, *, dtype: Any = None, device: Any = None) -> Any:
    """The frequencies of the numbers that `fft` gives of n samples, `d` apart: float[n]."""
    n = _length("fftfreq", n)
    return _frequencies("fftfreq", (np.arange(n) + n // 2) % n - n // 2, n, d, dtype)


@boundary
def rfftfreq(n: int, d: Any = 1.0, *, dtype: Any = None, device: Any = None) -> Any:
    """The frequencies of the numbers that `rfft` gives of n samples, `d` apart: float[n // 2 + 1]."""
    n = _length("rfftfreq", n)
    return _frequencies("rfftfreq", np.arange(n // 2 + 1), n, d, dtype)


def _shift(name: str, x: Any, axes: Axes, half: Callable[[int], int]) -> Any:
    x = asarray(x)
    t = type_of(x)
    if axes is None:
        chosen = tuple(range(t.ndim))
    else:
        chosen = (axes,) if isinstance(axes, int) else tuple(axes)
    for a in chosen:
        if not -t.ndim <= a < t.ndim:
            raise AxisError(f"fft.{name} over axis {a} of {t}, which has {t.ndim} axes")
    return roll(x, [half(t.shape[a]) for a in chosen], chosen)


@boundary
def fftshift(x: Any, axes: Axes = None) -> Any:
    """`x` with frequency 0 moved to the middle of each axis."""
    return _shift("fftshift", x, axes, lambda n: n // 2)


@boundary
def ifftshift(x: Any, axes: Axes = None) -> Any:
    """The inverse of `fftshift`."""
    return _shift("ifftshift", x, axes, lambda n: -(n // 2))


__all__ = [
    "fft",
    "fft2",
    "fftfreq",
    "fftn",
    "fftshift",
    "hfft",
    "ifft",
    "ifft2",
    "ifftn",
    "ifftshift",
    "ihfft",
    "irfft",
    "irfft2",
    "irfftn",
    "rfft",
    "rfft2",
    "rfftfreq",
    "rfftn",
]

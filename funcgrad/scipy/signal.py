"""Convolution and spectra of signals, under the names of `jax.scipy.signal`."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

import funcgrad.numpy as jnp
from funcgrad.errors import ArgumentError, ShapeError, boundary
from funcgrad.lax.convolution import conv_general_dilated
from funcgrad.promotion import promote_inexact
from funcgrad.trace.core import type_of


def _cut(name: str, full: Any, mode: str, first: Sequence[int], second: Sequence[int]) -> Any:
    """The part of a full convolution that `mode` wants."""
    if mode == "full":
        return full
    if mode == "same":
        sizes = tuple(first)
    elif mode == "valid":
        sizes = tuple([abs(a - b) + 1 for a, b in zip(first, second)])
    else:
        raise ArgumentError(f"{name}: mode is 'full', 'same' or 'valid', got {mode!r}")
    starts = [(n - s) // 2 for n, s in zip(full.shape, sizes)]
    return full[tuple([slice(a, a + s) for a, s in zip(starts, sizes)])]


def _pair(name: str, in1: Any, in2: Any) -> tuple[Any, Any]:
    a, b = jnp.asarray(in1), jnp.asarray(in2)
    if a.ndim != b.ndim or not a.ndim:
        raise ShapeError(
            f"{name} takes two arrays of one rank, at least 1; got {type_of(a)} and {type_of(b)}"
        )
    dtype = jnp.result_type(a.dtype, b.dtype)
    if not jnp.issubdtype(dtype, jnp.inexact):
        dtype = jnp.result_type(dtype, float)
    return a.astype(dtype), b.astype(dtype)


def _full(a: Any, b: Any) -> Any:
    padding = [(n - 1, n - 1) for n in b.shape]
    return conv_general_dilated(a[None, None], jnp.flip(b)[None, None], (1,) * a.ndim, padding)[0, 0]


@boundary
def fftconvolve(in1: Any, in2: Any, mode: str = "full", axes: Any = None) -> Any:
    """The convolution of two arrays of one rank, by Fourier transforms; `axes` are those that are convolved."""
    a, b = _pair("fftconvolve", in1, in2)
    chosen = list(range(a.ndim)) if axes is None else [k % a.ndim for k in np.atleast_1d(axes)]
    lengths = [a.shape[k] + b.shape[k] - 1 for k in chosen]
    if jnp.issubdtype(a.dtype, jnp.complexfloating):
        spectrum = jnp.fft.fftn(a, lengths, chosen) * jnp.fft.fftn(b, lengths, chosen)
        full = jnp.fft.ifftn(spectrum, lengths, chosen)
    else:
        spectrum = jnp.fft.rfftn(a, lengths, chosen) * jnp.fft.rfftn(b, lengths, chosen)
        full = jnp.fft.irfftn(spectrum, lengths, chosen)
    sizes = [b.shape[k] if k in chosen else 1 for k in range(a.ndim)]
    return _cut("fftconvolve", full.astype(a.dtype), mode, a.shape, sizes)


@boundary
def convolve(in1: Any, in2: Any, mode: str = "full", method: str = "auto", precision: Any = None) -> Any:
    """The convolution of two arrays of one rank; `mode` is 'full', 'same' or 'valid', `method` 'direct' or 'fft'.

    >>> import funcgrad as fg
    >>> fg.scipy.signal.convolve(fg.numpy.array([1.0, 2.0]), fg.numpy.array([1.0, 1.0]))
    Array([1., 3., 2.], dtype=float32)
    """
    if method == "fft":
        return fftconvolve(in1, in2, mode)
    a, b = _pair("convolve", in1, in2)
    return _cut("convolve", _full(a, b), mode, a.shape, b.shape)


@boundary
def correlate(in1: Any, in2: Any, mode: str = "full", method: str = "auto", precision: Any = None) -> Any:
    """The cross-correlation of two arrays of one rank: the convolution with the conjugate of the second, reversed."""
    a, b = _pair("correlate", in1, in2)
    return convolve(a, jnp.flip(jnp.conj(b)), mode, method)


def _two_dimensional(name: str, in1: Any, in2: Any, edges: str, fillvalue: Any) -> None:
    if np.ndim(in1) != 2 or np.ndim(in2) != 2:
        raise ShapeError(f"{name} takes two arrays of rank 2, got {type_of(in1)} and {type_of(in2)}")
    if edges != "fill" or fillvalue != 0:
        raise ArgumentError(
            f"{name} has zeros beyond the edges only", hint="pad the first array as you want it"
        )


@boundary
def convolve2d(
    in1: Any, in2: Any, mode: str = "full", boundary: str = "fill", fillvalue: Any = 0, precision: Any = None
) -> Any:
    """`convolve` of two matrices."""
    _two_dimensional("convolve2d", in1, in2, boundary, fillvalue)
    return convolve(in1, in2, mode)


@boundary
def correlate2d(
    in1: Any, in2: Any, mode: str = "full", boundary: str = "fill", fillvalue: Any = 0, precision: Any = None
) -> Any:
    """`correlate` of two matrices."""
    _two_dimensional("correlate2d", in1, in2, boundary, fillvalue)
    if mode != "same":
        return correlate(in1, in2, mode)
    # of an even size, SciPy takes the other middle here
    return jnp.flip(convolve(jnp.flip(in1), jnp.conj(in2), mode))


@boundary
def detrend(data: Any, axis: int = -1, type: str = "linear", bp: Any = 0, overwrite_data: Any = None) -> Any:
    """`data` without its mean along `axis` (type='constant') or without the line that fits it best ('linear'), between
    the break points `bp`."""
    x = jnp.asarray(data)
    if not jnp.issubdtype(x.dtype, jnp.inexact):
        x = x.astype(float)
    if type == "constant":
        return x - x.mean(axis, keepdims=True)
    if type != "linear":
        raise ArgumentError(f"detrend: type is 'linear' or 'constant', got {type!r}")
    x = jnp.moveaxis(x, axis, 0)
    n = x.shape[0]
    ends = sorted({0, n, *(int(b) for b in np.atleast_1d(bp))})
    parts = []
    for low, high in itertools.pairwise(ends):
        place = np.arange(1, high - low + 1) / (high - low)
        basis = np.stack([place, np.ones_like(place)], 1)
        onto = (basis @ np.linalg.pinv(basis)).astype(x.dtype)
        part = x[low:high]
        parts.append(part - jnp.tensordot(onto, part, 1))
    return jnp.moveaxis(jnp.concatenate(parts), 0, axis)


# ---------------------------------------------------------------------------------------------------- spectra
def _window(window: Any, nperseg: int | None, length: int) -> np.ndarray:
    if isinstance(window, str | tuple):
        import scipy.signal

        size = min(256 if nperseg is None else int(nperseg), length)
        return scipy.signal.get_window(window, size)
    values = np.asarray(window)
    if values.ndim != 1 or (nperseg is not None and values.size != nperseg):
        raise ArgumentError(f"a window is a vector of nperseg={nperseg} numbers, got shape {values.shape}")
    return values


def _overlap(noverlap: int | None, size: int) -> int:
    overlap = size // 2 if noverlap is None else int(noverlap)
    if not 0 <= overlap < size:
        raise ArgumentError(f"noverlap lies between 0 and nperseg={size}, got {noverlap}")
    return overlap


def _segments(x: Any, size: int, step: int) -> Any:
    """(..., n) -> (..., segments, size)."""
    count = (x.shape[-1] - size) // step + 1
    return x[..., (np.arange(count)[:, None] * step + np.arange(size)[None, :])]


def _removed(trend: Any) -> Callable[[Any], Any]:
    if callable(trend):
        return trend
    return (lambda s: detrend(s, -1, trend)) if trend else (lambda s: s)


def _spectra(segments: Any, window: np.ndarray, nfft: int, onesided: bool) -> Any:
    real = jnp.float64 if segments.dtype in (jnp.float64, jnp.complex128) else jnp.float32
    tapered = segments * window.astype(real)
    return (jnp.fft.rfft if onesided else jnp.fft.fft)(tapered, nfft, -1)


_EXTENSIONS = ("even", "odd", "constant", "zeros", None)


def _extended(x: Any, how: str | None, by: int) -> Any:
    if how not in _EXTENSIONS:
        raise ArgumentError(
            f"there is no boundary {how!r}", hint="use 'even', 'odd', 'constant', 'zeros' or None"
        )
    if how is None:
        return x
    first, last = x[..., :1], x[..., -1:]
    left, right = jnp.flip(x[..., 1 : by + 1], -1), jnp.flip(x[..., -by - 1 : -1], -1)
    if how == "odd":
        left, right = 2 * first - left, 2 * last - right
    elif how != "even":
        ones = jnp.ones((*x.shape[:-1], by), x.dtype)
        left, right = (ones * first, ones * last) if how == "constant" else (0 * ones, 0 * ones)
    return jnp.concatenate([left, x, right], -1)


@boundary
def stft(
    x: Any,
    fs: Any = 1.0,
    window: Any = "hann",
    nperseg: int = 256,
    noverlap: int | None = None,
    nfft: int | None = None,
    detrend: Any = False,
    return_onesided: bool = True,
    boundary: str | None = "zeros",
    padded: bool = True,
    axis: int = -1,
) -> tuple[Any, Any, Any]:
    """The short-time Fourier transform along `axis`: (frequencies, times, spectra of the segments as last axis).

    Arguments are those of `scipy.signal.stft`; the window is scaled to a sum of 1.
    """
    x = jnp.moveaxis(jnp.asarray(x), axis, -1)
    values = _window(window, nperseg, x.shape[-1])
    size = values.size
    step = size - _overlap(noverlap, size)
    fft_size = size if nfft is None else int(nfft)
    x = _extended(x, boundary, size // 2)
    if padded:
        missing = -(x.shape[-1] - size) % step % size
        x = jnp.concatenate([x, jnp.zeros((*x.shape[:-1], missing), x.dtype)], -1)
    onesided = return_onesided and not jnp.issubdtype(x.dtype, jnp.complexfloating)
    segments = _removed(detrend)(_segments(x, size, step))
    spectra = _spectra(segments, values / values.sum(), fft_size, onesided)
    times = (np.arange(spectra.shape[-2]) * step + size / 2) / float(fs)
    if boundary is not None:
        times = times - size / 2 / float(fs)
    frequencies = (np.fft.rfftfreq if onesided else np.fft.fftfreq)(fft_size, 1 / float(fs))
    real = jnp.finfo(spectra.dtype).dtype
    spectra = jnp.moveaxis(jnp.swapaxes(spectra, -1, -2), -2, axis if axis >= 0 else axis - 1)
    return jnp.asarray(frequencies, real), jnp.asarray(times, real), spectra


@boundary
def istft(
    Zxx: Any,
    fs: Any = 1.0,
    window: Any = "hann",
    nperseg: int | None = None,
    noverlap: int | None = None,
    nfft: int | None = None,
    input_onesided: bool = True,
    boundary: bool = True,
    time_axis: int = -1,
    freq_axis: int = -2,
) -> tuple[Any, Any]:
    """The inverse of `stft`: (times, signal), the least-squares signal of Griffin and Lim, "Signal estimation from
    modified short-time Fourier transform", 1984."""
    (spectra,) = promote_inexact("scipy.signal.istft", jnp.asarray(Zxx))
    spectra = jnp.moveaxis(spectra, (freq_axis, time_axis), (-1, -2))
    length = 2 * (spectra.shape[-1] - 1) if input_onesided else spectra.shape[-1]
    size = length if nperseg is None else int(nperseg)
    fft_size = (size if size >= length else length) if nfft is None else int(nfft)
    values = _window(window, size, size)
    step = size - _overlap(noverlap, size)
    segments = (jnp.fft.irfft if input_onesided else jnp.fft.ifft)(spectra, fft_size, -1)[..., :size]
    real = jnp.finfo(spectra.dtype).dtype
    taper = values.astype(real)
    count = segments.shape[-2]
    total = (count - 1) * step + size
    places = (np.arange(count)[:, None] * step + np.arange(size)[None, :]).reshape(-1)
    shape = (*segments.shape[:-2], count * size)
    pieces = (segments * (taper * values.sum().astype(real))).reshape(shape)
    x = jnp.zeros((*shape[:-1], total), pieces.dtype).at[..., places].add(pieces)
    norm = np.zeros(total)
    np.add.at(norm, places, np.tile(values**2, count))
    if boundary:
        x, norm = x[..., size // 2 : total - size // 2], norm[size // 2 : total - size // 2]
    x = x / np.where(norm > 1e-10, norm, 1).astype(real)
    times = np.arange(x.shape[-1]) / float(fs)
    axis, other = time_axis % spectra.ndim, freq_axis % spectra.ndim
    axis -= other < axis
    return jnp.asarray(times, real), jnp.moveaxis(x, -1, axis)


@boundary
def csd(
    x: Any,
    y: Any,
    fs: Any = 1.0,
    window: Any = "hann",
    nperseg: int | None = None,
    noverlap: int | None = None,
    nfft: int | None = None,
    detrend: Any = "constant",
    return_onesided: bool = True,
    scaling: str = "density",
    axis: int = -1,
    average: str = "mean",
) -> tuple[Any, Any]:
    """The cross spectral density of two signals by Welch's method: (frequencies, density).

    Arguments are those of `scipy.signal.csd`; see Welch, "The use of the fast Fourier transform for the estimation of
    power spectra", 1967.
    """
    if scaling not in ("density", "spectrum") or average not in ("mean", "median"):
        raise ArgumentError(f"csd: scaling {scaling!r} and average {average!r} are not both known")
    same = y is None or y is x
    x = jnp.moveaxis(jnp.asarray(x), axis, -1)
    y = x if same else jnp.moveaxis(jnp.asarray(y), axis, -1)
    longest = max(x.shape[-1], y.shape[-1])
    x, y = (jnp.pad(v, [(0, 0)] * (v.ndim - 1) + [(0, longest - v.shape[-1])]) for v in (x, y))
    values = _window(window, nperseg, longest)
    size = values.size
    step = size - _overlap(noverlap, size)
    fft_size = size if nfft is None else int(nfft)
    complex_ = any(jnp.issubdtype(v.dtype, jnp.complexfloating) for v in (x, y))
    onesided = return_onesided and not complex_
    power = float(fs) * (values**2).sum() if scaling == "density" else values.sum() ** 2
    taper = values / math.sqrt(power)
    removed = _removed(detrend)
    first = _spectra(removed(_segments(x, size, step)), taper, fft_size, onesided)
    second = first if same else _spectra(removed(_segments(y, size, step)), taper, fft_size, onesided)
    density = jnp.conj(first) * second
    if onesided:  # what the other side holds
        both = np.full(density.shape[-1], 2.0)
        both[0] = 1
        if fft_size % 2 == 0:
            both[-1] = 1
        density = density * both.astype(jnp.finfo(density.dtype).dtype)
    if average == "mean":
        out = density.mean(-2)
    else:
        count = density.shape[-2]
        odd = 2 * np.arange(1, (count - 1) // 2 + 1)
        bias = 1 + (1 / (odd + 1) - 1 / odd).sum()
        out = (jnp.median(density.real, -2) + 1j * jnp.median(density.imag, -2)) / bias
    frequencies = (np.fft.rfftfreq if onesided else np.fft.fftfreq)(fft_size, 1 / float(fs))
    out = out.real if same else out
    return jnp.asarray(frequencies, jnp.finfo(first.dtype).dtype), jnp.moveaxis(out, -1, axis)


@boundary
def welch(x: Any, fs: Any = 1.0, *args: Any, **kwargs: Any) -> tuple[Any, Any]:
    """The power spectral density of a signal by Welch's method: (frequencies, density); further arguments as in
    `csd`."""
    return csd(x, None, fs, *args, **kwargs)


__all__ = [
    "convolve", "convolve2d", "correlate", "correlate2d", "csd", "detrend", "fftconvolve", "istft", "stft", "welch",
]  # fmt: skip

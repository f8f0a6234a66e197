"""Cosine transforms, under the names of `jax.scipy.fft`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

import funcgrad.numpy as jnp
from funcgrad.errors import ArgumentError, boundary


def _check(name: str, kind: int, norm: str | None) -> None:
    if kind != 2:
        raise ArgumentError(f"{name} is there for type 2, got {kind}", hint="use scipy.fft on NumPy arrays")
    if norm not in (None, "backward", "ortho"):
        raise ArgumentError(f"{name}: norm is None, 'backward' or 'ortho', got {norm!r}")


def _sized(x: Any, n: int | None, axis: int) -> Any:
    x = jnp.asarray(x)
    if n is None or n == x.shape[axis]:
        return x
    if n < x.shape[axis]:
        return jnp.take(x, np.arange(n), axis)
    return jnp.pad(x, [(0, n - x.shape[axis] if k == axis % x.ndim else 0) for k in range(x.ndim)])


def _scales(n: int, axis: int, ndim: int) -> np.ndarray:
    """What makes the transform orthonormal."""
    scale = np.full(n, math.sqrt(1 / (2 * n)))
    scale[0] = math.sqrt(1 / (4 * n))
    return scale.reshape([-1 if k == axis % ndim else 1 for k in range(ndim)])


@boundary
def dct(x: Any, type: int = 2, n: int | None = None, axis: int = -1, norm: str | None = None) -> Any:
    """The cosine transform of type 2 along `axis`: y[k] = 2 sum of x[i] cos(pi k (2 i + 1) / (2 n)).

    `n` cuts or fills up with zeros; norm='ortho' makes it orthonormal. See Makhoul, "A fast cosine transform in one
    and two dimensions", 1980.
    """
    _check("dct", type, norm)
    x = _sized(x, n, axis)
    n = x.shape[axis]
    order = np.concatenate([np.arange(0, n, 2), np.arange(1, n, 2)[::-1]])
    spectrum = jnp.fft.fft(jnp.take(x, order, axis), axis=axis)
    turn = 2 * np.exp(-0.5j * np.pi * np.arange(n) / n)
    turn = turn.reshape([-1 if k == axis % x.ndim else 1 for k in range(x.ndim)]).astype(spectrum.dtype)
    out = (spectrum * turn).real
    return out * _scales(n, axis, x.ndim).astype(out.dtype) if norm == "ortho" else out


@boundary
def idct(x: Any, type: int = 2, n: int | None = None, axis: int = -1, norm: str | None = None) -> Any:
    """The inverse of `dct`."""
    _check("idct", type, norm)
    x = _sized(x, n, axis)
    n = x.shape[axis]
    if norm == "ortho":
        x = x / _scales(n, axis, x.ndim).astype(x.dtype)
    rest = jnp.take(x, np.arange(n - 1, 0, -1), axis)
    zero = jnp.zeros_like(jnp.take(x, np.arange(1), axis))
    turn = 0.5 * np.exp(0.5j * np.pi * np.arange(n) / n)
    turn = turn.reshape([-1 if k == axis % x.ndim else 1 for k in range(x.ndim)])
    both = x - 1j * jnp.concatenate([zero, rest], axis)
    inner = jnp.fft.ifft(both * turn.astype(both.dtype), axis=axis).real
    places = np.empty(n, np.int64)
    places[::2], places[1::2] = np.arange((n + 1) // 2), np.arange(n - 1, (n + 1) // 2 - 1, -1)
    return jnp.take(inner, places, axis).astype(x.dtype)


def _over_axes(
    transform: Any, x: Any, type: int, s: Sequence[int] | None, axes: Any, norm: str | None
) -> Any:
    x = jnp.asarray(x)
    chosen = range(x.ndim) if axes is None else axes
    for k, axis in enumerate(chosen):
        x = transform(x, type, None if s is None else s[k], axis, norm)
    return x


@boundary
def dctn(
    x: Any,
    type: int = 2,
    s: Sequence[int] | None = None,
    axes: Sequence[int] | None = None,
    norm: str | None = None,
) -> Any:
    """`dct` along several axes, all by default; `s` are the lengths there."""
    return _over_axes(dct, x, type, s, axes, norm)


@boundary
def idctn(
    x: Any,
    type: int = 2,
    s: Sequence[int] | None = None,
    axes: Sequence[int] | None = None,
    norm: str | None = None,
) -> Any:
    """The inverse of `dctn`."""
    return _over_axes(idct, x, type, s, axes, norm)


__all__ = ["dct", "dctn", "idct", "idctn"]

"""Resizing of images, under the names of `jax.image`."""

from __future__ import annotations

import enum
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

import funcgrad.numpy as jnp
from funcgrad.errors import ArgumentError, ShapeError, boundary
from funcgrad.trace.core import type_of


class ResizeMethod(enum.Enum):
    """How elements between those of an image are found: from the nearest one, or weighted by a kernel."""

    NEAREST = 0
    LINEAR = 1
    LANCZOS3 = 2
    LANCZOS5 = 3
    CUBIC = 4

    @staticmethod
    def from_string(s: str) -> ResizeMethod:
        """The method of a name; ArgumentError for one that does not exist."""
        found = _NAMES.get(s)
        if found is None:
            raise ArgumentError(f"there is no resize method {s!r}", hint=f"use one of {', '.join(_NAMES)}")
        return found


_NAMES = {
    "nearest": ResizeMethod.NEAREST,
    "linear": ResizeMethod.LINEAR,
    "bilinear": ResizeMethod.LINEAR,
    "trilinear": ResizeMethod.LINEAR,
    "triangle": ResizeMethod.LINEAR,
    "lanczos3": ResizeMethod.LANCZOS3,
    "lanczos5": ResizeMethod.LANCZOS5,
    "cubic": ResizeMethod.CUBIC,
    "bicubic": ResizeMethod.CUBIC,
    "tricubic": ResizeMethod.CUBIC,
}


def _triangle(x: Any) -> Any:
    return jnp.maximum(0, 1 - x)


def _cubic(x: Any) -> Any:
    """The kernel of Keys, "Cubic convolution interpolation for digital image processing", 1981, with a = -1/2."""
    near = ((1.5 * x - 2.5) * x) * x + 1
    far = ((-0.5 * x + 2.5) * x - 4) * x + 2
    return jnp.where(x < 1, near, jnp.where(x < 2, far, 0))


def _lanczos(radius: float) -> Callable[[Any], Any]:
    def kernel(x: Any) -> Any:
        inside = jnp.where(x > 1e-3, x, 1.0)
        wave = radius * jnp.sin(math.pi * inside) * jnp.sin(math.pi * inside / radius)
        return jnp.where(x > radius, 0, jnp.where(x > 1e-3, wave / (math.pi * inside) ** 2, 1))

    return kernel


_KERNELS = {
    ResizeMethod.LINEAR: _triangle,
    ResizeMethod.CUBIC: _cubic,
    ResizeMethod.LANCZOS3: _lanczos(3.0),
    ResizeMethod.LANCZOS5: _lanczos(5.0),
}


def _weights(
    size: int,
    new_size: int,
    scale: Any,
    translation: Any,
    kernel: Callable[[Any], Any],
    antialias: bool,
    dtype: Any,
) -> Any:
    """The matrix (size, new_size) that makes new elements from old ones along one axis."""
    inverse = 1 / scale
    wide = jnp.maximum(inverse, 1) if antialias else 1
    places = (jnp.arange(new_size, dtype=dtype) + 0.5) * inverse - translation * inverse - 0.5
    distance = jnp.abs(places[None, :] - jnp.arange(size, dtype=dtype)[:, None]) / wide
    weights = kernel(distance)
    total = weights.sum(0, keepdims=True)
    enough = jnp.abs(total) > 1000 * np.finfo(np.float32).eps
    weights = jnp.where(enough, weights / jnp.where(total != 0, total, 1), 0)
    inside = (places >= -0.5) & (places <= size - 0.5)
    return jnp.where(inside[None, :], weights, 0).astype(dtype)


def _method(method: ResizeMethod | str) -> ResizeMethod:
    return ResizeMethod.from_string(method) if isinstance(method, str) else method


@boundary
def scale_and_translate(
    image: Any,
    shape: Sequence[int],
    spatial_dims: Sequence[int],
    scale: Any,
    translation: Any,
    method: ResizeMethod | str,
    antialias: bool = True,
    precision: Any = None,
) -> Any:
    """`image` sampled anew: along each of `spatial_dims`, element x of it comes to x * scale + translation.

    Args:
        image: an array of any rank; integers become floats.
        shape: that of the result; it differs from the image's only in `spatial_dims`.
        scale, translation: vectors with an entry for each of `spatial_dims`.
        method: a kernel; `nearest` is none.
        antialias: whether the kernel is widened where the image shrinks.
    """
    image = jnp.asarray(image)
    how = _method(method)
    if how is ResizeMethod.NEAREST:
        raise ArgumentError("scale_and_translate has no method 'nearest'", hint="use image.resize")
    if len(shape) != image.ndim:
        raise ShapeError(
            f"scale_and_translate: an image of type {type_of(image)} cannot get the shape {tuple(shape)}"
        )
    dtype = (
        jnp.result_type(image.dtype, jnp.float32)
        if not jnp.issubdtype(image.dtype, jnp.inexact)
        else image.dtype
    )
    out = image.astype(dtype)
    scale, translation = jnp.asarray(scale, dtype), jnp.asarray(translation, dtype)
    for k, axis in enumerate(spatial_dims):
        axis = axis % image.ndim
        weights = _weights(
            image.shape[axis], shape[axis], scale[k], translation[k], _KERNELS[how], antialias, dtype
        )
        out = jnp.moveaxis(jnp.tensordot(out, weights, ((axis,), (0,))), -1, axis)
    return out


@boundary
def resize(
    image: Any,
    shape: Sequence[int],
    method: ResizeMethod | str,
    antialias: bool = True,
    precision: Any = None,
) -> Any:
    """`image` with another size along some of its axes.

    Args:
        image: an array of any rank; integers become floats, except by `nearest`.
        shape: the new shape, of the same rank.
        method: 'nearest', 'linear', 'cubic', 'lanczos3' or 'lanczos5', or a `ResizeMethod`.
        antialias: whether the kernel is widened along axes that shrink.

    >>> import funcgrad as fg
    >>> fg.image.resize(fg.numpy.array([0.0, 2.0]), (4,), "linear")
    Array([0. , 0.5, 1.5, 2. ], dtype=float32)
    """
    image = jnp.asarray(image)
    shape = tuple(shape)
    if len(shape) != image.ndim:
        raise ShapeError(
            f"resize: an image of type {type_of(image)} cannot get the shape {shape}",
            hint="give a size for each axis; sizes of batches and channels stay what they are",
        )
    changed = [k for k in range(image.ndim) if image.shape[k] != shape[k]]
    if _method(method) is ResizeMethod.NEAREST:
        for axis in changed:
            places = np.floor((np.arange(shape[axis]) + 0.5) * image.shape[axis] / shape[axis]).astype(
                np.int32
            )
            image = jnp.take(image, places, axis)
        return image
    scale = [shape[k] / image.shape[k] for k in changed]
    return scale_and_translate(
        image, shape, changed, scale, [0.0] * len(changed), method, antialias, precision
    )


__all__ = ["ResizeMethod", "resize", "scale_and_translate"]

"""Interpolation on grids, under the names of `jax.scipy.interpolate`."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np

import funcgrad.numpy as jnp
from funcgrad.errors import ArgumentError, boundary
from funcgrad.trace.core import type_of


class RegularGridInterpolator:
    """A function of r numbers from its `values` on a grid.

    Args:
        points: r ascending vectors, of lengths n1 ... nr.
        values: an array (n1, ..., nr, ...).
        method: 'linear' or 'nearest'.
        bounds_error: whether a point outside of the grid raises; not there, since that needs values at hand.
        fill_value: what the function is outside of the grid; None continues the outermost cells.

    Called with points (..., r) it gives values (..., ...).

    >>> import funcgrad as fg
    >>> f = fg.scipy.interpolate.RegularGridInterpolator([fg.numpy.array([0.0, 2.0])], fg.numpy.array([0.0, 10.0]))
    >>> f(fg.numpy.array([[0.5], [3.0]]))
    Array([2.5, nan], dtype=float32)
    """

    @boundary
    def __init__(
        self,
        points: Sequence[Any],
        values: Any,
        method: str = "linear",
        bounds_error: bool = False,
        fill_value: Any = np.nan,
    ):
        if method not in ("linear", "nearest"):
            raise ArgumentError(f"RegularGridInterpolator: method is 'linear' or 'nearest', got {method!r}")
        if bounds_error:
            raise ArgumentError(
                "RegularGridInterpolator cannot raise where a point is outside",
                hint="leave bounds_error False",
            )
        self.method, self.fill_value = method, fill_value
        self.grid = [jnp.asarray(p) for p in points]
        values = jnp.asarray(values)
        self.values = values if jnp.issubdtype(values.dtype, jnp.inexact) else values.astype(float)
        shape = tuple([p.shape[0] for p in self.grid])
        if self.values.shape[: len(shape)] != shape:
            raise ArgumentError(
                f"RegularGridInterpolator: a grid of shape {shape} and values {type_of(values)}"
            )

    @boundary
    def __call__(self, xi: Any, method: str | None = None) -> Any:
        x = jnp.asarray(xi)
        if x.ndim == 1 and len(self.grid) > 1:
            x = x[None]
        elif x.ndim == 1:
            x = x[:, None]
        if x.shape[-1] != len(self.grid):
            raise ArgumentError(f"points of {x.shape[-1]} numbers, for a grid of {len(self.grid)} axes")
        lower, parts = [], []
        outside = jnp.zeros(x.shape[:-1], bool)
        for k, axis in enumerate(self.grid):
            place = x[..., k]
            i = jnp.clip(jnp.searchsorted(axis, place, side="right") - 1, 0, axis.shape[0] - 2)
            lower.append(i)
            parts.append((place - axis[i]) / (axis[i + 1] - axis[i]))
            outside = outside | (place < axis[0]) | (place > axis[-1])
        trailing = (1,) * (self.values.ndim - len(self.grid))
        if (method or self.method) == "nearest":
            out = self.values[tuple([jnp.where(t <= 0.5, i, i + 1) for i, t in zip(lower, parts)])]
        else:
            out = 0
            for corner in itertools.product((0, 1), repeat=len(self.grid)):
                weight = 1
                for up, t in zip(corner, parts):
                    weight = weight * (t if up else 1 - t)
                value = self.values[tuple([i + up for i, up in zip(lower, corner)])]
                out = out + value * jnp.reshape(weight, (*outside.shape, *trailing))
        if self.fill_value is None:
            return out
        return jnp.where(outside.reshape(*outside.shape, *trailing), self.fill_value, out)


__all__ = ["RegularGridInterpolator"]

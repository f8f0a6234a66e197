"""Interpolation in images, under the names of `jax.scipy.ndimage`."""

from __future__ import annotations

import functools
import itertools
import operator
from collections.abc import Callable, Sequence
from typing import Any

import funcgrad.numpy as jnp
from funcgrad.errors import ArgumentError, boundary
from funcgrad.trace.core import type_of


def _mirror(index: Any, size: int) -> Any:
    """As if reflected about the centres of the edge elements."""
    period = 2 * size - 2
    if period == 0:
        return jnp.zeros_like(index)
    folded = index % period
    return jnp.where(folded < size, folded, period - folded)


_FOLDS: dict[str, Callable[[Any, int], Any]] = {
    "constant": lambda index, size: index,
    "nearest": lambda index, size: jnp.clip(index, 0, size - 1),
    "wrap": lambda index, size: index % size,
    "mirror": _mirror,
    # about the edges: each element is there twice
    "reflect": lambda index, size: _mirror(2 * index + 1, 2 * size + 1) // 2,
}


@boundary
def map_coordinates(
    input: Any, coordinates: Sequence[Any], order: int, mode: str = "constant", cval: Any = 0.0
) -> Any:
    """`input` at places between its elements.

    Args:
        input: an array of rank r.
        coordinates: r arrays of one shape, which is that of the result; an array (r, ...) will do.
        order: 0 takes the nearest element, 1 interpolates linearly.
        mode: what is beyond the edges: 'constant' (`cval`), 'nearest', 'wrap', 'mirror' or 'reflect'.

    >>> import funcgrad as fg
    >>> fg.scipy.ndimage.map_coordinates(fg.numpy.array([0.0, 10.0]), [fg.numpy.array([0.25, 3.0])], 1)
    Array([2.5, 0. ], dtype=float32)
    """
    x = jnp.asarray(input)
    places = [jnp.asarray(c) for c in coordinates]
    if len(places) != x.ndim:
        raise ArgumentError(f"map_coordinates: {type_of(x)} needs {x.ndim} coordinates, got {len(places)}")
    if mode not in _FOLDS:
        raise ArgumentError(
            f"map_coordinates: there is no mode {mode!r}", hint=f"use one of {', '.join(_FOLDS)}"
        )
    if order not in (0, 1):
        raise ArgumentError(
            f"map_coordinates: order is 0 or 1, got {order}", hint="use scipy.ndimage for splines"
        )
    fold = _FOLDS[mode]
    choices = []
    for place, size in zip(places, x.shape):
        if order == 0:
            near = jnp.round(place).astype(int) if jnp.issubdtype(place.dtype, jnp.inexact) else place
            found = [(near, None)]
        else:
            lower = jnp.floor(place)
            above = place - lower
            low = lower.astype(int)
            found = [(low, 1 - above), (low + 1, above)]
        choices.append(
            [(fold(i, size), (i >= 0) & (i < size) if mode == "constant" else None, w) for i, w in found]
        )
    total = None
    for corner in itertools.product(*choices):
        value = x[tuple([jnp.clip(i, 0, size - 1) for (i, _, _), size in zip(corner, x.shape)])]
        inside = [valid for _, valid, _ in corner if valid is not None]
        if inside:
            value = jnp.where(functools.reduce(operator.and_, inside), value, jnp.asarray(cval, x.dtype))
        weights = [w for _, _, w in corner if w is not None]
        value = functools.reduce(operator.mul, weights, value)
        total = value if total is None else total + value
    if jnp.issubdtype(x.dtype, jnp.integer) and order:
        total = jnp.round(total)
    return jnp.asarray(total).astype(x.dtype)


__all__ = ["map_coordinates"]

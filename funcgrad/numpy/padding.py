"""`pad`, in all modes of NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np

from funcgrad import dtypes
from funcgrad.errors import ArgumentError, boundary
from funcgrad.numpy import reductions
from funcgrad.numpy.creation import asarray
from funcgrad.numpy.joining import concatenate
from funcgrad.numpy.manipulation import at_positions
from funcgrad.promotion import cast
from funcgrad.trace import ops
from funcgrad.trace.core import type_of

_BY_POSITION = ("edge", "reflect", "symmetric", "wrap")
_BY_STATISTIC = {"maximum": reductions.max, "mean": reductions.mean, "minimum": reductions.min}
_PAD_MODES = ("constant", *_BY_POSITION, "linear_ramp", *_BY_STATISTIC, "empty")


@boundary
def pad(
    array: Any,
    pad_width: Any,
    mode: Any = "constant",
    *,
    constant_values: Any = 0,
    end_values: Any = 0,
    stat_length: Any = None,
    reflect_type: str = "even",
    **options: Any,
) -> Any:
    """`array` with elements put around it: constants, or by what is at the edges.

    `mode` is "constant" (`constant_values`), "edge", "reflect" (with `reflect_type="odd"` also through the edge's
    value), "symmetric", "wrap", "linear_ramp" (to `end_values`), "maximum", "mean" and "minimum" (of `stat_length`
    elements at the edge, or all), or "empty". Widths and values are given once, or for each axis before and after.

    A function as `mode` gets each line padded with zeros, its (before, after), the axis and `options`, one axis after
    the other, and gives the line that takes its place.

    >>> import funcgrad.numpy as jnp
    >>> jnp.pad(jnp.arange(2), 1).tolist()
    [0, 0, 1, 0]
    """
    x = asarray(array)
    ndim = type_of(x).ndim
    try:
        widths = np.broadcast_to(np.asarray(pad_width), (ndim, 2)).tolist()
    except ValueError:
        raise ArgumentError(
            f"pad_width={pad_width!r} does not fit the {ndim} axes of {type_of(x)}",
            hint="give (before, after) for each axis, one pair for all, or one number",
        ) from None
    if callable(mode):
        return _pad_by(mode, x, widths, options)
    if options:
        raise ArgumentError(
            f"pad has no argument {next(iter(options))!r}", hint="only a function as mode has more"
        )
    if mode not in _PAD_MODES:
        raise ArgumentError(
            f"mode of pad is one of {', '.join(_PAD_MODES)}, got {mode!r}",
            hint='write mode="edge", for example',
        )
    if any(w < 0 for pair in widths for w in pair):
        raise ArgumentError(
            f"pad widths are not negative, got {pad_width!r}", hint="cut with a slice: x[1:-1]"
        )
    if mode == "constant":
        if np.ndim(constant_values) == 0:
            value = cast(asarray(constant_values), type_of(x).dtype)
            return ops.pad(x, value, [(low, high, 0) for low, high in widths])
        values = np.broadcast_to(np.asarray(constant_values), (ndim, 2))
        for d, (low, high) in enumerate(widths):
            for place, width, value in (("low", low, values[d, 0]), ("high", high, values[d, 1])):
                config = [(0, 0, 0)] * ndim
                config[d] = (width, 0, 0) if place == "low" else (0, width, 0)
                x = ops.pad(x, type_of(x).dtype.type(value), config)
        return x
    if reflect_type not in ("even", "odd"):
        raise ArgumentError(f"reflect_type of pad is 'even' or 'odd', got {reflect_type!r}")
    ends = np.broadcast_to(np.asarray(end_values), (ndim, 2)).tolist()
    lengths = np.broadcast_to(np.asarray(0 if stat_length is None else stat_length), (ndim, 2)).tolist()
    for d, (low, high) in enumerate(widths):
        if not low and not high:
            continue
        if mode == "empty":
            x = ops.pad(x, 0, [(low, high, 0) if k == d else (0, 0, 0) for k in range(ndim)])
        elif mode == "linear_ramp":
            x = concatenate([_ramp(x, d, low, ends[d][0], True), x, _ramp(x, d, high, ends[d][1], False)], d)
        elif mode in _BY_STATISTIC:
            parts = [_statistic(x, d, n, lengths[d][k], mode, k == 0) for k, n in enumerate((low, high))]
            x = concatenate([parts[0], x, parts[1]], d)
        else:
            x = _mirrored(x, d, low, high, mode, reflect_type == "odd" and mode in ("reflect", "symmetric"))
    return x


def _pad_by(function: Any, x: Any, widths: list[list[int]], options: dict[str, Any]) -> Any:
    """Each line along each axis in turn, padded with zeros, put through a user's function."""
    x = ops.pad(x, type_of(x).dtype.type(0), [(low, high, 0) for low, high in widths])
    for axis, pair in enumerate(widths):
        if not any(pair):
            continue
        t = type_of(x)
        moved = ops.moveaxis(x, axis, t.ndim - 1)
        rows = ops.reshape(moved, (t.size // t.shape[axis], t.shape[axis]))
        lines = [
            ops.reshape(ops.slice_in_dim(rows, i, i + 1), (t.shape[axis],))
            for i in range(type_of(rows).shape[0])
        ]
        made = [function(line, tuple(pair), axis, options) for line in lines]
        if any(m is None or type_of(m).shape != (t.shape[axis],) for m in made):
            raise ArgumentError(
                f"pad: the function has to give the padded line, of {t.shape[axis]} elements",
                hint="arrays do not change in place: return line.at[:before].set(...)",
            )
        rows = ops.concatenate([ops.expand_dims(asarray(m), (0,)) for m in made], 0)
        whole = ops.reshape(ops.convert(rows, t.dtype), type_of(moved).shape)
        x = ops.moveaxis(whole, t.ndim - 1, axis)
    return x


def _mirrored(x: Any, axis: int, low: int, high: int, mode: str, odd: bool) -> Any:
    """Padded with elements of `x`; where `odd`, with what they are on the other side of the edge's value."""
    length = type_of(x).shape[axis]
    if not odd:
        positions = np.pad(np.arange(length), (low, high), mode=mode)  # type: ignore[call-overload]
        return at_positions(x, positions, axis)
    # what NumPy makes of each unit vector
    rows = ((low, high), (0, 0))
    weights = np.pad(np.eye(length), rows, mode=mode, reflect_type="odd")  # type: ignore[call-overload]
    matrix = weights.astype(type_of(x).dtype)
    moved = ops.moveaxis(x, axis, type_of(x).ndim - 1)
    out = ops.dot_general(moved, matrix, (((type_of(x).ndim - 1,), (1,)), ((), ())))
    return ops.moveaxis(out, type_of(x).ndim - 1, axis)


def _ramp(x: Any, axis: int, width: int, end: Any, before: bool) -> Any:
    """`width` steps from the edge of `x` to `end`."""
    t = type_of(x)
    real = dtypes.default_float() if not dtypes.is_inexact(t.dtype) else t.dtype
    length = t.shape[axis]
    edge = (
        ops.slice_in_dim(x, 0, 1, axis=axis) if before else ops.slice_in_dim(x, length - 1, length, axis=axis)
    )
    shape = [width if d == axis else 1 for d in range(t.ndim)]
    steps = np.arange(width, dtype=float) if before else np.arange(width - 1, -1, -1, dtype=float)
    share = (steps / max(width, 1)).reshape(shape).astype(real)
    whole = [width if d == axis else n for d, n in enumerate(t.shape)]
    edge = ops.convert(ops.broadcast_to(edge, whole), real)
    ramp = ops.add(ops.mul(ops.sub(edge, end), ops.broadcast_to(share, whole)), end)
    return ops.convert(ramp, t.dtype)


def _statistic(x: Any, axis: int, width: int, length: int, mode: str, before: bool) -> Any:
    """`width` copies of a statistic of the `length` elements (all for 0) at an edge of `x`."""
    t = type_of(x)
    count = t.shape[axis] if not length else min(length, t.shape[axis])
    start = 0 if before else t.shape[axis] - count
    found = _BY_STATISTIC[mode](ops.slice_in_dim(x, start, start + count, axis=axis), axis, keepdims=True)
    if dtypes.is_integer(t.dtype) and mode == "mean":
        found = ops.round_(found, 1)
    return ops.broadcast_to(
        ops.convert(found, t.dtype), [width if d == axis else n for d, n in enumerate(t.shape)]
    )

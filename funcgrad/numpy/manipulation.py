"""Changing the shape and order of elements, and joining and splitting arrays."""

from __future__ import annotations

import itertools
import math
import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from funcgrad import dtypes
from funcgrad.array import ArrayMethods
from funcgrad.errors import ArgumentError, AxisError, FuncgradError, ShapeError, boundary
from funcgrad.numpy import reductions
from funcgrad.numpy.creation import asarray, canonical_shape, lengths_of
from funcgrad.numpy.indexing import get
from funcgrad.numpy.reductions import canonical_axes
from funcgrad.promotion import broadcast_shapes, cast, check_arrays, result_dtype
from funcgrad.trace import ops
from funcgrad.trace.core import Tracer, type_of


def _axis(name: str, axis: int, ndim: int, x: Any) -> int:
    try:
        number = operator.index(axis)
    except TypeError as error:
        if isinstance(error, FuncgradError):
            raise
        raise ArgumentError(
            f"{name}: an axis is an integer, got {axis!r:.80} of type {type(axis).__name__}",
            hint="several arrays go in one list: [a, b]"
            if isinstance(axis, ArrayMethods | np.ndarray)
            else f"use an axis from {-ndim} to {ndim - 1}",
        ) from None
    if not -ndim <= number < ndim:
        new = ", of which the result has one more" if ndim > type_of(x).ndim else ""
        raise AxisError(
            f"{name}: axis {number} of {type_of(x)}, which has {type_of(x).ndim} axes{new}",
            hint=f"use an axis from {-ndim} to {ndim - 1}"
            if ndim
            else "the array is a scalar: leave it as it is",
        )
    return number % ndim


@boundary
def reshape(a: Any, shape: Any, order: str = "C", *, copy: bool | None = None) -> Any:
    """The elements of `a`, in row-major order, in another shape; one length may be -1, to be worked out."""
    x = asarray(a)
    t = type_of(x)
    lengths = [operator.index(n) for n in lengths_of(shape)]
    if lengths.count(-1) > 1:
        raise ShapeError(
            f"reshape of {t} to {tuple(lengths)}: only one length can be -1",
            hint="say all lengths but one",
        )
    if -1 in lengths:
        known = -math.prod(lengths)
        if known == 0 or t.size % known:
            raise ShapeError(
                f"reshape of {t}, which has {t.size} elements, to {tuple(lengths)}: no length fits in place of -1",
                hint=f"the product of the other lengths has to divide {t.size}",
            )
        lengths[lengths.index(-1)] = t.size // known
    if math.prod(lengths) != t.size or any(n < 0 for n in lengths):
        raise ShapeError(
            f"reshape of {t}, which has {t.size} elements, to {tuple(lengths)}, which has {math.prod(lengths)}",
            hint="the number of elements stays; use -1 for one length to have it worked out",
        )
    if order == "F":
        reverse = tuple(range(t.ndim))[::-1]
        back = tuple(range(len(lengths)))[::-1]
        return ops.transpose(ops.reshape(ops.transpose(x, reverse), lengths[::-1]), back)
    return ops.reshape(x, lengths)


@boundary
def ravel(a: Any, order: str = "C") -> Any:
    """The elements of `a` in one axis."""
    return reshape(a, -1, order)


@boundary
def transpose(a: Any, axes: Sequence[int] | None = None) -> Any:
    """`a` with its axes reversed, or in the order `axes`."""
    x = asarray(a)
    ndim = type_of(x).ndim
    if axes is None:
        return ops.transpose(x, tuple(range(ndim))[::-1])
    if len(axes) != ndim or sorted(order := [_axis("transpose", d, ndim, x) for d in axes]) != list(
        range(ndim)
    ):
        raise AxisError(
            f"transpose of {type_of(x)} to axes {tuple(axes)}: it has {ndim} axes, and each has to be there once",
            hint="swapaxes exchanges two axes, reshape makes new ones",
        )
    return ops.transpose(x, order)


permute_dims = transpose


@boundary
def matrix_transpose(x: Any, /) -> Any:
    """`x` with its last two axes exchanged."""
    return swapaxes(x, -1, -2)


@boundary
def swapaxes(a: Any, axis1: int, axis2: int) -> Any:
    """`a` with two axes exchanged."""
    x = asarray(a)
    ndim = type_of(x).ndim
    order = list(range(ndim))
    i, j = _axis("swapaxes", axis1, ndim, x), _axis("swapaxes", axis2, ndim, x)
    order[i], order[j] = order[j], order[i]
    return ops.transpose(x, order)


@boundary
def moveaxis(a: Any, source: Any, destination: Any) -> Any:
    """`a` with the axes `source` moved to the positions `destination`; the others keep their order."""
    x = asarray(a)
    ndim = type_of(x).ndim
    sources = [_axis("moveaxis", s, ndim, x) for s in (source if np.ndim(source) else (source,))]
    targets = [
        _axis("moveaxis", d, ndim, x) for d in (destination if np.ndim(destination) else (destination,))
    ]
    if len(sources) != len(targets):
        raise ArgumentError(
            f"moveaxis: {len(sources)} sources and {len(targets)} destinations",
            hint="give one destination for each source",
        )
    order = [d for d in range(ndim) if d not in sources]
    for target, origin in sorted(zip(targets, sources)):
        order.insert(target, origin)
    return ops.transpose(x, order)


@boundary
def squeeze(a: Any, axis: Any = None) -> Any:
    """`a` without its axes of length 1, or without those in `axis`."""
    x = asarray(a)
    shape = type_of(x).shape
    axes = [d for d, n in enumerate(shape) if n == 1] if axis is None else canonical_axes("squeeze", axis, x)
    long = [d for d in axes if shape[d] != 1]
    if long:
        raise ShapeError(
            f"squeeze: axis {long[0]} of {type_of(x)} has length {shape[long[0]]}, not 1",
            hint="only axes of length 1 can go; choose an element with an index, or use reshape",
        )
    return ops.reshape(x, [n for d, n in enumerate(shape) if d not in axes])


@boundary
def expand_dims(a: Any, axis: Any) -> Any:
    """`a` with axes of length 1 at the positions `axis` of the result."""
    x = asarray(a)
    given = axis if isinstance(axis, tuple | list) else (axis,)
    ndim = type_of(x).ndim + len(given)
    axes = [_axis("expand_dims", d, ndim, x) for d in given]
    if len(set(axes)) != len(axes):
        raise AxisError(
            f"expand_dims of {type_of(x)}: axis={axis!r} names a position twice",
            hint="name each position once",
        )
    return ops.expand_dims(x, axes)


@boundary
def broadcast_to(array: Any, shape: Any) -> Any:
    """`array` repeated along axes of length 1, and along new leading axes, to `shape`."""
    x = asarray(array)
    target = canonical_shape(shape)
    have = type_of(x).shape
    try:
        fits = len(have) <= len(target) and broadcast_shapes(have, target) == target
    except ShapeError:
        fits = False
    if not fits:
        raise ShapeError(
            f"{type_of(x)} does not broadcast to shape {target}",
            hint="axes are matched from the last; an axis keeps its length or grows from 1",
        )
    return ops.broadcast_to(x, target)


@boundary
def broadcast_arrays(*args: Any) -> tuple[Any, ...]:
    """The arrays in their common shape."""
    arrays = [asarray(a) for a in args]
    shape = broadcast_shapes(*[type_of(a).shape for a in arrays])
    return tuple([ops.broadcast_to(a, shape) for a in arrays])


def _promoted(name: str, arrays: Any, dtype: Any = None) -> list[Any]:
    if not isinstance(arrays, Sequence | ArrayMethods | np.ndarray) and not hasattr(arrays, "__iter__"):
        raise ArgumentError(
            f"{name} takes a sequence of arrays, got {arrays!r:.80} of type {type(arrays).__name__}",
            hint="put the arrays into one list: [a, b]",
        )
    if hasattr(arrays, "type") or isinstance(arrays, np.ndarray):
        if not type_of(arrays).ndim:
            raise ArgumentError(
                f"{name} takes a sequence of arrays, got one without axes: {type_of(arrays)}",
                hint="put the arrays into one list: [a, b]",
            )
        arrays = [arrays[i] for i in range(type_of(arrays).shape[0])]
    if not arrays:
        raise ArgumentError(
            f"{name} needs at least one array, and the sequence is empty",
            hint="give the empty case a result of its own, for example funcgrad.numpy.zeros((0, n))",
        )
    types = check_arrays(name, *arrays)
    common, weak = (np.dtype(dtype), False) if dtype is not None else result_dtype(*types)
    return [asarray(cast(a, common, weak)) for a in arrays]


@boundary
def concatenate(arrays: Any, axis: int | None = 0, dtype: Any = None) -> Any:
    """The arrays joined along an existing axis; their other lengths are equal. With axis None, flattened first."""
    parts = _promoted("concatenate", arrays, dtype)
    if axis is None:
        parts, axis = [ravel(p) for p in parts], 0
    ndim = type_of(parts[0]).ndim
    if ndim == 0:
        raise ShapeError(
            f"concatenate joins along an axis, and scalars have none: {', '.join(str(type_of(p)) for p in parts[:8])}",
            hint="use stack for scalars; several arrays go in one list: concatenate([a, b])",
        )
    number = _axis("concatenate", axis, ndim, parts[0])
    rest = {tuple(n for d, n in enumerate(type_of(p).shape) if d != number) for p in parts}
    if len(rest) > 1 or {type_of(p).ndim for p in parts} != {ndim}:
        raise ShapeError(
            f"concatenate along axis {axis} of {', '.join(str(type_of(p)) for p in parts)}: all other lengths have "
            "to be equal",
            hint="use x[None] for a missing axis, another axis=, or stack for a new axis"
            if {type_of(p).ndim for p in parts} != {ndim}
            else "give another axis=, transpose one of them, or cut or pad it",
        )
    return parts[0] if len(parts) == 1 else ops.concatenate(parts, number)


concat = concatenate


@boundary
def stack(arrays: Any, axis: int = 0, out: None = None, dtype: Any = None) -> Any:
    """The arrays, all of one shape, joined along a new axis."""
    parts = _promoted("stack", arrays, dtype)
    shapes = {type_of(p).shape for p in parts}
    if len(shapes) > 1:
        raise ShapeError(
            f"stack of arrays of different shapes: {', '.join(str(type_of(p)) for p in parts)}",
            hint="bring them to one shape with funcgrad.numpy.pad or a slice, or join them with concatenate",
        )
    number = _axis("stack", axis, type_of(parts[0]).ndim + 1, parts[0])
    return ops.concatenate([ops.expand_dims(p, (number,)) for p in parts], number)


@boundary
def atleast_1d(*arys: Any) -> Any:
    """Each array with at least one axis."""
    return _at_least(1, arys, lambda x: ops.reshape(x, (1,)))


@boundary
def atleast_2d(*arys: Any) -> Any:
    """Each array with at least two axes; new ones in front."""
    return _at_least(2, arys, lambda x: ops.reshape(x, (1,) * (2 - type_of(x).ndim) + type_of(x).shape))


@boundary
def atleast_3d(*arys: Any) -> Any:
    """Each array with at least three axes: a vector becomes (1, n, 1), a matrix (m, n, 1)."""

    def grow(x: Any) -> Any:
        shape = type_of(x).shape
        return ops.reshape(
            x, (1, *shape, 1) if len(shape) == 1 else (*shape, 1) if len(shape) == 2 else (1, 1, 1)
        )

    return _at_least(3, arys, grow)


def _at_least(ndim: int, arrays: Sequence[Any], grow: Any) -> Any:
    result = [x if type_of(x).ndim >= ndim else grow(x) for x in map(asarray, arrays)]
    return result[0] if len(result) == 1 else result


def _each(arrays: Any) -> list[Any]:
    return [arrays[i] for i in range(len(arrays))] if hasattr(arrays, "type") else list(arrays)


@boundary
def vstack(tup: Any, dtype: Any = None) -> Any:
    """The arrays one below the other."""
    return concatenate([atleast_2d(a) for a in _each(tup)], 0, dtype)


row_stack = vstack


@boundary
def hstack(tup: Any, dtype: Any = None) -> Any:
    """The arrays side by side."""
    parts = [atleast_1d(a) for a in _each(tup)]
    return concatenate(parts, 0 if type_of(parts[0]).ndim == 1 else 1, dtype)


@boundary
def dstack(tup: Any, dtype: Any = None) -> Any:
    """The arrays one behind the other, along the third axis."""
    return concatenate([atleast_3d(a) for a in _each(tup)], 2, dtype)


@boundary
def column_stack(tup: Any) -> Any:
    """Vectors as the columns of a matrix."""
    parts = [asarray(a) for a in _each(tup)]
    return concatenate([ops.reshape(p, (type_of(p).size, 1)) if type_of(p).ndim < 2 else p for p in parts], 1)


@boundary
def split(ary: Any, indices_or_sections: Any, axis: int = 0) -> list[Any]:
    """`ary` cut into pieces along an axis: into that many equal ones, or before those indices."""
    return _split("split", ary, indices_or_sections, axis, True)


@boundary
def array_split(ary: Any, indices_or_sections: Any, axis: int = 0) -> list[Any]:
    """As `split`, with pieces that may differ by one in length."""
    return _split("array_split", ary, indices_or_sections, axis, False)


def _split(name: str, ary: Any, cuts: Any, axis: int, equal: bool) -> list[Any]:
    x = asarray(ary)
    number = _axis(name, axis, type_of(x).ndim, x)
    length = type_of(x).shape[number]
    if np.ndim(cuts) == 0:
        count = operator.index(cuts)
        if equal and length % count:
            raise ShapeError(
                f"{name} of axis {axis} of {type_of(x)}, of length {length}, into {count} equal pieces",
                hint="use array_split for pieces that may differ by one, or give the indices to cut at",
            )
        big = length % count
        lengths = [length // count + 1] * big + [length // count] * (count - big)
        edges = [0, *np.cumsum(lengths).tolist()]
    else:
        edges = [
            0,
            *[min(operator.index(c) % (length + 1) if c < 0 else operator.index(c), length) for c in cuts],
            length,
        ]
    return [ops.slice_in_dim(x, a, max(a, b), axis=number) for a, b in itertools.pairwise(edges)]


@boundary
def hsplit(ary: Any, indices_or_sections: Any) -> list[Any]:
    """`split` along the second axis (the first of a vector)."""
    return split(ary, indices_or_sections, 1 if np.ndim(ary) > 1 else 0)


@boundary
def vsplit(ary: Any, indices_or_sections: Any) -> list[Any]:
    """`split` along the first axis."""
    return split(ary, indices_or_sections, 0)


@boundary
def unstack(x: Any, /, *, axis: int = 0) -> tuple[Any, ...]:
    """The slices of `x` along an axis."""
    x = moveaxis(x, axis, 0)
    return tuple(
        ops.reshape(ops.slice_in_dim(x, i, i + 1), type_of(x).shape[1:]) for i in range(type_of(x).shape[0])
    )


@boundary
def tile(A: Any, reps: Any) -> Any:
    """`A` repeated as a whole, `reps` times along each axis."""
    x = asarray(A)
    counts = tuple(reps) if np.ndim(reps) else (reps,)
    shape = type_of(x).shape
    rank = max(len(counts), len(shape))
    counts = (1,) * (rank - len(counts)) + tuple(map(operator.index, counts))
    shape = (1,) * (rank - len(shape)) + shape
    between = [n for pair in zip(counts, shape) for n in pair]
    spread = ops.broadcast_in_dim(ops.reshape(x, shape), between, range(1, 2 * rank, 2))
    return ops.reshape(spread, [c * n for c, n in zip(counts, shape)])


@boundary
def repeat(a: Any, repeats: Any, axis: int | None = None, *, total_repeat_length: int | None = None) -> Any:
    """Each element of `a` repeated, along an axis (of the flat array by default).

    `repeats` is one count, or one for each element of the axis. With `total_repeat_length` the result has that
    length: it is cut, or goes on with the last element; then the counts may be traced. Without it a traced
    count raises ConcretizationError, since the length would depend on it.

    >>> repeat(np.array([1, 2, 3]), np.array([2, 0, 1]), total_repeat_length=5)
    Array([1, 1, 3, 3, 3], dtype=int64)
    """
    x = asarray(a)
    if axis is None:
        x, axis = ravel(x), 0
    number = _axis("repeat", axis, type_of(x).ndim, x)
    length = type_of(x).shape[number]
    if total_repeat_length is not None:
        total = operator.index(total_repeat_length)
        counts = ops.broadcast_to(asarray(repeats), (length,))
        ends = get(counts, slice(-1)).cumsum()
        passed: Any = asarray(np.zeros(total, np.int64))
        return _at_positions(x, passed.at[ends].add(1, mode="drop").cumsum(), number)
    if isinstance(repeats, Tracer):
        repeats = repeats.concrete(
            "the number of repeats", "give the length of the result: repeat(..., total_repeat_length=n)"
        )
    if np.ndim(repeats) == 0:
        count = operator.index(repeats)
        shape = list(type_of(x).shape)
        between = [*shape[: number + 1], count, *shape[number + 1 :]]
        spread = ops.broadcast_in_dim(x, between, [d for d in range(len(between)) if d != number + 1])
        shape[number] *= count
        return ops.reshape(spread, shape)
    counts = np.broadcast_to(np.asarray(repeats), (length,))
    return _at_positions(x, np.repeat(np.arange(length), counts), number)


@boundary
def flip(m: Any, axis: Any = None) -> Any:
    """`m` with the order of elements reversed along `axis` (all by default)."""
    x = asarray(m)
    return ops.rev(x, canonical_axes("flip", axis, x))


@boundary
def fliplr(m: Any) -> Any:
    """`m` with its columns reversed."""
    return flip(m, 1)


@boundary
def flipud(m: Any) -> Any:
    """`m` with its rows reversed."""
    return flip(m, 0)


@boundary
def roll(a: Any, shift: Any, axis: Any = None) -> Any:
    """`a` with elements moved on by `shift` places, those that leave at one end coming in at the other."""
    x = asarray(a)
    if axis is None:
        return ops.reshape(roll(ravel(x), shift, 0), type_of(x).shape)
    # an axis may be named several times: it is moved by the sum
    axes = [canonical_axes("roll", number, x)[0] for number in (axis if np.ndim(axis) else (axis,))]
    count = len(axes) if len(axes) > 1 else max(np.size(shift), 1)
    axes = axes * count if len(axes) == 1 else axes
    shape = type_of(shift).shape if isinstance(shift, Tracer) else np.shape(shift)
    if shape not in ((), (1,), (count,)):
        raise ShapeError(
            f"roll of {type_of(x)} by shifts of shape {shape} along {len(axes)} axes",
            hint="give one shift, or one for each axis",
        )
    if isinstance(shift, Tracer):
        by_axis = ops.broadcast_to(shift, (count,))
        for i, number in enumerate(axes):
            length = type_of(x).shape[number]
            if length:
                x = _at_positions(x, (np.arange(length) - get(by_axis, i)) % length, number)
        return x
    shifts = [operator.index(s) for s in np.broadcast_to(np.asarray(shift), (count,)).tolist()]
    for number, by in zip(axes, shifts):
        length = type_of(x).shape[number]
        by = by % length if length else 0
        if by:
            parts = [
                ops.slice_in_dim(x, length - by, length, axis=number),
                ops.slice_in_dim(x, 0, length - by, axis=number),
            ]
            x = ops.concatenate(parts, number)
    return x


@boundary
def rot90(m: Any, k: int = 1, axes: tuple[int, int] = (0, 1)) -> Any:
    """`m` turned by 90 degrees k times in the plane of two axes."""
    i, j = axes
    k %= 4
    if k == 0:
        return asarray(m)
    if k == 2:
        return flip(flip(m, i), j)
    return flip(swapaxes(m, i, j), i) if k == 1 else swapaxes(flip(m, i), i, j)


def _at_positions(x: Any, positions: Any, axis: int) -> Any:
    return get(x, (slice(None),) * axis + (positions,))


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
        return _at_positions(x, positions, axis)
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


@boundary
def append(arr: Any, values: Any, axis: int | None = None) -> Any:
    """`values` joined to the end of `arr`."""
    return concatenate([ravel(arr), ravel(values)] if axis is None else [arr, values], axis or 0)


@boundary
def resize(a: Any, new_shape: Any) -> Any:
    """The elements of `a`, repeated as often as needed, in a shape of any size."""
    shape = canonical_shape(new_shape)
    flat = ravel(a)
    size = math.prod(shape)
    times = -(-size // max(type_of(flat).size, 1))
    return ops.reshape(ops.slice_in_dim(tile(flat, times), 0, size), shape)

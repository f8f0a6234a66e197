"""The shape of arrays, and the order of their elements."""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from funcgrad.array import ArrayMethods
from funcgrad.errors import ArgumentError, AxisError, FuncgradError, ShapeError, boundary
from funcgrad.numpy.creation import asarray, canonical_shape, lengths_of
from funcgrad.numpy.indexing import get
from funcgrad.numpy.reductions import canonical_axes
from funcgrad.promotion import broadcast_shapes
from funcgrad.trace import ops
from funcgrad.trace.core import Tracer, type_of


def checked_axis(name: str, axis: int, ndim: int, x: Any) -> int:
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
    """The elements of `a`, in row-major order, in another shape; one length may be -1, to be worked out.

    Raises:
        ShapeError: a shape of another number of elements.

    >>> import funcgrad.numpy as jnp
    >>> jnp.reshape(jnp.arange(6), (2, -1)).shape
    (2, 3)
    """
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
    """The elements of `a` in one axis.

    Raises:
        DTypeError: what is no array or number.

    >>> import funcgrad.numpy as jnp
    >>> jnp.ravel(jnp.ones((2, 3))).shape
    (6,)
    """
    return reshape(a, -1, order)


@boundary
def transpose(a: Any, axes: Sequence[int] | None = None) -> Any:
    """`a` with its axes reversed, or in the order `axes`.

    Raises:
        AxisError: an axis that there is not.

    >>> import funcgrad.numpy as jnp
    >>> jnp.permute_dims(jnp.ones((2, 3, 4)), (2, 0, 1)).shape
    (4, 2, 3)
    """
    x = asarray(a)
    ndim = type_of(x).ndim
    if axes is None:
        return ops.transpose(x, tuple(range(ndim))[::-1])
    if len(axes) != ndim or sorted(order := [checked_axis("transpose", d, ndim, x) for d in axes]) != list(
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
    """`x` with its last two axes exchanged.

    Raises:
        AxisError: fewer than two axes.

    >>> import funcgrad.numpy as jnp
    >>> jnp.matrix_transpose(jnp.ones((2, 3))).shape
    (3, 2)
    """
    return swapaxes(x, -1, -2)


@boundary
def swapaxes(a: Any, axis1: int, axis2: int) -> Any:
    """`a` with two axes exchanged.

    Raises:
        AxisError: an axis that there is not.

    >>> import funcgrad.numpy as jnp
    >>> jnp.swapaxes(jnp.ones((2, 3, 4)), 0, 2).shape
    (4, 3, 2)
    """
    x = asarray(a)
    ndim = type_of(x).ndim
    order = list(range(ndim))
    i, j = checked_axis("swapaxes", axis1, ndim, x), checked_axis("swapaxes", axis2, ndim, x)
    order[i], order[j] = order[j], order[i]
    return ops.transpose(x, order)


@boundary
def moveaxis(a: Any, source: Any, destination: Any) -> Any:
    """`a` with the axes `source` moved to the positions `destination`; the others keep their order.

    Raises:
        AxisError: an axis that there is not.

    >>> import funcgrad.numpy as jnp
    >>> jnp.moveaxis(jnp.ones((2, 3, 4)), 0, -1).shape
    (3, 4, 2)
    """
    x = asarray(a)
    ndim = type_of(x).ndim
    sources = [checked_axis("moveaxis", s, ndim, x) for s in (source if np.ndim(source) else (source,))]
    targets = [
        checked_axis("moveaxis", d, ndim, x)
        for d in (destination if np.ndim(destination) else (destination,))
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
    """`a` without its axes of length 1, or without those in `axis`.

    Raises:
        AxisError: an axis that there is not.

    >>> import funcgrad.numpy as jnp
    >>> jnp.squeeze(jnp.ones((1, 3, 1))).shape
    (3,)
    """
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
    """`a` with axes of length 1 at the positions `axis` of the result.

    Raises:
        AxisError: an axis that there is not.

    >>> import funcgrad.numpy as jnp
    >>> jnp.expand_dims(jnp.ones(3), 0).shape
    (1, 3)
    """
    x = asarray(a)
    given = axis if isinstance(axis, tuple | list) else (axis,)
    ndim = type_of(x).ndim + len(given)
    axes = [checked_axis("expand_dims", d, ndim, x) for d in given]
    if len(set(axes)) != len(axes):
        raise AxisError(
            f"expand_dims of {type_of(x)}: axis={axis!r} names a position twice",
            hint="name each position once",
        )
    return ops.expand_dims(x, axes)


@boundary
def broadcast_to(array: Any, shape: Any) -> Any:
    """`array` repeated along axes of length 1, and along new leading axes, to `shape`.

    Raises:
        ShapeError: a shape to which it does not broadcast.

    >>> import funcgrad.numpy as jnp
    >>> jnp.broadcast_to(jnp.arange(2), (2, 2)).tolist()
    [[0, 1], [0, 1]]
    """
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
    """The arrays in their common shape.

    Raises:
        ShapeError: shapes that do not broadcast.

    >>> import funcgrad.numpy as jnp
    >>> [x.shape for x in jnp.broadcast_arrays(jnp.ones((2, 1)), jnp.ones(3))]
    [(2, 3), (2, 3)]
    """
    arrays = [asarray(a) for a in args]
    shape = broadcast_shapes(*[type_of(a).shape for a in arrays])
    return tuple([ops.broadcast_to(a, shape) for a in arrays])


@boundary
def tile(A: Any, reps: Any) -> Any:
    """`A` repeated as a whole, `reps` times along each axis.

    Raises:
        DTypeError: what is no array or number.

    >>> import funcgrad.numpy as jnp
    >>> jnp.tile(jnp.arange(2), 2).tolist()
    [0, 1, 0, 1]
    """
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
    number = checked_axis("repeat", axis, type_of(x).ndim, x)
    length = type_of(x).shape[number]
    if total_repeat_length is not None:
        total = operator.index(total_repeat_length)
        counts = ops.broadcast_to(asarray(repeats), (length,))
        ends = get(counts, slice(-1)).cumsum()
        passed: Any = asarray(np.zeros(total, np.int64))
        return at_positions(x, passed.at[ends].add(1, mode="drop").cumsum(), number)
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
    return at_positions(x, np.repeat(np.arange(length), counts), number)


@boundary
def flip(m: Any, axis: Any = None) -> Any:
    """`m` with the order of elements reversed along `axis` (all by default).

    Raises:
        AxisError: an axis that there is not.

    >>> import funcgrad.numpy as jnp
    >>> jnp.flip(jnp.arange(3)).tolist()
    [2, 1, 0]
    """
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
    """`a` with elements moved on by `shift` places, those that leave at one end coming in at the other.

    Raises:
        AxisError: an axis that there is not.

    >>> import funcgrad.numpy as jnp
    >>> jnp.roll(jnp.arange(4), 1).tolist()
    [3, 0, 1, 2]
    """
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
                x = at_positions(x, (np.arange(length) - get(by_axis, i)) % length, number)
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
    """`m` turned by 90 degrees k times in the plane of two axes.

    Raises:
        AxisError: an axis that there is not.

    >>> import funcgrad.numpy as jnp
    >>> jnp.rot90(jnp.array([[1, 2], [3, 4]])).tolist()
    [[2, 4], [1, 3]]
    """
    i, j = axes
    k %= 4
    if k == 0:
        return asarray(m)
    if k == 2:
        return flip(flip(m, i), j)
    return flip(swapaxes(m, i, j), i) if k == 1 else swapaxes(flip(m, i), i, j)


def at_positions(x: Any, positions: Any, axis: int) -> Any:
    return get(x, (slice(None),) * axis + (positions,))


@boundary
def resize(a: Any, new_shape: Any) -> Any:
    """The elements of `a`, repeated as often as needed, in a shape of any size."""
    shape = canonical_shape(new_shape)
    flat = ravel(a)
    size = math.prod(shape)
    times = -(-size // max(type_of(flat).size, 1))
    return ops.reshape(ops.slice_in_dim(tile(flat, times), 0, size), shape)

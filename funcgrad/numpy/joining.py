"""Arrays put together and taken apart: concatenate, stack, split and their relatives."""

from __future__ import annotations

import itertools
import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from funcgrad.array import ArrayMethods
from funcgrad.errors import ArgumentError, ShapeError, boundary
from funcgrad.numpy.creation import asarray
from funcgrad.numpy.manipulation import checked_axis, moveaxis, ravel
from funcgrad.promotion import cast, check_arrays, result_dtype
from funcgrad.trace import ops
from funcgrad.trace.core import type_of


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
    """The arrays joined along an existing axis; their other lengths are equal. With axis None, flattened first.

    Raises:
        ShapeError: arrays that differ along another axis.
        AxisError: an axis that there is not.

    >>> import funcgrad.numpy as jnp
    >>> jnp.concat([jnp.ones((1, 2)), jnp.zeros((1, 2))]).tolist()
    [[1.0, 1.0], [0.0, 0.0]]
    """
    parts = _promoted("concatenate", arrays, dtype)
    if axis is None:
        parts, axis = [ravel(p) for p in parts], 0
    ndim = type_of(parts[0]).ndim
    if ndim == 0:
        raise ShapeError(
            f"concatenate joins along an axis, and scalars have none: {', '.join(str(type_of(p)) for p in parts[:8])}",
            hint="use stack for scalars; several arrays go in one list: concatenate([a, b])",
        )
    number = checked_axis("concatenate", axis, ndim, parts[0])
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
    """The arrays, all of one shape, joined along a new axis.

    Raises:
        ShapeError: arrays of different shapes.

    >>> import funcgrad.numpy as jnp
    >>> jnp.stack([jnp.arange(2), jnp.arange(2)]).tolist()
    [[0, 1], [0, 1]]
    """
    parts = _promoted("stack", arrays, dtype)
    shapes = {type_of(p).shape for p in parts}
    if len(shapes) > 1:
        raise ShapeError(
            f"stack of arrays of different shapes: {', '.join(str(type_of(p)) for p in parts)}",
            hint="bring them to one shape with funcgrad.numpy.pad or a slice, or join them with concatenate",
        )
    number = checked_axis("stack", axis, type_of(parts[0]).ndim + 1, parts[0])
    return ops.concatenate([ops.expand_dims(p, (number,)) for p in parts], number)


@boundary
def atleast_1d(*arys: Any) -> Any:
    """Each array with at least one axis.

    Raises:
        DTypeError: what is no array or number.

    >>> import funcgrad.numpy as jnp
    >>> jnp.atleast_1d(3.0).shape
    (1,)
    """
    return _at_least(1, arys, lambda x: ops.reshape(x, (1,)))


@boundary
def atleast_2d(*arys: Any) -> Any:
    """Each array with at least two axes; new ones in front.

    Raises:
        DTypeError: what is no array or number.

    >>> import funcgrad.numpy as jnp
    >>> jnp.atleast_2d(jnp.ones(3)).shape
    (1, 3)
    """
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
    """The arrays side by side.

    Raises:
        ShapeError: arrays that differ along another axis.

    >>> import funcgrad.numpy as jnp
    >>> jnp.hstack([jnp.arange(2), jnp.arange(2)]).tolist()
    [0, 1, 0, 1]
    """
    parts = [atleast_1d(a) for a in _each(tup)]
    return concatenate(parts, 0 if type_of(parts[0]).ndim == 1 else 1, dtype)


@boundary
def dstack(tup: Any, dtype: Any = None) -> Any:
    """The arrays one behind the other, along the third axis.

    Raises:
        ShapeError: arrays of different shapes.

    >>> import funcgrad.numpy as jnp
    >>> jnp.dstack([jnp.ones(2), jnp.zeros(2)]).shape
    (1, 2, 2)
    """
    return concatenate([atleast_3d(a) for a in _each(tup)], 2, dtype)


@boundary
def column_stack(tup: Any) -> Any:
    """Vectors as the columns of a matrix.

    Raises:
        ShapeError: arrays of different lengths.

    >>> import funcgrad.numpy as jnp
    >>> jnp.column_stack([jnp.arange(2), jnp.ones(2)]).tolist()
    [[0.0, 1.0], [1.0, 1.0]]
    """
    parts = [asarray(a) for a in _each(tup)]
    return concatenate([ops.reshape(p, (type_of(p).size, 1)) if type_of(p).ndim < 2 else p for p in parts], 1)


@boundary
def split(ary: Any, indices_or_sections: Any, axis: int = 0) -> list[Any]:
    """`ary` cut into pieces along an axis: into that many equal ones, or before those indices.

    Raises:
        ShapeError: parts of different lengths.
        AxisError: an axis that there is not.

    >>> import funcgrad.numpy as jnp
    >>> [part.tolist() for part in jnp.split(jnp.arange(4), 2)]
    [[0, 1], [2, 3]]
    """
    return _split("split", ary, indices_or_sections, axis, True)


@boundary
def array_split(ary: Any, indices_or_sections: Any, axis: int = 0) -> list[Any]:
    """As `split`, with pieces that may differ by one in length.

    Raises:
        AxisError: an axis that there is not.

    >>> import funcgrad.numpy as jnp
    >>> [part.tolist() for part in jnp.array_split(jnp.arange(5), 2)]
    [[0, 1, 2], [3, 4]]
    """
    return _split("array_split", ary, indices_or_sections, axis, False)


def _split(name: str, ary: Any, cuts: Any, axis: int, equal: bool) -> list[Any]:
    x = asarray(ary)
    number = checked_axis(name, axis, type_of(x).ndim, x)
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
    """The slices of `x` along an axis.

    Raises:
        AxisError: an axis that there is not.

    >>> import funcgrad.numpy as jnp
    >>> [x.tolist() for x in jnp.unstack(jnp.arange(4).reshape(2, 2))]
    [[0, 1], [2, 3]]
    """
    x = moveaxis(x, axis, 0)
    return tuple(
        ops.reshape(ops.slice_in_dim(x, i, i + 1), type_of(x).shape[1:]) for i in range(type_of(x).shape[0])
    )


@boundary
def append(arr: Any, values: Any, axis: int | None = None) -> Any:
    """`values` joined to the end of `arr`.

    Raises:
        ShapeError: arrays that differ along another axis.

    >>> import funcgrad.numpy as jnp
    >>> jnp.append(jnp.arange(3), 7).tolist()
    [0, 1, 2, 7]
    """
    return concatenate([ravel(arr), ravel(values)] if axis is None else [arr, values], axis or 0)

"""Operations that are seldom asked for, under the names of `jax.lax`: products of groups of rows, random bits with a
counter, functions of scattered elements, and the shapes that windows leave. Composition only."""

from __future__ import annotations

import enum
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from funcgrad import dtypes
from funcgrad.errors import ArgumentError, DTypeError, ShapeError, boundary
from funcgrad.lax.control import while_loop
from funcgrad.lax.convolution import conv_dimension_numbers, conv_general_dilated_patches, padtype_to_pads
from funcgrad.lax.elementwise import same_dtype
from funcgrad.lax.indexing import ScatterDimensionNumbers, scatter_add
from funcgrad.lax.shape import as_sizes
from funcgrad.promotion import check_arrays
from funcgrad.trace import ops
from funcgrad.trace.core import type_of


class RandomAlgorithm(enum.IntEnum):
    """How `rng_bit_generator` makes bits: by Threefry-2x32 in any case, which is the only generator."""

    RNG_DEFAULT = 0
    RNG_THREE_FRY = 1
    RNG_PHILOX = 2


def composite(decomposition: Callable[..., Any], name: str, version: int = 0) -> Callable[..., Any]:
    """An operation by the name `name`, which is `decomposition`: no name is known to mean anything faster here, so
    that it is `decomposition` itself, with its derivatives.

    >>> twice = composite(lambda x: x + x, "my.twice")
    >>> twice(1.5)
    3.0
    """
    if not isinstance(name, str) or not callable(decomposition):
        raise ArgumentError(f"lax.composite takes a function and a name, got {decomposition!r} and {name!r}")
    return decomposition


@boundary
def ragged_dot(
    lhs: Any,
    rhs: Any,
    group_sizes: Any,
    precision: Any = None,
    preferred_element_type: Any = None,
    group_offset: None = None,
) -> Any:
    """Groups of rows, each times a matrix of its own: rows i of group g give `lhs[i] @ rhs[g]`.

    Computed as one product of (m, g * k) with (g * k, n).

    Args:
        lhs: (m, k).
        rhs: (g, k, n), of the same dtype.
        group_sizes: integers (g,): how many rows belong to each group, one group after the other. Rows after the last
            one give zeros.

    Returns:
        (m, n), of `preferred_element_type` or the operands' dtype.

    Raises:
        ShapeError: shapes that do not fit.
        DTypeError: `group_sizes` that are no integers.

    >>> import funcgrad as fg
    >>> x, y = fg.numpy.ones((3, 2)), fg.numpy.array([[[1.0], [1.0]], [[5.0], [5.0]]])
    >>> fg.lax.ragged_dot(x, y, fg.numpy.array([1, 2])).ravel()
    Array([ 2., 10., 10.], dtype=float32)
    """
    lhs, rhs = same_dtype("ragged_dot", lhs, rhs)
    left, right, sizes = check_arrays("lax.ragged_dot", lhs, rhs, group_sizes)
    if group_offset is not None:
        raise ArgumentError("lax.ragged_dot with group_offset is not there", hint="leave it out")
    if not dtypes.is_integer(sizes.dtype):
        raise DTypeError(f"lax.ragged_dot takes integers as group_sizes, got {sizes}")
    fits = left.ndim == 2 and right.ndim == 3 and left.shape[1] == right.shape[1]
    if not fits or sizes.shape != right.shape[:1]:
        raise ShapeError(
            f"lax.ragged_dot takes (m, k), (g, k, n) and (g,), got {left}, {right} and {sizes}",
            hint="use vmap over leading axes",
        )
    (m, k), (groups, _, n) = left.shape, right.shape
    ends = ops.apply("cumsum", group_sizes, axis=0, reverse=False)
    row = ops.iota(sizes.dtype, (m, groups), 0)
    end = ops.broadcast_in_dim(ends, (m, groups), (1,))
    start = ops.broadcast_in_dim(ops.sub(ends, group_sizes), (m, groups), (1,))
    mine = ops.and_(ops.ge(row, start), ops.lt(row, end))
    wide = (m, groups, k)
    parted = ops.select(
        ops.broadcast_in_dim(mine, wide, (0, 1)),
        ops.broadcast_in_dim(lhs, wide, (0, 2)),
        ops.full(wide, 0, left.dtype),
    )
    wanted = None if preferred_element_type is None else dtypes.as_dtype(preferred_element_type)
    flat = ops.reshape(parted, (m, groups * k)), ops.reshape(rhs, (groups * k, n))
    return ops.dot_general(*flat, (((1,), (0,)), ((), ())), wanted)


@boundary
def rng_bit_generator(
    key: Any,
    shape: Sequence[int],
    dtype: Any = np.uint32,
    algorithm: Any = RandomAlgorithm.RNG_DEFAULT,
) -> tuple[Any, Any]:
    """(new key, random bits), by Threefry-2x32 with a key and a 64-bit counter, which the new key has moved on.

    Arrays of one axis hold what RNG_THREE_FRY gives in JAX; larger ones hold the same bits in row-major order.

    Args:
        key: uint32 (4,): two words of key and two of counter, the lower one first.
        shape: of the bits.
        dtype: uint8, uint16, uint32 or uint64.

    >>> import numpy as np, funcgrad as fg
    >>> fg.lax.rng_bit_generator(np.array([0, 1, 2, 3], np.uint32), (2,))
    (Array([0, 1, 3, 3], dtype=uint32), Array([2689575991, 2205648888], dtype=uint32))
    """
    (t,) = check_arrays("lax.rng_bit_generator", key)
    wanted = dtypes.as_dtype(dtype)
    if t.dtype != dtypes.uint32 or t.shape != (4,):
        raise ArgumentError(
            f"lax.rng_bit_generator takes a key of type u32[4], got {t}",
            hint="two words of key, two of counter: np.array([seed, 0, 0, 0], np.uint32)",
        )
    if wanted not in dtypes.UNSIGNED:
        raise DTypeError(f"lax.rng_bit_generator gives unsigned integers, not {wanted.name}")
    try:
        RandomAlgorithm(algorithm)
    except ValueError:
        names = ", ".join(a.name for a in RandomAlgorithm)
        raise ArgumentError(f"{algorithm!r} is no RandomAlgorithm", hint=f"it is one of {names}") from None
    sizes = as_sizes(shape, "rng_bit_generator")
    count = math.prod(sizes)
    blocks = count if wanted == dtypes.uint64 else -(-count // 2)
    words = [ops.reshape(ops.slice_in_dim(key, i, i + 1), ()) for i in range(4)]
    low, high = (ops.convert(w, dtypes.uint64) for w in words[2:])
    counter = ops.or_(low, ops.shift_left(high, np.uint64(32)))
    at = ops.add(ops.iota(dtypes.uint64, (blocks,), 0), ops.broadcast_to(counter, (blocks,)))
    bits = ops.apply("threefry2x32", words[0], words[1], *_halves(at), width=64)
    if wanted != dtypes.uint64:
        upper_first = [ops.expand_dims(w, (1,)) for w in reversed(_halves(bits))]
        pairs = ops.reshape(ops.concatenate(upper_first, 1), (2 * blocks,))
        bits = ops.convert(ops.slice_in_dim(pairs, 0, count), wanted)
    moved = [ops.reshape(w, (1,)) for w in (*words[:2], *_halves(ops.add(counter, np.uint64(blocks))))]
    return ops.concatenate(moved, 0), ops.reshape(bits, sizes)


def _halves(words: Any) -> tuple[Any, Any]:
    """The lower and the upper 32 bits."""
    high = ops.shift_right_logical(words, np.uint64(32))
    return ops.convert(words, dtypes.uint32), ops.convert(high, dtypes.uint32)


@boundary
def scatter_apply(
    operand: Any,
    scatter_indices: Any,
    func: Callable[[Any], Any],
    dimension_numbers: ScatterDimensionNumbers,
    *,
    update_shape: Sequence[int] = (),
    indices_are_sorted: bool = False,
    unique_indices: bool = False,
    mode: Any = None,
) -> Any:
    """The operand with `func`, which works element by element, applied in the windows of `update_shape` at
    `scatter_indices`; n times to an element that is named n times.

    >>> import funcgrad as fg
    >>> numbers = fg.lax.ScatterDimensionNumbers((), (0,), (0,))
    >>> x, twice = fg.numpy.ones(3), fg.numpy.array([[1], [1]])
    >>> fg.lax.scatter_apply(x, twice, lambda v: 3 * v, numbers, update_shape=(2,))
    Array([1., 9., 1.], dtype=float32)
    """
    t, _ = check_arrays("lax.scatter_apply", operand, scatter_indices)
    ones = ops.full(as_sizes(update_shape, "scatter_apply"), 1, dtypes.int32)
    options = {
        "indices_are_sorted": indices_are_sorted,
        "unique_indices": unique_indices,
        "mode": mode,
    }
    zeros = ops.full(t.shape, 0, dtypes.int32)
    times = scatter_add(zeros, scatter_indices, ones, dimension_numbers, **options)

    def applied(x: Any) -> Any:
        out = func(x)
        if type_of(out).shape != t.shape:
            raise ShapeError(f"lax.scatter_apply: func of {t} gave {type_of(out)}: it keeps the shape")
        return ops.convert(out, t.dtype)

    if unique_indices:
        return ops.select(ops.gt(times, 0), applied(operand), operand)
    most = ops.reduce_max(times, tuple(range(t.ndim))) if t.ndim else times

    def once_more(state: Any) -> Any:
        n, x = state
        return ops.add(n, 1), ops.select(ops.lt(n, times), applied(x), x)

    return while_loop(lambda state: ops.lt(state[0], most), once_more, (np.int32(0), operand))[1]


def conv_shape_tuple(
    lhs_shape: Sequence[int],
    rhs_shape: Sequence[int],
    strides: Sequence[int],
    pads: Any,
    batch_group_count: int = 1,
) -> tuple[int, ...]:
    """The shape of the convolution of (n, c, *space) with (out, in, *window).

    >>> import funcgrad as fg
    >>> fg.lax.conv_shape_tuple((1, 3, 8, 8), (5, 3, 3, 3), (2, 2), "VALID")
    (1, 5, 3, 3)
    """
    space, window = tuple(lhs_shape[2:]), tuple(rhs_shape[2:])
    pads = padtype_to_pads(space, window, strides, pads) if isinstance(pads, str) else pads
    out = _windows(space, window, strides, pads, "conv_shape_tuple")
    return (lhs_shape[0] // batch_group_count, rhs_shape[0], *out)


def reduce_window_shape_tuple(
    operand_shape: Sequence[int],
    window_dimensions: Sequence[int],
    window_strides: Sequence[int],
    padding: Any,
    base_dilation: Sequence[int] | None = None,
    window_dilation: Sequence[int] | None = None,
) -> tuple[int, ...]:
    """The shape of what `reduce_window` gives.

    >>> import funcgrad as fg
    >>> fg.lax.reduce_window_shape_tuple((8, 8), (3, 3), (2, 2), [(1, 1), (0, 0)])
    (4, 3)
    """

    def dilated(shape: Sequence[int], by: Sequence[int] | None) -> tuple[int, ...]:
        return tuple([(n - 1) * d + 1 if n else 0 for n, d in zip(shape, by or [1] * len(shape))])

    space, window = dilated(operand_shape, base_dilation), dilated(window_dimensions, window_dilation)
    return _windows(space, window, window_strides, padding, "reduce_window_shape_tuple")


def _windows(
    space: Sequence[int], window: Sequence[int], strides: Sequence[int], pads: Any, name: str
) -> tuple[int, ...]:
    if not len(space) == len(window) == len(strides) == len(pads):
        raise ShapeError(
            f"lax.{name}: lengths, windows, strides and paddings of {len(space)}, {len(window)}, {len(strides)} and "
            f"{len(pads)} axes"
        )
    return tuple(
        [
            max(0, (n + a + b - w) // s + 1)
            for n, w, s, (a, b) in zip(space, window, strides, map(tuple, pads))
        ]
    )


@boundary
def conv_general_dilated_local(
    lhs: Any,
    rhs: Any,
    window_strides: Sequence[int],
    padding: Any,
    filter_shape: Sequence[int],
    lhs_dilation: Sequence[int] | None = None,
    rhs_dilation: Sequence[int] | None = None,
    dimension_numbers: Any = None,
    precision: Any = None,
) -> Any:
    """A convolution with a kernel of its own at each position.

    Args:
        lhs: (n, c, *space), or in the layout of `dimension_numbers`.
        rhs: (out, c * size of the window, *space of the result), or in that layout: for each position of the result the
            kernel, its channels before the positions in the window.
        filter_shape: of the window. The other arguments are those of `conv_general_dilated`.

    >>> import funcgrad as fg
    >>> x, kernels = fg.numpy.arange(3.0).reshape(1, 1, 3), fg.numpy.ones((1, 2, 2))
    >>> fg.lax.conv_general_dilated_local(x, kernels, (1,), "VALID", (2,))
    Array([[[1., 3.]]], dtype=float32)
    """
    lhs, rhs = same_dtype("conv_general_dilated_local", lhs, rhs)
    numbers = conv_dimension_numbers(type_of(lhs).shape, type_of(rhs).shape, dimension_numbers)
    patches = conv_general_dilated_patches(
        lhs, filter_shape, window_strides, padding, lhs_dilation, rhs_dilation, dimension_numbers
    )
    seen = ops.transpose(patches, numbers.out_spec)  # (n, c * window, *space)
    kernels = ops.transpose(rhs, numbers.rhs_spec)  # (out, c * window, *space)
    if type_of(seen).shape[1:] != type_of(kernels).shape[1:]:
        raise ShapeError(
            f"lax.conv_general_dilated_local: kernels of {type_of(rhs)} for windows {type_of(patches)}",
            hint="rhs holds channels * size of the window numbers for each position of the result",
        )
    space = tuple(range(2, type_of(seen).ndim))
    product = ops.dot_general(seen, kernels, (((1,), (1,)), (space, space)))  # (*space, n, out)
    rank = len(space)
    whole = ops.transpose(product, (rank, rank + 1, *range(rank)))
    return ops.transpose(whole, [int(i) for i in np.argsort(numbers.out_spec)])

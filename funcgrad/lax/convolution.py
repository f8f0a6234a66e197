"""Convolutions and windowed reductions under the names of `jax.lax`. Owns layouts and padding by name."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from funcgrad import dtypes, tree
from funcgrad.errors import ArgumentError, DTypeError, ShapeError, boundary
from funcgrad.lax.elementwise import same_dtype
from funcgrad.lax.reductions import monoid_of
from funcgrad.prims.convolution import dilated
from funcgrad.prims.reductions import highest, lowest
from funcgrad.promotion import check_arrays
from funcgrad.trace import ops
from funcgrad.trace.core import type_of

Padding = str | Sequence[tuple[int, int]]


class ConvDimensionNumbers(NamedTuple):
    """Where the axes of a convolution are: (batch, channels, spatial...) of the operand and of the result, (output
    channels, input channels, spatial...) of the kernel."""

    lhs_spec: tuple[int, ...]
    rhs_spec: tuple[int, ...]
    out_spec: tuple[int, ...]


@boundary
def conv_dimension_numbers(lhs_shape: Any, rhs_shape: Any, dimension_numbers: Any) -> ConvDimensionNumbers:
    """The axes that e.g. ('NHWC', 'HWIO', 'NHWC') names; ('NCHW', 'OIHW', 'NCHW') by default, for any rank."""
    rank = len(lhs_shape)
    if isinstance(dimension_numbers, ConvDimensionNumbers):
        return dimension_numbers
    if dimension_numbers is None:
        order = tuple(range(rank))
        return ConvDimensionNumbers(order, order, order)
    if len(dimension_numbers) != 3 or not all(
        isinstance(s, str) and len(s) == rank for s in dimension_numbers
    ):
        raise ArgumentError(
            f"dimension_numbers={dimension_numbers!r} for arrays with {rank} axes",
            hint="three texts of that length, such as ('NHWC', 'HWIO', 'NHWC')",
        )
    lhs, rhs, out = dimension_numbers
    spatial = [c for c in rhs if c not in "OI"]

    def places(text: str, first: str) -> tuple[int, ...]:
        if sorted(text) != sorted([*first, *spatial]):
            raise ArgumentError(
                f"dimension_numbers={dimension_numbers!r}: {text!r} has to have {', '.join(first)} and "
                f"{', '.join(spatial)}, once each",
                hint="operand and result have N and C, the kernel O and I, all the same spatial letters",
            )
        return tuple([text.index(c) for c in (*first, *spatial)])

    return ConvDimensionNumbers(places(lhs, "NC"), places(rhs, "OI"), places(out, "NC"))


@boundary
def padtype_to_pads(
    in_shape: Sequence[int], window_shape: Sequence[int], window_strides: Sequence[int], padding: str
) -> list[tuple[int, int]]:
    """The (low, high) padding of each axis that 'SAME', 'SAME_LOWER' or 'VALID' stands for."""
    name = padding.upper() if isinstance(padding, str) else padding
    if name == "VALID":
        return [(0, 0)] * len(in_shape)
    if name not in ("SAME", "SAME_LOWER"):
        raise ArgumentError(
            f"padding is 'SAME', 'SAME_LOWER', 'VALID' or one (low, high) for each spatial axis, got {padding!r}",
            hint="write padding='SAME', for example",
        )
    pads = []
    for n, k, s in zip(in_shape, window_shape, window_strides):
        total = max((-(-n // s) - 1) * s + k - n, 0)
        small, large = total // 2, total - total // 2
        pads.append((small, large) if name == "SAME" else (large, small))
    return pads


def _each(value: Any, rank: int) -> tuple[int, ...]:
    if value is None:
        return (1,) * rank
    return (int(value),) * rank if isinstance(value, int) else tuple([int(v) for v in value])


def _pairs(padding: Any, rank: int) -> tuple[tuple[int, int], ...]:
    try:
        pads = tuple([(int(low), int(high)) for low, high in padding])
    except TypeError:
        pads = None
    if pads is None or len(pads) != rank:
        raise ArgumentError(
            f"padding is 'SAME', 'SAME_LOWER', 'VALID' or one (low, high) for each of {rank} spatial axes, "
            f"got {padding!r}"
        )
    return pads


@boundary
def conv_general_dilated(
    lhs: Any,
    rhs: Any,
    window_strides: Sequence[int],
    padding: Padding,
    lhs_dilation: Sequence[int] | None = None,
    rhs_dilation: Sequence[int] | None = None,
    dimension_numbers: Any = None,
    feature_group_count: int = 1,
    batch_group_count: int = 1,
    precision: Any = None,
    preferred_element_type: Any = None,
) -> Any:
    """Convolution over any number of spatial axes (without flipping the kernel, as in neural networks).

    Args:
        lhs: the operand, by default of shape (N, C, spatial...).
        rhs: the kernel, by default of shape (O, C / feature_group_count, spatial...), of the same dtype.
        window_strides: a step for each spatial axis.
        padding: 'SAME', 'VALID', or (low, high) for each spatial axis.
        lhs_dilation, rhs_dilation: holes between the elements of the operand (a transposed convolution) or of the
            kernel.
        dimension_numbers: three texts that name the axes, such as ('NHWC', 'HWIO', 'NHWC').
        feature_group_count: groups of channels that are convolved apart; C for a depthwise convolution.
        batch_group_count: groups of examples that each go to their own output channels.

    Raises:
        ShapeError: channels, groups, strides or layouts that do not fit.

    >>> import funcgrad as fg
    >>> x, w = fg.numpy.ones((1, 1, 3, 3)), fg.numpy.ones((1, 1, 2, 2))
    >>> fg.lax.conv_general_dilated(x, w, (1, 1), "VALID").shape
    (1, 1, 2, 2)
    """
    check_arrays("lax.conv_general_dilated", lhs, rhs)
    tl, tr = type_of(lhs), type_of(rhs)
    if tl.dtype != tr.dtype:
        raise DTypeError(
            f"convolution of {tl} with a kernel {tr}: both need one dtype", hint="use .astype(...)"
        )
    if tl.ndim != tr.ndim or tl.ndim < (3 if np.size(window_strides) else 2):
        raise ShapeError(
            f"convolution of {tl} with a kernel {tr}: both need a batch (or output channels), channels and the same "
            "spatial axes",
            hint="add axes with x[None, None], or w[None, None]",
        )
    preferred = tl.dtype if preferred_element_type is None else dtypes.as_dtype(preferred_element_type)
    if preferred.itemsize >= tl.dtype.itemsize:  # so that nothing is rounded, or wraps around, on the way
        lhs, rhs = ops.convert(lhs, preferred), ops.convert(rhs, preferred)
    numbers = conv_dimension_numbers(tl.shape, tr.shape, dimension_numbers)
    x, w = ops.transpose(lhs, numbers.lhs_spec), ops.transpose(rhs, numbers.rhs_spec)
    rank = tl.ndim - 2
    strides, ld, rd = (_each(v, rank) for v in (window_strides, lhs_dilation, rhs_dilation))
    if rank == 0:  # a product of matrices, as a convolution along one axis of length 1
        x, w = (ops.reshape(v, (*type_of(v).shape, 1)) for v in (x, w))
        strides, ld, rd, padding = (1,), (1,), (1,), ((0, 0),)
    spatial, window = type_of(x).shape[2:], type_of(w).shape[2:]
    if isinstance(padding, str):
        padding = padtype_to_pads(spatial, [dilated(k, d) for k, d in zip(window, rd)], strides, padding)
    pads = _pairs(padding, len(spatial))
    groups = int(feature_group_count)
    if batch_group_count != 1:
        if groups != 1:
            raise ArgumentError("feature_group_count and batch_group_count cannot both be above 1")
        n, c = type_of(x).shape[:2]
        if n % batch_group_count:
            raise ShapeError(f"convolution of {tl}: {n} examples in {batch_group_count} groups")
        x = ops.reshape(x, (batch_group_count, n // batch_group_count, c, *spatial))
        x = ops.reshape(ops.moveaxis(x, 0, 1), (n // batch_group_count, batch_group_count * c, *spatial))
        groups = int(batch_group_count)
    out = ops.apply(
        "conv_general_dilated",
        x,
        w,
        window_strides=strides,
        padding=pads,
        lhs_dilation=ld,
        rhs_dilation=rd,
        feature_group_count=groups,
        channels_last=rank > 0 and numbers.lhs_spec[1] == numbers.out_spec[1] == rank + 1,
    )
    if rank == 0:
        out = ops.reshape(out, type_of(out).shape[:2])
    out = ops.convert(out, preferred)
    return ops.transpose(out, tuple(np.argsort(numbers.out_spec).tolist()))


@boundary
def conv(
    lhs: Any,
    rhs: Any,
    window_strides: Sequence[int],
    padding: str,
    precision: Any = None,
    preferred_element_type: Any = None,
) -> Any:
    """`conv_general_dilated` of (N, C, spatial...) and (O, C, spatial...)."""
    return conv_general_dilated(
        lhs, rhs, window_strides, padding, preferred_element_type=preferred_element_type
    )


@boundary
def conv_with_general_padding(
    lhs: Any,
    rhs: Any,
    window_strides: Sequence[int],
    padding: Padding,
    lhs_dilation: Sequence[int] | None,
    rhs_dilation: Sequence[int] | None,
    precision: Any = None,
    preferred_element_type: Any = None,
) -> Any:
    """`conv_general_dilated` with padding and dilations."""
    return conv_general_dilated(
        lhs,
        rhs,
        window_strides,
        padding,
        lhs_dilation,
        rhs_dilation,
        preferred_element_type=preferred_element_type,
    )


_CHANNELS_LAST = {3: ("NHC", "HIO", "NHC"), 4: ("NHWC", "HWIO", "NHWC"), 5: ("NHWDC", "HWDIO", "NHWDC")}


@boundary
def conv_transpose(
    lhs: Any,
    rhs: Any,
    strides: Sequence[int],
    padding: Padding,
    rhs_dilation: Sequence[int] | None = None,
    dimension_numbers: Any = None,
    transpose_kernel: bool = False,
    precision: Any = None,
    preferred_element_type: Any = None,
    use_consistent_padding: bool = False,
) -> Any:
    """The transposed (fractionally strided) convolution; channels last by default.

    With `transpose_kernel` it is the transpose of the convolution with the same kernel. A `padding` in words is that
    of the convolution that is transposed; in numbers it is that of the transposed one, or of the other too with
    `use_consistent_padding`, as in PyTorch.
    """
    rank = type_of(lhs).ndim
    names = dimension_numbers if dimension_numbers is not None else _CHANNELS_LAST.get(rank)
    numbers = conv_dimension_numbers(type_of(lhs).shape, type_of(rhs).shape, names)
    window = [type_of(rhs).shape[d] for d in numbers.rhs_spec[2:]]
    spread = _each(rhs_dilation, rank - 2)
    if isinstance(padding, str):
        pads = []
        for k, s in zip([dilated(k, d) for k, d in zip(window, spread)], strides):
            if padding.upper() == "SAME":
                total = k + s - 2
                low = k - 1 if s > k - 1 else -(-total // 2)
            elif padding.upper() == "VALID":
                total, low = k + s - 2 + max(k - s, 0), k - 1
            else:
                raise ArgumentError(f"conv_transpose: padding is 'SAME', 'VALID' or pairs, got {padding!r}")
            pads.append((low, total - low))
        padding = pads
    elif use_consistent_padding:
        last = [dilated(k, d) - 1 for k, d in zip(window, spread)]
        padding = [(n - low, n - high) for n, (low, high) in zip(last, _pairs(padding, rank - 2))]
    if transpose_kernel:
        rhs = ops.rev(rhs, numbers.rhs_spec[2:])
        order = list(range(rank))
        o, i = numbers.rhs_spec[:2]
        order[o], order[i] = order[i], order[o]
        rhs = ops.transpose(rhs, order)
    return conv_general_dilated(
        lhs,
        rhs,
        (1,) * (rank - 2),
        padding,
        strides,
        rhs_dilation,
        numbers,
        preferred_element_type=preferred_element_type,
    )


# ------------------------------------------------------------------------------------------------ windows
def _first_of(order: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """The extreme of two, of which the first has the derivative where both are equal; NaN where one is."""

    def combine(a: Any, b: Any) -> Any:
        if type_of(a).dtype.kind != "f":
            return ops.select(order(a, b), a, b)
        return ops.select(ops.or_(order(a, b), ops.ne(a, a)), a, b)

    return combine


_COMBINE = {"max": _first_of(ops.ge), "min": _first_of(ops.le), "add": ops.add, "mul": ops.mul}
_NEUTRAL = {"max": lowest, "min": highest, "add": lambda d: 0, "mul": lambda d: 1}

Values = list[Any]
Combine = Callable[[Values, Values], Values]

_SHORT_WINDOW = 8
"""Windows up to this are combined element by element, which is one kernel; longer ones by doubling."""


def _along(xs: Values, axis: int, window: int, stride: int, spread: int, combine: Combine) -> Values:
    """`combine` over the windows along one axis of arrays of one shape."""
    length = type_of(xs[0]).shape[axis]
    count = max((length - dilated(window, spread)) // stride + 1, 0)

    def part(values: Values, start: int) -> Values:
        shape = type_of(values[0]).shape
        starts, limits, strides = [0] * len(shape), list(shape), [1] * len(shape)
        starts[axis], strides[axis] = start, stride
        if not count:
            starts[axis] = 0
        limits[axis] = start + (count - 1) * stride + 1 if count else 0
        return [ops.slice_(x, starts, limits, strides) for x in values]

    if window <= _SHORT_WINDOW or not count:
        out = part(xs, 0)
        for i in range(1, window):
            out = combine(out, part(xs, i * spread))
        return out
    out, done, size = None, 0, 1  # xs have the windows of `size` elements; `out` those of `done`
    while True:
        if window & size:
            out = part(xs, done * spread) if out is None else combine(out, part(xs, done * spread))
            done += size
        if done == window:
            return out
        shift = size * spread
        length = type_of(xs[0]).shape[axis]
        xs = combine(
            [ops.slice_in_dim(x, 0, length - shift, axis=axis) for x in xs],
            [ops.slice_in_dim(x, shift, length, axis=axis) for x in xs],
        )
        size *= 2


@boundary
def reduce_window(
    operand: Any,
    init_value: Any,
    computation: Callable[[Any, Any], Any],
    window_dimensions: Sequence[int],
    window_strides: Sequence[int] | None = None,
    padding: Padding = "VALID",
    base_dilation: Sequence[int] | None = None,
    window_dilation: Sequence[int] | None = None,
) -> Any:
    """The elements of each window combined by `computation` (lax.max, lax.add, ...), beginning from `init_value`.

    Args:
        operand, init_value: an array and a number, or trees of these; `computation` then takes two such trees.
        window_dimensions, window_strides: the window's length and its step (1) along each axis.
        padding: 'SAME', 'VALID', or (low, high) for each axis; what is added is `init_value`.
        base_dilation, window_dilation: holes between the elements of the operand, or of the window.

    >>> import funcgrad as fg
    >>> fg.lax.reduce_window(fg.numpy.arange(4.0), 0.0, fg.lax.add, (2,), (2,), "VALID")
    Array([1., 5.], dtype=float32)
    """
    leaves, structure = tree.flatten(operand)
    starts = tree.leaves(init_value)
    if not leaves or len(starts) != len(leaves):
        raise ArgumentError(
            f"lax.reduce_window: {len(starts)} initial values for {len(leaves)} arrays",
            hint="give one for each",
        )
    check_arrays("lax.reduce_window", *leaves, *starts)
    t = type_of(leaves[0])
    if any(type_of(x).shape != t.shape for x in leaves):
        raise ShapeError(
            f"reduce_window of arrays {', '.join(str(type_of(x)) for x in leaves)}", hint="give one shape"
        )
    rank = t.ndim
    window, strides = _each(window_dimensions, rank), _each(window_strides, rank)
    base, spread = _each(base_dilation, rank), _each(window_dilation, rank)
    if min((*window, *strides, *base, *spread), default=1) < 1:
        raise ArgumentError(
            f"reduce_window of {t}: window {window}, strides {strides} and dilations {base} and {spread} are at least 1"
        )
    if len(window) != rank or len(strides) != rank:
        raise ShapeError(
            f"reduce_window of {t}: the window {window} and the strides {strides} need {rank} entries",
            hint="one for each axis; 1 where there is no window",
        )
    lengths = [dilated(n, b) for n, b in zip(t.shape, base)]
    if isinstance(padding, str):
        padding = padtype_to_pads(lengths, [dilated(k, d) for k, d in zip(window, spread)], strides, padding)
    pairs = [same_dtype("reduce_window", x, start) for x, start in zip(leaves, starts)]

    def combine(a: Values, b: Values) -> Values:
        return tree.leaves(computation(structure.unflatten(a), structure.unflatten(b)))

    name = monoid_of(
        lambda *xs: combine(list(xs[: len(pairs)]), list(xs[len(pairs) :])),
        [type_of(x).dtype for x, _ in pairs],
    )
    if name in _COMBINE:
        known = _COMBINE[name]
        combined: Combine = lambda a, b: list(map(known, a, b))  # noqa: E731
    else:
        combined = combine
    config = [(int(low), int(high), b - 1) for (low, high), b in zip(padding, base)]
    xs = [ops.pad(x, start, config) for x, start in pairs]
    for axis in reversed(range(rank)):
        if window[axis] != 1 or strides[axis] != 1:
            xs = _along(xs, axis, window[axis], strides[axis], spread[axis], combined)
    if not all(_is_neutral(name, start, type_of(x).dtype) for x, start in pairs):
        shape = type_of(xs[0]).shape
        xs = combined([ops.broadcast_to(start, shape) for _, start in pairs], xs)
    return structure.unflatten(xs)


def _is_neutral(name: str | None, start: Any, dtype: np.dtype) -> bool:
    """Whether a start value is known to change nothing."""
    known = name in _NEUTRAL and isinstance(start, np.generic | int | float)
    return known and bool(start == dtype.type(_NEUTRAL[name](dtype)))  # type: ignore[index]


__all__ = [
    "ConvDimensionNumbers",
    "conv",
    "conv_dimension_numbers",
    "conv_general_dilated",
    "conv_transpose",
    "conv_with_general_padding",
    "padtype_to_pads",
    "reduce_window",
]


@boundary
def conv_general_dilated_patches(
    lhs: Any,
    filter_shape: Sequence[int],
    window_strides: Sequence[int],
    padding: Padding,
    lhs_dilation: Sequence[int] | None = None,
    rhs_dilation: Sequence[int] | None = None,
    dimension_numbers: Any = None,
    precision: Any = None,
    preferred_element_type: Any = None,
) -> Any:
    """The windows that a convolution with a kernel of `filter_shape` sees, side by side in the channels.

    Channel (c * size of the window + position in it) of the result is the element at that position of the window in
    channel c. Arguments are those of `conv_general_dilated`; the layout of the kernel does not matter.

    >>> import funcgrad as fg
    >>> x = fg.numpy.arange(4.0).reshape(1, 1, 4)
    >>> fg.lax.conv_general_dilated_patches(x, (2,), (1,), "VALID")
    Array([[[0., 1., 2.],
            [1., 2., 3.]]], dtype=float32)
    """
    filter_shape = tuple(filter_shape)
    rank = type_of(lhs).ndim
    if rank != len(filter_shape) + 2:
        raise ShapeError(f"conv_general_dilated_patches: {type_of(lhs)} does not fit a window {filter_shape}")
    numbers = conv_dimension_numbers(type_of(lhs).shape, (1,) * rank, dimension_numbers)
    channels = type_of(lhs).shape[numbers.lhs_spec[1]]
    size = math.prod(filter_shape)
    windows = np.eye(size, dtype=type_of(lhs).dtype).reshape(size, 1, *filter_shape)
    kernel = np.transpose(np.tile(windows, (channels, *[1] * (rank - 1))), np.argsort(numbers.rhs_spec))
    return conv_general_dilated(
        lhs,
        kernel,
        window_strides,
        padding,
        lhs_dilation,
        rhs_dilation,
        numbers,
        channels,
        precision=precision,
        preferred_element_type=preferred_element_type,
    )

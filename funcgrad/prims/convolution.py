"""Convolution: `conv_general_dilated` in one layout, batch and channels first; the faces transpose from others.

The operand is (N, C, spatial...), the kernel (O, C / groups, spatial...), the result (N, O, spatial...). It is
evaluated image by image: the windows of one image become the columns of a matrix that stays in cache, and BLAS
multiplies the kernel with it. Both transposes are convolutions too.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from funcgrad import dtypes
from funcgrad.errors import DTypeError, ShapeError
from funcgrad.ir import expr as E
from funcgrad.ir.primitive import Primitive, Sample, Zero
from funcgrad.ir.types import ArrayType, array_type
from funcgrad.kernels.cpu.writing import VECTOR
from funcgrad.prims.conv_flat import batch_convolution, conv_flat, grouped, joined, swapped
from funcgrad.prims.registry import is_linear
from funcgrad.prims.samples import draw
from funcgrad.trace import ops
from funcgrad.trace.core import type_of

Pads = tuple[tuple[int, int], ...]

_MANY_CHANNELS, _CHANNELS_OF_ONE_TAP = 96, 16
"""Channels from which on convolutions are matrix products by BLAS; and those of one tap, which read each element for
few sums otherwise."""

_SMALL_PLANE, _PATCHES = 64, 2**25
"""Up to so many places, and bytes of patches, convolutions with many channels are one matrix product of patches."""


def dilated(length: int, by: int) -> int:
    """The length of an axis with `by` - 1 holes between its elements."""
    return (length - 1) * by + 1 if length else 0


def out_lengths(
    lhs: Sequence[int],
    rhs: Sequence[int],
    strides: Sequence[int],
    padding: Pads,
    lhs_dilation: Sequence[int],
    rhs_dilation: Sequence[int],
) -> tuple[int, ...]:
    """The spatial lengths of a convolution's result."""
    found = []
    for n, k, s, (low, high), a, b in zip(lhs, rhs, strides, padding, lhs_dilation, rhs_dilation):
        room = dilated(n, a) + low + high - dilated(k, b)
        found.append(max(room // s + 1, 0) if room >= 0 else 0)
    return tuple(found)


def _type(
    lhs: ArrayType,
    rhs: ArrayType,
    *,
    window_strides: tuple[int, ...],
    padding: Pads,
    lhs_dilation: tuple[int, ...],
    rhs_dilation: tuple[int, ...],
    feature_group_count: int,
    channels_last: bool = False,
) -> ArrayType:
    both = f"convolution of {lhs} with a kernel {rhs}"
    if lhs.dtype != rhs.dtype or (not dtypes.is_inexact(lhs.dtype) and not dtypes.is_integer(lhs.dtype)):
        raise DTypeError(f"{both}: both need one dtype of numbers", hint="convert one with .astype(...)")
    rank = lhs.ndim - 2
    if rank < 1 or rhs.ndim != lhs.ndim:
        raise ShapeError(f"{both}: both need a batch, a channel and the same spatial axes")
    if any(len(p) != rank for p in (window_strides, padding, lhs_dilation, rhs_dilation)):
        raise ShapeError(
            f"{both}: there are {rank} spatial axes, but strides {window_strides}, padding {padding}, dilations "
            f"{lhs_dilation} and {rhs_dilation}",
            hint="give one entry for each spatial axis",
        )
    if lhs.shape[1] != rhs.shape[1] * feature_group_count:
        raise ShapeError(
            f"{both}: the operand has {lhs.shape[1]} channels, the kernel takes {rhs.shape[1]} in each of "
            f"{feature_group_count} groups",
            hint="compare the layouts: dimension_numbers=('NHWC', 'HWIO', 'NHWC') is for channels last",
        )
    if rhs.shape[0] % feature_group_count:
        raise ShapeError(f"{both}: {rhs.shape[0]} output channels in {feature_group_count} groups")
    spatial = out_lengths(lhs.shape[2:], rhs.shape[2:], window_strides, padding, lhs_dilation, rhs_dilation)
    return array_type((lhs.shape[0], rhs.shape[0], *spatial), lhs.dtype, lhs.weak and rhs.weak)


def _padded(x: np.ndarray, padding: Pads, dilation: Sequence[int]) -> np.ndarray:
    """With holes between the elements of spatial axes, and zeros around (or cut, where negative)."""
    lengths = [dilated(n, a) for n, a in zip(x.shape[2:], dilation)]
    if not any(low or high for low, high in padding) and lengths == list(x.shape[2:]):
        return x
    out = np.zeros((*x.shape[:2], *[max(n + lo + hi, 0) for n, (lo, hi) in zip(lengths, padding)]), x.dtype)
    source, target = [], []
    for n, (low, high), a in zip(x.shape[2:], padding, dilation):
        first = -(min(low, 0) // a) if low < 0 else 0  # the first element that is not cut off
        last = n - 1 - ((-high + a - 1) // a if high < 0 else 0)
        first = max(first, 0)
        count = max(last - first + 1, 0)
        at = low + first * a
        source.append(slice(first, first + count))
        target.append(slice(at, at + max((count - 1) * a + 1, 0) if count else at, a))
    out[(slice(None), slice(None), *target)] = x[(slice(None), slice(None), *source)]
    return out


def _evaluate(
    xp: Any,
    lhs: np.ndarray,
    rhs: np.ndarray,
    *,
    window_strides: tuple[int, ...],
    padding: Pads,
    lhs_dilation: tuple[int, ...],
    rhs_dilation: tuple[int, ...],
    feature_group_count: int,
    channels_last: bool = False,
) -> np.ndarray:
    wide = dtypes.compute_dtype(lhs.dtype)
    spatial = out_lengths(lhs.shape[2:], rhs.shape[2:], window_strides, padding, lhs_dilation, rhs_dilation)
    groups = feature_group_count
    images, outputs = lhs.shape[0], rhs.shape[0]
    out = np.zeros((images, groups, outputs // groups, math.prod(spatial)), wide)
    if out.size and rhs.size:
        x = np.ascontiguousarray(_padded(lhs.astype(wide, copy=False), padding, lhs_dilation))
        steps = x.strides[2:]
        windows = np.lib.stride_tricks.as_strided(
            x,
            (images, groups, x.shape[1] // groups, *rhs.shape[2:], *spatial),
            (
                x.strides[0],
                x.strides[1] * (x.shape[1] // groups),
                x.strides[1],
                *[step * d for step, d in zip(steps, rhs_dilation)],
                *[step * s for step, s in zip(steps, window_strides)],
            ),
            writeable=False,
        )
        inner = math.prod(rhs.shape[1:])
        kernel = rhs.astype(wide, copy=False).reshape(groups, outputs // groups, inner)
        for image in range(images):
            columns = windows[image].reshape(groups, inner, -1)
            np.matmul(kernel, columns, out=out[image])
    return out.reshape(images, outputs, *spatial).astype(lhs.dtype, copy=False)


def convolve(lhs: Any, rhs: Any, **params: Any) -> Any:
    return ops.apply("conv_general_dilated", lhs, rhs, **params)


def _jvp(primals: Sequence[Any], tangents: Sequence[Any], **params: Any) -> tuple[Any, Any]:
    (x, w), (tx, tw) = primals, tangents
    out = convolve(x, w, **params)
    total = None if tx.__class__ is Zero else convolve(tx, w, **params)
    if tw.__class__ is not Zero:
        moved = convolve(x, tw, **params)
        total = moved if total is None else ops.add(total, moved)
    return out, Zero(type_of(out).tangent()) if total is None else total


def _transpose(
    ct: Any,
    lhs: Any,
    rhs: Any,
    *,
    window_strides: tuple[int, ...],
    padding: Pads,
    lhs_dilation: tuple[int, ...],
    rhs_dilation: tuple[int, ...],
    feature_group_count: int,
    channels_last: bool = False,
) -> list[Any]:
    groups = feature_group_count
    known = rhs if is_linear(lhs) else lhs
    if ct.__class__ is Zero:
        return [Zero(lhs.type), None] if known is rhs else [None, Zero(rhs.type)]
    lhs_shape = lhs.type.shape if is_linear(lhs) else type_of(lhs).shape
    rhs_shape = rhs.type.shape if is_linear(rhs) else type_of(rhs).shape
    out_shape = type_of(ct).shape
    lengths = [
        (dilated(n, a), dilated(k, b), dilated(p, s))
        for n, k, p, a, b, s in zip(
            lhs_shape[2:], rhs_shape[2:], out_shape[2:], lhs_dilation, rhs_dilation, window_strides
        )
    ]
    if is_linear(lhs):
        kernel = joined(swapped(grouped(rhs, 0, groups), 1, 2), 0)
        kernel = ops.rev(kernel, tuple(range(2, len(rhs_shape))))
        pads = []
        for (n, k, p), (low, _) in zip(lengths, padding):
            before = k - 1 - low
            pads.append((before, n + k - 1 - p - before))
        pulled = convolve(
            ct,
            kernel,
            window_strides=lhs_dilation,
            padding=tuple(pads),
            lhs_dilation=window_strides,
            rhs_dilation=rhs_dilation,
            feature_group_count=groups,
            channels_last=channels_last,
        )
        return [pulled, None]
    pads = [(low, k - 1 + p - n - low) for (n, k, p), (low, _) in zip(lengths, padding)]
    x = swapped(grouped(lhs, 1, groups), 0, 2)  # (C / groups, groups, N, ...)
    pulled = convolve(
        joined(x, 1),
        swapped(ct, 0, 1),
        window_strides=rhs_dilation,
        padding=tuple(pads),
        lhs_dilation=lhs_dilation,
        rhs_dilation=window_strides,
        feature_group_count=groups,
        channels_last=channels_last,
    )
    return [None, swapped(pulled, 0, 1)]


def _batch(
    size: int,
    operands: Sequence[Any],
    axes: Sequence[int | None],
    /,
    *,
    feature_group_count: int,
    **params: Any,
) -> tuple[Any, int]:
    def apply(x: Any, kernel: Any, groups: int) -> Any:
        return convolve(x, kernel, feature_group_count=groups, **params)

    return batch_convolution(apply, size, operands, axes, feature_group_count)


def _by_patches(
    x: Any,
    kernel: Any,
    along: str,
    near: Sequence[int],
    taps: Sequence[int],
    steps: Sequence[int],
    strides: Sequence[int],
) -> Any:
    """As one matrix product, of the kernel and what it meets at each place, side by side: for small planes, where
    the other ways would do much in vain between the rows."""
    images, channels = type_of(x).shape[:2]
    outputs, inner = type_of(kernel).shape[0], math.prod(type_of(kernel).shape[1:])
    parts = []
    for tap in np.ndindex(*taps):
        starts = [t * stride for t, stride in zip(tap, strides)]
        ends = [first + (n - 1) * step + 1 for first, n, step in zip(starts, near, steps)]
        part = ops.slice_(x, (0, 0, *starts), (images, channels, *ends), (1, 1, *steps))
        part = swapped(part, 0, 1) if along == "output" else part
        shape = type_of(part).shape
        parts.append(ops.reshape(part, (shape[0], 1, *shape[1:]) if along == "output" else (1, *shape)))
    patches = ops.concatenate(parts, 1 if along == "output" else 0)
    flat = ops.reshape(kernel, (outputs, inner))
    if along == "output":  # (channels, taps, images, near)
        out = ops.dot_general(
            flat, ops.reshape(patches, (inner, images * math.prod(near))), (((1,), (0,)), ((), ()))
        )
        return swapped(ops.reshape(out, (outputs, images, *near)), 0, 1)
    out = ops.dot_general(
        flat, ops.reshape(patches, (images * math.prod(taps), inner)), (((1,), (1,)), ((), ()))
    )
    out = ops.reshape(out, (outputs, *taps, images))  # the patches are (taps, images, channels, near)
    return ops.moveaxis(out, -1, 0)


def _by_products(x: Any, kernel: Any, along: str, groups: int, taps: int) -> bool:
    """Whether matrix products are faster for a flat convolution than vector kernels: BLAS keeps its pace with many
    channels, whose planes and kernels do not stay in cache."""
    tx, tk = type_of(x), type_of(kernel)
    inner = tx.shape[1] // groups if along == "output" else tx.shape[0]
    if dtypes.is_complex(tx.dtype):
        return True
    many = _MANY_CHANNELS if taps > 1 else _CHANNELS_OF_ONE_TAP
    wide = inner >= many and tk.shape[0] // groups >= many // 2
    return wide and tx.dtype in (dtypes.float32, dtypes.float64)


def _fits_channels_last(lhs: Any, rhs: Any, groups: int) -> bool:
    """Whether there are enough outputs for vectors along them, in whole ones where there are groups."""
    outputs = type_of(rhs).shape[0] // groups
    whole = outputs % VECTOR == 0 or (groups == 1 and 2 * outputs >= VECTOR)
    return whole and type_of(lhs).dtype in (dtypes.float32, dtypes.float64)


def _is_product(taps: Sequence[int], channels: int, steps: Sequence[int]) -> bool:
    """Whether a convolution without padding whose channels are last is a matrix product that is worth BLAS."""
    return math.prod(taps) == 1 and set(steps) <= {1} and channels >= _CHANNELS_OF_ONE_TAP


def _with_channels_last(
    lhs: Any,
    rhs: Any,
    pads: Sequence[tuple[int, int, int]],
    strides: tuple[int, ...],
    dilation: tuple[int, ...],
    groups: int,
) -> Any:
    """As `conv_channels_last`: the transpose before and the one after cancel with those of the operand and of the
    result, or fuse with what makes the one and takes the other."""
    rank, outputs = len(pads), type_of(rhs).shape[0]
    x = ops.moveaxis(lhs, 1, rank + 1)
    zero = type_of(lhs).dtype.type(0)
    if any(map(any, pads)):
        x = ops.pad(x, zero, [(0, 0, 0), *pads, (0, 0, 0)])
    kernel = ops.transpose(rhs, [*range(2, rank + 2), 1, 0])
    window, channels = type_of(rhs).shape[2:], type_of(rhs).shape[1]
    if _is_product(window, channels, strides) and groups == 1:
        flat = ops.reshape(kernel, (channels, outputs))
        return ops.moveaxis(ops.dot_general(x, flat, (((rank + 1,), (0,)), ((), ()))), rank + 1, 1)
    if outputs % VECTOR:
        kernel = ops.pad(kernel, zero, [(0, 0, 0)] * (rank + 1) + [(0, -outputs % VECTOR, 0)])
    out = ops.apply(
        "conv_channels_last",
        x,
        kernel,
        along="output",
        window_strides=strides,
        rhs_dilation=dilation,
        groups=groups,
    )
    return ops.moveaxis(ops.slice_in_dim(out, 0, outputs, axis=rank + 1), rank + 1, 1)


def _kernel_with_channels_last(
    lhs: Any,
    rhs: Any,
    pads: Sequence[tuple[int, int, int]],
    strides: tuple[int, ...],
    dilation: tuple[int, ...],
) -> Any:
    """The same along the kernel: what are images to the convolution are the channels of the operand."""
    rank = len(pads)
    x, kernel = ops.moveaxis(lhs, 0, rank + 1), ops.moveaxis(rhs, 0, rank + 1)
    if any(map(any, pads)):
        x = ops.pad(x, type_of(lhs).dtype.type(0), [(0, 0, 0), *pads, (0, 0, 0)])
    found = out_lengths(
        type_of(x).shape[1:-1], type_of(kernel).shape[1:-1], strides, ((0, 0),) * rank, (1,) * rank, dilation
    )
    if _is_product(found, type_of(x).shape[-1], dilation):
        summed = tuple(range(rank + 1))
        out = ops.dot_general(x, kernel, ((summed, summed), ((), ())))
        return ops.reshape(out, (*type_of(out).shape, *found))
    out = ops.apply(
        "conv_channels_last",
        x,
        kernel,
        along="kernel",
        window_strides=strides,
        rhs_dilation=dilation,
        groups=1,
    )
    return ops.transpose(out, [rank, rank + 1, *range(rank)])


def _by_phases(lhs: Any, rhs: Any, axis: int, length: int, params: dict[str, Any]) -> Any:
    """Where a spatial axis of the operand is dilated by n, its outputs number r, r + n, r + 2 n ... are a convolution
    of the operand as it is with those taps of the kernel that meet no holes."""

    def changed(name: str, value: Any) -> tuple[Any, ...]:
        return (*params[name][:axis], value, *params[name][axis + 1 :])

    spread, step, place = params["lhs_dilation"][axis], params["rhs_dilation"][axis], axis + 2
    low, taps = params["padding"][axis][0], type_of(rhs).shape[place]
    size, count = type_of(lhs).shape[place], -(-length // spread)
    every = spread // math.gcd(spread, step)
    phases = []
    for phase in range(spread):
        first = next((t for t in range(min(every, taps)) if (phase + t * step - low) % spread == 0), taps)
        kernel = ops.slice_in_dim(rhs, first, taps, every, axis=place)
        near = every * step // spread
        before = (low - phase - first * step) // spread
        after = count - 1 + dilated(type_of(kernel).shape[place], near) - before - size
        given = {
            **params,
            "padding": changed("padding", (before, after)),
            "lhs_dilation": changed("lhs_dilation", 1),
            "rhs_dilation": changed("rhs_dilation", near),
        }
        if first == taps:
            shape = list(_type(type_of(lhs), type_of(rhs), **params).shape)
            shape[place] = count
            phases.append(ops.zeros(array_type(tuple(shape), type_of(lhs).dtype)))
        else:
            phases.append(_expand(lhs, kernel, **given)[0])
    shape = type_of(phases[0]).shape
    apart = [ops.reshape(x, (*shape[: place + 1], 1, *shape[place + 1 :])) for x in phases]
    out = ops.reshape(
        ops.concatenate(apart, place + 1), (*shape[:place], count * spread, *shape[place + 1 :])
    )
    return ops.slice_in_dim(out, 0, length, axis=place)


def _expand(
    lhs: Any,
    rhs: Any,
    *,
    window_strides: tuple[int, ...],
    padding: Pads,
    lhs_dilation: tuple[int, ...],
    rhs_dilation: tuple[int, ...],
    feature_group_count: int,
    channels_last: bool = False,
) -> list[Any]:
    """As `conv_flat`: padding is put around, and what strides leave out comes apart.

    Vectors go along the output, or, where that is smaller, as in the derivative with respect to a kernel, along the
    kernel. Along an axis on which the neighbours are `step` elements apart, the operand is cut into `step` planes.
    Rows of the flat result are as long as those of the operand: what is in between is left out in the end.
    """
    images, outputs, dtype = type_of(lhs).shape[0], type_of(rhs).shape[0], type_of(lhs).dtype
    kernel = type_of(rhs).shape[2:]
    found = out_lengths(type_of(lhs).shape[2:], kernel, window_strides, padding, lhs_dilation, rhs_dilation)
    if not math.prod((images, outputs, *found)) or not type_of(rhs).size:
        return [ops.zeros(array_type((images, outputs, *found), dtype))]
    params = {
        "window_strides": window_strides,
        "padding": padding,
        "lhs_dilation": lhs_dilation,
        "rhs_dilation": rhs_dilation,
        "feature_group_count": feature_group_count,
        "channels_last": channels_last,
    }
    wide = dtypes.compute_dtype(dtype)
    if wide != dtype:  # sums are of float32 anyway, and the kernels are made for that
        return [ops.convert(convolve(ops.convert(lhs, wide), ops.convert(rhs, wide), **params), dtype)]
    for axis, (spread, stride) in enumerate(zip(lhs_dilation, window_strides)):
        if spread > 1 and stride == 1:
            return [_by_phases(lhs, rhs, axis, found[axis], params)]
    along = "output" if math.prod(found) >= math.prod(kernel) else "kernel"
    steps, strides = (window_strides, rhs_dilation) if along == "output" else (rhs_dilation, window_strides)
    near, taps = (found, kernel) if along == "output" else (kernel, found)
    if channels_last and along == "output" and _fits_channels_last(lhs, rhs, feature_group_count):
        pads = [(low, high, a - 1) for (low, high), a in zip(padding, lhs_dilation)]
        return [_with_channels_last(lhs, rhs, pads, window_strides, rhs_dilation, feature_group_count)]
    whole = outputs % VECTOR == 0 and dtype in (dtypes.float32, dtypes.float64)
    if channels_last and along == "kernel" and whole and feature_group_count == 1:
        pads = [(low, high, a - 1) for (low, high), a in zip(padding, lhs_dilation)]
        return [_kernel_with_channels_last(lhs, rhs, pads, window_strides, rhs_dilation)]
    rank, outer = len(found), type_of(lhs).shape[:2]
    products = _by_products(lhs, rhs, along, feature_group_count, math.prod(taps))
    if products and feature_group_count == 1 and math.prod(near) <= _SMALL_PLANE:
        patches = math.prod((*outer, *near, *taps)) * dtype.itemsize
        if patches <= _PATCHES:
            pads = [(low, high, a - 1) for (low, high), a in zip(padding, lhs_dilation)]
            x = ops.pad(lhs, dtype.type(0), [(0, 0, 0), (0, 0, 0), *pads])
            return [_by_patches(x, rhs, along, near, taps, steps, strides)]
    full = [dilated(n, a) + sum(p) for n, a, p in zip(type_of(lhs).shape[2:], lhs_dilation, padding)]
    lengths = [-(-n // step) for n, step in zip(full, steps)]
    rows = [math.prod(lengths[d + 1 :]) for d in range(rank)]
    count = sum((n - 1) * row for n, row in zip(near, rows)) + 1
    count = -(-count // VECTOR) * VECTOR  # so that no loop has a remainder of single elements
    farthest = sum((t - 1) * stride // step * row for t, stride, step, row in zip(taps, strides, steps, rows))
    lengths[0] = max(lengths[0], -(-(farthest + count) // rows[0]))
    pads = [
        (low, high + n * step - size, a - 1)
        for (low, high), n, step, size, a in zip(padding, lengths, steps, full, lhs_dilation)
    ]
    x = lhs
    if any(map(any, pads)):
        x = ops.pad(x, dtype.type(0), [(0, 0, 0), (0, 0, 0), *pads])
    if any(s > 1 for s in steps):
        split = [n for pair in zip(lengths, steps) for n in pair]
        x = ops.reshape(x, (*outer, *split))
        x = ops.transpose(x, [0, 1, *range(3, 3 + 2 * rank, 2), *range(2, 2 + 2 * rank, 2)])
    x = ops.reshape(x, (*outer, math.prod((*steps, *lengths))))
    planes = [math.prod(steps[d + 1 :]) * math.prod(lengths) for d in range(rank)]
    offsets = []
    for tap in np.ndindex(*taps):
        places = [divmod(t * stride, step) for t, stride, step in zip(tap, strides, steps)]
        offsets.append(sum(q * row + r * plane for (q, r), row, plane in zip(places, rows, planes)))
    wide_rows = (max(near[0], -(-count // rows[0])), *lengths[1:])
    if along == "kernel":
        rhs = ops.pad(
            rhs, dtype.type(0), [(0, 0, 0), (0, 0, 0), *((0, w - n, 0) for w, n in zip(wide_rows, near))]
        )
    rhs = ops.reshape(rhs, (*type_of(rhs).shape[:2], math.prod(type_of(rhs).shape[2:])))
    out = conv_flat(
        x, rhs, along=along, groups=feature_group_count, count=count, long=math.prod(wide_rows), offsets=tuple(offsets),
        products=products,
    )  # fmt: skip
    if along == "output":
        out = ops.reshape(out, (images, outputs, *wide_rows))
        ends = (images, outputs, *found)
        return [ops.slice_(out, (0,) * (rank + 2), ends)]
    return [ops.reshape(out, (images, outputs, *found))]


def _samples() -> Iterable[Sample]:
    def params(rank: int, **changes: Any) -> dict[str, Any]:
        ones = (1,) * rank
        plain = {
            "window_strides": ones,
            "padding": ((0, 0),) * rank,
            "lhs_dilation": ones,
            "rhs_dilation": ones,
            "feature_group_count": 1,
            "channels_last": False,
        }
        return {**plain, **changes}

    for dtype in (dtypes.float32, dtypes.float64, dtypes.float16, dtypes.complex64, dtypes.int32):
        live = (0, 1) if dtypes.is_inexact(dtype) else ()
        operands = (draw(2, 2, 5, dtype=dtype), draw(3, 2, 3, dtype=dtype))
        yield Sample(operands, params(1, padding=((1, 1),)), live, dtypes.name(dtype))
    for label, lhs, rhs, changes in (
        ("strides", (1, 2, 5, 6), (2, 2, 3, 2), {"window_strides": (2, 1), "padding": ((1, 0), (0, 1))}),
        ("dilated kernel", (1, 1, 6, 5), (1, 1, 2, 2), {"rhs_dilation": (2, 3)}),
        (
            "dilated operand",
            (1, 1, 3, 2),
            (1, 1, 2, 2),
            {"lhs_dilation": (2, 3), "padding": ((1, 1), (2, 1))},
        ),
        ("cut", (1, 1, 6, 6), (1, 1, 2, 2), {"padding": ((-1, 0), (0, -2)), "window_strides": (1, 2)}),
        ("groups", (1, 4, 4, 3), (6, 2, 2, 2), {"feature_group_count": 2}),
        ("depthwise", (1, 3, 4, 3), (3, 1, 2, 2), {"feature_group_count": 3, "padding": ((1, 0), (1, 0))}),
    ):
        yield Sample((draw(*lhs), draw(*rhs)), params(2, **changes), (0, 1), label)
    yield Sample((draw(1, 1, 3, 3, 2), draw(1, 1, 2, 2, 2)), params(3), (0, 1), "three axes")


def _depends(
    run: Any,
    operands: Sequence[Any],
    types: Sequence[ArrayType],
    outs: Sequence[ArrayType],
    *,
    window_strides: tuple[int, ...],
    padding: Pads,
    lhs_dilation: tuple[int, ...],
    rhs_dilation: tuple[int, ...],
    feature_group_count: int,
    channels_last: bool = False,
) -> list[Any]:
    """Each element reads the window of the operand around it, and the kernel of its channel."""
    from funcgrad.transforms.dependence import is_given, reading, union  # imports scipy.sparse

    (lhs, rhs), out = types, outs[0]
    image, channel, *places = E.axes(out.ndim)
    within, *taps = E.axes(rhs.ndim - 1, out.ndim)  # the reduced axes: channels of a group, then the window
    group = channel // max(out.shape[1] // feature_group_count, 1)
    spots = [
        i * stride + t * hole - low
        for i, t, stride, hole, (low, _) in zip(places, taps, window_strides, rhs_dilation, padding)
    ]
    bounds = tuple(
        bound
        for spot, n, hole in zip(spots, lhs.shape[2:], lhs_dilation)
        for bound in ((spot, 0, dilated(n, hole)), (spot % hole, 0, 1))
    )
    indices = (
        (image, group * rhs.shape[1] + within, *(s // hole for s, hole in zip(spots, lhs_dilation))),
        (channel, within, *taps),
    )
    parts = [
        reading(x, t.shape, index, bounds, out.shape, rhs.shape[1:])
        for x, t, index in zip(operands, types, indices)
        if not is_given(x)
    ]
    return [union(parts)]


conv_general_dilated_p = Primitive(
    name="conv_general_dilated",
    type_rule=_type,
    evaluate=_evaluate,
    jvp=_jvp,
    transpose=_transpose,
    batch=_batch,
    lower=None,
    expand=_expand,
    depends=_depends,
    samples=_samples,
)

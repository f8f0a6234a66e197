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
from funcgrad.ir.primitive import Primitive, Sample, Zero
from funcgrad.ir.types import ArrayType, array_type
from funcgrad.prims.registry import is_linear, library_call
from funcgrad.prims.samples import draw
from funcgrad.trace import ops
from funcgrad.trace.core import type_of

Pads = tuple[tuple[int, int], ...]


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


def _grouped(x: Any, axis: int, groups: int) -> Any:
    """The axis split into (groups, rest)."""
    shape = type_of(x).shape
    return ops.reshape(x, (*shape[:axis], groups, shape[axis] // groups, *shape[axis + 1 :]))


def _joined(x: Any, axis: int) -> Any:
    """The axis joined with the one after it."""
    shape = type_of(x).shape
    return ops.reshape(x, (*shape[:axis], shape[axis] * shape[axis + 1], *shape[axis + 2 :]))


def _swap(x: Any, a: int, b: int) -> Any:
    order = list(range(type_of(x).ndim))
    order[a], order[b] = order[b], order[a]
    return ops.transpose(x, order)


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
        kernel = _joined(_swap(_grouped(rhs, 0, groups), 1, 2), 0)
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
        )
        return [pulled, None]
    pads = [(low, k - 1 + p - n - low) for (n, k, p), (low, _) in zip(lengths, padding)]
    x = _swap(_grouped(lhs, 1, groups), 0, 2)  # (C / groups, groups, N, ...)
    pulled = convolve(
        _joined(x, 1),
        _swap(ct, 0, 1),
        window_strides=rhs_dilation,
        padding=tuple(pads),
        lhs_dilation=lhs_dilation,
        rhs_dilation=window_strides,
        feature_group_count=groups,
    )
    return [None, _swap(pulled, 0, 1)]


def _batch(
    size: int,
    operands: Sequence[Any],
    axes: Sequence[int | None],
    /,
    *,
    feature_group_count: int,
    **params: Any,
) -> tuple[Any, int]:
    (x, w), (ax, aw) = operands, axes
    groups = feature_group_count
    if aw is None:
        x = ops.moveaxis(x, ax or 0, 0)
        out = convolve(_joined(x, 0), w, feature_group_count=groups, **params)
        return _grouped(out, 0, size), 0
    w = ops.moveaxis(w, aw, 0)  # (size, O, I, ...)
    if ax is None:
        w = _swap(_grouped(w, 1, groups), 0, 1)  # (groups, size, O / groups, ...)
        out = convolve(x, _joined(_joined(w, 0), 0), feature_group_count=groups, **params)
        shape = type_of(out).shape
        each = shape[1] // groups // size
        out = ops.reshape(out, (shape[0], groups, size, each, *shape[2:]))
        return _joined(_swap(out, 1, 2), 2), 1
    x = ops.moveaxis(x, ax, 1)  # (N, size, C, ...)
    out = convolve(_joined(x, 1), _joined(w, 0), feature_group_count=size * groups, **params)
    return _grouped(out, 1, size), 1


def _samples() -> Iterable[Sample]:
    def params(rank: int, **changes: Any) -> dict[str, Any]:
        ones = (1,) * rank
        plain = {
            "window_strides": ones,
            "padding": ((0, 0),) * rank,
            "lhs_dilation": ones,
            "rhs_dilation": ones,
            "feature_group_count": 1,
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


conv_general_dilated_p = Primitive(
    name="conv_general_dilated",
    type_rule=_type,
    evaluate=_evaluate,
    jvp=_jvp,
    transpose=_transpose,
    batch=_batch,
    lower=library_call("conv_general_dilated"),
    samples=_samples,
)

"""The primitive `conv_channels_last`, to which convolutions come down whose channels lie side by side in memory.

Along the output the operand is (I, spatial..., G * C), the kernel (window..., C, G * J), the result
(I, found..., G * J):

    out[i, u, (g, j)] = sum over v and c of  kernel[v, c, (g, j)] * x[i, u * stride + v * dilation, (g, c)]

Along the kernel, as in the derivative with respect to one, it is the images that are summed over. The operand is
(I, spatial..., G * C), the kernel (I, window..., G * J), the result (found..., C, G * J):

    out[u, c, (g, j)] = sum over i and v of  kernel[i, v, (g, j)] * x[i, u * stride + v * dilation, (g, c)]

There is no padding and the operand has no holes. J is a multiple of `VECTOR`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from funcgrad import dtypes
from funcgrad.errors import GraphError
from funcgrad.ir import expr as E
from funcgrad.ir.primitive import Primitive, Sample
from funcgrad.ir.types import ArrayType, array_type
from funcgrad.kernels.cpu.writing import VECTOR
from funcgrad.prims.conv_flat import batch_convolution
from funcgrad.prims.registry import library_call
from funcgrad.prims.samples import draw
from funcgrad.trace import ops
from funcgrad.trace.core import type_of


def _found(
    spatial: Sequence[int], window: Sequence[int], strides: Sequence[int], dilation: Sequence[int]
) -> tuple[int, ...]:
    """The spatial lengths of the result."""
    return tuple([(n - (k - 1) * d - 1) // s + 1 for n, k, s, d in zip(spatial, window, strides, dilation)])


def _type(
    x: ArrayType,
    kernel: ArrayType,
    *,
    along: str,
    window_strides: tuple[int, ...],
    rhs_dilation: tuple[int, ...],
    groups: int,
) -> ArrayType:
    window = kernel.shape[:-2] if along == "output" else kernel.shape[1:-1]
    found = _found(x.shape[1:-1], window, window_strides, rhs_dilation)
    summed = (x.shape[-1], kernel.shape[-2] * groups) if along == "output" else (x.shape[0], kernel.shape[0])
    fits = x.ndim == kernel.ndim and summed[0] == summed[1] and x.shape[-1] % groups == 0
    if not fits or kernel.shape[-1] % (groups * VECTOR) or min(found, default=0) < 1:
        raise GraphError(f"conv_channels_last of {x} with {kernel}: {groups} groups, result {found}")
    outputs = kernel.shape[-1]
    shape = (x.shape[0], *found, outputs) if along == "output" else (*found, x.shape[-1] // groups, outputs)
    return array_type(shape, x.dtype)


def _evaluate(
    xp: Any,
    x: np.ndarray,
    kernel: np.ndarray,
    *,
    along: str,
    window_strides: tuple[int, ...],
    rhs_dilation: tuple[int, ...],
    groups: int,
) -> np.ndarray:
    window = kernel.shape[:-2] if along == "output" else kernel.shape[1:-1]
    found = _found(x.shape[1:-1], window, window_strides, rhs_dilation)
    x = x.reshape(*x.shape[:-1], groups, -1)
    kernel = xp.moveaxis(kernel.reshape(*kernel.shape[:-1], groups, -1), -2, -3)  # (..., G, C, J)
    if along == "kernel":
        return _evaluate_along_kernel(xp, x, kernel, found, window_strides, rhs_dilation)
    out = xp.zeros((x.shape[0], *found, groups, kernel.shape[-1]), x.dtype)
    for tap in np.ndindex(*window):
        places = _places(tap, rhs_dilation, found, window_strides)
        out += xp.matmul(x[(slice(None), *places)][..., None, :], kernel[tap])[..., 0, :]
    return out.reshape(*out.shape[:-2], -1)


def _evaluate_along_kernel(
    xp: Any,
    x: np.ndarray,
    kernel: np.ndarray,
    found: tuple[int, ...],
    strides: Sequence[int],
    dilation: Sequence[int],
) -> np.ndarray:
    """Of (I, spatial..., G, C) and (I, ..., G, last of the window, J)."""
    kernel = xp.moveaxis(kernel, -2, -3)  # (I, window..., G, J)
    groups, channels, outputs = x.shape[-2], x.shape[-1], kernel.shape[-1]
    out = xp.zeros((*found, groups, channels, outputs), x.dtype)
    given = xp.moveaxis(kernel.reshape(-1, groups, outputs), 1, 0)
    for tap in np.ndindex(*found):
        places = _places(
            [t * s for t, s in zip(tap, strides)], [1] * len(found), kernel.shape[1:-2], dilation
        )
        met = xp.moveaxis(x[(slice(None), *places)].reshape(-1, groups, channels), 1, 0)
        out[tap] = xp.matmul(xp.swapaxes(met, 1, 2), given)
    return xp.moveaxis(out, -3, -2).reshape(*found, channels, -1)


def _places(
    first: Sequence[int], scale: Sequence[int], count: Sequence[int], step: Sequence[int]
) -> list[slice]:
    return [
        slice(t * d, t * d + (n - 1) * s + 1, s) if n else slice(0, 0)
        for t, d, n, s in zip(first, scale, count, step)
    ]


def _batch(
    size: int,
    operands: Sequence[Any],
    axes: Sequence[int | None],
    /,
    *,
    along: str,
    groups: int,
    **params: Any,
) -> tuple[Any, int]:
    rank = len(params["window_strides"])
    if along == "kernel":
        return _batch_along_kernel(size, operands, axes, groups, params)

    def outer(x: Any, axis: int | None, last: Sequence[int]) -> tuple[Any, int | None]:
        """With the axes in the order that `batch_convolution` knows, behind the batch."""
        if axis is None:
            return ops.transpose(x, [d % (rank + 2) for d in last]), None
        return ops.transpose(ops.moveaxis(x, axis, 0), [0, *(d % (rank + 2) + 1 for d in last)]), 0

    def apply(x: Any, kernel: Any, groups: int) -> Any:
        x = ops.moveaxis(x, 1, rank + 1)
        kernel = ops.transpose(kernel, [*range(2, rank + 2), 1, 0])
        out = ops.apply("conv_channels_last", x, kernel, along=along, groups=groups, **params)
        return ops.moveaxis(out, rank + 1, 1)

    (x, kernel), (ax, ak) = operands, axes
    x, ax = outer(x, ax, [0, -1, *range(1, rank + 1)])
    kernel, ak = outer(kernel, ak, [-1, -2, *range(rank)])
    out, place = batch_convolution(apply, size, (x, kernel), (ax, ak), groups)
    return ops.moveaxis(ops.moveaxis(out, place, 0), 2, rank + 2), 0


def _batch_along_kernel(
    size: int, operands: Sequence[Any], axes: Sequence[int | None], groups: int, params: dict[str, Any]
) -> tuple[Any, int]:
    """A batch of operands is more channels, one of kernels more outputs, one of both more groups."""

    def within(x: Any, axis: int | None) -> Any:
        """The batch between groups and channels."""
        if axis is None:
            return x
        x = ops.moveaxis(x, axis, -1)
        *outer, channels, _ = type_of(x).shape
        x = ops.reshape(x, (*outer, groups, channels // groups, size))
        return ops.reshape(ops.moveaxis(x, -1, -2), (*outer, channels * size))

    both = None not in axes
    x, kernel = map(within, operands, axes)
    out = ops.apply(
        "conv_channels_last", x, kernel, along="kernel", groups=groups * size if both else groups, **params
    )
    *found, channels, outputs = type_of(out).shape
    if axes[1] is None:
        out = ops.reshape(out, (*found, size, channels // size, outputs))
        return ops.moveaxis(out, len(found), 0), 0
    out = ops.moveaxis(ops.reshape(out, (*found, channels, groups, size, outputs // groups // size)), -2, 0)
    return ops.reshape(out, (size, *found, channels, outputs // size)), 0


_by_numpy = library_call("conv_channels_last")


def _lower(
    in_types: Sequence[ArrayType],
    out: Any,
    *,
    along: str,
    window_strides: tuple[int, ...],
    rhs_dilation: tuple[int, ...],
    groups: int,
) -> E.Extern:
    """Vector kernels for float32 and float64, else NumPy."""
    extern = _by_numpy(
        in_types, out, along=along, window_strides=window_strides, rhs_dilation=rhs_dilation, groups=groups
    )
    x, kernel = in_types
    if x.dtype not in (dtypes.float32, dtypes.float64):
        return extern
    window = kernel.shape[:-2] if along == "output" else kernel.shape[1:-1]
    spatial, found = x.shape[1:-1], _found(x.shape[1:-1], window, window_strides, rhs_dilation)
    channels, outputs = x.shape[-1] // groups, kernel.shape[-1] // groups
    settings = (
        along,
        x.shape[0],
        groups,
        channels,
        outputs,
        *spatial,
        *window,
        *window_strides,
        *rhs_dilation,
    )
    flops = 2.0 * x.shape[0] * groups * channels * outputs * math.prod(found) * math.prod(window)
    return E.Routine(extern.name, extern.attributes, "convolve_channels_last", settings, flops)


def _samples() -> Iterable[Sample]:
    def params(rank: int, along: str = "output", **changes: Any) -> dict[str, Any]:
        ones = (1,) * rank
        return {"along": along, "window_strides": ones, "rhs_dilation": ones, "groups": 1, **changes}

    for dtype in (dtypes.float32, dtypes.float64):
        operands = (draw(2, 4, 9, 3, dtype=dtype), draw(2, 3, 3, 16, dtype=dtype))
        yield Sample(operands, params(2), (), dtypes.name(dtype))
        operands = (draw(2, 4, 9, 3, dtype=dtype), draw(2, 3, 8, 16, dtype=dtype))
        yield Sample(operands, params(2, "kernel"), (), f"{dtypes.name(dtype)} along the kernel")
    uneven: dict[str, Any] = {"window_strides": (2, 3), "rhs_dilation": (1, 2)}
    yield Sample((draw(1, 5, 11, 2), draw(3, 2, 2, 16)), params(2, **uneven), (), "strides and dilation")
    yield Sample((draw(2, 6, 11, 2), draw(2, 3, 3, 16)), params(2, "kernel", **uneven), (), "both along it")
    yield Sample((draw(1, 7, 4), draw(3, 2, 32)), params(1, groups=2), (), "groups")
    yield Sample(
        (draw(3, 7, 4), draw(3, 5, 32)), params(1, "kernel", groups=2), (), "groups along the kernel"
    )
    yield Sample((draw(2, 3, 5, 3), draw(1, 1, 3, 48)), params(2), (), "one tap")
    yield Sample((draw(2, 3, 5, 6), draw(2, 3, 5, 48)), params(2, "kernel"), (), "one tap along the kernel")


conv_channels_last_p = Primitive(
    name="conv_channels_last",
    type_rule=_type,
    evaluate=_evaluate,
    jvp=None,
    transpose=None,
    batch=_batch,
    lower=_lower,
    samples=_samples,
    not_differentiable="it is what convolutions come down to after differentiation",
)

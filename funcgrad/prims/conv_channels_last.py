"""The primitive `conv_channels_last`, to which convolutions come down whose channels lie side by side in memory.

With the operand (I, spatial..., G * C), the kernel (window..., C, G * J) and the result (I, spatial..., G * J): no
padding, no holes in the operand, and outputs in whole vectors, so J is a multiple of `VECTOR`.
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
from funcgrad.prims.conv_flat import VECTOR, batch_convolution
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
    window_strides: tuple[int, ...],
    rhs_dilation: tuple[int, ...],
    groups: int,
) -> ArrayType:
    found = _found(x.shape[1:-1], kernel.shape[:-2], window_strides, rhs_dilation)
    fits = x.ndim == kernel.ndim and x.shape[-1] == kernel.shape[-2] * groups
    if not fits or kernel.shape[-1] % (groups * VECTOR) or min(found, default=0) < 1:
        raise GraphError(f"conv_channels_last of {x} with {kernel}: {groups} groups, result {found}")
    return array_type((x.shape[0], *found, kernel.shape[-1]), x.dtype)


def _evaluate(
    xp: Any,
    x: np.ndarray,
    kernel: np.ndarray,
    *,
    window_strides: tuple[int, ...],
    rhs_dilation: tuple[int, ...],
    groups: int,
) -> np.ndarray:
    window = kernel.shape[:-2]
    found = _found(x.shape[1:-1], window, window_strides, rhs_dilation)
    split = x.reshape(*x.shape[:-1], groups, -1)
    weights = xp.moveaxis(kernel.reshape(*kernel.shape[:-1], groups, -1), -2, -3)  # (window..., G, C, J)
    out = xp.zeros((x.shape[0], *found, groups, kernel.shape[-1] // groups), x.dtype)
    for tap in np.ndindex(*window):
        places = [
            slice(t * d, t * d + (n - 1) * s + 1, s)
            for t, d, n, s in zip(tap, rhs_dilation, found, window_strides)
        ]
        out += xp.matmul(split[(slice(None), *places)][..., None, :], weights[tap])[..., 0, :]
    return out.reshape(*out.shape[:-2], -1)


def _batch(
    size: int, operands: Sequence[Any], axes: Sequence[int | None], /, *, groups: int, **params: Any
) -> tuple[Any, int]:
    def outer(x: Any, axis: int | None, last: Sequence[int]) -> tuple[Any, int | None]:
        """With the axes in the order that `batch_convolution` knows, behind the batch."""
        if axis is None:
            rank = type_of(x).ndim
            return ops.transpose(x, [d % rank for d in last]), None
        x = ops.moveaxis(x, axis, 0)
        rank = type_of(x).ndim - 1
        return ops.transpose(x, [0, *(d % rank + 1 for d in last)]), 0

    spatial = len(params["window_strides"])

    def apply(x: Any, kernel: Any, groups: int) -> Any:
        x = ops.moveaxis(x, 1, spatial + 1)
        kernel = ops.transpose(kernel, [*range(2, spatial + 2), 1, 0])
        out = ops.apply("conv_channels_last", x, kernel, groups=groups, **params)
        return ops.moveaxis(out, spatial + 1, 1)

    (x, kernel), (ax, ak) = operands, axes
    x, ax = outer(x, ax, [0, -1, *range(1, spatial + 1)])
    kernel, ak = outer(kernel, ak, [-1, -2, *range(spatial)])
    out, place = batch_convolution(apply, size, (x, kernel), (ax, ak), groups)
    return ops.moveaxis(ops.moveaxis(out, place, 0), 2, spatial + 2), 0


_by_numpy = library_call("conv_channels_last")


def _lower(
    in_types: Sequence[ArrayType],
    out: Any,
    *,
    window_strides: tuple[int, ...],
    rhs_dilation: tuple[int, ...],
    groups: int,
) -> E.Extern:
    """Vector kernels for float32 and float64, else NumPy."""
    extern = _by_numpy(in_types, out, window_strides=window_strides, rhs_dilation=rhs_dilation, groups=groups)
    x, kernel = in_types
    if x.dtype not in (dtypes.float32, dtypes.float64):
        return extern
    spatial, window = x.shape[1:-1], kernel.shape[:-2]
    sizes = (x.shape[0], groups, x.shape[-1] // groups, kernel.shape[-1] // groups)
    settings = (*sizes, *spatial, *window, *window_strides, *rhs_dilation)
    places = x.shape[0] * math.prod(_found(spatial, window, window_strides, rhs_dilation))
    return E.Routine(
        extern.name, extern.attributes, "convolve_channels_last", settings, 2.0 * places * kernel.size
    )


def _samples() -> Iterable[Sample]:
    def params(rank: int, **changes: Any) -> dict[str, Any]:
        return {"window_strides": (1,) * rank, "rhs_dilation": (1,) * rank, "groups": 1, **changes}

    for dtype in (dtypes.float32, dtypes.float64):
        operands = (draw(2, 4, 9, 3, dtype=dtype), draw(2, 3, 3, 16, dtype=dtype))
        yield Sample(operands, params(2), (), dtypes.name(dtype))
    strides = params(2, window_strides=(2, 3), rhs_dilation=(1, 2))
    yield Sample((draw(1, 5, 11, 2), draw(3, 2, 2, 16)), strides, (), "strides and dilation")
    yield Sample((draw(1, 7, 4), draw(3, 2, 32)), params(1, groups=2), (), "groups")
    yield Sample((draw(2, 3, 5, 3), draw(1, 1, 3, 48)), params(2), (), "one tap")


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

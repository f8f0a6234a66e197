"""The primitive `conv_flat`, to which convolutions come down: planes flattened, padding and strides taken out.

With the operand (I, G * C, L), the kernel (G * J, C, V) and the result (I, G * J, U), for groups g:

    out[i, (g, j), u] = sum over c and v of  kernel[(g, j), c, v] * x[i, (g, c), place(u, v)]

`along` says which of u and v counts `count` neighbours, from 0; the other is one of few taps, with `offsets`:
place(u, v) is the sum of the number and the offset. What counts neighbours has an axis of `long` >= `count` elements,
of which the others do not matter: in the kernel they are not read, in the result they may be anything.

Vector kernels along the output do whole vectors: where `count` is no multiple of `VECTOR`, NumPy does it.

With `products` BLAS does it, tap by tap: along the output the kernel is (V, G * J, C) then, along the kernel the
result is (U, G * J, I).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from funcgrad import dtypes
from funcgrad.errors import GraphError
from funcgrad.ir import expr as E
from funcgrad.ir.primitive import Primitive, Sample
from funcgrad.ir.types import ArrayType, array_type
from funcgrad.kernels.cpu.writing import VECTOR
from funcgrad.prims.registry import library_call
from funcgrad.prims.samples import draw
from funcgrad.trace import ops
from funcgrad.trace.core import type_of


def _type(
    x: ArrayType,
    kernel: ArrayType,
    *,
    along: str,
    groups: int,
    count: int,
    long: int,
    offsets: tuple[int, ...],
    products: bool,
) -> ArrayType:
    given = kernel
    if products and along == "output":
        kernel = kernel.with_shape((*kernel.shape[1:], kernel.shape[0]))
    taps, last = len(offsets), max(offsets) + count
    inner = taps if along == "output" else long
    if (
        x.shape[1] != kernel.shape[1] * groups
        or kernel.shape[2] != inner
        or last > x.shape[2]
        or count > long
    ):
        raise GraphError(
            f"conv_flat of {x} with {given}: {groups} groups, {count} of {long}, offsets {offsets}"
        )
    shape = (x.shape[0], kernel.shape[0], long if along == "output" else taps)
    if products and along == "kernel":
        shape = (shape[2], shape[1], shape[0])
    return array_type(shape, x.dtype)


def _evaluate(
    xp: Any,
    x: np.ndarray,
    kernel: np.ndarray,
    *,
    along: str,
    groups: int,
    count: int,
    long: int,
    offsets: tuple[int, ...],
    products: bool,
) -> np.ndarray:
    if products and along == "output":
        kernel = np.moveaxis(kernel, 0, 2)
    dtype, wide = x.dtype, dtypes.compute_dtype(x.dtype)
    x = x.astype(wide, copy=False).reshape(x.shape[0], groups, -1, x.shape[2])
    kernel = kernel.astype(wide, copy=False).reshape(groups, -1, *kernel.shape[1:])
    shape = (*x.shape[:2], kernel.shape[1], long if along == "output" else len(offsets))
    out = xp.zeros(shape, wide)
    for tap, offset in enumerate(offsets):
        part = x[..., offset : offset + count]
        if along == "output":
            out[..., :count] += xp.matmul(kernel[..., tap], part)
        else:
            out[..., tap] = xp.einsum("gjcv,igcv->igj", kernel[..., :count], part)
    out = out.reshape(shape[0], -1, shape[3]).astype(dtype, copy=False)
    return out.transpose() if products and along == "kernel" else out


def grouped(x: Any, axis: int, groups: int) -> Any:
    """The axis split into (groups, rest)."""
    shape = type_of(x).shape
    return ops.reshape(x, (*shape[:axis], groups, shape[axis] // groups, *shape[axis + 1 :]))


def joined(x: Any, axis: int) -> Any:
    """The axis joined with the one after it."""
    shape = type_of(x).shape
    return ops.reshape(x, (*shape[:axis], shape[axis] * shape[axis + 1], *shape[axis + 2 :]))


def swapped(x: Any, a: int, b: int) -> Any:
    order = list(range(type_of(x).ndim))
    order[a], order[b] = order[b], order[a]
    return ops.transpose(x, order)


def _example(x: Any, axis: int) -> ArrayType:
    t = type_of(x)
    return array_type(t.shape[:axis] + t.shape[axis + 1 :], t.dtype, t.weak)


def batch_convolution(
    apply: Any, size: int, operands: Sequence[Any], axes: Sequence[int | None], groups: int
) -> tuple[Any, int]:
    """The batching rule of whatever maps (I, G * C, ...) and (G * J, C, ...) to (I, G * J, ...): a batch of operands
    is more images, one of kernels more outputs, and one of both more groups. `apply(x, kernel, groups)` does it."""
    (x, w), (ax, aw) = operands, axes
    if size == 0:  # there is no number of groups to split by: the shape is that of one example's result
        one = apply(*(v if a is None else ops.zeros(_example(v, a)) for v, a in zip(operands, axes)), groups)
        return ops.broadcast_to(one, (0, *type_of(one).shape)), 0
    if aw is None:
        x = ops.moveaxis(x, ax or 0, 0)
        return grouped(apply(joined(x, 0), w, groups), 0, size), 0
    w = ops.moveaxis(w, aw, 0)  # (size, G * J, C, ...)
    if ax is None:
        w = swapped(grouped(w, 1, groups), 0, 1)  # (G, size, J, C, ...)
        out = apply(x, joined(joined(w, 0), 0), groups)
        shape = type_of(out).shape
        each = shape[1] // groups // size
        out = ops.reshape(out, (shape[0], groups, size, each, *shape[2:]))
        return joined(swapped(out, 1, 2), 2), 1
    x = ops.moveaxis(x, ax, 1)  # (I, size, G * C, ...)
    return grouped(apply(joined(x, 1), joined(w, 0), size * groups), 1, size), 1


def conv_flat(x: Any, kernel: Any, **params: Any) -> Any:
    """The primitive, with the axes in the same order whether or not it is by products."""
    if params["products"] and params["along"] == "output":
        kernel = ops.transpose(kernel, (2, 0, 1))
    out = ops.apply("conv_flat", x, kernel, **params)
    return ops.transpose(out, (2, 1, 0)) if params["products"] and params["along"] == "kernel" else out


def _batch(size: int, operands: Sequence[Any], axes: Sequence[int | None], /, *, groups: int, **params: Any):
    def apply(x: Any, kernel: Any, groups: int) -> Any:
        return conv_flat(x, kernel, groups=groups, **params)

    (x, kernel), (ax, axis) = operands, axes
    products, along = params["products"], params["along"]
    if products and along == "output":
        if axis is None:
            kernel = ops.transpose(kernel, (1, 2, 0))
        else:
            kernel, axis = ops.transpose(ops.moveaxis(kernel, axis, 0), (0, 2, 3, 1)), 0
    out, place = batch_convolution(apply, size, (x, kernel), (ax, axis), groups)
    if products and along == "kernel":
        out, place = ops.transpose(ops.moveaxis(out, place, 0), (0, 3, 2, 1)), 0
    return out, place


_by_numpy = library_call("conv_flat")


def _lower(in_types: Sequence[ArrayType], out: Any, *, offsets: tuple[int, ...], **params: Any) -> E.Extern:
    """BLAS, or vector kernels for float32 and float64, else NumPy."""
    extern = _by_numpy(in_types, out, offsets=offsets, **params)
    x, kernel = in_types
    products = params["products"]
    if not products and x.dtype not in (dtypes.float32, dtypes.float64):
        return extern
    if not products and params["along"] == "output" and params["count"] % VECTOR:
        return extern
    groups = params["groups"]
    outputs = kernel.shape[1 if products and params["along"] == "output" else 0] // groups
    sizes = (x.shape[0], groups, x.shape[1] // groups, outputs, x.shape[2])
    settings = (params["along"], *sizes, params["count"], params["long"], *offsets)
    routine = "convolve_by_products" if products else "convolve"
    places = x.shape[0] * groups * sizes[2] * outputs * params["count"]
    return E.Routine(extern.name, extern.attributes, routine, settings, 2.0 * places * len(offsets))


def _samples() -> Iterable[Sample]:
    for dtype in (dtypes.float32, dtypes.float64, dtypes.float16, dtypes.int32):
        params = {"along": "output", "groups": 1, "count": 16, "long": 16, "offsets": (0, 1, 3)}
        params["products"] = False
        operands = (draw(2, 2, 19, dtype=dtype), draw(3, 2, 3, dtype=dtype))
        yield Sample(operands, params, (), dtypes.name(dtype))
    params = {"along": "output", "groups": 1, "count": 5, "long": 5, "offsets": (0, 1, 3), "products": False}
    yield Sample((draw(2, 2, 8), draw(3, 2, 3)), params, (), "less than a vector")
    params = {"along": "kernel", "groups": 2, "count": 4, "long": 4, "offsets": (4, 0, 2)}
    params["products"] = False
    yield Sample((draw(3, 4, 8), draw(6, 2, 4)), params, (), "along the kernel")
    params = {"along": "output", "groups": 2, "count": 1504, "long": 1504, "offsets": tuple(range(5))}
    params["products"] = False
    yield Sample((draw(1, 2, 1508), draw(4, 1, 5)), params, (), "in parts")
    for dtype in (dtypes.float32, dtypes.float64, dtypes.complex64, dtypes.complex128):
        params = {
            "along": "output",
            "groups": 2,
            "count": 5,
            "long": 5,
            "offsets": (0, 3, 1),
            "products": True,
        }
        operands = (draw(2, 4, 8, dtype=dtype), draw(3, 6, 2, dtype=dtype))
        yield Sample(operands, params, (), f"products of {dtypes.name(dtype)}")
    params = {"along": "kernel", "groups": 2, "count": 4, "long": 5, "offsets": (4, 0, 2), "products": True}
    yield Sample((draw(3, 4, 8), draw(6, 2, 5)), params, (), "products along the kernel")
    params = {
        "along": "output",
        "groups": 1,
        "count": 1500,
        "long": 1500,
        "offsets": (0, 4),
        "products": True,
    }
    yield Sample((draw(1, 2, 1504), draw(2, 4, 2)), params, (), "products in parts")


conv_flat_p = Primitive(
    name="conv_flat",
    type_rule=_type,
    evaluate=_evaluate,
    jvp=None,
    transpose=None,
    batch=_batch,
    lower=_lower,
    samples=_samples,
    not_differentiable="it is what convolutions come down to after differentiation",
)

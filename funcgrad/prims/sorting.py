"""Sorting: `sort` of one or several operands by keys, and `top_k`.

NumPy sorts. A stable order of 32-bit keys comes from one sort of 64-bit words that hold the key above and the
position below, which NumPy does with vector instructions, many times faster than a stable sort of the keys.
NaNs come last; -0.0 and 0.0 are equal; as in XLA.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from funcgrad import dtypes
from funcgrad.errors import ArgumentError, AxisError, DTypeError, ShapeError
from funcgrad.ir import expr as E
from funcgrad.ir.primitive import Primitive, Sample, Zero
from funcgrad.ir.types import ArrayType, array_type
from funcgrad.prims.indexing import GatherDimensionNumbers, GatherScatterMode, gather
from funcgrad.prims.registry import library_call
from funcgrad.prims.samples import draw
from funcgrad.trace import ops
from funcgrad.trace.core import type_of

_ORDERED = (dtypes.bool_, *dtypes.INTEGERS, *dtypes.FLOATS)


def along(x: Any, positions: Any, axis: int) -> Any:
    """Along `axis`, for each line of `x`, the elements at that line of `positions`; all other axes are equal."""
    shape, rank = type_of(positions).shape, type_of(x).ndim
    if 0 in shape:
        return ops.zeros(array_type(shape, type_of(x).dtype))
    others = tuple([d for d in range(rank) if d != axis])
    indices = ops.reshape(positions, (*shape, 1))
    numbers = GatherDimensionNumbers((), (axis,), (axis,), others, others)
    return gather(x, indices, numbers, (1,) * rank, GatherScatterMode.PROMISE_IN_BOUNDS)


# ------------------------------------------------------------------------------------------------ orders
def _as_unsigned(x: np.ndarray) -> np.ndarray | None:
    """Keys of at most 32 bits as uint32 in the same order; None for wider ones."""
    if dtypes.is_bool(x.dtype) or (x.dtype.kind == "u" and x.dtype.itemsize <= 4):
        return x.astype(np.uint32)
    if x.dtype.kind == "i" and x.dtype.itemsize <= 4:
        return x.astype(np.int32).view(np.uint32) ^ np.uint32(1 << 31)
    if dtypes.is_float(x.dtype) and x.dtype.itemsize <= 4:
        x = x.astype(np.float32) + np.float32(0)  # -0.0 becomes 0.0
        nan = np.isnan(x)
        if nan.any():
            x[nan] = np.nan  # whatever their sign and bits
        signs = x.view(np.int32) >> 31  # all bits of the negative ones, to turn them around
        return x.view(np.uint32) ^ (signs.view(np.uint32) | np.uint32(1 << 31))
    return None


def _order(key: np.ndarray, axis: int) -> np.ndarray:
    """The positions along `axis` that sort `key`; equal elements keep their order."""
    unsigned = _as_unsigned(key) if key.shape[axis] < 2**32 else None
    if unsigned is None:
        return np.argsort(key, axis=axis, kind="stable")
    line = [1] * key.ndim
    line[axis] = key.shape[axis]
    words = (unsigned.astype(np.uint64) << np.uint64(32)) | np.arange(
        key.shape[axis], dtype=np.uint64
    ).reshape(line)
    words.sort(axis=axis)
    return (words & np.uint64(0xFFFFFFFF)).astype(np.int64)


def _comparable(x: np.ndarray) -> np.ndarray:
    return x.astype(np.float32) if x.dtype == dtypes.bfloat16 else x


def _has_negative_zero(x: Any) -> bool:
    if dtypes.is_complex(x.dtype):
        return _has_negative_zero(x.real) or _has_negative_zero(x.imag)
    if not dtypes.is_float(x.dtype):
        return False
    bits = np.dtype(f"i{x.itemsize}")
    return bool((x.view(bits) == np.iinfo(bits).min).any())


def _evaluate_sort(
    xp: Any, *operands: np.ndarray, dimension: int, is_stable: bool, num_keys: int
) -> list[np.ndarray]:
    if len(operands) == 1:
        (x,) = operands
        kind = "stable" if is_stable and _has_negative_zero(x) else None  # only then can the order be seen
        return [xp.sort(_comparable(x), axis=dimension, kind=kind).astype(x.dtype, copy=False)]
    if num_keys == 1:
        order = _order(operands[0], dimension)
    else:
        keys = [_comparable(x) for x in operands[:num_keys]]
        order = xp.lexsort(keys[::-1], axis=dimension)
    return [xp.take_along_axis(x, order, axis=dimension) for x in operands]


def _sort_workspace(*operands: ArrayType, dimension: int, is_stable: bool, num_keys: int) -> int:
    return 0 if len(operands) == 1 else 8 * operands[0].size  # the order


def _sort_type(*operands: ArrayType, dimension: int, is_stable: bool, num_keys: int) -> list[ArrayType]:
    first = operands[0]
    if any(t.shape != first.shape for t in operands):
        raise ShapeError(
            f"sort takes operands of one shape, got {' and '.join(map(str, operands))}",
            hint="broadcast them to one shape",
        )
    if not 0 <= dimension < max(first.ndim, 1):
        raise AxisError(f"sort along axis {dimension} of {first}: axes go from 0 to {first.ndim - 1}")
    if not first.ndim:
        raise AxisError(f"sort of {first}, which has no axes", hint="use x.reshape(1)")
    if not 1 <= num_keys <= len(operands):
        raise ArgumentError(
            f"num_keys={num_keys} of {len(operands)} operands", hint="it counts the first operands"
        )
    return list(operands)


def _sort_jvp(primals: Sequence[Any], tangents: Sequence[Any], **params: Any) -> tuple[Any, Any]:
    axis = params["dimension"]
    shape = type_of(primals[0]).shape
    *outs, order = ops.apply("sort", *primals, ops.iota(dtypes.int64, shape, axis), **params)
    moved = [
        Zero(type_of(o).tangent()) if t.__class__ is Zero else along(t, order, axis)
        for o, t in zip(outs, tangents)
    ]
    return outs, moved


def _sort_batch(
    size: int, operands: Sequence[Any], axes: Sequence[int | None], /, *, dimension: int, **params: Any
) -> tuple[list[Any], list[int]]:
    moved = [
        ops.broadcast_to(x, (size, *type_of(x).shape)) if a is None else ops.moveaxis(x, a, 0)
        for x, a in zip(operands, axes)
    ]
    return ops.apply("sort", *moved, dimension=dimension + 1, **params), [0] * len(moved)


_sort_all = library_call("sort")
_WITH_KERNELS = (dtypes.float32, dtypes.float64, dtypes.int32, dtypes.int64, dtypes.uint32)
_SMALL, _SHORT = 1024, 32
"""Elements in all up to which a kernel sorts before the library's call is prepared; and the length of lines up to which
it also sorts several operands, of any number of lines, sooner."""


def _lower_sort(
    in_types: Sequence[ArrayType], out_types: Any, *, dimension: int, is_stable: bool, num_keys: int
) -> E.Extern:
    """A kernel for few elements of common dtypes along the last axis, else NumPy."""
    extern = _sort_all(in_types, out_types, dimension=dimension, is_stable=is_stable, num_keys=num_keys)
    first = in_types[0]
    length = first.shape[dimension]
    if num_keys > 1 or dimension != first.ndim - 1 or any(t.dtype not in _WITH_KERNELS for t in in_types):
        return extern
    if first.size > _SMALL and (length > _SHORT or len(in_types) == 1):
        return extern
    positions = array_type(first.shape, dtypes.int32)
    settings = (math.prod(first.shape[:-1]), length)
    return E.Routine(extern.name, extern.attributes, "sort", settings, scratch=(positions, positions))


def _sort_samples() -> Iterable[Sample]:
    one = {"dimension": 0, "is_stable": True, "num_keys": 1}
    for dtype in (*_ORDERED, *dtypes.COMPLEX):
        live = (0,) if dtypes.is_inexact(dtype) else ()
        yield Sample((draw(7, dtype=dtype),), one, live, dtypes.name(dtype))
    for shape, axis in (((2, 5), 1), ((4, 3), 0), ((1, 1), 0), ((0,), 0)):
        yield Sample((draw(*shape),), {**one, "dimension": axis}, (0,), f"{shape} along {axis}")
    for dtype in (dtypes.int8, dtypes.float32, dtypes.float64):
        pair = (draw(2, 6, dtype=dtype), draw(2, 6, dtype=dtypes.float64))
        live = (0, 1) if dtypes.is_inexact(dtype) else (1,)
        yield Sample(pair, {**one, "dimension": 1}, live, f"with values, {dtypes.name(dtype)}")
    pair = (draw(3, 70, dtype=dtypes.float32), draw(3, 70, dtype=dtypes.int32))
    yield Sample(pair, {**one, "dimension": 1}, (0,), "several runs")
    three = (draw(8, dtype=dtypes.int8), draw(8, dtype=dtypes.int32), draw(8))
    yield Sample(three, {**one, "num_keys": 2}, (2,), "two keys")


sort_p = Primitive(
    name="sort",
    type_rule=_sort_type,
    evaluate=_evaluate_sort,
    jvp=_sort_jvp,
    transpose=None,
    batch=_sort_batch,
    lower=_lower_sort,
    samples=_sort_samples,
    workspace=_sort_workspace,
    multiple_results=True,
)


# ------------------------------------------------------------------------------------------------ top_k
def _evaluate_top_k(xp: Any, x: np.ndarray, *, k: int) -> list[np.ndarray]:
    """The largest k along the last axis; of equal ones, those that come first. NaN counts as largest."""
    unsigned = _as_unsigned(x)
    if unsigned is None:
        backwards = xp.flip(xp.argsort(xp.flip(x, -1), axis=-1, kind="stable"), -1)[..., :k]
        order = x.shape[-1] - 1 - backwards
    else:
        words = (~unsigned).astype(np.uint64) << np.uint64(32) | np.arange(x.shape[-1], dtype=np.uint64)
        if 0 < 16 * k < x.shape[-1]:
            words = _with_smallest(xp, words, k)
        if 0 < k < words.shape[-1]:
            words = xp.partition(words, k - 1, axis=-1)
        words = xp.sort(words[..., :k], axis=-1)
        order = words & np.uint64(0xFFFFFFFF)
    order = order.astype(np.int64)
    return [xp.take_along_axis(x, order, axis=-1), order.astype(np.int32)]


def _with_smallest(xp: Any, words: np.ndarray, k: int) -> np.ndarray:
    """Along the last axis some of `words` (all different), the k smallest among them.

    They lie in the k groups with the smallest minima: each group with a smaller minimum has one of them.
    """
    length = words.shape[-1]
    groups = math.isqrt(length * k)
    whole = length // groups * groups
    grouped = words[..., :whole].reshape(*words.shape[:-1], whole // groups, groups)
    best = xp.argpartition(grouped.min(axis=-2), k - 1, axis=-1)[..., None, :k]
    chosen = xp.take_along_axis(grouped, best, axis=-1)
    chosen = chosen.reshape(*words.shape[:-1], -1)
    return xp.concatenate([chosen, words[..., whole:]], axis=-1)


def _top_k_type(x: ArrayType, *, k: int) -> list[ArrayType]:
    if not x.ndim:
        raise AxisError(f"top_k of {x}, which has no axes", hint="use x.reshape(1)")
    if not 0 <= k <= x.shape[-1]:
        raise ArgumentError(
            f"top_k of {x} with k={k}: the last axis has {x.shape[-1]} elements",
            hint="k lies between 0 and that length; transpose first to search another axis",
        )
    if x.dtype not in _ORDERED:
        raise DTypeError(f"top_k is not defined for {x}", hint="complex numbers have no order: use abs(x)")
    shape = (*x.shape[:-1], k)
    return [array_type(shape, x.dtype, x.weak), array_type(shape, dtypes.int32)]


def _top_k_jvp(primals: Sequence[Any], tangents: Sequence[Any], *, k: int) -> tuple[Any, Any]:
    (x,), (t,) = primals, tangents
    values, order = ops.apply("top_k", x, k=k)
    axis = type_of(x).ndim - 1
    moved = Zero(type_of(values).tangent()) if t.__class__ is Zero else along(t, order, axis)
    return [values, order], [moved, Zero(type_of(order).tangent())]


def _top_k_batch(size: int, operands: Sequence[Any], axes: Sequence[int | None], /, *, k: int):
    (x,), (axis,) = operands, axes
    return ops.apply("top_k", ops.moveaxis(x, axis or 0, 0), k=k), [0, 0]


_search_all = library_call("top_k")
_FEW = 256
"""Results of a line up to which a kernel that keeps them in order is faster than partitions of the line."""


def _lower_top_k(in_types: Any, out_types: Any, *, k: int) -> E.Extern:
    """A kernel for few results and common dtypes, else NumPy."""
    extern = _search_all(in_types, out_types, k=k)
    shape, dtype = in_types[0].shape, in_types[0].dtype
    if k > _FEW or dtype not in _WITH_KERNELS:
        return extern
    return E.Routine(extern.name, extern.attributes, "top_k", (math.prod(shape[:-1]), shape[-1], k))


def _top_k_samples() -> Iterable[Sample]:
    for dtype in _ORDERED:
        live = (0,) if dtypes.is_inexact(dtype) else ()
        yield Sample((draw(9, dtype=dtype),), {"k": 4}, live, dtypes.name(dtype))
    for shape, k in (((2, 5), 5), ((3, 4), 1), ((2, 3), 0), ((1, 1), 1), ((2, 70), 3)):
        yield Sample((draw(*shape),), {"k": k}, (0,), f"{shape}, {k}")


top_k_p = Primitive(
    name="top_k",
    type_rule=_top_k_type,
    evaluate=_evaluate_top_k,
    jvp=_top_k_jvp,
    transpose=None,
    batch=_top_k_batch,
    lower=_lower_top_k,
    samples=_top_k_samples,
    multiple_results=True,
)

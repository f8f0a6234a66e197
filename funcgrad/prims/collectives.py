"""Operations over a batch axis that vmap has named: sums, extremes, gathers, exchanges, the position.

Inside the vmap that declares the name, `collective` turns each into ordinary operations on the batch axis;
elsewhere the primitive stays in the graph. Owns no lookup of names: that an axis is in scope is checked by
the faces.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from funcgrad import dtypes
from funcgrad.errors import AxisNameError, ShapeError
from funcgrad.ir.primitive import Primitive, Sample, Zero
from funcgrad.ir.types import ArrayType, array_type
from funcgrad.prims.registry import linear_jvp, transpose_linear, zero_jvp
from funcgrad.trace import ops
from funcgrad.trace.core import type_of

Rule = Callable[..., Any]
BatchAxes = Sequence[Any]
"""An int for each operand, or None where it has no batch axis."""


def _evaluate(xp: Any, *arrays: Any, axis_name: Any, **params: Any) -> Any:
    raise AxisNameError(
        f"no surrounding vmap declares an axis named {axis_name!r}",
        hint=f"write vmap(f, axis_name={axis_name!r})",
    )


def _no_samples() -> Iterable[Sample]:
    """Their meaning needs a surrounding vmap, which a single call of a primitive does not have."""
    return ()


def _same_type(operand: ArrayType, *, axis_name: Any) -> ArrayType:
    return operand.strong()


def _batch_in_place(name: str) -> Rule:
    """Over another axis than the named one: that axis goes along."""

    def batch(size: int, operands: Sequence[Any], batch_axes: BatchAxes, /, *, axis_name: Any):
        return ops.apply(name, operands[0], axis_name=axis_name), batch_axes[0]

    return batch


def _reduction(name: str, reduce: Rule, unbatched: Rule, jvp: Rule, transpose: Rule | None) -> Primitive:
    def collective(size: int, operands: Sequence[Any], batch_axes: BatchAxes, /, *, axis_name: Any):
        (x,), (axis,) = operands, batch_axes
        return (unbatched(x, size) if axis is None else reduce(x, (axis,))), None

    return Primitive(
        name=name,
        type_rule=_same_type,
        evaluate=_evaluate,
        jvp=jvp,
        transpose=transpose,
        batch=_batch_in_place(name),
        lower=None,
        samples=_no_samples,
        collective=collective,
    )


def _jvp_of_extreme(name: str) -> Rule:
    """The tangent of the extreme element; the mean of the tangents where several are extreme."""

    def jvp(primals: Sequence[Any], tangents: Sequence[Any], *, axis_name: Any):
        (x,), (tangent,) = primals, tangents
        out = ops.apply(name, x, axis_name=axis_name)
        if tangent.__class__ is Zero:
            return out, Zero(type_of(out).tangent())
        extreme = ops.convert(ops.eq(x, out), type_of(tangent).dtype)
        total = ops.apply("psum", ops.mul(tangent, extreme), axis_name=axis_name)
        return out, ops.div(total, ops.apply("psum", extreme, axis_name=axis_name))

    return jvp


def _times(x: Any, size: int) -> Any:
    return ops.mul(x, type_of(x).dtype.type(size))


psum_p = _reduction(
    "psum",
    ops.reduce_sum,
    _times,
    linear_jvp("psum"),
    transpose_linear(lambda ct, operand, axis_name: ops.apply("psum", ct, axis_name=axis_name)),
)
"""The sum over the named axis."""
pmax_p = _reduction("pmax", ops.reduce_max, lambda x, size: x, _jvp_of_extreme("pmax"), None)
"""The largest over the named axis."""
pmin_p = _reduction("pmin", ops.reduce_min, lambda x, size: x, _jvp_of_extreme("pmin"), None)
"""The smallest over the named axis."""


# axis_index: the position along the named axis.
def _index_type(*, axis_name: Any) -> ArrayType:
    return array_type((), dtypes.int32)


def _index_collective(size: int, operands: Sequence[Any], batch_axes: BatchAxes, /, *, axis_name: Any):
    return ops.iota(dtypes.int32, (int(size),), 0), 0


axis_index_p = Primitive(
    name="axis_index",
    type_rule=_index_type,
    evaluate=_evaluate,
    jvp=zero_jvp("axis_index"),
    transpose=None,
    batch=lambda size, operands, batch_axes, /, *, axis_name: (
        ops.apply("axis_index", axis_name=axis_name),
        None,
    ),
    lower=None,
    samples=_no_samples,
    collective=_index_collective,
)


# all_gather: every example gets the arrays of all, along a new axis.
def _gather_type(operand: ArrayType, *, axis_name: Any, axis: int, size: int) -> ArrayType:
    return operand.strong().with_shape((*operand.shape[:axis], size, *operand.shape[axis:]))


def _gather_batch(size: int, operands: Sequence[Any], batch_axes: BatchAxes, /, *, axis: int, **params: Any):
    moved = ops.moveaxis(operands[0], batch_axes[0], 0)
    return ops.apply("all_gather", moved, axis=axis + 1, **params), 0


def _gather_collective(
    batch_size: int,
    operands: Sequence[Any],
    batch_axes: BatchAxes,
    /,
    *,
    axis_name: Any,
    axis: int,
    size: int,
):
    (x,), (own,) = operands, batch_axes
    if own is not None:
        return ops.moveaxis(x, own, axis), None
    shape = list(type_of(x).shape)
    shape.insert(axis, size)
    return ops.broadcast_in_dim(x, shape, [d for d in range(len(shape)) if d != axis]), None


def _gather_transpose(ct: Any, operand: ArrayType, *, axis_name: Any, axis: int, size: int) -> Any:
    """Each example's part of the sum of all cotangents."""
    total = ops.apply("psum", ct, axis_name=axis_name)
    starts = [dtypes.int32.type(0)] * (operand.ndim + 1)
    starts[axis] = ops.apply("axis_index", axis_name=axis_name)
    sizes = (*operand.shape[:axis], 1, *operand.shape[axis:])
    return ops.reshape(ops.dynamic_slice(total, starts, sizes), operand.shape)


all_gather_p = Primitive(
    name="all_gather",
    type_rule=_gather_type,
    evaluate=_evaluate,
    jvp=linear_jvp("all_gather"),
    transpose=transpose_linear(_gather_transpose),
    batch=_gather_batch,
    lower=None,
    samples=_no_samples,
    collective=_gather_collective,
)


# all_to_all: each example's slices along one axis go to the examples of their number.
def _exchange_type(operand: ArrayType, *, axis_name: Any, split_axis: int, concat_axis: int, size: int):
    if operand.shape[split_axis] != size:
        raise ShapeError(
            f"all_to_all splits axis {split_axis} of {operand} over the {size} examples of {axis_name!r}",
            hint="that axis has to have as many elements as there are examples",
        )
    shape = list(operand.shape)
    shape.insert(concat_axis, shape.pop(split_axis))
    return operand.strong().with_shape(tuple(shape))


def _exchange_batch(
    batch_size: int,
    operands: Sequence[Any],
    batch_axes: BatchAxes,
    /,
    *,
    split_axis: int,
    concat_axis: int,
    **params: Any,
):
    moved = ops.moveaxis(operands[0], batch_axes[0], 0)
    out = ops.apply("all_to_all", moved, split_axis=split_axis + 1, concat_axis=concat_axis + 1, **params)
    return out, 0


def _exchange_collective(
    batch_size: int,
    operands: Sequence[Any],
    batch_axes: BatchAxes,
    /,
    *,
    axis_name: Any,
    split_axis: int,
    concat_axis: int,
    size: int,
):
    (x,), (own,) = operands, batch_axes
    if own is None:
        x, own = ops.broadcast_to(x, (size, *type_of(x).shape)), 0
    first = ops.moveaxis(x, own, 0)  # examples, then the array's own axes
    order = [d for d in range(1, type_of(x).ndim) if d != split_axis + 1]
    order.insert(concat_axis, 0)
    return ops.transpose(first, [split_axis + 1, *order]), 0


all_to_all_p = Primitive(
    name="all_to_all",
    type_rule=_exchange_type,
    evaluate=_evaluate,
    jvp=linear_jvp("all_to_all"),
    transpose=transpose_linear(
        lambda ct, operand, axis_name, split_axis, concat_axis, size: ops.apply(
            "all_to_all", ct, axis_name=axis_name, split_axis=concat_axis, concat_axis=split_axis, size=size
        )
    ),
    batch=_exchange_batch,
    lower=None,
    samples=_no_samples,
    collective=_exchange_collective,
)


# ppermute: examples pass their arrays on; who gets none gets zeros.
def _permute_type(operand: ArrayType, *, axis_name: Any, perm: tuple[tuple[int, int], ...]) -> ArrayType:
    return operand.strong()


def _permute_batch(
    size: int, operands: Sequence[Any], batch_axes: BatchAxes, /, **params: Any
) -> tuple[Any, int | None]:
    return ops.apply("ppermute", operands[0], **params), batch_axes[0]


def _permute_collective(
    size: int,
    operands: Sequence[Any],
    batch_axes: BatchAxes,
    /,
    *,
    axis_name: Any,
    perm: tuple[tuple[int, int], ...],
):
    (x,), (own,) = operands, batch_axes
    x = ops.broadcast_to(x, (size, *type_of(x).shape)) if own is None else ops.moveaxis(x, own, 0)
    sources = {target: source for source, target in perm}
    t = type_of(x)
    empty = ops.full((1, *t.shape[1:]), 0, t.dtype)
    rows = [
        ops.slice_in_dim(x, sources[i], sources[i] + 1) if i in sources else empty for i in range(int(size))
    ]
    return ops.concatenate(rows, 0), 0


ppermute_p = Primitive(
    name="ppermute",
    type_rule=_permute_type,
    evaluate=_evaluate,
    jvp=linear_jvp("ppermute"),
    transpose=transpose_linear(
        lambda ct, operand, axis_name, perm: ops.apply(
            "ppermute", ct, axis_name=axis_name, perm=tuple([(b, a) for a, b in perm])
        )
    ),
    batch=_permute_batch,
    lower=None,
    samples=_no_samples,
    collective=_permute_collective,
)

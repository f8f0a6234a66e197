"""`dot_general`: contraction with batch dimensions, as in XLA. Output axes: batch, lhs free, rhs free."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from funcgrad import dtypes
from funcgrad.errors import AxisError, DTypeError, ShapeError
from funcgrad.ir import expr as E
from funcgrad.ir.primitive import Primitive, Sample, Zero
from funcgrad.ir.types import ArrayType, array_type
from funcgrad.prims.registry import is_linear
from funcgrad.prims.samples import draw
from funcgrad.trace import ops
from funcgrad.trace.core import type_of

Numbers = tuple[tuple[tuple[int, ...], tuple[int, ...]], tuple[tuple[int, ...], tuple[int, ...]]]


def _free(ndim: int, contract: Sequence[int], batch: Sequence[int]) -> list[int]:
    return [d for d in range(ndim) if d not in contract and d not in batch]


def _dot_type(
    lhs: ArrayType, rhs: ArrayType, *, dimension_numbers: Numbers, preferred_element_type: np.dtype | None
) -> ArrayType:
    (lc, rc), (lb, rb) = dimension_numbers
    both = f"dot_general of {lhs} and {rhs}"
    if lhs.dtype != rhs.dtype:
        raise DTypeError(
            f"{both}: operands need one dtype",
            hint="convert one of them with .astype(...), or use funcgrad.numpy.matmul",
        )
    if len(lc) != len(rc) or len(lb) != len(rb):
        raise ShapeError(
            f"{both}: axes {lc} and {rc} are to be contracted, and {lb} and {rb} batched",
            hint="name as many axes of lhs as of rhs",
        )
    for t, contract, batch in ((lhs, lc, lb), (rhs, rc, rb)):
        named = (*contract, *batch)
        if len(set(named)) != len(named) or any(not 0 <= d < t.ndim for d in named):
            raise AxisError(f"{both}: axes {contract} and {batch} are not distinct axes of {t}")
    for what, left, right in (("contracted", lc, rc), ("batch", lb, rb)):
        a, b = [lhs.shape[d] for d in left], [rhs.shape[d] for d in right]
        if a != b:
            raise ShapeError(
                f"{both}: {what} axes {tuple(left)} and {tuple(right)} have lengths {a} and {b}",
                hint="they have to be equal; in a product of matrices the last axis of the first meets the "
                "second-to-last of the second: is one of them transposed?",
            )
    shape = [lhs.shape[d] for d in lb]
    shape += [lhs.shape[d] for d in _free(lhs.ndim, lc, lb)]
    shape += [rhs.shape[d] for d in _free(rhs.ndim, rc, rb)]
    dtype = preferred_element_type or lhs.dtype
    return array_type(tuple(shape), dtype, lhs.weak and rhs.weak and preferred_element_type is None)


def _evaluate_dot(
    xp: Any, lhs: Any, rhs: Any, *, dimension_numbers: Numbers, preferred_element_type: np.dtype | None
) -> Any:
    (lc, rc), (lb, rb) = dimension_numbers
    lf, rf = _free(lhs.ndim, lc, lb), _free(rhs.ndim, rc, rb)
    out_dtype = preferred_element_type or lhs.dtype
    wide = dtypes.compute_dtype(dtypes.promote_dtypes(lhs.dtype, out_dtype))
    lhs, rhs = lhs.astype(wide, copy=False), rhs.astype(wide, copy=False)
    batch = [lhs.shape[d] for d in lb]
    rows, columns = [lhs.shape[d] for d in lf], [rhs.shape[d] for d in rf]
    inner = math.prod(lhs.shape[d] for d in lc)
    a = xp.transpose(lhs, [*lb, *lf, *lc]).reshape((*batch, math.prod(rows), inner))
    b = xp.transpose(rhs, [*rb, *rc, *rf]).reshape((*batch, inner, math.prod(columns)))
    with np.errstate(all="ignore"):
        out = xp.matmul(a, b)
    return out.reshape((*batch, *rows, *columns)).astype(out_dtype, copy=False)


def _dot_jvp(primals: Sequence[Any], tangents: Sequence[Any], **params: Any) -> tuple[Any, Any]:
    lhs, rhs = primals
    out = ops.apply("dot_general", lhs, rhs, **params)
    total: Any = Zero(type_of(out).tangent())
    if tangents[0].__class__ is not Zero:
        total = ops.apply("dot_general", tangents[0], rhs, **params)
    if tangents[1].__class__ is not Zero:
        total = ops.add_cotangents(total, ops.apply("dot_general", lhs, tangents[1], **params))
    return out, total


def _transpose_lhs(ct: Any, lhs: ArrayType, rhs: Any, numbers: Numbers, swapped: bool = False) -> Any:
    """The cotangent of the first operand (of the second, with both swapped)."""
    (lc, rc), (lb, rb) = numbers
    rhs_ndim = type_of(rhs).ndim
    lf, rf = _free(lhs.ndim, lc, lb), _free(rhs_ndim, rc, rb)
    count = len(lb)
    if swapped:  # the output has rhs free axes before lhs free ones
        ct_rf = range(count, count + len(rf))
    else:
        ct_rf = range(count + len(lf), count + len(lf) + len(rf))
    out = ops.dot_general(ct, rhs, ((tuple(ct_rf), tuple(rf)), (tuple(range(count)), tuple(rb))), lhs.dtype)
    # out axes: batch, lhs free, then the contracted axes of rhs in their order of position
    contracted = [lc[rc.index(d)] for d in sorted(rc)]
    have = [*lb, *lf, *contracted]
    return ops.transpose(out, [have.index(d) for d in range(lhs.ndim)])


def _dot_transpose(
    ct: Any, lhs: Any, rhs: Any, *, dimension_numbers: Numbers, preferred_element_type: np.dtype | None
) -> list[Any]:
    if is_linear(lhs):
        ct = ops.convert(ct, type_of(rhs).dtype)
        return [_transpose_lhs(ct, lhs.type, rhs, dimension_numbers), None]
    (lc, rc), (lb, rb) = dimension_numbers
    ct = ops.convert(ct, type_of(lhs).dtype)
    return [None, _transpose_lhs(ct, rhs.type, lhs, ((rc, lc), (rb, lb)), swapped=True)]


def _dot_batch(
    size: int,
    operands: Sequence[Any],
    axes: Sequence[int | None],
    /,
    *,
    dimension_numbers: Numbers,
    preferred_element_type: np.dtype | None,
) -> tuple[Any, int]:
    (lhs, rhs), (la, ra) = operands, axes
    (lc, rc), (lb, rb) = dimension_numbers

    def shift(dims: Sequence[int], axis: int | None) -> tuple[int, ...]:
        return tuple(dims) if axis is None else tuple([d + (d >= axis) for d in dims])

    contract = (shift(lc, la), shift(rc, ra))
    batch = (shift(lb, la), shift(rb, ra))
    if la is not None and ra is not None:
        batch = ((la, *batch[0]), (ra, *batch[1]))
        axis = 0
    elif la is not None:  # one more free axis of lhs
        free = _free(type_of(lhs).ndim, contract[0], batch[0])
        axis = len(lb) + free.index(la)
    else:
        assert ra is not None
        free = _free(type_of(rhs).ndim, contract[1], batch[1])
        axis = len(lb) + (type_of(lhs).ndim - len(lc) - len(lb)) + free.index(ra)
    return ops.dot_general(lhs, rhs, (contract, batch), preferred_element_type), axis


def _lower_dot(
    in_types: Any, out_types: Any, *, dimension_numbers: Numbers, preferred_element_type: Any
) -> E.Dot:
    (lc, rc), (lb, rb) = dimension_numbers
    return E.Dot(tuple(lc), tuple(rc), tuple(lb), tuple(rb))


def _dot_samples() -> Iterable[Sample]:
    matmul: Numbers = (((1,), (0,)), ((), ()))
    for dtype in (d for d in dtypes.ALL if not dtypes.is_bool(d)):
        operands = (draw(2, 3, dtype=dtype), draw(3, 4, dtype=dtype))
        moving = (0, 1) if dtypes.is_inexact(dtype) else ()
        yield Sample(
            operands,
            {"dimension_numbers": matmul, "preferred_element_type": None},
            moving,
            dtypes.name(dtype),
        )
    cases: list[tuple[tuple[int, ...], tuple[int, ...], Numbers]] = [
        ((3,), (3,), (((0,), (0,)), ((), ()))),
        ((3,), (4,), (((), ()), ((), ()))),
        ((2, 3, 4), (2, 4, 5), (((2,), (1,)), ((0,), (0,)))),
        ((4, 2, 3), (5, 4, 2), (((0,), (1,)), ((1,), (2,)))),
        ((2, 3, 4), (4, 3, 5), (((1, 2), (1, 0)), ((), ()))),
        ((0, 3), (3, 2), matmul),
        ((2, 0), (0, 2), matmul),
    ]
    for a, b, numbers in cases:
        yield Sample(
            (draw(*a), draw(*b)), {"dimension_numbers": numbers, "preferred_element_type": None}, (0, 1)
        )
    yield Sample(
        (draw(2, 3, dtype=dtypes.bfloat16), draw(3, 2, dtype=dtypes.bfloat16)),
        {"dimension_numbers": matmul, "preferred_element_type": dtypes.float32},
        (),
        "bf16 to f32",
    )


dot_general_p = Primitive(
    name="dot_general",
    type_rule=_dot_type,
    evaluate=_evaluate_dot,
    jvp=_dot_jvp,
    transpose=_dot_transpose,
    batch=_dot_batch,
    lower=_lower_dot,
    samples=_dot_samples,
)

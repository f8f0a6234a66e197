"""Elementwise comparisons, logic, bits, and choice."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from funcgrad import dtypes
from funcgrad.errors import DTypeError, ShapeError
from funcgrad.ir import expr as E
from funcgrad.ir.primitive import Primitive, Sample, Zero
from funcgrad.ir.types import ArrayType, array_type
from funcgrad.prims.registry import FIXED, elementwise, is_linear, keeps_type, numpy_ufunc
from funcgrad.prims.samples import binary_samples, draw, draw_integers, unary_samples
from funcgrad.trace import ops
from funcgrad.trace.core import type_of

_BITS = (dtypes.bool_, *dtypes.INTEGERS)
_ORDERED = (dtypes.bool_, *dtypes.INTEGERS, *dtypes.FLOATS)


def _comparison(name: str, ufunc: str, accepts: Sequence[np.dtype] = _ORDERED) -> Primitive:
    return elementwise(
        name,
        lambda xp, x, y: getattr(xp, ufunc)(x, y),
        FIXED,
        accepts=accepts,
        result=lambda dtype: dtypes.bool_,
        samples=binary_samples(accepts),
    )


eq_p, ne_p = _comparison("eq", "equal", dtypes.ALL), _comparison("ne", "not_equal", dtypes.ALL)
lt_p, le_p = _comparison("lt", "less"), _comparison("le", "less_equal")
gt_p, ge_p = _comparison("gt", "greater"), _comparison("ge", "greater_equal")


def _bitwise(name: str, ufunc: str) -> Primitive:
    return elementwise(name, numpy_ufunc(ufunc), accepts=_BITS, samples=binary_samples(_BITS))


and_p, or_p, xor_p = (
    _bitwise("and", "bitwise_and"),
    _bitwise("or", "bitwise_or"),
    _bitwise("xor", "bitwise_xor"),
)
not_p = elementwise("not", numpy_ufunc("invert"), accepts=_BITS, samples=unary_samples(_BITS))


# Shifts by the number of bits or more give zero (or copies of the top bit), as in XLA; negative shifts count
# as such. An arithmetic shift takes the top bit of unsigned integers, too, for a sign.
def _shift(xp: Any, x: Any, y: Any, signed: bool, left: bool) -> Any:
    bits = 8 * x.dtype.itemsize
    kind = np.dtype(f"{'i' if signed else 'u'}{x.dtype.itemsize}")
    amount = xp.asarray(y).view(f"u{x.dtype.itemsize}")
    too_far, raw = amount >= bits, xp.asarray(x).view(kind)
    shift = xp.left_shift if left else xp.right_shift
    shifted = shift(raw, xp.where(too_far, bits - 1, amount).astype(kind))
    return (shifted if signed else xp.where(too_far, kind.type(0), shifted)).view(x.dtype)


def _shift_samples() -> Iterable[Sample]:
    for dtype in dtypes.INTEGERS:
        yield Sample((draw(3, dtype=dtype), draw_integers(0, 9, 3, dtype=dtype)), {}, (), dtypes.name(dtype))


def _define_shift(name: str, signed: bool, left: bool) -> Primitive:
    return elementwise(
        name,
        lambda xp, x, y: _shift(xp, x, y, signed, left),
        accepts=dtypes.INTEGERS,
        samples=_shift_samples,
    )


shift_left_p = _define_shift("shift_left", False, True)
shift_right_arithmetic_p = _define_shift("shift_right_arithmetic", True, False)
shift_right_logical_p = _define_shift("shift_right_logical", False, False)


def _evaluate_clz(xp: Any, x: Any) -> Any:
    bits = 8 * x.dtype.itemsize
    value = np.asarray(x).view(np.dtype(f"u{x.dtype.itemsize}")).astype(np.uint64)
    count = xp.zeros(value.shape, np.int64)
    for step in (32, 16, 8, 4, 2, 1):
        high = value >= (1 << step)
        count = count + xp.where(high, step, 0)
        value = xp.where(high, value >> np.uint64(step), value)
    return xp.where(value == 0, bits, bits - 1 - count).astype(x.dtype)


def _evaluate_population_count(xp: Any, x: Any) -> Any:
    octets = xp.ascontiguousarray(x).reshape(-1, 1).view(np.uint8)
    return xp.unpackbits(octets, axis=-1).sum(-1, dtype=x.dtype).reshape(x.shape)


population_count_p = elementwise(
    "population_count",
    _evaluate_population_count,
    accepts=dtypes.INTEGERS,
    samples=unary_samples(dtypes.INTEGERS),
)
clz_p = elementwise("clz", _evaluate_clz, accepts=dtypes.INTEGERS, samples=unary_samples(dtypes.INTEGERS))


def _evaluate_is_finite(xp: Any, x: Any) -> Any:
    return xp.isfinite(x.astype(dtypes.compute_dtype(x.dtype)))


is_finite_p = elementwise(
    "is_finite",
    _evaluate_is_finite,
    FIXED,
    accepts=dtypes.FLOATS,
    result=lambda dtype: dtypes.bool_,
    samples=unary_samples(dtypes.FLOATS),
)


# select_n(which, *cases): element by element the case of that number; `which` is bool (of two) or integer.
def _select_type(which: ArrayType, *cases: ArrayType) -> ArrayType:
    if not cases:
        raise ShapeError("select_n needs at least one case")
    first, shape = cases[0], which.shape
    if which.dtype not in (dtypes.bool_, dtypes.int32, dtypes.int64):
        raise DTypeError(
            f"select_n chooses by a boolean or an int32 or int64, got {which}",
            hint="compare first, for example with x != 0",
        )
    if dtypes.is_bool(which.dtype) and len(cases) > 2:
        raise DTypeError(f"select_n with a boolean chooses between two cases, got {len(cases)}")
    for t in cases:
        if t.dtype != first.dtype:
            raise DTypeError(f"select_n takes cases of one dtype, got {' and '.join(map(str, cases))}")
        if t.shape and shape and t.shape != shape:
            raise ShapeError(
                "select_n takes operands of one shape (or scalars), got "
                + " and ".join(map(str, (which, *cases))),
                hint="use funcgrad.numpy.where, which broadcasts, or broadcast_to one of them",
            )
        shape = t.shape or shape
    return array_type(shape, first.dtype, all(t.weak for t in cases))


MANY = 1 << 12
"""Elements from which on a choice is faster by bits: NumPy's `where` takes a branch for each."""


def _choose(xp: Any, which: Any, on_true: Any, on_false: Any) -> Any:
    """`where(which, on_true, on_false)` of arrays of one dtype."""
    which = which if which.dtype == dtypes.bool_ else which != 0
    itemsize = on_true.dtype.itemsize
    if which.size < MANY or itemsize > 8 or xp is not np:
        return xp.where(which, on_true, on_false)
    word = np.dtype(f"i{itemsize}")
    bits, other = on_true.view(word), on_false.view(word)
    everywhere = np.negative(which.view(np.int8)).astype(word)
    chosen = (bits ^ other) & everywhere
    chosen ^= other
    return chosen.view(on_true.dtype)


def _evaluate_select(xp: Any, which: Any, *cases: Any) -> Any:
    if len(cases) == 1:
        return xp.broadcast_to(cases[0], np.broadcast_shapes(xp.shape(which), xp.shape(cases[0])))
    if len(cases) == 2:
        return _choose(xp, which, cases[1], cases[0])
    result = cases[-1]
    for number in range(len(cases) - 2, -1, -1):
        result = xp.where(which <= number, cases[number], result)
    return result


def _select_jvp(primals: Sequence[Any], tangents: Sequence[Any]) -> tuple[Any, Any]:
    which, *cases = primals
    out = ops.apply("select_n", which, *cases)
    moving = tangents[1:]
    if all(t.__class__ is Zero for t in moving):
        return out, Zero(type_of(out).tangent())
    scalar_zero = type_of(out).dtype.type(0)
    given = [scalar_zero if t.__class__ is Zero else t for t in moving]
    return out, ops.broadcast_to(ops.apply("select_n", which, *given), type_of(out).shape)


def _select_transpose(ct: Any, which: Any, *cases: Any) -> list[Any]:
    zero = type_of(ct).dtype.type(0)
    result: list[Any] = [None]
    for number, case in enumerate(cases):
        if not is_linear(case):
            result.append(None)
            continue
        chosen = [zero] * len(cases)
        chosen[number] = ct
        result.append(ops.fit(ops.apply("select_n", which, *chosen), case.type.shape))
    return result


def _lower_select(in_types: Sequence[ArrayType], out_types: Any) -> E.Map:
    out = E.one_type(out_types)
    which, *cases = [E.read_all(k, t, out.ndim) for k, t in enumerate(in_types)]
    if len(cases) == 1:
        return E.Map(cases[0])
    if dtypes.is_bool(in_types[0].dtype):
        return E.Map(E.select(which, cases[1], cases[0], out.dtype))
    result: Any = cases[-1]
    for number in range(len(cases) - 2, -1, -1):
        chosen = E.op("le", which, E.const(number, in_types[0].dtype), dtype=dtypes.bool_)
        result = E.select(chosen, cases[number], result, out.dtype)
    return E.Map(result)


def _simplify_select(equation: Any, definitions: Any) -> Any:
    """A choice between equal cases is no choice."""
    _, first, *others = equation.inputs
    return [first] if all(c is first for c in others) and keeps_type(equation, first) else None


def _select_samples() -> Iterable[Sample]:
    for dtype in dtypes.ALL:
        moving = (1, 2) if dtypes.is_inexact(dtype) else ()
        case = draw(2, 3, dtype=dtype)
        yield Sample((draw(2, 3, dtype=dtypes.bool_), case, case), {}, moving, dtypes.name(dtype))
    f32 = draw(3)
    yield Sample((draw_integers(0, 3, 3, dtype=dtypes.int32), f32, f32, f32), {}, (1, 2, 3), "by number")
    yield Sample((draw(dtype=dtypes.bool_), f32, f32), {}, (1, 2), "scalar choice")
    yield Sample((draw(3, dtype=dtypes.bool_), draw(), f32), {}, (1, 2), "scalar case")


select_n_p = elementwise(
    "select_n",
    _evaluate_select,
    accepts=dtypes.ALL,
    type_rule=_select_type,
    jvp=_select_jvp,
    transpose=_select_transpose,
    lower=_lower_select,
    simplify=_simplify_select,
    samples=_select_samples,
)


# clamp(low, x, high); where low > high it gives high, as min(max(x, low), high) does. On a bound, the output
# moves with the bound.
clamp_p = elementwise(
    "clamp",
    lambda xp, low, x, high: xp.minimum(xp.maximum(x, low), high),
    [
        lambda g, out, low, x, high: ops.select(ops.and_(ops.le(x, low), ops.lt(low, high)), g, 0),
        lambda g, out, low, x, high: ops.select(ops.and_(ops.gt(x, low), ops.lt(x, high)), g, 0),
        lambda g, out, low, x, high: ops.select(ops.ge(ops.max_(x, low), high), g, 0),
    ],
    accepts=(*dtypes.INTEGERS, *dtypes.FLOATS),
    samples=lambda: [
        Sample((draw(3, dtype=d), draw(3, dtype=d, scale=3.0), draw(3, dtype=d)), {}, (), dtypes.name(d))
        for d in (dtypes.float32, dtypes.int32)
    ],
    lower=lambda in_types, out_types: E.Map(
        E.op(
            "min",
            E.op(
                "max",
                E.read_all(1, in_types[1], E.one_type(out_types).ndim),
                E.read_all(0, in_types[0], E.one_type(out_types).ndim),
                dtype=in_types[0].dtype,
            ),
            E.read_all(2, in_types[2], E.one_type(out_types).ndim),
            dtype=in_types[0].dtype,
        )
    ),
)

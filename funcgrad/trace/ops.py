"""The operations as plain functions, for use inside rules and by the faces.

Each binds the primitive of its name. Operands have one dtype already; shapes are equal, except that a scalar
(of rank 0) goes with any shape in an elementwise operation. A Python number takes the dtype of the other
operand. Promotion and general broadcasting are the faces' work.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from funcgrad import dtypes
from funcgrad.ir.primitive import PRIMITIVES, Zero
from funcgrad.ir.types import ArrayType
from funcgrad.trace.core import WEAK_SCALARS, state, type_of

_NUMBERS = frozenset(WEAK_SCALARS)


def apply(name: str, *operands: Any, **params: Any) -> Any:
    """Bind the primitive called `name` in the current trace."""
    return state.trace.apply(PRIMITIVES[name], operands, params)


def same_dtype(*operands: Any) -> tuple[Any, ...]:
    """The operands, with weak numbers in the dtype of the others: weak where those are."""
    for x in operands:
        if x.__class__ in _NUMBERS:
            break
    else:
        return operands
    for x in operands:
        if x.__class__ not in _NUMBERS:
            t = type_of(x)
            make = _weak_kind(t.dtype) if t.weak else t.dtype.type
            return tuple([make(x) if x.__class__ in _NUMBERS else x for x in operands])
    kinds = {x.__class__ for x in operands}
    if len(kinds) > 1:  # numbers of several kinds take the widest
        widest = max(kinds, key=WEAK_SCALARS.index)
        return tuple([widest(x) for x in operands])
    return operands


def _weak_kind(dtype: np.dtype) -> Any:
    """What makes a weak number of this dtype: a kind of Python numbers, where one has it."""
    for kind in (int, float, complex):
        if dtypes.of_python_scalar(kind) == dtype:
            return kind
    return dtype.type


def _unary(name: str):
    def operation(x: Any) -> Any:
        return state.trace.apply(PRIMITIVES[name], (x,), {})

    operation.__name__ = operation.__qualname__ = name
    return operation


def _nary(name: str):
    def operation(*operands: Any) -> Any:
        return state.trace.apply(PRIMITIVES[name], same_dtype(*operands), {})

    operation.__name__ = operation.__qualname__ = name
    return operation


neg, sign, abs_, floor, ceil, is_finite, not_ = map(
    _unary, ("neg", "sign", "abs", "floor", "ceil", "is_finite", "not")
)
exp, exp2, expm1, log, log1p, sqrt, rsqrt, cbrt, square, logistic = map(
    _unary, ("exp", "exp2", "expm1", "log", "log1p", "sqrt", "rsqrt", "cbrt", "square", "logistic")
)
sin, cos, tan, asin, acos, atan = map(_unary, ("sin", "cos", "tan", "asin", "acos", "atan"))
sinh, cosh, tanh, asinh, acosh, atanh = map(_unary, ("sinh", "cosh", "tanh", "asinh", "acosh", "atanh"))
erf, erfc, erf_inv, lgamma, digamma = map(_unary, ("erf", "erfc", "erf_inv", "lgamma", "digamma"))
real, imag, conj, population_count, clz = map(_unary, ("real", "imag", "conj", "population_count", "clz"))
optimization_barrier = _unary("optimization_barrier")

add, sub, mul, div, rem, pow_, max_, min_, atan2, nextafter, complex_ = map(
    _nary, ("add", "sub", "mul", "div", "rem", "pow", "max", "min", "atan2", "nextafter", "complex")
)
and_, or_, xor, shift_left, shift_right_arithmetic, shift_right_logical = map(
    _nary, ("and", "or", "xor", "shift_left", "shift_right_arithmetic", "shift_right_logical")
)
eq, ne, lt, le, gt, ge = map(_nary, ("eq", "ne", "lt", "le", "gt", "ge"))


def integer_pow(x: Any, y: int) -> Any:
    return apply("integer_pow", x, y=y)


def round_(x: Any, rounding_method: int = 0) -> Any:
    """0: half away from zero; 1: half to even."""
    return apply("round", x, rounding_method=rounding_method)


def select(pred: Any, on_true: Any, on_false: Any) -> Any:
    """`on_true` where `pred`, else `on_false`."""
    on_false, on_true = same_dtype(on_false, on_true)
    return apply("select_n", pred, on_false, on_true)


def convert(x: Any, dtype: np.dtype, weak: bool = False) -> Any:
    """`x` in another dtype; itself where it has it already."""
    t = type_of(x)
    if t.dtype == dtype and t.weak == weak:
        return x
    return apply("convert_element_type", x, new_dtype=dtype, weak_type=weak)


def broadcast_in_dim(x: Any, shape: Sequence[int], broadcast_dimensions: Sequence[int]) -> Any:
    if type_of(x).shape == tuple(shape):
        return x
    return apply("broadcast_in_dim", x, shape=tuple(shape), broadcast_dimensions=tuple(broadcast_dimensions))


def broadcast_to(x: Any, shape: Sequence[int]) -> Any:
    """NumPy broadcasting to `shape`, with leading axes added."""
    have, shape = type_of(x).shape, tuple(shape)
    if have == shape:
        return x
    return broadcast_in_dim(x, shape, range(len(shape) - len(have), len(shape)))


def reshape(x: Any, shape: Sequence[int]) -> Any:
    if type_of(x).shape == tuple(shape):
        return x
    return apply("reshape", x, new_sizes=tuple(shape))


def transpose(x: Any, permutation: Sequence[int]) -> Any:
    if tuple(permutation) == tuple(range(len(permutation))):
        return x
    return apply("transpose", x, permutation=tuple(permutation))


def moveaxis(x: Any, source: int, target: int) -> Any:
    rank = type_of(x).ndim
    source, target = source % rank, target % rank
    if source == target:
        return x
    order = list(range(rank))
    order.insert(target, order.pop(source))
    return transpose(x, order)


def expand_dims(x: Any, axes: Sequence[int]) -> Any:
    """`x` with axes of length 1 put in at positions `axes` of the result."""
    shape = list(type_of(x).shape)
    for axis in sorted(axes):
        shape.insert(axis, 1)
    return reshape(x, shape)


def rev(x: Any, dimensions: Sequence[int]) -> Any:
    return apply("rev", x, dimensions=tuple(dimensions))


def slice_(
    x: Any, start_indices: Sequence[int], limit_indices: Sequence[int], strides: Sequence[int] | None = None
) -> Any:
    strides = (1,) * len(tuple(start_indices)) if strides is None else tuple(strides)
    return apply(
        "slice",
        x,
        start_indices=tuple(start_indices),
        limit_indices=tuple(limit_indices),
        strides=strides,
    )


def slice_in_dim(x: Any, start: int, limit: int, stride: int = 1, axis: int = 0) -> Any:
    shape = type_of(x).shape
    starts, limits, strides = [0] * len(shape), list(shape), [1] * len(shape)
    starts[axis], limits[axis], strides[axis] = start, limit, stride
    return slice_(x, starts, limits, strides)


def pad(x: Any, padding_value: Any, padding_config: Sequence[tuple[int, int, int]]) -> Any:
    """Padding by (low, high, interior) on each axis; negative low and high crop."""
    x, padding_value = same_dtype(x, padding_value)
    return apply("pad", x, padding_value, padding_config=tuple(map(tuple, padding_config)))


def concatenate(operands: Sequence[Any], dimension: int) -> Any:
    return apply("concatenate", *operands, dimension=dimension)


def dynamic_slice(x: Any, starts: Sequence[Any], slice_sizes: Sequence[int]) -> Any:
    return apply("dynamic_slice", x, *starts, slice_sizes=tuple(slice_sizes))


def dynamic_update_slice(x: Any, update: Any, starts: Sequence[Any]) -> Any:
    return apply("dynamic_update_slice", x, update, *starts)


def iota(dtype: np.dtype, shape: Sequence[int], dimension: int) -> Any:
    return apply("iota", shape=tuple(shape), dtype=dtype, dimension=dimension)


def reduce_sum(x: Any, axes: Sequence[int]) -> Any:
    return x if not tuple(axes) else apply("reduce_sum", x, axes=tuple(axes))


def reduce_prod(x: Any, axes: Sequence[int]) -> Any:
    return apply("reduce_prod", x, axes=tuple(axes))


def reduce_max(x: Any, axes: Sequence[int]) -> Any:
    return apply("reduce_max", x, axes=tuple(axes))


def reduce_min(x: Any, axes: Sequence[int]) -> Any:
    return apply("reduce_min", x, axes=tuple(axes))


def reduce_and(x: Any, axes: Sequence[int]) -> Any:
    return apply("reduce_and", x, axes=tuple(axes))


def reduce_or(x: Any, axes: Sequence[int]) -> Any:
    return apply("reduce_or", x, axes=tuple(axes))


def argmax(x: Any, axis: int, index_dtype: np.dtype) -> Any:
    return apply("argmax", x, axes=(axis,), index_dtype=index_dtype)


def argmin(x: Any, axis: int, index_dtype: np.dtype) -> Any:
    return apply("argmin", x, axes=(axis,), index_dtype=index_dtype)


def dot_general(
    lhs: Any, rhs: Any, dimension_numbers: Any, preferred_element_type: np.dtype | None = None
) -> Any:
    """Contract and batch: `((lhs contracting, rhs contracting), (lhs batch, rhs batch))` as in XLA."""
    contract, batch = dimension_numbers
    numbers = (tuple(map(tuple, contract)), tuple(map(tuple, batch)))
    return apply(
        "dot_general", lhs, rhs, dimension_numbers=numbers, preferred_element_type=preferred_element_type
    )


def full(shape: Sequence[int], value: Any, dtype: np.dtype) -> Any:
    """An array of `shape` filled with the number `value`."""
    scalar = dtype.type(value)
    return broadcast_in_dim(scalar, tuple(shape), ()) if tuple(shape) else convert(scalar, dtype)


def zeros(type: ArrayType) -> Any:
    """Zeros of a type; of float0 a NumPy array, since nothing computes with it."""
    if type.dtype == dtypes.float0:
        return np.zeros(type.shape, dtypes.float0)
    return full(type.shape, 0, type.dtype)


def materialize(x: Any) -> Any:
    """A symbolic zero as an array of zeros; anything else unchanged."""
    return zeros(x.type) if x.__class__ is Zero else x


def full_like(x: Any, value: Any) -> Any:
    t = type_of(x)
    return full(t.shape, value, t.dtype)


def add_cotangents(a: Any, b: Any) -> Any:
    """The sum of two cotangents of one value; either may be a symbolic zero or None."""
    if a is None or a.__class__ is Zero:
        return b
    if b is None or b.__class__ is Zero:
        return a
    return add(a, b)


def fit(cotangent: Any, shape: tuple[int, ...]) -> Any:
    """The cotangent of an elementwise operand of `shape`: summed over all where the operand was a scalar."""
    have = type_of(cotangent).shape
    if have == shape:
        return cotangent
    return reduce_sum(cotangent, range(len(have)))


def size_of(shape: Sequence[int], axes: Sequence[int]) -> int:
    """The number of elements along `axes`."""
    return math.prod(shape[a] for a in axes)

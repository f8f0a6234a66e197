"""Promotion and broadcasting of operands: what the faces do before they bind strict operations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from funcgrad import dtypes
from funcgrad.array import ArrayMethods
from funcgrad.errors import ArgumentError, DTypeError, ShapeError
from funcgrad.ir.types import ArrayType
from funcgrad.trace import ops
from funcgrad.trace.core import PYTHON_SCALARS, is_operand, operand_hint, type_of


def check_arrays(name: str, *operands: Any) -> tuple[ArrayType, ...]:
    """The types of the operands of the function `name`; DTypeError for one that is no array or number."""
    types = []
    for position, x in enumerate(operands):
        if not is_operand(x):
            kind = type(x).__name__
            raise DTypeError(
                f"{name} takes arrays and numbers; argument {position} is {x!r:.80} of type {kind}",
                hint=operand_hint(x),
            )
        types.append(type_of(x))
    return tuple(types)


def result_dtype(*types: ArrayType) -> tuple[np.dtype, bool]:
    """The dtype to which values of these types promote, and whether it is weak."""
    return dtypes.promote(*[(t.dtype, t.weak) for t in types])


def cast(x: Any, dtype: np.dtype, weak: bool = False) -> Any:
    """`x` in `dtype`. A Python number becomes a NumPy scalar, or stays one where the result is weak."""
    if x.__class__ in PYTHON_SCALARS:
        if weak:
            for kind in (x.__class__, int, float, complex):
                if dtypes.of_python_scalar(kind) == dtype:
                    return kind(x)
        if x.__class__ is int and not dtypes.is_inexact(dtype) and dtype != dtypes.bool_:
            return _wrap(x, dtype)
        return dtype.type(x)
    return ops.convert(x, dtype, weak)


def _wrap(value: int, dtype: np.dtype) -> Any:
    """A Python int as a NumPy integer; OverflowError, as in NumPy, where it does not fit."""
    info = np.iinfo(dtype)
    if not info.min <= value <= info.max:
        raise OverflowError(f"Python integer {value} does not fit into {dtype.name}")
    return dtype.type(value)


def _alike(operands: Sequence[Any]) -> ArrayType | None:
    """The first operand's type, where all are arrays of its dtype and weakness: the usual case."""
    first = None
    for x in operands:
        if not isinstance(x, ArrayMethods):
            return None
        t = x.type
        if first is None:
            first = t
        elif t.dtype != first.dtype or t.weak != first.weak:
            return None
    return first


def promote(name: str, *operands: Any) -> list[Any]:
    """The operands in their common dtype."""
    if _alike(operands) is not None:
        return list(operands)
    dtype, weak = result_dtype(*check_arrays(name, *operands))
    return [cast(x, dtype, weak) for x in operands]


def promote_inexact(name: str, *operands: Any) -> list[Any]:
    """The operands in their common dtype, which is the default float where they are integers or booleans."""
    alike = _alike(operands)
    if alike is not None and dtypes.is_inexact(alike.dtype):
        return list(operands)
    dtype, weak = result_dtype(*check_arrays(name, *operands))
    if not dtypes.is_inexact(dtype):
        dtype = dtypes.default_float()
    return [cast(x, dtype, weak) for x in operands]


def broadcast_shapes(*shapes: Sequence[int]) -> tuple[int, ...]:
    """The shape to which arrays of these shapes broadcast; ShapeError where there is none.

    Raises:
        ShapeError: shapes that do not broadcast.

    >>> import funcgrad.numpy as jnp
    >>> jnp.broadcast_shapes((2, 1), (3,))
    (2, 3)
    """
    rank = max(map(len, shapes), default=0)
    result = [1] * rank
    for shape in shapes:
        for i, n in enumerate(shape, rank - len(shape)):
            if n != 1:
                if result[i] not in (1, n):
                    listed = ", ".join(str(tuple(s)) for s in shapes)
                    raise ShapeError(
                        f"shapes {listed} do not broadcast: axis {i - rank} has lengths {result[i]} and {n}",
                        hint="axes are matched from the last; each pair must be equal or one of them 1. Add an axis "
                        "with x[:, None], or check for a missing transpose",
                    )
                result[i] = n
    return tuple(result)


def broadcast(name: str, operands: Sequence[Any]) -> list[Any]:
    """The operands in one shape. Scalars stay scalars: elementwise operations take them as they are."""
    shapes = [type_of(x).shape for x in operands]
    first = shapes[0]
    if all(s == first or not s for s in shapes) or all(s == shapes[-1] or not s for s in shapes):
        return list(operands)
    try:
        target = broadcast_shapes(*shapes)
    except ShapeError as error:
        listed = " and ".join(str(type_of(x)) for x in operands)
        raise ShapeError(f"{name} got {listed}: {error.what}", hint=error.hint) from None
    return [x if not s else ops.broadcast_to(x, target) for x, s in zip(operands, shapes)]


def in_order(name: str, names: Sequence[str], given: Sequence[Any], named: dict[str, Any]) -> list[Any]:
    """The operands of the function `name`, some of which are given by name; ArgumentError unless each is given once."""
    operands = dict(zip(names, given))
    if len(given) > len(names) or set(named) != set(names) - set(operands):
        said = ", ".join([*(f"argument {i}" for i in range(len(given))), *(f"{n}=" for n in named)])
        raise ArgumentError(f"{name} takes ({', '.join(names)}), got {said or 'nothing'}")
    return [(operands | named)[n] for n in names]

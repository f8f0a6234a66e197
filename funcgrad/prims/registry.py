"""Makers of primitive records for the common kinds: elementwise operations, and rules that many share.

A family module states what is particular to an operation (its evaluation, one line per derivative, samples);
what follows from its kind is derived here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from funcgrad import dtypes
from funcgrad.errors import DTypeError, PrimitiveError, ShapeError
from funcgrad.ir import expr
from funcgrad.ir.graph import Equation, Literal
from funcgrad.ir.primitive import Linear, Primitive, Sample, Zero
from funcgrad.ir.types import ArrayType, array_type
from funcgrad.trace import ops
from funcgrad.trace.core import bind, type_of

Rule = Callable[..., Any]


def library_call(name: str) -> Rule:
    """The lowering of an operation that a library does on whole arrays: compiled functions call `evaluate`."""

    def lower(in_types: Any, out_types: Any, **params: Any) -> expr.Extern:
        return expr.Extern(name, tuple(sorted(params.items())))

    return lower


class Fixed:
    """In the place of a derivative: the output does not move with the operand, which is known and not forgotten."""

    def __repr__(self) -> str:
        return "FIXED"


FIXED = Fixed()


def from_partials(name: str, *rules: Rule | Fixed) -> Rule:
    """A jvp rule from one partial derivative per operand: `rule(g, out, *operands, **params)`, or FIXED.

    `g` is the operand's tangent. A rule gives None where the output does not move with the operand after all.
    """
    if not all(callable(rule) or rule is FIXED for rule in rules):
        raise PrimitiveError(
            f"primitive {name!r} lacks the derivative by an operand",
            hint="give a rule for each, or FIXED where the output does not move with it",
        )

    def jvp(primals: Sequence[Any], tangents: Sequence[Any], **params: Any) -> tuple[Any, Any]:
        out = ops.apply(name, *primals, **params)
        total: Any = None
        for rule, tangent in zip(rules, tangents):
            if isinstance(rule, Fixed) or tangent.__class__ is Zero:
                continue
            term = rule(tangent, out, *primals, **params)
            if term is not None:
                total = term if total is None else ops.add(total, term)
        type = type_of(out)
        if total is None:
            return out, Zero(type.tangent())
        return out, ops.broadcast_to(total, type.shape)

    return jvp


def linear_jvp(name: str) -> Rule:
    """The jvp rule of an operation that is linear in its first operand: apply it to the tangent too."""

    def jvp(primals: Sequence[Any], tangents: Sequence[Any], **params: Any) -> tuple[Any, Any]:
        out = ops.apply(name, *primals, **params)
        if tangents[0].__class__ is Zero:
            return out, Zero(type_of(out).tangent())
        return out, ops.apply(name, tangents[0], *primals[1:], **params)

    return jvp


def zero_jvp(name: str) -> Rule:
    """The jvp rule of an operation whose output does not move: comparisons, rounding, indices."""

    def jvp(primals: Sequence[Any], tangents: Sequence[Any], **params: Any) -> tuple[Any, Any]:
        out = ops.apply(name, *primals, **params)
        return out, Zero(type_of(out).tangent())

    return jvp


_IN_LOGIC = {"sub": "x ^ y", "neg": "~x"}
"""What NumPy's users write for arithmetic on booleans that has no meaning."""


def elementwise_type(
    name: str, accepts: Iterable[np.dtype], result: Callable[[np.dtype], np.dtype] | None
) -> Rule:
    """The type rule of an elementwise operation: one dtype, one shape (scalars go with any)."""
    accepted = frozenset(accepts)

    def rule(*types: ArrayType, **params: Any) -> ArrayType:
        first = types[0]
        shape: tuple[int, ...] = ()
        for t in types:
            if t.dtype != first.dtype:
                raise DTypeError(
                    f"{name} takes operands of one dtype, got {' and '.join(str(t) for t in types)}",
                    hint="convert one of them with .astype(...), or use funcgrad.numpy, which promotes",
                )
            if t.shape and shape and t.shape != shape:
                raise ShapeError(
                    f"{name} takes operands of one shape (or scalars), got {' and '.join(map(str, types))}",
                    hint="use funcgrad.numpy, which broadcasts, or broadcast_to one of them",
                )
            shape = t.shape or shape
        if first.dtype not in accepted:
            names = ", ".join(dtypes.name(d) for d in dtypes.ALL if d in accepted)
            logic = _IN_LOGIC.get(name) if dtypes.is_bool(first.dtype) else None
            instead = f"; for booleans write {logic}, or convert with .astype(int)" if logic else ""
            raise DTypeError(f"{name} is not defined for {first}", hint=f"it takes {names}{instead}")
        dtype = first.dtype if result is None else result(first.dtype)
        weak = all(t.weak for t in types)
        return array_type(shape, dtype, weak and dtype != dtypes.bool_)

    return rule


def batch_elementwise(name: str) -> Rule:
    """The batching rule of an elementwise operation: bring the batch axes together; scalars stay scalars."""

    def batch(
        size: int, operands: Sequence[Any], axes: Sequence[int | None], /, **params: Any
    ) -> tuple[Any, int]:
        ranks = [type_of(x).ndim - (a is not None) for x, a in zip(operands, axes)]
        rank = max(ranks)
        axis = next((a for a, r in zip(axes, ranks) if a is not None and r == rank), 0)
        shape = next(list(type_of(x).shape) for x, r in zip(operands, ranks) if r == rank)
        own = axes[ranks.index(rank)]
        if own is not None:
            del shape[own]
        shape.insert(axis, size)
        others = [d for d in range(rank + 1) if d != axis]

        def place(x: Any, a: int | None, r: int) -> Any:
            if a is None:
                return x if r == 0 else ops.broadcast_in_dim(x, shape, others)
            return ops.moveaxis(x, a, axis) if r == rank else ops.broadcast_in_dim(x, shape, (axis,))

        return ops.apply(name, *map(place, operands, axes, ranks), **params), axis

    return batch


def elementwise(
    name: str,
    evaluate: Rule,
    partials: Sequence[Rule | Fixed] | Fixed | None = None,
    *,
    accepts: Iterable[np.dtype],
    samples: Callable[[], Iterable[Sample]],
    result: Callable[[np.dtype], np.dtype] | None = None,
    type_rule: Rule | None = None,
    jvp: Rule | None = None,
    transpose: Rule | None = None,
    code: str | None = None,
    lower: Rule | None = None,
    simplify: Rule | None = None,
    hazards: Rule | None = None,
    opaque: bool = False,
) -> Primitive:
    """The record of an elementwise operation.

    `partials` gives a derivative per operand, as `from_partials` takes them, or is FIXED where the output moves with
    none; `jvp` replaces them altogether. Only operations on integers need neither. `result` maps the operands' dtype
    to the output's (itself by default). `code` names the scalar opcode where it is not the primitive's name; `lower`
    replaces the lowering.
    """
    accepts = tuple(accepts)
    if jvp is None and partials is None and any(map(dtypes.is_inexact, accepts)):
        raise PrimitiveError(
            f"primitive {name!r} takes floating-point numbers and has no derivative",
            hint="give partials or a jvp rule, or FIXED where the output does not move",
        )
    fixed = jvp is None and (partials is None or isinstance(partials, Fixed))
    if jvp is None:
        jvp = (
            zero_jvp(name)
            if partials is None or isinstance(partials, Fixed)
            else from_partials(name, *partials)
        )
    return Primitive(
        name=name,
        type_rule=type_rule or elementwise_type(name, accepts, result),
        evaluate=evaluate,
        jvp=jvp,
        transpose=transpose,
        batch=batch_elementwise(name),
        lower=lower or expr.elementwise(code or name),
        simplify=simplify,
        hazards=hazards,
        opaque=opaque,
        samples=(lambda: [replace(s, differentiable=()) for s in samples()]) if fixed else samples,
    )


def numpy_ufunc(function_name: str) -> Rule:
    """Evaluation by the ufunc of this name, in float32 for the 16-bit floats, giving the operands' dtype.

    Floating-point warnings are off where primitives are evaluated (trace/core.py).
    """

    def evaluate(xp: Any, *operands: Any, **params: Any) -> Any:
        function = getattr(xp, function_name)
        dtype = operands[0].dtype
        if dtype.itemsize == 2 and dtypes.is_float(dtype):
            return function(*[x.astype(dtypes.float32) for x in operands]).astype(dtype)
        return function(*operands)

    return evaluate


def transpose_linear(rule: Rule) -> Rule:
    """A transpose rule for an operation linear in its first operand alone: `rule(ct, operand_type, **params)`."""

    def transpose(cotangent: Any, operand: Any, *others: Any, **params: Any) -> list[Any]:
        if cotangent.__class__ is Zero:
            return [Zero(operand.type)] + [None] * len(others)
        return [rule(cotangent, operand.type, **params)] + [None] * len(others)

    return transpose


def is_literal(atom: Any, value: float) -> bool:
    """In a simplify rule: whether an atom is this number."""
    return isinstance(atom, Literal) and bool(atom.value == value)


def keeps_type(equation: Equation, atom: Any) -> bool:
    """In a simplify rule: whether the atom can stand for the equation's output."""
    return atom.type.matches(equation.outputs[0].type)


def defined_by(name: str, atom: Any, definitions: Any) -> Equation | None:
    """In a simplify rule: the equation that defines an atom, where it is of the primitive `name`."""
    found = definitions.get(atom)
    return found if found is not None and found.primitive.name == name else None


def is_linear(operand: Any) -> bool:
    return operand.__class__ is Linear


def batch_by_moving_first(name: str, rule: Rule) -> Rule:
    """The batching rule of a unary operation: move the batch axis to the front and apply `rule(x, **params)`."""

    def batch(
        size: int, operands: Sequence[Any], batch_axes: Sequence[int | None], /, **params: Any
    ) -> tuple[Any, int]:
        (x,), (axis,) = operands, batch_axes
        assert axis is not None
        return rule(ops.moveaxis(x, axis, 0), **params), 0

    return batch


__all__ = [
    "FIXED",
    "batch_by_moving_first",
    "batch_elementwise",
    "bind",
    "defined_by",
    "elementwise",
    "elementwise_type",
    "from_partials",
    "is_linear",
    "is_literal",
    "keeps_type",
    "library_call",
    "linear_jvp",
    "numpy_ufunc",
    "transpose_linear",
    "zero_jvp",
]

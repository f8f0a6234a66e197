"""Local simplifications that change no result, not even the sign of a zero, and folding of scalar constants."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from funcgrad.ir.graph import Atom, Equation, Graph, Literal
from funcgrad.passes.rewrite import rewrite


def simplify(graph: Graph) -> Graph:
    """`graph` with neutral operations removed, chains of shape changes shortened, and constants folded."""
    return rewrite(graph, _simplified)


def _simplified(equation: Equation, definitions: dict[Atom, Equation]) -> Sequence[Atom] | Equation | None:
    folded = _folded(equation)
    if folded is not None:
        return folded
    rule = _RULES.get(equation.primitive.name)
    return None if rule is None else rule(equation, definitions)


def _folded(equation: Equation) -> Sequence[Atom] | None:
    """The literal that an equation of literals gives, where it is a scalar."""
    if equation.primitive.multiple_results or not equation.inputs or equation.outputs[0].type.shape:
        return None
    if equation.primitive.name == "optimization_barrier":
        return None
    if not all(isinstance(a, Literal) for a in equation.inputs):
        return None
    value = equation.primitive.evaluate(np, *[a.value for a in equation.inputs], **equation.params)  # type: ignore[union-attr]
    return [Literal(np.asarray(value)[()], equation.outputs[0].type)]


def _is_literal(atom: Atom, value: float) -> bool:
    return isinstance(atom, Literal) and bool(atom.value == value)


def _same_type(atom: Atom, equation: Equation) -> bool:
    return atom.type.matches(equation.outputs[0].type)


def _mul(equation: Equation, definitions: dict[Atom, Equation]) -> Sequence[Atom] | None:
    x, y = equation.inputs
    if _is_literal(y, 1) and _same_type(x, equation):
        return [x]
    if _is_literal(x, 1) and _same_type(y, equation):
        return [y]
    return None


def _div(equation: Equation, definitions: dict[Atom, Equation]) -> Sequence[Atom] | None:
    x, y = equation.inputs
    return [x] if _is_literal(y, 1) and _same_type(x, equation) else None


def _neg(equation: Equation, definitions: dict[Atom, Equation]) -> Sequence[Atom] | None:
    inner = definitions.get(equation.inputs[0])
    return [inner.inputs[0]] if inner is not None and inner.primitive.name == "neg" else None


def _reshape(equation: Equation, definitions: dict[Atom, Equation]) -> Any:
    (x,) = equation.inputs
    if _same_type(x, equation):
        return [x]
    inner = definitions.get(x)
    if inner is not None and inner.primitive.name == "reshape":
        return Equation(equation.primitive, inner.inputs, equation.outputs, equation.params, equation.source)
    return None


def _transpose(equation: Equation, definitions: dict[Atom, Equation]) -> Any:
    (x,) = equation.inputs
    permutation = equation.params["permutation"]
    if permutation == tuple(range(len(permutation))):
        return [x]
    inner = definitions.get(x)
    if inner is None or inner.primitive.name != "transpose":
        return None
    first = inner.params["permutation"]
    together = tuple([first[p] for p in permutation])
    if together == tuple(range(len(together))):
        return [inner.inputs[0]]
    params = {"permutation": together}
    return Equation(equation.primitive, inner.inputs, equation.outputs, params, equation.source)


def _convert(equation: Equation, definitions: dict[Atom, Equation]) -> Any:
    (x,) = equation.inputs
    return [x] if _same_type(x, equation) else None


def _broadcast(equation: Equation, definitions: dict[Atom, Equation]) -> Any:
    (x,) = equation.inputs
    if _same_type(x, equation):
        return [x]
    inner = definitions.get(x)
    if inner is None or inner.primitive.name != "broadcast_in_dim":
        return None
    axes = equation.params["broadcast_dimensions"]
    through = tuple([axes[d] for d in inner.params["broadcast_dimensions"]])
    params = {**equation.params, "broadcast_dimensions": through}
    return Equation(equation.primitive, inner.inputs, equation.outputs, params, equation.source)


def _select(equation: Equation, definitions: dict[Atom, Equation]) -> Sequence[Atom] | None:
    which, *cases = equation.inputs
    if len(set(cases)) == 1 and _same_type(cases[0], equation):
        return [cases[0]]
    return None


_RULES: dict[str, Callable[[Equation, dict[Atom, Equation]], Any]] = {
    "broadcast_in_dim": _broadcast,
    "convert_element_type": _convert,
    "div": _div,
    "mul": _mul,
    "neg": _neg,
    "reshape": _reshape,
    "select_n": _select,
    "transpose": _transpose,
}

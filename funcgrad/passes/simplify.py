"""Local simplifications, which the primitives' records bring, and folding of scalar constants."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from funcgrad.ir.graph import Atom, Equation, Graph, Literal
from funcgrad.ir.rewrite import rewrite


def simplify(graph: Graph) -> Graph:
    """`graph` with neutral operations removed, chains of shape changes shortened, and constants folded."""
    return rewrite(graph, _simplified)


def _simplified(equation: Equation, definitions: dict[Atom, Equation]) -> Sequence[Atom] | Equation | None:
    primitive = equation.primitive
    if primitive.opaque or primitive.effect:
        return None
    folded = _folded(equation)
    if folded is not None:
        return folded
    return None if primitive.simplify is None else primitive.simplify(equation, definitions)


@np.errstate(all="ignore")
def _folded(equation: Equation) -> Sequence[Atom] | None:
    """The literal that an equation of literals gives, where it is a scalar."""
    inputs, outputs = equation.inputs, equation.outputs
    if equation.primitive.multiple_results or not inputs or outputs[0].type.shape:
        return None
    values = [a.value for a in inputs if isinstance(a, Literal)]
    if len(values) < len(inputs):
        return None
    value = equation.primitive.evaluate(np, *values, **equation.params)
    return [Literal(np.asarray(value)[()], outputs[0].type)]

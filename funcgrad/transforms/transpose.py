"""Transposition: from a linear map to the map that pulls cotangents back.

`pull_back` walks a graph backwards, operation by operation, in the current trace; `transpose_graph` does it
inside a fresh trace. Equations that do not depend on the linear inputs are evaluated first: that is how
rematerialised code computes its residuals again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from funcgrad.errors import NotDifferentiableError
from funcgrad.ir.graph import ClosedGraph, Equation, Graph, Var
from funcgrad.ir.primitive import LINEAR_RULES, Linear, Zero
from funcgrad.trace.core import bind, state
from funcgrad.trace.graph_trace import Derived, derive, literal_value, remembered
from funcgrad.trace.ops import add_cotangents


def pull_back(graph: Graph, operands: Sequence[Any], cotangents: Sequence[Any]) -> list[Any]:
    """The cotangents of the linear inputs of `graph`.

    `operands` has a value for each known input and `Linear(type)` for each linear one; `cotangents` one per
    output, possibly `Zero`. The result has one per linear input, possibly `Zero`.
    """
    env: dict[Var, Any] = {}
    linear: set[Var] = set()
    for var, value in zip(graph.inputs, operands):
        if value.__class__ is Linear:
            linear.add(var)
        else:
            env[var] = value

    def read(atom: Any) -> Any:
        return env[atom] if atom.__class__ is Var else literal_value(atom)

    outer_source = state.source
    try:
        pending: list[Equation] = []
        for equation in graph.equations:
            if not linear.isdisjoint(equation.inputs):
                linear.update(equation.outputs)
                pending.append(equation)
            else:
                state.source = equation.source or outer_source
                out = bind(equation.primitive, *map(read, equation.inputs), **equation.params)
                env.update(zip(equation.outputs, out if equation.primitive.multiple_results else (out,)))

        gathered: dict[Any, Any] = {}
        for atom, cotangent in zip(graph.outputs, cotangents):
            if atom in linear and cotangent.__class__ is not Zero:
                gathered[atom] = add_cotangents(gathered.get(atom), cotangent)
        for equation in reversed(pending):
            source = equation.source
            state.source = source._replace(backward=True) if source else outer_source
            _pull_equation(equation, linear, read, gathered)
    finally:
        state.source = outer_source
    return [
        gathered.get(var, Zero(var.type))
        for var, value in zip(graph.inputs, operands)
        if value.__class__ is Linear
    ]


def pull_back_closed(closed: ClosedGraph, cotangents: Sequence[Any]) -> list[Any]:
    """The same for a graph that is linear in all inputs but its constants."""
    inputs = closed.graph.inputs[len(closed.constants) :]
    return pull_back(closed.graph, [*closed.constants, *[Linear(v.type) for v in inputs]], cotangents)


def _pull_equation(
    equation: Equation, linear: set[Var], read: Callable[[Any], Any], gathered: dict[Any, Any]
) -> None:
    """Take the cotangents of an equation's outputs out of `gathered`, and add those of its linear inputs."""
    primitive = equation.primitive
    outs = [gathered.pop(v, None) for v in equation.outputs]
    if all(o is None for o in outs):
        return
    if primitive.transpose is None:
        raise NotDifferentiableError(
            f"{primitive.name} has no transpose rule, so reverse mode cannot pass through it",
            where=equation.source,
            hint=LINEAR_RULES,
        )
    given = [Linear(a.type) if a in linear else read(a) for a in equation.inputs]
    if primitive.multiple_results:
        cts: Any = [Zero(v.type) if o is None else o for v, o in zip(equation.outputs, outs)]
    else:
        cts = outs[0]
    pulled = primitive.transpose(cts, *given, **equation.params)
    for atom, cotangent in zip(equation.inputs, pulled):
        if cotangent is not None and cotangent.__class__ is not Zero and atom in linear:
            before = gathered.get(atom)
            gathered[atom] = cotangent if before is None else add_cotangents(before, cotangent)


@remembered
def transpose_graph(graph: Graph, linear: tuple[bool, ...], nonzero: tuple[bool, ...]) -> Derived:
    """The graph (known inputs, cotangents of the outputs where `nonzero`) -> nonzero input cotangents.

    The flags say which linear inputs have a nonzero cotangent.
    """
    found: list[bool] = []
    known = linear.count(False)

    def pulled(*values: Any) -> list[Any]:
        operands, cts = iter(values[:known]), iter(values[known:])
        given = [
            Linear(v.type) if is_linear else next(operands) for v, is_linear in zip(graph.inputs, linear)
        ]
        cotangents = [next(cts) if nz else Zero(a.type) for a, nz in zip(graph.outputs, nonzero)]
        result = pull_back(graph, given, cotangents)
        found[:] = [c.__class__ is not Zero for c in result]
        return [c for c in result if c.__class__ is not Zero]

    types = [v.type for v, is_linear in zip(graph.inputs, linear) if not is_linear]
    types += [a.type for a, nz in zip(graph.outputs, nonzero) if nz]
    return derive(pulled, types, graph.name + ".transpose", found)

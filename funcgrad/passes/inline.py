"""Inlining: calls of graphs are replaced by their equations, other expandable equations by their expansion."""

from __future__ import annotations

from funcgrad.ir.graph import Atom, Equation, Graph, Var
from funcgrad.trace.core import state
from funcgrad.trace.graph_trace import trace_to_graph


def inline(graph: Graph) -> Graph:
    """`graph` with every expandable equation expanded, inside out."""
    if not any(e.primitive.expand for e in graph.equations):
        return graph
    equations: list[Equation] = []
    env: dict[Atom, Atom] = {}
    _append(graph, env, equations, fresh=False)
    return Graph(graph.inputs, tuple(equations), tuple([env.get(a, a) for a in graph.outputs]), graph.name)


def _append(graph: Graph, env: dict[Atom, Atom], equations: list[Equation], fresh: bool) -> None:
    """Append the equations of `graph`; `env` maps its variables to those of the result. A graph that is called
    gets fresh variables, since it may be called again."""
    for equation in graph.equations:
        inputs = tuple([env.get(a, a) for a in equation.inputs])
        if equation.primitive.expand is not None:
            body = _body(equation)
            inner: dict[Atom, Atom] = dict(zip(body.inputs, inputs))
            _append(body, inner, equations, fresh=True)
            env.update(zip(equation.outputs, [inner.get(a, a) for a in body.outputs]))
            continue
        outputs = equation.outputs
        if fresh:
            outputs = tuple([Var(v.type) for v in outputs])
            env.update(zip(equation.outputs, outputs))
        if outputs is not equation.outputs or inputs != equation.inputs:
            equation = Equation(equation.primitive, inputs, outputs, equation.params, equation.source)
        equations.append(equation)


def _body(equation: Equation) -> Graph:
    """The graph that an expandable equation stands for."""
    graph = equation.params.get("graph")
    if isinstance(graph, Graph):
        return graph
    expand = equation.primitive.expand
    assert expand is not None
    types = [a.type for a in equation.inputs]
    outer, state.source = (
        state.source,
        equation.source,
    )  # the expansion belongs to the line of what it expands
    try:
        closed = trace_to_graph(lambda *xs: expand(*xs, **equation.params), types, equation.primitive.name)
    finally:
        state.source = outer
    assert not closed.constants, f"the expansion of {equation.primitive.name} closed over a value"
    return closed.graph

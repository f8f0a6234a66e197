"""The frame that local rewrites share: one walk over a graph, in which an equation may be replaced by atoms."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from funcgrad.ir.graph import Atom, Equation, Graph

Rule = Callable[[Equation, dict[Atom, Equation]], Sequence[Atom] | Equation | None]


def rewrite(graph: Graph, rule: Rule) -> Graph:
    """Apply `rule(equation, definitions)` to each equation in order.

    The rule sees the equation with its inputs already rewritten, and the equations that define them. It gives
    None to keep the equation, another equation with the same outputs, or one atom for each output.
    """
    env: dict[Atom, Atom] = {}
    definitions: dict[Atom, Equation] = {}
    kept: list[Equation] = []
    changed = False
    for equation in graph.equations:
        inputs = tuple([env.get(a, a) for a in equation.inputs])
        if inputs != equation.inputs:
            equation = Equation(
                equation.primitive, inputs, equation.outputs, equation.params, equation.source
            )
            changed = True
        replaced = rule(equation, definitions)
        if isinstance(replaced, Equation):
            equation, changed = replaced, True
        elif replaced is not None:
            env.update(zip(equation.outputs, replaced))
            changed = True
            continue
        kept.append(equation)
        for var in equation.outputs:
            definitions[var] = equation
    if not changed:
        return graph
    return Graph(graph.inputs, tuple(kept), tuple([env.get(a, a) for a in graph.outputs]), graph.name)

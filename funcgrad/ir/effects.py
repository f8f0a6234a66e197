"""Which equations and graphs have an effect: those that do something besides giving their outputs.

Such equations stay where they are: no pass drops, merges or reorders them, and a loop or a branch with one inside
has the effect itself.
"""

from __future__ import annotations

from funcgrad.ir.graph import Equation, Graph


def has_effect(equation: Equation) -> bool:
    """Whether the equation, or one in a sub-graph of it, has an effect."""
    return equation.primitive.effect or any(map(has_effects, equation.subgraphs()))


def has_effects(graph: Graph) -> bool:
    """Whether an equation of the graph has an effect."""
    known = graph.memo.get("effects")
    if known is None:
        known = graph.memo["effects"] = any(map(has_effect, graph.equations))
    return known


def without_effects(graph: Graph) -> Graph:
    """The graph without the equations that are there for their effect alone, in sub-graphs too."""
    if not has_effects(graph):
        return graph
    known = graph.memo.get("without effects")
    if known is None:
        kept = [_plain(e) for e in graph.equations if e.outputs or not has_effect(e)]
        known = Graph(graph.inputs, tuple(kept), graph.outputs, graph.name)
        graph.memo["without effects"] = known
    return known


def _plain(equation: Equation) -> Equation:
    if equation.primitive.effect or not has_effect(equation):
        return equation

    def plain(value: object) -> object:
        if isinstance(value, Graph):
            return without_effects(value)
        return tuple(map(plain, value)) if isinstance(value, tuple) else value

    params = {k: plain(v) for k, v in equation.params.items()}
    return Equation(equation.primitive, equation.inputs, equation.outputs, params, equation.source)

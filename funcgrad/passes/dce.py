"""Dead code elimination: equations whose outputs nothing reads are left out."""

from __future__ import annotations

from funcgrad.ir.effects import has_effect
from funcgrad.ir.graph import Graph, Var


def dce(graph: Graph) -> Graph:
    """`graph` with only the equations that its outputs need or that have an effect, and of control flow only the
    outputs that are read. Inputs stay, used or not."""
    needed = {a for a in graph.outputs if isinstance(a, Var)}
    kept = []
    changed = False
    for equation in reversed(graph.equations):
        used = tuple([v in needed for v in equation.outputs])
        if not any(used) and not has_effect(equation):
            changed = True
            continue
        if equation.primitive.prune is not None:
            pruned = equation.primitive.prune(equation, used)
            if pruned is not None:
                equation, changed = pruned, True
        kept.append(equation)
        needed.update([a for a in equation.inputs if isinstance(a, Var)])
    if not changed:
        return graph
    return Graph(graph.inputs, tuple(reversed(kept)), graph.outputs, graph.name)

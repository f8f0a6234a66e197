"""Dead code elimination: equations whose outputs nothing reads are left out."""

from __future__ import annotations

from funcgrad.ir.graph import Graph, Var


def dce(graph: Graph) -> Graph:
    """`graph` with only the equations that its outputs need. Inputs stay, used or not."""
    needed = {a for a in graph.outputs if isinstance(a, Var)}
    kept = []
    for equation in reversed(graph.equations):
        if any(v in needed for v in equation.outputs):
            kept.append(equation)
            needed.update([a for a in equation.inputs if isinstance(a, Var)])
    if len(kept) == len(graph.equations):
        return graph
    return Graph(graph.inputs, tuple(reversed(kept)), graph.outputs, graph.name)

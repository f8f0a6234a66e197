"""Which values of a step of a loop are kept for the step backward, and how the others are computed from these again.

A value of a large array is quicker computed again by a few additions than written to memory and read back. So what
is kept is the cheapest choice: a minimum cut between the constants of the loop, which are there anyway, and the
residuals. Owns no primitive.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

from funcgrad.ir import expr as E
from funcgrad.ir.cost import expression_cost
from funcgrad.ir.effects import has_effect
from funcgrad.ir.graph import Atom, Equation, Graph, Var
from funcgrad.prims.control_graphs import computed_from, memoised

ADDITIONS = 8
"""Additions on a number that take as long as keeping it: a write to a tape beyond the first-level cache, and a read."""

GATHERED = 4
"""Additions that a read at an index takes which is known only at run time."""


def kept_values(graph: Graph, constants: Sequence[Var], residuals: Sequence[Atom]) -> tuple[Var, ...]:
    """The values from which, and the constants, all residuals can be computed at the least price."""
    residuals = tuple(residuals)
    return memoised(
        graph, ("kept values", tuple(constants), residuals), lambda: _cheapest(graph, constants, residuals)
    )


def computed_again(
    graph: Graph, constants: Sequence[Var], kept: Sequence[Var], wanted: Sequence[Atom]
) -> Graph:
    """The part of the graph that computes what is wanted from constants and from what is kept."""
    given, needed, equations = {*constants, *kept}, set(wanted), []
    for equation in reversed(graph.equations):
        if any(v in needed and v not in given for v in equation.outputs):
            needed.update(equation.inputs)
            outputs = [Var(v.type) if v in given else v for v in equation.outputs]
            equations.append(
                Equation(equation.primitive, equation.inputs, outputs, equation.params, equation.source)
            )
    return Graph((*constants, *kept), tuple(reversed(equations)), tuple(wanted), graph.name)


def _cheapest(graph: Graph, constants: Sequence[Var], residuals: Sequence[Atom]) -> tuple[Var, ...]:
    free = computed_from(graph, constants)
    makers = {v: e for e in graph.equations for v in e.outputs}
    order: dict[Var, int] = {}  # the values that may be kept, by number
    waiting = [a for a in residuals if isinstance(a, Var) and a not in free]
    network = _Network()
    for atom in waiting:
        network.edge(2 * order.setdefault(atom, len(order)) + 1, _SINK, math.inf)
    waiting = list(order)
    while waiting:
        value = waiting.pop()
        number = order[value]
        network.edge(2 * number, 2 * number + 1, value.type.nbytes)
        equation = makers.get(value)
        again = math.inf if equation is None else _price(equation)
        network.edge(_SOURCE, 2 * number, again)
        if equation is None or again == math.inf:
            continue
        for atom in dict.fromkeys(equation.inputs):
            if isinstance(atom, Var) and atom not in free:
                if atom not in order:
                    order[atom] = len(order)
                    waiting.append(atom)
                network.edge(2 * order[atom] + 1, 2 * number, math.inf)
    reached = network.cut()
    return tuple([v for v, k in order.items() if 2 * k in reached and 2 * k + 1 not in reached])


def _price(equation: Equation) -> float:
    """What it takes to compute the output of an equation again, in bytes that are kept."""
    rule = equation.primitive.lower
    if rule is None or equation.primitive.multiple_results or has_effect(equation):
        return math.inf
    (value,), atoms = equation.outputs, equation.inputs
    found = rule(tuple([a.type for a in atoms]), value.type, **equation.params)
    if not isinstance(found, E.Map):
        return math.inf
    width = max(a.type.dtype.itemsize for a in (value, *atoms))
    return (
        (expression_cost(found.expr) + GATHERED * _gathers(found.expr)) * value.type.size * width / ADDITIONS
    )


def _gathers(expr: E.Expr) -> int:
    """How many reads of an expression are at indices that are known only at run time."""
    if isinstance(expr, E.Read):
        return any(isinstance(part, E.FromScalar | E.Clamp) for ix in expr.index for part, _ in ix.terms)
    if isinstance(expr, E.Op):
        return sum(map(_gathers, expr.args))
    return _gathers(expr.inside) + _gathers(expr.outside) if isinstance(expr, E.Guard) else 0


_SOURCE, _SINK = -1, -2


class _Network:
    """Edges with capacities, and the minimum cut between source and sink (Dinitz 1970)."""

    def __init__(self) -> None:
        self.room: dict[int, dict[int, float]] = {_SOURCE: {}, _SINK: {}}

    def edge(self, start: int, end: int, capacity: float) -> None:
        if capacity > 0:
            self.room.setdefault(start, {})[end] = capacity
            self.room.setdefault(end, {}).setdefault(start, 0.0)

    def cut(self) -> set[int]:
        """The nodes on the source's side."""
        while True:
            levels = self._levels()
            if _SINK not in levels:
                return set(levels)
            self._fill(levels)

    def _levels(self) -> dict[int, int]:
        """How far each node is from the source along edges with room."""
        levels, nodes = {_SOURCE: 0}, [_SOURCE]
        for node in nodes:
            for end, room in self.room[node].items():
                if room > 0 and end not in levels:
                    levels[end] = levels[node] + 1
                    nodes.append(end)
        return levels

    def _fill(self, levels: dict[int, int]) -> None:
        """Send along shortest paths whatever goes through."""
        ways = {node: list(ends) for node, ends in self.room.items()}
        path = [_SOURCE]
        while path:
            node = path[-1]
            if node == _SINK:
                steps = list(itertools.pairwise(path))
                sent = min(self.room[a][b] for a, b in steps)
                for a, b in steps:
                    self.room[a][b] -= sent
                    self.room[b][a] += sent
                path = [_SOURCE]
                continue
            while ways[node]:
                end = ways[node][-1]
                if self.room[node][end] > 0 and levels.get(end) == levels[node] + 1:
                    path.append(end)
                    break
                ways[node].pop()
            else:
                path.pop()
                if path:
                    ways[path[-1]].pop()

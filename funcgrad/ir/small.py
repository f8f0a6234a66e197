"""Which graphs work on few numbers, so that a kernel can keep all of them in registers.

Asked where a choice is made before lowering, of graphs that still have calls in them; whether such a graph then
really becomes one kernel is found out by `lower/unrolled.py`, which has the same limits.
"""

from __future__ import annotations

import math
from typing import Any

from funcgrad.ir import expr as E
from funcgrad.ir.effects import has_effects
from funcgrad.ir.graph import Equation, Graph, Var

FEW_ELEMENTS = 64
"""Elements of one value, and of all that a loop carries, that may be variables of a kernel."""

FEW_OPERATIONS = 400
"""Scalar operations in such a kernel."""

ENOUGH_ELEMENTS = 64
"""Elements over which a loop is long enough to be worth a kernel of its own for one example."""

FEW_CHOICES = 16
"""Elements in variables among which an index that is known only at run time may choose."""


def is_small(*graphs: Graph) -> bool:
    """Whether control flow with these sub-graphs works on few numbers. What they take from outside may be large, as
    long as they only read single elements of it."""
    count = 0
    for graph in graphs:
        known = graph.memo.get("few operations")
        if known is None:
            known = graph.memo["few operations"] = math.inf if has_effects(graph) else _operations(graph)
        count += known
    return count <= FEW_OPERATIONS


def is_loops(*graphs: Graph) -> bool:
    """Whether control flow with these sub-graphs is nothing but loops over elements, at least `ENOUGH_ELEMENTS` in
    some value of each: then a batch gains little by taking all examples together. (It does gain in matrix products
    and library calls.)"""
    largest = 0
    for graph in graphs:
        known = graph.memo.get("only loops")
        if known is None:
            known = graph.memo["only loops"] = _largest(graph)
        if not known:
            return False
        largest = max(largest, known)
    return largest >= ENOUGH_ELEMENTS


def _largest(graph: Graph) -> int:
    """The elements of the largest value in a graph; 0 where an equation is no loop over elements."""
    found = 1
    for equation in graph.equations:
        inner = [_largest(g) for g in equation.subgraphs()]
        rule = equation.primitive.lower
        if not all(inner) or (rule is None and not inner):
            return 0
        types = tuple([v.type for v in equation.outputs])
        if not inner and rule is not None:
            several = equation.primitive.multiple_results
            in_types = tuple([a.type for a in equation.inputs])
            made = rule(in_types, types if several else types[0], **equation.params)
            made = made if isinstance(made, tuple | list) else (made,)
            if not all(isinstance(d, E.Map | E.Reduce | E.Scatter) for d in made):
                return 0
        found = max([found, *inner, *[t.size for t in types]])
    return found


def _operations(graph: Graph) -> float:
    """The scalar operations of a graph; infinitely many where it does not work on few numbers."""
    outside = set(graph.inputs)
    if any(a.type.size > FEW_ELEMENTS for a in graph.outputs):
        return math.inf
    return sum(_equation_operations(e, outside) for e in graph.equations)


def _equation_operations(equation: Equation, outside: set[Var]) -> float:
    types = tuple([v.type for v in equation.outputs])
    if any(t.size > FEW_ELEMENTS or t.size == 0 for t in types):
        return math.inf
    inner = list(equation.subgraphs())
    if inner:
        if equation.primitive.name == "scan" and len(inner[0].outputs) > equation.params["carry"]:
            return math.inf  # it stacks values
        return sum(map(_operations, inner))
    rule = equation.primitive.lower
    if rule is None:
        return len(types)
    several = equation.primitive.multiple_results
    found = rule(tuple([a.type for a in equation.inputs]), types if several else types[0], **equation.params)
    definitions = found if isinstance(found, tuple | list) else (found,)
    return sum(_definition_operations(d, t.size, equation, outside) for d, t in zip(definitions, types))


def _definition_operations(definition: Any, size: int, equation: Equation, outside: set[Var]) -> float:
    if isinstance(definition, E.Map):
        return size * _expression_operations(definition.expr, equation, outside)
    if isinstance(definition, E.Reduce):
        times = math.prod(definition.extents)
        return size * times * (1 + _expression_operations(definition.expr, equation, outside))
    if isinstance(definition, E.Dot):
        lhs = equation.inputs[0].type
        return 2 * size * math.prod(lhs.shape[d] for d in definition.lhs_contracting)
    if isinstance(definition, E.Scatter):
        return size * math.prod(definition.extents)
    return math.inf


def _expression_operations(expr: E.Expr, equation: Equation, outside: set[Var]) -> float:
    if isinstance(expr, E.Read):
        atom = equation.inputs[expr.operand]
        fixed = all(not isinstance(part, E.FromScalar | E.Clamp) for ix in expr.index for part, _ in ix.terms)
        return 0 if fixed or atom in outside or atom.type.size <= FEW_CHOICES else math.inf
    if isinstance(expr, E.Op):
        return 1 + sum(_expression_operations(a, equation, outside) for a in expr.args)
    if isinstance(expr, E.Guard):
        sides = (expr.inside, expr.outside)
        return 1 + sum(_expression_operations(e, equation, outside) for e in sides)
    return 0

"""Common subexpression elimination: an equation that repeats an earlier one takes its outputs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from funcgrad.ir.effects import has_effect
from funcgrad.ir.graph import Atom, Equation, Graph, Literal
from funcgrad.ir.rewrite import rewrite


def cse(graph: Graph) -> Graph:
    """`graph` in which no two equations compute the same from the same.

    Opaque primitives are never merged: what comes out of an `optimization_barrier` counts as new, which keeps
    rematerialised code apart from the forward pass. Nor are equations with an effect, of which each has its own.
    """
    seen: dict[Any, Sequence[Atom]] = {}

    def rule(equation: Equation, definitions: dict[Atom, Equation]) -> Sequence[Atom] | None:
        if equation.primitive.opaque or has_effect(equation):
            return None
        key = (equation.primitive, tuple(map(_atom_key, equation.inputs)), _params_key(equation.params))
        earlier = seen.setdefault(key, equation.outputs)
        return None if earlier is equation.outputs else earlier

    return rewrite(graph, rule)


def _atom_key(atom: Atom) -> Any:
    return atom.key() if isinstance(atom, Literal) else atom


def _params_key(params: dict[str, Any]) -> Any:
    return tuple(sorted(params.items(), key=lambda item: item[0]))

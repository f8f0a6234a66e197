"""How a batch of examples with conditions of their own runs control flow: each by itself, or all together.

Owns the choice, and the words that say why, which the source lines of the equations carry. Owns no primitive.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from funcgrad.errors import ArgumentError
from funcgrad.ir.effects import has_effects
from funcgrad.ir.graph import Graph
from funcgrad.ir.primitive import AxisSize
from funcgrad.ir.small import ENOUGH_ELEMENTS, FEW_ELEMENTS, FEW_OPERATIONS, is_loops, is_small
from funcgrad.records import record
from funcgrad.source import user_line
from funcgrad.trace.core import state


@record
class Choice:
    """Whether each example goes its own way; `together` if they meet in a collective; and the reason in words."""

    each: bool
    together: bool
    note: str


def choose(what: str, size: AxisSize, graphs: Sequence[Graph], parts: str = "its own branch") -> Choice:
    """How the sub-graphs `graphs` of the control flow `what` run for a batch of which each example has its own
    condition."""
    wanted = size.branching
    meeting = size.name is not None and any(meets(g, size.name) for g in graphs)
    effects = any(map(has_effects, graphs))
    if meeting and wanted == "each":
        raise ArgumentError(
            f"vmap(branching='each'): the examples of {what} meet in a collective over {size.name!r}, so none can go "
            "its own way alone",
            hint="leave branching out, or take the collective out of it",
        )
    if effects and wanted == "select" and not meeting:
        raise ArgumentError(
            f"vmap(branching='select'): {what} has effects, which are only those of the way that an example takes",
            hint="leave branching out, or take the effect (debug.print, a callback) out of it",
        )
    small, loops = is_small(*graphs), is_loops(*graphs)
    each = not meeting and (wanted == "each" or (wanted == "auto" and (effects or small or loops)))
    how = f"each example runs {parts}" if each else "all examples run together and select their own results"
    if meeting:
        why = f"they meet in a collective over {size.name!r}"
    elif wanted != "auto":
        why = f"vmap(branching={wanted!r}) says so"
    elif effects:
        why = "it has effects"
    elif small:
        why = "a kernel can hold all numbers of one example"
    elif loops:
        why = f"it is loops over {ENOUGH_ELEMENTS} elements or more, no matrix products or library calls"
    else:
        why = (
            f"one example is more than a kernel can hold, {FEW_ELEMENTS} elements a value and {FEW_OPERATIONS} "
            "operations, and has matrix products, library calls or short loops"
        )
    return Choice(each, meeting, f"{what}: {how} ({why})")


def meets(graph: Graph, axis: Any) -> bool:
    """Whether the examples along a named axis meet in a collective of this graph."""
    return any(
        (e.primitive.collective is not None and e.params["axis_name"] == axis)
        or any(meets(g, axis) for g in e.subgraphs())
        for e in graph.equations
    )


@contextmanager
def noted(note: str) -> Iterator[None]:
    """The equations that are recorded meanwhile say in their source lines how they were batched."""
    if not note:
        yield
        return
    before = state.source
    line = before or user_line(3)
    state.source = line and line._replace(note=note)
    try:
        yield
    finally:
        state.source = before


def notes(graph: Graph) -> list[str]:
    """How the control flow in a graph was batched, with the user's lines."""
    found: dict[str, None] = {}
    _gather(graph, found, set())
    return list(found)


def _gather(graph: Graph, found: dict[str, None], seen: set[int]) -> None:
    if id(graph) in seen:
        return
    seen.add(id(graph))
    for equation in graph.equations:
        source = equation.source
        if source is not None and source.note:
            found[f"{source}: {source.note}"] = None
        for inner in equation.subgraphs():
            _gather(inner, found, seen)

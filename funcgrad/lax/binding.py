"""How traced loops and branches become equations: what a loop hands on unchanged is a constant of it, and what every
branch returns unchanged goes past the branches. Derivatives and batches of what is carried do not touch these then.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from funcgrad.ir.graph import ClosedGraph, Graph
from funcgrad.prims.control_cond import cond_p
from funcgrad.prims.control_graphs import chosen, merged, reordered
from funcgrad.prims.control_scan import scan_p
from funcgrad.prims.control_slots import LoopBudget
from funcgrad.prims.control_while import while_p
from funcgrad.trace.core import as_array, bind


def bind_scan(
    body: ClosedGraph, init: Sequence[Any], xs: Sequence[Any], length: int, reverse: bool
) -> list[Any]:
    """The last carries and the stacked results of `body`, a graph of (constants, carries, slices of xs)."""
    consts, carry = len(body.constants), len(init)
    moves = _moving(body, carry)
    held = chosen(init, moves, False)
    order = [consts + k for k in chosen(range(carry), moves, False) + chosen(range(carry), moves)]
    rest = range(consts + carry, len(body.graph.inputs))
    wanted = [*chosen(range(carry), moves), *range(carry, len(body.graph.outputs))]
    outs = bind(
        scan_p,
        *body.constants,
        *held,
        *chosen(init, moves),
        *xs,
        graph=reordered(body.graph, [*range(consts), *order, *rest], wanted),
        consts=consts + len(held),
        carry=sum(moves),
        length=length,
        reverse=reverse,
    )
    return [*merged(moves, outs[: sum(moves)], map(as_array, held)), *outs[sum(moves) :]]


def bind_while(
    cond: ClosedGraph, body: ClosedGraph, init: Sequence[Any], budget: LoopBudget | None = None
) -> list[Any]:
    """The last carries of a loop: `cond` and `body` are graphs of (constants, carries)."""
    count, asking, consts = len(init), len(cond.constants), len(body.constants)
    moves = _moving(body, count)
    held = chosen(init, moves, False)
    order = chosen(range(count), moves, False) + chosen(range(count), moves)
    moving = [*range(consts), *(consts + k for k in order)]
    outs = bind(
        while_p,
        *cond.constants,
        *held,
        *body.constants,
        *held,
        *chosen(init, moves),
        cond=reordered(cond.graph, [*range(asking), *(asking + k for k in order)], [0]),
        body=reordered(body.graph, moving, chosen(range(count), moves)),
        cond_consts=asking + len(held),
        body_consts=consts + len(held),
        **({} if budget is None else {"budget": budget}),
    )
    return merged(moves, outs, map(as_array, held))


def bind_cond(index: Any, branches: Sequence[Graph], operands: Sequence[Any]) -> list[Any]:
    """The results of the branch of number `index`; all are graphs of `operands`."""
    inputs = [{v: k for k, v in enumerate(g.inputs)} for g in branches]
    same = []  # the number of the operand that an output is in every branch, or None
    for atoms in zip(*(g.outputs for g in branches)):
        found = {known.get(a) for known, a in zip(inputs, atoms)}
        same.append(found.pop() if len(found) == 1 else None)
    wanted = [k for k, number in enumerate(same) if number is None]
    branches = tuple([reordered(g, range(len(g.inputs)), wanted) for g in branches])
    outs = iter(bind(cond_p, index, *operands, branches=branches))
    return [next(outs) if number is None else as_array(operands[number]) for number in same]


def _moving(body: ClosedGraph, carry: int) -> tuple[bool, ...]:
    """Which of the first outputs, the carries, are not just the carry that came in."""
    cells = body.graph.inputs[len(body.constants) :]
    return tuple([new is not old for new, old in zip(body.graph.outputs[:carry], cells)])

"""The bodies of while loops, transformed: what `while` and `while_transpose` share.

Owns no primitive.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from funcgrad.ir.graph import Graph
from funcgrad.ir.primitive import AxisSize
from funcgrad.prims.control_graphs import Flags, borrowed, parts, reordered, where_rows
from funcgrad.records import record
from funcgrad.trace import ops
from funcgrad.trace.graph_trace import Derived, derive, evaluate_graph, remembered, trace_to_graph
from funcgrad.transforms.jvp import jvp_graph
from funcgrad.transforms.vmap import batch_graph


def settle(moving: Flags, step: Callable[[Flags], Flags]) -> Flags:
    """The flags of carries from which `step`, one run of the body, leads to no others."""
    while True:
        found = step(moving)
        if found == moving:
            return moving
        moving = found


def pushed_body(body: Graph, given: Flags, moving: Flags) -> tuple[Graph, tuple[Any, ...], Flags]:
    """The body with tangents of its constants where `given` and of its carries where `moving`.

    Gives a graph of (own constants, constants, their tangents; carries, their tangents), the values of the former,
    and which carries have a tangent in the end.
    """
    moving = settle(moving, lambda m: jvp_graph(body, (*given, *m), m).flags)
    pushed = jvp_graph(body, (*given, *moving), moving)
    carry = len(moving)
    own = len(pushed.constants) + len(given)
    order = [
        *range(own),
        *range(own + carry, own + carry + sum(given)),
        *range(own, own + carry),
        *range(own + carry + sum(given), own + carry + sum(given) + sum(moving)),
    ]
    graph = reordered(pushed.graph, order, range(len(pushed.graph.outputs)))
    return graph, pushed.constants, moving


@record
class BatchedLoop:
    """A loop over a batch. Its condition takes (`cond_constants`, the constants of the condition, carries) and its
    body (`body_constants`, the constants of the body, carries).

    Where `asked`, every example has a condition of its own: the loop runs until all are done and changes only those
    that are not. Its body then takes (constants of the body, constants of the condition; conditions, carries), and
    its condition (conditions, carries).
    """

    cond: Graph
    body: Graph
    cond_constants: tuple[Any, ...]
    body_constants: tuple[Any, ...]
    moving: Flags
    asked: Graph | None


def batched_loop(
    cond: Graph, body: Graph, size: AxisSize, for_cond: Flags, for_body: Flags, moving: Flags
) -> BatchedLoop:
    """The loop over a leading batch axis of constants and carries where the flags say so."""

    def step(moving: Flags) -> Flags:
        found = batch_graph(body, size, (*for_body, *moving), moving).flags
        asked = batch_graph(cond, size, (*for_cond, *moving))
        return (True,) * len(moving) if asked.flags[0] else found

    moving = settle(moving, step)
    derived = batch_graph(body, size, (*for_body, *moving), moving)
    asked = batch_graph(cond, size, (*for_cond, *moving))
    if not asked.flags[0]:
        return BatchedLoop(asked.graph, derived.graph, asked.constants, derived.constants, moving, None)
    c_count = len(asked.constants) + len(for_cond)
    b_count = len(derived.constants) + len(for_body)
    masked = _masked_step(derived.graph, asked.graph, b_count, c_count).graph
    any_types = masked.in_types[b_count + c_count :]
    any_going = trace_to_graph(lambda go, *_: [ops.reduce_or(go, (0,))], any_types, cond.name).graph
    return BatchedLoop(any_going, masked, asked.constants, derived.constants, moving, asked.graph)


@remembered
def _masked_step(body: Graph, cond: Graph, body_consts: int, cond_consts: int) -> Derived:
    """(constants of body and cond; conditions, carries) -> (conditions, carries): one step of those that go on. The
    others take part in it with the carries of one that goes on (see `_select_all` in control_cond.py)."""

    def step(*values: Any) -> list[Any]:
        b_ops, c_ops, (going, *carried) = parts(values, body_consts, cond_consts)
        news = evaluate_graph(body, [*b_ops, *(borrowed(going, x) for x in carried)])
        kept = [where_rows(going, new, old) for new, old in zip(news, carried)]
        still = evaluate_graph(cond, [*c_ops, *kept])[0]
        return [ops.and_(going, still), *kept]

    types = [*body.in_types[:body_consts], *cond.in_types[:cond_consts]]
    return derive(step, [*types, cond.out_types[0], *body.in_types[body_consts:]], body.name, [])


def started(loop: BatchedLoop, c_ops: Sequence[Any], b_ops: Sequence[Any], init: Sequence[Any]) -> Any:
    """The constants of the condition and of the body, and the first carries, of a batched loop."""
    c_ops, b_ops = [*loop.cond_constants, *c_ops], [*loop.body_constants, *b_ops]
    if loop.asked is None:
        return c_ops, b_ops, list(init)
    # The conditions are the first carry, so that they are computed once per iteration.
    going = evaluate_graph(loop.asked, [*c_ops, *init])[0]
    return [], [*b_ops, *c_ops], [going, *init]

"""The primitive `while`: a loop that runs as long as a condition on what it carries holds.

Operands are (constants of the condition, constants of the body, carries). Forward mode carries tangents along;
the transpose is a primitive of its own, `while_transpose` (control_pull.py), which keeps what the iterations compute,
or, where there is a `budget` (a parameter that is not there otherwise), runs of it over a few iterations each
(control_slots.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext
from typing import Any

import numpy as np

from funcgrad import dtypes
from funcgrad.errors import NotDifferentiableError
from funcgrad.ir import expr
from funcgrad.ir.effects import has_effects, without_effects
from funcgrad.ir.graph import Equation, Graph
from funcgrad.ir.primitive import AxisSize, Linear, Primitive, Sample, Zero
from funcgrad.ir.types import ArrayType, array_type
from funcgrad.prims.calls import interpret
from funcgrad.prims.control_choice import choose, noted
from funcgrad.prims.control_graphs import (
    Flags,
    check_operands,
    chosen,
    depending,
    either,
    execute,
    merged,
    needed_inputs,
    parts,
    pruned,
    pruned_equation,
    reordered,
    with_inputs,
)
from funcgrad.prims.control_pull import pull_loop, pull_within
from funcgrad.prims.control_scan import one_by_one
from funcgrad.prims.control_slots import LoopBudget
from funcgrad.prims.control_steps import batched_loop, pushed_body, settle, started
from funcgrad.trace import ops
from funcgrad.trace.core import bind
from funcgrad.trace.graph_trace import evaluate_graph, trace_to_graph
from funcgrad.transforms.partial import partial_graph
from funcgrad.transforms.vmap import move_batch_axis


def _type(
    *types: ArrayType, cond: Graph, body: Graph, cond_consts: int, body_consts: int, **budget: LoopBudget
) -> tuple[ArrayType, ...]:
    cells = body.in_types[body_consts:]
    check_operands("while", "it", types, [*cond.in_types[:cond_consts], *body.in_types[:body_consts], *cells])
    check_operands("while", "the carry", body.out_types, cells)
    check_operands("while", "the condition", cond.in_types[cond_consts:], cells)
    return body.out_types


def interpret_while(*arrays: Any, **params: Any) -> list[Any]:
    """A while loop in Python with NumPy: the oracle."""
    return _replay(lambda graph, operands, _: interpret(graph, operands), *arrays, **params)


def _replay(
    run: Callable[..., list[Any]],
    *arrays: Any,
    cond: Graph,
    body: Graph,
    cond_consts: int,
    body_consts: int,
    **budget: LoopBudget,
) -> list[Any]:
    for_cond, for_body, carried = parts([np.asarray(a) for a in arrays], cond_consts, body_consts)
    number = 0
    while run(cond, [*for_cond, *carried], f"condition of iteration {number}")[0]:
        carried = [np.asarray(a) for a in run(body, [*for_body, *carried], f"iteration {number}")]
        number += 1
    return carried


def _evaluate(xp: Any, *arrays: Any, body: Graph, **params: Any) -> list[Any]:
    return execute(while_p, [xp.asarray(a) for a in arrays], {"body": body, **params})


def _jvp(
    primals: Sequence[Any],
    tangents: Sequence[Any],
    *,
    cond: Graph,
    body: Graph,
    cond_consts: int,
    body_consts: int,
    **budget: LoopBudget,
):
    nonzero = [t.__class__ is not Zero for t in tangents]
    _, given, moving = map(tuple, parts(nonzero, cond_consts, body_consts))
    pushed, constants, moving = pushed_body(body, given, moving)
    for_cond, for_body, init = parts(primals, cond_consts, body_consts)
    _, body_t, init_t = parts(tangents, cond_consts, body_consts)
    own = [*constants, *for_body, *chosen(body_t, given)]
    outs = bind(
        while_p,
        *for_cond,
        *own,
        *init,
        *map(ops.materialize, chosen(init_t, moving)),
        cond=with_inputs(cond, (), len(cond.inputs), [t.tangent() for t in chosen(body.out_types, moving)]),
        body=pushed,
        cond_consts=cond_consts,
        body_consts=len(own),
        **budget,
    )
    found = iter(outs[len(moving) :])
    return outs[: len(moving)], [
        next(found) if f else Zero(t.tangent()) for f, t in zip(moving, body.out_types)
    ]


def _batch(
    size: AxisSize,
    operands: Sequence[Any],
    axes: Sequence[int | None],
    *,
    cond: Graph,
    body: Graph,
    cond_consts: int,
    body_consts: int,
    **budget: LoopBudget,
):
    batched = [a is not None for a in axes]
    for_cond, for_body, moving = map(tuple, parts(batched, cond_consts, body_consts))
    loop = batched_loop(cond, body, size, for_cond, for_body, moving)
    values = [x if a is None else ops.moveaxis(x, a, 0) for x, a in zip(operands, axes)]
    c_ops, b_ops, init = parts(values, cond_consts, body_consts)
    init = [
        move_batch_axis(x, 0 if was else None, 0, size) if m else x
        for x, was, m in zip(init, moving, loop.moving)
    ]
    choice = None if loop.asked is None else choose("while", size, (cond, body), "its own iterations")
    with noted(choice.note) if choice else nullcontext():
        if choice and choice.each:
            params = {"cond": cond, "body": body, "cond_consts": cond_consts, "body_consts": body_consts}
            params.update(budget)
            return one_by_one(while_p, size, operands, axes, params)
        c_ops, b_ops, init = started(loop, c_ops, b_ops, init)
        outs = bind(
            while_p,
            *c_ops,
            *b_ops,
            *init,
            cond=loop.cond,
            body=loop.body,
            cond_consts=len(c_ops),
            body_consts=len(b_ops),
            **budget,
        )
    return outs[len(outs) - len(moving) :], [0 if m else None for m in loop.moving]


def _partial(
    unknown: Flags,
    operands: Sequence[Any],
    record: Callable[..., Any],
    *,
    cond: Graph,
    body: Graph,
    cond_consts: int,
    body_consts: int,
    **budget: LoopBudget,
) -> list[Any]:
    params = {"cond": cond, "body": body, "cond_consts": cond_consts, "body_consts": body_consts, **budget}
    asked, given, moving = map(tuple, parts(unknown, cond_consts, body_consts))
    moving = settle(moving, lambda m: partial_graph(body, (*given, *m), m).out_unknown)
    split = partial_graph(body, (*given, *moving), moving)
    known = split.known.graph
    if any(depending(cond, (*asked, *moving))) or (all(moving) and not has_effects(known)):
        return record(while_p, operands, params)
    outs = record(while_p, operands, {**params, "cond": without_effects(cond), "body": without_effects(body)})
    for_cond, for_body, init = parts(operands, cond_consts, body_consts)
    own = [*split.constants, *chosen(for_body, given, False)]
    kept = [k for k, m in enumerate((*(False,) * cond_consts, *moving)) if not m]
    known_outs = bind(
        while_p,
        *for_cond,
        *own,
        *chosen(init, moving, False),
        cond=reordered(cond, kept, (0,)),
        body=reordered(known, range(len(known.inputs)), range(moving.count(False))),
        cond_consts=cond_consts,
        body_consts=len(own),
        **budget,
    )
    return merged(moving, chosen(outs, moving), known_outs)


def _transpose(
    cotangents: Sequence[Any],
    *operands: Any,
    cond: Graph,
    body: Graph,
    cond_consts: int,
    body_consts: int,
    **budget: LoopBudget,
) -> list[Any]:
    linear = [x.__class__ is Linear for x in operands]
    asked, given, moving = map(tuple, parts(linear, cond_consts, body_consts))
    starts = moving
    moving = settle(moving, lambda m: partial_graph(body, (*given, *m), m).out_unknown)
    if any(depending(cond, (*asked, *moving))):
        raise NotDifferentiableError(
            "while_loop: the condition depends on what the loop is transposed for, so it is not linear in it"
        )
    for_cond, for_body, init = parts(operands, cond_consts, body_consts)
    loop = (
        cond,
        body,
        (*given, *moving),
        for_cond,
        chosen(for_body, given, False),
        chosen(init, moving, False),
    )
    cts = [ops.materialize(c) for c in chosen(cotangents, moving)]
    pulled = pull_within(budget["budget"], *loop, cts) if budget else pull_loop(*loop, cts)
    found_consts, found_init = iter(pulled[: sum(given)]), iter(pulled[sum(given) :])
    of_init = [next(found_init) if m else None for m in moving]
    return [
        *(None for _ in asked),
        *(next(found_consts) if g else None for g in given),
        *(ct if was else None for ct, was in zip(of_init, starts)),
    ]


def _prune(equation: Equation, used: Flags) -> Equation | None:
    cond, body, c, b = (equation.params[k] for k in ("cond", "body", "cond_consts", "body_consts"))
    asked, deciding = map(tuple, parts(needed_inputs(cond, (True,)), c))
    moving = either(used, deciding)
    while True:
        given, feeding = map(tuple, parts(needed_inputs(body, moving), b))
        found = either(moving, feeding)
        if found == moving:
            break
        moving = found
    inputs = (*asked, *given, *moving)
    if all(inputs):
        return None
    params = {
        "cond": pruned(cond, (*asked, *moving), (True,)),
        "body": pruned(body, (*given, *moving), moving),
        "cond_consts": sum(asked),
        "body_consts": sum(given),
    }
    return pruned_equation(equation, inputs, moving, params)


def _thread(
    step: Callable[[Graph], Graph],
    state: Sequence[Any],
    *operands: Any,
    cond: Graph,
    body: Graph,
    cond_consts: int,
    body_consts: int,
    **budget: LoopBudget,
):
    """The condition's answer becomes a carry, so that the state goes through the condition too."""
    count = len(state)
    for_cond, for_body, init = parts(operands, cond_consts, body_consts)
    asked, inner = step(cond), step(body)
    first = evaluate_graph(asked, [*state, *for_cond, *init])
    types = [*asked.in_types[:count], cond.out_types[0], *body.out_types]

    def next_step(*values: Any) -> list[Any]:
        b_ops, c_ops, before, (_, *carried) = parts(values, body_consts, cond_consts, count)
        after, carried = parts(evaluate_graph(inner, [*before, *b_ops, *carried]), count)
        after, going = parts(evaluate_graph(asked, [*after, *c_ops, *carried]), count)
        return [*after, *going, *carried]

    in_types = [*body.in_types[:body_consts], *cond.in_types[:cond_consts], *types]
    outs = bind(
        while_p,
        *for_body,
        *for_cond,
        *first,
        *init,
        cond=trace_to_graph(lambda *values: [values[count]], types, cond.name).graph,
        body=trace_to_graph(next_step, in_types, body.name).graph,
        cond_consts=0,
        body_consts=body_consts + cond_consts,
        **budget,
    )
    return outs[:count], outs[count + 1 :]


def _lower(
    in_types: Sequence[ArrayType],
    out_types: Sequence[ArrayType],
    *,
    cond: Graph,
    body: Graph,
    cond_consts: int,
    body_consts: int,
    **budget: LoopBudget,
):
    attributes = (("body_consts", body_consts), ("cond_consts", cond_consts))
    return expr.Region("while", attributes, (cond, body), tuple(range(cond_consts + body_consts)))


def _samples() -> Iterable[Sample]:
    vector, scalar = array_type((3,), dtypes.float32), array_type((), dtypes.float32)
    bound = lambda limit, x, total: [ops.lt(total, limit)]  # noqa: E731
    cond = trace_to_graph(bound, [scalar, vector, scalar], "sample").graph

    def step(w: Any, x: Any, total: Any) -> list[Any]:
        x = ops.mul(ops.cos(x), w)
        return [x, ops.add(total, ops.add(ops.reduce_sum(ops.square(x), (0,)), 0.5))]

    body = trace_to_graph(step, [vector, vector, scalar], "sample").graph

    def draw(*shape: int):
        return lambda rng: np.asarray(rng.uniform(0.5, 1.0, shape)).astype(np.float32)

    params = {"cond": cond, "body": body, "cond_consts": 1, "body_consts": 1}
    for limit in (6.0, 0.0):
        given = lambda rng, limit=limit: np.float32(limit)  # noqa: E731
        yield Sample((given, draw(3), draw(3), draw()), params, (1, 2, 3))


def _depends(*args: Any, **params: Any) -> list[Any]:
    from funcgrad.prims.control_dependence import of_while  # imports scipy.sparse

    return of_while(*args, **params)


while_p = Primitive(
    name="while",
    type_rule=_type,
    evaluate=_evaluate,
    jvp=_jvp,
    transpose=_transpose,
    batch=_batch,
    partial=_partial,
    lower=_lower,
    samples=_samples,
    prune=_prune,
    replay=_replay,
    thread=_thread,
    depends=_depends,
    multiple_results=True,
)

"""The primitive `while_transpose`: pulls cotangents back through a while loop that is linear in some of its values.

Operands are (own constants, constants of the condition, known constants of the body, known first carries, zeros
for the linear constants, cotangents of the linear carries); results are the cotangents of the linear constants of
the body and of the linear first carries. The loop runs once more, forward, and keeps on a growing tape what the
transposed body needs; then that one runs backward over the tape.

`linear` says which constants of the body and which carries are linear. `known` is one step forward: (own constants,
known constants; known carries) -> (known carries; what goes on the tape). `pulled` is one step backward: (own
constants, known constants; sums of the constants' cotangents, cotangents of the carries; what is on the tape) ->
(sums, cotangents). Both are made from `body`, on which the rules work: of their own constants, `extras` in number,
nothing is ever differentiated or batched.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from funcgrad import dtypes
from funcgrad.ir import expr
from funcgrad.ir.cse import cse
from funcgrad.ir.graph import Graph, Var
from funcgrad.ir.primitive import AxisSize, Linear, Primitive, Sample, Zero, primitive_named
from funcgrad.ir.types import ArrayType, array_type
from funcgrad.prims.calls import interpret, without_calls
from funcgrad.prims.control_choice import choose, noted
from funcgrad.prims.control_graphs import (
    Flags,
    check_operands,
    chosen,
    execute,
    memoised,
    merged,
    parts,
    reordered,
    slice_of,
    with_inputs,
)
from funcgrad.prims.control_residuals import computed_again, kept_values
from funcgrad.prims.control_scan import one_by_one
from funcgrad.prims.control_slots import LoopBudget, Plan, backward_in_slots, planned
from funcgrad.prims.control_steps import batched_loop, pushed_body, started
from funcgrad.trace import ops
from funcgrad.trace.core import bind, type_of
from funcgrad.trace.graph_trace import (
    Derived,
    derive,
    evaluate_graph,
    remembered,
    trace_to_graph,
)
from funcgrad.transforms.partial import linearize, partial_graph
from funcgrad.transforms.transpose import pull_back
from funcgrad.transforms.vmap import move_batch_axis

RECORD_ALIGNMENT = 16
"""What the bytes of a value on a tape are a multiple of: the alignment of memory from the system."""

THREADED_SLOTS = 64
"""Where the backward pass finds what a loop carries, while a state goes through it: each iteration is computed again
a few times."""


def pull_loop(
    cond: Graph,
    body: Graph,
    linear: Flags,
    for_cond: Sequence[Any],
    for_body: Sequence[Any],
    init: Sequence[Any],
    cotangents: Sequence[Any],
) -> list[Any]:
    """The cotangents of the constants of the body and of the first carries where `linear`.

    `for_body` and `init` are those that are not. The carries have to be settled: none that is known may depend on
    one that is linear.
    """
    count = len(body.inputs) - len(body.outputs)
    known, pulled = _halves(body, linear, count)
    return bind(
        while_transpose_p,
        *known.constants,
        *pulled.constants,
        *for_cond,
        *for_body,
        *init,
        *(ops.zeros(t) for t in chosen(body.in_types[:count], linear[:count])),
        *cotangents,
        cond=cond,
        body=body,
        known=known.graph,
        pulled=pulled.graph,
        linear=linear,
        cond_consts=len(for_cond),
        extras=(len(known.constants), len(pulled.constants)),
    )


def pull_within(
    budget: LoopBudget,
    cond: Graph,
    body: Graph,
    linear: Flags,
    for_cond: Sequence[Any],
    for_body: Sequence[Any],
    init: Sequence[Any],
    cotangents: Sequence[Any],
) -> list[Any]:
    """What `pull_loop` gives, from at most so many bytes (or the least that does)."""
    count = len(body.inputs) - len(body.outputs)
    sizes = sum(t.nbytes for t in map(type_of, init))
    plan = planned(budget.bytes, budget.steps, taped_bytes(body, linear), sizes) or Plan(1, 1)
    asked, step = _forward(cond, body, linear, for_cond, for_body)
    counted, flags = _counting(body, count), (*linear[:count], False, *linear[count:])

    def pull(now: Any, number: Any, carried: Sequence[Any], pulled: Sequence[Any]) -> list[Any]:
        sums, cts = parts(pulled, sum(linear[:count]))
        found = pull_loop(*counted, flags, [number], for_body, [np.int64(0), *carried], cts)
        added, cts = parts(found, len(sums))
        return [*map(ops.add, sums, added), *cts]

    sums = [ops.zeros(t.strong()) for t in chosen(body.in_types[:count], linear[:count])]
    return backward_in_slots(plan, budget.steps, asked, step, init, pull, [*sums, *cotangents])


def _forward(cond: Graph, body: Graph, linear: Flags, for_cond: Sequence[Any], for_body: Sequence[Any]):
    """The condition and a step forward as functions of the known carries."""
    count = len(body.inputs) - len(body.outputs)
    asked = asked_of_known(cond, len(for_cond), linear[count:])
    inputs, outputs = chosen(body.inputs, linear, False), chosen(body.outputs, linear[count:], False)
    known = memoised(body, ("known step", linear), lambda: slice_of(body, inputs, outputs))
    return (
        lambda carries: evaluate_graph(asked, [*for_cond, *carries])[0],
        lambda carries: evaluate_graph(known, [*for_body, *carries]),
    )


def _counting(body: Graph, count: int) -> tuple[Graph, Graph]:
    """A loop of so many iterations: (number; n, carries) -> whether n is less, and a step that counts."""
    number = array_type((), dtypes.int64)
    types = [number, *body.in_types[count:]]

    def step(*values: Any) -> list[Any]:
        consts, (n,), carries = parts(values, count, 1)
        return [ops.add(n, 1), *evaluate_graph(body, [*consts, *carries])]

    def make() -> tuple[Graph, Graph]:
        asked = trace_to_graph(lambda number, n, *_: [ops.lt(n, number)], [number, *types], body.name)
        return asked.graph, trace_to_graph(step, [*body.in_types[:count], *types], body.name).graph

    return memoised(body, ("counting", count), make)


def _halves(body: Graph, linear: Flags, count: int) -> tuple[Derived, Derived]:
    """One step forward, which gives the carries and what goes on the tape, and one step backward."""
    moving = linear[count:]
    split = partial_graph(body, linear, moving)
    calls = split.known.graph
    graph, carries = memoised(calls, ("no repeats",), lambda: cse(without_calls(calls))), moving.count(False)
    constants = graph.inputs[: len(graph.inputs) - carries]
    kept = kept_values(graph, constants, graph.outputs[carries:])
    pulled = _pulled_step(split.linear, graph, kept, carries, sum(linear[:count]))
    outputs = (*graph.outputs[:carries], *kept)
    key = ("forward", kept)
    known = memoised(graph, key, lambda: slice_of(graph, graph.inputs, outputs, effects=True))
    own = split.known.constants
    return Derived(known, own), Derived(pulled.graph, (*pulled.constants, *own))


def record_bytes(body: Graph, consts: int) -> int:
    """The bytes that an iteration of a loop with this body leaves on the tape, where all numbers have derivatives."""
    moves = [dtypes.is_inexact(t.dtype) for t in body.in_types]
    given, moving = tuple(moves[:consts]), tuple(moves[consts:])
    pushed, own, moving = pushed_body(body, given, moving)
    linear = (
        *(False,) * (len(own) + consts),
        *(True,) * sum(given),
        *(False,) * len(moving),
        *(True,) * sum(moving),
    )
    return taped_bytes(pushed, linear)


def taped_bytes(body: Graph, linear: Flags) -> int:
    """The bytes that an iteration leaves on the tape."""
    count = len(body.inputs) - len(body.outputs)
    known, _ = _halves(body, linear, count)
    sizes = [t.nbytes for t in known.graph.out_types[linear[count:].count(False) :]]
    return sum(-(-size // RECORD_ALIGNMENT) * RECORD_ALIGNMENT for size in sizes)


@remembered
def _pulled_step(linear: Graph, known: Graph, kept: tuple[Var, ...], carries: int, sums: int) -> Derived:
    """One step backward. What is not `kept` on the tape is computed again."""
    carry = len(linear.outputs)
    residuals = known.outputs[carries:]
    constants = known.inputs[: len(known.inputs) - carries]
    moving = linear.inputs[len(residuals) :]
    again = computed_again(known, constants, kept, residuals)
    own = len(constants)

    def step(*values: Any) -> list[Any]:
        own_values, cts, tape = parts(values, own, sums + carry)
        held = evaluate_graph(again, [*own_values, *tape])
        found = pull_back(linear, [*held, *(Linear(v.type) for v in moving)], cts[sums:])
        return [
            *map(ops.add_cotangents, found[:sums], cts[:sums]),
            *map(ops.materialize, found[sums:]),
        ]

    types = [*(v.type for v in constants), *(v.type for v in moving), *(v.type.strong() for v in kept)]
    return derive(step, types, linear.name + ".transpose", [])


def _operands(operands: Sequence[Any], linear: Flags, body: Graph, cond_consts: int, extras: tuple[int, int]):
    """The operands without own constants and zeros: (constants of the condition, of the body, first carries,
    cotangents)."""
    count = len(body.inputs) - len(body.outputs)
    sizes = (cond_consts, linear[:count].count(False), linear[count:].count(False), sum(linear[:count]))
    for_cond, for_body, init, _, cts = parts(operands[sum(extras) :], *sizes)
    return for_cond, for_body, init, cts


def _type(
    *types: ArrayType,
    cond: Graph,
    body: Graph,
    known: Graph,
    pulled: Graph,
    linear: Flags,
    cond_consts: int,
    extras: tuple[int, int],
) -> tuple[ArrayType, ...]:
    name = "while_transpose"
    for_cond, for_body, init, cts = _operands(types, linear, body, cond_consts, extras)
    count = len(body.inputs) - len(body.outputs)
    given, moving = linear[:count], linear[count:]
    consts, cells = body.in_types[:count], body.in_types[count:]
    check_operands(name, "the condition", for_cond, cond.in_types[:cond_consts])
    check_operands(name, "the body", for_body, chosen(consts, given, False))
    check_operands(name, "the carry", init, chosen(cells, moving, False))
    check_operands(name, "the transposed carry", cts, chosen(cells, moving))
    check_operands(name, "a step", types[: extras[0]], known.in_types[: extras[0]])
    return tuple([t.strong() for t in chosen(body.in_types, linear)])


def asked_of_known(cond: Graph, cond_consts: int, moving: Flags) -> Graph:
    """The condition as a graph of its constants and the known carries."""
    kept = [k for k, m in enumerate((*(False,) * cond_consts, *moving)) if not m]
    return reordered(cond, kept, (0,))


def interpret_while_transpose(*arrays: Any, **params: Any) -> list[Any]:
    """Forward and backward in Python with NumPy: the oracle."""
    return _replay(lambda graph, operands, _: interpret(graph, operands), *arrays, **params)


def _replay(
    run: Callable[..., list[Any]],
    *arrays: Any,
    cond: Graph,
    body: Graph,
    known: Graph,
    pulled: Graph,
    linear: Flags,
    cond_consts: int,
    extras: tuple[int, int],
) -> list[Any]:
    arrays = tuple([np.asarray(a) for a in arrays])
    for_cond, for_body, carried, cts = _operands(arrays, linear, body, cond_consts, extras)
    own, own_pulled, _ = parts(arrays, *extras)
    count = len(body.inputs) - len(body.outputs)
    asked = asked_of_known(cond, cond_consts, linear[count:])
    tape: list[list[Any]] = []
    size = len(carried)
    while run(asked, [*for_cond, *carried], f"condition of iteration {len(tape)}")[0]:
        outs = [np.asarray(a) for a in run(known, [*own, *for_body, *carried], f"iteration {len(tape)}")]
        carried = outs[:size]
        tape.append(outs[size:])
    sums = [np.zeros(t.shape, t.dtype) for t in chosen(body.in_types[:count], linear[:count])]
    pulling = [*sums, *cts]
    while tape:
        operands = [*own_pulled, *for_body, *pulling, *tape.pop()]
        pulling = [np.asarray(a) for a in run(pulled, operands, f"iteration {len(tape)}, backward,")]
    return pulling


def _evaluate(xp: Any, *arrays: Any, body: Graph, **params: Any) -> list[Any]:
    return execute(while_transpose_p, [xp.asarray(a) for a in arrays], {"body": body, **params})


def _jvp(
    primals: Sequence[Any],
    tangents: Sequence[Any],
    *,
    cond: Graph,
    body: Graph,
    linear: Flags,
    cond_consts: int,
    extras: tuple[int, int],
    **halves: Graph,
):
    """Let A be the loop's linear map and A' its derivative along the tangents of what is known. The loop over the
    carries and their tangents maps (y, 0) to (A y, A' y); its transpose, of the cotangents' tangents and the
    cotangents, is the derivative of the transpose of A."""
    for_cond, for_body, init, cts = _operands(primals, linear, body, cond_consts, extras)
    _, body_t, init_t, cts_t = _operands(tangents, linear, body, cond_consts, extras)
    outs = pull_loop(cond, body, linear, for_cond, for_body, init, cts)
    count = len(body.inputs) - len(body.outputs)
    given, moving = linear[:count], linear[count:]
    if all(t.__class__ is Zero for t in (*body_t, *init_t)):
        if all(t.__class__ is Zero for t in cts_t):
            return outs, [Zero(type_of(o)) for o in outs]
        pushed = [ops.materialize(t) for t in cts_t]
        return outs, pull_loop(cond, body, linear, for_cond, for_body, init, pushed)
    nonzero = iter([t.__class__ is not Zero for t in (*body_t, *init_t)])
    of_consts = tuple([False if g else next(nonzero) for g in given])
    of_carries = tuple([True if m else next(nonzero) for m in moving])
    graph, constants, of_carries = pushed_body(body, of_consts, of_carries)
    known_t = iter(init_t)
    starts = [None if m else next(known_t) for m in moving]
    own = (False,) * len(constants)
    tangent_consts, tangent_carries = (False,) * sum(of_consts), chosen(moving, of_carries)
    types = [t.tangent() for t in chosen(body.out_types, of_carries)]
    found = pull_loop(
        with_inputs(cond, (), len(cond.inputs), types),
        graph,
        (*own, *given, *tangent_consts, *moving, *tangent_carries),
        for_cond,
        [*constants, *for_body, *(t for t in body_t if t.__class__ is not Zero)],
        [*init, *(ops.materialize(t) for t, f in zip(starts, of_carries) if f and t is not None)],
        [*map(ops.materialize, cts_t), *cts],
    )
    return outs, found[: len(outs)]


def _transpose(
    cotangents: Sequence[Any],
    *operands: Any,
    cond: Graph,
    body: Graph,
    linear: Flags,
    cond_consts: int,
    extras: tuple[int, int],
    **halves: Graph,
) -> list[Any]:
    """The transpose of what is linear in some of the known values and cotangents together: the derivatives of the
    loop with the cotangents of the results as its linear values, at zero."""
    for_cond, for_body, init, cts = _operands(operands, linear, body, cond_consts, extras)
    count = len(body.inputs) - len(body.outputs)
    given, moving = linear[:count], linear[count:]
    at = [ops.zeros(x.type) if x.__class__ is Linear else x for x in (*for_body, *init)]
    varied = [x.__class__ is Linear for x in (*for_body, *init)]
    values = [ops.materialize(c) for c in cotangents]

    def loop(*moved: Any) -> list[Any]:
        known = merged(varied, moved, chosen(at, varied, False))
        consts, carries = parts(known, len(for_body))
        outs = bind(
            primitive_named("while"),
            *for_cond,
            *merged(given, values[: sum(given)], consts),
            *merged(moving, values[sum(given) :], carries),
            cond=cond,
            body=body,
            cond_consts=cond_consts,
            body_consts=count,
        )
        return chosen(outs, moving)

    outs, derivative = linearize(loop, chosen(at, varied))
    of_known: list[Any] = []
    if any(varied):
        own = derivative.closed.constants
        inputs = derivative.closed.graph.inputs[len(own) :]
        seeds = [
            ops.zeros(c.type) if c.__class__ is Linear else c
            for c, f in zip(cts, derivative.out_nonzero)
            if f
        ]
        of_known = pull_back(derivative.closed.graph, [*own, *(Linear(v.type) for v in inputs)], seeds)
    found = iter(of_known)
    return [
        *(None for _ in range(sum(extras) + cond_consts)),
        *(next(found) if v else None for v in varied),
        *(None for _ in range(sum(given))),
        *(o if c.__class__ is Linear else None for c, o in zip(cts, outs)),
    ]


def _batch(
    size: AxisSize,
    operands: Sequence[Any],
    axes: Sequence[int | None],
    *,
    cond: Graph,
    body: Graph,
    linear: Flags,
    cond_consts: int,
    extras: tuple[int, int],
    **halves: Graph,
):
    count = len(body.inputs) - len(body.outputs)
    given, moving = linear[:count], linear[count:]
    params = {"cond": cond, "body": body, "linear": linear, "cond_consts": cond_consts, "extras": extras}
    values = [x if a is None else ops.moveaxis(x, a, 0) for x, a in zip(operands, axes)]
    batched = [a is not None for a in axes]
    for_cond, for_body, init, cts = _operands(values, linear, body, cond_consts, extras)
    c_flags, b_flags, i_flags, ct_flags = _operands(batched, linear, body, cond_consts, extras)
    b_all = tuple(merged(given, [True] * sum(given), b_flags))
    i_all = tuple(merged(moving, [True] * sum(moving), i_flags))
    loop = batched_loop(cond, body, size, tuple(c_flags), b_all, i_all)
    if loop.asked is not None:
        choice = choose("the transpose of while", size, (cond, body), "its own iterations")
        with noted(choice.note):
            if choice.each:
                return one_by_one(while_transpose_p, size, operands, axes, {**params, **halves})
    known_moving = chosen(loop.moving, moving, False)
    init = [
        move_batch_axis(x, 0 if was else None, 0, size) if m else x
        for x, was, m in zip(init, i_flags, known_moving)
    ]
    cts = [move_batch_axis(c, 0 if was else None, 0, size) for c, was in zip(cts, ct_flags)]
    own = (False,) * len(loop.body_constants)
    if loop.asked is None:
        flags = (*own, *given, *moving)
        consts = [*loop.body_constants, *for_body]
        c_ops = [*loop.cond_constants, *for_cond]
        return _all_batched(pull_loop(loop.cond, loop.body, flags, c_ops, consts, init, cts))
    blanks = [ops.zeros(t) for t in loop.body.in_types[len(loop.body.in_types) - len(moving) :]]
    full = merged(moving, chosen(blanks, moving), init)
    consts_full = merged(given, [None] * sum(given), for_body)
    c_ops, b_ops, first = started(loop, for_cond, consts_full, full)
    flags = (*own, *given, *(False,) * (len(b_ops) - len(own) - count), False, *moving)
    known_b = [b for b, f in zip(b_ops, flags) if not f]
    return _all_batched(pull_loop(loop.cond, loop.body, flags, c_ops, known_b, [first[0], *init], cts))


def _all_batched(outs: list[Any]) -> tuple[list[Any], list[int]]:
    return outs, [0] * len(outs)


def _thread(
    step: Callable[[Graph], Graph],
    state: Sequence[Any],
    *operands: Any,
    cond: Graph,
    body: Graph,
    known: Graph,
    pulled: Graph,
    linear: Flags,
    cond_consts: int,
    extras: tuple[int, int],
):
    """The state goes through a loop from unit to unit, each of one iteration, without a tape."""
    count = len(body.inputs) - len(body.outputs)
    size = linear[count:].count(False)

    def backward(*operands: Any) -> list[Any]:
        for_cond, for_body, init, cts = _operands(operands, linear, body, cond_consts, extras)
        own, own_pulled, _ = parts(operands, *extras)
        asked, forward = _forward(cond, body, linear, for_cond, for_body)

        def pull(now: Any, number: Any, carried: Sequence[Any], before: Sequence[Any]) -> list[Any]:
            values = [*own, *own_pulled, *for_body, *carried, *before]
            return bind(primitive_named("cond"), ops.convert(now, dtypes.int32), *values, branches=branches)

        def one(*values: Any) -> list[Any]:
            own, own_pulled, for_body, carried, before = parts(values, *extras, len(for_body_types), size)
            kept = evaluate_graph(known, [*own, *for_body, *carried])[size:]
            return evaluate_graph(pulled, [*own_pulled, *for_body, *before, *kept])

        for_body_types = [*map(type_of, for_body)]
        zeros = [ops.zeros(t.strong()) for t in chosen(body.in_types[:count], linear[:count])]
        first = [*zeros, *cts]
        types = [t.strong() for t in map(type_of, [*own, *own_pulled, *for_body, *init, *first])]
        idle = trace_to_graph(lambda *values: values[len(values) - len(first) :], types, "idle")
        branches = (idle.graph, trace_to_graph(one, types, pulled.name).graph)
        return backward_in_slots(Plan(1, THREADED_SLOTS), None, asked, forward, init, pull, first)

    closed = trace_to_graph(backward, [type_of(x) for x in operands], body.name)
    outs = evaluate_graph(step(closed.graph), [*state, *closed.constants, *operands])
    return outs[: len(state)], outs[len(state) :]


def _partial(unknown: Flags, operands: Sequence[Any], record: Callable[..., Any], **params: Any) -> list[Any]:
    return record(while_transpose_p, operands, params)


def _lower(
    in_types: Sequence[ArrayType],
    out_types: Sequence[ArrayType],
    *,
    cond: Graph,
    body: Graph,
    known: Graph,
    pulled: Graph,
    linear: Flags,
    cond_consts: int,
    extras: tuple[int, int],
):
    count = len(body.inputs) - len(body.outputs)
    asked = asked_of_known(cond, cond_consts, linear[count:])
    attributes = {
        "extras": extras,
        "cond_consts": cond_consts,
        "body_consts": linear[:count].count(False),
        "carry": linear[count:].count(False),
    }
    fixed = range(sum(extras) + cond_consts + linear[:count].count(False))
    return expr.Region(
        "while_transpose", tuple(sorted(attributes.items())), (asked, known, pulled), tuple(fixed)
    )


def _samples() -> Iterable[Sample]:
    """A loop that scales a linear carry by what it computes of a known one."""
    vector, scalar = array_type((3,), dtypes.float32), array_type((), dtypes.float32)
    cond = trace_to_graph(
        lambda limit, x, n, y: [ops.lt(n, limit)], [scalar, vector, scalar, vector], "sample"
    )

    def step(w: Any, c: Any, x: Any, n: Any, y: Any) -> list[Any]:
        x = ops.mul(ops.cos(x), w)
        return [x, ops.add(n, 1.0), ops.add(ops.mul(ops.sin(x), ops.mul(y, w)), c)]

    body = trace_to_graph(step, [vector, vector, vector, scalar, vector], "sample").graph
    linear = (False, True, False, False, True)
    known, pulled = _halves(body, linear, 2)
    params = {
        "cond": cond.graph,
        "body": body,
        "known": known.graph,
        "pulled": pulled.graph,
        "linear": linear,
        "cond_consts": 1,
        "extras": (0, 0),
    }

    def draw(*shape: int):
        return lambda rng: np.asarray(rng.uniform(0.5, 1.0, shape)).astype(np.float32)

    for limit in (2.0, 0.0):
        given = lambda rng, limit=limit: np.float32(limit)  # noqa: E731
        zero = lambda rng: np.float32(0)  # noqa: E731
        yield Sample((given, draw(3), draw(3), zero, np.zeros(3, np.float32), draw(3)), params, (1, 2, 5))


while_transpose_p = Primitive(
    name="while_transpose",
    type_rule=_type,
    evaluate=_evaluate,
    jvp=_jvp,
    transpose=_transpose,
    batch=_batch,
    partial=_partial,
    lower=_lower,
    replay=_replay,
    thread=_thread,
    samples=_samples,
    multiple_results=True,
)

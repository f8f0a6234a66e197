"""Steps of control flow: the sub-graphs are optimised, lowered and placed on their own, and the step says how
their operands and results go with the values around it.

Carried values have one buffer where the body can update them in place, else two that change roles after each
iteration; `runtime/regions.py` makes jumps of all this.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any

import numpy as np

from funcgrad.ir import expr as E
from funcgrad.ir.graph import Atom, Equation, Graph, Literal, Var
from funcgrad.ir.primitive import primitive_named
from funcgrad.ir.types import ArrayType
from funcgrad.lower.lowered import BranchStep, Lowered, RegionStep, ScanStep, TapeStep, WhileStep
from funcgrad.lower.memory import ALIGNMENT, aligned
from funcgrad.lower.placement import Buffer, Operand, Placement, place
from funcgrad.passes import pipeline
from funcgrad.prims.control_pull import RECORD_ALIGNMENT

Lower = Callable[[Graph, Collection[Var]], Lowered]


def region_step(
    region: E.Region,
    inputs: Sequence[Atom],
    outputs: tuple[Var, ...],
    lower: Lower,
    label: str,
    sources: tuple[str, ...],
) -> tuple[RegionStep, tuple[str, ...]]:
    """The step of a region, and the reasons for which its bodies were not fused further."""
    made = {"scan": _scan, "while": _while, "while_transpose": _tape, "cond": _branch}[region.name]
    step, lowered = made(region, inputs, outputs, lower, {"label": label, "sources": sources})
    return step, tuple(reason for one in lowered for reason in one.reasons)


def _scan(region: E.Region, inputs: Sequence[Atom], outputs: tuple[Var, ...], lower: Lower, origin: Any):
    settings = dict(region.attributes)
    consts, carry = settings["consts"], settings["carry"]
    literals, kept = literal_inputs(inputs, range(consts))
    body = lower(*prepared(region.graphs[0], literals, consts))
    consts -= len(literals)
    placed, single = _carrying(body, consts, carry)
    scratch, buffers, arena = _scratch(outputs[:carry], single, [placed])
    settings["consts"] = consts
    step = ScanStep((placed,), tuple(kept), outputs, scratch, arena, buffers, **origin, **settings)
    return step, [body]


def _while(region: E.Region, inputs: Sequence[Atom], outputs: tuple[Var, ...], lower: Lower, origin: Any):
    settings = dict(region.attributes)
    c, b = settings["cond_consts"], settings["body_consts"]
    for_cond, kept_cond = literal_inputs(inputs[:c], range(c))
    for_body, kept_body = literal_inputs(inputs[c : c + b], range(b))
    cond = lower(*prepared(region.graphs[0], for_cond, None))
    body = lower(*prepared(region.graphs[1], for_body, b))
    placed, single = _carrying(body, len(kept_body), len(outputs))
    asked = place(cond)
    scratch, buffers, arena = _scratch(outputs, single, [asked, placed], ALIGNMENT)
    inputs = (*kept_cond, *kept_body, *inputs[c + b :])
    step = WhileStep(
        (asked, placed),
        inputs,  # type: ignore[arg-type]
        outputs,
        scratch,
        arena,
        buffers,
        cond_consts=len(kept_cond),
        body_consts=len(kept_body),
        answer=scratch.type.size - ALIGNMENT,
        **origin,
    )
    return step, [cond, body]


def _tape(region: E.Region, inputs: Sequence[Atom], outputs: tuple[Var, ...], lower: Lower, origin: Any):
    settings = dict(region.attributes)
    c, b, carry = settings["cond_consts"], settings["body_consts"], settings["carry"]
    own, own_pulled = settings["extras"]
    start = own + own_pulled + c
    shared = inputs[start : start + b]
    for_cond, kept_cond = literal_inputs(inputs[start - c : start], range(c))
    for_known, kept_known = literal_inputs((*inputs[:own], *shared), range(own + b))
    for_pulled, kept_pulled = literal_inputs(
        (*inputs[own : own + own_pulled], *shared), range(own_pulled + b)
    )
    asked = lower(*prepared(region.graphs[0], for_cond, None))
    known = lower(*prepared(region.graphs[1], for_known, own + b))
    pulled = lower(*prepared(region.graphs[2], for_pulled, own_pulled + b))
    forward, single = _carrying(known, len(kept_known), carry)
    backward, single_pulled = _carrying(pulled, len(kept_pulled), len(outputs))
    asking = place(asked)
    carries = tuple([Var(a.type.strong()) for a in region.graphs[1].outputs[:carry]])
    all_outputs = (*carries, *outputs)
    scratch, buffers, arena = _scratch(
        all_outputs, (*single, *single_pulled), [asking, forward, backward], ALIGNMENT
    )
    offsets, size = [], 0
    for bytes_ in forward.sizes[carry:]:
        offsets.append(size)
        size += -(-bytes_ // RECORD_ALIGNMENT) * RECORD_ALIGNMENT
    step = TapeStep(
        (asking, forward, backward),
        (*kept_cond, *kept_known, *kept_pulled, *inputs[start + b :]),  # type: ignore[arg-type]
        all_outputs,
        scratch,
        arena,
        buffers,
        counts=(len(kept_cond), len(kept_known), len(kept_pulled), carry),
        answer=scratch.type.size - ALIGNMENT,
        offsets=tuple(offsets),
        size=size,
        **origin,
    )
    return step, [asked, known, pulled]


def _branch(region: E.Region, inputs: Sequence[Atom], outputs: tuple[Var, ...], lower: Lower, origin: Any):
    literals, kept = literal_inputs(inputs, region.inlined)
    inner = {k - 1: v for k, v in literals.items()}
    bodies = [lower(*prepared(g, inner, None)) for g in region.graphs]
    placed = tuple(map(place, bodies))
    scratch, _, arena = _scratch((), (), placed)
    return BranchStep(placed, tuple(kept), outputs, scratch, arena, **origin), bodies


def literal_inputs(inputs: Sequence[Atom], positions: Sequence[int]) -> tuple[dict[int, Literal], list[Any]]:
    """The literals at these positions, and the inputs without them."""
    found = {k: a for k in positions if isinstance(a := inputs[k], Literal)}
    return found, [a for k, a in enumerate(inputs) if k not in found]


def prepared(graph: Graph, literals: dict[int, Literal], consts: int | None) -> tuple[Graph, tuple[Var, ...]]:
    """The graph after the passes, with literals for some inputs; and the outputs that are copies.

    Outputs that are literals, inputs, or come twice are copied, so that each result is written where it belongs by
    the kernel that computes its neighbours. Not so a carry that stays as it is: input `consts + k`, output k.
    """
    kept = graph.inputs
    if literals:
        env: dict[Atom, Atom] = {graph.inputs[k]: v for k, v in literals.items()}
        equations = [
            Equation(e.primitive, [env.get(a, a) for a in e.inputs], e.outputs, e.params, e.source)
            for e in graph.equations
        ]
        inputs = tuple([v for v in graph.inputs if v not in env])
        graph = Graph(inputs, tuple(equations), tuple([env.get(a, a) for a in graph.outputs]), graph.name)
    graph = pipeline.run(graph)
    copy = primitive_named("broadcast_in_dim")
    seen: set[Atom] = set(graph.inputs)
    equations, outputs, copies = list(graph.equations), list(graph.outputs), []
    for k, atom in enumerate(graph.outputs):
        if consts is not None and consts + k < len(kept) and atom is kept[consts + k]:
            continue
        if isinstance(atom, Var) and atom not in seen:
            seen.add(atom)
            continue
        outputs[k] = var = Var(atom.type.strong())
        copies.append(var)
        shape = atom.type.shape
        params = {"shape": shape, "broadcast_dimensions": tuple(range(len(shape)))}
        equations.append(Equation(copy, (atom,), (var,), params))
    return Graph(graph.inputs, tuple(equations), tuple(outputs), graph.name), tuple(copies)


def _carrying(body: Lowered, consts: int, carry: int) -> tuple[Placement, tuple[bool, ...]]:
    """The body placed so that it overwrites the carries that it can, and which of these stay in one buffer."""
    given = list(range(consts, consts + carry))
    while True:
        placed = place(body, given)
        firsts: dict[int, int] = {}
        for k, result in enumerate(placed.results):
            if isinstance(result, Buffer):
                firsts.setdefault(result.number, k)
        crossed = [
            operand for number, operand in placed.donated.items() if operand != consts + firsts[number]
        ]
        if not crossed:
            break
        given = [g for g in given if g not in crossed]
    single = []
    for k, result in enumerate(placed.results[:carry]):
        own = consts + k
        stays = isinstance(result, Operand) and result.number == own
        updated = isinstance(result, Buffer) and placed.donated.get(result.number) == own
        single.append(stays or (updated and firsts[result.number] == k))  # type: ignore[union-attr]
    return placed, tuple(single)


def _scratch(
    carries: Sequence[Var], single: Sequence[bool], bodies: Sequence[Placement], further: int = 1
) -> tuple[Var, tuple[int | None, ...], int]:
    """The memory that a step needs: its variable, the second buffers in it, and where the arenas begin; behind
    these are `further` bytes."""
    offset = 0
    buffers: list[int | None] = []
    for var, alone in zip(carries, single):
        buffers.append(None if alone else offset)
        offset += 0 if alone else aligned(var.type.nbytes)
    size = offset + max(body.plan.size for body in bodies) + further
    return Var(ArrayType((size,), np.dtype(np.uint8))), tuple(buffers), offset

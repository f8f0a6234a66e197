"""The primitive `cond`: runs one of several graphs, chosen by an int32 that is limited to their number.

Operands are (index, operands of every branch). All branches have the same types of inputs and outputs. Where
the index is batched, each example runs its own branch, or all branches run and each example takes the outputs of its
own: control_choice.py says which.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from funcgrad import dtypes
from funcgrad.ir import expr
from funcgrad.ir.effects import has_effects
from funcgrad.ir.graph import Equation, Graph
from funcgrad.ir.primitive import AxisSize, Linear, Primitive, Sample, Zero
from funcgrad.ir.types import ArrayType, array_type
from funcgrad.prims.calls import interpret
from funcgrad.prims.control_choice import choose, noted
from funcgrad.prims.control_graphs import (
    Flags,
    borrowed,
    check_operands,
    chosen,
    either,
    joined,
    keep,
    merged,
    needed_inputs,
    padded,
    pruned,
    pruned_equation,
    where_rows,
)
from funcgrad.prims.control_scan import one_by_one
from funcgrad.records import record
from funcgrad.trace import ops
from funcgrad.trace.core import bind, type_of
from funcgrad.trace.graph_trace import Derived, evaluate_graph, trace_to_graph
from funcgrad.transforms.jvp import jvp_graph
from funcgrad.transforms.partial import Split, partial_graph
from funcgrad.transforms.transpose import transpose_graph
from funcgrad.transforms.vmap import batch_graph

Branches = tuple[Graph, ...]


def _type(index: ArrayType, *types: ArrayType, branches: Branches) -> tuple[ArrayType, ...]:
    check_operands("cond", "the index", [index], [array_type((), dtypes.int32)])
    for branch in branches:
        check_operands("cond", "a branch", types, branch.in_types)
        check_operands("cond", "another branch", branch.out_types, branches[0].out_types)
    return branches[0].out_types


def _replay(run: Callable[..., list[Any]], index: Any, *arrays: Any, branches: Branches) -> list[Any]:
    number = min(max(int(index), 0), len(branches) - 1)
    return run(branches[number], [np.asarray(a) for a in arrays], f"branch {number}")


def _evaluate(xp: Any, *arrays: Any, branches: Branches) -> list[Any]:
    return _replay(lambda graph, operands, _: interpret(graph, operands), *arrays, branches=branches)


def _union(flags: Iterable[Flags]) -> Flags:
    first, *rest = flags
    for one in rest:
        first = either(first, one)
    return first


def _jvp(primals: Sequence[Any], tangents: Sequence[Any], *, branches: Branches):
    nonzero = tuple([t.__class__ is not Zero for t in tangents[1:]])
    flags = _union([jvp_graph(b, nonzero).flags for b in branches])
    graphs, constants = joined(
        [(p.graph, p.constants) for p in (jvp_graph(b, nonzero, flags) for b in branches)]
    )
    given = [t for t in tangents[1:] if t.__class__ is not Zero]
    outs = bind(cond_p, primals[0], *constants, *primals[1:], *given, branches=graphs)
    types = branches[0].out_types
    found = iter(outs[len(types) :])
    return outs[: len(types)], [next(found) if f else Zero(t.tangent()) for f, t in zip(flags, types)]


def _batch(size: AxisSize, operands: Sequence[Any], axes: Sequence[int | None], *, branches: Branches):
    batched = tuple([a is not None for a in axes[1:]])
    index, *values = [x if a is None else ops.moveaxis(x, a, 0) for x, a in zip(operands, axes)]
    if axes[0] is not None:
        choice = choose("cond", size, branches)
        with noted(choice.note):
            if choice.each:
                return one_by_one(cond_p, size, operands, axes, {"branches": branches})
            return _select_all(size, index, values, batched, branches, choice.together)
    flags = _union([batch_graph(b, size, batched).flags for b in branches])
    derived = [batch_graph(b, size, batched, flags) for b in branches]
    graphs, constants = joined([(d.graph, d.constants) for d in derived])
    outs = bind(cond_p, index, *constants, *values, branches=graphs)
    return outs, [0 if f else None for f in flags]


def _select_all(
    size: AxisSize,
    index: Any,
    values: Sequence[Any],
    batched: Flags,
    branches: Branches,
    together: bool,
):
    """Every branch over the whole batch, and for each example the outputs of its own.

    The examples that do not take a branch go through it with the operands of one that does, so that no branch runs on
    operands that it is not meant for: such a loop may have no end, and a NaN times 0 is a NaN in a gradient. If they
    meet `together` in a collective, they all go with their own.
    """
    index = ops.apply("clamp", np.int32(0), index, np.int32(len(branches) - 1))
    shared = [x for x, b in zip(values, batched) if not b]
    found: list[Any] = []
    for number, branch in enumerate(branches):
        derived = batch_graph(branch, size, batched, True)
        here = ops.eq(index, np.int32(number))
        given = [borrowed(here, x) if b and not together else x for x, b in zip(values, batched)]
        if together:
            outs = evaluate_graph(derived.graph, [*derived.constants, *given])
        elif any(e.subgraphs() for e in branch.equations) or any(
            dtypes.is_inexact(type_of(x).dtype) for x in shared
        ):
            outs = _if_taken(here, derived, given)
        else:
            outs = evaluate_graph(derived.graph, [*derived.constants, *given])
        found = [where_rows(here, o, f) for o, f in zip(outs, found)] if found else outs
    return found, [0] * len(found)


def _if_taken(here: Any, derived: Derived, values: Sequence[Any]) -> list[Any]:
    """A batched branch, or zeros where no example takes it."""
    graph = derived.graph
    nothing = trace_to_graph(
        lambda *_: [ops.zeros(a.type) for a in graph.outputs], graph.in_types, graph.name
    ).graph
    taken = ops.convert(ops.reduce_or(here, (0,)), np.dtype(np.int32))
    return bind(cond_p, taken, *derived.constants, *values, branches=(nothing, graph))


@record
class _Halves:
    """Branches in two parts. The known ones give the known outputs and then `slots` for residuals, shared by all
    branches; the linear ones take (slots, known operands, unknown operands)."""

    known: Branches
    linear: Branches
    constants: tuple[Any, ...]
    out_unknown: Flags


def _partial(
    unknown: Flags, operands: Sequence[Any], record: Callable[..., Any], *, branches: Branches
) -> list[Any]:
    if unknown[0]:
        return record(cond_p, operands, {"branches": branches})
    halves = _halves(branches, unknown[1:])
    index, *values = operands
    known = chosen(values, unknown[1:], False)
    count = halves.out_unknown.count(False)
    outs: list[Any] = []
    if halves.known[0].outputs or any(map(has_effects, halves.known)):
        outs = bind(cond_p, index, *halves.constants, *known, branches=halves.known)
    if not any(halves.out_unknown):
        return outs
    given = [index, *outs[count:], *known, *chosen(values, unknown[1:])]
    tangents = record(cond_p, given, {"branches": halves.linear})
    return merged(halves.out_unknown, tangents, outs[:count])


def _halves(branches: Branches, unknown: Flags) -> _Halves:
    key = ("cond halves", branches[1:], unknown)
    found = branches[0].memo.get(key)
    if found is not None:
        return found
    flags = _union([partial_graph(b, unknown).out_unknown for b in branches])
    splits = [partial_graph(b, unknown, flags) for b in branches]
    count = flags.count(False)
    slots: list[ArrayType] = []
    sources = [_residual_sources(s, count, slots) for s in splits]
    extra = [s.constants for s in splits]
    known = []
    for split, places in zip(splits, sources):
        known.append((_with_slots(split, places, count, slots), split.constants))
    in_known = [t for t, u in zip(branches[0].in_types, unknown) if not u]
    linear = tuple([_from_slots(s, places, slots, in_known) for s, places in zip(splits, sources)])
    graphs, constants = joined(known)
    halves = _Halves(graphs, linear, tuple(constants), flags)
    return keep(branches[0], key, halves, [c for values in extra for c in values])


def _residual_sources(split: Split, count: int, slots: list[ArrayType]) -> list[tuple[str, int]]:
    """For each residual of a branch where the linear part finds it: known operand number so and so, or a slot; a
    slot is added where no free one has its type."""
    own = split.known.graph.inputs[len(split.constants) :]
    numbers = {v: k for k, v in enumerate(own)}
    taken: set[int] = set()
    sources = []
    for atom in split.known.graph.outputs[count:]:
        if atom in numbers:
            sources.append(("operand", numbers[atom]))  # type: ignore[index]
            continue
        fits = (k for k, t in enumerate(slots) if k not in taken and t.matches(atom.type))
        slot = next(fits, len(slots))
        if slot == len(slots):
            slots.append(atom.type.strong())
        taken.add(slot)
        sources.append(("slot", slot))
    return sources


def _with_slots(
    split: Split, sources: Sequence[tuple[str, int]], count: int, slots: Sequence[ArrayType]
) -> Graph:
    """The known part of a branch with one output for each slot."""
    graph = split.known.graph

    def function(*values: Any) -> list[Any]:
        outs = evaluate_graph(graph, values)
        filled = {number: o for (kind, number), o in zip(sources, outs[count:]) if kind == "slot"}
        return [*outs[:count], *(filled.get(k) for k in range(len(slots)))]

    def complete(*values: Any) -> list[Any]:
        outs = function(*values)
        rest = [ops.zeros(t) if o is None else o for o, t in zip(outs[count:], slots)]
        return [*outs[:count], *rest]

    return trace_to_graph(complete, graph.in_types, graph.name).graph


def _from_slots(
    split: Split,
    sources: Sequence[tuple[str, int]],
    slots: Sequence[ArrayType],
    known: Sequence[ArrayType],
) -> Graph:
    """The linear part of a branch as a graph of (slots, known operands, unknown operands)."""
    linear = split.linear

    def function(*values: Any) -> list[Any]:
        places = {"slot": values[: len(slots)], "operand": values[len(slots) : len(slots) + len(known)]}
        residuals = [places[kind][number] for kind, number in sources]
        return evaluate_graph(linear, [*residuals, *values[len(slots) + len(known) :]])

    types = [*slots, *known, *linear.in_types[len(sources) :]]
    return trace_to_graph(function, types, linear.name).graph


def _transpose(cotangents: Sequence[Any], *operands: Any, branches: Branches) -> list[Any]:
    index, *values = operands
    linear = tuple([x.__class__ is Linear for x in values])
    nonzero = tuple([c.__class__ is not Zero for c in cotangents])
    pulled = [transpose_graph(b, linear, nonzero) for b in branches]
    flags = _union([p.flags for p in pulled])
    types = [x.type for x in chosen(values, linear)]
    graphs, constants = joined([(padded(p, p.flags, types, flags), p.constants) for p in pulled])
    given = [c for c in cotangents if c.__class__ is not Zero]
    outs: Iterable[Any] = []
    if any(flags):
        outs = bind(cond_p, index, *constants, *chosen(values, linear, False), *given, branches=graphs)
    found, wanted = iter(outs), iter(flags)
    cts = [(next(found) if next(wanted) else Zero(x.type)) if f else None for x, f in zip(values, linear)]
    return [None, *cts]


def _prune(equation: Equation, used: Flags) -> Equation | None:
    branches = equation.params["branches"]
    needed = _union([needed_inputs(b, used) for b in branches])
    if all(needed) and all(used):
        return None
    params = {"branches": tuple([pruned(b, needed, used) for b in branches])}
    return pruned_equation(equation, (True, *needed), used, params)


def _thread(
    step: Callable[[Graph], Graph], state: Sequence[Any], index: Any, *operands: Any, branches: Branches
):
    outs = bind(cond_p, index, *state, *operands, branches=tuple(map(step, branches)))
    return outs[: len(state)], outs[len(state) :]


def _lower(in_types: Sequence[ArrayType], out_types: Sequence[ArrayType], *, branches: Branches):
    return expr.Region("cond", (), branches, tuple(range(1, len(in_types))))


def _samples() -> Iterable[Sample]:
    types = [array_type((3,), dtypes.float32), array_type((), dtypes.float32)]
    branches = tuple(
        trace_to_graph(f, types, "sample").graph
        for f in (
            lambda x, y: [ops.mul(ops.sin(x), y), y],
            lambda x, y: [x, ops.reduce_sum(ops.exp(x), (0,))],
            lambda x, y: [ops.mul(x, y), np.float32(2)],
        )
    )
    draws = tuple(lambda rng, t=t: np.asarray(rng.standard_normal(t.shape)).astype(t.dtype) for t in types)
    for index in (-1, 0, 1, 2, 3):
        yield Sample(
            (lambda rng, i=index: np.int32(i), *draws), {"branches": branches}, (1, 2), f"index {index}"
        )


def _depends(*args: Any, **params: Any) -> list[Any]:
    from funcgrad.prims.control_dependence import of_cond  # imports scipy.sparse

    return of_cond(*args, **params)


cond_p = Primitive(
    name="cond",
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

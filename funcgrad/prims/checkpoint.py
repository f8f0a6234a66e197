"""The primitives `checkpoint`, whose backward pass computes again what it does not keep, and `checkpoint_name`.

The primal outputs are computed at once; the linear part keeps the inputs instead of residuals, and whatever a policy
saves. A policy sees the equations from which residuals are made: a function `policy(primitive, *in_types, **params)`
that says for each whether its outputs are saved, or a `Budget`. A residual is then computed from the nearest saved
values before it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from funcgrad import dtypes
from funcgrad.ir import expr as E
from funcgrad.ir.effects import has_effect, without_effects
from funcgrad.ir.graph import Atom, Equation, Graph, Var
from funcgrad.ir.primitive import Linear, Primitive, Sample, Zero
from funcgrad.prims.calls import (
    call_batch,
    call_jvp,
    call_samples,
    call_thread,
    call_type,
    expand_call,
    interpret,
    jit_p,
    replay_call,
    without_calls,
)
from funcgrad.prims.samples import draw
from funcgrad.records import record
from funcgrad.trace import ops
from funcgrad.trace.core import bind
from funcgrad.trace.graph_trace import (
    Derived,
    derive,
    evaluate_graph,
    remembered,
)
from funcgrad.transforms.partial import partial_graph
from funcgrad.transforms.transpose import transpose_graph


@record
class Budget:
    """Save what costs most to compute again for each of its bytes, as long as all that is saved has at most `bytes`."""

    bytes: int


Policy = Callable[..., Any] | Budget | None


def _evaluate(xp: Any, *arrays: Any, graph: Graph, **params: Any) -> list[Any]:
    return interpret(graph, arrays)


def _partial(
    unknown: tuple[bool, ...],
    operands: Sequence[Any],
    record: Callable[..., Any],
    *,
    graph: Graph,
    policy: Policy = None,
    **params: Any,
) -> list[Any]:
    split = partial_graph(graph, unknown)
    known = [x for x, u in zip(operands, unknown) if not u]
    count = split.out_unknown.count(False)
    forward, saved = _forward(split.known.graph, count, policy)
    settings = params if policy is None else {**params, "policy": policy}
    outs = bind(checkpoint_p, *split.known.constants, *known, graph=forward, **settings)
    again = _recomputed(graph, unknown, policy)
    needed = [x for x, f in zip(operands, again.flags) if f]
    tangents = record(
        checkpoint_p, [*again.constants, *needed, *outs[count:]], {"graph": again.graph, **settings}
    )
    assert len(outs) == count + len(saved)
    sources = iter(outs[:count]), iter(tangents)
    return [next(sources[u]) for u in split.out_unknown]


@remembered
def _recomputed(graph: Graph, unknown: tuple[bool, ...], policy: Policy) -> Derived:
    """The graph from the inputs of `graph`, those where the flags, and what is saved to its unknown outputs, in which
    what is linear in the unknown inputs comes last and apart, calls inside it included: so it can be transposed."""
    split = partial_graph(graph, unknown)
    _, saved = _forward(split.known.graph, split.out_unknown.count(False), policy)
    residuals = _from_saved(split.known.graph, split.out_unknown.count(False), saved)
    constants = len(split.known.constants)
    used = {a for e in residuals.equations for a in e.inputs} | set(residuals.outputs)
    flags = iter([v in used for v in residuals.inputs[constants:]])
    needed = [u or next(flags) for u in unknown]
    types = [t for t, n in zip(graph.in_types, needed) if n]
    kinds = [u for u, n in zip(unknown, needed) if n]

    def recompute(*values: Any) -> list[Any]:
        own, kept = values[: len(types)], values[len(types) :]
        known = iter([x for x, u in zip(own, kinds) if not u])
        given = [x for x, u in zip(own, kinds) if u]
        full = [next(known) if n else None for n, u in zip(needed, unknown) if not u]
        return evaluate_graph(
            split.linear, [*evaluate_graph(residuals, [*split.known.constants, *full, *kept]), *given]
        )

    return derive(recompute, [*types, *(v.type for v in saved)], graph.name, needed)


# ---------------------------------------------------------------------------------------------- what is saved
def _forward(known: Graph, count: int, policy: Policy) -> tuple[Graph, list[Var]]:
    """The graph with its first `count` outputs and what is saved for the residuals, which are the others."""
    key = ("checkpoint forward", count, policy)
    if key not in known.memo:
        flat = without_calls(known)
        saved = _saved(flat, flat.outputs[count:], policy)
        known.memo[key] = _only(flat, (*flat.outputs[:count], *saved)), saved
    return known.memo[key]


def _from_saved(known: Graph, count: int, saved: Sequence[Var]) -> Graph:
    """The graph from the inputs and what is saved to the residuals."""
    flat = without_effects(without_calls(known))
    fresh: dict[Atom, Atom] = {v: Var(v.type) for v in saved}
    equations = []
    needed = set(flat.outputs[count:]) - set(fresh)
    for equation in reversed(flat.equations):
        if any(v in needed for v in equation.outputs):
            needed |= set(equation.inputs) - set(fresh)
            inputs = [fresh.get(a, a) for a in equation.inputs]
            equations.append(
                Equation(equation.primitive, inputs, equation.outputs, equation.params, equation.source)
            )
    outputs = tuple([fresh.get(a, a) for a in flat.outputs[count:]])
    inputs = (*flat.inputs, *(v for v in fresh.values() if isinstance(v, Var)))
    return Graph(inputs, tuple(reversed(equations)), outputs, flat.name)


def _saved(graph: Graph, residuals: Sequence[Atom], policy: Policy) -> list[Var]:
    """The saved values that lie nearest before the residuals."""
    if policy is None:
        return []
    makers = {v: e for e in graph.equations for v in e.outputs}
    if isinstance(policy, Budget):
        chosen = _affordable(graph, residuals, policy.bytes)
    else:
        picked = [e for e in graph.equations if policy(e.primitive, *[a.type for a in e.inputs], **e.params)]
        chosen = {v for e in picked for v in e.outputs}
    found: dict[Var, None] = {}
    waiting, seen = list(residuals), set()
    while waiting:
        atom = waiting.pop()
        if atom in seen or atom not in makers:
            continue
        seen.add(atom)
        assert isinstance(atom, Var)
        if atom in chosen:
            found[atom] = None
        else:
            waiting.extend(makers[atom].inputs)
    return [v for e in graph.equations for v in e.outputs if v in found]


def _affordable(graph: Graph, residuals: Sequence[Atom], limit: int) -> set[Var]:
    """What is dear to compute for each of its bytes, among all that the residuals need; of what is equally dear, some
    at even distances, so that as little as possible lies between two of them."""
    needed, makers = set(residuals), []
    for equation in reversed(graph.equations):
        if any(v in needed for v in equation.outputs):
            needed.update(equation.inputs)
            makers.append(equation)
    by_price: dict[float, list[Equation]] = {}
    for equation in reversed(makers):
        size = _bytes(equation)
        if size:
            by_price.setdefault(_operations(equation) / size, []).append(equation)
    chosen: set[Var] = set()
    for price in sorted(by_price, reverse=True):
        equations = by_price[price]
        share = limit / sum(map(_bytes, equations))
        for k, equation in enumerate(equations, 1):
            its_turn = share >= 1 or int(k * share) > int((k - 1) * share)
            if its_turn and _bytes(equation) <= limit:
                chosen.update(equation.outputs)
                limit -= _bytes(equation)
    return chosen


def _bytes(equation: Equation) -> int:
    return sum(v.type.nbytes for v in equation.outputs)


def _operations(equation: Equation) -> float:
    """Roughly the scalar operations of an equation; loops and routines count for many."""
    types = tuple([v.type for v in equation.outputs])
    largest = max([t.size for t in types] + [a.type.size for a in equation.inputs])
    rule, several = equation.primitive.lower, equation.primitive.multiple_results
    if rule is None:
        return largest
    found = rule(tuple([a.type for a in equation.inputs]), types if several else types[0], **equation.params)
    if isinstance(found, E.Dot):
        lhs = equation.inputs[0].type
        for d in found.lhs_contracting:
            largest = types[0].size * 2 * lhs.shape[d]
        return largest
    return 100 * largest if isinstance(found, E.Extern) else largest


def _only(graph: Graph, outputs: tuple[Atom, ...]) -> Graph:
    """The graph with other outputs, and only the equations that they need or that have an effect."""
    needed, kept = set(outputs), []
    for equation in reversed(graph.equations):
        used = tuple([v in needed for v in equation.outputs])
        if any(used) or has_effect(equation):
            prune = equation.primitive.prune
            kept.append(equation if prune is None else prune(equation, used) or equation)
            needed.update(kept[-1].inputs)
    return Graph(graph.inputs, tuple(reversed(kept)), outputs, graph.name)


def _transpose(cotangents: Sequence[Any], *operands: Any, graph: Graph, **params: Any) -> list[Any]:
    # The barrier keeps a compiler from finding that the forward pass has computed the same.
    linear = tuple([x.__class__ is Linear for x in operands])
    split = partial_graph(graph, linear)
    given = [c for c, u in zip(cotangents, split.out_unknown) if u]
    nonzero = tuple([c.__class__ is not Zero for c in given])
    back = _backward(graph, linear, nonzero)
    known = [ops.optimization_barrier(x) for x in operands if x.__class__ is not Linear]
    given = [c for c in given if c.__class__ is not Zero]
    outs = iter(bind(jit_p, *back.constants, *known, *given, graph=back.graph, name=graph.name))
    flags = iter(back.flags)
    return [
        (next(outs) if next(flags) else Zero(x.type)) if is_linear else None
        for x, is_linear in zip(operands, linear)
    ]


@remembered
def _backward(graph: Graph, linear: tuple[bool, ...], nonzero: tuple[bool, ...]) -> Derived:
    """The graph from the known inputs of `graph` and the nonzero cotangents of its linear part to the cotangents of
    its linear inputs, those where the flags. What is computed again comes as late as it can, so that not all of it
    has to be in memory at once."""
    split = partial_graph(graph, linear)
    count = len(split.linear.inputs) - sum(linear)
    pulled = transpose_graph(split.linear, (*[False] * count, *[True] * sum(linear)), nonzero)
    again, back = without_calls(split.known.graph), without_calls(pulled.graph)
    residuals = again.outputs[len(again.outputs) - count :]
    first = len(pulled.constants)
    known_as: dict[Atom, Atom] = dict(zip(back.inputs[first : first + count], residuals))
    place = {v: k for k, e in enumerate(again.equations) for v in e.outputs}
    done: set[int] = set()
    equations: list[Equation] = []

    def compute(atoms: Iterable[Atom]) -> None:
        waiting, missing = list(atoms), set()
        while waiting:
            k = place.get(waiting.pop())  # type: ignore[arg-type]
            if k is not None and k not in done and k not in missing:
                missing.add(k)
                waiting.extend(again.equations[k].inputs)
        equations.extend(again.equations[k] for k in sorted(missing))
        done.update(missing)

    for equation in back.equations:
        inputs = [known_as.get(a, a) for a in equation.inputs]
        compute(inputs)
        equations.append(
            Equation(equation.primitive, inputs, equation.outputs, equation.params, equation.source)
        )
    outputs = tuple([known_as.get(a, a) for a in back.outputs])
    compute(outputs)
    inputs = (*back.inputs[:first], *again.inputs, *back.inputs[first + count :])
    merged = Graph(inputs, tuple(equations), outputs, graph.name)
    return Derived(merged, (*pulled.constants, *split.known.constants), pulled.flags)


checkpoint_p = Primitive(
    name="checkpoint",
    type_rule=call_type,
    evaluate=_evaluate,
    jvp=call_jvp(lambda: checkpoint_p),
    transpose=_transpose,
    batch=call_batch(lambda: checkpoint_p),
    thread=call_thread(lambda: checkpoint_p),
    partial=_partial,
    lower=None,
    expand=expand_call,
    replay=replay_call,
    samples=call_samples,
    multiple_results=True,
)


# ------------------------------------------------------------------------------------------------- names
def _name_jvp(primals: Sequence[Any], tangents: Sequence[Any], *, name: str):
    return bind(checkpoint_name_p, primals[0], name=name), tangents[0]


def _name_batch(size: int, operands: Sequence[Any], axes: Sequence[int | None], /, *, name: str):
    return bind(checkpoint_name_p, operands[0], name=name), axes[0]


def _name_samples() -> Iterable[Sample]:
    for dtype in dtypes.ALL:
        live = (0,) if dtypes.is_inexact(dtype) else ()
        yield Sample((draw(3, dtype=dtype),), {"name": "sample"}, live, dtypes.name(dtype))


checkpoint_name_p = Primitive(
    name="checkpoint_name",
    type_rule=lambda x, name: x,
    evaluate=lambda xp, x, name: x,
    jvp=_name_jvp,
    transpose=lambda ct, x, name: [ct],
    batch=_name_batch,
    lower=None,
    expand=lambda x, name: [x],
    samples=_name_samples,
)

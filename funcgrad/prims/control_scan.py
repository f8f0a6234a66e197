"""The primitive `scan`: a loop of known length that carries values along and maps over leading axes.

Operands and body inputs are (constants, carries, slices of xs); body outputs are (carries, slices of ys). A
reversed scan takes and gives slices from last to first. The rules turn one scan into others: `jvp` pairs each
carry with its tangent, `partial` makes one of known values that stacks residuals and a linear one that reads
them, `transpose` runs a linear one the other way round and adds up the cotangents of its constants.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from funcgrad import dtypes
from funcgrad.ir import expr
from funcgrad.ir.effects import has_effects
from funcgrad.ir.graph import Equation, Graph, Literal, Var
from funcgrad.ir.primitive import AxisSize, Linear, Primitive, Sample, Zero
from funcgrad.ir.types import ArrayType, array_type
from funcgrad.prims.calls import interpret
from funcgrad.prims.control_graphs import (
    Flags,
    check_operands,
    chosen,
    computed_from,
    depending,
    either,
    execute,
    memoised,
    merged,
    needed_inputs,
    parts,
    pruned,
    pruned_equation,
    reordered,
    slice_of,
)
from funcgrad.trace import ops
from funcgrad.trace.core import bind, type_of
from funcgrad.trace.graph_trace import (
    Derived,
    derive,
    evaluate_graph,
    literal_value,
    remembered,
    trace_to_graph,
)
from funcgrad.transforms.jvp import jvp_graph
from funcgrad.transforms.partial import partial_graph
from funcgrad.transforms.transpose import pull_back
from funcgrad.transforms.vmap import batch_graph, move_batch_axis


def _type(
    *types: ArrayType, graph: Graph, consts: int, carry: int, length: int, **params: Any
) -> tuple[ArrayType, ...]:
    inner = graph.in_types
    xs = [array_type((length, *t.shape), t.dtype, t.weak) for t in inner[consts + carry :]]
    check_operands("scan", "its body", types, [*inner[: consts + carry], *xs])
    check_operands("scan", "the carry", graph.out_types[:carry], inner[consts : consts + carry])
    ys = [array_type((length, *t.shape), t.dtype, t.weak) for t in graph.out_types[carry:]]
    return (*graph.out_types[:carry], *ys)


def interpret_scan(*arrays: Any, **params: Any) -> list[Any]:
    """A scan as a Python loop with NumPy: the oracle."""
    return _replay(lambda graph, operands, _: interpret(graph, operands), *arrays, **params)


def _replay(
    run: Callable[..., list[Any]],
    *arrays: Any,
    graph: Graph,
    consts: int,
    carry: int,
    length: int,
    reverse: bool,
) -> list[Any]:
    constants, carried, xs = parts(arrays, consts, carry)
    ys = [np.zeros((length, *t.shape), t.dtype) for t in graph.out_types[carry:]]
    for i in reversed(range(length)) if reverse else range(length):
        operands = [np.asarray(a) for a in (*constants, *carried, *(x[i] for x in xs))]
        outs = run(graph, operands, f"iteration {i}")
        carried = outs[:carry]
        for y, out in zip(ys, outs[carry:]):
            y[i] = out
    return [*carried, *ys]


def _evaluate(xp: Any, *arrays: Any, graph: Graph, **params: Any) -> list[Any]:
    return execute(scan_p, [xp.asarray(a) for a in arrays], {"graph": graph, **params})


def _jvp(
    primals: Sequence[Any], tangents: Sequence[Any], *, graph: Graph, consts: int, carry: int, **params: Any
):
    nonzero = [t.__class__ is not Zero for t in tangents]
    given, moving, sliced = map(tuple, parts(nonzero, consts, carry))
    ys = len(graph.outputs) - carry
    while True:
        pushed = jvp_graph(graph, (*given, *moving, *sliced), (*moving, *[False] * ys))
        if pushed.flags[:carry] == moving:
            break
        moving = pushed.flags[:carry]
    extra, xs = len(pushed.constants), len(primals) - consts - carry
    own, own_t, cells, cells_t, slices, slices_t = parts(
        _regrouped(extra + consts, carry, xs, sum(given), sum(moving), sum(sliced)),
        extra + consts,
        sum(given),
        carry,
        sum(moving),
        xs,
    )
    outs_t = sum(pushed.flags[carry:])
    out_order = _regrouped(0, carry, ys, 0, sum(moving), outs_t)
    body = reordered(pushed.graph, [*own, *own_t, *cells, *cells_t, *slices, *slices_t], [*out_order])
    p_consts, p_carry, p_xs = parts(primals, consts, carry)
    t_consts, t_carry, t_xs = parts(tangents, consts, carry)
    outs = bind(
        scan_p,
        *pushed.constants,
        *p_consts,
        *chosen(t_consts, given),
        *p_carry,
        *map(ops.materialize, chosen(t_carry, moving)),
        *p_xs,
        *chosen(t_xs, sliced),
        graph=body,
        consts=extra + consts + sum(given),
        carry=carry + sum(moving),
        **params,
    )
    carries, carries_t, stacked, stacked_t = parts(outs, carry, sum(moving), ys)
    found = iter([*carries_t, *stacked_t])
    out_tangents = [
        next(found) if f else Zero(a.type.tangent() if k < carry else _stacked(a.type.tangent(), params))
        for k, (f, a) in enumerate(zip(pushed.flags, graph.outputs))
    ]
    return [*carries, *stacked], out_tangents


def _stacked(type: ArrayType, params: dict[str, Any]) -> ArrayType:
    return array_type((params["length"], *type.shape), type.dtype)


def _regrouped(a: int, b: int, c: int, at: int, bt: int, ct: int) -> list[int]:
    """The positions of (a, b, c, at, bt, ct) in the order (a, at, b, bt, c, ct)."""
    first = a + b + c
    return [
        *range(a),
        *range(first, first + at),
        *range(a, a + b),
        *range(first + at, first + at + bt),
        *range(a + b, first),
        *range(first + at + bt, first + at + bt + ct),
    ]


def _batch(
    size: AxisSize,
    operands: Sequence[Any],
    axes: Sequence[int | None],
    *,
    graph: Graph,
    consts: int,
    carry: int,
    **params: Any,
):
    given, moving, sliced = map(tuple, parts([a is not None for a in axes], consts, carry))
    ys = len(graph.outputs) - carry
    while True:
        derived = batch_graph(graph, size, (*given, *moving, *sliced), (*moving, *[False] * ys))
        if derived.flags[:carry] == moving:
            break
        moving = derived.flags[:carry]
    moved = []
    for k, (x, a) in enumerate(zip(operands, axes)):
        if consts <= k < consts + carry:
            moved.append(move_batch_axis(x, a, 0, size) if moving[k - consts] else x)
        else:
            moved.append(x if a is None else ops.moveaxis(x, a, int(k >= consts)))
    extra = len(derived.constants)
    outs = bind(
        scan_p, *derived.constants, *moved, graph=derived.graph, consts=extra + consts, carry=carry, **params
    )
    return outs, [int(k >= carry) if f else None for k, f in enumerate(derived.flags)]


def _partial(
    unknown: Flags,
    operands: Sequence[Any],
    record: Callable[..., Any],
    *,
    graph: Graph,
    consts: int,
    carry: int,
    **params: Any,
) -> list[Any]:
    given, moving, sliced = map(tuple, parts(unknown, consts, carry))
    ys = len(graph.outputs) - carry
    while True:
        flags = (*given, *moving, *sliced)
        split = partial_graph(graph, flags, (*moving, *[False] * ys))
        if split.out_unknown[:carry] == moving:
            break
        moving = split.out_unknown[:carry]
    known, linear = split.known.graph, split.linear
    extra = len(split.constants)
    known_consts = [*split.constants, *chosen(operands[:consts], given, False)]
    known_carry = chosen(operands[consts : consts + carry], moving, False)
    known_xs = chosen(operands[consts + carry :], sliced, False)
    outs_known = split.out_unknown.count(False)

    # Residuals: the same in every iteration (constants of the linear scan), a slice of xs (that xs), or stacked.
    own = known.inputs[: len(known_consts)]
    x_vars = {v: k for k, v in enumerate(known.inputs[len(own) + len(known_carry) :])}
    same = computed_from(known, own)
    residuals = known.outputs[outs_known:]
    fixed = [k for k, a in enumerate(residuals) if isinstance(a, Literal) or a in same]
    sliding = [k for k, a in enumerate(residuals) if k not in fixed and a in x_vars]
    stacked = [k for k in range(len(residuals)) if k not in fixed and k not in sliding]
    inner = [*range(outs_known), *(outs_known + k for k in stacked)]
    body = reordered(known, range(len(known.inputs)), inner)
    outs: list[Any] = []
    if body.outputs or has_effects(body):
        outs = bind(
            scan_p,
            *known_consts,
            *known_carry,
            *known_xs,
            graph=body,
            consts=len(known_consts),
            carry=len(known_carry),
            **params,
        )
    if not any(split.out_unknown):
        return outs
    fixed_values = _invariants(known, own, [residuals[k] for k in fixed], known_consts)
    sliding_values = [known_xs[x_vars[residuals[k]]] for k in sliding]  # type: ignore[index]
    count = len(residuals)
    moving_positions = [*range(count, count + sum(given))]
    order = [*fixed, *moving_positions]
    order += range(count + sum(given), count + sum(given) + sum(moving))
    order += [*stacked, *sliding, *range(count + sum(given) + sum(moving), len(linear.inputs))]
    tangents = record(
        scan_p,
        [
            *fixed_values,
            *chosen(operands[:consts], given),
            *chosen(operands[consts : consts + carry], moving),
            *outs[outs_known:],
            *sliding_values,
            *chosen(operands[consts + carry :], sliced),
        ],
        {
            "graph": reordered(linear, order, range(len(linear.outputs))),
            "consts": len(fixed) + sum(given),
            "carry": sum(moving),
            **params,
        },
    )
    assert extra <= len(known_consts)
    return merged(split.out_unknown, tangents, outs[:outs_known])


def stacked_bytes(graph: Graph, consts: int, carry: int) -> int:
    """The bytes that a step of a scan with this body leaves for the backward pass, where all numbers have
    derivatives."""
    moves = [dtypes.is_inexact(t.dtype) for t in graph.in_types]
    given, moving, sliced = map(tuple, parts(moves, consts, carry))
    ys = len(graph.outputs) - carry
    while True:
        pushed = jvp_graph(graph, (*given, *moving, *sliced), (*moving, *[False] * ys))
        if pushed.flags[:carry] == moving:
            break
        moving = pushed.flags[:carry]
    known = len(pushed.constants) + len(graph.inputs)
    unknown = tuple([k >= known for k in range(len(pushed.graph.inputs))])
    split = partial_graph(pushed.graph, unknown)
    own = split.known.graph
    first = len(split.constants) + len(pushed.constants)
    same = computed_from(own, own.inputs[: first + consts])
    slices = set(own.inputs[first + consts + carry :])
    residuals = dict.fromkeys(own.outputs[split.out_unknown.count(False) :])
    return sum(
        a.type.nbytes for a in residuals if not isinstance(a, Literal) and a not in same and a not in slices
    )


def _invariants(
    graph: Graph, inputs: Sequence[Var], atoms: Sequence[Any], values: Sequence[Any]
) -> list[Any]:
    """The values of atoms that depend on these inputs only."""
    given = dict(zip(inputs, values))
    computed = [a for a in dict.fromkeys(atoms) if isinstance(a, Var) and a not in given]
    if computed:
        part = memoised(graph, ("invariants", tuple(computed)), lambda: slice_of(graph, inputs, computed))
        given.update(zip(computed, evaluate_graph(part, values)))
    return [literal_value(a) if isinstance(a, Literal) else given[a] for a in atoms]


def _transpose(
    cotangents: Sequence[Any],
    *operands: Any,
    graph: Graph,
    consts: int,
    carry: int,
    **params: Any,
) -> list[Any]:
    linear = tuple([x.__class__ is Linear for x in operands])
    given, moving, sliced = map(tuple, parts(linear, consts, carry))
    while True:
        found = either(moving, depending(graph, (*given, *moving, *sliced))[:carry])
        if found == moving:
            break
        moving = found
    if not all(moving):
        return _transpose_mixed(cotangents, operands, linear, graph, consts, carry, params)
    return _transpose_linear(cotangents, operands, graph, consts, carry, **params)


def _transpose_mixed(
    cotangents: Sequence[Any],
    operands: Sequence[Any],
    linear: Flags,
    graph: Graph,
    consts: int,
    carry: int,
    params: dict[str, Any],
) -> list[Any]:
    """The transpose of a scan that also carries known values: these are computed first."""
    recorded: list[Any] = []

    def record(primitive: Primitive, inputs: Sequence[Any], inner: dict[str, Any]) -> list[Any]:
        recorded.extend((inputs, inner))
        return [None] * len(inner["graph"].outputs)

    outs = _partial(linear, operands, record, graph=graph, consts=consts, carry=carry, **params)
    if not recorded:
        return [Zero(x.type) if x.__class__ is Linear else None for x in operands]
    inputs, inner = recorded
    pulled = _transpose_linear([c for c, o in zip(cotangents, outs) if o is None], inputs, **inner)
    found = iter([c for c, x in zip(pulled, inputs) if x.__class__ is Linear])
    return [next(found) if x.__class__ is Linear else None for x in operands]


def _transpose_linear(
    cotangents: Sequence[Any],
    operands: Sequence[Any],
    graph: Graph,
    consts: int,
    carry: int,
    *,
    reverse: bool,
    **params: Any,
) -> list[Any]:
    """The transpose of a scan all of whose carries are linear."""
    linear = tuple([x.__class__ is Linear for x in operands])
    ct_carry, ct_ys = cotangents[:carry], cotangents[carry:]
    nonzero = tuple([c.__class__ is not Zero for c in ct_ys])
    pulled = _pulled_body(graph, consts, carry, linear, nonzero)
    is_const, _, is_x = parts(linear, consts, carry)
    const_ops, _, x_ops = parts(operands, consts, carry)
    sums = [ops.zeros(x.type) for x in chosen(const_ops, is_const)]
    outs = bind(
        scan_p,
        *pulled.constants,
        *chosen(const_ops, is_const, False),
        *sums,
        *map(ops.materialize, ct_carry),
        *chosen(x_ops, is_x, False),
        *chosen(ct_ys, nonzero),
        graph=pulled.graph,
        consts=len(pulled.constants) + is_const.count(False),
        carry=len(sums) + carry,
        reverse=not reverse,
        **params,
    )
    ct_consts, ct_init, ct_xs = parts(outs, len(sums), carry)
    found = iter([*ct_consts, *chosen(ct_init, linear[consts : consts + carry]), *ct_xs])
    return [next(found) if f else None for f in linear]


@remembered
def _pulled_body(graph: Graph, consts: int, carry: int, linear: Flags, nonzero: Flags) -> Derived:
    """The body of the transposed scan: (known constants; sums of the constants' cotangents, cotangents of the
    carries; known slices, cotangents of the slices of ys) -> (sums, carries; cotangents of the slices of xs)."""
    is_const, _, is_x = parts(linear, consts, carry)
    const_vars, carry_vars, x_vars = parts(graph.inputs, consts, carry)
    types_known, types_sum = ([v.type for v in chosen(const_vars, is_const, w)] for w in (False, True))
    types_x = [v.type for v in chosen(x_vars, is_x, False)]
    types_ct = [a.type for a in chosen(graph.outputs[carry:], nonzero)]

    def body(*values: Any) -> list[Any]:
        known, sums, cts, xs, given = parts(values, len(types_known), len(types_sum), carry, len(types_x))
        linear_consts = [Linear(t) for t in types_sum]
        linear_xs = [Linear(v.type) for v in chosen(x_vars, is_x)]
        operands = [
            *merged(is_const, linear_consts, known),
            *(Linear(v.type) for v in carry_vars),
            *merged(is_x, linear_xs, xs),
        ]
        zeros = [Zero(a.type) for a in chosen(graph.outputs[carry:], nonzero, False)]
        pulled = pull_back(graph, operands, [*cts, *merged(nonzero, given, zeros)])
        ct_consts, rest = pulled[: len(sums)], pulled[len(sums) :]
        return [*map(ops.add_cotangents, ct_consts, sums), *map(ops.materialize, rest)]

    types = [*types_known, *types_sum, *(v.type for v in carry_vars), *types_x, *types_ct]
    return derive(body, types, graph.name + ".transpose", [])


def _prune(equation: Equation, used: Flags) -> Equation | None:
    graph, consts, carry = (equation.params[k] for k in ("graph", "consts", "carry"))
    moving, stacked = used[:carry], used[carry:]
    while True:
        given, feeding, sliced = map(tuple, parts(needed_inputs(graph, (*moving, *stacked)), consts, carry))
        found = either(moving, feeding)
        if found == moving:
            break
        moving = found
    inputs, outputs = (*given, *moving, *sliced), (*moving, *stacked)
    if all(inputs) and all(outputs):
        return None
    params = {"graph": pruned(graph, inputs, outputs), "consts": sum(given), "carry": sum(moving)}
    return pruned_equation(equation, inputs, outputs, params)


def _thread(
    step: Callable[[Graph], Graph],
    state: Sequence[Any],
    *operands: Any,
    graph: Graph,
    consts: int,
    carry: int,
    **params: Any,
):
    count = len(state)
    body = step(graph)
    order = [*range(count, count + consts), *range(count), *range(count + consts, len(body.inputs))]
    outs = bind(
        scan_p,
        *operands[:consts],
        *state,
        *operands[consts:],
        graph=reordered(body, order, range(len(body.outputs))),
        consts=consts,
        carry=count + carry,
        **params,
    )
    return outs[:count], outs[count:]


def _lower(
    in_types: Sequence[ArrayType],
    out_types: Sequence[ArrayType],
    *,
    graph: Graph,
    consts: int,
    **params: Any,
):
    attributes = tuple(sorted({"consts": consts, **params}.items()))
    return expr.Region("scan", attributes, (graph,), tuple(range(consts)))


def one_by_one(
    primitive: Primitive,
    size: AxisSize,
    operands: Sequence[Any],
    axes: Sequence[int | None],
    params: dict[str, Any],
) -> tuple[list[Any], list[int]]:
    """A batching rule: one example after the other, each with its own branches and its own number of iterations."""
    batched = tuple([a is not None for a in axes])
    shared = chosen(operands, batched, False)
    xs = [ops.moveaxis(x, a, 0) for x, a in zip(operands, axes) if a is not None]
    slices = [t.with_shape(t.shape[1:]) for t in map(type_of, xs)]

    def one(*values: Any) -> list[Any]:
        known, given = parts(values, len(shared))
        return bind(primitive, *merged(batched, given, known), **params)

    graph = trace_to_graph(one, [*map(type_of, shared), *slices], primitive.name).graph
    outs = bind(
        scan_p, *shared, *xs, graph=graph, consts=len(shared), carry=0, length=int(size), reverse=False
    )
    return outs, [0] * len(outs)


def _samples() -> Iterable[Sample]:
    matrix, vector, scalar = (array_type(s, dtypes.float32) for s in ((3, 3), (3,), ()))

    def body(w: Any, h: Any, n: Any, x: Any) -> list[Any]:
        h = ops.sin(ops.add(ops.reduce_sum(ops.mul(w, ops.broadcast_in_dim(h, (3, 3), (1,))), (1,)), x))
        return [h, ops.mul(n, 0.9), ops.mul(ops.reduce_sum(h, (0,)), n)]

    graph = trace_to_graph(body, [matrix, vector, scalar, vector], "sample").graph

    def draw(*shape: int):
        return lambda rng: np.asarray(rng.uniform(-0.5, 0.5, shape)).astype(np.float32)

    for length, reverse in ((4, False), (3, True), (1, False), (0, False)):
        params = {"graph": graph, "consts": 1, "carry": 2, "length": length, "reverse": reverse}
        yield Sample((draw(3, 3), draw(3), draw(), draw(length, 3)), params, (0, 1, 2, 3))


def _depends(*args: Any, **params: Any) -> list[Any]:
    from funcgrad.prims.control_dependence import of_scan  # imports scipy.sparse

    return of_scan(*args, **params)


scan_p = Primitive(
    name="scan",
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

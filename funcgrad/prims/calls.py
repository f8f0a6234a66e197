"""The primitive `jit`, which calls a graph, and the rules that whatever calls a graph shares.

They apply the transforms to the graph and bind the result; `graph` closes over nothing, so that what a function
closed over are ordinary operands.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from funcgrad import dtypes
from funcgrad.array import Array
from funcgrad.errors import GraphError
from funcgrad.ir.graph import Atom, Graph, Var
from funcgrad.ir.primitive import AxisSize, Linear, Primitive, Sample, Zero
from funcgrad.ir.types import ArrayType, array_type
from funcgrad.trace import ops
from funcgrad.trace.core import bind, state
from funcgrad.trace.graph_trace import evaluate_graph, literal_value, trace_to_graph
from funcgrad.transforms.jvp import jvp_graph
from funcgrad.transforms.partial import partial_graph
from funcgrad.transforms.transpose import transpose_graph
from funcgrad.transforms.vmap import batch_graph


def interpret(graph: Graph, arrays: Sequence[Any]) -> list[Any]:
    """Run a graph operation by operation with NumPy: the oracle."""
    outs = evaluate_graph(graph, [Array(a, t) for a, t in zip(arrays, graph.in_types)])
    return [
        x._data if x.__class__ is Array else np.asarray(x, t.dtype)  # a number that the graph gives as it is
        for x, t in zip(outs, graph.out_types)
    ]


_executor: list[Callable[[Graph, Sequence[Any]], list[Any]]] = [interpret]


def set_executor(execute: Callable[[Graph, Sequence[Any]], list[Any]]) -> None:
    """Say what runs the graph of a jit call: the run time above installs its compiled execution here."""
    _executor[0] = execute


def execute(graph: Graph, arrays: Sequence[Any]) -> list[Any]:
    """Run a graph on NumPy arrays, compiled where there is a run time."""
    return _executor[0](graph, arrays)


def call_type(*types: ArrayType, graph: Graph, **params: Any) -> tuple[ArrayType, ...]:
    """The type rule of whatever calls a graph."""
    expected = graph.in_types
    if len(types) != len(expected) or not all(t.matches(e) for t, e in zip(types, expected)):
        raise GraphError(f"a call of {graph.name} with {list(types)}, whose inputs are {list(expected)}")
    return graph.out_types


def _evaluate_jit(xp: Any, *arrays: Any, graph: Graph, **params: Any) -> list[Any]:
    return execute(graph, arrays)


def replay_call(run: Callable[..., list[Any]], *arrays: Any, graph: Graph, **params: Any) -> list[Any]:
    """The replay rule of whatever calls a graph once."""
    return run(graph, arrays, "")


def expand_call(*operands: Any, graph: Graph, **params: Any) -> list[Any]:
    return evaluate_graph(graph, operands)


def without_calls(graph: Graph) -> Graph:
    """The graph in which calls of jitted functions are replaced by their equations."""
    if all(e.primitive is not jit_p for e in graph.equations):
        return graph
    key = "without calls"
    if key not in graph.memo:
        graph.memo[key] = trace_to_graph(
            lambda *xs: _evaluate_inside(graph, xs), graph.in_types, graph.name
        ).graph
    return graph.memo[key]


def _evaluate_inside(graph: Graph, operands: Sequence[Any]) -> list[Any]:
    env: dict[Atom, Any] = dict(zip(graph.inputs, operands))

    def read(atom: Atom) -> Any:
        return env[atom] if isinstance(atom, Var) else literal_value(atom)

    outer_source = state.source
    try:
        for equation in graph.equations:
            state.source = equation.source or outer_source
            values = [read(a) for a in equation.inputs]
            if equation.primitive is jit_p:
                outs = _evaluate_inside(equation.params["graph"], values)
            else:
                outs = bind(equation.primitive, *values, **equation.params)
            several = equation.primitive.multiple_results
            env.update(zip(equation.outputs, outs if several else [outs]))
    finally:
        state.source = outer_source
    return [read(a) for a in graph.outputs]


def call_jvp(primitive: Callable[[], Primitive]):
    def jvp(primals: Sequence[Any], tangents: Sequence[Any], *, graph: Graph, **params: Any):
        nonzero = tuple([t.__class__ is not Zero for t in tangents])
        pushed = jvp_graph(graph, nonzero)
        given = [t for t in tangents if t.__class__ is not Zero]
        outs = bind(primitive(), *pushed.constants, *primals, *given, graph=pushed.graph, **params)
        count = len(graph.outputs)
        out_tangents = iter(outs[count:])
        return outs[:count], [
            next(out_tangents) if f else Zero(a.type.tangent()) for f, a in zip(pushed.flags, graph.outputs)
        ]

    return jvp


def call_batch(primitive: Callable[[], Primitive]):
    def batch(
        size: AxisSize, operands: Sequence[Any], axes: Sequence[int | None], *, graph: Graph, **params: Any
    ):
        batched = tuple([a is not None for a in axes])
        moved = [x if a is None else ops.moveaxis(x, a, 0) for x, a in zip(operands, axes)]
        derived = batch_graph(graph, size, batched)
        outs = bind(primitive(), *derived.constants, *moved, graph=derived.graph, **params)
        return outs, [0 if f else None for f in derived.flags]

    return batch


def call_thread(primitive: Callable[[], Primitive]):
    def thread(
        step: Callable[[Graph], Graph], state: Sequence[Any], *operands: Any, graph: Graph, **params: Any
    ):
        outs = bind(primitive(), *state, *operands, graph=step(graph), **params)
        return outs[: len(state)], outs[len(state) :]

    return thread


def _partial_jit(
    unknown: tuple[bool, ...],
    operands: Sequence[Any],
    record: Callable[..., Any],
    *,
    graph: Graph,
    **params: Any,
) -> list[Any]:
    split = partial_graph(graph, unknown)
    known = [x for x, u in zip(operands, unknown) if not u]
    outs = bind(jit_p, *split.known.constants, *known, graph=split.known.graph, **params)
    count = split.out_unknown.count(False)
    residuals = outs[count:]
    given = [x for x, u in zip(operands, unknown) if u]
    tangents = record(jit_p, [*residuals, *given], {"graph": split.linear, **params})
    sources = iter(outs[:count]), iter(tangents)
    return [next(sources[u]) for u in split.out_unknown]


def transpose_call(cotangents: Sequence[Any], *operands: Any, graph: Graph, **params: Any) -> list[Any]:
    linear = tuple([x.__class__ is Linear for x in operands])
    nonzero = tuple([c.__class__ is not Zero for c in cotangents])
    pulled = transpose_graph(graph, linear, nonzero)
    known = [x for x in operands if x.__class__ is not Linear]
    given = [c for c in cotangents if c.__class__ is not Zero]
    outs = iter(bind(jit_p, *pulled.constants, *known, *given, graph=pulled.graph, **params))
    flags = iter(pulled.flags)
    return [
        (next(outs) if next(flags) else Zero(x.type)) if is_linear else None
        for x, is_linear in zip(operands, linear)
    ]


jit_p = Primitive(
    name="jit",
    type_rule=call_type,
    evaluate=_evaluate_jit,
    jvp=call_jvp(lambda: jit_p),
    transpose=transpose_call,
    batch=call_batch(lambda: jit_p),
    thread=call_thread(lambda: jit_p),
    partial=_partial_jit,
    lower=None,
    expand=expand_call,
    replay=replay_call,
    samples=lambda: call_samples(),
    multiple_results=True,
)


def call_samples() -> Iterable[Sample]:
    types = [array_type((3,), dtypes.float32), array_type((), dtypes.float32)]
    body = trace_to_graph(lambda x, y: [ops.mul(ops.sin(x), y), ops.reduce_sum(x, (0,))], types, "sample")
    draws = tuple(lambda rng, t=t: rng.standard_normal(t.shape).astype(t.dtype) for t in types)
    return [Sample(draws, {"graph": body.graph, "name": "sample"}, (0, 1))]

"""Splitting a computation into what is known now and what is linear in unknown tangents.

`SplitTrace` runs operations on known values at once (in its parent) and records the others. Under a
`JvpTrace` whose tangents are unknown this *linearizes* a function while it runs: primal values at hand,
tangent equations recorded. `partial_graph` does the same to a graph inside a fresh trace, for primitives
that carry sub-graphs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from funcgrad import dtypes
from funcgrad.ir.graph import ClosedGraph, Graph
from funcgrad.ir.primitive import Primitive, Zero
from funcgrad.records import record
from funcgrad.trace.core import Trace, current, finish, state, type_of
from funcgrad.trace.graph_trace import GraphTrace, GraphTracer, evaluate_graph, remembered
from funcgrad.transforms.jvp import JvpTrace, unwrap_outputs


class SplitTrace(GraphTrace):
    """Operations without an unknown operand run in the parent trace; the others are recorded."""

    def __init__(self, parent: Trace):
        super().__init__()
        self.parent = parent

    def is_unknown(self, value: Any) -> bool:
        return value.__class__ is GraphTracer and value.made_by is self

    def apply(self, primitive: Primitive, operands: Sequence[Any], params: dict[str, Any]) -> Any:
        for x in operands:
            if x.__class__ is GraphTracer and x.made_by is self:
                break
        else:
            before = state.trace
            state.trace = self.parent
            try:
                return self.parent.apply(primitive, operands, params)
            finally:
                state.trace = before
        if primitive.partial is None:
            return super().apply(primitive, operands, params)
        unknown = tuple([self.is_unknown(x) for x in operands])
        with current(self.parent):
            return primitive.partial(unknown, operands, super().apply, **params)

    def call_custom_jvp(self, call: Any, operands: Sequence[Any]) -> Any:
        if any(map(self.is_unknown, operands)):
            return call.stage(operands)
        with current(self.parent):
            return self.parent.call_custom_jvp(call, operands)

    def call_custom_vjp(self, call: Any, operands: Sequence[Any]) -> Any:
        if any(map(self.is_unknown, operands)):
            return call.stage(operands)
        with current(self.parent):
            return self.parent.call_custom_vjp(call, operands)


@record
class LinearMap:
    """The derivative of a function at a point: a graph from input tangents to output tangents.

    `closed` takes the tangents of the inputs where `in_nonzero` and gives those of the outputs where
    `out_nonzero`; its constants are the residuals.
    """

    closed: ClosedGraph
    in_nonzero: tuple[bool, ...]
    out_nonzero: tuple[bool, ...]


def linearize(function: Callable[..., Sequence[Any]], primals: Sequence[Any]) -> tuple[list[Any], LinearMap]:
    """Run `function` (flat values to flat values) at `primals`; gives its outputs and its derivative there.

    Integer and boolean inputs have no tangent.
    """
    split = SplitTrace(state.trace)
    pusher = JvpTrace(split)
    in_nonzero = tuple([dtypes.is_inexact(type_of(p).dtype) for p in primals])
    try:
        inputs: list[Any] = []
        tangents: list[Any] = []
        for primal, nonzero in zip(primals, in_nonzero):
            if nonzero:
                tangents.append(split.input(type_of(primal).tangent()))
                inputs.append(pusher.wrap(primal, tangents[-1]))
            else:
                inputs.append(primal)
        with current(pusher):
            outputs = function(*inputs)
        outs, out_tangents = unwrap_outputs(pusher, outputs)
        out_nonzero = tuple([t.__class__ is not Zero for t in out_tangents])
        closed = split.graph(tangents, [t for t in out_tangents if t.__class__ is not Zero], "linear")
    finally:
        finish(split)
        finish(pusher)
    return outs, LinearMap(closed, in_nonzero, out_nonzero)


@record
class Split:
    """A graph in two parts.

    `known` takes the known inputs and gives the known outputs, then the residuals; `linear` takes the
    residuals, then the unknown inputs, and gives the outputs where `out_unknown`.
    """

    known: ClosedGraph
    linear: Graph
    out_unknown: tuple[bool, ...]

    @property
    def constants(self) -> tuple[Any, ...]:
        return self.known.constants


@remembered
def partial_graph(graph: Graph, unknown: tuple[bool, ...], wanted: bool | tuple[bool, ...] = False) -> Split:
    """Split `graph` by which of its inputs are unknown; outputs where `wanted` count as unknown in any case."""
    if isinstance(wanted, bool):
        wanted = (wanted,) * len(graph.outputs)
    trace = GraphTrace()
    split = SplitTrace(trace)
    try:
        known_inputs = [trace.input(v.type) for v, u in zip(graph.inputs, unknown) if not u]
        unknown_inputs = [split.input(v.type) for v, u in zip(graph.inputs, unknown) if u]
        sources = iter(known_inputs), iter(unknown_inputs)
        with current(split):
            outs = evaluate_graph(graph, [next(sources[u]) for u in unknown])
        out_unknown = tuple([w or split.is_unknown(o) for o, w in zip(outs, wanted)])
        linear = split.graph(
            unknown_inputs, [o for o, u in zip(outs, out_unknown) if u], graph.name + ".linear"
        )
        known_outs = [o for o, u in zip(outs, out_unknown) if not u]
        known = trace.graph(known_inputs, [*known_outs, *linear.constants], graph.name + ".known")
    finally:
        finish(trace)
        finish(split)
    return Split(known, linear.graph, out_unknown)

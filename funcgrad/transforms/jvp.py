"""Forward-mode differentiation: each operation also pushes a tangent forward.

`JvpTrace` does it while a function runs, with the values at hand where there are any; `jvp_graph` runs the
same interpreter over a graph inside a fresh trace. The rules are the primitives' own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from funcgrad.array import Array
from funcgrad.ir.graph import Graph
from funcgrad.ir.primitive import Primitive, Zero
from funcgrad.ir.types import ArrayType
from funcgrad.source import user_line
from funcgrad.trace.core import (
    Trace,
    Tracer,
    as_array,
    check_alive,
    current,
    finish,
    state,
    type_of,
)
from funcgrad.trace.graph_trace import Derived, derive, evaluate_graph, remembered
from funcgrad.trace.ops import materialize


class JvpTracer(Tracer):
    """A primal value together with its tangent. The primal is at hand unless an outer trace hides it."""

    __slots__ = ("known_type", "primal", "tangent")

    def __init__(self, trace: JvpTrace, primal: Any, tangent: Any):
        self.made_by = trace
        self.primal = primal
        self.tangent = tangent
        self.source = None
        self.known_type = type_of(primal)

    @property
    def type(self) -> ArrayType:
        return self.known_type

    def at_hand(self) -> bool:
        return not isinstance(self.primal, Tracer) or self.primal.at_hand()

    def concrete(self, wanted: str, hint: str, loop: bool = False) -> Array:
        check_alive(self)
        primal = self.primal
        return primal.concrete(wanted, hint, loop) if isinstance(primal, Tracer) else as_array(primal)

    def __bool__(self) -> bool:
        check_alive(self)
        primal = self.primal
        return bool(primal if isinstance(primal, Tracer) else as_array(primal))

    def __str__(self) -> str:
        return str(self.primal)

    def __format__(self, spec: str) -> str:
        return format(self.primal, spec)

    def __repr__(self) -> str:
        return f"Traced<{self.type}> with primal {self.primal!r}"


class JvpTrace(Trace):
    """Applies jvp rules to operands that carry a tangent; hands everything else to its parent."""

    def __init__(self, parent: Trace):
        self.parent = parent

    def split(self, operands: Sequence[Any]) -> tuple[list[Any], list[Any]] | None:
        """Primals and tangents of the operands; None where no operand has a tangent."""
        found = False
        for x in operands:
            if x.__class__ is JvpTracer and x.made_by is self:
                found = True
                break
        if not found:
            return None
        primals, tangents = [], []
        for x in operands:
            if x.__class__ is JvpTracer and x.made_by is self:
                primals.append(x.primal)
                tangents.append(x.tangent)
            else:
                primals.append(x)
                tangents.append(Zero(type_of(x).tangent()))
        return primals, tangents

    def wrap(self, out: Any, tangent: Any) -> Any:
        return out if tangent.__class__ is Zero else JvpTracer(self, out, tangent)

    def apply(self, primitive: Primitive, operands: Sequence[Any], params: dict[str, Any]) -> Any:
        before, source = state.trace, state.source
        state.trace = self.parent
        try:
            split = self.split(operands)
            if split is None or primitive.jvp is None:
                primals = operands if split is None else split[0]
                return self.parent.apply(primitive, primals, params)
            if source is None:  # found once for all that the rule does
                state.source = user_line(2)
            out, tangent = primitive.jvp(*split, **params)
        finally:
            state.trace, state.source = before, source
        if primitive.multiple_results:
            return [self.wrap(o, t) for o, t in zip(out, tangent)]
        return self.wrap(out, tangent)

    def _call_custom(self, call: Any, operands: Sequence[Any], parent_call: Callable[..., Any]) -> Any:
        with current(self.parent):
            split = self.split(operands)
            if split is None:
                return parent_call(call, operands)
            outs, tangents = call.differentiate(*split)
        return [self.wrap(o, t) for o, t in zip(outs, tangents)]

    def call_custom_jvp(self, call: Any, operands: Sequence[Any]) -> Any:
        return self._call_custom(call, operands, self.parent.call_custom_jvp)

    def call_custom_vjp(self, call: Any, operands: Sequence[Any]) -> Any:
        return self._call_custom(call, operands, self.parent.call_custom_vjp)


def push_forward(
    function: Callable[..., Sequence[Any]], primals: Sequence[Any], tangents: Sequence[Any]
) -> tuple[list[Any], list[Any]]:
    """Run `function` (flat values to flat values) on primals with tangents; gives outputs and their tangents.

    Tangents may be `Zero`, and those of the result may be.
    """
    trace = JvpTrace(state.trace)
    try:
        with current(trace):
            inputs = [trace.wrap(p, t) for p, t in zip(primals, tangents)]
            outputs = function(*inputs)
            return unwrap_outputs(trace, outputs)
    finally:
        finish(trace)


def unwrap_outputs(trace: JvpTrace, outputs: Sequence[Any]) -> tuple[list[Any], list[Any]]:
    """Primals and tangents of a traced function's outputs."""
    primals, tangents = [], []
    for out in outputs:
        if out.__class__ is JvpTracer and out.made_by is trace:
            primals.append(out.primal)
            tangents.append(out.tangent)
        else:
            primals.append(out)
            tangents.append(Zero(type_of(out).tangent()))
    return primals, tangents


@remembered
def jvp_graph(
    graph: Graph, nonzero: tuple[bool, ...], instantiate: bool | tuple[bool, ...] = False
) -> Derived:
    """The graph (inputs, tangents of those where `nonzero`) -> (outputs, their nonzero tangents).

    The flags say which outputs have a tangent; where `instantiate`, they have one in any case.
    """
    wanted = (instantiate,) * len(graph.outputs) if isinstance(instantiate, bool) else instantiate
    found: list[bool] = []

    def pushed(*values: Any) -> list[Any]:
        primals = values[: len(nonzero)]
        given = iter(values[len(nonzero) :])
        tangents = [next(given) if nz else Zero(v.type.tangent()) for nz, v in zip(nonzero, graph.inputs)]
        outs, out_tangents = push_forward(lambda *xs: evaluate_graph(graph, xs), primals, tangents)
        out_tangents = [materialize(t) if w else t for t, w in zip(out_tangents, wanted)]
        found[:] = [t.__class__ is not Zero for t in out_tangents]
        return [*outs, *(t for t in out_tangents if t.__class__ is not Zero)]

    types = [*graph.in_types, *(v.type.tangent() for v, nz in zip(graph.inputs, nonzero) if nz)]
    return derive(pushed, types, graph.name + ".jvp", found)

"""Batching: each operation works on a whole axis of examples at once.

`BatchTrace` applies the primitives' batching rules while a function runs; `batch_graph` runs the same
interpreter over a graph inside a fresh trace. A batched value knows which of its axes is the batch's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from funcgrad.config import config
from funcgrad.ir.graph import Graph
from funcgrad.ir.primitive import AxisSize, Primitive
from funcgrad.ir.types import ArrayType, array_type
from funcgrad.source import user_line
from funcgrad.trace import ops
from funcgrad.trace.core import (
    A_CONDITION,
    INSTEAD_OF_A_CONDITION,
    Trace,
    Tracer,
    current,
    finish,
    no_leaks,
    state,
    type_of,
)
from funcgrad.trace.graph_trace import Derived, derive, evaluate_graph, remembered, trace_to_graph


class BatchTracer(Tracer):
    """One example of a batch: `value` has one axis more than the type says, at position `axis`."""

    __slots__ = ("axis", "known_type", "value")

    def __init__(self, trace: BatchTrace, value: Any, axis: int):
        self.made_by = trace
        self.value = value
        self.axis = axis
        self.source = user_line(2)
        t = type_of(value)
        self.known_type = array_type(t.shape[:axis] + t.shape[axis + 1 :], t.dtype, t.weak)

    @property
    def type(self) -> ArrayType:
        return self.known_type


class _OfEachExample(BaseException):
    """Python asks for a condition that each example of a batch has for itself."""

    def __init__(self, trace: BatchTrace):
        self.trace = trace


class BatchTrace(Trace):
    """Applies batching rules to operands that are batched here; hands everything else to its parent."""

    def __init__(self, parent: Trace, size: AxisSize):
        self.parent = parent
        self.size = size
        self.axis_name = size.name

    def split(self, operands: Sequence[Any]) -> tuple[list[Any], list[int | None]]:
        """The values of the operands and their batch axes."""
        values, axes = [], []
        for x in operands:
            own = x.__class__ is BatchTracer and x.made_by is self
            values.append(x.value if own else x)
            axes.append(x.axis if own else None)
        return values, axes

    def wrap(self, value: Any, axis: int | None) -> Any:
        return value if axis is None else BatchTracer(self, value, axis)

    def decide(self, condition: Tracer) -> bool:
        if condition.made_by is not self:
            return self.parent.decide(condition)
        if not config.python_branches:
            return bool(condition.concrete(A_CONDITION, INSTEAD_OF_A_CONDITION))
        raise _OfEachExample(self)

    def apply(self, primitive: Primitive, operands: Sequence[Any], params: dict[str, Any]) -> Any:
        values, axes = self.split(operands)
        before = state.trace
        state.trace = self.parent
        try:
            if primitive.collective is not None and params["axis_name"] == self.axis_name is not None:
                out, axis = primitive.collective(self.size, values, axes, **params)
            elif all(a is None for a in axes) and (self.axis_name is None or primitive.partial is None):
                return self.parent.apply(primitive, values, params)
            else:
                out, axis = primitive.batch(self.size, values, axes, **params)
        finally:
            state.trace = before
        if primitive.multiple_results:
            return [self.wrap(o, a) for o, a in zip(out, axis)]
        return self.wrap(out, axis)


@no_leaks
def batch(
    function: Callable[..., Sequence[Any]],
    operands: Sequence[Any],
    axes: Sequence[int | None],
    size: int,
) -> list[tuple[Any, int | None]]:
    """Run `function` (flat values to flat values) over a batch axis; gives its outputs and their batch axes. Where
    `size` is an `AxisSize`, the axis has its name and its way of branching.

    A function in which Python asks for a condition on an example is traced for one example, with both outcomes, and
    its graph is batched.
    """
    trace = BatchTrace(state.trace, AxisSize.of(size))
    try:
        with current(trace):
            inputs = list(map(trace.wrap, operands, axes))
            try:
                outputs = function(*inputs)
            except _OfEachExample as asked:
                if asked.trace is not trace:
                    raise
                closed = trace_to_graph(function, list(map(type_of, inputs)), "example")
                outputs = evaluate_graph(closed.graph, [*closed.constants, *inputs])
            return list(zip(*trace.split(outputs)))
    finally:
        finish(trace)


def move_batch_axis(value: Any, axis: int | None, target: int, size: int) -> Any:
    """`value` with its batch axis at `target`; repeated along a new one where it is not batched."""
    if axis is not None:
        return ops.moveaxis(value, axis, target)
    shape = list(type_of(value).shape)
    shape.insert(target, size)
    return ops.broadcast_in_dim(value, shape, [d for d in range(len(shape)) if d != target])


def batch_graph(
    graph: Graph, size: AxisSize, batched: tuple[bool, ...], wanted: bool | tuple[bool, ...] = False
) -> Derived:
    """The graph over a leading batch axis of the inputs where `batched`.

    The flags say which outputs have a batch axis; where `wanted`, they have one in any case.
    """
    return _batch_graph(graph, int(size), size.name, size.branching, batched, wanted)


@remembered
def _batch_graph(
    graph: Graph,
    size: int,
    name: Any,
    branching: str,
    batched: tuple[bool, ...],
    wanted: bool | tuple[bool, ...],
) -> Derived:
    if isinstance(wanted, bool):
        wanted = (wanted,) * len(graph.outputs)
    found: list[bool] = []

    def over_batch(*values: Any) -> list[Any]:
        axes = [0 if b else None for b in batched]
        outs = batch(lambda *xs: evaluate_graph(graph, xs), values, axes, AxisSize(size, name, branching))
        found[:] = [w or a is not None for (_, a), w in zip(outs, wanted)]
        return [move_batch_axis(v, a, 0, size) if b else v for (v, a), b in zip(outs, found)]

    types = [
        array_type((size, *t.shape), t.dtype, t.weak) if b else t for t, b in zip(graph.in_types, batched)
    ]
    return derive(over_batch, types, graph.name + ".vmap", found)

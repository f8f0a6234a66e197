"""Functions that bring a batching rule of their own: `custom_vmap`.

Everywhere but under `vmap` the call is its graph. Its derivative in forward mode is a call again, whose rule is the
derivative of the rule; reverse mode splits the graph.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from funcgrad import dtypes
from funcgrad.errors import ArgumentError
from funcgrad.ir.graph import Graph
from funcgrad.ir.primitive import AxisSize, Primitive, Sample, Zero
from funcgrad.ir.types import array_type
from funcgrad.prims.calls import call_type, interpret, jit_p, replay_call
from funcgrad.records import entity
from funcgrad.trace import ops
from funcgrad.trace.core import bind, type_of
from funcgrad.trace.graph_trace import evaluate_graph, trace_to_graph
from funcgrad.transforms.jvp import push_forward
from funcgrad.transforms.vmap import move_batch_axis

Rule = Callable[[AxisSize, Sequence[bool], Sequence[Any]], tuple[Sequence[Any], Sequence[bool]]]


@entity
class CustomVmap:
    """`function(*operands)` -> outs, and `rule(size, batched, operands)` -> (outs, batched), with leading batch axes;
    all flat."""

    function: Callable[..., Sequence[Any]]
    rule: Rule
    name: str

    def bind(self, operands: Sequence[Any]) -> list[Any]:
        closed = trace_to_graph(self.function, [type_of(x) for x in operands], self.name)
        return bind(
            custom_vmap_p,
            *closed.constants,
            *operands,
            graph=closed.graph,
            call=self,
            closed_over=len(closed.constants),
        )

    def pushed(self, moving: Sequence[bool]) -> CustomVmap:
        """The call of (operands, tangents of those that are moving) that gives (outs, their tangents)."""
        count = len(moving)

        def both(function: Callable[..., Sequence[Any]], values: Sequence[Any]) -> list[Any]:
            given = iter(values[count:])
            primals = values[:count]
            tangents = [next(given) if m else Zero(type_of(p).tangent()) for p, m in zip(primals, moving)]
            outs, out_tangents = push_forward(function, primals, tangents)
            return [*outs, *map(ops.materialize, out_tangents)]

        def rule(size: AxisSize, batched: Sequence[bool], values: Sequence[Any]) -> tuple[Any, Any]:
            given = iter(batched[count:])
            joint = [b or (m and next(given)) for b, m in zip(batched[:count], moving)]
            own = [*joint, *(j for j, m in zip(joint, moving) if m)]
            values = [
                move_batch_axis(x, None, 0, size) if j and not b else x
                for x, b, j in zip(values, batched, own)
            ]
            found: list[bool] = []

            def batch(*primals: Any) -> Sequence[Any]:
                outs, found[:] = self.rule(size, joint, primals)
                return outs

            return both(batch, values), [*found, *found]

        return CustomVmap(lambda *values: both(self.function, values), rule, f"{self.name}.jvp")


def _evaluate(xp: Any, *arrays: Any, graph: Graph, **params: Any) -> list[Any]:
    return interpret(graph, arrays)


def _expand(*operands: Any, graph: Graph, **params: Any) -> list[Any]:
    return evaluate_graph(graph, operands)


def _jvp(
    primals: Sequence[Any], tangents: Sequence[Any], *, graph: Graph, call: CustomVmap, closed_over: int
):
    if any(t.__class__ is not Zero for t in tangents[:closed_over]):
        outs, out_tangents = push_forward(lambda *xs: evaluate_graph(graph, xs), primals, tangents)
        return outs, out_tangents
    tangents = tangents[closed_over:]
    moving = tuple([t.__class__ is not Zero for t in tangents])
    given = [t for t in tangents if t.__class__ is not Zero]
    found = call.pushed(moving).bind([*primals[closed_over:], *given])
    outs, out_tangents = found[: len(found) // 2], found[len(found) // 2 :]
    moved = [dtypes.is_inexact(type_of(o).dtype) for o in outs]
    return outs, [t if m else Zero(type_of(o).tangent()) for o, t, m in zip(outs, out_tangents, moved)]


def _batch(
    size: AxisSize,
    operands: Sequence[Any],
    axes: Sequence[int | None],
    *,
    graph: Graph,
    call: CustomVmap,
    closed_over: int,
):
    if any(a is not None for a in axes[:closed_over]):
        raise ArgumentError(
            f"the function {call.name} has a batching rule of its own and closes over a value that vmap batches",
            hint="pass the value as an argument of the function",
        )
    axes = axes[closed_over:]
    moved = [x if a is None else ops.moveaxis(x, a, 0) for x, a in zip(operands[closed_over:], axes)]
    outs, batched = call.rule(size, [a is not None for a in axes], moved)
    return outs, [0 if b else None for b in batched]


def _partial(
    unknown: tuple[bool, ...],
    operands: Sequence[Any],
    record: Callable[..., Any],
    *,
    graph: Graph,
    call: CustomVmap,
    **params: Any,
) -> list[Any]:
    assert jit_p.partial is not None
    return jit_p.partial(unknown, operands, record, graph=graph, name=call.name)


def _transpose(cotangents: Sequence[Any], *operands: Any, graph: Graph, call: CustomVmap, **params: Any):
    assert jit_p.transpose is not None
    return jit_p.transpose(cotangents, *operands, graph=graph, name=call.name)


def _samples() -> Iterable[Sample]:
    function = lambda x, y: [ops.mul(ops.sin(x), y)]  # noqa: E731

    def rule(size: AxisSize, batched: Sequence[bool], operands: Sequence[Any]) -> tuple[Any, Any]:
        whole = [x if b else move_batch_axis(x, None, 0, size) for x, b in zip(operands, batched)]
        return function(*whole), [True]

    call = CustomVmap(function, rule, "sample")
    graph = trace_to_graph(function, [array_type((3,), dtypes.float32)] * 2, "sample").graph
    draw = lambda rng: rng.standard_normal(3).astype(dtypes.float32)  # noqa: E731
    yield Sample((draw, draw), {"graph": graph, "call": call, "closed_over": 0}, (0, 1))


custom_vmap_p = Primitive(
    name="custom_vmap_call",
    type_rule=call_type,
    evaluate=_evaluate,
    jvp=_jvp,
    transpose=_transpose,
    batch=_batch,
    partial=_partial,
    lower=None,
    expand=_expand,
    replay=replay_call,
    samples=_samples,
    multiple_results=True,
)

__all__ = ["CustomVmap", "custom_vmap_p"]

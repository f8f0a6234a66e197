"""Functions that bring a derivative rule of their own: `custom_jvp`, `custom_vjp`.

A call object (`CustomJvp`, `CustomVjp`) holds the function and its rule, both on flat values. Run eagerly it
is just the function; under differentiation the rule replaces it; when it is staged into a graph it becomes a
primitive whose parameters are the graph of the function and the call object.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from funcgrad import dtypes
from funcgrad.array import Array
from funcgrad.errors import NotDifferentiableError
from funcgrad.ir.graph import Graph
from funcgrad.ir.primitive import AxisSize, Linear, Primitive, Sample, Zero
from funcgrad.ir.types import ArrayType, array_type
from funcgrad.prims.calls import call_type, interpret, replay_call
from funcgrad.records import entity
from funcgrad.trace import ops
from funcgrad.trace.core import bind, type_of
from funcgrad.trace.graph_trace import evaluate_graph, trace_to_graph
from funcgrad.transforms.jvp import push_forward
from funcgrad.transforms.transpose import pull_back
from funcgrad.transforms.vmap import batch, batch_graph, move_batch_axis

Flat = Callable[..., Sequence[Any]]


def _stage(primitive: Callable[[], Primitive], call: Any, operands: Sequence[Any]) -> list[Any]:
    closed = trace_to_graph(call.function, [type_of(x) for x in operands], call.name)
    return bind(
        primitive(),
        *closed.constants,
        *operands,
        graph=closed.graph,
        call=call,
        closed_over=len(closed.constants),
    )


@entity
class CustomJvp:
    """`function(*primals)` -> outs, and `rule(primals, tangents)` -> (outs, tangents); all flat."""

    function: Flat
    rule: Callable[[Sequence[Any], Sequence[Any]], tuple[Sequence[Any], Sequence[Any]]]
    name: str

    def stage(self, operands: Sequence[Any]) -> list[Any]:
        return _stage(lambda: custom_jvp_p, self, operands)

    def differentiate(self, primals: Sequence[Any], tangents: Sequence[Any]) -> tuple[Any, Any]:
        return self.rule(primals, [ops.materialize(t) for t in tangents])

    def batched(self, size: AxisSize, axes: tuple[int | None, ...]) -> CustomJvp:
        def function(*primals: Any) -> list[Any]:
            return _over_batch(self.function, primals, axes, size)

        def rule(primals: Sequence[Any], tangents: Sequence[Any]) -> tuple[Any, Any]:
            count = len(primals)

            def both(*values: Any) -> list[Any]:
                outs, out_tangents = self.rule(values[:count], values[count:])
                return [*outs, *out_tangents]

            outs = _over_batch(both, [*primals, *tangents], (*axes, *axes), size)
            return outs[: len(outs) // 2], outs[len(outs) // 2 :]

        return CustomJvp(function, rule, self.name)


@entity
class CustomVjp:
    """`function(*primals)` -> outs; `forward(*primals)` -> (outs, residuals); `backward(residuals, cotangents)`
    -> one cotangent (or Zero) per primal; all flat."""

    function: Flat
    forward: Callable[..., tuple[Sequence[Any], Sequence[Any]]]
    backward: Callable[[Sequence[Any], Sequence[Any]], Sequence[Any]]
    name: str

    def stage(self, operands: Sequence[Any]) -> list[Any]:
        return _stage(lambda: custom_vjp_p, self, operands)

    def differentiate(self, primals: Sequence[Any], tangents: Sequence[Any]) -> tuple[Any, Any]:
        outs, residuals = self.forward(*primals)
        out_types = tuple([type_of(o).tangent() for o in outs])
        moving = tuple([dtypes.is_inexact(type_of(p).dtype) for p in primals])
        given = [ops.materialize(t) for t, m in zip(tangents, moving) if m]
        out_tangents = bind(
            custom_linear_p,
            *residuals,
            *given,
            call=self,
            residuals=len(residuals),
            moving=moving,
            out_types=out_types,
        )
        return outs, [t if dtypes.is_inexact(t.dtype) else Zero(o) for t, o in zip(out_tangents, out_types)]

    def batched(self, size: AxisSize, axes: tuple[int | None, ...]) -> CustomVjp:
        def function(*primals: Any) -> list[Any]:
            return _over_batch(self.function, primals, axes, size)

        def forward(*primals: Any) -> tuple[Any, Any]:
            count: list[int] = []

            def both(*values: Any) -> list[Any]:
                outs, residuals = self.forward(*values)
                count.append(len(outs))
                return [*outs, *residuals]

            outs = _over_batch(both, primals, axes, size)
            return outs[: count[0]], outs[count[0] :]

        def backward(residuals: Sequence[Any], cotangents: Sequence[Any]) -> list[Any]:
            held = len(residuals)
            zeros: list[Zero | None] = []

            def pulled(*values: Any) -> list[Any]:
                result = self.backward(values[:held], values[held:])
                zeros[:] = [c if c.__class__ is Zero else None for c in result]
                return [c for c in result if c.__class__ is not Zero]

            outs = iter(_over_batch(pulled, [*residuals, *cotangents], (0,) * (held + len(cotangents)), size))
            result: list[Any] = []
            for zero, axis in zip(zeros, axes):
                if zero is not None:
                    result.append(zero)
                else:
                    out = next(outs)
                    result.append(ops.reduce_sum(out, (0,)) if axis is None else ops.moveaxis(out, 0, axis))
            return result

        return CustomVjp(function, forward, backward, self.name)


def _over_batch(
    function: Flat, operands: Sequence[Any], axes: Sequence[int | None], size: AxisSize
) -> list[Any]:
    """Run `function` over a batch with every output's batch axis in front."""
    outs = batch(function, operands, axes, size, size.name)
    return [move_batch_axis(o, a, 0, size) for o, a in outs]


# The staged forms.
def _evaluate(xp: Any, *arrays: Any, graph: Graph, **params: Any) -> list[Any]:
    return interpret(graph, arrays)


def _expand(*operands: Any, graph: Graph, **params: Any) -> list[Any]:
    return evaluate_graph(graph, operands)


def _jvp(primals: Sequence[Any], tangents: Sequence[Any], *, graph: Graph, call: Any, closed_over: int):
    if any(t.__class__ is not Zero for t in tangents[:closed_over]):
        raise NotDifferentiableError(
            f"the function {call.name} has a derivative rule of its own, and closes over a value that is being "
            "differentiated: the rule cannot know of it",
            hint="pass the value as an argument of the function, so that the rule gives its derivative",
        )
    return call.differentiate(primals[closed_over:], tangents[closed_over:])


def _batch(primitive: Callable[[], Primitive]):
    def rule(
        size: AxisSize,
        operands: Sequence[Any],
        axes: Sequence[int | None],
        *,
        graph: Graph,
        call: Any,
        closed_over: int,
    ):
        batched = tuple([a is not None for a in axes])
        if any(batched[:closed_over]):  # what is closed over and batched becomes part of a new function
            return _batch_again(call, size, operands[closed_over:], axes[closed_over:])
        derived = batch_graph(graph, size, batched, True)
        moved = [x if a is None else ops.moveaxis(x, a, 0) for x, a in zip(operands, axes)]
        own_axes = tuple([0 if b else None for b in batched[closed_over:]])
        outs = bind(
            primitive(),
            *derived.constants,
            *moved,
            graph=derived.graph,
            call=call.batched(size, own_axes),
            closed_over=len(derived.constants) + closed_over,
        )
        return outs, [0] * len(outs)

    return rule


def _batch_again(call: Any, size: AxisSize, operands: Sequence[Any], axes: Sequence[int | None]):
    raise NotDifferentiableError(
        f"the function {call.name} has a derivative rule of its own and closes over a value that vmap batches",
        hint="pass the value as an argument of the function",
    )


def _samples(make: Callable[[], Any]):
    def samples() -> Iterable[Sample]:
        call = make()
        closed = trace_to_graph(call.function, [array_type((3,), dtypes.float32)], "sample")
        draw = lambda rng: rng.standard_normal(3).astype(dtypes.float32)  # noqa: E731
        return [Sample((draw,), {"graph": closed.graph, "call": call, "closed_over": 0}, (0,))]

    return samples


def _sample_jvp() -> CustomJvp:
    def rule(primals: Sequence[Any], tangents: Sequence[Any]):
        return [ops.sin(primals[0])], [ops.mul(ops.cos(primals[0]), tangents[0])]

    return CustomJvp(lambda x: [ops.sin(x)], rule, "sample")


def _sample_vjp() -> CustomVjp:
    return CustomVjp(
        lambda x: [ops.sin(x)],
        lambda x: ([ops.sin(x)], [x]),
        lambda residuals, cts: [ops.mul(ops.cos(residuals[0]), cts[0])],
        "sample",
    )


custom_jvp_p = Primitive(
    name="custom_jvp_call",
    type_rule=call_type,
    evaluate=_evaluate,
    jvp=_jvp,
    transpose=None,
    batch=_batch(lambda: custom_jvp_p),
    lower=None,
    expand=_expand,
    replay=replay_call,
    samples=_samples(_sample_jvp),
    multiple_results=True,
)

custom_vjp_p = Primitive(
    name="custom_vjp_call",
    type_rule=call_type,
    evaluate=_evaluate,
    jvp=_jvp,
    transpose=None,
    batch=_batch(lambda: custom_vjp_p),
    lower=None,
    expand=_expand,
    replay=replay_call,
    samples=_samples(_sample_vjp),
    multiple_results=True,
)


# custom_linear: the linear map whose transpose is a custom_vjp's backward function. Forward mode through it
# is the transpose of that function, which is linear in the cotangents.
def _linear_type(*types: ArrayType, out_types: tuple[ArrayType, ...], **params: Any) -> tuple[ArrayType, ...]:
    return out_types


def _expand_linear(
    *operands: Any,
    call: CustomVjp,
    residuals: int,
    moving: tuple[bool, ...],
    out_types: tuple[ArrayType, ...],
) -> list[Any]:
    held, tangents = operands[:residuals], operands[residuals:]
    inexact = [t for t in out_types if dtypes.is_inexact(t.dtype)]
    zero: list[bool] = []

    def pulled(*cotangents: Any) -> list[Any]:
        given = iter(cotangents)
        cts = [next(given) if dtypes.is_inexact(t.dtype) else ops.zeros(t) for t in out_types]
        result = [c for c, m in zip(call.backward(held, cts), moving) if m]
        zero[:] = [c.__class__ is Zero for c in result]
        return [c for c in result if c.__class__ is not Zero]

    closed = trace_to_graph(pulled, inexact, call.name + ".bwd")
    given = [*closed.constants, *map(Linear, inexact)]
    outs = iter(pull_back(closed.graph, given, [t for t, z in zip(tangents, zero) if not z]))
    return [ops.materialize(next(outs)) if dtypes.is_inexact(t.dtype) else ops.zeros(t) for t in out_types]


def _evaluate_linear(xp: Any, *arrays: Any, **params: Any) -> list[Any]:
    outs = _expand_linear(*[Array(xp.asarray(a)) for a in arrays], **params)
    return [o._data if o.__class__ is Array else o for o in outs]


def _jvp_linear(primals: Sequence[Any], tangents: Sequence[Any], *, residuals: int, **params: Any):
    if all(t.__class__ is Zero for t in tangents[:residuals]):
        given = [ops.materialize(t) for t in tangents[residuals:]]
        outs = bind(custom_linear_p, *primals, residuals=residuals, **params)
        return outs, bind(custom_linear_p, *primals[:residuals], *given, residuals=residuals, **params)
    return push_forward(lambda *xs: _expand_linear(*xs, residuals=residuals, **params), primals, tangents)


def _transpose_linear(
    cotangents: Sequence[Any],
    *operands: Any,
    call: CustomVjp,
    residuals: int,
    moving: tuple[bool, ...],
    **params: Any,
) -> list[Any]:
    held = operands[:residuals]
    pulled = call.backward(held, [ops.materialize(c) for c in cotangents])
    return [None] * residuals + [c for c, m in zip(pulled, moving) if m]


def _batch_linear(size: AxisSize, operands: Sequence[Any], axes: Sequence[int | None], **params: Any):
    outs = batch(lambda *xs: _expand_linear(*xs, **params), operands, axes, size, size.name)
    return [o for o, _ in outs], [a for _, a in outs]


def _linear_samples() -> Iterable[Sample]:
    draw = lambda rng: rng.standard_normal(3).astype(dtypes.float32)  # noqa: E731
    params = {
        "call": _sample_vjp(),
        "residuals": 1,
        "moving": (True,),
        "out_types": (array_type((3,), dtypes.float32),),
    }
    return [Sample((draw, draw), params, (1,))]


custom_linear_p = Primitive(
    name="custom_linear",
    type_rule=_linear_type,
    evaluate=_evaluate_linear,
    jvp=_jvp_linear,
    transpose=_transpose_linear,
    batch=_batch_linear,
    lower=None,
    expand=_expand_linear,
    samples=_linear_samples,
    multiple_results=True,
)

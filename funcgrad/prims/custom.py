"""Functions that bring a derivative rule of their own: `custom_jvp`, `custom_vjp`.

A call object (`CustomJvp`, `CustomVjp`) holds the function and its rule, both on flat values. Run eagerly it
is just the function; under differentiation the rule replaces it; when it is staged into a graph it becomes a
primitive whose parameters are the graph of the function and the call object.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from funcgrad import dtypes
from funcgrad.array import Array
from funcgrad.errors import NotDifferentiableError
from funcgrad.ir.effects import without_effects
from funcgrad.ir.graph import Equation, Graph
from funcgrad.ir.primitive import AxisSize, Linear, Primitive, Sample, Zero
from funcgrad.ir.types import ArrayType, array_type
from funcgrad.prims.calls import call_type, interpret, jit_p, replay_call
from funcgrad.prims.control_graphs import parts
from funcgrad.prims.custom_captured import (
    Underway,
    closed_over_moves,
    closed_vjp,
    opened,
    opened_jvp,
    opened_vjp,
)
from funcgrad.records import entity
from funcgrad.trace import ops
from funcgrad.trace.core import Tracer, bind, type_of
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
    """`function(*primals)` -> outs, and `rule(primals, tangents)` -> (outs, tangents); all flat. Tangents that the rule
    gives may be `Zero`; those that it takes may be where `symbolic`. What of it the user has written is `written`."""

    function: Flat
    rule: Callable[[Sequence[Any], Sequence[Any]], tuple[Sequence[Any], Sequence[Any]]]
    name: str
    symbolic: bool = False
    written: tuple[Any, ...] = ()

    def stage(self, operands: Sequence[Any]) -> list[Any]:
        return _stage(lambda: custom_jvp_p, *opened(self, operands, opened_jvp))

    def differentiate(self, primals: Sequence[Any], tangents: Sequence[Any]) -> tuple[Any, Any]:
        return self.rule(primals, tangents if self.symbolic else list(map(ops.materialize, tangents)))

    def batched(self, size: AxisSize, axes: tuple[int | None, ...]) -> CustomJvp:
        def function(*primals: Any) -> list[Any]:
            return _over_batch(self.function, primals, axes, size)

        def rule(primals: Sequence[Any], tangents: Sequence[Any]) -> tuple[Any, Any]:
            def run(both: Flat, values: Sequence[Any], moving: Sequence[int]) -> list[Any]:
                return _over_batch(both, values, (*axes, *(axes[k] for k in moving)), size)

            return self._pushed(run, primals, tangents)

        return CustomJvp(function, rule, self.name, self.symbolic, self.written)

    def threaded(self, stepped: Flat, count: int) -> CustomJvp:
        """The call of (state, primals) that gives (state, outs), as `stepped` does, with the same rule for the outs."""

        def rule(primals: Sequence[Any], tangents: Sequence[Any]) -> tuple[Any, Any]:
            state = stepped(*primals)[:count]
            outs, moved = self._pushed(lambda f, xs, _: _quietly(f, xs), primals[count:], tangents[count:])
            return [*state, *outs], [*(Zero(type_of(s).tangent()) for s in state), *moved]

        return CustomJvp(stepped, rule, self.name, self.symbolic, (stepped,))

    def _pushed(
        self, run: Callable[..., list[Any]], primals: Sequence[Any], tangents: Sequence[Any]
    ) -> tuple[Any, Any]:
        """The rule, by way of `run(function, values, moving)`, which calls a function of the primals and of those
        tangents that are no Zero: those of `moving`."""
        count, zeros = len(primals), _Zeros()

        def both(*values: Any) -> list[Any]:
            given = values[:count]
            outs, out_tangents = self.rule(given, _with_zeros(tangents, values[count:], given))
            return [*outs, *zeros.without(out_tangents)]

        moving = [k for k, t in enumerate(tangents) if t.__class__ is not Zero]
        found = run(both, [*primals, *(tangents[k] for k in moving)], moving)
        outs = found[: zeros.count]
        return outs, zeros.put_back(found[zeros.count :], outs)


class _Zeros:
    """Takes the `Zero`s out of a list of values inside a batch, and puts them back outside."""

    count: int

    def without(self, values: Sequence[Any]) -> list[Any]:
        self.count, self._zero = len(values), [v.__class__ is Zero for v in values]
        return [v for v in values if v.__class__ is not Zero]

    def put_back(self, values: Sequence[Any], primals: Sequence[Any]) -> list[Any]:
        given = iter(values)
        return [Zero(type_of(p).tangent()) if z else next(given) for z, p in zip(self._zero, primals)]


def _with_zeros(pattern: Sequence[Any], values: Sequence[Any], primals: Sequence[Any]) -> list[Any]:
    """One value for each entry of `pattern` that is no Zero, and a Zero of the primal's tangent for the others."""
    given = iter(values)
    return [
        Zero(type_of(p).tangent()) if t.__class__ is Zero else next(given) for t, p in zip(pattern, primals)
    ]


@entity
class CustomVjp:
    """`function(*primals)` -> outs; `forward(primals, moving)` -> (outs, residuals), where `moving` says which primals
    have a tangent; `backward(residuals, cotangents)` -> one cotangent (or Zero) per primal; all flat. Cotangents that
    `backward` takes may be `Zero` where `symbolic`. With `separate`, the function takes the place of `forward` where
    no residual is needed. What of it the user has written is `written`."""

    function: Flat
    forward: Callable[[Sequence[Any], Sequence[bool]], tuple[Sequence[Any], Sequence[Any]]]
    backward: Callable[[Sequence[Any], Sequence[Any]], Sequence[Any]]
    name: str
    symbolic: bool = False
    separate: bool = False
    written: tuple[Any, ...] = ()

    def stage(self, operands: Sequence[Any]) -> list[Any]:
        return _stage(lambda: custom_vjp_p, *opened(self, operands, opened_vjp))

    def differentiate(self, primals: Sequence[Any], tangents: Sequence[Any]) -> tuple[Any, Any]:
        moving = tuple([dtypes.is_inexact(type_of(p).dtype) for p in primals])
        perturbed = [m and t.__class__ is not Zero for m, t in zip(moving, tangents)]
        if self.separate:
            outs, residuals = _forward_apart(self, primals, perturbed)
        else:
            outs, residuals = self.forward(primals, perturbed)
        out_types = tuple([type_of(o).tangent() for o in outs])
        given = [ops.materialize(t) for t, m in zip(tangents, moving) if m]
        call: Any = self
        if not self.symbolic and any(isinstance(x, Tracer) and not x.at_hand() for x in (*outs, *residuals)):
            call, residuals = closed_vjp(self, residuals, out_types)
        out_tangents = bind(
            custom_linear_p,
            *residuals,
            *given,
            call=call,
            residuals=len(residuals),
            moving=moving,
            out_types=out_types,
        )
        return outs, [t if dtypes.is_inexact(t.dtype) else Zero(o) for t, o in zip(out_tangents, out_types)]

    def pulled(self, residuals: Sequence[Any], cotangents: Sequence[Any]) -> Sequence[Any]:
        """What `backward` gives for cotangents of which any may be `Zero`."""
        return self.backward(
            residuals, cotangents if self.symbolic else list(map(ops.materialize, cotangents))
        )

    def batched(self, size: AxisSize, axes: tuple[int | None, ...]) -> CustomVjp:
        out_types: list[ArrayType] = []

        def function(*primals: Any) -> list[Any]:
            return _over_batch(self.function, primals, axes, size)

        def forward(primals: Sequence[Any], moving: Sequence[bool]) -> tuple[Any, Any]:
            def both(*values: Any) -> list[Any]:
                outs, residuals = self.forward(values, moving)
                out_types[:] = [type_of(o).tangent() for o in outs]
                return [*outs, *residuals]

            outs = _over_batch(both, primals, axes, size)
            return outs[: len(out_types)], outs[len(out_types) :]

        def backward(residuals: Sequence[Any], cotangents: Sequence[Any]) -> list[Any]:
            held = len(residuals)
            zeros: list[Zero | None] = []

            def pulled(*values: Any) -> list[Any]:
                given = iter(values[held:])
                cts = [Zero(t) if c.__class__ is Zero else next(given) for c, t in zip(cotangents, out_types)]
                result = self.backward(values[:held], cts)
                zeros[:] = [c if c.__class__ is Zero else None for c in result]
                return [c for c in result if c.__class__ is not Zero]

            values = [*residuals, *(c for c in cotangents if c.__class__ is not Zero)]
            outs = iter(_over_batch(pulled, values, (0,) * len(values), size))
            result: list[Any] = []
            for zero, axis in zip(zeros, axes):
                if zero is not None:
                    shape = zero.type.shape
                    whole = shape if axis is None else (*shape[:axis], int(size), *shape[axis:])
                    result.append(Zero(zero.type.with_shape(whole)))
                else:
                    out = next(outs)
                    result.append(ops.reduce_sum(out, (0,)) if axis is None else ops.moveaxis(out, 0, axis))
            return result

        return CustomVjp(function, forward, backward, self.name, self.symbolic, self.separate)

    def threaded(self, stepped: Flat, count: int) -> CustomVjp:
        """The call of (state, primals) that gives (state, outs), as `stepped` does, with the same rule for the outs."""
        types: list[ArrayType] = []

        def forward(primals: Sequence[Any], moving: Sequence[bool]) -> tuple[Any, Any]:
            def both(*values: Any) -> list[Any]:
                outs, residuals = self.forward(values, moving[count:])
                sizes[:] = [len(outs)]
                return [*outs, *residuals]

            sizes: list[int] = []
            state = stepped(*primals)[:count]
            types[:] = map(type_of, state)
            found = _quietly(both, primals[count:])
            return [*state, *found[: sizes[0]]], found[sizes[0] :]

        def backward(residuals: Sequence[Any], cotangents: Sequence[Any]) -> list[Any]:
            still = [Zero(t.tangent()) for t in types]
            return [*still, *self.backward(residuals, cotangents[count:])]

        return CustomVjp(stepped, forward, backward, self.name, self.symbolic, self.separate, (stepped,))


def _over_batch(
    function: Flat, operands: Sequence[Any], axes: Sequence[int | None], size: AxisSize
) -> list[Any]:
    """Run `function` over a batch with every output's batch axis in front."""
    outs = batch(function, operands, axes, size)
    return [move_batch_axis(o, a, 0, size) for o, a in outs]


def _quietly(function: Flat, operands: Sequence[Any]) -> list[Any]:
    """What `function` gives, without its prints and checks."""
    closed = trace_to_graph(function, list(map(type_of, operands)), "quiet")
    return evaluate_graph(without_effects(closed.graph), [*closed.constants, *operands])


def _thread(
    step: Callable[[Graph], Graph],
    state: Sequence[Any],
    *operands: Any,
    graph: Graph,
    call: Any,
    closed_over: int,
):
    inner, held = step(graph), operands[:closed_over]

    def stepped(*values: Any) -> list[Any]:
        before, own = parts(values, len(state))
        return evaluate_graph(inner, [*before, *held, *own])

    return parts(call.threaded(stepped, len(state)).stage([*state, *operands[closed_over:]]), len(state))


# The staged forms.
def _evaluate(xp: Any, *arrays: Any, graph: Graph, **params: Any) -> list[Any]:
    return interpret(graph, arrays)


def _expand(*operands: Any, graph: Graph, **params: Any) -> list[Any]:
    return evaluate_graph(graph, operands)


def _jvp(primals: Sequence[Any], tangents: Sequence[Any], *, graph: Graph, call: Any, closed_over: int):
    if any(t.__class__ is not Zero for t in tangents[:closed_over]):
        raise closed_over_moves(call.name)
    return call.differentiate(primals[closed_over:], tangents[closed_over:])


def _at_zero(operands: Sequence[Any]) -> list[Any]:
    """Where a linear function's derivative is taken, which is the same everywhere."""
    return [ops.zeros(x.type) if x.__class__ is Linear else x for x in operands]


def _through(graph: Graph, operands: Sequence[Any], cotangents: Sequence[Any]) -> list[Any]:
    """The transpose of the function's graph, without its rule."""
    pulled = iter(pull_back(graph, operands, cotangents))
    return [next(pulled) if x.__class__ is Linear else None for x in operands]


_transposing = Underway()
"""The functions that are being transposed by their rules."""


def _transpose_jvp(
    cotangents: Sequence[Any], *operands: Any, graph: Graph, call: CustomJvp, closed_over: int
):
    """By the rule, whose tangent is what the function, linear here, does itself; inside that rule by the function."""
    if call in _transposing or any(x.__class__ is Linear for x in operands[:closed_over]):
        return _through(graph, operands, cotangents)
    own = operands[closed_over:]
    types = [x.type for x in own if x.__class__ is Linear]
    primals = _at_zero(own)

    def moved(*tangents: Any) -> list[Any]:
        given = iter(tangents)
        full = [next(given) if x.__class__ is Linear else Zero(type_of(x).tangent()) for x in own]
        return list(map(ops.materialize, call.differentiate(primals, full)[1]))

    with _transposing.doing(call):
        closed = trace_to_graph(moved, types, call.name)
        pulled = iter(pull_back(closed.graph, [*closed.constants, *map(Linear, types)], cotangents))
    return [None] * closed_over + [next(pulled) if x.__class__ is Linear else None for x in own]


def _transpose_vjp(
    cotangents: Sequence[Any], *operands: Any, graph: Graph, call: CustomVjp, closed_over: int
):
    """By the rule: the transpose of a linear function is its pullback, anywhere."""
    if any(x.__class__ is Linear for x in operands[:closed_over]):
        return _through(graph, operands, cotangents)
    own = operands[closed_over:]
    linear = [x.__class__ is Linear for x in own]
    residuals = call.forward(_at_zero(own), linear)[1]
    pulled = call.pulled(residuals, cotangents)
    return [None] * closed_over + [c if m else None for c, m in zip(pulled, linear)]


@entity
class _WithoutRule:
    """Stands for a call whose function closes over something that is batched: its rule knows only one example of
    that, so there is no derivative."""

    name: str

    def differentiate(self, primals: Sequence[Any], tangents: Sequence[Any]) -> Any:
        raise NotDifferentiableError(
            f"the function {self.name} has a derivative rule of its own, and closes over a value that vmap batches: "
            "the rule cannot know of the batch",
            hint="pass the value as an argument of the function, or take the derivative inside vmap",
        )

    def batched(self, size: AxisSize, axes: tuple[int | None, ...]) -> _WithoutRule:
        return self

    def threaded(self, stepped: Flat, count: int) -> CustomJvp:
        return CustomJvp(stepped, self.differentiate, self.name, True)


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
        derived = batch_graph(graph, size, batched, True)
        moved = [x if a is None else ops.moveaxis(x, a, 0) for x, a in zip(operands, axes)]
        own_axes = tuple([0 if b else None for b in batched[closed_over:]])
        lost = any(batched[:closed_over])
        outs = bind(
            primitive(),
            *derived.constants,
            *moved,
            graph=derived.graph,
            call=_WithoutRule(call.name) if lost else call.batched(size, own_axes),
            closed_over=len(derived.constants) + closed_over,
        )
        return outs, [0] * len(outs)

    return rule


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
        lambda primals, moving: ([ops.sin(primals[0])], [primals[0]]),
        lambda residuals, cts: [ops.mul(ops.cos(residuals[0]), cts[0])],
        "sample",
    )


custom_jvp_p = Primitive(
    name="custom_jvp_call",
    type_rule=call_type,
    evaluate=_evaluate,
    jvp=_jvp,
    transpose=_transpose_jvp,
    batch=_batch(lambda: custom_jvp_p),
    lower=None,
    expand=_expand,
    replay=replay_call,
    thread=_thread,
    samples=_samples(_sample_jvp),
    multiple_results=True,
)

custom_vjp_p = Primitive(
    name="custom_vjp_call",
    type_rule=call_type,
    evaluate=_evaluate,
    jvp=_jvp,
    transpose=_transpose_vjp,
    batch=_batch(lambda: custom_vjp_p),
    lower=None,
    expand=_expand,
    replay=replay_call,
    thread=_thread,
    samples=_samples(_sample_vjp),
    multiple_results=True,
)


# custom_forward: a custom_vjp's forward function that knows the function itself, for where no residual is needed.
def _forward_apart(
    call: CustomVjp, primals: Sequence[Any], perturbed: Sequence[bool]
) -> tuple[list[Any], list[Any]]:
    types, count = [type_of(p) for p in primals], [0]

    def both(*values: Any) -> list[Any]:
        outs, residuals = call.forward(values, perturbed)
        count[0] = len(outs)
        return [*outs, *residuals]

    forward = trace_to_graph(both, types, call.name + ".fwd")
    plain = trace_to_graph(call.function, types, call.name)
    found = bind(
        custom_forward_p,
        *forward.constants,
        *plain.constants,
        *primals,
        forward=forward.graph,
        plain=plain.graph,
        constants=(len(forward.constants), len(plain.constants)),
    )
    return found[: count[0]], found[count[0] :]


def _forward_operands(operands: Sequence[Any], constants: tuple[int, int]) -> list[Any]:
    return [*operands[: constants[0]], *operands[sum(constants) :]]


def _forward_type(*types: ArrayType, forward: Graph, constants: tuple[int, int], **params: Any) -> Any:
    return call_type(*_forward_operands(types, constants), graph=forward)


def _evaluate_forward(
    xp: Any, *arrays: Any, forward: Graph, constants: tuple[int, int], **params: Any
) -> Any:
    return interpret(forward, _forward_operands(arrays, constants))


def _expand_forward(*operands: Any, forward: Graph, constants: tuple[int, int], **params: Any) -> list[Any]:
    return evaluate_graph(forward, _forward_operands(operands, constants))


def _jvp_forward(primals: Sequence[Any], tangents: Sequence[Any], **params: Any) -> tuple[Any, Any]:
    return push_forward(lambda *xs: _expand_forward(*xs, **params), primals, tangents)


def _batch_forward(size: AxisSize, operands: Sequence[Any], axes: Sequence[int | None], /, **params: Any):
    outs = batch(lambda *xs: _expand_forward(*xs, **params), operands, axes, size)
    return [o for o, _ in outs], [a for _, a in outs]


def _prune_forward(equation: Equation, used: tuple[bool, ...]) -> Equation | None:
    plain: Graph = equation.params["plain"]
    count, (first, second) = len(plain.outputs), equation.params["constants"]
    if any(used[count:]):
        return None
    inputs = [*equation.inputs[first : first + second], *equation.inputs[first + second :]]
    params = {"graph": plain, "name": plain.name}
    return Equation(jit_p, inputs, equation.outputs[:count], params, equation.source)


def _forward_samples() -> Iterable[Sample]:
    types = [array_type((3,), dtypes.float32)]
    forward = trace_to_graph(lambda x: [ops.sin(x), ops.cos(x)], types, "sample.fwd").graph
    plain = trace_to_graph(lambda x: [ops.sin(x)], types, "sample").graph
    draw = lambda rng: rng.standard_normal(3).astype(dtypes.float32)  # noqa: E731
    yield Sample((draw,), {"forward": forward, "plain": plain, "constants": (0, 0)}, (0,))


custom_forward_p = Primitive(
    name="custom_forward",
    type_rule=_forward_type,
    evaluate=_evaluate_forward,
    jvp=_jvp_forward,
    transpose=None,
    batch=_batch_forward,
    lower=None,
    expand=_expand_forward,
    prune=_prune_forward,
    samples=_forward_samples,
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
        cts = [next(given) if dtypes.is_inexact(t.dtype) else Zero(t) for t in out_types]
        result = [c for c, m in zip(call.pulled(held, cts), moving) if m]
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
    pulled = call.pulled(held, cotangents)
    return [None] * residuals + [c for c, m in zip(pulled, moving) if m]


def _batch_linear(size: AxisSize, operands: Sequence[Any], axes: Sequence[int | None], **params: Any):
    outs = batch(lambda *xs: _expand_linear(*xs, **params), operands, axes, size)
    return [o for o, _ in outs], [a for _, a in outs]


def _depends_linear(
    run: Callable[..., list[Any]],
    operands: Sequence[Any],
    types: Sequence[ArrayType],
    outs: Sequence[ArrayType],
    *,
    call: CustomVjp,
    residuals: int,
    moving: tuple[bool, ...],
    out_types: tuple[ArrayType, ...],
) -> list[Any]:
    """The transpose of what the backward function reads, which need not be linear itself."""
    from funcgrad.transforms.dependence import Given, identity, is_given, known, union  # imports scipy.sparse

    inexact = [t for t in out_types if dtypes.is_inexact(t.dtype)]
    zero: list[bool] = []

    def pulled(*values: Any) -> list[Any]:
        given = iter(values[residuals:])
        cts = [next(given) if dtypes.is_inexact(t.dtype) else Zero(t) for t in out_types]
        result = [c for c, m in zip(call.pulled(values[:residuals], cts), moving) if m]
        zero[:] = [c.__class__ is Zero for c in result]
        return [c for c in result if c.__class__ is not Zero]

    closed = trace_to_graph(pulled, [*types[:residuals], *inexact], call.name + ".bwd")
    ends = np.cumsum([0, *(t.size for t in inexact)]).tolist()
    eye = identity(ends[-1])
    held = [x if is_given(x) else Given() for x in operands[:residuals]]
    given = [*map(known, closed.constants), *held, *(eye[a:b] for a, b in itertools.pairwise(ends))]
    found = iter(run(closed.graph, given))
    pairs = [(next(found), x) for x, z in zip(operands[residuals:], zero) if not z]
    pairs = [(c, x) for c, x in pairs if not is_given(c) and not is_given(x)]
    parts = iter([union([c[:, a:b].T.tocsr() @ x for c, x in pairs]) for a, b in itertools.pairwise(ends)])
    return [next(parts) if dtypes.is_inexact(t.dtype) else Given() for t in out_types]


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
    depends=_depends_linear,
    samples=_linear_samples,
    multiple_results=True,
)

"""`checkpoint`: what the backward pass computes again instead of keeping it; and what a function keeps.

Under the names of `jax.ad_checkpoint`; policies are in `checkpoint_policies`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

from funcgrad import checkpoint_policies, tree
from funcgrad.api import closed_graph, require_function
from funcgrad.errors import ArgumentError, ConcretizationError, boundary
from funcgrad.flat import (
    FlatFunction,
    bytes_of,
    check_operands,
    describe_argument,
    name_of,
    normalize_argnums,
)
from funcgrad.ir.graph import ClosedGraph, Equation, Graph, Var
from funcgrad.ir.primitive import Linear, Primitive, Zero
from funcgrad.prims.calls import jit_p
from funcgrad.prims.checkpoint import Budget, checkpoint_name_p, checkpoint_p
from funcgrad.records import record
from funcgrad.runtime.executable import arena_bytes
from funcgrad.trace.core import bind, type_of
from funcgrad.trace.graph_trace import evaluate_graph, trace_to_graph
from funcgrad.transforms.partial import linearize
from funcgrad.transforms.transpose import pull_back
from funcgrad.tree import keystr

F = Callable[..., Any]


@boundary
def checkpoint(
    fun: F | None = None,
    *,
    prevent_cse: bool = True,
    policy: Callable[..., Any] | None = None,
    static_argnums: int | Sequence[int] = (),
    budget: int | str | None = None,
) -> Any:
    """`fun`, whose intermediate values are computed again in the backward pass instead of being kept.

    Memory of the backward pass then holds only the arguments of `fun`, and what is saved besides; see Griewank and
    Walther, "Algorithm 799: revolve", 2000. JAX's other name is `remat`. Outside of jit, a function whose Python code
    asks for values (`if x > 0`) runs as it is, and keeps them all.

    Args:
        fun: the function; without it, `checkpoint` is a decorator with these settings.
        prevent_cse: accepted for JAX's sake: what is computed again is never merged with the forward pass.
        policy: says what is saved: one of `checkpoint_policies`, or a function
            `policy(primitive, *in_types, **params)`.
        static_argnums: arguments that are passed to `fun` as they are.
        budget: instead of a policy: bytes ("200MB", "1.5 GiB" or a number) that may be saved besides the arguments;
            what costs most to compute again is chosen. `ad_checkpoint.print_saved_residuals` shows it.

    Raises:
        ArgumentError: a policy that is no function, a budget that is no size, or both.

    >>> import funcgrad as fg
    >>> fg.grad(fg.checkpoint(lambda x: fg.numpy.sin(fg.numpy.sin(x))))(0.0)
    Array(1., dtype=float32, weak_type=True)
    """
    if fun is None:
        return functools.partial(
            checkpoint, prevent_cse=prevent_cse, policy=policy, static_argnums=static_argnums, budget=budget
        )
    require_function(fun, "checkpoint")
    saving = _saving(policy, budget)

    @functools.wraps(fun)
    @boundary
    def checkpointed(*args: Any, **kwargs: Any) -> Any:
        statics = normalize_argnums(fun, static_argnums, len(args), "static_argnums")

        def of_dynamic(*values: Any, **named: Any) -> Any:
            rest = iter(values)
            return fun(*[args[i] if i in statics else next(rest) for i in range(len(args))], **named)

        of_dynamic.__name__ = name_of(fun)
        dynamic = tuple([a for i, a in enumerate(args) if i not in statics])
        try:
            closed, flat = closed_graph(of_dynamic, dynamic, kwargs, "checkpoint")
        except ConcretizationError:  # Python needs values: with values in hand it has them, and all is kept
            return fun(*args, **kwargs)
        leaves = tree.leaves((dynamic, kwargs))
        settings = {"name": closed.graph.name, **saving}
        outs = bind(checkpoint_p, *closed.constants, *leaves, graph=closed.graph, **settings)
        return flat.out_tree.unflatten(outs)

    return checkpointed


remat = checkpoint


def _saving(policy: Any, budget: Any) -> dict[str, Any]:
    if policy is not None and budget is not None:
        raise ArgumentError("checkpoint takes a policy or a budget, not both", hint="leave one of them out")
    if budget is not None:
        return {"policy": Budget(bytes_of(budget, "checkpoint", "budget"))}
    if policy is None or policy is checkpoint_policies.nothing_saveable:
        return {}
    if not callable(policy) or isinstance(policy, Primitive):
        raise ArgumentError(
            f"checkpoint: policy is a {type(policy).__name__}, not a function",
            hint="use one of fg.checkpoint_policies, or a function policy(primitive, *in_types, **params) -> bool",
        )
    return {"policy": policy}


def checkpoint_name(x: Any, name: str) -> Any:
    """`x`, each leaf of which bears `name` for policies such as `checkpoint_policies.save_only_these_names`."""
    if not isinstance(name, str):
        raise ArgumentError(
            f"checkpoint_name takes a name, got {name!r}", hint="call it as checkpoint_name(x, 'name')"
        )
    return tree.map(lambda leaf: bind(checkpoint_name_p, leaf, name=name), x)


# --------------------------------------------------------------------------------------- what a function keeps
@record
class Residual:
    """A value that the backward pass of a function keeps: its type, and in words where it comes from."""

    type: Any
    origin: str


@boundary
def saved_residuals(fun: F, *args: Any, **kwargs: Any) -> list[Residual]:
    """What the forward pass of `fun` at these arguments keeps for the backward pass; of arguments only the shapes and
    dtypes matter."""
    require_function(fun, "saved_residuals")
    leaves, in_tree = tree.flatten((args, kwargs))
    check_operands(fun, args, kwargs, "saved_residuals")
    closed, residuals = _kept(FlatFunction(fun, in_tree), [type_of(x) for x in leaves], name_of(fun))
    graph = closed.graph
    paths = [_argument(fun, args, path) for path, _ in tree.leaves_with_path((args, kwargs))]
    origins = dict(zip(graph.inputs, [*["a constant"] * len(closed.constants), *paths]))
    return [Residual(v.type, f"from {origins[v]}" if v in origins else _made_by(graph, v)) for v in residuals]


def _kept(function: F, types: Sequence[Any], name: str) -> tuple[ClosedGraph, list[Var]]:
    """The forward pass of a function of flat values as a graph, and what of it is kept for the backward pass."""
    count = 0

    def forward(*leaves: Any) -> list[Any]:
        nonlocal count
        outs, linear = linearize(function, leaves)
        count = len(outs)
        return [*outs, *linear.closed.constants]

    closed = trace_to_graph(forward, types, name)
    return closed, [a for a in dict.fromkeys(closed.graph.outputs[count:]) if isinstance(a, Var)]


def _without_checkpoints(graph: Graph) -> Graph:
    """The graph in which what `checkpoint` was told to compute again is called as it is; `graph` itself where there is
    no such thing."""

    def changed(value: Any) -> Any:
        if isinstance(value, Graph):
            return _without_checkpoints(value)
        return tuple(map(changed, value)) if isinstance(value, tuple) else value

    equations, same = [], True
    for e in graph.equations:
        inner = tuple(e.subgraphs())
        params = {k: changed(v) for k, v in e.params.items()} if inner else e.params
        if e.primitive is checkpoint_p:
            params = {"graph": params["graph"], "name": graph.name}
            e = Equation(jit_p, e.inputs, e.outputs, params, e.source)
            same = False
        elif any(_without_checkpoints(g) is not g for g in inner):
            e = Equation(e.primitive, e.inputs, e.outputs, params, e.source)
            same = False
        equations.append(e)
    return graph if same else Graph(graph.inputs, tuple(equations), graph.outputs, graph.name)


def _made_by(graph: Graph, var: Var) -> str:
    """The equation that makes a variable, which may be inside a call."""
    equation = next(e for e in graph.equations if var in e.outputs)
    inner = equation.params.get("graph")
    if equation.primitive.expand is not None and isinstance(inner, Graph):
        atom = inner.outputs[equation.outputs.index(var)]
        if isinstance(atom, Var) and atom not in inner.inputs:
            return _made_by(inner, atom)
    if equation.primitive is checkpoint_name_p:
        return f"named {equation.params['name']!r}"
    where = "" if equation.source is None else f" from {equation.source}"
    return f"output of {equation.primitive.name}{where}"


def _argument(fun: F, args: tuple[Any, ...], path: Sequence[Any]) -> str:
    if path[0].idx == 0:
        return f"{describe_argument(fun, args, path[1].idx)}{keystr(path[2:])}"
    return f"argument {path[1].key!r} of {name_of(fun)}{keystr(path[2:])}"


def print_saved_residuals(fun: F, *args: Any, **kwargs: Any) -> None:
    """Print what `saved_residuals` finds, and how many bytes these are; where `checkpoint` is at work also how much
    memory the compiled gradient in all arguments works in besides these and its results, with and without it.

    >>> import funcgrad as fg
    >>> f = fg.checkpoint(lambda x: fg.numpy.sin(fg.numpy.exp(x)))
    >>> fg.ad_checkpoint.print_saved_residuals(f, fg.numpy.ones(3))
    f32[3] from argument 'x' of <lambda>
    12 bytes
    a compiled gradient works in 0 bytes, without checkpoint in 0 bytes
    """
    found = saved_residuals(fun, *args, **kwargs)
    for residual in found:
        print(f"{residual.type} {residual.origin}")
    print(f"{sum(r.type.nbytes for r in found)} bytes")
    closed, _ = closed_graph(fun, args, kwargs, "print_saved_residuals")
    plain = _without_checkpoints(closed.graph)
    if plain is not closed.graph:
        work = [arena_bytes(_gradient(graph, closed)) for graph in (closed.graph, plain)]
        print(f"a compiled gradient works in {work[0]} bytes, without checkpoint in {work[1]} bytes")


def _gradient(graph: Graph, closed: ClosedGraph) -> Graph:
    """The graph of the gradients in the inputs of `graph`, which has the constants of `closed`. Cotangents of outputs
    that are no scalars are inputs too."""
    types, out_types = closed.in_types, graph.out_types

    def gradient(*values: Any) -> list[Any]:
        given = iter(values[len(types) :])
        cotangents = [next(given) if t.shape else t.dtype.type(1) for t in out_types]
        _, linear = linearize(
            lambda *xs: evaluate_graph(graph, [*closed.constants, *xs]), values[: len(types)]
        )
        inner, residuals = linear.closed.graph, linear.closed.constants
        operands = [*residuals, *(Linear(v.type) for v in inner.inputs[len(residuals) :])]
        pulled = pull_back(inner, operands, [c for c, n in zip(cotangents, linear.out_nonzero) if n])
        return [x for x in pulled if x.__class__ is not Zero]

    return trace_to_graph(
        gradient, [*types, *(t.tangent() for t in out_types if t.shape)], f"{graph.name}.gradient"
    ).graph

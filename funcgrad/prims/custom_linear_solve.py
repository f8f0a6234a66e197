"""`custom_linear_solve`: a linear system whose solver the user gives, differentiated as a system.

Four graphs say what the system is: `matvec` and `solve`, and for the transposed system `vecmat` and
`transpose_solve` (None where reverse mode was not asked for). All of them take the same constants first. The
solver's own steps are never differentiated.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from funcgrad import dtypes
from funcgrad.errors import NotDifferentiableError
from funcgrad.ir.graph import Graph
from funcgrad.ir.primitive import AxisSize, Primitive, Sample, Zero
from funcgrad.ir.types import ArrayType, array_type
from funcgrad.prims.calls import call_type, interpret
from funcgrad.prims.control_graphs import reordered, with_inputs
from funcgrad.prims.matrices import draw_well, matmul, transposed
from funcgrad.prims.samples import draw
from funcgrad.trace import ops
from funcgrad.trace.core import bind, type_of
from funcgrad.trace.graph_trace import evaluate_graph, trace_to_graph
from funcgrad.transforms.jvp import push_forward
from funcgrad.transforms.vmap import batch_graph, move_batch_axis

GRAPHS = ("matvec", "solve", "vecmat", "transpose_solve")


def _type(*types: ArrayType, solve: Graph, **params: Any) -> tuple[ArrayType, ...]:
    return call_type(*types, graph=solve)


def _evaluate(xp: Any, *arrays: Any, solve: Graph, **params: Any) -> list[Any]:
    return interpret(solve, arrays)


def _expand(*operands: Any, solve: Graph, **params: Any) -> list[Any]:
    return evaluate_graph(solve, operands)


def _jvp(primals: Sequence[Any], tangents: Sequence[Any], **params: Any) -> tuple[Any, Any]:
    """A dx = db - dA x."""
    outs = bind(custom_linear_solve_p, *primals, **params)
    size = params["size"]
    consts, x = primals[: len(primals) - size], outs[:size]
    right: Sequence[Any] = tangents[len(consts) :]
    if any(t.__class__ is not Zero for t in tangents[: len(consts)]):
        given = [*tangents[: len(consts)], *(Zero(type_of(v).tangent()) for v in x)]
        _, moved = push_forward(lambda *vs: evaluate_graph(params["matvec"], vs), [*consts, *x], given)
        right = [
            r if m.__class__ is Zero else ops.add_cotangents(r, ops.neg(m)) for r, m in zip(right, moved)
        ]
    still = [Zero(type_of(o).tangent()) for o in outs]
    if all(r.__class__ is Zero for r in right):
        return outs, still
    moved = bind(custom_linear_solve_p, *consts, *map(ops.materialize, right), **params)
    return outs, [*moved[:size], *still[size:]]


def _transpose(cotangents: Sequence[Any], *operands: Any, **params: Any) -> list[Any]:
    if params["transpose_solve"] is None:
        raise NotDifferentiableError(
            "custom_linear_solve was not told how to solve the transposed system, which reverse mode needs",
            hint="give it transpose_solve=, or symmetric=True where the matrix is",
        )
    size = params["size"]
    consts = operands[: len(operands) - size]
    turned = dict(zip(GRAPHS, (params[k] for k in ("vecmat", "transpose_solve", "matvec", "solve"))))
    right = [ops.materialize(c) for c in cotangents[:size]]
    found = bind(custom_linear_solve_p, *consts, *right, size=size, **turned)
    return [None] * len(consts) + list(found[:size])


def _batch(
    size_of_batch: AxisSize,
    operands: Sequence[Any],
    axes: Sequence[int | None],
    /,
    *,
    size: int,
    **graphs: Any,
) -> tuple[list[Any], list[int]]:
    count = len(operands) - size
    moved = [
        x if a is None and i < count else move_batch_axis(x, a, 0, size_of_batch)
        for i, (x, a) in enumerate(zip(operands, axes))
    ]
    batched = tuple([a is not None for a in axes[:count]] + [True] * size)
    new = {
        k: None if graphs[k] is None else batch_graph(graphs[k], size_of_batch, batched, True) for k in GRAPHS
    }
    held = [c for d in new.values() if d is not None for c in d.constants]
    if not held:
        derived = {k: None if d is None else d.graph for k, d in new.items()}
    else:
        derived = joined_graphs({k: None if d is None else (d.graph, d.constants) for k, d in new.items()})
    outs = bind(custom_linear_solve_p, *held, *moved, size=size, **derived)
    return outs, [0] * len(outs)


def joined_graphs(graphs: dict[str, tuple[Graph, Sequence[Any]] | None]) -> dict[str, Graph | None]:
    """The graphs, each with constants in front, as graphs that take the constants of all, in their order."""
    every: list[Any] = [found and found[0].inputs[: len(found[1])] for found in graphs.values()]
    result: dict[str, Graph | None] = {}
    for k, (name, found) in enumerate(graphs.items()):
        if found is None:
            result[name] = None
            continue
        graph, constants = found
        leading = [
            v if i == k else type(v)(v.type) for i, own in enumerate(every) if own is not None for v in own
        ]
        inputs = (*leading, *graph.inputs[len(constants) :])
        result[name] = Graph(inputs, graph.equations, graph.outputs, graph.name)
    return result


def _replay(run: Callable[..., list[Any]], *arrays: Any, solve: Graph, **params: Any) -> list[Any]:
    return run(solve, arrays, "the solver")


def _thread(
    step: Callable[[Graph], Graph], state: Sequence[Any], *operands: Any, size: int, **graphs: Any
) -> tuple[list[Any], list[Any]]:
    """The solver takes the state as constants, and gives it as results that are no part of the solution."""
    count, found = len(state), len(graphs["solve"].outputs)
    solve = step(graphs["solve"])
    types = solve.in_types[:count]
    new = {k: None if g is None else with_inputs(g, types, len(g.inputs), ()) for k, g in graphs.items()}
    new["solve"] = reordered(solve, range(len(solve.inputs)), [*range(count, count + found), *range(count)])
    outs = bind(custom_linear_solve_p, *state, *operands, size=size, **new)
    return outs[found:], outs[:found]


def _samples() -> Iterable[Sample]:
    types = [array_type((3, 3), dtypes.float64), array_type((3, 1), dtypes.float64)]
    functions = {
        "matvec": lambda a, x: [matmul(a, x)],
        "solve": lambda a, b: [ops.apply("linear_solve", a, b)],
        "vecmat": lambda a, x: [matmul(transposed(a), x)],
        "transpose_solve": lambda a, b: [ops.apply("linear_solve", transposed(a), b)],
    }
    graphs = {name: trace_to_graph(f, types, name).graph for name, f in functions.items()}
    operands = (draw_well(3, dtype=dtypes.float64), draw(3, 1, dtype=dtypes.float64))
    yield Sample(operands, {**graphs, "size": 1}, (0, 1))


custom_linear_solve_p = Primitive(
    name="custom_linear_solve",
    type_rule=_type,
    evaluate=_evaluate,
    jvp=_jvp,
    transpose=_transpose,
    batch=_batch,
    lower=None,
    expand=_expand,
    replay=_replay,
    thread=_thread,
    samples=_samples,
    multiple_results=True,
)

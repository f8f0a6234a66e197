"""What the control-flow primitives share: sub-graphs with other inputs and outputs, and their execution.

Owns no primitive. What is made of a graph is kept in its `memo`, so that it is made, and compiled, once.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

import numpy as np

from funcgrad.errors import GraphError
from funcgrad.ir.effects import has_effect
from funcgrad.ir.graph import Atom, Equation, Graph, Literal, Var
from funcgrad.ir.hash import graph_hash
from funcgrad.ir.primitive import Primitive
from funcgrad.ir.types import ArrayType
from funcgrad.prims import calls
from funcgrad.trace import ops
from funcgrad.trace.core import type_of
from funcgrad.trace.graph_trace import Derived, evaluate_graph, has_tracers, trace_to_graph

T = TypeVar("T")
Flags = tuple[bool, ...]


def parts(values: Sequence[T], *sizes: int) -> list[list[T]]:
    """`values` cut into consecutive lists of these sizes, and the rest."""
    cut, start = [], 0
    for size in sizes:
        cut.append(list(values[start : start + size]))
        start += size
    return [*cut, list(values[start:])]


def chosen(values: Iterable[T], flags: Iterable[bool], wanted: bool = True) -> list[T]:
    """The values whose flag is `wanted`."""
    return [v for v, f in zip(values, flags) if f is wanted]


def merged(flags: Iterable[bool], where_true: Iterable[Any], where_false: Iterable[Any]) -> list[Any]:
    """The values of two lists in the order that the flags say."""
    sources = iter(where_false), iter(where_true)
    return [next(sources[f]) for f in flags]


def either(a: Iterable[bool], b: Iterable[bool]) -> Flags:
    return tuple([x or y for x, y in zip(a, b)])


def memoised(graph: Graph, key: tuple[Any, ...], make: Callable[[], T]) -> T:
    """What `make` gives, made once for `graph` and `key`."""
    known = graph.memo.get(key)
    if known is None:
        known = graph.memo[key] = make()
    return known


def reordered(graph: Graph, inputs: Sequence[int], outputs: Sequence[int]) -> Graph:
    """The graph with the inputs and outputs at these positions, in this order."""
    inputs, outputs = tuple(inputs), tuple(outputs)
    count, found = len(graph.inputs), len(graph.outputs)
    if inputs == tuple(range(count)) and outputs == tuple(range(found)):
        return graph

    def make() -> Graph:
        vars = tuple([graph.inputs[i] for i in inputs])
        return Graph(vars, graph.equations, tuple([graph.outputs[o] for o in outputs]), graph.name)

    return memoised(graph, ("reordered", inputs, outputs), make)


def with_inputs(graph: Graph, before: Sequence[ArrayType], at: int, after: Sequence[ArrayType]) -> Graph:
    """The graph with unused inputs of the types `before` in front, and of `after` behind its first `at` ones."""
    before, after = tuple(before), tuple(after)
    if not before and not after:
        return graph

    def make() -> Graph:
        own = graph.inputs
        inputs = (*map(Var, before), *own[:at], *map(Var, after), *own[at:])
        return Graph(inputs, graph.equations, graph.outputs, graph.name)

    return memoised(graph, ("with_inputs", before, at, after), make)


def joined(derived: Sequence[tuple[Graph, Sequence[Any]]]) -> tuple[tuple[Graph, ...], list[Any]]:
    """Graphs that close over values of their own, as graphs that all take all of these first; and these."""
    constants = [list(values) for _, values in derived]
    types = [g.in_types[: len(values)] for g, values in derived]
    graphs = []
    for k, (graph, values) in enumerate(derived):
        before = [t for ts in types[:k] for t in ts]
        after = [t for ts in types[k + 1 :] for t in ts]
        graphs.append(with_inputs(graph, before, len(values), after))
    return tuple(graphs), [c for values in constants for c in values]


def depending(graph: Graph, flags: Flags) -> Flags:
    """Which outputs depend on an input where `flags`."""
    reached = {v for v, f in zip(graph.inputs, flags) if f}
    for equation in graph.equations:
        if any(a in reached for a in equation.inputs):
            reached.update(equation.outputs)
    return tuple([a in reached for a in graph.outputs])


def needed_inputs(graph: Graph, flags: Flags) -> Flags:
    """Which inputs the outputs where `flags` depend on, and effects."""
    needed = {a for a, f in zip(graph.outputs, flags) if f}
    for equation in reversed(graph.equations):
        if any(v in needed for v in equation.outputs) or has_effect(equation):
            needed.update(equation.inputs)
    return tuple([v in needed for v in graph.inputs])


def pruned(graph: Graph, inputs: Flags, outputs: Flags) -> Graph:
    """The graph with some of its inputs and outputs only, of which the former are all that the latter need."""
    if all(inputs) and all(outputs):
        return graph

    def make() -> Graph:
        return slice_of(graph, chosen(graph.inputs, inputs), chosen(graph.outputs, outputs), effects=True)

    return memoised(graph, ("pruned", inputs, outputs), make)


def pruned_equation(
    equation: Equation, inputs: Iterable[bool], outputs: Iterable[bool], params: dict[str, Any]
) -> Equation:
    """The equation with some of its inputs and outputs only, and with some other parameters."""
    return Equation(
        equation.primitive,
        chosen(equation.inputs, inputs),
        chosen(equation.outputs, outputs),
        {**equation.params, **params},
        equation.source,
    )


def computed_from(graph: Graph, inputs: Iterable[Var]) -> set[Atom]:
    """The variables that need nothing but these inputs."""
    known: set[Atom] = set(inputs)
    for equation in graph.equations:
        if all(isinstance(a, Literal) or a in known for a in equation.inputs):
            known.update(equation.outputs)
    return known


def slice_of(graph: Graph, inputs: Sequence[Var], outputs: Sequence[Atom], effects: bool = False) -> Graph:
    """The part of the graph that computes `outputs` from `inputs`, and what has an effect where `effects`."""
    needed, kept = set(outputs), []
    for equation in reversed(graph.equations):
        if any(v in needed for v in equation.outputs) or (effects and has_effect(equation)):
            kept.append(equation)
            needed.update(equation.inputs)
    return Graph(tuple(inputs), tuple(reversed(kept)), tuple(outputs), graph.name)


def padded(derived: Derived, flags: Flags, types: Sequence[ArrayType], wanted: Flags) -> Graph:
    """The graph with outputs where `wanted`, of which it has those where `flags`: zeros for the others."""
    if flags == wanted:
        return derived.graph

    def make() -> Graph:
        def function(*values: Any) -> list[Any]:
            outs = iter(evaluate_graph(derived.graph, values))
            full = [next(outs) if f else None for f in flags]
            return [ops.zeros(t) if o is None else o for o, t, w in zip(full, types, wanted) if w]

        return trace_to_graph(function, derived.graph.in_types, derived.graph.name).graph

    return memoised(derived.graph, ("padded", flags, tuple(types), wanted), make)


def check_operands(name: str, what: str, types: Sequence[ArrayType], expected: Sequence[ArrayType]) -> None:
    """Raise GraphError where operands do not have the types of a sub-graph's inputs."""
    if len(types) != len(expected) or not all(a.matches(b) for a, b in zip(types, expected)):
        raise GraphError(f"{name}: {what} takes {list(map(str, expected))}, got {list(map(str, types))}")


_calls: OrderedDict[Any, Graph] = OrderedDict()
"""The graphs of equations that were run outside every transform, by what they compute: tracing a function again
finds what was compiled for it before."""

_KEPT_CALLS = 256


def execute(primitive: Primitive, arrays: Sequence[Any], params: dict[str, Any]) -> list[Any]:
    """Run one equation outside every transform as a compiled function."""
    types = tuple([ArrayType(a.shape, a.dtype) for a in arrays])

    def make() -> Graph:
        inputs = tuple(map(Var, types))
        outputs = tuple(map(Var, primitive.type_rule(*types, **params)))
        return Graph(inputs, (Equation(primitive, inputs, outputs, params),), outputs, primitive.name)

    items = tuple(sorted(params.items()))
    first = next(v for _, v in items if isinstance(v, Graph))
    call = first.memo.get((primitive.name, types, items))
    if call is None:
        call = _found_call((primitive.name, types), items, make)
        first.memo[(primitive.name, types, items)] = call
    return calls.execute(call, arrays)


def _found_call(key: tuple[Any, ...], items: tuple[Any, ...], make: Callable[[], Graph]) -> Graph:
    try:
        key = (*key, *((k, graph_hash(v) if isinstance(v, Graph) else v) for k, v in items))
    except TypeError:  # a derivative rule in Python, which has no hash
        return make()
    call = _calls.get(key)
    if call is None:
        call = _calls[key] = make()
        if len(_calls) > _KEPT_CALLS:
            _calls.popitem(last=False)
    return call


def keep(graph: Graph, key: tuple[Any, ...], value: T, constants: Sequence[Any]) -> T:
    """Remember `value` on `graph`, unless it closes over traced values, which belong to one trace alone."""
    if not has_tracers(constants):
        graph.memo[key] = value
    return value


def where_rows(mask: Any, on_true: Any, on_false: Any) -> Any:
    """A choice by a mask over the leading axis."""
    shape = type_of(on_true).shape
    return ops.select(ops.broadcast_in_dim(mask, shape, (0,)), on_true, on_false)


def borrowed(mask: Any, x: Any) -> Any:
    """`x`, in which rows where `mask` is false are those of the first row where it is true. No derivative goes to
    what is borrowed. (Of a mask without a true row, the first row of `x`.)"""
    shape = type_of(x).shape
    if not shape[0]:
        return x
    first = ops.argmax(mask, 0, np.dtype(np.int32))
    zero = np.int32(0)
    row = ops.dynamic_slice(x, [first, *[zero] * (len(shape) - 1)], (1, *shape[1:]))
    row = ops.apply("stop_gradient", ops.reshape(row, shape[1:]))
    return where_rows(mask, x, ops.broadcast_in_dim(row, shape, tuple(range(1, len(shape)))))

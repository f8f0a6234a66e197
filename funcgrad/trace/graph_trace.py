"""Tracing into a graph: `trace_to_graph` runs a function on abstract tracers and records equations."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np

from funcgrad import dtypes
from funcgrad.config import config
from funcgrad.ir.graph import Atom, ClosedGraph, Equation, Graph, Literal, Var
from funcgrad.ir.primitive import Primitive
from funcgrad.ir.types import ArrayType
from funcgrad.ir.verify import verify
from funcgrad.records import record
from funcgrad.source import SourceLine, user_line
from funcgrad.trace.core import (
    _SCALAR_KINDS,
    Trace,
    Tracer,
    as_array,
    bind,
    check_alive,
    current,
    finish,
    no_leaks,
    out_types,
    state,
    type_of,
)


class GraphTracer(Tracer):
    """A value of a graph under construction: a variable, known by its type only."""

    __slots__ = ("known_as",)

    def __init__(self, trace: GraphTrace, known_as: Atom, source: SourceLine | None):
        self.made_by = trace
        self.known_as = known_as
        self.source = source

    @property
    def type(self) -> ArrayType:
        return self.known_as.type


class GraphTrace(Trace):
    """Records each operation as an equation. Values from outside become constants: leading graph inputs."""

    def __init__(self) -> None:
        self.parent = state.trace
        self.equations: list[Equation] = []
        self.constants: dict[int, tuple[Var, Any, Any]] = {}
        """By the id of a value from outside: its variable, what is kept of it, and the value itself, so that the
        id stays its own."""

    def input(self, type: ArrayType, source: SourceLine | None = None) -> GraphTracer:
        return GraphTracer(self, Var(type), source)

    def atom(self, value: Any) -> Atom:
        """The variable or literal that stands for `value` in this graph."""
        if value.__class__ is GraphTracer and value.made_by is self:
            return value.known_as
        if value.__class__ in _SCALAR_KINDS:
            return Literal(value, type_of(value))
        if isinstance(value, np.generic) and value.dtype != dtypes.float0:
            return Literal(value, type_of(value))
        known = self.constants.get(id(value))
        if known is None:
            if isinstance(value, Tracer):
                check_alive(value)
            kept = as_array(value)  # a copy of what the user may change after the trace
            known = self.constants[id(value)] = (Var(type_of(value)), kept, value)
        return known[0]

    def record(
        self,
        primitive: Primitive,
        atoms: Sequence[Atom],
        params: dict[str, Any],
        types: Any,
        source: SourceLine | None,
    ) -> Any:
        """Add one equation whose outputs have `types`; gives its tracer or tracers."""
        if primitive.multiple_results:
            outputs = [Var(t) for t in types]
            self.equations.append(Equation(primitive, atoms, outputs, params, source))
            return [GraphTracer(self, v, source) for v in outputs]
        var = Var(types)
        self.equations.append(Equation(primitive, atoms, (var,), params, source))
        return GraphTracer(self, var, source)

    def apply(self, primitive: Primitive, operands: Sequence[Any], params: dict[str, Any]) -> Any:
        atoms = [self.atom(x) for x in operands]
        types = out_types(primitive, tuple([a.type for a in atoms]), params)
        return self.record(primitive, atoms, params, types, state.source or user_line(2))

    def graph(self, inputs: Sequence[Any], outputs: Sequence[Any], name: str = "f") -> ClosedGraph:
        """The finished graph from the `inputs` (tracers) to `outputs` (values)."""
        out_atoms = tuple(self.atom(x) for x in outputs)
        constants = tuple(self.constants.values())
        in_vars = tuple(v for v, _, _ in constants) + tuple(t.known_as for t in inputs)
        graph = Graph(in_vars, tuple(self.equations), out_atoms, name)
        if config.verify:
            verify(graph)
        return ClosedGraph(graph, tuple(c for _, c, _ in constants))


@no_leaks
def trace_to_graph(
    function: Callable[..., Sequence[Any]], types: Sequence[ArrayType], name: str = "f"
) -> ClosedGraph:
    """Run `function` (flat values to a flat list of values) on abstract tracers of these types.

    Values that it closes over, concrete or traced outside, become the constants of the result.
    """
    trace = GraphTrace()
    source = user_line(2)
    try:
        with current(trace):
            inputs = [trace.input(t, source) for t in types]
            outputs = function(*inputs)
            return trace.graph(inputs, outputs, name)
    finally:
        finish(trace)


def evaluate_graph(graph: Graph, operands: Sequence[Any]) -> list[Any]:
    """Run a graph operation by operation in the current trace: the interpreter that transforms reuse."""
    env: dict[Var, Any] = dict(zip(graph.inputs, operands))

    def read(atom: Atom) -> Any:
        return env[atom] if atom.__class__ is Var else literal_value(atom)  # type: ignore[index,arg-type]

    outer_source = state.source
    try:
        for equation, dead in zip(graph.equations, _last_uses(graph)):
            state.source = equation.source or outer_source
            out = bind(equation.primitive, *[read(a) for a in equation.inputs], **equation.params)
            if equation.primitive.multiple_results:
                env.update(zip(equation.outputs, out))
            else:
                env[equation.outputs[0]] = out
            for var in dead:
                env.pop(var, None)
    finally:
        state.source = outer_source
    return [read(a) for a in graph.outputs]


def _last_uses(graph: Graph) -> list[list[Var]]:
    """For each equation the variables that nothing after it reads."""
    known = graph.memo.get("last_uses")
    if known is None:
        seen = {a for a in graph.outputs if isinstance(a, Var)}
        known = []
        for equation in reversed(graph.equations):
            dead = {a for a in (*equation.inputs, *equation.outputs) if isinstance(a, Var)} - seen
            seen |= dead
            known.append(list(dead))
        known.reverse()
        graph.memo["last_uses"] = known
    return known


def literal_value(literal: Literal) -> Any:
    """The operand that a literal stands for: a Python number where it is weak, else a NumPy scalar."""
    if literal.type.weak and literal.type.dtype == dtypes.of_python_scalar(type(literal.value.item())):
        return literal.value.item()
    return literal.value


@record
class Derived:
    """What a transform makes of a graph: another graph, the constants that it closes over, and flags that say
    which of its optional inputs or outputs are there."""

    graph: Graph
    constants: tuple[Any, ...]
    flags: tuple[bool, ...] = ()


def derive(
    function: Callable[..., Sequence[Any]], types: Sequence[ArrayType], name: str, flags: list[bool]
) -> Derived:
    """Trace `function`, which fills in `flags` as it runs."""
    closed = trace_to_graph(function, types, name)
    return Derived(closed.graph, closed.constants, tuple(flags))


T = TypeVar("T")


def remembered(transform: Callable[..., T]) -> Callable[..., T]:
    """Keep on a graph what `transform(graph, *key)` derives from it, so that it is derived once.

    What closed over a traced value belongs to one trace alone and is not kept.
    """

    @functools.wraps(transform)
    def lookup(graph: Graph, *key: Any) -> T:
        full_key = (transform.__name__, *key)
        known = graph.memo.get(full_key)
        if known is None:
            known = transform(graph, *key)
            if not has_tracers(known.constants):  # type: ignore[attr-defined]
                graph.memo[full_key] = known
        return known

    return lookup


def has_tracers(values: Sequence[Any]) -> bool:
    """Whether any of the values is traced."""
    return any(isinstance(v, Tracer) for v in values)

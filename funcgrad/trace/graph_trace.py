"""Tracing into a graph: `trace_to_graph` runs a function on abstract tracers and records equations."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np

from funcgrad import dtypes
from funcgrad.array import Array
from funcgrad.config import config
from funcgrad.ir.graph import Atom, ClosedGraph, Equation, Graph, Literal, Var
from funcgrad.ir.primitive import PRIMITIVES, Primitive
from funcgrad.ir.types import ArrayType
from funcgrad.ir.verify import verify
from funcgrad.records import record, replaced
from funcgrad.source import SourceLine, user_line
from funcgrad.trace.branching import (
    Decision,
    agree,
    explain_raised,
    in_line,
    leaves_of,
    not_the_same,
    rerun_all,
    same_operands,
    same_params,
    settle,
    too_many_ways,
)
from funcgrad.trace.core import (
    _SCALAR_KINDS,
    A_CONDITION,
    EAGER,
    INSTEAD_OF_A_CONDITION,
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
    """Records each operation as an equation. Values from outside become constants: leading graph inputs.

    Where `decisions` is a list, the function that is traced runs again for other outcomes of the Python conditions
    that it asks for, and these are the outcomes of this run; see `Rerun`.
    """

    decisions: list[Decision] | None = None
    known: Known | None = None
    replaying: bool = False

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
            known = self.constants[id(value)] = self.from_outside(value)
        return known[0]

    def from_outside(self, value: Any) -> tuple[Var, Any, Any]:
        """A new variable for a value from outside, and what is kept of it."""
        if isinstance(value, Tracer):
            check_alive(value)
        kept = as_array(value)  # a copy of what the user may change after the trace
        return Var(type_of(value)), kept, value

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

    def met_before(self, atom: Atom) -> bool:
        """Whether an earlier run of the function, for another outcome of a condition, had this variable too."""
        return False

    def decide(self, condition: Tracer) -> bool:
        if self.decisions is None and condition.made_by is not self:
            return self.parent.decide(condition)
        if self.decisions is None or not config.python_branches:
            return bool(condition.concrete(A_CONDITION, INSTEAD_OF_A_CONDITION))
        source = user_line(2)
        before, state.source = state.source, source
        try:
            with current(self):
                if condition.shape:
                    condition = bind(PRIMITIVES["reshape"], condition, new_sizes=())
                if not dtypes.is_bool(condition.dtype):
                    zero = condition.dtype.type(0)
                    condition = bind(PRIMITIVES["ne"], condition, zero)
        finally:
            state.source = before
        atom, known = self.atom(condition), self.known
        if known is None:
            known = self.known = Known()
        value = known.value(self, atom)
        if value is not None:
            return bool(value)
        assert isinstance(atom, Var)
        for decision in self.decisions:
            if known.same(decision.condition, atom):
                return decision.outcome
        decision = self.decided(atom, source)
        self.decisions.append(decision)
        return decision.outcome

    def decided(self, condition: Var, source: SourceLine | None) -> Decision:
        """A condition that has not been asked for in this run."""
        assert self.decisions is not None and self.known is not None
        self.known.ways += 1
        if self.known.ways > config.python_branches:
            raise too_many_ways(self.decisions, source)
        return Decision(condition, True, len(self.equations), len(self.constants), source)

    def graph(self, inputs: Sequence[Any], outputs: Sequence[Any], name: str = "f") -> ClosedGraph:
        """The finished graph from the `inputs` (tracers) to `outputs` (values)."""
        out_atoms = tuple(self.atom(x) for x in outputs)
        constants = tuple(self.constants.values())
        in_vars = tuple(v for v, _, _ in constants) + tuple(t.known_as for t in inputs)
        graph = Graph(in_vars, tuple(self.equations), out_atoms, name)
        if config.verify:
            verify(graph)
        return ClosedGraph(graph, tuple(c for _, c, _ in constants))


class Known:
    """What is known of the variables of a function that asks for conditions, in all its runs: which are constants
    after all, and which equations define them. `ways` counts the ways through the function."""

    def __init__(self) -> None:
        self.ways = 1
        self.values: dict[Var, Any] = {}
        self.made_by: dict[Var, Equation] = {}
        self.outside: dict[int, tuple[Var, Any, Any]] = {}
        self.looked_at: tuple[GraphTrace | None, int] = (None, 0)

    def value(self, trace: GraphTrace, atom: Atom) -> Any:
        """The value of `atom`, where it depends on constants of few elements only; else None."""
        if isinstance(atom, Literal):
            return atom.value
        start = self.looked_at[1] if self.looked_at[0] is trace else 0
        for var, kept, _ in trace.constants.values():
            if kept.__class__ is Array and var.type.size <= MOST_FOLDED:
                self.values.setdefault(var, kept)
        for equation in trace.equations[start:]:
            if equation.outputs and equation.outputs[0] not in self.made_by:
                self._look(equation)
        self.looked_at = (trace, len(trace.equations))
        return self.values.get(atom)

    def _look(self, equation: Equation) -> None:
        primitive = equation.primitive
        self.made_by.update(dict.fromkeys(equation.outputs, equation))
        if primitive.partial is not None or primitive.opaque or primitive.effect or primitive.collective:
            return
        if any(v.type.size > MOST_FOLDED for v in equation.outputs):
            return
        values = [literal_value(a) if isinstance(a, Literal) else self.values.get(a) for a in equation.inputs]
        if all(v is not None for v in values):
            with current(EAGER):
                out = EAGER.apply(primitive, values, equation.params)
            self.values.update(zip(equation.outputs, out if primitive.multiple_results else [out]))

    def same(self, a: Atom, b: Atom) -> bool:
        """Whether two conditions are one variable, or one operation on the same operands."""
        if a is b:
            return True
        first, second = self.made_by.get(a), self.made_by.get(b)  # type: ignore[arg-type]
        return (
            first is not None
            and second is not None
            and first.primitive is second.primitive
            and len(first.outputs) == 1
            and same_operands(first.inputs, second.inputs)
            and same_params(first.params, second.params)
        )


MOST_FOLDED = 64
"""The most elements of an array that is computed while tracing, to know a condition that depends on constants only."""


class Rerun(GraphTrace):
    """Runs a traced function again, for the other outcome of one of its conditions.

    Up to that condition it does the same as before, and is given the values of the earlier run for it.
    """

    def __init__(self, earlier: GraphTrace, depth: int):
        super().__init__()
        assert earlier.decisions is not None
        self.known = earlier.known
        self.decisions = []
        last = earlier.decisions[depth]
        self.script = [*earlier.decisions[:depth], replaced(last, outcome=not last.outcome)]
        self.equations = earlier.equations[: last.position]
        self.before = list(earlier.constants.values())[: last.constants]
        self.done = 0
        self.replaying = True

    def from_outside(self, value: Any) -> tuple[Var, Any, Any]:
        number = len(self.constants)
        if number < len(self.before):
            var, kept, earlier = self.before[number]
            same = value is earlier or not (isinstance(value, Tracer) or isinstance(earlier, Tracer))
            if not same or type_of(value) != var.type:
                raise not_the_same(self.script[-1])
            return var, kept, value
        assert self.known is not None
        known = self.known.outside.get(id(value))
        return super().from_outside(value) if known is None else known

    def met_before(self, atom: Atom) -> bool:
        made = {v for e in self.equations[self.done :] for v in e.outputs}
        return self.replaying or atom not in made

    def record(
        self,
        primitive: Primitive,
        atoms: Sequence[Atom],
        params: dict[str, Any],
        types: Any,
        source: SourceLine | None,
    ) -> Any:
        if not self.replaying:
            return super().record(primitive, atoms, params, types, source)
        if self.done == len(self.equations):
            raise not_the_same(self.script[-1])
        equation = self.equations[self.done]
        outputs = equation.outputs
        wanted = list(types) if primitive.multiple_results else [types]
        if (
            equation.primitive is not primitive
            or [v.type for v in outputs] != wanted
            or not all(a is b or isinstance(a, Literal) for a, b in zip(equation.inputs, atoms, strict=True))
        ):
            raise not_the_same(self.script[-1])
        self.done += 1
        tracers = [GraphTracer(self, v, source) for v in outputs]
        return tracers if primitive.multiple_results else tracers[0]

    def decided(self, condition: Var, source: SourceLine | None) -> Decision:
        if not self.replaying:
            return super().decided(condition, source)
        assert self.decisions is not None
        decision = self.script[len(self.decisions)]
        if decision.condition is not condition or decision.position != self.done:
            raise not_the_same(self.script[-1])
        self.replaying = len(self.decisions) + 1 < len(self.script)
        return decision


@no_leaks
def trace_to_graph(
    function: Callable[..., Sequence[Any]], types: Sequence[ArrayType], name: str = "f"
) -> ClosedGraph:
    """Run `function` (flat values to a flat list of values) on abstract tracers of these types.

    Values that it closes over, concrete or traced outside, become the constants of the result. Where Python asks
    for the truth of a value that is not known (`if`, `and`, `not`), the function runs once for each outcome, and a
    `cond` chooses between what follows; an attribute `out_tree` of `function` then has to be the same each time.
    """
    trace = GraphTrace()
    trace.decisions = []
    source = user_line(2)
    try:
        with current(trace):
            inputs = [trace.input(t, source) for t in types]
            try:
                outputs = function(*inputs)
            except Exception as error:
                if trace.decisions:
                    explain_raised(error, trace.decisions)
                raise
            if not trace.decisions:
                return trace.graph(inputs, outputs, name)
            outcome = [trace.atom(x) for x in outputs], getattr(function, "out_tree", None)
    finally:
        finish(trace)
    return _with_branches(function, trace, outcome, [t.known_as for t in inputs], name)


def _with_branches(
    function: Callable[..., Sequence[Any]],
    first: GraphTrace,
    outcome: tuple[list[Atom], Any],
    inputs: Sequence[Atom],
    name: str,
) -> ClosedGraph:
    """The graph of a function that has asked for conditions in its first run: runs it for the other outcomes."""
    known = first.known
    assert known is not None
    known.outside.update(first.constants)

    def again(earlier: GraphTrace, depth: int) -> tuple[GraphTrace, tuple[list[Atom], Any]]:
        trace = Rerun(earlier, depth)
        assert trace.decisions is not None
        try:
            with current(trace):
                outputs = function(*[GraphTracer(trace, v, None) for v in inputs])
                if trace.replaying:
                    raise not_the_same(trace.script[-1])
                found = [trace.atom(x) for x in outputs], getattr(function, "out_tree", None)
        except Exception as error:
            explain_raised(error, trace.decisions or trace.script)
            raise
        finally:
            finish(trace)
        for key, entry in trace.constants.items():
            known.outside.setdefault(key, entry)
        return trace, found

    paths = rerun_all(first, outcome, again)
    settle(paths, agree(list(leaves_of(paths)), name))
    equations, outputs = in_line(paths, name)
    constants = dict([entry[:2] for entry in known.outside.values()])
    graph = Graph((*constants, *inputs), tuple(equations), tuple(outputs), name)  # type: ignore[arg-type]
    if config.verify:
        verify(graph)
    return ClosedGraph(graph, tuple(constants.values()))


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

"""Reverse mode with all values at hand: what `grad` does outside every other transform.

A `Tape` runs each operation at once and notes how to pull cotangents back through it. What the derivative rules of an
operation (jvp, partial, transpose) say for operands of its types is worked out once, as lists of NumPy calls, and kept.
Operations with sub-graphs, custom rules and effects are linearized anew each time.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from funcgrad import dtypes
from funcgrad.array import Array, array_of
from funcgrad.config import config
from funcgrad.errors import FuncgradError
from funcgrad.ir.graph import Equation, Graph, Literal, Var
from funcgrad.ir.primitive import PRIMITIVES, Primitive, Zero
from funcgrad.ir.types import ArrayType, array_type
from funcgrad.source import user_line
from funcgrad.trace.core import (
    EAGER,
    as_array,
    current,
    data_of,
    finish,
    out_types,
    state,
    type_of,
    undisturbed,
)
from funcgrad.trace.graph_trace import literal_value
from funcgrad.transforms.jvp import JvpTrace, jvp_graph, unwrap_outputs
from funcgrad.transforms.partial import linearize, partial_graph
from funcgrad.transforms.transpose import pull_back_closed, transpose_graph


class Slot:
    """Stands where the tangent of a value would be: its cotangent is gathered here, as NumPy data."""

    __slots__ = ("gathered", "type", "weak")

    def __init__(self, type: ArrayType):
        self.type = type
        self.gathered: Any = None
        self.weak = True

    def add(self, cotangent: Any, weak: bool) -> None:
        before = self.gathered
        self.weak = self.weak and weak
        if before is not None:
            cotangent = np.asarray(PRIMITIVES["add"].evaluate(np, before, cotangent))
        self.gathered = cotangent

    def cotangent(self) -> Any:
        """What was gathered, as an Array; `Zero` where nothing was."""
        if self.gathered is None:
            return Zero(self.type)
        return array_of(self.gathered, array_type(self.type.shape, self.type.dtype, self.weak))


Pull = Callable[[list[Any], list[Slot]], None]
"""Adds to the slots of an operation's operands what the cotangents of its outputs (of those that have slots; None for
zero) give them."""


class Tape(JvpTrace):
    """Runs operations, and notes those of whose operands some have slots."""

    def __init__(self) -> None:
        super().__init__(EAGER)
        self.steps: list[tuple[Pull, list[Slot], list[Slot]]] = []

    def run(self, function: Callable[..., Sequence[Any]], primals: Sequence[Any]) -> list[Any]:
        """The outputs of `function` (flat values to flat values), run once. Integer inputs have no slot."""
        types = [type_of(p).tangent() for p in primals]
        self.inputs = [Slot(t) if dtypes.is_inexact(t.dtype) else Zero(t) for t in types]
        try:
            with current(self):
                outs = function(*map(self.wrap, primals, self.inputs))
        finally:
            finish(self)
        outs, self.outputs = unwrap_outputs(self, outs)
        return outs

    def pull(self, cotangents: Sequence[Any]) -> list[Any]:
        """The cotangents of the inputs, of which some may be `Zero`, from those of the outputs; once only."""
        for slot, cotangent in zip(self.outputs, cotangents):
            if slot.__class__ is Slot:
                slot.add(data_of(cotangent), type_of(cotangent).weak)
        while self.steps:
            pull, made, slots = self.steps.pop()
            given = [s.gathered for s in made]
            if any(ct is not None for ct in given):
                pull(given, slots)
        return [s.cotangent() if isinstance(s, Slot) else s for s in self.inputs]

    def wrap(self, out: Any, tangent: Any) -> Any:
        traced = super().wrap(out, tangent)
        if config.check_tracer_leaks and traced is not out:
            traced.source = user_line(2)
        return traced

    def apply(self, primitive: Primitive, operands: Sequence[Any], params: dict[str, Any]) -> Any:
        split = self.split(operands)
        if split is None or primitive.jvp is None:
            with current(EAGER):
                return EAGER.apply(primitive, operands if split is None else split[0], params)
        primals, slots = split
        step = _step_of(primitive, primals, slots, params)
        if step is None:

            def again(*values: Any) -> Sequence[Any]:
                out = state.trace.apply(primitive, values, params)
                return out if primitive.multiple_results else [out]

            outs = self._linearized(again, primals, slots)
        else:
            found, pull = step.run(primals)
            made = [Slot(t.tangent()) if moves else None for t, moves in zip(step.types, step.moves)]
            outs = self._note(pull, list(map(array_of, found, step.types)), made, slots)
        return outs if primitive.multiple_results else outs[0]

    def _note(
        self, pull: Pull, outs: Sequence[Any], made: Sequence[Slot | None], slots: Sequence[Any]
    ) -> list[Any]:
        """The outputs of an operation, those that have one of the new slots with it."""
        new = [s for s in made if s is not None]
        if new:
            self.steps.append((pull, new, [s for s in slots if s.__class__ is Slot]))
        return [out if slot is None else self.wrap(out, slot) for out, slot in zip(outs, made)]

    def _linearized(
        self, function: Callable[..., Sequence[Any]], primals: Sequence[Any], slots: Sequence[Any]
    ) -> list[Any]:
        """The outputs of an operation that is linearized as it runs."""
        moving = [k for k, s in enumerate(slots) if s.__class__ is Slot]

        def of_moving(*values: Any) -> Sequence[Any]:
            given = dict(zip(moving, values))
            return function(*[given.get(k, p) for k, p in enumerate(primals)])

        with current(EAGER):
            outs, linear = linearize(of_moving, [primals[k] for k in moving])

        def pull(cotangents: list[Any], slots: list[Slot]) -> None:
            types = linear.closed.graph.out_types
            given = [Zero(t) if ct is None else array_of(ct, t) for ct, t in zip(cotangents, types)]
            for slot, ct in zip(slots, pull_back_closed(linear.closed, given)):
                if ct.__class__ is not Zero:
                    slot.add(data_of(ct), type_of(ct).weak)

        made = [Slot(type_of(o).tangent()) if moves else None for o, moves in zip(outs, linear.out_nonzero)]
        return self._note(pull, list(map(as_array, outs)), made, slots)

    def call_custom_jvp(self, call: Any, operands: Sequence[Any]) -> Any:
        return self._call(lambda *xs: state.trace.call_custom_jvp(call, xs), operands)

    def call_custom_vjp(self, call: Any, operands: Sequence[Any]) -> Any:
        return self._call(lambda *xs: state.trace.call_custom_vjp(call, xs), operands)

    def _call(self, function: Callable[..., Sequence[Any]], operands: Sequence[Any]) -> Any:
        split = self.split(operands)
        if split is not None:
            return self._linearized(function, *split)
        with current(EAGER):
            return function(*operands)


class _Program:
    """A graph as a list of NumPy calls on numbered values: constants, inputs, literals, then results."""

    def __init__(self, graph: Graph, constants: Sequence[Any]):
        self.constants = list(map(data_of, constants))
        atoms = [a for e in graph.equations for a in e.inputs] + list(graph.outputs)
        literals = [a for a in atoms if isinstance(a, Literal)]
        self.literals = [data_of(literal_value(a)) for a in literals]
        numbers: dict[Any, int] = {a: k for k, a in enumerate([*graph.inputs, *literals])}
        count = len(graph.inputs) + len(literals)
        self.calls = []
        for e in graph.equations:
            reads = [numbers[a] for a in e.inputs]
            numbers.update(zip(e.outputs, range(count, count + len(e.outputs))))
            count += len(e.outputs)
            self.calls.append((e.primitive.evaluate, reads, e.params, e.primitive.multiple_results))
        self.outputs = [numbers[a] for a in graph.outputs]
        self.weak = [t.weak for t in graph.out_types]

    def run(self, inputs: Sequence[Any]) -> list[Any]:
        values = [*self.constants, *inputs, *self.literals]
        for evaluate, reads, params, several in self.calls:
            out = evaluate(np, *[values[k] for k in reads], **params)
            if several:
                values += map(np.asarray, out)
            else:
                values.append(out if out.__class__ is np.ndarray else np.asarray(out))
        return [values[k] for k in self.outputs]


class _Step:
    """An operation on operands of some types, of which some have slots: a program from the operands to the outputs and
    the residuals, and the linear graph from residuals and tangents of operands to those of the outputs that move."""

    def __init__(
        self,
        primitive: Primitive,
        types: tuple[ArrayType, ...],
        moving: tuple[bool, ...],
        params: dict[str, Any],
    ):
        found = out_types(primitive, types, params)
        self.types = found if primitive.multiple_results else (found,)
        inputs, outputs = tuple(map(Var, types)), tuple(map(Var, self.types))
        graph = Graph(inputs, (Equation(primitive, inputs, outputs, params, None),), outputs, primitive.name)
        self.unknown = moving.count(True)
        with current(EAGER):
            pushed = jvp_graph(graph, moving)
            self.moves = pushed.flags
            known = len(pushed.graph.inputs) - self.unknown
            split = partial_graph(
                pushed.graph,
                (False,) * known + (True,) * self.unknown,
                (False,) * len(outputs) + (True,) * self.moves.count(True),
            )
        self.known = _Program(split.known.graph, (*split.known.constants, *pushed.constants))
        self.linear = split.linear
        self.pulls: dict[tuple[bool, ...], tuple[_Program, tuple[int, ...]]] = {}

    def run(self, primals: Sequence[Any]) -> tuple[Sequence[Any], Pull]:
        """The outputs, as NumPy data, and how to pull cotangents back."""
        data = []
        for x in primals:
            if x.__class__ is Array:
                data.append(x._data)
            else:
                data.append(np.array(x) if isinstance(x, np.ndarray) else data_of(x))
        found = undisturbed(self.known.run, data)
        residuals = found[len(self.types) :]
        return found[: len(self.types)], functools.partial(self.pull, residuals)

    def pull(self, residuals: list[Any], cotangents: list[Any], slots: list[Slot]) -> None:
        nonzero = tuple([ct is not None for ct in cotangents])
        if nonzero not in self.pulls:
            linear = (False,) * (len(self.linear.inputs) - self.unknown) + (True,) * self.unknown
            with current(EAGER):
                derived = transpose_graph(self.linear, linear, nonzero)
            moving = tuple([k for k, flag in enumerate(derived.flags) if flag])
            self.pulls[nonzero] = _Program(derived.graph, derived.constants), moving
        program, moving = self.pulls[nonzero]
        pulled = undisturbed(program.run, [*residuals, *[ct for ct in cotangents if ct is not None]])
        for k, ct, weak in zip(moving, pulled, program.weak):
            slots[k].add(ct, weak)


@functools.lru_cache(maxsize=4096)
def _step(
    primitive: Primitive, types: tuple[ArrayType, ...], moving: tuple[bool, ...], items: tuple[Any, ...]
) -> _Step:
    return _Step(primitive, types, moving, dict(items))


def _step_of(
    primitive: Primitive, primals: Sequence[Any], slots: Sequence[Any], params: dict[str, Any]
) -> _Step | None:
    """The step of an operation; None where it has to be linearized as it runs."""
    if primitive.partial is not None or primitive.effect or primitive.opaque or primitive.collective:
        return None
    moving = tuple([s.__class__ is Slot for s in slots])
    try:
        return _step(primitive, tuple(map(type_of, primals)), moving, tuple(params.items()))
    except TypeError as error:
        if isinstance(error, FuncgradError):
            raise
        return None  # arrays among the parameters, which cannot be a key

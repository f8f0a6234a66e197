"""`debug.key_reuse`: find random keys that are used twice, eagerly, while a function is traced, and when it runs."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any

import numpy as np

from funcgrad import random
from funcgrad.config import config
from funcgrad.debug.watching import watch
from funcgrad.errors import KeyReuseError
from funcgrad.ir.graph import Equation, Graph, Literal, Var
from funcgrad.ir.primitive import Primitive
from funcgrad.source import SourceLine, user_line
from funcgrad.trace.core import Tracer, data_of, state, type_of
from funcgrad.trace.graph_trace import GraphTrace
from funcgrad.transforms.jvp import JvpTrace, JvpTracer
from funcgrad.transforms.partial import SplitTrace
from funcgrad.transforms.vmap import BatchTrace, BatchTracer

Use = tuple[str, SourceLine | None]
"""The function that used a key up, and where."""


class _Book:
    """Which keys were used up. Of keys with known bits, these; of others, the variable of the graph that is being
    traced, which is looked at when the graph runs."""

    def __init__(self) -> None:
        self.used: dict[bytes, Use] = {}
        self.events: dict[int, tuple[Var, list[Use]]] = {}  # by the id of the variable, which is kept
        self.checked: dict[int, tuple[Graph, list[Use | None]]] = {}

    def use(self, key: Any, function: str) -> None:
        """Called by funcgrad.random for each key that is used up."""
        use = (function, state.source or user_line(2))
        while isinstance(key, BatchTracer | JvpTracer):
            key = key.value if isinstance(key, BatchTracer) else key.primal
        trace = state.trace
        while isinstance(trace, BatchTrace | JvpTrace | SplitTrace):
            trace = trace.parent
        if isinstance(trace, GraphTrace):
            atom = trace.atom(key)
            if isinstance(atom, Var) and not trace.met_before(atom):
                self.events.setdefault(id(atom), (atom, []))[1].append(use)
        elif not isinstance(key, Tracer):
            self.note(self.used, np.asarray(data_of(key)).tobytes(), use)

    def note(self, used: dict[Any, Use], identity: Any, use: Use) -> None:
        if identity in used:
            raise _reuse(use, used[identity])
        used[identity] = use

    def look(
        self, primitive: Primitive, operands: Sequence[Any], params: dict[str, Any], outs: Sequence[Any]
    ) -> None:
        """Check what has run, and note the keys that it has used up."""
        equation = Equation(primitive, [Var(type_of(x)) for x in operands], (), params)
        if not any(True for _ in equation.subgraphs()):
            return
        for value, use in zip(operands, self.of_equation(equation)):
            if use is not None:
                self.note(self.used, np.asarray(data_of(value)).tobytes(), use)

    def of_graph(self, graph: Graph) -> list[Use | None]:
        """For each input of a graph how it is used up; raises where a key inside is so twice."""
        known = self.checked.get(id(graph))
        if known is None:
            known = self.checked[id(graph)] = (graph, self._of_graph(graph))
        return known[1]

    def _of_graph(self, graph: Graph) -> list[Use | None]:
        numbers: dict[Any, Any] = {v: ("input", k) for k, v in enumerate(graph.inputs)}
        made: dict[Any, Any] = {}
        used: dict[Any, Use] = {}

        def number(atom: Any) -> Any:
            return ("literal", atom.key()) if isinstance(atom, Literal) else numbers[atom]

        def note_events(var: Var) -> None:
            for use in self.events.get(id(var), (var, []))[1]:
                self.note(used, numbers[var], use)

        for var in graph.inputs:
            note_events(var)
        for position, equation in enumerate(graph.equations):
            inputs = tuple(map(number, equation.inputs))
            uses = self.of_equation(equation)
            params = position if uses else str(sorted(equation.params.items()))
            for identity, use in zip(inputs, uses):
                if use is not None:
                    self.note(used, identity, use)
            for k, var in enumerate(equation.outputs):  # the same for the same operations on the same values
                numbers[var] = made.setdefault(
                    (equation.primitive.name, params, inputs, k), ("made", len(made))
                )
                note_events(var)
        return [used.get(numbers[v]) for v in graph.inputs]

    def of_equation(self, equation: Equation) -> list[Use | None]:
        """For each operand of a call, branch or loop how it is used up; empty for other equations."""
        graphs = list(equation.subgraphs())
        if not graphs:
            return []
        body = graphs[-1]
        held = equation.params.get("consts", equation.params.get("body_consts"))
        if held is not None and equation.params.get("length", 2) > 1:
            uses, carry = self.of_graph(body), equation.params.get("carry", len(body.outputs))
            for k, (var, use) in enumerate(zip(body.inputs, uses)):
                again = k < held or (k - held < carry and body.outputs[k - held] is var)
                if use is not None and again:
                    raise _reuse(use, use, "every iteration of a loop uses it")
        found: list[Use | None] = [None] * len(equation.inputs)
        for graph in [body] if held is not None else graphs:  # of branches, one runs
            start = len(equation.inputs) - len(graph.inputs)
            for k, use in enumerate(self.of_graph(graph)):
                if use is not None and start + k >= 0:
                    found[start + k] = use
        return found


def _reuse(use: Use, earlier: Use, why: str | None = None) -> KeyReuseError:
    function, source = use
    by, where = earlier
    first = why or f"random.{by} has used it already" + (f", at {where}" if where else "")
    return KeyReuseError(
        f"a random key is used a second time, by random.{function}; {first}: both draw the same bits",
        where=source,
        hint="make a new key for each use: key, subkey = random.split(key)"
        if why is None
        else "hand the loop an array of keys, random.split(key, n), or carry the key and split it in each iteration",
    )


def _settings_changed() -> None:
    on = bool(random.key_watchers)
    if config.debug_key_reuse and not on:
        book = _Book()
        random.key_watchers.append(book.use)
        watch("keys", book.look)
    elif on and not config.debug_key_reuse:
        random.key_watchers.clear()
        watch("keys", None)


config.watch(_settings_changed)


def key_reuse(new_val: bool = True) -> AbstractContextManager[None]:
    """Inside, raise KeyReuseError where a random key is used twice: both uses would draw the same bits.

    Drawing and `random.split` use a key up; `random.fold_in` does not. Keys count as equal if their bits are, or,
    in a compiled function, if they are computed in the same way; a loop that uses a key from outside, or carries one
    on that it has used, does so in every iteration. What a compiled function does is looked at when it has run.

    >>> import funcgrad as fg
    >>> with fg.debug.key_reuse():
    ...     key = fg.random.key(0)
    ...     x = fg.random.normal(key, (2,))
    ...     try:
    ...         y = fg.random.uniform(key, (2,))
    ...     except ValueError as error:
    ...         print(str(error).split(";")[0])
    a random key is used a second time, by random.uniform
    """
    return config.using(debug_key_reuse=new_val)


__all__ = ["key_reuse"]

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
from funcgrad.ir.graph import Graph, Literal, Var
from funcgrad.ir.primitive import Primitive
from funcgrad.source import SourceLine, user_line
from funcgrad.trace.core import Tracer, data_of, state
from funcgrad.trace.graph_trace import GraphTrace, GraphTracer


class _Book:
    """Which keys were used up, by whom and where."""

    def __init__(self) -> None:
        self.used: dict[Any, tuple[str, SourceLine | None]] = {}
        self.numbers: dict[Any, int] = {}
        self.kept: list[Any] = []  # what is known here by its id
        self.used_inputs: dict[int, tuple[Var, str, SourceLine | None]] = {}

    def use(self, key: Any, function: str) -> None:
        source = state.source or user_line(2)
        self.note(self.identity(key), function, source)
        if isinstance(key, GraphTracer) and isinstance(key.var, Var):
            self.used_inputs[id(key.var)] = (key.var, function, source)

    def note(self, identity: Any, function: str, source: SourceLine | None) -> None:
        earlier = self.used.get(identity)
        if earlier is not None:
            by, where = earlier
            raise KeyReuseError(
                f"a random key is used a second time, by random.{function}; random.{by} has used it already"
                + (f", at {where}" if where else "")
                + ": both draw the same bits",
                where=source,
                hint="make a new key for each use: key, subkey = random.split(key)",
            )
        self.used[identity] = (function, source)

    def identity(self, key: Any) -> Any:
        """What is the same for equal keys: the bits where they are known, else how the key is computed."""
        if isinstance(key, GraphTracer):
            return self.number(key.trace, key.var)  # type: ignore[arg-type]
        if isinstance(key, Tracer):
            inner = getattr(key, "value", getattr(key, "primal", None))
            if inner is not None:
                return (type(key).__name__, self.identity(inner))
            self.kept.append(key)
            return id(key)
        return np.asarray(data_of(key)).tobytes()

    def number(self, trace: GraphTrace, atom: Any) -> Any:
        """A number for a value under construction: the same for the same operations on the same values."""
        if isinstance(atom, Literal):
            return ("literal", atom.key())
        for var, value, _ in trace.constants.values():
            if var is atom:
                return self.identity(value)
        equation = next((e for e in reversed(trace.equations) if atom in e.outputs), None)
        self.kept.append(atom)
        if equation is None:
            return ("input", id(atom))
        inputs = tuple([self.number(trace, a) for a in equation.inputs])
        position = equation.outputs.index(atom)
        made = (equation.primitive.name, str(sorted(equation.params.items())), inputs, position)
        return ("made", self.numbers.setdefault(made, len(self.numbers)))

    def look(
        self, primitive: Primitive, operands: Sequence[Any], params: dict[str, Any], outs: Sequence[Any]
    ) -> None:
        """Note the keys that a compiled function has used up."""
        graph = params.get("graph")
        if isinstance(graph, Graph) and len(graph.inputs) == len(operands):
            for value, use in zip(operands, self.uses(graph)):
                if use is not None:
                    self.note(self.identity(value), *use)

    def uses(self, graph: Graph) -> list[tuple[str, SourceLine | None] | None]:
        """For each input whether it is a key that the graph uses up, and by what."""
        found = {v: self.used_inputs[id(v)][1:] for v in graph.inputs if id(v) in self.used_inputs}
        for equation in graph.equations:
            for inner in equation.subgraphs():
                if len(inner.inputs) == len(equation.inputs):
                    for atom, use in zip(equation.inputs, self.uses(inner)):
                        if use is not None and isinstance(atom, Var):
                            found[atom] = use
        return [found.get(v) for v in graph.inputs]


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


def key_reuse(enable: bool = True) -> AbstractContextManager[None]:
    """Inside, raise KeyReuseError where a random key is used twice: both uses would draw the same bits.

    Drawing and `random.split` use a key up; `random.fold_in` does not. Keys count as equal if their bits are, or,
    in a traced function, if they are computed in the same way.

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
    return config.using(debug_key_reuse=enable)


__all__ = ["key_reuse"]

"""The graph: typed, in A-normal form, frozen.

`Graph(inputs, equations, outputs)`; each equation applies one primitive to variables and scalar literals.
A graph closes over nothing: arrays that a traced function closed over are leading inputs, and the pair of
a graph and the values of those is a `ClosedGraph`. Transforms and passes make new graphs; nothing here
changes after it is made.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from funcgrad.ir.primitive import Primitive
from funcgrad.ir.types import ArrayType
from funcgrad.records import entity
from funcgrad.source import SourceLine


class Var:
    """A variable: identity and type. Names are given when a graph is printed."""

    __slots__ = ("type",)

    def __init__(self, type: ArrayType):
        self.type = type

    @property
    def aval(self) -> ArrayType:
        """JAX's name of `type`."""
        return self.type

    def __repr__(self) -> str:
        return f"Var({self.type})"


class Literal:
    """A scalar constant inside a graph."""

    __slots__ = ("type", "value")

    def __init__(self, value: Any, type: ArrayType):
        self.value = type.dtype.type(value)
        self.type = type

    @property
    def aval(self) -> ArrayType:
        """JAX's name of `type`."""
        return self.type

    @property
    def val(self) -> Any:
        """JAX's name of `value`."""
        return self.value

    def __repr__(self) -> str:
        return f"{self.value}:{self.type}"

    def key(self) -> tuple[Any, ...]:
        """What makes two literals the same: type and bits, so that -0.0 differs from 0.0 and NaN equals NaN."""
        return (self.type, self.value.tobytes())


Atom = Var | Literal


class Equation:
    """`outputs = primitive[params](inputs)`, and the user's line that it came from."""

    __slots__ = ("inputs", "outputs", "params", "primitive", "source")

    def __init__(
        self,
        primitive: Primitive,
        inputs: Sequence[Atom],
        outputs: Sequence[Var],
        params: dict[str, Any],
        source: SourceLine | None = None,
    ):
        self.primitive = primitive
        self.inputs = tuple(inputs)
        self.outputs = tuple(outputs)
        self.params = params
        self.source = source

    invars = property(lambda self: self.inputs)  # JAX's names
    outvars = property(lambda self: self.outputs)

    def subgraphs(self) -> Iterator[Graph]:
        """The graphs among the parameters."""
        for value in self.params.values():
            if isinstance(value, Graph):
                yield value
            elif isinstance(value, tuple):
                yield from (v for v in value if isinstance(v, Graph))

    def __repr__(self) -> str:
        return f"{self.primitive.name}({', '.join(map(repr, self.inputs))})"


@dataclass(frozen=True, eq=False)
class Graph:
    """A pure function of arrays, as a list of equations. Equality is identity; see ir/hash.py for structure.

    `memo` holds what others derive from the graph (its jvp, its batched form, its executable), so that it
    is derived once and dies with it.
    """

    inputs: tuple[Var, ...]
    equations: tuple[Equation, ...]
    outputs: tuple[Atom, ...]
    name: str = "f"
    memo: dict[Any, Any] = field(default_factory=dict, repr=False, compare=False)

    @property
    def in_types(self) -> tuple[ArrayType, ...]:
        return tuple(v.type for v in self.inputs)

    @property
    def out_types(self) -> tuple[ArrayType, ...]:
        return tuple(a.type for a in self.outputs)

    @property
    def eqns(self) -> tuple[Equation, ...]:
        """JAX's name of `equations`."""
        return self.equations

    invars = property(lambda self: self.inputs)
    outvars = property(lambda self: self.outputs)

    def __reduce__(self):
        return (Graph, (self.inputs, self.equations, self.outputs, self.name))


@entity
class ClosedGraph:
    """A graph with values for its leading inputs: `constants` bind `graph.inputs[:len(constants)]`."""

    graph: Graph
    constants: tuple[Any, ...] = ()

    @property
    def in_types(self) -> tuple[ArrayType, ...]:
        return self.graph.in_types[len(self.constants) :]

    @property
    def out_types(self) -> tuple[ArrayType, ...]:
        return self.graph.out_types

    @property
    def equations(self) -> tuple[Equation, ...]:
        return self.graph.equations

    # JAX's names, for programs that inspect a jaxpr.
    jaxpr = property(lambda self: self.graph)
    consts = property(lambda self: list(self.constants))
    eqns = property(lambda self: self.graph.equations)
    in_avals = property(lambda self: list(self.in_types))
    out_avals = property(lambda self: list(self.out_types))

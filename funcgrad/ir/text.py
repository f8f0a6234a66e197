"""The text of a graph, and the parser that reads it back.

::

    { lambda f ; a:f32[8] b:f32[]. let
        c:f32[8] = mul a b                          # model.py:12 (f)
        d:f32[] = reduce_sum[axes=(0,)] c
      in (d,) }

A type is a short dtype name and the shape; `~` marks weak types. Literals carry their type: `2.0:f32[]`,
`<1.0 -2.0>:c64[]`.
Parameters are Python literals, dtypes (`dtype:f32`), types (`type:f32[8]`), graphs, and records (frozen
dataclasses and enums that a family of primitives registers here). What is a Python function, as in a custom
derivative rule, prints by name and does not parse.
"""

from __future__ import annotations

import dataclasses
import enum
import os
import re
from collections.abc import Iterator
from typing import Any

import numpy as np

from funcgrad import dtypes
from funcgrad.errors import GraphError
from funcgrad.ir.graph import Atom, ClosedGraph, Equation, Graph, Literal, Var
from funcgrad.ir.primitive import primitive_named
from funcgrad.ir.types import ArrayType, array_type

_RECORDS: dict[str, type] = {}
_SOURCE_COLUMN = 60


def register_record(cls: Any) -> Any:
    """Let parameters of this class (a frozen dataclass or an Enum) be printed and parsed. A decorator."""
    _RECORDS[cls.__name__] = cls
    return cls


# Printing.
_WORDS = frozenset(("in", "let", "lambda", "inf", "nan", "type", "dtype"))
"""Words of the text, which are no names of variables."""


def var_names() -> Iterator[str]:
    """a, b, ..., z, aa, ab, ..., without the words of the text."""
    number = 0
    while True:
        name, rest = "", number
        while True:
            name = chr(ord("a") + rest % 26) + name
            rest = rest // 26 - 1
            if rest < 0:
                break
        if name not in _WORDS:
            yield name
        number += 1


def format_graph(graph: Graph | ClosedGraph, sources: bool = True) -> str:
    """The text of a graph; with `sources` each equation says which line of the user's it came from."""
    if isinstance(graph, ClosedGraph):
        graph = graph.graph
    return "\n".join(_graph_lines(graph, "", sources))


def _shown(graph: Graph | ClosedGraph) -> str:
    return format_graph(graph)


# set from here, since this module reads graphs and cannot be imported by theirs
Graph.__str__ = Graph.__repr__ = ClosedGraph.__str__ = ClosedGraph.__repr__ = _shown  # type: ignore[method-assign]


def _graph_lines(graph: Graph, indent: str, sources: bool) -> list[str]:
    names: dict[Var, str] = {}
    supply = var_names()

    def bind(var: Var) -> str:
        names[var] = next(supply)
        return f"{names[var]}:{var.type}"

    def show(atom: Atom) -> str:
        return names[atom] if isinstance(atom, Var) else f"{_scalar(atom.value)}:{atom.type}"

    inputs = " ".join(map(bind, graph.inputs))
    lines = [f"{indent}{{ lambda {_name(graph.name)} ; {inputs}. let"]
    for equation in graph.equations:
        operands = "".join(f" {show(a)}" for a in equation.inputs)
        outputs = " ".join(map(bind, equation.outputs))
        first, *more = _params(equation, indent, sources).split("\n")
        line = f"{indent}    {outputs} = {equation.primitive.name}{first}"
        for another in more:
            lines.append(line)
            line = another
        line += operands
        if sources and equation.source:
            source = equation.source
            note = f"# {os.path.basename(source.file)}:{source.line} ({source.function})"
            line = f"{line:<{_SOURCE_COLUMN}} {note}"
        lines.append(line)
    outputs = ", ".join(map(show, graph.outputs)) + ("," if len(graph.outputs) == 1 else "")
    lines.append(f"{indent}  in ({outputs}) }}")
    return lines


def _name(name: str) -> str:
    name = re.sub(r"\W", "_", name) or "f"
    return f"_{name}" if name[0].isdigit() else name


def _params(equation: Equation, indent: str, sources: bool) -> str:
    shown = [f"{k}={_value(v, indent, sources)}" for k, v in sorted(equation.params.items())]
    return f"[{', '.join(shown)}]" if shown else ""


def _value(value: Any, indent: str, sources: bool) -> str:
    if isinstance(value, Graph):
        return "\n" + "\n".join(_graph_lines(value, indent + "      ", sources)) + "\n" + indent + "    "
    if isinstance(value, np.dtype):
        return f"dtype:{dtypes.name(value)}"
    if isinstance(value, ArrayType):
        return f"type:{value}"
    if isinstance(value, enum.Enum):
        return f"{type(value).__name__}.{value.name}"
    if isinstance(value, tuple):
        return (
            "("
            + ", ".join(_value(v, indent, sources) for v in value)
            + ("," if len(value) == 1 else "")
            + ")"
        )
    if isinstance(value, np.generic):
        return _scalar(value)
    if value is None or isinstance(value, bool | int | float | complex | str):
        return repr(value)
    if dataclasses.is_dataclass(value) and type(value).__name__ in _RECORDS:
        fields = [
            f"{f.name}={_value(getattr(value, f.name), indent, sources)}" for f in dataclasses.fields(value)
        ]
        return f"{type(value).__name__}({', '.join(fields)})"
    return f"<{getattr(value, 'name', type(value).__name__)}>"


def _scalar(value: Any) -> str:
    if dtypes.is_complex(value.dtype):
        return f"<{float(value.real)!r} {float(value.imag)!r}>"
    return repr(value.item()) if value.dtype != dtypes.bfloat16 else repr(float(value))


# Parsing.
_TOKEN = re.compile(
    r"""\s+|\#[^\n]*|(?P<string>'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")
    |(?P<number>-?(?:\d+\.?\d*(?:e[+-]?\d+)?|inf|nan)(?![\w]))
    |(?P<name>[A-Za-z_]\w*)|(?P<mark>[{}()\[\];:.,=~<>+-])""",
    re.VERBOSE,
)


def parse_graph(text: str) -> Graph:
    """The graph that `format_graph` printed. Raises GraphError where the text is not that of a graph."""
    parser = _Parser(text)
    graph = parser.graph()
    parser.expect_end()
    return graph


class _Parser:
    """A recursive descent over the tokens of one text."""

    def __init__(self, text: str):
        self.text = text
        self.tokens: list[tuple[str, str, int]] = []
        position = 0
        while position < len(text):
            match = _TOKEN.match(text, position)
            if match is None:
                raise self.error(position, f"cannot read {text[position : position + 20]!r}")
            if match.lastgroup:
                self.tokens.append((match.lastgroup, match.group(), position))
            position = match.end()
        self.tokens.append(("end", "", len(text)))
        self.next = 0

    def error(self, position: int, what: str) -> GraphError:
        return GraphError(f"line {self.text.count(chr(10), 0, position) + 1} of the graph's text: {what}")

    def peek(self) -> str:
        return self.tokens[self.next][1]

    def take(self, kind: str | None = None) -> str:
        token_kind, token, position = self.tokens[self.next]
        if kind is not None and kind not in (token_kind, token):
            raise self.error(position, f"expected {kind}, found {token or 'the end'!r}")
        self.next += 1
        return token

    def accept(self, token: str) -> bool:
        found = self.peek() == token
        self.next += found
        return found

    def expect_end(self) -> None:
        self.take("end")

    def graph(self) -> Graph:
        self.take("{")
        self.take("lambda")
        name = self.take("name")
        self.take(";")
        scope: dict[str, Var] = {}
        inputs = []
        while not self.accept("."):
            inputs.append(self.binder(scope))
        self.take("let")
        equations = []
        while not self.accept("in"):
            equations.append(self.equation(scope))
        self.take("(")
        outputs = []
        while not self.accept(")"):
            outputs.append(self.atom(scope))
            self.accept(",")
        self.take("}")
        return Graph(tuple(inputs), tuple(equations), tuple(outputs), name)

    def binder(self, scope: dict[str, Var]) -> Var:
        name = self.take("name")
        self.take(":")
        scope[name] = Var(self.type())
        return scope[name]

    def type(self) -> ArrayType:
        position = self.tokens[self.next][2]
        short = self.take("name")
        if short not in dtypes.BY_SHORT:
            raise self.error(position, f"{short!r} is not a dtype")
        self.take("[")
        shape = []
        while not self.accept("]"):
            shape.append(int(self.take("number")))
            self.accept(",")
        return array_type(tuple(shape), dtypes.BY_SHORT[short], self.accept("~"))

    def equation(self, scope: dict[str, Var]) -> Equation:
        binders: list[tuple[str, ArrayType]] = []
        while not self.accept("="):
            name = self.take("name")
            self.take(":")
            binders.append((name, self.type()))
        primitive = primitive_named(self.take("name"))
        params = {}
        if self.accept("["):
            while not self.accept("]"):
                key = self.take("name")
                self.take("=")
                params[key] = self.value()
                self.accept(",")
        inputs = []
        while self.is_atom():
            inputs.append(self.atom(scope))
        outputs = []
        for name, type in binders:
            scope[name] = Var(type)
            outputs.append(scope[name])
        return Equation(primitive, inputs, outputs, params)

    def is_atom(self) -> bool:
        kind, token, _ = self.tokens[self.next]
        if kind == "number" or token in ("<", "True", "False"):
            return True
        return kind == "name" and token != "in" and self.tokens[self.next + 1][1] != ":"

    def atom(self, scope: dict[str, Var]) -> Atom:
        kind, token, position = self.tokens[self.next]
        if kind == "name" and token not in ("True", "False"):
            self.next += 1
            if token not in scope:
                raise self.error(position, f"variable {token!r} is read before it is defined")
            return scope[token]
        value = self.value()
        self.take(":")
        return Literal(value, self.type())

    def value(self) -> Any:
        kind, token, position = self.tokens[self.next]
        if token == "{":
            return self.graph()
        self.next += 1
        if kind == "string":
            return token[1:-1].encode().decode("unicode_escape")
        if kind == "number":
            return self.number(token)
        if token == "<":
            parts = self.number(self.take("number")), self.number(self.take("number"))
            self.take(">")
            return complex(*parts)
        if token == "(":
            return self.parenthesis()
        if token in ("True", "False", "None"):
            return {"True": True, "False": False, "None": None}[token]
        if token == "dtype":
            self.take(":")
            return dtypes.BY_SHORT[self.take("name")]
        if token == "type":
            self.take(":")
            return self.type()
        if token in _RECORDS:
            return self.record(_RECORDS[token])
        raise self.error(position, f"{token!r} is not a parameter that can be read back")

    def number(self, token: str) -> Any:
        return float(token) if re.search(r"[.einf]", token) else int(token)

    def parenthesis(self) -> Any:
        items = []
        while not self.accept(")"):
            items.append(self.value())
            if not self.accept(","):
                self.take(")")
                break
        return tuple(items)

    def record(self, cls: type) -> Any:
        if issubclass(cls, enum.Enum):
            self.take(".")
            return cls[self.take("name")]
        self.take("(")
        fields = {}
        while not self.accept(")"):
            key = self.take("name")
            self.take("=")
            fields[key] = self.value()
            self.accept(",")
        return cls(**fields)

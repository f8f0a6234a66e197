"""The canonical hash of a graph: over its equations and how they are connected, not over names or sources.

Two graphs have the same hash exactly when they compute the same by the same equations in the same order. The
hash is stable between processes, so that it can key what is kept on disk.
"""

from __future__ import annotations

import hashlib
from enum import Enum
from typing import Any

import numpy as np

from funcgrad.ir.graph import Atom, Graph, Literal, Var
from funcgrad.ir.types import ArrayType


def graph_hash(graph: Graph) -> str:
    """The SHA-256 of the graph's structure, in hexadecimal. Raises TypeError for a parameter that is code."""
    known = graph.memo.get("hash")
    if known is None:
        digest = hashlib.sha256()
        for part in _parts(graph):
            digest.update(repr(part).encode())
            digest.update(b"\0")
        known = graph.memo["hash"] = digest.hexdigest()
    return known


def same_structure(a: Graph, b: Graph) -> bool:
    """Whether two graphs are equal but for the identity of their variables, their names and their sources."""
    return graph_hash(a) == graph_hash(b)


def _parts(graph: Graph):
    numbers: dict[Var, int] = {}

    def edge(atom: Atom) -> Any:
        if isinstance(atom, Literal):
            return ("literal", str(atom.type), atom.value.tobytes().hex())
        return numbers[atom]

    for var in graph.inputs:
        numbers[var] = len(numbers)
        yield ("input", str(var.type))
    for equation in graph.equations:
        params = tuple((k, _param(v)) for k, v in sorted(equation.params.items()))
        yield (equation.primitive.name, params, tuple(map(edge, equation.inputs)))
        for var in equation.outputs:
            numbers[var] = len(numbers)
            yield ("output", str(var.type))
    yield ("outputs", tuple(map(edge, graph.outputs)))


def _param(value: Any) -> Any:
    if isinstance(value, Graph):
        return graph_hash(value)
    if isinstance(value, tuple):
        return tuple(map(_param, value))
    if isinstance(value, int) and not isinstance(value, bool):
        return ("int", str(int(value)))  # AxisSize too
    if isinstance(value, np.generic):
        return (value.dtype.name, value.tobytes().hex())
    if isinstance(value, np.ndarray):
        return (value.dtype.name, value.shape, value.tobytes().hex())
    if isinstance(value, str | float | complex | bool | bytes | np.dtype | Enum | type(None)):
        return (type(value).__name__, str(value))
    if isinstance(value, list):
        return ("list", tuple(map(_param, value)))
    if isinstance(value, dict):
        return ("dict", tuple((_param(k), _param(v)) for k, v in value.items()))
    if isinstance(value, ArrayType):
        return ("type", str(value))
    fields = getattr(type(value), "__annotations__", None)
    if fields is not None and not callable(value) and all(hasattr(value, name) for name in fields):
        return (type(value).__qualname__, tuple(_param(getattr(value, name)) for name in fields))
    raise TypeError(f"a graph with {value!r} as a parameter has no hash")

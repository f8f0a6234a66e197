"""Checks that a graph is well formed. Run after each transform and pass when `config.verify` is set."""

from __future__ import annotations

from funcgrad.errors import FuncgradError, GraphError
from funcgrad.ir.graph import Equation, Graph, Literal, Var


def verify(graph: Graph) -> Graph:
    """`graph` itself; raises GraphError when a variable is read before it is defined or defined twice, when an
    equation's outputs have other types than its primitive's type rule gives, or when a subgraph is ill formed."""
    defined: set[Var] = set()
    for var in graph.inputs:
        _define(var, defined, "an input")
    for number, equation in enumerate(graph.equations):
        place = f"equation {number}, {equation.primitive.name}"
        if equation.source:
            place += f", at {equation.source}"
        for atom in equation.inputs:
            if isinstance(atom, Var) and atom not in defined:
                raise GraphError(f"{place}: reads a variable of type {atom.type} before it is defined")
            if isinstance(atom, Literal) and atom.type.shape:
                raise GraphError(f"{place}: has a literal that is not a scalar: {atom.type}")
        for subgraph in equation.subgraphs():
            verify(subgraph)
        _check_types(equation, place)
        for var in equation.outputs:
            _define(var, defined, place)
    for atom in graph.outputs:
        if isinstance(atom, Var) and atom not in defined:
            raise GraphError(f"an output of type {atom.type} is never defined")
    return graph


def _define(var: Var, defined: set[Var], place: str) -> None:
    if var in defined:
        raise GraphError(f"{place}: defines a variable of type {var.type} a second time")
    defined.add(var)


def _check_types(equation: Equation, place: str) -> None:
    try:
        types = equation.primitive.type_rule(*(a.type for a in equation.inputs), **equation.params)
    except FuncgradError as error:
        raise GraphError(f"{place}: {error}") from error
    expected = tuple(types) if equation.primitive.multiple_results else (types,)
    actual = tuple(v.type for v in equation.outputs)
    if len(expected) != len(actual) or not all(e.matches(a) for e, a in zip(expected, actual)):
        raise GraphError(f"{place}: outputs are {list(actual)}, but the type rule gives {list(expected)}")

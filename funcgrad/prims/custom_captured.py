"""Derivative rules that close over traced values: made into graphs while these live, with the values as operands.

A rule runs when a derivative is asked for, which may be after the trace that it closes over has ended, or inside
another batch. Owns no primitive; `custom.py` asks it when a call is staged.
"""

from __future__ import annotations

import functools
import threading
import types
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from funcgrad import dtypes
from funcgrad.errors import NotDifferentiableError
from funcgrad.ir.primitive import Zero
from funcgrad.ir.types import ArrayType
from funcgrad.records import replaced
from funcgrad.trace import ops
from funcgrad.trace.core import Tracer, type_of
from funcgrad.trace.graph_trace import evaluate_graph, has_tracers, trace_to_graph

MOST_LOOKED_AT = 1000
"""Objects among which traced values are looked for; beyond, a rule is taken to have some."""


def captures(functions: Iterable[Any]) -> bool:
    """Whether functions of the user's refer to traced values: by closures, defaults, arguments of a partial, the
    object of a method, and containers and objects in these."""
    waiting, seen = list(functions), set()
    while waiting:
        one = waiting.pop()
        if isinstance(one, Tracer):
            return True
        if id(one) in seen:
            continue
        seen.add(id(one))
        if len(seen) > MOST_LOOKED_AT:
            return True
        waiting.extend(_inside(one))
    return False


def _inside(one: Any) -> Iterable[Any]:
    if isinstance(one, types.FunctionType):
        cells = [c.cell_contents for c in one.__closure__ or () if c != types.CellType()]
        return [*cells, *(one.__defaults__ or ()), *(one.__kwdefaults__ or {}).values()]
    if isinstance(one, types.MethodType):
        return [one.__func__, one.__self__]
    if isinstance(one, functools.partial):
        return [one.func, *one.args, *one.keywords.values()]
    if isinstance(one, dict):
        return list(one.values())
    if isinstance(one, list | tuple | set):
        return list(one)
    if isinstance(one, type | types.ModuleType):
        return ()
    held = getattr(one, "__dict__", None)
    return list(held.values()) if isinstance(held, dict) else ()


class Underway(threading.local):
    """The rules that this thread is in the middle of, for functions that their own rules call."""

    def __init__(self) -> None:
        self._rules: list[Any] = []

    def __contains__(self, call: Any) -> bool:
        return any(r == call.written for r in self._rules)

    @contextmanager
    def doing(self, call: Any) -> Iterator[None]:
        self._rules.append(call.written)
        try:
            yield
        finally:
            self._rules.pop()


_opening = Underway()
"""The rules that are being made into graphs."""


def opened(
    call: Any, operands: Sequence[Any], make: Callable[[Any, Sequence[Any]], Any]
) -> tuple[Any, Sequence[Any]]:
    """What `make` gives for a call whose rule closes over traced values; any other as it is. So is the call of a
    function inside its own rule, for which only a second derivative would ask."""
    if call in _opening or not captures(call.written):
        return call, operands
    with _opening.doing(call):
        return make(call, operands)


def _refuse(name: str, tangents: Sequence[Any]) -> None:
    if any(t.__class__ is not Zero for t in tangents):
        raise closed_over_moves(name)


def closed_over_moves(name: str) -> NotDifferentiableError:
    """The error of a function with a rule that closes over what is being differentiated."""
    return NotDifferentiableError(
        f"the function {name} has a derivative rule of its own, and closes over a value that is being differentiated: "
        "the rule cannot know of it",
        hint="pass the value as an argument of the function, so that the rule gives its derivative",
    )


def opened_jvp(call: Any, operands: Sequence[Any]) -> tuple[Any, list[Any]]:
    """A `CustomJvp` that does the same on more operands, and closes over nothing; and these operands."""
    given = list(map(type_of, operands))
    moving = [dtypes.is_inexact(t.dtype) for t in given]
    plain = trace_to_graph(call.function, given, call.name)
    count = len(plain.graph.outputs)
    nonzero: list[bool] = []

    def both(*values: Any) -> list[Any]:
        primals, rest = values[: len(given)], iter(values[len(given) :])
        full = [next(rest) if m else Zero(t.tangent()) for m, t in zip(moving, given)]
        outs, tangents = call.differentiate(primals, full)
        nonzero[:] = [t.__class__ is not Zero for t in tangents]
        return [*outs, *(t for t in tangents if t.__class__ is not Zero)]

    pushed = trace_to_graph(both, [*given, *(t.tangent() for t, m in zip(given, moving) if m)], call.name)
    held, before = len(plain.constants), len(plain.constants) + len(pushed.constants)

    def function(*values: Any) -> list[Any]:
        return evaluate_graph(plain.graph, [*values[:held], *values[before:]])

    def rule(primals: Sequence[Any], tangents: Sequence[Any]) -> tuple[list[Any], list[Any]]:
        _refuse(call.name, tangents[:before])
        moved = [ops.materialize(t) for t, m in zip(tangents[before:], moving) if m]
        found = evaluate_graph(pushed.graph, [*primals[held:], *moved])
        rest = iter(found[count:])
        outs = found[:count]
        return outs, [next(rest) if n else Zero(type_of(o).tangent()) for n, o in zip(nonzero, outs)]

    whole = replaced(call, function=function, rule=rule, symbolic=True)
    return whole, [*plain.constants, *pushed.constants, *operands]


def opened_vjp(call: Any, operands: Sequence[Any]) -> tuple[Any, list[Any]]:
    """A `CustomVjp` that does the same on more operands, and closes over nothing; and these operands."""
    given = list(map(type_of, operands))
    moving = [dtypes.is_inexact(t.dtype) for t in given]
    plain = trace_to_graph(call.function, given, call.name)
    count = len(plain.graph.outputs)

    def ahead(*values: Any) -> list[Any]:
        outs, residuals = call.forward(values, moving)
        return [*outs, *residuals]

    forwards = trace_to_graph(ahead, given, call.name + ".fwd")
    residual_types = forwards.out_types[count:]
    held, pull = _backwards(call, residual_types, [t.tangent() for t in forwards.out_types[:count]])
    constants = (plain.constants, forwards.constants, held)
    first, second, third = map(len, constants)
    before = first + second + third
    types_before = [type_of(c) for values in constants for c in values]

    def function(*values: Any) -> list[Any]:
        return evaluate_graph(plain.graph, [*values[:first], *values[before:]])

    def forward(values: Sequence[Any], perturbed: Sequence[bool]) -> tuple[list[Any], list[Any]]:
        if any(perturbed[:before]):
            raise closed_over_moves(call.name)
        own = [*values[first : first + second], *values[before:]]
        found = evaluate_graph(forwards.graph, own)
        return found[:count], [*values[first + second : before], *found[count:]]

    def backward(residuals: Sequence[Any], cts: Sequence[Any]) -> list[Any]:
        return [*(Zero(t.tangent()) for t in types_before), *pull(residuals, cts)]

    whole = replaced(call, function=function, forward=forward, backward=backward, symbolic=True)
    return whole, [*(c for values in constants for c in values), *operands]


def closed_vjp(
    call: Any, residuals: Sequence[Any], cotangents: Sequence[ArrayType]
) -> tuple[Any, Sequence[Any]]:
    """A `CustomVjp` whose backward function, for cotangents of these types, takes the arrays that it closes over as
    residuals, and these residuals: in a graph it can be run forward, transposed, where there is no place for them."""
    held, pull = _backwards(call, list(map(type_of, residuals)), cotangents)
    if not held or has_tracers(held):
        return call, residuals
    return replaced(call, backward=pull, symbolic=True), [*held, *residuals]


def _backwards(
    call: Any, residuals: Sequence[ArrayType], cotangents: Sequence[ArrayType]
) -> tuple[Sequence[Any], Callable[[Sequence[Any], Sequence[Any]], list[Any]]]:
    """What the backward function of a `CustomVjp` closes over, and that function as one of such values, the residuals
    and the cotangents."""
    zeros: list[Zero | None] = []

    def back(*values: Any) -> list[Any]:
        result = call.pulled(values[: len(residuals)], values[len(residuals) :])
        zeros[:] = [c if c.__class__ is Zero else None for c in result]
        return [c for c in result if c.__class__ is not Zero]

    closed = trace_to_graph(back, [*residuals, *cotangents], call.name + ".bwd")

    def pull(values: Sequence[Any], cts: Sequence[Any]) -> list[Any]:
        found = iter(evaluate_graph(closed.graph, [*values, *map(ops.materialize, cts)]))
        return [next(found) if z is None else z for z in zeros]

    return closed.constants, pull

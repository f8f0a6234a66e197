"""The trace that stands in the place of the eager one while something looks at the results of operations.

It runs operations and compiled functions as ever, and hands each with its results to the functions that look.
Owns who looks; what they look for is theirs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from funcgrad.ir.primitive import Primitive
from funcgrad.trace import core
from funcgrad.trace.core import EAGER, EagerTrace, state

Looker = Callable[[Primitive, Sequence[Any], dict[str, Any], Sequence[Any]], None]
"""`look(primitive, operands, params, outs)`."""


class WatchingTrace(EagerTrace):
    """The eager trace, with a look at every result."""

    parent = EAGER

    def __init__(self) -> None:
        self.lookers: dict[str, Looker] = {}

    def apply(self, primitive: Primitive, operands: Sequence[Any], params: dict[str, Any]) -> Any:
        before, state.trace = state.trace, EAGER
        try:
            out = EAGER.apply(primitive, operands, params)
        finally:
            state.trace = before
        self.look(primitive, operands, params, out if primitive.multiple_results else [out])
        return out

    def look(
        self, primitive: Primitive, operands: Sequence[Any], params: dict[str, Any], outs: Sequence[Any]
    ) -> None:
        for looker in self.lookers.values():
            looker(primitive, operands, params, outs)


_WATCHING = WatchingTrace()


def watch(name: str, looker: Looker | None) -> None:
    """Let `looker` look at all results from now on, in the place of the one of this name before; None for nobody."""
    lookers = {k: v for k, v in _WATCHING.lookers.items() if k != name}
    _WATCHING.lookers = lookers if looker is None else {**lookers, name: looker}
    wanted: core.Trace = _WATCHING if _WATCHING.lookers else EAGER
    core._State.trace = wanted
    if state.trace in (EAGER, _WATCHING):
        state.trace = wanted


__all__ = ["watch"]

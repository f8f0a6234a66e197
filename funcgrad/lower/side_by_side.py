"""Loops whose iterations wait for each other, several at a time.

Where each iteration of a parallel loop is a loop of its own that carries scalars, a few of them go side by side: one
computes while the others wait.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Any

from funcgrad.lower import heuristics, loopir
from funcgrad.lower.loopir import (
    HI,
    LO,
    PARALLEL,
    SEQUENTIAL,
    Assign,
    IntOp,
    Let,
    LetInt,
    Loop,
    Name,
    Ref,
    Statement,
    Store,
    Variable,
)
from funcgrad.records import replaced


def side_by_side(body: Sequence[Statement], count: int) -> tuple[Statement, ...]:
    """The statements of a kernel, with its parallel loop in two where that is worth it: `count` iterations at a time,
    and what is left one by one."""
    *before, loop = body or (None,)
    if count < 2 or not isinstance(loop, Loop) or not _waits(loop):
        return tuple(body)
    own = {loop.var, *_named(loop.body)}
    together: list[Statement] = []
    for k in range(count):
        together.append(LetInt(f"{loop.var}_{k}", loopir.add(Name("first"), k)))
    for s in loop.body:
        copies = [_renamed(s, own, k) for k in range(count)]
        if isinstance(s, Loop):
            each = zip(*(copy.body for copy in copies))
            together.append(replaced(s, body=tuple([s for several in each for s in several])))
        else:
            together += copies
    span = loopir.add(HI, loopir.mul(LO, -1))
    rest = loopir.add(LO, loopir.mul(IntOp("floordiv", (span, count)), count))
    several = Loop("first", LO, rest, PARALLEL, tuple(together), count)
    return *before, several, replaced(loop, start=rest)


def _waits(loop: Loop) -> bool:
    """Whether the iterations of a loop are worth it: one loop in each, of few operations and as long in all of them,
    that carries scalars."""
    inner = [s for s in loop.body if isinstance(s, Loop)]
    if loop.kind != PARALLEL or loop.step != 1 or len(inner) != 1 or inner[0].kind != SEQUENTIAL:
        return False
    statements = (*loop.body, *inner[0].body)
    if any(not isinstance(s, Let | LetInt | Store | Variable | Assign | Loop) for s in statements):
        return False
    own = {loop.var, *_named(loop.body)}
    bounds = {
        part.name for part in loopir.within(inner[0].start, inner[0].stop) if isinstance(part, Name | Ref)
    }
    carries = any(isinstance(s, Assign) for s in inner[0].body)
    return carries and len(statements) <= heuristics.FEW_STATEMENTS and bounds.isdisjoint(own)


def _named(body: Sequence[Statement]) -> Iterator[str]:
    """The names that statements define, but for variables of loops."""
    return (part.name for part in loopir.within(*body) if isinstance(part, Let | LetInt | Variable))


def _renamed(part: Any, own: Collection[str], k: int) -> Any:
    """A statement or expression in the k-th of the iterations."""
    if isinstance(part, Name | Ref | Let | LetInt | Variable | Assign) and part.name in own:
        part = replaced(part, name=f"{part.name}_{k}")
    return loopir.map_parts(lambda inner: _renamed(inner, own, k), part)

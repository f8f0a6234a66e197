"""The memory of a loop's backward pass: what one iteration leaves for it, and blocks of iterations within a budget.

Owns the arithmetic of nested blocks, and the words; the loops are those of control.py, and the binomial schedule is
that of prims/control_slots.py.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from funcgrad.errors import ArgumentError
from funcgrad.flat import bytes_of
from funcgrad.prims.control_slots import LoopBudget, Plan, least_bytes, planned
from funcgrad.records import record

MOST_LEVELS = 6
"""How deep blocks are nested; each level is one more run of the loop."""

Levels = tuple[int, ...]


@record
class Loop:
    """What a loop needs memory for: bytes that one iteration leaves for the backward pass (`record`), bytes of what it
    carries, and the number of iterations where that is known. Where it is not `exact`, memory grows by doubling."""

    what: str
    record: int
    carry: int
    steps: int | None
    exact: bool = False


def levels_of(what: str, sizes: int | Sequence[int]) -> Levels:
    """The sizes of blocks that a user gave, from the innermost."""
    levels = (sizes,) if hasattr(sizes, "__index__") else sizes
    if (
        not isinstance(levels, tuple | list)
        or not levels
        or any(isinstance(n, bool) or not hasattr(n, "__index__") or n < 1 for n in levels)
    ):
        raise ArgumentError(
            f"{what}: checkpoint is a number of iterations, a tuple of such, or a number of bytes such as '200MB', "
            f"got {sizes!r}",
            hint="checkpoint=100 keeps 100 iterations at a time; the square root of their number needs least memory",
        )
    return tuple([n.__index__() for n in levels])


def memory(loop: Loop, levels: Levels, steps: int) -> int:
    """The bytes that the backward pass of so many iterations keeps with such blocks."""
    inner, total = min(steps, levels[0]) if levels else steps, 0
    total = inner * loop.record
    done = levels[0] if levels else steps
    for size in levels[1:]:
        total += min(size, -(-steps // done)) * loop.carry
        done *= size
    if levels:
        total += -(-steps // done) * loop.carry
    return total


def within(loop: Loop, budget: Any) -> tuple[Levels, LoopBudget | None, str]:
    """How the backward pass stays in `budget` (bytes, or words for them), and what that means in words: the fewest
    levels of blocks, or, for a while loop that one level does not do for, slots of a binomial schedule."""
    limit = bytes_of(budget, loop.what, "checkpoint budget")
    usable = limit if loop.exact else limit // 2
    found = []
    if loop.steps is not None:
        found = [_even(loop, count, loop.steps) for count in range(MOST_LEVELS + 1 if loop.exact else 2)]
        for levels, need in found:
            if need <= usable:
                return levels, None, said(loop, levels, f"; the budget is {limit}")
    if not loop.exact:
        plan = planned(limit, loop.steps, loop.record, loop.carry)
        if plan is not None:
            return (), LoopBudget(limit, loop.steps), _said_of_slots(loop, plan, limit)
    if loop.exact:
        least, many = min(need for _, need in found), f"{loop.steps} iterations"
    else:
        least, many = least_bytes(loop.record, loop.carry), "even a few iterations"
    raise ArgumentError(
        f"{loop.what}: the checkpoint budget is {limit} bytes, and the backward pass of {many} needs {least} at least: "
        f"one leaves {loop.record} bytes and carries {loop.carry}",
        hint="give it more, or put funcgrad.checkpoint around the body",
    )


def _said_of_slots(loop: Loop, plan: Plan, limit: int) -> str:
    """Words for the memory of a binomial schedule, and for how often it runs the loop."""
    counting = 0 if loop.steps is not None else 1
    reach = [plan.unit * math.comb(plan.slots + runs, runs) for runs in (1, 2)]
    return (
        f"{loop.what}: the backward pass keeps at most {loop.record} bytes for each iteration of a unit of "
        f"{plan.unit}, in memory that grows by doubling, and {loop.carry} for each of {plan.slots} units; it runs up "
        f"to {reach[0]} iterations {counting + 2} times, up to {reach[1]} {counting + 3} times, and so on; the budget "
        f"is {limit}"
    )


def _even(loop: Loop, count: int, steps: int) -> tuple[Levels, int]:
    """`count` levels that share the memory evenly, and what they need."""
    if not count or steps < 2:
        return (), memory(loop, (), steps)
    record, carry = max(loop.record, 1), max(loop.carry, 1)
    share = (steps * record * carry**count) ** (1 / (count + 1))
    levels = (max(1, round(share / record)), *[max(1, round(share / carry))] * (count - 1))
    return levels, memory(loop, levels, steps)


def said(loop: Loop, levels: Levels, more: str = "") -> str:
    """Words for the memory of the backward pass."""
    doubling = "" if loop.exact else ", in memory that grows by doubling"
    keeps = "keeps" if loop.exact else "keeps at most"
    if not levels:
        blocks = f"{keeps} {loop.record} bytes for each iteration"
    else:
        sizes = " times ".join(map(str, levels))
        blocks = (
            f"{keeps} {loop.record} bytes for each iteration of a block of {levels[0]}, and {loop.carry} for each "
            f"block (blocks of {sizes})"
        )
    total = f", {memory(loop, levels, loop.steps)} in all" if loop.steps is not None else ""
    return f"{loop.what}: the backward pass {blocks}{total}{doubling}{more}"

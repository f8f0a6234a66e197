"""The memory of a loop's backward pass: what one iteration leaves for it, and blocks of iterations within a budget.

Owns the arithmetic of recursive checkpointing and its words; the loops are those of control.py.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from funcgrad.errors import ArgumentError
from funcgrad.flat import bytes_of
from funcgrad.records import record

ENOUGH_ITERATIONS = 1_000_000
"""What a budget should do for where the number of iterations is not known."""

FEW_ITERATIONS = 1000
"""What it has to do for then."""

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


def within(loop: Loop, budget: Any) -> tuple[Levels, str]:
    """The fewest levels of blocks for which the backward pass stays in `budget` (bytes, or words for them), and
    what that means in words."""
    limit = bytes_of(budget, loop.what, "checkpoint budget")
    usable = limit if loop.exact else limit // 2
    if loop.steps is not None:
        found = [_even(loop, count, loop.steps) for count in range(MOST_LEVELS + 1)]
        for levels, need in found:
            if need <= usable:
                return levels, said(loop, levels, f"; the budget is {limit}")
    else:
        found = [_even(loop, count, FEW_ITERATIONS) for count in range(1, MOST_LEVELS + 1)]
        reached = [_filling(loop, count, usable) for count in range(1, MOST_LEVELS + 1)]
        most = min(max(map(math.prod, reached)), ENOUGH_ITERATIONS)
        if most >= FEW_ITERATIONS:
            sizes = next(sizes for sizes in reached if math.prod(sizes) >= most)
            words = f"; within {limit} bytes up to {math.prod(sizes)} iterations"
            return sizes[:-1], said(loop, sizes[:-1], words)
    least = min(need for _, need in found) * limit // max(usable, 1)
    many = loop.steps if loop.steps is not None else FEW_ITERATIONS
    raise ArgumentError(
        f"{loop.what}: the checkpoint budget is {limit} bytes, and the backward pass of {many} iterations "
        f"needs {least} at least: one leaves {loop.record} bytes and carries {loop.carry}",
        hint="give it more, or put funcgrad.checkpoint around the body",
    )


def _filling(loop: Loop, count: int, usable: int) -> Levels:
    """The sizes of `count` levels, and of what is around these, that fill a budget."""
    records = max(1, usable // (count + 1) // max(loop.record, 1))
    share = max(0, usable - records * loop.record) // count
    return (records, *[share // max(loop.carry, 1)] * count)


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

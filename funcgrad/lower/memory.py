"""Memory planning: which bytes of one arena each intermediate value occupies, and for how long.

Works on steps known only by what they read, write and may overwrite; it never looks inside them. Values
that do not live at the same time share bytes. Method: largest value first, at the lowest offset that is free
for its whole life (Pisarchyk and Lee, "Efficient memory management for deep neural net inference", 2020).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from funcgrad.records import record

Value = Any
"""Whatever names a value: it is hashed and compared, no more."""

ALIGNMENT = 64
"""Bytes; a cache line, and the widest vector register."""


@record
class Use:
    """What one step does with values: `reads`, `writes`, and pairs (written, read) that may share memory when
    the read value dies here."""

    reads: tuple[Value, ...]
    writes: tuple[Value, ...]
    in_place: tuple[tuple[Value, Value], ...] = ()


@record
class Plan:
    """Where values live: `offsets` in an arena of `size` bytes; `aliases` maps a value to the one whose
    memory it takes over; `lives` gives the first and last step of each value in the arena."""

    offsets: Mapping[Value, int]
    size: int
    aliases: Mapping[Value, Value]
    lives: Mapping[Value, tuple[int, int]]


def plan(
    steps: Sequence[Use],
    sizes: Mapping[Value, int],
    outputs: Sequence[Value],
    donated: Sequence[Value] = (),
) -> Plan:
    """Place every value that the steps write and that is not an output.

    `sizes` gives the bytes of every value. Outputs have buffers of their own, except that an output may take
    over the memory of a donated input; donated inputs may be overwritten.
    """
    written = {v for step in steps for v in step.writes}
    last_read: dict[Value, int] = {}
    for number, step in enumerate(steps):
        for value in step.reads:
            last_read[value] = number
    fixed = set(outputs)
    overwritable = (written | set(donated)) - fixed
    aliases: dict[Value, Value] = {}
    taken: set[Value] = set()
    for number, step in enumerate(steps):
        for target, source in step.in_place:
            root = resolve(aliases, source)
            if (
                target not in aliases
                and source in overwritable
                and root not in fixed
                and source not in taken
                and last_read.get(source) == number
                and sizes[target] == sizes[root]
                and (target not in fixed or root in set(donated))
            ):
                aliases[target] = source
                taken.add(source)

    lives: dict[Value, tuple[int, int]] = {}
    for number, step in enumerate(steps):
        for value in (*step.writes, *step.reads):
            root = resolve(aliases, value)
            if root in written and root not in fixed:
                first, _ = lives.get(root, (number, number))
                lives[root] = (first, number)
    offsets: dict[Value, int] = {}
    size = 0
    for value in sorted(lives, key=lambda v: -sizes[v]):
        offset = _lowest_free(value, lives, offsets, sizes)
        offsets[value] = offset
        size = max(size, offset + aligned(sizes[value]))
    return Plan(offsets, size, aliases, lives)


def resolve(aliases: Mapping[Value, Value], value: Value) -> Value:
    """The value whose memory `value` lives in."""
    while value in aliases:
        value = aliases[value]
    return value


def aligned(size: int) -> int:
    return -(-size // ALIGNMENT) * ALIGNMENT


def _lowest_free(
    value: Value,
    lives: Mapping[Value, tuple[int, int]],
    offsets: Mapping[Value, int],
    sizes: Mapping[Value, int],
) -> int:
    first, last = lives[value]
    neighbours = sorted(
        (offset, offset + aligned(sizes[other]))
        for other, offset in offsets.items()
        if lives[other][0] <= last and first <= lives[other][1]
    )
    offset = 0
    for start, end in neighbours:
        if offset + aligned(sizes[value]) <= start:
            break
        offset = max(offset, end)
    return offset

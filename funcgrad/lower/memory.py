"""Memory planning: which bytes of one arena each intermediate value occupies, and for how long.

Works on steps known only by what they read, write and may overwrite; it never looks inside them. Values
that do not live at the same time share bytes. Method: largest value first, at the lowest offset that is free
for its whole life (Pisarchyk and Lee, "Efficient memory management for deep neural net inference", 2020). Before
that, `order` looks for an order of the steps in which less lives at the same time.
"""

from __future__ import annotations

import bisect
import itertools
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from funcgrad.lower import heuristics
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


def order(
    steps: Sequence[Use],
    sizes: Mapping[Value, int],
    planned: Collection[Value],
    donated: Collection[Value] = (),
    kept: Sequence[int] = (),
) -> list[int]:
    """The numbers of the steps in an order that respects what they read and write, and in which less of the `planned`
    values should be alive at once. What can take over a `donated` input waits for its other readers. The `kept` steps
    stay in their order.

    Step by step, that of the first ready ones is next which leaves the least alive, with the steps that can follow it
    at once and leave less. It is the usual list scheduling (Bernstein, Rodeh and Gertner, 1989) with one step ahead.
    """
    before = _dependences(steps)
    for earlier, later in itertools.pairwise(kept):
        before[later].add(earlier)
    after: list[list[int]] = [[] for _ in steps]
    for number, earlier in enumerate(before):
        for k in earlier:
            after[k].append(number)
    missing = [len(earlier) for earlier in before]
    reads = [frozenset(v for v in step.reads if v in planned) for step in steps]
    writes = [frozenset(v for v in step.writes if v in planned) - reads[k] for k, step in enumerate(steps)]
    left = Counter(v for step in steps for v in set(step.reads))

    def growth(number: int, run: int | None = None) -> int:
        """What is alive after a step more than before it, or than after the step `run`, if that comes before; and what
        could be in the memory of a donated input, but for others that still read it."""
        done = steps[run].reads if run is not None else ()
        last = {v for v in steps[number].reads if left[v] == 1 + (v in done)}
        new = sum(sizes[v] for v in writes[number] if left.get(v))
        waits = sum(sizes[w] for w, r in steps[number].in_place if r in donated and r not in last)
        return new + waits - sum(sizes[v] for v in reads[number] if v in last)

    def score(number: int) -> tuple[int, int]:
        follow = [min(0, growth(k, number)) for k in after[number] if missing[k] == 1]
        return growth(number) + sum(follow), number

    ready = [number for number, count in enumerate(missing) if not count]
    found: list[int] = []
    while ready:
        number = min(ready[: heuristics.ORDER_WINDOW], key=score)
        ready.remove(number)
        found.append(number)
        for v in set(steps[number].reads):
            left[v] -= 1
        for k in after[number]:
            missing[k] -= 1
            if not missing[k]:
                bisect.insort(ready, k)
    return found


def _dependences(steps: Sequence[Use]) -> list[set[int]]:
    """For each step the earlier ones that it must come after: those that write what it reads or writes, and those
    that read what it writes."""
    before: list[set[int]] = []
    writers: dict[Value, int] = {}
    readers: dict[Value, list[int]] = {}
    for number, step in enumerate(steps):
        earlier = {writers[v] for v in (*step.reads, *step.writes) if v in writers}
        for v in step.writes:
            earlier.update(readers.pop(v, ()))
            writers[v] = number
        for v in step.reads:
            readers.setdefault(v, []).append(number)
        before.append(earlier - {number})
    return before


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

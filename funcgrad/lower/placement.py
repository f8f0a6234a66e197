"""Where each value of a lowered graph lives: in an operand, in a result's own buffer, or in the arena.

Between lowering, which names values, and the program, which needs addresses: an address here is a slot of the
call's frame (one per operand, one per result buffer, one for the arena) and a byte offset.
"""

from __future__ import annotations

from collections.abc import Sequence

from funcgrad.ir.graph import Literal, Var
from funcgrad.ir.types import ArrayType
from funcgrad.lower import heuristics
from funcgrad.lower.loopir import overwriting
from funcgrad.lower.lowered import CopyStep, KernelStep, Lowered, RegionStep, Step, View, has_effect
from funcgrad.lower.memory import Plan, Use, order, plan, resolve
from funcgrad.records import record, replaced


@record
class Place:
    """A frame slot and a byte offset from the address in it."""

    slot: int
    offset: int


@record
class Operand:
    """A result that is operand number `number` (as it is, or under another shape)."""

    number: int


@record
class Buffer:
    """A result in result buffer number `number`."""

    number: int


@record
class Placement:
    """The frame: slots `0..operands` hold the operands, then one slot per result buffer, then the arena.

    `results` says for each output of the graph where it comes from. `buffers` are the types of the result
    buffers; `donated` maps a result buffer to the operand whose memory it takes over; `sizes` are the bytes of each
    result.
    """

    operands: int
    buffers: tuple[ArrayType, ...]
    results: tuple[Operand | Buffer | Literal, ...]
    places: dict[Var, Place]
    donated: dict[int, int]
    plan: Plan
    steps: tuple[Step, ...]
    sizes: tuple[int, ...]

    @property
    def arena_slot(self) -> int:
        return self.operands + len(self.buffers)

    def address(self, view: View) -> tuple[int, int]:
        """The frame slot and byte offset of a view."""
        place = self.places[view.value]
        return place.slot, place.offset + view.offset * view.value.type.dtype.itemsize


def place(lowered: Lowered, donated: Sequence[int] = ()) -> Placement:
    """Place every value; `donated` are the numbers of operands that may be overwritten."""
    graph = lowered.graph
    operand_slots = {v: i for i, v in enumerate(graph.inputs)}
    storage = lowered.storage
    results: list[Operand | Buffer | Literal] = []
    buffer_numbers: dict[Var, int] = {}
    for atom in lowered.outputs:
        if isinstance(atom, Literal):
            results.append(atom)
            continue
        var = storage(atom)
        if var in operand_slots:
            results.append(Operand(operand_slots[var]))
        else:
            results.append(Buffer(buffer_numbers.setdefault(var, len(buffer_numbers))))
    kept = {r.number for r in results if isinstance(r, Operand)}
    given = [graph.inputs[d] for d in donated if d not in kept]
    steps = lowered.steps
    uses = [
        Use(tuple(map(storage, s.reads)), tuple(map(storage, s.writes)), _in_place(s, lowered)) for s in steps
    ]
    sizes = {v: v.type.nbytes for use in uses for v in (*use.reads, *use.writes)}
    layout = plan(uses, sizes, list(buffer_numbers), given)
    planned = {v for use in uses for v in use.writes} - buffer_numbers.keys()
    if layout.size >= heuristics.ORDERED_BYTES:
        numbers = order(uses, sizes, planned, given, [k for k, s in enumerate(steps) if has_effect(s)])
        other = plan([uses[k] for k in numbers], sizes, list(buffer_numbers), given)
        if other.size < layout.size:
            layout, steps = other, tuple([steps[k] for k in numbers])

    places: dict[Var, Place] = {}
    arena_slot = len(graph.inputs) + len(buffer_numbers)
    taken: dict[int, int] = {}
    for var, number in buffer_numbers.items():
        root = resolve(layout.aliases, var)
        if root in operand_slots:
            taken[number] = operand_slots[root]
    for use in uses:
        for var in (*use.reads, *use.writes):
            root = resolve(layout.aliases, var)
            if root in operand_slots:
                places[var] = Place(operand_slots[root], 0)
            elif root in buffer_numbers:
                places[var] = Place(len(graph.inputs) + buffer_numbers[root], 0)
            else:
                # An empty value may be read without a step that writes it; it has no place of its own.
                places[var] = Place(arena_slot, layout.offsets[root] if sizes[var] else 0)
    return Placement(
        len(graph.inputs),
        tuple([v.type for v in buffer_numbers]),
        tuple(results),
        places,
        taken,
        layout,
        tuple([_overwriting(s, places) if isinstance(s, KernelStep) else s for s in steps]),
        tuple([a.type.nbytes for a in lowered.outputs]),
    )


def _overwriting(step: KernelStep, places: dict[Var, Place]) -> KernelStep:
    """The step with one buffer for each input and output that are one memory: to a compiler two pointers are two
    memories, and it may move a read of one behind a write to the other."""
    kernel, gone = step.kernel, set()
    for read, written in step.inplace:
        a, b = step.views[read], step.views[written]
        if a.offset == b.offset == 0 and places[a.value] == places[b.value]:
            kernel = overwriting(kernel, step.kernel.buffers[read].name, step.kernel.buffers[written].name)
            gone.add(read)
    if not gone:
        return step
    views = tuple([v for k, v in enumerate(step.views) if k not in gone])
    integers = dict(zip(step.kernel.integers, step.integers))
    kept = tuple([integers[n] for n in kernel.integers])
    return replaced(step, kernel=kernel, views=views, integers=kept, inplace=())


def _in_place(step: Step, lowered: Lowered) -> tuple[tuple[Var, Var], ...]:
    """Pairs (written, read) of values that may be one memory in this step."""
    if isinstance(step, CopyStep):
        return ((lowered.storage(step.target), lowered.storage(step.source)),)
    if isinstance(step, RegionStep):  # a carry begins where it ends, unless its start is needed elsewhere too
        return tuple([(out, start) for start, out in step.carried if step.inputs.count(start) == 1])
    if not isinstance(step, KernelStep):
        return ()
    pairs = []
    for read, written in step.inplace:
        a, b = step.views[read], step.views[written]
        if a.offset == b.offset == 0:
            pairs.append((lowered.storage(b.value), lowered.storage(a.value)))
    return tuple(pairs)

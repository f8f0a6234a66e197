"""Control flow as jumps of the native driver: no Python runs between iterations.

Slices of a scan are pointers in frame slots that each iteration moves on; carries that a body cannot update in
place have two buffers, whose addresses change places after each iteration.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from funcgrad.ir.graph import Literal
from funcgrad.kernels.cpu.program import Program
from funcgrad.lower import heuristics
from funcgrad.lower.lowered import BranchStep, RegionStep, ScanStep, TapeStep, WhileStep
from funcgrad.lower.placement import Buffer, Operand, Place, Placement
from funcgrad.records import replaced

Append = Callable[[Placement], None]
Copy = Callable[[Place, Place, int], None]


def append(step: RegionStep, placement: Placement, program: Program, body: Append, copy: Copy) -> int:
    """Add a step of control flow to the program; gives how often its bodies run, as far as it is known.

    `body` adds the steps of a body, `copy` a copy of so many bytes.
    """
    if isinstance(step, ScanStep):
        return _scan(step, placement, program, body, copy)
    if isinstance(step, WhileStep):
        return _while(step, placement, program, body, copy)
    if isinstance(step, TapeStep):
        return _tape(step, placement, program, body, copy)
    assert isinstance(step, BranchStep)
    return _branch(step, placement, program, body, copy)


def _at(place: Place, offset: int) -> Place:
    return Place(place.slot, place.offset + offset)


def _inside(body: Placement, operands: Sequence[Place], results: Sequence[Place], arena: Place) -> Placement:
    """A body whose values are at places of the surrounding frame: its operands and results at those given."""
    buffers: dict[int, Place] = {}
    for result, where in zip(body.results, results):
        if isinstance(result, Buffer):
            buffers.setdefault(result.number, where)
    bases = [*operands, *(buffers[n] for n in range(len(body.buffers))), arena]
    places = {v: _at(bases[p.slot], p.offset) for v, p in body.places.items()}
    return replaced(body, places=places)


def _deliver(body: Placement, operands: Sequence[Place], results: Sequence[Place], copy: Copy) -> None:
    """Copy results that the body does not write where they belong: those that are operands or come twice."""
    firsts: dict[int, Place] = {}
    for result, where, size in zip(body.results, results, body.sizes):
        assert not isinstance(result, Literal)
        if isinstance(result, Operand):
            copy(operands[result.number], where, size)
        else:
            copy(firsts.setdefault(result.number, where), where, size)


class _Carries:
    """Where the carried values of a loop are: a static place, or two slots whose addresses are exchanged."""

    def __init__(
        self,
        step: RegionStep,
        placement: Placement,
        program: Program,
        odd: bool,
        copy: Copy,
        which: slice = slice(None),
    ):
        places = placement.places
        self.program, self.copy = program, copy
        carried = step.carried[which]
        self.outs = [places[out] for _, out in carried]
        self.sizes = [out.type.nbytes for _, out in carried]
        self.now: list[Place] = []
        self.next: list[Place] = []
        for (start, _), out, offset, size in zip(carried, self.outs, step.buffers[which], self.sizes):
            if offset is None or size == 0:
                copy(places[start], out, size)
                self.now.append(out)
                self.next.append(out)
                continue
            second = _at(places[step.scratch], offset)
            a, b = (second, out) if odd else (out, second)
            copy(places[start], a, size)
            now, following = program.slot(), program.slot()
            program.move(now, a.slot, a.offset)
            program.move(following, b.slot, b.offset)
            self.now.append(Place(now, 0))
            self.next.append(Place(following, 0))

    @property
    def static(self) -> bool:
        """Whether every carry stays in one place."""
        return self.now == self.next

    def advance(self) -> None:
        for now, following in zip(self.now, self.next):
            if now != following:
                self.program.swap(now.slot, following.slot)

    def settle(self) -> None:
        """Copy the carries to where they are expected, which may be where they are."""
        for now, following, out, size in zip(self.now, self.next, self.outs, self.sizes):
            if now != following:
                self.copy(now, out, size)


def _scan(step: ScanStep, placement: Placement, program: Program, body: Append, copy: Copy) -> int:
    places = placement.places
    carries = _Carries(step, placement, program, step.length % 2 == 1, copy)
    if step.length == 0:
        return 1
    moving: dict[int, int] = {}

    def slices(values: Sequence) -> list[Place]:
        found = []
        for var in values:
            size = var.type.nbytes // step.length
            slot = program.slot()
            start = (step.length - 1) * size if step.reverse else 0
            program.move(slot, places[var].slot, places[var].offset + start)
            if size:
                moving[slot] = -size if step.reverse else size
            found.append(Place(slot, 0))
        return found

    consts, xs = step.inputs[: step.consts], step.inputs[step.consts + step.carry :]
    operands = [*(places[v] for v in consts), *carries.now, *slices(xs)]
    results = [*carries.next, *slices(step.outputs[step.carry :])]
    counter, start = program.slot(), program.here
    program.set(counter, step.length)
    top = program.here
    inner = step.bodies[0]
    body(_inside(inner, operands, results, _at(places[step.scratch], step.arena)))
    _deliver(inner, operands, results, copy)
    if carries.static and program.repeat(start, top, step.length, moving):
        return step.length
    carries.advance()
    for slot, amount in moving.items():
        program.add(slot, amount)
    program.loop(counter, top)
    return step.length


def _while(step: WhileStep, placement: Placement, program: Program, body: Append, copy: Copy) -> int:
    places = placement.places
    carries = _Carries(step, placement, program, False, copy)
    arena = _at(places[step.scratch], step.arena)
    cond, inner = step.bodies
    c, b = step.cond_consts, step.body_consts
    asked = [*(places[v] for v in step.inputs[:c]), *carries.now]
    operands = [*(places[v] for v in step.inputs[c : c + b]), *carries.now]
    top = program.here
    end = _unless(cond, asked, _at(places[step.scratch], step.answer), arena, program, body)
    body(_inside(inner, operands, carries.next, arena))
    _deliver(inner, operands, carries.next, copy)
    carries.advance()
    program.jump(top)
    program.patch(end)
    carries.settle()
    return heuristics.GUESSED_ITERATIONS


def _unless(
    cond: Placement, operands: Sequence[Place], place: Place, arena: Place, program: Program, body: Append
) -> int:
    """Ask a condition and jump where it does not hold; gives the jump's handle."""
    answer = cond.results[0]
    if isinstance(answer, Operand):
        place = operands[answer.number]
    body(_inside(cond, operands, [place], arena))
    return program.jump_if_zero(place.slot, place.offset)


def _tape(step: TapeStep, placement: Placement, program: Program, body: Append, copy: Copy) -> int:
    places = placement.places
    c, k, p, carry = step.counts
    arena = _at(places[step.scratch], step.arena)
    for_cond = [places[v] for v in step.inputs[:c]]
    for_known = [places[v] for v in step.inputs[c : c + k]]
    for_pulled = [places[v] for v in step.inputs[c + k : c + k + p]]
    cond, forward, backward = step.bodies
    tape, slot = program.tape(), program.slot()
    on_tape = [Place(slot, offset) for offset in step.offsets]
    size = max(step.size, 1)  # a record of nothing counts the iterations

    carries = _Carries(step, placement, program, False, copy, slice(carry))
    operands = [*for_known, *carries.now]
    results = [*carries.next, *on_tape]
    top = program.here
    end = _unless(
        cond, [*for_cond, *carries.now], _at(places[step.scratch], step.answer), arena, program, body
    )
    program.push(slot, tape, size, program.symbol("realloc"))
    body(_inside(forward, operands, results, arena))
    _deliver(forward, operands, results, copy)
    carries.advance()
    program.jump(top)
    program.patch(end)

    pulled = _Carries(step, placement, program, False, copy, slice(carry, None))
    operands = [*for_pulled, *pulled.now, *on_tape]
    top = program.here
    end = program.pop(slot, tape, size)
    body(_inside(backward, operands, pulled.next, arena))
    _deliver(backward, operands, pulled.next, copy)
    pulled.advance()
    program.jump(top)
    program.patch(end)
    pulled.settle()
    program.free(tape, program.symbol("free"))
    return heuristics.GUESSED_ITERATIONS


def _branch(step: BranchStep, placement: Placement, program: Program, body: Append, copy: Copy) -> int:
    places = placement.places
    arena = _at(places[step.scratch], step.arena)
    index, *operands = [places[v] for v in step.inputs]
    results = [places[v] for v in step.outputs]
    handles = program.table(index.slot, index.offset, len(step.bodies))
    ends = []
    for inner, handle in zip(step.bodies, handles):
        program.patch(handle)
        body(_inside(inner, operands, results, arena))
        _deliver(inner, operands, results, copy)
        ends.append(program.jump())
    for end in ends:
        program.patch(end)
    return 1

"""What lowering gives: a list of steps that name values, not addresses.

Memory (which value lies where, which may share) and the program that runs the steps are made from this by
others. Every value is contiguous and row-major; a step that reads a part of one has a `View` with an offset.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from funcgrad.ir.expr import UserCall
from funcgrad.ir.graph import Atom, Graph, Var
from funcgrad.ir.types import ArrayType
from funcgrad.lower.loopir import Kernel
from funcgrad.records import record


@record
class View:
    """A pointer into `value`, `offset` elements from its start (which may lie outside of it)."""

    value: Var
    offset: int = 0


@record
class KernelStep:
    """One call of a kernel, whole or split over its parallel axis `0..extent`.

    `views` are the kernel's buffers in order, `integers` and `scalars` its further arguments. `work`
    estimates the nanoseconds that one parallel iteration takes. `inplace` has pairs (input, output) of
    positions in `views` that may be one memory; any other output must not overlap another view. `tapes` are the bytes
    that each iteration of a loop leaves on tapes of the kernel's, which each thread has for itself. Threads take
    multiples of `unit` parallel iterations.
    """

    kernel: Kernel
    views: tuple[View, ...]
    integers: tuple[int, ...]
    scalars: tuple[np.generic, ...]
    extent: int
    work: float
    inplace: tuple[tuple[int, int], ...] = ()
    label: str = ""
    sources: tuple[str, ...] = ()
    tapes: tuple[int, ...] = ()
    unit: int = 1

    @property
    def reads(self) -> tuple[Var, ...]:
        pairs = zip(self.kernel.buffers, self.views)
        return tuple(dict.fromkeys(v.value for b, v in pairs if b.role != "out"))

    @property
    def writes(self) -> tuple[Var, ...]:
        pairs = zip(self.kernel.buffers, self.views)
        return tuple(dict.fromkeys(v.value for b, v in pairs if b.role != "in"))


@record
class GemmStep:
    """`out[b] = lhs[b] @ rhs[b]` for each b in `batch` (row-major): m x k by k x n, of float or complex
    dtype.

    Strides are in elements: (row, column) of each matrix, of which one is 1 (or the extent there is 1),
    and one stride for each batch dimension. The output is row-major: strides (n, 1).
    """

    out: View
    lhs: View
    rhs: View
    m: int
    n: int
    k: int
    lhs_strides: tuple[int, int]
    rhs_strides: tuple[int, int]
    out_strides: tuple[int, int]
    batch: tuple[int, ...] = ()
    lhs_batch_strides: tuple[int, ...] = ()
    rhs_batch_strides: tuple[int, ...] = ()
    out_batch_strides: tuple[int, ...] = ()
    dtype: np.dtype = np.dtype("float32")
    label: str = ""
    sources: tuple[str, ...] = ()

    @property
    def reads(self) -> tuple[Var, ...]:
        return (self.lhs.value, self.rhs.value)

    @property
    def writes(self) -> tuple[Var, ...]:
        return (self.out.value,)


@record
class CopyStep:
    """`size` bytes of `source` to `target`: both contiguous. May be left out where both share their
    memory."""

    target: Var
    source: Var
    label: str = "copy"
    sources: tuple[str, ...] = ()

    @property
    def reads(self) -> tuple[Var, ...]:
        return (self.source,)

    @property
    def writes(self) -> tuple[Var, ...]:
        return (self.target,)


@record
class ExternStep:
    """A named routine on whole values; literals stay literals. `in_types` are the types under which it takes the
    inputs, whose memory may hold the same elements under another shape. With an `effect` it runs even where it
    writes nothing."""

    name: str
    attributes: tuple[tuple[str, Any], ...]
    inputs: tuple[Atom, ...]
    in_types: tuple[ArrayType, ...]
    outputs: tuple[Var, ...]
    label: str = ""
    sources: tuple[str, ...] = ()
    effect: bool = False

    @property
    def reads(self) -> tuple[Var, ...]:
        return tuple(a for a in self.inputs if isinstance(a, Var))

    @property
    def writes(self) -> tuple[Var, ...]:
        return self.outputs


@record
class UserStep:
    """A user's function of arrays on whole values, for each element of a batch; literals stay literals."""

    definition: UserCall
    inputs: tuple[Atom, ...]
    in_types: tuple[ArrayType, ...]
    outputs: tuple[Var, ...]
    label: str = ""
    sources: tuple[str, ...] = ()

    @property
    def reads(self) -> tuple[Var, ...]:
        return tuple(a for a in self.inputs if isinstance(a, Var))

    @property
    def writes(self) -> tuple[Var, ...]:
        return self.outputs


@record
class RoutineStep:
    """What the hand-written kernels of `routine` (`kernels/cpu/routines.py`) make of whole values."""

    routine: str
    settings: tuple[int | str, ...]
    inputs: tuple[Var, ...]
    outputs: tuple[Var, ...]
    label: str = ""
    sources: tuple[str, ...] = ()
    flops: float = 0.0

    @property
    def reads(self) -> tuple[Var, ...]:
        return self.inputs

    @property
    def writes(self) -> tuple[Var, ...]:
        return self.outputs


@record
class RegionStep:
    """Control flow. `bodies` are its sub-graphs, lowered and placed: each a `placement.Placement` whose operands
    and results stand for values of the surrounding steps.

    `scratch` is memory for the time of this step: the arenas of the bodies from `arena` on, which share it, and
    before that second buffers of carried values, `buffers[k]` bytes from its start; None where the body can
    update carry k in its place.
    """

    bodies: tuple[Any, ...]
    inputs: tuple[Var, ...]
    outputs: tuple[Var, ...]
    scratch: Var
    arena: int
    buffers: tuple[int | None, ...] = ()
    label: str = ""
    sources: tuple[str, ...] = ()

    @property
    def reads(self) -> tuple[Var, ...]:
        return tuple(dict.fromkeys(self.inputs))

    @property
    def writes(self) -> tuple[Var, ...]:
        return (*self.outputs, self.scratch)

    @property
    def carried(self) -> tuple[tuple[Var, Var], ...]:
        """Pairs (input, output) of values that a loop carries."""
        return ()


@record
class ScanStep(RegionStep):
    """`length` runs of the one body, whose inputs are (constants, carries, slices of xs) and whose outputs are
    (carries, slices of ys)."""

    consts: int = 0
    carry: int = 0
    length: int = 0
    reverse: bool = False

    @property
    def carried(self) -> tuple[tuple[Var, Var], ...]:
        return tuple(zip(self.inputs[self.consts : self.consts + self.carry], self.outputs))


@record
class WhileStep(RegionStep):
    """Runs of the second body while the first, the condition, gives a true byte. The inputs are (constants of
    the condition, constants of the body, carries), and those of each body its constants and the carries.
    `answer` is where in `scratch` the condition's result goes."""

    cond_consts: int = 0
    body_consts: int = 0
    answer: int = 0

    @property
    def carried(self) -> tuple[tuple[Var, Var], ...]:
        return tuple(zip(self.inputs[self.cond_consts + self.body_consts :], self.outputs))


@record
class TapeStep(RegionStep):
    """A loop forward that keeps a record of each iteration on a tape, and one backward over these.

    The first body is the condition, the second a step forward, (constants; carries) -> (carries; record), the third
    a step backward, (constants; carries; record) -> carries. `counts` are how many inputs belong to each: constants
    of the three bodies, carries forward; those backward are the rest. The outputs are the carries forward, which
    nobody else reads, and those backward. `answer` is where in `scratch` the condition's result goes, `offsets` is
    where in a record of `size` bytes each value lies.
    """

    counts: tuple[int, int, int, int] = (0, 0, 0, 0)
    answer: int = 0
    offsets: tuple[int, ...] = ()
    size: int = 0

    @property
    def carried(self) -> tuple[tuple[Var, Var], ...]:
        return tuple(zip(self.inputs[sum(self.counts[:3]) :], self.outputs))


@record
class BranchStep(RegionStep):
    """One run of the body whose number is the first input, an int32 that is limited to those there are; the
    other inputs are theirs."""


Step = KernelStep | GemmStep | CopyStep | ExternStep | UserStep | RoutineStep | RegionStep


def walk_steps(steps: Iterable[Step]) -> Iterator[Step]:
    """All steps, those of the bodies of control flow after the step that they belong to."""
    for step in steps:
        yield step
        if isinstance(step, RegionStep):
            for body in step.bodies:
                yield from walk_steps(body.steps)


def has_effect(step: Step) -> bool:
    """Whether a step, or one inside it, does more than to write values."""
    return any(isinstance(s, ExternStep) and s.effect for s in walk_steps([step]))


def walk_with_counts(
    steps: Iterable[Step], times: int = 1, inside: str = ""
) -> Iterator[tuple[Step, int, str]]:
    """All steps with how often they run, as far as that is known, and the loop that they are in."""
    for step in steps:
        yield step, times, inside
        if isinstance(step, RegionStep):
            length = step.length if isinstance(step, ScanStep) else 1
            name = f"{step.label} of {length} steps" if isinstance(step, ScanStep) else step.label
            for body in step.bodies:
                yield from walk_with_counts(body.steps, times * length, name)


def flops_of(step: Step) -> float:
    """The FLOPs of a matrix product or convolution, and 0 for any other step."""
    if isinstance(step, RoutineStep):
        return step.flops
    return 2.0 * math.prod(step.batch) * step.m * step.n * step.k if isinstance(step, GemmStep) else 0.0


@record
class Lowered:
    """Steps in an order that respects their reads and writes.

    `aliases` maps a value to another with the same elements in the same order (a reshape), whose memory it
    is: steps name only the latter. `temporaries` are values that lowering invented. `outputs` are the graph's, in
    order: variables (perhaps inputs of the graph, or aliases) and literals. `reasons` says, a line each, why
    neighbours were not fused.
    """

    graph: Graph
    steps: tuple[Step, ...]
    outputs: tuple[Atom, ...]
    aliases: Mapping[Var, Var]
    temporaries: tuple[Var, ...]
    reasons: tuple[str, ...]

    def storage(self, var: Var) -> Var:
        """The value whose memory holds `var`."""
        while var in self.aliases:
            var = self.aliases[var]
        return var

"""The kernel of control flow on few numbers: writes what `unrolled.py` made of a region as one nest of loops.

Without lanes the whole is one thread's work, with what loops carry in variables. With lanes it is either each lane by
itself, its own branches and its own number of iterations, or, where all lanes go through the same iterations, block
by block of lanes, so that a vector of them does each operation.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from funcgrad.ir import expr as E
from funcgrad.ir.graph import Atom, Var
from funcgrad.lower import heuristics, loopir
from funcgrad.lower.loopir import HI, LO, PARALLEL, SEQUENTIAL, VECTOR, Int, Name
from funcgrad.lower.lowered import KernelStep, View
from funcgrad.lower.nest import Nest
from funcgrad.lower.nodes import OP, index_axes, walk
from funcgrad.lower.unrolled import Block, Choice, Repeat, Unrolled, Write, unroll


def loop_kernel(
    region: E.Region,
    inputs: Sequence[Atom],
    outputs: Sequence[Var],
    storage: Callable[[Var], Var],
    label: str,
    sources: tuple[str, ...],
) -> KernelStep:
    """The kernel of a region; NotUnrolled where it has to be several."""
    unrolled = unroll(region, inputs, outputs, storage)
    writer = _Writer(unrolled)
    extent = writer.write()
    nest = writer.nest
    kernel = loopir.Kernel(
        tuple(nest.buffers), tuple(nest.integers), tuple(nest.scalar_args), tuple(nest.blocks[0])
    )
    loopir.verify(kernel)
    return KernelStep(
        kernel,
        tuple([View(var, offset) for var, offset in nest.views]),
        tuple(nest.integers.values()),
        tuple(nest.scalar_args.values()),
        extent,
        _work(unrolled) / max(extent, 1),
        (),
        label,
        sources,
    )


def _work(unrolled: Unrolled) -> float:
    """Predicted nanoseconds of the whole."""
    nodes = walk(unrolled.roots())
    cost = sum(heuristics.operation_cost(n.code) for n in nodes if n.kind == OP) + len(unrolled.all_writes())
    lanes = math.prod(unrolled.extents[: unrolled.lanes])
    times = math.prod(unrolled.extents[unrolled.lanes :]) or 1
    if any(isinstance(i, Repeat) and i.axis is None for i in unrolled.body.items):
        times *= heuristics.GUESSED_ITERATIONS
    vectors = bool(unrolled.starts) or not unrolled.body.items
    each = heuristics.NANOSECONDS_PER_COST if vectors else heuristics.NANOSECONDS_PER_SCALAR
    return cost * lanes * times * each


class _Writer:
    def __init__(self, unrolled: Unrolled):
        self.unrolled = unrolled
        roots = unrolled.roots()
        nodes = walk(roots)
        indices = [w.address for w in unrolled.all_writes()]
        for node in nodes:
            indices += [node.address] if node.address is not None else []
            indices += [b[0] for b in node.bounds]
        # lanes may become one axis; the axes of loops stay what they are
        classes = [-1 if k < unrolled.lanes else k for k in range(len(unrolled.extents))]
        self.nest = Nest(unrolled.extents, classes, indices, whole=True)
        self.nest.count_uses(roots)
        self.lane_axes = [k for k, c in enumerate(self.nest.reduced) if c == -1]
        self.part: Int = 0

    def write(self) -> int:
        """Writes everything; gives the extent of the parallel axis."""
        nest, unrolled = self.nest, self.unrolled
        if unrolled.starts:
            return self._together()
        extent, opened = 1, 0
        if unrolled.lanes:
            vectors = not unrolled.body.items
            outer = self.lane_axes[:-1] if vectors and len(self.lane_axes) > 1 else self.lane_axes
            nest.open_flat(outer)
            extent, opened = math.prod(nest.extents[k] for k in outer), 1
            for k in self.lane_axes[len(outer) :]:
                nest.open(k, VECTOR)
                opened += 1
        self._items(unrolled.body)
        self._put(unrolled.writes)
        nest.close(opened)
        return extent

    def _together(self) -> int:
        """All lanes of a block through each iteration of the outermost loop."""
        nest, unrolled = self.nest, self.unrolled
        inner = self.lane_axes[-1]
        start: Int = 0
        stop: Int = nest.extent(inner)
        if len(self.lane_axes) == 1:
            block = heuristics.LANE_BLOCK
            nest.open_range("block", LO, HI, PARALLEL, block)
            end = loopir.IntOp("min", (loopir.add(Name("block"), block), HI))
            nest.blocks[-1].append(loopir.LetInt("end", end))
            extent, start, stop, self.part = nest.extents[inner], Name("block"), Name("end"), Name("block")
        else:
            outer = self.lane_axes[:-1]
            nest.open_flat(outer)
            extent = math.prod(nest.extents[k] for k in outer)
            self.part = Name("i0" if len(outer) == 1 else "t")
        for write in unrolled.starts:
            nest.output(write.var)
        self._over(inner, start, stop, unrolled.starts)
        (loop,) = unrolled.body.items
        assert isinstance(loop, Repeat)
        self._repeat(loop, lambda: self._over(inner, start, stop, [*loop.writes, *unrolled.steps]))
        self._over(inner, start, stop, unrolled.writes)
        nest.close(1)
        return extent

    def _over(self, axis: int, start: Int, stop: Int, writes: Sequence[Write]) -> None:
        """The writes of all lanes, and those that are the same for all of them once."""
        alone = [w for w in writes if not self._lanes_of(w)]
        by_lane = [w for w in writes if self._lanes_of(w)]
        if by_lane:
            self.nest.open(axis, VECTOR, start, stop)
            self._put(by_lane)
            self.nest.close(1)
        self._put(alone, self.part)

    def _lanes_of(self, write: Write) -> bool:
        return any(k < self.unrolled.lanes for k in index_axes(write.address))

    def _put(self, writes: Sequence[Write], once: Int | None = None) -> None:
        self.nest.put([(w.var, w.address, w.node) for w in writes], once)

    def _items(self, block: Block) -> None:
        for item in block.items:
            if isinstance(item, Repeat):
                self._repeat(item, lambda item=item: self._put(item.writes))
            else:
                self._choose(item)

    def _repeat(self, loop: Repeat, write: Callable[[], None]) -> None:
        """A loop; `write` writes what each of its iterations leaves in memory."""
        nest = self.nest
        variables = [nest.variable(node) for node in loop.first]
        if loop.axis is None:
            before = nest.enter()
        else:
            nest.open(nest.axis_of(loop.axis), SEQUENTIAL)
        for node, variable in zip(loop.held, variables):
            nest.hold(node, variable)
        if loop.answer is not None:
            self._items(loop.asking)
            nest.blocks[-1].append(loopir.LeaveUnless(nest.value(loop.answer)))
        self._items(loop.body)
        write()
        nest.assign(variables, loop.following)
        if loop.axis is None:
            body = nest.leave(before)
            nest.blocks[-1].append(loopir.While(body))
        else:
            nest.close(1)
        for node, variable in zip(loop.done, variables):
            nest.hold(node, variable)

    def _choose(self, choice: Choice) -> None:
        """The branches; each sets the same variables."""
        nest = self.nest
        index = nest.value(choice.index)
        variables = [nest.undefined(node.dtype) for node in choice.done]
        bodies = []
        for block, values in zip(choice.blocks, choice.values):
            before = nest.enter(apart=True)
            self._items(block)
            nest.assign(variables, values)
            bodies.append(nest.leave(before))
        nest.blocks[-1].append(loopir.Switch(index, tuple(bodies)))
        for node, variable in zip(choice.done, variables):
            nest.hold(node, variable)

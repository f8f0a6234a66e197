"""The kernel of control flow on few numbers: writes what `unrolled.py` made of a region as one nest of loops.

Without lanes the whole is one thread's work, with what loops carry in variables. With lanes it is either each lane by
itself, its own branches and its own number of iterations, or, where all lanes go through the same iterations, block
by block of lanes, so that a vector of them does each operation. A plain while loop of each lane's own goes through a
block in vectors too, as long as many of its lanes go on, and then through what is left lane by lane.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from funcgrad.ir import expr as E
from funcgrad.ir.cost import operation_cost
from funcgrad.ir.graph import Atom, Var
from funcgrad.ir.types import ArrayType
from funcgrad.lower import heuristics, loopir
from funcgrad.lower.loopir import HI, LO, PARALLEL, REDUCE, SEQUENTIAL, VECTOR, Int, Lit, Name, Ref
from funcgrad.lower.lowered import KernelStep, View
from funcgrad.lower.nest import Nest
from funcgrad.lower.nodes import CONST, GUARD, LOAD, OP, Node, flat_address, index_axes, walk
from funcgrad.lower.side_by_side import side_by_side
from funcgrad.lower.target import Target
from funcgrad.lower.unrolled import (
    Block,
    Choice,
    NotUnrolled,
    Record,
    Repeat,
    Tape,
    Unrolled,
    Write,
    unroll,
    walk_items,
)
from funcgrad.prims.control_pull import RECORD_ALIGNMENT


def loop_kernel(
    region: E.Region,
    inputs: Sequence[Atom],
    outputs: Sequence[Var],
    storage: Callable[[Var], Var],
    target: Target,
    label: str,
    sources: tuple[str, ...],
) -> KernelStep:
    """The kernel of a region; NotUnrolled where it has to be several."""
    unrolled = unroll(region, inputs, outputs, storage)
    writer = _Writer(unrolled, target.vector_bytes)
    extent = writer.write()
    nest = writer.nest
    width = min(extent, heuristics.LANE_BLOCK_OF_TAPES)
    body = side_by_side(nest.blocks[0], target.chains)
    kernel = loopir.Kernel(tuple(nest.buffers), tuple(nest.integers), tuple(nest.scalar_args), body)
    loopir.verify(kernel)
    return KernelStep(
        kernel,
        tuple([View(var, offset) for var, offset in nest.views]),
        tuple(nest.integers.values()),
        tuple(nest.scalar_args.values()),
        extent,
        _work(unrolled, writer.scratch) / max(extent, 1),
        (),
        label,
        sources,
        tuple([plan.size(width) for plan in writer.tapes.values()]),
        heuristics.LANES_APART if writer.by_blocks else 1,
    )


def _work(unrolled: Unrolled, in_vectors: Sequence[Var]) -> float:
    """Predicted nanoseconds of the whole."""
    nodes = walk(unrolled.roots())
    cost = sum(operation_cost(n.code) for n in nodes if n.kind == OP) + len(unrolled.all_writes())
    lanes = math.prod(unrolled.extents[: unrolled.lanes])
    times = math.prod(unrolled.extents[unrolled.lanes :]) or 1
    if any(isinstance(i, Repeat) and i.axis is None for i in unrolled.body.items):
        times *= heuristics.GUESSED_ITERATIONS
    vectors = bool(unrolled.together or in_vectors) or not unrolled.body.items
    each = heuristics.NANOSECONDS_PER_COST if vectors else heuristics.NANOSECONDS_PER_SCALAR
    return cost * lanes * times * each


_ENDLESS = 1 << 62
"""A number of rounds that is never reached."""


class _TapePlan:
    """Where the numbers of a record of a tape lie: first those that are the same for all lanes, then `_WIDTH` of each
    other; among both those of large dtypes first, so that each is aligned."""

    def __init__(self, tape: Tape, name: str):
        self.name = name
        self.addresses: list[Int] = [0] * len(tape.records)
        alone, wide = 0, 0
        sizes = [r.node.dtype.itemsize for r in tape.records]
        order = sorted(range(len(sizes)), key=lambda k: -sizes[k])
        for k in order:
            if not tape.records[k].laned:
                self.addresses[k] = alone // sizes[k]
                alone += sizes[k]
        self.alone = _aligned(alone)
        for k in order:
            if tape.records[k].laned:
                before = loopir.mul(_WIDTH, wide // sizes[k])
                self.addresses[k] = loopir.add(self.alone // sizes[k], before)
                wide += sizes[k]
        self.wide = wide

    def size(self, width: int) -> int:
        """The bytes of a record of so many lanes."""
        return max(_aligned(self.alone + self.wide * width), RECORD_ALIGNMENT)

    @property
    def record(self) -> Int:
        if not self.wide:
            return self.size(0)
        units = loopir.add(self.alone + RECORD_ALIGNMENT - 1, loopir.mul(_WIDTH, self.wide))
        return loopir.mul(loopir.IntOp("floordiv", (units, RECORD_ALIGNMENT)), RECORD_ALIGNMENT)


_WIDTH = Name("width")
"""The lanes of a block for which there is room on a tape."""


def _aligned(size: int) -> int:
    return -(-size // RECORD_ALIGNMENT) * RECORD_ALIGNMENT


def _one_loop(unrolled: Unrolled) -> Repeat | None:
    """The while loop that each lane runs by itself, if that is all that it does and vectors of lanes can run it, too,
    where lanes that have ended go on without effect: there is nothing inside that must not be done for them."""
    if unrolled.together or unrolled.lanes != 1 or unrolled.extents[0] < heuristics.FEWEST_TOGETHER:
        return None
    loop, *others = unrolled.body.items or [None]
    if not isinstance(loop, Repeat) or others or loop.axis is not None or loop.asking.items or loop.writes:
        return None
    values = [*loop.following]
    for item in loop.body.items:
        if not isinstance(item, Choice) or any(block.items for block in item.blocks):
            return None
        values += [item.index, *(n for row in item.values for n in row)]
    assert loop.answer is not None
    return loop if all(_in_vectors(n) for n in walk([loop.answer, *values])) else None


def _in_vectors(node: Node) -> bool:
    """Whether vectors of lanes can do what a node does at least as well as one lane after the other."""
    if node.kind == GUARD or node.dtype.kind == "c" or isinstance(node.code, E.ScalarFunction):
        return False
    if node.kind == OP and node.code in ("div", "rem") and node.dtype.kind in "iu":
        divisor = node.args[1]
        return divisor.kind == CONST and divisor.value > 0 and int(divisor.value).bit_count() == 1
    return True


class _Writer:
    def __init__(self, unrolled: Unrolled, vector_bytes: int):
        self.unrolled = unrolled
        self.loop = _one_loop(unrolled) if vector_bytes >= heuristics.LEAST_VECTOR else None
        lanes = tuple(unrolled.extents[: unrolled.lanes])
        held = self.loop.held if self.loop else ()
        self.scratch = [Var(ArrayType(lanes, node.dtype)) for node in held]
        self.lane = flat_address(E.axes(len(lanes)), lanes) if held else E.Index(0)
        roots = unrolled.roots()
        nodes = walk(roots)
        indices = [w.address for w in unrolled.all_writes()]
        for node in nodes:
            indices += [node.address] if node.address is not None else []
            indices += [b[0] for b in node.bounds]
        indices += [self.lane] if self.loop else []
        # lanes may become one axis; the axes of loops stay what they are
        classes = [-1 if k < unrolled.lanes else k for k in range(len(unrolled.extents))]
        self.nest = Nest(unrolled.extents, classes, indices, whole=True)
        self.nest.count_uses(roots)
        self.lane_axes = [k for k, c in enumerate(self.nest.reduced) if c == -1]
        self.part: Int = 0
        tapes = [i.keeps for i in walk_items(unrolled.body) if isinstance(i, Repeat) and i.keeps]
        if tapes and unrolled.together and len(self.lane_axes) > 1:
            raise NotUnrolled("it has a tape, and its lanes are more than one axis")
        self.tapes = {t: _TapePlan(t, f"tape{k}") for k, t in enumerate(tapes)}

    @property
    def by_blocks(self) -> bool:
        """Whether the parallel loop goes over blocks of lanes."""
        return self.loop is not None or (self.unrolled.together and len(self.lane_axes) == 1)

    def write(self) -> int:
        """Writes everything; gives the extent of the parallel axis."""
        block = self.nest.blocks[0]
        if any(plan.wide for plan in self.tapes.values()):
            whole = loopir.add(HI, loopir.IntOp("neg", (LO,)))
            width = loopir.IntOp("min", (whole, heuristics.LANE_BLOCK_OF_TAPES))
            block.append(loopir.LetInt(_WIDTH.name, width))
        block.extend(loopir.Tape(plan.name, plan.record) for plan in self.tapes.values())
        extent = self._all()
        block.extend(loopir.Free(plan.name) for plan in self.tapes.values())
        return extent

    def _all(self) -> int:
        nest, unrolled = self.nest, self.unrolled
        if unrolled.together:
            return self._together()
        if self.loop:
            return self._as_far_as_many_go(self.loop)
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
        """All lanes of a block through each iteration of the outermost loops."""
        nest, unrolled = self.nest, self.unrolled
        inner = self.lane_axes[-1]
        start: Int = 0
        stop: Int = nest.extent(inner)
        if len(self.lane_axes) == 1:
            start, stop = self._blocks(
                heuristics.LANE_BLOCK_OF_TAPES if self.tapes else heuristics.LANE_BLOCK
            )
            extent, self.part = nest.extents[inner], start
        else:
            outer = self.lane_axes[:-1]
            nest.open_flat(outer)
            extent = math.prod(nest.extents[k] for k in outer)
            self.part = Name("i0" if len(outer) == 1 else "t")
        loops = [item for item in unrolled.body.items if isinstance(item, Repeat)]
        assert len(loops) == len(unrolled.body.items)
        for loop in loops:
            for write in loop.starts:
                nest.output(write.var)
        for loop in loops:
            self._over(inner, start, stop, loop.starts)
            self._repeat(
                loop, lambda loop=loop: self._over(inner, start, stop, [*loop.writes, *loop.steps], loop)
            )
        self._over(inner, start, stop, unrolled.writes)
        nest.close(1)
        return extent

    def _blocks(self, size: int) -> tuple[Int, Int]:
        """Opens the parallel loop over blocks of the only axis of lanes; gives where a block begins and ends."""
        self.nest.open_range("block", LO, HI, PARALLEL, size)
        end = loopir.IntOp("min", (loopir.add(Name("block"), size), HI))
        self.nest.blocks[-1].append(loopir.LetInt("end", end))
        return Name("block"), Name("end")

    def _as_far_as_many_go(self, loop: Repeat) -> int:
        """Rounds of one iteration for every lane of a block while many of these go on, then lane by lane."""
        nest, (axis,) = self.nest, self.lane_axes
        start, stop = self._blocks(heuristics.LANE_BLOCK_OF_ROUNDS)
        nest.open(axis, VECTOR, start, stop)
        nest.put([(var, self.lane, node) for var, node in zip(self.scratch, loop.first)])
        nest.close(1)
        # Not a `while`: without a counter LLVM takes this and the loop over lanes for one, and uses no vectors.
        nest.open_range("round", 0, _ENDLESS, SEQUENTIAL, 1)
        count = Ref("going", np.dtype(np.int32))
        nest.blocks[-1].append(loopir.Accumulator(count.name, Lit(np.int32(0), count.dtype)))
        nest.open(axis, REDUCE, start, stop)
        for node, variable in zip(loop.held, map(nest.variable, self._kept())):
            nest.hold(node, variable)
        for item in loop.body.items:
            assert isinstance(item, Choice)
            self._select(item)
        answer = loop.answer
        assert answer is not None
        nest.put(
            [
                (var, self.lane, Node(OP, new.dtype, (answer, new, old), "select"))
                for var, new, old in zip(self.scratch, loop.following, loop.held)
            ]
        )
        going = nest.value(Node(OP, count.dtype, (answer,), "convert"))
        nest.blocks[-1].append(loopir.Combine("add", count.name, going))
        nest.close(1)
        few = Lit(np.int32(heuristics.FEW_GO_ON), count.dtype)
        nest.blocks[-1].append(loopir.LeaveUnless(loopir.Apply("gt", (count, few), np.dtype(np.bool_))))
        nest.close(1)
        nest.open(axis, SEQUENTIAL, start, stop)
        self._repeat(loop, lambda: None, self._kept())
        self._put(self.unrolled.writes)
        nest.close(2)
        return nest.extents[axis]

    def _kept(self) -> list[Node]:
        """What a lane has in memory between rounds."""
        return [Node(LOAD, var.type.dtype, var=var, address=self.lane) for var in self.scratch]

    def _select(self, choice: Choice) -> None:
        """All branches, and the values of one of them."""
        for done, values in zip(choice.done, zip(*choice.values)):
            *before, found = values
            for number, value in reversed([*enumerate(before)]):
                which = Node(CONST, choice.index.dtype, value=choice.index.dtype.type(number))
                here = Node(OP, np.dtype(np.bool_), (choice.index, which), "le")
                found = Node(OP, done.dtype, (here, value, found), "select")
            self.nest.hold(done, self.nest.variable(found))

    def _over(
        self, axis: int, start: Int, stop: Int, writes: Sequence[Write], loop: Repeat | None = None
    ) -> None:
        """The writes of all lanes, and those that are the same for all of them once; also what the iteration of a
        loop keeps on a tape and takes from one."""
        alone = [w for w in writes if not self._lanes_of(w)]
        by_lane = [w for w in writes if self._lanes_of(w)]
        lane = loopir.add(Name(f"i{axis}"), loopir.IntOp("neg", (start,)))
        keeps = self._places(loop.keeps, lane) if loop else []
        if by_lane or keeps:
            self.nest.open(axis, VECTOR, start, stop)
            for record, name, address in self._places(loop.takes, lane) if loop else ():
                self.nest.take(record.taken, name, address)
            self._put(by_lane, keeps=keeps)
            self.nest.close(1)
        self._put(alone, self.part)

    def _places(self, tape: Tape | None, lane: Int | None = None) -> list[tuple[Record, str, Int]]:
        """The numbers of the open record, with the tape's name and their addresses: those of a lane, or those that
        are the same for all lanes."""
        if tape is None:
            return []
        plan = self.tapes[tape]
        pairs = [(r, a) for r, a in zip(tape.records, plan.addresses) if r.laned == (lane is not None)]
        return [(r, plan.name, a if lane is None else loopir.add(a, lane)) for r, a in pairs]

    def _lanes_of(self, write: Write) -> bool:
        return any(k < self.unrolled.lanes for k in index_axes(write.address))

    def _put(
        self,
        writes: Sequence[Write],
        once: Int | None = None,
        keeps: Sequence[tuple[Record, str, Int]] = (),
    ) -> None:
        kept = [(name, address, record.node) for record, name, address in keeps]
        self.nest.put([(w.var, w.address, w.node) for w in writes], once, kept)

    def _items(self, block: Block) -> None:
        for item in block.items:
            if isinstance(item, Repeat):
                self._repeat(item, lambda item=item: self._put(item.writes))
            else:
                self._choose(item)

    def _repeat(self, loop: Repeat, write: Callable[[], None], first: Sequence[Node] | None = None) -> None:
        """A loop; `write` writes what each of its iterations leaves in memory. It begins with `first`, if given."""
        nest = self.nest
        variables = [nest.variable(node) for node in (loop.first if first is None else first)]
        if loop.axis is None:
            before = nest.enter()
        else:
            nest.open(nest.axis_of(loop.axis), SEQUENTIAL)
        for node, variable in zip(loop.held, variables):
            nest.hold(node, variable)
        if loop.answer is not None:
            self._items(loop.asking)
            nest.blocks[-1].append(loopir.LeaveUnless(nest.value(loop.answer)))
        if loop.keeps:
            every = tuple([plan.name for plan in self.tapes.values()])
            nest.blocks[-1].append(loopir.Push(self.tapes[loop.keeps].name, every))
        if loop.takes:
            nest.blocks[-1].append(loopir.Pop(self.tapes[loop.takes].name))
        for record, name, address in self._places(loop.takes):
            nest.take(record.taken, name, address)
        self._items(loop.body)
        self._put((), keeps=self._places(loop.keeps))
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

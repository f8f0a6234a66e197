"""Control flow on few numbers, as scalars: each element of each value becomes a node, and loops and branches become
a tree of items that one kernel can run, with what they carry in registers.

A loop over large arrays whose elements never meet is also one on few numbers: for each *lane*, an index of the
leading axes that the large arrays have in common, it is run by itself. `loop_kernels.py` writes the kernel.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from funcgrad.ir import expr as E
from funcgrad.ir import small
from funcgrad.ir.effects import has_effect
from funcgrad.ir.graph import Atom, Equation, Graph, Var
from funcgrad.ir.types import ArrayType
from funcgrad.lower import heuristics
from funcgrad.lower.nodes import HELD, LOAD, OF_INDEX, OP, Expander, Node, flat_address
from funcgrad.lower.regions import literal_inputs, prepared
from funcgrad.lower.roots import dot_as_reduce

Index = tuple[E.Index, ...]
Reader = Callable[[Index], Node]
"""The node of the element at an index of a value."""


Cells = list[tuple[Var, Index]]
"""Where the elements of a value are: each in the memory of a variable, at an index."""


class NotUnrolled(Exception):
    """Why a region is not a kernel of its own."""


@dataclass(eq=False)
class Block:
    """Control flow in the order in which it runs."""

    items: list[Repeat | Choice] = field(default_factory=list)


@dataclass(eq=False)
class Write:
    """`node` goes to element `address` of `var`."""

    var: Var
    address: E.Index
    node: Node


@dataclass(eq=False)
class Repeat:
    """A loop over `axis`, or, where that is None, as long as `answer`, which `asking` leads to, is true, or, where
    there is a tape that it takes records from, as long as there are any.

    `held` are the variables that it carries, `first` their values before, `following` those after each run of
    `body`, and `done` stands for what they are in the end. `writes` belong to each iteration.

    Over lanes the outermost loops carry values in memory, an element or a few for each lane; `starts` write them before
    the loop, `steps` at the end of each iteration. What it holds in variables is the same in all lanes.
    """

    axis: int | None
    held: list[Node]
    first: list[Node]
    done: list[Node]
    asking: Block
    body: Block
    answer: Node | None = None
    following: list[Node] = field(default_factory=list)
    writes: list[Write] = field(default_factory=list)
    starts: list[Write] = field(default_factory=list)
    steps: list[Write] = field(default_factory=list)
    keeps: Tape | None = None
    takes: Tape | None = None

    def nodes(self) -> list[Node]:
        """Every node that it names."""
        found = [*self.first, *self.following, *([] if self.answer is None else [self.answer])]
        found += [w.node for w in (*self.writes, *self.starts, *self.steps)]
        return [*found, *(r.node for r in self.keeps.records)] if self.keeps else found


@dataclass(eq=False)
class Record:
    """A number of one iteration on a tape: what is put there, and what stands for it where it is taken. `laned`: one
    for each lane."""

    node: Node
    taken: Node
    laned: bool


@dataclass(eq=False)
class Tape:
    """What the iterations of a loop leave for another one, which takes the last record first."""

    records: list[Record]


@dataclass(eq=False)
class Choice:
    """One of `blocks`, by the number `index`; each sets `done` to its own row of `values`."""

    index: Node
    blocks: list[Block]
    values: list[list[Node]]
    done: list[Node]


@dataclass(eq=False)
class Unrolled:
    """A region as scalars. `extents` are those of the axes: the first `lanes` of them are independent of each other,
    the others are those of loops.

    Where they go `together` through the outermost loops, these carry values in memory; else each lane runs the whole of
    `body`. `writes` come at the end.
    """

    extents: list[int]
    lanes: int
    body: Block
    writes: list[Write]

    @property
    def together(self) -> bool:
        return any(isinstance(item, Repeat) and item.starts for item in self.body.items)

    def roots(self) -> list[Node]:
        """Every node that the items and writes name."""
        found = [w.node for w in self.writes]
        for item in walk_items(self.body):
            if isinstance(item, Repeat):
                found += item.nodes()
            else:
                found += [item.index, *itertools.chain.from_iterable(item.values)]
        return found

    def all_writes(self) -> list[Write]:
        loops = [item for item in walk_items(self.body) if isinstance(item, Repeat)]
        return [*(w for loop in loops for w in (*loop.starts, *loop.steps, *loop.writes)), *self.writes]


def walk_items(block: Block) -> Iterator[Repeat | Choice]:
    for item in block.items:
        yield item
        inner = (item.asking, item.body) if isinstance(item, Repeat) else item.blocks
        for one in inner:
            yield from walk_items(one)


def unroll(
    region: E.Region, inputs: Sequence[Atom], outputs: Sequence[Var], storage: Callable[[Var], Var]
) -> Unrolled:
    """The region as scalars; NotUnrolled says why it cannot be that. `storage` gives the value whose memory holds an
    input, perhaps under another shape."""
    if any(v.type.size == 0 for v in (*outputs, *(a for a in inputs if isinstance(a, Var)))):
        raise NotUnrolled("it works on empty values")
    why = NotUnrolled("it works on large values")
    for lanes in _candidates(region, inputs, outputs):
        try:
            return _Unroller(lanes, mapped=_is_map(region)).whole(region, inputs, outputs, storage)
        except NotUnrolled as refusal:
            why = refusal
    raise why


def _is_map(region: E.Region) -> bool:
    return region.name == "scan" and dict(region.attributes)["carry"] == 0


def _candidates(
    region: E.Region, inputs: Sequence[Atom], outputs: Sequence[Var]
) -> Iterator[tuple[int, ...]]:
    """The extents of lanes that are worth a try, best first."""
    settings = dict(region.attributes)
    if _is_map(region):
        yield (settings["length"],)
        return
    carried: Sequence[Var] = outputs if region.name != "scan" else outputs[: settings["carry"]]
    if region.name == "cond" or not carried:
        carried = []
    largest = max((v.type.shape for v in carried), key=math.prod, default=())
    few = sum(v.type.size for v in carried) <= small.FEW_ELEMENTS
    if few and math.prod(largest) < heuristics.FEWEST_LANES:
        yield ()
    for count in range(len(largest), 0, -1):
        if largest[count - 1] > 1 and math.prod(largest[count:]) <= small.FEW_ELEMENTS:
            yield largest[:count]
    if few and math.prod(largest) >= heuristics.FEWEST_LANES:
        yield ()


class _Unroller:
    """What the scopes of one region share. `mapped`: each lane runs all of it, else lanes run the outermost loop
    together, iteration by iteration."""

    def __init__(self, lanes: tuple[int, ...], mapped: bool):
        self.extents = list(lanes)
        self.lanes = lanes
        self.mapped = mapped
        self.nodes: dict[Any, Node] = {}
        self.numbers = itertools.count()
        self.ends: list[Write] = []

    def hold(self, dtype: np.dtype) -> Node:
        return Node(HELD, dtype, value=next(self.numbers))

    def new_axis(self, extent: int) -> E.Index:
        self.extents.append(extent)
        return E.axis(len(self.extents) - 1)

    @property
    def own_lanes(self) -> Index:
        """The leading axes of values that have lanes."""
        return () if self.mapped else E.axes(len(self.lanes))

    def elements(self, type: ArrayType) -> list[Index]:
        """The indices of the elements of a value (of one lane of it, where it has lanes)."""
        shape, lead = type.shape, self.own_lanes
        if not lead or shape[: len(lead)] != self.lanes:
            lead = ()
        rest = shape[len(lead) :]
        if math.prod(rest) > small.FEW_ELEMENTS:
            raise NotUnrolled(f"a value of type {type} is too large for registers")
        return [(*lead, *map(E.Index, place)) for place in np.ndindex(*rest)]

    def check_size(self) -> None:
        if sum(n.kind == OP for n in self.nodes.values()) > small.FEW_OPERATIONS:
            raise NotUnrolled(f"more than {small.FEW_OPERATIONS} operations")

    def whole(
        self, region: E.Region, inputs: Sequence[Atom], outputs: Sequence[Var], storage: Callable[[Var], Var]
    ) -> Unrolled:
        block = Block()
        scope = _Scope(self, {}, block)
        for atom in inputs:
            if isinstance(atom, Var):
                scope.readers[atom] = scope.memory(storage(atom), atom.type.shape)
        writes: list[Write] = []
        places = [(var, ()) for var in outputs]
        found = scope.region(region, inputs, places, outermost=True)
        for var, reader in zip(outputs, found):
            if reader is not None:
                writes += [scope.write(var, (), ix, reader(ix)) for ix in self.elements(var.type)]
        self.check_size()
        return Unrolled(self.extents, len(self.lanes), block, writes + self.ends)


class _Scope:
    """The values of one graph as nodes. `readers` are those of its inputs, and of what control flow gives."""

    def __init__(self, unroller: _Unroller, readers: dict[Var, Reader], block: Block):
        self.unroller, self.readers, self.block = unroller, readers, block
        self.expander = Expander(unroller.extents, self._definition, self._stop, nodes=unroller.nodes)
        self.maps: dict[Var, tuple[E.Expr, tuple[Atom, ...]]] = {}

    def memory(self, var: Var, shape: tuple[int, ...]) -> Reader:
        """A value of this shape in the memory of `var`."""
        return lambda index: self.expander.widen(self._raw(var, shape, index))

    def value(self, atom: Atom, index: Index) -> Node:
        return self.expander.value(atom, index)

    def stored(self, atom: Atom, index: Index) -> Node:
        return self.expander.stored(self.value(atom, index), atom.type.dtype)

    def write(self, var: Var, prefix: Index, index: Index, node: Node) -> Write:
        address = E.simplify(flat_address((*prefix, *index), var.type.shape), self.unroller.extents)
        return Write(var, address, self.expander.stored(node, var.type.dtype))

    def _definition(self, var: Var) -> tuple[E.Expr, tuple[Atom, ...]] | None:
        return self.maps[var]

    def _stop(self, var: Var, index: Index) -> Node | None:
        reader = self.readers.get(var)
        return None if reader is None else reader(index)

    # ----------------------------------------------------------------------------------------- equations

    def run(self, graph: Graph, places: Sequence[tuple[Var, Index] | None]) -> list[bool]:
        """Define every value of the graph. `places` say where in memory outputs go that loops stack; gives which of
        them have been written there."""
        written = [False] * len(graph.outputs)
        for equation in graph.equations:
            given: list[tuple[Var, Index] | None] = []
            for var in equation.outputs:
                which = [k for k, a in enumerate(graph.outputs) if a is var]
                alone = len(which) == 1 and not any(var in e.inputs for e in graph.equations)
                given.append(places[which[0]] if alone and which[0] < len(places) else None)
            for var in self._define(equation, given):
                written[graph.outputs.index(var)] = True
            for var in equation.outputs:
                if var in self.readers or var in self.maps:
                    self._touch(var)
            self.unroller.check_size()
        return written

    def _touch(self, var: Var) -> None:
        """Make the nodes of a value now, so that a long chain of values is no deep recursion."""
        try:
            elements = self.unroller.elements(var.type)
        except NotUnrolled:
            return  # perhaps only some of it is needed, or sums of it
        for index in elements:
            self.value(var, index)

    def _define(self, equation: Equation, places: Sequence[tuple[Var, Index] | None]) -> list[Var]:
        """Define the outputs of an equation; gives those that went to their places in memory."""
        if has_effect(equation):
            raise NotUnrolled(f"{equation.primitive.name} has an effect")
        rule, several = equation.primitive.lower, equation.primitive.multiple_results
        in_types = tuple([a.type for a in equation.inputs])
        out_types = tuple([v.type for v in equation.outputs])
        definitions = rule(in_types, out_types if several else out_types[0], **equation.params)  # type: ignore[misc]
        if isinstance(definitions, E.Region):
            found = self.region(definitions, equation.inputs, places)
            for var, reader in zip(equation.outputs, found):
                if reader is not None:
                    self.readers[var] = reader
            return [v for v, reader in zip(equation.outputs, found) if reader is None]
        if isinstance(definitions, E.Definition):
            definitions = (definitions,)
        for var, definition in zip(equation.outputs, definitions):
            self._define_one(var, definition, equation)
        return []

    def _define_one(self, var: Var, definition: E.Definition, equation: Equation) -> None:
        inputs = equation.inputs
        if isinstance(definition, E.Dot):
            definition = dot_as_reduce(definition, inputs[0].type, inputs[1].type, var.type)
        if isinstance(definition, E.Map):
            self.maps[var] = (definition.expr, inputs)
        elif isinstance(definition, E.Reduce):
            if math.prod(definition.extents) > small.FEW_ELEMENTS:
                raise NotUnrolled(
                    f"{equation.primitive.name} is over {math.prod(definition.extents)} elements"
                )
            self.readers[var] = lambda index: self._reduced(var.type, definition, inputs, index)
        elif isinstance(definition, E.Scatter):
            if math.prod(definition.extents) > small.FEW_ELEMENTS:
                raise NotUnrolled(f"{equation.primitive.name} has {math.prod(definition.extents)} updates")
            self.readers[var] = lambda index: self._scattered(var.type, definition, inputs, index)
        else:
            raise NotUnrolled(f"{equation.primitive.name} is a routine on whole values")

    def _reduced(self, type: ArrayType, reduce: E.Reduce, inputs: tuple[Atom, ...], index: Index) -> Node:
        expander, ndim = self.expander, type.ndim
        total: Node | None = None
        place: Node | None = None
        for number, position in enumerate(np.ndindex(*reduce.extents)):
            axes = dict(enumerate((*index, *map(E.Index, position))))
            assert len(axes) == ndim + len(position)
            x = expander.expr(reduce.expr, inputs, axes)
            if not reduce.kind.startswith("arg"):
                total = x if total is None else expander.op(reduce.kind, (total, x), x.dtype)
                continue
            here = expander.literal(number, type.dtype)
            if total is None or place is None:
                total, place = x, here
                continue
            better = expander.op("gt" if reduce.kind == "argmax" else "lt", (x, total), _BOOL)
            if x.dtype.kind == "f":
                nan, good = (expander.op(code, (n, n), _BOOL) for code, n in (("ne", x), ("eq", total)))
                better = expander.op("or", (better, expander.op("and", (nan, good), _BOOL)), _BOOL)
            total = expander.op("select", (better, x, total), x.dtype)
            place = expander.op("select", (better, here, place), type.dtype)
        found = total if place is None else place
        assert found is not None
        return expander.op("convert", (found,), type.dtype) if found.dtype != type.dtype else found

    def _scattered(self, type: ArrayType, scatter: E.Scatter, inputs: tuple[Atom, ...], index: Index) -> Node:
        expander = self.expander
        value = self.value(inputs[scatter.operand], index)
        for position in np.ndindex(*scatter.extents):
            axes = dict(enumerate(map(E.Index, position)))
            hit = self._all(
                [
                    *(
                        (self._difference(ix, low), "ge")
                        for ix, low, _ in self._bounds(scatter, inputs, axes)
                    ),
                    *(
                        (self._difference(ix, high), "lt")
                        for ix, _, high in self._bounds(scatter, inputs, axes)
                    ),
                    *(
                        (self._difference(expander.index(t, inputs, axes), ix), "eq")
                        for t, ix in zip(scatter.target, index)
                    ),
                ]
            )
            if hit is False:
                continue
            new = expander.expr(scatter.value, inputs, axes)
            if scatter.kind != "set":
                new = expander.op(scatter.kind, (value, new), type.dtype)
            value = new if hit is True else expander.op("select", (hit, new, value), type.dtype)
        return value

    def _bounds(
        self, scatter: E.Scatter, inputs: tuple[Atom, ...], axes: dict[int, E.Index]
    ) -> list[tuple[E.Index, int, int]]:
        return [(self.expander.index(ix, inputs, axes), low, high) for ix, low, high in scatter.bounds]

    def _difference(self, a: E.Index, b: E.Index | int) -> E.Index:
        return E.simplify(a - b, self.unroller.extents)

    def _all(self, conditions: Sequence[tuple[E.Index, str]]) -> Node | bool:
        """Whether each index is at least, less than or equal to 0: known, or a node."""
        found: Node | bool = True
        for index, code in conditions:
            low, high = E.index_range(index, self.unroller.extents)
            always = {"ge": low >= 0, "lt": high < 0, "eq": low == high == 0}[code]
            never = {"ge": high < 0, "lt": low >= 0, "eq": low > 0 or high < 0}[code]
            if never:
                return False
            if always:
                continue
            number = self.expander.node(OF_INDEX, _INT64, address=index)
            test = self.expander.op(code, (number, self.expander.literal(0, _INT64)), _BOOL)
            found = test if found is True else self.expander.op("and", (found, test), _BOOL)
        return found

    # ---------------------------------------------------------------------------------------- control flow

    def held(self, type: ArrayType, nodes: Sequence[Node]) -> Reader:
        """A value whose elements are variables."""
        elements = self.unroller.elements(type)
        known = {ix: self.expander.widen(node) for ix, node in zip(elements, nodes)}

        def read(index: Index) -> Node:
            found = known.get(index)
            return self._one_of(known, index) if found is None else found

        return read

    def _one_of(self, known: dict[Index, Node], index: Index) -> Node:
        """The element at an index that is known only at run time."""
        lead = self.unroller.own_lanes
        lanes = len(lead) if lead and next(iter(known))[: len(lead)] == lead else 0
        if index[:lanes] != lead[:lanes]:
            raise NotUnrolled("its lanes depend on each other")
        if len(known) > small.FEW_CHOICES:
            raise NotUnrolled(f"it picks one of {len(known)} carried elements at run time")
        result: Node | None = None
        for place, node in known.items():
            hit = self._all([(self._difference(a, b), "eq") for a, b in zip(index[lanes:], place[lanes:])])
            if hit is False:
                continue
            if hit is True:
                return node
            result = node if result is None else self.expander.op("select", (hit, node, result), node.dtype)
        if result is None:
            raise NotUnrolled("it reads beside what it carries")
        return result

    def region(
        self,
        region: E.Region,
        inputs: Sequence[Atom],
        places: Sequence[tuple[Var, Index] | None],
        outermost: bool = False,
    ) -> list[Reader | None]:
        """The outputs of a region; None for those that it writes to memory itself."""
        if not outermost and self.unroller.own_lanes:
            raise NotUnrolled("a loop over lanes has control flow inside")
        makers = {
            "scan": self._scan,
            "while": self._while,
            "while_transpose": self._taped,
            "cond": self._cond,
        }
        make = makers[region.name]
        return make(region, inputs, places, outermost)

    def _inner(self, graph: Graph, operands: Sequence[Atom], readers: Sequence[Reader | None]) -> _Scope:
        """A scope for a graph: of the first inputs, `operands` are the values, of the others `readers`."""
        scope = _Scope(self.unroller, {}, Block())
        for var, atom in zip(graph.inputs, operands):
            scope.readers[var] = lambda index, atom=atom: self.value(atom, index)
        for var, reader in zip(graph.inputs[len(operands) :], readers):
            assert reader is not None
            scope.readers[var] = reader
        return scope

    def _carried(
        self, carries: Sequence[Atom], types: Sequence[ArrayType], places: Sequence[Any], outermost: bool
    ) -> tuple[Repeat, list[Reader], dict[int, Cells]]:
        """A loop that carries values of these types: what reads them inside, and where those are that are in memory: in
        their places, or, where there are several numbers for each lane, each in memory of its own, of which a vector
        of lanes reads neighbours."""
        unroller = self.unroller
        loop = Repeat(None, [], [], [], Block(), Block())
        readers: list[Reader] = []
        in_memory: dict[int, Cells] = {}
        for k, (atom, type) in enumerate(zip(carries, types)):
            elements = unroller.elements(type)
            lead = unroller.own_lanes
            if outermost and lead and elements[0][: len(lead)] == lead:
                if len(elements) == 1:
                    cells = [(places[k][0], elements[0])]
                else:
                    cells = [(Var(ArrayType(unroller.lanes, type.dtype)), lead) for _ in elements]
                starts = [self.value(atom, ix) for ix in elements]
                loop.starts += [self.write(var, (), cell, x) for (var, cell), x in zip(cells, starts)]
                readers.append(self._of_lane(type, cells))
                in_memory[k] = cells
                continue
            held = [unroller.hold(type.dtype) for _ in elements]
            loop.held += held
            loop.first += [self.stored(atom, ix) for ix in elements]
            loop.done += [unroller.hold(type.dtype) for _ in elements]
            readers.append(self.held(type, held))
        return loop, readers, in_memory

    def _of_lane(self, type: ArrayType, cells: Cells) -> Reader:
        """A carried value in memory, of which each lane reads its own elements."""
        return self.held(type, [self._raw(var, var.type.shape, cell) for var, cell in cells])

    def _raw(self, var: Var, shape: tuple[int, ...], index: Index) -> Node:
        address = E.simplify(flat_address(index, shape), self.unroller.extents)
        return self.expander.node(LOAD, var.type.dtype, var=var, address=address)

    def _close(
        self,
        loop: Repeat,
        scope: _Scope,
        outs: Sequence[Atom],
        types: Sequence[ArrayType],
        in_memory: dict[int, Cells],
    ) -> list[Reader | None]:
        """End a loop whose body gives `outs` for the next iteration."""
        unroller = self.unroller
        done = iter(loop.done)
        readers: list[Reader | None] = []
        for k, (atom, type) in enumerate(zip(outs, types)):
            elements = unroller.elements(type)
            cells = in_memory.get(k)
            if cells is not None:
                nexts = [scope.value(atom, ix) for ix in elements]
                loop.steps += [scope.write(var, (), cell, x) for (var, cell), x in zip(cells, nexts)]
                readers.append(None if len(cells) == 1 else self._of_lane(type, cells))
            else:
                loop.following += [scope.stored(atom, ix) for ix in elements]
                readers.append(self.held(type, [next(done) for _ in elements]))
        self.block.items.append(loop)
        return readers

    def _scan(self, region: E.Region, inputs: Sequence[Atom], places: Sequence[Any], outermost: bool):
        settings = dict(region.attributes)
        consts, carry, length = settings["consts"], settings["carry"], settings["length"]
        if length == 0:
            raise NotUnrolled("a loop inside runs never")
        literals, kept = literal_inputs(inputs, range(consts))
        consts -= len(literals)
        graph, _ = prepared(region.graphs[0], literals, consts)
        types = [v.type for v in graph.inputs[consts : consts + carry]]
        lane_axis = outermost and self.unroller.mapped
        axis = E.axis(0) if lane_axis else self.unroller.new_axis(length)
        now = E.Index(length - 1) - axis if settings["reverse"] else axis
        loop, readers, in_memory = self._carried(kept[consts : consts + carry], types, places, outermost)
        if not lane_axis:
            loop.axis = len(self.unroller.extents) - 1
        slices = [
            (lambda index, atom=atom: self.value(atom, (now, *index))) for atom in kept[consts + carry :]
        ]
        scope = self._inner(graph, kept[:consts], [*readers, *slices])
        stacked: list[tuple[Var, Index] | None] = [None] * carry
        for place in places[carry:]:
            if place is None:
                raise NotUnrolled("a loop inside stacks values that are needed inside")
            stacked.append((place[0], (*place[1], now)))
        if lane_axis:
            scope.block = self.block  # what a lane does, without a loop around it
        else:
            scope.block = loop.body
        written = scope.run(graph, stacked)
        for atom, place, there in zip(graph.outputs[carry:], stacked[carry:], written[carry:]):
            if not there and place is not None:
                var, prefix = place
                loop.writes += [
                    scope.write(var, prefix, ix, scope.value(atom, ix))
                    for ix in self.unroller.elements(atom.type)
                ]
        if lane_axis:
            self.unroller.ends += loop.writes
            return [None] * len(graph.outputs)
        outs = self._close(loop, scope, graph.outputs[:carry], types, in_memory)
        return [*outs, *(None for _ in graph.outputs[carry:])]

    def _while(self, region: E.Region, inputs: Sequence[Atom], places: Sequence[Any], outermost: bool):
        settings = dict(region.attributes)
        c, b = settings["cond_consts"], settings["body_consts"]
        for_cond, kept_cond = literal_inputs(inputs[:c], range(c))
        for_body, kept_body = literal_inputs(inputs[c : c + b], range(b))
        cond, _ = prepared(region.graphs[0], for_cond, None)
        body, _ = prepared(region.graphs[1], for_body, len(kept_body))
        types = [v.type for v in body.inputs[len(kept_body) :]]
        loop, readers, in_memory = self._carried(inputs[c + b :], types, places, outermost)
        asked = self._inner(cond, kept_cond, readers)
        asked.block = loop.asking
        asked.run(cond, ())
        loop.answer = asked.value(cond.outputs[0], ())
        scope = self._inner(body, kept_body, readers)
        scope.block = loop.body
        scope.run(body, ())
        return self._close(loop, scope, body.outputs, types, in_memory)

    def _taped(self, region: E.Region, inputs: Sequence[Atom], places: Sequence[Any], outermost: bool):
        """Forward, leaving a record of each iteration on a tape, and backward."""
        settings = dict(region.attributes)
        own, own_pulled = settings["extras"]
        c, b, carry = settings["cond_consts"], settings["body_consts"], settings["carry"]
        start = own + own_pulled + c
        shared, values = inputs[start : start + b], inputs[start + b :]
        for_cond, kept_cond = literal_inputs(inputs[start - c : start], range(c))
        for_known, kept_known = literal_inputs((*inputs[:own], *shared), range(own + b))
        for_pulled, kept_pulled = literal_inputs(
            (*inputs[own : own + own_pulled], *shared), range(own_pulled + b)
        )
        cond, _ = prepared(region.graphs[0], for_cond, None)
        known, _ = prepared(region.graphs[1], for_known, len(kept_known))
        pulled, _ = prepared(region.graphs[2], for_pulled, len(kept_pulled))

        types = [v.type for v in known.inputs[len(kept_known) :]]
        own_places = [(Var(t.strong()), ()) for t in types]
        loop, readers, in_memory = self._carried(values[:carry], types, own_places, outermost)
        asked = self._inner(cond, kept_cond, readers)
        asked.block = loop.asking
        asked.run(cond, ())
        loop.answer = asked.value(cond.outputs[0], ())
        scope = self._inner(known, kept_known, readers)
        scope.block = loop.body
        scope.run(known, ())
        tape = loop.keeps = Tape([])
        lead, recorded = self.unroller.own_lanes, []
        for atom in known.outputs[carry:]:
            elements = self.unroller.elements(atom.type)
            laned = bool(lead) and elements[0][: len(lead)] == lead
            taken = [self.unroller.hold(atom.type.dtype) for _ in elements]
            tape.records += [Record(scope.stored(atom, ix), t, laned) for ix, t in zip(elements, taken)]
            recorded.append(self.held(atom.type, taken))
        self._close(loop, scope, known.outputs[:carry], types, in_memory)

        types = [v.type for v in pulled.inputs[len(kept_pulled) : len(kept_pulled) + len(pulled.outputs)]]
        back, readers, in_memory = self._carried(values[carry:], types, places, outermost)
        back.takes = tape
        scope = self._inner(pulled, kept_pulled, [*readers, *recorded])
        scope.block = back.body
        scope.run(pulled, ())
        return self._close(back, scope, pulled.outputs, types, in_memory)

    def _cond(self, region: E.Region, inputs: Sequence[Atom], places: Sequence[Any], outermost: bool):
        literals, kept = literal_inputs(inputs, region.inlined)
        inner = {k - 1: v for k, v in literals.items()}
        choice = Choice(self.value(inputs[0], ()), [], [], [])
        types: list[ArrayType] = []
        for graph in region.graphs:
            graph, _ = prepared(graph, inner, None)
            scope = self._inner(graph, list(kept[1:]), ())
            scope.run(graph, ())
            types = [a.type for a in graph.outputs]
            choice.blocks.append(scope.block)
            choice.values.append(
                [scope.stored(a, ix) for a in graph.outputs for ix in self.unroller.elements(a.type)]
            )
        readers: list[Reader | None] = []
        for type in types:
            nodes = [self.unroller.hold(type.dtype) for _ in self.unroller.elements(type)]
            choice.done += nodes
            readers.append(self.held(type, nodes))
        self.block.items.append(choice)
        return readers


_BOOL, _INT64 = np.dtype(np.bool_), np.dtype(np.int64)

__all__ = [
    "Block",
    "Choice",
    "NotUnrolled",
    "Record",
    "Repeat",
    "Tape",
    "Unrolled",
    "Write",
    "unroll",
    "walk_items",
]

"""Writes the statements of one kernel, loop by loop: collapses axes, names arguments, and puts each
expression into the outermost loop in which it is known. What loops there are is decided in schedule.py.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from funcgrad import dtypes
from funcgrad.ir import expr as E
from funcgrad.ir import small
from funcgrad.ir.graph import Var
from funcgrad.lower import heuristics, loopir
from funcgrad.lower.loopir import HI, LO, PARALLEL, Int, Lit, Name, Ref, Scalar
from funcgrad.lower.nodes import (
    ARGUMENT,
    CONST,
    GUARD,
    LOAD,
    OF_INDEX,
    OP,
    ROW,
    Node,
    index_axes,
    walk,
)


def identity(kind: str, dtype: np.dtype) -> Lit:
    """The value with which a reduction starts."""
    if kind in ("add", "or"):
        return Lit(dtype.type(0), dtype)
    if kind == "mul":
        return Lit(dtype.type(1), dtype)
    if kind == "and":
        return Lit(
            dtype.type(True)
            if dtype.kind == "b"
            else dtype.type(-1)
            if dtype.kind == "i"
            else ~dtype.type(0),
            dtype,
        )
    lowest = kind in ("max", "argmax")
    if dtype.kind == "b":
        return Lit(np.bool_(not lowest), dtype)
    if dtypes.is_float(dtype):
        return Lit(dtype.type(-np.inf if lowest else np.inf), dtype)
    if dtype.kind == "c":
        return Lit(dtype.type(complex(-np.inf, -np.inf) if lowest else complex(np.inf, np.inf)), dtype)
    info = np.iinfo(dtype)
    return Lit(dtype.type(info.min if lowest else info.max), dtype)


class Nest:
    """Statements under construction.

    `extents`, `reduced`: of the axes after collapsing. `buffers` and `views`, `integers` and `scalar_args`
    (to their
    values): the arguments found so far. `blocks[d]` holds the statements of the d-th open loop.

    Where `whole`, there is one buffer for each value, and where in it an element lies is part of its address; else
    one for each distinct address, which begins there.

    `narrow`: the elements of the innermost axis up to which their number is a constant in the text.
    """

    def __init__(
        self, domain: Sequence[int], reduced: Sequence[Any], indices: Sequence[E.Index], whole: bool = False
    ):
        self._whole = whole
        self.extents, self.reduced, self._last_of = _collapse(domain, reduced, indices)
        self.blocks: list[list[Any]] = [[]]
        self._loops: list[tuple[Any, ...]] = []
        self._names_at: list[list[Any]] = [[]]
        self._names: dict[Any, Any] = {}
        self._pending: list[tuple[int, Any]] = []
        self._axis_depth: dict[int, int] = {}
        self._floor = 0
        self._at = 0
        self.buffers: list[loopir.Buffer] = []
        self.views: list[tuple[Var, int]] = []
        self._buffer_of: dict[Any, int] = {}
        self.integers: dict[str, int] = {}
        self.scalar_args: dict[loopir.ScalarArg, Any] = {}
        self._scalar_of: dict[Node, Ref] = {}
        self._count = 0
        self._uses: dict[Node, int] = {}
        self._heavy: set[Node] = set()
        self.loop_of: dict[Var, int] = {}
        self._ready: dict[Node, int] = {}
        self._row_depth = 0
        self._parked: dict[Node, tuple[Var, E.Index]] = {}
        self._depths: dict[Node, int] = {}
        self._outputs: dict[Var, int] = {}
        self._held: dict[Node, int] = {}
        self._variables: set[str] = set()
        self.narrow = 0

    # --------------------------------------------------------------------------------------- arguments

    def integer(self, name: str, value: int) -> Name:
        """A run-time integer argument."""
        assert self.integers.setdefault(name, value) == value, f"two values for argument {name}"
        return Name(name)

    def is_static(self, axis: int) -> bool:
        """Whether the extent of this axis is so small that loops over it are unrolled."""
        return axis > 0 and self.extents[axis] <= heuristics.SMALL_EXTENT

    def is_narrow(self, axis: int) -> bool:
        """Whether this is the innermost axis, and one that is known to be a few vectors."""
        return 0 < axis == len(self.extents) - 1 and self.extents[axis] <= self.narrow

    def extent(self, axis: int) -> Int:
        known = self.is_static(axis) or self.is_narrow(axis)
        return self.extents[axis] if known else self.integer(f"n{axis}", self.extents[axis])

    def _fresh(self, letter: str) -> str:
        self._count += 1
        return f"{letter}{self._count - 1}"

    def _constant(self, value: int) -> Int:
        return value if value == 0 else self.integer(f"k{len(self.integers)}", value)

    def _input(self, node: Node) -> int:
        """The number of the buffer from which `node` is loaded: one for each distinct address of a value."""
        assert node.var is not None and node.address is not None
        if node.var in self._outputs:
            return self._outputs[node.var]
        key = (node.var, None if self._whole else node.address)
        if key not in self._buffer_of:
            number = sum(b.role == "in" for b in self.buffers)
            self.buffers.append(loopir.Buffer(f"x{number}", node.var.type.dtype, "in"))
            self.views.append((node.var, 0 if self._whole else node.address.constant))
            self._buffer_of[key] = len(self.buffers) - 1
        return self._buffer_of[key]

    def buffer_number(self, node: Node) -> int:
        return self._buffer_of[(node.var, node.address)]

    def output_number(self, var: Var) -> int:
        return self._outputs[var]

    def output(self, var: Var, role: str = "out") -> loopir.Buffer:
        if var not in self._outputs:
            number = sum(b.role != "in" for b in self.buffers)
            self.buffers.append(loopir.Buffer(f"y{number}", var.type.dtype, role))
            self.views.append((var, 0))
            self._outputs[var] = len(self.buffers) - 1
        return self.buffers[self._outputs[var]]

    # ------------------------------------------------------------------------------------------- loops

    def open_flat(self, axes: Sequence[int]) -> None:
        """The parallel loop over `axes` seen as one axis."""
        if len(axes) == 1:
            self._push(f"i{axes[0]}", LO, HI, PARALLEL, 1)
            self._axis_depth[axes[0]] = len(self.blocks) - 1
        else:
            self._push("t", LO, HI, PARALLEL, 1)
            rest: Int = Name("t")
            for position, k in enumerate(reversed(axes)):
                outermost = position == len(axes) - 1
                value = rest if outermost else loopir.IntOp("mod", (rest, self.extent(k)))
                self.blocks[-1].append(loopir.LetInt(f"i{k}", value))
                self._axis_depth[k] = len(self.blocks) - 1
                if not outermost:
                    rest = loopir.IntOp("floordiv", (rest, self.extent(k)))

    def open(self, axis: int, kind: str, start: Int = 0, stop: Int | None = None) -> None:
        self._push(f"i{axis}", start, self.extent(axis) if stop is None else stop, kind, 1)
        self._axis_depth[axis] = len(self.blocks) - 1

    def open_tiled(self, axes: Sequence[int], across: int, edges: tuple[int, int]) -> tuple[int, int]:
        """Walks axis `across` and the innermost one in tiles of `edges`; blocks of `across` and the other
        axes are parallel.
        Gives the extent of the parallel axis, and how many loops were opened."""
        inner, (edge, width) = axes[-1], edges
        blocks = -(-self.extents[across] // edge)
        others = [k for k in axes[:-1] if k != across]
        count = self.integer("blocks", blocks)
        self._push("t", LO, HI, PARALLEL, 1)
        depth = len(self.blocks) - 1
        rest: Int = loopir.IntOp("floordiv", (Name("t"), count))
        for k in reversed(others):
            last = k == others[0]
            value = rest if last else loopir.IntOp("mod", (rest, self.extent(k)))
            self.blocks[-1].append(loopir.LetInt(f"i{k}", value))
            self._axis_depth[k] = depth
            rest = loopir.IntOp("floordiv", (rest, self.extent(k)))
        which: Int = loopir.IntOp("mod", (Name("t"), count)) if others else Name("t")
        self.blocks[-1].append(loopir.LetInt("top", loopir.mul(which, edge)))
        bottom = loopir.IntOp("min", (loopir.add(Name("top"), edge), self.extent(across)))
        self.blocks[-1].append(loopir.LetInt("bottom", bottom))
        self._push("left", 0, self.extent(inner), loopir.TILES, width)
        right = loopir.IntOp("min", (loopir.add(Name("left"), width), self.extent(inner)))
        self.blocks[-1].append(loopir.LetInt("right", right))
        self.open(across, loopir.SEQUENTIAL, Name("top"), Name("bottom"))
        self.open(inner, loopir.VECTOR, Name("left"), Name("right"))
        return math.prod(self.extents[k] for k in others) * blocks, 4

    def axis_of(self, number: int) -> int:
        """The axis that the axis `number` of the domain, which stands alone, is now."""
        return self._last_of[number]

    def strides(self, index: E.Index) -> dict[int, int]:
        """The coefficients of the collapsed axes in `index`."""
        return {self._last_of[a.number]: c for a, c in self._terms(index) if isinstance(a, E.Axis)}

    def start_rows(self) -> None:
        """What is known once for each row is put into the loop that is open now."""
        self._row_depth = len(self.blocks) - 1

    def open_range(self, var: str, start: Int, stop: Int, kind: str, step: int) -> None:
        """A loop over something else than an axis."""
        self._push(var, start, stop, kind, step)

    def _push(self, var: str, start: Int, stop: Int, kind: str, step: Int) -> None:
        self._depths.clear()
        self._loops.append((var, start, stop, kind, step))
        self.blocks.append([])
        self._names_at.append([])
        self._at = len(self.blocks) - 1

    def close(self, count: int) -> None:
        """Closes the `count` innermost loops."""
        for _ in range(count):
            self.flush()
            body = self._pop()
            var, start, stop, kind, step = self._loops.pop()
            for axis, depth in list(self._axis_depth.items()):
                if depth > len(self.blocks) - 1:
                    del self._axis_depth[axis]
            if body:
                self.blocks[-1].append(loopir.Loop(var, start, stop, kind, tuple(body), step))
        if count == 0:
            self.flush()

    def _pop(self) -> list[Any]:
        for key in self._names_at.pop():
            del self._names[key]
        body = self.blocks.pop()
        self._at = len(self.blocks) - 1
        self._depths.clear()
        return body

    # ------------------------------------------------------------------------------- variables and branches

    def enter(self, apart: bool = False) -> tuple[int, int]:
        """Opens a body that is no loop over an axis; where `apart`, what is needed only in it is computed in it.
        Gives what `leave` takes."""
        before = self._floor, self._at
        self._depths.clear()
        self.blocks.append([])
        self._names_at.append([])
        self._at = len(self.blocks) - 1
        if apart:
            self._floor = self._at
        return before

    def leave(self, before: tuple[int, int]) -> tuple[Any, ...]:
        """Closes it; gives its statements."""
        body = self._pop()
        self._floor, self._at = before
        return tuple(body)

    def variable(self, start: Node) -> Ref:
        """A new variable with this start value."""
        return self._new_variable(self.value(start), start.dtype)

    def undefined(self, dtype: np.dtype) -> Ref:
        """A new variable that is assigned before it is read."""
        return self._new_variable(Lit(dtype.type(0), dtype), dtype)

    def _new_variable(self, start: Scalar, dtype: np.dtype) -> Ref:
        name = self._fresh("c")
        self._variables.add(name)
        self.blocks[-1].append(loopir.Variable(name, start))
        return Ref(name, dtype)

    def hold(self, node: Node, variable: Ref) -> None:
        """In the innermost body, `node` is what the variable holds."""
        self._held[node] = len(self.blocks) - 1
        self._bind(node, variable, len(self.blocks) - 1)

    def take(self, node: Node, tape: str, address: Int) -> None:
        """In the innermost body, `node` is what the open record of a tape holds there."""
        name = self._fresh("v")
        self.blocks[-1].append(loopir.Let(name, loopir.Kept(tape, address, node.dtype)))
        self.hold(node, Ref(name, node.dtype))

    def assign(self, variables: Sequence[Ref], nodes: Sequence[Node]) -> None:
        """Gives variables new values, all at once."""
        news = [(v, self._settled(self.value(n))) for v, n in zip(variables, nodes)]
        self.blocks[-1].extend(loopir.Assign(v.name, e) for v, e in news if e != v)

    def put(
        self,
        writes: Sequence[tuple[Var, E.Index, Node]],
        once: Int | None = None,
        keeps: Sequence[tuple[str, Int, Node]] = (),
    ) -> None:
        """Stores these elements, and what goes to the open records of tapes, after everything has been read; where
        `once` is given, the elements only where it is 0."""
        news = [(var, address, self._settled(self.value(node))) for var, address, node in writes]
        kept = [(tape, address, self._settled(self.value(node))) for tape, address, node in keeps]
        self.blocks[-1].extend(loopir.Keep(*item) for item in kept)
        stores = []
        for var, address, expr in news:
            buffer = self.output(var)
            stores.append(loopir.Store(buffer.name, self._address(address, buffer.name), expr))
        if once is not None and stores:
            stores = [loopir.When(((once, 0, 1),), tuple(stores))]
        self.blocks[-1].extend(stores)

    def _settled(self, expr: Scalar) -> Scalar:
        """The expression as a name that no later assignment changes."""
        if isinstance(expr, Lit) or (isinstance(expr, Ref) and expr.name not in self._variables):
            return expr
        name = self._fresh("v")
        self.blocks[-1].append(loopir.Let(name, expr))
        return Ref(name, expr.dtype)

    # -------------------------------------------------------------------------------------- statements

    def store(self, var: Var, address: E.Index, node: Node) -> None:
        """Stores at the end of the current loop body, after everything that the body reads."""
        expr = self.value(node)
        buffer = self.output(var)
        self._pending.append((len(self.blocks), (buffer.name, self._address(address, buffer.name), expr)))

    def flush(self) -> None:
        due = [item for depth, item in self._pending if depth == len(self.blocks)]
        self._pending = [entry for entry in self._pending if entry[0] != len(self.blocks)]
        if len(due) > 1:
            named = []
            for buffer, address, expr in due:
                if not isinstance(expr, (Ref, Lit)):
                    name = self._fresh("v")
                    self.blocks[-1].append(loopir.Let(name, expr))
                    expr = Ref(name, expr.dtype)
                named.append((buffer, address, expr))
            due = named
        self.blocks[-1].extend(loopir.Store(*item) for item in due)

    def initialise(self, var: Var, address: E.Index, kind: str, part: Int = 0) -> None:
        """Starts a reduction in memory; `part` is where its partial result begins."""
        name = self.output(var).name
        where = loopir.add(part, self._address(address, name))
        self.blocks[-1].append(loopir.Store(name, where, identity(kind, var.type.dtype)))

    def update(self, var: Var, address: E.Index, kind: str, node: Node, part: Int = 0) -> None:
        expr = self.value(node)
        name = self.output(var).name
        where = loopir.add(part, self._address(address, name))
        self.blocks[-1].append(loopir.Update(kind, name, where, expr))

    def apply_update(
        self, var: Var, address: E.Index, bounds: Sequence[tuple[E.Index, int, int]], kind: str, node: Node
    ) -> None:
        """One update of a scatter, dropped where the bounds do not hold."""
        checks = tuple(map(self._bounds, bounds))
        expr = self.value(node)
        buffer = self.output(var)
        where = self._address(address, buffer.name)
        where = loopir.add(where, self._constant(address.constant)) if address.constant else where
        change: Any = loopir.Update(kind, buffer.name, where, expr)
        if kind == "set":
            change = loopir.Store(buffer.name, where, expr)
        elif expr.dtype != buffer.dtype:
            old = loopir.Apply("convert", (loopir.Load(buffer.name, where, buffer.dtype),), expr.dtype)
            new = loopir.Apply("convert", (loopir.Apply(kind, (old, expr), expr.dtype),), buffer.dtype)
            change = loopir.Store(buffer.name, where, new)
        self.blocks[-1].append(loopir.When(checks, (change,)) if checks else change)

    def store_partial(self, var: Var, place: Int) -> None:
        buffer = self.output(var)
        self.blocks[-1].append(loopir.Store(buffer.name, place, self._names[var]))

    def start_accumulator(self, var: Var, kind: str) -> None:
        name = self._fresh("r")
        if kind.startswith("arg"):
            dtype = self._compared[var]
            self.blocks[-1].append(loopir.Accumulator(name, identity(kind, dtype)))
            self.blocks[-1].append(loopir.Accumulator(f"{name}_at", Lit(np.int64(0), np.dtype(np.int64))))
            self._accumulators[var] = Ref(name, dtype)
        else:
            self.blocks[-1].append(loopir.Accumulator(name, identity(kind, var.type.dtype)))
            self._accumulators[var] = Ref(name, var.type.dtype)

    def combine(self, var: Var, kind: str, node: Node, position: E.Index | None) -> None:
        expr, accumulator = self.value(node), self._accumulators[var]
        if position is None:
            self.blocks[-1].append(loopir.Combine(kind, accumulator.name, expr))
            return
        where = self._int(position)
        self.blocks[-1].append(
            loopir.CombineArg(kind, accumulator.name, f"{accumulator.name}_at", expr, where)
        )

    def finish_accumulator(self, var: Var, kind: str) -> None:
        """From here on the reduced value is known."""
        accumulator: Scalar = self._accumulators[var]
        if kind.startswith("arg"):
            accumulator = loopir.OfInt(Name(f"{self._accumulators[var].name}_at"), var.type.dtype)
        self._bind(var, accumulator, len(self.blocks) - 1)

    def park(self, node: Node, var: Var, address: E.Index) -> None:
        """Keeps `node` in the memory of an output that is written later; further passes load it from
        there."""
        expr = self.value(node)
        buffer = self.output(var)
        if not isinstance(expr, Ref):
            name = self._fresh("v")
            self.blocks[-1].append(loopir.Let(name, expr))
            expr = Ref(name, node.dtype)
            self._bind(node, expr, len(self.blocks) - 1)
        self.blocks[-1].append(loopir.Store(buffer.name, self._address(address, buffer.name), expr))
        self._parked[node] = (var, address)

    # ------------------------------------------------------------------------------------- expressions

    def count_uses(self, values: Sequence[Node]) -> None:
        """Counts how often each node is used, which decides which get a name."""
        self._compared: dict[Var, np.dtype] = {}
        self._accumulators: dict[Var, Ref] = {}
        weight: dict[Node, int] = {}
        for node in values:
            self._uses[node] = self._uses.get(node, 0) + 1
        for node in walk(values):
            total = 1
            for child in node.children:
                self._uses[child] = self._uses.get(child, 0) + 1
                total += weight[child]
            if total > heuristics.INLINE_WEIGHT:
                self._heavy.add(node)
                total = 1
            weight[node] = total

    def compare_in(self, var: Var, dtype: np.dtype) -> None:
        """The dtype of the elements that an argmax or argmin compares."""
        self._compared[var] = dtype

    def ready(self, node: Node) -> int:
        """The pass over a row in which `node` can be computed: after every reduction that it needs."""
        found = self._ready.get(node)
        if found is None:
            for inner in walk([node]):
                if inner not in self._ready:
                    below = [self._ready[c] for c in inner.children]
                    if inner.kind == ROW and inner.var is not None:
                        below.append(self.loop_of[inner.var] + 1)
                    self._ready[inner] = max(below, default=0)
            found = self._ready[node]
        return found

    def varies_in_row(self, node: Node) -> bool:
        """Whether `node` differs from element to element of a row."""
        axes: set[int] = set()
        for inner in walk([node]):
            for index in (inner.address, *(b[0] for b in inner.bounds)):
                if index is not None:
                    axes |= self._axes(index)
        return any(self.reduced[k] for k in axes)

    def _depth(self, node: Node) -> int:
        """The loop, counted from outside, in which `node` is known."""
        if node.kind in (CONST, ARGUMENT):
            return 0
        if node in self._parked or (
            node.kind == LOAD and node.var in self._outputs
        ):  # what is written changes
            return len(self.blocks) - 1
        found = self._depths.get(node)
        if found is None:
            found = self._row_depth if node.kind == ROW else self._held.get(node, 0)
            for index in (node.address, *(b[0] for b in node.bounds)):
                if index is not None:
                    found = max([found, *(self._axis_depth[k] for k in self._axes(index))])
            found = max([found, *(self._depth(c) for c in node.children)])
            self._depths[node] = found
        return found

    def value(self, node: Node) -> Scalar:
        """As `scalar`, but names what needs a name from the bottom up, so that a long chain is no deep
        recursion."""
        order: list[Node] = []
        seen: set[Node] = set()
        stack = [(node, False)]
        while stack:
            inner, ready = stack.pop()
            if ready:
                order.append(inner)
            elif inner not in seen and inner not in self._names and inner not in self._parked:
                seen.add(inner)
                stack.append((inner, True))
                if inner.kind == OP:
                    stack.extend((child, False) for child in reversed(inner.args))
        for inner in order:
            if inner.kind == OP and self._deserves_name(inner):
                self.scalar(inner)
        return self.scalar(node)

    def _deserves_name(self, node: Node) -> bool:
        return self._uses.get(node, 0) > 1 or node in self._heavy

    def scalar(self, node: Node) -> Scalar:
        """An expression for `node` that is valid where statements are being added now; adds what it needs."""
        known = self._names.get(node.var if node.kind == ROW else node)
        if known is not None:
            return known
        if node.kind == CONST:
            return Lit(node.value, node.dtype)
        if node.kind == ARGUMENT:
            if node not in self._scalar_of:
                argument = loopir.ScalarArg(f"s{len(self.scalar_args)}", node.dtype)
                self.scalar_args[argument] = node.value
                self._scalar_of[node] = Ref(argument.name, node.dtype)
            return self._scalar_of[node]
        depth = max(self._depth(node), self._floor)
        if node.kind == GUARD:
            return self._placed(depth, lambda: self._choose(node, depth))
        if depth == self._at and not self._deserves_name(node):
            return self._expression(node)
        return self._placed(depth, lambda: self._named(node, depth))

    def _placed(self, depth: int, make: Callable[[], Any]) -> Any:
        before, self._at = self._at, depth
        result = make()
        self._at = before
        return result

    def _named(self, node: Node, depth: int) -> Ref:
        expr = self._expression(node)
        name = self._fresh("v")
        self.blocks[depth].append(loopir.Let(name, expr))
        return self._bind(node, Ref(name, node.dtype), depth)

    def _bind(self, key: Any, value: Any, depth: int) -> Any:
        self._names[key] = value
        self._names_at[depth].append(key)
        return value

    def _expression(self, node: Node) -> Scalar:
        if node in self._parked:
            var, address = self._parked[node]
            name = self.output(var).name
            return loopir.Load(name, self._address(address, name), node.dtype)
        if node.kind == LOAD:
            assert node.address is not None
            name = self.buffers[self._input(node)].name
            return loopir.Load(name, self._address(node.address, name), node.dtype)
        if node.kind == OF_INDEX:
            assert node.address is not None
            return loopir.OfInt(self._int(node.address), node.dtype)
        assert node.kind == OP, node.kind
        return loopir.Apply(node.code, tuple(self.scalar(a) for a in node.args), node.dtype)

    def _choose(self, node: Node, depth: int) -> Ref:
        bounds = tuple(map(self._bounds, node.bounds))
        sides = []
        for side in node.args:
            before = self._floor, self._at
            hidden = self.blocks[depth + 1 :], self._names_at[depth + 1 :]
            self.blocks[depth + 1 :], self._names_at[depth + 1 :] = [[]], [[]]
            self._floor = self._at = depth + 1
            value = self.value(side)
            body = self.blocks.pop()
            for key in self._names_at.pop():
                del self._names[key]
            self.blocks.extend(hidden[0])
            self._names_at.extend(hidden[1])
            self._floor, self._at = before
            sides.append((tuple(body), value))
        name = self._fresh("v")
        (inside_body, inside), (outside_body, outside) = sides
        choose = loopir.Choose(name, node.dtype, bounds, inside_body, inside, outside_body, outside)
        self.blocks[depth].append(choose)
        return self._bind(node, Ref(name, node.dtype), depth)

    # ----------------------------------------------------------------------------------------- indices

    def _axes(self, index: E.Index) -> set[int]:
        """The collapsed axes on which `index` itself depends."""
        return {self._last_of[k] for k in index_axes(index) if k in self._last_of}

    def _terms(self, index: E.Index) -> list[tuple[E.IndexAtom, int]]:
        """The terms of `index` without those of axes that are part of a collapsed axis."""
        return [(a, c) for a, c in index.terms if not isinstance(a, E.Axis) or a.number in self._last_of]

    def _address(self, index: E.Index, buffer: str) -> Int:
        """`index` without its constant, which is part of the view, and with strides as arguments."""
        terms: list[Int] = []
        for number, (atom, c) in enumerate(self._terms(index)):
            axis = isinstance(atom, E.Axis)
            label = f"{buffer}_s{self._last_of[atom.number]}" if axis else f"{buffer}_t{number}"
            while self.integers.get(label, c) != c:
                label += "_"
            stride = c if heuristics.static_stride(c) else self.integer(label, c)
            terms.append(loopir.mul(self._atom(atom), stride))
        if self._whole and index.constant:
            near = abs(index.constant) < small.FEW_ELEMENTS
            terms.append(index.constant if near else self._constant(index.constant))
        return loopir.add(*terms)

    def _int(self, index: E.Index) -> Int:
        terms: list[Int] = []
        for atom, c in self._terms(index):
            factor = c if heuristics.static_stride(c) else self._constant(c)
            terms.append(loopir.mul(self._atom(atom), factor))
        if index.constant:
            terms.append(index.constant if self._unrolls(index) else self._constant(index.constant))
        return loopir.add(*terms)

    def _bounds(self, bounds: tuple[E.Index, int, int]) -> tuple[Int, Int, Int]:
        index, low, high = bounds
        if self._unrolls(index):
            return self._int(index), low, high
        return self._int(index), self._constant(low), self._constant(high)

    def _unrolls(self, index: E.Index) -> bool:
        """Whether `index` is known once the loops over small extents are unrolled. Its constants are then part of
        the text, so that no branch is left that depends on it."""
        terms = self._terms(index)
        return bool(terms) and all(
            self.is_static(self._last_of[atom.number])
            if isinstance(atom, E.Axis)
            else not isinstance(atom, E.FromScalar) and self._unrolls(atom.index)
            for atom, _ in terms
        )

    def _atom(self, atom: E.IndexAtom) -> Int:
        if isinstance(atom, E.Axis):
            return Name(f"i{self._last_of[atom.number]}")
        known = self._names.get(atom)
        if known is not None:
            return known
        depth = max(self._atom_depth(atom), self._floor)
        return self._placed(depth, lambda: self._named_atom(atom, depth))

    def _named_atom(self, atom: Any, depth: int) -> Name:
        if isinstance(atom, E.FromScalar):
            value: Int = loopir.IntOf(self.scalar(atom.expr))
        elif isinstance(atom, E.Clamp):
            low = loopir.IntOp("max", (self._int(atom.index), self._constant(atom.low)))
            value = loopir.IntOp("min", (low, self._constant(atom.high)))
        else:
            code = "floordiv" if isinstance(atom, E.FloorDiv) else "mod"
            by = atom.by if heuristics.static_stride(atom.by) else self._constant(atom.by)
            value = loopir.IntOp(code, (self._int(atom.index), by))
        name = self._fresh("j")
        self.blocks[depth].append(loopir.LetInt(name, value))
        return self._bind(atom, Name(name), depth)

    def _atom_depth(self, atom: Any) -> int:
        if isinstance(atom, E.FromScalar):
            return self._depth(atom.expr)
        depths = [self._axis_depth[k] for k in self._axes(atom.index)]
        for inner, _ in atom.index.terms:
            if not isinstance(inner, E.Axis):
                depths.append(self._atom_depth(inner))
        return max(depths, default=0)


def _collapse(
    domain: Sequence[int], reduced: Sequence[bool], indices: Sequence[E.Index]
) -> tuple[list[int], list[bool], dict[int, int]]:
    """Joins neighbouring axes that every index walks as one. Gives the new extents and classes, and for the
    innermost part of each new axis the new axis's number."""
    flat: list[E.Index] = []
    stack = list(dict.fromkeys(indices))
    while stack:
        index = stack.pop()
        flat.append(index)
        stack.extend(a.index for a, _ in index.terms if not isinstance(a, (E.Axis, E.FromScalar)))
    extents: list[int] = []
    classes: list[bool] = []
    last_of: dict[int, int] = {}
    for k, extent in enumerate(domain):
        joins = bool(k) and reduced[k] == reduced[k - 1]
        if joins and all(ix.coefficient(k - 1) == ix.coefficient(k) * extent for ix in flat):
            extents[-1] *= extent
            del last_of[k - 1]
        else:
            extents.append(extent)
            classes.append(reduced[k])
        last_of[k] = len(extents) - 1
    return extents, classes, last_of

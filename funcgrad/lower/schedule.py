"""From a group of roots to one kernel: the order of the loops, what is parallel, what is vectorized, and
in which pass over a row each value is computed.

Axes that are contiguous with each other in every buffer become one. The loop variable's extents and the
buffers'
strides become run-time integers, except the small ones that heuristics.py keeps as constants.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from funcgrad.ir import expr as E
from funcgrad.ir.cost import operation_cost
from funcgrad.ir.graph import Atom, Var
from funcgrad.lower import heuristics, loopir
from funcgrad.lower.fuse import CHUNKS, COLUMNS, ELEMENTWISE, ROWS, Group
from funcgrad.lower.loopir import HI, LO, PARALLEL, REDUCE, SEQUENTIAL, VECTOR, Name
from funcgrad.lower.lowered import KernelStep, View
from funcgrad.lower.nest import Nest
from funcgrad.lower.nodes import LOAD, OP, ROW, Expander, Node, flat_address, index_nodes, walk
from funcgrad.lower.roots import MAP, Root
from funcgrad.lower.roots import REDUCE as REDUCE_ROOT

Definition = Callable[[Var], "tuple[E.Expr, tuple[Atom, ...]] | None"]


class Scheduler:
    """Makes the kernel of one group. `definition` is what to substitute for a value outside of the group."""

    def __init__(self, group: Group, definition: Definition, stored: Callable[[Var], bool]):
        self.group = group
        self.members = {r.var: r for r in group.roots}
        self.stored = stored
        self.expander = Expander(group.domain, self._definition(definition), self._row_value)
        self.values = {r: self._value(r) for r in group.roots}
        self.loads = [n for n in walk(list(self.values.values())) if n.kind == LOAD]
        self.nest = Nest(group.domain, self._classes(), self._indices())
        self.parked: dict[Node, Root] = {}

    # -------------------------------------------------------------------------------------- expressions

    def _definition(self, outside: Definition) -> Definition:
        def definition(var: Var) -> tuple[E.Expr, tuple[Atom, ...]] | None:
            root = self.members.get(var)
            if root is not None and root.kind == MAP:
                return root.expr, root.inputs
            return outside(var)

        return definition

    def _row_value(self, var: Var, index: tuple[E.Index, ...]) -> Node | None:
        root = self.members.get(var)
        if root is None or root.kind != REDUCE_ROOT:
            return None
        return self.expander.node(ROW, var.type.dtype, var=var)

    def _value(self, root: Root) -> Node:
        axes = root.axes
        if root in self.group.on_rows:
            axes = tuple(self.group.translate(ix) for ix in axes)
        node = self.expander.expr(root.expr, root.inputs, dict(enumerate(axes)))
        if root.kind == MAP:
            return self.expander.stored(node, root.var.type.dtype)
        return node

    def _classes(self) -> list[bool]:
        return [k in self.group.reduced for k in range(len(self.group.domain))]

    def _indices(self) -> list[E.Index]:
        found = [self.group.address(r) for r in self.group.roots]
        for root in self.group.roots:
            if root.kind == REDUCE_ROOT and root.reduce_kind.startswith("arg"):
                found.append(self._position(root))
        for node in walk(list(self.values.values())):
            if node.address is not None:
                found.append(node.address)
            found.extend(b[0] for b in node.bounds)
        return found

    def _position(self, root: Root) -> E.Index:
        """For argmax: the row-major position of an element among the reduced."""
        assert isinstance(root.definition, E.Reduce)
        flat = E.Index(0)
        for ix, extent in zip(root.axes[root.var.type.ndim :], root.definition.extents):
            flat = flat * extent + ix
        return flat

    # ------------------------------------------------------------------------------------------- kernel

    def step(self, label: str, sources: tuple[str, ...]) -> KernelStep:
        nest = self.nest
        nest.count_uses(list(self.values.values()))
        build = {
            ELEMENTWISE: self._elementwise,
            ROWS: self._rows,
            COLUMNS: self._columns,
            CHUNKS: self._chunks,
        }
        narrow = {COLUMNS: heuristics.NARROW_COLUMNS, ELEMENTWISE: heuristics.NARROW_ROWS}
        nest.narrow = narrow.get(self.group.shape, 0)
        extent = build[self.group.shape]()
        kernel = loopir.Kernel(
            tuple(nest.buffers), tuple(nest.integers), tuple(nest.scalar_args), tuple(nest.blocks[0])
        )
        operations = sum(operation_cost(n.code) for n in walk(list(self.values.values())) if n.kind == OP)
        work = (
            math.prod(self.group.domain) * (operations + len(nest.buffers)) * heuristics.NANOSECONDS_PER_COST
        )
        return KernelStep(
            kernel,
            tuple(View(var, offset) for var, offset in nest.views),
            tuple(nest.integers.values()),
            tuple(nest.scalar_args.values()),
            extent,
            work / max(extent, 1),
            self._inplace(),
            label,
            sources,
        )

    def _inplace(self) -> tuple[tuple[int, int], ...]:
        """Pairs of views that may be one memory: each element is read, at the place where it is written,
        no later than it is written.

        What is written has to come from what was read: nothing else keeps their order in a compiler that is told
        that buffers do not overlap.
        """
        if self.group.shape not in (ELEMENTWISE, ROWS) or self.parked:
            return ()
        pairs = []
        for root in self.group.roots:
            if not self.stored(root.var) or root in self.group.on_rows or root.kind != MAP:
                continue
            address = self.group.address(root)
            loop = self.nest.ready(self.values[root])
            used = set(walk([self.values[root]]))
            for load in self.loads:
                if load not in used:
                    continue
                var = load.var
                assert var is not None
                same = [n for n in self.loads if n.var is var]
                if len(same) > 1 or load.address != address or var.type.dtype != root.var.type.dtype:
                    continue
                if var.type.size == root.var.type.size and self._last_loop(load) <= loop:
                    pairs.append((self.nest.buffer_number(load), self.nest.output_number(root.var)))
        return tuple(pairs)

    def _last_loop(self, load: Node) -> int:
        last = 0
        for node in self.values.values():
            if load in walk([node]):
                last = max(last, self.nest.ready(node))
        return last

    def _elementwise(self) -> int:
        nest = self.nest
        axes = list(range(len(nest.extents)))
        across = self._contiguous_across(axes)
        if across is None:
            extent, opened = self._open_parallel(axes, innermost_small=True)
        else:
            extent, opened = nest.open_tiled(axes, across, heuristics.TILE)
        for root in self.group.roots:
            if self.stored(root.var):
                nest.store(root.var, self.group.address(root), self.values[root])
        nest.close(opened)
        return extent

    def _contiguous_across(self, axes: Sequence[int]) -> int | None:
        """The axis, not the innermost, along which some operand is contiguous: then the nest is walked in
        tiles."""
        nest = self.nest
        if len(axes) < 2 or nest.extents[axes[-1]] < heuristics.LEAST_TILED:
            return None
        for load in self.loads:
            assert load.address is not None
            strides = nest.strides(load.address)
            if abs(strides.get(axes[-1], 0)) > heuristics.SMALL_EXTENT:
                for k in axes[:-1]:
                    if abs(strides.get(k, 0)) == 1 and nest.extents[k] >= heuristics.LEAST_TILED:
                        return k
        return None

    def _open_parallel(self, axes: Sequence[int], innermost_small: bool) -> tuple[int, int]:
        """Opens loops over `axes`: one alone is parallel itself; of several, all but the innermost are one
        parallel loop. Gives the extent of the parallel axis, and how many loops were opened."""
        nest = self.nest
        small = [k for k in axes[1:] if nest.is_static(k)] if innermost_small else []
        while small and small != list(axes[len(axes) - len(small) :]):
            small.pop(0)
        main = list(axes[: len(axes) - len(small)])
        if not main:
            return 1, 0
        outer, inner = (main, []) if len(main) == 1 else (main[:-1], main[-1:])
        nest.open_flat(outer)
        for k in (*inner, *small):
            nest.open(k, VECTOR if k == axes[-1] else SEQUENTIAL)
        return math.prod(nest.extents[k] for k in outer), 1 + len(inner) + len(small)

    # --------------------------------------------------------------------------------------------- rows

    def _rows(self) -> int:
        nest, group = self.nest, self.group
        kept = [k for k in range(len(nest.extents)) if not nest.reduced[k]]
        rows = [k for k in range(len(nest.extents)) if nest.reduced[k]]
        if all(nest.is_static(k) for k in rows) and len(kept) > 1:
            extent, opened = self._open_parallel(kept, innermost_small=False)
        elif kept:
            nest.open_flat(kept)
            extent, opened = math.prod(nest.extents[k] for k in kept), 1
        else:
            extent, opened = 1, 0
        nest.start_rows()
        for root in group.roots:
            if root.kind == REDUCE_ROOT:
                nest.loop_of[root.var] = nest.ready(self.values[root])
                nest.compare_in(root.var, self.values[root].dtype)
        self._park()
        last = max(nest.ready(node) for node in self.values.values())
        for number in range(last + 1):
            self._pass_over_row(number, rows)
        nest.close(opened)
        return extent

    def _pass_over_row(self, number: int, rows: Sequence[int]) -> None:
        nest, group = self.nest, self.group
        due = [r for r in group.roots if nest.ready(self.values[r]) == number]
        for root in due:
            if root in group.on_rows and self.stored(root.var):
                nest.store(root.var, group.address(root), self.values[root])
        nest.flush()
        reductions = [r for r in due if r.kind == REDUCE_ROOT]
        elements = [r for r in due if r.kind == MAP and r not in group.on_rows and self.stored(r.var)]
        if not reductions and not elements:
            return
        for root in reductions:
            nest.start_accumulator(root.var, root.reduce_kind)
        ordered = any(r.reduce_kind.startswith("arg") for r in reductions)
        for k in rows:
            inner = SEQUENTIAL if ordered else REDUCE if reductions else VECTOR
            nest.open(k, inner if k == rows[-1] else SEQUENTIAL)
        for node, output in self.parked.items():
            if self._parked_in[node] == number:
                nest.park(node, output.var, group.address(output))
        for root in reductions:
            position = self._position(root) if root.reduce_kind.startswith("arg") else None
            nest.combine(root.var, root.reduce_kind, self.values[root], position)
        for root in elements:
            nest.store(root.var, group.address(root), self.values[root])
        nest.close(len(rows))
        for root in reductions:
            nest.finish_accumulator(root.var, root.reduce_kind)
            if self.stored(root.var):
                nest.store(
                    root.var, group.address(root), self.expander.node(ROW, root.var.type.dtype, var=root.var)
                )
        nest.flush()

    def _park(self) -> None:
        """Chooses expensive elements that two passes need, to be kept in the row of an output that is
        written later."""
        nest = self.nest
        passes: dict[Node, set[int]] = {}
        for root, node in self.values.items():
            if root.kind == REDUCE_ROOT or self.stored(root.var):
                for inner in walk([node]):
                    passes.setdefault(inner, set()).add(nest.ready(node))
        self._parked_in: dict[Node, int] = {}
        outputs = [
            r
            for r in self.group.roots
            if r.kind == MAP and r not in self.group.on_rows and self.stored(r.var)
        ]
        candidates = [
            n for n, found in passes.items() if len(found) > 1 and n.kind == OP and nest.varies_in_row(n)
        ]
        candidates = [n for n in candidates if operation_cost(n.code) >= heuristics.PARK_COST]
        taken: set[Root] = set()
        for node in reversed(candidates):
            if any(node in walk([other]) for other in self.parked):
                continue
            for root in outputs:
                fits = root.var.type.dtype == node.dtype and root not in taken
                if fits and nest.ready(self.values[root]) >= max(passes[node]):
                    self.parked[node] = root
                    self._parked_in[node] = min(passes[node])
                    taken.add(root)
                    break

    # ------------------------------------------------------------------------------ columns and chunks

    def _columns(self) -> int:
        nest, group = self.nest, self.group
        if group.chunk:
            return self._chunked_columns()
        kept = [k for k in range(len(nest.extents)) if not nest.reduced[k]]
        rows = [k for k in range(len(nest.extents)) if nest.reduced[k]]
        columns = kept[-1]
        if len(kept) > 1:
            nest.open_flat(kept[:-1])
            extent, opened = math.prod(nest.extents[k] for k in kept[:-1]), 1
            start, stop = 0, nest.extent(columns)
        elif nest.is_narrow(columns):
            nest.open_range("block", LO, HI, PARALLEL, 1)
            extent, opened, start, stop = 1, 1, 0, nest.extent(columns)
        else:
            block, end = Name("block"), Name("end")
            nest.open_range("block", LO, HI, PARALLEL, heuristics.COLUMN_BLOCK)
            nest.blocks[-1].append(
                loopir.LetInt("end", loopir.IntOp("min", (loopir.add(block, heuristics.COLUMN_BLOCK), HI)))
            )
            extent, opened, start, stop = nest.extents[columns], 1, block, end
        reductions = [r for r in group.roots if r.kind == REDUCE_ROOT]
        nest.open(columns, VECTOR, start, stop)
        for root in reductions:
            nest.initialise(root.var, group.address(root), root.reduce_kind)
        nest.close(1)
        for k in rows:
            nest.open(k, SEQUENTIAL)
        nest.open(columns, VECTOR, start, stop)
        for root in group.roots:
            if root.kind == REDUCE_ROOT:
                nest.update(root.var, group.address(root), root.reduce_kind, self.values[root])
            elif self.stored(root.var):
                nest.store(root.var, group.address(root), self.values[root])
        nest.close(1 + len(rows) + opened)
        return extent

    def _chunks(self) -> int:
        nest, group = self.nest, self.group
        reductions = [r for r in group.roots if r.kind == REDUCE_ROOT]
        extent = self._open_chunks(reductions)
        nest.start_rows()
        for root in reductions:
            nest.start_accumulator(root.var, root.reduce_kind)
        last = len(nest.extents) - 1
        for k in range(len(nest.extents)):
            bounds = (Name("start"), Name("stop")) if k == 0 else (0, nest.extent(k))
            nest.open(k, REDUCE if k == last else SEQUENTIAL, *bounds)
        for root in group.roots:
            if root.kind == REDUCE_ROOT:
                nest.combine(root.var, root.reduce_kind, self.values[root], None)
            elif self.stored(root.var):
                nest.store(root.var, group.address(root), self.values[root])
        nest.close(len(nest.extents))
        for root in reductions:
            nest.finish_accumulator(root.var, root.reduce_kind)
            nest.store_partial(root.var, Name("c"))
        nest.close(1)
        return extent

    def _open_chunks(self, reductions: Sequence[Root]) -> int:
        """The parallel loop over partial results, each of the outermost iterations `start..stop`."""
        nest, group = self.nest, self.group
        size = nest.integer("chunk", group.chunk * (nest.extents[0] // max(group.domain[0], 1)))
        nest.open_range("c", LO, HI, PARALLEL, 1)
        nest.blocks[-1].append(loopir.LetInt("start", loopir.mul(Name("c"), size)))
        stop = loopir.IntOp("min", (loopir.add(Name("start"), size), nest.extent(0)))
        nest.blocks[-1].append(loopir.LetInt("stop", stop))
        return reductions[0].var.type.shape[0]

    def _chunked_columns(self) -> int:
        nest, group = self.nest, self.group
        reductions = [r for r in group.roots if r.kind == REDUCE_ROOT]
        extent = self._open_chunks(reductions)
        kept = [k for k in range(len(nest.extents)) if not nest.reduced[k]]
        part = {
            r: loopir.mul(Name("c"), nest.integer(f"size{n}", r.var.type.size // extent))
            for n, r in enumerate(reductions)
        }
        for k in kept:
            nest.open(k, VECTOR if k == kept[-1] else SEQUENTIAL)
        for root in reductions:
            nest.initialise(root.var, group.address(root), root.reduce_kind, part[root])
        nest.close(len(kept))
        for k in range(len(nest.extents)):
            bounds = (Name("start"), Name("stop")) if k == 0 else (0, nest.extent(k))
            nest.open(k, VECTOR if k == kept[-1] else SEQUENTIAL, *bounds)
        for root in group.roots:
            if root.kind == REDUCE_ROOT:
                nest.update(root.var, group.address(root), root.reduce_kind, self.values[root], part[root])
            elif self.stored(root.var):
                nest.store(root.var, group.address(root), self.values[root])
        nest.close(1 + len(nest.extents))
        return extent


def scatter_step(root: Root, definition: Definition, label: str, sources: tuple[str, ...]) -> KernelStep:
    """The kernel that applies the updates of a scatter, in order, to a copy of its operand."""
    scatter = root.definition
    assert isinstance(scatter, E.Scatter)
    expander = Expander(scatter.extents, definition)
    axes = dict(enumerate(E.axes(len(scatter.extents))))
    target = [expander.index(ix, root.inputs, axes) for ix in scatter.target]
    address = E.simplify(flat_address(target, root.var.type.shape), scatter.extents)
    bounds = [(expander.index(ix, root.inputs, axes), low, high) for ix, low, high in scatter.bounds]
    value = expander.expr(scatter.value, root.inputs, axes)
    stored = scatter.kind == "set"
    value = expander.stored(value, root.var.type.dtype) if stored else value
    seen = [value, *(n for ix in (address, *(b[0] for b in bounds)) for n in index_nodes(ix))]
    indices = [address, *(b[0] for b in bounds)]
    for node in walk(seen):
        indices.extend(ix for ix in (node.address, *(b[0] for b in node.bounds)) if ix is not None)
    classes = [k < scatter.independent for k in range(len(scatter.extents))]
    nest = Nest(scatter.extents, classes, indices)
    nest.count_uses(seen)
    nest.output(root.var, "inout")
    alone = [k for k, independent in enumerate(nest.reduced) if independent]
    if alone:
        nest.open_flat(alone)
    for k in range(len(alone), len(nest.extents)):
        nest.open(k, SEQUENTIAL)
    nest.apply_update(root.var, address, bounds, scatter.kind, value)
    nest.close(len(nest.extents) - len(alone) + bool(alone))
    kernel = loopir.Kernel(
        tuple(nest.buffers), tuple(nest.integers), tuple(nest.scalar_args), tuple(nest.blocks[0])
    )
    views = tuple(View(var, offset) for var, offset in nest.views)
    extent = math.prod(nest.extents[: len(alone)])
    work = math.prod(scatter.extents) / extent
    values = tuple(nest.integers.values()), tuple(nest.scalar_args.values())
    return KernelStep(kernel, views, *values, extent, work, (), label, sources)

"""From a graph to roots: the values that have memory of their own, each with its iteration domain.

Every other value is substituted into the expressions of the roots that need it. A root's domain is the
list of extents over which its expression is evaluated, without extents of 1, in the order in which it is
cheapest to walk; axes that a reshape splits are split.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from funcgrad import dtypes
from funcgrad.errors import FuncgradError
from funcgrad.ir import expr as E
from funcgrad.ir.cost import expression_cost
from funcgrad.ir.effects import has_effect
from funcgrad.ir.graph import Atom, Equation, Graph, Literal, Var
from funcgrad.ir.types import ArrayType
from funcgrad.lower import heuristics
from funcgrad.lower.lowered import GemmStep, View
from funcgrad.lower.nest import identity
from funcgrad.lower.nodes import LOAD, OP, Expander, Node, flat_address, index_nodes, walk
from funcgrad.lower.scatters import in_pieces

MAP, REDUCE, OPAQUE = "map", "reduce", "opaque"


@dataclass(eq=False)
class Root:
    """One value in memory. `axes[k]` is the definition's k-th axis as an Index over `domain`; `reduced`
    are the positions in `domain` that are reduced. `chunk` is the number of outermost iterations in one
    partial result of a large reduction, or 0. For an opaque root, `definition` says what it is and `inputs`
    are what it reads. A root with an `effect` runs whether or not it is read, in the order of the program; where it
    has no outputs, `var` is a mere name for it."""

    var: Var
    kind: str
    inputs: tuple[Atom, ...]
    equation: Equation | None
    definition: E.Definition | None = None
    outputs: tuple[Var, ...] = ()
    domain: tuple[int, ...] = ()
    axes: tuple[E.Index, ...] = ()
    reduced: frozenset[int] = frozenset()
    chunk: int = 0
    reads: tuple[tuple[Var, E.Index], ...] = ()
    expanded: frozenset[Var] = frozenset()
    operations: int = 0
    effect: bool = False

    @property
    def expr(self) -> E.Expr:
        assert isinstance(self.definition, (E.Map, E.Reduce))
        return self.definition.expr

    @property
    def reduce_kind(self) -> str:
        assert isinstance(self.definition, E.Reduce)
        return self.definition.kind

    @property
    def store_address(self) -> E.Index:
        """Where over `domain` the element of `var` is stored; of partial results, the element of the
        first."""
        shape = self.var.type.shape[1:] if self.chunk else self.var.type.shape
        return flat_address(self.axes[: len(shape)], shape)

    @property
    def name(self) -> str:
        return self.equation.primitive.name if self.equation else "convert"


class Roots:
    """The definitions of a graph's values, and which of them are roots."""

    def __init__(self, graph: Graph, copies: Collection[Var] = ()):
        self.graph = graph
        self._copies = copies
        self.maps: dict[Var, tuple[E.Expr, tuple[Atom, ...]]] = {}
        self.equation: dict[Var, Equation] = {}
        self.opaque: dict[Var, Root] = {}
        self.reduces: dict[Var, tuple[E.Reduce, tuple[Atom, ...], int, list[int]]] = {}
        self.order: list[Var] = []
        self.stored: set[Var] = set()
        self.aliases: dict[Var, Var] = {}
        self.temporaries: list[Var] = []
        self.reasons: list[str] = []
        self._built: dict[Var, Root] = {}
        self.gemm_steps: dict[Var, GemmStep] = {}
        self._dots: dict[Var, tuple[E.Dot, tuple[Atom, ...]]] = {}
        self._readers = Counter(a for e in graph.equations for a in e.inputs if isinstance(a, Var))
        self._readers.update(a for a in graph.outputs if isinstance(a, Var))
        self.cost: dict[Var, int] = {}
        self._depth: dict[Var, int] = {}
        for equation in graph.equations:
            self._add_equation(equation)
        for atom in graph.outputs:
            if isinstance(atom, Var):
                self.store(atom)
        self._find_aliases()
        for var in self.order:
            self._weigh(var)

    # ------------------------------------------------------------------------------------- definitions

    def _add_equation(self, equation: Equation) -> None:
        rule = equation.primitive.lower
        if rule is None:
            raise FuncgradError(
                f"primitive {equation.primitive.name!r} has no rule to lower it: a pass expands it first"
            )
        in_types = tuple(a.type for a in equation.inputs)
        out_types = tuple(v.type for v in equation.outputs)
        several = equation.primitive.multiple_results
        definitions = rule(in_types, out_types if several else out_types[0], **equation.params)
        if several and isinstance(definitions, E.Extern):
            self._add_opaque(equation, definitions, equation.outputs, equation.inputs)
            return
        for var, definition in zip(equation.outputs, definitions if several else (definitions,)):
            self._define(var, definition, equation.inputs, equation)

    def _define(
        self, var: Var, definition: E.Definition, inputs: tuple[Atom, ...], equation: Equation
    ) -> None:
        self.equation[var] = equation
        if isinstance(definition, E.Map):
            definition, inputs = self._transposed_product(definition, inputs)
        if isinstance(definition, E.Dot):
            lhs, rhs = inputs[0].type, inputs[1].type
            m, n, k = product_extents(definition, lhs, rhs)
            wide = heuristics.product_dtype(lhs.dtype, var.type.dtype, k)
            why = heuristics.contraction_as_loops(m, n, k, wide)
            if why is None:
                self._dots[var] = definition, inputs
                target, final = self._computed(var, wide, equation)
                self._define_gemm(target, definition, inputs, equation)
                if final is not None:
                    self._map(var, *final)
                return
            self.reasons.append(f"{equation.primitive.name} of {lhs} and {rhs} is a loop nest: {why}")
            definition = dot_as_reduce(definition, lhs, rhs, var.type)
        if isinstance(definition, E.Reduce):
            same = self._define_reduce(var, definition, inputs, equation)
            if same is None:
                return
            definition = same
        if isinstance(definition, E.Map):
            self._map(var, definition.expr, inputs)
        elif isinstance(definition, E.Scatter):
            self._define_scatter(var, definition, inputs, equation)
        elif isinstance(definition, E.Extern):
            self._add_opaque(equation, definition, (var,), inputs)

    def _map(self, var: Var, expr: E.Expr, inputs: tuple[Atom, ...]) -> None:
        """Defines `var` as an expression of other values; those at the end of a long chain of such are stored."""
        self.maps[var] = expr, inputs
        self.order.append(var)
        deepest = 0
        for atom in inputs:
            if isinstance(atom, Var) and atom in self.maps and atom not in self.stored:
                if self._depth[atom] > heuristics.MAX_DEPTH:
                    self.store(atom)
                else:
                    deepest = max(deepest, self._depth[atom])
        self._depth[var] = deepest + _levels(expr)

    def temporary(self, type: ArrayType, equation: Equation) -> Var:
        var = Var(type)
        self.temporaries.append(var)
        self.equation[var] = equation
        return var

    def _define_reduce(
        self, var: Var, reduce: E.Reduce, inputs: tuple[Atom, ...], equation: Equation
    ) -> E.Map | None:
        """Registers the reduction; gives what `var` itself then is, if it is not the reduction's own
        value."""
        ndim = var.type.ndim
        if math.prod(reduce.extents) == 1 and reduce.kind in ("argmax", "argmin"):
            return E.Map(E.Const(0, var.type.dtype))
        if math.prod(reduce.extents) == 1:
            zero = {ndim + k: E.Index(0) for k in range(len(reduce.extents))}
            return E.Map(E.substitute_axes(reduce.expr, zero))
        target, final = self._computed(var, dtypes.compute_dtype(var.type.dtype), equation)
        order = self._order(reduce, inputs, var.type.shape)
        rows, count = self._chunks(reduce, order, var.type.shape)
        if rows:
            partial = self.temporary(ArrayType((count, *var.type.shape), target.type.dtype), equation)
            self.reduces[partial] = (reduce, inputs, rows, order)
            self.order.append(partial)
            reduce = E.Reduce(reduce.kind, (count,), E.Read(0, (E.axis(ndim), *E.axes(ndim))))
            inputs = (partial,)
            order = [ndim, *range(ndim)]
        self.reduces[target] = (reduce, inputs, 0, order)
        self.order.append(target)
        if final is None:
            return None
        self._map(var, *final)
        return None

    def _computed(
        self, var: Var, wide: np.dtype, equation: Equation
    ) -> tuple[Var, tuple[E.Expr, tuple[Atom, ...]] | None]:
        """What sums in `wide` that make `var` are stored as: as itself, or as a value of that dtype and how `var` comes
        from it."""
        if wide == var.type.dtype:
            return var, None
        target = self.temporary(var.type.with_dtype(wide), equation)
        value: E.Expr = E.Read(0, E.axes(var.type.ndim))
        if dtypes.is_integer(var.type.dtype):  # more than that holds is cut off, not the largest of it
            value = E.convert(value, dtypes.int64)
        return target, (E.convert(value, var.type.dtype), (target,))

    def _order(self, reduce: E.Reduce, inputs: tuple[Atom, ...], kept: tuple[int, ...]) -> list[int]:
        """The axes of a reduction in the order in which they are walked."""
        shape = (*kept, *reduce.extents)
        node = Expander(shape, self.definition).expr(reduce.expr, inputs, dict(enumerate(E.axes(len(shape)))))
        return _walk_order(node, len(kept), shape)

    def _chunks(self, reduce: E.Reduce, order: list[int], kept: tuple[int, ...]) -> tuple[int, int]:
        """How many of the outermost iterations make one partial result of a large reduction, and how many of
        those there are; (0, 0) for none. Only full reductions have them, and those that keep the innermost
        axis."""
        shape = (*kept, *reduce.extents)
        size = math.prod(kept)
        order = [k for k in order if shape[k] != 1]
        if math.prod(shape) <= heuristics.CHUNK or reduce.kind.startswith("arg"):
            return 0, 0
        if size != 1 and (order[0] < len(kept) or order[-1] >= len(kept)):
            return 0, 0
        outermost = shape[order[0]]
        rows = heuristics.rows_of_chunk(math.prod(shape), outermost, size)
        return rows, -(-outermost // rows) if rows else 0

    def _define_scatter(
        self, var: Var, scatter: E.Scatter, inputs: tuple[Atom, ...], equation: Equation
    ) -> None:
        dtype, shape = var.type.dtype, var.type.shape
        pieces, streams = heuristics.pieces_of_scatter(scatter.kind, scatter.extents, var.type.size, dtype)
        if pieces * streams > 1:
            scatter = in_pieces(scatter, pieces, streams)
        if pieces == 1:
            self._add_opaque(equation, scatter, (var,), inputs)
            return
        nothing, copies = (self.temporary(ArrayType((pieces, *shape), dtype), equation) for _ in range(2))
        self._map(nothing, E.Const(identity(scatter.kind, dtype).value, dtype), ())
        before = inputs[scatter.operand]
        own = tuple([nothing if k == scatter.operand else a for k, a in enumerate(inputs)])
        self._add_opaque(equation, scatter, (copies,), own)
        total = self.temporary(ArrayType(shape, dtype), equation)
        ndim = len(shape)
        reduce = E.Reduce(scatter.kind, (pieces,), E.Read(0, (E.axis(ndim), *E.axes(ndim))))
        self.reduces[total] = (reduce, (copies,), 0, [ndim, *range(ndim)])
        self.order.append(total)
        both = (E.Read(0, E.axes(ndim)), E.Read(1, E.axes(ndim)))
        self._map(var, E.Op(scatter.kind, both, dtype), (before, total))

    def _add_opaque(
        self,
        equation: Equation,
        definition: E.Scatter | E.Extern,
        outputs: tuple[Var, ...],
        inputs: tuple[Atom, ...],
    ) -> None:
        if isinstance(definition, E.Region):
            inputs = self._region_inputs(equation, definition)
        name = outputs[0] if outputs else Var(ArrayType((0,), np.dtype(np.uint8)))
        root = Root(name, OPAQUE, inputs, equation, definition, outputs, effect=has_effect(equation))
        for var in outputs or (name,):
            self.opaque[var] = root
            self.equation[var] = equation
        self.order.append(name)
        whole = inputs if isinstance(definition, E.Extern) else (inputs[definition.operand],)
        for atom in whole:
            if isinstance(atom, Var):
                self.store(atom)

    def _region_inputs(self, equation: Equation, region: E.Region) -> tuple[Atom, ...]:
        """The operands of control flow, where literals that it keeps in memory have become values."""
        inputs = list(equation.inputs)
        for k, atom in enumerate(inputs):
            if isinstance(atom, Literal) and k not in region.inlined:
                var = self.temporary(atom.type.strong(), equation)
                self._map(var, E.Const(atom.value, atom.type.dtype), ())
                inputs[k] = var
        return tuple(inputs)

    # ------------------------------------------------------------------------------------ matrix products

    def _define_gemm(self, var: Var, dot: E.Dot, inputs: tuple[Atom, ...], equation: Equation) -> None:
        dtype = var.type.dtype
        sides = []
        groups = ((dot.lhs_batch, dot.lhs_contracting, False), (dot.rhs_batch, dot.rhs_contracting, True))
        for atom, (batch, contracting, contracting_first) in zip(inputs, groups):
            assert isinstance(atom, Var), "a matrix product has no scalar operands"
            if atom.type.dtype != dtype:
                wide = self.temporary(atom.type.with_dtype(dtype), equation)
                self._map(wide, E.convert(E.Read(0, E.axes(atom.type.ndim)), dtype), (atom,))
                atom = wide
            sides.append(self._matrix(atom, batch, contracting, contracting_first, equation))
        (lhs, lhs_batch, lhs_strides, m, k), (rhs, rhs_batch, rhs_strides, _, n) = sides
        batch = tuple(inputs[0].type.shape[d] for d in dot.lhs_batch)
        out_batch = tuple(math.prod(batch[i + 1 :]) * m * n for i in range(len(batch)))
        step = GemmStep(
            View(var), lhs, rhs, m, n, k, lhs_strides, rhs_strides, (n, 1),
            batch, lhs_batch, rhs_batch, out_batch, dtype, label="matrix product",
        )  # fmt: skip
        root = Root(var, OPAQUE, (lhs.value, rhs.value), equation, dot, (var,))
        self.opaque[var] = root
        self.gemm_steps[var] = step
        self.order.append(var)

    def _transposed_product(
        self, definition: E.Map, inputs: tuple[Atom, ...]
    ) -> tuple[E.Definition, tuple[Atom, ...]]:
        """The transpose of a matrix product that nothing else reads is the product of the transposes."""
        read = definition.expr
        product = inputs[read.operand] if isinstance(read, E.Read) else None
        if not isinstance(read, E.Read) or not isinstance(product, Var) or product not in self._dots:
            return definition, inputs
        dot, (lhs, rhs) = self._dots[product]
        batch, free = len(dot.lhs_batch), lhs.type.ndim - len(dot.lhs_batch) - len(dot.lhs_contracting)
        others = product.type.ndim - batch - free
        swapped = (*E.axes(batch), *E.axes(free, batch + others), *E.axes(others, batch))
        if self._readers[product] != 1 or read.index != swapped:
            return definition, inputs
        return E.Dot(dot.rhs_contracting, dot.lhs_contracting, dot.rhs_batch, dot.lhs_batch), (rhs, lhs)

    def _matrix(
        self,
        var: Var,
        batch: Sequence[int],
        contracting: Sequence[int],
        contracting_first: bool,
        equation: Equation,
    ) -> tuple[View, tuple[int, ...], tuple[int, int], int, int]:
        """A view of `var` as batched matrices for BLAS: (view, batch strides, (row, column) strides, rows,
        columns)."""
        free = [d for d in range(var.type.ndim) if d not in batch and d not in contracting]
        sides = (contracting, free) if contracting_first else (free, contracting)
        shape = var.type.shape
        rows, columns = (math.prod(shape[d] for d in side) for side in sides)
        base, address = self.view(var)
        for source, flat in ((base, address), (var, flat_address(E.axes(var.type.ndim), shape))):
            if not flat.is_affine:
                continue
            strides = [_joint_stride([(shape[d], flat.coefficient(d)) for d in side]) for side in sides]
            if any(s is None for s in strides):
                continue
            row, column = strides[0] or 0, strides[1] or 0
            row = row if rows > 1 else max(columns, 1)
            column = column if columns > 1 else 1 if row != 1 else max(rows, 1)
            if (column == 1 and row >= columns) or (row == 1 and column >= rows):
                self.store(source)
                outer = tuple(flat.coefficient(d) for d in batch)
                return View(source, flat.constant), outer, (row, column), rows, columns
        order = (*batch, *sides[0], *sides[1])
        copy = self.temporary(var.type.with_shape(tuple(shape[d] for d in order)), equation)
        index = tuple(E.axis(order.index(d)) for d in range(var.type.ndim))
        self._map(copy, E.Read(0, index), (var,))
        self.store(copy)
        self.reasons.append(
            f"{equation.primitive.name} copies its operand {var.type}: no BLAS strides fit its axes"
        )
        outer = tuple(math.prod(copy.type.shape[i + 1 :]) for i in range(len(batch)))
        return View(copy), outer, (columns, 1), rows, columns

    # -------------------------------------------------------------------------------- views and aliases

    def view(self, var: Var) -> tuple[Var, E.Index]:
        """The value of which `var` is a mere rearrangement, and where in it element `axes` of `var` is."""
        address = flat_address(E.axes(var.type.ndim), var.type.shape)
        index = E.axes(var.type.ndim)
        domain = var.type.shape
        while var in self.maps and var not in self.stored:
            expr, inputs = self.maps[var]
            if not isinstance(expr, E.Read) or not isinstance(inputs[expr.operand], Var):
                break
            source = inputs[expr.operand]
            axes = dict(enumerate(index))
            new_index = tuple(E.simplify(E.map_index(ix, axes), domain) for ix in expr.index)
            new_address = E.simplify(flat_address(new_index, source.type.shape), domain)
            if not new_address.is_affine or any(index_nodes(ix) for ix in new_index):
                break
            var, index, address = source, new_index, new_address  # type: ignore[assignment]
        return var, address

    def store(self, var: Var) -> None:
        """Gives `var` memory of its own; roots into which it was substituted are built anew."""
        self.stored.add(var)
        self._built = {v: root for v, root in self._built.items() if var not in root.expanded}

    def _find_aliases(self) -> None:
        for var in reversed(self.order):
            if var not in self.stored or var not in self.maps or var in self._copies:
                continue
            self.stored.discard(var)
            base, address = self.view(var)
            shape = var.type.shape
            same = base.type.size == var.type.size and base.type.dtype == var.type.dtype
            flat = E.simplify(flat_address(E.axes(len(shape)), shape), shape)
            if base is not var and same and E.simplify(address, shape) == flat:
                self.aliases[var] = base
                self.stored.add(base)
            else:
                self.stored.add(var)

    # -------------------------------------------------------------------------------------------- costs

    def is_root(self, var: Var) -> bool:
        """Whether `var` has memory of its own (or is an input of the graph)."""
        return var not in self.maps or (var in self.stored and var not in self.aliases)

    def _weigh(self, var: Var) -> None:
        """What it costs to compute an element of `var`; marks as stored what would be recomputed too
        often."""
        if var in self.reduces:
            reduce, inputs, _, _ = self.reduces[var]
            self._store_repeated(inputs, var.type.size * math.prod(reduce.extents))
        if var not in self.maps:
            return
        expr, inputs = self.maps[var]
        self._store_repeated(inputs, var.type.size)
        cost = expression_cost(expr)
        for atom in inputs:
            if isinstance(atom, Var) and not self.is_root(atom):
                cost += self.cost.get(atom, 0)
        self.cost[var] = cost

    def _store_repeated(self, inputs: tuple[Atom, ...], count: int) -> None:
        """Store what is dear to compute and has fewer elements than the `count` places that read it."""
        for atom in inputs:
            if not isinstance(atom, Var) or self.is_root(atom) or atom in self.aliases:
                continue
            if count > atom.type.size and self.cost.get(atom, 0) > heuristics.RECOMPUTE_ENLARGED:
                self.store(atom)

    def _often(self, var: Var, places: int) -> float:
        """At how many different indices an element of `var` may be computed for one element of a root, of which there
        are `places`."""
        return heuristics.indices_to_recompute(self.cost.get(var, 0), var.type.size / max(places, 1))

    def definition(self, var: Var) -> tuple[E.Expr, tuple[Atom, ...]] | None:
        """What to substitute for `var`; None for a root."""
        if var in self.maps and (var not in self.stored or var in self.aliases):
            return self.maps[var]
        return None

    # -------------------------------------------------------------------------------------------- roots

    def build(self) -> list[Root]:
        """The roots that the outputs need, in topological order."""
        needed: set[Var] = {a for a in map(self._base, self.graph.outputs) if a is not None}
        found: list[Root] = []
        for var in reversed(self.order):
            root = self._built.get(var)
            if root is not None and not needed.isdisjoint(root.outputs or (var,)):
                pass
            elif var in self.opaque:
                if needed.isdisjoint(self.opaque[var].outputs) and not self.opaque[var].effect:
                    continue
                root = self._opaque_root(self.opaque[var])
            elif var in needed and var in self.reduces:
                root = self._reduce_root(var)
            elif var in needed and var in self.maps:
                expr, inputs = self.maps[var]
                root = Root(var, MAP, inputs, self.equation.get(var), E.Map(expr))
                self._set_domain(root, E.axes(var.type.ndim), var.type.shape)
            else:
                root = None
            if root is not None:
                self._built[var] = root
                found.append(root)
                needed.update(read for read, _ in root.reads)
        found.reverse()
        return found

    def _base(self, atom: Atom) -> Var | None:
        if isinstance(atom, Literal):
            return None
        while atom in self.aliases:
            atom = self.aliases[atom]
        return atom

    def _opaque_root(self, root: Root) -> Root:
        if isinstance(root.definition, E.Scatter):
            scatter = root.definition
            expander = Expander(scatter.extents, self.definition)
            axes = dict(enumerate(E.axes(len(scatter.extents))))
            nodes = [expander.expr(scatter.value, root.inputs, axes)]
            for ix in (*scatter.target, *(b[0] for b in scatter.bounds)):
                nodes.extend(index_nodes(expander.index(ix, root.inputs, axes)))
            base = self._base(root.inputs[scatter.operand])
            root.reads = tuple(_loads(nodes)) + (((base, E.Index(0)),) if base else ())
            root.expanded = frozenset(expander.expanded)
        elif isinstance(root.definition, E.Extern | E.Dot):
            bases = (self._base(a) for a in root.inputs)
            root.reads = tuple((b, E.Index(0)) for b in bases if b is not None)
        return root

    def _reduce_root(self, var: Var) -> Root:
        reduce, inputs, chunk, order = self.reduces[var]
        root = Root(var, REDUCE, inputs, self.equation.get(var), reduce, chunk=chunk)
        kept = var.type.shape[1:] if chunk else var.type.shape
        shape, ndim = (*kept, *reduce.extents), len(kept)
        axes: list[E.Index] = [E.Index(0)] * len(shape)
        for position, k in enumerate(order):
            axes[k] = E.axis(position)
        self._set_domain(
            root, axes, [shape[k] for k in order], {order.index(k) for k in range(ndim, len(shape))}
        )
        return root

    def _set_domain(
        self, root: Root, axes: Sequence[E.Index], domain: Sequence[int], reduced: set[int] | None = None
    ) -> None:
        """Squeezes and splits the domain, and records what the root reads over it."""
        reduced = reduced or set()
        keep = [k for k, extent in enumerate(domain) if extent != 1]
        renumber = {k: E.axis(keep.index(k)) if k in keep else E.Index(0) for k in range(len(domain))}
        axes = [E.map_index(ix, renumber) for ix in axes]
        reduced = {keep.index(k) for k in reduced if k in keep}
        domain = [domain[k] for k in keep]
        while True:
            often = functools.partial(self._often, places=math.prod(domain))
            expander = Expander(domain, self.definition, often=often)
            node = expander.expr(root.expr, root.inputs, dict(enumerate(axes)))
            if expander.spread:
                for var in expander.spread:
                    self.store(var)
                continue
            split = None if root.chunk else _axis_to_split(node, domain)
            if split is None:
                break
            number, parts = split
            shift = len(parts) - 1
            renumber = {k: E.axis(k if k < number else k + shift) for k in range(len(domain))}
            renumber[number] = E.Index(0)
            for p, extent in enumerate(parts):
                renumber[number] = renumber[number] * extent + E.axis(number + p)
            axes = [E.map_index(ix, renumber) for ix in axes]
            reduced = {k if k < number else k + shift for k in reduced} | (
                {number + p for p in range(len(parts))} if number in reduced else set()
            )
            domain = [*domain[:number], *parts, *domain[number + 1 :]]
        root.axes, root.domain, root.reduced = tuple(axes), tuple(domain), frozenset(reduced)
        root.reads = tuple(_loads([node]))
        root.expanded = frozenset(expander.expanded)
        root.operations = sum(n.kind == OP for n in walk([node]))


def _loads(nodes: list[Node]) -> list[tuple[Var, E.Index]]:
    return [
        (n.var, n.address)
        for n in walk(nodes)
        if n.kind == LOAD and n.var is not None and n.address is not None
    ]


def _levels(expr: E.Expr) -> int:
    """How deep an expression is nested; at least 1."""
    if isinstance(expr, E.Guard):
        return 1 + max(_levels(expr.inside), _levels(expr.outside))
    return 1 + max(map(_levels, expr.args), default=0) if isinstance(expr, E.Op) else 1


def _joint_stride(dims: Sequence[tuple[int, int]]) -> int | None:
    """The one stride of dimensions (extent, stride) seen as one, 0 where its extent is 1, None where there
    is none."""
    dims = [(e, s) for e, s in dims if e != 1]
    for (_, outer), (extent, stride) in itertools.pairwise(dims):
        if outer != extent * stride:
            return None
    return dims[-1][1] if dims else 0


def product_extents(dot: E.Dot, lhs: ArrayType, rhs: ArrayType) -> tuple[int, int, int]:
    k = math.prod(lhs.shape[d] for d in dot.lhs_contracting)
    batch = math.prod(lhs.shape[d] for d in dot.lhs_batch)
    return lhs.size // max(k * batch, 1), rhs.size // max(k * batch, 1), k


def dot_as_reduce(dot: E.Dot, lhs: ArrayType, rhs: ArrayType, out: ArrayType) -> E.Reduce:
    """A contraction as a sum of products."""
    number, left, right = 0, [E.Index(0)] * lhs.ndim, [E.Index(0)] * rhs.ndim
    for a, b in zip(dot.lhs_batch, dot.rhs_batch):
        left[a] = right[b] = E.axis(number)
        number += 1
    for side, used in (
        (left, dot.lhs_batch + dot.lhs_contracting),
        (right, dot.rhs_batch + dot.rhs_contracting),
    ):
        for d in range(len(side)):
            if d not in used:
                side[d] = E.axis(number)
                number += 1
    for a, b in zip(dot.lhs_contracting, dot.rhs_contracting):
        left[a] = right[b] = E.axis(number)
        number += 1
    reads: tuple[E.Expr, E.Expr] = (E.Read(0, tuple(left)), E.Read(1, tuple(right)))
    if out.dtype.kind == "b":
        return E.Reduce("or", _contracted(dot, lhs), E.Op("and", reads, out.dtype))
    x, y = (E.convert(r, out.dtype) if t.dtype != out.dtype else r for r, t in zip(reads, (lhs, rhs)))
    return E.Reduce("add", _contracted(dot, lhs), E.Op("mul", (x, y), out.dtype))


def _contracted(dot: E.Dot, lhs: ArrayType) -> tuple[int, ...]:
    return tuple(lhs.shape[d] for d in dot.lhs_contracting)


def _walk_order(node: Node, ndim: int, shape: Sequence[int]) -> list[int]:
    """The definition's axes in walking order: kept ones as in the output, and each reduced one as far in
    as the memory of the largest operand has it (at the end if the reduced extents are small, to be
    unrolled)."""
    order = list(range(ndim))
    reduced = range(ndim, len(shape))
    loads = [n for n in walk([node]) if n.kind == LOAD and n.var is not None and n.address is not None]
    if not loads or (ndim and math.prod(shape[k] for k in reduced) <= heuristics.SMALL_EXTENT):
        return [*order, *reduced]
    main = max(loads, key=lambda n: n.var.type.size).address  # type: ignore[union-attr]
    assert main is not None
    for k in reduced:
        mine = abs(main.coefficient(k))
        place = len(order)
        if mine and shape[k] != 1:
            for position, other in enumerate(order):
                theirs = abs(main.coefficient(other))
                if theirs and shape[other] != 1 and theirs < mine:
                    place = position
                    break
        order.insert(place, k)
    return order


def _axis_to_split(node: Node, domain: Sequence[int]) -> tuple[int, list[int]] | None:
    """An axis that is divided by some number, and the extents into which to split it so that it no longer
    is."""
    divisors: dict[int, set[int]] = {}
    for n in walk([node]):
        for index in (n.address, *(b[0] for b in n.bounds)):
            if index is not None:
                _collect_divisors(index, divisors)
    for number, found in sorted(divisors.items()):
        parts, rest = [], domain[number]
        for d in sorted(found, reverse=True):
            if rest % d:
                break
            parts.append(rest // d)
            rest = d
        else:
            return number, [*parts, rest]
    return None


def _collect_divisors(index: E.Index, divisors: dict[int, set[int]]) -> None:
    for atom, _ in index.terms:
        if isinstance(atom, (E.FloorDiv, E.Mod)):
            inner = atom.index
            if inner.constant == 0 and len(inner.terms) == 1 and inner.terms[0][1] == 1:
                axis = inner.terms[0][0]
                if isinstance(axis, E.Axis):
                    divisors.setdefault(axis.number, set()).add(atom.by)
                    continue
            _collect_divisors(inner, divisors)
        elif isinstance(atom, E.Clamp):
            _collect_divisors(atom.index, divisors)

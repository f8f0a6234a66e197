"""Matrix products that a `scan` does piece by piece, done for all its iterations at once outside of it.

A recurrent network multiplies a few rows in each iteration, where BLAS is slow: it packs the weights anew for them. Of
these products only those that the next iteration waits for need the loop:

- *before* it: what needs constants and slices of `xs` only. `x @ w` of all iterations is one product.
- *behind* it: what only slices of `ys` need, as `h @ w`, and what only adds up, as `sum += x.T @ dz`, the gradient of
  the weights: there one product contracts the iterations too. What these need of each iteration is stacked.

A product of constants alone is computed once. Products of many rows stay, so do those that would need too much memory,
and a loop that carries nothing: who maps instead of batching wants to have one example in memory at a time. What is
left of the loop has fewer calls in it, and is often one kernel.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from funcgrad.ir import expr as E
from funcgrad.ir.effects import has_effect
from funcgrad.ir.graph import Atom, Equation, Graph, Literal, Var
from funcgrad.lower import heuristics
from funcgrad.lower.roots import product_extents
from funcgrad.passes import pipeline
from funcgrad.passes.dce import dce
from funcgrad.records import record
from funcgrad.trace import ops
from funcgrad.trace.core import bind, state
from funcgrad.trace.graph_trace import evaluate_graph, trace_to_graph
from funcgrad.transforms.vmap import batch, move_batch_axis

_BY_MATRIX = (((1,), (0,)), ((), ()))
_BY_TRANSPOSED = (((1,), (1,)), ((), ()))
"""The dimension numbers of `x @ w` and of `x @ w.T`."""


def hoist(graph: Graph) -> Graph:
    """`graph` in which scans do fewer matrix products; the same graph where there are none to move."""
    equations: list[Equation] = []
    env: dict[Atom, Atom] = {}
    for e in graph.equations:
        inputs = tuple([env.get(a, a) for a in e.inputs])
        made = _Loop(e).outside() if e.primitive.name == "scan" and _may_gain(e) else None
        if made is None:
            equations.append(
                e if inputs == e.inputs else Equation(e.primitive, inputs, e.outputs, e.params, e.source)
            )
            continue
        inner: dict[Atom, Atom] = dict(zip(made.inputs, inputs))
        for one in made.equations:
            given = [inner.get(a, a) for a in one.inputs]
            equations.append(Equation(one.primitive, given, one.outputs, one.params, one.source or e.source))
        env.update(zip(e.outputs, [inner.get(a, a) for a in made.outputs]))
    if not env:
        return graph
    outputs = tuple([env.get(a, a) for a in graph.outputs])
    return pipeline.run(Graph(graph.inputs, tuple(equations), outputs, graph.name))


def _may_gain(scan: Equation) -> bool:
    """Whether its body is worth a look: that has to be optimised for it."""
    carries, length = scan.params["carry"] > 0, scan.params["length"]
    return carries and length >= heuristics.FEWEST_HOISTED and _may_multiply(scan.params["graph"])


def _may_multiply(graph: Graph) -> bool:
    """Whether there are matrix products in the graph, in what it calls, or in what its equations stand for."""
    return any(
        e.primitive.name == "dot_general" or e.primitive.expand or any(map(_may_multiply, e.subgraphs()))
        for e in graph.equations
    )


@record
class _Sum:
    """A product of which a carry is the sum: the number of the carry, the equation that adds, and the equations from
    the product to what is added."""

    carry: int
    adding: Equation
    chain: tuple[Equation, ...]


class _Loop:
    """A scan, and what of it can be done elsewhere."""

    def __init__(self, scan: Equation):
        self.scan = scan
        self.consts, self.carry, self.length = (scan.params[k] for k in ("consts", "carry", "length"))
        graph: Graph = scan.params["graph"]
        known = graph.memo.get("optimised")
        if known is None:
            known = graph.memo["optimised"] = pipeline.run(graph)
        self.graph: Graph = known
        inputs = self.graph.inputs
        self.own, self.cells = inputs[: self.consts], inputs[self.consts : self.consts + self.carry]
        self.xs = inputs[self.consts + self.carry :]

    def outside(self) -> Graph | None:
        """The graph that the scan becomes; None where it stays as it is."""
        self.defined_by = {v: e for e in self.graph.equations for v in e.outputs}
        self.readers = Counter(a for e in self.graph.equations for a in e.inputs)
        self.readers.update(self.graph.outputs)
        self.fixed = self._computed_from(self.own)
        self.ahead = self._computed_from((*self.own, *self.xs))
        values = {*self.scan.inputs, *self.scan.outputs}
        self.memory = heuristics.hoisted_bytes(sum(a.type.nbytes for a in values))
        before, sums = self._before(), self._sums()
        behind = self._behind(before, sums)
        self.turned = self._turned(before, behind)
        if not before and not sums and not behind and not self.turned:
            return None
        types = [a.type for a in self.scan.inputs]
        outer, state.source = state.source, self.scan.source
        try:
            return trace_to_graph(lambda *xs: self._moved(xs, before, sums, behind), types, "scan").graph
        finally:
            state.source = outer

    # --------------------------------------------------------------------------------------- what can be moved

    def _computed_from(self, inputs: Iterable[Var]) -> set[Atom]:
        """The variables that need nothing but these inputs, and that may be computed elsewhere."""
        known: set[Atom] = set(inputs)
        for e in self.graph.equations:
            if _is_movable(e) and all(isinstance(a, Literal) or a in known for a in e.inputs):
                known.update(e.outputs)
        return known

    def _affordable(self, atoms: Iterable[Atom]) -> bool:
        """Whether there is memory for these values of all iterations, which is taken then."""
        needed = self.length * sum(a.type.nbytes for a in set(atoms))
        if needed > self.memory:
            return False
        self.memory -= needed
        return True

    def _before(self) -> list[Var]:
        """The products that need constants and slices of xs only."""
        found = []
        for e in self.graph.equations:
            var = e.outputs[0] if _is_product(e) else None
            if var in self.fixed or (var in self.ahead and self._of_few_rows(e) and self._affordable([var])):
                found.append(var)
        return found

    def _of_few_rows(self, product: Equation) -> bool:
        """Whether it multiplies a few rows by a matrix that is the same in each iteration."""
        lhs, rhs = (a in self.fixed for a in product.inputs)
        rows, columns, _ = _extents(product)
        return lhs is not rhs and (columns if lhs else rows) <= heuristics.FEW_ROWS

    def _sums(self) -> list[_Sum]:
        """The products that do nothing but add up in a carry."""
        found = []
        users = {a: e for e in self.graph.equations for a in e.inputs}
        for k, cell in enumerate(self.cells):
            sum_, adding = cell, []
            while self.readers[sum_] == 1 and sum_ in users and users[sum_].primitive.name == "add":
                adding.append(users[sum_])
                sum_ = adding[-1].outputs[0]
            if self.readers[sum_] == 1 and sum_ is self.graph.outputs[k]:
                found += [_Sum(k, e, chain) for e in adding for a in e.inputs if (chain := self._chain(a))]
        return [s for s in found if self._affordable(self._stacked(s.chain[0].inputs))]

    def _chain(self, term: Atom) -> tuple[Equation, ...]:
        """The equations from a product of two changing values to `term`; none where it is something else."""
        chain: list[Equation] = []
        while self.readers[term] == 1 and term in self.defined_by:
            made = self.defined_by[term]  # type: ignore[index]
            chain.insert(0, made)
            if made.primitive.name == "dot_general":
                worth = heuristics.worth_summing(*_extents(made), self.length, _computed_in(made))
                return tuple(chain) if worth and self.fixed.isdisjoint(made.inputs) else ()
            if made.primitive.name not in ("transpose", "reshape"):
                break
            term = made.inputs[0]
        return ()

    def _behind(self, before: Sequence[Var], sums: Sequence[_Sum]) -> set[Atom]:
        """What only ys need, from products with constants on."""
        summed = {e for s in sums for e in s.chain}
        needed: set[Atom] = set(self.graph.outputs[: self.carry])
        for e in reversed(self.graph.equations):
            if e not in summed and (has_effect(e) or not needed.isdisjoint(e.outputs)):
                needed.update(e.inputs)
        found: set[Atom] = set()
        for e in self.graph.equations:
            starts = _is_product(e) and e.outputs[0] not in before and self._of_few_rows(e)
            if (
                needed.isdisjoint(e.outputs)
                and e not in summed
                and (starts or not found.isdisjoint(e.inputs))
            ):
                if not _is_movable(e):
                    return set()
                found.update(e.outputs)
        return found if self._affordable(self._read_by(found)) else set()

    def _turned(self, before: Sequence[Var], behind: set[Atom]) -> dict[Equation, Var]:
        """Products `x @ w.T` that stay, of few rows: each with a variable for a `w` that is transposed in memory, of
        which BLAS multiplies few rows faster."""
        found = {}
        for e in self.graph.equations:
            if not _is_product(e) or e.outputs[0] in before or e.outputs[0] in behind:
                continue
            fixed = e.inputs[1] in self.fixed and e.params["dimension_numbers"] == _BY_TRANSPOSED
            if fixed and 1 < _extents(e)[0] <= heuristics.FEW_ROWS:
                type = e.inputs[1].type
                found[e] = Var(type.with_shape(type.shape[::-1]))
        return found

    def _read_by(self, found: set[Atom]) -> list[Var]:
        """What the equations that compute these values need that is known in the loop only."""
        read = [a for e in self.graph.equations if not found.isdisjoint(e.outputs) for a in e.inputs]
        return [a for a in self._stacked(read) if a not in found]

    def _stacked(self, atoms: Iterable[Atom]) -> list[Var]:
        """Those of the values that have to be kept of each iteration."""
        return [a for a in dict.fromkeys(atoms) if isinstance(a, Var) and a not in self.ahead]

    # ---------------------------------------------------------------------------------------------- moving it

    def _moved(
        self, operands: Sequence[Any], before: Sequence[Var], sums: Sequence[_Sum], behind: set[Atom]
    ) -> list[Any]:
        consts, carry, outputs = self.consts, self.carry, self.graph.outputs
        fixed = [v for v in before if v in self.fixed]
        sliding = [v for v in before if v not in self.fixed]
        factors = [a for s in sums for a in s.chain[0].inputs]
        stacked = list(dict.fromkeys([*self._stacked(factors), *self._read_by(behind)]))
        kept = [a for a in outputs[carry:] if a not in behind]
        graph = self._body(fixed, sliding, sums, [*kept, *stacked])
        turned = [e.inputs[1] for e in self.turned]
        constants = evaluate_graph(self._part([*fixed, *turned], self.own), operands[:consts])
        outs = bind(
            self.scan.primitive,
            *operands[:consts],
            *constants[: len(fixed)],
            *(ops.transpose(w, (1, 0)) for w in constants[len(fixed) :]),
            *operands[consts:],
            *self._of_all(sliding, operands, {}),
            **{**self.scan.params, "graph": graph, "consts": consts + len(constants)},
        )
        finals, ys = outs[:carry], dict(zip(kept, outs[carry : carry + len(kept)]))
        late = list(dict.fromkeys([*(a for a in outputs[carry:] if a in behind), *factors]))
        given = dict(zip(stacked, outs[carry + len(kept) :]))
        ys.update(zip(late, self._of_all(late, operands, given)))
        for k, cell in enumerate(self.cells):
            if graph.outputs[k] is cell:  # all that was added to it was moved
                finals[k] = operands[consts + k]
        for s in sums:
            finals[s.carry] = ops.add(finals[s.carry], _summed(s.chain, ys))
        return [*finals, *(ys[a] for a in outputs[carry:])]

    def _body(
        self, fixed: Sequence[Var], sliding: Sequence[Var], sums: Sequence[_Sum], ys: Sequence[Atom]
    ) -> Graph:
        """What is left of the body: it takes what was computed before the loop, and gives `ys`."""
        env: dict[Atom, Atom] = {}
        given = {*fixed, *sliding}
        terms = {s.adding: s.chain[-1].outputs[0] for s in sums}
        equations = []
        for e in self.graph.equations:
            inputs = [env.get(a, a) for a in e.inputs]
            if e in terms:
                env[e.outputs[0]] = inputs[int(e.inputs[0] is terms[e])]
            elif e in self.turned:
                params = {**e.params, "dimension_numbers": _BY_MATRIX}
                equations.append(
                    Equation(e.primitive, (inputs[0], self.turned[e]), e.outputs, params, e.source)
                )
            elif given.isdisjoint(e.outputs):
                equations.append(Equation(e.primitive, inputs, e.outputs, e.params, e.source))
        outputs = [env.get(a, a) for a in (*self.graph.outputs[: self.carry], *ys)]
        all_inputs = (*self.own, *fixed, *self.turned.values(), *self.cells, *self.xs, *sliding)
        return dce(Graph(all_inputs, tuple(equations), tuple(outputs), self.graph.name))

    def _of_all(self, wanted: Sequence[Atom], operands: Sequence[Any], given: dict[Var, Any]) -> list[Any]:
        """The values of all iterations, from constants, xs, and the `given` values of all iterations."""
        values = [*operands[: self.consts], *operands[self.consts + self.carry :], *given.values()]
        part = self._part(wanted, [*self.own, *self.xs, *given])
        axes = [None if k < self.consts else 0 for k in range(len(values))]
        outs = batch(lambda *xs: evaluate_graph(part, xs), values, axes, self.length)
        return [move_batch_axis(v, axis, 0, self.length) for v, axis in outs]

    def _part(self, wanted: Sequence[Atom], inputs: Sequence[Var]) -> Graph:
        """The equations that compute `wanted` from these values of one iteration."""
        known, needed, equations = set(inputs), set(wanted), []
        for e in reversed(self.graph.equations):
            if not needed.isdisjoint(e.outputs) and known.isdisjoint(e.outputs):
                equations.insert(0, e)
                needed.update(e.inputs)
        return Graph(tuple(inputs), tuple(equations), tuple(wanted), self.graph.name)


def _summed(chain: Sequence[Equation], factors: dict[Atom, Any]) -> Any:
    """The sum over all iterations of the product that `chain` begins with, rearranged as it says."""
    product = chain[0]
    contracting, batched = product.params["dimension_numbers"]
    numbers = (
        tuple([(0, *(d + 1 for d in dims)) for dims in contracting]),
        tuple([tuple([d + 1 for d in dims]) for dims in batched]),
    )
    lhs, rhs = (factors[a] for a in product.inputs)
    state.source = product.source
    value = bind(product.primitive, lhs, rhs, **{**product.params, "dimension_numbers": numbers})
    for e in chain[1:]:
        value = bind(e.primitive, value, **e.params)
    return value


def _is_product(e: Equation) -> bool:
    """Whether it is a matrix product that BLAS does."""
    if e.primitive.name != "dot_general":
        return False
    return heuristics.contraction_as_loops(*_extents(e), _computed_in(e)) is None


def _computed_in(product: Equation) -> np.dtype:
    return heuristics.product_dtype(
        product.inputs[0].type.dtype, product.outputs[0].type.dtype, _extents(product)[2]
    )


def _extents(product: Equation) -> tuple[int, int, int]:
    """Rows and columns of the product, and the extent that is contracted."""
    (lc, rc), (lb, rb) = product.params["dimension_numbers"]
    dot = E.Dot(tuple(lc), tuple(rc), tuple(lb), tuple(rb))
    return product_extents(dot, *(a.type for a in product.inputs))


def _is_movable(e: Equation) -> bool:
    return not e.primitive.opaque and not has_effect(e) and next(e.subgraphs(), None) is None

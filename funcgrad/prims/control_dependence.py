"""How loops and branches hand on which elements depend on which: their rules `depends`.

A body is looked at once, as a matrix from the elements of its inputs to those of its outputs, and then only multiplied;
where it reads at places that differ from run to run (the index of a gather is among its inputs), it is looked at again
in each. Of a `while` the number of iterations is not known, so the dependences of all are united; of a `cond` those of
all branches are.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import scipy.sparse

from funcgrad.ir.graph import Graph
from funcgrad.ir.types import ArrayType
from funcgrad.prims.control_graphs import parts
from funcgrad.transforms.dependence import Given, Operand, is_given, local, nothing, union

Types = Sequence[ArrayType]


class _Body:
    """The runs of one body."""

    def __init__(self, graph: Graph, run: Callable[..., list[Operand]]):
        self.graph, self.run = graph, run
        self._known: dict[tuple[bool, ...], Any] = {}

    def __call__(self, operands: Sequence[Operand]) -> list[Operand]:
        given = tuple(map(is_given, operands))
        if all(given):
            return self.run(self.graph, operands)
        if given not in self._known:
            self._known[given] = local(self.graph, operands)
        matrix, flags, looked = self._known[given]
        if looked:
            return self.run(self.graph, operands)
        stacked = matrix @ scipy.sparse.vstack([x for x in operands if not is_given(x)], format="csr")
        outs, start = [], 0
        for flag, atom in zip(flags, self.graph.outputs):
            outs.append(stacked[start : start + atom.type.size] if flag else Given())
            start += atom.type.size if flag else 0
        return outs


def of_scan(
    run: Callable[..., list[Operand]],
    operands: Sequence[Operand],
    types: Types,
    outs: Types,
    *,
    graph: Graph,
    consts: int,
    carry: int,
    length: int,
    reverse: bool,
) -> list[Operand]:
    """The rule of `scan`."""
    constants, carried, xs = parts(operands, consts, carry)
    sizes = [v.type.size for v in graph.inputs[consts + carry :]]
    body = _Body(graph, run)
    rows: list[list[Operand]] = [[Given()] * length for _ in graph.outputs[carry:]]

    def slice_of(x: Operand, size: int, i: int) -> Operand:
        if not is_given(x):
            return x[i * size : (i + 1) * size]

        def element() -> Any:
            value = x.value()
            return None if value is None else value[i]

        return Given(element)

    for i in reversed(range(length)) if reverse else range(length):
        found = body([*constants, *carried, *(slice_of(x, n, i) for x, n in zip(xs, sizes))])
        carried = found[:carry]
        for row, y in zip(rows, found[carry:]):
            row[i] = y
    width = next(x.shape[1] for x in operands if not is_given(x))
    stacked = [_stacked(row, a.type.size, width) for row, a in zip(rows, graph.outputs[carry:])]
    return [*carried, *stacked]


def _stacked(rows: Sequence[Operand], size: int, width: int) -> Operand:
    if all(map(is_given, rows)):
        return Given()
    empty = nothing(size, width)
    return scipy.sparse.vstack([empty if is_given(r) else r for r in rows], format="csr")


def of_while(
    run: Callable[..., list[Operand]],
    operands: Sequence[Operand],
    types: Types,
    outs: Types,
    *,
    cond: Graph,
    body: Graph,
    cond_consts: int,
    body_consts: int,
) -> list[Operand]:
    """The rule of `while`."""
    _, constants, carried = parts(operands, cond_consts, body_consts)
    step = _Body(body, run)
    while True:
        start = [Given() if is_given(x) else x for x in carried]
        after = [union(pair) for pair in zip(start, step([*constants, *start]))]
        if all(is_given(y) or (not is_given(x) and x.nnz == y.nnz) for x, y in zip(carried, after)):
            return after
        carried = after


def of_cond(
    run: Callable[..., list[Operand]],
    operands: Sequence[Operand],
    types: Types,
    outs: Types,
    *,
    branches: tuple[Graph, ...],
) -> list[Operand]:
    """The rule of `cond`."""
    found = [run(branch, operands[1:]) for branch in branches]
    return [union(several) for several in zip(*found)]

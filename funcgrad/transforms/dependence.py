"""Which elements of a graph's outputs depend on which elements of its inputs: patterns of Jacobians.

A dependence is a boolean sparse matrix with one row for each element of a value, in row-major order, and one column
for each element that the question is about. It is handed through the equations, and may say too much, never too
little. How an equation hands it on is read off the same rule `lower` from which its kernel is made: the elements
that its scalar expression reads. Only operations that are no such expression have a rule `depends`, and without one
every element of an output depends on all of the operands.

Indices that are computed (of a gather, of a dynamic slice) are looked up where their values are known.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import scipy.sparse

from funcgrad import dtypes
from funcgrad.ir import expr as E
from funcgrad.ir.graph import Equation, Graph, Literal
from funcgrad.ir.primitive import primitive_named
from funcgrad.ir.types import ArrayType
from funcgrad.trace.graph_trace import trace_to_graph

Matrix = Any
"""A boolean scipy.sparse.csr_matrix."""


class Given:
    """A value on which no derivative depends. `value()` computes it when it is asked for; None where it is unknown."""

    __slots__ = ("_compute", "_value", "asked")

    def __init__(self, compute: Callable[[], Any] | None = None):
        self._compute = compute
        self._value: Any = None
        self.asked = False

    def value(self) -> Any:
        self.asked = True
        if self._compute is not None:
            self._value, self._compute = self._compute(), None
        return self._value


def known(value: Any) -> Given:
    """A Given of this value."""
    return Given(lambda: np.asarray(value))


Operand = Any
"""A `Given`, or a Matrix."""


def is_given(operand: Operand) -> bool:
    return operand.__class__ is Given


# ------------------------------------------------------------------------------------------------ graphs
def dependence(graph: Graph, operands: Sequence[Operand]) -> list[Operand]:
    """The dependences of a graph's outputs from those of its inputs."""
    env: dict[Any, Operand] = dict(zip(graph.inputs, operands))

    def read(atom: Any) -> Operand:
        return known(atom.value) if isinstance(atom, Literal) else env[atom]

    for equation in graph.equations:
        env.update(zip(equation.outputs, of_equation(equation, list(map(read, equation.inputs)))))
    return list(map(read, graph.outputs))


def of_equation(equation: Equation, operands: Sequence[Operand]) -> list[Operand]:
    """The dependences of an equation's outputs."""
    if all(map(is_given, operands)):
        return _computed(equation, operands)
    primitive, params = equation.primitive, equation.params
    types = [a.type for a in equation.inputs]
    outs = [v.type for v in equation.outputs]
    if primitive.depends is not None:
        found = primitive.depends(dependence, operands, types, outs, **params)
    elif primitive.expand is not None:
        found = _expanded(equation, operands, types)
    else:
        rule = primitive.lower
        one = outs if primitive.multiple_results else outs[0]
        found = None if rule is None else of_definition(rule(types, one, **params), operands, types, outs)
    if found is None:
        found = [everything(operands, t.size) for t in outs]
    return [x if is_given(x) or dtypes.is_inexact(t.dtype) else Given() for x, t in zip(found, outs)]


def _expanded(equation: Equation, operands: Sequence[Operand], types: Sequence[ArrayType]) -> list[Operand]:
    graph, expand = equation.params.get("graph"), equation.primitive.expand
    assert expand is not None
    if isinstance(graph, Graph):
        return dependence(graph, operands)
    closed = trace_to_graph(lambda *xs: expand(*xs, **equation.params), types, equation.primitive.name)
    return dependence(closed.graph, [*map(known, closed.constants), *operands])


def _computed(equation: Equation, operands: Sequence[Given]) -> list[Given]:
    """The outputs of an equation of which nothing is asked: computed together when one is needed."""
    primitive = equation.primitive

    def compute() -> list[Any]:
        values = [x.value() for x in operands]
        if any(v is None for v in values) or primitive.effect:
            return [None] * len(equation.outputs)
        values = [np.asarray(v, a.type.dtype) for v, a in zip(values, equation.inputs)]
        out = primitive.evaluate(np, *values, **equation.params)
        return list(out) if primitive.multiple_results else [out]

    together = Given(compute)
    return [Given(lambda k=k: together.value()[k]) for k in range(len(equation.outputs))]


# ---------------------------------------------------------------------------------------------- matrices
def identity(size: int) -> Matrix:
    """Each element depends on itself."""
    return _matrix(np.arange(size), np.arange(size + 1), (size, size))


def nothing(rows: int, columns: int) -> Matrix:
    return scipy.sparse.csr_matrix((rows, columns), dtype=bool)


def union(dependences: Sequence[Operand]) -> Operand:
    """Where any of these dependences of one value has an entry."""
    found = [x for x in dependences if not is_given(x)]
    if not found:
        return Given()
    total = found[0]
    for one in found[1:]:
        total = total if one is total else total + one
    return total


def everything(operands: Sequence[Operand], size: int) -> Operand:
    """Each of `size` elements depends on all that the operands depend on."""
    columns = np.unique(np.concatenate([x.indices for x in operands if not is_given(x)]))
    pointers = np.arange(size + 1) * len(columns)
    width = next((x.shape[1] for x in operands if not is_given(x)), 0)
    return _matrix(np.tile(columns, size).astype(np.intp), pointers, (size, width))


def along(axis: int):
    """The rule `depends` of an operation in which each line along an axis is for itself."""

    def depends(run: Any, operands: Sequence[Operand], types: Any, outs: Any, **params: Any) -> list[Operand]:
        return [_grouped(operands, types, out, lambda d: d != axis) for out in outs]

    return depends


def each_matrix(run: Any, operands: Sequence[Operand], types: Any, outs: Any, **params: Any) -> list[Operand]:
    """The rule `depends` of an operation on stacks of matrices or vectors, in which each is for itself."""
    batch = min(t.ndim for t in types) - 2
    batch = batch if batch > 0 and len({t.shape[:batch] for t in (*types, *outs)}) == 1 else 0
    return [_grouped(operands, types, out, lambda d: d < batch) for out in outs]


def _grouped(
    operands: Sequence[Operand],
    types: Sequence[ArrayType],
    out: ArrayType,
    apart: Callable[[int], bool],
) -> Operand:
    """Each element depends on all those whose indices are the same in the dimensions that are `apart`."""
    parts = []
    for x, t in zip(operands, types):
        if not is_given(x):
            kept = [d for d in range(t.ndim) if apart(d)]
            number = {d: k for k, d in enumerate([*kept, *(d for d in range(t.ndim) if d not in kept)])}
            groups = tuple([t.shape[d] for d in kept])
            index = tuple([E.axis(number[d]) for d in range(t.ndim)])
            mixed = tuple([t.shape[d] for d in range(t.ndim) if d not in kept])
            summed = reading(x, t.shape, index, (), groups, mixed)
            parts.append(reading(summed, groups, tuple(map(E.axis, kept)), (), out.shape, ()))
    return union(parts)


def _matrix(columns: Any, pointers: Any, shape: tuple[int, int]) -> Matrix:
    return scipy.sparse.csr_matrix((np.ones(len(columns), bool), columns, pointers), shape)


# ------------------------------------------------------------------------------------------- definitions
def of_definition(
    definition: Any, operands: Sequence[Operand], types: Sequence[ArrayType], outs: Sequence[ArrayType]
) -> list[Operand] | None:
    """What a lowering rule's definition says; None where it does not tell."""
    out = outs[0]
    if isinstance(definition, E.Dot):
        sides = _dot(definition, types)
        return [union([_side(x, s, t, out) for x, s, t in zip(operands, sides, types)])]
    if not isinstance(definition, E.Map | E.Reduce | E.Scatter):
        return None
    try:
        if isinstance(definition, E.Scatter):
            return [_scatter(definition, operands, types, out)]
        extents = definition.extents if isinstance(definition, E.Reduce) else ()
        parts = [
            reading(operands[k], types[k].shape, index, bounds, out.shape, extents, operands)
            for k, index, bounds in _reads(definition.expr, operands)
        ]
    except _Unknown:
        return None
    width = next(x.shape[1] for x in operands if not is_given(x))
    return [union(parts) if parts else nothing(out.size, width)]


class _Unknown(Exception):
    """An index depends on a value that is not known here."""


Bounds = tuple[tuple[E.Index, int, int], ...]


def _reads(
    expression: E.Expr, operands: Sequence[Operand], bounds: Bounds = ()
) -> Iterator[tuple[int, tuple[E.Index, ...], Bounds]]:
    """The elements of operands with a dependence that an expression reads, and where; each once."""
    seen = set()
    waiting = [(expression, bounds)]
    while waiting:
        item = waiting.pop()
        if item in seen:
            continue
        seen.add(item)
        e, bounds = item
        if isinstance(e, E.Read):
            if not is_given(operands[e.operand]):
                yield e.operand, e.index, bounds
        elif isinstance(e, E.Op):
            waiting.extend((a, bounds) for a in e.args)
        elif isinstance(e, E.Guard):
            waiting += [(e.inside, (*bounds, *e.bounds)), (e.outside, bounds)]


def reading(
    operand: Matrix,
    shape: tuple[int, ...],
    index: tuple[E.Index, ...],
    bounds: Bounds,
    out: tuple[int, ...],
    extents: tuple[int, ...],
    operands: Sequence[Operand] = (),
) -> Matrix:
    """The dependence of a value of shape `out`, each element of which reads `operand` (of `shape`) at `index`, for all
    reduced axes `extents`, where the bounds hold."""
    if shape == out and not bounds and not extents and index == E.axes(len(out)):
        return operand
    grid = (*out, *extents)
    columns, inside = _positions(index, bounds, shape, grid, operands)
    rows = math.prod(out)
    each = math.prod(extents)
    if inside is None:
        columns, pointers = columns.reshape(-1), np.arange(rows + 1) * each
    else:
        counts = inside.reshape(rows, each).sum(1) if each else np.zeros(rows, int)
        columns, pointers = columns[inside], np.concatenate([[0], np.cumsum(counts)])
    return _matrix(columns, pointers, (rows, math.prod(shape))) @ operand


def _positions(
    index: Sequence[E.Index],
    bounds: Bounds,
    shape: Sequence[int],
    grid: tuple[int, ...],
    operands: Sequence[Operand],
) -> tuple[np.ndarray, np.ndarray | None]:
    """For each point of the grid the flat position in an array of `shape`, and where it is one (None: everywhere)."""
    axes = [
        np.arange(n, dtype=np.intp).reshape([-1 if d == k else 1 for d in range(len(grid))])
        for k, n in enumerate(grid)
    ]
    values = _Values(axes, operands)
    inside: Any = True
    for i, low, high in bounds:
        v = values.index(i)
        inside = inside & (v >= low) & (v < high)
    flat: Any = np.zeros((), np.intp)
    for i, n in zip(index, shape):
        v = values.index(i)
        low, high = E.index_range(i, grid)
        if low < 0 or high >= n:
            inside = inside & (v >= 0) & (v < n)
        flat = flat * n + v
    columns = np.broadcast_to(flat, grid)
    if inside is True or np.all(inside):
        return columns, None
    return columns, np.broadcast_to(inside, grid)


class _Values:
    """Indices and integer expressions as arrays over a grid, each of as few axes as it needs."""

    def __init__(self, axes: Sequence[np.ndarray], operands: Sequence[Operand]):
        self.axes, self.operands = axes, operands

    def index(self, index: E.Index) -> np.ndarray:
        total: Any = np.asarray(index.constant, np.intp)
        for atom, c in index.terms:
            total = total + c * self.atom(atom)
        return total

    def atom(self, atom: E.IndexAtom) -> np.ndarray:
        if isinstance(atom, E.Axis):
            return self.axes[atom.number]
        if isinstance(atom, E.FloorDiv):
            return self.index(atom.index) // atom.by
        if isinstance(atom, E.Mod):
            return self.index(atom.index) % atom.by
        if isinstance(atom, E.Clamp):
            return np.clip(self.index(atom.index), atom.low, atom.high)
        return self.scalar(atom.expr).astype(np.intp)

    def scalar(self, e: E.Expr) -> np.ndarray:
        if isinstance(e, E.Const):
            return np.asarray(e.value, e.dtype)
        if isinstance(e, E.FromIndex):
            return self.index(e.index).astype(e.dtype)
        if isinstance(e, E.Op) and isinstance(e.code, str):
            args = np.broadcast_arrays(*map(self.scalar, e.args))
            if e.code == "convert":
                return args[0].astype(e.dtype)
            return np.asarray(primitive_named(e.code).evaluate(np, *args), e.dtype)
        if isinstance(e, E.Read) and is_given(self.operands[e.operand]):
            value = self.operands[e.operand].value()
            if value is not None:
                places = [np.clip(self.index(i), 0, n - 1) for i, n in zip(e.index, value.shape)]
                return np.asarray(value)[tuple(np.broadcast_arrays(*places))] if places else np.asarray(value)
        raise _Unknown


def _scatter(
    definition: E.Scatter, operands: Sequence[Operand], types: Sequence[ArrayType], out: ArrayType
) -> Operand:
    columns, inside = _positions(
        definition.target, definition.bounds, out.shape, definition.extents, operands
    )
    columns = columns.reshape(-1)
    number = np.arange(columns.size)
    if inside is not None:
        number = np.flatnonzero(inside)
        columns = columns[number]
    parts = []
    for k, index, bounds in _reads(definition.value, operands):
        update = reading(operands[k], types[k].shape, index, bounds, definition.extents, (), operands)
        place = (np.ones(len(columns), bool), (columns, number))
        parts.append(scipy.sparse.csr_matrix(place, (out.size, update.shape[0])) @ update)
    before = operands[definition.operand]
    if not is_given(before):
        if definition.kind == "set":
            kept = np.ones(out.size, bool)
            kept[columns] = False
            before = scipy.sparse.csr_matrix(scipy.sparse.diags(kept, dtype=bool)) @ before
        parts.append(before)
    return union(parts)


def _dot(dot: E.Dot, types: Sequence[ArrayType]) -> list[tuple[tuple[int, ...], ...]]:
    """For each side of a product its dimensions (batch, free, contracting), and where the output has its free ones."""
    sides = []
    for t, batch, contracting in (
        (types[0], dot.lhs_batch, dot.lhs_contracting),
        (types[1], dot.rhs_batch, dot.rhs_contracting),
    ):
        free = tuple([d for d in range(t.ndim) if d not in batch and d not in contracting])
        sides.append((batch, free, contracting))
    first, second = (len(s[1]) for s in sides)
    count = len(dot.lhs_batch)
    places = (tuple(range(count, count + first)), tuple(range(count + first, count + first + second)))
    return [(*s, p) for s, p in zip(sides, places)]


def _side(operand: Operand, side: Any, t: ArrayType, out: ArrayType) -> Operand:
    """What the output of a product depends on by one of its operands: a sum over what is contracted, then repeated."""
    if is_given(operand):
        return operand
    batch, free, contracting, places = side
    kept = (*batch, *free)
    number = {d: k for k, d in enumerate((*kept, *contracting))}
    shape = tuple([t.shape[d] for d in kept])
    index = tuple([E.axis(number[d]) for d in range(t.ndim)])
    summed = reading(operand, t.shape, index, (), shape, tuple([t.shape[d] for d in contracting]))
    where = tuple([E.axis(d) for d in (*range(len(batch)), *places)])
    return reading(summed, shape, where, (), out.shape, ())


# ------------------------------------------------------------------------------------------------ bodies
def local(graph: Graph, operands: Sequence[Operand]) -> tuple[Matrix, list[bool], bool]:
    """How a body hands on dependences: the matrix from all elements of those inputs that have one to all of those
    outputs that have one, which outputs these are, and whether a value of a Given was looked at."""
    sizes = [v.type.size for v in graph.inputs]
    moving = [not is_given(x) for x in operands]
    total = sum(n for n, m in zip(sizes, moving) if m)
    eye, start, given = identity(total), 0, []
    for x, n, m in zip(operands, sizes, moving):
        given.append(eye[start : start + n] if m else x)
        start += n if m else 0
    outs = dependence(graph, given)
    parts = [x for x in outs if not is_given(x)]
    matrix = scipy.sparse.vstack(parts, format="csr") if parts else nothing(0, total)
    return matrix, [not is_given(x) for x in outs], any(is_given(x) and x.asked for x in operands)

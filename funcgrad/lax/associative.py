"""`associative_scan`: a composition of scans and slices, with no primitive of its own."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from funcgrad import tree
from funcgrad.errors import ArgumentError, AxisError, ShapeError, boundary
from funcgrad.flat import check_function, check_operands, name_of
from funcgrad.ir.small import is_small
from funcgrad.ir.types import ArrayType
from funcgrad.lax.control import scan
from funcgrad.trace import ops
from funcgrad.trace.core import type_of
from funcgrad.trace.graph_trace import trace_to_graph
from funcgrad.tree import keystr

F = Callable[..., Any]


@boundary
def associative_scan(fn: F, elems: Any, reverse: bool = False, axis: int = 0) -> Any:
    """All prefixes combined by `fn`, which has to be associative.

    Element k of the result is `fn(...fn(fn(e0, e1), e2)..., ek)`, with the brackets where they are convenient. `fn`
    works on any number of elements along `axis` at once; with `reverse` the combination starts from the end. Where
    `fn` works on few numbers, pieces are combined one element after the other, all pieces in parallel; else
    neighbours are, in a logarithmic number of rounds (Blelloch, Prefix sums and their applications, 1990).

    >>> import funcgrad as fg
    >>> fg.lax.associative_scan(fg.numpy.add, fg.numpy.arange(4.0))
    Array([0., 1., 3., 6.], dtype=float32)
    """
    check_function("associative_scan", "fn", fn)
    check_operands(fn, (elems,), {}, "associative_scan")
    leaves, structure = tree.flatten(elems)
    if not leaves:
        raise ArgumentError("associative_scan: there are no elements")
    axes = []
    for path, leaf in tree.leaves_with_path(elems):
        ndim = type_of(leaf).ndim
        if not -ndim <= axis < ndim:
            raise AxisError(
                f"associative_scan: elems{keystr(path)} is {type_of(leaf)} and has no axis {axis}"
            )
        axes.append(axis % ndim)
    lengths = {type_of(x).shape[a] for x, a in zip(leaves, axes)}
    if len(lengths) > 1:
        raise ShapeError(f"associative_scan: the lengths along axis {axis} differ: {sorted(lengths)}")
    work = _AssociativeScan(fn, structure, axes)
    if reverse:
        leaves = [ops.rev(x, (a,)) for x, a in zip(leaves, axes)]
    (length,) = lengths
    outs = (work.by_pieces if length > 2 and work.has_few_numbers(leaves) else work.by_pairs)(leaves, length)
    if reverse:
        outs = [ops.rev(x, (a,)) for x, a in zip(outs, axes)]
    return structure.unflatten(outs)


class _AssociativeScan:
    """`by_pairs` combines neighbours, scans the half as many results, and fills in the prefixes between; `by_pieces`
    finds what the elements of each piece come to, scans that, and goes through each piece again from there."""

    def __init__(self, fn: F, structure: Any, axes: list[int]):
        self.fn, self.structure, self.axes = fn, structure, axes

    def combine(self, a: list[Any], b: list[Any]) -> list[Any]:
        unflatten = self.structure.unflatten
        result = self.fn(unflatten(a), unflatten(b))
        outs, found = tree.flatten(result)
        if found != self.structure or any(type_of(o).shape != type_of(x).shape for o, x in zip(outs, a)):
            raise ShapeError(
                f"associative_scan: {name_of(self.fn)} has to return what it takes: it was given "
                f"{[str(type_of(x)) for x in a]} and returned {[str(type_of(o)) for o in outs]}",
                hint="it is called with many elements at once, along the axis of the scan",
            )
        return outs

    def cut(self, xs: list[Any], start: int, stop: int, stride: int = 1) -> list[Any]:
        return [ops.slice_in_dim(x, start, stop, stride, a) for x, a in zip(xs, self.axes)]

    def by_pairs(self, xs: list[Any], n: int) -> list[Any]:
        if n < 2:
            return xs
        half = n // 2
        pairs = self.combine(self.cut(xs, 0, 2 * half, 2), self.cut(xs, 1, 2 * half, 2))
        odd = self.by_pairs(pairs, half)
        first = self.cut(xs, 0, 1)
        later = (n - 1) // 2  # prefixes that end at an even place other than 0
        if later == 0:
            even = first
        else:
            inner = self.combine(self.cut(odd, 0, later), self.cut(xs, 2, n, 2))
            even = [ops.concatenate([f, i], a) for f, i, a in zip(first, inner, self.axes)]
        return [self.interleave(e, o, a, n) for e, o, a in zip(even, odd, self.axes)]

    def interleave(self, even: Any, odd: Any, axis: int, n: int) -> Any:
        shape = type_of(even).shape
        if n % 2:
            ends = [(0, int(d == axis), 0) for d in range(len(shape))]
            odd = ops.pad(odd, 0 if type_of(odd).dtype.kind != "b" else False, ends)
        both = ops.concatenate(
            [ops.expand_dims(even, (axis + 1,)), ops.expand_dims(odd, (axis + 1,))], axis + 1
        )
        merged = ops.reshape(both, (*shape[:axis], 2 * shape[axis], *shape[axis + 1 :]))
        return ops.slice_in_dim(merged, 0, n, 1, axis)

    def has_few_numbers(self, xs: list[Any]) -> bool:
        """Whether `fn` works on few numbers for each element, and gives the dtypes that it takes."""
        types = [
            ArrayType((*t.shape[:a], 1, *t.shape[a + 1 :]), t.dtype)
            for t, a in zip(map(type_of, xs), self.axes)
        ]

        def both(*values: Any) -> list[Any]:
            return self.combine(list(values[: len(xs)]), list(values[len(xs) :]))

        graph = trace_to_graph(both, [*types, *types], name_of(self.fn)).graph
        same = all(a.dtype == b.dtype for a, b in zip(graph.out_types, types))
        return same and is_small(graph)

    def by_pieces(self, xs: list[Any], n: int) -> list[Any]:
        found = self.leading([ops.moveaxis(x, a, 0) for x, a in zip(xs, self.axes)], n)
        return [ops.moveaxis(x, 0, a) for x, a in zip(found, self.axes)]

    def leading(self, xs: list[Any], n: int) -> list[Any]:
        """All prefixes of elements along the leading axis."""
        if n <= _LONGEST_PIECE:
            return self.piece(_anything(xs), False, xs)[1]
        length = _length_of_pieces(n)
        count = n // length
        whole = count * length
        pieces = [ops.reshape(x[:whole], (count, length, *type_of(x).shape[1:])) for x in xs]
        comes_to = scan(lambda _, x: ((), self.piece(_anything(x), False, x)[0]), (), pieces)[1]
        ends = self.leading(comes_to, count)
        before = [ops.concatenate([x[:1], e[:-1]], 0) for x, e in zip(xs, ends)]
        begun = np.arange(count) > 0
        found = scan(lambda _, x: ((), self.piece(*x)[1]), (), (before, begun, pieces))[1]
        found = [ops.reshape(y, (whole, *type_of(x).shape[1:])) for x, y in zip(xs, found)]
        if whole == n:
            return found
        rest = self.piece([e[-1] for e in ends], True, [x[whole:] for x in xs])[1]
        return [ops.concatenate(both, 0) for both in zip(found, rest)]

    def piece(self, before: list[Any], begun: Any, xs: list[Any]) -> tuple[list[Any], list[Any]]:
        """The last prefix of the elements `xs` and all of them, one after the other, from what comes `before` them,
        which only counts where `begun`."""

        def step(state: tuple[list[Any], Any], x: list[Any]):
            before, begun = state
            a, b = ([ops.expand_dims(v, (a,)) for v, a in zip(vs, self.axes)] for vs in (before, x))
            both = [ops.reshape(v, type_of(one).shape) for v, one in zip(self.combine(a, b), x)]
            chosen = [
                ops.select(ops.broadcast_to(begun, type_of(v).shape), v, one) for v, one in zip(both, x)
            ]
            return (chosen, True), chosen

        (last, _), prefixes = scan(step, (before, begun), xs)
        return last, prefixes


def _anything(xs: list[Any]) -> list[Any]:
    """Values that stand before the first element and are never used."""
    return [ops.apply("stop_gradient", x[0]) for x in xs]


_LONGEST_PIECE = 2048
"""Elements that are combined one after the other rather than in several pieces."""


def _length_of_pieces(n: int) -> int:
    """About the square root of `n`, and if possible a divisor of it."""
    root = math.isqrt(n)
    return next((k for k in range(root, root // 4, -1) if n % k == 0), root)

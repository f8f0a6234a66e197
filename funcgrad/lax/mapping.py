"""`map` and `associative_scan`: compositions of scans, batches and slices, with no primitive of their own."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

from funcgrad import tree
from funcgrad.batching import vmap
from funcgrad.errors import ArgumentError, AxisError, ShapeError, boundary
from funcgrad.flat import check_operands, name_of
from funcgrad.lax.bodies import check_function
from funcgrad.lax.control import scan
from funcgrad.trace import ops
from funcgrad.trace.core import type_of
from funcgrad.tree import keystr

F = Callable[..., Any]


@boundary
def map(f: F, xs: Any, *, batch_size: int | None = None) -> Any:
    """`f` of each slice of `xs` along the leading axis, one after the other, with the results stacked.

    With `batch_size`, so many slices at a time are computed by `vmap`: less memory than `vmap` of all of them.

    >>> import funcgrad as fg
    >>> fg.lax.map(lambda x: x * x, fg.numpy.arange(3.0))
    Array([0., 1., 4.], dtype=float32)
    """
    check_function("map", "f", f)
    if batch_size is None:
        return scan(lambda _, x: ((), f(x)), (), xs)[1]
    size = operator.index(batch_size)
    if size < 1:
        raise ArgumentError(f"map: batch_size has to be at least 1, got {batch_size}")
    check_operands(f, (xs,), {}, "map")
    lengths = {type_of(x).shape[:1] for x in tree.leaves(xs)}
    if len(lengths) != 1 or () in lengths:
        raise ShapeError(f"map: the leading axes of xs have to be equal, got {sorted(lengths)}")
    ((length,),) = lengths
    full = length // size * size
    batched = vmap(f)

    def rows(x: Any, start: int, stop: int) -> Any:
        return ops.slice_in_dim(x, start, stop)

    parts = []
    if full:
        grouped = tree.map(
            lambda x: ops.reshape(rows(x, 0, full), (full // size, size, *type_of(x).shape[1:])), xs
        )
        outs = scan(lambda _, x: ((), batched(x)), (), grouped)[1]
        parts.append(tree.map(lambda y: ops.reshape(y, (full, *type_of(y).shape[2:])), outs))
    if full < length or not full:
        parts.append(batched(tree.map(lambda x: rows(x, full, length), xs)))
    return parts[0] if len(parts) == 1 else tree.map(lambda a, b: ops.concatenate([a, b], 0), *parts)


@boundary
def associative_scan(fn: F, elems: Any, reverse: bool = False, axis: int = 0) -> Any:
    """All prefixes combined by `fn`, which has to be associative, in a logarithmic number of rounds.

    Element k of the result is `fn(...fn(fn(e0, e1), e2)..., ek)`. `fn` works on whole arrays of elements along
    `axis` at once; with `reverse` the combination starts from the end.

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
    outs = work.prefixes(leaves, lengths.pop())
    if reverse:
        outs = [ops.rev(x, (a,)) for x, a in zip(outs, axes)]
    return structure.unflatten(outs)


class _AssociativeScan:
    """Combines neighbours, scans the half as many results, and fills in the prefixes between."""

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

    def prefixes(self, xs: list[Any], n: int) -> list[Any]:
        if n < 2:
            return xs
        half = n // 2
        pairs = self.combine(self.cut(xs, 0, 2 * half, 2), self.cut(xs, 1, 2 * half, 2))
        odd = self.prefixes(pairs, half)
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

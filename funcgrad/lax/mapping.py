"""`map`: a composition of scans, batches and slices, with no primitive of its own."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

from funcgrad import tree
from funcgrad.batching import vmap
from funcgrad.errors import ArgumentError, ShapeError, boundary
from funcgrad.flat import check_function, check_operands
from funcgrad.lax.control import scan
from funcgrad.trace import ops
from funcgrad.trace.core import type_of

F = Callable[..., Any]


@boundary
def map(f: F, xs: Any, *, batch_size: int | None = None) -> Any:
    """`f` of each slice of `xs` along the leading axis, one after the other, with the results stacked.

    With `batch_size`, so many slices at a time are computed by `vmap`: less memory than `vmap` of all of them. 0 is
    all of them at once.

    >>> import funcgrad as fg
    >>> fg.lax.map(lambda x: x * x, fg.numpy.arange(3.0))
    Array([0., 1., 4.], dtype=float32)
    """
    check_function("map", "f", f, ["one slice of xs"])
    if batch_size is None:
        return scan(lambda _, x: ((), f(x)), (), xs)[1]
    size = operator.index(batch_size)
    if size < 0:
        raise ArgumentError(f"map: batch_size has to be at least 0, got {batch_size}")
    check_operands(f, (xs,), {}, "map")
    lengths = {type_of(x).shape[:1] for x in tree.leaves(xs)}
    if len(lengths) != 1 or () in lengths:
        raise ShapeError(f"map: the leading axes of xs have to be equal, got {sorted(lengths)}")
    ((length,),) = lengths
    full = length // size * size if size else 0
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

"""Finding elements: nonzero and its like. How many there are depends on values, which have to be known."""

from __future__ import annotations

from typing import Any

import numpy as np

from funcgrad import dtypes
from funcgrad.array import Array
from funcgrad.errors import boundary
from funcgrad.numpy.creation import asarray
from funcgrad.promotion import check_arrays
from funcgrad.trace import ops
from funcgrad.trace.core import Tracer, type_of


@boundary
def nonzero(a: Any, *, size: int | None = None, fill_value: Any = None) -> tuple[Any, ...]:
    """For each axis the positions of the elements that are not zero. `size` pads or cuts them to a length.

    The number of positions depends on the values, so without `size` the values of `a` have to be known.

    >>> import funcgrad.numpy as jnp
    >>> [x.tolist() for x in jnp.nonzero(jnp.array([0, 5, 7]))]
    [[1, 2]]
    """
    check_arrays("nonzero", a)
    if isinstance(a, Tracer) and size is not None:
        return _nonzero_traced(a, size, fill_value)
    if isinstance(a, Tracer):
        a = a.concrete(
            "nonzero (or where with one argument), whose length depends on the elements,",
            "give size=, the length of the result; or use where(condition, x, y)",
        )
    found = np.nonzero(np.asarray(a))
    if size is not None:
        fills = fill_value if isinstance(fill_value, tuple) else (fill_value or 0,) * len(found)
        found = tuple(
            np.concatenate([f[:size], np.full(max(size - len(f), 0), fill)]) for f, fill in zip(found, fills)
        )
    return tuple([Array(f.astype(dtypes.default_int())) for f in found])


def _nonzero_traced(a: Any, size: int, fill_value: Any) -> tuple[Any, ...]:
    t, integer = type_of(a), dtypes.default_int()
    fills = fill_value if isinstance(fill_value, tuple) else (fill_value or 0,) * t.ndim
    flat = ops.ne(ops.reshape(a, (t.size,)), t.dtype.type(0))
    position = ops.iota(integer, (t.size,), 0)
    (places,) = ops.apply("sort", ops.select(flat, position, t.size), dimension=0, is_stable=True, num_keys=1)
    if size <= t.size:
        places = ops.slice_in_dim(places, 0, size)
    else:
        places = ops.pad(places, integer.type(t.size), [(0, size - t.size, 0)])
    found, rest, results = ops.lt(places, t.size), places, []
    for extent in reversed(t.shape):
        results.append(ops.rem(rest, max(extent, 1)))
        rest = ops.div(rest, max(extent, 1))
    return tuple([ops.select(found, r, fill) for r, fill in zip(reversed(results), fills)])


@boundary
def flatnonzero(a: Any, *, size: int | None = None, fill_value: Any = None) -> Any:
    """The positions in the flat array of the elements that are not zero; see `nonzero`."""
    return nonzero(ops.reshape(asarray(a), (type_of(a).size,)), size=size, fill_value=fill_value)[0]


@boundary
def argwhere(a: Any, *, size: int | None = None, fill_value: Any = None) -> Any:
    """The positions of the elements that are not zero, as rows; see `nonzero`.

    >>> import funcgrad.numpy as jnp
    >>> jnp.argwhere(jnp.array([0, 5, 0, 7])).tolist()
    [[1], [3]]
    """
    if type_of(a).ndim == 0:
        return argwhere(ops.reshape(a, (1,)), size=size)[:, :0]
    found = nonzero(a, size=size, fill_value=fill_value)
    if found and isinstance(found[0], Tracer):
        return ops.concatenate([ops.expand_dims(f, (1,)) for f in found], 1)
    return Array(np.stack([f._data for f in found], 1))

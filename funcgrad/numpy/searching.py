"""Finding elements: nonzero and its like. How many there are depends on values, which have to be known."""

from __future__ import annotations

from typing import Any

import numpy as np

from funcgrad import dtypes
from funcgrad.array import Array
from funcgrad.errors import boundary
from funcgrad.numpy.creation import asarray
from funcgrad.numpy.promotion import check_arrays
from funcgrad.trace import ops
from funcgrad.trace.core import Tracer, type_of


@boundary
def nonzero(a: Any, *, size: int | None = None, fill_value: Any = None) -> tuple[Any, ...]:
    """For each axis the positions of the elements that are not zero. `size` pads or cuts them to a length.

    The number of positions depends on the values, so `a` has to be known: inside jit this raises.
    """
    check_arrays("nonzero", a)
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


@boundary
def flatnonzero(a: Any, *, size: int | None = None, fill_value: Any = None) -> Any:
    """The positions in the flat array of the elements that are not zero; see `nonzero`."""
    return nonzero(ops.reshape(asarray(a), (type_of(a).size,)), size=size, fill_value=fill_value)[0]


@boundary
def argwhere(a: Any, *, size: int | None = None, fill_value: Any = None) -> Any:
    """The positions of the elements that are not zero, as rows; see `nonzero`."""
    found = nonzero(a, size=size, fill_value=fill_value)
    return (
        Array(np.stack([f._data for f in found], 1))
        if found
        else Array(np.zeros((int(bool(a)), 0), np.int64))
    )

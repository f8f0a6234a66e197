"""Trees of arrays as one vector, under the name of `jax.flatten_util`."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import accumulate
from typing import Any

from funcgrad import dtypes, tree
from funcgrad.errors import DTypeError, ShapeError, boundary
from funcgrad.promotion import check_arrays
from funcgrad.trace import ops
from funcgrad.trace.core import type_of


@boundary
def ravel_pytree(pytree: Any) -> tuple[Any, Callable[[Any], Any]]:
    """All elements of a tree of arrays as one vector, and the function that makes the tree of such a vector.

    Leaves of several dtypes are promoted in the vector and come back in their own.

    >>> import funcgrad as fg
    >>> vector, unravel = fg.flatten_util.ravel_pytree({"a": fg.numpy.ones(2), "b": 3.0})
    >>> vector
    Array([1., 1., 3.], dtype=float32)
    >>> unravel(vector * 2)
    {'a': Array([2., 2.], dtype=float32), 'b': Array(6., dtype=float32)}
    """
    leaves, structure = tree.flatten(pytree)
    types = check_arrays("ravel_pytree", *leaves)
    shapes, own = [t.shape for t in types], [t.dtype for t in types]
    ends = list(accumulate(math.prod(s) for s in shapes))
    size = ends[-1] if ends else 0
    dtype = dtypes.promote(*[(t.dtype, t.weak) for t in types])[0] if types else dtypes.default_float()
    parts = [
        ops.reshape(ops.convert(x, dtype), (math.prod(s),)) for x, s in zip(leaves, shapes) if math.prod(s)
    ]
    if not parts:
        vector = ops.full((0,), 0, dtype)
    else:
        vector = parts[0] if len(parts) == 1 else ops.concatenate(parts, 0)

    @boundary
    def unravel(vector: Any) -> Any:
        """The tree whose elements are those of `vector`."""
        (t,) = check_arrays("unravel", vector)
        if t.shape != (size,):
            raise ShapeError(
                f"unravel takes a vector of {size} elements, got {t}",
                hint="give a vector like that of ravel_pytree; under vmap one for each example",
            )
        if not dtypes.one_in_jax(t.dtype, dtype):
            raise DTypeError(
                f"unravel takes a vector of {dtype.name}, got {t}", hint="convert it with .astype"
            )
        restored = []
        for shape, leaf_dtype, end in zip(shapes, own, ends):
            part = ops.slice_in_dim(vector, end - math.prod(shape), end)
            if dtypes.is_complex(type_of(part).dtype) and not dtypes.is_complex(leaf_dtype):
                part = ops.real(part)
            restored.append(ops.convert(ops.reshape(part, shape), leaf_dtype))
        return structure.unflatten(restored)

    return vector, unravel

"""Reductions and contractions under the names of `jax.lax`. Owns the list of known monoids of `reduce`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from funcgrad import dtypes, tree
from funcgrad.errors import ArgumentError, ShapeError, boundary
from funcgrad.lax.elementwise import same_dtype
from funcgrad.lax.shape import normal_axes, normal_axis
from funcgrad.numpy.promotion import check_arrays
from funcgrad.trace import ops
from funcgrad.trace.core import type_of
from funcgrad.trace.graph_trace import trace_to_graph


def _reduction(name: str, operation: Callable[..., Any], doc: str) -> Callable[..., Any]:
    @boundary
    def function(operand: Any, axes: Sequence[int]) -> Any:
        (t,) = check_arrays(f"lax.{name}", operand)
        axes = normal_axes(axes, t.ndim, name)
        return operation(operand, axes) if axes else operand

    function.__name__ = function.__qualname__ = name
    function.__doc__ = doc
    return function


reduce_sum = _reduction("reduce_sum", ops.reduce_sum, "The sum over `axes`.")
reduce_prod = _reduction("reduce_prod", ops.reduce_prod, "The product over `axes`.")
reduce_max = _reduction("reduce_max", ops.reduce_max, "The largest element over `axes`.")
reduce_min = _reduction("reduce_min", ops.reduce_min, "The smallest element over `axes`.")
reduce_and = _reduction("reduce_and", ops.reduce_and, "Whether all are true; of integers, their &.")
reduce_or = _reduction("reduce_or", ops.reduce_or, "Whether any is true; of integers, their |.")

_MONOIDS: dict[str, tuple[Callable[..., Any], Callable[..., Any]]] = {
    "add": (reduce_sum, ops.add),
    "mul": (reduce_prod, ops.mul),
    "max": (reduce_max, ops.max_),
    "min": (reduce_min, ops.min_),
    "and": (reduce_and, ops.and_),
    "or": (reduce_or, ops.or_),
}


@boundary
def reduce(
    operands: Any, init_values: Any, computation: Callable[[Any, Any], Any], dimensions: Sequence[int]
) -> Any:
    """The operands combined over `dimensions` by `computation`, beginning from `init_values`.

    `computation` has to be one operation of add, mul, max, min, and, or (`lax.add`, `lambda a, b: a + b`,
    ...), for each leaf of `operands` the same.
    """
    leaves, structure = tree.flatten(operands)
    starts = tree.leaves(init_values)
    if len(starts) != len(leaves):
        raise ArgumentError(f"lax.reduce: {len(starts)} initial values for {len(leaves)} arrays")
    outs = []
    for x, start in zip(leaves, starts):
        x, start = same_dtype("reduce", x, start)
        whole, combine = _MONOIDS[monoid_of(computation, type_of(x).dtype, structure, len(leaves))]
        outs.append(combine(whole(x, dimensions), start))
    return structure.unflatten(outs)


def monoid_of(
    computation: Callable[..., Any], dtype: np.dtype, structure: Any, count: int, strict: bool = True
) -> str | None:
    """The name of the one operation that `computation` is; ArgumentError (None unless `strict`) for any other."""
    scalar = type_of(dtype.type(0))

    def flat(*values: Any) -> list[Any]:
        halves = values[:count], values[count:]
        return tree.leaves(computation(*[structure.unflatten(h) for h in halves]))

    graph = trace_to_graph(flat, [scalar] * (2 * count), "reduction").graph
    names = {e.primitive.name for e in graph.equations}
    if len(names) == 1 and len(graph.equations) == count and names <= set(_MONOIDS):
        return names.pop()
    if not strict:
        return None
    raise ArgumentError(
        f"lax.reduce with a computation of {', '.join(sorted(names)) or 'no operation'}",
        hint=f"it can be one of {', '.join(_MONOIDS)}; write others with vmap and a fold",
    )


def _index_reduction(name: str, operation: Callable[..., Any], doc: str) -> Callable[..., Any]:
    @boundary
    def function(operand: Any, axis: int, index_dtype: Any) -> Any:
        (t,) = check_arrays(f"lax.{name}", operand)
        return operation(operand, normal_axis(axis, t.ndim, name), dtypes.as_dtype(index_dtype))

    function.__name__ = function.__qualname__ = name
    function.__doc__ = doc
    return function


argmax = _index_reduction("argmax", ops.argmax, "The position of the first largest element along `axis`.")
argmin = _index_reduction("argmin", ops.argmin, "The position of the first smallest element along `axis`.")

# ------------------------------------------------------------------------------------------ contractions

DotDimensionNumbers = tuple[
    tuple[Sequence[int], Sequence[int]],
    tuple[Sequence[int], Sequence[int]],
]


class Precision:
    """Of products of float32: accepted for JAX's sake; on the CPU all are computed in full."""

    DEFAULT = "default"
    HIGH = "high"
    HIGHEST = "highest"


@boundary
def dot_general(
    lhs: Any,
    rhs: Any,
    dimension_numbers: Any,
    precision: Any = None,
    preferred_element_type: Any = None,
    out_sharding: None = None,
) -> Any:
    """The sum of products over contracted axes, for each index of batch axes.

    `dimension_numbers` is ((lhs contracted, rhs contracted), (lhs batch, rhs batch)). The result has the
    batch axes, then what is left of `lhs`, then what is left of `rhs`.
    """
    lhs, rhs = same_dtype("dot_general", lhs, rhs)
    preferred = None if preferred_element_type is None else dtypes.as_dtype(preferred_element_type)
    return ops.dot_general(lhs, rhs, dimension_numbers, preferred)


@boundary
def dot(lhs: Any, rhs: Any, precision: Any = None, preferred_element_type: Any = None) -> Any:
    """The product of vectors and matrices."""
    left, right = check_arrays("lax.dot", lhs, rhs)
    if not (1 <= left.ndim <= 2 and 1 <= right.ndim <= 2):
        raise ShapeError(
            f"lax.dot takes vectors and matrices, got {left} and {right}",
            hint="use lax.dot_general, lax.batch_matmul or funcgrad.numpy.matmul",
        )
    numbers = (((left.ndim - 1,), (0,)), ((), ()))
    return dot_general(lhs, rhs, numbers, precision, preferred_element_type)


@boundary
def batch_matmul(lhs: Any, rhs: Any, precision: Any = None) -> Any:
    """The product of each pair of matrices in two arrays with equal leading axes."""
    left, right = check_arrays("lax.batch_matmul", lhs, rhs)
    if left.ndim < 2 or left.ndim != right.ndim:
        raise ShapeError(
            f"lax.batch_matmul takes arrays of one rank, 2 or more; got {left} and {right}",
            hint="use funcgrad.numpy.matmul, which broadcasts",
        )
    batch = tuple(range(left.ndim - 2))
    return dot_general(lhs, rhs, (((left.ndim - 1,), (left.ndim - 2,)), (batch, batch)), precision)

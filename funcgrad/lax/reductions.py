"""Reductions and contractions under the names of `jax.lax`. Owns the list of known monoids of `reduce`."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from funcgrad import dtypes, tree
from funcgrad.batching import vmap
from funcgrad.errors import ArgumentError, DTypeError, ShapeError, boundary
from funcgrad.lax.elementwise import same_dtype
from funcgrad.lax.shape import normal_axes, normal_axis
from funcgrad.promotion import cast, check_arrays, result_dtype
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
    function.__doc__ = f"""{doc} The result has the other axes and the operand's dtype.

    Raises:
        AxisError: an axis that there is not, or one twice.
        DTypeError: what is no array or number, or of a dtype for which {name} means nothing.

    >>> import funcgrad as fg
    >>> fg.lax.{name}(fg.numpy.ones((2, 3), int), (1,)).shape
    (2,)
    """
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

    `computation` takes two trees of scalars like `operands` and gives one; it has to be associative, with
    `init_values` neutral, for the order in which elements are combined is not said. One of add, mul, max, min,
    and, or (`lax.add`, `lambda a, b: a + b`, ...) for every leaf becomes the reduction of that name.
    """
    leaves, structure = tree.flatten(operands)
    starts, of_starts = tree.flatten(init_values)
    if of_starts != structure:
        raise ArgumentError(
            f"lax.reduce: initial values of structure {of_starts} for operands of structure {structure}",
            hint="give one initial value for each array, in the same containers",
        )
    if any(t.shape for t in check_arrays("lax.reduce", *starts)):
        listed = ", ".join(str(type_of(x)) for x in starts)
        raise ShapeError(f"lax.reduce: initial values are scalars, got {listed}")
    pairs = [same_dtype("reduce", x, start) for x, start in zip(leaves, starts)]
    shapes = {type_of(x).shape for x, _ in pairs}
    if len(shapes) > 1:
        raise ShapeError(
            f"lax.reduce of arrays of shapes {', '.join(map(str, sorted(shapes)))}: give one shape"
        )

    def combine(*values: Any) -> list[Any]:
        halves = values[: len(leaves)], values[len(leaves) :]
        return tree.leaves(computation(*[structure.unflatten(h) for h in halves]))

    kinds = [type_of(x).dtype for x, _ in pairs]
    monoid = monoid_of(combine, kinds)
    if monoid is not None:
        whole, join = _MONOIDS[monoid]
        return structure.unflatten([join(whole(x, dimensions), start) for x, start in pairs])
    return structure.unflatten(_folded(combine, pairs, dimensions))


def monoid_of(combine: Callable[..., list[Any]], kinds: Sequence[np.dtype]) -> str | None:
    """The name of the one operation that is done for each leaf; None for anything else."""
    scalars = [type_of(dtype.type(0)) for dtype in kinds]
    graph = trace_to_graph(combine, scalars * 2, "reduction").graph
    if [v.type for v in graph.outputs] != scalars:
        found = " and ".join(str(v.type) for v in graph.outputs)
        wanted = " and ".join(map(str, scalars))
        raise ArgumentError(
            f"lax.reduce: the computation gives {found} where it takes {wanted}",
            hint="it has to give a tree like the operands, of scalars of their dtypes",
        )
    names = {e.primitive.name for e in graph.equations}
    alone = len(names) == 1 and len(graph.equations) == len(kinds) and names <= set(_MONOIDS)
    pairs = [set(e.inputs) for e in graph.equations]
    own = [{graph.inputs[k], graph.inputs[k + len(kinds)]} for k in range(len(kinds))]
    made = [e.outputs[0] for e in graph.equations]
    if alone and pairs == own and made == list(graph.outputs):
        return names.pop()
    return None


def _folded(
    combine: Callable[..., list[Any]], pairs: Sequence[Sequence[Any]], dimensions: Sequence[int]
) -> list[Any]:
    """Halves of the elements combined with each other, element by element, until one is left."""
    t = type_of(pairs[0][0])
    axes = normal_axes(dimensions, t.ndim, "reduce")
    kept = [d for d in range(t.ndim) if d not in axes]
    shape = [t.shape[d] for d in kept]
    count, rest = ops.size_of(t.shape, axes), math.prod(shape)
    lines = [ops.reshape(ops.transpose(x, [*axes, *kept]), (count, rest)) for x, _ in pairs]
    starts = [ops.broadcast_to(start, (1, rest)) for _, start in pairs]
    together = vmap(vmap(combine))

    def joined(left: Sequence[Any], right: Sequence[Any]) -> list[Any]:
        return list(together(*left, *right))

    total = starts
    while count:
        if count % 2:
            total = joined(total, [ops.slice_in_dim(x, count - 1, count) for x in lines])
        count //= 2
        if count:
            halves = [[ops.slice_in_dim(x, k * count, (k + 1) * count) for x in lines] for k in range(2)]
            lines = joined(*halves)
    return [ops.reshape(x, shape) for x in total]


@boundary
def reduce_xor(operand: Any, axes: Sequence[int]) -> Any:
    """The exclusive or over `axes`, of integers bit by bit."""
    (t,) = check_arrays("lax.reduce_xor", operand)
    if not (dtypes.is_integer(t.dtype) or dtypes.is_bool(t.dtype)):
        raise DTypeError(f"lax.reduce_xor takes integers or booleans, got {t}")
    (result,) = _folded(lambda a, b: [ops.xor(a, b)], [(operand, t.dtype.type(0))], axes)
    return result


def _index_reduction(name: str, operation: Callable[..., Any], doc: str) -> Callable[..., Any]:
    @boundary
    def function(operand: Any, axis: int, index_dtype: Any) -> Any:
        (t,) = check_arrays(f"lax.{name}", operand)
        return operation(operand, normal_axis(axis, t.ndim, name), dtypes.as_dtype(index_dtype))

    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"""{doc} The result, of `index_dtype`, has the other axes.

    Raises:
        AxisError: an axis that there is not.
        ShapeError: an empty axis, which has no answer.

    >>> import funcgrad as fg
    >>> fg.lax.{name}(fg.numpy.array([7, 7]), 0, "int32").item()
    0
    """
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
    batch axes, then what is left of `lhs`, then what is left of `rhs`. Operands of two dtypes are promoted.
    """
    dtype, weak = result_dtype(*check_arrays("lax.dot_general", lhs, rhs))
    lhs, rhs = (cast(x, dtype, weak) for x in (lhs, rhs))
    preferred = None if preferred_element_type is None else dtypes.as_dtype(preferred_element_type)
    return ops.dot_general(lhs, rhs, dimension_numbers, preferred)


@boundary
def dot(
    lhs: Any,
    rhs: Any,
    precision: Any = None,
    preferred_element_type: Any = None,
    *,
    dimension_numbers: Any = None,
) -> Any:
    """The product of vectors and matrices, or `dot_general` where `dimension_numbers` are given.

    Raises:
        ShapeError: lengths that differ.

    >>> import funcgrad.numpy as jnp
    >>> from funcgrad import lax
    >>> lax.dot(jnp.ones((2, 3)), jnp.ones((3, 4))).shape
    (2, 4)
    """
    left, right = check_arrays("lax.dot", lhs, rhs)
    if dimension_numbers is not None:
        return dot_general(lhs, rhs, dimension_numbers, precision, preferred_element_type)
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

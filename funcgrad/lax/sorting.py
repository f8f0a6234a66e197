"""Sorting and cumulative operations under the names of `jax.lax`. Owns no computation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from funcgrad import dtypes
from funcgrad.errors import ArgumentError, boundary
from funcgrad.lax.shape import normal_axis
from funcgrad.promotion import check_arrays
from funcgrad.trace import ops


@boundary
def sort(operand: Any, dimension: int = -1, is_stable: bool = True, num_keys: int = 1) -> Any:
    """The operand sorted along `dimension`; of a tuple of operands of one shape, all in the order of the first
    `num_keys` of them.

    >>> import funcgrad as fg
    >>> keys, values = fg.numpy.array([3, 1, 2]), fg.numpy.array([0.0, 1.0, 2.0])
    >>> fg.lax.sort((keys, values))[1]
    Array([1., 2., 0.], dtype=float32)
    """
    several = isinstance(operand, tuple | list)
    operands = tuple(operand) if several else (operand,)
    if not operands:
        raise ArgumentError("lax.sort needs at least one operand")
    types = check_arrays("lax.sort", *operands)
    axis = normal_axis(dimension, types[0].ndim, "sort")
    outs = ops.apply("sort", *operands, dimension=axis, is_stable=bool(is_stable), num_keys=num_keys)
    return tuple(outs) if several else outs[0]


def sort_key_val(keys: Any, values: Any, dimension: int = -1, is_stable: bool = True) -> tuple[Any, Any]:
    """Keys sorted along `dimension`, and values in the same order."""
    return sort((keys, values), dimension, is_stable, 1)


@boundary
def top_k(operand: Any, k: int, *, axis: int = -1) -> list[Any]:
    """The `k` largest elements along `axis`, from the largest, and their positions (int32); of equal elements those
    that come first.

    >>> import funcgrad as fg
    >>> fg.lax.top_k(fg.numpy.array([1.0, 3.0, 2.0]), 2)
    [Array([3., 2.], dtype=float32), Array([1, 2], dtype=int32)]
    """
    (t,) = check_arrays("lax.top_k", operand)
    axis = normal_axis(axis, t.ndim, "top_k")
    outs = ops.apply("top_k", ops.moveaxis(operand, axis, t.ndim - 1), k=int(k))
    return [ops.moveaxis(o, t.ndim - 1, axis) for o in outs]


def approx_max_k(
    operand: Any,
    k: int,
    reduction_dimension: int = -1,
    recall_target: float = 0.95,
    reduction_input_size_override: int = -1,
    aggregate_to_topk: bool = True,
) -> list[Any]:
    """`top_k` along `reduction_dimension`; exact, whatever `recall_target` allows."""
    return top_k(operand, k, axis=reduction_dimension)


@boundary
def approx_min_k(
    operand: Any,
    k: int,
    reduction_dimension: int = -1,
    recall_target: float = 0.95,
    reduction_input_size_override: int = -1,
    aggregate_to_topk: bool = True,
) -> list[Any]:
    """The `k` smallest elements and their positions; exact, whatever `recall_target` allows."""
    (t,) = check_arrays("lax.approx_min_k", operand)
    if not dtypes.is_float(t.dtype):
        raise ArgumentError(f"approx_min_k takes floats, got {t}")
    values, positions = top_k(ops.neg(operand), k, axis=reduction_dimension)
    return [ops.neg(values), positions]


def _cumulative(name: str, doc: str) -> Callable[..., Any]:
    def function(operand: Any, axis: int = 0, reverse: bool = False) -> Any:
        (t,) = check_arrays(f"lax.{name}", operand)
        return ops.apply(name, operand, axis=normal_axis(axis, t.ndim, name), reverse=bool(reverse))

    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"""{doc} along `axis`, from the end where `reverse`; of the operand's shape and dtype.

    Raises:
        AxisError: an axis that there is not.
        DTypeError: what is no array or number.

    >>> import funcgrad as fg
    >>> fg.lax.{name}(fg.numpy.ones((2, 3)), axis=1).shape
    (2, 3)
    """
    return boundary(function)


cumsum = _cumulative("cumsum", "The sums of each element and those before it")
cumprod = _cumulative("cumprod", "The products of each element and those before it")
cummax = _cumulative("cummax", "The largest of each element and those before it")
cummin = _cumulative("cummin", "The smallest of each element and those before it")
cumlogsumexp = _cumulative("cumlogsumexp", "log(sum(exp)) of each element and those before it")

__all__: Sequence[str] = [
    "approx_max_k",
    "approx_min_k",
    "cumlogsumexp",
    "cummax",
    "cummin",
    "cumprod",
    "cumsum",
    "sort",
    "sort_key_val",
    "top_k",
]

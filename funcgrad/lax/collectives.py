"""Operations over batch axes that vmap has named, under the names of `jax.lax`.

Owns the lookup of names: an axis is in scope in the function that `vmap(..., axis_name=...)` maps.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from funcgrad import dtypes, tree
from funcgrad.errors import ArgumentError, AxisNameError, ShapeError, boundary
from funcgrad.lax.shape import dynamic_index_in_dim, normal_axis
from funcgrad.promotion import check_arrays
from funcgrad.trace import ops
from funcgrad.trace.core import EAGER, PYTHON_SCALARS, state, type_of


def _sizes_in_scope() -> dict[Any, int]:
    """The names of the batch axes around the current function, with their lengths."""
    found: dict[Any, int] = {}
    trace = state.trace
    while trace is not EAGER:
        name = getattr(trace, "axis_name", None)
        if name is not None:
            found.setdefault(name, int(trace.size))  # type: ignore[attr-defined]
        trace = trace.parent
    return found


def _names(axis_name: Any) -> tuple[Any, ...]:
    """One name or several, each checked to be in scope."""
    names = axis_name if isinstance(axis_name, tuple | list) else (axis_name,)
    scope = _sizes_in_scope()
    for name in names:
        if name not in scope:
            there = f"the axes in scope are {', '.join(map(repr, scope))}" if scope else "none is in scope"
            raise AxisNameError(
                f"no surrounding vmap declares an axis named {name!r}; {there}",
                hint=f"write vmap(f, axis_name={name!r})",
            )
    return tuple(names)


@boundary
def axis_size(axis_name: Any) -> int:
    """The number of examples along a named axis."""
    scope = _sizes_in_scope()
    return math.prod(scope[name] for name in _names(axis_name))


@boundary
def axis_index(axis_name: Any) -> Any:
    """The position of this example along a named axis, int32; along several, row-major."""
    position: Any = None
    for name in _names(axis_name):
        own = ops.apply("axis_index", axis_name=name)
        if position is not None:
            own = ops.add(ops.mul(position, dtypes.int32.type(axis_size(name))), own)
        position = own
    return position


def _no_groups(groups: Any, function: str) -> None:
    if groups is not None:
        raise ArgumentError(f"lax.{function} with axis_index_groups is not there", hint="leave it out")


def _over_leaves(name: str, primitive: str, doc: str) -> Callable[..., Any]:
    @boundary
    def function(x: Any, axis_name: Any, *, axis_index_groups: None = None) -> Any:
        _no_groups(axis_index_groups, name)
        names = _names(axis_name)

        def one(leaf: Any) -> Any:
            (t,) = check_arrays(f"lax.{name}", leaf)
            if primitive == "psum":
                if leaf.__class__ in PYTHON_SCALARS:
                    return leaf * axis_size(axis_name)
                if dtypes.is_bool(t.dtype):
                    leaf = ops.convert(leaf, dtypes.default_int())
            for n in names:
                leaf = ops.apply(primitive, leaf, axis_name=n)
            return leaf

        return tree.map(one, x)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = doc
    return function


psum = _over_leaves("psum", "psum", "The sum over a named axis, of each leaf. `psum(1, name)` is its length.")
pmax = _over_leaves("pmax", "pmax", "The largest over a named axis, of each leaf.")
pmin = _over_leaves("pmin", "pmin", "The smallest over a named axis, of each leaf.")


@boundary
def pmean(x: Any, axis_name: Any, *, axis_index_groups: None = None) -> Any:
    """The mean over a named axis, of each leaf."""
    _no_groups(axis_index_groups, "pmean")
    count = axis_size(axis_name)

    def one(total: Any) -> Any:
        if total.__class__ in PYTHON_SCALARS:
            return total / count
        dtype = type_of(total).dtype
        if not dtypes.is_inexact(dtype):
            total, dtype = ops.convert(total, dtypes.default_float()), dtypes.default_float()
        return ops.div(total, dtype.type(count))

    return tree.map(one, psum(x, axis_name))


@boundary
def all_gather(
    x: Any, axis_name: Any, *, axis_index_groups: None = None, axis: int = 0, tiled: bool = False
) -> Any:
    """The arrays of all examples along a new axis; where `tiled`, one after the other along that axis."""
    _no_groups(axis_index_groups, "all_gather")
    names = _names(axis_name)
    if len(names) != 1:
        raise ArgumentError(f"lax.all_gather takes one axis name, got {axis_name!r}")

    def one(leaf: Any) -> Any:
        (t,) = check_arrays("lax.all_gather", leaf)
        at = normal_axis(axis, t.ndim if tiled else t.ndim + 1, "all_gather")
        size = axis_size(names[0])
        out = ops.apply("all_gather", leaf, axis_name=names[0], axis=at, size=size)
        if not tiled:
            return out
        return ops.reshape(out, (*t.shape[:at], size * t.shape[at], *t.shape[at + 1 :]))

    return tree.map(one, x)


@boundary
def psum_scatter(
    x: Any,
    axis_name: Any,
    *,
    scatter_dimension: int = 0,
    axis_index_groups: None = None,
    tiled: bool = False,
) -> Any:
    """Each example's part, along `scatter_dimension`, of the sum over a named axis."""
    _no_groups(axis_index_groups, "psum_scatter")
    size = axis_size(axis_name)

    def one(leaf: Any) -> Any:
        (t,) = check_arrays("lax.psum_scatter", leaf)
        at = normal_axis(scatter_dimension, t.ndim, "psum_scatter")
        length = t.shape[at]
        if length % size or (length != size and not tiled):
            raise ShapeError(
                f"lax.psum_scatter over {size} examples cannot part axis {at} of {t}",
                hint="that axis has to have the length of the named axis, or, with tiled=True, a multiple",
            )
        if tiled:
            leaf = ops.reshape(leaf, (*t.shape[:at], size, length // size, *t.shape[at + 1 :]))
        return dynamic_index_in_dim(psum(leaf, axis_name), axis_index(axis_name), at, keepdims=False)

    return tree.map(one, x)


@boundary
def all_to_all(
    x: Any,
    axis_name: Any,
    split_axis: int,
    concat_axis: int,
    *,
    axis_index_groups: None = None,
    tiled: bool = False,
) -> Any:
    """Part i of each example's array along `split_axis` goes to example i, which stacks what it gets along
    `concat_axis` (where `tiled`, puts it one after the other)."""
    _no_groups(axis_index_groups, "all_to_all")
    (name,) = _names(axis_name)
    size = axis_size(name)

    def exchange(leaf: Any, split: int, concat: int) -> Any:
        return ops.apply("all_to_all", leaf, axis_name=name, split_axis=split, concat_axis=concat, size=size)

    def one(leaf: Any) -> Any:
        (t,) = check_arrays("lax.all_to_all", leaf)
        split, concat = (normal_axis(a, t.ndim, "all_to_all") for a in (split_axis, concat_axis))
        if not tiled:
            return exchange(leaf, split, concat)
        if t.shape[split] % size:
            raise ShapeError(f"lax.all_to_all cannot part axis {split} of {t} in {size} equal pieces")
        parts = (*t.shape[:split], size, t.shape[split] // size, *t.shape[split + 1 :])
        stacked = exchange(ops.reshape(leaf, parts), split, concat)
        shape = type_of(stacked).shape
        return ops.reshape(
            stacked, (*shape[:concat], shape[concat] * shape[concat + 1], *shape[concat + 2 :])
        )

    return tree.map(one, x)


@boundary
def ppermute(x: Any, axis_name: Any, perm: Sequence[tuple[int, int]]) -> Any:
    """Each pair (source, target) sends an example's array to another example; who gets none has zeros."""
    (name,) = _names(axis_name)
    pairs = tuple([(int(a), int(b)) for a, b in perm])
    size = axis_size(name)
    for what, ends in (("source", [a for a, _ in pairs]), ("target", [b for _, b in pairs])):
        if len(set(ends)) != len(ends) or any(not 0 <= e < size for e in ends):
            raise ArgumentError(
                f"lax.ppermute: each {what} is one of the examples 0 to {size - 1}, named once; got {pairs}",
                hint="give a pair (source, target) for each example that sends; who is no target gets zeros",
            )
    return tree.map(lambda leaf: ops.apply("ppermute", leaf, axis_name=name, perm=pairs), x)


def pshuffle(x: Any, axis_name: Any, perm: Sequence[int]) -> Any:
    """Example i gets the array of example `perm[i]`."""
    return ppermute(x, axis_name, list(zip(perm, range(len(perm)))))


def pswapaxes(x: Any, axis_name: Any, axis: int, *, axis_index_groups: None = None) -> Any:
    """A named axis and the axis `axis` of the array, of equal length, exchanged: `all_to_all(x, name, axis, axis)`."""
    return all_to_all(x, axis_name, axis, axis, axis_index_groups=axis_index_groups)

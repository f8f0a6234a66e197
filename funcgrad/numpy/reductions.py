"""Reductions with NumPy's names: sums, means, extremes, positions, and their variants that ignore NaN."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from funcgrad import dtypes
from funcgrad.array import Array
from funcgrad.errors import ArgumentError, AxisError, ShapeError, boundary
from funcgrad.promotion import broadcast_shapes, cast, check_arrays
from funcgrad.trace import ops
from funcgrad.trace.core import EAGER, Tracer, state, type_of

Axis = int | Sequence[int] | None


def canonical_axes(name: str, axis: Any, x: Any) -> tuple[int, ...]:
    """`axis` as a tuple of axes counted from the front; all of them for None."""
    t = type_of(x)
    if axis is None:
        return tuple(range(t.ndim))
    given = tuple(axis) if isinstance(axis, tuple | list) else (axis,)
    result = []
    for a in given:
        if isinstance(a, Tracer):
            a.concrete(f"axis of {name}", "make the argument static: jit(f, static_argnames=...)")
        try:
            number = operator.index(a)
        except TypeError:
            raise ArgumentError(
                f"axis of {name} is an integer or a tuple of integers, got {axis!r} for {t}",
                hint=f"give one or more integers from {-t.ndim} to {t.ndim - 1}, or None for all axes",
            ) from None
        if not -t.ndim <= number < t.ndim:
            raise AxisError(
                f"{name} over axis {number} of {t}, which has {t.ndim} axes",
                hint=f"use an axis from {-t.ndim} to {t.ndim - 1}"
                if t.ndim
                else "the array is a scalar: leave axis out",
            )
        result.append(number % t.ndim)
    if len(set(result)) != len(result):
        raise AxisError(
            f"{name}: axis={axis!r} names an axis of {t} twice",
            hint="name each axis once; -1 is the last axis",
        )
    return tuple(result)


def _restore(result: Any, x: Any, axes: Sequence[int], keepdims: bool) -> Any:
    if not keepdims:
        return result
    shape = [1 if d in axes else n for d, n in enumerate(type_of(x).shape)]
    return ops.reshape(result, shape)


def sum_dtype(dtype: np.dtype) -> np.dtype:
    """Booleans and small integers add up in the default integer."""
    if dtypes.is_bool(dtype):
        return dtypes.default_int()
    if dtypes.is_integer(dtype) and dtype.itemsize < dtypes.default_int().itemsize:
        default = dtypes.default_int()
        return default if dtypes.is_signed(dtype) else np.dtype(f"u{default.itemsize}")
    return dtype


def _masked(x: Any, where: Any, neutral: Any) -> Any:
    if where is None:
        return x
    if not dtypes.is_bool(type_of(where).dtype):
        raise ArgumentError(
            f"where= of a reduction is a boolean array, got {type_of(where)}",
            hint="compare it, as in where=(mask != 0)",
        )
    shape = _shape_with(where, x)
    return ops.select(ops.broadcast_to(where, shape), ops.broadcast_to(x, shape), neutral)


def _shape_with(where: Any, x: Any) -> tuple[int, ...]:
    """The shape to which an array and the mask of a reduction broadcast."""
    try:
        return broadcast_shapes(type_of(x).shape, type_of(where).shape)
    except ShapeError:
        raise ShapeError(
            f"where, which is {type_of(where)}, does not broadcast to {type_of(x)}",
            hint="axes are matched from the last: where=mask[:, None] chooses rows",
        ) from None


def _as_array(name: str, x: Any) -> Any:
    (t,) = check_arrays(name, x)
    return cast(x, t.dtype) if not hasattr(x, "type") else x


def _reduction(
    name: str,
    reduce: Callable[[Any, Sequence[int]], Any],
    combine: Callable[[Any, Any], Any],
    neutral: Callable[[np.dtype], Any] | None,
    result_dtype: Callable[[np.dtype], np.dtype],
    doc: str,
    numpy_function: Callable[..., Any] | None = None,
):
    def general(
        a: Any, axis: Any, dtype: Any, keepdims: bool, initial: Any, where: Any, promote_integers: bool
    ) -> Any:
        x = _as_array(name, a)
        have = type_of(x).dtype
        if dtype is not None:
            wanted = dtypes.as_dtype(dtype)
        else:
            wanted = result_dtype(have) if promote_integers or dtypes.is_bool(have) else have
        x = ops.convert(x, wanted)
        if where is not None:
            if neutral is None and initial is None:
                raise ArgumentError(
                    f"{name} of {type_of(x)} with where= needs initial=, the result of no elements",
                    hint="give initial=: what the result is at least (for max) or at most (for min)",
                )
            x = _masked(x, where, initial if neutral is None else neutral(wanted))
        axes = canonical_axes(name, axis, x)
        empty = ops.size_of(type_of(x).shape, axes) == 0
        if empty and neutral is None:
            if initial is None:
                raise ShapeError(
                    f"{name} of no elements has no answer: {type_of(x)} over axes {axes}",
                    hint="give initial=",
                )
            kept = [n for d, n in enumerate(type_of(x).shape) if d not in axes]
            result = ops.full(kept, initial, wanted)
        else:
            result = reduce(x, axes) if axes or neutral is None else x
            if initial is not None:
                result = combine(result, cast(initial, wanted))
        return _restore(result, x, axes, keepdims)

    def fast(x: Array, axis: Any, keepdims: bool) -> Any:
        data = x._data
        if data.dtype.itemsize < 4 or data.dtype.kind not in "fc":
            return None
        out = state.quiet(numpy_function, data, axis=axis, keepdims=keepdims)
        return Array(out if out.__class__ is np.ndarray else np.asarray(out))

    @boundary
    def function(
        a: Any,
        axis: Axis = None,
        dtype: Any = None,
        out: None = None,
        keepdims: bool = False,
        initial: Any = None,
        where: Any = None,
        promote_integers: bool = True,
    ) -> Any:
        if (
            numpy_function is not None
            and a.__class__ is Array
            and state.trace is EAGER
            and dtype is None
            and initial is None
            and where is None
            and promote_integers
            and a._data.size
            and (axis is None or axis.__class__ is int)
        ):
            try:
                result = fast(a, axis, keepdims)
            except (ValueError, IndexError):
                result = None
            if result is not None:
                return result
        return general(a, axis, dtype, keepdims, initial, where, promote_integers)

    if neutral is None:
        function = _extreme(function)
    function.__name__ = function.__qualname__ = name
    function.__doc__ = doc + _COMMON.format(name=name)
    return function


def _extreme(reduce: Callable[..., Any]) -> Callable[..., Any]:
    """`reduce` with the arguments that max and min have: no dtype."""

    def function(
        a: Any,
        axis: Axis = None,
        out: None = None,
        keepdims: bool = False,
        initial: Any = None,
        where: Any = None,
    ) -> Any:
        return reduce(a, axis, None, None, keepdims, initial, where)

    return boundary(function)


def _same(dtype: np.dtype) -> np.dtype:
    return dtype


_COMMON = """

    Args:
        a: an array of any shape, or a number.
        axis: the axis or axes that are reduced, all by default; with `keepdims` they stay, of length 1.
        where: booleans that broadcast to the shape of `a`; only elements where they are true take part.

    Raises:
        AxisError: an axis that there is not, or one twice.
        DTypeError: what is no array or number.

    >>> import funcgrad.numpy as jnp
    >>> jnp.{name}(jnp.ones((2, 3)), axis=1).shape
    (2,)
    """
"""What all reductions have in common, for their docstrings."""

sum = _reduction("sum", ops.reduce_sum, ops.add, lambda d: 0, sum_dtype, "The sum of elements.", np.sum)
prod = _reduction(
    "prod", ops.reduce_prod, ops.mul, lambda d: 1, sum_dtype, "The product of elements.", np.prod
)
max = amax = _reduction(
    "max",
    ops.reduce_max,
    ops.max_,
    None,
    _same,
    "The largest element, NaN where there is one.",
    np.max,
)
min = amin = _reduction(
    "min",
    ops.reduce_min,
    ops.min_,
    None,
    _same,
    "The smallest element, NaN where there is one.",
    np.min,
)


def _logical(name: str, reduce: Callable[[Any, Sequence[int]], Any], neutral: bool, doc: str):
    @boundary
    def function(
        a: Any, axis: Axis = None, out: None = None, keepdims: bool = False, where: Any = None
    ) -> Any:
        x = _masked(_truth(_as_array(name, a)), where, neutral)
        axes = canonical_axes(name, axis, x)
        return _restore(reduce(x, axes) if axes else x, x, axes, keepdims)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = doc + _COMMON.format(name=name)
    return function


def _truth(x: Any) -> Any:
    return x if dtypes.is_bool(type_of(x).dtype) else ops.ne(x, 0)


all = _logical("all", ops.reduce_and, True, "Whether every element is true (not zero).")
any = _logical("any", ops.reduce_or, False, "Whether some element is true (not zero).")


def _inexact(name: str, a: Any, dtype: Any) -> Any:
    x = _as_array(name, a)
    t = type_of(x)
    if dtype is not None:
        return ops.convert(x, dtypes.as_dtype(dtype))
    return x if dtypes.is_inexact(t.dtype) else ops.convert(x, dtypes.default_float())


def _count(x: Any, axes: Sequence[int], where: Any) -> Any:
    """The number of elements that take part, as a number or an array."""
    if where is None:
        return float(ops.size_of(type_of(x).shape, axes))
    chosen = ops.convert(ops.broadcast_to(where, type_of(x).shape), dtypes.real_of(type_of(x).dtype))
    return ops.reduce_sum(chosen, axes)


@boundary
def mean(
    a: Any,
    axis: Axis = None,
    dtype: Any = None,
    out: None = None,
    keepdims: bool = False,
    *,
    where: Any = None,
) -> Any:
    """The mean of elements, of integers as floats. Over `axis` (all by default); only elements where `where`.

    Raises:
        AxisError: an axis that there is not.
        DTypeError: what is no array or number.

    >>> import funcgrad.numpy as jnp
    >>> jnp.mean(jnp.array([[1, 2], [3, 4]]), axis=0).tolist()
    [2.0, 3.0]
    """
    x = _inexact("mean", a, dtype)
    axes = canonical_axes("mean", axis, x)
    x, narrow = _widened(x)
    total = ops.reduce_sum(_masked(x, where, 0), axes)
    return narrow(_restore(_divide(total, _count(x, axes, where)), x, axes, keepdims))


def _widened(x: Any) -> tuple[Any, Callable[[Any], Any]]:
    """x in the dtype that it is computed in, and what takes the result back: 16-bit floats hold no large counts."""
    t = type_of(x)
    wide = dtypes.compute_dtype(t.dtype)
    if wide == t.dtype:
        return x, lambda result: result
    return ops.convert(x, wide), lambda result: ops.convert(result, t.dtype, t.weak)


def _divide(total: Any, count: Any) -> Any:
    if isinstance(count, float):
        dtype = type_of(total).dtype
        return ops.div(total, dtype.type(count))
    return ops.div(total, ops.convert(count, type_of(total).dtype))


@boundary
def average(
    a: Any, axis: Axis = None, weights: Any = None, returned: bool = False, keepdims: bool = False
) -> Any:
    """The weighted mean of elements; with `returned`, also the sum of the weights.

    Raises:
        ShapeError: weights of another shape.

    >>> import funcgrad.numpy as jnp
    >>> jnp.average(jnp.array([1.0, 3.0]), weights=jnp.array([3.0, 1.0])).item()
    1.5
    """
    x = _inexact("average", a, None)
    axes = canonical_axes("average", axis, x)
    if weights is None:
        result = mean(x, axis, keepdims=keepdims)
        total = ops.full_like(result, ops.size_of(type_of(x).shape, axes))
        return (result, total) if returned else result
    w = ops.convert(_as_array("average", weights), type_of(x).dtype)
    if type_of(w).shape != type_of(x).shape:
        if type_of(w).shape != tuple([type_of(x).shape[d] for d in axes]):
            raise ShapeError(
                f"average of {type_of(x)} over axis {axis} with weights {type_of(w)}: lengths differ"
            )
        order = sorted(range(len(axes)), key=axes.__getitem__)
        w = ops.broadcast_in_dim(ops.transpose(w, order), type_of(x).shape, sorted(axes))
    total = ops.reduce_sum(w, axes)
    result = _restore(ops.div(ops.reduce_sum(ops.mul(x, w), axes), total), x, axes, keepdims)
    return (result, _restore(total, x, axes, keepdims)) if returned else result


@boundary
def var(
    a: Any,
    axis: Axis = None,
    dtype: Any = None,
    out: None = None,
    ddof: float = 0,
    keepdims: bool = False,
    *,
    where: Any = None,
    mean: Any = None,
    correction: float | None = None,
) -> Any:
    """The variance: the mean squared distance from the mean, divided by n - ddof (`correction` is its other name).

    `mean`, where it is known already, has an axis of length 1 where one is summed over.

    >>> import funcgrad.numpy as jnp
    >>> jnp.var(jnp.array([1.0, 3.0])).item()
    1.0
    """
    x = _inexact("var", a, dtype)
    axes = canonical_axes("var", axis, x)
    x, narrow = _widened(x)
    ddof = ddof if correction is None else correction
    count = _count(x, axes, where)
    if mean is None:
        center = _restore(_divide(ops.reduce_sum(_masked(x, where, 0), axes), count), x, axes, True)
    else:
        center = ops.convert(_as_array("var", mean), type_of(x).dtype)
    # masked before it is squared: what is left out may be NaN, of which 0 * NaN would reach the derivative
    distance = _masked(ops.sub(x, ops.broadcast_to(center, type_of(x).shape)), where, 0)
    if dtypes.is_complex(type_of(x).dtype):
        squared = ops.real(ops.mul(distance, ops.conj(distance)))
    else:
        squared = ops.square(distance)
    total = ops.reduce_sum(squared, axes)
    if isinstance(count, float):
        count = count - ddof if count > ddof else (0.0 if count == ddof else float("nan"))
    else:
        count = ops.sub(count, ddof)
    return narrow(_restore(_divide(total, count), x, axes, keepdims))


@boundary
def std(
    a: Any,
    axis: Axis = None,
    dtype: Any = None,
    out: None = None,
    ddof: float = 0,
    keepdims: bool = False,
    *,
    where: Any = None,
    mean: Any = None,
    correction: float | None = None,
) -> Any:
    """The standard deviation: the square root of the variance; arguments as for `var`.

    Raises:
        AxisError: an axis that there is not.

    >>> import funcgrad.numpy as jnp
    >>> jnp.std(jnp.array([1.0, 3.0])).item()
    1.0
    """
    return ops.sqrt(var(a, axis, dtype, None, ddof, keepdims, where=where, mean=mean, correction=correction))


def _position(name: str, operation: Callable[..., Any], doc: str):
    @boundary
    def function(a: Any, axis: int | None = None, out: None = None, keepdims: bool = False) -> Any:
        x = _as_array(name, a)
        shape = type_of(x).shape
        if isinstance(axis, tuple | list) and len(axis) != 1:
            raise ArgumentError(
                f"axis of {name} is one integer, got {axis!r} for {type_of(x)}",
                hint=f"reshape first, so that these axes are one; the position in the flat array is {name}(x)",
            )
        if axis is None:
            flat = ops.reshape(x, (type_of(x).size,))
            result = operation(flat, 0, dtypes.default_int())
            return ops.reshape(result, (1,) * len(shape)) if keepdims else result
        (number,) = canonical_axes(name, axis, x)
        return _restore(operation(x, number, dtypes.default_int()), x, (number,), keepdims)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = doc
    return function


argmax = _position(
    "argmax",
    ops.argmax,
    "The position of the first largest element along `axis`; of the flat array by default.",
)
argmin = _position(
    "argmin",
    ops.argmin,
    "The position of the first smallest element along `axis`; of the flat array by default.",
)


@boundary
def ptp(a: Any, axis: Axis = None, out: None = None, keepdims: bool = False) -> Any:
    """The largest minus the smallest element.

    Raises:
        AxisError: an axis that there is not.

    >>> import funcgrad.numpy as jnp
    >>> jnp.ptp(jnp.array([3, 9, 5])).item()
    6
    """
    return ops.sub(max(a, axis, keepdims=keepdims), min(a, axis, keepdims=keepdims))


@boundary
def count_nonzero(a: Any, axis: Axis = None, keepdims: bool = False) -> Any:
    """The number of elements that are not zero.

    Raises:
        AxisError: an axis that there is not.

    >>> import funcgrad.numpy as jnp
    >>> jnp.count_nonzero(jnp.array([0, 2, 0, 3])).item()
    2
    """
    return sum(_truth(_as_array("count_nonzero", a)), axis, keepdims=keepdims)


def _is_nan(x: Any) -> Any:
    return ops.ne(x, x)


def _ignoring_nan(name: str, function: Callable[..., Any], neutral: float, empty: bool):
    @boundary
    def wrapper(
        a: Any,
        axis: Axis = None,
        dtype: Any = None,
        out: None = None,
        keepdims: bool = False,
        initial: Any = None,
        where: Any = None,
    ) -> Any:
        x = _as_array(name, a)
        given = {"keepdims": keepdims, "initial": initial, "where": where}
        if dtype is not None:
            given["dtype"] = dtype
        if not dtypes.is_inexact(type_of(x).dtype):
            return function(x, axis, **given)
        missing = _is_nan(x)
        filled = ops.select(missing, ops.full_like(x, neutral), x)
        result = function(filled, axis, **given)
        if empty and initial is None:  # of nothing but NaN
            nothing = all(missing, axis, keepdims=keepdims, where=where)
            result = ops.select(nothing, ops.full_like(result, np.nan), result)
        return result

    if empty:
        wrapper = _extreme(wrapper)
    wrapper.__name__ = wrapper.__qualname__ = name
    wrapper.__doc__ = f"`{name[3:]}` of the elements that are not NaN."
    return wrapper


nansum = _ignoring_nan("nansum", sum, 0, False)
nanprod = _ignoring_nan("nanprod", prod, 1, False)
nanmax = _ignoring_nan("nanmax", max, -np.inf, True)
nanmin = _ignoring_nan("nanmin", min, np.inf, True)


def _there(x: Any, where: Any) -> Any:
    """Which elements are not NaN, among those where `where`."""
    there = ops.not_(_is_nan(x))
    return there if where is None else ops.and_(there, ops.broadcast_to(where, type_of(x).shape))


@boundary
def nanmean(
    a: Any,
    axis: Axis = None,
    dtype: Any = None,
    out: None = None,
    keepdims: bool = False,
    where: Any = None,
) -> Any:
    """`mean` of the elements that are not NaN."""
    x = _inexact("nanmean", a, dtype)
    return mean(x, axis, keepdims=keepdims, where=_there(x, where))


@boundary
def nanvar(
    a: Any,
    axis: Axis = None,
    dtype: Any = None,
    out: None = None,
    ddof: float = 0,
    keepdims: bool = False,
    where: Any = None,
    mean: Any = None,
) -> Any:
    """`var` of the elements that are not NaN."""
    x = _inexact("nanvar", a, dtype)
    return var(x, axis, ddof=ddof, keepdims=keepdims, where=_there(x, where), mean=mean)


@boundary
def nanstd(
    a: Any,
    axis: Axis = None,
    dtype: Any = None,
    out: None = None,
    ddof: float = 0,
    keepdims: bool = False,
    where: Any = None,
    mean: Any = None,
) -> Any:
    """`std` of the elements that are not NaN."""
    return ops.sqrt(nanvar(a, axis, dtype, None, ddof, keepdims, where, mean))


def _nan_position(name: str, position: Callable[..., Any], neutral: float):
    @boundary
    def function(a: Any, axis: int | None = None, out: None = None, keepdims: bool = False) -> Any:
        x = _as_array(name, a)
        if not dtypes.is_inexact(type_of(x).dtype):
            return position(x, axis, keepdims=keepdims)
        missing = _is_nan(x)
        found = position(ops.select(missing, ops.full_like(x, neutral), x), axis, keepdims=keepdims)
        return ops.select(all(missing, axis, keepdims=keepdims), ops.full_like(found, -1), found)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"`{name[3:]}` of the elements that are not NaN; -1 where all are."
    return function


nanargmax = _nan_position("nanargmax", argmax, -np.inf)
nanargmin = _nan_position("nanargmin", argmin, np.inf)

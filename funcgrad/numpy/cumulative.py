"""Cumulative sums and products."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from funcgrad import dtypes
from funcgrad.errors import ArgumentError, boundary
from funcgrad.numpy.creation import asarray
from funcgrad.numpy.elementwise import isnan, where
from funcgrad.numpy.joining import concatenate
from funcgrad.numpy.manipulation import ravel
from funcgrad.numpy.reductions import canonical_axes, sum_dtype
from funcgrad.promotion import check_arrays
from funcgrad.trace import ops
from funcgrad.trace.core import type_of


def _cumulative(name: str, primitive: str, skip_nan: float | None, doc: str) -> Callable[..., Any]:
    def function(a: Any, axis: int | None = None, dtype: Any = None, out: None = None) -> Any:
        check_arrays(name, a)
        x = asarray(a)
        if axis is None:
            x, axis = ravel(x), 0
        (number,) = canonical_axes(name, axis, x)
        if skip_nan is not None and dtypes.is_inexact(type_of(x).dtype):
            x = where(isnan(x), skip_nan, x)
        if dtype is not None:
            x = ops.convert(x, dtypes.as_dtype(dtype))
        else:  # a sum is strong, of weak elements too
            have = type_of(x).dtype
            x = ops.convert(x, dtypes.default_int() if dtypes.is_bool(have) else have)
        if dtypes.is_bool(type_of(x).dtype):  # asked for: whether the sum or product is not 0
            wide = ops.convert(x, dtypes.default_int())
            return ops.ne(ops.apply(primitive, wide, axis=number, reverse=False), 0)
        return ops.apply(primitive, x, axis=number, reverse=False)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"""{doc} Along `axis` (flat for None); of a's shape and dtype (integers of booleans).

    Raises:
        AxisError: an axis that there is not.
        DTypeError: what is no array or number.

    >>> import funcgrad.numpy as jnp
    >>> jnp.{name}(jnp.ones((2, 3)), axis=1).shape
    (2, 3)
    """
    return boundary(function)


cumsum = _cumulative("cumsum", "cumsum", None, "The sum of each element and all before it.")
cumprod = _cumulative("cumprod", "cumprod", None, "The product of each element and all before it.")
nancumsum = _cumulative("nancumsum", "cumsum", 0.0, "The sum of each element and all before it, NaN as 0.")
nancumprod = _cumulative(
    "nancumprod", "cumprod", 1.0, "The product of each element and all before it, NaN as 1."
)


def _with_initial(name: str, function: Callable[..., Any], start: int) -> Callable[..., Any]:
    def cumulative(
        x: Any, /, *, axis: int | None = None, dtype: Any = None, include_initial: bool = False
    ) -> Any:
        if axis is None:
            if type_of(x).ndim != 1:
                raise ArgumentError(
                    f"{name} of {type_of(x)} needs axis=", hint="only a vector can do without it"
                )
            axis = 0
        given = type_of(x).dtype
        if dtype is None and not dtypes.is_inexact(given):
            dtype = sum_dtype(given)
        out = function(x, axis=axis, dtype=dtype)
        if not include_initial:
            return out
        t = type_of(out)
        (number,) = canonical_axes(name, axis, out)
        first = ops.full([1 if d == number else n for d, n in enumerate(t.shape)], start, t.dtype)
        return concatenate([first, out], axis=number)

    cumulative.__name__ = cumulative.__qualname__ = name
    what = (function.__doc__ or "").partition(".")[0]
    cumulative.__doc__ = f"""{what} along `axis`, which a vector can do without; with
    `include_initial`, {start} comes first.

    Raises:
        ArgumentError: several axes and no `axis`.
        AxisError: an axis that there is not.

    >>> import funcgrad.numpy as jnp
    >>> jnp.{name}(jnp.array([2, 3]), include_initial=True).shape
    (3,)
    """
    return boundary(cumulative)


cumulative_sum = _with_initial("cumulative_sum", cumsum, 0)
cumulative_prod = _with_initial("cumulative_prod", cumprod, 1)

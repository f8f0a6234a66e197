"""Special functions of one to three floats under the names of `jax.lax`: strict in shape and dtype."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from funcgrad import dtypes
from funcgrad.errors import DTypeError, ShapeError, boundary
from funcgrad.lax.elementwise import repeated, same_dtype
from funcgrad.promotion import in_order
from funcgrad.trace import ops
from funcgrad.trace.core import type_of


def _function(name: str, names: str, doc: str) -> Callable[..., Any]:
    in_this_order = names.split()

    @boundary
    def function(*given: Any, **named: Any) -> Any:
        operands = in_order(f"lax.{name}", in_this_order, given, named)
        operands = [float(x) if x.__class__ is int else x for x in operands]
        return ops.apply(name, *repeated(name, *same_dtype(name, *operands)))

    function.__name__ = function.__qualname__ = name
    function.__doc__ = doc
    return function


bessel_i0e = _function("bessel_i0e", "x", "bessel_i0e(x): exp(-|x|) times the modified Bessel function I0.")
bessel_i1e = _function("bessel_i1e", "x", "bessel_i1e(x): exp(-|x|) times the modified Bessel function I1.")
betainc = _function("betainc", "a b x", "betainc(a, b, x): the regularised incomplete beta function.")
igamma = _function("igamma", "a x", "igamma(a, x): the regularised lower incomplete gamma function.")
igammac = _function("igammac", "a x", "igammac(a, x): the regularised upper incomplete gamma function.")
igamma_grad_a = _function("igamma_grad_a", "a x", "igamma_grad_a(a, x): the derivative of igamma by a.")
polygamma = _function("polygamma", "m x", "polygamma(m, x): the m-th derivative of digamma.")
random_gamma_grad = _function(
    "random_gamma_grad", "a x", "random_gamma_grad(a, x): how a gamma variate x of shape a moves with a."
)
zeta = _function("zeta", "x q", "zeta(x, q): Hurwitz's zeta function.")


@boundary
def mulhi(x: Any, y: Any, /) -> Any:
    """The upper half of the product of integers of twice their width."""
    x, y = repeated("mulhi", *same_dtype("mulhi", x, y))
    dtype = type_of(x).dtype
    if not dtypes.is_integer(dtype):
        raise DTypeError(f"lax.mulhi takes integers, got {type_of(x)}")
    if type_of(x).shape != type_of(y).shape and type_of(x).shape and type_of(y).shape:
        raise ShapeError(f"lax.mulhi takes operands of one shape, got {type_of(x)} and {type_of(y)}")
    bits = dtype.itemsize * 8
    shift = ops.shift_right_arithmetic if dtypes.is_signed(dtype) else ops.shift_right_logical
    if bits < 64:
        wide = dtypes.int64 if dtypes.is_signed(dtype) else dtypes.uint64
        product = ops.mul(ops.convert(x, wide), ops.convert(y, wide))
        return ops.convert(shift(product, wide.type(bits)), dtype)
    half, mask = dtype.type(32), dtype.type(2**32 - 1)
    x_low, y_low = ops.and_(x, mask), ops.and_(y, mask)
    x_high, y_high = shift(x, half), shift(y, half)
    low = ops.shift_right_logical(ops.mul(x_low, y_low), half)
    middle = ops.add(ops.mul(x_high, y_low), low)
    other = ops.add(ops.mul(x_low, y_high), ops.and_(middle, mask))
    return ops.add(ops.mul(x_high, y_high), ops.add(shift(middle, half), shift(other, half)))

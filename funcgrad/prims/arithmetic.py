"""Elementwise arithmetic: sums, products, powers, roots, rounding, extremes.

One line per derivative: `rule(g, out, *operands)`, where `g` is the tangent of the operand in that position.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from funcgrad import dtypes
from funcgrad.errors import DTypeError
from funcgrad.ir import expr as E
from funcgrad.ir.primitive import Zero
from funcgrad.ir.types import ArrayType
from funcgrad.prims.registry import (
    FIXED,
    defined_by,
    elementwise,
    elementwise_type,
    is_linear,
    is_literal,
    keeps_type,
    numpy_ufunc,
)
from funcgrad.prims.samples import binary_samples, unary_samples
from funcgrad.trace import ops
from funcgrad.trace.core import type_of

NUMERIC = (*dtypes.INTEGERS, *dtypes.FLOATS, *dtypes.COMPLEX)
INEXACT = (*dtypes.FLOATS, *dtypes.COMPLEX)


def _sum_transpose(sign: int):
    def transpose(ct: Any, x: Any, y: Any) -> list[Any]:
        def part(operand: Any, negative: bool) -> Any:
            if not is_linear(operand):
                return None
            if ct.__class__ is Zero:
                return Zero(operand.type)
            return ops.fit(ops.neg(ct) if negative else ct, operand.type.shape)

        return [part(x, False), part(y, sign < 0)]

    return transpose


def _mul_transpose(ct: Any, x: Any, y: Any) -> list[Any]:
    if is_linear(x):
        return [ops.fit(ops.mul(ct, y), x.type.shape), None]
    return [None, ops.fit(ops.mul(x, ct), y.type.shape)]


def _div_transpose(ct: Any, x: Any, y: Any) -> list[Any]:
    return [ops.fit(ops.div(ct, y), x.type.shape), None]


def _simplify_mul(equation: Any, definitions: Any) -> Any:
    """x * 1 is x. x * 0 is not 0, since x may be infinite."""
    x, y = equation.inputs
    if is_literal(y, 1) and keeps_type(equation, x):
        return [x]
    return [y] if is_literal(x, 1) and keeps_type(equation, y) else None


def _simplify_div(equation: Any, definitions: Any) -> Any:
    x, y = equation.inputs
    return [x] if is_literal(y, 1) and keeps_type(equation, x) else None


def _simplify_neg(equation: Any, definitions: Any) -> Any:
    inner = defined_by("neg", equation.inputs[0], definitions)
    return None if inner is None else [inner.inputs[0]]


add_p = elementwise(
    "add",
    numpy_ufunc("add"),
    [lambda g, out, x, y: g, lambda g, out, x, y: g],
    transpose=_sum_transpose(+1),
    accepts=dtypes.ALL,
    samples=binary_samples(dtypes.ALL),
)
sub_p = elementwise(
    "sub",
    numpy_ufunc("subtract"),
    [lambda g, out, x, y: g, lambda g, out, x, y: ops.neg(g)],
    transpose=_sum_transpose(-1),
    accepts=NUMERIC,
    samples=binary_samples(NUMERIC),
)
mul_p = elementwise(
    "mul",
    numpy_ufunc("multiply"),
    [lambda g, out, x, y: ops.mul(g, y), lambda g, out, x, y: ops.mul(x, g)],
    transpose=_mul_transpose,
    simplify=_simplify_mul,
    accepts=dtypes.ALL,
    samples=binary_samples(dtypes.ALL),
)


def _evaluate_div(xp: Any, x: Any, y: Any) -> Any:
    """True division of floats; of integers, towards zero, and -1 (all bits set) by zero, as in XLA."""
    if not dtypes.is_integer(x.dtype):
        return _true_divide(xp, x, y)
    with np.errstate(all="ignore"):
        quotient = _towards_zero(xp, x, y)
        return xp.where(y == 0, x.dtype.type(0) - x.dtype.type(1), quotient).astype(x.dtype)


def _towards_zero(xp: Any, x: Any, y: Any) -> Any:
    safe = xp.where(y == 0, 1, y).astype(y.dtype)
    quotient = xp.floor_divide(x, safe)
    remainder = (x - quotient * safe).astype(x.dtype)
    return (quotient + ((remainder != 0) & ((x < 0) != (safe < 0)))).astype(x.dtype)


_true_divide = numpy_ufunc("true_divide")


def _by_zero(x: Any, y: Any) -> list[tuple[str, Any, str, None]]:
    zero = ops.eq(y, ops.full_like(y, 0))
    return [("div", ops.reduce_or(zero, tuple(range(type_of(y).ndim))), "division by zero", None)]


div_p = elementwise(
    "div",
    _evaluate_div,
    [lambda g, out, x, y: ops.div(g, y), lambda g, out, x, y: ops.mul(ops.neg(g), ops.div(out, y))],
    transpose=_div_transpose,
    simplify=_simplify_div,
    hazards=_by_zero,
    accepts=NUMERIC,
    samples=binary_samples(NUMERIC, nonzero=True),
)


def _evaluate_rem(xp: Any, x: Any, y: Any) -> Any:
    """The remainder with the sign of x; of integers by zero, x, as in XLA."""
    with np.errstate(all="ignore"):
        if not dtypes.is_integer(x.dtype):
            return _fmod(xp, x, y)
        safe = xp.where(y == 0, 1, y).astype(y.dtype)
        return xp.where(y == 0, x, xp.fmod(x, safe)).astype(x.dtype)


_fmod = numpy_ufunc("fmod")

rem_p = elementwise(
    "rem",
    _evaluate_rem,
    [
        lambda g, out, x, y: g,
        lambda g, out, x, y: ops.mul(ops.neg(g), _truncate(ops.div(x, y))),
    ],
    hazards=_by_zero,
    accepts=(*dtypes.INTEGERS, *dtypes.FLOATS),
    samples=binary_samples((*dtypes.INTEGERS, *dtypes.FLOATS), nonzero=True),
)


def _truncate(x: Any) -> Any:
    return ops.mul(ops.sign(x), ops.floor(ops.abs_(x)))


neg_p = elementwise(
    "neg",
    numpy_ufunc("negative"),
    [lambda g, out, x: ops.neg(g)],
    transpose=lambda ct, x: [ops.neg(ct)],
    simplify=_simplify_neg,
    accepts=NUMERIC,
    samples=unary_samples(NUMERIC),
)


def _evaluate_sign(xp: Any, x: Any) -> Any:
    if dtypes.is_complex(x.dtype):
        with np.errstate(all="ignore"):
            far = xp.isinf(x.real), xp.isinf(x.imag)
            one = far[0] != far[1]  # then the other part does not count, NaN or not
            if one.any():
                parts = [
                    xp.where(one, xp.where(f, xp.copysign(1, p), 0), p) for p, f in zip((x.real, x.imag), far)
                ]
                x = xp.array(x)
                x.real, x.imag = parts
            size = xp.abs(x)
            return xp.where(size == 0, 0, x / xp.where(size == 0, 1, size)).astype(x.dtype)
    return _np_sign(xp, x)


_np_sign = numpy_ufunc("sign")


def _sign_partial(g: Any, out: Any, x: Any) -> Any:
    """Of complex numbers the part of g across x, over |x|."""
    if not dtypes.is_complex(type_of(x).dtype):
        return None
    size = ops.abs_(x)
    size = ops.select(ops.eq(size, 0), ops.full_like(size, 1), size)
    inner = ops.div(ops.add(ops.mul(ops.real(g), ops.real(x)), ops.mul(ops.imag(g), ops.imag(x))), size)
    along = ops.mul(out, ops.complex_(inner, ops.full_like(inner, 0)))
    safe = ops.complex_(size, ops.full_like(size, 0))
    return ops.div(ops.sub(g, along), safe)


sign_p = elementwise(
    "sign", _evaluate_sign, [_sign_partial], accepts=NUMERIC, samples=unary_samples(NUMERIC, nonzero=True)
)


def _evaluate_abs(xp: Any, x: Any) -> Any:
    return xp.abs(x)


def _abs_partial(g: Any, out: Any, x: Any) -> Any:
    if not dtypes.is_complex(type_of(x).dtype):
        return ops.mul(g, ops.sign(x))
    return ops.real(ops.mul(g, ops.conj(ops.sign(x))))


abs_p = elementwise(
    "abs",
    _evaluate_abs,
    [_abs_partial],
    accepts=NUMERIC,
    result=dtypes.real_of,
    samples=unary_samples(NUMERIC, nonzero=True),
)

floor_p = elementwise(
    "floor", numpy_ufunc("floor"), FIXED, accepts=dtypes.FLOATS, samples=unary_samples(dtypes.FLOATS)
)
ceil_p = elementwise(
    "ceil", numpy_ufunc("ceil"), FIXED, accepts=dtypes.FLOATS, samples=unary_samples(dtypes.FLOATS)
)


def _evaluate_round(xp: Any, x: Any, *, rounding_method: int) -> Any:
    if rounding_method == 1:
        return _rint(xp, x)
    wide = x.astype(dtypes.compute_dtype(x.dtype))
    whole = xp.trunc(wide)
    away = whole + xp.copysign((xp.abs(wide - whole) >= 0.5).astype(wide.dtype), wide)
    return xp.where(xp.isfinite(wide), xp.copysign(away, wide), wide).astype(x.dtype)


_rint = numpy_ufunc("rint")

round_p = elementwise(
    "round",
    _evaluate_round,
    FIXED,
    accepts=dtypes.FLOATS,
    samples=unary_samples(dtypes.FLOATS, params=[{"rounding_method": 0}, {"rounding_method": 1}]),
    lower=lambda in_types, out, *, rounding_method: E.Map(
        E.op(
            "round_even" if rounding_method else "round_away",
            E.read_all(0, in_types[0], E.one_type(out).ndim),
            dtype=E.one_type(out).dtype,
        )
    ),
)


def _share(g: Any, out: Any, mine: Any, other: Any) -> Any:
    """The tangent where `mine` is the extreme one; half of it at a tie."""
    all_, half, none = map(type_of(g).dtype.type, (1, 0.5, 0))
    tied = ops.select(ops.eq(mine, other), half, all_)
    return ops.mul(g, ops.select(ops.eq(mine, out), tied, none))


max_p = elementwise(
    "max",
    numpy_ufunc("maximum"),
    [lambda g, out, x, y: _share(g, out, x, y), lambda g, out, x, y: _share(g, out, y, x)],
    accepts=dtypes.ALL,
    samples=binary_samples(dtypes.ALL),
)
min_p = elementwise(
    "min",
    numpy_ufunc("minimum"),
    [lambda g, out, x, y: _share(g, out, x, y), lambda g, out, x, y: _share(g, out, y, x)],
    accepts=dtypes.ALL,
    samples=binary_samples(dtypes.ALL),
)


# Powers and roots.
def _pow_base(g: Any, out: Any, x: Any, y: Any) -> Any:
    """y * x**(y-1), and 0 where both are 0."""
    exponent = ops.select(ops.and_(ops.eq(x, 0), ops.eq(y, 0)), type_of(y).dtype.type(0), ops.sub(y, 1))
    return ops.mul(g, ops.mul(y, ops.pow_(x, exponent)))


def _pow_exponent(g: Any, out: Any, x: Any, y: Any) -> Any:
    """log(x) * x**y, with log(0) * 0**y = 0 for y > 0."""
    zero = ops.eq(x, 0)
    return ops.mul(g, ops.mul(ops.log(ops.select(zero, ops.full_like(x, 1), x)), out))


pow_p = elementwise(
    "pow",
    numpy_ufunc("power"),
    [_pow_base, _pow_exponent],
    accepts=INEXACT,
    samples=binary_samples(INEXACT, positive=True),
)


def _evaluate_integer_pow(xp: Any, x: Any, *, y: int) -> Any:
    wide = x.astype(dtypes.compute_dtype(x.dtype))
    with np.errstate(all="ignore"):
        power, result, n = wide, None, abs(y)
        while n:
            if n & 1:
                result = power if result is None else result * power
            n >>= 1
            if n:
                power = power * power
        if result is None:
            return xp.ones_like(x)
        return (result if y > 0 else wide.dtype.type(1) / result).astype(x.dtype)


def _integer_pow_partial(g: Any, out: Any, x: Any, *, y: int) -> Any:
    if y == 0:
        return None
    return ops.mul(g, ops.mul(x if y == 2 else ops.integer_pow(x, y - 1), float(y)))


def _integer_pow_type(x: ArrayType, *, y: int) -> ArrayType:
    if y < 0 and not dtypes.is_inexact(x.dtype):
        raise DTypeError(
            f"integer_pow of {x} to the power {y} is not a whole number",
            hint="convert the base with .astype(float) first",
        )
    return _power_type(x)


_power_type = elementwise_type("integer_pow", NUMERIC, None)


integer_pow_p = elementwise(
    "integer_pow",
    _evaluate_integer_pow,
    [_integer_pow_partial],
    accepts=NUMERIC,
    type_rule=_integer_pow_type,
    samples=unary_samples(INEXACT, nonzero=True, params=[{"y": 0}, {"y": 1}, {"y": 2}, {"y": 3}, {"y": -2}]),
    lower=lambda in_types, out, *, y: E.Map(
        E.integer_pow(E.read_all(0, in_types[0], E.one_type(out).ndim), y, E.one_type(out).dtype)
    ),
)
square_p = elementwise(
    "square",
    numpy_ufunc("square"),
    [lambda g, out, x: ops.mul(g, ops.mul(x, 2))],
    accepts=NUMERIC,
    samples=unary_samples(NUMERIC),
)
sqrt_p = elementwise(
    "sqrt",
    numpy_ufunc("sqrt"),
    [lambda g, out, x: ops.mul(g, ops.div(0.5, out))],
    accepts=INEXACT,
    samples=unary_samples(INEXACT, positive=True),
)


def _evaluate_rsqrt(xp: Any, x: Any) -> Any:
    wide = x.astype(dtypes.compute_dtype(x.dtype))
    with np.errstate(all="ignore"):
        return (wide.dtype.type(1) / xp.sqrt(wide)).astype(x.dtype)


rsqrt_p = elementwise(
    "rsqrt",
    _evaluate_rsqrt,
    [lambda g, out, x: ops.mul(g, ops.mul(-0.5, ops.div(out, x)))],
    accepts=INEXACT,
    samples=unary_samples(INEXACT, positive=True),
)
cbrt_p = elementwise(
    "cbrt",
    numpy_ufunc("cbrt"),
    [lambda g, out, x: ops.div(g, ops.mul(ops.mul(out, out), 3))],
    accepts=dtypes.FLOATS,
    samples=unary_samples(dtypes.FLOATS, positive=True),
)


def _lower_nextafter(in_types: Any, out_types: Any) -> E.Map:
    """16-bit floats are float32 in kernels: their next one is found by counting their own bits up or down."""
    out = E.one_type(out_types)
    x, y = [E.read_all(k, t, out.ndim) for k, t in enumerate(in_types)]
    if out.dtype.itemsize > 2:
        return E.Map(E.op("nextafter", x, y, dtype=out.dtype))

    def compare(code: str, a: E.Expr, b: E.Expr) -> E.Expr:
        return E.op(code, a, b, dtype=dtypes.bool_)

    def whole(value: int) -> E.Expr:
        return E.const(value, dtypes.int16)

    zero = E.const(0, out.dtype)
    bits = E.op("bitcast", E.convert(x, out.dtype), dtype=dtypes.int16)
    outwards = compare("eq", compare("lt", x, y), compare("lt", zero, x))
    moved = E.op("add", bits, E.select(outwards, whole(1), whole(-1), dtypes.int16), dtype=dtypes.int16)
    smallest = E.select(compare("lt", y, zero), whole(1 - 2**15), whole(1), dtypes.int16)
    moved = E.select(compare("eq", x, zero), smallest, moved, dtypes.int16)
    result = E.select(compare("eq", x, y), y, E.op("bitcast", moved, dtype=out.dtype), out.dtype)
    ordered = E.op("and", compare("eq", x, x), compare("eq", y, y), dtype=dtypes.bool_)
    return E.Map(E.select(ordered, result, E.op("add", x, y, dtype=out.dtype), out.dtype))


nextafter_p = elementwise(
    "nextafter",
    lambda xp, x, y: xp.nextafter(x, y),
    FIXED,
    accepts=dtypes.FLOATS,
    samples=binary_samples(dtypes.FLOATS),
    lower=_lower_nextafter,
)


# Identities that mean something to transforms or passes.
stop_gradient_p = elementwise(
    "stop_gradient",
    lambda xp, x: x,
    FIXED,
    transpose=lambda ct, x: [Zero(x.type)],  # where a loop that is linear borrows values (control_graphs.py)
    accepts=dtypes.ALL,
    samples=unary_samples(dtypes.ALL),
    lower=lambda in_types, out: E.Map(E.read_all(0, in_types[0], E.one_type(out).ndim)),
)
optimization_barrier_p = elementwise(
    "optimization_barrier",
    lambda xp, x: x,
    [lambda g, out, x: ops.optimization_barrier(g)],
    transpose=lambda ct, x: [ops.optimization_barrier(ct)],
    opaque=True,
    accepts=dtypes.ALL,
    samples=unary_samples(dtypes.ALL),
    lower=lambda in_types, out: E.Map(E.read_all(0, in_types[0], E.one_type(out).ndim)),
)

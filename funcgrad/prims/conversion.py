"""Changes of dtype, and the parts of complex numbers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from funcgrad import dtypes
from funcgrad.array import Array
from funcgrad.errors import DTypeError
from funcgrad.ir import expr as E
from funcgrad.ir.primitive import Primitive, Sample, Zero
from funcgrad.ir.types import ArrayType, array_type
from funcgrad.prims.registry import (
    FIXED,
    batch_elementwise,
    elementwise,
    is_linear,
    keeps_type,
    linear_jvp,
    transpose_linear,
)
from funcgrad.prims.samples import binary_samples, draw, unary_samples
from funcgrad.trace import ops
from funcgrad.trace.core import type_of


# convert_element_type. Floats to integers round towards zero and saturate; NaN gives 0.
def _convert_type(x: ArrayType, *, new_dtype: np.dtype, weak_type: bool) -> ArrayType:
    return array_type(x.shape, new_dtype, weak_type)


def _evaluate_convert(xp: Any, x: Any, *, new_dtype: np.dtype, weak_type: bool) -> Any:
    x = xp.asarray(x)
    if x.dtype == new_dtype:
        return x
    with np.errstate(all="ignore"):
        if dtypes.is_complex(x.dtype) and not dtypes.is_complex(new_dtype):
            x = x.real if not dtypes.is_bool(new_dtype) else x != 0
        if dtypes.is_float(x.dtype) and dtypes.is_integer(new_dtype):
            return _saturate(xp, x, new_dtype)
        return x.astype(new_dtype)


def _saturate(xp: Any, x: Any, new_dtype: np.dtype) -> Any:
    wide = x.astype(np.float64)
    info = np.iinfo(new_dtype)
    inside = xp.where((wide >= info.max) | (wide <= info.min) | xp.isnan(wide), 0, wide).astype(new_dtype)
    return xp.where(wide >= info.max, info.max, xp.where(wide <= info.min, info.min, inside)).astype(
        new_dtype
    )


def _convert_jvp(primals: Sequence[Any], tangents: Sequence[Any], **params: Any) -> tuple[Any, Any]:
    out = ops.apply("convert_element_type", *primals, **params)
    (t,) = tangents
    if t.__class__ is Zero or not dtypes.is_inexact(params["new_dtype"]):
        return out, Zero(type_of(out).tangent())
    return out, ops.apply("convert_element_type", t, **params)


def _convert_samples() -> Iterable[Sample]:
    for old in dtypes.ALL:
        for new in dtypes.ALL:
            both = dtypes.is_inexact(old) and dtypes.is_inexact(new)
            drops = dtypes.is_complex(old) and not dtypes.is_complex(new)
            yield Sample(
                (draw(3, dtype=old, scale=3.0),),
                {"new_dtype": new, "weak_type": False},
                (0,) if both and not drops else (),
                f"{dtypes.name(old)} to {dtypes.name(new)}",
            )


convert_element_type_p = elementwise(
    "convert_element_type",
    _evaluate_convert,
    accepts=dtypes.ALL,
    type_rule=_convert_type,
    jvp=_convert_jvp,
    transpose=transpose_linear(lambda ct, t, **params: ops.convert(ct, t.dtype, t.weak)),
    lower=lambda in_types, out, **params: E.Map(
        E.convert(E.read_all(0, in_types[0], E.one_type(out).ndim), E.one_type(out).dtype)
    ),
    simplify=lambda equation, definitions: (
        [equation.inputs[0]] if keeps_type(equation, equation.inputs[0]) else None
    ),
    samples=_convert_samples,
)


# bitcast_convert_type, between dtypes of one size.
def _bitcast_type(x: ArrayType, *, new_dtype: np.dtype) -> ArrayType:
    special = [dtypes.is_bool(d) or dtypes.is_complex(d) for d in (x.dtype, new_dtype)]
    if x.dtype.itemsize != new_dtype.itemsize or (any(special) and x.dtype != new_dtype):
        raise DTypeError(
            f"bitcast_convert_type keeps the bits, so {x} cannot become {dtypes.name(new_dtype)}",
            hint="complex numbers and booleans have a view, x.view(dtype); convert_element_type converts the numbers",
        )
    return array_type(x.shape, new_dtype)


def _lower_bitcast(in_types: Sequence[ArrayType], out_types: Any, *, new_dtype: np.dtype) -> E.Map:
    """A 16-bit float is at hand as a float32, and is rounded to its own bits first."""
    (x,), out = in_types, E.one_type(out_types)
    value = E.convert(E.read_all(0, x, out.ndim), x.dtype)
    return E.Map(E.op("bitcast", value, dtype=new_dtype))


bitcast_convert_type_p = elementwise(
    "bitcast_convert_type",
    lambda xp, x, *, new_dtype: xp.asarray(x).view(new_dtype),
    FIXED,
    accepts=dtypes.ALL,
    type_rule=_bitcast_type,
    lower=_lower_bitcast,
    samples=lambda: [
        Sample((draw(3, dtype=a),), {"new_dtype": b}, ())
        for a, b in [
            (dtypes.float32, dtypes.int32),
            (dtypes.uint64, dtypes.float64),
            (dtypes.int16, dtypes.uint16),
            (dtypes.float16, dtypes.int16),
            (dtypes.bfloat16, dtypes.uint16),
            (dtypes.int16, dtypes.bfloat16),
        ]
    ],
)


# reduce_precision: rounding that is the derivative of itself.
def _rounded(x: Any, *, exponent_bits: int, mantissa_bits: int) -> Any:
    own = type_of(x).dtype
    wide = dtypes.compute_dtype(own)
    info = np.finfo(wide)
    word = np.dtype(f"u{wide.itemsize}")
    x = ops.convert(x, wide)
    bits = ops.apply("bitcast_convert_type", x, new_dtype=word)
    dropped = info.nmant - mantissa_bits
    if dropped > 0:  # add less than a half, or exactly a half where the last bit that stays is 1
        odd = ops.and_(ops.shift_right_logical(bits, word.type(dropped)), word.type(1))
        bits = ops.add(bits, ops.add(word.type((1 << (dropped - 1)) - 1), odd))
        bits = ops.and_(bits, word.type((2 ** (8 * word.itemsize) - 1) ^ ((1 << dropped) - 1)))
    rounded = ops.apply("bitcast_convert_type", bits, new_dtype=wide)
    if exponent_bits < info.iexp:
        bias = 2 ** (exponent_bits - 1) - 1
        size = ops.abs_(rounded)
        signed = ops.mul(ops.sign(rounded), wide.type(1))
        rounded = ops.select(ops.ge(size, wide.type(2.0 ** (bias + 1))), ops.mul(signed, np.inf), rounded)
        rounded = ops.select(ops.lt(size, wide.type(2.0 ** (1 - bias))), ops.mul(rounded, 0), rounded)
    finite = ops.is_finite(x)
    return ops.convert(ops.select(finite, rounded, x), own)


def _evaluate_rounded(xp: Any, x: Any, **params: Any) -> Any:
    return _rounded(Array(xp.asarray(x)), **params)._data


reduce_precision_p = Primitive(
    name="reduce_precision",
    type_rule=lambda x, **params: x,
    evaluate=_evaluate_rounded,
    jvp=linear_jvp("reduce_precision"),
    transpose=transpose_linear(lambda ct, t, **params: ops.apply("reduce_precision", ct, **params)),
    batch=batch_elementwise("reduce_precision"),
    lower=None,
    expand=lambda x, **params: [_rounded(x, **params)],
    samples=lambda: [
        Sample((draw(3, dtype=dtype),), {"exponent_bits": 5, "mantissa_bits": 3}, ())
        for dtype in dtypes.FLOATS
    ],
)


# Complex numbers. Tangents are complex numbers too; a transpose is that of the complex-linear map, not
# conjugated, as in JAX.
def _part(name: str, transpose: Any) -> Primitive:
    return elementwise(
        name,
        lambda xp, x: getattr(xp, name)(x),
        [lambda g, out, x: ops.apply(name, g)],
        accepts=dtypes.COMPLEX,
        result=dtypes.real_of,
        transpose=transpose_linear(transpose),
        samples=unary_samples(dtypes.COMPLEX),
    )


real_p = _part("real", lambda ct, t: ops.complex_(ct, ops.full_like(ct, 0)))
imag_p = _part("imag", lambda ct, t: ops.complex_(ops.full_like(ct, 0), ops.neg(ct)))


def _complex_transpose(ct: Any, x: Any, y: Any) -> list[Any]:
    from_ct = (ops.real(ct), ops.neg(ops.imag(ct)))
    return [
        ops.fit(part, operand.type.shape) if is_linear(operand) else None
        for part, operand in zip(from_ct, (x, y))
    ]


def _evaluate_complex(xp: Any, x: Any, y: Any) -> Any:
    shape = np.broadcast_shapes(xp.shape(x), xp.shape(y))
    result = xp.empty(shape, dtypes.complex_of(x.dtype))
    result.real, result.imag = x, y
    return result


def _complex_jvp(primals: Sequence[Any], tangents: Sequence[Any]) -> tuple[Any, Any]:
    out = ops.apply("complex", *primals)
    if all(t.__class__ is Zero for t in tangents):
        return out, Zero(type_of(out).tangent())
    zero = type_of(primals[0]).dtype.type(0)
    given = [zero if t.__class__ is Zero else t for t in tangents]
    return out, ops.broadcast_to(ops.apply("complex", *given), type_of(out).shape)


complex_p = elementwise(
    "complex",
    _evaluate_complex,
    accepts=(dtypes.float32, dtypes.float64),
    result=dtypes.complex_of,
    jvp=_complex_jvp,
    transpose=_complex_transpose,
    samples=binary_samples((dtypes.float32, dtypes.float64)),
)
conj_p = elementwise(
    "conj",
    lambda xp, x: xp.conj(x),
    [lambda g, out, x: ops.conj(g)],
    accepts=dtypes.COMPLEX,
    transpose=transpose_linear(lambda ct, t: ops.conj(ct)),
    samples=unary_samples(dtypes.COMPLEX),
)

"""Conversions: saturation, NaN, bits, the parts of complex numbers and their cotangents."""

from __future__ import annotations

import numpy as np
import pytest
from compiled import both

import funcgrad as fg
from funcgrad import dtypes
from funcgrad.errors import DTypeError
from funcgrad.trace import ops

NAN, INF = np.nan, np.inf


def bitcast(x, dtype):
    return ops.apply("bitcast_convert_type", x, new_dtype=dtype)


@pytest.mark.parametrize("new", dtypes.INTEGERS, ids=str)
@pytest.mark.parametrize("old", dtypes.FLOATS, ids=str)
def test_floats_become_integers_towards_zero_and_saturate(old, new):
    info = np.iinfo(new)
    x = np.array([NAN, INF, -INF, 2.75, -0.75, -2.75]).astype(old)
    below = -2 if dtypes.is_signed(new) else 0
    expected = np.array([0, info.max, info.min, 2, 0, below], new)
    np.testing.assert_array_equal(both(lambda v: ops.convert(v, new), x), expected)


def test_integers_wrap_among_themselves():
    x = np.array([300, -1, 128], np.int32)
    np.testing.assert_array_equal(both(lambda v: ops.convert(v, dtypes.uint8), x), [44, 255, 128])
    np.testing.assert_array_equal(both(lambda v: ops.convert(v, dtypes.int8), x), [44, -1, -128])


def test_anything_but_zero_is_true():
    x = np.array([0.0, -0.0, 1e-300, NAN, -INF])
    np.testing.assert_array_equal(both(lambda v: ops.convert(v, dtypes.bool_), x), [0, 0, 1, 1, 1])


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (dtypes.float32, dtypes.int32),
        (dtypes.float64, dtypes.uint64),
        (dtypes.float16, dtypes.int16),
        (dtypes.bfloat16, dtypes.uint16),
    ],
    ids=str,
)
def test_bits_go_there_and_back(old, new):
    x = np.array([0.0, -0.0, 1.5, -INF, NAN]).astype(old)
    bits = both(lambda v: bitcast(v, new), x)
    np.testing.assert_array_equal(bits, x.view(new))
    for back in (bitcast, fg.jit(bitcast, static_argnums=1)):
        np.testing.assert_array_equal(np.asarray(back(bits, old)).view(new), bits)


def test_bits_of_a_computed_16_bit_float_are_those_of_the_rounded_one():
    x = np.array([1.0, 3.0, 0.1], np.float16)
    expected = (x.astype(np.float32) / np.float32(3)).astype(np.float16).view(np.int16)
    third = fg.jit(lambda v: bitcast(ops.div(v, 3), dtypes.int16))(x)
    np.testing.assert_array_equal(np.asarray(third), expected)


def test_bits_of_another_size_are_refused():
    with pytest.raises(DTypeError, match=r"f32\[2\] cannot become i64"):
        bitcast(np.zeros(2, np.float32), dtypes.int64)


Z, CT = np.array([1 + 2j, -3 + 0.5j]), np.array([0.5 - 1j, 2 + 3j])
R = np.array([0.5, 2.0])


@pytest.mark.parametrize(
    ("function", "primal", "cotangent", "expected"),
    [
        (ops.real, Z, R, R + 0j),
        (ops.imag, Z, R, -1j * R),
        (ops.conj, Z, CT, CT.conj()),
        (lambda x: ops.complex_(x, np.zeros(2)), R, CT, CT.real),
        (lambda y: ops.complex_(np.zeros(2), y), R, CT, -CT.imag),
        (lambda z: ops.mul(z, np.array([2j, 1 - 1j])), Z, CT, CT * np.array([2j, 1 - 1j])),
        (lambda x: ops.convert(x, dtypes.complex128), R, CT, CT.real),
        (lambda z: ops.convert(z, dtypes.float64), Z, R, R + 0j),
        (ops.abs_, Z, R, R * Z.conj() / abs(Z)),
        (ops.exp, Z, CT, CT * np.exp(Z)),
    ],
    ids=["real", "imag", "conj", "re", "im", "mul", "to complex", "to real", "abs", "exp"],
)
def test_cotangents_of_complex_numbers_are_those_of_jax(function, primal, cotangent, expected):
    """Transposes are not conjugated: the cotangent of z in c * z is c times the cotangent."""
    (pulled,) = fg.vjp(function, primal)[1](cotangent)
    assert np.asarray(pulled).dtype == primal.dtype
    np.testing.assert_allclose(np.asarray(pulled), expected)


def test_cotangent_of_the_squared_length_is_twice_the_conjugate():
    (pulled,) = fg.vjp(lambda z: ops.real(ops.mul(z, ops.conj(z))), Z)[1](np.ones(2))
    np.testing.assert_allclose(np.asarray(pulled), 2 * Z.conj())


def test_derivatives_of_the_sign_of_a_complex_number():
    """Across the number it turns; along the number it stays."""
    z = np.array([3 + 4j])
    for tangent, expected in ((z, 0), (1j * z, 1j * z / 5)):
        moved = fg.jvp(ops.sign, (z,), (tangent,))[1]
        np.testing.assert_allclose(np.asarray(moved), expected * np.ones(1), atol=1e-15)

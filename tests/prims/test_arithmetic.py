"""Arithmetic where it is special: IEEE values, integers at their ends, ties, powers of zero; all operations give
the same compiled."""

from __future__ import annotations

import numpy as np
import pytest
from compiled import both, comparable

import funcgrad as fg
from funcgrad import dtypes
from funcgrad.errors import DTypeError, ShapeError
from funcgrad.trace import ops

INF, NAN = np.inf, np.nan


def derivative(function, *operands, of=0):
    """The derivative of an elementwise function in operand `of`."""

    def varied(x):
        return function(*operands[:of], x, *operands[of + 1 :])

    return np.asarray(fg.jvp(varied, (operands[of],), (np.ones_like(operands[of]),))[1])


def f64(*numbers):
    return np.array(numbers, np.float64)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_extremes_give_nan_where_either_is_nan(dtype):
    x, y = np.array([1, NAN, NAN, -INF], dtype), np.array([NAN, 1, NAN, INF], dtype)
    np.testing.assert_array_equal(both(ops.max_, x, y), [NAN, NAN, NAN, INF])
    np.testing.assert_array_equal(both(ops.min_, x, y), [NAN, NAN, NAN, -INF])


def test_tied_extremes_share_their_derivative():
    x, y = f64(1, 2, 3), f64(2, 2, 2)
    np.testing.assert_array_equal(derivative(ops.max_, x, y), [0, 0.5, 1])
    np.testing.assert_array_equal(derivative(ops.max_, x, y, of=1), [1, 0.5, 0])
    np.testing.assert_array_equal(derivative(ops.min_, x, y), [1, 0.5, 0])


def test_sign_of_nan_is_nan_and_does_not_move():
    np.testing.assert_array_equal(both(ops.sign, f64(-3, 0, 2, NAN, -INF)), [-1, 0, 1, NAN, -1])
    np.testing.assert_array_equal(derivative(ops.sign, f64(-3, 0, 2, NAN)), 0)


def test_sign_of_complex_is_on_the_unit_circle():
    np.testing.assert_allclose(ops.sign(np.array([3 + 4j, 0])), [0.6 + 0.8j, 0])


def test_derivative_of_abs_is_the_sign():
    np.testing.assert_array_equal(derivative(ops.abs_, f64(-2, 0, 3)), [-1, 0, 1])


@pytest.mark.parametrize("dtype", dtypes.SIGNED, ids=str)
def test_integers_divide_towards_zero(dtype):
    low = np.iinfo(dtype).min
    x, y = np.array([7, -7, 7, -7, 5, low], dtype), np.array([2, 2, -2, -2, 0, -1], dtype)
    np.testing.assert_array_equal(both(ops.div, x, y), np.array([3, -3, -3, 3, -1, low], dtype))
    np.testing.assert_array_equal(both(ops.rem, x, y), np.array([1, -1, 1, -1, 5, 0], dtype))


def test_unsigned_division_by_zero_has_all_bits_set():
    x, y = np.array([7, 7], np.uint8), np.array([0, 2], np.uint8)
    np.testing.assert_array_equal(both(ops.div, x, y), [255, 3])
    np.testing.assert_array_equal(both(ops.rem, x, y), [7, 1])


def test_remainder_has_the_sign_of_the_first():
    np.testing.assert_array_equal(both(ops.rem, f64(5.5, -5.5, 5.5), f64(2, 2, -2)), [1.5, -1.5, 1.5])
    np.testing.assert_array_equal(derivative(ops.rem, f64(5.5, -5.5), f64(2, 2), of=1), [-2, 2])


@pytest.mark.parametrize("dtype", [np.int8, np.uint32, np.int64])
def test_integers_wrap(dtype):
    info = np.iinfo(dtype)
    top, one = np.array([info.max], dtype), np.array([1], dtype)
    assert both(ops.add, top, one) == info.min
    assert both(ops.sub, np.array([info.min], dtype), one) == info.max


def test_rounding_halves():
    x = f64(0.5, 1.5, 2.5, -0.5, -2.5, 0.49999999999999994, INF)
    away, even = (lambda v, m=m: ops.round_(v, m) for m in (0, 1))
    np.testing.assert_array_equal(both(away, x), [1, 2, 3, -1, -3, 0, INF])
    np.testing.assert_array_equal(both(even, x), [0, 2, 2, 0, -2, 0, INF])


def test_rounding_keeps_the_sign_of_zero():
    for method in (0, 1):
        assert np.signbit(np.asarray(ops.round_(f64(-0.25), method)))[0]


@pytest.mark.parametrize("y", [-2, -1, 0, 1, 2, 3, 7])
def test_integer_powers(y):
    x = f64(-2, -0.5, 1, 3)
    np.testing.assert_allclose(both(lambda v: ops.integer_pow(v, y), x), x**y, rtol=1e-15)
    np.testing.assert_allclose(derivative(lambda v: ops.integer_pow(v, y), x), y * x ** (y - 1), rtol=1e-15)


def test_integer_power_zero_of_anything_is_one():
    np.testing.assert_array_equal(both(lambda v: ops.integer_pow(v, 0), f64(0, NAN, INF)), 1)


def test_negative_powers_of_integers_are_refused():
    with pytest.raises(DTypeError, match=r"i32\[2\] to the power -1"):
        ops.integer_pow(np.array([1, 2], np.int32), -1)


def test_powers_of_zero():
    base, exponent = f64(0, 0, 0, 0), f64(0, 1, 2, 0.5)
    np.testing.assert_array_equal(both(ops.pow_, base, exponent), [1, 0, 0, 0])
    np.testing.assert_array_equal(derivative(ops.pow_, base, exponent), [0, 1, 0, INF])
    np.testing.assert_array_equal(derivative(ops.pow_, base, exponent, of=1), 0)


def test_second_derivatives_of_powers():
    def slope(x, y):
        return fg.grad(ops.pow_)(x, y)

    assert np.asarray(fg.grad(slope)(*f64(0, 2))) == 2
    assert np.asarray(fg.grad(slope)(*f64(0, 1))) == 0
    np.testing.assert_allclose(np.asarray(fg.grad(slope, argnums=1)(*f64(2, 0))), 0.5)


def test_roots_at_zero():
    np.testing.assert_array_equal(derivative(ops.sqrt, f64(0, 4)), [INF, 0.25])
    np.testing.assert_allclose(derivative(ops.cbrt, f64(0, 8, -8)), [INF, 1 / 12, 1 / 12])


def test_complex_numbers_divide_by_zero_as_in_numpy():
    parts = [0.0, 1.0, -2.5, INF, NAN]
    numbers = np.array([complex(a, b) for a in parts for b in parts])
    x, y = (part.ravel() for part in np.meshgrid(numbers, numbers))
    with np.errstate(all="ignore"):
        expected = x / y
    for function in (ops.div, fg.jit(ops.div)):
        np.testing.assert_allclose(np.asarray(function(x, y)), expected, rtol=1e-15)


@pytest.mark.parametrize("dtype", [dtypes.float16, dtypes.bfloat16], ids=str)
def test_16_bit_floats_are_rounded_once(dtype):
    x = np.array([1.0, 3.0, 100.0]).astype(dtype)
    third = np.asarray(both(ops.div, x, np.array([3, 7, 9]).astype(dtype)), np.float64)
    exact = (np.asarray(x, np.float32) / np.array([3, 7, 9], np.float32)).astype(dtype).astype(np.float64)
    np.testing.assert_array_equal(third, exact)


def test_scalars_go_with_any_shape_and_their_cotangent_is_a_sum():
    x, scale = np.arange(6.0).reshape(2, 3), np.float64(3.0)
    _, pull = fg.vjp(ops.mul, x, scale)
    to_x, to_scale = pull(np.ones((2, 3)))
    np.testing.assert_array_equal(np.asarray(to_x), np.full((2, 3), 3.0))
    assert np.shape(to_scale) == () and float(to_scale) == 15


def test_shapes_and_dtypes_have_to_agree():
    with pytest.raises(ShapeError, match=r"f64\[2\] and f64\[3\]"):
        ops.add(np.zeros(2), np.zeros(3))
    with pytest.raises(DTypeError, match=r"f64\[2\] and f32\[2\]"):
        ops.add(np.zeros(2), np.zeros(2, np.float32))


def test_stop_gradient_and_barrier_are_identities():
    x = f64(1, 2)
    for name, slope in (("stop_gradient", 0), ("optimization_barrier", 1)):
        assert both(lambda v, name=name: ops.apply(name, v), x).tolist() == [1, 2]
        np.testing.assert_array_equal(derivative(lambda v, name=name: ops.apply(name, v), x), slope)


def test_errors_of_eager_operations_name_the_users_line():
    with pytest.raises(ShapeError) as error:
        ops.add(np.zeros(2), np.zeros(3))
    assert "test_arithmetic.py" in str(error.value)


@pytest.mark.parametrize("dtype", dtypes.FLOATS, ids=str)
def test_next_floats(dtype):
    smallest = float(dtypes.finfo(dtype).smallest_subnormal)
    largest = float(dtypes.finfo(dtype).max)
    x = np.array([0, 0, -0.0, INF, largest, smallest, 1, NAN, 2]).astype(dtype)
    y = np.array([1, -1, 1, 0, INF, -1, 1, 1, NAN]).astype(dtype)
    expected = np.array([smallest, -smallest, smallest, largest, INF, 0, 1, NAN, NAN]).astype(dtype)
    np.testing.assert_array_equal(comparable(both(ops.nextafter, x, y)), comparable(expected))

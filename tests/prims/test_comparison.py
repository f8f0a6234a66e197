"""Comparisons, bits, choice and clamping where they are special."""

from __future__ import annotations

import numpy as np
import pytest
from compiled import both

import funcgrad as fg
from funcgrad import dtypes
from funcgrad.errors import DTypeError, ShapeError
from funcgrad.trace import ops

NAN = np.nan


def test_nothing_compares_with_nan():
    x, y = np.array([NAN, NAN, 1.0]), np.array([NAN, 1.0, NAN])
    for compare in (ops.eq, ops.lt, ops.le, ops.gt, ops.ge):
        assert not both(compare, x, y).any()
    assert both(ops.ne, x, y).all()


def test_zeros_of_both_signs_are_equal():
    assert both(ops.eq, np.array([0.0]), np.array([-0.0])).all()


@pytest.mark.parametrize("dtype", dtypes.INTEGERS, ids=str)
def test_shifts_of_the_width_or_more(dtype):
    bits = 8 * dtype.itemsize
    top = np.array(1 << (bits - 1), f"u{dtype.itemsize}").astype(dtype)
    x, by = np.full(3, top), np.array([bits - 1, bits, bits + 1]).astype(dtype)
    ones = np.array(-1, f"i{dtype.itemsize}").astype(dtype)
    np.testing.assert_array_equal(both(ops.shift_right_logical, x, by), [1, 0, 0])
    np.testing.assert_array_equal(both(ops.shift_right_arithmetic, x, by), [ones] * 3)
    np.testing.assert_array_equal(both(ops.shift_left, np.ones(3, dtype), by), [top, 0, 0])


@pytest.mark.parametrize("dtype", dtypes.INTEGERS, ids=str)
def test_bits_are_counted(dtype):
    info, bits = np.iinfo(dtype), 8 * dtype.itemsize
    x = np.array([0, 1, 5, info.max, info.min], dtype)
    lowest = [0, bits] if dtype.kind == "u" else [1, 0]
    ones = bits - (dtype.kind == "i")
    np.testing.assert_array_equal(both(ops.population_count, x), [0, 1, 2, ones, lowest[0]])
    np.testing.assert_array_equal(both(ops.clz, x), [bits, bits - 1, bits - 3, bits - ones, lowest[1]])


def test_select_by_number_stays_within_the_cases():
    which = np.array([-1, 0, 1, 2, 7], np.int32)
    cases = [np.full(5, v) for v in (10.0, 20.0, 30.0)]
    np.testing.assert_array_equal(
        both(lambda w, *c: ops.apply("select_n", w, *c), which, *cases), [10, 10, 20, 30, 30]
    )


def test_a_derivative_that_is_not_chosen_does_not_matter():
    def safe_log(x):
        return ops.select(ops.gt(x, 0), ops.log(ops.select(ops.gt(x, 0), x, 1.0)), 0.0)

    slope = fg.vmap(fg.grad(safe_log))(np.array([-1.0, 0.0, 2.0]))
    np.testing.assert_array_equal(np.asarray(slope), [0, 0, 0.5])


def test_clamp_moves_with_what_it_gives():
    low, x, high = np.float64(0), np.array([-1.0, 0.0, 0.5, 1.0, 2.0]), np.float64(1)

    def clamp(*operands):
        return ops.apply("clamp", *operands)

    np.testing.assert_array_equal(both(clamp, low, x, high), [0, 0, 0.5, 1, 1])
    _, pull = fg.vjp(clamp, low, x, high)
    to_low, to_x, to_high = map(np.asarray, pull(np.ones(5)))
    np.testing.assert_array_equal(to_x, [0, 0, 1, 0, 0])
    assert (to_low, to_high) == (2, 2)


def test_clamp_between_crossed_bounds_gives_the_upper():
    operands = (np.float64(1), np.array([-1.0, 0.5, 2.0]), np.float64(0))
    np.testing.assert_array_equal(np.asarray(ops.apply("clamp", *operands)), 0)
    _, pull = fg.vjp(lambda *o: ops.apply("clamp", *o), *operands)
    to_low, to_x, to_high = map(np.asarray, pull(np.ones(3)))
    assert (to_low, to_high) == (0, 3) and not to_x.any()


def test_what_is_refused():
    x = np.zeros(3)
    with pytest.raises(DTypeError, match="and is not defined for f64"):
        ops.and_(x, x)
    with pytest.raises(DTypeError, match="lt is not defined for c128"):
        ops.lt(x + 0j, x + 0j)
    with pytest.raises(DTypeError, match="select_n chooses by"):
        ops.select(x, x, x)
    with pytest.raises(ShapeError, match="select_n takes operands of one shape"):
        ops.select(np.zeros(2, bool), x, x)


@pytest.mark.parametrize(
    "dtype", ["bool", "int8", "uint16", "float16", "float32", "float64", "complex64", "complex128"]
)
def test_choices_among_many_elements_keep_every_bit(dtype):
    rng = np.random.default_rng(0)
    x, y = (
        rng.integers(0, 256, (70, 80 * np.dtype(dtype).itemsize)).astype(np.uint8).view(dtype)
        for _ in range(2)
    )
    if dtype == "bool":
        x, y = rng.random(x.shape) < 0.5, rng.random(x.shape) < 0.5
    which = rng.random((70, 80)) < 0.5
    for on_true, on_false in ((x, y), (x, y[0, 0]), (x[0, 0], y), (x.T.copy().T, y[:, ::-1])):
        have = np.asarray(ops.select(which, on_true, on_false))
        wanted = np.where(which, on_true, on_false)
        assert have.tobytes() == wanted.tobytes()

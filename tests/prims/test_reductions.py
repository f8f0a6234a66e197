"""Reductions where they are special: empty axes, NaN, ties, zeros in products, accumulation of 16-bit floats."""

from __future__ import annotations

import contextlib

import numpy as np
import pytest
from compiled import both

import funcgrad as fg
from funcgrad import dtypes
from funcgrad.errors import AxisError, DTypeError, ShapeError
from funcgrad.ir.primitive import PRIMITIVES
from funcgrad.ir.types import array_type
from funcgrad.trace import ops

NAN, INF = np.nan, np.inf


def over_last(reduce):
    return lambda x: reduce(x, (x.ndim - 1,))


@pytest.mark.parametrize(
    ("reduce", "start"),
    [(ops.reduce_sum, 0), (ops.reduce_prod, 1), (ops.reduce_max, -INF), (ops.reduce_min, INF)],
)
def test_of_nothing_gives_the_neutral_element(reduce, start):
    np.testing.assert_array_equal(both(over_last(reduce), np.zeros((2, 0), np.float32)), [start, start])


def test_extremes_of_nothing_are_the_ends_of_integers():
    empty = np.zeros((0,), np.int16)
    assert both(over_last(ops.reduce_max), empty) == -(2**15)
    assert both(over_last(ops.reduce_min), empty) == 2**15 - 1


@pytest.mark.parametrize("dtype", dtypes.INTEGERS, ids=str)
def test_extremes_of_negative_and_positive_integers(dtype):
    x = np.array([[3, -5, 7], [-2, -9, -4]]).astype(dtype)
    np.testing.assert_array_equal(both(over_last(ops.reduce_max), x), x.max(1))
    np.testing.assert_array_equal(both(over_last(ops.reduce_min), x), x.min(1))


def reductions():
    """The name of every reduction, with every dtype that it takes."""
    for name, primitive in PRIMITIVES.items():
        if name.startswith(("reduce_", "arg")) and name != "reduce_precision":
            for dtype in dtypes.ALL:
                with contextlib.suppress(DTypeError):
                    primitive.type_rule(array_type((2,), dtype), axes=(0,), **params_of(name))
                    yield pytest.param(name, dtype, id=f"{name} of {dtypes.name(dtype)}")


def params_of(name):
    return {"index_dtype": dtypes.int32} if name.startswith("arg") else {}


@pytest.mark.parametrize(("name", "dtype"), list(reductions()))
def test_over_every_axis_compiled_as_evaluated(name, dtype):
    """Of numbers with both signs, some of them equal, in lines that are no multiple of a vector."""
    several = [] if name.startswith("arg") else [(0, 1), (1, 2), (0, 2), (0, 1, 2), ()]
    x = np.random.default_rng(0).integers(-9, 10, (3, 5, 37))
    if name == "reduce_prod":
        x = np.where(x < 0, -1, 1)
    for axes in [(0,), (1,), (2,), *several]:
        both(lambda x, axes=axes: ops.apply(name, x, axes=axes, **params_of(name)), x.astype(dtype))


def test_nan_is_the_extreme_and_its_place_is_the_position():
    x = np.array([[1, NAN, 3, NAN], [4, 5, INF, 5]])
    np.testing.assert_array_equal(both(over_last(ops.reduce_max), x), [NAN, INF])
    np.testing.assert_array_equal(both(over_last(ops.reduce_min), x), [NAN, 4])
    np.testing.assert_array_equal(both(lambda v: ops.argmax(v, 1, dtypes.int64), x), [1, 2])
    np.testing.assert_array_equal(both(lambda v: ops.argmin(v, 1, dtypes.int32), x), [1, 0])


@pytest.mark.parametrize("dtype", [np.int32, np.float32, dtypes.float16, dtypes.bfloat16, np.bool_], ids=str)
def test_the_first_of_equal_elements_is_the_position(dtype):
    x = np.array([0, 1, 1, 0]).astype(dtype)
    assert both(lambda v: ops.argmax(v, 0, dtypes.int64), x) == 1
    assert both(lambda v: ops.argmin(v, 0, dtypes.int64), x) == 0


def test_tied_extremes_share_the_gradient():
    x = np.array([3.0, 1.0, 3.0, 1.0, 3.0])
    np.testing.assert_allclose(np.asarray(fg.grad(over_last(ops.reduce_max))(x)), [1 / 3, 0, 1 / 3, 0, 1 / 3])
    np.testing.assert_allclose(np.asarray(fg.grad(over_last(ops.reduce_min))(x)), [0, 0.5, 0, 0.5, 0])


@pytest.mark.parametrize("zeros", [(), (1,), (0, 3), (0, 1, 4)], ids=lambda z: f"{len(z)} zeros")
@pytest.mark.parametrize("length", [1, 2, 5, 7])
def test_derivatives_of_products(length, zeros):
    x = np.arange(1.0, length + 1)
    x[[z for z in zeros if z < length]] = 0

    def others(*left_out):
        return np.prod(np.delete(x, left_out))

    gradient = [others(i) for i in range(length)]
    hessian = [[0.0 if i == j else others(i, j) for j in range(length)] for i in range(length)]
    product = over_last(ops.reduce_prod)
    np.testing.assert_allclose(np.asarray(fg.grad(product)(x)), gradient)
    np.testing.assert_allclose(np.asarray(fg.jit(fg.grad(product))(x)), gradient)
    np.testing.assert_allclose(np.asarray(fg.hessian(product)(x)), hessian)


def test_the_derivative_of_a_long_product_takes_few_operations():
    graph = fg.make_jaxpr(fg.grad(over_last(ops.reduce_prod)))(np.ones(1000))
    assert str(graph).count("\n") < 300


def test_products_over_two_axes():
    x = np.array([[1.0, 2.0, 0.0], [4.0, 5.0, 6.0]])
    gradient = np.asarray(fg.grad(lambda v: ops.reduce_prod(v, (0, 1)))(x))
    np.testing.assert_array_equal(gradient, [[0, 0, 240], [0, 0, 0]])


@pytest.mark.parametrize("dtype", [dtypes.float16, dtypes.bfloat16], ids=str)
def test_16_bit_floats_are_summed_in_float32(dtype):
    x = np.full(4000, 0.25).astype(dtype)
    assert float(both(over_last(ops.reduce_sum), x)) == 1000


@pytest.mark.parametrize("dtype", dtypes.INTEGERS, ids=str)
def test_sums_of_integers_keep_their_dtype_and_wrap(dtype):
    x = np.full(3, np.iinfo(dtype).max, dtype)
    total = both(over_last(ops.reduce_sum), x)
    assert total.dtype == dtype
    assert total == np.add.reduce(x, dtype=dtype)


def test_logic_over_bits():
    x = np.array([[6, 3], [12, 10]], np.uint8)
    np.testing.assert_array_equal(both(over_last(ops.reduce_and), x), [2, 8])
    np.testing.assert_array_equal(both(over_last(ops.reduce_or), x), [7, 14])


def test_what_is_refused():
    x = np.zeros((2, 3))
    with pytest.raises(AxisError, match="reduce_sum over axes"):
        ops.reduce_sum(x, (2,))
    with pytest.raises(AxisError, match="distinct"):
        ops.reduce_sum(x, (0, 0))
    with pytest.raises(DTypeError, match="not defined for bool"):
        ops.reduce_sum(x > 0, (0,))
    with pytest.raises(ShapeError, match="empty axis"):
        ops.argmax(np.zeros((0,)), 0, dtypes.int64)
    with pytest.raises(AxisError, match="along one axis"):
        ops.apply("argmax", x, axes=(0, 1), index_dtype=dtypes.int64)

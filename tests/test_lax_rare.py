"""Seldom used operations of lax: against loops in NumPy, with derivatives, under vmap and jit, in both floats."""

from __future__ import annotations

import functools

import numpy as np
import pytest
import scipy.special

import funcgrad as fg
from funcgrad import lax
from funcgrad.errors import ArgumentError, DTypeError, ShapeError
from funcgrad.testing import check_grads

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("sizes", [[2, 0, 3], [1, 1, 1], [0, 0, 0], [5, 0, 0]])
def test_each_group_of_rows_times_its_matrix(dtype, sizes):
    x, y = RNG.standard_normal((5, 3)).astype(dtype), RNG.standard_normal((3, 3, 2)).astype(dtype)
    wanted, at = np.zeros((5, 2), dtype), 0
    for g, n in enumerate(sizes):
        wanted[at : at + n] = x[at : at + n] @ y[g]
        at += n
    got = fg.jit(lax.ragged_dot)(x, y, np.array(sizes))
    assert got.dtype == dtype
    np.testing.assert_allclose(got, wanted, rtol=1e-5, atol=1e-6)
    if dtype == np.float64:
        check_grads(lambda x, y: lax.ragged_dot(x, y, np.array(sizes)), (x, y), order=2)
        both = fg.vmap(lax.ragged_dot, (None, None, 0))(x, y, np.array([sizes, sizes[::-1]]))
        np.testing.assert_allclose(both[0], wanted, atol=1e-12)


def test_ragged_dot_says_what_does_not_fit():
    with pytest.raises(ShapeError, match=r"\(g, k, n\)"):
        lax.ragged_dot(np.ones((5, 3)), np.ones((2, 4, 2)), np.array([2, 3]))
    with pytest.raises(DTypeError, match="group_sizes"):
        lax.ragged_dot(np.ones((5, 3)), np.ones((2, 3, 2)), np.array([2.0, 3.0]))


def test_bits_come_from_the_counter_and_move_it_on():
    key = np.array([0, 1, 2, 3], np.uint32)
    new, bits = fg.jit(lambda k: lax.rng_bit_generator(k, (5,)))(key)
    assert bits.tolist() == [2689575991, 2205648888, 150810639, 1537324351, 1815543426]
    assert new.tolist() == [0, 1, 5, 3]
    _, more = lax.rng_bit_generator(new, (4,))
    _, all_ = lax.rng_bit_generator(key, (10,))
    assert more.tolist() == all_[6:].tolist()
    wrapped, _ = lax.rng_bit_generator(np.array([0, 1, 2**32 - 1, 3], np.uint32), (5,))
    assert wrapped.tolist() == [0, 1, 2, 4]
    for dtype in (np.uint8, np.uint16, np.uint64):
        new, bits = lax.rng_bit_generator(key, (3, 200), dtype=dtype)
        assert bits.dtype == dtype and bits.shape == (3, 200)
        top = float(np.iinfo(dtype).max)
        assert abs(np.asarray(bits, float).mean() / top - 0.5) < 0.05
    keys = np.stack([key, key + 1])
    each = fg.vmap(lambda k: lax.rng_bit_generator(k, (5,))[1])(keys)
    np.testing.assert_array_equal(each[1], lax.rng_bit_generator(keys[1], (5,))[1])
    with pytest.raises(ArgumentError, match=r"u32\[4\]"):
        lax.rng_bit_generator(np.zeros(2, np.uint32), (3,))
    with pytest.raises(DTypeError, match="unsigned"):
        lax.rng_bit_generator(key, (3,), dtype=np.int32)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_functions_of_scattered_elements(dtype):
    numbers = lax.ScatterDimensionNumbers((), (0,), (0,))
    x, at = np.arange(1, 5, dtype=dtype), np.array([[1], [3], [1]])
    f = fg.jit(lambda x: lax.scatter_apply(x, at, lambda v: v * v, numbers, update_shape=(3,)))
    np.testing.assert_array_equal(f(x), [1, 16, 3, 16])
    np.testing.assert_array_equal(fg.vmap(f)(np.stack([x, 2 * x]))[1], [2, 256, 6, 64])
    once = fg.grad(
        lambda x: lax.scatter_apply(
            x, at[:2], lambda v: v * v, numbers, update_shape=(2,), unique_indices=True
        ).sum()
    )
    np.testing.assert_allclose(once(x), [1, 4, 1, 8])
    np.testing.assert_allclose(fg.grad(lambda x: f(x).sum())(x), [1, 4 * 2**3, 1, 8])


def test_exchanged_axes():
    x = RNG.standard_normal((4, 3, 4))
    got = fg.vmap(lambda x: lax.pswapaxes(x, "i", 1), axis_name="i")(x)
    np.testing.assert_array_equal(got, x.transpose(2, 1, 0))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("numbers", [None, ("NHWC", "HWIO", "NHWC")])
def test_convolutions_with_kernels_of_each_position(dtype, numbers):
    x = RNG.standard_normal((2, 3, 5, 4)).astype(dtype)
    kernels = RNG.standard_normal((6, 3 * 4, 2, 3)).astype(dtype)
    wanted = np.empty((2, 6, 2, 3), dtype)
    for i in range(2):
        for j in range(3):
            window = x[:, :, 2 * i : 2 * i + 2, j : j + 2].reshape(2, -1)
            wanted[:, :, i, j] = window @ kernels[:, :, i, j].T
    given = (x, kernels)
    if numbers:
        given, wanted = (
            (x.transpose(0, 2, 3, 1), kernels.transpose(2, 3, 1, 0)),
            wanted.transpose(0, 2, 3, 1),
        )

    def f(x, k):
        return lax.conv_general_dilated_local(x, k, (2, 1), "VALID", (2, 2), dimension_numbers=numbers)

    np.testing.assert_allclose(fg.jit(f)(*given), wanted, rtol=2e-5, atol=1e-5)
    if dtype == np.float64:
        check_grads(f, given, order=1)


def test_shapes_that_windows_leave():
    x, w = np.ones((4, 3, 9, 8), np.float32), np.ones((6, 3, 2, 3), np.float32)
    for pads in ("SAME", "VALID", [(1, 0), (2, 3)]):
        assert lax.conv_shape_tuple(x.shape, w.shape, (2, 3), pads) == lax.conv(x, w, (2, 3), pads).shape or (
            lax.conv_general_dilated(x, w, (2, 3), pads).shape
            == lax.conv_shape_tuple(x.shape, w.shape, (2, 3), pads)
        )
    shape = lax.reduce_window_shape_tuple((9, 8), (2, 3), (1, 2), [(0, 1), (2, 0)], (2, 1), (1, 2))
    got = lax.reduce_window(np.ones((9, 8)), 0.0, lax.add, (2, 3), (1, 2), [(0, 1), (2, 0)], (2, 1), (1, 2))
    assert got.shape == shape


def test_special_functions_take_their_arguments_by_name():
    x = np.array([0.5, 1.5])
    np.testing.assert_allclose(lax.igamma(a=x, x=2 * x), scipy.special.gammainc(x, 2 * x), rtol=1e-6)
    np.testing.assert_allclose(
        lax.betainc(x, b=x, x=0.5 + 0 * x), scipy.special.betainc(x, x, 0.5), rtol=1e-6
    )
    special = fg.scipy.special
    np.testing.assert_allclose(special.zeta(1 + x, q=x), scipy.special.zeta(1 + x, x), rtol=1e-6)
    np.testing.assert_allclose(special.expn(x=x, n=2), scipy.special.expn(2, x), rtol=1e-6)
    with pytest.raises(ArgumentError, match=r"igamma takes \(a, x\)"):
        lax.igamma(x, y=x)
    with pytest.raises(ArgumentError, match=r"expn takes \(n, x\)"):
        special.expn(1, x, x)


@pytest.mark.parametrize(
    "pair", [("uint64", "uint16"), ("float32", "int8"), ("int16", "float64"), ("uint8", "float32")]
)
def test_bits_as_a_dtype_of_another_width(pair):
    wide = np.random.default_rng(0).standard_normal((3, 4)).astype(np.float64)
    x = wide.view(pair[0]).reshape(3, -1, 8 // np.dtype(pair[0]).itemsize)
    wanted = x.view(pair[1])
    if np.dtype(pair[1]).itemsize > np.dtype(pair[0]).itemsize:
        x = x.reshape(3, -1, np.dtype(pair[1]).itemsize // np.dtype(pair[0]).itemsize)
    for cast in (lax.bitcast_convert_type, fg.jit(lax.bitcast_convert_type, static_argnums=1)):
        have = np.asarray(cast(x, pair[1]))
        assert have.tobytes() == wanted.tobytes() and have.dtype == pair[1]
        assert have.shape == (
            x.shape[:-1] if x.itemsize < wanted.itemsize else (*x.shape, x.itemsize // wanted.itemsize)
        )
    with pytest.raises(ShapeError, match="takes 8 elements for one"):
        lax.bitcast_convert_type(np.zeros(3, np.uint8), np.float64)


@pytest.mark.parametrize("name", ["pow", "igamma", "zeta", "betainc", "add"])
def test_axes_of_length_one_are_repeated(name):
    x, y = RNG.uniform(1.1, 2, (3, 1)), RNG.uniform(0.1, 0.9, (1, 4))
    operands = (x, x, y) if name == "betainc" else (x, y)
    wide = [np.broadcast_to(v, (3, 4)) for v in operands]
    function = getattr(lax, name)
    np.testing.assert_array_equal(function(*operands), function(*wide))
    with pytest.raises(ShapeError, match="one shape"):
        function(*operands[:-1], np.ones((2, 4)))


def test_a_composite_is_its_decomposition():
    @functools.partial(lax.composite, name="my.scaled", version=2)
    def scaled(x, /, *, by):
        return x * by

    assert float(fg.jit(lambda x: scaled(x, by=3))(2.0)) == 6
    assert float(fg.grad(lambda x: scaled(x, by=3))(2.0)) == 3
    with pytest.raises(ArgumentError, match="name"):
        lax.composite(scaled, 3)

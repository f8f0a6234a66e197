"""Arguments and values that programs for NumPy and JAX use now and then, against NumPy."""

import math

import numpy as np
import pytest

import funcgrad as fg
import funcgrad.numpy as fnp
from funcgrad.errors import ArgumentError, ShapeError
from funcgrad.scipy import special

rng = np.random.default_rng(0)


@pytest.mark.parametrize(
    "a, b, axes",
    [
        ((3, 4), (4, 3), {"axisa": 0, "axisb": 1}),
        ((3, 4), (4, 3), {"axisa": 0, "axisb": 1, "axisc": 0}),
        ((2, 4), (4, 2), {"axisa": 0}),
        ((3, 4), (3, 4), {"axis": 0}),
        ((5, 3), (3,), {}),
    ],
)
def test_cross_takes_an_axis_for_each_operand(a, b, axes):
    x, y = rng.normal(size=a), rng.normal(size=b)
    if a[0] == 2:
        np.testing.assert_allclose(fnp.cross(x, y, **axes), x[0] * y[:, 1] - x[1] * y[:, 0], atol=1e-12)
        return
    np.testing.assert_allclose(fnp.cross(x, y, **axes), np.cross(x, y, **axes), atol=1e-12)
    np.testing.assert_allclose(
        fg.jit(lambda x, y: fnp.cross(x, y, **axes))(x, y), np.cross(x, y, **axes), atol=1e-12
    )


def test_the_third_argument_of_cross_is_the_axis_of_the_first_operand():
    x, y = rng.normal(size=(3, 4)), rng.normal(size=(4, 3))
    np.testing.assert_allclose(fnp.cross(x, y, 0), np.cross(x, y, 0), atol=1e-12)


@pytest.mark.parametrize("axis", [(1, 2), (2, 0), (2, 1, 0), (0,)])
def test_average_with_weights_over_several_axes(axis):
    x = rng.normal(size=(2, 3, 4))
    w = rng.uniform(size=[x.shape[d] for d in axis])
    np.testing.assert_allclose(fnp.average(x, axis, w), np.average(x, axis, w), rtol=1e-12)
    with pytest.raises(ShapeError):
        fnp.average(x, axis, np.ones((7, 7)))


def test_variance_about_a_given_mean():
    x = rng.normal(size=(3, 4))
    about = x.mean(1, keepdims=True)
    np.testing.assert_allclose(fnp.var(x, 1, mean=about), x.var(1), rtol=1e-12)
    np.testing.assert_allclose(fnp.std(x, 1, mean=about), x.std(1), rtol=1e-12)
    np.testing.assert_allclose(fnp.var(x, 1, mean=0.0), (x**2).mean(1), rtol=1e-12)


def test_running_sums_in_booleans():
    x = np.array([0, 2, 0, 1])
    np.testing.assert_array_equal(fnp.cumsum(x, dtype=bool), np.cumsum(x, dtype=bool))
    np.testing.assert_array_equal(fnp.cumprod(x + 1, dtype=bool), np.cumprod(x + 1, dtype=bool))


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_spaces_along_an_axis(axis):
    low, high = np.array([1.0, 2.0]), np.array([3.0, 5.0])
    np.testing.assert_allclose(fnp.logspace(low, high, 4, axis=axis), np.logspace(low, high, 4, axis=axis))
    np.testing.assert_allclose(fnp.geomspace(low, high, 4, axis=axis), np.geomspace(low, high, 4, axis=axis))
    assert fnp.geomspace(1, 8, 4).dtype == fnp.float32


def test_compress_and_extract_of_a_known_length_under_jit():
    mask, x = np.array([True, False, True]), np.arange(6.0).reshape(2, 3)
    columns = fg.jit(lambda m, x: fnp.compress(m, x, 1, size=3, fill_value=-1))(mask, x)
    np.testing.assert_array_equal(columns, [[0, 2, -1], [3, 5, -1]])
    np.testing.assert_array_equal(fg.jit(lambda x: fnp.extract(x > 3, x, size=1))(x), [4])
    np.testing.assert_array_equal(fg.jit(lambda x: fnp.extract(x > 3, x, size=3))(x), [4, 5, 0])
    np.testing.assert_array_equal(fnp.compress(mask, x, axis=1), x[:, mask])


def test_products_take_a_precision_and_a_dtype():
    m, v = fnp.ones((2, 3), fnp.bfloat16), fnp.ones(3, fnp.bfloat16)
    for out in (
        fnp.vecdot(m, v, precision="highest", preferred_element_type=fnp.float32),
        fnp.matvec(m, v, precision="highest", preferred_element_type=fnp.float32),
        fnp.vecmat(v, m.T, precision="highest", preferred_element_type=fnp.float32),
    ):
        assert out.dtype == fnp.float32
        assert out.tolist() == [3, 3]


def test_logaddexp_of_complex_numbers():
    x, y = rng.normal(size=(2, 5)) + 1j * rng.normal(size=(2, 5))
    for f in (fnp.logaddexp, fg.jit(fnp.logaddexp)):
        np.testing.assert_allclose(f(x, y), np.log(np.exp(x) + np.exp(y)), rtol=1e-12)
        np.testing.assert_allclose(f(x + 900, y - 900), x + 900, rtol=1e-12)
    np.testing.assert_allclose(fnp.logaddexp2(x, y), np.log2(2**x + 2**y), rtol=1e-12)
    assert fnp.logaddexp(complex(-math.inf), complex(-math.inf)) == complex(-math.inf)


def test_derivatives_of_sinc_at_zero_to_the_eighth():
    f = fnp.sinc
    for order in range(9):
        want = (-1) ** (order // 2) * math.pi**order / (order + 1) if order % 2 == 0 else 0.0
        np.testing.assert_allclose(f(fnp.float64(0.0)), want, rtol=1e-12, atol=1e-9)
        f = fg.grad(f)
    assert np.isfinite(fg.grad(fnp.sinc)(1e8))


def test_a_nan_passes_through_x_log_y():
    assert np.isnan(special.xlogy(0.0, math.nan))
    assert np.isnan(special.xlog1py(0.0, math.nan))
    assert special.xlogy(0.0, 0.0) == 0
    assert special.xlog1py(0.0, -1.0) == 0


@pytest.mark.parametrize("compiled", [False, True])
def test_positions_are_clipped_as_in_numpy(compiled):
    x, at = np.arange(12.0).reshape(3, 4), np.array([-5, -1, 0, 2, 3, 7])
    for axis in (None, 0, 1):
        take = lambda x, at, axis=axis: fnp.take(x, at, axis=axis, mode="clip")  # noqa: E731
        np.testing.assert_array_equal(
            (fg.jit(take) if compiled else take)(x, at), np.take(x, at, axis, mode="clip")
        )


@pytest.mark.parametrize("mode", ["clip", "wrap"])
def test_put_outside_the_array(mode):
    x, at, values = np.arange(6.0).reshape(2, 3), np.array([-2, 1, 9]), np.array([10.0, 20.0, 30.0])
    wanted = x.copy()
    np.put(wanted, at, values, mode=mode)
    np.testing.assert_array_equal(fnp.put(x, at, values, mode=mode, inplace=False), wanted)
    dropped = fnp.put(x, np.array([-1, 9]), values[:2], inplace=False)
    np.testing.assert_array_equal(dropped.ravel(), [0, 1, 2, 3, 4, 10])


@pytest.mark.parametrize(
    ("shift", "axis"),
    [([1, 2], 0), ([1, 2], None), ([3, -1], (0, 0)), (1, (0, 1)), ([1], 1), ([1, 2, 3], (1,))],
)
def test_roll_by_several_shifts(shift, axis):
    x, by = np.arange(6).reshape(2, 3), np.array(shift)
    np.testing.assert_array_equal(fnp.roll(x, by, axis), np.roll(x, by, axis))
    np.testing.assert_array_equal(fg.jit(lambda x, by: fnp.roll(x, by, axis))(x, by), np.roll(x, by, axis))


def test_roll_by_shifts_that_do_not_fit():
    with pytest.raises(ShapeError, match="one for each axis"):
        fnp.roll(np.ones((2, 3)), np.array([1, 2, 3]), (0, 1))


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_ldexp_beyond_the_powers_that_the_dtype_holds(dtype):
    x = np.array([0.5, 0.5, 0.5, 1.0, 1e-3, 3.0, -0.75], dtype)
    exponent = np.array([16, 128, 1024, -160, 16, -140, -1080])
    with np.errstate(all="ignore"):
        wanted = np.ldexp(x, exponent)
    np.testing.assert_array_equal(fnp.ldexp(x, exponent), wanted)
    np.testing.assert_array_equal(fg.jit(fnp.ldexp)(x, exponent), wanted)


def test_sums_may_keep_small_integers():
    x = np.array([100, 100], np.int8)
    assert fnp.sum(x).dtype == np.int64
    result = fnp.sum(fnp.asarray(x), promote_integers=False)
    assert result.dtype == np.int8 and result == np.int8(-56)


@pytest.mark.parametrize("compiled", [False, True])
def test_means_of_many_16_bit_floats(compiled):
    mean = fg.jit(fnp.mean) if compiled else fnp.mean
    x = np.full(100_000, 1e-5, np.float16)
    np.testing.assert_allclose(np.float32(mean(x)), np.float32(x[0]), rtol=1e-3)
    assert mean(x).dtype == np.float16
    np.testing.assert_allclose(np.float32(fnp.var(np.arange(300).astype(np.float16))), 7499.9, rtol=1e-3)


@pytest.mark.parametrize("name", ["nanvar", "nanstd"])
def test_spread_beside_nan_has_derivatives(name):
    x = np.array([np.nan, 1.0, 2.5, 3.0])
    f, rest = getattr(fnp, name), getattr(fnp, name[3:])
    np.testing.assert_allclose(fg.grad(f)(x), [0.0, *np.asarray(fg.grad(rest)(x[1:]))])


def test_where_of_a_reduction_is_boolean():
    with pytest.raises(ArgumentError, match="boolean"):
        fnp.sum(np.ones(3), where=np.array([1, 0, 1]))


def test_covariance_of_no_observations_is_not_a_number():
    assert np.isnan(fnp.cov(np.ones((1, 0))))
    assert np.isnan(np.asarray(fnp.cov(np.ones((2, 0))))).all()


def test_nansum_in_a_small_dtype():
    assert fnp.nansum(np.arange(4, dtype=np.uint16), dtype=np.int8).dtype == np.int8
    assert fnp.nanprod(np.array([1.0, np.nan]), dtype=np.float32).dtype == np.float32


def test_cumulative_sum_of_a_matrix_needs_an_axis():
    for x in (np.ones((2, 3)), np.float32(1)):
        with pytest.raises(ArgumentError, match="axis"):
            fnp.cumulative_sum(x)

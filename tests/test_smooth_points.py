"""Functions composed with max, abs or a choice are smooth where the mathematics is: derivatives at ties and at 0, and
floor division, whose quotient may round up to the next integer."""

import numpy as np
import pytest
import scipy.stats

import funcgrad as fg
import funcgrad.numpy as fnp
from funcgrad.scipy import special, stats


def second(function, *point):
    return np.asarray(fg.hessian(lambda v: function(*v))(fnp.array(point, np.float64)))


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize(
    ("function", "point", "expected"),
    [
        (fnp.logaddexp, (1.0, 1.0), [[0.25, -0.25], [-0.25, 0.25]]),
        (fnp.logaddexp2, (0.0, 0.0), np.array([[0.25, -0.25], [-0.25, 0.25]]) * np.log(2)),
        (fnp.hypot, (0.0, 1.0), [[1, 0], [0, 0]]),
        (fnp.hypot, (-2.0, 0.0), [[0, 0], [0, 0.5]]),
        (fnp.hypot, (1.0, 1.0), np.array([[1, -1], [-1, 1]]) / np.sqrt(8)),
        (fnp.sinc, (1e-9,), [[-(np.pi**2) / 3]]),
        (fnp.sinc, (0.0,), [[-(np.pi**2) / 3]]),
        (special.log_expit, (0.0,), [[-0.25]]),
        (special.factorial, (0.0,), [[np.pi**2 / 6 + np.euler_gamma**2]]),
        (stats.logistic.pdf, (0.0,), [[-0.125]]),
        (lambda x: stats.gennorm.logpdf(x, 2.0), (0.0,), [[-2.0]]),
    ],
)
def test_second_derivatives(compiled, function, point, expected):
    function = fg.jit(function) if compiled else function
    np.testing.assert_allclose(second(function, *point), expected, rtol=1e-6, atol=1e-9)


def test_third_derivative_of_sinc_near_zero():
    third = fg.grad(fg.grad(fg.grad(fnp.sinc)))
    # the series of sinc: the third derivative is pi**4 x / 5 near 0
    np.testing.assert_allclose(third(fnp.array(1e-4, np.float64)), np.pi**4 / 5 * 1e-4, rtol=1e-6)


def test_hypot_at_the_ends():
    big, tiny = 1e300, 1e-300
    x, y = np.array([big, tiny, 0.0, np.inf]), np.array([big, tiny, 0.0, 1.0])
    np.testing.assert_allclose(fnp.hypot(x, y), np.hypot(x, y))
    np.testing.assert_array_equal(fg.grad(lambda v: fnp.hypot(v[0], v[1]))(fnp.zeros(2)), [0.0, 0.0])


@pytest.mark.parametrize(
    ("function", "x", "expected"),
    [
        (special.factorial, 0.0, -np.euler_gamma),
        (lambda m: special.poch(2.0, m), 0.0, 1 - np.euler_gamma),
        (special.entr, 0.0, np.inf),
        (special.entr, 0.5, np.log(2) - 1),
        (lambda x: special.gammainc(1.0, x), 0.0, 1.0),
        (stats.laplace.cdf, 0.0, 0.5),
        (stats.expon.cdf, 0.0, 1.0),
        (stats.expon.logcdf, -1.0, 0.0),
        (stats.uniform.cdf, 0.0, 1.0),
        (stats.uniform.cdf, 1.0, 1.0),
        (lambda x: stats.pareto.cdf(x, 2.0), 1.0, 2.0),
        (lambda x: stats.pareto.logcdf(x, 2.0), 0.5, 0.0),
        (lambda x: stats.beta.cdf(x, 1.0, 3.0), 0.0, 3.0),
        (lambda x: stats.beta.logcdf(x, 2.0, 3.0), -1.0, 0.0),
        (lambda x: stats.gamma.cdf(x, 2.0), -1.0, 0.0),
        (lambda x: stats.chi2.cdf(x, 2.0), 0.0, 0.5),
        (lambda x: stats.chi2.logcdf(x, 2.0), -1.0, 0.0),
        (lambda x: stats.truncnorm.cdf(x, -1.0, 2.0), -3.0, 0.0),
        (lambda x: stats.truncnorm.logsf(x, -1.0, np.inf), -3.0, 0.0),
    ],
)
def test_first_derivatives_at_the_edge_of_a_domain(function, x, expected):
    np.testing.assert_allclose(fg.grad(function)(fnp.array(x, np.float64)), expected, rtol=1e-9)


def test_distributions_keep_their_values():
    x = np.array([-2.0, -0.5, 0.0, 0.3, 0.5, 1.0, 1.7, 4.0])
    for ours, theirs in [
        (stats.laplace.cdf(x), scipy.stats.laplace.cdf(x)),
        (stats.expon.logcdf(x), scipy.stats.expon.logcdf(x)),
        (stats.expon.sf(x), scipy.stats.expon.sf(x)),
        (stats.pareto.logcdf(x, 2.0), scipy.stats.pareto.logcdf(x, 2.0)),
        (stats.pareto.sf(x, 2.0), scipy.stats.pareto.sf(x, 2.0)),
        (stats.uniform.cdf(x), scipy.stats.uniform.cdf(x)),
        (stats.beta.logcdf(x, 2.0, 3.0), scipy.stats.beta.logcdf(x, 2.0, 3.0)),
        (stats.beta.sf(x, 2.0, 3.0), scipy.stats.beta.sf(x, 2.0, 3.0)),
        (stats.gamma.logsf(x, 2.0), scipy.stats.gamma.logsf(x, 2.0)),
        (stats.chi2.logcdf(x, 3.0), scipy.stats.chi2.logcdf(x, 3.0)),
        (stats.truncnorm.cdf(x, -1.0, 2.0), scipy.stats.truncnorm.cdf(x, -1.0, 2.0)),
        (stats.truncnorm.sf(x, -np.inf, 1.0), scipy.stats.truncnorm.sf(x, -np.inf, 1.0)),
        (stats.logistic.logpdf(x), scipy.stats.logistic.logpdf(x)),
        (special.entr(x), scipy.special.entr(x)),
    ]:
        np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_floor_division_of_floats(compiled, dtype):
    values = [0.0, -0.0, 1, -1, 0.1, -0.1, 0.3, 7, -7.5, 1e-30, np.inf, -np.inf, np.nan]
    x, y = (a.ravel().astype(dtype) for a in np.meshgrid(values, values))
    function = fg.jit(fnp.floor_divide) if compiled else fnp.floor_divide
    with np.errstate(all="ignore"):
        infinite = np.isinf(x) | np.isinf(y)  # as the Array API has it
        expected = np.where(infinite, np.floor(x / y), np.floor_divide(x, y))
    exact = ~(np.abs(expected) > 2**20)
    np.testing.assert_array_equal(np.asarray(function(x, y))[exact], expected[exact])
    np.testing.assert_array_equal(np.signbit(function(dtype(-0.0), dtype(2.0))), True)
    assert function(dtype(1.0), dtype(0.1)) == np.floor_divide(dtype(1.0), dtype(0.1)) == 9


@pytest.mark.parametrize("x", [3.0, -0.3, 1e-310, 1e300])
def test_derivative_of_frexp(x):
    mantissa, exponent = np.frexp(x)
    value, slope = fg.value_and_grad(lambda v: fnp.frexp(v)[0])(fnp.array(x, np.float64))
    assert value == mantissa
    if abs(x) > 1e-300:
        np.testing.assert_allclose(slope, 2.0**-exponent, rtol=1e-15)

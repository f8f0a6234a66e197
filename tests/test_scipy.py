"""The names of jax.scipy against SciPy, with derivatives by finite differences; and ravel_pytree."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.special as sp
import scipy.stats

import funcgrad as fg
from funcgrad.errors import DTypeError, ShapeError
from funcgrad.flatten_util import ravel_pytree
from funcgrad.scipy import special, stats

UNIT = np.array([1e-9, 0.02, 0.1, 0.45, 0.6, 0.97])
REAL = np.array([-7.5, -2.3, -0.4, 0.3, 1.7, 8.2])
POSITIVE = np.array([0.05, 0.3, 0.99, 2.5, 14.0])

UNARY = {
    "erf": REAL,
    "erfc": REAL,
    "erfinv": UNIT,
    "expit": REAL,
    "logit": UNIT,
    "log_expit": REAL,
    "gammaln": POSITIVE,
    "digamma": POSITIVE,
    "gamma": POSITIVE,
    "gammasgn": REAL,
    "entr": POSITIVE,
    "ndtr": REAL,
    "log_ndtr": np.array([-30.0, -7.5, -2.3, 0.3, 1.7, 8.2]),
    "ndtri": UNIT[1:],
    "factorial": POSITIVE,
}
BINARY = ("xlogy", "xlog1py", "kl_div", "rel_entr", "betaln", "beta")


@pytest.mark.parametrize("name", UNARY)
def test_special_functions_of_one_number(name):
    function, x = getattr(special, name), UNARY[name]
    np.testing.assert_allclose(np.asarray(function(x)), getattr(sp, name)(x), rtol=3e-9)
    step = 1e-6 * np.minimum(np.abs(x), 1)
    numeric = (getattr(sp, name)(x + step) - getattr(sp, name)(x - step)) / (2 * step)
    slopes = fg.vmap(fg.grad(function))(x)
    np.testing.assert_allclose(np.asarray(slopes), numeric, rtol=1e-5, atol=1e-9)


@pytest.mark.parametrize("name", BINARY)
def test_special_functions_of_two_numbers(name):
    function, oracle = getattr(special, name), getattr(sp, name)
    a, b = POSITIVE[:, None], POSITIVE[None, ::-1]
    np.testing.assert_allclose(np.asarray(function(a, b)), oracle(a, b), rtol=1e-9)


def test_zero_times_a_logarithm_is_zero_with_its_derivatives():
    assert float(special.xlogy(0.0, 0.0)) == 0
    assert float(special.xlog1py(0.0, -1.0)) == 0
    assert float(fg.grad(special.xlogy, 1)(0.0, 2.0)) == 0
    assert float(fg.grad(special.xlogy)(0.0, 2.0)) == pytest.approx(np.log(2))
    assert float(special.entr(0.0)) == 0
    assert float(special.entr(-1.0)) == -np.inf
    np.testing.assert_array_equal(
        special.rel_entr(np.array([0.0, 1, -1]), np.array([1.0, 0, 1])), [0, np.inf, np.inf]
    )


def test_others():
    np.testing.assert_allclose(special.multigammaln(POSITIVE + 2, 3), sp.multigammaln(POSITIVE + 2, 3))
    np.testing.assert_allclose(special.polygamma(2, POSITIVE), sp.polygamma(2, POSITIVE))
    m = POSITIVE.reshape(1, -1) * np.array([[1.0], [3.0]])
    np.testing.assert_allclose(special.logsumexp(m, axis=0), sp.logsumexp(m, axis=0))
    np.testing.assert_allclose(special.softmax(m), sp.softmax(m))
    np.testing.assert_allclose(special.log_softmax(m, 1), sp.log_softmax(m, 1))
    assert special.erf(1).dtype == np.float32


# ------------------------------------------------------------------------------------- distributions

Z = np.linspace(-3.1, 3.3, 9)
Q = np.array([0.01, 0.3, 0.5, 0.9])
DISTRIBUTIONS = {
    "norm": ((0.5, 2.0), {}),
    "uniform": ((-1.0, 3.0), {}),
    "expon": ((-1.0, 2.0), {}),
    "laplace": ((0.2, 2.0), {}),
    "logistic": ((0.2, 1.5), {}),
    "cauchy": ((0.2, 1.5), {}),
    "gamma": ((2.5, -2.0, 1.5), {}),
    "beta": ((2.0, 3.0, -2.0, 5.0), {}),
    "t": ((3.0, 0.1, 2.0), {}),
}


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_distributions(name):
    ours, theirs = getattr(stats, name), getattr(scipy.stats, name)
    arguments, _ = DISTRIBUTIONS[name]
    for method in ("pdf", "logpdf", "cdf", "logcdf", "sf", "logsf", "ppf", "isf"):
        if not hasattr(ours, method):
            continue
        x = Q if method in ("ppf", "isf") else Z
        expected = getattr(theirs, method)(x, *arguments)
        np.testing.assert_allclose(np.asarray(getattr(ours, method)(x, *arguments)), expected, rtol=1e-8)


def test_discrete_distributions():
    k = np.array([-1, 0, 1, 2, 7])
    np.testing.assert_allclose(stats.poisson.logpmf(k, np.float64(2.5)), scipy.stats.poisson.logpmf(k, 2.5))
    np.testing.assert_allclose(stats.bernoulli.pmf(k, np.float64(0.3)), scipy.stats.bernoulli.pmf(k, 0.3))


def test_log_densities_have_gradients_in_their_parameters():
    def log_likelihood(loc, scale):
        return stats.norm.logpdf(Z, loc, scale).sum()

    d_loc, d_scale = fg.grad(log_likelihood, (0, 1))(np.float64(0.5), np.float64(2.0))
    np.testing.assert_allclose(d_loc, ((Z - 0.5) / 4).sum())
    np.testing.assert_allclose(d_scale, (((Z - 0.5) ** 2) / 8 - 0.5).sum())


# -------------------------------------------------------------------------------------- ravel_pytree


def test_ravel_pytree():
    values = {"a": np.arange(6, dtype="f").reshape(2, 3), "b": (np.float32(7), np.zeros((0, 2), "f"))}
    vector, unravel = ravel_pytree(values)
    np.testing.assert_array_equal(vector, [0, 1, 2, 3, 4, 5, 7])
    back = unravel(vector)
    assert fg.tree.structure(back) == fg.tree.structure(values)
    assert fg.tree.map(np.shape, back) == fg.tree.map(np.shape, values)
    hessian = fg.hessian(lambda v: (unravel(v)["a"] ** 2).sum() * unravel(v)["b"][0])(vector)
    assert hessian.shape == (7, 7)
    assert float(hessian[0, 0]) == 14
    with pytest.raises(ShapeError, match="7 elements"):
        unravel(vector[:3])
    with pytest.raises(DTypeError, match="float32"):
        unravel(np.zeros(7, np.float64))


def test_ravel_pytree_of_several_dtypes():
    vector, unravel = ravel_pytree([np.array([1, 2]), np.array([0.5], "f")])
    assert vector.dtype == np.float32
    back = unravel(vector * 2)
    assert [x.dtype for x in back] == [np.int64, np.float32]
    empty, unravel = ravel_pytree({})
    assert empty.shape == (0,) and unravel(empty) == {}

"""The names of jax.scipy against SciPy, with derivatives by finite differences; and ravel_pytree."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.special as sp
import scipy.stats

import funcgrad as fg
from funcgrad.errors import ArgumentError, DTypeError, NotDifferentiableError, ShapeError
from funcgrad.flatten_util import ravel_pytree
from funcgrad.scipy import special, stats
from funcgrad.testing import check_grads

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


MORE_UNARY = "i0 i0e i1 i1e expi exp1 dawsn erfcx spence"
MORE_BINARY = "gammainc gammaincc zeta owens_t poch comb boxcox boxcox1p"
FACTORS = np.array([0.1, 0.3, 0.99, 2.5, 4.0])


@pytest.mark.parametrize("name", MORE_UNARY.split())
def test_more_functions_of_one_number(name):
    function, oracle, x = getattr(special, name), getattr(sp, name), FACTORS + 0.05
    np.testing.assert_allclose(np.asarray(function(x)), oracle(x), rtol=1e-9)
    np.testing.assert_allclose(np.asarray(fg.jit(function)(x)), oracle(x), rtol=1e-9)
    numeric = (oracle(x + 1e-6) - oracle(x - 1e-6)) / 2e-6
    np.testing.assert_allclose(np.asarray(fg.vmap(fg.grad(function))(x)), numeric, rtol=1e-5)


@pytest.mark.parametrize("name", MORE_BINARY.split())
def test_more_functions_of_two_numbers(name):
    function, oracle = getattr(special, name), getattr(sp, name)
    a, x = FACTORS[:, None], FACTORS
    np.testing.assert_allclose(np.asarray(function(a, x)), oracle(a, x), rtol=1e-8)


def test_functions_of_several_numbers_or_results():
    x = FACTORS / 5
    np.testing.assert_allclose(np.asarray(special.betainc(2.0, 0.5, x)), sp.betainc(2.0, 0.5, x), rtol=1e-6)
    np.testing.assert_allclose(np.asarray(special.expn(3, x)), sp.expn(3, x))
    np.testing.assert_allclose(np.asarray(special.hyp1f1(1.0, 2.0, x)), sp.hyp1f1(1.0, 2.0, x), rtol=1e-9)
    np.testing.assert_allclose(np.asarray(special.hyp2f1(1.0, 0.5, 2.0, x)), sp.hyp2f1(1.0, 0.5, 2.0, x))
    np.testing.assert_allclose(np.asarray(special.bessel_jn(x, v=2)), [sp.jv(n, x) for n in range(3)])
    np.testing.assert_allclose(np.asarray(special.wofz(x + 1j)), sp.wofz(x + 1j))
    for name in ("fresnel", "sici"):
        np.testing.assert_allclose(np.asarray(getattr(special, name)(x)), getattr(sp, name)(x))
    np.testing.assert_allclose(np.asarray(special.bernoulli(6)), sp.bernoulli(6), rtol=1e-6)
    assert float(special.comb(10, 3)) == 120
    assert float(special.poch(-2.5, 2)) == pytest.approx(3.75)


def test_incomplete_gamma_moves_with_its_shape():
    a, x = np.meshgrid([0.1, 0.9, 3.0, 50.0], [0.05, 0.8, 3.0, 60.0])
    step = 1e-5
    numeric = (sp.gammainc(a + step, x) - sp.gammainc(a - step, x)) / (2 * step)
    slope = fg.grad(lambda a: special.gammainc(a, x).sum())(a)
    np.testing.assert_allclose(np.asarray(slope), numeric, rtol=1e-6, atol=1e-9)


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
    "chi2": ((3.0, -2.0, 1.5), {}),
    "gennorm": ((1.5,), {}),
    "gumbel_l": ((0.3, 1.5), {}),
    "gumbel_r": ((0.3, 1.5), {}),
    "pareto": ((2.0, -2.5, 0.7), {}),
    "truncnorm": ((-1.0, 0.8, 0.2, 2.0), {}),
    "vonmises": ((2.0,), {}),
    "wrapcauchy": ((0.4,), {}),
}


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_distributions(name):
    ours, theirs = getattr(stats, name), getattr(scipy.stats, name)
    arguments, _ = DISTRIBUTIONS[name]
    for method in ("pdf", "logpdf", "cdf", "logcdf", "sf", "logsf", "ppf", "isf"):
        if not hasattr(ours, method):
            continue
        x = Q if method in ("ppf", "isf") else Z
        with np.errstate(all="ignore"):
            expected = getattr(theirs, method)(x, *arguments)
        result = np.asarray(getattr(ours, method)(x, *arguments))
        np.testing.assert_allclose(result, expected, rtol=1e-8, atol=1e-300)


DISCRETE = {
    "betabinom": (6.0, 2.0, 3.0),
    "binom": (6.0, 0.3),
    "geom": (0.3,),
    "nbinom": (4.0, 0.3),
    "poisson": (2.5,),
    "bernoulli": (0.3,),
}


@pytest.mark.parametrize("name", DISCRETE)
def test_discrete_distributions(name):
    k = np.arange(-1, 8)
    parameters = [np.float64(p) for p in DISCRETE[name]]
    for method in ("pmf", "logpmf", "cdf"):
        if hasattr(getattr(stats, name), method):
            expected = getattr(getattr(scipy.stats, name), method)(k, *parameters)
            result = getattr(getattr(stats, name), method)(k, *parameters)
            np.testing.assert_allclose(np.asarray(result), expected, rtol=1e-8)


def test_distributions_of_vectors_and_statistics():
    x, alpha = np.array([0.2, 0.3, 0.5]), np.array([1.0, 2.0, 3.0])
    assert float(stats.dirichlet.pdf(x, alpha)) == pytest.approx(scipy.stats.dirichlet.pdf(x, alpha))
    assert float(stats.dirichlet.pdf(x[:2], alpha)) == pytest.approx(scipy.stats.dirichlet.pdf(x, alpha))
    counts = np.array([1.0, 2.0, 3.0])
    assert float(stats.multinomial.pmf(counts, np.float64(6), x)) == pytest.approx(
        scipy.stats.multinomial.pmf([1, 2, 3], 6, x)
    )
    mu = np.array([0.1, 20.0, 60.0, 0.0])
    np.testing.assert_allclose(
        np.asarray(stats.poisson.entropy(mu)), scipy.stats.poisson.entropy(mu), rtol=1e-5
    )
    np.testing.assert_allclose(np.asarray(stats.sem(Z)), scipy.stats.sem(Z))


def test_multivariate_normal():
    rng = np.random.default_rng(0)
    for x_shape, batch in (((3,), ()), ((5, 3), ()), ((2, 5, 3), ()), ((3,), (4,)), ((5, 4, 3), (4,))):
        half = rng.normal(size=(*batch, 3, 3))
        x, mean, cov = rng.normal(size=x_shape), rng.normal(size=3), half @ half.swapaxes(-1, -2) + np.eye(3)
        result = np.asarray(stats.multivariate_normal.logpdf(x, mean, cov))
        points = np.broadcast_to(x, (*result.shape, 3))
        covariances = np.broadcast_to(cov, (*result.shape, 3, 3))
        for i in np.ndindex(result.shape):
            expected = scipy.stats.multivariate_normal.logpdf(points[i], mean, covariances[i])
            np.testing.assert_allclose(result[i], expected)
    check_grads(lambda m, c: stats.multivariate_normal.logpdf(x[0, 0], m, c @ c.T), (mean, half[0]), order=1)
    expected = scipy.stats.multivariate_normal.pdf([1.0, 2.0], np.zeros(2), 0.5)
    np.testing.assert_allclose(
        stats.multivariate_normal.pdf(np.array([1.0, 2.0]), np.zeros(2), 0.5), expected
    )
    np.testing.assert_allclose(
        stats.multivariate_normal.logpdf(np.array([1.0, 2.0]), 0.5, 2.0),
        scipy.stats.norm.logpdf([1.0, 2.0], 0.5, np.sqrt(2.0)),
    )
    with pytest.raises(ShapeError, match="mean of length n"):
        stats.multivariate_normal.logpdf(np.zeros(3), np.zeros(2), np.eye(2))


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
        unravel(np.zeros(7, np.float16))


def test_ravel_pytree_of_several_dtypes():
    vector, unravel = ravel_pytree([np.array([1, 2]), np.array([0.5], "f")])
    assert vector.dtype == np.float32
    back = unravel(vector * 2)
    assert [x.dtype for x in back] == [np.int64, np.float32]
    empty, unravel = ravel_pytree({})
    assert empty.shape == (0,) and unravel(empty) == {}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_betaln_of_large_numbers(dtype):
    a, b = (x.ravel() for x in np.meshgrid([0.1, 1.0, 5.0, 9.0, 11.0, 50.0, 1e3], [0.5, 2.0, 10.0, 1e3]))
    wanted = scipy.special.betaln(a, b)
    np.testing.assert_allclose(
        special.betaln(a.astype(dtype), b.astype(dtype)), wanted, rtol=1e-6 if dtype == np.float32 else 1e-11
    )
    np.testing.assert_allclose(special.betaln(dtype(1), dtype(1e30)), -np.log(1e30), rtol=1e-6)
    # lgamma alone has ten digits of this one: log(pi / n) / 2 + 1 / (8 n) for a = 1 / 2
    n = 1e5
    exact = np.log(np.pi / n) / 2 + 1 / (8 * n)
    np.testing.assert_allclose(special.betaln(dtype(0.5), dtype(n)), exact, rtol=10 * np.finfo(dtype).eps)


def test_betaln_has_derivatives_on_both_sides_of_its_formulas():
    a, b = np.array([0.5, 3.0, 12.0, 12.0, 30.0]), np.array([0.5, 40.0, 12.0, 40.0, 2.0])
    check_grads(special.betaln, (a, b), order=2)
    second = fg.vmap(fg.grad(fg.grad(special.betaln)))(a, a)
    np.testing.assert_allclose(
        second, scipy.special.polygamma(1, a) - scipy.special.polygamma(1, 2 * a), rtol=1e-7
    )


def test_gamma_functions_with_signs():
    x = np.array([-np.inf, -0.0, 0.0, np.inf, np.nan, -1, -1.5, -2.5])
    np.testing.assert_array_equal(special.gammasgn(x), scipy.special.gammasgn(x))
    np.testing.assert_allclose(special.gamma(x), scipy.special.gamma(x))
    a, b = np.array([-1.5, 2.5, -0.5]), np.array([2.2, -3.3, -0.3])
    np.testing.assert_allclose(special.beta(a, b), scipy.special.beta(a, b))
    a = np.array([5.0, 7.0])
    np.testing.assert_allclose(special.multigammaln(a, 3), scipy.special.multigammaln(a, 3), rtol=1e-14)


def test_logsumexp_leaves_elements_out_of_its_gradient():
    x = np.array([0.0, 0.0, 1e5, np.nan])
    for gradient in (fg.grad, lambda f: fg.jit(fg.grad(f))):
        np.testing.assert_array_equal(
            gradient(lambda x: special.logsumexp(x, where=np.arange(4) < 2))(x), [0.5, 0.5, 0, 0]
        )


def test_combinations_with_repetition():
    n, k = np.array([0.0, 0.0, 0.5, 3.0, 5.0]), np.array([0.0, 2.0, 2.0, 0.0, 3.0])
    np.testing.assert_allclose(special.comb(n, k, repetition=True), scipy.special.comb(n, k, repetition=True))


def test_erfcx_of_complex_numbers():
    z = np.array([1.5 + 2j, -0.5 + 0.3j])
    np.testing.assert_allclose(special.erfcx(z), scipy.special.erfcx(z))


@pytest.mark.parametrize(
    ("name", "ranges"),
    [
        ("betainc", [(0.4, 9.0), (0.4, 9.0), (0.02, 0.98)]),
        ("zeta", [(1.2, 9.0), (0.3, 9.0)]),
        ("hyp1f1", [(0.4, 4.0), (0.4, 4.0), (-9.0, 9.0)]),
        ("hyp2f1", [(0.4, 3.0), (0.4, 3.0), (0.4, 3.0), (-2.0, 0.9)]),
    ],
)
def test_functions_move_with_their_parameters(name, ranges):
    rng = np.random.default_rng(0)
    operands = [rng.uniform(*r, 40) for r in ranges]
    function = getattr(special, name)
    check_grads(function, operands, order=1, rtol=1e-5, atol=1e-5)
    check_grads(fg.jit(function), operands, order=1, rtol=1e-5, atol=1e-5)


def test_derivatives_by_parameters_that_are_not_known_are_refused():
    for call in (
        lambda: fg.grad(special.polygamma)(1.0, 2.0),
        lambda: fg.grad(special.expn)(2.0, 2.0),
        lambda: fg.grad(fg.grad(special.betainc))(2.0, 2.0, 0.5),
    ):
        with pytest.raises(NotDifferentiableError, match="not known"):
            call()


def test_distributions_without_parameters_that_fit():
    assert np.isnan(stats.truncnorm.cdf(0.5, 1.0, -1.0)) and np.isnan(
        stats.truncnorm.logpdf(0.5, -1.0, 1.0, 0.0, -1.0)
    )
    assert np.isnan(stats.beta.pdf(0.5, -1.0, 2.0))
    x = np.arange(6.0).reshape(2, 3)
    assert stats.sem(x, axis=None, keepdims=True).shape == (1, 1)


@pytest.mark.parametrize("d", [1, 3])
def test_integrals_of_density_estimates(d):
    rng = np.random.default_rng(0)
    x, weights, mean = rng.standard_normal((d, 15)), rng.uniform(1, 2, 15), rng.standard_normal(d)
    ours, theirs = (kind(x, weights=weights) for kind in (stats.gaussian_kde, scipy.stats.gaussian_kde))
    other = [kind(x[:, 3:] + 0.1) for kind in (stats.gaussian_kde, scipy.stats.gaussian_kde)]
    wanted = theirs.integrate_gaussian(mean, 1.3 * np.eye(d))
    np.testing.assert_allclose(ours.integrate_gaussian(mean, 1.3 * np.eye(d)), wanted)
    np.testing.assert_allclose(ours.integrate_kde(other[0]), theirs.integrate_kde(other[1]))
    if d == 1:
        np.testing.assert_allclose(ours.integrate_box_1d(-0.5, 1.5), theirs.integrate_box_1d(-0.5, 1.5))
    else:
        with pytest.raises(ArgumentError, match="integrate_box_1d"):
            ours.integrate_box_1d(-0.5, 1.5)
    points = rng.standard_normal((d, 2))
    np.testing.assert_allclose(fg.jit(lambda kde, p: kde(p))(ours, points), theirs(points))

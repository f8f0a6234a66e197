"""Distributions by rejection against SciPy's distribution functions; first draws of known keys; derivatives."""

import numpy as np
import pytest
import scipy.stats as ss

import funcgrad as fg
from funcgrad import random
from funcgrad.errors import DTypeError, NotDifferentiableError, ShapeError

KEY = random.PRNGKey(7)
N = (20000,)
CONTINUOUS = {
    "gamma small": (lambda k: random.gamma(k, 0.3, N), ss.gamma(0.3)),
    "gamma": (lambda k: random.gamma(k, 4.5, N), ss.gamma(4.5)),
    "loggamma": (lambda k: random.loggamma(k, 2.0, N), ss.loggamma(2.0)),
    "beta": (lambda k: random.beta(k, 2.0, 0.7, N), ss.beta(2.0, 0.7)),
    "chisquare": (lambda k: random.chisquare(k, 3.0, N), ss.chi2(3.0)),
    "t": (lambda k: random.t(k, 4.0, N), ss.t(4.0)),
    "f": (lambda k: random.f(k, 3.0, 8.0, N), ss.f(3.0, 8.0)),
    "generalized_normal": (lambda k: random.generalized_normal(k, 1.5, N), ss.gennorm(1.5)),
    "wald": (lambda k: random.wald(k, 2.0, N), ss.invgauss(2.0)),
    "triangular": (lambda k: random.triangular(k, -1.0, 0.5, 3.0, N), ss.triang(0.375, -1.0, 4.0)),
    "dirichlet": (
        lambda k: random.dirichlet(k, np.array([1.0, 2.0, 3.0], np.float32), N)[:, 1],
        ss.beta(2.0, 4.0),
    ),
    "ball": (lambda k: (random.ball(k, 3, shape=N) ** 2).sum(-1) ** 1.5, ss.uniform()),
    "double_sided_maxwell": (lambda k: abs(random.double_sided_maxwell(k, 0.0, 2.0, N)), ss.maxwell(0, 2.0)),
}
COUNTS = {
    "poisson small": (lambda k: random.poisson(k, 2.5, N), ss.poisson(2.5)),
    "poisson large": (lambda k: random.poisson(k, 40.0, N), ss.poisson(40.0)),
    "binomial small": (lambda k: random.binomial(k, 12.0, 0.3, N), ss.binom(12, 0.3)),
    "binomial large": (lambda k: random.binomial(k, 200.0, 0.7, N), ss.binom(200, 0.7)),
    "multinomial": (
        lambda k: random.multinomial(k, 30.0, np.array([0.2, 0.3, 0.5], np.float32), shape=(*N, 3))[:, 1],
        ss.binom(30, 0.3),
    ),
}

POISSON, BINOMIAL = [4, 2, 48, 9978], [9.0, 30.0, 89.0]
GAMMA = [0.00023367974790744483, 0.8636598587036133, 5.067880630493164]
BETA = [0.01939248852431774, 0.45045265555381775, 0.7211524844169617]


@pytest.mark.parametrize("name", CONTINUOUS)
def test_continuous_distributions(name):
    draw, law = CONTINUOUS[name]
    x = np.asarray(draw(KEY), np.float64)
    assert x.shape == N
    assert ss.kstest(x, law.cdf).pvalue > 1e-3
    np.testing.assert_array_equal(np.asarray(fg.jit(draw)(KEY)).shape, N)


@pytest.mark.parametrize("name", COUNTS)
def test_counts(name):
    draw, law = COUNTS[name]
    x = np.asarray(draw(KEY)).astype(int)
    assert x.shape == N
    values = np.arange(int(law.ppf(1e-3)), int(law.ppf(1 - 1e-3)) + 1)
    expected = law.pmf(values) * N[0]
    seen = np.array([(x == v).sum() for v in values])
    enough = expected > 20
    assert np.all(np.abs(seen - expected)[enough] < 5 * np.sqrt(expected[enough]))


def test_first_draws_of_a_key():
    """As in JAX, whose keys and order of draws are the same."""
    a = np.array([0.5, 2.0, 7.0], np.float32)
    np.testing.assert_array_equal(
        np.asarray(random.poisson(KEY, np.array([1.0, 5.0, 50.0, 1e4], np.float32))), POISSON
    )
    np.testing.assert_allclose(np.asarray(random.gamma(KEY, a)), GAMMA, rtol=1e-5)
    np.testing.assert_allclose(np.asarray(random.beta(KEY, a, 2.0)), BETA, rtol=1e-5)
    np.testing.assert_array_equal(np.asarray(random.binomial(KEY, 100.0, a / 8)), BINOMIAL)


def test_a_batch_of_keys_gives_what_each_key_gives():
    keys = random.split(KEY, 3)
    for draw in (
        lambda k: random.gamma(k, 1.5, (4,)),
        lambda k: random.poisson(k, 3.0, (4,)),
        lambda k: random.binomial(k, 40.0, 0.4, (4,)),
    ):
        each = np.stack([np.asarray(draw(k)) for k in keys])
        np.testing.assert_allclose(np.asarray(fg.vmap(draw)(keys)), each, rtol=1e-6)


def test_gamma_moves_with_its_shape_at_constant_probability():
    a = np.array([0.4, 1.0, 2.5, 30.0])
    x = np.asarray(random.gamma(KEY, a, dtype="float64"))
    slope = fg.grad(lambda a: random.gamma(KEY, a, dtype="float64").sum())(a)
    step = 1e-5
    q = ss.gamma.cdf(x, a)
    expected = (ss.gamma.ppf(q, a + step) - ss.gamma.ppf(q, a - step)) / (2 * step)
    np.testing.assert_allclose(np.asarray(slope), expected, rtol=1e-5)
    logs = fg.grad(lambda a: random.loggamma(KEY, a, dtype="float64").sum())(a)
    np.testing.assert_allclose(np.asarray(logs), expected / x, rtol=1e-5)
    with pytest.raises(NotDifferentiableError):
        fg.grad(fg.grad(lambda a: random.gamma(KEY, a)))(2.0)


def test_impossible_parameters():
    assert np.isnan(float(random.gamma(KEY, -1.0)))
    assert np.isnan(float(random.binomial(KEY, 5.0, 1.5)))
    assert float(random.binomial(KEY, 5.0, 0.0)) == 0
    assert float(random.binomial(KEY, 5.0, 1.0)) == 5
    assert int(random.poisson(KEY, 0.0)) == 0
    with pytest.raises(DTypeError, match="integers"):
        random.poisson(KEY, 1.0, dtype="float32")
    with pytest.raises(ShapeError, match="along an axis"):
        random.dirichlet(KEY, 1.0)


def test_multivariate_normal():
    mean = np.array([1.0, -2.0, 0.5])
    root = np.array([[1.0, 0.0, 0.0], [0.5, 2.0, 0.0], [-1.0, 0.3, 0.7]])
    cov = root @ root.T
    for method in ("cholesky", "svd", "eigh"):
        x = np.asarray(random.multivariate_normal(KEY, mean, cov, N, method=method))
        assert x.shape == (*N, 3)
        np.testing.assert_allclose(x.mean(0), mean, atol=0.05)
        np.testing.assert_allclose(np.cov(x.T), cov, atol=0.15)
    with pytest.raises(ShapeError, match="covariance"):
        random.multivariate_normal(KEY, mean, cov[:2])
    x, move = fg.value_and_grad(lambda m: random.multivariate_normal(KEY, m, cov).sum())(mean)
    np.testing.assert_allclose(np.asarray(move), 1)


@pytest.mark.parametrize(("n", "m"), [(4, 4), (5, 2), (2, 5)])
def test_orthogonal_matrices(n, m):
    q = np.asarray(random.orthogonal(KEY, n, (3,), m=m))
    assert q.shape == (3, n, m)
    small = np.swapaxes(q, 1, 2) @ q if n >= m else q @ np.swapaxes(q, 1, 2)
    np.testing.assert_allclose(small, np.broadcast_to(np.eye(min(n, m)), small.shape), atol=1e-5)
    weights = np.asarray(fg.nn.initializers.orthogonal(2.0, 0)(KEY, (n, m, 2)))
    flat = weights.reshape(n, -1)
    short = flat @ flat.T if n <= flat.shape[1] else flat.T @ flat
    np.testing.assert_allclose(short, 4 * np.eye(len(short)), atol=1e-5)


def test_delta_orthogonal_weights():
    weights = np.asarray(fg.nn.initializers.delta_orthogonal()(KEY, (3, 3, 2, 4)))
    np.testing.assert_allclose(weights[1, 1] @ weights[1, 1].T, np.eye(2), atol=1e-5)
    assert np.count_nonzero(weights) == np.count_nonzero(weights[1, 1])


def test_no_key_is_used_twice():
    before = fg.config.debug_key_reuse
    fg.config.update("debug_key_reuse", True)
    try:
        for k, (draw, _) in enumerate([*CONTINUOUS.values(), *COUNTS.values()]):
            draw(random.key(1000 + k))
    finally:
        fg.config.update("debug_key_reuse", before)

"""Activations, softmax and normalization: values by NumPy and SciPy, derivatives at kinks and at extremes."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.special as sp

import funcgrad as fg
from funcgrad import lax, nn
from funcgrad.errors import ArgumentError, AxisError, ShapeError

rng = np.random.default_rng(1)
X = np.array([-40.0, -6.5, -2.9, -2.0, -0.7, -0.1, 0.1, 0.6, 1.5, 3.5, 6.5, 40.0])
M = rng.standard_normal((4, 6))
SOME = rng.random((4, 6)) > 0.4


def hard_sigmoid(x):
    return np.clip(x + 3, 0, 6) / 6


def expm1_below(x):
    return np.expm1(np.minimum(x, 0))


ORACLES = {
    "relu": lambda x: np.maximum(x, 0),
    "relu6": lambda x: np.clip(x, 0, 6),
    "leaky_relu": lambda x: np.where(x > 0, x, 0.01 * x),
    "hard_tanh": lambda x: np.clip(x, -1, 1),
    "hard_sigmoid": hard_sigmoid,
    "hard_silu": lambda x: x * hard_sigmoid(x),
    "sigmoid": sp.expit,
    "tanh": np.tanh,
    "softplus": lambda x: np.logaddexp(x, 0),
    "log_sigmoid": sp.log_expit,
    "soft_sign": lambda x: x / (1 + np.abs(x)),
    "silu": lambda x: x * sp.expit(x),
    "mish": lambda x: x * np.tanh(np.logaddexp(x, 0)),
    "elu": lambda x: np.where(x > 0, x, expm1_below(x)),
    "celu": lambda x: np.where(x > 0, x, expm1_below(x)),
    "selu": lambda x: 1.0507009873554805 * np.where(x > 0, x, 1.6732632423543772 * expm1_below(x)),
    "gelu": lambda x: 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))),
    "squareplus": lambda x: (x + np.sqrt(x * x + 4)) / 2,
    "sparse_plus": lambda x: np.where(x <= -1, 0, np.where(x >= 1, x, (x + 1) ** 2 / 4)),
    "sparse_sigmoid": lambda x: np.clip(x + 1, 0, 2) / 2,
}


@pytest.mark.parametrize("name", ORACLES)
def test_activations(name):
    function, oracle = getattr(nn, name), ORACLES[name]
    np.testing.assert_allclose(np.asarray(function(X)), oracle(X), rtol=1e-12, atol=1e-12)
    single = function(X.astype("f"))
    assert single.dtype == np.float32
    np.testing.assert_allclose(np.asarray(single), oracle(X), rtol=2e-5, atol=1e-6)


@pytest.mark.parametrize("name", ORACLES)
def test_slopes_agree_with_finite_differences(name):
    function, step = getattr(nn, name), 1e-6
    slopes = fg.vmap(fg.grad(function))(X)
    numeric = (np.asarray(function(X + step)) - np.asarray(function(X - step))) / (2 * step)
    np.testing.assert_allclose(np.asarray(slopes), numeric, rtol=1e-6, atol=1e-7)


SLOPES = {
    "relu": (0.0, 0.0),
    "relu6": (6.0, 0.0),
    "softplus": (0.0, 0.5),
    "elu": (0.0, 1.0),
    "silu": (0.0, 0.5),
}


@pytest.mark.parametrize("name", SLOPES)
def test_slopes_at_kinks_follow_jax(name):
    at, slope = SLOPES[name]
    assert float(fg.grad(getattr(nn, name))(at)) == slope


def test_no_nan_comes_from_the_branch_that_was_not_taken():
    for name in ("elu", "celu", "selu", "softplus", "log_sigmoid", "mish", "silu"):
        slopes = fg.vmap(fg.grad(getattr(nn, name)))(np.array([-1e30, -800.0, 800.0, 1e30]))
        assert np.isfinite(np.asarray(slopes)).all(), name
    assert np.isnan(np.asarray(nn.relu(np.nan)))


def test_the_second_derivative_of_softplus():
    assert float(fg.grad(fg.grad(nn.softplus))(0.0)) == 0.25


def test_activations_of_other_arguments():
    np.testing.assert_array_equal(nn.relu(np.array([-1, 2])), [0, 2])
    assert nn.relu(np.array([-1, 2])).dtype == np.int64
    np.testing.assert_allclose(nn.gelu(X, approximate=False), X * sp.ndtr(X), rtol=1e-10, atol=1e-14)
    np.testing.assert_allclose(nn.celu(X, 2.0), np.where(X > 0, X, 2 * np.expm1(np.minimum(X, 0) / 2)))
    np.testing.assert_allclose(nn.glu(M, axis=1), M[:, :3] * sp.expit(M[:, 3:]), rtol=1e-12)
    x = np.array([1e-9, 0.1, 0.5])
    np.testing.assert_allclose(nn.log1mexp(x), np.log(-np.expm1(-x)), rtol=1e-12)
    np.testing.assert_allclose(nn.log1mexp(50.0), -math.exp(-50), rtol=1e-5)
    assert nn.identity(X) is X


# ----------------------------------------------------------------------------- softmax and normalization


@pytest.mark.parametrize("axis", [0, 1, -1, (0, 1), None])
def test_softmax_and_logsumexp(axis):
    np.testing.assert_allclose(nn.softmax(M, axis), sp.softmax(M, axis), rtol=1e-12)
    np.testing.assert_allclose(nn.log_softmax(M, axis), sp.log_softmax(M, axis), rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(nn.logsumexp(M, axis), sp.logsumexp(M, axis), rtol=1e-12)
    kept = nn.logsumexp(M, axis, keepdims=True)
    np.testing.assert_allclose(kept, sp.logsumexp(M, axis, keepdims=True), rtol=1e-12)


def test_softmax_where():
    out = np.asarray(nn.softmax(M, where=SOME))
    terms = np.exp(M) * SOME
    np.testing.assert_allclose(out, terms / terms.sum(-1, keepdims=True), rtol=1e-12)
    assert (np.asarray(nn.log_softmax(M, where=SOME))[~SOME] == -np.inf).all()
    expected = np.log((np.exp(M) * SOME).sum(1))
    np.testing.assert_allclose(nn.logsumexp(M, 1, where=SOME), expected, rtol=1e-12)
    mean = np.log((np.exp(M) * SOME).sum(1) / SOME.sum(1))
    np.testing.assert_allclose(nn.logmeanexp(M, 1, where=SOME), mean, rtol=1e-12)


def test_softmax_does_not_overflow():
    big = np.array([1e4, 1e4 - 1, -1e4])
    assert np.isfinite(np.asarray(nn.log_softmax(big))).all()
    slope = fg.grad(lambda x: nn.logsumexp(x))(big)
    np.testing.assert_allclose(slope, sp.softmax(big), rtol=1e-12)
    assert float(nn.logsumexp(np.full(3, -np.inf))) == -np.inf
    assert float(nn.logsumexp(np.array([np.inf, 1.0]))) == np.inf


def test_logsumexp_with_weights_and_sign():
    value, sign = nn.logsumexp(M, 1, b=-1.0 * SOME, return_sign=True)
    np.testing.assert_allclose(value, np.log((np.exp(M) * SOME).sum(1)), rtol=1e-12)
    np.testing.assert_array_equal(sign, -np.ones(4))


def test_the_jacobian_of_softmax():
    p = sp.softmax(M[0])
    np.testing.assert_allclose(fg.jacrev(nn.softmax)(M[0]), np.diag(p) - np.outer(p, p), atol=1e-14)
    np.testing.assert_allclose(fg.jacfwd(nn.softmax)(M[0]), np.diag(p) - np.outer(p, p), atol=1e-14)


@pytest.mark.parametrize("algorithm", ["fast", "stable"])
def test_standardize(algorithm):
    expected = (M - M.mean(1, keepdims=True)) / np.sqrt(M.var(1, keepdims=True) + 1e-5)
    np.testing.assert_allclose(nn.standardize(M, algorithm=algorithm), expected, rtol=1e-9)
    np.testing.assert_allclose(nn.normalize(M, 0, 0.0, 1.0, 0.0), M, rtol=1e-12)


def test_one_hot():
    labels = np.array([[1, 2], [5, 0]])
    expected = (labels[..., None] == np.arange(3)).astype("f")
    np.testing.assert_array_equal(nn.one_hot(labels, 3), expected)
    np.testing.assert_array_equal(nn.one_hot(labels, 3, axis=0), np.moveaxis(expected, -1, 0))
    assert nn.one_hot(labels, 3, dtype="int32").dtype == np.int32
    np.testing.assert_array_equal(nn.one_hot(np.asarray(labels).tolist(), 3), expected)
    np.testing.assert_array_equal(nn.one_hot(2, 3), [0, 0, 1])
    over_classes = fg.vmap(
        lambda i: nn.one_hot(labels, 3, axis="class"), axis_name="class", axis_size=3, out_axes=-1
    )
    np.testing.assert_array_equal(over_classes(np.arange(3)), expected)


def test_under_jit():
    def loss(x):
        return lax.reduce_sum(nn.log_softmax(nn.gelu(x)), (0, 1))

    np.testing.assert_allclose(fg.jit(loss)(M), loss(M), rtol=1e-10)
    np.testing.assert_allclose(fg.jit(fg.grad(loss))(M), fg.grad(loss)(M), rtol=1e-8, atol=1e-12)


def test_wrong_arguments_are_explained():
    with pytest.raises(AxisError, match="axis 2"):
        nn.softmax(M, axis=2)
    with pytest.raises(ShapeError, match="halves"):
        nn.glu(M[:, :5])
    with pytest.raises(ArgumentError, match="algorithm"):
        nn.standardize(M, algorithm="quick")
    with pytest.raises(AxisError, match="one_hot"):
        nn.one_hot(np.arange(3), 4, axis=5)


# ------------------------------------------------------------------------------------------- attention
Q, K, V = (rng.standard_normal((2, n, h, 8)).astype(np.float32) for n, h in ((5, 4), (7, 2), (7, 2)))


def attention(query, key, value, seen, bias=0.0):
    """One head at a time; query heads 2k and 2k + 1 share the key head k."""
    result = np.zeros(query.shape)
    for b, n in np.ndindex(query.shape[0], query.shape[2]):
        logits = (
            query[b, :, n] @ key[b, :, n // 2].T / math.sqrt(8) + np.broadcast_to(bias, (2, 4, 5, 7))[b, n]
        )
        weights = np.exp(np.where(np.broadcast_to(seen, (2, 4, 5, 7))[b, n], logits, -np.inf))
        result[b, :, n] = weights / weights.sum(-1, keepdims=True) @ value[b, :, n // 2]
    return result


ROW, COLUMN = np.arange(5)[:, None], np.arange(7)[None]
MASK = (rng.random((2, 1, 5, 7)) > 0.4) | (COLUMN == 0)
BIAS = rng.standard_normal((4, 5, 7)).astype(np.float32)


@pytest.mark.parametrize(
    ("options", "seen"),
    [
        ({}, True),
        ({"is_causal": True}, COLUMN <= ROW),
        ({"mask": MASK, "is_causal": True}, MASK & (COLUMN <= ROW)),
        ({"bias": BIAS}, True),
        ({"local_window_size": (2, 1)}, (COLUMN >= ROW - 2) & (COLUMN <= ROW + 1)),
        ({"local_window_size": 1}, abs(COLUMN - ROW) <= 1),
        ({"key_value_seq_lengths": np.array([3, 6])}, np.array([3, 6]).reshape(2, 1, 1, 1) > COLUMN),
    ],
)
def test_attention_sees_what_the_options_say(options, seen):
    expected = attention(Q, K, V, seen, options.get("bias", 0.0))
    for run in (lambda f: f, fg.jit):
        got = run(lambda q, k, v: nn.dot_product_attention(q, k, v, **options))(Q, K, V)
        np.testing.assert_allclose(np.asarray(got), expected, 1e-4, 1e-5)


def test_attention_of_padded_queries_and_without_a_batch():
    whole = np.asarray(nn.dot_product_attention(Q, K, V))
    padded = np.asarray(nn.dot_product_attention(Q, K, V, query_seq_lengths=np.array([2, 5])))
    np.testing.assert_array_equal(padded[0, 2:], 0)
    np.testing.assert_allclose(padded[1], whole[1], 1e-5)
    np.testing.assert_allclose(np.asarray(nn.dot_product_attention(Q[1], K[1], V[1])), whole[1], 1e-4, 1e-5)
    half = nn.dot_product_attention(*(fg.numpy.asarray(x, "bfloat16") for x in (Q, K, V)))
    assert half.dtype == fg.numpy.bfloat16
    np.testing.assert_allclose(np.asarray(half, np.float32), whole, 0.05, 0.05)


def test_attention_refuses_operands_that_do_not_fit():
    for operands, error in (
        ((Q, K, V[:, :3]), ShapeError),
        ((Q[:, :, :3], K, V), ShapeError),
        ((Q, K.astype(np.float64), V), fg.errors.DTypeError),
    ):
        with pytest.raises(error, match="dot_product_attention"):
            nn.dot_product_attention(*operands)
    with pytest.raises(fg.errors.DTypeError, match="boolean"):
        nn.dot_product_attention(Q, K, V, mask=MASK.astype(np.float32))


@pytest.mark.parametrize("distribution", ["normal", "truncated_normal", "uniform"])
def test_complex_weights_have_the_variance_asked_for_and_no_direction(distribution):
    init = nn.initializers.variance_scaling(1.0, "fan_in", distribution, dtype="complex64")
    z = np.asarray(init(fg.random.key(0), (100, 1000)))
    assert z.dtype == np.complex64
    np.testing.assert_allclose(np.mean(np.abs(z) ** 2), 0.01, rtol=0.02)
    np.testing.assert_allclose([z.mean(), (z**2).mean()], 0, atol=1e-3)
    if distribution == "truncated_normal":
        assert np.abs(z).max() < 0.1 * 2 / math.sqrt(1 - 4 / math.expm1(4)) + 1e-6

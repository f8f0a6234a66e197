"""Random numbers: the numbers of known seeds, distributions against their moments, keys under transforms.

The expected numbers of seeds are those of JAX 0.10, so that a program keeps its numbers when it moves.
"""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats

import funcgrad as fg
from funcgrad import random
from funcgrad.errors import ArgumentError, DTypeError, ShapeError
from funcgrad.prims.random import threefry2x32_p
from funcgrad.random import basic

KEY = random.key(42)


def same(value, expected, dtype):
    assert value.dtype == np.dtype(dtype)
    np.testing.assert_array_equal(np.asarray(value), np.array(expected, dtype))


def near(value, expected, dtype="float32", rtol=2e-5):
    assert value.dtype == np.dtype(dtype)
    np.testing.assert_allclose(np.asarray(value), np.array(expected, dtype), rtol=rtol, atol=1e-7)


# -------------------------------------------------------------------------------------- known seeds


def test_the_cipher_gives_the_authors_numbers():
    """The known answers of Random123 for threefry2x32 with 20 rounds."""
    cases = [
        ((0, 0), (0, 0), (0x6B200159, 0x99BA4EFE)),
        ((0xFFFFFFFF,) * 2, (0xFFFFFFFF,) * 2, (0x1CB996FC, 0xBB002BE7)),
        ((0x13198A2E, 0x03707344), (0x243F6A88, 0x85A308D3), (0xC4923A9C, 0x483DF7A0)),
    ]
    for key, counter, expected in cases:
        out = threefry2x32_p.evaluate(np, *map(np.uint32, (*key, *counter)), width=64)
        assert (int(out) >> 32, int(out) & 0xFFFFFFFF) == expected


def test_keys_of_seeds():
    same(KEY, [0, 42], "uint32")
    same(random.PRNGKey(2**40 + 5), [256, 5], "uint32")
    same(random.key(-1), [2**32 - 1, 2**32 - 1], "uint32")
    same(random.key(np.int32(7)), [0, 7], "uint32")
    same(fg.jit(random.key)(2**40 + 5), [256, 5], "uint32")


def test_split_and_fold_in():
    expected = [[1832780943, 270669613], [64467757, 2916123636], [2465931498, 255383827]]
    same(random.split(KEY, 3), expected, "uint32")
    assert random.split(KEY, (2, 3)).shape == (2, 3, 2)
    same(random.fold_in(KEY, 7), [2547012911, 1371500959], "uint32")
    a, b = random.split(KEY)
    assert not np.array_equal(a, b)


def test_bits():
    expected = [[2098992034, 2919706841, 2646866425], [2409546199, 1935504149, 2516274904]]
    same(random.bits(KEY, (2, 3)), expected, "uint32")
    same(random.bits(KEY, (4,), "uint8"), [162, 217, 249, 215], "uint8")
    same(random.bits(KEY, (2,), "uint64"), [7871734211187709741, 276886910877598708], "uint64")


def test_uniform_and_normal():
    same(random.uniform(KEY, (3,)), [0.48870957, 0.6797972, 0.6162715], "float32")
    same(random.uniform(KEY, (3,), "bfloat16"), [0.6328125, 0.84375, 0.96875], fg.dtypes.bfloat16)
    same(
        random.uniform(KEY, (3,), "float64"),
        [0.4267275666499091, 0.015010069515314584, 0.5741444178995352],
        "f8",
    )
    near(random.normal(KEY, (4,)), [-0.02830462, 0.46713185, 0.29570296, 0.15354592])
    near(
        random.normal(KEY, (3,), "float64"), [-0.18471174528, -2.16982456040, 0.18693555179], "float64", 1e-10
    )


def test_integers():
    same(random.randint(KEY, (6,), -5, 1000), [184, 514, 736, 539, 804, 979], "int64")
    same(random.randint(KEY, (6,), 0, 256, "uint8"), [196, 18, 183, 193, 141, 107], "uint8")
    expected = [464050701877, 604979476158, 848944880791, 550063542319]
    same(random.randint(KEY, (4,), 0, 10**12, "int64"), expected, "int64")
    same(random.choice(KEY, 10, (5,)), [4, 4, 1, 9, 9], "int64")
    rows = random.choice(KEY, np.arange(20.0).reshape(10, 2), (5,))
    same(rows, [[8, 9], [8, 9], [2, 3], [18, 19], [18, 19]], "float64")
    same(random.rademacher(KEY, (6,)), [1, -1, -1, -1, 1, -1], "int64")
    same(random.bernoulli(KEY, 0.3, (8,)), [0, 0, 0, 0, 0, 0, 1, 0], "bool")


def test_bounds_of_integers():
    full = random.randint(KEY, (4000,), -128, 128, "int8")
    assert int(full.min()) == -128 and int(full.max()) == 127
    same(random.randint(KEY, (3,), 5, 5), [5, 5, 5], "int64")
    lows, highs = np.array([0, 10, 20]), np.array([1, 11, 22])
    out = np.asarray(random.randint(KEY, (100, 3), lows, highs))
    assert out.min(0).tolist() == [0, 10, 20] and out.max(0).tolist() == [0, 10, 21]


def test_other_distributions_of_a_seed():
    near(random.truncated_normal(KEY, -1.0, 2.0, (4,)), [0.14770006, 0.5684449, 0.4210255, 0.29997])
    near(random.gumbel(KEY, (3,)), [0.3340934, 0.95201945, 0.72553056])
    near(random.exponential(KEY, (3,)), [0.6708175, 1.1388006, 0.95782])
    near(random.laplace(KEY, (3,)), [0.02283965, -0.44565356, -0.2646729])
    near(random.cauchy(KEY, (3,)), [-0.03548463, 0.6337261, 0.38244057])
    near(random.logistic(KEY, (3,)), [-0.04516941, 0.7528398, 0.47375232])
    logits = np.log(np.array([[0.1, 0.2, 0.7], [0.8, 0.1, 0.1]], "f"))
    same(random.categorical(KEY, logits, shape=(4, 2)), [[2, 0], [2, 0], [1, 0], [1, 0]], "int64")


def test_initializers_of_a_seed():
    init = fg.nn.initializers
    expected = [[-0.0247361, 0.3939159, 0.2547381], [0.13367954, -0.10813224, 0.18812267]]
    near(init.glorot_uniform()(KEY, (2, 3)), expected, rtol=1e-4)
    expected = [[-0.03071363, 0.5051931, 0.32045117], [0.16655728, -0.13455985, 0.2352222]]
    near(init.he_normal()(KEY, (2, 3)), expected, rtol=1e-4)
    same(init.constant(3)(KEY, (2,)), [3, 3], "float32")
    with pytest.raises(ArgumentError, match="fan-in"):
        init.he_normal()(KEY, (3,))


# --------------------------------------------------------------------------------- distributions

CONTINUOUS = {
    "uniform": (random.uniform, scipy.stats.uniform()),
    "normal": (random.normal, scipy.stats.norm()),
    "exponential": (random.exponential, scipy.stats.expon()),
    "gumbel": (random.gumbel, scipy.stats.gumbel_r()),
    "laplace": (random.laplace, scipy.stats.laplace()),
    "cauchy": (random.cauchy, scipy.stats.cauchy()),
    "logistic": (random.logistic, scipy.stats.logistic()),
    "maxwell": (random.maxwell, scipy.stats.maxwell()),
    "pareto": (lambda k, s: random.pareto(k, 3.0, s), scipy.stats.pareto(3.0)),
    "rayleigh": (lambda k, s: random.rayleigh(k, 2.0, s), scipy.stats.rayleigh(scale=2.0)),
    "weibull": (lambda k, s: random.weibull_min(k, 2.0, 3.0, s), scipy.stats.weibull_min(3.0, scale=2.0)),
    "lognormal": (lambda k, s: random.lognormal(k, 0.5, s), scipy.stats.lognorm(0.5)),
    "truncated": (lambda k, s: random.truncated_normal(k, -1.0, 2.0, s), scipy.stats.truncnorm(-1.0, 2.0)),
}


@pytest.mark.parametrize("name", CONTINUOUS)
def test_draws_follow_their_distribution(name):
    draw, reference = CONTINUOUS[name]
    sample = np.asarray(draw(random.key(3), (4000,)), "float64")
    assert scipy.stats.kstest(sample, reference.cdf).pvalue > 1e-3


def test_discrete_draws_follow_their_probabilities():
    p = np.array([0.1, 0.2, 0.7], "f")
    drawn = np.asarray(random.categorical(KEY, np.log(p), shape=(5000,)))
    np.testing.assert_allclose(np.bincount(drawn, minlength=3) / 5000, p, atol=0.02)
    assert abs(float(np.mean(np.asarray(random.bernoulli(KEY, 0.3, (5000,))))) - 0.3) < 0.02
    assert abs(float(np.mean(np.asarray(random.bernoulli(KEY, 0.3, (5000,), "high")))) - 0.3) < 0.02
    trials = np.asarray(random.geometric(KEY, 0.25, (5000,)))
    assert trials.min() == 1 and abs(trials.mean() - 4) < 0.25


def test_complex_normal_numbers_have_unit_power():
    z = np.asarray(random.normal(KEY, (5000,), "complex64"))
    assert z.dtype == np.complex64
    assert abs(np.mean(np.abs(z) ** 2) - 1) < 0.05
    assert abs(np.mean(z)) < 0.03


# --------------------------------------------------------------------------------- under transforms


def test_under_jit_and_vmap_the_numbers_are_the_same():
    keys = random.split(KEY, 3)
    one_by_one = np.stack([np.asarray(random.normal(k, (4,))) for k in np.asarray(keys)])
    np.testing.assert_array_equal(fg.vmap(lambda k: random.normal(k, (4,)))(keys), one_by_one)
    near(fg.jit(fg.vmap(lambda k: random.normal(k, (4,))))(keys), one_by_one, rtol=1e-5)
    folded = fg.vmap(lambda i: random.fold_in(KEY, i))(np.arange(3))
    for i in range(3):
        same(folded[i], np.asarray(random.fold_in(KEY, i)), "uint32")


def test_draws_have_derivatives_in_their_parameters():
    def mean(low, high):
        return random.uniform(KEY, (50,), "float64", low, high).mean()

    unit = float(np.mean(np.asarray(random.uniform(KEY, (50,), "float64"))))
    d_low, d_high = fg.grad(mean, argnums=(0, 1))(np.float64(1.0), np.float64(3.0))
    assert abs(float(d_low) - (1 - unit)) < 1e-12
    assert abs(float(d_high) - unit) < 1e-12


def test_parameters_broadcast():
    scale = np.array([[1.0], [100.0]], "f")
    assert random.rayleigh(KEY, scale, (2, 3)).shape == (2, 3)
    assert random.rayleigh(KEY, scale).shape == (2, 1)


# ------------------------------------------------------------------------------------------- errors


def test_wrong_arguments_are_explained():
    with pytest.raises(ArgumentError, match="array of keys"):
        random.normal(random.split(KEY), (2,))
    with pytest.raises(ArgumentError, match="make a key"):
        random.normal(np.zeros(2, "f"), (2,))
    with pytest.raises(DTypeError, match="draws floats"):
        random.uniform(KEY, (2,), "int32")
    with pytest.raises(DTypeError, match="seed"):
        random.key(1.5)
    with pytest.raises(ShapeError, match="do not broadcast"):
        random.uniform(KEY, (2, 3), minval=np.zeros((4, 1)))
    with pytest.raises(ShapeError, match="not a shape"):
        random.normal(KEY, (2.5,))
    with pytest.raises(ShapeError, match="negative"):
        random.normal(KEY, (-1,))
    with pytest.raises(ArgumentError, match="generator"):
        random.key(0, impl="rbg")


def test_large_draws_are_compiled_and_give_the_same_numbers(monkeypatch):
    key, shape = random.key(7), (2, basic.LARGE // 2)
    large = [random.bits(key, shape), random.uniform(key, shape), random.normal(key, shape)]
    monkeypatch.setattr(basic, "LARGE", 2 * basic.LARGE)
    for have, wanted in zip(
        large, [random.bits(key, shape), random.uniform(key, shape), random.normal(key, shape)]
    ):
        assert have.dtype == wanted.dtype
        np.testing.assert_allclose(have, wanted, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(large[0], random.bits(key, shape))


def test_a_large_draw_from_what_is_no_key_says_so():
    with pytest.raises(ArgumentError, match=r"random\.normal takes one key"):
        random.normal(np.zeros(3, np.uint32), (1 << 20,))


def test_weights_of_choices_may_be_booleans_and_integers():
    key = random.key(0)
    kept, counts = np.array([True, False, True, True]), np.array([1, 0, 2, 1])
    for p in (kept, counts):
        for replace in (True, False):
            want = random.choice(key, 4, (3,), replace, p=p.astype(np.float32))
            assert (random.choice(key, 4, (3,), replace, p=p) == want).all() and not (want == 1).any()

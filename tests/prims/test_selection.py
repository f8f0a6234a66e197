"""`top_k` by its kernel, against NumPy: NaN, equal elements, every order of a line."""

from __future__ import annotations

import numpy as np
import pytest

import funcgrad as fg
from funcgrad import lax
from funcgrad.lower.lowered import ExternStep, RoutineStep, walk_steps

RNG = np.random.default_rng(0)


def check(x, k):
    values, where = fg.jit(lambda x: lax.top_k(x, k))(x)
    keys = np.where(np.isnan(x), np.inf, x) if x.dtype.kind == "f" else x.astype(np.float64)
    # lexsort sorts by its last key first; NaN stands above inf
    nan = np.isnan(x) if x.dtype.kind == "f" else np.zeros(x.shape, bool)
    place = np.broadcast_to(np.arange(x.shape[-1]), x.shape)
    expected = np.lexsort((place, -keys, ~nan), axis=-1)[..., :k]
    np.testing.assert_array_equal(where, expected)
    np.testing.assert_array_equal(values, np.take_along_axis(x, expected, -1))
    assert where.dtype == np.int32 and values.dtype == x.dtype


@pytest.mark.parametrize("dtype", ["float32", "float64", "int32", "int64"])
@pytest.mark.parametrize(
    ("shape", "k"), [((1,), 1), ((3, 64), 64), ((5, 200), 7), ((2, 3, 129), 1), ((1000,), 70)]
)
def test_lines_in_random_order_and_with_equal_elements(shape, k, dtype):
    check((RNG.standard_normal(shape) * 1000).astype(dtype), k)
    check(RNG.integers(-3, 3, shape).astype(dtype), k)


@pytest.mark.parametrize("k", [1, 5, 64, 256])
def test_lines_that_rise_or_fall(k):
    rising = np.arange(3000, dtype=np.float32)
    check(np.stack([rising, rising[::-1], np.zeros_like(rising)]), k)


@pytest.mark.parametrize("share", [0.02, 0.5, 1.0])
def test_nan_and_infinities(share):
    x = RNG.standard_normal((4, 500)).astype(np.float32)
    x[RNG.random(x.shape) < share] = np.nan
    x[:, ::50], x[:, 1::50] = np.inf, -np.inf
    check(x, 20)


@pytest.mark.parametrize(
    ("dtype", "k", "step"),
    [("float32", 256, RoutineStep), ("float32", 257, ExternStep), ("float16", 3, ExternStep)],
)
def test_few_results_of_common_dtypes_have_a_kernel(dtype, k, step):
    lowered = fg.jit(lambda x: lax.top_k(x, k)).lower(np.ones(300, dtype))
    assert step in [type(s) for s in walk_steps(lowered.executable.placement.steps)]


def test_the_results_of_a_search_in_a_loop():
    x = RNG.standard_normal((6, 40)).astype(np.float32)
    total, rows = fg.jit(
        lambda x: lax.scan(lambda c, r: (c + lax.top_k(r, 3)[0].sum(), lax.top_k(r, 3)[1]), 0.0, x)
    )(x)
    order = np.argsort(-x, axis=1)[:, :3]
    np.testing.assert_array_equal(rows, order)
    np.testing.assert_allclose(total, np.take_along_axis(x, order, 1).sum(), rtol=1e-5)

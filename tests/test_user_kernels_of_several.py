"""Functions of numbers that give several results: `elementwise(outputs=n)`."""

from __future__ import annotations

import math

import numpy as np
import pytest

import funcgrad as fg
import funcgrad.numpy as jnp
from funcgrad.errors import ArgumentError, KernelError, NotDifferentiableError
from funcgrad.testing import check_grads

M = np.linspace(0.1, 3.0, 13)


def kepler(m, e):
    """Position in the plane of an orbit of eccentricity e, at the mean anomaly m."""
    a = m
    for _ in range(50):
        step = (a - e * math.sin(a) - m) / (1 - e * math.cos(a))
        a -= step
        if abs(step) < 1e-13:
            break
    return math.cos(a) - e, math.sqrt(1 - e * e) * math.sin(a)


def slopes(m, e):
    x, y = position(m, e)
    root = jnp.sqrt(1 - e * e)
    cos, sin = x + e, y / root
    by_m = 1 / (1 - e * cos)
    by_e = sin * by_m
    return (-sin * by_m, -sin * by_e - 1), (root * cos * by_m, root * cos * by_e - e / root * sin)


position = fg.elementwise(kepler, outputs=2, derivative=slopes)


@pytest.fixture(autouse=True)
def verified():
    with fg.config.using(verify=True, default_float="float64"):
        yield


def test_each_result_is_that_of_the_function():
    expected = np.array([kepler(m, 0.3) for m in M]).T
    large = np.repeat(M, 100)
    for f in (position, fg.jit(position), fg.vmap(position, (0, None)), fg.jit(fg.vmap(position, (0, None)))):
        found = f(M, 0.3)
        assert isinstance(found, tuple)
        np.testing.assert_allclose(found, expected, 1e-12)
    np.testing.assert_allclose(position(large, 0.3), np.repeat(expected, 100, 1), 1e-12)
    assert [r.dtype for r in fg.jit(position)(M.astype("float32"), 0.3)] == [np.float32] * 2
    grid = position(M[:, None], np.array([0.1, 0.2]))
    assert grid[0].shape == grid[1].shape == (13, 2)


def test_derivatives_of_both_results():
    check_grads(position, (M, np.full(13, 0.3)), order=2)
    check_grads(fg.jit(lambda m, e: position(m, e)[1] * position(m, e)[0]), (M, np.full(13, 0.3)), order=1)
    by_e = fg.jit(fg.vmap(fg.grad(lambda m, e: position(m, e)[1], 1), (0, None)))(M, 0.3)
    step = 1e-6
    numeric = (position(M, 0.3 + step)[1] - position(M, 0.3 - step)[1]) / (2 * step)
    np.testing.assert_allclose(by_e, numeric, 1e-6, 1e-8)


def test_a_kernel_calls_the_function_once_for_all_results():
    text = str(fg.jit(lambda m: jnp.hypot(*position(m, 0.3))).lower(M))
    body = text.split("def kernel(")[1]
    assert body.count("user_kepler_") == 1


def test_dtypes_of_their_own():
    def split(x):
        whole = math.floor(x)
        return x - whole, int(whole)

    parts = fg.elementwise(split, outputs=2, dtype=(None, "int32"))
    for f in (parts, fg.jit(parts)):
        rest, whole = f(np.array([1.25, -0.5]))
        assert rest.dtype == np.float64 and whole.dtype == np.int32
        assert rest.tolist() == [0.25, 0.5] and whole.tolist() == [1, -1]
    divided = fg.elementwise(lambda a, b: (a // b, a % b), outputs=2, dtype="int64")
    for f in (divided, fg.jit(divided)):
        assert [r.tolist() for r in f(np.array([7, 9]), 4)] == [[1, 2], [3, 1]]
    only = fg.elementwise(lambda x: (x + 1,), outputs=1)
    assert fg.jit(only)(1.0)[0] == 2.0


def test_a_result_without_a_derivative_is_zero_where_it_is_said():
    f = fg.elementwise(lambda x: (x * x, math.floor(x)), outputs=2, derivative=lambda x: (2 * x, None))
    assert fg.grad(lambda x: f(x)[0] + f(x)[1])(1.5) == 3.0
    assert fg.jit(fg.grad(lambda x: f(x)[1]))(1.5) == 0.0


def test_errors_say_what_is_wrong():
    with pytest.raises(ArgumentError, match="outputs is the number of results, got 0"):
        fg.elementwise(kepler, outputs=0)
    with pytest.raises(ArgumentError, match="dtype has 3 entries for 2 results"):
        fg.elementwise(kepler, outputs=2, dtype=(None, None, None))
    with pytest.raises(KernelError, match="where a tuple of 3 numbers is expected"):
        fg.elementwise(kepler, outputs=3)(1.0, 0.1)
    with pytest.raises(KernelError, match=r"returned .* where a number is expected"):
        fg.elementwise(kepler)(1.0, 0.1)
    with pytest.raises(NotDifferentiableError, match="in a tuple of 2"):
        fg.grad(lambda m: fg.elementwise(kepler, outputs=2)(m, 0.1)[0])(1.0)
    wrong = fg.elementwise(kepler, outputs=2, derivative=lambda m, e: m)
    with pytest.raises(ArgumentError, match="an entry for each of its 2 results"):
        fg.grad(lambda m: wrong(m, 0.1)[0])(1.0)
    with pytest.raises(KernelError):
        fg.jit(fg.elementwise(kepler, outputs=3))(1.0, 0.1)

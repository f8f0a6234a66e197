"""Positions that are known only when compiled code runs: `insert`, `delete`, `eye`; and lengths that squares exceed."""

from __future__ import annotations

import numpy as np
import pytest

import funcgrad as fg
import funcgrad.numpy as jnp

LINE, TABLE = np.arange(4) * 10, np.arange(12).reshape(3, 4)


@pytest.mark.parametrize("k", range(-4, 5))
def test_insert(k):
    for values in (9, np.array([7, 8])):
        got = fg.jit(lambda i, v=values: jnp.insert(LINE, i, v))(k)
        np.testing.assert_array_equal(got, np.insert(LINE, k, values))
    if -3 <= k <= 3:
        np.testing.assert_array_equal(
            fg.jit(lambda i: jnp.insert(TABLE, i, 5, axis=0))(k), np.insert(TABLE, k, 5, axis=0)
        )


@pytest.mark.parametrize("k", range(-4, 4))
def test_delete_and_eye(k):
    np.testing.assert_array_equal(fg.jit(lambda i: jnp.delete(LINE, i))(k), np.delete(LINE, k))
    np.testing.assert_array_equal(
        fg.jit(lambda i: jnp.delete(TABLE, i, axis=1))(k), np.delete(TABLE, k, axis=1)
    )
    np.testing.assert_array_equal(fg.jit(lambda i: jnp.eye(3, 4, i))(k), np.eye(3, 4, k))


@pytest.mark.parametrize(
    ("x", "y"),
    [(3, 4), (1e30, 1e30), (0, 0), (-5, 0), (np.inf, 1), (-np.inf, np.inf), (1e-30, 1e-30), (np.nan, 1)],
)
def test_hypotenuses_neither_overflow_nor_vanish(x, y):
    for transform in (lambda f: f, fg.jit):
        got = transform(jnp.hypot)(np.float32(x), np.float32(y))
        np.testing.assert_allclose(got, np.hypot(np.float32(x), np.float32(y)), rtol=3e-7)


def test_derivatives_of_hypotenuses():
    np.testing.assert_allclose(fg.grad(jnp.hypot, (0, 1))(3.0, -4.0), (0.6, -0.8), rtol=1e-6)
    np.testing.assert_allclose(fg.grad(jnp.hypot, (0, 1))(1e30, 1e30), (0.5**0.5,) * 2, rtol=1e-6)
    np.testing.assert_array_equal(fg.grad(jnp.hypot, (0, 1))(0.0, 0.0), (0, 0))

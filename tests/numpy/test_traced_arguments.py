"""Arguments that say where, of which the values are known only when compiled code runs."""

from __future__ import annotations

import numpy as np
import pytest

import funcgrad as fg
import funcgrad.numpy as jnp
from funcgrad import lax

X = np.arange(12.0).reshape(3, 4)


@pytest.mark.parametrize("k", [-2, 0, 1])
def test_triangles_and_diagonals(k):
    for name in ("tril", "triu"):
        got = fg.jit(lambda x, k, name=name: getattr(jnp, name)(x, k))(X, k)
        np.testing.assert_array_equal(got, getattr(np, name)(X, k))
    np.testing.assert_array_equal(fg.jit(lambda k: jnp.tri(3, 4, k))(k), np.tri(3, 4, k))
    np.testing.assert_array_equal(fg.jit(lambda k: jnp.eye(3, 4, k))(k), np.eye(3, 4, k))


def test_delete_of_distinct_positions():
    delete = fg.jit(lambda x, i: jnp.delete(x, i, 1, assume_unique_indices=True))
    np.testing.assert_array_equal(delete(X, np.array([2, 0])), np.delete(X, [2, 0], 1))
    np.testing.assert_array_equal(delete(X, np.array([-1])), np.delete(X, [-1], 1))


@pytest.mark.parametrize("ends", [(1.0, 1000.0), (-2.0, -5.0), (1 + 1j, 5 + 2j)])
def test_geomspace(ends):
    for options in ({}, {"endpoint": False}):
        got = fg.jit(lambda a, b, options=options: jnp.geomspace(a, b, 5, **options))(*ends)
        np.testing.assert_allclose(got, np.geomspace(*ends, 5, **options), rtol=1e-5)


def test_conditions_may_be_numbers():
    choose = lambda x: lax.cond(x, lambda: 1, lambda: 2)  # noqa: E731
    assert [int(choose(v)) for v in (1.5, 0.0, -3, 0)] == [1, 2, 1, 2]
    assert fg.vmap(choose)(jnp.array([0.5, 0.0])).tolist() == [1, 2]


def test_vectors_of_the_plane_and_of_space():
    a, b = np.random.default_rng(0).normal(size=(2, 5, 3))
    plane = np.concatenate([a[:, :2], np.zeros((5, 1))], 1)
    np.testing.assert_allclose(jnp.cross(a[:, None, :2], b), np.cross(plane[:, None], b), rtol=1e-6)
    np.testing.assert_allclose(jnp.cross(b.T, a[:, :2], 0, 1, 0), np.cross(b, plane).T, rtol=1e-6)
    np.testing.assert_allclose(
        jnp.cross(a[:, :2], a[::-1, :2]), np.cross(plane, plane[::-1])[:, 2], rtol=1e-6
    )


def test_lists_that_are_compared():
    assert jnp.array_equal([1, 2], [1, 2]) and not jnp.array_equal([1, 2], [1, 3])
    assert jnp.array_equiv([1, 1], [[1, 1], [1, 1]])
    assert jnp.iscomplexobj([1j]) and not jnp.iscomplexobj(None)


def test_strict_operations_repeat_axes_of_length_1():
    a, b = np.ones((3, 1), np.float32), np.arange(4.0, dtype=np.float32)[None]
    np.testing.assert_array_equal(lax.add(a, b), a + b)
    np.testing.assert_array_equal(lax.max(a, b), np.maximum(a, b))
    np.testing.assert_array_equal(fg.grad(lambda a: lax.mul(a, b).sum())(a), np.full((3, 1), 6.0))


def test_windows_of_several_arrays():
    values, places = np.array([3.0, 1.0, 2.0, 5.0, 4.0], np.float32), np.arange(5)

    def largest(a, b):
        later = b[0] > a[0]
        return jnp.where(later, b[0], a[0]), jnp.where(later, b[1], a[1])

    for window in (2, 3, 9):
        got = lax.reduce_window((values, places), (-np.inf, -1), largest, (window,), (1,), ((window - 1, 0),))
        wanted = [max(range(max(k - window + 1, 0), k + 1), key=values.__getitem__) for k in range(5)]
        assert got[1].tolist() == wanted
        np.testing.assert_array_equal(got[0], values[wanted])


def test_a_barrier_of_trees():
    out = lax.optimization_barrier((X, {"a": 1.0}))
    np.testing.assert_array_equal(out[0], X)
    assert out[1]["a"] == 1.0


def test_loops_hold_what_they_do_not_change():
    f = lambda x, y: lax.while_loop(lambda c: c[0] < 5, lambda c: (c[0] + 1, c[1]), (x, y))  # noqa: E731
    x, y = fg.vmap(f, (0, None), (0, None))(jnp.arange(3.0), X)
    np.testing.assert_array_equal(x, [5, 5, 5])
    np.testing.assert_array_equal(y, X)
    g = lambda x, y: lax.scan(lambda c, _: ((c[0] + 1, c[1]), c[1]), (x, y), length=2)  # noqa: E731
    (x, y), ys = fg.vmap(g, (0, None), ((0, None), None))(jnp.arange(3.0), X)
    np.testing.assert_array_equal(ys, [X, X])
    h = lambda x, y: lax.cond(x > 0, lambda x, y: (x, y), lambda x, y: (x - 1, y), x, y)  # noqa: E731
    x, y = fg.vmap(h, (0, None), (0, None))(jnp.arange(2.0), X)
    np.testing.assert_array_equal(x, [-1, 1])
    assert fg.jit(lambda x: lax.fori_loop(0, 3, lambda i, c: c, x))(2.0) == 2.0
    assert fg.grad(lambda x: lax.scan(lambda c, _: (c, c * c), x, length=3)[1].sum())(2.0) == 12.0


def test_deleted_arrays():
    x = jnp.ones(2)
    x.delete()
    assert x.is_deleted() and "deleted" in repr(x)
    with pytest.raises(ValueError, match="deleted"):
        x + 1

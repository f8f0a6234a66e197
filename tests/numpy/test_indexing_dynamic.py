"""Indices with traced starts, of elements named several times, and on axes of length 0."""

from __future__ import annotations

import numpy as np
import pytest

import funcgrad as fg
import funcgrad.numpy as jnp
from funcgrad.errors import IndexingError
from funcgrad.testing import check_grads

X = np.arange(24.0).reshape(2, 3, 4)
ARRAY = jnp.asarray(X)


@pytest.mark.parametrize("transform", [lambda f: f, fg.jit])
def test_ds_is_a_slice_with_a_traced_start(transform):
    cut = transform(lambda x, i: x[:, fg.ds(i, 2), 1])
    for i in (0, 1, -2):
        np.testing.assert_array_equal(cut(ARRAY, i), X[:, range(i, i + 2), 1])
    np.testing.assert_array_equal(cut(ARRAY, 7), X[:, 1:3, 1])  # moved until it fits
    several = transform(lambda x, i: x[..., None, fg.ds(i, 1), fg.ds(i, 2, 2)])
    np.testing.assert_array_equal(several(ARRAY, 1), X[:, None, 1:2, 1:4:2])
    mixed = transform(lambda x, i: x[fg.ds(0, 1), i, np.array([3, 0])])
    np.testing.assert_array_equal(mixed(ARRAY, 2), X[0:1, 2, [3, 0]])


@pytest.mark.parametrize("transform", [lambda f: f, fg.jit])
def test_writing_at_ds(transform):
    put = transform(lambda x, i, v: x.at[:, fg.ds(i, 2)].add(v))
    expected = X.copy()
    expected[:, 1:3] += 5
    np.testing.assert_array_equal(put(jnp.asarray(X), 1, 5.0), expected)
    np.testing.assert_array_equal(put(jnp.asarray(X), 2, 5.0), X)  # does not fit: dropped


def test_ds_batches_and_differentiates():
    starts = np.array([0, 2, 1])
    rows = fg.vmap(lambda i: jnp.asarray(X)[0, 0, fg.ds(i, 2)])(starts)
    np.testing.assert_array_equal(rows, [X[0, 0, i : i + 2] for i in starts])
    check_grads(lambda x: jnp.sin(x[:, fg.ds(1, 2)]) * 2, (jnp.asarray(X),), order=2)


def test_ds_of_one_number_is_a_slice():
    assert fg.ds(None) == slice(None) and fg.ds(3) == slice(None, 3)
    for wrong in (lambda: fg.ds(1.5), lambda: fg.ds(0, "a"), lambda: fg.ds(0, -1), lambda: X @ 0):
        with pytest.raises((IndexingError, ValueError)):
            wrong()
    with pytest.raises(IndexingError, match="does not fit"):
        jnp.asarray(X)[fg.ds(0, 3)]


@pytest.mark.parametrize("transform", [lambda f: f, fg.jit])
def test_apply_works_as_often_as_an_element_is_named(transform):
    f = transform(lambda x, i: x.at[i].apply(lambda v: v * 2 + 1))
    i = np.array([3, 0, 3, 3, -1, 9])
    expected = np.arange(5.0)
    for k in (3, 0, 3, 3, 4):
        expected[k] = expected[k] * 2 + 1
    np.testing.assert_array_equal(f(jnp.arange(5.0), i), expected)
    np.testing.assert_array_equal(f(jnp.arange(5.0), np.array([], int)), np.arange(5.0))
    mask = np.arange(5) % 2 == 0
    doubled = jnp.arange(5.0).at[mask].apply(jnp.negative)
    np.testing.assert_array_equal(doubled, np.where(mask, -np.arange(5.0), np.arange(5.0)))
    batched = fg.vmap(f)(jnp.ones((2, 3)), np.array([[0, 0], [1, 2]]))
    np.testing.assert_array_equal(batched, [[7, 1, 1], [1, 3, 3]])


def test_apply_differentiates():
    i = np.array([0, 0, 1])
    check_grads(lambda x: x.at[i].apply(jnp.sin), (jnp.asarray(X[0, 0] + 0.3),), modes=("rev", "fwd"))


def test_lists_inside_an_index_are_arrays():
    x = jnp.asarray(X)
    np.testing.assert_array_equal(x[[0, 1], [2, 0]], X[[0, 1], [2, 0]])
    np.testing.assert_array_equal(x[:, []], X[:, []])
    np.testing.assert_array_equal(fg.jit(lambda x, i: x[0, [i, 0]])(x, 2), X[0, [2, 0]])
    with pytest.raises(IndexingError, match="list"):
        x[[0, 1]]


def test_positions_on_empty_axes():
    x = np.ones((0, 4), np.float32)
    for index in (np.zeros(0, int), (slice(None), np.array([1, 2])), np.zeros((3, 0), int)):
        assert jnp.asarray(x)[index].shape == x[index].shape
    assert jnp.ones((3, 0))[np.zeros(2, int)].shape == (2, 0)
    assert jnp.asarray(x).at[np.array([5])].get(mode="fill", fill_value=7.0).tolist() == [[7.0] * 4]
    with pytest.raises(IndexingError, match="empty axis"):
        jnp.asarray(x)[np.array([0])]


def test_negative_positions_that_are_out_of_bounds():
    x, i = jnp.arange(5.0), np.array([-1, 1])
    assert x.at[i].get(mode="fill", fill_value=7, wrap_negative_indices=False).tolist() == [7, 1]
    assert x.at[-1].set(9.0, wrap_negative_indices=False).tolist() == x.tolist()
    assert x.at[i].mul(0, wrap_negative_indices=False).tolist() == [0, 0, 2, 3, 4]
    got = jnp.take_along_axis(x, i, 0, mode="one_hot", wrap_negative_indices=False)
    assert got.tolist() == [0, 1]
    assert jnp.take_along_axis(x, np.array([-1, 9]), 0, mode="one_hot").tolist() == [4, 0]

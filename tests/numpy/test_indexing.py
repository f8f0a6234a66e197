"""x[index] against NumPy, eagerly and under jit; errors for wrong indices; x.at."""

import numpy as np
import pytest

import funcgrad as fg
import funcgrad.numpy as fnp
from funcgrad.errors import IndexingError

X = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
BASIC = [
    0,
    -1,
    np.int64(1),
    (slice(None), 1),
    (0, slice(None, None, -1)),
    (0, slice(None, None, -2), slice(3, 0, -2)),
    (Ellipsis, 2),
    (None, slice(0, 1)),
    (0, None, Ellipsis, None, 1),
    (slice(5, 2),),
    (slice(2, 0, -1), slice(1, None), slice(None, None, 3)),
    (0, 1, 2),
    (),
]
ADVANCED = [
    np.array([0, 1, -1]),
    (slice(None), np.array([2, 0]), 1),
    (0, slice(None), np.array([1, 1])),
    (np.array([[0, 1]]), slice(1, None), np.array([[2], [3]])),
    (slice(None), np.array([True, False, True])),
    (np.array([1]), None, np.array([2])),
    X > 5,
    (Ellipsis, np.array([[1, 2], [3, 0]])),
]


@pytest.mark.parametrize("index", BASIC + ADVANCED, ids=str)
def test_eager(index):
    result = fnp.array(X)[index]
    np.testing.assert_array_equal(np.asarray(result), X[index])
    assert result.dtype == X.dtype


@pytest.mark.parametrize("index", BASIC + ADVANCED, ids=str)
def test_jit_vmap_and_grad(index):
    np.testing.assert_array_equal(np.asarray(fg.jit(lambda x: x[index])(X)), X[index])
    rows = np.stack([X, X + 1])
    np.testing.assert_array_equal(
        np.asarray(fg.vmap(lambda x: x[index])(rows)), np.stack([r[index] for r in rows])
    )
    expected = np.zeros_like(X)
    np.add.at(expected, index, 1)
    np.testing.assert_array_equal(np.asarray(fg.grad(lambda x: fnp.sum(x[index]))(X)), expected)


def test_traced_index():
    np.testing.assert_array_equal(np.asarray(fg.jit(lambda x, i: x[i, :, -1])(X, 1)), X[1, :, -1])


@pytest.mark.parametrize("index", [i for i in BASIC + ADVANCED if not isinstance(i, tuple) or i], ids=str)
def test_set_and_add(index):
    for method in ("set", "add"):
        expected = X.copy()
        if method == "set":
            expected[index] = 7
        else:
            np.add.at(expected, index, 7)
        result = getattr(fnp.array(X).at[index], method)(7.0)
        np.testing.assert_array_equal(np.asarray(result), expected)
        compiled = fg.jit(lambda x, v, m=method: getattr(x.at[index], m)(v))(X, 7.0)
        np.testing.assert_array_equal(np.asarray(compiled), expected)


def test_values_of_at_broadcast_and_have_derivatives():
    rows = np.array([0, 1, 0])
    values = np.arange(12, dtype=np.float32).reshape(3, 1, 4)
    expected = X.copy()
    np.add.at(expected, rows, values)
    np.testing.assert_array_equal(np.asarray(fnp.array(X).at[rows].add(values)), expected)
    np.testing.assert_array_equal(np.asarray(fnp.array(X).at[:, ::-1].set(X)), X[:, ::-1])
    weights = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    slope = fg.grad(lambda v: fnp.sum(fnp.array(X).at[:, 1].set(v) * weights))(X[:, 0])
    np.testing.assert_array_equal(np.asarray(slope), weights[:, 1])


def test_other_changes():
    x = fnp.array(X)
    np.testing.assert_array_equal(np.asarray(x.at[0].multiply(2)[0]), X[0] * 2)
    np.testing.assert_array_equal(np.asarray(x.at[0, 0].max(2.0)[0, 0]), np.maximum(X[0, 0], 2))
    np.testing.assert_array_equal(np.asarray(x.at[1].divide(2.0)[1]), X[1] / 2)
    np.testing.assert_array_equal(np.asarray(x.at[1].subtract(2.0)[1]), X[1] - 2)
    np.testing.assert_array_equal(np.asarray(x.at[1].power(2.0)[1]), X[1] ** 2)
    np.testing.assert_array_equal(np.asarray(x.at[1].apply(fnp.sqrt)[1]), np.sqrt(X[1]))
    np.testing.assert_array_equal(np.asarray(x.at[9].set(0.0)), X)  # dropped
    assert np.isnan(np.asarray(x.at[9].get(mode="fill"))).all()


def test_out_of_bounds_reads_clamp():
    x = fnp.array(X)
    np.testing.assert_array_equal(np.asarray(x[5]), X[-1])
    np.testing.assert_array_equal(np.asarray(x[np.array([5, -9])]), X[[1, 0]])


@pytest.mark.parametrize(
    "index",
    [[0, 1], 0.5, (0, 0, 0, 0), "a", np.ones(3, bool), (..., ...), np.array([0.5]), slice(None, None, 0)],
)
def test_errors(index):
    with pytest.raises(IndexingError, match="f32\\[2,3,4\\]"):
        fnp.array(X)[index]
    with pytest.raises(IndexingError):
        fg.jit(lambda x: x[index])(X)


def test_traced_mask_says_what_to_do():
    with pytest.raises(fg.errors.ConcretizationError, match="where"):
        fg.jit(lambda x: x[x > 0])(X)


@pytest.mark.parametrize("shapes", [((3,), (0,)), ((3, 4), (0, 4)), ((3, 4), (3, 0)), ((3, 4, 5), (3, 0))])
def test_a_mask_without_elements_selects_nothing(shapes):
    x, mask = np.zeros(shapes[0]), np.zeros(shapes[1], bool)
    assert fnp.asarray(x)[mask].shape == x[mask].shape
    np.testing.assert_array_equal(fnp.asarray(x).at[mask].set(1), x)


@pytest.mark.parametrize("shape", [(2, 0), (0, 5), (0, 4, 6)])
def test_a_mask_of_other_lengths_is_refused(shape):
    with pytest.raises(IndexingError, match="a boolean index of shape"):
        fnp.zeros((3, 4, 5))[np.zeros(shape, bool)]


@pytest.mark.parametrize("wrap", [lambda f: f, fg.jit], ids=["eager", "jit"])
def test_updates_may_be_lists(wrap):
    f = wrap(lambda x, a: x.at[1].set([a, 2, a + 1]).at[:, 0].add([1, a]))
    np.testing.assert_array_equal(f(fnp.zeros((2, 3)), 5), [[1, 0, 0], [10, 2, 6]])

"""Arguments in the forms that NumPy and JAX take: lists of labels, arrays of arrays, axes of length 1, conditions that
are numbers."""

import numpy as np
import pytest

import funcgrad as fg
import funcgrad.numpy as fnp
from funcgrad import lax
from funcgrad.errors import ArgumentError, ShapeError


def test_einsum_with_lists_of_labels():
    x, y = np.arange(24.0).reshape(2, 3, 4), np.arange(40.0).reshape(2, 4, 5)
    for labels in [
        ([0, 1, 2], [0, 2, 3], [0, 1, 3]),
        ([7, 1, 30], [7, 30, 3]),
        ([..., 1, 2], [..., 2, 3], [..., 1, 3]),
    ]:
        given = (x, labels[0], y, *labels[1:])
        np.testing.assert_allclose(fnp.einsum(*given), np.einsum(*given))
    np.testing.assert_allclose(fg.jit(lambda x: fnp.einsum(x, [0, 1, 2]))(x), np.einsum(x, [0, 1, 2]))
    for given in [(x, y), (x, [0, 1, "k"]), (x,), (x, [0], y)]:
        with pytest.raises(ArgumentError, match="einsum"):
            fnp.einsum(*given)


def test_concatenate_takes_one_array_of_arrays():
    x = np.arange(12.0).reshape(2, 3, 2)
    for joined in (fnp.concatenate(x), fnp.concatenate(fnp.array(x)), fg.jit(fnp.concatenate)(x)):
        np.testing.assert_array_equal(joined, np.concatenate(x))


def test_nothing_taken_from_nothing():
    nothing, none = fnp.zeros((0, 4)), fnp.zeros((0, 4), int)
    assert nothing[none].shape == (0, 4, 4)
    assert fg.jit(lambda x, i: x[i])(nothing, none).shape == (0, 4, 4)
    assert fg.jit(lambda x, i: x.T[:, i])(nothing, none).shape == (4, 0, 4)
    assert fg.grad(lambda x: fg.jit(lambda x, i: x[i])(x, none).sum())(nothing).shape == (0, 4)


def test_geomspace_of_traced_ends():
    for a, b, options in [
        (1.0, 1000.0, {}),
        (-2.0, -32.0, {"num": 5}),
        (np.array([1.0, 2.0]), 8.0, {"axis": -1}),
    ]:
        got = fg.jit(lambda a, b, options=options: fnp.geomspace(a, b, **options))(a, b)
        np.testing.assert_allclose(got, np.geomspace(a, b, **options), rtol=1e-5)
    slope = fg.grad(lambda b: fnp.geomspace(1.0, b, 3)[1])(4.0)
    np.testing.assert_allclose(slope, 0.25, rtol=1e-6)


def test_array_equal_takes_lists():
    assert fnp.array_equal([1, 2], [1, 2]) and not fnp.array_equal([1, 2], [1, 3])
    assert not fnp.array_equal([1, 2], [1, 2, 3])


def test_lax_broadcasts_axes_of_length_1():
    x, y = np.linspace(1, 2, 3).reshape(3, 1), np.linspace(1, 2, 4).reshape(1, 4)
    np.testing.assert_allclose(lax.atan2(x, y), np.arctan2(x, y), rtol=1e-6)
    assert fg.jit(lax.max)(x, y).shape == (3, 4)
    assert fg.grad(lambda x: lax.mul(x, y).sum())(x).shape == (3, 1)
    with pytest.raises(ShapeError, match="add"):
        lax.add(np.zeros((3, 2)), np.zeros((1, 4)))
    with pytest.raises(ShapeError):
        lax.add(np.zeros((3, 2)), np.zeros(2))


def test_optimization_barrier_of_a_tree():
    tree = (fnp.ones(3), {"a": 2.0})
    got = fg.jit(lax.optimization_barrier)(tree)
    np.testing.assert_array_equal(got[0], [1, 1, 1])
    assert got[1]["a"] == 2.0


def test_cond_takes_numbers():
    choose = lambda p: lax.cond(p, lambda: 1, lambda: 2)  # noqa: E731
    assert [int(choose(p)) for p in (0.0, 0.5, 3, np.float64(0))] == [2, 1, 1, 2]
    assert [int(fg.jit(choose)(p)) for p in (0.0, 0.5)] == [2, 1]
    assert fg.grad(lambda x: lax.cond(x, lambda: 2 * x, lambda: 3 * x))(1.0) == 2.0


@pytest.mark.parametrize("compiled", [False, True])
def test_updates_of_elements_named_twice(compiled):
    x, i = fnp.array([2.0, 3.0, 4.0]), np.array([0, 0, 2])
    run = fg.jit if compiled else lambda f: f
    np.testing.assert_allclose(run(lambda x: x.at[i].divide(np.array([2.0, 4.0, 8.0])))(x), [0.25, 3, 0.5])
    np.testing.assert_allclose(run(lambda x: x.at[i].power(np.array([2.0, 3.0, 0.5])))(x), [64, 3, 2])
    np.testing.assert_allclose(run(lambda x: x.at[i].apply(lambda v: -2 * v))(x), [8, 3, -8])
    rows = np.array([1, 1, 1, 0])
    np.testing.assert_allclose(
        run(lambda x: x.at[rows, :2].apply(lambda v: v + 1))(fnp.zeros((2, 3))), [[1, 1, 0], [3, 3, 0]]
    )


def test_transform_over_no_axes():
    x = np.ones((2, 3), np.complex64)
    np.testing.assert_array_equal(fg.jit(lambda x: lax.fft(x, "fft", ()))(x), x)

"""Operations over named vmap axes, against NumPy on the whole batch, and their derivatives."""

from __future__ import annotations

import numpy as np
import pytest

import funcgrad as fg
from funcgrad import lax
from funcgrad.errors import AxisNameError, ShapeError

rng = np.random.default_rng(0)
X = rng.standard_normal((4, 3))


def over(function, *args, **options):
    return np.asarray(fg.vmap(function, axis_name="i", **options)(*args))


def everyone(value):
    """The value that each of four examples gets."""
    return np.broadcast_to(value, (4, *np.shape(value)))


CASES = {
    "psum": (lambda x: lax.psum(x, "i"), everyone(X.sum(0))),
    "pmean": (lambda x: lax.pmean(x, "i"), everyone(X.mean(0))),
    "pmax": (lambda x: lax.pmax(x, "i"), everyone(X.max(0))),
    "pmin": (lambda x: lax.pmin(x, "i"), everyone(X.min(0))),
    "axis_index": (lambda x: lax.axis_index("i"), np.arange(4)),
    "axis_size": (lambda x: x * lax.axis_size("i"), X * 4),
    "psum of 1": (lambda x: x / lax.psum(1, "i"), X / 4),
    "psum of a constant": (lambda x: x + lax.psum(np.float64(2.0), "i"), X + 8),
    "all_gather": (lambda x: lax.all_gather(x, "i"), everyone(X)),
    "all_gather along 1": (lambda x: lax.all_gather(x, "i", axis=1), everyone(X.T)),
    "all_gather tiled": (lambda x: lax.all_gather(x, "i", tiled=True), everyone(X.reshape(-1))),
    "ppermute": (
        lambda x: lax.ppermute(x, "i", [(0, 1), (1, 2)]),
        np.stack([0 * X[0], X[0], X[1], 0 * X[0]]),
    ),
    "pshuffle": (lambda x: lax.pshuffle(x, "i", [3, 0, 1, 2]), X[[3, 0, 1, 2]]),
}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("compiled", [False, True])
def test_values(name, compiled):
    function, expected = CASES[name]
    mapped = fg.vmap(function, axis_name="i")
    np.testing.assert_allclose((fg.jit(mapped) if compiled else mapped)(X), expected, rtol=1e-12)
    if compiled:
        np.testing.assert_allclose(fg.vmap(fg.jit(function), axis_name="i")(X), expected, rtol=1e-12)


def test_all_to_all_and_psum_scatter():
    y = rng.standard_normal((4, 4, 5))
    np.testing.assert_array_equal(over(lambda x: lax.all_to_all(x, "i", 0, 0), y), y.transpose(1, 0, 2))
    np.testing.assert_array_equal(over(lambda x: lax.all_to_all(x, "i", 0, 1), y), y.transpose(1, 2, 0))
    tiled = over(lambda x: lax.all_to_all(x, "i", 0, 1, tiled=True), y)
    np.testing.assert_array_equal(tiled, y.transpose(1, 0, 2).reshape(4, 1, 20))
    np.testing.assert_allclose(over(lambda x: lax.psum_scatter(x, "i"), y), y.sum(0), rtol=1e-12)


def test_trees_and_two_axes():
    def f(x):
        total = lax.psum({"a": x, "b": (2 * x,)}, ("i", "j"))
        return total["a"] + total["b"][0] + lax.axis_index(("i", "j"))

    out = fg.vmap(fg.vmap(f, axis_name="j"), axis_name="i")(X)
    np.testing.assert_allclose(out, 3 * X.sum() + np.arange(12).reshape(4, 3), rtol=1e-12)


def test_a_collective_over_the_outer_axis_inside_an_inner_vmap():
    f = fg.vmap(fg.vmap(lambda x: x - lax.pmean(x, "i")), axis_name="i")
    np.testing.assert_allclose(f(X), X - X.mean(0), rtol=1e-12, atol=1e-12)


def test_the_gradient_inside_sums_over_examples():
    """Each example's loss is the same sum, so that each cotangent arrives four times."""
    inside = over(fg.grad(lambda x: (lax.psum(x, "i") ** 2).sum()), X)
    np.testing.assert_allclose(inside, everyone(4 * 2 * X.sum(0)), rtol=1e-12)


def test_the_gradient_outside_is_that_of_the_whole_function():
    weights = rng.standard_normal((4, 3))

    def loss(x):
        return (fg.vmap(lambda v: (v - lax.pmean(v, "i")) ** 2, axis_name="i")(x) * weights).sum()

    centred = X - X.mean(0)
    expected = 2 * centred * weights - (2 * centred * weights).mean(0)
    np.testing.assert_allclose(fg.grad(loss)(X), expected, rtol=1e-10)


@pytest.mark.parametrize(
    "collective",
    [
        lambda x: lax.all_gather(x, "i"),
        lambda x: lax.ppermute(x, "i", [(0, 1), (2, 3)]),
        lambda x: lax.psum(x, "i"),
        lambda x: lax.pmax(x, "i"),
    ],
    ids=["all_gather", "ppermute", "psum", "pmax"],
)
def test_reverse_inside_agrees_with_the_sum_of_all_losses(collective):
    """The gradient inside is that of the sum of all examples' losses."""

    def one(x):
        return (collective(x) ** 3).sum()

    inside = over(fg.grad(one), X)
    outside = fg.grad(lambda x: fg.vmap(one, axis_name="i")(x).sum())(X)
    np.testing.assert_allclose(inside, outside, rtol=1e-10)


def test_a_jitted_function_without_batched_arguments_knows_the_axis():
    f = fg.jit(lambda y: y * lax.axis_index("i"))
    np.testing.assert_array_equal(over(lambda x: f(2) + 0 * x.sum(), X), [0, 2, 4, 6])


def test_names_that_are_not_in_scope_are_explained():
    with pytest.raises(AxisNameError, match="'j'; the axes in scope are 'i'"):
        over(lambda x: lax.psum(x, "j"), X)
    with pytest.raises(AxisNameError, match="none is in scope"):
        lax.axis_index("i")
    with pytest.raises(ShapeError, match="psum_scatter"):
        over(lambda x: lax.psum_scatter(x, "i"), X)

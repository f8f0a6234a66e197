"""Resizing: constants and lines stay what they are; against weights computed by hand."""

from __future__ import annotations

import numpy as np
import pytest

import funcgrad as fg
from funcgrad.errors import ArgumentError, ShapeError
from funcgrad.image import ResizeMethod, resize, scale_and_translate

RNG = np.random.default_rng(0)
METHODS = ["linear", "cubic", "lanczos3", "lanczos5"]


@pytest.mark.parametrize("method", ["nearest", *METHODS])
@pytest.mark.parametrize("shape", [(2, 9, 4), (2, 3, 11)])
def test_a_constant_stays_one(method, shape):
    for antialias in (True, False):
        np.testing.assert_allclose(resize(np.full((2, 5, 6), 3.0), shape, method, antialias), 3.0, rtol=1e-6)


@pytest.mark.parametrize("method", ["linear", "cubic"])
def test_a_line_stays_one_away_from_the_edges(method):
    enlarged = resize(np.arange(10.0), (30,), method)
    places = (np.arange(30) + 0.5) / 3 - 0.5
    np.testing.assert_allclose(enlarged[6:-6], places[6:-6], atol=1e-6)
    np.testing.assert_allclose(resize(np.arange(12.0), (4,), "linear")[1:-1], [4, 7], atol=1e-6)


def test_nearest_and_linear_by_hand():
    x = RNG.standard_normal((4, 6))
    np.testing.assert_array_equal(resize(x, (2, 12), "nearest"), x[1::2].repeat(2, 1))
    np.testing.assert_allclose(resize(np.array([0.0, 2.0]), (4,), ResizeMethod.LINEAR), [0, 0.5, 1.5, 2])
    halves = resize(x, (4, 3), "linear", antialias=False)
    np.testing.assert_allclose(halves, (x[:, ::2] + x[:, 1::2]) / 2)
    assert resize(np.arange(4), (2,), "nearest").dtype == np.int64
    assert resize(np.arange(4), (2,), "linear").dtype == np.float32


def test_translation():
    x = np.arange(6.0)
    moved = scale_and_translate(x, (6,), (0,), [1.0], [2.0], "linear")
    np.testing.assert_allclose(moved, [0, 0, 0, 1, 2, 3], atol=1e-6)
    slope = fg.grad(lambda t: scale_and_translate(x, (6,), (0,), [1.0], t, "linear")[3])(np.array([1.5]))
    np.testing.assert_allclose(slope, [-1.0], atol=1e-5)


def test_wrong_calls_are_said():
    with pytest.raises(ArgumentError, match="no resize method 'area'"):
        resize(np.ones((2, 2)), (4, 4), "area")
    with pytest.raises(ShapeError, match="cannot get the shape"):
        resize(np.ones((2, 2)), (4,), "linear")
    with pytest.raises(ArgumentError, match="nearest"):
        scale_and_translate(np.ones(2), (4,), (0,), [2.0], [0.0], "nearest")

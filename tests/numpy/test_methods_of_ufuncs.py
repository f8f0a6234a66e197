"""Methods of elementwise functions, quantiles with weights: against NumPy, with derivatives."""

from __future__ import annotations

import numpy as np
import pytest

import funcgrad as fg
import funcgrad.numpy as jnp
from funcgrad.errors import ArgumentError, ShapeError

RNG = np.random.default_rng(0)
INTS = RNG.integers(0, 9, (3, 4))
FLOATS = RNG.standard_normal((3, 4))
OF_INTS = ["add", "multiply", "subtract", "bitwise_and", "bitwise_or", "bitwise_xor"]
OF_FLOATS = ["add", "maximum", "minimum", "logaddexp", "logaddexp2", "subtract"]
CASES = [(n, INTS) for n in OF_INTS] + [(n, FLOATS) for n in OF_FLOATS]
CASES += [(n, INTS > 4) for n in ("logical_and", "logical_or", "logical_xor")]


@pytest.mark.parametrize(("name", "x"), CASES)
@pytest.mark.parametrize("axis", [0, 1])
def test_methods_are_numpys(name, x, axis):
    ours, numpys = getattr(jnp, name), getattr(np, name)
    assert (ours.nin, ours.nout, ours.nargs) == (2, 1, 3)
    assert ours.identity == numpys.identity
    for given in (x, x.astype(np.float32) if x.dtype.kind == "f" else x):
        np.testing.assert_allclose(ours.reduce(given, axis), numpys.reduce(given, axis), rtol=1e-5)
        np.testing.assert_allclose(
            ours.reduce(given, axis, keepdims=True), numpys.reduce(given, axis, keepdims=True), rtol=1e-5
        )
        np.testing.assert_allclose(ours.accumulate(given, axis), numpys.accumulate(given, axis), rtol=1e-5)
        np.testing.assert_allclose(
            ours.outer(given[0], given[1]), numpys.outer(given[0], given[1]), rtol=1e-6
        )
        np.testing.assert_allclose(
            ours.reduceat(given, [0, 2, 1], axis), numpys.reduceat(given, [0, 2, 1], axis), rtol=1e-5
        )
    wanted = x[0].copy()
    numpys.at(wanted, [1, 3, 1], x[1, :3])
    np.testing.assert_allclose(ours.at(x[0], np.array([1, 3, 1]), x[1, :3], inplace=False), wanted, rtol=1e-6)
    with pytest.raises(ArgumentError, match="inplace=False"):
        ours.at(x[0], 1, x[0, 0])


def test_of_one_argument():
    assert jnp.negative.nin == 1
    np.testing.assert_array_equal(
        jnp.negative.at(np.arange(3.0), np.array([1, 2, 1]), inplace=False), [0, 1, -2]
    )


def test_methods_have_derivatives():
    slope = fg.grad(lambda x: jnp.logaddexp.reduce(x))(FLOATS[0])
    np.testing.assert_allclose(slope, np.exp(FLOATS[0]) / np.exp(FLOATS[0]).sum(), rtol=1e-6)
    np.testing.assert_array_equal(fg.grad(lambda x: jnp.subtract.reduce(x))(FLOATS[0]), [1, -1, -1, -1])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("axis", [None, 0, 1, -1])
def test_quantiles_with_weights(dtype, axis):
    x, w = FLOATS.astype(dtype), RNG.integers(0, 4, FLOATS.shape).astype(dtype)
    w[0] = w[:, 0] = 1
    q, how = np.array([0.0, 0.2, 0.5, 1.0], dtype), {"axis": axis, "method": "inverted_cdf"}
    for weights in (w, None):
        wanted = np.quantile(x, q, weights=weights, **how)
        got = fg.jit(lambda x, q, weights=weights: jnp.quantile(x, q, weights=weights, **how))(x, q)
        assert got.dtype == dtype
        np.testing.assert_array_equal(got, wanted)
    np.testing.assert_array_equal(
        jnp.percentile(x, 30.0, weights=w, keepdims=True, **how),
        np.percentile(x, 30.0, weights=w, keepdims=True, **how),
    )
    holed = x.copy()
    holed[1, 2] = np.nan
    np.testing.assert_array_equal(
        jnp.nanquantile(holed, q, weights=w, **how), np.nanquantile(holed, q, weights=w, **how)
    )
    np.testing.assert_array_equal(
        jnp.quantile(holed, q, weights=w, **how), np.quantile(holed, q, weights=w, **how)
    )


def test_one_weight_for_each_position_and_what_moves():
    x, w = FLOATS, np.array([1.0, 2.0, 3.0, 1.0])
    how = {"axis": 1, "weights": w, "method": "inverted_cdf"}
    np.testing.assert_array_equal(jnp.quantile(x, 0.5, **how), np.quantile(x, 0.5, **how))
    np.testing.assert_array_equal(
        fg.vmap(lambda r: jnp.quantile(r, 0.5, weights=w, method="inverted_cdf"))(x),
        np.quantile(x, 0.5, **how),
    )
    slope = fg.grad(lambda x: jnp.quantile(x, 0.5, **how).sum())(x)
    np.testing.assert_array_equal(slope, x == np.quantile(x, 0.5, **how)[:, None])
    with pytest.raises(ArgumentError, match="inverted_cdf"):
        jnp.quantile(x, 0.5, weights=w, axis=1)
    with pytest.raises(ShapeError, match="lengths differ"):
        jnp.quantile(x, 0.5, weights=w, axis=0, method="inverted_cdf")

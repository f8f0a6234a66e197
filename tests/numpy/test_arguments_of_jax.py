"""Arguments that functions have in JAX: their order, and what they do."""

from __future__ import annotations

import numpy as np
import pytest

import funcgrad as fg
import funcgrad.numpy as jnp
from funcgrad.errors import ArgumentError


@pytest.mark.parametrize("name", ["max", "min", "amax", "amin", "nanmax", "nanmin"])
def test_extremes_take_their_arguments_in_numpys_order(name):
    x = np.array([[1.0, 2.0], [5.0, 3.0]])
    wanted = getattr(np, name)(x, 0, None, True, 4.0, np.array([True, False]))
    np.testing.assert_array_equal(getattr(jnp, name)(x, 0, None, True, 4.0, np.array([True, False])), wanted)
    with pytest.raises(ArgumentError, match="dtype"):
        getattr(jnp, name)(x, dtype=np.float32)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_variance_around_a_given_mean(dtype):
    x = np.array([[1.0, np.nan, 3.0], [4.0, 5.0, 9.0]], dtype)
    mean = np.nanmean(x, 1, keepdims=True)
    np.testing.assert_allclose(jnp.nanvar(x, 1, mean=mean), np.nanvar(x, 1), rtol=1e-6)
    np.testing.assert_allclose(jnp.nanstd(x, 1, mean=mean + 1), np.sqrt(np.nanvar(x, 1) + 1), rtol=1e-6)


def test_where_dtypes_and_results_are_said():
    x = np.arange(6).reshape(2, 3)
    assert jnp.corrcoef(x, None, True, np.float64).dtype == np.float64
    assert jnp.cov(x, None, True, False, None, None, None, np.float64).dtype == np.float64
    assert jnp.stack([x, x], 0, None, np.float32).dtype == np.float32
    assert jnp.inner(x, x, preferred_element_type=np.float32).dtype == np.float32
    assert jnp.vdot(x, x, preferred_element_type=np.float32).dtype == np.float32
    np.testing.assert_array_equal(jnp.isin(x, [1, 5], method="sort"), np.isin(x, [1, 5]))
    rows, columns = jnp.mask_indices(3, np.triu, 1, size=5)
    assert list(rows) == [0, 0, 1, 0, 0] and list(columns) == [1, 2, 2, 0, 0]


def test_the_logarithm_of_a_complex_sum_with_its_sign_is_real():
    a = np.array([1j, 2.0 + 0j])
    value, sign = fg.scipy.special.logsumexp(a, return_sign=True)
    assert value.dtype == np.float64 and sign.dtype == np.complex128
    np.testing.assert_allclose(np.exp(value) * np.asarray(sign), np.exp(a).sum(), rtol=1e-6)


def _border(line, widths, axis, options):
    before, after = widths
    return line.at[:before].set(options["value"] + axis).at[len(line) - after :].set(line[before] * 2)


def _numpys_border(line, widths, axis, options):
    before, after = widths
    line[:before] = options["value"] + axis
    line[len(line) - after :] = line[before] * 2


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_padding_by_a_function(dtype):
    x = np.arange(1, 7, dtype=dtype).reshape(2, 3)
    wanted = np.pad(x, ((1, 2), (2, 1)), _numpys_border, value=7)
    got = fg.jit(lambda x: jnp.pad(x, ((1, 2), (2, 1)), _border, value=7))(x)
    assert got.dtype == dtype
    np.testing.assert_array_equal(got, wanted)
    slope = fg.grad(lambda x: jnp.pad(x, ((0, 0), (0, 1)), _border, value=7).sum())(x)
    np.testing.assert_array_equal(slope, [[3, 1, 1], [3, 1, 1]])
    with pytest.raises(ArgumentError, match="return"):
        jnp.pad(x, 1, lambda line, *rest: None)
    with pytest.raises(ArgumentError, match="no argument 'value'"):
        jnp.pad(x, 1, "edge", value=3)


def test_starts_that_do_not_count_from_the_end():
    x = np.arange(12.0).reshape(3, 4)
    lax = fg.lax
    for start in (-2, np.int32(-2)):
        f = fg.jit(lambda s: lax.dynamic_slice_in_dim(x, s, 2, 1, allow_negative_indices=False))
        np.testing.assert_array_equal(f(start), x[:, :2])
        np.testing.assert_array_equal(lax.dynamic_slice_in_dim(x, start, 2, 1), x[:, -2:])
        one = lax.dynamic_index_in_dim(x, start, 0, False, allow_negative_indices=False)
        np.testing.assert_array_equal(one, x[0])
        both = lax.dynamic_slice(x, (start, start), (1, 1), allow_negative_indices=(True, False))
        np.testing.assert_array_equal(both, [[4]])
        changed = lax.dynamic_update_index_in_dim(x, x[0] * 0 - 1, start, 0, allow_negative_indices=False)
        assert float(changed[0, 0]) == -1 and float(changed[1, 0]) == 4
    with pytest.raises(ArgumentError, match="allow_negative_indices"):
        lax.dynamic_slice(x, (0, 0), (1, 1), allow_negative_indices=(True,))


def test_names_of_arguments():
    x = np.array([0.3, 0.6])
    assert jnp.empty_like(prototype=x).shape == (2,)
    assert jnp.iinfo(int_type=np.int8).max == 127
    logistic = fg.scipy.stats.logistic
    np.testing.assert_allclose(logistic.ppf(x=x), -np.asarray(logistic.isf(x=x)), rtol=1e-6)
    assert fg.scipy.special.loggamma(x=x).shape == (2,)
    with fg.debug_nans(new_val=True):
        assert fg.config.debug_nans

"""Fourier transforms against NumPy, eagerly and compiled; their derivatives by linearity; typed errors."""

import numpy as np
import pytest

import funcgrad as fg
import funcgrad.numpy as fnp
from funcgrad.errors import ArgumentError, AxisError, DTypeError, ShapeError

X = np.random.default_rng(0).standard_normal((3, 4, 6)).astype(np.float32)
ONE = ["fft", "ifft", "rfft", "irfft", "hfft", "ihfft"]
MANY = ["fft2", "ifft2", "rfft2", "irfft2", "fftn", "ifftn", "rfftn", "irfftn"]


def same(result, expected):
    single = np.complex64 if np.iscomplexobj(expected) else np.float32
    assert result.dtype == single and result.shape == expected.shape
    np.testing.assert_allclose(np.asarray(result), expected, rtol=1e-5, atol=2e-5)


@pytest.mark.parametrize("name", ONE)
@pytest.mark.parametrize("norm", [None, "ortho", "forward"])
@pytest.mark.parametrize(("n", "axis"), [(None, -1), (5, 0), (8, 1), (3, -1)])
def test_one_axis(name, norm, n, axis):
    def function(x):
        return getattr(fnp.fft, name)(x, n, axis, norm)

    expected = getattr(np.fft, name)(X, n, axis, norm)
    same(function(X), expected)
    same(fg.jit(function)(X), expected)
    same(fg.vmap(function)(np.stack([X, 2 * X]))[1], 2 * expected)


@pytest.mark.parametrize("name", MANY)
@pytest.mark.parametrize(("s", "axes"), [(None, (0, 1)), ((5, 3), (-1, 0)), ((2, 8), (1, 2))])
def test_several_axes(name, s, axes):
    same(getattr(fnp.fft, name)(X, s, axes), getattr(np.fft, name)(X, s, axes))


@pytest.mark.parametrize("name", ONE)
@pytest.mark.parametrize("n", [6, 5, 9])
def test_gradient_of_a_linear_function_is_its_transpose(name, n):
    x = np.random.default_rng(1).standard_normal(7)
    function = getattr(fnp.fft, name)
    weights = np.random.default_rng(2).standard_normal(getattr(np.fft, name)(x, n).shape)

    def total(x):
        return (fnp.real(function(x, n)) * weights).sum()

    columns = np.stack([np.real(getattr(np.fft, name)(e, n)) for e in np.eye(7)])
    np.testing.assert_allclose(np.asarray(fg.grad(total)(x)), columns @ weights, atol=1e-12)


def test_forth_and_back_is_the_identity_with_a_unit_derivative():
    there = fg.jit(lambda x: fnp.fft.irfftn(fnp.fft.rfftn(x)))
    np.testing.assert_allclose(np.asarray(there(X)), X, atol=1e-6)
    np.testing.assert_allclose(np.asarray(fg.grad(lambda x: there(x).sum())(X)), np.ones_like(X), atol=1e-6)


def test_frequencies_and_shifts():
    for n in (1, 4, 5):
        np.testing.assert_allclose(np.asarray(fnp.fft.fftfreq(n, 0.5)), np.fft.fftfreq(n, 0.5), rtol=1e-6)
        np.testing.assert_allclose(np.asarray(fnp.fft.rfftfreq(n, 0.1)), np.fft.rfftfreq(n, 0.1), rtol=1e-6)
    for axes in (None, 1, (0, 2)):
        np.testing.assert_array_equal(np.asarray(fnp.fft.fftshift(X, axes)), np.fft.fftshift(X, axes))
        np.testing.assert_array_equal(np.asarray(fnp.fft.ifftshift(X, axes)), np.fft.ifftshift(X, axes))


def test_integers_and_small_floats_are_taken():
    np.testing.assert_allclose(np.asarray(fnp.fft.fft([1, 2, 4])), np.fft.fft([1, 2, 4]), rtol=1e-6)
    assert fnp.fft.rfft(X.astype(np.float16)).dtype == np.complex64


def test_lax_fft_is_strict():
    z = X.astype(np.complex64)
    np.testing.assert_allclose(
        np.asarray(fg.lax.fft(z, fg.lax.FftType.FFT, (4, 6))), np.fft.fft2(z), rtol=1e-5, atol=1e-5
    )
    assert fg.lax.fft(X, "RFFT", (6,)).shape == (3, 4, 4)
    with pytest.raises(DTypeError, match="fft is not defined"):
        fg.lax.fft(X, "FFT", (6,))
    with pytest.raises(ShapeError, match="last axes"):
        fg.lax.fft(X, "RFFT", (5,))
    with pytest.raises(ArgumentError, match="no transform"):
        fg.lax.fft(X, "DCT", (6,))


def test_errors_say_what_is_wrong():
    with pytest.raises(ArgumentError, match="norm"):
        fnp.fft.fft(X, norm="unitary")
    with pytest.raises(AxisError, match="axis 3"):
        fnp.fft.fft(X, axis=3)
    with pytest.raises(DTypeError, match="real numbers"):
        fnp.fft.rfft(X.astype(np.complex64))
    with pytest.raises(ArgumentError, match="length 0"):
        fnp.fft.fft(X, n=0)

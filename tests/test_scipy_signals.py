"""Signals, cosine transforms, interpolation, clusters, sample statistics: against SciPy."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.cluster.vq
import scipy.fft
import scipy.interpolate
import scipy.ndimage
import scipy.signal
import scipy.stats

import funcgrad as fg
from funcgrad import scipy as fsp
from funcgrad.errors import ArgumentError, ShapeError

RNG = np.random.default_rng(0)


def close(got, want):
    np.testing.assert_allclose(got, want, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("name", ["convolve", "correlate", "fftconvolve"])
@pytest.mark.parametrize("mode", ["full", "same", "valid"])
def test_convolutions(name, mode):
    for first, second in (((10,), (4,)), ((5, 6), (3, 2)), ((5, 6, 4), (2, 3, 2))):
        a, b = RNG.standard_normal(first), RNG.standard_normal(second)
        close(getattr(fsp.signal, name)(a, b, mode), getattr(scipy.signal, name)(a, b, mode))
        c = a + 1j * a[::-1]
        close(getattr(fsp.signal, name)(c, 1j * b, mode), getattr(scipy.signal, name)(c, 1j * b, mode))
    if name != "fftconvolve":
        a, b = RNG.standard_normal((5, 6)), RNG.standard_normal((3, 2))
        close(getattr(fsp.signal, name + "2d")(a, b, mode), getattr(scipy.signal, name + "2d")(a, b, mode))


def test_detrend():
    x = RNG.standard_normal((3, 20))
    for kind in ("linear", "constant"):
        for axis in (0, 1):
            close(fsp.signal.detrend(x, axis, kind), scipy.signal.detrend(x, axis, kind))
    close(fsp.signal.detrend(x, bp=[7, 12]), scipy.signal.detrend(x, bp=[7, 12]))


X, Y = RNG.standard_normal((2, 2, 1000))


@pytest.mark.parametrize(
    "options",
    [
        {"nperseg": 100, "noverlap": 30},
        {"nperseg": 128, "nfft": 200, "window": "hamming"},
        {"boundary": None, "padded": False, "nperseg": 64},
        {"boundary": "even", "nperseg": 64},
        {"boundary": "odd", "nperseg": 65},
        {"boundary": "constant", "nperseg": 64},
        {"return_onesided": False, "nperseg": 64},
        {"detrend": "linear", "nperseg": 64},
        {"fs": 10.0, "window": ("tukey", 0.3), "nperseg": 80},
    ],
)
def test_stft(options):
    for got, want in zip(fsp.signal.stft(X, **options), scipy.signal.stft(X, **options)):
        close(got, want)


def test_istft_and_other_axes():
    for options in ({"nperseg": 64}, {"nperseg": 100, "noverlap": 75}, {"nperseg": 64, "window": "hamming"}):
        spectra = scipy.signal.stft(X, **options)[2]
        close(fsp.signal.istft(spectra, **options)[1], scipy.signal.istft(spectra, **options)[1])
    close(fsp.signal.stft(X.T, axis=0, nperseg=64)[2], scipy.signal.stft(X.T, axis=0, nperseg=64)[2])


@pytest.mark.parametrize(
    "options",
    [
        {"nperseg": 100, "noverlap": 30},
        {"nperseg": 128, "nfft": 200, "window": "hamming", "scaling": "spectrum"},
        {"average": "median", "nperseg": 64},
        {"return_onesided": False, "nperseg": 64},
        {"detrend": False, "nperseg": 65},
    ],
)
def test_spectral_densities(options):
    for got, want in zip(fsp.signal.welch(X, **options), scipy.signal.welch(X, **options)):
        close(got, want)
    for got, want in zip(fsp.signal.csd(X, Y, **options), scipy.signal.csd(X, Y, **options)):
        close(got, want)


@pytest.mark.parametrize("norm", [None, "ortho"])
@pytest.mark.parametrize("n", [1, 2, 5, 8])
def test_cosine_transforms(n, norm):
    x = RNG.standard_normal((4, n))
    for name in ("dct", "idct", "dctn", "idctn"):
        close(getattr(fsp.fft, name)(x, norm=norm), getattr(scipy.fft, name)(x, norm=norm))
    close(fsp.fft.dct(x, n=n + 3, axis=0), scipy.fft.dct(x, n=n + 3, axis=0))


@pytest.mark.parametrize("order", [0, 1])
@pytest.mark.parametrize("mode", ["constant", "nearest", "wrap", "mirror", "reflect"])
def test_map_coordinates(mode, order):
    image, places = RNG.standard_normal((5, 6)), RNG.uniform(-3, 9, (2, 40))
    same = {"wrap": "grid-wrap", "constant": "grid-constant"}.get(mode, mode)
    want = scipy.ndimage.map_coordinates(image, places, order=order, mode=same, cval=2.0)
    close(fsp.ndimage.map_coordinates(image, list(places), order, mode, 2.0), want)
    with pytest.raises(ArgumentError, match="2 coordinates"):
        fsp.ndimage.map_coordinates(image, places[:1], order)


@pytest.mark.parametrize("method", ["linear", "nearest"])
@pytest.mark.parametrize("fill", [np.nan, None, 1.5])
def test_interpolation_on_a_grid(method, fill):
    grid = [np.sort(RNG.uniform(0, 3, 5)), np.sort(RNG.uniform(0, 3, 4))]
    values, points = RNG.standard_normal((5, 4, 3)), RNG.uniform(-0.2, 3.2, (50, 2))
    options = {"method": method, "fill_value": fill, "bounds_error": False}
    want = scipy.interpolate.RegularGridInterpolator(grid, values, **options)(points)
    close(fsp.interpolate.RegularGridInterpolator(grid, values, **options)(points), want)


def test_nearest_codes():
    points, codes = RNG.standard_normal((20, 3)), RNG.standard_normal((4, 3))
    for got, want in zip(fsp.cluster.vq.vq(points, codes), scipy.cluster.vq.vq(points, codes)):
        close(got, want)
    with pytest.raises(ShapeError, match="rows of one length"):
        fsp.cluster.vq.vq(points, codes[:, :2])


@pytest.mark.parametrize("axis", [0, 1, None])
def test_modes_and_ranks(axis):
    x = RNG.integers(0, 5, (4, 9))
    for keepdims in (False, True):
        for got, want in zip(
            fsp.stats.mode(x, axis, keepdims=keepdims), scipy.stats.mode(x, axis, keepdims=keepdims)
        ):
            close(got, want)
            assert np.shape(got) == np.shape(want)
    for method in ("average", "min", "max", "dense", "ordinal"):
        close(
            fsp.stats.rankdata(x * 0.5, method, axis=axis), scipy.stats.rankdata(x * 0.5, method, axis=axis)
        )


@pytest.mark.parametrize("width", [None, "silverman", 0.4])
def test_kernel_density(width):
    samples, points = RNG.standard_normal((2, 30)), RNG.standard_normal((2, 7))
    for weights in (None, RNG.uniform(0.5, 1, 30)):
        got = fsp.stats.gaussian_kde(samples, width, weights)
        want = scipy.stats.gaussian_kde(samples, width, weights)
        close(got(points), want(points))
        close(got.logpdf(points), want.logpdf(points))
        close(got.inv_cov, want.inv_cov)
    estimate = fsp.stats.gaussian_kde(samples)
    draws = estimate.resample(fg.random.key(0), (4000,))
    np.testing.assert_allclose(np.cov(draws), np.cov(samples, bias=True) + estimate.covariance, atol=0.15)

"""Spherical harmonics, functions of matrices and products with Q: against SciPy."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.linalg
import scipy.special

import funcgrad as fg
from funcgrad.errors import ArgumentError, DTypeError
from funcgrad.scipy import linalg, special
from funcgrad.testing import check_grads

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_spherical_harmonics(dtype):
    n, m = np.array([[i, k] for i in range(4) for k in range(-i, i + 1)]).T
    theta, phi = RNG.uniform(0, np.pi, n.size).astype(dtype), RNG.uniform(0, 6, n.size).astype(dtype)
    got = fg.jit(special.sph_harm_y)(n, m, theta, phi)
    assert got.dtype == np.result_type(dtype, np.complex64)
    np.testing.assert_allclose(got, scipy.special.sph_harm_y(n, m, theta, phi), rtol=1e-4, atol=1e-6)
    each = fg.vmap(special.sph_harm_y)(n, m, theta, phi)
    np.testing.assert_allclose(each, got)
    clipped = special.sph_harm_y(n + 5, 0, theta, phi, n_max=2)
    np.testing.assert_allclose(clipped, special.sph_harm_y(2, 0, theta, phi), rtol=1e-6)


def test_derivatives_of_harmonics_also_at_the_poles():
    n, m = np.array([0, 1, 2, 2, 3]), np.array([0, -1, 1, 2, -3])
    theta, phi = np.array([0.0, 0.0, 1.1, np.pi, 2.0]), RNG.uniform(0, 6, 5)

    def parts(theta, phi):
        y = special.sph_harm_y(n, m, theta, phi)
        return fg.numpy.stack([y.real, y.imag])

    slope = fg.jacfwd(lambda t: parts(theta + t, phi))(0.0)
    step = 1e-5
    wanted = (
        (np.asarray(parts(theta[2] + step + 0 * theta, phi)) - parts(theta[2] - step + 0 * theta, phi))
        / 2
        / step
    )
    np.testing.assert_allclose(
        fg.jacfwd(lambda t: parts(theta[2] + t + 0 * theta, phi))(0.0), wanted, atol=1e-8
    )
    assert np.isfinite(np.asarray(slope)).all() and abs(np.asarray(slope)[:, 1]).max() > 0.1
    check_grads(parts, (theta[2:3] + np.zeros(5), phi), order=2)
    with pytest.raises(DTypeError, match="integers"):
        special.sph_harm_y(1.0, 0, 0.1, 0.2)
    with pytest.raises(ArgumentError, match="jvp"):
        special.sph_harm_y(1, 0, 0.1, 0.2, diff_n=1)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.complex128])
def test_functions_of_matrices(dtype):
    a = RNG.standard_normal((4, 4)).astype(dtype)
    value, error = fg.jit(lambda a: linalg.funm(a, fg.numpy.exp, disp=False))(a)
    assert value.dtype == np.result_type(dtype, np.complex64) and error.dtype == value.real.dtype
    np.testing.assert_allclose(value, scipy.linalg.expm(a), rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(linalg.funm(a, lambda x: x * x), a @ a, rtol=1e-3, atol=1e-4)
    both = fg.vmap(lambda a: linalg.funm(a, fg.numpy.exp))(np.stack([a, a]))
    np.testing.assert_allclose(both[1], value, rtol=1e-5)


@pytest.mark.parametrize("size", [2, 3, 4, 5, 8])
def test_fiedlers_companion(size):
    a = RNG.standard_normal(size)
    np.testing.assert_allclose(linalg.fiedler_companion(a), scipy.linalg.fiedler_companion(a), rtol=1e-12)
    check_grads(linalg.fiedler_companion, (np.arange(1.0, size + 1),), order=2)
    assert linalg.fiedler_companion(a.astype(np.float32)).dtype == np.float32


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.complex128])
@pytest.mark.parametrize("shape", [(4, 3), (3, 4)])
@pytest.mark.parametrize("pivoting", [True, False])
def test_products_with_q(dtype, shape, pivoting):
    a = (
        RNG.standard_normal(shape) + (1j if dtype == np.complex128 else 0) * RNG.standard_normal(shape)
    ).astype(dtype)
    c = RNG.standard_normal((2, shape[0])).astype(dtype)
    for conjugate in (False, True):
        got = linalg.qr_multiply(a, c, pivoting=pivoting, conjugate=conjugate)
        wanted = scipy.linalg.qr_multiply(a, c, pivoting=pivoting, conjugate=conjugate)
        for ours, theirs in zip(got, wanted, strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)
    left = RNG.standard_normal((min(shape), 2)).astype(dtype)
    q, r, *order = linalg.qr(a, mode="economic", pivoting=pivoting)
    product, *rest = linalg.qr_multiply(a, left, "left", pivoting=pivoting)
    np.testing.assert_allclose(product, np.asarray(q) @ left, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(rest[0], r)
    if pivoting:
        np.testing.assert_allclose(
            np.asarray(q) @ np.asarray(r), a[:, np.asarray(order[0])], rtol=1e-4, atol=1e-5
        )
        np.testing.assert_allclose(linalg.qr(a, mode="r", pivoting=True)[0], linalg.qr(a, pivoting=True)[1])
    vector, _ = linalg.qr_multiply(a, c[0])
    np.testing.assert_allclose(vector, linalg.qr_multiply(a, c)[0][0], rtol=1e-4, atol=1e-5)
    with pytest.raises(ArgumentError, match="'left' or 'right'"):
        linalg.qr_multiply(a, c, "up")

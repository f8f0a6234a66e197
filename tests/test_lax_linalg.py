"""Packed reflections and rare factors of `lax.linalg`, and the arguments that it has in JAX: against NumPy."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.linalg

import funcgrad as fg
from funcgrad.errors import ArgumentError, NotDifferentiableError, ShapeError
from funcgrad.lax import linalg
from funcgrad.testing import check_grads

RNG = np.random.default_rng(0)
DTYPES = [np.float32, np.float64, np.complex128]


def batch(dtype, *shape):
    a = RNG.standard_normal(shape)
    return (a + 1j * RNG.standard_normal(shape) if dtype == np.complex128 else a).astype(dtype)


def close(got, want, dtype=np.float64):
    tolerance = 2e-5 if dtype == np.float32 else 1e-12
    np.testing.assert_allclose(np.asarray(got), np.asarray(want), rtol=tolerance, atol=tolerance)


def adjoint(x):
    return np.conj(np.swapaxes(np.asarray(x), -1, -2))


@pytest.mark.parametrize("dtype", DTYPES)
def test_hessenberg_and_the_product_of_its_reflections(dtype):
    a = batch(dtype, 2, 4, 4)
    h, taus = fg.jit(linalg.hessenberg)(a)
    assert h.dtype == dtype and taus.shape == (2, 3)
    q = np.eye(4, dtype=dtype)[None].repeat(2, 0)
    q[:, 1:, 1:] = linalg.householder_product(h[:, 1:, :-1], taus)
    close(q @ np.triu(h, -1) @ adjoint(q), a, dtype)
    close(q @ adjoint(q), np.eye(4)[None].repeat(2, 0), dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("left", [True, False])
@pytest.mark.parametrize("transpose", [True, False])
def test_ormqr_is_a_product_with_the_matrix_of_reflections(dtype, left, transpose):
    (packed, taus), _ = scipy.linalg.qr(batch(dtype, 4, 4), mode="raw")
    q = np.asarray(linalg.householder_product(packed, taus))
    q = adjoint(q) if transpose else q
    c = batch(dtype, 4, 4)
    close(linalg.ormqr(packed, taus, c, left=left, transpose=transpose), q @ c if left else c @ q, dtype)


def test_products_of_reflections_have_derivatives_and_batches():
    a, taus, c = batch(np.float64, 4, 3), RNG.random(3), batch(np.float64, 4, 2)
    check_grads(linalg.householder_product, (a, taus), order=2)
    check_grads(linalg.ormqr, (a, taus, c), order=2)
    both = fg.vmap(linalg.householder_product)(np.stack([a, 2 * a]), np.stack([taus, taus]))
    close(both[1], linalg.householder_product(2 * a, taus))
    with pytest.raises(ShapeError, match="as many rows"):
        linalg.householder_product(a.T, taus)


@pytest.mark.parametrize("dtype", DTYPES)
def test_schur_tridiagonal_and_eigenvectors_from_the_left(dtype):
    a = batch(dtype, 2, 4, 4)
    t, z = linalg.schur(a)
    close(z @ t @ adjoint(z), a, dtype)
    close(fg.vmap(lambda x: linalg.schur(x, compute_schur_vectors=False)[0])(a), t, dtype)
    hermitian = a + adjoint(a)
    _, d, e, _ = linalg.tridiagonal(hermitian)
    for i in range(2):
        close(
            np.sort(scipy.linalg.eigvalsh_tridiagonal(np.asarray(d[i], float), np.asarray(e[i], float))),
            np.linalg.eigvalsh(hermitian[i]),
            np.float32,
        )
    w, left, right = linalg.eig(a)
    assert left.dtype == np.result_type(dtype, np.complex64)
    close(adjoint(left) @ a, np.asarray(w)[..., None] * adjoint(left), np.float32)
    close(a @ np.asarray(right), np.asarray(w)[:, None] * np.asarray(right), np.float32)
    for factor in (
        lambda x: linalg.schur(x)[0],
        lambda x: linalg.eig(x)[2],
        lambda x: fg.numpy.linalg.eig(x)[1],
    ):
        with pytest.raises(NotDifferentiableError, match="no derivative"):
            fg.jvp(factor, (a,), (a,))
        assert fg.grad(lambda s, f=factor: (s * f(a)).real.sum())(1.0).shape == ()


@pytest.mark.parametrize("dtype", DTYPES)
def test_qr_with_pivoting(dtype):
    a = batch(dtype, 2, 5, 3)
    q, r, order = fg.jit(lambda x: linalg.qr(x, pivoting=True, full_matrices=False))(a)
    for i in range(2):
        close(a[i][:, order[i]], np.asarray(q[i]) @ np.asarray(r[i]), dtype)
        assert list(order[i]) == list(scipy.linalg.qr(a[i], mode="r", pivoting=True)[1])
    if dtype == np.float64:
        check_grads(
            lambda x: linalg.qr(x, pivoting=True, full_matrices=False)[1], (a[0],), order=1, atol=1e-4
        )


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_products_and_updates_of_symmetric_matrices(dtype):
    a, w = batch(dtype, 4, 4), batch(dtype, 4)
    r = np.linalg.cholesky(a @ a.T).T
    upper = np.asarray(linalg.cholesky_update(r, w))
    assert upper.dtype == dtype and (np.diag(upper) > 0).all()
    close(upper.T @ upper, r.T @ r + np.outer(w, w), dtype)
    close(np.tril(upper, -1), 0 * upper, dtype)
    c = a + a.T
    close(linalg.symmetric_product(a[:, :2], c, alpha=2, beta=0.5), 2 * a[:, :2] @ a[:, :2].T + c / 2, dtype)
    mirrored = np.asarray(linalg.symmetric_product(a[:, :2], a, symmetrize_output=True))
    close(mirrored, mirrored.T, dtype)
    u, h, _, converged = linalg.qdwh(a)
    close(np.asarray(u) @ h, a, dtype)
    close(h, np.asarray(h).T, dtype)
    assert converged
    if dtype == np.float64:
        check_grads(linalg.cholesky_update, (r, w), order=1)
        check_grads(linalg.symmetric_product, (a[:, :2], a), order=2)


def test_parts_of_spectra():
    a = batch(np.float64, 2, 5, 3)
    _, s, _ = np.linalg.svd(a)
    u, part, vh = fg.numpy.linalg.svd(a, full_matrices=False, subset_by_index=(1, 3))
    assert u.shape == (2, 5, 2) and vh.shape == (2, 2, 3)
    close(part, s[:, 1:3])
    square = a[0].T @ a[0]
    v, w = linalg.eigh(square, subset_by_index=(0, 2))
    close(square @ np.asarray(v), np.asarray(v) * np.asarray(w))
    with pytest.raises(ArgumentError, match="full_matrices=False"):
        linalg.svd(a, subset_by_index=(0, 1))
    with pytest.raises(ArgumentError, match="first <= last"):
        linalg.eigh(square, subset_by_index=(2, 9))
    assert int(fg.numpy.linalg.matrix_rank(np.outer([1.0, 2, 3], [1.0, 2, 3]), hermitian=True)) == 1

"""Linear algebra against NumPy and SciPy, compiled and not; gradients are checked by the primitives' matrix."""

import numpy as np
import pytest
import scipy.linalg

import funcgrad as fg
import funcgrad.numpy as jnp
import funcgrad.scipy.linalg as jsl

RNG = np.random.default_rng(0)
A, B, T = RNG.normal(size=(4, 4)), RNG.normal(size=(2, 4, 4)), RNG.normal(size=(5, 3))
S = A @ A.T + 4 * np.eye(4)
V, M = RNG.normal(size=4), RNG.normal(size=(4, 2))
C = A + 1j * RNG.normal(size=(4, 4))


def check(function, want, *args):
    """A function's results, as it is and compiled, are what NumPy gives."""
    for f in (function, fg.jit(function)):
        got, wanted = fg.tree.leaves(f(*args)), fg.tree.leaves(want)
        assert len(got) == len(wanted)
        for g, w in zip(got, wanted):
            np.testing.assert_allclose(np.asarray(g), w, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize(
    "name", ["inv", "det", "slogdet", "pinv", "cond", "matrix_rank", "eigvalsh", "svdvals"]
)
@pytest.mark.parametrize("x", [S, B, C @ C.conj().T + np.eye(4)], ids=["one", "batch", "complex"])
def test_functions_of_a_matrix(name, x):
    x = x if name != "eigvalsh" else x + np.conj(np.swapaxes(x, -1, -2))
    want = np.linalg.svd(x, compute_uv=False) if name == "svdvals" else getattr(np.linalg, name)(x)
    check(getattr(jnp.linalg, name), tuple(want) if name == "slogdet" else want, x)


def test_small_determinants_have_derivatives_where_they_are_zero():
    g = fg.grad(jnp.linalg.det)(jnp.array([[1.0, 2.0], [2.0, 4.0]]))
    np.testing.assert_allclose(g, [[4.0, -2.0], [-2.0, 1.0]])


def test_solving():
    check(jnp.linalg.solve, np.linalg.solve(A, V), A, V)
    check(jnp.linalg.solve, np.linalg.solve(B, np.stack([M, M])), B, M)
    check(lambda a, b: jnp.linalg.lstsq(a, b)[0], np.linalg.lstsq(T, V[:1].repeat(5))[0], T, V[:1].repeat(5))
    check(lambda a, b: jsl.cho_solve(jsl.cho_factor(a), b), np.linalg.solve(S, V), S, V)
    for trans in (0, 1, 2):
        check(
            lambda a, b, t=trans: jsl.lu_solve(jsl.lu_factor(a), b, trans=t),
            scipy.linalg.lu_solve(scipy.linalg.lu_factor(A), V, trans),
            A,
            V,
        )
        for lower in (False, True):
            want = scipy.linalg.solve_triangular(C, M, trans, lower)
            check(lambda a, b, t=trans, w=lower: jsl.solve_triangular(a, b, t, w), want, C, M.astype(complex))


def test_factors():
    check(jnp.linalg.cholesky, np.linalg.cholesky(S), S)
    check(lambda x: jnp.linalg.cholesky(x, upper=True), np.linalg.cholesky(S).T, S)
    check(jsl.lu, scipy.linalg.lu(T), T)
    q, r = jnp.linalg.qr(T)
    np.testing.assert_allclose(np.asarray(q @ r), T, atol=1e-12)
    u, s, vh = jnp.linalg.svd(T, full_matrices=False)
    np.testing.assert_allclose(np.asarray(u * s @ vh), T, atol=1e-12)
    w, v = jnp.linalg.eigh(S)
    np.testing.assert_allclose(np.asarray(v * w @ v.T), S, atol=1e-12)
    w, v = jnp.linalg.eig(A)
    np.testing.assert_allclose(np.asarray(A.astype(complex) @ v), np.asarray(v * w), atol=1e-12)


def test_what_is_not_positive_definite_is_nan_beside_what_is():
    (good, bad) = fg.jit(jnp.linalg.cholesky)(np.stack([S, -S]))
    np.testing.assert_allclose(good, np.linalg.cholesky(S))
    assert np.isnan(np.asarray(bad)[np.tril_indices(4)]).all()


@pytest.mark.parametrize("order", [None, 1, -1, 2, -2, np.inf, -np.inf, "fro", "nuc", 3, 0])
def test_norms(order):
    if not isinstance(order, str):
        check(lambda x: jnp.linalg.norm(x, order, axis=1), np.linalg.norm(T, order, axis=1), T)
    if order not in (3, 0):
        want = np.linalg.norm(B, order, axis=(1, 2), keepdims=True)
        check(lambda x: jnp.linalg.norm(x, order, axis=(1, 2), keepdims=True), want, B)


def test_powers_products_exponentials_and_blocks():
    for n in (0, 1, 5, -2):
        check(lambda x, n=n: jnp.linalg.matrix_power(x, n), np.linalg.matrix_power(A, n), A)
    check(lambda *xs: jnp.linalg.multi_dot(xs), A @ M @ M.T, A, M, M.T)
    check(jsl.expm, scipy.linalg.expm(A), A)
    check(jsl.expm_frechet, scipy.linalg.expm_frechet(A, S), A, S)
    check(jsl.block_diag, scipy.linalg.block_diag(A, M), A, M)
    check(jsl.toeplitz, scipy.linalg.toeplitz(V, M.ravel()), V, M.ravel())


def test_wrong_calls_say_what_is_wrong():
    with pytest.raises(fg.errors.ShapeError, match="square"):
        jnp.linalg.inv(T)
    with pytest.raises(fg.errors.ShapeError, match="4 rows"):
        jnp.linalg.solve(A, T)
    with pytest.raises(fg.errors.ArgumentError, match="nuc"):
        jnp.linalg.norm(A, 7)
    with pytest.raises(fg.errors.NotDifferentiableError, match="reduced"):
        fg.grad(lambda x: jnp.linalg.qr(x, "complete")[0].sum())(T)

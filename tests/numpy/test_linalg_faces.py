"""numpy.linalg and scipy.linalg: values against NumPy and SciPy, derivatives against finite differences."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import scipy.linalg

import funcgrad as fg
import funcgrad.numpy as fnp
from funcgrad.errors import ArgumentError, NotDifferentiableError, ShapeError
from funcgrad.testing import check_grads

LA, SLA = fnp.linalg, fg.scipy.linalg
RNG = np.random.default_rng(0)
A = RNG.standard_normal((4, 4)) + np.diag([2.0, 4, 6, 8])
C = A + 1j * RNG.standard_normal((4, 4))
BATCH = RNG.standard_normal((3, 4, 4)) + 4 * np.eye(4)
TALL, WIDE = RNG.standard_normal((5, 3)), RNG.standard_normal((2, 3, 5))
VECTOR, COLUMNS = RNG.standard_normal(4), RNG.standard_normal((4, 2))
LOW = A.copy()
LOW[3] = LOW[0] + LOW[1]
ZERO = np.zeros((2, 2))


def positive(x):
    return x @ np.conj(np.swapaxes(x, -1, -2)) + np.eye(x.shape[-1])


def same(function, oracle, *operands, tolerance=1e-10):
    """`function` gives what `oracle` does, eagerly and compiled."""
    wanted = oracle(*operands)
    wanted = wanted if isinstance(wanted, tuple | list) else [wanted]
    for run in (function, fg.jit(function)):
        have = fg.tree.leaves(run(*operands))
        assert len(have) == len(wanted)
        for h, w in zip(have, wanted):
            assert np.shape(h) == np.shape(w)
            np.testing.assert_allclose(np.asarray(h), w, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("x", [A, C, BATCH], ids=["real", "complex", "batch"])
@pytest.mark.parametrize("name", ["inv", "det", "slogdet", "pinv", "eigvalsh", "cond", "matrix_rank"])
def test_functions_of_one_matrix(name, x):
    x = positive(x) if name == "eigvalsh" else x
    same(getattr(LA, name), getattr(np.linalg, name), x)


@pytest.mark.parametrize("x", [A, C, BATCH, TALL, WIDE], ids=["real", "complex", "batch", "tall", "wide"])
def test_factors_multiply_to_the_matrix(x):
    for full in (False, True):
        u, s, vh = map(np.asarray, LA.svd(x, full_matrices=full))
        middle = np.zeros((*x.shape[:-2], u.shape[-1], vh.shape[-2]))
        middle[..., range(s.shape[-1]), range(s.shape[-1])] = s
        np.testing.assert_allclose(u @ middle @ vh, x, atol=1e-12)
        q, r = map(np.asarray, LA.qr(x, "complete" if full else "reduced"))
        np.testing.assert_allclose(q @ r, x, atol=1e-12)
        np.testing.assert_allclose(np.tril(r, -1), 0, atol=0)
    p, lower, upper = map(np.asarray, SLA.lu(x))
    np.testing.assert_allclose(p @ lower @ upper, x, atol=1e-12)
    _, pivots, order = fg.lax.linalg.lu(x)
    again = fg.lax.linalg.lu_pivots_to_permutation(pivots, x.shape[-2])
    np.testing.assert_array_equal(np.asarray(again), np.asarray(order))
    if x.shape[-1] != x.shape[-2]:
        return
    h = positive(x)
    lower = np.asarray(LA.cholesky(h))
    np.testing.assert_allclose(lower @ np.conj(np.swapaxes(lower, -1, -2)), h, atol=1e-11)
    np.testing.assert_allclose(
        np.asarray(LA.cholesky(h, upper=True)), np.conj(np.swapaxes(lower, -1, -2)), atol=1e-12
    )
    w, v = map(np.asarray, LA.eigh(h))
    np.testing.assert_allclose(h @ v, v * w[..., None, :], atol=1e-10)
    w, v = map(np.asarray, LA.eig(x))
    np.testing.assert_allclose(x @ v, v * w[..., None, :], atol=1e-10)


def test_hermitian_svd():
    h = A + A.T - 12 * np.eye(4)
    u, s, vh = map(np.asarray, LA.svd(h, hermitian=True))
    np.testing.assert_allclose(s, np.linalg.svd(h)[1], atol=1e-12)
    np.testing.assert_allclose((u * s) @ vh, h, atol=1e-12)
    np.testing.assert_allclose(np.asarray(LA.svd(h, compute_uv=False, hermitian=True)), s, atol=1e-12)


def test_systems():
    for a, b in ((A, VECTOR), (A, COLUMNS), (C, COLUMNS), (BATCH, COLUMNS)):
        same(LA.solve, np.linalg.solve, a, b)
        same(lambda a, b: SLA.lu_solve(SLA.lu_factor(a), b), np.linalg.solve, a, b)
        same(lambda a, b: SLA.cho_solve(SLA.cho_factor(a, lower=True), b), np.linalg.solve, positive(a), b)
        same(lambda a, b: SLA.solve(a, b, assume_a="pos"), np.linalg.solve, positive(a), b)
    for trans in (1, 2):
        turned = C.T if trans == 1 else C.conj().T
        same(
            lambda b, t=trans: SLA.lu_solve(SLA.lu_factor(C), b, t),
            lambda b, a=turned: np.linalg.solve(a, b),
            COLUMNS,
        )
    for trans in ("N", "T", "C"):
        for lower in (False, True):
            same(
                lambda a, b, t=trans, low=lower: SLA.solve_triangular(a, b, t, low),
                lambda a, b, t=trans, low=lower: scipy.linalg.solve_triangular(a, b, t, low),
                C,
                COLUMNS,
            )
    same(lambda a, b: LA.lstsq(a, b)[0], lambda a, b: np.linalg.lstsq(a, b)[0], TALL, RNG.standard_normal(5))
    x, residuals, rank, s = LA.lstsq(LOW, COLUMNS)
    np.testing.assert_allclose(np.asarray(x), np.linalg.lstsq(LOW, COLUMNS)[0], atol=1e-10)
    assert int(rank) == 3 and residuals.shape == (2,) and s.shape == (4,)
    same(LA.tensorinv, np.linalg.tensorinv, A.reshape(2, 2, 4))
    same(LA.tensorsolve, np.linalg.tensorsolve, A.reshape(2, 2, 2, 2), VECTOR.reshape(2, 2))


@pytest.mark.parametrize("x", [A, C], ids=["real", "complex"])
@pytest.mark.parametrize("order", [None, "fro", "nuc", 1, -1, 2, -2, np.inf, -np.inf])
def test_norms_of_matrices(order, x):
    for axis in ((0, 1), (1, 0)):
        same(
            partial(LA.norm, ord=order, axis=axis, keepdims=True),
            partial(np.linalg.norm, ord=order, axis=axis, keepdims=True),
            x,
        )


@pytest.mark.parametrize("x", [A, C], ids=["real", "complex"])
@pytest.mark.parametrize("order", [None, 0, 1, -1, 2, 3, 2.5, np.inf, -np.inf])
def test_norms_of_vectors(order, x):
    same(lambda v: LA.norm(v, order, 0), lambda v: np.linalg.norm(v, order, 0), x)


def test_gradient_of_the_norm_at_zero():
    assert np.isnan(np.asarray(fg.grad(LA.norm)(np.zeros(3)))).all()


def test_products_and_powers():
    for n in (-2, 0, 1, 5):
        same(
            lambda x, n=n: LA.matrix_power(x, n),
            lambda x, n=n: np.linalg.matrix_power(x, n),
            BATCH,
            tolerance=1e-8,
        )
    several = [VECTOR, COLUMNS @ TALL[:2], WIDE[0], TALL[:, 0]]
    same(lambda *xs: LA.multi_dot(xs), lambda *xs: np.linalg.multi_dot(xs), *several)
    same(LA.cross, np.cross, TALL, TALL[::-1])
    same(LA.outer, np.outer, VECTOR, VECTOR)
    same(LA.trace, lambda x: np.trace(x, 0, -2, -1), BATCH)
    same(LA.diagonal, lambda x: np.diagonal(x, 0, -2, -1), BATCH)
    same(LA.matrix_transpose, lambda x: np.swapaxes(x, -2, -1), BATCH)


def test_special_matrices_and_functions():
    same(SLA.expm, scipy.linalg.expm, A)
    same(SLA.expm, scipy.linalg.expm, 1e-3 * C)
    same(SLA.expm, lambda x: np.stack([scipy.linalg.expm(m) for m in x]), BATCH)
    same(SLA.block_diag, scipy.linalg.block_diag, A, TALL, VECTOR)
    same(SLA.toeplitz, scipy.linalg.toeplitz, VECTOR, TALL[:, 0])
    same(SLA.toeplitz, scipy.linalg.toeplitz, C[0])


def test_what_has_no_answer_is_not_a_number_and_never_raises():
    nan = np.full((2, 2), np.nan)
    for run in (lambda f: f, fg.jit):
        assert np.isnan(np.asarray(run(LA.cholesky)(-np.eye(2)))[[0, 1, 1], [0, 0, 1]]).all()
        mixed = np.asarray(run(LA.cholesky)(np.stack([np.eye(2), -np.eye(2)])))
        np.testing.assert_array_equal(mixed[0], np.eye(2))
        assert np.isnan(mixed[1, 1, 1])
        assert not np.isfinite(np.asarray(run(LA.inv)(ZERO))).any()
        assert not np.isfinite(np.asarray(run(LA.solve)(np.ones((2, 2)), np.arange(2.0)))).any()
        both = np.asarray(run(LA.inv)(np.stack([np.eye(2), ZERO])))
        np.testing.assert_array_equal(both[0], np.eye(2))
        sign, size = run(LA.slogdet)(ZERO)
        assert sign == 0 and size == -np.inf
        for function in (LA.svd, LA.eigh, LA.eig, LA.qr, LA.svdvals, LA.eigvals, LA.inv):
            for out in fg.tree.leaves(run(function)(nan)):
                assert np.isnan(np.asarray(out)).any()


def test_empty_matrices():
    none = np.zeros((0, 0))
    assert LA.det(none) == 1 and LA.inv(none).shape == (0, 0)
    assert LA.svdvals(np.zeros((0, 3))).shape == (0,) and LA.pinv(np.zeros((0, 3))).shape == (3, 0)
    assert LA.eigh(np.zeros((0, 2, 2)))[1].shape == (0, 2, 2)


SMOOTH = {
    "inv": (LA.inv, A),
    "inv, complex": (LA.inv, C),
    "det": (LA.det, A),
    "det of a singular matrix": (LA.det, LOW, 1),
    "slogdet": (lambda x: LA.slogdet(x)[1], C),
    "pinv": (LA.pinv, TALL),
    "pinv of the identity": (LA.pinv, np.eye(3)),
    "solve": (lambda x: LA.solve(x, x[:, :2] + 1), A),
    "lstsq": (lambda x: LA.lstsq(x, x[:, 0] ** 2)[0], TALL),
    "cholesky": (lambda x: LA.cholesky(x @ x.conj().T), C),
    "qr, complex": (lambda x: LA.qr(x)[1], C[:, :2]),
    "eigvalsh": (LA.eigvalsh, C),
    "projectors of eigh": (lambda x: (lambda v: v[:, :1] @ v[:, :1].conj().T)(LA.eigh(x)[1]), C),
    "projectors of svd": (lambda x: (lambda u: u[:, :1] @ u[:, :1].conj().T)(LA.svd(x)[0]), C),
    "eigvals": (LA.eigvals, A, 1),
    "nuclear norm": (lambda x: LA.norm(x, "nuc"), A),
    "expm": (SLA.expm, A / 8),
    "matrix_power": (lambda x: LA.matrix_power(x, -3), A),
}


@pytest.mark.parametrize("name", SMOOTH)
def test_derivatives(name):
    function, x, *order = SMOOTH[name]
    check_grads(function, (fnp.asarray(x),), order=(order or [2])[0], atol=2e-4, rtol=2e-4)


def test_cofactors_of_low_rank():
    np.testing.assert_allclose(np.asarray(fg.grad(LA.det)(np.ones((3, 3)))), 0, atol=1e-12)
    flat = np.diag([1.0, 2.0, 0.0])
    np.testing.assert_allclose(np.asarray(fg.grad(LA.det)(flat)), np.diag([0, 0, 2.0]), atol=1e-12)


@pytest.mark.parametrize("name", ["inv", "det", "svdvals", "cholesky", "eigvals", "pinv", "slogdet", "qr"])
def test_batches_are_loops(name):
    function = getattr(LA, name)
    x = positive(BATCH)
    have = fg.tree.leaves(fg.vmap(function, in_axes=1)(np.moveaxis(x, 0, 1)))
    rows = [fg.tree.leaves(function(m)) for m in x]
    for k, h in enumerate(have):
        np.testing.assert_allclose(np.asarray(h), np.stack([np.asarray(r[k]) for r in rows]), atol=1e-9)


def test_what_is_refused():
    for function in (LA.inv, LA.cholesky, LA.svd, LA.eigh, LA.qr, LA.det):
        with pytest.raises(ArgumentError, match="float32"):
            function(np.ones((2, 2), np.float16))
    for function in (LA.inv, LA.cholesky, LA.eigh, LA.eig, LA.det):
        with pytest.raises(ShapeError, match="square"):
            function(TALL)
    with pytest.raises(ArgumentError, match="mode"):
        LA.qr(A, "thin")
    with pytest.raises(NotDifferentiableError):
        fg.grad(lambda x: LA.svd(x)[0].sum())(TALL)


def test_integers_become_floats():
    assert LA.inv(np.array([[2, 0], [0, 4]])).dtype == np.float32
    assert LA.norm(np.array([3, 4])) == 5


def test_least_squares_of_a_matrix_of_zeros():
    wanted = np.linalg.lstsq(np.zeros((3, 2)), np.ones((3, 2)))
    for x, y in zip(fnp.linalg.lstsq(np.zeros((3, 2)), np.ones((3, 2)), numpy_resid=True), wanted):
        np.testing.assert_array_equal(x, y)

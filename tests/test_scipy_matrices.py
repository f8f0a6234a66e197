"""Special matrices, matrix functions and tridiagonal systems: against SciPy and finite differences."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.linalg

import funcgrad as fg
import funcgrad.numpy as jnp
from funcgrad.errors import ArgumentError, NotDifferentiableError, ShapeError
from funcgrad.scipy import linalg

RNG = np.random.default_rng(0)
FIVE, FOUR = RNG.standard_normal(5), RNG.standard_normal(4)
A = RNG.standard_normal((4, 4))
POSITIVE = A @ A.T + np.eye(4)


def close(got, want):
    np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("name", "args"),
    [
        ("toeplitz", (FIVE, FOUR)), ("hankel", (FIVE, FOUR)), ("hankel", (FIVE,)), ("circulant", (FIVE,)),
        ("companion", (FIVE,)), ("leslie", (FIVE, FOUR)), ("fiedler", (FIVE,)), ("dft", (5,)), ("dft", (4, "sqrtn")),
        ("hilbert", (4,)), ("invhilbert", (5,)), ("hadamard", (8,)), ("helmert", (5,)), ("helmert", (5, True)),
        ("pascal", (5,)), ("pascal", (5, "lower")), ("invpascal", (5,)), ("invpascal", (5, "upper")),
        ("convolution_matrix", (FIVE, 3)), ("convolution_matrix", (FIVE, 7, "same")),
        ("convolution_matrix", (FIVE, 3, "valid")),
    ],
)  # fmt: skip
def test_matrices_of_known_form(name, args):
    close(getattr(linalg, name)(*args), getattr(scipy.linalg, name)(*args))


@pytest.mark.parametrize("output", ["real", "complex"])
def test_schur_and_hessenberg_forms(output):
    t, z = fg.jit(lambda a: linalg.schur(a, output))(A)
    close(z @ t @ jnp.conj(z).T, A)
    close(np.tril(t, -2), 0)
    h, q = linalg.hessenberg(A, calc_q=True)
    close(q @ h @ q.T, A)
    t, z = linalg.rsf2csf(*linalg.schur(A))
    close(z @ t @ jnp.conj(z).T, A)
    close(np.tril(t, -1), 0)
    with pytest.raises(NotDifferentiableError):
        fg.jvp(lambda a: linalg.schur(a)[0], (A,), (A,))


def test_matrices_of_known_form_for_each_vector_of_a_batch():
    for make in (fg.scipy.linalg.toeplitz, fg.scipy.linalg.hankel, fg.scipy.linalg.circulant):
        columns = np.arange(6.0).reshape(2, 3)
        np.testing.assert_array_equal(make(columns), np.stack([make(c) for c in columns]))
    rows = np.arange(8.0).reshape(2, 1, 4)
    out = fg.scipy.linalg.toeplitz(columns, rows)
    assert out.shape == (2, 2, 3, 4)
    np.testing.assert_array_equal(out[1, 0], fg.scipy.linalg.toeplitz(columns[0], rows[1, 0]))


def test_square_roots_and_sylvester_equations_and_their_derivatives():
    root = linalg.sqrtm(POSITIVE)
    close(root @ root, POSITIVE)
    close(fg.vmap(linalg.sqrtm)(np.stack([POSITIVE, 4 * POSITIVE]))[1], 2 * root)

    def f(s):
        return jnp.real(linalg.sqrtm(POSITIVE + s * A @ A.T)).sum()

    close(fg.jvp(f, (0.5,), (1.0,))[1], (f(0.5 + 1e-4) - f(0.5 - 1e-4)) / 2e-4)
    B, C = RNG.standard_normal((3, 3)), RNG.standard_normal((4, 3))
    x = linalg.solve_sylvester(A, B, C)
    close(A @ x + x @ B, C)
    with pytest.raises(ShapeError, match="square matrix"):
        linalg.sqrtm(C)


@pytest.mark.parametrize("side", ["right", "left"])
def test_polar_decomposition(side):
    for matrix in (A, A[:3], A[:, :3]):
        for got, want in zip(linalg.polar(matrix, side), scipy.linalg.polar(matrix, side)):
            close(got, want)


def test_tridiagonal_matrices():
    values, vectors = linalg.eigh_tridiagonal(FIVE, FOUR)
    dense = np.diag(FIVE) + np.diag(FOUR, 1) + np.diag(FOUR, -1)
    close(dense @ vectors, vectors * values)
    close(
        linalg.eigh_tridiagonal(FIVE, FOUR, eigvals_only=True, select="i", select_range=(1, 2)), values[1:3]
    )

    low, middle, high = RNG.uniform(0.1, 1, (3, 2, 6))
    middle = middle + 3
    right = RNG.standard_normal((2, 6, 3))
    solve = fg.lax.linalg.tridiagonal_solve
    for got, a, b, c, d in zip(solve(low, middle, high, right), low, middle, high, right):
        close((np.diag(b) + np.diag(a[1:], -1) + np.diag(c[:-1], 1)) @ got, d)

    def total(m):
        return (solve(low, m, high, right) ** 2).sum()

    step = RNG.standard_normal(middle.shape)
    slope = (total(middle + 1e-5 * step) - total(middle - 1e-5 * step)) / 2e-5
    close((fg.grad(total)(middle) * step).sum(), slope)
    with pytest.raises(ShapeError, match="three diagonals"):
        solve(low, middle, high, right[:, :5])


def test_wrong_kinds_are_said():
    for call in (
        lambda: linalg.hadamard(6),
        lambda: linalg.pascal(3, "x"),
        lambda: linalg.dft(3, "x"),
        lambda: linalg.polar(A, "up"),
        lambda: linalg.schur(A, "x"),
        lambda: linalg.companion(FIVE[:1]),
        lambda: linalg.convolution_matrix(FIVE, 3, "x"),
    ):
        with pytest.raises(ArgumentError):
            call()


@pytest.mark.parametrize("lower", [False, True])
@pytest.mark.parametrize("assume_a", ["gen", "sym", "her", "pos"])
def test_solve_reads_one_half_of_what_is_symmetric(assume_a, lower):
    rng = np.random.default_rng(0)
    a = rng.standard_normal((4, 4)) + 1j * rng.standard_normal((4, 4))
    b = rng.standard_normal((4, 2))
    if assume_a == "sym":
        a = a + a.T
    elif assume_a != "gen":
        a = a @ a.conj().T + 4 * np.eye(4)
    if assume_a != "gen":
        a = np.tril(a) if lower else np.triu(a)
    wanted = scipy.linalg.solve(a, b, lower=lower, assume_a=assume_a)
    np.testing.assert_allclose(linalg.solve(a, b, lower=lower, assume_a=assume_a), wanted, atol=1e-12)

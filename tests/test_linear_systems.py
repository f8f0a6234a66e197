"""custom_linear_solve, custom_root and the iterative solvers: the derivative is that of the solution."""

from __future__ import annotations

import numpy as np
import pytest

import funcgrad as fg
import funcgrad.numpy as fnp
from funcgrad.errors import ArgumentError, NotDifferentiableError, ShapeError
from funcgrad.testing import check_grads

RNG = np.random.default_rng(0)
A = RNG.standard_normal((4, 4)) + 5 * np.eye(4)
S = A @ A.T
B = RNG.standard_normal(4)
ITERATIVE = fg.scipy.sparse.linalg


def opaque(x):
    return fg.lax.stop_gradient(x)


def solved(a, b):
    """By a solver that has no derivative of its own."""
    return fg.lax.custom_linear_solve(
        lambda x: a @ x,
        b,
        lambda matvec, y: fnp.linalg.solve(opaque(a), y),
        lambda vecmat, y: fnp.linalg.solve(opaque(a).T, y),
    )


def test_linear_solve_has_the_derivatives_of_the_system():
    a, b = fnp.asarray(A), fnp.asarray(B)
    for run in (solved, fg.jit(solved)):
        np.testing.assert_allclose(np.asarray(run(a, b)), np.linalg.solve(A, B), rtol=1e-12)
    check_grads(solved, (a, b), order=2)
    reference = fg.jacrev(fnp.linalg.solve, (0, 1))(a, b)
    for jacobian in (fg.jacrev, fg.jacfwd):
        for have, wanted in zip(jacobian(solved, (0, 1))(a, b), reference):
            np.testing.assert_allclose(np.asarray(have), np.asarray(wanted), atol=1e-12)


def test_linear_solve_in_batches():
    many = np.stack([A, A + 1, S])
    wanted = np.stack([np.linalg.solve(m, B) for m in many])
    np.testing.assert_allclose(np.asarray(fg.vmap(solved, (0, None))(many, B)), wanted, rtol=1e-11)
    np.testing.assert_allclose(
        np.asarray(fg.vmap(solved, (None, 1))(A, many[0])), np.linalg.solve(A, many[0]).T, rtol=1e-11
    )
    grads = fg.grad(lambda m: fg.vmap(solved, (0, None))(m, B).sum())(many)
    each = [np.asarray(fg.grad(lambda m: fnp.linalg.solve(m, B).sum())(m)) for m in many]
    np.testing.assert_allclose(np.asarray(grads), np.stack(each), atol=1e-11)


def test_linear_solve_says_what_is_wrong():
    with pytest.raises(ShapeError, match="matvec"):

        def matvec(x):
            return x[:2]

        fg.lax.custom_linear_solve(matvec, B, lambda m, b: b)
    with pytest.raises(NotDifferentiableError, match="transpose_solve"):
        fg.grad(lambda b: fg.lax.custom_linear_solve(lambda x: 2 * x, b, lambda m, b: b / 2).sum())(B)


def test_linear_solve_returns_what_the_solver_adds():
    def run(b):
        return fg.lax.custom_linear_solve(
            lambda x: 2 * x, b, lambda m, b: (b / 2, {"steps": 3}), symmetric=True, has_aux=True
        )

    x, aux = fg.jit(run)(B)
    np.testing.assert_allclose(np.asarray(x), B / 2)
    assert int(aux["steps"]) == 3
    np.testing.assert_allclose(np.asarray(fg.grad(lambda b: run(b)[0].sum())(B)), 0.5)


def cube_root(c):
    """By Newton's method in a while loop, which has no reverse mode."""

    def newton(f, x):
        return fg.lax.while_loop(lambda x: abs(f(x)) > 1e-13, lambda x: x - f(x) / fg.grad(f)(x), x)

    one = np.float64(1)
    return fg.lax.custom_root(lambda x: x**3 - c, one, newton, lambda g, y: y / g(one))


def test_roots_have_the_derivatives_of_the_implicit_function():
    c = fnp.asarray(8.0, "float64")
    assert abs(float(cube_root(c)) - 2) < 1e-12
    assert abs(float(fg.grad(cube_root)(c)) - 1 / 12) < 1e-12
    assert abs(float(fg.jit(fg.grad(fg.grad(cube_root)))(c)) + 2 / (9 * 32)) < 1e-12
    assert abs(float(fg.jacfwd(cube_root)(c)) - 1 / 12) < 1e-12
    many = np.array([1.0, 8.0, 27.0])
    np.testing.assert_allclose(
        np.asarray(fg.vmap(fg.grad(cube_root))(many)), 1 / (3 * np.array([1, 4, 9])), rtol=1e-11
    )


def test_roots_of_trees_with_solvers_that_close_over_traced_values():
    def run(a, b):
        return fg.lax.custom_root(
            lambda x: {"x": a @ x["x"] - b},
            {"x": fnp.zeros_like(b)},
            lambda f, x: ({"x": fnp.linalg.solve(opaque(a), opaque(b))}, 7),
            lambda g, y: {"x": fnp.linalg.solve(a, y["x"])},
            has_aux=True,
        )

    a, b = fnp.asarray(A), fnp.asarray(B)
    assert int(run(a, b)[1]) == 7
    have = fg.jit(fg.grad(lambda a, b: run(a, b)[0]["x"].sum(), (0, 1)))(a, b)
    wanted = fg.grad(lambda a, b: fnp.linalg.solve(a, b).sum(), (0, 1))(a, b)
    for h, w in zip(have, wanted):
        np.testing.assert_allclose(np.asarray(h), np.asarray(w), atol=1e-12)


@pytest.mark.parametrize("name", ["cg", "bicgstab", "gmres"])
def test_iterative_solvers(name):
    solver, matrix = getattr(ITERATIVE, name), S if name == "cg" else A

    def run(a, b, **options):
        return solver(lambda x: a @ x, b, tol=1e-13, **options)[0]

    wanted = np.linalg.solve(matrix, B)
    diagonal = np.diagonal(matrix)
    for options in ({}, {"M": lambda x: x / diagonal}, {"x0": fnp.asarray(wanted + 1)}):
        for f in (run, fg.jit(lambda a, b, o=options: run(a, b, **o))):
            given = options if f is run else {}
            np.testing.assert_allclose(np.asarray(f(matrix, B, **given)), wanted, atol=1e-9)
    have = fg.grad(lambda a, b: (run(a, b) ** 2).sum(), (0, 1))(fnp.asarray(matrix), fnp.asarray(B))
    exact = fg.grad(lambda a, b: (fnp.linalg.solve(a, b) ** 2).sum(), (0, 1))(
        fnp.asarray(matrix), fnp.asarray(B)
    )
    for h, w in zip(have, exact):
        np.testing.assert_allclose(np.asarray(h), np.asarray(w), atol=1e-8)
    columns = np.stack([B, 0 * B, 1e3 * B])  # one of them is solved at the start
    found = np.asarray(fg.vmap(lambda b: run(matrix, b))(columns))
    np.testing.assert_allclose(found, np.linalg.solve(matrix, columns.T).T, atol=1e-6)


def test_gmres_starts_again_and_takes_complex_trees():
    a = A + 1j * RNG.standard_normal((4, 4))
    x, info = ITERATIVE.gmres(lambda v: {"p": a @ v["p"]}, {"p": B + 0j}, tol=1e-12, restart=3, maxiter=200)
    assert info is None
    np.testing.assert_allclose(np.asarray(x["p"]), np.linalg.solve(a, B), atol=1e-10)


def test_iterative_solvers_refuse():
    with pytest.raises(ShapeError, match="square"):
        ITERATIVE.cg(A[:2], B)
    with pytest.raises(ShapeError, match="x0"):
        ITERATIVE.cg(A, B, x0=B[:2])
    with pytest.raises(ArgumentError, match="float"):
        ITERATIVE.cg(A, np.arange(4))
    with pytest.raises(ArgumentError, match="solve_method"):
        ITERATIVE.gmres(A, B, solve_method="fast")

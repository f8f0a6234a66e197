"""custom_linear_solve and custom_root: implicit derivatives against those of the closed forms."""

import numpy as np
import pytest

import funcgrad as fg
import funcgrad.numpy as jnp
from funcgrad.testing import check_grads

RNG = np.random.default_rng(0)
A, B = RNG.normal(size=(3, 3)) + 4 * np.eye(3), RNG.normal(size=3)


def jacobi(matvec, b):
    """A solver without a derivative of its own that is worth having."""
    diagonal = jnp.diag(fg.jacfwd(matvec)(b))
    return fg.lax.fori_loop(0, 200, lambda _, x: x + (b - matvec(x)) / diagonal, b / diagonal)


def solve(a, b):
    return fg.lax.custom_linear_solve(lambda x: a @ x, b, jacobi, jacobi)


@pytest.mark.parametrize("wrap", [lambda f: f, fg.jit])
def test_a_linear_system_solved_by_the_user(wrap):
    np.testing.assert_allclose(wrap(solve)(A, B), np.linalg.solve(A, B), atol=1e-8)
    for argnum in (0, 1):
        have = wrap(fg.grad(lambda a, b: (solve(a, b) ** 2).sum(), argnum))(A, B)
        want = fg.grad(lambda a, b: (jnp.linalg.solve(a, b) ** 2).sum(), argnum)(A, B)
        np.testing.assert_allclose(have, want, atol=1e-7)


def test_it_batches_and_has_forward_mode():
    bs = RNG.normal(size=(4, 3))
    np.testing.assert_allclose(fg.vmap(solve, (None, 0))(A, bs), np.linalg.solve(A, bs.T).T, atol=1e-8)
    check_grads(solve, (A, B), order=1, modes=("fwd", "rev"))


def test_reverse_mode_needs_the_transposed_solver():
    with pytest.raises(fg.errors.NotDifferentiableError, match="transpose_solve"):
        fg.grad(lambda b: fg.lax.custom_linear_solve(lambda x: A @ x, b, jacobi).sum())(B)


def test_what_does_not_give_a_vector_is_refused():
    with pytest.raises(fg.errors.ShapeError, match="square"):
        fg.lax.custom_linear_solve(lambda x: x[:2], B, jacobi)
    with pytest.raises(fg.errors.ArgumentError, match="structure"):
        fg.lax.custom_linear_solve(lambda x: (x, x), B, jacobi)


def newton(f, x):
    return fg.lax.while_loop(lambda x: jnp.abs(f(x)) > 1e-12, lambda x: x - f(x) / fg.grad(f)(x), x)


def test_a_root_has_the_derivative_of_the_implicit_function():
    def root(c):
        return fg.lax.custom_root(lambda x: x**3 - c, np.float64(1.0), newton, lambda g, y: y / g(1.0))

    c = np.float64(8.0)
    for f in (root, fg.jit(root)):
        np.testing.assert_allclose(f(c), 2.0)
        np.testing.assert_allclose(fg.grad(f)(c), 1 / 12)
        np.testing.assert_allclose(fg.grad(fg.grad(f))(c), -2 / 9 * 8.0 ** (-5 / 3))

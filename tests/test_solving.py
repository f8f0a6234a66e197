"""Minimisation and differential equations: known solutions, SciPy's, and finite differences."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.integrate

import funcgrad as fg
import funcgrad.numpy as jnp
from funcgrad.errors import ArgumentError
from funcgrad.experimental.ode import odeint
from funcgrad.scipy.optimize import minimize

RNG = np.random.default_rng(0)


def rosenbrock(x):
    return (100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2).sum()


def himmelblau(x):
    return (x[0] ** 2 + x[1] - 11) ** 2 + (x[0] + x[1] ** 2 - 7) ** 2


@pytest.mark.parametrize(
    ("f", "start", "minimum"),
    [
        (rosenbrock, [-1.2, 1.0], [1, 1]),
        (rosenbrock, [2.0] * 6, [1] * 6),
        (himmelblau, [0.0, 0.0], [3, 2]),
        (himmelblau, [-3.0, 2.0], [-2.805118, 3.131312]),
        (lambda x: (x**2).sum(), [0.0, 0.0], [0, 0]),
    ],
)
def test_minima(f, start, minimum):
    for transform in (lambda g: g, fg.jit):
        found = transform(lambda x: minimize(f, x, method="BFGS"))(np.array(start))
        assert found.success and found.status == 0
        np.testing.assert_allclose(found.x, minimum, atol=1e-5)
        np.testing.assert_allclose(found.fun, 0, atol=1e-8)
        assert np.abs(found.jac).max() < 1e-5


def test_minimisation_of_several_with_arguments_and_limits():
    starts = RNG.standard_normal((5, 3))
    many = fg.vmap(lambda x: minimize(rosenbrock, x, method="BFGS"))(starts)
    np.testing.assert_allclose(many.x, np.ones((5, 3)), atol=1e-4)
    shifted = minimize(lambda x, a, b: ((x - a) ** 2 * b).sum(), np.zeros(2), (3.0, 2.0), method="bfgs")
    np.testing.assert_allclose(shifted.x, [3, 3], atol=1e-5)
    short = minimize(rosenbrock, np.array([-1.2, 1.0]), method="BFGS", options={"maxiter": 2})
    assert (int(short.nit), int(short.status), bool(short.success)) == (2, 1, False)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"x0": np.zeros(2), "method": "newton"}, "no method 'newton'"),
        ({"x0": np.zeros((2, 2)), "method": "BFGS"}, "vector of floats"),
        ({"x0": np.zeros(2), "method": "BFGS", "options": {"tol": 1}}, "no options"),
        ({"x0": np.zeros(2), "method": "BFGS", "args": 3}, "args is a tuple"),
    ],
)
def test_wrong_minimisations_are_said(options, words):
    with pytest.raises(ArgumentError, match=words):
        minimize(rosenbrock, **options)


# ------------------------------------------------------------------------------------ differential equations
TIMES = np.linspace(0, 10, 21)


def predators(y, t, a, b):
    return jnp.stack([a * y[0] - b * y[0] * y[1], -y[1] + b * y[0] * y[1]])


def test_solutions_are_those_of_scipy():
    want = scipy.integrate.solve_ivp(
        lambda t, y: np.array([1.1 * y[0] - 0.7 * y[0] * y[1], -y[1] + 0.7 * y[0] * y[1]]),
        (0, 10), [2.0, 1.0], t_eval=TIMES, rtol=1e-10, atol=1e-10,
    ).y.T  # fmt: skip
    start = np.array([2.0, 1.0])
    for transform in (lambda g: g, fg.jit):
        got = transform(lambda y, a: odeint(predators, y, TIMES, a, 0.7))(start, np.float64(1.1))
        np.testing.assert_allclose(got, want, atol=1e-6)
    batch = fg.vmap(lambda a: odeint(predators, start, TIMES, a, 0.7))(np.array([1.0, 1.1]))
    np.testing.assert_allclose(batch[1], want, atol=1e-6)


def test_derivatives_with_respect_to_parameters_starts_and_times():
    def end(a, y, t):
        return odeint(predators, y, jnp.stack([jnp.zeros_like(t), t]), a, 0.7)[-1, 0]

    args = (np.float64(1.1), np.array([2.0, 1.0]), np.float64(3.0))
    gradients = fg.jit(fg.grad(end, (0, 1, 2)))(*args)
    for k, step in enumerate((1.0, np.array([1.0, 0.0]), 1.0)):
        moved = [[a + s * 1e-5 * step if i == k else a for i, a in enumerate(args)] for s in (1, -1)]
        slope = (end(*moved[0]) - end(*moved[1])) / 2e-5
        np.testing.assert_allclose(np.sum(gradients[k] * step), slope, rtol=1e-4)
    pushed = fg.jvp(lambda a: end(a, *args[1:]), (args[0],), (np.float64(1),))[1]
    np.testing.assert_allclose(pushed, gradients[0], rtol=1e-6)


def test_trees_backwards_in_time_and_one_time():
    state = {"position": 1.0, "velocity": jnp.zeros(2)}
    found = odeint(
        lambda y, t: {"position": y["velocity"].sum(), "velocity": jnp.ones(2)},
        state,
        jnp.array([0.0, 1.0, 2.0]),
    )
    np.testing.assert_allclose(found["position"], [1, 2, 5], rtol=1e-5)
    back = odeint(lambda y, t: -y, np.float64(1), np.array([2.0, 1.0, 0.0]))
    np.testing.assert_allclose(back, np.exp([0, 1, 2]), rtol=1e-6)
    np.testing.assert_array_equal(odeint(lambda y, t: y, 1.0, jnp.zeros(1)), [1.0])
    with pytest.raises(ArgumentError, match="a tree like y0"):
        odeint(lambda y, t: y[:1], jnp.ones(2), TIMES)
    with pytest.raises(ArgumentError, match="vector of times"):
        odeint(lambda y, t: y, jnp.ones(2), 1.0)

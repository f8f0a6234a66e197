"""Derivative rules that close over traced values: under vmap, jit and both, differentiated inside and outside."""

# ruff: noqa: E731 - small functions by name read best as lambdas here

from __future__ import annotations

import functools

import numpy as np
import pytest

import funcgrad as fg
import funcgrad.numpy as jnp
from funcgrad.errors import NotDifferentiableError

X, Y = np.array([1.0, 2.0, 3.0]), np.array([5.0, 6.0, 7.0])


@pytest.fixture(autouse=True)
def verified():
    with fg.config.using(verify=True, default_float="float64"):
        yield


def vjp_both(y):
    f = fg.custom_vjp(lambda x: x * y)
    f.defvjp(lambda x: (x * y, (x, None)), lambda residuals, ct: (ct * 10.0 * y,))
    return f


def vjp_rule_only(y):
    f = fg.custom_vjp(lambda x: x * 2)
    f.defvjp(lambda x: (x * 2, x), lambda x, ct: (ct * 10.0 * y,))
    return f


def vjp_forward_only(y):
    f = fg.custom_vjp(lambda x: x * 2)
    f.defvjp(lambda x: (x * 2, 10.0 * y), lambda residual, ct: (ct * residual,))
    return f


def vjp_in_a_partial(y):
    f = fg.custom_vjp(lambda x: x * 2)
    f.defvjp(lambda x: (x * 2, x), functools.partial(lambda y, x, ct: (ct * 10.0 * y["y"],), {"y": y}))
    return f


def jvp_both(y):
    f = fg.custom_jvp(lambda x: x * y)
    f.defjvp(lambda primals, tangents: (f(*primals), tangents[0] * 10.0 * y))
    return f


def jvp_rule_only(y):
    f = fg.custom_jvp(lambda x: x * 2)
    f.defjvp(lambda primals, tangents: (primals[0] * 2, tangents[0] * 10.0 * y))
    return f


def jvp_symbolic(y):
    f = fg.custom_jvp(lambda x: x * 2)
    f.defjvp(lambda primals, tangents: (primals[0] * 2, tangents[0] * 10.0 * y), symbolic_zeros=True)
    return f


KINDS = [vjp_both, vjp_rule_only, vjp_forward_only, vjp_in_a_partial, jvp_both, jvp_rule_only, jvp_symbolic]


@pytest.mark.parametrize("kind", KINDS, ids=lambda f: f.__name__)
def test_the_rule_sees_its_own_example_of_what_it_closes_over(kind):
    f = lambda x, y: kind(y)(x)
    over = fg.vmap(f)
    total = lambda x: over(x, Y).sum()
    close = lambda a, b: np.testing.assert_allclose(a, b)
    values = np.array([f(x, y) for x, y in zip(X, Y)])
    close(over(X, Y), values)
    close(fg.jit(over)(X, Y), values)
    for gradient in (
        fg.vmap(fg.grad(f)),
        fg.jit(fg.vmap(fg.grad(f))),
        lambda x, y: fg.grad(total)(x),
        fg.jit(lambda x, y: fg.grad(lambda x: over(x, y).sum())(x)),
        lambda x, y: fg.grad(fg.jit(total))(x),
        lambda x, y: fg.grad(lambda x: fg.jit(over)(x, y).sum())(x),
        fg.vmap(lambda x, y: fg.grad(fg.jit(lambda x: f(x, y)))(x)),
        lambda x, y: fg.jvp(lambda x: over(x, y), (x,), (np.ones(3),))[1],
    ):
        close(gradient(X, Y), 10 * Y)
    shared = fg.vmap(f, (None, 0))
    close(fg.grad(lambda x: shared(x, Y).sum())(2.0), 180.0)
    close(fg.jit(fg.grad(lambda x: shared(x, Y).sum()))(2.0), 180.0)
    twice = fg.vmap(fg.vmap(f, (0, None)), (None, 0))
    close(fg.grad(lambda x: twice(x, Y).sum())(X), np.full(3, 180.0))
    rows = lambda x: fg.lax.scan(lambda c, xy: (c + kind(xy[1])(xy[0]), None), 0.0, (x, Y))[0]
    close(fg.grad(rows)(X), 10 * Y)


@pytest.mark.parametrize("kind", [vjp_both, vjp_rule_only, jvp_both], ids=lambda f: f.__name__)
def test_what_a_rule_closes_over_has_no_derivative(kind):
    for over in (fg.vmap(lambda x, y: kind(y)(x)), fg.jit(lambda x, y: kind(y)(x))):
        with pytest.raises(NotDifferentiableError, match="closes over a value that is being differentiated"):
            fg.grad(lambda y, over=over: over(X, y).sum())(Y)


def test_second_derivatives_of_a_rule_that_closes_over_a_batch():
    def f(x, y):
        g = fg.custom_jvp(lambda x: x**3)
        g.defjvp(lambda primals, tangents: (primals[0] ** 3, tangents[0] * y * primals[0] ** 2))
        return g(x)

    inside = fg.vmap(fg.grad(fg.grad(f)))(X, Y)
    np.testing.assert_allclose(inside, 2 * X * Y)
    first = lambda x: fg.grad(lambda x: fg.vmap(f)(x, Y).sum())(x).sum()
    np.testing.assert_allclose(fg.grad(first)(X), 2 * X * Y)


MATRIX = np.arange(9.0, dtype=np.float32).reshape(3, 3)


@fg.custom_vjp
def transformed(x):
    return MATRIX @ jnp.asarray(x)


transformed.defvjp(lambda x: (transformed(x), None), lambda _, ct: (MATRIX.T @ ct,))


@pytest.mark.parametrize(
    "derivative",
    [
        fg.jit(lambda x: fg.jvp(transformed, (x,), (x,))[1]),
        lambda x: fg.jvp(fg.jit(transformed), (x,), (x,))[1],
        fg.jit(lambda x: fg.linearize(transformed, x)[1](x)),
        fg.jit(
            lambda x: fg.jvp(
                lambda x: fg.lax.scan(lambda c, _: (transformed(c), None), x, None, 1)[0], (x,), (x,)
            )[1]
        ),
        lambda x: fg.jit(fg.vmap(lambda x: fg.jvp(transformed, (x,), (x,))[1]))(x[None])[0],
    ],
)
def test_a_backward_function_over_an_array_run_forward_in_a_graph(derivative):
    x = jnp.ones(3)
    np.testing.assert_allclose(derivative(x), MATRIX @ np.ones(3), rtol=1e-6)

"""custom_vmap and sequential_vmap: when the rule is used, what it is given, how it goes with other transforms."""

from __future__ import annotations

import numpy as np
import pytest

import funcgrad as fg
import funcgrad.numpy as jnp
from funcgrad.custom_batching import custom_vmap, sequential_vmap
from funcgrad.errors import ArgumentError, ShapeError
from funcgrad.testing import check_grads

X = np.array([0.3, -1.2, 2.0])


def close(actual, expected):
    for a, e in zip(fg.tree.leaves(actual), fg.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(np.asarray(a), np.asarray(e), rtol=1e-6, atol=1e-12)


def product(calls, factor=1.0):
    """sin(x) * y, whose rule multiplies by `factor` so that it shows."""

    @custom_vmap
    def f(x, y):
        return jnp.sin(x) * y

    @f.def_vmap
    def rule(axis_size, in_batched, x, y):
        calls.append((axis_size, in_batched, jnp.shape(x), jnp.shape(y)))
        return factor * jnp.sin(x) * y, True

    return f


@pytest.mark.parametrize("wrap", [lambda f: f, fg.jit], ids=["plain", "jit"])
def test_the_rule_replaces_the_batching(wrap):
    calls = []
    f = product(calls, 10.0)
    close(wrap(f)(X, 2.0), 2 * np.sin(X))
    assert not calls
    close(wrap(fg.vmap(f, (0, None)))(X, 2.0), 20 * np.sin(X))
    assert calls == [(3, [True, False], (3,), ())]
    close(wrap(fg.vmap(f))(X, X), 10 * np.sin(X) * X)
    close(wrap(fg.vmap(f, (1, None)))(np.stack([X, X], 1), 2.0), 20 * np.sin(np.stack([X, X])))
    assert calls[-1] == (2, [True, False], (2, 3), ())
    close(wrap(fg.vmap(lambda x: f(x, y=2.0)))(X), 20 * np.sin(X))
    close(wrap(fg.vmap(lambda x: f(1.0, 2.0) + x))(X), 2 * np.sin(1.0) + X)
    close(wrap(fg.vmap(fg.jit(f), (0, None)))(X, 2.0), 20 * np.sin(X))


def test_nested_batches_use_the_rule_once_for_each():
    calls = []
    f = product(calls, 10.0)
    close(fg.vmap(fg.vmap(f, (0, None)), (None, 0))(X, X), 10 * np.sin(X) * X[:, None])
    assert len(calls) == 1  # the outer batch is that of what the rule of the inner one does


def test_trees_and_outputs_that_are_not_batched():
    @custom_vmap
    def f(p, n):
        return {"a": p["x"] * n, "b": (n, p["x"])}

    @f.def_vmap
    def rule(axis_size, in_batched, p, n):
        assert in_batched == [{"x": True, "y": False}, False]
        return {"a": p["x"] * n, "b": (n, p["x"])}, {"a": True, "b": (False, True)}

    out = fg.vmap(f, ({"x": 0, "y": None}, None))({"x": X, "y": 1.0}, 3)
    close(out, {"a": 3 * X, "b": (np.full(3, 3), X)})
    with pytest.raises(Exception, match="out_axes"):
        fg.vmap(f, ({"x": 0, "y": None}, None), {"a": None, "b": (None, 0)})({"x": X, "y": 1.0}, 3)


def test_derivatives_of_the_function_and_of_the_rule():
    calls = []
    f = product(calls)
    slope = 2 * np.cos(X)
    close(fg.grad(lambda x: jnp.sum(f(x, 2.0)))(X), slope)
    close(fg.grad(f, 1)(0.5, 2.0), np.sin(0.5))
    assert not calls
    batched = lambda x: fg.vmap(f, (0, None))(x, 2.0)  # noqa: E731
    close(fg.jvp(batched, (X,), (np.ones(3),))[1], slope)
    close(fg.grad(lambda x: jnp.sum(batched(x)))(X), slope)
    assert len(calls) == 2
    close(fg.vmap(lambda x: fg.jvp(lambda x: f(x, 2.0), (x,), (1.0,))[1])(X), slope)
    assert len(calls) == 3
    close(
        fg.vmap(lambda x, t: fg.jvp(f, (np.float64(1), x), (t, np.float64(0)))[1])(X, X), np.cos(1.0) * X * X
    )
    close(fg.vmap(fg.grad(f), (0, None))(X, 2.0), slope)
    close(fg.jit(fg.vmap(fg.grad(fg.grad(f)), (0, None)))(X, 2.0), -2 * np.sin(X))
    close(fg.hessian(lambda x: jnp.sum(batched(x)))(X), np.diag(-2 * np.sin(X)))
    check_grads(batched, (X,), order=2)


def test_the_derivative_of_a_batch_is_that_of_the_rule():
    f = product([], 10.0)
    close(fg.grad(lambda x: jnp.sum(fg.vmap(f, (0, None))(x, 2.0)))(X), 20 * np.cos(X))
    close(fg.vmap(lambda x: fg.jvp(lambda x: f(x, 2.0), (x,), (1.0,))[1])(X), 20 * np.cos(X))


def test_it_stands_in_loops_branches_and_custom_rules():
    f = product([], 10.0)
    looped = lambda x: fg.lax.fori_loop(0, 2, lambda _, c: f(c, 2.0), x)  # noqa: E731
    close(looped(X), 2 * np.sin(2 * np.sin(X)))
    close(fg.vmap(looped)(X), 20 * np.sin(20 * np.sin(X)))
    one = product([])  # a branch may run for each element by itself, where there is nothing to batch
    branch = fg.vmap(lambda x: fg.lax.cond(x > 0, lambda x: one(x, 2.0), jnp.cos, x))
    close(branch(X), np.where(X > 0, 2 * np.sin(X), np.cos(X)))
    g = fg.custom_vjp(lambda x: f(x, 2.0))
    g.defvjp(lambda x: (g(x), x), lambda x, ct: (f(ct, x),))
    close(fg.vmap(fg.grad(g))(X), 10 * np.sin(1.0) * X)


def test_closed_over_values():
    def outer(y, x):
        f = custom_vmap(lambda x: x * y)
        f.def_vmap(lambda n, batched, x: (x * y * 10, True))
        return f(x)

    close(fg.vmap(outer, (None, 0))(2.0, X), 20 * X)
    close(fg.grad(outer)(2.0, 3.0), 3.0)
    with pytest.raises(ArgumentError, match="closes over a value that vmap batches"):
        fg.vmap(outer)(X, X)


@pytest.mark.parametrize("wrap", [lambda f: f, fg.jit], ids=["plain", "jit"])
def test_sequential_vmap_runs_one_example_at_a_time(wrap):
    shapes = []

    @sequential_vmap
    def f(x, p):
        shapes.append(jnp.shape(x))
        return {"out": jnp.sum(x) * p["a"]}

    x = np.arange(6.0).reshape(3, 2)
    close(wrap(fg.vmap(f, (0, None)))(x, {"a": 2.0})["out"], 2 * x.sum(1))
    close(wrap(fg.vmap(f))(x, {"a": X})["out"], X * x.sum(1))
    assert set(shapes) == {(2,)}
    close(wrap(fg.vmap(fg.vmap(f, (None, 0)), (0, None)))(x, {"a": X})["out"], X * x.sum(1)[:, None])
    close(wrap(fg.grad(lambda x: jnp.sum(fg.vmap(f)(x, {"a": X})["out"])))(x), np.repeat(X[:, None], 2, 1))


def rule_that_gives(result):
    f = custom_vmap(lambda x: x)
    f.def_vmap(lambda n, batched, x: result(x))
    return f


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: custom_vmap(3), ArgumentError, "takes a function"),
        (lambda: custom_vmap(lambda x: x)(X), ArgumentError, "no rule yet"),
        (lambda: rule_that_gives(lambda x: x), ArgumentError, r"\(output, out_batched\)"),
        (lambda: rule_that_gives(lambda x: ((x, x), True)), ArgumentError, "structure"),
        (lambda: rule_that_gives(lambda x: (x, (True, True))), ArgumentError, "out_batched of structure"),
        (lambda: rule_that_gives(lambda x: (x[0], True)), ShapeError, "size 3"),
        (lambda: custom_vmap(lambda x, *, k: x)(X, k=1), ArgumentError, "no rule yet"),
    ],
)
def test_wrong_rules_are_refused_in_words(make, error, words):
    with pytest.raises(error, match=words):
        fg.vmap(make())(X)


def test_a_derivative_rule_around_a_batching_rule():
    @fg.custom_vjp
    @fg.custom_batching.custom_vmap
    def f(x, y):
        return jnp.sin(x) * y

    @f.def_vmap
    def rule(axis_size, in_batched, xs, ys):
        return jnp.cos(xs) * ys, True

    f.defvjp(lambda x, y: (f(x, y), (x, y)), lambda kept, g: (g * 5, g * 7))
    np.testing.assert_array_equal(fg.vmap(f)(jnp.zeros(3), jnp.ones(3)), np.ones(3))
    assert fg.grad(f)(0.0, 1.0) == 5
    with pytest.raises(AttributeError, match="def_batch"):
        f.def_batch()

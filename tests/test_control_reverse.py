"""Reverse mode through loops whose number of steps is data, against the same loops in Python."""

# ruff: noqa: E731 - small functions by name read best as lambdas here

from __future__ import annotations

import numpy as np
import pytest

import funcgrad as fg
import funcgrad.numpy as jnp
from funcgrad import lax
from funcgrad.ir.primitive import PRIMITIVES
from funcgrad.ir.text import format_graph, parse_graph
from funcgrad.prims.control_pull import interpret_while_transpose

RNG = np.random.default_rng(0)
W = 0.5 * RNG.standard_normal((3, 3))
H = RNG.standard_normal(3)
XS = RNG.standard_normal((6, 3))


@pytest.fixture(autouse=True)
def verified():
    with fg.config.using(verify=True, default_float="float64"):
        yield


def close(a, b, tolerance=1e-9):
    fg.tree.map(lambda x, y: np.testing.assert_allclose(x, y, tolerance, tolerance), a, b)


def power(x, n):
    """A loop whose condition depends on a counter."""
    return lax.while_loop(lambda v: v[0] < n, lambda v: (v[0] + 1, v[1] * jnp.sin(x * v[1])), (0, 1.3))[1]


def power_in_python(x, n):
    value = 1.3
    for _ in range(int(n)):
        value = value * jnp.sin(x * value)
    return value


def rnn(w, h, xs, n):
    """Constants, slices by a traced index, carries that change places, and a carry without a derivative."""

    def body(i, carry):
        a, b, count = carry
        return jnp.sin(w @ b + xs[i % 6]) * a.sum(), a, count + i

    a, b, _ = lax.fori_loop(0, n, body, (h, 2 * h, 0))
    return (a * b).sum()


def rnn_in_python(w, h, xs, n):
    a, b = h, 2 * h
    for i in range(n):
        a, b = jnp.sin(w @ b + xs[i % 6]) * a.sum(), a
    return (a * b).sum()


@pytest.mark.parametrize("n", [0, 1, 2, 7])
def test_gradients_are_those_of_the_loop_in_python(n):
    expected = fg.grad(rnn_in_python, (0, 1, 2))(W, H, XS, n)
    traced = lambda *a: fg.jit(rnn)(*a)
    for gradient in (fg.grad(traced, (0, 1, 2)), fg.jit(fg.grad(rnn, (0, 1, 2)))):
        close(gradient(W, H, XS, n), expected)
    close(fg.grad(power)(0.7, n), fg.grad(power_in_python)(0.7, n))


@pytest.mark.parametrize(
    "order",
    [
        lambda f: fg.jacfwd(fg.grad(f)),
        lambda f: fg.grad(fg.grad(f)),
        lambda f: fg.grad(fg.jacfwd(f)),
        lambda f: fg.grad(fg.grad(fg.grad(f))),
    ],
)
def test_derivatives_of_derivatives_in_any_mode(order):
    expected = order(power_in_python)(0.7, 4)
    close(order(power)(0.7, 4), expected)
    close(fg.jit(order(power))(0.7, 4), expected)


def test_hessians_of_constants_and_carries():
    n = 4
    for wrt in (0, 1):
        expected = fg.hessian(rnn_in_python, wrt)(W, H, XS, n)
        close(fg.jit(fg.hessian(rnn, wrt))(W, H, XS, n), expected)
        close(fg.jit(fg.jacrev(fg.grad(rnn, wrt), wrt))(W, H, XS, n), expected)


def test_batches_of_gradients_and_gradients_of_batches():
    x, n = np.array([0.3, 0.7, 1.1]), np.array([3, 0, 5])
    expected = [fg.grad(power_in_python)(a, b) for a, b in zip(x, n)]
    close(list(fg.vmap(fg.grad(power))(x, n)), expected)
    close(list(fg.jit(fg.vmap(fg.grad(power)))(x, n)), expected)
    close(list(fg.grad(lambda x: fg.vmap(power)(x, n).sum())(x)), expected)
    close(list(fg.vmap(fg.grad(power), (0, None))(x, 3)), [fg.grad(power_in_python)(a, 3) for a in x])
    second = [fg.grad(fg.grad(power_in_python))(a, b) for a, b in zip(x, n)]
    close(list(fg.vmap(fg.grad(fg.grad(power)))(x, n)), second)
    together = fg.grad(lambda w: fg.vmap(lambda h: fg.jit(rnn)(w, h, XS, 3))(XS).sum())(W)
    close(together, sum(fg.grad(rnn_in_python)(W, h, XS, 3) for h in XS))


def test_a_condition_on_values_and_a_loop_inside_of_others():
    newton = lambda a: lax.while_loop(lambda x: jnp.abs(x * x - a) > 1e-12, lambda x: 0.5 * (x + a / x), a)
    for gradient in (fg.grad(newton), fg.jit(fg.grad(newton))):
        close(gradient(2.0), 0.5 / np.sqrt(2.0))

    def nested(x, n):
        outer = lambda v: (v[0] + 1, power(v[1] * x, v[0]) + v[1])
        return lax.while_loop(lambda v: v[0] < n, outer, (1, x))[1]

    def nested_in_python(x, n):
        value = x
        for i in range(1, n):
            value = power_in_python(value * x, i) + value
        return value

    close(fg.jit(fg.grad(nested))(0.8, 5), fg.grad(nested_in_python)(0.8, 5))
    scanned = lambda x: lax.scan(lambda c, n: (power(c, n) + x, None), x, np.array([2, 0, 3]))[0]
    unrolled = lambda x: power_in_python(power_in_python(power_in_python(x, 2) + x, 0) + x, 3) + x
    close(fg.jit(fg.grad(scanned))(0.8), fg.grad(unrolled)(0.8))
    chosen = lambda x, p: lax.cond(p, lambda x: power(x, 3), lambda x: x, x)
    close(fg.jit(fg.grad(chosen))(0.8, True), fg.grad(power_in_python)(0.8, 3))
    close(fg.grad(fg.checkpoint(lambda x: power(x, 3)))(0.8), fg.grad(power_in_python)(0.8, 3))


def test_a_pullback_may_be_called_again_and_with_what_it_does_not_need():
    value, pull = fg.vjp(
        lambda x: lax.while_loop(lambda v: v[0] < 3, lambda v: (v[0] + 1, v[1] * x), (0, x)), 2.0
    )
    close(value[1], 16.0)
    zero = np.zeros((), fg.dtypes.float0)
    close(pull((zero, 1.0)), (32.0,))
    close(pull((zero, 2.0)), (64.0,))


def test_ten_thousand_steps_and_a_tape_that_grows():
    f = lambda x, n: lax.while_loop(lambda v: v[0] < n, lambda v: (v[0] + 1, jnp.sin(v[1]) + x), (0, x))[
        1
    ].sum()
    x = RNG.standard_normal(50)
    gradient = fg.jit(fg.grad(f))
    close(gradient(x, 10_000), fg.grad(lambda x: f_scan(x, 10_000))(x))
    close(gradient(x, 3), fg.grad(lambda x: f_scan(x, 3))(x))


def f_scan(x, n):
    return lax.scan(lambda c, _: (jnp.sin(c) + x, None), x, None, n)[0].sum()


@pytest.mark.parametrize("number", [0, 1])
def test_samples_compiled_against_numpy_and_text(number):
    primitive = PRIMITIVES["while_transpose"]
    sample = list(primitive.samples())[number]
    arrays = [d(np.random.default_rng(1)) if callable(d) else d for d in sample.operands]
    compiled = primitive.evaluate(np, *arrays, **sample.params)
    close(list(compiled), list(interpret_while_transpose(*arrays, **sample.params)), 1e-6)


def test_the_graph_prints_and_parses():
    graph = fg.jit(fg.grad(power)).trace(0.7, 4).graph
    text = format_graph(graph, sources=False)
    assert "while_transpose" in text
    assert format_graph(parse_graph(text), sources=False) == text

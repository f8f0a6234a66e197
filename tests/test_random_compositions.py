"""Random nests of loops, branches, transforms and rules over small bodies: compiled, differentiated and batched as
they evaluate operation by operation.

A seed gives a function of three numbers, and its description; `pytest -m sweep` runs many seeds, and deeper nests.
"""

# ruff: noqa: E731 - small functions by name read best as lambdas here

from __future__ import annotations

import numpy as np
import pytest

import funcgrad as fg
import funcgrad.numpy as jnp
from funcgrad import lax

SIZE = 3
POINTS = np.random.default_rng(0).uniform(-1, 1, (4, SIZE))


class Nest:
    """Random functions from three numbers to three, of at most `depth` levels and `orders` derivatives inside each
    other. `words` says what was made, as an expression."""

    def __init__(self, seed: int, depth: int, orders: int = 2):
        self.rng = np.random.default_rng(seed)
        self.function, self.words = self.make(depth, orders)

    def make(self, depth, orders):
        if depth == 0:
            return self.leaf()
        kinds = [k for k in KINDS if orders or k not in DERIVATIVES]
        kind = kinds[self.rng.integers(len(kinds))]
        left = orders - (kind in DERIVATIVES)
        inner = lambda: self.make(depth - 1 if self.rng.random() < 0.8 else 0, left)
        function, words = getattr(self, kind)(inner)
        return (lambda x: jnp.tanh(function(x))), words

    def leaf(self):
        c = float(self.rng.uniform(0.3, 1.2))
        weights = jnp.asarray(self.rng.uniform(-0.7, 0.7, (SIZE, SIZE)))
        return [
            (lambda x: jnp.sin(c * x) + 0.1, "sine"),
            (lambda x: x * jnp.roll(x, 1) + c * x, "roll"),
            (lambda x: weights @ x, "matrix"),
            (lambda x: jnp.where(x > 0.1, x * x, -c * x), "where"),
            (lambda x: jnp.cumsum(x) * 0.5, "cumsum"),
            (lambda x: x / (1 + x * x) - c * x[::-1], "quotient"),
            (lambda x: x.at[jnp.argmax(x)].multiply(c), "at"),
            (lambda x: jnp.full(SIZE, 0.5) * x.sum(), "sum"),
            (lambda x: x, "same"),
            (lambda x: jnp.array([0.3, -0.2, 0.1]), "constant"),
        ][self.rng.integers(10)]

    def number(self, low, high):
        return int(self.rng.integers(low, high))

    # every kind takes `inner`, which makes a function and its words, and gives both of the whole

    def then(self, inner):
        (f, a), (g, b) = inner(), inner()
        return (lambda x: g(f(x))), f"then({a}, {b})"

    def plus(self, inner):
        (f, a), (g, b) = inner(), inner()
        return (lambda x: f(x) * g(x) + 0.5 * f(x)), f"plus({a}, {b})"

    def jit(self, inner):
        f, a = inner()
        return fg.jit(f), f"jit({a})"

    def remat(self, inner):
        f, a = inner()
        policy = [None, fg.checkpoint_policies.dots_saveable][self.number(0, 2)]
        return fg.checkpoint(f, policy=policy), f"checkpoint({a})"

    def scan(self, inner):
        (f, a), (g, b) = inner(), inner()
        length, reverse = self.number(0, 4), bool(self.number(0, 2))
        xs = jnp.asarray(self.rng.uniform(-1, 1, (length, SIZE)))

        def whole(x):
            step = lambda c, v: (f(c + 0.1 * v), g(c) * v)
            last, ys = lax.scan(step, x, xs * x[0], reverse=reverse)
            return last + ys.sum(0)

        return whole, f"scan[{length}, {reverse}]({a}, {b})"

    def scan_in_blocks(self, inner):
        f, a = inner()
        return (
            lambda x: lax.scan(lambda c, _: (f(c), None), x, None, length=5, checkpoint=2)[0]
        ), f"blocks({a})"

    def fori(self, inner):
        f, a = inner()
        checkpoint = [None, 2, "2KB"][self.number(0, 3)]

        def whole(x):
            count = jnp.where(x[0] > 0, 3, 1) if checkpoint != 2 else 4
            return lax.fori_loop(0, count, lambda i, c: f(c) + 0.1 * i * x, x, checkpoint=checkpoint)

        return whole, f"fori[{checkpoint}]({a})"

    def loop(self, inner):
        f, a = inner()

        def whole(x):
            going = lambda s: (s[0] < 4) & (s[1].sum() < 1.0)
            return lax.while_loop(going, lambda s: (s[0] + 1, f(s[1]) + 0.3), (0, x))[1]

        return whole, f"while({a})"

    def cond(self, inner):
        (f, a), (g, b) = inner(), inner()
        return (lambda x: lax.cond(x[1] > 0.05, f, g, x)), f"cond({a}, {b})"

    def python_if(self, inner):
        (f, a), (g, b) = inner(), inner()

        def whole(x):
            if x[2] > -0.1:
                return f(x)
            return g(x) * 0.5

        return whole, f"if({a}, {b})"

    def switch(self, inner):
        (f, a), (g, b) = inner(), inner()
        return (lambda x: lax.switch((x[0] * 3).astype("int32"), [f, g, lambda x: x], x)), f"switch({a}, {b})"

    def vmap(self, inner):
        f, a = inner()
        how = ["auto", "each", "select"][self.number(0, 3)]
        axis = self.number(0, 2)

        def whole(x):
            many = jnp.stack([x, -x, 0.5 * x + 0.2, x[::-1]], axis)
            return fg.vmap(f, in_axes=axis, out_axes=axis, branching=how)(many).sum(axis) * 0.3

        return whole, f"vmap[{how}, {axis}]({a})"

    def mapped(self, inner):
        f, a = inner()
        return (lambda x: lax.map(f, jnp.stack([x, x + 0.1])).sum(0)), f"map({a})"

    def grad(self, inner):
        f, a = inner()
        return (lambda x: fg.grad(lambda x: (f(x) ** 2).sum())(x)), f"grad({a})"

    def jvp(self, inner):
        f, a = inner()
        return (lambda x: fg.jvp(f, (x,), (jnp.cos(x),))[1]), f"jvp({a})"

    def vjp(self, inner):
        f, a = inner()

        def whole(x):
            out, back = fg.vjp(f, x)
            return back(out * 0.5)[0]

        return whole, f"vjp({a})"

    def jacobian(self, inner):
        f, a = inner()
        how = [fg.jacfwd, fg.jacrev][self.number(0, 2)]
        return (lambda x: how(f)(x) @ x), f"{how.__name__}({a})"

    def rule(self, inner):
        f, a = inner()

        @fg.custom_jvp
        def ruled(x):
            return f(x)

        ruled.defjvp(lambda primals, tangents: fg.jvp(f, primals, tangents))
        return ruled, f"custom_jvp({a})"

    def backward_rule(self, inner):
        f, a = inner()

        @fg.custom_vjp
        def ruled(x):
            return f(x)

        ruled.defvjp(lambda x: (f(x), x), lambda x, ct: fg.vjp(f, x)[1](ct))
        return ruled, f"custom_vjp({a})"


DERIVATIVES = ("grad", "jvp", "vjp", "jacobian")
KINDS = (
    *(
        "then",
        "plus",
        "jit",
        "remat",
        "scan",
        "scan_in_blocks",
        "fori",
        "loop",
        "cond",
        "python_if",
        "switch",
    ),
    *("vmap", "mapped", "rule", "backward_rule", *DERIVATIVES),
)


def by_operations(function, x):
    """The value as operations, loops and branches give it one by one."""
    with fg.config.using(disable_jit=True):
        return np.asarray(function(jnp.asarray(x)))


def check(seed, depth):
    with fg.config.using(default_float="float64", verify=True):
        nest = Nest(seed, depth)
        f, words = nest.function, f"Nest({seed}, {depth}): {nest.words}"
        loss = lambda x: (f(x) * jnp.arange(1.0, 4.0)).sum()
        near = {"rtol": 1e-8, "atol": 1e-10, "err_msg": words}
        values = np.stack([by_operations(f, x) for x in POINTS])
        slopes = np.stack([by_operations(fg.grad(loss), x) for x in POINTS])
        compiled, gradient = fg.jit(f), fg.jit(fg.grad(loss))
        np.testing.assert_allclose(np.stack([f(x) for x in POINTS]), values, **near)
        np.testing.assert_allclose(np.stack([compiled(x) for x in POINTS]), values, **near)
        np.testing.assert_allclose(np.stack([gradient(x) for x in POINTS]), slopes, **near)
        np.testing.assert_allclose(fg.vmap(f)(POINTS), values, **near)
        np.testing.assert_allclose(fg.jit(fg.vmap(fg.grad(loss)))(POINTS), slopes, **near)
        direction = np.array([0.3, -1.0, 0.5])
        along = fg.jit(lambda x: fg.jvp(loss, (x,), (direction,))[1])
        np.testing.assert_allclose([along(x) for x in POINTS], slopes @ direction, **near)
        step = 1e-6 * direction
        for x, slope in zip(POINTS, slopes):
            ahead, behind = (by_operations(loss, x + s) for s in (step, -step))
            if np.isfinite(slope).all():  # and no branch ends in between
                np.testing.assert_allclose(
                    (ahead - behind) / 2e-6, slope @ direction, 1e-4, 1e-5, err_msg=words
                )


@pytest.mark.parametrize("seed", range(12))
def test_a_random_nest(seed):
    check(seed, 2)


@pytest.mark.sweep
@pytest.mark.parametrize("depth", [2, 3])
@pytest.mark.parametrize("seed", range(100, 200))
def test_many_random_nests(seed, depth):
    check(seed, depth)

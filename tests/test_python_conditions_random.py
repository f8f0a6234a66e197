"""Random programs with Python conditions and assignments: compiled, differentiated and batched as Python runs them."""

from __future__ import annotations

import random

import numpy as np
import pytest

import funcgrad as fg
import funcgrad.numpy as jnp

NAMES = ("p", "q", "r", "s")
POINTS = np.array([[0.3, -0.4], [1.2, 0.7], [-0.8, 0.9], [-0.2, -1.5], [0.15, 0.15]])


class Program:
    """The source of a function of two numbers."""

    def __init__(self, seed):
        self.rng = random.Random(seed)
        self.conditions = 4
        self.lines = [
            "def f(a, b):",
            "    p, q, r, s = a, b, a * b, 0.3",
            "    held = fg.new_ref(jnp.zeros(2))",
        ]
        self.block(1)
        self.block(1)
        self.lines.append("    return p, q + r * s")

    def add(self, depth, text):
        self.lines.append("    " * depth + text)

    def block(self, depth):
        for _ in range(self.rng.randint(1, 3)):
            choice, x, y, z = self.rng.random(), *self.rng.choices(NAMES, k=3)
            k = self.rng.randint(0, 1)
            if choice < 0.35 and self.conditions and depth < 4:
                self.conditions -= 1
                self.add(depth, f"if {self.condition(x, y)}:")
                self.block(depth + 1)
                if self.rng.random() < 0.7:
                    self.add(depth, "else:")
                    self.block(depth + 1)
            elif choice < 0.42 and depth > 1:
                self.add(depth, f"return {x}, {y} * 2")
                return
            elif choice < 0.5:
                self.add(depth, f"{x} = {self.rng.choice((1.0, 0.0, -0.7))}")
            elif choice < 0.58:
                self.add(depth, f"held[{k}] += {x}")
                self.add(depth, f"{y} = held[{1 - k}] + 0.1")
            else:
                self.add(depth, f"{x} = {self.value(y, z)}")

    def condition(self, x, y):
        return self.rng.choice(
            (
                f"{x} > {y}",
                f"0 < {x} < 1",
                f"not {x} > 0",
                f"{x} > 0 or {y} < 0",
                f"{x} > -0.5 and {y} * 2 < 1",
                f"{x} == {y}",
            )
        )

    def value(self, x, y):
        return self.rng.choice(
            (
                f"{x} + {y}",
                f"{x} * {y}",
                f"jnp.sin({x})",
                f"{x} - 1.0",
                f"jnp.maximum({x}, {y})",
                x,
                f"2 * {x}",
            )
        )


@pytest.mark.parametrize("seed", range(10))
def test_a_random_program(seed):
    source = "\n".join(Program(seed).lines)
    scope = {"fg": fg, "jnp": jnp}
    exec(source, scope)
    f = scope["f"]

    def loss(a, b):
        first, second = f(a, b)
        return jnp.asarray(first * 1.0 + second * 0.5, "float64")

    with fg.config.using(default_float="float64", verify=True):
        args = [tuple(jnp.array(row)) for row in POINTS]
        values = np.array([[float(v) for v in f(*a)] for a in args])
        slopes = np.array([[float(v) for v in fg.grad(loss, (0, 1))(*a)] for a in args])
        g, dg, batch = fg.jit(f), fg.jit(fg.grad(loss, (0, 1))), jnp.array(POINTS)
        close = {"rtol": 1e-9, "atol": 1e-12, "err_msg": source}
        np.testing.assert_allclose([[float(v) for v in g(*a)] for a in args], values, **close)
        np.testing.assert_allclose([[float(v) for v in dg(*a)] for a in args], slopes, **close)
        np.testing.assert_allclose(np.stack(fg.vmap(f)(*batch.T), 1), values, **close)
        np.testing.assert_allclose(np.stack(fg.vmap(fg.grad(loss, (0, 1)))(*batch.T), 1), slopes, **close)
        outside = fg.grad(fg.jit(loss), (0, 1))
        np.testing.assert_allclose([[float(v) for v in outside(*a)] for a in args], slopes, **close)

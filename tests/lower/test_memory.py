"""The memory plan: values that live together never overlap, and those that do not share bytes."""

from __future__ import annotations

import itertools
import re

import numpy as np
import pytest

import funcgrad as fg
import funcgrad.numpy as jnp
from funcgrad.lower.memory import Use, aligned, plan, resolve


def overlapping(result, sizes):
    for a, b in itertools.combinations(result.offsets, 2):
        (a0, a1), (b0, b1) = result.lives[a], result.lives[b]
        if a0 <= b1 and b0 <= a1:
            start, other = result.offsets[a], result.offsets[b]
            if start < other + sizes[b] and other < start + sizes[a]:
                yield a, b


def test_a_chain_needs_two_buffers():
    steps = [Use(("x",), ("a",)), Use(("a",), ("b",)), Use(("b",), ("c",)), Use(("c",), ("y",))]
    result = plan(steps, dict.fromkeys("xabcy", 100), ["y"])
    assert result.size == 2 * aligned(100)


def test_in_place_steps_need_one_buffer():
    steps = [
        Use(("x",), ("a",)),
        Use(("a",), ("b",), (("b", "a"),)),
        Use(("b",), ("c",), (("c", "b"),)),
        Use(("c",), ("y",), (("y", "c"),)),
    ]
    result = plan(steps, dict.fromkeys("xabcy", 64), ["y"])
    assert result.size == 64
    assert resolve(result.aliases, "c") == "a"
    assert "y" not in result.aliases, "an output does not live in the arena"


def test_an_input_is_overwritten_only_when_it_is_donated():
    steps = [Use(("x",), ("y",), (("y", "x"),))]
    sizes = {"x": 8, "y": 8}
    assert plan(steps, sizes, ["y"]).aliases == {}
    assert plan(steps, sizes, ["y"], donated=["x"]).aliases == {"y": "x"}


def test_a_value_that_is_read_later_is_not_overwritten():
    steps = [Use(("x",), ("a",)), Use(("a",), ("b",), (("b", "a"),)), Use(("a", "b"), ("y",))]
    assert plan(steps, dict.fromkeys("xaby", 8), ["y"]).aliases == {}


@pytest.mark.parametrize("seed", range(20))
def test_values_that_live_together_never_overlap(seed):
    rng = np.random.default_rng(seed)
    values, sizes, steps = ["x"], {"x": 64}, []
    for number in range(40):
        reads = tuple(rng.choice(values[-8:], size=min(2, len(values)), replace=False))
        name = f"v{number}"
        sizes[name] = int(rng.integers(1, 1000))
        steps.append(Use(reads, (name,), ((name, reads[0]),)))
        values.append(name)
    result = plan(steps, sizes, [values[-1]])
    assert not list(overlapping(result, sizes))
    assert result.size <= sum(aligned(sizes[v]) for v in result.offsets)


def test_what_is_overwritten_is_read_and_written_by_the_same_strides():
    # two names for one stride hide from a compiler that reads and writes meet: it does not vectorize then
    def step(c, x):
        a, b = jnp.split(c @ w, 2, axis=1)
        return fg.nn.sigmoid(a) * c + b + x, None

    w, carry, xs = np.ones((256, 512)), np.zeros((32, 256)), np.ones((5, 32, 256))
    text = str(fg.jit(lambda c, xs: fg.lax.scan(step, c, xs)[0]).lower(carry, xs))
    kernel = text[text.index("inout y0") :].split("== ")[0]
    assert set(re.findall(r"\by0\[([^]]*)\]", kernel)) == {"i0*y0_s0 + i1"}

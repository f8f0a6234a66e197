"""`vmap(branching=...)`: each example by itself or all together, the same results, and what `lower` says of it."""

# ruff: noqa: E731 - small functions by name read best as lambdas here

from __future__ import annotations

import numpy as np
import pytest

import funcgrad as fg
import funcgrad.numpy as jnp
from funcgrad import lax
from funcgrad.errors import ArgumentError

RNG = np.random.default_rng(3)
WAYS = ("auto", "each", "select")


@pytest.fixture(autouse=True)
def verified():
    with fg.config.using(verify=True, default_float="float64"):
        yield


def bent(x):
    return lax.cond(x.sum() > 0, lambda x: jnp.sin(x) * x, lambda x: jnp.sqrt(-x.sum()) + x, x)


def grown(x):
    going = lambda s: jnp.abs(s[0]).sum() < 1000.0
    return lax.while_loop(going, lambda s: (s[0] * 1.5 + jnp.cos(s[0]), s[1] + 1), (x, 0))


def mixed(x):
    w = jnp.ones((x.size, x.size)) / x.size
    branches = [lambda x: w @ x, lambda x: grown(x)[0], lambda x: jnp.sort(x) * 2]
    return lax.switch(jnp.sum(x > 0) % 3, branches, x)


def halved(x):
    if x.sum() > 1:
        x = x / 2
    elif x[0] > 0:
        x = x * x
    return x


@pytest.mark.parametrize("branching", WAYS)
@pytest.mark.parametrize("size", [3, 70])
@pytest.mark.parametrize("f", [bent, grown, mixed, halved], ids=lambda f: f.__name__)
def test_all_ways_of_branching_agree_with_a_python_loop(f, size, branching):
    x = RNG.standard_normal((5, size))
    over = fg.vmap(f, branching=branching)
    expected = [f(row) for row in x]
    for found in (over(x), fg.jit(over)(x)):
        for k, wanted in enumerate(expected):
            fg.tree.map(lambda a, b, k=k: np.testing.assert_allclose(a[k], b, 1e-9), found, wanted)


@pytest.mark.parametrize("branching", WAYS)
@pytest.mark.parametrize("size", [3, 70])
@pytest.mark.parametrize("f", [bent, grown, mixed, halved], ids=lambda f: f.__name__)
def test_all_ways_of_branching_differentiate_inside_and_around(f, size, branching):
    x = RNG.standard_normal((5, size))
    total = lambda x: sum(jnp.sum(a) for a in fg.tree.leaves(f(x)))
    expected = np.stack([fg.grad(total)(row) for row in x])
    inside = fg.jit(fg.vmap(fg.grad(total), branching=branching))
    np.testing.assert_allclose(inside(x), expected, 1e-8, 1e-8)
    around = fg.jit(fg.grad(lambda x: fg.vmap(total, branching=branching)(x).sum()))
    np.testing.assert_allclose(around(x), expected, 1e-8, 1e-8)
    t = RNG.standard_normal(x.shape)
    pushed = fg.jvp(fg.vmap(total, branching=branching), (x,), (t,))[1]
    np.testing.assert_allclose(pushed, (expected * t).sum(1), 1e-7, 1e-7)


def test_lower_says_what_was_chosen_and_why():
    small, large = RNG.standard_normal((4, 3)), RNG.standard_normal((4, 200))

    def words(f, x, **options):
        lowered = fg.jit(fg.vmap(f, **options)).lower(x)
        (note,) = lowered.control_flow
        assert "test_branching.py" in note and note in str(lowered)
        return note

    assert "cond: each example runs its own branch (a kernel can hold" in words(bent, small)
    assert "while: each example runs its own iterations (it is loops over" in words(grown, large)
    assert "(vmap(branching='select') says so)" in words(bent, small, branching="select")
    assert "each example runs its own branch (vmap(branching='each')" in words(bent, large, branching="each")
    products = lambda x: lax.cond(x[0] > 0, lambda x: jnp.outer(x, x) @ x, lambda x: x, x)
    assert "all examples run together and select their own results" in words(products, large)
    printing = lambda x: lax.cond(x[0] > 0, lambda x: fg.debug.print("{}", x[0]), lambda x: None, x)
    assert "(it has effects)" in words(printing, small)
    assert fg.jit(fg.vmap(lambda x: lax.cond(True, jnp.sin, jnp.cos, x))).lower(small).control_flow == ()


def test_a_chunked_batch_and_one_within_a_batch_branch_as_they_are_told():
    x = RNG.standard_normal((6, 4, 3))
    expected = np.stack([[bent(row) for row in rows] for rows in x])
    inner = lambda rows: fg.vmap(bent, branching="select")(rows)
    nested = fg.jit(fg.vmap(inner, branching="each", chunk_size=4))
    np.testing.assert_allclose(nested(x), expected)
    notes = fg.jit(fg.vmap(bent, branching="each", chunk_size=2)).lower(x[:, 0]).control_flow
    assert any("branching='each'" in n for n in notes)


def test_collectives_and_effects_refuse_what_they_cannot_do():
    meeting = lambda x: lax.cond(x > 0, lambda x: lax.psum(x, "i"), lambda x: -lax.psum(x, "i"), x)
    x = np.array([1.0, -2.0, 4.0])
    np.testing.assert_allclose(fg.vmap(meeting, axis_name="i")(x), [3.0, -3.0, 3.0])
    with pytest.raises(ArgumentError, match="meet in a collective"):
        fg.vmap(meeting, axis_name="i", branching="each")(x)
    printing = lambda x: lax.cond(x > 0, lambda x: fg.debug.print("{}", x), lambda x: None, x)
    with pytest.raises(ArgumentError, match="has effects"):
        fg.vmap(printing, branching="select")(x)
    with pytest.raises(ArgumentError, match="branching is one of 'auto', 'each', 'select'"):
        fg.vmap(bent, branching="mask")


def test_a_loop_whose_examples_meet_runs_them_together():
    def f(x):
        return lax.while_loop(lambda s: s < 10, lambda s: s + lax.pmax(s, "i") * 0 + 1, x)

    np.testing.assert_allclose(fg.vmap(f, axis_name="i")(np.array([1.0, 8.5])), [10.0, 10.5])

"""`checkpoint="200MB"` of loops, and `checkpoint` of scan: the same gradients, in the memory that is said."""

# ruff: noqa: E731 - small functions by name read best as lambdas here

from __future__ import annotations

import re

import numpy as np
import pytest

import funcgrad as fg
import funcgrad.numpy as jnp
from funcgrad import lax
from funcgrad.errors import ArgumentError

X = np.linspace(0.1, 1.0, 50)


@pytest.fixture(autouse=True)
def verified():
    with fg.config.using(verify=True, default_float="float64"):
        yield


def by_while(x, n, checkpoint):
    body = lambda s: (s[0] + 1, jnp.sin(s[1]) + 0.5 * s[1] * jnp.cos(s[1]))
    return lax.while_loop(lambda s: s[0] < n, body, (0, x), checkpoint=checkpoint)[1].sum()


def by_fori(x, n, checkpoint):
    return lax.fori_loop(
        0, 37, lambda i, x: jnp.sin(x) + 0.5 * x * jnp.cos(x), x, checkpoint=checkpoint
    ).sum()


def by_scan(x, n, checkpoint, reverse=False):
    w = jnp.linspace(0.0, 1.0, 37)
    step = lambda c, v: ({"x": jnp.sin(c["x"]) * v + c["x"]}, (c["x"].sum() * v, None))
    out, (ys, _) = lax.scan(step, {"x": x}, w, checkpoint=checkpoint, reverse=reverse)
    return out["x"].sum() + (ys * jnp.arange(37)).sum()


@pytest.mark.parametrize("checkpoint", [1, 5, 36, 37, 100, (3, 4), (2, 3, 4), "40KB", "1MB"], ids=str)
@pytest.mark.parametrize("loop", [by_while, by_fori, by_scan], ids=lambda f: f.__name__)
def test_values_and_gradients_stay_the_same(loop, checkpoint):
    close = lambda a, b: np.testing.assert_allclose(a, b, 1e-10)
    plain = fg.grad(loop)(X, 37, None)
    close(loop(X, 37, checkpoint), loop(X, 37, None))
    close(fg.grad(loop)(X, 37, checkpoint), plain)
    compiled = fg.jit(lambda x: fg.grad(loop)(x, 37, checkpoint))
    close(compiled(X), plain)
    if checkpoint in (5, "40KB"):
        both = np.stack([X, 2 * X])
        close(fg.vmap(lambda x: fg.grad(loop)(x, 37, checkpoint))(both)[0], plain)
        t = np.ones_like(X)
        close(fg.jvp(lambda x: loop(x, 37, checkpoint), (X,), (t,))[1], plain.sum())


def test_a_scan_backwards_and_one_without_xs_in_blocks():
    for checkpoint in (5, (2, 3), "8KB"):
        plain = fg.grad(by_scan)(X, 37, None, True)
        np.testing.assert_allclose(fg.grad(by_scan)(X, 37, checkpoint, True), plain, 1e-10)
    bare = lambda x, c: lax.scan(lambda s, _: (jnp.sin(s), s[0]), x, None, length=11, checkpoint=c)[1].sum()
    np.testing.assert_allclose(fg.grad(bare)(X, 4), fg.grad(bare)(X, None), 1e-10)
    empty = lax.scan(lambda s, v: (s + v, s), 1.0, jnp.zeros(0), checkpoint=3)
    assert empty[0] == 1.0 and empty[1].shape == (0,)


def test_a_ref_of_the_function_around_is_written_in_blocks_too():
    @fg.jit
    def f(x):
        total = fg.new_ref(jnp.zeros(()))

        def step(c, v):
            total[...] += c * v
            return c * 1.1, None

        lax.scan(step, x, jnp.arange(7.0), checkpoint=3)
        return total[...]

    plain = sum(2.0 * 1.1**k * k for k in range(7))
    np.testing.assert_allclose(f(2.0), plain)
    np.testing.assert_allclose(fg.grad(f)(2.0), plain / 2)


def said(f, *args):
    lowered = fg.jit(fg.grad(f)).lower(*args)
    (note,) = lowered.control_flow
    assert note in str(lowered)
    return note, lowered


def test_what_is_said_of_a_scan_is_what_its_plan_needs():
    x = np.ones(1000)

    def f(x, checkpoint):
        step = lambda c, _: (jnp.sin(c) + 0.5 * c * jnp.cos(c), None)
        return lax.scan(step, x, None, length=1000, checkpoint=checkpoint)[0].sum()

    for checkpoint in (100, (10, 10), "400KB", "1MB", "100MB"):
        note, lowered = said(lambda x, c=checkpoint: f(x, c), x)
        promised = int(re.search(r"(\d+) in all", note)[1])
        working = 12 * x.nbytes
        size = lowered.executable.placement.plan.size
        assert promised <= size <= promised + working
        if isinstance(checkpoint, str):
            assert promised <= {"400KB": 400_000, "1MB": 1_000_000, "100MB": 100_000_000}[checkpoint]
    assert "for each iteration, " in note  # all of it fits


def test_what_is_said_of_a_while_loop_is_what_its_tape_needs():
    for checkpoint in (10, "1MB"):
        note, lowered = said(lambda x, c=checkpoint: by_while(x, 1000, c), X)
        tapes = [int(n) for n in re.findall(r"a tape of (\d+) bytes", str(lowered))]
        assert f"keeps at most {tapes[-1]} bytes for each iteration of a block" in note
        assert all(0 <= tape - X.nbytes <= 32 for tape in tapes[:-1])
    reach = int(re.search(r"within 1000000 bytes up to (\d+) iterations", note)[1])
    assert reach >= 1_000_000


def test_the_memory_of_a_budget_holds_in_the_process():
    """Tapes are asked of the system: the size of the process is what a budget bounds."""
    resource = pytest.importorskip("resource")
    x = np.ones(10_000)
    f = fg.jit(fg.grad(lambda x: by_while(x, 3000, "20MB")))
    f(x[:10])
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    f(x)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 60_000  # without: 900 MB


def test_budgets_that_cannot_be_kept_say_what_is_needed():
    with pytest.raises(ArgumentError, match=r"needs \d+ at least: one leaves \d+ bytes and carries 400"):
        fg.grad(by_scan)(X, 37, "100")
    with pytest.raises(ArgumentError, match="the backward pass of 1000 iterations needs"):
        fg.grad(by_while)(X, 37, "2KB")
    with pytest.raises(ArgumentError, match="'much' is no number of bytes"):
        fg.grad(by_fori)(X, 37, "much")
    for wrong in (0, (), (5, 0), 2.5, True):
        with pytest.raises(ArgumentError, match="checkpoint is a number of iterations, a tuple of such, or"):
            fg.grad(by_scan)(X, 37, wrong)

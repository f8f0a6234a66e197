"""`checkpoint="200MB"` of loops, and `checkpoint` of scan: the same gradients, in the memory that is said."""

# ruff: noqa: E731 - small functions by name read best as lambdas here

from __future__ import annotations

import functools
import re

import numpy as np
import pytest

import funcgrad as fg
import funcgrad.numpy as jnp
from funcgrad import lax
from funcgrad.errors import ArgumentError
from funcgrad.prims import control_slots

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
    note, lowered = said(lambda x: by_while(x, 1000, 10), X)
    tapes = [int(n) for n in re.findall(r"a tape of (\d+) bytes", str(lowered))]
    assert f"keeps at most {tapes[-1]} bytes for each iteration of a block" in note
    assert all(0 <= tape - X.nbytes <= 32 for tape in tapes[:-1])


@pytest.mark.parametrize(("budget", "steps"), [("20KB", 1000), ("1MB", 1000), ("1MB", None), ("1GB", None)])
def test_what_is_said_of_slots_is_what_they_need(budget, steps):
    body = lambda i, x: jnp.sin(x) + 0.5 * x * jnp.cos(x)
    f = lambda x, n: lax.fori_loop(0, steps or n, body, x, checkpoint=budget).sum()
    lowered = fg.jit(fg.grad(f)).lower(X, 1000)
    (note,) = lowered.control_flow
    limit = {"20KB": 20_000, "1MB": 1_000_000, "1GB": 1_000_000_000}[budget]
    if budget == "1MB" and steps:  # one level of blocks does
        assert "for each block" in note
        return
    (tape,) = [int(n) for n in re.findall(r"a tape of (\d+) bytes", str(lowered))]
    found = re.search(
        r"at most (\d+) bytes for each iteration of a unit of (\d+), .* and (\d+) for each of (\d+)", note
    )
    record, unit, carry, slots = map(int, found.groups())
    assert record == tape and 2 * record * unit + (carry + 8) * (slots + 1) <= limit
    assert lowered.peak_bytes <= (carry + 8) * (slots + 1) + 40 * X.nbytes
    runs = re.search(r"up to (\d+) iterations (\d) times, up to (\d+) (\d) times", note)
    assert [int(n) for n in runs.groups()[1::2]] == ([2, 3] if steps else [3, 4])
    assert int(runs[1]) == unit * (slots + 1)
    if budget == "1GB":
        assert int(runs[1]) >= 1_000_000


@pytest.mark.parametrize("n", [0, 1, 2, 7, 60])
@pytest.mark.parametrize("budget", ["2500", "4KB", "12KB", "1MB"])
def test_slots_give_the_gradients_of_the_tape_at_any_order(budget, n):
    """Of what the loop closes over too, and in forward mode, batches with ends of their own, and second derivatives."""
    close = lambda a, b: fg.tree.map(lambda a, b: np.testing.assert_allclose(a, b, 1e-9, 1e-12), a, b)

    def loop(x, w, n, checkpoint=None):
        body = lambda s: (s[0] + 1, jnp.sin(s[1] * w) + 0.3 * s[1])
        return (lax.while_loop(lambda s: s[0] < n, body, (0, x), checkpoint=checkpoint)[1] ** 2).sum()

    x = X[:20]
    kept = lambda x, w, n: loop(x, w, n, budget)
    both = (0, 1)
    close(fg.jit(fg.grad(kept, both))(x, 1.1, n), fg.grad(loop, both)(x, 1.1, n))
    close(fg.jvp(lambda w: kept(x, w, n), (1.1,), (1.0,)), fg.jvp(lambda w: loop(x, w, n), (1.1,), (1.0,)))
    if n in (2, 7):
        second = lambda f: fg.grad(lambda w: fg.grad(f, 1)(x, w, n) * w)
        close(fg.jit(second(kept))(1.1), second(loop)(1.1))
        over = lambda f: fg.vmap(fg.grad(f, both), (0, None, 0))(np.stack([x, 2 * x]), 1.1, np.array([n, 1]))
        close(over(kept), over(loop))


def test_the_schedule_is_the_best_there_is():
    """The runs over units against a search of all schedules."""
    split = fg.jit(control_slots.split)

    @functools.cache
    def best(units, slots):
        if units == 1 or slots == 1:
            return units * (units - 1) // 2
        return min(m + best(units - m, slots - 1) + best(m, slots) for m in range(1, units))

    @functools.cache
    def ours(units, slots):
        if units == 1 or slots == 1:
            return units * (units - 1) // 2
        m = int(split(np.int64(units), np.int64(slots)))
        assert 1 <= m < units
        return m + ours(units - m, slots - 1) + ours(m, slots)

    for units in (2, 3, 10, 17, 40):
        for slots in (1, 2, 3, 5, 12, 50):
            assert ours(units, slots) == best(units, slots)
    assert 0 < int(split(np.int64(10**12), np.int64(3))) < 10**12


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
    with pytest.raises(ArgumentError, match="the backward pass of even a few iterations needs 3232 at least"):
        fg.grad(by_while)(X, 37, "2KB")
    fg.grad(by_while)(X, 37, "3232")
    with pytest.raises(ArgumentError, match="'much' is no number of bytes"):
        fg.grad(by_fori)(X, 37, "much")
    for wrong in (0, (), (5, 0), 2.5, True):
        with pytest.raises(ArgumentError, match="checkpoint is a number of iterations, a tuple of such, or"):
            fg.grad(by_scan)(X, 37, wrong)

"""Memory that is asked for and kept to: `vmap(memory_budget=)`, and `checkpoint=` of loops."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tracemalloc

import numpy as np
import pytest

import funcgrad as fg
import funcgrad.numpy as jnp
from funcgrad import lax
from funcgrad.errors import ArgumentError
from funcgrad.runtime.device import driver

RNG = np.random.default_rng(0)
POINTS = RNG.standard_normal((400, 8)).astype(np.float32)
CENTRES = RNG.standard_normal((500, 8)).astype(np.float32)
WEIGHT = jnp.asarray(RNG.standard_normal((500, 500)).astype(np.float32))


def energy(x, centres):
    near = jnp.exp(-((x - centres) ** 2).sum(1))
    return {"sum": jnp.tanh(jnp.sin(near @ WEIGHT) @ WEIGHT).sum(), "near": near[:3]}


def work_of(f, *args):
    return fg.jit(f).lower(*args).executable.placement.plan.size


@pytest.mark.parametrize("budget", ["100MB", "1 MB", 200_000, "20kB"])
def test_a_budget_is_kept_and_changes_no_result(budget):
    limit = {"100MB": 10**8, "1 MB": 10**6, "20kB": 20_000}.get(budget, budget)
    f = fg.vmap(energy, (0, None), memory_budget=budget)
    expected = fg.vmap(energy, (0, None))(POINTS, CENTRES)
    for got in (f(POINTS, CENTRES), fg.jit(f)(POINTS, CENTRES)):
        for key in expected:
            np.testing.assert_allclose(got[key], expected[key], rtol=1e-3, atol=1e-3)
    work = work_of(f, POINTS, CENTRES)
    everything = work_of(fg.vmap(energy, (0, None)), POINTS, CENTRES)
    assert work <= limit
    assert work > limit / 2 or work == everything  # no smaller chunks than have to be
    tracemalloc.start()
    f(POINTS, CENTRES)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak <= work + 100_000  # results, and what tracing makes


@pytest.mark.parametrize("size", [1, 7, 64, 97])
def test_sizes_axes_and_kinds_of_arguments(size):
    a, b = RNG.standard_normal((3, size)), RNG.standard_normal(size)

    def f(x, y, scale=1.0):
        return jnp.outer(x, x * y).sum() * scale, x * y

    f_budget = fg.vmap(f, (1, 0), out_axes=(0, 1), memory_budget=3000)
    for got, want in zip(f_budget(a, b), fg.vmap(f, (1, 0), out_axes=(0, 1))(a, b)):
        np.testing.assert_allclose(got, want, rtol=1e-6)
    pulled = fg.grad(lambda a: f_budget(a, b)[0].sum())(a)
    np.testing.assert_allclose(pulled, fg.grad(lambda a: fg.vmap(f, (1, 0))(a, b)[0].sum())(a), rtol=1e-5)


def test_what_a_function_closes_over_may_change():
    scale = [1.0]
    f = fg.vmap(lambda x: jnp.sin(x).sum() * scale[0], memory_budget="1kB")
    x = jnp.ones((100, 20))
    first = f(x)
    scale[0] = 2.0
    np.testing.assert_allclose(f(x), 2 * first)


def test_wrong_budgets_are_said():
    with pytest.raises(ArgumentError, match="the memory_budget is 100 bytes, and energy works in"):
        fg.vmap(energy, (0, None), memory_budget=100)(POINTS, CENTRES)
    with pytest.raises(ArgumentError, match="the memory_budget 'much' is no number of bytes"):
        fg.vmap(energy, memory_budget="much")
    with pytest.raises(ArgumentError, match="not both"):
        fg.vmap(energy, memory_budget=100, chunk_size=3)
    with pytest.raises(ArgumentError, match="axis_name has no meaning"):
        fg.vmap(energy, memory_budget=100, axis_name="i")


# ------------------------------------------------------------------------------------------------- loops
def iterate(x, n, checkpoint=None):
    def body(state):
        i, x = state
        return i + 1, jnp.sin(x) + 0.5 * x

    return lax.while_loop(lambda s: s[0] < n, body, (0, x), checkpoint=checkpoint)[1].sum()


@pytest.mark.parametrize("n", [0, 1, 9, 10, 11, 57])
@pytest.mark.parametrize("checkpoint", [1, 10, (3, 4), (2, 2, 2)])
def test_checkpointed_loops_have_the_same_derivatives(n, checkpoint):
    x = np.linspace(0.1, 0.4, 5)
    assert np.allclose(iterate(x, n, checkpoint), iterate(x, n))
    for f in (fg.grad(iterate), fg.jit(fg.grad(iterate), static_argnums=2)):
        np.testing.assert_allclose(f(x, n, checkpoint), fg.grad(iterate)(x, n), rtol=1e-6)
    pushed = fg.jvp(lambda x: iterate(x, n, checkpoint), (x,), (x,))[1]
    np.testing.assert_allclose(pushed, fg.jvp(lambda x: iterate(x, n), (x,), (x,))[1], rtol=1e-6)


def test_batches_of_checkpointed_loops():
    x, n = RNG.uniform(0.1, 0.4, (4, 3)), np.array([0, 3, 8, 20])
    got = fg.vmap(lambda x, n: fg.grad(iterate)(x, n, 5))(x, n)
    np.testing.assert_allclose(got, fg.vmap(fg.grad(iterate))(x, n), rtol=1e-6)


@pytest.mark.parametrize("traced", [False, True])
def test_checkpointed_fori_loops(traced):
    def f(x, n, checkpoint):
        return lax.fori_loop(0, n, lambda i, x: jnp.sin(x) + i * 0.1, x, checkpoint=checkpoint).sum()

    gradient = fg.grad(f)
    if traced:
        gradient = fg.jit(gradient, static_argnums=2)
    x = np.linspace(0.1, 0.4, 5)
    np.testing.assert_allclose(gradient(x, 23, 5), fg.grad(f)(x, 23, None), rtol=1e-6)


def test_wrong_checkpoints_are_said():
    for wrong in (0, True, (), (3, "a"), "ten", "10 XB"):
        with pytest.raises(ArgumentError, match=r"number of iterations|bytes"):
            iterate(np.ones(3), 3, wrong)


def mixing(x, n, checkpoint=None):
    """A loop whose elements meet, so that it goes on as a whole."""
    body = lambda s: (s[0] + 1, jnp.sin(s[1]) + 0.1 * jnp.roll(s[1], 1))  # noqa: E731
    return lax.while_loop(lambda s: s[0] < n, body, (0, x), checkpoint=checkpoint)[1].sum()


def tapes(loop, checkpoint):
    text = str(fg.jit(fg.grad(lambda x, n: loop(x, n, checkpoint))).lower(np.ones(10_000, np.float32), 1))
    return [int(n) for n in re.findall("a tape of ([0-9]+) bytes for each iteration", text)]


MEASURED = """
import sys
import numpy as np, funcgrad as fg
sys.path.insert(0, {folder!r})
from test_memory_budgets import {loop} as loop

def kilobytes(name):
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith(name))

gradient = fg.jit(fg.grad(lambda x, n: loop(x, n, {checkpoint})))
x = np.linspace(0, 1, 10_000).astype(np.float32)
gradient(x, 2)
with open("/proc/self/clear_refs", "w") as file:
    file.write("5")  # forget the peak so far
before = kilobytes("VmRSS")
gradient(x, 2000)
print((kilobytes("VmHWM") - before) * 1024)
"""


@pytest.mark.skipif(
    not os.access("/proc/self/clear_refs", os.W_OK), reason="Linux tells how much memory is used"
)
def test_the_memory_of_a_loop_is_as_its_plan_says():
    def measured(loop, checkpoint):
        folder = str(__file__).rpartition("/")[0]
        code = MEASURED.format(folder=folder, loop=loop.__name__, checkpoint=checkpoint)
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        return int(done.stdout)

    (alone,) = tapes(mixing, None)
    assert 40_000 <= alone <= 90_000
    assert 0.9 * 2000 * alone < measured(mixing, None) < 3.1 * 2000 * alone
    outer, inner = sorted(tapes(mixing, 50))
    assert measured(mixing, 50) < 3.1 * (40 * outer + 50 * inner) + 2_000_000
    (each,) = tapes(iterate, None)  # a kernel, whose threads take some of the elements to the end and back
    assert each < alone / 20
    assert measured(iterate, None) < 3.1 * 2000 * each * driver().pool.threads + 2_000_000

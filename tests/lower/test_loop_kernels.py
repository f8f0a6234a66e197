"""Control flow on few numbers as one kernel: against Python loops, in registers, by lanes, and per example."""

import subprocess
import sys

import numpy as np
import pytest

import funcgrad as fg
import funcgrad.numpy as jnp
from funcgrad import lax
from funcgrad.lower.heuristics import parallel_grain
from funcgrad.lower.lowered import KernelStep, RegionStep

RNG = np.random.default_rng(0)


def steps_of(f, *args):
    steps = fg.jit(f).lower(*args).executable.lowered.steps
    return sum(isinstance(s, KernelStep) for s in steps), sum(isinstance(s, RegionStep) for s in steps)


def is_one_kernel(f, *args):
    return steps_of(f, *args)[1] == 0


def rotate(state, x):
    a, b = state
    a = a + 0.1 * jnp.stack([a[1], a[2], a[0]]) * x
    return (a, b + a.sum()), a[0] * b


@pytest.mark.parametrize("reverse", [False, True])
def test_a_scan_with_its_carry_in_registers(reverse):
    start, xs = (RNG.standard_normal(3), np.float64(0.5)), RNG.standard_normal(7)

    def f(start, xs):
        return lax.scan(rotate, start, xs, reverse=reverse)

    (a, b), ys = fg.jit(f)(start, xs)
    want_a, want_b, want = start[0].copy(), start[1], np.zeros(7)
    for i in reversed(range(7)) if reverse else range(7):
        want_a = want_a + 0.1 * np.roll(want_a, -1) * xs[i]
        want[i] = want_a[0] * want_b
        want_b = want_b + want_a.sum()
    np.testing.assert_allclose(a, want_a, 1e-12)
    np.testing.assert_allclose(b, want_b, 1e-12)
    np.testing.assert_allclose(ys, want, 1e-12)
    assert is_one_kernel(f, start, xs)


def test_carries_that_change_places():
    def f(a, b):
        return lax.fori_loop(0, 5, lambda i, s: (s[1], s[0] + i), (a, b))

    a, b = 1, 10
    for i in range(5):
        a, b = b, a + i
    assert [int(x) for x in fg.jit(f)(1, 10)] == [a, b]


@pytest.mark.parametrize("shape", [(5,), (300,), (40, 30), (64, 1), (600, 3)])
def test_a_loop_over_lanes(shape):
    x, w = RNG.standard_normal(shape), RNG.standard_normal(shape[-1])

    def f(x, w):
        def step(state, _):
            n, z, total = state
            z = jnp.where(jnp.abs(z) < 4, z * z * 0.3 + w, z)
            return (n + 1, z, total + z), n

        return lax.scan(step, (0, x, jnp.zeros_like(x)), None, length=6)

    (n, z, total), numbers = fg.jit(f)(x, w)
    want, wanted_total = x.copy(), np.zeros(shape)
    for _ in range(6):
        want = np.where(np.abs(want) < 4, want * want * 0.3 + w, want)
        wanted_total += want
    np.testing.assert_allclose(z, want, 1e-10)
    np.testing.assert_allclose(total, wanted_total, 1e-10)
    assert int(n) == 6 and numbers.tolist() == list(range(6))
    assert is_one_kernel(f, x, w)


def test_a_loop_whose_lanes_meet_is_not_one_kernel():
    x = RNG.standard_normal(300)

    def f(x):
        return lax.fori_loop(0, 3, lambda i, x: x - x.mean(), x)

    np.testing.assert_allclose(fg.jit(f)(x), x - x.mean(), 1e-9, 1e-12)
    assert not is_one_kernel(f, x)
    assert "is not one kernel" in str(fg.jit(f).lower(x))


def test_each_example_runs_its_own_number_of_iterations():
    def collatz(n):
        def step(s):
            return (jnp.where(s[0] % 2 == 0, s[0] // 2, 3 * s[0] + 1), s[1] + 1)

        return lax.while_loop(lambda s: s[0] != 1, step, (n, 0))[1]

    def python(n):
        count = 0
        while n != 1:
            n, count = (n // 2 if n % 2 == 0 else 3 * n + 1), count + 1
        return count

    numbers = np.arange(1, 200)
    assert fg.jit(fg.vmap(collatz))(numbers).tolist() == [python(int(n)) for n in numbers]
    assert is_one_kernel(fg.vmap(collatz), numbers)


def halving(limit, x):
    """Runs as often as its own numbers say; some lanes not at all."""

    def step(state):
        i, x, odd = state
        if i % 2 == 0:
            return i + 1, x * 0.5, not odd
        return i + 1, x - 0.1 / (x + 2), odd

    return lax.while_loop(lambda s: (s[0] < limit) & (s[1] > 0.01), step, (0, x, False))


@pytest.mark.parametrize("lanes", [1, 15, 16, 127, 128, 129, 400])
@pytest.mark.parametrize("limits", ["even", "some long", "mixed", "none"])
def test_while_loops_of_many_lanes_go_together(lanes, limits):
    rng = np.random.default_rng(lanes)
    limit = np.full(lanes, {"even": 20, "none": 0}.get(limits, 3))
    if limits == "some long":
        limit[::50] = 300
    if limits == "mixed":
        limit = rng.integers(0, 40, lanes)
    x = rng.uniform(-1, 1e6, lanes)
    f = fg.vmap(halving)
    found = fg.jit(f)(limit, x)
    assert ("sequential round" in str(fg.jit(f).lower(limit, x))) == (lanes >= 16)
    for lane in range(lanes):
        one = halving(int(limit[lane]), float(x[lane]))
        for a, b in zip(found, one):
            np.testing.assert_allclose(a[lane], b, rtol=2e-5)
    assert is_one_kernel(f, limit, x)


def test_lanes_go_by_themselves_where_vectors_of_them_gain_nothing():
    def gcd(a, b):
        return lax.while_loop(lambda s: s[1] != 0, lambda s: (s[1], s[0] % s[1]), (a, b))[0]

    def inner(n):
        one = lambda s: lax.while_loop(lambda t: t < s, lambda t: t + 2, 0)  # noqa: E731
        return lax.while_loop(lambda s: s < n, lambda s: s + one(s) % 2 + 1, 0)

    def digits(n):
        return lax.while_loop(lambda s: s[0] > 0, lambda s: (s[0] // 10, s[1] + s[0] % 10), (n, 0))[1]

    a, b = RNG.integers(1, 1000, (2, 200))
    assert fg.jit(fg.vmap(digits))(a).tolist() == [sum(map(int, str(n))) for n in a]
    assert fg.jit(fg.vmap(gcd))(a, b).tolist() == np.gcd(a, b).tolist()
    assert fg.jit(fg.vmap(inner))(a).tolist() == a.tolist()
    for f, args in ((gcd, (a, b)), (inner, (a,)), (digits, (a,))):
        assert "sequential round" not in str(fg.jit(fg.vmap(f)).lower(*args))


def test_each_example_takes_its_own_branch():
    branches = [lambda x: x, lambda x: lax.fori_loop(0, 3, lambda i, y: y * x, x), jnp.sqrt]
    f = fg.vmap(lambda i, x: lax.switch(i, branches, x))
    i, x = np.array([0, 1, 2, 7, -3]), np.array([-1.0, 2.0, 9.0, 16.0, -5.0])
    want = [-1.0, 16.0, 3.0, 4.0, -5.0]
    np.testing.assert_allclose(fg.jit(f)(i, x), want)
    np.testing.assert_allclose(f(i, x), want)
    assert is_one_kernel(f, i, x)
    gradient = [1.0, 4 * 8.0, 1 / 6, 1 / 8, 1.0]
    np.testing.assert_allclose(fg.jit(fg.grad(lambda x: f(i, x).sum()))(x), gradient)
    np.testing.assert_allclose(fg.vmap(fg.grad(lambda x, i: lax.switch(i, branches, x)))(x, i), gradient)


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_no_nan_from_a_branch_that_an_example_does_not_take(sign):
    x = sign * np.array([[-1.0], [4.0], [-9.0], [16.0]]) * np.ones((4, 200))
    w = np.ones(200)

    def f(w, x):
        return lax.cond(x[0] > 0, lambda x: jnp.sqrt(w * x).sum(), lambda x: (w * x).sum(), x)

    def loss(w, x):
        return fg.vmap(f, (None, 0))(w, x).sum()

    for transformed in (fg.grad(loss, (0, 1)), fg.jit(fg.grad(loss, (0, 1)))):
        of_w, of_x = transformed(w, x)
        want = sum(r[0] ** 0.5 / 2 if r[0] > 0 else r[0] for r in x)
        np.testing.assert_allclose(of_w, np.full(200, want))
        np.testing.assert_allclose(of_x, np.where(x > 0, 0.5 / np.sqrt(np.abs(x)), 1.0))
    everybody = fg.grad(loss, (0, 1))(w, np.abs(x))  # nobody takes the second branch
    assert np.isfinite(everybody[0]).all() and np.isfinite(everybody[1]).all()
    nobody = fg.grad(loss, (0, 1))(w, -np.abs(x))
    np.testing.assert_allclose(nobody[0], -np.abs(x).sum(0))


def test_a_branch_that_nobody_takes_does_not_run_for_ever():
    def endless(x):
        return lax.while_loop(lambda v: v[0] < 1, lambda v: v * 1.5, x)

    f = fg.vmap(lambda x: lax.cond(x[0] > 0, endless, lambda x: x, x))
    x = np.array([[-1.0], [0.3]]) * np.ones((2, 200))
    want = x.copy()
    while want[1, 0] < 1:
        want[1] *= 1.5
    np.testing.assert_allclose(fg.jit(f)(x), want)
    np.testing.assert_allclose(fg.jit(f)(-np.abs(x)), -np.abs(x))


def test_small_arrays_of_every_kind_inside_a_loop():
    def f(m, table, start):
        table = jnp.asarray(table)

        def step(state, k):
            v, best, z = state
            v = m @ v + table[k]
            v = v.at[1].add(0.5).at[k % 3].multiply(0.9)
            best = jnp.maximum(best, jnp.argmax(v))
            return (v, best, z * (1 + 0.1j) + v[0]), v[::-1].min()

        return lax.scan(step, (start, jnp.zeros((), jnp.int64), 1j + 0 * start[0]), jnp.arange(6) % 4)

    m, table, start = (RNG.standard_normal(s) for s in ((3, 3), (4, 3), (3,)))
    (v, best, z), ys = fg.jit(f)(m * 0.4, table, start)
    (v2, best2, z2), ys2 = f(m * 0.4, table, start)
    w, top, y, found = start.copy(), 0, 1j, []
    for k in np.arange(6) % 4:
        w = 0.4 * m @ w + table[k]
        w[1] += 0.5
        w[k % 3] *= 0.9
        top, y = max(top, int(np.argmax(w))), y * (1 + 0.1j) + w[0]
        found.append(w.min())
    for got in ((v, best, z, ys), (v2, best2, z2, ys2)):
        for a, b in zip(got, (w, top, y, found)):
            np.testing.assert_allclose(a, b, 1e-10)
    assert is_one_kernel(f, m, table, start)


@pytest.mark.parametrize("dtype", [jnp.bfloat16, np.float16, np.float32, np.complex64, np.int8, np.uint32])
def test_dtypes_of_carries(dtype):
    x = jnp.arange(1, 6).astype(dtype)

    def f(x):
        return lax.scan(lambda c, x: (c * x + x, c), x[0], x)

    c, want = x[0], []
    for v in x:
        want.append(c)
        c = c * v + v
    got, ys = fg.jit(f)(x)
    assert got.dtype == x.dtype and ys.dtype == x.dtype
    np.testing.assert_array_equal(np.asarray(got), np.asarray(c))
    np.testing.assert_array_equal(np.asarray(ys), np.asarray(jnp.stack(want)))


def pendulum(state, w):
    angle, speed = state
    return angle + 0.1 * speed, speed - 0.1 * w * jnp.sin(angle)


def swinging(start, w, n, checkpoint=None):
    return lax.fori_loop(0, n, lambda _, s: pendulum(s, w), start, checkpoint=checkpoint)[0]


def by_hand(angle, speed, w, n):
    """The derivatives of the last angle by the start and by w."""
    path = [(angle, speed)]
    for _ in range(n):
        angle, speed = path[-1]
        path.append((angle + 0.1 * speed, speed - 0.1 * w * np.sin(angle)))
    of_angle, of_speed, of_w = np.ones_like(angle), np.zeros_like(angle), np.zeros_like(angle)
    for angle, _ in reversed(path[:-1]):
        of_w = of_w - 0.1 * np.sin(angle) * of_speed
        of_angle, of_speed = of_angle - 0.1 * w * np.cos(angle) * of_speed, of_speed + 0.1 * of_angle
    return of_angle, of_speed, of_w


@pytest.mark.parametrize("checkpoint", [None, 7, (3, 4)])
@pytest.mark.parametrize("n", [0, 1, 50])
def test_reverse_mode_through_a_dynamic_loop_on_few_numbers_is_one_kernel(n, checkpoint):
    def gradient(start, w, n):
        return fg.grad(lambda s, w: swinging(s, w, n, checkpoint), (0, 1))(start, w)

    start, w = (np.float64(1.0), np.float64(0.3)), np.float64(2.0)
    (of_angle, of_speed), of_w = fg.jit(gradient)(start, w, n)
    np.testing.assert_allclose([of_angle, of_speed, of_w], by_hand(*start, w, n), rtol=1e-12, atol=1e-15)
    assert is_one_kernel(gradient, start, w, n)
    assert "push tape0" in str(fg.jit(gradient).lower(start, w, n))


@pytest.mark.parametrize("shape", [(20,), (127,), (300,), (40, 30)])
def test_reverse_mode_over_lanes_goes_block_by_block_to_the_end_and_back(shape):
    start, n = (RNG.standard_normal(shape), RNG.standard_normal(shape)), 30
    w = RNG.uniform(1, 2, shape)

    def gradient(start, w, n):
        return fg.grad(lambda s, w: swinging(s, w, n).sum(), (0, 1))(start, w)

    (of_angle, of_speed), of_w = fg.jit(gradient)(start, w, n)
    for got, want in zip((of_angle, of_speed, of_w), by_hand(*start, w, n)):
        np.testing.assert_allclose(got, want, rtol=1e-10, atol=1e-12)
    assert is_one_kernel(gradient, start, w, n)
    lanes = min(np.prod(shape), 128)
    assert f"a tape of {-(-2 * 8 * lanes // 16) * 16} bytes for each iteration on each thread" in str(
        fg.jit(gradient).lower(start, w, n)
    )


def test_each_example_goes_back_over_its_own_iterations():
    n, w = RNG.integers(0, 60, 50), RNG.uniform(1, 2, 50)
    start = (RNG.standard_normal(50), RNG.standard_normal(50))
    gradient = fg.vmap(lambda s, w, n: fg.grad(lambda s, w: swinging(s, w, n), (0, 1))(s, w))
    (of_angle, of_speed), of_w = fg.jit(gradient)(start, w, n)
    for k in range(50):
        want = by_hand(start[0][k], start[1][k], w[k], n[k])
        np.testing.assert_allclose([of_angle[k], of_speed[k], of_w[k]], want, rtol=1e-10, atol=1e-12)
    assert is_one_kernel(gradient, start, w, n)


def test_records_of_several_dtypes_and_of_values_that_all_lanes_share():
    x = RNG.uniform(0, 1, 200).astype("float32")

    def f(x, scale, n):
        def step(i, state):
            x, s, odd = state
            odd = odd ^ (x > 0.3)
            return jnp.where(odd, jnp.sin(x * 2), x * 0.7 + 0.2) * s.astype("float32"), s * 0.99, odd

        return lax.fori_loop(0, n, step, (x, scale, jnp.zeros(x.shape, bool)))[0].sum()

    scale = np.float64(1.01)
    gradient = fg.jit(fg.grad(f))
    assert "push tape0" in str(gradient.lower(x, scale, 9))
    numeric = (f(x.astype("float64") + 1e-7, scale, 9) - f(x.astype("float64") - 1e-7, scale, 9)) / 2e-7
    np.testing.assert_allclose(float(gradient(x, scale, 9).sum()), float(numeric), rtol=1e-4)
    unrolled = fg.grad(lambda x: f(x, scale, 9))(x)
    np.testing.assert_allclose(gradient(x, scale, 9), unrolled, rtol=1e-5)


NO_MEMORY = """
import resource, numpy as np, funcgrad as fg
gradient = fg.jit(fg.grad(lambda x, n: fg.lax.fori_loop(0, n, lambda _, x: fg.numpy.sin(x), x).sum()))
x = np.ones({size}, np.float32)
gradient(x, 10)
most = resource.getrlimit(resource.RLIMIT_AS)[1]
resource.setrlimit(resource.RLIMIT_AS, (1 << 32, most))
try:
    gradient(x, 1 << 29)
except MemoryError as error:
    assert "give the loop checkpoint=n or a budget" in str(error)
    print(float(gradient(x, 10).sum()) > 0)
"""


@pytest.mark.parametrize("size", [1, 300])
def test_a_tape_without_memory_is_a_memory_error(size):
    pytest.importorskip("resource")
    done = subprocess.run([sys.executable, "-c", NO_MEMORY.format(size=size)], capture_output=True, text=True)
    assert done.stdout == "True\n", done.stderr


def test_several_numbers_of_each_lane_lie_apart_and_threads_do_not_share_lines():
    x = RNG.standard_normal((200, 3)).astype("float32")

    def f(x):
        return lax.scan(lambda s, _: (s + 0.1 * jnp.stack([s[1], -s[0], s[2]]), None), x, None, length=9)[0]

    lowered = fg.jit(fg.vmap(f)).lower(x)
    (step,) = lowered.executable.lowered.steps
    assert step.unit == 64
    _, inside, behind = str(step.kernel).split("sequential")[1].split("vector i0")
    assert "i0*3" not in inside and "i0*3" in behind
    want = x.astype("float64")
    for _ in range(9):
        want = want + 0.1 * np.stack([want[:, 1], -want[:, 0], want[:, 2]], 1)
    np.testing.assert_allclose(fg.jit(fg.vmap(f))(x), want, rtol=1e-4, atol=1e-5)
    assert [parallel_grain(extent, 1e6, 2, 64) for extent in (1, 64, 65, 1000)] == [64, 64, 64, 128]

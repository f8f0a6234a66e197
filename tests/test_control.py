"""Control flow against Python loops and branches: values, derivatives, batching, nesting, and errors."""

# ruff: noqa: E731 - small functions by name read best as lambdas here

from __future__ import annotations

import numpy as np
import pytest

import funcgrad as fg
import funcgrad.numpy as jnp
from funcgrad import lax
from funcgrad.errors import ArgumentError, AxisError, DTypeError, ShapeError
from funcgrad.ir.primitive import PRIMITIVES
from funcgrad.ir.text import format_graph, parse_graph
from funcgrad.ir.verify import verify
from funcgrad.prims.control_scan import interpret_scan
from funcgrad.prims.control_while import interpret_while

RNG = np.random.default_rng(0)
W = 0.5 * RNG.standard_normal((3, 3))
H = RNG.standard_normal(3)
XS = RNG.standard_normal((5, 3))


@pytest.fixture(autouse=True)
def verified():
    with fg.config.using(verify=True, default_float="float64"):
        yield


def close(a, b, tolerance=1e-9):
    fg.tree.map(lambda x, y: np.testing.assert_allclose(x, y, tolerance, tolerance), a, b)


def finite_differences(f, x, step=1e-6):
    x = np.asarray(x, np.float64)
    gradient = np.zeros_like(x)
    for i in np.ndindex(*x.shape):
        e = np.zeros_like(x)
        e[i] = step
        gradient[i] = (float(f(x + e)) - float(f(x - e))) / (2 * step)
    return gradient


def rnn(w, h, xs, reverse=False):
    def step(carry, x):
        h, n = carry
        h = jnp.sin(w @ h + x)
        return (h, n * 0.9), h.sum() * n

    (h, n), ys = lax.scan(step, (h, 1.0), xs, reverse=reverse)
    return h.sum() * n + (ys * jnp.arange(len(ys))).sum()


def rnn_loop(w, h, xs, reverse=False):
    n, total = 1.0, 0.0
    for i in reversed(range(len(xs))) if reverse else range(len(xs)):
        h = jnp.sin(w @ h + xs[i])
        total = total + i * h.sum() * n
        n = n * 0.9
    return h.sum() * n + total


# ---------------------------------------------------------------------------------------------------- scan
@pytest.mark.parametrize("reverse", [False, True])
def test_scan_and_its_derivatives_are_those_of_the_loop(reverse):
    f = lambda *a: rnn(*a, reverse=reverse)
    loop = lambda *a: rnn_loop(*a, reverse=reverse)
    close(f(W, H, XS), loop(W, H, XS))
    close(fg.jit(f)(W, H, XS), loop(W, H, XS))
    gradients = fg.grad(loop, (0, 1, 2))(W, H, XS)
    close(fg.grad(f, (0, 1, 2))(W, H, XS), gradients)
    close(fg.jit(fg.grad(f, (0, 1, 2)))(W, H, XS), gradients)
    close(fg.grad(fg.jit(f), (0, 1, 2))(W, H, XS), gradients)
    close(fg.grad(fg.checkpoint(f), (0, 1, 2))(W, H, XS), gradients)
    close(gradients[0], finite_differences(lambda w: loop(w, H, XS), W), 1e-6)
    close(fg.jacfwd(f, 1)(W, H, XS), gradients[1])
    close(fg.hessian(f, 1)(W, H, XS), fg.hessian(loop, 1)(W, H, XS))
    close(fg.jacrev(fg.grad(f, 1), 1)(W, H, XS), fg.hessian(loop, 1)(W, H, XS))


def test_scan_under_vmap_in_any_order():
    ws = RNG.standard_normal((4, 3, 3))
    expected = np.stack([rnn_loop(w, H, XS) for w in ws])
    gradients = np.stack([fg.grad(rnn_loop)(w, H, XS) for w in ws])
    over_w = (0, None, None)
    close(fg.vmap(rnn, over_w)(ws, H, XS), expected)
    close(fg.jit(fg.vmap(rnn, over_w))(ws, H, XS), expected)
    close(fg.vmap(fg.grad(rnn), over_w)(ws, H, XS), gradients)
    close(fg.jit(fg.vmap(fg.jit(fg.grad(rnn)), over_w))(ws, H, XS), gradients)
    close(fg.grad(lambda w: fg.vmap(rnn, over_w)(w, H, XS).sum())(ws), gradients)
    xs = RNG.standard_normal((5, 2, 3))
    expected = np.stack([rnn_loop(W, H, xs[:, i]) for i in range(2)])
    close(fg.vmap(rnn, (None, None, 1))(W, H, xs), expected)
    close(
        fg.vmap(lambda h: rnn(W, h, XS))(np.stack([H, -H])), np.stack([rnn_loop(W, h, XS) for h in (H, -H)])
    )


def test_scan_of_trees_without_xs_and_of_length_zero():
    carry, ys = lax.scan(lambda c, _: ({"a": c["a"] * 2}, (c["a"], None)), {"a": 1.5}, None, length=4)
    close(carry, {"a": 24.0})
    close(ys[0], np.array([1.5, 3.0, 6.0, 12.0]))
    assert ys[1] is None
    for f in (lax.scan, fg.jit(lax.scan, static_argnums=(0,))):
        carry, ys = f(lambda c, x: (c + x, x * 2), 1.0, np.zeros((0,), np.float32))
        assert float(carry) == 1.0
        assert ys.shape == (0,) and ys.dtype == np.float32
    gradient = fg.grad(lambda c: lax.scan(lambda c, x: (c * x, None), c, np.ones((0,)))[0])(2.0)
    close(gradient, 1.0)


@pytest.mark.parametrize("length", [1, 2, 3, 4])
def test_carries_that_change_places_or_stay(length):
    """Carries that are swapped, kept, constant, equal to each other or to a slice: the buffers' special cases."""

    def step(c, x):
        a, b, kept, *_ = c
        return (b, a + x, kept, 7.0, x, x), (a, a, kept, 3.0)

    def loop(init, xs):
        c, ys = init, []
        for x in xs:
            c, y = step(c, x)
            ys.append(y)
        return c, tuple(np.stack([np.broadcast_to(y[k], np.shape(xs[0])) for y in ys]) for k in range(4))

    init = tuple(np.full(3, float(k)) for k in range(6))
    init = (*init[:3], np.float64(0), *init[4:])
    xs = RNG.standard_normal((length, 3))
    found, stacked = fg.jit(lambda init, xs: lax.scan(step, init, xs))(init, xs)
    expected, rows = loop(init, list(xs))
    close(list(found), list(expected))
    close(list(stacked[:3]), list(rows[:3]))
    close(stacked[3], np.full(length, 3.0))


def test_large_carries_are_updated_in_place_or_in_turn():
    x = RNG.standard_normal((6, 70))
    shift = lambda c, _: (jnp.roll(c, 1, 0) + jnp.sin(c), c[0])
    found, rows = fg.jit(lambda x: lax.scan(shift, x, None, length=5))(x)
    expected = x
    for k in range(5):
        close(rows[k], expected[0])
        expected = np.roll(expected, 1, 0) + np.sin(expected)
    close(found, expected)
    product = fg.jit(lambda a, n: lax.fori_loop(0, 4, lambda i, m: a @ m + i, n))(W, np.eye(3))
    expected = np.eye(3)
    for i in range(4):
        expected = W @ expected + i
    close(product, expected)


def test_scan_in_scan_and_grad_inside_of_scan():
    def outer(c, x):
        inner, ys = lax.scan(lambda a, b: (jnp.sin(a + b * x), a * b), c, jnp.arange(3.0) * 0.1)
        return inner, ys.sum()

    def f(c, xs):
        c, ys = lax.scan(outer, c, xs)
        return c + ys.sum()

    def loop(c, xs):
        total = 0.0
        for x in xs:
            for b in (0.0, 0.1, 0.2):
                total, c = total + c * b, jnp.sin(c + b * x)
        return c + total

    xs = list(RNG.standard_normal(4))
    close(f(0.3, np.array(xs)), loop(0.3, xs), 1e-6)
    close(
        fg.jit(fg.grad(f, 1))(0.3, np.array(xs)), finite_differences(lambda x: loop(0.3, list(x)), xs), 1e-5
    )

    def descend(x, rate):
        step = lambda x, _: (x - rate * fg.grad(lambda x: (jnp.cos(x) ** 2).sum())(x), None)
        return lax.scan(step, x, None, length=6)[0].sum()

    def descend_loop(x, rate):
        for _ in range(6):
            x = x + rate * 2 * jnp.cos(x) * jnp.sin(x)
        return x.sum()

    close(fg.jit(fg.grad(descend, (0, 1)))(H, 0.1), fg.grad(descend_loop, (0, 1))(H, 0.1), 1e-6)


def test_what_a_scan_closes_over_is_differentiated():
    def f(a, b):
        scale = jnp.exp(a)  # the same in every iteration, and so computed once
        return lax.scan(lambda c, x: (c * jnp.tanh(scale) + x * b, None), a, XS[:, 0])[0]

    def loop(a, b):
        c = a
        for x in XS[:, 0]:
            c = c * jnp.tanh(jnp.exp(a)) + x * b
        return c

    a, b = np.float64(0.3), np.float64(0.7)
    close(fg.grad(f, (0, 1))(a, b), fg.grad(loop, (0, 1))(a, b))
    close(fg.hessian(f)(a, b), fg.hessian(loop)(a, b))


def test_weak_types_widen_and_carries_keep_their_types():
    total, _ = lax.scan(lambda c, x: (c + x, None), 0, np.arange(3, dtype=np.float32))
    assert total.dtype == np.float32
    total, _ = lax.scan(lambda c, x: (0.0, None), np.float32(1), None, length=2)
    assert total.dtype == np.float32
    assert fg.eval_shape(lambda: lax.fori_loop(0, 3, lambda i, x: x + i, np.int32(0))).dtype == np.int32


def test_what_a_scan_stacks_is_as_weak_as_its_slices():
    def weak_and_strong(c, x):
        return c, (fg.numpy.where(x > 0, 1.0, -1.0), x)

    for run in (lax.scan, fg.jit(lax.scan, static_argnums=0)):
        weak, strong = run(weak_and_strong, 0, np.arange(3, dtype=np.float32))[1]
        assert weak.weak_type and not strong.weak_type
    assert lax.map(lambda x: 2, np.ones(3)).weak_type
    g = fg.grad(lambda s: lax.scan(lambda c, _: (c, c * 2.0), s, None, length=3)[1].sum())
    assert g(1.0) == 6.0 and fg.jit(g)(np.float64(1.0)) == 6.0


# --------------------------------------------------------------------------------------- while and fori
def power(x, n):
    return lax.while_loop(lambda v: v[0] < n, lambda v: (v[0] + 1, v[1] * x), (0, 1.0))[1]


def test_while_loop_forward_mode_and_batches():
    for f in (power, fg.jit(power)):
        close(f(2.0, 5), 32.0)
        close(f(2.0, 0), 1.0)
    close(fg.jvp(lambda x: power(x, 3), (2.0,), (1.0,))[1], 12.0)
    close(fg.jit(fg.jacfwd(fg.jacfwd(lambda x: power(x, 3))))(2.0), 12.0)
    x, n = np.array([2.0, 3.0, 5.0]), np.array([3, 0, 1])
    for f in (fg.vmap(power), fg.jit(fg.vmap(power))):
        close(f(x, n), np.array([8.0, 1.0, 5.0]))
    close(fg.vmap(power, (0, None))(x, 2), x**2)
    close(fg.vmap(fg.jacfwd(power))(x, n), np.array([12.0, 0.0, 1.0]))
    close(fg.jacfwd(lambda x: fg.vmap(power)(x, n))(x), np.diag([12.0, 0.0, 1.0]))


def test_a_finished_example_is_left_alone():
    """The body would give NaN for examples that are done, had it the last word."""
    f = lambda x: lax.while_loop(lambda x: x > 1.0, lambda x: jnp.sqrt(x - 1.0), x)
    x = np.array([0.5, 3.0, 1.5])
    close(fg.vmap(f)(x), np.array([0.5, np.sqrt(np.sqrt(2.0) - 1.0), np.sqrt(0.5)]))
    assert np.isfinite(fg.vmap(fg.jacfwd(f))(x)).all()


def test_what_a_while_loop_computes_without_a_derivative_needs_none():
    unused = lambda x: x * lax.while_loop(lambda n: n < 5, lambda n: n + 1, 0)
    close(fg.grad(unused)(2.0), 5.0)


def test_fori_loop_with_static_and_with_traced_bounds():
    f = lambda x, n: lax.fori_loop(1, n, lambda i, t: jnp.sin(t * x) + i, 1.0)
    loop = lambda x: jnp.sin((jnp.sin(jnp.sin(x) * 1.0 * x + 0 * x) * 0 + jnp.sin(x) + 1) * x) + 2
    x = np.float64(0.7)
    close(f(x, 3), loop(x), 1e-6)
    close(fg.jit(f)(x, 3), f(x, 3))
    close(fg.jit(f, static_argnums=1)(x, 3), f(x, 3))
    close(fg.grad(f)(x, 3), finite_differences(lambda x: loop(x), x), 1e-5)
    close(f(x, 0), 1.0)
    close(fg.vmap(f, (None, 0))(x, np.array([3, 1])), np.array([f(x, 3), 1.0]))
    assert int(lax.fori_loop(jnp.asarray(3), 6, lambda i, t: t * i, 1)) == 60


# ---------------------------------------------------------------------------------------- cond and switch
def choose(p, x, y):
    return lax.cond(p, lambda a, b: jnp.sin(a) * b, lambda a, b: jnp.exp(a) + y, x, y).sum()


@pytest.mark.parametrize("p", [True, False])
def test_cond_and_its_derivatives(p):
    plain = lambda x, y: (jnp.sin(x) * y if p else jnp.exp(x) + y).sum()
    for f in (lambda x, y: choose(p, x, y), lambda x, y: fg.jit(choose)(p, x, y)):
        close(f(H, 2.0), plain(H, 2.0))
        close(fg.grad(f, (0, 1))(H, 2.0), fg.grad(plain, (0, 1))(H, 2.0))
        close(fg.jacfwd(f)(H, 2.0), fg.grad(plain)(H, 2.0))
        close(fg.hessian(f)(H, 2.0), fg.hessian(plain)(H, 2.0))
    close(fg.jit(fg.grad(choose, 1))(p, H, 2.0), fg.grad(plain)(H, 2.0))
    close(fg.grad(fg.checkpoint(choose), 1)(p, H, 2.0), fg.grad(plain)(H, 2.0))


def test_cond_with_a_batched_predicate_and_without():
    p, x = np.array([True, False, True]), RNG.standard_normal((3, 3))
    expected = np.stack([choose(q, r, 2.0) for q, r in zip(p, x)])
    close(fg.vmap(choose, (0, 0, None))(p, x, 2.0), expected)
    close(fg.jit(fg.vmap(choose, (0, 0, None)))(p, x, 2.0), expected)
    close(fg.vmap(choose, (None, 0, None))(True, x, 2.0), np.stack([choose(True, r, 2.0) for r in x]))
    gradients = np.stack([fg.grad(choose, 1)(q, r, 2.0) for q, r in zip(p, x)])
    close(fg.vmap(fg.grad(choose, 1), (0, 0, None))(p, x, 2.0), gradients)
    close(fg.grad(lambda x: fg.vmap(choose, (0, 0, None))(p, x, 2.0).sum())(x), gradients)


def test_only_the_branch_that_is_taken_runs():
    endless = lambda x: lax.while_loop(lambda v: v > -1.0, lambda v: v * 1.0, x)
    f = lambda p, x: lax.cond(p, lambda x: x + 1, endless, x)
    close(f(True, 1.0), 2.0)
    close(fg.jit(f)(True, 1.0), 2.0)


def test_switch_limits_its_index():
    branches = [lambda x: x, lambda x: x * 2, lambda x: x**3]
    f = lambda i, x: lax.switch(i, branches, x)
    x = np.float64(1.5)
    for i, k in ((-3, 0), (0, 0), (1, 1), (2, 2), (9, 2)):
        close(f(i, x), branches[k](x))
        close(fg.jit(f)(i, x), branches[k](x))
        close(fg.jit(fg.grad(f, 1))(i, x), fg.grad(branches[k])(x))
    i = np.array([9, 1, -1, 2])
    close(fg.vmap(f, (0, None))(i, x), np.array([branches[k](x) for k in (2, 1, 0, 2)]))


def test_cond_takes_closures_old_forms_and_other_predicates():
    y = jnp.asarray(3.0)
    f = lambda x: lax.cond(x > 0, lambda: x * y, lambda: -x)
    close(fg.grad(f)(2.0), 3.0)
    close(fg.grad(f)(-2.0), -1.0)
    close(lax.cond(True, 2.0, lambda x: x * 2, 3.0, lambda x: x), 4.0)
    close(lax.cond(0, lambda x: x * 2, lambda x: x, operand=5.0), 5.0)
    assert lax.cond(True, lambda: (1, {"a": None}), lambda: (2, {"a": None}))[1] == {"a": None}
    assert lax.cond(False, lambda: 1, lambda: 2.5).dtype == np.float64


def test_cond_in_scan_and_scan_in_cond():
    def step(c, x):
        c = lax.cond(x > 0, lambda c: jnp.sin(c) * x, lambda c: c * c, c)
        return c, lax.switch((x * 3).astype(int), [lambda: c, lambda: c * x])

    def f(c, xs):
        c, ys = lax.scan(step, c, xs)
        return lax.cond(c > 100, lambda: 0.0, lambda: lax.scan(lambda a, y: (a * 0.5 + y, None), c, ys)[0])

    def loop(c, xs):
        ys = []
        for x in xs:
            c = jnp.sin(c) * x if x > 0 else c * c
            ys.append(c * x if int(x * 3) >= 1 else c)
        for y in ys:
            c = c * 0.5 + y
        return c

    xs, c = XS[:, 1].copy(), np.float64(0.6)
    close(f(c, xs), loop(c, xs))
    close(fg.jit(fg.grad(f, (0, 1)))(c, xs), fg.grad(loop, (0, 1))(c, xs))
    cs = np.array([0.6, -0.2])
    close(fg.jit(fg.vmap(fg.grad(f), (0, None)))(cs, xs), np.stack([fg.grad(loop)(c, xs) for c in cs]))


# ------------------------------------------------------------------------------------------ compositions
def test_map_with_and_without_batches():
    f = lambda x: (x["a"].sum() * 2, x["b"])
    xs = {"a": XS, "b": np.arange(5)}
    expected = (XS.sum(1) * 2, np.arange(5))
    for size in (None, 1, 2, 5, 8):
        close(lax.map(f, xs, batch_size=size), expected)


# one piece, a number of pieces with and without a rest, and elements of more than a few numbers
@pytest.mark.parametrize(
    ("n", "width"), [(1, 1), (2, 1), (13, 1), (2209, 1), (5003, 1), *((n, 99) for n in range(1, 9))]
)
def test_associative_scan(n, width):
    x = RNG.standard_normal((width, n))
    close(lax.associative_scan(jnp.add, x, axis=1), np.cumsum(x, 1))
    close(lax.associative_scan(jnp.maximum, x, axis=-1), np.maximum.accumulate(x, 1))
    close(lax.associative_scan(jnp.add, x, reverse=True, axis=1), np.cumsum(x[:, ::-1], 1)[:, ::-1])
    # composition of affine maps does not commute
    pairs = (RNG.uniform(0.5, 1, (n, width)), RNG.standard_normal((n, width)))
    compose = lambda f, g: (f[0] * g[0], f[1] * g[0] + g[1])
    values = [np.zeros(width)]
    for a, b in zip(*pairs):
        values.append(a * values[-1] + b)
    close(lax.associative_scan(compose, pairs)[1], values[1:])
    total = lambda p: lax.associative_scan(compose, p)[1].sum()
    unrolled = lambda p: lax.scan(lambda v, ab: (ab[0] * v + ab[1],) * 2, np.zeros(width), p)[1].sum()
    close(fg.grad(total)(pairs), fg.grad(unrolled)(pairs))


# ----------------------------------------------------------------------------------- samples, text, debugging
ORACLES = {"scan": interpret_scan, "while": interpret_while}


@pytest.mark.parametrize("name", ["scan", "while", "cond"])
def test_samples_compiled_against_numpy_and_text(name):
    primitive = PRIMITIVES[name]
    rng = np.random.default_rng(1)
    for sample in primitive.samples():
        arrays = [np.asarray(o(rng)) for o in sample.operands]
        expected = ORACLES.get(name, lambda *a, **k: primitive.evaluate(np, *a, **k))(
            *arrays, **sample.params
        )
        traced = fg.jit(lambda *xs, p=sample.params: fg.trace.core.bind(primitive, *xs, **p))
        for got, want in zip(traced(*arrays), expected):
            np.testing.assert_allclose(got, want, 1e-5, 1e-6)
        graph = traced.trace(*arrays).graph
        text = format_graph(graph, sources=False)
        assert format_graph(verify(parse_graph(text)), sources=False) == text


def test_disable_jit_runs_python():
    seen = []

    def step(c, x):
        seen.append(float(x))
        return c + x, c

    with fg.config.using(disable_jit=True):
        _, ys = lax.scan(step, 0.0, np.arange(3.0))
        assert lax.while_loop(lambda n: n < 10, lambda n: n * 2, 3) == 12
        assert lax.cond(True, lambda: 1, lambda: 2) == 1
    assert seen == [0.0, 1.0, 2.0]
    close(ys, np.array([0.0, 0.0, 1.0]))


def test_the_report_of_a_loop_shows_its_body():
    text = str(fg.jit(lambda x: lax.scan(lambda c, x: (jnp.sin(c) + x, c), 0.0, x)).lower(jnp.arange(4.0)))
    assert "sequential i0 in 0..n0" in text
    large = lambda c, x: (jnp.tanh(c @ c) + x, None)
    text = str(fg.jit(lambda c, x: lax.scan(large, c, x)[0]).lower(jnp.ones((20, 20)), jnp.arange(4.0)))
    assert "scan of 4 steps" in text and "body:" in text and "scan is not one kernel" in text


# -------------------------------------------------------------------------------------------------- errors
def test_errors_name_the_place_the_types_and_the_fix():
    init = {"a": jnp.zeros(3), "n": np.int32(0)}
    with pytest.raises(
        DTypeError, match=r"carry\['n'\] goes in as i32\[\] and comes out as f..\[\](.|\n)*fix: start"
    ):
        lax.scan(lambda c, _: ({"a": c["a"], "n": c["n"] * np.float32(0.5)}, None), init, None, length=2)
    with pytest.raises(
        ShapeError, match=r"val\['a'\] goes in as f64\[3\] and comes out as f64\[2\](.|\n)*fix: let"
    ):
        lax.while_loop(lambda v: v["n"] < 3, lambda v: {"a": v["a"][:2], "n": v["n"]}, init)
    with pytest.raises(ArgumentError, match=r"carry of the structure(.|\n)*missing \['n'\]"):
        lax.scan(lambda c, _: ({"a": c["a"]}, None), init, None, length=2)
    with pytest.raises(ArgumentError, match=r"pair \(carry, y\), and returned(.|\n)*return \(carry, None\)"):
        lax.scan(lambda c, _: c, 0.0, None, length=2)
    with pytest.raises(ArgumentError, match="give length="):
        lax.scan(lambda c, _: (c, None), 0.0)
    with pytest.raises(ShapeError, match=r"xs\[0\], of shape \(3,\), has 3; xs\[1\], of shape \(4,\), has 4"):
        lax.scan(lambda c, x: (c, None), 0.0, (np.zeros(3), np.zeros(4)))
    with pytest.raises(ShapeError, match="leading axis"):
        lax.scan(lambda c, x: (c, None), 0.0, 3.0)
    with pytest.raises(ShapeError, match=r"pred has to be a scalar, got bool\[3\](.|\n)*numpy\.where"):
        lax.cond(np.zeros(3, bool), lambda: 1, lambda: 2)
    with pytest.raises(DTypeError, match=r"output\[0\] differs(.|\n)*returns f32\[\](.|\n)*returns i32\[\]"):
        lax.cond(True, lambda: (np.int32(1),), lambda: (np.float32(1),))
    with pytest.raises(ArgumentError, match="same structure"):
        lax.cond(True, lambda: (1, 2), lambda: 1)
    with pytest.raises(ShapeError, match="pad to one shape"):
        lax.switch(0, [lambda: jnp.zeros(3), lambda: jnp.zeros(2)])
    with pytest.raises(ShapeError, match="returns has to be a scalar"):
        lax.while_loop(lambda v: v < 3, lambda v: v, np.zeros(2))
    with pytest.raises(ArgumentError, match="index has to be an integer"):
        lax.switch(1.5, [lambda: 1])
    with pytest.raises(ArgumentError, match="no branches"):
        lax.switch(0, [])
    with pytest.raises(ArgumentError, match="upper has to be an integer"):
        lax.fori_loop(0, 2.5, lambda i, x: x, 0)
    with pytest.raises(ArgumentError, match="true_fun has to be a function"):
        lax.cond(True, 1, 2)
    with pytest.raises(AxisError, match="no axis 2"):
        lax.associative_scan(jnp.add, np.zeros((2, 3)), axis=2)


def test_what_nobody_reads_is_left_out():
    def f(x, xs):
        step = lambda c, x: ((c[0] * 0.5 + x[0], jnp.exp(c[1])), (jnp.cos(c[0]), c[1]))
        return lax.scan(step, (x, x), (xs, xs * 2))[1][0]

    graph = fg.jit(f).lower(np.float64(0.3), XS[:, 0]).graph
    (scan,) = [e for e in graph.equations if e.primitive.name == "scan"]
    assert (len(scan.inputs), len(scan.outputs)) == (2, 2)
    text = str(graph.equations[-1].params["graph"])
    assert "exp" not in text

    def g(x):
        loop = lambda v: (v[0] + 1, v[1] * x, jnp.exp(v[2]))
        return lax.while_loop(lambda v: v[0] < 3, loop, (0, x, x))[1]

    graph = fg.jit(g).lower(np.float64(2.0)).graph
    assert [len(e.outputs) for e in graph.equations if e.primitive.name == "while"] == [2]
    close(fg.jit(g)(np.float64(2.0)), 16.0)
    h = lambda p, x: lax.cond(p, lambda a, b: (a, b), lambda a, b: (a * 2, jnp.exp(b)), x, x + 1)[0]
    graph = fg.jit(h).lower(True, np.float64(2.0)).graph
    assert [len(e.outputs) for e in graph.equations if e.primitive.name == "cond"] == [1]
    close(fg.jit(h)(False, np.float64(2.0)), 4.0)


def test_a_long_scan_runs_natively():
    f = fg.jit(lambda x: lax.scan(lambda c, _: (c * 0.999 + 0.001, None), x, None, length=200_000)[0])
    close(f(np.float64(0.0)), 1.0)
    assert f.lower(np.float64(0.0)).executable.program.count("call") == 1


@pytest.mark.parametrize("x", [0.5, np.full(3, 0.5, np.float32), np.full(100, 0.5, np.float32)])
def test_a_carry_moves_on_while_another_is_computed_from_it(x):
    def turned(x):
        return lax.fori_loop(0, 3, lambda i, b: (x * x * b[0] - b[1], b[0]), (x * 1, x * 20))

    for got, want in zip(fg.jit(turned)(x), (9.1328125, -2.96875)):
        np.testing.assert_allclose(got, np.full(np.shape(x), want))
    donated = fg.jit(lambda a, b: (a * a * a - b, a), donate_argnums=(0, 1))(
        jnp.asarray(x) * 3, jnp.asarray(x) * 4
    )
    np.testing.assert_allclose(donated[0], np.full(np.shape(x), 1.375))
    np.testing.assert_allclose(donated[1], np.full(np.shape(x), 1.5))


def test_a_condition_and_a_body_in_each_others_place_are_named():
    with pytest.raises(DTypeError) as raised:
        lax.while_loop(lambda x: x + 1, lambda x: x < 3, 0)
    assert raised.value.hint.startswith("the condition comes first: while_loop(cond_fun, body_fun, init_val)")
    with pytest.raises(ArgumentError, match=r"return a pair \(carry, y\), and returned an array"):
        lax.scan(lambda c, x: c + x, 0.0, jnp.arange(3.0))


@pytest.mark.parametrize(
    "f",
    [
        lambda: fg.lax.switch(1, [lambda: 1.0, lambda: 2.0]),
        lambda: fg.lax.cond(True, lambda: 1.0, lambda: 2.0),
        lambda: fg.checkpoint(lambda x: 1.0)(2.0),
        lambda: fg.lax.cond(False, lambda x: True, lambda x: False, 1.0),
    ],
)
def test_numbers_that_a_branch_gives_are_arrays_of_their_type(f):
    out = f()
    assert np.asarray(out).dtype == out.dtype
    np.testing.assert_array_equal(out, fg.jit(f)())


@pytest.mark.parametrize("wrap", [lambda f: f, fg.jit], ids=["eager", "jit"])
def test_loops_and_branches_over_no_examples(wrap):
    def until_5(x):
        return lax.while_loop(lambda s: s[0] < 5, lambda s: (s[0] + 1, s[1] * 2), (x, x))[1]

    def steps(n):
        return lax.fori_loop(0, n, lambda i, c: c + i, 0.0)

    def branch(x):
        return lax.cond(x > 0, jnp.sin, jnp.cos, x)

    nothing = jnp.zeros(0)
    for f in (until_5, branch, lambda x: lax.scan(lambda c, _: (until_5(c), c), x, None, length=3)[1][0]):
        assert wrap(fg.vmap(f))(nothing).shape == (0,)
        assert wrap(fg.vmap(fg.jacfwd(f)))(nothing).shape == (0,)
    assert wrap(fg.vmap(steps))(jnp.zeros(0, int)).shape == (0,)


@pytest.mark.parametrize("wrap", [lambda f: f, fg.jit], ids=["eager", "jit"])
def test_bounds_of_fori_loop_may_be_floats(wrap):
    total = wrap(lambda lower, upper: lax.fori_loop(lower, upper, lambda i, c: c + i, 0.0))
    assert total(0.0, 3.0) == 3 and total(0.5, 3.0) == 4.5 and total(0.0, 3.5) == 6 and total(2.0, 1.0) == 0
    power = wrap(lambda x, n: lax.fori_loop(0.0, n, lambda i, c: c * x, 1.0))
    assert fg.grad(power)(2.0, 3.0) == 12

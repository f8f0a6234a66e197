"""custom_jvp, custom_vjp and checkpoint: the user's rules are used by every transform, in every order."""

from __future__ import annotations

import numpy as np
import pytest

import funcgrad as fg
import funcgrad.numpy as jnp
from funcgrad.errors import ArgumentError, DTypeError, FuncgradError, NotDifferentiableError, ShapeError

X = np.array([0.3, -1.2, 2.0], np.float32)


def close(actual, expected):
    assert fg.tree.structure(actual) == fg.tree.structure(expected)
    for a, e in zip(fg.tree.leaves(actual), fg.tree.leaves(expected)):
        np.testing.assert_allclose(np.asarray(a), np.asarray(e), rtol=1e-5, atol=1e-5)


def with_jvp_rule():
    """sin, whose tangent is doubled so that the rule shows."""

    @fg.custom_jvp
    def f(x):
        return jnp.sin(x)

    @f.defjvp
    def rule(primals, tangents):
        (x,), (t,) = primals, tangents
        return f(x), 2.0 * jnp.cos(x) * t

    return f


def with_vjp_rule():
    """sin, whose cotangent is doubled."""

    @fg.custom_vjp
    def f(x):
        return jnp.sin(x)

    f.defvjp(lambda x: (f(x), x), lambda x, ct: (2.0 * jnp.cos(x) * ct,))
    return f


RULES = {"custom_jvp": with_jvp_rule, "custom_vjp": with_vjp_rule}
WRAPPERS = {
    "plain": lambda f: f,
    "jit": fg.jit,
    "checkpoint": fg.checkpoint,
    "jit of checkpoint": lambda f: fg.jit(fg.checkpoint(f)),
    "checkpoint of jit": lambda f: fg.checkpoint(fg.jit(f)),
    "nested checkpoints": lambda f: fg.checkpoint(lambda x: fg.checkpoint(f)(x)),
}


@pytest.mark.parametrize("kind", RULES)
@pytest.mark.parametrize("inner", WRAPPERS)
@pytest.mark.parametrize("outer", ["plain", "jit"])
def test_the_rule_is_used_by_every_transform(kind, inner, outer):
    f, w = WRAPPERS[inner](RULES[kind]()), WRAPPERS[outer]
    slope, curve = 2 * np.cos(X), -2 * np.sin(X)

    def total(x):
        return jnp.sum(f(x))

    checks = {
        "value": (w(f), np.sin(X)),
        "grad": (w(fg.grad(total)), slope),
        "jvp": (w(lambda x: fg.jvp(f, (x,), (jnp.ones(3),))[1]), slope),
        "linearize": (w(lambda x: fg.linearize(f, x)[1](jnp.ones(3))), slope),
        "vmap": (w(fg.vmap(f)), np.sin(X)),
        "vmap of grad": (w(fg.vmap(fg.grad(f))), slope),
        "grad of vmap": (w(fg.grad(lambda x: jnp.sum(fg.vmap(f)(x)))), slope),
        "jvp of vmap": (w(lambda x: fg.jvp(fg.vmap(f), (x,), (jnp.ones(3),))[1]), slope),
        "jacfwd": (w(fg.jacfwd(f)), np.diag(slope)),
        "jacrev": (w(fg.jacrev(f)), np.diag(slope)),
    }
    # the rule of custom_jvp is differentiated by itself; that of custom_vjp through its forward function
    checks |= {
        "hessian": (w(fg.hessian(total)), np.diag(curve)),
        "reverse over reverse": (w(fg.jacrev(fg.jacrev(total))), np.diag(curve)),
        "forward over forward": (w(fg.jacfwd(fg.jacfwd(total))), np.diag(curve)),
        "reverse over forward": (w(fg.jacrev(fg.jacfwd(total))), np.diag(curve)),
        "vmap of grad of grad": (w(fg.vmap(fg.grad(fg.grad(f)))), curve),
    }
    for name, (function, expected) in checks.items():
        np.testing.assert_allclose(np.asarray(function(X)), expected, rtol=1e-5, atol=1e-5, err_msg=name)


@pytest.mark.parametrize("wrap", ["plain", "jit", "checkpoint"])
def test_rules_on_trees_with_none_for_zero(wrap):
    @fg.custom_vjp
    def f(p, n, y):
        return {"out": p["a"] * p["b"] * n, "y": y}

    def forward(p, n, y):
        return f(p, n, y), {"p": p, "unused": None}

    def backward(residuals, ct):
        p = residuals["p"]
        return {"a": ct["out"] * p["b"] * 10.0, "b": None}, None, ct["y"] * 5.0

    f.defvjp(forward, backward)
    g = WRAPPERS[wrap](f)

    def loss(p, y):
        return (lambda o: jnp.sum(o["out"]) + jnp.sum(o["y"]))(g(p, 3, y))

    gp, gy = fg.grad(loss, argnums=(0, 1))({"a": X, "b": X + 1}, X)
    close(gp, {"a": (X + 1) * 10, "b": np.zeros(3)})
    close(gy, np.full(3, 5.0))
    close(fg.grad(lambda y: loss({"a": X, "b": X}, y))(X), np.full(3, 5.0))


@pytest.mark.parametrize("wrap", ["plain", "jit"])
def test_nondiff_arguments_reach_the_rules_first(wrap):
    @fg.custom_jvp
    def plain(x):
        return x

    def apply(f, x, n):
        return f(x) * n

    cj = fg.custom_jvp(apply, nondiff_argnums=(0, 2))
    cj.defjvp(lambda f, n, primals, tangents: (cj(f, *primals, n), 7.0 * n * tangents[0]))
    close(WRAPPERS[wrap](fg.grad(lambda x: cj(jnp.sin, x, 2)))(1.0), 14.0)
    cv = fg.custom_vjp(apply, nondiff_argnums=(0, -1))
    cv.defvjp(lambda f, x, n: (f(x) * n, x), lambda f, n, x, ct: (f(ct) * n * 5.0,))
    close(WRAPPERS[wrap](fg.grad(lambda x: cv(jnp.negative, x, 2)))(1.0), -10.0)
    close(cv(jnp.sin, 1.0, n=2), 2 * np.sin(1.0))
    named = fg.custom_vjp(apply, nondiff_argnames=("f", "n"))
    named.defvjp(lambda f, x, n: (f(x) * n, x), lambda f, n, x, ct: (ct * 4.0,))
    close(fg.grad(lambda x: named(jnp.sin, x, 2))(1.0), 4.0)


def test_defaults_keywords_and_methods():
    @fg.custom_jvp
    def f(x, scale=2.0):
        return x * scale

    f.defjvps(lambda t, out, x, scale: 3.0 * t, None)
    close((f(1.0), f(1.0, scale=5.0), f(scale=5.0, x=1.0)), (2.0, 5.0, 5.0))
    close(fg.grad(f)(1.0), 3.0)
    close(fg.grad(f, argnums=1)(1.0, 2.0), 0.0)
    assert f.__name__ == "f"

    with pytest.raises(ArgumentError, match="keyword-only"):
        g = fg.custom_jvp(lambda x, *, k=1.0: x * k)
        g.defjvps(None)
        assert g(2.0) == 2.0
        g(1.0, k=3.0)


def test_numerically_stable_log1pexp_of_the_documentation():
    @fg.custom_jvp
    def log1pexp(x):
        return jnp.log(1.0 + jnp.exp(x))

    @log1pexp.defjvp
    def rule(primals, tangents):
        (x,), (t,) = primals, tangents
        return log1pexp(x), (1 - 1 / (1 + jnp.exp(x))) * t

    close(fg.grad(log1pexp)(100.0), 1.0)
    close(fg.jit(fg.grad(log1pexp))(100.0), 1.0)
    close(fg.vmap(fg.jit(fg.grad(log1pexp)))(jnp.array([0.0, 100.0])), (np.array([0.5, 1.0])))


def test_gradient_clipping_of_the_documentation():
    @fg.custom_vjp
    def clip_gradient(lo, hi, x):
        return x

    clip_gradient.defvjp(
        lambda lo, hi, x: (x, (lo, hi)), lambda res, g: (None, None, jnp.clip(g, res[0], res[1]))
    )
    t = np.linspace(0, 6, 20, dtype=np.float32)
    got = fg.vmap(fg.grad(lambda x: jnp.sin(clip_gradient(-0.75, 0.75, x))))(t)
    close(got, np.clip(np.cos(t), -0.75, 0.75))


def test_implicit_differentiation_of_a_fixed_point():
    """A custom_vjp with a function argument, data-dependent iteration inside, and vjp inside its rules."""

    def iterate(f, x):
        before, x = x, f(x)
        while abs(float(x) - float(before)) > 1e-6:
            before, x = x, f(x)
        return x

    def fixed_point(f, a, guess):
        return iterate(lambda x: f(a, x), guess)

    solve = fg.custom_vjp(fixed_point, nondiff_argnums=(0,))

    def forward(f, a, guess):
        star = solve(f, a, guess)
        return star, (a, star)

    def backward(f, residuals, ct):
        a, star = residuals
        _, pull_a = fg.vjp(lambda a: f(a, star), a)
        _, pull_x = fg.vjp(lambda x: f(a, x), star)
        u = iterate(lambda u: ct + pull_x(u)[0], ct)
        return pull_a(u)[0], jnp.zeros_like(star)

    solve.defvjp(forward, backward)

    def newton(a, x):
        return 0.5 * (x + a / x)

    close(fg.grad(lambda a: solve(newton, a, a))(2.0), 0.5 / np.sqrt(2.0))


@pytest.mark.parametrize("kind", RULES)
def test_python_control_flow_works_inside_under_grad(kind):
    @(fg.custom_jvp if kind == "custom_jvp" else fg.custom_vjp)
    def f(x):
        return x if x > 0 else -x

    if kind == "custom_jvp":
        f.defjvps(lambda t, out, x: t if x > 0 else -t)
    else:
        f.defvjp(lambda x: (f(x), bool(x > 0)), lambda positive, ct: (ct if positive else -ct,))
    close((f(-2.0), fg.grad(f)(-2.0), fg.grad(f)(2.0)), (2.0, -1.0, 1.0))


def test_the_function_may_close_over_constants_and_unrelated_tracers():
    def outer(y, x):
        @fg.custom_vjp
        def f(x):
            return x * y

        f.defvjp(lambda x: (x * y, None), lambda _, ct: (ct * 100.0,))
        return f(x)

    close(fg.grad(outer, argnums=1)(3.0, 2.0), 100.0)
    close(fg.jit(fg.grad(outer, argnums=1))(3.0, 2.0), 100.0)
    close(fg.jit(lambda y: fg.grad(outer, argnums=1)(y, 2.0))(3.0), 100.0)
    for differentiate in (fg.grad, lambda f: fg.jit(fg.grad(f)), lambda f: fg.grad(fg.jit(f))):
        with pytest.raises(FuncgradError):
            differentiate(outer)(3.0, 2.0)


def broken_jvp(rule):
    f = fg.custom_jvp(lambda x: x)
    f.defjvp(rule)
    return f


def broken_vjp(forward, backward):
    f = fg.custom_vjp(lambda x: x)
    f.defvjp(forward, backward)
    return f


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: fg.custom_jvp(lambda x: x)(X), ArgumentError, "no rule yet"),
        (lambda: fg.custom_vjp(lambda x: x)(X), ArgumentError, "no rules yet"),
        (lambda: fg.custom_jvp(3), ArgumentError, "takes a function"),
        (lambda: broken_jvp(lambda p, t: p[0]), ArgumentError, "output, tangent"),
        (lambda: broken_jvp(lambda p, t: (p[0], (t[0], t[0]))), ArgumentError, "structure"),
        (lambda: broken_jvp(lambda p, t: (p[0], t[0][:2])), ShapeError, r"f32\[2\].*f32\[3\]"),
        (lambda: broken_jvp(lambda p, t: (p[0], t[0].astype("float64"))), DTypeError, "f64"),
        (lambda: broken_vjp(lambda x: x, lambda r, g: (g,)), ArgumentError, "output, residuals"),
        (lambda: broken_vjp(lambda x: (x, None), lambda r, g: g), ArgumentError, "one cotangent per"),
        (lambda: broken_vjp(lambda x: (x, None), lambda r, g: (g, g)), ArgumentError, "2 entries"),
        (lambda: broken_vjp(lambda x: (x, None), lambda r, g: ([g, g],)), ArgumentError, "structure"),
        (lambda: broken_vjp(lambda x: (x, None), lambda r, g: (g[:2],)), ShapeError, r"f32\[2\]"),
        (
            lambda: fg.jit(broken_vjp(lambda x: ((x, x), None), lambda r, g: (g[0],))),
            ArgumentError,
            "forward rule.*structure",
        ),
        (lambda: fg.jit(broken_jvp(lambda p, t: ((), ()))), ArgumentError, "jvp rule.*structure"),
    ],
)
def test_wrong_rules_are_refused_in_words(make, error, words):
    with pytest.raises(error, match=words):
        f = make()
        fg.grad(lambda x: jnp.sum(f(x)))(X)


# -------------------------------------------------------------------------------------------------- checkpoint
def chain(x):
    return jnp.sin(jnp.sin(jnp.sin(jnp.exp(x))))


def residuals(f, *args):
    """The constants that the linear function of `linearize` holds: their sizes."""
    from funcgrad.transforms.partial import linearize

    _, linear = linearize(lambda *xs: [f(*xs)], args)
    return [np.size(c) for c in linear.closed.constants]


def test_a_checkpoint_keeps_its_arguments_only():
    x = jnp.asarray(X)
    assert len(residuals(chain, x)) > 1
    assert residuals(fg.checkpoint(chain), x) == [3]
    assert residuals(fg.jit(fg.checkpoint(chain)), x) == [3]
    assert residuals(lambda x: fg.checkpoint(chain)(fg.checkpoint(chain)(x)), x) == [3, 3]


def test_a_checkpoint_computes_again_in_the_backward_pass():
    def sines(f):
        return str(fg.make_graph(fg.grad(lambda x: jnp.sum(f(x))))(X)).count("= sin ")

    assert sines(chain) == 3
    assert sines(fg.checkpoint(chain)) == 3 + 2  # the outermost sine is not needed by the derivative


@pytest.mark.parametrize("layers", [1, 3])
def test_checkpointed_layers_give_the_same_derivatives(layers):
    def net(p, x, wrap):
        for _ in range(layers):
            x = wrap(lambda x: jnp.tanh(x * p["w"]) + p["b"])(x)
        return jnp.sum(x**2)

    p = {"w": X, "b": X[::-1].copy()}
    for wrap in WRAPPERS.values():
        for outer in (lambda f: f, fg.jit):
            got = outer(fg.grad(lambda p, x, w=wrap: net(p, x, w), argnums=(0, 1)))(p, X)
            close(got, fg.grad(lambda p, x: net(p, x, lambda f: f), argnums=(0, 1))(p, X))
        np.testing.assert_allclose(
            fg.jvp(lambda x, w=wrap: net(p, x, w), (X,), (X,))[1],
            fg.jvp(lambda x: net(p, x, lambda f: f), (X,), (X,))[1],
            rtol=1e-5,
        )


def test_checkpoint_options():
    f = fg.checkpoint(lambda x, n, *, k: x * n * k, static_argnums=(1,))
    close(fg.grad(f)(2.0, 3, k=4.0), 12.0)

    @fg.checkpoint(prevent_cse=False)
    def g(x):
        return {"a": x * x, "n": None}

    close(fg.grad(lambda x: g(x)["a"])(3.0), 6.0)
    assert fg.remat is fg.checkpoint
    close(fg.vmap(fg.checkpoint(jnp.sin))(X), np.sin(X))
    with pytest.raises(ArgumentError, match="takes a function"):
        fg.checkpoint(3.0)


def test_integers_go_through_checkpoint_and_jit_undifferentiated():
    for wrap in (fg.checkpoint, fg.jit):
        f = wrap(lambda x, i: (jnp.sum(x[i] * i), i + 1))
        close(fg.grad(lambda x, f=f: f(x, jnp.asarray([0, 2]))[0])(X), np.array([0.0, 0.0, 2.0]))


def test_reverse_mode_through_what_has_no_transpose_is_refused():
    f = fg.linear_transpose
    with pytest.raises(NotDifferentiableError, match="no transpose rule"):
        f(lambda x: jnp.exp(x), X)(X)


def test_none_from_a_backward_rule_stands_for_a_subtree():
    @fg.custom_vjp
    def first(x):
        return x[0]

    first.defvjp(lambda x: (x[0], None), lambda _, ct: ((ct, None),))
    assert fg.grad(first)((1.0, (2.0, 3.0))) == (1.0, (0.0, 0.0))
    first.defvjp(lambda x: (x[0], None), lambda _, ct: ((ct, (None, None)),))
    assert fg.grad(first)((1.0, (2.0, None))) == (1.0, (0.0, None))


def test_a_rule_may_call_its_own_linear_function():
    @fg.custom_jvp
    def triple(x):
        return 3 * x

    @triple.defjvp
    def _(primals, tangents):
        return triple(*primals), triple(*tangents)

    for transform in (lambda f: f, fg.jit):
        assert transform(fg.grad(triple))(1.0) == 3.0
        assert transform(fg.grad(lambda x: triple(triple(x))))(1.0) == 9.0
        assert transform(fg.vmap(fg.grad(triple)))(np.ones(2)).tolist() == [3.0, 3.0]
    assert fg.grad(fg.grad(lambda x: triple(x) ** 2))(1.0) == 18.0

    @fg.custom_jvp
    def wrong(x):
        return jnp.sin(x)

    wrong.defjvp(lambda primals, tangents: (wrong(*primals), wrong(*tangents)))
    with pytest.raises(NotDifferentiableError):
        fg.grad(wrong)(1.0)


def test_rules_that_call_their_own_function_at_any_order_and_under_any_transform():
    @fg.custom_jvp
    def mul(x, y):
        return x * y

    @mul.defjvp
    def _(primals, tangents):
        (x, y), (tx, ty) = primals, tangents
        return mul(x, y), mul(tx, y) + fg.jit(mul)(x, ty)

    def scaled(f):
        """The same function with a rule that closes over a traced value."""

        def g(x):
            s = fg.lax.stop_gradient(jnp.cos(x))
            twice = fg.custom_jvp(lambda v: v * s)
            twice.defjvp(lambda p, t: (twice(*p), twice(*t)))
            return twice(f(x))

        return g

    within = {
        "plain": lambda f: f,
        "vmap": lambda f: lambda x: fg.vmap(f)(jnp.stack([x, 2 * x])).sum(),
        "scan": lambda f: lambda x: fg.lax.scan(lambda c, _: (0.5 * f(c), None), x, None, length=2)[0],
        "closure": scaled,
    }
    orders = [
        fg.grad,
        lambda f: fg.jacrev(fg.jacfwd(f)),
        lambda f: fg.grad(fg.grad(f)),
        fg.hessian,
        lambda f: fg.grad(fg.grad(fg.grad(f))),
    ]
    for name, inner in within.items():
        ours, plain = inner(lambda x: mul(x, jnp.sin(x))), inner(lambda x: x * jnp.sin(x))
        if name == "closure":
            plain = lambda x: x * jnp.sin(x) * fg.lax.stop_gradient(jnp.cos(x))  # noqa: E731
        for order in orders:
            want = order(plain)(0.7)
            close(order(ours)(0.7), want)
            close(fg.jit(order(ours))(0.7), want)
            close(fg.vmap(order(ours))(jnp.array([0.7, 0.7]))[1], want)


@pytest.mark.parametrize(
    "tangent",
    [lambda x, t: t * t, lambda x, t: x / t, lambda x, t: jnp.sin(t)],
    ids=["product", "ratio", "sin"],
)
def test_tangents_that_are_not_linear_are_an_error_of_their_line(tangent):
    f = fg.custom_jvp(lambda x: x * x)
    f.defjvp(lambda primals, tangents: (f(*primals), tangent(*primals, *tangents)))
    code = tangent.__code__
    for transform in (lambda f: f, fg.jit, lambda f: lambda x: fg.vmap(f)(jnp.stack([x, x]))):
        with pytest.raises(NotDifferentiableError, match="linear in the tangents") as raised:
            transform(fg.grad(f))(1.0)
        assert raised.value.where[:2] == (code.co_filename, code.co_firstlineno)


def test_what_a_rule_has_to_return_is_said():
    alone = fg.custom_jvp(lambda x: x * x)
    alone.defjvp(lambda primals, tangents: tangents[0])
    with pytest.raises(ArgumentError, match=r"\(output, tangent\), got an array") as raised:
        fg.jit(fg.grad(alone))(1.0)
    assert "return a pair" in raised.value.hint
    alone = fg.custom_vjp(lambda x: x * x)
    alone.defvjp(lambda x: x * x, lambda _, ct: (ct,))
    with pytest.raises(ArgumentError, match=r"\(output, residuals\), got an array") as raised:
        fg.jit(fg.grad(alone))(1.0)
    assert "None for nothing" in raised.value.hint


@pytest.mark.parametrize("kind", [fg.custom_jvp, fg.custom_vjp])
def test_a_call_keeps_no_traced_operand(kind):
    f = kind(jnp.sin)
    if kind is fg.custom_jvp:
        f.defjvps(lambda t, out, x: t * jnp.cos(x))
    else:
        f.defvjp(lambda x: (f(x), x), lambda x, ct: (ct * jnp.cos(x),))

    def last(x):
        return fg.lax.scan(lambda c, _: (f(c + 1.0), None), x, None, length=2)[0]

    with fg.checking_leaks():
        value, slope = fg.jit(fg.value_and_grad(last))(jnp.float32(0))
    first = np.sin(1.0) + 1
    np.testing.assert_allclose(value, np.sin(first), rtol=1e-6)
    np.testing.assert_allclose(slope, np.cos(1.0) * np.cos(first), rtol=1e-5)


def test_forward_mode_through_a_backward_function_that_makes_arrays():
    weights = jnp.array([0.5, -1.0, 2.0])

    @fg.custom_vjp
    def f(x):
        return jnp.arange(3.0) * x.sum() + weights

    f.defvjp(lambda x: (f(x), None), lambda _, ct: (jnp.ones(3) * (ct * jnp.array([0.0, 1.0, 2.0])).sum(),))
    x, t = jnp.array([0.1, 0.2, 0.3]), jnp.array([1.0, 0.0, -2.0])
    push = lambda x: fg.jvp(lambda x: f(x) ** 2, (x,), (t,))[1]  # noqa: E731
    expected = 2 * f(x) * jnp.arange(3.0) * t.sum()
    for function in (push, fg.jit(push), lambda x: fg.jit(fg.vmap(push))(x[None])[0]):
        np.testing.assert_allclose(function(x), expected, 1e-6)
    in_loop = fg.jit(lambda x: fg.lax.scan(lambda c, _: (push(c), None), x, None, length=1)[0])
    np.testing.assert_allclose(in_loop(x), expected, 1e-6)

"""What rules see and how they nest: symbolic zeros, optimize_remat, custom_gradient, closure_convert, and rules within
rules, loops and batches."""

from __future__ import annotations

import numpy as np
import pytest

import funcgrad as fg
import funcgrad.numpy as jnp
from funcgrad.custom_derivatives import CustomVJPPrimal, SymbolicZero, custom_vjp_primal_tree_values
from funcgrad.errors import ArgumentError, FuncgradError, NotDifferentiableError
from funcgrad.testing import check_grads

X = np.array([0.3, -1.2, 2.0])
WRAPS = {"plain": lambda f: f, "jit": fg.jit, "checkpoint": fg.checkpoint}


def close(actual, expected):
    for a, e in zip(fg.tree.leaves(actual), fg.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(np.asarray(a), np.asarray(e), rtol=1e-6, atol=1e-12)


# ----------------------------------------------------------------------------------------------- symbolic zeros


def product_by_jvp(seen):
    @fg.custom_jvp
    def f(x, y):
        return x * y, y

    def rule(primals, tangents):
        (x, y), (tx, ty) = primals, tangents
        seen.append([isinstance(t, SymbolicZero) for t in tangents])
        assert all(
            t.shape == jnp.shape(p) and t.dtype == jnp.result_type(p) for t, p in zip(tangents, primals)
        )
        total = [t * p for t, p in ((tx, y), (ty, x)) if not isinstance(t, SymbolicZero)]
        return f(x, y), (sum(total[1:], total[0]), ty)

    f.defjvp(rule, symbolic_zeros=True)
    return f


def product_by_vjp(seen, cotangents):
    @fg.custom_vjp
    def f(x, y):
        return x * y, y

    def forward(x, y):
        assert isinstance(x, CustomVJPPrimal)
        seen.append([not x.perturbed, not y.perturbed])
        x, y = custom_vjp_primal_tree_values((x, y))
        return f(x, y), (x, y)

    def backward(residuals, ct):
        x, y = residuals
        cotangents.append([isinstance(c, SymbolicZero) for c in ct])
        cy = SymbolicZero(ct[1].aval) if isinstance(ct[1], SymbolicZero) else ct[1]
        return ct[0] * y, ct[0] * x if isinstance(cy, SymbolicZero) else ct[0] * x + cy

    f.defvjp(forward, backward, symbolic_zeros=True)
    return f


TRANSFORMED = {
    "grad": lambda f, x, y: fg.vmap(fg.grad(f))(x, y),
    "jit of grad": lambda f, x, y: fg.jit(fg.vmap(fg.grad(f)))(x, y),
    "grad of jit": lambda f, x, y: fg.vmap(fg.grad(fg.jit(f)))(x, y),
    "grad of vmap": lambda f, x, y: fg.grad(lambda x: jnp.sum(fg.vmap(f)(x, y)))(x),
    "grad of vmap of one": lambda f, x, y: (
        fg.grad(lambda x: jnp.sum(fg.vmap(f, (0, None))(x, 7.0)))(x) * y / 7
    ),
    "grad of checkpoint": lambda f, x, y: fg.vmap(fg.grad(fg.checkpoint(f)))(x, y),
}


@pytest.mark.parametrize("transform", TRANSFORMED)
def test_rules_see_what_is_not_involved(transform):
    for kind in (product_by_jvp, product_by_vjp):
        seen, cotangents = [], []
        f = kind(seen) if kind is product_by_jvp else kind(seen, cotangents)
        close(TRANSFORMED[transform](lambda x, y, f=f: f(x, y)[0], X, X + 1), X + 1)
        assert seen and all(flags == [False, True] for flags in seen)
        assert all(flags == [False, True] for flags in cotangents)
        seen.clear()
        close(fg.vmap(fg.grad(lambda x, y, f=f: f(x, y)[0], (0, 1)))(X, X + 1), (X + 1, X))
        assert all(flags == [False, False] for flags in seen)


def test_a_rule_may_return_symbolic_zeros():
    @fg.custom_jvp
    def f(x, y):
        return jnp.sin(x), y

    f.defjvp(lambda p, t: (f(*p), (jnp.cos(p[0]) * t[0], t[1])), symbolic_zeros=True)
    for g in (f, fg.jit(f), fg.vmap(f)):
        close(fg.jvp(lambda x, g=g: g(x, X), (X,), (np.ones(3),))[1], (np.cos(X), np.zeros(3)))


def test_zero_from_primal():
    zero = fg.custom_derivatives.zero_from_primal
    close(zero(X), np.zeros(3))
    z = zero(X, symbolic_zeros=True)
    assert (z.shape, z.dtype, z.ndim, z.size) == ((3,), X.dtype, 1, 3)


def test_integers_have_symbolic_zeros():
    @fg.custom_jvp
    def f(x, n):
        return x**n, n + 1

    def rule(primals, tangents):
        assert isinstance(tangents[1], SymbolicZero)
        (x, n), (t, tn) = primals, tangents
        return f(x, n), (n * x ** (n - 1) * t, tn)

    f.defjvp(rule, symbolic_zeros=True)
    n = np.array([2, 3, 1])
    for g in (lambda x: jnp.sum(f(x, n)[0]), lambda x: jnp.sum(fg.vmap(f)(x, n)[0])):
        close(fg.grad(g)(X), n * X ** (n - 1))
        close(fg.jit(fg.grad(g))(X), n * X ** (n - 1))


# ---------------------------------------------------------------------------------------------- optimize_remat


@pytest.mark.parametrize("optimize", [False, True])
def test_optimize_remat_runs_the_function_where_residuals_are_not_needed(optimize):
    @fg.custom_vjp
    def f(x):
        return jnp.sin(x)

    # what fwd does is told apart by its sinh, which its output needs too
    f.defvjp(
        lambda x: (jnp.sin(x) + 0 * jnp.sinh(x), x), lambda x, ct: (jnp.cos(x) * ct,), optimize_remat=optimize
    )

    def loss(x):
        return jnp.sum(jnp.exp(fg.checkpoint(f)(x)))

    want = np.exp(np.sin(X)) * np.cos(X)
    for g in (
        fg.grad(loss),
        fg.jit(fg.grad(loss)),
        fg.grad(fg.jit(loss)),
        fg.jit(fg.grad(fg.checkpoint(loss))),
    ):
        close(g(X), want)
    text = str(fg.make_graph(fg.grad(loss))(X))
    assert ("= sinh" in text.split("exp")[0]) is not optimize
    close(fg.vmap(fg.grad(lambda x: jnp.exp(f(x))))(X), want)
    close(fg.grad(lambda x: jnp.sum(fg.vmap(lambda x: jnp.exp(f(x)))(x)))(X), want)
    check_grads(f, (X,), order=2)


# ------------------------------------------------------------------------------ custom_gradient, closure_convert


@pytest.mark.parametrize("wrap", WRAPS)
def test_custom_gradient(wrap):
    @fg.custom_gradient
    def f(x, y):
        s = jnp.sin(x)
        return {"out": s * y}, lambda ct: (3 * jnp.cos(x) * y * ct["out"], s * ct["out"])

    g = WRAPS[wrap](f)
    total = lambda x, y: jnp.sum(g(x, y)["out"])  # noqa: E731
    close(g(X, 2.0)["out"], 2 * np.sin(X))
    close(fg.grad(total, (0, 1))(X, X), (3 * np.cos(X) * X, np.sin(X)))
    close(fg.jit(fg.grad(total))(X, X), 3 * np.cos(X) * X)
    close(fg.vmap(fg.grad(total))(X, X), 3 * np.cos(X) * X)
    close(fg.vmap(fg.grad(fg.grad(lambda x: total(x, 1.0))))(X), -3 * np.sin(X))
    single = fg.custom_gradient(lambda x: (x**2, lambda ct: 5 * ct * x))
    close(fg.grad(single)(2.0), 10.0)
    with pytest.raises(ArgumentError, match=r"\(output, rule\)"):
        fg.custom_gradient(lambda x: x)(1.0)
    with pytest.raises(ArgumentError, match="takes a function"):
        fg.custom_gradient(1.0)


def test_closure_convert_makes_closures_arguments_of_a_custom_vjp():
    def apply(objective, x, *values):
        return objective(x, *values)

    solve = fg.custom_vjp(apply, nondiff_argnums=(0,))

    def backward(objective, residuals, ct):
        x, values = residuals
        pulled = fg.vjp(objective, x, *values)[1](ct)
        return tuple(10.0 * p for p in pulled)

    solve.defvjp(lambda f, x, *values: (solve(f, x, *values), (x, values)), backward)

    def outer(y, x):
        offset = jnp.arange(3.0)
        converted, values = fg.closure_convert(lambda x: x * y + offset * 2, x)
        assert len(values) == (not isinstance(y, float))
        return jnp.sum(solve(converted, x, *values))

    for f in (outer, fg.jit(outer)):
        close(f(2.0, X), np.sum(X * 2 + 2 * np.arange(3)))
        close(fg.grad(f, (0, 1))(2.0, X), (10 * np.sum(X), np.full(3, 20.0)))
    converted, values = fg.closure_convert(lambda x: x * 2, X)
    assert values == []
    with pytest.raises(ArgumentError, match="structure"):
        converted(X, X)


# -------------------------------------------------------------------------------------------- rules within rules


def tripled_sine():
    f = fg.custom_vjp(jnp.sin)
    f.defvjp(lambda x: (jnp.sin(x), jnp.cos(x)), lambda c, ct: (3 * c * ct,))
    return f


def doubled_square():
    f = fg.custom_jvp(lambda x: x * x)
    f.defjvp(lambda p, t: (f(*p), 4 * p[0] * t[0]))
    return f


def nested():
    """A custom_vjp whose rules call a custom_jvp and another custom_vjp: value sin(x)^2, derivative 5 (2s)(2c)."""
    sine, square = tripled_sine(), doubled_square()
    f = fg.custom_vjp(lambda x: square(sine(x)))

    def backward(residuals, ct):
        x, s = residuals
        return (5 * fg.grad(lambda s: jnp.sum(square(s)))(s) * jnp.cos(x) * ct,)

    f.defvjp(lambda x: (square(sine(x)), (x, sine(x))), backward)
    return f


S, C = np.sin(X), np.cos(X)


@pytest.mark.parametrize("wrap", WRAPS)
def test_nested_rules_differentiate_in_every_mode(wrap):
    f = WRAPS[wrap](nested())
    total = lambda x: jnp.sum(f(x))  # noqa: E731
    slope = 20 * S * C
    close(f(X), S * S)
    close(fg.grad(total)(X), slope)
    close(fg.jvp(f, (X,), (np.ones(3),))[1], slope)
    close(fg.jacfwd(f)(X), np.diag(slope))
    close(fg.vmap(fg.grad(f))(X), slope)
    close(fg.vmap(fg.vmap(fg.grad(f)))(X.reshape(3, 1)), slope.reshape(3, 1))
    # the residual s is tripled_sine(x), with derivative 3c; grad of square keeps to the rule: 4s
    curve = 20 * (3 * C * C - S * S)
    for second in (
        fg.hessian(total),
        fg.jacrev(fg.jacrev(total)),
        fg.jacfwd(fg.jacfwd(total)),
        fg.jacrev(fg.jacfwd(total)),
    ):
        close(second(X), np.diag(curve))


def test_rules_in_loops_and_branches():
    f = nested()

    def looped(x):
        return jnp.sum(fg.lax.scan(lambda c, _: (f(c) + 1, c), x, None, length=3)[0])

    def plain(x):
        slopes, c = np.ones(3), x
        for _ in range(3):
            slopes, c = slopes * 20 * np.sin(c) * np.cos(c), np.sin(c) ** 2 + 1
        return slopes

    close(fg.grad(looped)(X), plain(X))
    close(fg.jit(fg.grad(looped))(X), plain(X))
    close(fg.vmap(fg.grad(looped))(X.reshape(3, 1)).reshape(3), plain(X))
    branch = lambda x: fg.lax.cond(x > 0, f, jnp.cos, x)  # noqa: E731
    want = np.where(X > 0, 20 * S * C, -np.sin(X))
    close(fg.vmap(fg.grad(branch))(X), want)
    close(fg.grad(lambda x: jnp.sum(fg.vmap(branch)(x)))(X), want)
    close(fg.vmap(lambda x: fg.jvp(branch, (x,), (1.0,))[1])(X), want)
    power = lambda x: fg.lax.while_loop(lambda c: c[1] < 3, lambda c: (f(c[0]) + 1, c[1] + 1), (x, 0))[0]  # noqa: E731
    close(fg.vmap(fg.grad(power))(X), plain(X))


def test_batches_on_any_axis_of_some_arguments():
    f = fg.custom_vjp(lambda x, y, n: jnp.sum(x * y) * n)
    f.defvjp(lambda x, y, n: (f(x, y, n), (x, y, n)), lambda r, ct: (2 * ct * r[1] * r[2], None, None))
    x, y, n = np.arange(6.0).reshape(3, 2), np.ones(3), np.array([1, 2])
    close(fg.vmap(fg.grad(f), (1, None, 0))(x, y, n), 2 * np.ones((2, 3)) * n[:, None])
    grads = fg.grad(lambda x, y: jnp.sum(fg.vmap(f, (1, None, 0), 0)(x, y, n)), (0, 1))(x, y)
    close(grads, (2 * np.ones((3, 2)) * n, np.zeros(3)))
    shared = fg.grad(lambda x: jnp.sum(fg.vmap(f, (None, None, 0))(x, y, n)))(y)
    close(shared, 2 * np.ones(3) * n.sum())


def test_what_a_rule_without_derivative_refuses():
    f = fg.custom_vjp(jnp.sin)
    callback = lambda c: fg.pure_callback(np.asarray, fg.ShapeDtypeStruct(c.shape, c.dtype), c)  # noqa: E731
    f.defvjp(lambda x: (jnp.sin(x), callback(jnp.cos(x))), lambda c, ct: (c * ct,))
    close(fg.grad(lambda x: jnp.sum(f(x)))(X), C)
    with pytest.raises(FuncgradError, match="callback"):
        fg.hessian(lambda x: jnp.sum(f(x)))(X)


@pytest.mark.parametrize("kind", ["custom_vjp", "custom_jvp"])
def test_linear_functions_with_rules_are_transposed_by_them(kind):
    def make(factor):
        def opaque(x):
            out = fg.ShapeDtypeStruct(x.shape, x.dtype)
            return fg.pure_callback(lambda x: factor * np.asarray(x), out, x, vmap_method="expand_dims")

        if kind == "custom_vjp":
            f = fg.custom_vjp(opaque)
            f.defvjp(lambda x: (f(x), None), lambda _, ct: (factor * ct,))
        else:
            f = fg.custom_jvp(opaque)
            f.defjvp(lambda p, t: (f(*p), factor * t[0]))
        return f

    double = make(2.0)
    close(fg.linear_transpose(lambda x: double(x) * 3, X)(X)[0], 6 * X)
    # the backward function calls another function with a rule: forward mode transposes that
    outer = fg.custom_vjp(lambda x: 2 * x)
    outer.defvjp(lambda x: (2 * x, None), lambda _, ct: (double(ct),))
    close(fg.jacfwd(outer)(X), 2 * np.eye(3))
    close(fg.jit(fg.jacfwd(fg.jacrev(lambda x: jnp.sum(outer(x) ** 2))))(X), 8 * np.eye(3))


def test_tracers_among_arguments_that_are_not_differentiated():
    f = fg.custom_jvp(lambda a, x: a * x, nondiff_argnums=(0,))
    f.defjvp(lambda a, p, t: (a * p[0], 7 * a * t[0]))
    for g in (f, fg.jit(f)):
        close(fg.grad(g)(3.0, 2.0), 0.0)
        close(fg.grad(g, 1)(3.0, 2.0), 21.0)
        close(fg.vmap(lambda a, g=g: g(a, 2.0))(X), 2 * X)
        close(fg.vmap(lambda a, g=g: fg.grad(g, 1)(a, 2.0))(X), 7 * X)
    f = fg.custom_vjp(lambda a, x: a * x, nondiff_argnums=(0,))
    f.defvjp(lambda a, x: (a * x, None), lambda a, _, ct: (7 * a * ct,))
    for g in (f, fg.jit(f)):
        close(fg.grad(g, 1)(3.0, 2.0), 21.0)
        close(fg.vmap(lambda a, g=g: g(a, 2.0))(X), 2 * X)
        with pytest.raises(NotDifferentiableError, match="being differentiated"):
            fg.grad(g)(3.0, 2.0)
    close(fg.grad(lambda x: jnp.sum(fg.vmap(lambda a: f(a, x))(X)))(2.0), 7 * X.sum())


def test_a_rule_that_closes_over_a_batched_value_has_its_derivative_outside_vmap_too():
    def outer(a, x):
        f = fg.custom_jvp(lambda x: a * x)
        f.defjvp(lambda p, t: (f(*p), 7 * a * t[0]))
        return f(x)

    for wrap in (lambda f: f, fg.jit):
        close(wrap(fg.vmap(outer, (0, None)))(X, 2.0), 2 * X)
        close(wrap(fg.vmap(fg.grad(outer, 1), (0, None)))(X, 2.0), 7 * X)
        close(wrap(fg.grad(lambda x: jnp.sum(fg.vmap(outer, (0, None))(X, x))))(2.0), 7 * X.sum())

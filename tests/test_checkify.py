"""`checkify`: assertions that work under jit, vmap, derivatives and in loops."""

from __future__ import annotations

import numpy as np
import pytest

import funcgrad as fg
import funcgrad.numpy as jnp
from funcgrad import checkify, lax
from funcgrad.errors import ArgumentError, CheckError, DTypeError

F32 = np.float32


def positive(x):
    checkify.check(x > 0, "x has to be positive, got {x} in {}", 7, x=x)
    return jnp.log(x)


def loop(x):
    return lax.scan(lambda c, i: (c - positive(c) * 0 - i, i), x, np.arange(4, dtype=F32))[0]


WAYS = {
    "eager": lambda f: f,
    "jit outside": fg.jit,
    "jit of grad": lambda f: fg.jit(lambda x: fg.grad(lambda y: (f(y)[1], f(y)[0]), has_aux=True)(x)[::-1]),
}


@pytest.mark.parametrize("way", WAYS)
def test_the_error_is_a_value(way):
    f = WAYS[way](checkify.checkify(positive))
    error, _ = f(F32(2))
    assert error.get() is None
    error.throw()
    error, _ = f(F32(-3))
    assert error.get().startswith("x has to be positive, got -3.0 in 7")
    with pytest.raises(CheckError, match=r"got -3.0 in 7") as raised:
        error.throw()
    assert "test_checkify.py" in str(raised.value)
    assert isinstance(error.get_exception(), ValueError)


def test_results_are_those_of_the_function():
    f = fg.jit(checkify.checkify(lambda x, y: {"a": x + y["b"], "c": (x,)}, errors=checkify.all_checks))
    error, out = f(F32(1), {"b": F32(2)})
    assert error.get() is None
    assert (float(out["a"]), float(out["c"][0])) == (3.0, 1.0)


@pytest.mark.parametrize("transform", [lambda f: f, fg.jit])
def test_a_check_by_itself_raises(transform):
    assert np.isfinite(transform(positive)(F32(1)))
    with pytest.raises(CheckError, match=r"got -1\.0"):
        transform(positive)(F32(-1))
    with pytest.raises(CheckError, match=r"got -2\.0"):
        transform(fg.vmap(positive))(np.array([1, -2, -3], F32))
    with pytest.raises(CheckError, match=r"got 0\.0"):
        transform(loop)(F32(1))


@pytest.mark.parametrize("transform", [lambda f: f, fg.jit])
def test_the_first_failing_iteration_is_reported(transform):
    f = transform(checkify.checkify(loop))
    assert f(F32(10))[0].get() is None
    assert "got 0.0 in 7" in f(F32(1))[0].get()
    assert "got -1.0 in 7" in f(F32(-1))[0].get()


def test_checks_in_while_and_fori():
    def f(x):
        def body(c):
            checkify.check(c < 5, "c = {}", c)
            return c + 2

        return lax.while_loop(lambda c: c < 10, body, x)

    assert "c = 6" in fg.jit(checkify.checkify(f))(0)[0].get()
    assert fg.jit(checkify.checkify(f))(10)[0].get() is None
    g = checkify.checkify(
        lambda n: lax.fori_loop(0, n, lambda i, c: (checkify.check(i < 3, "i {}", i), c)[1], 0)
    )
    assert fg.jit(g)(3)[0].get() is None
    assert "i 3" in fg.jit(g)(6)[0].get()


def test_checks_in_the_condition_of_a_loop():
    def f(limit, x):
        def going(c):
            checkify.check(c < 5, "asked about {}", c)
            return c < limit

        return lax.while_loop(going, lambda c: c + 2, x)

    checked = fg.jit(checkify.checkify(f))
    error, out = checked(4, 0)
    assert (error.get(), int(out)) == (None, 4)
    error, out = checked(9, 0)
    assert "asked about 6" in error.get()
    assert int(out) == 10
    assert "asked about 7" in checked(4, 7)[0].get()
    assert "asked about 6" in fg.vmap(checkify.checkify(f), in_axes=(0, None))(np.array([4, 9]), 0)[0].get()


def test_checks_in_branches():
    def f(p, x):
        return lax.cond(p, positive, lambda x: x, x)

    checked = fg.jit(checkify.checkify(f))
    assert checked(False, F32(-1))[0].get() is None
    assert "got -1.0" in checked(True, F32(-1))[0].get()


def test_checks_of_a_branch_concern_the_examples_that_take_it():
    def f(x):
        return lax.cond(x > 0, positive, lambda x: x, x)

    x = np.array([1, -2, 3], F32)
    fg.jit(fg.vmap(f))(x)
    for g in (fg.vmap(checkify.checkify(f)), checkify.checkify(fg.vmap(f))):
        error, out = fg.jit(g)(x)
        assert error.get() is None
        np.testing.assert_allclose(out, [0, -2, np.log(3)], rtol=1e-6, atol=1e-6)
    bad = checkify.checkify(fg.vmap(lambda x: lax.cond(x > 0, lambda x: positive(-x), lambda x: x, x)))
    assert "got -3.0" in fg.jit(bad)(np.array([-1, 3], F32))[0].get()


def test_nested_loops_calls_and_custom_rules():
    g = fg.custom_jvp(positive)
    g.defjvp(lambda p, t: (g(*p), t[0]))

    def f(x):
        return lax.scan(
            lambda c, i: (fg.jit(g)(c) * 0 + lax.scan(lambda d, j: (g(d) - j, j), c, i)[0], i), x, XS
        )[0]

    XS = np.zeros((2, 2), F32)
    for transform in (fg.jit, fg.checkpoint, lambda f: fg.jit(fg.jit(f))):
        assert "got" in transform(checkify.checkify(f))(F32(0.5))[0].get()
        assert "got" in fg.jit(checkify.checkify(transform(f)))(F32(0.5))[0].get()


def test_vmap_of_checkify_has_an_error_for_each_example():
    error, out = fg.jit(fg.vmap(checkify.checkify(positive)))(np.array([1, -2, 3, -4], F32))
    lines = error.get().splitlines()
    assert [line.split(" (")[0] for line in lines] == [
        "at mapped index 1: x has to be positive, got -2.0 in 7",
        "at mapped index 3: x has to be positive, got -4.0 in 7",
    ]
    assert out.shape == (4,)
    with pytest.raises(CheckError, match="example 1 of the batch"):
        error.throw()
    assert "index 1, 0" in fg.vmap(fg.vmap(checkify.checkify(positive)))(np.array([[1], [-2]], F32))[0].get()


def test_checkify_of_vmap_has_the_first_error():
    error, _ = fg.jit(checkify.checkify(fg.vmap(fg.vmap(positive))))(np.array([[1, 2], [-2, -3]], F32))
    assert "got -2.0" in error.get()
    assert "got 0.0" in fg.vmap(checkify.checkify(loop))(np.array([9, 1], F32))[0].get()
    assert checkify.checkify(fg.vmap(positive))(np.zeros(0, F32))[0].get() is None


def test_the_first_of_several_checks_counts():
    def f(x):
        checkify.check(x > 0, "first {}", x)
        checkify.check(x > 1, "second {} {}", x, jnp.arange(2))
        return x

    g = fg.jit(checkify.checkify(f))
    assert g(F32(0))[0].get().startswith("first 0.0")
    assert g(F32(1))[0].get().startswith("second 1.0 [0 1]")
    assert g(F32(2))[0].get() is None


AUTOMATIC = {
    "nan": (lambda x: jnp.log(x), -1.0, checkify.nan_checks, "nan generated by primitive: log"),
    "nan in a loop": (
        lambda x: lax.fori_loop(0, 3, lambda i, c: jnp.sqrt(c) - 1, x),
        1.0,
        checkify.float_checks,
        "nan generated by primitive: sqrt",
    ),
    "div": (lambda x: 1 / x, 0.0, checkify.div_checks, "division by zero"),
    "integer div": (lambda x: 1 // x.astype(int), 0.0, checkify.div_checks, "division by zero"),
    "gather": (
        lambda x: jnp.arange(3)[x.astype(int)],
        3.0,
        checkify.index_checks,
        "array of shape (3,): index 3 is out of bounds for axis 0 with size 3",
    ),
    "negative": (lambda x: jnp.arange(3)[x.astype(int)], -4.0, checkify.index_checks, "out-of-bounds"),
    "scatter": (
        lambda x: jnp.zeros(3).at[x.astype(int)].set(1),
        5.0,
        checkify.automatic_checks - checkify.nan_checks,
        "index 5 is out of bounds",
    ),
    "dynamic_slice": (
        lambda x: lax.dynamic_slice(jnp.arange(4), (x.astype(int),), (2,)),
        3.0,
        checkify.all_checks,
        "the window of length 2 from index 3 on is out of bounds for axis 0 with size 4",
    ),
    "derivative": (
        fg.grad(lambda x: jnp.sqrt(x * 0)),
        1.0,
        checkify.float_checks,
        "division by zero",
    ),
}


@pytest.mark.parametrize("name", AUTOMATIC)
def test_automatic_checks(name):
    function, x, errors, words = AUTOMATIC[name]
    for transform in (fg.jit, fg.vmap):
        given = F32(x) if transform is fg.jit else np.array([x], F32)
        error, _ = transform(checkify.checkify(function, errors=errors))(given)
        assert words in error.get()
        assert "test_checkify.py" in error.get()
        others = checkify.all_checks - errors
        assert transform(checkify.checkify(function, errors=others))(given)[0].get() is None


def test_the_index_that_is_out_of_bounds_is_named_of_many_and_in_loops():
    def f(indices):
        def body(total, i):
            return total + jnp.arange(6).reshape(2, 3)[i % 2, i], None

        return lax.scan(body, 0, indices)[0] + jnp.arange(3)[indices].sum()

    check_indices = checkify.checkify(f, errors=checkify.index_checks)
    for run in (check_indices, fg.jit(check_indices)):
        assert run(np.array([1, 2, 0]))[0].get() is None
        message = run(np.array([1, 7, 5]))[0].get()
        assert "shape (2, 3): index 7 is out of bounds for axis 1 with size 3" in message
    batched, _ = fg.vmap(check_indices)(np.array([[0, 1], [4, 1], [9, 8]]))
    assert ["index 4" in line or "index 9" in line for line in batched.get().splitlines()] == [True, True]


def test_what_is_inside_passes():
    def f(x):
        return jnp.arange(3)[x.astype(int)] / (x + 1) + jnp.zeros(3).at[-1].add(x).sum()

    for x in (0.0, 2.0, -3.0):
        assert fg.jit(checkify.checkify(f, errors=checkify.all_checks))(F32(x))[0].get() is None


def test_user_checks_can_be_left_out():
    assert checkify.checkify(positive, errors=checkify.div_checks)(F32(-1))[0].get() is None


def test_debug_checks_are_made_under_checkify_only():
    def f(x):
        checkify.debug_check(x > 0, "debug {}", x)
        return x

    fg.jit(f)(F32(-1))
    assert "debug -1.0" in checkify.checkify(f)(F32(-1))[0].get()


def test_check_error_raises_now_or_when_it_runs():
    error = checkify.checkify(positive)(F32(-1))[0]
    with pytest.raises(CheckError, match=r"got -1\.0"):
        checkify.check_error(error)
    checkify.check_error(checkify.init_error)

    def f(x):
        error, out = checkify.checkify(positive)(x)
        checkify.check_error(error)
        return out

    assert np.isfinite(fg.jit(f)(F32(1)))
    with pytest.raises(CheckError, match=r"got -5\.0"):
        fg.jit(f)(F32(-5))
    assert "got -5.0" in fg.jit(checkify.checkify(f))(F32(-5))[0].get()


def test_an_error_is_not_read_while_tracing():
    with pytest.raises(ArgumentError, match="check_error"):
        fg.jit(lambda x: checkify.checkify(positive)(x)[0].get())(F32(1))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: checkify.check(1.0, "x"), DTypeError, "boolean scalar"),
        (lambda: checkify.check(jnp.ones(2) > 0, "x"), DTypeError, "reduce it"),
        (lambda: checkify.check(True, 3), ArgumentError, "message is a string"),
        (lambda: checkify.check(True, "{}", "text"), DTypeError, "arrays and numbers"),
        (
            lambda: checkify.checkify(positive, errors=frozenset({"speed"})),
            ArgumentError,
            "union of the sets",
        ),
        (lambda: checkify.check_error(3), ArgumentError, "takes an Error"),
    ],
)
def test_wrong_calls_say_so(call, error, message):
    with pytest.raises(error, match=message):
        call()


def with_rule(kind):
    def f(x):
        checkify.check(x > 0, "x is {}", x)
        return jnp.sin(x)

    g = getattr(fg, kind)(f)
    if kind == "custom_jvp":
        g.defjvp(lambda primals, tangents: (g(*primals), 100.0 * tangents[0]))
    else:
        g.defvjp(lambda x: (g(x), None), lambda _, ct: (100.0 * ct,))
    return g


@pytest.mark.parametrize("kind", ["custom_jvp", "custom_vjp"])
@pytest.mark.parametrize("errors", [checkify.user_checks, checkify.all_checks], ids=["user", "all"])
def test_functions_keep_their_derivative_rules(kind, errors):
    f = with_rule(kind)

    def value(x, s):
        error, y = checkify.checkify(lambda x: f(x) * s + f(s), errors=errors)(x)
        return y, error

    for transform in (lambda f: f, fg.jit):
        slope, error = transform(fg.grad(value, has_aux=True))(1.0, 2.0)
        assert (float(slope), error.get()) == (200.0, None)
        slope, error = transform(fg.grad(value, has_aux=True))(-1.0, 2.0)
        assert float(slope) == 200.0
        assert error.get().startswith("x is -1.0")
    slopes, error = fg.jit(fg.vmap(fg.grad(value, has_aux=True), (0, None)))(np.array([1.0, -3.0]), 2.0)
    assert slopes.tolist() == [200.0, 200.0]
    assert error.get().startswith("at mapped index 1: x is -3.0")
    error, slope = fg.jit(checkify.checkify(fg.grad(f), errors=errors))(-1.0)
    assert float(slope) == 100.0
    assert error.get().startswith("x is -1.0")


def test_checks_inside_a_linear_solver_are_found():
    def solver(matvec, b):
        checkify.check(b > 0, "b is {}", b)
        return b / 2

    def solved(b):
        return fg.lax.custom_linear_solve(lambda x: 2 * x, b, solver, symmetric=True)

    for errors in (checkify.user_checks, checkify.all_checks):
        checked = checkify.checkify(solved, errors=errors)
        for transform in (lambda f: f, fg.jit):
            error, x = transform(checked)(4.0)
            assert (error.get(), float(x)) == (None, 2.0)
            assert transform(checked)(-4.0)[0].get().startswith("b is -4.0")
            assert transform(fg.grad(lambda b, c=checked: c(b)[1]))(4.0) == 0.5
    nowhere = checkify.checkify(
        lambda b: fg.lax.custom_linear_solve(lambda x: x, b, lambda _, b: jnp.log(b)),
        errors=checkify.float_checks,
    )
    assert nowhere(-1.0)[0].get().startswith("nan generated by primitive: log")

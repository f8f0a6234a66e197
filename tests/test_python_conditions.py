"""Python conditions on traced values: `if`, `and`, `not`, early returns under jit, grad, vmap and inside loops."""

from __future__ import annotations

import inspect

import numpy as np
import pytest

import funcgrad as fg
import funcgrad.numpy as jnp
from funcgrad import lax
from funcgrad.errors import ArgumentError, ConcretizationError, DTypeError

POINTS = (-1.5, -0.25, 0.5, 2.0)
V3 = jnp.arange(3.0)


@pytest.fixture(autouse=True)
def verified():
    with fg.config.using(verify=True):
        yield


def if_else(x):
    if x > 0:
        y = jnp.sin(x) * 2
    else:
        y = x * x
    return y * 3 + x


def early_return(x):
    if x < -1:
        return x * 2.0
    if x < 0:
        return jnp.exp(x)
    return jnp.cos(x) - 1


def chained(x):
    return x * x if 0 < x < 1 else -x


def logic(x):
    small = not (x > 1 or x < -1)
    if small and x > 0:
        return x * 5.0
    return 7.0


def nested(x):
    y = x * 2
    if x > 0:
        if y > 2:
            y = jnp.log(y)
        y = y + 1
    elif y < -2:
        y = -y
    return y * y


def builtins(x):
    return max(x, 0.1 * x) + min(x * x, 1.0) + abs(x)


def number_of_outcome(x):
    scale = 1.0 if x > 0 else 3.0
    return scale * x


def over_a_list(x):
    total = 0.0
    for k in range(4):
        if x * k > 1:
            total = total + jnp.sin(x * k)
    return total + x


FUNCTIONS = [if_else, early_return, chained, logic, nested, builtins, number_of_outcome, over_a_list]


@pytest.mark.parametrize("f", FUNCTIONS)
def test_jit_takes_the_outcome_that_python_takes(f):
    g = fg.jit(f)
    for x in POINTS:
        x = jnp.float32(x)
        np.testing.assert_allclose(g(x), np.asarray(f(x)), rtol=1e-6)
    assert len(g.signatures) == 1


@pytest.mark.parametrize("f", FUNCTIONS)
def test_derivatives_inside_and_outside_jit(f):
    df = fg.grad(f)
    for x in POINTS:
        x = jnp.float32(x)
        expected = df(x)  # without jit Python just runs
        for g in (fg.grad(fg.jit(f)), fg.jit(df), fg.jacfwd(fg.jit(f)), fg.jit(fg.jacfwd(f))):
            np.testing.assert_allclose(g(x), expected, rtol=1e-5, atol=1e-6)
    with fg.config.using(default_float="float64"):
        for x in (-1.5, 0.6, 2.0):
            slope = (float(f(x + 1e-6)) - float(f(x - 1e-6))) / 2e-6
            np.testing.assert_allclose(fg.jit(df)(x), slope, rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize("f", FUNCTIONS)
def test_each_example_of_a_batch_has_its_own_outcome(f):
    xs = jnp.array(POINTS)
    expected = np.array([np.asarray(f(x), np.float32) for x in xs])
    slopes = np.array([np.asarray(fg.grad(f)(x)) for x in xs])
    for g in (fg.vmap(f), fg.jit(fg.vmap(f)), fg.vmap(fg.jit(f))):
        np.testing.assert_allclose(g(xs), expected, rtol=1e-6)
    for g in (fg.vmap(fg.grad(f)), fg.jit(fg.vmap(fg.grad(f))), fg.vmap(fg.grad(fg.jit(f)))):
        np.testing.assert_allclose(g(xs), slopes, rtol=1e-5, atol=1e-6)
    total = fg.grad(lambda xs: jnp.sum(fg.vmap(f)(xs)))
    np.testing.assert_allclose(total(xs), slopes, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(fg.jit(total)(xs), slopes, rtol=1e-5, atol=1e-6)


def test_a_batch_of_batches():
    xs = jnp.linspace(-2, 2, 12).reshape(3, 4)
    expected = np.array([[np.asarray(nested(x)) for x in row] for row in xs])
    np.testing.assert_allclose(fg.vmap(fg.vmap(nested))(xs), expected, rtol=1e-6)
    both = fg.vmap(lambda x, y: x if x > y else y * 2, in_axes=(0, None))
    np.testing.assert_allclose(both(V3, 1.0), [2.0, 2.0, 2.0])
    np.testing.assert_allclose(fg.vmap(both, in_axes=(None, 0))(V3, V3)[0], [0, 1, 2])


def test_examples_that_meet_in_a_collective_under_a_condition():
    f = fg.vmap(lambda x: x - lax.pmean(x, "i") if x > 0 else x * 1, axis_name="i")
    xs = jnp.array([1.0, -2.0, 4.0])
    np.testing.assert_allclose(f(xs), [0, -2, 3])
    np.testing.assert_allclose(fg.jit(f)(xs), [0, -2, 3])


def test_a_condition_that_the_batch_shares_is_asked_once():
    seen = []

    def f(x, n):
        seen.append(n)
        return x if n > 1 else -x

    np.testing.assert_allclose(fg.vmap(f, in_axes=(0, None))(V3, 2), V3)
    assert len(seen) == 1


# ------------------------------------------------------------------------------------------- in control flow
def test_inside_the_bodies_of_control_flow():
    def body(carry, x):
        if x > 1:
            return carry + x, carry
        return carry - x, carry * 2

    def loop(xs):
        return lax.scan(body, 0.0, xs)

    carry, ys = loop(jnp.array([0.5, 2.0, 0.1]))
    np.testing.assert_allclose(carry, 1.4, rtol=1e-6)
    np.testing.assert_allclose(ys, [0, -0.5, 3.0], rtol=1e-6)
    np.testing.assert_allclose(fg.jit(loop)(jnp.array([0.5, 2.0, 0.1]))[0], 1.4, rtol=1e-6)
    slope = fg.grad(lambda xs: loop(xs)[0])(jnp.array([0.5, 2.0, 0.1]))
    np.testing.assert_allclose(slope, [-1, 1, -1])
    step = fg.jit(
        lambda n: lax.while_loop(lambda v: 0 < v < 100, lambda v: v // 2 if v % 2 == 0 else 3 * v, n)
    )
    assert int(step(3)) == int(step.function(3)) == 243
    inner = fg.jit(lambda p, x: lax.cond(p, lambda x: x if x > 0 else -x, lambda x: x * 3, x))
    assert [float(inner(p, -2.0)) for p in (True, False)] == [2.0, -6.0]


def test_a_body_may_ask_for_a_condition_from_outside():
    @fg.jit
    def f(flag, n, xs):
        positive = n > 0

        def body(carry, x):
            if positive and flag:
                return carry + x, None
            return carry * x, None

        return lax.scan(body, 1.0, xs)[0]

    xs = jnp.array([2.0, 3.0])
    assert [float(f(a, n, xs)) for a, n in ((True, 1), (True, -1), (False, 1))] == [6.0, 6.0, 6.0]
    assert float(f(True, 1, jnp.array([5.0, 3.0]))) == 9.0
    batched = fg.vmap(f.function, in_axes=(0, 0, None))(jnp.array([True, False]), V3[:2] + 1, xs + 3)
    np.testing.assert_allclose(batched, [12.0, 30.0])
    assert float(f(False, 1, jnp.array([5.0, 3.0]))) == 15.0


def test_jit_inside_jit_with_a_condition_from_outside():
    @fg.jit
    def f(x):
        big = x > 1
        g = fg.jit(lambda y: y * 2 if big else y * 3)
        return g(x) + g(x + 1)

    assert [float(f(x)) for x in (0.5, 2.0)] == [6.0, 10.0]
    assert [float(y) for y in fg.vmap(f)(jnp.array([0.5, 2.0]))] == [6.0, 10.0]


def test_custom_rules_with_conditions():
    @fg.custom_vjp
    def f(x):
        return x if x > 0 else x * x

    f.defvjp(lambda x: (f(x), x), lambda x, ct: (ct * 10 if x > 0 else ct * 20,))

    @fg.custom_jvp
    def g(x):
        return x * 2 if x > 0 else x

    g.defjvp(lambda x, t: (g(*x), t[0] * 10 if x[0] > 0 else t[0] * 20))
    for h in (f, g):
        for transform in (fg.grad(h), fg.jit(fg.grad(h)), fg.grad(fg.jit(h))):
            assert [float(transform(x)) for x in (2.0, -2.0)] == [10.0, 20.0]
        np.testing.assert_allclose(fg.vmap(fg.grad(h))(jnp.array([2.0, -2.0])), [10, 20])
    assert [float(fg.jit(f)(x)) for x in (2.0, -2.0)] == [2.0, 4.0]


def test_effects_of_the_outcome_that_is_taken(capsys):
    @fg.jit
    def f(x):
        fg.debug.print("before")
        if x > 0:
            fg.debug.print("positive")
        else:
            fg.debug.print("negative")
        fg.debug.print("after")
        return x

    f(1.0)
    assert capsys.readouterr().out.split() == ["before", "positive", "after"]
    f(-1.0)
    assert capsys.readouterr().out.split() == ["before", "negative", "after"]


# --------------------------------------------------------------------------------------- what is traced, and how
def test_a_function_without_conditions_runs_once_and_one_with_them_once_for_each_way():
    def count(f, x):
        runs = []
        fg.jit(lambda x: runs.append(0) or f(x))(x)
        return len(runs)

    assert count(jnp.sin, 1.0) == 1
    assert count(if_else, 1.0) == 2
    assert count(early_return, 1.0) == 3
    assert (
        count(lambda x: (x if x > 0 else -x) + (1.0 if x > 0 else 2.0), 1.0) == 2
    )  # asked twice, known once


def names(graph):
    return [e.primitive.name for e in graph.equations]


def test_what_comes_before_and_after_a_condition_stands_once():
    @fg.jit
    def f(x, w):
        y = jnp.tanh(x @ w)
        if y.sum() > 0:
            y = jnp.sin(y)
        return jnp.exp(y) @ w

    found = names(f.trace(jnp.ones(3), jnp.ones((3, 3))).graph)
    assert found.count("tanh") == found.count("cond") == found.count("exp") == 1
    assert found.count("dot_general") == 2


def test_conditions_one_after_the_other_stand_one_after_the_other():
    @fg.jit
    def f(x):
        for k in range(5):
            if x[k] > 0:
                x = x * 2
        return x

    graph = f.trace(jnp.ones(5)).graph
    assert names(graph).count("cond") == 5
    assert not any(
        e.primitive.name == "cond" for c in graph.equations for g in c.subgraphs() for e in g.equations
    )
    x = jnp.array([1.0, -1, 2, -3, 0.5])
    np.testing.assert_allclose(f(x), x * 8)


def test_conditions_joined_by_and_and_or_are_one():
    for f in (
        lambda x: jnp.sin(x) if 0 < x < 1 and x != 0.5 else jnp.cos(x),
        lambda x: jnp.sin(x) if x > 1 or x < 0 else jnp.cos(x),
    ):
        g = fg.jit(f)
        (cond,) = [e for e in g.trace(1.0).graph.equations if e.primitive.name == "cond"]
        assert [names(b) for b in cond.params["branches"]] == [["cos"], ["sin"]]
        for x in POINTS:
            np.testing.assert_allclose(g(x), f(jnp.float32(x)), rtol=1e-6)
    later = fg.jit(lambda x: x if x > 0 and 1 / x > 2 else -x)
    assert [float(later(x)) for x in (-1.0, 0.25, 1.0)] == [1.0, 0.25, -1.0]


def test_a_choice_of_values_is_a_select():
    assert names(fg.jit(lambda x: (2.0 if x > 0 else 3.0) * x).trace(1.0).graph) == ["gt", "select_n", "mul"]


def test_an_outcome_that_depends_on_constants_only_is_known():
    @fg.jit
    def f(x):
        n = jnp.array(0)
        while n < 100:  # more often than the limit
            n = n + 1
            x = x + 1
        while x.shape[0] > 3:
            x = x[1:]
        return x

    np.testing.assert_allclose(f(jnp.zeros(5)), [100.0] * 3)


def test_a_loop_that_python_ends_too():
    @fg.jit
    def f(x):
        steps = 0
        while x > 1 and steps < 5:
            x, steps = x / 2, steps + 1
        return x, steps

    for x, expected in ((0.5, (0.5, 0)), (6.0, (0.75, 3)), (640.0, (20.0, 5))):
        assert tuple(map(float, f(x))) == expected


def test_arrays_made_anew_in_each_run_stand_once_before_the_condition():
    held = jnp.arange(3.0)

    @fg.jit
    def f(x):
        x = x + np.arange(3.0, dtype=np.float32) + held
        return x * held if x.sum() > 0 else x - np.ones(3, np.float32)

    closed = f.trace(jnp.ones(3)).jaxpr
    assert len(closed.constants) == 3
    np.testing.assert_allclose(f(jnp.ones(3)), [0.0, 3.0, 10.0])
    np.testing.assert_allclose(f(-jnp.full(3, 10.0)), [-11, -9, -7])


def test_weak_numbers_take_the_dtype_of_the_other_outcome():
    f = fg.jit(lambda x: x if x.sum() > 0 else x * 0)
    for dtype in ("float16", "bfloat16"):
        assert f(jnp.ones(2, dtype)).dtype == fg.dtypes.as_dtype(dtype)
        np.testing.assert_array_equal(f(jnp.ones(2, dtype)).astype("float32"), [1, 1])
        np.testing.assert_array_equal(f(-jnp.ones(2, dtype)).astype("float32"), [0, 0])
    g = fg.jit(lambda x: 0 if x < 0 else x * 1.5)
    assert g(jnp.float32(2)).dtype == g(jnp.float32(-2)).dtype == np.float32
    assert g(-1.0) == 0 and g(2.0) == 3.0


def test_off_by_a_setting():
    f = fg.jit(if_else)
    f(1.0)
    for off in (0, False, "0"):
        with fg.config.using(python_branches=off), pytest.raises(ConcretizationError, match="if, while"):
            f(1.0)
    with fg.config.using(python_branches=0), pytest.raises(ConcretizationError, match="if, while"):
        fg.vmap(if_else)(V3)
    with fg.config.using(python_branches=4), pytest.raises(ConcretizationError, match="more than 4 ways"):
        fg.jit(over_a_list)(1.0)
    with fg.config.using(python_branches=2):
        f(2.0)
    with pytest.raises(ValueError, match="number of ways"):
        fg.config.update("python_branches", -1)


def test_functions_under_jit_have_ways_of_their_own():
    runs = []

    def rectified(x):
        runs.append(x)
        return 2 * x if x > 0 else x

    def total(f, xs):
        return sum(f(x) for x in xs)

    xs = jnp.arange(-20.0, 20.0)
    with pytest.raises(ConcretizationError, match=r"function of its own under @funcgrad\.jit"):
        fg.jit(lambda xs: total(rectified, xs))(xs)
    runs.clear()
    helper = fg.jit(rectified)
    f = lambda xs: total(helper, xs)  # noqa: E731
    want = sum(2 * x if x > 0 else x for x in range(-20, 20))
    assert fg.jit(f)(xs) == want
    assert len(runs) == 2
    assert fg.jit(fg.grad(f))(xs).tolist() == [1.0] * 21 + [2.0] * 19
    assert fg.jit(fg.vmap(f))(jnp.stack([xs, xs])).tolist() == [want, want]
    assert len(runs) == 2


def test_leaks_and_keys_are_looked_for_as_before():
    def f(key, x):
        u = fg.random.uniform(key)
        return u + x if x > 0 else u - x

    key = fg.random.key(0)
    with fg.checking_leaks():
        fg.jit(f)(key, 1.0)
    with fg.debug.key_reuse():
        fg.jit(f)(key, -1.0)
    kept = []
    with fg.checking_leaks(), pytest.raises(fg.errors.LeakedTracerError):
        fg.jit(lambda x: kept.append(x * 2) or (x if x > 0 else -x))(1.0)


# ------------------------------------------------------------------------------------------------ wrong programs
def raise_under_a_traced_condition():
    @fg.jit
    def f(x):
        if x < 0:
            raise ValueError("negative")  # here
        return x

    f(1.0)


def assert_of_a_traced_condition():
    @fg.jit
    def f(x):
        assert x > 0  # here
        return x

    f(1.0)


def outcomes_of_two_dtypes():
    fg.jit(lambda x: x if x.sum() > 0 else x.astype("int32"))(V3)  # here


def no_return():
    @fg.jit
    def f(x):
        if x.sum() > 0:  # here
            return x
        return None

    f(V3)


def conditions_without_end():
    @fg.jit
    def f(x):
        for i in range(len(x)):
            if x[i] > 0:  # here
                x = x * 2
        return x

    f(jnp.ones(100))


def function_that_counts_its_calls():
    calls = []

    @fg.jit
    def f(x):
        calls.append(x.shape)
        for _ in calls:
            x = x * 2
        return x if x.sum() > 0 else -x  # here

    f(V3)


def for_over_a_traced_range():
    @fg.jit
    def f(n, x):
        total, best = 0, x
        for i in range(1, n):  # here
            y = x * i
            total = total + y
            best = jnp.maximum(best, y)
        return total, best

    f(3, 1.0)


def for_over_the_int_of_a_traced_value():
    @fg.jit
    def f(x):
        for _ in range(int(x.sum())):  # here
            x = x * 2
        return x

    f(V3)


def while_of_traced_values():
    @fg.jit
    def f(x, n):
        while n > 0 and x < 100:  # here
            x = x * 2
            n -= 1
        return x

    f(1.0, 3)


def while_with_break():
    @fg.vmap
    def f(x):
        while x < 10:  # here
            x = x * 2
            if x.sum() is None:
                break
        return x

    f(V3)


def while_true_with_break():
    @fg.jit
    def f(x):
        while True:
            x = x * 2
            if x > 100:  # here
                break
        return x

    f(1.0)


def conditions_on_elements():
    @fg.jit
    def f(x):
        largest = x[0]
        for v in x:
            if v > largest:  # here
                largest = v
        return largest

    f(jnp.ones(100))


def structures_inside_scan():
    def body(c, x):
        return c, ((x,) if x > 0 else [x])  # here

    lax.scan(body, 0.0, V3)


WRONG = [
    (raise_under_a_traced_condition, ConcretizationError, ("ValueError", "`if x < 0:`", "True"), "negative"),
    (assert_of_a_traced_condition, ConcretizationError, ("AssertionError", "is False"), "checkify.check"),
    (outcomes_of_two_dtypes, DTypeError, ("f32[3]", "i32[3]", "is False"), "astype('float32')"),
    (no_return, ArgumentError, ("structure", "is False", "None"), "return"),
    (
        conditions_without_end,
        ConcretizationError,
        ("than 64 ways", "if x[i] > 0:", "63 times"),
        "x = funcgrad.lax.fori_loop(0, len(x), step, x)",
    ),
    (function_that_counts_its_calls, ConcretizationError, ("run again", "something else"), "left behind"),
    (
        for_over_a_traced_range,
        ConcretizationError,
        ("range",),
        "total, best = funcgrad.lax.fori_loop(1, n, step, (total, best))",
    ),
    (
        for_over_the_int_of_a_traced_value,
        ConcretizationError,
        ("int()",),
        "x = funcgrad.lax.fori_loop(0, x.sum().astype(int), step, x)",
    ),
    (
        while_of_traced_values,
        ConcretizationError,
        ("while n > 0 and x < 100", "python_branches is 64"),
        "x, n = funcgrad.lax.while_loop(goes_on, step, (x, n))",
    ),
    (while_with_break, ConcretizationError, ("while x < 10",), "the body of the loop, lines"),
    (
        while_true_with_break,
        ConcretizationError,
        ("if x > 100:",),
        "`while True:`, as funcgrad.lax.while_loop(",
    ),
    (
        conditions_on_elements,
        ConcretizationError,
        ("if v > largest:",),
        "`for v in x:`, as funcgrad.lax.scan(",
    ),
    (structures_inside_scan, ArgumentError, ("structure", "is True", "is False"), "same containers"),
]


@pytest.mark.parametrize(("program", "cls", "words", "fix"), WRONG, ids=[w[0].__name__ for w in WRONG])
def test_wrong_programs_are_told_what_to_do(program, cls, words, fix):
    with pytest.raises(cls) as info:
        program()
    error = info.value
    for word in words:
        assert word in error.what, str(error)
    assert fix in error.hint, str(error)
    lines, start = inspect.getsourcelines(program)
    (here,) = [start + i for i, line in enumerate(lines) if "# here" in line]
    assert (error.where.file, error.where.line) == (__file__, here), str(error)


def test_a_bisection_as_the_error_says_it():
    def find(x, n=40):
        low, high = 0.0, x
        for _ in range(n):
            middle = 0.5 * (low + high)
            if middle * middle > x:
                high = middle
            else:
                low = middle
        return low

    with pytest.raises(ConcretizationError) as info:
        fg.jit(find)(2.0)
    lines = info.value.hint.split("\n    ")
    last = lines.index("high, low = funcgrad.lax.fori_loop(0, n, step, (high, low))")
    scope = {"funcgrad": fg, "n": 40, "x": 2.0, "low": 0.0, "high": 2.0}
    exec("\n".join(lines[1 : last + 1]), scope)
    np.testing.assert_allclose(scope["low"], np.sqrt(2.0), rtol=1e-6)


def test_what_is_to_be_written_in_place_of_a_loop_runs():
    with pytest.raises(ConcretizationError) as info:
        for_over_a_traced_range()
    lines = info.value.hint.split("\n")
    written = "\n".join(line.removeprefix("    ") for line in lines[1:] if "static" not in line)
    scope = {"funcgrad": fg, "jnp": jnp, "n": 4, "x": jnp.float32(2), "total": 0, "best": jnp.float32(2)}
    exec(written, scope)
    assert (float(scope["total"]), float(scope["best"])) == (12.0, 6.0)

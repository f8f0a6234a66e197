"""Callbacks: `pure_callback`, `io_callback`, `debug.callback` and `debug.print`, under every transform."""

from __future__ import annotations

import threading

import numpy as np
import pytest

import funcgrad as fg
from funcgrad import lax
from funcgrad.errors import ArgumentError, DTypeError, NotDifferentiableError, ShapeError
from funcgrad.ir.effects import has_effects, without_effects

F32 = np.float32


def like(x):
    return fg.ShapeDtypeStruct(x.shape, x.dtype)


def printed(capsys):
    return capsys.readouterr().out.splitlines()


def show(x):
    fg.debug.print("x = {}", x)
    return fg.numpy.sin(x)


def loop(x):
    def body(c, i):
        fg.debug.print("{i}: {c}", i=i, c=c)
        return c * 2, None

    return lax.scan(body, x, np.arange(3))[0]


def counting(x):
    def body(c):
        fg.debug.print("{}", c)
        return c + 1

    return lax.while_loop(lambda c: c < 3, body, x)


def branching(p, x):
    def one(x):
        fg.debug.print("one {}", x)
        return x * 2

    return lax.cond(p, one, lambda x: x, x)


ONCE = {
    "eager": show,
    "jit": fg.jit(show),
    "grad": fg.grad(show),
    "jit of grad": fg.jit(fg.grad(show)),
    "grad of jit": fg.grad(fg.jit(show)),
    "jvp": lambda x: fg.jvp(show, (x,), (x,)),
    "hessian": fg.jit(fg.hessian(show)),
    "checkpoint": fg.jit(fg.checkpoint(show)),
    "grad of checkpoint": fg.grad(fg.checkpoint(show)),
    "jit of grad of checkpoint": fg.jit(fg.grad(fg.checkpoint(show))),
    "linearize": lambda x: fg.linearize(show, x)[1](x),
    "disable_jit": lambda x: without_jit(show, x),
}


def without_jit(function, x):
    with fg.disable_jit():
        return fg.jit(function)(x)


@pytest.mark.parametrize("name", ONCE)
def test_a_line_is_printed_once(name, capsys):
    ONCE[name](F32(2.0))
    assert printed(capsys) == ["x = 2.0"]


@pytest.mark.parametrize("transform", [fg.vmap, lambda f: fg.jit(fg.vmap(f)), lambda f: fg.vmap(fg.jit(f))])
def test_vmap_prints_each_example(transform, capsys):
    transform(show)(np.arange(3, dtype=F32))
    assert printed(capsys) == ["x = 0.0", "x = 1.0", "x = 2.0"]


def test_vmap_of_vmap_prints_in_row_major_order(capsys):
    fg.vmap(fg.vmap(show))(np.arange(4, dtype=F32).reshape(2, 2))
    assert printed(capsys) == [f"x = {i}.0" for i in range(4)]


def test_what_is_not_batched_is_printed_once(capsys):
    def f(x):
        fg.debug.print("called")
        return x

    fg.vmap(f)(np.arange(3))
    assert printed(capsys) == ["called"]


LOOPS = {
    "eager": loop,
    "jit": fg.jit(loop),
    "grad": fg.grad(loop),
    "jit of grad": fg.jit(fg.grad(loop)),
    "jit of jvp": fg.jit(lambda x: fg.jvp(loop, (x,), (x,))),
    "grad of checkpoint": fg.jit(fg.grad(fg.checkpoint(loop))),
}


@pytest.mark.parametrize("name", LOOPS)
def test_scan_prints_each_step_once(name, capsys):
    LOOPS[name](F32(1.0))
    assert printed(capsys) == ["0: 1.0", "1: 2.0", "2: 4.0"]


WHILES = {
    "jit": fg.jit(counting),
    "jvp": lambda x: fg.jvp(counting, (x,), (F32(1),)),
    "linearize": lambda x: fg.linearize(counting, x)[1](F32(1)),
}


@pytest.mark.parametrize("name", WHILES)
def test_while_prints_each_step_once(name, capsys):
    WHILES[name](F32(0.0))
    assert printed(capsys) == ["0.0", "1.0", "2.0"]


@pytest.mark.parametrize("transform", [fg.jit, lambda f: f, lambda f: fg.jit(fg.grad(f, 1))])
def test_only_the_branch_that_is_taken_prints(transform, capsys):
    transform(branching)(False, F32(1.0))
    assert printed(capsys) == []
    transform(branching)(True, F32(1.0))
    assert printed(capsys) == ["one 1.0"]


@pytest.mark.parametrize("transform", [lambda f: f, fg.jit])
def test_under_vmap_each_example_has_the_effects_of_its_own_way(transform, capsys):
    out = transform(fg.vmap(branching))(np.array([True, False, True]), np.arange(3, dtype=F32))
    assert out.tolist() == [0.0, 1.0, 4.0]
    assert printed(capsys) == ["one 0.0", "one 2.0"]
    out = transform(fg.vmap(counting))(np.array([2, 5, 1], F32))
    assert out.tolist() == [3.0, 5.0, 3.0]
    assert printed(capsys) == ["2.0", "1.0", "2.0"]


def test_effects_of_unused_loops_and_branches_stay(capsys):
    def f(x):
        lax.fori_loop(0, 2, lambda i, c: (fg.debug.print("{}", i), c)[1], 0)
        branching(True, x)
        lax.scan(lambda c, y: (c, fg.debug.print("y = {}", y)), 0.0, x[None])
        return x

    fg.jit(f)(F32(5))
    assert printed(capsys) == ["0", "1", "one 5.0", "y = 5.0"]


def test_lines_come_in_the_order_of_the_program(capsys):
    def f(x):
        y = (x @ x).sum()
        fg.debug.print("a {}", y)
        fg.debug.print("b {}", x[0, 0])
        loop(x[0, 0])
        fg.debug.print("c")
        fg.debug.print("c")
        return y

    fg.jit(f)(np.ones((2, 2), F32))
    assert printed(capsys) == ["a 8.0", "b 1.0", "0: 1.0", "1: 2.0", "2: 4.0", "c", "c"]


def test_print_formats_trees_and_specs(capsys):
    def f(x):
        fg.debug.print("{0:.2f} {d[a]} {name} {{}} {0}", x, d={"a": x + 1}, name="n")
        return x

    fg.jit(f)(F32(0.5))
    assert printed(capsys) == ["0.50 1.5 n {} 0.5"]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: fg.debug.print("x", 1.0), "does not name argument 0"),
        (lambda: fg.debug.print("{}"), "names a value that was not given"),
        (lambda: fg.debug.print("{a}", b=1), "names a value that was not given"),
        (lambda: fg.debug.print("", a=1), "does not name argument 'a'"),
        (lambda: fg.debug.print(1.0), "format string"),
        (lambda: fg.debug.callback(3), "has to be a function"),
    ],
)
def test_wrong_calls_say_so(call, message):
    with pytest.raises(ArgumentError, match=message):
        call()


def test_debug_callback_sees_arrays_that_last():
    seen = []

    def f(x):
        fg.debug.callback(seen.append, x)
        return x + 1

    compiled = fg.jit(f)
    for value in range(3):
        compiled(np.full(4, value, F32))
    assert [x.tolist() for x in seen] == [[float(v)] * 4 for v in range(3)]


# ------------------------------------------------------------------------------------------- pure_callback


def sine(x, method=None):
    return fg.pure_callback(lambda x: np.sin(x), like(x), x, vmap_method=method)


def test_pure_callback_computes_under_jit():
    x = np.linspace(0, 1, 5, dtype=F32)
    np.testing.assert_allclose(fg.jit(sine)(x), np.sin(x), rtol=1e-6)
    assert fg.jit(sine)(x).dtype == F32


def test_pure_callback_takes_and_gives_trees():
    def f(x):
        shapes = {"sum": like(x), "parts": (like(x), fg.ShapeDtypeStruct((), np.int64))}
        return fg.pure_callback(lambda a, *, b: {"sum": a + b, "parts": (a, 7)}, shapes, x, b=2 * x)

    out = fg.jit(f)(F32(1.5))
    assert (float(out["sum"]), float(out["parts"][0]), int(out["parts"][1])) == (4.5, 1.5, 7)


@pytest.mark.parametrize("method", ["sequential", "sequential_unrolled", "expand_dims", "broadcast_all"])
@pytest.mark.parametrize("compile", [lambda f: f, fg.jit])
def test_vmap_methods(method, compile):
    shapes = []

    def host(x, y):
        shapes.append((x.shape, y.shape))
        return np.asarray(x) + np.asarray(y)

    def f(x, y):
        return fg.pure_callback(host, like(x), x, y, vmap_method=method)

    x, y = np.arange(6, dtype=F32).reshape(2, 3), np.ones(3, F32)
    np.testing.assert_array_equal(compile(fg.vmap(f, in_axes=(0, None)))(x, y), x + 1)
    wanted = {
        "expand_dims": [((2, 3), (1, 3))],
        "broadcast_all": [((2, 3), (2, 3))],
    }.get(method, [((3,), (3,))] * 2)
    assert shapes == wanted
    axes = compile(fg.vmap(f, in_axes=(1, None), out_axes=1))(x.T.copy(), y)
    np.testing.assert_array_equal(axes, (x + 1).T)


def test_vmap_without_a_method_raises():
    with pytest.raises(ArgumentError, match="vmap_method="):
        fg.vmap(sine)(np.ones(2, F32))
    with pytest.raises(ArgumentError, match="vmap_method is one of"):
        sine(F32(1), "fast")


def test_pure_callback_has_no_derivative_but_can_have_a_rule():
    with pytest.raises(NotDifferentiableError, match="custom_jvp"):
        fg.grad(sine)(F32(1.0))
    f = fg.custom_jvp(sine)
    f.defjvp(lambda p, t: (f(*p), fg.numpy.cos(p[0]) * t[0]))
    np.testing.assert_allclose(fg.jit(fg.grad(f))(F32(1.0)), np.cos(1.0), rtol=1e-6)


def test_a_pure_callback_that_is_not_needed_is_left_out():
    calls = []

    def host(x):
        calls.append(1)
        return x

    fg.jit(lambda x: (fg.pure_callback(host, like(x), x), x)[1])(F32(1))
    assert calls == []


@pytest.mark.parametrize(
    ("result", "error", "message"),
    [
        (lambda x: np.zeros(3, F32), ShapeError, r"returned shape \(3,\)"),
        (lambda x: np.zeros((), np.float64), DTypeError, "returned dtype float64"),
        (lambda x: (x, x), ArgumentError, "result_shape_dtypes says"),
        (lambda x: "one", DTypeError, "returned 'one'"),
    ],
)
@pytest.mark.parametrize("transform", [fg.jit, lambda f: f])
def test_wrong_results_name_callback_and_line(result, error, message, transform):
    def f(x):
        return fg.pure_callback(result, like(x), x)

    with pytest.raises(error, match=message) as raised:
        transform(f)(F32(1))
    assert "test_callbacks.py" in str(raised.value)


def test_pure_callback_refuses_other_arguments():
    with pytest.raises(DTypeError, match="argument 'x'"):
        fg.pure_callback(lambda x: x, fg.ShapeDtypeStruct((), F32), "text")
    with pytest.raises(ArgumentError, match="ShapeDtypeStruct"):
        fg.pure_callback(lambda x: x, F32, 1.0)


def test_a_callback_may_call_compiled_functions():
    inner = fg.jit(lambda x: x * 2)

    def f(x):
        return fg.pure_callback(lambda x: inner(x), like(x), x) + inner(x)

    np.testing.assert_array_equal(fg.jit(f)(np.ones(3, F32)), np.full(3, 4, F32))


# --------------------------------------------------------------------------------------------- exceptions


def failing(x):
    def host(c):
        if c > 5:
            raise KeyError("too far")
        return np.bool_(True)

    def going(c):
        return fg.pure_callback(host, fg.ShapeDtypeStruct((), np.bool_), c)

    return lax.while_loop(going, lambda c: c + 1, x)


@pytest.mark.parametrize("transform", [fg.jit, lambda f: f])
def test_an_exception_ends_the_program_and_reaches_the_caller(transform):
    f = transform(failing)
    for _ in range(2):
        with pytest.raises(KeyError, match="too far") as raised:
            f(0)
    assert raised.traceback[-1].name == "host"


def test_exceptions_stay_in_their_thread():
    def host(x):
        if x < 0:
            raise ValueError(f"negative: {x}")
        return x

    f = fg.jit(lambda x: fg.pure_callback(host, like(x), x) * 2)
    found = {}

    def work(k):
        for _ in range(20):
            try:
                found[k] = float(f(F32(k)))
            except ValueError as error:
                found[k] = str(error)

    threads = [threading.Thread(target=work, args=(k,)) for k in (-2, -1, 1, 2)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert found == {-2: "negative: -2.0", -1: "negative: -1.0", 1: 2.0, 2: 4.0}


# --------------------------------------------------------------------------------------------- io_callback


def test_io_callback_happens_once_each_and_in_order():
    numbers = iter(range(100))

    def draw():
        return np.int64(next(numbers))

    def f(x):
        shape = fg.ShapeDtypeStruct((), np.int64)
        first = fg.io_callback(draw, shape)
        fg.io_callback(draw, shape)
        return first, fg.io_callback(draw, shape, ordered=True)

    assert tuple(map(int, fg.jit(f)(1.0))) == (0, 2)
    assert tuple(map(int, fg.jit(f)(1.0))) == (3, 5)
    assert tuple(map(int, f(1.0))) == (6, 8)


def test_io_callback_in_loops_and_batches():
    seen = []

    def host(x):
        seen.append(int(x))
        return np.int64(len(seen))

    def f(x):
        return fg.io_callback(host, fg.ShapeDtypeStruct((), np.int64), x)

    assert fg.jit(fg.vmap(f))(np.array([5, 6])).tolist() == [1, 2]
    assert fg.jit(lambda: lax.map(f, np.array([7, 8])))().tolist() == [3, 4]
    assert seen == [5, 6, 7, 8]
    with pytest.raises(NotDifferentiableError):
        fg.grad(lambda x: fg.io_callback(lambda x: x, like(x), x))(F32(1))


def test_io_callback_of_an_empty_result_still_happens():
    seen = []

    def f(x):
        return fg.io_callback(lambda: seen.append(1) or np.zeros(0, F32), fg.ShapeDtypeStruct((0,), F32))

    assert fg.jit(f)(1.0).shape == (0,)
    assert seen == [1]


# -------------------------------------------------------------------------------------------------- graphs


def test_graphs_know_their_effects():
    graph = fg.make_graph(loop)(F32(1)).graph
    assert has_effects(graph)
    assert not has_effects(without_effects(graph))
    assert not has_effects(fg.make_graph(lambda x: x * 2)(F32(1)).graph)


def test_equal_calls_are_not_merged(capsys):
    graph = fg.make_graph(show)(F32(1)).graph

    def twice(x):
        return fg.prims.calls.bind(fg.prims.calls.jit_p, x, graph=graph, name="f") + fg.prims.calls.bind(
            fg.prims.calls.jit_p, x, graph=graph, name="f"
        )

    assert len(fg.make_graph(twice)(F32(1)).graph.equations) >= 2
    fg.jit(lambda x: twice(x)[0])(F32(1))
    assert printed(capsys) == ["x = 1.0"] * 2


def test_effects_barrier_returns():
    assert fg.effects_barrier() is None

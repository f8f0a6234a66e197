"""What users see when something is wrong: words, their own line, the fix; leaked tracers; clean tracebacks."""

from __future__ import annotations

import inspect
import pickle
import threading
import traceback

import numpy as np
import pytest
from frames import shown

import funcgrad as fg
import funcgrad.numpy as jnp
from funcgrad import errors
from funcgrad.errors import (
    ArgumentError,
    DTypeError,
    FuncgradError,
    LeakedTracerError,
    ShapeError,
)

X = np.array([0.3, -1.2, 2.0], np.float32)
CLASSES = [c for c in vars(errors).values() if inspect.isclass(c) and issubclass(c, FuncgradError)]


def line_of(function, text):
    """The number of the one line of `function` that contains `text`."""
    lines, start = inspect.getsourcelines(function)
    (number,) = [start + i for i, line in enumerate(lines) if text in line]
    return number


# ---------------------------------------------------------------------------------------------- the classes
@pytest.mark.parametrize("cls", CLASSES)
def test_every_error_has_what_where_and_fix_and_survives_pickling(cls):
    error = cls("it went wrong", hint="do this")
    assert str(error).splitlines()[0] == "it went wrong"
    assert str(error).splitlines()[-1] == "  fix: do this"
    assert error.where.file == __file__ and error.where.function == inspect.currentframe().f_code.co_name
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is cls and str(again) == str(error) and again.where == error.where
    assert cls.__doc__


@pytest.mark.parametrize(
    ("cls", "builtin"),
    [
        ("ShapeError", (TypeError, ValueError)),
        ("DTypeError", TypeError),
        ("AxisError", (ValueError, IndexError)),
        ("ConcretizationError", TypeError),
        ("ImmutableError", TypeError),
        ("UnhashableError", TypeError),
        ("IndexingError", IndexError),
        ("NotDifferentiableError", TypeError),
        ("AxisNameError", NameError),
        ("LeakedTracerError", RuntimeError),
    ],
)
def test_errors_are_also_those_that_numpy_users_catch(cls, builtin):
    for one in builtin if isinstance(builtin, tuple) else (builtin,):
        assert issubclass(getattr(errors, cls), one)


# ------------------------------------------------------------------------------------------- where it happened
def wrong_shapes(x):
    y = jnp.sin(x)
    return jnp.sum(y + jnp.ones(5))  # the wrong line


@pytest.mark.parametrize(
    "call",
    [
        lambda: wrong_shapes(X),
        lambda: fg.jit(wrong_shapes)(X),
        lambda: fg.grad(wrong_shapes)(X),
        lambda: fg.vmap(wrong_shapes)(np.ones((2, 3), np.float32)),
        lambda: fg.jit(fg.grad(fg.checkpoint(wrong_shapes)))(X),
        lambda: fg.hessian(wrong_shapes)(X),
        lambda: fg.eval_shape(wrong_shapes, X),
        lambda: fg.make_jaxpr(wrong_shapes)(X),
        lambda: fg.linearize(fg.jit(wrong_shapes), X),
    ],
)
def test_errors_name_the_users_line_and_show_only_the_users_frames(call):
    with pytest.raises(ShapeError) as info:
        call()
    error = info.value
    assert (error.where.file, error.where.line) == (__file__, line_of(wrong_shapes, "the wrong line"))
    assert "3" in error.what and "5" in error.what
    frames = shown(error)
    ours = [f for f in frames if "/funcgrad/" in f.filename.replace("\\", "/")]
    # pytest.raises sees the call from outside; nothing of funcgrad's lies between the user's frames
    assert ours == [], "\n".join(map(str, ours))
    assert frames[-1].lineno == error.where.line


def test_users_own_errors_pass_through_unchanged():
    def broken(x):
        raise KeyError("mine")

    for wrap in (fg.jit, fg.grad, fg.vmap, fg.checkpoint):
        with pytest.raises(KeyError, match="mine") as info:
            wrap(broken)(X)
        assert traceback.extract_tb(info.value.__traceback__)[-1].name == "broken"


def test_a_cause_is_kept():
    with pytest.raises(errors.UnhashableError) as info:
        fg.jit(lambda x, n: x, static_argnums=1)(X, [1])
    assert isinstance(info.value.__cause__, TypeError)


def test_equations_keep_the_users_line():
    def f(x):
        y = jnp.sin(x)  # first
        return y * 2  # second

    for graph in (fg.make_graph(f)(X), fg.make_graph(fg.grad(lambda x: f(x).sum()))(X)):
        lines = {e.source.line for e in graph.equations if e.source}
        assert {line_of(f, "# first"), line_of(f, "# second")} <= lines
        assert all(e.source.file == __file__ for e in graph.equations)


# ----------------------------------------------------------------------------------------------- leaked tracers
class Holder:
    value = None


def keep_global(x):
    Holder.value = jnp.sin(x)  # kept here
    return x


@pytest.mark.parametrize("wrap", [fg.jit, fg.vmap, fg.checkpoint, lambda f: fg.grad(lambda x: f(x).sum())])
@pytest.mark.parametrize(
    "use",
    [
        lambda x: jnp.sin(x),
        lambda x: x + 1,
        lambda x: X * x,
        lambda x: fg.jit(lambda y: y + 1)(x),
        lambda x: fg.jit(lambda y: y + x)(X),
        lambda x: fg.grad(lambda y: (y * x).sum())(X),
        lambda x: fg.vmap(lambda y: y * x)(X),
        lambda x: fg.checkpoint(lambda y: y * x)(X),
        lambda x: fg.jvp(jnp.sin, (x,), (x,)),
    ],
)
def test_a_leaked_tracer_is_refused_wherever_it_is_used(wrap, use):
    wrap(keep_global)(X)
    with pytest.raises(LeakedTracerError, match=r"return it from the traced function") as info:
        use(Holder.value)
    assert info.value.where.file == __file__


def test_a_leaked_tracer_says_where_it_was_computed():
    fg.jit(keep_global)(X)
    with pytest.raises(LeakedTracerError, match=rf"test_errors.py:{line_of(keep_global, '# kept here')}"):
        Holder.value + 1


def test_leaks_through_closures_attributes_and_side_lists():
    kept = []
    fg.grad(lambda x: kept.append(x) or x**2)(1.0)
    with pytest.raises(LeakedTracerError):
        kept[0] + 1
    with pytest.raises(LeakedTracerError):
        float(kept[0])
    fg.jit(lambda x: fg.grad(lambda y: kept.append(y * x) or y)(x))(1.0)
    with pytest.raises(LeakedTracerError):
        kept[1] * 2


def test_an_inner_tracer_that_reaches_the_outer_function_is_refused():
    def outer(x):
        kept = []
        fg.grad(lambda y: kept.append(y * x) or y)(x)
        return kept[0] * 2

    for wrap, x in ((lambda f: f, 1.0), (fg.jit, 1.0), (fg.grad, 1.0), (fg.vmap, X)):
        with pytest.raises(LeakedTracerError):
            wrap(outer)(x)


def test_an_error_inside_a_trace_leaves_no_trace_behind():
    def broken(x):
        raise ValueError("stop")

    for wrap in (fg.jit, fg.grad, fg.vmap, lambda f: fg.jit(fg.vmap(fg.grad(f)))):
        with pytest.raises(ValueError, match="stop"):
            wrap(broken)(X)
        assert isinstance(jnp.sin(X), fg.Array)
        assert isinstance(fg.jit(jnp.sin)(X), fg.Array)


def test_threads_trace_on_their_own():
    results = {}

    def work(n):
        results[n] = [float(fg.grad(lambda x: x**n)(2.0)) for _ in range(10)]

    threads = [threading.Thread(target=work, args=(n,)) for n in range(1, 5)]
    [t.start() for t in threads]
    [t.join() for t in threads]
    assert results == {n: [n * 2.0 ** (n - 1)] * 10 for n in range(1, 5)}


# -------------------------------------------------------------------------------------------------- in words
@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: jnp.ones(3) + jnp.ones(4), ShapeError, r"3\].*4\]"),
        (lambda: jnp.sin("text"), DTypeError, "'text'"),
        (lambda: jnp.sin([1, 2]), DTypeError, "list"),
        (lambda: fg.lax.add(1.0, jnp.ones(3, "int32")), FuncgradError, "f32|dtype"),
        (lambda: jnp.sum(jnp.ones((2, 3)), axis=2), errors.AxisError, "axis 2"),
        (lambda: jnp.reshape(jnp.ones(6), (4, 2)), ShapeError, "6"),
        (lambda: jnp.dot(jnp.ones((2, 3)), jnp.ones((2, 3))), ShapeError, "2"),
        (lambda: jnp.concatenate([jnp.ones(2), jnp.ones((2, 2))]), ShapeError, ""),
        (lambda: fg.jit(lambda x: x[x > 0])(X), FuncgradError, "where|size|boolean"),
        (lambda: fg.jit(lambda x: x if x.sum() > 0 else 0)(X), ShapeError, "where.*is True"),
        (lambda: fg.grad(jnp.sin)(X), errors.NotDifferentiableError, "scalar"),
        (lambda: fg.tree.map(lambda a, b: a, [1], [1, 2]), (ArgumentError, ValueError), ""),
    ],
)
def test_common_mistakes_have_words_and_a_line(call, error, words):
    with pytest.raises(error) as info:
        call()
    import re

    assert re.search(words, str(info.value), re.DOTALL), str(info.value)
    if isinstance(info.value, FuncgradError):
        assert info.value.where is not None and info.value.where.file == __file__


@pytest.mark.parametrize(
    "make",
    [
        jnp.zeros,
        lambda n: jnp.zeros((2, n)),
        lambda n: jnp.ones(6).reshape(n, 2),
        lambda n: fg.random.normal(fg.random.key(0), (n,)),
    ],
)
def test_a_traced_length_is_refused_with_advice(make):
    with pytest.raises(fg.errors.ConcretizationError, match="static"):
        fg.jit(make)(3)


@pytest.mark.parametrize("args", [(np.arange(3.0), 5), ({"x": 1.0}, 5), (fg.numpy.ones(3), 5)])
def test_errors_of_a_compiled_call_come_alone(args):
    def f(x, n):
        return fg.numpy.zeros(n)

    with pytest.raises(fg.errors.ConcretizationError) as raised:
        fg.jit(f)(*args)
    assert raised.value.__context__ is None and raised.value.__cause__ is None

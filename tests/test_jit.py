"""jit: what is traced when, static and donated arguments, closures, nesting, and what it refuses."""

from __future__ import annotations

import functools
import warnings
from dataclasses import dataclass

import numpy as np
import pytest

import funcgrad as fg
import funcgrad.numpy as jnp
from funcgrad.errors import (
    ArgumentError,
    ConcretizationError,
    DTypeError,
    LeakedTracerError,
    ShapeError,
    UnhashableError,
)

X = np.array([0.3, -1.2, 2.0], np.float32)


def close(actual, expected):
    assert fg.tree.structure(actual) == fg.tree.structure(expected)
    for a, e in zip(fg.tree.leaves(actual), fg.tree.leaves(expected)):
        np.testing.assert_allclose(np.asarray(a), np.asarray(e), rtol=1e-5, atol=1e-5)


class Counter:
    """A function that counts how often it is traced."""

    def __init__(self, function, **options):
        self.count = 0

        @functools.wraps(function)
        def counted(*args, **kwargs):
            self.count += 1
            return function(*args, **kwargs)

        self.jitted = fg.jit(counted, **options)

    def __call__(self, *args, **kwargs):
        return self.jitted(*args, **kwargs)


# ------------------------------------------------------------------------------------------ what is traced
def test_a_signature_is_traced_once():
    f = Counter(lambda x, y=1.0: jnp.sin(x) * y)
    steps = [
        (lambda: f(X), 1),
        (lambda: f(X + 1), 1),
        (lambda: f(jnp.asarray(X)), 1),
        (lambda: f(X[:2]), 2),
        (lambda: f(X.astype(np.float64)), 3),
        (lambda: f(X, 2.0), 4),
        (lambda: f(X, 3.0), 4),
        (lambda: f(X, jnp.asarray(3.0)), 4),
        (lambda: f(X, jnp.float32(3.0)), 5),
        (lambda: f(X, 2), 6),
        (lambda: f(X, True), 7),
        (lambda: f(X, y=2.0), 8),
        (lambda: f(X, y=5.0), 8),
        (lambda: f(X), 8),
        (lambda: fg.vmap(f)(X), 9),
        (lambda: fg.vmap(f)(X + 1), 9),
        (lambda: fg.grad(lambda x: f(x).sum())(X), 9),
    ]
    for number, (call, count) in enumerate(steps):
        call()
        assert f.count == count, f"step {number}"


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (((X, {"y": X}), {}), ((X,), {"y": X})),
        ((((X,), {"y": X}), {}), ((X,), {"y": X})),
        (((X, X), {}), (((X, X),), {})),
        ((([X],), {}), (((X,),), {})),
        (((X, None), {}), ((None, X), {})),
    ],
)
def test_calls_of_different_structure_do_not_share_a_trace(first, second):
    f = fg.jit(lambda *args, **kwargs: fg.tree.map(lambda x: x + 1, (args, kwargs)))
    for args, kwargs in (first, second, first):
        close(f(*args, **kwargs), fg.tree.map(lambda x: x + 1, (args, kwargs)))


def test_settings_are_part_of_the_signature():
    f = Counter(lambda x: x * jnp.ones(3))
    assert f(1.0).dtype == np.float32
    with fg.config.using(default_float="float64"):
        assert f(1.0).dtype == np.float64
    assert f(1.0).dtype == np.float32
    assert f.count == 2
    for _ in range(2):
        with fg.config.using(default_float="float64"):
            f(1.0)
    assert f.count == 2


def test_python_scalars_are_weak_and_arrays_are_not():
    f = fg.jit(lambda x, y: x * y)
    half = jnp.asarray(X, "float16")
    assert f(half, 2.0).dtype == np.float16
    assert f(half, jnp.asarray(2.0)).dtype == f(half, jnp.full((1,), 2.0)).dtype == np.float16
    assert f(half, jnp.float32(2.0)).dtype == f(half, jnp.asarray([2.0])).dtype == np.float32
    assert f(half, jnp.array(jnp.array(2.0))).dtype == np.float16
    assert f(2.0, 3.0).weak_type
    assert f(2, 3).dtype == np.int64
    assert f(2, True).dtype == np.int64


def test_weak_types_are_the_same_with_and_without_jit():
    values = [
        jnp.array(2.0),
        jnp.array(3),
        jnp.full((2,), 1.5),
        jnp.float32(2),
        jnp.arange(2),
        2,
        0.5,
    ]
    for name in ("add", "subtract", "multiply", "true_divide", "less", "equal", "maximum"):
        function = getattr(jnp, name)
        for a in values:
            for b in values:
                eager, compiled = function(a, b), fg.jit(function)(a, b)
                assert (eager.dtype, eager.weak_type) == (compiled.dtype, compiled.weak_type), (name, a, b)


def test_results_keep_their_tree():
    f = fg.jit(lambda x: {"a": (x, None, []), "b": [x * 2, 3, 2.5, True]})
    close(f(X), {"a": (X, None, []), "b": [X * 2, 3, 2.5, True]})
    assert [b.dtype for b in f(X)["b"]] == [np.float32, np.int64, np.float32, np.bool_]
    assert fg.jit(lambda x: None)(X) is None
    assert fg.jit(lambda: ())() == ()
    assert fg.jit(lambda t: t)({"none": None, "empty": {}}) == {"none": None, "empty": {}}
    close(fg.jit(lambda x, y: (y, x, x))(1.0, X), (X, 1.0, 1.0))


def test_clear_cache_traces_again():
    f = Counter(jnp.sin)
    f(X), f.jitted.clear_cache(), f(X)
    assert f.count == 2


# ------------------------------------------------------------------------------------------------- statics
def power(x, n, flag=False, *, mode="mul"):
    """Uses n, flag and mode as Python values."""
    out = x
    for _ in range(n - 1):
        out = out * x if mode == "mul" else out + x
    return -out if flag else out


@pytest.mark.parametrize(
    "options",
    [
        {"static_argnums": (1, 2), "static_argnames": "mode"},
        {"static_argnums": (-1, -2), "static_argnames": ("mode",)},
        {"static_argnames": ("n", "flag", "mode")},
        {"static_argnums": 1, "static_argnames": ["flag", "mode"]},
    ],
)
def test_static_arguments_by_number_and_name_and_default(options):
    f = Counter(power, **options)
    close(f(X, 3), X**3)
    close(f(X, n=3), X**3)
    close(f(X, 2, True), -(X**2))
    close(f(X, 2, flag=True), -(X**2))
    close(f(X, 2, mode="add"), 2 * X)
    close(f(x=X, n=2, mode="add"), 2 * X)
    before = f.count
    close(f(X + 1, 3), (X + 1) ** 3)
    close(f(X, 2, mode="add"), 2 * X)
    assert f.count == before
    close(fg.grad(lambda x: f(x, 3).sum())(X), 3 * X**2)
    close(fg.vmap(lambda x: f(x, 3))(X), X**3)


def test_equal_statics_of_different_types_are_told_apart():
    f = fg.jit(lambda x, s: x * 2 if s is True else x * 3, static_argnums=1)
    close(f(X, 1), X * 3)
    close(f(X, True), X * 2)
    close(f(X, 1.0), X * 3)


def test_any_hashable_object_can_be_static():
    @dataclass(frozen=True)
    class Settings:
        width: int

    f = Counter(lambda x, s, act: act(x[: s.width]), static_argnums=(1, 2))
    close(f(X, Settings(2), jnp.sin), np.sin(X[:2]))
    close(f(X, Settings(2), jnp.sin), np.sin(X[:2]))
    assert f.count == 1
    close(f(X, Settings(1), jnp.cos), np.cos(X[:1]))


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: fg.jit(power, static_argnums=5), ArgumentError, "static_argnums.*3 positional"),
        (lambda: fg.jit(power, static_argnums=-4), ArgumentError, "static_argnums"),
        (
            lambda: fg.jit(power, static_argnames="depth"),
            ArgumentError,
            "no parameter 'depth'.*x, n, flag, mode",
        ),
        (lambda: fg.jit(power, static_argnums=1, donate_argnums=1), ArgumentError, "both static and donated"),
        (lambda: fg.jit(power, static_argnums=1)(X, [1]), UnhashableError, "argument 1 of power.*list"),
        (lambda: fg.jit(power, static_argnames="n")(X, n=[1]), UnhashableError, "argument 'n' of power"),
        (lambda: fg.jit(power, static_argnums=1)(X, jnp.ones(2)), UnhashableError, "argument 1 of power"),
        (lambda: fg.jit(power)(X, 3), ConcretizationError, "static"),
        (lambda: fg.jit(power)(X, "3"), DTypeError, r"argument 'n' of power is '3'[\s\S]*static_argnums"),
        (lambda: fg.jit(lambda p: p)({"k": [object()]}), DTypeError, r"\['k'\]\[0\]"),
        (lambda: fg.jit(lambda x: {"k": "text"})(X), DTypeError, r"result\['k'\]"),
        (lambda: fg.jit(3), ArgumentError, "jit takes a function"),
        (lambda: fg.jit(lambda x: x if x.any() else 0)(X), ShapeError, "another type"),
        (lambda: fg.jit(lambda x: float(x))(1.0), ConcretizationError, r"f32\[\]"),
        (lambda: fg.jit(lambda x: [1, 2][x])(1), ConcretizationError, "index"),
        (lambda: fg.jit(lambda x: list(range(x)))(1), ConcretizationError, "range"),
        (lambda: fg.jit(lambda x: jnp.zeros(x))(1), ConcretizationError, "shape"),
        (lambda: fg.jit(lambda x: x.item())(1), ConcretizationError, "item"),
        (lambda: fg.jit(lambda x: x.tolist())(1), ConcretizationError, "tolist"),
        (lambda: fg.jit(lambda x: np.sin(x))(1.0), ConcretizationError, "funcgrad.numpy"),
        (lambda: fg.jit(lambda x: {x: 1})(1.0), UnhashableError, "no hash"),
    ],
)
def test_what_jit_cannot_take_is_refused_in_words(make, error, words):
    with pytest.raises(error, match=words):
        make()


def test_a_wrong_call_is_pythons_own_error():
    with pytest.raises(TypeError, match="missing"):
        fg.jit(power, static_argnums=1)(X)
    with pytest.raises(TypeError, match="unexpected keyword"):
        fg.jit(jnp.sin)(X, depth=1)


# ------------------------------------------------------------------------------- how functions come to jit
def test_decorators_and_partials():
    @fg.jit
    def one(x):
        """Doc."""
        return x + 1

    @functools.partial(fg.jit, static_argnums=1)
    def two(x, n):
        return x * n

    @fg.jit(static_argnames=("n",))
    def three(x, n):
        return x - n

    close((one(X), two(X, 3), three(X, n=1)), (X + 1, X * 3, X - 1))
    assert (one.__name__, one.__doc__, one.__wrapped__(1)) == ("one", "Doc.", 2)
    close(fg.jit(functools.partial(power, n=3))(X), X**3)
    close(fg.jit(functools.partial(two, n=4))(X), X * 4)
    close(fg.jit(fg.jit(jnp.sin))(X), np.sin(X))


def test_methods_are_bound():
    class Model:
        def __init__(self, scale):
            self.scale = scale

        @functools.partial(fg.jit, static_argnums=0)
        def call(self, x):
            return x * self.scale

        @staticmethod
        @fg.jit
        def twice(x):
            return x * 2

        def __call__(self, x):
            return x - self.scale

    close((Model(3.0).call(X), Model(4.0).call(X), Model(1.0).twice(X)), (X * 3, X * 4, X * 2))
    close(fg.jit(Model(3.0))(X), X - 3)
    close(fg.jit(Model(3.0).__call__)(X), X - 3)


# ------------------------------------------------------------------------------------------------ closures
def test_concrete_values_that_are_closed_over_are_constants():
    weights = jnp.asarray(X)
    f = Counter(lambda x: x * weights + len(X))
    close((f(X), f(X)), (X * X + 3, X * X + 3))
    assert f.count == 1


def test_a_numpy_array_that_is_closed_over_is_taken_as_it_was_when_traced():
    table = X.copy()
    f = fg.jit(lambda x: x * table)
    close(f(1.0), X)
    table[:] = 0
    close(f(1.0), X)


def test_traced_values_that_are_closed_over_are_not_kept():
    f = None

    def outer(y):
        nonlocal f
        f = f or fg.jit(lambda x: x * y)
        return f(2.0) * y

    close(fg.grad(outer)(3.0), 12.0)
    with pytest.raises(LeakedTracerError):
        f(2.0)


@pytest.mark.parametrize("outer", [fg.jit, fg.grad, fg.vmap, fg.checkpoint])
def test_jit_inside_other_transforms_sees_outer_tracers(outer):
    def f(x):
        return fg.jit(lambda a: jnp.sin(a) * x)(x * 2)

    x = X if outer is fg.vmap else np.float32(0.7)
    y = np.float64(x)
    expected = 2 * np.cos(2 * y) * y + np.sin(2 * y) if outer is fg.grad else np.sin(2 * y) * y
    close(outer(f)(x), expected)


# --------------------------------------------------------------------------------------------- switched off
def test_disable_jit_runs_python_every_time():
    f = Counter(lambda x: x + 1 if x > 0 else x)
    with fg.disable_jit():
        close((f(1.0), f(-1.0)), (2.0, -1.0))
    assert f.count == 2
    close((f(1.0), f(-1.0)), (2.0, -1.0))
    assert f.count == 4  # two more, one for each outcome


def test_python_side_effects_happen_while_tracing_only(capsys):
    f = fg.jit(lambda x: print("traced", x.shape) or x * 2)
    f(X), f(X + 1)
    assert capsys.readouterr().out == "traced (3,)\n"


# ---------------------------------------------------------------------------- what is asked before running
def test_lower_eval_shape_and_trace_need_types_only():
    spec = fg.ShapeDtypeStruct((3,), "float32")
    f = Counter(lambda x: (jnp.sin(x), jnp.sum(x)))
    assert f.jitted.eval_shape(spec) == (spec, fg.ShapeDtypeStruct((), "float32"))
    assert fg.eval_shape(f.jitted, spec) == (spec, fg.ShapeDtypeStruct((), "float32"))
    graph = f.jitted.trace(spec)
    assert [e.primitive.name for e in graph.eqns] == ["sin", "reduce_sum"]
    assert "sin" in str(f.jitted.lower(spec))
    f(X)
    assert f.count == 1
    with pytest.raises(DTypeError, match="no elements"):
        f(spec)


def test_make_jaxpr_shows_the_graph():
    graph, shape = fg.make_jaxpr(lambda x, n: jnp.sin(x) * n, static_argnums=1, return_shape=True)(X, 3)
    assert "sin" in str(graph) and "f32[3]" in str(graph)
    assert shape == fg.ShapeDtypeStruct((3,), np.float32)
    assert fg.make_jaxpr is fg.make_graph
    assert len(fg.make_jaxpr(fg.jit(jnp.sin))(X).eqns) == 1


def test_eval_shape_computes_nothing():
    huge = fg.ShapeDtypeStruct((10**6, 10**6), np.float32)
    assert fg.eval_shape(lambda a: {"y": (a + a).sum(0), "n": None}, huge) == {
        "y": fg.ShapeDtypeStruct((10**6,), np.float32),
        "n": None,
    }
    assert fg.eval_shape(lambda x: x, 1.0).weak_type
    assert fg.eval_shape(
        lambda x, *, k: x @ k, fg.ShapeDtypeStruct((2, 3), "f4"), k=np.ones((3, 5))
    ).shape == (2, 5)


# ------------------------------------------------------------------------------------------------ donation
@pytest.mark.parametrize(
    "options", [{"donate_argnums": 0}, {"donate_argnames": "x"}, {"donate_argnums": (0, 1)}]
)
def test_donated_arguments_give_the_same_results(options):
    f = fg.jit(lambda x, y: (x + y, y * 2), **options)
    for _ in range(2):
        close(f(jnp.asarray(X), jnp.asarray(X + 1)), (X + X + 1, (X + 1) * 2))


def test_a_numpy_argument_is_never_overwritten():
    x = X.copy()
    close(fg.jit(lambda x: x + 1, donate_argnums=0)(x), X + 1)
    close(x, X)


def test_results_do_not_share_memory_with_numpy_arguments():
    x = X.copy()
    outs = [fg.jit(lambda x: x)(x), fg.jit(lambda x: x.reshape(3, 1))(x), fg.jit(lambda x: (x, x))(x)[1]]
    x[:] = 7
    for out in outs:
        close(out.reshape(3), X)


def test_a_donated_array_is_gone_after_the_call_and_says_so():
    step = fg.jit(lambda x: x * 2 + 1, donate_argnums=0)
    x = jnp.arange(4.0)
    close(step(x), np.array([1.0, 3.0, 5.0, 7.0], np.float32))
    assert x.is_deleted()
    assert x.shape == (4,)
    for use in (lambda: x + 1, lambda: np.asarray(x), lambda: step(x), lambda: x[0], lambda: x.sum()):
        with pytest.raises(ArgumentError, match="donated to"):
            use()


def test_a_loop_of_donated_steps_stays_in_the_same_memory_without_warnings():
    step = fg.jit(lambda p: {k: v * 2 for k, v in p.items()}, donate_argnums=0)
    params = step({"w": jnp.ones((2, 3)), "b": jnp.zeros(3), "s": jnp.ones(4).reshape(2, 2)})
    places = {k: v._data.ctypes.data for k, v in params.items()}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in range(3):
            params = step(params)
    assert {k: v._data.ctypes.data for k, v in params.items()} == places
    close(params["w"], np.full((2, 3), 16.0))


@pytest.mark.parametrize(
    "share",
    [
        lambda x: x.reshape(2, 2),
        lambda x: x[1:],
        jnp.copy,
        jnp.array,
        fg.lax.stop_gradient,
        fg.jit(lambda x: x),
        np.asarray,
        lambda x: jnp.split(x, 2)[0],
    ],
)
def test_donation_leaves_what_shares_memory_alone(share):
    x = jnp.arange(4.0) + 1
    shared = share(x)
    before = np.array(shared)
    step = fg.jit(lambda x: x * 2 + 1, donate_argnums=0)
    close(step(x), np.array([3.0, 5.0, 7.0, 9.0], np.float32))
    close(shared, before)
    x = jnp.arange(4.0)
    close(fg.jit(lambda x, y: (x + y, x * 3), donate_argnums=(0, 1))(x, x)[0], np.arange(4.0) * 2)


@pytest.mark.parametrize("dtype", ["complex64", "complex128"])
def test_complex_constants_reach_kernels(dtype):
    z = jnp.array([1 + 2j, -0.5j], dtype)
    f = lambda z: z * (2 - 3j) + 0.5  # noqa: E731
    np.testing.assert_allclose(np.asarray(fg.jit(f)(z)), np.asarray(f(z)), rtol=1e-6)


def test_scans_over_empty_arrays_compile():
    def first(x):
        return fg.lax.scan(lambda carry, row: (carry, -row), 0, jnp.stack([x, x]))[1][0]

    assert fg.jit(first)(jnp.zeros((0, 2))).shape == (0, 2)


@pytest.mark.parametrize("axis", [None, 0, 1])
def test_argmax_shares_a_kernel_with_other_reductions(axis):
    x = np.random.default_rng(0).normal(size=(20, 30)).astype(np.float32)
    reductions = (jnp.argmax, jnp.max, jnp.sum, jnp.argmin, jnp.min)
    compiled = fg.jit(lambda x: [f(x, axis) for f in reductions])
    close(compiled(x), [f(jnp.asarray(x), axis) for f in reductions])


def test_a_sum_of_several_means_compiles():
    a, b, c = (np.random.default_rng(i).normal(size=(8, 64)).astype(np.float32) for i in range(3))

    def loss(a, b, c):
        return -a.mean() + 0.5 * c.mean() - 0.01 * -b.mean()

    np.testing.assert_allclose(fg.jit(loss)(a, b, c), loss(a, b, c), rtol=1e-5)


def test_an_index_of_several_axes_is_one_operand_of_what_is_computed_with_it():
    def places(x):
        rows = fg.lax.broadcasted_iota("int64", (12, 2), 0) * 2
        return (x + rows).reshape(4, 3, 2).transpose(0, 2, 1)

    x = np.arange(24).reshape(12, 2)
    np.testing.assert_array_equal(np.asarray(fg.jit(places)(x)), np.asarray(places(x)))


def test_a_lowered_function_compiles_to_one_that_is_called_like_it():
    def f(x, n, *, y):
        return {"z": x * n + y["k"] + jnp.asarray(X) - X}

    compiled = fg.jit(f, static_argnums=1).lower(X, 3, y={"k": 2.0}).compile()
    close(compiled(X, y={"k": 2.0})["z"], X * 3 + 2)
    close(fg.grad(lambda x: compiled(x, y={"k": 2.0})["z"].sum())(X), np.full(3, 3.0))
    for arguments in ((X[:2],), (X.astype(np.float64),), (X, 3)):
        with pytest.raises(ArgumentError, match="compiled for"):
            compiled(*arguments, y={"k": 2.0})


def test_what_a_compiled_function_costs():
    a = jnp.ones((16, 32), "float32")
    compiled = fg.jit(lambda a, b: (a @ b, a + 1.0), donate_argnums=0).lower(a, a.T).compile()
    cost = compiled.cost_analysis()
    assert cost["flops"] == 2 * 16 * 32 * 16 and cost["bytes accessed"] >= 3 * a.nbytes
    memory = compiled.memory_analysis()
    assert memory.argument_size_in_bytes == 2 * a.nbytes
    assert memory.output_size_in_bytes == 16 * 16 * 4 + a.nbytes
    assert memory.alias_size_in_bytes == a.nbytes
    assert memory.temp_size_in_bytes >= 0
    assert "gemm f32 16x32 @ 32x16" in compiled.as_text()


def test_what_no_traced_value_goes_into_is_computed_at_once():
    def f(x):
        with fg.ensure_compile_time_eval():
            size = int(jnp.arange(4).sum()) + int(fg.lax.while_loop(lambda i: i < 3, lambda i: i + 1, 0))
            slope = float(fg.grad(fg.nn.silu)(0.0)) + float(fg.jit(jnp.sin)(0.0))
            traced = fg.nn.relu(x) + fg.nn.silu(x) * (x == x) + fg.jit(jnp.add)(x, 1)
        return traced * size * slope

    want = [(x + x / (1 + np.exp(-x)) + x + 1) * 9 * 0.5 for x in (0.0, 1.0, 2.0)]
    np.testing.assert_allclose(fg.jit(fg.vmap(f))(jnp.arange(3.0)), want, rtol=1e-6)
    np.testing.assert_allclose([f(x) for x in (0.0, 1.0, 2.0)], want, rtol=1e-6)
    np.testing.assert_allclose(fg.jit(fg.grad(f))(2.0), fg.grad(f)(2.0), rtol=1e-6)
    with pytest.raises(ConcretizationError):
        fg.jit(lambda x: f(int(x)))(1.0)

"""`fg.debug`: breakpoints, progress bars, explanations, key reuse; leaks; and the examples of all these modules."""

from __future__ import annotations

import bdb
import doctest
import importlib
import io

import numpy as np
import pytest

import funcgrad as fg
import funcgrad.numpy as jnp
from funcgrad import lax, random
from funcgrad.errors import ArgumentError, KeyReuseError, LeakedTracerError
from funcgrad.lower.lowered import RoutineStep

F32 = np.float32
DOCUMENTED = [
    "callbacks",
    "checkify",
    "debug.explain",
    "debug.keys",
    "debug.nans",
    "debug.printing",
    "debug.progress",
]


@pytest.mark.parametrize("name", DOCUMENTED)
def test_examples_run(name):
    module = importlib.import_module(f"funcgrad.{name}")
    result = doctest.testmod(module)
    assert result.attempted > 0
    assert result.failed == 0


# -------------------------------------------------------------------------------------------- breakpoint


def stopping(commands, **options):
    out = io.StringIO()

    def f(x):
        y = x * 2
        fg.debug.breakpoint(stdin=io.StringIO(commands), stdout=out, **options)
        return y

    return f, out


@pytest.mark.parametrize("transform", [lambda f: f, fg.jit, fg.grad, lambda f: fg.jit(fg.grad(f))])
def test_a_breakpoint_has_the_values(transform):
    f, out = stopping("p y + 1\nx\nnp.float32(2)\nno_such\nbt\nl\npp [1]\nc\n")
    transform(f)(F32(3))
    text = out.getvalue()
    assert "test_debug.py" in text
    assert "Array(7., dtype=float32" in text
    assert "Array(3., dtype=float32" in text
    assert "*** NameError" in text
    assert "->" in text
    assert "fg.debug.breakpoint(" in text


def test_quit_ends_the_program():
    f, _ = stopping("q\n")
    with pytest.raises(bdb.BdbQuit):
        fg.jit(f)(F32(3))


def test_the_callers_variables_are_there_when_asked_for():
    f, out = stopping("u\np secret\nd\np y\nc\n", num_frames=2)

    def caller(x):
        secret = x + 40
        return f(x) + secret

    fg.jit(caller)(F32(2))
    assert "Array(42., dtype=float32" in out.getvalue()
    assert "Array(4., dtype=float32" in out.getvalue()


def test_any_variable_may_be_around():
    out = io.StringIO()

    def f(x):
        odd, text, keys = {1: x, "a": 2}, "words", {(1, 2): x}
        fg.debug.breakpoint(stdin=io.StringIO("p text\np odd\np keys\n\np x\nc\n"), stdout=out)
        return x + len(odd) + len(keys) + len(text)

    assert float(fg.jit(f)(F32(1))) == 9.0
    assert "'words'" in out.getvalue()
    assert "Array(1., dtype=float32" in out.getvalue()
    assert "***" not in out.getvalue()


# ---------------------------------------------------------------------------------------------- progress


def test_progress_moves_with_each_iteration():
    pytest.importorskip("tqdm")
    out = io.StringIO()

    def body(c, x):
        return c + x, None

    f = fg.jit(lambda x: lax.scan(fg.debug.progress(body, total=7, file=out, mininterval=0), 0.0, x)[0])
    for _ in range(2):
        assert float(f(np.ones(7, F32))) == 7.0
    assert out.getvalue().count("7/7") >= 2
    assert "body: 100%" in out.getvalue()
    out.truncate(0)
    fg.grad(lambda s: lax.fori_loop(0, 3, fg.debug.progress(lambda i, c: c * s, 3, file=out), s))(F32(2))
    assert "3/3" in out.getvalue()
    with pytest.raises(ArgumentError, match="body of a loop"):
        fg.debug.progress(3)


# ------------------------------------------------------------------------------------------ explanations


def test_why_recompiled_names_what_changed():
    f = fg.jit(lambda x, n=1, *, flag=False: x * n if flag else x, static_argnames=("n", "flag"))
    why = fg.debug.why_recompiled
    assert "has not been traced" in why(f)
    f(np.ones(3, F32))
    assert "traced once" in why(f)
    f(np.ones(4, F32))
    assert "argument 'x' changed shape: f32[3] -> f32[4]" in why(f)
    f(np.ones(4, np.int32))
    assert "argument 'x' changed dtype: f32[4] -> i32[4]" in why(f)
    f(np.ones(4, np.int32), 2)
    assert "static argument 'n' changed: '(not given)' -> 2" in why(f)
    f(np.ones(4, np.int32), 3)
    assert "static argument 'n' changed: 2 -> 3" in why(f)
    f(np.ones(4, np.int32), 3, flag=True)
    assert "static argument 'flag' changed" in why(f)
    f([np.ones(4, np.int32)], 3)
    assert "structure of the arguments changed" in why(f)
    assert "traced 7 times" in why(f)


def test_why_recompiled_knows_weak_types_and_settings():
    f = fg.jit(lambda a, b: a["k"] + b)
    f({"k": F32(1)}, F32(1))
    f({"k": F32(1)}, 1.0)
    assert "argument 'b' changed from an array to a Python number" in fg.debug.why_recompiled(f)
    f({"k": np.ones(2, F32)}, 1.0)
    assert "argument 'a'['k'] changed shape" in fg.debug.why_recompiled(f)
    with fg.config.using(default_float="float64"):
        f({"k": np.ones(2, F32)}, jnp.float32(1.0))
    assert "settings" in fg.debug.why_recompiled(f)
    with pytest.raises(ArgumentError, match="function under jit"):
        fg.debug.why_recompiled(lambda x: x)


def test_why_recompiled_sees_statics_that_only_look_equal():
    class Options:
        def __repr__(self):
            return "Options()"

    f = fg.jit(lambda x, o: x, static_argnums=1)
    f(1.0, Options())
    f(1.0, Options())
    assert (
        "static argument 'o' changed: Options() -> Options() (it looks the same" in fg.debug.why_recompiled(f)
    )


def test_recompilations_are_logged_when_asked_for(caplog):
    f = fg.jit(lambda x: x)
    with fg.config.using(explain_recompiles=True):
        f(np.ones(2))
        f(np.ones(3))
    f(np.ones(4))
    assert [r.name for r in caplog.records] == ["funcgrad"]
    assert "argument 'x' changed shape: f64[2] -> f64[3]" in caplog.text


def test_the_names_of_jax_are_there():
    assert fg.debug_nans is fg.debug.nans
    with fg.debug_nans(True), fg.debug_infs(False), pytest.raises(FloatingPointError):
        fg.jit(jnp.log)(F32(-1))
    with fg.debug_key_reuse(), pytest.raises(KeyReuseError):
        twice(random.key(0))


def test_why_not_fused():
    x = np.ones((64, 64), F32)
    assert "is one kernel" in fg.debug.why_not_fused(lambda x: jnp.tanh(x) * 2, x)
    text = fg.debug.why_not_fused(lambda x: jnp.tanh(x @ x) + jnp.tanh(x), x)
    assert "1 matrix product" in text
    assert "- " in text
    text = fg.debug.why_not_fused(lambda x: fg.pure_callback(np.sin, x, x) + 1, x)
    assert "pure_callback: a library works on whole arrays" in text
    assert "nothing to compute" in fg.debug.why_not_fused(lambda x: x, x)


def test_why_slow():
    x = np.ones((128, 128))

    def slow(x):
        def body(c, _):
            return fg.pure_callback(np.sin, fg.ShapeDtypeStruct(c.shape, c.dtype), c), None

        return lax.scan(body, x @ x, None, 5)[0]

    text = fg.debug.why_slow(slow, x)
    assert text.startswith("slow takes ")
    assert "a call of the Python function sin, 5 times in scan of 5 steps, from" in text
    assert "5 calls of Python in loops" in text
    assert "float64" in text
    text = fg.debug.why_slow(lambda x: jnp.tanh(x).sum(), x.astype(F32))
    assert "a kernel of tanh" in text and "of the roof" in text
    with pytest.raises(ArgumentError, match="explains a function"):
        fg.debug.why_slow(3)


def test_why_slow_shares_the_work_among_lines_and_counts_products():
    x, w = jnp.ones((64, 64), F32), jnp.ones((8, 3, 3, 3), F32)

    def f(x, picture):
        y = lax.scan(lambda c, _: (jnp.tanh(c @ x), None), x, None, 10)[0]
        z = lax.conv_general_dilated(picture, w, (1, 1), "SAME")
        return y.sum() + z.sum()

    picture = jnp.ones((2, 3, 16, 16), F32)
    text = fg.debug.why_slow(f, x, picture)
    assert "Predicted shares of your lines:" in text
    assert "(5.24 M FLOPs), 10 times in scan of 10 steps, from" in text
    convolution = next(line for line in text.splitlines() if "conv_" in line)
    assert (
        "FLOPs)" in convolution and "(f)" in convolution
    )  # at the line that convolves, not that of the call
    products = 10 * 2 * 64**3
    assert f"{(products + _conv_flops(fg.jit(f).lower(x, picture))) / 1e9:.3g} GFLOPs" in text


def _conv_flops(lowered):
    steps = lowered.executable.placement.steps
    return sum(s.flops for s in steps if isinstance(s, RoutineStep))


# ---------------------------------------------------------------------------------------------- key reuse


def twice(key):
    keys = random.split(key)
    return random.normal(keys[0]) + random.uniform(keys[0])


def once(key):
    keys = random.split(key)
    return random.normal(keys[0]) + random.uniform(keys[1]) + random.normal(random.fold_in(keys[0], 1))


@pytest.mark.parametrize("transform", [lambda f: f, fg.jit, lambda f: fg.jit(fg.jit(f))])
def test_a_key_used_twice_is_found(transform):
    with (
        fg.debug.key_reuse(),
        pytest.raises(KeyReuseError, match=r"random.uniform; random.normal has used it"),
    ):
        transform(twice)(random.key(0))
    with fg.debug.key_reuse():
        transform(once)(random.key(0))
    transform(twice)(random.key(0))


def test_loops_that_use_one_key_again_and_again():
    xs = np.arange(3, dtype=F32)

    def from_outside(key):
        return lax.scan(lambda c, x: (c + random.normal(key), x), 0.0, xs)[0]

    def carried(key):
        return lax.fori_loop(0, 3, lambda i, c: (c[0], c[1] + random.normal(c[0])), (key, 0.0))[1]

    def counted(key):
        return lax.while_loop(lambda c: c < 2, lambda c: c + 1 + 0 * random.normal(key), 0.0)

    def split_again(key):
        def body(i, c):
            key, sub = random.split(c[0])
            return key, c[1] + random.normal(sub)

        return lax.fori_loop(0, 3, body, (key, 0.0))[1]

    def an_array_of_keys(key):
        return lax.scan(lambda c, k: (c + random.normal(k), k), 0.0, random.split(key, 3))[0]

    def folded(key):
        return lax.fori_loop(0, 3, lambda i, c: c + random.normal(random.fold_in(key, i)), 0.0)

    for f in (from_outside, carried, counted):
        for transform in (fg.jit, lambda f: f):
            with fg.debug.key_reuse(), pytest.raises(KeyReuseError, match="every iteration"):
                transform(f)(random.key(0))
    for f in (split_again, an_array_of_keys, folded):
        for transform in (fg.jit, lambda f: f):
            with fg.debug.key_reuse():
                transform(f)(random.key(0))


def test_branches_may_use_the_same_key():
    def f(p, key):
        return lax.cond(p, lambda k: random.normal(k), lambda k: random.uniform(k) + 0, key)

    for transform in (fg.jit, lambda f: f):
        with fg.debug.key_reuse():
            transform(f)(True, random.key(0))
        with fg.debug.key_reuse(), pytest.raises(KeyReuseError):
            transform(lambda p, k: f(p, k) + random.normal(k))(True, random.key(0))


def test_keys_under_vmap():
    with fg.debug.key_reuse():
        keys = random.split(random.key(1), 3)
        fg.vmap(once)(keys)
    with fg.debug.key_reuse(), pytest.raises(KeyReuseError):
        fg.vmap(twice)(random.split(random.key(1), 3))


def test_a_compiled_function_that_is_called_twice_with_one_key():
    f = fg.jit(lambda k: random.normal(k))
    with fg.debug.key_reuse():
        f(random.key(1))
        f(random.key(2))
        with pytest.raises(KeyReuseError):
            f(random.key(1))
        with pytest.raises(KeyReuseError):
            random.uniform(random.key(2))
    with fg.debug.key_reuse():
        f(random.key(1))


def test_the_random_functions_themselves_use_no_key_twice():
    draws = {
        "uniform": (), "normal": (), "bits": (), "gumbel": (), "exponential": (), "laplace": (), "cauchy": (),
        "logistic": (), "rademacher": (), "maxwell": (), "bernoulli": (), "truncated_normal": (-1.0, 1.0),
        "randint": ((3,), 0, 5), "categorical": (np.zeros(3, F32),), "choice": (5, (2,)),
    }  # fmt: skip
    with fg.debug.key_reuse():
        key = random.key(3)
        for name, args in draws.items():
            key, a, b = random.split(key, 3)
            getattr(random, name)(a, *args)
            fg.jit(lambda k, name=name, args=args: getattr(random, name)(k, *args))(b)


# -------------------------------------------------------------------------------------------------- leaks


@pytest.mark.parametrize("transform", [fg.jit, fg.vmap, lambda f: fg.grad(lambda x: f(x).sum())])
def test_a_leak_is_found(transform):
    kept = []

    def leaky(x):
        kept.append(x * 2)
        return x

    with fg.checking_leaks(), pytest.raises(LeakedTracerError, match="a list holds it") as raised:
        transform(leaky)(np.ones(3, F32))
    assert "(leaky)" in str(raised.value)
    kept.clear()
    transform(leaky)(np.ones(3, F32))


def test_clean_functions_leak_nothing():
    def f(x):
        return lax.scan(lambda c, y: (c + jnp.sin(y), y), x.sum(), x)[0]

    x = np.ones(3, F32)
    with fg.checking_leaks():
        fg.jit(fg.grad(f))(x)
        fg.hessian(f)(x)
        fg.jit(fg.vmap(fg.grad(fg.checkpoint(f))))(np.stack([x, x]))
        fg.vmap(fg.jacfwd(f))(np.stack([x, x]))
        fg.grad(lambda x: (f(x), x), has_aux=True)(x)
        fg.linearize(f, x)[1](x)

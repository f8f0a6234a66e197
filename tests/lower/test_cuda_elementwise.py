"""Functions of numbers that users write, as CUDA C: emulated, against what Python computes."""

from __future__ import annotations

import math

import numpy as np
import pytest
from test_cuda import assert_alike, compiled, names_of, needs_compiler, run

import funcgrad as fg
import funcgrad.numpy as jnp
from funcgrad.lower.to_loops import lower
from funcgrad.passes import pipeline
from funcgrad.trace.graph_trace import trace_to_graph

X = np.array([-3.0, -2.5, -1.2, -0.4, 0.3, 0.9, 1.0, 1.7, 2.2, 3.0])
SCALE, PAIR = 3.5, (2.0, 3)


def scaled(x):
    return x * SCALE


def extremes(x):
    return max(x, 0.0) + min(x, 2)


def loop(x):
    a, n = x, 0
    while a < 10 and n < 50:
        a = a * 1.5 + 1
        n += 1
    return n


def helpers(x):
    return scaled(x) + PAIR[0] * PAIR[1] + math.exp(-x)


def series(x):
    s = 0
    for k in range(8):
        if k == 3:
            continue
        if k == 7:
            break
        s += x**k / (k + 1)
    return s


def backwards(x):
    s = 0.0
    for k in range(9, 0, -2):
        s = s * x + k
    return s


def library(x):
    return (
        round(x) + x // 1 + x % 1.5 + math.floor(x) - math.ceil(x) + math.gamma(abs(x) + 1) + math.hypot(x, 1)
    )


def truth(x):
    return not (x > 0 or x < -1)


def of_numpy(x):
    return np.sqrt(np.abs(x)) + np.maximum(x, 0.5) + np.pi + np.arctan2(x, 2.0)


def poles(x):
    return math.log(x) + math.sqrt(x) + 1 / (x - 1)


def logarithms(x):
    return math.log(abs(x) + 2, 10) + math.log(x * x + 1, 2.0) + math.trunc(x)


def integers(x):
    return (int(x * 64) ^ 5) & 0xFF | (int(abs(x)) << 2)


def choices(x):
    """Names that are words of C, chains, and what `or` gives."""
    int_, double = 0.5 if -1 < x <= 1 else 2, x
    double = (double and int_) or 0.25
    return double + (x == 1.0) + +x


def quotients(x):
    n = int(x * 10)
    return n // 4 + n % 4 + (-n) // 3 - n % -3 + 2**3 + (n // 7) ** 2 + n**2 % 5


FUNCTIONS = [
    *(
        scaled,
        extremes,
        loop,
        helpers,
        series,
        backwards,
        library,
        truth,
        of_numpy,
        poles,
        logarithms,
        integers,
    ),
    *(choices, quotients, lambda x: x * x if x > 0 else -x),
]


def lowered_of(function, *operands):
    types = [jnp.asarray(x).type for x in operands]
    graph = pipeline.run(trace_to_graph(lambda *xs: [function(*xs)], types, "test").graph)
    return lower(graph)


@needs_compiler
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_functions_of_numbers_run_as_python_does(tmp_path, dtype):
    x, names, cases = X.astype(dtype), {}, []
    for function in FUNCTIONS:
        call = fg.elementwise(function, dtype="int64" if function in (loop, integers) else None)
        found = lowered_of(lambda x, call=call: call(x) + 1, x)
        names_of(found, names)
        cases.append((function, found, call))
    library = compiled({n: k for k, n in names.items()}, tmp_path)
    for function, found, call in cases:
        (got,) = run(library, names, found, [x], 1)
        with np.errstate(all="ignore"):
            want = np.asarray(call(jnp.asarray(x)) + 1)
        assert got.dtype == want.dtype
        assert_alike(got, want, function.__name__)


@needs_compiler
def test_several_operands_dtypes_results_and_closures(tmp_path):
    def polar(x, y=2.0):
        r = math.hypot(x, y)
        return r, math.atan2(y, x), int(r)

    def made(factor, power):
        return lambda n: n**power * factor - (n & 3)

    parts = fg.elementwise(polar, outputs=3, dtype=(None, None, "int32"))
    count = fg.elementwise(made(3, 2), dtype="int64")
    where = fg.elementwise(lambda p, x: x if p else -x, dtype="float32")
    x, n, p = X.astype(np.float32), np.arange(10, dtype=np.int32), np.arange(10) % 3 == 0
    half = fg.elementwise(lambda x: x / 3)
    cases = [
        (lambda x: parts(x)[0] + parts(x)[1], (x,)),
        (lambda x: parts(x)[2], (x,)),
        (lambda x, n: parts(x, n.astype("float32"))[1], (x, n)),
        (lambda n: count(n) + count(n + 1), (n,)),
        (lambda p, n: where(p, n), (p, n)),
        (lambda x: half(x), (x.astype(np.float16),)),
        (lambda x: fg.elementwise(scaled)(x) + fg.elementwise(helpers)(x), (x,)),
    ]
    names, found = {}, []
    for function, operands in cases:
        found.append(lowered_of(function, *operands))
        names_of(found[-1], names)
    library = compiled({n: k for k, n in names.items()}, tmp_path)
    for (function, operands), one in zip(cases, found):
        (got,) = run(library, names, one, [*operands], 2)
        want = np.asarray(function(*map(jnp.asarray, operands)))
        assert got.dtype == want.dtype
        assert_alike(got, want, str(one.graph))


def text_of(function, *operands):
    (source,) = fg.jit(fg.elementwise(function)).lower(*operands).cuda_sources
    return source


def test_a_function_is_printed_once_and_calls_in_between():
    square = fg.elementwise(lambda x: x * x)
    (source,) = fg.jit(lambda x: square(square(x)) + 1).lower(np.ones(3, np.float32)).cuda_sources
    assert source.count("__device__ inline float user_function_") == 1
    assert source.count("user_function_") == 3


def defined(text):
    space = {"math": math}
    exec(text, space)
    return space["f"]


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (lambda x: (np.array([1.0, 2.0]) * x).sum(), "has `(np.array([1.0, 2.0]) * x).sum()`"),
        (defined("def f(x): return x + 1"), "the source of f is not there"),
        (lambda x: math.ldexp(x, 2), "has `math.ldexp(x, 2)`"),
    ],
    ids=["arrays", "no source", "a function of math"],
)
def test_what_has_no_cuda_c_is_said(function, words):
    source = text_of(function, np.ones(3))
    assert source.startswith("// not printed: ") and words in source


def test_a_source_that_has_changed_is_not_believed(tmp_path, monkeypatch):
    import importlib
    import linecache

    path = tmp_path / "changing_module.py"
    path.write_text("def f(x):\n    return x + 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    f = importlib.import_module("changing_module").f
    assert "v_x + ((double)" in text_of(f, np.ones(3)).replace("float", "double")
    path.write_text("def f(x):\n    return x + 2\n")
    linecache.checkcache(str(path))
    g = type(f)(f.__code__, f.__globals__, "f")
    assert "is not that of its bytecode any more" in text_of(g, np.ones(4))

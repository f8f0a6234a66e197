"""Transcendental functions at their edges; that every dtype keeps its own precision; import of SciPy."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

import funcgrad as fg
from funcgrad import dtypes
from funcgrad.ir.primitive import PRIMITIVES
from funcgrad.trace import ops

NAN, INF = np.nan, np.inf

EDGES = {
    "exp": ([0, -INF, INF, NAN, 1000], [1, 0, INF, NAN, INF]),
    "expm1": ([0, -INF, 1e-20], [0, -1, 1e-20]),
    "log": ([0, 1, -1, INF], [-INF, 0, NAN, INF]),
    "log1p": ([-1, 0, 1e-20, -2], [-INF, 0, 1e-20, NAN]),
    "sqrt": ([0, 4, -1, INF], [0, 2, NAN, INF]),
    "rsqrt": ([0, 4, -1, INF], [INF, 0.5, NAN, 0]),
    "cbrt": ([0, 8, -27], [0, 2, -3]),
    "tanh": ([0, INF, -INF, 1e-20], [0, 1, -1, 1e-20]),
    "logistic": ([0, INF, -INF, -200], [0.5, 1, 0, np.exp(-200)]),
    "asin": ([1, 2], [np.pi / 2, NAN]),
    "acosh": ([1, 0.5], [0, NAN]),
    "atanh": ([1, -1, 2], [INF, -INF, NAN]),
    "sin": ([0, INF, 1e-20], [0, NAN, 1e-20]),
    "erf": ([0, INF, -INF, 1e-20], [0, 1, -1, 2e-20 / np.sqrt(np.pi)]),
    "erfc": ([0, INF, -INF], [1, 0, 2]),
    "erf_inv": ([0, 1, -1, 2], [0, INF, -INF, NAN]),
    "lgamma": ([1, 2, 0, 0.5], [0, 0, INF, np.log(np.pi) / 2]),
    "digamma": ([1], [-np.euler_gamma]),
}


@pytest.mark.parametrize("name", EDGES)
def test_edges(name):
    x, expected = (np.array(part, np.float64) for part in EDGES[name])

    def function(v):
        return ops.apply(name, v)

    for got in (function(x), fg.jit(function)(x)):
        np.testing.assert_allclose(np.asarray(got), expected, rtol=1e-13, atol=1e-15)


UNARY = [p for p in PRIMITIVES.values() if p.name in EDGES]


@pytest.mark.parametrize("primitive", UNARY, ids=lambda p: p.name)
@pytest.mark.parametrize("dtype", dtypes.FLOATS, ids=str)
def test_every_float_keeps_its_dtype_and_16_bits_are_rounded_once(primitive, dtype):
    x = np.array([1.25, 1.5, 1.75] if primitive.name == "acosh" else [0.25, 0.5, 0.75]).astype(dtype)
    got = primitive.evaluate(np, x)
    assert got.dtype == dtype
    if dtype.itemsize == 2:
        wide = primitive.evaluate(np, x.astype(np.float32))
        np.testing.assert_array_equal(got, wide.astype(dtype))


def test_complex_log1p_keeps_small_parts():
    z = np.array([1e-9 + 1e-9j, 1e-4j, complex(3, -0.0)])
    expected = [1e-9 + 1e-9j - (1e-9 + 1e-9j) ** 2 / 2, 4.999999975e-9 + 9.999999966666667e-5j, np.log(4)]
    got = np.asarray(ops.log1p(z))
    np.testing.assert_allclose(got, expected, rtol=1e-14)
    assert np.signbit(got[2].imag)


COMPLEX = [
    p for p in PRIMITIVES.values() if p.name in {*EDGES, "cos", "exp2", "sinh", "acos", "neg", "square"}
]
COMPLEX = [p for p in COMPLEX if any(s.label == "c128" for s in p.samples())]


@pytest.mark.parametrize("dtype", dtypes.COMPLEX, ids=str)
@pytest.mark.parametrize("primitive", COMPLEX, ids=lambda p: p.name)
def test_complex_functions_are_the_same_compiled(primitive, dtype):
    parts = [0.0, 1.0, -2.0, 0.3, 1e-4]
    z = np.array([complex(a, b) for a in parts for b in parts], dtype)

    def function(v):
        return ops.apply(primitive.name, v)

    eager, compiled = np.asarray(function(z)), np.asarray(fg.jit(function)(z))
    assert compiled.dtype == dtype
    tolerance = 16 * np.finfo(dtype).eps
    for part in ("real", "imag"):
        got, expected = getattr(compiled, part), getattr(eager, part)
        np.testing.assert_allclose(got, expected, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("name", ["expm1", "log", "log1p"])
def test_compiled_complex_functions_keep_small_real_parts(name):
    z = np.array([1e-6j, 1e-7 + 1e-6j]) + (name == "log")
    compiled = np.asarray(fg.jit(lambda v: ops.apply(name, v))(z))
    y, x = 1e-6, np.array([0, 1e-7])
    square = (y * y - x * x) / 2
    expected = {"expm1": x - square, "log": x + square, "log1p": x + square}[name]
    np.testing.assert_allclose(compiled.real, expected, rtol=1e-6)


@pytest.mark.parametrize("order", [1, 2, 3])
def test_derivatives_of_lgamma_are_polygammas(order):
    from scipy import special

    function = ops.lgamma
    for _ in range(order + 1):
        function = fg.grad(function)
    for x in (0.3, 2.5, 30.0):
        np.testing.assert_allclose(
            np.asarray(function(np.float64(x))), special.polygamma(order, x), rtol=1e-12
        )


def test_importing_funcgrad_does_not_import_scipy_special():
    code = "import sys, funcgrad; sys.exit('scipy.special' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_polygamma_compiles():
    n, x = np.arange(4.0), np.array([0.5, 1.5, 30.0, -1.5])
    eager, compiled = (f(n, x) for f in (fg.scipy.special.polygamma, fg.jit(fg.scipy.special.polygamma)))
    np.testing.assert_allclose(np.asarray(compiled), np.asarray(eager))

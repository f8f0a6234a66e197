"""Our front end gives the code that Numba's would: the same bits, for every operator and type of kernels."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys

import numpy as np
import pytest
from funcgrad.kernels.cpu import abi, compiling, frontend, loader
from native import defined, short

INTEGERS = np.array([0, 1, -1, 2, -2, 3, 7, -7, 8, 2**31, 2**62, -(2**62), 2**63 - 1], np.int64)
FLOATS = np.array([0, -0.0, 1, -1, np.inf, -np.inf, np.nan, 2.5, -3.7, 1e-30, 1e30, 0.1])
WIDE = (
    "x + y, x - y, x * y, x // y, x % y, x & y, x | y, x ^ y, ~x, -x, min(x, y), max(x, y), x // 8, x % 8",
    "x // 7, x % 7, x // (-3), x % (-8), x >> 3, x << 2, np.int64(np.int32(x)), np.int64(np.uint8(x + y))",
    "np.int64(0 <= x < y), np.int64(x < 2 and y > 2 or x == 3), np.int64(np.float64(x) * 0.5)",
    "np.int64(np.float32(y)), x if x < y else y, np.int64(np.uint64(x) // np.uint64(5))",
    "np.int64(np.uint64(x) % np.uint64(y))",
    "np.int64(not x < y), x - (y > 1), np.int64(np.uint64(x) > 18446744073709551614)",
    "np.int64(x / y < 1.0), vm.select(x < y, x, y), vm.div(x, y)",
)
NARROW = (
    "{t}(x + y), {t}(x - y), {t}(x * y), {t}(-x), {t}(~x), {t}(x & y), {t}(x | y), {t}(x ^ y), {t}(x < y)",
    "vm.maximum(x, y), vm.div(x, y), vm.rem(x, y), vm.abs(x), vm.sign(x), {t}(np.float32(x) * 0.25)",
    "{t}(x + 300), {t}(np.int64(x) * y), {t}((x != 0) & (y != 0) | (x > 3)), {t}(x // 3)",
    "{t}((x + y) % 5), {t}(np.float64(y))",
)
REAL = (
    "x + y, x - y, x * y, x / y, -x, x * 2.0, x * np.float32(0.1), {t}(np.inf) * x, {t}(-np.inf)",
    "{t}(0.1), x + 1",
    "x if x < y else y, vm.select(x < y, x, y), {t}(x < y), {t}(x != y), {t}(x == y or y > 2)",
    "{t}(x != x and y == y)",
    "{t}(np.float32(x)), {t}(np.float64(x) + 0.1), vm.exp(x) - vm.log(y), vm.maximum(x, y)",
    "{t}(vm.to_i32(x)), {t}(i)",
)
COMPLEX = (
    "x + y, x - y, x * y, -x, vm.div(x, y), vm.conj(x), vm.square(x), vm.select(x == y, x, y), x * 2.0",
    "x + 1, 1.5 - x",
    "vm.complex(x.real, y.imag), {t}(x != y), {t}(complex(y.imag, x.real)), {t}(np.complex64(x))",
    "vm.select(x.real < 1, x, y)",
)


def kernel_of(expressions, dtype):
    """A kernel that writes each expression of x and y behind the one before."""
    lines = [f"        out[{k} * n + i] = {e}\n" for k, e in enumerate(expressions)]
    head = "def kernel(lo, hi, px, py, out, n):\n    for i in range(lo, hi):\n"
    function = defined(head + "        x = px[i]\n        y = py[i]\n" + "".join(lines))
    return abi.kernel(buffers=(short(dtype),) * 3, integers=1)(function)


def run(modules, x, y, count):
    out = np.zeros((count, x.size), x.dtype)
    slots = np.array([x.ctypes.data, y.ctypes.data, out.ctypes.data, x.size], np.int64)
    entry = loader.load(compiling.generate(modules), abi.ENTRY)
    kind = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64)
    kind(entry)(slots.ctypes.data, 0, x.size)
    return out


def split(text):
    """The expressions of a line: at the commas outside of parentheses."""
    found, depth = [""], 0
    for letter in text:
        depth += {"(": 1, ")": -1}.get(letter, 0)
        if letter == "," and depth == 0:
            found.append("")
        else:
            found[-1] += letter
    return [e.strip() for e in found]


def numbers():
    for name in ("int64", "int8", "uint8", "int16", "uint16", "int32", "uint32"):
        yield name, INTEGERS.astype(name), WIDE if name == "int64" else NARROW
    for name in ("float32", "float64"):
        yield name, FLOATS.astype(name), REAL
    for name in ("complex64", "complex128"):
        yield name, np.array([complex(a, b) for a in FLOATS for b in FLOATS]).astype(name), COMPLEX


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("name, values, texts", [pytest.param(*n, id=n[0]) for n in numbers()])
def test_front_ends_agree(name, values, texts):
    expressions = [e for text in texts for e in split(text.format(t=f"np.{name}"))]
    x, y = np.repeat(values, values.size), np.tile(values, values.size)
    kernel = kernel_of(expressions, x.dtype)
    ours = run(compiling.lower_directly(kernel), x, y, len(expressions))
    numba = run(compiling.lower_by_numba(kernel), x, y, len(expressions))
    for expression, a, b in zip(expressions, ours, numba, strict=True):
        np.testing.assert_array_equal(a, b, expression)
        different = np.flatnonzero(np.signbit(a.real) != np.signbit(b.real))
        assert np.isnan(a[different]).all(), expression


@pytest.mark.parametrize(
    "line", ["out[i] = vm.sinh(px[i])", "out[i] = nothing", "out[i] = [1][0]", "k = 0\n        k = 1.5"]
)
def test_what_is_left_to_numba(line):
    function = defined(f"def kernel(lo, hi, px, out):\n    for i in range(lo, hi):\n        {line}\n")
    with pytest.raises(frontend.Unknown):
        compiling.lower_directly(abi.kernel(buffers=("c64", "c64"))(function))


def test_operators_after_a_function_that_loads_more_of_numba(tmp_path):
    # `sign` of complex numbers is Python that Numba compiles, and loads declarations for; `~` comes after it
    program = """
import funcgrad as fg, funcgrad.numpy as jnp
f = fg.jit(lambda z, b: jnp.sign(z) * jnp.where(~b, 1, 2))
print(f(jnp.asarray([2j, -1j]), jnp.asarray([True, False])).imag.tolist())
"""
    environment = {**os.environ, "FUNCGRAD_CACHE_DIR": str(tmp_path)}
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=environment)
    assert run.stdout == "[2.0, -1.0]\n", run.stderr

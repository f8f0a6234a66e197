"""Numba's front end as kernels use it: what it knows, what it leaves alone, and what a batch of kernels gives."""

from __future__ import annotations

import ctypes
import math
import subprocess
import sys

import numba
import numpy as np
import pytest
from funcgrad.kernels.cpu import abi, compiling, loader
from native import defined

HEAD = "def kernel(lo, hi, x, y, n):\n    for i in range(lo, hi):\n"


def declared(body, short="f64", **names):
    """A kernel of `x`, `y` and the integer `n`, whose loop over i has this body."""
    text = HEAD + "".join(f"        {line}\n" for line in body.splitlines())
    return abi.kernel(buffers=(short, short), integers=1)(defined(text, math=math, **names))


def run(code, x, y, n=0):
    slots = np.array([x.ctypes.data, y.ctypes.data, n], np.int64)
    entry = loader.load(code, abi.ENTRY)
    ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64)(entry)(
        slots.ctypes.data, 0, x.size
    )
    return y


def result(body, x, n=0, short="f64", **names):
    kernel = declared(body, short, **names)
    return run(compiling.generate(compiling.lower_kernel(kernel)), x, np.zeros_like(x), n)


@pytest.mark.parametrize(
    "expression, function",
    [
        ("x[min(i, n)]", lambda x, i, n: x[np.minimum(i, n)]),
        ("x[max(min(i + 1, n), 2)]", lambda x, i, n: x[np.maximum(np.minimum(i + 1, n), 2)]),
        ("x[i % n] * (i // n)", lambda x, i, n: x[i % n] * (i // n)),
        ("x[i] if i < n else -x[i]", lambda x, i, n: np.where(i < n, x, -x)),
        (
            "float(np.int64(x[i] * 10)) + np.float64(np.float32(0.1))",
            lambda x, i, n: (x * 10).astype(int) + np.float32(0.1),
        ),
        ("abs(math.floor(x[i]) - i)", lambda x, i, n: abs(np.floor(x) - i)),
    ],
)
def test_what_kernels_are_written_in(expression, function):
    x = np.linspace(-3, 4, 11)
    np.testing.assert_array_equal(result(f"y[i] = {expression}", x, 4), function(x, np.arange(11), 4))


def test_names_that_are_assigned_more_than_once():
    x = np.arange(6.0)
    body = "a = x[i]\nk = 0\nwhile k < n:\n    a = a * 2\n    k += 1\nif a > 8:\n    a = -a\ny[i] = a"
    np.testing.assert_array_equal(result(body, x, 2), np.where(4 * x > 8, -4 * x, 4 * x))


def test_complex_functions_that_call_others():
    x = np.array([1 + 2j, -3j, 0.5 + 0j])
    np.testing.assert_allclose(
        result("y[i] = vm.logistic(x[i])", x, short="c128"), 1 / (1 + np.exp(-x)), 1e-12
    )


def test_functions_compiled_by_the_user_may_use_all_of_numba():
    @numba.njit
    def own(v):
        return np.array([v, v + 1, np.hypot(v, 1.0)]).sum()

    x = np.arange(5.0)
    np.testing.assert_allclose(result("y[i] = own(x[i])", x, own=own), 2 * x + 1 + np.hypot(x, 1), 1e-12)


def test_a_batch_gives_what_each_gives_alone():
    kernels = [declared(f"y[i] = vm.exp(x[i]) * {k}.0") for k in range(5)]
    jobs = [lambda k=k: compiling.lower_kernel(k) for k in kernels]
    x = np.linspace(0, 1, 33)
    interval = sys.getswitchinterval()
    for k, code in enumerate(compiling.compile_all(jobs)):
        np.testing.assert_allclose(run(code, x, np.zeros_like(x)), np.exp(x) * k, 1e-14)
    assert sys.getswitchinterval() == interval


def test_an_error_in_a_batch_reaches_the_caller():
    good, bad = declared("y[i] = x[i]"), declared("y[i] = nothing_of_this_name")
    with pytest.raises(numba.core.errors.NumbaError):
        list(compiling.compile_all([lambda k=k: compiling.lower_kernel(k) for k in (good, bad, good)]))


def test_compiling_needs_no_numba(tmp_path):
    program = """
import sys
from funcgrad.kernels.cpu import abi, compiling, vmath as vm

@abi.kernel(buffers=("f32", "f32"), integers=1)
def kernel(lo, hi, x, y, n):
    for i in range(lo, hi):
        y[i] = vm.exp(x[min(i, n)]) / x[i]

compiling.generate(compiling.lower_kernel(kernel))
compiling.generate(compiling.lower_driver())
assert "numba" not in sys.modules
"""
    path = tmp_path / "program.py"
    path.write_text(program)
    subprocess.run([sys.executable, str(path)], check=True)

"""Values of several elements in hand-written kernels, and blocks of them."""

from __future__ import annotations

import ctypes

import numpy as np
import pytest
from funcgrad.kernels.cpu import abi, blocks, compiling, loader, vectors
from native import defined, short


@pytest.mark.parametrize("count", vectors.COUNTS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_loads_products_and_stores(dtype, count):
    function = defined(
        "def kernel(lo, hi, x, y, z, n):\n"
        f"    s = vec.load{count}(z, 1)\n"
        "    for i in range(n):\n"
        f"        s = vec.fma(vec.spread{count}(x[i]), vec.load{count}(y, i), s)\n"
        "    vec.store(z, 1, s)\n",
        vec=vectors,
    )
    kernel = abi.kernel(buffers=(short(np.dtype(dtype)),) * 3, integers=1)(function)
    entry = loader.load(compiling.generate(compiling.lower_directly(kernel)), abi.ENTRY)
    rng = np.random.default_rng(0)
    x, y, z = (rng.integers(-9, 9, count + 7).astype(dtype) for _ in range(3))
    want = z.copy()
    want[1 : 1 + count] += sum(x[i] * y[i : i + count] for i in range(5))
    slots = np.array([x.ctypes.data, y.ctypes.data, z.ctypes.data, 5], np.int64)
    ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64)(entry)(slots.ctypes.data, 0, 1)
    np.testing.assert_array_equal(z, want)


@pytest.mark.parametrize(("bytes", "registers"), [(64, 32), (32, 16), (16, 16), (16, 32)])
def test_blocks_fit_the_registers(monkeypatch, bytes, registers):
    monkeypatch.setattr(blocks, "_machine", lambda: (bytes, registers))
    for dtype in ("f32", "f64"):
        for rows in (1, 2, 7, 14, 16, 224):
            for outputs in (16, 48, 64, 80, 512):
                for whole in (False, True):
                    r, v = blocks.shape(dtype, rows, outputs, whole, whole)
                    assert 1 <= r <= rows and v * blocks.lanes(dtype) <= outputs
                    assert r * v + v < registers
                    assert not whole or (rows % r == 0 and outputs // blocks.lanes(dtype) % v == 0)
    if registers == 32 and bytes == 64:
        assert blocks.shape("f32", 16, 64, False, True) == (4, 4)
        assert blocks.shape("f32", 7, 32, False, True) == (7, 2)

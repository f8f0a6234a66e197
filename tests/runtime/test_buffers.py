"""Memory of large results: reused when it is free, never while anything still reads it."""

import gc

import numpy as np

import funcgrad as fg
import funcgrad.numpy as jnp
from funcgrad.runtime import buffers

SIZE = buffers.LARGE // 4


def _address(x):
    return np.asarray(x).ctypes.data


def test_memory_of_a_dead_result_is_used_again():
    double = fg.jit(lambda x: x * 2)
    x = jnp.arange(SIZE, dtype=jnp.float32)
    y = double(x)
    first = _address(y)
    del y
    gc.collect()
    y = double(x)
    assert _address(y) == first
    np.testing.assert_array_equal(y, np.asarray(x) * 2)


def test_memory_that_a_view_reads_is_not_used_again():
    double = fg.jit(lambda x: x * 2)
    x = jnp.arange(SIZE, dtype=jnp.float32)
    view = np.asarray(double(x))[5:10]
    gc.collect()
    others = [double(x + k) for k in range(3)]
    np.testing.assert_array_equal(view, np.arange(5, 10) * 2)
    assert len({_address(y) for y in others} | {view.base.ctypes.data}) == 4


def test_large_results_can_be_donated_and_views_of_them_cannot():
    step = fg.jit(lambda x: x + 1, donate_argnums=0)
    x = fg.jit(lambda x: x * 2)(jnp.zeros(SIZE, jnp.float32))
    before = _address(x)
    y = step(x)
    assert x.is_deleted() and _address(y) == before
    assert not buffers.is_own(np.asarray(y)[1:])


def test_no_more_than_the_limit_is_kept(monkeypatch):
    gc.collect()
    monkeypatch.setattr(buffers, "KEPT", buffers._kept)
    size = 3 * buffers.LARGE + 4 * 4096
    array = buffers.empty((size,), np.dtype(np.uint8))
    assert array.shape == (size,) and array.flags.writeable
    kept = buffers._kept
    del array
    assert buffers._kept == kept

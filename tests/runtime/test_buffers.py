"""Memory of large results: reused when it is free, never while anything still reads it."""

import gc

import numpy as np
import pytest

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


@pytest.mark.parametrize("size", [10, 1000, 100_000])
def test_results_that_loops_write_again_begin_where_lines_of_the_cache_do(size):
    x = jnp.arange(size, dtype=jnp.float32)
    step = lambda x: jnp.sin(x) + 0.5 * x  # noqa: E731
    f = fg.jit(lambda x: fg.lax.fori_loop(0, 20, lambda _, x: step(x), x))
    g = fg.jit(lambda x, w: fg.lax.fori_loop(0, 20, lambda _, x: jnp.tanh(w @ x), x))
    kept = [f(x + k) for k in range(8)]
    if size == 1000:
        kept += [g(x, jnp.ones((size, size)) / size) for k in range(8)]
    assert size < 64 or all(_address(y) % 64 == 0 for y in kept)
    expected = x
    for _ in range(20):
        expected = step(expected)
    np.testing.assert_allclose(kept[0], expected, 1e-5)
    donated = fg.jit(lambda y: y + 1, donate_argnums=0)
    first, was = _address(kept[3]), np.array(kept[3])
    y = donated(kept.pop(3))
    assert _address(y) == first
    np.testing.assert_array_equal(y, was + 1)


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

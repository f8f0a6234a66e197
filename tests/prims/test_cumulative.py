"""Cumulative operations by the hand-written kernels: short and long lines, cut into pieces, both ways, each dtype."""

from __future__ import annotations

import numpy as np
import pytest
from funcgrad.kernels.cpu.scan import COLUMNS, PIECE, SIDE_BY_SIDE

import funcgrad as fg
from funcgrad import dtypes
from funcgrad.lower.lowered import ExternStep, RoutineStep, walk_steps

UFUNCS = {"cumsum": np.add, "cumprod": np.multiply, "cummax": np.maximum, "cummin": np.minimum}
LONG = 2 * PIECE
CASES = [
    ((1,), 0),
    ((LONG,), 0),
    ((LONG + 1,), 0),
    ((3 * PIECE + 1,), 0),
    ((SIDE_BY_SIDE * PIECE,), 0),
    ((5, LONG + 7), 1),
    ((SIDE_BY_SIDE + 1, 7), 1),
    ((7, SIDE_BY_SIDE), 0),
    ((2, 5, COLUMNS + 3), 1),
    ((2, 3, 1), 1),
    ((0, 3), 1),
    ((3, 0), 1),
]
rng = np.random.default_rng(0)


def draw(name, shape, dtype):
    x = rng.integers(-3, 4, shape)
    if name == "cumprod":  # neither overflow nor zero
        return np.where(x > 0, 1, -1).astype(dtype)
    return (x if dtype.kind == "i" else rng.standard_normal(shape)).astype(dtype)


def accumulated(ufunc, x, axis, reverse):
    """By NumPy, of floats in float64."""
    x = np.flip(x, axis) if reverse else x
    wide = np.float64 if x.dtype.kind == "f" else x.dtype
    out = ufunc.accumulate(x, axis=axis, dtype=wide).astype(x.dtype)
    return np.flip(out, axis) if reverse else out


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int32, np.int64])
@pytest.mark.parametrize("name", UFUNCS)
def test_kernels_give_what_numpy_gives(name, dtype):
    for shape, axis in CASES:
        x = draw(name, shape, np.dtype(dtype))
        for reverse in (False, True):
            compiled = fg.jit(lambda v, a=axis, r=reverse: getattr(fg.lax, name)(v, a, r))
            got, want = np.asarray(compiled(x)), accumulated(UFUNCS[name], x, axis, reverse)
            assert got.dtype == dtype
            tolerance = 5e-6 * np.sqrt(x.size) if dtype == np.float32 else 1e-10
            np.testing.assert_allclose(got, want, rtol=tolerance, atol=tolerance, err_msg=f"{shape} {axis}")


@pytest.mark.parametrize("name", ["cumsum", "cummax", "cummin"])
@pytest.mark.parametrize("reverse", [False, True])
def test_a_nan_stays_from_where_it_is(name, reverse):
    x = rng.standard_normal(3 * PIECE).astype(np.float32)
    x[PIECE + 5] = np.nan
    got = np.asarray(fg.jit(lambda v: getattr(fg.lax, name)(v, 0, reverse))(x))
    unknown = np.arange(x.size) <= PIECE + 5 if reverse else np.arange(x.size) >= PIECE + 5
    np.testing.assert_array_equal(np.isnan(got), unknown)


def test_a_product_that_is_zero_stays_zero_however_large_the_rest():
    x = np.full(LONG + 1, 1e30, np.float32)
    x[0] = 0
    assert not np.asarray(fg.jit(fg.lax.cumprod)(x)).any()


def test_long_sums_are_more_precise_than_one_after_the_other():
    x = np.full(2_000_000, 0.1, np.float32)
    error = np.abs(np.asarray(fg.jit(fg.lax.cumsum)(x)) - np.cumsum(x, dtype=np.float64))
    assert error.max() < np.abs(np.cumsum(x) - np.cumsum(x, dtype=np.float64)).max() / 10


@pytest.mark.parametrize(
    ("name", "dtype", "step"),
    [
        ("cumsum", np.float32, RoutineStep),
        ("cumsum", np.complex64, ExternStep),
        ("cummax", dtypes.bfloat16, ExternStep),
        ("cumlogsumexp", np.float32, ExternStep),
    ],
)
def test_where_there_is_no_kernel_numpy_accumulates(name, dtype, step):
    lowered = fg.jit(getattr(fg.lax, name)).lower(np.ones(5, dtype))
    assert [type(s) for s in walk_steps(lowered.executable.placement.steps)] == [step]
    assert name in lowered.as_text()


def test_accumulations_in_loops_and_between_kernels():
    def step(carry, row):
        total = fg.lax.cumsum(row * 2, 0)
        return carry + total, total - 1

    x = rng.standard_normal((4, 9)).astype(np.float32)
    carry, rows = fg.jit(lambda x: fg.lax.scan(step, np.zeros(9, np.float32), x))(x)
    want = np.cumsum(2 * x, axis=1)
    np.testing.assert_allclose(np.asarray(carry), want.sum(0), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(np.asarray(rows), want - 1, rtol=1e-5, atol=1e-5)
    assert "routine" in fg.debug.why_not_fused(lambda x: fg.lax.cumsum(x * 2, 1) + 1, x)

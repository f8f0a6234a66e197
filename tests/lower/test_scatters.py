"""Scatters of many updates: in pieces with copies of the output, in streams, and the same as in order."""

from __future__ import annotations

import numpy as np
import programs as P
import pytest
import stand_in

import funcgrad as fg
import funcgrad.numpy as fnp
from funcgrad import lax
from funcgrad.lower import heuristics
from funcgrad.lower.lowered import KernelStep
from funcgrad.lower.to_loops import lower

RNG = np.random.default_rng(0)
KINDS = {"add": np.add, "multiply": np.multiply, "min": np.minimum, "max": np.maximum}


@pytest.fixture
def small(monkeypatch):
    monkeypatch.setattr(heuristics, "PIECE_OF_UPDATES", 5)


def extents_of(lowered):
    """How many pieces each kernel of updates has."""
    kernels = [s for s in lowered.steps if isinstance(s, KernelStep)]
    return [s.extent for s in kernels if any(b.role == "inout" for b in s.kernel.buffers)]


def check(function, want, *args):
    graph, operands = P.graph_of(function, *args)
    lowered = lower(graph)
    for parts in (1, 3):
        for got, expected in zip(stand_in.run(lowered, operands, parts), want, strict=True):
            np.testing.assert_array_equal(got.reshape(expected.shape), expected)
    return lowered


@pytest.mark.parametrize("dtype", ["float32", "float64", "int32", "int64", "uint8", "bool", "complex64"])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("count", [5, 20, 41, 90])
def test_repeated_targets(small, kind, dtype, count):
    if dtype == "complex64" and kind in ("min", "max"):
        pytest.skip("complex numbers have no order")
    values = RNG.integers(1, 3, count).astype(dtype)
    places = RNG.integers(-4, 4, count)
    x = RNG.integers(1, 3, 3).astype(dtype)
    want = x.copy()
    inside = (places >= -3) & (places < 3)
    KINDS[kind].at(want, places[inside], values[inside])
    lowered = check(
        lambda x, i, u: (getattr(fnp.asarray(x).at[i], kind)(u, mode="drop"),), [want], x, places, values
    )
    if np.dtype(dtype).itemsize >= 4 and count >= 20:
        assert extents_of(lowered) == [max(1, min(8, count // 12, count // 5))]


def test_rows(small):
    x, updates = np.zeros((2, 3), np.float32), RNG.integers(-9, 9, (50, 3)).astype(np.float32)
    rows = RNG.integers(0, 2, 50)
    want = x.copy()
    np.add.at(want, rows, updates)
    lowered = check(lambda x, i, u: (fnp.asarray(x).at[i].add(u),), [want], x, rows, updates)
    assert extents_of(lowered) == [6]


def test_the_last_of_several_counts(small):
    x, values = np.zeros(3, np.float32), np.arange(40, dtype=np.float32)
    places = RNG.integers(0, 3, 40)
    want = x.copy()
    want[places] = values
    check(lambda x, i, u: (fnp.asarray(x).at[i].set(u),), [want], x, places, values)


def test_few_updates_for_each_element_need_no_copies(small):
    x, values = np.zeros(30, np.float32), np.ones(40, np.float32)
    places = RNG.integers(0, 30, 40)
    want = np.bincount(places, minlength=30).astype(np.float32)
    assert extents_of(check(lambda x, i, u: (fnp.asarray(x).at[i].add(u),), [want], x, places, values)) == [1]


def test_many_updates_compiled():
    x = RNG.standard_normal(70_001)
    segments = RNG.integers(0, 50, x.size)
    want = np.bincount(segments, x, 50)
    np.testing.assert_allclose(
        fg.jit(lambda x, s: fg.ops.segment_sum(x, s, num_segments=50))(x, segments), want, rtol=1e-12
    )
    pulled = fg.jit(fg.grad(lambda x: (fg.ops.segment_sum(x, segments, num_segments=50) ** 2).sum()))(x)
    np.testing.assert_allclose(pulled, 2 * want[segments], rtol=1e-12)


def test_in_a_loop(small):
    """What a loop carries is updated in pieces in each iteration."""
    places = RNG.integers(0, 4, (3, 80))

    def run(x):
        return lax.scan(lambda x, i: (x.at[i].add(x[0] + 1), x.sum()), x, places)

    x = np.arange(4.0)
    want = x.copy()
    sums = []
    for row in places:
        sums.append(want.sum())
        np.add.at(want, row, want[0] + 1)
    got = fg.jit(run)(fnp.asarray(x))
    np.testing.assert_allclose(got[0], want, rtol=1e-12)
    np.testing.assert_allclose(got[1], sums, rtol=1e-12)

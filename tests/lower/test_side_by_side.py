"""Loops that carry scalars, several at a time: which do, and that nothing else comes out."""

from __future__ import annotations

import numpy as np
import pytest
import stand_in

import funcgrad as fg
from funcgrad import api, lax
from funcgrad.lower.cpu.emit import emit
from funcgrad.lower.lowered import KernelStep
from funcgrad.lower.to_loops import lower
from funcgrad.passes import pipeline

RNG = np.random.default_rng(0)


def running(x, limit):
    """What is carried, of all rows, and a sum of each."""

    def row(xs):
        def step(total, x):
            total = lax.select(total * 0.5 + x > limit, x, total * 0.5 + x)
            return total, total

        return lax.scan(step, np.float32(1), xs)

    return lax.map(row, x)


def by_hand(x, limit):
    out, total = np.empty_like(x), np.ones(len(x), np.float32)
    for k in range(x.shape[1]):
        new = total * np.float32(0.5) + x[:, k]
        total = np.where(new > limit, x[:, k], new)
        out[:, k] = total
    return total, out


def text_of(function, *args):
    closed = api.make_graph(function)(*args)
    graph = pipeline.run(closed.graph)
    lowered = lower(graph)
    operands = [np.asarray(a) for a in (*closed.constants, *args)]
    texts = [emit(s.kernel) for s in lowered.steps if isinstance(s, KernelStep)]
    return "\n".join(texts), [stand_in.run(lowered, operands, parts) for parts in (1, 3)]


@pytest.mark.parametrize("rows", [1, 3, 4, 11, 16])
def test_rows_that_wait_go_side_by_side(rows):
    x, limit = RNG.standard_normal((rows, 9)).astype(np.float32), np.float32(0.7)
    text, results = text_of(running, x, limit)
    assert "for first in range(" in text
    for got in [*results, fg.jit(running)(x, limit)]:
        for a, b in zip(got, by_hand(x, limit)):
            np.testing.assert_array_equal(np.asarray(a).reshape(b.shape), b)


def test_rows_of_different_lengths_do_not():
    def halvings(x):
        return lax.map(lambda v: lax.while_loop(lambda v: v > 1, lambda v: v * np.float32(0.5), v), x)

    x = np.array([1, 7, 100, 3, 0, 5], np.float32)
    text, results = text_of(halvings, x)
    assert "first" not in text
    np.testing.assert_array_equal(results[0][0], [1, 0.875, 0.78125, 0.75, 0, 0.625])

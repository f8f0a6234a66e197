"""Operands that are contiguous along another axis than the results: turned square by square, whole ones and rests."""

from __future__ import annotations

import itertools

import numpy as np
import programs as P
import pytest
import stand_in

import funcgrad as fg
import funcgrad.numpy as fnp
from funcgrad.lower.cpu.emit import emit
from funcgrad.lower.to_loops import lower
from funcgrad.trace import ops

RNG = np.random.default_rng(0)


def text_of(function, *args):
    graph, operands = P.graph_of(function, *args)
    lowered = lower(graph)
    for got, want in zip(stand_in.run(lowered, operands, 2), function(*args)):
        np.testing.assert_array_equal(got.reshape(want.shape), want)
    (step,) = lowered.steps
    return emit(step.kernel)


def test_what_is_only_copied_goes_from_square_to_square():
    x = P.draw(35, 50)
    text = text_of(lambda x: (ops.transpose(x, (1, 0)),), x)
    assert "vec.transpose(x0, row + column*x0_s1, x0_s1, y0, column + row*y0_s0, y0_s0)" in text
    assert "scratch" not in text


def test_what_is_computed_with_is_turned_first():
    x, y = P.draw(35, 50), P.draw(50, 35)
    text = text_of(lambda x, y: (ops.add(ops.transpose(x, (1, 0)), y),), x, y)
    assert "square0 = vec.scratch(x0)" in text and text.count("vec.transpose(") == 1


def test_what_is_read_only_in_places_is_not_turned():
    """A square may reach beyond what there is to read."""
    x = P.draw(40, 40)
    text = text_of(lambda x: (ops.pad(ops.transpose(x, (1, 0)), np.float32(0), [(3, 3, 0), (2, 2, 0)]),), x)
    assert "vec." not in text


@pytest.mark.parametrize("dtype", ["f4", "f8", "i4", "i8", "u4", "u8", "c8", "c16", "f2", "i1", "?"])
@pytest.mark.parametrize("shape", [(40, 70), (64, 128), (33, 129), (3, 47, 64), (5, 34, 7, 40), (0, 40)])
def test_permutations(dtype, shape):
    x = RNG.integers(-99, 99, shape).astype(dtype)
    for order in itertools.permutations(range(len(shape))):
        y = RNG.integers(0, 2, x.transpose(order).shape).astype(dtype)
        got = fg.jit(lambda x, y, o=order: (fnp.transpose(x, o), fnp.transpose(x, o) == y))(x, y)
        np.testing.assert_array_equal(got[0], x.transpose(order))
        np.testing.assert_array_equal(got[1], x.transpose(order) == y)


def test_functions_that_numba_compiles():
    z = (RNG.standard_normal((40, 70)) + 1j).astype(np.complex64)
    np.testing.assert_allclose(fg.jit(lambda z: fnp.exp(z.T))(z), np.exp(z.T), rtol=1e-5)

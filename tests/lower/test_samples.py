"""Every sample of every primitive, lowered and run in plain Python, against the primitive's own
evaluation."""

from __future__ import annotations

import numpy as np
import pytest
import stand_in
from funcgrad.kernels.cpu import routines, scan

import funcgrad.prims  # noqa: F401
from funcgrad import dtypes
from funcgrad.ir.graph import Equation, Graph, Var
from funcgrad.ir.primitive import PRIMITIVES
from funcgrad.ir.types import ArrayType
from funcgrad.lower.to_loops import lower

NOT_IN_STAND_IN = {"threefry2x32", "scan", "while", "while_transpose", "cond"}
NOT_IN_STAND_IN |= {"elementwise_function", "array_kernel"}
"""Operations without a NumPy scalar function, control flow, and users' functions, which Numba compiles; the compiled
tests have them."""

LOWERED = [p for p in PRIMITIVES.values() if p.lower is not None and p.name not in NOT_IN_STAND_IN]


def graph_of(primitive, arrays, params):
    inputs = [Var(ArrayType(a.shape, a.dtype)) for a in arrays]
    types = primitive.type_rule(*(v.type for v in inputs), **params)
    outputs = [Var(t) for t in (types if primitive.multiple_results else (types,))]
    return Graph(tuple(inputs), (Equation(primitive, inputs, outputs, params),), tuple(outputs))


@pytest.mark.parametrize("primitive", LOWERED, ids=lambda p: p.name)
def test_samples_run_as_they_evaluate(primitive):
    rng = np.random.default_rng(0)
    for sample in primitive.samples():
        arrays = [np.asarray(o(rng) if callable(o) else o) for o in sample.operands]
        graph = graph_of(primitive, arrays, sample.params)
        expected = stand_in.evaluate(graph, arrays)
        lowered = lower(graph)
        if any(getattr(step, "routine", None) in routines.BY_BLAS for step in lowered.steps):
            continue  # tests/test_matrix.py runs it compiled
        for parts in (1, 3):
            for got, want in zip(stand_in.run(lowered, arrays, parts), expected):
                assert got.dtype == want.dtype
                assert got.shape == want.shape
                if dtypes.is_inexact(want.dtype):
                    tolerance = 1e-2 if want.dtype.itemsize == 2 else 2e-5
                    wide = np.complex128 if want.dtype.kind == "c" else np.float64
                    np.testing.assert_allclose(
                        got.astype(wide), want.astype(wide), tolerance, tolerance, err_msg=str(sample)
                    )
                else:
                    np.testing.assert_array_equal(got, want, err_msg=str(sample))


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("name", ["cumsum", "cummax"])
def test_long_lines_are_accumulated_in_pieces_within_their_bounds(name, reverse, monkeypatch):
    monkeypatch.setattr(scan, "PIECE", 5)
    for shape in [(11,), (20,), (26,), (3, 10), (3, 13), (2, 16)]:
        x = np.random.default_rng(0).integers(-9, 9, shape)
        params = {"axis": len(shape) - 1, "reverse": reverse}
        graph = graph_of(PRIMITIVES[name], [x], params)
        for parts in (1, 2, 3):
            (got,) = stand_in.run(lower(graph), [x], parts)
            np.testing.assert_array_equal(got, PRIMITIVES[name].evaluate(np, x, **params))

"""Definitions with indices that are read from memory: gathers, dynamic slices, scatters, 16-bit sums."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import stand_in

from funcgrad import dtypes
from funcgrad.ir import expr as E
from funcgrad.ir.graph import Equation, Graph, Var
from funcgrad.ir.types import ArrayType
from funcgrad.lower.lowered import CopyStep, ExternStep, KernelStep
from funcgrad.lower.to_loops import lower

rng = np.random.default_rng(0)


def primitive(name, definition, evaluate):
    return SimpleNamespace(
        effect=False,
        name=name,
        lower=lambda in_types, out_types, **params: definition,
        evaluate=lambda xp, *arrays: evaluate(*arrays),
        multiple_results=False,
    )


def chain(arrays, *stages):
    """The graph in which each stage (primitive, numbers of earlier values) gives one more value."""
    values = [Var(ArrayType(a.shape, a.dtype)) for a in arrays]
    inputs, known, equations = tuple(values), list(arrays), []
    for record, numbers in stages:
        result = np.asarray(record.evaluate(np, *(known[k] for k in numbers)))
        out = Var(ArrayType(result.shape, result.dtype))
        equations.append(Equation(record, [values[k] for k in numbers], [out], {}))
        values.append(out)
        known.append(result)
    return Graph(inputs, tuple(equations), (values[-1],)), known[-1]


def check(arrays, *stages):
    graph, want = chain(arrays, *stages)
    lowered = lower(graph)
    for parts in (1, 3):
        (got,) = stand_in.run(lowered, arrays, parts)
        assert got.dtype == want.dtype
        np.testing.assert_allclose(got.astype(np.float64), want.astype(np.float64), 1e-3, 1e-3)
    return lowered.steps


def take_rows(count, width, high):
    start = E.from_scalar(E.Read(1, (E.axis(0),)))
    read = E.Read(0, (start, E.axis(1)))
    guarded = E.Map(E.Guard(((start, 0, high),), read, E.const(np.nan, np.float32)))

    def evaluate(x, i):
        inside = (i >= 0) & (i < high)
        return np.where(inside[:, None], x[np.clip(i, 0, high - 1)], np.float32(np.nan))

    return primitive("take_rows", guarded, evaluate)


def twice(ndim, dtype=np.float32):
    expr = E.op("add", E.Read(0, E.axes(ndim)), E.Read(0, E.axes(ndim)), dtype=dtype)
    return primitive("twice", E.Map(expr), lambda x: x + x)


def test_gathers_fuse_with_both_neighbours():
    table = rng.standard_normal((10, 6)).astype(np.float32)
    places = np.array([3, -1, 9, 10, 0, 3, 5], np.int32)
    stages = [(twice(2), (0,)), (take_rows(7, 6, 10), (2, 1)), (twice(2), (3,))]
    assert len(check([table, places], *stages)) == 1


def test_dynamic_slices():
    starts = [E.from_scalar(E.Read(1 + k, ())).clamp(0, high) for k, high in ((0, 5), (1, 3))]
    read = E.Map(E.Read(0, tuple(E.axis(k) + s for k, s in enumerate(starts))))

    def evaluate(x, i, j):
        i, j = np.clip(i, 0, 5), np.clip(j, 0, 3)
        return x[i : i + 4, j : j + 3]

    record = primitive("dynamic_slice", read, evaluate)
    x = rng.standard_normal((9, 6)).astype(np.float32)
    for i, j in ((2, 1), (-4, 9)):
        assert len(check([x, np.asarray(np.int32(i)), np.asarray(np.int64(j))], (record, (0, 1, 2)))) == 1


@pytest.mark.parametrize("kind", ["set", "add", "mul", "max"])
def test_scatters_copy_and_then_update_in_order(kind):
    target = E.from_scalar(E.Read(1, (E.axis(0),)))
    scatter = E.Scatter(
        kind, 0, (6, 3), (target, E.axis(1)), E.Read(2, E.axes(2)), ((target, 0, 5),)
    )  # fmt: skip
    combine = {"set": lambda a, b: b, "add": np.add, "mul": np.multiply, "max": np.maximum}[kind]

    def evaluate(x, i, u):
        out = x.copy()
        for k, row in enumerate(i):
            if 0 <= row < 5:
                out[row] = combine(out[row], u[k])
        return out

    x, u = (rng.standard_normal(s).astype(np.float32) for s in ((5, 3), (6, 3)))
    i = np.array([1, 1, -1, 5, 4, 0], np.int32)
    steps = check([x, i, u], (primitive("scatter", scatter, evaluate), (0, 1, 2)))
    assert [type(s) for s in steps] == [CopyStep, KernelStep]
    steps = check([x, i, u], (twice(2), (2,)), (primitive("scatter", scatter, evaluate), (0, 1, 3)))
    assert [type(s) for s in steps] == [CopyStep, KernelStep], "the updates' producer is fused"


def test_16_bit_scatters_add_in_float32():
    target = E.from_scalar(E.Read(1, (E.axis(0),)))
    scatter = E.Scatter("add", 0, (6,), (target,), E.Read(2, (E.axis(0),)))

    def evaluate(x, i, u):
        out = x.copy()
        for k, place in enumerate(i):
            out[place] = np.float16(np.float32(out[place]) + np.float32(u[k]))
        return out

    x, u = rng.random(4).astype(np.float16), rng.random(6).astype(np.float16)
    check([x, np.array([1, 1, 0, 3, 1, 0]), u], (primitive("scatter_add", scatter, evaluate), (0, 1, 2)))


@pytest.mark.parametrize("dtype", [np.dtype(np.float16), dtypes.bfloat16], ids=str)
@pytest.mark.parametrize("kept", [0, 1])
def test_16_bit_sums_are_accumulated_in_float32(dtype, kept):
    x = rng.random((40, 30)).astype(dtype)
    index = (E.axis(0), E.axis(1)) if kept == 0 else (E.axis(1), E.axis(0))
    reduce = E.Reduce("add", (x.shape[1 - kept],), E.Read(0, index))
    total = primitive("sum", reduce, lambda x: x.astype(np.float32).sum(1 - kept).astype(dtype))
    check([x], (total, (0,)))
    check([x], (twice(2, dtype), (0,)), (total, (1,)), (twice(1, dtype), (2,)))


@pytest.mark.parametrize("shape", [(40, 30), (1, 1), (7, 1)])
@pytest.mark.parametrize("kept", [0, 1])
def test_positions_of_extremes(shape, kept):
    x = rng.standard_normal(shape).astype(np.float32)
    x[-1, -1] = np.nan
    index = (E.axis(0), E.axis(1)) if kept == 0 else (E.axis(1), E.axis(0))
    for kind, oracle in (("argmax", np.argmax), ("argmin", np.argmin)):
        reduce = E.Reduce(kind, (shape[1 - kept],), E.Read(0, index))
        record = primitive(kind, reduce, lambda x, oracle=oracle: oracle(x, 1 - kept).astype(np.int32))
        assert len(check([x], (twice(2), (0,)), (record, (1,)))) == 1


def test_named_routines_get_whole_values():
    sort = primitive("sort", E.Extern("sort", (("axis", 0),)), lambda x: np.sort(x, 0))
    graph, _ = chain([rng.standard_normal((4, 3)).astype(np.float32)], (twice(2), (0,)), (sort, (1,)))
    steps = lower(graph).steps
    assert [type(s) for s in steps] == [KernelStep, ExternStep]
    assert steps[1].reads == steps[0].writes

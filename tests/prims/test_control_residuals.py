"""What a loop keeps for its backward pass: the cheapest choice, from which all else is computed again."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

import funcgrad as fg
import funcgrad.numpy as jnp
from funcgrad import dtypes
from funcgrad.ir.graph import Graph
from funcgrad.ir.types import array_type
from funcgrad.prims import control_residuals
from funcgrad.prims.control_residuals import _price, computed_again, kept_values
from funcgrad.trace import ops
from funcgrad.trace.graph_trace import evaluate_graph, trace_to_graph


def record_of(body, x):
    """The bytes of a record of the tape of a loop with this body."""
    loop = lambda x, n: fg.lax.fori_loop(0, n, lambda _, x: body(x), x).sum()  # noqa: E731
    text = str(fg.jit(fg.grad(loop)).lower(x, 3))
    (found,) = [line for line in text.splitlines() if line.startswith("a tape of ")]
    return int(found.split()[3])


@pytest.mark.parametrize(
    ("body", "numbers"),
    [
        (lambda x: x * (1 - 0.01 * x), 1),
        (lambda x: x * x * x - 0.5 * x * x, 1),
        (lambda x: jnp.sin(x) + 0.5 * x, 1),
        (lambda x: jnp.exp(jnp.sin(x)), 2),
        (lambda x: jnp.where(x > 0, x * 0.5, x * x), 1),
        (fg.jit(lambda x: x * (x + 1)), 1),
    ],
    ids=["logistic", "cube", "sine", "two functions", "where", "a call"],
)
def test_cheap_values_are_computed_again_from_the_carry(body, numbers):
    x = jnp.linspace(0.1, 0.9, 128, dtype="float32")
    assert record_of(body, x) == 4 * 128 * numbers
    loop = lambda x, n: fg.lax.fori_loop(0, n, lambda _, x: body(x), x).sum()  # noqa: E731

    def in_python(x):
        for _ in range(5):
            x = body(x)
        return x.sum()

    expected = fg.grad(in_python)(x)
    np.testing.assert_allclose(fg.jit(fg.grad(loop))(x, 5), expected, 2e-6, 1e-5)
    np.testing.assert_allclose(fg.grad(loop)(x, 5), expected, 2e-6, 1e-5)


def random_graph(rng: np.random.Generator) -> Graph:
    """Elementwise operations on two constants and two carries, cheap and dear ones, on arrays and numbers."""
    types = [array_type((), dtypes.float32), *[array_type((4,), dtypes.float32)] * 3]

    def function(*values):
        found = [ops.broadcast_in_dim(values[0], (4,), ()), *values[1:]]
        for _ in range(6):
            a, b = (found[k] for k in rng.integers(len(found), size=2))
            one, two = (ops.sin, ops.neg, ops.exp), (ops.mul, ops.add, ops.div)
            which = rng.integers(6)
            found.append(one[which](a) if which < 3 else two[which - 3](a, b))
        return [found[k] for k in rng.integers(4, len(found), size=3)]

    return trace_to_graph(function, types, "random").graph


def price_of(graph: Graph, constants, kept, residuals) -> float:
    """What it costs to keep these, and to compute everything else again."""
    makers = {v: e for e in graph.equations for v in e.outputs}
    free = control_residuals.computed_from(graph, constants)
    total, done, waiting = sum(v.type.nbytes for v in kept), set(kept), list(residuals)
    while waiting:
        value = waiting.pop()
        if value in done or value in free or (value not in graph.inputs and value not in makers):
            continue
        done.add(value)
        if value in graph.inputs:
            return math.inf
        total += _price(makers[value])
        waiting.extend(makers[value].inputs)
    return total


@pytest.mark.parametrize("seed", range(20))
def test_no_choice_is_cheaper(seed):
    graph = random_graph(np.random.default_rng(seed))
    constants = graph.inputs[:2]
    kept = kept_values(graph, constants, graph.outputs)
    values = [*graph.inputs, *(v for e in graph.equations for v in e.outputs)]
    least = min(
        price_of(graph, constants, some, graph.outputs)
        for size in range(4)
        for some in itertools.combinations(values, size)
    )
    assert price_of(graph, constants, kept, graph.outputs) == least < math.inf

    rng = np.random.default_rng(seed)
    inputs = [jnp.asarray(rng.uniform(0.5, 1.0, t.shape).astype(np.float32)) for t in graph.in_types]
    whole = Graph(graph.inputs, graph.equations, (*kept, *graph.outputs), "whole")
    found = evaluate_graph(whole, inputs)
    again = computed_again(graph, constants, kept, graph.outputs)
    for a, b in zip(evaluate_graph(again, [*inputs[:2], *found[: len(kept)]]), found[len(kept) :]):
        np.testing.assert_array_equal(a, b)

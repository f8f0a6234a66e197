"""Passes: the results stay, signs of zeros too; what each is for is gone."""

from __future__ import annotations

import numpy as np
import pytest

import funcgrad as fg
import funcgrad.numpy as jnp
from funcgrad.ir.cse import cse
from funcgrad.ir.text import parse_graph
from funcgrad.ir.verify import verify
from funcgrad.passes import pipeline
from funcgrad.passes.dce import dce
from funcgrad.passes.inline import inline
from funcgrad.passes.simplify import simplify
from funcgrad.prims.calls import interpret

X = np.array([0.3, -1.2, 2.0, -0.0, np.inf, np.nan, -np.inf, 1e-40], np.float32)
M = np.arange(6, dtype=np.float32).reshape(2, 3) - 2
PASSES = {
    "inline": [inline],
    "dce": [dce],
    "cse": [cse],
    "simplify": [simplify],
    "standard": pipeline.STANDARD,
    "standard twice": [*pipeline.STANDARD, *pipeline.STANDARD],
}


def with_custom_rules():
    f = fg.custom_vjp(jnp.sin)
    f.defvjp(lambda x: (jnp.sin(x), x), lambda x, ct: (ct * x,))
    return lambda x: f(x) * 2 + fg.grad(lambda x: f(x).sum())(x)


PROGRAMS = {
    "neutral numbers": (
        lambda x: (x + 0.0, 0.0 + x, x - 0.0, x * 1.0, x / 1.0, x * 0.0, x**1, x + (-0.0)),
        (X,),
    ),
    "neutral integers": (lambda n: (n + 0, n * 1, n * 0, n - 0, n // 1, n | 0, n & -1), (np.arange(-3, 3),)),
    "double negation": (lambda x: (jnp.negative(-x), jnp.conj(jnp.conj(x)), ~~(x > 0)), (X,)),
    "chains of shapes": (lambda m: m.reshape(3, 2).reshape(6).reshape(2, 3).T.T[::-1][::-1], (M,)),
    "chains of conversions": (
        lambda x: (x.astype("float64").astype("float32"), x.astype("float16").astype("float32")),
        (M,),
    ),
    "integer conversions": (
        lambda n: n.astype("int8").astype("int32"),
        (np.arange(250, 260, dtype=np.int32),),
    ),
    "repeats": (lambda x: jnp.sin(x) + jnp.sin(x) * jnp.sin(x + 0.0), (X,)),
    "signed zeros apart": (
        lambda x: (jnp.arctan2(x * 0.0, -1.0), jnp.arctan2(x * -0.0, -1.0)),
        (np.ones(2, np.float32),),
    ),
    "unused": (lambda x: [jnp.cos(x), jnp.sin(x)][0], (X,)),
    "constants fold": (lambda x: x * (fg.lax.mul(2.0, 3.0) + 1), (X,)),
    "calls": (lambda x: fg.jit(lambda a, b: (b, a + b))(x, fg.jit(jnp.sin)(x)), (X,)),
    "the same call twice": (lambda x: (lambda f: f(x) + f(x * 2))(fg.jit(lambda a: jnp.sin(a) * a)), (X,)),
    "gradient": (fg.grad(lambda m: jnp.sum(jnp.tanh(m) ** 2 @ jnp.ones(3))), (M,)),
    "checkpoint": (fg.grad(fg.checkpoint(lambda m: jnp.sum(jnp.sin(jnp.sin(m))))), (M,)),
    "custom rules": (with_custom_rules(), (M,)),
    "literal outputs": (lambda x: (x, 1.0, x, jnp.asarray(2)), (X,)),
    "indexing": (lambda m: (m[1, ::2], m.at[0].set(7.0), m[np.array([1, 0])]), (M,)),
}


def check_same(actual, expected):
    """Equal, signs of zeros too, up to the last bits that compiled calls may differ by."""
    for a, e in zip(map(np.asarray, actual), map(np.asarray, expected), strict=True):
        assert (a.dtype, a.shape) == (e.dtype, e.shape)
        np.testing.assert_allclose(a, e, rtol=1e-6)
        if a.dtype.kind == "f":
            zero = e == 0
            np.testing.assert_array_equal(np.signbit(a[zero]), np.signbit(e[zero]))


@pytest.mark.parametrize("passes", PASSES)
@pytest.mark.parametrize("name", PROGRAMS)
def test_passes_keep_results(name, passes):
    function, args = PROGRAMS[name]
    closed = fg.make_graph(function)(*args)
    operands = [np.asarray(c) for c in closed.constants] + [np.asarray(a) for a in args]
    before = interpret(closed.graph, operands)
    graph = verify(pipeline.run(closed.graph, PASSES[passes]))
    assert graph.in_types == closed.graph.in_types
    check_same(interpret(graph, operands), before)


def count(function, *args, passes=pipeline.STANDARD):
    graph = pipeline.run(fg.make_graph(function)(*args).graph, passes)
    return [e.primitive.name for e in graph.equations]


def test_dce_drops_what_is_not_read():
    assert count(lambda x: [jnp.cos(x), jnp.sin(x)][0], X, passes=[dce]) == ["cos"]
    assert count(lambda x: x, X) == []


def test_cse_computes_once():
    assert count(lambda x: jnp.sin(x) + jnp.sin(x), X, passes=[cse]) == ["sin", "add"]
    assert count(lambda x: jnp.sum(x, 0) * jnp.max(x, 0), M, passes=[cse])[:2] == ["reduce_sum", "reduce_max"]


def test_cse_leaves_barriers_apart():
    again = count(fg.grad(fg.checkpoint(lambda x: jnp.sum(jnp.exp(jnp.sin(x))))), X)
    assert "optimization_barrier" in again


def test_cse_tells_literals_apart_by_their_bits():
    text = "{ lambda f ; a:f32[3]. let b:f32[3] = mul a 0.0:f32[] c:f32[3] = mul a -0.0:f32[] in (b, c) }"
    assert len(cse(parse_graph(text)).equations) == 2


def test_inline_leaves_no_calls():
    names = count(lambda x: fg.jit(fg.checkpoint(fg.jit(jnp.sin)))(x), X, passes=[inline])
    assert names == ["sin"]


def test_simplify_drops_neutral_operations():
    assert count(lambda x: x * 1.0, X) == []
    assert count(lambda m: m.T.T.reshape(2, 3), M) == []


def test_passes_leave_a_graph_as_it_is_when_there_is_nothing_to_do():
    graph = fg.make_graph(jnp.sin)(X).graph
    for one in (inline, dce, cse, simplify):
        assert one(graph) is graph

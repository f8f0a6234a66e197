"""Matrix products that leave their loop: which do, which stay, and that nothing else changes."""

from __future__ import annotations

import numpy as np
import pytest

import funcgrad as fg
import funcgrad.numpy as jnp
from funcgrad.ir.graph import Graph
from funcgrad.lower.hoist import hoist
from funcgrad.passes import pipeline
from funcgrad.prims.calls import interpret
from funcgrad.trace.core import type_of
from funcgrad.trace.graph_trace import trace_to_graph

rng = np.random.default_rng(0)


def draw(*shape):
    return rng.standard_normal(shape) / max(shape[-1], 1) ** 0.5


def graph_of(function, *args) -> tuple[Graph, list[np.ndarray]]:
    """The graph of a function after the passes, and its operands."""
    leaves, tree = fg.tree.flatten(args)
    closed = trace_to_graph(
        lambda *xs: fg.tree.leaves(function(*tree.unflatten(xs))), list(map(type_of, leaves))
    )
    return pipeline.run(closed.graph), [np.asarray(a) for a in (*closed.constants, *leaves)]


def moved(function, *args) -> tuple[list[str], list[str]]:
    """The products around the loops and those inside, after the rewriting, which changes no result."""
    graph, flat = graph_of(function, *args)
    after = hoist(graph)
    for a, b in zip(interpret(graph, flat), interpret(after, flat)):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-9)
    for a, b in zip(interpret(graph, flat), fg.tree.leaves(fg.jit(function)(*args))):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-9)
    inside = [
        e for loop in after.equations if loop.primitive.name == "scan" for e in products(loop.params["graph"])
    ]
    return products(after), inside


def products(graph: Graph) -> list[str]:
    """The types of the results of the products in a graph, not in its loops."""
    return [str(e.outputs[0].type) for e in graph.equations if e.primitive.name == "dot_general"]


def recurrent(params, xs, reverse=False):
    w, u, v = params

    def step(h, x):
        h = jnp.tanh(x @ w + h @ u)
        return h, jnp.sin(h @ v)

    return fg.lax.scan(step, jnp.zeros((12, u.shape[0]), xs.dtype), xs, reverse=reverse)


params = draw(20, 30), draw(30, 30), draw(30, 12)
xs = draw(6, 12, 20)


@pytest.mark.parametrize("reverse", [False, True])
def test_products_with_slices_and_for_slices(reverse):
    outside, inside = moved(lambda p, x: recurrent(p, x, reverse), params, xs)
    assert sorted(outside) == ["f64[6,12,12]", "f64[6,12,30]"]
    assert inside == ["f64[12,30]"]


@pytest.mark.parametrize("reverse", [False, True])
def test_the_gradient_of_weights(reverse):
    def loss(p, x):
        h, ys = recurrent(p, x, reverse)
        return (h**2).sum() + (ys**2).sum()

    outside, inside = moved(fg.grad(loss, argnums=(0, 1)), params, xs)
    assert {"f64[30,20]", "f64[30,30]", "f64[12,30]", "f64[6,12,20]"} <= set(outside)
    assert inside == ["f64[12,30]", "f64[12,30]"]  # what the next iteration waits for, forward and backward


def test_weights_of_the_backward_pass_are_transposed_once():
    _, pull = fg.vjp(lambda p: recurrent(p, xs)[0], params)
    graph = hoist(graph_of(pull, jnp.ones((12, 30), np.float64))[0])
    loop = next(e for e in graph.equations if e.primitive.name == "scan")
    (product,) = [e for e in loop.params["graph"].equations if e.primitive.name == "dot_general"]
    assert product.params["dimension_numbers"] == (((1,), (0,)), ((), ()))


def test_products_of_constants_are_computed_once():
    a, b = draw(20, 20), draw(20, 20)
    outside, inside = moved(
        lambda a, b, x: fg.lax.fori_loop(0, 5, lambda i, x: jnp.sin(x @ (a @ b)), x), a, b, a
    )
    assert outside == ["f64[20,20]"] and inside == ["f64[20,20]"]


def test_vectors_and_products_in_a_row():
    w, u = draw(80, 90), draw(90, 70)
    outside, inside = moved(
        lambda w, u, x: fg.lax.scan(lambda c, x: (c + jnp.tanh(x @ w) @ u, c), jnp.zeros(70, np.float64), x),
        w,
        u,
        draw(5, 80),
    )
    assert sorted(outside) == ["f64[5,70]", "f64[5,90]"] and not inside


def test_sums_of_several_terms():
    def sums(xs, ys):
        def step(state, both):
            x, y = both
            total, other, h = state
            h = jnp.sin(h + x.sum())
            return (
                total + x.T @ (h * y) + x.sum() + 2 * ((h * x).T @ y),
                other + jnp.outer(x[0], y[0]),
                h,
            ), total

        return fg.lax.scan(
            step,
            (jnp.ones((15, 11), np.float64), jnp.ones((15, 11), np.float64), jnp.zeros((), np.float64)),
            (xs, ys),
        )

    def last(xs, ys):
        (total, other, h), _ = sums(xs, ys)
        return total, other, h

    xs, ys = draw(5, 32, 15), draw(5, 32, 11)
    outside, inside = moved(last, xs, ys)
    assert outside == ["f64[15,11]"] and len(inside) == 1  # twice a product is not a product, and has to stay
    outside, inside = moved(sums, xs, ys)
    assert not outside and len(inside) == 2  # the sums are read in each iteration


def test_batched_products():
    def mixed(ws, x):
        return fg.lax.scan(
            lambda c, x: (c + x.sum(), jnp.einsum("bij,bj->bi", ws, x)), jnp.zeros((), np.float64), x
        )

    moved(mixed, draw(4, 30, 20), draw(5, 4, 20))
    moved(fg.grad(lambda w, x: jnp.sin(mixed(w, x)[1]).sum()), draw(4, 30, 20), draw(5, 4, 20))
    moved(
        fg.vmap(fg.grad(lambda p, x: (recurrent(p, x)[1] ** 2).sum()), (None, 0)), params, draw(2, 6, 12, 20)
    )


def test_loops_in_loops():
    def outer(params, xs):
        def step(h, x):
            h, ys = recurrent(params, x)
            return h, ys

        return fg.lax.scan(step, jnp.zeros((12, 30), np.float64), xs)

    moved(outer, params, draw(4, 6, 12, 20))


def test_effects_stay_in_their_iteration(capfd):
    def step(h, x):
        y = x @ params[0]
        fg.debug.print("{}", (y > 1e9).any(), ordered=True)
        return jnp.tanh(y + h @ params[1]), None

    out, _ = fg.jit(lambda x: fg.lax.scan(step, jnp.zeros((12, 30), np.float64), x))(xs)
    fg.effects_barrier()
    assert capfd.readouterr().out.count("False") == 6
    np.testing.assert_allclose(out, recurrent(params, xs)[0], rtol=1e-12)


@pytest.mark.parametrize("setting", ["FEW_ROWS", "HOISTED_BYTES"])
def test_large_products_and_many_iterations_stay(monkeypatch, setting):
    monkeypatch.setattr(f"funcgrad.lower.heuristics.{setting}", 1)
    outside, inside = moved(recurrent, params, xs)
    assert not outside and len(inside) == 3


def test_maps_stay():
    outside, inside = moved(lambda w, x: fg.lax.map(lambda x: jnp.tanh(x @ w), x), params[0], xs)
    assert not outside and len(inside) == 1


def test_short_loops_stay():
    outside, inside = moved(recurrent, params, xs[:2])
    assert not outside and len(inside) == 3

"""`vmap` in chunks, checkpoints with values in hand, and jitted methods."""

from __future__ import annotations

import numpy as np
import pytest

import funcgrad as fg
import funcgrad.numpy as jnp
from funcgrad.errors import ArgumentError, ConcretizationError

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("chunk", [1, 3, 4, 12, 13])
def test_chunks_give_what_the_whole_batch_gives(chunk):
    w, x = RNG.standard_normal((3, 3)), RNG.standard_normal((3, 12))
    y = RNG.standard_normal((12, 2))

    def f(w, x, y):
        return jnp.sin(w @ x), {"sum": (y * x[0]).sum(), "shared": w[0]}

    whole = fg.vmap(f, (None, 1, 0), (1, 0))
    parts = fg.vmap(f, (None, 1, 0), (1, 0), chunk_size=chunk)
    for g in (parts, fg.jit(parts)):
        fg.tree.map(lambda a, b: np.testing.assert_allclose(a, b, 1e-12), g(w, x, y), whole(w, x, y))
    loss = lambda g: lambda w, x: g(w, x, y)[0].sum()  # noqa: E731
    for i in (0, 1):
        expected = fg.grad(loss(whole), i)(w, x)
        np.testing.assert_allclose(fg.grad(loss(parts), i)(w, x), expected, 1e-10, 1e-12)
        np.testing.assert_allclose(fg.jit(fg.grad(loss(parts), i))(w, x), expected, 1e-10, 1e-12)


def test_chunks_that_have_no_meaning_are_refused():
    for wrong in (0, -1, 2.0, True):
        with pytest.raises(ArgumentError, match="chunk_size"):
            fg.vmap(jnp.sin, chunk_size=wrong)
    with pytest.raises(ArgumentError, match="axis_name"):
        fg.vmap(jnp.sin, axis_name="i", chunk_size=2)


def test_a_checkpoint_with_values_in_hand_may_ask_for_them():
    @fg.checkpoint
    def f(x):
        return jnp.sin(x) if x > 0 else x * x

    np.testing.assert_allclose(fg.grad(f)(-3.0), -6.0)
    np.testing.assert_allclose(fg.grad(f)(0.0), 0.0)
    np.testing.assert_allclose(fg.grad(f)(0.5), np.cos(np.float32(0.5)), 1e-6)
    np.testing.assert_allclose(fg.jit(fg.grad(f))(-3.0), -6.0)
    g = fg.checkpoint(lambda x: x * float(x))
    np.testing.assert_allclose(fg.grad(g)(3.0), 3.0)
    with pytest.raises(ConcretizationError):
        fg.jit(fg.grad(g))(1.0)


def test_a_jitted_method_keeps_what_jitted_functions_have():
    class Scale:
        def __init__(self, by):
            self.by = by

        def times(self, x):
            """Scaled."""
            return self.by * x

    Scale.jitted = fg.jit(Scale.times, static_argnums=0)
    scale = Scale(3.0)
    assert float(scale.jitted(2.0)) == 6.0
    assert scale.jitted.__doc__ == "Scaled." and scale.jitted.__self__ is scale
    assert "mul" in str(scale.jitted.lower(2.0).graph)
    assert scale.jitted.eval_shape(2.0).shape == ()
    assert len(scale.jitted.trace(2.0).graph.equations) == 1
    scale.jitted.clear_cache()
    assert float(fg.grad(scale.jitted)(2.0)) == 3.0

"""Arrays that are made like others or of others: how weak they are."""

from __future__ import annotations

import numpy as np
import pytest

import funcgrad as fg
import funcgrad.numpy as jnp


@pytest.mark.parametrize(
    "make", [jnp.ones_like, jnp.zeros_like, jnp.empty_like, lambda x, **k: jnp.full_like(x, 2, **k)]
)
def test_arrays_like_a_weak_one_are_weak(make):
    weak, strong = jnp.asarray(3.0), jnp.asarray(3.0, "float32")
    assert make(weak).weak_type and make(3.0).weak_type and make(weak, shape=(2,)).weak_type
    assert not make(strong).weak_type and not make(weak, dtype="float32").weak_type
    assert (jnp.ones(2, "bfloat16") + make(3.0)).dtype == jnp.bfloat16
    assert fg.jit(make)(weak).weak_type


@pytest.mark.parametrize(
    "join", [jnp.stack, jnp.hstack, lambda xs, **k: jnp.concatenate([x[None] for x in xs], **k)]
)
def test_weak_arrays_join_to_a_weak_one(join):
    weak, strong = jnp.asarray(3.0), jnp.asarray(3.0, "float16")
    assert join([weak, weak]).weak_type and not join([weak, strong]).weak_type
    assert join([weak, strong]).dtype == np.float16
    assert not join([weak, weak], dtype="float32").weak_type


def test_ranges_are_sequences_of_numbers():
    for nested in (range(4), [range(2), range(2, 4)], (range(0), range(0))):
        out = jnp.array(nested)
        np.testing.assert_array_equal(out, np.array(nested))
        assert out.dtype == np.int64
    assert jnp.asarray(range(3), "float32").dtype == np.float32


@pytest.mark.parametrize(
    "reduce",
    [jnp.sum, jnp.prod, jnp.max, jnp.min, jnp.cumsum, jnp.cumprod, lambda x: jnp.sum(x, where=x > 0)],
)
@pytest.mark.parametrize("values", [2.0, 2])
def test_what_weak_arrays_add_up_to_is_strong(reduce, values):
    weak = jnp.full(3, values)
    assert weak.weak_type
    for found in (reduce(weak), fg.jit(reduce)(weak)):
        assert not found.weak_type and found.dtype == weak.dtype
    assert (reduce(jnp.full(3, 2.0)) * jnp.ones(3, "bfloat16")).dtype == np.float32


def test_relu_keeps_weakness():
    assert fg.nn.relu(jnp.full(3, 2.0)).weak_type and fg.nn.relu(2.0).weak_type
    assert fg.nn.relu(jnp.ones(3, "bfloat16")).dtype == jnp.bfloat16

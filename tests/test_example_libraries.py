"""The optimizers and layers that JAX's examples use: formulas written out in NumPy, shapes, and a small training."""

from __future__ import annotations

import numpy as np
import pytest

import funcgrad as fg
import funcgrad.numpy as jnp
from funcgrad.errors import ArgumentError
from funcgrad.example_libraries import optimizers, stax

G = np.array([[1.0, -2.0], [0.5, 1.0], [-1.0, 4.0]])


def by_hand(name, step, grads):
    """The parameter after steps along given gradients, from 0."""
    x, m, v = np.zeros(2), np.zeros(2), np.zeros(2)
    for i, g in enumerate(grads):
        if name == "sgd":
            x = x - step * g
        elif name == "momentum":
            m = 0.9 * m + g
            x = x - step * m
        elif name == "nesterov":
            m = 0.9 * m + g
            x = x - step * (0.9 * m + g)
        elif name == "adagrad":
            v = v + g * g
            m = 0.1 * g / np.sqrt(v) + 0.9 * m
            x = x - step * m
        elif name == "rmsprop":
            v = 0.9 * v + 0.1 * g * g
            x = x - step * g / np.sqrt(v + 1e-8)
        elif name == "rmsprop_momentum":
            v = 0.9 * v + 0.1 * g * g
            m = 0.9 * m + step * g / np.sqrt(v + 1e-8)
            x = x - m
        elif name == "adam":
            m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
            x = x - step * (m / (1 - 0.9 ** (i + 1))) / (np.sqrt(v / (1 - 0.999 ** (i + 1))) + 1e-8)
        else:
            m, v = 0.9 * m + 0.1 * g, np.maximum(0.999 * v, np.abs(g))
            x = x - step / (1 - 0.9 ** (i + 1)) * m / (v + 1e-8)
    return x


@pytest.mark.parametrize(
    "name", ["sgd", "momentum", "nesterov", "adagrad", "rmsprop", "rmsprop_momentum", "adam", "adamax"]
)
def test_optimizers_do_what_their_papers_say(name):
    init, update, get_params = getattr(optimizers, name)(
        0.1, *([0.9] if name in ("momentum", "nesterov") else [])
    )
    state = init({"a": jnp.zeros(2), "b": [jnp.zeros(())]})
    step = fg.jit(update)
    for i, g in enumerate(G):
        state = step(i, {"a": jnp.asarray(g, jnp.float32), "b": [jnp.ones(())]}, state)
    params = get_params(state)
    np.testing.assert_allclose(params["a"], by_hand(name, 0.1, G), rtol=1e-5)
    np.testing.assert_allclose(params["b"][0], by_hand(name, 0.1, np.ones((3, 2)))[0], rtol=1e-5)


def test_step_sizes_may_depend_on_the_step():
    values = {
        optimizers.exponential_decay(1.0, 2, 0.25): [1, 0.5, 0.25, 0.125],
        optimizers.inverse_time_decay(1.0, 2, 1.0): [1, 1 / 1.5, 1 / 2, 1 / 2.5],
        optimizers.inverse_time_decay(1.0, 2, 1.0, staircase=True): [1, 1, 0.5, 0.5],
        optimizers.polynomial_decay(1.0, 2, 0.5): [1, 0.75, 0.5, 0.5],
        optimizers.piecewise_constant([0, 1], [3.0, 2.0, 1.0]): [3, 2, 1, 1],
    }
    for schedule, wanted in values.items():
        np.testing.assert_allclose([fg.jit(schedule)(i) for i in range(4)], wanted, rtol=1e-6)
    with pytest.raises(ArgumentError, match="2 boundaries part 3 values, got 1"):
        optimizers.piecewise_constant([0, 1], [1.0])


def test_gradients_are_clipped_together():
    grads = {"a": jnp.array([3.0]), "b": jnp.array([4.0])}
    assert optimizers.l2_norm(grads) == 5
    np.testing.assert_allclose(optimizers.clip_grads(grads, 1.0)["b"], [0.8])
    assert optimizers.clip_grads(grads, 10.0)["a"] == 3


NETWORKS = {
    "dense": (stax.serial(stax.Dense(16), stax.Relu, stax.Dense(3), stax.LogSoftmax), (-1, 12), (-1, 3)),
    "images": (
        stax.serial(
            stax.Conv(8, (3, 3), padding="SAME"),
            stax.BatchNorm(),
            stax.Relu,
            stax.MaxPool((2, 2), strides=(2, 2)),
            stax.Conv(4, (3, 3), strides=(2, 2)),
            stax.AvgPool((2, 2), padding="SAME"),
            stax.SumPool((2, 2)),
            stax.Flatten,
        ),
        (-1, 16, 14, 3),
        (-1, 16),
    ),
    "two ways": (
        stax.serial(
            stax.FanOut(2),
            stax.parallel(stax.Dense(5), stax.serial(stax.Dense(4), stax.Tanh)),
            stax.FanInConcat(),
        ),
        (6, 12),
        (6, 9),
    ),
    "residual": (
        stax.serial(stax.FanOut(2), stax.parallel(stax.Dense(12), stax.Identity), stax.FanInSum),
        (6, 12),
        (6, 12),
    ),
    "transposed": (stax.ConvTranspose(2, (3, 3), strides=(2, 2)), (-1, 5, 6, 4), (-1, 11, 13, 2)),
    "by shape": (stax.shape_dependent(lambda shape: stax.Dense(2 * shape[-1])), (-1, 3), (-1, 6)),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_networks_say_their_shapes(name):
    (init, apply), given, wanted = NETWORKS[name]
    shape, params = init(fg.random.key(0), given)
    assert shape == wanted
    batch = 2 if given[0] == -1 else given[0]
    inputs = jnp.ones((batch, *given[1:]))
    assert fg.jit(apply)(params, inputs).shape == (batch, *wanted[1:])


def test_means_of_windows_count_what_is_inside():
    init, apply = stax.AvgPool((3, 3), padding="SAME")
    assert init(fg.random.key(0), (1, 4, 4, 1)) == ((1, 4, 4, 1), ())
    np.testing.assert_allclose(apply((), jnp.full((1, 4, 4, 1), 2.0)), 2.0)


def test_dropout_needs_a_key_and_keeps_the_mean():
    _, apply = stax.Dropout(0.8)
    with pytest.raises(ArgumentError, match="rng=key"):
        apply((), jnp.ones(3))
    out = np.asarray(apply((), jnp.ones(10_000), rng=fg.random.key(0)))
    assert set(np.unique(out)) == {0, 1.25} and abs(out.mean() - 1) < 0.02
    assert (stax.Dropout(0.8, mode="test")[1]((), jnp.ones(3)) == 1).all()


def test_a_network_learns():
    init, apply = stax.serial(stax.Dense(32), stax.Tanh, stax.Dense(1))
    _, params = init(fg.random.key(0), (-1, 1))
    x = jnp.linspace(-1, 1, 64)[:, None]
    loss = lambda params: jnp.mean((apply(params, x) - jnp.sin(3 * x)) ** 2)  # noqa: E731
    start, update, get_params = optimizers.adam(0.02)

    @fg.jit
    def step(i, state):
        return update(i, fg.grad(loss)(get_params(state)), state)

    state = fg.lax.fori_loop(0, 300, step, start(params))
    assert loss(params) > 0.1 and loss(get_params(state)) < 0.01

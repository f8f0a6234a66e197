"""`checkpoint` with policies, names and budgets: the same derivatives, from what was asked to be kept."""

from __future__ import annotations

import re

import numpy as np
import pytest

import funcgrad as fg
import funcgrad.numpy as jnp
from funcgrad import checkpoint_policies as policies
from funcgrad.ad_checkpoint import checkpoint_name, print_saved_residuals, saved_residuals
from funcgrad.errors import ArgumentError

RNG = np.random.default_rng(0)
W = (RNG.standard_normal((3, 16, 16)) * 0.3).astype(np.float32)
X = RNG.standard_normal((32, 16)).astype(np.float32)
ACTIVATION = X.nbytes


def network(w, x):
    for k in range(3):
        product = fg.jit(lambda a, b: a @ b)(x, w[k])
        x = checkpoint_name(jnp.sin(product), f"layer {k}")
    return (x**2).sum()


def saved(f, *args):
    """Bytes that are kept besides the arguments."""
    return sum(r.type.nbytes for r in saved_residuals(f, *args) if "argument" not in r.origin)


POLICIES = {
    "nothing": ({"policy": policies.nothing_saveable}, 0),
    "dots": ({"policy": policies.dots_saveable}, 3),
    "dots without batches": ({"policy": policies.dots_with_no_batch_dims_saveable}, 3),
    "some names": ({"policy": policies.save_only_these_names("layer 0", "layer 1")}, 2),
    "other names": ({"policy": policies.save_any_names_but_these("layer 0")}, 2),
    "both": (
        {
            "policy": policies.save_from_both_policies(
                policies.dots_saveable, policies.save_only_these_names("layer 1")
            )
        },
        4,
    ),
    "by hand": ({"policy": lambda primitive, *types, **params: primitive.name == "sin"}, 3),
    "budget for two": ({"budget": 2 * ACTIVATION + 1}, 2),
    "budget in words": ({"budget": "4.1 kB"}, 2),
    "no budget": ({"budget": 0}, 0),
}


@pytest.mark.parametrize("name", POLICIES)
def test_policies_save_what_they_say_and_change_no_derivative(name):
    options, activations = POLICIES[name]
    f = fg.checkpoint(network, **options)
    if "both" not in name:  # a product and what is named after it: only the nearest to each residual is kept
        assert saved(f, W, X) == activations * ACTIVATION
    expected = fg.grad(network, (0, 1))(W, X)
    for transform in (lambda g: g, fg.jit, lambda g: fg.vmap(g, (None, None), axis_size=2)):
        for got, want in zip(transform(fg.grad(f, (0, 1)))(W, X), expected):
            np.testing.assert_allclose(
                np.asarray(got).reshape(-1, *want.shape)[0], want, rtol=1e-4, atol=1e-5
            )
    np.testing.assert_allclose(fg.jvp(f, (W, X), (W, X))[1], fg.jvp(network, (W, X), (W, X))[1], rtol=1e-4)
    curvature = fg.hessian(lambda s: f(s * W, X))(1.0)
    np.testing.assert_allclose(curvature, fg.hessian(lambda s: network(s * W, X))(1.0), rtol=1e-3)


def test_everything_saveable_is_no_checkpoint():
    everything = fg.checkpoint(network, policy=policies.everything_saveable)
    assert saved(network, W, X) >= saved(everything, W, X) > 6 * ACTIVATION
    assert everything(W, X) == network(W, X)


def test_all_but_some_names_recomputes_these():
    def f(x):
        return jnp.exp(checkpoint_name(jnp.sin(jnp.cos(x)), "inner"))

    g = fg.checkpoint(f, policy=policies.save_anything_except_these_names("inner"))
    assert not any("inner" in r.origin for r in saved_residuals(g, X))
    np.testing.assert_allclose(fg.grad(lambda x: g(x).sum())(X), fg.grad(lambda x: f(x).sum())(X), rtol=1e-6)


def test_the_memory_that_a_budget_predicts_is_what_the_program_needs():
    w = (RNG.standard_normal((12, 64, 64)) / 8).astype(np.float32)
    x = RNG.standard_normal((4000, 64)).astype(np.float32)

    def deep(w, x):
        for k in range(12):
            x = jnp.tanh(x @ w[k])
        return x.sum()

    def arena(f):
        return fg.jit(fg.grad(f)).lower(w, x).executable.placement.plan.size

    saving = fg.checkpoint(deep, budget=4 * x.nbytes)
    predicted = saved(saving, w, x)
    assert 2 * x.nbytes < predicted <= 4 * x.nbytes
    # while the backward pass goes from one saved value to the one before, the few between them are there again
    assert arena(saving) <= predicted + 4 * x.nbytes
    assert arena(deep) >= 12 * x.nbytes
    for got, want in zip(fg.jit(fg.grad(saving, (0, 1)))(w, x), fg.jit(fg.grad(deep, (0, 1)))(w, x)):
        np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-4)


def test_what_is_kept_is_printed_with_its_origin(capsys):
    def f(x, scale):
        y = checkpoint_name(jnp.exp(x), "e")
        return jnp.sin(y) * scale

    f = fg.checkpoint(f, policy=policies.save_only_these_names("e"))
    print_saved_residuals(f, np.ones(3, np.float32), scale=np.float32(2))
    lines = capsys.readouterr().out.splitlines()
    assert "f32[3] named 'e'" in lines
    assert "f32[] from argument 'scale' of f" in lines
    assert lines[-2] == "28 bytes"  # exp is computed again from x: its result is named after it
    (residual,) = saved_residuals(lambda x: jnp.exp(x), X[0])
    assert residual.origin.startswith("output of exp from ") and "test_checkpoint.py" in residual.origin


def test_the_saving_that_is_printed_is_true(capsys):
    w = (RNG.standard_normal((12, 64, 64)) / 8).astype(np.float32)
    x = RNG.standard_normal((4000, 64)).astype(np.float32)

    def block(x, w):
        return fg.jit(lambda x: jnp.tanh(jnp.tanh(x @ w[0]) @ w[1]))(x)

    def deep(x, w, inner):
        for k in range(6):
            x = inner(x, w[2 * k : 2 * k + 2])
        return x.sum()

    def frugal(x, w):
        return deep(x, w, fg.checkpoint(block))

    print_saved_residuals(frugal, x, w)
    said = re.findall(r"works in (\d+) bytes, without checkpoint in (\d+)", capsys.readouterr().out)
    kept, plain = map(int, said[0])

    def arena(f):
        return fg.jit(fg.grad(f, (0, 1))).lower(x, w).executable.placement.plan.size

    assert kept == arena(frugal)
    assert plain == arena(lambda x, w: deep(x, w, block))
    assert plain - kept > 3 * x.nbytes
    print_saved_residuals(lambda x, w: deep(x, w, block), x, w)
    assert capsys.readouterr().out.endswith(" bytes\n")  # nothing is saved there
    print_saved_residuals(fg.jit(fg.vmap(fg.checkpoint(lambda x: jnp.sin(jnp.sin(x))))), x)
    assert "without checkpoint" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"policy": "dots_saveable"}, "policy is a str"),
        ({"budget": "much"}, "'much' is no number of bytes"),
        ({"budget": -1}, "-1 is no number of bytes"),
        ({"budget": 10, "policy": policies.dots_saveable}, "not both"),
    ],
)
def test_wrong_settings_are_said(options, words):
    with pytest.raises(ArgumentError, match=words):
        fg.checkpoint(network, **options)


def test_a_name_is_a_string():
    with pytest.raises(ArgumentError, match="takes a name"):
        checkpoint_name(X, 3)
    tree = checkpoint_name({"a": 1.0, "b": X}, "both")
    assert set(tree) == {"a", "b"}

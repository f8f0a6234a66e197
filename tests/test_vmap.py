"""vmap: where batch axes come from and go to, how it nests, and what it refuses."""

from __future__ import annotations

import functools
from typing import NamedTuple

import numpy as np
import pytest

import funcgrad as fg
import funcgrad.numpy as jnp
from funcgrad.errors import (
    ArgumentError,
    AxisError,
    AxisNameError,
    ConcretizationError,
    DTypeError,
    FuncgradError,
    ShapeError,
)


def close(actual, expected):
    assert fg.tree.structure(actual) == fg.tree.structure(expected)
    for a, e in zip(fg.tree.leaves(actual), fg.tree.leaves(expected)):
        np.testing.assert_allclose(np.asarray(a), np.asarray(e), rtol=1e-5, atol=1e-5)


class Point(NamedTuple):
    x: object
    y: object


A = np.arange(24, dtype=np.float32).reshape(2, 3, 4)


def example(a, axis):
    """The examples of a batch along `axis`, in front."""
    return np.moveaxis(a, axis, 0)


@pytest.mark.parametrize("jit", [False, True])
@pytest.mark.parametrize("out_axis", [0, 1, 2, -1, -2, -3])
@pytest.mark.parametrize("in_axis", [0, 1, 2, -1, -2, -3])
def test_axes_of_input_and_output(in_axis, out_axis, jit):
    def f(a):
        return jnp.sin(a).T * 2

    batched = fg.vmap(f, in_axes=in_axis, out_axes=out_axis)
    rows = [np.sin(row).T * 2 for row in example(A, in_axis)]
    close((fg.jit(batched) if jit else batched)(A), np.stack(rows, out_axis))


def test_none_shares_an_argument():
    close(fg.vmap(lambda a, b: a * b, in_axes=(0, None))(A[0], A[1, 0]), A[0] * A[1, 0])
    close(fg.vmap(lambda a, b: jnp.dot(a, b), in_axes=(None, 1))(A[0], A[1].T), A[1] @ A[0].T)
    close(fg.vmap(jnp.add, in_axes=[0, None])(np.ones(3, np.float32), 2.0), np.full(3, 3.0))


def test_in_axes_and_out_axes_are_prefixes_of_trees():
    def f(p, q):
        return {"sum": p["a"] + p["b"].x, "pair": (p["b"].y, q)}

    p = {"a": A, "b": Point(A[0].T, 5.0)}
    axes = ({"a": 1, "b": Point(-1, None)}, None)
    out = fg.vmap(f, in_axes=axes, out_axes={"sum": 0, "pair": None})(p, 7.0)
    close(out["sum"], np.stack([A[:, i] + A[0][i] for i in range(3)]))
    close(out["pair"], (5.0, 7.0))
    out = fg.vmap(f, in_axes=axes, out_axes={"sum": -1, "pair": (0, None)})(p, 7.0)
    assert out["sum"].shape == (2, 4, 3)
    close(out["pair"], (np.full(3, 5.0), 7.0))
    close(fg.vmap(lambda p: p["a"] * p["b"], in_axes=({"a": 0, "b": None},))({"a": A, "b": 2.0}), A * 2)


def test_outputs_that_do_not_depend_on_the_batch_are_repeated():
    close(
        fg.vmap(lambda a: (a, 3.0, jnp.ones(2)))(np.ones(4, np.float32)),
        (np.ones(4), np.full(4, 3.0), np.ones((4, 2))),
    )
    close(
        fg.vmap(lambda a: jnp.arange(2.0), out_axes=1)(np.ones(4)), np.repeat(np.arange(2.0)[:, None], 4, 1)
    )


def test_keyword_arguments_are_batched_over_axis_0():
    def f(a, *, scale, shift=0.0):
        return a * scale + shift

    s = np.array([1.0, 2.0], np.float32)
    close(fg.vmap(f)(A[:, 0, 0], scale=s), A[:, 0, 0] * s)
    close(fg.vmap(f, in_axes=None)(1.0, scale=s), s)


def test_axis_size_stands_in_for_batched_arguments():
    close(fg.vmap(lambda: 2.0, axis_size=3)(), np.full(3, 2.0))
    close(fg.vmap(lambda x: x + 1, in_axes=None, axis_size=3)(1.0), np.full(3, 2.0))
    assert fg.vmap(jnp.sin)(np.zeros((0, 3), np.float32)).shape == (0, 3)


def test_empty_trees_and_none():
    close(fg.vmap(lambda a, n, d: (a, n, d))(A, None, {}), (A, None, {}))
    assert fg.vmap(lambda a: None)(A) is None
    assert fg.vmap(lambda a: ())(A) == ()


def test_nested_batches_are_independent():
    outer = fg.vmap(fg.vmap(jnp.multiply, in_axes=(None, 0)), in_axes=(0, None))
    a, b = np.arange(2.0, dtype=np.float32), np.arange(3.0, dtype=np.float32)
    close(outer(a, b), np.outer(a, b))
    close(fg.vmap(lambda x: fg.vmap(lambda y: x * y + x)(b))(a), np.outer(a, b) + a[:, None])
    three = functools.reduce(lambda f, _: fg.vmap(f), range(3), lambda x: jnp.sin(x) * x)
    close(three(A), np.sin(A) * A)
    close(fg.vmap(lambda m: fg.vmap(jnp.sum, in_axes=1)(m), in_axes=2)(A), A.sum(0).T)


def test_named_axes_carry_collectives():
    x = np.arange(4, dtype=np.float32)
    close(fg.vmap(lambda x: x - fg.lax.pmean(x, "i"), axis_name="i")(x), x - 1.5)
    close(fg.vmap(lambda x: fg.lax.psum(1, "i") * x, axis_name="i")(x), 4 * x)
    close(fg.vmap(lambda x: fg.lax.axis_index("i"), axis_name="i")(x), np.arange(4))
    two = fg.vmap(fg.vmap(lambda x: fg.lax.psum(x, ("i", "j")), axis_name="j"), axis_name="i")
    close(two(A[0]), np.full((3, 4), A[0].sum()))
    inner = fg.vmap(fg.vmap(lambda x: fg.lax.psum(x, "i"), axis_name="j"), axis_name="i")
    close(inner(A[0]), np.tile(A[0].sum(0), (3, 1)))
    close(fg.vmap(fg.jit(lambda x: fg.lax.psum(x, "i")), axis_name="i")(x), np.full(4, 6.0))
    close(fg.vmap(fg.grad(lambda x: fg.lax.psum(x * x, "i")), axis_name="i")(x), 8 * x)
    with pytest.raises(AxisNameError, match="nowhere"):
        fg.vmap(lambda x: fg.lax.psum(x, "nowhere"), axis_name="i")(x)


def test_one_jitted_function_under_axes_of_several_sizes():
    mean = fg.jit(lambda x: fg.lax.psum(x, "i") / fg.lax.psum(1, "i"))
    for n in (2, 3):
        close(fg.vmap(mean, axis_name="i")(np.arange(n, dtype=np.float32)), np.full(n, (n - 1) / 2))


def test_per_example_gradients():
    def loss(w, x, y):
        return (jnp.dot(w, x) - y) ** 2

    w = np.array([1.0, 2.0], np.float32)
    xs, ys = np.array([[1, 2], [3, 4], [5, 6]], np.float32), np.array([1, 2, 3], np.float32)
    expected = 2 * (xs @ w - ys)[:, None] * xs
    for f in (loss, fg.jit(loss), fg.checkpoint(loss)):
        close(fg.vmap(fg.grad(f), in_axes=(None, 0, 0))(w, xs, ys), expected)
        close(fg.jit(fg.vmap(fg.grad(f), in_axes=(None, 0, 0)))(w, xs, ys), expected)
        total = lambda w, f=f: fg.vmap(f, in_axes=(None, 0, 0))(w, xs, ys).sum()  # noqa: E731
        close(fg.grad(total)(w), expected.sum(0))


def test_what_is_not_batched_stays_concrete():
    seen = []

    def f(x, n):
        seen.append(int(n) + 1)
        return x * 2 if n > 0 else x

    close(fg.vmap(f, in_axes=(0, None))(A, 3), A * 2)
    assert seen == [4]


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: fg.vmap(jnp.sin)(2.0), AxisError, r"axis 0 of argument.*f32\[\]"),
        (lambda: fg.vmap(lambda x: x, in_axes=3)(A), AxisError, "axis 3 of argument 'x'"),
        (lambda: fg.vmap(lambda x: x, in_axes=-4)(A), AxisError, "axis -4 of argument 'x'"),
        (lambda: fg.vmap(lambda p: p["k"])({"k": 1.0}), AxisError, r"argument 'p' of <lambda>\['k'\]"),
        (lambda: fg.vmap(lambda x, *, k: x)(A, k=1.0), AxisError, "keyword argument 'k'"),
        (lambda: fg.vmap(lambda x: x, out_axes=3)(A[0]), AxisError, "out_axes|output"),
        (lambda: fg.vmap(lambda x, y: x)(A, A[0]), ShapeError, r"argument 'x'.*f32\[2,3,4\].*length 2.*'y'"),
        (lambda: fg.vmap(lambda x: x, axis_size=5)(A), ShapeError, "axis_size=5"),
        (lambda: fg.vmap(lambda x: x, in_axes=None)(A), ArgumentError, "no batched argument"),
        (lambda: fg.vmap(lambda: 1.0)(), ArgumentError, "without arrays"),
        (lambda: fg.vmap(lambda x: x, in_axes=(0, 0))(A), ArgumentError, "2 entries.*1 positional"),
        (lambda: fg.vmap(lambda p: p, in_axes=({"a": 0},))({"b": A}), ArgumentError, "in_axes"),
        (lambda: fg.vmap(lambda x: (x, x), out_axes=(0, 0, 0))(A), ArgumentError, "out_axes"),
        (lambda: fg.vmap(lambda x: x, in_axes="0"), ArgumentError, "ints and None"),
        (lambda: fg.vmap(lambda x: x, in_axes=0.0), ArgumentError, "ints and None"),
        (lambda: fg.vmap(lambda x: x, in_axes=True), ArgumentError, "ints and None"),
        (lambda: fg.vmap(lambda x: x, out_axes=None)(A), ArgumentError, "out_axes is None"),
        (lambda: fg.vmap(3.0), ArgumentError, "vmap takes a function"),
        (lambda: fg.vmap(lambda x: x)("text"), FuncgradError, "'text'"),
        (lambda: fg.vmap(lambda x: "text")(A), FuncgradError, "<lambda> returned 'text'"),
        (lambda: fg.vmap(lambda x: x if x.sum() > 0 else x.sum())(A), ShapeError, "another type"),
        (lambda: fg.vmap(lambda x: float(x))(A[0, 0]), ConcretizationError, "float"),
        (lambda: fg.vmap(lambda x: [1, 2][x])(np.arange(2)), ConcretizationError, "index"),
        (lambda: fg.vmap(lambda x: np.sin(x))(A), ConcretizationError, "funcgrad.numpy"),
    ],
)
def test_what_does_not_fit_is_refused_in_words(make, error, words):
    with pytest.raises(error, match=words):
        make()


def test_vmap_keeps_name_and_docstring():
    def model(x):
        """A model."""
        return x

    assert "model" in fg.vmap(model).__name__ and fg.vmap(model).__doc__ == "A model."
    close(fg.vmap(functools.partial(jnp.multiply, 2.0))(A), 2 * A)


def test_gathers_for_no_examples():
    def rows(x, i):
        return x[i]

    x, i = np.zeros((0, 3), np.float32), np.zeros((0, 2), int)
    assert fg.vmap(rows)(x, i).shape == fg.jit(fg.vmap(rows))(x, i).shape == (0, 2)
    assert fg.vmap(fg.grad(lambda x, i: x[i].sum()))(x, i).shape == (0, 3)


@pytest.mark.parametrize("wrap", [lambda f: f, fg.jit], ids=["eager", "jit"])
@pytest.mark.parametrize("options", [{}, {"chunk_size": 2}], ids=["whole", "chunks"])
def test_arguments_that_are_no_arrays_pass_where_they_are_not_batched(wrap, options):
    def f(x, g, extra):
        return g(x) * extra["scale"] + len(extra["name"])

    extra = {"scale": 2.0, "name": "four"}
    mapped = fg.vmap(f, in_axes=(0, None, None), **options)
    x = jnp.arange(5.0)
    np.testing.assert_allclose(
        wrap(lambda x: mapped(x, jnp.sin, extra))(x), np.sin(np.arange(5.0)) * 2 + 4, rtol=1e-6
    )
    with pytest.raises(DTypeError, match=r"argument 'g' of f is .* of type str"):
        fg.vmap(f, in_axes=(0, 0, None))(x, "sin", extra)


def test_device_get_leaves_traced_values():
    assert fg.jit(lambda x: fg.device_get({"a": x})["a"] * 2)(jnp.ones(2)).tolist() == [2, 2]
    assert type(fg.device_get(jnp.ones(2))) is np.ndarray

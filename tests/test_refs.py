"""`new_ref`: local arrays that change in place, against NumPy, in every transform; and what they refuse."""

from __future__ import annotations

import copy
import operator
import pickle

import numpy as np
import pytest

import funcgrad as fg
import funcgrad.numpy as jnp
from funcgrad import lax
from funcgrad.errors import DTypeError, ImmutableError, IndexingError, LeakedTracerError, UnhashableError
from funcgrad.testing import check_grads

X = np.array([0.5, -1.0, 2.0, 3.0], np.float32)


def running(x, make=fg.new_ref):
    total = make(x)
    for i in range(1, 4):
        total[i] += total[i - 1] * 2
    total[::2] = total[::2] * x[0]
    total[-1] -= 1
    return total[...]


def table(x, make=fg.new_ref):
    rows = make(jnp.zeros((4, 3), "float32") if make is fg.new_ref else np.zeros((4, 3), np.float32))
    rows[0] = x[:3]
    for k in range(1, 4):
        rows[k] = rows[k - 1] * x[k]
        rows[k, 1:] += 1
    rows[1:3, ..., 0] *= 3
    rows[np.array([0, 3]), np.array([1, 1])] = 7
    return rows[...]


def numpy_copy(x):
    return np.array(x, np.float32)


@pytest.mark.parametrize("f", [running, table])
def test_against_numpy_in_every_transform(f):
    expected = f(X, numpy_copy)
    for g in (f, fg.jit(f), lambda x: fg.vmap(f)(x[None])[0], fg.jit(lambda x: fg.jit(f)(x))):
        np.testing.assert_allclose(g(jnp.array(X)), expected, rtol=1e-6)
    batch = np.stack([X, X * 2, -X])
    np.testing.assert_allclose(
        fg.vmap(f)(jnp.array(batch)), np.stack([f(x, numpy_copy) for x in batch]), rtol=1e-5
    )

    def loss(x):
        return jnp.sum(jnp.sin(f(x)))

    with fg.config.using(default_float="float64"):
        x = jnp.array(X, "float64")
        check_grads(lambda x: jnp.sum(jnp.sin(running(x))), (x,))
    slope = fg.grad(loss)(jnp.array(X))
    np.testing.assert_allclose(fg.jit(fg.grad(loss))(jnp.array(X)), slope, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(fg.grad(fg.jit(loss))(jnp.array(X)), slope, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(fg.jacfwd(loss)(jnp.array(X)), slope, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(fg.vmap(fg.grad(loss))(jnp.array(X)[None])[0], slope, rtol=1e-5, atol=1e-5)


def test_nobody_elses_array_changes():
    given, data = jnp.array(X), X.copy()
    for start in (given, data):
        ref = fg.new_ref(start)
        before, part = ref[...], ref[1:3]
        ref[0] = 9.0
        ref[1] = 8.0
        seen = ref[...]
        ref[2:] = 7.0
        rows = ref[2:]
        ref[2] = 6.0
        ref += 1
        assert seen.tolist() == [9, 8, 2, 3]
        assert rows.tolist() == [7, 7]
        assert ref.tolist() == [10, 9, 7, 8]
        assert before.tolist() == start.tolist() == X.tolist()
        assert part.tolist() == X[1:3].tolist()

    @fg.jit
    def f(x):
        ref = fg.new_ref(x)
        ref[0] = 5.0
        return ref[...], x

    new, old = f(given)
    assert new[0] == 5 and old[0] == given[0] == 0.5


def test_a_ref_stands_for_its_array():
    ref = fg.new_ref(X)
    x = jnp.array(X)
    assert (ref.shape, ref.dtype, ref.ndim, len(ref)) == ((4,), np.float32, 1, 4)
    assert [float(v) for v in ref] == X.tolist()
    assert isinstance(ref, fg.Ref) and "Ref(Array" in repr(ref) and f"{fg.new_ref(1.5):.2f}" == "1.50"
    np.testing.assert_array_equal(np.asarray(ref), X)
    for op in (operator.add, operator.mul, operator.sub, operator.truediv, operator.lt, operator.matmul):
        for other in (2.0, x, X, fg.new_ref(x + 4)):
            if op is operator.matmul and isinstance(other, float):
                continue
            value = np.asarray(other)
            np.testing.assert_allclose(op(ref, other), op(X, value), rtol=1e-6)
            np.testing.assert_allclose(op(other, ref), op(value, X), rtol=1e-6)
    assert bool(ref[0] > 0) and int(fg.new_ref(3)) == 3 and [10, 20][fg.new_ref(1)] == 20
    assert float(ref.sum()) == float(jnp.sum(ref)) == X.sum()
    np.testing.assert_allclose((-ref).at[0].set(1.0)[:2], [1, 1])


@pytest.mark.parametrize(
    "f",
    [
        jnp.sin,
        jnp.sum,
        jnp.asarray,
        jnp.array,
        lambda r: jnp.add(1.0, r),
        lambda r: jnp.dot(r, r),
        lambda r: jnp.concatenate([r, r]),
        lambda r: jnp.where(r > 0, r, 0.0),
        lambda r: jnp.stack([r, r]),
        lambda r: jnp.einsum("i,i->", r, r),
        lambda r: jnp.maximum(r, 0.3),
        lambda r: jnp.linalg.norm(r),
        lambda r: lax.exp(r),
        lambda r: lax.cond(r[0] > 0, lambda x: x, lambda x: x * 2, r),
        lambda r: lax.scan(lambda c, x: (c + x, c), 0.0, r)[1],
        lambda r: fg.nn.relu(r),
        lambda r: fg.grad(lambda x: jnp.sum(x * x))(r),
        lambda r: fg.vmap(jnp.sin)(r),
        lambda r: fg.jit(lambda x, y: x + y["a"])(r, {"a": r}),
        lambda r: fg.jvp(jnp.sin, (r,), (r,))[1],
    ],
)
def test_functions_take_a_ref_as_its_array(f):
    expected = f(jnp.array(X))

    def of_ref(x):
        ref = fg.new_ref(x * 0)
        ref[...] = x
        return f(ref)

    np.testing.assert_allclose(of_ref(jnp.array(X)), expected, rtol=1e-6)
    np.testing.assert_allclose(fg.jit(of_ref)(jnp.array(X)), expected, rtol=1e-6)
    np.testing.assert_allclose(fg.vmap(of_ref)(jnp.array(X)[None])[0], expected, rtol=1e-6)
    slope = fg.grad(lambda x: jnp.sum(of_ref(x)))(jnp.array(X))
    np.testing.assert_allclose(slope, fg.grad(lambda x: jnp.sum(f(x)))(jnp.array(X)), rtol=1e-6)


def test_under_python_conditions_and_loops():
    @fg.jit
    def clip(x):
        ref = fg.new_ref(x)
        for k in range(4):
            if ref[k] < 0:
                ref[k] = 0.0
        return ref[...]

    assert clip(X).tolist() == [0.5, 0, 2, 3]
    np.testing.assert_allclose(fg.grad(lambda x: jnp.sum(clip(x) ** 2))(jnp.array(X)), [1, 0, 4, 6])
    np.testing.assert_allclose(fg.vmap(clip.function)(jnp.stack([X, -X])), np.maximum(np.stack([X, -X]), 0))


def test_inside_the_body_of_a_loop():
    def body(i, x):
        ref = fg.new_ref(x)
        ref[i] += 1.0
        return ref[...]

    assert lax.fori_loop(0, 3, body, jnp.zeros(4)).tolist() == [1, 1, 1, 0]
    held = fg.new_ref(X)  # a body may read what is outside
    assert float(lax.scan(lambda c, i: (c + held[i], None), 0.0, jnp.arange(4))[0]) == X.sum()


def prefix_sums(x, make=fg.new_ref):
    total = make(x)

    def body(i, last):
        total[i] += last
        return total[i]

    if make is fg.new_ref:
        lax.fori_loop(0, 4, body, jnp.zeros_like(x[0]))
    else:
        last = 0
        for i in range(4):
            last = body(i, last)
    return total[...]


def with_a_branch(x):
    low, high = fg.new_ref(x), fg.new_ref(x * 0)

    def body(carry, i):
        def small(k):
            low[k] *= 3
            return 1.0

        def large(k):
            high[k] = low[k]
            low[k] = 0.0
            return 2.0

        kind = lax.cond(x[i] < 1, small, large, i)
        return carry + kind, lax.switch(i, [lambda: small(0), lambda: 0.5])

    carry, ys = lax.scan(body, 0.0, jnp.arange(4))
    return jnp.concatenate([low[...], high[...], ys, carry[None]])


def with_a_while_loop(x):
    held = fg.new_ref(x)

    def step(n):
        held[0] = held[0] * 2
        held[1:] += 1
        return n + 1

    n = lax.while_loop(lambda n: held[0] < 5, step, 0)
    return held[...] * n


def test_bodies_of_control_flow_write_to_what_is_outside():
    np.testing.assert_allclose(prefix_sums(jnp.array(X)), prefix_sums(X, numpy_copy), rtol=1e-6)
    np.testing.assert_allclose(
        with_a_branch(jnp.array(X)), [4.5, -3, 0, 0, 0, 0, 2, 3, 1, 0.5, 0.5, 0.5, 6], rtol=1e-6
    )
    np.testing.assert_allclose(with_a_while_loop(jnp.array(X)), [32, 12, 24, 28], rtol=1e-6)


@pytest.mark.parametrize("f", [prefix_sums, with_a_branch, with_a_while_loop])
def test_writes_in_bodies_in_every_transform(f):
    x = jnp.array(X)
    expected = f(x)
    for g in (
        fg.jit(f),
        lambda x: fg.vmap(f)(x[None])[0],
        fg.jit(lambda x: fg.vmap(f)(jnp.stack([x, x]))[1]),
    ):
        np.testing.assert_allclose(g(x), expected, rtol=1e-6)
    weights = jnp.linspace(0.5, 2.0, expected.size)

    def loss(x):
        return jnp.sum(jnp.sin(f(x)) * weights)

    slope = fg.grad(loss)(x)
    np.testing.assert_allclose(fg.jit(fg.grad(loss))(x), slope, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(fg.grad(fg.jit(loss))(x), slope, rtol=1e-4, atol=1e-5)
    with fg.config.using(default_float="float64"):
        x = jnp.array(X, "float64")
        steps = np.eye(4) * 1e-6
        numeric = [(float(loss(x + s)) - float(loss(x - s))) / 2e-6 for s in steps]
        np.testing.assert_allclose(fg.grad(loss)(x), numeric, rtol=1e-5, atol=1e-6)


def everything(x, make=fg.new_ref):
    """Conditions and assignments in a loop in a loop."""
    held, best = make(x), make(x[0])

    def body(i, n):
        if held[i] > 0:
            held[i] *= 2
            if held[i] > best[...]:
                best[...] = held[i]
        elif held[i] < -1:
            return n - 1

        def inner(j, _):
            if j == i:
                held[j] += 0.5

        loop(0, 4, inner, None)
        return n + 1

    loop = (
        lax.fori_loop
        if make is fg.new_ref
        else lambda low, high, f, n: [n := f(i, n) for i in range(high)][-1]
    )
    n = loop(0, 4, body, 0)
    return held[...], best[...], n


def test_conditions_and_writes_in_nested_bodies():
    xs = np.array([[0.5, -2, 3, -0.5], [-1, -2, 0, 1], [1, 2, 3, 4]], np.float32)
    expected = [everything(x, numpy_copy) for x in xs]
    for f in (everything, fg.jit(everything)):
        for x, outs in zip(xs, expected):
            for found, e in zip(f(jnp.array(x)), outs):
                np.testing.assert_allclose(found, e, rtol=1e-6)
    for f in (fg.vmap(everything), fg.jit(fg.vmap(everything))):
        for found, e in zip(f(jnp.array(xs)), zip(*expected)):
            np.testing.assert_allclose(found, np.stack(e), rtol=1e-6)
    slope = fg.jit(fg.grad(lambda x: everything(x)[0].sum() + everything(x)[1]))(jnp.array(xs[0]))
    np.testing.assert_allclose(slope, [2, 1, 4, 1], rtol=1e-6)


def test_a_body_that_is_wrong_says_so_with_a_ref_too():
    ref = fg.new_ref(X)

    def body(c, x):
        ref[0] = x
        return c

    with pytest.raises(fg.errors.ArgumentError, match="has to return a pair"):
        lax.scan(body, 0.0, jnp.arange(3.0))
    assert ref.tolist() == X.tolist()
    with pytest.raises(fg.errors.ArgumentError, match="scan"):
        lax.scan(body)


def test_dtypes_stay():
    ref = fg.new_ref(jnp.arange(3))
    ref[0] = 2.7
    ref[1] = True
    ref[2] = jnp.float32(3.2)
    assert ref.dtype == np.int64 and ref.tolist() == [2, 1, 3]
    assert fg.new_ref(1.0)[...].weak_type is False
    x = fg.new_ref(jnp.zeros(2, "bfloat16"))
    x[0] = 1.0
    x[1] = x[0] / 3
    assert x.dtype == fg.dtypes.bfloat16


def test_copies_and_pickles_are_their_own():
    ref = fg.new_ref(X)
    for other in (copy.deepcopy(ref), copy.copy(ref), pickle.loads(pickle.dumps(ref)), fg.new_ref(ref)):
        other[0] = 100.0
    assert ref[0] == 0.5


# ------------------------------------------------------------------------------------------------ what is refused
def test_a_frozen_ref_does_not_change():
    ref = fg.new_ref(X)
    ref[0] = 2.0
    out = fg.freeze(ref)
    with pytest.raises(ImmutableError, match="new_ref"):
        ref[0] = 3.0
    assert out[0] == ref[0] == 2


@pytest.mark.parametrize(
    "transform",
    [
        lambda f: fg.jit(f)(1.0),
        lambda f: fg.grad(f)(1.0),
        lambda f: fg.vmap(f)(jnp.ones(2)),
        lambda f: fg.jit(lambda x: lax.fori_loop(0, 3, lambda i, x: f(x), x))(1.0),
        lambda f: lax.scan(lambda c, x: (fg.grad(f)(c), None), 1.0, None, length=2),
        lambda f: lax.scan(lambda c, x: (fg.vmap(f)(c), None), jnp.ones(2), None, length=2),
        lambda f: lax.while_loop(lambda x: f(x) < 3, lambda x: x + 1, 1.0),
    ],
)
def test_only_the_function_that_made_it_writes(transform):
    ref = fg.new_ref(X)

    def f(x):
        ref[0] = x
        return x

    with pytest.raises(ImmutableError, match=r"new_ref\(array\) inside") as info:
        transform(f)
    assert "made at" in info.value.what and info.value.where.function == "f"
    assert ref[0] == 0.5


def test_a_ref_does_not_outlive_its_function():
    kept = []

    @fg.jit
    def f(x):
        kept.append(fg.new_ref(x))
        return x

    f(1.0)
    for use in (lambda r: r[...], lambda r: r + 1, lambda r: jnp.sin(r), lambda r: r[0], lambda r: r.sum()):
        with pytest.raises(LeakedTracerError, match="made at"):
            use(kept[0])
    with pytest.raises(LeakedTracerError):
        kept[0][0] = 1.0


def test_what_else_is_refused_in_words():
    for transform in (fg.jit, lambda f: fg.vmap(f, axis_size=2, in_axes=None)):
        with pytest.raises(DTypeError, match=r"ref\[\.\.\.\]"):
            transform(lambda x: {"a": fg.new_ref(x)})(1.0)
    with pytest.raises(UnhashableError):
        hash(fg.new_ref(1.0))
    with pytest.raises(IndexingError, match="broadcast"):
        fg.new_ref(X)[:2] = np.ones(3)
    with pytest.raises(ImmutableError, match=r"at\[index\][\s\S]*new_ref"):
        jnp.array(X)[0] = 1.0
    with pytest.raises(AttributeError, match="flops"):
        fg.new_ref(X).flops()


def test_writes_of_eager_code_do_not_copy():
    ref = fg.new_ref(jnp.zeros(1000))
    ref[0] = 1.0
    address = ref._value.unsafe_buffer_pointer()
    for k in range(10):
        ref[k] = float(ref[k]) + k
    assert ref._value.unsafe_buffer_pointer() == address
    assert ref[:4].tolist() == [1, 1, 2, 3]

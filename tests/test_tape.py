"""Gradients outside every other transform, which are taken on a tape: the same as those of `vjp`, which linearizes."""

import numpy as np
import pytest

import funcgrad as fg
import funcgrad.numpy as jnp
from funcgrad import dtypes
from funcgrad.ir.primitive import PRIMITIVES
from funcgrad.testing import matrix
from funcgrad.trace.core import type_of
from funcgrad.transforms import tape

PLAIN = [p for p in PRIMITIVES.values() if p.collective is None and p.jvp is not None]


def moving_cases(primitive):
    found = [c for c in matrix.cases(primitive) if c.moving]
    step = max(len(found) // 4, 1)
    return found[::step][:4]


@pytest.mark.parametrize("primitive", PLAIN, ids=[p.name for p in PLAIN])
def test_gradients_are_those_of_vjp(primitive):
    for case in moving_cases(primitive):
        positions = tuple(i for i in case.moving if dtypes.is_float(case.operands[i].dtype))

        if not positions:
            continue
        moving = [case.operands[i] for i in positions]

        def total(*values, case=case, positions=positions):
            operands = list(case.operands)
            for i, value in zip(positions, values):
                operands[i] = value
            outs = [x for x in case.call(*operands) if dtypes.is_inexact(type_of(x).dtype)]
            parts = [
                (jnp.real(x) * 0.7 + jnp.imag(x) * 0.3 if jnp.iscomplexobj(x) else x * 0.7) for x in outs
            ]
            return sum([p.astype(jnp.float64).sum() for p in parts], jnp.float64(0))

        value, pull = fg.vjp(total, *moving)
        wanted = pull(jnp.ones((), value.dtype))
        have, gradients = fg.value_and_grad(total, argnums=tuple(range(len(moving))))(*moving)
        np.testing.assert_array_equal(have, value)
        matrix.close(gradients, wanted, f"gradients of {case}")
        assert [type_of(g) for g in gradients] == [type_of(w) for w in wanted]


X = jnp.array([0.3, -1.2, 2.0])


def check(f, *args):
    """The gradient on the tape against the one that jit compiles."""
    have, wanted = fg.grad(f)(*args), fg.jit(fg.grad(f))(*args)
    for a, b in zip(fg.tree.leaves(have), fg.tree.leaves(wanted), strict=True):
        assert type_of(a) == type_of(b)
        np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-6)
    return have


def test_operands_used_twice_and_not_at_all():
    check(lambda x: (x * x + x * x.sum()).sum(), X)
    check(lambda p: (p["a"] * 2).sum(), {"a": X, "b": X})


def test_python_control_flow_on_values():
    def f(x):
        total = 0.0
        for v in x:
            total = total + (v * v if v > 0 else -3 * v)
        return total

    np.testing.assert_allclose(fg.grad(f)(X), [0.6, -3, 4], rtol=1e-6)


def test_custom_rules_are_asked():
    @fg.custom_vjp
    def f(x):
        return x * 2

    f.defvjp(lambda x: (f(x), x), lambda x, g: (g * 10 * x,))
    np.testing.assert_allclose(fg.grad(lambda x: f(x).sum())(X), 10 * np.asarray(X))

    @fg.custom_jvp
    def g(x, n):
        return x * n

    g.defjvp(lambda primals, tangents: (g(*primals), 7 * tangents[0]))
    np.testing.assert_allclose(fg.grad(lambda x: g(x, 3).sum())(X), [7, 7, 7])


def test_functions_with_subgraphs():
    check(lambda x: fg.jit(jnp.sin)(x).sum(), X)
    check(lambda x: fg.checkpoint(lambda y: jnp.sin(jnp.sin(y)))(x).sum(), X)
    check(lambda x: fg.lax.scan(lambda c, y: (c * y, c + y), 1.0, x)[1].sum(), X)
    check(lambda x: fg.lax.cond(x[0] > 0, jnp.sin, jnp.cos, x).sum(), X)
    check(lambda x: fg.vmap(lambda a: a * a)(x).sum(), X)
    check(lambda x: fg.grad(lambda y: (y**3).sum())(x).sum(), X)


def test_operations_with_several_results_of_which_one_is_used():
    m = jnp.array([[2.0, 0.3], [0.3, 1.0]])
    check(lambda m: jnp.linalg.eigh(m)[0][0], m)
    check(lambda m: jnp.linalg.qr(m)[1].sum(), m)


def test_arrays_of_numpy_may_change_after_they_were_read():
    mutable = np.array([1.0, 2.0, 3.0], np.float32)

    def f(x):
        y = x * mutable
        mutable[:] = 100
        return y.sum()

    np.testing.assert_array_equal(fg.grad(f)(X), [1, 2, 3])


def test_auxiliary_output_has_no_tracers():
    gradient, aux = fg.grad(lambda x: ((x * x).sum(), {"y": x * 2, "n": 3}), has_aux=True)(X)
    np.testing.assert_allclose(aux["y"], np.asarray(X) * 2)
    assert isinstance(aux["y"], fg.Array) and aux["n"] == 3
    np.testing.assert_allclose(gradient, 2 * np.asarray(X))


def test_integers_and_constants_have_zero_gradients():
    both = fg.grad(lambda x, n: (x * n).sum(), argnums=(0, 1), allow_int=True)(X, jnp.array([1, 2, 3]))
    np.testing.assert_array_equal(both[0], [1, 2, 3])
    assert both[1].dtype == fg.float0
    np.testing.assert_array_equal(fg.grad(lambda x: 3.0)(X), [0, 0, 0])
    np.testing.assert_array_equal(fg.grad(lambda x: jnp.floor(x).sum())(X), [0, 0, 0])


def test_a_value_that_leaves_the_function_is_an_error():
    kept = []
    fg.grad(lambda x: kept.append(x) or x.sum())(X)
    with pytest.raises(fg.errors.LeakedTracerError):
        kept[0] + 1


@pytest.mark.parametrize("f", [fg.nn.relu, jnp.square, lambda x: x * jnp.float32(2) + x, lambda x: 3.0])
def test_gradients_in_python_numbers_are_weak_where_those_of_vjp_are(f):
    wanted = fg.vjp(f, 0.5)[1](1.0)[0]
    have = fg.grad(f)(0.5)
    assert type_of(have) == type_of(wanted)
    np.testing.assert_array_equal(have, wanted)


def test_an_operation_is_looked_at_once():
    fg.grad(lambda x: jnp.tanh(x).sum())(X)
    before = tape._step.cache_info()
    fg.grad(lambda x: jnp.tanh(x).sum())(X + 1)
    after = tape._step.cache_info()
    assert after.misses == before.misses and after.hits > before.hits

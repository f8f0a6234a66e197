"""`debug.nans` and `debug.infs`: the first operation that made a NaN is found, wherever it is."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from frames import shown

import funcgrad as fg
import funcgrad.numpy as jnp
from funcgrad import lax
from funcgrad.errors import NonFiniteError

F32 = np.float32


def logarithm(x):
    y = x - 1
    return jnp.log(y) * 2  # the culprit


def step(c, i):
    c = c - 1
    return jnp.sqrt(c), i


def root(carry):
    i, x = carry
    return i + 1, jnp.sqrt(x * (3 - i))


def solver(matvec, b):
    return jnp.log(b) / 2


def masked(x):
    innocent = jnp.where(x < 0, jnp.sqrt(x), 0.0)
    guilty = jnp.log(x)
    return jnp.where(x > 0, innocent, 1.0) + guilty


def safe(x):
    return jnp.where(x > 0, jnp.sqrt(x), 0.0).sum()


def with_rule():
    f = fg.custom_jvp(logarithm)
    f.defjvp(lambda primals, tangents: (f(*primals), tangents[0]))
    return f


X = np.array([1.0, 0.0, -1.0], F32)
FINDS = {
    "eager": (logarithm, F32(0), ["log gave NaN", "y) * 2  # the culprit", "operand 0 f32[] = -1."]),
    "jit": (fg.jit(logarithm), F32(0), ["log gave NaN", "# the culprit", "in jit of logarithm"]),
    "jit of an array": (fg.jit(logarithm), X, ["2 of 3 elements, the first at [1]", "there -1.0"]),
    "vmap": (fg.vmap(fg.jit(logarithm)), X, ["log gave NaN", "operand 0 f32[3]"]),
    "jvp": (lambda x: fg.jvp(fg.jit(logarithm), (x,), (x,)), X, ["log gave NaN"]),
    "scan": (
        fg.jit(lambda x: lax.scan(step, x, np.arange(5))[0]),
        F32(9),
        ["sqrt gave NaN", "in iteration 3 of scan", "-0.4065"],
    ),
    "scan, eager": (lambda x: lax.scan(step, x, np.arange(5))[0], F32(9), ["in iteration 3 of scan"]),
    "while": (
        fg.jit(
            lambda x: lax.while_loop(lambda c: c[0] < 4, lambda c: (c[0] + 1, jnp.sqrt(c[1] - 1)), (0, x))
        ),
        F32(9),
        ["sqrt gave NaN", "in iteration 3 of while"],
    ),
    "cond": (
        fg.jit(lambda x: lax.cond(x > 0, lambda x: jnp.log(-x), lambda x: x, x)),
        F32(1),
        ["log gave NaN", "in branch 1 of cond"],
    ),
    "scan in scan": (
        fg.jit(lambda x: lax.scan(lambda c, i: lax.scan(step, c, np.arange(2)), x, np.arange(3))[0]),
        F32(9),
        ["in iteration 1 of scan", "sqrt gave NaN"],
    ),
    "grad": (fg.grad(lambda x: jnp.sqrt(x * 0.0)), F32(1), ["mul gave NaN", "backward pass", "= inf"]),
    "jit of grad": (fg.jit(fg.grad(lambda x: jnp.sqrt(x * 0.0))), F32(1), ["mul gave NaN", "backward pass"]),
    "grad of where": (
        fg.jit(fg.grad(safe)),
        X,
        ["mul gave NaN", "backward", "the first at [1]", "there inf"],
    ),
    "grad of scan": (
        fg.jit(fg.grad(lambda x: lax.scan(lambda c, i: (jnp.sqrt(c * i), i), x, np.array([2, 0], F32))[0])),
        F32(1),
        ["in iteration 1 of scan", "backward pass"],
    ),
    "grad of a scan whose forward pass made it": (
        fg.jit(
            fg.grad(lambda w: lax.scan(lambda h, x: (jnp.tanh(w * h + x), h), 0.0, np.ones(5, F32))[1].sum())
        ),
        F32(np.inf),
        ["mul gave NaN", "in iteration 0 of scan", "operand 0 f32[] = inf"],
    ),
    "grad of while": (
        fg.jit(fg.grad(lambda x: lax.while_loop(lambda c: c[0] < 4, root, (0, x))[1])),
        F32(2),
        [
            "mul gave NaN",
            "backward pass",
            "in iteration 3, backward, of while_transpose",
            "jnp.sqrt(x * (3 - i))",
        ],
    ),
    "a linear solver": (
        fg.jit(lambda b: lax.custom_linear_solve(lambda x: 2 * x, b, solver, symmetric=True)),
        F32(-1),
        ["log gave NaN", "in the solver of custom_linear_solve", "log(b) / 2"],
    ),
    "a matrix product": (
        fg.jit(lambda x: x @ jnp.zeros(9)),
        np.full((9, 9), np.inf, F32),
        ["dot_general gave NaN", "operand 0 f32[9,9], nothing finite, 81 times infinity"],
    ),
    "a masked NaN is innocent": (fg.jit(masked), np.array([-1.0, -2.0], F32), ["log gave NaN", "guilty ="]),
    "a NaN that came in": (fg.jit(lambda x: x + 1), np.array([np.nan], F32), ["add passed on NaN"]),
    "custom rule": (
        fg.jit(with_rule()),
        F32(0),
        ["log gave NaN", "custom_jvp_call of logarithm"],
    ),
    "half": (fg.jit(logarithm), X.astype(np.float16), ["log gave NaN", "f16[3]"]),
    "complex": (fg.jit(lambda x: (x - x) / (x - x)), np.complex64([1 + 1j]), ["div gave NaN"]),
}


@pytest.mark.parametrize("name", FINDS)
def test_the_culprit_is_found(name):
    function, x, words = FINDS[name]
    function(x)
    with fg.debug.nans(), pytest.raises(NonFiniteError) as raised:
        function(x)
    text = str(raised.value)
    for word in words:
        assert word in text, text
    assert "test_debug_nans.py" in text
    assert isinstance(raised.value, FloatingPointError)


def test_masked_results_pass():
    with fg.debug.nans():
        assert float(fg.jit(safe)(X)) == 1.0


def test_infinities_pass_unless_asked_for():
    f = fg.jit(lambda x: 1 / x)
    with fg.debug.nans():
        assert np.isinf(f(F32(0)))
    with fg.debug.infs(), pytest.raises(NonFiniteError, match="div gave infinity"):
        f(F32(0))
    with fg.debug.infs():
        assert np.isnan(fg.jit(jnp.log)(F32(-1)))
    with fg.debug.infs(), fg.debug.nans(), pytest.raises(NonFiniteError, match="log gave NaN"):
        fg.jit(jnp.log)(F32(-1))


def test_overflowing_sums_are_no_nan():
    big = np.full(100, 3e38, F32)
    with fg.debug.nans(), fg.debug.infs():
        fg.jit(lambda x: x + 0)(big)
        fg.jit(lambda x: -x)(np.concatenate([big, -big]))


@pytest.mark.parametrize("size", [5000, 100_000])
@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64", "complex64"])
def test_one_element_of_a_large_array_is_found(dtype, size):
    x = np.full(size, 1 if dtype == "complex64" else np.inf, jnp.dtype(dtype))
    x[1::2] = -1
    f = fg.jit(lambda x: x + 1)
    with fg.debug.nans():
        f(x)
        x[3210] = np.nan
        with pytest.raises(NonFiniteError, match=r"passed on NaN[\s\S]*the first at \[3210\]"):
            f(x)


@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan], ids=str)
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "complex128"])
def test_infinities_and_nans_of_many_numbers_are_told_apart(dtype, value):
    x = np.full((400, 300), 1.5, dtype)
    x.view(x.real.dtype)[234, 156] = value
    f = fg.jit(lambda x: x + 1)
    for asked, found in ((fg.debug.nans, np.isnan(value)), (fg.debug.infs, np.isinf(value))):
        with asked():
            f(np.full_like(x, 1e4))
            if found:
                with pytest.raises(NonFiniteError, match="the first at"):
                    f(x)
            else:
                f(x)
    with fg.debug.nans(), fg.debug.infs(), pytest.raises(NonFiniteError, match="the first at"):
        f(x)


def test_the_setting_does_it_for_the_whole_program():
    fg.config.update("jax_debug_nans", True)
    try:
        with pytest.raises(NonFiniteError):
            logarithm(F32(0))
        with fg.debug.nans(False):
            logarithm(F32(0))
        found = []

        def work():
            try:
                logarithm(F32(0))
            except NonFiniteError as error:
                found.append(error)

        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        assert len(found) == 1
    finally:
        fg.config.update("debug_nans", False)
    logarithm(F32(0))


def test_looking_for_nans_traces_nothing_anew():
    traces = []
    f = fg.jit(lambda x: traces.append(1) or x * 2)
    f(F32(1))
    with fg.debug.nans():
        f(F32(1))
    assert traces == [1]


def test_prints_are_not_repeated_by_the_search(capsys):
    def f(x):
        fg.debug.print("here")
        return jnp.log(x)

    with fg.debug.nans(), pytest.raises(NonFiniteError):
        fg.jit(f)(F32(-1))
    assert capsys.readouterr().out.splitlines() == ["here"]


def test_disable_jit_stops_at_the_operation_itself():
    with fg.debug.nans(), fg.disable_jit(), pytest.raises(NonFiniteError, match="log gave NaN") as raised:
        fg.jit(logarithm)(F32(0))
    assert shown(raised.value)[-1].name == "logarithm"

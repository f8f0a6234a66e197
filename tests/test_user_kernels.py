"""Functions that users write for kernels: what they may contain, how they fuse, and what every transform makes of
them."""

from __future__ import annotations

import cmath
import math
import os
import subprocess
import sys

import numba
import numpy as np
import pytest

import funcgrad as fg
import funcgrad.numpy as jnp
from funcgrad.errors import ArgumentError, DTypeError, KernelError, NotDifferentiableError, ShapeError
from funcgrad.testing import check_grads

X = np.linspace(-3, 3, 11)
TABLE = np.array([1.0, 0.5, 0.25])
SCALE, PAIR = 3.5, (2.0, 3)


@numba.njit
def scaled(x):
    return x * SCALE


def extremes(x):
    return max(x, 0.0) + min(x, 2)


def loop(x):
    a, n = x, 0
    while a < 10 and n < 50:
        a = a * 1.5 + 1
        n += 1
    return n


def table(x):
    return TABLE[int(abs(x)) % 3] * x


def helpers(x):
    return scaled(x) + PAIR[0] * PAIR[1] + math.exp(-x)


def series(x):
    s = 0
    for k in range(5):
        if k == 3:
            continue
        s += x**k / (k + 1)
    return s


def library(x):
    return (
        round(x) + x // 1 + x % 1.5 + math.floor(x) - math.ceil(x) + math.gamma(abs(x) + 1) + math.hypot(x, 1)
    )


def truth(x):
    return not (x > 0 or x < -1)


def of_numpy(x):
    return np.sqrt(np.abs(x)) + np.maximum(x, 0.5) + np.pi + np.arctan2(x, 2.0)


def poles(x):
    return math.log(x) + math.sqrt(x) + 1 / x


def small_array(x):
    return (np.array([1.0, 2.0, 3.0]) * x).sum()


def inner(x):
    def square(t):
        return t * t

    return square(x) + 1


def logarithms(x):
    return math.log(abs(x) + 2, 10) + math.log(x * x + 1, 2.0) + math.trunc(x)


def integers(x):
    return (int(x * 64) ^ 5) & 0xFF | (int(abs(x)) << 2)


FUNCTIONS = (
    logarithms,
    integers,
    extremes,
    loop,
    table,
    helpers,
    series,
    library,
    truth,
    of_numpy,
    poles,
    small_array,
    inner,
)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda f: f.__name__)
def test_what_functions_may_be_made_of(function, dtype):
    f, x = fg.elementwise(function), jnp.asarray(X.astype(dtype))
    python, compiled = f(x), fg.jit(f)(x)
    assert python.dtype == compiled.dtype == dtype
    np.testing.assert_allclose(python, compiled, 1e-5 if dtype == "float32" else 1e-12)
    if function is not poles:
        want = [function(float(v)) for v in np.asarray(x)]
        np.testing.assert_allclose(compiled, want, 1e-4 if dtype == "float32" else 1e-12, atol=1e-4)


@pytest.mark.parametrize("dtype", ["complex64", "complex128"])
def test_complex_numbers(dtype):
    f = fg.elementwise(
        lambda z: cmath.exp(z) * z.conjugate() + abs(z) if z.real > 0 else z * 1j,
        derivative=lambda z: jnp.where(z.real > 0, 1, 1j),
    )
    z = np.array([1 + 2j, -1 + 0.5j, 0.1 - 3j]).astype(dtype)
    want = np.where(z.real > 0, np.exp(z) * z.conj() + np.abs(z), z * 1j)
    for g in (f, fg.jit(f)):
        assert g(z).dtype == dtype
        np.testing.assert_allclose(g(z), want, 1e-5)
    np.testing.assert_allclose(fg.jvp(f, (z[1:2],), (z[:1],))[1], 1j * z[:1])


def test_numbers_follow_ieee():
    f = fg.elementwise(poles)
    for g in (f, fg.jit(f)):
        np.testing.assert_array_equal(np.isnan(g(X)), X <= 0)
        assert math.isinf(g(np.inf))


def test_many_elements_are_evaluated_by_a_kernel_and_agree_with_python():
    f = fg.elementwise(helpers)
    x = np.linspace(-3, 3, 5000)
    np.testing.assert_allclose(f(x), np.concatenate([f(part) for part in np.split(x, 50)]), 1e-13)


def test_constants_take_the_precision_of_the_operands():
    f = fg.elementwise(lambda x: 2 * x / 3 + 0.1)
    text = "".join(s for s in sources(f, X.astype(np.float32)))
    assert "single=True" in text
    np.testing.assert_array_equal(
        fg.jit(f)(X.astype(np.float32)), fg.jit(lambda x: 2 * x / 3 + 0.1)(X.astype(np.float32))
    )


def sources(f, *args):
    from funcgrad.runtime.executable import executable_for

    return executable_for(fg.make_graph(f)(*args).graph).sources


def test_it_is_fused_with_what_is_around_it():
    f = fg.elementwise(helpers)
    (text,) = sources(lambda x: jnp.sum(jnp.sin(f(2 * x)) + 1), X)
    assert text.count("user.scalar") == 2  # the function and its helper
    assert "vm.sin" in text and "# def helpers(x):" in text


def test_one_kernel_serves_equal_functions():
    def make(c):
        return fg.elementwise(lambda x: x * c)

    first, second, third = (sources(make(c), X) for c in (2.0, 2.0, 3.0))
    assert first == second != third


def test_operands_broadcast_and_promote():
    f = fg.elementwise(lambda x, y: x - y)
    out = fg.jit(f)(np.ones((3, 1), np.float32), np.arange(2))
    assert out.shape == (3, 2) and out.dtype == np.float32
    np.testing.assert_array_equal(out, [[1, 0]] * 3)
    assert f(1, 2).dtype == np.float32 and f(jnp.ones(2), 1.0).dtype == np.float32
    assert f(np.ones(2), 1.0).dtype == np.float64
    with pytest.raises(ShapeError, match="broadcast"):
        f(np.ones(2), np.ones(3))


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_is_computed_in_float32(dtype):
    f = fg.elementwise(lambda x: (x * 1.001 - x) * 1000)
    x = jnp.asarray([1.0, 2.0]).astype(dtype)
    for g in (f, fg.jit(f)):
        assert g(x).dtype == dtype
        np.testing.assert_allclose(g(x).astype("float32"), [1, 2], 1e-2)


def test_a_dtype_of_the_result_keeps_integers():
    @fg.elementwise(dtype="int32")
    def collatz(n):
        steps = 0
        while n > 1:
            n = n // 2 if n % 2 == 0 else 3 * n + 1
            steps += 1
        return steps

    for f in (collatz, fg.jit(collatz), fg.vmap(collatz)):
        out = f(np.array([1, 6, 27]))
        assert out.dtype == np.int32
        np.testing.assert_array_equal(out, [0, 8, 111])
    odd = fg.elementwise(lambda n: n % 2 == 1, dtype=bool)
    np.testing.assert_array_equal(fg.jit(lambda n: jnp.where(odd(n), n, -n))(np.arange(4)), [0, 1, -2, 3])


def test_defaults_and_closures():
    shift = 0.5

    def f(x, y=2.0):
        return x * y + shift

    g = fg.elementwise(f)
    for h in (g, fg.jit(g)):
        np.testing.assert_allclose(h(X), 2 * X + 0.5)
        np.testing.assert_allclose(h(X, X), X * X + 0.5)
    assert g.__name__ == "f"
    two = np.float32(2)
    top = fg.elementwise(lambda x, y=math.inf, z=two: min(x * z, y))
    np.testing.assert_allclose(fg.jit(top)(X), 2 * X)
    with pytest.raises(ArgumentError, match="1 to 2 operands, got 3"):
        g(1.0, 2.0, 3.0)


# ------------------------------------------------------------------------------------------------- derivatives


def softplus(x):
    return x + math.log1p(math.exp(-x)) if x > 0 else math.log1p(math.exp(x))


def sigmoid(x):
    return 1 / (1 + math.exp(-x))


smooth_step = fg.elementwise(sigmoid, derivative=lambda x: smooth_step(x) * (1 - smooth_step(x)))
smooth_ramp = fg.elementwise(softplus, derivative=smooth_step)


@pytest.mark.parametrize("wrap", [lambda f: f, fg.jit, fg.checkpoint], ids=["plain", "jit", "checkpoint"])
def test_derivatives_of_every_order(wrap):
    s = 1 / (1 + np.exp(-X))
    first, second, third = s, s * (1 - s), s * (1 - s) * (1 - 2 * s)
    f = wrap(smooth_ramp)
    np.testing.assert_allclose(f(X), np.logaddexp(0, X), 1e-12)
    np.testing.assert_allclose(fg.vmap(fg.grad(f))(X), first, 1e-12)
    np.testing.assert_allclose(fg.jvp(f, (X,), (np.ones(11),))[1], first, 1e-12)
    np.testing.assert_allclose(fg.vmap(fg.grad(fg.grad(f)))(X), second, 1e-12)
    np.testing.assert_allclose(fg.vmap(fg.grad(fg.grad(fg.grad(f))))(X), third, 1e-10, atol=1e-14)
    np.testing.assert_allclose(fg.jit(fg.hessian(lambda x: jnp.sum(f(x))))(X), np.diag(second), 1e-12)
    check_grads(f, (X,), order=2)


def test_partial_derivatives_of_several_operands_with_none_for_zero():
    f = fg.elementwise(
        lambda x, y, k: x * y * y if k > 0 else x,
        derivative=lambda x, y, k: (jnp.where(k > 0, y * y, 1.0), 2 * x * y, None),
    )
    x, y = np.array([1.0, 2.0]), 3.0
    grads = fg.jit(fg.grad(lambda x, y: jnp.sum(f(x, y, 1.0)), (0, 1)))(x, y)
    np.testing.assert_allclose(grads[0], [9, 9])
    np.testing.assert_allclose(grads[1], 18)


def test_it_works_in_loops_and_under_vmap_of_some_operands():
    f = fg.elementwise(lambda x, a: x * (1 - x) * a)

    def orbit(a):
        return fg.lax.fori_loop(0, 10, lambda _, x: f(x, a), 0.2)

    a = np.linspace(1.0, 3.0, 5)
    want = np.full(5, 0.2)
    for _ in range(10):
        want = want * (1 - want) * a
    np.testing.assert_allclose(fg.jit(fg.vmap(orbit))(a), want, 1e-6)
    np.testing.assert_allclose(fg.vmap(f, (1, None))(np.ones((2, 3)), 2.0), np.zeros((3, 2)))


def test_without_a_derivative_the_error_says_what_to_write():
    f = fg.elementwise(lambda x, y: x * y)
    with pytest.raises(NotDifferentiableError, match=r"derivative=lambda x, y: .*\n?.*tuple of 2"):
        fg.grad(f)(1.0, 2.0)
    assert fg.grad(lambda x: x * f(fg.lax.stop_gradient(x), 2.0))(1.0) == 2.0


def test_what_a_function_raises_is_never_a_wrong_number():
    @fg.elementwise
    def root(x):
        if x < 0:
            raise ValueError("negative")
        return math.sqrt(x)

    once = fg.jit(root)
    looped = fg.jit(lambda x: fg.lax.fori_loop(0, 5, lambda i, c: root(c) - 1, x))
    uneven = fg.jit(fg.vmap(lambda x: fg.lax.while_loop(lambda c: c > 0.5, lambda c: root(c - 3), x)))
    x = np.linspace(-1, 1, 100_000)
    for call in (
        lambda: once(-1.0),
        lambda: once(x),
        lambda: root(x),
        lambda: looped(1.0),
        lambda: uneven(x * 4),
    ):
        with pytest.raises(KernelError, match="root raised an exception"):
            call()
    with pytest.raises(ValueError, match="negative"):
        root(-1.0)
    np.testing.assert_allclose(once(abs(x)), np.sqrt(abs(x)))  # it goes on working


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: fg.elementwise(3), KernelError, "Python function, got 3"),
        (lambda: fg.elementwise(math.sin), KernelError, "Python function"),
        (lambda: fg.elementwise(lambda *xs: 1.0), KernelError, r"\*args"),
        (lambda: fg.elementwise(lambda: 1.0), ArgumentError, "no argument"),
        (lambda: fg.elementwise(sigmoid, derivative=1.0), ArgumentError, "derivative"),
        (lambda: fg.elementwise(lambda x: None)(1.0), KernelError, "returned None where a number"),
        (lambda: fg.elementwise(sigmoid)(), ArgumentError, "without operands"),
        (lambda: fg.elementwise(sigmoid)("a"), DTypeError, "arrays and numbers"),
        (
            lambda: fg.jit(fg.elementwise(lambda x: os.getpid() * x))(1.0),
            KernelError,
            r"the module os \(os\)",
        ),
        (lambda: fg.jit(fg.elementwise(lambda x: jnp.sin(x)))(1.0), KernelError, "module funcgrad.numpy"),
        (lambda: fg.jit(fg.elementwise(lambda x: nothing(x)))(1.0), KernelError, "'nothing'.*not defined"),  # noqa: F821
        (lambda: fg.jit(fg.elementwise(recursive))(1.0), KernelError, "calls itself"),
        (lambda: fg.jit(fg.elementwise(lambda x: x.shape))(1.0), KernelError, "'shape'.*line 1"),
        (
            lambda: fg.grad(fg.elementwise(sigmoid, derivative=lambda x: (x, x)))(1.0),
            ArgumentError,
            "2 partial",
        ),
        (
            lambda: fg.grad(fg.elementwise(sigmoid, derivative=lambda x: jnp.ones(3)))(1.0),
            ShapeError,
            r"f32\[3\].*f32\[\]",
        ),
    ],
)
def test_wrong_functions_are_refused_in_words(make, error, words):
    with pytest.raises(error, match=words) as raised:
        make()
    assert raised.value.where.file == __file__


def recursive(x):
    return x if x < 1 else recursive(x - 1)


def test_a_kernel_on_disk_is_found_by_another_process(tmp_path):
    program = (
        "import math, funcgrad as fg, sys\n"
        "f = fg.elementwise(lambda x: math.gamma(x) + 1)\n"
        "assert abs(float(fg.jit(f)(4.0)) - 7.0) < 1e-5\n"
        "from funcgrad.runtime import cache\n"
        "print(cache.stats().compiled)\n"
    )
    environment = {**os.environ, "FUNCGRAD_CACHE_DIR": str(tmp_path)}
    runs = [
        subprocess.run(
            [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True
        )
        for _ in range(2)
    ]
    assert int(runs[0].stdout) > 0 and int(runs[1].stdout) == 0

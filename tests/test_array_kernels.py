"""fg.kernel: functions of arrays that users write, natively in compiled code, in loops, batches and derivatives."""

from __future__ import annotations

import math
import os
import subprocess
import sys

import numba
import numpy as np
import pytest

import funcgrad as fg
import funcgrad.numpy as jnp
from funcgrad.errors import ArgumentError, DTypeError, KernelError, NotDifferentiableError
from funcgrad.runtime.executable import executable_for
from funcgrad.testing import check_grads

X = np.array([[1.0, 3.0, 2.0], [5.0, 4.0, 6.0]])
WEIGHTS = np.array([0.25, 0.5, 0.25])


@fg.kernel(out_shape=lambda x: x)
def running_max(x, out):
    out[0] = x[0]
    for i in range(1, x.size):
        out[i] = max(out[i - 1], x[i])


@fg.kernel(out_shape=lambda x, scale: {"sum": fg.ShapeDtypeStruct((), x.dtype), "scaled": x})
def scaled_and_sum(x, scale, scaled, total):
    total[0] = 0
    for i in range(x.shape[0]):
        for j in range(x.shape[1]):
            scaled[i, j] = x[i, j] * scale
            total[0] += scaled[i, j]


def smooth_python(x, out):
    for i in range(x.size):
        out[i] = 0.0
        for k in range(3):
            j = min(max(i + k - 1, 0), x.size - 1)
            out[i] += WEIGHTS[k] * x[j]


def smooth_transposed(ct, out):
    out[:] = 0.0
    for i in range(ct.size):
        for k in range(3):
            out[min(max(i + k - 1, 0), ct.size - 1)] += WEIGHTS[k] * ct[i]


def smooth():
    f = fg.kernel(smooth_python, out_shape=lambda x: x)
    back = fg.kernel(smooth_transposed, out_shape=lambda x: x)
    f.defvjp(lambda x: (f(x), None), lambda _, ct: (back(ct),))
    back.defvjp(lambda x: (back(x), None), lambda _, ct: (f(ct),))
    return f


@pytest.mark.parametrize("wrap", [lambda f: f, fg.jit, fg.checkpoint], ids=["plain", "jit", "checkpoint"])
@pytest.mark.parametrize("dtype", ["float32", "float64", "int32", "complex128"])
def test_results_of_every_dtype(wrap, dtype):
    x = X.astype(dtype)
    out = wrap(scaled_and_sum)(x, np.asarray(2, dtype))
    assert out["scaled"].dtype == out["sum"].dtype == dtype and out["sum"].shape == ()
    np.testing.assert_array_equal(out["scaled"], 2 * x)
    np.testing.assert_array_equal(out["sum"], 2 * x.sum())
    np.testing.assert_array_equal(wrap(lambda x: scaled_and_sum(x.T, 2)["scaled"])(x), 2 * x.T)


def test_it_runs_natively_between_other_kernels():
    f = lambda x: jnp.sum(running_max(2 * x) + 1)  # noqa: E731
    executable = executable_for(fg.make_graph(f)(X[0]).graph)
    assert not executable._calls and len(executable.sources) == 3
    np.testing.assert_allclose(fg.jit(f)(X[0]), 2 * (1 + 3 + 3) + 3)
    lowered = fg.jit(f).lower(X[0])
    program, first, own = str(lowered).partition("== memory")[0], *str(lowered).split("Numba\n")[1::2]
    assert "= the user's kernel running_max (" in program
    assert "user.whole" not in first and "user.whole" in own
    assert (
        "kernel of yours" in fg.debug.explain_fusion(f, X[0]) if hasattr(fg.debug, "explain_fusion") else True
    )


def test_one_kernel_serves_every_size():
    texts = [executable_for(fg.make_graph(running_max)(np.ones(n)).graph).sources for n in (3, 7)]
    assert texts[0] == texts[1]


def test_literals_booleans_and_numbers():
    @fg.kernel(out_shape=lambda mask, k, flag: fg.ShapeDtypeStruct(mask.shape, bool))
    def marked(mask, k, flag, out):
        for i in range(mask.size):
            out[i] = mask[i] != flag and i != k

    mask = np.array([True, False, True, False])
    want = [False, False, False, True]
    for f in (marked, fg.jit(marked)):
        np.testing.assert_array_equal(f(mask, 1, True), want)
    np.testing.assert_array_equal(fg.jit(lambda m: marked(m, 1, True))(mask), want)
    np.testing.assert_array_equal(
        fg.vmap(marked, (None, 0, None))(mask, np.array([1, 3]), True)[1], [0, 1, 0, 0]
    )


@pytest.mark.parametrize("wrap", [lambda f: f, fg.jit], ids=["plain", "jit"])
def test_batches(wrap):
    want = np.maximum.accumulate(X, 1)
    np.testing.assert_array_equal(wrap(fg.vmap(running_max))(X), want)
    np.testing.assert_array_equal(wrap(fg.vmap(running_max, 1, 1))(X.T), want.T)
    cube = np.random.default_rng(0).normal(size=(4, 2, 3))
    np.testing.assert_array_equal(wrap(fg.vmap(fg.vmap(running_max)))(cube), np.maximum.accumulate(cube, 2))
    f = fg.vmap(fg.vmap(scaled_and_sum, (None, 0)), (0, None))
    out = wrap(f)(cube, np.arange(5.0))
    np.testing.assert_allclose(out["scaled"], cube[:, None] * np.arange(5.0)[:, None, None])
    np.testing.assert_allclose(out["sum"], cube.sum((1, 2))[:, None] * np.arange(5.0))
    assert wrap(fg.vmap(running_max))(np.ones((0, 3))).shape == (0, 3)


@pytest.mark.parametrize("method", ["expand_dims", "broadcast_all"])
def test_a_kernel_that_takes_whole_batches(method):
    @fg.kernel(out_shape=lambda x, y: x, vmap_method=method)
    def weighted(x, y, out):
        n = x.shape[-1]
        a, b, c = x.reshape(-1, n), y.reshape(-1, n), out.reshape(-1, n)
        for i in range(a.shape[0]):
            for j in range(n):
                c[i, j] = a[i, j] * b[i % b.shape[0], j]

    for f in (fg.vmap(weighted, (0, None)), fg.jit(fg.vmap(weighted, (0, None)))):
        np.testing.assert_array_equal(f(X, X[1]), X * X[1])
    graph = str(fg.make_graph(fg.vmap(weighted, (0, None)))(X, X[1]))
    assert f"f64[{1 if method == 'expand_dims' else 2},3]" in graph


def test_a_loop_of_many_small_calls_is_one_native_program():
    f = smooth()

    def many(x):
        return fg.lax.fori_loop(0, 100, lambda _, c: f(c), x)

    x = np.random.default_rng(1).normal(size=8)
    matrix = np.zeros((8, 8))
    for k in range(8):
        smooth_python(np.eye(8)[k], matrix[:, k])
    power = np.linalg.matrix_power(matrix, 100)
    np.testing.assert_allclose(fg.jit(many)(x), power @ x)
    np.testing.assert_allclose(fg.jit(fg.jacrev(many))(x), power, atol=1e-12)
    np.testing.assert_allclose(fg.jit(fg.vmap(many))(np.stack([x, x]))[1], power @ x)


def test_derivatives_by_a_reverse_rule():
    f = smooth()
    x = X[1]
    matrix = np.array([[0.75, 0.25, 0], [0.25, 0.5, 0.25], [0, 0.25, 0.75]])
    for wrap in (lambda g: g, fg.jit):
        np.testing.assert_allclose(wrap(fg.jacrev(f))(x), matrix)
        np.testing.assert_allclose(wrap(fg.jacfwd(f))(x), matrix)
        np.testing.assert_allclose(wrap(fg.grad(lambda x: jnp.sum(f(x) ** 2)))(x), 2 * matrix.T @ matrix @ x)
        hessian = wrap(fg.hessian(lambda x: jnp.sum(f(x) ** 2)))(x)
        np.testing.assert_allclose(hessian, 2 * matrix.T @ matrix)
        rows = wrap(fg.vmap(fg.grad(lambda x: jnp.sum(f(x) ** 2))))(X)
        np.testing.assert_allclose(rows[1], 2 * matrix.T @ matrix @ x)
    check_grads(f, (x,), order=2)


def test_derivatives_by_a_forward_rule():
    @fg.kernel(out_shape=lambda x: x)
    def cube(x, out):
        for i in range(x.size):
            out[i] = x[i] ** 3

    @cube.defjvp
    def rule(primals, tangents):
        (x,), (t,) = primals, tangents
        return cube(x), 3 * x**2 * t

    np.testing.assert_allclose(fg.grad(lambda x: jnp.sum(cube(x)))(X[0]), 3 * X[0] ** 2)
    np.testing.assert_allclose(fg.vmap(fg.grad(lambda x: cube(x[None])[0]))(X[0]), 3 * X[0] ** 2)
    check_grads(cube, (X[0],), order=2)


def test_functions_compiled_by_the_user_and_helpers():
    @numba.njit
    def helper(x):
        return math.sqrt(x) + WEIGHTS[1]

    @fg.kernel(out_shape=lambda x: x)
    @numba.njit(fastmath=True)
    def f(x, out):
        work = np.empty_like(x)
        for i in range(x.size):
            work[i] = helper(x[i])
        out[:] = np.sort(work)[::-1]

    assert "fastmath=True" in executable_for(fg.make_graph(f)(X[0]).graph).sources[0]
    for g in (f, fg.jit(f)):
        np.testing.assert_allclose(g(X[0]), np.sort(np.sqrt(X[0]) + 0.5)[::-1])


def test_an_exception_outside_jit_is_the_kernels_own_and_inside_names_the_kernel():
    @fg.kernel(out_shape=lambda x: x)
    def picky(x, out):
        for i in range(x.size):
            if x[i] < 0:
                raise ValueError("negative")
            out[i] = math.sqrt(x[i])

    with pytest.raises(ValueError, match="negative"):
        picky(-X[0])
    with pytest.raises(KernelError, match="the kernel picky raised an exception"):
        fg.jit(picky)(-X[0])
    with pytest.raises(ValueError, match="negative"), fg.disable_jit():
        fg.jit(picky)(-X[0])
    np.testing.assert_allclose(fg.jit(picky)(X[0]), np.sqrt(X[0]))  # the next call is a new one


def wrong(x, out):
    out[0] = x.nothing


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: fg.kernel(3, out_shape=None), KernelError, "Python function, got 3"),
        (lambda: fg.kernel(wrong, out_shape=3)(X), ArgumentError, "out_shape says the shape and dtype"),
        (
            lambda: fg.kernel(wrong, out_shape=lambda x: x, vmap_method="all"),
            ArgumentError,
            "vmap_method is one of",
        ),
        (
            lambda: fg.kernel(wrong, out_shape=lambda x: (x, x))(X),
            ArgumentError,
            "2 arguments.*1 operands and 2",
        ),
        (
            lambda: fg.kernel(wrong, out_shape=lambda x: x)(X),
            KernelError,
            "function wrong of yours.*nothing.*line 2",
        ),
        (lambda: running_max("a"), DTypeError, "arrays and numbers"),
        (lambda: running_max(jnp.ones(3, "float16")), DTypeError, "16-bit"),
        (
            lambda: fg.grad(lambda x: jnp.sum(running_max(x)))(X[0]),
            NotDifferentiableError,
            "running_max.defjvp",
        ),
    ],
)
def test_wrong_kernels_are_refused_in_words(make, error, words):
    with pytest.raises(error, match=words):
        make()


def test_a_kernel_that_allocates_is_found_on_disk_by_another_process(tmp_path):
    program = (
        "import numpy as np, funcgrad as fg\n"
        "@fg.kernel(out_shape=lambda x: x)\n"
        "def f(x, out):\n"
        "    out[:] = np.sort(x + np.ones(x.size))\n"
        "assert list(fg.jit(f)(np.array([3.0, 1.0]))) == [2.0, 4.0]\n"
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

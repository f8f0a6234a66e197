"""Kernels for small matrices: Cholesky, LU, triangular and general systems, against NumPy."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import funcgrad as fg
import funcgrad.numpy as jnp
from funcgrad import lax
from funcgrad.lower.lowered import ExternStep, RoutineStep, walk_steps
from funcgrad.testing import check_grads
from funcgrad.trace import ops

RNG = np.random.default_rng(0)
CLOSE = {"float32": {"rtol": 2e-4, "atol": 2e-5}, "float64": {"rtol": 1e-10, "atol": 1e-12}}
SHAPES = [(1, 1), (2, 2), (3, 4, 4), (2, 3, 7, 7), (17, 17), (2, 63, 63)]


def well(shape, dtype="float64"):
    return (RNG.standard_normal(shape) + 2 * shape[-1] * np.eye(*shape[-2:])).astype(dtype)


def spd(shape, dtype="float64"):
    a = RNG.standard_normal(shape)
    return (a @ np.swapaxes(a, -1, -2) + shape[-1] * np.eye(shape[-1])).astype(dtype)


def steps(f, *args):
    return {type(s) for s in walk_steps(fg.jit(f).lower(*args).executable.placement.steps)}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", SHAPES)
def test_cholesky_factors(shape, dtype):
    a = spd(shape, dtype)
    a = a + 5 * np.triu(np.ones(shape, dtype), 1)  # the lower triangle alone is read
    found = fg.jit(lambda a: ops.apply("cholesky", a))(a)
    assert found.dtype == dtype
    np.testing.assert_allclose(found, np.linalg.cholesky(a), **CLOSE[dtype])
    np.testing.assert_array_equal(found, np.tril(found))


def test_no_factor_is_nan_for_that_matrix_alone():
    a = spd((4, 3, 3))
    a[1] = -a[1]
    a[2, 1, 1] = np.nan
    found = np.asarray(fg.jit(jnp.linalg.cholesky)(a))
    np.testing.assert_allclose(found[[0, 3]], np.linalg.cholesky(a[[0, 3]]))
    lower = np.tril_indices(3)
    assert np.isnan(found[1][lower]).all() and np.isnan(found[2][lower]).all()
    np.testing.assert_array_equal(np.triu(found, 1), 0)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", [*SHAPES, (5, 3), (2, 3, 5), (1, 4), (6, 1)])
def test_lu_factors(shape, dtype):
    a = RNG.standard_normal(shape).astype(dtype)
    factors, pivots, order = fg.jit(lambda a: lax.linalg.lu(a))(a)
    expected = lax.linalg.lu(a)
    np.testing.assert_allclose(factors, expected[0], rtol=1e-3 if dtype == "float32" else 1e-9, atol=1e-4)
    np.testing.assert_array_equal(pivots, expected[1])
    np.testing.assert_array_equal(order, expected[2])
    size = min(shape[-2:])
    lower = np.tril(factors[..., :size], -1) + np.eye(shape[-2], size)
    upper = np.triu(factors[..., :size, :])
    permuted = np.take_along_axis(a, np.asarray(order)[..., None].astype(np.int64), axis=-2)
    np.testing.assert_allclose(lower @ upper, permuted, **CLOSE[dtype])


def test_lu_of_a_singular_matrix():
    a = np.zeros((3, 3))
    a[0, 1] = 1.0
    for found, expected in zip(fg.jit(lax.linalg.lu)(a), lax.linalg.lu(a)):
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("columns", [1, 2, 5])
@pytest.mark.parametrize("shape", SHAPES)
def test_systems(shape, columns, dtype):
    a, b = well(shape, dtype)[..., ::-1], RNG.standard_normal((*shape[:-1], columns)).astype(dtype)
    found = fg.jit(jnp.linalg.solve)(a, b)
    assert found.dtype == dtype
    np.testing.assert_allclose(found, np.linalg.solve(a, b), **CLOSE[dtype])


def test_a_singular_system_has_no_solution_and_leaves_the_others_theirs():
    a, b = well((3, 2, 2)), RNG.standard_normal((3, 2, 3))
    a[1] = 0
    found = np.asarray(fg.jit(jnp.linalg.solve)(a, b))
    assert np.isnan(found[1]).all()
    np.testing.assert_allclose(found[[0, 2]], np.linalg.solve(a[[0, 2]], b[[0, 2]]))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("flags", list(itertools.product([False, True], repeat=4)), ids=str)
@pytest.mark.parametrize(
    ("n", "others", "lead"), [(1, 1, ()), (4, 1, (3,)), (5, 3, ()), (3, 4, (2, 2)), (40, 9, ())]
)
def test_triangular_systems(n, others, lead, flags, dtype):
    left_side, lower, transpose_a, unit_diagonal = flags
    a = well((*lead, n, n), dtype)
    if unit_diagonal:
        a /= 2 * n * np.ones((), dtype)
    b = RNG.standard_normal((*lead, n, others) if left_side else (*lead, others, n)).astype(dtype)
    params = {
        "left_side": left_side,
        "lower": lower,
        "transpose_a": transpose_a,
        "unit_diagonal": unit_diagonal,
    }
    found = fg.jit(lambda a, b: lax.linalg.triangular_solve(a, b, **params))(a, b)
    triangle = np.tril(a) if lower else np.triu(a)
    if unit_diagonal:
        triangle = triangle - triangle * np.eye(n) + np.eye(n)
    op = np.swapaxes(triangle, -1, -2) if transpose_a else triangle
    product = op @ found if left_side else found @ op
    assert found.dtype == dtype
    np.testing.assert_allclose(product, b, **CLOSE[dtype])


@pytest.mark.parametrize(
    ("make", "step"),
    [
        (lambda: well((63, 63)), RoutineStep),
        (lambda: well((64, 64)), ExternStep),
        (lambda: well((3, 3)) + 0j, ExternStep),
    ],
)
def test_small_matrices_of_real_numbers_have_kernels(make, step):
    a = make()
    for f in (jnp.linalg.cholesky, jnp.linalg.slogdet, lambda a: jnp.linalg.solve(a, a), jnp.linalg.inv):
        assert steps(f, a) & {RoutineStep, ExternStep} == {step}


def test_a_filter_of_small_matrices_stays_in_native_code():
    def run(m, p, ys):
        def step(carry, y):
            m, p = carry
            gain = jnp.linalg.solve(p + jnp.eye(2), p)
            m = m + gain @ (y - m)
            root = jnp.linalg.cholesky(p)
            p = p @ jnp.linalg.inv(p + jnp.eye(2)) + 0.1 * jnp.eye(2)
            return (m, p), fg.scipy.linalg.solve_triangular(root, m, lower=True)

        return lax.scan(step, (m, p), ys)

    args = np.zeros(2), spd((2, 2)), RNG.standard_normal((9, 2))
    assert ExternStep not in steps(run, *args)
    with fg.config.using(disable_jit=True):
        expected = fg.jit(run)(*args)
    for found, wanted in zip(fg.tree.leaves(fg.jit(run)(*args)), fg.tree.leaves(expected)):
        np.testing.assert_allclose(found, wanted, rtol=1e-9)
    check_grads(lambda m, p, ys: run(m, p, ys)[1].sum(), args, order=1, modes=["rev"])


def test_matrices_without_elements():
    empty = np.zeros((0, 3, 3)), np.zeros((0, 3, 2))
    assert fg.jit(jnp.linalg.solve)(*empty).shape == (0, 3, 2)
    assert fg.jit(jnp.linalg.cholesky)(empty[0]).shape == (0, 3, 3)
    assert fg.jit(jnp.linalg.cholesky)(np.zeros((2, 0, 0))).shape == (2, 0, 0)
    assert fg.jit(jnp.linalg.solve)(np.zeros((0, 0)), np.zeros((0, 2))).shape == (0, 2)

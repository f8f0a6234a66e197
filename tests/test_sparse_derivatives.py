"""Sparse Jacobians and Hessians against dense ones; their patterns and colourings; what they cost."""

from __future__ import annotations

import time

import numpy as np
import pytest
import scipy.sparse
import scipy.sparse.linalg

import funcgrad as fg
import funcgrad.numpy as jnp
from funcgrad import coloring, sparse_derivatives
from funcgrad.errors import ConcretizationError, DTypeError, NotDifferentiableError
from funcgrad.transforms.partial import linearize

RNG = np.random.default_rng(0)


def normal(*shape):
    return RNG.standard_normal(shape)


def residual(u):
    """A reaction and diffusion in one dimension: tridiagonal."""
    p = jnp.pad(u, 1)
    return p[2:] - 2 * p[1:-1] + p[:-2] + jnp.sin(u) * u


def heat(u):
    """A step of the heat equation in two dimensions, periodic."""
    around = jnp.roll(u, 1, 0) + jnp.roll(u, -1, 0) + jnp.roll(u, 1, 1) + jnp.roll(u, -1, 1)
    return u + 0.1 * (around - 4 * u) * jnp.exp(-u)


def heat_by_slices(u):
    inner = u[1:-1, 1:-1]
    return u.at[1:-1, 1:-1].set(
        inner**2 + u[2:, 1:-1] + u[:-2, 1:-1] + u[1:-1, 2:] + u[1:-1, :-2] - 4 * inner
    )


def rosenbrock(x):
    return jnp.sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)


def particles(x):
    return fg.vmap(lambda p: jnp.dot(p, p) * jnp.cos(p))(x)


def springs(x):
    i, j = np.array([0, 1, 2, 3, 0]), np.array([1, 2, 3, 4, 4])
    return (jnp.linalg.norm(x[i] - x[j], axis=1) - 1.0) ** 2


def recurrence(x):
    def step(c, v):
        return c * 0.5 + v, jnp.sin(c + 1) * v

    return fg.lax.scan(step, 0.0, x)[1]


def stepping(u):
    return fg.lax.fori_loop(0, 3, lambda _, u: residual(u), u)


def one_place_a_step(x):
    return fg.lax.fori_loop(0, 5, lambda i, a: a.at[i].set(a[i] ** 2 * x[i + 1]), x)


def branches(x):
    return fg.lax.cond(x[0] > 0, lambda x: x**2, lambda x: x[::-1] * 3.0, x)


def where(x):
    return jnp.where(x > 0, x, jnp.exp(x)) / (1 + x**2)


def bound_by_index(x):
    return fg.lax.dynamic_slice(x, (2,), (3,)) * jnp.concatenate([x[:2], x[-1:]])


def solves(x):
    return jnp.linalg.solve(x + 4 * jnp.eye(2), x[..., :1])[..., 0]


def products(x):
    return jnp.einsum("bij,bjk->bik", x, jnp.sin(x))


def sorted_rows(x):
    return jnp.sort(x, axis=1)[:, ::-1] * 2 + jnp.cumsum(x, axis=1)


def convolved(u):
    kernel = jnp.asarray(np.ones((1, 1, 3, 3), np.float32))
    return fg.lax.conv_general_dilated(u[None, None], kernel, (1, 1), "SAME")[0, 0] ** 2


def pooled(u):
    return fg.lax.reduce_window(u, 0.0, fg.lax.add, (3,), (1,), "SAME") * u


def scattered(x):
    return fg.ops.segment_sum(x**2, np.array([0, 0, 1, 2, 2]), 3)


def rematerialised(u):
    return fg.checkpoint(residual)(u)


# the function, where, and how many entries may at most be stored: None for those that are nonzero there
CASES = {
    "residual": (residual, normal(12), None),
    "heat": (heat, normal(5, 6), None),
    "heat by slices": (heat_by_slices, normal(5, 6), None),
    "particles": (particles, normal(6, 3), None),
    "springs": (springs, normal(5, 2), None),
    "recurrence": (recurrence, normal(7), 28),
    "stepping": (stepping, normal(12), None),
    "one place a step": (one_place_a_step, normal(8), None),
    "branches": (branches, normal(6), 12),
    "where": (where, normal(9), None),
    "bound by index": (bound_by_index, normal(7), None),
    "solves": (solves, normal(4, 2, 2), None),
    "products": (products, normal(3, 2, 2), None),
    "sorted rows": (sorted_rows, normal(4, 3), 36),
    "convolved": (convolved, normal(5, 6), None),
    "pooled": (pooled, normal(8), None),
    "scattered": (scattered, normal(5), None),
    "in chunks": (lambda x: fg.vmap(jnp.cumprod, chunk_size=2)(x), normal(5, 2), 20),
    "by elements": (lambda x: fg.lax.map(lambda v: v.sum() * v, x), normal(4, 2), None),
    "rematerialised": (rematerialised, normal(8), None),
    "matrix product": (lambda x: jnp.asarray(np.ones((3, 5))) @ x, normal(5), 15),
    "a part of the argument": (lambda x: x[2:4] * 2.0, normal(6), 2),
    "constant": (lambda x: jnp.ones(3), normal(4), 0),
    "scalar": (lambda x: x * x, np.float64(2.0), 1),
}


@pytest.mark.parametrize("jitted", [False, True], ids=["eager", "jitted"])
@pytest.mark.parametrize("transform", [fg.jacfwd, fg.jacrev], ids=["jacfwd", "jacrev"])
@pytest.mark.parametrize("name", CASES)
def test_a_sparse_jacobian_is_the_dense_one(name, transform, jitted):
    f, x, most = CASES[name]
    x = np.asarray(x, np.float32)
    dense = np.asarray(transform(f)(x)).reshape(-1, x.size)
    found = transform(fg.jit(f) if jitted else f, sparse=True)(x)
    assert isinstance(found, scipy.sparse.csr_matrix)
    assert found.dtype == dense.dtype and found.shape == dense.shape
    assert found.nnz <= (np.count_nonzero(dense) if most is None else most)
    np.testing.assert_allclose(found.toarray(), dense, rtol=1e-5, atol=1e-5)


HESSIANS = {
    "rosenbrock": (rosenbrock, normal(10), 28),
    "heat": (lambda u: (heat(u) ** 2).sum(), normal(6, 6), None),
    "arrow": (lambda x: x[0] * (x**2).sum() + jnp.sin(x).sum(), normal(9), 25),
    "springs": (lambda x: springs(x).sum(), normal(5, 2), None),
    "loop": (lambda x: one_place_a_step(x).sum(), normal(7), None),
    "dense": (lambda x: jnp.exp((x**2).sum() / 10), normal(5), 25),
    "linear": (lambda x: (3 * x).sum(), normal(5), 0),
}


@pytest.mark.parametrize("name", HESSIANS)
def test_a_sparse_hessian_is_the_dense_one(name):
    f, x, most = HESSIANS[name]
    x = np.asarray(x, np.float32)
    dense = np.asarray(fg.hessian(f)(x)).reshape(x.size, x.size)
    for g in (f, fg.jit(f)):
        found = fg.hessian(g, sparse=True)(x)
        assert found.nnz <= (np.count_nonzero(dense) if most is None else most)
        np.testing.assert_allclose(found.toarray(), dense, rtol=1e-4, atol=1e-4)
        np.testing.assert_array_equal(found.toarray(), found.T.toarray())


def colors_of(f, x, mode):
    _, linear = linearize(lambda v: [f(v)], [jnp.asarray(x)])
    return sparse_derivatives._plan(linear, mode, [x.size], [x.size]).colors


def test_few_passes_are_needed():
    x = np.ones(50, np.float32)
    assert colors_of(residual, x, sparse_derivatives.FORWARD) == 3
    assert colors_of(residual, x, sparse_derivatives.REVERSE) == 3
    assert colors_of(fg.grad(rosenbrock), x, sparse_derivatives.SYMMETRIC) == 3
    arrow = fg.grad(lambda x: x[0] * (x**2).sum())
    assert colors_of(arrow, x, sparse_derivatives.FORWARD) == 50
    assert colors_of(arrow, x, sparse_derivatives.SYMMETRIC) == 2
    assert colors_of(heat, np.ones((10, 10), np.float32), sparse_derivatives.FORWARD) <= 10


@pytest.mark.parametrize("seed", range(8))
def test_colourings_are_those_that_recovery_needs(seed):
    rng = np.random.default_rng(seed)
    size = int(rng.integers(1, 40))
    pattern = scipy.sparse.random(size, size, density=rng.uniform(0, 0.2), rng=rng, format="csr")
    colors = coloring.color_columns(pattern)
    values = pattern.toarray()
    for color in range(colors.max() + 1):
        assert (np.count_nonzero(values[:, colors == color], axis=1) <= 1).all()
    products = np.stack([values[:, colors == c].sum(1) for c in range(colors.max() + 1)])
    rows, columns, places = coloring.recovery(pattern, colors)
    np.testing.assert_array_equal(products.reshape(-1)[places], values[rows, columns])

    both = (pattern + pattern.T).tocsr()
    values = both.toarray()
    colors = coloring.color_symmetric(both)
    assert colors.max() <= coloring.color_columns(both).max()
    products = np.stack([values[:, colors == c].sum(1) for c in range(colors.max() + 1)])
    rows, columns, places = coloring.recovery(both, colors, symmetric=True)
    np.testing.assert_allclose(products.reshape(-1)[places], values[rows, columns], rtol=1e-12)


def test_trees_nest_as_in_the_dense_result():
    def f(p, y):
        return {"a": p["w"] ** 2 * y, "b": (p["w"][:2] * p["s"], p["s"])}

    p, y = {"w": normal(3), "s": np.float64(2.0)}, normal(3)
    for argnums in (0, 1, (0, 1)):
        for transform in (fg.jacfwd, fg.jacrev):
            dense = transform(f, argnums)(p, y)
            found = transform(f, argnums, sparse=True)(p, y)
            is_matrix = {"is_leaf": scipy.sparse.issparse}
            assert fg.tree_util.tree_structure(found, **is_matrix) == fg.tree_util.tree_structure(dense)
            for s, d in zip(fg.tree_util.tree_leaves(found, **is_matrix), fg.tree_util.tree_leaves(dense)):
                np.testing.assert_allclose(s.toarray().reshape(d.shape), d, rtol=1e-6)

    def g(p, y):
        return (p["w"] ** 2 * y).sum() * p["s"]

    dense = fg.hessian(g, (0, 1))(p, y)
    found = fg.hessian(g, (0, 1), sparse=True)(p, y)
    assert found[0]["w"][1].shape == (3, 3) and found[0]["w"][1].nnz == 3
    np.testing.assert_allclose(found[0]["w"][1].toarray(), dense[0]["w"][1], rtol=1e-6)
    np.testing.assert_allclose(found[1][0]["s"].toarray()[:, 0], dense[1][0]["s"], rtol=1e-6)


def test_auxiliary_outputs_integers_and_complex_numbers():
    found, aux = fg.jacfwd(lambda x: (x**2, x.sum()), has_aux=True, sparse=True)(jnp.arange(3.0))
    assert aux == 3.0 and found.nnz == 3
    found, aux = fg.hessian(lambda x: ((x**3).sum(), "words"), has_aux=True, sparse=True)(jnp.arange(3.0))
    assert aux == "words" and found.diagonal().tolist() == [0, 6, 12]
    found = fg.jacrev(lambda x, n: x * n, (0, 1), allow_int=True, sparse=True)(jnp.ones(3), jnp.arange(3))
    assert found[0].diagonal().tolist() == [0, 1, 2] and found[1].nnz == 0
    z = normal(4) + 1j * normal(4)
    found = fg.jacfwd(lambda z: z**2, holomorphic=True, sparse=True)(z)
    np.testing.assert_allclose(found.diagonal(), 2 * z, rtol=1e-5)
    found = fg.jacfwd(lambda x: x * x, sparse=True)(jnp.arange(3.0, dtype=jnp.bfloat16))
    assert found.dtype == np.float32 and found.diagonal().tolist() == [0, 2, 4]


def test_indices_that_change_change_the_pattern():
    def f(x, i):
        return x[i] * 2.0

    jacobian = fg.jacfwd(f, sparse=True)
    for i in ([0, 2], [1, 1], [2, 0]):
        expected = np.zeros((2, 3))
        expected[[0, 1], i] = 2
        np.testing.assert_array_equal(jacobian(jnp.ones(3), jnp.asarray(i)).toarray(), expected)

    def nearest(x):
        return x[(x[0] * 3).astype(int)][None] ** 2

    found = fg.jacfwd(fg.checkpoint(nearest), sparse=True)
    for first in (0.4, 0.7, 0.4):
        x = jnp.array([first, 5.0, 6.0])
        np.testing.assert_array_equal(found(x).toarray(), fg.jacfwd(nearest)(x))


def test_the_pattern_is_found_once():
    f = fg.jit(
        lambda x, i: fg.nn.relu(x[1:] - x[:-1]) * x[i] + fg.lax.cond(x[0] > 0, jnp.sin, jnp.cos, x[1:])
    )
    jacobian = fg.jacfwd(f, sparse=True)
    i = np.array([3, 1, 2])
    jacobian(normal(4), i)
    before = dict(sparse_derivatives._plans)
    for _ in range(5):
        x = normal(4)
        np.testing.assert_allclose(jacobian(x, i).toarray(), fg.jacfwd(f)(x, i), rtol=1e-6)
    assert dict(sparse_derivatives._plans) == before
    np.testing.assert_allclose(
        jacobian(x, i[::-1].copy()).toarray(), fg.jacfwd(f)(x, i[::-1].copy()), rtol=1e-6
    )
    assert len(sparse_derivatives._plans) == len(before) + 1 or len(before) == sparse_derivatives.REMEMBERED


def test_newton_with_a_sparse_solver():
    f = fg.jit(lambda u: residual(u) - jnp.sin(u) * u - u**3 + 1.0)
    u = jnp.ones(100)
    for _ in range(20):
        step = scipy.sparse.linalg.spsolve(fg.jacfwd(f, sparse=True)(u).tocsc(), np.asarray(f(u)))
        u = u - step
    assert np.abs(f(u)).max() < 1e-4


def test_what_cannot_be_is_said():
    x = jnp.ones(3)
    for transform in (fg.jit, fg.vmap, fg.grad):
        with pytest.raises(ConcretizationError, match="matrices, which hold numbers"):
            transform(lambda x: fg.jacfwd(jnp.sin, sparse=True)(x).sum())(
                x if transform is not fg.grad else 1.0
            )
    with pytest.raises(DTypeError, match="jacfwd needs real float inputs"):
        fg.jacfwd(lambda x: x * 2.0, sparse=True)(jnp.arange(3))
    with pytest.raises(NotDifferentiableError, match="one scalar output"):
        fg.hessian(jnp.sin, sparse=True)(x)


def test_sparse_is_faster_than_dense():
    x = np.asarray(normal(2000), np.float32)

    def best(f):
        f(x)
        times = []
        for _ in range(5):
            start = time.perf_counter()
            f(x)
            times.append(time.perf_counter() - start)
        return min(times)

    for dense, sparse in (
        (fg.jacfwd(residual), fg.jacfwd(fg.jit(residual), sparse=True)),
        (fg.hessian(rosenbrock), fg.hessian(fg.jit(rosenbrock), sparse=True)),
    ):
        assert 3 * best(sparse) < best(fg.jit(dense))

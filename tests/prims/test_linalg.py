"""dot_general against einsum: axes in every order, every dtype, batching on every side, and its cotangents."""

from __future__ import annotations

import numpy as np
import pytest

import funcgrad as fg
from funcgrad import dtypes
from funcgrad.errors import AxisError, DTypeError, ShapeError
from funcgrad.trace import ops

CASES = [
    # einsum, ((contracting), (batch)) of lhs and rhs
    ("ij,jk->ik", (2, 3), (3, 4), (((1,), (0,)), ((), ()))),
    ("ji,kj->ik", (3, 2), (4, 3), (((0,), (1,)), ((), ()))),
    ("i,i->", (3,), (3,), (((0,), (0,)), ((), ()))),
    ("i,j->ij", (2,), (3,), (((), ()), ((), ()))),
    ("bi,b->bi", (2, 3), (2,), (((), ()), ((0,), (0,)))),
    ("ibc,cjbd->bijd", (2, 3, 4), (4, 5, 3, 2), (((2,), (0,)), ((1,), (2,)))),
    ("iabj,kba->ijk", (2, 3, 4, 5), (3, 4, 3), (((1, 2), (2, 1)), ((), ()))),
    ("abi,jba->bai", (2, 3, 4), (1, 3, 2), None),
    ("abij,bjka->baik", (2, 3, 4, 5), (3, 5, 2, 2), (((3,), (1,)), ((1, 0), (0, 3)))),
]
CASES = [case for case in CASES if case[3] is not None]


def dot(numbers, preferred=None):
    return lambda x, y: ops.dot_general(x, y, numbers, preferred)


@pytest.mark.parametrize(("spec", "left", "right", "numbers"), CASES, ids=[c[0] for c in CASES])
def test_products_and_their_cotangents_are_those_of_einsum(spec, left, right, numbers):
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal(left), rng.standard_normal(right)
    expected = np.einsum(spec, x, y)
    np.testing.assert_allclose(np.asarray(dot(numbers)(x, y)), expected, rtol=1e-13, atol=1e-14)
    np.testing.assert_allclose(np.asarray(fg.jit(dot(numbers))(x, y)), expected, rtol=1e-13, atol=1e-14)
    ct = rng.standard_normal(expected.shape)
    to_x, to_y = fg.vjp(dot(numbers), x, y)[1](ct)
    a, b, c = spec.replace("->", ",").split(",")
    np.testing.assert_allclose(np.asarray(to_x), np.einsum(f"{c},{b}->{a}", ct, y), rtol=1e-13, atol=1e-14)
    np.testing.assert_allclose(np.asarray(to_y), np.einsum(f"{c},{a}->{b}", ct, x), rtol=1e-13, atol=1e-14)


@pytest.mark.parametrize(("spec", "left", "right", "numbers"), CASES, ids=[c[0] for c in CASES])
def test_batches_of_products(spec, left, right, numbers):
    rng = np.random.default_rng(1)
    a, b, c = spec.replace("->", ",").split(",")
    for place in range(len(left) + 1):
        x, y = rng.standard_normal(np.insert(left, place, 3)), rng.standard_normal(right)
        got = fg.vmap(dot(numbers), in_axes=(place, None))(x, y)
        np.testing.assert_allclose(
            np.asarray(got), np.einsum(f"{a[:place]}z{a[place:]},{b}->z{c}", x, y), rtol=1e-12, atol=1e-14
        )
    for place in range(len(right) + 1):
        x, y = rng.standard_normal((3, *left)), rng.standard_normal(np.insert(right, place, 3))
        got = fg.vmap(dot(numbers), in_axes=(None, place))(x[0], y)
        both = fg.vmap(dot(numbers), in_axes=(0, place))(x, y)
        right_spec = f"{b[:place]}z{b[place:]}"
        np.testing.assert_allclose(
            np.asarray(got), np.einsum(f"{a},{right_spec}->z{c}", x[0], y), rtol=1e-12, atol=1e-14
        )
        np.testing.assert_allclose(
            np.asarray(both), np.einsum(f"z{a},{right_spec}->z{c}", x, y), rtol=1e-12, atol=1e-14
        )


MATRICES = (((1,), (0,)), ((), ()))


@pytest.mark.parametrize("dtype", dtypes.ALL, ids=str)
def test_every_dtype(dtype):
    x, y = np.arange(6).reshape(2, 3).astype(dtype), np.arange(12).reshape(3, 4).astype(dtype)
    wide = np.complex128 if dtype.kind == "c" else np.float64
    expected = (x.astype(wide) @ y.astype(wide)).astype(dtype)
    for function in (dot(MATRICES), fg.jit(dot(MATRICES))):
        got = np.asarray(function(x, y))
        assert got.dtype == dtype
        np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize(
    ("dtype", "preferred", "expected"),
    [
        (dtypes.int8, dtypes.int32, 2 * 100 * 100),
        (dtypes.uint8, dtypes.int64, 2 * 100 * 100),
        (dtypes.bfloat16, dtypes.float32, 20000),
        (dtypes.float32, dtypes.float64, 20000),
    ],
    ids=str,
)
def test_preferred_element_type_is_that_of_the_sum(dtype, preferred, expected):
    x = np.full((1, 2), 100).astype(dtype)
    for function in (dot(MATRICES, preferred), fg.jit(dot(MATRICES, preferred))):
        got = np.asarray(function(x, x.T))
        assert got.dtype == preferred and got == expected


def test_cotangents_of_a_widened_product_have_the_operands_dtype():
    x = np.ones((2, 3), np.float16)
    _, pull = fg.vjp(dot(MATRICES, dtypes.float32), x, x.T)
    assert [np.asarray(ct).dtype for ct in pull(np.ones((2, 2), np.float32))] == [np.float16] * 2


@pytest.mark.parametrize(("rows", "inner", "columns"), [(0, 3, 2), (2, 0, 2), (2, 3, 0), (1, 1, 1)])
def test_empty_and_single_sizes(rows, inner, columns):
    x, y = np.ones((rows, inner)), np.ones((inner, columns))
    for function in (dot(MATRICES), fg.jit(dot(MATRICES))):
        np.testing.assert_array_equal(np.asarray(function(x, y)), x @ y)


def test_what_is_refused():
    x, y = np.zeros((2, 3)), np.zeros((2, 3))
    with pytest.raises(ShapeError, match=r"lengths \[3\] and \[2\]"):
        dot(MATRICES)(x, y)
    with pytest.raises(DTypeError, match="one dtype"):
        dot(MATRICES)(x, y.T.astype(np.float32))
    with pytest.raises(AxisError, match="not distinct axes"):
        dot((((2,), (0,)), ((), ())))(x, y)
    with pytest.raises(ShapeError, match="as many axes"):
        dot((((1,), ()), ((), ())))(x, y)


@pytest.mark.parametrize("dtype", ["float32", "float64", "complex64", "complex128"])
def test_large_matrices_are_factored_and_solved_by_another_routine(dtype):
    rng = np.random.default_rng(0)
    a = rng.standard_normal((2, 70, 70)).astype(dtype)
    if a.dtype.kind == "c":
        a = (a + 1j * rng.standard_normal(a.shape)).astype(dtype)
    positive = (a @ np.conj(np.swapaxes(a, 1, 2)) + 70 * np.eye(70)).astype(dtype)
    right = rng.standard_normal((2, 70, 3)).astype(dtype)
    tolerance = 1e-3 if np.finfo(dtype).bits == 32 else 1e-9
    for transform in (lambda f: f, fg.jit):
        factor = np.asarray(transform(fg.numpy.linalg.cholesky)(positive))
        assert factor.dtype == dtype and (np.triu(factor, 1) == 0).all()
        np.testing.assert_allclose(factor, np.linalg.cholesky(positive), tolerance, tolerance)
        found = np.asarray(transform(fg.numpy.linalg.solve)(positive, right))
        assert found.dtype == dtype
        np.testing.assert_allclose(positive @ found, right, tolerance, tolerance)
    bad = np.stack([-np.eye(70), np.eye(70)]).astype(dtype)
    refused = np.asarray(fg.numpy.linalg.cholesky(bad))
    assert np.isnan(refused[0]).all() and (refused[1] == np.eye(70)).all()
    assert not np.isfinite(fg.numpy.linalg.solve(np.zeros((70, 70), dtype), np.ones(70, dtype))).any()


@pytest.mark.parametrize("dtype", ["float32", "float64", "complex64", "complex128"])
def test_spectra_of_large_matrices(dtype):
    rng = np.random.default_rng(0)
    a = rng.standard_normal((2, 70, 80)).astype(dtype)
    if a.dtype.kind == "c":
        a = (a + 1j * rng.standard_normal(a.shape)).astype(dtype)
    hermitian = (a @ np.conj(np.swapaxes(a, 1, 2))).astype(dtype)
    tolerance = 2e-3 if np.finfo(dtype).bits == 32 else 1e-9
    close = lambda x, y: np.testing.assert_allclose(x, y, tolerance, tolerance)  # noqa: E731
    for full in (False, True):
        u, s, v = map(np.asarray, fg.jit(lambda a, f=full: fg.numpy.linalg.svd(a, full_matrices=f))(a))
        assert u.dtype == v.dtype == dtype and v.shape == (2, 80 if full else 70, 80)
        close((u * s[:, None, :]) @ v[:, :70], a)
        close(v @ np.conj(np.swapaxes(v, 1, 2)), np.broadcast_to(np.eye(v.shape[1]), (2, *v.shape[1:2] * 2)))
    close(fg.jit(lambda a: fg.numpy.linalg.svd(a, compute_uv=False))(a), np.linalg.svd(a, compute_uv=False))
    for uplo, part in (("L", np.tril(hermitian)), ("U", np.triu(hermitian))):
        w, q = map(
            np.asarray, fg.jit(lambda h, u=uplo: fg.numpy.linalg.eigh(h, u, symmetrize_input=False))(part)
        )
        assert q.dtype == dtype
        close(hermitian @ q / 100, q * w[:, None, :] / 100)
    bad = np.full((70, 70), np.nan, dtype)
    assert np.isnan(fg.numpy.linalg.svd(bad, compute_uv=False)).all()
    assert np.isnan(fg.numpy.linalg.eigh(bad)[0]).all()

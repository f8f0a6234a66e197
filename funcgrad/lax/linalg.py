"""Linear algebra under the names of `jax.lax.linalg`. Owns no computation."""

from __future__ import annotations

import operator
from typing import Any

from funcgrad import dtypes
from funcgrad.errors import ArgumentError, ShapeError, boundary
from funcgrad.lax.reflections import (
    cholesky_update,
    eig,
    hessenberg,
    householder_product,
    ormqr,
    qdwh,
    schur,
    symmetric_product,
    tridiagonal,
)
from funcgrad.prims.control_scan import scan_p
from funcgrad.prims.sorting import along
from funcgrad.promotion import check_arrays
from funcgrad.trace import ops
from funcgrad.trace.core import bind, type_of
from funcgrad.trace.graph_trace import trace_to_graph


def adjoint(x: Any) -> Any:
    """The conjugate transpose of each matrix."""
    n = type_of(x).ndim
    turned = ops.transpose(x, [*range(n - 2), n - 1, n - 2])
    return ops.conj(turned) if type_of(x).dtype.kind == "c" else turned


def symmetrized(x: Any) -> Any:
    """The mean of each matrix and its adjoint."""
    return ops.div(ops.add(x, adjoint(x)), 2)


@boundary
def cholesky(x: Any, *, symmetrize_input: bool = True) -> Any:
    """The lower factor L of `x = L @ L^H`; NaN where `x` is not positive definite."""
    check_arrays("cholesky", x)
    return ops.apply("cholesky", symmetrized(x) if symmetrize_input else x)


@boundary
def triangular_solve(
    a: Any,
    b: Any,
    *,
    left_side: bool = False,
    lower: bool = False,
    transpose_a: bool = False,
    conjugate_a: bool = False,
    unit_diagonal: bool = False,
) -> Any:
    """The x of op(a) @ x = b (of x @ op(a) = b unless `left_side`), for a triangular matrix `a`."""
    check_arrays("triangular_solve", a, b)
    vector = type_of(b).ndim == type_of(a).ndim - 1
    if vector:
        b = ops.expand_dims(b, (type_of(b).ndim,) if left_side else (type_of(b).ndim - 1,))
    out = ops.apply(
        "triangular_solve",
        a,
        b,
        left_side=left_side,
        lower=lower,
        transpose_a=transpose_a,
        conjugate_a=conjugate_a,
        unit_diagonal=unit_diagonal,
    )
    if not vector:
        return out
    shape = type_of(out).shape
    return ops.reshape(out, shape[:-1] if left_side else (*shape[:-2], shape[-1]))


@boundary
def lu(x: Any) -> tuple[Any, Any, Any]:
    """The factors of `x` in one matrix, the pivots, and the permutation of rows that they stand for."""
    check_arrays("lu", x)
    return tuple(ops.apply("lu", x))


@boundary
def lu_pivots_to_permutation(pivots: Any, permutation_size: int) -> Any:
    """The permutation of `permutation_size` rows, int32, that exchanging them by `pivots` one after the other gives."""
    check_arrays("lu_pivots_to_permutation", pivots)
    pivots = ops.convert(pivots, dtypes.int32)
    *lead, count = type_of(pivots).shape
    axis, shape = len(lead), (*lead, permutation_size)
    place = order = ops.iota(dtypes.int32, shape, axis)
    for i in range(count):
        here = ops.eq(place, ops.broadcast_to(ops.slice_in_dim(pivots, i, i + 1, axis=axis), shape))
        mine = ops.broadcast_to(ops.slice_in_dim(order, i, i + 1, axis=axis), shape)
        theirs = ops.reduce_sum(ops.select(here, order, 0), (axis,))
        order = ops.select(here, mine, order)
        order = ops.select(ops.eq(place, i), ops.broadcast_in_dim(theirs, shape, range(axis)), order)
    return order


@boundary
def qr(
    x: Any, *, pivoting: bool = False, full_matrices: bool = True, use_magma: bool | None = None
) -> tuple[Any, ...]:
    """Q and R of `x = Q @ R`; with `pivoting`, Q, R and the order p of columns in `x[:, p] = Q @ R`."""
    (t,) = check_arrays("qr", x)
    if pivoting:
        outs = ops.apply("qr_order", ops.apply("stop_gradient", x))
        columns = ops.broadcast_in_dim(outs, t.shape, (*range(t.ndim - 2), t.ndim - 1))
        return (*ops.apply("qr", along(x, columns, t.ndim - 1), full_matrices=bool(full_matrices)), outs)
    return tuple(ops.apply("qr", x, full_matrices=bool(full_matrices)))


@boundary
def eigh(
    x: Any,
    *,
    lower: bool = True,
    symmetrize_input: bool = True,
    sort_eigenvalues: bool = True,
    subset_by_index: tuple[int, int] | None = None,
    implementation: Any = None,
) -> tuple[Any, Any]:
    """Eigenvectors (as columns) and eigenvalues, rising, of hermitian matrices; those from the first to before the last
    of `subset_by_index`. There is one implementation."""
    (t,) = check_arrays("eigh", x)
    w, v = ops.apply("eigh", symmetrized(x) if symmetrize_input else x, lower=bool(lower))
    if subset_by_index is not None:
        first, last = _part("eigh", subset_by_index, t.shape[-1])
        w, v = (ops.slice_in_dim(o, first, last, axis=axis) for o, axis in ((w, t.ndim - 2), (v, t.ndim - 1)))
    return v, w


@boundary
def svd(
    x: Any,
    *,
    full_matrices: bool = True,
    compute_uv: bool = True,
    subset_by_index: tuple[int, int] | None = None,
    algorithm: Any = None,
) -> Any:
    """U, the singular values, falling, and V^H of `x = U @ diag(s) @ V^H`; the values alone unless `compute_uv`.

    Only those from the first to before the last of `subset_by_index`, with full_matrices=False. There is one algorithm.
    """
    (t,) = check_arrays("svd", x)
    outs = ops.apply("svd", x, full_matrices=bool(full_matrices), compute_uv=bool(compute_uv))
    if subset_by_index is not None:
        first, last = _part("svd", subset_by_index, min(t.shape[-2:]))
        if full_matrices and compute_uv and t.shape[-1] != t.shape[-2]:
            raise ArgumentError(
                "svd with subset_by_index has no full matrices", hint="add full_matrices=False"
            )
        axes = (t.ndim - 2, t.ndim - 1, t.ndim - 2)
        outs = [ops.slice_in_dim(o, first, last, axis=axis) for o, axis in zip(outs, axes)]
    return (outs[1], outs[0], outs[2]) if compute_uv else outs[0]


def _part(name: str, subset: tuple[int, int], count: int) -> tuple[int, int]:
    first, last = map(operator.index, subset)
    if not 0 <= first <= last <= count:
        raise ArgumentError(
            f"{name}: subset_by_index={subset!r} of {count} values", hint="0 <= first <= last"
        )
    return first, last


@boundary
def tridiagonal_solve(dl: Any, d: Any, du: Any, b: Any, *, perturb_singular: bool = False) -> Any:
    """The x of `a @ x = b` for tridiagonal matrices, without pivoting (Thomas' algorithm).

    Args:
        dl, d, du: (..., n): the diagonals below, on and above the main one; dl[..., 0] and du[..., -1] do not count.
        b: (..., n, k).
        perturb_singular: not there: zero pivots give infinities or NaN.

    >>> import funcgrad as fg
    >>> zero, one = fg.numpy.zeros(2), fg.numpy.ones(2)
    >>> fg.lax.linalg.tridiagonal_solve(zero, 2 * one, zero, fg.numpy.ones((2, 1)))
    Array([[0.5],
           [0.5]], dtype=float32)
    """
    check_arrays("tridiagonal_solve", dl, d, du, b)
    if perturb_singular:
        raise ArgumentError("tridiagonal_solve does not perturb singular matrices", hint="leave it out")
    types = [type_of(x) for x in (dl, d, du, b)]
    shape = types[1].shape
    if not shape or types[0].shape != shape or types[2].shape != shape or types[3].shape[:-1] != shape:
        raise ShapeError(
            f"tridiagonal_solve takes three diagonals (..., n) and (..., n, k), got {', '.join(map(str, types))}"
        )
    rows = [ops.moveaxis(x, len(shape) - 1, 0) for x in (dl, d, du, b)]
    right = type_of(rows[3])
    each = (type_of(rows[1]).with_shape(shape[:-1]), right.with_shape(right.shape[1:]))

    def wide(x: Any) -> Any:
        return ops.broadcast_in_dim(x, each[1].shape, tuple(range(len(shape) - 1)))

    def down(c: Any, y: Any, low: Any, middle: Any, high: Any, right: Any) -> list[Any]:
        pivot = ops.sub(middle, ops.mul(low, c))
        c = ops.div(high, pivot)
        y = ops.div(ops.sub(right, ops.mul(wide(low), y)), wide(pivot))
        return [c, y, c, y]

    def up(below: Any, c: Any, y: Any) -> list[Any]:
        return [ops.sub(y, ops.mul(wide(c), below))] * 2

    def loop(body: Any, start: Any, xs: Any, reverse: bool) -> list[Any]:
        slices = [type_of(x).with_shape(type_of(x).shape[1:]) for x in xs]
        graph = trace_to_graph(body, [*start, *slices], "tridiagonal_solve").graph
        params = {"graph": graph, "consts": 0, "carry": len(start), "length": shape[-1], "reverse": reverse}
        return bind(scan_p, *map(ops.zeros, start), *xs, **params)[len(start) :]

    # what does not count may be anything
    n, zero = shape[-1], ops.zeros(each[0].with_shape((1, *shape[:-1])))
    first = ops.concatenate([zero, ops.slice_in_dim(rows[0], 1, n)], 0)
    last = ops.concatenate([ops.slice_in_dim(rows[2], 0, n - 1), zero], 0)
    eliminated = loop(down, each, (first, rows[1], last, rows[3]), False)
    (found,) = loop(up, each[1:], eliminated, True)
    return ops.moveaxis(found, 0, len(shape) - 1)


__all__ = [
    "cholesky", "cholesky_update", "eig", "eigh", "hessenberg", "householder_product", "lu",
    "lu_pivots_to_permutation", "ormqr", "qdwh", "qr", "schur", "svd", "symmetric_product", "triangular_solve",
    "tridiagonal", "tridiagonal_solve",
]  # fmt: skip

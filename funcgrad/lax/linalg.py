"""Linear algebra under the names of `jax.lax.linalg`. Owns no computation."""

from __future__ import annotations

from typing import Any

from funcgrad import dtypes
from funcgrad.errors import boundary
from funcgrad.numpy.promotion import check_arrays
from funcgrad.trace import ops
from funcgrad.trace.core import type_of


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
def qr(x: Any, *, full_matrices: bool = True) -> tuple[Any, Any]:
    """Q and R of `x = Q @ R`."""
    check_arrays("qr", x)
    return tuple(ops.apply("qr", x, full_matrices=bool(full_matrices)))


@boundary
def eigh(
    x: Any, *, lower: bool = True, symmetrize_input: bool = True, sort_eigenvalues: bool = True
) -> tuple[Any, Any]:
    """Eigenvectors (as columns) and eigenvalues, rising, of hermitian matrices."""
    check_arrays("eigh", x)
    w, v = ops.apply("eigh", symmetrized(x) if symmetrize_input else x, lower=bool(lower))
    return v, w


@boundary
def svd(x: Any, *, full_matrices: bool = True, compute_uv: bool = True) -> Any:
    """U, the singular values, falling, and V^H of `x = U @ diag(s) @ V^H`; the values alone unless `compute_uv`."""
    check_arrays("svd", x)
    outs = ops.apply("svd", x, full_matrices=bool(full_matrices), compute_uv=bool(compute_uv))
    return (outs[1], outs[0], outs[2]) if compute_uv else outs[0]


__all__ = ["cholesky", "eigh", "lu", "lu_pivots_to_permutation", "qr", "svd", "triangular_solve"]

"""Random vectors and matrices by linear algebra: multivariate normal numbers, orthogonal matrices."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from funcgrad import dtypes
from funcgrad.errors import ArgumentError, ShapeError
from funcgrad.numpy.creation import asarray
from funcgrad.numpy.linalg import cholesky, eigh, qr, svd
from funcgrad.numpy.products import diagonal, einsum
from funcgrad.numpy.promotion import broadcast_shapes, promote_inexact
from funcgrad.random.basic import Shape, _shape_of, normal
from funcgrad.sharding import takes_out_sharding
from funcgrad.trace import ops
from funcgrad.trace.core import type_of


@takes_out_sharding
def multivariate_normal(
    key: Any,
    mean: Any,
    cov: Any,
    shape: Sequence[int] | None = None,
    dtype: Any = None,
    method: str = "cholesky",
) -> Any:
    """Normal vectors of this mean (..., n) and covariance matrix (..., n, n): of shape (*shape, n).

    `method` says how a root of the matrix is found: "cholesky", or "svd" and "eigh", which take singular ones.
    """
    if method not in ("cholesky", "svd", "eigh"):
        raise ArgumentError(
            f"multivariate_normal has no method {method!r}", hint="use 'cholesky', 'svd' or 'eigh'"
        )
    mean, cov = promote_inexact("random.multivariate_normal", asarray(mean), asarray(cov))
    if dtype is not None:
        mean, cov = (ops.convert(x, dtypes.as_dtype(dtype)) for x in (mean, cov))
    tm, tc = type_of(mean), type_of(cov)
    if not tm.ndim or tc.ndim < 2 or tc.shape[-2:] != (tm.shape[-1],) * 2:
        raise ShapeError(
            f"multivariate_normal of mean {tm} and covariance {tc}: their last axes have to be (n,) and (n, n)",
            hint="a covariance is a square matrix as long as the mean: jnp.diag(variances) for independent numbers",
        )
    together = broadcast_shapes(tm.shape[:-1], tc.shape[:-2])
    sizes = together if shape is None else _shape_of(shape, "multivariate_normal")
    if broadcast_shapes(sizes, together) != sizes:
        raise ShapeError(f"multivariate_normal of shape {sizes} with parameters of shape {together}")
    if method == "cholesky":
        factor = cholesky(cov)
    elif method == "svd":
        u, s, _ = svd(cov)
        factor = u * ops.sqrt(s)[..., None, :]
    else:
        w, v = eigh(cov)
        factor = v * ops.sqrt(w)[..., None, :]
    drawn = normal(key, (*sizes, tm.shape[-1]), tm.dtype)
    return mean + einsum("...ij,...j->...i", factor, drawn)


@takes_out_sharding
def orthogonal(key: Any, n: int, shape: Shape = (), dtype: Any = None, m: int | None = None) -> Any:
    """Matrices of n x n (or n x m) with orthonormal columns (or rows), even over all of them: (*shape, n, m)."""
    sizes = _shape_of(shape, "orthogonal")
    m = n if m is None else m
    if n < 0 or m < 0:
        raise ArgumentError(f"random.orthogonal of {n} x {m} matrices")
    drawn = normal(key, (*sizes, max(n, m), min(n, m)), dtype)
    q, r = qr(drawn)
    signs = diagonal(r, axis1=-2, axis2=-1)
    size = ops.abs_(signs)
    nonzero = ops.ne(size, 0)
    unit = ops.select(nonzero, signs / ops.convert(ops.select(nonzero, size, 1), type_of(signs).dtype), 1)
    q = q * unit[..., None, :]
    if n >= m:
        return q
    axes = [*range(len(sizes)), len(sizes) + 1, len(sizes)]
    turned = ops.transpose(q, axes)
    return ops.conj(turned) if dtypes.is_complex(type_of(turned).dtype) else turned

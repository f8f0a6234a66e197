"""Jacobians and Hessians of functions of trees, dense and sparse: composition of derivatives and `vmap`.

Names, argument order and meaning are JAX's.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np

from funcgrad import dtypes, tree
from funcgrad.api import F, grad, jvp, partial_on, plain_aux, require_function, vjp
from funcgrad.array import Array
from funcgrad.batching import vmap
from funcgrad.errors import DTypeError, boundary
from funcgrad.flat import FlatFunction, check_operands
from funcgrad.trace import ops
from funcgrad.trace.core import as_array, type_of


def _basis(leaves: Sequence[Any]) -> list[Any]:
    """For each leaf the standard basis of all leaves together: arrays of shape (total size, *leaf shape)."""
    types = [type_of(x) for x in leaves]
    total = sum(t.size for t in types)
    start, result = 0, []
    for t in types:
        eye = np.zeros((total, t.size), t.dtype)
        eye[start : start + t.size] = np.eye(t.size, dtype=t.dtype)
        result.append(Array(eye.reshape((total, *t.shape))))
        start += t.size
    return result


def _check_jacobian_leaf(leaf: Any, holomorphic: bool, transform: str, what: str) -> None:
    t = type_of(leaf)
    either = (
        transform == "jacrev" and what == "inputs"
    )  # of a real output there is a gradient in complex inputs
    allowed = dtypes.is_complex if holomorphic else dtypes.is_inexact if either else dtypes.is_float
    if not allowed(t.dtype):
        kind = "complex" if holomorphic else "real float"
        raise DTypeError(
            f"{transform} needs {kind} {what}, got {t}", hint="see holomorphic, or use .astype(float)"
        )


def _split(stacked: Any, leaves: Sequence[Any], axis: int) -> list[Any]:
    """Cut the basis axis of `stacked` into one piece per leaf, shaped like the leaf."""
    shape, pieces, start = type_of(stacked).shape, [], 0
    for leaf in leaves:
        t = type_of(leaf)
        piece = ops.slice_in_dim(stacked, start, start + t.size, axis=axis)
        pieces.append(as_array(ops.reshape(piece, shape[:axis] + t.shape + shape[axis + 1 :])))
        start += t.size
    return pieces


def _sparse_result(
    fun: F,
    argnums: Any,
    has_aux: bool,
    holomorphic: bool,
    transform: str,
    mode: str,
    args: Any,
    kwargs: Any,
    allow_int: bool = False,
) -> Any:
    """The Jacobian as a tree of sparse matrices."""
    from funcgrad.sparse_derivatives import sparse_jacobian  # imports scipy.sparse

    of_moving, moving, _ = partial_on(fun, argnums, args, kwargs)
    leaves, in_tree = tree.flatten((moving, {}))
    check_operands(fun, moving, {}, transform)
    if not allow_int:
        for leaf in leaves:
            _check_jacobian_leaf(leaf, holomorphic, transform, "inputs")
    flat = FlatFunction(of_moving, in_tree, has_aux)
    outs, matrix = sparse_jacobian(flat, leaves, mode, f"{transform}(sparse=True)")
    if transform == "jacrev":
        for out in outs:
            _check_jacobian_leaf(out, holomorphic, transform, "outputs")
    structure = tree.structure(moving)
    structure = structure.children()[0] if hasattr(argnums, "__index__") else structure
    result = flat.out_tree.unflatten([structure.unflatten(row) for row in _blocks(matrix, outs, leaves)])
    return (result, plain_aux(flat.aux)) if has_aux else result


def _blocks(matrix: Any, rows: Sequence[Any], columns: Sequence[Any]) -> list[list[Any]]:
    """A matrix cut into one block for each pair of leaves."""
    bounds = []
    for leaves in (rows, columns):
        ends = np.cumsum([type_of(x).size for x in leaves])
        bounds.append([slice(e - type_of(x).size, e) for e, x in zip(ends.tolist(), leaves)])
    if len(rows) == len(columns) == 1:
        return [[matrix]]
    return [[matrix[r][:, c] for c in bounds[1]] for r in bounds[0]]


@boundary
def jacfwd(
    fun: F,
    argnums: int | Sequence[int] = 0,
    has_aux: bool = False,
    holomorphic: bool = False,
    *,
    sparse: bool = False,
) -> F:
    """The Jacobian by forward mode: one pass per input element, all at once. Best for tall Jacobians.

    Its leaves have shape `output.shape + input.shape`; the tree is the output's, and at each leaf the
    argument's (or a tuple of them, for a tuple of argnums). With has_aux, (jacobian, aux).

    With `sparse` each leaf is a `scipy.sparse.csr_matrix` of shape (output.size, input.size): the entries that can be
    nonzero are found from the operations, and columns that share no row are computed in one pass. That is outside of
    `jit`, where there are numbers; `fun` itself may be jitted. 16-bit floats give float32 matrices.

    >>> import funcgrad as fg
    >>> fg.jacfwd(lambda x: x**2)(fg.numpy.array([1.0, 2.0]))
    Array([[2., 0.],
           [0., 4.]], dtype=float32)
    """
    require_function(fun, "jacfwd")
    single = hasattr(argnums, "__index__")

    @functools.wraps(fun)
    @boundary
    def jacobian(*args: Any, **kwargs: Any) -> Any:
        if sparse:
            return _sparse_result(fun, argnums, has_aux, holomorphic, "jacfwd", "forward", args, kwargs)
        of_moving, moving, _ = partial_on(fun, argnums, args, kwargs)
        leaves, in_tree = tree.flatten(moving)
        for leaf in leaves:
            _check_jacobian_leaf(leaf, holomorphic, "jacfwd", "inputs")

        def push(*direction: Any) -> Any:
            out = jvp(of_moving, moving, in_tree.unflatten(direction), has_aux=has_aux)
            return (out[1], out[2]) if has_aux else out[1]

        out_axes: Any = (-1, None) if has_aux else -1
        result = vmap(push, out_axes=out_axes)(*_basis(leaves))
        stacked, aux = result if has_aux else (result, None)
        in_single = in_tree.children()[0] if single else in_tree

        def per_output(column: Any) -> Any:
            return in_single.unflatten(_split(column, leaves, type_of(column).ndim - 1))

        value = tree.map(per_output, stacked)
        return (value, aux) if has_aux else value

    return jacobian


@boundary
def jacrev(
    fun: F,
    argnums: int | Sequence[int] = 0,
    has_aux: bool = False,
    holomorphic: bool = False,
    allow_int: bool = False,
    *,
    sparse: bool = False,
) -> F:
    """The Jacobian by reverse mode: one pass per output element, all at once. Best for wide Jacobians.

    The result's layout is that of `jacfwd`; with `sparse` rows that share no column are computed in one pass.

    >>> import funcgrad as fg
    >>> fg.jacrev(lambda x: x**2)(fg.numpy.array([1.0, 2.0]))
    Array([[2., 0.],
           [0., 4.]], dtype=float32)
    """
    require_function(fun, "jacrev")
    single = hasattr(argnums, "__index__")

    @functools.wraps(fun)
    @boundary
    def jacobian(*args: Any, **kwargs: Any) -> Any:
        if sparse:
            return _sparse_result(
                fun, argnums, has_aux, holomorphic, "jacrev", "reverse", args, kwargs, allow_int
            )
        of_moving, moving, _ = partial_on(fun, argnums, args, kwargs)
        if not allow_int:
            for leaf in tree.leaves(moving):
                _check_jacobian_leaf(leaf, holomorphic, "jacrev", "inputs")
        value, pullback, *aux = vjp(of_moving, *moving, has_aux=has_aux)
        outs, out_tree = tree.flatten(value)
        for out in outs:
            _check_jacobian_leaf(out, holomorphic, "jacrev", "outputs")
        rows = vmap(lambda *cts: pullback(out_tree.unflatten(cts)))(*_basis(outs))
        rows = rows[0] if single else rows
        in_leaves, in_tree = tree.flatten(rows)
        per_leaf = [_split(leaf, outs, 0) for leaf in in_leaves]
        per_output = [in_tree.unflatten(pieces) for pieces in zip(*per_leaf)]
        result = out_tree.unflatten(per_output)
        return (result, aux[0]) if has_aux else result

    return jacobian


jacobian = jacrev


@boundary
def hessian(
    fun: F,
    argnums: int | Sequence[int] = 0,
    has_aux: bool = False,
    holomorphic: bool = False,
    *,
    sparse: bool = False,
) -> F:
    """The Hessian of a function, as forward mode over reverse mode.

    With `sparse`, for a function with one scalar output, as `scipy.sparse.csr_matrix`, like those of `jacfwd`: its
    symmetry halves the work, or better.

    >>> import funcgrad as fg
    >>> fg.hessian(lambda x: (x**3).sum())(fg.numpy.array([1.0, 2.0]))
    Array([[ 6.,  0.],
           [ 0., 12.]], dtype=float32)
    >>> fg.hessian(lambda x: (x**3).sum(), sparse=True)(fg.numpy.array([1.0, 2.0])).toarray()
    array([[ 6.,  0.],
           [ 0., 12.]], dtype=float32)
    """
    if not sparse:
        return jacfwd(jacrev(fun, argnums, has_aux, holomorphic), argnums, has_aux, holomorphic)
    gradient = grad(fun, argnums, has_aux, holomorphic)

    @functools.wraps(fun)
    @boundary
    def sparse_hessian(*args: Any, **kwargs: Any) -> Any:
        return _sparse_result(gradient, argnums, has_aux, holomorphic, "hessian", "symmetric", args, kwargs)

    return sparse_hessian


__all__ = ["hessian", "jacfwd", "jacobian", "jacrev"]

"""Products of vectors, matrices and tensors: dot, matmul, einsum and their relatives, over dot_general."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from funcgrad import dtypes
from funcgrad.array import Array
from funcgrad.errors import ArgumentError, ShapeError, boundary
from funcgrad.numpy.creation import asarray
from funcgrad.numpy.reductions import canonical_axes
from funcgrad.numpy.reductions import sum as sum_
from funcgrad.promotion import broadcast_shapes, promote
from funcgrad.trace import ops
from funcgrad.trace.core import EAGER, state, type_of


def _operands(name: str, a: Any, b: Any, preferred: Any) -> tuple[Any, Any, np.dtype | None]:
    x, y = promote(name, a, b)
    wanted = None if preferred is None else dtypes.as_dtype(preferred)
    return asarray(x), asarray(y), wanted


@boundary
def matmul(a: Any, b: Any, *, precision: Any = None, preferred_element_type: Any = None) -> Any:
    """The matrix product over the last two axes; leading axes broadcast, and a vector is a row or a column.

    Raises ShapeError where the last axis of `a` and the second-to-last of `b` differ in length.

    >>> import funcgrad.numpy as jnp
    >>> jnp.matmul(jnp.ones((5, 2, 3)), jnp.ones((3, 4))).shape
    (5, 2, 4)
    """
    if (
        a.__class__ is Array
        and b.__class__ is Array
        and state.trace is EAGER
        and preferred_element_type is None
    ):
        x, y = a._data, b._data
        plain = x.dtype is y.dtype and x.dtype.kind in "fc" and x.dtype.itemsize >= 4
        if plain and x.ndim == y.ndim == 2 and x.shape[1] == y.shape[0]:
            return Array(x @ y)
    x, y, wanted = _operands("matmul", a, b, preferred_element_type)
    tx, ty = type_of(x), type_of(y)
    if tx.ndim == 0 or ty.ndim == 0:
        raise ShapeError(
            f"matmul of {tx} and {ty}: operands need at least one axis", hint="use * for a scalar"
        )
    row, column = tx.ndim == 1, ty.ndim == 1
    inner_x, inner_y = tx.shape[-1], ty.shape[0 if column else -2]
    if inner_x != inner_y:
        raise ShapeError(
            f"matmul of {tx} and {ty}: the last axis of the first, of length {inner_x}, meets the "
            f"{'only' if column else 'second-to-last'} axis of the second, of length {inner_y}",
            hint="transpose one of them, for example b.T",
        )
    if ty.ndim <= 2:
        numbers = (((tx.ndim - 1,), (0,)), ((), ()))
        return ops.dot_general(x, y, numbers, wanted)
    if tx.ndim <= 2 and row:
        return ops.dot_general(y, x, (((ty.ndim - 2,), (0,)), ((), ())), wanted)
    try:
        batch = broadcast_shapes(tx.shape[:-2], ty.shape[:-2])
    except ShapeError:
        raise ShapeError(
            f"matmul of {tx} and {ty}: the axes before the last two, {tx.shape[:-2]} and {ty.shape[:-2]}, do not "
            "broadcast",
            hint="the last two axes are multiplied, those before are batches: equal, or 1 in one of them",
        ) from None
    x = _with_batch(x, batch)
    y = _with_batch(y, batch)
    count = len(batch)
    dims = tuple(range(count))
    return ops.dot_general(x, y, (((count + 1,), (count,)), (dims, dims)), wanted)


def _with_batch(x: Any, batch: tuple[int, ...]) -> Any:
    return ops.broadcast_to(x, (*batch, *type_of(x).shape[-2:]))


@boundary
def dot(a: Any, b: Any, *, precision: Any = None, preferred_element_type: Any = None) -> Any:
    """The sum of products over the last axis of `a` and the second-to-last of `b`; of scalars, the product.

    Raises:
        ShapeError: lengths that differ.

    >>> import funcgrad.numpy as jnp
    >>> jnp.dot(jnp.arange(3), jnp.arange(3)).item()
    5
    """
    x, y, wanted = _operands("dot", a, b, preferred_element_type)
    tx, ty = type_of(x), type_of(y)
    if tx.ndim == 0 or ty.ndim == 0:
        return ops.mul(x, y)
    over = ty.ndim - 2 if ty.ndim > 1 else 0
    if tx.shape[-1] != ty.shape[over]:
        raise ShapeError(
            f"dot of {tx} and {ty}: lengths {tx.shape[-1]} and {ty.shape[over]} differ",
            hint="the last axis of the first meets the second-to-last of the second (the only one of a vector): "
            "transpose one of them, for example b.T, or check their order",
        )
    return ops.dot_general(x, y, (((tx.ndim - 1,), (over,)), ((), ())), wanted)


@boundary
def tensordot(
    a: Any, b: Any, axes: Any = 2, *, precision: Any = None, preferred_element_type: Any = None
) -> Any:
    """The contraction of the last `axes` axes of `a` with the first of `b`, or of the given pairs of axes.

    Raises:
        ShapeError: lengths that differ.

    >>> import funcgrad.numpy as jnp
    >>> jnp.tensordot(jnp.ones((2, 3)), jnp.ones((3, 4)), 1).shape
    (2, 4)
    """
    x, y, wanted = _operands("tensordot", a, b, preferred_element_type)
    if np.ndim(axes) == 0 and not isinstance(axes, tuple | list):
        count = operator.index(axes)
        left = tuple(range(type_of(x).ndim - count, type_of(x).ndim))
        right = tuple(range(count))
    else:
        first, second = axes
        left, right = canonical_axes("tensordot", first, x), canonical_axes("tensordot", second, y)
    return ops.dot_general(x, y, ((left, right), ((), ())), wanted)


@boundary
def vdot(a: Any, b: Any, *, precision: Any = None, preferred_element_type: Any = None) -> Any:
    """The sum of products of all elements, those of `a` conjugated.

    Raises:
        ShapeError: numbers of elements that differ.

    >>> import funcgrad.numpy as jnp
    >>> jnp.vdot(jnp.ones(3), jnp.ones(3)).item()
    3.0
    """
    x, y, _ = _operands("vdot", a, b, None)
    x, y = ops.reshape(x, (type_of(x).size,)), ops.reshape(y, (type_of(y).size,))
    if dtypes.is_complex(type_of(x).dtype):
        x = ops.conj(x)
    return dot(x, y, preferred_element_type=preferred_element_type)


@boundary
def vecdot(
    x1: Any, x2: Any, /, *, axis: int = -1, precision: Any = None, preferred_element_type: Any = None
) -> Any:
    """The sum of products along an axis, that of the first operand conjugated; other axes broadcast."""
    x, y, wanted = _operands("vecdot", x1, x2, preferred_element_type)
    (p,), (q,) = (canonical_axes("vecdot", axis, v) for v in (x, y))
    if type_of(x).shape[p] != type_of(y).shape[q]:
        raise ShapeError(
            f"vecdot along axis {axis}: {type_of(x)} and {type_of(y)} differ in length there",
            hint="an axis that is summed over does not broadcast; use (x1 * x2).sum(axis) where it should",
        )
    shape = broadcast_shapes(type_of(x).shape, type_of(y).shape)
    x, y = ops.broadcast_to(x, shape), ops.broadcast_to(y, shape)
    if dtypes.is_complex(type_of(x).dtype):
        x = ops.conj(x)
    if wanted is not None:
        x, y = ops.convert(x, wanted), ops.convert(y, wanted)
    return ops.reduce_sum(ops.mul(x, y), canonical_axes("vecdot", axis, x))


@boundary
def inner(a: Any, b: Any, *, precision: Any = None, preferred_element_type: Any = None) -> Any:
    """The sum of products over the last axes.

    Raises:
        ShapeError: lengths that differ.

    >>> import funcgrad.numpy as jnp
    >>> jnp.inner(jnp.ones((2, 3)), jnp.ones(3)).tolist()
    [3.0, 3.0]
    """
    x, y, wanted = _operands("inner", a, b, preferred_element_type)
    if type_of(x).ndim == 0 or type_of(y).ndim == 0:
        return ops.mul(x, y)
    return ops.dot_general(x, y, (((type_of(x).ndim - 1,), (type_of(y).ndim - 1,)), ((), ())), wanted)


@boundary
def outer(a: Any, b: Any, out: None = None) -> Any:
    """The products of each element of `a` with each of `b`, as a matrix.

    Raises:
        DTypeError: what is no array or number.

    >>> import funcgrad.numpy as jnp
    >>> jnp.outer(jnp.arange(2), jnp.arange(3)).tolist()
    [[0, 0, 0], [0, 1, 2]]
    """
    x, y, _ = _operands("outer", a, b, None)
    x, y = ops.reshape(x, (type_of(x).size,)), ops.reshape(y, (type_of(y).size,))
    shape = (type_of(x).size, type_of(y).size)
    return ops.mul(ops.broadcast_in_dim(x, shape, (0,)), ops.broadcast_in_dim(y, shape, (1,)))


@boundary
def kron(a: Any, b: Any) -> Any:
    """The Kronecker product: each element of `a` times the whole of `b`.

    Raises:
        DTypeError: what is no array or number.

    >>> import funcgrad.numpy as jnp
    >>> jnp.kron(jnp.array([1, 10]), jnp.array([1, 2])).tolist()
    [1, 2, 10, 20]
    """
    x, y, _ = _operands("kron", a, b, None)
    rank = max(type_of(x).ndim, type_of(y).ndim)
    sx = (1,) * (rank - type_of(x).ndim) + type_of(x).shape
    sy = (1,) * (rank - type_of(y).ndim) + type_of(y).shape
    between = [n for pair in zip(sx, sy) for n in pair]
    left = ops.broadcast_in_dim(ops.reshape(x, sx), between, range(0, 2 * rank, 2))
    right = ops.broadcast_in_dim(ops.reshape(y, sy), between, range(1, 2 * rank, 2))
    return ops.reshape(ops.mul(left, right), [m * n for m, n in zip(sx, sy)])


def _in_space(v: Any, axis: int, both: Any) -> Any:
    """A vector of the plane with a third component of 0, where the other vector has one."""
    (d,) = canonical_axes("cross", axis, v)
    lengths = {type_of(u).shape[canonical_axes("cross", axis, u)[0]] for u in both}
    if lengths != {2, 3} or type_of(v).shape[d] == 3:
        return v
    return ops.pad(v, type_of(v).dtype.type(0), [(0, int(k == d), 0) for k in range(type_of(v).ndim)])


@boundary
def cross(a: Any, b: Any, axisa: int = -1, axisb: int = -1, axisc: int = -1, axis: int | None = None) -> Any:
    """The cross product of vectors of length 3 (or 2, which gives its only component).

    Args:
        axisa, axisb, axisc: which axis of `a`, of `b` and of the result has the components.
        axis: all three in one.

    Raises ShapeError where the vectors have another length.

    >>> import funcgrad.numpy as jnp
    >>> jnp.cross(jnp.array([1, 0, 0]), jnp.array([0, 1, 0])).tolist()
    [0, 0, 1]
    """
    x, y, _ = _operands("cross", a, b, None)
    if axis is None and (axisa, axisb, axisc) != (-1, -1, -1):
        (first,), (second,) = canonical_axes("cross", axisa, x), canonical_axes("cross", axisb, y)
        x = ops.moveaxis(x, first, type_of(x).ndim - 1)
        y = ops.moveaxis(y, second, type_of(y).ndim - 1)
        result = cross(x, y)
        if type_of(result).ndim < max(type_of(x).ndim, type_of(y).ndim):
            return result
        (last,) = canonical_axes("cross", axisc, result)
        return ops.moveaxis(result, type_of(result).ndim - 1, last)
    axis = -1 if axis is None else axis
    x, y = (_in_space(v, axis, (x, y)) for v in (x, y))
    shape = broadcast_shapes(type_of(x).shape, type_of(y).shape)
    x, y = ops.broadcast_to(x, shape), ops.broadcast_to(y, shape)
    (d,) = canonical_axes("cross", axis, x)
    length = shape[d]
    if length not in (2, 3):
        raise ShapeError(
            f"cross needs vectors of length 2 or 3 along axis {axis}, got {type_of(x)}",
            hint="say with axis= which axis has the components",
        )

    def part(v: Any, i: int) -> Any:
        return ops.slice_in_dim(v, i, i + 1, axis=d)

    def component(i: int, j: int) -> Any:
        return ops.sub(ops.mul(part(x, i), part(y, j)), ops.mul(part(x, j), part(y, i)))

    if length == 2:
        return ops.reshape(component(0, 1), shape[:d] + shape[d + 1 :])
    return ops.concatenate([component(1, 2), component(2, 0), component(0, 1)], d)


# einsum: the order of contractions by NumPy, each one a dot_general.
@boundary
def einsum(
    subscripts: Any,
    /,
    *operands: Any,
    optimize: Any = "optimal",
    precision: Any = None,
    preferred_element_type: Any = None,
) -> Any:
    """Sums of products in Einstein's notation: `einsum("bij,bjk->bik", x, y)`.

    The labels may also be lists of integers, each after its operand, and the output's at the end:
    `einsum(x, [0, 1, 2], y, [0, 2, 3], [0, 1, 3])`. The order of contractions is NumPy's choice
    (`numpy.einsum_path`).

    >>> import funcgrad.numpy as jnp
    >>> jnp.einsum('ij,j->i', jnp.ones((2, 3)), jnp.ones(3)).tolist()
    [3.0, 3.0]
    """
    if not isinstance(subscripts, str):
        subscripts, operands = _spelled((subscripts, *operands))
    arrays = list(map(asarray, promote("einsum", *operands)))
    inputs, output = _parse(subscripts, arrays)
    if len(arrays) > 2:
        blanks = [np.broadcast_to(np.float32(0), type_of(a).shape) for a in arrays]
        path = np.einsum_path(",".join(inputs) + "->" + output, *blanks, optimize="greedy")[0][1:]
    else:
        path = [tuple(range(len(arrays)))]
    for positions in path:
        chosen = [(arrays[p], inputs[p]) for p in positions]
        for p in sorted(positions, reverse=True):
            del arrays[p], inputs[p]
        needed = set(output).union(*inputs)
        while len(chosen) > 1:
            (x, ix), (y, iy) = chosen[0], chosen[1]
            rest = needed.union(*[set(i) for _, i in chosen[2:]])
            chosen[:2] = [_contract(x, ix, y, iy, rest, preferred_element_type)]
        arrays.append(chosen[0][0])
        inputs.append(chosen[0][1])
    x, labels = _diagonals(arrays[0], inputs[0])
    gone = [d for d, c in enumerate(labels) if c not in output]
    x = ops.reduce_sum(x, gone)
    labels = "".join(c for c in labels if c in output)
    return ops.transpose(x, [labels.index(c) for c in output])


_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


def _spelled(given: Sequence[Any]) -> tuple[str, Sequence[Any]]:
    """The subscripts and the operands of an einsum that gives the labels as lists of integers."""
    labels = [*given[1::2], *([given[-1]] if len(given) % 2 and len(given) > 1 else [])]
    if not labels or not all(isinstance(i, list | tuple) for i in labels):
        raise ArgumentError("einsum takes its subscripts as a string", hint='write einsum("ij,jk->ik", x, y)')
    known = list({c for i in labels for c in i if c is not Ellipsis})
    if not all(isinstance(c, int | np.integer) for c in known) or len(known) > len(_LETTERS):
        raise ArgumentError(
            f"einsum with lists of labels takes up to {len(_LETTERS)} different integers, got {known}",
            hint="write einsum(x, [0, 1], y, [1, 2], [0, 2])",
        )
    known.sort()
    terms = ["".join("..." if c is Ellipsis else _LETTERS[known.index(c)] for c in i) for i in labels]
    text = ",".join(terms[: len(given) // 2])
    return text + ("->" + terms[-1] if len(given) % 2 else ""), given[: len(given) // 2 * 2 : 2]


def _parse(subscripts: str, arrays: Sequence[Any]) -> tuple[list[str], str]:
    """The labels of each operand and of the output, ellipses spelled out."""
    text = subscripts.replace(" ", "")
    left, arrow, right = text.partition("->")
    inputs = left.split(",")
    if len(inputs) != len(arrays):
        raise ArgumentError(
            f"einsum {subscripts!r} names {len(inputs)} operands, and {len(arrays)} were given",
            hint="give one operand for each term between the commas",
        )
    spare = [c for c in _LETTERS if c not in text]
    ranks = [type_of(a).ndim - len(i.replace("...", "")) for a, i in zip(arrays, inputs)]
    for a, i, rank in zip(arrays, inputs, ranks):
        if rank < 0 or (rank and "..." not in i):
            raise ShapeError(
                f"einsum {subscripts!r}: {i!r} does not fit {type_of(a)}, which has {type_of(a).ndim} axes",
                hint="give one label for each axis, or ... for the others",
            )
    widest = max([r for r, i in zip(ranks, inputs) if "..." in i], default=0)
    dots = "".join(spare[:widest])
    full = [i.replace("...", dots[widest - r :]) for i, r in zip(inputs, ranks)]
    if not arrow:
        counts = "".join(full)
        right = dots + "".join(sorted(c for c in set(counts) if counts.count(c) == 1 and c not in dots))
    else:
        right = right.replace("...", dots)
    sizes: dict[str, int] = {}
    for a, i in zip(arrays, full):
        for c, n in zip(i, type_of(a).shape):
            known = sizes.setdefault(c, n)
            if known == 1:
                sizes[c] = n
            elif n not in (1, known):
                listed = ", ".join(str(type_of(x)) for x in arrays)
                raise ShapeError(
                    f"einsum {subscripts!r} of {listed}: {c!r} stands for lengths {known} and {n}",
                    hint="axes with one label have one length: check the order of the labels and of the operands",
                )
    missing = [c for c in right if c not in sizes]
    if missing:
        raise ArgumentError(
            f"einsum {subscripts!r}: the output's {missing[0]!r} is not in any operand",
            hint="the labels after -> are some of those before it; add the label to an operand, or leave it out",
        )
    for k, (a, i) in enumerate(zip(arrays, full)):  # axes of length 1 broadcast
        shape = tuple(sizes[c] for c in i)
        if shape != type_of(a).shape:
            arrays[k] = ops.broadcast_to(a, shape)  # type: ignore[index]
    return full, right


def _diagonals(x: Any, labels: str) -> tuple[Any, str]:
    """Take the diagonal of axes that have one label."""
    for c in set(labels):
        while labels.count(c) > 1:
            i = labels.index(c)
            j = labels.index(c, i + 1)
            shape = type_of(x).shape
            rows = ops.iota(dtypes.int64, shape, i)
            columns = ops.iota(dtypes.int64, shape, j)
            x = ops.reduce_sum(ops.select(ops.eq(rows, columns), x, 0), (j,))
            labels = labels[:j] + labels[j + 1 :]
    return x, labels


def _contract(x: Any, ix: str, y: Any, iy: str, needed: set[str], preferred: Any) -> tuple[Any, str]:
    """The product of two operands, summed over labels that nothing else needs."""
    x, ix = _diagonals(x, ix)
    y, iy = _diagonals(y, iy)
    for_x = [d for d, c in enumerate(ix) if c not in iy and c not in needed]
    for_y = [d for d, c in enumerate(iy) if c not in ix and c not in needed]
    x, ix = ops.reduce_sum(x, for_x), "".join(c for d, c in enumerate(ix) if d not in for_x)
    y, iy = ops.reduce_sum(y, for_y), "".join(c for d, c in enumerate(iy) if d not in for_y)
    shared = [c for c in ix if c in iy]
    batch = [c for c in shared if c in needed]
    summed = [c for c in shared if c not in needed]
    numbers = (
        (tuple(map(ix.index, summed)), tuple(map(iy.index, summed))),
        (tuple(map(ix.index, batch)), tuple(map(iy.index, batch))),
    )
    out = ops.dot_general(x, y, numbers, None if preferred is None else dtypes.as_dtype(preferred))
    free = [c for c in ix if c not in shared] + [c for c in iy if c not in shared]
    return out, "".join(batch + free)


@boundary
def trace(
    a: Any, offset: int = 0, axis1: int = 0, axis2: int = 1, dtype: Any = None, out: None = None
) -> Any:
    """The sum along a diagonal.

    Raises:
        AxisError: an axis that there is not.

    >>> import funcgrad.numpy as jnp
    >>> jnp.trace(jnp.arange(4).reshape(2, 2)).item()
    3
    """
    return sum_(diagonal(a, offset, axis1, axis2), -1, dtype)


@boundary
def diagonal(a: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Any:
    """The elements of a diagonal, as the last axis of the result.

    >>> import funcgrad.numpy as jnp
    >>> jnp.diagonal(jnp.arange(9).reshape(3, 3), 1).tolist()
    [1, 5]
    """
    x = asarray(a)
    i, j = canonical_axes("diagonal", (axis1, axis2), x)
    order = [d for d in range(type_of(x).ndim) if d not in (i, j)] + [i, j]
    x = ops.transpose(x, order)
    *lead, rows, columns = type_of(x).shape
    down, right = min(max(-offset, 0), rows), min(max(offset, 0), columns)
    length = max(min(rows - down, columns - right), 0)
    x = ops.slice_in_dim(x, down, down + length, axis=len(lead))
    x = ops.slice_in_dim(x, right, right + length, axis=len(lead) + 1)
    shape = type_of(x).shape
    same = ops.eq(ops.iota(dtypes.int64, shape, len(lead)), ops.iota(dtypes.int64, shape, len(lead) + 1))
    if dtypes.is_bool(type_of(x).dtype):
        return ops.reduce_or(ops.and_(x, same), (len(lead),))
    return ops.reduce_sum(ops.select(same, x, 0), (len(lead),))


@boundary
def diag(v: Any, k: int = 0) -> Any:
    """The k-th diagonal of a matrix, or the matrix with a vector on it.

    Raises:
        ShapeError: more than two axes.

    >>> import funcgrad.numpy as jnp
    >>> jnp.diag(jnp.array([1, 2])).tolist()
    [[1, 0], [0, 2]]
    >>> jnp.diag(jnp.arange(4).reshape(2, 2)).tolist()
    [0, 3]
    """
    x = asarray(v)
    t = type_of(x)
    if t.ndim == 2:
        return diagonal(x, k)
    if t.ndim != 1:
        raise ShapeError(
            f"diag takes a vector or a matrix, got {t}",
            hint="use diagonal for arrays of matrices, or x.reshape(-1)",
        )
    size = t.size + max(k, -k)
    padded = ops.pad(x, t.dtype.type(0), [(max(k, 0), max(-k, 0), 0)])
    shape = (size, size)
    rows, columns = ops.iota(dtypes.int64, shape, 0), ops.iota(dtypes.int64, shape, 1)
    chosen = ops.eq(ops.add(rows, k), columns)
    return ops.select(chosen, ops.broadcast_in_dim(padded, shape, (1,)), 0)


@boundary
def diagflat(v: Any, k: int = 0) -> Any:
    """The matrix with the elements of `v`, in one row, on its k-th diagonal."""
    x = asarray(v)
    return diag(ops.reshape(x, (type_of(x).size,)), k)


@boundary
def matvec(x1: Any, x2: Any, /, *, precision: Any = None, preferred_element_type: Any = None) -> Any:
    """Products of matrices [..., m, n] and vectors [..., n]."""
    x, y = _operands("matvec", x1, x2, None)[:2]
    if type_of(x).ndim < 2 or type_of(y).ndim < 1:
        raise ShapeError(f"matvec takes a matrix and a vector, got {type_of(x)} and {type_of(y)}")
    column = ops.expand_dims(y, (type_of(y).ndim,))
    out = matmul(x, column, precision=precision, preferred_element_type=preferred_element_type)
    return ops.reshape(out, type_of(out).shape[:-1])


@boundary
def vecmat(x1: Any, x2: Any, /, *, precision: Any = None, preferred_element_type: Any = None) -> Any:
    """Products of vectors [..., n], conjugated, and matrices [..., n, m]."""
    x, y = _operands("vecmat", x1, x2, None)[:2]
    if type_of(x).ndim < 1 or type_of(y).ndim < 2:
        raise ShapeError(f"vecmat takes a vector and a matrix, got {type_of(x)} and {type_of(y)}")
    x = ops.conj(x) if dtypes.is_complex(type_of(x).dtype) else x
    row = ops.expand_dims(x, (type_of(x).ndim - 1,))
    out = matmul(row, y, precision=precision, preferred_element_type=preferred_element_type)
    return ops.reshape(out, (*type_of(out).shape[:-2], type_of(out).shape[-1]))


def einsum_path(subscripts: str, /, *operands: Any, optimize: Any = "auto") -> tuple[list[Any], Any]:
    """The order in which NumPy would contract the operands of an einsum, and a report of its cost."""
    stand_ins = [np.broadcast_to(np.float32(0), type_of(asarray(x)).shape) for x in operands]
    path, report = np.einsum_path(
        subscripts, *stand_ins, optimize="greedy" if optimize == "auto" else optimize
    )
    return path[1:], report

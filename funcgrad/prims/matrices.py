"""What the records of linear algebra are made of: operations on the last two axes, and a maker of records.

LAPACK computes, through NumPy and SciPy, and in compiled code kernels for small matrices; all other axes are batch
axes. A matrix that has no answer (singular, not positive definite) gives infinities or NaN, since a compiled function
cannot raise for some elements of a batch.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from funcgrad import dtypes
from funcgrad.errors import DTypeError, NotDifferentiableError, ShapeError
from funcgrad.ir import expr as E
from funcgrad.ir.primitive import Primitive, Sample, Zero
from funcgrad.ir.types import ArrayType
from funcgrad.prims.registry import Rule, library_call
from funcgrad.prims.samples import draw
from funcgrad.trace import ops
from funcgrad.trace.core import type_of

DTYPES = (dtypes.float32, dtypes.float64, dtypes.complex64, dtypes.complex128)


# ------------------------------------------------------------------------------------------------ matrices
def transposed(x: Any) -> Any:
    n = type_of(x).ndim
    return ops.transpose(x, [*range(n - 2), n - 1, n - 2])


def conj(x: Any) -> Any:
    return ops.conj(x) if dtypes.is_complex(type_of(x).dtype) else x


def adjoint(x: Any) -> Any:
    return conj(transposed(x))


def matmul(a: Any, b: Any) -> Any:
    n = type_of(a).ndim
    batch = tuple(range(n - 2))
    return ops.dot_general(a, b, (((n - 1,), (n - 2,)), (batch, batch)))


def _mask(t: ArrayType, keep: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> Any:
    """A constant of the matrix's size: 1 where `keep(row, column)`, else 0."""
    rows, columns = np.indices(t.shape[-2:])
    return ops.broadcast_to(keep(rows, columns).astype(t.dtype), t.shape)


def lower_triangle(x: Any, k: int = 0) -> Any:
    """The elements of a matrix on and below the k-th diagonal."""
    return ops.mul(x, _mask(type_of(x), lambda i, j: j <= i + k))


def mirrored(t: Any, lower: bool) -> Any:
    """The hermitian matrix that has one triangle of `t`, which is all that LAPACK reads of one."""
    diagonal = ops.mul(t, eye_like(type_of(t)))
    strict = ops.sub(lower_triangle(t) if lower else transposed(lower_triangle(transposed(t))), diagonal)
    if dtypes.is_complex(type_of(t).dtype):
        diagonal = as_dtype(ops.real(diagonal), type_of(t).dtype)
    return ops.add(ops.add(strict, adjoint(strict)), diagonal)


def eye_like(t: ArrayType) -> Any:
    return _mask(t, lambda i, j: i == j)


def diagonal_of(x: Any) -> Any:
    t = type_of(x)
    return ops.reduce_sum(ops.mul(x, eye_like(t)), (t.ndim - 1,))


def real_part(x: Any) -> Any:
    return ops.real(x) if dtypes.is_complex(type_of(x).dtype) else x


def as_dtype(x: Any, dtype: np.dtype) -> Any:
    return ops.convert(x, dtype)


def as_row(x: Any) -> Any:
    return ops.expand_dims(x, (type_of(x).ndim - 1,))


def as_column(x: Any) -> Any:
    return ops.expand_dims(x, (type_of(x).ndim,))


def times(x: Any, row_or_column: Any) -> Any:
    return ops.mul(x, ops.broadcast_to(as_dtype(row_or_column, type_of(x).dtype), type_of(x).shape))


# ------------------------------------------------------------------------------------------------ records
def checked(name: str, square: bool, result: Callable[..., Any]) -> Rule:
    """A type rule: one matrix (or more, of one dtype) of a dtype that LAPACK has; `result` gives the output types."""

    def rule(x: ArrayType, *others: ArrayType, **params: Any) -> Any:
        for t in (x, *others):
            if t.dtype not in DTYPES:
                names = ", ".join(map(dtypes.name, DTYPES))
                raise DTypeError(
                    f"{name} is not defined for {t}", hint=f"it takes {names}: use x.astype(float)"
                )
            if t.dtype != x.dtype:
                raise DTypeError(f"{name} takes operands of one dtype, got {x} and {t}")
        if x.ndim < 2 or (square and x.shape[-1] != x.shape[-2]):
            what = "square matrices (the last two axes)" if square else "matrices (at least two axes)"
            raise ShapeError(
                f"{name} takes {what}, got {x}", hint="reshape it, or check for a missing transpose"
            )
        return result(x, *others, **params)

    return rule


def _batch(name: str, several: bool) -> Rule:
    def batch(size: int, operands: Sequence[Any], axes: Sequence[int | None], /, **params: Any):
        moved = [
            ops.broadcast_to(x, (size, *type_of(x).shape)) if a is None else ops.moveaxis(x, a, 0)
            for x, a in zip(operands, axes)
        ]
        out = ops.apply(name, *moved, **params)
        return (out, [0] * len(out)) if several else (out, 0)

    return batch


LARGE = 64
"""Rows from which on SciPy's LAPACK is called, several times faster than NumPy's; below, what a call costs counts, and
NumPy does a batch in one."""


def each(function: Callable[..., Any], *operands: np.ndarray) -> list[np.ndarray]:
    """`function` on each matrix of a batch; its results stacked."""
    lead = operands[0].shape[:-2]
    if 0 in lead:  # some matrix tells the shapes
        parts = function(*[np.eye(*x.shape[-2:], dtype=x.dtype) for x in operands])
        return [np.empty((*lead, *part.shape), part.dtype) for part in parts]
    results = [function(*(x[index] for x in operands)) for index in itertools.product(*map(range, lead))]
    return [np.stack(part).reshape((*lead, *part[0].shape)) for part in zip(*results)]


def or_nan(function: Callable[..., Any], *operands: np.ndarray) -> Any:
    """`function` of a batch; where LAPACK refuses it, matrix by matrix, with NaN for those that it refuses."""
    try:
        return function(*operands)
    except np.linalg.LinAlgError:
        pass

    def one(*matrices: np.ndarray) -> tuple[np.ndarray, ...]:
        try:
            out = function(*matrices)
        except np.linalg.LinAlgError:
            like = function(*[np.eye(*m.shape, dtype=m.dtype) for m in matrices])
            out = [np.full_like(o, np.nan) for o in (like if isinstance(like, tuple) else (like,))]
            return tuple(out)
        return tuple(out) if isinstance(out, tuple) else (out,)

    results = each(one, *operands)
    return results[0] if len(results) == 1 else tuple(results)


def draw_symmetric(n: int, *lead: int, dtype: np.dtype = dtypes.float64, shift: float = 0.0):
    """Draws hermitian matrices; positive definite ones with a `shift`."""
    inner = draw(*lead, n, n, dtype=dtype)

    def operand(rng: Any) -> np.ndarray:
        a = inner(rng)
        a = a + np.conj(np.swapaxes(a, -1, -2))
        return (a @ np.conj(np.swapaxes(a, -1, -2)) / 4 + shift * np.eye(n) if shift else a).astype(dtype)

    return operand


def draw_well(n: int, *lead: int, dtype: np.dtype = dtypes.float64):
    inner = draw(*lead, n, n, dtype=dtype)
    return lambda rng: (inner(rng) + 3 * np.eye(n)).astype(dtype)


def samples_of(
    make: Callable[..., Any], operands: Callable[..., tuple[Any, ...]], params: Sequence[dict[str, Any]]
):
    def samples() -> Iterable[Sample]:
        for dtype in DTYPES:
            drawn = operands(
                lambda *shape, d=dtype: make(*shape, dtype=d), lambda *s, d=dtype: draw(*s, dtype=d)
            )
            yield Sample(drawn, params[0], tuple(range(len(drawn))), dtypes.name(dtype))
        for number, extra in enumerate(params[1:]):
            drawn = operands(lambda *shape: make(*shape), lambda *s: draw(*s, dtype=dtypes.float64))
            yield Sample(drawn, extra, tuple(range(len(drawn))), f"parameters {number + 1}")

    return samples


def by_routine(name: str, routine: str, how: Callable[..., tuple[Any, ...]], scratch: int = 0) -> Rule:
    """The lowering to kernels for small matrices of real numbers, which `how` gives the extents and the operations of,
    else to LAPACK. `scratch` of the operands have a copy to work in."""
    search = library_call(name)

    def lower(in_types: Sequence[ArrayType], out_types: Any, **params: Any) -> E.Extern:
        extern = search(in_types, out_types, **params)
        x = in_types[0]
        if max(x.shape[-2:]) >= LARGE or dtypes.is_complex(x.dtype):
            return extern
        matrices = math.prod(x.shape[:-2])
        settings, flops = how(*(t.shape[-2:] for t in in_types), **params)
        work_in = tuple(in_types[:scratch])
        return E.Routine(
            extern.name, extern.attributes, routine, (matrices, *settings), 2.0 * matrices * flops, work_in
        )

    return lower


def _depends(*args: Any, **params: Any) -> list[Any]:
    from funcgrad.transforms.dependence import each_matrix  # imports scipy.sparse

    return each_matrix(*args, **params)


def define(
    name: str, type_rule: Rule, evaluate: Rule, jvp: Rule | None, samples: Rule, several: bool, **more: Any
) -> Primitive:
    return Primitive(
        name=name,
        type_rule=type_rule,
        evaluate=evaluate,
        jvp=jvp,
        transpose=more.pop("transpose", None),
        batch=_batch(name, several),
        lower=more.pop("lower", None) or library_call(name),
        samples=samples,
        depends=_depends,
        multiple_results=several,
        **more,
    )


def refused(name: str, why: str) -> Rule:
    """The derivative rule of factors that have none here: only of constants."""

    def jvp(primals: Sequence[Any], tangents: Sequence[Any], **params: Any) -> tuple[Any, Any]:
        if any(t.__class__ is not Zero for t in tangents):
            raise NotDifferentiableError(f"{name}: {why}")
        out = ops.apply(name, *primals, **params)
        if isinstance(out, list | tuple):
            return out, [Zero(type_of(o).tangent()) for o in out]
        return out, Zero(type_of(out).tangent())

    return jvp

"""Linear algebra on the last two axes: solving, factors, eigenvalues and singular values.

LAPACK computes, through NumPy and SciPy, and in compiled code kernels for small matrices; all other axes are batch
axes. A matrix that has no answer (singular, not positive definite) gives infinities or NaN, since a compiled function
cannot raise for some elements of a batch.

Derivatives: M. Giles, "An extended collection of matrix derivative results for forward and reverse mode automatic
differentiation", 2008; of Cholesky factors: I. Murray, "Differentiation of the Cholesky decomposition", 2016.
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
from funcgrad.ir.types import ArrayType, array_type
from funcgrad.prims.registry import Rule, is_linear, library_call
from funcgrad.prims.samples import draw
from funcgrad.trace import ops
from funcgrad.trace.core import type_of

_DTYPES = (dtypes.float32, dtypes.float64, dtypes.complex64, dtypes.complex128)


# ------------------------------------------------------------------------------------------------ matrices
def transposed(x: Any) -> Any:
    n = type_of(x).ndim
    return ops.transpose(x, [*range(n - 2), n - 1, n - 2])


def _conj(x: Any) -> Any:
    return ops.conj(x) if dtypes.is_complex(type_of(x).dtype) else x


def _adjoint(x: Any) -> Any:
    return _conj(transposed(x))


def matmul(a: Any, b: Any) -> Any:
    n = type_of(a).ndim
    batch = tuple(range(n - 2))
    return ops.dot_general(a, b, (((n - 1,), (n - 2,)), (batch, batch)))


def _mask(t: ArrayType, keep: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> Any:
    """A constant of the matrix's size: 1 where `keep(row, column)`, else 0."""
    rows, columns = np.indices(t.shape[-2:])
    return ops.broadcast_to(keep(rows, columns).astype(t.dtype), t.shape)


def _lower(x: Any, k: int = 0) -> Any:
    """The elements of a matrix on and below the k-th diagonal."""
    return ops.mul(x, _mask(type_of(x), lambda i, j: j <= i + k))


def _mirrored(t: Any, lower: bool) -> Any:
    """The hermitian matrix that has one triangle of `t`, which is all that LAPACK reads of one."""
    diagonal = ops.mul(t, _eye(type_of(t)))
    strict = ops.sub(_lower(t) if lower else transposed(_lower(transposed(t))), diagonal)
    if dtypes.is_complex(type_of(t).dtype):
        diagonal = _as(ops.real(diagonal), type_of(t).dtype)
    return ops.add(ops.add(strict, _adjoint(strict)), diagonal)


def _eye(t: ArrayType) -> Any:
    return _mask(t, lambda i, j: i == j)


def _diagonal(x: Any) -> Any:
    t = type_of(x)
    return ops.reduce_sum(ops.mul(x, _eye(t)), (t.ndim - 1,))


def _real(x: Any) -> Any:
    return ops.real(x) if dtypes.is_complex(type_of(x).dtype) else x


def _as(x: Any, dtype: np.dtype) -> Any:
    return ops.convert(x, dtype)


def _row(x: Any) -> Any:
    return ops.expand_dims(x, (type_of(x).ndim - 1,))


def _column(x: Any) -> Any:
    return ops.expand_dims(x, (type_of(x).ndim,))


def _times(x: Any, row_or_column: Any) -> Any:
    return ops.mul(x, ops.broadcast_to(_as(row_or_column, type_of(x).dtype), type_of(x).shape))


# ------------------------------------------------------------------------------------------------ records
def _checked(name: str, square: bool, result: Callable[..., Any]) -> Rule:
    """A type rule: one matrix (or more, of one dtype) of a dtype that LAPACK has; `result` gives the output types."""

    def rule(x: ArrayType, *others: ArrayType, **params: Any) -> Any:
        for t in (x, *others):
            if t.dtype not in _DTYPES:
                names = ", ".join(map(dtypes.name, _DTYPES))
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


_LARGE = 64
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


def _or_nan(function: Callable[..., Any], *operands: np.ndarray) -> Any:
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


def _symmetric(n: int, *lead: int, dtype: np.dtype = dtypes.float64, shift: float = 0.0):
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


def _samples(
    make: Callable[..., Any], operands: Callable[..., tuple[Any, ...]], params: Sequence[dict[str, Any]]
):
    def samples() -> Iterable[Sample]:
        for dtype in _DTYPES:
            drawn = operands(
                lambda *shape, d=dtype: make(*shape, dtype=d), lambda *s, d=dtype: draw(*s, dtype=d)
            )
            yield Sample(drawn, params[0], tuple(range(len(drawn))), dtypes.name(dtype))
        for number, extra in enumerate(params[1:]):
            drawn = operands(lambda *shape: make(*shape), lambda *s: draw(*s, dtype=dtypes.float64))
            yield Sample(drawn, extra, tuple(range(len(drawn))), f"parameters {number + 1}")

    return samples


def _routine(name: str, routine: str, how: Callable[..., tuple[Any, ...]], scratch: int = 0) -> Rule:
    """The lowering to kernels for small matrices of real numbers, which `how` gives the extents and the operations of,
    else to LAPACK. `scratch` of the operands have a copy to work in."""
    search = library_call(name)

    def lower(in_types: Sequence[ArrayType], out_types: Any, **params: Any) -> E.Extern:
        extern = search(in_types, out_types, **params)
        x = in_types[0]
        if max(x.shape[-2:]) >= _LARGE or dtypes.is_complex(x.dtype):
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


def _define(
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


# ------------------------------------------------------------------------------------------------ solving
def _same_rows(name: str):
    def result(a: ArrayType, b: ArrayType, **params: Any) -> ArrayType:
        side = -2 if params.get("left_side", True) else -1
        if b.ndim != a.ndim or b.shape[:-2] != a.shape[:-2] or b.shape[side] != a.shape[-1]:
            raise ShapeError(f"{name} of {a} and {b}: sizes do not fit", hint="both need the same batch axes")
        return array_type(b.shape, b.dtype)

    return result


def _solve(xp: Any, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    if not b.size:
        return b
    if a.shape[-1] < _LARGE:
        return _or_nan(xp.linalg.solve, a, b)
    from scipy.linalg.lapack import get_lapack_funcs

    (gesv,) = get_lapack_funcs(("gesv",), (a, b))

    def one(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray]:
        x, failed = gesv(a, b)[2:]
        return (np.full_like(b, np.nan) if failed else np.ascontiguousarray(x),)

    return each(one, a, b)[0]


def _solve_jvp(primals: Sequence[Any], tangents: Sequence[Any]) -> tuple[Any, Any]:
    (a, b), (ta, tb) = primals, tangents
    x = ops.apply("linear_solve", a, b)
    right = None if tb.__class__ is Zero else tb
    if ta.__class__ is not Zero:
        moved = ops.neg(matmul(ta, x))
        right = moved if right is None else ops.add(right, moved)
    return x, Zero(type_of(x).tangent()) if right is None else ops.apply("linear_solve", a, right)


def _solve_transpose(ct: Any, a: Any, b: Any) -> list[Any]:
    if is_linear(a):
        raise NotDifferentiableError("linear_solve is not linear in the matrix")
    return [None, Zero(b.type) if ct.__class__ is Zero else ops.apply("linear_solve", transposed(a), ct)]


linear_solve_p = _define(
    "linear_solve",
    _checked("solve", True, _same_rows("solve")),
    _solve,
    _solve_jvp,
    _samples(draw_well, lambda square, any_: (square(3), any_(3, 2)), [{}]),
    False,
    transpose=_solve_transpose,
    lower=_routine("linear_solve", "solve", lambda a, b: (b, b[0] ** 3 / 3 + b[0] ** 2 * b[1]), scratch=1),
)


def _triangular(
    xp: Any,
    a: np.ndarray,
    b: np.ndarray,
    *,
    left_side: bool,
    lower: bool,
    transpose_a: bool,
    conjugate_a: bool,
    unit_diagonal: bool,
) -> np.ndarray:
    from scipy.linalg.blas import get_blas_funcs

    if not b.size:
        return b
    (trsm,) = get_blas_funcs(("trsm",), (a, b))
    a = np.conj(a) if conjugate_a and not transpose_a else a
    how = (2 if conjugate_a else 1) if transpose_a else 0

    def one(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray]:
        return (
            trsm(1, a, b, side=int(not left_side), lower=int(lower), trans_a=how, diag=int(unit_diagonal)),
        )

    return np.ascontiguousarray(each(one, a, b)[0])


def _triangle(a: Any, lower: bool, unit_diagonal: bool) -> Any:
    k = -1 if unit_diagonal else 0
    return _lower(a, k) if lower else transposed(_lower(transposed(a), k))


def _triangular_jvp(primals: Sequence[Any], tangents: Sequence[Any], **params: Any) -> tuple[Any, Any]:
    (a, b), (ta, tb) = primals, tangents
    x = ops.apply("triangular_solve", a, b, **params)
    right = None if tb.__class__ is Zero else tb
    if ta.__class__ is not Zero:
        ta = _triangle(ta, params["lower"], params["unit_diagonal"])
        ta = transposed(ta) if params["transpose_a"] else ta
        ta = _conj(ta) if params["conjugate_a"] else ta
        moved = ops.neg(matmul(ta, x) if params["left_side"] else matmul(x, ta))
        right = moved if right is None else ops.add(right, moved)
    if right is None:
        return x, Zero(type_of(x).tangent())
    return x, ops.apply("triangular_solve", a, right, **params)


def _triangular_transpose(ct: Any, a: Any, b: Any, **params: Any) -> list[Any]:
    if is_linear(a):
        raise NotDifferentiableError("triangular_solve is not linear in the matrix")
    if ct.__class__ is Zero:
        return [None, Zero(b.type)]
    return [
        None,
        ops.apply("triangular_solve", a, ct, **{**params, "transpose_a": not params["transpose_a"]}),
    ]


def _triangular_extents(a: Any, b: Any, **params: Any) -> tuple[Any, ...]:
    how = [int(params[k]) for k in ("left_side", "lower", "transpose_a", "unit_diagonal")]
    return (*b, *how), a[0] * math.prod(b) / 2


_PLAIN = {
    "left_side": True,
    "lower": True,
    "transpose_a": False,
    "conjugate_a": False,
    "unit_diagonal": False,
}
triangular_solve_p = _define(
    "triangular_solve",
    _checked("triangular_solve", True, _same_rows("triangular_solve")),
    _triangular,
    _triangular_jvp,
    _samples(
        draw_well,
        lambda square, any_: (square(3), any_(3, 3)),
        [
            _PLAIN,
            {**_PLAIN, "lower": False},
            {**_PLAIN, "left_side": False},
            {**_PLAIN, "transpose_a": True, "unit_diagonal": True},
        ],
    ),
    False,
    transpose=_triangular_transpose,
    lower=_routine("triangular_solve", "triangular_solve", _triangular_extents),
)


# ------------------------------------------------------------------------------------------------ factors
def _cholesky(xp: Any, x: np.ndarray) -> np.ndarray:
    if x.shape[-1] < _LARGE or not x.size:
        return xp.tril(_or_nan(xp.linalg.cholesky, x))
    from scipy.linalg.lapack import get_lapack_funcs

    (potrf,) = get_lapack_funcs(("potrf",), (x,))

    def one(a: np.ndarray) -> tuple[np.ndarray]:
        upper, failed = potrf(a.T, lower=0, clean=1)  # the upper factor by columns is the lower one by rows
        return (np.full_like(a, np.nan) if failed else upper.T,)

    return each(one, x)[0]


def _cholesky_jvp(primals: Sequence[Any], tangents: Sequence[Any]) -> tuple[Any, Any]:
    (x,), (t,) = primals, tangents
    factor = ops.apply("cholesky", x)
    if t.__class__ is Zero:
        return factor, Zero(type_of(factor).tangent())
    t = _mirrored(t, True)
    inner = ops.apply("triangular_solve", factor, t, **_PLAIN)
    right = {
        **_PLAIN,
        "left_side": False,
        "transpose_a": True,
        "conjugate_a": dtypes.is_complex(type_of(x).dtype),
    }
    inner = ops.apply("triangular_solve", factor, inner, **right)
    half = ops.sub(_lower(inner), ops.div(ops.mul(inner, _eye(type_of(inner))), 2))
    return factor, matmul(factor, half)


cholesky_p = _define(
    "cholesky",
    _checked("cholesky", True, lambda x: array_type(x.shape, x.dtype)),
    _cholesky,
    _cholesky_jvp,
    _samples(lambda *s, **d: _symmetric(*s[::-1], shift=1.0, **d), lambda square, any_: (square(3),), [{}]),
    False,
    lower=_routine("cholesky", "cholesky", lambda a: (a[:1], a[0] ** 3 / 6)),
)


def _lu(xp: Any, x: np.ndarray) -> list[np.ndarray]:
    from scipy.linalg.lapack import get_lapack_funcs

    (getrf,) = get_lapack_funcs(("getrf",), (x,))

    def one(a: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        factors, pivots, _ = getrf(a)
        order = np.arange(a.shape[0])
        for i, p in enumerate(pivots):
            order[[i, p]] = order[[p, i]]
        return factors, pivots.astype(np.int32), order.astype(np.int32)

    return each(one, x)


def _lu_type(x: ArrayType) -> list[ArrayType]:
    *lead, m, n = x.shape
    return [
        array_type(x.shape, x.dtype),
        array_type((*lead, min(m, n)), dtypes.int32),
        array_type((*lead, m), dtypes.int32),
    ]


def _lu_jvp(primals: Sequence[Any], tangents: Sequence[Any]) -> tuple[Any, Any]:
    (x,), (t,) = primals, tangents
    factors, pivots, order = ops.apply("lu", x)
    nothing = [Zero(type_of(o).tangent()) for o in (factors, pivots, order)]
    if t.__class__ is Zero:
        return [factors, pivots, order], nothing
    shape = type_of(x).shape
    if shape[-1] != shape[-2]:
        raise NotDifferentiableError(
            f"the derivative of lu is there for square matrices only, got {type_of(x)}", hint="use qr"
        )
    columns = ops.iota(dtypes.int32, shape, len(shape) - 1)
    wide = ops.broadcast_in_dim(order, shape, tuple(range(len(shape) - 1)))
    permuted = matmul(_as(ops.eq(wide, columns), type_of(t).dtype), t)
    inner = ops.apply("triangular_solve", factors, permuted, **{**_PLAIN, "unit_diagonal": True})
    inner = ops.apply("triangular_solve", factors, inner, **{**_PLAIN, "left_side": False, "lower": False})
    unit = ops.add(_lower(factors, -1), _eye(type_of(factors)))
    upper = ops.sub(factors, _lower(factors, -1))
    moved = ops.add(matmul(unit, _lower(inner, -1)), matmul(ops.sub(inner, _lower(inner, -1)), upper))
    return [factors, pivots, order], [moved, *nothing[1:]]


lu_p = _define(
    "lu",
    _checked("lu", False, _lu_type),
    _lu,
    _lu_jvp,
    _samples(draw_well, lambda square, any_: (square(3),), [{}]),
    True,
    lower=_routine("lu", "lu", lambda x: (x, max(x) * min(x) ** 2 / 2 - min(x) ** 3 / 6)),
)


def _qr_type(x: ArrayType, *, full_matrices: bool) -> list[ArrayType]:
    *lead, m, n = x.shape
    k = m if full_matrices else min(m, n)
    return [array_type((*lead, m, k), x.dtype), array_type((*lead, k, n), x.dtype)]


def _qr_jvp(primals: Sequence[Any], tangents: Sequence[Any], *, full_matrices: bool) -> tuple[Any, Any]:
    (x,), (t,) = primals, tangents
    q, r = ops.apply("qr", x, full_matrices=full_matrices)
    if t.__class__ is Zero:
        return [q, r], [Zero(type_of(o).tangent()) for o in (q, r)]
    m, n = type_of(x).shape[-2:]
    if m < n or (full_matrices and m != n):
        raise NotDifferentiableError(
            f"the derivative of qr is there for mode='reduced' and at least as many rows as columns, got {type_of(x)}"
        )
    scaled = ops.apply("triangular_solve", r, t, **{**_PLAIN, "left_side": False, "lower": False})
    inner = matmul(_adjoint(q), scaled)
    below = _lower(inner, -1)
    turn = ops.sub(below, _adjoint(below))
    if dtypes.is_complex(type_of(x).dtype):
        diagonal = ops.mul(inner, _eye(type_of(inner)))
        turn = ops.add(turn, ops.div(ops.sub(diagonal, ops.conj(diagonal)), 2))
    dq = ops.add(matmul(q, ops.sub(turn, inner)), scaled)
    return [q, r], [dq, matmul(ops.sub(inner, turn), r)]


qr_p = _define(
    "qr",
    _checked("qr", False, _qr_type),
    lambda xp, x, *, full_matrices: list(xp.linalg.qr(x, "complete" if full_matrices else "reduced")),
    _qr_jvp,
    _samples(
        draw_well, lambda square, any_: (square(3),), [{"full_matrices": False}, {"full_matrices": True}]
    ),
    True,
)


# ------------------------------------------------------------------------------------------------ spectra
def _eigh_type(x: ArrayType, *, lower: bool) -> list[ArrayType]:
    return [array_type(x.shape[:-1], dtypes.real_of(x.dtype)), array_type(x.shape, x.dtype)]


def _eigh(xp: Any, x: np.ndarray, *, lower: bool) -> list[np.ndarray]:
    if x.shape[-1] < _LARGE or not x.size:
        return list(_or_nan(lambda a: tuple(xp.linalg.eigh(a, "L" if lower else "U")), x))
    from scipy.linalg.lapack import get_lapack_funcs

    (evd,) = get_lapack_funcs(("heevd" if x.dtype.kind == "c" else "syevd",), (x,))

    def one(a: np.ndarray) -> list[np.ndarray]:
        *outs, failed = evd(a, lower=int(lower))
        return [np.full_like(o, np.nan) for o in outs] if failed else outs

    return each(one, x)


def _apart(values: Any) -> Any:
    """1 / (value of the column - value of the row) off the diagonal, 0 on it."""
    t = type_of(values)
    shape = (*t.shape, t.shape[-1])
    difference = ops.sub(ops.broadcast_to(_row(values), shape), ops.broadcast_to(_column(values), shape))
    eye = _eye(type_of(difference))
    return ops.sub(ops.div(1, ops.add(difference, eye)), eye)


def _eigh_jvp(primals: Sequence[Any], tangents: Sequence[Any], *, lower: bool) -> tuple[Any, Any]:
    (x,), (t,) = primals, tangents
    w, v = ops.apply("eigh", x, lower=lower)
    if t.__class__ is Zero:
        return [w, v], [Zero(type_of(o).tangent()) for o in (w, v)]
    t = _mirrored(t, lower)
    inner = matmul(_adjoint(v), matmul(t, v))
    return [w, v], [_real(_diagonal(inner)), matmul(v, _times(inner, _apart(w)))]


eigh_p = _define(
    "eigh",
    _checked("eigh", True, _eigh_type),
    _eigh,
    _eigh_jvp,
    lambda: [
        Sample(
            (_symmetric(3, dtype=d),),
            {"lower": lower},
            (0,) if not dtypes.is_complex(d) else (),
            dtypes.name(d),
        )
        for d in _DTYPES
        for lower in (True, False)
    ],
    True,
)


def _svd_type(x: ArrayType, *, full_matrices: bool, compute_uv: bool) -> list[ArrayType]:
    *lead, m, n = x.shape
    k = min(m, n)
    s = array_type((*lead, k), dtypes.real_of(x.dtype))
    if not compute_uv:
        return [s]
    rows, columns = (m, n) if full_matrices else (k, k)
    return [s, array_type((*lead, m, rows), x.dtype), array_type((*lead, columns, n), x.dtype)]


def _svd(xp: Any, x: np.ndarray, *, full_matrices: bool, compute_uv: bool) -> list[np.ndarray]:
    if min(x.shape[-2:]) >= _LARGE and x.size:
        return _large_svd(x, full_matrices, compute_uv)
    if not compute_uv:
        return [_or_nan(lambda a: xp.linalg.svd(a, compute_uv=False), x)]
    u, s, v = _or_nan(lambda a: tuple(xp.linalg.svd(a, full_matrices)), x)
    return [s, u, v]


def _large_svd(x: np.ndarray, full_matrices: bool, compute_uv: bool) -> list[np.ndarray]:
    from scipy.linalg.lapack import get_lapack_funcs

    (gesdd,) = get_lapack_funcs(("gesdd",), (x,))

    def one(a: np.ndarray) -> list[np.ndarray]:
        u, s, v, failed = gesdd(a, compute_uv=int(compute_uv), full_matrices=int(full_matrices))
        outs = [s, u, v] if compute_uv else [s]
        return [np.full_like(o, np.nan) for o in outs] if failed else outs

    return each(one, x)


def _svd_jvp(
    primals: Sequence[Any], tangents: Sequence[Any], *, full_matrices: bool, compute_uv: bool
) -> tuple[Any, Any]:
    (x,), (t,) = primals, tangents
    params = {"full_matrices": full_matrices, "compute_uv": compute_uv}
    if t.__class__ is Zero:
        outs = ops.apply("svd", x, **params)
        return outs, [Zero(type_of(o).tangent()) for o in outs]
    m, n = type_of(x).shape[-2:]
    if compute_uv and full_matrices and m != n:
        raise NotDifferentiableError(
            f"the derivative of svd needs full_matrices=False for matrices that are not square, got {type_of(x)}"
        )
    s, u, vt = ops.apply("svd", x, full_matrices=False, compute_uv=True)
    v, ut = _adjoint(vt), _adjoint(u)
    inner = matmul(ut, matmul(t, v))
    ds = _real(_diagonal(inner))
    if not compute_uv:
        return [s], [ds]
    square = type_of(inner).shape
    row, column = ops.broadcast_to(_row(s), square), ops.broadcast_to(_column(s), square)
    eye = _eye(type_of(row))
    apart = ops.sub(ops.div(1, ops.add(ops.mul(ops.add(row, column), ops.sub(row, column)), eye)), eye)
    by_row, by_column = _times(inner, row), _times(inner, column)
    zero = _as(ops.eq(s, 0), type_of(s).dtype)
    inverse = ops.sub(ops.div(1, ops.add(s, zero)), zero)
    skew = ops.div(ops.sub(inner, _adjoint(inner)), 2)
    skew = _times(skew, ops.mul(eye, ops.broadcast_to(_row(inverse), square)))
    du = matmul(u, ops.add(_times(ops.add(by_row, _adjoint(by_row)), apart), skew))
    dv = matmul(v, _times(ops.add(by_column, _adjoint(by_column)), apart))
    if m > n:
        outside = matmul(t, v)
        du = ops.add(du, _times(ops.sub(outside, matmul(u, matmul(ut, outside))), _row(inverse)))
    if n > m:
        outside = matmul(_adjoint(t), u)
        dv = ops.add(dv, _times(ops.sub(outside, matmul(v, matmul(vt, outside))), _row(inverse)))
    return [s, u, vt], [ds, du, _adjoint(dv)]


_ALL = {"full_matrices": False, "compute_uv": True}
svd_p = _define(
    "svd",
    _checked("svd", False, _svd_type),
    _svd,
    _svd_jvp,
    lambda: [
        Sample(
            (draw(*shape, dtype=d),), params, (0,) if d == dtypes.float64 else (), f"{dtypes.name(d)}{shape}"
        )
        for d in _DTYPES
        for shape, params in (((3, 2), _ALL), ((2, 3), {**_ALL, "compute_uv": False}), ((2, 3), _ALL))
    ],
    True,
)


def _eigvals_type(x: ArrayType) -> ArrayType:
    return array_type(x.shape[:-1], dtypes.promote_dtypes(x.dtype, dtypes.complex64))


def _eigvals_jvp(primals: Sequence[Any], tangents: Sequence[Any]) -> tuple[Any, Any]:
    (x,), (t,) = primals, tangents
    w = ops.apply("eigvals", x)
    if t.__class__ is Zero:
        return w, Zero(type_of(w).tangent())
    _, v = ops.apply("eig", x)
    moved = ops.apply("linear_solve", v, matmul(_as(t, type_of(v).dtype), v))
    return w, _diagonal(moved)


def _sorted_spectrum(xp: Any, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    wide = dtypes.promote_dtypes(x.dtype, dtypes.complex64)
    w, v = _or_nan(lambda a: tuple(xp.linalg.eig(a)), x)
    return w.astype(wide), v.astype(wide)


eigvals_p = _define(
    "eigvals",
    _checked("eigvals", True, _eigvals_type),
    lambda xp, x: _sorted_spectrum(xp, x)[0],
    _eigvals_jvp,
    lambda: [Sample((draw_well(3, dtype=d),), {}, (), dtypes.name(d)) for d in _DTYPES],
    False,
)
eig_p = _define(
    "eig",
    _checked("eig", True, lambda x: [_eigvals_type(x), array_type(x.shape, _eigvals_type(x).dtype)]),
    lambda xp, x: list(_sorted_spectrum(xp, x)),
    refused("eig", "eigenvectors of a general matrix have no derivative here; use eigvals, or eigh"),
    lambda: [Sample((draw_well(3, dtype=d),), {}, (), dtypes.name(d)) for d in _DTYPES],
    True,
)


def _expm(xp: Any, x: np.ndarray) -> np.ndarray:
    from scipy.linalg import expm

    return expm(x).astype(x.dtype)


def _expm_jvp(primals: Sequence[Any], tangents: Sequence[Any]) -> tuple[Any, Any]:
    (x,), (t,) = primals, tangents
    out = ops.apply("expm", x)
    return out, Zero(type_of(out).tangent()) if t.__class__ is Zero else ops.apply("expm_frechet", x, t)


expm_p = _define(
    "expm",
    _checked("expm", True, lambda x: array_type(x.shape, x.dtype)),
    _expm,
    _expm_jvp,
    lambda: [Sample((draw(3, 3, dtype=d, scale=0.3),), {}, (0,), dtypes.name(d)) for d in _DTYPES],
    False,
)


def _block(x: Any, t: Any, below: Any) -> Any:
    """[[x, t], [0, below]]"""
    rank = type_of(x).ndim
    upper = ops.concatenate([x, t], rank - 1)
    lower = ops.concatenate([ops.full_like(x, 0), below], rank - 1)
    return ops.concatenate([upper, lower], rank - 2)


def _upper_right(whole: Any) -> Any:
    rank, n = type_of(whole).ndim, type_of(whole).shape[-1] // 2
    return ops.slice_in_dim(ops.slice_in_dim(whole, 0, n, axis=rank - 2), n, 2 * n, axis=rank - 1)


def _frechet(xp: Any, x: np.ndarray, t: np.ndarray) -> np.ndarray:
    """The derivative in direction `t`: a block of the exponential of a matrix of twice the size."""
    n = x.shape[-1]
    whole = xp.block([[x, t], [xp.zeros_like(x), x]])
    return _expm(xp, whole)[..., :n, n:]


def _frechet_jvp(primals: Sequence[Any], tangents: Sequence[Any]) -> tuple[Any, Any]:
    (x, e), (tx, te) = primals, tangents
    out = ops.apply("expm_frechet", x, e)
    total = None if te.__class__ is Zero else ops.apply("expm_frechet", x, te)
    if tx.__class__ is not Zero:
        moved = ops.apply("expm_frechet", _block(x, e, x), _block(tx, ops.full_like(x, 0), tx))
        moved = _upper_right(moved)
        total = moved if total is None else ops.add(total, moved)
    return out, Zero(type_of(out).tangent()) if total is None else total


def _frechet_transpose(ct: Any, x: Any, t: Any) -> list[Any]:
    return [None, Zero(t.type) if ct.__class__ is Zero else ops.apply("expm_frechet", transposed(x), ct)]


expm_frechet_p = _define(
    "expm_frechet",
    _checked("expm_frechet", True, lambda x, t: array_type(x.shape, x.dtype)),
    _frechet,
    _frechet_jvp,
    lambda: [
        Sample((draw(2, 2, dtype=d, scale=0.3), draw(2, 2, dtype=d)), {}, (0, 1), dtypes.name(d))
        for d in _DTYPES
    ],
    False,
    transpose=_frechet_transpose,
)

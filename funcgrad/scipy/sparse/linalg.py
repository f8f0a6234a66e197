"""Iterative solvers of linear systems: `cg`, `bicgstab` and `gmres`, on matrices or functions of trees.

The loops stop by `while_loop`; derivatives come from the system itself (`lax.custom_linear_solve`), by solving it, or
its transpose, with the same method.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from funcgrad import dtypes, tree
from funcgrad.errors import ArgumentError, ShapeError, boundary
from funcgrad.flatten_util import ravel_pytree
from funcgrad.lax.control import fori_loop, while_loop
from funcgrad.lax.solvers import custom_linear_solve
from funcgrad.numpy import linalg as dense
from funcgrad.numpy.creation import asarray, zeros, zeros_like
from funcgrad.numpy.elementwise import where
from funcgrad.numpy.products import matmul, vdot
from funcgrad.trace.core import type_of

F = Callable[..., Any]


def _product(a: Any, b: Any) -> Any:
    """The inner product of two trees, that of the first conjugated."""
    return sum(vdot(x, y) for x, y in zip(tree.leaves(a), tree.leaves(b)))


def _size2(a: Any) -> Any:
    """The squared length of a tree."""
    return _product(a, a).real


def _plus(a: Any, scale: Any, b: Any) -> Any:
    """a + scale b, in the dtypes of a."""
    return tree.map(lambda x, y: (x + scale * y).astype(type_of(x).dtype), a, b)


def _minus(a: Any, b: Any) -> Any:
    return tree.map(lambda x, y: x - y, a, b)


def _chosen(condition: Any, a: Any, b: Any) -> Any:
    return tree.map(lambda x, y: where(condition, x, y), a, b)


def _ratio(a: Any, b: Any) -> Any:
    """a / b, and 0 where b is 0: a method that has broken down stays where it is."""
    still = b == 0
    return where(still, 0, a / where(still, 1, b))


def _function(name: str, a: Any) -> F:
    if a is None:
        return lambda x: x
    if callable(a):
        return a
    matrix = asarray(a)
    t = type_of(matrix)
    if t.ndim != 2 or t.shape[0] != t.shape[1]:
        raise ShapeError(f"{name} takes a square matrix or a function; got {t}", hint="use vmap for batches")
    return lambda x: matmul(matrix, x)


def _solve(
    method: F,
    name: str,
    A: Any,
    b: Any,
    x0: Any,
    M: Any,
    tol: Any,
    atol: Any,
    maxiter: int | None,
    hermitian: bool,
) -> tuple[Any, None]:
    multiply, precondition = _function(name, A), _function(name, M)
    b = tree.map(asarray, b)
    start = tree.map(zeros_like, b) if x0 is None else tree.map(asarray, x0)
    if tree.structure(start) != tree.structure(b):
        raise ArgumentError(
            f"{name}: x0 has the structure {tree.structure(start)}, and b {tree.structure(b)}",
            hint="start with a tree like b",
        )
    for x, y in zip(tree.leaves(start), tree.leaves(b)):
        if type_of(x).shape != type_of(y).shape:
            raise ShapeError(
                f"{name}: x0 has {type_of(x)} where b has {type_of(y)}", hint="start with a tree like b"
            )
        if not dtypes.is_inexact(type_of(y).dtype):
            raise ArgumentError(
                f"{name} solves in floats, and b has {type_of(y)}", hint="use b.astype(float)"
            )
    count = sum(type_of(x).size for x in tree.leaves(b))
    limit = 10 * count if maxiter is None else maxiter

    def run(matvec: F, right: Any) -> Any:
        enough = (tol**2 * _size2(right), asarray(atol**2).astype(type_of(_size2(right)).dtype))
        threshold = where(enough[0] > enough[1], *enough)
        return method(matvec, right, start, precondition, threshold, limit)

    real = all(not dtypes.is_complex(type_of(x).dtype) for x in tree.leaves(b))
    x = custom_linear_solve(multiply, b, run, transpose_solve=run, symmetric=hermitian and real)
    return x, None


def _cg(A: F, b: Any, x: Any, M: F, threshold: Any, limit: Any) -> Any:
    r = _minus(b, A(x))
    z = M(r)
    gamma = _product(r, z).real

    def going(state: Any) -> Any:
        _, r, _, _, k = state
        return (_size2(r) > threshold) & (k < limit)

    def step(state: Any) -> Any:
        x, r, p, gamma, k = state
        moved = A(p)
        alpha = _ratio(gamma, _product(p, moved).real)
        x, r = _plus(x, alpha, p), _plus(r, -alpha, moved)
        z = M(r)
        new = _product(r, z).real
        return x, r, _plus(z, _ratio(new, gamma), p), new, k + 1

    return while_loop(going, step, (x, r, z, gamma, 0))[0]


def _bicgstab(A: F, b: Any, x: Any, M: F, threshold: Any, limit: Any) -> Any:
    r = _minus(b, A(x))
    shadow = r
    dtype = type_of(_product(r, r)).dtype
    one = asarray(1, dtype)

    def going(state: Any) -> Any:
        _, r, *_, k = state
        return (_size2(r) > threshold) & (k < limit) & (k >= 0)

    def step(state: Any) -> Any:
        x, r, p, q, alpha, omega, rho, k = state
        new = _product(shadow, r)
        beta = _ratio(new, rho) * _ratio(alpha, omega)
        p = _plus(r, beta, _plus(p, -omega, q))
        p_hat = M(p)
        q = A(p_hat)
        alpha = _ratio(new, _product(shadow, q))
        s = _plus(r, -alpha, q)
        early = _size2(s) < threshold
        s_hat = M(s)
        t = A(s_hat)
        omega = _ratio(_product(t, s), _product(t, t))
        half = _plus(x, alpha, p_hat)
        x = _chosen(early, half, _plus(half, omega, s_hat))
        r = _chosen(early, s, _plus(s, -omega, t))
        lost = (new == 0) | (alpha == 0) | ((omega == 0) & ~early)
        k = where(lost, -1, k + 1)
        return x, r, p, q, alpha.astype(dtype), omega.astype(dtype), new.astype(dtype), k

    nothing = tree.map(zeros_like, r)
    state = (x, r, nothing, nothing, one, one, one, asarray(0))
    return while_loop(going, step, state)[0]


def _gmres(restart: int) -> F:
    """GMRES of Y. Saad and M. Schultz (1986), started again after `restart` steps, preconditioned from the left."""

    def method(A: F, b: Any, x: Any, M: F, threshold: Any, limit: Any) -> Any:
        flat, back = ravel_pytree(x)
        steps = min(restart, type_of(flat).size)
        line = lambda v: ravel_pytree(v)[0]  # noqa: E731

        def residual(x: Any) -> Any:
            return line(M(_minus(b, A(back(x)))))

        def going(state: Any) -> Any:
            x, k = state
            return (_size2(_minus(b, A(back(x)))) > threshold) & (k < limit)

        def cycle(state: Any) -> Any:
            x, k = state
            r = residual(x)
            size = dense.norm(r)
            basis = zeros((steps + 1, r.shape[0]), r.dtype).at[0].set(_ratio(r, size))
            columns = zeros((steps, steps + 1), r.dtype)

            def arnoldi(j: Any, state: Any) -> Any:
                basis, columns = state
                w = line(M(A(back(basis[j]))))
                total = zeros((steps + 1,), r.dtype)
                for _ in range(2):  # orthogonal to working precision
                    part = matmul(basis.conj(), w)
                    w, total = w - matmul(part, basis), total + part
                length = dense.norm(w)
                alive = length > 10 * dtypes.finfo(length.dtype).eps * dense.norm(total)
                length = where(alive, length, 0)
                basis = basis.at[j + 1].set(where(alive, _ratio(w, length), 0))
                return basis, columns.at[j].set(total.at[j + 1].set(length.astype(r.dtype)))

            basis, columns = fori_loop(0, steps, arnoldi, (basis, columns))
            right = zeros((steps + 1,), r.dtype).at[0].set(size.astype(r.dtype))
            y = matmul(dense.pinv(columns.T), right)
            return x + matmul(y, basis[:-1]), k + 1

        return back(while_loop(going, cycle, (flat, 0))[0])

    return method


_ARGUMENTS = """

    Args:
        A: a square matrix, or a linear function from trees like `b` to trees like `b`.
        b: a tree of float or complex arrays.
        x0: where to start; zeros by default. The result has no derivative with respect to it.
        tol, atol: stop where the length of b - A x is at most max(tol * length of b, atol).
        maxiter: the most iterations; ten times the number of unknowns by default.
        M: an approximation of the inverse of A, as a matrix or function.

    Returns (x, None): the second says nothing, as in JAX. Raises ArgumentError and ShapeError where x0 or what A
    returns is not like b.
"""


@boundary
def cg(
    A: Any,
    b: Any,
    x0: Any = None,
    *,
    tol: Any = 1e-5,
    atol: Any = 0.0,
    maxiter: int | None = None,
    M: Any = None,
) -> tuple[Any, None]:
    return _solve(_cg, "cg", A, b, x0, M, tol, atol, maxiter, hermitian=True)


@boundary
def bicgstab(
    A: Any,
    b: Any,
    x0: Any = None,
    *,
    tol: Any = 1e-5,
    atol: Any = 0.0,
    maxiter: int | None = None,
    M: Any = None,
) -> tuple[Any, None]:
    return _solve(_bicgstab, "bicgstab", A, b, x0, M, tol, atol, maxiter, hermitian=False)


@boundary
def gmres(
    A: Any,
    b: Any,
    x0: Any = None,
    *,
    tol: Any = 1e-5,
    atol: Any = 0.0,
    restart: int = 20,
    maxiter: int | None = None,
    M: Any = None,
    solve_method: str = "batched",
) -> tuple[Any, None]:
    if solve_method not in ("batched", "incremental"):
        raise ArgumentError(f"gmres: solve_method={solve_method!r}", hint="use 'batched' or 'incremental'")
    method = _gmres(max(int(restart), 1))
    return _solve(method, "gmres", A, b, x0, M, tol, atol, maxiter, hermitian=False)


cg.__doc__ = f"""x of A x = b for Hermitian positive definite A, by conjugate gradients.{_ARGUMENTS}
    >>> import funcgrad as fg
    >>> a = fg.numpy.array([[4.0, 1.0], [1.0, 3.0]])
    >>> x, _ = fg.scipy.sparse.linalg.cg(lambda x: a @ x, a @ fg.numpy.ones(2))
    >>> fg.numpy.round(x, 3)
    Array([1., 1.], dtype=float32)
    """
bicgstab.__doc__ = f"x of A x = b, by stabilized biconjugate gradients (H. van der Vorst, 1992).{_ARGUMENTS}"
gmres.__doc__ = (
    "x of A x = b, by generalised minimal residuals; `restart` is the number of vectors that are kept, and maxiter "
    f"counts restarts. `solve_method` is accepted for JAX's sake.{_ARGUMENTS}"
)

__all__ = ["bicgstab", "cg", "gmres"]

"""Minimisation, under the names of `jax.scipy.optimize`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import funcgrad.numpy as jnp
from funcgrad.api import value_and_grad
from funcgrad.errors import ArgumentError, boundary
from funcgrad.lax.control import while_loop
from funcgrad.trace.core import type_of


class OptimizeResults(NamedTuple):
    """What a minimisation found.

    Attributes:
        x, fun, jac: the last point, the value and the gradient there.
        success: whether the gradient is small enough.
        status: 0 for success, 1 where `maxiter` was reached, 3 where the line search found nothing.
        hess_inv: the estimate of the inverse Hessian.
        nfev, njev, nit: evaluations of the function and of its gradient, and iterations.
    """

    x: Any
    success: Any
    status: Any
    fun: Any
    jac: Any
    hess_inv: Any
    nfev: Any
    njev: Any
    nit: Any


class _Step(NamedTuple):
    """A step along a line: its length, and value, gradient and slope at its end."""

    length: Any
    value: Any
    gradient: Any
    slope: Any


class _Search(NamedTuple):
    low: _Step
    high: _Step
    best: _Step
    bracketed: Any
    done: Any
    count: Any


_DECREASE, _CURVATURE = 1e-4, 0.9
_MOST_STEPS = 30


def _line_search(evaluate: Callable[[Any], _Step], start: _Step) -> tuple[_Step, Any, Any]:
    """A step that satisfies the strong Wolfe conditions, whether there is one, and how many were tried.

    Steps double until a minimum is bracketed, and then the bracket is cut at the minimum of a parabola or in the
    middle: Nocedal and Wright, Numerical Optimization, 2006, algorithms 3.5 and 3.6.
    """

    def enough(step: _Step) -> Any:
        return step.value <= start.value + _DECREASE * step.length * start.slope

    def flat(step: _Step) -> Any:
        return jnp.abs(step.slope) <= -_CURVATURE * start.slope

    def chosen(condition: Any, a: _Step, b: _Step) -> _Step:
        return _Step(*[jnp.where(condition, x, y) for x, y in zip(a, b)])

    def advance(state: _Search) -> _Search:
        low, high = state.low, state.high
        width = high.length - low.length
        curve = high.value - low.value - low.slope * width
        guess = low.length - 0.5 * low.slope * width**2 / jnp.where(curve == 0, 1, curve)
        near, far = low.length + 0.1 * width, low.length + 0.9 * width
        inside = (curve > 0) & (guess > jnp.minimum(near, far)) & (guess < jnp.maximum(near, far))
        cut = jnp.where(inside, guess, low.length + 0.5 * width)
        length = jnp.where(state.bracketed, cut, jnp.where(state.count == 0, 1.0, 2 * state.high.length))
        step = evaluate(length)
        lower = (step.value < low.value) | (~state.bracketed & (state.count == 0))
        good = jnp.isfinite(step.value) & enough(step) & lower
        done = good & flat(step)
        turned = step.slope * jnp.where(state.bracketed, width, 1.0) >= 0
        # not low enough: the minimum lies before this step; low enough, but rising: between this one and the last
        new_high = chosen(good, chosen(turned, low, chosen(state.bracketed, high, step)), step)
        new_low = chosen(good, step, low)
        bracketed = state.bracketed | ~good | turned
        best = chosen(good & (step.value < state.best.value), step, state.best)
        return _Search(new_low, new_high, chosen(done, step, best), bracketed, done, state.count + 1)

    first = _Search(start, start, start, jnp.asarray(False), jnp.asarray(False), jnp.asarray(0))
    found = while_loop(lambda s: ~s.done & (s.count < _MOST_STEPS), advance, first)
    return found.best, found.best.length > 0, found.count


@boundary
def minimize(
    fun: Callable[..., Any],
    x0: Any,
    args: tuple[Any, ...] = (),
    *,
    method: str,
    tol: float | None = None,
    options: dict[str, Any] | None = None,
) -> OptimizeResults:
    """The minimum of `fun(x, *args)` near `x0`, by BFGS; works under `jit` and `vmap`.

    Args:
        fun: a function of a vector that gives a number.
        x0: a vector of floats.
        method: "BFGS" (Nocedal and Wright, Numerical Optimization, 2006, algorithm 6.1).
        tol: the largest entry of the gradient at which it stops; 1e-5 by default.
        options: `maxiter` (200 for each element of `x0` by default), and `gtol` as `tol`.

    >>> import funcgrad as fg
    >>> f = lambda x: ((x - 3.0) ** 2).sum()
    >>> fg.scipy.optimize.minimize(f, fg.numpy.zeros(2), method="BFGS").x
    Array([3., 3.], dtype=float32)
    """
    if str(method).lower() != "bfgs":
        raise ArgumentError(f"minimize has no method {method!r}", hint='use method="BFGS"')
    if not isinstance(args, tuple):
        raise ArgumentError(f"minimize: args is a tuple, got {type(args).__name__}", hint="write args=(a,)")
    x0 = jnp.asarray(x0)
    if x0.ndim != 1 or not jnp.issubdtype(x0.dtype, jnp.floating):
        raise ArgumentError(
            f"minimize takes a vector of floats as x0, got {type_of(x0)}",
            hint="use flatten_util.ravel_pytree for anything else",
        )
    given = {"maxiter": None, "gtol": 1e-5 if tol is None else tol, "norm": jnp.inf, **(options or {})}
    unknown = set(given) - {"maxiter", "gtol", "norm"}
    if unknown:
        raise ArgumentError(
            f"minimize: there are no options {sorted(unknown)}", hint="BFGS has maxiter, gtol and norm"
        )
    most = 200 * x0.size if given["maxiter"] is None else given["maxiter"]
    dtype, eye = x0.dtype, jnp.eye(x0.size, dtype=x0.dtype)
    both = value_and_grad(lambda x: fun(x, *args))

    def small(gradient: Any) -> Any:
        return jnp.linalg.norm(gradient, ord=given["norm"]) < given["gtol"]

    def running(state: tuple[OptimizeResults, Any]) -> Any:
        result, failed = state
        return ~result.success & ~failed & (result.nit < most)

    def iterate(state: tuple[OptimizeResults, Any]) -> tuple[OptimizeResults, Any]:
        now, _ = state
        direction = -(now.hess_inv @ now.jac)

        def evaluate(length: Any) -> _Step:
            value, gradient = both(now.x + length * direction)
            return _Step(length, value, gradient, gradient @ direction)

        zero = jnp.zeros((), dtype)
        step, found, count = _line_search(evaluate, _Step(zero, now.fun, now.jac, now.jac @ direction))
        moved, change = step.length * direction, step.gradient - now.jac
        curvature = change @ moved
        rho = jnp.where(curvature > 0, 1 / jnp.where(curvature > 0, curvature, 1), 0)
        left = eye - rho * jnp.outer(moved, change)
        updated = left @ now.hess_inv @ left.T + rho * jnp.outer(moved, moved)
        new = OptimizeResults(
            now.x + moved,
            small(step.gradient),
            now.status,
            step.value,
            step.gradient,
            jnp.where(found & (curvature > 0), updated, now.hess_inv),
            now.nfev + count,
            now.njev + count,
            now.nit + 1,
        )
        return new, ~found

    value, gradient = both(x0)
    one, none = jnp.asarray(1), jnp.asarray(0)
    start = OptimizeResults(x0, small(gradient), none, value, gradient, eye, one, one, none)
    result, failed = while_loop(running, iterate, (start, jnp.asarray(False)))
    status = jnp.where(result.success, 0, jnp.where(failed, 3, 1))
    return result._replace(status=status)


__all__ = ["OptimizeResults", "minimize"]

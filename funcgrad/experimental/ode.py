"""Ordinary differential equations, under the names of `jax.experimental.ode`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

import funcgrad.numpy as jnp
from funcgrad.batching import vmap
from funcgrad.errors import ArgumentError, boundary
from funcgrad.flat import check_function
from funcgrad.flatten_util import ravel_pytree
from funcgrad.lax.control import scan, while_loop
from funcgrad.trace.core import type_of

# Dormand and Prince, "A family of embedded Runge-Kutta formulae", 1980: nodes, stages, result and error; the middle
# of a step for the interpolation is that of Shampine, "Some practical Runge-Kutta formulas", 1986
_NODES = np.array([1 / 5, 3 / 10, 4 / 5, 8 / 9, 1, 1])
_STAGES = [
    [1 / 5],
    [3 / 40, 9 / 40],
    [44 / 45, -56 / 15, 32 / 9],
    [19372 / 6561, -25360 / 2187, 64448 / 6561, -212 / 729],
    [9017 / 3168, -355 / 33, 46732 / 5247, 49 / 176, -5103 / 18656],
    [35 / 384, 0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84],
]
_ERROR = np.array([35 / 384 - 1951 / 21600, 0, 500 / 1113 - 22642 / 50085, 125 / 192 - 451 / 720,
                   -2187 / 6784 + 12231 / 42400, 11 / 84 - 649 / 6300, -1 / 60])  # fmt: skip
_MIDDLE = np.array([6025192743 / 30085553152 / 2, 0, 51252292925 / 65400821598 / 2, -2691868925 / 45128329728 / 2,
                    187940372067 / 1594534317056 / 2, -1776094331 / 19743644256 / 2,
                    11237099 / 235043384 / 2])  # fmt: skip


class _State(NamedTuple):
    y: Any
    f: Any
    t: Any
    step: Any
    before: Any  # the time at which the interpolation begins
    shape: tuple[Any, ...]  # the coefficients of the interpolation, highest first
    count: Any


def _norm(error: Any, y0: Any, y1: Any, rtol: Any, atol: Any) -> Any:
    tolerance = atol + rtol * jnp.maximum(jnp.abs(y0), jnp.abs(y1))
    return jnp.mean((jnp.abs(error) / tolerance) ** 2)  # squared, which has a derivative at 0


def _first_step(f: Callable[..., Any], t: Any, y: Any, slope: Any, rtol: Any, atol: Any) -> Any:
    """Hairer, Norsett and Wanner, Solving Ordinary Differential Equations I, 1993, II.4."""
    scale = atol + jnp.abs(y) * rtol
    d0, d1 = jnp.linalg.norm(y / scale), jnp.linalg.norm(slope / scale)
    tiny = (d0 < 1e-5) | (d1 < 1e-5)
    h0 = jnp.where(tiny, 1e-6, 0.01 * d0 / jnp.where(tiny, 1, d1))
    d2 = jnp.linalg.norm((f(y + h0 * slope, t + h0) - slope) / scale) / h0
    steepest = jnp.maximum(d1, d2)
    flat = steepest <= 1e-15
    h1 = jnp.where(flat, jnp.maximum(1e-6, h0 * 1e-3), (0.01 / jnp.where(flat, 1, steepest)) ** 0.2)
    return jnp.minimum(100 * h0, h1)


def _advanced(f: Callable[..., Any], state: _State, rtol: Any, atol: Any, longest: Any) -> _State:
    """One step tried: taken where its error is small enough, and the length of the next one chosen by it."""
    y, h, t = state.y, state.step, state.t
    slopes = [state.f]
    for node, weights in zip(_NODES, _STAGES):
        move = sum(float(w) * k for w, k in zip(weights, slopes) if w)
        slopes.append(f(y + h * move, t + float(node) * h))
    last = y + h * sum(float(w) * k for w, k in zip(_STAGES[-1], slopes) if w)
    error = h * sum(float(w) * k for w, k in zip(_ERROR, slopes) if w)
    middle = y + h * sum(float(w) * k for w, k in zip(_MIDDLE, slopes) if w)
    ratio = _norm(error, y, last, rtol, atol)
    taken = ratio <= 1
    safe = jnp.where(ratio == 0, 1e-10, ratio)
    factor = jnp.clip(0.9 * safe**-0.1, jnp.where(taken, 1.0, 0.2), 10.0)
    next_step = jnp.minimum(h * factor, longest)
    start, end = h * slopes[0], h * slopes[-1]
    shape = (
        -2 * start + 2 * end - 8 * y - 8 * last + 16 * middle,
        5 * start - 3 * end + 18 * y + 14 * last - 32 * middle,
        -4 * start + end - 11 * y - 5 * last + 16 * middle,
        start,
        y,
    )

    def choose(new: Any, old: Any) -> Any:
        return jnp.where(taken, new, old)

    return _State(
        choose(last, y),
        choose(slopes[-1], state.f),
        choose(t + h, t),
        next_step,
        choose(t, state.before),
        tuple([choose(a, b) for a, b in zip(shape, state.shape)]),
        state.count + 1,
    )


@boundary
def odeint(
    func: Callable[..., Any],
    y0: Any,
    t: Any,
    *args: Any,
    rtol: float = 1.4e-8,
    atol: float = 1.4e-8,
    mxstep: float = np.inf,
    hmax: float = np.inf,
) -> Any:
    """The solution of dy/dt = func(y, t, *args) at the times `t`, from y(t[0]) = y0.

    Steps of Dormand and Prince's method of order 5 adapt to the tolerances. Derivatives, of any order and in both
    modes, are those of the steps that were taken.

    Args:
        func: a function of (y, t, *args) that gives a tree like `y0`.
        y0: a tree of arrays of floats.
        t: a vector of at least one time, strictly ascending or descending.
        rtol, atol: relative and absolute tolerance of the error of a step.
        mxstep: the most steps between two times.
        hmax: the longest step.

    Returns:
        A tree like `y0` with a leading axis for the times.

    >>> import funcgrad as fg
    >>> from funcgrad.experimental.ode import odeint
    >>> y = odeint(lambda y, t: -y, 1.0, fg.numpy.array([0.0, 1.0]))
    >>> bool(fg.numpy.allclose(y, fg.numpy.exp(-fg.numpy.array([0.0, 1.0])), atol=1e-5))
    True
    """
    check_function("odeint", "func", func, ["y", "t", *[f"args[{k}]" for k in range(len(args))]])
    times = jnp.asarray(t)
    if times.ndim != 1 or not times.shape[0]:
        raise ArgumentError(f"odeint: t is a vector of times, got {type_of(times)}")
    flat, unravel = ravel_pytree(y0)
    if not jnp.issubdtype(flat.dtype, jnp.inexact):
        flat, unravel = ravel_pytree(jnp.asarray(y0, float))
    times = times.astype(jnp.result_type(flat.real.dtype))

    # time runs forwards: s = t * sign
    sign = jnp.where(times[-1] < times[0], -1, 1).astype(times.dtype)

    def slope(y: Any, s: Any) -> Any:
        found, _ = ravel_pytree(func(unravel(y), s * sign, *args))
        if found.shape != flat.shape:
            raise ArgumentError(
                f"odeint: func has to return a tree like y0, of {flat.shape[0]} numbers; it has {found.shape[0]}"
            )
        return found.astype(flat.dtype) * sign

    def to(state: _State, target: Any) -> tuple[_State, Any]:
        begun = state._replace(count=jnp.asarray(0))
        state = while_loop(
            lambda s: (s.t < target) & (s.count < mxstep) & (s.step > 0),
            lambda s: _advanced(slope, s, rtol, atol, jnp.asarray(hmax, times.dtype)),
            begun,
        )
        length = state.t - state.before
        place = (target - state.before) / jnp.where(length == 0, 1, length)
        value = state.shape[0]
        for coefficient in state.shape[1:]:
            value = value * place + coefficient
        return state, value

    start = times[0] * sign
    first = slope(flat, start)
    step = jnp.minimum(_first_step(slope, start, flat, first, rtol, atol), hmax).astype(times.dtype)
    zero = jnp.zeros_like(flat)
    state = _State(flat, first, start, step, start, (zero, zero, zero, zero, flat), jnp.asarray(0))
    _, values = scan(to, state, times[1:] * sign)
    rows = jnp.concatenate([flat[None], values])
    return vmap(unravel)(rows)


__all__ = ["odeint"]

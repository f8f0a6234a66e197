"""First-order optimizers as three functions, under the names of `jax.example_libraries.optimizers`.

`init(params)` gives a state, `update(i, grads, state)` the state after step i, and `get_params(state)` the parameters
in it; all are pure functions of trees. A step size is a number or a function of i.

>>> import funcgrad as fg
>>> from funcgrad.example_libraries import optimizers
>>> init, update, get_params = optimizers.momentum(0.1, mass=0.9)
>>> state = init({"w": fg.numpy.array([1.0, -2.0])})
>>> for i in range(100):
...     grads = fg.grad(lambda p: (p["w"] ** 2).sum())(get_params(state))
...     state = update(i, grads, state)
>>> bool(abs(get_params(state)["w"]).max() < 0.05)
True
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import funcgrad.numpy as fnp
from funcgrad import tree
from funcgrad.errors import ArgumentError
from funcgrad.tree_util import register_pytree_node

Schedule = Callable[[Any], Any]


class Optimizer(NamedTuple):
    """The functions `init`, `update` and `get_params` of an optimizer, of trees."""

    init_fn: Callable[[Any], Any]
    update_fn: Callable[[Any, Any, Any], Any]
    params_fn: Callable[[Any], Any]


class _Slot(tuple):
    """What an optimizer keeps for one parameter, which comes first; a node of trees."""

    __slots__ = ()


register_pytree_node(_Slot, lambda slot: (tuple(slot), None), lambda _, values: _Slot(values))


def optimizer(make: Callable[..., tuple[Callable[..., Any], ...]]) -> Callable[..., Optimizer]:
    """An optimizer of trees from one of single arrays: `make(...)` gives `init(x)`, `update(i, g, state)` and
    `get_params(state)`, where a state is an array or a tuple of arrays."""

    @functools.wraps(make)
    def of_trees(*args: Any, **kwargs: Any) -> Optimizer:
        init, update, get_params = make(*args, **kwargs)

        def slot(state: Any) -> _Slot:
            return _Slot(state if isinstance(state, tuple) else (state,))

        def opened(kept: _Slot) -> Any:
            return tuple(kept) if len(kept) > 1 else kept[0]

        def init_all(params: Any) -> Any:
            return tree.map(lambda x: slot(init(fnp.asarray(x))), params)

        def update_all(i: Any, grads: Any, state: Any) -> Any:
            return tree.map(lambda g, kept: slot(update(i, g, opened(kept))), grads, state)

        def params_of(state: Any) -> Any:
            return tree.map(
                lambda kept: get_params(opened(kept)), state, is_leaf=lambda x: isinstance(x, _Slot)
            )

        return Optimizer(init_all, update_all, params_of)

    return of_trees


@optimizer
def sgd(step_size: float | Schedule) -> Any:
    """Gradient descent: x - step * g."""
    step = make_schedule(step_size)
    return lambda x: x, lambda i, g, x: x - step(i) * g, lambda x: x


def _first(state: tuple[Any, ...]) -> Any:
    return state[0]


@optimizer
def momentum(step_size: float | Schedule, mass: float) -> Any:
    """Gradient descent along v, where v becomes mass * v + g (Polyak, 1964)."""
    step = make_schedule(step_size)

    def update(i: Any, g: Any, state: Any) -> Any:
        x, v = state
        v = mass * v + g
        return x - step(i) * v, v

    return lambda x: (x, fnp.zeros_like(x)), update, _first


@optimizer
def nesterov(step_size: float | Schedule, mass: float) -> Any:
    """Momentum that looks ahead: along mass * v + g (Nesterov, 1983)."""
    step = make_schedule(step_size)

    def update(i: Any, g: Any, state: Any) -> Any:
        x, v = state
        v = mass * v + g
        return x - step(i) * (mass * v + g), v

    return lambda x: (x, fnp.zeros_like(x)), update, _first


@optimizer
def adagrad(step_size: float | Schedule, momentum: float = 0.9) -> Any:
    """Steps divided by the root of the sum of all squared gradients (Duchi, Hazan and Singer, 2011)."""
    step = make_schedule(step_size)

    def update(i: Any, g: Any, state: Any) -> Any:
        x, total, m = state
        total = total + g * g
        scale = fnp.where(total > 0, 1 / fnp.sqrt(fnp.where(total > 0, total, 1)), 0)
        m = (1 - momentum) * g * scale + momentum * m
        return x - step(i) * m, total, m

    return lambda x: (x, fnp.zeros_like(x), fnp.zeros_like(x)), update, _first


@optimizer
def rmsprop(step_size: float | Schedule, gamma: float = 0.9, eps: float = 1e-8) -> Any:
    """Steps divided by the root of a running mean of squared gradients (Tieleman and Hinton, 2012)."""
    step = make_schedule(step_size)

    def update(i: Any, g: Any, state: Any) -> Any:
        x, mean = state
        mean = gamma * mean + (1 - gamma) * g * g
        return x - step(i) * g / fnp.sqrt(mean + eps), mean

    return lambda x: (x, fnp.zeros_like(x)), update, _first


@optimizer
def rmsprop_momentum(
    step_size: float | Schedule, gamma: float = 0.9, eps: float = 1e-8, momentum: float = 0.9
) -> Any:
    """`rmsprop`, with momentum of its steps."""
    step = make_schedule(step_size)

    def update(i: Any, g: Any, state: Any) -> Any:
        x, mean, m = state
        mean = gamma * mean + (1 - gamma) * g * g
        m = momentum * m + step(i) * g / fnp.sqrt(mean + eps)
        return x - m, mean, m

    return lambda x: (x, fnp.zeros_like(x), fnp.zeros_like(x)), update, _first


@optimizer
def adam(step_size: float | Schedule, b1: float = 0.9, b2: float = 0.999, eps: float = 1e-8) -> Any:
    """Running means of gradients over the roots of those of their squares (Kingma and Ba, 2015)."""
    step = make_schedule(step_size)

    def update(i: Any, g: Any, state: Any) -> Any:
        x, m, v = state
        m = (1 - b1) * g + b1 * m
        v = (1 - b2) * g * g + b2 * v
        mean = m / (1 - fnp.asarray(b1, m.dtype) ** (i + 1))
        square = v / (1 - fnp.asarray(b2, m.dtype) ** (i + 1))
        return x - step(i) * mean / (fnp.sqrt(square) + eps), m, v

    return lambda x: (x, fnp.zeros_like(x), fnp.zeros_like(x)), update, _first


@optimizer
def adamax(step_size: float | Schedule, b1: float = 0.9, b2: float = 0.999, eps: float = 1e-8) -> Any:
    """`adam` with the largest gradient, fading by b2, in place of the mean of squares (Kingma and Ba, 2015)."""
    step = make_schedule(step_size)

    def update(i: Any, g: Any, state: Any) -> Any:
        x, m, largest = state
        m = (1 - b1) * g + b1 * m
        largest = fnp.maximum(b2 * largest, fnp.abs(g))
        return x - step(i) / (1 - fnp.asarray(b1, m.dtype) ** (i + 1)) * m / (largest + eps), m, largest

    return lambda x: (x, fnp.zeros_like(x), fnp.zeros_like(x)), update, _first


# ------------------------------------------------------------------------------------------------- step sizes
def constant(step_size: float) -> Schedule:
    """The same step size always."""
    return lambda i: step_size


def exponential_decay(step_size: float, decay_steps: float, decay_rate: float) -> Schedule:
    """step_size * decay_rate ** (i / decay_steps)."""
    return lambda i: step_size * decay_rate ** (i / decay_steps)


def inverse_time_decay(
    step_size: float, decay_steps: float, decay_rate: float, staircase: bool = False
) -> Schedule:
    """step_size / (1 + decay_rate * i / decay_steps); with `staircase` the quotient is rounded down."""
    time = (lambda i: fnp.floor(i / decay_steps)) if staircase else (lambda i: i / decay_steps)
    return lambda i: step_size / (1 + decay_rate * time(i))


def polynomial_decay(
    step_size: float, decay_steps: float, final_step_size: float, power: float = 1.0
) -> Schedule:
    """From step_size to final_step_size, which is kept after decay_steps."""

    def schedule(i: Any) -> Any:
        left = 1 - fnp.minimum(i, decay_steps) / decay_steps
        return left**power * (step_size - final_step_size) + final_step_size

    return schedule


def piecewise_constant(boundaries: Sequence[float], values: Sequence[float]) -> Schedule:
    """values[k] between the (k - 1)-th and the k-th boundary; there is one value more than boundaries."""
    if len(values) != len(boundaries) + 1:
        raise ArgumentError(
            f"piecewise_constant: {len(boundaries)} boundaries part {len(boundaries) + 1} values, got {len(values)}"
        )
    limits, steps = fnp.asarray(boundaries), fnp.asarray(values)
    return lambda i: steps[fnp.sum(i > limits)]


def make_schedule(scalar_or_schedule: float | Schedule) -> Schedule:
    """A number as a schedule, and a schedule as it is."""
    return scalar_or_schedule if callable(scalar_or_schedule) else constant(scalar_or_schedule)


# -------------------------------------------------------------------------------------------------- gradients
def l2_norm(tree_of_arrays: Any) -> Any:
    """The Euclidean norm of all leaves together."""
    return fnp.sqrt(sum(fnp.vdot(x, x).real for x in tree.leaves(tree_of_arrays)))


def clip_grads(grad_tree: Any, max_norm: float) -> Any:
    """The gradients, scaled so that `l2_norm` of them is at most `max_norm`."""
    norm = l2_norm(grad_tree)
    return tree.map(lambda g: fnp.where(norm < max_norm, g, g * (max_norm / norm)), grad_tree)

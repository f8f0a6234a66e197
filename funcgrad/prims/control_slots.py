"""Pulling cotangents back through a while loop within so many bytes: recursive checkpointing with a binomial schedule.

Iterations go in units, of which one at a time leaves its records on a tape. A fixed number of slots holds what the
loop carries at the start of some units; each unit in turn, from the last, is reached from the nearest slot before
it, which on the way there fills the slots that are free, where the schedule says (Griewank and Walther, "Algorithm
799: revolve", 2000: it is optimal). How many iterations there are is counted before, by a run of the loop that
keeps nothing. All of this is a while loop itself, so that it has derivatives and batches. Owns no primitive.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from funcgrad import dtypes
from funcgrad.ir.primitive import primitive_named
from funcgrad.ir.text import register_record
from funcgrad.ir.types import ArrayType, array_type
from funcgrad.prims.control_graphs import parts
from funcgrad.records import record
from funcgrad.trace import ops
from funcgrad.trace.core import bind, type_of
from funcgrad.trace.graph_trace import trace_to_graph

ENOUGH_ITERATIONS = 1_000_000
"""How many iterations there is room for, each computed twice again, where a budget allows that."""

_COUNT = array_type((), dtypes.int64)


@register_record
@record
class LoopBudget:
    """The bytes that the backward pass of a loop may keep, and the number of iterations where that is known."""

    bytes: int
    steps: int | None = None


@record
class Plan:
    """Iterations in a unit, and slots."""

    unit: int
    slots: int


def planned(budget: int, steps: int | None, record_size: int, carry_size: int) -> Plan | None:
    """A unit and slots for so many bytes, where one iteration leaves a record of `record_size`, on a tape that grows
    by doubling; None where not even the least fits."""
    slot, iteration = _sizes(record_size, carry_size)
    many = max(steps or ENOUGH_ITERATIONS, 1)
    unit = min(max(budget // 2 // iteration, 1), many)
    slots = min((budget - unit * iteration) // slot - 1, -(-many // unit))
    return Plan(unit, slots) if slots >= 1 else None


def least_bytes(record_size: int, carry_size: int) -> int:
    """The least budget for which there is a plan."""
    slot, iteration = _sizes(record_size, carry_size)
    return iteration + 2 * slot


def _sizes(record_size: int, carry_size: int) -> tuple[int, int]:
    """The bytes of a slot and of an iteration."""
    return carry_size + _COUNT.nbytes, 2 * max(record_size, 1)


def backward_in_slots(
    plan: Plan,
    steps: Any,
    asked: Callable[[Sequence[Any]], Any],
    step: Callable[[Sequence[Any]], Sequence[Any]],
    init: Sequence[Any],
    pull: Callable[[Any, Any, Sequence[Any], Sequence[Any]], Sequence[Any]],
    pulled: Sequence[Any],
) -> list[Any]:
    """Take the units of a loop in turn, from the last.

    The loop carries `init`, and goes on by `step` while `asked`, as often as `steps` says where that is not None.
    `pull(now, number, carried, pulled)` takes the next `number` iterations, which begin at `carried`, and what is
    pulled back so far, and gives what this becomes; where `now` does not hold, `number` is 0, and it stays as it is.
    """
    steps = _counted(asked, step, init) if steps is None else np.int64(steps)
    unit, last = np.int64(plan.unit), plan.slots  # the slot of number `last` takes what nobody reads
    units = ops.div(ops.add(steps, plan.unit - 1), unit)
    starts = ops.full((plan.slots + 1,), 0, _COUNT.dtype)
    slots = [_stacked(x, plan.slots + 1) for x in init]

    def action(left: Any, top: Any, starts: Any, *rest: Any) -> list[Any]:
        """The nearest slot is at the last unit that is left, or no slot is free: that unit backward. Else on to where
        the next slot is filled."""
        slots, pulled = parts(rest, len(init))
        here = _row(starts, top)
        ahead, free = ops.sub(left, here), ops.sub(last - 1, top)
        now = ops.or_(ops.le(ahead, 1), ops.le(free, 0))
        way = ops.select(now, ops.sub(ahead, 1), split(ahead, ops.add(free, 1)))
        goal = ops.mul(way, unit)
        reached = _loop(
            lambda n, *carries: ops.lt(n, goal),
            lambda n, *carries: [ops.add(n, 1), *step(carries)],
            [np.int64(0), *(_row(s, top) for s in slots)],
        )[1:]
        begin = ops.mul(ops.sub(left, 1), unit)
        number = ops.select(now, ops.min_(ops.sub(steps, begin), unit), np.int64(0))
        pulled = pull(now, number, reached, pulled)
        place = ops.select(now, np.int64(last), ops.add(top, 1))
        empty = ops.convert(ops.and_(now, ops.le(ahead, 1)), _COUNT.dtype)
        return [
            ops.sub(left, ops.convert(now, _COUNT.dtype)),
            ops.sub(ops.select(now, top, ops.add(top, 1)), empty),
            _with_row(starts, ops.add(here, way), place),
            *(_with_row(s, x, place) for s, x in zip(slots, reached)),
            *pulled,
        ]

    state = [units, np.int64(0), starts, *slots, *pulled]
    return _loop(lambda left, *rest: ops.gt(left, 0), action, state)[3 + len(init) :]


def _counted(asked: Callable[..., Any], step: Callable[..., Any], init: Sequence[Any]) -> Any:
    """The number of iterations."""
    return _loop(
        lambda n, *carries: asked(carries),
        lambda n, *carries: [ops.add(n, 1), *step(carries)],
        [np.int64(0), *init],
    )[0]


def split(units: Any, slots: Any) -> Any:
    """How far the next slot is from the first of so many units, when that has one of `slots`, and the others are free.

    With c slots, and r runs over each unit, (c + r)! / (c! r!) units can be reversed.
    """
    one, zero = np.int64(1), np.int64(0)
    _, _, before, earlier = _loop(
        lambda runs, reach, *rest: ops.lt(reach, units),
        lambda runs, reach, before, earlier: [
            ops.add(runs, 1),
            ops.div(ops.mul(reach, ops.add(slots, ops.add(runs, 1))), ops.add(runs, 1)),
            reach,
            before,
        ],
        [zero, one, zero, zero],
    )
    return ops.max_(ops.min_(before, ops.sub(units, ops.sub(before, earlier))), 1)


def _loop(going: Callable[..., Any], step: Callable[..., Sequence[Any]], init: Sequence[Any]) -> list[Any]:
    """A while loop of functions of what it carries."""
    types: list[ArrayType] = [type_of(x).strong() for x in init]
    cond = trace_to_graph(lambda *carries: [going(*carries)], types, "going")
    body = trace_to_graph(step, types, "step")
    return bind(
        primitive_named("while"),
        *cond.constants,
        *body.constants,
        *init,
        cond=cond.graph,
        body=body.graph,
        cond_consts=len(cond.constants),
        body_consts=len(body.constants),
    )


def _stacked(x: Any, count: int) -> Any:
    """An array of `count` rows of which the first is `x`."""
    type = type_of(x).strong()
    return _with_row(ops.zeros(type.with_shape((count, *type.shape))), x, np.int64(0))


def _row(stack: Any, number: Any) -> Any:
    shape = type_of(stack).shape
    starts = [number, *[np.int64(0)] * (len(shape) - 1)]
    return ops.reshape(ops.dynamic_slice(stack, starts, (1, *shape[1:])), shape[1:])


def _with_row(stack: Any, x: Any, number: Any) -> Any:
    shape = type_of(stack).shape
    starts = [number, *[np.int64(0)] * (len(shape) - 1)]
    return ops.dynamic_update_slice(stack, ops.reshape(x, (1, *shape[1:])), starts)

"""What the distributions share: operands in one float dtype and shape, and standardising them."""

from __future__ import annotations

import math
from typing import Any

from funcgrad.numpy.creation import asarray
from funcgrad.promotion import broadcast_shapes, promote_inexact
from funcgrad.trace import ops
from funcgrad.trace.core import type_of


def operands(name: str, *values: Any) -> list[Any]:
    """The values in their common float dtype and shape."""
    promoted = promote_inexact(f"scipy.stats.{name}", *values)
    shape = broadcast_shapes(*[type_of(x).shape for x in promoted])
    return [ops.broadcast_to(x, shape) for x in promoted]


def standard(x: Any, loc: Any, scale: Any) -> Any:
    """(x - loc) / scale."""
    return ops.div(ops.sub(x, loc), scale)


def inside(condition: Any, value: Any, outside: float = -math.inf) -> Any:
    """`value` where `condition`, else the constant `outside`."""
    return ops.select(condition, value, outside)


def log_probability(probability: Any) -> Any:
    """The logarithm of a probability; minus infinity of 0, with derivatives that are 0."""
    none = ops.eq(probability, 0.0)
    return ops.select(none, -math.inf, ops.log(ops.select(none, 1.0, probability)))


def arrays(name: str, *values: Any) -> list[Any]:
    """The values as arrays in their common float dtype and shape."""
    return [asarray(x) for x in operands(name, *values)]

"""How samples draw their operands. Owns the distributions; which samples there are is each family's matter."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from funcgrad import dtypes
from funcgrad.ir.primitive import Sample

Draw = Callable[[Any], np.ndarray]
"""What draws an operand by a `numpy.random.Generator`, a name that would import numpy.random here."""


def draw(*shape: int, dtype: np.dtype = dtypes.float32, scale: float = 1.0) -> Draw:
    """Draws an array of this shape: normal numbers, small integers or booleans, by the dtype's kind."""

    def operand(rng: np.random.Generator) -> np.ndarray:
        if dtypes.is_bool(dtype):
            return rng.integers(0, 2, shape).astype(dtype)
        if dtypes.is_integer(dtype):
            return rng.integers(0 if not dtypes.is_signed(dtype) else -9, 10, shape).astype(dtype)
        numbers = scale * rng.standard_normal(shape)
        if dtypes.is_complex(dtype):
            numbers = numbers + 1j * scale * rng.standard_normal(shape)
        return np.asarray(numbers).astype(dtype)

    return operand


def draw_integers(low: int, high: int, *shape: int, dtype: np.dtype = dtypes.int32) -> Draw:
    """Draws integers from `low` (included) to `high` (excluded)."""
    return lambda rng: np.asarray(rng.integers(low, high, shape)).astype(dtype)


def draw_in(low: float, high: float, *shape: int, dtype: np.dtype = dtypes.float32) -> Draw:
    """Draws numbers evenly from `low` to `high`; complex ones with both parts there."""

    def operand(rng: np.random.Generator) -> np.ndarray:
        numbers = rng.uniform(low, high, shape)
        if dtypes.is_complex(dtype):
            numbers = numbers + 1j * rng.uniform(low, high, shape)
        return np.asarray(numbers).astype(dtype)

    return operand


def _drawing(dtype: np.dtype, nonzero: bool, positive: bool, low: float, high: float) -> Callable[..., Draw]:
    """How to draw an operand of `dtype` from the domain that the flags describe."""
    if dtypes.is_bool(dtype):
        return lambda *shape: draw(*shape, dtype=dtype)
    if dtypes.is_integer(dtype):
        return lambda *shape: draw_integers(1 if nonzero or positive else 0, 10, *shape, dtype=dtype)
    if positive:
        low, high = max(low, 0.3), max(high, 2.0)
    if not nonzero:
        return lambda *shape: draw_in(low, high, *shape, dtype=dtype)

    def away(*shape: int) -> Draw:
        inner = draw_in(max(0.3, low), high, *shape, dtype=dtype)
        return lambda rng: (inner(rng) * rng.choice([-1, 1], shape)).astype(dtype)

    return away


def unary_samples(
    accepted: Iterable[np.dtype],
    *,
    nonzero: bool = False,
    positive: bool = False,
    low: float = -2.0,
    high: float = 2.0,
    params: Sequence[dict[str, Any]] = ({},),
) -> Callable[[], Iterable[Sample]]:
    """Samples of an elementwise operation on one operand: each dtype, and several shapes for the first float."""
    accepted = tuple(accepted)

    def samples() -> Iterable[Sample]:
        for dtype in accepted:
            make = _drawing(dtype, nonzero, positive, low, high)
            moving = (0,) if dtypes.is_inexact(dtype) else ()
            for given in params:
                for shape in [(2, 3), (), (0, 2)] if dtype == dtypes.float32 else [(3,)]:
                    yield Sample((make(*shape),), given, moving, dtypes.name(dtype))

    return samples


def binary_samples(
    accepted: Iterable[np.dtype], *, nonzero: bool = False, positive: bool = False
) -> Callable[[], Iterable[Sample]]:
    """Samples of an elementwise operation on two operands of one dtype; `nonzero` is about the second one."""
    accepted = tuple(accepted)

    def samples() -> Iterable[Sample]:
        for dtype in accepted:
            first = _drawing(dtype, False, positive, -2.0, 2.0)
            second = _drawing(dtype, nonzero, positive, -2.0, 2.0)
            moving = (0, 1) if dtypes.is_inexact(dtype) else ()
            shapes = [((2, 3), (2, 3)), ((3,), ()), ((), (3,)), ((), ())]
            for a, b in shapes if dtype == dtypes.float32 else shapes[:1]:
                yield Sample((first(*a), second(*b)), {}, moving, dtypes.name(dtype))

    return samples

"""How samples draw their operands. Owns the distributions; which samples there are is each family's matter."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from funcgrad import dtypes

Draw = Callable[[np.random.Generator], np.ndarray]


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

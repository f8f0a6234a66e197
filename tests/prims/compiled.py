"""Evaluates a function twice: by NumPy, and compiled."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import funcgrad as fg
from funcgrad import dtypes


def both(function: Callable[..., Any], *operands: Any) -> np.ndarray:
    """What `function` gives, having checked that it gives the same compiled."""
    eager, compiled = np.asarray(function(*operands)), np.asarray(fg.jit(function)(*operands))
    assert eager.dtype == compiled.dtype
    np.testing.assert_array_equal(comparable(eager), comparable(compiled))
    return eager


def comparable(array: np.ndarray) -> np.ndarray:
    """In a dtype whose NaN NumPy's comparisons know."""
    return array.astype(np.float32) if array.dtype == dtypes.bfloat16 else array

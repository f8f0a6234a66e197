"""Types for annotations, under the names of `jax.typing`."""

from __future__ import annotations

from typing import Any

import numpy as np

from funcgrad.array import Array

ArrayLike = Array | np.ndarray | np.bool_ | np.number | bool | int | float | complex
"""What functions of arrays take."""

DTypeLike = str | type[Any] | np.dtype | Any
"""What stands for a dtype."""

__all__ = ["ArrayLike", "DTypeLike"]

"""Linear algebra, special functions, distributions, signals and more, under the names of `jax.scipy`."""

from __future__ import annotations

import importlib
from typing import Any

from funcgrad.errors import boundary
from funcgrad.names import unknown_names
from funcgrad.scipy import linalg, sparse, special, stats

_RARE = ("cluster", "fft", "integrate", "interpolate", "ndimage", "optimize", "signal", "spatial")
"""Modules that are imported when they are first used."""

_unknown = unknown_names(__name__)


@boundary
def __getattr__(name: str) -> Any:
    return importlib.import_module(f"{__name__}.{name}") if name in _RARE else _unknown(name)


__all__ = ["linalg", "sparse", "special", "stats", *_RARE]

"""The primitives: importing this package makes every record."""

from funcgrad.prims import (
    arithmetic,
    calls,
    comparison,
    conversion,
    creation,
    custom,
    linalg,
    reductions,
    shape,
    transcendental,
)

__all__ = [
    "arithmetic",
    "calls",
    "comparison",
    "conversion",
    "creation",
    "custom",
    "linalg",
    "reductions",
    "shape",
    "transcendental",
]

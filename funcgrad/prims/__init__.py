"""The primitives: importing this package makes every record."""

from funcgrad.prims import (
    arithmetic,
    calls,
    collectives,
    comparison,
    conversion,
    creation,
    custom,
    indexing,
    linalg,
    random,
    reductions,
    shape,
    slicing,
    transcendental,
)

__all__ = [
    "arithmetic",
    "calls",
    "collectives",
    "comparison",
    "conversion",
    "creation",
    "custom",
    "indexing",
    "linalg",
    "random",
    "reductions",
    "shape",
    "slicing",
    "transcendental",
]

"""What the passes may know of the machine: a plain record, never the name of a backend."""

from __future__ import annotations

from funcgrad.records import record


@record
class Target:
    """`cores` that kernels may be split over; cache sizes and the vector width in bytes."""

    cores: int = 2
    l1_bytes: int = 32 * 1024
    l2_bytes: int = 1024 * 1024
    vector_bytes: int = 64

"""What lowering may know of the machine: a plain record, never the name of a backend."""

from __future__ import annotations

from funcgrad.records import record


@record
class Target:
    """`vector_bytes` that one instruction computes with; `chains` of additions or products, each of which waits for the
    one before, that one thread can have under way."""

    vector_bytes: int = 64
    chains: int = 4


CPU = Target()
"""What kernels for the CPU are made for."""

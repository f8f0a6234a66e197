"""What this machine can do at most, and how near a compiled function comes to it.

Two rates, measured once a process: of a large matrix product, and of a long copy. Products and bytes of a step are
those that its types say; steps in loops count as often as they run, as far as that is known.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from funcgrad import dtypes
from funcgrad.lower.lowered import RegionStep, flops_of

SIDE = 768
"""Rows and columns of the product that is measured."""

LENGTH = 1 << 24
"""Bytes of the copy that is measured."""

WIDE = {dtypes.float64: 2.0, dtypes.complex64: 4.0, dtypes.complex128: 8.0}
"""How many times as long as in float32 a product of as many multiplications takes."""


@functools.cache
def rates() -> tuple[float, float]:
    """FLOPs of float32 products, and bytes read or written, in a second."""
    square = np.ones((SIDE, SIDE), np.float32)
    product = np.empty_like(square)
    source, target = np.ones(LENGTH, np.uint8), np.empty(LENGTH, np.uint8)
    flops = 2.0 * SIDE**3 / _best(lambda: np.matmul(square, square, out=product))
    return flops, 2.0 * LENGTH / _best(lambda: np.copyto(target, source))


def _best(run: Callable[[], Any]) -> float:
    taken = []
    for _ in range(4):
        start = time.perf_counter()
        run()
        taken.append(time.perf_counter() - start)
    return min(taken)


def against(steps: Sequence[tuple[float, Any, int, str]], taken: float) -> list[str]:
    """A line that says how long a call takes at the roof: `steps` are (anything, step, how often, where)."""
    flops, moved, least = 0.0, 0, 0.0
    rate, bandwidth = rates()
    for _, step, times, _ in steps:
        if isinstance(step, RegionStep):  # its bodies come by themselves
            continue
        own = flops_of(step) * times
        passed = sum(v.type.nbytes for v in (*step.reads, *step.writes)) * times
        flops += own
        moved += passed
        wide = WIDE.get(step.writes[0].type.dtype, 1.0) if own else 1.0
        least += max(own * wide / rate, passed / bandwidth)
    if not least:
        return []
    return [
        f"Predicted: {flops / 1e9:.3g} GFLOPs in products and convolutions, {moved / 1e6:.3g} MB read and written. "
        f"At this machine's rates ({rate / 1e9:.0f} GFLOP/s, {bandwidth / 1e9:.0f} GB/s) that is "
        f"{least * 1e3:.3g} ms: the call reaches about {least / taken:.0%} of the roof (the arithmetic of other "
        "kernels is not in it)."
    ]

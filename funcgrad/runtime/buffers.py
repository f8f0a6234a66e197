"""Memory of large results, kept for the next results of the same size.

An operating system hands out pages that it has to clear first, which takes longer than most kernels take to fill
them. So the memory of a large array goes back to a list here when the array dies, up to a limit.
"""

from __future__ import annotations

import math
import mmap
from typing import Any

import numpy as np

from funcgrad.lower.memory import ALIGNMENT

LARGE = 1 << 20
"""Bytes from which memory is kept; smaller arrays are NumPy's own."""

FEW = 256
"""Bytes below which it does not matter where an array begins."""

KEPT = 1 << 30
"""Bytes that are kept at most."""

_free: dict[int, list[mmap.mmap]] = {}
_kept = 0


class _Block(np.ndarray):
    """The bytes of one array; that array has it as its base, and when it dies the memory is free again."""

    def __del__(self, free: dict[int, list[mmap.mmap]] = _free) -> None:
        global _kept
        if mmap is None:  # the interpreter is ending, and has taken the names of modules away
            return
        memory = self.base
        if memory.__class__ is mmap.mmap and _kept + len(memory) <= KEPT:
            _kept += len(memory)
            free.setdefault(len(memory), []).append(memory)


def _memory(size: int) -> mmap.mmap:
    global _kept
    try:
        memory = _free[size].pop()
    except (KeyError, IndexError):
        memory = mmap.mmap(-1, size)
        if hasattr(mmap, "MADV_HUGEPAGE"):
            memory.madvise(mmap.MADV_HUGEPAGE)
        return memory
    _kept -= size
    return memory


def empty(shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    """What `numpy.empty` gives; large arrays in memory that is kept."""
    size = math.prod(shape) * dtype.itemsize
    if size < LARGE:
        return np.empty(shape, dtype)
    block: Any = _Block((size,), np.uint8, _memory(-(-size // mmap.PAGESIZE) * mmap.PAGESIZE))
    return np.ndarray(shape, dtype, block)


class _Aligned(np.ndarray):
    """The bytes of one array, which has it as its base and begins where lines of the cache do."""


def empty_aligned(shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    """What `empty` gives, for results that loops write again and again: a vector that lies across two lines of the
    cache takes twice as long to write, and several times as long to read just after that."""
    size = math.prod(shape) * dtype.itemsize
    if size < FEW or size >= LARGE:
        return empty(shape, dtype)
    block: Any = _Aligned((size + ALIGNMENT,), np.uint8)
    return np.ndarray(shape, dtype, block, -block.__array_interface__["data"][0] % ALIGNMENT)


def is_own(array: np.ndarray) -> bool:
    """Whether no other array shares the memory of `array` but views of it."""
    return array.flags.owndata or array.base.__class__ in (_Block, _Aligned)

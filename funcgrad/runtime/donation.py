"""Which memory a compiled function may take over: only such as nobody else can look into."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

from funcgrad.runtime import buffers


def _references(holder: list[Any]) -> int:
    return sys.getrefcount(holder[0])


_ONE_HOLDER = _references([np.empty(0)])
"""What `_references` gives for an object that only the list holds; it differs between Python versions."""


def only_one_sees(arrays: list[np.ndarray], index: int) -> bool:
    """Whether no view, no other Array and no variable of the user's holds the memory of an operand, which is held
    by this list and by its own Array."""
    holder = [arrays[index]]
    if not holder[0].flags.c_contiguous or _references(holder) != _ONE_HOLDER + 2:
        return False
    while not buffers.is_own(holder[0]):  # a view: then it alone holds what it is a view of
        if not isinstance(holder[0].base, np.ndarray):
            return False
        holder = [holder[0].base]
        if _references(holder) != _ONE_HOLDER + 1:
            return False
    return True

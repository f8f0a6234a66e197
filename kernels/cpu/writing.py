"""How hand-written kernels are put into words: the module around a kernel's statements and what one is called with; and
the sizes on which generated code and the functions of this folder agree."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

VECTOR = 16
"""The elements of the longest vectors of machines."""

EDGE = 16
"""Rows and columns of the squares that `vectors.transpose` turns."""


class Call(NamedTuple):
    """A kernel's source, called over 0..`extent`, of which each step takes about `work` nanoseconds, with `integers`
    behind the buffers that all kernels of a routine have."""

    source: str
    extent: int
    work: float
    integers: Sequence[int]


_MODULES = {"native": "native", "vec": "vectors as vec", "vm": "vmath as vm"}


def module(
    what: str,
    buffers: Sequence[str],
    arguments: str,
    body: Iterable[str],
    *,
    before: str = "",
    reassociate: bool = False,
) -> str:
    """The source of a kernel with the lines `body`, which says `what` it does. `arguments` are the names of its
    buffers, whose dtypes are `buffers`, and then of its integers; `before` stands before it."""
    lines = list(body)
    used = set(re.findall(r"\b(\w+)\.", "\n".join([before, *lines])))
    declared = [f"buffers={tuple(buffers)!r}", f"integers={arguments.count(',') + 1 - len(buffers)}"]
    declared += ["reassociate=True"] * reassociate
    return "\n".join(
        [
            f'"""{what}"""',
            "",
            *["import numpy as np"] * ("np" in used),
            "from funcgrad.kernels.cpu import abi",
            *[
                f"from funcgrad.kernels.cpu import {name}"
                for short, name in _MODULES.items()
                if short in used
            ],
            *["", before] * bool(before),
            "",
            "",
            f"@abi.kernel({', '.join(declared)})",
            f"def kernel(lo, hi, {arguments}):",
            *lines,
            "",
        ]
    )

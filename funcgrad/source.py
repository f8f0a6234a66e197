"""Where in the user's code we are. Owns the rule which frames are funcgrad's own; never raises."""

from __future__ import annotations

import functools
import os
import sys
from types import CodeType, FrameType, TracebackType
from typing import NamedTuple

import numpy as np

_PACKAGE_DIRS = (
    os.path.dirname(os.path.abspath(__file__)) + os.sep,
    os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "kernels") + os.sep,
    os.path.dirname(os.path.abspath(np.__file__)) + os.sep,
    os.path.abspath(functools.__file__),
)
"""NumPy's frames are here because its `errstate` and its `__array_function__` wrap functions of ours; `functools` makes
properties that are computed once."""
_internal: dict[str, bool] = {}
"""By file: whether its code is funcgrad's own."""


class SourceLine(NamedTuple):
    """One line of the user's program: `file:line (function)`. `backward` says that it is the derivative of that line
    that is computed, by reverse mode; `note`, how its control flow was batched."""

    file: str
    line: int
    function: str
    backward: bool = False
    note: str = ""

    def __str__(self) -> str:
        return f"{self.file}:{self.line} ({self.function})"


def is_internal(code: CodeType) -> bool:
    """Whether a code object is funcgrad's own, or generated without a file."""
    file = code.co_filename
    known = _internal.get(file)
    if known is None:
        known = _internal[file] = file.startswith((*_PACKAGE_DIRS, "<frozen", "<string>"))
    return known


def user_line(skip: int = 1) -> SourceLine | None:
    """The innermost line of the user's code on the stack, or None when there is none."""
    frame: FrameType | None = sys._getframe(skip)
    internal = _internal
    while frame is not None:
        code = frame.f_code
        known = internal.get(code.co_filename)
        if not (is_internal(code) if known is None else known):
            return SourceLine(code.co_filename, frame.f_lineno, code.co_name)
        frame = frame.f_back
    return None


def hide_internal_frames(error: BaseException) -> None:
    """Take funcgrad's own frames out of the traceback of `error`, which an `except` clause is to `raise` again.

    Before Python 3.11, `raise` puts the frame of that clause itself back, one of ours.
    """
    kept = []
    step = error.__traceback__
    while step is not None:
        if not is_internal(step.tb_frame.f_code):
            kept.append(step)
        step = step.tb_next
    rebuilt = None
    for step in reversed(kept):
        rebuilt = TracebackType(rebuilt, step.tb_frame, step.tb_lasti, step.tb_lineno)
    if sys.version_info < (3, 11) and error.__traceback__ is not None:
        error.__traceback__.tb_next = rebuilt
    else:
        error.__traceback__ = rebuilt

"""The frames that a user sees of an error."""

from __future__ import annotations

import sys
import traceback

_RAISING_AGAIN = {"wrapper", "__call__", "function", "getitem"} if sys.version_info < (3, 11) else set()
"""Functions whose own frames `raise` puts back (funcgrad.source.hide_internal_frames)."""


def shown(error: BaseException) -> list[traceback.FrameSummary]:
    """The frames of the traceback of `error`, from outside in."""
    frames = traceback.extract_tb(error.__traceback__)
    return [f for f in frames if f.name not in _RAISING_AGAIN or "funcgrad" not in f.filename]

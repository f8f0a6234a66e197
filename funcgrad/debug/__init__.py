"""Tools to look into traced and compiled functions while they run, and at what became of them."""

from funcgrad.debug.breakpoints import breakpoint_ as breakpoint
from funcgrad.debug.explain import why_not_fused, why_recompiled, why_slow
from funcgrad.debug.keys import key_reuse
from funcgrad.debug.nans import infs, nans
from funcgrad.debug.printing import callback
from funcgrad.debug.printing import print_ as print
from funcgrad.debug.progress import progress

__all__ = [
    "breakpoint",
    "callback",
    "infs",
    "key_reuse",
    "nans",
    "print",
    "progress",
    "why_not_fused",
    "why_recompiled",
    "why_slow",
]

"""Tools to look into traced and compiled functions while they run, and at what became of them."""

from funcgrad.debug.nans import infs, nans
from funcgrad.debug.printing import callback
from funcgrad.debug.printing import print_ as print

__all__ = ["callback", "infs", "nans", "print"]

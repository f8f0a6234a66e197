"""funcgrad: pure functions of arrays, traced, transformed and compiled."""

import os

from funcgrad.version import __version__

# Run from a checkout, Python finds this folder before an installed copy; kernels/ then lies beside it.
_here = os.path.dirname(__file__)
if not os.path.isdir(os.path.join(_here, "kernels")):
    __path__.append(os.path.dirname(_here))

__all__ = ["__version__"]

"""The stages of `jit`, for annotations, under the names of `jax.stages`."""

from funcgrad.jit import Compiled, Traced
from funcgrad.jit import Jitted as Wrapped
from funcgrad.runtime.report import Lowered

__all__ = ["Compiled", "Lowered", "Traced", "Wrapped"]

"""What programs ask JAX's module of this name: whether a value is traced."""

from funcgrad.contexts import ensure_compile_time_eval
from funcgrad.trace.core import Tracer

__all__ = ["Tracer", "ensure_compile_time_eval"]

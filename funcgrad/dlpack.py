"""Arrays of other libraries without a copy, under the names of `jax.dlpack`."""

from funcgrad.numpy import from_dlpack

__all__ = ["from_dlpack"]

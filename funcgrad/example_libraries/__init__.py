"""The small optimizers and layers that JAX's own examples are written with, under `jax.example_libraries`' names.

Programs to start from, not a library to build on: `optimizers` keeps its state in trees, `stax` makes a layer a pair of
functions.
"""

from funcgrad.example_libraries import optimizers, stax

__all__ = ["optimizers", "stax"]

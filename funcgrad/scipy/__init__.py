"""Linear algebra, special functions and distributions, under the names of `jax.scipy`."""

from funcgrad.scipy import linalg, sparse, special, stats

__all__ = ["linalg", "sparse", "special", "stats"]

"""Linear algebra, special functions and distributions, under the names of `jax.scipy`."""

from funcgrad.scipy import linalg, special, stats

__all__ = ["linalg", "special", "stats"]

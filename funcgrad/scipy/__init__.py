"""Special functions, distributions and linear algebra, under the names of `jax.scipy`."""

from funcgrad.scipy import linalg, special, stats

__all__ = ["linalg", "special", "stats"]

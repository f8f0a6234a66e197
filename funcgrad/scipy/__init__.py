"""Special functions and distributions, under the names of `jax.scipy`."""

from funcgrad.scipy import special, stats

__all__ = ["special", "stats"]

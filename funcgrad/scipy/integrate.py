"""Integration of samples, under the names of `jax.scipy.integrate`."""

from funcgrad.numpy import trapezoid

__all__ = ["trapezoid"]

"""Geometry, under the names of `jax.scipy.spatial`."""

from funcgrad.scipy.spatial import transform

__all__ = ["transform"]

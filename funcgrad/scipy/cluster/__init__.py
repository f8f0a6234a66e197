"""Clusters, under the names of `jax.scipy.cluster`."""

from funcgrad.scipy.cluster import vq

__all__ = ["vq"]

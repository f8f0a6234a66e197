"""Linear systems given by functions, under the names of `jax.scipy.sparse`."""

from funcgrad.scipy.sparse import linalg

__all__ = ["linalg"]

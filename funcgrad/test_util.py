"""JAX's module of this name: what programs test their derivatives with."""

from funcgrad.testing import check_grads

__all__ = ["check_grads"]

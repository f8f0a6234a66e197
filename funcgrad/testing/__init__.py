"""Checks that funcgrad's own tests use, for users' functions and primitives too."""

from funcgrad.testing.gradients import check_grads
from funcgrad.testing.matrix import check_primitive

__all__ = ["check_grads", "check_primitive"]

"""`checkify` under its name in JAX."""

from funcgrad.checkify import *  # noqa: F403

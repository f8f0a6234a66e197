"""What JAX has under `jax.experimental`: `ode`, and other places of `checkify`, `shard_map` and the callbacks."""

from funcgrad import checkify
from funcgrad.callbacks import io_callback
from funcgrad.contexts import enable_x64

__all__ = ["checkify", "enable_x64", "io_callback"]

"""`shard_map` under its name in JAX."""

from funcgrad.sharding import shard_map

__all__ = ["shard_map"]

"""The workloads, each written once against the API that funcgrad shares with JAX.

A workload is a function of a framework `fw` (the module `jax` or `funcgrad`) and its `numpy` that gives
`(call, args)`: what is timed is `call(*args)`, waited for. Inputs are made by NumPy from a fixed seed, so
that results can be compared.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

WORKLOADS: dict[str, Workload] = {}


class Workload:
    """A named workload, run `repeat` times for its median; `resize(jnp, args)` makes the arguments of another batch
    size; of a `chaotic` one the results cannot be compared."""

    def __init__(
        self, make: Callable[..., Any], repeat: int, resize: Callable[..., Any] | None, chaotic: bool
    ):
        self.make = make
        self.repeat = repeat
        self.resize = resize
        self.chaotic = chaotic
        self.name = make.__name__


def workload(repeat: int = 20, resize: Callable[..., Any] | None = None, chaotic: bool = False):
    """Register a workload."""

    def register(make: Callable[..., Any]) -> Callable[..., Any]:
        WORKLOADS[make.__name__] = Workload(make, repeat, resize, chaotic)
        return make

    return register


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def normal(*shape: int) -> np.ndarray:
    return rng().standard_normal(shape).astype(np.float32)

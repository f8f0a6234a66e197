"""The registry of PyTorch programs, their inputs, and gradients of functions of trees of tensors.

A program is a function of the workload's arguments as tensors. It is timed as it is written, and under
`torch.compile` where it says that this works.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch.utils import _pytree as pytree

PROGRAMS: dict[str, Program] = {}


class Program:
    """A PyTorch program; `compiles` says whether `torch.compile` is worth a try (it unrolls loops)."""

    def __init__(self, run: Callable[..., Any], compiles: bool):
        self.run = run
        self.compiles = compiles


def program(name: str | None = None, compiles: bool = True):
    """Register the PyTorch program of a workload (by default the one of the function's name)."""

    def register(run: Callable[..., Any]) -> Callable[..., Any]:
        PROGRAMS[name or run.__name__] = Program(run, compiles)
        return run

    return register


def value_and_grad(f: Callable[..., torch.Tensor], argnums: int | Sequence[int] = 0) -> Callable[..., Any]:
    """The value of `f` and its gradient in the arguments (trees of tensors) at `argnums`."""

    def call(*args: Any) -> Any:
        if torch.compiler.is_compiling():
            wanted = argnums if isinstance(argnums, int) else tuple(argnums)
            gradient, value = torch.func.grad_and_value(f, wanted)(*args)
            return value, gradient
        places = (argnums,) if isinstance(argnums, int) else tuple(argnums)
        tracked = list(args)
        for place in places:
            tracked[place] = pytree.tree_map(lambda x: x.detach().requires_grad_(), args[place])
        leaves, tree = pytree.tree_flatten([tracked[place] for place in places])
        value = f(*tracked)
        gradients = pytree.tree_unflatten(list(torch.autograd.grad(value, leaves)), tree)
        return value.detach(), gradients[0] if isinstance(argnums, int) else tuple(gradients)

    return call


def grad(f: Callable[..., torch.Tensor], argnums: int | Sequence[int] = 0) -> Callable[..., Any]:
    """The gradient of `f` in the arguments at `argnums`."""
    both = value_and_grad(f, argnums)
    return lambda *args: both(*args)[1]


class Inputs:
    """Stands in for a framework and its `numpy` while a workload makes its arguments: arrays become tensors,
    everything else is left undone."""

    float32 = torch.float32
    asarray = staticmethod(lambda x: torch.from_numpy(np.array(x)))
    zeros = staticmethod(lambda shape, dtype=None: torch.zeros(shape, dtype=dtype))
    zeros_like = staticmethod(torch.zeros_like)
    tree_map = staticmethod(pytree.tree_map)

    def __getattr__(self, name: str) -> Inputs:
        return self

    def __call__(self, *args: Any, **kwargs: Any) -> Inputs:
        return self

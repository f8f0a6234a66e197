"""The kernel ABI: how a generated kernel is declared, compiled, and called.

A kernel is a plain Python function of a range, pointers, integers and scalars, declared by `kernel`::

    @abi.kernel(buffers=("f32", "f32"), integers=1, scalars=("f32",))
    def kernel(lo, hi, x, y, n, c):
        for i in range(lo, hi):
            y[i] = x[i] * c

Numba compiles it without Python wrappers and with every pointer `noalias`. Beside it goes an entry point of
one uniform signature, so that a driver can call any kernel::

    entry(args, lo, hi)        args -> | x | y | n | c |      slots of 8 bytes: addresses, integers, scalars

Both are one relocatable object, which `loader.load` puts into a process without Numba.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

VERSION = 1
"""Counts changes of the entry's signature; part of every cache key."""

ENTRY = "funcgrad_entry"
"""The name of the entry point in a kernel's object."""

_POINTEES = {"bool": "uint8", "f16": "uint16", "bf16": "uint16", "f32": "float32", "f64": "float64"}
_POINTEES |= {"c64": "complex64", "c128": "complex128"}
_POINTEES |= {f"{k[0]}{n}": f"{k}{n}" for k in ("int", "uint") for n in (8, 16, 32, 64)}


class Kernel:
    """A declared kernel: the Python function and the types of its arguments after `lo` and `hi`."""

    def __init__(
        self,
        function: Callable[..., None],
        buffers: tuple[str, ...],
        integers: int,
        scalars: tuple[str, ...],
        reassociate: bool,
    ):
        functools.update_wrapper(self, function)
        self.function = function
        self.buffers = buffers
        self.integers = integers
        self.scalars = scalars
        self.reassociate = reassociate

    def __call__(self, *args: Any) -> None:
        """Run the Python function itself, on NumPy arrays in place of pointers: for stepping through it."""
        self.function(*args)


def kernel(
    *,
    buffers: tuple[str, ...],
    integers: int = 0,
    scalars: tuple[str, ...] = (),
    reassociate: bool = False,
) -> Callable[[Callable[..., None]], Kernel]:
    """Declare a kernel. `reassociate` allows sums and products to be computed in another order."""
    return lambda function: Kernel(function, buffers, integers, scalars, reassociate)


def pointee(short: str) -> str:
    """The name of the Numba type that a buffer of this dtype points to."""
    return _POINTEES[short]

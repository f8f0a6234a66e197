"""Routines that take several hand-written kernels, or loops that no generated kernel has, by name.

A routine is a function `calls(buffers, *settings)`: `buffers` are the dtypes of its operands, results and scratch, in
this order, which are also the buffers of each of its kernels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from funcgrad.kernels.cpu import (
    convolution,
    convolution_channels_last,
    convolution_products,
    factors,
    scan,
    selection,
)
from funcgrad.kernels.cpu.writing import Call

ROUTINES: dict[str, Callable[..., list[Call]]] = {
    "accumulate": scan.calls,
    "cholesky": factors.cholesky,
    "convolve": convolution.calls,
    "convolve_by_products": convolution_products.calls,
    "convolve_channels_last": convolution_channels_last.calls,
    "lu": factors.lu,
    "solve": factors.solve,
    "top_k": selection.calls,
    "triangular_solve": factors.triangular,
}

BY_BLAS = frozenset({"convolve_by_products"})
"""Those whose kernels call BLAS, which shall start no threads of its own meanwhile: the first integer of each kernel,
which `calls` leaves out, is the address of its matrix product."""


def calls(routine: str, buffers: Sequence[str], settings: Sequence[int | str]) -> list[Call]:
    """The calls, one after the other, that a routine consists of."""
    return ROUTINES[routine](tuple(buffers), *settings)

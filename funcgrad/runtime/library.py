"""Steps of a program that are calls of NumPy or SciPy: sorting, decompositions, transforms.

The driver calls them like kernels, through a function pointer into Python; each evaluates its primitive on
the whole arrays at the given addresses and copies the results to theirs.
"""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Sequence
from typing import Any

import numpy as np

from funcgrad.errors import KernelError
from funcgrad.ir.primitive import Primitive
from funcgrad.ir.types import ArrayType

_ENTRY = ctypes.CFUNCTYPE(None, ctypes.c_int64, ctypes.c_int64, ctypes.c_int64)


class LibraryCall:
    """One call of a primitive's evaluation, whose `inputs` are values or types.

    `address` is what the driver calls; its argument block has the addresses of the operands that are no values, those
    of the results, and that of a byte to clear if the call fails: the program then ends, and `error` has the
    exception.
    """

    def __init__(
        self,
        primitive: Primitive,
        params: dict[str, Any],
        inputs: Sequence[Any],
        outputs: Sequence[ArrayType],
    ):
        self.primitive = primitive
        self.params = params
        self.inputs = inputs
        self.outputs = list(outputs)
        self._errors: dict[int, BaseException] = {}  # by thread
        self._entry = _ENTRY(self._run)

    @property
    def address(self) -> int:
        return ctypes.cast(self._entry, ctypes.c_void_p).value or 0

    def error(self) -> BaseException | None:
        """What the call has raised in this thread since it was last asked."""
        return self._errors.pop(threading.get_ident(), None)

    def _run(self, block: int, lo: int, hi: int) -> None:
        slot = block
        try:
            operands = []
            for given in self.inputs:
                if isinstance(given, ArrayType):
                    operands.append(_array_at(slot, given))
                    slot += 8
                else:
                    operands.append(given)
            with np.errstate(all="ignore"):
                results = self.primitive.evaluate(np, *operands, **self.params)
            for type, result in zip(self.outputs, results if self.primitive.multiple_results else [results]):
                _array_at(slot, type)[...] = result
                slot += 8
        except BaseException as error:  # it cannot pass through native code: Executable raises it
            self._errors[threading.get_ident()] = error
            flag = block + 8 * (sum(isinstance(x, ArrayType) for x in self.inputs) + len(self.outputs))
            ctypes.c_uint8.from_address(ctypes.c_int64.from_address(flag).value).value = 0


def user_call_failed(names: Sequence[str]) -> KernelError:
    """The error where one of these kernels or functions of the user's has raised."""
    which = " or ".join(dict.fromkeys(names))
    return KernelError(
        f"the kernel {which} raised an exception inside compiled code",
        hint="call it outside jit (with funcgrad.disable_jit() where it is inside) to see which; a function of numbers "
        "returns math.nan where it has no value",
    )


def only_on_gpu(name: str) -> KernelError:
    """The error where a kernel of the user's that has no form for the CPU is to run."""
    return KernelError(
        f"the kernel {name} is written in CUDA C only, and this program runs on the CPU",
        hint="give it a form for Numba too: decorate a Python function of the same name with fg.kernel(cuda=...); "
        "jit(f).lower(...) prints the CUDA C without running it",
    )


def _array_at(slot: int, type: ArrayType) -> np.ndarray:
    """The array whose address stands in an argument slot."""
    address = ctypes.c_int64.from_address(slot).value
    if not type.nbytes:
        return np.empty(type.shape, type.dtype)
    memory = (ctypes.c_char * type.nbytes).from_address(address)
    return np.frombuffer(memory, type.dtype).reshape(type.shape)

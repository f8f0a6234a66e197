"""Functions of arrays that users write in CUDA C: the checks of their text that need no compiler.

The text defines a `__device__` function of the name asked for, which every thread of a grid calls with the operands and
then the results; user_call.py prints the kernel around it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from funcgrad.errors import ArgumentError, KernelError
from funcgrad.ir.expr import CudaFunction

_UNREAD = re.compile(r"//[^\n]*|/\*.*?\*/|\"(?:\\.|[^\"\\\n])*\"", re.DOTALL)
_FORM = "__device__ void {}(fg::Array<const float, 1> x, float scale, fg::Array<float, 1> out)"


def cuda_function(name: str, text: str) -> CudaFunction:
    """The function `name` of `text`; KernelError where that defines none that a kernel can call."""
    if not isinstance(text, str):
        raise ArgumentError(
            f"kernel: cuda is the text of CUDA C, got {type(text).__name__}",
            hint="read a file with pathlib.Path(...).read_text()",
        )
    if not name.isidentifier():
        raise KernelError(f"a function of CUDA C cannot be called {name!r}", hint="give the function a name")
    plain = _UNREAD.sub(" ", text)
    for found in re.finditer(rf"\b{name}\s*\(", plain):
        before = re.split(r"[;{}]", plain[: found.start()])[-1]
        if "__global__" in before:
            raise KernelError(
                f"{name} is a __global__ function of CUDA C; funcgrad itself prints that one, for batches",
                hint=f"make it one that each thread calls: {_FORM.format(name)}",
            )
        if "__device__" in before:
            return CudaFunction(name, text, sum(1 for _ in _parameters(plain[found.end() :])))
    raise KernelError(
        f"the CUDA C of the kernel {name} defines no __device__ function of that name",
        hint=f"it has the form {_FORM.format(name)} {{ ... }}",
    )


def _parameters(text: str) -> Iterator[str]:
    """The parameters that stand before the bracket that closes them."""
    depth, start = 0, 0
    for k, letter in enumerate(text):
        if letter in "(<[{":
            depth += 1
        elif depth == 0 and letter in ",)":
            if text[start:k].strip() not in ("", "void"):
                yield text[start:k]
            if letter == ")":
                return
            start = k + 1
        elif letter in ")>]}":
            depth -= 1


__all__ = ["cuda_function"]

"""Prints the kernel that calls a user's function of arrays, by the ABI of funcgrad.kernels.cpu.abi.

Its buffers are the operands that are no literals, the outputs, and a byte that it clears where the function raises;
its integers the extents of the batch and of each array; its scalars the literals. A kernel's parallel axis is the
batch. Operands without axes are numbers, and outputs without axes arrays of one element.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from funcgrad import dtypes
from funcgrad.ir.graph import Literal
from funcgrad.ir.types import ArrayType
from funcgrad.lower.lowered import UserStep


class _Kernel:
    def __init__(self, step: UserStep):
        self.levels = step.definition.levels
        self.buffers: list[str] = []
        self.pointees: list[str] = []
        self.scalars: list[str] = []
        self.scalar_types: list[str] = []
        self.values: list[Any] = []
        self.sizes: list[int] = []
        self.made: list[str] = []
        self.passed: list[str] = []
        self.batch = [self._integer(size) for size, _ in self.levels]
        for number, (atom, type) in enumerate(zip(step.inputs, step.in_types)):
            if isinstance(atom, Literal):
                self._literal(atom, number)
            else:
                batched = tuple([flags[number] for _, flags in self.levels])
                self._array(f"x{number}", type, batched, output=False)
        for number, out in enumerate(step.outputs):
            self._array(f"y{number}", out.type, (True,) * len(self.levels), output=True)

    def _integer(self, size: int) -> str:
        self.sizes.append(size)
        return f"n{len(self.sizes) - 1}"

    def _literal(self, atom: Literal, number: int) -> None:
        name = f"s{number}"
        self.scalars.append(name)
        self.scalar_types.append(dtypes.name(atom.type.dtype))
        self.values.append(atom.value)
        self.passed.append(f"{name} != 0" if atom.type.dtype == dtypes.bool_ else name)

    def _array(self, name: str, type: ArrayType, batched: tuple[bool, ...], output: bool) -> None:
        self.buffers.append(name)
        self.pointees.append(dtypes.name(type.dtype))
        own = type.shape[sum(batched) :]
        shape = [n for n, b in zip(self.batch, batched) if b] + [self._integer(n) for n in own]
        index = [f"i{k}" for k, b in enumerate(batched) if b]
        if output and not own:
            shape.append("1")
        whole = f"carray({name}, ({', '.join(shape)},))" if shape else ""
        if whole and type.dtype == dtypes.bool_:
            whole += ".view(np.bool_)"
        if not shape:  # a number
            self.passed.append(f"{name}[0] != 0" if type.dtype == dtypes.bool_ else f"{name}[0]")
            return
        self.made.append(f"{name}_all = {whole}")
        self.passed.append(f"{name}_all[{', '.join(index)}]" if index else f"{name}_all")

    def source(self, step: UserStep) -> str:
        function = step.definition.function
        assert function is not None
        quoted = lambda names: "(" + "".join(f'"{n}", ' for n in names) + ")"  # noqa: E731
        lines = [f'"""{step.definition.name}, written by the user"""', ""]
        lines += ["import numpy as np", "from numba import carray", ""]
        lines += ["from funcgrad.kernels.cpu import abi", "from funcgrad.kernels.cpu import user", ""]
        lines += [function.text, ""]
        integers = [f"n{k}" for k in range(len(self.sizes))]
        lines.append(
            f"@abi.kernel(buffers={quoted([*self.pointees, dtypes.name(np.dtype(np.uint8))])}, "
            f"integers={len(integers)}, scalars={quoted(self.scalar_types)})"
        )
        lines.append(f"def kernel(lo, hi, {', '.join([*self.buffers, 'good', *integers, *self.scalars])}):")
        lines.append("    try:")
        lines += [f"        {line}" for line in self.made]
        lines.append("        for i in range(lo, hi):")
        rest = "i"
        for k in reversed(range(len(self.batch))):
            lines.append(f"            i{k} = {rest} % {self.batch[k]}")
            rest = f"({rest}) // {self.batch[k]}"
        lines.append(f"            {function.name}({', '.join(self.passed)})")
        lines += ["    except Exception:", "        good[0] = 0", ""]
        return "\n".join(lines)


def emit_user_call(step: UserStep) -> tuple[str, list[int], list[Any]]:
    """The source of a kernel that has a form for the CPU, its integers and its scalars."""
    kernel = _Kernel(step)
    return kernel.source(step), kernel.sizes, kernel.values


__all__ = ["emit_user_call"]

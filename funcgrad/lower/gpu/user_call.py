"""Prints the kernel that calls a user's function in CUDA C, by the arguments of `lower/cpu/user_call.py`.

Its buffers are the operands that are no literals and the outputs; its integers the extents of the batch and of each
array; its scalars the literals. Blocks along x share one example, blocks along y take examples side by side.
"""

from __future__ import annotations

from funcgrad import dtypes
from funcgrad.ir.graph import Literal
from funcgrad.ir.types import ArrayType
from funcgrad.lower.gpu.emit import NotPrintable, c_type
from funcgrad.lower.lowered import UserStep


def emit_user_call(step: UserStep) -> str:
    """The CUDA C; NotPrintable where the user gave none, or for a dtype that has none."""
    function = step.definition.cuda
    if function is None:
        raise NotPrintable(f"the kernel {step.definition.name} was given without CUDA C")
    levels = step.definition.levels
    integers = len(levels)
    pointers, scalars, passed = [], [], []

    def array(name: str, type: ArrayType, batched: tuple[bool, ...], output: bool) -> None:
        nonlocal integers
        own = type.ndim - sum(batched)
        extents = [f"n{integers + k}" for k in range(own)]
        integers += own
        element = f"{'' if output else 'const '}{_type(type)}"
        pointers.append(f"{element}* {name}")
        where = ""
        for k, flag in enumerate(batched):
            if flag:
                where = f"({where}) * n{k} + i{k}" if where else f"i{k}"
        if where and extents:
            where = f"({where}) * {' * '.join(extents)}"
        if not own and not output:
            passed.append(f"{name}[{where or 0}]")
            return
        place = f"{name} + {where}" if where else name
        passed.append(f"fg::Array<{element}, {own or 1}>{{{place}, {{{', '.join(extents) or 1}}}}}")

    for number, (atom, type) in enumerate(zip(step.inputs, step.in_types)):
        if isinstance(atom, Literal):
            scalars.append(f"{_type(type)} s{number}")
            passed.append(f"s{number}")
        else:
            array(f"x{number}", type, tuple([flags[number] for _, flags in levels]), False)
    for number, out in enumerate(step.outputs):
        array(f"y{number}", out.type, (True,) * len(levels), True)
    arguments = ["int64 lo", "int64 hi", *pointers, *(f"int64 n{k}" for k in range(integers)), *scalars]
    lines = ['#include "funcgrad.cuh"', "", function.text.strip("\n"), ""]
    lines.append(f'extern "C" __global__ void {function.name}_kernel({", ".join(arguments)}) {{')
    lines.append("    for (int64 i = lo + blockIdx.y; i < hi; i += gridDim.y) {")
    rest = "i"
    for k in reversed(range(len(levels))):
        last = f"{rest} % n{k}" if k else rest
        lines.append(f"        const int64 i{k} = {last};")
        rest = f"({rest}) / n{k}"
    lines += [f"        {function.name}({', '.join(passed)});", "        __syncthreads();", "    }", "}", ""]
    return "\n".join(lines)


def _type(type: ArrayType) -> str:
    if type.dtype.itemsize == 2 and dtypes.is_float(type.dtype):
        raise NotPrintable(f"16-bit floats are no numbers in CUDA C ({dtypes.name(type.dtype)})")
    return c_type(type.dtype)


__all__ = ["emit_user_call"]

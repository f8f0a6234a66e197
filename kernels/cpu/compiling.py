"""Compiling kernels: the front end (see frontend.py), then LLVM, once. Loaded only when something compiles.

LLVM takes most of the time, and runs without Python's lock. So `compile_all` lets other threads and processes run it
(see helpers.py) while the caller's thread lowers the next kernel. llvmlite lets one thread at a time call LLVM, so
lowering must not.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import llvmlite.binding as llvm
from llvmlite import ir

from . import frontend
from .abi import ENTRY, Kernel, pointee
from .codegen import DRIVER, Modules, generate
from .helpers import generate_all
from .scalars import I64, SCALARS, Pointer


def lower_kernel(kernel: Kernel) -> Modules:
    """A declared kernel with its entry point, not optimised."""
    try:
        return lower_directly(kernel)
    except frontend.Unknown:
        return lower_by_numba(kernel)


def _kinds(kernel: Kernel) -> list[Any]:
    """The types of a kernel's arguments."""
    buffers = [Pointer(SCALARS[pointee(b)]) for b in kernel.buffers]
    return [I64, I64, *buffers, *[I64] * kernel.integers, *[SCALARS[pointee(s)] for s in kernel.scalars]]


def lower_directly(kernel: Kernel) -> Modules:
    """The same by our front end alone, which may not understand it."""
    module, kinds = _module(), _kinds(kernel)
    function = frontend.lower(module, kernel.function, kinds)
    if kernel.reassociate:
        frontend.reassociate(module)
    entry = _entry(module, kinds[2:])
    entry.builder.call(function, [*entry.range, *entry.arguments])
    entry.builder.ret_void()
    return [str(module)]


def lower_by_numba(kernel: Kernel) -> Modules:
    """The same by Numba alone."""
    from . import by_numba  # imports Numba's compiler, which takes its time

    kinds = _kinds(kernel)
    texts, name = by_numba.lower(kernel.function, kinds, kernel.reassociate)
    module = _module()
    entry = _entry(module, kinds[2:])
    types = [ir.IntType(64).as_pointer()] * 2 + [k.llvm for k in kinds]
    function = ir.Function(module, ir.FunctionType(ir.IntType(32), types), name)
    unused = [entry.builder.alloca(ir.IntType(64)) for _ in range(2)]  # a result, and an exception
    entry.builder.store(ir.IntType(64)(0), unused[1])  # a `try` in the kernel asks whether there is one
    status = entry.builder.call(function, [*unused, *entry.range, *entry.arguments])
    if by_numba.calls_users(
        kernel.function
    ):  # these have a byte behind the other buffers that says whether all is well
        raised = entry.builder.icmp_signed("!=", status, ir.IntType(32)(0))
        with entry.builder.if_then(raised):
            entry.builder.store(ir.IntType(8)(0), entry.arguments[len(kernel.buffers) - 1])
    entry.builder.ret_void()
    return [*texts, str(module)]


def lower_driver() -> Modules:
    """The native driver, not optimised: `funcgrad_enter(self, operands, count)` and `funcgrad_work(pool)`."""
    from . import driver

    module = _module(DRIVER)
    functions = frontend.Functions(module)
    functions.add(driver.enter, (I64,) * 3, I64, "funcgrad_enter").linkage = "external"
    functions.add(driver.work, (I64,), None, "funcgrad_work").linkage = "external"
    return [str(module)]


def _module(name: str = "kernel") -> ir.Module:
    module = ir.Module(name)
    module.triple = _triple()
    return module


@functools.cache
def _triple() -> str:
    return llvm.get_process_triple()


_SWITCH = 0.0005
"""Seconds after which a thread hands on Python's lock while both are at work: each of LLVM's calls waits for that."""


def compile_all(kernels: Sequence[Callable[[], Modules]]) -> Iterator[bytes]:
    """The objects of kernels that are lowered one after the other, each while LLVM works on those before."""
    if len(kernels) == 1:
        yield generate(kernels[0]())
        return
    before = sys.getswitchinterval()
    sys.setswitchinterval(_SWITCH)
    try:
        yield from generate_all(kernels)
    finally:
        sys.setswitchinterval(before)


@dataclass
class _Entry:
    """An entry point that has loaded the argument slots."""

    builder: ir.IRBuilder
    range: list[Any]
    arguments: list[Any]


def _entry(module: ir.Module, kinds: Sequence[Any]) -> _Entry:
    word = ir.IntType(64)
    kind = ir.FunctionType(ir.VoidType(), [word.as_pointer(), word, word])
    function = ir.Function(module, kind, ENTRY)
    args, *bounds = function.args
    builder = ir.IRBuilder(function.append_basic_block())
    arguments = []
    for slot, kind in enumerate(kinds):
        place = builder.bitcast(builder.gep(args, [word(slot)]), kind.llvm.as_pointer())
        arguments.append(builder.load(place, align=8))
    return _Entry(builder, bounds, arguments)

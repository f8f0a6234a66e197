"""Compiling kernels: Numba's front end (see frontend.py), then LLVM, once. With frontend.py the only module here
that imports Numba's compiler; loaded only when something compiles.

The two halves take about the same time, and LLVM runs without Python's lock. So `compile_all` lets one thread run
LLVM on a kernel while the caller's thread lowers the next. llvmlite lets one thread at a time call LLVM, so lowering
must not (see frontend.py).
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import llvmlite.binding as llvm
from numba.core import config, types

from . import frontend
from .abi import ENTRY, Kernel, llvm_type, pointee
from .lanes import FEATURES

Modules = list[str]
"""The text of modules of LLVM IR that belong together."""


_DEFINED, _INTERNAL = "\ndefine i32 @", "\ndefine internal i32 @"
"""How the text of a function begins that Numba has compiled."""


def lower_kernel(kernel: Kernel) -> Modules:
    """A declared kernel with its entry point, not optimised."""
    arguments = [types.int64, types.int64]
    arguments += [types.CPointer(getattr(types, pointee(b))) for b in kernel.buffers]
    arguments += [types.int64] * kernel.integers
    arguments += [getattr(types, pointee(s)) for s in kernel.scalars]
    modules, name = frontend.lower(kernel.function, types.void(*arguments), kernel.reassociate)
    if len(modules) == 1:
        modules[0] = modules[0].replace(_DEFINED, _INTERNAL)
    modules[0] += "\n" + _entry_ir(kernel, name)
    return modules


def lower_driver() -> Modules:
    """The native driver, not optimised: `funcgrad_enter(self, operands, count)` and `funcgrad_work(pool)`."""
    from . import driver

    modules: dict[str, None] = {}
    entries = []
    for symbol, function, count in (("funcgrad_enter", driver.enter, 3), ("funcgrad_work", driver.work, 1)):
        result = types.int64 if function is driver.enter else types.void
        texts, name = frontend.lower(function, result(*[types.int64] * count), False)
        modules.update(dict.fromkeys(texts))
        passed = ", ".join(f"i64 %a{k}" for k in range(count))
        entries.append(
            f"declare i32 @{name}(ptr, ptr{', i64' * count})\n"
            f"define i64 @{symbol}({passed}) {{\n"
            "  %result = alloca i64\n  store i64 0, ptr %result\n  %exception = alloca ptr\n"
            f"  %status = call i32 @{name}(ptr %result, ptr %exception, {passed})\n"
            "  %value = load i64, ptr %result\n  ret i64 %value\n}\n"
        )
    return [*modules, "\n".join(entries)]


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
        with ThreadPoolExecutor(1, "funcgrad-llvm") as llvm_thread:
            yield from [f.result() for f in [llvm_thread.submit(generate, lower()) for lower in kernels]]
    finally:
        sys.setswitchinterval(before)


def generate(modules: Modules) -> bytes:
    """One object for this machine."""
    return _backend()[0].emit_object(optimised(modules))


def optimised(modules: Modules) -> Any:
    """The modules as one, optimised, where only entry points are seen from outside."""
    linked = llvm.parse_assembly(modules[0])
    if len(modules) > 1:
        for text in modules[1:]:
            linked.link_in(llvm.parse_assembly(text))
        for function in linked.functions:
            if not function.is_declaration and not function.name.startswith("funcgrad_"):
                function.linkage = "internal"
    machine, layout, options = _backend()
    linked.data_layout = layout
    builder = llvm.create_pass_builder(machine, options)
    builder.getModulePassManager().run(linked, builder)
    return linked


@functools.cache
def _backend() -> tuple[Any, str, Any]:
    """LLVM's description of this machine, the layout of its data, and how to optimise for it."""
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    machine = llvm.Target.from_default_triple().create_target_machine(
        opt=3,
        cpu=config.CPU_NAME or llvm.get_host_cpu_name(),
        features=FEATURES,
        reloc="pic",
        codemodel="jitdefault",
        jit=True,
    )
    options = llvm.create_pipeline_tuning_options(speed_level=3)
    options.loop_vectorization = True
    options.slp_vectorization = False
    return machine, str(machine.target_data), options


def _entry_ir(kernel: Kernel, name: str) -> str:
    """The entry point: loads the argument slots and calls the kernel."""
    kinds = ["ptr"] * len(kernel.buffers) + ["i64"] * kernel.integers + [llvm_type(s) for s in kernel.scalars]
    loads = []
    for slot, kind in enumerate(kinds):
        loads.append(f"  %p{slot} = getelementptr i64, ptr %args, i64 {slot}")
        loads.append(f"  %a{slot} = load {kind}, ptr %p{slot}, align 8")
    passed = "".join(f", {kind} %a{slot}" for slot, kind in enumerate(kinds))
    lines = [
        f"define void @{ENTRY}(ptr %args, i64 %lo, i64 %hi) {{",
        "  %result = alloca i64",
        "  %exception = alloca ptr",
        "  store ptr null, ptr %exception",  # a `try` in the kernel asks whether there is one
        *loads,
        f"  %status = call i32 @{name}(ptr %result, ptr %exception, i64 %lo, i64 %hi{passed})",
        "  ret void",
        "}",
    ]
    return "\n".join([*lines, ""])

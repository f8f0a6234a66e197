"""Compiling kernels with Numba. The only module here that imports Numba; loaded only when something compiles."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import llvmlite.binding as llvm
import numba
from numba.core import types
from numba.core.compiler import Compiler
from numba.core.registry import cpu_target

from .abi import ENTRY, Kernel, llvm_type, pointee


class NoAlias(Compiler):
    """Numba's pipeline, with pointer arguments declared not to overlap."""

    def define_pipelines(self) -> Any:
        self.state.flags.noalias = True
        return super().define_pipelines()


def compile_function(
    function: Callable[..., Any], signature: Any, reassociate: bool = False
) -> tuple[str, str]:
    """Compile to optimised LLVM IR; gives the text and the name of the function in it. Its signature there is
    Numba's own: `i32 f(result*, exception**, arguments...)`."""
    dispatcher = numba.njit(
        signature,
        no_cpython_wrapper=True,
        no_cfunc_wrapper=True,
        error_model="numpy",
        nogil=True,
        fastmath={"reassoc"} if reassociate else False,
        pipeline_class=NoAlias,
    )(function)
    result = next(iter(dispatcher.overloads.values()))
    return result.library.get_llvm_str(), result.fndesc.llvm_func_name


def compile_kernel(kernel: Kernel) -> bytes:
    """The object code of a declared kernel with its entry point."""
    arguments = [types.int64, types.int64]
    arguments += [types.CPointer(getattr(types, pointee(b))) for b in kernel.buffers]
    arguments += [types.int64] * kernel.integers
    arguments += [getattr(types, pointee(s)) for s in kernel.scalars]
    text, name = compile_function(kernel.function, types.void(*arguments), kernel.reassociate)
    return emit(text, _entry_ir(kernel, name))


def emit(*modules: str) -> bytes:
    """Link modules of LLVM IR and generate one object for this machine."""
    linked = llvm.parse_assembly(modules[0])
    for text in modules[1:]:
        linked.link_in(llvm.parse_assembly(text))
    codegen = cpu_target.target_context.codegen()
    machine = llvm.Target.from_default_triple().create_target_machine(
        opt=3,
        cpu=codegen._get_host_cpu_name(),
        features=codegen._get_host_cpu_features(),
        reloc="pic",
        codemodel="jitdefault",
        jit=True,
    )
    return machine.emit_object(linked)


def _entry_ir(kernel: Kernel, name: str) -> str:
    """The entry point: loads the argument slots and calls the kernel."""
    kinds = ["ptr"] * len(kernel.buffers) + ["i64"] * kernel.integers + [llvm_type(s) for s in kernel.scalars]
    loads = []
    for slot, kind in enumerate(kinds):
        loads.append(f"  %p{slot} = getelementptr i64, ptr %args, i64 {slot}")
        loads.append(f"  %a{slot} = load {kind}, ptr %p{slot}, align 8")
    passed = "".join(f", {kind} %a{slot}" for slot, kind in enumerate(kinds))
    declared = "".join(f", {kind}" for kind in kinds)
    lines = [
        f"declare i32 @{name}(ptr, ptr, i64, i64{declared})",
        f"define void @{ENTRY}(ptr %args, i64 %lo, i64 %hi) {{",
        "  %result = alloca i64",
        "  %exception = alloca ptr",
        *loads,
        f"  %status = call i32 @{name}(ptr %result, ptr %exception, i64 %lo, i64 %hi{passed})",
        "  ret void",
        "}",
    ]
    return "\n".join(lines)


def compile_driver() -> bytes:
    """The object code of the native driver: `funcgrad_enter(self, operands, count)` and `funcgrad_work(pool)`."""
    from . import driver

    modules = []
    for symbol, function, count in (("funcgrad_enter", driver.enter, 3), ("funcgrad_work", driver.work, 1)):
        result = types.int64 if function is driver.enter else types.void
        text, name = compile_function(function.py_func, result(*[types.int64] * count))
        passed = ", ".join(f"i64 %a{k}" for k in range(count))
        modules.append(text)
        modules.append(
            f"declare i32 @{name}(ptr, ptr{', i64' * count})\n"
            f"define i64 @{symbol}({passed}) {{\n"
            "  %result = alloca i64\n  store i64 0, ptr %result\n  %exception = alloca ptr\n"
            f"  %status = call i32 @{name}(ptr %result, ptr %exception, {passed})\n"
            "  %value = load i64, ptr %result\n  ret i64 %value\n}\n"
        )
    return emit(*modules)

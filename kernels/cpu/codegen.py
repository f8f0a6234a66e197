"""LLVM's half of compiling a kernel: from the text of modules to an object for this machine.

This file also runs by itself, as a helper process (see helpers.py): it imports llvmlite and nothing else.
"""

from __future__ import annotations

import functools
import marshal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import llvmlite.binding as llvm

FEATURES = llvm.get_host_cpu_features().flatten()
"""The processor's features, as LLVM writes them; what kernels are compiled for."""

Modules = list[str]
"""The text of modules of LLVM IR that belong together."""


def generate(modules: Modules) -> bytes:
    """One object for this machine."""
    module = optimised(modules)
    with _without_strength_reduction():
        return _machine()[0].emit_object(module)


@contextmanager
def _without_strength_reduction() -> Iterator[None]:
    """Leave loops their addresses: LLVM's search for cheaper ones takes half of the time for code, and gains nothing.
    The option holds for the whole process, so it is taken back at once."""
    with _option:
        llvm.set_option("funcgrad", "-disable-lsr=true")
        try:
            yield
        finally:
            llvm.set_option("funcgrad", "-disable-lsr=false")


_option = threading.Lock()


def optimised(modules: Modules) -> Any:
    """The modules as one, optimised, where only entry points are seen from outside."""
    linked = llvm.parse_assembly(modules[0])
    if len(modules) > 1:
        for text in modules[1:]:
            linked.link_in(llvm.parse_assembly(text))
        for function in linked.functions:
            if not function.is_declaration and not function.name.startswith("funcgrad_"):
                function.linkage = "internal"
    machine, layout = _machine()
    linked.data_layout = layout
    options = llvm.create_pipeline_tuning_options(speed_level=3)
    options.slp_vectorization = False
    options.loop_vectorization = options.loop_unrolling = linked.name != DRIVER
    builder = llvm.create_pass_builder(machine, options)
    builder.getModulePassManager().run(linked, builder)
    return linked


DRIVER = "driver"
"""The name of the module whose loops are short: it is not vectorized."""


@functools.cache
def _machine() -> tuple[Any, str]:
    """LLVM's description of this machine, and the layout of its data."""
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    machine = llvm.Target.from_default_triple().create_target_machine(
        opt=3,
        cpu=llvm.get_host_cpu_name(),
        features=FEATURES,
        reloc="pic",
        codemodel="jitdefault",
        jit=True,
    )
    return machine, str(machine.target_data)


def serve() -> None:
    """What a helper process does: an object for each list of modules that comes in; ends with the input."""
    given, made = sys.stdin.buffer, sys.stdout.buffer
    while True:
        try:
            modules = marshal.load(given)
        except EOFError:
            return
        marshal.dump(generate(modules), made)
        made.flush()


if __name__ == "__main__":
    serve()

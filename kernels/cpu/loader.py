"""Loading object code into the process, with llvmlite alone: importing Numba would cost half a second."""

from __future__ import annotations

import threading
from typing import Any

_lock = threading.Lock()
_engines: list[Any] = []
_OF_NUMBA = (b"numba_", b"NRT_")
"""How functions of Numba's own library begin, which what users write may call."""


def load(code: bytes, symbol: str) -> int:
    """The address of `symbol` in an object, which stays loaded for the life of the process.

    Each object has an engine of its own, so that equal symbols of different objects do not meet.
    """
    import llvmlite.binding as llvm

    with _lock:
        if any(word in code for word in _OF_NUMBA):
            from numba.core.registry import cpu_target
            from numba.core.runtime import rtsys

            rtsys.initialize(cpu_target.target_context)  # tells LLVM where these functions are
        if not _engines:
            llvm.initialize_native_target()
            llvm.initialize_native_asmprinter()
        machine = llvm.Target.from_default_triple().create_target_machine(codemodel="jitdefault", jit=True)
        engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), machine)
        engine.add_object_file(llvm.ObjectFileRef.from_data(code))
        engine.finalize_object()
        address = engine.get_function_address(symbol)
        _engines.append(engine)
    if not address:
        raise RuntimeError(f"the object code has no symbol {symbol}")
    return address

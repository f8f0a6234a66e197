"""Numbers at addresses, for kernels that keep a tape: `f32(address)[k]` is the k-th float32 from there on."""

from __future__ import annotations

from typing import Any

from .scalars import I64, SCALARS, Function, Pointer


def _pointer_to(name: str) -> Function:
    kind = Pointer(SCALARS[name])

    def write(builder: Any, kinds: Any, values: Any) -> Any:
        return builder.inttoptr(values[0], kind.llvm)

    return Function(name, lambda given: (kind, (I64,)), write)


def __getattr__(name: str) -> Function:
    """The function of a dtype, by the dtype's name in NumPy."""
    if name not in SCALARS:
        raise AttributeError(name)
    made = globals()[name] = _pointer_to(name)
    return made

"""Values of several neighbouring elements, for hand-written kernels that keep sums in registers.

LLVM's vectorizer finds the vectors of loops over neighbours; a block of sums that stays in registers over another loop
it does not find. Such kernels say what a register holds::

    a = vec.load16(x, i)          # x[i] ... x[i + 15]
    s = vec.fma(a, vec.spread16(y[j]), s)
    vec.store(z, i, s)

Only our own front end knows these types, not Numba.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from llvmlite import ir

from .scalars import F32, F64, I64, Function, Pointer, Scalar, declared

COUNTS = (2, 4, 8, 16)
"""How many elements a vector may have."""


class Vector:
    """The type of `count` elements of one type of scalars. Each is one object."""

    __slots__ = ("count", "llvm", "name", "of")

    def __init__(self, of: Scalar, count: int):
        self.of = of
        self.count = count
        self.name = f"{count} of {of.name}"
        self.llvm = ir.VectorType(of.llvm, count)

    def __repr__(self) -> str:
        return self.name


_VECTORS = {(of, count): Vector(of, count) for of in (F32, F64) for count in COUNTS}


def _loads(count: int) -> Function:
    def signature(given: Sequence[Any]) -> tuple[Any, Sequence[Any]]:
        return _VECTORS[given[0].to, count], (given[0], I64)

    def code(builder: Any, kinds: Sequence[Any], values: Sequence[Any]) -> Any:
        kind = _VECTORS[kinds[0].to, count]
        place = builder.gep(values[0], [values[1]])
        loaded = builder.load(builder.bitcast(place, kind.llvm.as_pointer()))
        loaded.align = kind.of.bitwidth // 8
        return loaded

    return Function(f"load{count}", signature, code)


def _spreads(count: int) -> Function:
    def signature(given: Sequence[Any]) -> tuple[Any, Sequence[Any]]:
        return _VECTORS[given[0], count], given

    def code(builder: Any, kinds: Sequence[Any], values: Sequence[Any]) -> Any:
        kind = _VECTORS[kinds[0], count]
        none = ir.Constant(kind.llvm, ir.Undefined)
        first = builder.insert_element(none, values[0], ir.IntType(32)(0))
        places = ir.Constant(ir.VectorType(ir.IntType(32), count), [0] * count)
        return builder.shuffle_vector(first, none, places)

    return Function(f"spread{count}", signature, code)


def _store_signature(given: Sequence[Any]) -> tuple[Any, Sequence[Any]]:
    pointer, _, vector = given
    assert isinstance(pointer, Pointer) and isinstance(vector, Vector) and pointer.to is vector.of
    return None, (pointer, I64, vector)


def _store(builder: Any, kinds: Sequence[Any], values: Sequence[Any]) -> None:
    kind = kinds[2]
    place = builder.gep(values[0], [values[1]])
    stored = builder.store(values[2], builder.bitcast(place, kind.llvm.as_pointer()))
    stored.align = kind.of.bitwidth // 8


def _fma(builder: Any, kinds: Sequence[Any], values: Sequence[Any]) -> Any:
    kind = kinds[0]
    name = f"llvm.fmuladd.v{kind.count}f{kind.of.bitwidth}"
    return builder.call(declared(builder.module, name, kind.llvm, [kind.llvm] * 3), values)


load2, load4, load8, load16 = map(_loads, COUNTS)
spread2, spread4, spread8, spread16 = map(_spreads, COUNTS)
store = Function("store", _store_signature, _store)
"""`store(pointer, place, vector)`: writes neighbouring elements."""
fma = Function("fma", lambda given: (given[0], given), _fma)
"""`fma(x, y, z)`: x * y + z, rounded once where the machine can."""

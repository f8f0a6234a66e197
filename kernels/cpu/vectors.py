"""Values of several neighbouring elements, for hand-written kernels that keep sums in registers.

LLVM's vectorizer finds the vectors of loops over neighbours; a block of sums that stays in registers over another loop
it does not find. Such kernels say what a register holds::

    a = vec.load16(x, i)          # x[i] ... x[i + 15]
    s = vec.fma(a, vec.spread16(y[j]), s)
    vec.store(z, i, s)

Only our own front end knows these types, not Numba; `scratch` and `transpose`, which have none of them in their
signatures, are known to both.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from llvmlite import ir

from .lanes import VECTOR_BYTES
from .scalars import F32, F64, I64, PART, Function, Pointer, Scalar, declared
from .writing import EDGE, VECTOR

COUNTS = (2, 4, 8, VECTOR)
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


# ------------------------------------------------------------------------------------------------- transposition
def _scratch(builder: Any, kinds: Sequence[Any], values: Sequence[Any]) -> Any:
    kind = ir.ArrayType(kinds[0].to.llvm, EDGE * EDGE)
    with builder.goto_entry_block():
        memory = builder.alloca(kind)
        memory.align = 64
    return builder.bitcast(memory, kinds[0].llvm)


scratch = Function("scratch", lambda given: (given[0], given), _scratch)
"""`scratch(x)`: memory of the kernel's own for EDGE * EDGE elements of the type to which `x` points."""


def _transpose_signature(given: Sequence[Any]) -> tuple[Any, Sequence[Any]]:
    return None, (given[0], I64, I64, given[3], I64, I64)


def _transpose(builder: Any, kinds: Sequence[Any], values: Sequence[Any]) -> None:
    """Square blocks of whole registers: in round s, rows whose numbers differ in bit s exchange the elements whose
    numbers differ in it."""
    x, from_, x_stride, y, to, y_stride = values
    kind = kinds[0].to
    bits = (2 * PART[kind].bitwidth) if kind in PART else kind.bitwidth
    count = min(VECTOR_BYTES * 8 // bits, EDGE)
    vector = ir.VectorType(ir.IntType(bits), count)
    word = ir.IntType(64)

    def place(pointer: Any, start: Any, stride: Any, row: int, column: int) -> Any:
        at = builder.add(builder.add(start, builder.mul(stride, word(row))), word(column))
        return builder.bitcast(builder.gep(pointer, [at]), vector.as_pointer())

    def exchanged(a: Any, b: Any, order: Sequence[int]) -> Any:
        return builder.shuffle_vector(a, b, ir.Constant(ir.VectorType(ir.IntType(32), count), list(order)))

    for top in range(0, EDGE, count):
        for left in range(0, EDGE, count):
            rows = []
            for k in range(count):
                rows.append(builder.load(place(x, from_, x_stride, top + k, left)))
                rows[-1].align = bits // 8
            s = 1
            while s < count:
                low = [k if not k & s else count + k - s for k in range(count)]
                high = [k + s if not k & s else count + k for k in range(count)]
                for k in range(count):
                    if not k & s:
                        a, b = rows[k], rows[k + s]
                        rows[k], rows[k + s] = exchanged(a, b, low), exchanged(a, b, high)
                s *= 2
            for k in range(count):
                builder.store(rows[k], place(y, to, y_stride, left + k, top)).align = bits // 8


transpose = Function("transpose", _transpose_signature, _transpose)
"""`transpose(x, i, p, y, j, q)`: y[j + c * q + r] = x[i + r * p + c] for EDGE rows r and columns c."""

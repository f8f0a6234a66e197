"""Native words for kernels and the driver: memory at an address, atomics, and calls through function pointers."""

from __future__ import annotations

from typing import Any

from llvmlite import ir

from .scalars import BOOL, I64, Function, function

_I64, _I8 = ir.IntType(64), ir.IntType(8)


def _pointer(builder: Any, address: Any, kind: Any = _I64) -> Any:
    return builder.inttoptr(address, kind.as_pointer())


@function(I64, I64)
def load(builder: Any, address: Any) -> Any:
    """The int64 at an address."""
    return builder.load(_pointer(builder, address))


@function(I64, I64)
def load_byte(builder: Any, address: Any) -> Any:
    """The byte at an address."""
    return builder.zext(builder.load(_pointer(builder, address, _I8)), _I64)


@function(I64, I64)
def load_int32(builder: Any, address: Any) -> Any:
    """The int32 at an address."""
    return builder.sext(builder.load(_pointer(builder, address, ir.IntType(32))), _I64)


@function(None, I64, I64)
def store(builder: Any, address: Any, value: Any) -> None:
    """Write an int64 to an address."""
    builder.store(value, _pointer(builder, address))


@function(I64, I64)
def atomic_load(builder: Any, address: Any) -> Any:
    return builder.load_atomic(_pointer(builder, address), "acquire", 8)


@function(None, I64, I64)
def atomic_store(builder: Any, address: Any, value: Any) -> None:
    builder.store_atomic(value, _pointer(builder, address), "seq_cst", 8)


@function(I64, I64, I64)
def atomic_add(builder: Any, address: Any, value: Any) -> Any:
    """Add; gives the value before."""
    return builder.atomic_rmw("add", _pointer(builder, address), value, "seq_cst")


@function(BOOL, I64, I64, I64)
def compare_and_swap(builder: Any, address: Any, expected: Any, wanted: Any) -> Any:
    """Write `wanted` where `expected` stands; gives whether it stood there."""
    pair = builder.cmpxchg(_pointer(builder, address), expected, wanted, "seq_cst", "seq_cst")
    return builder.extract_value(pair, 1)


def _call(builder: Any, result: Any, function: Any, *words: Any) -> Any:
    """Call the function at an address on words."""
    kind = ir.FunctionType(result, [_I64] * len(words))
    return builder.call(builder.inttoptr(function, kind.as_pointer()), words)


@function(None, I64, I64, I64, I64)
def call_entry(builder: Any, entry: Any, args: Any, lo: Any, hi: Any) -> None:
    """Call a kernel's entry point."""
    _call(builder, ir.VoidType(), entry, args, lo, hi)


@function(None, I64, I64, I64, I64)
def call_system(builder: Any, function: Any, a: Any, b: Any, c: Any) -> None:
    """Call a function of the system on up to three words; surplus ones are ignored by every 64-bit ABI."""
    _call(builder, ir.VoidType(), function, a, b, c)


@function(I64, I64, I64)
def ask(builder: Any, function: Any, argument: Any) -> Any:
    """What a C function of one word gives. One without an argument ignores it."""
    return _call(builder, _I64, function, argument)


@function(I64, I64, I64, I64)
def resize(builder: Any, function: Any, memory: Any, size: Any) -> Any:
    """What C's `realloc` at an address gives."""
    return _call(builder, _I64, function, memory, size)


address = Function(
    "address", lambda given: (I64, given), lambda builder, kinds, values: builder.ptrtoint(values[0], _I64)
)
"""The address in a pointer."""


_ELEMENTS = {"f32": (ir.FloatType(), 1), "f64": (ir.DoubleType(), 1)}
_ELEMENTS |= {"c64": (ir.FloatType(), 2), "c128": (ir.DoubleType(), 2)}


def gemm_caller(short: str, adds: bool = False) -> Function:
    """The function `gemm(function, trans_a, trans_b, m, n, k, a, lda, b, ldb, c, ldc)` of a dtype: column-major,
    with alpha 1 and beta 0. One that `adds` has beta, 0 or 1, as its last argument."""
    element, parts = _ELEMENTS[short]
    scalar = ir.ArrayType(element, parts)

    @function(None, *[I64] * (13 if adds else 12))
    def gemm(builder: Any, *args: Any) -> None:
        called, trans_a, trans_b, m, n, k, a, lda, b, ldb, c, ldc = args[:12]

        def local(value: Any) -> Any:
            with builder.goto_entry_block():
                slot = builder.alloca(value.type)
            builder.store(value, slot)
            return builder.ptrtoint(slot, _I64)

        def number(value: float) -> Any:
            return local(ir.Constant(scalar, [value] + [0.0] * (parts - 1)))

        def integer(value: Any) -> Any:
            return local(builder.trunc(value, ir.IntType(32)))

        def flag(value: Any) -> Any:
            return local(builder.trunc(value, _I8))

        words = [flag(trans_a), flag(trans_b), integer(m), integer(n), integer(k), number(1.0)]
        beta = number(0.0)
        if adds:
            real = builder.sitofp(args[12], element)
            beta = local(builder.insert_value(ir.Constant(scalar, [0.0] * parts), real, 0))
        words += [a, integer(lda), b, integer(ldb), beta, c, integer(ldc)]
        _call(builder, ir.VoidType(), called, *words)

    return gemm

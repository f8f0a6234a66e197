"""Native words for Numba code: memory at an address, atomics, and calls through function pointers."""

from __future__ import annotations

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

_I64, _I8 = ir.IntType(64), ir.IntType(8)


def _pointer(builder, address, kind=_I64):
    return builder.inttoptr(address, kind.as_pointer())


@intrinsic
def load(typing, address):
    """The int64 at an address."""

    def codegen(context, builder, signature, args):
        return builder.load(_pointer(builder, args[0]))

    return types.int64(types.int64), codegen


@intrinsic
def load_byte(typing, address):
    """The byte at an address."""

    def codegen(context, builder, signature, args):
        return builder.zext(builder.load(_pointer(builder, args[0], _I8)), _I64)

    return types.int64(types.int64), codegen


@intrinsic
def load_int32(typing, address):
    """The int32 at an address."""

    def codegen(context, builder, signature, args):
        return builder.sext(builder.load(_pointer(builder, args[0], ir.IntType(32))), _I64)

    return types.int64(types.int64), codegen


@intrinsic
def store(typing, address, value):
    """Write an int64 to an address."""

    def codegen(context, builder, signature, args):
        builder.store(args[1], _pointer(builder, args[0]))
        return context.get_dummy_value()

    return types.void(types.int64, types.int64), codegen


@intrinsic
def atomic_load(typing, address):
    def codegen(context, builder, signature, args):
        return builder.load_atomic(_pointer(builder, args[0]), "acquire", 8)

    return types.int64(types.int64), codegen


@intrinsic
def atomic_store(typing, address, value):
    def codegen(context, builder, signature, args):
        builder.store_atomic(args[1], _pointer(builder, args[0]), "seq_cst", 8)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64), codegen


@intrinsic
def atomic_add(typing, address, value):
    """Add; gives the value before."""

    def codegen(context, builder, signature, args):
        return builder.atomic_rmw("add", _pointer(builder, args[0]), args[1], "seq_cst")

    return types.int64(types.int64, types.int64), codegen


@intrinsic
def compare_and_swap(typing, address, expected, wanted):
    """Write `wanted` where `expected` stands; gives whether it stood there."""

    def codegen(context, builder, signature, args):
        pair = builder.cmpxchg(_pointer(builder, args[0]), args[1], args[2], "seq_cst", "seq_cst")
        return builder.extract_value(pair, 1)

    return types.boolean(types.int64, types.int64, types.int64), codegen


@intrinsic
def call_entry(typing, entry, args, lo, hi):
    """Call a kernel's entry point."""

    def codegen(context, builder, signature, operands):
        kind = ir.FunctionType(ir.VoidType(), [_I64, _I64, _I64])
        builder.call(builder.inttoptr(operands[0], kind.as_pointer()), operands[1:])
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, types.int64, types.int64), codegen


@intrinsic
def call_system(typing, function, a, b, c):
    """Call a function of the system on up to three words; surplus ones are ignored by every 64-bit ABI."""

    def codegen(context, builder, signature, operands):
        kind = ir.FunctionType(ir.VoidType(), [_I64, _I64, _I64])
        builder.call(builder.inttoptr(operands[0], kind.as_pointer()), operands[1:])
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, types.int64, types.int64), codegen


@intrinsic
def ask(typing, function, argument):
    """What a C function of one word gives. One without an argument ignores it."""

    def codegen(context, builder, signature, args):
        kind = ir.FunctionType(_I64, [_I64])
        return builder.call(builder.inttoptr(args[0], kind.as_pointer()), [args[1]])

    return types.int64(types.int64, types.int64), codegen


@intrinsic
def resize(typing, function, memory, size):
    """What C's `realloc` at an address gives."""

    def codegen(context, builder, signature, args):
        kind = ir.FunctionType(_I64, [_I64, _I64])
        return builder.call(builder.inttoptr(args[0], kind.as_pointer()), args[1:])

    return types.int64(types.int64, types.int64, types.int64), codegen


@intrinsic
def address(typing, pointer):
    """The address in a pointer."""

    def codegen(context, builder, signature, args):
        return builder.ptrtoint(args[0], _I64)

    return types.int64(pointer), codegen


_ELEMENTS = {"f32": (ir.FloatType(), 1), "f64": (ir.DoubleType(), 1)}
_ELEMENTS |= {"c64": (ir.FloatType(), 2), "c128": (ir.DoubleType(), 2)}


def gemm_caller(short):
    """The function `gemm(function, trans_a, trans_b, m, n, k, a, lda, b, ldb, c, ldc)` of a dtype: column-major,
    with alpha 1 and beta 0."""
    element, parts = _ELEMENTS[short]
    scalar = ir.ArrayType(element, parts)

    @intrinsic
    def gemm(typing, function, trans_a, trans_b, m, n, k, a, lda, b, ldb, c, ldc):
        def codegen(context, builder, signature, args):
            function, trans_a, trans_b, m, n, k, a, lda, b, ldb, c, ldc = args

            def local(value):
                slot = cgutils.alloca_once(builder, value.type)
                builder.store(value, slot)
                return builder.ptrtoint(slot, _I64)

            def number(value):
                return local(ir.Constant(scalar, [value] + [0.0] * (parts - 1)))

            def integer(value):
                return local(builder.trunc(value, ir.IntType(32)))

            def flag(value):
                return local(builder.trunc(value, _I8))

            words = [flag(trans_a), flag(trans_b), integer(m), integer(n), integer(k), number(1.0)]
            words += [a, integer(lda), b, integer(ldb), number(0.0), c, integer(ldc)]
            kind = ir.FunctionType(ir.VoidType(), [_I64] * 13)
            builder.call(builder.inttoptr(function, kind.as_pointer()), words)
            return context.get_dummy_value()

        return types.void(*[types.int64] * 12), codegen

    return gemm

"""Threefry-2x32 as a scalar function for generated kernels: 20 rounds, unrolled, without branches.

Written into LLVM IR with 32-bit words, so that a loop over counters is vectorized. Salmon, Moraes, Dror and
Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir

from .scalars import U32, U64, function

WORD = ir.IntType(32)
ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))
PARITY = 0x1BD11BDA


def _word(value: int) -> Any:
    return ir.Constant(WORD, value)


def _cipher(builder: Any, key0: Any, key1: Any, x0: Any, x1: Any) -> tuple[Any, Any]:
    """Both words of the counter (x0, x1) enciphered by the key."""
    keys = key0, key1, builder.xor(builder.xor(key0, key1), _word(PARITY))
    x0, x1 = builder.add(x0, key0), builder.add(x1, key1)
    for group in range(5):
        for bits in ROTATIONS[group % 2]:
            x0 = builder.add(x0, x1)
            turned = builder.or_(builder.shl(x1, _word(bits)), builder.lshr(x1, _word(32 - bits)))
            x1 = builder.xor(turned, x0)
        x0 = builder.add(x0, keys[(group + 1) % 3])
        x1 = builder.add(x1, builder.add(keys[(group + 2) % 3], _word(group + 1)))
    return x0, x1


@function(U32, U32, U32, U32, U32)
def threefry2x32_32(builder: Any, key0: Any, key1: Any, counter0: Any, counter1: Any) -> Any:
    """The exclusive or of both words."""
    return builder.xor(*_cipher(builder, key0, key1, counter0, counter1))


@function(U64, U32, U32, U32, U32)
def threefry2x32_64(builder: Any, key0: Any, key1: Any, counter0: Any, counter1: Any) -> Any:
    """Both words as one of 64 bits, the first in its upper half."""
    wide = ir.IntType(64)
    high, low = (builder.zext(x, wide) for x in _cipher(builder, key0, key1, counter0, counter1))
    return builder.or_(builder.shl(high, ir.Constant(wide, 32)), low)

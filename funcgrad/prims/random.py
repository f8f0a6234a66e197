"""The primitive behind random numbers: the Threefry-2x32 counter-based generator.

A random number is a hash of a key and of a counter, so it depends on nothing else: not on order, threads or
device, and a compiler fuses it with what uses it. Owns the cipher's evaluation by NumPy; its scalar form for
compiled code is the opcode of the same name. Distributions are in funcgrad/random/.

Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from funcgrad import dtypes
from funcgrad.errors import DTypeError
from funcgrad.ir import expr
from funcgrad.ir.primitive import Primitive, Sample
from funcgrad.ir.types import ArrayType, array_type
from funcgrad.prims.registry import batch_elementwise, elementwise_type, zero_jvp

ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))
"""Bits by which the rounds rotate: the first four and the second four, in turn."""
PARITY = 0x1BD11BDA
"""The constant that is mixed into the third word of the key schedule."""
GROUPS = 5
"""Groups of four rounds: 20 rounds in all, the authors' recommended number."""

_same = elementwise_type("threefry2x32", (dtypes.uint32,), None)


def _type_rule(*types: ArrayType, width: int) -> ArrayType:
    if width not in (32, 64):
        raise DTypeError(f"threefry2x32 gives words of 32 or 64 bits, not {width}")
    return array_type(_same(*types).shape, dtypes.uint32 if width == 32 else dtypes.uint64)


FEW = 4
"""Elements up to which Python's integers are faster than NumPy's calls."""


def _mixed(key0: int, key1: int, x0: int, x1: int) -> tuple[int, int]:
    """The cipher of one counter, in Python's integers."""
    word = 0xFFFFFFFF
    keys = (key0, key1, key0 ^ key1 ^ PARITY)
    x0, x1 = x0 + key0 & word, x1 + key1 & word
    for group in range(GROUPS):
        for bits in ROTATIONS[group % 2]:
            x0 = x0 + x1 & word
            x1 = (x1 << bits & word | x1 >> 32 - bits) ^ x0
        x0 = x0 + keys[(group + 1) % 3] & word
        x1 = x1 + keys[(group + 2) % 3] + group + 1 & word
    return x0, x1


def cipher(xp: Any, key0: Any, key1: Any, counter0: Any, counter1: Any, *, width: int) -> Any:
    shape = np.broadcast_shapes(*[x.shape for x in (key0, key1, counter0, counter1)])
    if math.prod(shape) <= FEW and xp is np:
        columns = [np.broadcast_to(x, shape).ravel().tolist() for x in (key0, key1, counter0, counter1)]
        pairs = [_mixed(*words) for words in zip(*columns)]
        found = [x0 ^ x1 for x0, x1 in pairs] if width == 32 else [x0 << 32 | x1 for x0, x1 in pairs]
        return np.array(found, np.uint32 if width == 32 else np.uint64).reshape(shape)
    keys = (key0, key1, key0 ^ key1 ^ np.uint32(PARITY))
    with np.errstate(over="ignore"):
        x0, x1 = (xp.empty(shape, np.uint32) for _ in range(2))
        xp.add(counter0, key0, out=x0)
        xp.add(counter1, key1, out=x1)
        turned = xp.empty(shape, np.uint32)
        for group in range(GROUPS):
            for bits in ROTATIONS[group % 2]:
                x0 += x1
                xp.right_shift(x1, np.uint32(32 - bits), out=turned)
                xp.left_shift(x1, np.uint32(bits), out=x1)
                x1 |= turned
                x1 ^= x0
            x0 += keys[(group + 1) % 3]
            x1 += keys[(group + 2) % 3] + np.uint32(group + 1)
    if width == 32:
        x0 ^= x1
        return x0
    return (x0.astype(np.uint64) << np.uint64(32)) | x1


def _lower(in_types: Any, out_types: Any, *, width: int) -> expr.Map:
    return expr.elementwise(f"threefry2x32_{width}")(in_types, out_types)


def _samples() -> Iterable[Sample]:
    def words(*shape: int):
        return lambda rng: rng.integers(0, 2**32, shape, dtype=np.uint32)

    for width in (32, 64):
        yield Sample((words(), words(), words(), words(5)), {"width": width})
        yield Sample((words(3, 2), words(3, 2), words(3, 2), words(3, 2)), {"width": width})
        yield Sample((words(), words(), words(), words(2)), {"width": width})


threefry2x32_p = Primitive(
    name="threefry2x32",
    type_rule=_type_rule,
    evaluate=cipher,
    jvp=zero_jvp("threefry2x32"),
    transpose=None,
    batch=batch_elementwise("threefry2x32"),
    lower=_lower,
    samples=_samples,
)
"""Two 32-bit words of a counter, enciphered by two words of key, elementwise: as one 64-bit word (the first
in its upper half), or, with width=32, as the exclusive or of both."""

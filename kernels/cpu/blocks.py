"""Blocks of sums that stay in registers: what fits the machine, and the text that begins one.

A block is `rows` x `vectors`: each step of it loads a vector for each column, spreads a number for each row, and adds
their products to rows * vectors sums. Ten sums or more hide how long an addition takes.
"""

from __future__ import annotations

import functools
import platform

MOST_ROWS = 8
"""Rows of a block: more addresses than this do not fit into the registers for integers."""

MOST_VECTORS = 4

HIDING = 14
"""Sums from which on neither loads nor the time of an addition are in the way (measured: 8 sums reach 0.7 to 0.8
of the speed of 16)."""


@functools.cache
def _machine() -> tuple[int, int]:
    """Bytes and number of vector registers."""
    from .lanes import VECTOR_BYTES  # imports LLVM, which only needs who compiles

    many = VECTOR_BYTES == 64 or platform.machine().lower() in ("arm64", "aarch64")
    return VECTOR_BYTES, 32 if many else 16


def lanes(short: str) -> int:
    """Elements of a dtype in a vector."""
    return _machine()[0] // (4 if short == "f32" else 8)


def shape(short: str, rows: int, elements: int, whole_rows: bool, whole_vectors: bool) -> tuple[int, int]:
    """The best block, (rows, vectors), for `rows` rows of `elements` elements, which is a multiple of a vector. Where
    blocks need not be `whole`, the last may do some again."""
    registers, vectors = _machine()[1], elements // lanes(short)

    def speed(block: tuple[int, int]) -> float:
        sums = block[0] * block[1]
        used = 1.0
        for n, size in zip((rows, vectors), block):
            used *= n / (-(-n // size) * size)
        return used * min(1.0, 0.5 + 0.5 * sums / HIDING) * min(1.0, sums / sum(block))

    candidates = [
        (r, v)
        for r in range(1, min(MOST_ROWS, rows) + 1)
        for v in range(1, min(MOST_VECTORS, vectors) + 1)
        if r * v + v < registers and not (whole_rows and rows % r) and not (whole_vectors and vectors % v)
    ]
    return max(candidates, key=lambda block: (speed(block), -sum(block)))


def bounds(name: str, length: str, count: str) -> str:
    """The text of the range of the share `name` of `length` steps that are cut into `count` shares."""
    return f"{name} * {length} // {count}, ({name} + 1) * {length} // {count}"


def zeros(indent: str, short: str, rows: int, vectors: int) -> list[str]:
    """The text in which the sums begin."""
    width, zero = lanes(short), "np.float32(0.0)" if short == "f32" else "0.0"
    return [f"{indent}s{r}_{v} = vec.spread{width}({zero})" for r in range(rows) for v in range(vectors)]

"""Every threshold and score of lowering, and the words in which it refuses to fuse. Never asks what is
legal."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from funcgrad import dtypes

SMALL_EXTENT = 8
"""Inner extents and strides up to this are constants in a kernel's text, so that loops over them unroll."""

NARROW_COLUMNS, NARROW_ROWS = 128, 16
"""Elements of the innermost axis of a column reduction, and of elementwise work, up to which their number is a constant
in a kernel's text. With a number that it does not know, LLVM takes four vectors at a time and the rest one by one: the
gradient of a batch norm of 16 channels took twenty times as long. Reductions along that axis are better without."""

CHUNK = 16384
"""Elements in one partial result of a full reduction: fixed, so that no sum depends on the number of
threads."""

COLUMN_CHUNK = 65536
"""Elements in one partial result of a column reduction, and the least reduction that is worth several."""

COLUMN_BLOCK = 1024
"""Columns that a column reduction handles at a time, so that its accumulators stay in the first-level
cache."""

ROUNDS = 3
"""How often values that several kernels would recompute are looked for; each round can only store more."""

INLINE_WEIGHT = 6
"""Operations in one line of a kernel, above which a part gets a name."""

MAX_OPERATIONS = 400
"""Scalar operations in one kernel: compile time grows with it, speed no longer does."""

MAX_DEPTH = 100
"""Length of a chain of operations after which a value is stored."""

MAX_BUFFERS = 40
"""Pointers of one kernel."""

ORDERED_BYTES = 1 << 20
"""Bytes of all intermediate values from which on an order of the steps is looked for in which less is alive at once."""

ORDER_WINDOW = 16
"""Steps that are ready, the first of them, among which the next one is chosen."""

FEWEST_LANES = 8
"""Elements that never meet, of what a loop carries, from which on they are tried as lanes before scalars."""

LANE_BLOCK = 256
"""Lanes that one part of a kernel carries through all iterations of a loop, in the first-level cache."""

FEWEST_TOGETHER = 16
"""Lanes with while loops of their own from which on vectors of them run these."""

LANE_BLOCK_OF_ROUNDS = 128
"""Lanes that do an iteration each in turn, of while loops of their own."""

FEW_GO_ON = 8
"""Lanes of such a block, of those that have not ended, up to which they are quicker one after the other: a vector
operation on all 128 takes as long as six to fourteen on numbers."""

LEAST_VECTOR = 16
"""Bytes of a vector from which on lanes go together."""

FEW_STATEMENTS = 40
"""Statements up to which loops that carry scalars go side by side: more of them keep a core busy anyway, and need its
registers."""

LANE_BLOCK_OF_TAPES = 128
"""Lanes that one part of a kernel carries through all iterations of a loop and back, with a tape in cache."""

GUESSED_ITERATIONS = 100
"""How often a while loop is taken to run where its work is predicted."""

NANOSECONDS_PER_SCALAR = 0.3
"""Rough time of one unit of cost outside of a vectorized loop."""

RECOMPUTE_ENLARGED = 8
"""Cost above which a value is stored rather than recomputed for each element of a broadcast."""

RECOMPUTE_INDICES = 32
"""Cost, times the number of different indices at which one kernel needs a value, above which it is stored."""

RECOMPUTE_SHARED = 16
"""Cost above which a value that two kernels need is stored by one of them."""

RECOMPUTE_ARRAYS = 3
"""Arrays of its own size from which a value is computed that two kernels need, from which on it is stored by one."""

PARK_COST = 10
"""Cost above which a row's element is kept between two passes over the row, in the row of a later output."""

SMALL_CONTRACTION = 8
"""Matrix products whose contracted extent is at most this are loops, so that they fuse; others go to BLAS."""

SMALL_PRODUCT = 4096
"""Matrix products of at most this many multiplications are loops if their output has at most as many
elements as a row."""

FEW_ROWS = 256
"""Rows up to which a matrix product in a loop is better done for all iterations at once."""

FEWEST_HOISTED = 4
"""Iterations from which on products move out of a loop."""

HOISTED_BYTES = 1 << 27
"""Memory that the values of all iterations may take that a loop keeps so that products can move out of it."""

TILE = (128, 8)
"""Edges of the tiles in which an array is walked when one operand is contiguous along another axis: along
that axis, and along the innermost. Few streams are read at a time, so that strides of a power of two do no
harm."""

TURNED = 64
"""Elements along the innermost axis that the CPU walks at a time, in squares that are turned in registers: lines of
memory of all operands stay in cache meanwhile (128 x 64 was as fast as any; 128 x 16 took half as long again)."""

LEAST_TILED = 32
"""Extents below which tiles are not worth their loops."""

MIN_COLUMNS_TO_FUSE = 16
"""Column reductions over fewer columns stay apart from elementwise work: their inner loop is too short."""

NANOSECONDS_PER_COST = 0.02
"""Rough time of one unit of cost in a vectorized loop, for the estimate by which the runtime picks
threads."""


def literal_in_text(value: Any, dtype: np.dtype) -> bool:
    """Whether a constant is part of a kernel's structure: 0, 1, -1, 2, 1/2, infinities, NaN, booleans."""
    if dtype.kind == "b":
        return True
    if dtype.kind == "c":
        return bool(value == 0 or value == 1)
    number = float(value)
    return math.isnan(number) or math.isinf(number) or number in (0.0, 1.0, -1.0, 2.0, 0.5)


def static_stride(stride: int) -> bool:
    """Whether a stride is a constant in a kernel's text."""
    return -SMALL_EXTENT <= stride <= SMALL_EXTENT


def indices_to_recompute(cost: int, share: float) -> float:
    """At how many different indices one kernel may compute a value of this cost for each of its own elements, of which
    it has one for `share` elements of the value: as many indices compute each element once, as windows do that do
    not overlap."""
    once = min(share, MAX_OPERATIONS / 4 / max(cost, 1))
    return max(RECOMPUTE_INDICES // max(cost, 1), once, 1)


def rows_of_chunk(total: int, outermost: int, kept: int) -> int:
    """Outermost iterations in one partial result of a reduction of `total` elements to `kept`; 0 for none."""
    size = CHUNK if kept == 1 else COLUMN_CHUNK
    rows = max(1, size // max(total // outermost, 1))
    count = -(-outermost // rows)
    worth = count > 1 and (kept == 1 or (total >= 4 * COLUMN_CHUNK and 8 * count * kept <= total))
    return rows if worth else 0


SCATTER_PIECES, PIECE_OF_UPDATES, STREAMS = 8, 16384, 4
"""Pieces of a scatter of many updates, at most, and updates in each, at least; and streams of updates that go side by
side in a piece: an update of the element before takes four times as long as one of another."""

UPDATES_EACH = 4
"""Updates for each element of the output from which on a piece has a copy of it."""


def pieces_of_scatter(kind: str, extents: Sequence[int], size: int, dtype: np.dtype) -> tuple[int, int]:
    """How many pieces a scatter of `extents` updates to an output of `size` elements is worth, and streams in each."""
    ordered = kind == "set" or dtype.itemsize < 4
    if ordered or not extents or extents[0] < PIECE_OF_UPDATES:
        return 1, 1
    updates = math.prod(extents)
    pieces = min(SCATTER_PIECES, extents[0] // PIECE_OF_UPDATES, updates // max(UPDATES_EACH * size, 1))
    return max(pieces, 1), STREAMS if len(extents) == 1 else 1


def product_dtype(operands: np.dtype, out: np.dtype, k: int) -> np.dtype:
    """The dtype in which a matrix product that contracts `k` elements is computed: float32 for 16-bit floats, and a
    float for integers so narrow that it holds all their sums exactly."""
    if not (dtypes.is_integer(operands) and dtypes.is_integer(out) and operands.itemsize <= 2):
        return dtypes.compute_dtype(out)
    largest = k * max(-np.iinfo(operands).min, np.iinfo(operands).max) ** 2
    return dtypes.float32 if largest <= 2**24 else dtypes.float64 if largest <= 2**53 else out


def contraction_as_loops(m: int, n: int, k: int, dtype: np.dtype) -> str | None:
    """Why a matrix product is a loop nest, or None where BLAS does it; `dtype` is that of `product_dtype`."""
    if not dtypes.is_inexact(dtype):
        return f"no BLAS for {dtype.name}"
    if k <= SMALL_CONTRACTION:
        return f"the contracted extent {k} is at most {SMALL_CONTRACTION}"
    if (m == 1 or n == 1) and m * n * k <= SMALL_PRODUCT:
        return f"a product of a vector with {m * n * k} multiplications, at most {SMALL_PRODUCT}"
    return None


def hoisted_bytes(touched: int) -> int:
    """Memory for the values of all iterations, of a loop that reads and writes `touched` bytes anyway."""
    return min(HOISTED_BYTES, 2 * touched)


def worth_summing(m: int, n: int, k: int, length: int, dtype: np.dtype) -> bool:
    """Whether products that add up over `length` iterations are better one product, which contracts these too."""
    if k > FEW_ROWS or m * n * k <= SMALL_PRODUCT:
        return False
    return contraction_as_loops(m, n, k * length, dtype) is None


GEMM_STAYS_APART = "matrix products are whole BLAS calls: what comes before and after runs as its own kernel"

PIECE_NS = 4_000
"""Predicted nanoseconds in one piece of a call that is split over threads; waking a thread costs a few
thousand."""

PIECES_PER_CORE = 4
"""Pieces for each thread: some to spare, so that a thread that is held up does not hold up the others."""


LANES_APART = 64
"""Lanes that go through loops on one thread at least: what threads write at the same time, again and again, should not
lie in one line of the cache."""


def parallel_grain(extent: int, work: float, cores: int, unit: int = 1) -> int:
    """How many of a kernel's `extent` parallel iterations, of `work` nanoseconds each, make one piece: a multiple of
    `unit`."""
    if cores < 2 or extent * work < 2 * PIECE_NS:
        return max(extent, 1)
    grain = max(-(-extent // (PIECES_PER_CORE * cores)), math.ceil(PIECE_NS / max(work, 1e-3)))
    unit = 64 if grain > 256 and unit < 64 else unit
    return -(-grain // unit) * unit


COPY_NS = 0.05
"""Rough nanoseconds in which a byte is copied."""

OUTSIDE_NS = 1.0
"""Rough nanoseconds that a user's or a library's function takes for a byte that it is given or gives."""

ROUTINE_NS = 0.5
"""Rough nanoseconds for an element of what a hand-written kernel reads whose operations nobody counts."""

PYTHON_CALL_NS = 20_000
"""What a call of Python is taken to need, beside its own work; with more predicted work than that, a compiled function
lets other Python threads run."""

GEMM_NS = 0.02
"""Rough nanoseconds of one multiplication and addition in a matrix product, on one thread."""

BLAS_ALONE_NS = 2_000
"""Predicted nanoseconds of a matrix product below which BLAS starts no threads of its own anyway."""

GEMM_PIECE_NS = 50_000
"""Predicted nanoseconds in one block of a matrix product that threads share: each block packs its operands again."""

GEMM_PIECES = 4
"""Blocks of a product, as long as these are small."""

GEMM_LARGE_PIECE_NS = 20_000_000
"""Predicted nanoseconds for which a large product has one more block."""

GEMM_FEW = 64
"""Rows (or columns) of a product for which packing the other operand takes a good part of the time."""

GEMM_UNPACKED = 1e6
"""Multiplications of a product that a BLAS with kernels for small ones (OpenBLAS has some for AVX-512, of operands that
are not transposed) does without packing operands."""

GEMM_UNIT = 64
"""Rows and columns of blocks are multiples of this."""


def gemm_block(m: int, n: int, k: int, batch: int, work: float, turned: bool) -> tuple[int, int]:
    """Rows and columns of the blocks of an `m` x `n` product that threads share, of `work` nanoseconds, done `batch`
    times; the whole where that is not worth it. `turned`: the second operand is transposed in memory. Where a block
    ends, BLAS sums in another order: so the blocks do not depend on the number of threads."""
    if min(m, n) <= GEMM_FEW and m * n * k > GEMM_UNPACKED and not turned:
        most = int(GEMM_UNPACKED / (min(m, n) * k)) // GEMM_UNIT * GEMM_UNIT
        if most:
            return (m, most) if m <= n else (most, n)
    pieces = int(min(work / GEMM_PIECE_NS, GEMM_PIECES) + work / GEMM_LARGE_PIECE_NS)
    wanted = -(-pieces // batch)
    rows, columns = m, n
    while -(-m // rows) * -(-n // columns) < wanted:
        if rows >= columns and rows > GEMM_UNIT:
            rows = _halved(rows)
        elif columns > GEMM_UNIT:
            columns = _halved(columns)
        else:
            break
    return rows, columns


def _halved(extent: int) -> int:
    return -(-extent // (2 * GEMM_UNIT)) * GEMM_UNIT

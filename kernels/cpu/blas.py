"""Matrix products by BLAS: one kernel per dtype, which calls `gemm` through SciPy's function pointer.

Row-major products are computed as column-major ones with the operands exchanged, so nothing is copied: a
transposed operand is a flag. The parallel axis of the kernel counts blocks of the results: those of the first
matrix of the batch, row of blocks by row of blocks, then those of the next. Its argument slots::

    a b c | gemm trans_a trans_b m n k lda ldb ldc | batch sizes (3) | strides of a, b, c in bytes (3 each)
          | blocks in a row, in a column | rows and columns of a block
          | bytes from row to row of a, column to column of b, row to row and column to column of c

The driver splits products over threads of ours, and BLAS is told meanwhile not to start its own
(`thread_functions`): its threads wait for each other, and where another process holds a core, that takes a
hundred times as long as the product.
"""

from __future__ import annotations

import ctypes
import functools
import importlib.machinery
import importlib.util
import os
from collections.abc import Sequence
from typing import Any

GEMM = {"f32": "sgemm", "f64": "dgemm", "c64": "cgemm", "c128": "zgemm"}
"""BLAS names by dtype."""

BATCH_DIMS = 3
"""Batch dimensions that the kernel walks; more are an error of the caller."""

_LIMIT = 2**31 - 1

_THREAD_FUNCTIONS = (
    ("scipy_openblas_get_num_threads", "scipy_openblas_set_num_threads"),
    ("openblas_get_num_threads", "openblas_set_num_threads"),
)
"""Names of the functions by which a BLAS tells and sets how many threads it uses."""


def _cython_blas() -> Any:
    """SciPy's table of BLAS pointers, without the fifth of a second that importing scipy.linalg takes."""
    found = importlib.util.find_spec("scipy")
    if (
        found is not None and os.name != "nt"
    ):  # on Windows SciPy's own import sets up the search for libraries
        for root in found.submodule_search_locations or ():
            for suffix in importlib.machinery.EXTENSION_SUFFIXES:
                path = os.path.join(root, "linalg", "cython_blas" + suffix)
                if os.path.exists(path):
                    loader = importlib.machinery.ExtensionFileLoader("scipy.linalg.cython_blas", path)
                    spec = importlib.util.spec_from_file_location(
                        "scipy.linalg.cython_blas", path, loader=loader
                    )
                    assert spec is not None
                    module = importlib.util.module_from_spec(spec)
                    loader.exec_module(module)
                    return module
    from scipy.linalg import cython_blas

    return cython_blas


@functools.cache
def gemm_address(short: str) -> int:
    """The address of BLAS' gemm for a dtype, with Fortran's calling convention and 32-bit integers."""
    capsule = _module().__pyx_capi__[GEMM[short]]
    get_name, get_pointer = ctypes.pythonapi.PyCapsule_GetName, ctypes.pythonapi.PyCapsule_GetPointer
    get_name.restype, get_name.argtypes = ctypes.c_char_p, [ctypes.py_object]
    get_pointer.restype, get_pointer.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
    return get_pointer(capsule, get_name(capsule))


@functools.cache
def _module() -> Any:
    return _cython_blas()


@functools.cache
def thread_functions() -> tuple[int, int] | None:
    """Addresses of BLAS' functions that get and set its number of threads; None where it is not known to have
    them: products are then left to it whole."""
    try:
        library = ctypes.CDLL(_module().__file__)  # a lookup in it goes on in the BLAS that it is linked to
    except OSError:
        return None
    for names in _THREAD_FUNCTIONS:
        if all(hasattr(library, name) for name in names):
            get, set = (ctypes.cast(getattr(library, n), ctypes.c_void_p).value or 0 for n in names)
            return get, set
    return None


def source(short: str) -> str:
    """The kernel's source, for the kernel cache."""
    return f'''"""Batched matrix product by BLAS {GEMM[short]}."""
from funcgrad.kernels.cpu import abi, native

gemm = native.gemm_caller("{short}")


@abi.kernel(buffers=("u8", "u8", "u8"), integers=29)
def kernel(lo, hi, a, b, c, function, trans_a, trans_b, m, n, k, lda, ldb, ldc,
           n0, n1, n2, a0, a1, a2, b0, b1, b2, c0, c1, c2,
           across, down, rows, columns, a_row, b_column, c_row, c_column):
    base_a, base_b, base_c = native.address(a), native.address(b), native.address(c)
    for block in range(lo, hi):
        column = block % across * columns
        row = block // across % down * rows
        i = block // across // down
        i2 = i % n2
        i1 = i // n2 % n1
        i0 = i // n2 // n1
        pa = base_a + i0 * a0 + i1 * a1 + i2 * a2 + row * a_row
        pb = base_b + i0 * b0 + i1 * b1 + i2 * b2 + column * b_column
        pc = base_c + i0 * c0 + i1 * c1 + i2 * c2 + row * c_row + column * c_column
        gemm(function, trans_b, trans_a, min(columns, n - column), min(rows, m - row), k, pb, ldb, pa, lda, pc, ldc)
'''


def arguments(
    function: int,
    m: int,
    n: int,
    k: int,
    lhs_strides: tuple[int, int],
    rhs_strides: tuple[int, int],
    batch: Sequence[int],
    batch_strides: Sequence[Sequence[int]],
    itemsize: int,
    block: tuple[int, int],
) -> list[int]:
    """The integer arguments of the kernel for `c[m,n] = a[m,k] @ b[k,n]`, row-major `c`; strides in elements.
    `function` is the address of BLAS' gemm.

    Of each operand's strides one is 1 (or its extent is). `block` has the rows and columns of a block of `c`.
    """
    if max(m, n, k) > _LIMIT:
        raise OverflowError(f"a matrix product of {m} x {k} by {k} x {n} is beyond BLAS' 32-bit sizes")
    trans_a, lda = _layout(m, k, lhs_strides)
    trans_b, ldb = _layout(k, n, rhs_strides)
    if len(batch) > BATCH_DIMS:
        raise ValueError(f"at most {BATCH_DIMS} batch dimensions, got {len(batch)}")
    padding = BATCH_DIMS - len(batch)
    sizes = [1] * padding + list(batch)
    strides = [s * itemsize for one in batch_strides for s in [0] * padding + list(one)]
    rows, columns = block
    blocks = [-(-n // columns), -(-m // rows), rows, columns]
    steps = [s * itemsize for s in (lhs_strides[0], rhs_strides[1], n, 1)]
    words = [function, trans_a, trans_b, m, n, k, lda, ldb, max(n, 1)]
    return [*words, *sizes, *strides, *blocks, *steps]


def _layout(rows: int, columns: int, strides: tuple[int, int]) -> tuple[int, int]:
    """BLAS' transposition flag and leading dimension of a matrix."""
    row, column = strides
    if column == 1 or columns == 1:
        return ord("N"), max(row if rows > 1 else columns, columns, 1)
    return ord("T"), max(column, rows, 1)

"""Runs an expression over arrays as a compiled kernel, outside of lowering and cache."""

from __future__ import annotations

import ctypes
import functools
import itertools
import linecache

import numpy as np
from funcgrad.kernels.cpu import abi, compiling, loader
from funcgrad.kernels.cpu import vmath as vm


def short(dtype: np.dtype) -> str:
    return "bool" if dtype == np.bool_ else f"{dtype.kind}{8 * dtype.itemsize}"


def source_of(expression: str, count: int) -> str:
    names = "xyz"[:count]
    loads = "".join(f"        {n} = p{n}[i]\n" for n in names)
    return (
        f"def kernel(lo, hi, {', '.join('p' + n for n in names)}, out):\n"
        f"    for i in range(lo, hi):\n{loads}        out[i] = {expression}\n"
    )


_numbers = itertools.count()


def defined(source: str, **names):
    """The function `kernel` of a text, which stays readable for the front end."""
    path = f"<kernel {next(_numbers)}>"
    linecache.cache[path] = len(source), None, source.splitlines(True), path
    namespace = {"vm": vm, "np": np, **names}
    exec(compile(source, path, "exec"), namespace)
    return namespace["kernel"]


def declared(expression: str, dtypes: tuple[str, ...], reassociate: bool = False) -> abi.Kernel:
    """A kernel of an expression; the last of the dtypes is that of the result."""
    function = defined(source_of(expression, len(dtypes) - 1))
    return abi.kernel(buffers=dtypes, reassociate=reassociate)(function)


@functools.cache
def compiled(expression: str, dtypes: tuple[str, ...], reassociate: bool = False) -> bytes:
    """The object code of such a kernel."""
    return compiling.generate(compiling.lower_kernel(declared(expression, dtypes, reassociate)))


@functools.cache
def _loaded(code: bytes):
    return ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64)(
        loader.load(code, abi.ENTRY)
    )


def run(expression: str, *arrays, result=None, reassociate: bool = False) -> np.ndarray:
    """The expression in x, y, z, for each element of as many arrays."""
    arrays = [np.ascontiguousarray(a) for a in arrays]
    out = np.empty(arrays[0].shape, result or arrays[0].dtype)
    dtypes = tuple(short(a.dtype) for a in [*arrays, out])
    slots = np.array([a.ctypes.data for a in [*arrays, out]], np.int64)
    _loaded(compiled(expression, dtypes, reassociate))(slots.ctypes.data, 0, out.size)
    return out

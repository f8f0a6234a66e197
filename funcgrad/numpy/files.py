"""Arrays to and from files and text, and how they are printed."""

from __future__ import annotations

import os
from contextlib import AbstractContextManager
from typing import IO, Any

import numpy as np

from funcgrad import dtypes
from funcgrad.array import Array

File = IO[bytes] | str | os.PathLike

savez = np.savez
set_printoptions = np.set_printoptions
get_printoptions = np.get_printoptions


def printoptions(*args: Any, **kwargs: Any) -> AbstractContextManager[Any]:
    """NumPy's context manager of how arrays are printed, which funcgrad's follow."""
    return np.printoptions(*args, **kwargs)


def save(file: File, arr: Any, allow_pickle: bool = True) -> None:
    """Write an array in NumPy's format (.npy)."""
    np.save(file, np.asarray(arr), allow_pickle=allow_pickle)


def load(file: File, *args: Any, **kwargs: Any) -> Any:
    """Read an array of NumPy's format; of an archive (.npz) what `numpy.load` gives."""
    found = np.load(file, *args, **kwargs)
    if not isinstance(found, np.ndarray):
        return found
    if found.dtype == np.dtype("V2"):  # how NumPy writes bfloat16, which it does not know
        found = found.view(dtypes.bfloat16)
    return Array(found)


def _read(found: np.ndarray, dtype: Any) -> Array:
    return Array(found.astype(dtypes.as_dtype(dtype), copy=False))


def fromfile(file: Any, dtype: Any = float, *args: Any, **kwargs: Any) -> Array:
    """A vector of the numbers in a file of raw bytes or text, as `numpy.fromfile` reads it."""
    return _read(np.fromfile(file, dtypes.as_dtype(dtype), *args, **kwargs), dtype)


def fromiter(iter: Any, dtype: Any = float, *args: Any, **kwargs: Any) -> Array:
    """A vector of the numbers that an iterable gives."""
    return _read(np.fromiter(iter, dtypes.as_dtype(dtype), *args, **kwargs), dtype)


def fromstring(string: str, dtype: Any = float, count: int = -1, *, sep: str) -> Array:
    """A vector of the numbers in a text, with `sep` between them."""
    return _read(np.fromstring(string, dtypes.as_dtype(dtype), count, sep=sep), dtype)


def array_repr(
    arr: Any,
    max_line_width: int | None = None,
    precision: int | None = None,
    suppress_small: bool | None = None,
) -> str:
    """An array as NumPy's `repr` writes it."""
    return np.array_repr(np.asarray(arr), max_line_width, precision, suppress_small)


def array_str(
    a: Any,
    max_line_width: int | None = None,
    precision: int | None = None,
    suppress_small: bool | None = None,
) -> str:
    """An array as NumPy's `str` writes it."""
    return np.array_str(np.asarray(a), max_line_width, precision, suppress_small)

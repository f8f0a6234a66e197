"""The CPU as a device: the native driver, its pool of threads, and calls of programs."""

from __future__ import annotations

import ctypes
import functools
import os
import threading
from array import array
from typing import Any

import numpy as np

from funcgrad.errors import ArgumentError, boundary
from funcgrad.kernels.cpu import pool, program
from funcgrad.runtime.cache import load_driver

_METH_FASTCALL = 0x80


class _MethodDef(ctypes.Structure):
    """Python's PyMethodDef."""

    _fields_ = (
        ("name", ctypes.c_char_p),
        ("function", ctypes.c_void_p),
        ("flags", ctypes.c_int),
        ("doc", ctypes.c_char_p),
    )


class Driver:
    """The native driver of this process. Its code is loaded, and its threads start, for the first program."""

    def __init__(self) -> None:
        self._check_layout()
        self._work = 0
        self._loading = threading.Lock()
        self._pool_cell = np.zeros(1, np.int64)
        self._pools: list[pool.Pool] = []
        api = ctypes.pythonapi
        self._new_function = ctypes.PYFUNCTYPE(
            ctypes.py_object, ctypes.c_void_p, ctypes.py_object, ctypes.c_void_p
        )(("PyCFunction_NewEx", api))
        functions = (api.PyEval_SaveThread, api.PyEval_RestoreThread, api.PyLong_FromSsize_t)
        self._python = [ctypes.cast(f, ctypes.c_void_p).value or 0 for f in functions]
        self.set_threads(pool.default_threads())
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self.restart)

    def function(self, words: array, frame_size: int, arena_slot: int, arena: int, long: bool) -> Any:
        """A Python function that runs the program `words` on the operands' and results' ndarrays, and gives the
        status. A `long` one lets other Python threads run meanwhile. One call at a time may use it."""
        if not self._work:
            self._load()
        save, restore, to_int = self._python
        bound = np.zeros(program.FRAME + frame_size, np.int64)
        bound[program.PROGRAM] = words.buffer_info()[0]
        bound[program.POOL] = self._pool_cell.ctypes.data
        bound[program.SAVE_THREAD] = save if long else 0
        bound[program.RESTORE_THREAD] = restore
        bound[program.TO_INT] = to_int
        bound[program.FRAME + arena_slot] = arena
        return self._new_function(ctypes.addressof(self._method), bound, None)

    def _load(self) -> None:
        with self._loading:
            if self._work:
                return
            enter, work = load_driver()
            self._method = _MethodDef(b"run", enter, _METH_FASTCALL, None)
            self._work = work
            self.restart()

    @staticmethod
    def _check_layout() -> None:
        """The driver reads data pointer and flags from the ndarray object; make sure that they are where they
        should be."""
        for probe, contiguous in ((np.zeros((2, 3)), True), (np.zeros((2, 3)).T, False)):
            data = ctypes.c_int64.from_address(id(probe) + program.DATA_OFFSET).value
            flags = ctypes.c_int32.from_address(id(probe) + program.FLAGS_OFFSET).value
            as_expected = (flags & program.CONTIGUOUS == program.CONTIGUOUS) is contiguous
            if data == probe.ctypes.data and as_expected:
                continue
            raise RuntimeError("this build of Python and NumPy lays out arrays in an unknown way")

    def set_threads(self, count: int) -> None:
        """Use this many threads from now on."""
        self.pool = pool.Pool(count)
        self._pools.append(self.pool)  # threads of the old ones still look at them
        self.restart()

    def restart(self) -> None:
        """Start the pool's threads, also in the child of a fork, where the parent's are not."""
        if self._work:
            self.pool.start(self._work)
        self._pool_cell[0] = self.pool.address


@functools.cache
def driver() -> Driver:
    """The driver, loaded when it is first needed."""
    return Driver()


def get_num_threads() -> int:
    """The number of threads that compiled functions use.

    >>> import funcgrad as fg
    >>> fg.get_num_threads() >= 1
    True
    """
    return driver().pool.threads


@boundary
def set_num_threads(count: int) -> None:
    """Let compiled functions use `count` threads from now on. Results do not depend on it.

    At the start it is the number of cores that the process may use, or what `FUNCGRAD_NUM_THREADS` says. Raises
    ArgumentError for a count below 1.

    >>> import funcgrad as fg
    >>> before = fg.get_num_threads()
    >>> fg.set_num_threads(1)
    >>> fg.get_num_threads()
    1
    >>> fg.set_num_threads(before)
    """
    if count < 1:
        raise ArgumentError(f"the number of threads has to be at least 1, got {count}")
    driver().set_threads(count)

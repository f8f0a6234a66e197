"""The CPU as a device: the native driver, its pool of threads, and calls of programs."""

from __future__ import annotations

import ctypes
import functools
import os
from array import array

import numpy as np

from funcgrad.kernels.cpu import pool, program
from funcgrad.runtime.cache import load_driver

_RUN = ctypes.PYFUNCTYPE(ctypes.c_int64, ctypes.c_int64, ctypes.c_int64, ctypes.c_int64)
_RUN_LONG = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_int64, ctypes.c_int64, ctypes.c_int64)


class Driver:
    """The native driver of this process. `run` holds Python's lock, for short programs; `run_long` lets it go."""

    def __init__(self) -> None:
        self._check_layout()
        run, self._work = load_driver()
        self.run = _RUN(run)
        self.run_long = _RUN_LONG(run)
        self.set_threads(int(os.environ.get("FUNCGRAD_NUM_THREADS", 0)) or pool.available_cores())
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self.restart)

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
        self.restart()

    def restart(self) -> None:
        """Start the pool's threads, also in the child of a fork, where the parent's are not."""
        self.pool.start(self._work)
        self.pool_address = self.pool.address


@functools.cache
def driver() -> Driver:
    """The driver, loaded when it is first needed."""
    return Driver()


def num_threads() -> int:
    """The number of threads that compiled functions use."""
    return driver().pool.threads


def set_num_threads(count: int) -> None:
    """Let compiled functions use `count` threads. Results do not depend on it."""
    if count < 1:
        raise ValueError(f"the number of threads has to be at least 1, got {count}")
    driver().set_threads(count)


def words_address(words: array) -> int:
    """The address of a program's words."""
    return words.buffer_info()[0]

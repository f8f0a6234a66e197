"""The pool of threads that the driver splits calls over: its shared block, its semaphore, and its start.

The threads are daemons that enter `driver.work` once and never come back to Python. What they share with the
driver is one block of words, at the offsets below; driver.py says how it is used.
"""

from __future__ import annotations

import ctypes
import os
import sys
import threading
from collections.abc import Callable

# Byte offsets in the block; words that different threads write are on cache lines of their own.
TICKET, FINISHED, SLEEPING, BUSY = 0, 64, 128, 192
ENTRY, ARGS, EXTENT, GRAIN, PIECES = 256, 264, 272, 280, 288
WAIT, POST, SEMAPHORE, WAIT_ARGUMENT, POST_ARGUMENT, THREADS = 320, 328, 336, 344, 352, 360
BLAS_USERS, BLAS_THREADS = 384, 392
GET_CORE, GET_THREAD, SET_CORES, CORES, CORES_SIZE, STARTED, SEATS = 400, 408, 416, 424, 432, 440, 448

# Each thread of the pool has a seat, a cache line: its number to the system, and whether it sleeps.
SEAT, THREAD, ASLEEP = 64, 0, 8

_WORK = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_int64)


def available_cores() -> int:
    """The cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def default_threads() -> int:
    """How many threads to use where nobody has said so since the start: `FUNCGRAD_NUM_THREADS`, or the cores."""
    return int(os.environ.get("FUNCGRAD_NUM_THREADS", 0)) or available_cores()


class Pool:
    """The shared block, and the threads that work on it. They start when there is first something to split."""

    def __init__(self, threads: int):
        self.threads = max(threads, 1)
        self._size = SEATS + SEAT * self.threads
        self._memory = (ctypes.c_int64 * (self._size // 8 + 8))()
        start = ctypes.addressof(self._memory)
        self.address = start + -start % 64
        self._keep: list[object] = []
        self._pid: int | None = None

    def _word(self, offset: int) -> ctypes.c_int64:
        return ctypes.c_int64.from_address(self.address + offset)

    def start(self, work: int) -> None:
        """Start the threads, whose code is at address `work`; nothing where they run already."""
        if self._pid == os.getpid() or self.threads < 2:
            return
        ctypes.memset(self.address, 0, self._size)  # after a fork the parent's threads are not here
        self._pid = os.getpid()
        for offset, value in zip((WAIT, POST, SEMAPHORE, WAIT_ARGUMENT, POST_ARGUMENT), self._semaphore()):
            self._word(offset).value = value
        self._word(THREADS).value = self.threads
        self._note_cores()
        run = _WORK(work)
        self._keep.append(run)
        for number in range(self.threads - 1):
            threading.Thread(
                target=run, args=(self.address,), name=f"funcgrad-{number + 1}", daemon=True
            ).start()

    def _semaphore(self) -> tuple[int, int, int, int, int]:
        """Addresses of wait and post, the semaphore, and the second arguments of both."""
        maker: Callable[[], tuple[int, int, int, int, int]]
        maker = {"win32": self._windows, "darwin": self._macos}.get(sys.platform, self._posix)
        return maker()

    def _note_cores(self) -> None:
        """Write down sets of cores (a bit for each) and the system's functions that keep threads to them, where it has
        these: the cores of this process, and behind these, for each core, all but that one."""
        if sys.platform != "linux":
            return
        library = ctypes.CDLL(None)
        names = ("sched_getcpu", "gettid", "sched_setaffinity")
        if not all(hasattr(library, name) for name in names):
            return
        cores = os.sched_getaffinity(0)
        size = (max(cores) // 64 + 1) * 8
        all_cores = sum(1 << core for core in cores)
        sets = [all_cores, *[all_cores & ~(1 << core) for core in range(8 * size)]]
        table = ctypes.create_string_buffer(b"".join([one.to_bytes(size, sys.byteorder) for one in sets]))
        self._keep += [library, table]
        values = [_address(getattr(library, name)) for name in names] + [ctypes.addressof(table), size]
        for offset, value in zip((GET_CORE, GET_THREAD, SET_CORES, CORES, CORES_SIZE), values):
            self._word(offset).value = value

    def _posix(self) -> tuple[int, int, int, int, int]:
        library = ctypes.CDLL(None)
        memory = (ctypes.c_int64 * 8)()
        self._keep += [library, memory]
        library.sem_init(memory, 0, 0)
        return _address(library.sem_wait), _address(library.sem_post), ctypes.addressof(memory), 0, 0

    def _macos(self) -> tuple[int, int, int, int, int]:
        library = ctypes.CDLL("/usr/lib/libSystem.B.dylib")
        library.dispatch_semaphore_create.restype = ctypes.c_void_p
        semaphore = library.dispatch_semaphore_create(ctypes.c_long(0))
        self._keep.append(library)
        forever = -1
        return (
            _address(library.dispatch_semaphore_wait),
            _address(library.dispatch_semaphore_signal),
            semaphore,
            forever,
            0,
        )

    def _windows(self) -> tuple[int, int, int, int, int]:
        library = ctypes.WinDLL("kernel32")  # type: ignore[attr-defined]
        library.CreateSemaphoreW.restype = ctypes.c_void_p
        semaphore = library.CreateSemaphoreW(None, 0, 1 << 20, None)
        self._keep.append(library)
        infinite = 0xFFFFFFFF
        return (
            _address(library.WaitForSingleObject),
            _address(library.ReleaseSemaphore),
            semaphore,
            infinite,
            1,
        )


def _address(function: object) -> int:
    return ctypes.cast(function, ctypes.c_void_p).value or 0  # type: ignore[arg-type]

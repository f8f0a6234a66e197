"""Compiling many kernels at once: a thread of this process and helper processes share LLVM's half of the work.

llvmlite lets one thread at a time call LLVM, so other cores are reached by other processes. A helper runs codegen.py
alone and is there in 50 ms; it ends with the batch. Where none can be started, or one fails, its work is done here.
"""

from __future__ import annotations

import marshal
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from pathlib import Path
from queue import Empty, SimpleQueue

import llvmlite

from . import codegen
from .codegen import Modules
from .pool import default_threads

KERNELS_EACH = 4
"""Kernels that are worth the start of a helper."""
MOST = 8
"""Helpers at a time."""

_Job = tuple[Modules, "Future[bytes]"]


def generate_all(kernels: Sequence[Callable[[], Modules]]) -> list[bytes]:
    """The objects of kernels, whose modules are asked for one after the other while those before are compiled."""
    jobs: SimpleQueue[_Job | None] = SimpleQueue()
    helpers = [_Helper() for _ in range(min(default_threads() - 1, len(kernels) // KERNELS_EACH, MOST))]
    compilers = [codegen.generate, *[h.generate for h in helpers]]
    threads = [threading.Thread(target=_work, args=(jobs, c), name="funcgrad-llvm") for c in compilers]
    for thread in threads:
        thread.start()
    results: list[Future[bytes]] = []
    try:
        for lower in kernels:
            results.append(Future())
            jobs.put((lower(), results[-1]))
        for _ in threads:
            jobs.put(None)
        return [r.result() for r in results]
    except BaseException:
        _drop(jobs, len(threads))
        for helper in helpers:
            helper.stop()
        raise
    finally:
        for thread in threads:
            thread.join()
        for helper in helpers:
            helper.end()


def _drop(jobs: SimpleQueue[_Job | None], threads: int) -> None:
    """Forget the jobs that nobody has begun; let the threads end."""
    try:
        while True:
            jobs.get_nowait()
    except Empty:
        for _ in range(threads):
            jobs.put(None)


def _work(jobs: SimpleQueue[_Job | None], compiler: Callable[[Modules], bytes]) -> None:
    while (job := jobs.get()) is not None:
        modules, result = job
        try:
            result.set_result(compiler(modules))
        except BaseException as error:
            result.set_exception(error)


class _Helper:
    """A process that compiles what it is given."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._failed = not _can_start()

    def generate(self, modules: Modules) -> bytes:
        """The object of the modules, made by the process if that works."""
        if not self._failed:
            try:
                return self._ask(modules)
            except (OSError, EOFError, ValueError, TypeError):
                self._failed = True
        return codegen.generate(modules)

    def _ask(self, modules: Modules) -> bytes:
        if self._process is None:
            self._process = _start()
        assert self._process.stdin is not None and self._process.stdout is not None
        marshal.dump(modules, self._process.stdin)
        self._process.stdin.flush()
        return marshal.load(self._process.stdout)

    def stop(self) -> None:
        """Let the process end at once; whoever waits for it goes on without."""
        if self._process is not None:
            self._process.kill()

    def end(self) -> None:
        """Clear up, when nobody uses the process any more."""
        self.stop()
        if self._process is not None:
            self._process.communicate()


def _can_start() -> bool:
    """Whether `sys.executable` is Python, and not a program that has it inside."""
    name = os.path.basename(sys.executable or "").lower()
    return (
        name.startswith(("python", "pypy"))
        and not hasattr(sys, "frozen")
        and os.path.exists(codegen.__file__)
    )


def _start() -> subprocess.Popen[bytes]:
    packages = str(Path(llvmlite.__file__).parent.parent)
    program = f"import sys; sys.path.append({packages!r}); import runpy; "
    program += f"runpy.run_path({codegen.__file__!r}, run_name='__main__')"
    return subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", program],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
    )

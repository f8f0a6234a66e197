"""Predicted against measured peak memory: `python -m tests.benchmarks.memory [workload ...]`.

Each workload is compiled and called once in a fresh process. Predicted is what `lower(...)` says that a call needs
beside its arguments; measured is by how much the process grew at its peak. Pages that the system gives to code and
the libraries come on top, which is why differences below a megabyte say nothing.
"""

from __future__ import annotations

import ctypes
import gc
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import scipy.fft
import scipy.linalg

from tests.benchmarks.workloads import WORKLOADS

TOLERANCE = 0.1
SMALL = 1 << 20
"""Bytes that pages of code and of libraries make of any call."""


def _status(field: str) -> int:
    """A size in the system's account of this process, in bytes."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) * 1024
    raise KeyError(field)


def growth(call, args, wait) -> int:
    """By how many bytes this process grows at most while `call(*args)` runs."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)  # what compiling left in the heap would be used again, and not be growth
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    before = _status("VmRSS")
    wait(call(*args))
    return max(0, _status("VmHWM") - before)


def child(name: str) -> dict | None:
    """One workload in this process; None where it is no function under `jit`."""
    import funcgrad as fg
    import funcgrad.numpy as jnp

    call, args = WORKLOADS[name].make(fg, jnp)
    if not hasattr(call, "lower"):
        return None
    fg.block_until_ready(args)
    lowered = call.lower(*args)
    square = np.eye(1000, dtype=np.float32)
    _ = square @ square  # the BLAS keeps buffers of its own from its first call on
    _ = scipy.linalg.cholesky(square), scipy.fft.fft(square)
    fg.block_until_ready(fg.jit(lambda x: jnp.tanh(x @ x).sum())(square))
    return {"predicted": lowered.peak_bytes, "measured": growth(call, args, fg.block_until_ready)}


def measure(name: str, caches: str) -> dict | None:
    """One workload in a process of its own, whose kernels come from `caches` where they are there."""
    environment = {**os.environ, "FUNCGRAD_CACHE_DIR": caches}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    command = [sys.executable, "-m", "tests.benchmarks.memory", "--child", name]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=600)
    if done.returncode:
        raise SystemExit(f"{name} failed:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def line(name: str, got: dict) -> str:
    """A row of the table."""
    predicted, measured = got["predicted"], got["measured"]
    apart = abs(measured - predicted)
    verdict = "differs" if apart > max(SMALL, TOLERANCE * measured) else ""
    return f"| {name} | {predicted / 1e6:.2f} | {measured / 1e6:.2f} | {verdict} |"


def main(names: list[str]) -> None:
    print("| workload | predicted, MB | measured, MB | |\n|---|---|---|---|")
    with tempfile.TemporaryDirectory() as own:
        caches = os.environ.get("FUNCGRAD_CACHE_DIR", own)
        for name in names or list(WORKLOADS):
            if measure(name, caches) is None:  # it also fills the cache: compiling needs memory too
                print(f"| {name} | not under jit | | |", flush=True)
                continue
            got = measure(name, caches)
            assert got is not None
            print(line(name, got), flush=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        print(json.dumps(child(sys.argv[2])))
    else:
        main(sys.argv[1:])

"""Runs one workload in one framework in a process of its own, and prints the measurements as JSON."""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

PATIENCE = 10.0  # seconds in which a workload is repeated


def from_shared(name: str, framework: str) -> tuple[Callable, Any, Callable, Callable, Callable | None]:
    """The workload in funcgrad or JAX: what to call, its arguments, how to wait for them and for results, their
    leaves, and what resizes the arguments."""
    if framework == "funcgrad":
        import funcgrad as fw
        import funcgrad.numpy as fnp
    else:
        import jax as fw
        import jax.numpy as fnp
    note_imported()
    from tests.benchmarks.workloads import WORKLOADS

    chosen = WORKLOADS[name]
    call, args = chosen.make(fw, fnp)
    resize = chosen.resize
    resized = None if resize is None else lambda args: resize(fnp, args)
    return call, args, fw.block_until_ready, fw.tree_util.tree_leaves, resized


def from_torch(name: str, framework: str) -> tuple[Callable, Any, Callable, Callable, Callable | None]:
    """The same of the workload's PyTorch program, compiled or not."""
    import torch

    note_imported()
    from tests.benchmarks.torch_programs import PROGRAMS
    from tests.benchmarks.torch_programs.registry import Inputs
    from tests.benchmarks.workloads import WORKLOADS

    chosen = WORKLOADS[name]
    args = chosen.make(Inputs(), Inputs())[1]
    run = PROGRAMS[name].run
    call = torch.compile(run) if framework == "torch.compile" else run
    resize = chosen.resize
    resized = None if resize is None else lambda args: resize(Inputs(), args)
    return call, args, lambda tree: tree, leaves, resized


def leaves(tree: Any) -> list[Any]:
    """The leaves of a tree in the order of `jax.tree_util`: dictionaries by sorted key."""
    if isinstance(tree, dict):
        return [leaf for key in sorted(tree) for leaf in leaves(tree[key])]
    if isinstance(tree, (list, tuple)):
        return [leaf for child in tree for leaf in leaves(child)]
    return [tree]


clock = {"start": time.perf_counter(), "imported": 0.0}


def note_imported() -> None:
    """Note that the framework has been imported."""
    clock["imported"] = time.perf_counter()


def peak() -> float:
    """The most memory that this process has had, in MB. What `getrusage` says includes the parent at the fork."""
    status = Path("/proc/self/status")
    if status.exists():
        (kilobytes,) = [
            line.split()[1] for line in status.read_text().splitlines() if line.startswith("VmHWM")
        ]
        return int(kilobytes) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main(framework: str, name: str) -> None:
    clock["start"] = time.perf_counter()
    adapter = from_torch if framework.startswith("torch") else from_shared
    call, args, wait, flatten, resize = adapter(name, framework)
    imported = clock["imported"] - clock["start"]
    wait(args)
    import numpy as np

    from tests.benchmarks.workloads import WORKLOADS

    ready = time.perf_counter()
    out = wait(call(*args))
    first = time.perf_counter() - ready
    for _ in range(3 if first < 1 else 1):
        wait(call(*args))
    times: list[float] = []
    while len(times) < WORKLOADS[name].repeat and sum(times) < PATIENCE:
        before = time.perf_counter()
        wait(call(*args))
        times.append(time.perf_counter() - before)
    result = {
        "first": imported + first,
        "run": sorted(times)[len(times) // 2],
        "checksums": [float(np.abs(np.asarray(x)).sum(dtype=np.float64)) for x in flatten(out)],
    }
    if resize is not None:
        args = resize(args)
        before = time.perf_counter()
        wait(call(*args))
        result["new_shape"] = time.perf_counter() - before
    result["peak"] = peak()
    print(json.dumps(result))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])

"""Runs one workload in one framework in a process of its own, and prints the measurements as JSON."""

from __future__ import annotations

import json
import resource
import sys
import time


def main(framework: str, name: str) -> None:
    start = time.perf_counter()
    if framework == "jax":
        import jax as fw
        import jax.numpy as fnp
    else:
        import funcgrad as fw
        import funcgrad.numpy as fnp
    imported = time.perf_counter()
    import numpy as np

    from tests.benchmarks.workloads import WORKLOADS

    workload = WORKLOADS[name]
    made = time.perf_counter()
    call, args = workload.make(fw, fnp)
    fw.block_until_ready(args)
    ready = time.perf_counter()
    out = fw.block_until_ready(call(*args))
    first = time.perf_counter()
    for _ in range(3):
        fw.block_until_ready(call(*args))
    times = []
    for _ in range(workload.repeat):
        before = time.perf_counter()
        fw.block_until_ready(call(*args))
        times.append(time.perf_counter() - before)
    leaves = fw.tree_util.tree_leaves(out)
    sums = [float(np.abs(np.asarray(x, np.float64)).sum()) for x in leaves]
    result = {
        "import": imported - start,
        "first": first - ready,
        "first_with_import": (imported - start) + (first - ready),
        "make": ready - made,
        "run": sorted(times)[len(times) // 2],
        "best": min(times),
        "checksums": sums,
    }
    if workload.resize is not None:
        args = workload.resize(fnp, args)
        before = time.perf_counter()
        fw.block_until_ready(call(*args))
        result["new_batch"] = time.perf_counter() - before
    result["peak_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps(result))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])

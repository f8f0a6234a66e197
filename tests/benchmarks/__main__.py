"""Measures funcgrad against JAX: `python -m tests.benchmarks [workload ...] [--rounds N] [--cold]`.

Each measurement is a fresh process; the frameworks take turns. Prints, per workload, the median run time and
the time to the first result of each, and the ratio JAX / funcgrad (above 1: funcgrad is faster). With --cold
funcgrad's first round starts from an empty kernel cache; the later rounds are warm.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile

from tests.benchmarks.workloads import WORKLOADS

FRAMEWORKS = ("funcgrad", "jax")


def measure(framework: str, name: str, cache: str) -> dict:
    """One fresh process."""
    environment = {**os.environ, "FUNCGRAD_CACHE_DIR": cache, "JAX_PLATFORMS": "cpu"}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # pip compiles what it installs; so may a checkout be
    command = [sys.executable, "-m", "tests.benchmarks.child", framework, name]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=600)
    if done.returncode:
        raise RuntimeError(f"{framework} failed on {name}:\n{done.stderr[-3000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def agree(a: list[float], b: list[float]) -> bool:
    return len(a) == len(b) and all(math.isclose(x, y, rel_tol=2e-3, abs_tol=1e-4) for x, y in zip(a, b))


def show(seconds: float) -> str:
    return f"{seconds * 1e6:.1f} us" if seconds < 1e-3 else f"{seconds * 1e3:.2f} ms"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("workloads", nargs="*", help="names (default: all)")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--cold", action="store_true", help="begin with an empty kernel cache")
    options = parser.parse_args()
    names = options.workloads or list(WORKLOADS)
    ratios = []
    print(
        f"{'workload':20} {'funcgrad':>11} {'jax':>11} {'ratio':>6} "
        "| first result, warm: fg, jax, ratio | cold fg | agree"
    )
    with tempfile.TemporaryDirectory() as fresh:
        cache = fresh if options.cold else os.environ.get("FUNCGRAD_CACHE_DIR", fresh)
        for name in names:
            rounds: dict[str, list[dict]] = {f: [] for f in FRAMEWORKS}
            for _ in range(options.rounds + 1):
                for framework in FRAMEWORKS:
                    rounds[framework].append(measure(framework, name, cache))
            cold = rounds["funcgrad"][0]["first_with_import"]

            def middle(framework: str, key: str, rounds: dict = rounds) -> float:
                return statistics.median(r[key] for r in rounds[framework][1:])

            run = [middle(f, "run") for f in FRAMEWORKS]
            first = [middle(f, "first_with_import") for f in FRAMEWORKS]
            ratio = run[1] / run[0]
            ratios.append(ratio)
            same = agree(rounds["funcgrad"][0]["checksums"], rounds["jax"][0]["checksums"])
            line = f"{name:20} {show(run[0]):>11} {show(run[1]):>11} {ratio:6.2f} | "
            line += f"{show(first[0])}, {show(first[1])}, {first[1] / first[0]:.2f} | {show(cold)} | {same}"
            if "new_batch" in rounds["funcgrad"][0]:
                new = [middle(f, "new_batch") for f in FRAMEWORKS]
                line += f" | new batch {show(new[0])}, {show(new[1])}"
            print(line, flush=True)
    print(f"geometric mean of the ratios: {statistics.geometric_mean(ratios):.2f}")


if __name__ == "__main__":
    main()

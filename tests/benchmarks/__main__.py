"""Measures funcgrad against its peers: `python -m tests.benchmarks [workload ...] [--against jax,torch]`.

Peers are jax, jax-cache (JAX with its persistent compilation cache), torch (eager) and torch.compile. Each
measurement is a fresh process; the frameworks take turns. The first round starts from empty caches (cold), the
later ones find what it left there (warm). Prints a Markdown table: for each column funcgrad's figure, each peer's,
and the peer's over funcgrad's (above 1: funcgrad is better). Times to the first result include the import.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.benchmarks import report
from tests.benchmarks.workloads import WORKLOADS

PEERS = ("jax", "jax-cache", "torch", "torch.compile")


def measure(framework: str, name: str, caches: str) -> dict | None:
    """One fresh process; None where the framework could not run the workload."""
    environment = {**os.environ, "FUNCGRAD_CACHE_DIR": f"{caches}/funcgrad", "JAX_PLATFORMS": "cpu"}
    environment["TORCHINDUCTOR_CACHE_DIR"] = f"{caches}/inductor"
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # pip compiles what it installs; so may a checkout be
    environment.pop("JAX_COMPILATION_CACHE_DIR", None)
    if framework == "jax-cache":
        environment["JAX_COMPILATION_CACHE_DIR"] = f"{caches}/jax"
        environment["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
        environment["JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES"] = "-1"
    command = [sys.executable, "-m", "tests.benchmarks.child", framework, name]
    try:
        done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=600)
    except subprocess.TimeoutExpired:
        print(f"{framework} took too long on {name}", file=sys.stderr)
        return None
    if done.returncode:
        print(f"{framework} failed on {name}:\n{done.stderr[-2000:]}", file=sys.stderr)
        return None
    return json.loads(done.stdout.splitlines()[-1])


def can_run(framework: str, name: str) -> bool:
    """Whether the framework has a program for the workload."""
    if not framework.startswith("torch"):
        return True
    from tests.benchmarks.torch_programs import PROGRAMS

    return name in PROGRAMS and (framework == "torch" or PROGRAMS[name].compiles)


def measure_all(name: str, frameworks: list[str], rounds: int, caches: str) -> report.Rounds:
    """`rounds` warm rounds of one workload after a first, cold one; a framework that fails once is left out."""
    measured: report.Rounds = {f: [] for f in frameworks if can_run(f, name)}
    for _ in range(rounds + 1):
        for framework in list(measured):
            got = measure(framework, name, caches)
            if got is not None:
                measured[framework].append(got)
            elif framework == "funcgrad":
                raise SystemExit(1)
            else:
                del measured[framework]
    return measured


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("workloads", nargs="*", metavar="workload", help="names (default: all)")
    parser.add_argument("--against", default="jax", help=f"peers, of {','.join(PEERS)} (default: jax)")
    parser.add_argument("--rounds", type=int, default=3, help="warm rounds (default: 3)")
    parser.add_argument("--table", type=Path, help="write the Markdown table here too")
    parser.add_argument("--chart", type=Path, help="write a bar chart here (.svg or .png)")
    options = parser.parse_args()
    names = options.workloads or list(WORKLOADS)
    peers = [peer for peer in options.against.split(",") if peer]
    for unknown in {*names} - {*WORKLOADS}:
        parser.error(f"no workload {unknown}; there are {', '.join(WORKLOADS)}")
    for unknown in {*peers} - {*PEERS}:
        parser.error(f"no peer {unknown}; there are {', '.join(PEERS)}")
    measured: dict[str, report.Rounds] = {}
    lines = [report.header()]
    print(lines[0])
    for name in names:
        with tempfile.TemporaryDirectory() as caches:
            measured[name] = measure_all(name, ["funcgrad", *peers], max(1, options.rounds), caches)
        lines.append(report.line(name, measured[name], WORKLOADS[name].chaotic))
        print(lines[-1], flush=True)
    lines.append(report.means(measured))
    print(lines[-1])
    if options.table:
        options.table.write_text("\n".join(lines) + "\n", encoding="utf-8")
    if options.chart:
        report.chart(measured, options.chart)


if __name__ == "__main__":
    main()

"""The command `funcgrad` (`python -m funcgrad`): shows, prunes and clears the kernel cache."""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence

from funcgrad.runtime import cache

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_BYTES = {"": 1, "B": 1, "K": 10**3, "KB": 10**3, "M": 10**6, "MB": 10**6, "G": 10**9, "GB": 10**9}


def _measure(text: str, units: dict[str, int], example: str) -> float:
    number = text.rstrip("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
    unit = text[len(number) :]
    try:
        value = float(number) * units.get(unit, units.get(unit.upper(), 0))
    except ValueError:
        value = 0
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not understood: write it like {example}")
    return value


def _age(text: str) -> float:
    return _measure(text, _SECONDS, "30d, 12h or 2w")


def _size(text: str) -> int:
    return int(_measure(text, _BYTES, "500MB or 2GB"))


def _bytes(count: int) -> str:
    for unit, size in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return f"{count} bytes"


def _ago(seconds: float) -> str:
    for unit, size in (("days", 86400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit} ago"
    return "just now"


def _show() -> None:
    there = cache.contents()
    print(f"{there.kernels} kernels, {_bytes(there.bytes)}, in {there.folder}")
    used = [e.used for e in cache.entries()]
    if used:
        now = time.time()
        print(f"last used: the oldest {_ago(now - used[0])}, the newest {_ago(now - used[-1])}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command with these arguments (by default, those of the process); gives the exit status.

    >>> from funcgrad.__main__ import main
    >>> status = main(["cache", "prune", "--unused-for", "30d", "--max-size", "1GB"])  # doctest: +SKIP
    """
    parser = argparse.ArgumentParser(prog="funcgrad", description="Tools of funcgrad.")
    commands = parser.add_subparsers(dest="command", required=True)
    kernels = commands.add_parser("cache", help="show, prune or clear the kernels that are kept on disk")
    actions = kernels.add_subparsers(dest="action")
    actions.add_parser(
        "show", help="how many there are, their size, and when they were last used (the default)"
    )
    prune = actions.add_parser(
        "prune", help="remove those that have not been used for long, or that are too many"
    )
    prune.add_argument(
        "--unused-for", type=_age, metavar="AGE", help="remove what was not used for 30d, 12h, 2w"
    )
    prune.add_argument(
        "--max-size", type=_size, metavar="SIZE", help="then the oldest until 500MB, 2GB are left"
    )
    actions.add_parser("clear", help="remove all of them")
    given = parser.parse_args(arguments)
    if given.action == "prune":
        if given.unused_for is None and given.max_size is None:
            prune.error("say what to remove: --unused-for 30d, --max-size 500MB, or both")
        removed = cache.prune(given.unused_for, given.max_size)
        print(f"removed {removed.kernels} kernels, {_bytes(removed.bytes)}")
        _show()
    elif given.action == "clear":
        removed = cache.clear()
        print(f"removed {removed.kernels} kernels, {_bytes(removed.bytes)}, from {removed.folder}")
    else:
        _show()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

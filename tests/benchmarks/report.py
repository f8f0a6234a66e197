"""What the measurements of a run say: lines, a Markdown table, a bar chart."""

from __future__ import annotations

import math
import statistics
from pathlib import Path
from typing import Any

Rounds = dict[str, list[dict[str, Any]]]
"""The measurements of one workload: framework -> one dictionary a round; the first round is cold."""

COLUMNS = {"run": "run", "cold": "first, cold", "warm": "first, warm", "new_shape": "new shape", "peak": "MB"}


def middle(rounds: list[dict[str, Any]], column: str) -> float | None:
    """The figure of a column of the table; None where the workload has none."""
    if not rounds:
        return None
    if column == "cold":
        return rounds[0]["first"]
    key = "first" if column == "warm" else column
    return statistics.median(r[key] for r in rounds[1:]) if key in rounds[0] else None


def agree(ours: list[float], theirs: list[float]) -> bool:
    """Whether two lists of sums of absolute values are the same up to rounding."""
    if len(ours) != len(theirs):
        return False
    return all(math.isclose(x, y, rel_tol=2e-3, abs_tol=1e-4) for x, y in zip(ours, theirs))


def show(figure: float | None, column: str) -> str:
    """A time in seconds or a size in megabytes for people."""
    if figure is None:
        return "-"
    if column == "peak":
        return f"{figure:.0f}"
    return f"{figure * 1e6:.1f} us" if figure < 1e-3 else f"{figure * 1e3:.2f} ms"


def ratios(rounds: Rounds, column: str) -> dict[str, float]:
    """Each peer's figure over funcgrad's (above 1: funcgrad is better)."""
    ours = middle(rounds["funcgrad"], column)
    theirs = {peer: middle(measured, column) for peer, measured in rounds.items() if peer != "funcgrad"}
    return {peer: figure / ours for peer, figure in theirs.items() if ours and figure is not None}


def agreement(rounds: Rounds, chaotic: bool) -> str:
    """`yes`, or which peers differ."""
    if chaotic:
        return "chaotic"
    ours = rounds["funcgrad"][0]["checksums"]
    differ = [peer for peer, got in rounds.items() if got and not agree(ours, got[0]["checksums"])]
    return f"not with {', '.join(differ)}" if differ else "yes"


def line(name: str, rounds: Rounds, chaotic: bool) -> str:
    """One workload as a row of the Markdown table."""
    cells = [name]
    for column in COLUMNS:
        texts = [show(middle(rounds["funcgrad"], column), column)]
        for peer, ratio in ratios(rounds, column).items():
            figure = show(middle(rounds[peer], column), column)
            texts.append(f"{peer} {figure} ({ratio:.2f})")
        cells.append("; ".join(texts))
    return f"| {' | '.join([*cells, agreement(rounds, chaotic)])} |"


def header() -> str:
    """The head of the Markdown table."""
    titles = ["workload", *COLUMNS.values(), "results agree"]
    return f"| {' | '.join(titles)} |\n|{'---|' * len(titles)}"


def means(measured: dict[str, Rounds]) -> str:
    """The geometric mean of each column's ratios, by peer, as the last row of the table."""
    cells = ["geometric mean of the ratios"]
    for column in COLUMNS:
        by_peer: dict[str, list[float]] = {}
        for rounds in measured.values():
            for peer, ratio in ratios(rounds, column).items():
                by_peer.setdefault(peer, []).append(ratio)
        cells.append("; ".join(f"{p} {statistics.geometric_mean(r):.2f}" for p, r in by_peer.items()) or "-")
    return f"| {' | '.join([*cells, ''])} |"


def chart(measured: dict[str, Rounds], path: Path) -> None:
    """A bar for each workload and peer: the peer's run time over funcgrad's. Needs matplotlib."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    speed = {name: ratios(rounds, "run") for name, rounds in measured.items()}
    names = sorted(speed, key=lambda name: next(iter(speed[name].values()), 1.0))
    peers = sorted({peer for row in speed.values() for peer in row})
    height = 0.8 / max(1, len(peers))
    figure, axes = pyplot.subplots(figsize=(8, 1 + 0.2 * len(names) * max(1, len(peers))))
    for number, peer in enumerate(peers):
        shown = [(place, speed[name][peer]) for place, name in enumerate(names) if peer in speed[name]]
        places = [place + (number - (len(peers) - 1) / 2) * height for place, _ in shown]
        axes.barh(places, [ratio - 1 for _, ratio in shown], height, left=1, label=peer)
    axes.axvline(1, color="black", linewidth=0.8)
    axes.set_xscale("log")
    axes.set_yticks(range(len(names)), names, fontsize=7)
    axes.set_xlabel("run time over funcgrad's (right of 1: funcgrad is faster)")
    axes.legend()
    figure.tight_layout()
    figure.savefig(path)
    pyplot.close(figure)

"""The passes that every graph goes through before it is lowered, in order."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from funcgrad.config import config
from funcgrad.ir.cse import cse
from funcgrad.ir.graph import Graph
from funcgrad.ir.verify import verify
from funcgrad.passes.dce import dce
from funcgrad.passes.inline import inline
from funcgrad.passes.simplify import simplify

Pass = Callable[[Graph], Graph]

STANDARD: tuple[Pass, ...] = (inline, dce, simplify, cse, simplify, dce)


def run(graph: Graph, passes: Sequence[Pass] = STANDARD) -> Graph:
    """`graph` after `passes`; verified after each one where `config.verify` asks for it."""
    for one in passes:
        graph = one(graph)
        if config.verify:
            verify(graph)
    return graph

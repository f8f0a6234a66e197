"""The loop IR and Numba source of a handful of functions, as text files: a change of either shows as a diff.

`FUNCGRAD_REWRITE_GOLDEN=1 pytest tests/lower/test_golden.py` writes them anew.
"""

from __future__ import annotations

import difflib
import os
from pathlib import Path

import programs as P
import pytest

from funcgrad import api
from funcgrad.lower.cpu.emit import emit
from funcgrad.lower.lowered import GemmStep, KernelStep
from funcgrad.lower.to_loops import lower
from funcgrad.trace import ops

FOLDER = Path(__file__).parent.parent / "golden"

x, w = P.draw(40, 50), P.draw(40, 50, seed=1)
CASES = {
    "multiply_add": (P.multiply_add, (x, w)),
    "softmax": (P.softmax, (x,)),
    "softmax_gradient": (api.grad(lambda x: P.total(ops.mul(P.softmax(x), w))), (x,)),
    "layernorm": (P.layernorm, (x, P.draw(50), P.draw(50))),
    "sum_axis_0": (lambda x: P.total(x, (0,)), (x,)),
    "sum_large": (P.total, (P.draw(400, 500),)),
    "dense_relu": (P.dense_relu, (x, P.draw(50, 30), P.draw(30))),
    "transpose": (lambda x: ops.transpose(x, (1, 0)), (x,)),
    "concatenate": (lambda x, w: ops.concatenate([x, w], 1), (x, w)),
}


def text_of(function, args):
    graph, _ = P.graph_of(function, *args)
    lowered = lower(graph)
    parts = []
    for step in lowered.steps:
        if isinstance(step, KernelStep):
            parts.append(f"{step.label}, 0..{step.extent}\n\n{step.kernel}\n{emit(step.kernel)}")
        else:
            assert isinstance(step, GemmStep)
            parts.append(f"{step.label}: {step.m} x {step.k} by {step.k} x {step.n}\n")
    return "\n".join([*parts, *lowered.reasons]).rstrip() + "\n"


@pytest.mark.parametrize("name", CASES)
def test_golden(name):
    path = FOLDER / f"{name}.txt"
    text = text_of(*CASES[name])
    if os.environ.get("FUNCGRAD_REWRITE_GOLDEN"):
        FOLDER.mkdir(exist_ok=True)
        path.write_text(text)
    stored = path.read_text() if path.exists() else ""
    diff = difflib.unified_diff(stored.splitlines(), text.splitlines(), str(path), "now", lineterm="")
    assert stored == text, "\n".join(diff)

"""The generated matrix: every primitive, every sample, every check (funcgrad/testing/matrix.py).

Without `-m sweep` each primitive is checked on a few of its samples and one of each kind, and pairs of transforms on
one; with it, on all.
"""

from __future__ import annotations

import pytest

import funcgrad  # noqa: F401  (makes the primitives)
from funcgrad import dtypes
from funcgrad.ir.primitive import PRIMITIVES
from funcgrad.testing import matrix

NAMED = [p for p in PRIMITIVES.values() if p.collective is None]
IDS = [p.name for p in NAMED]
PAIRS = [(outer, inner) for outer in matrix.TRANSFORMS for inner in matrix.TRANSFORMS]
FEW = 4


def few(primitive):
    """Up to `FEW` samples, spread over all, the first of them included; and the first of each kind, by shapes and
    parameters."""
    found = list(matrix.cases(primitive))
    step = max(len(found) // FEW, 1)
    kinds = {}
    for number, case in enumerate(found):
        kinds.setdefault((repr(case.sample.params), tuple(x.shape for x in case.operands)), number)
    chosen = {*range(0, step * min(FEW, len(found)), step), *kinds.values()}
    return [found[number] for number in sorted(chosen)]


def in_float(primitive):
    """The first sample in float32 or float64, or the first of all."""
    found = list(matrix.cases(primitive))
    plain = [
        c
        for c in found
        if c.moving and all(c.operands[i].dtype in (dtypes.float32, dtypes.float64) for i in c.moving)
    ]
    return (plain or found)[:1]


@pytest.mark.parametrize("primitive", NAMED, ids=IDS)
def test_types(primitive):
    for case in matrix.cases(primitive):
        matrix.check_types(case)


@pytest.mark.parametrize("primitive", NAMED, ids=IDS)
def test_compiled(primitive):
    for case in few(primitive):
        matrix.check_compiled(case)


@pytest.mark.parametrize("primitive", NAMED, ids=IDS)
def test_batching(primitive):
    for case in few(primitive):
        matrix.check_batching(case)


@pytest.mark.parametrize("primitive", NAMED, ids=IDS)
def test_derivatives(primitive):
    for case in few(primitive):
        matrix.check_derivatives(case)
        matrix.check_transpose(case)


@pytest.mark.parametrize("primitive", NAMED, ids=IDS)
def test_pairs_of_transforms(primitive):
    for case in in_float(primitive):
        for outer, inner in PAIRS:
            matrix.check_pair(case, outer, inner)


@pytest.mark.sweep
@pytest.mark.parametrize("primitive", NAMED, ids=IDS)
def test_everything(primitive):
    matrix.check_primitive(primitive)


def test_the_matrix_can_fail():
    """A wrong derivative is found."""
    case = next(c for c in matrix.cases(PRIMITIVES["sin"]) if c.moving)
    original, wrong = PRIMITIVES["sin"].jvp, PRIMITIVES["cos"].jvp
    object.__setattr__(PRIMITIVES["sin"], "jvp", wrong)
    try:
        with pytest.raises(AssertionError):
            matrix.check_derivatives(case)
    finally:
        object.__setattr__(PRIMITIVES["sin"], "jvp", original)

"""The makers of primitives: what they refuse."""

from __future__ import annotations

import numpy as np
import pytest

from funcgrad import dtypes
from funcgrad.errors import PrimitiveError
from funcgrad.ir.primitive import PRIMITIVES
from funcgrad.prims.registry import FIXED, elementwise


def define(name, *partials, accepts=dtypes.FLOATS):
    return elementwise(name, np.add, *partials, accepts=accepts, samples=list)


@pytest.mark.parametrize("partials", [(), (None,)], ids=["left out", "None"])
def test_a_function_of_floats_without_a_derivative_is_refused(partials):
    with pytest.raises(PrimitiveError, match="takes floating-point numbers and has no derivative"):
        define("forgotten", *partials)
    assert "forgotten" not in PRIMITIVES


def test_an_operand_without_a_derivative_is_refused():
    with pytest.raises(PrimitiveError, match="lacks the derivative by an operand"):
        define("half_forgotten", [lambda g, out, x, y: g, None])
    assert "half_forgotten" not in PRIMITIVES


def test_that_there_is_none_can_be_said(monkeypatch):
    for name, *how in (("steps", FIXED), ("half_steps", [FIXED, lambda g, out, x, y: g])):
        assert define(name, *how).jvp is not None
        monkeypatch.delitem(PRIMITIVES, name)
    assert define("of_integers", accepts=dtypes.INTEGERS).jvp is not None
    monkeypatch.delitem(PRIMITIVES, "of_integers")

"""Operators and methods of arrays and tracers, in terms of the functions of this package."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from funcgrad.array import install_methods
from funcgrad.numpy import ufuncs
from funcgrad.trace.core import is_operand


def _operator(
    function: Callable[[Any, Any], Any], name: str, reflected: bool = False
) -> Callable[[Any, Any], Any]:
    """`self op other`, or `other op self`; NotImplemented for an `other` that is no array or number."""
    if reflected:

        def method(self: Any, other: Any) -> Any:
            return function(other, self) if is_operand(other) else NotImplemented

    else:

        def method(self: Any, other: Any) -> Any:
            return function(self, other) if is_operand(other) else NotImplemented

    method.__name__ = method.__qualname__ = name
    return method


BINARY = {
    "add": ufuncs.add,
    "sub": ufuncs.subtract,
    "mul": ufuncs.multiply,
    "truediv": ufuncs.true_divide,
}
COMPARISONS = {
    "eq": ufuncs.equal,
    "ne": ufuncs.not_equal,
    "lt": ufuncs.less,
    "le": ufuncs.less_equal,
    "gt": ufuncs.greater,
    "ge": ufuncs.greater_equal,
}

install_methods(
    {
        f"__{name}__": _operator(function, f"__{name}__")
        for name, function in {**BINARY, **COMPARISONS}.items()
    }
    | {f"__r{name}__": _operator(function, f"__r{name}__", True) for name, function in BINARY.items()}
    | {
        "__neg__": lambda self: ufuncs.negative(self),
        "__pos__": lambda self: self,
        "__abs__": lambda self: ufuncs.abs(self),
    }
)

"""Operators and methods of arrays and tracers, in terms of the functions of this package."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from funcgrad import dtypes
from funcgrad.array import Array, install_methods
from funcgrad.errors import boundary
from funcgrad.numpy import (
    creation,
    elementwise,
    gathering,
    indexing,
    manipulation,
    products,
    reductions,
    searching,
    ufuncs,
)
from funcgrad.trace import ops
from funcgrad.trace.core import is_operand

_PLAIN = frozenset((Array, float, int))
"""What the other operand usually is."""


def _operator(
    function: Callable[[Any, Any], Any], name: str, reflected: bool = False
) -> Callable[[Any, Any], Any]:
    """`self op other`, or `other op self`; NotImplemented for an `other` that is no array or number."""
    if reflected:

        @boundary
        def method(self: Any, other: Any) -> Any:
            plain = other.__class__ in _PLAIN or is_operand(other)
            return function(other, self) if plain else NotImplemented

    else:

        @boundary
        def method(self: Any, other: Any) -> Any:
            plain = other.__class__ in _PLAIN or is_operand(other)
            return function(self, other) if plain else NotImplemented

    method.__name__ = method.__qualname__ = name
    return method


BINARY = {
    "add": ufuncs.add,
    "sub": ufuncs.subtract,
    "mul": ufuncs.multiply,
    "truediv": ufuncs.true_divide,
    "floordiv": elementwise.floor_divide,
    "mod": elementwise.remainder,
    "divmod": elementwise.divmod,
    "pow": elementwise.power,
    "matmul": products.matmul,
    "and": elementwise.bitwise_and,
    "or": elementwise.bitwise_or,
    "xor": elementwise.bitwise_xor,
    "lshift": elementwise.left_shift,
    "rshift": elementwise.right_shift,
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


def _method(function: Callable[..., Any], name: str) -> Callable[..., Any]:
    @boundary
    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        return function(self, *args, **kwargs)

    method.__name__ = method.__qualname__ = name
    method.__doc__ = function.__doc__
    return method


def _shape_arguments(args: Any) -> Any:
    """`x.reshape(2, 3)` and `x.reshape((2, 3))` mean the same."""
    return args[0] if len(args) == 1 else args


def _view(self: Any, dtype: Any = None) -> Any:
    """The same bits as another dtype of the same size."""
    return (
        self if dtype is None else ops.apply("bitcast_convert_type", self, new_dtype=dtypes.as_dtype(dtype))
    )


REDUCTIONS = ("sum", "prod", "max", "min", "all", "any", "mean", "var", "std", "argmax", "argmin", "ptp")
SHAPES = ("ravel", "squeeze", "swapaxes", "repeat")
PRODUCTS = ("dot", "trace", "diagonal")

install_methods(
    {name: _method(getattr(reductions, name), name) for name in REDUCTIONS}
    | {name: _method(getattr(manipulation, name), name) for name in SHAPES}
    | {name: _method(getattr(products, name), name) for name in PRODUCTS}
    | {
        "__invert__": lambda self: elementwise.bitwise_not(self),
        "__round__": lambda self, ndigits=0: elementwise.round(self, ndigits or 0),
        "reshape": lambda self, *shape, order="C": manipulation.reshape(self, _shape_arguments(shape), order),
        "transpose": lambda self, *axes: manipulation.transpose(
            self, _shape_arguments(axes) if axes else None
        ),
        "flatten": _method(manipulation.ravel, "flatten"),
        "astype": _method(creation.astype, "astype"),
        "clip": _method(elementwise.clip, "clip"),
        "round": _method(elementwise.round, "round"),
        "conj": _method(ufuncs.conj, "conj"),
        "conjugate": _method(ufuncs.conj, "conjugate"),
        "copy": _method(creation.copy, "copy"),
        "take": _method(gathering.take, "take"),
        "nonzero": _method(searching.nonzero, "nonzero"),
        "__getitem__": indexing.getitem,
        "at": property(indexing.At),
        "view": _view,
        "T": property(lambda self: manipulation.transpose(self)),
        "mT": property(lambda self: manipulation.matrix_transpose(self)),
        "real": property(lambda self: elementwise.real(self)),
        "imag": property(lambda self: elementwise.imag(self)),
    }
)

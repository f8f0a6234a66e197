"""Operators and methods of arrays and tracers, in terms of the functions of this package."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from funcgrad.array import Array, install_methods
from funcgrad.errors import boundary
from funcgrad.names import Foreign
from funcgrad.numpy import (
    bits,
    creation,
    cumulative,
    editing,
    elementwise,
    gathering,
    indexing,
    manipulation,
    products,
    reductions,
    searching,
    sorting,
    ufuncs,
    updates,
)
from funcgrad.numpy.ufuncs import straight_to_numpy
from funcgrad.trace.core import is_operand

_PLAIN = frozenset((Array, float, int))
"""What the other operand usually is."""
_CONTAINERS = (list, tuple, set, dict)
"""What has no operators with arrays: the function says what to do, where Python would say less, or compare it as
unequal."""


def _operator(
    function: Callable[[Any, Any], Any], name: str, ufunc: Any, reflected: bool = False
) -> Callable[[Any, Any], Any]:
    """`self op other`, or `other op self`; NotImplemented for an `other` that is no array or number.

    `ufunc` is NumPy's function for arrays of one dtype, or None.
    """

    refused = _CONTAINERS if name in ("__eq__", "__ne__") else (*_CONTAINERS, str, type(None))

    def general(self: Any, other: Any) -> Any:
        if other.__class__ not in _PLAIN and not is_operand(other) and not isinstance(other, refused):
            return NotImplemented
        return function(other, self) if reflected else function(self, other)

    if ufunc is None:
        method = boundary(general)
    else:
        method = straight_to_numpy(ufunc, general, ufunc is np.true_divide, reflected)
    method.__name__ = method.__qualname__ = name
    return method


# By the operator's name: the function of this package, and NumPy's where it does the same on arrays of one dtype.
BINARY = {
    "add": (ufuncs.add, np.add),
    "sub": (ufuncs.subtract, np.subtract),
    "mul": (ufuncs.multiply, np.multiply),
    "truediv": (ufuncs.true_divide, np.true_divide),
    "floordiv": (elementwise.floor_divide, None),
    "mod": (elementwise.remainder, None),
    "divmod": (elementwise.divmod, None),
    "pow": (elementwise.power, None),
    "matmul": (products.matmul, None),
    "and": (elementwise.bitwise_and, None),
    "or": (elementwise.bitwise_or, None),
    "xor": (elementwise.bitwise_xor, None),
    "lshift": (elementwise.left_shift, None),
    "rshift": (elementwise.right_shift, None),
}
COMPARISONS = {
    "eq": (ufuncs.equal, np.equal),
    "ne": (ufuncs.not_equal, np.not_equal),
    "lt": (ufuncs.less, np.less),
    "le": (ufuncs.less_equal, np.less_equal),
    "gt": (ufuncs.greater, np.greater),
    "ge": (ufuncs.greater_equal, np.greater_equal),
}

install_methods(
    {
        f"__{name}__": _operator(function, f"__{name}__", ufunc)
        for name, (function, ufunc) in {**BINARY, **COMPARISONS}.items()
    }
    | {
        f"__r{name}__": _operator(function, f"__r{name}__", ufunc, True)
        for name, (function, ufunc) in BINARY.items()
    }
    | {
        "__neg__": boundary(lambda self: ufuncs.negative(self)),
        "__pos__": lambda self: self,
        "__abs__": boundary(lambda self: ufuncs.abs(self)),
    }
)


def _method(function: Callable[..., Any], name: str) -> Callable[..., Any]:
    @boundary
    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        return function(self, *args, **kwargs)

    method.__name__ = method.__qualname__ = name
    method.__doc__ = function.__doc__
    method.__wrapped__ = function  # type: ignore[attr-defined]  # whose signature help() shows
    return method


@boundary
def _astype(self: Any, dtype: Any = None, copy: bool = False, device: Any = None) -> Any:
    return creation.astype(self, dtype, copy=copy, device=device)


_astype.__doc__ = creation.astype.__doc__


def _shape_arguments(args: Any) -> Any:
    """`x.reshape(2, 3)` and `x.reshape((2, 3))` mean the same."""
    return args[0] if len(args) == 1 else args


@boundary
def _contains(self: Any, item: Any) -> bool:
    """`item in self`: whether any element is equal, as in NumPy."""
    return bool(reductions.any(elementwise.equal(self, item)))


REDUCTIONS = ("sum", "prod", "max", "min", "all", "any", "mean", "var", "std", "argmax", "argmin", "ptp")
SHAPES = ("ravel", "squeeze", "swapaxes", "repeat")
PRODUCTS = ("dot", "trace", "diagonal")

install_methods(
    {name: _method(getattr(reductions, name), name) for name in REDUCTIONS}
    | {name: _method(getattr(manipulation, name), name) for name in SHAPES}
    | {name: _method(getattr(products, name), name) for name in PRODUCTS}
    | {
        "__invert__": boundary(lambda self: elementwise.bitwise_not(self)),
        "__round__": boundary(lambda self, ndigits=0: elementwise.round(self, ndigits or 0)),
        "reshape": boundary(
            lambda self, *shape, order="C": manipulation.reshape(self, _shape_arguments(shape), order)
        ),
        "transpose": boundary(
            lambda self, *axes: manipulation.transpose(self, _shape_arguments(axes) if axes else None)
        ),
        "flatten": _method(manipulation.ravel, "flatten"),
        "astype": _astype,
        "clip": _method(elementwise.clip, "clip"),
        "round": _method(elementwise.round, "round"),
        "conj": _method(ufuncs.conj, "conj"),
        "conjugate": _method(ufuncs.conj, "conjugate"),
        "copy": _method(creation.copy, "copy"),
        "take": _method(gathering.take, "take"),
        "choose": _method(editing.choose, "choose"),
        "compress": boundary(lambda self, condition, axis=None: gathering.compress(condition, self, axis)),
        "nonzero": _method(searching.nonzero, "nonzero"),
        "sort": _method(sorting.sort, "sort"),
        "argsort": _method(sorting.argsort, "argsort"),
        "argpartition": _method(sorting.argpartition, "argpartition"),
        "searchsorted": _method(sorting.searchsorted, "searchsorted"),
        "cumsum": _method(cumulative.cumsum, "cumsum"),
        "cumprod": _method(cumulative.cumprod, "cumprod"),
        "__getitem__": indexing.getitem,
        "__contains__": _contains,
        "at": property(updates.At),
        "view": bits.view,
        "T": property(lambda self: manipulation.transpose(self)),
        "mT": property(lambda self: manipulation.matrix_transpose(self)),
        "real": property(lambda self: elementwise.real(self)),
        "imag": property(lambda self: elementwise.imag(self)),
    }
)

FOREIGN = {
    "backward": "funcgrad.grad(f)(x): derivatives are of functions",
    "cpu": "x: it is on the CPU",
    "cuda": "x: there are arrays on the CPU only",
    "append": "funcgrad.numpy.append(x, values), which gives a new array",
    "detach": "funcgrad.lax.stop_gradient(x), or numpy.asarray(x) outside of derivatives",
    "expand": "funcgrad.numpy.broadcast_to(x, shape)",
    "fill": "funcgrad.numpy.full_like(x, value): arrays do not change in place",
    "numpy": "numpy.asarray(x)",
    "permute": "x.transpose(axes)",
    "requires_grad": "funcgrad.grad(f)(x): derivatives are of functions",
    "to": "x.astype(dtype)",
    "unsqueeze": "funcgrad.numpy.expand_dims(x, axis)",
}
"""By the name of a method that arrays of NumPy or torch have: what to write here."""


install_methods({name: Foreign(name, instead) for name, instead in FOREIGN.items()})
install_methods({"__dir__": lambda self: sorted(set(object.__dir__(self)) - set(FOREIGN))})

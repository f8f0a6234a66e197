"""What users write, inside generated kernels: their functions, from bytecode and from what they refer to.

`scalar` makes a function of numbers that a kernel calls for each element, and that LLVM can inline and vectorize;
`whole` makes one of arrays, which a kernel calls once. `math`, `numpy` and functions of `math` are named by
`Library`, since a kernel's text can hold their names only.
"""

from __future__ import annotations

import marshal
import math
import types
from collections.abc import Callable
from typing import Any

import numpy as np

MARK = "__funcgrad_user__"
"""The attribute by which frontend.py knows a scalar function."""


class Library:
    """A module, or what it calls one of its names."""

    def __init__(self, module: str, name: str = ""):
        self.module = module
        self.name = name


def table(data: bytes, dtype: str, shape: tuple[int, ...]) -> np.ndarray:
    """A constant array."""
    return np.frombuffer(data, dtype).reshape(shape)


def _narrowed(value: Any) -> Any:
    """Floats as float32: beside float32 values they shall not make float64 ones."""
    if type(value) is float:
        return np.float32(value)
    if type(value) is tuple:
        return tuple(map(_narrowed, value))
    return value


def _made(code: bytes, names: dict[str, Any], cells: tuple[Any, ...], defaults: Any, single: bool) -> Any:
    """The Python function."""
    body = marshal.loads(code)
    if single:
        body = _single(body)
        names = {k: _narrowed(v) for k, v in names.items()}
        cells = tuple(map(_narrowed, cells))
        defaults = _narrowed(defaults)
    space = {"__name__": "funcgrad_user", **names}
    closure = tuple(map(types.CellType, cells))
    return types.FunctionType(body, space, body.co_name, defaults, closure)


def _single(code: types.CodeType) -> types.CodeType:
    constants = tuple([_single(c) if isinstance(c, types.CodeType) else _narrowed(c) for c in code.co_consts])
    return code.replace(co_consts=constants)


def _scalar_library(value: Any, used: set[str]) -> Any:
    """What a scalar function finds for a Library."""
    if not isinstance(value, Library):
        return value
    from . import scalar_math

    if value.module == "math":
        return getattr(scalar_math.numbers, value.name) if value.name else scalar_math.numbers
    if value.module == "numpy":
        known = vars(scalar_math.numpy_numbers)
        if value.name:
            return known.get(value.name, getattr(np, value.name))
        if all(n in known for n in used & set(dir(np))):
            return scalar_math.numpy_numbers
    return _plain_library(value)


def _plain_library(value: Any) -> Any:
    if not isinstance(value, Library):
        return value
    import cmath

    module = {"math": math, "numpy": np, "cmath": cmath}[value.module]
    return getattr(module, value.name) if value.name else module


def scalar(
    code: bytes,
    names: dict[str, Any],
    cells: tuple[Any, ...] = (),
    defaults: tuple[Any, ...] | None = None,
    single: bool = False,
) -> Callable[..., Any]:
    """A function of numbers. `code` is its bytecode, `names` and `cells` what its globals and closure hold; where
    `single`, its constants are float32."""
    from numba.extending import register_jitable

    used = set(marshal.loads(code).co_names)
    names = {k: _scalar_library(v, used) for k, v in names.items()}
    cells = tuple([_scalar_library(v, used) for v in cells])
    function = register_jitable(error_model="numpy")(_made(code, names, cells, defaults, single))
    setattr(function, MARK, True)
    return function


def whole(
    code: bytes,
    names: dict[str, Any],
    cells: tuple[Any, ...] = (),
    defaults: tuple[Any, ...] | None = None,
    **options: Any,
) -> Callable[..., Any]:
    """A function of arrays, compiled by `numba.njit(**options)`."""
    from numba import njit

    names = {k: _plain_library(v) for k, v in names.items()}
    return njit(**options)(_made(code, names, tuple(map(_plain_library, cells)), defaults, False))

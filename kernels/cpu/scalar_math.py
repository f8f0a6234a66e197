"""`math` for users' scalar functions in kernels: the vector math of vmath.py under the names of `math`.

A loop over a function that says `math.exp` is then vectorized as one over `vm.exp` is. An operand that is an
integer becomes float64, or float32 beside a float32. What vmath does not have is `math`'s own, as Numba compiles it.
"""

from __future__ import annotations

import math
import types as python_types
from collections.abc import Sequence
from typing import Any

from llvmlite import ir

from . import vmath
from .scalars import C64, C128, F32, F64, I64, Function, Scalar


def _common(operands: Sequence[Any]) -> Scalar:
    """The type in which a function of these operands computes."""
    return next((kind for kind in (C128, C64, F64, F32) if kind in operands), F64)


def _promoting(function: Function, arity: int, to_integer: bool = False) -> Function:
    """`function` of vmath for operands of any types; as an int64 where `to_integer`."""

    def signature(given: Sequence[Any]) -> tuple[Any, Sequence[Any]]:
        if len(given) != arity:
            raise TypeError(f"{function.name} takes {arity} argument{'s' * (arity > 1)}, got {len(given)}")
        result, kinds = function.signature([_common(given)] * arity)
        return I64 if to_integer else result, kinds

    def code(builder: Any, kinds: Sequence[Any], values: Sequence[Any]) -> Any:
        value = function.code(builder, kinds, values)
        return builder.fptosi(value, ir.IntType(64)) if to_integer else value

    return Function(function.name, signature, code, function.python)


def _logarithm() -> Function:
    """`log(x)`, and `log(x, base)`."""

    def signature(given: Sequence[Any]) -> tuple[Any, Sequence[Any]]:
        if len(given) > 2:
            raise TypeError(f"log takes a number and perhaps a base, got {len(given)} arguments")
        kind = _common(given)
        return kind, [kind] * len(given)

    def code(builder: Any, kinds: Sequence[Any], values: Sequence[Any]) -> Any:
        logarithms = [vmath.log.code(builder, kinds[:1], [v]) for v in values]
        return logarithms[0] if len(values) == 1 else builder.fdiv(*logarithms)

    return Function("log", signature, code, vmath.log.python)


_UNARY = (
    "exp", "exp2", "expm1", "log1p", "log2", "log10", "sin", "cos", "tan", "asin", "acos", "atan", "sinh",
    "cosh", "tanh", "asinh", "acosh", "atanh", "sqrt", "cbrt", "erf", "erfc", "lgamma",
)  # fmt: skip

numbers = python_types.ModuleType("math")
"""What stands for `math`."""
numbers.__dict__.update({k: v for k, v in vars(math).items() if not k.startswith("_")})
numbers.__dict__.update({k: _promoting(getattr(vmath, k), 1) for k in _UNARY})
numbers.__dict__.update(
    log=_logarithm(),
    fabs=_promoting(vmath.abs, 1),
    pow=_promoting(vmath.pow, 2),
    atan2=_promoting(vmath.atan2, 2),
    fmod=_promoting(vmath.rem, 2),
    floor=_promoting(vmath.floor, 1, to_integer=True),
    ceil=_promoting(vmath.ceil, 1, to_integer=True),
    trunc=_promoting(vmath.trunc, 1, to_integer=True),
)

_NUMPY_NAMES = {"arcsin": "asin", "arccos": "acos", "arctan": "atan", "arctan2": "atan2", "arcsinh": "asinh"}
_NUMPY_NAMES |= {"arccosh": "acosh", "arctanh": "atanh", "power": "pow", "fmod": "fmod", "fabs": "fabs"}
_NUMPY_NAMES |= {
    k: k
    for k in _UNARY
    if k not in ("asin", "acos", "atan", "asinh", "acosh", "atanh", "erf", "erfc", "lgamma")
}
_NUMPY_NAMES |= {
    k: k for k in ("log", "pi", "e", "inf", "nan", "isnan", "isinf", "isfinite", "hypot", "copysign")
}

numpy_numbers = python_types.ModuleType("numpy")
"""What stands for NumPy where a function uses only its functions of one number that are here."""
numpy_numbers.__dict__.update({k: getattr(numbers, v) for k, v in _NUMPY_NAMES.items()})
numpy_numbers.__dict__.update(
    floor=_promoting(vmath.floor, 1),
    ceil=_promoting(vmath.ceil, 1),
    trunc=_promoting(vmath.trunc, 1),
    rint=_promoting(vmath.round_even, 1),
    maximum=_promoting(vmath.maximum, 2),
    minimum=_promoting(vmath.minimum, 2),
    sign=_promoting(vmath.sign, 1),
    square=_promoting(vmath.square, 1),
    abs=_promoting(vmath.abs, 1),
    absolute=_promoting(vmath.abs, 1),
)

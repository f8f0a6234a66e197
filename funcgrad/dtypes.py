"""Element types: the ones funcgrad has, how they promote, and their defaults.

Owns the promotion lattice (the Array API's, extended by JAX's weak types for Python scalars) and every
question about a dtype. A dtype is always a `numpy.dtype`; bfloat16 comes from ml_dtypes.
"""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np

from funcgrad.config import config
from funcgrad.errors import DTypeError

bool_ = np.dtype(np.bool_)
int8, int16, int32, int64 = (np.dtype(t) for t in (np.int8, np.int16, np.int32, np.int64))
uint8, uint16, uint32, uint64 = (np.dtype(t) for t in (np.uint8, np.uint16, np.uint32, np.uint64))
float16, float32, float64 = (np.dtype(t) for t in (np.float16, np.float32, np.float64))
bfloat16 = np.dtype(ml_dtypes.bfloat16)
complex64, complex128 = np.dtype(np.complex64), np.dtype(np.complex128)
float0 = np.dtype([("float0", np.void, 0)])
"""The tangent type of integers and booleans: no information, zero bytes an element."""


SIGNED = (int8, int16, int32, int64)
UNSIGNED = (uint8, uint16, uint32, uint64)
INTEGERS = SIGNED + UNSIGNED
FLOATS = (bfloat16, float16, float32, float64)
COMPLEX = (complex64, complex128)
ALL = (bool_, *INTEGERS, *FLOATS, *COMPLEX)
KNOWN = frozenset((*ALL, float0))
BY_NAME = {d.name: d for d in ALL} | {"float0": float0}

_INTEGERS, _FLOATS, _COMPLEX, _ALL = (
    frozenset(INTEGERS),
    frozenset(FLOATS),
    frozenset(COMPLEX),
    frozenset(ALL),
)
_SAME = {d: d for d in ALL}
"""The one object for each dtype, so that they can be compared by identity."""


def is_float(dtype: np.dtype) -> bool:
    return dtype in _FLOATS


def is_complex(dtype: np.dtype) -> bool:
    return dtype in _COMPLEX


def is_inexact(dtype: np.dtype) -> bool:
    return dtype in _FLOATS or dtype in _COMPLEX


def is_integer(dtype: np.dtype) -> bool:
    return dtype in _INTEGERS


def is_signed(dtype: np.dtype) -> bool:
    return dtype in SIGNED


def is_bool(dtype: np.dtype) -> bool:
    return dtype == bool_


def real_of(dtype: np.dtype) -> np.dtype:
    """float32 for complex64, float64 for complex128, and the dtype itself otherwise."""
    return {complex64: float32, complex128: float64}.get(dtype, dtype)


def complex_of(dtype: np.dtype) -> np.dtype:
    """The complex dtype whose parts hold `dtype`."""
    return complex128 if dtype in (float64, complex128) else complex64


def tangent_dtype(dtype: np.dtype) -> np.dtype:
    """The dtype of a tangent of a value of `dtype`: itself where it is inexact, else float0."""
    return dtype if is_inexact(dtype) else float0


def compute_dtype(dtype: np.dtype) -> np.dtype:
    """The dtype in which arithmetic on `dtype` is done: float32 for the 16-bit floats."""
    return float32 if dtype in (float16, bfloat16) else dtype


def name(dtype: np.dtype) -> str:
    """The short name used in printed types: f32, bf16, i64, u8, c64, bool."""
    return _SHORT[dtype]


_SHORT = {bool_: "bool", float0: "float0", bfloat16: "bf16"}
_SHORT |= {d: f"{d.kind}{8 * d.itemsize}" for d in ALL if d not in _SHORT}
BY_SHORT = {v: k for k, v in _SHORT.items()}


def default_float() -> np.dtype:
    return config.default_float


def default_int() -> np.dtype:
    return config.default_int


def default_complex() -> np.dtype:
    return complex_of(config.default_float)


def of_python_scalar(kind: type) -> np.dtype:
    """The dtype that a Python scalar of type `kind` has by default."""
    if kind is bool:
        return bool_
    if kind is int:
        return config.default_int
    if kind is float:
        return config.default_float
    return default_complex()


def as_dtype(dtype: Any) -> np.dtype:
    """`dtype` as one of funcgrad's dtypes. Python's `float`, `int`, `complex` mean the default of their kind.

    Raises DTypeError for anything that is not a dtype of funcgrad.
    """
    if type(dtype) is np.dtype and dtype in _SAME:
        return _SAME[dtype]
    if dtype is float or dtype is int or dtype is complex or dtype is bool:
        return of_python_scalar(dtype)
    if isinstance(dtype, str) and dtype in BY_SHORT:
        return BY_SHORT[dtype]
    if isinstance(dtype, str) and dtype == "bfloat16":
        return bfloat16
    try:
        if dtype is None:
            raise TypeError  # NumPy takes it for float64
        result = np.dtype(dtype if isinstance(dtype, type) else getattr(dtype, "dtype", dtype)).newbyteorder(
            "="
        )
    except TypeError:
        raise DTypeError(
            f"{dtype!r} is not a dtype",
            hint=f"use one of {', '.join(d.name for d in ALL)}"
            + (
                "; give other arguments by name, and a shape as one tuple"
                if isinstance(dtype, int | float | tuple)
                else ""
            ),
        ) from None
    if result not in _ALL and result != float0:
        raise DTypeError(
            f"dtype {result} has no place in funcgrad", hint=f"use one of {', '.join(d.name for d in ALL)}"
        )
    return _SAME.get(result, result)


# The lattice. Nodes are dtypes and the three weak kinds; each names the nodes just above it.
_ABOVE: dict[Any, tuple[Any, ...]] = {
    bool_: ("int*",),
    "int*": (uint8, int8),
    uint8: (int16, uint16),
    uint16: (int32, uint32),
    uint32: (int64, uint64),
    int8: (int16,),
    int16: (int32,),
    int32: (int64,),
    int64: ("float*",),
    uint64: ("float*",),
    "float*": ("complex*", bfloat16, float16),
    bfloat16: (float32,),
    float16: (float32,),
    float32: (float64, complex64),
    float64: (complex128,),
    "complex*": (complex64,),
    complex64: (complex128,),
    complex128: (),
}


def _uppers(node: Any) -> set[Any]:
    found, todo = {node}, [node]
    while todo:
        for above in _ABOVE[todo.pop()]:
            if above not in found:
                found.add(above)
                todo.append(above)
    return found


_UPPERS = {node: _uppers(node) for node in _ABOVE}


def _join(a: Any, b: Any) -> Any:
    common = _UPPERS[a] & _UPPERS[b]
    return next(node for node in common if common <= _UPPERS[node])


_JOIN = {(a, b): _join(a, b) for a in _ABOVE for b in _ABOVE}


def _node(dtype: np.dtype, weak: bool) -> Any:
    if not weak or dtype == bool_:
        return dtype
    return "int*" if is_integer(dtype) else "float*" if is_float(dtype) else "complex*"


def promote(*types: tuple[np.dtype, bool]) -> tuple[np.dtype, bool]:
    """The (dtype, weak) to which values of the given (dtype, weak) pairs promote together.

    Symmetric and associative. A weak value (from a Python scalar) takes the other's dtype where the other
    is of the same or a higher kind; where it is of a higher kind itself, the result is weak too. int64 with float32
    gives float32, as in JAX and PyTorch.
    """
    first = types[0]
    if all(t == first for t in types):
        return first
    node = _node(*first)
    for t in types[1:]:
        node = _JOIN[node, _node(*t)]
    if isinstance(node, str):
        kinds = {"int*": is_integer, "float*": is_float, "complex*": is_complex}
        same = [d for d, weak in types if weak and kinds[node](d)]
        default = {"int*": default_int, "float*": default_float, "complex*": default_complex}[node]
        return (max(same, key=lambda d: d.itemsize) if same else default()), True
    return node, False


def promote_dtypes(*dtypes: np.dtype) -> np.dtype:
    """The dtype to which strong values of `dtypes` promote together."""
    return promote(*((d, False) for d in dtypes))[0]


def can_take(dtype: np.dtype, scalar: np.dtype) -> bool:
    """Whether a Python number, of dtype `scalar` by default, can stand where `dtype` is needed."""
    return dtype in _ALL and promote((scalar, True), (dtype, False))[0] == dtype


class extended(np.generic):
    """The family of dtypes that NumPy does not have; no array here is of one."""


class prng_key(extended):
    """The dtype of JAX's typed keys. Keys here are arrays of uint32, so that `issubdtype(key.dtype, prng_key)` is
    False, and programs that ask take the way of raw keys."""


def issubdtype(a: Any, b: Any) -> bool:
    """Whether a dtype (None: the default float) is another, or belongs to a family such as `numpy.floating`."""
    first = canonicalize_dtype(a)
    if isinstance(b, type) and issubclass(b, np.generic):
        kind = np.floating if first == bfloat16 else first.type
        return issubclass(kind, b) or first.type is b
    return first == as_dtype(b)


def canonicalize_dtype(dtype: Any) -> np.dtype:
    """The dtype that arrays have which are asked for `dtype`: itself, since 64-bit dtypes are always there; of None,
    the default float."""
    return default_float() if dtype is None else as_dtype(dtype)


def result_type(*args: Any, return_weak_type_flag: bool = False) -> Any:
    """The dtype to which arrays, Python numbers and dtypes promote together; with the flag, (dtype, whether it is
    weak)."""

    def one(x: Any) -> tuple[np.dtype, bool]:
        if type(x) in (bool, int, float, complex):
            return of_python_scalar(type(x)), True
        if x is int or x is float or x is complex:
            return of_python_scalar(x), True
        kind = x if isinstance(x, type) else getattr(x, "dtype", x)
        return as_dtype(kind), bool(getattr(x, "weak_type", False))

    if not args:
        raise DTypeError("result_type of nothing", hint="give at least one array, number or dtype")
    found = promote(*map(one, args))
    return found if return_weak_type_flag else found[0]


def itemsize_bits(dtype: Any) -> int:
    """The number of bits of an element."""
    return 8 * as_dtype(dtype).itemsize


def scalar_type_of(x: Any) -> type:
    """The Python type of numbers like `x`, an array or a number: bool, int, float or complex."""
    if type(x) in (bool, int, float, complex):
        return type(x)
    dtype = as_dtype(getattr(x, "dtype", x))
    return bool if is_bool(dtype) else int if is_integer(dtype) else float if is_float(dtype) else complex


def finfo(dtype: Any) -> Any:
    """Machine limits of a float dtype, as `numpy.finfo` gives them, bfloat16 too."""
    return ml_dtypes.finfo(real_of(as_dtype(dtype)))


def iinfo(int_type: Any) -> Any:
    """Machine limits of an integer dtype, as `numpy.iinfo` gives them."""
    return np.iinfo(as_dtype(int_type))

"""Questions about arrays and dtypes: shape, ndim, size, dtype families, casts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from funcgrad import dtypes
from funcgrad.errors import ArgumentError
from funcgrad.trace.core import PYTHON_SCALARS, is_operand, type_of

_FAMILIES = {
    "bool": (dtypes.bool_,),
    "signed integer": dtypes.SIGNED,
    "unsigned integer": dtypes.UNSIGNED,
    "integral": dtypes.INTEGERS,
    "real floating": dtypes.FLOATS,
    "complex floating": dtypes.COMPLEX,
    "numeric": (*dtypes.INTEGERS, *dtypes.FLOATS, *dtypes.COMPLEX),
}

dtype = np.dtype


def shape(a: Any) -> tuple[int, ...]:
    """The lengths of the axes of `a`."""
    return np.shape(a) if isinstance(a, list | tuple) else type_of(a).shape


def ndim(a: Any) -> int:
    """The number of axes of `a`."""
    return len(shape(a))


def size(a: Any, axis: int | Sequence[int] | None = None) -> int:
    """The number of elements of `a`, or along `axis`."""
    lengths = shape(a)
    axes = range(len(lengths)) if axis is None else (axis,) if isinstance(axis, int) else axis
    result = 1
    for d in axes:
        result *= lengths[d]
    return result


def isscalar(element: Any) -> bool:
    """Whether `element` is a number or an array without axes."""
    return isinstance(element, PYTHON_SCALARS) or (hasattr(element, "shape") and element.shape == ())


def iterable(y: Any) -> bool:
    """Whether `y` can be iterated over."""
    return np.iterable(y)


def iscomplexobj(x: Any) -> bool:
    """Whether the dtype of `x`, an array, a number or a nested list, is complex."""
    return dtypes.is_complex(type_of(x).dtype) if is_operand(x) else bool(np.iscomplexobj(x))


def isrealobj(x: Any) -> bool:
    """Whether the dtype of `x` is not complex."""
    return not iscomplexobj(x)


def isdtype(dtype: Any, kind: Any) -> bool:
    """Whether a dtype is, or belongs to, a kind of the Array API: "real floating", "integral", ..."""
    first = dtypes.as_dtype(dtype)
    for wanted in kind if isinstance(kind, tuple) else (kind,):
        if isinstance(wanted, str) and wanted in _FAMILIES:
            if first in _FAMILIES[wanted]:
                return True
        elif isinstance(wanted, str) and wanted not in dtypes.BY_NAME:
            raise ArgumentError(f"no kind of dtype {wanted!r}", hint=f"use one of {', '.join(_FAMILIES)}")
        elif first == dtypes.as_dtype(wanted):
            return True
    return False


def can_cast(from_: Any, to: Any, casting: str = "safe") -> bool:
    """Whether NumPy's rule `casting` lets a dtype, or an array of it, become another."""
    source = type_of(from_).dtype if hasattr(from_, "shape") else dtypes.as_dtype(from_)
    return np.can_cast(source, dtypes.as_dtype(to), casting)  # type: ignore[arg-type]

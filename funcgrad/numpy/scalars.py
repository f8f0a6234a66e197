"""The scalar types `float32`, `int8`, ...: dtypes that can be called, with traced values too."""

from __future__ import annotations

from typing import Any

import numpy as np

from funcgrad import dtypes
from funcgrad.array import Array
from funcgrad.errors import boundary
from funcgrad.numpy.creation import asarray


class ScalarType(type):
    """A type that stands for a dtype: NumPy takes it for one, and it equals NumPy's type of that name."""

    dtype: np.dtype

    def __new__(cls, dtype: np.dtype) -> Any:
        name = "bool_" if dtype == dtypes.bool_ else dtype.name
        doc = f"{name}(x) is x as an array of dtype {dtype.name}."
        return super().__new__(
            cls, name, (), {"__doc__": doc, "__module__": "funcgrad.numpy", "__slots__": (), "dtype": dtype}
        )

    def __init__(cls, dtype: np.dtype) -> None:
        super().__init__(cls.__name__, (), {})

    @boundary
    def __call__(cls, x: Any = 0) -> Array:
        return asarray(x, cls.dtype)

    def __eq__(cls, other: Any) -> bool:
        return cls is other or other is cls.dtype.type or (isinstance(other, np.dtype) and other == cls.dtype)

    def __hash__(cls) -> int:
        return hash(cls.dtype.type)

    def __instancecheck__(cls, instance: Any) -> bool:
        return isinstance(instance, cls.dtype.type)

    def __repr__(cls) -> str:
        return f"<class 'funcgrad.numpy.{cls.__name__}'>"

    def __reduce__(cls) -> str:
        return cls.__name__


bool_ = ScalarType(dtypes.bool_)
int8, int16, int32, int64 = map(ScalarType, dtypes.SIGNED)
uint8, uint16, uint32, uint64 = map(ScalarType, dtypes.UNSIGNED)
bfloat16, float16, float32, float64 = map(ScalarType, dtypes.FLOATS)
complex64, complex128 = map(ScalarType, dtypes.COMPLEX)

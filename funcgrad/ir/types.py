"""The type of a value in a graph: its shape and dtype, and whether it came from a Python scalar."""

from __future__ import annotations

import functools
import math
import weakref
from typing import Any

import numpy as np

from funcgrad import dtypes


class ArrayType:
    """Shape, dtype and weakness of one value; immutable, hashable, printed as `f32[8,3]`.

    `weak` marks values that come from Python scalars alone: in promotion they give way to the other operand.
    There is one object for the same fields, so that types are equal when they are identical, and looking
    something up by a type costs no more than by a number.
    """

    __slots__ = ("__weakref__", "_tangent", "dtype", "shape", "weak")
    shape: tuple[int, ...]
    dtype: np.dtype
    weak: bool

    def __new__(cls, shape: tuple[int, ...], dtype: np.dtype, weak: bool = False) -> ArrayType:
        key = (shape, dtype, weak)
        known = _known.get(key)
        if known is not None:
            return known
        shape = tuple([int(n) for n in shape])  # the size of a batch axis is a subclass of int
        key = (shape, dtype, weak)
        self = super().__new__(cls)
        set_field = object.__setattr__
        set_field(self, "shape", shape)
        set_field(self, "dtype", dtype)
        set_field(self, "weak", weak)
        set_field(self, "_tangent", None)
        return _known.setdefault(key, self)

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError("an ArrayType does not change")

    def __reduce__(self):
        return (ArrayType, (self.shape, self.dtype, self.weak))

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def size(self) -> int:
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        return math.prod(self.shape) * self.dtype.itemsize

    @property
    def weak_type(self) -> bool:
        """JAX's name of `weak`."""
        return self.weak

    def with_shape(self, shape: tuple[int, ...]) -> ArrayType:
        return ArrayType(shape, self.dtype, self.weak)

    def with_dtype(self, dtype: np.dtype, weak: bool = False) -> ArrayType:
        return ArrayType(self.shape, dtype, weak)

    def strong(self) -> ArrayType:
        """The same type without weakness."""
        return ArrayType(self.shape, self.dtype) if self.weak else self

    def tangent(self) -> ArrayType:
        """The type of a tangent or cotangent of a value of this type."""
        known = self._tangent
        if known is None:
            known = ArrayType(self.shape, dtypes.tangent_dtype(self.dtype), self.weak)
            object.__setattr__(self, "_tangent", known)
        return known

    def matches(self, other: ArrayType) -> bool:
        """Equal up to weakness."""
        return self.shape == other.shape and self.dtype == other.dtype

    def __str__(self) -> str:
        return f"{dtypes.name(self.dtype)}[{','.join(map(str, self.shape))}]{'~' if self.weak else ''}"

    def str_short(self, short_dtypes: bool = True) -> str:
        name = dtypes.name(self.dtype) if short_dtypes else self.dtype.name
        return f"{name}[{','.join(map(str, self.shape))}]"

    __repr__ = __str__


_known: weakref.WeakValueDictionary[tuple[Any, ...], ArrayType] = weakref.WeakValueDictionary()
"""By its fields, each type that is in use."""


@functools.lru_cache(maxsize=16384)
def array_type(shape: tuple[int, ...], dtype: np.dtype, weak: bool = False) -> ArrayType:
    """`ArrayType(...)`, sooner: remembers the last ones."""
    return ArrayType(shape, dtype, weak)

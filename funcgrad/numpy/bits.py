"""`x.view(dtype)`: the bits of an array read as another dtype, with NumPy's rules."""

from __future__ import annotations

from typing import Any

import numpy as np

from funcgrad import dtypes
from funcgrad.errors import ArgumentError, ShapeError, boundary
from funcgrad.lax.bits import bitcast
from funcgrad.trace import ops
from funcgrad.trace.core import type_of


@boundary
def view(self: Any, dtype: Any = None, *sizes: Any) -> Any:
    """The bits as another dtype, as `numpy.ndarray.view` reads them: the last axis gets longer or shorter.

    The parts of complex numbers are real numbers, one after the other; a byte is true as a boolean if it is not 0.

    Raises:
        ArgumentError: a shape in place of a dtype; PyTorch's `view` is `reshape`.
        ShapeError: a last axis without a whole number of elements of `dtype`, or no axis where the size changes.

    >>> import funcgrad.numpy as jnp
    >>> jnp.array([1.0], "float32").view("uint16").tolist()
    [0, 16256]
    """
    if sizes or isinstance(dtype, int | tuple):
        given = ", ".join(map(str, dtype if isinstance(dtype, tuple) else (dtype, *sizes)))
        raise ArgumentError(
            f"view is of another dtype, not of another shape: {type_of(self)} as ({given})",
            hint=f"write x.reshape({given})",
        )
    if dtype is None:
        return self
    t, target = type_of(self), dtypes.as_dtype(dtype)
    if t.dtype == target:
        return self
    if t.dtype.itemsize != target.itemsize and (
        not t.shape or t.shape[-1] * t.dtype.itemsize % target.itemsize
    ):
        raise ShapeError(
            f"view of {t} as {dtypes.name(target)}: its last axis does not hold a whole number of them",
            hint="the bytes of the last axis are read as the new dtype; reshape so that they fit",
        )
    if dtypes.is_bool(t.dtype):
        return view(ops.convert(self, dtypes.uint8), target)
    if dtypes.is_bool(target):
        return ops.ne(view(self, dtypes.uint8), np.uint8(0))
    if not t.shape and (dtypes.is_complex(t.dtype) or dtypes.is_complex(target)):
        return ops.reshape(view(ops.reshape(self, (1,)), target), ())
    if dtypes.is_complex(t.dtype):
        parts = [ops.expand_dims(part(self), (t.ndim,)) for part in (ops.real, ops.imag)]
        return view(ops.reshape(ops.concatenate(parts, t.ndim), (*t.shape[:-1], 2 * t.shape[-1])), target)
    if dtypes.is_complex(target):
        parts = view(self, dtypes.real_of(target))
        parts = ops.reshape(parts, (*t.shape[:-1], type_of(parts).shape[-1] // 2, 2))
        return ops.complex_(parts[..., 0], parts[..., 1])
    if target.itemsize == t.dtype.itemsize:
        return bitcast(self, target)
    length = t.shape[-1] * t.dtype.itemsize // target.itemsize
    if ratio := target.itemsize // t.dtype.itemsize:
        return bitcast(ops.reshape(self, (*t.shape[:-1], length, ratio)), target)
    return ops.reshape(bitcast(self, target), (*t.shape[:-1], length))

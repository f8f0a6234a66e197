"""The bits of arrays read as another dtype, of any width: `x.view(dtype)` and `lax.bitcast_convert_type`.

The primitive keeps the width; here, wide numbers come apart and narrow ones together by shifts, the lowest bits
first, as they lie in memory. Composition only.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from funcgrad import dtypes
from funcgrad.errors import ArgumentError, ShapeError, boundary
from funcgrad.trace import ops
from funcgrad.trace.core import type_of


def _word(dtype: np.dtype) -> np.dtype:
    return np.dtype(f"u{dtype.itemsize}")


def _read(x: Any, dtype: np.dtype) -> Any:
    return x if type_of(x).dtype == dtype else ops.apply("bitcast_convert_type", x, new_dtype=dtype)


def _parts(ratio: int, width: int, dtype: np.dtype) -> np.ndarray:
    """How far to shift each of `ratio` parts of `width` bytes."""
    return np.arange(ratio).astype(dtype) * dtype.type(8 * width)


def bitcast(x: Any, dtype: np.dtype) -> Any:
    """The bits of x as another dtype.

    Into a narrower dtype, each number gives the elements of a new last axis; into a wider one, each line along the
    last axis, which has just the elements for it, gives one number.
    """
    t = type_of(x)
    wide, narrow = t.dtype.itemsize, dtype.itemsize
    plain = not any(dtypes.is_bool(d) or dtypes.is_complex(d) for d in (t.dtype, dtype))
    if wide == narrow or not plain:
        return _read(x, dtype)  # which says what is wrong
    if wide > narrow:
        ratio = wide // narrow
        bits = ops.expand_dims(_read(x, _word(t.dtype)), (t.ndim,))
        bits = ops.broadcast_to(bits, (*t.shape, ratio))
        shifts = ops.broadcast_to(_parts(ratio, narrow, _word(t.dtype)), (*t.shape, ratio))
        return _read(ops.convert(ops.shift_right_logical(bits, shifts), _word(dtype)), dtype)
    ratio = narrow // wide
    if t.shape[-1:] != (ratio,):
        raise ShapeError(
            f"bitcast_convert_type from {t} to {dtypes.name(dtype)} takes {ratio} elements for one",
            hint=f"give it a last axis of length {ratio}",
        )
    bits = ops.convert(_read(x, _word(t.dtype)), _word(dtype))
    shifts = ops.broadcast_to(_parts(ratio, wide, _word(dtype)), t.shape)
    return _read(ops.reduce_sum(ops.shift_left(bits, shifts), (t.ndim - 1,)), dtype)


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

"""The bits of arrays read as another dtype, of any width.

The primitive keeps the width; here, wide numbers come apart and narrow ones together by shifts, the lowest bits
first, as they lie in memory. Composition only.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from funcgrad import dtypes
from funcgrad.errors import ShapeError
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

"""Convolution and correlation of vectors."""

from __future__ import annotations

from typing import Any

from funcgrad.errors import ArgumentError, ShapeError, boundary
from funcgrad.lax.convolution import conv_general_dilated
from funcgrad.numpy.creation import asarray
from funcgrad.numpy.ufuncs import conj
from funcgrad.promotion import check_arrays, promote
from funcgrad.trace import ops
from funcgrad.trace.core import type_of


def _slid(name: str, a: Any, v: Any, mode: str) -> Any:
    """The sums of products of the longer vector with the shorter one, slid over it as it is."""
    n = type_of(v).shape[0]
    pads = {"full": (n - 1, n - 1), "same": (n // 2, (n - 1) // 2), "valid": (0, 0)}
    if mode not in pads:
        raise ArgumentError(f"{name}: mode is 'full', 'same' or 'valid', got {mode!r}")
    out = conv_general_dilated(ops.expand_dims(a, (0, 1)), ops.expand_dims(v, (0, 1)), (1,), (pads[mode],))
    return ops.reshape(out, type_of(out).shape[2:])


def _vectors(name: str, a: Any, v: Any) -> tuple[Any, Any]:
    check_arrays(name, a, v)
    x, y = (asarray(o) for o in promote(name, a, v))
    for t in (type_of(x), type_of(y)):
        if t.ndim != 1 or not t.size:
            raise ShapeError(
                f"{name} takes two vectors with elements, got {type_of(x)} and {type_of(y)}",
                hint="use vmap over other axes, or lax.conv_general_dilated for images",
            )
    return x, y


@boundary
def convolve(
    a: Any, v: Any, mode: str = "full", *, precision: Any = None, preferred_element_type: Any = None
) -> Any:
    """The convolution of two vectors, of lengths m and n: sum over k of a[k] * v[i - k].

    Args:
        mode: 'full' has m + n - 1 elements, 'same' the middle max(m, n) of them, 'valid' those where the vectors
            overlap entirely.

    >>> import funcgrad as fg
    >>> fg.numpy.convolve(fg.numpy.array([1, 2, 3]), fg.numpy.array([1, 1]))
    Array([1, 3, 5, 3], dtype=int64)
    """
    x, y = _vectors("convolve", a, v)
    if type_of(x).size < type_of(y).size:
        x, y = y, x
    out = _slid("convolve", x, ops.rev(y, (0,)), mode)
    return out if preferred_element_type is None else out.astype(preferred_element_type)


@boundary
def correlate(
    a: Any, v: Any, mode: str = "valid", *, precision: Any = None, preferred_element_type: Any = None
) -> Any:
    """The cross-correlation of two vectors: sum over k of a[k + i] * conj(v[k]); `mode` as for `convolve`."""
    x, y = _vectors("correlate", a, v)
    y = conj(y)
    if type_of(x).size < type_of(y).size:
        out = ops.rev(_slid("correlate", y, x, mode), (0,))
    else:
        out = _slid("correlate", x, y, mode)
    return out if preferred_element_type is None else out.astype(preferred_element_type)

"""`fft`: discrete Fourier transforms over the last axes, by scipy.fft. Owns nothing of padding or norms.

`fft_type` is "fft" and "ifft" (complex to complex), "rfft" (real to complex, of which the last axis keeps the
n // 2 + 1 numbers that say all) or "irfft" (back again). `fft_lengths` are the lengths of the signal's axes. The
inverse ones divide by the number of elements, the others do not. A transform is a symmetric matrix, so that it
is its own transpose; the real ones differ from it by the half that is not there.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from funcgrad import dtypes
from funcgrad.errors import ArgumentError, DTypeError, ShapeError
from funcgrad.ir.primitive import Primitive, Sample
from funcgrad.ir.types import ArrayType, array_type
from funcgrad.prims.registry import batch_by_moving_first, library_call, linear_jvp, transpose_linear
from funcgrad.prims.samples import draw
from funcgrad.trace import ops
from funcgrad.trace.core import type_of

KINDS = ("fft", "ifft", "rfft", "irfft")
_REAL = (dtypes.float32, dtypes.float64)
_COMPLEX = (dtypes.complex64, dtypes.complex128)
_MANY = 1 << 16
"""From this number of elements on, scipy.fft may use every core."""


def _half(lengths: Sequence[int]) -> tuple[int, ...]:
    """The lengths of a real signal's transform."""
    return (*lengths[:-1], lengths[-1] // 2 + 1)


def _type_rule(x: ArrayType, *, fft_type: str, fft_lengths: tuple[int, ...]) -> ArrayType:
    if fft_type not in KINDS:
        raise ArgumentError(f"there is no transform {fft_type!r}", hint=f"use one of {', '.join(KINDS)}")
    count = len(fft_lengths)
    if not 1 <= count <= x.ndim or min(fft_lengths) < 1:
        raise ShapeError(
            f"{fft_type} over the last {count} axes, of lengths {fft_lengths}, of {x}",
            hint="give as many lengths as there are axes to transform, each 1 or more",
        )
    accepted = _REAL if fft_type == "rfft" else _COMPLEX
    if x.dtype not in accepted:
        raise DTypeError(
            f"{fft_type} is not defined for {x}",
            hint=f"it takes {' and '.join(map(dtypes.name, accepted))}; convert with .astype(...)",
        )
    wanted = _half(fft_lengths) if fft_type == "irfft" else fft_lengths
    if x.shape[-count:] != wanted:
        raise ShapeError(
            f"{fft_type} with lengths {fft_lengths} takes an operand whose last axes are {wanted}, got {x}",
            hint="pad or cut it, as funcgrad.numpy.fft does",
        )
    before = x.shape[:-count]
    if fft_type == "rfft":
        return array_type((*before, *_half(fft_lengths)), dtypes.complex_of(x.dtype), x.weak)
    dtype = dtypes.real_of(x.dtype) if fft_type == "irfft" else x.dtype
    return array_type((*before, *fft_lengths), dtype, x.weak)


def _evaluate(xp: Any, x: Any, *, fft_type: str, fft_lengths: tuple[int, ...]) -> Any:
    from scipy import fft

    axes = tuple(range(x.ndim - len(fft_lengths), x.ndim))
    if not x.size:
        out = array_type(x.shape, x.dtype)
        out = _type_rule(out, fft_type=fft_type, fft_lengths=fft_lengths)
        return xp.zeros(out.shape, out.dtype)
    workers = -1 if x.size >= _MANY else None
    transform = getattr(fft, f"{fft_type}n")
    return transform(x, s=fft_lengths, axes=axes, workers=workers)


def _workspace(x: ArrayType, *, fft_type: str, fft_lengths: tuple[int, ...]) -> int:
    """The roots of unity of the longest line, the line itself, and what one axis hands to the next."""
    line = max(fft_lengths, default=0) * dtypes.complex_of(x.dtype).itemsize
    return 2 * line + (x.nbytes if len(fft_lengths) > 1 else 0)


def _double_of_pairs(length: int, dtype: np.dtype) -> np.ndarray:
    """How often each number of a halved axis counts in the whole: twice, but the first and the middle one."""
    counts = np.full(length // 2 + 1, 2, dtype)
    counts[0] = 1
    if length % 2 == 0:
        counts[-1] = 1
    return counts


def _transpose(ct: Any, operand: ArrayType, *, fft_type: str, fft_lengths: tuple[int, ...]) -> Any:
    if fft_type in ("fft", "ifft"):
        return ops.apply("fft", ct, fft_type=fft_type, fft_lengths=fft_lengths)
    if fft_type == "rfft":  # the missing half of the output has no cotangent
        missing = fft_lengths[-1] - (fft_lengths[-1] // 2 + 1)
        config = [(0, 0, 0)] * (operand.ndim - 1) + [(0, missing, 0)]
        return ops.real(ops.apply("fft", ops.pad(ct, 0, config), fft_type="fft", fft_lengths=fft_lengths))
    whole = ops.conj(ops.apply("fft", ct, fft_type="rfft", fft_lengths=fft_lengths))
    dtype = type_of(whole).dtype
    counts = _double_of_pairs(fft_lengths[-1], dtype) / dtype.type(math.prod(fft_lengths))
    return ops.mul(whole, ops.broadcast_in_dim(counts, type_of(whole).shape, (operand.ndim - 1,)))


def _samples() -> Iterable[Sample]:
    cases: list[tuple[str, tuple[int, ...], tuple[int, ...]]] = [
        ("fft", (5,), (5,)),
        ("ifft", (2, 4), (4,)),
        ("fft", (2, 3, 4), (3, 4)),
        ("ifft", (2, 1, 3), (2, 1, 3)),
        ("rfft", (6,), (6,)),
        ("rfft", (2, 5), (5,)),
        ("rfft", (2, 3, 4), (3, 4)),
        ("irfft", (4,), (6,)),
        ("irfft", (2, 3), (5,)),
        ("irfft", (2, 3, 3), (3, 4)),
        ("irfft", (1,), (1,)),
        ("rfft", (0, 4), (4,)),
    ]
    for kind, shape, lengths in cases:
        dtype = dtypes.float32 if kind == "rfft" else dtypes.complex64
        params = {"fft_type": kind, "fft_lengths": lengths}
        yield Sample((draw(*shape, dtype=dtype),), params, (0,), kind)
    for kind, dtype in (("fft", dtypes.complex128), ("rfft", dtypes.float64), ("irfft", dtypes.complex128)):
        shape = (3,) if kind == "irfft" else (4,)
        yield Sample((draw(*shape, dtype=dtype),), {"fft_type": kind, "fft_lengths": (4,)}, (0,), kind)


fft_p = Primitive(
    name="fft",
    type_rule=_type_rule,
    evaluate=_evaluate,
    jvp=linear_jvp("fft"),
    transpose=transpose_linear(_transpose),
    batch=batch_by_moving_first("fft", lambda x, **params: ops.apply("fft", x, **params)),
    lower=library_call("fft"),
    samples=_samples,
    workspace=_workspace,
)

"""Primitives without operands: iota. A filled array is a scalar, broadcast."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from funcgrad import dtypes
from funcgrad.errors import AxisError, DTypeError
from funcgrad.ir import expr
from funcgrad.ir.primitive import Primitive, Sample
from funcgrad.ir.types import ArrayType, array_type
from funcgrad.prims.registry import zero_jvp
from funcgrad.trace import ops


def _iota_type(*, shape: tuple[int, ...], dtype: np.dtype, dimension: int) -> ArrayType:
    if not 0 <= dimension < len(shape):
        raise AxisError(
            f"iota: dimension {dimension} is not an axis of shape {shape}",
            hint=f"use an axis from 0 to {len(shape) - 1}" if shape else "give a shape with an axis",
        )
    if dtypes.is_bool(dtype):
        raise DTypeError(
            "iota counts in numbers, not in bool", hint="make it of an integer dtype and compare"
        )
    return array_type(shape, dtype)


def _evaluate_iota(xp: Any, *, shape: tuple[int, ...], dtype: np.dtype, dimension: int) -> Any:
    aligned = [1] * len(shape)
    aligned[dimension] = shape[dimension]
    with np.errstate(all="ignore"):
        return xp.broadcast_to(xp.arange(shape[dimension]).astype(dtype).reshape(aligned), shape)


def _batch_iota(size: int, operands: Sequence[Any], axes: Sequence[int | None], **params: Any):
    return ops.iota(**params), None


def _iota_samples() -> Iterable[Sample]:
    for shape, dtype, dimension in [
        ((5,), dtypes.int32, 0),
        ((2, 3), dtypes.float32, 1),
        ((3, 1), dtypes.int64, 0),
        ((0, 2), dtypes.uint8, 0),
        ((300,), dtypes.int8, 0),
        ((2, 3, 2), dtypes.complex64, 1),
        ((4,), dtypes.bfloat16, 0),
    ]:
        yield Sample((), {"shape": shape, "dtype": dtype, "dimension": dimension})


iota_p = Primitive(
    name="iota",
    type_rule=_iota_type,
    evaluate=_evaluate_iota,
    jvp=zero_jvp("iota"),
    transpose=None,
    batch=_batch_iota,
    lower=lambda in_types, out_types, *, shape, dtype, dimension: expr.Map(
        expr.FromIndex(expr.axis(dimension), dtype)
    ),
    samples=_iota_samples,
)

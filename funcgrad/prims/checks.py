"""The primitive `check`: an assertion on traced values.

Operands are (predicate, values for the message). It has an effect: where the predicate does not hold, it raises
CheckError, in compiled functions too. `checkify` takes checks out of a function and returns what they found.
Under vmap all operands get leading batch axes; then the first example that fails is reported.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from funcgrad import dtypes
from funcgrad.errors import CheckError, DTypeError, ShapeError
from funcgrad.ir.primitive import AxisSize, Primitive, Sample
from funcgrad.ir.types import ArrayType
from funcgrad.prims.registry import library_call
from funcgrad.records import entity
from funcgrad.source import SourceLine
from funcgrad.trace import ops
from funcgrad.trace.core import bind, type_of
from funcgrad.transforms.vmap import move_batch_axis


@entity
class Message:
    """The words of a check: `words(values)` gives them for NumPy arrays of its values."""

    words: Callable[[Sequence[Any]], str]
    source: SourceLine | None


def _type(predicate: ArrayType, *values: ArrayType, **params: Any) -> tuple[ArrayType, ...]:
    if predicate.dtype != dtypes.bool_:
        raise DTypeError(f"check takes a boolean, got {predicate}", hint="compare: check(x > 0, ...)")
    for v in values:
        if v.shape[: predicate.ndim] != predicate.shape:
            raise ShapeError(f"check of {predicate} with a value of type {v}: the batch axes differ")
    return ()


def _evaluate(xp: Any, predicate: Any, *values: Any, message: Message, debug: bool) -> list[Any]:
    if not debug and not np.all(predicate):
        first = tuple(np.argwhere(~np.asarray(predicate))[0])
        words = message.words([np.asarray(v)[first] for v in values])
        raise CheckError(words, where=message.source)
    return []


def _jvp(primals: Sequence[Any], tangents: Sequence[Any], **params: Any):
    return bind(check_p, *primals, **params), []


def _batch(size: AxisSize, operands: Sequence[Any], axes: Sequence[int | None], **params: Any):
    return bind(check_p, *[move_batch_axis(x, a, 0, size) for x, a in zip(operands, axes)], **params), []


def first_failing(predicate: Any, values: Sequence[Any]) -> tuple[Any, list[Any]]:
    """Whether any example fails, and the values of the first one that does."""
    shape = type_of(predicate).shape
    if not shape:
        return ops.not_(predicate), list(values)
    count = int(np.prod(shape, dtype=np.int64))
    flat = ops.not_(ops.reshape(predicate, (count,)))
    if not count:
        return ops.reduce_or(flat, (0,)), [ops.zeros(_one(v, len(shape))) for v in values]
    index = ops.argmax(ops.convert(flat, dtypes.int32), 0, dtypes.int32)
    chosen = []
    for v in values:
        rest = _one(v, len(shape)).shape
        rows = ops.reshape(v, (count, *rest))
        starts = [index, *[np.int32(0)] * len(rest)]
        chosen.append(ops.reshape(ops.dynamic_slice(rows, starts, (1, *rest)), rest))
    return ops.reduce_or(flat, (0,)), chosen


def _one(value: Any, batch_axes: int) -> ArrayType:
    """The type of one example of a value."""
    type = type_of(value)
    return type.with_shape(type.shape[batch_axes:])


def _samples() -> Iterable[Sample]:
    params = {"message": Message(lambda values: "sample", None), "debug": False}
    yield Sample((np.bool_(True), np.float32(2)), params, ())


check_p = Primitive(
    name="check",
    type_rule=_type,
    evaluate=_evaluate,
    jvp=_jvp,
    transpose=None,
    batch=_batch,
    lower=library_call("check"),
    samples=_samples,
    multiple_results=True,
    effect=True,
)

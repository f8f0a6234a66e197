"""`random_gamma`: one gamma variate of shape `alpha` for each key, by rejection in NumPy.

Each element has a key of its own (two uint32 words), so that the number of its tries is nobody else's matter.
The derivative is that of the variate at constant probability, by the primitive `random_gamma_grad`.

Marsaglia and Tsang, "A simple method for generating gamma variables", ACM Trans. Math. Softw. 26 (2000); shapes
below 1 by their remark 6. Figurnov, Mohamed and Mnih, "Implicit reparameterization gradients", NeurIPS 2018.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from funcgrad import dtypes
from funcgrad.errors import DTypeError, ShapeError
from funcgrad.ir.primitive import Primitive, Sample, Zero
from funcgrad.ir.types import ArrayType, array_type
from funcgrad.prims.random import cipher
from funcgrad.prims.registry import batch_elementwise, library_call
from funcgrad.prims.samples import draw_in
from funcgrad.trace import ops
from funcgrad.trace.core import type_of

SQUEEZE = 0.0331
"""The constant of Marsaglia and Tsang's quick test of acceptance."""


def _type_rule(key0: ArrayType, key1: ArrayType, alpha: ArrayType, *, log_space: bool) -> ArrayType:
    if key0.dtype != dtypes.uint32 or key1.dtype != dtypes.uint32 or not dtypes.is_float(alpha.dtype):
        raise DTypeError(f"random_gamma takes two words u32 and a float shape, got {key0}, {key1}, {alpha}")
    if len({t.shape for t in (key0, key1, alpha) if t.shape}) > 1:
        raise ShapeError(f"random_gamma has a key for each shape, got {key0}, {key1}, {alpha}")
    return array_type(next((t.shape for t in (key0, key1, alpha) if t.shape), ()), alpha.dtype)


Key = tuple[np.ndarray, np.ndarray]


def _split(key: Key, count: int) -> list[Key]:
    """`count` new keys for each."""
    found = []
    for n in range(count):
        word = cipher(np, *key, np.uint32(0), np.uint32(n), width=64)
        found.append(((word >> np.uint64(32)).astype(np.uint32), word.astype(np.uint32)))
    return found


def _unit(key: Key, dtype: np.dtype) -> np.ndarray:
    """Uniform on [0, 1), by the mantissa."""
    width = dtype.itemsize * 8
    unsigned = np.dtype(f"u{dtype.itemsize}")
    words = cipher(np, *key, np.uint32(0), np.uint32(0), width=width)
    one = np.ones((), dtype).view(unsigned)[()]
    bits = (words >> unsigned.type(width - np.finfo(dtype).nmant)) | one
    return bits.view(dtype) - dtype.type(1)


def _normal(key: Key, dtype: np.dtype) -> np.ndarray:
    from scipy import special

    low = np.nextafter(dtype.type(-1), dtype.type(0))
    unit = np.maximum(low, _unit(key, dtype) * (dtype.type(1) - low) + low)
    return special.erfinv(unit) * dtype.type(math.sqrt(2))


def _taken(key: Key, chosen: np.ndarray) -> Key:
    return key[0][chosen], key[1][chosen]


def _cube_root(key: Key, c: np.ndarray, dtype: np.dtype) -> tuple[np.ndarray, np.ndarray]:
    """A normal number x with 1 + c x > 0, and that."""
    x, v = np.zeros_like(c), np.full_like(c, -1)
    open_ = np.arange(c.size)
    while open_.size:
        key, subkey = _split(key, 2)
        x[open_] = _normal(subkey, dtype)
        v[open_] = 1 + x[open_] * c[open_]
        again = v[open_] <= 0
        open_, key = open_[again], _taken(key, again)
    return x, v


def _evaluate(xp: Any, key0: Any, key1: Any, alpha: Any, *, log_space: bool) -> Any:
    shape = np.broadcast_shapes(key0.shape, key1.shape, alpha.shape)
    dtype = dtypes.compute_dtype(alpha.dtype)
    key = tuple([np.broadcast_to(k, shape).ravel() for k in (key0, key1)])
    given = np.broadcast_to(alpha, shape).ravel().astype(dtype)
    with np.errstate(all="ignore"):
        return _variates(key, given, log_space, dtype).reshape(shape).astype(alpha.dtype)  # type: ignore[arg-type]


def _variates(key: Key, given: np.ndarray, log_space: bool, dtype: np.dtype) -> np.ndarray:
    large = given >= 1
    valid = given > 0
    alpha = np.where(valid, np.where(large, given, given + 1), 1)
    d = alpha - dtype.type(1 / 3)
    c = dtype.type(1 / 3) / np.sqrt(d)
    key, subkey = _split(key, 2)
    cube = np.ones_like(alpha)
    open_ = np.arange(alpha.size)
    while open_.size:
        key, x_key, u_key = _split(key, 3)
        x, v = _cube_root(x_key, c[open_], dtype)
        square, v = x * x, v * v * v
        cube[open_] = v
        u = _unit(u_key, dtype)
        quick = u >= 1 - dtype.type(SQUEEZE) * (square * square)
        slow = np.log(u) >= square * dtype.type(0.5) + d[open_] * ((1 - v) + np.log(v))
        again = quick & slow
        open_, key = open_[again], _taken(key, again)
    rest = _unit(subkey, dtype)  # to the power 1 / alpha it makes a variate of alpha from one of alpha + 1
    if log_space:
        logs = np.log1p(-rest)
        boost = np.where(large | (logs == 0), 0, logs * (1 / given))
        result = np.log(d) + np.log(cube) + boost
    else:
        result = d * cube * np.where(large, 1, np.power(1 - rest, 1 / given))
    edge = np.where(given == 0, -np.inf if log_space else 0, np.nan)
    return np.where(valid, result, edge).astype(dtype)


def _jvp(primals: Sequence[Any], tangents: Sequence[Any], *, log_space: bool) -> tuple[Any, Any]:
    out = ops.apply("random_gamma", *primals, log_space=log_space)
    if tangents[2].__class__ is Zero:
        return out, Zero(type_of(out).tangent())
    shape, dtype = type_of(out).shape, type_of(out).dtype
    alpha = ops.broadcast_to(primals[2], shape)
    if log_space:
        # below the smallest number the slope of log(x) tends to that of a power: -log(x) / alpha
        floor = dtype.type(math.log(float(dtypes.finfo(dtype).tiny)))
        tiny = ops.le(out, floor)
        x = ops.exp(ops.select(tiny, ops.full_like(out, 0), out))
        slope = ops.div(ops.apply("random_gamma_grad", alpha, x), x)
        power = ops.div(ops.neg(out), alpha)
        slope = ops.select(tiny, power, slope)
    else:
        slope = ops.apply("random_gamma_grad", alpha, out)
    return out, ops.mul(ops.broadcast_to(tangents[2], shape), slope)


def _samples() -> Iterable[Sample]:
    def words(*shape: int):
        return lambda rng: rng.integers(0, 2**32, shape, dtype=np.uint32)

    for dtype in dtypes.FLOATS:
        for log_space in (False, True):
            operands = (words(3), words(3), draw_in(0.5, 3.0, 3, dtype=dtype))
            yield Sample(operands, {"log_space": log_space}, (), dtypes.name(dtype))
    for shape in ((), (2, 3), (0, 2)):
        yield Sample((words(*shape), words(*shape), draw_in(0.5, 3.0, *shape)), {"log_space": False}, ())


random_gamma_p = Primitive(
    name="random_gamma",
    type_rule=_type_rule,
    evaluate=_evaluate,
    jvp=_jvp,
    transpose=None,
    batch=batch_elementwise("random_gamma"),
    lower=library_call("random_gamma"),
    samples=_samples,
)

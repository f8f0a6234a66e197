"""Differences, slopes, integrals and interpolation of sampled functions; phases unwrapped."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from funcgrad import dtypes
from funcgrad.errors import ArgumentError, DTypeError, ShapeError, boundary
from funcgrad.numpy.creation import asarray
from funcgrad.numpy.elementwise import where
from funcgrad.numpy.indexing import get
from funcgrad.numpy.joining import concatenate
from funcgrad.numpy.manipulation import ravel
from funcgrad.numpy.reductions import canonical_axes
from funcgrad.promotion import cast, promote, promote_inexact
from funcgrad.trace import ops
from funcgrad.trace.core import type_of


def _axis(name: str, axis: int, x: Any) -> int:
    (number,) = canonical_axes(name, axis, x)
    return number


def _from(x: Any, axis: int, start: int, stop: int) -> Any:
    """The slices from `start` to `stop` (both may count from the end) along `axis`."""
    length = type_of(x).shape[axis]
    low, high, _ = slice(start, stop).indices(length)
    return ops.slice_in_dim(x, low, max(high, low), axis=axis)


def _after_less_before(x: Any, axis: int) -> Any:
    """Each element less the one before it; of booleans, whether they differ."""
    length = type_of(x).shape[axis]
    later, earlier = _from(x, axis, 1, length), _from(x, axis, 0, max(length - 1, 0))
    return ops.ne(later, earlier) if dtypes.is_bool(type_of(x).dtype) else ops.sub(later, earlier)


@boundary
def diff(a: Any, n: int = 1, axis: int = -1, prepend: Any = None, append: Any = None) -> Any:
    """The n-th differences along `axis`: each element less the one before it, n times over.

    `prepend` and `append` are put before and after `a` first; a scalar stands for one slice.
    Raises ArgumentError for a negative n and ShapeError for an `a` without axes.

    >>> import funcgrad.numpy as fnp
    >>> fnp.diff(fnp.array([1, 4, 9]))
    Array([3, 5], dtype=int64)
    """
    x = asarray(a)
    t = type_of(x)
    if not t.ndim:
        raise ShapeError(f"diff takes an array with an axis, got {t}")
    if n < 0:
        raise ArgumentError(f"diff of order {n}", hint="the order is 0 or more")
    if n == 0:
        return x
    number = _axis("diff", axis, x)
    parts = [x]
    for extra, place in ((prepend, 0), (append, len(parts) + 1)):
        if extra is not None:
            edge = asarray(extra)
            if not type_of(edge).ndim:
                shape = list(t.shape)
                shape[number] = 1
                edge = ops.broadcast_to(edge, shape)
            parts.insert(place, edge)
    x = concatenate(parts, number) if len(parts) > 1 else x
    for _ in range(n):
        x = _after_less_before(x, number)
    return x


@boundary
def ediff1d(ary: Any, to_end: Any = None, to_begin: Any = None) -> Any:
    """The differences of the flat array, between `to_begin` and `to_end`.

    Raises:
        DTypeError: what is no array or number.

    >>> import funcgrad.numpy as jnp
    >>> jnp.ediff1d(jnp.array([1, 4, 9])).tolist()
    [3, 5]
    """
    x = ravel(ary)
    dtype = type_of(x).dtype
    result = _after_less_before(x, 0)
    begin = [] if to_begin is None else [ops.convert(ravel(to_begin), dtype)]
    end = [] if to_end is None else [ops.convert(ravel(to_end), dtype)]
    return concatenate([*begin, result, *end]) if begin or end else result


def _slope(x: Any, step: Any, axis: int) -> Any:
    """Central differences inside, one-sided ones at both ends, of samples `step` apart."""
    length = type_of(x).shape[axis]
    first = ops.sub(_from(x, axis, 1, 2), _from(x, axis, 0, 1))
    last = ops.sub(_from(x, axis, -1, length), _from(x, axis, -2, -1))
    if type_of(step).ndim == 0:
        inner = ops.mul(ops.sub(_from(x, axis, 2, length), _from(x, axis, 0, -2)), 0.5)
        return ops.div(ops.concatenate([first, inner, last], axis), step)
    shape = [1] * type_of(x).ndim
    shape[axis] = length - 1
    gaps = ops.reshape(_after_less_before(step, 0), shape)
    full = type_of(x).shape

    def along(gap: Any) -> Any:
        lengths = list(full)
        lengths[axis] = type_of(gap).shape[axis]
        return ops.broadcast_to(gap, lengths)

    # the derivative, in the middle, of the parabola through three points
    before, after = along(_from(gaps, axis, 0, -1)), along(_from(gaps, axis, 1, length))
    both = ops.add(before, after)
    a = ops.neg(ops.div(after, ops.mul(before, both)))
    b = ops.div(ops.sub(after, before), ops.mul(before, after))
    c = ops.div(before, ops.mul(after, both))
    parts = [
        ops.mul(a, _from(x, axis, 0, -2)),
        ops.mul(b, _from(x, axis, 1, -1)),
        ops.mul(c, _from(x, axis, 2, length)),
    ]
    inner = ops.add(ops.add(parts[0], parts[1]), parts[2])
    first = ops.div(first, along(_from(gaps, axis, 0, 1)))
    last = ops.div(last, along(_from(gaps, axis, -1, length - 1)))
    return ops.concatenate([first, inner, last], axis)


@boundary
def gradient(
    f: Any, *varargs: Any, axis: int | Sequence[int] | None = None, edge_order: int | None = None
) -> Any:
    """The slopes of samples along each axis: central differences inside, one-sided ones at the ends.

    `varargs` are the distances of the samples: one for all axes, or for each axis a number or the samples'
    positions. Gives an array, or a list of them for several axes. Raises ShapeError for an axis of fewer than
    two samples.

    >>> import funcgrad.numpy as jnp
    >>> jnp.gradient(jnp.array([1.0, 4.0, 9.0])).tolist()
    [3.0, 4.0, 5.0]
    """
    if edge_order not in (None, 1):
        raise ArgumentError("gradient has one-sided differences of first order at the ends only")
    (x,) = promote_inexact("gradient", asarray(f))
    t = type_of(x)
    axes = canonical_axes("gradient", axis, x)
    if len(varargs) == 0:
        steps: list[Any] = [1.0] * len(axes)
    elif len(varargs) == 1:
        steps = [varargs[0]] * len(axes)
    elif len(varargs) == len(axes):
        steps = list(varargs)
    else:
        raise ArgumentError(f"gradient over {len(axes)} axes got {len(varargs)} distances")
    results = []
    for number, step in zip(axes, steps):
        if t.shape[number] < 2:
            raise ShapeError(f"gradient along axis {number} of {t} needs at least two samples")
        step = ops.convert(asarray(step), dtypes.real_of(t.dtype))
        if type_of(step).ndim and type_of(step).shape != (t.shape[number],):
            raise ShapeError(
                f"gradient along axis {number} of {t} with positions {type_of(step)}: lengths differ"
            )
        results.append(_slope(x, ops.convert(step, t.dtype), number))
    return results[0] if len(results) == 1 else results


@boundary
def trapezoid(y: Any, x: Any = None, dx: Any = 1.0, axis: int = -1) -> Any:
    """The integral of the samples `y` along `axis` by the trapezoidal rule; `x` are their positions.

    >>> import funcgrad.numpy as fnp
    >>> fnp.trapezoid(fnp.array([1.0, 2.0, 3.0]))
    Array(4., dtype=float32)
    """
    if x is None:
        y, dx = promote_inexact("trapezoid", asarray(y), asarray(dx))
        step = dx
        number = _axis("trapezoid", axis, y)
    else:
        y, x = promote_inexact("trapezoid", asarray(y), asarray(x))
        number = _axis("trapezoid", axis, y)
        if type_of(x).ndim == 1:
            step = _after_less_before(x, 0)
            shape = [1] * type_of(y).ndim
            shape[number] = type_of(step).size
            step = ops.reshape(step, shape)
        else:
            step = _after_less_before(x, _axis("trapezoid", axis, x))
    length = type_of(y).shape[number]
    heights = _from(y, number, 1, length) + _from(y, number, 0, max(length - 1, 0))
    return ops.mul(ops.reduce_sum(heights * step, (number,)), 0.5)


def _between(x: Any, xp: Any, fp: Any) -> tuple[Any, Any]:
    """The line through the samples at either side, and the position in 0..len(xp) where x belongs."""
    count = type_of(xp).size
    place = _count_below(xp, x)
    low = ops.sub(ops.max_(ops.min_(place, count - 1), 1), 1) if count > 1 else ops.mul(place, 0)
    high = ops.add(low, 1) if count > 1 else low
    x0, x1 = get(xp, low, "clip"), get(xp, high, "clip")
    y0, y1 = get(fp, low, "clip"), get(fp, high, "clip")
    width = ops.sub(x1, x0)
    flat = ops.eq(width, 0)
    dtype = type_of(y0).dtype
    share = ops.convert(ops.div(ops.sub(x, x0), ops.select(flat, ops.full_like(width, 1), width)), dtype)
    return ops.select(flat, y0, ops.add(y0, ops.mul(share, ops.sub(y1, y0)))), place


def _count_below(xp: Any, x: Any) -> Any:
    """How many of the ascending numbers `xp` are at most x, by bisection."""
    count = type_of(xp).size
    low = ops.full(type_of(x).shape, 0, dtypes.int64)
    size = 1 << max(count.bit_length() - 1, 0)
    while size:
        probe = ops.add(low, size)
        value = get(xp, ops.sub(ops.min_(probe, count), 1), "clip")
        fits = ops.and_(ops.le(probe, count), ops.le(value, x))
        low = ops.select(fits, probe, low)
        size //= 2
    return low


@boundary
def interp(x: Any, xp: Any, fp: Any, left: Any = None, right: Any = None, period: Any = None) -> Any:
    """Linear interpolation at `x` of the samples `fp` at the ascending positions `xp`.

    Below and above them `left` and `right` (fp[0] and fp[-1]; "extrapolate" goes on along the line), or
    periodically. Raises ShapeError for samples that are not two vectors of one length.

    >>> import funcgrad.numpy as fnp
    >>> fnp.interp(2.5, fnp.array([1.0, 2.0, 3.0]), fnp.array([3.0, 2.0, 0.0]))
    Array(1., dtype=float32)
    """
    x, xp = promote_inexact("interp", asarray(x), asarray(xp))
    (fp,) = promote_inexact("interp", asarray(fp))
    tp, tf = type_of(xp), type_of(fp)
    if tp.ndim != 1 or tp.shape != tf.shape or not tp.size:
        raise ShapeError(
            f"interp takes samples in two vectors of one length, got {tp} and {tf}",
            hint="call it as interp(x, xp, fp); for several curves vmap over fp",
        )
    if dtypes.is_complex(tp.dtype):
        raise DTypeError(f"interp takes positions that are real, got {tp}")
    x, xp = asarray(x), ops.convert(xp, type_of(x).dtype)
    if period is not None:
        return _periodic(x, xp, fp, period)
    inner, place = _between(x, xp, fp)
    dtype = type_of(inner).dtype
    if left != "extrapolate" if isinstance(left, str) else True:
        edge = get(fp, 0, "clip") if left is None else ops.convert(asarray(left), dtype)
        inner = where(ops.eq(place, 0), edge, inner)
    if right != "extrapolate" if isinstance(right, str) else True:
        edge = get(fp, tp.size - 1, "clip") if right is None else ops.convert(asarray(right), dtype)
        inner = where(ops.gt(x, get(xp, tp.size - 1, "clip")), edge, inner)
    return inner


def _periodic(x: Any, xp: Any, fp: Any, period: Any) -> Any:
    """Interpolation after wrapping the positions into one period; the samples then need not be ascending."""
    period = ops.abs_(ops.convert(asarray(period), type_of(x).dtype))
    x, xp = x % period, xp % period
    # rank of each position: how many are smaller, or equal and earlier
    size = type_of(xp).size
    rows, columns = xp[:, None], xp[None, :]
    earlier = np.tri(size, k=-1, dtype=bool)
    rank = ((columns < rows) | ((columns == rows) & earlier)).sum(axis=1)
    order = ops.reshape(ops.full((size,), 0, type_of(rank).dtype), (size,)).at[rank].set(np.arange(size))
    xp, fp = xp[order], fp[order]
    xp = concatenate([xp[-1:] - period, xp, xp[:1] + period])
    fp = concatenate([fp[-1:], fp, fp[:1]])
    return _between(x, xp, fp)[0]


@boundary
def unwrap(p: Any, discont: Any = None, axis: int = -1, period: Any = 2 * math.pi) -> Any:
    """Angles without jumps: multiples of `period` added so that neighbours differ by at most half of it.

    Raises:
        AxisError: an axis that there is not.

    >>> import funcgrad.numpy as jnp
    >>> jnp.unwrap(jnp.array([0.0, 6.0])).round(2)
    Array([ 0.  , -0.28], dtype=float32)
    """
    (x,) = promote("unwrap", asarray(p))
    if dtypes.is_complex(type_of(x).dtype):
        raise DTypeError(f"unwrap takes real numbers, got {type_of(x)}")
    if isinstance(period, float) or not dtypes.is_integer(type_of(x).dtype):
        (x,) = promote_inexact("unwrap", x)
    dtype = type_of(x).dtype
    number = _axis("unwrap", axis, x)
    whole = dtypes.is_integer(dtype)
    interval = cast(period, dtype)
    half = interval // 2 if whole else interval / 2
    step = _after_less_before(x, number)
    wrapped = (step + half) % interval - half
    wrapped = where((wrapped == -half) & (step > 0), half, wrapped)
    jump = wrapped - step
    limit = half if discont is None else cast(discont, dtype)
    jump = where(abs(step) < limit, 0, jump)
    length = type_of(x).shape[number]
    if length < 2:
        return x
    total = _running_sum(ops.convert(jump, dtype), number)
    return concatenate([_from(x, number, 0, 1), ops.add(_from(x, number, 1, length), total)], number)


def _running_sum(x: Any, axis: int) -> Any:
    """Sums of all elements up to each, by doubling distances."""
    length, distance = type_of(x).shape[axis], 1
    while distance < length:
        config = [(0, 0, 0)] * type_of(x).ndim
        config[axis] = (distance, -distance, 0)
        x = ops.add(x, ops.pad(x, 0, config))
        distance *= 2
    return x

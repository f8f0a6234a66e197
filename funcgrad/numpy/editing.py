"""Arrays with some elements replaced or left out, and bits packed into bytes.

NumPy's functions of these names change their first argument; here they give a new array and ask for
`inplace=False`, so that a program does not go on with the old one by mistake.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from funcgrad import dtypes
from funcgrad.errors import ArgumentError, DTypeError, ShapeError, boundary
from funcgrad.numpy.creation import asarray
from funcgrad.numpy.elementwise import clip
from funcgrad.numpy.joining import split
from funcgrad.numpy.manipulation import moveaxis
from funcgrad.numpy.reductions import canonical_axes
from funcgrad.promotion import broadcast_shapes, check_arrays, promote
from funcgrad.trace import ops
from funcgrad.trace.core import Tracer, type_of


def _check_not_in_place(name: str, inplace: bool) -> None:
    if inplace:
        raise ArgumentError(
            f"{name} cannot change its argument: arrays stay as they are",
            hint="pass inplace=False and use the result, or write x.at[index].set(values)",
        )


@boundary
def fill_diagonal(a: Any, val: Any, wrap: bool = False, *, inplace: bool = True) -> Any:
    """`a` with the main diagonal set to `val`, a number or a vector that is repeated; needs inplace=False."""
    _check_not_in_place("fill_diagonal", inplace)
    x, values = asarray(a), asarray(val)
    t = type_of(x)
    if wrap:
        raise ArgumentError("fill_diagonal does not wrap", hint="leave wrap out")
    if t.ndim < 2 or (t.ndim > 2 and len(set(t.shape)) != 1):
        raise ShapeError(f"fill_diagonal takes a matrix, or an array of axes of one length, got {t}")
    n = min(t.shape)
    values = ops.reshape(values, (type_of(values).size,))
    if type_of(values).size != 1:
        values = values[np.arange(n) % type_of(values).size]
    return x.at[(np.arange(n),) * t.ndim].set(values)


@boundary
def put_along_axis(
    arr: Any, indices: Any, values: Any, axis: int | None, inplace: bool = True, *, mode: str | None = None
) -> Any:
    """`arr` with, along `axis`, the elements at the positions `indices` set to `values`; needs inplace=False."""
    _check_not_in_place("put_along_axis", inplace)
    x, places, new = asarray(arr), asarray(indices), asarray(values)
    if axis is None:
        shape = type_of(x).shape
        flat = put_along_axis(x.ravel(), places.ravel(), new.ravel(), 0, False, mode=mode)
        return ops.reshape(flat, shape)
    t = type_of(x)
    if type_of(places).ndim != t.ndim:
        raise ShapeError(f"put_along_axis into {t} at {type_of(places)}: ranks differ")
    (number,) = canonical_axes("put_along_axis", axis, x)
    shape = list(broadcast_shapes(type_of(places).shape, type_of(new).shape))
    for d, n in enumerate(t.shape):
        if d != number:
            shape[d] = n
    places = ops.broadcast_to(places, shape)
    index = [np.arange(n).reshape([-1 if j == d else 1 for j in range(t.ndim)]) for d, n in enumerate(shape)]
    index[number] = places
    given = {} if mode is None else {"mode": mode}
    return x.at[tuple(index)].set(ops.broadcast_to(new, shape), **given)


@boundary
def place(arr: Any, mask: Any, vals: Any, *, inplace: bool = True) -> Any:
    """`arr` with the elements where `mask` set to `vals`, in order and repeated; needs inplace=False."""
    _check_not_in_place("place", inplace)
    x, chosen, new = asarray(arr), asarray(mask), asarray(vals).ravel()
    if type_of(chosen).size != type_of(x).size:
        raise ShapeError(f"place into {type_of(x)} with the mask {type_of(chosen)}: sizes differ")
    chosen = chosen.ravel() != 0
    if not type_of(new).size:
        raise ShapeError(f"place of no values into {type_of(x)}")
    rank = _count_before(chosen)
    values = ops.convert(new, type_of(x).dtype)[rank % type_of(new).size]
    return ops.reshape(ops.select(chosen, values, x.ravel()), type_of(x).shape)


def _count_before(chosen: Any) -> Any:
    """For each element of a boolean vector how many before it are true."""
    counts = ops.convert(chosen, dtypes.int64)
    distance = 1
    while distance < type_of(chosen).size:
        counts = ops.add(counts, ops.pad(counts, 0, [(distance, -distance, 0)]))
        distance *= 2
    return ops.sub(counts, ops.convert(chosen, dtypes.int64))


@boundary
def put(a: Any, ind: Any, v: Any, mode: str | None = None, *, inplace: bool = True) -> Any:
    """`a` with the elements at the positions `ind` of the flat array set to `v`; needs inplace=False.

    `v` is repeated to the length of `ind`. Positions out of bounds change nothing, and negative ones count from the
    end; with mode="wrap" they begin again, and with "clip" they mean the last (negative ones the first) element.
    """
    _check_not_in_place("put", inplace)
    x, places, new = asarray(a), asarray(ind).ravel(), asarray(v).ravel()
    t = type_of(x)
    if mode not in (None, "clip", "wrap"):
        raise ArgumentError(f"put has no mode {mode!r}", hint="use 'clip' or 'wrap', or leave it out")
    if not type_of(places).size:
        return x
    if mode is not None:
        places = places % t.size if mode == "wrap" else clip(places, 0, t.size - 1)
    new = new[np.arange(type_of(places).size) % type_of(new).size]
    return ops.reshape(x.ravel().at[places].set(new), t.shape)


@boundary
def choose(a: Any, choices: Any, out: None = None, mode: str = "raise") -> Any:
    """For each element the choice of that number: choices[a[i]][i], where all broadcast together.

    `mode` says what a number out of bounds does: "clip", "wrap", or "raise", for numbers that are known.
    """
    which = asarray(a)
    if not dtypes.is_integer(type_of(which).dtype):
        raise DTypeError(f"choose takes integers, got {type_of(which)}")
    options = promote("choose", *[asarray(c) for c in choices])
    count = len(options)
    if mode == "wrap":
        which = which % count
    elif mode == "clip":
        which = clip(which, 0, count - 1)
    elif mode == "raise":
        if isinstance(which, Tracer):
            which.concrete("choose with mode='raise'", "use mode='clip' or 'wrap'")
        if np.any((np.asarray(which) < 0) | (np.asarray(which) >= count)):
            raise ArgumentError(f"choose among {count} choices: a number is out of bounds")
    else:
        raise ArgumentError(f"choose has no mode {mode!r}", hint="use 'raise', 'clip' or 'wrap'")
    shape = broadcast_shapes(type_of(which).shape, *[type_of(c).shape for c in options])
    which = ops.broadcast_to(ops.convert(which, dtypes.int32), shape)
    return ops.apply("select_n", which, *[ops.broadcast_to(c, shape) for c in options])


@boundary
def trim_zeros(filt: Any, trim: str = "fb", axis: int | Sequence[int] | None = None) -> Any:
    """`filt`, which has to be known, without zeros at the front ("f"), the back ("b") or both."""
    x = asarray(filt)
    if isinstance(x, Tracer):
        x.concrete("trim_zeros, whose length depends on values,", "trim before jit")
    values = np.asarray(x)
    for number in canonical_axes("trim_zeros", axis, x):
        others = tuple(d for d in range(values.ndim) if d != number)
        used = np.flatnonzero(np.any(values != 0, axis=others))
        low, high = (int(used[0]), int(used[-1]) + 1) if used.size else (0, 0)
        low = low if "f" in trim.lower() or not used.size else 0
        high = high if "b" in trim.lower() or not used.size else values.shape[number]
        x = ops.slice_in_dim(x, low, high, axis=number)
    return x


def rollaxis(a: Any, axis: int, start: int = 0) -> Any:
    """`a` with `axis` moved to before the axis `start`."""
    rank = type_of(asarray(a)).ndim
    (number,) = canonical_axes("rollaxis", axis, asarray(a))
    if not -rank <= start <= rank:
        raise ArgumentError(f"rollaxis to before axis {start} of an array of {rank} axes")
    start += rank if start < 0 else 0
    return moveaxis(a, number, start - 1 if number < start else start)


def dsplit(ary: Any, indices_or_sections: Any) -> list[Any]:
    """`ary` split along its third axis."""
    return split(ary, indices_or_sections, 2)


@boundary
def packbits(a: Any, axis: int | None = None, bitorder: str = "big") -> Any:
    """Eight elements along `axis` (of the flat array by default) as the bits of one uint8; zeros fill up."""
    (t,) = check_arrays("packbits", asarray(a))
    if not (dtypes.is_integer(t.dtype) or dtypes.is_bool(t.dtype)):
        raise DTypeError(f"packbits takes integers or booleans, got {t}")
    weights = _bit_weights(bitorder)
    x = asarray(a) != 0
    x, axis = (x.ravel(), 0) if axis is None else (x, axis)
    (number,) = canonical_axes("packbits", axis, x)
    x = moveaxis(ops.convert(x, dtypes.uint8), number, -1)
    *lead, n = type_of(x).shape
    x = ops.pad(x, 0, [(0, 0, 0)] * len(lead) + [(0, -n % 8, 0)])
    groups = ops.reshape(x, (*lead, -(-n // 8), 8))
    packed = ops.reduce_sum(
        ops.mul(groups, ops.broadcast_to(weights, type_of(groups).shape)), (len(lead) + 1,)
    )
    return moveaxis(packed, -1, number)


@boundary
def unpackbits(a: Any, axis: int | None = None, count: int | None = None, bitorder: str = "big") -> Any:
    """The bits of uint8 numbers along `axis` (of the flat array by default), 0 or 1, the first `count` of them."""
    x = asarray(a)
    if type_of(x).dtype != dtypes.uint8:
        raise DTypeError(f"unpackbits takes uint8, got {type_of(x)}")
    weights = _bit_weights(bitorder)
    x, axis = (x.ravel(), 0) if axis is None else (x, axis)
    (number,) = canonical_axes("unpackbits", axis, x)
    x = moveaxis(x, number, -1)
    *lead, n = type_of(x).shape
    bits = ops.convert((x[..., None] & weights) != 0, dtypes.uint8)
    bits = ops.reshape(bits, (*lead, n * 8))
    if count is not None:
        if count > n * 8:
            bits = ops.pad(bits, 0, [(0, 0, 0)] * len(lead) + [(0, count - n * 8, 0)])
        else:
            bits = bits[..., :count]
    return moveaxis(bits, -1, number)


def _bit_weights(bitorder: str) -> np.ndarray:
    if bitorder not in ("big", "little"):
        raise ArgumentError(f"bitorder is 'big' or 'little', got {bitorder!r}")
    weights = (1 << np.arange(8)).astype(np.uint8)
    return weights if bitorder == "little" else weights[::-1].copy()

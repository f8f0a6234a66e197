"""Keys, random bits, and the distributions that one transform of them gives. Keeps no state."""

from __future__ import annotations

import functools
import math
import operator
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from funcgrad import dtypes
from funcgrad.array import array_of
from funcgrad.errors import ArgumentError, ConcretizationError, DTypeError, ShapeError, boundary
from funcgrad.jit import jit
from funcgrad.lax.indexing import take_along
from funcgrad.numpy.promotion import broadcast_shapes, cast, check_arrays
from funcgrad.numpy.sorting import searchsorted
from funcgrad.sharding import takes_out_sharding
from funcgrad.trace import ops
from funcgrad.trace.core import as_array, eager, type_of

Shape = int | Sequence[int]

_UNSIGNED = {8: dtypes.uint8, 16: dtypes.uint16, 32: dtypes.uint32, 64: dtypes.uint64}
_IMPLEMENTATIONS = (None, "threefry2x32")

# ------------------------------------------------------------------------------------------------ keys


@boundary
def PRNGKey(seed: Any, *, impl: str | None = None) -> Any:
    """The key of a seed: a uint32 array of shape (2,), the seed's upper and lower 32 bits.

    >>> import funcgrad as fg
    >>> fg.random.PRNGKey(42)
    Array([ 0, 42], dtype=uint32)
    """
    _check_implementation(impl)
    (t,) = check_arrays("random.key", seed)
    if t.shape or not dtypes.is_integer(t.dtype):
        raise DTypeError(
            f"a seed is an integer without axes, got {t}", hint="key(0), or vmap(key) over seeds"
        )
    if seed.__class__ is int:
        seed %= 2**64
        return array_of(np.array([seed >> 32, seed & 0xFFFFFFFF], np.uint32))
    low = ops.convert(seed, dtypes.uint32)
    if t.dtype.itemsize == 8:
        unsigned = ops.convert(seed, dtypes.uint64)
        high = ops.convert(ops.shift_right_logical(unsigned, np.uint64(32)), dtypes.uint32)
    else:
        high = np.uint32(0)
    return _stack(high, low)


key = PRNGKey


def key_dtype(impl: str | None = None) -> np.dtype:
    """The dtype of keys, which are arrays of two numbers: uint32.

    >>> import funcgrad as fg
    >>> fg.random.key_dtype()
    dtype('uint32')
    """
    _check_implementation(impl)
    return dtypes.uint32


def _check_implementation(impl: str | None) -> None:
    if impl not in _IMPLEMENTATIONS:
        raise ArgumentError(
            f"there is no generator {impl!r}", hint="leave impl out: the generator is 'threefry2x32'"
        )


def _stack(high: Any, low: Any) -> Any:
    """Two arrays side by side along a new last axis."""
    axis = type_of(low).ndim
    high = ops.broadcast_to(high, type_of(low).shape)
    return ops.concatenate([ops.expand_dims(x, (axis,)) for x in (high, low)], axis)


def _words(key: Any, function: str) -> tuple[Any, Any]:
    """The two words of a key."""
    if isinstance(key, tuple | list):
        raise ArgumentError(
            f"random.{function} takes a key before its other arguments, got {key!r:.80}",
            hint=f"write random.{function}(key, ...), where key = random.key(0)",
        )
    (t,) = check_arrays(f"random.{function}", key)
    if t.dtype != dtypes.uint32 or t.shape != (2,):
        hint = "make a key with random.key(seed)"
        if t.dtype == dtypes.uint32 and t.shape[-1:] == (2,):
            hint = "this is an array of keys: index one of them, or use vmap over keys"
        raise ArgumentError(f"random.{function} takes one key, of type u32[2], got {t}", hint=hint)
    return tuple([ops.reshape(ops.slice_in_dim(key, i, i + 1), ()) for i in range(2)])


def _counters(shape: tuple[int, ...]) -> tuple[Any, Any]:
    """The position of each element in row-major order, as its upper and its lower 32 bits."""
    size = math.prod(shape)
    if not shape:
        return np.uint32(0), np.uint32(0)
    if size <= 2**32:
        return np.uint32(0), ops.reshape(ops.iota(dtypes.uint32, (size,), 0), shape)
    position = ops.reshape(ops.iota(dtypes.uint64, (size,), 0), shape)
    high = ops.convert(ops.shift_right_logical(position, np.uint64(32)), dtypes.uint32)
    return high, ops.convert(position, dtypes.uint32)


key_watchers: list[Callable[[Any, str], None]] = []
"""Called with each key that is used up, and the name of the function that does it."""


def _cipher(key: Any, function: str, high: Any, low: Any, width: int) -> Any:
    if key_watchers and function != "fold_in":  # which is there to be called again and again
        for watcher in key_watchers:
            watcher(key, function)
    return ops.apply("threefry2x32", *_words(key, function), high, low, width=width)


def _halves(words: Any) -> Any:
    """64-bit words as pairs of 32-bit words, the upper one first."""
    high = ops.convert(ops.shift_right_logical(words, np.uint64(32)), dtypes.uint32)
    return _stack(high, ops.convert(words, dtypes.uint32))


def _split(key: Any, function: str, num: int = 2) -> list[Any]:
    """`num` new keys as a list."""
    keys = _halves(_cipher(key, function, *_counters((num,)), 64))
    return [ops.reshape(ops.slice_in_dim(keys, i, i + 1), (2,)) for i in range(num)]


@boundary
def split(key: Any, num: int | Sequence[int] = 2) -> Any:
    """New keys from one: an array of shape (num, 2), or (*num, 2). Do not use `key` again afterwards.

    >>> import funcgrad as fg
    >>> key, subkey = fg.random.split(fg.random.key(0))
    """
    return _halves(_cipher(key, "split", *_counters(_shape_of(num, "split")), 64))


@boundary
def fold_in(key: Any, data: Any) -> Any:
    """A new key from a key and an integer, such as the number of a step."""
    (t,) = check_arrays("random.fold_in", data)
    if t.shape or not dtypes.is_integer(t.dtype):
        raise DTypeError(f"fold_in takes an integer without axes, got {t}", hint="vmap over an array of them")
    low = np.uint32(data % 2**32) if data.__class__ is int else ops.convert(data, dtypes.uint32)
    return _halves(_cipher(key, "fold_in", np.uint32(0), low, 64))


def key_data(keys: Any) -> Any:
    """The uint32 array behind a key, which here is the key itself."""
    return keys


def wrap_key_data(key_bits_array: Any, *, impl: str | None = None) -> Any:
    """The key made of a uint32 array of shape (..., 2)."""
    _check_implementation(impl)
    return key_bits_array


def key_impl(keys: Any) -> str:
    """The name of the generator of a key."""
    return "threefry2x32"


def clone(key: Any) -> Any:
    """The same key, for programs that check that no key is used twice."""
    return key


# ------------------------------------------------------------------------------------- shapes and dtypes


def _shape_of(shape: Any, function: str) -> tuple[int, ...]:
    try:
        sizes = tuple(map(operator.index, shape if isinstance(shape, Sequence) else (shape,)))
    except ConcretizationError:
        raise
    except TypeError:
        raise ShapeError(
            f"random.{function}: {shape!r} is not a shape",
            hint=f"pass a tuple of ints; the key comes first: random.{function}(key, ...)",
        ) from None
    if any(n < 0 for n in sizes):
        raise ShapeError(f"random.{function}: shape {sizes} has a negative length")
    return sizes


def _broadcast_shape(shape: Any, function: str, *parameters: Any) -> tuple[int, ...]:
    """The shape of the result: as asked, or that of the parameters together."""
    types = check_arrays(f"random.{function}", *parameters)
    together = broadcast_shapes(*[t.shape for t in types])
    if shape is None:
        return together
    wanted = _shape_of(shape, function)
    if broadcast_shapes(wanted, together) != wanted:
        listed = ", ".join(map(str, types))
        raise ShapeError(
            f"random.{function} of shape {wanted} has parameters {listed}, which do not broadcast to it",
            hint="give a shape with the parameters' axes last, or leave shape out",
        )
    return wanted


def _float_dtype(dtype: Any, function: str) -> np.dtype:
    wanted = dtypes.default_float() if dtype is None else dtypes.as_dtype(dtype)
    if not dtypes.is_float(wanted):
        raise DTypeError(
            f"random.{function} draws floats, not {wanted.name}", hint="use dtype=float32 or float64"
        )
    return wanted


def _parameter(x: Any, shape: tuple[int, ...], dtype: np.dtype) -> Any:
    """A parameter of a distribution in the shape and dtype of the result; a scalar stays one."""
    x = cast(x, dtype)
    return x if not type_of(x).shape else ops.broadcast_to(x, shape)


# --------------------------------------------------------------------------------------- bits and numbers


LARGE = 1 << 19
"""Numbers from which on a draw outside of every transform is compiled: NumPy takes several milliseconds."""


def _compiled_where_large(draw: Callable[..., Any]) -> Callable[..., Any]:
    """`draw(key, function, ...)`, of which one of the others is the shape, compiled for large shapes."""
    compiled = jit(draw, static_argnums=(1, 2, 3))

    @functools.wraps(draw)
    def drawn(key: Any, function: str, *rest: Any) -> Any:
        size = next(math.prod(x) for x in rest if x.__class__ is tuple)
        large = size >= LARGE and eager() and not key_watchers
        return (compiled if large else draw)(key, function, *rest)

    return drawn


@_compiled_where_large
def _bits(key: Any, function: str, width: int, shape: tuple[int, ...]) -> Any:
    words = _cipher(key, function, *_counters(shape), 64 if width == 64 else 32)
    return words if width >= 32 else ops.convert(words, _UNSIGNED[width])


@takes_out_sharding
def bits(key: Any, shape: Shape = (), dtype: Any = None) -> Any:
    """Uniform random bits as unsigned integers, of 32 bits by default."""
    wanted = dtypes.uint32 if dtype is None else dtypes.as_dtype(dtype)
    if wanted not in dtypes.UNSIGNED:
        raise DTypeError(f"random.bits gives unsigned integers, not {wanted.name}", hint="dtype='uint32'")
    return _bits(key, "bits", wanted.itemsize * 8, _shape_of(shape, "bits"))


@_compiled_where_large
def _unit(key: Any, function: str, shape: tuple[int, ...], dtype: np.dtype) -> Any:
    """Uniform on [0, 1): random bits as the mantissa of a number in [1, 2), less 1."""
    width, mantissa = dtype.itemsize * 8, int(dtypes.finfo(dtype).nmant)
    drawn = 8 if mantissa < 8 else width
    unsigned = _UNSIGNED[width]
    words = ops.convert(_bits(key, function, drawn, shape), unsigned)
    one = np.ones((), dtype)
    words = ops.or_(ops.shift_right_logical(words, unsigned.type(drawn - mantissa)), one.view(unsigned)[()])
    return ops.sub(ops.apply("bitcast_convert_type", words, new_dtype=dtype), one[()])


def _uniform(
    key: Any, function: str, shape: tuple[int, ...], dtype: np.dtype, minval: Any, maxval: Any
) -> Any:
    unit = _unit(key, function, shape, dtype)
    if minval.__class__ in (int, float) and maxval.__class__ in (int, float) and (minval, maxval) == (0, 1):
        return unit
    low, high = _parameter(minval, shape, dtype), _parameter(maxval, shape, dtype)
    return ops.max_(low, ops.add(ops.mul(unit, _spread(high, low, shape)), low))


def _spread(high: Any, low: Any, shape: tuple[int, ...]) -> Any:
    if isinstance(high, np.generic) and isinstance(low, np.generic):
        return high.dtype.type(high - low)
    return ops.sub(high, low)


@takes_out_sharding
def uniform(key: Any, shape: Shape = (), dtype: Any = None, minval: Any = 0.0, maxval: Any = 1.0) -> Any:
    """Uniform numbers from `minval` (included) to `maxval` (excluded), which broadcast to `shape`.

    >>> import funcgrad as fg
    >>> fg.random.uniform(fg.random.key(0), (2,))
    Array([0.947667 , 0.9785799], dtype=float32)
    """
    dtype, sizes = _float_dtype(dtype, "uniform"), _broadcast_shape(shape, "uniform", minval, maxval)
    return _uniform(key, "uniform", sizes, dtype, minval, maxval)


@_compiled_where_large
def _normal(key: Any, function: str, shape: tuple[int, ...], dtype: np.dtype) -> Any:
    low = np.nextafter(dtype.type(-1), dtype.type(0)).astype(dtype)
    u = _uniform(key, function, shape, dtype, low, dtype.type(1))
    return ops.mul(ops.erf_inv(u), dtype.type(math.sqrt(2)))


@takes_out_sharding
def normal(key: Any, shape: Shape = (), dtype: Any = None) -> Any:
    """Standard normal numbers; of a complex dtype, with E|z|^2 = 1.

    >>> import funcgrad as fg
    >>> fg.random.normal(fg.random.key(0), (2,))
    Array([1.622642 , 2.0252647], dtype=float32)
    """
    wanted = dtypes.default_float() if dtype is None else dtypes.as_dtype(dtype)
    sizes = _shape_of(shape, "normal")
    if dtypes.is_complex(wanted):
        real = dtypes.real_of(wanted)
        parts = [_normal(k, "normal", sizes, real) for k in _split(key, "normal")]
        return ops.div(ops.complex_(*parts), wanted.type(math.sqrt(2)))
    return _normal(key, "normal", sizes, _float_dtype(wanted, "normal"))


@takes_out_sharding
def truncated_normal(key: Any, lower: Any, upper: Any, shape: Shape | None = None, dtype: Any = None) -> Any:
    """Standard normal numbers on condition that they lie between `lower` and `upper`."""
    dtype, sizes = (
        _float_dtype(dtype, "truncated_normal"),
        _broadcast_shape(shape, "truncated_normal", lower, upper),
    )
    lower, upper = _parameter(lower, sizes, dtype), _parameter(upper, sizes, dtype)
    root = dtype.type(math.sqrt(2))
    u = _uniform(
        key,
        "truncated_normal",
        sizes,
        dtype,
        ops.erf(ops.div(lower, root)),
        ops.erf(ops.div(upper, root)),
    )
    out = ops.mul(ops.erf_inv(u), root)
    inside = (
        ops.nextafter(_constant(lower), dtype.type(np.inf)),
        ops.nextafter(_constant(upper), dtype.type(-np.inf)),
    )
    return ops.min_(ops.max_(out, inside[0]), inside[1])


def _constant(x: Any) -> Any:
    return x if isinstance(x, np.generic) else ops.apply("stop_gradient", x)


@takes_out_sharding
def randint(key: Any, shape: Shape, minval: Any, maxval: Any, dtype: Any = int) -> Any:
    """Integers from `minval` (included) to `maxval` (excluded), which broadcast to `shape`.

    >>> import funcgrad as fg
    >>> fg.random.randint(fg.random.key(0), (3,), 0, 10)
    Array([9, 0, 2], dtype=int64)
    """
    sizes = _broadcast_shape(shape, "randint", minval, maxval)
    wanted = dtypes.default_int() if dtype is None else dtypes.as_dtype(dtype)
    if not dtypes.is_integer(wanted):
        raise DTypeError(f"randint draws integers, not {wanted.name}", hint="use random.uniform for floats")
    drawn = wanted
    if dtype is int or dtype is None:
        drawn = _default_draw(minval, maxval)
    elif wanted.itemsize < 4:  # in 32 bits, where the bias of the remainder is small
        info, drawn = dtypes.iinfo(wanted), dtypes.int32
        minval, maxval = _limited(minval, info.min, info.max), _limited(maxval, info.min, info.max + 1)
    return ops.convert(_randint(key, sizes, minval, maxval, drawn), wanted)


def _default_draw(minval: Any, maxval: Any) -> np.dtype:
    """The dtype to draw in where the caller named none."""
    if dtypes.default_float() == dtypes.float64 or dtypes.default_int() == dtypes.int32:
        return dtypes.default_int()
    fits = all(not isinstance(x, int) or -(2**31) <= x <= 2**31 for x in (minval, maxval))
    return dtypes.int32 if fits else dtypes.int64


def _limited(x: Any, low: int, high: int) -> Any:
    """An integer bound within low..high, as int32."""
    if isinstance(x, int | np.integer):
        return min(max(int(x), low), high)
    x = ops.convert(x, dtypes.int32)
    return ops.min_(ops.max_(x, low), high)


def _bound(x: Any, shape: tuple[int, ...], dtype: np.dtype) -> tuple[Any, Any]:
    """A bound of randint within the limits of `dtype`, and whether it was above them (None: it cannot be)."""
    info = dtypes.iinfo(dtype)
    if isinstance(x, int | np.integer):
        return dtype.type(min(max(int(x), info.min), info.max)), np.bool_(int(x) > info.max)
    if not dtypes.is_integer(type_of(x).dtype):
        x = ops.convert(x, dtypes.default_int())
    own = type_of(x).dtype
    limits = dtypes.iinfo(own)
    above = None
    if limits.max > info.max:
        above = _parameter(ops.gt(x, own.type(info.max)), shape, dtypes.bool_)
        x = ops.min_(x, own.type(info.max))
    if limits.min < info.min:
        x = ops.max_(x, own.type(info.min))
    return _parameter(x, shape, dtype), above


def _randint(key: Any, shape: tuple[int, ...], minval: Any, maxval: Any, dtype: np.dtype) -> Any:
    width = dtype.itemsize * 8
    unsigned = _UNSIGNED[width]
    (low, _), (high, above) = _bound(minval, shape, dtype), _bound(maxval, shape, dtype)
    first, second = _split(key, "randint")
    higher, lower = _bits(first, "randint", width, shape), _bits(second, "randint", width, shape)

    one = unsigned.type(1)
    span = ops.convert(ops.sub(high, low), unsigned)
    empty = ops.le(high, low)
    if above is not None:
        extra = ops.convert(ops.and_(above, ops.not_(empty)), unsigned)
        span = ops.add(span, extra)
    span = ops.select(empty, *ops.same_dtype(_like(span, one), span))
    # x mod span of a number of twice the width, from its two halves
    factor = ops.rem(unsigned.type(2 ** (width // 2)), span)
    factor = ops.rem(ops.mul(factor, factor), span)
    offset = ops.rem(ops.add(ops.mul(ops.rem(higher, span), factor), ops.rem(lower, span)), span)
    return ops.add(low, ops.convert(offset, dtype))


def _like(x: Any, value: Any) -> Any:
    """`value` in the shape of `x`."""
    return ops.broadcast_to(value, type_of(x).shape)


@takes_out_sharding
def bernoulli(key: Any, p: Any = 0.5, shape: Shape | None = None, mode: str = "low") -> Any:
    """True with probability `p`. `mode="high"` also resolves probabilities below 2**-24.

    >>> import funcgrad as fg
    >>> fg.random.bernoulli(fg.random.key(0), 0.5, (3,))
    Array([False, False,  True], dtype=bool)
    """
    if mode not in ("low", "high"):
        raise ArgumentError(f"bernoulli has the modes 'low' and 'high', not {mode!r}")
    sizes = _broadcast_shape(shape, "bernoulli", p)
    dtype = type_of(p).dtype
    if not dtypes.is_float(dtype):
        raise DTypeError(
            f"random.bernoulli takes a float probability, got {type_of(p)}",
            hint="convert it: p.astype(float)",
        )
    p = _parameter(p, sizes, dtype)
    if mode == "low":
        return ops.lt(_unit(key, "bernoulli", sizes, dtype), p)
    u = _unit(key, "bernoulli", (2, *sizes), dtype)
    coarse, fine = [ops.reshape(ops.slice_in_dim(u, i, i + 1), sizes) for i in range(2)]
    return ops.lt(ops.mul(fine, dtype.type(2.0 ** -dtypes.finfo(dtype).nmant)), ops.sub(p, coarse))


# -------------------------------------------------------------------------------------------- continuous


def _simple(
    name: str, doc: str, low: Callable[[Any], Any], transform: Callable[[Any, np.dtype], Any]
) -> Callable[..., Any]:
    """A distribution without parameters: a transform of a uniform number above `low(finfo)`."""

    @takes_out_sharding
    def draw(key: Any, shape: Shape = (), dtype: Any = None) -> Any:
        wanted, sizes = _float_dtype(dtype, name), _shape_of(shape, name)
        minval = low(dtypes.finfo(wanted))
        minval = minval if minval == 0 else wanted.type(minval)
        maxval = 1 if minval.__class__ is int else wanted.type(1)
        return transform(_uniform(key, name, sizes, wanted, minval, maxval), wanted)

    draw.__name__ = draw.__qualname__ = name
    draw.__doc__ = doc
    return draw


def _minus_log1p_minus(u: Any) -> Any:
    return ops.neg(ops.log1p(ops.neg(u)))


exponential = _simple(
    "exponential", "Exponential numbers of mean 1.", lambda info: 0, lambda u, _: _minus_log1p_minus(u)
)
cauchy = _simple(
    "cauchy",
    "Standard Cauchy numbers.",
    lambda info: info.eps,
    lambda u, dtype: ops.tan(ops.mul(ops.sub(u, dtype.type(0.5)), dtype.type(math.pi))),
)
laplace = _simple(
    "laplace",
    "Standard Laplace numbers: exponential ones with a random sign.",
    lambda info: -1.0 + float(info.epsneg),
    lambda u, _: ops.mul(ops.sign(u), ops.log1p(ops.neg(ops.abs_(u)))),
)
logistic = _simple(
    "logistic",
    "Standard logistic numbers.",
    lambda info: info.tiny,
    lambda u, _: ops.sub(ops.log(u), ops.log1p(ops.neg(u))),
)


@takes_out_sharding
def gumbel(key: Any, shape: Shape = (), dtype: Any = None, mode: str | None = None) -> Any:
    """Standard Gumbel numbers. `mode="high"` resolves the upper tail better, at twice the bits."""
    dtype, sizes = _float_dtype(dtype, "gumbel"), _shape_of(shape, "gumbel")
    return _gumbel(key, "gumbel", sizes, dtype, mode)


def _gumbel(key: Any, function: str, shape: tuple[int, ...], dtype: np.dtype, mode: str | None) -> Any:
    info = dtypes.finfo(dtype)
    if mode in (None, "low"):
        u = _uniform(key, function, shape, dtype, dtype.type(info.tiny), dtype.type(1))
        return ops.neg(ops.log(ops.neg(ops.log(u))))
    if mode != "high":
        raise ArgumentError(f"{function} has the modes 'low' and 'high', not {mode!r}")
    u = _unit(key, function, (2, *shape), dtype)
    coarse, fine = [ops.reshape(ops.slice_in_dim(u, i, i + 1), shape) for i in range(2)]
    small = ops.add(ops.add(coarse, ops.mul(fine, dtype.type(2.0**-info.nmant))), dtype.type(info.tiny))
    x = ops.select(ops.ge(coarse, dtype.type(0.5)), coarse, small)
    return ops.neg(ops.log(_minus_log1p_minus(x)))


@takes_out_sharding
def categorical(
    key: Any,
    logits: Any,
    axis: int = -1,
    shape: Shape | None = None,
    replace: bool = True,
    mode: str | None = None,
) -> Any:
    """Indices along `axis` drawn with probability softmax(logits); by the Gumbel-max trick.

    The result has the axes of `logits` without `axis`; `shape` may put more axes before them. Without `replace`,
    the draws along those are all different.
    """
    (t,) = check_arrays("random.categorical", logits)
    dtype = _float_dtype(t.dtype if dtypes.is_inexact(t.dtype) else None, "categorical")
    if not -t.ndim <= axis < t.ndim:
        raise ArgumentError(
            f"categorical over axis {axis} of logits of type {t}",
            hint=f"use an axis from {-t.ndim} to {t.ndim - 1}" if t.ndim else "give logits an axis",
        )
    axis %= t.ndim
    batch = t.shape[:axis] + t.shape[axis + 1 :]
    sizes = batch if shape is None else _shape_of(shape, "categorical")
    ends = sizes[len(sizes) - len(batch) :]
    if len(sizes) < len(batch) or any(own not in (1, n) for own, n in zip(batch, ends)):
        raise ShapeError(
            f"categorical of shape {sizes} has to end in the shape {batch} of the distributions in logits {t}",
            hint=f"for n draws from each: shape=(n, {', '.join(map(str, batch))})"
            if batch
            else "leave shape out",
        )
    before = len(sizes) - len(batch)
    if not replace:
        return _without_replacement(key, logits, axis, sizes, before, dtype, mode)
    full = (*sizes[: before + axis], t.shape[axis], *sizes[before + axis :])
    noise = _gumbel(key, "categorical", full, dtype, mode)
    total = ops.add(noise, ops.broadcast_to(cast(logits, dtype), full))
    return ops.argmax(total, before + axis, dtypes.default_int())


def _without_replacement(
    key: Any, logits: Any, axis: int, sizes: tuple[int, ...], before: int, dtype: np.dtype, mode: str | None
) -> Any:
    """For each distribution as many different indices as `sizes` has before the distributions' own axes: those of
    the largest perturbed logits, in that order."""
    t = type_of(logits)
    draws = math.prod(sizes[:before])
    if draws > t.shape[axis]:
        raise ArgumentError(
            f"categorical: {draws} draws without replacement out of {t.shape[axis]} categories",
            hint="use replace=True, or draw fewer",
        )
    total = ops.add(_gumbel(key, "categorical", t.shape, dtype, mode), cast(logits, dtype))
    _, index = ops.apply("top_k", ops.moveaxis(total, axis, t.ndim - 1), k=draws)
    return ops.convert(ops.reshape(ops.moveaxis(index, t.ndim - 1, 0), sizes), dtypes.default_int())


@takes_out_sharding
def rademacher(key: Any, shape: Shape = (), dtype: Any = None) -> Any:
    """-1 or 1, each with probability one half."""
    wanted = dtypes.default_int() if dtype is None else dtypes.as_dtype(dtype)
    heads = ops.lt(_unit(key, "rademacher", _shape_of(shape, "rademacher"), dtypes.default_float()), 0.5)
    return ops.sub(ops.mul(ops.convert(heads, wanted), 2), 1)


@takes_out_sharding
def pareto(key: Any, b: Any, shape: Shape | None = None, dtype: Any = None) -> Any:
    """Pareto numbers of shape parameter `b`, 1 or more."""
    dtype, sizes = _float_dtype(dtype, "pareto"), _broadcast_shape(shape, "pareto", b)
    e = _minus_log1p_minus(_unit(key, "pareto", sizes, dtype))
    return ops.exp(ops.div(e, _parameter(b, sizes, dtype)))


@takes_out_sharding
def rayleigh(key: Any, scale: Any, shape: Shape | None = None, dtype: Any = None) -> Any:
    """Rayleigh numbers: the length of a vector of two normal numbers of deviation `scale`."""
    dtype, sizes = _float_dtype(dtype, "rayleigh"), _broadcast_shape(shape, "rayleigh", scale)
    u = _unit(key, "rayleigh", sizes, dtype)
    return ops.mul(ops.sqrt(ops.mul(ops.log(u), dtype.type(-2))), _parameter(scale, sizes, dtype))


@boundary
def weibull_min(key: Any, scale: Any, concentration: Any, shape: Shape = (), dtype: Any = None) -> Any:
    """Weibull numbers."""
    dtype, sizes = (
        _float_dtype(dtype, "weibull_min"),
        _broadcast_shape(shape, "weibull_min", scale, concentration),
    )
    power = ops.div(dtype.type(1), _parameter(concentration, sizes, dtype))
    base = _minus_log1p_minus(_unit(key, "weibull_min", sizes, dtype))
    return ops.mul(ops.pow_(base, power), _parameter(scale, sizes, dtype))


@takes_out_sharding
def lognormal(key: Any, sigma: Any = 1.0, shape: Shape | None = None, dtype: Any = None) -> Any:
    """exp of normal numbers of deviation `sigma`."""
    dtype, sizes = _float_dtype(dtype, "lognormal"), _broadcast_shape(shape, "lognormal", sigma)
    return ops.exp(ops.mul(_normal(key, "lognormal", sizes, dtype), _parameter(sigma, sizes, dtype)))


@takes_out_sharding
def maxwell(key: Any, shape: Shape = (), dtype: Any = None) -> Any:
    """Maxwell numbers: the length of a vector of three standard normal numbers."""
    dtype, sizes = _float_dtype(dtype, "maxwell"), _shape_of(shape, "maxwell")
    vector = _normal(key, "maxwell", (*sizes, 3), dtype)
    return ops.sqrt(ops.reduce_sum(ops.square(vector), (len(sizes),)))


@takes_out_sharding
def geometric(key: Any, p: Any, shape: Shape | None = None, dtype: Any = int) -> Any:
    """The number of trials up to the first success of probability `p`: 1 or more."""
    sizes, wanted = _broadcast_shape(shape, "geometric", p), dtypes.as_dtype(dtype)
    dtype = type_of(p).dtype if dtypes.is_float(type_of(p).dtype) else dtypes.default_float()
    u = _unit(key, "geometric", sizes, dtype)
    u = ops.select(ops.eq(u, dtype.type(0)), _like(u, dtype.type(1)), u)
    failure = ops.log1p(ops.neg(_parameter(p, sizes, dtype)))
    return ops.convert(ops.add(ops.floor(ops.div(ops.log(u), failure)), dtype.type(1)), wanted)


def _shuffled(key: Any, function: str, x: Any, axis: int) -> Any:
    """The lines of `x` along `axis`, each in an order of its own: sorted by random keys, so often that equal keys do
    not matter."""
    shape = type_of(x).shape
    rounds = math.ceil(3 * math.log(max(1, math.prod(shape))) / math.log(2**32 - 1))
    for _ in range(rounds):
        key, subkey = _split(key, function)
        keys = _bits(subkey, function, 32, shape)
        _, x = ops.apply("sort", keys, x, dimension=axis, is_stable=True, num_keys=1)
    return x


def _permutation(key: Any, function: str, x: Any, axis: int, independent: bool) -> Any:
    """`x` with its lines along `axis` in random order; of an integer, the numbers below it."""
    (t,) = check_arrays(f"random.{function}", x)
    if not t.ndim:
        if not dtypes.is_integer(t.dtype):
            raise DTypeError(f"random.{function} takes an array or a number of elements, got {t}")
        return _shuffled(key, function, ops.iota(dtypes.default_int(), (operator.index(x),), 0), 0)
    if not -t.ndim <= axis < t.ndim:
        raise ArgumentError(f"random.{function} along axis {axis} of {t}")
    axis %= t.ndim
    if t.ndim == 1 or independent:
        return _shuffled(key, function, as_array(x), axis)
    order = _shuffled(key, function, ops.iota(dtypes.default_int(), (t.shape[axis],), 0), 0)
    return take_along(x, order, axis)


@takes_out_sharding
def permutation(key: Any, x: Any, axis: int = 0, independent: bool = False) -> Any:
    """`x` in random order along `axis`; of an integer, the numbers below it in random order.

    With `independent`, each line along `axis` has an order of its own.

    >>> import funcgrad as fg
    >>> fg.random.permutation(fg.random.key(0), 5).shape
    (5,)
    """
    return _permutation(key, "permutation", x, axis, independent)


@boundary
def choice(
    key: Any,
    a: Any,
    shape: Shape = (),
    replace: bool = True,
    p: Any = None,
    axis: int = 0,
    mode: str | None = None,
) -> Any:
    """Elements of `a` along `axis` (or integers below `a`), with or without replacement.

    Args:
        shape: of the draws, which stands in the result where `axis` was.
        replace: whether an element may be drawn more than once.
        p: the probabilities, a vector along `axis`; equal ones by default.

    Raises:
        ArgumentError: more draws than elements without replacement; probabilities of another length.
    """
    (t,) = check_arrays("random.choice", a)
    sizes = _shape_of(shape, "choice")
    if t.ndim and not -t.ndim <= axis < t.ndim:
        raise ArgumentError(f"choice along axis {axis} of {t}")
    axis = axis % t.ndim if t.ndim else 0
    count = t.shape[axis] if t.ndim else operator.index(a)
    draws = math.prod(sizes)
    if count <= 0 and draws:
        raise ArgumentError(f"choice from {count} elements", hint="a has to have at least one")
    if not replace and draws > count:
        raise ArgumentError(
            f"choice of {draws} out of {count} elements without replacement",
            hint="use replace=True, or draw fewer",
        )
    integer = dtypes.default_int()
    if p is None and not replace:
        chosen = _permutation(key, "choice", a if t.ndim else count, axis, False)
        chosen = ops.slice_in_dim(chosen, 0, draws, axis=axis)
        return ops.reshape(chosen, (*t.shape[:axis], *sizes, *t.shape[axis + 1 :]) if t.ndim else sizes)
    if p is None:
        index = _randint(key, sizes, 0, count, _default_draw(0, count))
    else:
        index = _weighted(key, p, sizes, count, replace, mode)
    if not t.ndim:
        return ops.convert(index, integer)
    return take_along(a, index, axis)


def _weighted(key: Any, p: Any, sizes: tuple[int, ...], count: int, replace: bool, mode: str | None) -> Any:
    """Positions drawn with probabilities `p`."""
    (t,) = check_arrays("random.choice", p)
    if t.shape != (count,):
        raise ArgumentError(
            f"choice from {count} elements takes p of shape ({count},), got {t}",
            hint="give one probability for each element",
        )
    if dtypes.is_complex(t.dtype):
        raise DTypeError(f"probabilities are floats, got {t}")
    if not dtypes.is_float(t.dtype):
        p = cast(p, dtypes.default_float())
        t = type_of(p)
    if replace:
        total = ops.apply("cumsum", as_array(p), axis=0, reverse=False)
        whole = ops.reshape(ops.slice_in_dim(total, count - 1, count), ())
        drawn = ops.mul(whole, ops.sub(1, _unit(key, "choice", sizes, t.dtype)))
        return searchsorted(total, drawn)
    scores = ops.add(_gumbel(key, "choice", (count,), t.dtype, mode), ops.log(p))
    _, index = ops.apply("top_k", scores, k=math.prod(sizes))
    return ops.reshape(index, sizes)

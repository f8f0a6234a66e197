"""Making arrays: from data, filled, ranges, and matrices of simple structure."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from funcgrad import dtypes, tree
from funcgrad.array import Array, ArrayMethods
from funcgrad.errors import ArgumentError, DTypeError, ShapeError, boundary
from funcgrad.ir.types import array_type
from funcgrad.promotion import cast, result_dtype
from funcgrad.trace import ops
from funcgrad.trace.core import WEAK_SCALARS, Tracer, is_operand, numpy_of, scalar_kind, type_of

Shape = int | Sequence[int]


def lengths_of(shape: Any) -> tuple[Any, ...]:
    """The lengths in a shape, which may be one number, and may be traced."""
    if isinstance(shape, list | tuple):
        return tuple(shape)
    several = shape.ndim > 0 if isinstance(shape, Tracer) else np.ndim(shape) > 0
    return tuple(shape) if several else (shape,)


def canonical_shape(shape: Any) -> tuple[int, ...]:
    """A shape as a tuple of Python ints; errors for negative or non-integer lengths."""
    try:
        result = tuple([operator.index(n) for n in lengths_of(shape)])
    except TypeError as error:
        if isinstance(error, DTypeError) or type(error).__module__.startswith("funcgrad"):
            raise
        raise ArgumentError(
            f"a shape is made of integers, got {shape!r:.80}",
            hint="use // in place of /, or int(...), for lengths",
        ) from None
    if any(n < 0 for n in result):
        raise ArgumentError(
            f"a shape has no negative lengths, got {result}",
            hint="lengths are not negative here; -1, for the length that is left, is for reshape",
        )
    return result


def check_device(device: Any) -> None:
    """Raise ArgumentError where `device` is no device of this machine."""
    if device not in (None, "cpu"):
        raise ArgumentError(f"there is no device {device!r}", hint="the devices are: 'cpu'")


@boundary
def array(
    object: Any, dtype: Any = None, copy: bool = True, order: str = "K", ndmin: int = 0, *, device: Any = None
) -> Array:
    """An array of the given data: numbers, nested lists of numbers or arrays, NumPy arrays, traced values.

    Python floats become the default float (float32), ints the default int (int64); NumPy data keeps its dtype. As in
    JAX, a single Python number stays *weak*: it takes the dtype of what it is combined with.

    >>> import funcgrad.numpy as fnp
    >>> fnp.array([1.0, 2.0])
    Array([1., 2.], dtype=float32)
    """
    check_device(device)
    result = _array(object, None if dtype is None else dtypes.as_dtype(dtype), copy)
    missing = ndmin - type_of(result).ndim
    return ops.reshape(result, (1,) * missing + type_of(result).shape) if missing > 0 else result


def _array(value: Any, dtype: np.dtype | None, copy: bool) -> Any:
    if isinstance(value, ArrayMethods):
        t = type_of(value)
        converted = value if dtype is None else ops.convert(value, dtype)
        if copy and converted is value and value.__class__ is Array:
            return Array(value._data, t)  # the same memory, since arrays never change
        return converted
    kind = scalar_kind(value)
    if kind is not None:
        wanted = dtype or dtypes.of_python_scalar(kind)
        weak = dtype is None and not dtypes.is_bool(wanted)
        return Array(np.asarray(_number(value, wanted)), array_type((), wanted, weak))
    if isinstance(value, list | tuple | range):
        return _from_sequence(value, dtype)
    if not is_operand(value):
        try:
            value = memoryview(value)
        except TypeError:
            raise DTypeError(
                f"{value!r:.80} of type {type(value).__name__} cannot become an array",
                hint="pass numbers, nested lists of numbers, or arrays",
            ) from None
    data = numpy_of(value)
    wanted = dtype if dtype is not None else dtypes.as_dtype(data.dtype)
    weak = dtype is None and type(value) in WEAK_SCALARS
    return Array(data.astype(wanted, order="C", copy=True), array_type(data.shape, wanted, weak))


def _number(value: Any, dtype: np.dtype) -> Any:
    if isinstance(value, int) and dtypes.is_integer(dtype):
        info = np.iinfo(dtype)
        if not info.min <= value <= info.max:
            raise OverflowError(f"Python integer {value} does not fit into {dtype.name}")
    return np.asarray(value).astype(dtype)


def _from_sequence(value: Any, dtype: np.dtype | None) -> Any:
    leaves = tree.leaves(value)
    if any(isinstance(x, range) for x in leaves):
        numbers = lambda r: np.arange(r.start, r.stop, r.step, dtypes.default_int())  # noqa: E731
        return _from_sequence(tree.map(lambda x: numbers(x) if isinstance(x, range) else x, value), dtype)
    if any(isinstance(x, ArrayMethods) for x in leaves):
        if any(isinstance(x, Tracer) for x in leaves):
            parts = [_array(v, dtype, False) for v in value]
            common, _ = result_dtype(*[type_of(p) for p in parts])
            shapes = {type_of(p).shape for p in parts}
            if len(shapes) > 1:
                raise ArgumentError(
                    f"rows of different shapes make no array: {sorted(shapes)}",
                    hint="pad the rows to one shape, or keep a list of arrays",
                )
            return ops.concatenate([ops.expand_dims(cast(p, common), (0,)) for p in parts], 0)
        value = tree.map(lambda x: np.asarray(x) if isinstance(x, ArrayMethods) else x, value)
    try:
        data = np.array(value)
    except ValueError:
        raise ArgumentError(
            f"a ragged list, whose rows differ in length, makes no array: {value!r:.80}",
            hint="pad the rows to the same length, or keep a list of arrays, which is a tree",
        ) from None
    if data.dtype.kind not in "biufcV" or data.dtype == object:
        odd = next((x for x in leaves if not is_operand(x)), value)
        raise DTypeError(
            f"a list with {odd!r:.60} of type {type(odd).__name__} cannot become an array of numbers",
            hint="arrays hold numbers only: convert text with float(...) or int(...), or keep strings in a list or "
            "numpy.array",
        )
    if dtype is None:
        if not leaves:
            dtype = dtypes.default_float()
        elif all(scalar_kind(x) for x in leaves):
            dtype = {"b": dtypes.bool_, "i": dtypes.default_int(), "u": dtypes.uint64}.get(data.dtype.kind)
            dtype = dtype or (dtypes.default_complex() if data.dtype.kind == "c" else dtypes.default_float())
        else:
            dtype = result_dtype(*[type_of(x) for x in leaves])[0]
    return Array(data.astype(dtype, order="C"))


def asarray(
    a: Any, dtype: Any = None, order: str | None = None, *, copy: bool | None = None, device: Any = None
) -> Array:
    """`a` as an array; itself where it is one of that dtype already.

    With `copy=False` ValueError is raised where only a copy would do: for numbers and lists, and for another dtype.

    >>> import funcgrad.numpy as jnp
    >>> jnp.asarray([1, 2.5])
    Array([1. , 2.5], dtype=float32)
    """
    if a.__class__ is Array and dtype is None and not copy and device is None:
        return a
    if copy is False and not (
        isinstance(a, ArrayMethods) and (dtype is None or type_of(a).dtype == dtypes.as_dtype(dtype))
    ):
        kept = "" if dtype is None else f" of dtype {dtype}"
        raise ValueError(f"asarray: {type(a).__name__} cannot become an array{kept} without a copy")
    return array(a, dtype, device=device)


@boundary
def from_dlpack(x: Any, /, *, device: Any = None, copy: bool | None = None) -> Array:
    """An array over the memory of another library's, by DLPack; not to be changed there any more.

    With `copy` an array of its own.
    """
    check_device(device)
    data = np.from_dlpack(x)
    return array(data) if copy else Array(data, type_of(data))


@boundary
def full(shape: Shape, fill_value: Any, dtype: Any = None, *, device: Any = None) -> Array:
    """An array of `shape` filled with a number, or with an array that broadcasts to it.

    Raises:
        ArgumentError: a shape that is traced or negative.

    >>> import funcgrad.numpy as jnp
    >>> jnp.full((2,), 7.0)
    Array([7., 7.], dtype=float32, weak_type=True)
    """
    check_device(device)
    shape = canonical_shape(shape)
    value = asarray(fill_value, dtype)
    return _materialized(ops.broadcast_to(value, shape))


def _materialized(x: Any) -> Any:
    """A view of repeated elements as an array of its own."""
    if x.__class__ is Array and 0 in x._data.strides:
        return Array(np.ascontiguousarray(x._data).reshape(x._data.shape), x._type)
    return x


@boundary
def zeros(shape: Shape, dtype: Any = None, *, device: Any = None) -> Array:
    """An array of zeros; of the default float where no dtype is given.

    Raises:
        ArgumentError: a shape that is traced or negative.

    >>> import funcgrad.numpy as jnp
    >>> jnp.empty((2, 3)).shape
    (2, 3)
    """
    return full(shape, 0, dtypes.default_float() if dtype is None else dtype, device=device)


@boundary
def ones(shape: Shape, dtype: Any = None, *, device: Any = None) -> Array:
    """An array of ones; of the default float where no dtype is given.

    Raises:
        ArgumentError: a shape that is traced or negative.

    >>> import funcgrad.numpy as jnp
    >>> jnp.ones((2, 2))
    Array([[1., 1.],
           [1., 1.]], dtype=float32)
    """
    return full(shape, 1, dtypes.default_float() if dtype is None else dtype, device=device)


empty = zeros


@boundary
def full_like(
    a: Any, fill_value: Any, dtype: Any = None, shape: Shape | None = None, *, device: Any = None
) -> Array:
    """An array filled with a value, of the shape and dtype of `a` where they are not given, and then as weak as it.

    Raises:
        DTypeError: what is no array or number.

    >>> import funcgrad.numpy as jnp
    >>> jnp.full_like(jnp.arange(2), 7)
    Array([7, 7], dtype=int64)
    """
    t = type_of(a)
    filled = full(
        t.shape if shape is None else shape, fill_value, t.dtype if dtype is None else dtype, device=device
    )
    return ops.convert(filled, t.dtype, weak=True) if dtype is None and t.weak else filled


@boundary
def zeros_like(a: Any, dtype: Any = None, shape: Shape | None = None, *, device: Any = None) -> Array:
    """Zeros of the shape and dtype of `a`.

    Raises:
        DTypeError: what is no array or number.

    >>> import funcgrad.numpy as jnp
    >>> jnp.zeros_like(jnp.arange(2))
    Array([0, 0], dtype=int64)
    """
    return full_like(a, 0, dtype, shape, device=device)


@boundary
def ones_like(a: Any, dtype: Any = None, shape: Shape | None = None, *, device: Any = None) -> Array:
    """Ones of the shape and dtype of `a`.

    Raises:
        DTypeError: what is no array or number.

    >>> import funcgrad.numpy as jnp
    >>> jnp.ones_like(jnp.arange(2))
    Array([1, 1], dtype=int64)
    """
    return full_like(a, 1, dtype, shape, device=device)


@boundary
def empty_like(prototype: Any, dtype: Any = None, shape: Shape | None = None, *, device: Any = None) -> Array:
    """An array of the shape and dtype of `prototype`, whose elements mean nothing; they are zeros."""
    return full_like(prototype, 0, dtype, shape, device=device)


@boundary
def arange(start: Any, stop: Any = None, step: Any = None, dtype: Any = None, *, device: Any = None) -> Array:
    """Numbers from `start` (0) up to, without, `stop`, by `step` (1). Integers where all three are.

    >>> import funcgrad.numpy as jnp
    >>> jnp.arange(2, 8, 3)
    Array([2, 5], dtype=int64)
    """
    check_device(device)
    for what in (start, stop, step):
        if isinstance(what, Tracer):
            what.concrete(
                "arange, whose length depends on its arguments,",
                "use a static length: arange(n) * step + start with a Python n",
            )
    given = [x for x in (start, stop, step) if x is not None]
    for what in given:
        if type_of(what).shape:
            raise ShapeError(
                f"arange takes numbers, got {type_of(what)}",
                hint="arange(len(x)) numbers the rows of x; vmap makes a range for each element",
            )
    if dtype is None:
        dtype = result_dtype(*[type_of(x) for x in given])[0]
    values = [np.asarray(x)[()] if type(x) is Array else x for x in (start, stop, step)]
    if values[1] is None:
        values[:2] = [0, values[0]]
    if values[2] is None:
        values[2] = 1
    return Array(np.arange(*values).astype(dtypes.as_dtype(dtype)))


@boundary
def linspace(
    start: Any,
    stop: Any,
    num: int = 50,
    endpoint: bool = True,
    retstep: bool = False,
    dtype: Any = None,
    axis: int = 0,
    *,
    device: Any = None,
) -> Any:
    """`num` numbers evenly spaced from `start` to `stop`, which is included where `endpoint`.

    Raises:
        DTypeError: what is no array or number.

    >>> import funcgrad.numpy as jnp
    >>> jnp.linspace(0, 1, 3).tolist()
    [0.0, 0.5, 1.0]
    """
    check_device(device)
    try:
        num = operator.index(num)
    except TypeError:
        raise ArgumentError(
            f"linspace: num is an integer, got {num!r:.80}",
            hint="num counts the points: linspace(start, stop, 5); steps of a given size are for arange",
        ) from None
    common, _ = result_dtype(type_of(start), type_of(stop))
    inexact = common if dtypes.is_inexact(common) else dtypes.default_float()
    wanted = dtypes.as_dtype(dtype) if dtype is not None else inexact
    if not isinstance(start, Tracer) and not isinstance(stop, Tracer):
        values, step = np.linspace(
            np.asarray(start), np.asarray(stop), num, endpoint, retstep=True, axis=axis
        )
        result = Array(np.asarray(values).astype(wanted))
        return (result, Array(np.asarray(step).astype(inexact))) if retstep else result
    first, last = ops.convert(asarray(start), inexact), ops.convert(asarray(stop), inexact)
    pieces = max(num - 1 if endpoint else num, 1)
    step = (last - first) / pieces
    ndim = max(type_of(first).ndim, type_of(last).ndim)
    ramp = ops.convert(ops.iota(dtypes.int64, (num,), 0), inexact)
    result = first + step * ops.reshape(ramp, (num,) + (1,) * ndim)
    if endpoint and num > 1:  # the last one exactly, whatever was rounded on the way
        end = ops.broadcast_to(last, type_of(result).shape)
        result = ops.select(ops.eq(ops.iota(dtypes.int64, type_of(result).shape, 0), num - 1), end, result)
    result = ops.moveaxis(result, 0, axis % (ndim + 1))
    result = ops.convert(result, wanted)
    return (result, step) if retstep else result


@boundary
def logspace(
    start: Any,
    stop: Any,
    num: int = 50,
    endpoint: bool = True,
    base: Any = 10.0,
    dtype: Any = None,
    axis: int = 0,
) -> Array:
    """`num` numbers from `base**start` to `base**stop`, evenly spaced in their logarithm, along a new `axis`.

    Raises:
        DTypeError: what is no array or number.

    >>> import funcgrad.numpy as jnp
    >>> jnp.logspace(0, 2, 3).tolist()
    [1.0, 10.0, 100.0]
    """
    return asarray(base ** linspace(start, stop, num, endpoint, axis=axis), dtype)


@boundary
def geomspace(
    start: Any, stop: Any, num: int = 50, endpoint: bool = True, dtype: Any = None, axis: int = 0
) -> Array:
    """`num` numbers from `start` to `stop` in geometric progression, along a new `axis`.

    Raises:
        DTypeError: what is no array or number.

    >>> import funcgrad.numpy as jnp
    >>> jnp.geomspace(1, 100, 3).tolist()
    [1.0, 10.0, 100.0]
    """
    common, _ = result_dtype(type_of(start), type_of(stop))
    inexact = common if dtypes.is_inexact(common) else dtypes.default_float()
    if isinstance(start, Tracer) or isinstance(stop, Tracer):
        first, last = ops.convert(start, inexact), ops.convert(stop, inexact)
        ratio = ops.div(last, first)
        powers = linspace(0.0, ops.log(ratio), num, endpoint, axis=axis)
        shape = list(type_of(powers).shape)
        shape[axis] = 1
        scale = ops.reshape(ops.broadcast_to(first, type_of(ratio).shape), shape)
        values = ops.mul(ops.exp(powers), ops.broadcast_to(scale, type_of(powers).shape))
        return ops.convert(values, inexact if dtype is None else dtypes.as_dtype(dtype))
    values = np.geomspace(np.asarray(start), np.asarray(stop), num, endpoint, axis=axis)
    return Array(values.astype(inexact if dtype is None else dtypes.as_dtype(dtype)))


@boundary
def eye(N: int, M: int | None = None, k: int = 0, dtype: Any = None, *, device: Any = None) -> Array:
    """Ones on the k-th diagonal of an N x M matrix, zeros elsewhere; `k` may be a traced integer.

    >>> import funcgrad.numpy as jnp
    >>> jnp.eye(2).tolist()
    [[1.0, 0.0], [0.0, 1.0]]
    """
    check_device(device)
    wanted = dtypes.default_float() if dtype is None else dtypes.as_dtype(dtype)
    if isinstance(k, Tracer):
        size = N, N if M is None else M
        return ops.convert(ops.and_(_below(*size, k), ops.not_(_below(*size, k - 1))), wanted)
    return Array(np.eye(N, M, k).astype(wanted))


@boundary
def identity(n: int, dtype: Any = None) -> Array:
    """The n x n identity matrix.

    >>> import funcgrad.numpy as jnp
    >>> jnp.identity(2).tolist()
    [[1.0, 0.0], [0.0, 1.0]]
    """
    return eye(n, dtype=dtype)


@boundary
def tri(N: int, M: int | None = None, k: int = 0, dtype: Any = None) -> Array:
    """Ones at and below the k-th diagonal of an N x M matrix, zeros above; `k` may be a traced integer."""
    wanted = dtypes.default_float() if dtype is None else dtypes.as_dtype(dtype)
    return ops.convert(_below(N, N if M is None else M, k), wanted)


def _below(rows: int, columns: int, k: Any) -> Any:
    """Where an element is at or below the k-th diagonal; `k` may be a traced integer."""
    if not isinstance(k, Tracer):
        return Array(np.tri(rows, columns, k, dtype=bool))
    distance = np.arange(columns)[None, :] - np.arange(rows)[:, None]
    return ops.le(distance, ops.broadcast_to(ops.convert(k, distance.dtype), distance.shape))


def _triangle(m: Any, k: Any, lower: bool) -> Any:
    t = type_of(m)
    mask = _below(*t.shape[-2:], k if lower else k - 1)
    mask = mask if lower else ops.not_(mask)
    chosen = ops.broadcast_to(mask, t.shape)
    return ops.select(chosen, m, 0)


@boundary
def tril(m: Any, k: int = 0) -> Array:
    """The lower triangle of the last two axes; zeros above the k-th diagonal.

    >>> import funcgrad.numpy as jnp
    >>> jnp.tril(jnp.ones((2, 2))).tolist()
    [[1.0, 0.0], [1.0, 1.0]]
    """
    return _triangle(asarray(m), k, True)


@boundary
def triu(m: Any, k: int = 0) -> Array:
    """The upper triangle of the last two axes; zeros below the k-th diagonal.

    >>> import funcgrad.numpy as jnp
    >>> jnp.triu(jnp.ones((2, 2))).tolist()
    [[1.0, 1.0], [0.0, 1.0]]
    """
    return _triangle(asarray(m), k, False)


@boundary
def tril_indices(n: int, k: int = 0, m: int | None = None) -> tuple[Array, Array]:
    """Row and column numbers of the lower triangle of an n x m matrix."""
    return tuple(map(Array, np.tril_indices(n, k, m)))  # type: ignore[return-value]


@boundary
def triu_indices(n: int, k: int = 0, m: int | None = None) -> tuple[Array, Array]:
    """Row and column numbers of the upper triangle of an n x m matrix."""
    return tuple(map(Array, np.triu_indices(n, k, m)))  # type: ignore[return-value]


@boundary
def meshgrid(*xi: Any, indexing: str = "xy", sparse: bool = False, copy: bool = True) -> tuple[Any, ...]:
    """Coordinate matrices from coordinate vectors.

    Raises:
        DTypeError: what is no array or number.

    >>> import funcgrad.numpy as jnp
    >>> [x.tolist() for x in jnp.meshgrid(jnp.arange(2), jnp.arange(2))]
    [[[0, 1], [0, 1]], [[0, 0], [1, 1]]]
    """
    if indexing not in ("xy", "ij"):
        raise ArgumentError(f"indexing of meshgrid is 'xy' or 'ij', got {indexing!r}")
    vectors = [asarray(x) for x in xi]
    order = list(range(len(vectors)))
    if indexing == "xy" and len(order) > 1:
        order[:2] = [1, 0]
    shape = [0] * len(order)
    for vector, place in zip(vectors, order):
        shape[place] = type_of(vector).size
    result = []
    for vector, place in zip(vectors, order):
        own = [1] * len(shape)
        own[place] = shape[place]
        spread = ops.reshape(vector, own)
        result.append(spread if sparse else ops.broadcast_to(spread, shape))
    return tuple(result)


@boundary
def indices(dimensions: Sequence[int], dtype: Any = None, sparse: bool = False) -> Any:
    """For each axis of a grid the coordinates along it."""
    found = np.indices(
        tuple(dimensions), dtype=dtypes.as_dtype(int if dtype is None else dtype), sparse=sparse
    )
    return tuple(map(Array, found)) if sparse else Array(np.asarray(found))


@boundary
def copy(a: Any, order: str | None = None) -> Array:
    """`a` as an array of its own, which stays when `a` is donated.

    Raises:
        DTypeError: what is no array or number.

    >>> import funcgrad.numpy as jnp
    >>> jnp.copy([1, 2])
    Array([1, 2], dtype=int64)
    """
    return array(a)


@boundary
def frombuffer(buffer: Any, dtype: Any = float, count: int = -1, offset: int = 0) -> Array:
    """A one-dimensional array of the numbers in a buffer."""
    return Array(np.frombuffer(buffer, dtypes.as_dtype(dtype), count, offset).copy())


@boundary
def astype(x: Any, dtype: Any, /, *, copy: bool = False, device: Any = None) -> Array:
    """`x` in another dtype. Complex numbers lose their imaginary parts; floats round towards zero to integers.

    Raises:
        DTypeError: what is no array or number.

    >>> import funcgrad.numpy as jnp
    >>> jnp.astype(jnp.array([1.7, -1.7]), int).tolist()
    [1, -1]
    """
    check_device(device)
    return ops.convert(asarray(x), dtypes.default_float() if dtype is None else dtypes.as_dtype(dtype))

"""Functions of functions: vectorize, apply_along_axis, piecewise, and functions of scalars as ufuncs."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Collection, Sequence
from typing import Any

from funcgrad import dtypes
from funcgrad.batching import vmap
from funcgrad.errors import ArgumentError, ShapeError, boundary
from funcgrad.lax.associative import associative_scan
from funcgrad.lax.control import scan
from funcgrad.numpy import elementwise, gathering, reductions, ufuncs
from funcgrad.numpy.creation import asarray
from funcgrad.numpy.manipulation import moveaxis
from funcgrad.promotion import broadcast_shapes, check_arrays
from funcgrad.trace import ops
from funcgrad.trace.core import is_operand, type_of

_SIDE = re.compile(r"\((?:[^\W\d]\w*|\d+)?(?:,(?:[^\W\d]\w*|\d+))*\)")


def _sides(signature: str) -> tuple[list[list[str]], list[list[str]]]:
    """The names of the core axes of the arguments and of the results of "(n,m),(m)->(n)"."""
    halves = signature.replace(" ", "").split("->")
    groups = [_SIDE.findall(half) for half in halves]
    if len(halves) != 2 or any(not g or ",".join(g) != half for g, half in zip(groups, halves)):
        raise ArgumentError(
            f"{signature!r} is no signature of vectorize", hint='write for example "(n,m),(m)->(n)"'
        )
    left, right = ([[a for a in g[1:-1].split(",") if a] for g in group] for group in groups)
    return left, right


def _core_shape(x: Any, names: Sequence[str], sizes: dict[str, int], where: str) -> tuple[int, ...]:
    """The leading shape of an operand, after its core axes are entered in `sizes`."""
    shape = type_of(x).shape
    if len(shape) < len(names):
        raise ShapeError(f"{where} has core axes ({','.join(names)}), but is {type_of(x)}")
    lead = shape[: len(shape) - len(names)]
    for name, n in zip(names, shape[len(lead) :]):
        if sizes.setdefault(name, int(name) if name.isdigit() else n) != n:
            raise ShapeError(
                f"{where} is {type_of(x)}: its core axis {name} has length {n}, elsewhere {sizes[name]}",
                hint="core axes of one name have one length: give them other names in the signature, or cut one",
            )
    return lead


def vectorize(
    pyfunc: Callable[..., Any], *, excluded: Collection[int | str] = frozenset(), signature: str | None = None
) -> Callable[..., Any]:
    """A function of scalars (or, by `signature`, of arrays with core axes) as one that broadcasts, by vmap.

    `excluded` are positions and names of arguments that are passed on as they are.

    >>> import funcgrad.numpy as fnp
    >>> dot = fnp.vectorize(lambda a, b: (a * b).sum(), signature="(n),(n)->()")
    >>> dot(fnp.ones((2, 1, 3)), fnp.ones((4, 3))).shape
    (2, 4)
    """
    for key in excluded:
        if not isinstance(key, int | str) or (isinstance(key, int) and key < 0):
            raise ArgumentError(f"excluded of vectorize holds positions and names, got {key!r}")
    sides = None if signature is None else _sides(signature)

    @boundary
    def vectorized(*args: Any, **kwargs: Any) -> Any:
        kept = {k: v for k, v in kwargs.items() if k in excluded}
        named = [k for k in kwargs if k not in excluded]
        places = [k for k in range(len(args)) if k not in excluded]
        operands = [asarray(args[k]) for k in places] + [asarray(kwargs[k]) for k in named]
        inputs = [[] for _ in operands] if sides is None else sides[0]
        if len(inputs) != len(operands):
            raise ArgumentError(
                f"vectorize with signature {signature!r} takes {len(inputs)} arguments, got {len(operands)}"
            )

        def call(*values: Any) -> Any:
            given = list(args)
            for k, value in zip(places, values):
                given[k] = value
            out = pyfunc(*given, **kept, **dict(zip(named, values[len(places) :])))
            if sides is not None:
                _check_results(out, sides[1], sizes, signature)
            return out

        sizes: dict[str, int] = {}
        leads = [
            _core_shape(x, names, sizes, f"argument {k} of vectorize")
            for k, (x, names) in enumerate(zip(operands, inputs))
        ]
        lead = broadcast_shapes(*leads)
        mapped = call
        squeezed = list(operands)
        for k, (x, own) in enumerate(zip(operands, leads)):
            shape = [n for j, n in enumerate(own) if n != 1 or lead[len(lead) - len(own) + j] == 1]
            squeezed[k] = ops.reshape(x, (*shape, *type_of(x).shape[len(own) :]))
        for axis in reversed(range(len(lead))):
            back = len(lead) - axis
            in_axes = [
                0 if len(own) >= back and (own[-back] != 1 or lead[axis] == 1) else None for own in leads
            ]
            if any(a == 0 for a in in_axes):
                mapped = vmap(mapped, in_axes=tuple(in_axes))
        return mapped(*squeezed)

    vectorized.__name__ = getattr(pyfunc, "__name__", "vectorized")
    vectorized.__doc__ = pyfunc.__doc__
    return vectorized


def _check_results(out: Any, outputs: Sequence[Sequence[str]], sizes: dict[str, int], signature: Any) -> None:
    results = list(out) if isinstance(out, tuple | list) else [out]
    if len(results) != len(outputs):
        raise ArgumentError(
            f"vectorize with signature {signature!r} promises {len(outputs)} results, got {len(results)}"
        )
    for k, (x, names) in enumerate(zip(results, outputs)):
        if _core_shape(x, names, sizes, f"result {k} of vectorize"):
            raise ShapeError(
                f"result {k} of vectorize has core axes ({','.join(names)}), but is {type_of(x)}"
            )


@boundary
def apply_along_axis(func1d: Callable[..., Any], axis: int, arr: Any, *args: Any, **kwargs: Any) -> Any:
    """`func1d(line, *args, **kwargs)` of each line of `arr` along `axis`; its axes take the place of `axis`.

    Raises:
        AxisError: an axis that there is not.

    >>> import funcgrad.numpy as jnp
    >>> jnp.apply_along_axis(jnp.sum, 1, jnp.ones((2, 3))).tolist()
    [3.0, 3.0]
    """
    x = asarray(arr)
    (number,) = reductions.canonical_axes("apply_along_axis", axis, x)

    def mapped(line: Any) -> Any:
        return func1d(line, *args, **kwargs)

    for _ in range(type_of(x).ndim - number - 1):
        mapped = vmap(mapped, in_axes=1, out_axes=-1)
    for _ in range(number):
        mapped = vmap(mapped, in_axes=0, out_axes=0)
    return mapped(x)


@boundary
def apply_over_axes(func: Callable[[Any, int], Any], a: Any, axes: int | Sequence[int]) -> Any:
    """`func(a, axis)` over one axis after the other, each of which stays with length 1."""
    x = asarray(a)
    for axis in (axes,) if isinstance(axes, int) else axes:
        out = func(x, axis)
        if type_of(out).ndim == type_of(x).ndim - 1:
            out = ops.expand_dims(out, (axis % type_of(x).ndim,))
        if type_of(out).ndim != type_of(x).ndim:
            raise ShapeError(f"apply_over_axes: the function gave {type_of(out)} of {type_of(x)}")
        x = out
    return x


@boundary
def piecewise(x: Any, condlist: Any, funclist: Sequence[Any], *args: Any, **kw: Any) -> Any:
    """For each element the function (or number) of the last condition that holds.

    One function more than there are conditions says what is done elsewhere; without it that is 0. All functions
    are computed for all elements.

    >>> import funcgrad.numpy as jnp
    >>> jnp.piecewise(jnp.array([-1.0, 2.0]), [jnp.array([True, False])], [0.0, 1.0]).tolist()
    [0.0, 1.0]
    """
    x = asarray(x)
    if is_operand(condlist):
        condlist = [condlist] if type_of(condlist).shape == type_of(x).shape else list(condlist)
    elif condlist and not is_operand(condlist[0]):
        condlist = [asarray(c) for c in condlist] if isinstance(condlist[0], list) else [asarray(condlist)]
    count = len(condlist)
    if len(funclist) not in (count, count + 1):
        raise ArgumentError(
            f"piecewise has {count} conditions and {len(funclist)} functions",
            hint="give as many functions as conditions, or one more for all other elements",
        )
    dtype = type_of(x).dtype

    def value(function: Any) -> Any:
        out = function(x, *args, **kw) if callable(function) else function
        return ops.convert(asarray(out), dtype)

    result = value(funclist[count]) if len(funclist) > count else ops.full_like(x, 0)
    for condition, function in zip(condlist, funclist):
        result = elementwise.where(condition, value(function), result)
    return ops.broadcast_to(result, type_of(x).shape)


class ufunc:
    """A function of scalars that broadcasts, with NumPy's methods: reduce, accumulate, outer, at, reduceat."""

    def __init__(
        self, func: Callable[..., Any], nin: int, nout: int, *, name: str | None = None, identity: Any = None
    ):
        self.nin, self.nout, self.nargs, self.identity = nin, nout, nin + nout, identity
        self.__name__ = name or getattr(func, "__name__", "ufunc")
        self.__doc__ = func.__doc__
        self._scalar = func
        self._mapped = vectorize(func)

    def __call__(self, *args: Any) -> Any:
        if len(args) != self.nin:
            raise ArgumentError(f"{self.__name__} takes {self.nin} arguments, got {len(args)}")
        return self._mapped(*args)

    def __repr__(self) -> str:
        return f"<ufunc {self.__name__!r}>"

    def _binary(self, method: str) -> None:
        if (self.nin, self.nout) != (2, 1):
            raise ArgumentError(f"{method} is there for functions of two arguments and one result")

    def _lines(self, method: str, a: Any, axis: int) -> tuple[Any, int]:
        self._binary(method)
        x = asarray(a)
        (number,) = reductions.canonical_axes(f"{self.__name__}.{method}", axis, x)
        return moveaxis(x, number, 0), number

    def reduce(
        self,
        a: Any,
        axis: int | None = 0,
        dtype: Any = None,
        out: None = None,
        keepdims: bool = False,
        initial: Any = None,
        where: Any = None,
    ) -> Any:
        """The elements along `axis` (of the flat array for None) combined one after the other."""
        x = asarray(a) if dtype is None else asarray(a).astype(dtype)
        rank = type_of(x).ndim
        if where is not None:
            neutral = self.identity if initial is None else initial
            if neutral is None:
                raise ArgumentError(f"{self.__name__}.reduce with where= needs initial=")
            x = elementwise.where(where, x, neutral)
        flat = x.ravel() if axis is None else x
        lines, number = self._lines("reduce", flat, 0 if axis is None else axis)
        first = self.identity if initial is None else initial
        if first is None and not type_of(lines).shape[0]:
            raise ShapeError(f"{self.__name__}.reduce of no elements needs initial=: {type_of(x)}")
        if initial is not None or not type_of(lines).shape[0]:
            start, rest = ops.full(type_of(lines).shape[1:], first, type_of(lines).dtype), lines
        else:
            start, rest = lines[0], lines[1:]
        result, _ = scan(lambda total, line: (self(total, line).astype(total.dtype), None), start, rest)
        if keepdims:
            result = ops.reshape(result, (1,) * rank) if axis is None else ops.expand_dims(result, (number,))
        return result

    def accumulate(self, a: Any, axis: int = 0, dtype: Any = None, out: None = None) -> Any:
        """The elements up to each, along `axis`, combined one after the other."""
        x = asarray(a) if dtype is None else asarray(a).astype(dtype)
        lines, number = self._lines("accumulate", x, axis)
        if not type_of(lines).shape[0]:
            return x

        def step(total: Any, line: Any) -> tuple[Any, Any]:
            total = self(total, line).astype(total.dtype)
            return total, total

        _, rest = scan(step, lines[0], lines[1:])
        return moveaxis(ops.concatenate([lines[:1], rest], 0), 0, number)

    def outer(self, A: Any, B: Any, /) -> Any:
        """The function of every pair of an element of A and one of B."""
        self._binary("outer")
        return _outer(self, A, B)

    def at(self, a: Any, indices: Any, b: Any = None, /, *, inplace: bool = True) -> Any:
        """`a` with the elements at `indices` put through the function one after the other.

        Arrays do not change: pass inplace=False and use the result.
        """
        _not_in_place(f"{self.__name__}.at", inplace)
        x = asarray(a)
        indices = indices if isinstance(indices, tuple) else (indices,)
        flat = ops.reshape(ops.iota(dtypes.int64, (type_of(x).size,), 0), type_of(x).shape)[indices]
        places = flat.ravel()
        others = () if b is None else (ops.broadcast_to(asarray(b), type_of(flat).shape).ravel(),)

        def step(values: Any, given: Any) -> tuple[Any, None]:
            place, *rest = given
            return values.at[place].set(self._scalar(values[place], *rest)), None

        out, _ = scan(step, x.ravel(), (places, *others))
        return ops.reshape(out, type_of(x).shape)

    def reduceat(self, a: Any, indices: Any, axis: int = 0, dtype: Any = None, out: None = None) -> Any:
        """For each of the ascending `indices` the elements from there to the next one, combined."""
        x = asarray(a)
        starts = [int(i) for i in indices]
        stops = [*starts[1:], type_of(x).shape[axis]]
        pieces = [
            self.reduce(gathering.take(x, asarray(list(range(i, max(j, i + 1)))), axis), axis, dtype)
            for i, j in zip(starts, stops)
        ]
        return ops.concatenate([ops.expand_dims(p, (axis % type_of(x).ndim,)) for p in pieces], axis)


def frompyfunc(func: Callable[..., Any], /, nin: int, nout: int, *, identity: Any = None) -> ufunc:
    """A function of `nin` scalars that gives `nout` as a `ufunc`."""
    return ufunc(func, nin, nout, identity=identity)


def _outer(function: Callable[[Any, Any], Any], a: Any, b: Any) -> Any:
    x, y = asarray(a), asarray(b)
    return function(ops.reshape(x, type_of(x).shape + (1,) * type_of(y).ndim), y)


def _not_in_place(name: str, inplace: bool) -> None:
    if inplace:
        raise ArgumentError(
            f"{name} cannot change its argument: arrays stay as they are",
            hint="pass inplace=False and use the result",
        )


# NumPy's methods on the elementwise functions, in terms of the reductions, of scans and of x.at.
def _attach(
    function: Any, nin: int, identity: Any = None, reduce: Callable[..., Any] | None = None, update: str = ""
) -> None:
    general = ufunc(function, nin, 1, name=function.__name__, identity=identity)
    general._mapped = function
    function.nin, function.nout, function.nargs, function.identity = nin, 1, nin + 1, identity
    if nin == 1:
        function.at = general.at
        return

    def outer(A: Any, B: Any, /) -> Any:
        return _outer(function, A, B)

    def reduced(
        a: Any,
        axis: Any = 0,
        dtype: Any = None,
        out: None = None,
        keepdims: bool = False,
        initial: Any = None,
        where: Any = None,
    ) -> Any:
        if reduce is None:
            return general.reduce(a, axis, dtype, out, keepdims, initial, where)
        x = asarray(a) if dtype is None else asarray(a).astype(dtype)
        given = {} if initial is None else {"initial": initial}
        return reduce(x, axis, keepdims=keepdims, where=where, **given)

    def accumulate(a: Any, axis: int = 0, dtype: Any = None, out: None = None) -> Any:
        if reduce is None:
            return general.accumulate(a, axis, dtype)
        x = asarray(a) if dtype is None else asarray(a).astype(dtype)
        return associative_scan(function, x, axis=axis)

    def at(a: Any, indices: Any, b: Any, /, *, inplace: bool = True) -> Any:
        _not_in_place(f"{function.__name__}.at", inplace)
        check_arrays(f"{function.__name__}.at", b)
        if update:
            return getattr(asarray(a).at[indices], update)(b)
        return general.at(a, indices, b, inplace=False)

    def reduceat(a: Any, indices: Any, axis: int = 0, dtype: Any = None, out: None = None) -> Any:
        return general.reduceat(a, indices, axis, dtype)

    function.outer, function.reduce, function.accumulate, function.at = outer, reduced, accumulate, at
    function.reduceat = reduceat


for _function, _identity, _reduce, _update in (
    (ufuncs.add, 0, reductions.sum, "add"),
    (ufuncs.multiply, 1, reductions.prod, "multiply"),
    (ufuncs.maximum, None, reductions.max, "max"),
    (ufuncs.minimum, None, reductions.min, "min"),
    (elementwise.logical_and, True, reductions.all, ""),
    (elementwise.logical_or, False, reductions.any, ""),
    (elementwise.logical_xor, False, None, ""),
    (elementwise.bitwise_and, -1, None, ""),
    (elementwise.bitwise_or, 0, None, ""),
    (elementwise.bitwise_xor, 0, None, ""),
    (elementwise.logaddexp, -math.inf, None, ""),
    (elementwise.logaddexp2, -math.inf, None, ""),
    (ufuncs.subtract, None, None, ""),
    (ufuncs.true_divide, None, None, ""),
    (elementwise.power, None, None, ""),
    (elementwise.hypot, 0, None, ""),
    (ufuncs.arctan2, None, None, ""),
    (ufuncs.equal, None, None, ""),
    (ufuncs.less, None, None, ""),
    (ufuncs.greater, None, None, ""),
):
    _attach(_function, 2, _identity, _reduce, _update)
_attach(ufuncs.negative, 1)

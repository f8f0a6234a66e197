"""Calls of Python from traced and compiled functions: `pure_callback`, `io_callback`, `debug_callback`.

A `HostCall` is the Python function with what it takes and gives; compiled functions reach it as they reach a
library (runtime/library.py). `io_callback` and `debug_callback` have an effect: they run once for each time that the
program comes by, in the order of the program. `pure_callback` may be left out or repeated.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from funcgrad import dtypes, tree
from funcgrad.array import Array
from funcgrad.errors import ArgumentError, DTypeError, NotDifferentiableError, ShapeError
from funcgrad.ir.primitive import AxisSize, Primitive, Sample
from funcgrad.ir.types import ArrayType, array_type
from funcgrad.prims.registry import library_call
from funcgrad.records import entity
from funcgrad.source import SourceLine
from funcgrad.trace import ops
from funcgrad.trace.core import EAGER, bind, current, is_operand, type_of
from funcgrad.tree import TreeDef


@entity
class HostCall:
    """`function(*args, **kwargs)` on flat arrays.

    `leaves` are those of (args, kwargs), with `None` where an array comes in, and `in_tree` their structure.
    `out_tree` is the structure that the function has to return, None where its result is not used.
    """

    function: Callable[..., Any]
    name: str
    leaves: tuple[Any, ...]
    dynamic: tuple[int, ...]
    in_tree: TreeDef
    out_tree: TreeDef | None
    source: SourceLine | None

    def __call__(self, arrays: Sequence[Any], types: Sequence[ArrayType]) -> list[Any]:
        """The results for these NumPy arrays, which are of the given types."""
        leaves = list(self.leaves)
        for position, array in zip(self.dynamic, arrays):
            leaves[position] = Array(np.array(array))  # the memory belongs to the program
        args, kwargs = self.in_tree.unflatten(leaves)
        with current(EAGER):
            result = self.function(*args, **kwargs)
        return [] if self.out_tree is None else self.checked(result, types)

    def checked(self, result: Any, types: Sequence[ArrayType]) -> list[np.ndarray]:
        """The leaves of a result, which have to be of these types."""
        outs, found = tree.flatten(result)
        if found != self.out_tree:
            raise ArgumentError(
                f"the callback {self.name} returned {found}, and result_shape_dtypes says {self.out_tree}",
                where=self.source,
                hint="return the same containers as in result_shape_dtypes",
            )
        return [self._fitted(out, type, number) for number, (out, type) in enumerate(zip(outs, types))]

    def _fitted(self, out: Any, type: ArrayType, number: int) -> np.ndarray:
        if not is_operand(out):
            raise DTypeError(
                f"the callback {self.name} returned {out!r} as result {number}, where an array of type {type} is "
                "expected",
                where=self.source,
            )
        array = (
            np.asarray(out, type.dtype) if isinstance(out, bool | int | float | complex) else np.asarray(out)
        )
        if array.shape != type.shape:
            raise ShapeError(
                f"the callback {self.name} returned shape {array.shape} as result {number}, and result_shape_dtypes "
                f"says {type.shape}",
                where=self.source,
                hint="declare the shape that the function returns; under vmap it depends on vmap_method",
            )
        if array.dtype != type.dtype:
            raise DTypeError(
                f"the callback {self.name} returned dtype {array.dtype} as result {number}, and result_shape_dtypes "
                f"says {type.dtype}",
                where=self.source,
                hint=f"convert it in the callback: np.asarray(y, {type.dtype.name!r})",
            )
        return array


@entity
class OneByOne:
    """A call for each example of a batch in turn; `batched` says which operands have a leading batch axis."""

    call: Any
    batched: tuple[bool, ...]
    size: int

    @property
    def name(self) -> str:
        return self.call.name

    def __call__(self, arrays: Sequence[Any], types: Sequence[ArrayType]) -> list[Any]:
        one = [t.with_shape(t.shape[1:]) for t in types]
        rows = [
            self.call([a[i] if b else a for a, b in zip(arrays, self.batched)], one) for i in range(self.size)
        ]
        if not rows:
            return [np.zeros(t.shape, t.dtype) for t in types]
        return [np.stack(column) for column in zip(*rows)]


def _type(*types: ArrayType, results: tuple[ArrayType, ...], **params: Any) -> tuple[ArrayType, ...]:
    return results


def _evaluate(xp: Any, *arrays: Any, call: Any, results: tuple[ArrayType, ...], **params: Any) -> list[Any]:
    return call(arrays, results)


def _refuse(what: str) -> Callable[..., Any]:
    def jvp(primals: Sequence[Any], tangents: Sequence[Any], *, call: Any, **params: Any) -> Any:
        raise NotDifferentiableError(
            f"{what} has no derivative: the Python function {call.name} cannot be differentiated",
            hint="give the function that calls it a rule (custom_jvp or custom_vjp), or use stop_gradient on its "
            "operands",
        )

    return jvp


def _in_front(operands: Sequence[Any], axes: Sequence[int | None]) -> list[Any]:
    return [x if a is None else ops.moveaxis(x, a, 0) for x, a in zip(operands, axes)]


def _stacked(types: Sequence[ArrayType], size: int) -> tuple[ArrayType, ...]:
    return tuple([array_type((int(size), *t.shape), t.dtype) for t in types])


def _batch_one_by_one(primitive: Callable[[], Primitive]):
    def batch(
        size: AxisSize,
        operands: Sequence[Any],
        axes: Sequence[int | None],
        *,
        call: Any,
        results: tuple[ArrayType, ...],
        **params: Any,
    ):
        several = OneByOne(call, tuple([a is not None for a in axes]), int(size))
        types = _stacked(results, size)
        outs = bind(primitive(), *_in_front(operands, axes), call=several, results=types, **params)
        return outs, [0] * len(outs)

    return batch


VMAP_METHODS = ("sequential", "sequential_unrolled", "expand_dims", "broadcast_all", "legacy_vectorized")


def _batch_pure(size: AxisSize, operands: Sequence[Any], axes: Sequence[int | None], **params: Any):
    method = params["vmap_method"]
    if method is None:
        raise ArgumentError(
            f"pure_callback of {params['call'].name} is under vmap, and nothing says how to call it on a batch",
            hint="give vmap_method='sequential' (one call for each example), or 'expand_dims' or 'broadcast_all' where "
            "the function takes leading batch axes",
        )
    if method.startswith("sequential"):
        return _batch_one_by_one(lambda: pure_callback_p)(size, operands, axes, **params)
    if method == "legacy_vectorized":
        if any(a is None for a in axes):
            raise ArgumentError("vmap_method='legacy_vectorized' needs every operand to be batched")
        given = _in_front(operands, axes)
    else:
        given = []
        for x, a in zip(operands, axes):
            if a is not None:
                given.append(ops.moveaxis(x, a, 0))
            else:
                shape = type_of(x).shape
                width = int(size) if method == "broadcast_all" else 1
                given.append(ops.broadcast_in_dim(x, (width, *shape), tuple(range(1, 1 + len(shape)))))
    outs = bind(pure_callback_p, *given, **{**params, "results": _stacked(params["results"], size)})
    return outs, [0] * len(outs)


def _sample_call(function: Callable[..., Any], out: bool) -> HostCall:
    in_tree = tree.structure(((0,), {}))
    return HostCall(function, "sample", (None,), (0,), in_tree, tree.structure(0) if out else None, None)


def _samples(**further: Any) -> Callable[[], Iterable[Sample]]:
    def samples() -> Iterable[Sample]:
        call = _sample_call(lambda x: np.sin(np.asarray(x)).sum(-1), True)
        params = {"call": call, "results": (array_type((), dtypes.float32),), **further}
        yield Sample((lambda rng: rng.standard_normal(3).astype(np.float32),), params, ())

    return samples


def _debug_samples() -> Iterable[Sample]:
    params = {"call": _sample_call(lambda x: None, False), "results": (), "ordered": False}
    yield Sample((lambda rng: rng.standard_normal(3).astype(np.float32),), params, (0,))


pure_callback_p = Primitive(
    name="pure_callback",
    type_rule=_type,
    evaluate=_evaluate,
    jvp=_refuse("pure_callback"),
    transpose=None,
    batch=_batch_pure,
    lower=library_call("pure_callback"),
    samples=_samples(vmap_method="expand_dims"),
    multiple_results=True,
)

io_callback_p = Primitive(
    name="io_callback",
    type_rule=_type,
    evaluate=_evaluate,
    jvp=_refuse("io_callback"),
    transpose=None,
    batch=_batch_one_by_one(lambda: io_callback_p),
    lower=library_call("io_callback"),
    samples=_samples(ordered=True),
    multiple_results=True,
    effect=True,
)


def _debug_jvp(primals: Sequence[Any], tangents: Sequence[Any], **params: Any):
    return bind(debug_callback_p, *primals, **params), []


debug_callback_p = Primitive(
    name="debug_callback",
    type_rule=_type,
    evaluate=_evaluate,
    jvp=_debug_jvp,
    transpose=None,
    batch=_batch_one_by_one(lambda: debug_callback_p),
    lower=library_call("debug_callback"),
    samples=_debug_samples,
    multiple_results=True,
    effect=True,
)

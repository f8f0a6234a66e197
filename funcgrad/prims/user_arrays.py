"""`array_kernel`: a function of arrays that a user has written for Numba or in CUDA C, with declared results.

It takes the operands and then arrays for the results, which it fills. Compiled programs call it natively, as they call
their own kernels; a batch is one call for each example, shared among threads, unless it takes whole batches.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from funcgrad import dtypes
from funcgrad.errors import DTypeError, KernelError, NotDifferentiableError
from funcgrad.ir import expr
from funcgrad.ir.graph import Graph
from funcgrad.ir.primitive import AxisSize, Primitive, Sample, Zero
from funcgrad.ir.types import ArrayType, array_type
from funcgrad.ir.user_functions import array_function, python_form
from funcgrad.prims.calls import execute
from funcgrad.records import entity
from funcgrad.trace import ops
from funcgrad.trace.core import bind, type_of
from funcgrad.trace.graph_trace import trace_to_graph

Levels = tuple[tuple[int, tuple[bool, ...]], ...]

BATCH_METHODS = ("sequential", "expand_dims", "broadcast_all")


@entity
class UserArrayFunction:
    """`function(*operands, *results)` for Numba, or `cuda`, or both; `vmap_method` says what it is called with for a
    batch."""

    function: Callable[..., Any] | None
    vmap_method: str
    name: str
    cuda: expr.CudaFunction | None = None

    @functools.cached_property
    def code(self) -> expr.ArrayFunction | None:
        return None if self.function is None else array_function(self.function)

    @functools.cached_property
    def graphs(self) -> dict[Any, Graph]:
        """The graph of a call alone, by the types of its operands and its parameters."""
        return {}


def _type(
    *types: ArrayType, call: UserArrayFunction, results: tuple[ArrayType, ...], levels: Levels
) -> tuple[ArrayType, ...]:
    for t in (*types, *results):
        if t.dtype.itemsize == 2 and dtypes.is_float(t.dtype):
            raise DTypeError(
                f"the kernel {call.name} has an operand or result of type {t}: Numba knows no 16-bit floats",
                hint="convert it with .astype('float32') before, and the result back after",
            )
    return results


def _evaluate(xp: Any, *arrays: Any, **params: Any) -> list[Any]:
    call: UserArrayFunction = params["call"]
    types = tuple([array_type(np.shape(a), a.dtype) for a in arrays])
    key = (types, params["results"], params["levels"])
    graph = call.graphs.get(key)
    if graph is None:
        alone = lambda *xs: bind(array_kernel_p, *xs, **params)  # noqa: E731
        graph = call.graphs[key] = trace_to_graph(alone, types, call.name).graph
    try:
        return execute(graph, arrays)
    except KernelError as error:
        if error.__cause__ is None and call.function is not None:  # it has raised: Python says what
            _by_python(arrays, **params)
        raise


def _by_python(
    arrays: Sequence[Any], *, call: UserArrayFunction, results: tuple[ArrayType, ...], levels: Levels
) -> list[Any]:
    """The results by Python itself, whose exceptions say what is wrong."""
    assert call.function is not None
    function = python_form(call.function)
    outs = [np.zeros(t.shape, t.dtype) for t in results]
    sizes = [size for size, _ in levels]
    for index in np.ndindex(*sizes):
        given = []
        for k, a in enumerate(arrays):
            part = np.asarray(a)[tuple([i for i, (_, flags) in zip(index, levels) if flags[k]])]
            given.append(part)
        function(*given, *(o[index].reshape(o[index].shape or (1,)) for o in outs))
    return outs


def _jvp(primals: Sequence[Any], tangents: Sequence[Any], *, call: UserArrayFunction, **params: Any):
    outs = bind(array_kernel_p, *primals, call=call, **params)
    moves = any(dtypes.is_inexact(type_of(o).dtype) for o in outs)
    if moves and any(t.__class__ is not Zero for t in tangents):
        raise NotDifferentiableError(
            f"{call.name} is a kernel of yours, and has no derivative",
            hint=f"give it a rule: @{call.name}.defjvp, a function of (primals, tangents) that gives (output, output "
            f"tangent), or {call.name}.defvjp(fwd, bwd); they may call other kernels",
        )
    return outs, [Zero(type_of(o).tangent()) for o in outs]


def _batch(
    size: AxisSize,
    operands: Sequence[Any],
    axes: Sequence[int | None],
    *,
    call: UserArrayFunction,
    results: tuple[ArrayType, ...],
    levels: Levels,
):
    stacked = tuple([array_type((int(size), *t.shape), t.dtype) for t in results])
    given = [x if a is None else ops.moveaxis(x, a, 0) for x, a in zip(operands, axes)]
    if call.vmap_method == "sequential":
        levels = ((int(size), tuple([a is not None for a in axes])), *levels)
    else:
        width = int(size) if call.vmap_method == "broadcast_all" else 1
        for k, (x, a) in enumerate(zip(given, axes)):
            if a is None:
                shape = type_of(x).shape
                given[k] = ops.broadcast_in_dim(x, (width, *shape), tuple(range(1, 1 + len(shape))))
    outs = bind(array_kernel_p, *given, call=call, results=stacked, levels=levels)
    return outs, [0] * len(outs)


def _lower(
    in_types: Any, out_types: Any, *, call: UserArrayFunction, results: tuple[ArrayType, ...], levels: Levels
) -> expr.UserCall:
    return expr.UserCall(call.name, (), call.code, call.cuda, levels)


def _sample(x: Any, scale: Any, total: Any, scaled: Any) -> None:
    total[0] = 0
    for i in range(x.shape[0]):
        for j in range(x.shape[1]):
            scaled[i, j] = x[i, j] * scale
            total[0] += scaled[i, j]


def _samples() -> Iterable[Sample]:
    for dtype in (dtypes.float32, dtypes.float64, dtypes.complex64):
        results = (array_type((), dtype), array_type((2, 3), dtype))
        call = UserArrayFunction(_sample, "sequential", "sample")
        draws = tuple(
            lambda rng, shape=shape, dtype=dtype: np.asarray(rng.standard_normal(shape)).astype(dtype)
            for shape in ((2, 3), ())
        )
        yield Sample(draws, {"call": call, "results": results, "levels": ()}, ())


array_kernel_p = Primitive(
    name="array_kernel",
    type_rule=_type,
    evaluate=_evaluate,
    jvp=_jvp,
    transpose=None,
    batch=_batch,
    lower=_lower,
    samples=_samples,
    multiple_results=True,
)

__all__ = ["BATCH_METHODS", "UserArrayFunction", "array_kernel_p"]

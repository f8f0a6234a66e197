"""`elementwise_function`: a function of numbers that a user has written, applied to each element.

A `UserFunction` holds it with the rule that gives its partial derivatives. Compiled code calls it inside the fused
kernel around it; elsewhere Python runs it on NumPy scalars, up to so many elements, and a kernel of its own beyond.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from funcgrad import dtypes
from funcgrad.errors import ArgumentError, KernelError, NotDifferentiableError, ShapeError
from funcgrad.ir import expr
from funcgrad.ir.graph import Graph
from funcgrad.ir.primitive import Primitive, Sample, Zero
from funcgrad.ir.types import ArrayType, array_type
from funcgrad.ir.user_functions import python_form, python_function, scalar_function
from funcgrad.prims.calls import execute
from funcgrad.prims.registry import batch_elementwise, elementwise_type
from funcgrad.records import entity, replaced
from funcgrad.trace import ops
from funcgrad.trace.core import bind, type_of
from funcgrad.trace.graph_trace import trace_to_graph

BY_PYTHON = 512
"""Elements up to which Python evaluates: a kernel takes longer to compile than that."""

_ACCEPTED = tuple(d for d in dtypes.ALL if d != dtypes.float0)


@entity
class UserFunction:
    """`function` of numbers; `derivative` gives its partial derivatives, or is None. `results` are the dtypes of its
    values where these are not its operands': one, or, of a function that gives a tuple (`several`), one for each."""

    function: Callable[..., Any]
    derivative: Callable[..., Any] | None
    results: tuple[np.dtype | None, ...]
    name: str
    several: bool = False

    @functools.cached_property
    def python(self) -> Callable[..., Any]:
        return python_form(self.function)

    @functools.cached_property
    def arity(self) -> tuple[int, int]:
        """The least and the largest number of operands."""
        own = python_function(self.function)
        count = own.__code__.co_argcount
        return count - len(own.__defaults__ or ()), count

    @functools.cached_property
    def wide(self) -> expr.ScalarFunction:
        return scalar_function(self.function, False)

    @functools.cached_property
    def single(self) -> expr.ScalarFunction:
        return scalar_function(self.function, True)

    @functools.cached_property
    def graphs(self) -> dict[tuple[int, tuple[ArrayType, ...]], Graph]:
        """The graph of a call alone, by the result that it gives and the types of its operands."""
        return {}


def _type(*types: ArrayType, call: UserFunction, part: int = 0) -> ArrayType:
    least, most = call.arity
    if not least <= len(types) <= most:
        raise ArgumentError(f"{call.name} takes {_count(least, most)}, got {len(types)}")
    wanted = call.results[part]
    result = None if wanted is None else lambda _: wanted
    found = elementwise_type(call.name, _ACCEPTED, result)(*types)
    return found if wanted is None else found.strong()


def _count(least: int, most: int) -> str:
    return f"{most} operand{'s' * (most != 1)}" if least == most else f"{least} to {most} operands"


def _is_single(dtype: np.dtype) -> bool:
    """Whether a dtype is computed with in float32."""
    return dtypes.is_inexact(dtype) and dtypes.real_of(dtype).itemsize <= 4


def _evaluate(xp: Any, *arrays: Any, call: UserFunction, part: int = 0) -> Any:
    types = tuple([array_type(np.shape(a), a.dtype) for a in arrays])
    out = _type(*types, call=call, part=part)
    if out.size > BY_PYTHON:
        graph = call.graphs.get((part, types))
        if graph is None:
            alone = lambda *xs: [bind(elementwise_function_p, *xs, call=call, part=part)]  # noqa: E731
            graph = call.graphs[part, types] = trace_to_graph(alone, types, call.name).graph
        return execute(graph, arrays)[0]
    half = types[0].dtype.itemsize == 2 and dtypes.is_float(types[0].dtype)
    given = [np.asarray(a).astype(dtypes.float32) if half else np.asarray(a) for a in arrays]
    values = np.empty(out.shape, out.dtype)
    for index in np.ndindex(out.shape):
        value = call.python(*[a[index] if a.ndim else a[()] for a in given])
        if call.several:
            value = _parts(call, value)[part]
        if not isinstance(value, int | float | complex | np.generic | np.ndarray) or np.ndim(value):
            raise KernelError(f"the function {call.name} returned {value!r:.60} where a number is expected")
        values[index] = value
    return values


def _parts(call: UserFunction, value: Any) -> Sequence[Any]:
    """The results of a function that was said to have several."""
    count = len(call.results)
    if not isinstance(value, tuple | list) or len(value) != count:
        raise KernelError(
            f"the function {call.name} returned {value!r:.60} where a tuple of {count} numbers is expected",
            hint="outputs= says how many numbers the function returns",
        )
    return value


def _jvp(
    primals: Sequence[Any], tangents: Sequence[Any], *, call: UserFunction, part: int = 0
) -> tuple[Any, Any]:
    out = bind(elementwise_function_p, *primals, call=call, part=part)
    type = type_of(out)
    if not dtypes.is_inexact(type.dtype) or all(t.__class__ is Zero for t in tangents):
        return out, Zero(type.tangent())
    if call.derivative is None:
        names = ", ".join(python_function(call.function).__code__.co_varnames[: len(primals)])
        raise NotDifferentiableError(
            f"{call.name} is a function of yours made by elementwise, and has no derivative",
            hint=f"give its partial derivatives: elementwise({call.name}, derivative=lambda {names}: ...), a "
            f"function of arrays that returns {'one' if len(primals) == 1 else f'a tuple of {len(primals)}'}, with "
            "None for zero, made of funcgrad.numpy or of another elementwise function"
            + (f"; of each result, in a tuple of {len(call.results)}" if call.several else ""),
        )
    given = call.derivative(*primals)
    if call.several:
        if not isinstance(given, tuple | list) or len(given) != len(call.results):
            raise ArgumentError(
                f"the derivative of {call.name} has to return a tuple with an entry for each of its "
                f"{len(call.results)} results, got "
                + (f"{len(given)} entries" if isinstance(given, tuple | list) else given.__class__.__name__),
                hint="an entry is a tuple of the partial derivatives of that result by each operand (the one where "
                "there is one operand), or None where all are zero",
            )
        given = given[part]
        if given is None:
            return out, Zero(type.tangent())
    partials = list(given) if isinstance(given, tuple | list) else [given]
    if len(partials) != len(primals):
        raise ArgumentError(
            f"the derivative of {call.name} returned {len(partials)} partial derivatives, and {call.name} has "
            f"{len(primals)} operands",
            hint="return a tuple with one partial derivative for each operand; None stands for zero",
        )
    total: Any = None
    for partial, tangent in zip(partials, tangents):
        if partial is None or tangent.__class__ is Zero:
            continue
        shape = type_of(partial).shape
        if shape and shape != type.shape:
            raise ShapeError(
                f"the derivative of {call.name} returned {type_of(partial)} where its output is {type}",
                hint="a partial derivative is elementwise: it has the shape of the output",
            )
        term = ops.mul(ops.convert(tangent, type.dtype), ops.convert(partial, type.dtype))
        total = term if total is None else ops.add(total, term)
    return out, Zero(type.tangent()) if total is None else ops.broadcast_to(total, type.shape)


def _lower(in_types: Sequence[ArrayType], out_types: Any, *, call: UserFunction, part: int = 0) -> expr.Map:
    out = expr.one_type(out_types)
    code = call.single if _is_single(in_types[0].dtype) else call.wide
    if call.several:
        code = replaced(code, part=part)
    args = tuple([expr.read_all(k, t, out.ndim) for k, t in enumerate(in_types)])
    return expr.Map(expr.Op(code, args, out.dtype))


def _hypotenuse(x: float, y: float) -> float:
    if x == 0.0 and y == 0.0:
        return 0.0
    return math.sqrt(x * x + y * y) + 0.5 * math.exp(-x * x)


def _hypotenuse_partials(x: Any, y: Any) -> tuple[Any, Any]:
    root = ops.sqrt(ops.add(ops.mul(x, x), ops.mul(y, y)))
    bell = ops.mul(x, ops.exp(ops.neg(ops.mul(x, x))))
    return ops.sub(ops.div(x, root), bell), ops.div(y, root)


def _polar(x: float, y: float) -> tuple[float, float]:
    return math.hypot(x, y), math.atan2(y, x)


def _polar_partials(x: Any, y: Any) -> tuple[Any, Any]:
    square = ops.add(ops.mul(x, x), ops.mul(y, y))
    root = ops.sqrt(square)
    return (ops.div(x, root), ops.div(y, root)), (ops.neg(ops.div(y, square)), ops.div(x, square))


def _samples() -> Iterable[Sample]:
    smooth = {"call": UserFunction(_hypotenuse, _hypotenuse_partials, (None,), "sample")}

    def draw(*shape: int, dtype: np.dtype = dtypes.float32) -> Callable[..., Any]:
        return lambda rng: (rng.uniform(0.5, 2.0, shape) * rng.choice([-1, 1], shape)).astype(dtype)

    for a, b in [((2, 3), (2, 3)), ((3,), ()), ((), (3,)), ((), ()), ((0, 2), (0, 2))]:
        yield Sample((draw(*a), draw(*b)), smooth, (0, 1))
    for dtype in (dtypes.float64, dtypes.float16, dtypes.bfloat16):
        yield Sample((draw(3, dtype=dtype), draw(3, dtype=dtype)), smooth, (0, 1))
    counted = {"call": UserFunction(lambda n: n % 3 == 1, None, (dtypes.bool_,), "sample")}
    yield Sample((lambda rng: rng.integers(0, 9, 4),), counted, ())
    polar = {"call": UserFunction(_polar, _polar_partials, (None, None), "sample", True)}
    for part in (0, 1):
        yield Sample((draw(2, 3), draw(2, 3)), {**polar, "part": part}, (0, 1))


elementwise_function_p = Primitive(
    name="elementwise_function",
    type_rule=_type,
    evaluate=_evaluate,
    jvp=_jvp,
    transpose=None,
    batch=batch_elementwise("elementwise_function"),
    lower=_lower,
    samples=_samples,
)

"""Binding an operation in the current trace.

Owns the one piece of mutable state of tracing: which trace is current in this thread. `bind` hands a
primitive and its operands to that trace. Outside every transform the current trace is `EAGER`, which calls
NumPy. Each transform pushes a trace of its own for the time of a call, and each trace hands what it does not
care about to its `parent`.
"""

from __future__ import annotations

import contextvars
import functools
import gc
import sys
import threading
import weakref
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

import numpy as np

from funcgrad import dtypes
from funcgrad.array import (
    Array,
    ArrayMethods,
    ShapeDtypeStruct,
    array_of,
    no_axes_to_iterate,
    no_single_truth,
)
from funcgrad.config import config
from funcgrad.errors import (
    ConcretizationError,
    DTypeError,
    FuncgradError,
    Held,
    LeakedTracerError,
    NotDifferentiableError,
    UnhashableError,
    boundary,
)
from funcgrad.ir.primitive import LINEAR_RULES, Linear, Primitive
from funcgrad.ir.types import ArrayType, array_type
from funcgrad.source import SourceLine, user_line
from funcgrad.trace.advice import instead_of_loop

F = TypeVar("F", bound=Callable[..., Any])


class Trace:
    """What happens to an operation. `alive` turns false when the traced function has returned; `eager` says that
    operations run at once, outside every transform."""

    parent: Trace
    alive: bool = True
    eager: bool = False

    def apply(self, primitive: Primitive, operands: Sequence[Any], params: dict[str, Any]) -> Any:
        raise NotImplementedError

    def decide(self, condition: Tracer) -> bool:
        """The truth value of a traced scalar, of which this trace may ask for every outcome in turn."""
        return self.parent.decide(condition)

    def call_custom_jvp(self, call: Any, operands: Sequence[Any]) -> Any:
        """Apply a function with a derivative rule of its own; see prims/custom.py."""
        return call.stage(operands)

    call_custom_vjp = call_custom_jvp


class Tracer(ArrayMethods):
    """A value inside a traced function. It has a type; whether it has a value at hand depends on the trace."""

    __slots__ = ("made_by", "source")
    made_by: Trace
    source: SourceLine | None

    def at_hand(self) -> bool:
        """Whether there is a value behind it, which `concrete` gives."""
        return False

    def concrete(self, wanted: str, hint: str, loop: bool = False) -> Array:
        """The value at hand, as an Array. Abstract tracers raise ConcretizationError; with `loop` it says what to
        write in place of a loop over a range, where the user's line has one."""
        where = f"\n  the value was computed at {self.source}" if self.source else ""
        instead = instead_of_loop(user_line(2)) if loop else None
        if instead is not None:
            hint = instead.text
        raise ConcretizationError(
            f"{wanted} needs the value of a traced array of type {self.type}, but inside jit or vmap only its "
            f"shape and dtype are known{where}",
            hint=hint,
        )

    def __bool__(self) -> bool:
        check_alive(self)
        if self.type.size != 1:
            raise no_single_truth(self.type)
        return state.trace.decide(self)

    def __float__(self) -> float:
        hint = "keep the array, or use x.astype(float); the functions of math are in funcgrad.numpy too"
        return float(self.concrete("float()", hint))

    def __int__(self) -> int:
        return int(
            self.concrete(
                "int()",
                "keep the array, or use x.astype(int); make a size a static argument (static_argnums)",
                loop=True,
            )
        )

    def __complex__(self) -> complex:
        return complex(self.concrete("complex()", "keep the array, or use x.astype(complex)"))

    def __index__(self) -> int:
        return self.concrete(
            "a Python index, range or shape",
            "index with funcgrad arrays (x[i] works with a traced i), use lax.fori_loop or lax.scan for the loop, "
            "or make the argument static (static_argnums)",
            loop=True,
        ).__index__()

    @boundary
    def __hash__(self) -> int:
        raise UnhashableError(
            f"traced values have no hash: {self.type}",
            hint="a dict cannot be asked for one: put its entries in an array, and index that, or choose a function by "
            "lax.switch",
        )

    def item(self, *index: int) -> Any:
        return self.concrete(".item()", "return the array from the function and read it outside").item(*index)

    def tolist(self) -> Any:
        return self.concrete(".tolist()", "return the array from the function and read it outside").tolist()

    def __array__(self, *args: Any, **kwargs: Any) -> np.ndarray:
        raise ConcretizationError(
            f"a traced array of type {self.type} cannot become a NumPy array: NumPy would compute outside the "
            "trace, and derivatives and compiled code would miss it",
            hint="use the function of the same name in funcgrad.numpy, for example funcgrad.numpy.sin for numpy.sin",
        )

    def __iter__(self) -> Iterator[Any]:
        if not self.shape:
            raise no_axes_to_iterate(self.type)
        return (self[i] for i in range(self.shape[0]))  # type: ignore[index]

    def block_until_ready(self) -> Any:
        return self

    def __format__(self, spec: str) -> str:
        return format(str(self), spec if not spec or spec[-1] in "s<>^" else "")

    def __repr__(self) -> str:
        return f"{type(self).__name__}<{self.type}>"

    def __copy__(self) -> Any:
        return self

    def __deepcopy__(self, memo: Any) -> Any:
        return self


A_CONDITION = "a Python condition (if, while, and, or, not, assert)"
INSTEAD_OF_A_CONDITION = (
    "use funcgrad.numpy.where or funcgrad.lax.cond for the choice, & | ~ instead of and/or/not, make the argument "
    "static (static_argnums), or let jit trace every outcome: funcgrad.config.update('python_branches', 64)"
)


class _State(threading.local):
    """The current trace of this thread, the source line of the equation that is being interpreted, and `quiet`,
    which calls a function with NumPy's floating-point warnings off.

    `np.errstate` around each operation would cost more than the operation. NumPy keeps its error state in the
    context of the caller (contextvars), so a context of our own, made once a thread, does it in no time.
    """

    trace: Trace
    source: SourceLine | None = None
    quiet: Callable[..., Any]

    def __init__(self) -> None:
        self.quiet = self.new_quiet()

    @staticmethod
    def new_quiet() -> Callable[..., Any]:
        """What `quiet` is, with a context of its own, which one thread can be in at a time: others get RuntimeError."""
        context = contextvars.copy_context()
        context.run(np.seterr, all="ignore")
        return context.run


state: _State


def bind(primitive: Primitive, *operands: Any, **params: Any) -> Any:
    """Apply `primitive` in the current trace. Gives one value, or a list where it has several results."""
    return state.trace.apply(primitive, operands, params)


class current:
    """Make `trace` the current one inside a `with` block."""

    __slots__ = ("before", "trace")

    def __init__(self, trace: Trace):
        self.trace = trace

    def __enter__(self) -> Trace:
        self.before = state.trace
        state.trace = self.trace
        return self.trace

    def __exit__(self, *exception: Any) -> None:
        state.trace = self.before


def check_alive(tracer: Tracer) -> None:
    """Raise LeakedTracerError for a value whose traced function has returned."""
    if not tracer.made_by.alive:
        made = f"; it was computed at {tracer.source}" if tracer.source else ""
        raise LeakedTracerError(
            f"a traced value of type {tracer.type} is used after the function that made it has returned{made}",
            hint="return it from the traced function, instead of keeping it in a global, an attribute, a list or "
            "a closure",
        )


def no_leaks(function: F) -> F:
    """Mark a function that makes traces: with the setting `check_tracer_leaks`, raise LeakedTracerError where a
    traced value lives on after it."""

    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        if not config.check_tracer_leaks:
            return function(*args, **kwargs)
        before = len(_finished)
        result = function(*args, **kwargs)
        made = _finished[before:]
        del _finished[before:]
        gc.collect()
        for reference in made:
            trace = reference()
            if trace is not None:
                _report_leak(trace)
        return result

    return wrapper  # type: ignore[return-value]


_finished: list[weakref.ref[Trace]] = []
"""Traces whose function has returned, while leaks are looked for."""


def finish(trace: Trace) -> None:
    """End a trace: its values are of no use from now on."""
    trace.alive = False
    if config.check_tracer_leaks:
        _finished.append(weakref.ref(trace))


def _report_leak(trace: Trace) -> None:
    for tracer in gc.get_referrers(trace):
        if isinstance(tracer, Tracer):
            made = f", computed at {tracer.source}," if tracer.source else ""
            raise LeakedTracerError(
                f"a traced value of type {tracer.type}{made} lives on after the function that was traced has "
                f"returned{_holder(tracer)}",
                hint="return it from the traced function, instead of keeping it in a global, an attribute, a list or "
                "a closure",
            )


def _holder(tracer: Tracer) -> str:
    """Words for what keeps a value alive."""
    for holder in gc.get_referrers(tracer):
        if isinstance(holder, dict):
            name = next((k for k, v in holder.items() if v is tracer), None)
            where = f" of module {holder['__name__']}" if "__name__" in holder else ""
            return f": {name!r}{where} holds it"
        if isinstance(holder, list | set) and holder is not sys._getframe(1).f_locals:
            return f": a {type(holder).__name__} holds it"
    return ""


PYTHON_SCALARS = (bool, int, float, complex)
_SCALAR_KINDS = frozenset(PYTHON_SCALARS)
_TYPED = (ArrayMethods, ShapeDtypeStruct)
_NUMPY = (np.ndarray, np.generic)
WEAK_SCALARS = (*PYTHON_SCALARS, np.float64, np.complex128)
"""The classes of numbers that give way to the dtype of what they are combined with: Python's, and NumPy's that are
Python floats and complex numbers too, such as `numpy.sqrt(2)`, which keep their dtype where they are alone."""


def scalar_kind(value: Any) -> type | None:
    """bool, int, float or complex for a Python number, which may be of a subclass such as an IntEnum; else None."""
    if isinstance(value, PYTHON_SCALARS) and not isinstance(value, np.generic):
        return next(kind for kind in PYTHON_SCALARS if isinstance(value, kind))
    return None


def type_of(value: Any) -> ArrayType:
    """The ArrayType of anything that can be an operand; DTypeError for anything else."""
    kind = value.__class__
    if kind is Array:
        return value._type or value.type
    if isinstance(value, _TYPED):
        return value.type
    if kind in _SCALAR_KINDS:
        return array_type((), dtypes.of_python_scalar(kind), kind is not bool)
    if isinstance(value, _NUMPY):
        if "numpy.ma" in sys.modules and isinstance(value, np.ma.MaskedArray):  # it is slow to import
            raise DTypeError(
                "a masked array of NumPy has elements that are missing, which arrays here cannot have",
                hint="pass x.filled(0) and the mask x.mask, and use funcgrad.numpy.where",
            )
        dtype = value.dtype
        if dtype not in dtypes.KNOWN:
            dtype = dtypes.as_dtype(dtype)
        return array_type(value.shape, dtype, kind in WEAK_SCALARS)
    if hasattr(value, "__array__") and not isinstance(value, Held):
        return type_of(numpy_of(value))
    number = scalar_kind(value)
    if number is not None:
        return array_type((), dtypes.of_python_scalar(number), number is not bool)
    if kind is Linear:
        raise NotDifferentiableError(
            "an operation combines values in which reverse mode takes the function to be linear, so that it is not",
            where=state.source,
            hint=LINEAR_RULES,
        )
    raise DTypeError(
        f"{value!r:.200} of type {kind.__name__} is not an array or a number", hint=operand_hint(value)
    )


def operand_hint(value: Any) -> str:
    """What to do about a value that is no array or number."""
    if isinstance(value, Held):
        return "read it: ref[...] is the array that a Ref holds"
    if isinstance(value, list | tuple):
        return "convert it with funcgrad.numpy.array(...)"
    if isinstance(value, dict):
        return (
            "it is a tree of arrays: choose one of them, or apply the function to each with funcgrad.tree.map"
        )
    if value is None:
        return "pass an array or a Python number; a None often comes from a function that lacks its return"
    if isinstance(value, str):
        return "pass an array or a number; text that chooses what to do is a static argument of jit (static_argnames)"
    return "pass an array or a Python number; other Python objects can be static arguments of jit"


def numpy_of(value: Any) -> np.ndarray:
    """The NumPy array that another library's array gives; DTypeError, with its reason, where it gives none."""
    try:
        return np.asarray(value)
    except FuncgradError:
        raise
    except Exception as error:
        kind = type(value)
        raise DTypeError(
            f"a {kind.__module__}.{kind.__qualname__} does not become an array: {error}",
            hint="hand over its numbers with numpy.asarray(x); of a tensor of torch, x.detach().cpu().numpy()",
        ) from error


def named_type(value: Any) -> str:
    """The type of a value in words for messages: a traced value is an array to whoever wrote the function."""
    return "an array" if isinstance(value, Tracer | Array) else type(value).__name__


def is_operand(value: Any) -> bool:
    """Whether `type_of` would give a type: arrays, tracers, NumPy arrays and scalars, Python numbers."""
    kind = value.__class__
    return (
        kind is Array
        or isinstance(value, _TYPED)
        or kind in _SCALAR_KINDS
        or isinstance(value, (*_NUMPY, *PYTHON_SCALARS))
        or (hasattr(value, "__array__") and not isinstance(value, type | Held))
    )


def data_of(value: Any) -> Any:
    """The NumPy array or scalar of a concrete operand, in one of funcgrad's dtypes."""
    kind = value.__class__
    if kind is Array:
        return value._data
    if isinstance(value, np.generic) and value.dtype in dtypes.KNOWN:
        return value
    if kind in _SCALAR_KINDS:
        return dtypes.of_python_scalar(kind).type(value)
    if isinstance(value, Tracer):
        check_alive(value)
        raise LeakedTracerError(
            f"a traced value of type {value.type} is used outside the trace that it belongs to",
            hint="pass it as an argument, or return it from the traced function",
        )
    if kind is ShapeDtypeStruct:
        raise DTypeError(
            f"{value} has no elements to compute with", hint="pass an array, or use eval_shape or lower"
        )
    number = scalar_kind(value)
    if number is not None:
        return dtypes.of_python_scalar(number).type(value)
    data = np.asarray(value)
    dtype = type_of(data).dtype
    return data if data.dtype == dtype else data.astype(dtype)


def out_types(primitive: Primitive, types: tuple[ArrayType, ...], params: dict[str, Any]) -> Any:
    """What `primitive` gives for operands of these types; remembered, since it is asked again and again."""
    if not params:
        return _out_types(primitive, types, ())
    if primitive.partial is not None:  # its parameters are graphs, which should not be kept alive here
        return primitive.type_rule(*types, **params)
    try:
        return _out_types(primitive, types, tuple(params.items()))
    except TypeError as error:
        if isinstance(error, FuncgradError):
            raise
        return primitive.type_rule(*types, **params)


@functools.lru_cache(maxsize=8192)
def _out_types(primitive: Primitive, types: tuple[ArrayType, ...], items: tuple[Any, ...]) -> Any:
    return primitive.type_rule(*types, **dict(items))


_IMMUTABLE = (np.generic, *PYTHON_SCALARS)


def as_array(value: Any) -> Any:
    """A concrete value as an Array of its own; Arrays, traced values and float0 zeros stay as they are."""
    if value.__class__ is Array or isinstance(value, Tracer):
        return value
    t = type_of(value)
    return value if t.dtype == dtypes.float0 else Array(np.array(data_of(value)), t)


def _apart(out: Any, operands: Sequence[Any]) -> Any:
    """`out`, copied where it may be one of the operands or a view."""
    if out.__class__ is np.ndarray and (out.base is not None or any(out is x for x in operands)):
        return out.copy()
    return out


def _as_it_is(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    return function(*args, **kwargs)


def undisturbed(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Call a function with NumPy's floating-point warnings off."""
    quiet, state.quiet = state.quiet, _as_it_is  # a context cannot be entered twice
    try:
        return quiet(function, *args, **kwargs)
    finally:
        state.quiet = quiet


class EagerTrace(Trace):
    """The trace outside every transform: calls NumPy and wraps the result."""

    eager = True

    def apply(self, primitive: Primitive, operands: Sequence[Any], params: dict[str, Any]) -> Any:
        types, data, foreign = [], [], False
        for x in operands:
            if x.__class__ is Array:
                types.append(x._type or x.type)
                data.append(x._data)
            else:
                types.append(type_of(x))
                data.append(data_of(x))
                foreign = foreign or not isinstance(x, _IMMUTABLE)  # an ndarray that the user may change
        type = out_types(primitive, tuple(types), params)
        out = undisturbed(primitive.evaluate, np, *data, **params)
        if primitive.multiple_results:
            if foreign:
                out = [_apart(o, data) for o in out]
            return [array_of(o, t) for o, t in zip(out, type)]
        if foreign:
            out = _apart(out, data)
        return Array(out if out.__class__ is np.ndarray else np.asarray(out), type)

    def decide(self, condition: Tracer) -> bool:
        return bool(condition.concrete(A_CONDITION, INSTEAD_OF_A_CONDITION))

    def call_custom_jvp(self, call: Any, operands: Sequence[Any]) -> Any:
        return [as_array(out) for out in call.function(*operands)]

    call_custom_vjp = call_custom_jvp

    def look(
        self, primitive: Primitive, operands: Sequence[Any], params: dict[str, Any], outs: Sequence[Any]
    ) -> None:
        """Look at the results of an operation; traces that stand in the place of this one do something here."""


EAGER = EagerTrace()
EAGER.parent = EAGER
_State.trace = EAGER
state = _State()


def eager() -> bool:
    """Whether no transform is under way in this thread."""
    return state.trace is EAGER

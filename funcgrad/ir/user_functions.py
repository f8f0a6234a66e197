"""Functions that users write for kernels: the text that defines one, and its form for evaluation by Python.

A kernel is a text that says everything, so that its hash is its key. So a user's function enters it by its bytecode
and by the values of what it refers to: numbers, tuples of them, small constant arrays, `math`, `numpy`, and functions
of the same kind, compiled by Numba or not. Its source stands beside it as a comment, where there is one. Nothing here
compiles anything.
"""

from __future__ import annotations

import builtins
import cmath
import dis
import hashlib
import inspect
import marshal
import math
import textwrap
import types
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from funcgrad.errors import KernelError
from funcgrad.ir.expr import ArrayFunction, ScalarFunction

LARGEST_TABLE = 1 << 16
"""Bytes of a constant array inside a kernel."""

_MODULES = {math: "math", np: "numpy", cmath: "cmath"}
_LOOPS = ("JUMP_BACKWARD", "JUMP_ABSOLUTE")  # the second in Python 3.10
_CALL, _ROUNDS = 15, 8


def python_function(function: Any) -> types.FunctionType:
    """The Python function behind `function`, which Numba may have compiled."""
    own = getattr(function, "py_func", function)
    if not isinstance(own, types.FunctionType):
        raise KernelError(
            f"a kernel is made of a Python function, got {function!r:.80} of type {type(function).__name__}",
            hint="write a function with def or lambda (functools.partial, classes and methods have no bytecode of "
            "their own): def f(x): ...",
        )
    if own.__code__.co_flags & (inspect.CO_VARARGS | inspect.CO_VARKEYWORDS | inspect.CO_GENERATOR):
        raise KernelError(
            f"the function {own.__name__} takes *args or **kwargs, or yields, which kernels cannot do",
            hint="name every argument",
        )
    return own


def references(function: types.FunctionType) -> tuple[dict[str, Any], tuple[Any, ...]]:
    """What a function's globals and closure hold of what it uses; builtins are left out."""
    names: dict[str, Any] = {}
    for name in sorted(_global_names(function.__code__)):
        if name in function.__globals__:
            names[name] = function.__globals__[name]
        elif not hasattr(builtins, name):
            raise KernelError(f"the function {function.__name__} uses {name!r}, which is not defined")
    return names, tuple([cell.cell_contents for cell in function.__closure__ or ()])


def _global_names(code: types.CodeType) -> Iterator[str]:
    for instruction in dis.get_instructions(code):
        if instruction.opname in ("LOAD_GLOBAL", "LOAD_NAME"):
            yield instruction.argval
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _global_names(constant)


def _anonymous(code: types.CodeType) -> types.CodeType:
    """The code without the file and the line where it begins."""
    constants = tuple([_anonymous(c) if isinstance(c, types.CodeType) else c for c in code.co_consts])
    named: dict[str, Any] = (
        {"co_qualname": code.co_name} if hasattr(code, "co_qualname") else {}
    )  # Python 3.11
    return code.replace(co_consts=constants, co_filename="<user>", co_firstlineno=1, **named)


def _weight(code: types.CodeType) -> int:
    """A guess of the cost of a call, in additions."""
    total, loops = 0, False
    for instruction in dis.get_instructions(code):
        total += instruction.opname.startswith("BINARY")
        total += _CALL * instruction.opname.startswith("CALL")
        loops = loops or instruction.opname.startswith(_LOOPS)
    return max(total, 1) * (_ROUNDS if loops else 1)


class _Text:
    """Definitions of functions, each after what it refers to. `maker` says what makes one, with which `options`."""

    def __init__(self, maker: str, options: str):
        self.maker, self.options = maker, options
        self.definitions: dict[str, str] = {}
        self.weight = 0
        self._underway: list[types.FunctionType] = []

    def define(self, function: types.FunctionType) -> str:
        """Add a function and what it refers to; gives its name in the text."""
        if function in self._underway:
            raise KernelError(
                f"the function {function.__name__} calls itself, which a kernel cannot do",
                hint="write a loop",
            )
        self._underway.append(function)
        names, cells = references(function)
        shown = "".join(f"{k!r}: {self.value(v, function, k)}, " for k, v in names.items())
        held = "".join(
            f"{self.value(v, function, k)}, " for k, v in zip(function.__code__.co_freevars, cells)
        )
        defaults = self.value(function.__defaults__, function, "a default")
        self._underway.pop()
        code = marshal.dumps(_anonymous(function.__code__), 2)  # this version always gives the same bytes
        arguments = f"{code!r}, {{{shown}}}, ({held}), {defaults}{self.options}"
        # no function's name is part of its name in the kernel where it could be anything but a word of Python
        word = function.__name__ if function.__name__.isidentifier() else "function"
        name = f"user_{word}_{hashlib.sha256(arguments.encode()).hexdigest()[:12]}"
        self.weight += _weight(function.__code__)
        self.definitions.setdefault(name, f"{_comment(function)}{name} = {self.maker}({arguments})\n")
        return name

    def value(self, value: Any, function: types.FunctionType, name: str) -> str:
        """The text of something that `function` refers to by `name`."""
        kind = type(value)
        if value is None or kind in (bool, int, str):
            return repr(value)
        if kind is float:
            return repr(value) if math.isfinite(value) else f"float({str(value)!r})"
        if kind is complex:
            return (
                f"complex({self.value(value.real, function, name)}, {self.value(value.imag, function, name)})"
            )
        if kind is tuple:
            return "(" + "".join(f"{self.value(v, function, name)}, " for v in value) + ")"
        if isinstance(value, types.ModuleType) and value in _MODULES:
            return f"user.Library({_MODULES[value]!r})"
        for module, known in _MODULES.items():
            own = getattr(value, "__name__", None)
            if isinstance(own, str) and getattr(module, own, None) is value:
                return f"user.Library({known!r}, {own!r})"
        if isinstance(value, np.generic):
            return f"np.{value.dtype.name}({self.value(value.item(), function, name)})"
        if isinstance(value, np.ndarray) and value.nbytes <= LARGEST_TABLE and value.dtype.kind in "biufc":
            return f"user.table({value.tobytes()!r}, {value.dtype.str!r}, {value.shape!r})"
        if isinstance(getattr(value, "py_func", value), types.FunctionType):
            return self.define(python_function(value))
        if isinstance(value, types.ModuleType):
            raise KernelError(
                f"the function {function.__name__} uses the module {value.__name__} ({name}), which no kernel knows",
                hint="a kernel is compiled by Numba: use math and numpy in it, and write loops",
            )
        raise KernelError(
            f"the function {function.__name__} uses {name!r}, which is {value!r:.60} of type {kind.__name__}; a "
            "kernel can refer to numbers, tuples of them, small NumPy arrays, math, numpy and functions",
            hint=f"pass {name} as an argument of the function",
        )


def _comment(function: types.FunctionType) -> str:
    try:
        source = textwrap.dedent(inspect.getsource(function))
    except (OSError, TypeError):
        return ""
    return "".join(f"# {line}\n" for line in source.splitlines())


def scalar_function(function: Any, single: bool) -> ScalarFunction:
    """A function of numbers as an opcode; where `single`, its constants are float32."""
    text = _Text("user.scalar", ", single=True" if single else "")
    name = text.define(python_function(function))
    return ScalarFunction(name, "".join(text.definitions.values()), text.weight, function)


def array_function(function: Any) -> ArrayFunction:
    """A function of arrays, with the options that were given to `numba.njit`."""
    given = dict(getattr(function, "targetoptions", {}))
    options = {k: given[k] for k in ("fastmath", "error_model", "boundscheck") if k in given}
    text = _Text("user.whole", "".join(f", {k}={v!r}" for k, v in options.items()))
    name = text.define(python_function(function))
    return ArrayFunction(name, "".join(text.definitions.values()))


# Evaluation: the function itself, on NumPy's scalars, which follow IEEE 754 where Python's would raise.
def _ieee(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function of `math` that gives NaN and infinities instead of errors."""

    def quiet(*args: Any) -> Any:
        try:
            return function(*args)
        except ValueError:
            return math.nan
        except OverflowError:
            return math.inf

    return quiet


def _log(x: Any, base: Any = None) -> Any:
    return np.log(x) if base is None else np.log(x) / np.log(base)


_SAME = (
    "exp",
    "exp2",
    "expm1",
    "log1p",
    "log2",
    "log10",
    "sin",
    "cos",
    "tan",
    "sinh",
    "cosh",
    "tanh",
    "sqrt",
    "cbrt",
)
_RENAMED = {"asin": "arcsin", "acos": "arccos", "atan": "arctan", "atan2": "arctan2", "asinh": "arcsinh"}
_RENAMED |= {
    "acosh": "arccosh",
    "atanh": "arctanh",
    "pow": "power",
    "log": "log",
    "fmod": "fmod",
    "fabs": "fabs",
}
_RENAMED |= {k: k for k in (*_SAME, "hypot", "copysign", "isnan", "isinf", "isfinite", "degrees", "radians")}

_math = types.ModuleType("funcgrad_python_math")
_math.__dict__.update({k: v for k, v in vars(math).items() if not k.startswith("_")})
_math.__dict__.update({k: _ieee(getattr(math, k)) for k in ("floor", "ceil", "gamma", "lgamma", "ldexp")})
_math.__dict__.update({k: getattr(np, v) for k, v in _RENAMED.items()})
_math.__dict__.update(trunc=_ieee(int), log=_log)
_OF_MATH = {f: k for k, f in vars(math).items() if callable(f)}


def python_form(function: Any) -> Callable[..., Any]:
    """The function as Python runs it on NumPy scalars."""

    def form(value: Any) -> Any:
        if value is math:
            return _math
        if isinstance(value, types.BuiltinFunctionType) and value in _OF_MATH:
            return getattr(_math, _OF_MATH[value])
        if isinstance(getattr(value, "py_func", value), types.FunctionType):
            return python_form(value)
        return value

    own = python_function(function)
    names, cells = references(own)
    space = {"__name__": own.__module__, "__builtins__": builtins, **{k: form(v) for k, v in names.items()}}
    closure = tuple([types.CellType(form(c)) for c in cells])
    return types.FunctionType(own.__code__, space, own.__name__, own.__defaults__, closure)

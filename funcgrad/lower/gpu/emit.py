"""Prints a kernel's loop IR as CUDA C: one `extern "C" __global__` function that needs only funcgrad.cuh.

The text depends on the kernel alone, and is right for every grid; `mapping` says which grid suits it. It
compiles and launches nothing, and imports no GPU library.

Two mappings. By thread: each thread takes parallel iterations of its own, a grid apart. By block: a block
takes an iteration, its threads share the vector and reduce loops inside, and meet in shared memory and warp
shuffles; the block's size must be a multiple of 32.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from funcgrad import dtypes
from funcgrad.errors import FuncgradError
from funcgrad.ir.expr import ScalarFunction
from funcgrad.lower import heuristics, loopir
from funcgrad.lower.gpu.user_scalar import NotTranslatable, Translated, kind_of, translated
from funcgrad.lower.loopir import (
    PARALLEL,
    REDUCE,
    SEQUENTIAL,
    TILES,
    VECTOR,
    Accumulator,
    Apply,
    Assign,
    Choose,
    Combine,
    CombineArg,
    Int,
    IntOf,
    IntOp,
    Kernel,
    LeaveUnless,
    Let,
    LetInt,
    Lit,
    Load,
    Loop,
    Name,
    OfInt,
    Ref,
    Scalar,
    Statement,
    Store,
    Switch,
    Update,
    Variable,
    When,
    While,
)
from funcgrad.lower.nest import identity
from funcgrad.lower.nodes import is_half

BY_THREAD, BY_BLOCK = "thread", "block"

_COMPARE = {"eq": "==", "ne": "!=", "lt": "<", "le": "<=", "gt": ">", "ge": ">="}
_ARITHMETIC = {"add": "+", "sub": "-", "mul": "*"}
_BITS = {"and": "&", "or": "|", "xor": "^"}
_RENAMED = {"max": "maximum", "min": "minimum", "round": "round_even"}
_LIBRARY = frozenset(
    [
        "exp",
        "exp2",
        "expm1",
        "log",
        "log2",
        "log10",
        "log1p",
        "sin",
        "cos",
        "tan",
        "asin",
        "acos",
        "atan",
        "atan2",
        "sinh",
        "cosh",
        "tanh",
        "asinh",
        "acosh",
        "atanh",
        "erf",
        "erfc",
        "sqrt",
        "rsqrt",
        "cbrt",
        "pow",
        "lgamma",
        "floor",
        "ceil",
        "nextafter",
    ]
)
"""Functions of CUDA's own library, with an f at the end for float32."""
_HELPERS = frozenset(
    [
        "max",
        "min",
        "abs",
        "sign",
        "square",
        "logistic",
        "erf_inv",
        "round",
        "round_even",
        "round_away",
        "is_finite",
        "clamp",
        "select",
        "div",
        "rem",
        "shift_left",
        "shift_right_logical",
        "shift_right_arithmetic",
        "population_count",
        "clz",
    ]
)
"""Functions of funcgrad.cuh."""
_SHARED = ("add", "mul", "max", "min", "and", "or")
_FLOAT32, _INT64 = np.dtype(np.float32), np.dtype(np.int64)


class NotPrintable(FuncgradError):
    """A kernel that has no CUDA C, and why."""


def emit(kernel: Kernel, name: str = "kernel") -> str:
    """The CUDA C of `kernel`: `name(lo, hi, buffers..., integers..., scalars...)`; NotPrintable where a dtype
    or an operation has none."""
    if kernel.taped:
        raise NotPrintable("a tape that grows, which reverse mode through a while loop keeps, has no CUDA C")
    by_block = mapping(kernel) == BY_BLOCK
    arguments = ["int64 lo", "int64 hi"]
    arguments += [f"{'const ' * (b.role == 'in')}{_stored_type(b.dtype)}* {b.name}" for b in kernel.buffers]
    arguments += [f"int64 {n}" for n in kernel.integers]
    arguments += [f"{c_type(s.dtype)} {s.name}" for s in kernel.scalars]
    printer = _Block(kernel) if by_block else _Thread()
    body = list(printer.statements(kernel.body, "    ", {}))
    if _parallel_body(kernel.body) is None:
        others = "blockIdx.x != 0" if by_block else "blockIdx.x != 0 || threadIdx.x != 0"
        body.insert(0, f"    if ({others}) return;")
    where = "block" if by_block else "thread"
    functions = dict.fromkeys(_translated(call).text for call in _calls_of_users(kernel.body))
    return "\n".join(
        [
            '#include "funcgrad.cuh"',
            "",
            *(f"{text}\n" for text in functions),
            f"// one {where} per parallel iteration",
            f'extern "C" __global__ void {name}({", ".join(arguments)}) {{',
            *body,
            "}",
            "",
        ]
    )


def mapping(kernel: Kernel) -> str:
    """BY_BLOCK where the threads of a block share the loops inside a parallel iteration, else BY_THREAD."""
    body = _parallel_body(kernel.body) or kernel.body
    return BY_BLOCK if _shareable(body, False) and _has_long_loop(body) else BY_THREAD


# ------------------------------------------------------------------------------------------ what is shared


def _parallel_body(body: Sequence[Statement]) -> Sequence[Statement] | None:
    """What one parallel iteration does; None where nothing is parallel."""
    return next((s.body for s in _loops(body) if s.kind == PARALLEL), None)


def _has_long_loop(body: Sequence[Statement]) -> bool:
    """Whether a vector or reduce loop is not known to be so short that a thread unrolls it."""
    for s in body:
        if isinstance(s, Loop):
            if s.kind in (VECTOR, REDUCE):
                if not (isinstance(s.start, int) and isinstance(s.stop, int)):
                    return True
                if s.stop - s.start > heuristics.SMALL_EXTENT:
                    return True
            elif s.kind != TILES and _has_long_loop(s.body):
                return True
        elif isinstance(s, When) and _has_long_loop(s.body):
            return True
    return False


def _shareable(body: Sequence[Statement], inside: bool) -> bool:
    """Whether all threads of a block can run `body` together: each outer statement is the same for all, and
    each vector and reduce loop can be split among them. `inside`: of a sequential loop or a condition."""
    for s in body:
        if isinstance(s, (CombineArg, Update, Variable, Assign, While, Switch)) or (
            inside and isinstance(s, Store)
        ):
            return False
        if isinstance(s, Choose) and any(True for _ in _loops((*s.inside_body, *s.outside_body))):
            return False
        if isinstance(s, When) and not _shareable(s.body, True):
            return False
        if isinstance(s, Loop):
            if s.kind in (VECTOR, REDUCE):
                kinds = _combined(s.body)
                if s.kind == VECTOR and kinds:
                    return False
                if any(len(k) != 1 or next(iter(k)) not in _SHARED for k in kinds.values()):
                    return False
            elif (
                s.kind not in (SEQUENTIAL, TILES)
                or not any(True for _ in _loops(s.body))
                or not _shareable(s.body, True)
            ):
                return False
    return True


def _loops(body: Sequence[Statement]) -> Iterator[Loop]:
    return (s for s in loopir.within(*body) if isinstance(s, Loop))


def _combined(body: Sequence[Statement]) -> dict[str, set[str]]:
    """The accumulators from outside that `body` combines into, and by which kinds."""
    own = {s.name for s in loopir.within(*body) if isinstance(s, Accumulator)}
    found: dict[str, set[str]] = {}
    for s in loopir.within(*body):
        if isinstance(s, Combine) and s.accumulator not in own:
            found.setdefault(s.accumulator, set()).add(s.kind)
        elif isinstance(s, CombineArg) and s.best not in own:
            found.setdefault(s.best, set()).add(s.kind)
    return found


def _split(body: Sequence[Statement]) -> tuple[list[Loop], list[Statement]]:
    """The loops that the threads of a block share, and the statements that all of them run."""
    shared: list[Loop] = []
    common: list[Statement] = []
    for s in body:
        if isinstance(s, Loop) and s.kind in (VECTOR, REDUCE):
            shared.append(s)
        else:
            common.append(s)
            if isinstance(s, (Loop, When)):
                loops, statements = _split(s.body)
                shared += loops
                common += statements
    return shared, common


# ---------------------------------------------------------------------------------------------- statements


class _Thread:
    """Prints statements that each thread runs by itself."""

    def parallel(self, s: Loop) -> tuple[str, str]:
        """Where a thread starts, and how far apart its iterations are, in iterations."""
        return "(int64)blockIdx.x * blockDim.x + threadIdx.x", "(int64)gridDim.x * blockDim.x"

    def statements(self, body: Sequence[Statement], indent: str, acc: dict[str, np.dtype]) -> Iterator[str]:
        for s in body:
            yield from self.statement(s, indent, acc)

    def statement(self, s: Statement, indent: str, acc: dict[str, np.dtype]) -> Iterator[str]:
        if isinstance(s, Let):
            yield f"{indent}const {c_type(s.expr.dtype)} {s.name} = {scalar(s.expr)};"
        elif isinstance(s, LetInt):
            yield f"{indent}const int64 {s.name} = {integer(s.value)};"
        elif isinstance(s, Store):
            yield f"{indent}{s.buffer}[{integer(s.address)}] = {scalar(s.expr)};"
        elif isinstance(s, Update):
            dtype, place = s.expr.dtype, f"{s.buffer}[{integer(s.address)}]"
            old = f"({place} != 0)" if dtype.kind == "b" else place
            yield f"{indent}{place} = {_binary(s.kind, old, scalar(s.expr), dtype)};"
        elif isinstance(s, Accumulator):
            acc[s.name] = s.start.dtype
            yield f"{indent}{c_type(s.start.dtype)} {s.name} = {scalar(s.start)};"
        elif isinstance(s, Combine):
            yield (
                f"{indent}{s.accumulator} = "
                f"{_binary(s.kind, s.accumulator, scalar(s.expr), acc[s.accumulator])};"
            )
        elif isinstance(s, CombineArg):
            yield from self._combine_arg(s, indent, acc[s.best])
        elif isinstance(s, Choose):
            yield f"{indent}{c_type(s.dtype)} {s.name};"
            yield f"{indent}if ({_bounds(s.bounds)}) {{"
            yield from self.statements(s.inside_body, indent + "    ", dict(acc))
            yield f"{indent}    {s.name} = {scalar(s.inside)};"
            yield f"{indent}}} else {{"
            yield from self.statements(s.outside_body, indent + "    ", dict(acc))
            yield f"{indent}    {s.name} = {scalar(s.outside)};"
            yield f"{indent}}}"
        elif isinstance(s, When):
            yield f"{indent}if ({_bounds(s.bounds)}) {{"
            yield from self.statements(s.body, indent + "    ", dict(acc))
            yield f"{indent}}}"
        elif isinstance(s, Variable):
            yield f"{indent}{c_type(s.start.dtype)} {s.name} = {scalar(s.start)};"
        elif isinstance(s, Assign):
            yield f"{indent}{s.name} = {scalar(s.expr)};"
        elif isinstance(s, While):
            yield f"{indent}while (true) {{"
            yield from self.statements(s.body, indent + "    ", dict(acc))
            yield f"{indent}}}"
        elif isinstance(s, LeaveUnless):
            yield f"{indent}if (!({scalar(s.condition)})) break;"
        elif isinstance(s, Switch):
            for number, body in enumerate(s.bodies):
                test = "" if number == len(s.bodies) - 1 else f"if ({scalar(s.index)} <= {number}) "
                yield f"{indent}{'else ' * bool(number)}{test}{{"
                yield from self.statements(body, indent + "    ", dict(acc))
                yield f"{indent}}}"
        else:
            assert isinstance(s, Loop)  # `emit` has refused tapes
            yield from self.loop(s, indent, acc)

    def _combine_arg(self, s: CombineArg, indent: str, dtype: np.dtype) -> Iterator[str]:
        value = f"{s.best}_new"
        better = f"{value} {'>' if s.kind == 'argmax' else '<'} {s.best}"
        if dtypes.is_float(dtype):
            better += f" || ({value} != {value} && {s.best} == {s.best})"
        yield f"{indent}const {c_type(dtype)} {value} = {scalar(s.expr)};"
        yield f"{indent}if ({better}) {{"
        yield f"{indent}    {s.best} = {value};"
        yield f"{indent}    {s.place} = {integer(s.position)};"
        yield f"{indent}}}"

    def loop(self, s: Loop, indent: str, acc: dict[str, np.dtype]) -> Iterator[str]:
        if s.kind == PARALLEL:
            first, apart = self.parallel(s)
            yield self._head(s, indent, first, apart)
        else:
            yield self._head(s, indent)
        yield from self.statements(s.body, indent + "    ", acc)
        yield f"{indent}}}"

    def _head(self, s: Loop, indent: str, first: str = "", apart: str = "") -> str:
        """The head of a `for`; `first` and `apart` (in iterations) where threads share it."""
        start, step = integer(s.start), integer(s.step)
        if first:
            first = first if s.step == 1 else f"({first}) * {step}"
            start = first if start == "0" else f"{start} + {first}"
            step = apart if s.step == 1 else f"{apart} * {step}"
        advance = f"++{s.var}" if step == "1" else f"{s.var} += {step}"
        return f"{indent}for (int64 {s.var} = {start}; {s.var} < {integer(s.stop)}; {advance}) {{"


class _Block(_Thread):
    """Prints statements that the threads of a block run together; shared loops are printed by `_Thread`.

    A barrier stands around what writes, unless every thread only ever sees elements of its own.
    """

    def __init__(self, kernel: Kernel):
        body = _parallel_body(kernel.body) or kernel.body
        loops, common = _split(body)
        written = {s.buffer for s in loopir.within(*body) if isinstance(s, Store | Update)}
        stored = {s.buffer for s in common if isinstance(s, Store)}
        addresses: dict[str, set[Int]] = {}
        for loop in loops:
            for access in loopir.within(loop):
                if isinstance(access, Load | Store | Update):
                    addresses.setdefault(access.buffer, set()).add(access.address)
        terms = [term for s in common for term in loopir.expressions(s)]
        alike = len({(s.var, s.start, s.stop, s.step) for s in loops}) <= 1
        named = any(isinstance(s, LetInt) for s in loopir.within(*loops))
        self.tidy = (
            alike
            and not named
            and all(len(addresses.get(b, ())) <= 1 for b in written)
            and not any(b in addresses for b in stored)
            and not any(isinstance(part, Load) for part in loopir.within(*terms))
            and not any(_reads_address(a) for b in written for a in addresses.get(b, ()))
        )
        self.own = _Thread()

    def parallel(self, s: Loop) -> tuple[str, str]:
        return "(int64)blockIdx.x", "(int64)gridDim.x"

    def _barrier(self, indent: str) -> list[str]:
        return [] if self.tidy else [f"{indent}__syncthreads();"]

    def statement(self, s: Statement, indent: str, acc: dict[str, np.dtype]) -> Iterator[str]:
        if isinstance(s, Store):
            yield from self._barrier(indent)
            yield f"{indent}if (threadIdx.x == 0) {s.buffer}[{integer(s.address)}] = {scalar(s.expr)};"
            yield from self._barrier(indent)
        else:
            yield from super().statement(s, indent, acc)

    def loop(self, s: Loop, indent: str, acc: dict[str, np.dtype]) -> Iterator[str]:
        if s.kind not in (VECTOR, REDUCE):
            yield from super().loop(s, indent, acc)
            return
        writes = any(isinstance(part, Store | Update) for part in loopir.within(s))
        if writes:
            yield from self._barrier(indent)
        parts = {name: next(iter(kinds)) for name, kinds in _combined(s.body).items()}
        for name, kind in parts.items():
            start = scalar(identity(kind, acc[name]))
            yield f"{indent}{c_type(acc[name])} {name}_part = {start};"
        yield self._head(s, indent, "threadIdx.x", "blockDim.x")
        inner = {**acc, **{f"{name}_part": acc[name] for name in parts}}
        yield from self.own.statements(_into_parts(s.body, parts), indent + "    ", inner)
        yield f"{indent}}}"
        for name, kind in parts.items():
            start = scalar(identity(kind, acc[name]))
            whole = f"fg::block_reduce<fg::By_{kind}>({name}_part, {start})"
            yield f"{indent}{name} = {_binary(kind, name, whole, acc[name])};"
        if writes:
            yield from self._barrier(indent)


def _reads_address(address: Int) -> bool:
    return any(isinstance(part, Load | IntOf) for part in loopir.within(address))


def _into_parts(body: Sequence[Statement], parts: dict[str, str]) -> tuple[Statement, ...]:
    """`body` with the combinations into `parts` going into a thread's own part."""

    def changed(s: loopir.Part) -> Any:
        if isinstance(s, Combine) and s.accumulator in parts:
            return Combine(s.kind, f"{s.accumulator}_part", s.expr)
        return loopir.map_parts(changed, s) if isinstance(s, Statement) else s

    return tuple([changed(s) for s in body])


def _bounds(bounds: Sequence[tuple[Int, Int, Int]]) -> str:
    parts = []
    for index, low, high in bounds:
        text = integer(index)
        parts.append(f"{integer(low)} <= {text} && {text} < {integer(high)}")
    return " && ".join(parts) or "true"


# ------------------------------------------------------------------------------------------- types, scalars


def c_type(dtype: np.dtype) -> str:
    """The C type of a value of `dtype`; 16-bit floats are their bits."""
    if dtype.kind == "c":
        raise NotPrintable(f"complex numbers have no CUDA C yet ({dtypes.name(dtype)})")
    if dtype.kind == "b":
        return "bool"
    if is_half(dtype):
        return "uint16"
    if dtypes.is_float(dtype):
        return "float" if dtype.itemsize == 4 else "double"
    return dtype.name


def _stored_type(dtype: np.dtype) -> str:
    return "uint8" if dtype.kind == "b" else c_type(dtype)


def scalar(expr: Scalar) -> str:
    """The text of a scalar expression: a C value of exactly its dtype's type, bracketed where needed."""
    if isinstance(expr, Ref):
        return expr.name
    if isinstance(expr, Lit):
        return literal(expr.value, expr.dtype)
    if isinstance(expr, Load):
        text = f"{expr.buffer}[{integer(expr.address)}]"
        return f"({text} != 0)" if expr.dtype.kind == "b" else text
    if isinstance(expr, OfInt):
        return _cast(f"({integer(expr.index)})", _INT64, expr.dtype)
    assert isinstance(expr, Apply)
    return _apply(expr, [scalar(a) for a in expr.args])


def literal(value: Any, dtype: np.dtype) -> str:
    name = c_type(dtype)
    if dtype.kind == "b":
        return "true" if value else "false"
    if is_half(dtype):
        return f"(uint16){int(np.asarray(value, dtype).view(np.uint16))}"
    if dtypes.is_float(dtype):
        text = repr(float(value))
        if text in ("nan", "inf", "-inf"):
            special = f"fg::{text.lstrip('-')}<{name}>()"
            return f"(-{special})" if text[0] == "-" else special
        text += "f" if name == "float" else ""
        return f"({text})" if text[0] == "-" else text
    number = int(value)
    if number == np.iinfo(np.int64).min:
        return f"({number + 1}LL - 1)"
    return f"({name}){number}ULL" if number > np.iinfo(np.int64).max else f"({name})({number}LL)"


def _apply(expr: Apply, args: list[str]) -> str:
    code, dtype, source = expr.code, expr.dtype, expr.args[0].dtype
    name = c_type(dtype)
    c_type(source)
    if isinstance(code, ScalarFunction):
        return _call_of_user(code, args, expr)
    if code == "convert":
        return _cast(args[0], source, dtype)
    if code in _COMPARE:
        return f"({args[0]} {_COMPARE[code]} {args[1]})"
    if code == "bitcast":
        return f"fg::bits<{name}>({args[0]})"
    if code == "neg":
        return f"(-{args[0]})" if dtypes.is_float(dtype) else f"fg::neg({args[0]})"
    if code == "not":
        return f"(!{args[0]})" if dtype.kind == "b" else f"({name})(~{args[0]})"
    if len(args) == 2:
        return _binary(code, args[0], args[1], dtype)
    return _call(code, args, dtype, source)


def _call_of_user(code: ScalarFunction, args: list[str], expr: Apply) -> str:
    made = _translated(expr)
    number = {"bool": np.dtype(np.bool_), "int64": _INT64, "real": np.dtype(f"f{4 if made.single else 8}")}
    given = [_cast(a, e.dtype, number[kind_of(e.dtype)]) for a, e in zip(args, expr.args)]
    text = f"{made.name}({', '.join(given)})"
    text += "" if code.part is None else f".r{code.part}"
    return _cast(text, number[made.results[code.part or 0]], expr.dtype)


def _translated(expr: Apply) -> Translated:
    """The CUDA C of the user's function that is called."""
    assert isinstance(expr.code, ScalarFunction)
    first = expr.args[0].dtype
    single = dtypes.is_inexact(first) and first.itemsize <= 4
    try:
        return translated(
            expr.code.name, expr.code.python, tuple([kind_of(a.dtype) for a in expr.args]), single
        )
    except NotTranslatable as error:
        raise NotPrintable(str(error)) from None


def _calls_of_users(part: Any) -> Iterator[Apply]:
    """The calls of users' functions somewhere in statements or expressions."""
    if isinstance(part, tuple):
        for inner in part:
            yield from _calls_of_users(inner)
    elif hasattr(part, "__dict__"):
        if isinstance(part, Apply) and isinstance(part.code, ScalarFunction):
            yield part
        for inner in part.__dict__.values():
            yield from _calls_of_users(inner)


def _binary(code: str, a: str, b: str, dtype: np.dtype) -> str:
    if dtype.kind == "b" and code in ("add", "max", "mul", "min"):
        return f"({a} {'||' if code in ('add', 'max') else '&&'} {b})"
    if code in _BITS:
        return f"({c_type(dtype)})({a} {_BITS[code]} {b})"
    if dtypes.is_float(dtype) and (code in _ARITHMETIC or code == "div"):
        return f"({a} {_ARITHMETIC.get(code, '/')} {b})"
    if code in _ARITHMETIC:
        return f"fg::{code}({a}, {b})"
    return _call(code, [a, b], dtype, dtype)


def _call(code: str, args: list[str], dtype: np.dtype, source: np.dtype) -> str:
    if code == "rem" and dtypes.is_float(dtype):
        return f"{'fmodf' if dtype.itemsize == 4 else 'fmod'}({', '.join(args)})"
    if code in _LIBRARY and dtypes.is_float(source):
        return f"{code}{'f' if source.itemsize == 4 else ''}({', '.join(args)})"
    if code in _HELPERS:
        return f"fg::{_RENAMED.get(code, code)}({', '.join(args)})"
    raise NotPrintable(f"the operation {code} of {dtypes.name(source)} has no CUDA C yet")


def _cast(text: str, source: np.dtype, target: np.dtype) -> str:
    if source == target:
        return text
    if is_half(source):
        return _cast(f"fg::{dtypes.name(source)}_to_f32({text})", _FLOAT32, target)
    if is_half(target):
        return f"fg::f32_to_{dtypes.name(target)}({_cast(text, source, _FLOAT32)})"
    if target.kind == "b":
        return f"({text} != 0)"
    if dtypes.is_float(source) and target.kind in "iu":
        return f"fg::to_integer<{c_type(target)}>({text})"
    return f"({c_type(target)}){text}"


# ------------------------------------------------------------------------------------------------ integers

_INT_INFIX = {"add": " + ", "mul": "*"}
_INT_CALLS = {"floordiv": "fg::floor_div", "mod": "fg::floor_mod", "min": "fg::lesser", "max": "fg::greater"}


def integer(value: Int) -> str:
    if isinstance(value, int):
        return str(value)
    if isinstance(value, Name):
        return value.name
    if isinstance(value, IntOf):
        return f"(int64){scalar(value.expr)}"
    parts = [integer(a) for a in value.args]
    if value.code in _INT_INFIX:
        if value.code == "mul":
            parts = [f"({p})" if isinstance(a, IntOp) else p for a, p in zip(value.args, parts)]
        return _INT_INFIX[value.code].join(parts)
    if value.code == "neg":
        return f"-({parts[0]})"
    text = parts[0]
    for part in parts[1:]:
        text = f"{_INT_CALLS[value.code]}({text}, {part})"
    return text

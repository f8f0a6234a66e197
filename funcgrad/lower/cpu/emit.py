"""Prints a kernel's loop IR as the source of a Numba function, by the ABI of funcgrad.kernels.cpu.abi.

The text depends on the kernel alone, so that its hash is the kernel's key. Plain arithmetic is written as
Python
operators; everything else is a function of funcgrad.kernels.cpu.vmath by the name of its scalar opcode.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from funcgrad import dtypes
from funcgrad.ir.expr import ScalarFunction
from funcgrad.kernels.cpu.program import FIRST_TAPE
from funcgrad.lower import loopir
from funcgrad.lower.cpu import turned
from funcgrad.lower.loopir import (
    PARALLEL,
    Accumulator,
    Apply,
    Assign,
    Choose,
    Combine,
    CombineArg,
    Free,
    Int,
    IntOf,
    IntOp,
    Keep,
    Kept,
    Kernel,
    LeaveUnless,
    Let,
    LetInt,
    Lit,
    Load,
    Loop,
    Name,
    OfInt,
    Pop,
    Push,
    Ref,
    Scalar,
    Statement,
    Store,
    Switch,
    Tape,
    Update,
    Variable,
    When,
    While,
)
from funcgrad.lower.nodes import is_half

_INFIX = {"add": "+", "sub": "-", "mul": "*", "and": "&", "or": "|", "xor": "^"}
_COMPARE = {"eq": "==", "ne": "!=", "lt": "<", "le": "<=", "gt": ">", "ge": ">="}
_INT_INFIX = {"add": " + ", "mul": "*", "floordiv": "//", "mod": "%"}
_RENAMED = {"max": "maximum", "min": "minimum", "round": "round_even"}
_FLOAT32 = np.dtype(np.float32)


def emit(kernel: Kernel) -> str:
    """The source of a module that defines `kernel(lo, hi, buffers..., integers..., scalars...)`. One that calls users'
    functions has a byte as its last buffer, which its entry point clears where such a function raises; one that keeps a
    tape has it too, for where there is no memory, and the addresses of `realloc` and `free` behind its integers."""
    body = list(_body(kernel, "    ")) or ["    pass"]
    text = "\n".join(body)
    lines = ['"""' + "\n".join(_outline(kernel.body, "")) + '"""', ""]
    functions = {f.name: f.text for f in _functions(kernel)}
    called = bool(functions)
    if called or "np." in text:
        lines += ["import numpy as np", ""]
    lines.append("from funcgrad.kernels.cpu import abi")
    if "vec." in text:
        lines.append("from funcgrad.kernels.cpu import vectors as vec")
    if "vm." in text:
        lines.append("from funcgrad.kernels.cpu import vmath as vm")
    if called:
        lines += [
            "from funcgrad.kernels.cpu import user",
            "",
            *(functions[name] for name in sorted(functions)),
        ]
    taped = kernel.taped
    if taped:
        lines.append("from funcgrad.kernels.cpu import native, tape")
    can_fail = called or taped
    buffers = _tuple([dtypes.name(b.dtype) for b in kernel.buffers] + ["u8"] * can_fail)
    scalars = _tuple(dtypes.name(s.dtype) for s in kernel.scalars)
    arguments = [
        "lo",
        "hi",
        *(b.name for b in kernel.buffers),
        *["good"] * can_fail,
        *kernel.integers,
        *["realloc", "free"] * taped,
        *(s.name for s in kernel.scalars),
    ]
    lines += [
        "",
        "",
        f"@abi.kernel(buffers={buffers}, integers={len(kernel.integers) + 2 * taped}, scalars={scalars}, "
        f"reassociate={_reassociates(kernel.body)})",
        f"def kernel({', '.join(arguments)}):",
        text,
        "",
    ]
    return "\n".join(lines)


def functions_of(kernel: Kernel) -> list[str]:
    """The names of the users' functions that a kernel calls, as the users know them."""
    names = [f.name.removeprefix("user_").rpartition("_")[0] for f in _functions(kernel)]
    return list(dict.fromkeys(names))


def _functions(kernel: Kernel) -> list[ScalarFunction]:
    """The users' functions that a kernel calls."""
    applied = [part.code for part in loopir.within(kernel.body) if isinstance(part, Apply)]
    return [code for code in applied if isinstance(code, ScalarFunction)]


def _tuple(names: Any) -> str:
    quoted = [f'"{n}"' for n in names]
    return f"({', '.join(quoted)}{',' if len(quoted) == 1 else ''})"


def _outline(body: Sequence[Statement], indent: str) -> Iterator[str]:
    """The loops, and what each writes."""
    for s in body:
        if isinstance(s, Loop):
            yield f"{indent}{s.kind} {s.var}"
            yield from _outline(s.body, indent + "    ")
        elif isinstance(s, While):
            yield f"{indent}while"
            yield from _outline(s.body, indent + "    ")
        elif isinstance(s, Switch):
            for body in s.bodies:
                yield from _outline(body, indent)
        elif isinstance(s, When):
            yield from _outline(s.body, indent)
        elif isinstance(s, Store):
            yield f"{indent}-> {s.buffer}"
        elif isinstance(s, Update):
            yield f"{indent}-> {s.buffer} ({s.kind})"
        elif isinstance(s, Combine):
            yield f"{indent}{s.kind} into {s.accumulator}"
        elif isinstance(s, CombineArg):
            yield f"{indent}{s.kind} into {s.place}"


def _reassociates(body: Sequence[Statement]) -> bool:
    """Whether a sum or product is accumulated whose order is free."""
    combined = [part for part in loopir.within(*body) if isinstance(part, Combine)]
    return any(s.kind in ("add", "mul") and s.expr.dtype.kind not in "iub" for s in combined)


# ---------------------------------------------------------------------------------------------- statements


def _body(kernel: Kernel, indent: str) -> Iterator[str]:
    """The statements of a kernel. Further down `acc` has the dtypes of accumulators, and of buffers that are only
    read."""
    dtype_of = {b.name: b.dtype for b in kernel.buffers if b.role == "in"}
    dtype_of |= {s.name: s.start.dtype for s in kernel.body if isinstance(s, Accumulator)}
    yield from _statements(kernel.body, indent, dtype_of)


def _called_again(body: Sequence[Statement]) -> dict[str, tuple[Statement, str]]:
    """The calls of users' functions with several results of which these statements take more than one: the text of
    each, with the first statement that has it and a name for all its results."""
    calls = [
        (s, call)
        for s in body
        for call in (loopir.within(s.expr) if isinstance(s, Let | Store | Update) else ())
        if isinstance(call, Apply) and isinstance(call.code, ScalarFunction) and call.code.part is not None
    ]
    changing = {name for s in body for name in _assigned(s)} if calls else set()
    found: dict[str, tuple[Statement, str]] = {}
    again: set[str] = set()
    for s, call in calls:
        if all(isinstance(a, Lit) or (isinstance(a, Ref) and a.name not in changing) for a in call.args):
            text = _call(call.code, [scalar(a) for a in call.args])  # type: ignore[arg-type]
            again.update([text] if text in found else [])
            found.setdefault(text, (s, f"all{len(found)}"))
    return {text: where for text, where in found.items() if text in again}


def _assigned(s: Any) -> Iterator[str]:
    """The names that a statement gives other values than those that they had."""
    for part in loopir.within(s):
        if isinstance(part, Assign | Variable | Accumulator):
            yield part.name
        elif isinstance(part, Combine):
            yield part.accumulator
        elif isinstance(part, CombineArg):
            yield from (part.best, part.place)


def _statements(body: Sequence[Statement], indent: str, acc: dict[str, np.dtype]) -> Iterator[str]:
    again = _called_again(body)
    if not again:
        yield from _each(body, indent, acc)
        return
    for s in body:
        for text, (first, name) in again.items():
            if s is first:
                yield f"{indent}{name} = {text}"
        for line in _each([s], indent, acc):
            if isinstance(s, Let | Store | Update):
                for text, (_, name) in again.items():
                    line = line.replace(f"{text}[", f"{name}[")
            yield line


def _each(body: Sequence[Statement], indent: str, acc: dict[str, np.dtype]) -> Iterator[str]:
    for s in body:
        if isinstance(s, Let):
            yield f"{indent}{s.name} = {scalar(s.expr)}"
        elif isinstance(s, LetInt):
            yield f"{indent}{s.name} = {integer(s.value)}"
        elif isinstance(s, Store):
            yield f"{indent}{s.buffer}[{integer(s.address)}] = {_as_stored(scalar(s.expr), _dtype(s.expr))}"
        elif isinstance(s, Update):
            yield f"{indent}{_update(s)}"
        elif isinstance(s, Accumulator):
            acc[s.name] = s.start.dtype
            yield f"{indent}{s.name} = {scalar(s.start)}"
        elif isinstance(s, Combine):
            combined = _binary(s.kind, s.accumulator, scalar(s.expr), acc[s.accumulator])
            yield f"{indent}{s.accumulator} = {combined}"
        elif isinstance(s, CombineArg):
            sign = ">" if s.kind == "argmax" else "<"
            value = f"{s.best}_new"
            better = f"{value} {sign} {s.best}"
            if dtypes.is_float(acc[s.best]):
                better += f" or ({value} != {value} and {s.best} == {s.best})"
            yield f"{indent}{value} = {scalar(s.expr)}"
            yield f"{indent}if {better}:"
            yield f"{indent}    {s.best} = {value}"
            yield f"{indent}    {s.place} = {integer(s.position)}"
        elif isinstance(s, Choose):
            yield f"{indent}if {_bounds(s.bounds)}:"
            yield from _statements(s.inside_body, indent + "    ", dict(acc))
            yield f"{indent}    {s.name} = {scalar(s.inside)}"
            yield f"{indent}else:"
            yield from _statements(s.outside_body, indent + "    ", dict(acc))
            yield f"{indent}    {s.name} = {scalar(s.outside)}"
        elif isinstance(s, When):
            yield f"{indent}if {_bounds(s.bounds)}:"
            yield from _statements(s.body, indent + "    ", dict(acc))
        elif isinstance(s, Variable):
            yield f"{indent}{s.name} = {scalar(s.start)}"
        elif isinstance(s, Assign):
            yield f"{indent}{s.name} = {scalar(s.expr)}"
        elif isinstance(s, While):
            yield f"{indent}while True:"
            yield from _statements(s.body, indent + "    ", dict(acc))
        elif isinstance(s, Tape):
            yield f"{indent}{s.name} = 0"
            yield f"{indent}{s.name}_room = 0"
            yield f"{indent}{s.name}_size = 0"
            yield f"{indent}{s.name}_record = {integer(s.record)}"
            yield f"{indent}{s.name}_at = 0"
        elif isinstance(s, Push):
            for line in _PUSH:
                for other in s.every if "{other}" in line else ("",):
                    yield indent + line.format(t=s.tape, first=FIRST_TAPE, other=other)
        elif isinstance(s, Pop):
            yield from (f"{indent}{line.format(t=s.tape)}" for line in _POP)
        elif isinstance(s, Keep):
            yield f"{indent}{_on_tape(s.tape, s.address, s.expr.dtype)} = {_as_stored(scalar(s.expr), s.expr.dtype)}"
        elif isinstance(s, Free):
            yield f"{indent}native.call_system(free, {s.tape}, 0, 0)"
        elif isinstance(s, LeaveUnless):
            yield f"{indent}if not {scalar(s.condition)}:"
            yield f"{indent}    break"
        elif isinstance(s, Switch):
            yield from _switch(s, indent, acc)
        else:
            in_squares = turned.text(s, indent, acc, lambda body, inner: _statements(body, inner, dict(acc)))
            if in_squares is not None:
                yield from in_squares
                continue
            counters = _counters(s)
            rest = s.start
            for name, extent in counters:
                value = rest if extent is None else IntOp("mod", (rest, extent))
                rest = rest if extent is None else IntOp("floordiv", (rest, extent))
                yield f"{indent}{name} = {integer(value)}"
            bounds = [integer(s.start), integer(s.stop)]
            if s.step != 1:
                bounds.append(integer(s.step))
            elif s.start == 0:
                bounds = bounds[1:]
            yield f"{indent}for {s.var} in range({', '.join(bounds)}):"
            yield from _statements(s.body[len(counters) :], indent + "    ", acc)
            for depth, (name, extent) in enumerate(counters):
                inner = indent + "    " * (depth + 1)
                yield f"{inner}{name} = {name} + 1"
                if extent is not None:
                    yield f"{inner}if {name} == {integer(extent)}:"
                    yield f"{inner}    {name} = 0"


def _counters(loop: Loop) -> list[tuple[str, Int | None]]:
    """The axes of which a parallel loop is made, innermost first, with their extents but for the outermost: they are
    counted, since finding each anew from the loop's variable takes two divisions."""
    rest: Int = Name(loop.var)
    found: list[tuple[str, Int | None]] = []
    for s in loop.body if loop.kind == PARALLEL and loop.step == 1 else ():
        if not isinstance(s, LetInt):
            break
        if isinstance(s.value, IntOp) and s.value.code == "mod" and s.value.args[0] == rest:
            found.append((s.name, s.value.args[1]))
            rest = IntOp("floordiv", s.value.args)
        elif found and s.value == rest:
            return [*found, (s.name, None)]
    return []


_PUSH = """{t}_size = {t}_size + {t}_record
if {t}_size > {t}_room:
    {t}_room = max(max(2 * {t}_room, {t}_size), {first})
    {t}_more = native.resize(realloc, {t}, {t}_room)
    if {t}_more == 0:
        good[0] = np.uint8(0)
        native.call_system(free, {other}, 0, 0)
        return
    {t} = {t}_more
{t}_at = {t} + {t}_size - {t}_record""".splitlines()

_POP = """if {t}_size == 0:
    break
{t}_size = {t}_size - {t}_record
{t}_at = {t} + {t}_size""".splitlines()


def _on_tape(tape: str, address: Int, dtype: np.dtype) -> str:
    stored = np.dtype(np.uint8) if dtype.kind == "b" else np.dtype(np.uint16) if is_half(dtype) else dtype
    return f"tape.{stored.name}({tape}_at)[{integer(address)}]"


def _switch(s: Switch, indent: str, acc: dict[str, np.dtype]) -> Iterator[str]:
    last = len(s.bodies) - 1
    for number, body in enumerate(s.bodies):
        if last:
            test = f"{'el' if number else ''}if {scalar(s.index)} <= {number}"
            yield f"{indent}{'else' if number == last else test}:"
        inner = indent + "    " * bool(last)
        yield from _statements(body, inner, dict(acc))
        if not body:
            yield f"{inner}pass"


def _bounds(bounds: Sequence[tuple[Int, Int, Int]]) -> str:
    return " and ".join(f"{integer(low)} <= {integer(ix)} < {integer(high)}" for ix, low, high in bounds)


def _as_stored(text: str, dtype: np.dtype) -> str:
    return f"np.uint8({text})" if dtype.kind == "b" else text


def _update(s: Update) -> str:
    """`p[i] = p[i] op value`; never of 16-bit floats, which are combined in float32 explicitly."""
    dtype = _dtype(s.expr)
    place = f"{s.buffer}[{integer(s.address)}]"
    old = f"({place} != 0)" if dtype.kind == "b" else place
    return f"{place} = {_as_stored(_binary(s.kind, old, scalar(s.expr), dtype), dtype)}"


# ------------------------------------------------------------------------------------------------- scalars


def _dtype(expr: Scalar) -> np.dtype:
    return expr.dtype


def scalar(expr: Scalar) -> str:
    """The text of a scalar expression: a Numba value of exactly its dtype."""
    if isinstance(expr, Ref):
        return expr.name
    if isinstance(expr, Lit):
        return literal(expr.value, expr.dtype)
    if isinstance(expr, Load):
        text = f"{expr.buffer}[{integer(expr.address)}]"
        return f"({text} != 0)" if expr.dtype.kind == "b" else text
    if isinstance(expr, Kept):
        text = _on_tape(expr.tape, expr.address, expr.dtype)
        return f"({text} != 0)" if expr.dtype.kind == "b" else text
    if isinstance(expr, OfInt):
        text = integer(expr.index)
        if expr.dtype == np.int64 and isinstance(expr.index, IntOp) and expr.index.code in _INT_INFIX:
            text = f"({text})"
        return _cast(text, np.dtype(np.int64), expr.dtype)
    args = [scalar(a) for a in expr.args]
    return _apply(expr, args)


def literal(value: Any, dtype: np.dtype) -> str:
    if dtype.kind == "b":
        return str(bool(value))
    if dtype.kind == "c":
        return f"np.{dtype.name}(complex({_float_text(value.real)}, {_float_text(value.imag)}))"
    if is_half(dtype):  # held as its bits
        return f"np.uint16({int(np.asarray(value, dtype).view(np.uint16))})"
    if dtypes.is_float(dtype):
        text = _float_text(value)
        return text if dtype.itemsize == 8 else f"np.{dtype.name}({text})"
    return str(int(value)) if dtype == np.int64 else f"np.{dtype.name}({int(value)})"


def _float_text(value: Any) -> str:
    text = repr(float(value))
    return {"nan": "np.nan", "inf": "np.inf", "-inf": "-np.inf"}.get(text, text)


def _call(code: ScalarFunction, args: Sequence[str]) -> str:
    return f"{code.name}({', '.join(args)})"


def _apply(expr: Apply, args: list[str]) -> str:
    code, dtype = expr.code, expr.dtype
    source = _dtype(expr.args[0])
    if isinstance(code, ScalarFunction):
        called = _call(code, args) + ("" if code.part is None else f"[{code.part}]")
        return f"({called} != 0)" if dtype.kind == "b" else f"np.{dtype.name}({called})"
    if code == "convert":
        return _cast(args[0], source, dtype)
    if code in _COMPARE and source.kind == "c" and code not in ("eq", "ne"):
        return _compare_complex(code, *args)
    if code in _COMPARE:
        return f"({args[0]} {_COMPARE[code]} {args[1]})"
    if len(args) == 2:
        return _binary(code, args[0], args[1], dtype)
    if code == "neg":
        return _wrapped(f"-{args[0]}", dtype)
    if code == "not":
        return f"(not {args[0]})" if dtype.kind == "b" else _wrapped(f"~{args[0]}", dtype)
    if code == "real":
        return f"{args[0]}.real"
    if code == "imag":
        return f"{args[0]}.imag"
    if code == "bitcast":
        return f"vm.bitcast_{dtypes.name(dtype)}({args[0]})"
    return f"vm.{_RENAMED.get(code, code)}({', '.join(args)})"


def _compare_complex(code: str, a: str, b: str) -> str:
    """By the real parts, then by the imaginary parts."""
    strict = _COMPARE[code][0]
    return f"({a}.real {strict} {b}.real or ({a}.real == {b}.real and {a}.imag {_COMPARE[code]} {b}.imag))"


def _binary(code: str, a: str, b: str, dtype: np.dtype) -> str:
    if code in _INFIX and not (dtype.kind == "b" and code not in ("and", "or", "xor")):
        return _wrapped(f"{a} {_INFIX[code]} {b}", dtype)
    if dtype.kind == "b" and code in ("add", "max", "mul", "min"):
        return f"({a} {'|' if code in ('add', 'max') else '&'} {b})"
    if code == "div" and dtypes.is_float(dtype):
        return f"({a} / {b})"
    return f"vm.{_RENAMED.get(code, code)}({a}, {b})"


def _wrapped(text: str, dtype: np.dtype) -> str:
    """Integers narrower than 64 bits are computed in 64 by Numba, and cut off again here."""
    narrow = dtype.kind in "iu" and dtype.itemsize < 8
    return f"np.{dtype.name}({text})" if narrow else f"({text})"


def _cast(text: str, source: np.dtype, target: np.dtype) -> str:
    if source == target:
        return text
    if is_half(source):
        return _cast(f"vm.{dtypes.name(source)}_to_f32({text})", _FLOAT32, target)
    if is_half(target):
        return f"vm.f32_to_{dtypes.name(target)}({_cast(text, source, _FLOAT32)})"
    if target.kind == "b":
        return f"({text} != 0)"
    if source.kind == "c" and target.kind != "c":
        return _cast(f"{text}.real", dtypes.real_of(source), target)
    if dtypes.is_float(source) and target.kind in "iu":
        return f"vm.to_{dtypes.name(target)}({text})"
    return f"np.{target.name}({text})"


# ------------------------------------------------------------------------------------------------ integers


def integer(value: Int) -> str:
    if isinstance(value, int):
        return str(value)
    if isinstance(value, Name):
        return value.name
    if isinstance(value, IntOf):
        return f"np.int64({scalar(value.expr)})"
    assert isinstance(value, IntOp)
    parts = [integer(a) for a in value.args]
    if value.code in _INT_INFIX:
        if value.code != "add":
            parts = [
                f"({p})" if isinstance(a, IntOp) and a.code in _INT_INFIX else p
                for a, p in zip(value.args, parts)
            ]
        return _INT_INFIX[value.code].join(parts)
    if value.code == "neg":
        return f"-({parts[0]})"
    return f"{value.code}({', '.join(parts)})"

"""Loop IR: nests of loops over scalar operations on buffers, and their text.

It says which loop is parallel, which is a reduction, which has independent iterations, and which must run in
order; it never says how a backend does that. Buffers are flat: an address is an integer expression in loop
variables and run-time integers (sizes, strides). A `Kernel` names no array, no shape and no source line,
so that equal text means equal code.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from funcgrad import dtypes
from funcgrad.errors import FuncgradError
from funcgrad.ir.expr import ScalarFunction
from funcgrad.records import record, replaced

# ------------------------------------------------------------------------------------ integer expressions


@record
class Name:
    """A loop variable, an integer argument, or an integer that a `LetInt` named."""

    name: str


@record
class IntOp:
    """`code` is add, mul, floordiv, mod, min, max or neg."""

    code: str
    args: tuple[Int, ...]


@record
class IntOf:
    """A scalar expression as an integer (an index that was read from memory)."""

    expr: Scalar


Int = int | Name | IntOp | IntOf

# ------------------------------------------------------------------------------------- scalar expressions


@record
class Ref:
    """A scalar that was named before: a `Let`, an accumulator, or a scalar argument."""

    name: str
    dtype: np.dtype


@record
class Lit:
    value: Any
    dtype: np.dtype


@record
class Load:
    buffer: str
    address: Int
    dtype: np.dtype


@record
class Apply:
    """`code` (the names of ir/expr.py) on scalars of the dtypes that they carry."""

    code: str | ScalarFunction
    args: tuple[Scalar, ...]
    dtype: np.dtype


@record
class OfInt:
    """An integer expression as a scalar."""

    index: Int
    dtype: np.dtype


@record
class Kept:
    """A number of the record on a tape that is open: what lies `address` numbers of its dtype from its start."""

    tape: str
    address: Int
    dtype: np.dtype


Scalar = Ref | Lit | Load | Apply | OfInt | Kept

# ---------------------------------------------------------------------------------------------- statements


@record
class Let:
    name: str
    expr: Scalar


@record
class LetInt:
    name: str
    value: Int


@record
class Store:
    buffer: str
    address: Int
    expr: Scalar


@record
class Update:
    """`buffer[address] = kind(buffer[address], expr)`; kind is add, mul, max, min, and, or. Both have the
    dtype in which they are computed, so never a 16-bit float."""

    kind: str
    buffer: str
    address: Int
    expr: Scalar


@record
class Accumulator:
    """A scalar variable that reductions combine into, with its start value."""

    name: str
    start: Lit


@record
class Combine:
    """`accumulator = kind(accumulator, expr)`; the order of a reduce loop's combinations is free."""

    kind: str
    accumulator: str
    expr: Scalar


@record
class CombineArg:
    """Keeps in `best` the first extreme of `expr` (argmax or argmin; the first NaN), in `place` its
    position."""

    kind: str
    best: str
    place: str
    expr: Scalar
    position: Int


@record
class Choose:
    """`name = inside` where `low <= index < high` for all bounds, else `outside`; each side has its own
    body."""

    name: str
    dtype: np.dtype
    bounds: tuple[tuple[Int, Int, Int], ...]
    inside_body: tuple[Statement, ...]
    inside: Scalar
    outside_body: tuple[Statement, ...]
    outside: Scalar


@record
class When:
    """`body` only where the bounds hold."""

    bounds: tuple[tuple[Int, Int, Int], ...]
    body: tuple[Statement, ...]


@record
class Variable:
    """A scalar that `Assign` changes, with its start value."""

    name: str
    start: Scalar


@record
class Assign:
    name: str
    expr: Scalar


@record
class While:
    """`body` again and again, until a `LeaveUnless` that stands in it ends it."""

    body: tuple[Statement, ...]


@record
class LeaveUnless:
    """Ends the `While` around it where `condition` is false."""

    condition: Scalar


@record
class Switch:
    """The one of `bodies` whose number is `index`, which is limited to those that there are."""

    index: Scalar
    bodies: tuple[tuple[Statement, ...], ...]


@record
class Tape:
    """Memory that grows, of records of so many bytes, for one thread: empty at first."""

    name: str
    record: Int


@record
class Push:
    """Opens a new record at the end of a tape. Where there is no memory for it, the kernel gives back what `every` tape
    of its has, says so and ends."""

    tape: str
    every: tuple[str, ...]


@record
class Pop:
    """Opens the last record of a tape and takes it away; ends the `While` around it where there is none."""

    tape: str


@record
class Keep:
    """Writes a number to the record that is open, as `Kept` reads it."""

    tape: str
    address: Int
    expr: Scalar


@record
class Free:
    """Gives the memory of a tape back."""

    tape: str


PARALLEL, VECTOR, REDUCE, SEQUENTIAL = "parallel", "vector", "reduce", "sequential"


@record
class Loop:
    """`for var in start..stop`, by `kind`.

    parallel: iterations are independent, and `start..stop` is the part `lo..hi` that a thread was given.
    vector: innermost, iterations independent. reduce: iterations meet only in accumulators. sequential: in
    order.
    A parallel loop may stand inside a sequential one: each thread then runs its part again and again.
    """

    var: str
    start: Int
    stop: Int
    kind: str
    body: tuple[Statement, ...]
    step: Int = 1


Statement = (
    Let | LetInt | Store | Update | Accumulator | Combine | CombineArg | Choose | When | Loop
    | Variable | Assign | While | LeaveUnless | Switch | Tape | Push | Pop | Keep | Free
)  # fmt: skip


# ------------------------------------------------------------------------------------------------- kernels


@record
class Buffer:
    """A pointer argument. `role` is in, out, or inout; a buffer that is written does not overlap any other."""

    name: str
    dtype: np.dtype
    role: str


@record
class ScalarArg:
    name: str
    dtype: np.dtype


@record
class Kernel:
    """Arguments, in this order: range `lo`, `hi` of the parallel axis; buffers; integers; scalars."""

    buffers: tuple[Buffer, ...]
    integers: tuple[str, ...]
    scalars: tuple[ScalarArg, ...]
    body: tuple[Statement, ...]

    def __str__(self) -> str:
        return print_kernel(self)


LO, HI = Name("lo"), Name("hi")


def repeats(kernel: Kernel) -> bool:
    """Whether loops over elements stand inside a loop in order: such a kernel goes over memory again and again."""

    def over_elements(part: Any, inside: bool) -> bool:
        if isinstance(part, tuple):
            return any(over_elements(p, inside) for p in part)
        if isinstance(part, Loop):
            if inside and part.kind in (VECTOR, REDUCE):
                return True
            return over_elements(part.body, inside or part.kind == SEQUENTIAL)
        if isinstance(part, When):
            return over_elements(part.body, inside)
        if isinstance(part, Switch):
            return over_elements(part.bodies, inside)
        return isinstance(part, While) and over_elements(part.body, True)

    return over_elements(kernel.body, False)


def overwriting(kernel: Kernel, read: str, written: str) -> Kernel:
    """`kernel` with its input `read` in the memory of its output `written`, element for element.

    Both are walked by the same strides then, under one name: a compiler that cannot see that a read and a write
    meet in one element only does not vectorize their loop.
    """
    strides = {n: written + n[len(read) :] for n in kernel.integers if n.startswith(read + "_")}
    strides = {own: other for own, other in strides.items() if other in kernel.integers}

    def moved(part: Any) -> Any:
        if isinstance(part, tuple):
            return tuple(map(moved, part))
        if isinstance(part, Load) and part.buffer == read:
            return Load(written, moved(part.address), part.dtype)
        if isinstance(part, Name) and part.name in strides:
            return Name(strides[part.name])
        if hasattr(part, "__dict__"):
            fields = {k: moved(v) for k, v in part.__dict__.items()}
            return replaced(part, **fields)
        return part

    buffers = [
        replaced(b, role="inout") if b.name == written else b for b in kernel.buffers if b.name != read
    ]
    integers = tuple([n for n in kernel.integers if n not in strides])
    return replaced(kernel, buffers=tuple(buffers), integers=integers, body=moved(kernel.body))


# ------------------------------------------------------------------------------------ building integers


def add(*terms: Int) -> Int:
    constant, rest = 0, []
    for term in terms:
        if isinstance(term, int):
            constant += term
        else:
            rest.append(term)
    if constant or not rest:
        rest.append(constant)
    return rest[0] if len(rest) == 1 else IntOp("add", tuple(rest))


def mul(a: Int, b: Int) -> Int:
    if isinstance(a, int) and isinstance(b, int):
        return a * b
    if a == 0 or b == 0:
        return 0
    if a == 1:
        return b
    if b == 1:
        return a
    if a == -1:
        return IntOp("neg", (b,))
    if b == -1:
        return IntOp("neg", (a,))
    return IntOp("mul", (a, b))


# ------------------------------------------------------------------------------------------------ printing

_INFIX = {"add": " + ", "mul": "*", "floordiv": "//", "mod": "%"}


def print_int(value: Int) -> str:
    """The text of an integer expression; also right in Python and, but for // and min/max, in C."""
    if isinstance(value, int):
        return str(value)
    if isinstance(value, Name):
        return value.name
    if isinstance(value, IntOf):
        return f"int({print_scalar(value.expr)})"
    parts = [print_int(a) for a in value.args]
    if value.code in _INFIX:
        if value.code != "add":
            parts = [
                f"({p})" if isinstance(a, IntOp) and a.code in _INFIX else p
                for a, p in zip(value.args, parts)
            ]
        return _INFIX[value.code].join(parts)
    if value.code == "neg":
        return f"-({parts[0]})" if isinstance(value.args[0], IntOp) else f"-{parts[0]}"
    return f"{value.code}({', '.join(parts)})"


def print_scalar(expr: Scalar) -> str:
    if isinstance(expr, Ref):
        return expr.name
    if isinstance(expr, Lit):
        return f"{expr.value}:{dtypes.name(expr.dtype)}"
    if isinstance(expr, Load):
        return f"{expr.buffer}[{print_int(expr.address)}]"
    if isinstance(expr, OfInt):
        return f"{dtypes.name(expr.dtype)}({print_int(expr.index)})"
    if isinstance(expr, Kept):
        return f"{expr.tape}[{print_int(expr.address)}]:{dtypes.name(expr.dtype)}"
    name = f"convert.{dtypes.name(expr.dtype)}" if expr.code == "convert" else str(expr.code)
    return f"{name}({', '.join(map(print_scalar, expr.args))})"


def _print_bounds(bounds: Sequence[tuple[Int, Int, Int]]) -> str:
    return " and ".join(
        f"{print_int(low)} <= {print_int(ix)} < {print_int(high)}" for ix, low, high in bounds
    )


def print_body(body: Sequence[Statement], indent: str) -> Iterator[str]:
    for s in body:
        if isinstance(s, Let):
            yield f"{indent}{s.name} = {print_scalar(s.expr)}"
        elif isinstance(s, LetInt):
            yield f"{indent}{s.name} = {print_int(s.value)}"
        elif isinstance(s, Store):
            yield f"{indent}{s.buffer}[{print_int(s.address)}] = {print_scalar(s.expr)}"
        elif isinstance(s, Update):
            yield f"{indent}{s.buffer}[{print_int(s.address)}] {s.kind}= {print_scalar(s.expr)}"
        elif isinstance(s, Accumulator):
            yield f"{indent}accumulator {s.name} = {print_scalar(s.start)}"
        elif isinstance(s, Combine):
            yield f"{indent}{s.accumulator} {s.kind}= {print_scalar(s.expr)}"
        elif isinstance(s, CombineArg):
            yield f"{indent}{s.best}, {s.place} {s.kind}= {print_scalar(s.expr)}, {print_int(s.position)}"
        elif isinstance(s, Choose):
            yield f"{indent}{s.name}: {dtypes.name(s.dtype)} = if {_print_bounds(s.bounds)}:"
            yield from print_body(s.inside_body, indent + "    ")
            yield f"{indent}    {print_scalar(s.inside)}"
            yield f"{indent}else:"
            yield from print_body(s.outside_body, indent + "    ")
            yield f"{indent}    {print_scalar(s.outside)}"
        elif isinstance(s, When):
            yield f"{indent}if {_print_bounds(s.bounds)}:"
            yield from print_body(s.body, indent + "    ")
        elif isinstance(s, Variable):
            yield f"{indent}variable {s.name} = {print_scalar(s.start)}"
        elif isinstance(s, Assign):
            yield f"{indent}{s.name} := {print_scalar(s.expr)}"
        elif isinstance(s, While):
            yield f"{indent}while:"
            yield from print_body(s.body, indent + "    ")
        elif isinstance(s, Tape):
            yield f"{indent}tape {s.name}, {print_int(s.record)} bytes a record"
        elif isinstance(s, Push | Pop | Free):
            yield f"{indent}{type(s).__name__.lower()} {s.tape}"
        elif isinstance(s, Keep):
            yield f"{indent}{s.tape}[{print_int(s.address)}] = {print_scalar(s.expr)}"
        elif isinstance(s, LeaveUnless):
            yield f"{indent}leave unless {print_scalar(s.condition)}"
        elif isinstance(s, Switch):
            for number, inner in enumerate(s.bodies):
                yield f"{indent}case {number} of {print_scalar(s.index)}:"
                yield from print_body(inner, indent + "    ")
        else:
            step = "" if s.step == 1 else f" step {print_int(s.step)}"
            yield f"{indent}{s.kind} {s.var} in {print_int(s.start)}..{print_int(s.stop)}{step}:"
            yield from print_body(s.body, indent + "    ")


def print_kernel(kernel: Kernel) -> str:
    buffers = ", ".join(f"{b.role} {b.name}: {dtypes.name(b.dtype)}*" for b in kernel.buffers)
    lines = [f"kernel({buffers}; {', '.join(kernel.integers)}" + "; " * bool(kernel.scalars)]
    lines[0] += ", ".join(f"{s.name}: {dtypes.name(s.dtype)}" for s in kernel.scalars) + ")"
    lines.extend(print_body(kernel.body, "    "))
    return "\n".join(lines) + "\n"


# ------------------------------------------------------------------------------------------------ verifier


class LoopError(FuncgradError):
    """Loop IR that is ill formed: a defect of funcgrad, never of the user's program."""


def verify(kernel: Kernel) -> Kernel:
    """`kernel` itself; LoopError where a name is used before it is defined or a buffer is written against
    its role."""
    names = {"lo", "hi", *kernel.integers, *(s.name for s in kernel.scalars)}
    if len(names) != 2 + len(kernel.integers) + len(kernel.scalars):
        raise LoopError(f"an argument's name is used twice in\n{kernel}")
    _verify_body(kernel.body, names, {b.name: b for b in kernel.buffers}, kernel)
    return kernel


def _verify_body(
    body: Sequence[Statement], outer: set[str], buffers: dict[str, Buffer], kernel: Kernel
) -> None:
    names = set(outer)

    def use(*terms: Any) -> None:
        for term in terms:
            if isinstance(term, (Name, Ref)) and term.name not in names:
                raise LoopError(f"{term.name} is used before it is defined in\n{kernel}")
            if isinstance(term, Load):
                if term.buffer not in buffers:
                    raise LoopError(f"there is no buffer {term.buffer} in\n{kernel}")
                use(term.address)
            elif isinstance(term, Kept):
                use(Name(term.tape), term.address)
            elif isinstance(term, (Apply, IntOp)):
                use(*term.args)
            elif isinstance(term, OfInt):
                use(term.index)
            elif isinstance(term, IntOf):
                use(term.expr)

    for s in body:
        if isinstance(s, Let):
            use(s.expr)
            names.add(s.name)
        elif isinstance(s, LetInt):
            use(s.value)
            names.add(s.name)
        elif isinstance(s, (Store, Update)):
            if s.buffer not in buffers or buffers[s.buffer].role == "in":
                raise LoopError(f"{s.buffer} cannot be written in\n{kernel}")
            use(s.address, s.expr)
        elif isinstance(s, Accumulator):
            names.add(s.name)
        elif isinstance(s, Combine):
            use(Name(s.accumulator), s.expr)
        elif isinstance(s, CombineArg):
            use(Name(s.best), Name(s.place), s.expr, s.position)
        elif isinstance(s, Choose):
            use(*(t for bound in s.bounds for t in bound))
            for part, value in ((s.inside_body, s.inside), (s.outside_body, s.outside)):
                _verify_body((*part, Let("_", value)), names, buffers, kernel)
            names.add(s.name)
        elif isinstance(s, When):
            use(*(t for bound in s.bounds for t in bound))
            _verify_body(s.body, names, buffers, kernel)
        elif isinstance(s, Variable):
            use(s.start)
            names.add(s.name)
        elif isinstance(s, Assign):
            use(Name(s.name), s.expr)
        elif isinstance(s, LeaveUnless):
            use(s.condition)
        elif isinstance(s, Tape):
            use(s.record)
            names.add(s.name)
        elif isinstance(s, Push | Pop | Free):
            use(Name(s.tape))
        elif isinstance(s, Keep):
            use(Name(s.tape), s.address, s.expr)
        elif isinstance(s, While):
            _verify_body(s.body, names, buffers, kernel)
        elif isinstance(s, Switch):
            use(s.index)
            for inner in s.bodies:
                _verify_body(inner, names, buffers, kernel)
        else:
            use(s.start, s.stop, s.step)
            _verify_body(s.body, names | {s.var}, buffers, kernel)

"""Loop IR: nests of loops over scalar operations on buffers, and their text.

It says which loop is parallel, which is a reduction, which has independent iterations, and which must run in
order; it never says how a backend does that. Buffers are flat: an address is an integer expression in loop
variables and run-time integers (sizes, strides). A `Kernel` names no array, no shape and no source line,
so that equal text means equal code.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from funcgrad import dtypes
from funcgrad.errors import FuncgradError
from funcgrad.ir.expr import ScalarFunction
from funcgrad.records import record, replaced


class Part:
    """An integer expression, a scalar expression or a statement."""


# ------------------------------------------------------------------------------------ integer expressions


@record
class Name(Part):
    """A loop variable, an integer argument, or an integer that a `LetInt` named."""

    name: str


@record
class IntOp(Part):
    """`code` is add, mul, floordiv, mod, min, max or neg."""

    code: str
    args: tuple[Int, ...]


@record
class IntOf(Part):
    """A scalar expression as an integer (an index that was read from memory)."""

    expr: Scalar


Int = int | Name | IntOp | IntOf

# ------------------------------------------------------------------------------------- scalar expressions


@record
class Ref(Part):
    """A scalar that was named before: a `Let`, an accumulator, or a scalar argument."""

    name: str
    dtype: np.dtype


@record
class Lit(Part):
    value: Any
    dtype: np.dtype


@record
class Load(Part):
    buffer: str
    address: Int
    dtype: np.dtype


@record
class Apply(Part):
    """`code` (the names of ir/expr.py) on scalars of the dtypes that they carry."""

    code: str | ScalarFunction
    args: tuple[Scalar, ...]
    dtype: np.dtype


@record
class OfInt(Part):
    """An integer expression as a scalar."""

    index: Int
    dtype: np.dtype


@record
class Kept(Part):
    """A number of the record on a tape that is open: what lies `address` numbers of its dtype from its start."""

    tape: str
    address: Int
    dtype: np.dtype


Scalar = Ref | Lit | Load | Apply | OfInt | Kept

# ---------------------------------------------------------------------------------------------- statements


@record
class Let(Part):
    name: str
    expr: Scalar


@record
class LetInt(Part):
    name: str
    value: Int


@record
class Store(Part):
    buffer: str
    address: Int
    expr: Scalar


@record
class Update(Part):
    """`buffer[address] = kind(buffer[address], expr)`; kind is add, mul, max, min, and, or. Both have the
    dtype in which they are computed, so never a 16-bit float."""

    kind: str
    buffer: str
    address: Int
    expr: Scalar


@record
class Accumulator(Part):
    """A scalar variable that reductions combine into, with its start value."""

    name: str
    start: Lit


@record
class Combine(Part):
    """`accumulator = kind(accumulator, expr)`; the order of a reduce loop's combinations is free."""

    kind: str
    accumulator: str
    expr: Scalar


@record
class CombineArg(Part):
    """Keeps in `best` the first extreme of `expr` (argmax or argmin; the first NaN), in `place` its
    position."""

    kind: str
    best: str
    place: str
    expr: Scalar
    position: Int


@record
class Choose(Part):
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
class When(Part):
    """`body` only where the bounds hold."""

    bounds: tuple[tuple[Int, Int, Int], ...]
    body: tuple[Statement, ...]


@record
class Variable(Part):
    """A scalar that `Assign` changes, with its start value."""

    name: str
    start: Scalar


@record
class Assign(Part):
    name: str
    expr: Scalar


@record
class While(Part):
    """`body` again and again, until a `LeaveUnless` that stands in it ends it."""

    body: tuple[Statement, ...]


@record
class LeaveUnless(Part):
    """Ends the `While` around it where `condition` is false."""

    condition: Scalar


@record
class Switch(Part):
    """The one of `bodies` whose number is `index`, which is limited to those that there are."""

    index: Scalar
    bodies: tuple[tuple[Statement, ...], ...]


@record
class Tape(Part):
    """Memory that grows, of records of so many bytes, for one thread: empty at first."""

    name: str
    record: Int


@record
class Push(Part):
    """Opens a new record at the end of a tape. Where there is no memory for it, the kernel gives back what `every` tape
    of its has, says so and ends."""

    tape: str
    every: tuple[str, ...]


@record
class Pop(Part):
    """Opens the last record of a tape and takes it away; ends the `While` around it where there is none."""

    tape: str


@record
class Keep(Part):
    """Writes a number to the record that is open, as `Kept` reads it."""

    tape: str
    address: Int
    expr: Scalar


@record
class Free(Part):
    """Gives the memory of a tape back."""

    tape: str


PARALLEL, VECTOR, REDUCE, SEQUENTIAL, TILES = "parallel", "vector", "reduce", "sequential", "tiles"


@record
class Loop(Part):
    """`for var in start..stop`, by `kind`.

    parallel: iterations are independent, and `start..stop` is the part `lo..hi` that a thread was given.
    vector: innermost, iterations independent. reduce: iterations meet only in accumulators. sequential: in
    order. tiles: along the columns of a band of rows, a tile of `step` columns in each iteration. Its body is where the
    tile ends (a `LetInt`), and the loop over the rows of the band, which ends with the vector loop over the tile's
    columns; any order is right.
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


def bodies(s: Statement) -> tuple[tuple[Statement, ...], ...]:
    """The lists of statements that stand in a statement."""
    if isinstance(s, Switch):
        return s.bodies
    if isinstance(s, Choose):
        return s.inside_body, s.outside_body
    return (s.body,) if isinstance(s, Loop | When | While) else ()


def parts(whole: Any) -> Iterator[Any]:
    """What stands directly in a part, or in a tuple of parts, in order."""
    for value in whole if isinstance(whole, tuple) else whole.__dict__.values():
        if isinstance(value, Part):
            yield value
        elif isinstance(value, tuple):
            yield from parts(value)


def within(*whole: Any) -> list[Any]:
    """Parts, and all that stands in them; each after what it stands in. Integers that are known are passed over."""
    found: list[Any] = []

    def gather(values: Iterable[Any]) -> None:
        for value in values:
            if isinstance(value, Part):
                found.append(value)
                gather(value.__dict__.values())
            elif value.__class__ is tuple:
                gather(value)

    gather(whole)
    return found


def expressions(s: Statement) -> list[Int | Scalar]:
    """The expressions of a statement, without those of statements in it."""
    return [part for part in parts(s) if not isinstance(part, Statement)]


def map_parts(change: Callable[[Any], Any], whole: Any) -> Any:
    """A part, or a tuple of them, with `change(part)` for each part that stands directly in it."""

    def changed(value: Any) -> Any:
        if isinstance(value, Part):
            return change(value)
        return tuple([changed(inner) for inner in value]) if isinstance(value, tuple) else value

    if not isinstance(whole, Part):
        return changed(whole)
    return replaced(whole, **{name: changed(value) for name, value in whole.__dict__.items()})


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

    @property
    def taped(self) -> bool:
        """Whether it keeps a tape."""
        return any(isinstance(s, Tape) for s in self.body)

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

    def moved(part: Part) -> Part:
        if isinstance(part, Name):
            return Name(strides.get(part.name, part.name))
        part = map_parts(moved, part)
        return replaced(part, buffer=written) if isinstance(part, Load) and part.buffer == read else part

    buffers = [
        replaced(b, role="inout") if b.name == written else b for b in kernel.buffers if b.name != read
    ]
    integers = tuple([n for n in kernel.integers if n not in strides])
    return replaced(kernel, buffers=tuple(buffers), integers=integers, body=map_parts(moved, kernel.body))


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
        for part in within(*terms):
            name = part.tape if isinstance(part, Kept) else None
            name = part.name if isinstance(part, Name | Ref) else name
            if name is not None and name not in names:
                raise LoopError(f"{name} is used before it is defined in\n{kernel}")
            if isinstance(part, Load) and part.buffer not in buffers:
                raise LoopError(f"there is no buffer {part.buffer} in\n{kernel}")

    for s in body:
        if isinstance(s, Choose):
            use(s.bounds)
            for part, value in ((s.inside_body, s.inside), (s.outside_body, s.outside)):
                _verify_body((*part, Let("_", value)), names, buffers, kernel)
        else:
            use(*expressions(s))
            for inner in bodies(s):
                _verify_body(inner, names | {s.var} if isinstance(s, Loop) else names, buffers, kernel)
        if isinstance(s, Store | Update) and (s.buffer not in buffers or buffers[s.buffer].role == "in"):
            raise LoopError(f"{s.buffer} cannot be written in\n{kernel}")
        if isinstance(s, Combine):
            use(Name(s.accumulator))
        elif isinstance(s, CombineArg):
            use(Name(s.best), Name(s.place))
        elif isinstance(s, Assign):
            use(Name(s.name))
        elif isinstance(s, Push | Pop | Keep | Free):
            use(Name(s.tape))
        elif isinstance(s, Let | LetInt | Accumulator | Choose | Variable | Tape):
            names.add(s.name)

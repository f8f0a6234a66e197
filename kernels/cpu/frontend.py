"""From a kernel's Python text to LLVM IR that nothing has optimised yet, without Numba.

Kernels are written in the part of Python that Numba compiles, and mean what they mean there. But of that they use
little: loops over ranges, branches, and arithmetic on scalars whose types are known at once. So one walk over the
syntax tree writes the code; it takes a twentieth of the time, and Numba need not be imported. Of what is not known
here, such as functions that a user compiled by `numba.njit`, it says `Unknown`; then Numba compiles the kernel
(see by_numba.py).

The rules are Numba's: integers are computed in 64 bits, unsigned where both are; an integer with a float32 gives a
float64; `//` and `%` go down, and give 0 for a divisor 0. A name has one type, that of what is first assigned to it.
"""

from __future__ import annotations

import ast
import functools
import linecache
import types
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from llvmlite import ir

from .scalars import (
    BOOL,
    F32,
    F64,
    I64,
    PART,
    SCALARS,
    U64,
    Function,
    Pointer,
    Scalar,
    imaginary,
    joined,
    real,
)


class Unknown(Exception):
    """What the front end does not understand."""


class UserCodeError(Exception):
    """A user's function that Numba does not compile; the message says why."""


Value = tuple[Any, Any]
"""A type (None: nothing) and the LLVM value."""

_INT_OPS = {ast.Add: "add", ast.Sub: "sub", ast.Mult: "mul"}
_INT_OPS |= {ast.BitAnd: "and_", ast.BitOr: "or_", ast.BitXor: "xor"}
_FLOAT_OPS = {ast.Add: "fadd", ast.Sub: "fsub", ast.Mult: "fmul", ast.Div: "fdiv"}
_COMPARISONS = {ast.Eq: "==", ast.NotEq: "!=", ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">="}
_REASSOCIATED = frozenset(["fadd", "fsub", "fmul", "fdiv", "frem", "fcmp"])
_CASTS = {bool: BOOL, float: F64, int: I64}
_CASTS |= {getattr(np, name): kind for name, kind in SCALARS.items() if kind is not BOOL}


def lower(
    module: ir.Module,
    function: Callable[..., Any],
    kinds: Sequence[Any],
    result: Scalar | None = None,
    name: str = "kernel",
) -> ir.Function:
    """Add a function for arguments of these types to the module; pointers do not overlap."""
    return Functions(module).add(function, tuple(kinds), result, name)


def reassociate(module: ir.Module) -> None:
    """Allow every operation on floats in the module to be done in another order."""
    for function in module.functions:
        for block in function.blocks:
            for instruction in block.instructions:
                if instruction.opname in _REASSOCIATED:
                    if not instruction.flags:
                        instruction.flags.append("reassoc")
                elif isinstance(instruction, ir.CallInstr) and instruction.type in (F32.llvm, F64.llvm):
                    instruction.fastmath.add("reassoc")


def _wrapped(value: int, kind: Scalar) -> int:
    """An integer cut off to a type's width."""
    value &= (1 << kind.bitwidth) - 1
    return value - (1 << kind.bitwidth) if kind.signed and value >> (kind.bitwidth - 1) else value


@functools.lru_cache(maxsize=8)
def _definitions(path: str, version: int) -> dict[tuple[str, int], ast.FunctionDef]:
    """The functions in a file, by name and first line."""
    found = {}
    for node in _statements(ast.parse("".join(linecache.getlines(path))).body):
        if isinstance(node, ast.FunctionDef):
            found[node.name, min([node.lineno, *(d.lineno for d in node.decorator_list)])] = node
    return found


def _statements(body: Sequence[ast.stmt]) -> Iterator[ast.stmt]:
    """Statements and those within them."""
    for node in body:
        yield node
        for part in ("body", "orelse"):
            yield from _statements(getattr(node, part, ()))


def _assigned(function: ast.FunctionDef) -> Iterator[str]:
    """The names that a function assigns, as often as it does; those of its arguments too."""
    for argument in function.args.args:
        yield argument.arg
    for node in _statements(function.body):
        for target in getattr(node, "targets", ()) or (getattr(node, "target", None),):
            for name in getattr(target, "elts", (target,)):
                if isinstance(name, ast.Name):
                    yield name.id


def _definition(function: types.FunctionType) -> ast.FunctionDef:
    code = function.__code__
    lines = linecache.getlines(code.co_filename)
    node = _definitions(code.co_filename, hash(tuple(lines))).get((code.co_name, code.co_firstlineno))
    if node is None or function.__closure__:
        raise Unknown(f"the text of {code.co_name}")
    return node


class Functions:
    """The Python functions that are in a module, each for types of arguments."""

    def __init__(self, module: ir.Module):
        self.module = module
        self.known: dict[Any, ir.Function] = {}

    def add(
        self, function: types.FunctionType, kinds: tuple[Any, ...], result: Scalar | None, name: str
    ) -> ir.Function:
        known = self.known.get((function, kinds))
        if known is None:
            node = _definition(function)
            if len(node.args.args) != len(kinds) or len(node.args.args) != function.__code__.co_argcount:
                raise Unknown(f"the arguments of {name}")
            kind = ir.FunctionType(result.llvm if result else ir.VoidType(), [k.llvm for k in kinds])
            known = self.known[function, kinds] = ir.Function(self.module, kind, name)
            known.linkage = "internal"
            known.attributes.add("nounwind")
            if any(isinstance(k, Pointer) for k in kinds):
                known.attributes.add("noinline")  # where it is inlined, LLVM would know less of its pointers
            for argument in known.args:
                if argument.type.is_pointer:
                    argument.add_attribute("noalias")
            _Body(self, known, function.__globals__, node, kinds, result)
        return known


class _Body:
    """Writes the code of one function.

    A name that is assigned once stands for its value; others, for a place on the stack, of which LLVM makes values
    again. What is assigned inside a loop or branch for the first time is known in there only.
    """

    def __init__(
        self,
        functions: Functions,
        function: ir.Function,
        names: dict[str, Any],
        node: ast.FunctionDef,
        kinds: Sequence[Any],
        result: Scalar | None,
    ):
        self.functions = functions
        self.globals = names
        self.result = result
        self.entry = function.append_basic_block("entry")
        start = function.append_basic_block("start")
        self.builder = ir.IRBuilder(start)
        self.assigned = Counter(_assigned(node))
        self.values: dict[str, Value] = {}
        self.places: dict[str, Value] = {}
        self.loops: list[tuple[ir.Block, ir.Block]] = []
        for argument, kind, value in zip(node.args.args, kinds, function.args):
            self.assign(argument.arg, (kind, value))
        self.statements(node.body)
        if not self.builder.block.is_terminated:
            if result is None:
                self.builder.ret_void()
            else:
                self.builder.unreachable()
        ir.IRBuilder(self.entry).branch(start)

    # ---------------------------------------------------------------------------------------------- statements

    def statements(self, body: Sequence[ast.stmt]) -> None:
        for statement in body:
            if self.builder.block.is_terminated:
                return
            write = getattr(self, "do_" + type(statement).__name__, None)
            if write is None:
                raise Unknown(type(statement).__name__)
            write(statement)

    @contextmanager
    def scope(self, block: ir.Block) -> Any:
        """Write into a block; what is named in there is forgotten after it."""
        before = dict(self.values)
        self.builder.position_at_end(block)
        yield
        self.values = before

    def block(self) -> ir.Block:
        return self.builder.append_basic_block()

    def go_on(self, block: ir.Block) -> None:
        if not self.builder.block.is_terminated:
            self.builder.branch(block)

    def assign(self, name: str, value: Value) -> None:
        kind, given = value
        if kind is None:
            raise Unknown("the value of what gives none")
        if self.assigned[name] == 1:
            self.values[name] = value
            return
        if name not in self.places:
            self.places[name] = kind, ir.IRBuilder(self.entry).alloca(kind.llvm)
        known, place = self.places[name]
        if known is not kind:
            raise Unknown(f"{name} as {known} and {kind}")
        self.builder.store(given, place)

    def do_Expr(self, node: ast.Expr) -> None:
        if not isinstance(node.value, ast.Constant):
            self.value(node.value)

    def do_Pass(self, node: ast.Pass) -> None:
        pass

    def do_Assign(self, node: ast.Assign) -> None:
        if len(node.targets) != 1:
            raise Unknown("several targets")
        target = node.targets[0]
        if isinstance(target, ast.Tuple) and isinstance(node.value, ast.Tuple):
            values = [self.value(v) for v in node.value.elts]
            if len(values) != len(target.elts):
                raise Unknown("targets of another number")
            for part, value in zip(target.elts, values):
                self.store(part, value)
        else:
            self.store(target, self.value(node.value))

    def do_AugAssign(self, node: ast.AugAssign) -> None:
        old = (
            ast.copy_location(ast.Name(node.target.id, ast.Load()), node)
            if isinstance(node.target, ast.Name)
            else None
        )
        if old is None:
            raise Unknown("an operation on elements in place")
        self.store(node.target, self.binary(node.op, self.value(old), self.value(node.value)))

    def store(self, target: ast.expr, value: Value) -> None:
        if isinstance(target, ast.Name):
            self.assign(target.id, value)
        elif isinstance(target, ast.Subscript):
            kind, place = self.place(target)
            self.builder.store(self.cast(value, kind), place)
        else:
            raise Unknown("a target")

    def do_If(self, node: ast.If) -> None:
        then, after = self.block(), self.block()
        otherwise = self.block() if node.orelse else after
        self.builder.cbranch(self.truth(node.test), then, otherwise)
        for block, body in ((then, node.body), (otherwise, node.orelse)):
            if body:
                with self.scope(block):
                    self.statements(body)
                    self.go_on(after)
        self.builder.position_at_end(after)

    def do_While(self, node: ast.While) -> None:
        if node.orelse:
            raise Unknown("else of a loop")
        top, after = self.block(), self.block()
        self.builder.branch(top)
        self.loops.append((top, after))
        with self.scope(top):
            if not (isinstance(node.test, ast.Constant) and node.test.value):
                body = self.block()
                self.builder.cbranch(self.truth(node.test), body, after)
                self.builder.position_at_end(body)
            self.statements(node.body)
            self.go_on(top)
        self.loops.pop()
        self.builder.position_at_end(after)

    def do_For(self, node: ast.For) -> None:
        call = node.iter
        if not (isinstance(call, ast.Call) and self.known(call.func) is range and not node.orelse):
            raise Unknown("a loop over something")
        given = [self.integer(self.value(a)) for a in call.args]
        start, stop = (I64.llvm(0), given[0]) if len(given) == 1 else given[:2]
        step = given[2] if len(given) > 2 else I64.llvm(1)
        if not isinstance(step, ir.Constant) or step.constant == 0 or not isinstance(node.target, ast.Name):
            raise Unknown("a loop by any step")
        before = self.builder.block
        body, latch, after = self.block(), self.block(), self.block()
        how = "<" if step.constant > 0 else ">"
        self.builder.cbranch(self.builder.icmp_signed(how, start, stop), body, after)
        self.loops.append((latch, after))
        with self.scope(body):
            counter = self.builder.phi(I64.llvm)
            counter.add_incoming(start, before)
            self.assign(node.target.id, (I64, counter))
            self.statements(node.body)
            self.go_on(latch)
        self.loops.pop()
        self.builder.position_at_end(latch)
        following = self.builder.add(counter, step, flags=["nsw"])
        counter.add_incoming(following, latch)
        self.builder.cbranch(self.builder.icmp_signed(how, following, stop), body, after)
        self.builder.position_at_end(after)

    def do_Break(self, node: ast.Break) -> None:
        self.builder.branch(self.loops[-1][1])

    def do_Continue(self, node: ast.Continue) -> None:
        self.builder.branch(self.loops[-1][0])

    def do_Return(self, node: ast.Return) -> None:
        if (node.value is None) != (self.result is None):
            raise Unknown("a result of another kind")
        if node.value is None:
            self.builder.ret_void()
        else:
            self.builder.ret(self.cast(self.value(node.value), self.result))

    # --------------------------------------------------------------------------------------------- expressions

    def value(self, node: ast.expr) -> Value:
        write = getattr(self, "of_" + type(node).__name__, None)
        if write is None:
            raise Unknown(type(node).__name__)
        return write(node)

    def known(self, node: ast.expr) -> Any:
        """What stands outside of the function under this name; None for values of the function."""
        if isinstance(node, ast.Name) and node.id not in self.assigned:
            builtins = self.globals["__builtins__"]
            builtins = builtins if isinstance(builtins, dict) else vars(builtins)
            return self.globals.get(node.id, builtins.get(node.id))
        if isinstance(node, ast.Attribute):
            owner = self.known(node.value)
            if isinstance(owner, types.ModuleType):
                return getattr(owner, node.attr, None)
        return None

    def constant(self, value: Any) -> Value:
        if type(value) is int and value >= 1 << 63:
            return U64, U64.llvm(value)
        for known, kind in ((bool, BOOL), (int, I64), (float, F64)):
            if type(value) is known:
                return kind, kind.llvm(value)
        raise Unknown(f"the constant {value!r}")

    def of_Constant(self, node: ast.Constant) -> Value:
        return self.constant(node.value)

    def of_Name(self, node: ast.Name) -> Value:
        if node.id in self.values:
            return self.values[node.id]
        if node.id in self.places:
            kind, place = self.places[node.id]
            return kind, self.builder.load(place)
        return self.constant(self.known(node))

    def of_Attribute(self, node: ast.Attribute) -> Value:
        outside = self.known(node)
        if outside is not None:
            return self.constant(outside)
        if node.attr not in ("real", "imag"):
            raise Unknown(node.attr)
        kind, value = self.value(node.value)
        if kind not in PART:
            raise Unknown("a part of a real number")
        return PART[kind], (real if node.attr == "real" else imaginary)(self.builder, value)

    def place(self, node: ast.Subscript) -> Value:
        kind, pointer = self.value(node.value)
        if not isinstance(kind, Pointer):
            raise Unknown("an element of what is no pointer")
        return kind.to, self.builder.gep(pointer, [self.integer(self.value(node.slice))])

    def of_Subscript(self, node: ast.Subscript) -> Value:
        kind, place = self.place(node)
        return kind, self.builder.load(place)

    def of_IfExp(self, node: ast.IfExp) -> Value:
        return self.choice(
            self.truth(node.test), lambda: self.value(node.body), lambda: self.value(node.orelse)
        )

    def choice(self, test: Any, on_true: Callable[[], Value], on_false: Callable[[], Value]) -> Value:
        """One of two values, of which only one is computed."""
        then, otherwise, after = self.block(), self.block(), self.block()
        self.builder.cbranch(test, then, otherwise)
        found = []
        for block, write in ((then, on_true), (otherwise, on_false)):
            self.builder.position_at_end(block)
            found.append((write(), self.builder.block))
            self.builder.branch(after)
        (a, _), (b, _) = found
        if a[0] is not b[0]:
            raise Unknown(f"a choice of {a[0]} and {b[0]}")
        self.builder.position_at_end(after)
        chosen = self.builder.phi(a[0].llvm)
        for (_, value), block in found:
            chosen.add_incoming(value, block)
        return a[0], chosen

    def of_BoolOp(self, node: ast.BoolOp) -> Value:
        result = self.truth(node.values[0])
        for other in node.values[1:]:
            result = self.and_then(node.op, result, other)
        return BOOL, result

    def and_then(self, op: ast.boolop, first: Any, other: ast.expr) -> Any:
        """`first and other`, or `first or other`, where `other` is only computed if it matters: LLVM makes one
        condition of both where that is better, but would not make branches."""

        def more() -> Value:
            return BOOL, self.truth(other)

        def enough() -> Value:
            return BOOL, BOOL.llvm(isinstance(op, ast.Or))

        both = (more, enough) if isinstance(op, ast.And) else (enough, more)
        return self.choice(first, *both)[1]

    def truth(self, node: ast.expr) -> Any:
        kind, value = self.value(node)
        if kind is not BOOL:
            raise Unknown(f"the truth of {kind}")
        return value

    def of_Compare(self, node: ast.Compare) -> Value:
        parts = [self.value(n) for n in (node.left, *node.comparators)]
        result = None
        for op, a, b in zip(node.ops, parts, parts[1:]):
            one = self.compare(op, a, b)
            result = one if result is None else self.builder.and_(result, one)
        return BOOL, result

    def compare(self, op: ast.cmpop, a: Value, b: Value) -> Any:
        how = _COMPARISONS.get(type(op))
        if how is None:
            raise Unknown(type(op).__name__)
        kind = a[0] if a[0] is b[0] else self.common(a, b)
        if U64 in (a[0], b[0]):
            kind = U64  # common() has seen to it that the other has no sign, or is a constant
            if any(isinstance(v, ir.Constant) and v.constant < 0 for _, v in (a, b)):
                raise Unknown("a negative number beside one without a sign")
        if not isinstance(kind, Scalar):
            raise Unknown(f"a comparison of {kind}")
        x, y = self.cast(a, kind), self.cast(b, kind)
        if kind.kind == "f":
            return (self.builder.fcmp_unordered if how == "!=" else self.builder.fcmp_ordered)(how, x, y)
        if kind.kind != "c":
            return (self.builder.icmp_signed if kind.signed else self.builder.icmp_unsigned)(how, x, y)
        if how not in ("==", "!="):
            raise Unknown("an order of complex numbers")
        part = PART[kind]
        parts = [
            self.compare(op, (part, of(self.builder, x)), (part, of(self.builder, y)))
            for of in (real, imaginary)
        ]
        return (self.builder.and_ if how == "==" else self.builder.or_)(*parts)

    def common(self, a: Value, b: Value) -> Scalar:
        """The type in which two numbers are computed."""
        kinds = [a[0], b[0]]
        if not all(isinstance(k, Scalar) for k in kinds):
            raise Unknown(f"{a[0]} with {b[0]}")
        letters = {k.kind for k in kinds}
        if letters <= set("iub"):
            signed = letters != {"u"}
            if signed and U64 in kinds and not isinstance((a if a[0] is I64 else b)[1], ir.Constant):
                raise Unknown("a 64-bit number without a sign beside one with a sign")
            return I64 if signed else U64
        wide = any(k.bitwidth // (2 if k.kind == "c" else 1) == 64 for k in kinds)
        if any(k.kind in "iub" for k in kinds):
            if any(k.kind in "iub" and k.bitwidth < 32 for k in kinds):
                raise Unknown("a small integer with a float")
            wide = True
        return SCALARS[
            ("complex" if "c" in letters else "float")
            + str((64 if wide else 32) * (2 if "c" in letters else 1))
        ]

    def of_UnaryOp(self, node: ast.UnaryOp) -> Value:
        if isinstance(node.op, ast.Not):
            return BOOL, self.builder.not_(self.truth(node.operand))
        constant = node.operand.value if isinstance(node.operand, ast.Constant) else None
        if type(constant) is int and isinstance(node.op, ast.USub):
            return self.constant(-constant)  # -(2**63) is an int64, which 2**63 is not
        return self.unary(node.op, self.value(node.operand))

    def unary(self, op: ast.unaryop, x: Value, wanted: Scalar | None = None) -> Value:
        kind, value = x
        if isinstance(kind, Scalar) and kind.kind in "iu":
            kind = kind if kind is wanted else U64 if kind.kind == "u" else I64
            value = self.cast(x, kind)
            if isinstance(op, ast.Invert):
                return kind, self.builder.not_(value)
            if isinstance(op, ast.USub):
                if isinstance(value, ir.Constant):
                    return kind, kind.llvm(-value.constant)
                return kind, self.builder.neg(value)
        elif isinstance(op, ast.USub) and isinstance(kind, Scalar) and kind.kind == "f":
            return kind, self.negated(kind, value)
        elif isinstance(op, ast.USub) and kind in PART:
            part = PART[kind]
            parts = [self.negated(part, of(self.builder, value)) for of in (real, imaginary)]
            return kind, joined(self.builder, kind, *parts)
        raise Unknown(f"{type(op).__name__} of {kind}")

    def negated(self, kind: Scalar, value: Any) -> Any:
        if isinstance(value, ir.Constant):
            return kind.llvm(-value.constant)
        return self.builder.fsub(kind.llvm(-0.0), value)

    def of_BinOp(self, node: ast.BinOp) -> Value:
        return self.binary(node.op, self.value(node.left), self.value(node.right))

    def binary(self, op: ast.operator, a: Value, b: Value, wanted: Scalar | None = None) -> Value:
        """The result of an operator. Where an integer narrower than 64 bits is `wanted`, and both are such, it is
        computed in these; the lowest bits are the same."""
        if a[0] is BOOL and b[0] is BOOL and isinstance(op, ast.BitAnd | ast.BitOr | ast.BitXor):
            return BOOL, getattr(self.builder, _INT_OPS[type(op)])(a[1], b[1])
        kind = wanted if wanted is not None and a[0] is b[0] is wanted else self.common(a, b)
        if isinstance(op, ast.Div) and kind.kind in "iu":
            kind = F64
        x, y = self.cast(a, kind), self.cast(b, kind)
        if kind.kind == "c":
            return kind, self.complex_binary(op, kind, x, y)
        name = (_FLOAT_OPS if kind.kind == "f" else _INT_OPS).get(type(op))
        if name is not None:
            return kind, getattr(self.builder, name)(x, y)
        if kind.kind in "iu" and kind.bitwidth == 64 and isinstance(op, ast.FloorDiv | ast.Mod):
            return kind, self.divided(kind, x, y, isinstance(op, ast.Mod))
        if (
            isinstance(op, ast.LShift | ast.RShift)
            and isinstance(y, ir.Constant)
            and 0 <= y.constant < kind.bitwidth == 64
        ):
            right = self.builder.ashr if kind.signed else self.builder.lshr
            return kind, (right if isinstance(op, ast.RShift) else self.builder.shl)(x, y)
        raise Unknown(f"{type(op).__name__} of {a[0]} and {b[0]}")

    def complex_binary(self, op: ast.operator, kind: Scalar, x: Any, y: Any) -> Any:
        b = self.builder
        parts = [(real(b, v), imaginary(b, v)) for v in (x, y)]
        (xr, xi), (yr, yi) = parts
        if isinstance(op, ast.Add | ast.Sub):
            write = b.fadd if isinstance(op, ast.Add) else b.fsub
            return joined(b, kind, write(xr, yr), write(xi, yi))
        if isinstance(op, ast.Mult):
            re = b.fsub(b.fmul(xr, yr), b.fmul(xi, yi))
            return joined(b, kind, re, b.fadd(b.fmul(xr, yi), b.fmul(xi, yr)))
        raise Unknown(f"{type(op).__name__} of complex numbers")

    def divided(self, kind: Scalar, x: Any, y: Any, remainder: bool) -> Any:
        """Rounded down, or what that leaves; 0 for a divisor 0."""
        b, zero, one = self.builder, kind.llvm(0), kind.llvm(1)
        if isinstance(y, ir.Constant) and y.constant > 0:
            n = y.constant
            if n & (n - 1) == 0:
                shift = b.ashr if kind.signed else b.lshr
                return b.and_(x, kind.llvm(n - 1)) if remainder else shift(x, kind.llvm(n.bit_length() - 1))
            if not kind.signed:
                return (b.urem if remainder else b.udiv)(x, y)
            rest = b.srem(x, y)
            below = b.icmp_signed("<", rest, zero)
            if remainder:
                return b.add(rest, b.select(below, y, zero))
            return b.sub(b.sdiv(x, y), b.zext(below, kind.llvm))
        if not kind.signed:
            by_zero = b.icmp_unsigned("==", y, zero)
            safe = b.select(by_zero, one, y)
            return b.select(by_zero, zero, (b.urem if remainder else b.udiv)(x, safe))
        special = b.icmp_unsigned("<", b.add(y, one), kind.llvm(2))  # 0; and -1, which overflows
        safe = b.select(special, one, y)
        rest = b.srem(x, safe)
        below = b.and_(b.icmp_signed("!=", rest, zero), b.icmp_signed("<", b.xor(rest, safe), zero))
        if remainder:
            return b.add(rest, b.select(below, safe, zero))
        quotient = b.sub(b.sdiv(x, safe), b.zext(below, kind.llvm))
        return b.select(special, b.mul(x, y), quotient)

    # --------------------------------------------------------------------------------------------------- calls

    def of_Call(self, node: ast.Call) -> Value:
        called = self.known(node.func)
        if called is None or node.keywords:
            raise Unknown("a call of something")
        if called in _CASTS and len(node.args) == 1:
            return self.conversion(_CASTS[called], node.args[0])
        args = [self.value(a) for a in node.args]
        if isinstance(called, Function):
            return self.call(called, args)
        if (called is min or called is max) and len(args) == 2:
            x, y = map(self.integer, args)
            return I64, self.builder.select(
                self.builder.icmp_signed("<" if called is min else ">", x, y), x, y
            )
        if called is complex and len(args) == 2 and args[0][0] is args[1][0] and args[0][0] in (F32, F64):
            kind = next(k for k, part in PART.items() if part is args[0][0])
            return kind, joined(self.builder, kind, args[0][1], args[1][1])
        if isinstance(called, types.FunctionType) and all(k is I64 for k, _ in args):
            return self.call_python(called, args)
        raise Unknown(f"a call of {called!r}")

    def call(self, called: Function, args: Sequence[Value]) -> Value:
        result, kinds = called.signature([k for k, _ in args])
        if len(kinds) != len(args):
            raise Unknown(f"{called} of {len(args)} arguments")
        if called.python is not None and kinds[0] in PART:
            raise Unknown(f"{called} of complex numbers")
        values = [self.cast(a, kind) for a, kind in zip(args, kinds)]
        return result, called.code(self.builder, kinds, values)

    def call_python(self, called: types.FunctionType, args: Sequence[Value]) -> Value:
        """A function of int64 that gives an int64, or nothing."""
        node = _definition(called)
        gives = any(isinstance(n, ast.Return) and n.value is not None for n in ast.walk(node))
        result = I64 if gives else None
        function = self.functions.add(called, tuple(k for k, _ in args), result, called.__name__)
        return result, self.builder.call(function, [v for _, v in args])

    def conversion(self, kind: Scalar, node: ast.expr) -> Value:
        if kind.kind in "iu" and isinstance(node, ast.BinOp):
            return kind, self.cast(
                self.binary(node.op, self.value(node.left), self.value(node.right), kind), kind
            )
        if kind.kind in "iu" and isinstance(node, ast.UnaryOp) and not isinstance(node.op, ast.Not):
            return kind, self.cast(self.unary(node.op, self.value(node.operand), kind), kind)
        return kind, self.cast(self.value(node), kind)

    def integer(self, value: Value) -> Any:
        if not (isinstance(value[0], Scalar) and value[0].kind in "iub"):
            raise Unknown(f"{value[0]} for an integer")
        return self.cast(value, I64)

    def cast(self, value: Value, to: Any) -> Any:
        kind, x = value
        if kind is to:
            return x
        if not (isinstance(kind, Scalar) and isinstance(to, Scalar)):
            raise Unknown(f"{kind} as {to}")
        b = self.builder
        if to.kind == "c":
            part = PART[to]
            if kind.kind == "c":
                parts = [self.cast((PART[kind], of(b, x)), part) for of in (real, imaginary)]
                return joined(b, to, *parts)
            return joined(b, to, self.cast(value, part), part.llvm(0.0))
        if kind.kind == "c" or to is BOOL:
            raise Unknown(f"{kind} as {to}")
        if isinstance(x, ir.Constant) and to.kind == "f" and kind.kind in "fi" and abs(x.constant) <= 2**53:
            return to.llvm(float(np.float32(x.constant)) if to is F32 else float(x.constant))
        if to.kind == "f":
            if kind.kind == "f":
                return (b.fpext if to is F64 else b.fptrunc)(x, to.llvm)
            return (b.sitofp if kind.signed else b.uitofp)(x, to.llvm)
        if isinstance(x, ir.Constant) and kind.kind in "iu" and to.kind in "iu":
            return to.llvm(_wrapped(x.constant, to))
        if kind.kind == "f":
            return (b.fptosi if to.signed else b.fptoui)(x, to.llvm)
        if kind.bitwidth == to.bitwidth:
            return x
        if kind.bitwidth > to.bitwidth:
            return b.trunc(x, to.llvm)
        return (b.sext if kind.signed else b.zext)(x, to.llvm)

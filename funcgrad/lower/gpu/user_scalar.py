"""A user's function of numbers (`fg.elementwise`) as CUDA C: a `__device__` function, from its Python source.

Its numbers are booleans, integers of 64 bits and floats of the operands' precision; a variable has one type, the
widest of what is assigned to it. What has no CUDA C, and a function whose source is not there or is no longer that of
its bytecode, is NotTranslatable.
"""

from __future__ import annotations

import ast
import cmath
import functools
import itertools
import linecache
import math
import types
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from funcgrad import dtypes
from funcgrad.errors import FuncgradError
from funcgrad.ir.user_functions import python_function, references

BOOL, INT, REAL = "bool", "int64", "real"
_ORDER = (BOOL, INT, REAL)

_REALS = {
    **{
        n: n
        for n in ("exp", "exp2", "expm1", "log", "log1p", "log2", "log10", "sqrt", "cbrt", "pow", "hypot")
    },
    **{n: n for n in ("sin", "cos", "tan", "sinh", "cosh", "tanh", "erf", "erfc", "lgamma")},
    **{n: n for n in ("fabs", "fmod", "copysign")},
    **{k + n: "a" + n for k in ("a", "arc") for n in ("sin", "cos", "tan", "tan2", "sinh", "cosh", "tanh")},
    "gamma": "tgamma",
    "power": "pow",
}
"""Functions of `math` and `numpy` that are of CUDA's library too, with an f at the end for float32."""

_ROUNDING = {"floor": "floor", "ceil": "ceil", "trunc": "trunc"}
_CHOICES = {"maximum": "fg::maximum", "minimum": "fg::minimum"}
_TESTS = {
    "isnan": "({0} != {0})",
    "isfinite": "fg::is_finite({0})",
    "isinf": "(fg::abs({0}) == fg::inf<real>())",
}
_CONSTANTS = ("pi", "e", "tau", "inf", "nan")
_COMPARISONS = {ast.Eq: "==", ast.NotEq: "!=", ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">="}
_BITS = {ast.BitAnd: "&", ast.BitOr: "|", ast.BitXor: "^"}
_ARITHMETIC = {ast.Add: ("+", "add"), ast.Sub: ("-", "sub"), ast.Mult: ("*", "mul")}


class NotTranslatable(FuncgradError):
    """What a function has that has no CUDA C here."""


def _joined(kinds: Sequence[str]) -> str:
    return max(kinds, key=_ORDER.index)


def kind_of(dtype: np.dtype) -> str:
    """The kind of the numbers of a dtype."""
    if dtype.kind == "b":
        return BOOL
    return REAL if dtypes.is_float(dtype) else INT


class Translated:
    """The text of a function and of those that it calls, for operands of these kinds; `results` are the kinds of what
    it returns, `several` whether that is a tuple."""

    def __init__(self, name: str, function: Any, kinds: tuple[str, ...], single: bool):
        self.name, self.single, self._real = name, single, "float" if single else "double"
        self._unique = f"{name}_{''.join(k[0] for k in kinds)}"
        self._names = itertools.count()
        self._done: dict[tuple[Any, tuple[str, ...]], tuple[str, tuple[str, ...], bool]] = {}
        self._texts: list[str] = []
        _, self.results, self.several = self.define(python_function(function), kinds, name)

    @property
    def text(self) -> str:
        """The definitions, once where several kernels stand in one file."""
        guard = self._unique.upper()
        return "\n".join([f"#ifndef {guard}", f"#define {guard}", *self._texts, "#endif"])

    def c(self, kind: str) -> str:
        return self._real if kind == REAL else kind

    def define(
        self, function: types.FunctionType, kinds: tuple[str, ...], name: str = ""
    ) -> tuple[str, tuple[str, ...], bool]:
        known = self._done.get((function, kinds))
        if known is None:
            own = name or self.name_of_helper(function)
            body = _Body(self, function, kinds)
            self._texts.append(body.text(own))
            known = self._done[function, kinds] = own, body.results, body.several
        return known

    def name_of_helper(self, function: types.FunctionType) -> str:
        word = function.__name__ if function.__name__.isidentifier() else "function"
        return f"{self._unique}_{word}_{next(self._names)}"


class _Body:
    """One function."""

    def __init__(self, whole: Translated, function: types.FunctionType, kinds: tuple[str, ...]):
        self.whole, self.function = whole, function
        names, cells = references(function)
        self.outside = {**names, **dict(zip(function.__code__.co_freevars, cells))}
        node = _definition(function)
        self.arguments = [a.arg for a in node.args.args]
        defaults = function.__defaults__ or ()
        missing = self.arguments[len(kinds) :]
        self.given = dict(zip(missing, defaults[len(defaults) - len(missing) :])) if missing else {}
        self.statements = node.body if isinstance(node, ast.FunctionDef) else [ast.Return(node.body)]
        self.kinds = dict(zip(self.arguments, kinds))
        self.kinds |= {n: _kind_of_value(v, function) for n, v in self.given.items()}
        self.parameters = {a: self.kinds[a] for a in self.arguments[: len(kinds)]}
        self.results: tuple[str, ...] = ()
        self.several = False
        self._numbers = itertools.count()
        while True:  # until every variable has the widest kind that is assigned to it
            before = dict(self.kinds), self.results
            self.lines = list(self.block(self.statements, "    "))
            if (self.kinds, self.results) == before:
                break
            self._numbers = itertools.count()
        if not self.results:
            raise self.refused("returns nothing")

    def refused(self, what: str) -> NotTranslatable:
        return NotTranslatable(f"the function {self.function.__name__} {what}, which has no CUDA C here")

    def text(self, name: str) -> str:
        c = self.whole.c
        lines = []
        result = c(self.results[0])
        if self.several:
            result = f"{name}_{''.join(k[0] for k in self.parameters.values())}_results"
            members = " ".join(f"{c(k)} r{n};" for n, k in enumerate(self.results))
            lines.append(f"struct {result} {{ {members} }};")
        given = ", ".join(f"{c(k)} {_word(a)}_given" for a, k in self.parameters.items())
        lines.append(f"__device__ inline {result} {name}({given}) {{")
        for variable, kind in self.kinds.items():
            start = f"{_word(variable)}_given" if variable in self.parameters else "0"
            if variable in self.given:
                start = _literal(self.given[variable], self.whole)
            lines.append(f"    {c(kind)} {_word(variable)} = {start};")
        return "\n".join([*lines, *self.lines, "}"])

    # ------------------------------------------------------------------------------------------ statements

    def block(self, body: Sequence[ast.stmt], indent: str) -> Iterator[str]:
        for s in body:
            yield from self.statement(s, indent)

    def statement(self, s: ast.stmt, indent: str) -> Iterator[str]:
        inner = indent + "    "
        if isinstance(s, ast.Return):
            yield self.returned(s, indent)
        elif isinstance(s, ast.Assign):
            yield from self.assigned(s.targets, s.value, indent)
        elif isinstance(s, ast.AnnAssign) and s.value is not None:
            yield from self.assigned([s.target], s.value, indent)
        elif isinstance(s, ast.AugAssign) and isinstance(s.target, ast.Name):
            old = ast.Name(s.target.id, ast.Load())
            yield from self.assigned([s.target], ast.BinOp(old, s.op, s.value), indent)
        elif isinstance(s, ast.If):
            yield f"{indent}if ({self.truth(s.test)}) {{"
            yield from self.block(s.body, inner)
            if s.orelse:
                yield f"{indent}}} else {{"
                yield from self.block(s.orelse, inner)
            yield f"{indent}}}"
        elif isinstance(s, ast.While) and not s.orelse:
            yield f"{indent}while ({self.truth(s.test)}) {{"
            yield from self.block(s.body, inner)
            yield f"{indent}}}"
        elif isinstance(s, ast.For) and not s.orelse and isinstance(s.target, ast.Name):
            yield from self.counted(s, s.target.id, indent)
        elif isinstance(s, ast.Break | ast.Continue):
            yield f"{indent}{'break' if isinstance(s, ast.Break) else 'continue'};"
        elif not (isinstance(s, ast.Pass) or (isinstance(s, ast.Expr) and isinstance(s.value, ast.Constant))):
            raise self.refused(f"has `{ast.unparse(s).splitlines()[0]}`")

    def returned(self, s: ast.Return, indent: str) -> str:
        if s.value is None:
            raise self.refused("returns nothing")
        self.several = self.several or isinstance(s.value, ast.Tuple)
        nodes = s.value.elts if isinstance(s.value, ast.Tuple) else [s.value]
        values = [self.value(n) for n in nodes]
        found = tuple([k for _, k in values])
        if self.results and len(self.results) != len(found):
            raise self.refused("returns now more and now fewer numbers")
        self.results = tuple(map(_joined, zip(found, self.results))) if self.results else found
        texts = [self.cast(v, k) for v, k in zip(values, self.results)]
        return f"{indent}return {{{', '.join(texts)}}};" if self.several else f"{indent}return {texts[0]};"

    def assigned(self, targets: Sequence[ast.expr], value: ast.expr, indent: str) -> Iterator[str]:
        for target in targets:
            if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
                names, nodes = [t.id for t in target.elts if isinstance(t, ast.Name)], value.elts
                if len(names) != len(target.elts) or len(names) != len(nodes):
                    raise self.refused(f"has `{ast.unparse(target)} = {ast.unparse(value)}`")
                held = []
                for name, node in zip(names, nodes):
                    found = self.value(node)
                    kind = self.assign(name, found[1])
                    held.append(f"t{next(self._numbers)}")
                    yield f"{indent}const {self.whole.c(kind)} {held[-1]} = {self.cast(found, kind)};"
                yield from (f"{indent}{_word(n)} = {h};" for n, h in zip(names, held))
            elif isinstance(target, ast.Name):
                found = self.value(value)
                kind = self.assign(target.id, found[1])
                yield f"{indent}{_word(target.id)} = {self.cast(found, kind)};"
            else:
                raise self.refused(f"has `{ast.unparse(target)} = {ast.unparse(value)}`")

    def assign(self, name: str, kind: str) -> str:
        self.kinds[name] = _joined([kind, self.kinds.get(name, kind)])
        return self.kinds[name]

    def counted(self, s: ast.For, name: str, indent: str) -> Iterator[str]:
        call = s.iter
        if not (isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "range"):
            raise self.refused(f"has `for {name} in {ast.unparse(s.iter)}`")
        bounds = [self.cast(self.value(a), INT) for a in call.args]
        start, stop, *rest = ["(int64)0", *bounds] if len(bounds) == 1 else bounds
        step = rest[0] if rest else "1"
        self.assign(name, INT)
        i = f"i{next(self._numbers)}"
        yield f"{indent}const int64 {i}_stop = {stop}, {i}_step = {step};"
        test = f"{i}_step > 0 ? {i} < {i}_stop : {i} > {i}_stop"
        yield f"{indent}for (int64 {i} = {start}; {test}; {i} += {i}_step) {{"
        yield f"{indent}    {_word(name)} = {i};"
        yield from self.block(s.body, indent + "    ")
        yield f"{indent}}}"

    # ----------------------------------------------------------------------------------------- expressions

    def cast(self, value: tuple[str, str], kind: str) -> str:
        text, own = value
        return text if own == kind else f"(({self.whole.c(kind)}){text})"

    def real(self, node: ast.expr) -> str:
        return self.cast(self.value(node), REAL)

    def truth(self, node: ast.expr) -> str:
        text, kind = self.value(node)
        return text if kind == BOOL else f"({text} != 0)"

    def value(self, node: ast.expr) -> tuple[str, str]:
        """The text of an expression, in brackets where it has to be, and its kind."""
        if isinstance(node, ast.Constant):
            return _literal(node.value, self.whole), _kind_of_value(node.value, self.function)
        if isinstance(node, ast.Name):
            if node.id in self.kinds:
                return _word(node.id), self.kinds[node.id]
            return self.constant(node, self.outside.get(node.id))
        if isinstance(node, ast.BinOp):
            return self.binary(node)
        if isinstance(node, ast.UnaryOp):
            return self.unary(node)
        if isinstance(node, ast.BoolOp):
            return self.boolean(node)
        if isinstance(node, ast.Compare):
            return self.comparison(node), BOOL
        if isinstance(node, ast.IfExp):
            return self.choice(self.truth(node.test), self.value(node.body), self.value(node.orelse))
        if isinstance(node, ast.Call) and not node.keywords:
            return self.call(node)
        if isinstance(node, ast.Attribute | ast.Subscript):
            return self.constant(node, self.evaluated(node))
        raise self.refused(f"has `{ast.unparse(node)}`")

    def evaluated(self, node: ast.expr) -> Any:
        """What an expression of names from outside alone stands for; None where it is no such."""
        if isinstance(node, ast.Name):
            return None if node.id in self.kinds else self.outside.get(node.id)
        if isinstance(node, ast.Constant):
            return node.value
        if isinstance(node, ast.Attribute):
            module = self.evaluated(node.value)
            return getattr(module, node.attr, None) if module in (math, np, cmath) else None
        if isinstance(node, ast.Subscript):
            sequence, index = self.evaluated(node.value), self.evaluated(node.slice)
            if isinstance(sequence, tuple) and isinstance(index, int):
                return sequence[index]
        return None

    def constant(self, node: ast.expr, value: Any) -> tuple[str, str]:
        if isinstance(value, bool | int | float | np.bool_ | np.integer | np.floating):
            value = value.item() if isinstance(value, np.generic) else value
            return _literal(value, self.whole), _kind_of_value(value, self.function)
        raise self.refused(f"has `{ast.unparse(node)}`")

    def unary(self, node: ast.UnaryOp) -> tuple[str, str]:
        if isinstance(node.op, ast.Not):
            return f"(!{self.truth(node.operand)})", BOOL
        value = self.value(node.operand)
        kind = _joined([value[1], INT])
        text = self.cast(value, kind)
        if isinstance(node.op, ast.USub):
            return (f"(-{text})" if kind == REAL else f"fg::neg({text})"), kind
        if isinstance(node.op, ast.UAdd):
            return text, kind
        if kind == INT and value[1] == INT:
            return f"(~{text})", INT
        raise self.refused(f"has `{ast.unparse(node)}`")

    def binary(self, node: ast.BinOp) -> tuple[str, str]:
        left, right = self.value(node.left), self.value(node.right)
        op = type(node.op)
        if op in _BITS and left[1] == right[1] == BOOL:
            return f"({left[0]} {_BITS[op]} {right[0]})", BOOL
        kind = REAL if op is ast.Div else _joined([left[1], right[1], INT])
        a, b = self.cast(left, kind), self.cast(right, kind)
        if op is ast.Div:
            return f"({a} / {b})", REAL
        if op in _ARITHMETIC:
            sign, function = _ARITHMETIC[op]
            return (f"({a} {sign} {b})" if kind == REAL else f"fg::{function}({a}, {b})"), kind
        if op is ast.FloorDiv:
            return f"fg::floor_divide({a}, {b})", kind
        if op is ast.Mod:
            return f"fg::floor_remainder({a}, {b})", kind
        if op is ast.Pow:
            if right[1] != REAL and left[1] == REAL:
                return f"fg::to_power({a}, {self.cast(right, INT)})", REAL
            return (f"{self.library('pow')}({a}, {b})" if kind == REAL else f"fg::to_power({a}, {b})"), kind
        if kind == INT and op in _BITS:
            return f"({a} {_BITS[op]} {b})", INT
        if kind == INT and op in (ast.LShift, ast.RShift):
            return f"fg::shift_{'left' if op is ast.LShift else 'right_arithmetic'}({a}, {b})", INT
        raise self.refused(f"has `{ast.unparse(node)}`")

    def boolean(self, node: ast.BoolOp) -> tuple[str, str]:
        values = [self.value(v) for v in node.values]
        every = isinstance(node.op, ast.And)
        if all(kind == BOOL for _, kind in values):
            return f"({(' && ' if every else ' || ').join(text for text, _ in values)})", BOOL
        found = values[-1]
        for value, part in zip(reversed(values[:-1]), reversed(node.values[:-1])):
            test = self.truth(part)
            found = self.choice(test, found, value) if every else self.choice(test, value, found)
        return found

    def choice(self, test: str, a: tuple[str, str], b: tuple[str, str]) -> tuple[str, str]:
        kind = _joined([a[1], b[1]])
        return f"({test} ? {self.cast(a, kind)} : {self.cast(b, kind)})", kind

    def comparison(self, node: ast.Compare) -> str:
        parts = []
        for left, op, right in zip([node.left, *node.comparators], node.ops, node.comparators):
            if type(op) not in _COMPARISONS:
                raise self.refused(f"has `{ast.unparse(node)}`")
            a, b = self.value(left), self.value(right)
            kind = _joined([a[1], b[1]])
            parts.append(f"({self.cast(a, kind)} {_COMPARISONS[type(op)]} {self.cast(b, kind)})")
        return parts[0] if len(parts) == 1 else f"({' && '.join(parts)})"

    def library(self, name: str) -> str:
        return name + "f" * (self.whole.c(REAL) == "float")

    def call(self, node: ast.Call) -> tuple[str, str]:
        callee = node.func.id if isinstance(node.func, ast.Name) else None
        value = self.evaluated(node.func)
        if isinstance(getattr(value, "py_func", value), types.FunctionType):
            given = [self.value(a) for a in node.args]
            name, results, several = self.whole.define(python_function(value), tuple([k for _, k in given]))
            if several:
                raise self.refused(f"has `{ast.unparse(node)}`, of several numbers")
            return f"{name}({', '.join(text for text, _ in given)})", results[0]
        if callee is not None and value is None and callee not in self.kinds:
            return self.builtin(callee, node)
        name = getattr(value, "__name__", "")
        for module in (math, np):
            if getattr(module, name, None) is value and value is not None:
                return self.of_module(module, name, node)
        raise self.refused(f"has `{ast.unparse(node)}`")

    def builtin(self, name: str, node: ast.Call) -> tuple[str, str]:
        values = [self.value(a) for a in node.args]
        if name in ("min", "max") and len(values) > 1:
            found = values[0]
            for other in values[1:]:
                kind = _joined([found[1], other[1]])
                a, b = self.cast(found, kind), self.cast(other, kind)
                found = f"({b} {'<' if name == 'min' else '>'} {a} ? {b} : {a})", kind
            return found
        if len(values) == 1:
            (value,) = values
            if name == "abs":
                kind = _joined([value[1], INT])
                return f"fg::abs({self.cast(value, kind)})", kind
            if name == "int":
                return (
                    f"fg::to_integer<int64>({value[0]})" if value[1] == REAL else self.cast(value, INT)
                ), INT
            if name == "float":
                return self.cast(value, REAL), REAL
            if name == "bool":
                return self.truth(node.args[0]), BOOL
            if name == "round":
                rounded = f"fg::to_integer<int64>(fg::round_even({value[0]}))"
                return (rounded if value[1] == REAL else self.cast(value, INT)), INT
        raise self.refused(f"has `{ast.unparse(node)}`")

    def of_module(self, module: Any, name: str, node: ast.Call) -> tuple[str, str]:
        reals = [self.real(a) for a in node.args]
        if name == "log" and len(reals) == 2:
            log = self.library("log")
            return f"({log}({reals[0]}) / {log}({reals[1]}))", REAL
        if name in _REALS:
            return f"{self.library(_REALS[name])}({', '.join(reals)})", REAL
        if name in _ROUNDING and len(reals) == 1:
            text = f"{self.library(_ROUNDING[name])}({reals[0]})"
            return (f"fg::to_integer<int64>({text})", INT) if module is math else (text, REAL)
        if name in _TESTS and len(reals) == 1:
            return _TESTS[name].format(reals[0]).replace("<real>", f"<{self.whole.c(REAL)}>"), BOOL
        if name in ("abs", "absolute"):
            return self.builtin("abs", node)
        if name in _CHOICES and len(reals) == 2:
            kind = _joined([self.value(a)[1] for a in node.args])
            return f"{_CHOICES[name]}({', '.join(self.cast(self.value(a), kind) for a in node.args)})", kind
        if name in ("degrees", "radians") and len(reals) == 1:
            factor = 180 / math.pi if name == "degrees" else math.pi / 180
            return f"({reals[0]} * {_literal(factor, self.whole)})", REAL
        raise self.refused(f"has `{ast.unparse(node)}`")


def _word(name: str) -> str:
    """A name that is no word of C."""
    return f"v_{name}"


def _kind_of_value(value: Any, function: types.FunctionType) -> str:
    kind = {bool: BOOL, int: INT, float: REAL}.get(type(value))
    if kind is None:
        raise NotTranslatable(
            f"the function {function.__name__} uses {value!r:.40}, which has no CUDA C here"
        )
    return kind


def _literal(value: Any, whole: Translated) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        if not -(1 << 63) < value < 1 << 63:
            raise NotTranslatable(f"the integer {value} has more than 64 bits")
        return f"((int64){value}LL)"
    real = whole.c(REAL)
    if math.isinf(value) or math.isnan(value):
        text = "nan" if math.isnan(value) else "inf"
        return f"({'-' if value < 0 else ''}fg::{text}<{real}>())"
    return f"(({real}){value!r})"


def _definition(function: types.FunctionType) -> ast.FunctionDef | ast.Lambda:
    """The syntax of a function, from its file, where that is what its bytecode was made of."""
    own = function.__code__
    text = "".join(linecache.getlines(own.co_filename, function.__globals__))
    name = function.__name__
    found = _definitions(text, own.co_filename) if text else {}
    if not found:
        raise NotTranslatable(f"the source of {name} is not there, which CUDA C is made of")
    for code, node in found.get((own.co_name, own.co_firstlineno), ()):
        if (
            code.co_code == own.co_code
            and code.co_names == own.co_names
            and _constants(code) == _constants(own)
        ):
            return node
    raise NotTranslatable(f"the source of {name} is not that of its bytecode any more")


_Definitions = dict[tuple[str, int], list[tuple[types.CodeType, Any]]]


@functools.lru_cache(maxsize=32)
def _definitions(text: str, file: str) -> _Definitions:
    """The functions in the text of a file by name and first line: bytecode and syntax."""
    try:
        module = ast.parse(text)
        codes = [*_codes(compile(text, file, "exec", dont_inherit=True))]
    except SyntaxError:
        return {}
    nodes: dict[tuple[str, int], list[Any]] = {}
    for node in ast.walk(module):
        if isinstance(node, ast.Lambda):
            nodes.setdefault(("<lambda>", node.lineno), []).append(node)
        elif isinstance(node, ast.FunctionDef):
            first = min([node.lineno, *(d.lineno for d in node.decorator_list)])
            nodes.setdefault((node.name, first), []).append(node)
    found: _Definitions = {}
    for key, several in nodes.items():
        several.sort(key=lambda n: (n.lineno, n.col_offset))
        here = [c for c in codes if (c.co_name, c.co_firstlineno) == key]
        if len(here) == len(several):
            found[key] = list(zip(here, several))
    return found


def _constants(code: types.CodeType) -> list[Any]:
    return [(type(c), repr(c)) for c in code.co_consts if not isinstance(c, types.CodeType)]


def _codes(code: types.CodeType) -> Iterator[types.CodeType]:
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield constant
            yield from _codes(constant)


@functools.lru_cache(maxsize=256)
def translated(name: str, function: Callable[..., Any], kinds: tuple[str, ...], single: bool) -> Translated:
    """The CUDA C of a function, called `name`, for operands of these kinds; NotTranslatable where it has none."""
    return Translated(name, function, kinds, single)


__all__ = ["NotTranslatable", "Translated", "kind_of", "translated"]

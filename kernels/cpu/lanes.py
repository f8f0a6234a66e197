"""A small language for writing scalar functions straight into LLVM IR, for kernels to be vectorized around.

`Lane` is a scalar in the IR under construction, with Python's operators; Python numbers become constants of
its type. Nothing here branches: choices are selects. So LLVM's loop vectorizer makes vector code of a loop around it.
"""

from __future__ import annotations

import platform
from typing import Any

from llvmlite import ir

from .codegen import FEATURES

F32, F64 = ir.FloatType(), ir.DoubleType()
I32, I64 = ir.IntType(32), ir.IntType(64)

MANTISSA = {F32: 23, F64: 52}
BIAS = {F32: 127, F64: 1023}
INTEGER = {F32: I32, F64: I64}

_ROUNDING = {F32: 1.5 * 2.0**23, F64: 1.5 * 2.0**52}
"""Added to a number, this leaves its nearest integer in the lowest bits: no instruction
converts, which on many machines would not be a vector instruction in float64."""
_ROUNDING_BITS = {F32: 0x4B400000, F64: 0x4338000000000000}


_FEATURES = FEATURES.split(",")
HAS_FMA = "+fma" in _FEATURES or platform.machine().lower() in ("arm64", "aarch64")
"""Has the machine that kernels are compiled for a fused multiply-add?"""
VECTOR_BYTES = 64 if "+avx512f" in _FEATURES else 32 if "+avx" in _FEATURES else 16


class Lane:
    """One scalar value: float, signed integer, or boolean."""

    __slots__ = ("builder", "value")

    def __init__(self, builder: ir.IRBuilder, value: Any):
        self.builder = builder
        self.value = value

    @property
    def type(self) -> Any:
        return self.value.type

    @property
    def is_float(self) -> bool:
        return self.type in (F32, F64)

    def constant(self, number: Any) -> Lane:
        """A constant of this lane's type."""
        return Lane(self.builder, ir.Constant(self.type, float(number) if self.is_float else int(number)))

    def _other(self, other: Any) -> Any:
        return other.value if isinstance(other, Lane) else self.constant(other).value

    def _binary(self, other: Any, of_float: str, of_int: str, reflected: bool = False) -> Lane:
        a, b = self.value, self._other(other)
        if reflected:
            a, b = b, a
        return Lane(self.builder, getattr(self.builder, of_float if self.is_float else of_int)(a, b))

    def __add__(self, other: Any) -> Lane:
        return self._binary(other, "fadd", "add")

    __radd__ = __add__

    def __sub__(self, other: Any) -> Lane:
        return self._binary(other, "fsub", "sub")

    def __rsub__(self, other: Any) -> Lane:
        return self._binary(other, "fsub", "sub", True)

    def __mul__(self, other: Any) -> Lane:
        return self._binary(other, "fmul", "mul")

    __rmul__ = __mul__

    def __truediv__(self, other: Any) -> Lane:
        return self._binary(other, "fdiv", "sdiv")

    def __rtruediv__(self, other: Any) -> Lane:
        return self._binary(other, "fdiv", "sdiv", True)

    def __neg__(self) -> Lane:
        return Lane(
            self.builder, self.builder.fneg(self.value) if self.is_float else self.builder.neg(self.value)
        )

    def __and__(self, other: Any) -> Lane:
        return Lane(self.builder, self.builder.and_(self.value, self._other(other)))

    def __or__(self, other: Any) -> Lane:
        return Lane(self.builder, self.builder.or_(self.value, self._other(other)))

    def __xor__(self, other: Any) -> Lane:
        return Lane(self.builder, self.builder.xor(self.value, self._other(other)))

    def __lshift__(self, other: Any) -> Lane:
        return Lane(self.builder, self.builder.shl(self.value, self._other(other)))

    def __rshift__(self, other: Any) -> Lane:
        """Arithmetic shift."""
        return Lane(self.builder, self.builder.ashr(self.value, self._other(other)))

    def logical_shift(self, other: Any) -> Lane:
        return Lane(self.builder, self.builder.lshr(self.value, self._other(other)))

    def compare(self, how: str, other: Any) -> Lane:
        b = self._other(other)
        if self.is_float:
            return Lane(self.builder, self.builder.fcmp_ordered(how, self.value, b))
        return Lane(self.builder, self.builder.icmp_signed(how, self.value, b))

    def __lt__(self, other: Any) -> Lane:
        return self.compare("<", other)

    def __le__(self, other: Any) -> Lane:
        return self.compare("<=", other)

    def __gt__(self, other: Any) -> Lane:
        return self.compare(">", other)

    def __ge__(self, other: Any) -> Lane:
        return self.compare(">=", other)

    def equals(self, other: Any) -> Lane:
        return self.compare("==", other)

    def is_nan(self) -> Lane:
        return Lane(self.builder, self.builder.fcmp_unordered("uno", self.value, self.value))

    def where(self, on_true: Any, on_false: Any) -> Lane:
        """`on_true` where this boolean holds; one of the two may be a number."""
        kind = on_true if isinstance(on_true, Lane) else on_false
        a, b = kind._other(on_true), kind._other(on_false)
        return Lane(self.builder, self.builder.select(self.value, a, b))

    def bits(self) -> Lane:
        """A float's bits as a signed integer."""
        return Lane(self.builder, self.builder.bitcast(self.value, INTEGER[self.type]))

    def from_bits(self, kind: Any) -> Lane:
        """The float with these bits."""
        return Lane(self.builder, self.builder.bitcast(self.value, kind))

    def to_int(self) -> Lane:
        """Towards zero, to the integer of the same width; only for numbers in its range."""
        return Lane(self.builder, self.builder.fptosi(self.value, INTEGER[self.type]))

    def to_float(self, kind: Any) -> Lane:
        """A signed integer as a float, or a float of another width."""
        if not self.is_float:
            return Lane(self.builder, self.builder.sitofp(self.value, kind))
        if self.type is kind:
            return self
        return Lane(
            self.builder, (self.builder.fpext if kind is F64 else self.builder.fptrunc)(self.value, kind)
        )

    def call(self, intrinsic: str, *others: Any) -> Lane:
        """An LLVM intrinsic on values of this type."""
        values = [self.value, *map(self._other, others)]
        suffix = {F32: "f32", F64: "f64"}.get(self.type) or f"i{self.type.width}"
        name = f"llvm.{intrinsic}.{suffix}"
        kind = ir.FunctionType(self.type, [self.type] * len(values))
        module = self.builder.module
        function = module.globals.get(name) or ir.Function(module, kind, name)
        return Lane(self.builder, self.builder.call(function, values))

    def fma(self, factor: Any, term: Any) -> Lane:
        """self * factor + term, rounded once where the machine can."""
        return self.call("fmuladd", factor, term)

    def abs(self) -> Lane:
        return self.call("fabs")

    def rint(self) -> Lane:
        return self.call("rint")

    def rounded(self, factor: float = 1.0) -> tuple[Lane, Lane]:
        """The integer nearest to self * factor, as a float and as an integer; up to 2**21, or 2**50 in
        float64. Of larger numbers and NaN, the integer is arbitrary."""
        n = (self if factor == 1.0 else self * factor).rint()
        return n, (n + _ROUNDING[self.type]).bits() - _ROUNDING_BITS[self.type]

    def small_to_float(self, kind: Any) -> Lane:
        """An integer that fits in 32 bits, whatever its type, as a float: few machines convert wider ones."""
        return (self.truncated(I32) if self.type == I64 else self).to_float(kind)

    def truncated(self, kind: Any) -> Lane:
        """The lowest bits of an integer."""
        return Lane(self.builder, self.builder.trunc(self.value, kind))

    def negated(self) -> Lane:
        """Not this boolean."""
        return Lane(self.builder, self.builder.not_(self.value))

    def copysign(self, other: Lane) -> Lane:
        return self.call("copysign", other)

    def polynomial(self, coefficients: Any) -> Lane:
        """The sum of coefficients[k] * self**k, by Horner's rule."""
        result = self.constant(coefficients[-1])
        for c in reversed(coefficients[:-1]):
            result = result.fma(self, self.constant(c))
        return result

    def times_power_of_two(self, n: Lane) -> Lane:
        """self * 2**n for n up to twice the exponents, in two steps, so that it underflows gradually."""
        half = n >> 1
        return self * power_of_two(half, self.type) * power_of_two(n - half, self.type)


def power_of_two(n: Lane, kind: Any) -> Lane:
    """2**n as a float, for n in the range of exponents."""
    return ((n + BIAS[kind]) << MANTISSA[kind]).from_bits(kind)


def exact_sum(a: Lane, b: Lane) -> tuple[Lane, Lane]:
    """The rounded sum, and what rounding took from it (Knuth)."""
    total = a + b
    part = total - a
    return total, (a - (total - part)) + (b - part)


def exact_product(a: Lane, b: Lane) -> tuple[Lane, Lane]:
    """The rounded product of float64 numbers, and what rounding took from it (by Dekker where there is no
    fma)."""
    product = a * b
    if HAS_FMA:
        return product, a.call("fma", b, -product)
    a_high, a_low = _split(a)
    b_high, b_low = (a_high, a_low) if a is b else _split(b)
    rest = a_high * b_high - product
    return product, ((rest + a_high * b_low) + a_low * b_high) + a_low * b_low


def _split(a: Lane) -> tuple[Lane, Lane]:
    """a in two parts of 26 bits."""
    scaled = a * (2.0**27 + 1)
    high = scaled - (scaled - a)
    return high, a - high

"""The types of scalars in kernels, and functions on scalars that write their own LLVM IR.

A `Function` is what a kernel calls by name (`vm.exp(x)`, `native.load(address)`). It says what it takes and gives
for types of arguments, and writes the code; both front ends, frontend.py and by_numba.py, understand it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from llvmlite import ir


class Scalar:
    """A type of scalars: bool (`b`), integers (`i`, `u`), floats (`f`), complex numbers (`c`). Each is one object."""

    __slots__ = ("bitwidth", "kind", "llvm", "name")

    def __init__(self, kind: str, bitwidth: int, name: str, llvm: Any):
        self.kind = kind
        self.bitwidth = bitwidth
        self.name = name
        self.llvm = llvm

    @property
    def signed(self) -> bool:
        return self.kind == "i"

    def __repr__(self) -> str:
        return self.name


class Pointer:
    """The type of a pointer to scalars."""

    __slots__ = ("llvm", "to")

    def __init__(self, to: Scalar):
        self.to = to
        self.llvm = to.llvm.as_pointer()

    def __repr__(self) -> str:
        return f"pointer to {self.to}"


def _complex(part: Any) -> Any:
    return ir.LiteralStructType([part, part])


BOOL = Scalar("b", 1, "bool", ir.IntType(1))
I8, I16, I32, I64 = (Scalar("i", n, f"int{n}", ir.IntType(n)) for n in (8, 16, 32, 64))
U8, U16, U32, U64 = (Scalar("u", n, f"uint{n}", ir.IntType(n)) for n in (8, 16, 32, 64))
F32 = Scalar("f", 32, "float32", ir.FloatType())
F64 = Scalar("f", 64, "float64", ir.DoubleType())
C64 = Scalar("c", 64, "complex64", _complex(F32.llvm))
C128 = Scalar("c", 128, "complex128", _complex(F64.llvm))

SCALARS = {t.name: t for t in (BOOL, I8, I16, I32, I64, U8, U16, U32, U64, F32, F64, C64, C128)}
"""Types by their names, which are NumPy's and Numba's."""

PART = {C64: F32, C128: F64}
"""The type of the parts of a complex number."""


class Function:
    """A function that writes its own code.

    Attributes:
        name: for messages.
        signature: gives the types of the result (None: nothing) and of the arguments, for types of arguments.
        code: writes the code, given the builder, the types and the values of the arguments; gives the result.
        python: the same in Python, for complex numbers that `code` does not know.
    """

    def __init__(
        self,
        name: str,
        signature: Callable[[Sequence[Any]], tuple[Scalar | None, Sequence[Any]]],
        code: Callable[[Any, Sequence[Any], Sequence[Any]], Any],
        python: Callable[..., Any] | None = None,
    ):
        self.name = name
        self.signature = signature
        self.code = code
        self.python = python

    def __repr__(self) -> str:
        return f"<function {self.name} of kernels>"


def function(result: Scalar | None, *arguments: Scalar) -> Callable[[Callable[..., Any]], Function]:
    """Make a function of fixed types from what writes its code, of a builder and the arguments' values."""

    def decorate(write: Callable[..., Any]) -> Function:
        made = Function(
            write.__name__,
            lambda given: (result, arguments),
            lambda builder, kinds, values: write(builder, *values),
        )
        made.__doc__ = write.__doc__
        return made

    return decorate


def declared(module: Any, name: str, result: Any, arguments: Sequence[Any]) -> Any:
    """The function of a module with this name, declared where it is not there."""
    return module.globals.get(name) or ir.Function(module, ir.FunctionType(result, arguments), name)


def real(builder: Any, value: Any) -> Any:
    """The real part of a complex value."""
    return builder.extract_value(value, 0)


def imaginary(builder: Any, value: Any) -> Any:
    """The imaginary part of a complex value."""
    return builder.extract_value(value, 1)


def joined(builder: Any, kind: Scalar, re: Any, im: Any) -> Any:
    """The complex value with these parts."""
    half = builder.insert_value(ir.Constant(kind.llvm, ir.Undefined), re, 0)
    return builder.insert_value(half, im, 1)

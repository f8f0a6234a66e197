"""Kernels that frontend.py does not understand, compiled by Numba: those that call `numba.njit` functions of the
user, and complex functions that are Python's cmath.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

from numba import njit
from numba.core import types
from numba.core.compiler import Compiler
from numba.core.typing.templates import AbstractTemplate
from numba.extending import lower_builtin, register_jitable, typeof_impl

from . import vmath_complex
from .scalars import SCALARS, Function, Pointer

for _called in (vmath_complex.quotient, vmath_complex.log):
    register_jitable(_called)


def _numba(kind: Any) -> Any:
    """Numba's type for one of ours."""
    if isinstance(kind, Pointer):
        return types.CPointer(_numba(kind.to))
    return types.void if kind is None else types.boolean if kind.name == "bool" else getattr(types, kind.name)


def _ours(kind: Any) -> Any:
    kind = types.unliteral(kind)
    return Pointer(_ours(kind.dtype)) if isinstance(kind, types.CPointer) else SCALARS[kind.name]


@typeof_impl.register(Function)
@functools.cache
def _type_of(function: Function, context: Any) -> Any:
    """A function that writes its own code, as Numba sees it."""

    class Template(AbstractTemplate):
        key = function

        def generic(self, args: Any, kws: Any) -> Any:
            result, kinds = function.signature(list(map(_ours, args)))
            return _numba(result)(*map(_numba, kinds))

    @lower_builtin(function, types.VarArg(types.Any))
    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kinds = list(map(_ours, signature.args))
        if function.python is not None and kinds[0].kind == "c":
            return context.compile_internal(builder, function.python, signature, args)
        value = function.code(builder, kinds, args)
        return context.get_dummy_value() if signature.return_type == types.void else value

    return types.Function(Template)


class _NoAlias(Compiler):
    def define_pipelines(self) -> Any:
        self.state.flags.noalias = True
        return super().define_pipelines()


def lower(function: Callable[..., Any], kinds: Sequence[Any], reassociate: bool) -> tuple[list[str], str]:
    """The modules of LLVM IR of a function for arguments of these types, and its name there. It is called
    `i32 f(result*, exception**, arguments...)`; pointer arguments are declared not to overlap."""
    dispatcher = njit(
        types.void(*map(_numba, kinds)),
        no_cpython_wrapper=True,
        no_cfunc_wrapper=True,
        error_model="numpy",
        fastmath={"reassoc"} if reassociate else False,
        pipeline_class=_NoAlias,
    )(function)
    [result] = dispatcher.overloads.values()
    return [result.library.get_llvm_str()], result.fndesc.llvm_func_name

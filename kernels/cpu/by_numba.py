"""Kernels that frontend.py does not understand, by Numba with only what kernels need: those that call functions
of the user, and complex functions that are Python's cmath.

`numba.njit` prepares for all of Python and NumPy, optimises twice, and generates code that nobody here runs. A
kernel is loops over scalars and pointers. So this uses Numba's own extension points (subclasses, no patches):

- the typing and the target context know numbers, ranges, pointers, `math` and `cmath` and load nothing else;
- what a function gives for argument types is looked up once, since kernels ask the same questions again and again;
- the pipeline has the passes that such code needs, and no form of single assignment, which LLVM builds better;
- a library keeps the text of its modules; LLVM sees them once, together, in `codegen.py`.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable, Sequence
from typing import Any

import llvmlite.binding as llvm
from llvmlite import ir
from numba import _dynfunc, njit
from numba.core import cgutils, types, typing
from numba.core.codegen import CodeLibrary, JITCodeLibrary, JITCPUCodegen
from numba.core.compiler import Compiler, CompilerBase, Flags, _LowerResult, compile_extra
from numba.core.compiler_machinery import LoweringPass, PassManager, register_pass
from numba.core.cpu import CPUContext, CPUTargetOptions
from numba.core.cpu_options import FastMathOptions
from numba.core.descriptors import TargetDescriptor
from numba.core.dispatcher import Dispatcher
from numba.core.fastmathpass import rewrite_module
from numba.core.funcdesc import PythonFunctionDescriptor
from numba.core.imputils import Registry
from numba.core.ir import Del
from numba.core.lowering import Lower
from numba.core.target_extension import (
    CPU,
    dispatcher_registry,
    jit_registry,
    target_override,
    target_registry,
)
from numba.core.typed_passes import NoPythonBackend, NopythonTypeInference
from numba.core.typing import templates
from numba.core.untyped_passes import FixupArgs, IRProcessing, TranslateByteCode
from numba.extending import lower_builtin, register_jitable, typeof_impl

from . import random, scalar_math, vectors, vmath, vmath_complex
from .frontend import UserCodeError
from .scalars import SCALARS, Function, Pointer
from .user import MARK

_NAME = "funcgrad"
"""What Numba knows the target of kernels by."""


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

    class Template(templates.AbstractTemplate):
        key = function

        def generic(self, args: Any, kws: Any) -> Any:
            result, kinds = function.signature(list(map(_ours, args)))
            return _numba(result)(*map(_numba, kinds))

    return types.Function(Template)


def _know(function: Function) -> None:
    """Tell Numba how the function writes its code."""

    @lower_builtin(function, types.VarArg(types.Any))
    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kinds = list(map(_ours, signature.args))
        if function.python is not None and kinds[0].kind == "c":
            return context.compile_internal(builder, function.python, signature, args)
        value = function.code(builder, kinds, args)
        return context.get_dummy_value() if signature.return_type == types.void else value


for _module in (vmath, random, vectors, scalar_math.numbers, scalar_math.numpy_numbers):
    for _function in vars(_module).values():
        if isinstance(_function, Function):
            _know(_function)
for _called in (
    vmath_complex.quotient,
    vmath_complex.log,
    vmath_complex.exp,
    vmath_complex.sinh,
    vmath_complex.cosh,
):
    register_jitable(_called)


class _Library(JITCodeLibrary):
    """Modules of LLVM IR as text, and the libraries of what they call."""

    def __init__(self, codegen: Any, name: str):
        CodeLibrary.__init__(self, codegen, name)
        self._modules: list[str] = []
        self._called: list[_Library] = []

    def add_ir_module(self, ir_module: Any) -> None:
        self._modules.append(cgutils.normalize_ir_text(str(ir_module)))

    def add_linking_library(self, library: Any) -> None:
        self._called.append(library)

    def finalize(self) -> None:
        self._finalized = True

    def modules(self) -> list[str]:
        """The modules, each once."""
        found = dict.fromkeys(self._modules)
        for library in self._called:
            found.update(dict.fromkeys(library.modules()))
        return list(found)


class _Codegen(JITCPUCodegen):
    _library_class = _Library

    def _create_empty_module(self, name: str) -> Any:
        module = ir.Module(cgutils.normalize_ir_text(name))
        module.triple = _triple()
        return module


@functools.cache
def _triple() -> str:
    return llvm.get_process_triple()


class _Registry(templates.Registry):
    """What Numba declares of its own; without attributes and methods of arrays, strings and the like."""

    def __init__(self) -> None:
        super().__init__()
        from numba.core.typing import builtins  # noqa: F401

        known = templates.builtin_registry
        self.functions, self.globals = known.functions, known.globals
        overloaded = templates._OverloadAttributeTemplate
        self.attributes = [t for t in known.attributes if not issubclass(t, overloaded)]


class _Extreme(templates.AbstractTemplate):
    """`min` and `max` of two integers; Numba's own take any number of anything, and long to compile."""

    metadata = {"target": _NAME}  # noqa: RUF012 - Numba's way to say that this goes before others

    def generic(self, args: Any, kws: Any) -> Any:
        if len(args) == 2 and all(isinstance(t, types.Integer) for t in args):
            return types.int64(types.int64, types.int64)
        return None


class _Min(_Extreme):
    key = min


class _Max(_Extreme):
    key = max


class _Mixed(templates.AbstractTemplate):
    """Arithmetic of a float32 and an integer, in float32 as for arrays; Numba's own is in float64. Generated kernels
    never mix them; users' functions do (`2 * x`)."""

    metadata = {"target": _NAME}  # noqa: RUF012

    def generic(self, args: Any, kws: Any) -> Any:
        whole = [isinstance(types.unliteral(t), types.Integer | types.Boolean) for t in args]
        mixed = len(args) == 2 and types.float32 in args and any(whole)
        return types.float32(types.float32, types.float32) if mixed else None


_mixed = templates.Registry()
for _name in ("add", "sub", "mul", "truediv", "mod", "iadd", "isub", "imul", "itruediv", "imod"):
    _function = getattr(operator, _name)
    _template = type(f"_Mixed_{_name}", (_Mixed,), {"key": _function})
    _mixed.register_global(_function, types.Function(_template))

_implementations = Registry("funcgrad")


@_implementations.lower(min, types.int64, types.int64)
def _min(context: Any, builder: Any, signature: Any, args: Any) -> Any:
    return builder.select(builder.icmp_signed("<", *args), *args)


@_implementations.lower(max, types.int64, types.int64)
def _max(context: Any, builder: Any, signature: Any, args: Any) -> Any:
    return builder.select(builder.icmp_signed(">", *args), *args)


class _Typing(typing.Context):
    """The types of numbers, pointers, `math` and `cmath`; remembers what calls give."""

    def __init__(self) -> None:
        self._known: dict[Any, Any] = {}
        self._builtins = _Registry()
        super().__init__()
        for function, template in ((min, _Min), (max, _Max)):
            self.insert_global(function, types.Function(template))

    def _load_builtins(self) -> None:
        self.install_registry(self._builtins)

    def load_additional_registries(self) -> None:
        from numba.core.typing import cmathdecl, mathdecl

        self.install_registry(cmathdecl.registry)
        self.install_registry(mathdecl.registry)
        self.install_registry(_mixed)

    def resolve_function_type(self, func: Any, args: Any, kws: Any) -> Any:
        if kws or not isinstance(func, types.Function):
            return super().resolve_function_type(func, args, kws)
        key = func, tuple(args)
        found = self._known.get(key)
        if found is None:
            found = self._known[key] = super().resolve_function_type(func, args, kws)
        return found


class _Target(CPUContext):
    """Lowers numbers, ranges, pointers, `math` and `cmath`; executes nothing."""

    def init(self) -> None:
        self.is32bit = False
        self._internal_codegen = _Codegen(_NAME)
        self._sizes: dict[Any, int] = {}

    def load_additional_registries(self) -> None:
        from numba.cpython import builtins, cmathimpl, mathimpl, numbers, rangeobj, tupleobj  # noqa: F401

        self.install_registry(cmathimpl.registry)
        self.install_registry(mathimpl.registry)
        self.install_registry(_implementations)

    def get_function(self, fn: Any, sig: Any, _firstcall: bool = True) -> Any:
        try:
            return super().get_function(fn, sig, _firstcall)
        except (
            KeyError
        ):  # declarations loaded while lowering made another object of `fn`, which knows nothing
            fn.get_call_type(self.typing_context, sig.args, {})
            return super().get_function(fn, sig, _firstcall)

    def get_abi_sizeof(self, ty: Any) -> int:
        """Asked for every variable; LLVM would have to stop what it does in another thread to answer."""
        size = self._sizes.get(ty)
        if size is None:
            size = self._sizes[ty] = super().get_abi_sizeof(ty)
        return size

    def post_lowering(self, mod: Any, library: Any) -> None:
        if self.fastmath:
            rewrite_module(mod, self.fastmath)

    def get_executable(self, library: Any, fndesc: Any, env: Any) -> Any:
        """What stands for the function in Numba's tables. There is no code behind it."""
        return _dynfunc.make_function(fndesc.lookup_module(), fndesc.qualname, "", 0, env, (library,))


class _Lower(Lower):
    def setup_function(self, fndesc: Any) -> None:
        super().setup_function(fndesc)
        if fndesc.noalias:  # where it is inlined, LLVM would know less of its pointers
            self.function.attributes.add("noinline")


@register_pass(mutates_CFG=True, analysis_only=False)
class _Lowering(LoweringPass):
    """Numba's NativeLowering without wrappers, statistics and code."""

    _name = "funcgrad_lowering"

    def __init__(self) -> None:
        super().__init__()

    def run_pass(self, state: Any) -> bool:
        context, function = state.targetctx, state.func_ir
        if state.library is None:
            state.library = context.codegen().create_library(state.func_id.func_qualname)
        description = PythonFunctionDescriptor.from_specialized_function(
            function,
            state.typemap,
            state.return_type,
            state.calltypes,
            mangler=context.mangler,
            inline=state.flags.forceinline,
            noalias=state.flags.noalias,
            abi_tags=[state.flags.get_mangle_string()],
        )
        for block in function.blocks.values():  # nothing here is counted, so nothing needs to be given up
            block.body = [s for s in block.body if not isinstance(s, Del)]
        with context.push_code_library(state.library):
            lowering = _Lower(context, state.library, description, function, metadata=state.metadata)
            lowering.lower()
        known_as = context.get_executable(state.library, description, lowering.env)
        context.insert_user_function(known_as, description, [state.library])
        state.cr = _LowerResult(description, lowering.call_helper, cfunc=known_as, env=lowering.env)
        return True


class _Pipeline(CompilerBase):
    def define_pipelines(self) -> Any:
        manager = PassManager("kernel")
        manager.add_pass(TranslateByteCode, "analyse bytecode")
        manager.add_pass(FixupArgs, "fix up arguments")
        manager.add_pass(IRProcessing, "process IR")
        manager.add_pass(NopythonTypeInference, "infer types")
        manager.add_pass(_Lowering, "lower")
        manager.add_pass(NoPythonBackend, "finish")
        manager.finalize()
        return [manager]


class Kernels(CPU):
    """Numba's name for this target."""


class _Descriptor(TargetDescriptor):
    options = CPUTargetOptions

    @functools.cached_property
    def typing_context(self) -> Any:
        return _Typing()

    @functools.cached_property
    def target_context(self) -> Any:
        return _Target(self.typing_context, _NAME)


class _Dispatcher(Dispatcher):
    targetdescr = _Descriptor(_NAME)


def _jit(**options: Any) -> Callable[..., Any]:
    """How Numba compiles a function that another calls: its own may need all of its passes."""

    def decorate(function: Callable[..., Any]) -> Any:
        own = function.__module__.startswith("numba.")
        return _Dispatcher(function, targetoptions=options, pipeline_class=Compiler if own else _Pipeline)

    return decorate


target_registry[_NAME] = Kernels
dispatcher_registry[Kernels] = _Dispatcher
jit_registry[Kernels] = _jit


def calls_users(function: Callable[..., Any]) -> bool:
    """Whether a kernel calls functions of users, which may raise."""
    return any(hasattr(value, MARK) for value in _named(function))


def _named(function: Callable[..., Any]) -> list[Any]:
    """What a kernel refers to by name."""
    return [function.__globals__.get(name) for name in function.__code__.co_names]


def lower(function: Callable[..., Any], kinds: Sequence[Any], reassociate: bool) -> tuple[list[str], str]:
    """The modules of LLVM IR of a function for arguments of these types, and its name there. It is called
    `i32 f(result*, exception**, arguments...)`; pointer arguments are declared not to overlap."""
    signature = types.void(*map(_numba, kinds))
    used = _named(function)
    if any(isinstance(value, Dispatcher) for value in used):
        return _of_users(_lower_by_numba, function, signature, reassociate)
    if any(hasattr(value, MARK) for value in used):
        try:
            return _lower(function, signature, reassociate)
        except Exception:  # it may use more of Numba than kernels do
            return _of_users(_lower_by_numba, function, signature, reassociate)
    return _lower(function, signature, reassociate)


def _of_users(how: Callable[..., Any], function: Callable[..., Any], *arguments: Any) -> Any:
    try:
        return how(function, *arguments)
    except Exception as error:  # Numba lets errors of what it looks at pass
        raise UserCodeError(str(error)) from error


def _lower(function: Callable[..., Any], signature: Any, reassociate: bool) -> tuple[list[str], str]:
    flags = Flags()
    flags.no_cpython_wrapper = flags.no_cfunc_wrapper = True
    flags.error_model = "numpy"
    flags.noalias = True
    flags.enable_ssa = False
    if reassociate:
        flags.fastmath = FastMathOptions({"reassoc"})
    with target_override(_NAME):
        contexts = _Dispatcher.targetdescr.typing_context, _Dispatcher.targetdescr.target_context
        result = compile_extra(
            *contexts, function, signature.args, signature.return_type, flags, {}, pipeline_class=_Pipeline
        )
    return result.library.modules(), result.fndesc.llvm_func_name


class _NoAlias(Compiler):
    def define_pipelines(self) -> Any:
        self.state.flags.noalias = True
        return super().define_pipelines()


def _lower_by_numba(function: Callable[..., Any], signature: Any, reassociate: bool) -> tuple[list[str], str]:
    """The same by `numba.njit`, for a function that calls somebody's own `numba.njit` functions, which may use all of
    Numba."""
    dispatcher = njit(
        signature,
        no_cpython_wrapper=True,
        no_cfunc_wrapper=True,
        error_model="numpy",
        fastmath={"reassoc"} if reassociate else False,
        pipeline_class=_NoAlias,
    )(function)
    [result] = dispatcher.overloads.values()
    return [result.library.get_llvm_str()], result.fndesc.llvm_func_name

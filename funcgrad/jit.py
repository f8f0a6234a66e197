"""`jit`: trace a function once per signature and run what the compiler makes of it.

Owns the signature (tree structure, types, static values), the cache of traced functions, and the choice
between running compiled code (outside other transforms) and binding the `jit` primitive (inside them).
"""

from __future__ import annotations

import functools
import inspect
import weakref
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from funcgrad import tree
from funcgrad.array import Array, ShapeDtypeStruct
from funcgrad.config import config
from funcgrad.errors import ArgumentError, DTypeError, UnhashableError, boundary, with_arrays
from funcgrad.flat import FlatFunction, check_operands, name_of
from funcgrad.ir.graph import ClosedGraph, Graph
from funcgrad.ir.types import ArrayType
from funcgrad.prims.calls import jit_p, set_executor
from funcgrad.records import record
from funcgrad.source import hide_internal_frames
from funcgrad.trace.core import EAGER, bind, data_of, is_operand, state, type_of
from funcgrad.trace.graph_trace import has_tracers, trace_to_graph
from funcgrad.tree import TreeDef

if TYPE_CHECKING:  # a program that compiles nothing never loads the compiler
    from funcgrad.runtime.executable import Executable
    from funcgrad.runtime.report import Lowered, MemoryAnalysis


@record
class Signature:
    """What a function was traced for: the structure of (args, kwargs) without static arguments, their types, static
    values by position or name, the settings (`config.generation`), and the batch axes with names in scope."""

    tree: TreeDef
    types: tuple[ArrayType, ...]
    statics: dict[Any, Any]
    settings: int
    axes: tuple[Any, ...]


def as_operands(values: Sequence[Any], types: Sequence[ArrayType]) -> list[Array]:
    """What an executable takes: Arrays, which are views of what the user may change."""
    return [
        x if x.__class__ is Array else Array(np.asarray(data_of(x), t.dtype)[...], t)
        for x, t in zip(values, types)
    ]


def _execute(graph: Graph, arrays: Sequence[Any]) -> list[Any]:
    from funcgrad.runtime.executable import execute

    return execute(graph, arrays)


set_executor(_execute)


class Traced:
    """A function traced for one signature."""

    __slots__ = ("_constants", "_executable", "_single", "closed", "donated", "out_tree", "signature")

    def __init__(
        self, closed: ClosedGraph, out_tree: TreeDef, donated: tuple[int, ...], signature: Signature
    ):
        self.closed = closed
        self.signature = signature
        self.out_tree = out_tree
        self.donated = donated
        self._single = tree.treedef_is_leaf(out_tree)
        self._executable: Executable | None = None

    @property
    def executable(self) -> Executable:
        if self._executable is None:
            shift = len(self.closed.constants)
            from funcgrad.runtime.executable import executable_for

            self._constants = as_operands(self.closed.constants, self.closed.graph.in_types)
            self._executable = executable_for(self.closed.graph, tuple([d + shift for d in self.donated]))
        return self._executable

    @property
    def graph(self) -> Graph:
        """The traced graph; the arrays that it closes over are its first inputs."""
        return self.closed.graph

    jaxpr = property(lambda self: self.closed)
    fun_name = property(lambda self: self.closed.graph.name)
    in_tree = property(lambda self: self.signature.tree)

    @property
    def out_info(self) -> Any:
        """The types of the results, in their structure."""
        return self.out_tree.unflatten([ShapeDtypeStruct.of(t) for t in self.closed.out_types])

    def lower(self) -> Lowered:
        """The stages of its compilation; see `Jitted.lower`."""
        return Compiled(self.fun_name, self, self.signature.tree)._report()

    def __repr__(self) -> str:
        return f"<traced {self.closed}>"

    def run(self, leaves: Sequence[Array]) -> Any:
        """The result for these leaves, by compiled code."""
        executable = self._executable or self.executable
        constants = self._constants
        operands = [*constants, *leaves] if constants else leaves
        outs = executable(operands)
        if state.trace is not EAGER:
            graph = self.closed.graph
            state.trace.look(jit_p, operands, {"graph": graph, "name": graph.name}, outs)  # type: ignore[attr-defined]
        return outs[0] if self._single else self.out_tree.unflatten(outs)

    def run_any(self, leaves: Sequence[Any]) -> Any:
        """The same for leaves of any kind."""
        return self.run(as_operands(leaves, self.closed.in_types))

    def bind(self, leaves: Sequence[Any]) -> Any:
        """The result for these leaves, as an equation of the current trace."""
        graph = self.closed.graph
        outs = bind(jit_p, *self.closed.constants, *leaves, graph=graph, name=graph.name)
        return self.out_tree.unflatten(outs)


class Compiled:
    """A function compiled for one signature, and called with arguments of that signature only."""

    def __init__(self, name: str, traced: Traced, in_tree: TreeDef):
        self._name = name
        self._traced = traced
        self._in_tree = in_tree

    def __repr__(self) -> str:
        return f"<compiled {self._name}>"

    @boundary
    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        leaves, in_tree = tree.flatten((args, kwargs))
        wanted = self._traced.closed.in_types
        if in_tree != self._in_tree or not all(t.matches(type_of(x)) for x, t in zip(leaves, wanted)):
            got = ", ".join(str(type_of(x)) if is_operand(x) else repr(x) for x in leaves)
            raise ArgumentError(
                f"{self._name} was compiled for ({', '.join(map(str, wanted))}), and is called with ({got})",
                hint="leave static arguments out; call the function under jit itself for other types",
            )
        return self._traced.run_any(leaves) if state.trace is EAGER else self._traced.bind(leaves)

    def cost_analysis(self) -> dict[str, float]:
        """The predicted work of a call: "flops" of matrix products and convolutions, and "bytes accessed".

        >>> import numpy as np, funcgrad as fg
        >>> compiled = fg.jit(lambda x: x @ x).lower(np.ones((64, 64))).compile()
        >>> compiled.cost_analysis()["flops"] == 2 * 64**3
        True
        """
        return self._report().cost_analysis()

    def memory_analysis(self) -> MemoryAnalysis:
        """The predicted memory of a call: `argument_size_in_bytes`, `output_size_in_bytes`, `temp_size_in_bytes`, and
        `alias_size_in_bytes` of results that lie in donated arguments."""
        return self._report().memory_analysis()

    def as_text(self) -> str:
        """The text of all stages of the compilation."""
        return self._report().as_text()

    def _report(self) -> Lowered:
        from funcgrad.runtime.report import Lowered

        return Lowered(self._traced.closed, self._traced.executable, self)


class Jitted:
    """A function under `jit`; see there."""

    def __init__(
        self,
        function: Callable[..., Any],
        static_argnums: Sequence[int],
        static_argnames: Sequence[str],
        donate_argnums: Sequence[int],
        donate_argnames: Sequence[str],
    ):
        self.function = function
        self.__wrapped__ = function
        functools.update_wrapper(self, function, updated=())
        self._name = name_of(function)
        try:
            self._signature: inspect.Signature | None = inspect.signature(function)
        except (TypeError, ValueError):
            self._signature = None
        self._static_argnums, self._static_argnames = self._complete(
            static_argnums, static_argnames, "static"
        )
        self._donate_argnums, self._donate_argnames = self._complete(
            donate_argnums, donate_argnames, "donate"
        )
        both = set(self._static_argnums) & set(self._donate_argnums)
        if both:
            raise ArgumentError(f"argument {min(both)} of {self._name} cannot be both static and donated")
        self._cache: dict[Any, Traced] = {}
        _all.add(self)
        self._last: tuple[Any, Any] = (None, None)

    def _complete(
        self, argnums: Sequence[int], argnames: Sequence[str], what: str
    ) -> tuple[tuple[int, ...], tuple[str, ...]]:
        """Positions and names of the same parameters, each completed from the other by the signature."""
        if self._signature is None:
            return tuple(argnums), tuple(argnames)
        parameters = list(self._signature.parameters.values())
        positional = [p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
        variadic = any(p.kind is p.VAR_POSITIONAL for p in parameters)
        keywords = any(p.kind is p.VAR_KEYWORD for p in parameters)
        numbers, names = set(), set(argnames)
        for number in argnums:
            if not isinstance(number, int):
                raise ArgumentError(
                    f"{what}_argnums counts positional parameters, got {number!r}",
                    hint=f"give integers, or names by {what}_argnames",
                )
            normal = number + len(positional) if number < 0 else number
            if not 0 <= normal < len(positional) and not variadic:
                raise ArgumentError(
                    f"{what}_argnums={tuple(argnums)}: {self._name} has {len(positional)} positional parameters "
                    f"({', '.join(positional)}), so there is no number {number}",
                    hint=f"give numbers from 0 to {len(positional) - 1}" if positional else "leave it out",
                )
            numbers.add(normal)
            if normal < len(positional) and parameters[normal].kind is not inspect.Parameter.POSITIONAL_ONLY:
                names.add(positional[normal])
        for name in argnames:
            if name in positional:
                numbers.add(positional.index(name))
            elif name not in self._signature.parameters and not keywords:
                raise ArgumentError(
                    f"{what}_argnames={tuple(argnames)}: {self._name} has no parameter {name!r}; it has "
                    f"{', '.join(self._signature.parameters)}",
                    hint=f"use one of {', '.join(map(repr, self._signature.parameters))}",
                )
        return tuple(sorted(numbers)), tuple(sorted(names))

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        return self if instance is None else BoundJitted(self, instance)

    def __repr__(self) -> str:
        return f"<jit of {self._name}>"

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        try:
            if (state.trace is EAGER or state.trace.eager) and not kwargs and not self._static_argnums:
                for x in args:
                    if x.__class__ is not Array:
                        leaves, in_tree = tree.flatten(args)
                        break
                else:
                    leaves, in_tree = args, None
                try:
                    key = (in_tree, [x._type or x.type for x in leaves], config.generation)
                except AttributeError:  # not all of them are Arrays
                    key = None
                last_key, traced = self._last
                if key is not None and key == last_key:  # sooner than hashing
                    return traced.run(leaves)
                if key is not None and not config.disable_jit:
                    traced, _ = self._traced(args, kwargs)
                    self._last = (key, traced)
                    return traced.run(leaves)
            return self._call(args, kwargs)
        except Exception as error:  # as errors.boundary does, without one more call
            if isinstance(error, DTypeError) and (again := with_arrays(args, kwargs)) is not None:
                return self(*again[0], **again[1])
            hide_internal_frames(error)
            raise

    def _call(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if config.disable_jit:
            return self.function(*args, **kwargs)
        traced, leaves = self._traced(args, kwargs)
        return traced.run_any(leaves) if state.trace.eager else traced.bind(leaves)

    def _traced(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Traced, list[Any]]:
        """The traced function for this call, from the cache where it is there, and the flat operands."""
        function, key, args, kwargs = self._without_statics(args, kwargs)
        if kwargs or key:
            leaves, full_tree = tree.flatten((args, kwargs))
            in_tree = (full_tree,)  # positional arguments alone can have the same structure
        else:
            leaves, in_tree = tree.flatten(args)
            full_tree = tree.structure((args, {}))
        if not all(map(is_operand, leaves)):
            check_operands(self.function, args, kwargs, "jit")
        types = tuple([type_of(x) for x in leaves])
        axes = _axis_names()
        full_key = (in_tree, types, config.generation, *key, *axes)
        traced = self._cache.get(full_key)
        if traced is None:
            flat = FlatFunction(function, full_tree)
            closed = trace_to_graph(flat, types, self._name)
            statics = {place: value for place, _, value in key[0]} if key else {}
            signature = Signature(full_tree, types, statics, config.generation, axes)
            traced = Traced(closed, flat.out_tree, self._donated_leaves(args, kwargs), signature)
            if not has_tracers(closed.constants):
                self._cache[full_key] = traced
                for watcher in trace_watchers:
                    watcher(self)
        return traced, leaves

    def _without_statics(self, args: tuple[Any, ...], kwargs: dict[str, Any]):
        """The function with its static arguments filled in, a key for them, and the arguments that are left."""
        static_positions = [p for p in self._static_argnums if p < len(args)]
        static_names = [n for n in self._static_argnames if n in kwargs]
        if not static_positions and not static_names:
            return self.function, (), args, kwargs
        fixed = {p: args[p] for p in static_positions}
        fixed_names = {n: kwargs[n] for n in static_names}
        for place, value in [*fixed.items(), *fixed_names.items()]:
            try:
                hash(value)
            except TypeError as error:
                which = f"argument {place!r}" if isinstance(place, str) else f"argument {place}"
                raise UnhashableError(
                    f"static {which} of {self._name} has to be hashable, and {type(value).__name__} is not "
                    f"({value!r:.80})",
                    hint="make it a tuple or a frozen dataclass, or pass arrays as ordinary arguments",
                ) from error

        def function(*dynamic: Any, **named: Any) -> Any:
            rest = iter(dynamic)
            full = [fixed[i] if i in fixed else next(rest) for i in range(len(dynamic) + len(fixed))]
            return self.function(*full, **named, **fixed_names)

        function.__name__ = self._name
        key = (tuple((p, type(v), v) for p, v in [*fixed.items(), *fixed_names.items()]),)
        dynamic = tuple([a for i, a in enumerate(args) if i not in fixed])
        return function, key, dynamic, {k: v for k, v in kwargs.items() if k not in fixed_names}

    def _donated_leaves(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[int, ...]:
        """Positions, among the flat dynamic operands, of the leaves of donated arguments."""
        if not self._donate_argnums and not self._donate_argnames:
            return ()
        statics = self._static_argnums
        positions = [p - sum(s < p for s in statics) for p in self._donate_argnums]
        flags = [tree.map(lambda _, d=i in positions: d, a) for i, a in enumerate(args)]
        named = {k: tree.map(lambda _, d=k in self._donate_argnames: d, v) for k, v in kwargs.items()}
        return tuple([i for i, f in enumerate(tree.leaves((flags, named))) if f])

    @boundary
    def lower(self, *args: Any, **kwargs: Any) -> Lowered:
        """What the compiler makes of the function for these arguments (arrays or ShapeDtypeStructs): its graph,
        its kernels and their source, its memory plan. Print it, or look at its parts."""
        return self._traced(args, kwargs)[0].lower()

    @boundary
    def eval_shape(self, *args: Any, **kwargs: Any) -> Any:
        """The types of the results, without computing them."""
        return self._traced(args, kwargs)[0].out_info

    @boundary
    def trace(self, *args: Any, **kwargs: Any) -> Traced:
        """The function traced for these arguments: its `graph`, `jaxpr` (the graph with what it closes over),
        `out_info` (the types of the results), and `lower()`."""
        return self._traced(args, kwargs)[0]

    @property
    def signatures(self) -> list[Signature]:
        """What the function was traced for, in order."""
        return [traced.signature for traced in self._cache.values()]

    def parameter_name(self, position: int) -> str:
        """The name of the parameter that takes this positional argument."""
        parameters = list(self._signature.parameters.values()) if self._signature is not None else []
        if position >= len(parameters) or parameters[position].kind is inspect.Parameter.VAR_POSITIONAL:
            return str(position)
        return repr(parameters[position].name)

    def clear_cache(self) -> None:
        """Forget what was traced."""
        self._cache.clear()
        self._last = (None, None)


_all: weakref.WeakSet[Jitted] = weakref.WeakSet()


def clear_caches() -> None:
    """Forget what was traced and compiled for every function under `jit`; what lies in the cache folder stays.

    >>> import funcgrad as fg
    >>> f = fg.jit(lambda x: x + 1)
    >>> y = f(1.0)
    >>> fg.clear_caches()
    >>> f.signatures
    []
    """
    for jitted in list(_all):
        jitted.clear_cache()


trace_watchers: list[Callable[[Jitted], None]] = []
"""Called with each function that has just been traced."""


class BoundJitted(functools.partial):
    """A jitted method of an instance, which is its first argument: what `instance.method` gives."""

    def __new__(cls, jitted: Jitted, instance: Any) -> BoundJitted:
        self = super().__new__(cls, jitted, instance)
        functools.update_wrapper(self, jitted.function)
        return self

    @property
    def __self__(self) -> Any:
        return self.args[0]

    def lower(self, *args: Any, **kwargs: Any) -> Lowered:
        """`Jitted.lower` for this instance."""
        return self.func.lower(*self.args, *args, **kwargs)

    def eval_shape(self, *args: Any, **kwargs: Any) -> Any:
        """`Jitted.eval_shape` for this instance."""
        return self.func.eval_shape(*self.args, *args, **kwargs)

    def trace(self, *args: Any, **kwargs: Any) -> Traced:
        """`Jitted.trace` for this instance."""
        return self.func.trace(*self.args, *args, **kwargs)

    def clear_cache(self) -> None:
        """Forget what was traced, for any instance."""
        self.func.clear_cache()


def _axis_names() -> tuple[Any, ...]:
    """The names and sizes of the batch axes in scope, on which a trace may depend."""
    names, trace = [], state.trace
    while trace is not EAGER:
        name = getattr(trace, "axis_name", None)
        if name is not None:
            names.append((name, int(trace.size)))  # type: ignore[attr-defined]
        trace = trace.parent
    return tuple(names)


@boundary
def jit(
    fun: Callable[..., Any] | None = None,
    *,
    in_shardings: Any = None,
    out_shardings: Any = None,
    static_argnums: int | Sequence[int] | None = None,
    static_argnames: str | Sequence[str] | None = None,
    donate_argnums: int | Sequence[int] | None = None,
    donate_argnames: str | Sequence[str] | None = None,
    keep_unused: bool = False,
    device: Any = None,
    backend: str | None = None,
    inline: bool = False,
    compiler_options: dict[str, Any] | None = None,
) -> Any:
    """Compile a pure function of arrays.

    The function is traced once for each new combination of argument structure, shapes, dtypes and static
    values; its operations become fused native kernels. Kernels are shared between functions and kept on disk,
    so a new shape costs a trace, not a compilation. Where Python asks for the truth of a traced value (`if`, `and`,
    `not`), the function is traced once for each outcome, up to `config.python_branches` ways through it.

    Args:
        fun: a pure function whose arguments and results are arrays, numbers, or trees of them. Without it,
            a decorator is returned.
        static_argnums, static_argnames: arguments that are ordinary hashable Python values; each new value
            is traced anew.
        donate_argnums, donate_argnames: arguments whose memory the results may take over. A donated array
            cannot be used afterwards.
        in_shardings, out_shardings, device, backend, inline, keep_unused, compiler_options: accepted for JAX's sake;
            without effect on one device.

    Raises:
        ArgumentError: a static or donated argument that the function does not have.
        UnhashableError: a static value that cannot be hashed.
        ConcretizationError: in a call, where Python needs the value of a traced array.

    >>> import funcgrad as fg
    >>> f = fg.jit(lambda x: x * 2 + 1)
    >>> f(3.0)
    Array(7., dtype=float32, weak_type=True)
    """
    if fun is None:
        return functools.partial(
            jit,
            static_argnums=static_argnums,
            static_argnames=static_argnames,
            donate_argnums=donate_argnums,
            donate_argnames=donate_argnames,
        )
    if not callable(fun):
        raise ArgumentError(
            f"jit takes a function, got {type(fun).__name__}", hint="write jit(f)(x), not jit(f(x))"
        )
    if inspect.isgeneratorfunction(fun) or inspect.iscoroutinefunction(fun):
        raise ArgumentError(
            f"jit takes a function that returns arrays; {name_of(fun)} is a generator or a coroutine",
            hint="return a list or an array instead of yield; lax.scan collects what each step gives",
        )
    return Jitted(
        fun,
        _as_tuple(static_argnums),
        _as_tuple(static_argnames),
        _as_tuple(donate_argnums),
        _as_tuple(donate_argnames),
    )


def _as_tuple(value: Any) -> tuple[Any, ...]:
    if value is None:
        return ()
    return (value,) if isinstance(value, int | str) else tuple(value)

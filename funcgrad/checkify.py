"""Assertions that work in traced and compiled functions, under the names of `jax.experimental.checkify`.

`check` is an assertion. Left as it is, it raises where it fails, in compiled functions too. `checkify(f)` is `f`
without its assertions, which also returns an `Error`: the first one that failed, as a value that goes through
`jit`, `vmap` and loops. It can add checks of its own: for NaN, division by zero, and indices out of bounds.

The error is a code and the values for each message. Both are handed through every loop, branch and call.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from funcgrad import dtypes, tree
from funcgrad.errors import ArgumentError, CheckError, DTypeError, boundary
from funcgrad.flat import FlatFunction, check_operands, name_of
from funcgrad.ir.graph import Equation, Graph
from funcgrad.ir.types import ArrayType, array_type
from funcgrad.prims.checks import Message, check_p, first_failing
from funcgrad.source import SourceLine, user_line
from funcgrad.trace import ops
from funcgrad.trace.core import Tracer, bind, is_operand, state, type_of
from funcgrad.trace.graph_trace import literal_value, trace_to_graph

ErrorCategory = str
user_checks = frozenset({"user"})
nan_checks = frozenset({"nan"})
div_checks = frozenset({"div"})
index_checks = frozenset({"index"})
float_checks = nan_checks | div_checks
automatic_checks = float_checks | index_checks
all_checks = automatic_checks | user_checks

JaxRuntimeError = CheckError


class _Site:
    """A place where a check may fail: its words, and which of an error's values they take."""

    def __init__(
        self, words: Callable[[Sequence[Any]], str], source: SourceLine | None, slots: tuple[int, ...]
    ):
        self.words, self.source, self.slots = words, source, slots


class Error:
    """What the checks of a function found: nothing, or the first that failed. A tree of arrays.

    Under vmap it has one result for each example.
    """

    def __init__(self, code: Any, values: Sequence[Any] = (), sites: tuple[_Site, ...] = ()):
        self._code, self._values, self._sites = code, tuple(values), sites

    def _messages(self) -> Iterator[tuple[tuple[int, ...], _Site, str]]:
        if isinstance(self._code, Tracer):
            raise ArgumentError(
                "an Error cannot be read while a function is traced: its value is not known",
                hint="return it from the function and call .get() or .throw() outside, or use check_error",
            )
        codes = np.asarray(self._code)
        for position in np.argwhere(codes) if codes.any() else ():
            at = tuple(position.tolist())
            site = self._sites[int(codes[at]) - 1]
            values = [np.asarray(self._values[s])[at] for s in site.slots]
            yield at, site, site.words(values)

    def get(self) -> str | None:
        """The message of the check that failed, None where none did; under vmap a line for each example that failed."""
        lines = []
        for at, site, words in self._messages():
            where = f" (at {site.source})" if site.source else ""
            index = f"at mapped index {', '.join(map(str, at))}: " if at else ""
            lines.append(f"{index}{words}{where}")
        return "\n".join(lines) or None

    def throw(self) -> None:
        """Raise CheckError where a check failed."""
        for at, site, words in self._messages():
            index = f" (example {', '.join(map(str, at))} of the batch)" if at else ""
            raise CheckError(words + index, where=site.source)

    def get_exception(self) -> CheckError | None:
        """The exception that `throw` would raise, or None."""
        try:
            self.throw()
        except CheckError as error:
            return error
        return None

    def __repr__(self) -> str:
        return "Error(traced)" if isinstance(self._code, Tracer) else f"Error({self.get()})"


tree.register_pytree_node(
    Error, lambda e: ((e._code, e._values), e._sites), lambda sites, parts: Error(*parts, sites=sites)
)

init_error = Error(np.int32(0))
"""The error of a function in which nothing failed."""


@boundary
def check(pred: Any, msg: str, *fmt_args: Any, debug: bool = False, **fmt_kwargs: Any) -> None:
    """Assert that `pred` holds.

    Where it does not, CheckError is raised: at once, or when a compiled function comes by. Under `checkify` the
    function goes on, and the error is a value that it returns.

    Args:
        pred: a boolean scalar.
        msg: a format string for the message.
        fmt_args, fmt_kwargs: arrays and numbers for the format, traced ones too.
        debug: only check under `checkify`.

    Raises:
        CheckError (a ValueError): the check failed.
        DTypeError, ArgumentError: `pred` is no boolean scalar; a format argument is no array or number.

    >>> import funcgrad as fg
    >>> from funcgrad import checkify
    >>> def f(x):
    ...     checkify.check(x > 0, "x has to be positive, got {x}", x=x)
    ...     return fg.numpy.log(x)
    >>> err, _ = fg.jit(checkify.checkify(f))(-3.0)
    >>> err.get().split(" (")[0]
    'x has to be positive, got -3.0'
    """
    if not is_operand(pred) or type_of(pred).dtype != dtypes.bool_ or type_of(pred).shape:
        found = type_of(pred) if is_operand(pred) else repr(pred)
        raise DTypeError(
            f"check takes a boolean scalar, got {found}",
            hint="the condition comes first: check(x > 0, message)"
            if isinstance(pred, str)
            else "reduce it: check((x > 0).all(), ...)",
        )
    if not isinstance(msg, str):
        raise ArgumentError(f"check: the message is a string, got {type(msg).__name__}")
    leaves, in_tree = tree.flatten((fmt_args, fmt_kwargs))
    for leaf in leaves:
        if not is_operand(leaf):
            raise DTypeError(f"check: format arguments are arrays and numbers, got {leaf!r}")

    def words(values: Sequence[Any]) -> str:
        args, kwargs = in_tree.unflatten([np.asarray(v)[()] for v in values])
        return msg.format(*args, **kwargs)

    bind(check_p, pred, *leaves, message=Message(words, state.source or user_line(2)), debug=bool(debug))


def debug_check(pred: Any, msg: str, *fmt_args: Any, **fmt_kwargs: Any) -> None:
    """`check` that does something under `checkify` only.

    >>> from funcgrad import checkify
    >>> checkify.debug_check(False, "not looked at")
    """
    check(pred, msg, *fmt_args, debug=True, **fmt_kwargs)


@boundary
def check_error(error: Error) -> None:
    """Raise where `error` holds a failed check; in a traced function, the check is made when it runs.

    >>> from funcgrad import checkify
    >>> checkify.check_error(checkify.init_error)
    """
    if not isinstance(error, Error):
        raise ArgumentError(f"check_error takes an Error, got {type(error).__name__}")
    leaves, structure = tree.flatten(error)
    if not any(isinstance(x, Tracer) for x in leaves):
        error.throw()
        return

    def words(values: Sequence[Any]) -> str:
        return structure.unflatten(values).get() or ""

    code = leaves[0]
    good = ops.eq(code, ops.full_like(code, 0))
    good = ops.reduce_and(good, tuple(range(type_of(code).ndim)))
    bind(check_p, good, *leaves, message=Message(words, None), debug=False)


# ------------------------------------------------------------------------------- taking checks out of a graph


def _has_checks(graph: Graph) -> bool:
    known = graph.memo.get("checks")
    if known is None:
        known = any(e.primitive is check_p or any(map(_has_checks, e.subgraphs())) for e in graph.equations)
        graph.memo["checks"] = known
    return known


class _Collector:
    """Evaluates graphs without their checks, and hands a state through: the code, and the values for messages."""

    def __init__(self, kinds: frozenset[str]):
        self.kinds = kinds
        self.automatic = bool(kinds & automatic_checks)
        self.sites: list[_Site] = []
        self.types: list[ArrayType] = [array_type((), dtypes.int32)]
        self._codes: dict[Any, int] = {}
        self._slots: dict[int, tuple[int, ...]] = {}
        self._steps: dict[int, Graph] = {}
        self._kept: list[Any] = []  # what is known here by its id

    def reserve(self, graph: Graph) -> None:
        """Make room in the state for the values of all messages."""
        for equation in self.expanded(graph).equations:
            if equation.primitive is check_p and "user" in self.kinds and id(equation) not in self._slots:
                predicate, *values = [a.type for a in equation.inputs]
                one = [t.with_shape(t.shape[predicate.ndim :]).strong() for t in values]
                self._slots[id(equation)] = tuple(range(len(self.types), len(self.types) + len(one)))
                self.types.extend(one)
                self._kept.append(equation)
            for inner in equation.subgraphs():
                self.reserve(inner)

    def expanded(self, graph: Graph) -> Graph:
        """The graph with functions that have derivative rules and checks inside replaced by their operations."""
        if not any(self.opens(e) for e in graph.equations):
            return graph
        known = graph.memo.get("opened for checks")
        if known is None:

            def opened(*values: Any) -> list[Any]:
                env = dict(zip(graph.inputs, values))
                for e in graph.equations:
                    operands = [env[a] if a in env else literal_value(a) for a in e.inputs]  # type: ignore[arg-type,index]
                    if self.opens(e):
                        outs = e.primitive.expand(*operands, **e.params)  # type: ignore[misc]
                    else:
                        outs = bind(e.primitive, *operands, **e.params)
                    env.update(zip(e.outputs, outs if e.primitive.multiple_results else [outs]))
                return [env[a] if a in env else literal_value(a) for a in graph.outputs]  # type: ignore[arg-type,index]

            known = graph.memo["opened for checks"] = trace_to_graph(opened, graph.in_types, graph.name).graph
        return self.expanded(known)

    def opens(self, equation: Equation) -> bool:
        primitive = equation.primitive
        return (
            primitive.thread is None
            and primitive.expand is not None
            and any(map(_has_checks, equation.subgraphs()))
        )

    def concerns(self, equation: Equation) -> bool:
        """Whether the state has to go through the equation's sub-graphs."""
        inner = list(equation.subgraphs())
        return (
            bool(inner)
            and equation.primitive.thread is not None
            and (self.automatic or any(map(_has_checks, inner)))
        )

    def evaluate(
        self, graph: Graph, given: Sequence[Any], operands: Sequence[Any]
    ) -> tuple[list[Any], list[Any]]:
        """(state, outputs) of a graph for the state before it and its operands."""
        graph = self.expanded(graph)
        current = list(given)
        env: dict[Any, Any] = dict(zip(graph.inputs, operands))

        def read(atom: Any) -> Any:
            return env[atom] if atom in env else literal_value(atom)

        outer = state.source
        try:
            for equation in graph.equations:
                state.source = equation.source or outer
                primitive, values = equation.primitive, [read(a) for a in equation.inputs]
                if primitive is check_p:
                    self.user_check(equation, values, current)
                    continue
                for number, (kind, failed, words) in enumerate(self.hazards(equation, values)):
                    self.fail(current, (id(equation), kind, number), failed, words, equation)
                if self.concerns(equation):
                    current, outs = primitive.thread(self.step, current, *values, **equation.params)  # type: ignore[misc]
                else:
                    out = bind(primitive, *values, **equation.params)
                    outs = out if primitive.multiple_results else [out]
                    if "nan" in self.kinds:
                        self.nan_check(equation, outs, current)
                env.update(zip(equation.outputs, outs))
        finally:
            state.source = outer
        return current, [read(a) for a in graph.outputs]

    def step(self, graph: Graph) -> Graph:
        """The graph (state, inputs) -> (state, outputs)."""
        known = self._steps.get(id(graph))
        if known is None:
            count = len(self.types)

            def threaded(*values: Any) -> list[Any]:
                after, outs = self.evaluate(graph, values[:count], values[count:])
                return [*after, *outs]

            closed = trace_to_graph(threaded, [*self.types, *graph.in_types], graph.name)
            assert not closed.constants, "a check closed over a value"
            known = self._steps[id(graph)] = closed.graph
            self._kept.append(graph)
        return known

    def hazards(self, equation: Equation, values: Sequence[Any]) -> Iterator[tuple[str, Any, str]]:
        rule = equation.primitive.hazards
        if rule is not None and self.kinds & (div_checks | index_checks):
            for kind, failed, words in rule(*values, **equation.params):
                if kind in self.kinds:
                    yield kind, failed, words

    def nan_check(self, equation: Equation, outs: Sequence[Any], current: list[Any]) -> None:
        for number, out in enumerate(outs):
            type = type_of(out)
            if dtypes.is_inexact(type.dtype):
                failed = ops.reduce_or(ops.ne(out, out), tuple(range(type.ndim)))
                words = f"nan generated by primitive: {equation.primitive.name}"
                self.fail(current, (id(equation), "nan", number), failed, words, equation)

    def user_check(self, equation: Equation, values: Sequence[Any], current: list[Any]) -> None:
        if "user" not in self.kinds:
            return
        failed, chosen = first_failing(values[0], values[1:])
        slots = self._slots[id(equation)]
        message: Message = equation.params["message"]
        site = _Site(message.words, message.source, tuple([s - 1 for s in slots]))
        code = self.code((id(equation), "user"), site)
        first = self.first(current, failed)
        current[0] = ops.select(first, np.int32(code), current[0])
        for slot, value in zip(slots, chosen):
            where = ops.broadcast_to(first, type_of(value).shape)
            current[slot] = ops.select(where, ops.convert(value, self.types[slot].dtype), current[slot])

    def fail(self, current: list[Any], key: Any, failed: Any, words: str, equation: Equation) -> None:
        """Note in the state that a check without values failed, where `failed`."""
        self._kept.append(equation)
        code = self.code(key, _Site(lambda _: words, equation.source, ()))
        current[0] = ops.select(self.first(current, failed), np.int32(code), current[0])

    def first(self, current: Sequence[Any], failed: Any) -> Any:
        return ops.and_(failed, ops.eq(current[0], np.int32(0)))

    def code(self, key: Any, site: _Site) -> int:
        if key not in self._codes:
            self.sites.append(site)
            self._codes[key] = len(self.sites)
        return self._codes[key]


def checkify(fun: Callable[..., Any], errors: Any = user_checks) -> Callable[..., tuple[Error, Any]]:
    """The function that returns (error, what `fun` returns), and raises nothing where a check fails.

    Args:
        fun: a function of trees of arrays, with `check` in it or not.
        errors: which checks: `user_checks` (those that `fun` makes), `nan_checks` (an operation gives a NaN),
            `div_checks` (division by zero), `index_checks` (an index out of bounds), or a union of them:
            `float_checks`, `automatic_checks`, `all_checks`.

    The error holds the first check that failed. `.throw()` raises it, `.get()` gives its message. It goes through
    `jit` and `vmap`; checks inside `scan`, `while_loop`, `cond` and `vmap` are found.

    Raises:
        ArgumentError: `errors` is no such set.

    >>> import funcgrad as fg
    >>> from funcgrad import checkify
    >>> f = checkify.checkify(lambda x: fg.numpy.log(x), errors=checkify.float_checks)
    >>> err, out = fg.jit(f)(-1.0)
    >>> err.get().split(" (")[0]
    'nan generated by primitive: log'
    """
    kinds = frozenset([errors] if isinstance(errors, str) else errors)
    if not kinds <= all_checks:
        raise ArgumentError(f"checkify: errors is a union of the sets {sorted(all_checks)}, got {errors!r}")

    @boundary
    @functools.wraps(fun)
    def checked(*args: Any, **kwargs: Any) -> tuple[Error, Any]:
        leaves, in_tree = tree.flatten((args, kwargs))
        if not all(map(is_operand, leaves)):
            check_operands(fun, args, kwargs, "checkify")
        flat = FlatFunction(fun, in_tree)
        closed = trace_to_graph(flat, [type_of(x) for x in leaves], name_of(fun))
        collector = _Collector(kinds)
        collector.reserve(closed.graph)
        start = [np.int32(0), *[ops.zeros(t) for t in collector.types[1:]]]
        (code, *values), outs = collector.evaluate(closed.graph, start, [*closed.constants, *leaves])
        return Error(code, values, tuple(collector.sites)), flat.out_tree.unflatten(outs)

    return checked


__all__ = [
    "Error",
    "ErrorCategory",
    "JaxRuntimeError",
    "all_checks",
    "automatic_checks",
    "check",
    "check_error",
    "checkify",
    "debug_check",
    "div_checks",
    "float_checks",
    "index_checks",
    "init_error",
    "nan_checks",
    "user_checks",
]

"""`debug.nans` and `debug.infs`: stop at the first operation that gives a NaN or an infinity, and say which.

Results of operations and of compiled functions are looked at (debug/watching.py), which is cheap. Where one is
bad, the graph is run again operation by operation, loops iteration by iteration, and the bad value is followed
back to where it was made.
"""

from __future__ import annotations

import functools
import linecache
import math
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any

import numpy as np

from funcgrad import dtypes
from funcgrad.array import Array
from funcgrad.config import config
from funcgrad.debug.watching import Looker, watch
from funcgrad.errors import NonFiniteError
from funcgrad.ir.effects import without_effects
from funcgrad.ir.graph import Atom, Equation, Graph, Literal, Var
from funcgrad.ir.primitive import Primitive
from funcgrad.ir.types import ArrayType
from funcgrad.prims import calls
from funcgrad.records import record
from funcgrad.source import SourceLine, user_line
from funcgrad.trace import ops
from funcgrad.trace.core import EAGER, current, data_of, state
from funcgrad.trace.graph_trace import trace_to_graph

SMALL = 1024
"""Up to so many elements each is looked at."""

LARGE = 65536
"""From so many elements on a compiled kernel looks at them, on all threads."""

SHOWN = 8
"""Up to so many elements an operand is printed whole."""

Test = Callable[[Any], Any]


def _not_finite(x: Any) -> Any:
    return ~np.isfinite(x)


def _test() -> Test:
    """The elementwise test that the settings ask for."""
    if config.debug_nans and config.debug_infs:
        return _not_finite
    return np.isnan if config.debug_nans else np.isinf


def _is_bad(array: Any, test: Test) -> bool:
    """Whether an element is bad. Of many elements the least is NaN where any is. The sum of finite numbers is finite
    but for overflow; only then is there a closer look."""
    dtype = array.dtype
    if dtype.kind not in "fc" and not dtypes.is_inexact(dtype):
        return False
    if array.size >= LARGE and array.flags.c_contiguous:
        numbers = array.reshape(-1)
        numbers = numbers.view(f"f{dtype.itemsize // 2}") if dtype.kind == "c" else numbers
        return bool(calls.execute(_any_bad(test, numbers.size, numbers.dtype), [numbers])[0])
    if array.size > SMALL and dtype.itemsize > 2:
        if test is np.isnan and dtype.kind == "f":
            return math.isnan(state.quiet(np.minimum.reduce, array, None))
        if math.isfinite(abs(state.quiet(np.add.reduce, array, None))):
            return False
    found = test(array)
    return b"\1" in found.tobytes() if array.size <= SMALL else bool(found.any())  # the former is faster


@functools.lru_cache(maxsize=256)
def _any_bad(test: Test, size: int, dtype: np.dtype) -> Graph:
    """The graph that says whether one of so many numbers is bad."""
    bad = {
        _not_finite: lambda x: ops.not_(ops.is_finite(x)),
        np.isnan: lambda x: ops.ne(x, x),
        np.isinf: lambda x: ops.eq(ops.abs_(x), math.inf),
    }[test]
    return trace_to_graph(
        lambda x: [ops.reduce_or(bad(x), (0,))], [ArrayType((size,), dtype)], "any_bad"
    ).graph


def _looker(test: Test) -> Looker:
    def look(
        primitive: Primitive, operands: Sequence[Any], params: dict[str, Any], outs: Sequence[Any]
    ) -> None:
        for out in outs:
            if _is_bad(out._data if out.__class__ is Array else data_of(out), test):
                arrays = [np.asarray(data_of(x)) for x in operands]
                with current(EAGER), np.errstate(all="ignore"):
                    raise _Search(test).found(primitive, arrays, params, state.source or user_line(2))

    return look


@record
class _Place:
    """An equation that gave a bad value: its operands and results, and the way into loops and calls to it."""

    primitive: Primitive
    arrays: tuple[Any, ...]
    outs: tuple[Any, ...]
    source: SourceLine | None
    path: tuple[str, ...]
    passed: bool = False
    """Whether an operand had the bad value already."""


class _Bad(Exception):
    """Ends a replay at the first run of a sub-graph with a bad result."""

    def __init__(self, graph: Graph, arrays: Sequence[Any], words: str):
        self.graph, self.arrays, self.words = graph, arrays, words


class _Search:
    """Follows a bad result back to the operation that made it."""

    def __init__(self, test: Test):
        self.test = test

    def bad(self, arrays: Sequence[Any]) -> bool:
        return any(_is_bad(np.asarray(a), self.test) for a in arrays)

    def found(
        self, primitive: Primitive, arrays: Sequence[Any], params: dict[str, Any], source: SourceLine | None
    ) -> NonFiniteError:
        """The error for an operation with a bad result."""
        return self.error(self.inside(primitive, arrays, params, source, ()))

    def evaluate(self, primitive: Primitive, arrays: Sequence[Any], params: dict[str, Any]) -> list[Any]:
        out = primitive.evaluate(np, *arrays, **params)
        return [np.asarray(o) for o in (out if primitive.multiple_results else [out])]

    def inside(
        self,
        primitive: Primitive,
        arrays: Sequence[Any],
        params: dict[str, Any],
        source: SourceLine | None,
        path: tuple[str, ...],
    ) -> _Place:
        """The place where a bad result of this operation comes from: itself, or an equation in a sub-graph."""
        if primitive.replay is not None:
            try:
                primitive.replay(self.run, *arrays, **params)
            except _Bad as bad:
                name = primitive.name if bad.words else bad.graph.name
                words = f"{bad.words} of {name}" if bad.words else f"{primitive.name} of {name}"
                where = f"{words}, at {source}" if source else words
                return self.graph(bad.graph, bad.arrays, (*path, where))
        outs = self.evaluate(primitive, arrays, params)
        passed = self.guilty(primitive, arrays, params) is not None
        return _Place(primitive, tuple(arrays), tuple(outs), source, path, passed)

    def run(self, graph: Graph, arrays: Sequence[Any], words: str) -> list[Any]:
        """Run a sub-graph, compiled; end the replay where its result is bad."""
        outs = calls.execute(without_effects(graph), arrays)
        if self.bad(outs):
            raise _Bad(graph, list(arrays), words)
        return outs

    def graph(self, graph: Graph, arrays: Sequence[Any], path: tuple[str, ...]) -> _Place:
        """The place in a graph where its bad output comes from."""
        graph = without_effects(graph)
        values: dict[Atom, Any] = dict(zip(graph.inputs, map(np.asarray, arrays)))
        makers: dict[Atom, Equation] = {}

        def value(atom: Atom) -> Any:
            return np.asarray(atom.value) if isinstance(atom, Literal) else values[atom]

        for equation in graph.equations:
            operands = [value(a) for a in equation.inputs]
            values.update(zip(equation.outputs, self.evaluate(equation.primitive, operands, equation.params)))
            makers.update(dict.fromkeys(equation.outputs, equation))
        suspect = next((a for a in graph.outputs if isinstance(a, Var) and self.bad([value(a)])), None)
        equation = makers.get(suspect)  # type: ignore[arg-type]
        if equation is None:  # it came in, or does not show when operations run one by one
            primitive = calls.jit_p
            outs = tuple([value(a) for a in graph.outputs])
            return _Place(primitive, tuple(arrays), outs, None, path, self.bad(arrays))
        while True:
            operands = [value(a) for a in equation.inputs]
            guilty = self.guilty(equation.primitive, operands, equation.params)
            earlier = None if guilty is None else makers.get(equation.inputs[guilty])
            if earlier is None:
                place = self.inside(equation.primitive, operands, equation.params, equation.source, path)
                makers_of_bad = [makers.get(a) for a, x in zip(equation.inputs, operands) if self.bad([x])]
                earlier = next((e for e in makers_of_bad if e is not None), None) if place.passed else None
                if earlier is None:
                    return place
            equation = earlier

    def guilty(self, primitive: Primitive, operands: Sequence[Any], params: dict[str, Any]) -> int | None:
        """The operand that makes the output bad; None where the operation itself does."""
        bad = [k for k, a in enumerate(operands) if self.bad([a])]
        if not bad:
            return None
        clean = [
            np.where(self.test(a), np.ones_like(a), a) if k in bad else a for k, a in enumerate(operands)
        ]
        if self.bad(self.evaluate(primitive, clean, params)):
            return None
        for k in bad:
            one = [a if j == k else c for j, (a, c) in enumerate(zip(operands, clean))]
            if self.bad(self.evaluate(primitive, one, params)):
                return k
        return bad[0]

    # ------------------------------------------------------------------------------------------- the report

    def error(self, place: _Place) -> NonFiniteError:
        """The report of a place, in words."""
        bad = next((o for o in place.outs if self.bad([o])), None)
        name, source = place.primitive.name, place.source
        if bad is None:
            return NonFiniteError(
                f"a compiled function gave {self.kind(None)}, and running it operation by operation does not",
                where=source,
                hint="run it under disable_jit() to look closer; please report it as a bug of funcgrad",
            )
        kind = self.kind(bad)
        what = f"{name} {'passed on' if place.passed else 'gave'} {kind}"
        if source is not None and source.backward:
            what += ", in the derivative (backward pass) of this line"
        lines = [what]
        if source is not None:
            code = linecache.getline(source.file, source.line).strip()
            lines += [f"    {code}"] if code else []
        lines += [f"  in {words}" for words in reversed(place.path)]
        at = self.position(bad, () if place.passed else place.arrays)
        count = int(self.test(bad).sum())
        number = f"{count} of {bad.size} elements, the first at {list(at)}" if bad.ndim else "the value"
        lines.append(
            f"  result {_described(bad)}: {kind} in {number}" if bad.ndim else f"  result {_described(bad)}"
        )
        for k, a in enumerate(place.arrays):
            there = f", there {a[at]}" if a.shape == bad.shape and a.ndim and a.size > 1 else ""
            lines.append(f"  operand {k} {_described(a)}{there}")
        hint = (
            f"the {kind} was in an operand already: look at what made that"
            if place.passed
            else _advice(name, source)
        )
        return NonFiniteError("\n".join(lines), where=source, hint=hint)

    def position(self, bad: Any, operands: Sequence[Any]) -> tuple[int, ...]:
        """Where the first bad element is, if possible one that is not bad in an operand of the same shape."""
        flags = self.test(bad)
        new = flags.copy()
        for a in operands:
            if a.shape == bad.shape and self.bad([a]):
                new &= ~self.test(a)
        return tuple(np.argwhere(new if new.any() else flags)[0].tolist())

    def kind(self, bad: Any) -> str:
        if bad is None:
            return "NaN or infinity"
        return "NaN" if self.test is not np.isinf and np.isnan(bad).any() else "infinity"


def _advice(name: str, source: SourceLine | None) -> str:
    if source is not None and source.backward:
        return (
            "the derivative does not exist there (sqrt or a norm at 0, where() around such a value): make the "
            "operand safe before the operation, not after it"
        )
    return "keep the operands where the operation is defined: where(), clip, or a small constant added"


def _described(array: Any) -> str:
    type = ArrayType(array.shape, array.dtype)
    if array.size <= SHOWN:
        return f"{type} = {np.array2string(array, separator=', ')}".replace("\n", "")
    if dtypes.is_float(array.dtype):
        wide = array.astype(np.float64)
        known = wide[np.isfinite(wide)]
        between = f"from {known.min():.6g} to {known.max():.6g}" if known.size else "nothing finite"
        counts = {"NaN": int(np.isnan(wide).sum()), "infinity": int(np.isinf(wide).sum())}
        return ", ".join([f"{type}", between, *(f"{n} times {what}" for what, n in counts.items() if n)])
    return str(type)


def _settings_changed() -> None:
    watch("nans", _looker(_test()) if config.debug_nans or config.debug_infs else None)


config.watch(_settings_changed)


def nans(new_val: bool = True) -> AbstractContextManager[None]:
    """Inside, raise NonFiniteError where an operation gives a NaN, and say which operation it was.

    The report has the first operation that made the NaN, the user's line, whether in the forward or the backward
    pass, the iteration of each loop around it, and the values of its operands. Compiled functions run as ever, and
    only their results are looked at; a function that gave a NaN is then run again, operation by operation.

    The setting `config.update("debug_nans", True)`, or FUNCGRAD_DEBUG_NANS=1, does it for the whole program.

    >>> import funcgrad as fg
    >>> f = fg.jit(lambda x: fg.numpy.log(x - 1) * 2)
    >>> with fg.debug.nans():
    ...     try:
    ...         _ = f(0.0)
    ...     except FloatingPointError as error:
    ...         print(str(error).splitlines()[0])
    log gave NaN
    """
    return config.using(debug_nans=new_val)


def infs(new_val: bool = True) -> AbstractContextManager[None]:
    """Inside, raise NonFiniteError where an operation gives an infinity; see `nans`.

    >>> import funcgrad as fg
    >>> with fg.debug.infs():
    ...     _ = fg.numpy.exp(1.0)
    """
    return config.using(debug_infs=new_val)


__all__ = ["infs", "nans"]

"""A compiled graph: the program for the native driver, and the call that runs it.

`executable_for` takes a graph through the passes, then finds its plan on disk, or lowers, places and assembles it;
its kernels come from the cache. A call packs the operands' ids into a frame, allocates the results, and makes one
native call.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import gc
import operator
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from funcgrad.array import Array, Donated
from funcgrad.ir.graph import Graph
from funcgrad.ir.primitive import primitive_named
from funcgrad.kernels.cpu import program
from funcgrad.lower import heuristics, memory
from funcgrad.passes import pipeline
from funcgrad.runtime import buffers, cache, donation, plan
from funcgrad.runtime.device import driver
from funcgrad.runtime.library import LibraryCall, only_on_gpu, user_call_failed
from funcgrad.runtime.plan import Plan

if TYPE_CHECKING:
    from funcgrad.lower.lowered import Lowered
    from funcgrad.lower.placement import Placement
    from funcgrad.runtime.assembly import Assembly

_data = operator.attrgetter("_data")


class Executable:
    """A graph ready to run. Calling it with Arrays gives the list of results, as Arrays.

    `optimised` is the graph after the passes. The stages behind it (`lowered`, `placement`, `sources`) are made when
    they are asked for: where an earlier process has left its plan, nothing else needs them.
    """

    def __init__(self, graph: Graph, donated: tuple[int, ...]):
        self.graph = graph
        self.optimised = pipeline.run(graph)
        self._driver = driver()
        self._cores = self._driver.pool.threads
        self._donated = donated
        self._plan, addresses = self._planned()
        self._calls = [LibraryCall(primitive_named(name), *rest) for name, *rest in self._plan.calls]
        self._words = self._plan.program(addresses, self._symbol)
        self._functions: list[tuple[Any, Any, Any]] = []
        self._shapes = [t.shape for t in self._plan.buffers]
        self._dtypes = [t.dtype for t in self._plan.buffers]
        large = any(t.nbytes >= buffers.LARGE for t in self._plan.buffers)
        again = buffers.empty_aligned if self._plan.loops else None
        self._make = again or (buffers.empty if large else np.empty)
        self._out_types = self.graph.out_types
        self._simple = bool(
            self._words
            and not self._calls
            and not self._plan.missing
            and not self._plan.donated
            and self._each_its_own()
        )
        single = self._simple and len(self._shapes) == 1
        self._only = (self._shapes[0], self._dtypes[0], self._out_types[0]) if single else None

    def _planned(self) -> tuple[Plan, list[int]]:
        """The plan, and the addresses of its kernels."""
        key = plan.key_of(self.optimised, self._donated, self._cores)
        known = None if key is None else plan.load(key)
        if known is not None:
            addresses = cache.load_known(known.kernels)
            if addresses is not None:
                return known, addresses
        assembly = self._assembly
        addresses = cache.load_kernels(assembly.kernels)
        made = assembly.plan([cache.key_of(source) for source in assembly.kernels])
        if key is not None:
            plan.save(key, made)
        return made, addresses

    @functools.cached_property
    def lowered(self) -> Lowered:
        """The steps, before they have addresses."""
        from funcgrad.lower.to_loops import lower

        return lower(self.optimised)

    @functools.cached_property
    def placement(self) -> Placement:
        """The steps, and where each value is."""
        from funcgrad.lower.placement import place

        return place(self.lowered, self._donated)

    @functools.cached_property
    def _assembly(self) -> Assembly:
        from funcgrad.runtime.assembly import Assembly

        return Assembly(self.placement, self._cores)

    @property
    def sources(self) -> list[str]:
        """The sources of the kernels in the order of the steps."""
        return self._assembly.sources

    @property
    def program(self) -> str:
        """The text of the program."""
        return "" if self._words is None else program.disassemble(self._words)

    def _symbol(self, name: str) -> int:
        """The address of what a plan names."""
        kind, _, which = name.partition(" ")
        if kind == "call":
            return self._calls[int(which)].address
        return plan.address(name)

    def __call__(self, operands: Sequence[Array]) -> list[Array]:
        arrays = list(map(_data, operands))
        if self._only is not None:
            shape, dtype, type = self._only
            result = self._make(shape, dtype)
            arrays.append(result)
            self._go(arrays)
            return [Array(result, type)]
        results = list(map(self._make, self._shapes, self._dtypes))
        if self._simple:
            self._go([*arrays, *results])
            return list(map(Array, results, self._out_types))
        if self._plan.missing:
            raise only_on_gpu(self._plan.missing[0])
        if self._plan.donated:
            self._take_over(operands, arrays, results)
        if self._words:
            self._go([*arrays, *results])
        return self._results(arrays, results)

    def _each_its_own(self) -> bool:
        """Whether the results are the buffers, in order."""
        same = self._plan.results == tuple(range(len(self._plan.buffers)))
        return same and self._shapes == [t.shape for t in self._out_types]

    def _go(self, arrays: list[np.ndarray]) -> None:
        """Run the program on operands and results; raise what a library call has raised, which ended it."""
        try:
            function = self._functions.pop()
        except IndexError:
            function = self._function()
        status = function[0](*arrays)
        if status == program.NOT_CONTIGUOUS:  # the results are contiguous, and stay what they are
            status = function[0](*map(np.ascontiguousarray, arrays))
        self._functions.append(function)
        if status == program.OUT_OF_MEMORY:
            raise self._out_of_memory()
        assert status == 0, f"the driver met an unknown instruction {status}"
        good = function[2]
        if good is not None and not good.value:
            good.value = 1
            errors: list[Exception] = [e for e in map(LibraryCall.error, self._calls) if e is not None]
            if not errors and self._plan.user_calls:
                errors.append(user_call_failed(self._plan.user_calls))
            raise errors[0] if errors else self._out_of_memory()

    def _out_of_memory(self) -> MemoryError:
        return MemoryError(
            f"{self.graph.name}: no memory is left for what reverse mode through a while_loop has to keep of its "
            "iterations; give the loop checkpoint=n or a budget, or let it run less often or carry less"
        )

    def _function(self) -> tuple[Any, Any, Any]:
        """The program as a function, the arena that it works in, and the byte behind that which calls of others' code
        clear when they fail (None where there are none). One call at a time uses one; they are kept for the next
        calls."""
        assert self._words is not None
        size = self._plan.arena_size
        can_fail = self._calls or self._plan.user_calls or self._plan.taped
        needed = size or can_fail
        arena = np.empty(size + memory.ALIGNMENT, np.uint8) if needed else None
        start = 0 if arena is None else arena.ctypes.data
        start += -start % memory.ALIGNMENT
        good = ctypes.c_uint8.from_address(start + size) if can_fail else None
        if good is not None:
            good.value = 1
        long = self._plan.work > heuristics.PYTHON_CALL_NS
        slot = self._plan.arena_slot
        function = self._driver.function(self._words, self._plan.frame_size, slot, start, long)
        return function, arena, good

    def _results(self, arrays: Sequence[Any], made: Sequence[Any]) -> list[Array]:
        """The results where some are operands, literals, or other shapes of a buffer."""
        results = []
        for source, t in zip(self._plan.results, self._out_types):
            if not isinstance(source, int):
                results.append(Array(np.asarray(source), t))
            elif source >= 0:
                results.append(Array(made[source].reshape(t.shape), t))
            else:
                data = arrays[-1 - source]
                if not buffers.is_own(data):  # the user may change it later
                    data = data.copy()
                results.append(Array(data.reshape(t.shape), t))
        return results

    def _take_over(self, operands: Sequence[Any], arrays: list[Any], results: list[Any]) -> None:
        """Let results live in the memory of donated operands, which are gone after the call."""
        for number, operand in self._plan.donated.items():
            given = operands[operand]
            if donation.only_one_sees(arrays, operand):
                _ = given.type  # known from now on without the data
                given._data = Donated(self.graph.name)  # type: ignore[assignment]
            else:  # others see it too: work on a copy
                arrays[operand] = arrays[operand].copy()
            results[number] = arrays[operand].reshape(self._shapes[number])


def executable_for(graph: Graph, donated: tuple[int, ...] = ()) -> Executable:
    """The executable of a graph; remembered with it."""
    key = ("executable", donated)
    known = graph.memo.get(key)
    if known is None:
        with _uncollected():
            known = graph.memo[key] = Executable(graph, donated)
    return known


def arena_bytes(graph: Graph) -> int:
    """How much memory, besides its operands and results, the executable of a graph works in; compiles nothing."""
    from funcgrad.lower.placement import place
    from funcgrad.lower.to_loops import lower

    with _uncollected():
        return place(lower(pipeline.run(graph))).plan.size


@contextlib.contextmanager
def _uncollected() -> Iterator[None]:
    """Make no search for garbage in circles: what compiling allocates has none, and would be searched many times."""
    before = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if before:
            gc.enable()


def execute(graph: Graph, arrays: Sequence[Any]) -> list[Any]:
    """What evaluates a `jit` equation that is met outside every transform."""
    results = executable_for(graph)([Array(np.asarray(a), t) for a, t in zip(arrays, graph.in_types)])
    return [r._data for r in results]

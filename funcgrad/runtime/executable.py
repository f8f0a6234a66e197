"""A compiled graph: the program for the native driver, and the call that runs it.

`executable_for` takes a graph through passes, lowering and placement, gets its kernels from the cache, and
assembles the program. A call packs the operands' ids into a frame, allocates the results, and makes one native
call.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import math
import operator
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from funcgrad import dtypes
from funcgrad.array import Array, Donated
from funcgrad.ir.graph import Graph, Var
from funcgrad.ir.primitive import primitive_named
from funcgrad.ir.types import ArrayType
from funcgrad.kernels.cpu import blas, program, routines
from funcgrad.lower import heuristics, memory
from funcgrad.lower.cpu.emit import emit
from funcgrad.lower.cpu.user_call import emit_user_call
from funcgrad.lower.lowered import (
    CopyStep,
    ExternStep,
    GemmStep,
    KernelStep,
    Lowered,
    RegionStep,
    RoutineStep,
    UserStep,
    View,
)
from funcgrad.lower.placement import Buffer, Operand, Place, Placement, place
from funcgrad.lower.target import Target
from funcgrad.lower.to_loops import lower
from funcgrad.passes import pipeline
from funcgrad.runtime import buffers, cache, donation, regions
from funcgrad.runtime.device import driver
from funcgrad.runtime.library import LibraryCall, user_call_failed

LONG_PROGRAM_NS = 20_000
"""Above this much predicted work a call lets other Python threads run."""

_data = operator.attrgetter("_data")

_COPY = '''"""Copy bytes."""
from funcgrad.kernels.cpu import abi


@abi.kernel(buffers=("u8", "u8"))
def kernel(lo, hi, source, target):
    for i in range(lo, hi):
        target[i] = source[i]
'''


class Executable:
    """A graph ready to run. Calling it with Arrays gives the list of results, as Arrays."""

    def __init__(self, graph: Graph, donated: tuple[int, ...]):
        self.graph = graph
        self.optimised = pipeline.run(graph)
        self._driver = driver()
        self._cores = self._driver.pool.threads
        self.lowered: Lowered = lower(self.optimised, Target(cores=self._cores))
        self.placement: Placement = place(self.lowered, donated)
        self.sources: list[str] = []
        self.work = 0.0
        self._library_calls: list[LibraryCall] = []
        self._user_calls: list[str] = []
        self._exits: list[int] = []
        self._numbers: dict[str, int] = {}
        self._donated = donated
        self._assemble()

    def _assemble(self) -> None:
        placement = self.placement
        arena = placement.arena_slot
        assembled = program.Program(arena, arena + 1)
        for step in placement.steps:
            self._append(assembled, step, placement)
        for handle in self._exits:
            assembled.patch(handle)
        addresses = cache.load_kernels(list(self._numbers))
        self._words = assembled.finish(addresses) if assembled.here > program.HEADER else None
        self._program = assembled
        self._functions: list[tuple[Any, Any, Any]] = []
        self._shapes = [t.shape for t in placement.buffers]
        self._dtypes = [t.dtype for t in placement.buffers]
        large = any(t.nbytes >= buffers.LARGE for t in placement.buffers)
        self._make = buffers.empty if large else np.empty
        self._out_types = self.graph.out_types
        self._simple = bool(
            self._words
            and not self._library_calls
            and not placement.donated
            and _each_its_own(placement, self._out_types)
        )

    def _kernel(self, source: str) -> int:
        """The number that stands for a kernel in the program until all are there."""
        return self._numbers.setdefault(source, -1 - len(self._numbers))

    def _append(self, assembled: program.Program, step: Any, placement: Placement) -> None:
        """Add one step to the program; `placement` says where its values are."""
        address = placement.address
        if isinstance(step, KernelStep):
            if step.extent == 0:
                return
            text = emit(step.kernel)
            self.sources.append(text)
            values = [*step.integers, *map(_bits, step.scalars)]
            grain = heuristics.parallel_grain(step.extent, step.work, self._cores)
            assembled.call(self._kernel(text), step.extent, grain, list(map(address, step.views)), values)
            self.work += step.extent * step.work
        elif isinstance(step, GemmStep):
            short = dtypes.name(step.dtype)
            batch = int(np.prod(step.batch, dtype=np.int64))
            if batch == 0 or step.m == 0 or step.n == 0:
                return
            work = step.m * step.n * step.k * heuristics.GEMM_NS
            threads = blas.thread_functions() if self._cores > 1 and work > heuristics.BLAS_ALONE_NS else None
            rows, columns = step.m, step.n
            if threads is not None:
                rows, columns = heuristics.gemm_block(step.m, step.n, batch, work, self._cores)
            blocks = -(-step.m // rows) * -(-step.n // columns)
            values = blas.arguments(
                short,
                step.m,
                step.n,
                step.k,
                step.lhs_strides,
                step.rhs_strides,
                step.batch,
                (step.lhs_batch_strides, step.rhs_batch_strides, step.out_batch_strides),
                step.dtype.itemsize,
                (rows, columns),
            )
            entry = self._kernel(blas.source(short))
            pointers = list(map(address, (step.lhs, step.rhs, step.out)))
            grain = 1 if blocks > 1 else heuristics.parallel_grain(batch, work, self._cores)
            if threads is not None:
                assembled.alone(*threads)
            assembled.call(entry, batch * blocks, grain, pointers, values)
            if threads is not None:
                assembled.back(threads[1])
            self.work += batch * work
        elif isinstance(step, CopyStep):
            source, target = placement.places[step.source], placement.places[step.target]
            self._copy(assembled, source, target, step.target.type.nbytes)
        elif isinstance(step, RoutineStep):
            self._append_routine(assembled, step, placement)
        elif isinstance(step, RegionStep):
            self._append_region(assembled, step, placement)
        elif isinstance(step, UserStep):
            self._append_user_call(assembled, step, [address(View(v)) for v in (*step.reads, *step.writes)])
        else:
            assert isinstance(step, ExternStep)
            types = [v.type for v in step.outputs]
            primitive = primitive_named(step.name)
            call = LibraryCall(primitive, dict(step.attributes), step.inputs, step.in_types, types)
            self._library_calls.append(call)
            values = [a for a in (*step.inputs, *step.outputs) if isinstance(a, Var)]
            assembled.call(call.address, 1, 1, [*(address(View(v)) for v in values), self._flag])
            self._exits.append(assembled.jump_if_zero(*self._flag))
            self.work += LONG_PROGRAM_NS

    @property
    def _flag(self) -> tuple[int, int]:
        """Where the byte is that a call clears when it fails."""
        return self.placement.arena_slot, self.placement.plan.size

    def _append_user_call(
        self, assembled: program.Program, step: UserStep, pointers: list[tuple[int, int]]
    ) -> None:
        text, integers, scalars = emit_user_call(step)
        self.sources.append(text)
        extent = math.prod(size for size, _ in step.definition.levels)
        work = sum(v.type.nbytes for v in (*step.reads, *step.writes)) / max(extent, 1)
        grain = heuristics.parallel_grain(extent, work, self._cores)
        values = [*integers, *map(_bits, scalars)]
        assembled.call(self._kernel(text), extent, grain, [*pointers, self._flag], values)
        self._exits.append(assembled.jump_if_zero(*self._flag))
        self._user_calls.append(step.definition.name)
        self.work += extent * work

    def _append_routine(self, assembled: program.Program, step: RoutineStep, placement: Placement) -> None:
        values = (*step.inputs, *step.outputs)
        pointers = [placement.address(View(v)) for v in values]
        buffers = [dtypes.name(v.type.dtype) for v in values]
        for text, extent, work, integers in routines.calls(step.routine, buffers, step.settings):
            self.sources.append(text)
            grain = heuristics.parallel_grain(extent, work, self._cores)
            threads = blas.thread_functions() if step.routine in routines.BY_BLAS else None
            if threads is not None:
                assembled.alone(*threads)
            assembled.call(self._kernel(text), extent, grain, pointers, integers)
            if threads is not None:
                assembled.back(threads[1])
            self.work += extent * work

    def _copy(self, assembled: program.Program, source: Place, target: Place, size: int) -> None:
        if source == target or size == 0:
            return
        pointers = [(source.slot, source.offset), (target.slot, target.offset)]
        assembled.call(
            self._kernel(_COPY), size, heuristics.parallel_grain(size, 0.05, self._cores), pointers
        )
        self.work += size * 0.05

    def _append_region(self, assembled: program.Program, step: RegionStep, placement: Placement) -> None:
        def append(body: Placement) -> None:
            for inner in body.steps:
                self._append(assembled, inner, body)

        def copy(source: Place, target: Place, size: int) -> None:
            self._copy(assembled, source, target, size)

        before = self.work
        times = regions.append(step, placement, assembled, append, copy)
        self.work = before + times * (self.work - before)

    def __call__(self, operands: Sequence[Array]) -> list[Array]:
        arrays = list(map(_data, operands))
        results = list(map(self._make, self._shapes, self._dtypes))
        if self._simple:
            self._go(arrays, results)
            return list(map(Array, results, self._out_types))
        if self.placement.donated:
            self._take_over(operands, arrays, results)
        if self._words:
            self._go(arrays, results)
        return self._results(arrays, results)

    def _go(self, arrays: list[np.ndarray], results: list[np.ndarray]) -> None:
        """Run the program on these buffers; raise what a library call has raised, which ended it."""
        try:
            function = self._functions.pop()
        except IndexError:
            function = self._function()
        status = function[0](*arrays, *results)
        if status == program.NOT_CONTIGUOUS:
            status = function[0](*map(np.ascontiguousarray, arrays), *results)
        self._functions.append(function)
        if status == program.OUT_OF_MEMORY:
            raise MemoryError(
                f"{self.graph.name}: no memory is left for what reverse mode through a while_loop has to keep of its "
                "iterations; run fewer, carry less, or nest it in a lax.scan of checkpointed blocks"
            )
        assert status == 0, f"the driver met an unknown instruction {status}"
        good = function[2]
        if good is not None and not good.value:
            good.value = 1
            errors = [e for e in map(LibraryCall.error, self._library_calls) if e is not None]
            raise errors[0] if errors else user_call_failed(self._user_calls)

    def _function(self) -> tuple[Any, Any, Any]:
        """The program as a function, the arena that it works in, and the byte behind that which calls of others' code
        clear when they fail (None where there are none). One call at a time uses one; they are kept for the next
        calls."""
        assert self._words is not None
        size = self.placement.plan.size
        can_fail = self._library_calls or self._user_calls
        needed = size or can_fail
        arena = np.empty(size + memory.ALIGNMENT, np.uint8) if needed else None
        start = 0 if arena is None else arena.ctypes.data
        start += -start % memory.ALIGNMENT
        good = ctypes.c_uint8.from_address(start + size) if can_fail else None
        if good is not None:
            good.value = 1
        long = self.work > LONG_PROGRAM_NS
        slot = self.placement.arena_slot
        function = self._driver.function(self._words, self._program.frame_size, slot, start, long)
        return function, arena, good

    def _results(self, arrays: Sequence[Any], made: Sequence[Any]) -> list[Array]:
        """The results where some are operands, literals, or other shapes of a buffer."""
        results = []
        for source, t in zip(self.placement.results, self._out_types):
            if isinstance(source, Operand):
                data = arrays[source.number]
                if not buffers.is_own(data):  # the user may change it later
                    data = data.copy()
                results.append(Array(data.reshape(t.shape), t))
            elif isinstance(source, Buffer):
                results.append(Array(made[source.number].reshape(t.shape), t))
            else:
                results.append(Array(np.asarray(source.value), t))
        return results

    def _take_over(self, operands: Sequence[Any], arrays: list[Any], results: list[Any]) -> None:
        """Let results live in the memory of donated operands, which are gone after the call."""
        for number, operand in self.placement.donated.items():
            given = operands[operand]
            if donation.only_one_sees(arrays, operand):
                _ = given.type  # known from now on without the data
                given._data = Donated(self.graph.name)  # type: ignore[assignment]
            else:  # others see it too: work on a copy
                arrays[operand] = arrays[operand].copy()
            results[number] = arrays[operand].reshape(self._shapes[number])


def _each_its_own(placement: Placement, out_types: Sequence[ArrayType]) -> bool:
    """Whether the results are the buffers, in order."""
    whole = [r.number if isinstance(r, Buffer) else -1 for r in placement.results]
    shapes = [t.shape for t in placement.buffers]
    return whole == list(range(len(shapes))) and shapes == [t.shape for t in out_types]


def _bits(scalar: Any) -> int:
    """A scalar argument as the int64 that fills its slot."""
    return int.from_bytes(scalar.tobytes().ljust(8, b"\0"), "little", signed=True)


def executable_for(graph: Graph, donated: tuple[int, ...] = ()) -> Executable:
    """The executable of a graph; remembered with it."""
    key = ("executable", donated)
    known = graph.memo.get(key)
    if known is None:
        with _uncollected():
            known = graph.memo[key] = Executable(graph, donated)
    return known


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

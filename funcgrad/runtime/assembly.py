"""From a placed graph to the program for the native driver: which kernels, in which order, on which addresses.

What it makes is a Plan: data, in which kernels and the addresses of other functions are only named, so that another
process can use it.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from funcgrad import dtypes
from funcgrad.ir.graph import Literal, Var
from funcgrad.kernels.cpu import blas, program, routines
from funcgrad.lower import heuristics, loopir
from funcgrad.lower.cpu.emit import emit, functions_of
from funcgrad.lower.cpu.user_call import emit_user_call
from funcgrad.lower.lowered import (
    BranchStep,
    CopyStep,
    ExternStep,
    GemmStep,
    KernelStep,
    RegionStep,
    RoutineStep,
    UserStep,
    View,
)
from funcgrad.lower.placement import Operand, Place, Placement
from funcgrad.runtime import regions
from funcgrad.runtime.plan import Plan

_COPY = '''"""Copy bytes."""
from funcgrad.kernels.cpu import abi


@abi.kernel(buffers=("u8", "u8"))
def kernel(lo, hi, source, target):
    for i in range(lo, hi):
        target[i] = source[i]
'''


class Assembly:
    """A program under construction. `sources` are the sources of its kernels in the order of the steps."""

    def __init__(self, placement: Placement, cores: int):
        self.placement = placement
        self.sources: list[str] = []
        self.work = 0.0
        self._cores = cores
        self._calls: list[tuple[Any, ...]] = []
        self._user_calls: list[str] = []
        self._missing: list[str] = []
        self._taped = False
        self._loops = False
        self._exits: list[int] = []
        self._numbers: dict[str, int] = {}
        arena = placement.arena_slot
        self._program = assembled = program.Program(arena, arena + 1)
        for step in placement.steps:
            self._append(assembled, step, placement)
        for handle in self._exits:
            assembled.patch(handle)

    @property
    def kernels(self) -> list[str]:
        """The sources of the kernels, each once."""
        return list(self._numbers)

    def plan(self, keys: list[str]) -> Plan:
        """The plan, in which the kernels have these names."""
        placement = self.placement
        assembled = self._program
        return Plan(
            words=assembled.finish().tobytes() if assembled.here > program.HEADER else b"",
            kernels=tuple(keys),
            symbols=tuple(assembled.symbols),
            calls=tuple(self._calls),
            user_calls=tuple(self._user_calls),
            missing=tuple(self._missing),
            taped=self._taped,
            loops=self._loops,
            frame_size=assembled.frame_size,
            arena_slot=placement.arena_slot,
            arena_size=placement.plan.size,
            buffers=placement.buffers,
            results=tuple([_result(r) for r in placement.results]),
            donated=placement.donated,
            work=self.work,
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
            taped = step.kernel.taped
            memory = [assembled.symbol("realloc"), assembled.symbol("free")] if taped else []
            values = [*step.integers, *memory, *map(_bits, step.scalars)]
            grain = heuristics.parallel_grain(step.extent, step.work, self._cores, step.unit)
            pointers = list(map(address, step.views))
            called = functions_of(step.kernel)
            if called or taped:
                pointers.append(self._flag)
            assembled.call(self._kernel(text), step.extent, grain, pointers, values)
            self._taped = self._taped or taped
            self._loops = self._loops or loopir.repeats(step.kernel)
            if called or taped:
                self._exits.append(assembled.jump_if_zero(*self._flag))
                self._user_calls += called
            self.work += step.extent * step.work
        elif isinstance(step, GemmStep):
            short = dtypes.name(step.dtype)
            batch = int(np.prod(step.batch, dtype=np.int64))
            if batch == 0 or step.m == 0 or step.n == 0:
                return
            work = step.m * step.n * step.k * heuristics.GEMM_NS
            threads = None
            if work > heuristics.BLAS_ALONE_NS and blas.thread_functions() is not None:
                threads = assembled.symbol("get threads"), assembled.symbol("set threads")
            rows, columns = step.m, step.n
            if threads is not None:
                turned = step.rhs_strides[0] == 1 and step.k > 1
                rows, columns = heuristics.gemm_block(step.m, step.n, step.k, batch, work, turned)
            blocks = -(-step.m // rows) * -(-step.n // columns)
            values = blas.arguments(
                assembled.symbol(f"gemm {short}"),
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
            self._loops = self._loops or not isinstance(step, BranchStep)
            self._append_region(assembled, step, placement)
        elif isinstance(step, UserStep):
            self._append_user_call(assembled, step, [address(View(v)) for v in (*step.reads, *step.writes)])
        else:
            assert isinstance(step, ExternStep)
            types = [v.type for v in step.outputs]
            inputs = [a.value if isinstance(a, Literal) else t for a, t in zip(step.inputs, step.in_types)]
            self._calls.append((step.name, dict(step.attributes), inputs, types))
            entry = assembled.symbol(f"call {len(self._calls) - 1}")
            values = [a for a in (*step.inputs, *step.outputs) if isinstance(a, Var)]
            assembled.call(entry, 1, 1, [*(address(View(v)) for v in values), self._flag])
            self._exits.append(assembled.jump_if_zero(*self._flag))
            self.work += heuristics.PYTHON_CALL_NS

    @property
    def _flag(self) -> tuple[int, int]:
        """Where the byte is that a call clears when it fails."""
        return self.placement.arena_slot, self.placement.plan.size

    def _append_user_call(
        self, assembled: program.Program, step: UserStep, pointers: list[tuple[int, int]]
    ) -> None:
        if step.definition.function is None:
            self._missing.append(step.definition.name)
            return
        text, integers, scalars = emit_user_call(step)
        self.sources.append(text)
        extent = math.prod(size for size, _ in step.definition.levels)
        touched = sum(v.type.nbytes for v in (*step.reads, *step.writes))
        work = touched * heuristics.OUTSIDE_NS / max(extent, 1)
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
        by_blas = step.routine in routines.BY_BLAS
        threads = None
        if by_blas and blas.thread_functions() is not None:
            threads = assembled.symbol("get threads"), assembled.symbol("set threads")
            assembled.alone(*threads)
        for call in routines.calls(step.routine, buffers, step.settings):
            self.sources.append(call.source)
            grain = heuristics.parallel_grain(call.extent, call.work, self._cores)
            functions = [assembled.symbol(f"gemm {buffers[0]}")] if by_blas else []
            assembled.call(
                self._kernel(call.source), call.extent, grain, pointers, [*functions, *call.integers]
            )
            self.work += call.extent * call.work
        if threads is not None:
            assembled.back(threads[1])

    def _copy(self, assembled: program.Program, source: Place, target: Place, size: int) -> None:
        if source == target or size == 0:
            return
        pointers = [(source.slot, source.offset), (target.slot, target.offset)]
        grain = heuristics.parallel_grain(size, heuristics.COPY_NS, self._cores)
        assembled.call(self._kernel(_COPY), size, grain, pointers)
        self.work += size * heuristics.COPY_NS

    def _append_region(self, assembled: program.Program, step: RegionStep, placement: Placement) -> None:
        def append(body: Placement) -> None:
            for inner in body.steps:
                self._append(assembled, inner, body)

        def copy(source: Place, target: Place, size: int) -> None:
            self._copy(assembled, source, target, size)

        before = self.work
        times = regions.append(step, placement, assembled, append, copy)
        self.work = before + times * (self.work - before)


def _result(source: Any) -> Any:
    """Where a result comes from, as Plan says it."""
    if isinstance(source, Literal):
        return source.value
    return -1 - source.number if isinstance(source, Operand) else source.number


def _bits(scalar: Any) -> int:
    """A scalar argument as the int64 that fills its slot."""
    return int.from_bytes(scalar.tobytes().ljust(8, b"\0"), "little", signed=True)

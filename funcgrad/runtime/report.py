"""What `jit(f).lower(...)` gives: every stage of one compiled function, to print and to look at."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from funcgrad import dtypes
from funcgrad.ir.graph import ClosedGraph, Graph, Literal, Var
from funcgrad.ir.primitive import primitive_named
from funcgrad.ir.text import format_graph, var_names
from funcgrad.lower.cpu.emit import emit
from funcgrad.lower.cpu.user_call import emit_user_call
from funcgrad.lower.gpu import emit as cuda
from funcgrad.lower.gpu import user_call as cuda_user_call
from funcgrad.lower.lowered import (
    CopyStep,
    ExternStep,
    GemmStep,
    KernelStep,
    RegionStep,
    RoutineStep,
    ScanStep,
    Step,
    TapeStep,
    UserStep,
    flops_of,
    walk_steps,
    walk_with_counts,
)
from funcgrad.lower.placement import Buffer, Operand
from funcgrad.prims.control_choice import notes
from funcgrad.records import record
from funcgrad.runtime.executable import Executable


@record
class MemoryAnalysis:
    """Bytes of memory of a call; `alias_size_in_bytes` of the results lie in the memory of donated arguments."""

    argument_size_in_bytes: int
    output_size_in_bytes: int
    alias_size_in_bytes: int
    temp_size_in_bytes: int


class Lowered:
    """The stages of a compiled function; `print` it to read them all.

    Attributes:
        closed: the traced graph with the arrays that it closes over.
        graph: the graph after the passes, which is what was compiled.
        kernels: the loop IR of each kernel, in the order of first use.
        sources: the Numba source of these and of every other kernel that is called; each is a file in the cache.
        reasons: why neighbours were not fused.
        control_flow: how control flow under `vmap` runs where each example has its own condition, and why.
    """

    def __init__(self, closed: ClosedGraph, executable: Executable, function: Callable[..., Any]):
        self.closed = closed
        self._function = function
        self.executable = executable
        self.graph: Graph = executable.optimised
        self.sources: list[str] = list(dict.fromkeys(executable.sources))
        steps = executable.placement.steps
        self.kernels = list(dict.fromkeys(s.kernel for s in walk_steps(steps) if isinstance(s, KernelStep)))
        self.reasons: tuple[str, ...] = executable.lowered.reasons
        self.control_flow: tuple[str, ...] = tuple(notes(closed.graph))

    def compile(self) -> Callable[..., Any]:
        """The compiled function: to be called with what it was lowered for, without the static arguments."""
        return self._function

    @property
    def flops(self) -> float:
        """Predicted floating-point operations of the matrix products and convolutions; the bodies of `while` loops
        are counted once."""
        return float(sum(flops_of(s) * times for s, times, _ in self._counted()))

    @property
    def bytes(self) -> int:
        """Predicted bytes of memory that the steps read and write; the bodies of `while` loops are counted once."""
        return sum(
            v.type.nbytes * times
            for s, times, _ in self._counted()
            if not isinstance(s, RegionStep)
            for v in (*s.reads, *s.writes)
        )

    def _counted(self) -> Iterator[tuple[Step, int, str]]:
        return walk_with_counts(self.executable.placement.steps)

    def cost_analysis(self) -> dict[str, float]:
        """`flops` and `bytes` under the names that `jax.stages` has for them."""
        return {"flops": self.flops, "bytes accessed": float(self.bytes)}

    def memory_analysis(self) -> MemoryAnalysis:
        """The predicted memory of a call under the names that `jax.stages` has for it."""
        graph, placement = self.closed.graph, self.executable.placement
        results = sum(v.type.nbytes for v in graph.outputs)
        reused = sum(placement.buffers[number].nbytes for number in placement.donated)
        return MemoryAnalysis(
            argument_size_in_bytes=sum(t.nbytes for t in self.closed.in_types),
            output_size_in_bytes=results,
            alias_size_in_bytes=reused,
            temp_size_in_bytes=placement.plan.size + self._library_bytes(),
        )

    @property
    def peak_bytes(self) -> int:
        """Predicted bytes that a call needs at its peak beside its arguments: the arena, its results, and what a
        library call works in. A tape that grows with the iterations of a while loop is not part of it."""
        placement = self.executable.placement
        return placement.plan.size + sum(t.nbytes for t in self._new_buffers()) + self._library_bytes()

    def _new_buffers(self) -> list[Any]:
        """The types of the results that no donated argument lends its memory."""
        placement = self.executable.placement
        return [t for number, t in enumerate(placement.buffers) if number not in placement.donated]

    def _library_bytes(self) -> int:
        """What the largest library call works in, with its results before they are copied to their places."""
        steps = walk_steps(self.executable.placement.steps)
        return max((_library_bytes(s) for s in steps if isinstance(s, ExternStep)), default=0)

    @property
    def cuda_sources(self) -> list[str]:
        """The CUDA C of each kernel, and then of each kernel of the user's; a comment that says why where it has
        none."""
        users = dict.fromkeys(map(_cuda_of_user, self._user_steps()))
        return [*(_printed(cuda.emit, kernel) for kernel in self.kernels), *users]

    def _user_steps(self) -> list[UserStep]:
        return [s for s in walk_steps(self.executable.placement.steps) if isinstance(s, UserStep)]

    def as_text(self) -> str:
        """The text of all stages."""
        parts = [
            ("graph", format_graph(self.graph)),
            ("program", "\n".join(self._steps())),
            ("memory", "\n".join(self._memory())),
            ("control flow", "\n".join(self.control_flow) or "(nothing to say)"),
            ("not fused", "\n".join(self.reasons) or "(nothing that could have been)"),
        ]
        for number, kernel in enumerate(self.kernels):
            parts.append((f"kernel {number}: loops", str(kernel).rstrip()))
            parts.append((f"kernel {number}: Numba", emit(kernel).rstrip()))
        for step in self._user_steps():
            if step.definition.function is not None:
                parts.append((f"the user's kernel {step.label}: Numba", emit_user_call(step)[0].rstrip()))
            if step.definition.cuda is not None:
                parts.append((f"the user's kernel {step.label}: CUDA C", _cuda_of_user(step).rstrip()))
        parts = list(dict.fromkeys(parts))
        return "\n\n".join(f"== {title}\n{text}" for title, text in parts)

    __str__ = as_text

    def __repr__(self) -> str:
        steps = len(self.executable.placement.steps)
        return f"<lowered {self.closed.graph.name}: {steps} steps, {len(self.kernels)} kernels; print it to read it>"

    def _names(self) -> dict[Var, str]:
        """The names that the printed graph gives its variables; temporaries of lowering have names t0, t1, ..."""
        supply, names = var_names(), {}
        for var in self.graph.inputs:
            names[var] = next(supply)
        for equation in self.graph.equations:
            for var in equation.outputs:
                names[var] = next(supply)
        for number, var in enumerate(self.executable.lowered.temporaries):
            names.setdefault(var, f"t{number}")
        return names

    def _steps(self) -> list[str]:
        names = self._names()

        def listed(values: Sequence[Any]) -> str:
            return " ".join(f"{names.get(v, '?')}:{v.type}" for v in values)

        return self._listed(self.executable.placement.steps, listed, "") or ["(nothing to run)"]

    def _listed(self, steps: Sequence[Any], listed: Callable[[Sequence[Any]], str], indent: str) -> list[str]:
        """The lines of steps; the bodies of control flow are indented."""
        lines = []
        for step in steps:
            if isinstance(step, KernelStep):
                what = f"kernel {self.kernels.index(step.kernel)} over 0..{step.extent}"
            elif isinstance(step, GemmStep):
                batch = "".join(f"{n} x " for n in step.batch)
                what = f"gemm {dtypes.name(step.dtype)} {batch}{step.m}x{step.k} @ {step.k}x{step.n}"
            elif isinstance(step, CopyStep):
                what = "copy"
            elif isinstance(step, RegionStep):
                times = f" of {step.length} steps" if isinstance(step, ScanStep) else ""
                what = f"{step.label}{times}"
            elif isinstance(step, RoutineStep):
                what = f"{step.label} by {step.routine} {' '.join(map(str, step.settings))}"
            elif isinstance(step, UserStep):
                batch = "".join(f" of {size}" for size, _ in step.definition.levels)
                what = f"the user's kernel {step.label}{' for a batch' + batch if batch else ''}"
            else:
                assert isinstance(step, ExternStep)
                what = step.name
            lines.append(f"{indent}{listed(step.writes)} = {what} ({listed(step.reads)})")
            lines.extend(f"{indent}    from {s}" for s in dict.fromkeys(step.sources))
            for body in step.bodies if isinstance(step, RegionStep) else ():
                lines += [f"{indent}    body:", *self._listed(body.steps, listed, indent + "    | ")]
        return lines

    def _memory(self) -> list[str]:
        names, placement = self._names(), self.executable.placement
        plan = placement.plan
        results = sum(t.nbytes for t in placement.buffers)
        library = self._library_bytes()
        lines = [
            f"arena of {plan.size} bytes; results of {results} bytes"
            + (f"; library calls work in {library} bytes" if library else ""),
            f"peak beside the arguments: {self.peak_bytes} bytes",
        ]
        for step in walk_steps(placement.steps):
            sizes = (step.size,) if isinstance(step, TapeStep) else ()
            own = step.tapes if isinstance(step, KernelStep) else ()
            for size in (*sizes, *own):
                each = " on each thread" if own and step.extent > 1 else ""
                lines.append(f"a tape of {size} bytes for each iteration{each}, which grows by doubling")
        for value in sorted(plan.offsets, key=lambda v: plan.offsets[v]):
            first, last = plan.lives[value]
            assert isinstance(value, Var)
            where = f"{plan.offsets[value]:>10} +{value.type.nbytes}"
            lines.append(f"{where:<24} {names.get(value, '?')}:{value.type}, steps {first} to {last}")
        for target, source in plan.aliases.items():
            assert isinstance(target, Var) and isinstance(source, Var)
            lines.append(f"{names.get(target, '?')} overwrites {names.get(source, '?')}")
        for number, result in enumerate(placement.results):
            if isinstance(result, Operand):
                lines.append(f"result {number} is operand {result.number}")
            elif isinstance(result, Literal):
                lines.append(f"result {number} is the constant {result.value}")
            else:
                assert isinstance(result, Buffer)
        return lines


def _printed(emit: Callable[[Any], str], what: Any) -> str:
    try:
        return emit(what)
    except cuda.NotPrintable as error:
        return f"// not printed: {error.what}\n"


def _cuda_of_user(step: UserStep) -> str:
    return _printed(cuda_user_call.emit_user_call, step)


def _library_bytes(step: ExternStep) -> int:
    workspace = primitive_named(step.name).workspace
    own = (
        workspace(*step.in_types, **dict(step.attributes))
        if workspace
        else sum(t.nbytes for t in step.in_types)
    )
    return own + sum(v.type.nbytes for v in step.outputs)

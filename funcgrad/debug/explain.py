"""Answers in words: why a function was traced again, why its operations are not one kernel, why it is slow.

All of it is read from what the compiler reports (`jit(f).lower(...)`); nothing here decides anything.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from funcgrad import dtypes, tree
from funcgrad.api import block_until_ready
from funcgrad.config import config
from funcgrad.debug import roof
from funcgrad.errors import ArgumentError, boundary
from funcgrad.flat import name_of
from funcgrad.jit import Jitted, Signature, jit, trace_watchers
from funcgrad.lower import heuristics
from funcgrad.lower.lowered import (
    CopyStep,
    ExternStep,
    GemmStep,
    KernelStep,
    RegionStep,
    RoutineStep,
    UserStep,
    flops_of,
    walk_with_counts,
)
from funcgrad.prims.callbacks import HostCall, OneByOne
from funcgrad.tree import keystr


def _as_jitted(f: Any) -> Jitted:
    if isinstance(f, Jitted):
        return f
    if not callable(f):
        raise ArgumentError(f"this explains a function, got {type(f).__name__}")
    return jit(f)


# ------------------------------------------------------------------------------------------- recompilation


@boundary
def why_recompiled(f: Any) -> str:
    """Say why a function under `jit` was traced again: which argument had another shape, dtype, structure or static
    value than before. With the setting `explain_recompiles` the same is logged (logger "funcgrad") each time.

    Args:
        f: what `jit` gave.

    Raises:
        ArgumentError: `f` is no function under jit.

    >>> import numpy as np, funcgrad as fg
    >>> f = fg.jit(lambda x: x * 2)
    >>> _ = f(np.ones(3)), f(np.ones(4))
    >>> print(fg.debug.why_recompiled(f))
    <lambda> was traced 2 times.
    The last time, compared with time 1: argument 'x' changed shape: f64[3] -> f64[4].
    """
    if not isinstance(f, Jitted):
        raise ArgumentError(
            f"why_recompiled takes a function under jit, got {type(f).__name__}", hint="f = jit(f)"
        )
    found = f.signatures
    name = name_of(f.function)
    if not found:
        return f"{name} has not been traced yet."
    if len(found) == 1:
        return (
            f"{name} was traced once, so nothing was traced again. If every call is slow all the same, look whether "
            "jit(...) itself is called again and again: each call of jit makes a function with a cache of its own."
        )
    last = found[-1]
    compared = [(_differences(f, one, last), number) for number, one in enumerate(found[:-1], 1)]
    changes, number = min(compared, key=lambda pair: (len(pair[0]), -pair[1]))
    words = "; ".join(changes) or "nothing that can be told apart"
    lines = [
        f"{name} was traced {len(found)} times.",
        f"The last time, compared with time {number}: {words}.",
    ]
    advice = _advice(found)
    return "\n".join([*lines, advice] if advice else lines)


def _differences(f: Jitted, before: Signature, after: Signature) -> list[str]:
    changes = []
    if before.tree != after.tree:
        changes.append(f"the structure of the arguments changed: {before.tree} -> {after.tree}")
    else:
        paths = [p for p, _ in tree.leaves_with_path(after.tree.unflatten(after.types))]
        for path, old, new in zip(paths, before.types, after.types):
            if old == new:
                continue
            what = f"shape: {old} -> {new}" if old.shape != new.shape else f"dtype: {old} -> {new}"
            if old.matches(new):
                words = ("an array", "a Python number") if new.weak else ("a Python number", "an array")
                what = f"from {words[0]} to {words[1]}: {old} -> {new}"
            changes.append(f"{_place(f, after, path)} changed {what}")
    for key in [*before.statics, *(k for k in after.statics if k not in before.statics)]:
        old, new = (s.statics.get(key, "(not given)") for s in (before, after))
        if old is new or (type(old) is type(new) and old == new):
            continue
        argument = repr(key) if isinstance(key, str) else f.parameter_name(key)
        words = f"static argument {argument} changed: {old!r:.60} -> {new!r:.60}"
        if repr(old) == repr(new):
            words += " (it looks the same and is not equal: give its class __eq__ and __hash__)"
        changes.append(words)
    if before.settings != after.settings:
        changes.append("settings of funcgrad.config on which traces depend changed")
    if before.axes != after.axes:
        changes.append(f"the named axes of vmap around it changed: {before.axes} -> {after.axes}")
    return changes


def _place(f: Jitted, signature: Signature, path: Any) -> str:
    if path[0].idx == 1:
        return f"keyword argument {path[1].key!r}{keystr(path[2:])}"
    position = path[1].idx
    for fixed in sorted(k for k in signature.statics if isinstance(k, int)):
        position += fixed <= position
    return f"argument {f.parameter_name(position)}{keystr(path[2:])}"


def _advice(found: Sequence[Signature]) -> str:
    if len({(s.tree, tuple(t.shape for t in s.types)) for s in found}) > 4:
        return (
            "Many shapes: a trace takes milliseconds and kernels are shared between shapes, so this is rarely slow; "
            "where it is, pad the arrays to a few sizes."
        )
    if len({str(s.statics) for s in found}) > 4:
        return (
            "Many static values: pass numbers as ordinary arguments where their values do not decide shapes."
        )
    return ""


# --------------------------------------------------------------------------------------------------- fusion


@boundary
def why_not_fused(f: Callable[..., Any], *args: Any, **kwargs: Any) -> str:
    """Say into how many kernels a function is compiled for these arguments, and why not into fewer.

    >>> import numpy as np, funcgrad as fg
    >>> print(fg.debug.why_not_fused(lambda x: x * 2 + 1, np.ones(3)))
    <lambda> is one kernel.
    """
    jitted = _as_jitted(f)
    lowered = jitted.lower(*args, **kwargs)
    steps = [s for s, _, _ in walk_with_counts(lowered.executable.placement.steps)]
    kinds = {
        "kernel": sum(isinstance(s, KernelStep) for s in steps),
        "matrix product": sum(isinstance(s, GemmStep) for s in steps),
        "routine": sum(isinstance(s, RoutineStep) for s in steps),
        "library call": sum(isinstance(s, ExternStep) for s in steps),
        "kernel of yours": sum(isinstance(s, UserStep) for s in steps),
        "copy": sum(isinstance(s, CopyStep) for s in steps),
        "loop or branch": sum(isinstance(s, RegionStep) for s in steps),
    }
    name = name_of(jitted.function)
    if len(steps) == kinds["kernel"] <= 1:
        return f"{name} is one kernel." if steps else f"{name} has nothing to compute."
    counted = ", ".join(f"{n} {_plural(kind, n)}" for kind, n in kinds.items() if n)
    lines = [f"{name} is {len(steps)} steps: {counted}."]
    lines += [f"- {reason}" for reason in lowered.reasons]
    if kinds["library call"]:
        names = sorted({s.name for s in steps if isinstance(s, ExternStep)})
        lines.append(f"- {', '.join(names)}: a library works on whole arrays, so nothing is fused with it")
    if len(lines) == 1:
        lines.append("- each computes something that the others do not share: there is nothing to fuse")
    return "\n".join(lines)


def _plural(word: str, count: int) -> str:
    if count == 1:
        return word
    return {"copy": "copies", "loop or branch": "loops or branches"}.get(word, word + "s")


# --------------------------------------------------------------------------------------------------- speed


@boundary
def why_slow(f: Callable[..., Any], *args: Any, **kwargs: Any) -> str:
    """Say where the time of a function goes: measured as a whole, against the roof of this machine, and predicted for
    your lines and the compiled steps.

    The function is called a few times with these arguments. The roof is the rate of a large matrix product and of a
    long copy as measured the first time this is called. A call can be above it where its arrays stay in the
    processor's caches, or where another program ran while the roof was measured.

    >>> import numpy as np, funcgrad as fg
    >>> fg.debug.why_slow(lambda x: fg.numpy.tanh(x), np.ones(3, np.float32)).split(" takes")[0]
    '<lambda>'
    """
    jitted = _as_jitted(f)
    start = time.perf_counter()
    lowered = jitted.lower(*args, **kwargs)
    prepared = time.perf_counter() - start
    block_until_ready(jitted(*args, **kwargs))
    taken = []
    for _ in range(3):
        start = time.perf_counter()
        block_until_ready(jitted(*args, **kwargs))
        taken.append(time.perf_counter() - start)
    lines = [
        f"{name_of(jitted.function)} takes {_seconds(min(taken))} a call; to trace and compile it took "
        f"{_seconds(prepared)}."
    ]
    weighed = sorted(
        ((_nanoseconds(step) * times, step, times, inside)
         for step, times, inside in walk_with_counts(lowered.executable.placement.steps)),
        key=lambda entry: -entry[0],
    )  # fmt: skip
    total = sum(ns for ns, *_ in weighed) or 1.0
    lines += roof.against(weighed, min(taken))
    by_line: dict[str, float] = {}
    for ns, step, *_ in weighed:
        line = step.sources[-1] if step.sources else "(no line of yours)"
        by_line[line] = by_line.get(line, 0.0) + ns
    largest = sorted(by_line.items(), key=lambda entry: -entry[1])[:8]
    if len(by_line) > 1:
        lines.append("Predicted shares of your lines:")
        lines += [f"- {ns / total:.0%}: {line}" for line, ns in largest if ns >= 0.02 * total]
    shown = [entry for entry in weighed if entry[0] >= 0.01 * total][:5]
    if shown:
        lines.append("Predicted shares of the work:")
    for ns, step, times, inside in shown:
        work = flops_of(step)
        flops = f" ({_count(work * times)} FLOPs)" if work else ""
        where = f", {times} times in {inside}" if inside else ""
        source = f", from {step.sources[-1]}" if step.sources else ""
        lines.append(f"- {ns / total:.0%}: {_described(step)}{flops}{where}{source}")
    lines += [f"- {note}" for note in _notes(lowered, weighed, min(taken), prepared)]
    return "\n".join(lines)


def _nanoseconds(step: Any) -> float:
    if isinstance(step, KernelStep):
        return step.extent * step.work
    if isinstance(step, CopyStep):
        return step.target.type.nbytes * heuristics.COPY_NS
    if isinstance(step, GemmStep | RoutineStep) and flops_of(step):
        return flops_of(step) / 2 * heuristics.GEMM_NS
    if isinstance(step, RoutineStep):
        return sum(v.type.size for v in step.reads) * heuristics.ROUTINE_NS
    if isinstance(step, UserStep | ExternStep):
        touched = sum(v.type.nbytes for v in (*step.reads, *step.writes)) * heuristics.OUTSIDE_NS
        return touched + heuristics.PYTHON_CALL_NS * isinstance(step, ExternStep)
    return 0.0


def _described(step: Any) -> str:
    if isinstance(step, KernelStep):
        moved = sum(v.type.nbytes for v in (*step.reads, *step.writes))
        return f"a kernel of {step.label.replace('+', ', ')}, which moves {_bytes(moved)}"
    if isinstance(step, GemmStep):
        batch = "".join(f"{n} x " for n in step.batch)
        return (
            f"a matrix product of {batch}{step.m}x{step.k} and {step.k}x{step.n} in {dtypes.name(step.dtype)}"
        )
    if isinstance(step, CopyStep):
        return f"a copy of {_bytes(step.target.type.nbytes)}"
    if isinstance(step, RoutineStep):
        return f"{step.label} of {_bytes(sum(v.type.nbytes for v in step.reads))}"
    if isinstance(step, UserStep):
        return f"your kernel {step.label}"
    call = dict(step.attributes).get("call") if isinstance(step, ExternStep) else None
    if isinstance(call, HostCall | OneByOne):
        return f"a call of the Python function {call.name}"
    return f"a library call, {step.label}"


def _notes(lowered: Any, weighed: Sequence[Any], taken: float, prepared: float) -> list[str]:
    """Things about a function that often make it slow."""
    notes = [r for r in lowered.reasons if "loop nest" in r or "copies its operand" in r]
    steps = [entry[1] for entry in weighed]
    calls = sum(times for _, step, times, inside in weighed if isinstance(step, ExternStep) and inside)
    if calls:
        notes.append(
            f"{calls} calls of Python in loops: what they do is better written with funcgrad's operations"
        )
    wide = {dtypes.float64, dtypes.complex128}
    if any(v.type.dtype in wide and v.type.size > 1 for step in steps for v in step.writes):
        notes.append("it computes in float64: float32 moves half the bytes and has twice the lanes")
    if prepared > 10 * taken:
        notes.append(
            "the first call costs far more than later ones: keep the function that jit gives, and see "
            "debug.why_recompiled"
        )
    held = sum(np.asarray(c).nbytes for c in lowered.closed.constants)
    if held > 1 << 20:
        notes.append(f"it closes over arrays of {_bytes(held)}: pass them as arguments")
    if taken < 20e-6:
        notes.append("most of such a short call is the call itself: put more work, or a loop, under one jit")
    return notes


def _seconds(seconds: float) -> str:
    for unit, size in (("s", 1.0), ("ms", 1e-3)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds * 1e6:.3g} us"


def _count(number: float) -> str:
    return f"{number / 1e9:.3g} G" if number >= 1e8 else f"{number / 1e6:.3g} M"


def _bytes(count: int) -> str:
    for unit, size in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= size:
            return f"{count / size:.3g} {unit}"
    return f"{count} bytes"


def _log(f: Jitted) -> None:
    if len(f.signatures) > 1:
        import logging

        logging.getLogger("funcgrad").warning(why_recompiled(f))


def _log_compile(f: Jitted) -> None:
    import logging

    found = f.signatures[-1]
    types = ", ".join(map(str, found.types)) or "no arrays"
    logging.getLogger("funcgrad").warning(f"Compiling {name_of(f.function)} for {types}.")


def _settings_changed() -> None:
    for wanted, watcher in ((config.explain_recompiles, _log), (config.log_compiles, _log_compile)):
        if wanted and watcher not in trace_watchers:
            trace_watchers.append(watcher)
        elif not wanted and watcher in trace_watchers:
            trace_watchers.remove(watcher)


config.watch(_settings_changed)

__all__ = ["why_not_fused", "why_recompiled", "why_slow"]

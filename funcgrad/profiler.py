"""Spans of time, under the names of `jax.profiler`: annotations are kept while a trace runs, which then writes them
to a file that Perfetto (ui.perfetto.dev) and chrome://tracing show.

A span inside of a function under `jit` is of the time when that was traced; compiled code runs in one piece. What takes
its time there is said by `funcgrad.debug.why_slow`. Owns the recording, of which there is one at a time.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from funcgrad.errors import ArgumentError, boundary
from funcgrad.flat import name_of
from funcgrad.jit import Jitted, trace_watchers
from funcgrad.names import unknown_names

FILE = "funcgrad.trace.json"
"""What a trace is called in its folder."""

_unknown = unknown_names(
    __name__,
    {
        "start_server": "start_trace and stop_trace: there is no server of profiles",
        "stop_server": "start_trace and stop_trace: there is no server of profiles",
        "device_memory_profile": "jit(f).lower(...).peak_bytes, which says what a call needs",
        "save_device_memory_profile": "jit(f).lower(...).peak_bytes, which says what a call needs",
        "ProfileData": "json.load of the file that stop_trace leaves",
    },
)
__getattr__ = _unknown


class _Recording:
    def __init__(self, folder: Path):
        self.folder = folder
        self.start = time.perf_counter_ns()
        self.events: list[dict[str, Any]] = []

    def add(self, name: str, kind: str, begin: int, end: int, details: dict[str, Any]) -> None:
        self.events.append(
            {
                "name": name,
                "cat": kind,
                "ph": "X",
                "ts": (begin - self.start) / 1e3,
                "dur": (end - begin) / 1e3,
                "pid": os.getpid(),
                "tid": threading.get_ident(),
                "args": details,
            }
        )


_current: list[_Recording] = []


def _compiled(f: Jitted) -> None:
    now = time.perf_counter_ns()
    types = ", ".join(map(str, f.signatures[-1].types))
    _current[0].add(f"traced {name_of(f.function)}", "jit", now, now, {"types": types})


@boundary
def start_trace(
    log_dir: Any,
    create_perfetto_link: bool = False,
    create_perfetto_trace: bool = False,
    profiler_options: None = None,
) -> None:
    """Begin to keep spans; `stop_trace` writes them to `funcgrad.trace.json` in the folder `log_dir`.

    Raises ArgumentError where a trace runs already, and for `create_perfetto_link`, since nothing is sent anywhere.
    """
    if create_perfetto_link:
        raise ArgumentError("there are no links to traces", hint="open the file at ui.perfetto.dev")
    if _current:
        raise ArgumentError(f"a trace to {_current[0].folder} runs already", hint="call stop_trace first")
    _current.append(_Recording(Path(log_dir)))
    trace_watchers.append(_compiled)


@boundary
def stop_trace() -> None:
    """Write what was kept since `start_trace`. Raises ArgumentError where no trace runs."""
    if not _current:
        raise ArgumentError("no trace runs", hint="call start_trace before")
    recording = _current.pop()
    trace_watchers.remove(_compiled)
    recording.folder.mkdir(parents=True, exist_ok=True)
    path = recording.folder / FILE
    path.write_text(json.dumps({"traceEvents": recording.events, "displayTimeUnit": "ms"}), encoding="utf-8")


@contextlib.contextmanager
def trace(
    log_dir: Any,
    create_perfetto_link: bool = False,
    create_perfetto_trace: bool = False,
    profiler_options: None = None,
) -> Iterator[None]:
    """Inside, spans are kept, and written to `funcgrad.trace.json` in the folder `log_dir` at the end.

    >>> import json, pathlib, tempfile, funcgrad as fg
    >>> folder = tempfile.mkdtemp()
    >>> with fg.profiler.trace(folder), fg.profiler.TraceAnnotation("a step"):
    ...     y = fg.numpy.ones(3) + 1
    >>> [e["name"] for e in json.loads((pathlib.Path(folder) / "funcgrad.trace.json").read_text())["traceEvents"]]
    ['a step']
    """
    start_trace(log_dir, create_perfetto_link, create_perfetto_trace, profiler_options)
    try:
        yield
    finally:
        stop_trace()


class TraceAnnotation(contextlib.ContextDecorator):
    """A span with a name, around a `with` block or a decorated function; `details` are shown with it."""

    def __init__(self, name: str, **details: Any):
        self.name, self.details = name, details
        self._begun: list[int] = []

    def __enter__(self) -> TraceAnnotation:
        self._begun.append(time.perf_counter_ns())
        return self

    def __exit__(self, *error: object) -> None:
        begin = self._begun.pop()
        if _current:
            shown = {k: v if isinstance(v, int | float | str) else str(v) for k, v in self.details.items()}
            _current[0].add(self.name, "annotation", begin, time.perf_counter_ns(), shown)


class StepTraceAnnotation(TraceAnnotation):
    """A span of one step of a loop: `with StepTraceAnnotation("train", step_num=i): ...`."""


@boundary
def annotate_function(
    func: Callable[..., Any] | None = None, name: str | None = None, **details: Any
) -> Callable[..., Any]:
    """`func`, whose every call is a span called `name` (its own name by default).

    >>> import funcgrad as fg
    >>> fg.profiler.annotate_function(lambda x: x + 1, name="add one")(1)
    2
    """
    if func is None:
        return functools.partial(annotate_function, name=name, **details)

    @functools.wraps(func)
    def annotated(*args: Any, **kwargs: Any) -> Any:
        with TraceAnnotation(name or name_of(func), **details):
            return func(*args, **kwargs)

    return annotated


__all__ = [
    "StepTraceAnnotation",
    "TraceAnnotation",
    "annotate_function",
    "start_trace",
    "stop_trace",
    "trace",
]

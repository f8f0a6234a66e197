"""`debug.progress`: a bar that shows how far a compiled loop is (tqdm)."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from funcgrad.callbacks import host_call
from funcgrad.errors import ArgumentError, boundary
from funcgrad.flat import name_of
from funcgrad.prims.callbacks import debug_callback_p
from funcgrad.trace.core import bind


class _Bar:
    """Counts iterations; the bar is made with the first one and closed with the last."""

    __name__ = "debug.progress"

    def __init__(self, total: int | None, make: Callable[..., Any], options: dict[str, Any]):
        self.total, self.make, self.options = total, make, options
        self.bar: Any = None
        self.count = 0

    def __call__(self) -> None:
        if self.bar is None:
            self.bar, self.count = self.make(total=self.total, **self.options), 0
        self.count += 1
        self.bar.update(1)
        if self.count == self.total:
            self.bar.close()
            self.bar = None


@boundary
def progress(body: Callable[..., Any], total: int | None = None, **options: Any) -> Callable[..., Any]:
    """The body of a loop that also moves a progress bar, once an iteration, in compiled loops too.

    Under `vmap` the bar moves once for the whole batch; derivatives move it in the forward pass.

    Args:
        body: the body of a `scan`, `fori_loop`, `while_loop` or `map`.
        total: how many iterations the loop has; without it the bar only counts.
        options: for `tqdm.tqdm`, such as desc="fit", leave=False, file=...

    Raises:
        ArgumentError: tqdm is not installed, or `body` is no function.

    >>> import io, funcgrad as fg
    >>> body = fg.debug.progress(lambda i, x: x * 2, total=10, file=io.StringIO())
    >>> fg.jit(lambda x: fg.lax.fori_loop(0, 10, body, x))(1)
    Array(1024, dtype=int64, weak_type=True)
    """
    if not callable(body):
        raise ArgumentError(
            f"progress takes the body of a loop, got {type(body).__name__}",
            hint="lax.scan(debug.progress(body, total=n), init, xs)",
        )
    try:
        from tqdm import tqdm
    except ImportError:
        raise ArgumentError("progress needs tqdm, which is not installed", hint="pip install tqdm") from None
    bar = _Bar(total, tqdm, {"desc": name_of(body), **options})

    @functools.wraps(body)
    def with_bar(*args: Any, **kwargs: Any) -> Any:
        result = body(*args, **kwargs)
        call, operands = host_call("debug.progress", bar, (), {}, None)
        bind(debug_callback_p, *operands, call=call, results=(), ordered=True)
        return result

    return with_bar


__all__ = ["progress"]

"""`debug.callback` and `debug.print`: look at values while a traced or compiled function runs."""

from __future__ import annotations

import string
from collections.abc import Callable, Sequence
from typing import Any

from funcgrad.callbacks import host_call
from funcgrad.errors import ArgumentError, boundary
from funcgrad.prims.callbacks import debug_callback_p
from funcgrad.trace.core import bind


@boundary
def callback(
    callback: Callable[..., None], *args: Any, ordered: bool = False, partitioned: bool = False, **kwargs: Any
) -> None:
    """Call a Python function for its side effect, wherever the traced or compiled function comes by.

    Its result is not used, and it changes nothing: derivatives go past it (it sees primal values, once), and under
    `vmap` it is called for one example after the other. An exception that it raises ends the program.

    Args:
        callback: the function of `args` and `kwargs`.
        args, kwargs: trees of arrays and numbers; other leaves are handed on as they are.
        ordered: whether calls have to be in the order of the program. They always are.
        partitioned: accepted for JAX's sake; without effect.

    >>> import funcgrad as fg
    >>> seen = []
    >>> def f(x):
    ...     fg.debug.callback(lambda v: seen.append(float(v)), x)
    ...     return x * 2
    >>> _ = fg.jit(f)(3.0)
    >>> seen
    [3.0]
    """
    call, operands = host_call("debug.callback", callback, args, kwargs, None, static=True)
    bind(debug_callback_p, *operands, call=call, results=(), ordered=bool(ordered))


class _Checked(string.Formatter):
    """A formatter that refuses arguments that the format does not name."""

    def check_unused_args(self, used_args: Any, args: Sequence[Any], kwargs: Any) -> None:
        unused = [str(k) for k in range(len(args)) if k not in used_args]
        unused += [repr(k) for k in kwargs if k not in used_args]
        if unused:
            raise ArgumentError(
                f"debug.print: the format does not name argument {', '.join(unused)}",
                hint='write {} or {name} for each value: debug.print("x = {}", x)',
            )

    def format_field(self, value: Any, spec: str) -> str:
        return ""


class _Value:
    """Stands for a value where only the names in a format are checked."""

    def __getattr__(self, name: str) -> _Value:
        return self

    def __getitem__(self, key: Any) -> _Value:
        return self

    __str__ = __repr__ = lambda self: ""


class _Printer:
    """Prints the format filled with values."""

    __name__ = "debug.print"

    def __init__(self, fmt: str):
        self.fmt = fmt

    def __call__(self, *args: Any, **kwargs: Any) -> None:
        print(self.fmt.format(*args, **kwargs), flush=True)


@boundary
def print_(
    fmt: str,
    *args: Any,
    ordered: bool = False,
    partitioned: bool = False,
    skip_format_check: bool = False,
    **kwargs: Any,
) -> None:
    """Print values wherever the traced or compiled function comes by: `debug.print("x = {}, y = {y:.2f}", x, y=y)`.

    Works under `jit`, `vmap` (one line for each example), derivatives (primal values, once) and in the bodies of
    loops and branches. Lines come in the order of the program.

    Args:
        fmt: a format string, as of `str.format`. Not an f-string: that would be filled in while the function is
            traced, when there are no values.
        args, kwargs: what to print: trees of arrays and numbers, and any other objects.
        ordered, partitioned: accepted for JAX's sake; lines are always in order.
        skip_format_check: do not check that the format names every argument.

    Raises:
        ArgumentError: `fmt` is no string, or leaves an argument out, or names one that is not there.

    >>> import funcgrad as fg
    >>> def f(x):
    ...     fg.debug.print("x = {}, its square = {s:.1f}", x, s=x * x)
    ...     return x
    >>> _ = fg.jit(f)(3.0)
    x = 3.0, its square = 9.0
    """
    if not isinstance(fmt, str):
        raise ArgumentError(
            f"debug.print: the first argument is a format string, got {type(fmt).__name__}",
            hint='write debug.print("{}", x)',
        )
    if not skip_format_check:
        stand_in = [_Value()] * len(args), {k: _Value() for k in kwargs}
        try:
            _Checked().vformat(fmt, *stand_in)
        except (IndexError, KeyError) as error:
            if isinstance(error, ArgumentError):
                raise
            raise ArgumentError(
                f"debug.print: the format {fmt!r} names a value that was not given: {error}",
                hint='pass a value for each {} and {name}; a brace itself is written twice: "{{"',
            ) from None
    call, operands = host_call("debug.print", _Printer(fmt), args, kwargs, None, static=True)
    bind(debug_callback_p, *operands, call=call, results=(), ordered=bool(ordered))


__all__ = ["callback", "print_"]

"""`debug.breakpoint`: a prompt in the middle of a traced or compiled function, with the values of its variables."""

from __future__ import annotations

import bdb
import cmd
import linecache
import pprint
import sys
from collections.abc import Sequence
from types import FrameType
from typing import IO, Any

from funcgrad import tree
from funcgrad.callbacks import host_call
from funcgrad.errors import boundary
from funcgrad.prims.callbacks import debug_callback_p
from funcgrad.source import is_internal
from funcgrad.trace.core import Tracer, bind

CONTEXT = 5
"""Lines before and after the current one that `list` shows."""


def _can_be_handed_on(value: Any) -> bool:
    try:
        return all(x.made_by.alive for x in tree.leaves(value) if isinstance(x, Tracer))
    except Exception:  # a container of the user's that is not as a tree should be
        return False


class _Frame:
    """A frame of the user's code as it was when the function was traced. Variables that hold arrays come with each
    call; `others`, which are no trees or are traced elsewhere, stay as they were."""

    def __init__(self, frame: FrameType):
        self.variables, self.others = {}, {}
        for name, value in frame.f_locals.items():
            if not name.startswith("__"):
                (self.variables if _can_be_handed_on(value) else self.others)[name] = value
        self.file, self.line = frame.f_code.co_filename, frame.f_lineno
        self.function, self.globals = frame.f_code.co_name, frame.f_globals


class _Prompt(cmd.Cmd):
    """The commands: p and pp (or just an expression), l(ist), w(here) or bt, u(p), d(own), c(ontinue), q(uit)."""

    prompt = "(funcgrad) "

    def __init__(self, frames: Sequence[_Frame], values: Sequence[dict[str, Any]], stdin: Any, stdout: Any):
        super().__init__(stdin=stdin, stdout=stdout)
        self.use_rawinput = stdin is None
        self.frames, self.values, self.current = frames, values, 0
        self.quit = False

    def say(self, text: str) -> None:
        self.stdout.write(text + "\n")

    def evaluate(self, expression: str) -> Any:
        frame = self.frames[self.current]
        return eval(expression, frame.globals, {**frame.others, **self.values[self.current]})

    def default(self, line: str) -> None:
        """Evaluate an expression and print it."""
        try:
            self.say(repr(self.evaluate(line)))
        except Exception as error:
            self.say(f"*** {type(error).__name__}: {error}")

    do_p = default

    def do_pp(self, line: str) -> None:
        """pp expression: print it prettily."""
        try:
            self.say(pprint.pformat(self.evaluate(line)))
        except Exception as error:
            self.say(f"*** {type(error).__name__}: {error}")

    def do_where(self, line: str = "") -> None:
        """Print the line of each frame; an arrow marks the current one."""
        for number, frame in enumerate(self.frames):
            arrow = "->" if number == self.current else "  "
            self.say(f"{arrow} {frame.file}:{frame.line} ({frame.function})")

    def do_list(self, line: str = "") -> None:
        """Print the source around the current line."""
        frame = self.frames[self.current]
        for number in range(max(frame.line - CONTEXT, 1), frame.line + CONTEXT + 1):
            text = linecache.getline(frame.file, number).rstrip("\n")
            if text or number == frame.line:
                self.say(f"{'->' if number == frame.line else '  '} {number:4} {text}")

    def _move(self, by: int) -> None:
        self.current = min(max(self.current + by, 0), len(self.frames) - 1)
        self.do_where()

    def do_up(self, line: str = "") -> None:
        """Go to the caller's frame."""
        self._move(1)

    def do_down(self, line: str = "") -> None:
        """Go back towards the breakpoint."""
        self._move(-1)

    def do_continue(self, line: str = "") -> bool:
        """Go on with the program."""
        return True

    def do_quit(self, line: str = "") -> bool:
        """End the program."""
        self.quit = True
        return True

    do_w, do_bt, do_l, do_u, do_d, do_c, do_q, do_EOF = (
        do_where,
        do_where,
        do_list,
        do_up,
        do_down,
        do_continue,
        do_quit,
        do_continue,
    )

    def emptyline(self) -> bool:
        return False


class _Breakpoint:
    """What runs at a breakpoint."""

    __name__ = "debug.breakpoint"

    def __init__(self, frames: Sequence[_Frame], stdin: IO[str] | None, stdout: IO[str] | None):
        self.frames, self.stdin, self.stdout = frames, stdin, stdout

    def __call__(self, values: list[dict[str, Any]]) -> None:
        stdout = self.stdout or sys.stdout
        here = self.frames[0]
        stdout.write(f"> {here.file}:{here.line} ({here.function})\n")
        prompt = _Prompt(self.frames, values, self.stdin, stdout)
        prompt.cmdloop()
        if prompt.quit:
            raise bdb.BdbQuit


@boundary
def breakpoint_(
    *,
    backend: str | None = None,
    filter_frames: bool = True,
    num_frames: int | None = None,
    ordered: bool = False,
    token: Any = None,
    stdin: IO[str] | None = None,
    stdout: IO[str] | None = None,
) -> None:
    """Stop here and open a prompt when the traced or compiled function comes by.

    The prompt has the values that the variables of the function have then. It understands `p x` (or just `x`), `pp`,
    `l`(ist), `w`(here) or `bt`, `u`(p), `d`(own), `c`(ontinue) and `q`(uit, which raises bdb.BdbQuit). Under `vmap`
    it opens for each example, if an example's value is among the variables.

    Args:
        num_frames: of how many frames of the user's code to keep the variables, from the innermost; 1 by default.
        stdin, stdout: where commands come from and answers go, instead of the terminal.
        backend, filter_frames, ordered, token: accepted for JAX's sake; without effect.

    >>> import io, funcgrad as fg
    >>> def f(x):
    ...     y = x * 2
    ...     fg.debug.breakpoint(stdin=io.StringIO("p y + 1\\nc\\n"))
    ...     return y
    >>> _ = fg.jit(f)(3.0)  # doctest: +SKIP
    """
    frames, held = [], []
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and len(frames) < (num_frames or 1):
        if not is_internal(frame.f_code):
            frames.append(_Frame(frame))
            held.append(frames[-1].variables)
        frame = frame.f_back
    call, operands = host_call(
        "debug.breakpoint", _Breakpoint(frames, stdin, stdout), (held,), {}, None, True
    )
    bind(debug_callback_p, *operands, call=call, results=(), ordered=True)


__all__ = ["breakpoint_"]

"""Names that a module of funcgrad does not have: which one was meant. Never changes what a module offers."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NoReturn

from funcgrad.errors import UnknownNameError, boundary

FACES = (
    "funcgrad",
    "funcgrad.numpy",
    "funcgrad.lax",
    "funcgrad.nn",
    "funcgrad.random",
    "funcgrad.scipy.special",
    "funcgrad.tree",
)
"""Where a name may be found that was asked of another module."""


def unknown_names(module: str, instead: Mapping[str, str] | None = None) -> Callable[[str], NoReturn]:
    """The `__getattr__` of `module`: UnknownNameError, with the name that was probably meant.

    `instead` says what to write for names that other libraries have.
    """

    @boundary
    def __getattr__(name: str) -> NoReturn:
        what = f"module {module!r} has no attribute {name!r}"
        if name.startswith("_"):
            raise AttributeError(what)
        raise UnknownNameError(what, hint=_hint(module, name, instead or {}))

    return __getattr__


def _hint(module: str, name: str, instead: Mapping[str, str]) -> str:
    if name in instead:
        return f"write {instead[name]}"
    for face in FACES:
        if name in vars(sys.modules.get(face, object)):
            return f"write {face}.{name}"
    here = [n for n in vars(sys.modules[module]) if not n.startswith("_")]
    close = _close(name, [*here, *instead])
    if close:
        return f"did you mean {' or '.join(instead.get(n, f'{module}.{n}') for n in close)}?"
    return f"{module} has no name like it; dir({module}) lists what there is"


def _close(name: str, among: Iterable[str]) -> list[str]:
    import difflib  # slow to import, and seldom needed

    return difflib.get_close_matches(name, list(among), 3, 0.6)


def closest(name: str, among: Iterable[str]) -> str:
    """Which of some names was probably meant by a misspelt one; else all of them."""
    close = _close(name, among)
    return f"did you mean {' or '.join(close)}?" if close else f"there are {', '.join(among)}"


class Foreign:
    """Stands for a method or attribute that arrays of another library have: UnknownNameError, with what to write."""

    def __init__(self, name: str, instead: str):
        self.name = name
        self.instead = instead

    @boundary
    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        of = "" if instance is None else f" of type {instance.type}"
        raise UnknownNameError(f"an array{of} has no {self.name!r}", hint=f"write {self.instead}")

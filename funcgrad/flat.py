"""From functions of trees to functions of flat lists of values, and checks of what goes in and comes out.

Shared by every public transform; owns the wording of errors about arguments and results.
"""

from __future__ import annotations

import dataclasses
import inspect
import re
from collections.abc import Callable, Sequence
from types import FunctionType
from typing import Any

from funcgrad import tree
from funcgrad.errors import ArgumentError, DTypeError, Held
from funcgrad.trace.core import is_operand, operand_hint
from funcgrad.tree import TreeDef


def name_of(function: Any) -> str:
    """The name under which a user knows the function."""
    return getattr(function, "__name__", None) or type(function).__name__


def check_function(what: str, role: str, function: Any, takes: Sequence[str] | None = None) -> None:
    """Raise where something that has to be called cannot be, or not with the arguments that `takes` names."""
    if not callable(function):
        raise ArgumentError(
            f"{what}: {role} has to be a function, got {type(function).__name__}",
            hint="pass the function itself, not its result; a value becomes a function by lambda: value",
        )
    if takes is not None and isinstance(function, FunctionType):
        code, count = function.__code__, len(takes)
        fewest = code.co_argcount - len(function.__defaults__ or ())
        if count < fewest or (count > code.co_argcount and not code.co_flags & inspect.CO_VARARGS):
            raise ArgumentError(
                f"{what}: {role} is called with {count} arguments, ({', '.join(takes)}), and {name_of(function)} "
                f"takes {inspect.signature(function)}",
                hint=f"write it as a function of ({', '.join(takes)})",
            )


def describe_argument(function: Any, args: Sequence[Any], position: int) -> str:
    """`argument 'x' of f`, or by position where the signature does not tell."""
    try:
        names = list(inspect.signature(function).parameters)
        return f"argument {names[position]!r} of {name_of(function)}"
    except (TypeError, ValueError, IndexError):
        return f"argument {position} of {name_of(function)}"


class FlatFunction:
    """`function(*args, **kwargs)` as a function of the flat leaves of (args, kwargs).

    After a call, `out_tree` is the structure of the result; with `has_aux`, `aux` holds the second part of it.
    """

    __slots__ = ("aux", "function", "has_aux", "in_tree", "out_tree")
    out_tree: TreeDef
    aux: Any

    def __init__(self, function: Callable[..., Any], in_tree: TreeDef, has_aux: bool = False):
        self.function = function
        self.in_tree = in_tree
        self.has_aux = has_aux

    def __call__(self, *leaves: Any) -> list[Any]:
        args, kwargs = self.in_tree.unflatten(leaves)
        result = self.function(*args, **kwargs)
        if self.has_aux:
            result, self.aux = split_aux(self.function, result)
        outs, self.out_tree = tree.flatten(result)
        check_results(self.function, outs, result)
        return outs


def split_aux(function: Any, result: Any) -> tuple[Any, Any]:
    """The two parts of a has_aux function's result."""
    if not isinstance(result, tuple) or len(result) != 2:
        raise ArgumentError(
            f"with has_aux=True {name_of(function)} has to return a pair (output, aux); it returned "
            f"{type(result).__name__}",
            hint="return (output, aux), or leave has_aux out",
        )
    return result


def check_results(function: Any, outs: Sequence[Any], result: Any) -> None:
    """Raise for a result that holds something other than arrays and numbers."""
    for out in outs:
        if not is_operand(out):
            path = next(p for p, leaf in tree.leaves_with_path(result) if leaf is out)
            where = f" at result{tree.keystr(path)}" if path else ""
            raise DTypeError(
                f"{name_of(function)} returned {out!r} of type {type(out).__name__}{where}; a traced function "
                "returns arrays, numbers, and trees of them",
                hint=operand_hint(out)
                if isinstance(out, Held)
                else "return arrays only (None is allowed as an empty tree); use has_aux=True for other data "
                "under grad, or compute it outside",
            )


def _instead(leaf: Any, transform: str) -> str:
    """What to do with an argument that is no array."""
    if dataclasses.is_dataclass(leaf) and not isinstance(leaf, type):
        name = type(leaf).__name__
        return f"make its class a node of trees, whose fields are traced: funcgrad.tree_util.register_dataclass({name})"
    known = {
        "jit": "close over it, or mark it static: jit(..., static_argnums=..., static_argnames=...)",
        "vmap": "close over it, or give None for it in in_axes: each example gets it as it is",
    }
    hint = known.get(transform, "close over it: functools.partial or a lambda")
    if any(map(is_operand, tree.leaves(getattr(leaf, "__dict__", None)))):
        hint += (
            "; to have the arrays in it traced, make its class a node of trees: "
            f"funcgrad.tree_util.register_pytree_node_class({type(leaf).__name__})"
        )
    return hint


def check_operands(
    function: Any, args: Any, kwargs: Any, transform: str, positions: Sequence[int] | None = None
) -> None:
    """Raise for an argument (at one of `positions`, where they are given) that is no array, number or tree of
    them."""
    for path, leaf in tree.leaves_with_path((args, kwargs)):
        which = path[1]
        if not is_operand(leaf) and (positions is None or which.idx in positions):
            if path[0].idx == 0:
                place = describe_argument(function, args, which.idx)
            else:
                place = f"keyword argument {which.key!r} of {name_of(function)}"
            place += tree.keystr(path[2:])
            kind = type(leaf).__name__
            raise DTypeError(
                f"{transform} traces arrays and numbers, but {place} is {leaf!r} of type {kind}",
                hint=_instead(leaf, transform),
            )


def normalize_argnums(function: Any, argnums: int | Sequence[int], count: int, what: str) -> tuple[int, ...]:
    """Positions as non-negative integers; raises where the function was not called with so many arguments."""
    single = hasattr(argnums, "__index__")
    try:
        positions = (argnums,) if single else tuple(argnums)
        normal = tuple([p.__index__() + (count if p < 0 else 0) for p in positions])
    except (TypeError, AttributeError):
        raise ArgumentError(
            f"{what} has to be an integer or a tuple of integers, got {argnums!r}",
            hint="count the positional arguments from 0; for an argument by name, differentiate lambda w: f(w=w)",
        ) from None
    if any(not 0 <= p < count for p in normal):
        raise ArgumentError(
            f"{what}={argnums} asks for an argument that {name_of(function)} was not given: it was called with "
            f"{count} positional arguments",
            hint=f"{what} counts positional arguments from 0; pass the argument by position",
        )
    if len(set(normal)) != len(normal):
        raise ArgumentError(f"{what}={argnums} names an argument twice")
    return normal


_UNITS = {"": 1, "b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "kib": 2**10, "mib": 2**20, "gib": 2**30}


def bytes_of(size: Any, transform: str, what: str) -> int:
    """The bytes that `size` says: a number, or words such as "200MB" and "1.5 GiB"."""
    found = re.fullmatch(r"([0-9.]+(?:e[0-9]+)?)\s*([kmg]?i?b|)", str(size).strip().lower())
    if isinstance(size, bool) or found is None or found[2] not in _UNITS or found[1].count(".") > 1:
        raise ArgumentError(
            f"{transform}: the {what} {size!r} is no number of bytes",
            hint='write it as 200_000_000 or "200MB"',
        )
    return int(float(found[1]) * _UNITS[found[2]])

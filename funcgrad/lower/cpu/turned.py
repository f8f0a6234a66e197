"""Operands that are contiguous along another axis than the results, as the CPU reads them: square by square, each
turned in registers. A loop over their elements would gather each by itself.

The walk in tiles that schedule.py makes is printed with squares in it. At the end of an axis, what is no whole square
is walked element by element.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from funcgrad.kernels.cpu.writing import EDGE
from funcgrad.lower import heuristics, loopir
from funcgrad.lower.loopir import (
    TILES,
    Choose,
    Int,
    IntOf,
    IntOp,
    LetInt,
    Load,
    Loop,
    Name,
    Statement,
    Store,
    When,
)
from funcgrad.records import replaced

Print = Callable[[Sequence[Statement], str], Iterator[str]]

_ROW, _COLUMN = Name("row"), Name("column")
"""Where a square begins, along the axis in whose direction operands are contiguous, and along the innermost."""


def text(loop: Loop, indent: str, inputs: Mapping[str, np.dtype], write: Print) -> Iterator[str] | None:
    """The text of a loop, where it walks in tiles and some of the `inputs` are to be turned; `write` prints
    statements."""
    if loop.kind != TILES:
        return None
    outer = loop.body[-1]
    assert isinstance(outer, Loop)
    inner = outer.body[-1]
    assert isinstance(inner, Loop)
    inside = {outer.var, inner.var, *(s.name for s in (*outer.body, *inner.body) if isinstance(s, LetInt))}
    turned: dict[Load, tuple[Int, Int]] = {}
    for load in dict.fromkeys(_loads(inner.body)):
        if inputs.get(load.buffer) == load.dtype and load.dtype.itemsize in (4, 8):
            walk = _walk(load.address, outer.var, inner.var, inside)
            if walk is not None and walk[1] != 1:
                turned[load] = walk
    return _squares(loop, outer, inner, turned, indent, write) if turned else None


def _squares(
    loop: Loop, outer: Loop, inner: Loop, turned: dict[Load, tuple[Int, Int]], indent: str, write: Print
) -> Iterator[str]:
    left, stop, last = loop.var, loopir.print_int(loop.stop), loopir.print_int(inner.stop)
    top, bottom = map(loopir.print_int, (outer.start, outer.stop))
    target = _copied(outer, inner, turned)
    squares = {load: Load(f"square{k}", _place(outer, inner), load.dtype) for k, load in enumerate(turned)}
    if target is None:
        for load, square in squares.items():
            yield f"{indent}{square.buffer} = vec.scratch({load.buffer})"
    yield f"{indent}for {left} in range(0, {stop}, {heuristics.TURNED}):"
    yield f"{indent}    {last} = min({left} + {heuristics.TURNED}, {stop})"
    yield f"{indent}    for row in range({top}, {bottom}, {EDGE}):"
    yield f"{indent}        for column in range({left}, {last}, {EDGE}):"
    indent += " " * 12
    whole = loopir.add(_ROW, EDGE), loopir.add(_COLUMN, EDGE)
    yield f"{indent}if row + {EDGE} <= {bottom} and column + {EDGE} <= {last}:"
    for load, (start, stride) in turned.items():
        to = target or f"{squares[load].buffer}, 0, {EDGE}"
        where = f"{loopir.print_int(start)}, {loopir.print_int(stride)}"
        yield f"{indent}    vec.transpose({load.buffer}, {where}, {to})"
    if target is None:
        yield from write([_part(outer, inner, squares, *whole)], indent + "    ")
    yield f"{indent}else:"
    ends = (IntOp("min", pair) for pair in zip(whole, (outer.stop, inner.stop)))
    yield from write([_part(outer, inner, {}, *ends)], indent + "    ")


def _copied(outer: Loop, inner: Loop, turned: Collection[Load]) -> str | None:
    """Where a square goes, as `vec.transpose` takes it, if nothing is done with its elements but storing them."""
    store = inner.body[0]
    if len(outer.body) + len(inner.body) > 2 or not isinstance(store, Store) or store.expr not in turned:
        return None
    walk = _walk(store.address, inner.var, outer.var, {outer.var, inner.var}, _COLUMN, _ROW)
    return (
        None if walk is None else f"{store.buffer}, {loopir.print_int(walk[0])}, {loopir.print_int(walk[1])}"
    )


def _walk(
    address: Int, along: str, across: str, inside: set[str], near: Name = _ROW, far: Name = _COLUMN
) -> tuple[Int, Int] | None:
    """The address where a square begins, and the stride across, of elements that are contiguous along a loop
    variable; None where they are not, or other names that are only known `inside` matter."""
    terms = address.args if isinstance(address, IntOp) and address.code == "add" else (address,)
    stride: Int = 0
    rest: list[Int] = []
    contiguous = False
    for term in terms:
        if term == Name(along) and not contiguous:
            contiguous = True
        elif term == Name(across) and stride == 0:
            stride = 1
        elif isinstance(term, IntOp) and term.code == "mul" and term.args[0] == Name(across) and stride == 0:
            stride = term.args[1]
            if not isinstance(stride, int | Name) or not inside.isdisjoint(_names(stride)):
                return None
        elif not isinstance(term, int) and (_reads(term) or not inside.isdisjoint(_names(term))):
            return None
        else:
            rest.append(term)
    if not contiguous or stride == 0:
        return None
    return loopir.add(*rest, near, loopir.mul(far, stride)), stride


def _place(outer: Loop, inner: Loop) -> Int:
    """The place of an element in its square."""
    row, column = (
        loopir.add(Name(loop.var), loopir.mul(first, -1)) for loop, first in ((outer, _ROW), (inner, _COLUMN))
    )
    return loopir.add(loopir.mul(row, EDGE), column)


def _part(outer: Loop, inner: Loop, squares: Mapping[Load, Load], bottom: Int, right: Int) -> Loop:
    """The loops over one square, or what there is of it."""
    body = _replaced(inner.body, squares)
    columns = replaced(inner, start=_COLUMN, stop=right, body=body)
    return replaced(outer, start=_ROW, stop=bottom, body=(*outer.body[:-1], columns))


def _loads(body: Any) -> Iterator[Load]:
    """The loads in statements and expressions that are done for every element."""
    for part in loopir.parts(body):
        if isinstance(part, Load):
            yield part
        elif not isinstance(part, Choose | When):
            yield from _loads(part)


def _replaced(part: Any, squares: Mapping[Load, Load]) -> Any:
    if isinstance(part, Load):
        return squares.get(part, part)
    if isinstance(part, Choose | When):
        return part
    return loopir.map_parts(lambda inner: _replaced(inner, squares), part)


def _reads(value: Int) -> bool:
    return any(isinstance(part, IntOf) for part in loopir.within(value))


def _names(value: Int) -> set[str]:
    return {part.name for part in loopir.within(value) if isinstance(part, Name)}

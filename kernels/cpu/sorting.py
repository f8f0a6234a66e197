"""Lines in order of their keys, stable, with NaN last.

For few elements: a library sorts many faster, but takes longer to be called. Runs of `RUN` positions are sorted by
insertion and merged; then each operand is put in that order.
"""

from __future__ import annotations

import math

from .writing import Call, module

RUN = 16
"""Elements that are sorted by insertion."""


def calls(buffers: tuple[str, ...], lines: int, length: int) -> list[Call]:
    """`lines` lines of `length` elements, by the first operand: the operands, as many results, and two buffers of
    positions (i32)."""
    if lines == 0 or length == 0:
        return []
    count = (len(buffers) - 2) // 2
    work = 3.0 * length * math.log2(2 * length) + length * count
    return [Call(_source(buffers, count), lines, work, [length])]


def _source(buffers: tuple[str, ...], count: int) -> str:
    xs, ys = ([f"{letter}{k}" for k in range(count)] for letter in "xy")
    less = "{0} < {1}"
    if buffers[0].startswith("f"):
        less = "({0} < {1} or ({1} != {1} and {0} == {0}))"
    before = less.format("v", "x0[first + order[first + slot - 1]]")
    takes_right = less.format("x0[first + order[first + right]]", "x0[first + spare[first + left]]")
    body = f"""\
    for line in range(lo, hi):
        first = line * length
        for j in range(length):
            order[first + j] = np.int32(j)
        begin = 0
        while begin < length:
            end = min(begin + {RUN}, length)
            for j in range(begin + 1, end):
                place = order[first + j]
                v = x0[first + place]
                slot = j
                while slot > begin and {before}:
                    order[first + slot] = order[first + slot - 1]
                    slot -= 1
                order[first + slot] = place
            begin = end
        width = {RUN}
        while width < length:
            begin = 0
            while begin + width < length:
                middle = begin + width
                end = min(middle + width, length)
                for j in range(begin, middle):
                    spare[first + j] = order[first + j]
                left = begin
                right = middle
                out = begin
                while left < middle:
                    if right < end and {takes_right}:
                        order[first + out] = order[first + right]
                        right += 1
                    else:
                        order[first + out] = spare[first + left]
                        left += 1
                    out += 1
                begin = end
            width *= 2
        for j in range(length):
            place = order[first + j]
"""
    lines = [
        *body.splitlines(),
        *(f"            {y}[first + j] = {x}[first + place]" for x, y in zip(xs, ys)),
    ]
    return module(
        "Lines in order of their keys.", buffers, ", ".join([*xs, *ys, "order, spare, length"]), lines
    )

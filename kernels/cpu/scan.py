"""Cumulative sums, products and extremes along one axis: sources of kernels, and the calls that make one up.

The operand is seen as `outer` lines of `length` elements, each of which is `inner` numbers wide (the axes behind the
one that is accumulated over). Wide lines are done element by element, all numbers of one at once. Narrow ones
(`inner` is 1) would wait for each addition before the next: so four stretches go side by side, and a long line is
cut into pieces, in three calls: the total of each piece, put where its last result belongs; the totals added up; the
pieces themselves, each from the total before it. The totals are of one fixed size, so that the numbers do not
depend on the threads. Products are not cut: a total may overflow where the running product is zero.
"""

from __future__ import annotations

from .writing import Call, module

COMBINED = {
    "add": "{a} + {b}",
    "mul": "{a} * {b}",
    "max": "vm.maximum({a}, {b})",
    "min": "vm.minimum({a}, {b})",
}
"""What is accumulated, by JAX's names of operations."""

PIECE = 4096
"""Elements of a piece of a long line."""
COLUMNS = 1024
"""Numbers of a wide line that one call does."""
SIDE_BY_SIDE = 4
"""Stretches that are done together."""


def calls(
    buffers: tuple[str, ...], kind: str, outer: int, length: int, inner: int, reverse: int
) -> list[Call]:
    """The calls, one after the other, that accumulate an array by `kind`, from the end of its lines where `reverse`."""
    short = buffers[0]
    if not outer * length * inner:
        return []
    if inner > 1:
        blocks = -(-inner // COLUMNS)
        work = 0.3 * length * min(inner, COLUMNS)
        return [Call(_wide(kind, short, reverse), outer * blocks, work, [length, inner, blocks])]
    piece = PIECE if kind != "mul" and length > 2 * PIECE else length
    pieces = -(-length // piece)
    groups = -(-outer * pieces // SIDE_BY_SIDE)
    numbers = [length, piece, pieces, outer * pieces]
    last = Call(_stretches(kind, short, reverse), groups, 0.5 * piece * SIDE_BY_SIDE, numbers)
    if pieces == 1:
        return [last]
    totals = Call(_totals(kind, short, reverse), outer * pieces, 0.2 * piece, numbers)
    return [totals, Call(_along_totals(kind, short, reverse), outer, 2.0 * pieces, numbers), last]


def _source(kind: str, short: str, what: str, integers: str, body: str, reassociate: bool = False) -> str:
    what, arguments = f"Accumulation by {kind}: {what}.", f"x, y, {integers}"
    return module(what, [short] * 2, arguments, body.splitlines(), reassociate=reassociate)


def _combined(kind: str, short: str, a: str, b: str) -> str:
    text = COMBINED[kind].format(a=a, b=b)
    return f"np.int32({text})" if short == "i32" else text


_NUMBERS = "length, piece, pieces, count"


def _first(reverse: bool, number: str, name: str) -> str:
    """Where piece `number` begins: the line's start (its end, in reverse) and the pieces before it."""
    line, within = f"{number} // pieces * length", f"{number} % pieces * piece"
    return f"{name} = {line} + length - 1 - {within}" if reverse else f"{name} = {line} + {within}"


def _totals(kind: str, short: str, reverse: bool) -> str:
    sign = "-" if reverse else "+"
    low = "first - size + 1" if reverse else "first"
    body = f"""\
    for p in range(lo, hi):
        {_first(reverse, "p", "first")}
        size = min(piece, length - p % pieces * piece)
        low = {low}
        total = x[low]
        for k in range(low + 1, low + size):
            total = {_combined(kind, short, "total", "x[k]")}
        y[first {sign} (size - 1)] = total
"""
    return _source(kind, short, "the total of each piece", _NUMBERS, body, kind == "add")


def _along_totals(kind: str, short: str, reverse: bool) -> str:
    sign = "-" if reverse else "+"
    start = "line * length + length - 1" if reverse else "line * length"
    body = f"""\
    for line in range(lo, hi):
        start = {start}
        total = y[start {sign} (piece - 1)]
        for p in range(1, pieces):
            last = start {sign} (min((p + 1) * piece, length) - 1)
            total = {_combined(kind, short, "total", "y[last]")}
            y[last] = total
"""
    return _source(kind, short, "totals of pieces", _NUMBERS, body)


def _stretches(kind: str, short: str, reverse: bool) -> str:
    """Elements 0 to size - 1 of each stretch; the last of a piece stands there already."""
    sign, back = ("-", "+") if reverse else ("+", "-")
    lanes = range(SIDE_BY_SIDE)

    def begin(lane: str, indent: str) -> list[str]:
        total = f"t{lane} = {_combined(kind, short, f'y[f{lane} {back} 1]', f't{lane}')}"
        return [
            f"{indent}t{lane} = x[f{lane}]",
            f"{indent}if p{lane} % pieces > 0:",
            f"{indent}    {total}",
            f"{indent}y[f{lane}] = t{lane}",
        ]

    def step(lane: str, indent: str) -> list[str]:
        return [
            f"{indent}t{lane} = {_combined(kind, short, f't{lane}', f'x[f{lane} {sign} k]')}",
            f"{indent}y[f{lane} {sign} k] = t{lane}",
        ]

    lines = ["    for g in range(lo, hi):"]
    for k in lanes:
        lines.append(f"        p{k} = g * {SIDE_BY_SIDE} + {k}")
        lines.append(f"        s{k} = min(piece, length - p{k} % pieces * piece) - (pieces > 1)")
    same = " and ".join(f"s{k} == s0" for k in lanes[1:])
    lines.append(f"        if p{lanes[-1]} < count and s0 > 0 and {same}:")
    for k in lanes:
        lines.append("            " + _first(reverse, f"p{k}", f"f{k}"))
        lines += begin(str(k), "            ")
    lines.append("            for k in range(1, s0):")
    for k in lanes:
        lines += step(str(k), "                ")
    lines += [
        "        else:",
        f"            for p in range(p0, min(p0 + {SIDE_BY_SIDE}, count)):",
        "                s = min(piece, length - p % pieces * piece) - (pieces > 1)",
        "                if s > 0:",
        "                    " + _first(reverse, "p", "f"),
        *begin("", " " * 20),
        "                    for k in range(1, s):",
        *step("", " " * 24),
    ]
    return _source(kind, short, "stretches side by side", _NUMBERS, "\n".join(lines) + "\n")


def _wide(kind: str, short: str, reverse: bool) -> str:
    sign, back = ("-", "+") if reverse else ("+", "-")
    start = "(line + 1) * length * inner - inner" if reverse else "line * length * inner"
    body = f"""\
    for i in range(lo, hi):
        line = i // blocks
        first = i % blocks * {COLUMNS}
        stop = min(first + {COLUMNS}, inner)
        start = {start}
        for c in range(start + first, start + stop):
            y[c] = x[c]
        for k in range(1, length):
            row = start {sign} k * inner
            for c in range(row + first, row + stop):
                y[c] = {_combined(kind, short, f"y[c {back} inner]", "x[c]")}
"""
    return _source(kind, short, "all numbers of an element at once", "length, inner, blocks", body)

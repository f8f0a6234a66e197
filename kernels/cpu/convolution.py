"""Convolutions of flat planes, as vector kernels: `conv_flat` of funcgrad/prims/conv_flat.py.

    out[i, g, j, u] = sum over c and v of  kernel[g, j, c, v] * x[i, g, c, place(u, v)]

Where vectors go along the output, u counts neighbours and v is one of few taps: place(u, v) = u + offsets[v]. A few
outputs j are done together, so that each element of x that is read serves all of them, and a few taps, so that each
output is read and written once for all of these. Where they go along the kernel, v counts neighbours and u is one of
the taps: then a few sums for outputs and taps are held in registers.
"""

from __future__ import annotations

import itertools

Call = tuple[str, int, float, list[int]]

PART = 1024
"""Neighbouring outputs that one step of the first kind makes: a few times that stays in the first-level cache."""

OUTPUTS, TAPS = 4, 5
"""Outputs and taps together, along the output."""

MOST_TAPS = 30
"""Taps in the text of one kernel, along the output."""

SUMS = 20
"""Sums in registers, along the kernel."""

GIGAFLOPS = 80


def calls(
    buffers: tuple[str, ...],
    along: str,
    images: int,
    groups: int,
    channels: int,
    outputs: int,
    plane: int,
    count: int,
    long: int,
    *offsets: int,
) -> list[Call]:
    """The calls for operand (images, groups * channels, plane) and kernel (groups * outputs, channels, taps or
    `long`), of whose `long` neighbours `count` are used."""
    taps = len(offsets)
    flops = 2 * images * groups * outputs * channels * count * taps
    found = []
    if along == "output":
        together = _divisor(outputs, OUTPUTS)
        parts = -(-count // PART)
        items = images * groups * (outputs // together) * parts
        for first, chunk in _chunks(taps, MOST_TAPS):
            numbers = [count, plane, channels, outputs // together, groups, outputs, long, parts, taps, first]
            numbers += offsets[first : first + chunk]
            text = _along_output(buffers[0], chunk, together, fresh=first == 0)
            found.append((text, items, flops / items * chunk / taps / GIGAFLOPS, numbers))
        return found
    for first, chunk in _chunks(taps, SUMS // 2):
        together = _divisor(outputs, max(SUMS // chunk, 1))
        items = images * groups * (outputs // together)
        numbers = [count, plane, channels, outputs // together, groups, outputs, long, taps, first]
        numbers += offsets[first : first + chunk]
        share = flops / items * chunk / taps
        found.append((_along_kernel(buffers[0], chunk, together), items, share / GIGAFLOPS, numbers))
    return found


def _divisor(n: int, most: int) -> int:
    return next(k for k in range(min(n, most), 0, -1) if n % k == 0)


def _chunks(n: int, most: int) -> list[tuple[int, int]]:
    """`n` in as few nearly equal stretches as have at most `most` each: (first, length)."""
    count = -(-n // most)
    ends = [n * k // count for k in range(count + 1)]
    return [(a, b - a) for a, b in itertools.pairwise(ends)]


def _head(short: str, what: str, arguments: str, taps: int) -> list[str]:
    names = ", ".join([arguments, *(f"o{t}" for t in range(taps))])
    return [
        f'"""Convolution: {what}."""',
        "",
        "import numpy as np",
        "",
        "from funcgrad.kernels.cpu import abi",
        "",
        "",
        f'@abi.kernel(buffers=("{short}", "{short}", "{short}"), integers={names.count(",") + 1}, reassociate=True)',
        f"def kernel(lo, hi, x, w, y, {names}):",
    ]


def _along_output(short: str, chunk: int, together: int, fresh: bool) -> str:
    block = range(together)
    lines = _head(
        short,
        f"{chunk} taps of {together} outputs, along the output",
        "count, plane, channels, blocks, groups, outputs, long, parts, taps, first",
        chunk,
    )
    lines += [
        "    for item in range(lo, hi):",
        "        block = item // parts % blocks",
        "        image = item // parts // blocks",
        f"        start = item % parts * {PART}",
        f"        size = min({PART}, count - start)",
        "        row = channels * taps",
        f"        weights = (image % groups * outputs + block * {together}) * row + first",
        *(f"        y{j} = (image * outputs + block * {together} + {j}) * long + start" for j in block),
        "        for c in range(channels):",
        "            here = (image * channels + c) * plane + start",
        "            there = weights + c * taps",
    ]
    for number, (begin, length) in enumerate(_chunks(chunk, TAPS)):
        some = range(begin, begin + length)
        lines += [f"            w{j}_{t} = w[there + {j} * row + {t}]" for j in block for t in some]

        def loop(indent: str, first: bool, some: range = some) -> list[str]:
            found = [f"{indent}for p in range(size):"]
            found += [f"{indent}    x{t} = x[here + o{t} + p]" for t in some]
            for j in block:
                total = " + ".join(f"w{j}_{t} * x{t}" for t in some)
                found.append(f"{indent}    y[y{j} + p] = {total if first else f'y[y{j} + p] + ({total})'}")
            return found

        if number or not fresh:
            lines += loop(" " * 12, False)
        else:
            lines += [
                "            if c == 0:",
                *loop(" " * 16, True),
                "            else:",
                *loop(" " * 16, False),
            ]
    return "\n".join(lines) + "\n"


def _along_kernel(short: str, taps: int, together: int) -> str:
    block, chunk = range(together), range(taps)
    zero = "np.float32(0.0)" if short == "f32" else "0.0"
    sums = [(j, t) for j in block for t in chunk]
    lines = _head(
        short,
        f"{taps} taps of {together} outputs, along the kernel",
        "count, plane, channels, blocks, groups, outputs, long, taps, first",
        taps,
    )
    lines += [
        "    for item in range(lo, hi):",
        "        block = item % blocks",
        "        image = item // blocks",
        f"        output = image % groups * outputs + block * {together}",
        f"        result = (image * outputs + block * {together}) * taps + first",
        *(f"        y[result + {j} * taps + {t}] = {zero}" for j, t in sums),
        "        for c in range(channels):",
        "            here = (image * channels + c) * plane",
        *(f"            w{j} = ((output + {j}) * channels + c) * long" for j in block),
        *(f"            s{j}_{t} = y[result + {j} * taps + {t}]" for j, t in sums),
        "            for p in range(count):",
        *(f"                x{t} = x[here + o{t} + p]" for t in chunk),
    ]
    for j in block:
        lines.append(f"                v{j} = w[w{j} + p]")
        lines += [f"                s{j}_{t} = s{j}_{t} + v{j} * x{t}" for t in chunk]
    lines += [f"            y[result + {j} * taps + {t}] = s{j}_{t}" for j, t in sums]
    return "\n".join(lines) + "\n"

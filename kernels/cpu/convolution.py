"""Convolutions of flat planes, as vector kernels: `conv_flat` of funcgrad/prims/conv_flat.py.

    out[i, g, j, u] = sum over c and v of  kernel[g, j, c, v] * x[i, g, c, place(u, v)]

Where vectors go along the output, u counts neighbours and v is one of few taps: place(u, v) = u + offsets[v]. The sums
of a block, a few outputs j and a few vectors of neighbours, stay in registers over all channels and taps; all outputs
are done for some neighbours, whose surroundings in the operand stay in cache meanwhile, before the next ones. Where
vectors go along the kernel, v counts neighbours and u is one of the taps: then a few sums for outputs and taps are
held in registers.
"""

from __future__ import annotations

import itertools

from . import blocks
from .writing import Call, module

TILES, BLOCKS = 8, 8
"""Blocks, along the neighbours and along the outputs, that one step does at least; two or more, so that no other step
writes what the last block does again."""

MOST_TAPS = 30
"""Taps in the text of one kernel, along the output."""

SUMS = 20
"""Sums in registers, along the kernel."""

GIGAFLOPS, BLOCK_GIGAFLOPS = 80, 150


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
        chunks = _chunks(taps, MOST_TAPS)
        once = len(chunks) == 1  # else blocks are added to what is there, and so may not do anything again
        rows, vectors = blocks.shape(buffers[0], outputs, count, not once, not once)
        across, down = -(-count // (vectors * blocks.lanes(buffers[0]))), -(-outputs // rows)
        parts, shares = max(across // TILES, 1), max(down // BLOCKS, 1)
        items = images * groups * shares * parts
        for first, chunk in chunks:
            numbers = [
                count,
                plane,
                channels,
                groups,
                outputs,
                long,
                taps,
                first,
                across,
                down,
                parts,
                shares,
            ]
            numbers += offsets[first : first + chunk]
            text = _along_output(buffers[0], chunk, rows, vectors, fresh=first == 0)
            found.append(Call(text, items, flops / items * chunk / taps / BLOCK_GIGAFLOPS, numbers))
        return found
    for first, chunk in _chunks(taps, SUMS // 2):
        together = _divisor(outputs, max(SUMS // chunk, 1))
        items = images * groups * (outputs // together)
        numbers = [count, plane, channels, outputs // together, groups, outputs, long, taps, first]
        numbers += offsets[first : first + chunk]
        share = flops / items * chunk / taps
        text = _along_kernel(buffers[0], chunk, together)
        found.append(Call(text, items, share / GIGAFLOPS, numbers))
    return found


def _divisor(n: int, most: int) -> int:
    return next(k for k in range(min(n, most), 0, -1) if n % k == 0)


def _chunks(n: int, most: int) -> list[tuple[int, int]]:
    """`n` in as few nearly equal stretches as have at most `most` each: (first, length)."""
    count = -(-n // most)
    ends = [n * k // count for k in range(count + 1)]
    return [(a, b - a) for a, b in itertools.pairwise(ends)]


def _module(short: str, what: str, numbers: str, taps: int, body: list[str]) -> str:
    arguments = ", ".join(["x, w, y", numbers, *(f"o{t}" for t in range(taps))])
    return module(f"Convolution: {what}.", [short] * 3, arguments, body, reassociate=True)


def _along_output(short: str, chunk: int, rows: int, vectors: int, fresh: bool) -> str:
    lanes = blocks.lanes(short)
    block = [(j, v) for j in range(rows) for v in range(vectors)]
    lines = [
        "    row = channels * taps",
        "    for item in range(lo, hi):",
        "        part = item % parts",
        "        share = item // parts % shares",
        "        image = item // parts // shares",
        "        weights = image % groups * outputs * row + first",
        f"        for tile in range({blocks.bounds('part', 'across', 'parts')}):",
        f"            start = min(tile * {vectors * lanes}, count - {vectors * lanes})",
        f"            for block in range({blocks.bounds('share', 'down', 'shares')}):",
        f"                output = min(block * {rows}, outputs - {rows})",
        "                at = (image * outputs + output) * long + start",
    ]
    indent = " " * 16
    if fresh:
        lines += blocks.zeros(indent, short, rows, vectors)
    else:
        lines += [f"{indent}s{j}_{v} = vec.load{lanes}(y, at + {j} * long + {v * lanes})" for j, v in block]
    lines += [
        f"{indent}for c in range(channels):",
        f"{indent}    here = (image * channels + c) * plane + start",
        f"{indent}    there = weights + output * row + c * taps",
    ]
    for t in range(chunk):
        lines += [
            f"{indent}    x{t}_{v} = vec.load{lanes}(x, here + o{t} + {v * lanes})" for v in range(vectors)
        ]
        for j in range(rows):
            lines.append(f"{indent}    w{t}_{j} = vec.spread{lanes}(w[there + {j} * row + {t}])")
            lines += [f"{indent}    s{j}_{v} = vec.fma(w{t}_{j}, x{t}_{v}, s{j}_{v})" for v in range(vectors)]
    lines += [f"{indent}vec.store(y, at + {j} * long + {v * lanes}, s{j}_{v})" for j, v in block]
    what = f"{chunk} taps of {rows} outputs and {vectors} vectors of {lanes} neighbours"
    numbers = "count, plane, channels, groups, outputs, long, taps, first, across, down, parts, shares"
    return _module(short, what, numbers, chunk, lines)


def _along_kernel(short: str, taps: int, together: int) -> str:
    block, chunk = range(together), range(taps)
    zero = "np.float32(0.0)" if short == "f32" else "0.0"
    sums = [(j, t) for j in block for t in chunk]
    lines = [
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
    what = f"{taps} taps of {together} outputs, along the kernel"
    numbers = "count, plane, channels, blocks, groups, outputs, long, taps, first"
    return _module(short, what, numbers, taps, lines)

"""Convolutions whose channels lie side by side, as vector kernels: funcgrad/prims/conv_channels_last.py.

Vectors go along the outputs. The sums of a block, a few neighbouring places and a few vectors of outputs, stay in
registers over all taps and channels: each vector of the kernel that is read serves all places, each number of the
operand all vectors. What the kernel needs for one panel of outputs is read again for each block, and stays in cache
meanwhile, since all places of a panel are done before those of the next.
"""

from __future__ import annotations

import math

from . import blocks

Call = tuple[str, int, float, list[int]]

SPAN = 16
"""Blocks of places in a row that one step does at least; two or more, so that no other step writes the places that the
last block does again."""

GIGAFLOPS = 160


def calls(
    buffers: tuple[str, ...], images: int, groups: int, channels: int, outputs: int, *sizes: int
) -> list[Call]:
    """The call for operand (images, spatial..., groups * channels) and kernel (window..., channels, groups * outputs).
    `sizes` are the spatial lengths, the window, the strides and the dilation of each axis."""
    rank = len(sizes) // 4
    spatial, window, strides, dilation = (list(sizes[k * rank : (k + 1) * rank]) for k in range(4))
    found = [(n - (k - 1) * d - 1) // s + 1 for n, k, s, d in zip(spatial, window, strides, dilation)]
    while rank > 1 and window[-2:] == [1, 1] and strides[-2:] == [1, 1]:  # a row of rows
        rank -= 1
        for lengths in (spatial, found):
            lengths[-2:] = [math.prod(lengths[-2:])]
        for each in (window, strides, dilation):
            del each[-1]
    every = groups * channels
    steps = [every * math.prod(spatial[d + 1 :]) for d in range(rank)]
    taps = [(k, d * step) for k, d, step in zip(window, dilation, steps)]
    inner = channels
    if groups == 1 and dilation[-1] == 1:  # the taps along a row lie side by side, like the channels
        inner *= taps.pop()[0]
    taps = [t for t in taps if t[0] > 1]
    short, width = buffers[0], found[-1]
    places, vectors = blocks.shape(short, width, outputs, whole_rows=False, whole_vectors=True)
    panel = vectors * blocks.lanes(short)
    tiles = -(-width // places)
    parts = max(tiles // SPAN, 1)
    rows = images * math.prod(found[:-1])
    items = groups * outputs // panel * rows * parts
    flops = 2.0 * rows * width * groups * outputs * channels * math.prod(window)
    outer = [(n, s * step) for n, s, step in zip(found[:-1], strides, steps)]
    numbers = [images, every * math.prod(spatial), channels, outputs, groups * outputs, width, tiles, parts]
    numbers += [rows, inner, strides[-1] * every]
    numbers += [number for pair in (*outer, *taps) for number in pair]
    text = _text(short, places, vectors, len(outer), len(taps), groups > 1)
    return [(text, items, flops / items / GIGAFLOPS, numbers)]


def _text(short: str, places: int, vectors: int, outer: int, taps: int, grouped: bool) -> str:
    lanes = blocks.lanes(short)
    panel = vectors * lanes
    names = "images, image_step, channels, outputs, every, width, tiles, parts, rows, inner, step"
    names += "".join(f", n{d}, n{d}_step" for d in range(outer)) + "".join(
        f", t{d}, t{d}_step" for d in range(taps)
    )
    lines = [
        f'"""Convolution, channels last: {places} places of {vectors} vectors of {lanes} outputs."""',
        "",
        "import numpy as np",
        "",
        "from funcgrad.kernels.cpu import abi",
        "from funcgrad.kernels.cpu import vectors as vec",
        "",
        "",
        f'@abi.kernel(buffers=("{short}", "{short}", "{short}"), integers={names.count(",") + 1})',
        f"def kernel(lo, hi, x, w, y, {names}):",
        "    for item in range(lo, hi):",
        "        part = item % parts",
        "        row = item // parts % rows",
        f"        first = item // parts // rows * {panel}",
    ]
    rest, start = "row", "first // outputs * channels" if grouped else "0"
    for d in reversed(range(outer)):
        lines.append(f"        r{d} = {rest} // n{d}")
        start = f"{start} + {rest} % n{d} * n{d}_step"
        rest = f"r{d}"
    lines += [
        f"        start = {start} + {rest} * image_step",
        f"        for tile in range({blocks.bounds('part', 'tiles', 'parts')}):",
        f"            place = min(tile * {places}, width - {places})",
        "            at = (row * width + place) * every + first",
        "            weights = first",
        *blocks.zeros(" " * 12, short, places, vectors),
    ]
    indent, here = " " * 12, "start + place * step"
    for d in range(taps):
        lines.append(f"{indent}for k{d} in range(t{d}):")
        indent += "    "
        here += f" + k{d} * t{d}_step"
    lines += [
        f"{indent}here = {here}",
        f"{indent}for c in range(inner):",
        *[f"{indent}    w{v} = vec.load{lanes}(w, weights + {v * lanes})" for v in range(vectors)],
    ]
    for p in range(places):
        lines.append(f"{indent}    x{p} = vec.spread{lanes}(x[here + c + {p} * step])")
        lines += [f"{indent}    s{p}_{v} = vec.fma(x{p}, w{v}, s{p}_{v})" for v in range(vectors)]
    lines.append(f"{indent}    weights = weights + every")
    lines += [
        f"            vec.store(y, at + {p} * every + {v * lanes}, s{p}_{v})"
        for p in range(places)
        for v in range(vectors)
    ]
    return "\n".join(lines) + "\n"

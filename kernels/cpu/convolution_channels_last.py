"""Convolutions whose channels lie side by side, as vector kernels: funcgrad/prims/conv_channels_last.py.

Vectors go along the outputs. Along the output, the sums of a block, a few neighbouring places and a few vectors of
outputs, stay in registers over all taps and channels: each vector of the kernel that is read serves all places, each
number of the operand all vectors. What the kernel needs for one panel of outputs is read again for each block, and
stays in cache meanwhile, since all places of a panel are done before those of the next.

Along the kernel a block is a few channels (or taps along a row, which lie behind each other like these) and a few
vectors of outputs, whose sums stay in registers over the places of some rows; what is read there stays in cache for
the taps of other rows.
"""

from __future__ import annotations

import math

from . import blocks
from .writing import Call, module

SPAN = 16
"""Blocks of places in a row that one step does at least; two or more, so that no other step writes the places that the
last block does again."""

PLACES = 512
"""Places that one block along the kernel sums over before the next tap does."""

GIGAFLOPS = 160


def calls(
    buffers: tuple[str, ...], along: str, images: int, groups: int, channels: int, outputs: int, *sizes: int
) -> list[Call]:
    """The call for an operand (images, spatial..., groups * channels) and a kernel (window..., channels,
    groups * outputs), or (images, window..., groups * outputs) along it. `sizes` are the spatial lengths, the window,
    the strides and the dilation of each axis."""
    rank = len(sizes) // 4
    spatial, window, strides, dilation = (list(sizes[k * rank : (k + 1) * rank]) for k in range(4))
    found = [(n - (k - 1) * d - 1) // s + 1 for n, k, s, d in zip(spatial, window, strides, dilation)]
    if along == "kernel":  # places and taps change their parts
        found, window, strides, dilation = window, found, dilation, strides
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
    outer = [(n, s * step) for n, s, step in zip(found[:-1], strides, steps)]
    if along == "kernel":
        numbers = [images, every * math.prod(spatial), channels, outputs, groups * outputs, width, inner]
        numbers += [math.prod(found[:-1]), strides[-1] * every]
        return [_call_along_kernel(short, numbers, outer, taps, groups)]
    places, vectors = blocks.shape(short, width, outputs, whole_rows=False, whole_vectors=True)
    panel = vectors * blocks.lanes(short)
    tiles = -(-width // places)
    parts = max(tiles // SPAN, 1)
    rows = images * math.prod(found[:-1])
    items = groups * outputs // panel * rows * parts
    flops = 2.0 * rows * width * groups * outputs * channels * math.prod(window)
    numbers = [images, every * math.prod(spatial), channels, outputs, groups * outputs, width, tiles, parts]
    numbers += [rows, inner, strides[-1] * every]
    numbers += [number for pair in (*outer, *taps) for number in pair]
    text = _along_output(short, places, vectors, len(outer), len(taps), groups > 1)
    return [Call(text, items, flops / items / GIGAFLOPS, numbers)]


def _module(short: str, what: str, numbers: str, outer: int, taps: int, body: list[str]) -> str:
    axes = [f"n{d}, n{d}_step" for d in range(outer)] + [f"t{d}, t{d}_step" for d in range(taps)]
    arguments = ", ".join(["x, w, y", numbers, *axes])
    return module(f"Convolution, channels last: {what}.", [short] * 3, arguments, body)


def _along_output(short: str, places: int, vectors: int, outer: int, taps: int, grouped: bool) -> str:
    lanes = blocks.lanes(short)
    panel = vectors * lanes
    lines = [
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
    what = f"{places} places of {vectors} vectors of {lanes} outputs"
    numbers = "images, image_step, channels, outputs, every, width, tiles, parts, rows, inner, step"
    return _module(short, what, numbers, outer, taps, lines)


def _call_along_kernel(
    short: str, numbers: list[int], outer: list[tuple[int, int]], taps: list[tuple[int, int]], groups: int
) -> Call:
    images, _, _, outputs, every, width, inner, rows, _ = numbers
    count, vectors = blocks.shape(short, inner, outputs, whole_rows=True, whole_vectors=True)
    across = inner // count
    items = across * (every // (vectors * blocks.lanes(short)))
    span = max(PLACES // width, 1)
    given = [*numbers, across, span, -(-rows // span)]
    given += [number for pair in (*outer, *taps) for number in pair]
    flops = 2.0 * images * rows * width * inner * math.prod(t for t, _ in taps) * every
    text = _along_kernel(short, count, vectors, len(outer), len(taps), groups > 1)
    return Call(text, items, flops / items / GIGAFLOPS, given)


def _along_kernel(short: str, count: int, vectors: int, outer: int, taps: int, grouped: bool) -> str:
    lanes = blocks.lanes(short)
    block = [(k, v) for k in range(count) for v in range(vectors)]
    lines = [
        "    for item in range(lo, hi):",
        f"        first = item // across * {vectors * lanes}",
        f"        channel = item % across * {count}",
        f"        start = channel + {'first // outputs * channels' if grouped else '0'}",
        "        for image in range(images):",
        "            for part in range(parts):",
    ]
    indent, tap, here = " " * 16, "0", "start + image * image_step"
    for d in range(taps):
        lines.append(f"{indent}for k{d} in range(t{d}):")
        indent += "    "
        tap = f"({tap}) * t{d} + k{d}" if d else f"k{d}"
        here += f" + k{d} * t{d}_step"
    lines += [
        f"{indent}at = (({tap}) * inner + channel) * every + first",
        f"{indent}if image + part == 0:",
        *blocks.zeros(indent + "    ", short, count, vectors),
        f"{indent}else:",
        *[f"{indent}    s{k}_{v} = vec.load{lanes}(y, at + {k} * every + {v * lanes})" for k, v in block],
        f"{indent}for row in range(part * span, min(part * span + span, rows)):",
    ]
    rest = "row"
    for d in reversed(range(outer)):
        lines.append(f"{indent}    r{d} = {rest} // n{d}")
        here += f" + {rest} % n{d} * n{d}_step"
        rest = f"r{d}"
    lines += [
        f"{indent}    here = {here}",
        f"{indent}    there = (image * rows + row) * width * every + first",
        f"{indent}    for place in range(width):",
        *[f"{indent}        w{v} = vec.load{lanes}(w, there + {v * lanes})" for v in range(vectors)],
    ]
    for k in range(count):
        lines.append(f"{indent}        x{k} = vec.spread{lanes}(x[here + {k}])")
        lines += [f"{indent}        s{k}_{v} = vec.fma(x{k}, w{v}, s{k}_{v})" for v in range(vectors)]
    lines += [
        f"{indent}        here = here + step",
        f"{indent}        there = there + every",
        *[f"{indent}vec.store(y, at + {k} * every + {v * lanes}, s{k}_{v})" for k, v in block],
    ]
    what = f"along the kernel, {count} channels, {vectors} vectors of {lanes} outputs"
    numbers = "images, image_step, channels, outputs, every, width, inner, rows, step, across, span, parts"
    return _module(short, what, numbers, outer, taps, lines)

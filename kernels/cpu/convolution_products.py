"""Convolutions of flat planes with many channels: `conv_flat` as matrix products by BLAS, one for each tap.

Nothing is packed here: the operand of each product is the plane from the tap's offset on. Along the output the
products of all taps are added up for a part of the outputs, which stays in cache meanwhile; along the kernel, those
of all channels for a part of the images. The kernel's, or the result's, taps come first, so that what belongs to one
tap is a matrix.
"""

from __future__ import annotations

from .writing import Call, module

PART = 1024
"""Neighbouring outputs that are done together."""

ROWS = 64
"""Images that are done together, at least, along the kernel."""

PIECES = 8
"""Pieces to come apart in, for threads."""

_ITEMSIZE = {"f32": 4, "f64": 8, "c64": 8, "c128": 16}

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
    """The call for an operand (images, groups * channels, plane) and a kernel (taps, groups * outputs, channels), or
    (groups * outputs, channels, long) for a result (taps, groups * outputs, images)."""
    short, taps = buffers[0], len(offsets)
    flops = 2 * images * groups * outputs * channels * count * taps
    if along == "output":
        pieces = -(-PIECES // (images * groups))
        part = max(min(PART, -(-count // pieces)), min(count, 128))
        parts = -(-count // part)
        items, text = images * groups * parts, _along_output(short, taps)
    else:
        pieces = -(-PIECES // (taps * groups))
        part = max(-(-images // pieces), min(images, ROWS))
        parts = -(-images // part)
        items, text = taps * groups * parts, _along_kernel(short, taps)
    numbers = [images, groups, channels, outputs, plane, count, long, part, parts]
    return [Call(text, items, flops / items / GIGAFLOPS, [*numbers, *offsets])]


def _module(short: str, taps: int, body: list[str]) -> str:
    arguments = "x, w, y, function, images, groups, channels, outputs, plane, count, long, part, parts"
    lines = [
        "    ax, aw, ay = native.address(x), native.address(w), native.address(y)",
        "    for item in range(lo, hi):",
        "        first = item % parts * part",
        "        rest = item // parts",
        *body,
    ]
    arguments = ", ".join([arguments, *(f"o{t}" for t in range(taps))])
    gemm = f'gemm = native.gemm_caller("{short}", True)'
    return module("Convolution by matrix products.", [short] * 3, arguments, lines, before=gemm)


def _offset(indent: str, taps: int) -> list[str]:
    found = [f"{indent}offset = o0"]
    for tap in range(1, taps):
        found += [f"{indent}if tap == {tap}:", f"{indent}    offset = o{tap}"]
    return found


def _along_output(short: str, taps: int) -> str:
    size = _ITEMSIZE[short]
    lines = [
        "        size = min(part, count - first)",
        f"        px = ax + {size} * (rest * channels * plane + first)",
        f"        py = ay + {size} * (rest * outputs * long + first)",
        f"        for tap in range({taps}):",
        *_offset(" " * 12, taps),
        f"            pw = aw + {size} * (tap * groups + rest % groups) * outputs * channels",
        f"            gemm(function, {ord('N')}, {ord('N')}, size, outputs, channels, px + {size} * offset, plane,",
        "                 pw, channels, py, long, min(tap, 1))",
    ]
    return _module(short, taps, lines)


def _along_kernel(short: str, taps: int) -> str:
    size = _ITEMSIZE[short]
    lines = [
        "        size = min(part, images - first)",
        "        group = rest % groups",
        "        tap = rest // groups",
        *_offset(" " * 8, taps),
        f"        px = ax + {size} * ((first * groups + group) * channels * plane + offset)",
        f"        pw = aw + {size} * group * outputs * channels * long",
        f"        py = ay + {size} * ((tap * groups + group) * outputs * images + first)",
        "        for c in range(channels):",
        f"            gemm(function, {ord('T')}, {ord('N')}, size, outputs, count,",
        f"                 px + {size} * c * plane, groups * channels * plane, pw + {size} * c * long,",
        "                 channels * long, py, images, min(c, 1))",
    ]
    return _module(short, taps, lines)

"""The largest elements of each line, in order, and where they stand.

The best so far are kept sorted in the result. Blocks of a line of which no element is above the least of them are
passed over by vector comparisons, which of lines in random order are nearly all. NaN is above every number; of equal
elements those that come first are above the others.
"""

from __future__ import annotations

from .writing import Call, module

BLOCK = 64
"""Elements that are compared together."""


def calls(buffers: tuple[str, ...], lines: int, length: int, k: int) -> list[Call]:
    """The largest `k` of each of `lines` lines: operand, values, positions (i32)."""
    if lines == 0 or k == 0:
        return []
    return [Call(_source(buffers), lines, 0.1 * length + 2.0 * k * k, [length, k])]


def _source(buffers: tuple[str, ...]) -> str:
    above = "v > {0} or (v != v and {0} == {0})" if buffers[0].startswith("f") else "v > {0}"
    body = f"""\
    for line in range(lo, hi):
        first = line * length
        best = line * k
        least = x[first]
        begin = 0
        while begin < length:
            end = min(begin + {BLOCK}, length)
            hit = begin < k or end - begin < {BLOCK}
            if not hit:
                for j in range({BLOCK}):
                    hit = hit | (not x[first + begin + j] <= least)
            if hit:
                for j in range(begin, end):
                    v = x[first + j]
                    if j < k or {above.format("least")}:
                        slot = best + min(j, k - 1)
                        while slot > best and ({above.format("y[slot - 1]")}):
                            y[slot] = y[slot - 1]
                            where[slot] = where[slot - 1]
                            slot -= 1
                        y[slot] = v
                        where[slot] = np.int32(j)
                        if j >= k - 1:
                            least = y[best + k - 1]
            begin = end
"""
    return module("The largest elements of each line.", buffers, "x, y, where, length, k", body.splitlines())

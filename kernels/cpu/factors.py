"""Factors of small matrices and solutions with them: Cholesky, LU with row exchanges, triangular and general systems.

All loops run along rows, which are what is contiguous. Threads share matrices; of triangular systems with one right
side in a row, rows. LAPACK does large matrices faster, but to call it takes longer than a small one. What has no answer
gives NaN, as where LAPACK refuses a matrix.
"""

from __future__ import annotations

from .writing import Call, module

_NUMBERS = {"f32": "np.float32", "f64": "np.float64"}


def cholesky(buffers: tuple[str, ...], matrices: int, n: int) -> list[Call]:
    """The lower factor, zero above the diagonal, of symmetric matrices, of which the lower triangle is read."""
    number = _NUMBERS[buffers[0]]
    body = f"""\
    for matrix in range(lo, hi):
        start = matrix * n * n
        fails = False
        for i in range(n):
            row = start + i * n
            for j in range(i):
                other = start + j * n
                total = x[row + j]
                for k in range(j):
                    total -= y[row + k] * y[other + k]
                y[row + j] = total / y[other + j]
            total = x[row + i]
            for k in range(i):
                total -= y[row + k] * y[row + k]
            fails = fails or not total > 0
            y[row + i] = vm.sqrt(total)
            for j in range(i + 1, n):
                y[row + j] = {number}(0.0)
        if fails:
            for i in range(n):
                for j in range(i + 1):
                    y[start + i * n + j] = {number}(np.nan)
"""
    return _calls(buffers, "Cholesky factors", "x, y, n", body, matrices, n**3 / 6 + n * n, [n])


def lu(buffers: tuple[str, ...], matrices: int, rows: int, columns: int) -> list[Call]:
    """Both factors in one matrix, the row exchanged with each (i32), and where each row comes from (i32)."""
    body = f"""\
    for matrix in range(lo, hi):
        start = matrix * m * n
        size = min(m, n)
        first = matrix * size
        for i in range(m * n):
            y[start + i] = x[start + i]
        for i in range(m):
            order[matrix * m + i] = np.int32(i)
        for k in range(size):
            row = start + k * n
{_pivot("y", "m", "n")}
            pivots[first + k] = np.int32(best)
            if best != k:
                at = order[matrix * m + k]
                order[matrix * m + k] = order[matrix * m + best]
                order[matrix * m + best] = at
                for j in range(n):
                    at_k = y[row + j]
                    y[row + j] = y[start + best * n + j]
                    y[start + best * n + j] = at_k
            if y[row + k] != 0:
                for i in range(k + 1, m):
                    other = start + i * n
                    factor = y[other + k] / y[row + k]
                    y[other + k] = factor
                    for j in range(k + 1, n):
                        y[other + j] -= factor * y[row + j]
"""
    small = min(rows, columns)
    steps = rows * columns * small - (rows + columns) * small * small / 2 + small**3 / 3 + rows * columns
    return _calls(buffers, "LU factors", "x, y, pivots, order, m, n", body, matrices, steps, [rows, columns])


def solve(buffers: tuple[str, ...], matrices: int, n: int, columns: int) -> list[Call]:
    """The solutions of `a @ y = b`; `factors` is a buffer to work in, of the size of a."""
    body = f"""\
    for matrix in range(lo, hi):
        start = matrix * n * n
        first = matrix * n * m
        fails = False
        for i in range(n * n):
            factors[start + i] = a[start + i]
        for i in range(n * m):
            y[first + i] = b[first + i]
        for k in range(n):
            row = start + k * n
            right = first + k * m
{_pivot("factors", "n", "n")}
            if best != k:
                for j in range(k, n):
                    at_k = factors[row + j]
                    factors[row + j] = factors[start + best * n + j]
                    factors[start + best * n + j] = at_k
                for j in range(m):
                    at_k = y[right + j]
                    y[right + j] = y[first + best * m + j]
                    y[first + best * m + j] = at_k
            fails = fails or factors[row + k] == 0
            for i in range(k + 1, n):
                other = start + i * n
                factor = factors[other + k] / factors[row + k]
                for j in range(k + 1, n):
                    factors[other + j] -= factor * factors[row + j]
                for j in range(m):
                    y[first + i * m + j] -= factor * y[right + j]
        for back in range(n):
            i = n - 1 - back
            row = start + i * n
            right = first + i * m
            if m == 1:
                total = y[right]
                for k in range(i + 1, n):
                    total -= factors[row + k] * y[first + k]
                y[right] = total / factors[row + i]
            else:
                for k in range(i + 1, n):
                    for j in range(m):
                        y[right + j] -= factors[row + k] * y[first + k * m + j]
                for j in range(m):
                    y[right + j] /= factors[row + i]
        if fails:
            for i in range(n * m):
                y[first + i] = {_NUMBERS[buffers[0]]}(np.nan)
"""
    steps = n**3 / 3 + n * n * (columns + 1)
    return _calls(buffers, "solutions", "a, b, y, factors, n, m", body, matrices, steps, [n, columns])


def triangular(
    buffers: tuple[str, ...],
    matrices: int,
    rows: int,
    columns: int,
    left_side: int,
    lower: int,
    transpose: int,
    unit: int,
) -> list[Call]:
    """The solutions y of `op(a) @ y = b`, or of `y @ op(a) = b`, where op may transpose; y has `rows` and `columns`."""
    n = rows if left_side else columns
    if not left_side or columns == 1:
        # each row of y alone: y @ c = b is c.T @ y.T = b.T
        each = 1 if left_side else rows
        body = _vectors(lower, bool(transpose) == bool(left_side), bool(unit))
        numbers = "a, b, y, n, each"
        return _calls(buffers, "triangular systems", numbers, body, matrices * each, n * n / 2 + n, [n, each])
    body = _columns(lower, transpose, unit)
    numbers = "a, b, y, n, m"
    steps = (n * n / 2 + n) * columns
    return _calls(buffers, "triangular systems", numbers, body, matrices, steps, [n, columns])


def _vectors(lower: int, by_columns: bool, unit: bool) -> str:
    """One right side a line: each unknown from those before it, or, `by_columns`, taken from all that come after it."""
    forward = bool(lower) != by_columns
    at, before, after = ("i", "range(u)", "range(u + 1, n)")
    if not forward:
        at, before, after = "n - 1 - i", after, before
    divided = "" if unit else " / a[row + u]"
    if by_columns:
        inner = f"""\
            found = y[line * n + u]{divided}
            y[line * n + u] = found
            for k in {after}:
                y[line * n + k] -= a[row + k] * found
"""
        begin = """\
        for k in range(n):
            y[line * n + k] = b[line * n + k]
"""
    else:
        inner = f"""\
            total = b[line * n + u]
            for k in {before}:
                total -= a[row + k] * y[line * n + k]
            y[line * n + u] = total{divided}
"""
        begin = ""
    return f"""\
    for line in range(lo, hi):
        start = line // each * n * n
{begin}\
        for i in range(n):
            u = {at}
            row = start + u * n
{inner}"""


def _columns(lower: int, transpose: int, unit: int) -> str:
    """All right sides of a matrix at once, row by row of the solution."""
    forward = bool(lower) != bool(transpose)
    at, before = ("i", "range(u)") if forward else ("n - 1 - i", "range(u + 1, n)")
    factor = "a[start + k * n + u]" if transpose else "a[start + u * n + k]"
    divided = (
        ""
        if unit
        else """\
            for j in range(m):
                y[row + j] /= a[start + u * n + u]
"""
    )
    return f"""\
    for matrix in range(lo, hi):
        start = matrix * n * n
        first = matrix * n * m
        for i in range(n):
            u = {at}
            row = first + u * m
            for j in range(m):
                y[row + j] = b[row + j]
            for k in {before}:
                factor = {factor}
                for j in range(m):
                    y[row + j] -= factor * y[first + k * m + j]
{divided}"""


def _pivot(matrix: str, rows: str, columns: str) -> str:
    """`best`, the row from the k-th on whose element in column k is the largest."""
    return f"""\
            best = k
            largest = abs({matrix}[row + k])
            for i in range(k + 1, {rows}):
                here = abs({matrix}[start + i * {columns} + k])
                if here > largest:
                    largest = here
                    best = i"""


_NANOSECONDS = 0.5
"""What an inner step takes, about."""


def _calls(
    buffers: tuple[str, ...], what: str, names: str, body: str, lines: int, steps: float, integers: list[int]
) -> list[Call]:
    if lines == 0 or integers[0] == 0:
        return []
    text = module(
        f"{what[0].upper()}{what[1:]} of small matrices.", buffers, names, body.splitlines(), reassociate=True
    )
    return [Call(text, lines, 10.0 + _NANOSECONDS * steps, integers)]

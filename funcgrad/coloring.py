"""Colourings of sparsity patterns: which columns of a sparse matrix can be computed together.

Columns of one colour are added up in one product with the matrix, and every entry can still be read off. Curtis,
Powell and Reid, "On the estimation of sparse Jacobian matrices", 1974; Coleman and More, "Estimation of sparse
Jacobian matrices and graph coloring problems", 1983; Gebremedhin, Manne and Pothen, "What color is your Jacobian?",
2005. Patterns are boolean scipy.sparse matrices; a colouring is an array with a number for each column.
"""

from __future__ import annotations

from typing import Any

import numpy as np

Pattern = Any


def color_columns(pattern: Pattern) -> np.ndarray:
    """Colours such that no two columns of one colour have an entry in the same row.

    Greedy, in the order that gives the fewest colours of two: as they come (best for bands), and fullest first.

    >>> import numpy as np, scipy.sparse
    >>> color_columns(scipy.sparse.diags([1.0, 1.0, 1.0], [-1, 0, 1], shape=(6, 6)))
    array([0, 1, 2, 0, 1, 2])
    """
    columns = pattern.tocsc()
    pointers, rows = columns.indptr.tolist(), columns.indices.tolist()
    counts = np.diff(columns.indptr)
    least = int(np.diff(pattern.tocsr().indptr).max(initial=0))  # a row's columns all differ
    best = _greedy(range(columns.shape[1]), pointers, rows, columns.shape[0])
    if best.max(initial=-1) + 1 > least and counts.min(initial=0) != counts.max(initial=0):
        order = np.argsort(-counts, kind="stable").tolist()
        other = _greedy(order, pointers, rows, columns.shape[0])
        best = min(best, other, key=lambda c: c.max(initial=-1))
    return best


def _greedy(order: Any, pointers: list[int], rows: list[int], count: int) -> np.ndarray:
    """The lowest colour that is free in all rows of a column, column by column; a row's colours are bits of an int."""
    taken = [0] * count
    colors = np.zeros(len(pointers) - 1, np.intp)
    for column in order:
        own = rows[pointers[column] : pointers[column + 1]]
        used = 0
        for row in own:
            used |= taken[row]
        free = ~used & (used + 1)
        colors[column] = free.bit_length() - 1
        for row in own:
            taken[row] |= free
    return colors


def color_symmetric(pattern: Pattern) -> np.ndarray:
    """Colours of the columns of a symmetric matrix such that every entry, or its mirror image, stands alone in its
    row among the columns of its colour: a star colouring, in which neighbours differ and every path over four columns
    has at least three colours.

    >>> import numpy as np, scipy.sparse
    >>> arrow = np.eye(5, dtype=bool)
    >>> arrow[0] = arrow[:, 0] = True
    >>> int(color_symmetric(scipy.sparse.csr_matrix(arrow)).max()) + 1
    2
    """
    both = (pattern + pattern.T).tocsr()
    count = both.shape[0]
    pointers, indices = both.indptr.tolist(), both.indices.tolist()
    near = [[w for w in indices[pointers[v] : pointers[v + 1]] if w != v] for v in range(count)]
    colors = [-1] * count
    for v in sorted(range(count), key=lambda v: -len(near[v])):
        forbidden = set()
        for w in near[v]:
            c = colors[w]
            if c < 0:
                forbidden.update(colors[x] for x in near[w])
                continue
            forbidden.add(c)
            for x in near[w]:
                if colors[x] >= 0 and colors[x] not in forbidden and _sees(near[x], w, c, colors):
                    forbidden.add(colors[x])
        color = 0
        while color in forbidden:
            color += 1
        colors[v] = color
    stars = np.asarray(colors, np.intp)
    apart = color_columns(both)
    return stars if stars.max(initial=-1) < apart.max(initial=-1) else apart


def _sees(near: list[int], apart_from: int, color: int, colors: list[int]) -> bool:
    return any(colors[y] == color and y != apart_from for y in near)


def recovery(pattern: Pattern, colors: np.ndarray, symmetric: bool = False) -> tuple[Any, Any, np.ndarray]:
    """Where each entry of the pattern is found among the products: (rows, columns, flat positions), for products of
    shape (colours, rows).

    `symmetric`: an entry that does not stand alone is read at its mirror image.
    """
    entries = pattern.tocoo()
    rows, columns = entries.row.astype(np.intp), entries.col.astype(np.intp)
    count = pattern.shape[0]
    places = colors[columns] * count + rows
    if symmetric:
        alone = np.bincount(places, minlength=count * (int(colors.max(initial=-1)) + 1)) == 1
        mirrored = colors[rows] * count + columns
        upper = rows <= columns  # both mirror images are read at one place: the result is exactly symmetric
        first, second = np.where(upper, places, mirrored), np.where(upper, mirrored, places)
        places = np.where(alone[first], first, second)
    return rows, columns, places

"""Which columns of a sparse matrix of derivatives can be computed together.

Columns that have no row in common share a *colour*: one derivative along the sum of their
directions holds all their entries (Curtis, Powell and Reid, 1974). A Hessian is symmetric, so an
entry may be read from either of two places, and fewer colours do (star colouring: Coleman and More,
1984; Gebremedhin, Tarafdar, Manne and Pothen, 2007).
"""

from __future__ import annotations

from collections.abc import Sequence

Rows = Sequence[Sequence[int]]  # for each row the columns of its entries, ascending


def column_colours(rows: Rows, columns: int) -> list[int]:
    """Colour the columns so that no row has two entries of one colour; colours count from 0.

    >>> column_colours([[0, 1], [1, 2], [2, 3]], 4)
    [0, 1, 0, 1]
    """
    used_in: list[list[int]] = [[] for _ in range(columns)]
    for i, row in enumerate(rows):
        for j in row:
            used_in[j].append(i)
    taken: list[set[int]] = [set() for _ in rows]  # the colours in each row so far
    colours = []
    for j in range(columns):
        colour = _first_free([taken[i] for i in used_in[j]])
        colours.append(colour)
        for i in used_in[j]:
            taken[i].add(colour)
    return colours


def transposed(rows: Rows, columns: int) -> list[list[int]]:
    """Return for each column the rows of its entries.

    >>> transposed([[0, 1], [1]], 2)
    [[0], [0, 1]]
    """
    result: list[list[int]] = [[] for _ in range(columns)]
    for i, row in enumerate(rows):
        for j in row:
            result[j].append(i)
    return result


def star_colours(rows: Rows) -> list[int]:
    """Colour a symmetric pattern so that of each entry's two places one is not shared.

    >>> star_colours([[0, 1, 2, 3], [0, 1], [0, 2], [0, 3]])     # an arrow: two colours suffice
    [0, 1, 1, 1]
    """
    colours = [-1] * len(rows)
    for v, neighbours in enumerate(rows):
        forbidden: set[int] = set()
        for w in neighbours:
            if w == v:
                continue
            if colours[w] >= 0:
                forbidden.add(colours[w])
            for x in rows[w]:
                # a path v - w - x: v may share x's colour only where w, between them, came first
                if x not in (v, w) and colours[x] >= 0 and not 0 <= colours[w] < colours[x]:
                    forbidden.add(colours[x])
        colours[v] = _first_free([forbidden])
    return colours


def _first_free(taken: Sequence[set[int]]) -> int:
    colour = 0
    while any(colour in some for some in taken):
        colour += 1
    return colour

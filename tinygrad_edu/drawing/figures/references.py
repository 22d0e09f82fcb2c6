"""Which lines of a large figure are cut, so that it stays readable and its layout quick.

A long line costs Graphviz a point in every column it crosses, and the reader the finger that
follows it. Where a large graph has many (a weight that is used at each of a thousand steps),
the longest are not drawn: a small *reference* with the name of the distant node stands where the
line would arrive. Circuit diagrams do the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TypeVar


class _Link(Protocol):
    @property
    def tail(self) -> int: ...
    @property
    def head(self) -> int: ...


_L = TypeVar("_L", bound=_Link)

# Columns that all lines together may cross, per node, before lines are cut; and after.
_TOLERATED = 5.0
_KEPT = 2.0
_SHORT = 5  # lines that cross no more columns than this are never cut


def cut_links(column: Sequence[int], links: Sequence[_L]) -> frozenset[_L]:
    """Return the links that are drawn as references; ``column`` says where each node stands."""
    spans = [column[link.head] - column[link.tail] for link in links]
    count = len(column)
    if sum(spans) <= _TOLERATED * count:
        return frozenset()
    total, longest_kept = 0, 0
    for span in sorted(spans):
        total += span
        if total > _KEPT * count and span > _SHORT:
            break
        longest_kept = span
    return frozenset(link for link, span in zip(links, spans) if span > max(longest_kept, _SHORT))


def columns(count: int, links: Sequence[_Link]) -> Sequence[int]:
    """Number the columns in which ``count`` nodes could stand, operands before their readers.

    Every node as late, or every node as early as it can stand, whichever makes the lines shorter
    in total. Graphviz finds better columns, but in time that grows with the square of the graph.

    >>> from tinygrad_edu.drawing.figures.diagram import Link
    >>> columns(3, (Link(0, 2), Link(1, 2)))
    [0, 0, 1]
    """
    choices = [_late(count, links), _early(count, links)]
    best = min(choices, key=lambda at: sum(at[link.head] - at[link.tail] for link in links))
    first = min(best, default=0)
    return [column - first for column in best]


def _late(count: int, links: Sequence[_Link]) -> list[int]:
    column = [0] * count
    for link in sorted(links, key=lambda link: link.tail, reverse=True):
        column[link.tail] = min(column[link.tail], column[link.head] - 1)
    return column


def _early(count: int, links: Sequence[_Link]) -> list[int]:
    column = [0] * count
    for link in sorted(links, key=lambda link: link.head):
        column[link.head] = max(column[link.head], column[link.tail] + 1)
    # Inputs move up to their first use.
    first_use: dict[int, int] = {}
    for link in links:
        first_use[link.tail] = min(first_use.get(link.tail, column[link.head]), column[link.head])
    entered = {link.head for link in links}
    for index, use in first_use.items():
        if index not in entered:
            column[index] = use - 1
    return column

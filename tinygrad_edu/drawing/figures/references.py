"""Which lines of a large figure are cut, so that it stays readable and its layout quick.

A long line costs Graphviz a point in every column it crosses, and the reader the finger that
follows it. Where a large graph has many (a weight that is used at each of a thousand steps),
the longest are not drawn: a small *reference* with the name of the distant node stands where the
line would arrive. Circuit diagrams do the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tinygrad_edu.drawing.figures.diagram import Diagram, Link

# Columns that all lines together may cross, per node, before lines are cut; and after.
_TOLERATED = 5.0
_KEPT = 2.0
_SHORT = 5  # lines that cross no more columns than this are never cut


def cut_links(diagram: Diagram) -> frozenset[Link]:
    """Return the links that are drawn as references."""
    column = diagram.columns
    spans = [column[link.head] - column[link.tail] for link in diagram.links]
    count = len(diagram.nodes)
    if sum(spans) <= _TOLERATED * count:
        return frozenset()
    total, longest_kept = 0, 0
    for span in sorted(spans):
        total += span
        if total > _KEPT * count and span > _SHORT:
            break
        longest_kept = span
    return frozenset(
        link for link, span in zip(diagram.links, spans) if span > max(longest_kept, _SHORT)
    )


def columns(diagram: Diagram) -> Sequence[int]:
    """Number the columns in which the nodes could stand, each operand before the nodes that use it.

    Every node as late, or every node as early as it can stand, whichever makes the lines shorter
    in total. Graphviz finds better columns, but in time that grows with the square of the graph.

    >>> from tinygrad_edu.drawing.figures.diagram import Diagram, Link, Node
    >>> a, b, c = Node(("a",)), Node(("b",)), Node(("c",))
    >>> columns(Diagram((a, b, c), (Link(0, 2), Link(1, 2))))
    [0, 0, 1]
    """
    choices = [_late(diagram), _early(diagram)]
    best = min(choices, key=lambda at: sum(at[link.head] - at[link.tail] for link in diagram.links))
    first = min(best, default=0)
    return [column - first for column in best]


def _late(diagram: Diagram) -> list[int]:
    column = [0] * len(diagram.nodes)
    for link in sorted(diagram.links, key=lambda link: link.tail, reverse=True):
        column[link.tail] = min(column[link.tail], column[link.head] - 1)
    return column


def _early(diagram: Diagram) -> list[int]:
    column = [0] * len(diagram.nodes)
    for link in sorted(diagram.links, key=lambda link: link.head):
        column[link.head] = max(column[link.head], column[link.tail] + 1)
    # Inputs move up to their first use.
    first_use: dict[int, int] = {}
    for link in diagram.links:
        first_use[link.tail] = min(first_use.get(link.tail, column[link.head]), column[link.head])
    entered = {link.head for link in diagram.links}
    for index, use in first_use.items():
        if index not in entered:
            column[index] = use - 1
    return column

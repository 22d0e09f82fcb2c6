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
    from tinygrad_edu.drawing.diagram import Diagram, Link

# Columns that all lines together may cross, per node, before lines are cut; and after.
_TOLERATED = 5.0
_KEPT = 2.0
_SHORT = 5  # lines that cross no more columns than this are never cut


def cut_links(diagram: Diagram) -> frozenset[Link]:
    """Return the links that are drawn as references.

    They are found on columns of our own, as Graphviz chooses its columns only later: each node as
    late, or each as early as it can stand, whichever makes the lines shorter in total.
    """
    spans = min(_spans(diagram, early=False), _spans(diagram, early=True), key=sum)
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


def _spans(diagram: Diagram, early: bool) -> Sequence[int]:
    """Return how many columns each link spans."""
    column = [0] * len(diagram.nodes)
    if early:  # a link comes after the nodes it joins, so its tail has its place by then
        for link in sorted(diagram.links, key=lambda link: link.head):
            column[link.head] = max(column[link.head], column[link.tail] + 1)
        nearest: dict[int, int] = {}
        for link in diagram.links:
            nearest[link.tail] = min(nearest.get(link.tail, column[link.head]), column[link.head])
        entered = {link.head for link in diagram.links}
        for index, use in nearest.items():
            if index not in entered:  # inputs stand next to their first use
                column[index] = use - 1
    else:
        for link in sorted(diagram.links, key=lambda link: link.tail, reverse=True):
            column[link.tail] = min(column[link.tail], column[link.head] - 1)
    return [column[link.head] - column[link.tail] for link in diagram.links]

"""A layout of our own, for where there is no Graphviz, or where it does not come to an end.

The usual four steps for graphs that flow in one direction (K. Sugiyama, S. Tagawa and M. Toda,
1981), each in a plain form:

1. Columns: every operand before the nodes that use it (``references.py``). A link that passes
   columns gets a *bend*, a place for itself, in each of them.
2. Order within a column: first as the operands are met from the output on, then nodes move to the
   mean place of their neighbours, back and forth, and the order with the fewest crossings is kept.
3. Rows: nodes move to the mean height of their neighbours, and are pushed apart as little as
   possible where they would touch (a least-squares fit under order constraints: pool adjacent
   violators).
4. Curves: straight through a column, where the bend keeps the room free, and an S in the gap
   between two columns, where nothing else stands. So no line runs through a node.

The time grows a little faster than nodes and bends together; nothing is recursive.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from tinygrad_edu.drawing.figures.diagram import Diagram, Link
from tinygrad_edu.drawing.figures.geometry import Box, Path, Point

_BEND_ROOM = 5.0  # the height of a bend's place, in points
_SWEEPS = 8
_MOST_ITEMS = 20_000  # beyond this the order is not improved
_MANY_NODES = 1500  # from so many on inputs stand where they are used


@dataclass(frozen=True)
class Arrangement:
    """Where everything goes, in flow coordinates (see ``geometry.Frame``) that start at (0, 0).

    ``rooms`` are the boxes of nodes with their stems, ``references`` those of links that are cut,
    ``paths`` the curves of the links, and ``size`` is along and across the flow.
    """

    rooms: list[Box]
    references: dict[Link, Box]
    paths: dict[Link, Path]
    size: Point


@dataclass
class _Item:
    """A node, a reference or a bend: what takes a place in a column."""

    column: int
    along: float
    across: float
    before: list[int] = field(default_factory=list)  # items it is linked to in the column before
    after: list[int] = field(default_factory=list)
    weights: dict[int, float] = field(default_factory=dict)
    y: float = 0.0


def arrange(diagram: Diagram) -> Arrangement:
    """Lay ``diagram`` out.

    >>> from tinygrad_edu.drawing.figures.diagram import Node
    >>> x, y, z = Node(("x",), above="2"), Node(("y",), above="3"), Node(("-",), above="-1")
    >>> arranged = arrange(Diagram((x, y, z), (Link(0, 2), Link(1, 2, 1))))
    >>> [room[0][0] < arranged.rooms[2][0][0] for room in arranged.rooms]
    [True, True, False]
    """
    items, ways = _items(diagram)
    count = max((item.column for item in items), default=0) + 1
    order = _first_order(diagram, items, ways, count)
    place_in_stack = {index: k for stack in diagram.stacks for k, index in enumerate(stack)}
    for column in order:
        _keep_stacks(column, place_in_stack)
    if len(items) <= _MOST_ITEMS:
        order = _improve(items, order, place_in_stack)
    _rows(items, order, 72.0 * diagram.row_gap)
    starts, ends = _columns(items, order, 72.0 * diagram.column_gap)
    return _curves(diagram, items, ways, starts, ends)


def _items(diagram: Diagram) -> tuple[list[_Item], list[list[int]]]:
    """Return the items, nodes first, and the items that each link passes, from tail to head."""
    horizontal = diagram.is_horizontal
    columns = list(diagram.columns)
    if len(columns) < _MANY_NODES:
        columns = [0 if node.first else c for node, c in zip(diagram.nodes, columns)]
    items = []
    for column, node in zip(columns, diagram.nodes):
        across = diagram.box(node)[1 if horizontal else 0]
        items.append(_Item(column, sum(diagram.along(node)), across))
    straight = diagram.main_links
    ways = []
    for link in diagram.links:
        way = [link.tail]
        if link in diagram.cut:
            width, height = diagram.reference_size(link)
            size = (width, height) if horizontal else (height, width)
            way = [len(items)]
            items.append(_Item(columns[link.head] - 1, *size))
        else:
            for column in range(columns[link.tail] + 1, columns[link.head]):
                way.append(len(items))
                items.append(_Item(column, 0.0, _BEND_ROOM))
        way.append(link.head)
        weight = 12.0 if link in straight else 1.0
        for a, b in pairwise(way):
            items[a].after.append(b)
            items[b].before.append(a)
            # a bend beside a bend: long lines are straight first of all
            bends = (a >= len(diagram.nodes)) + (b >= len(diagram.nodes))
            for one, other in ((a, b), (b, a)):
                items[one].weights[other] = weight * (1.0, 2.0, 8.0)[bends]
        ways.append(way)
    return items, ways


def _first_order(
    diagram: Diagram, items: Sequence[_Item], ways: Sequence[Sequence[int]], count: int
) -> list[list[int]]:
    """Fill the columns in the order in which operands are met, from the last nodes on."""
    entering: dict[int, list[Sequence[int]]] = {}
    for link, way in sorted(zip(diagram.links, ways), key=lambda pair: pair[0].position):
        entering.setdefault(link.head, []).append(way)
    order: list[list[int]] = [[] for _ in range(count)]
    met = [False] * len(items)
    waiting = list(range(len(diagram.nodes)))  # the last is met first
    while waiting:
        index = waiting.pop()
        if not met[index]:
            met[index] = True
            order[items[index].column].append(index)
            for way in reversed(entering.get(index, ())):
                waiting += way[:-1]
    return order


def _keep_stacks(column: list[int], place_in_stack: dict[int, int]) -> None:
    """Put the members of a stack into their order; they keep the places that they have together."""
    places = [rank for rank, index in enumerate(column) if index in place_in_stack]
    members = sorted((column[rank] for rank in places), key=place_in_stack.__getitem__)
    for rank, index in zip(places, members):
        column[rank] = index


def _improve(
    items: Sequence[_Item], order: list[list[int]], place_in_stack: dict[int, int]
) -> list[list[int]]:
    """Move items to the mean place of their neighbours; keep the order with fewest crossings."""
    best, fewest = [list(column) for column in order], _crossings(items, order)
    place = [0.0] * len(items)
    for column in order:
        for rank, index in enumerate(column):
            place[index] = float(rank)
    for sweep in range(_SWEEPS):
        if not fewest:
            break
        forward = sweep % 2 == 1
        for column in order if forward else reversed(order):
            wanted = {}
            for index in column:
                near = items[index].before if forward else items[index].after
                wanted[index] = sum(place[x] for x in near) / len(near) if near else place[index]
            column.sort(key=wanted.__getitem__)
            _keep_stacks(column, place_in_stack)
            for rank, index in enumerate(column):
                place[index] = float(rank)
        found = _crossings(items, order)
        if found < fewest:
            best, fewest = [list(column) for column in order], found
    return best


def _crossings(items: Sequence[_Item], order: Sequence[Sequence[int]]) -> int:
    """Count the pairs of lines that cross, by a tree of counts (Barth, Mutzel and Juenger)."""
    total = 0
    for column in order[1:]:
        rank = (
            {x: k for k, x in enumerate(x for x in order[items[column[0]].column - 1])}
            if column
            else {}
        )
        ends: list[int] = []
        for index in column:
            ends += sorted(rank[x] for x in items[index].before)
        counts = [0] * (len(rank) + 1)
        for seen, end in enumerate(ends):
            k, not_above = end + 1, 0
            while k:
                not_above += counts[k]
                k &= k - 1
            total += seen - not_above
            k = end + 1
            while k < len(counts):
                counts[k] += 1
                k += k & -k
    return total


def _rows(items: Sequence[_Item], order: Sequence[Sequence[int]], gap: float) -> None:
    """Give every item its height."""
    for column in order:
        y = 0.0
        for index in column:
            items[index].y = y + items[index].across / 2.0
            y += items[index].across + gap
        for index in column:  # the columns' middles on one line
            items[index].y -= (y - gap) / 2.0
    for sweep in range(2 * _SWEEPS):
        for column in order if sweep % 2 else reversed(order):
            if not column:
                continue
            wanted, weight = [], []
            for index in column:
                item = items[index]
                # the last sweeps look both ways, the first one way, which settles long chains
                near = (
                    item.before + item.after
                    if sweep >= _SWEEPS
                    else (item.before if sweep % 2 else item.after)
                )
                total = sum(item.weights[x] for x in near)
                wanted.append(
                    sum(item.weights[x] * items[x].y for x in near) / total if near else item.y
                )
                weight.append(total if near else 0.01)
            room = [items[index].across for index in column]
            apart = [
                (a + b) / 2.0 + (gap if a > _BEND_ROOM or b > _BEND_ROOM else 2.0)
                for a, b in pairwise(room)
            ]
            for index, y in zip(column, spread(wanted, weight, apart)):
                items[index].y = y


def spread(wanted: Sequence[float], weight: Sequence[float], apart: Sequence[float]) -> list[float]:
    """Return the places nearest to those wanted, in order and at least so far apart.

    The weighted sum of squares is the smallest there is: pool adjacent violators.

    >>> spread([0.0, 1.0, 9.0], [1.0, 1.0, 1.0], [4.0, 4.0])
    [-1.5, 2.5, 9.0]
    """
    offsets = [0.0]
    for distance in apart:
        offsets.append(offsets[-1] + distance)
    blocks: list[tuple[float, float, int]] = []  # mean, weight, how many
    for want, heavy, offset in zip(wanted, weight, offsets):
        mean, total, many = want - offset, heavy, 1
        while blocks and blocks[-1][0] >= mean:
            other, more, count = blocks.pop()
            mean = (mean * total + other * more) / (total + more)
            total, many = total + more, many + count
        blocks.append((mean, total, many))
    means = [mean for mean, _, many in blocks for _ in range(many)]
    return [mean + offset for mean, offset in zip(means, offsets)]


def _columns(
    items: Sequence[_Item], order: Sequence[Sequence[int]], gap: float
) -> tuple[list[float], list[float]]:
    """Return where each column starts and ends; steep lines get a wider gap before them."""
    starts: list[float] = []
    ends: list[float] = []
    at = 0.0
    for column in order:
        steep = max(
            (abs(items[i].y - items[x].y) for i in column for x in items[i].before), default=0.0
        )
        at += max(gap, min(0.3 * steep, 4.0 * gap)) if starts else 0.0
        starts.append(at)
        at += max((items[index].along for index in column), default=0.0)
        ends.append(at)
    return starts, ends


def _curves(
    diagram: Diagram, items: Sequence[_Item], ways: Sequence[Sequence[int]],
    starts: Sequence[float], ends: Sequence[float],
) -> Arrangement:  # fmt: skip
    top = min((item.y - item.across / 2.0 for item in items), default=0.0)
    bottom = max((item.y + item.across / 2.0 for item in items), default=0.0)

    def room(index: int) -> Box:
        item = items[index]
        start, y = starts[item.column], item.y - top
        if index >= len(diagram.nodes):  # a reference stands at the end of its column
            start = ends[item.column] - item.along
        half = item.across / 2.0
        return (start, y - half), (start + item.along, y + half)

    rooms = [room(index) for index in range(len(diagram.nodes))]
    references, paths = {}, {}
    for link, way in zip(diagram.links, ways):
        if way[0] != link.tail:
            references[link] = room(way[0])
        path: list[Point] = [(room(way[0])[1][0], items[way[0]].y - top)]
        for a, b in pairwise(way):
            y, aim = items[a].y - top, items[b].y - top
            end, start = ends[items[a].column], starts[items[b].column]
            if path[-1][0] < end:  # straight through the rest of the column
                path += _straight(path[-1], (end, y))
            middle = (end + start) / 2.0
            path += [(middle, y), (middle, aim), (start, aim)]
        paths[link] = tuple(path)
    return Arrangement(rooms, references, paths, (ends[-1] if ends else 0.0, bottom - top))


def _straight(a: Point, b: Point) -> list[Point]:
    third = (b[0] - a[0]) / 3.0
    return [(a[0] + third, a[1]), (b[0] - third, b[1]), b]

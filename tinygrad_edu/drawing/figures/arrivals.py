"""How links arrive: fanned out over the side of the circle they enter, each with its arrowhead.

Graphviz leads all links of a node to one point, the middle of the entering side of its box. There
they would lie on one another; so each gets a place of its own on the circle, and the end of its
curve is bent towards that place.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise

from tinygrad_edu.drawing.figures.diagram import Diagram, Link, Node
from tinygrad_edu.drawing.figures.geometry import (
    Box,
    Obstacles,
    Path,
    Point,
    box_of,
    overlap,
    point_on,
    split,
)

ARROW_LENGTH = 6.5
ARROW_HALF = 2.4  # half its breadth

_SPREAD = math.radians(52.0)  # links enter a circle at most so far from the flow's direction,
_WIDE_SPREAD = math.radians(78.0)  # or so far if there are many,
_MANY = 7
_STEP = math.radians(26.0)  # and at most so far from one another
OPERAND_SIZE = 9.0  # font size of the numbers of operands
_BIT = 26.0  # length of the last bit of a link where only that is bent


def arrive(
    diagram: Diagram,
    centers: Sequence[Point],
    paths: Mapping[Link, Path],
    obstacles: Obstacles,
) -> dict[Link, tuple[Path, tuple[Point, Point, Point]]]:
    """Return for each link its curve, which ends where the arrowhead begins, and the arrowhead.

    Args:
        diagram: The diagram.
        centers: The middle of each node's circle or box.
        paths: The curve of each link as Graphviz has it.
        obstacles: The boxes of nodes and stems, in the order of the nodes.

    All coordinates are those of the diagram's ``Frame``.
    """
    entering: dict[int, list[Link]] = {}
    for link in diagram.links:
        entering.setdefault(link.head, []).append(link)
    arrived = {}
    for head, links in entering.items():
        # Neighbours on the circle are neighbours on the way to it, so links do not cross there.
        links.sort(key=lambda link: _side(paths[link]))
        spread = _SPREAD if len(links) < _MANY else _WIDE_SPREAD
        step = min(_STEP, 2.0 * spread / max(1, len(links) - 1))
        for rank, link in enumerate(links):
            angle = (rank - (len(links) - 1) / 2.0) * step
            tip, lean = _place(diagram.nodes[head], centers[head], angle, diagram)
            ahead = (math.cos(lean), -math.sin(lean))
            base = (tip[0] - ARROW_LENGTH * ahead[0], tip[1] - ARROW_LENGTH * ahead[1])
            path = _bend(paths[link], base, ahead)
            if obstacles.hit(path[-4:], but=head):
                breadth = min(diagram.nodes[head].size)
                path = _bend_last_bit(paths[link], base, ahead, breadth / 2.0)
            arrived[link] = path, arrowhead(base, tip)
    return arrived


def arrowhead(base: Point, tip: Point) -> tuple[Point, Point, Point]:
    """Return the corners of an arrowhead that reaches from the middle of its base to its tip.

    >>> arrowhead((0.0, 0.0), (6.5, 0.0))
    ((0.0, 2.4), (6.5, 0.0), (0.0, -2.4))
    """
    length = math.dist(base, tip)
    side = ARROW_HALF / length
    x, y = side * (tip[1] - base[1]), side * (tip[0] - base[0])
    return (base[0] - x, base[1] + y), tip, (base[0] + x, base[1] - y)


def _side(path: Path) -> tuple[float, ...]:
    """Return how far to the side of its end a path is, from its last turn backwards."""
    return tuple(round(across - path[-1][1], 1) for _, across in path[-3::-1])


def _place(node: Node, center: Point, angle: float, diagram: Diagram) -> tuple[Point, float]:
    """Return the point where a link enters a node, and by how much it leans when it does.

    ``angle`` is measured at the middle of a circle, from the direction against the flow.
    """
    along, across = center
    width, height = node.size
    if node.is_circle:
        radius = width / 2.0
        # It leans by something between straight ahead and straight to the middle.
        place = along - radius * math.cos(angle), across + radius * math.sin(angle)
        return place, 0.6 * angle
    length, breadth = (width, height) if diagram.is_horizontal else (height, width)
    return (
        along - length / 2.0,
        across + 0.4 * breadth * max(-1.0, min(1.0, angle / _SPREAD)),
    ), 0.0


def _bend(path: Path, base: Point, ahead: Point) -> Path:
    """Lead the last segment to ``base`` instead, in the direction ``ahead``: a gentle curve."""
    *before, handle, end = path
    length = max(4.0, math.dist(handle, end) - ARROW_LENGTH)
    return (*before, (base[0] - length * ahead[0], base[1] - length * ahead[1]), base)


def _bend_last_bit(path: Path, base: Point, ahead: Point, beside: float) -> Path:
    """Bend the last bit alone, in the gap before the node and no broader than the node.

    Nothing else stands there. Both handles are short, so that the curve does not leave the gap.
    """
    *before, start, handle, _, _ = _split_last_bit(path, beside)
    half = math.dist(start, base) / 2.0
    along, across = handle[0] - start[0], handle[1] - start[1]
    length = math.hypot(along, across) or 1.0
    first = min(half, 0.5 * _BIT / max(along / length, 1e-6)) / length
    last = min(half, 0.6 * _BIT)
    return (
        *before,
        start,
        (start[0] + first * along, start[1] + first * across),
        (base[0] - last * ahead[0], base[1] - last * ahead[1]),
        base,
    )


def _split_last_bit(path: Path, beside: float) -> Path:
    """Split the last segment in two, so that the second is short along the flow and to the side."""
    *before, start, first, second, end = path
    segment = (start, first, second, end)

    def is_near(t: float) -> bool:
        along, across = point_on(segment, t)
        return abs(along - end[0]) <= _BIT and abs(across - end[1]) <= beside

    # Back from the end to the first point that is not near any more, then closer by bisection.
    steps = 64
    far = next((k for k in range(steps - 1, -1, -1) if not is_near(k / steps)), None)
    if far is None:
        return path
    low, high = far / steps, (far + 1) / steps
    for _ in range(10):
        middle = (low + high) / 2.0
        low, high = (low, middle) if is_near(middle) else (middle, high)
    return (*before, *split(segment, high))


def operand_places(
    diagram: Diagram,
    arrived: Mapping[Link, tuple[Path, tuple[Point, Point, Point]]],
    boxes: Sequence[Box],
) -> dict[Link, Point]:
    """Return where the numbers 1, 2, ... of operands go, for links that do not arrive in order.

    A reader takes the links of a node in the order of their arrowheads. Where that is not the order
    of its operands, and it matters which is which, each gets a number beside its arrowhead.
    """
    entering: dict[int, list[Link]] = {}
    for link in diagram.links:
        if diagram.nodes[link.head].ordered:
            entering.setdefault(link.head, []).append(link)
    crossed = []
    for links in entering.values():
        links.sort(key=lambda link: arrived[link][1][1][1])
        tails = [link.tail for link in links]
        if tails != [link.tail for link in sorted(links, key=lambda link: link.position)]:
            crossed.append(links)
    if not crossed:
        return {}
    around = [(box_of(path), path) for path, _ in arrived.values()]
    half = _HALF if diagram.is_horizontal else _HALF[::-1]
    places: dict[Link, Point] = {}
    for links in crossed:
        tips = [arrived[link][1][1] for link in links]
        (left, top), (right, bottom) = box_of(tips)
        near = (left - 95.0, top - 80.0), (right + 15.0, bottom + 80.0)
        drawn = [
            point
            for box, path in around
            if overlap(box, near)
            for i in range(0, len(path) - 1, 3)
            if overlap(box_of(path[i : i + 4]), near)
            for point in _dots(path[i : i + 4], near)
        ]
        drawn += [point for link in links for point in arrived[link][1]]
        solid = [box for box in boxes if overlap(box, near)]
        taken: list[Point] = []
        middle = (len(links) - 1) / 2.0
        for rank, link in enumerate(links):
            if not link.operand:
                continue
            place = _beside(arrived[link][0], rank <= middle, half, drawn, solid, taken)
            taken.append(place)
            places[link] = place
    return places


_HALF = (3.4, 4.8)  # half the width and height of a number of operands, and a little room


def _dots(segment: Path, near: Box) -> list[Point]:
    length = sum(math.dist(a, b) for a, b in pairwise(segment))
    count = max(4, int(length / 1.5))
    points = [point_on(segment, k / count) for k in range(count + 1)]
    (left, top), (right, bottom) = near
    return [(x, y) for x, y in points if left < x < right and top < y < bottom]


def _beside(
    path: Path, above: bool, half: Point, drawn: Sequence[Point], boxes: Sequence[Box],
    taken: Sequence[Point],
) -> Point:  # fmt: skip
    """Return a place near the end of ``path`` where a number covers nothing, or the least."""
    wide, high = half
    segment = path[-4:]
    best, fewest = segment[-1], math.inf
    for k in range(60, -1, -1):
        x, y = point_on(segment, k / 60)
        distance = math.dist((x, y), segment[-1])
        if distance > 70.0:
            break
        p, q = point_on(segment, min(k + 1, 60) / 60), point_on(segment, max(k - 1, 0) / 60)
        length = math.dist(p, q) or 1.0
        along, across = (q[1] - p[1]) / length, (p[0] - q[0]) / length  # at right angles to it
        needed = abs(along) * wide + abs(across) * high
        for side in (-1.0, 1.0) if above else (1.0, -1.0):
            for off in (0.7, 2.0, 4.0, 6.0):
                u = x + side * (needed + off) * along
                v = y + side * (needed + off) * across
                hits = sum(abs(p - u) < wide and abs(q - v) < high for p, q in drawn)
                hits += 20 * sum(
                    abs(p - u) < 2.0 * wide and abs(q - v) < 2.0 * high for p, q in taken
                )
                hits += 20 * sum(
                    x0 - wide < u < x1 + wide and y0 - high < v < y1 + high
                    for (x0, y0), (x1, y1) in boxes
                )
                cost = hits + distance / 100.0 + off / 15.0
                if cost < fewest:
                    best, fewest = (u, v), cost
        if fewest < 1.0:
            break
    return best

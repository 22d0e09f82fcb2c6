"""Where everything goes: Graphviz's answer, read back into coordinates.

Points as in SVG: 1/72 inch, x to the right, y down, the figure's corner at (0, 0).
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from tinygrad_edu.drawing.diagram import Diagram, Link, dot_text
from tinygrad_edu.drawing.engine import run_graphviz

Point = tuple[float, float]
Path = tuple[Point, ...]  # cubic Bezier segments: the start, then three points for each segment

MARGIN = 10.0
ARROW_LENGTH = 6.5
_ARROW_HALF = 2.4  # half its breadth
_SPREAD = math.radians(52.0)  # links enter a circle at most so far from the flow's direction
_STEP = math.radians(26.0)  # and at most so far from one another

FLOW = {"LR": (1.0, 0.0), "RL": (-1.0, 0.0), "TB": (0.0, 1.0), "BT": (0.0, -1.0)}


@dataclass(frozen=True)
class PlacedNode:
    """A node: the middle of its circle or box, and the two ends of its stem (none: both equal)."""

    center: Point
    stem_start: Point
    stem_end: Point


@dataclass(frozen=True)
class PlacedLink:
    """A link: its curve up to the arrowhead, and the three corners of the arrowhead.

    Where the link is cut, ``reference`` is the middle of the reference that it comes from.
    """

    link: Link
    path: Path
    arrow: tuple[Point, Point, Point]
    reference: Point | None = None


@dataclass(frozen=True)
class Layout:
    """A diagram with coordinates; ``nodes`` and ``links`` are in the diagram's order."""

    diagram: Diagram
    width: float
    height: float
    nodes: tuple[PlacedNode, ...]
    links: tuple[PlacedLink, ...]


def place(diagram: Diagram, *, system: bool | None = None) -> Layout:
    """Lay ``diagram`` out with Graphviz.

    Args:
        system: As for ``run_graphviz``.

    Raises:
        RuntimeError: If Graphviz cannot lay it out.
    """
    output = run_graphviz(dot_text(diagram, layout=True), "json", system=system)
    return read_layout(diagram, output)


def read_layout(diagram: Diagram, output: str) -> Layout:
    """Read the JSON that Graphviz made of the DOT text of ``diagram``.

    The coordinates are taken from the drawing operations, which have decimals at any size; ``pos``
    has five digits in all, too few for the place of a small circle in a figure of ten metres.
    """
    graph = json.loads(output)
    corners = _points(graph)
    left, right = min(x for x, _ in corners), max(x for x, _ in corners)
    bottom, top = min(y for _, y in corners), max(y for _, y in corners)

    def point(x: float, y: float) -> Point:
        return (x - left + MARGIN, top - y + MARGIN)

    boxes = {item["name"]: _box(item, point) for item in graph.get("objects", ())}
    nodes = tuple(_place_node(diagram, i, boxes[f"n{i}"]) for i in range(len(diagram.nodes)))
    references = {
        diagram.links[int(name[1:])]: _middle(box)
        for name, box in boxes.items()
        if name.startswith("r") and box
    }
    paths = {
        edge["id"]: tuple(point(x, y) for x, y in _points(edge)) for edge in graph.get("edges", ())
    }
    return Layout(
        diagram,
        right - left + 2.0 * MARGIN,
        top - bottom + 2.0 * MARGIN,
        nodes,
        _place_links(diagram, nodes, paths, references),
    )


def _points(item: dict[str, Any]) -> Sequence[Point]:
    """Return the points of the first drawing operation that has some."""
    return next((op["points"] for op in item.get("_draw_", ()) if "points" in op), ())


def _box(item: dict[str, Any], point: Callable[..., Point]) -> tuple[Point, Point] | None:
    """Return the upper left and lower right corner of a node's box; ``None`` for a subgraph."""
    placed = [point(x, y) for x, y in _points(item)]
    if not placed:
        return None
    xs, ys = [x for x, _ in placed], [y for _, y in placed]
    return (min(xs), min(ys)), (max(xs), max(ys))


def _middle(box: tuple[Point, Point]) -> Point:
    (left, top), (right, bottom) = box
    return (left + right) / 2.0, (top + bottom) / 2.0


def _place_node(diagram: Diagram, index: int, box: tuple[Point, Point] | None) -> PlacedNode:
    """Split a box into node and stem, along the flow."""
    assert box is not None
    node = diagram.nodes[index]
    x, y = _middle(box)
    dx, dy = FLOW[diagram.direction]
    own, stem = diagram.along(node)
    # From the middle of the box, back along the flow to the middle of the node.
    back = stem / 2.0
    x, y = x - back * dx, y - back * dy
    if not stem:
        return PlacedNode((x, y), (x, y), (x, y))
    half = node.size[0 if dx else 1] / 2.0
    end = own / 2.0 + stem
    return PlacedNode((x, y), (x + half * dx, y + half * dy), (x + end * dx, y + end * dy))


def _place_links(
    diagram: Diagram,
    nodes: Sequence[PlacedNode],
    paths: dict[str, Path],
    references: dict[Link, Point],
) -> tuple[PlacedLink, ...]:
    """Fan the links of each node out over the side of its circle that they enter.

    Graphviz leads them all to one point, the middle of the entering side of the node's box.
    """
    entering: dict[int, list[tuple[Link, Path]]] = {}
    for link in diagram.links:
        path = paths[f"e-{link.tail}-{link.head}-{link.position}"]
        entering.setdefault(link.head, []).append((link, path))
    placed: dict[Link, PlacedLink] = {}
    dx, dy = FLOW[diagram.direction]
    for head, links in entering.items():
        # Neighbours on the circle are neighbours on the way to it, so links do not cross there.
        links.sort(key=lambda item: _side(item[1], dx, dy))
        step = min(_STEP, 2.0 * _SPREAD / max(1, len(links) - 1))
        for rank, (link, path) in enumerate(links):
            angle = (rank - (len(links) - 1) / 2.0) * step
            if link not in references and diagram.nodes[link.tail].above is not None:
                path = (nodes[link.tail].stem_end, *path[1:])  # without a gap
            path, arrow = _enter(diagram, head, nodes[head], path, angle)
            placed[link] = PlacedLink(link, path, arrow, references.get(link))
    return tuple(placed[link] for link in diagram.links)


def _side(path: Path, dx: float, dy: float) -> tuple[float, ...]:
    """Return how far to the side of its end a path is, from its last turn backwards."""
    x, y = path[-1]
    return tuple(round((py - y) * abs(dx) + (px - x) * abs(dy), 1) for px, py in path[-3::-1])


def _enter(
    diagram: Diagram, head: int, node: PlacedNode, path: Path, angle: float
) -> tuple[Path, tuple[Point, Point, Point]]:
    """Lead the end of ``path`` to the rim of a node, ``angle`` away from the flow's direction.

    Returns the path, now up to the arrowhead, and the arrowhead.
    """
    dx, dy = FLOW[diagram.direction]
    width, height = diagram.nodes[head].size
    x, y = node.center
    along, across = -math.cos(angle), math.sin(angle)
    if width == height:
        half = width / 2.0
        tip = (
            x + half * (along * dx + across * abs(dy)),
            y + half * (along * dy + across * abs(dx)),
        )
        lean = 0.6 * angle  # between straight ahead and straight to the middle
    else:  # a box: along its entering side
        length, breadth = (width, height) if dx else (height, width)
        sideways = 0.4 * breadth * angle / _SPREAD
        tip = (
            x - length / 2.0 * dx + sideways * abs(dy),
            y - length / 2.0 * dy + sideways * abs(dx),
        )
        lean = 0.0
    # The unit vector in which the arrow points, and its perpendicular.
    ahead, aside = math.cos(lean), -math.sin(lean)
    ux, uy = ahead * dx + aside * abs(dy), ahead * dy + aside * abs(dx)
    base = (tip[0] - ARROW_LENGTH * ux, tip[1] - ARROW_LENGTH * uy)
    arrow = (
        (base[0] - _ARROW_HALF * uy, base[1] + _ARROW_HALF * ux),
        tip,
        (base[0] + _ARROW_HALF * uy, base[1] - _ARROW_HALF * ux),
    )
    # The last handle keeps its length and turns with the arrow.
    (hx, hy), (ex, ey) = path[-2], path[-1]
    handle = max(4.0, math.hypot(ex - hx, ey - hy) - ARROW_LENGTH)
    return (*path[:-2], (base[0] - handle * ux, base[1] - handle * uy), base), arrow

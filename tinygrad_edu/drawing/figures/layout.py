"""Where everything goes: Graphviz's answer, read back into coordinates.

Points as in SVG: 1/72 inch, x to the right, y down, the figure's corner at (0, 0).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tinygrad_edu.drawing.figures.arrivals import arrive
from tinygrad_edu.drawing.figures.diagram import Diagram, Link, dot_text
from tinygrad_edu.drawing.figures.geometry import (
    Box,
    Frame,
    Obstacles,
    Path,
    Point,
    box_of,
    middle_of,
)
from tinygrad_edu.drawing.figures.layout_engines import run_graphviz

MARGIN = 10.0


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
    (left, bottom), (right, top) = box_of(_drawn(graph))
    frame = Frame(diagram.direction)

    def points(item: dict[str, Any]) -> Path:
        return tuple(frame.into((x - left + MARGIN, top - y + MARGIN)) for x, y in _drawn(item))

    # Subgraphs are among the objects, and have no drawing operations.
    boxes = {x["name"]: box_of(points(x)) for x in graph.get("objects", ()) if _drawn(x)}
    rooms = [boxes[f"n{index}"] for index in range(len(diagram.nodes))]
    nodes = [_place_node(diagram, index, room) for index, room in enumerate(rooms)]
    references = {
        diagram.links[int(name[1:])]: box for name, box in boxes.items() if name.startswith("r")
    }
    drawn = {edge["id"]: points(edge) for edge in graph.get("edges", ())}
    paths = {}
    for link in diagram.links:
        path = drawn[f"e-{link.tail}-{link.head}-{link.position}"]
        if link not in references and diagram.nodes[link.tail].above is not None:
            path = (nodes[link.tail].stem_end, *path[1:])  # Graphviz leaves a small gap
        paths[link] = path
    obstacles = Obstacles([*rooms, *references.values()])
    arrived = arrive(diagram, [node.center for node in nodes], paths, obstacles)

    out = frame.out
    links = []
    for link in diagram.links:
        path, (a, tip, b) = arrived[link]
        reference = out(middle_of(references[link])) if link in references else None
        links.append(PlacedLink(link, tuple(map(out, path)), (out(a), out(tip), out(b)), reference))
    return Layout(
        diagram,
        right - left + 2.0 * MARGIN,
        top - bottom + 2.0 * MARGIN,
        tuple(PlacedNode(out(x.center), out(x.stem_start), out(x.stem_end)) for x in nodes),
        tuple(links),
    )


def _drawn(item: dict[str, Any]) -> Sequence[Point]:
    """Return the points of the first drawing operation that has some."""
    return next((op["points"] for op in item.get("_draw_", ()) if "points" in op), ())


def _place_node(diagram: Diagram, index: int, room: Box) -> PlacedNode:
    """Split the box that Graphviz placed into node and stem, along the flow."""
    node = diagram.nodes[index]
    own, stem = diagram.along(node)
    along, across = middle_of(room)
    along -= stem / 2.0  # from the middle of the box to the middle of the node
    half = node.size[0 if diagram.is_horizontal else 1] / 2.0 if stem else 0.0
    end = own / 2.0 + stem if stem else 0.0
    return PlacedNode((along, across), (along + half, across), (along + end, across))

"""Where everything goes: Graphviz's answer, or that of our own layout, as a figure's coordinates.

Points as in SVG: 1/72 inch, x to the right, y down, the figure's corner at (0, 0).
"""

from __future__ import annotations

import json
import math
import textwrap
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tinygrad_edu.drawing.figures.arrivals import arrive, operand_places
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
from tinygrad_edu.drawing.figures.layered import Arrangement, arrange
from tinygrad_edu.drawing.figures.layout_engines import (
    Engine,
    GaveUpError,
    NoGraphvizError,
    Renderer,
    preferred_engine,
    run_graphviz,
)
from tinygrad_edu.drawing.figures.text import LINE_HEIGHT, text_width

MARGIN = 10.0
NOTE_SIZE = 11.0  # font size of the note below a figure


@dataclass(frozen=True)
class PlacedNode:
    """A node: the middle of its circle or box, and the two ends of its stem (none: both equal)."""

    center: Point
    stem_start: Point
    stem_end: Point


@dataclass(frozen=True)
class PlacedLink:
    """A link: its curve up to the arrowhead, and the three corners of the arrowhead.

    Where the link is cut, ``reference`` is the middle of the reference that it comes from; where
    its place among the operands is written, ``operand`` is the middle of that number.
    """

    link: Link
    path: Path
    arrow: tuple[Point, Point, Point]
    reference: Point | None = None
    operand: Point | None = None


@dataclass(frozen=True)
class Layout:
    """A diagram with coordinates; ``nodes`` and ``links`` are in the diagram's order.

    ``note`` are the lines below the figure.
    """

    diagram: Diagram
    width: float
    height: float
    nodes: tuple[PlacedNode, ...]
    links: tuple[PlacedLink, ...]
    note: tuple[str, ...] = ()


def place(
    diagram: Diagram, *, engine: Engine | Renderer | None = None, time_limit: float | None = None
) -> Layout:
    """Lay ``diagram`` out: with Graphviz, or by ourselves where that is missing or gives up.

    Args:
        diagram: What to lay out.
        engine: What does it: ``"dot"``, ``"wasm"``, ``"plain"`` or a function (see
            ``use_layout_engine``); by default what was chosen there, else the best there is.
        time_limit: Seconds for Graphviz, by default ``layout_engines.TIME_LIMIT``.

    Raises:
        FileNotFoundError, NoGraphvizError: If ``engine`` names a Graphviz that is not there.
        RuntimeError: If Graphviz refuses the DOT text.

    Warns:
        RuntimeWarning: If our own layout stands in for Graphviz.
    """
    engine = engine or preferred_engine()
    if engine != "plain":
        try:
            output = run_graphviz(
                dot_text(diagram, layout=True), "json", engine=engine, time_limit=time_limit
            )
            return read_layout(diagram, output)
        except (TimeoutError, GaveUpError) as error:
            warnings.warn(f"{error}; {_STANDS_IN} {_SMALLER}", RuntimeWarning, stacklevel=2)
        except NoGraphvizError as error:
            if engine is not None:
                raise
            warnings.warn(f"{error}; {_STANDS_IN}", RuntimeWarning, stacklevel=2)
    return _finish(diagram, *_in_frame(diagram, arrange(diagram)))


_STANDS_IN = "the figure has the package's own, plainer layout."
_SMALLER = "For a smaller figure pass depth=3, fold=... or draw a node further back."


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
    drawn = {edge["id"]: points(edge) for edge in graph.get("edges", ()) if "id" in edge}
    arrangement = Arrangement(
        [boxes[f"n{index}"] for index in range(len(diagram.nodes))],
        {diagram.links[int(name[1:])]: box for name, box in boxes.items() if name.startswith("r")},
        {link: drawn[f"e-{link.tail}-{link.head}-{link.position}"] for link in diagram.links},
        (right - left, top - bottom),
    )
    return _finish(diagram, arrangement, (right - left, top - bottom))


def _in_frame(diagram: Diagram, arranged: Arrangement) -> tuple[Arrangement, Point]:
    """Move flow coordinates that start at (0, 0) to where ``Frame`` has a figure with margins."""
    sign = Frame(diagram.direction).sign
    along, across = arranged.size
    shift = MARGIN if sign > 0.0 else -along - MARGIN

    def moved(point: Point) -> Point:
        return point[0] + shift, point[1] + MARGIN

    moved_arrangement = Arrangement(
        [(moved(a), moved(b)) for a, b in arranged.rooms],
        {link: (moved(a), moved(b)) for link, (a, b) in arranged.references.items()},
        {link: tuple(map(moved, path)) for link, path in arranged.paths.items()},
        arranged.size,
    )
    return moved_arrangement, (along, across) if diagram.is_horizontal else (across, along)


def _finish(diagram: Diagram, arranged: Arrangement, size: Point) -> Layout:
    """Lead the links to their places on the circles, and turn everything into the figure."""
    frame = Frame(diagram.direction)
    rooms, references = arranged.rooms, arranged.references
    nodes = [_place_node(diagram, index, room) for index, room in enumerate(rooms)]
    paths = {}
    for link in diagram.links:
        path = arranged.paths[link]
        if link not in references and diagram.nodes[link.tail].above is not None:
            path = (nodes[link.tail].stem_end, *path[1:])  # Graphviz leaves a small gap
        paths[link] = path
    obstacles = Obstacles([*rooms, *references.values()])
    arrived = arrive(diagram, [node.center for node in nodes], paths, obstacles)

    numbers = operand_places(diagram, arrived, [*rooms, *references.values()])
    out = frame.out
    links = []
    for link in diagram.links:
        path, (a, tip, b) = arrived[link]
        reference = out(middle_of(references[link])) if link in references else None
        number = out(numbers[link]) if link in numbers else None
        arrow = (out(a), out(tip), out(b))
        links.append(PlacedLink(link, tuple(map(out, path)), arrow, reference, number))
    note, width = _note(diagram.note, size[0])
    return Layout(
        diagram,
        math.ceil(width + 2.0 * MARGIN),  # whole points, so that a PNG has whole pixels
        math.ceil(size[1] + 2.0 * MARGIN + len(note) * NOTE_SIZE * LINE_HEIGHT),
        tuple(PlacedNode(out(x.center), out(x.stem_start), out(x.stem_end)) for x in nodes),
        tuple(links),
        note,
    )


def _note(text: str, width: float) -> tuple[tuple[str, ...], float]:
    """Break the note below a figure into lines; return them and the width that they need."""
    lines = textwrap.wrap(text, max(36, int(width / (0.5 * NOTE_SIZE))))
    return tuple(lines), max([width, *(text_width(line, NOTE_SIZE) for line in lines)])


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

"""The figure of a course at one moment, as a still: what the page shows, for paper and film.

A still is the figure's own SVG with some of its numbers not yet there, colours that say where the
pass has come to, and the tags of the terms that have just arrived. Only presentation attributes
are used, so it is drawn alike as SVG, PNG and PDF.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from itertools import pairwise
from typing import NamedTuple
from xml.etree import ElementTree

from tinygrad_edu.drawing.figures.diagram import (
    GRADIENT_COLOR,
    NUMBER_GAP,
    NUMBER_SIZE,
    VALUE_COLOR,
)
from tinygrad_edu.drawing.figures.elements import svg_element, svg_text_element
from tinygrad_edu.drawing.figures.geometry import Point, point_on
from tinygrad_edu.drawing.figures.layout import PlacedLink, PlacedNode
from tinygrad_edu.drawing.figures.svg import svg_text
from tinygrad_edu.drawing.figures.text import number_text, text_width
from tinygrad_edu.drawing.pages.course import Course, Moment, on_paper

_SVG = "{http://www.w3.org/2000/svg}"
_INK = "#1f2328"
_FAINT = 0.32  # how much of a colour is left where a pass has not come to
_GAP = 3.0  # between a tag and anything else
_TAG_SIZE, _TAG_HEIGHT = 11.5, 31.0
_MOST_TAGS = 4
_MADE_ROOM = 150  # nodes; larger figures have gaps enough, and looking takes time


class Rect(NamedTuple):
    x: float
    y: float
    width: float
    height: float

    def near(self, other: Rect) -> bool:
        """Whether the two are less than a gap apart."""
        return (
            min(self.x + self.width, other.x + other.width) - max(self.x, other.x) > -_GAP
            and min(self.y + self.height, other.y + other.height) - max(self.y, other.y) > -_GAP
        )

    def holds(self, other: Rect) -> bool:
        return (
            self.x <= other.x and other.x + other.width <= self.x + self.width
            and self.y <= other.y and other.y + other.height <= self.y + self.height
        )  # fmt: skip


class Stills:
    """Makes the stills of one course; they all have the same ``width`` and ``height``.

    >>> from tinygrad_edu import Value
    >>> x = Value(3.0, "x")
    >>> stills = Stills(Course(x * x, "page"))
    >>> ">9<" in stills.fragment(Moment("start")), ">9<" in stills.fragment(Moment("end"))
    (False, True)
    """

    def __init__(self, course: Course) -> None:
        self.course = course
        self.width, self.height = course.layout.width, course.layout.height
        self._svg = svg_text(course.layout)
        self._links = {(x.link.tail, x.link.head, x.link.position): x for x in course.layout.links}
        self._taken = list(_obstacles(course))
        self._forward = {x.node: k for k, x in enumerate(course.moments) if x.part == "forward"}
        self._backward = {x.node: k for k, x in enumerate(course.moments) if x.part == "backward"}
        if len(course.rule.nodes) <= _MADE_ROOM:
            self._below = max(self._tags(moment)[1] for moment in course.moments)
            self.height += self._below + 4.0 if self._below else 0.0

    def fragment(self, moment: Moment) -> str:
        """The figure at a moment, as the inside of an SVG document."""
        course = self.course
        now = course.moments.index(moment)
        arrived = course.rule.terms[moment.node][: moment.arrived] if moment.node >= 0 else []
        root = _plain(self._svg)
        for group in _all(root, "g"):
            kinds = group.get("class", "").split()
            if "node" in kinds:
                self._dress_node(group, moment, now)
            elif "edge" in kinds:
                self._dress_edge(group, moment, now, [(x.child, x.position) for x in arrived])
        inside = [x for x in root if x.tag not in ("title", "desc", "rect")]
        figure = "\n".join(ElementTree.tostring(x, encoding="unicode") for x in inside)
        return "\n".join([figure, *self._tags(moment)[0]])

    def bare(self, blanks: Callable[[str, int], bool]) -> str:
        """The finished figure with empty boxes where ``blanks("value" or "gradient", i)`` says."""
        root = _plain(self._svg)
        boxes = []
        for i, placed in enumerate(self.course.layout.nodes):
            for kind in ("value", "gradient"):
                if blanks(kind, i) and _remove(root, f"{kind}-{i}"):
                    box = _number_box(placed, kind)
                    boxes.append(
                        svg_element("rect", class_="blank", x=f"{box.x:.1f}", y=f"{box.y:.1f}",
                                    width=f"{box.width:.1f}", height=f"{box.height:.1f}", rx="2",
                                    fill="#ffffff", stroke=_COLORS[kind], stroke_width="0.8")
                    )  # fmt: skip
        for group in _all(root, "title"):
            group.text = (group.text or "").split("\n")[0] if not boxes else ""
        inside = [x for x in root if x.tag not in ("title", "desc", "rect")]
        return "\n".join([*(ElementTree.tostring(x, encoding="unicode") for x in inside), *boxes])

    def _dress_node(self, group: ElementTree.Element, moment: Moment, now: int) -> None:
        i = int(group.attrib["id"].removeprefix("node-"))
        course = self.course
        building = moment.part == "backward" and moment.node == i
        computed = self._forward.get(i, 0) <= now
        if not computed:
            _remove(group, f"value-{i}")
            _fade(group)
        if not building and self._backward.get(i, math.inf) > now:
            _remove(group, f"gradient-{i}")
        if building and moment.arrived < len(course.rule.terms[i]):
            so_far = sum(term.share for term in course.rule.terms[i][: moment.arrived])
            for text in _all(group, "text"):
                if text.get("id") == f"gradient-{i}":
                    text.text = number_text(so_far, ".4g")
        if moment.node == i:
            for shape in group:
                if shape.get("class") == "shape":
                    shape.set("stroke", _COLORS[_BRINGS[moment.part]])
                    shape.set("stroke-width", "3.5")

    def _dress_edge(
        self, group: ElementTree.Element, moment: Moment, now: int, arrived: list[tuple[int, int]]
    ) -> None:
        tail, head, position = (int(group.attrib[f"data-{x}"]) for x in _ENDS)
        if moment.part == "forward" and moment.node == head:
            color, width, dashes = VALUE_COLOR, "3", ""
        elif moment.part == "backward" and tail == moment.node and (head, position) in arrived:
            newest = arrived[-1] == (head, position)
            color, width, dashes = GRADIENT_COLOR, "3" if newest else "2", "7 4"
        else:
            if self._forward.get(head, 0) > now:
                _fade(group, "#57606a")
            return
        group.set("stroke", color)
        for path in group.findall("path"):
            path.set("stroke-width", width)
            if dashes:
                path.set("stroke-dasharray", dashes)
        for arrow in group.findall("polygon"):
            if dashes:  # what flows back has no arrow forwards
                group.remove(arrow)
            else:
                arrow.set("fill", color)

    # --- tags: on the edges that carry gradients, the local derivative and what arrives ---

    def _tags(self, moment: Moment) -> tuple[list[str], float]:
        """The tags of a moment, and how much room they need below the figure."""
        i, course = moment.node, self.course
        last = len(course.rule.nodes) - 1
        if moment.part != "backward" or i == last:
            return [], 0.0
        taken, below, parts = list(self._taken), 0.0, list[str]()
        number = course.writer.formula.number
        arrived = course.rule.terms[i][: moment.arrived]
        area = Rect(0.0, 0.0, self.width, course.layout.height)
        for term in arrived[-_MOST_TAGS:]:
            local = course.writer.local_name(i, term)
            what = "local derivative" if len(local) > 16 else local
            value = number(term.local)
            product = value.text
            if term.child != last:
                factor = number(term.upstream).text
                product = f"{factor} * {_bracketed(value.text)} = {number(term.share).text}"
            lines = [on_paper(f"{what} = {value.text}"), on_paper(product)]
            width = max(text_width(line, _TAG_SIZE) for line in lines) + 8.0
            anchors = _anchors(self._links[i, term.child, term.position])
            box = _free_place(width, anchors, taken, area)
            if box is None:
                x = max(0.0, min(anchors[0][0] - width / 2.0, area.width - width))
                box = Rect(x, area.height + below, width, _TAG_HEIGHT)
                below += _TAG_HEIGHT + _GAP
            taken.append(box)
            anchor = min(anchors[:3], key=lambda x: math.dist(x, _middle(box)))
            parts += _tag(box, anchor, lines)
        return parts, below


_COLORS = {"value": VALUE_COLOR, "gradient": GRADIENT_COLOR}
_BRINGS = {"forward": "value", "backward": "gradient"}
_ENDS = ("tail", "head", "position")


def _bracketed(text: str) -> str:
    return f"({text})" if text.startswith("-") else text


def _tag(box: Rect, anchor: Point, lines: list[str]) -> Iterable[str]:
    x, y = anchor
    end = (min(max(x, box.x), box.x + box.width), min(max(y, box.y), box.y + box.height))
    if end != anchor:  # it found no room on its edge: a line leads there
        yield svg_element("line", x1=f"{x:.1f}", y1=f"{y:.1f}", x2=f"{end[0]:.1f}",
                          y2=f"{end[1]:.1f}", fill="none", stroke=GRADIENT_COLOR, stroke_width="1",
                          stroke_dasharray="2 2")  # fmt: skip
    yield svg_element("rect", class_="tag", x=f"{box.x:.1f}", y=f"{box.y:.1f}", rx="4",
                      width=f"{box.width:.1f}", height=f"{box.height:.1f}", fill="#ffffff",
                      stroke=GRADIENT_COLOR, stroke_width="1")  # fmt: skip
    for line, down, color in zip(lines, (12.0, 26.0), (_INK, GRADIENT_COLOR)):
        yield svg_text_element(
            _middle(box)[0], box.y + down, line, _TAG_SIZE, color, kind="tag", anchor="middle"
        )


def _middle(box: Rect) -> Point:
    return box.x + box.width / 2.0, box.y + box.height / 2.0


def _free_place(width: float, anchors: list[Point], taken: list[Rect], area: Rect) -> Rect | None:
    """Find a place for a tag: on its edge where there is room, else around it, the nearest."""

    def free(x: float, y: float) -> Rect | None:
        box = Rect(x - width / 2.0, y - _TAG_HEIGHT / 2.0, width, _TAG_HEIGHT)
        return box if area.holds(box) and not any(map(box.near, taken)) else None

    for x, y in anchors:
        if box := free(x, y):
            return box
    for step in range(1, 61):
        for x, y in anchors[:3]:
            for k in range(16):
                angle = k * math.pi / 8.0
                if box := free(x + 9.0 * step * math.cos(angle), y + 9.0 * step * math.sin(angle)):
                    return box
    return None


def _anchors(placed: PlacedLink) -> list[Point]:
    """Points along a link, from its middle outwards; on a long one near its start."""
    path = placed.path
    points = [
        point_on(path[k : k + 4], t / 16.0) for k in range(0, len(path) - 1, 3) for t in range(17)
    ]
    lengths = [0.0]
    for a, b in pairwise(points):
        lengths.append(lengths[-1] + math.dist(a, b))
    reach = min(lengths[-1], 400.0)
    shares = (0.5, 0.4, 0.6, 0.3, 0.7, 0.22, 0.78, 0.15, 0.85)
    return [
        next(point for point, at in zip(points, lengths) if at >= share * reach - 1e-9)
        for share in shares
    ]


def _obstacles(course: Course) -> Iterable[Rect]:
    """All in the figure that must stay readable; a number that is not there yet keeps its place."""
    for node, placed in zip(course.layout.diagram.nodes, course.layout.nodes):
        (x, y), (width, height) = placed.center, node.size
        yield Rect(x - width / 2.0, y - height / 2.0, width, height)
        if node.above is not None:
            for kind, text in (("value", node.above), ("gradient", node.below)):
                box = _number_box(placed, kind)
                width = max(box.width, text_width(text, NUMBER_SIZE))
                yield Rect(box.x + (box.width - width) / 2.0, box.y, width, box.height)


def _number_box(placed: PlacedNode, kind: str) -> Rect:
    """The room of a number beside its stem, in a figure whose flow runs along the lines."""
    x = (placed.stem_start[0] + placed.stem_end[0]) / 2.0
    y = placed.stem_start[1]
    width = 3.5 * NUMBER_SIZE
    top = y - NUMBER_GAP - 0.82 * NUMBER_SIZE
    if kind == "gradient":
        top = y + NUMBER_GAP + (0.66 - 0.82) * NUMBER_SIZE
    return Rect(x - width / 2.0, top, width, NUMBER_SIZE)


# --- a figure's own SVG, taken apart ---


def _plain(svg: str) -> ElementTree.Element:
    """Parse SVG, with the names of its elements as they are written."""
    root = ElementTree.fromstring(svg)
    for element in root.iter():
        element.tag = element.tag.removeprefix(_SVG)
    return root


def _all(root: ElementTree.Element, tag: str) -> list[ElementTree.Element]:
    return list(root.iter(tag))


def _remove(root: ElementTree.Element, name: str) -> bool:
    """Take the element with this id out; tell whether it was there."""
    for parent in root.iter():
        for child in parent:
            if child.get("id") == name:
                parent.remove(child)
                return True
    return False


def _fade(group: ElementTree.Element, stroke: str = "") -> None:
    """Draw a part in pale colours, for the pass has not come to it."""
    if stroke:
        group.set("stroke", stroke)
    for element in group.iter():
        for name in ("fill", "stroke"):
            color = element.get(name, "")
            if color.startswith("#"):
                channels = (int(color[k : k + 2], 16) for k in (1, 3, 5))
                mixed = (round(255 - _FAINT * (255 - channel)) for channel in channels)
                element.set(name, "#" + "".join(f"{channel:02x}" for channel in mixed))

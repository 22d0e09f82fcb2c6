"""What a figure consists of, apart from any Value: nodes, stems and links, and their DOT text.

A ``Diagram`` is plain data that says what to draw; where things go is left to Graphviz. All texts
get their room here, from ``text.py``, and Graphviz is told sizes only: the layout depends on no
font, is the same with and without a system ``dot``, and no text can come to lie on a line.

A node's two numbers stand on its *stem*: the straight line that leaves the node, with the forward
value above it and the gradient below it. From the end of the stem the links fan out to the nodes
that use the value. That is how the notes' figures read: what a node computes is written once, after
the node, and paths join where the stem ends.
"""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any, Literal

from tinygrad_edu.drawing.figures.references import columns, cut_links
from tinygrad_edu.drawing.figures.text import LINE_HEIGHT, name_width, text_width, typeset

Direction = Literal["LR", "RL", "TB", "BT"]
DIRECTIONS: tuple[Direction, ...] = ("LR", "RL", "TB", "BT")
# The sides, in Graphviz's words, at which links enter and leave a node.
_SIDES = {"LR": ("w", "e"), "RL": ("e", "w"), "TB": ("n", "s"), "BT": ("s", "n")}

TITLE_SIZE = 17.0  # font sizes, in points
NAME_SIZE = 13.0
NUMBER_SIZE = 13.0
VALUE_COLOR = "#15803d"  # the notes' green: what the forward pass computed
GRADIENT_COLOR = "#c81e1e"  # the notes' red: what the backward pass computed

NUMBER_GAP = 5.0  # between the stem and the numbers beside it
_STEM_MARGIN = 8.0  # between the numbers and the ends of their stem
_LONG_STEM = 110.0  # stems that need more room than this do not set the length of the others
_DIAMETER = 40.0  # of a node's circle, unless its text needs more
_SMALL_DIAMETER = 30.0  # of the circle of a constant
_MAX_DIAMETER = 62.0  # a node that needs more than this becomes a box with round corners

# Graphviz's time grows faster than the graph. From so many nodes on long lines are cut, and from so
# many on Graphviz is told which columns the nodes stand in, and to end its search for better rows
# early.
_LARGE = 400
_HUGE = 1500
_FEW_OPERANDS = 3  # of a node with more Graphviz may choose the order: a neuron's, weight by weight
_MANY_LINKS = 1500  # from so many on long lines are cut, too


@dataclass(frozen=True)
class Node:
    """One circle: an input or an operation.

    Attributes:
        title: The text in the middle, by lines: an input's name or an operation's symbol.
        name: A second, smaller text under the title, by lines: the name of an operation's result.
        description: What a pointing device or a screen reader tells about the node.
        kind: Class names for the SVG, such as ``"input"``; they choose the look (see ``svg.py``).
        above: The number above the stem (the forward value); ``None``: the node has no stem.
        below: The number below the stem (the gradient), empty for none.
        first: Whether the node stands in the first column.
        ends: Whether an arrow leaves the figure here: the node is an output.
        ordered: Whether it matters which operand is which; then operands that do not arrive in
            order, from the top or from the left, are numbered.
    """

    title: tuple[str, ...]
    name: tuple[str, ...] = ()
    description: str = ""
    kind: str = "operation"
    above: str | None = None
    below: str = ""
    first: bool = False
    ends: bool = False
    ordered: bool = False

    @cached_property
    def size(self) -> tuple[float, float]:
        """Width and height of the node, in points; a circle where they are equal."""
        measure = name_width if self.is_named else text_width
        widths = [measure(line, TITLE_SIZE) for line in self.title]
        widths += [name_width(line, NAME_SIZE) for line in self.name]
        width = max(widths, default=0.0)
        height = (len(self.title) * TITLE_SIZE + len(self.name) * NAME_SIZE) * LINE_HEIGHT
        # Letters do not fill the corners of their room, so the circle may cut them off a little.
        needed = math.ceil(math.hypot(width, 0.8 * height) + 4.0)
        if needed > _MAX_DIAMETER:
            return math.ceil(width + 16.0), max(_DIAMETER, math.ceil(height + 8.0))
        diameter = max(_SMALL_DIAMETER if self.above is None else _DIAMETER, needed)
        return diameter, diameter

    @property
    def is_named(self) -> bool:
        """Whether the title is a name, which is typeset, rather than a symbol or a number."""
        return not {"operation", "constant"} & set(self.kind.split())

    @property
    def is_circle(self) -> bool:
        return self.size[0] == self.size[1]


@dataclass(frozen=True)
class Link:
    """A line from the end of one node's stem to another node: ``tail`` is an operand of ``head``.

    Attributes:
        tail: Index of the node that computes the value.
        head: Index of the node that uses it.
        position: Which operand of ``head`` it is, from 0; tells the two links of ``x*x`` apart.
        number: What is written beside the arrowhead where operands have to be told apart, by
            default the position, counted from 1.
    """

    tail: int
    head: int
    position: int = 0
    number: str | None = None

    @property
    def operand(self) -> str:
        """What is written where operands have to be told apart."""
        return str(self.position + 1) if self.number is None else self.number


@dataclass(frozen=True)
class Diagram:
    """Nodes and links, operands before the nodes that use them, and texts about the whole.

    The gaps are those between columns and between the rows of a column, in inches; pages that write
    on links need larger ones. ``note`` is a line of text below the figure;
    ``stacks`` are nodes that stand in one column in the order given, a layer's neurons.

    >>> x, y = Node(("x",), above="2"), Node(("y",), above="3")
    >>> total = Node(("+",), above="5", ends=True)
    >>> diagram = Diagram((x, y, total), (Link(0, 2), Link(1, 2, 1)), title="x + y")
    >>> print(dot_text(diagram))
    digraph "x + y" {
    ...
    """

    nodes: tuple[Node, ...]
    links: tuple[Link, ...]
    title: str = ""
    description: str = ""
    direction: Direction = "LR"
    column_gap: float = 0.5
    row_gap: float = 0.2
    note: str = ""
    stacks: tuple[tuple[int, ...], ...] = ()

    @property
    def is_horizontal(self) -> bool:
        """Whether the flow runs along the lines of text."""
        return self.direction in ("LR", "RL")

    @cached_property
    def circle_room(self) -> float:
        """Room for a circle along the flow, the same for all: circles line up in columns."""
        return max((node.size[0] for node in self.nodes if node.is_circle), default=0.0)

    @cached_property
    def stem_room(self) -> float:
        """Length of a stem, the same for all but the longest, for the same reason."""
        lengths = [self._stem_needs(node)[0] for node in self.nodes if node.above is not None]
        return max((length for length in lengths if length <= _LONG_STEM), default=0.0)

    def _stem_needs(self, node: Node) -> tuple[float, float]:
        """Length and breadth of the room that a stem and its numbers need."""
        width = max(text_width(text, NUMBER_SIZE) for text in (node.above or "", node.below))
        height = NUMBER_SIZE * LINE_HEIGHT
        if self.is_horizontal:
            return width + 2.0 * _STEM_MARGIN, 2.0 * (height + NUMBER_GAP - 2.0)
        return height + 2.0 * _STEM_MARGIN, 2.0 * (width + NUMBER_GAP + 2.0)

    def along(self, node: Node) -> tuple[float, float]:
        """Room along the flow: for the node itself, and for its stem."""
        own = node.size[0 if self.is_horizontal else 1]
        if node.above is None:
            return own, 0.0
        room = max(own, self.circle_room) if node.is_circle else own
        return room, max(self._stem_needs(node)[0], self.stem_room)

    def box(self, node: Node) -> tuple[float, float]:
        """Width and height of the box that Graphviz places: the node and its stem, in points."""
        own, stem = self.along(node)
        across = node.size[1 if self.is_horizontal else 0]
        if node.above is not None:
            across = max(across, self._stem_needs(node)[1])
        return (own + stem, across) if self.is_horizontal else (across, own + stem)

    @cached_property
    def columns(self) -> Sequence[int]:
        """A column for each node; used for large figures (see ``references.py``)."""
        return columns(len(self.nodes), self.links)

    @cached_property
    def cut(self) -> frozenset[Link]:
        """The links of a large figure that are drawn as references (see ``references.py``)."""
        large = len(self.nodes) >= _LARGE or len(self.links) >= _MANY_LINKS
        return cut_links(self.columns, self.links) if large else frozenset()

    @cached_property
    def main_links(self) -> set[Link]:
        """The links that are kept straight: to each node the one from the longest way behind it.

        Else a long chain of operations would wander off to one side, step by step.
        """
        depth = [0] * len(self.nodes)
        entering: dict[int, list[Link]] = {}
        for link in sorted(self.links, key=lambda link: link.head):
            depth[link.head] = max(depth[link.head], depth[link.tail] + 1)
            entering.setdefault(link.head, []).append(link)
        main = set()
        for head, links in entering.items():
            longest = [link for link in links if depth[link.tail] == depth[head] - 1]
            if len({link.tail for link in longest}) == 1:
                main.add(longest[0])
        return main

    def reference_text(self, link: Link) -> str:
        """What a reference to the distant end of ``link`` says: the name there, or the value."""
        node = self.nodes[link.tail]
        lines = node.name or (node.title if "operation" not in node.kind.split() else ())
        return lines[0] if lines else f"{node.above}"

    def reference_size(self, link: Link) -> tuple[float, float]:
        """Width and height of a reference, in points."""
        return name_width(self.reference_text(link), NUMBER_SIZE) + 8.0, NUMBER_SIZE + 7.0


def dot_text(diagram: Diagram, *, layout: bool = False) -> str:
    """Return the DOT text of ``diagram``: what ``.dot`` files hold, and what Graphviz lays out.

    Node ``i`` is ``n<i>``, and a link has the id ``e-<tail>-<head>-<position>``, the same from run
    to run. For the layout every size is fixed, so it depends on no font; in a file boxes grow with
    the text that whoever draws it has.

    Args:
        layout: Leave the texts away, which we write ourselves, and put references ``r<i>`` in the
            place of links that are cut (see ``Diagram.cut``).
    """
    import graphviz

    graph = graphviz.Digraph(
        "layout" if layout else graphviz.escape(diagram.title),
        graph_attr={
            "rankdir": diagram.direction,
            "nodesep": f"{diagram.row_gap:g}",
            "ranksep": f"{diagram.column_gap:g}",
        },
        node_attr={"label": "", "shape": "box", "fixedsize": "true"},
    )
    if len(diagram.nodes) >= _HUGE:
        graph.attr("graph", nslimit="0.05", mclimit="0.01")
    if not layout:
        look = {"fontname": "Times", "style": "rounded", "fixedsize": "false", "margin": "0.1,0.03"}
        graph.attr("node", **look, width="0.6", height="0.5")
        graph.attr("edge", arrowsize="0.6", labelfontsize="10", labelfontcolor="#57606a")
    operands = [0] * len(diagram.nodes)
    for link in diagram.links:
        operands[link.head] += 1
    for index, node in enumerate(diagram.nodes):
        look = _inches(diagram.box(node)) if layout else {"label": _dot_label(node)}
        if len(diagram.nodes) < _LARGE and 1 < operands[index] <= _FEW_OPERANDS:
            look["ordering"] = "in"  # operands from top to bottom: a - b is not b - a
        graph.node(f"n{index}", **look)
    first = [f"n{index}" for index, node in enumerate(diagram.nodes) if node.first]
    if first and len(diagram.nodes) < _HUGE:
        with graph.subgraph() as column:
            column.attr(rank="min")
            for name in first:
                column.node(name)
    for stack in diagram.stacks if len(diagram.nodes) < _LARGE else ():
        with graph.subgraph() as column:
            column.attr(rank="same")
            for above, below in pairwise(stack):
                column.edge(f"n{above}", f"n{below}", style="invis")
    enters, leaves = _SIDES[diagram.direction]
    straight = diagram.main_links
    for index, link in enumerate(diagram.links):
        tail = f"n{link.tail}"
        if layout and link in diagram.cut:
            tail = f"r{index}"
            graph.node(tail, **_inches(diagram.reference_size(link)))
        look = {"weight": "3"} if link in straight else {}
        if not layout and diagram.nodes[link.head].ordered and link.operand:
            look["headlabel"] = link.operand
        graph.edge(
            f"{tail}:{leaves}",
            f"n{link.head}:{enters}",
            id=f"e-{link.tail}-{link.head}-{link.position}",
            **look,
        )
    if layout and len(diagram.nodes) >= _HUGE:
        _add_columns(graph, diagram)
    return str(graph.source)


def _add_columns(graph: Any, diagram: Diagram) -> None:
    """Tell Graphviz which nodes, and references, stand in one column."""
    members: dict[int, list[str]] = {}
    for index, column in enumerate(diagram.columns):
        members.setdefault(column, []).append(f"n{index}")
    for index, link in enumerate(diagram.links):
        if link in diagram.cut:
            members[diagram.columns[link.head] - 1].append(f"r{index}")
    for names in members.values():
        with graph.subgraph() as column:
            column.attr(rank="same")
            for name in names:
                column.node(name)


def _inches(size: tuple[float, float]) -> dict[str, str]:
    width, height = size
    return {"width": f"{width / 72.0:.4f}", "height": f"{height / 72.0:.4f}"}


def _dot_label(node: Node) -> Any:
    """Return a node's label in Graphviz's HTML-like text, which can colour the numbers."""
    rows = [_dot_name(line) if node.is_named else _dot_escaped(line) for line in node.title]
    rows += [f"<i>{_dot_name(line)}</i>" for line in node.name if line]
    numbers = [
        f'<font color="{color}">{_dot_escaped(text)}</font>'
        for text, color in ((node.above, VALUE_COLOR), (node.below, GRADIENT_COLOR))
        if text
    ]
    if numbers:
        rows.append("&#160; ".join(numbers))
    return f"<{'<br/>'.join(rows)}>"


def _dot_name(name: str) -> str:
    wrap = {0: "{}", -1: "<sub>{}</sub>", 1: "<sup>{}</sup>"}
    return "".join(wrap[shift].format(_dot_escaped(text)) for text, shift in typeset(name))


def _dot_escaped(text: str) -> str:
    r"""Escape markup, and the backslash: Graphviz has ``\N`` stand for the node's own name."""
    return html.escape(text).replace("\\", "\\\\")

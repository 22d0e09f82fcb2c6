"""The picture itself: a placed diagram as SVG text.

What a script or a style sheet may rely on (``<i>`` is the node's place in ``Diagram.nodes``):

=============================== ===================================================================
``g#node-<i>.node``             one node with its kind as further classes; holds ``.shape`` (circle
                                or box), ``.title``, ``.name``, ``.stem``, ``.value``, ``.gradient``
``text#value-<i>.value``        the forward value, above the stem (left of it in vertical figures)
``text#gradient-<i>.gradient``  the gradient, below the stem (right of it)
``g#edge-<t>-<h>-<k>.edge``     the link by which node ``t`` is operand ``k`` of node ``h``; also in
                                ``data-tail``, ``data-head``, ``data-position``; a link that is cut
                                has its ``text.reference`` here, and one whose place among the
                                operands has to be said its ``text.operand``
=============================== ===================================================================

All looks are presentation attributes, which any style sheet overrides. There is no ``<style>``, no
``<defs>`` and no link to anything outside, so a figure can be pasted into a page as it is.
"""

from __future__ import annotations

import html
from collections.abc import Iterable

from tinygrad_edu.drawing.figures.arrivals import ARROW_LENGTH, OPERAND_SIZE, arrowhead
from tinygrad_edu.drawing.figures.diagram import (
    GRADIENT_COLOR,
    NAME_SIZE,
    NUMBER_GAP,
    NUMBER_SIZE,
    TITLE_SIZE,
    VALUE_COLOR,
    Node,
)
from tinygrad_edu.drawing.figures.geometry import Frame, Path, Point
from tinygrad_edu.drawing.figures.layout import (
    MARGIN,
    NOTE_SIZE,
    Layout,
    PlacedLink,
    PlacedNode,
)
from tinygrad_edu.drawing.figures.text import LINE_HEIGHT, SCRIPT, printable, typeset

# The first family is the one that PNG and PDF files are drawn with (see fonts.py); the others have
# the same widths, or narrower ones than text.py reckons with.
FONT_FAMILY = "'Liberation Serif', 'Times New Roman', Times, 'DejaVu Serif', serif"

_INK = "#1f2328"
_LINE = "#57606a"
_FILLS = {  # by kind of node; the first that matches
    "parameter": ("#fff3c4", _INK, "2"),
    "input": ("#eef4fb", _INK, "1.2"),
    "constant": ("#ffffff", "#8c959f", "1"),
    "operation": ("#ffffff", _INK, "1.2"),
}


def svg_text(layout: Layout, *, prefix: str = "") -> str:
    """Return the SVG document of a placed diagram.

    Args:
        layout: What to draw.
        prefix: Put before every ``id``, for pages that hold several figures.
    """
    diagram = layout.diagram
    width, height = _number(layout.width), _number(layout.height)
    uses = [0] * len(diagram.nodes)
    for link in diagram.links:
        uses[link.tail] += 1
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" class="tinygrad-edu" role="img" '
        f'width="{width}" height="{height}" viewBox="0 0 {width} {height}" '
        f'font-family="{FONT_FAMILY}" text-anchor="middle">',
        f"<title>{_text(diagram.title)}</title>",
        f"<desc>{_text(diagram.description)}</desc>",
        f'<rect class="background" width="{width}" height="{height}" fill="#ffffff"/>',
        f'<g class="edges" fill="none" stroke="{_LINE}" stroke-width="1.2">',
        *(_link(placed, layout, prefix) for placed in layout.links),
        "</g>",
        '<g class="nodes">',
    ]
    for index, placed in enumerate(layout.nodes):
        parts += _node(index, diagram.nodes[index], placed, layout, uses[index], prefix)
    parts.append("</g>")
    lines = len(layout.note)
    for place, line in enumerate(layout.note):
        y = layout.height - MARGIN - (lines - place - 1 + 0.25) * LINE_HEIGHT * NOTE_SIZE
        parts.append(_label(MARGIN, y, line, NOTE_SIZE, "note", fill=_LINE, anchor="start"))
    return "\n".join([*parts, "</svg>", ""])


def _link(placed: PlacedLink, layout: Layout, prefix: str) -> str:
    link = placed.link
    reference = ""
    if placed.reference is not None:
        x, y = placed.reference
        width, height = layout.diagram.reference_size(link)
        text = layout.diagram.reference_text(link)
        y_text = y + 0.3 * NUMBER_SIZE
        said = _label(x, y_text, text, NUMBER_SIZE, "reference", fill=_LINE, named=True)
        reference = (
            f"<title>{_text(layout.diagram.nodes[link.tail].description)}</title>"
            f'<rect x="{_number(x - width / 2.0)}" y="{_number(y - height / 2.0)}" '
            f'width="{_number(width)}" height="{_number(height)}" rx="4" stroke-dasharray="2 2"/>'
            f'<g stroke="none">{said}</g>'
        )
    operand = ""
    if placed.operand is not None:
        x, y = placed.operand
        text = link.operand
        digit = _label(x, y + 0.28 * OPERAND_SIZE, text, OPERAND_SIZE, "operand", fill=_LINE)
        operand = f'<g stroke="none">{digit}</g>'
    name = f"{prefix}edge-{link.tail}-{link.head}-{link.position}"
    return (
        f'<g id="{name}" class="edge" data-tail="{link.tail}" data-head="{link.head}" '
        f'data-position="{link.position}">{reference}<path d="{_path(placed.path)}"/>'
        f'<polygon points="{_points(placed.arrow)}" fill="{_LINE}" stroke="none"/>{operand}</g>'
    )


def _node(
    index: int, node: Node, placed: PlacedNode, layout: Layout, uses: int, prefix: str
) -> Iterable[str]:
    fill, stroke, thickness = next(
        look for kind, look in _FILLS.items() if kind in node.kind.split() or kind == "operation"
    )
    dashes = ' stroke-dasharray="4 3"' if "cut" in node.kind.split() else ""
    yield f'<g id="{prefix}node-{index}" class="node {_text(node.kind)}">'
    yield f"<title>{_text(node.description)}</title>"
    if node.above is not None:
        yield from _stem(index, node, placed, layout, uses, prefix)
    (x, y), (width, height) = placed.center, node.size
    look = f'fill="{fill}" stroke="{stroke}" stroke-width="{thickness}"{dashes}'
    if width == height:
        yield (
            f'<circle class="shape" cx="{_number(x)}" cy="{_number(y)}" '
            f'r="{_number(width / 2.0)}" {look}/>'
        )
        if "folded" in node.kind.split():
            yield (
                f'<circle class="rim" cx="{_number(x)}" cy="{_number(y)}" '
                f'r="{_number(width / 2.0 - 3.0)}" fill="none" stroke="{stroke}"/>'
            )
    else:
        yield (
            f'<rect class="shape" x="{_number(x - width / 2.0)}" y="{_number(y - height / 2.0)}" '
            f'width="{_number(width)}" height="{_number(height)}" rx="8" {look}/>'
        )
        if "folded" in node.kind.split():
            x0, y0, w, h = x - width / 2.0 + 3.0, y - height / 2.0 + 3.0, width - 6.0, height - 6.0
            yield (
                f'<rect class="rim" x="{_number(x0)}" y="{_number(y0)}" width="{_number(w)}" '
                f'height="{_number(h)}" rx="6" fill="none" stroke="{stroke}"/>'
            )
    yield from _texts(node, x, y)
    yield "</g>"


def _texts(node: Node, x: float, y: float) -> Iterable[str]:
    """Yield title and name, line by line, centred on the middle of the node."""
    named = bool(node.name)
    lines = [(line, TITLE_SIZE, "title") for line in node.title]
    lines += [(line, NAME_SIZE, "name") for line in node.name]
    top = y - sum(size for _, size, _ in lines) * LINE_HEIGHT / 2.0
    for line, size, kind in lines:
        # Letters reach from a little below the baseline to 0.7 above it; small ones and the signs
        # of operations have their middle a quarter above it.
        baseline = top + size * (LINE_HEIGHT / 2.0 + 0.27)
        top += size * LINE_HEIGHT
        sign = kind == "title" and len(line) == 1 and not line.isalnum()
        if sign:  # signs are small for their font size; the asterisk also hangs high
            size = TITLE_SIZE * (1.35 if not named else 1.2)
            baseline += (0.22 if line == "*" else 0.03) * size
        named = kind == "name" or node.is_named
        italic = _is_name(line, node, kind)
        yield _label(x, baseline, line, size, kind, fill=_INK, italic=italic, named=named)


def _is_name(line: str, node: Node, kind: str) -> bool:
    """Names of variables are set in italics, as in any textbook; numbers and functions upright."""
    variable = kind == "name" or not {"operation", "constant"} & set(node.kind.split())
    return variable and line[:1].isalpha() and all(ord(letter) < 0x400 for letter in line)


def _stem(
    index: int, node: Node, placed: PlacedNode, layout: Layout, uses: int, prefix: str
) -> Iterable[str]:
    """Yield the stem with its numbers, and what is at its end: an arrow or a junction."""
    dx, dy = Frame(layout.diagram.direction).out((1.0, 0.0))  # the direction of the flow
    (x0, y0), (x, y) = placed.stem_start, placed.stem_end
    end = placed.stem_end
    if node.ends:  # the line ends where the arrowhead begins, or it would blunt its tip
        end = (x - ARROW_LENGTH * dx, y - ARROW_LENGTH * dy)
    yield (
        f'<path class="stem" d="M{_points([placed.stem_start])}L{_points([end])}" fill="none" '
        f'stroke="{_LINE}" stroke-width="1.2"/>'
    )
    if node.ends:
        yield f'<polygon class="arrow" points="{_points(arrowhead(end, (x, y)))}" fill="{_LINE}"/>'
    elif uses > 1:
        yield (
            f'<circle class="junction" cx="{_number(x)}" cy="{_number(y)}" r="2.2" fill="{_LINE}"/>'
        )
    x, y = (x0 + x) / 2.0, (y0 + y) / 2.0
    for text, kind, color, side in (
        (node.above or "", "value", VALUE_COLOR, -1.0),
        (node.below, "gradient", GRADIENT_COLOR, 1.0),
    ):
        if not text:
            continue
        name = f"{prefix}{kind}-{index}"
        if dx:
            baseline = y - NUMBER_GAP if side < 0 else y + NUMBER_GAP + 0.66 * NUMBER_SIZE
            yield _label(x, baseline, text, NUMBER_SIZE, kind, fill=color, name=name)
        else:
            yield _label(
                x + NUMBER_GAP * side, y + 0.33 * NUMBER_SIZE, text, NUMBER_SIZE, kind,
                fill=color, name=name, anchor="end" if side < 0 else "start",
            )  # fmt: skip


def _label(
    x: float, y: float, text: str, size: float, kind: str, *,
    fill: str, name: str = "", anchor: str = "", italic: bool = False, named: bool = False,
) -> str:  # fmt: skip
    attributes = f'class="{kind}" x="{_number(x)}" y="{_number(y)}" font-size="{_number(size)}"'
    if name:
        attributes = f'id="{name}" {attributes}'
    if anchor:
        attributes += f' text-anchor="{anchor}"'
    if italic:
        attributes += ' font-style="italic"'
    if text != " ".join(text.split()):  # runs of spaces, and those at the ends
        attributes += ' xml:space="preserve"'
    content = name_markup(printable(text), size) if named else _text(text)
    return f'<text {attributes} fill="{fill}">{content}</text>'


def name_markup(name: str, size: float) -> str:
    """Return a name as the content of a ``<text>``, with subscripts and superscripts.

    >>> name_markup("x1", 10.0)
    'x<tspan dy="2" font-size="7">1</tspan>'
    """
    parts, at = [], 0.0
    for text, shift in typeset(name):
        down = {0: 0.0, -1: 0.2, 1: -0.36}[shift] * size
        look = f' dy="{_number(down - at)}"' if down != at else ""
        look += f' font-size="{_number(SCRIPT * size)}"' if shift else ""
        parts.append(f"<tspan{look}>{_text(text)}</tspan>" if look else _text(text))
        at = down
    return "".join(parts)


def _text(text: str) -> str:
    return html.escape(printable(text))


def _number(number: float) -> str:
    return f"{number:.2f}".rstrip("0").rstrip(".")


def _points(points: Iterable[Point]) -> str:
    return " ".join(f"{_number(x)},{_number(y)}" for x, y in points)


def _path(points: Path) -> str:
    """Return the path data of a chain of cubic Bezier segments."""
    return f"M{_points(points[:1])}C{_points(points[1:])}"

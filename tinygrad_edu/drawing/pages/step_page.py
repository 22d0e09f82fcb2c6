"""``step_through``: a page that plays the forward and the backward pass of a graph, node by node.

The notes, section 'The Backpropagation Algorithm': their figures show the end of a computation,
this page shows how it comes about. It is one HTML file that asks nothing of the network: the figure
as SVG, the graph as data, a small script (``pages/step.js``) and the operations of this graph in
JavaScript, written by the operation table (``javascript.py``): the page computes anew when an input
is changed.
"""

from __future__ import annotations

import html
import math
from dataclasses import replace
from typing import Any

from tinygrad_edu.drawing.figures.diagram import Diagram
from tinygrad_edu.drawing.figures.graph import drawn_nodes, graph_diagram
from tinygrad_edu.drawing.figures.layout import place
from tinygrad_edu.drawing.figures.svg import svg_text
from tinygrad_edu.drawing.pages.javascript import (
    JavaScript,
    operation_key,
    operations_source,
)
from tinygrad_edu.drawing.pages.page import Page, make_page, page_file
from tinygrad_edu.drawing.words.chain_rule import ChainRule, Term
from tinygrad_edu.drawing.words.explanation import MOST_TERMS, Writer, is_number_node, one_line
from tinygrad_edu.drawing.words.notation import PRODUCT, TextFormula
from tinygrad_edu.engine.value import Constant, Value

_ROOM = 8  # characters that a number has room for in the figure, whatever it is changed to
_COLUMN_GAP, _ROW_GAP = 1.3, 0.5  # inches in the figure: products are written on its links


def step_through(
    output: Value,
    *,
    depth: int | None = None,
    max_nodes: int = 500,
    title: str = "",
    compact: bool = False,
) -> Page:
    """Make a page that steps through the forward and the backward pass of a graph.

    Step, play, scrub, use the arrow keys, choose a line of the derivation or a node; change an
    input and everything is computed again, in the page. The graph is computed anew from the present
    data of its inputs; nothing in it is changed, and no ``grad`` is read.

    Args:
        output: The last node.
        depth: Show only the nodes at most so many operations away from the output; those at the
            edge become inputs with the values they have.
        max_nodes: The most nodes to show.
        title: The heading; by default the formula, if it is short, or the name of the output.
        compact: Only the figure, the line of this step and the controls: for slides and for frames
            in course pages.

    The page also asks: with *predict* the reader says the next number, and the page says which
    mistake it was; dragging an input compares the change of the output with what the gradients
    foretell; a *common mistake* plays the backward pass as students' engines get it wrong. Its
    address keeps step and inputs (``page.html#step=12&in:x=2.5``), so that a link shows a moment.

    Returns:
        The page: ``.save("page.html")``, ``.html``, or let a notebook show it.

    Raises:
        TypeError: If ``output`` is not a Value.
        ValueError: If there are more than ``max_nodes`` nodes; the message names a depth that fits.
        ZeroDivisionError, ValueError, OverflowError: Where a value or derivative does not exist.

    >>> x, y, z = Value(2.0, "x"), Value(3.0, "y"), Value(4.0, "z")
    >>> page = step_through((x + y) * z)
    >>> "df/dx = df/dg · dg/dx = 4 · 1 = 4" in page.html
    True
    """
    if not isinstance(output, Value):
        raise TypeError(
            f"step_through: expected a Value, got {type(output).__name__} {output!r:.60}"
        )
    copy = _copy(output, depth, max_nodes)
    rule = ChainRule(copy)
    for node, name in zip(rule.nodes, rule.names):
        if not is_number_node(node):
            node.label = name
    copy.backward()  # for the figure; this graph is our own
    writer = Writer(rule, TextFormula)
    title = title or writer.title() or copy.label
    diagram = graph_diagram(copy, gradients=True, title=title, max_nodes=max_nodes)
    svg, width, height = _figure(diagram)
    shown = title.replace(" * ", " · ")
    page = make_page(
        "step",
        f"{shown} – step by step",
        data=_data(rule, writer, width, height),
        scripts=[
            page_file("arithmetic.js"),
            operations_source(rule.nodes),
            *map(page_file, ("tags.js", "view.js", "learn.js")),
        ],
        kind="compact" if compact else "full",
        heading=html.escape(shown),
        svg=svg,
        width=f"{width:.0f}",
        height=f"{height:.0f}",
        derivation=_derivation(rule, writer),
    )
    return Page(page.html, title)


# --- the graph ---


def _copy(output: Value, depth: int | None, max_nodes: int) -> Value:
    """Copy the graph down to ``depth``; what lies deeper is cut off.

    Raises:
        ValueError: If the copy would have more than ``max_nodes`` nodes.
    """
    nodes, cut = drawn_nodes(output, depth)
    if len(nodes) > max_nodes:
        fitting = _deepest(output, max_nodes)
        raise ValueError(
            f"the graph has {len(nodes):,} nodes, more than max_nodes={max_nodes:,}, too many "
            f"to step through one by one: pass depth={fitting} for a page of the last operations "
            "alone, make a page of an interior node, or raise max_nodes"
        )
    copies: dict[Value, Value] = {}
    for node in nodes:
        if node.op is None or node in cut:
            kind = Constant if isinstance(node, Constant) else Value
            copies[node] = kind(node.data, node.label)
        else:
            copies[node] = Value.record(node.op, tuple(copies[x] for x in node.operands))
            copies[node].label = node.label
    return copies[output]


def _deepest(output: Value, max_nodes: int) -> int:
    """The largest depth at which the graph has at most ``max_nodes`` nodes."""
    seen = {output}
    frontier, depth = [output], 0
    while frontier:
        operands = (x for node in frontier for x in node.operands if x not in seen)
        frontier = list(dict.fromkeys(operands))
        seen.update(frontier)
        if len(seen) > max_nodes:
            break
        depth += 1
    return depth


# --- the parts of the page ---


def _figure(diagram: Diagram) -> tuple[str, float, float]:
    """Lay the figure out with room for other numbers, and draw it with those it has."""
    wide = "8" * _ROOM

    def widened(text: str) -> str:
        return wide if len(text) < _ROOM else text

    nodes = tuple(
        node if node.above is None else replace(node, above=widened(node.above))
        for node in diagram.nodes
    )
    layout = place(replace(diagram, nodes=nodes, column_gap=_COLUMN_GAP, row_gap=_ROW_GAP))
    description = "The numbers of this graph are in the list of steps."
    svg = svg_text(replace(layout, diagram=replace(diagram, description=description)))
    return svg, layout.width, layout.height


def _derivation(rule: ChainRule, writer: Writer) -> str:
    """The finished derivation as a list: what is printed, and what is there without the script."""
    nodes = rule.nodes
    leaves = [i for i, node in enumerate(nodes) if node.op is None and not is_number_node(node)]
    steps = [i for i, node in enumerate(nodes) if node.op is not None]
    forward = [("forward", i, writer.forward(i)) for i in [*leaves, *steps]]
    backward = [("backward", i, writer.backward(i)) for i in rule.backward]
    parts = []
    for heading, rows in (("Forward pass", forward), ("Backward pass", backward)):
        parts.append(f"<h3>{heading}</h3>\n<ol>")
        for name, i, sides in rows:
            text = html.escape(one_line(sides).replace(" * ", " · ").replace("-", "−"))
            button = f'<button class="equation" data-pass="{name}" data-node="{i}">'
            parts.append(f"<li>{button}{text}</button></li>")
        parts.append("</ol>")
    return "\n".join(parts)


def _data(rule: ChainRule, writer: Writer, width: float, height: float) -> dict[str, Any]:
    """The graph as ``pages/step.js`` reads it; that file describes the fields."""
    nodes, terms = [], []
    for i, node in enumerate(rule.nodes):
        operands = [rule.index[x] for x in node.operands]
        entry: dict[str, Any] = {
            "name": writer.name(i).text,
            "gradient": writer.gradient_name(i),
            "operation": None,
            "operands": operands,
        }
        if node.op is None:
            text = JavaScript.number(node.data).text  # JSON has no infinity and no nan
            entry["value"] = node.data if math.isfinite(node.data) else text
            entry["constant"] = is_number_node(node)
        else:
            entry["operation"] = operation_key(node.op, len(operands))
            entry["letters"] = writer.operation(i, map(writer.name, operands)).text
            gaps = [_Gap(f"\0{position},0\0") for position in range(len(operands))]
            entry["pieces"] = _pieces(writer.operation(i, gaps).text)
        nodes.append(entry)
        terms.append([_term(rule, writer, i, term) for term in rule.terms[i]])
    return {
        "nodes": nodes,
        "terms": terms,
        "backward": rule.backward,
        "most_terms": MOST_TERMS,
        "room": _ROOM,
        "width": width,
        "height": height,
    }


def _term(rule: ChainRule, writer: Writer, i: int, term: Term) -> dict[str, Any]:
    entry = {
        "child": term.child,
        "position": term.position,
        "letters": writer.term(i, term),
        "local": writer.local_name(i, term),
    }
    if term.child == len(rule.nodes) - 1 and len(rule.terms[i]) == 1:
        entry["rule"] = writer.rule_text(term)
    return entry


class _Gap(TextFormula):
    """A place in a formula where the page writes a number, in brackets where a minus needs them."""

    __slots__ = ()

    def at(self, level: int) -> str:
        return self.text.replace(",0", ",1") if level >= PRODUCT else self.text


def _pieces(text: str) -> list[Any]:
    pieces: list[Any] = []
    for k, piece in enumerate(text.split("\0")):
        if k % 2:
            position, brackets = map(int, piece.split(","))
            pieces.append([position, brackets])
        elif piece:
            pieces.append(piece)
    return pieces

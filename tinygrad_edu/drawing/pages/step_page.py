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
import os
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

from tinygrad_edu._files import write_atomically
from tinygrad_edu.drawing.figures.figure import Figure
from tinygrad_edu.drawing.figures.svg import svg_text
from tinygrad_edu.drawing.pages.course import ROOM, Course, on_paper
from tinygrad_edu.drawing.pages.javascript import (
    JavaScript,
    operation_key,
    operations_source,
)
from tinygrad_edu.drawing.pages.page import Page, make_page, page_file
from tinygrad_edu.drawing.pages.slides import gif_of, mp4_of, pdf_of, slides
from tinygrad_edu.drawing.words.chain_rule import ChainRule, Term
from tinygrad_edu.drawing.words.explanation import MOST_TERMS, Writer, is_number_node, one_line
from tinygrad_edu.drawing.words.notation import PRODUCT, TextFormula
from tinygrad_edu.engine.value import Value


class StepPage(Page):
    """What ``step_through`` returns: the page, and the same steps as slides and as a film.

    Attributes:
        slides: One figure (16:9) for each step; each can be saved as SVG, PNG and PDF.
        place_of: The number of each node of the graph in the page.

    >>> x = Value(3.0, "x")
    >>> page = step_through(x * x)
    >>> page
    <page about f = x * x, ... KB>
    >>> len(page.slides)
    6
    """

    def __init__(self, html: str, title: str, course: Course) -> None:
        super().__init__(html, title)
        self._course = course

    @property
    def place_of(self) -> dict[Value, int]:
        """The number of each node of the graph in the page."""
        return {node: self._course.rule.index[x] for node, x in self._course.copies.items()}

    @cached_property
    def slides(self) -> list[Figure]:
        return slides(self._course)

    def save(self, path: str | os.PathLike[str], *, seconds: float = 1.5) -> None:
        """Write the page to ``path``, or its steps, one after the other.

        Args:
            path: ``.html`` or ``.htm`` for the page; ``.pdf`` for a slide for each step (needs the
                extra ``[pdf]``); ``.gif`` and ``.mp4`` for a film of 1280 x 720 pixels (they need
                the extra ``[film]``).
            seconds: How long a film shows each step; the last one three times as long.

        Raises:
            ValueError: If the suffix is another one, or ``seconds`` is not between 0.02 and 60;
                nothing is written.
            ImportError: If a package is missing; the message names the extra.
            OSError: If the file cannot be written; an old file stays as it was.
        """
        suffix = Path(path).suffix.lower()
        if suffix in (".html", ".htm"):
            super().save(path)
            return
        if suffix not in (".pdf", ".gif", ".mp4"):
            raise ValueError(
                f"{os.fspath(path)!r}: a page is saved as .html, its steps as .pdf (slides), .gif "
                "or .mp4"
            )
        if not 0.02 <= seconds <= 60.0:  # a nan is not, either
            raise ValueError(f"seconds: expected a number from 0.02 to 60, got {seconds!r}")
        if suffix == ".pdf":
            content = pdf_of(self.slides)
        else:
            content = (gif_of if suffix == ".gif" else mp4_of)(self.slides, seconds)
        write_atomically(path, content)


def step_through(
    output: Value,
    *,
    depth: int | None = None,
    max_nodes: int = 500,
    title: str = "",
    compact: bool = False,
) -> StepPage:
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
        The page: ``.save("page.html")``, ``.html``, or let a notebook show it. ``.slides`` are the
        steps as figures; ``.save("steps.pdf")`` writes them as slides, ``.save("steps.gif")`` and
        ``.save("steps.mp4")`` as a film.

    Raises:
        TypeError: If ``output`` is not a Value.
        ValueError: If there are more than ``max_nodes`` nodes; the message names a depth that fits.
        ZeroDivisionError, ValueError, OverflowError: Where a value or derivative does not exist.

    >>> x, y, z = Value(2.0, "x"), Value(3.0, "y"), Value(4.0, "z")
    >>> page = step_through((x + y) * z)
    >>> "df/dx = df/dg · dg/dx = 4 · 1 = 4" in page.html
    True
    """
    course = Course(output, "step_through", depth=depth, max_nodes=max_nodes, title=title)
    rule, writer, layout = course.rule, course.writer, course.layout
    description = "The numbers of this graph are in the list of steps."
    svg = svg_text(replace(layout, diagram=replace(layout.diagram, description=description)))
    shown = course.title.replace(" * ", " · ")
    page = make_page(
        "step",
        f"{shown} – step by step",
        data=_data(rule, writer, layout.width, layout.height),
        scripts=[
            page_file("arithmetic.js"),
            operations_source(rule.nodes),
            *map(page_file, ("tags.js", "view.js", "learn.js")),
        ],
        kind="compact" if compact else "full",
        heading=html.escape(shown),
        svg=svg,
        width=f"{layout.width:.0f}",
        height=f"{layout.height:.0f}",
        derivation=_derivation(rule, writer),
    )
    return StepPage(page.html, course.title, course)


# --- the parts of the page ---


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
            text = html.escape(on_paper(one_line(sides)))
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
        "room": ROOM,
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

"""``worksheet``: a graph on paper, with blanks for chosen numbers, and the answers on a page after.

The notes' figures as an exercise: 'fill in the green numbers, then the red ones'. The sheet is an
HTML page that prints, and a PDF file of A4 pages. A number that is asked for stands nowhere on the
sheet: the lines beside the figure are written with letters where numbers would give it away.
"""

from __future__ import annotations

import html
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Literal, NamedTuple

from tinygrad_edu._files import write_atomically
from tinygrad_edu.drawing.figures.diagram import GRADIENT_COLOR, VALUE_COLOR
from tinygrad_edu.drawing.figures.elements import svg_element, svg_root, svg_text_element
from tinygrad_edu.drawing.figures.pdf import render_pdf
from tinygrad_edu.drawing.pages.course import Course, on_paper
from tinygrad_edu.drawing.pages.page import Page, fill_template, page_file
from tinygrad_edu.drawing.pages.paper import fitted, width_on_paper, wrapped
from tinygrad_edu.drawing.pages.stills import Stills
from tinygrad_edu.drawing.words.explanation import is_number_node, one_line
from tinygrad_edu.engine.value import Value

Blanks = Literal["gradients", "values", "all"] | Iterable[str | Value]
Kind = Literal["value", "gradient"]

_WIDTH, _HEIGHT, _MARGIN = 595.0, 842.0, 52.0  # A4, in points
_INK, _SOFT = "#1f2328", "#57606a"
_COLORS = {"value": VALUE_COLOR, "gradient": GRADIENT_COLOR}
_BLANK, _WIDE_BLANK = 130.0, 250.0  # points, for a result and for a sum with its working
_HEADINGS: dict[Kind, str] = {"value": "Forward pass", "gradient": "Backward pass"}


class Line(NamedTuple):
    """A line of a sheet: one number of the graph, and how it comes about.

    Attributes:
        kind: Which number of the node.
        asked: Whether the number is a blank.
        wide: Whether the working needs room.
        question: What is printed before the blank, or the whole line if nothing is asked.
        answer: The whole line.
    """

    kind: Kind
    asked: bool
    wide: bool
    question: str
    answer: str


class Worksheet(Page):
    """What ``worksheet`` returns: questions, and answers on a page of their own.

    Attributes:
        answers: What stands in the blanks, by name, in the order of the sheet: ``"g"`` is a value,
            ``"df/dg"`` a gradient.
    """

    answers: dict[str, float]

    def __init__(self, course: Course, blanks: set[tuple[Kind, int]]) -> None:
        self._course = course
        self._stills = Stills(course)
        self._blanks = blanks
        self._lines = list(_lines(course, blanks))
        self._task = _task(blanks)
        title = f"{on_paper(course.title)} – worksheet"
        super().__init__(self._document(title), title)
        rule, writer = course.rule, course.writer
        order = {i: k for k, i in enumerate(rule.backward)}
        ranked = sorted(blanks, key=lambda x: (x[0] == "gradient", order.get(x[1], 0)))
        values = [(writer.name(i).text, rule.nodes[i].data) for kind, i in sorted(blanks)
                  if kind == "value"]  # fmt: skip
        gradients = [(writer.gradient_name(i), rule.gradients[i]) for kind, i in ranked
                     if kind == "gradient"]  # fmt: skip
        self.answers = dict([*values, *gradients])

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the sheet to ``path``: ``.html`` (or ``.htm``), or ``.pdf`` with the extra [pdf].

        Raises:
            ValueError: If the suffix is another one; nothing is written.
            ImportError: If reportlab, which PDF needs, is missing.
            OSError: If the file cannot be written; an old file stays as it was.
        """
        suffix = Path(path).suffix.lower()
        if suffix not in (".html", ".htm", ".pdf"):
            raise ValueError(f"{os.fspath(path)!r}: a worksheet is saved as .html or .pdf")
        content = render_pdf(self.sheets()) if suffix == ".pdf" else self.html
        write_atomically(path, content)

    def __repr__(self) -> str:
        return f"<worksheet about {on_paper(self._course.title)}, {len(self._blanks)} blanks>"

    def _figure(self, answers: bool) -> str:
        blanks: set[tuple[str, int]] = set() if answers else {*self._blanks}
        return self._stills.bare(lambda kind, i: (kind, i) in blanks)

    # --- as a page ---

    def _document(self, title: str) -> str:
        heading = html.escape(on_paper(self._course.title))
        layout = self._course.layout
        sheets = []
        for answers in (False, True):
            name = "answers" if answers else "questions"
            shown = "The figure" if answers else "The figure, with blanks"
            picture = svg_root(layout.width, layout.height, shown, "", [self._figure(answers)])
            head = (
                f"<h1>Answers: {heading}</h1>"
                if answers
                else f"<h1>{heading}</h1>\n<p class='names'><span>Name</span><span>Date</span></p>"
                f'\n<p class="task">{html.escape(self._task)}</p>'
            )
            sheets.append(
                f'<section class="sheet {name}">\n{head}\n<div class="picture">\n{picture}</div>'
            )
            sheets += [*self._html_lines(answers), "</section>"]
        return fill_template(
            "worksheet", html.escape(title), page_file("worksheet.css"), sheets="\n".join(sheets)
        )

    def _html_lines(self, answers: bool) -> Iterator[str]:
        for kind, heading in _HEADINGS.items():
            yield f"<h2>{heading}</h2>\n<ol class='{_PASSES[kind]}'>"
            for line in self._lines:
                if line.kind != kind:
                    continue
                if line.asked and not answers:
                    blank = f'<span class="blank{" wide" * line.wide}"></span>'
                    yield f"<li>{html.escape(line.question)} = {blank}</li>"
                    continue
                text = line.answer if answers else line.question
                before, _, result = text.rpartition(" = ")
                look = ' class="answer"' if line.asked else ""
                yield f"<li>{html.escape(before)} = <span{look}>{html.escape(result)}</span></li>"
            yield "</ol>"

    # --- on paper ---

    def sheets(self) -> list[str]:
        """Return the A4 pages as SVG documents: questions first, answers from a page of their own.

        >>> from tinygrad_edu import Value
        >>> x = Value(3.0, "x")
        >>> len(worksheet(x * x).sheets())
        2
        """
        return [*self._paper(answers=False), *self._paper(answers=True)]

    def _paper(self, *, answers: bool) -> list[str]:
        across = _WIDTH - 2.0 * _MARGIN
        pages: list[list[str]] = [[]]
        y = _MARGIN
        heading = "Answers: " * answers + on_paper(self._course.title)
        for text in wrapped(heading, 19.0, across):
            y += 22.0
            pages[-1].append(svg_text_element(_MARGIN, y - 4.0, text, 19.0, _INK, anchor="start"))
        if not answers:
            y += 26.0
            for x, word, end in ((_MARGIN, "Name", 360.0), (375.0, "Date", _WIDTH - _MARGIN)):
                pages[-1].append(svg_text_element(x, y, word, 11.0, _SOFT, anchor="start"))
                pages[-1].append(_rule(x + 32.0, end, y + 2.0))
            y += 12.0
            for text in wrapped(self._task, 12.0, across):
                y += 15.0
                pages[-1].append(svg_text_element(_MARGIN, y, text, 12.0, _INK, anchor="start"))
        y += 16.0
        layout = self._course.layout
        room = (_MARGIN, y, across, 330.0)
        size = (layout.width, layout.height)
        room = (*room[:3], min(330.0, size[1] * min(across / size[0], 1.3)))
        figure, height = fitted(self._figure(answers), size, room, 1.3)
        pages[-1].append(figure)
        y += height + 8.0
        for kind, title in _HEADINGS.items():
            y = self._new_page(pages, y, 52.0) + 24.0
            pages[-1].append(
                svg_text_element(_MARGIN, y, title, 13.5, _COLORS[kind], anchor="start")
            )
            y += 4.0
            for line in self._lines:
                if line.kind == kind:
                    y = self._write(pages, y, line, answers)
        title = f"{on_paper(self._course.title)} – {'answers' if answers else 'worksheet'}"
        return [svg_root(_WIDTH, _HEIGHT, title, self._task, parts) for parts in pages]

    def _write(self, pages: list[list[str]], y: float, line: Line, answers: bool) -> float:
        size, across = 12.0, _WIDTH - 2.0 * _MARGIN
        blank = line.asked and not answers
        text = line.answer if answers else f"{line.question} =" if blank else line.question
        lines = wrapped(text, size, across)
        leading = 26.0 if blank else 17.0  # room to write by hand
        color = _COLORS[line.kind] if line.asked and answers else _INK
        for part in lines:
            y = self._new_page(pages, y, leading) + leading
            pages[-1].append(svg_text_element(_MARGIN, y, part, size, color, anchor="start"))
        if blank:
            start = _MARGIN + width_on_paper(lines[-1], size) + 8.0
            length = _WIDE_BLANK if line.wide else _BLANK
            if start + length > _WIDTH - _MARGIN:
                y = self._new_page(pages, y, leading) + leading
                start = _MARGIN + 20.0
            pages[-1].append(_rule(start, start + length, y + 2.0))
        return y

    @staticmethod
    def _new_page(pages: list[list[str]], y: float, needed: float) -> float:
        """Begin another page if this one has no room for so much."""
        if y + needed <= _HEIGHT - _MARGIN:
            return y
        pages.append([])
        return _MARGIN


_PASSES = {"value": "forward", "gradient": "backward"}


def worksheet(
    output: Value,
    *,
    blanks: Blanks = "gradients",
    depth: int | None = None,
    max_nodes: int = 60,
    title: str = "",
) -> Worksheet:
    """Make a worksheet of a graph: blanks for chosen numbers, and the answers on page 2.

    The graph is computed anew from the present data of its inputs; nothing in it is changed.

    Args:
        output: The last node.
        blanks: What is asked for: ``"gradients"``, ``"values"`` (of the operations; inputs are
            given) or ``"all"``; or a list: of names as the sheet has them, ``"g"`` for a value and
            ``"df/dg"`` for a gradient, and of nodes, for both numbers of each.
        depth: Only the nodes at most so many operations away from the output; those at the edge
            become inputs with the values they have.
        max_nodes: The most nodes.
        title: The heading; by default the formula, if it is short, or the name of the output.

    Returns:
        The sheet: ``.save("sheet.pdf")`` or ``.save("sheet.html")``, or let a notebook show it;
        ``.answers`` are the numbers in the blanks.

    Raises:
        TypeError: If ``output`` is not a Value, or ``blanks`` holds neither names nor Values.
        ValueError: If a name is not on the sheet (the message says which are), it is the value of
            an input, nothing is asked for, or there are more than ``max_nodes`` nodes.
        ZeroDivisionError, ValueError, OverflowError: Where a value or derivative does not exist.

    >>> x, y, z = Value(2.0, "x"), Value(3.0, "y"), Value(4.0, "z")
    >>> sheet = worksheet((x + y) * z, blanks=["g", "df/dx"])
    >>> sheet
    <worksheet about f = (x + y) · z, 2 blanks>
    >>> sheet.answers
    {'g': 5.0, 'df/dx': 4.0}
    """
    course = Course(output, "worksheet", depth=depth, max_nodes=max_nodes, title=title)
    return Worksheet(course, _asked(course, blanks))


def _asked(course: Course, blanks: Blanks) -> set[tuple[Kind, int]]:
    rule, writer = course.rule, course.writer
    values = {writer.name(i).text: ("value", i) for i, node in enumerate(rule.nodes) if node.op}
    gradients = {writer.gradient_name(i): ("gradient", i) for i in rule.backward}
    known: dict[str, tuple[Kind, int]] = {**values, **gradients}  # type: ignore[dict-item]
    chosen: set[tuple[Kind, int]] = set()
    if isinstance(blanks, str):
        if blanks not in ("gradients", "values", "all"):
            raise ValueError(
                f"blanks: expected 'gradients', 'values', 'all' or a list of names and nodes, "
                f"got {blanks!r}"
            )
        wanted = {"gradients": ["gradient"], "values": ["value"]}.get(blanks, ["value", "gradient"])
        chosen = {number for number in known.values() if number[0] in wanted}
        blanks = []
    inputs = {rule.names[i] for i, node in enumerate(rule.nodes) if node.op is None}
    for item in blanks:
        if isinstance(item, Value):
            place = rule.index.get(course.copies.get(item, item))
            if place is None:
                raise ValueError(f"blanks: {item!r:.60} is not a node of this graph")
            chosen |= {number for number in known.values() if number[1] == place}
        elif not isinstance(item, str):
            raise TypeError(
                f"blanks: expected names and Values, got {type(item).__name__} {item!r:.60}"
            )
        elif item in known:
            chosen.add(known[item])
        elif item in inputs:
            raise ValueError(f"blanks: {item!r} is an input: its value is given")
        else:
            raise ValueError(
                f"blanks: no {item!r} on this sheet; there are {', '.join([*known][:40])}"
            )
    if not chosen:
        raise ValueError("worksheet: nothing is asked for")
    return chosen


def _task(blanks: set[tuple[Kind, int]]) -> str:
    asked = {kind for kind, _ in blanks}
    green = "the values in the green boxes (above the lines)"
    red = "the gradients in the red boxes (below the lines)"
    if len(asked) == 2:
        return f"Fill in {green}, then {red}, here and in the list below."
    return f"Fill in {green if 'value' in asked else red}, here and in the list below."


def _lines(course: Course, blanks: set[tuple[Kind, int]]) -> Iterator[Line]:
    """The lines of a sheet: numbers where they give nothing away, letters where they would."""
    rule, writer = course.rule, course.writer
    nodes = rule.nodes

    def given(i: int) -> bool:
        return ("value", i) not in blanks

    leaves = [i for i, node in enumerate(nodes) if node.op is None and not is_number_node(node)]
    steps = [i for i, node in enumerate(nodes) if node.op is not None]
    inputs = ",  ".join(one_line(writer.forward(i)) for i in leaves)
    if inputs:
        yield Line("value", False, False, on_paper(inputs), on_paper(inputs))
    for i in steps:
        sides = writer.forward(i)
        asked = not given(i)
        open_ = all(given(rule.index[x]) for x in nodes[i].operands)
        shown = sides[:2] if asked else sides
        if not asked and not open_:
            shown = [*sides[:2], sides[-1]]
        yield Line("value", asked, False, on_paper(one_line(shown)), on_paper(one_line(sides)))
    for i in rule.backward:
        sides = writer.backward(i)
        asked = ("gradient", i) in blanks
        terms = rule.terms[i]
        # Local derivatives are computed from values, and products hold the children's gradients.
        open_ = all(
            ("gradient", term.child) not in blanks
            and given(term.child)
            and all(given(rule.index[x]) for x in nodes[term.child].operands)
            for term in terms
        )
        letters = sides[:2] if terms else sides[:1]
        shown = letters if asked else sides if open_ else [*letters, sides[-1]]
        wide = len(terms) > 1 or bool(terms and terms[0].child != len(nodes) - 1)
        yield Line("gradient", asked, wide, on_paper(one_line(shown)), on_paper(one_line(sides)))


def _rule(start: float, end: float, y: float) -> str:
    return svg_element("line", x1=f"{start:.1f}", y1=f"{y:.1f}", x2=f"{end:.1f}", y2=f"{y:.1f}",
                       stroke=_SOFT, stroke_width="0.8", fill="none")  # fmt: skip

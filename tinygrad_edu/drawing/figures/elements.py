"""SVG, element by element, for pictures that are not laid out by Graphviz.

Only what ``pdf.py`` knows is used, so every picture can be saved in every format. Text is escaped
here and nowhere else.
"""

from __future__ import annotations

import html
from collections.abc import Iterable

from tinygrad_edu.drawing.figures.svg import FONT_FAMILY, name_markup
from tinygrad_edu.drawing.figures.text import printable


def svg_root(
    width: float, height: float, title: str, description: str, parts: Iterable[str]
) -> str:
    """Return an SVG document of ``parts`` on a white ground; sizes in points.

    >>> svg_root(20.0, 10.0, "a <b>", "", [])[:60]
    '<svg xmlns="http://www.w3.org/2000/svg" class="tinygrad-edu"'
    """
    size = f'width="{width:g}" height="{height:g}"'
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" class="tinygrad-edu" role="img" {size} '
            f'viewBox="0 0 {width:g} {height:g}" font-family="{FONT_FAMILY}" text-anchor="middle">',
            f"<title>{escaped(title)}</title>",
            f"<desc>{escaped(description)}</desc>",
            f'<rect class="background" {size} fill="#ffffff"/>',
            *parts,
            "</svg>",
            "",
        ]
    )


def svg_element(tag: str, **attributes: str | None) -> str:
    """Return an empty element; ``stroke_width`` becomes ``stroke-width``, ``class_`` ``class``.

    >>> svg_element("circle", cx="1", stroke_width="2", fill=None)
    '<circle cx="1" stroke-width="2"/>'
    """
    written = [
        f'{name.rstrip("_").replace("_", "-")}="{escaped(value)}"'
        for name, value in attributes.items()
        if value is not None
    ]
    return f"<{' '.join([tag, *written])}/>"


def svg_text_element(
    x: float, y: float, text: str, size: float, color: str, *,
    kind: str = "label", anchor: str = "", italic: bool = False, named: bool = False,
) -> str:  # fmt: skip
    """Return one line of text; ``y`` is its baseline, ``kind`` its class; ``named``: typeset it.

    >>> svg_text_element(1.0, 2.0, "a < b", 12.0, "#000000")
    '<text class="label" x="1" y="2" font-size="12" fill="#000000">a &lt; b</text>'
    """
    more = f' text-anchor="{anchor}"' if anchor else ""
    more += ' font-style="italic"' if italic else ""
    place = f'x="{round(x, 2):g}" y="{round(y, 2):g}" font-size="{size:g}"'
    content = name_markup(printable(text), size) if named else escaped(text)
    return f'<text class="{kind}" {place}{more} fill="{color}">{content}</text>'


def escaped(text: str) -> str:
    """Return text as it may stand in an element or an attribute."""
    return html.escape(printable(text))

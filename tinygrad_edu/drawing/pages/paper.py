"""Sheets of paper and slides as SVG: figures put in their place, and lines of text that fit."""

from __future__ import annotations

import re
from collections.abc import Iterable

from tinygrad_edu.drawing.figures.elements import svg_text_element
from tinygrad_edu.drawing.figures.text import text_width


def fitted(
    fragment: str, size: tuple[float, float], room: tuple[float, float, float, float], most: float
) -> tuple[str, float]:
    """Put a figure in the middle of a room, as large as it fits; return it and its height there.

    Args:
        fragment: The inside of an SVG document.
        size: Its width and height.
        room: Left, top, width and height of the place for it.
        most: The most that it is enlarged.
    """
    (width, height), (left, top, across, down) = size, room
    scale = min(across / width, down / height, most)
    x, y = left + (across - scale * width) / 2.0, top + (down - scale * height) / 2.0
    placed = f'<g transform="translate({x:.2f},{y:.2f}) scale({scale:.4f})">\n{fragment}\n</g>'
    return placed, scale * height


def wrapped(text: str, size: float, width: float) -> list[str]:
    """Break a line where it may be broken: before equal signs, else in sums, else at spaces.

    >>> wrapped("df/dx = 4 + 12 = 16", 10.0, 60.0)
    ['df/dx', '= 4 + 12', '= 16']
    >>> wrapped("abcdefgh", 10.0, 20.0)
    ['abc', 'def', 'gh']
    """
    pieces = [text]
    for place in (r" (?== )", r" (?=[+−] )", " "):
        pieces = [
            part
            for piece in pieces
            for part in ([piece] if _fits(piece, size, width) else re.split(place, piece))
        ]
    lines = [""]
    for piece in pieces:
        longer = f"{lines[-1]} {piece}" if lines[-1] else piece
        if _fits(longer, size, width):
            lines[-1] = longer
            continue
        lines += [piece] if lines[-1] else []
        lines[-1] = piece
        while not _fits(lines[-1], size, width) and len(lines[-1]) > 1:
            line = lines.pop()
            count = max(n for n in range(1, len(line)) if n == 1 or _fits(line[:n], size, width))
            lines += [line[:count], line[count:]]
    return lines


def _fits(text: str, size: float, width: float) -> bool:
    return width_on_paper(text, size) <= width


def width_on_paper(text: str, size: float) -> float:
    """Return the width of text in the font of PNG and PDF files, or a little more.

    ``text_width`` reckons with the widest of several fonts; of European letters and signs, those
    of Liberation Serif have at most four fifths of that.
    """
    narrow = "".join(letter for letter in text if ord(letter) < 0x530 or letter in "−·…–")
    return text_width(text, size) - 0.2 * text_width(narrow, size)


def text_lines(
    lines: Iterable[str], x: float, y: float, size: float, leading: float, color: str, kind: str
) -> Iterable[str]:
    """Write lines from (x, y) downwards; y is the first one's baseline."""
    for k, line in enumerate(lines):
        yield svg_text_element(x, y + k * leading, line, size, color, kind=kind, anchor="start")

"""Text in figures: what a label looks like, and how much room it takes.

Nothing here asks a font. A figure is laid out before anybody knows in which font a browser will
show it, so widths are upper bounds over the serif fonts that are met (Times, Liberation, Georgia,
DejaVu Serif): text that is narrower than its room never overlaps anything.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable

LINE_HEIGHT = 1.2  # of the font size

# Widths in units of the font size; char_width() tells those of other characters.
_WIDTHS = (
    (0.41, " .,:;'|!ijl\u00ad"),
    (0.50, '()[]"/\\ftrI-`'),
    (0.65, "0123456789acesvxyz{}"),
    (1.04, "mMW@%—…æœÆŒw©®¼½¾"),
)
_WIDTH_OF = {character: width for width, text in _WIDTHS for character in text}


def char_width(character: str) -> float:
    """Return an upper bound of the width of one character, in units of the font size.

    >>> char_width("i") < char_width("m") <= char_width("計")
    True
    """
    known = _WIDTH_OF.get(character)
    if known is not None:
        return known
    code = ord(character)
    if unicodedata.category(character) in ("Mn", "Me", "Cf"):  # accents that go on other letters
        return 0.0
    if code >= 0x1F000:  # emoji
        return 1.4
    if unicodedata.east_asian_width(character) in "WF":
        return 1.05
    if code < 0x370:  # Latin
        return 0.9 if character.isupper() or not character.isalpha() else 0.75
    return 1.2 if code < 0x530 and character.isupper() else 1.05


def text_width(text: str, size: float) -> float:
    """Return an upper bound of the width of one line of ``text``, in points, at font ``size``.

    >>> round(text_width("x + y", 10.0), 1)
    30.2
    """
    return size * sum(map(char_width, text))


def printable(text: str) -> str:
    r"""Return ``text`` with what has no look of its own written as Python would write it.

    That is control characters, and code points that are no characters (lone surrogates, U+FFFE),
    which XML cannot hold either. Line breaks stay.

    >>> print(printable("a\tb\x07\ud800"))
    a b\x07\ud800
    """
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\t", " ")
    return "".join(map(_printable, text)) if not text.isprintable() else text


def _printable(character: str) -> str:
    code = ord(character)
    if character == "\n":
        return character
    if code < 0x20 or 0x7F <= code < 0xA0 or 0xD800 <= code < 0xE000 or code & 0xFFFE == 0xFFFE:
        return character.encode("unicode_escape").decode("ascii")
    if character in "\u2028\u2029":
        return "\n"
    return character


def label_lines(label: str, max_chars: int = 32, max_lines: int = 3) -> tuple[str, ...]:
    """Return the lines in which ``label`` is drawn; what is too long ends in an ellipsis.

    >>> label_lines("first\\nsecond")
    ('first', 'second')
    >>> label_lines("a rather long name", max_chars=10)
    ('a rather …',)
    """
    lines = printable(label).split("\n")
    if len(lines) > max_lines:
        lines = [*lines[: max_lines - 1], lines[max_lines - 1] + "…"]
    return tuple(
        line if len(line) <= max_chars else line[: max_chars - 1].removesuffix("…") + "…"
        for line in lines
    )


NumberFormat = str | Callable[[float], str]


def number_text(number: float, number_format: NumberFormat) -> str:
    """Return ``number`` as figures show it: with a true minus sign, and no minus before a zero.

    >>> number_text(-4.0, ".4g"), number_text(-0.0, ".4g"), number_text(2 / 3, ".2f")
    ('−4', '0', '0.67')
    """
    if callable(number_format):
        return printable(str(number_format(number)))
    return format(number + 0.0, number_format).replace("-", "−")

"""Text in figures: what a label looks like, and how much room it takes.

Nothing here asks a font. A figure is laid out before anybody knows in which font a browser will
show it, so widths are upper bounds over the serif fonts that are met (Times, Liberation, Georgia,
DejaVu Serif): text that is narrower than its room never overlaps anything.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable

LINE_HEIGHT = 1.2  # of the font size

# Widths in units of the font size; char_width() tells those of other characters.
_WIDTHS = (
    (0.41, " .,:;'|!ijl·\u00ad"),
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


GREEK = {
    "alpha": "α", "beta": "β", "gamma": "γ", "delta": "δ", "epsilon": "ε", "zeta": "ζ",
    "eta": "η", "theta": "θ", "iota": "ι", "kappa": "κ", "lambda": "λ", "mu": "μ", "nu": "ν",
    "xi": "ξ", "pi": "π", "rho": "ρ", "sigma": "σ", "tau": "τ", "upsilon": "υ", "phi": "φ",
    "chi": "χ", "psi": "ψ", "omega": "ω", "Gamma": "Γ", "Delta": "Δ", "Theta": "Θ",
    "Lambda": "Λ", "Xi": "Ξ", "Pi": "Π", "Sigma": "Σ", "Upsilon": "Υ", "Phi": "Φ", "Psi": "Ψ",
    "Omega": "Ω",
}  # fmt: skip
SCRIPT = 0.7  # size of subscripts and superscripts, in units of the font size
_NAME = re.compile(r"([^\W\d_]+)(\d*)(?:_(\d+(?:,\d+)*|[^\W_]{1,5}))?(#\d+)?")


def typeset(name: str) -> tuple[tuple[str, int], ...]:
    """Split a name into runs of text: on the line (0), lowered (-1) or raised (1).

    ``x1`` and ``w_out`` have subscripts; ``w1_23`` is the notes' weight of layer 1 that leads to
    neuron 2 from input 3, with the layer raised; Greek letters may be spelled out. Other names
    stay as they are.

    >>> typeset("x1"), typeset("theta_2"), typeset("step12")
    ((('x', 0), ('1', -1)), (('θ', 0), ('2', -1)), (('step12', 0),))
    >>> typeset("w1_23")
    (('w', 0), ('(1)', 1), ('23', -1))
    """
    match = _NAME.fullmatch(name)
    if match is None:
        return ((name, 0),)
    stem, layer, index, copy = match.groups()
    stem, single = GREEK.get(stem, stem), stem in GREEK or len(stem) == 1
    if layer and not single:
        return ((name, 0),)
    runs = [(stem, 0)]
    if index:
        runs += [(f"({layer})", 1)] * bool(layer) + [(GREEK.get(index, index), -1)]
    elif layer:
        runs.append((layer, -1))
    return (*runs, *([(copy, 0)] if copy else []))


def name_width(name: str, size: float) -> float:
    """Return an upper bound of the width of a name as ``typeset`` has it.

    >>> text_width("x", 10.0) < name_width("x1", 10.0) < text_width("x1", 10.0)
    True
    """
    return sum(text_width(text, size * (SCRIPT if shift else 1.0)) for text, shift in typeset(name))


def isolated(text: str) -> str:
    """Return ``text`` so that its direction does not reach what stands around it.

    Else ``c = a - b`` with Hebrew names would read as ``b - a``. Text without right-to-left letters
    stays as it is; other text is put between Unicode's first-strong isolate and its end.

    >>> isolated("x1"), isolated("\u05d0") == "\u2068\u05d0\u2069"
    ('x1', True)
    """
    if text.isascii() or all(unicodedata.bidirectional(x) not in _RIGHT_TO_LEFT for x in text):
        return text
    return f"\u2068{text}\u2069"


_RIGHT_TO_LEFT = {"R", "AL", "AN", "RLE", "RLO", "RLI", "LRE", "LRO", "LRI", "FSI", "PDF", "PDI"}


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

    >>> number_text(-4.0, ".4g"), number_text(-0.0, ".4g"), number_text(-0.001, ".2f")
    ('−4', '0', '0.00')
    """
    if callable(number_format):
        return printable(str(number_format(number)))
    text = format(number, number_format)
    if text.startswith("-") and not any(digit in text for digit in "123456789inf"):
        text = format(0.0, number_format)  # what is written as zero has no sign
    return text.replace("-", "−")

"""A finished figure: it shows itself in notebooks and saves itself in four formats.

SVG is the figure; PNG and PDF are made from it.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable
from pathlib import Path

from tinygrad_edu._files import write_atomically
from tinygrad_edu.drawing.figures.pdf import render_pdf
from tinygrad_edu.drawing.figures.png import render_png

SUFFIXES = (".svg", ".png", ".pdf", ".dot")
_MAX_PIXELS = 100_000_000  # a PNG of this size takes 400 MB while it is drawn


class Figure:
    """A figure as SVG text, and all that can be made of it.

    Args:
        svg: The SVG document, or a function that makes it; called once, when it is first needed.
        dot: The DOT text behind it, or a function that makes it; empty if there is none.

    Notebooks show it by themselves.

    >>> figure = Figure('<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>')
    >>> figure.png()[:4]
    b'\\x89PNG'
    """

    def __init__(self, svg: str | Callable[[], str], dot: str | Callable[[], str] = "") -> None:
        self._svg = svg
        self._dot = dot

    @property
    def svg(self) -> str:
        """The figure as an SVG document. For what may be relied on in it see ``drawing/svg.py``."""
        if not isinstance(self._svg, str):
            self._svg = self._svg()
        return self._svg

    @property
    def dot(self) -> str:
        """The graph as DOT text, for other programs to lay out; empty if there is none."""
        if not isinstance(self._dot, str):
            self._dot = self._dot()
        return self._dot

    @property
    def size(self) -> tuple[float, float]:
        """Width and height in points (1/72 inch)."""
        head = re.match(r"[^>]*<svg\b[^>]*>", self.svg)
        found = dict(re.findall(r'\b(width|height)="([\d.]+)"', head.group() if head else ""))
        return float(found["width"]), float(found["height"])

    def png(self, scale: float = 2.0) -> bytes:
        """Return the figure as a PNG image.

        Args:
            scale: Pixels per point; 2 suits screens, 4 is about 300 dots per inch.

        Raises:
            ValueError: If ``scale`` is not positive, or the image would have over 100 million
                pixels.
        """
        if not scale > 0 or math.isinf(scale):
            raise ValueError(f"scale: expected a positive number, got {scale!r}")
        width, height = self.size
        if width * height * scale * scale > _MAX_PIXELS:
            raise ValueError(
                f"a PNG of {width * scale:.0f} x {height * scale:.0f} pixels is too large: pass a "
                f"scale below {math.sqrt(_MAX_PIXELS / (width * height)):.2g} or save as .svg or "
                ".pdf"
            )
        # white: a last row or column of pixels that the figure fills in part would shine through
        return render_png(self.svg, scale, background="#ffffff")

    def pdf(self) -> bytes:
        """Return the figure as a PDF document of one page: vectors, text as text."""
        return render_pdf(self.svg)

    def save(self, path: str | os.PathLike[str], *, scale: float = 2.0) -> None:
        """Write the figure to ``path``, in the format that its suffix names.

        Args:
            path: A path that ends in ``.svg``, ``.png``, ``.pdf`` or ``.dot``.
            scale: Pixels per point, for PNG.

        Raises:
            ValueError: If the suffix is another one; nothing is written.
            OSError: If the file cannot be written; an old file stays as it was.
        """
        suffix = Path(path).suffix.lower()
        if suffix not in SUFFIXES:
            raise ValueError(
                f"{os.fspath(path)!r}: a figure is saved as one of {', '.join(SUFFIXES)}, "
                f"got {f'the suffix {suffix!r}' if suffix else 'a name without suffix'}"
            )
        content: bytes | str
        if suffix == ".svg":
            content = self.svg
        elif suffix == ".png":
            content = self.png(scale)
        elif suffix == ".pdf":
            content = self.pdf()
        else:
            content = self.dot
            if not content:
                raise ValueError("this figure has no graph behind it to save as .dot")
        write_atomically(path, content)

    def _repr_svg_(self) -> str:
        return self.svg

    def __repr__(self) -> str:
        return (
            "Figure(...)" if callable(self._svg) else "Figure({:.0f} x {:.0f})".format(*self.size)
        )

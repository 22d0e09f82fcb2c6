"""PNG images of SVG text, and the font that PNG and PDF files are drawn with.

Both use the font that ships beside this file, Liberation Serif (SIL Open Font License,
``fonts/OFL.txt``), so they look the same everywhere, and work on a machine without any fonts.
Characters that it lacks come from the system's fonts.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

_FONTS = Path(__file__).with_name("fonts")
REGULAR_FONT = _FONTS / "LiberationSerif-Regular.ttf"
ITALIC_FONT = _FONTS / "LiberationSerif-Italic.ttf"

# Characters that the font has: for a figure made of these the system's fonts need not be searched.
_COVERED = re.compile(
    r"[\n -~\u00a0-\u017f\u0386\u0388-\u038a\u038c\u038e-\u03a1\u03a3-\u03ce\u0400-\u045f"
    r"–—‘’“”…−×·÷±≤≥≈≠∞∂√∑∏←→₀-₉]*"
)


def render_png(svg: str, scale: float, background: str | None = None) -> bytes:
    """Return SVG text as a PNG image with ``scale`` pixels per unit; transparent by default."""
    try:
        import resvg_py
    except ImportError as error:
        raise ImportError("PNG images need a package: pip install resvg-py") from error

    return bytes(
        resvg_py.svg_to_bytes(
            svg_string=svg,
            zoom=scale,
            background=background,
            skip_system_fonts=_COVERED.fullmatch(svg) is not None,
            font_files=[os.fspath(REGULAR_FONT), os.fspath(ITALIC_FONT)],
            font_family="Liberation Serif",
            serif_family="Liberation Serif",
        )
    )

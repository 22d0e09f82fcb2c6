"""How a notebook shows a node or a model: as a figure, drawn by a wing above.

The wing of drawing stands above the engine and loads only when a figure is wanted. So the engine
asks ``svg_of``, and the front door of the package says who answers (``show_with``).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

_painters: list[Callable[[Any], str | None]] = []


def show_with(painter: Callable[[Any], str | None]) -> None:
    """Let ``painter`` answer ``svg_of`` from now on; ``None`` from it means: show it as text."""
    _painters[:] = [painter]


def svg_of(thing: Any) -> str | None:
    """Return ``thing`` as SVG text; ``None`` if it is shown as text.

    >>> from tinygrad_edu import Value
    >>> svg_of(Value(2.0) * 3.0)[:4]
    '<svg'
    """
    return _painters[0](thing) if _painters else None

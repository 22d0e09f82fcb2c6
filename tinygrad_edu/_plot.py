"""New matplotlib figures that show themselves in notebooks."""

from __future__ import annotations

import io
from functools import partial
from typing import Any


def new_figure(width: float, height: float) -> Any:
    """Return an empty matplotlib ``Figure``; a notebook shows it as a picture.

    matplotlib's own figures are shown in notebooks only once ``pyplot`` has been imported there,
    which changes settings of the whole process. These say themselves how they look.

    Args:
        width: In inches.
        height: In inches.

    Raises:
        ImportError: If matplotlib is not installed.

    >>> new_figure(4.0, 3.0)._repr_png_()[1:4]
    b'PNG'
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError('plots need matplotlib: pip install "tinygrad_edu[plot]"') from error
    figure: Any = Figure(figsize=(width, height), layout="constrained")
    figure._repr_png_ = partial(_png, figure)
    return figure


def _png(figure: Any) -> bytes:
    picture = io.BytesIO()
    figure.savefig(picture, format="png", dpi=144)
    return picture.getvalue()

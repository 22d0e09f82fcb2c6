"""What the demos share: one look for all figures, where they are saved, and the command line.

Green and red are left to what they mean in the notes, values of the forward pass and gradients of
the backward pass. All other colours are from Okabe and Ito's palette, which colour-blind readers
can tell apart, and no line is told from another by its colour alone.
"""

from __future__ import annotations

import argparse
import inspect
import io
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tinygrad_edu._files import write_atomically
from tinygrad_edu.drawing.figures.diagram import GRADIENT_COLOR, VALUE_COLOR
from tinygrad_edu.drawing.plots.classes import CLASS_COLORS

FIGURES = Path(__file__).resolve().parent / "figures"

BLUE, ORANGE, PURPLE = CLASS_COLORS[:3]
INK, GREY = "#1f2328", "#8c959f"
GREEN, RED = VALUE_COLOR, GRADIENT_COLOR
LINES: tuple[dict[str, Any], ...] = (
    {"color": BLUE, "linestyle": "-"},
    {"color": ORANGE, "linestyle": "--"},
    {"color": PURPLE, "linestyle": "-."},
    {"color": INK, "linestyle": ":"},
)


def panels(
    columns: int, rows: int = 1, *, width: float = 4.2, height: float = 3.7, **options: Any
) -> tuple[Figure, Sequence[Axes]]:
    """Return a figure and its panels, left to right and top to bottom; sizes are inches a panel."""
    figure = Figure(figsize=(width * columns, height * rows), layout="constrained")
    axes = list(figure.subplots(rows, columns, squeeze=False, **options).flat)
    for panel in axes:
        panel.spines[["top", "right"]].set_visible(False)
        panel.title.set_fontsize(11)
    return figure, axes


def save(figure: Figure, name: str, folder: str | os.PathLike[str] | None = None) -> Path:
    """Save a figure as PNG in ``folder`` (``demos/figures``); a notebook shows it as well."""
    place = FIGURES if folder is None else Path(folder)
    place.mkdir(parents=True, exist_ok=True)
    path = place / f"{name}.png"
    picture = io.BytesIO()
    figure.savefig(picture, format="png", dpi=150)
    write_atomically(path, picture.getvalue())
    if in_notebook():
        from IPython.display import Image, display

        display(Image(picture.getvalue(), width=figure.get_figwidth() * 96))
    else:
        print(f"figure: {os.path.relpath(path)}")
    return path


def in_notebook() -> bool:
    """Are we run cell by cell, by a Jupyter kernel?"""
    return "ipykernel" in sys.modules


def run(main: Callable[..., Any]) -> None:
    """Call ``main``, in a script with the options of the command line: ``--full``, ``--steps 9``.

    The options are the parameters of ``main``, with their defaults.
    """
    if in_notebook():
        main()
        return
    parser = argparse.ArgumentParser(
        description=inspect.getdoc(main), formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    for name, parameter in inspect.signature(main).parameters.items():
        default = parameter.default
        if isinstance(default, bool):
            parser.add_argument(f"--{name}", action=argparse.BooleanOptionalAction, default=default)
        else:
            kind = str if default is None else type(default)
            parser.add_argument(f"--{name}", type=kind, default=default, metavar=kind.__name__)
    main(**vars(parser.parse_args()))

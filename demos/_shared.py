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

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

from tinygrad_edu._files import write_atomically
from tinygrad_edu.drawing.diagram import GRADIENT_COLOR, VALUE_COLOR

FIGURES = Path(__file__).resolve().parent / "figures"

BLUE, ORANGE, SKY, PURPLE, INK, GREY = (
    "#0072B2", "#E69F00", "#56B4E9", "#AA4499", "#1f2328", "#8c959f",
)  # fmt: skip
GREEN, RED = VALUE_COLOR, GRADIENT_COLOR
CLASS_COLORS = (BLUE, ORANGE, PURPLE)
CLASS_MARKERS = ("o", "s", "^")
PROBABILITY_MAP = LinearSegmentedColormap.from_list("probability", [BLUE, "white", ORANGE])
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


def scatter(panel: Axes, points: Any, classes: Any, names: Sequence[str], **options: Any) -> None:
    """Draw points of the plane, the classes 0, 1, 2 told apart by colour and by marker."""
    for k, name in enumerate(names):
        chosen = [point for point, label in zip(points, classes) if label == k]
        panel.scatter(
            [p[0] for p in chosen],
            [p[1] for p in chosen],
            **{
                "c": CLASS_COLORS[k],
                "marker": CLASS_MARKERS[k],
                "s": 26,
                "edgecolors": "white",
                "linewidths": 0.6,
                "label": name,
                "zorder": 3,
                **options,
            },
        )


def confusion(panel: Axes, matrix: Sequence[Sequence[int]], names: Sequence[str]) -> None:
    """Draw a confusion matrix: row, the true class; column, the predicted one; the counts."""
    top = max(map(max, matrix))
    panel.imshow(matrix, cmap="Blues", vmin=0, vmax=1.3 * top)
    for i, row in enumerate(matrix):
        for j, count in enumerate(row):
            panel.text(j, i, str(count), ha="center", va="center", color=_on(count, top))
    ticks = range(len(names))
    panel.set_xticks(ticks, names)
    panel.set_yticks(ticks, names)
    panel.set(xlabel="predicted class", ylabel="true class")
    panel.tick_params(length=0)
    panel.spines[:].set_visible(False)


def _on(count: int, top: int) -> str:
    return GREY if count == 0 else INK if count < 0.6 * top else "white"


def _around(points: Any) -> list[Any]:
    """Return coordinates of a grid around points of the plane: all its x, all its y."""
    spans = []
    for i in (0, 1):
        low, high = min(p[i] for p in points), max(p[i] for p in points)
        margin = 0.08 * (high - low)
        spans.append(np.linspace(low - margin, high + margin, 60))
    return spans


def regions(panel: Axes, scores: Callable[[list[float]], Sequence[float]], points: Any) -> None:
    """Tint the plane around ``points`` by the class with the largest score, with their borders."""
    x, y = _around(points)
    grid = np.array([[scores([float(a), float(b)]) for a in x] for b in y])
    for k in range(grid.shape[2]):
        lead = grid[..., k] - np.delete(grid, k, axis=2).max(axis=2)
        panel.contourf(x, y, lead, levels=[0.0, np.inf], colors=[CLASS_COLORS[k]], alpha=0.2)
        panel.contour(x, y, lead, levels=[0.0], colors=[INK], linewidths=1.1)
    panel.set(xlim=(x[0], x[-1]), ylim=(y[0], y[-1]))


def probability_map(panel: Axes, chance: Callable[[list[float]], float], points: Any) -> Any:
    """Tint the plane around ``points`` by P(y = +1), with a line where it is 0.5."""
    x, y = _around(points)
    grid = [[float(chance([float(a), float(b)])) for a in x] for b in y]
    tints = panel.contourf(x, y, grid, np.linspace(0.0, 1.0, 11), cmap=PROBABILITY_MAP, alpha=0.45)
    panel.contour(x, y, grid, levels=[0.5], colors=[INK], linewidths=1.4)
    return tints


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

"""The demo that `make demo` runs: the notes' two figures, then a network that reads handwriting.

All demos: python demos/all.py
"""

from __future__ import annotations

import os
import time
from importlib import import_module
from pathlib import Path

from _shared import FIGURES, run

from tinygrad_edu import Value, draw
from tinygrad_edu.cli import forward_table


def figure_1() -> Value:
    """The notes' Figure 1: (x + y) * z at x = 2, y = 3, z = 4."""
    x, y, z = Value(2.0, "x"), Value(3.0, "y"), Value(4.0, "z")
    g = x + y
    g.label = "g"
    return g * z


def figure_2() -> Value:
    """The notes' Figure 2: ((x + y) + (x * y)) * z, where x and y are used twice."""
    x, y, z = Value(2.0, "x"), Value(3.0, "y"), Value(4.0, "z")
    h, i = x + y, x * y
    h.label, i.label = "h", "i"
    g = h + i
    g.label = "g"
    return g * z


def backpropagation(folder: str | None) -> None:
    """Draw both figures and print every node's value and gradient."""
    place = FIGURES if folder is None else Path(folder)
    place.mkdir(parents=True, exist_ok=True)
    figures = (
        ("Figure 1: (x + y) * z", "figure1.svg", figure_1()),
        ("Figure 2: ((x + y) + (x * y)) * z", "figure2.svg", figure_2()),
    )
    for title, file, f in figures:
        f.label = "f"
        f.backward()
        draw(f).save(place / file)
        print(f"\n{title}\n\n{forward_table(f)}\n\nfigure: {os.path.relpath(place / file)}")


def main(rows: int = 0, epochs: int = 0, folder: str | None = None) -> None:
    """Draw the notes' figures, then train on two moons and on handwritten digits."""
    started = time.perf_counter()
    backpropagation(folder)
    print("\nThe same backward pass trains networks.\n", flush=True)
    classification = import_module("09_classification")
    classification.two_moons(epochs or 60, compiled=False, folder=folder)
    print()
    data = classification.load(rows or 500, 100)
    score = classification.digits(data, epochs or 6, compiled=False, folder=folder)
    print(f"\nIt learned to read {score:.1%} of 360 handwritten digits that it had never seen,")
    print(f"from {len(data.X)} examples. All of this took {time.perf_counter() - started:.0f} s.")


if __name__ == "__main__":
    run(main)

"""Draw the figures that README and the documentation show: `make figures`.

They are laid out by the Graphviz that comes as WebAssembly, whatever this machine has, so that they
are the same wherever they are made.
"""

from __future__ import annotations

import os
from pathlib import Path

from tinygrad_edu import Value
from tinygrad_edu.drawing import Figure
from tinygrad_edu.drawing.figures.graph import graph_diagram
from tinygrad_edu.drawing.figures.layout import place
from tinygrad_edu.drawing.figures.svg import svg_text

FOLDER = Path(__file__).resolve().parent / "figures"


def figure_1() -> Value:
    """The notes' Figure 1: (x + y) * z."""
    x, y, z = Value(2.0, "x"), Value(3.0, "y"), Value(4.0, "z")
    g = x + y
    g.label = "g"
    return g * z


def figure_2() -> Value:
    """The notes' Figure 2: ((x + y) + (x * y)) * z."""
    x, y, z = Value(2.0, "x"), Value(3.0, "y"), Value(4.0, "z")
    h, i = x + y, x * y
    g = h + i
    h.label, i.label, g.label = "h", "i", "g"
    return g * z


def main() -> None:
    """Write Figures 1 and 2 into docs/figures."""
    FOLDER.mkdir(exist_ok=True)
    for name, formula, f in (
        ("figure1", "(x + y) * z", figure_1()),
        ("figure2", "((x + y) + (x * y)) * z", figure_2()),
    ):
        f.label = "f"
        f.backward()
        diagram = graph_diagram(f, title=formula)
        path = FOLDER / f"{name}.svg"
        Figure(svg_text(place(diagram, engine="wasm"))).save(path)
        print(os.path.relpath(path))


if __name__ == "__main__":
    main()

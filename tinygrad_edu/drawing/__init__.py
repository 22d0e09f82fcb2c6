"""Figures of computational graphs, drawn as in the notes, section 'The Backpropagation Algorithm'.

>>> from tinygrad_edu import Value, draw
>>> x, y, z = Value(2.0, "x"), Value(3.0, "y"), Value(4.0, "z")
>>> f = (x + y) * z
>>> f.backward()
>>> draw(f)                     # a notebook shows the figure; f.save("figure1.svg") writes it
Figure(...)

From the graph to the file:

1. ``graph.py``: Values become a ``Diagram``, plain data (``diagram.py``);
2. ``diagram.py``: a diagram becomes DOT text in which every size is fixed;
3. ``engine.py``: Graphviz lays it out, the system's or the one that comes as WebAssembly;
4. ``layout.py``: its answer becomes coordinates;
5. ``svg.py``: a diagram with coordinates becomes SVG, the figure;
6. ``figure.py``, ``pdf.py``: the figure shows and saves itself.

Nothing after step 1 knows of Values, so other pictures can start from a ``Diagram`` or from SVG.

How the numbers come about: ``explain`` writes the chain rule out (``chain_rule.py``,
``notation.py``, ``explanation.py``), ``step_through`` plays it as a page (``step_page.py``,
``javascript.py``, ``pages/``). Models: ``draw_network`` (``network.py``), ``train_page``. Plots of
numbers, with matplotlib: ``plots.py``.
"""

from tinygrad_edu.drawing.explanation import Explanation, explain
from tinygrad_edu.drawing.figure import Figure
from tinygrad_edu.drawing.graph import draw
from tinygrad_edu.drawing.network import draw_network
from tinygrad_edu.drawing.page import Page
from tinygrad_edu.drawing.plots import (
    plot_activations,
    plot_boundary,
    plot_confusion,
    plot_functions,
    plot_loss_surface,
    plot_probabilities,
    plot_surface,
)
from tinygrad_edu.drawing.step_page import step_through
from tinygrad_edu.drawing.train_page import train_page

__all__ = [
    "Explanation",
    "Figure",
    "Page",
    "draw",
    "draw_network",
    "explain",
    "plot_activations",
    "plot_boundary",
    "plot_confusion",
    "plot_functions",
    "plot_loss_surface",
    "plot_probabilities",
    "plot_surface",
    "step_through",
    "train_page",
]

"""Figures of computational graphs, drawn as in the notes, section 'The Backpropagation Algorithm'.

>>> from tinygrad_edu import Value, draw
>>> x, y, z = Value(2.0, "x"), Value(3.0, "y"), Value(4.0, "z")
>>> f = (x + y) * z
>>> f.backward()
>>> draw(f)                     # a notebook shows the figure; f.save("figure1.svg") writes it
Figure(...)

What passes through, in order: ``figures`` (a graph becomes a picture: SVG, PNG, PDF, DOT),
``words`` (the chain rule as data, notation, ``explain``), ``pages`` (``step_through`` and
``train_page`` play what figures and words say; the laboratory), ``plots`` (numbers, with
matplotlib).
"""

from tinygrad_edu.drawing.figures.figure import Figure
from tinygrad_edu.drawing.figures.graph import draw
from tinygrad_edu.drawing.figures.layout_engines import use_layout_engine
from tinygrad_edu.drawing.figures.network import draw_network
from tinygrad_edu.drawing.pages.page import Page
from tinygrad_edu.drawing.pages.step_page import step_through
from tinygrad_edu.drawing.pages.train_page import train_page
from tinygrad_edu.drawing.pages.worksheet import worksheet
from tinygrad_edu.drawing.plots import (
    plot_activations,
    plot_boundary,
    plot_confusion,
    plot_functions,
    plot_loss_surface,
    plot_probabilities,
    plot_surface,
)
from tinygrad_edu.drawing.words.explanation import Explanation, explain

draw_dot = draw  # the name in micrograd's notebooks

__all__ = [
    "Explanation",
    "Figure",
    "Page",
    "draw",
    "draw_dot",
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
    "use_layout_engine",
    "worksheet",
]

"""Plots of numbers, with matplotlib (the extra ``[plot]``, loaded at first use).

In order: ``classes`` (points of the plane with their classes, and how a model's outputs are read),
``charts`` (decision boundaries, probabilities, confusion, functions, loss surfaces).
"""

from tinygrad_edu.drawing.plots.charts import (
    plot_activations,
    plot_boundary,
    plot_confusion,
    plot_functions,
    plot_loss_surface,
    plot_probabilities,
    plot_surface,
)

__all__ = [
    "plot_activations",
    "plot_boundary",
    "plot_confusion",
    "plot_functions",
    "plot_loss_surface",
    "plot_probabilities",
    "plot_surface",
]

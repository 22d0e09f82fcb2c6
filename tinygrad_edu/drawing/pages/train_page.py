"""``train_page``: a recorded training of a classifier in the plane, as a page with a scrubber.

At every recorded epoch: what the model answers in the plane (its decision boundary), the network
with its weights, and where the loss was. The parameters are those that ``fit(..., record=k)`` kept;
what the page computes from them it computes with JavaScript that the model itself wrote (see
``javascript.py``), so it shows nothing that did not happen. The notes, sections 'Multi-layer
Feedforward Neural Networks' and 'Loss Functions and Multivariate Optimization'.
"""

from __future__ import annotations

import html
import math
import re
from collections.abc import Sequence
from typing import Any

from tinygrad_edu.drawing.figures.network import (
    NEGATIVE_DASHES,
    THINNEST,
    WIDEST,
    describe_network,
    largest_weight,
    network_svg,
)
from tinygrad_edu.drawing.pages.javascript import function_source
from tinygrad_edu.drawing.pages.page import Page, make_page, page_file
from tinygrad_edu.drawing.plots.classes import Classified, span


def train_page(
    model: Any,
    X: Any,
    y: Any,
    history: Any,
    *,
    loss: Any = None,
    class_names: Sequence[str] | None = None,
    max_neurons: int = 12,
    title: str = "",
) -> Page:
    """Make a page that plays a training: decision boundary, weights and loss, epoch by epoch.

    Args:
        model: The model that was trained: an MLP, a layer or a linear model with two inputs.
        X: Points of the plane, n rows of two numbers; drawn, and not used otherwise.
        y: Their labels: 0 to K - 1 for K outputs; 1 and -1, or 1 and 0, for one output.
        history: What ``fit(..., record=k)`` returned.
        loss: The loss of the training, which knows how outputs are read; for the default see
            ``drawing/classes.py``.
        class_names: Names of the classes, in the order of their labels.
        max_neurons: How many neurons of a column are drawn.
        title: The heading.

    Returns:
        The page: ``.save("training.html")``, or let a notebook show it. The model is unchanged.

    Raises:
        TypeError: If ``model`` is none of these.
        ValueError: If the history has no snapshots or they do not fit the model, ``X`` is not
            n x 2, or the labels are not those of the model's classes.

    >>> from tinygrad_edu.nn import LogisticRegression, cross_entropy
    >>> from tinygrad_edu.training import fit
    >>> X, y = [[0.0, 0.0], [1.0, 1.0]], [0, 1]
    >>> model = LogisticRegression(2, seed=0)
    >>> history = fit(model, X, y, loss=cross_entropy, epochs=4, record=2)
    >>> train_page(model, X, y, history, loss=cross_entropy).title
    'Training: LogisticRegression(2)'
    """
    network = describe_network(model, max_neurons=max_neurons)
    parameters = [list(map(float, snapshot)) for _, snapshot in history.snapshots]
    if not parameters:
        raise ValueError("train_page: the history has no snapshots: train with fit(..., record=1)")
    count = len(model.parameters())
    if any(len(snapshot) != count for snapshot in parameters):
        raise ValueError(
            f"train_page: the snapshots hold {len(parameters[0])} parameters, the model {count}"
        )
    classified = Classified(model, X, y, loss, class_names)
    title = title or f"Training: {model!r}"
    largest = max(
        largest_weight(describe_network(model.with_parameters(snapshot)).weights)
        for snapshot in parameters
    )
    xs, ys = zip(*classified.points)
    data = {
        "epochs": [epoch for epoch, _ in history.snapshots],
        "parameters": parameters,
        "weights": _weight_lines(model, max_neurons),
        "points": [[*p, k] for p, k in zip(classified.points, classified.indices)],
        "domain": [*span(xs), *span(ys)],
        "classes": classified.names,
        "rule": "argmax" if classified.threshold is None else classified.threshold,
        "tie": classified.tie,
        "loss": _finite(history.loss),
        "held_out": _finite(history.validation_loss),
        "dashes": NEGATIVE_DASHES,
        "thinnest": THINNEST,
        "widest": WIDEST,
        "largest": largest or 1.0,
    }
    page = make_page(
        "train",
        title,
        data=data,
        scripts=[page_file("arithmetic.js"), f"const predict = {_predict(model, classified)};"],
        heading=html.escape(title),
        network=network_svg(network, False, ".3g", f"network of {model!r}", largest),
    )
    return Page(page.html, title)


def _predict(model: Any, classified: Classified) -> str:
    """The function ``(p, x) => outputs`` of the parameters ``p`` at the point ``x``."""
    count = len(model.parameters())
    operands = [*(f"p[{i}]" for i in range(count)), "x[0]", "x[1]"]

    def outputs(*nodes: Any) -> tuple[Any, ...]:
        # single + and * run faster in a browser than sums over lists do
        copy = model.expand().with_parameters(nodes[:count])
        return tuple(classified.answers(copy)(list(nodes[count:])))

    return function_source(["p", "x"], outputs, operands)


def _weight_lines(model: Any, max_neurons: int) -> list[tuple[str, int]]:
    """For each line of the picture its id and the place of its weight among the parameters."""
    numbered = model.with_parameters([float(i) for i in range(len(model.parameters()))])
    picture = describe_network(numbered, max_neurons=max_neurons)
    svg = network_svg(picture, False, ".0f", "")
    lines = []
    for name in re.findall(r'id="(weight-[\d-]+)"', svg):
        column, j, i = map(int, name.split("-")[1:])
        lines.append((name, int(picture.weights[column - 1][j][i])))
    return lines


def _finite(numbers: Sequence[float]) -> list[float | None]:
    return [x if math.isfinite(x) else None for x in map(float, numbers)]

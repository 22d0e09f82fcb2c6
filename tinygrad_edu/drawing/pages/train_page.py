"""``train_page``: a recorded training of a classifier in the plane, as a page with a scrubber.

At every recorded epoch: what the model answers in the plane (its decision boundary), the network
with its weights, and where the loss was. The parameters are those that ``fit(..., record=k)`` kept;
what the page computes from them it computes with JavaScript that the model itself wrote (see
``javascript.py``), so it shows nothing that did not happen. With the graph of one example's loss
the page steps through a point, and trains again, from the same start. The notes, sections
'Multi-layer Feedforward Neural Networks' and 'Loss Functions and Multivariate Optimization'.
"""

from __future__ import annotations

import html
import json
import math
import re
from collections.abc import Sequence
from typing import Any

from tinygrad_edu.drawing.figures.network import (
    NEGATIVE_DASHES,
    THINNEST,
    WIDEST,
    Network,
    column_outputs,
    describe_network,
    largest_weight,
    network_svg,
)
from tinygrad_edu.drawing.pages.javascript import function_source, operations_source
from tinygrad_edu.drawing.pages.page import Page, make_page, page_file
from tinygrad_edu.drawing.pages.step_page import step_through
from tinygrad_edu.drawing.plots.classes import Classified, span
from tinygrad_edu.engine.value import Constant, Value, topological_order

_MOST_NODES = 400  # of the graph of one example's loss, for the page to step through it


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

    Pointing at a neuron shows what it computes over the plane; choosing a point opens the steps of
    its loss, with the parameters of the epoch shown (of graphs of up to 400 nodes). The reader can
    also choose a learning rate and train again in the page: plain gradient descent on the loss,
    without penalties, from the recorded start; the recorded run stays beside it.

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
    steps = _Steps(model, classified, parameters[-1])
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
        "neurons": _neuron_places(network),
        "steps": steps.data,
        "no_steps": steps.problem,
        "rate": history.learning_rate[0] if history.learning_rate else 0.1,
        "reduction": classified.loss.reduction,
        "maximize": classified.loss.maximize,
    }
    page = make_page(
        "train",
        title,
        data=data,
        scripts=[
            page_file("arithmetic.js"),
            operations_source(steps.nodes),
            f"const predict = {_predict(model, classified)};",
            f"const neurons = {_neurons(model, classified)};",
            page_file("live.js"),
        ],
        inner=steps.pages,
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


def _neurons(model: Any, classified: Classified) -> str:
    """The function ``(p, x) => outputs`` of all neurons, column after column, inputs first."""
    count = len(model.parameters())
    operands = [*(f"p[{i}]" for i in range(count)), "x[0]", "x[1]"]

    def outputs(*nodes: Any) -> tuple[Any, ...]:
        copy = model.expand().with_parameters(nodes[:count])
        columns = column_outputs(copy, list(nodes[count:]), classified.answers(copy))
        return tuple(node for column in columns for node in column)

    return function_source(["p", "x"], outputs, operands)


def _neuron_places(network: Network) -> list[tuple[str, int]]:
    """For each circle of the picture its id and the place of its output in ``_neurons``."""
    places, before = [], 0
    for column, titles in enumerate(network.titles):
        places += [(f"neuron-{column}-{j}", before + j) for j in network.shown[column]]
        before += len(titles)
    return places


class _Steps:
    """The graph of one example's loss, for each class: to step through, and to train with.

    Attributes:
        data: For each class the page that steps through it, in two parts, what belongs between
            them, and its inputs: ``[node, "p", parameter]`` or ``[node, "x", coordinate]``.
        pages: These pages.
        nodes: All nodes of these graphs.
        problem: Why there are none, else empty.
    """

    def __init__(self, model: Any, classified: Classified, numbers: list[float]) -> None:
        self.data: list[dict[str, Any] | None] = []
        self.pages: list[Page] = []
        self.nodes: list[Value] = []
        self.problem = ""
        copy = model.with_parameters(
            [Value(x, p.label) for x, p in zip(numbers, model.parameters())]
        )
        try:
            for k, name in enumerate(classified.names):
                members = [i for i, index in enumerate(classified.indices) if index == k]
                points = [classified.points[i] for i in members]
                label = classified.labels[members[0]] if members else 0.0
                self.data.append(self._class(copy, points, label, name, classified))
        except (ValueError, ZeroDivisionError, OverflowError, NotImplementedError) as error:
            self.data, self.pages, self.nodes, self.problem = [], [], [], str(error)

    def _class(
        self, model: Any, points: list[list[float]], label: float, name: str, classified: Classified
    ) -> dict[str, Any] | None:
        if not points:
            return None
        x, output = _loss_graph(model, points[0], label, classified)
        leaves = [*model.parameters(), *x]
        count = len(topological_order(output))
        if count > _MOST_NODES:
            raise ValueError(f"the graph of one example's loss has {count} nodes")
        first = _signature(output, leaves)
        for point in points[1:]:
            at, other = _loss_graph(model, point, label, classified)
            if _signature(other, [*leaves[:-2], *at]) != first:
                raise ValueError("the graph of one example's loss is not the same for all points")
        page = step_through(output, title=f"the loss of a point: {name}")
        place = page.place_of
        head, data, tail = re.split(
            r'(?<=<script id="data" type="application/json">)(.*?)(?=</script>)',
            page.html,
            maxsplit=1,
        )
        self.pages.append(page)
        self.nodes += topological_order(output)
        inputs = [("p", i) for i in range(len(leaves) - 2)] + [("x", 0), ("x", 1)]
        return {
            "page": [head, tail],
            "data": json.loads(data),
            "inputs": [
                [place[leaf], *where] for leaf, where in zip(leaves, inputs) if leaf in place
            ],
        }


def _loss_graph(
    model: Any, point: list[float], label: float, classified: Classified
) -> tuple[list[Value], Value]:
    x = [Value(number, f"x{i}") for i, number in enumerate(point, 1)]
    outputs = classified.answers(model)(x)
    output = classified.loss(outputs if len(outputs) > 1 else outputs[0], label)
    output.label = "L"
    return x, output


def _signature(output: Value, leaves: list[Value]) -> list[Any]:
    """What graphs have in common that compute the same of the same inputs."""
    nodes = topological_order(output)
    place = {node: i for i, node in enumerate(nodes)}
    inputs = {leaf: i for i, leaf in enumerate(leaves)}
    return [
        (node.op.name, node.op.parameter, *(place[x] for x in node.operands))
        if node.op
        else ("input", inputs[node])
        if node in inputs
        else ("number", repr(node.data), isinstance(node, Constant))
        for node in nodes
    ]


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

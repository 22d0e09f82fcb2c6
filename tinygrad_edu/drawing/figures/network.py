"""``draw_network``: a model at the level of its neurons, with its weights, and with one example.

The notes, sections 'Multi-layer Perceptron' and 'Multi-layer Feedforward Neural Networks': columns
of neurons, each looking at all of the column before it. A weight's sign is in the colour and the
dashes of its line, its size in the width. With an example, what each neuron puts out stands in
green above the line that leaves it and the gradient in red below, as in the figures of graphs.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

from tinygrad_edu.drawing.figures.diagram import GRADIENT_COLOR, NUMBER_SIZE, VALUE_COLOR
from tinygrad_edu.drawing.figures.elements import svg_element, svg_root, svg_text_element
from tinygrad_edu.drawing.figures.figure import Figure
from tinygrad_edu.drawing.figures.graph import operation_title
from tinygrad_edu.drawing.figures.text import (
    NumberFormat,
    label_lines,
    name_width,
    number_text,
    text_width,
)
from tinygrad_edu.engine.gradient import grad
from tinygrad_edu.engine.number import as_float
from tinygrad_edu.engine.operation import Op
from tinygrad_edu.engine.value import Value

# Of Okabe and Ito's palette, which colour-blind readers can tell apart.
POSITIVE_COLOR, NEGATIVE_COLOR = "#0072b2", "#d55e00"
NEGATIVE_DASHES = "5 3"
THINNEST, WIDEST = 0.5, 5.0  # lines of weights, in points

_INK, _SOFT = "#1f2328", "#57606a"
_RADIUS, _COLUMN, _MARGIN = 19.0, 150.0, 14.0
_ROW, _NARROW_ROW = 58.0, 48.0  # with numbers, and without
_GAP = 10.0  # at least so much between the circles of a column
_BIAS = 18.0  # the height of a bias below its circle
_FEW_WEIGHTS = 9  # so many are written on their lines


@dataclass(frozen=True)
class Network:
    """What is drawn: columns of neurons (the first are the inputs) and the weights between them.

    Attributes:
        titles: For each column the text in each circle.
        shown: For each column the neurons that are drawn; the others of a wide column are left out.
        weights: For each column but the first: ``weights[column - 1][neuron][input]``.
        biases: For each column but the first the biases, ``None`` where a neuron has none.
        values, gradients: For each column what stands above and below the lines; empty lists if
            nothing does.
        weight_gradients, bias_gradients: Like the weights and the biases; empty lists if they are
            not drawn.
    """

    titles: list[list[str]]
    shown: list[list[int]]
    weights: list[list[list[float]]]
    biases: list[list[float | None]]
    values: list[list[float]]
    gradients: list[list[float]]
    weight_gradients: list[list[list[float]]] = field(default_factory=list)
    bias_gradients: list[list[float | None]] = field(default_factory=list)


def draw_network(
    model: Any,
    example: Sequence[float] | float | None = None,
    *,
    target: Any = None,
    loss: Any = None,
    input_names: Sequence[str] | None = None,
    weights: bool | None = None,
    weight_gradients: bool = False,
    number_format: NumberFormat = ".3g",
    max_neurons: int = 12,
    title: str = "",
) -> Figure:
    """Draw a neuron, a layer, a linear model or an MLP as a network.

    Nothing in the model is changed; no ``grad`` is read.

    Args:
        model: What to draw.
        example: One row of inputs; then the outputs of all neurons are written (forward pass).
        target: The example's target; with ``loss``, gradients of the loss are written.
        loss: A loss of ``tinygrad_edu.nn``. Without one the gradients are those of the model's
            output, if it has a single one.
        input_names: Names of the inputs, by default ``x1``, ``x2``, ...
        weights: Whether to write weights and biases as numbers; by default if they are few.
        weight_gradients: Whether to write, in red below each weight and bias, its gradient: that of
            the loss, or of the single output. It needs an example, and writes the weights as well.
        number_format: A format specification or a function from a float to its text.
        max_neurons: How many neurons of a column are drawn; the middle of a longer one is left out.
        title: What the figure shows, for screen readers.

    Raises:
        TypeError: If ``model`` has no neurons.
        ValueError: If there is a loss without a target (or the other way round), the number of
            inputs or names does not fit, or gradients are wanted and there is nothing to
            differentiate.

    >>> from tinygrad_edu.nn import MLP
    >>> figure = draw_network(MLP(2, [3, 1], "tanh", seed=0), [1.0, -2.0])
    >>> 'id="weight-2-0-1"' in figure.svg
    True
    """
    network = describe_network(
        model, example, target, loss, input_names, max_neurons, weight_gradients
    )
    if weight_gradients:
        weights = True
    if weights is None:
        weights = sum(1 for _ in _lines(network)) <= _FEW_WEIGHTS
    title = title or f"network of {_count(network)}"
    return Figure(network_svg(network, weights, number_format, title))


def describe_network(
    model: Any,
    example: Sequence[float] | float | None = None,
    target: Any = None,
    loss: Any = None,
    input_names: Sequence[str] | None = None,
    max_neurons: int = 12,
    weight_gradients: bool = False,
) -> Network:
    """Read what ``draw_network`` draws off a model; the arguments and errors are the same."""
    if (loss is None) != (target is None):
        raise ValueError("draw_network: a loss needs a target, and a target a loss")
    if loss is not None and example is None:
        raise ValueError("draw_network: a loss needs an example")
    if max_neurons < 3:
        raise ValueError(f"max_neurons: expected at least 3, got {max_neurons}")
    columns = _columns(model)
    count = len(columns[0][0].w)
    names = [f"x{i + 1}" for i in range(count)] if input_names is None else list(input_names)
    if len(names) != count:
        raise ValueError(f"input_names: expected {count} names, got {len(names)}")
    values, gradients, objective = _numbers(model, example, target, loss)
    slopes: dict[str, Any] = {}
    if weight_gradients:
        if objective is None:
            raise ValueError(
                "draw_network: weight_gradients need an example, and a loss with its target where "
                "the model has several outputs"
            )
        slopes = _slopes(columns, objective)
    return Network(
        titles=[names, *([_symbol(neuron.activation) for neuron in column] for column in columns)],
        shown=[_shown(len(column), max_neurons) for column in (names, *columns)],
        weights=[[[as_float(w) for w in neuron.w] for neuron in column] for column in columns],
        biases=[[None if n.b is None else as_float(n.b) for n in column] for column in columns],
        values=values,
        gradients=gradients,
        **slopes,
    )


def _slopes(columns: list[list[Any]], objective: Value) -> dict[str, Any]:
    """The gradients of weights and biases, in the form of ``Network``."""
    parameters = [p for column in columns for n in column for p in (*n.w, n.b) if p is not None]
    if not all(isinstance(p, Value) for p in parameters):
        raise ValueError("draw_network: weight_gradients: the model's weights are no Values")
    slope = dict(zip(parameters, grad(objective, parameters)))
    return {
        "weight_gradients": [[[slope[w] for w in n.w] for n in column] for column in columns],
        "bias_gradients": [
            [None if n.b is None else slope[n.b] for n in column] for column in columns
        ],
    }


def _columns(model: Any) -> list[list[Any]]:
    layers = getattr(model, "layers", None) or [model]
    columns = [list(getattr(layer, "neurons", None) or [layer]) for layer in layers]
    for neuron in chain.from_iterable(columns):
        if not hasattr(neuron, "w") or not hasattr(neuron, "activation"):
            raise TypeError(
                f"draw_network: expected a Neuron, a Layer, an MLP or a linear model, "
                f"got {type(model).__name__} {model!r:.60}"
            )
    return columns


def _numbers(
    model: Any, example: Any, target: Any, loss: Any
) -> tuple[list[list[float]], list[list[float]], Value | None]:
    """Run one example: what each column puts out, its gradients, and what is differentiated."""
    if example is None:
        return [], [], None
    inputs = [Value(x) for x in (example if hasattr(example, "__len__") else [example])]
    if loss is not None:
        from tinygrad_edu.nn.loss import predictor

        predict: Any = predictor(model, loss)
    else:
        predict = model
    nodes = column_outputs(model, inputs, predict)
    features = getattr(model, "features", None)
    outputs = nodes[-1]
    values = [[as_float(node) for node in column] for column in nodes]
    if loss is None and len(outputs) > 1:
        return values, [], None
    prediction: Any = outputs[0] if len(outputs) == 1 else outputs
    objective: Value = prediction if loss is None else loss(prediction, target)
    wanted = nodes if not features else [[], *nodes[1:]]  # features were made twice, for us as well
    return values, [grad(objective, column) if column else [] for column in wanted], objective


def column_outputs(model: Any, inputs: list[Any], predict: Any) -> list[list[Any]]:
    """Return what each column of a model puts out: its inputs, or the features made of them, first.

    Args:
        model: The model.
        inputs: One row of inputs: floats, Values, or whatever the operations take.
        predict: What to ask for the outputs of a model without layers.
    """
    features = getattr(model, "features", None)
    columns = [list(features(inputs)) if features else inputs]
    if hasattr(model, "layers"):
        for layer in model.layers:
            columns.append(_as_list(layer(columns[-1])))
    else:
        columns.append(_as_list(predict(inputs)))
    return columns


def _as_list(outputs: Any) -> list[Any]:
    return list(outputs) if isinstance(outputs, (list, tuple)) else [outputs]


def _symbol(activation: Any) -> str:
    if isinstance(activation, Op):
        return operation_title(activation)
    name = getattr(activation, "__name__", "f")
    return {"identity": "Σ"}.get(name, name)


def _shown(count: int, most: int) -> list[int]:
    return [*range(count)] if count <= most else [*range(most - 2), count - 1]


def _count(network: Network) -> str:
    return " - ".join(str(len(column)) for column in network.titles) + " neurons"


def _lines(network: Network) -> Iterator[tuple[int, int, int, float]]:
    """Yield column, neuron, input and weight of every line that is drawn."""
    for column, weights in enumerate(network.weights, 1):
        for j in network.shown[column]:
            for i in network.shown[column - 1]:
                yield column, j, i, weights[j][i]


# --- the picture ---


def line_width(weight: float, largest: float) -> float:
    """Return the width of a weight's line, in points; ``largest`` is the largest size of any."""
    return THINNEST + (WIDEST - THINNEST) * (abs(weight) / largest if largest > 0.0 else 0.0)


def network_svg(
    network: Network,
    weights: bool,
    number_format: NumberFormat,
    title: str,
    largest: float | None = None,
) -> str:
    """Return the SVG document of a network.

    ``path#weight-<column>-<neuron>-<input>`` is the line of a weight and
    ``g#neuron-<column>-<neuron>`` a neuron (column 0: the inputs). ``largest`` is the weight that
    gets the widest line, by default the largest there is.
    """
    largest = largest_weight(network.weights) if largest is None else largest
    texts = [[number_text(x, number_format) for x in column] for column in network.values]
    below = [[number_text(x, number_format) for x in column] for column in network.gradients]
    stem = max((text_width(x, NUMBER_SIZE) + 14.0 for x in chain(*texts, *below)), default=0.0)
    radius = max(
        _RADIUS,
        *(
            _title_width(line, column) / 2.0 + 4.0
            for column, titles in enumerate(network.titles)
            for title_ in titles
            for line in label_lines(title_, 12, 1)
        ),
    )
    row = max(_ROW if weights or network.values else _NARROW_ROW, 2.0 * radius + _GAP)
    below_circles = 0.0  # room for the biases, which stand below the circles
    if weights and any(b is not None for column in network.biases for b in column):
        below_circles = _BIAS + (14.0 if network.bias_gradients else 0.0)
        row = max(row, 2.0 * radius + below_circles + 4.0)
    pitch = _COLUMN + 2.0 * radius + stem + (40.0 if weights else 0.0)
    rows = max(len(shown) + (len(shown) < len(titles)) for shown, titles in
               zip(network.shown, network.titles))  # fmt: skip
    height = rows * row + below_circles + 2.0 * _MARGIN + 26.0
    width = (len(network.titles) - 1) * pitch + 2.0 * radius + stem + 2.0 * _MARGIN + 8.0
    width = max(width, 420.0)
    places = {
        (column, j): (_MARGIN + radius + column * pitch, _MARGIN + y)
        for column, shown in enumerate(network.shown)
        for j, y in _rows(shown, len(network.titles[column]), rows, row)
    }
    parts = [*_weight_lines(network, places, radius, stem, weights, number_format, largest)]
    for column, shown in enumerate(network.shown):
        for j in shown:
            above = texts[column][j] if texts else ""
            under = below[column][j] if below and below[column] else ""
            bias = network.biases[column - 1][j] if column else None
            parts += _neuron(
                network.titles[column][j], places[column, j], radius, stem, above, under,
                number_text(bias, number_format) if weights and bias is not None else "",
                _bias_gradient(network, column, j, number_format),
                f"neuron-{column}-{j}", column, column == len(network.titles) - 1,
            )  # fmt: skip
        if len(shown) < len(network.titles[column]):
            x, y = places[column, shown[-1]]
            missing = len(network.titles[column]) - len(shown)
            parts += _missing(x, y - row, f"… {missing} more …")
    parts += _legend(number_text(largest, number_format), height - 10.0)
    return svg_root(width, height, title, _description(network, number_format), parts)


def _bias_gradient(network: Network, column: int, j: int, number_format: NumberFormat) -> str:
    slope = network.bias_gradients[column - 1][j] if column and network.bias_gradients else None
    return "" if slope is None else number_text(slope, number_format)


def _missing(x: float, y: float, text: str) -> Iterable[str]:
    """Say how many neurons are left out, on a ground of its own: lines run behind it."""
    width = text_width(text, 12.0) + 8.0
    yield svg_element("rect", x=f"{x - width / 2.0:.1f}", y=f"{y - 10.0:.1f}", rx="4",
                      width=f"{width:.1f}", height="20", fill="#ffffff")  # fmt: skip
    yield svg_text_element(x, y + 4.0, text, 12.0, _SOFT)


def _title_width(line: str, column: int) -> float:
    """Return the width of the text in a circle; inputs have names, which are typeset."""
    size = 15.0 if _is_short(line) else 12.0
    return name_width(line, size) if column == 0 else text_width(line, size)


def _is_short(line: str) -> bool:
    return len(line) < 3


def _rows(shown: list[int], count: int, rows: int, row: float) -> Iterator[tuple[int, float]]:
    gap = len(shown) < count
    top = (rows - len(shown) - gap) / 2.0
    for place, j in enumerate(shown):
        yield j, (top + place + (1 if gap and place == len(shown) - 1 else 0) + 0.5) * row


def _weight_lines(
    network: Network, places: dict[tuple[int, int], tuple[float, float]], radius: float,
    stem: float, numbers: bool, number_format: NumberFormat, largest: float,
) -> Iterable[str]:  # fmt: skip
    labels: list[str] = []
    taken: list[tuple[float, float, float]] = []  # middle and half the width of numbers
    high = 28.0 if network.weight_gradients else 14.0
    for column, j, i, weight in _lines(network):
        (x0, y0), (x1, y1) = places[column - 1, i], places[column, j]
        x0, x1 = x0 + radius + stem, x1 - radius
        yield svg_element(
            "path", id=f"weight-{column}-{j}-{i}", d=f"M{x0:g},{y0:g}L{x1:g},{y1:g}",
            fill="none", stroke=POSITIVE_COLOR if weight >= 0.0 else NEGATIVE_COLOR,
            stroke_width=f"{line_width(weight, largest):.2f}",
            stroke_dasharray=NEGATIVE_DASHES if weight < 0.0 else None,
        )  # fmt: skip
        if numbers:
            text = number_text(weight, number_format)
            below = ""
            if network.weight_gradients:
                below = number_text(network.weight_gradients[column - 1][j][i], number_format)
            half = max(text_width(text, 11.0), text_width(below, 11.0)) / 2.0 + 1.0
            x, y = _free_place((x0, y0), (x1, y1), half, taken, high + 1.0)
            taken.append((x, y, half))
            base = y + 4.0 - (7.0 if below else 0.0)
            written = svg_text_element(x, base, text, 11.0, _INK, kind="weight")
            if below:
                written += svg_text_element(
                    x, base + 13.0, below, 11.0, GRADIENT_COLOR, kind="weight-gradient"
                )
            labels.append(
                svg_element("rect", x=f"{x - half:.1f}", y=f"{y - high / 2.0:.1f}", rx="3",
                            width=f"{2.0 * half:.1f}", height=f"{high:g}", fill="#ffffff")
                + written
            )  # fmt: skip
    yield from labels


def _free_place(
    start: tuple[float, float], end: tuple[float, float], half: float,
    taken: list[tuple[float, float, float]], high: float,
) -> tuple[float, float]:  # fmt: skip
    """Find a place on a line where a number covers no other one, if there is such a place."""

    def overlap(place: tuple[float, float]) -> float:
        return sum(
            max(0.0, half + other - abs(place[0] - x)) * max(0.0, high - abs(place[1] - y))
            for x, y, other in taken
        )

    places = [
        (start[0] + at * (end[0] - start[0]), start[1] + at * (end[1] - start[1]))
        for at in (0.5, 0.6, 0.4, 0.7, 0.3, 0.8, 0.2, 0.85, 0.15)
    ]
    return min(places, key=overlap)


def largest_weight(weights: Sequence[Sequence[Sequence[float]]]) -> float:
    """Return the largest size of a weight, which gets the widest line."""
    return max((abs(w) for column in weights for row in column for w in row), default=0.0)


def _neuron(
    title: str, place: tuple[float, float], radius: float, stem: float, above: str, below: str,
    bias: str, slope: str, name: str, column: int, last: bool,
) -> Iterable[str]:  # fmt: skip
    x, y = place
    yield f'<g id="{name}" class="node">'
    if stem:
        yield svg_element("path", d=f"M{x + radius:g},{y:g}L{x + radius + stem:g},{y:g}",
                          class_="stem", fill="none", stroke=_SOFT, stroke_width="1.2")  # fmt: skip
        if last:
            end = x + radius + stem
            yield svg_element(
                "polygon", fill=_SOFT,
                points=f"{end - 6.5:g},{y - 2.3:g} {end:g},{y:g} {end - 6.5:g},{y + 2.3:g}",
            )  # fmt: skip
        middle = x + radius + stem / 2.0
        if above:
            yield svg_text_element(middle, y - 5.0, above, NUMBER_SIZE, VALUE_COLOR, kind="value")
        if below:
            yield svg_text_element(
                middle, y + 5.0 + 0.66 * NUMBER_SIZE, below, NUMBER_SIZE, GRADIENT_COLOR,
                kind="gradient",
            )  # fmt: skip
    fill = "#eef4fb" if column == 0 else "#ffffff"
    yield svg_element("circle", class_="shape", cx=f"{x:g}", cy=f"{y:g}", r=f"{radius:g}",
                      fill=fill, stroke=_INK, stroke_width="1.2")  # fmt: skip
    line = "".join(label_lines(title, 12, 1))
    yield svg_text_element(x, y + 4.5, line, 15.0 if _is_short(line) else 12.0, _INK,
                           italic=column == 0, named=column == 0)  # fmt: skip
    if bias:
        yield svg_text_element(x, y + radius + 12.0, f"b = {bias}", 11.0, _SOFT, kind="bias")
    if slope:
        yield svg_text_element(x, y + radius + 25.0, slope, 11.0, GRADIENT_COLOR,
                               kind="bias-gradient")  # fmt: skip
    yield "</g>"


def _legend(largest: str, y: float) -> Iterable[str]:
    x = _MARGIN
    for text, color, dashes in (
        ("positive weight", POSITIVE_COLOR, None),
        ("negative weight", NEGATIVE_COLOR, NEGATIVE_DASHES),
    ):
        yield svg_element("path", d=f"M{x:g},{y - 4.0:g}L{x + 24.0:g},{y - 4.0:g}", fill="none",
                          class_=text.split()[0], stroke=color, stroke_width="2.5",
                          stroke_dasharray=dashes)  # fmt: skip
        yield svg_text_element(x + 30.0, y, text, 11.0, _SOFT, anchor="start")
        x += 40.0 + text_width(text, 11.0)
    yield svg_text_element(x, y, f"widest line: {largest}", 11.0, _SOFT, anchor="start")


def _description(network: Network, number_format: NumberFormat) -> str:
    lines = [_count(network)]
    for column, neurons in enumerate(network.weights, 1):
        for j in network.shown[column]:
            numbers = ", ".join(number_text(w, number_format) for w in neurons[j][:16])
            lines.append(f"neuron {j + 1} of column {column + 1}: weights {numbers}")
    return "\n".join(lines[:80])

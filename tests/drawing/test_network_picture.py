"""Pictures of networks: what is drawn is what the model holds and computes."""

from __future__ import annotations

import itertools
import math
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from tinygrad_edu import Value, grad
from tinygrad_edu.drawing.figures.network import (
    NEGATIVE_COLOR,
    NEGATIVE_DASHES,
    POSITIVE_COLOR,
    THINNEST,
    WIDEST,
    draw_network,
)
from tinygrad_edu.nn import (
    MLP,
    LinearRegression,
    LogisticRegression,
    Neuron,
    Polynomial,
    SoftmaxRegression,
    cross_entropy,
    hinge,
    log_loss,
)

SVG = "{http://www.w3.org/2000/svg}"


def parts(figure: Any) -> dict[str, ElementTree.Element]:
    return {
        x.attrib["id"]: x for x in ElementTree.fromstring(figure.svg).iter() if "id" in x.attrib
    }


def texts(figure: Any, kind: str, neuron: str = "") -> list[str]:
    found = parts(figure)[neuron] if neuron else ElementTree.fromstring(figure.svg)
    return [x.text or "" for x in found.iter(f"{SVG}text") if x.attrib["class"] == kind]


def written(x: float) -> str:
    return format(x + 0.0, ".3g").replace("-", "−")


def test_every_weight_is_a_line_with_its_sign_and_size() -> None:
    model = MLP(2, [4, 3, 1], "tanh", seed=1)
    found = parts(draw_network(model))
    weights = [[n.w for n in layer.neurons] for layer in model.layers]
    largest = max(abs(w.data) for layer in weights for row in layer for w in row)
    count = 0
    for column, layer in enumerate(weights, 1):
        for j, row in enumerate(layer):
            for i, weight in enumerate(row):
                line = found[f"weight-{column}-{j}-{i}"].attrib
                count += 1
                negative = weight.data < 0.0
                assert line["stroke"] == (NEGATIVE_COLOR if negative else POSITIVE_COLOR)
                assert line.get("stroke-dasharray") == (NEGATIVE_DASHES if negative else None)
                expected = THINNEST + (WIDEST - THINNEST) * abs(weight.data) / largest
                assert float(line["stroke-width"]) == pytest.approx(expected, abs=0.006)
    assert count == 2 * 4 + 4 * 3 + 3 == sum(name.startswith("weight-") for name in found)


def test_activations_and_gradients_of_one_example() -> None:
    model = MLP(2, [3, 2], "relu", seed=5)
    example = [0.7, -1.2]
    figure = draw_network(model, example, target=1, loss=cross_entropy)
    x = [Value(v) for v in example]
    hidden = model.layers[0](x)
    outputs = model.layers[1](hidden)
    objective = cross_entropy(outputs, 1)
    for column, nodes in enumerate([x, hidden, outputs]):
        for j, (node, gradient) in enumerate(zip(nodes, grad(objective, nodes))):
            assert texts(figure, "value", f"neuron-{column}-{j}") == [written(node.data)]
            assert texts(figure, "gradient", f"neuron-{column}-{j}") == [written(gradient)]
    assert all(p.grad == 0.0 for p in model.parameters())


def test_without_a_loss_gradients_are_those_of_a_single_output() -> None:
    model = MLP(2, [3, 1], "tanh", seed=2)
    figure = draw_network(model, [1.0, 2.0])
    assert texts(figure, "gradient", "neuron-2-0") == ["1"]
    x = [Value(1.0), Value(2.0)]
    assert texts(figure, "gradient", "neuron-0-1") == [written(grad(model(x), x)[1])]
    several = draw_network(MLP(2, [3, 2], seed=2), [1.0, 2.0])
    assert texts(several, "gradient") == []
    assert len(texts(several, "value")) == 7


@pytest.mark.parametrize(
    ("model", "example", "target", "loss"),
    [
        (Neuron(3, "sigmoid", seed=1), [1.0, 2.0, 3.0], 1, log_loss),
        (LinearRegression(1, seed=1), 2.0, None, None),
        (LogisticRegression(2, seed=1), [1.0, 2.0], 1, cross_entropy),
        (SoftmaxRegression(2, 3, seed=1), [1.0, 2.0], 2, cross_entropy),
        (MLP(2, [3, 1], seed=1).expand(), [1.0, 2.0], -1, hinge),
    ],
)
def test_every_kind_of_model(model: Any, example: Any, target: Any, loss: Any) -> None:
    figure = draw_network(model, example, target=target, loss=loss)
    row = example if isinstance(example, list) else [example]
    prediction = model.logits(row) if loss is cross_entropy else model(row)
    outputs = prediction if isinstance(prediction, list) else [prediction]
    last = max(int(name.split("-")[1]) for name in parts(figure) if name.startswith("neuron-"))
    for j, output in enumerate(outputs):
        assert texts(figure, "value", f"neuron-{last}-{j}") == [written(output.data)]
    assert len(texts(figure, "gradient")) == len(texts(figure, "value"))


def test_features_are_the_inputs_that_are_drawn() -> None:
    model = LogisticRegression(1, features=Polynomial(2), seed=0)
    figure = draw_network(model, [3.0], input_names=["x", "x²"])
    assert texts(figure, "value", "neuron-0-1") == ["9"]
    assert texts(figure, "label", "neuron-0-1") == ["x²"]
    with pytest.raises(ValueError, match="input_names: expected 2 names, got 1"):
        draw_network(model, input_names=["x"])


def test_weights_are_written_where_they_are_few() -> None:
    model = MLP(2, [3, 1], seed=3)
    numbers = [written(w.data) for layer in model.layers for n in layer.neurons for w in n.w]
    assert sorted(texts(draw_network(model), "weight")) == sorted(numbers)
    assert len(texts(draw_network(model), "bias")) == 4
    assert texts(draw_network(MLP(2, [8, 1], seed=3)), "weight") == []
    assert texts(draw_network(model, weights=False), "weight") == []
    assert (
        texts(draw_network(model, weights=True, number_format="+.1f"), "bias") == ["b = +0.0"] * 4
    )


def test_numbers_on_lines_do_not_cover_each_other() -> None:
    svg = draw_network(MLP(2, [3, 1], seed=3), [0.1, 0.2]).svg
    boxes = [
        (float(x), float(y), float(w))
        for x, y, w in re.findall(
            r'<rect x="([\d.]+)" y="([\d.]+)" rx="3" width="([\d.]+)" height="14"', svg
        )
    ]
    assert len(boxes) == 9
    for k, (x, y, w) in enumerate(boxes):
        for other_x, other_y, other_w in boxes[k + 1 :]:
            apart = x + w <= other_x or other_x + other_w <= x or abs(y - other_y) >= 14.0
            assert apart


def test_the_middle_of_a_wide_column_is_left_out() -> None:
    figure = draw_network(MLP(64, [32, 10], seed=0), max_neurons=6)
    found = parts(figure)
    assert sum(name.startswith("neuron-0-") for name in found) == 5
    assert {"neuron-0-63", "neuron-1-31", "neuron-2-9"} <= set(found)
    assert "… 59 more …" in texts(figure, "label")


@pytest.mark.parametrize("suffix", ["svg", "png", "pdf"])
def test_it_saves_in_every_format(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"network.{suffix}"
    draw_network(MLP(2, [3, 1], seed=0), [1.0, 2.0]).save(path)
    assert path.stat().st_size > 1000


def test_names_stay_text() -> None:
    figure = draw_network(Neuron(1, seed=0), input_names=["</svg><script>"])
    assert texts(figure, "label", "neuron-0-0") == ["</svg><scri…"]
    assert "<script" not in figure.svg


def test_errors() -> None:
    model = MLP(2, [1], seed=0)
    with pytest.raises(
        TypeError, match="expected a Neuron, a Layer, an MLP or a linear model, got"
    ):
        draw_network(object())
    with pytest.raises(ValueError, match="a loss needs a target"):
        draw_network(model, [1.0, 2.0], loss=hinge)
    with pytest.raises(ValueError, match="a loss needs an example"):
        draw_network(model, loss=hinge, target=1)
    with pytest.raises(ValueError, match=r"expected 2 input\(s\), got 3"):
        draw_network(model, [1.0, 2.0, 3.0])
    with pytest.raises(ValueError, match="max_neurons: expected at least 3"):
        draw_network(model, max_neurons=2)


@pytest.mark.parametrize("weights", [False, True])
@pytest.mark.parametrize("activation", ["softplus", "leaky_relu", "relu", "sigmoid", "identity"])
def test_circles_do_not_touch_and_nothing_is_cut_off(activation: str, weights: bool) -> None:
    model = MLP(2, [14, 3, 1], activation, seed=0)
    figure = draw_network(model, [1.0, -2.0], weights=weights)
    root = ElementTree.fromstring(figure.svg)
    circles = [
        tuple(float(x.attrib[name]) for name in ("cx", "cy", "r"))
        for x in root.iter("{http://www.w3.org/2000/svg}circle")
    ]
    for (x, y, r), (u, v, s) in itertools.combinations(circles, 2):
        assert math.hypot(x - u, y - v) > r + s + 4.0
    biases = [x for x in root.iter("{http://www.w3.org/2000/svg}text") if x.get("class") == "bias"]
    assert bool(biases) == weights
    for text in biases:
        x, y = float(text.attrib["x"]), float(text.attrib["y"])
        assert all(math.hypot(x - u, y - v) > r + 3.0 for u, v, r in circles)
        assert all(math.hypot(x - u, y - 8.0 - v) > r for u, v, r in circles)
        assert y < figure.size[1] - 20.0, "the legend is written over it"


def test_gradients_of_weights_and_biases() -> None:
    model = MLP(2, [3, 2], "tanh", seed=4)
    example = [0.7, -1.2]
    figure = draw_network(model, example, target=1, loss=cross_entropy, weight_gradients=True)
    objective = cross_entropy(model(example), 1)
    slopes = dict(zip(model.parameters(), grad(objective, model.parameters())))
    neurons = [neuron for layer in model.layers for neuron in layer.neurons]
    assert texts(figure, "weight-gradient") == [written(slopes[w]) for n in neurons for w in n.w]
    assert texts(figure, "bias-gradient") == [
        written(slopes[n.b]) for n in neurons if n.b is not None
    ]
    assert len(texts(figure, "weight")) == 12
    boxes = [
        tuple(float(x.attrib[name]) for name in ("x", "y", "width", "height"))
        for x in ElementTree.fromstring(figure.svg).iter(f"{SVG}rect")
        if x.attrib.get("height") == "28"
    ]
    assert len(boxes) == 12
    for (x, y, w, h), (x2, y2, w2, h2) in itertools.combinations(boxes, 2):
        assert x + w <= x2 or x2 + w2 <= x or y + h <= y2 or y2 + h2 <= y
    with pytest.raises(ValueError, match="weight_gradients need an example, and a loss"):
        draw_network(model, example, weight_gradients=True)
    with pytest.raises(ValueError, match="weight_gradients need an example"):
        draw_network(model, weight_gradients=True)
    assert all(p.grad == 0.0 for p in model.parameters())

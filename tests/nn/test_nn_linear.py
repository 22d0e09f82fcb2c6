"""The notes' linear models, feature maps and the perceptron."""

from __future__ import annotations

import math
import random
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.preprocessing import PolynomialFeatures

from tinygrad_edu import Value, grad
from tinygrad_edu.nn import (
    LinearRegression,
    LogisticRegression,
    Perceptron,
    Polynomial,
    SoftmaxRegression,
    accuracy,
    squared_error,
)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.floats(-3.0, 3.0), min_size=1, max_size=4),
    st.integers(1, 4),
)
def test_polynomial_features_equal_sklearn(x: list[float], degree: int) -> None:
    expected = PolynomialFeatures(degree, include_bias=False).fit_transform([x])[0]
    assert Polynomial(degree)(x) == pytest.approx(expected.tolist(), rel=1e-12)
    nodes = Polynomial(degree)([Value(v) for v in x])
    assert [n.data for n in nodes] == Polynomial(degree)(x)


def test_linear_regression_computes_the_notes_gradient() -> None:
    """grad 1/2 ||y - Xw||^2 = -X^T y + X^T X w."""
    source = np.random.default_rng(1)
    X, y = source.normal(size=(15, 4)), source.normal(size=15)
    model = LinearRegression(4, bias=False, seed=2)
    w = np.array([p.data for p in model.parameters()])
    loss = squared_error.of([model(x) for x in X], y.tolist())
    assert loss.data == pytest.approx(0.5 * np.sum((y - X @ w) ** 2), rel=1e-13)
    by_hand = -X.T @ y + X.T @ X @ w
    assert grad(loss, model.w) == pytest.approx(by_hand.tolist(), rel=1e-12)
    assert model.predict(X[0]) == pytest.approx(X[0] @ w)


def test_logistic_regression_gives_the_notes_probabilities() -> None:
    model = LogisticRegression(2, bias=False)
    model.load_state_dict({"w": [0.7, -0.4]})
    x = [1.5, 2.0]
    expected = 1.0 / (1.0 + math.exp(-(0.7 * 1.5 - 0.4 * 2.0)))
    positive, negative = model.probabilities(x)
    assert positive.data == pytest.approx(expected, rel=1e-15)
    assert positive.data + negative.data == 1.0
    assert model(x).op.symbol == "σ"
    assert model.logits(x).data == pytest.approx(0.25)
    assert [model.predict([s, 0.0]) for s in (1.0, 0.0, -1.0)] == [1, 0, 0]  # 0.5 is not > 0.5
    h = model.logits(x)
    slope = grad(model(x), model.w)[0]
    assert slope == pytest.approx(expected * (1.0 - expected) * 1.5, rel=1e-14), h  # g' = g (1 - g)


def test_softmax_regression_gives_the_notes_probabilities() -> None:
    model = SoftmaxRegression(2, 3, seed=1)
    for i, neuron in enumerate(model.neurons):
        neuron.b.data = 0.1 * i
    x = [0.5, -1.0]
    logits = [n.w[0].data * x[0] + n.w[1].data * x[1] + n.b.data for n in model.neurons]
    exponentials = [math.exp(z) for z in logits]
    expected = [e / sum(exponentials) for e in exponentials]
    assert [p.data for p in model(x)] == pytest.approx(expected, rel=1e-13)
    assert sum(p.data for p in model(x)) == pytest.approx(1.0, rel=1e-14)
    assert model.predict(x) == expected.index(max(expected))
    assert len(model.parameters()) == 9


@pytest.mark.parametrize("kind", [LinearRegression, LogisticRegression, Perceptron])
def test_features_are_computed_before_they_meet_a_weight(kind: Any) -> None:
    model = kind(2, features=Polynomial(2), seed=1)
    assert len(model.w) == 5
    features = Polynomial(2)([0.5, -2.0])
    expected = sum(w.data * f for w, f in zip(model.w, features))
    assert model.score([0.5, -2.0]).data == pytest.approx(expected, rel=1e-14)
    assert len(model([0.5, -2.0]).operands[0].operands or model([0.5, -2.0]).operands) >= 5
    x = [Value(0.5), Value(-2.0)]  # differentiable by the inputs as well
    assert grad(model.score(x), x)[0] != 0.0
    assert repr(model) == f"{kind.__name__}(2, features=Polynomial(2))"
    with pytest.raises(ValueError, match=r"expected 2 input\(s\), got 3"):
        model([1.0, 2.0, 3.0])


def test_features_for_k_classes_and_functions_of_ones_own() -> None:
    model = SoftmaxRegression(1, 2, features=lambda x: [x[0], x[0] ** 2, 1.0], bias=False)
    assert [len(neuron.w) for neuron in model.neurons] == [3, 3]
    assert len(model([2.0])) == 2
    assert repr(SoftmaxRegression(2, 3)) == "SoftmaxRegression(2, 3)"
    assert model.numbers()([2.0]) == [p.data for p in model([2.0])]


def test_the_notes_points_on_a_line_need_the_square() -> None:
    """Section 'Non-linear Separators': -1 1 1 -1 along a line; x^2 makes it separable."""
    points, labels = [[-2.0], [-0.5], [0.5], [2.0]], [-1, 1, 1, -1]
    line, curve = Perceptron(1, seed=0), Perceptron(1, features=Polynomial(2), seed=0)
    assert line.learn(points, labels, epochs=50) >= 50
    assert accuracy([line.predict(x) for x in points], labels) < 1.0
    curve.learn(points, labels)
    assert accuracy([curve.predict(x) for x in points], labels) == 1.0


def test_the_perceptron_learns_what_is_separable() -> None:
    source = random.Random(1)
    rows = [[source.uniform(-1, 1), source.uniform(-1, 1)] for _ in range(60)]
    rows = [r for r in rows if abs(r[0] - 2.0 * r[1] + 0.3) > 0.1]
    labels = [1 if a - 2.0 * b + 0.3 > 0 else -1 for a, b in rows]
    runs = []
    for seed in (None, 1, 1):
        model = Perceptron(2, initialization="zeros")
        corrections = model.learn(rows, labels, epochs=1000, seed=seed)
        assert corrections > 0
        assert [model(x).data for x in rows] == labels
        assert model.learn(rows, labels) == 0  # nothing left to correct
        runs.append([p.data for p in model.parameters()])
    assert runs[1] == runs[2]
    zeros_for_minus = Perceptron(2, initialization="zeros")
    zeros_for_minus.learn(rows, [max(y, 0) for y in labels], epochs=1000)
    assert [p.data for p in zeros_for_minus.parameters()] == runs[0]


@pytest.mark.parametrize(
    ("X", "y", "message"),
    [
        ([[1.0, 2.0], [1.0]], [1, -1], "X: row 1: expected 2 numbers, got 1"),
        ([[1.0], [2.0]], [1, -1], "X: row 0: expected 2 numbers, got 1"),
        ([[1.0, 2.0]], [2], "y: row 0: expected the labels 1 and -1, or 1 and 0; got 2"),
        ([[1.0, 2.0]], [1, 1], "y: expected 1 targets, one for each row, got 2"),
        ([], [], "X: expected at least one row, got none"),
    ],
)
def test_the_perceptron_checks_its_data_first(X: Any, y: Any, message: str) -> None:
    model = Perceptron(2, seed=1)
    before = [p.data for p in model.parameters()]
    with pytest.raises(ValueError, match=message):
        model.learn(X, y)
    assert [p.data for p in model.parameters()] == before


def test_errors() -> None:
    with pytest.raises(ValueError, match="degree: expected at least 1, got 0"):
        Polynomial(0)
    with pytest.raises(TypeError, match=r"degree: expected a whole number, got float 2\.0"):
        Polynomial(2.0)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="classes: expected at least 2, got 1"):
        SoftmaxRegression(2, 1)

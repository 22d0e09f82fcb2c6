"""Losses against torch, the notes' formulas, and the edges; measures."""

from __future__ import annotations

import math
import pickle
import random
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import confusion_matrix as sklearn_confusion_matrix
from torch_twin import tensor

from tinygrad_edu import Value, fit, grad
from tinygrad_edu.compiler import compile
from tinygrad_edu.engine import functional as F
from tinygrad_edu.nn import (
    L2,
    LogisticRegression,
    Loss,
    SoftmaxRegression,
    accuracy,
    argmax,
    confusion_matrix,
    cross_entropy,
    decide,
    hinge,
    likelihood,
    log_likelihood,
    log_loss,
    logistic_loss,
    losses,
    mean_squared_error,
    negative_log_likelihood,
    probability_of,
    sgn,
    squared_error,
)
from tinygrad_edu.nn.loss import as_loss, predictor

scores = st.floats(-30.0, 30.0)


def compare(loss: Loss, outputs: list[Any], targets: list[Any], theirs: Any) -> None:
    """Value and gradient of a batch, ours and torch's, for outputs that are numbers or lists."""
    several = isinstance(outputs[0], list)
    nodes = [[Value(x) for x in row] if several else Value(row) for row in outputs]
    total = loss.of(nodes, targets)
    reference = tensor(outputs).requires_grad_()
    expected = theirs(reference)
    # Near 0 digits end at 1e-16: a gradient is p - 1 there, and torch's binary form cancels. That
    # our losses are accurate even so is tested further down.
    assert total.data == pytest.approx(expected.item(), rel=1e-12, abs=1e-13)
    total.backward()
    expected.backward()
    assert reference.grad is not None
    flat = [x for row in nodes for x in row] if several else nodes
    assert [x.grad for x in flat] == pytest.approx(
        reference.grad.flatten().tolist(), rel=1e-11, abs=1e-14
    )
    # Plain numbers and nodes give the same loss.
    assert loss.of(outputs, targets) == pytest.approx(total.data, rel=1e-15, abs=0.0)


@settings(max_examples=20, deadline=None)
@given(st.lists(st.tuples(scores, st.booleans()), min_size=1, max_size=6))
def test_losses_of_one_output_equal_torch(examples: list[tuple[float, bool]]) -> None:
    outputs, bits = [s for s, _ in examples], [int(b) for _, b in examples]
    signs, t = [2 * b - 1 for b in bits], tensor(bits)
    nn = torch.nn
    compare(mean_squared_error, outputs, bits, lambda p: nn.MSELoss()(p, t))
    compare(squared_error, outputs, bits, lambda p: 0.5 * nn.MSELoss(reduction="sum")(p, t))
    compare(squared_error.mean(), outputs, bits, lambda p: 0.5 * nn.MSELoss()(p, t))
    for labels in (bits, signs):
        compare(cross_entropy, outputs, labels, lambda p: nn.BCEWithLogitsLoss()(p, t))
        compare(
            negative_log_likelihood, outputs, labels,
            lambda p: nn.BCEWithLogitsLoss(reduction="sum")(p, t),
        )  # fmt: skip
        compare(
            log_likelihood, outputs, labels,
            lambda p: -nn.BCEWithLogitsLoss(reduction="sum")(p, t),
        )  # fmt: skip
        compare(hinge, outputs, labels, lambda p: torch.relu(1.0 - (2.0 * t - 1.0) * p).mean())
    chances = [1.0 / (1.0 + math.exp(-s / 4.0)) for s in outputs]
    for labels in (bits, signs):
        compare(log_loss, chances, labels, lambda p: nn.BCELoss()(p, t))
        compare(logistic_loss, chances, labels, lambda p: 0.5 * ((t - p) ** 2).sum())


@settings(max_examples=20, deadline=None)
@given(st.integers(2, 5).flatmap(
    lambda k: st.lists(
        st.tuples(st.lists(scores, min_size=k, max_size=k), st.integers(0, k - 1)),
        min_size=1, max_size=5,
    )
))  # fmt: skip
def test_losses_of_k_outputs_equal_torch(examples: list[tuple[list[float], int]]) -> None:
    outputs, classes = [s for s, _ in examples], [c for _, c in examples]
    k, nn, t = len(outputs[0]), torch.nn, torch.tensor(classes)
    one_hot = [[float(i == c) for i in range(k)] for c in classes]
    for targets in (classes, [float(c) for c in classes], one_hot):
        compare(cross_entropy, outputs, targets, lambda p: nn.CrossEntropyLoss()(p, t))
        compare(
            log_likelihood, outputs, targets,
            lambda p: -nn.CrossEntropyLoss(reduction="sum")(p, t),
        )  # fmt: skip
        compare(hinge, outputs, targets, lambda p: nn.MultiMarginLoss()(p, t))
    soft = tensor(outputs).div(10.0).softmax(1)
    compare(cross_entropy, outputs, soft.tolist(), lambda p: nn.CrossEntropyLoss()(p, soft))
    chances = soft.tolist()
    for targets in (classes, one_hot):
        compare(log_loss, chances, targets, lambda p: nn.NLLLoss()(p.log(), t))
    compare(mean_squared_error, outputs, one_hot, lambda p: nn.MSELoss()(p, tensor(one_hot)))
    compare(squared_error, outputs, one_hot, lambda p: 0.5 * ((p - tensor(one_hot)) ** 2).sum())


# --- stable at the edges ---


@pytest.mark.parametrize(
    "logits", [[1e4, -1e4, 0.0], [-1e4, -1e4, -1e4], [1e4, 1e4, 9999.0], [0.0, -1e4, 700.0]]
)
def test_softmax_and_losses_of_huge_logits_equal_torch(logits: list[float]) -> None:
    reference = tensor(logits)
    assert F.softmax(logits) == pytest.approx(reference.softmax(0).tolist(), rel=1e-12, abs=0.0)
    assert F.log_softmax(logits) == pytest.approx(
        reference.log_softmax(0).tolist(), rel=1e-12, abs=1e-12
    )
    for target in range(3):
        compare(
            cross_entropy, [logits], [target],
            lambda p, t=target: torch.nn.CrossEntropyLoss()(p, torch.tensor([t])),
        )  # fmt: skip
    for i in range(3):
        nodes, theirs = [Value(z) for z in logits], tensor(logits).requires_grad_()
        probability = F.softmax(nodes)[i]
        probability.backward()
        theirs.softmax(0)[i].backward()
        assert theirs.grad is not None
        assert [z.grad for z in nodes] == pytest.approx(theirs.grad.tolist(), rel=1e-10, abs=1e-300)


@pytest.mark.parametrize("logit", [-1e4, -745.5, -40.0, 40.0, 745.5, 1e4])
def test_binary_losses_of_huge_logits(logit: float) -> None:
    for label, margin in ((1, logit), (0, -logit), (-1, -logit)):
        expected = math.log1p(math.exp(-margin)) if margin > -700 else -margin
        assert cross_entropy(logit, label) == pytest.approx(expected, rel=1e-14)
        x = Value(logit)
        log_likelihood(x, label).backward()
        slope = F.sigmoid(-margin)
        assert x.grad == pytest.approx(slope if label == 1 else -slope, rel=1e-13)


# --- the notes' formulas ---


def data(n: int, width: int, classes: int, seed: int) -> tuple[list[list[float]], list[int]]:
    source = random.Random(seed)
    rows = [[source.gauss(0.0, 1.0) for _ in range(width)] for _ in range(n)]
    return rows, [source.randrange(classes) for _ in range(n)]


_K_OUTPUTS = ["log_loss", "cross_entropy", "log_likelihood", "negative_log_likelihood", "hinge"]


@pytest.mark.parametrize("name", _K_OUTPUTS)
@pytest.mark.parametrize(
    "outputs", [[0.2, 0.8], [1.0, 0.0], [0.0, 1.0], [0.0, -math.inf], [1e17, 1e17]]
)
def test_a_one_hot_target_gives_what_the_class_gives(name: str, outputs: list[float]) -> None:
    """Also where a probability is 0, or a logit infinite, that the target gives no weight."""
    loss = getattr(losses, name)

    def asked(target: Any) -> Any:
        values = [Value(x) for x in outputs]
        try:
            loss(values, target).backward()
        except ValueError as error:
            return str(error)
        return loss(values, target).data, [x.grad for x in values]

    for k in (0, 1):
        one_hot = [float(j == k) for j in (0, 1)]
        by_class, by_weights = repr(asked(k)), repr(asked(one_hot))  # nan is nan here
        assert by_class.replace("-0.0", "0.0") == by_weights.replace("-0.0", "0.0")
        a, slopes_a = compile(lambda p, k=k: loss(p, k)).value_and_grad(outputs)
        b, slopes_b = compile(loss).value_and_grad(outputs, one_hot, wrt=0)
        np.testing.assert_array_equal([a, *slopes_a], [b, *slopes_b])


def test_gradient_of_the_logistic_l2_loss_is_that_of_the_notes() -> None:
    rows, labels = data(12, 3, 2, seed=1)
    model = LogisticRegression(3, bias=False, seed=2)
    loss = logistic_loss.of([model(x) for x in rows], labels)
    h = [model(x).data for x in rows]
    assert loss.data == pytest.approx(sum(0.5 * (y - p) ** 2 for y, p in zip(labels, h)), rel=1e-14)
    for i, slope in enumerate(grad(loss, model.w)):
        by_hand = -sum((y - p) * p * (1.0 - p) * x[i] for x, y, p in zip(rows, labels, h))
        assert slope == pytest.approx(by_hand, rel=1e-12)


def test_gradient_of_the_log_likelihood_is_that_of_the_notes() -> None:
    rows, labels = data(10, 2, 4, seed=3)
    model = SoftmaxRegression(2, 4, bias=False, seed=4)
    total = log_likelihood.of([model.logits(x) for x in rows], labels)
    p = [[q.data for q in model(x)] for x in rows]
    # log l(w) = sum_i sum_k t_ik log p_ik
    t = [[float(k == y) for k in range(4)] for y in labels]
    assert total.data == pytest.approx(
        sum(t[i][k] * math.log(p[i][k]) for i in range(10) for k in range(4)), rel=1e-13
    )
    for j, neuron in enumerate(model.neurons):
        for d, slope in enumerate(grad(total, neuron.w)):
            by_hand = sum((t[i][j] - p[i][j]) * rows[i][d] for i in range(10))
            assert slope == pytest.approx(by_hand, rel=1e-12, abs=1e-13)


def test_the_likelihood_of_one_example_is_refused() -> None:
    with pytest.raises(TypeError, match="to train, maximize log_likelihood"):
        fit(LogisticRegression(2), [[0.0, 1.0]], [1], loss=likelihood)


def test_the_likelihood_is_a_product_and_its_logarithm_the_log_likelihood() -> None:
    rows, labels = data(6, 2, 3, seed=5)
    model = SoftmaxRegression(2, 3, seed=6)
    chances = [model(x) for x in rows]
    product = likelihood(chances, labels)
    assert product.data == pytest.approx(
        math.prod(chances[i][y].data for i, y in enumerate(labels)), rel=1e-13
    )
    one_hot = [[int(k == y) for k in range(3)] for y in labels]
    assert likelihood(chances, one_hot).data == pytest.approx(product.data, rel=1e-13)
    log_form = log_likelihood.of([model.logits(x) for x in rows], labels)
    assert math.log(product.data) == pytest.approx(log_form.data, rel=1e-13)
    # Both have the same maximizers: their gradients are parallel, d log l = dl / l.
    slopes, log_slopes = grad(product, model.parameters()), grad(log_form, model.parameters())
    assert [s / product.data for s in slopes] == pytest.approx(log_slopes, rel=1e-11, abs=1e-13)
    assert likelihood([0.1] * 400, [1] * 400) == 0.0  # why the notes take the logarithm


def test_probabilities_of_two_classes() -> None:
    assert probability_of(0.8, 1) == 0.8
    assert probability_of(0.8, 0) == probability_of(0.8, -1) == pytest.approx(0.2)
    assert likelihood([0.8, 0.8], [1, 0]) == pytest.approx(0.16)


def test_l2() -> None:
    parameters = [Value(1.0), Value(-2.0)]
    penalty = L2(0.25)(parameters)
    assert penalty.data == 1.25
    penalty.backward()
    assert [p.grad for p in parameters] == [0.5, -1.0]
    assert L2(3.0)([]) == 0.0
    with pytest.raises(ValueError, match=r"strength: expected a number >= 0, got -1"):
        L2(-1)


# --- losses as objects ---


def test_what_counts_as_correct() -> None:
    assert hinge.correct(0.0, 1) == 1.0  # sgn(0) = 1
    assert hinge.correct(-0.1, -1) == 1.0
    assert hinge.correct(-0.1, 0) == 1.0
    assert cross_entropy.correct(0.0, 1) == 0.0  # P = 0.5 is not greater than 0.5
    assert logistic_loss.correct(0.51, 1) == 1.0
    assert logistic_loss.correct(0.49, 1) == 0.0
    assert logistic_loss.correct(Value(0.49), -1) == 1.0
    assert cross_entropy.correct([1.0, 1.0], 0) == 1.0  # the first of the largest
    assert cross_entropy.correct([1.0, 1.0], 1) == 0.0
    assert cross_entropy.correct([Value(1.0), Value(2.0)], [0.0, 1.0]) == 1.0
    assert squared_error.correct(1.0, 1.0) is None


def test_losses_are_functions_with_properties() -> None:
    summed = cross_entropy.sum()
    assert (summed.reduction, cross_entropy.reduction) == ("sum", "mean")
    assert summed.of([[0.0, 0.0]] * 3, [0, 1, 0]) == pytest.approx(3 * math.log(2.0))
    assert (log_likelihood.maximize, cross_entropy.maximize) == (True, False)
    same = pickle.loads(pickle.dumps(hinge))
    assert (same(0.5, 1), same.takes, same.targets) == (0.5, "scores", "class")
    absolute = as_loss(lambda p, t: abs(p - t))
    assert (absolute.of([1.0, 2.0], [3.0, 3.0]), absolute.targets) == (1.5, "any")
    with pytest.raises(ValueError, match="predictions as targets, at least one; got 1 and 2"):
        hinge.of([1.0], [1, 1])
    with pytest.raises(ValueError, match="at least one; got 0 and 0"):
        likelihood([], [])
    with pytest.raises(TypeError, match="loss: expected a function"):
        as_loss("hinge")
    for wrong in ({"reduction": "max"}, {"takes": "text"}, {"targets": "text"}):
        with pytest.raises(ValueError, match=f"{next(iter(wrong))}: expected"):
            Loss(lambda p, t: p, **wrong)  # type: ignore[arg-type]


def test_training_hands_each_loss_what_it_takes() -> None:
    from tinygrad_edu.nn import MLP

    model = LogisticRegression(1, seed=0)
    assert predictor(model, cross_entropy)([2.0]).op.name == "dot"
    assert predictor(model, logistic_loss)([2.0]).op.name == "sigmoid"
    network = MLP(1, [2, 1])
    assert predictor(network, cross_entropy) is network
    with pytest.raises(ValueError, match=r"takes logits, but the last layer .* has the sigmoid"):
        predictor(MLP(1, [2, 1], output="sigmoid"), cross_entropy)


# --- measures ---


def test_accuracy_of_the_notes() -> None:
    outputs, labels = [0.3, -0.2, 0.0, 2.0, -5.0], [1, 1, 1, -1, -1]
    assert [sgn(s) for s in outputs] == [1, -1, 1, 1, -1]
    assert accuracy([sgn(s) for s in outputs], labels) == 3 / 5
    assert accuracy(map(decide, [[0.1, 0.9], [0.8, 0.2]]), [1, 1]) == 0.5
    assert decide(Value(-1.0)) == -1
    assert argmax([Value(1.0), Value(3.0), Value(3.0)]) == 1
    for wrong in (([1], [1, 2]), ([], [])):
        with pytest.raises(ValueError, match="as many predictions as labels"):
            accuracy(*wrong)
    with pytest.raises(ValueError, match="argmax: expected at least one value"):
        argmax([])


@pytest.mark.filterwarnings("ignore:A single label was found")
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=20))
def test_confusion_matrix_equals_sklearn(pairs: list[tuple[int, int]]) -> None:
    predicted, labels = [p for p, _ in pairs], [y for _, y in pairs]
    expected = sklearn_confusion_matrix(labels, predicted, labels=range(4)).tolist()
    assert confusion_matrix(predicted, labels, 4) == expected
    largest = max(predicted + labels) + 1
    small = sklearn_confusion_matrix(labels, predicted, labels=range(largest)).tolist()
    assert confusion_matrix(predicted, labels) == small


def test_confusion_matrix_refuses_unknown_classes() -> None:
    with pytest.raises(ValueError, match="label 1: expected a class from 0 to 1, got 2"):
        confusion_matrix([0, 1], [0, 2], 2)
    with pytest.raises(ValueError, match=r"prediction 0: expected a class from 0 to 1, got 0\.5"):
        confusion_matrix([0.5], [1], 2)

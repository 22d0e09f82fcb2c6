"""fit: against torch loops, batches, convergence, errors, interruption, resuming, data checks."""

from __future__ import annotations

import json
import math
import pickle
import random
import subprocess
import sys
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch_twin import in_our_order, tensor, twin

from tinygrad_edu.data import as_rows, as_targets
from tinygrad_edu.engine import functional as F
from tinygrad_edu.nn import (
    L2,
    MLP,
    LinearRegression,
    LogisticRegression,
    Loss,
    Module,
    SoftmaxRegression,
    cross_entropy,
    hinge,
    log_likelihood,
    logistic_loss,
    mean_squared_error,
    negative_log_likelihood,
    squared_error,
)
from tinygrad_edu.optim import (
    Adam,
    AdamW,
    Constant,
    Cosine,
    ExponentialDecay,
    GradientAscent,
    GradientDescent,
    Momentum,
)
from tinygrad_edu.training import GradientNorm, History, LossChange, Patience, evaluate, fit


def blobs(n: int, width: int, classes: int, seed: int = 0) -> tuple[list[list[float]], list[int]]:
    """Points around one centre for each class."""
    source = random.Random(seed)
    centres = [[source.uniform(-2, 2) for _ in range(width)] for _ in range(classes)]
    labels = [i % classes for i in range(n)]
    return [[source.gauss(c, 0.7) for c in centres[k]] for k in labels], labels


def parameters(model: Module) -> list[float]:
    return [p.data for p in model.parameters()]


def moons(n: int) -> tuple[list[list[float]], list[int]]:
    source, rows, labels = random.Random(3), [], []
    for i in range(n):
        angle, top = source.uniform(0.0, math.pi), i % 2
        x, y = math.cos(angle), math.sin(angle)
        x, y = (x, y) if top else (1.0 - x, 0.5 - y)
        rows.append([x + source.gauss(0, 0.1), y + source.gauss(0, 0.1)])
        labels.append(1 if top else -1)
    return rows, labels


# --- against a torch loop, loss by loss ---

X2, Y2 = moons(24)
X3, Y3 = blobs(24, 3, 3)
CASES: dict[str, Any] = {
    "hinge, full batch": (
        lambda: MLP(2, [6, 1], "tanh", seed=1), X2, Y2, hinge, "full",
        lambda out, y: torch.relu(1.0 - y * out[:, 0]).mean(),
        lambda: GradientDescent(0.3), lambda p: torch.optim.SGD(p, lr=0.3),
    ),
    "cross-entropy, mini-batches of 7": (
        lambda: MLP(3, [5, 3], "relu", seed=2), X3, Y3, cross_entropy, 7,
        lambda out, y: torch.nn.functional.cross_entropy(out, y.long()),
        lambda: Adam(0.05), lambda p: torch.optim.Adam(p, lr=0.05),
    ),
    "one logit, one random point at a time": (
        lambda: MLP(2, [4, 1], "sigmoid", seed=3), X2, Y2, negative_log_likelihood, 1,
        lambda out, y: torch.nn.functional.softplus(-y * out[:, 0], threshold=1000.0).sum(),
        lambda: Momentum(0.01), lambda p: torch.optim.SGD(p, lr=0.01, momentum=0.9),
    ),
    "squared error, ascent of its negative": (
        lambda: MLP(2, [4, 1], "tanh", seed=4), X2, Y2,
        Loss(lambda h, y: -squared_error(h, y), reduction="sum", maximize=True), 10,
        lambda out, y: -0.5 * ((y - out[:, 0]) ** 2).sum(),
        lambda: GradientAscent(0.01), lambda p: torch.optim.SGD(p, lr=0.01, maximize=True),
    ),
    "softmax regression, log-likelihood": (
        lambda: SoftmaxRegression(3, 3, seed=5), X3, Y3, log_likelihood, "full",
        lambda out, y: -torch.nn.functional.cross_entropy(out, y.long(), reduction="sum"),
        lambda: GradientAscent(0.01), lambda p: torch.optim.SGD(p, lr=0.01, maximize=True),
    ),
}  # fmt: skip


def drawn_batches(batch: Any, n: int, seed: int, epochs: int) -> list[list[list[int]]]:
    """The batches as documented: one random row n times, or shuffled rows in chunks of m."""
    source, drawn = random.Random(seed), []
    for _ in range(epochs):
        if batch == "full":
            drawn.append([list(range(n))])
        elif batch == 1:
            drawn.append([[source.randrange(n)] for _ in range(n)])
        else:
            order = list(range(n))
            source.shuffle(order)
            drawn.append([order[i : i + batch] for i in range(0, n, batch)])
    return drawn


@pytest.mark.parametrize("name", CASES)
def test_training_equals_a_torch_loop(name: str) -> None:
    make, X, y, loss, batch, their_loss, optimizer, theirs = CASES[name]
    model = make()
    reference = twin(model)
    torch_optimizer = theirs(reference.parameters())
    epochs = 50 if batch == "full" else 5 if batch == 1 else 20
    history = fit(model, X, y, loss=loss, optimizer=optimizer(), batch=batch, epochs=epochs,
                  penalty=L2(0.01), seed=7)  # fmt: skip
    sign = -1.0 if loss.maximize else 1.0
    for epoch, batches in enumerate(drawn_batches(batch, len(X), 7, epochs)):
        losses, weights, norms = [], [], []
        for rows in batches:
            torch_optimizer.zero_grad()
            out = reference(tensor([X[i] for i in rows]))
            penalty = sign * 0.01 * sum((p * p).sum() for p in reference.parameters())
            data = their_loss(out, tensor([y[i] for i in rows]))
            (data + penalty).backward()
            norms.append(math.hypot(*in_our_order(reference)))
            torch_optimizer.step()
            weights.append(len(rows) if loss.reduction == "mean" else len(X))
            losses.append((data.item(), penalty.item()))
        data_loss = sum(d * w for (d, _), w in zip(losses, weights)) / len(X)
        expected = data_loss + sum(p for _, p in losses) / len(losses)
        assert history.loss[epoch] == pytest.approx(expected, rel=1e-10)
        assert history.gradient_norm[epoch] == pytest.approx(sum(norms) / len(norms), rel=1e-9)
    assert parameters(model) == pytest.approx(in_our_order(reference, "data"), rel=1e-9, abs=1e-12)
    assert len(history) == epochs


def test_clipping_in_training_equals_torch() -> None:
    for clip in ({"clip_norm": 0.05}, {"clip_value": 0.02}):
        model = MLP(2, [5, 1], "tanh", seed=1)
        reference = twin(model)
        optimizer = torch.optim.SGD(reference.parameters(), lr=0.5)
        fit(model, X2, Y2, loss=mean_squared_error, learning_rate=0.5, epochs=20, **clip)
        for _ in range(20):
            optimizer.zero_grad()
            ((tensor(Y2) - reference(tensor(X2))[:, 0]) ** 2).mean().backward()
            if "clip_norm" in clip:
                torch.nn.utils.clip_grad_norm_(reference.parameters(), 0.05)
            else:
                torch.nn.utils.clip_grad_value_(reference.parameters(), 0.02)
            optimizer.step()
        assert parameters(model) == pytest.approx(in_our_order(reference, "data"), rel=1e-10)


# --- what the notes promise ---


def test_least_squares_descent_finds_the_closed_form() -> None:
    source = np.random.default_rng(0)
    X = source.normal(size=(30, 3))
    y = X @ [1.0, -2.0, 0.5] + 0.1 * source.normal(size=30)
    model = LinearRegression(3, bias=False, seed=1)
    history = fit(model, X, y, loss=squared_error, optimizer=GradientDescent(0.01), epochs=5000,
                  until=GradientNorm(1e-9))  # fmt: skip
    assert parameters(model) == pytest.approx(np.linalg.solve(X.T @ X, X.T @ y), abs=1e-9)
    assert history.stopped.startswith("the gradient norm fell to")
    assert len(history) < 5000


def test_learns_two_moons_and_says_so() -> None:
    model = MLP(2, [8, 8, 1], seed=0)
    X, y = moons(40)
    history = fit(model, X, y, loss=hinge, penalty=L2(1e-4), optimizer=Adam(0.05), epochs=60,
                  batch=10, validation=moons(20), seed=0)  # fmt: skip
    assert history.accuracy[-1] == 1.0
    assert history.loss[-1] < 0.05 < history.loss[0]
    assert len(history.validation_loss) == len(history.validation_accuracy) == 60
    loss, accuracy = evaluate(model, X, y, loss=hinge)
    assert accuracy == 1.0
    assert loss == pytest.approx(hinge.of([model(x) for x in X], y).data, rel=1e-12)
    assert history.stopped == "all 60 epochs done"


def test_history_of_numbers_has_no_accuracy() -> None:
    history = fit(LinearRegression(1, seed=0), [1, 2, 3], [2, 4, 6], loss=squared_error, epochs=2)
    assert history.accuracy == history.validation_accuracy == []
    assert evaluate(LinearRegression(1), [1], [1], loss=squared_error)[1] is None


def test_the_loss_of_an_epoch_and_the_validation_belong_to_the_right_parameters() -> None:
    X, y = blobs(12, 2, 2)
    model = LogisticRegression(2, seed=1)
    at_start = evaluate(model, X, y, loss=cross_entropy, penalty=L2(0.1))
    history = fit(model, X, y, loss=cross_entropy, penalty=L2(0.1), epochs=3, validation=(X, y))
    assert (history.loss[0], history.accuracy[0]) == pytest.approx(at_start)
    # After a full batch, the held-out loss on the training data is the next epoch's training loss.
    assert history.validation_loss[:-1] == pytest.approx(history.loss[1:], rel=1e-13)
    assert history.validation_accuracy[:-1] == history.accuracy[1:]


# --- determinism, schedules, records ---


def test_the_seed_decides_everything() -> None:
    def run(seed: Any, batch: Any) -> tuple[list[float], list[float]]:
        model = MLP(2, [4, 1], "tanh", seed=1)
        history = fit(model, X2, Y2, loss=hinge, batch=batch, epochs=3, seed=seed)
        return parameters(model), history.loss

    for batch in (1, 5):
        assert run(1, batch) == run(1, batch) == run(random.Random(1), batch)
        assert run(1, batch) != run(2, batch)
        assert run(None, batch) != run(None, batch)
    assert run(1, "full") == run(2, "full")


def test_schedules_count_steps_or_epochs() -> None:
    def rates(schedule: Any) -> list[float]:
        model = LinearRegression(2, seed=0)
        return fit(model, X2, Y2, loss=mean_squared_error, learning_rate=schedule, batch=12,
                   epochs=3, seed=0).learning_rate  # fmt: skip

    assert rates(ExponentialDecay(0.5, factor=0.5)) == [0.5**2, 0.5**4, 0.5**6]
    assert rates(ExponentialDecay(0.5, factor=0.5, per="epoch")) == [0.5, 0.25, 0.125]
    assert rates(Constant(0.1)) == [0.1] * 3


def test_snapshots() -> None:
    model = MLP(2, [3, 1], seed=1)
    start = parameters(model)
    history = fit(model, X2, Y2, loss=hinge, epochs=7, record=3)
    assert [epoch for epoch, _ in history.snapshots] == [0, 3, 6]
    assert history.snapshots[0][1] == start
    again = MLP(2, [3, 1], seed=1)
    fit(again, X2, Y2, loss=hinge, epochs=6)
    assert history.snapshots[2][1] == parameters(again)


@pytest.mark.parametrize("batch", ["full", 1, 5])
def test_training_in_two_parts_equals_training_in_one(batch: Any) -> None:
    def start() -> tuple[Any, ...]:
        return MLP(2, [4, 1], "tanh", seed=1), AdamW(Cosine(0.1, steps=100)), random.Random(5)

    def run(model: Any, optimizer: Any, source: Any, epochs: int, history: Any = None) -> History:
        return fit(model, X2, Y2, loss=hinge, optimizer=optimizer, batch=batch, epochs=epochs,
                   seed=source, validation=(X2[:8], Y2[:8]), history=history)  # fmt: skip

    whole = start()
    expected = run(*whole, 6)
    part = start()
    history = run(*part, 2)
    # Everything that is needed goes through JSON and comes back.
    state = json.loads(json.dumps([part[0].state_dict(), part[1].state_dict(), history.to_dict()]))
    model, optimizer, source = start()
    model.load_state_dict(state[0])
    optimizer.load_state_dict(state[1])
    source.setstate(part[2].getstate())
    history = run(model, optimizer, source, 4, History.from_dict(state[2]))
    assert parameters(model) == parameters(whole[0])
    assert history.loss == expected.loss
    assert history.validation_loss == expected.validation_loss
    assert history.learning_rate == expected.learning_rate


# --- stopping ---


def test_criteria() -> None:
    loss_change = LossChange(below=0.1, epochs=2)
    assert loss_change(History(loss=[1.0, 0.95])) is None
    assert loss_change(History(loss=[1.0, 0.5, 0.45])) is None
    assert loss_change(History(loss=[1.0, 0.95, 0.9])) == "the loss changed by less than 0.1"
    patience = Patience(epochs=2, margin=0.1)
    assert patience(History(loss=[1.0, 0.8, 0.75])) is None
    assert patience(History(loss=[1.0, 0.8, 0.75, 0.72])) == "no better loss in 2 epochs"
    assert patience(History(loss=[1.0, 0.8, 0.75, 0.69])) is None
    assert patience(History(loss=[9.0, 8.0], validation_loss=[1.0, 1.1, 1.2])) is not None
    assert patience(History(loss=[-3.0, -2.0, -1.0], maximize=True)) is None
    assert patience(History(loss=[-1.0, -2.0, -3.0], maximize=True)) is not None
    assert GradientNorm(0.1)(History(gradient_norm=[0.05, 0.2])) is None


def test_stops_at_the_first_criterion_that_holds() -> None:
    model = LinearRegression(1, seed=0)
    X, y = [[0.0], [1.0]], [1.0, 3.0]
    history = fit(model, X, y, loss=squared_error, learning_rate=0.5, epochs=1000,
                  until=[GradientNorm(0.0), LossChange(1e-6)])  # fmt: skip
    assert history.stopped == "the loss changed by less than 1e-06"
    assert (
        abs(history.loss[-1] - history.loss[-2]) < 1e-6 <= abs(history.loss[-2] - history.loss[-3])
    )
    history = fit(model, X, y, loss=squared_error, epochs=9, until=lambda h: len(h) == 4)
    assert (len(history), history.stopped) == (4, "converged")


def test_patience_restores_the_best_epoch() -> None:
    X, y = blobs(10, 2, 2, seed=1)
    flipped = [1 - label for label in y]  # held-out data that contradict the training data
    model = LogisticRegression(2, seed=3)
    history = fit(model, X, y, loss=cross_entropy, learning_rate=1.0, epochs=100, record=1,
                  validation=(X, flipped), until=Patience(5), restore_best=True)  # fmt: skip
    assert history.stopped == "no better loss in 5 epochs"
    best = min(range(len(history)), key=history.validation_loss.__getitem__) + 1
    assert history.best_epoch == best == len(history) - 5
    assert parameters(model) == dict(history.snapshots)[best]
    assert evaluate(model, X, flipped, loss=cross_entropy)[0] == history.validation_loss[best - 1]


def test_the_best_of_a_full_batch_is_where_the_loss_was_measured() -> None:
    model = LinearRegression(1, seed=1)
    X, y = [[1.0], [2.0]], [2.0, 4.0]
    history = fit(
        model, X, y, loss=mean_squared_error, learning_rate=0.5, epochs=10, restore_best=True
    )  # diverges: the start is best
    assert history.best_epoch == 1
    assert evaluate(model, X, y, loss=mean_squared_error)[0] == history.loss[0] == min(history.loss)


# --- when something goes wrong ---


def test_divergence_names_the_step_and_keeps_the_last_finite_parameters() -> None:
    model = LinearRegression(1, seed=1)
    optimizer = GradientDescent(10.0)
    history: list[list[float]] = [parameters(model)]
    gradients: list[list[float]] = []

    def watch(m: Module, _: History) -> None:
        history.append(parameters(m))
        gradients.append([p.grad for p in m.parameters()])

    with pytest.raises(FloatingPointError, match=r"epoch \d+, batch 1, learning rate 10: ") as info:
        fit(model, [[1.0], [20.0]], [2.0, 4.0], loss=squared_error, optimizer=optimizer,
            epochs=10000, callbacks=[watch])  # fmt: skip
    assert f"epoch {len(history)}, " in str(info.value)
    assert parameters(model) == history[-1]
    assert all(map(math.isfinite, parameters(model)))
    assert [p.grad for p in model.parameters()] == gradients[-1]
    assert optimizer.steps == len(history) - 1


def test_a_domain_error_inside_a_step_names_it_too() -> None:
    source = iter([1.0] * 9 + [0.0] * 9)

    def loss(prediction: Any, target: float) -> Any:
        return F.log(prediction * 0.0 + next(source))

    model = LinearRegression(1, seed=1)
    before = parameters(model)
    with pytest.raises(FloatingPointError, match=r"epoch 3, batch 2, learning rate 0.1: log") as e:
        fit(model, [[1.0], [2.0], [3.0]], [1, 2, 3], loss=loss, epochs=10, batch=2, seed=0)
    assert isinstance(e.value.__cause__, ValueError)
    assert parameters(model) == before  # the gradient was 0 until then


def test_nan_losses_and_gradients_stop_training() -> None:
    def nan_after(k: int) -> Any:
        calls = [0]

        def loss(prediction: Any, target: float) -> Any:
            calls[0] += 1
            return prediction * (math.nan if calls[0] > k else 1.0)

        return loss

    # The loss is tried on the first example before training starts: one call more.
    for batch, k, place in (("full", 5, "epoch 2, batch 1"), (1, 4, "epoch 1, batch 4")):
        model = LinearRegression(1, seed=1)
        with pytest.raises(
            FloatingPointError, match=f"{place}, learning rate 0.1: the loss is nan"
        ):
            fit(model, [[0.0]] * 4, [0] * 4, loss=nan_after(k), epochs=5, batch=batch, seed=0)
        assert all(map(math.isfinite, parameters(model)))


def test_ctrl_c_returns_the_history_with_the_best_model() -> None:
    model = MLP(2, [4, 1], "tanh", seed=1)
    calls = [0]

    def loss(prediction: Any, target: float) -> Any:
        calls[0] += 1
        if calls[0] == 24 * 5 + 10:  # in the middle of an epoch
            raise KeyboardInterrupt
        return hinge(prediction, target)

    history = fit(model, X2, Y2, loss=Loss(loss, targets="sign"), batch=6, epochs=50, record=1,
                  validation=(X2, Y2), seed=1)  # fmt: skip
    assert history.stopped == "interrupted"
    assert 1 <= len(history) < 5
    assert parameters(model) == dict(history.snapshots)[history.best_epoch]


def test_ctrl_c_before_the_first_epoch_ends_leaves_the_model_as_it_was() -> None:
    model = LinearRegression(1, seed=1)
    before = parameters(model)

    class Interrupted(GradientDescent):
        def step(self, parameters: Any) -> None:
            next(iter(parameters)).data += 1.0  # half way through
            raise KeyboardInterrupt

    history = fit(model, [[1.0]], [1.0], loss=squared_error, optimizer=Interrupted(0.1))
    assert (len(history), history.stopped) == (0, "interrupted")
    assert parameters(model) == before


# --- arguments ---


@pytest.mark.parametrize(
    ("change", "kind", "message"),
    [
        ({"model": None}, TypeError, "model: expected a Module, got NoneType"),
        ({"model": Module()}, ValueError, "model: expected at least one parameter"),
        ({"loss": "hinge"}, TypeError, "loss: expected a function"),
        ({"loss": log_likelihood, "optimizer": GradientDescent(0.1)}, ValueError,
         "log-likelihood is to be maximized, but"),
        ({"optimizer": GradientAscent(0.1)}, ValueError, "hinge is to be minimized, but"),
        ({"optimizer": 0.1}, TypeError, "optimizer: expected an Optimizer, got float"),
        ({"optimizer": Adam(), "learning_rate": 0.1}, ValueError, "expected it in the optimizer"),
        ({"learning_rate": -1.0}, ValueError, "expected a learning rate above 0"),
        ({"batch": 0}, ValueError, "batch: expected 'full' or a whole number from 1, got 0"),
        ({"batch": "half"}, ValueError, "batch: expected 'full' or a whole number from 1"),
        ({"batch": 2.0}, ValueError, "batch: expected 'full' or a whole number from 1"),
        ({"epochs": -1}, ValueError, "epochs: expected a whole number from 0, got -1"),
        ({"epochs": 1.5}, ValueError, "epochs: expected a whole number from 0"),
        ({"record": True}, ValueError, "record: expected a whole number from 0"),
        ({"clip_norm": 0.0}, ValueError, "clip_norm: expected a number above 0"),
        ({"clip_value": math.nan}, ValueError, "clip_value: expected a number above 0"),
        ({"clip_norm": "1"}, TypeError, "clip_norm: expected a real number"),
        ({"until": 3}, TypeError, "until: expected functions, got int 3"),
        ({"callbacks": [print, None]}, TypeError, "callbacks: expected functions, got NoneType"),
        ({"penalty": 0.1}, TypeError, "penalty: expected functions, got float 0.1"),
        ({"history": []}, TypeError, "history: expected a History, got list"),
        ({"seed": "x"}, TypeError, "seed: expected a whole number"),
        ({"validation": X2}, TypeError, r"validation: expected a pair \(X, y\)"),
        ({"validation": (X2, Y2[:3])}, ValueError, "validation y: expected 24 targets"),
        ({"validation": ([[1.0]], [1])}, ValueError, "validation X: row 0: expected 2 numbers"),
        ({"X": [[1.0, 2.0, 3.0]] * 24}, ValueError, "X: row 0: expected 2 numbers, got 3"),
        ({"y": [2] * 24}, ValueError, "y: row 0: expected the labels 1 and -1, or 1 and 0; got 2"),
    ],
)  # fmt: skip
def test_wrong_arguments_are_errors_before_the_first_step(
    change: dict[str, Any], kind: type[Exception], message: str
) -> None:
    model = MLP(2, [3, 1], seed=1)
    before = parameters(model)
    arguments: dict[str, Any] = {"model": model, "X": X2, "y": Y2, "loss": hinge, **change}
    with pytest.raises(kind, match=message):
        fit(arguments.pop("model"), arguments.pop("X"), arguments.pop("y"), **arguments)
    assert parameters(model) == before
    assert all(p.grad == 0.0 for p in model.parameters())


@pytest.mark.parametrize("compiled", [False, True])
def test_an_optimizer_of_another_model_is_an_error_before_the_first_step(compiled: bool) -> None:
    optimizer = Adam(0.1)
    fit(MLP(2, [3, 1], seed=1), X2, Y2, loss=hinge, optimizer=optimizer, epochs=1)
    model = MLP(2, [2, 1], seed=1)
    before = parameters(model)
    with pytest.raises(ValueError, match=r"optimizer: has been stepping 13 parameters, this .* 9"):
        fit(model, X2, Y2, loss=hinge, optimizer=optimizer, epochs=1, compiled=compiled)
    assert parameters(model) == before


def test_labels_are_checked_against_the_number_of_classes() -> None:
    model = SoftmaxRegression(2, 3, seed=1)
    for y, message in (
        ([0, 1, 3], "y: row 2: expected a class from 0 to 2, got 3"),
        ([0, -1, 1], "y: row 1: expected a class from 0 to 2, got -1"),
        ([0, 0.5, 1], r"y: row 1: expected a class from 0 to 2, got 0\.5"),
        ([[1, 0], [0, 1], [1, 0]], "y: row 0: expected 3 numbers, got 2"),
        ([[1, 0, 0], [1, 1, 0], [0, 0, 1]], "y: row 1: expected a one-hot row"),
    ):
        with pytest.raises(ValueError, match=message):
            fit(model, X2[:3], y, loss=cross_entropy)


def test_one_hot_targets_and_class_numbers_train_alike() -> None:
    X, y = blobs(15, 2, 3)
    losses = []
    for targets in (y, [[int(k == label) for k in range(3)] for label in y], np.eye(3)[y]):
        model = SoftmaxRegression(2, 3, seed=1)
        losses.append(fit(model, X, targets, loss=cross_entropy, epochs=5).loss)
    assert losses[0] == losses[1] == losses[2]
    soft = [[0.8 if k == label else 0.1 for k in range(3)] for label in y]
    history = fit(SoftmaxRegression(2, 3, seed=1), X, soft, loss=cross_entropy, epochs=60)
    assert history.loss[:5] != losses[0]
    assert history.accuracy[-1] > 0.8


def test_losses_of_ones_own_take_any_targets() -> None:
    model = SoftmaxRegression(2, 3, seed=1)
    X, y = blobs(9, 2, 3)
    history = fit(model, X, y, loss=lambda p, t: -F.log(F.take(p, t)), epochs=30)
    assert history.loss[-1] < history.loss[0]
    assert history.accuracy == []
    weighted = Loss(lambda p, t: t[0] * (p - t[1]) ** 2, targets="any")
    line = LinearRegression(2, seed=0)
    fit(line, X, [[1.0, 5.0]] * 8 + [[0.0, -99.0]], loss=weighted, learning_rate=0.05, epochs=800)
    assert line.predict(X[0]) == pytest.approx(5.0, abs=0.05)


# --- data ---


def test_every_kind_of_container_gives_the_same_rows() -> None:
    expected = [[1.0, 2.0], [3.0, 4.0]]
    frame = pd.DataFrame({"a": [1, 3], "b": [2.0, 4.0]})
    for X in (
        [[1, 2], [3, 4]], ((1, 2), (3, 4)), [(1, 2), [3.0, 4]], np.array([[1, 2], [3, 4]]),
        [np.array([1, 2]), np.array([3, 4])], frame, np.array([[1, 2], [3, 4]], dtype=np.float32),
        torch.tensor([[1, 2], [3, 4]]), iter([[1, 2], [3, 4]]), [range(1, 3), range(3, 5)],
    ):  # fmt: skip
        rows = as_rows(X)
        assert rows == expected
        assert all(type(number) is float for row in rows for number in row)
    for column in ([1, 2], (1.0, 2.0), np.array([1, 2]), pd.Series([1, 2]), [[1], [2]]):
        assert as_rows(column) == [[1.0], [2.0]]
    assert as_rows(pd.DataFrame({"a": [True, False]})) == [[1.0], [0.0]]
    for y in ([1, -1], np.array([1, -1]), pd.Series([1.0, -1.0]), np.array([[1], [-1]])):
        assert as_targets(y, "sign", 2) == [1, -1]
    assert as_targets([True, False], "sign", 2) == [1, 0]
    assert as_targets(np.array([True, False]), "class", 2, 2) == [1, 0]
    assert as_targets(pd.Series([0, 2], index=[7, 9]), "class", 2, 3) == [0, 2]
    assert as_targets([[1, 2], [3, 4]], "number", 2, 2) == [[1.0, 2.0], [3.0, 4.0]]


@pytest.mark.parametrize(
    ("X", "kind", "message"),
    [
        ([], ValueError, "X: expected at least one row, got none"),
        (np.zeros((0, 2)), ValueError, "X: expected at least one row, got none"),
        ([[]], ValueError, "X: row 0: expected at least 1 numbers, got 0"),
        ([[1, 2], [3]], ValueError, "X: row 1: expected 2 numbers, got 1"),
        ([[1, 2], 3], TypeError, "X: row 1: expected a list of numbers, got int 3"),
        ([[1, math.nan]], ValueError, "X: row 0, column 1: expected a finite number, got nan"),
        ([1.0, math.inf], ValueError, "X: row 1: expected a finite number, got inf"),
        ([["a", 2]], TypeError, "X: row 0, column 0: expected a real number, got str 'a'"),
        ([[None, 2]], TypeError, "X: row 0, column 0: expected a real number, got NoneType"),
        ("12", TypeError, "X: expected a sequence of rows, got str"),
        (3.0, TypeError, "X: expected a sequence of rows, got float"),
        ({"a": 1}, TypeError, "X: expected a sequence of rows, got dict"),
        (pd.DataFrame({"age": [1.0, None]}), ValueError, "X: row 1, column 'age': .* got nan"),
        (pd.DataFrame({"a": [1], "b": ["x"]}), TypeError, "X: row 0, column 'b': .* got str 'x'"),
    ],
)
def test_bad_data_are_errors_that_name_the_place(X: Any, kind: Any, message: str) -> None:
    with pytest.raises(kind, match=message):
        as_rows(X)


@pytest.mark.parametrize(
    ("y", "how", "message"),
    [
        ([1, 0, -1], ("sign", 3), "y: row 2: expected the labels 1 and -1, or 1 and 0; got -1"),
        ([1, math.nan], ("number", 2), "y: row 1: expected a finite number, got nan"),
        ([1.0, 2.0], ("number", 2, 2), "y: expected 2 numbers for each row, one for each output"),
        ([[1.0], [2.0]], ("number", 2, 2), "y: row 0: expected 2 numbers, got 1"),
        ([1], ("number", 2), "y: expected 2 targets, one for each row, got 1"),
        ([0, 2], ("class", 2, 1), "y: row 1: expected the labels 1 and -1, or 1 and 0; got 2"),
    ],
)
def test_bad_targets_are_errors_that_name_the_place(y: Any, how: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        as_targets(y, *how)


# --- history, callbacks, progress ---


def test_history_survives_json_and_pickle_and_describes_itself() -> None:
    history = fit(MLP(2, [3, 1], seed=1), X2, Y2, loss=hinge, epochs=3, record=1,
                  validation=(X2, Y2))  # fmt: skip
    assert History.from_dict(json.loads(json.dumps(history.to_dict()))) == history
    assert pickle.loads(pickle.dumps(history)) == history
    assert repr(history).startswith("<history of 3 epochs: loss ")
    assert "validation_accuracy" in repr(history)
    assert len(history.seconds) == 3
    assert min(history.seconds) > 0.0
    with pytest.raises(ValueError, match=r"History: expected entries from .* got \['losses'\]"):
        History.from_dict({"losses": [1.0]})


def test_plot_draws_losses_and_accuracy() -> None:
    history = fit(MLP(2, [3, 1], seed=1), X2, Y2, loss=hinge, epochs=3, validation=(X2, Y2))
    figure = history.plot()
    loss, accuracy = figure.axes
    assert list(loss.lines[0].get_ydata()) == history.loss
    assert list(loss.lines[1].get_ydata()) == history.validation_loss
    assert list(accuracy.lines[0].get_ydata()) == history.accuracy
    assert (loss.get_xlabel(), loss.get_ylabel()) == ("epoch", "loss")
    assert len(History(loss=[1.0]).plot().axes) == 1
    with pytest.raises(ValueError, match="expected at least one epoch"):
        History().plot()


def test_callbacks_see_model_and_history_after_each_epoch() -> None:
    seen = []
    model = LinearRegression(1, seed=0)
    fit(model, [1, 2], [2, 4], loss=squared_error, epochs=3, learning_rate=0.01,
        callbacks=[lambda m, h: seen.append((m is model, len(h), h.loss[-1]))])  # fmt: skip
    assert [entry[:2] for entry in seen] == [(True, 1), (True, 2), (True, 3)]
    assert seen[0][2] > seen[-1][2]


def test_progress_is_shown_when_asked_for_and_quiet_off_a_terminal(
    capsys: pytest.CaptureFixture[str],
) -> None:
    arguments: dict[str, Any] = {"loss": squared_error, "epochs": 3, "learning_rate": 0.01}
    fit(LinearRegression(1, seed=0), [1, 2], [2, 4], **arguments)
    fit(LinearRegression(1, seed=0), [1, 2], [2, 4], progress=False, **arguments)
    assert capsys.readouterr().err == ""
    pytest.importorskip("tqdm")
    fit(LinearRegression(1, seed=0), [1, 2], [2, 4], progress=True, **arguments)
    assert "3/3" in capsys.readouterr().err


def test_no_epochs_change_nothing() -> None:
    model = LinearRegression(1, seed=0)
    before = parameters(model)
    history = fit(model, [1], [1], loss=squared_error, epochs=0)
    assert (len(history), parameters(model)) == (0, before)


def test_training_needs_nothing_but_the_standard_library() -> None:
    code = (
        "import sys\n"
        "blocked = ['numpy', 'matplotlib', 'tqdm', 'torch', 'pandas', 'llvmlite']\n"
        "sys.modules.update(dict.fromkeys(blocked))\n"
        "from tinygrad_edu.nn import LogisticRegression, logistic_loss\n"
        "from tinygrad_edu.training import fit\n"
        "h = fit(LogisticRegression(1), [[1.0], [-1.0]], [1, 0], loss=logistic_loss, epochs=2)\n"
        "print(len(h))\n"
        "for ask, extra in ((h.plot, 'plot'), (lambda: fit(LogisticRegression(1), [[1.0]], [1],\n"
        "        loss=logistic_loss, compiled=True), 'fast')):\n"
        "    try:\n"
        "        ask()\n"
        "    except ImportError as error:\n"
        "        print(f'[{extra}]' in str(error))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["2", "True", "True"]


def test_logistic_loss_trains_on_signs_and_bits_alike() -> None:
    X, y = blobs(20, 2, 2)
    runs = []
    for labels in (y, [2 * label - 1 for label in y]):
        model = LogisticRegression(2, seed=1)
        history = fit(model, X, labels, loss=logistic_loss, learning_rate=0.5, epochs=50)
        runs.append((history.loss, history.accuracy))
    assert runs[0] == runs[1]
    assert runs[0][1][-1] > 0.9

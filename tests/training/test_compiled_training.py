"""fit(compiled=True): the numbers of eager training, its errors, and what it does if it cannot."""

from __future__ import annotations

import copy
import gc
import math
import random
import signal
import sys
import weakref
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinygrad_edu import Value
from tinygrad_edu.compiler.emit import machine_code as native
from tinygrad_edu.engine import functional as F
from tinygrad_edu.nn import (
    L2,
    MLP,
    LinearRegression,
    LogisticRegression,
    Loss,
    Module,
    MultiLayerPerceptron,
    Neuron,
    Perceptron,
    Polynomial,
    SoftmaxRegression,
    cross_entropy,
    hinge,
    log_likelihood,
    log_loss,
    logistic_loss,
    mean_squared_error,
    negative_log_likelihood,
    squared_error,
)
from tinygrad_edu.optim import (
    AdaGrad,
    Adam,
    AdamW,
    Cosine,
    ExponentialDecay,
    GradientDescent,
    InverseTime,
    Linear,
    Momentum,
    Nesterov,
    Optimizer,
    RMSProp,
    StepDecay,
)
from tinygrad_edu.training import EagerEngine, GradientNorm, History, Patience, fit
from tinygrad_edu.training.native import CompiledEngine
from tinygrad_edu.training.problem import make_problem

CLOSE = 1e-9
SOURCE = random.Random(5)
ROWS = [[SOURCE.gauss(0.0, 1.0) for _ in range(3)] for _ in range(11)]
SINGLE = [[row[0]] for row in ROWS]
NUMBERS = [0.5 * a - b * c for a, b, c in ROWS]
PAIRS = [[a + b, b * c] for a, b, c in ROWS]
SIGNS = [1 if a + b > 0.0 else -1 for a, b, _ in ROWS]
BITS = [int(a + b > 0.0) for a, b, _ in ROWS]
CLASSES = [i % 3 for i in range(11)]
SOFT = [[0.7, 0.2, 0.1] if k == 0 else k for k in CLASSES]  # probabilities among classes
SOFT = [t if isinstance(t, list) else [float(k == t) for k in range(3)] for t in SOFT]

OPTIMIZERS: dict[str, Callable[[bool], Optimizer]] = {
    "descent": lambda up: GradientDescent(0.05, maximize=up),
    "momentum": lambda up: Momentum(0.02, 0.8, maximize=up),
    "nesterov": lambda up: Nesterov(0.02, 0.8, maximize=up),
    # eps far above rounding: where terms of a gradient cancel, what is left of them is noise, and
    # the first step of AdaGrad is the gradient divided by its own size
    "adagrad": lambda up: AdaGrad(0.05, eps=1e-6, maximize=up),
    "rmsprop": lambda up: RMSProp(0.01, maximize=up),
    "adam": lambda up: Adam(0.01, maximize=up),
    "adamw": lambda up: AdamW(0.01, weight_decay=0.1, maximize=up),
}
# name -> model, rows, targets, loss
FAMILIES: dict[str, tuple[Callable[[], Module], Any, Any, Loss]] = {
    "line, sum of squares": (lambda: LinearRegression(3, seed=1), ROWS, NUMBERS, squared_error),
    "polynomial": (
        lambda: LinearRegression(1, features=Polynomial(3), seed=1),
        SINGLE,
        NUMBERS,
        mean_squared_error,
    ),
    "logistic, squared": (lambda: LogisticRegression(3, seed=1), ROWS, SIGNS, logistic_loss),
    "logistic, logits": (lambda: LogisticRegression(3, seed=1), ROWS, BITS, cross_entropy),
    "softmax, to maximize": (
        lambda: SoftmaxRegression(3, 3, seed=1),
        ROWS,
        CLASSES,
        log_likelihood,
    ),
    "softmax, summed": (
        lambda: SoftmaxRegression(3, 3, bias=False, seed=1),
        ROWS,
        CLASSES,
        negative_log_likelihood,
    ),
    "perceptron, margins": (lambda: Perceptron(3, seed=1), ROWS, SIGNS, hinge),
    "net, one score": (lambda: MLP(3, [4, 1], "relu", seed=1), ROWS, SIGNS, hinge),
    "net, three scores": (lambda: MLP(3, [4, 3], "tanh", seed=1), ROWS, CLASSES, hinge),
    "net, two numbers": (lambda: MLP(3, [4, 2], "tanh", seed=1), ROWS, PAIRS, mean_squared_error),
    "net, probability": (
        lambda: MLP(3, [4, 1], "tanh", output="sigmoid", seed=1),
        ROWS,
        BITS,
        log_loss,
    ),
    "net, soft targets": (lambda: MLP(3, [4, 3], "sigmoid", seed=1), ROWS, SOFT, cross_entropy),
    "steps everywhere": (
        lambda: MultiLayerPerceptron(3, [4, 1], seed=1),
        ROWS,
        BITS,
        squared_error.mean(),
    ),
}


def train(
    compiled: bool, make: Callable[[], Module], rows: Any, targets: Any, loss: Any, **options: Any
) -> tuple[Module, Optimizer, History]:
    model = make()
    options = {name: x() if name == "optimizer" else x for name, x in options.items()}
    history = fit(model, rows, targets, loss=loss, seed=7, compiled=compiled, **options)
    return model, options["optimizer"], history


def numbers(model: Module) -> list[float]:
    return [p.data for p in model.parameters()]


def slopes(model: Module) -> list[float]:
    return [p.grad for p in model.parameters()]


def near(a: Any, b: Any) -> bool:
    """Equal to 1e-9, relative to the largest number."""
    assert len(a) == len(b)
    scale = max([1.0, *map(abs, b)])
    return all(abs(x - y) <= CLOSE * scale for x, y in zip(a, b))


def assert_same(
    ours: tuple[Module, Optimizer, History], theirs: tuple[Module, Optimizer, History]
) -> None:
    (model, optimizer, history), (eager_model, eager_optimizer, eager_history) = ours, theirs
    assert near(numbers(model), numbers(eager_model))
    assert near(slopes(model), slopes(eager_model))
    a, b = optimizer.state_dict(), eager_optimizer.state_dict()
    assert (a["kind"], a["steps"], a["epochs"]) == (b["kind"], b["steps"], b["epochs"])
    for ours_of_one, theirs_of_one in zip(a["state"], b["state"], strict=True):
        assert near(ours_of_one, theirs_of_one)
    for name in ("loss", "gradient_norm", "learning_rate", "validation_loss"):
        assert near(getattr(history, name), getattr(eager_history, name)), name
    for name in ("accuracy", "validation_accuracy", "stopped", "maximize"):
        assert getattr(history, name) == getattr(eager_history, name), name
    if history.best_epoch == eager_history.best_epoch:
        assert near(history.best_parameters, eager_history.best_parameters)
    else:  # where nothing improves any more, rounding decides
        best = [h.monitored[e - 1] for h in (history, eager_history)
                for e in (history.best_epoch, eager_history.best_epoch)]  # fmt: skip
        assert near(best, best[::-1])
    assert [e for e, _ in history.snapshots] == [e for e, _ in eager_history.snapshots]
    for (_, a_numbers), (_, b_numbers) in zip(history.snapshots, eager_history.snapshots):
        assert near(a_numbers, b_numbers)


def compare(
    make: Callable[[], Module], rows: Any, targets: Any, loss: Any, **options: Any
) -> tuple[Module, Optimizer, History]:
    """Train in both ways and compare all that can be seen afterwards."""
    ours = train(True, make, rows, targets, loss, **options)
    assert_same(ours, train(False, make, rows, targets, loss, **options))
    return ours


# --- the same numbers ---


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_a_hundred_steps(family: str, optimizer: str) -> None:
    make, rows, targets, loss = FAMILIES[family]
    chosen = OPTIMIZERS[optimizer]
    compare(make, rows, targets, loss, optimizer=lambda: chosen(loss.maximize), epochs=100)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("batch", [1, 4, 5])
def test_batches(family: str, batch: int) -> None:
    """Of 11 rows: single ones, a short last batch of 3, a last batch of a single row."""
    make, rows, targets, loss = FAMILIES[family]
    up = loss.maximize
    compare(make, rows, targets, loss, optimizer=lambda: Adam(0.01, maximize=up), batch=batch,
            epochs=100 // (11 // batch) + 1)  # fmt: skip


@pytest.mark.parametrize("batch", ["full", 1, 4])
@pytest.mark.parametrize(
    "limits",
    [
        {"penalty": L2(0.01)},
        {"clip_norm": 0.1},
        {"clip_value": 0.02},
        {"penalty": L2(0.01), "clip_norm": 0.2, "clip_value": 0.02},
        {"clip_norm": 1e6, "clip_value": math.inf},
    ],
    ids=str,
)
@pytest.mark.parametrize("family", ["softmax, to maximize", "net, one score"])
def test_penalty_and_clipping(family: str, limits: dict[str, Any], batch: Any) -> None:
    make, rows, targets, loss = FAMILIES[family]
    up = loss.maximize
    compare(make, rows, targets, loss, optimizer=lambda: Momentum(0.02, maximize=up), batch=batch,
            epochs=20, **limits)  # fmt: skip


@pytest.mark.parametrize(
    "schedule",
    [
        StepDecay(0.1, every=7),
        ExponentialDecay(0.1, factor=0.97),
        ExponentialDecay(0.1, factor=0.9, per="epoch"),
        InverseTime(0.1, decay=0.3),
        Linear(0.1, end=0.01, steps=25),
        Cosine(0.1, end=0.01, steps=25),
    ],
    ids=repr,
)
def test_schedules(schedule: Any) -> None:
    make, rows, targets, loss = FAMILIES["net, three scores"]
    compare(make, rows, targets, loss, optimizer=lambda: AdamW(schedule), batch=4, epochs=15)


@settings(max_examples=15, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 6), min_size=1, max_size=3),
    activation=st.sampled_from(["relu", "tanh", "sigmoid", "softplus", "identity"]),
    optimizer=st.sampled_from(sorted(OPTIMIZERS)),
    batch=st.one_of(st.just("full"), st.integers(1, 12)),
    rows=st.integers(1, 20),
    seed=st.integers(0, 10**6),
)
def test_any_network(
    sizes: list[int], activation: str, optimizer: str, batch: Any, rows: int, seed: int
) -> None:
    source = random.Random(seed)
    X = [[source.gauss(0.0, 1.0) for _ in range(sizes[0])] for _ in range(rows)]
    Y: Any = [[source.gauss(0.0, 1.0) for _ in range(sizes[-1])] for _ in range(rows)]
    if sizes[-1] == 1:
        Y = [y[0] for y in Y]
    compare(
        lambda: MLP(sizes[0], sizes, activation, seed=seed), X, Y,
        mean_squared_error, optimizer=lambda: OPTIMIZERS[optimizer](False), batch=batch, epochs=5,
    )  # fmt: skip


def test_a_wide_layer_and_many_rows() -> None:
    """More parameters than vectors hold, rows that fill several tiles and a rest."""
    source = random.Random(2)
    X = [[source.random() for _ in range(17)] for _ in range(70)]
    y = [source.randrange(5) for _ in X]
    compare(lambda: MLP(17, [13, 5], seed=1), X, y, cross_entropy, optimizer=lambda: Adam(0.01),
            batch=33, epochs=4, penalty=L2(1e-3))  # fmt: skip


@pytest.mark.parametrize("batch", ["full", 1, 4])
def test_what_fit_does_around_the_steps(batch: Any) -> None:
    make, rows, targets, loss = FAMILIES["net, three scores"]
    held_out = ([[x + 0.1 for x in row] for row in rows[:7]], targets[:7])
    seen: list[list[float]] = []
    common = {"optimizer": lambda: GradientDescent(0.3), "batch": batch, "penalty": L2(0.01)}
    compare(make, rows, targets, loss, validation=held_out, record=3, restore_best=True, epochs=25,
            callbacks=[lambda model, history: seen.append(numbers(model))], **common)  # fmt: skip
    for ours, theirs in zip(seen[:25], seen[25:], strict=True):
        assert near(ours, theirs)
    compare(make, rows, targets, loss, until=Patience(3), epochs=200, **common)
    compare(make, rows, targets, loss, until=GradientNorm(0.5), epochs=200, **common)


def test_parameters_changed_by_a_callback() -> None:
    make, rows, targets, loss = FAMILIES["net, one score"]

    def shrink(model: Any, history: History) -> None:
        for parameter in model.parameters()[::2]:
            parameter.data *= 0.9

    compare(make, rows, targets, loss, optimizer=lambda: Adam(0.01), epochs=20, callbacks=[shrink])


def test_going_on_where_the_other_engine_stopped() -> None:
    make, rows, targets, loss = FAMILIES["net, three scores"]

    def halves(first: bool, second: bool) -> tuple[Module, Optimizer, History]:
        model, optimizer, order = make(), Adam(0.01), random.Random(3)
        history = None
        for compiled in (first, second):
            history = fit(model, rows, targets, loss=loss, optimizer=optimizer, batch=4, epochs=10,
                          seed=order, history=history, compiled=compiled)  # fmt: skip
        assert history is not None
        return model, optimizer, history

    expected = halves(False, False)
    for first, second in ((True, True), (True, False), (False, True)):
        assert_same(halves(first, second), expected)


def test_the_same_training_twice_is_the_same_bit_for_bit() -> None:
    make, rows, targets, loss = FAMILIES["net, three scores"]
    results = [
        numbers(train(True, make, rows, targets, loss, optimizer=lambda: Adam(0.01), batch=4,
                      epochs=20)[0])
        for _ in range(2)
    ]  # fmt: skip
    assert results[0] == results[1]


# --- code of one's own ---


class Bump(Module):
    """A model that is not of the package: a sum of bumps, with parameters in a dict."""

    def __init__(self) -> None:
        self.parts = {"centre": [Value(0.1), Value(-0.4)], "height": [Value(1.0), Value(0.5)]}
        self.scale = Value(0.3)

    def __call__(self, x: Any) -> Any:
        far = [(x[0] - c) * (x[0] - c) for c in self.parts["centre"]]
        bumps = [h * F.exp(-self.scale * d) for h, d in zip(self.parts["height"], far)]
        return F.sum(bumps)


def test_a_model_and_a_loss_of_ones_own() -> None:
    compare(Bump, SINGLE, NUMBERS, lambda prediction, target: F.abs(prediction - target) ** 1.5,
            optimizer=lambda: Adam(0.01), epochs=50)  # fmt: skip


def test_parameters_and_other_values_met_in_closures() -> None:
    """Loss and penalty reach a parameter, and a Value that is none, on ways of their own."""
    strength = Value(0.1)

    def run(compiled: bool) -> tuple[Module, Optimizer, History]:
        strength.data = 0.1
        model, optimizer = Neuron(3, "tanh", seed=1), GradientDescent(0.1)

        def loss(prediction: Any, target: Any) -> Any:
            return (prediction - target) ** 2 + prediction * strength * model.w[0]

        def stronger(model: Any, history: History) -> None:
            strength.data += 0.1

        history = fit(
            model, ROWS, NUMBERS, loss=loss, optimizer=optimizer, epochs=30, batch=4, seed=1,
            penalty=lambda ps: ps[0] * strength * model.b, callbacks=[stronger],
            validation=(ROWS[:3], NUMBERS[:3]), compiled=compiled,
        )  # fmt: skip
        return model, optimizer, history

    assert_same(run(True), run(False))


@pytest.mark.parametrize("batch", ["full", 1])
def test_what_does_not_depend_on_every_parameter(batch: Any) -> None:
    make, rows, targets, _ = FAMILIES["line, sum of squares"]
    for penalty in (lambda ps: 0.0, lambda ps: 3.0 * ps[2] ** 2, lambda ps: Value(0.5)):
        for loss in (lambda p, t: t * 0.5, lambda p, t: p * t, squared_error.mean()):
            compare(make, rows, targets, loss, optimizer=lambda: Adam(0.01), epochs=5, batch=batch,
                    penalty=penalty)  # fmt: skip


def test_a_single_row() -> None:
    make, rows, targets, loss = FAMILIES["net, three scores"]
    compare(make, rows[:1], targets[:1], loss, optimizer=lambda: Adam(0.01), epochs=5)


@pytest.mark.parametrize("kinds", [(CLASSES, SOFT), (SOFT, CLASSES)], ids=["soft", "classes"])
def test_held_out_targets_of_another_kind(kinds: tuple[Any, Any]) -> None:
    compare(lambda: MLP(3, [4, 3], "tanh", seed=1), ROWS, kinds[0], cross_entropy, epochs=5,
            optimizer=lambda: Adam(0.01), validation=(ROWS[2:], kinds[1][2:]))  # fmt: skip


class Signs(Optimizer):
    """Steps of one size, with a count of them in the state."""

    initial = (0.0,)

    def update(self, parameter: Any, gradient: Any, state: Any, rate: Any, step: Any) -> Any:
        sign = F.where(F.greater(gradient, 0.0), 1.0, -1.0)
        return parameter - rate / step * sign, (state[0] + 1.0,)


def test_an_optimizer_of_ones_own() -> None:
    make, rows, targets, loss = FAMILIES["line, sum of squares"]
    _, optimizer, _ = compare(make, rows, targets, loss, optimizer=lambda: Signs(0.1), epochs=30)
    assert optimizer.state_dict()["state"] == [[30.0]] * 4


# --- what cannot be compiled is trained eagerly, and says so ---


class Branching(Neuron):
    def __call__(self, x: Any) -> Any:
        score = self.score(x)
        return score if score > 0.0 else 0.1 * score


class Dropout(Neuron):
    def __init__(self) -> None:
        super().__init__(3, "identity", seed=1)
        self.source = random.Random(1)

    def __call__(self, x: Any) -> Any:
        return self.score([a * float(self.source.random() < 0.5) for a in x])


class TypeDependent(Neuron):
    def __call__(self, x: Any) -> Any:
        score = self.score(x)
        return score * 2.0 if isinstance(score, (Value, float)) else score


class OwnSteps(GradientDescent):
    def step(self, parameters: Any) -> None:
        parameters = list(parameters)
        for parameter in parameters:
            parameter.grad = math.copysign(1.0, parameter.grad)
        super().step(parameters)


class Impure(GradientDescent):
    calls = 0

    def update(self, parameter: Any, gradient: Any, state: Any, rate: Any, step: Any) -> Any:
        self.calls += 1
        return parameter - rate * gradient / self.calls, ()


def by_table(prediction: Any, target: Any) -> Any:
    return {1: 1.0, -1: 2.0}[target] * prediction * prediction


CANNOT: dict[str, tuple[Any, Any, Any, str]] = {
    "an if": (lambda: Branching(3, seed=1), squared_error, None, "use maximum, minimum or where"),
    "math": (
        lambda: Neuron(3, seed=1),
        lambda p, t: p * math.exp(t),
        None,
        "math function on a traced number",
    ),
    "a table": (lambda: Neuron(3, seed=1), by_table, None, "key of a dict"),
    "randomness": (Dropout, squared_error, None, "something else each time"),
    "types": (lambda: TypeDependent(3, seed=1), squared_error, None, "on the first example"),
    "Values on the way": (
        lambda: Neuron(3, seed=1),
        lambda p, t: p * (Value(2.0) * Value(3.0)),
        None,
        "from outside the traced function",
    ),
    "steps": (lambda: Neuron(3, seed=1), squared_error, OwnSteps, "in a way of its own"),
    "counting": (lambda: Neuron(3, seed=1), squared_error, Impure, "something else each time"),
}


@pytest.mark.parametrize("case", CANNOT)
@pytest.mark.parametrize("batch", ["full", 1])
def test_falls_back_with_the_reason(case: str, batch: Any) -> None:
    make, loss, optimizer, reason = CANNOT[case]
    kind = optimizer or GradientDescent
    options: dict[str, Any] = {"optimizer": lambda: kind(0.01), "batch": batch, "epochs": 3}
    options["validation"] = (ROWS[:4], SIGNS[:4])
    with pytest.warns(RuntimeWarning, match="trains eagerly") as caught:
        ours = train(True, make, ROWS, SIGNS, loss, **options)
    assert len(caught) == 1
    assert reason in str(caught[0].message)
    assert caught[0].filename == __file__
    if case in ("randomness", "counting"):
        return  # tracing drew numbers, counted calls
    theirs = train(False, make, ROWS, SIGNS, loss, **options)
    assert numbers(ours[0]) == numbers(theirs[0])
    assert ours[2].loss == theirs[2].loss


def test_a_penalty_that_cannot_be_compiled() -> None:
    make, rows, targets, loss = FAMILIES["net, one score"]

    def largest(parameters: Any) -> Any:
        return 0.1 * max(parameters, key=float)

    with pytest.warns(RuntimeWarning, match="trains eagerly"):
        ours = train(True, make, rows, targets, loss, optimizer=lambda: Adam(0.1), epochs=3,
                     penalty=largest)  # fmt: skip
    theirs = train(False, make, rows, targets, loss, optimizer=lambda: Adam(0.1), epochs=3,
                   penalty=largest)  # fmt: skip
    assert numbers(ours[0]) == numbers(theirs[0])


def test_steps_are_taken_by_native_code(monkeypatch: pytest.MonkeyPatch) -> None:
    """The eager engine takes one step, the rehearsal, whatever the number of steps."""
    taken = []
    step = EagerEngine.step
    monkeypatch.setattr(EagerEngine, "step", lambda *args: taken.append(1) or step(*args))
    make, rows, targets, loss = FAMILIES["net, three scores"]
    train(True, make, rows, targets, loss, optimizer=lambda: Adam(0.01), batch=4, epochs=30)
    assert len(taken) == 1


@pytest.mark.parametrize("missing", ["numpy", "llvmlite"])
def test_without_the_extra(missing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == missing]:
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setitem(sys.modules, missing, None)
    make, rows, targets, loss = FAMILIES["net, one score"]
    model = make()
    before = numbers(model)
    with pytest.raises(ImportError, match=r"tinygrad_edu\[fast\]"):
        fit(model, rows, targets, loss=loss, compiled=True)
    assert numbers(model) == before


# --- failures ---

FAILING: dict[str, dict[str, Any]] = {
    "the loss overflows": {"optimizer": lambda: GradientDescent(1e60), "batch": "full"},
    "one row at a time": {"optimizer": lambda: GradientDescent(1e60), "batch": 1},
    "in the middle of an epoch": {"optimizer": lambda: Momentum(1e40), "batch": 4},
    "with a limit": {"optimizer": lambda: Momentum(1e200), "batch": 4, "clip_norm": 1.0},
    "a parameter overflows": {"optimizer": lambda: Signs(1.7e308), "batch": 4},
    "with a penalty": {"optimizer": lambda: Adam(1e160), "batch": 4, "penalty": L2(1.0)},
}


@pytest.mark.parametrize("case", FAILING)
def test_numbers_that_are_not_finite(case: str) -> None:
    """The same error as eager training, and everything as it was before that step."""
    results = []
    for compiled in (True, False):
        model, optimizer = LinearRegression(3, seed=1), FAILING[case]["optimizer"]()
        options = {**FAILING[case], "optimizer": optimizer}
        with pytest.raises(FloatingPointError) as caught:
            fit(model, ROWS, NUMBERS, loss=squared_error, epochs=50, seed=2, compiled=compiled,
                **options)  # fmt: skip
        results.append((str(caught.value), model, optimizer))
    (message, model, optimizer), (eager_message, eager_model, eager_optimizer) = results
    place = message.split("learning rate")[0]
    assert place.startswith("epoch ")
    assert place == eager_message.split("learning rate")[0]
    assert near(numbers(model), numbers(eager_model))
    assert near(slopes(model), slopes(eager_model))
    assert all(map(math.isfinite, numbers(model)))
    a, b = optimizer.state_dict(), eager_optimizer.state_dict()
    assert (a["steps"], len(a["state"])) == (b["steps"], len(b["state"]))
    for ours, theirs in zip(a["state"], b["state"]):
        assert near(ours, theirs)


def test_a_bad_row_late_in_the_epoch_keeps_the_steps_before_it() -> None:
    def loss(prediction: Any, target: Any) -> Any:
        return F.log(prediction * 0.0 + target) + prediction * prediction

    results = []
    targets = [1.0] * 10 + [-1.0]
    order = random.Random()
    for compiled in (True, False):
        order.seed(3)
        model, optimizer = Neuron(3, "identity", seed=1), Momentum(0.01)
        with pytest.raises(FloatingPointError, match=r"batch \d+, .*log") as caught:
            fit(model, ROWS, targets, loss=loss, optimizer=optimizer, batch=2, epochs=5,
                seed=order, compiled=compiled)  # fmt: skip
        results.append((str(caught.value), numbers(model), slopes(model), optimizer.steps))
    assert results[0][0] == results[1][0]  # the very message, operation and all
    assert near(results[0][1], results[1][1])
    assert near(results[0][2], results[1][2])
    assert results[0][3] == results[1][3] > 0


@pytest.mark.parametrize("size", [1e-170, 1e-160, 1e140, 1e153])
@pytest.mark.parametrize("clip", [None, 1.0])
@pytest.mark.parametrize("count", [3, 11])
def test_lengths_whose_squares_overflow_or_vanish(size: float, clip: Any, count: int) -> None:
    loss = Loss(lambda prediction, target: prediction * target, "product")
    rows = [[size * x for x in range(1, count + 1)]]
    _, _, history = compare(
        lambda: LinearRegression(count, seed=1), rows, [size**0.01], loss,
        optimizer=lambda: GradientDescent(1e-3 / size if clip is None else 1e-3), epochs=2,
        clip_norm=clip,
    )  # fmt: skip
    expected = math.hypot(*rows[0], 1.0) * size**0.01
    assert history.gradient_norm == pytest.approx([expected] * 2, rel=1e-12)


def test_gradients_that_are_all_zero() -> None:
    make, rows, targets, loss = FAMILIES["steps everywhere"]
    _, _, history = compare(make, rows, targets, loss, optimizer=lambda: Adam(0.1), epochs=5)
    assert history.gradient_norm == [0.0] * 5


# --- interruption, memory ---


class Interrupted:
    """Native code during whose third call somebody presses Ctrl-C."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.calls, self.armed = 0, False
        function = native.Library.function

        def wrapped(library: Any, name: str, arguments: int) -> Any:
            found = function(library, name, arguments)
            return partial(self.call, found) if name == "steps" else found

        monkeypatch.setattr(native.Library, "function", wrapped)

    def call(self, steps: Any, *arguments: int) -> None:
        steps(*arguments)
        self.calls += self.armed
        if self.armed and self.calls == 3:
            self.armed = False
            signal.raise_signal(signal.SIGINT)


@pytest.mark.parametrize("batch", ["full", 1])
def test_control_c(batch: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    make, rows, targets, loss = FAMILIES["net, three scores"]
    model, optimizer, interrupted = make(), Adam(0.01), Interrupted(monkeypatch)

    def arm(model: Any, history: History) -> None:
        interrupted.armed = len(history) == 5 or interrupted.armed

    history = fit(model, rows, targets, loss=loss, optimizer=optimizer, batch=batch, epochs=1000,
                  compiled=True, seed=1, callbacks=[arm])  # fmt: skip
    assert history.stopped == "interrupted"
    assert len(history) == 7
    assert numbers(model) == history.best_parameters
    assert optimizer.steps == 8 * (1 if batch == "full" else len(rows))


def test_control_c_within_a_long_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Native code comes back every now and then, so an epoch need not be over."""
    make, rows, targets, loss = FAMILIES["net, three scores"]

    def prepared() -> tuple[Any, CompiledEngine]:
        optimizer = Momentum(1e-4)
        problem = make_problem(make(), rows * 100, targets * 100, loss, optimizer, None)
        engine = CompiledEngine(problem)
        engine.epoch([range(1100)], 1)
        return problem, engine

    interrupted = Interrupted(monkeypatch)
    problem, engine = prepared()
    interrupted.armed = True
    many = [range(1100)] * 10_000
    with pytest.raises(KeyboardInterrupt):
        engine.epoch(many, 2)
    steps = problem.optimizer.steps
    assert 1 < steps < len(many)
    # Parameters and optimizer are those of just so many steps.
    other, engine = prepared()
    engine.epoch(many[: steps - 1], 2)
    assert numbers(problem.model) == numbers(other.model)
    assert problem.optimizer.state_dict() == other.optimizer.state_dict()


def test_memory_stays_flat() -> None:
    make, rows, targets, loss = FAMILIES["net, three scores"]
    problem = make_problem(make(), rows, targets, loss, Adam(1e-4), None)
    problem.penalty = L2(1e-4)
    engine = CompiledEngine(problem)
    batches = [[3, 1, 4], [1, 5, 9], [2, 6]]

    def work(epochs: int) -> int:
        for number in range(epochs):
            engine.epoch(batches, number + 1)
            engine.evaluate(problem.rows, problem.targets)
        gc.collect()
        return sys.getallocatedblocks()

    before = work(100)
    assert work(1000) - before < 1000  # not even one small object for each epoch


def test_everything_goes_with_the_last_reference() -> None:
    make, rows, targets, loss = FAMILIES["net, three scores"]
    problem = make_problem(make(), rows, targets, loss, Adam(1e-4), None)
    engine = CompiledEngine(problem)
    engine.epoch([range(11)], 1)
    engine.evaluate(rows, targets)
    gone = weakref.ref(problem.model)
    gc.disable()
    try:
        del engine, problem
        assert gone() is None
    finally:
        gc.enable()


def test_a_warning_turned_into_an_error_changes_nothing() -> None:
    model = Branching(3, seed=1)
    before = numbers(model)
    with pytest.raises(RuntimeWarning, match="trains eagerly"):  # as pytest is set up here
        fit(model, ROWS, SIGNS, loss=squared_error, compiled=True)
    assert numbers(model) == before


@pytest.mark.parametrize("optimizer", [Adam(0.1), RMSProp(0.1), AdaGrad(0.1)])
def test_what_an_optimizer_remembers_may_not_overflow(optimizer: Any) -> None:
    """The square of a gradient of 1e200 is infinite: steps would be 0 from then on, unnoticed."""
    for compiled in (False, True):
        model = LinearRegression(1, seed=0)
        before = [p.data for p in model.parameters()]
        with pytest.raises(FloatingPointError, match="what it remembers of parameter 0"):
            fit(model, [[1e100], [2e100]], [1e60, 2e60], loss=squared_error,
                optimizer=copy.deepcopy(optimizer), epochs=5, compiled=compiled)  # fmt: skip
        assert [p.data for p in model.parameters()] == before

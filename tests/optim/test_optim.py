"""Optimizers step for step against torch.optim, schedules and clipping against torch."""

from __future__ import annotations

import copy
import json
import math
import pickle
from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch_twin import tensor

from tinygrad_edu import Value
from tinygrad_edu.engine import functional as F
from tinygrad_edu.nn import MLP, squared_error
from tinygrad_edu.optim import (
    SGD,
    AdaGrad,
    Adam,
    AdamW,
    Constant,
    Cosine,
    ExponentialDecay,
    GradientAscent,
    GradientDescent,
    InverseTime,
    Linear,
    Momentum,
    Nesterov,
    Optimizer,
    RMSProp,
    Schedule,
    StepDecay,
    clip_gradient_norm,
    clip_gradient_value,
    follow_gradient,
    gradient_norm,
)
from tinygrad_edu.training import fit

torch_optim = torch.optim

PAIRS: dict[str, tuple[Callable[[], Optimizer], Callable[[Any], torch.optim.Optimizer]]] = {
    "descent": (lambda: GradientDescent(0.05), lambda p: torch_optim.SGD(p, lr=0.05)),
    "ascent": (
        lambda: GradientAscent(0.01),
        lambda p: torch_optim.SGD(p, lr=0.01, maximize=True),
    ),
    "momentum": (
        lambda: Momentum(0.02, 0.8),
        lambda p: torch_optim.SGD(p, lr=0.02, momentum=0.8),
    ),
    "nesterov": (
        lambda: Nesterov(0.02, 0.8),
        lambda p: torch_optim.SGD(p, lr=0.02, momentum=0.8, nesterov=True),
    ),
    "adagrad": (lambda: AdaGrad(0.1), lambda p: torch_optim.Adagrad(p, lr=0.1)),
    "adagrad eps": (
        lambda: AdaGrad(0.1, eps=0.01),
        lambda p: torch_optim.Adagrad(p, lr=0.1, eps=0.01),
    ),
    "rmsprop": (lambda: RMSProp(0.02), lambda p: torch_optim.RMSprop(p, lr=0.02)),
    "rmsprop decay": (
        lambda: RMSProp(0.02, decay=0.9, eps=0.01),
        lambda p: torch_optim.RMSprop(p, lr=0.02, alpha=0.9, eps=0.01),
    ),
    "adam": (lambda: Adam(0.05), lambda p: torch_optim.Adam(p, lr=0.05)),
    "adam betas": (
        lambda: Adam(0.05, betas=(0.7, 0.95), eps=0.01),
        lambda p: torch_optim.Adam(p, lr=0.05, betas=(0.7, 0.95), eps=0.01),
    ),
    "adam up": (
        lambda: Adam(0.01, maximize=True),
        lambda p: torch_optim.Adam(p, lr=0.01, maximize=True),
    ),
    "adamw": (lambda: AdamW(0.05), lambda p: torch_optim.AdamW(p, lr=0.05)),
    "adamw decay": (
        lambda: AdamW(0.05, weight_decay=0.3),
        lambda p: torch_optim.AdamW(p, lr=0.05, weight_decay=0.3),
    ),
}

START = [1.5, -0.7, 0.3, 2.0]


def objective(w: Any, sin: Any) -> Any:
    """A function with curvature, cross terms and a gradient that is exactly 0 in one direction."""
    return (w[0] - 1.0) ** 2 * 3.0 + sin(w[1] * w[0]) + (w[2] * w[2] - 0.5) ** 2 + w[3] * 0.0


def our_path(optimizer: Optimizer, steps: int, start: list[float] = START) -> list[list[float]]:
    w = [Value(x) for x in start]
    points = []
    for _ in range(steps):
        for x in w:
            x.grad = 0.0
        objective(w, F.sin).backward()
        optimizer.step(w)
        points.append([x.data for x in w])
    return points


@pytest.mark.parametrize("name", PAIRS)
def test_fifty_steps_equal_torch(name: str) -> None:
    ours, theirs = PAIRS[name]
    w = tensor(START).requires_grad_()
    reference = theirs([w])
    for point in our_path(ours(), 50):
        reference.zero_grad()
        objective(w, torch.sin).backward()
        reference.step()
        assert point == pytest.approx(w.tolist(), rel=1e-12, abs=1e-13)


def test_ascent_is_descent_with_the_sign_switched() -> None:
    w, v = Value(3.0), Value(3.0)
    for optimizer, x in ((GradientDescent(0.1), w), (GradientAscent(0.1), v)):
        x.grad = 2.0
        optimizer.step([x])
    assert (w.data, v.data) == (2.8, 3.2)


@pytest.mark.parametrize("name", PAIRS)
def test_update_runs_on_nodes_as_on_numbers(name: str) -> None:
    """What a compiler traces is what ``step`` does."""
    optimizer = PAIRS[name][0]()
    numbers, nodes = (1.5, optimizer.initial), (Value(1.5), optimizer.initial)
    for step, gradient in enumerate([0.3, -0.2, 0.0, 5.0], start=1):
        numbers = optimizer.update(*numbers[:1], gradient, numbers[1], 0.05, step)
        nodes = optimizer.update(nodes[0], Value(gradient), nodes[1], Value(0.05), Value(step))
        assert nodes[0].data == pytest.approx(numbers[0], rel=1e-14)
        assert [s.data for s in nodes[1]] == pytest.approx(list(numbers[1]), rel=1e-14)


@pytest.mark.parametrize("name", PAIRS)
def test_a_saved_state_goes_on_bit_for_bit(name: str) -> None:
    make = PAIRS[name][0]
    whole = our_path(make(), 20)
    first = make()
    half = our_path(first, 10)
    second = make()
    second.load_state_dict(json.loads(json.dumps(first.state_dict())))
    assert second.steps == 10
    assert half + our_path(second, 10, half[-1]) == whole
    copied = pickle.loads(pickle.dumps(first))
    assert our_path(copied, 10, half[-1]) == whole[10:]


def test_states_that_do_not_fit_are_refused() -> None:
    adam = Adam(0.1)
    our_path(adam, 3)
    before = adam.state_dict()
    good = adam.state_dict()
    for change, message in (
        ({"kind": "Momentum"}, "expected the state of Adam, got 'Momentum'"),
        ({"steps": None}, "damaged state of Adam"),
        ({"steps": -1}, "counts from 0"),
        ({"state": [[1.0]] * 4}, "expected 2 numbers for each parameter of Adam"),
        ({"state": [["x", "y"]]}, "damaged state of Adam"),
    ):
        with pytest.raises(ValueError, match=message):
            adam.load_state_dict({**good, **change})
        assert adam.state_dict() == before


def test_a_step_that_would_not_be_finite_changes_nothing() -> None:
    for make, _ in PAIRS.values():
        optimizer, w = make(), [Value(1.0), Value(2.0)]
        w[0].grad, w[1].grad = 0.5, math.nan
        with pytest.raises(FloatingPointError, match="parameter 1 would become nan"):
            optimizer.step(w)
        assert [x.data for x in w] == [1.0, 2.0]
        assert (optimizer.steps, optimizer.state_dict()["state"]) == (0, [])
    descent, w = GradientDescent(1e300), [Value(1.0)]
    w[0].grad = -1e300
    with pytest.raises(FloatingPointError, match=r"become inf \(gradient -1e\+300, learning rate"):
        descent.step(w)


def test_the_parameters_must_stay_the_same_in_number() -> None:
    adam = Adam(0.1)
    adam.step([Value(1.0), Value(2.0)])
    with pytest.raises(ValueError, match="expected the 2 parameters of the steps before, got 1"):
        adam.step([Value(1.0)])


# --- schedules ---


def torch_rates(make: Any, start: float, n: int) -> list[float]:
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=start)
    scheduler = make(optimizer)
    rates = []
    for _ in range(n):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return rates


S = torch.optim.lr_scheduler


@pytest.mark.parametrize(
    ("schedule", "theirs", "n"),
    [
        (Constant(0.3), lambda o: S.ConstantLR(o, factor=1.0), 20),
        (StepDecay(0.3, factor=0.5, every=7), lambda o: S.StepLR(o, 7, 0.5), 30),
        (ExponentialDecay(0.3, factor=0.9), lambda o: S.ExponentialLR(o, 0.9), 30),
        (InverseTime(0.3, decay=0.2), lambda o: S.LambdaLR(o, lambda t: 1 / (1 + 0.2 * t)), 30),
        (
            Linear(0.3, end=0.06, steps=20),
            lambda o: S.LinearLR(o, start_factor=1.0, end_factor=0.2, total_iters=20),
            30,
        ),
        (
            Cosine(0.3, end=0.01, steps=20),
            lambda o: S.CosineAnnealingLR(o, T_max=20, eta_min=0.01),
            21,
        ),
    ],
)
def test_schedules_equal_torch(schedule: Schedule, theirs: Any, n: int) -> None:
    expected = torch_rates(theirs, 0.3, n)
    assert [schedule(t) for t in range(n)] == pytest.approx(expected, rel=1e-12)


def test_cosine_stays_at_its_end() -> None:
    assert [Cosine(0.3, end=0.01, steps=5)(t) for t in (5, 6, 100)] == [0.01] * 3


def test_an_optimizer_follows_its_schedule() -> None:
    by_step = GradientDescent(StepDecay(1.0, factor=0.5, every=2))
    w, rates = [Value(0.0)], []
    w[0].grad = -1.0
    for _ in range(5):
        before = w[0].data
        assert by_step.learning_rate_after(2) == by_step.schedule(by_step.steps + 2)
        rates.append(by_step.learning_rate)
        by_step.step(w)
        assert w[0].data - before == rates[-1]
    assert rates == [1.0, 1.0, 0.5, 0.5, 0.25]
    by_epoch = GradientDescent(ExponentialDecay(1.0, factor=0.5, per="epoch"))
    by_epoch.step(w)
    assert (by_epoch.learning_rate, by_epoch.learning_rate_after(5)) == (1.0, 1.0)
    by_epoch.end_epoch()
    assert by_epoch.learning_rate == 0.5
    resumed = GradientDescent(ExponentialDecay(1.0, factor=0.5, per="epoch"))
    resumed.load_state_dict(by_epoch.state_dict())
    assert resumed.learning_rate == 0.5


# --- clipping ---

gradients = st.lists(st.floats(-100.0, 100.0), min_size=1, max_size=6)


@given(gradients, st.floats(0.01, 50.0))
def test_clipping_equals_torch(numbers: list[float], limit: float) -> None:
    ours = [Value(0.0) for _ in numbers]
    for by_norm in (True, False):
        theirs = tensor([0.0] * len(numbers)).requires_grad_()
        theirs.grad = tensor(numbers)
        for x, g in zip(ours, numbers):
            x.grad = g
        if by_norm:
            expected = torch.nn.utils.clip_grad_norm_([theirs], limit)
            assert clip_gradient_norm(ours, limit) == pytest.approx(expected.item(), rel=1e-12)
            assert gradient_norm(ours) <= limit * (1.0 + 1e-12)
        else:
            torch.nn.utils.clip_grad_value_([theirs], limit)
            clip_gradient_value(ours, limit)
        assert [x.grad for x in ours] == pytest.approx(theirs.grad.tolist(), rel=1e-12)


# --- Algorithms 1 and 2 on any function ---


def test_follow_gradient_finds_minima_and_maxima() -> None:
    def bowl(x: Any, y: Any) -> Any:
        return (x - 1.0) ** 2 + 2.0 * (y + 3.0) ** 2

    down = follow_gradient(bowl, [5.0, 5.0], GradientDescent(0.1), tolerance=1e-8)
    assert down.converged
    assert down.points[-1] == pytest.approx([1.0, -3.0], abs=1e-8)
    assert len(down.points) == len(down.values)
    assert down.values[0] == bowl(5.0, 5.0)
    assert down.points[1] == pytest.approx([5.0 - 0.1 * 8.0, 5.0 - 0.1 * 32.0])
    up = follow_gradient(lambda x, y: -bowl(x, y), [5.0, 5.0], GradientAscent(0.1), tolerance=1e-8)
    assert up.points == down.points
    short = follow_gradient(bowl, [5.0, 5.0], GradientDescent(0.1), steps=3)
    assert (len(short.points), len(short.values), short.converged) == (4, 4, False)
    assert "path of 3 steps" in repr(short)


def test_a_diverging_path_ends_at_its_last_finite_point() -> None:
    path = follow_gradient(lambda x: x**4, [2.0], GradientDescent(1.0), steps=1000)
    assert not path.converged
    assert all(math.isfinite(v) for v in path.values)
    assert len(path.points) == len(path.values) < 20
    with pytest.raises(ZeroDivisionError):
        follow_gradient(lambda x: 1.0 / x, [0.0], GradientDescent(1.0))


@pytest.mark.parametrize(
    ("make", "kind", "message"),
    [
        (lambda: GradientDescent(0.0), ValueError, "start: expected a learning rate above 0"),
        (lambda: GradientDescent("0.1"), TypeError, "learning_rate: expected a real number"),
        (lambda: GradientDescent(math.nan), ValueError, "above 0, got nan"),
        (lambda: Momentum(0.1, 1.0), ValueError, "momentum: expected a number from 0 to below 1"),
        (lambda: RMSProp(0.1, decay=-0.1), ValueError, "decay: expected a number from 0"),
        (lambda: Adam(0.1, betas=(0.9, 1.0)), ValueError, r"betas\[1\]: expected"),
        (lambda: Adam(0.1, eps=0.0), ValueError, "eps: expected a number above 0"),
        (lambda: AdamW(0.1, weight_decay=-1.0), ValueError, "weight_decay: expected"),
        (lambda: StepDecay(0.1, every=0), ValueError, "every: expected at least 1, got 0"),
        (lambda: ExponentialDecay(0.1, factor=0.0), ValueError, "factor: expected"),
        (lambda: InverseTime(0.1, decay=-1.0), ValueError, "decay: expected"),
        (lambda: Linear(0.1, steps=0), ValueError, "steps: expected at least 1"),
        (lambda: Cosine(0.1, end=-1.0), ValueError, "end: expected"),
        (lambda: Constant(0.1, per="week"), ValueError, "per: expected 'step' or 'epoch'"),
        (lambda: clip_gradient_norm([], 0.0), ValueError, "limit: expected a number above 0"),
        (lambda: Optimizer(0.1).step([Value(1.0)]), NotImplementedError, "define update"),
    ],
)
def test_errors(make: Any, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        make()


def test_optimizers_and_schedules_describe_themselves() -> None:
    assert repr(Adam(0.1)) == "Adam(0.1, betas=(0.9, 0.999), eps=1e-08)"
    assert repr(GradientAscent(0.5)) == "GradientAscent(0.5, maximize=True)"
    assert repr(Momentum(Cosine(0.1, steps=5))) == (
        "Momentum(Cosine(start=0.1, per='step', end=0.0, steps=5), momentum=0.9)"
    )


def test_a_state_that_overflows_is_an_error_and_changes_nothing() -> None:
    for optimizer in (Adam(0.1), RMSProp(0.1), AdaGrad(0.1)):
        parameters = [Value(1.0), Value(2.0)]
        parameters[0].grad, parameters[1].grad = 0.5, 1e200  # its square is no number any more
        before = optimizer.state_dict()
        with pytest.raises(
            FloatingPointError, match=r"remembers of parameter 1 .* clip the gradient"
        ):
            optimizer.step(parameters)
        assert [p.data for p in parameters] == [1.0, 2.0]
        assert optimizer.state_dict() == before


@pytest.mark.parametrize("kind", [lambda: SGD(0.1, momentum=0.9), lambda: Adam(0.1)])
def test_a_state_belongs_to_its_parameters(kind: Any) -> None:
    optimizer, ours, others = kind(), [Value(1.0), Value(2.0)], [Value(1.0), Value(2.0)]
    for values in (ours, others):
        for value in values:
            value.grad = 1.0
    optimizer.step(ours)
    with pytest.raises(ValueError, match="other parameters"):
        optimizer.step(others)
    with pytest.raises(ValueError, match="other parameters"):
        optimizer.step(ours[::-1])
    assert [x.data for x in others] == [1.0, 2.0]
    optimizer.step(ours)
    again = kind()
    again.load_state_dict(optimizer.state_dict())
    again.step(others)  # a state that was loaded is for those that come next
    copied = copy.deepcopy(optimizer)
    copied.step(others)
    for compiled in (False, True):
        used, models = kind(), [MLP(1, [2, 1], seed=0) for _ in range(2)]
        named: dict[str, Any] = {
            "loss": squared_error,
            "optimizer": used,
            "epochs": 2,
            "compiled": compiled,
        }
        fit(models[0], [[1.0]], [2.0], **named)
        with pytest.raises(ValueError, match="other parameters"):
            fit(models[1], [[1.0]], [2.0], **named)
        fit(models[0], [[1.0]], [2.0], **named)

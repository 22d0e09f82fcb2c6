"""A program for the PyPI package micrograd runs here with only its import changed."""

from __future__ import annotations

import math
import random
from types import SimpleNamespace
from typing import Any

import micrograd.engine
import micrograd.nn
import pytest

import tinygrad_edu
import tinygrad_edu.nn

MICROGRAD = SimpleNamespace(Value=micrograd.engine.Value, nn=micrograd.nn)
OURS = SimpleNamespace(Value=tinygrad_edu.Value, nn=tinygrad_edu.nn)


def expression(lib: Any) -> list[float]:
    """Every operator the package has, in a program of our own; returns numbers to compare."""
    p, q = lib.Value(-1.5), lib.Value(2.25)
    r = p * q - q**3 + 2 * p
    s = (r + p).relu() + 3 - r / 4
    s += -p + (p * 5).relu()
    t = s**-1 + 10 / q - (7 - s)
    t = sum([t, s, 1.0]) * 0.5
    t.backward()
    return [t.data, t.grad, p.grad, q.grad, r.grad, s.grad]


def training(lib: Any) -> list[float]:
    """Max-margin training of an MLP, the way the package's own demonstration is written."""
    rng = random.Random(7)
    xs = [[rng.uniform(-1, 1), rng.uniform(-1, 1)] for _ in range(12)]
    ys = [1 if a * b > 0 else -1 for a, b in xs]
    model = lib.nn.MLP(2, [5, 4, 1])
    for parameter in model.parameters():  # the same start for both libraries
        parameter.data = rng.uniform(-1, 1)
    history = []
    for k in range(6):
        scores = [model(list(map(lib.Value, row))) for row in xs]
        losses = [(1 + -y * score).relu() for y, score in zip(ys, scores)]
        data_loss = sum(losses) * (1.0 / len(losses))
        penalty = 1e-3 * sum(p * p for p in model.parameters())
        total = data_loss + penalty
        model.zero_grad()
        total.backward()
        for parameter in model.parameters():
            parameter.data -= (0.5 - 0.05 * k) * parameter.grad
        history.append(total.data)
    return history + [p.grad for p in model.parameters()]


@pytest.mark.parametrize("program", [expression, training])
def test_same_numbers_as_micrograd(program: Any) -> None:
    ours, theirs = program(OURS), program(MICROGRAD)
    assert len(ours) == len(theirs)
    assert ours == pytest.approx(theirs, rel=1e-11, abs=1e-13)


def demonstration(lib: Any) -> list[float]:
    """The package's own demonstration: two moons, seed 1337, its own constructor and draw order."""
    random.seed(1337)
    points = random.Random(0)
    xs, ys = [], []
    for i in range(40):
        angle, label = math.pi * i / 39, 1 if i % 2 else -1
        xs.append([math.cos(angle) * label + (label < 0), math.sin(angle) * label + 0.3])
        xs[-1] = [v + points.gauss(0.0, 0.1) for v in xs[-1]]
        ys.append(label)
    model = lib.nn.MLP(2, [16, 16, 1])
    losses = []
    for k in range(6):
        scores = [model(list(map(lib.Value, x))) for x in xs]
        hinge = [(1 + -y * score).relu() for y, score in zip(ys, scores)]
        total = sum(hinge) * (1.0 / len(hinge)) + 1e-4 * sum(p * p for p in model.parameters())
        model.zero_grad()
        total.backward()
        for p in model.parameters():
            p.data -= (1.0 - 0.9 * k / 100) * p.grad
        losses.append(total.data)
    return losses


def test_the_demonstrations_losses_come_out() -> None:
    ours, theirs = demonstration(OURS), demonstration(MICROGRAD)
    assert ours[0] == pytest.approx(theirs[0], rel=1e-14)
    assert ours == pytest.approx(theirs, rel=1e-9)

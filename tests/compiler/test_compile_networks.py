"""Random networks, compiled over rows, mapped and alone: the same gradients as the eager engine."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tinygrad_edu import Value, compile
from tinygrad_edu.engine import functional as F

Layers = list[tuple[list[list[Any]], list[Any]]]
ACTIVATIONS = [F.relu, F.tanh, F.sigmoid, F.softplus, F.sin, lambda a: a]


def _cut(flat: Any, sizes: list[int]) -> Layers:
    layers, at = [], 0
    for width, count in itertools.pairwise(sizes):
        rows = [list(flat[at + i * width : at + (i + 1) * width]) for i in range(count)]
        at += count * width
        layers.append((rows, list(flat[at : at + count])))
        at += count
    return layers


def _network(rng: random.Random) -> tuple[list[int], Callable[..., Any]]:
    sizes = [rng.choice([1, 2, 3, 7, 8, 9, 17]) for _ in range(rng.randint(2, 4))]
    sizes.append(rng.choice([1, 2, 3, 10]))
    activations = [rng.choice(ACTIVATIONS) for _ in sizes]
    kind = rng.choice(["cross-entropy", "squares", "margin", "linear"])
    residual, normalised = rng.random() < 0.3, rng.random() < 0.3

    def loss(parameters: Any, x: Any, y: Any) -> Any:
        for depth, (weights, biases) in enumerate(_cut(parameters, sizes)):
            new = [activations[depth](F.dot(w, x, start=b)) for w, b in zip(weights, biases)]
            if residual and len(new) == len(x):
                new = [u + v for u, v in zip(new, x)]
            if normalised and depth == 0:
                scale = (F.dot(new, new) / len(new) + 1e-5) ** -0.5
                new = [u * scale for u in new]
            x = new
        if kind == "cross-entropy":
            return F.logsumexp(x) - F.take(x, y)
        if kind == "squares":
            return F.sum([(a - y) ** 2 for a in x])
        if kind == "margin":
            return F.sum([F.relu(1 - a * (y * 2 - 1)) for a in x])
        return sum(x[1:], x[0]) * y  # gradients that many parameters share

    return sizes, loss


def _agree(got: Any, expected: Any) -> None:
    scale = max(1.0, float(np.abs(expected).max()))
    assert np.allclose(got, expected, rtol=1e-11, atol=1e-12 * scale)


@pytest.mark.parametrize("seed", range(16))
def test_random_networks_agree_with_eager(seed: int) -> None:
    rng = random.Random(seed)
    sizes, loss = _network(rng)
    count = sum((width + 1) * n for width, n in itertools.pairwise(sizes))
    theta = np.array([rng.uniform(-0.7, 0.7) for _ in range(count)])
    n = rng.choice([1, 2, 7, 8, 9, 31])
    rows = np.array([[rng.gauss(0, 1) for _ in range(sizes[0])] for _ in range(n)])
    targets = np.array([float(rng.randrange(sizes[-1])) for _ in range(n)])

    parameters = [Value(t) for t in theta]
    losses = [loss(parameters, x.tolist(), float(y)) for x, y in zip(rows, targets)]
    mean = F.mean(losses)
    mean.backward()
    expected = np.array([p.grad for p in parameters])

    fast = compile(loss)
    value, slopes, _ = fast.batch_value_and_grad(theta, rows, targets)
    _agree(value, mean.data)
    _agree(slopes, expected)
    values, slopes = fast.map_value_and_grad(theta, rows, targets, shared=(0,), wrt=0)
    _agree(values, [x.data for x in losses])
    _agree(np.mean(slopes, axis=0), expected)
    total = sum(fast.value_and_grad(theta, x, y, wrt=0)[1] for x, y in zip(rows, targets))
    _agree(total / n, expected)


@pytest.mark.parametrize("rows", [1, 3, 8, 17])
def test_a_gradient_that_several_parameters_share_reaches_each(rows: int) -> None:
    rng = np.random.default_rng(rows)
    w, v = rng.normal(size=(3, 8)), rng.normal(size=(8, 4))
    x, y = rng.normal(size=(rows, 4)), rng.normal(size=rows)

    def program(w: Any, v: Any, x: Any, y: Any) -> Any:
        hidden = [F.dot(row, x) for row in v]
        return sum(F.dot(row, hidden) for row in w) * y

    _, slopes, _ = compile(program).batch_value_and_grad(w, v, x, y, shared=(0, 1), wrt=0)
    _agree(slopes, np.tile((x @ v.T * y[:, None]).mean(axis=0), (3, 1)))

"""What is not chosen contributes exactly nothing, in compiled code as in the engine.

Programs at random whose branches have derivatives that are infinite just where they are not chosen;
the reference is the engine, which does not even ask for these derivatives.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tinygrad_edu import Value, grad
from tinygrad_edu.compiler import compile
from tinygrad_edu.engine import functional as F
from tinygrad_edu.nn import Module
from tinygrad_edu.training import fit

CASES: dict[str, tuple[Callable[..., Any], list[float], list[float]]] = {
    "condition": (lambda x: F.where(F.sqrt(x) > 0.5, x, 2 * x), [0.0], [2.0]),
    "square root": (lambda x: F.where(x > 0, F.sqrt(x), 0.0), [0.0], [0.0]),
    "quotient": (lambda x: F.where(x > 0, 1 / x, x), [0.0], [1.0]),
    "logarithm": (lambda x: F.where(x > 0, F.log(x), 3 * x), [0.0], [3.0]),
    "exponent": (lambda x, n: F.where(x**n > 1, x, 2 * x), [-2.0, 2.0], [1.0, 0.0]),
    "base": (lambda x, b: x ** F.where(x < 0, b, 3 * x), [-1.0, 2.0], [-2.0, math.nan]),
    "take": (lambda *x: F.sqrt(F.take(list(x), 0)), [0.0, 4.0, 9.0], [math.inf, 0.0, 0.0]),
    "take inside": (lambda *x: F.take([F.sqrt(y) for y in x], 1), [0.0, 4.0, 0.0],
                    [0.0, 0.25, 0.0]),
    "maximum": (lambda x: F.maximum(F.sqrt(x), x + 1), [0.0], [1.0]),
    "clip": (lambda x: F.clip(F.sqrt(x), 0.5, 1.0) + x, [0.0], [1.0]),
    "relu": (lambda x: F.relu(-1 - F.sqrt(x)) + x, [0.0], [1.0]),
    "max": (lambda x, y: F.max([F.sqrt(x), y, -F.sqrt(x)]), [0.0, 2.0], [0.0, 1.0]),
    "chosen within chosen": (
        lambda x: F.where(x > 0, F.where(x > 1, F.log(x - 1), F.sqrt(x)), x * x + x), [0.0], [1.0]),
    "used by two": (lambda x: _used_by_two(F.sqrt(x), x), [0.0], [1.0]),
    "infinite operand": (lambda x, y: F.where(x > 0, x * y, x), [-1.0, math.inf], [1.0, 0.0]),
}  # fmt: skip


def _used_by_two(root: Any, x: Any) -> Any:
    return F.where(x > 0, root, x) + F.where(x > 1, 2 * root, 0.0)


def questions(f: Any, at: list[float], strict: bool) -> dict[str, Any]:
    """The gradient at a point, asked for in every way there is."""
    fast = compile(f, strict=strict)
    every = tuple(range(len(at)))
    if strict:
        return {"value_and_grad": fast.value_and_grad(*at, wrt=every)[1]}
    columns = [np.array([x, x, 1.25]) for x in at]
    found: dict[str, Any] = {
        "value_and_grad": fast.value_and_grad(*at, wrt=every)[1],
        "jacobian": fast.jacobian(*at)[0],
        "sparse_jacobian": fast.jacobian(*at, sparse=True).toarray()[0],
        "vjp": fast.vjp(*at, cotangent=1.0, wrt=every)[1],
        "map": [g[1] for g in fast.map_value_and_grad(*columns, wrt=every)[1]],
        "grad inside": compile(
            lambda *x: grad(f(*x), list(x), create_graph=True))(*at),
    }  # fmt: skip
    shared = compile(lambda parameters, row: f(*[p + 0 * row for p in parameters]))
    found["batch"] = shared.batch_value_and_grad(np.array(at), np.zeros(7))[1]
    return found


@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize("name", CASES)
def test_slopes_at_the_edge(name: str, strict: bool) -> None:
    f, at, expected = CASES[name]
    for question, found in questions(f, at, strict).items():
        np.testing.assert_array_equal(list(found), expected, err_msg=question)


@pytest.mark.parametrize("name", CASES)
def test_directions(name: str) -> None:
    f, at, expected = CASES[name]
    for i in range(len(at)):
        if not math.isfinite(expected[i]):
            continue
        tangent = [float(i == j) for j in range(len(at))]
        fast = compile(lambda xs: f(*xs))
        slope = fast.jvp(at, tangent=tangent)[1]
        if all(map(math.isfinite, expected)):  # else 0 * inf, of the chosen, is nan
            assert slope == expected[i]


def program_at_random(source: random.Random) -> Callable[..., Any]:
    """A program with choices; what has infinite derivatives at 0 stands behind some of them."""
    picks = [source.random() for _ in range(200)]

    def f(*x: Any) -> Any:
        draw = iter(picks)
        nodes = list(x)

        def one() -> Any:
            return nodes[int(next(draw) * len(nodes))]

        for _ in range(8):
            kind = int(next(draw) * 9)
            a, b, c = one(), one(), one()
            if kind == 0:
                nodes.append(a * b)
            elif kind == 1:
                nodes.append(a - 0.5 * b)
            elif kind == 2:
                nodes.append(F.where(a > 0.0, F.sqrt(F.maximum(a, 0.0)), b))
            elif kind == 3:
                nodes.append(F.maximum(a, b))
            elif kind == 4:
                nodes.append(F.tanh(a))
            elif kind == 5:
                nodes.append(F.where(b < 0.5, F.where(a > 0.0, F.sqrt(abs(a)), c), F.relu(c)))
            elif kind == 6:
                nodes.append(F.clip(a, -1.0, 1.0))
            elif kind == 7:
                nodes.append(F.take([a, F.sqrt(abs(b)), c], F.where(b > 0.0, 1.0, 2.0)))
            else:
                nodes.append(F.where(a > 1.0, F.hypot(a, b), F.minimum(a, c)))
        return F.sum(nodes)

    return f


def reference(f: Any, at: list[float]) -> tuple[list[float], list[list[float]]]:
    leaves = [Value(x) for x in at]
    slopes = grad(f(*leaves), leaves, create_graph=True)
    second = [grad(s, leaves) for s in slopes]
    again = [Value(x) for x in at]
    f(*again).backward()
    assert [x.grad for x in again] == pytest.approx([s.data for s in slopes], rel=1e-12, abs=1e-14)
    return [s.data for s in slopes], second


def check_at_random(seed: int) -> bool:
    source = random.Random(seed)
    f = program_at_random(source)
    at = [source.choice([0.0, 0.0, -0.0, 1.0, -1.0, 0.5, -0.25, 2.0]) for _ in range(3)]
    try:
        slopes, second = reference(f, at)
    except (ArithmeticError, ValueError):
        return False  # a chosen branch has no derivative there
    for question, found in questions(f, at, False).items():
        np.testing.assert_allclose(
            list(found), slopes, rtol=1e-12, atol=1e-13, err_msg=f"seed {seed} at {at}: {question}"
        )
    fast = compile(lambda xs: f(*xs))
    for sparse in (False, True):
        found = fast.hessian(at, sparse=sparse)
        np.testing.assert_allclose(
            found.toarray() if sparse else found, second, rtol=1e-11, atol=1e-12,
            err_msg=f"seed {seed} at {at}: hessian, sparse={sparse}",
        )  # fmt: skip
    return True


def test_programs_at_random() -> None:
    assert sum(check_at_random(seed) for seed in range(8)) >= 3


@pytest.mark.slow
def test_many_programs_at_random() -> None:
    assert sum(check_at_random(seed) for seed in range(1000, 1600)) >= 200


def test_a_row_with_an_infinity_leaves_the_others_alone() -> None:
    rows = np.array([1.0, math.inf, -2.0, math.nan, 0.0, 3.0, -math.inf, 0.5, 2.0])
    f = compile(lambda x, w: F.where(x > 1e300, 0.0, x * x * w) + F.relu(w * x))
    values, slopes = f.map_value_and_grad(rows, 2.0, wrt=(0, 1), shared=(1,))
    for i, row in enumerate(rows):
        alone = f.value_and_grad(float(row), 2.0)
        np.testing.assert_array_equal([values[i], *(s[i] for s in slopes)], [alone[0], *alone[1]])
    finite = np.isfinite(rows)
    assert np.isfinite(np.array(slopes)[:, finite]).all()


def test_atan2_at_the_origin() -> None:
    hessian = compile(F.atan2).hessian(0.0, 0.0)
    leaves = [Value(0.0), Value(0.0)]
    slopes = grad(F.atan2(*leaves), leaves, create_graph=True)
    assert hessian.tolist() == [grad(s, leaves) for s in slopes]


class _Root(Module):
    """A model whose other branch has an infinite slope at 0."""

    def __init__(self) -> None:
        self.w = Value(0.5)

    def __call__(self, x: Any) -> Any:
        return F.where(x[0] > 0.0, F.sqrt(self.w * x[0]), self.w * self.w)


def test_training_leaves_out_what_was_not_chosen() -> None:
    rows, targets = [[0.0], [1.0], [4.0], [0.0]], [0.5, 1.0, 2.0, 0.25]
    trained = []
    for compiled in (False, True):
        model = _Root()
        history = fit(model, rows, targets, loss=lambda p, t: (p - t) ** 2, epochs=20,
                      learning_rate=0.1, compiled=compiled)  # fmt: skip
        trained.append((model.w.data, history.loss[-1]))
    assert trained[1] == pytest.approx(trained[0], rel=1e-12)

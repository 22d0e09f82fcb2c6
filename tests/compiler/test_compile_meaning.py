"""What compiles is what was written: exact zeros stay, captured Values and symbols are followed."""

from __future__ import annotations

import math
import random
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose

from tinygrad_edu import Value, compile, functional, grad

F = functional


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.getbasetemp() / "cache"))


# --- exact zeros stay exact ---

# programs whose result is exactly 0 in Python for such arguments
ZEROS: dict[str, tuple[Any, Any]] = {
    "a*a - b*b": (lambda a, b, c: a * a - b * b, lambda u, v: (u, u, v)),
    "a*b - b*a": (lambda a, b, c: a * b - b * a, lambda u, v: (u, v, 0.0)),
    "cross product": (lambda a, b, c: a * (b * c) - b * (a * c), lambda u, v: (u, u, v)),
    "discriminant": (lambda a, b, c: (2 * a) * (2 * a) - 4 * (a * a), lambda u, v: (u, 0.0, 0.0)),
    "residual": (lambda a, b, c: c - a * b, lambda u, v: (u, v, u * v)),
    "minus a product": (lambda a, b, c: c + a * b, lambda u, v: (u, v, -(u * v))),
    "variance of two": (
        lambda a, b, c: (a * a + b * b) / 2 - ((a + b) / 2) * ((a + b) / 2),
        lambda u, v: (u, u, 0.0),
    ),
    "dot of two": (lambda a, b, c: F.dot([a, b], [c, -a]), lambda u, v: (u, v, v * u / u)),
    "sum of two products": (lambda a, b, c: F.sum([a * b, -(b * a)]), lambda u, v: (u, v, 0.0)),
    "quotients": (lambda a, b, c: a * (1 / b) - b * (1 / a), lambda u, v: (u, u, 0.0)),
}


@pytest.mark.parametrize("name", ZEROS)
@pytest.mark.parametrize("strict", [False, True])
def test_exact_zeros_stay_exact(name: str, strict: bool) -> None:
    program, arguments = ZEROS[name]
    choose = random.Random(name)
    rows = [arguments(choose.uniform(-3, 3), choose.uniform(0.1, 3)) for _ in range(50)]
    rows = [row for row in rows if program(*row) == 0.0]
    assert len(rows) > 10, "a program that is exactly 0 in Python"
    fast = compile(program, strict=strict)
    assert [fast(*row) for row in rows] == [0.0] * len(rows)
    assert not fast.map(*np.array(rows).T).any()
    # sixty at once, so that loops are found
    many = compile(lambda x: [program(*row) for row in x], strict=strict)
    assert many([list(row) for row in rows]) == [0.0] * len(rows)
    _, _, losses = compile(lambda w, a, b, c: w * program(a, b, c)).batch_value_and_grad(
        2.0, *np.array(rows).T
    )
    assert not losses.any()


def test_no_root_of_a_negative_rounding_error() -> None:
    root = compile(lambda a, b: F.sqrt(a * a - b * b))
    values = np.random.default_rng(0).uniform(-10, 10, 1000)
    assert not root.map(values, values).any()


# --- one operand, many at once ---


@pytest.mark.parametrize(
    "name", ["max", "min", "logsumexp", "softmax", "log_softmax", "mean", "sum"]
)
@pytest.mark.parametrize("count", [1, 2, 15, 16, 17, 64])
def test_reductions_of_one_number(name: str, count: int) -> None:
    reduce = getattr(functional, name)

    def function(x: Any) -> Any:
        found = [reduce([v * 1.5]) for v in x]
        return F.sum([(f[0] if isinstance(f, list) else f) ** 2 + v for f, v in zip(found, x)])

    x = [0.25 * i - 1.0 for i in range(count)]
    leaves = [Value(v) for v in x]
    eager = function(leaves)
    value, slopes = compile(function).value_and_grad(x)
    assert_allclose(value, eager.data, rtol=1e-13)
    assert_allclose(slopes, grad(eager, leaves), rtol=1e-13, atol=1e-15)


# --- symbols are no constants ---

UNKNOWN: dict[str, Any] = {
    "dict.get": lambda y: {1: 5.0}.get(y, 1.0) * y,
    "in a set": lambda y: 1.0 * (y in {1, 2}),
    "in a list": lambda y: 1.0 * (y in [1, 2]),
    "== numpy": lambda y: 1.0 * (y == np.int64(1)),
    "numpy ==": lambda y: 1.0 * (np.int64(1) == y),
    "== itself": lambda y: 1.0 * (y == y),
    "!=": lambda y: 1.0 * (y != 1),
    "len of a set": lambda y: 1.0 * len({y, 1.0}),
    "a key": lambda y: {y: 1.0}[y],
    "round": lambda y: 1.0 * round(y),
    "int": lambda y: 1.0 * int(y),
    "index": lambda y: [1.0, 2.0][y],
    "range": lambda y: 1.0 * len(range(y)),
    "and": lambda y: y and 1.0,
    "not": lambda y: 1.0 * (not y),
    "max": lambda y: max(y, 1.0),
    "sorted": lambda y: sorted([y, 1.0])[0],
    "format": lambda y: float(f"{y:.2f}"),
    "math.exp": lambda y: math.exp(y),
}


@pytest.mark.parametrize("name", UNKNOWN)
def test_what_needs_the_number_is_an_error_that_names_a_way_out(name: str) -> None:
    with pytest.raises(TypeError, match=r"traced number.*(take|equal|tinygrad_edu)"):
        compile(UNKNOWN[name])(1.0)


def test_a_number_is_never_none_or_text() -> None:
    assert compile(lambda y: y * (2.0 if y is None or y == None or y == "a" else 3.0))(1.0) == 3.0  # noqa: E711


# --- captured Values ---

w = Value(2.0, "w")
FOLLOWED: dict[str, Any] = {
    "where": lambda x: F.where(w > 0, x, -x),
    "where <=": lambda x: F.where(w <= 1.0, x, 7.0),
    "take": lambda x: F.take([x, 2 * x, 3 * x, 4 * x], F.maximum(w, 0.0)),
    "take w": lambda x: F.take([x, 2 * x, 3 * x, 4 * x], F.where(w < 0, 0.0, w)),
    "grad": lambda x: grad(w**3, w) * x,
    "grad, create_graph": lambda x: grad(w**3, w, create_graph=True) * x,
    "grad by x": lambda x: grad(w * x * x, x, create_graph=True),
    "inner": lambda x: _inner(w) * x,
    "inner of x": lambda x: _inner(w * x),
}
_inner = compile(lambda a: a * a + w)


@pytest.mark.parametrize("name", FOLLOWED)
def test_captured_values_are_followed(name: str) -> None:
    fast = compile(FOLLOWED[name])
    for number in (2.0, -3.0, 0.0, 3.0):
        w.data = number
        expected = FOLLOWED[name](Value(1.5))
        expected = expected.data if isinstance(expected, Value) else expected
        assert fast(1.5) == expected, (name, number)
    w.data = 2.0


FROZEN: dict[str, Any] = {
    "if": lambda x: x if w > 0 else -x,
    "max": lambda x: max(w, 1.0) * x,
    "round": lambda x: round(w) * x,
    "int": lambda x: int(w) * x,
    "float": lambda x: float(w) * x,
    "bool": lambda x: x if w else -x,
    "format": lambda x: float(f"{w:.3f}") * x,
    "value_and_grad": lambda x: _inner.value_and_grad(w)[0] * x,
}


@pytest.mark.parametrize("name", FROZEN)
def test_what_would_freeze_a_captured_value_is_an_error(name: str) -> None:
    with pytest.raises(TypeError, match=r"traced number|inside another function being compiled"):
        compile(FROZEN[name])(1.5)
    assert FROZEN[name](1.5) is not None  # outside a trace, Python's answer


# --- called on Values ---


def _program(a: Any, b: Any) -> Any:
    return F.sin(a) * b[0] ** 2 + a * b[1] * w


@pytest.mark.parametrize("seed", range(5))
def test_a_compiled_function_is_a_node_of_eager_code_to_any_order(seed: int) -> None:
    choose = random.Random(seed)
    numbers = [choose.uniform(-2, 2) for _ in range(3)]

    def run(function: Any) -> list[Any]:
        x, y, z = leaves = [Value(v) for v in numbers]
        out = function(x * y, [y * z, z]) * x
        first = grad(out, [*leaves, w], create_graph=True)
        second = grad(first[0] * first[1] + first[3], [*leaves, w], create_graph=True)
        third = grad(second[0] + second[2], leaves)
        out.backward()
        return [out.data, *[v.grad for v in leaves], *[v.data for v in (*first, *second)], *third]

    assert_allclose(run(compile(_program)), run(_program), rtol=1e-11, atol=1e-12)


def test_nodes_come_in_the_structure_of_the_result() -> None:
    x = Value(2.0)
    found = compile(lambda v: {"s": v[0] + v[1], "p": (v[0] * v[1], 3.0)})([x, 5.0])
    assert found["s"].data == 7.0
    assert found["p"][1].data == 3.0
    (found["p"][0] * found["s"]).backward()
    assert x.grad == 5.0 * 7.0 + 10.0
    array = compile(lambda v: v[0] * v[1])(np.array([x, Value(3.0)]))
    assert grad(array, x) == 3.0

"""Operations that users make: everywhere the package's own operations work."""

from __future__ import annotations

import doctest
import math
import pickle
from pathlib import Path

import numpy as np
import pytest

import tinygrad_edu as tg
from tinygrad_edu import MLP, Operation, Value, check_gradients, draw, explain, grad, operation
from tinygrad_edu.checking import GradientError
from tinygrad_edu.engine.operation import OWN, TABLE

swish = Operation(
    "swish_for_tests",
    lambda x: x * tg.sigmoid(x),
    lambda y, x: (y + tg.sigmoid(x) * (1.0 - y),),
    symbol="swish",
    check=True,
)
smooth_max = Operation(
    "smooth_max_for_tests",
    lambda a, b: math.log(math.exp(a) + math.exp(b)),
    lambda y, a, b: (tg.exp(a - y), tg.exp(b - y)),
    formula=lambda a, b: tg.log(tg.exp(a) + tg.exp(b)),
    check=[(0.5, 1.0), (2.0, -1.0)],
)


def mean_square(*xs):
    return sum(x * x for x in xs) / len(xs)


many = operation(
    mean_square, rule=lambda y, *xs: tuple(2.0 * x / len(xs) for x in xs), name="ms_for_tests"
)


def test_numbers_nodes_symbols_and_arrays() -> None:
    expected = 2.0 / (1.0 + math.exp(-2.0))
    assert swish(2.0) == swish(2) == swish(np.float64(2.0)) == pytest.approx(expected, rel=1e-15)
    x, y = Value(2.0, "x"), Value(-1.0, "y")
    assert swish(x).data == swish(2.0)
    assert tg.compile(lambda a: swish(a))(2.0) == pytest.approx(expected, rel=1e-14)
    grid = np.array([[0.5, -1.0], [2.0, 0.0]])
    assert swish(grid).dtype == float
    assert swish(grid).tolist() == [[swish(v) for v in row] for row in grid.tolist()]
    nodes = smooth_max(np.array([x, y]), np.array([1.0, 2.0]))
    assert [v.data for v in nodes] == [smooth_max(2.0, 1.0), smooth_max(-1.0, 2.0)]
    assert smooth_max(x, np.array([1.0, 2.0]))[1].operands[0] is x
    assert many(1.0, 2.0, x).data == 3.0
    for wrong in ("2", None, [1.0], 1j):
        with pytest.raises(TypeError, match="swish_for_tests: expected"):
            swish(wrong)
    with pytest.raises(TypeError, match=r"takes 2 operand\(s\), got 1"):
        smooth_max(x)


def test_derivatives_once_and_twice_eager_and_compiled() -> None:
    for f, point in ((swish, [0.7]), (smooth_max, [0.3, -0.9]), (many, [1.0, -2.0, 0.5])):
        assert check_gradients(f, point, order=2).ok
        xs = [Value(p) for p in point]
        f(*xs).backward()
        fast = tg.compile(lambda *a, f=f: f(*a))
        value, slopes = fast.value_and_grad(*point)
        assert value == pytest.approx(f(*point), rel=1e-14)
        slopes = slopes if isinstance(slopes, tuple) else (slopes,)
        assert list(slopes) == pytest.approx([x.grad for x in xs], rel=1e-13)
    x = Value(0.7)
    second = grad(grad(swish(x), x, create_graph=True), x)
    s = 1.0 / (1.0 + math.exp(-0.7))
    assert second == pytest.approx(s * (1 - s) * (2.0 + 0.7 * (1.0 - 2.0 * s)), rel=1e-12)


def test_drawn_explained_and_stepped() -> None:
    x = Value(0.5, "x")
    f = swish(x) * many(x, 2.0)
    f.label = "f"
    assert "swish" in draw(f).svg
    assert "swish_for_tests(x)" in str(explain(f))
    assert "swish" in tg.step_through(f).html


def test_pickled_by_name_and_saved_as_an_activation(tmp_path: Path) -> None:
    assert pickle.loads(pickle.dumps(swish)) is swish
    model = MLP(2, [3, 1], activation=swish, seed=1)
    tg.save(tmp_path / "model", model)
    again = tg.load_model(tmp_path / "model")
    assert again([0.3, -0.4]).data == model([0.3, -0.4]).data
    assert pickle.loads(pickle.dumps(model))([0.3, -0.4]).data == model([0.3, -0.4]).data
    data = pickle.dumps(swish).replace(b"swish_for_tests", b"swish_not_known")
    with pytest.raises(LookupError, match="no operation 'swish_not_known' here: import the module"):
        pickle.loads(data)


def test_mistakes_are_errors_when_the_operation_is_made() -> None:
    rule = lambda y, x: (1.0,)  # noqa: E731
    for make, error, words in (
        (lambda: Operation("t_", lambda x: "a", rule), TypeError, "forward of t_: .* got str 'a'"),
        (lambda: Operation("t_", lambda x: None, rule), TypeError, "forward of t_: .* NoneType"),
        (lambda: Operation("t_", lambda x: x, lambda y, x: (1.0, 2.0)), TypeError, "rule of t_.*2"),
        (lambda: Operation("t_", lambda x: x, lambda y, x: 1.0), TypeError, "a tuple of 1 partial"),
        (lambda: Operation("t_", lambda x: x, lambda y, x: ("1",)), TypeError, "rule of t_: .*str"),
        (lambda: Operation("t_", 3.0, rule), TypeError, "forward of t_: expected a function"),
        (lambda: Operation("exp", lambda x: x, rule), ValueError, "'exp' is an operation of the"),
        (lambda: Operation("a b", lambda x: x, rule), ValueError, "expected a name such as"),
        (lambda: Operation("t_", lambda: 1.0, rule), TypeError, "at least one operand"),
        (lambda: Operation("t_", lambda x: math.log(x - 9.0), rule), ValueError, "give sample="),
        (lambda: Operation("t_", lambda x: x * x, rule, check=True), GradientError, "wrong"),
        (lambda: operation(lambda x: x), TypeError, "give the rule"),
    ):
        with pytest.raises(error, match=words):
            make()
        assert "t_" not in OWN
    assert set(OWN).isdisjoint(TABLE)


def test_mistakes_that_only_some_operands_show_are_errors_there() -> None:
    odd = Operation(
        "odd_for_tests",
        lambda x: "large" if x > 10.0 else 2 * x,
        lambda y, x: (2.0,) if x > 0.0 else (2.0, 0.0),
        sample=(1.0, 2.0),
    )
    for operand in (11.0, Value(11.0)):
        with pytest.raises(TypeError, match=r"the result of odd_for_tests: .* got str 'large'"):
            odd(operand)
    x = Value(-1.0)
    with pytest.raises(TypeError, match=r"rule of odd_for_tests: expected a tuple of 1 partial"):
        odd(x).backward()
    assert x.grad == 0.0


def test_a_forward_with_math_in_it_is_not_taken_for_a_formula() -> None:
    f = Operation("half_math", lambda x: x * math.exp(x), lambda y, x: (y + tg.exp(x),), check=True)
    assert f.formula is None
    with pytest.raises(TypeError, match="'half_math' has no formula in terms of other operations"):
        tg.compile(f)(1.0)


def test_the_page_on_own_operations_runs() -> None:
    page = Path(__file__).parents[2] / "docs" / "own-operations.md"
    result = doctest.testfile(str(page), module_relative=False, optionflags=doctest.ELLIPSIS)
    assert result.attempted > 10
    assert result.failed == 0

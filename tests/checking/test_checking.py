"""The gradient check must pass what is right and, above all, fail what is wrong."""

from __future__ import annotations

import math
import pickle
import random
from collections.abc import Callable
from typing import Any

import pytest

from tinygrad_edu import Value
from tinygrad_edu.checking.gradient_check import GradientError, check_gradients
from tinygrad_edu.engine import functional, ops
from tinygrad_edu.engine.operation import Op
from tinygrad_edu.formula.expression import parse

# --- what is right passes -------------------------------------------------------------------------


# take wants an index; detach says that its slope is 0, which differences do not see
@pytest.mark.parametrize("name", [name for name in ops.TABLE if name not in ("take", "detach")])
def test_every_operation_of_the_table_passes(name: str) -> None:
    op = ops.TABLE[name]
    rng = random.Random(name)
    for _ in range(3):
        count = op.arity or 5
        intervals = op.sample * count if len(op.sample) == 1 else op.sample
        check_gradients(op, [rng.uniform(*interval) for interval in intervals], order=2)


@pytest.mark.parametrize("x", [1e-300, 1e-8, 0.3, 3.0, 1e8, 1e300])
def test_the_step_suits_the_input(x: float) -> None:
    worst = check_gradients(lambda x: x.log(), x).worst
    assert worst is not None
    assert worst.relative_error < 1e-9
    assert check_gradients(lambda x: 1.0 / x, [-x] if x > 1e-100 and x < 1e100 else [-2.0]).ok


def test_large_inputs_of_functions_that_vary_on_a_small_scale() -> None:
    assert check_gradients(lambda x: x.sin(), [1e6]).ok
    for x in (1e6, 1e6 + 0.5, 1e6 + 30):  # a bump that larger steps would leap over
        assert check_gradients(lambda x: (-((x - 1e6) ** 2)).exp(), [x]).ok


def test_slopes_of_zero_pass_without_an_absolute_tolerance() -> None:
    for function in (
        lambda x: x * x,
        lambda x: 1000.0 + x**4,
        lambda x: x * abs(x),
        lambda x: 5.0 + 0.0 * x,
        lambda x: 5.0,
    ):
        assert check_gradients(function, [0.0]).ok


def test_arguments_come_in_the_shape_they_were_given() -> None:
    def neuron(w: list[Value], x: list[list[Value]], b: Value) -> Any:
        return functional.dot(w, x[0], b).tanh() + functional.dot(w, x[1])

    report = check_gradients(neuron, [[0.1, -0.2], [[1.0, 2.0], (3.0, 4.0)], Value(0.5)], order=2)
    first = [row.inputs[0] for row in report.rows if len(row.inputs) == 1]
    assert first == ["w[0]", "w[1]", "x[0][0]", "x[0][1]", "x[1][0]", "x[1][1]", "b"]
    assert len(report.rows) == 7 + 7 * 7
    assert check_gradients(lambda *, y, x: x / y, {"x": 1, "y": 2}).rows[0].inputs == ("x",)
    assert check_gradients(parse("x ** y"), [2, 3], order=2).ok
    assert check_gradients(lambda: 3.0, []).ok


def test_order_2_finds_the_hessian() -> None:
    report = check_gradients(lambda x, y: x * x * y, [3.0, 5.0], order=2)
    second = {row.inputs: row.analytic for row in report.rows if len(row.inputs) == 2}
    expected = {("x", "x"): 10.0, ("x", "y"): 6.0, ("y", "x"): 6.0, ("y", "y"): 0.0}
    assert second == expected
    for row in report.rows:
        assert row.numeric == pytest.approx(row.analytic, rel=1e-10, abs=1e-10)


def test_gradients_of_surrounding_values_are_left_alone() -> None:
    w = Value(2.0, "w")
    (w * w).backward()
    check_gradients(lambda x: w * x, [3.0], order=2)
    assert (w.data, w.grad) == (2.0, 4.0)


def test_close_to_a_kink_is_not_at_a_kink() -> None:
    for x in (1e-9, 1e-6, 1e-4, -1e-4, -1e-7):
        assert check_gradients(lambda x: x.relu(), [x]).ok
    for scale in (1e2, 1e4, 1e6):  # ever sharper bends, all smooth
        assert check_gradients(lambda x, k=scale: (k * x).softplus(), [0.0]).ok


# --- what is wrong fails --------------------------------------------------------------------------


def _planted(name: str, rule: Callable[..., tuple[Any, ...]]) -> Op:
    good = ops.TABLE[name]
    return Op(name, good.symbol, good.arity, good.forward, rule, "a planted fault")


_FAULTS: dict[str, tuple[Op, list[float]]] = {
    "returns 0": (_planted("sin", lambda y, a: (0.0,)), [0.7]),
    "returns 0 for one operand": (_planted("mul", lambda y, a, b: (b, 0.0)), [2.0, 3.0]),
    "operands swapped": (_planted("mul", lambda y, a, b: (a, b)), [2.0, 3.0]),
    "wrong sign": (_planted("cos", lambda y, a: (ops.sin(a),)), [0.7]),
    "a constant slope": (_planted("tanh", lambda y, a: (0.5,)), [0.7]),
    "off by a millionth": (_planted("exp", lambda y, a: (1.000003 * y,)), [0.7]),
    "base e for base 2": (_planted("log2", lambda y, a: (1.0 / a,)), [0.7]),
    "nan": (_planted("exp", lambda y, a: (math.nan,)), [0.7]),
    "infinite": (_planted("exp", lambda y, a: (math.inf,)), [0.7]),
}


@pytest.mark.parametrize("fault", _FAULTS)
def test_a_wrong_rule_fails(fault: str) -> None:
    op, point = _FAULTS[fault]
    for function in (op, lambda *x: 3.0 * op(*x) + x[0]):
        with pytest.raises(GradientError):
            check_gradients(function, point)


@pytest.mark.parametrize("slope", [1e-3, 1e-9, 1e-30, 1e-200, 1e9])
def test_a_rule_that_returns_0_fails_however_small_the_slope(slope: float) -> None:
    zero, good = _planted("sin", lambda y, a: (0.0,)), ops.sin
    assert check_gradients(lambda x: slope * good(x), [0.7]).ok
    assert not check_gradients(lambda x: slope * zero(x), [0.7], raises=False).ok
    if slope >= 1e-9:  # next to 1 a smaller slope drowns in rounding
        assert not check_gradients(lambda x: 1.0 + slope * zero(x), [0.7], raises=False).ok


def test_forgetting_to_accumulate_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    from tinygrad_edu.engine.value import topological_order

    def assigns(self: Value) -> None:
        self.grad = 1.0
        for node in reversed(topological_order(self)):
            for operand, partial in zip(node.operands, node.local_gradients()):
                operand.grad = node.grad * partial  # = where += belongs

    monkeypatch.setattr(Value, "backward", assigns)
    assert check_gradients(lambda x, y: x * y, [2.0, 3.0]).ok  # no node is used twice
    with pytest.raises(GradientError):
        check_gradients(lambda x: x * x, [2.0])
    with pytest.raises(GradientError):
        check_gradients(parse("((x + y) + (x * y)) * z"), [2, 3, 4])


def test_a_rule_that_cannot_be_differentiated_again_fails_order_2() -> None:
    detached = _planted("sin", lambda y, a: (math.cos(float(a)),))
    assert check_gradients(detached, [0.7]).ok
    with pytest.raises(GradientError, match=r"by x, x at x = 0\.7"):
        check_gradients(lambda x: detached(x), [0.7], order=2)


def test_one_wrong_entry_of_the_hessian_is_named() -> None:
    def rule(y: Any, a: Any, b: Any) -> tuple[Any, Any]:
        return b, Value(float(a)) if isinstance(a, Value) else a  # d2/dba is lost

    with pytest.raises(GradientError) as caught:
        check_gradients(lambda p, q: _planted("mul", rule)(p, q), [2.0, 3.0], order=2)
    assert [row.inputs for row in caught.value.report.failures] == [("q", "p")]


# --- where there is nothing to check --------------------------------------------------------------


@pytest.mark.parametrize(
    ("function", "problem"),
    [
        (lambda x: abs(x), "kink: the slope is -1 on the left, 1 on the right"),
        (lambda x: x.relu() + 2 * x, "kink: the slope is 2 on the left, 3 on the right"),
        (lambda x: ops.maximum(x, -2 * x), "kink: the slope is -2 on the left"),
        (lambda x: (1e9 + abs(x)) * 1e-9, "kink"),
        (lambda x: x.step(), "jump"),
        (lambda x: x.sign(), "jump"),
        (lambda x: x**1.5, "not finite on both sides"),
        (lambda x: x * math.inf, "the function is nan"),
        (lambda x: x + math.inf, "the function is inf"),
    ],
)
def test_kinks_jumps_and_edges_are_named(function: Callable[..., Any], problem: str) -> None:
    with pytest.raises(GradientError, match=problem):
        check_gradients(function, [0.0])


def test_allow_kinks_takes_any_slope_between_left_and_right() -> None:
    assert check_gradients(lambda x: x.relu(), [0.0], allow_kinks=True).ok
    assert check_gradients(lambda x: abs(x), [0.0], allow_kinks=True).ok
    steep = _planted("abs", lambda y, a: (1.5,))
    with pytest.raises(GradientError, match="kink"):
        check_gradients(steep, [0.0], allow_kinks=True)


def test_noise_is_not_taken_for_a_derivative() -> None:
    """1e8 + x keeps x to about 1e-8: all digits of the difference quotient beyond are noise."""
    assert check_gradients(lambda x: (x + 1e8) - 1e8, [1.0]).ok
    rng = random.Random(5)
    with pytest.raises(GradientError):
        check_gradients(lambda x: x + 1e-3 * rng.random(), [1.0])


@pytest.mark.parametrize("rate", [1e5, 1e6, 1e7, 1e8])
@pytest.mark.parametrize("x", [1.0, 3.0, -0.3])
def test_fast_oscillations_are_seen_at_fine_steps(rate: float, x: float) -> None:
    assert check_gradients(lambda x: (rate * x).sin(), [x]).ok
    wrong = _planted("sin", lambda y, a: (1.01 * math.cos(a),))
    with pytest.raises(GradientError):
        check_gradients(lambda x: wrong(rate * x), [x])


@pytest.mark.parametrize("rate", [1e11, 1e12])
@pytest.mark.parametrize("x", [1.0, 3.0, -0.3])
def test_where_no_step_is_fine_enough_the_check_cannot_tell(rate: float, x: float) -> None:
    for order in (1, 2):
        report = check_gradients(lambda x: (rate * x).sin(), [x], order=order, raises=False)
        assert report.failures
        assert {row.problem.split(":")[0] for row in report.failures} == {"cannot tell"}


@pytest.mark.parametrize("name", ["tanh", "sigmoid", "softplus", "erf"])
def test_right_rules_pass_where_they_flatten_out(name: str) -> None:
    op = ops.TABLE[name]
    for i in range(60):
        assert check_gradients(lambda x: op(x), [0.2 * i], order=2).ok


def test_what_the_function_raises_at_the_inputs_comes_through() -> None:
    with pytest.raises(ValueError, match="operand > 0"):
        check_gradients(lambda x: x.log(), [-1.0])
    with pytest.raises(ZeroDivisionError, match="gradient of sqrt"):
        check_gradients(lambda x: x.sqrt(), [0.0])


# --- the report -----------------------------------------------------------------------------------


def test_the_report_names_the_worst_input() -> None:
    bad = _planted("mul", lambda y, a, b: (b, 1.1 * a))
    report = check_gradients(lambda x, y: bad(x, y), [2.0, 3.0], raises=False)
    worst = report.worst
    assert worst is not None
    assert (worst.inputs, worst.value, worst.problem) == (("y",), 3.0, "wrong")
    assert worst.analytic == 2.2
    assert worst.numeric == pytest.approx(2.0, rel=1e-11)
    assert worst.relative_error == pytest.approx(0.2 / 2.2, rel=1e-9)
    assert (report.ok, report.value, report.failures) == (False, 6.0, (worst,))
    lines = str(report).splitlines()
    assert lines[0].startswith("gradient check failed for 1 of 2; worst: by y at y = 3.0: ")
    assert lines[1].split() == ["by", "at", "analytic", "numeric", "relative", "error"]
    assert lines[2].split() == ["x", "2", "3", "3", lines[2].split()[4], "ok"]
    assert lines[3].split() == ["y", "3", "2.2", "2", "9.1e-02", "wrong"]


def test_the_error_shows_and_carries_the_report() -> None:
    zero = _planted("sin", lambda y, a: (0.0,))
    with pytest.raises(AssertionError) as caught:
        check_gradients(lambda theta: zero(theta), [0.7])
    error = caught.value
    assert isinstance(error, GradientError)
    assert str(error) == str(error.report)
    assert "theta at theta = 0.7: analytic 0.0, numeric 0.7648" in str(error)
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


def test_a_long_report_shows_the_worst() -> None:
    wrong = _planted("neg", lambda y, a: (1.0,))
    values = [float(i) for i in range(100)]
    report = check_gradients(
        lambda w: functional.sum([*w[:77], wrong(w[77]), *w[78:]]), [values], raises=False
    )
    lines = str(report).splitlines()
    assert len(lines) == 43
    assert lines[2].startswith("w[77]")
    assert lines[-1] == "... the worst 40 of 100 derivatives"


@pytest.mark.parametrize(
    ("inputs", "options", "error"),
    [
        ([1.0], {"order": 3}, ValueError),
        ([1.0], {"order": True}, ValueError),
        ([1.0], {"rtol": -1.0}, ValueError),
        ([1.0], {"atol": math.nan}, ValueError),
        ([math.nan], {}, ValueError),
        ([math.inf], {}, ValueError),
        (["1"], {}, TypeError),
        ([None], {}, TypeError),
        ([1.0, 2.0], {}, TypeError),
    ],
)
def test_wrong_arguments(inputs: Any, options: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        check_gradients(lambda x: x * x, inputs, **options)


def test_the_result_must_be_a_scalar() -> None:
    with pytest.raises(TypeError, match="result"):
        check_gradients(lambda x: [x], [1.0])

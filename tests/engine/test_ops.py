"""Every row of the table against torch and finite differences, to second order, and at edges."""

from __future__ import annotations

import itertools
import math
import pickle
import random
from fractions import Fraction

import pytest
import torch
from exact import SLOPES, slopes
from reference import (
    ALL_OPS,
    TORCH,
    close,
    op_id,
    sample_operands,
    tensor,
    torch_apply,
    torch_error,
    torch_value_and_grads,
)

from tinygrad_edu import Value, grad
from tinygrad_edu.engine import functional, ops
from tinygrad_edu.engine.operation import Op
from tinygrad_edu.engine.operators import Operators

PIECEWISE_CONSTANT = {"less", "less_equal", "equal", "step", "sign", "floor", "ceil", "round"}


def test_every_row_has_a_reference_in_torch() -> None:
    assert set(ops.TABLE) | set(ops.FAMILIES) == set(TORCH)


def test_every_row_is_a_function_and_every_unary_row_a_method() -> None:
    for op in ops.TABLE.values():
        assert hasattr(functional, op.name), op
        assert op.name in functional.__all__
        if op.arity == 1:
            assert callable(getattr(Operators, op.name)), op


def test_every_row_documents_itself_and_survives_pickling() -> None:
    for op in ALL_OPS:
        assert op.doc
        found = pickle.loads(pickle.dumps(op))
        assert (found.name, found.parameter) == (op.name, op.parameter)
        # of rows with a captured constant, only the last few thousand are kept
        assert found is op or op.parameter is not None


@pytest.mark.parametrize("op", ALL_OPS, ids=op_id)
def test_value_and_gradient_agree_with_torch(op: Op) -> None:
    rng = random.Random(1)
    for _ in range(20):
        point = sample_operands(op, rng)
        leaves = [Value(x) for x in point]
        out = op(*leaves)
        out.backward()
        value, grads = torch_value_and_grads(op, point)
        assert close(out.data, value, torch_error(op)), (point, out.data, value)
        for leaf, expected in zip(leaves, grads):
            assert close(leaf.grad, expected, torch_error(op), 1e-15), (point, leaf.grad, expected)


@pytest.mark.parametrize("op", ALL_OPS, ids=op_id)
def test_three_ways_to_evaluate_a_rule_agree(op: Op) -> None:
    """Floats in backward(), floats in grad(), Values in grad(create_graph=True)."""
    rng = random.Random(2)
    for _ in range(10):
        point = sample_operands(op, rng)
        leaves = [Value(x) for x in point]
        out = op(*leaves)
        assert out.data == op(*point)  # plain numbers in, the same number out
        out.backward()
        by_backward = [leaf.grad for leaf in leaves]
        by_grad = grad(out, leaves)
        by_graph = [g.data for g in grad(out, leaves, create_graph=True)]
        assert by_grad == by_backward
        for a, b in zip(by_graph, by_backward):
            assert close(a, b, rtol=1e-14), (point, by_graph, by_backward)


@pytest.mark.parametrize("op", ALL_OPS, ids=op_id)
def test_second_order_agrees_with_torch(op: Op) -> None:
    rng = random.Random(3)
    for _ in range(5):
        point = sample_operands(op, rng)
        leaves, tensors = [Value(x) for x in point], [tensor(x) for x in point]
        firsts = grad(op(*leaves), leaves, create_graph=True)
        torch_out = torch_apply(op, tensors)
        if not torch_out.requires_grad:  # a comparison
            assert [first.data for first in firsts] == [0.0] * len(tensors)
            continue
        torch_firsts = torch.autograd.grad(
            torch_out, tensors, create_graph=True, materialize_grads=True, allow_unused=True
        )
        for first, torch_first in zip(firsts, torch_firsts):
            seconds = grad(first, leaves)
            expected = (
                torch.autograd.grad(
                    torch_first,
                    tensors,
                    allow_unused=True,
                    retain_graph=True,
                    materialize_grads=True,
                )
                if torch_first.requires_grad
                else [tensor(0.0)] * len(tensors)
            )
            for got, want in zip(seconds, expected):
                rtol = max(torch_error(op), 1e-10)
                assert close(got, want.item(), rtol, 1e-12), (point, got, want.item())


@pytest.mark.parametrize("op", ALL_OPS, ids=op_id)
def test_gradient_agrees_with_finite_differences(op: Op) -> None:
    """Independent of torch; a rule that returned 0 would fail wherever the slope is not 0."""
    rng = random.Random(4)
    h = 1e-5
    steep = 0
    for _ in range(10):
        point = sample_operands(op, rng)
        leaves = [Value(x) for x in point]
        slopes = grad(op(*leaves), leaves)
        for i, slope in enumerate(slopes):
            if (op.name in ("where", "take") and i == 0) or op.name == "detach":
                continue  # a condition, an index; what is cut off
            up, down = list(point), list(point)
            up[i] += h
            down[i] -= h
            numeric = (op(*up) - op(*down)) / (2.0 * h)
            assert close(slope, numeric, rtol=1e-6, atol=1e-8), (point, i, slope, numeric)
            steep += abs(numeric) > 1e-3
    flat = op.name in PIECEWISE_CONSTANT | {"detach"} or (
        op.name == "power" and op.parameter == 0.0
    )
    assert (steep == 0) == flat


def test_formulas_compute_exactly_what_forward_computes() -> None:
    """The compiler lowers through the formula; it must be the same function, bit for bit."""
    numbers = [0.0, -0.0, 1.0, -1.0, 0.3, -2.7, 40.0, -40.0, 800.0, -800.0, 1e300, -1e300]
    numbers += [math.inf, -math.inf, math.nan, 5e-324]
    with_formula = [op for op in ALL_OPS if op.formula is not None]
    assert with_formula
    for op in with_formula:
        for operands in itertools.product(numbers, repeat=op.arity or 1):
            assert op.formula is not None
            try:
                expected = op.forward(*operands)
            except (ArithmeticError, ValueError):
                continue
            got = op.formula(*operands)
            assert got == expected or (got != got and expected != expected), (op, operands)


# --- edges ---

EDGES = [0.0, -0.0, 1.0, -1.0, math.inf, -math.inf, math.nan, 1e308, -1e308, 5e-324, 1e-308, 1e16]


def _edge_points(op: Op) -> list[tuple[float, ...]]:
    if op.name == "take":
        return [(float(i), *EDGES[5:8]) for i in range(3)]
    if op.arity is None:
        return list(itertools.product(EDGES, repeat=2))
    if op.arity == 3:
        return list(itertools.product((0.0, 1.0, math.nan), EDGES, (2.0, math.inf)))
    return list(itertools.product(EDGES, repeat=op.arity))


def _rounded(exact: Fraction) -> float:
    try:
        return float(exact)
    except OverflowError:
        return math.inf if exact > 0 else -math.inf


def _where_torch_is_wrong(
    op: Op, point: tuple[float, ...], value: float, grads: list[float]
) -> tuple[float, list[float]]:
    """Put right what torch gets wrong: squares that overflow, 0 log 0, a slope by log(10) a."""
    finite = all(map(math.isfinite, point))
    if op.name in SLOPES and finite and (abs(point[0]) < 1e15 or "gamma" not in op.name):
        slope = slopes(op.name, point[0])[0]
        return value, [slope] if math.isfinite(slope) else grads
    if op.name == "atan2" and finite and any(point):
        a, b = map(Fraction, point)
        return value, [_rounded(b / (a * a + b * b)), _rounded(-a / (a * a + b * b))]
    if op.name == "norm" and finite and any(point):
        length = math.hypot(*point)
        return length, [a / length for a in point]
    if op.name == "logsumexp" and finite:
        powers = [math.exp(a - max(point)) for a in point]
        return value, [e / sum(powers) for e in powers]
    if op.name == "xlogy" and point[0] == 0.0 and point[1] <= 0.0:
        return value, [0.0, 0.0]
    if op.name == "clip" and point[1] == point[2] and point[0] < point[1]:
        return value, [0.0, 1.0, 0.0]  # torch gives the slope to neither end
    if op.name == "pow" and point[0] == -1.0 and -math.inf < point[1] < -(2.0**53):
        return value, [-point[1], grads[1]]  # even; torch takes b - 1 for even, too
    if op.name == "pow" and 0.0 < point[0] < 1e-307 and abs(point[1]) < 1e-300:
        return value, [point[1] / point[0], grads[1]]  # a ** (b - 1) alone is too large
    if op.name == "mod" and math.isinf(point[0]):
        return value, [1.0, -(point[0] / point[1])] if point[1] else grads
    if op.name == "polygamma" and point[0] == math.inf:
        return 0.0, [0.0]
    return value, grads


@pytest.mark.parametrize("op", ALL_OPS, ids=op_id)
def test_edges_agree_with_torch_or_raise_as_documented(op: Op) -> None:
    for point in _edge_points(op):
        value, grads = torch_value_and_grads(op, point)
        value, grads = _where_torch_is_wrong(op, point, value, grads)
        leaves = [Value(x) for x in point]
        try:
            out = op(*leaves)
        except ZeroDivisionError:
            # only a zero divisor, or zero to a negative power
            assert op.name in ("div", "power", "pow", "mod", "fmod", "digamma"), point
            assert not math.isfinite(value), point
            continue
        except OverflowError:
            assert math.isinf(value), (point, value)
            continue
        except ValueError:
            outside = op.name == "polygamma" and point[0] < 0.0  # torch goes on by reflection
            assert not math.isfinite(value) or math.isinf(point[0]) or outside, (point, value)
            assert op.requires
            continue
        assert close(out.data, value, torch_error(op)), (point, out.data, value)
        try:
            out.backward()
        except (ZeroDivisionError, OverflowError):
            assert not all(math.isfinite(g) for g in grads), (point, grads)
            assert [leaf.grad for leaf in leaves] == [0.0] * len(leaves)
            continue
        for i, (leaf, expected) in enumerate(zip(leaves, grads)):
            rtol = torch_error(op)
            assert close(leaf.grad, expected, rtol, 1e-320), (point, i, leaf.grad, expected)


@pytest.mark.parametrize(
    ("op", "x", "slope"),
    [
        (ops.abs_, 0.0, 0.0),
        (ops.relu, 0.0, 0.0),
        (ops.relu, -0.0, 0.0),
        (ops.step, 0.0, 0.0),
        (ops.sign, 0.0, 0.0),
        (ops.leaky_relu_with(0.1), 0.0, 0.1),
        (ops.power(0.0), 0.0, 0.0),
        (ops.power(2.0), 0.0, 0.0),
    ],
    ids=str,
)
def test_kinks(op: Op, x: float, slope: float) -> None:
    leaf = Value(x)
    op(leaf).backward()
    assert leaf.grad == slope


def test_step_is_one_at_zero_as_in_the_notes() -> None:
    assert (ops.step(0.0), ops.step(-1e-300), ops.step(5.0)) == (1.0, -1.0, 1.0)


@pytest.mark.parametrize(
    ("compute", "error", "text"),
    [
        (lambda x: (x - 2.0).log(), ValueError, r"log\(0\.0\): needs an operand > 0"),
        (lambda x: x / 0, ZeroDivisionError, r"div\(x=2\.0, 0\.0\): division by zero"),
        (lambda x: (x * 400.0).exp(), OverflowError, r"exp\(800\.0\): the result is too large"),
        (lambda x: (-x) ** 0.5, ValueError, r"power\(-2\.0\): needs a base >= 0"),
        (lambda x: (-x).sqrt(), ValueError, r"sqrt\(-2\.0\): needs an operand >= 0"),
        (lambda x: x.asin(), ValueError, r"asin\(x=2\.0\): needs an operand in \[-1, 1\]"),
        (lambda x: 0.0 ** (-x), ZeroDivisionError, r"exponential\(-2\.0\): division by zero"),
        (lambda x: x * "3", TypeError, "mul: expected a real number or a Value, got str '3'"),
        (lambda x: x + 1j, TypeError, "add: expected a real number or a Value, got complex 1j"),
        (lambda x: x * True, TypeError, r"mul: .* got bool True; write 1\.0 or 0\.0"),
        (lambda x: None - x, TypeError, "sub: .* got NoneType None"),
        (lambda x: x ** "2", TypeError, "power: .* got str '2'"),
        (lambda x: functional.exp("1"), TypeError, "exp: .* got str '1'"),
        (lambda x: functional.exp(x, x), TypeError, r"exp takes 1 operand\(s\), got 2"),
        (lambda x: functional.dot([x], [1.0, 2.0]), ValueError, "lengths 1 and 2"),
        (lambda x: functional.max([]), ValueError, "max: expected at least one value, got none"),
        (lambda x: functional.take([x, x], 2), IndexError, "whole index from 0 to 1, got 2"),
        (lambda x: functional.take([x, x], 0.5), IndexError, "whole index from 0 to 1, got 0.5"),
        (lambda x: functional.take([x, x], -1), IndexError, "from 0 to 1, got -1"),
    ],
)
def test_errors_name_the_operation_and_the_labelled_operand(compute, error, text) -> None:
    with pytest.raises(error, match=text):
        compute(Value(2.0, "x"))


def test_a_rule_that_raises_names_its_operation_and_leaves_gradients_alone() -> None:
    x = Value(0.0, "x")
    y = x.sqrt() + x * 3.0
    x.grad = 7.0
    y.operands[1].grad = 5.0
    with pytest.raises(ZeroDivisionError, match=r"gradient of sqrt\(x=0\.0\): division by zero"):
        y.backward()
    assert (x.grad, y.grad, y.operands[1].grad) == (7.0, 0.0, 5.0)
    with pytest.raises(ZeroDivisionError, match=r"gradient of sqrt"):
        grad(y, x)


def test_nary_results_do_not_depend_on_compensated_summation() -> None:
    """Python 3.12 made sum() more accurate; the engine adds from left to right everywhere."""
    terms = [1.0, 1e100, 1.0, -1e100]
    assert functional.sum(terms) == 0.0
    assert functional.dot(terms, [1.0] * 4) == 0.0


def test_dot_equals_its_expansion_bit_for_bit() -> None:
    rng = random.Random(5)
    for _ in range(50):
        a, b = ([rng.uniform(-1, 1) for _ in range(9)] for _ in range(2))
        start = rng.uniform(-1, 1)
        total = start
        for p, q in zip(a, b):
            total = total + p * q
        assert functional.dot(a, b, start) == total

"""Rules are accurate over the whole range: orders 1 and 2 against 60 digits, on a log grid."""

from __future__ import annotations

import math
from collections.abc import Iterator

import pytest
from exact import ROOTS, SLOPES, slopes

from tinygrad_edu import Value, grad
from tinygrad_edu.engine import ops

UNARY = [name for name, op in ops.TABLE.items() if op.arity == 1]


def grid(name: str) -> Iterator[float]:
    """From the smallest to the largest numbers, of both signs, and close to 1 from both sides."""
    for exponent in (
        -1040,
        -900,
        -512,
        -300,
        -100,
        -53,
        -27,
        *range(-12, 12),
        27,
        53,
        300,
        900,
        1020,
    ):
        for mantissa in (1.0, 1.2345678901234567, 1.7320508075688772):
            x = math.ldexp(mantissa, exponent)
            yield from (x, -x)
    for exponent in (-52, -40, -26, -13, -5, -3):
        for x in (1.0 - 1.25 * 2.0**exponent, 1.0 + 1.5 * 2.0**exponent):
            yield from (x, -x)
    for x in (6.5, 19.06, 37.0, 40.0, 88.5, 300.0, 700.0, 26.1, 12.34):
        yield from (x, -x)


def ulps(got: float, exact: float) -> float:
    if got == exact:
        return 0.0
    return abs(got - exact) / math.ulp(exact) if math.isfinite(got) else math.inf


def test_every_operation_of_one_operand_has_exact_derivatives() -> None:
    assert set(UNARY) == set(SLOPES)


@pytest.mark.parametrize("name", UNARY)
def test_first_and_second_derivative_within_4_ulp(name: str) -> None:
    op = ops.TABLE[name]
    compared = 0
    for x in grid(name):
        if any(abs(abs(x) - root) < 0.35 for root in ROOTS.get(name, ())):
            continue
        if name in ("lgamma", "digamma") and not -1e3 < x < 1e15:
            continue  # mpmath takes minutes there
        first, second = slopes(name, x)
        if not math.isfinite(first):
            continue  # outside the domain, at a pole, or too large for a float
        leaf = Value(x)
        try:
            y = op(leaf)
        except (ArithmeticError, ValueError):
            continue
        y.backward()
        slope = grad(y, leaf, create_graph=True)
        if x < 0.0 and name in ("lgamma", "digamma"):
            # by reflection: a difference of terms that are larger than 1
            scale = max(1.0, abs(first))
            assert abs(leaf.grad - first) <= 1e-14 * scale, (x, leaf.grad, first)
            continue
        assert ulps(leaf.grad, first) <= 4.0, (x, 1, leaf.grad, first, ulps(leaf.grad, first))
        assert ulps(slope.data, first) <= 4.0, (x, 1, slope.data, first)
        compared += 1
        if math.isfinite(second):
            got = grad(slope, leaf)
            assert ulps(got, second) <= 4.0, (x, 2, got, second, ulps(got, second))
    assert compared > 40

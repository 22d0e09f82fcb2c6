"""Rows of the table that choose, compare and round (layer 0; ``ops.py`` says what a row is).

Their derivatives are constant between jumps, and a derivative of 0 is more than a number here: the
operand was not chosen, so it contributes exactly nothing, whatever the derivatives behind it are.
``where(x > 0, sqrt(x), 0)`` has slope 0 at 0, although the slope of ``sqrt`` is infinite there. The
rows say so with ``chooses=True``. Comparisons are 1.0 for true and 0.0 for false.

At a kink the derivative is torch's: 0 for ``abs`` and ``relu`` at 0, an even split between tied
operands of ``maximum`` and ``minimum``, and ``clip`` passes on at its ends.
"""

from __future__ import annotations

import math
from typing import Any

from tinygrad_edu.engine.operation import Op, row


def _flat(y: Any, *operands: Any) -> tuple[Any, ...]:
    return (0.0,) * len(operands)


# --- comparisons and choice -------------------------------------------------------------------------


def _where(condition: float, a: float, b: float) -> float:
    return a if condition else b


def _less(a: float, b: float) -> float:
    return 1.0 if a < b else 0.0


def _less_equal(a: float, b: float) -> float:
    return 1.0 if a <= b else 0.0


def _equal(a: float, b: float) -> float:
    return 1.0 if a == b else 0.0


less: Op = row("less", "<", 2, _less, _flat, "1 if a < b else 0", chooses=True)
less_equal: Op = row("less_equal", "<=", 2, _less_equal, _flat, "1 if a <= b else 0", chooses=True)
equal: Op = row("equal", "=", 2, _equal, _flat, "1 if a == b else 0", chooses=True)
where: Op = row(
    "where", "where", 3, _where,
    lambda y, c, a, b: (0.0, where(c, 1.0, 0.0), where(c, 0.0, 1.0)),
    "a if condition else b; any condition but 0 is true", chooses=True,
)  # fmt: skip


def _share(a: Any, b: Any) -> Any:
    """0 where a < b, one half where they tie, else 1: with a nan both operands get 1, as in torch."""
    return where(less(a, b), 0.0, where(equal(a, b), 0.5, 1.0))


def _maximum(a: float, b: float) -> float:
    return a if a != a or a >= b else b


def _minimum(a: float, b: float) -> float:
    return a if a != a or a <= b else b


maximum: Op = row(
    "maximum", "max", 2, _maximum, lambda y, a, b: (_share(a, b), _share(b, a)), "the larger of two",
    formula=lambda a, b: where(equal(a, a), where(less_equal(b, a), a, b), a), chooses=True,
)  # fmt: skip
minimum: Op = row(
    "minimum", "min", 2, _minimum, lambda y, a, b: (_share(b, a), _share(a, b)), "the smaller of two",
    formula=lambda a, b: where(equal(a, a), where(less_equal(a, b), a, b), a), chooses=True,
)  # fmt: skip


def _clip(a: float, low: float, high: float) -> float:
    return _minimum(_maximum(a, low), high)


def _clip_gradients(y: Any, a: Any, low: Any, high: Any) -> tuple[Any, ...]:
    above = where(less(high, a), 1.0, less(high, low))  # where the ends are crossed, high wins
    below = where(above, 0.0, less(a, low))
    return where(less_equal(low, a), less_equal(a, high), 0.0), below, above


clip: Op = row(
    "clip", "clip", 3, _clip, _clip_gradients,
    "a, but low where it is below low, and high where it is above high",
    sample=((-3.0, 3.0), (-2.0, -1.0), (1.0, 2.0)),
    formula=lambda a, low, high: minimum(maximum(a, low), high), chooses=True,
)  # fmt: skip

# --- signs and whole numbers: flat between their jumps ------------------------------------------------


def _sign(a: float) -> float:
    return float((a > 0.0) - (a < 0.0))


def _step(a: float) -> float:
    return a if a != a else (1.0 if a >= 0.0 else -1.0)


def _floor(a: float) -> float:
    return float(math.floor(a)) if math.isfinite(a) else a


def _ceil(a: float) -> float:
    return float(math.ceil(a)) if math.isfinite(a) else a


def _round(a: float) -> float:
    return float(round(a)) if math.isfinite(a) else a


sign: Op = row(
    "sign", "sign", 1, _sign, _flat, "-1, 0 or 1; 0 for nan, as in torch", chooses=True,
    formula=lambda a: where(less(0.0, a), 1.0, where(less(a, 0.0), -1.0, 0.0)),
)  # fmt: skip
step: Op = row(
    "step", "step", 1, _step, _flat, "the notes' step function: 1 if a >= 0 else -1", chooses=True,
    formula=lambda a: where(less_equal(0.0, a), 1.0, where(less(a, 0.0), -1.0, a)),
)  # fmt: skip
floor: Op = row("floor", "⌊⌋", 1, _floor, _flat, "the largest whole number <= a", chooses=True)
ceil: Op = row("ceil", "⌈⌉", 1, _ceil, _flat, "the smallest whole number >= a", chooses=True)
round_: Op = row(
    "round", "round", 1, _round, _flat,
    "the nearest whole number; halves go to the even one", chooses=True,
)  # fmt: skip
detach: Op = row(
    "detach", "cut", 1, lambda a: a, _flat, "a, but no gradient goes back through it",
    formula=lambda a: a, chooses=True,
)  # fmt: skip


def _relu_gradients(y: Any, a: Any) -> tuple[Any, ...]:
    if type(a) is float:  # as below, without two calls: half of all neurons come by here
        return (0.0,) if a <= 0.0 else (1.0,)
    return (where(less_equal(a, 0.0), 0.0, 1.0),)


abs_: Op = row("abs", "abs", 1, math.fabs, lambda y, a: (sign(a),), "the absolute value |a|")
relu: Op = row(
    "relu", "ReLU", 1, lambda a: 0.0 if a <= 0.0 else a, _relu_gradients,
    "the rectified linear unit: a if a > 0 else 0",
    formula=lambda a: where(less_equal(a, 0.0), 0.0, a), chooses=True,
)  # fmt: skip

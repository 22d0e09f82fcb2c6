"""Rows of the table with any number of operands: one node instead of a chain (layer 0)."""

from __future__ import annotations

import math
import operator
import sys
from collections.abc import Callable, Sequence
from functools import reduce
from typing import Any

from tinygrad_edu.engine.choice import abs_, detach, equal, less, where
from tinygrad_edu.engine.elementary import exp, sqrt
from tinygrad_edu.engine.operation import Op, row

# From Python 3.12 on the built-in sum() compensates rounding; results must not depend on the version.
_add_up: Callable[..., float] = (
    sum
    if sys.version_info < (3, 12)
    else lambda terms, start=0.0: reduce(operator.add, terms, start)
)


def _dot(*operands: float) -> float:
    n = len(operands) // 2
    start = operands[-1] if len(operands) % 2 else 0.0
    return _add_up(map(operator.mul, operands[:n], operands[n:]), start)


def _dot_gradients(y: Any, *operands: Any) -> tuple[Any, ...]:
    n = len(operands) // 2
    return (*operands[n : 2 * n], *operands[:n], *(1.0,) * (len(operands) % 2))


sum_: Op = row(
    "sum", "Σ", None, lambda *terms: _add_up(terms, 0.0), lambda y, *terms: (1.0,) * len(terms),
    "the sum of all operands, from left to right",
)  # fmt: skip
dot: Op = row(
    "dot", "·", None, _dot, _dot_gradients,
    "a_1 b_1 + ... + a_n b_n for operands (a_1..a_n, b_1..b_n); an odd last operand is the start of the sum",
)  # fmt: skip


def _max(*operands: float) -> float:
    return next((a for a in operands if a != a), max(operands))


def _max_gradients(y: Any, *operands: Any) -> tuple[Any, ...]:
    largest = [equal(a, y) for a in operands]
    ties = sum_(*largest)  # 0 if there is a nan, which is not even equal to itself
    rest = where(equal(ties, 0.0), math.nan, 0.0)
    share = 1.0 / where(equal(ties, 0.0), 1.0, ties)
    return tuple(where(here, share, rest) for here in largest)


max_: Op = row("max", "max", None, _max, _max_gradients, "the largest operand", chooses=True)
take: Op = row(
    "take", "take", None, lambda index, *values: values[int(index)],
    lambda y, index, *values: (0.0, *(equal(index, float(i)) for i in range(len(values)))),
    "the operand that the first operand, an integer from 0, points at", chooses=True,
)  # fmt: skip


def _logsumexp(*operands: float) -> float:
    top = _max(*operands)
    if math.isinf(top) or top != top:
        return top
    return top + math.log(_add_up([math.exp(a - top) for a in operands]))


def _logsumexp_gradients(y: Any, *operands: Any) -> tuple[Any, ...]:
    # 1. The probabilities do not change if the largest operand is subtracted from all. The result
    #    itself would be too coarse for that: log(2) is lost in 1e16 + log(2).
    top = detach(max_(*operands))
    shifted = [exp(a - top) for a in operands]
    # 2. They add up to 1. An infinite largest operand leaves nothing to divide by.
    total = where(less(abs_(top), math.inf), sum_(*shifted), 1.0)
    return tuple(e / total for e in shifted)


logsumexp: Op = row(
    "logsumexp", "lse", None, _logsumexp, _logsumexp_gradients,
    "log(e^a_1 + ... + e^a_n) without overflow",
    taught=lambda y, *operands: tuple(exp(a - y) for a in operands),
)  # fmt: skip


def less_the_largest(logits: Sequence[Any]) -> list[Any]:
    """Subtract the largest from all, which a softmax does not notice; no gradient goes there.

    The normaliser, ``logsumexp``, will not do: log(2) is lost in 1e16 + log(2).

    >>> less_the_largest([1e16, 1.0])
    [0.0, -1e+16]
    """
    largest = detach(max_(*logits))
    return [logit - largest for logit in logits]


def _norm(*operands: Any) -> Any:
    """Scale by the largest, so that no square overflows."""
    top = max_(*[abs_(a) for a in operands])
    usual = less(0.0, top) * less(top, math.inf)
    scale = where(usual, top, 1.0)
    ratios = [where(usual, a, 0.0) / scale for a in operands]
    return where(usual, scale * sqrt(sum_(*[r * r for r in ratios])), top)


def _norm_gradients(y: Any, *operands: Any) -> tuple[Any, ...]:
    origin = equal(y, 0.0)  # there torch says 0
    length = where(origin, 1.0, y)
    return tuple(where(origin, 0.0, a / length) for a in operands)


norm: Op = row(
    "norm", "‖‖", None, _norm, _norm_gradients, "sqrt(a_1^2 + ... + a_n^2) without overflow",
    formula=_norm, taught=lambda y, *operands: tuple(a / y for a in operands),
)  # fmt: skip

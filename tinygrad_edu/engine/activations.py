"""Rows of the table: activations of neurons and their kin (layer 0; ``ops.py`` says what a row is).

Sources: the notes, 'Logistic Regression' for the sigmoid, and 'Multi-layer Feedforward Neural
Networks' for sigmoid and ReLU (``relu`` itself stands with the operations that choose); Hendrycks
and Gimpel (2016) for GELU and SiLU; Clevert and others (2015) for ELU.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

from tinygrad_edu.engine.choice import abs_, less, less_equal, where
from tinygrad_edu.engine.elementary import exp, expm1, log1p, sigmoid_slope
from tinygrad_edu.engine.operation import FAMILIES, Op, row
from tinygrad_edu.engine.special import erfc, gaussian


def _sigmoid(a: float) -> float:
    e = math.exp(-abs(a))  # never overflows
    return (e if a < 0.0 else 1.0) / (1.0 + e)


sigmoid: Op = row(
    "sigmoid", "σ", 1, _sigmoid, lambda y, a: (sigmoid_slope(a),), "the logistic function 1 / (1 + e^-a)",
    formula=lambda a: where(less(a, 0.0), exp(-abs_(a)), 1.0) / (1.0 + exp(-abs_(a))),
    taught=lambda y, a: (y * (1.0 - y),),
)  # fmt: skip
log_sigmoid: Op = row(
    "log_sigmoid", "logσ", 1, lambda a: (a if a < 0.0 else 0.0) - math.log1p(math.exp(-abs(a))),
    lambda y, a: (sigmoid(-a),), "log(sigmoid(a)) without underflow",
    formula=lambda a: where(less(a, 0.0), a, 0.0) - log1p(exp(-abs_(a))),
)  # fmt: skip
softplus: Op = row(
    "softplus", "softplus", 1, lambda a: (0.0 if a < 0.0 else a) + math.log1p(math.exp(-abs(a))),
    lambda y, a: (sigmoid(a),), "log(1 + e^a), a smooth ReLU",
    formula=lambda a: where(less(a, 0.0), 0.0, a) + log1p(exp(-abs_(a))),
)  # fmt: skip
silu: Op = row(
    "silu", "SiLU", 1, lambda a: a * _sigmoid(a), lambda y, a: (sigmoid(a) + a * sigmoid_slope(a),),
    "a sigmoid(a), also called swish", formula=lambda a: a * sigmoid(a),
)  # fmt: skip

_ROOT_HALF, _PHI_0 = math.sqrt(0.5), 1.0 / math.sqrt(2.0 * math.pi)
gelu: Op = row(
    "gelu", "GELU", 1, lambda a: a * (0.5 * math.erfc(a * -_ROOT_HALF)),
    lambda y, a: (0.5 * erfc(a * -_ROOT_HALF) + _PHI_0 * a * gaussian(a, 0.5),),
    "a times the probability that a standard normal number is below a",
    formula=lambda a: a * (0.5 * erfc(a * -_ROOT_HALF)),
    taught=lambda y, a: (0.5 * erfc(a * -_ROOT_HALF) + _PHI_0 * a * exp(-a * a * 0.5),),
)  # fmt: skip


@lru_cache(maxsize=64)
def leaky_relu_with(slope: float) -> Op:
    """The operation "a if a > 0 else slope * a" for a constant slope, which its rule captures.

    >>> leaky_relu_with(0.1)(-2.0)
    -0.2
    """
    return Op(
        "leaky_relu", "LReLU", 1, lambda a: a if a > 0.0 else slope * a,
        lambda y, a: (where(less(0.0, a), 1.0, slope),), f"a if a > 0 else {slope:g} * a", parameter=slope,
        formula=lambda a: where(less(0.0, a), a, slope * a), chooses=True,
    )  # fmt: skip


@lru_cache(maxsize=64)
def elu_with(alpha: float) -> Op:
    """The operation "a if a > 0 else alpha * (e^a - 1)" for a constant alpha.

    >>> elu_with(1.0)(0.5)
    0.5
    """

    def formula(a: Any) -> Any:
        return where(less(0.0, a), a, alpha * expm1(where(less(0.0, a), 0.0, a)))

    def rule(y: Any, a: Any) -> tuple[Any, ...]:
        low = less_equal(a, 0.0)
        return (where(low, alpha * exp(where(low, a, 0.0)), 1.0),)

    return Op(
        "elu", "ELU", 1, lambda a: a if a > 0.0 else alpha * math.expm1(a), rule,
        f"a if a > 0 else {alpha:g} * (e^a - 1)", parameter=alpha, formula=formula,
        taught=lambda y, a: (where(less(0.0, a), 1.0, alpha * exp(a)),),
    )  # fmt: skip


FAMILIES.update(leaky_relu=leaky_relu_with, elu=elu_with)

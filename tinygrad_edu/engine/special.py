"""Rows of the table: the error function, the gamma function and their kin (layer 0).

Sources: Euler-Maclaurin summation for the digamma and polygamma functions (Abramowitz and Stegun,
6.3.18 and 6.4.11), with the reflection formula 6.3.7 for negative numbers.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

from tinygrad_edu.engine.choice import abs_, equal, less, round_, where
from tinygrad_edu.engine.elementary import exp, log1p, power, sin, tan
from tinygrad_edu.engine.operation import FAMILIES, Op, lookup, row

_SQUARE_BITS = 2.0**19  # so many bits behind the point: their square is exact up to 40


def gaussian(a: Any, scale: float = 1.0) -> Any:
    """Return ``exp(-scale * a**2)`` for a scale of 1 or 1/2, without what rounding a^2 would cost.

    With a = h + r and few bits in h, ``a^2 = h^2 + (a - h)(a + h)``, where h^2 is exact.

    >>> gaussian(26.1)
    1.426448125651665e-296
    """
    near = less(abs_(a), 40.0)  # beyond, the result is 0
    x = where(near, a, 0.0)
    head = round_(x * _SQUARE_BITS) / _SQUARE_BITS  # no gradient passes: any h gives the same
    fine = exp(-scale * (head * head)) * exp(scale * ((head - x) * (head + x)))
    return where(near, fine, exp(-scale * (a * a)))


_ERF_SLOPE = 2.0 / math.sqrt(math.pi)
erf: Op = row(
    "erf", "erf", 1, math.erf, lambda y, a: (_ERF_SLOPE * gaussian(a),), "the error function",
    taught=lambda y, a: (_ERF_SLOPE * exp(-(a * a)),),
)  # fmt: skip
erfc: Op = row(
    "erfc", "erfc", 1, math.erfc, lambda y, a: (-_ERF_SLOPE * gaussian(a),),
    "1 - erf(a), accurate where that is small", taught=lambda y, a: (-_ERF_SLOPE * exp(-(a * a)),),
)  # fmt: skip

# --- the gamma function ---------------------------------------------------------------------------------

# Bernoulli numbers B_2, B_4, ...
_BERNOULLI = (1 / 6, -1 / 30, 1 / 42, -1 / 30, 5 / 66, -691 / 2730, 7 / 6, -3617 / 510)
_ROOT = (1.4616321449683622, 9.549995429965697e-17)  # where digamma is 0, in two parts
_TERMS = 10  # so many terms are summed one by one


def _digamma(a: Any) -> Any:
    """Return the digamma function as (x - r) times a sum of terms of one sign; r is its root."""
    positive = less(0.0, a)
    infinite = equal(a, math.inf)
    x = where(positive, where(infinite, 1.0, a), 1.0 - a)
    d = (x - _ROOT[0]) - _ROOT[1]
    # 1. sum of 1 / (r + k) - 1 / (x + k)
    total = 0.0
    for k in reversed(range(_TERMS)):
        total = total + d / (x + float(k)) * (1.0 / (_ROOT[0] + k))
    # 2. The rest: log z - 1 / 2z - sum of B_2k / (2k z^2k), at z = x + n minus that at r + n
    z, z_0 = x + float(_TERMS), _ROOT[0] + _TERMS
    q, q_0 = power(2.0)(1.0 / z), 1.0 / z_0**2
    slope, value = 0.0, 0.0  # of the polynomial in 1 / z^2 without its first power: from q_0 to q
    for k in reversed(range(len(_BERNOULLI))):
        slope, value = slope * q + value, value * q_0 + _BERNOULLI[k] / (2 * k + 2)
    slope = slope * q + value
    near_root = total + log1p(d / z_0) + (d / z) * (0.5 / z_0 + (1.0 + z_0 / z) * q_0 * slope)
    # 3. Negative numbers by reflection
    turn = where(positive, 0.5, a - round_(a))
    reflected = near_root - math.pi / tan(math.pi * where(equal(a, a), turn, 0.5))
    return where(infinite, a, where(positive, near_root, where(equal(a, a), reflected, a)))


def _digamma_gradients(y: Any, a: Any) -> tuple[Any, ...]:
    positive = less(0.0, a)
    here = lookup("polygamma", 1.0)(where(positive, a, 1.0 - a))
    turn = where(positive, 0.5, a - round_(a))
    return (where(positive, here, power(2.0)(math.pi / sin(math.pi * turn)) - here),)


_POLES: dict[str, Any] = {
    "requires": "needs an operand other than 0, -1, -2, ...", "sample": ((0.3, 3.0),),
}  # fmt: skip
lgamma: Op = row(
    "lgamma", "lgamma", 1, math.lgamma, lambda y, a: (digamma(a),), "log |gamma(a)|", **_POLES
)  # fmt: skip
digamma: Op = row(
    "digamma", "ψ", 1, _digamma, _digamma_gradients, "the derivative of lgamma", formula=_digamma,
    **_POLES, taught=lambda y, a: (lookup("polygamma", 1.0)(a),),
)  # fmt: skip


@lru_cache(maxsize=64)
def polygamma_of(order: float) -> Op:
    """The derivative of ``digamma``, taken ``order`` times (1 or more), for operands > 0.

    Raises:
        ValueError: If ``order`` is not a whole number from 1 to 100.

    >>> abs(polygamma_of(1.0)(1.0) - math.pi**2 / 6) < 1e-15
    True
    """
    n = int(order)
    if n != order or not 1 <= n <= 100:
        raise ValueError(f"polygamma: expected a whole order from 1 to 100, got {order!r}")
    terms = _TERMS + n
    sign = -1.0 if n % 2 == 0 else 1.0
    many, factorial = power(n + 1.0), float(math.factorial(n))
    tail = [
        b * math.factorial(2 * k + n + 1) / math.factorial(2 * k + 2)
        for k, b in enumerate(_BERNOULLI)
    ]

    def formula(a: Any) -> Any:
        total = 0.0
        for k in reversed(range(terms)):
            total = total + many(1.0 / (a + float(k)))
        r = 1.0 / (a + float(terms))
        q = r * r
        series = 0.0
        for coefficient in reversed(tail):
            series = series * q + coefficient
        rest = power(float(n))(r) * (factorial / n + (factorial / 2) * r + series * q)
        return where(less(0.0, a), sign * (factorial * total + rest), math.nan)

    def forward(a: float) -> float:
        if a <= 0.0:
            raise ValueError
        return float(formula(a))

    return Op(
        "polygamma", f"ψ{n}", 1, forward, lambda y, a: (polygamma_of(order + 1.0)(a),),
        f"the derivative number {n} of digamma", parameter=order, formula=formula,
        requires="needs an operand > 0", sample=((0.3, 3.0),),
    )  # fmt: skip


FAMILIES.update(polygamma=polygamma_of)

"""Derivatives of the table's one-operand operations to 60 digits, by mpmath and closed forms.

``SLOPES[name]`` holds the first and the second derivative; both are written without subtractions
that cancel, or at a precision that does not mind.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import mpmath
from mpmath import mp, mpf

DIGITS = 60


def _sech(x: Any) -> Any:
    e = mp.exp(-abs(x))
    return 2 * e / (1 + e * e)


def _sigmoid(x: Any) -> Any:
    return 1 / (1 + mp.exp(-x)) if x > 0 else mp.exp(x) / (1 + mp.exp(x))


def _slope(x: Any) -> Any:
    return _sech(x / 2) ** 2 / 4


def _phi(x: Any) -> Any:
    return mp.exp(-x * x / 2) / mp.sqrt(2 * mp.pi)


def _big_phi(x: Any) -> Any:
    return mp.erfc(-x / mp.sqrt(2)) / 2 if abs(x) < 1e4 else mpf(x > 0)


Slopes = tuple[Callable[[Any], Any], Callable[[Any], Any]]
SLOPES: dict[str, Slopes] = {
    "neg": (lambda x: mpf(-1), lambda x: mpf(0)),
    "degrees": (lambda x: 180 / mp.pi, lambda x: mpf(0)),
    "radians": (lambda x: mp.pi / 180, lambda x: mpf(0)),
    "abs": (lambda x: mp.sign(x), lambda x: mpf(0)),
    "relu": (lambda x: mpf(x > 0), lambda x: mpf(0)),
    "sqrt": (lambda x: 1 / (2 * mp.sqrt(x)), lambda x: -1 / (4 * x * mp.sqrt(x))),
    "exp": (mp.exp, mp.exp),
    "expm1": (mp.exp, mp.exp),
    "exp2": (lambda x: mpf(2) ** x * mp.log(2), lambda x: mpf(2) ** x * mp.log(2) ** 2),
    "log": (lambda x: 1 / x, lambda x: -1 / x**2),
    "log2": (lambda x: 1 / x / mp.log(2), lambda x: -1 / x**2 / mp.log(2)),
    "log10": (lambda x: 1 / x / mp.log(10), lambda x: -1 / x**2 / mp.log(10)),
    "log1p": (lambda x: 1 / (1 + x), lambda x: -1 / (1 + x) ** 2),
    "log1mexp": (
        lambda x: mp.exp(x) / mp.expm1(x),
        lambda x: -mp.exp(x) / mp.expm1(x) ** 2,
    ),
    "sin": (mp.cos, lambda x: -mp.sin(x)),
    "cos": (lambda x: -mp.sin(x), lambda x: -mp.cos(x)),
    "tan": (lambda x: mp.sec(x) ** 2, lambda x: 2 * mp.sec(x) ** 2 * mp.tan(x)),
    "asin": (lambda x: 1 / mp.sqrt((1 - x) * (1 + x)), lambda x: x / ((1 - x) * (1 + x)) ** 1.5),
    "acos": (lambda x: -1 / mp.sqrt((1 - x) * (1 + x)), lambda x: -x / ((1 - x) * (1 + x)) ** 1.5),
    "atan": (lambda x: 1 / (1 + x * x), lambda x: -2 * x / (1 + x * x) ** 2),
    "sinh": (mp.cosh, mp.sinh),
    "cosh": (mp.sinh, mp.cosh),
    "tanh": (lambda x: _sech(x) ** 2, lambda x: -2 * mp.tanh(x) * _sech(x) ** 2),
    "asinh": (lambda x: 1 / mp.sqrt(1 + x * x), lambda x: -x / (1 + x * x) ** 1.5),
    "acosh": (lambda x: 1 / mp.sqrt((x - 1) * (x + 1)), lambda x: -x / ((x - 1) * (x + 1)) ** 1.5),
    "atanh": (lambda x: 1 / ((1 - x) * (1 + x)), lambda x: 2 * x / ((1 - x) * (1 + x)) ** 2),
    "erf": (
        lambda x: 2 * mp.exp(-x * x) / mp.sqrt(mp.pi),
        lambda x: -4 * x * mp.exp(-x * x) / mp.sqrt(mp.pi),
    ),
    "erfc": (
        lambda x: -2 * mp.exp(-x * x) / mp.sqrt(mp.pi),
        lambda x: 4 * x * mp.exp(-x * x) / mp.sqrt(mp.pi),
    ),
    "sigmoid": (_slope, lambda x: -_slope(x) * mp.tanh(x / 2)),
    "sigmoid_slope": (
        lambda x: -_slope(x) * mp.tanh(x / 2),
        lambda x: _slope(x) * (mp.tanh(x / 2) ** 2 - _slope(x) * 2),
    ),
    "log_sigmoid": (lambda x: _sigmoid(-x), lambda x: -_slope(x)),
    "softplus": (_sigmoid, _slope),
    "silu": (
        lambda x: _sigmoid(x) + x * _slope(x),
        lambda x: _slope(x) * (2 - x * mp.tanh(x / 2)),
    ),
    "gelu": (lambda x: _big_phi(x) + x * _phi(x), lambda x: _phi(x) * (2 - x * x)),
    "lgamma": (lambda x: mp.digamma(x), lambda x: mp.psi(1, x)),
    "digamma": (lambda x: mp.psi(1, x), lambda x: mp.psi(2, x)),
    **dict.fromkeys(
        ("step", "sign", "floor", "ceil", "round", "detach"), (lambda x: mpf(0), lambda x: mpf(0))
    ),
}
# where a derivative crosses 0 the difference of two terms is left: points on both sides of it
ROOTS = {
    "sigmoid_slope": (0.0, 1.3169578969248166),
    "silu": (1.2784645427610738, 2.399357280520568),
    "lgamma": (0.5040830082644554,),
    "gelu": (0.7517915246935645, 2.0**0.5),
}


def slopes(name: str, x: float) -> tuple[float, float]:
    """The first and second derivative, rounded once; nan where there is none."""
    with mpmath.workdps(DIGITS):
        found = []
        for function in SLOPES[name]:
            try:
                value = function(mpf(x))
            except (ZeroDivisionError, ValueError):
                value = mpf("nan")
            found.append(float("nan") if isinstance(value, mpmath.mpc) else float(value))
    return found[0], found[1]

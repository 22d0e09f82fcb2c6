"""Rows of the table: arithmetic, powers, logarithms, angles (layer 0; ``ops.py`` says what a row is).

A rule stays accurate over the whole range, also when it is differentiated again. So it may not
subtract what nearly cancels (``1 - y * y`` for ``tanh``), nor form a square that overflows where the
derivative does not. Where that makes a rule long, ``taught`` gives the short form for reading.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from tinygrad_edu.engine.choice import abs_, equal, floor, less, less_equal, minimum, sign, where
from tinygrad_edu.engine.operation import FAMILIES, Op, row

# --- arithmetic -------------------------------------------------------------------------------------

add: Op = row("add", "+", 2, operator.add, lambda y, a, b: (1.0, 1.0), "a + b")
sub: Op = row("sub", "-", 2, operator.sub, lambda y, a, b: (1.0, -1.0), "a - b")
mul: Op = row("mul", "*", 2, operator.mul, lambda y, a, b: (b, a), "a * b")
div: Op = row(
    "div", "/", 2, operator.truediv, lambda y, a, b: (1.0 / b, -y / b), "a / b",
    requires="needs a divisor other than 0", sample=((-3.0, 3.0), (0.5, 3.0)),
)  # fmt: skip
neg: Op = row("neg", "-", 1, operator.neg, lambda y, a: (-1.0,), "-a")


def _fmod(a: float, b: float) -> float:
    if b == 0.0:
        raise ZeroDivisionError
    return math.nan if math.isinf(a) else math.fmod(a, b)


def _mod(a: Any, b: Any) -> Any:
    """C's remainder has the sign of a, Python's that of b."""
    rest = fmod(a, b)
    return where(less(where(less(b, 0.0), -rest, rest), 0.0), rest + b, rest)


def _whole(a: Any, b: Any) -> Any:
    """Return the floor of a / b, also where a quotient below 0 rounds to 0."""
    below = where(less(a, 0.0), less(0.0, b), where(less(0.0, a), less(b, 0.0), 0.0))
    return where(below, minimum(floor(a / b), -1.0), floor(a / b))


fmod: Op = row(
    "fmod", "fmod", 2, _fmod,
    lambda y, a, b: (1.0, where(less(a / b, 0.0), floor(-a / b), -floor(a / b))),
    "the remainder of a / b with the sign of a, as in C; by b: minus the whole part of a / b",
    requires="needs a divisor other than 0", sample=((6.2, 6.8), (2.3, 3.0)),
)  # fmt: skip
mod: Op = row(
    "mod", "%", 2, operator.mod, lambda y, a, b: (1.0, -_whole(a, b)),
    "a % b, with the sign of b, as in Python; by b: minus the whole part of a / b",
    requires="needs a divisor other than 0", sample=((-6.8, -6.2), (2.3, 3.0)), formula=_mod,
)  # fmt: skip
degrees: Op = row(
    "degrees", "°", 1, math.degrees, lambda y, a: (180.0 / math.pi,), "a from radians to degrees",
    formula=lambda a: a * (180.0 / math.pi),
)  # fmt: skip
radians: Op = row(
    "radians", "rad", 1, math.radians, lambda y, a: (math.pi / 180.0,), "a from degrees to radians",
    formula=lambda a: a * (math.pi / 180.0),
)  # fmt: skip

# --- powers -------------------------------------------------------------------------------------------


def _pow(a: float, b: float) -> float:
    if a < 0.0 < b % 1.0:  # Python would answer with a complex number
        raise ValueError
    return a**b  # type: ignore[no-any-return]


def _pow_gradients(y: Any, a: Any, b: Any) -> tuple[Any, ...]:
    # da: b a^(b-1). Below 1/2 the number b - 1 is rounded; there it is b y / a, unless a is 0 or
    # infinite. Neither form loses the derivative by b where b is 0, which is 1 / a.
    quotient = less(-math.inf, b) * less(b, 0.5) * less(0.0, abs_(a)) * less(abs_(a), math.inf)
    no_power = where(quotient, 1.0, equal(b, 0.0))
    by_base = where(
        quotient,
        b * y / where(quotient, a, 1.0),
        where(equal(b, 0.0), 0.0, b * pow_(where(no_power, 1.0, a), where(no_power, 1.0, b - 1.0))),
    )
    # db: y log a; its limit at a = 0; nan below, where it has none.
    log_a = log(where(less(0.0, a), a, 1.0))
    at_zero = where(
        equal(a, 0.0), where(less_equal(0.0, b), 0.0, where(less(b, 0.0), -math.inf, b)), math.nan
    )
    return by_base, where(less(a, 0.0), math.nan, where(less(0.0, a), y * log_a, at_zero))


_POW_DOMAIN = "needs a base >= 0, or an integer exponent"
pow_: Op = row(
    "pow", "^", 2, _pow, _pow_gradients, "a ** b", requires=_POW_DOMAIN,
    sample=((0.5, 3.0), (-3.0, 3.0)), taught=lambda y, a, b: (b * pow_(a, b - 1.0), y * log(a)),
)  # fmt: skip


@lru_cache(maxsize=4096)
def power(exponent: float) -> Op:
    """The operation ``a ** exponent`` for a constant exponent, which its rule captures.

    >>> power(3.0)(2.0)
    8.0
    """
    n = exponent
    rules: dict[float, Callable[..., tuple[Any, ...]]] = {
        0.0: lambda y, a: (0.0,),
        1.0: lambda y, a: (1.0,),
        2.0: lambda y, a: (2.0 * a,),
    }
    taught = rules.get(n, lambda y, a: (n * power(n - 1.0)(a),))
    rounded = (n - 1.0) + 1.0 != n  # then n - 1 is another number than the one meant
    return Op(
        "power", f"^{n:g}", 1, lambda a: _pow(a, n),
        (lambda y, a: _pow_gradients(y, a, n)[:1]) if rounded else taught, f"a ** {n:g}",
        requires=_POW_DOMAIN, sample=((0.5, 3.0),), parameter=n, chooses=n == 0.0, taught=taught,
    )  # fmt: skip


@lru_cache(maxsize=4096)
def exponential(base: float) -> Op:
    """The operation ``base ** a`` for a constant base, which its rule captures.

    >>> exponential(2.0)(3.0)
    8.0
    """
    if base > 0.0:
        log_base = math.log(base)
        rule = lambda y, a: (y * log_base,)  # noqa: E731
    else:
        rule = lambda y, a: (0.0 * y if base == 0.0 else math.nan,)  # noqa: E731
    return Op(
        "exponential", f"{base:g}^", 1, lambda a: _pow(base, a), rule, f"{base:g} ** a",
        requires=_POW_DOMAIN, parameter=base,
    )  # fmt: skip


FAMILIES.update(power=power, exponential=exponential)
sqrt: Op = row(
    "sqrt", "sqrt", 1, math.sqrt, lambda y, a: (0.5 / y,), "the square root",
    requires="needs an operand >= 0", sample=((0.3, 3.0),),
)  # fmt: skip

# --- exponentials and logarithms ----------------------------------------------------------------------


def _log1mexp(a: float) -> float:
    if a >= 0.0:
        raise ValueError
    return math.log(-math.expm1(a)) if a > -0.7 else math.log1p(-math.exp(a))


def _log1mexp_formula(a: Any) -> Any:
    near = less(-0.7, a)
    return where(
        near, log(-expm1(where(near, a, -1.0))), log1p(-exp(where(near, -1.0, a)))
    )  # each form gets an operand that it can take


def _xlogy(a: Any, b: Any) -> Any:
    return where(equal(a, 0.0), where(equal(b, b), 0.0, b), a * log(where(equal(a, 0.0), 1.0, b)))


def _xlogy_gradients(y: Any, a: Any, b: Any) -> tuple[Any, ...]:
    b = where(equal(a, 0.0) * less_equal(b, 0.0), 1.0, b)  # 0 log 0 is 0, and flat
    return log(b), a / b


_POSITIVE: dict[str, Any] = {"requires": "needs an operand > 0", "sample": ((0.3, 3.0),)}
_LN_2, _LN_10 = math.log(2.0), math.log(10.0)
exp: Op = row("exp", "exp", 1, math.exp, lambda y, a: (y,), "e ** a")
exp2: Op = row(
    "exp2", "2^", 1, lambda a: 2.0**a, lambda y, a: (y * _LN_2,), "2 ** a",
    formula=lambda a: pow_(2.0, a),
)  # fmt: skip
expm1: Op = row(
    "expm1", "expm1", 1, math.expm1, lambda y, a: (exp(a),), "e ** a - 1, accurate near 0"
)
log: Op = row(
    "log", "log", 1, math.log, lambda y, a: (1.0 / a,), "the natural logarithm", **_POSITIVE
)  # fmt: skip
log1p: Op = row(
    "log1p", "log1p", 1, math.log1p, lambda y, a: (1.0 / (1.0 + a),), "log(1 + a), accurate near 0",
    requires="needs an operand > -1", sample=((-0.7, 3.0),),
)  # fmt: skip
log2: Op = row(
    "log2", "log2", 1, math.log2, lambda y, a: (1.0 / _LN_2 / a,), "the logarithm to base 2", **_POSITIVE
)  # fmt: skip
log10: Op = row(
    "log10", "log10", 1, math.log10, lambda y, a: (1.0 / _LN_10 / a,), "the logarithm to base 10",
    **_POSITIVE,
)  # fmt: skip
log1mexp: Op = row(
    "log1mexp", "log1mexp", 1, _log1mexp, lambda y, a: (exp(a) / expm1(a),),
    "log(1 - e^a) for a < 0, without cancellation", requires="needs an operand < 0",
    sample=((-3.0, -0.1),), formula=_log1mexp_formula,
)  # fmt: skip
xlogy: Op = row(
    "xlogy", "xlogy", 2, _xlogy, _xlogy_gradients, "a log(b), and 0 where a is 0",
    requires="needs a second operand > 0, unless the first is 0", sample=((-3.0, 3.0), (0.3, 3.0)),
    formula=_xlogy, taught=lambda y, a, b: (log(b), a / b),
)  # fmt: skip

# --- trigonometry and hyperbolic functions --------------------------------------------------------------


def _periodic(function: Callable[[float], float]) -> Callable[[float], float]:
    """Python's ``math`` refuses infinite angles; IEEE and torch answer nan."""
    return lambda a: math.nan if math.isinf(a) else function(a)


def _one_minus_square(a: Any) -> Any:
    """Return 1 - a^2: as a product near 1, and near 0 such that its derivative is -2 a."""
    return where(less(abs_(a), 0.5), 1.0 - a * a, (1.0 - a) * (1.0 + a))


def _atan_gradients(y: Any, a: Any) -> tuple[Any, ...]:
    """Return 1 / (1 + a^2); beyond 1 with r = 1 / a as r^2 / (1 + r^2), which cannot overflow."""
    near = less(abs_(a), 1.0)
    r = 1.0 / where(near, 1.0, a)
    q = where(near, a, r)
    return (where(near, 1.0, r * r) / (1.0 + q * q),)


sin: Op = row("sin", "sin", 1, _periodic(math.sin), lambda y, a: (cos(a),), "the sine")
cos: Op = row("cos", "cos", 1, _periodic(math.cos), lambda y, a: (-sin(a),), "the cosine")
tan: Op = row(
    "tan", "tan", 1, _periodic(math.tan), lambda y, a: (1.0 + y * y,), "the tangent",
    sample=((-1.2, 1.2),),
)  # fmt: skip
_UNIT: dict[str, Any] = {"requires": "needs an operand in [-1, 1]", "sample": ((-0.8, 0.8),)}
asin: Op = row(
    "asin", "asin", 1, math.asin, lambda y, a: (1.0 / sqrt(_one_minus_square(a)),), "the arc sine",
    **_UNIT, taught=lambda y, a: (1.0 / sqrt(1.0 - a * a),),
)  # fmt: skip
acos: Op = row(
    "acos", "acos", 1, math.acos, lambda y, a: (-1.0 / sqrt(_one_minus_square(a)),), "the arc cosine",
    **_UNIT, taught=lambda y, a: (-1.0 / sqrt(1.0 - a * a),),
)  # fmt: skip
atan: Op = row(
    "atan", "atan", 1, math.atan, _atan_gradients, "the arc tangent",
    taught=lambda y, a: (1.0 / (1.0 + a * a),),
)  # fmt: skip


def _atan2_gradients(y: Any, a: Any, b: Any) -> tuple[Any, ...]:
    radius = hypot(a, b)
    origin = equal(radius, 0.0)  # there torch says 0
    radius = where(origin, 1.0, radius)
    return where(origin, 0.0, b / radius / radius), where(origin, 0.0, -a / radius / radius)


def _of_radius(y: Any, a: Any, b: Any) -> Any:
    """Return a / y for y = hypot(a, b); its derivative is (b / y)^2 / y, also where a is nearly y."""
    if isinstance(y, float):
        return a / y
    near = less(abs_(b), abs_(a)) * less(abs_(a), math.inf)
    safe = where(near, a, 1.0)
    return where(near, sign(safe) / hypot(1.0, where(near, b, 0.0) / safe), a / y)


atan2: Op = row(
    "atan2", "atan2", 2, math.atan2, _atan2_gradients, "the angle of the point (b, a), in radians",
    sample=((0.5, 3.0), (-3.0, 3.0)),
    taught=lambda y, a, b: (b / (a * a + b * b), -a / (a * a + b * b)),
)  # fmt: skip
hypot: Op = row(
    "hypot", "hypot", 2, math.hypot, lambda y, a, b: (_of_radius(y, a, b), _of_radius(y, b, a)),
    "sqrt(a^2 + b^2) without overflow", sample=((0.5, 3.0), (-3.0, 3.0)),
    taught=lambda y, a, b: (a / y, b / y),
)  # fmt: skip


def _sigmoid_slope(a: float) -> float:
    e = math.exp(-abs(a))
    return e / ((1.0 + e) * (1.0 + e))


def _sigmoid_slope_formula(a: Any) -> Any:
    e = exp(-abs_(a))
    return e / ((1.0 + e) * (1.0 + e))


sigmoid_slope: Op = row(
    "sigmoid_slope", "σ'", 1, _sigmoid_slope, lambda y, a: (-y * tanh(0.5 * a),),
    "the derivative of the sigmoid, e^-a / (1 + e^-a)^2",
    formula=_sigmoid_slope_formula,
)  # fmt: skip


def _tanh_gradients(y: Any, a: Any) -> tuple[Any, ...]:
    if type(a) is float:  # as below, without the calls: many neurons come by here
        return (4.0 * _sigmoid_slope(2.0 * a),)
    return (4.0 * sigmoid_slope(2.0 * a),)


sinh: Op = row("sinh", "sinh", 1, math.sinh, lambda y, a: (cosh(a),), "the hyperbolic sine")
cosh: Op = row("cosh", "cosh", 1, math.cosh, lambda y, a: (sinh(a),), "the hyperbolic cosine")
tanh: Op = row(
    "tanh", "tanh", 1, math.tanh, _tanh_gradients,
    "the hyperbolic tangent", taught=lambda y, a: (1.0 - y * y,),
)  # fmt: skip
asinh: Op = row(
    "asinh", "asinh", 1, math.asinh, lambda y, a: (1.0 / hypot(1.0, a),), "the inverse of sinh",
    taught=lambda y, a: (1.0 / sqrt(1.0 + a * a),),
)  # fmt: skip
acosh: Op = row(
    "acosh", "acosh", 1, math.acosh, lambda y, a: (1.0 / (sqrt(a - 1.0) * sqrt(a + 1.0)),),
    "the inverse of cosh", requires="needs an operand >= 1", sample=((1.2, 3.0),),
    taught=lambda y, a: (1.0 / sqrt(a * a - 1.0),),
)  # fmt: skip
atanh: Op = row(
    "atanh", "atanh", 1, math.atanh, lambda y, a: (1.0 / _one_minus_square(a),),
    "the inverse of tanh", requires="needs an operand between -1 and 1", sample=((-0.8, 0.8),),
    taught=lambda y, a: (1.0 / (1.0 - a * a),),
)  # fmt: skip

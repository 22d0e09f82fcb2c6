"""The table of operations: what each one computes and what its derivative is.

This is the ground floor (layer 0). Everything else reads this table: the engine, the drawings,
the compiler. One row states one operation once:

``name``             the function's name, ``"mul"``
``symbol``           what a drawing writes into the circle, ``"*"``
``arity``            how many operands it takes; ``None`` means any number
``forward``          operands (floats) -> result (float)
``local_gradients``  ``(result, *operands)`` -> one partial derivative per operand

A local-gradient rule uses only arithmetic and other rows of the table, so the same rule works on

1. floats: the backward pass of ``Value.backward()``;
2. ``Value`` objects: gradients that can be differentiated again;
3. the compiler's symbols: the gradient program.

Sources: the notes, sections 'The Chain Rule' and 'The Backpropagation Algorithm' (every node needs
the partial derivative of its result by each operand); 'Logistic Regression' for the sigmoid and
``g' = g (1 - g)``; 'Multi-layer Feedforward Neural Networks' for step, sigmoid and ReLU.

**Edges.** Forward functions follow Python: outside the domain they raise ``ValueError``, division by
zero raises ``ZeroDivisionError``, ``exp``, ``**`` and their kin raise ``OverflowError``; ``+ - * /``
overflow to ``inf``. Infinities and nan that come in as data flow through as IEEE 754 (and torch) have
them. A rule may raise where the derivative is infinite (``sqrt`` at 0). At a kink the derivative is
torch's: 0 for ``abs`` and ``relu`` at 0, the slope for ``leaky_relu``, an even split between tied
operands of ``maximum``, ``minimum`` and ``max``.
"""

from __future__ import annotations

import math
import operator
import sys
from collections.abc import Callable
from functools import lru_cache, reduce
from typing import Any

from tinygrad_edu.engine.operation import FAMILIES as FAMILIES
from tinygrad_edu.engine.operation import TABLE as TABLE
from tinygrad_edu.engine.operation import Op


def _row(name: str, symbol: str, arity: int | None, *rest: Any, **options: Any) -> Op:
    op = Op(name, symbol, arity, *rest, **options)
    TABLE[name] = op
    return op


# --- comparisons and choice: 1.0 for true, 0.0 for false; their derivative is zero everywhere --------


def _flat(y: Any, *operands: Any) -> tuple[Any, ...]:
    return (0.0,) * len(operands)


def _where(condition: float, a: float, b: float) -> float:
    return a if condition else b


less: Op = _row("less", "<", 2, lambda a, b: float(a < b), _flat, "1 if a < b else 0")
less_equal: Op = _row(
    "less_equal", "<=", 2, lambda a, b: float(a <= b), _flat, "1 if a <= b else 0"
)
equal: Op = _row("equal", "=", 2, lambda a, b: float(a == b), _flat, "1 if a == b else 0")
where: Op = _row(
    "where", "where", 3, _where,
    lambda y, c, a, b: (0.0, where(c, 1.0, 0.0), where(c, 0.0, 1.0)),
    "a if condition else b; any condition but 0 is true",
)  # fmt: skip


# --- arithmetic -------------------------------------------------------------------------------------

add: Op = _row("add", "+", 2, operator.add, lambda y, a, b: (1.0, 1.0), "a + b")
sub: Op = _row("sub", "-", 2, operator.sub, lambda y, a, b: (1.0, -1.0), "a - b")
mul: Op = _row("mul", "*", 2, operator.mul, lambda y, a, b: (b, a), "a * b")
div: Op = _row(
    "div", "/", 2, operator.truediv, lambda y, a, b: (1.0 / b, -y / b), "a / b",
    requires="needs a divisor other than 0", sample=((-3.0, 3.0), (0.5, 3.0)),
)  # fmt: skip
neg: Op = _row("neg", "-", 1, operator.neg, lambda y, a: (-1.0,), "-a")
abs_: Op = _row("abs", "abs", 1, math.fabs, lambda y, a: (sign(a),), "the absolute value |a|")


def _pow(a: float, b: float) -> float:
    if a < 0.0 < b % 1.0:  # Python would answer with a complex number
        raise ValueError
    return a**b  # type: ignore[no-any-return]


def _pow_gradients(y: Any, a: Any, b: Any) -> tuple[Any, ...]:
    # da: b a^(b-1), and 0 where b is 0. db: y log a; its limit at a = 0; nan below, where it has none.
    by_base = b * where(equal(b, 0.0), 0.0, pow_(where(equal(b, 0.0), 1.0, a), b - 1.0))
    log_a = log(where(less(0.0, a), a, 1.0))
    at_zero = where(
        equal(a, 0.0), where(less_equal(0.0, b), 0.0, where(less(b, 0.0), -math.inf, b)), math.nan
    )
    return by_base, where(less(a, 0.0), math.nan, where(less(0.0, a), y * log_a, at_zero))


_POW_DOMAIN = "needs a base >= 0, or an integer exponent"
pow_: Op = _row(
    "pow", "^", 2, _pow, _pow_gradients, "a ** b", requires=_POW_DOMAIN,
    sample=((0.5, 3.0), (-3.0, 3.0)),
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
    rule = rules.get(n, lambda y, a: (n * power(n - 1.0)(a),))
    return Op(
        "power", f"^{n:g}", 1, lambda a: _pow(a, n), rule, f"a ** {n:g}",
        requires=_POW_DOMAIN, sample=((0.5, 3.0),), parameter=n,
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


# --- exponentials and logarithms ----------------------------------------------------------------------

exp: Op = _row("exp", "exp", 1, math.exp, lambda y, a: (y,), "e ** a")
expm1: Op = _row(
    "expm1", "expm1", 1, math.expm1, lambda y, a: (y + 1.0,), "e ** a - 1, accurate near 0"
)
_POSITIVE = "needs an operand > 0"
log: Op = _row(
    "log", "log", 1, math.log, lambda y, a: (1.0 / a,), "the natural logarithm",
    requires=_POSITIVE, sample=((0.3, 3.0),),
)  # fmt: skip
log1p: Op = _row(
    "log1p", "log1p", 1, math.log1p, lambda y, a: (1.0 / (1.0 + a),), "log(1 + a), accurate near 0",
    requires="needs an operand > -1", sample=((-0.7, 3.0),),
)  # fmt: skip
log2: Op = _row(
    "log2", "log2", 1, math.log2, lambda y, a: (1.0 / (a * math.log(2.0)),), "the logarithm to base 2",
    requires=_POSITIVE, sample=((0.3, 3.0),),
)  # fmt: skip
log10: Op = _row(
    "log10", "log10", 1, math.log10, lambda y, a: (1.0 / (a * math.log(10.0)),), "the logarithm to base 10",
    requires=_POSITIVE, sample=((0.3, 3.0),),
)  # fmt: skip
sqrt: Op = _row(
    "sqrt", "sqrt", 1, math.sqrt, lambda y, a: (0.5 / y,), "the square root",
    requires="needs an operand >= 0", sample=((0.3, 3.0),),
)  # fmt: skip


# --- trigonometry and hyperbolic functions --------------------------------------------------------------


def _periodic(function: Callable[[float], float]) -> Callable[[float], float]:
    """Python's ``math`` refuses infinite angles; IEEE and torch answer nan."""
    return lambda a: math.nan if math.isinf(a) else function(a)


sin: Op = _row("sin", "sin", 1, _periodic(math.sin), lambda y, a: (cos(a),), "the sine")
cos: Op = _row("cos", "cos", 1, _periodic(math.cos), lambda y, a: (-sin(a),), "the cosine")
tan: Op = _row(
    "tan",
    "tan",
    1,
    _periodic(math.tan),
    lambda y, a: (1.0 + y * y,),
    "the tangent",
    sample=((-1.2, 1.2),),
)
_UNIT: dict[str, Any] = {"requires": "needs an operand in [-1, 1]", "sample": ((-0.8, 0.8),)}
asin: Op = _row(
    "asin",
    "asin",
    1,
    math.asin,
    lambda y, a: (1.0 / sqrt((1.0 - a) * (1.0 + a)),),
    "the arc sine",
    **_UNIT,
)
acos: Op = _row(
    "acos",
    "acos",
    1,
    math.acos,
    lambda y, a: (-1.0 / sqrt((1.0 - a) * (1.0 + a)),),
    "the arc cosine",
    **_UNIT,
)
atan: Op = _row(
    "atan", "atan", 1, math.atan, lambda y, a: (1.0 / (1.0 + a * a),), "the arc tangent"
)


def _atan2_gradients(y: Any, a: Any, b: Any) -> tuple[Any, ...]:
    radius = hypot(a, b)
    radius = where(equal(radius, 0.0), 1.0, radius)  # at the origin torch says 0
    return b / radius / radius, -a / radius / radius


atan2: Op = _row(
    "atan2", "atan2", 2, math.atan2, _atan2_gradients, "the angle of the point (b, a), in radians",
    sample=((0.5, 3.0), (-3.0, 3.0)),
)  # fmt: skip
hypot: Op = _row(
    "hypot", "hypot", 2, math.hypot, lambda y, a, b: (a / y, b / y), "sqrt(a^2 + b^2) without overflow",
    sample=((0.5, 3.0), (-3.0, 3.0)),
)  # fmt: skip
sinh: Op = _row("sinh", "sinh", 1, math.sinh, lambda y, a: (cosh(a),), "the hyperbolic sine")
cosh: Op = _row("cosh", "cosh", 1, math.cosh, lambda y, a: (sinh(a),), "the hyperbolic cosine")
tanh: Op = _row("tanh", "tanh", 1, math.tanh, lambda y, a: (1.0 - y * y,), "the hyperbolic tangent")
erf: Op = _row(
    "erf",
    "erf",
    1,
    math.erf,
    lambda y, a: (2.0 / math.sqrt(math.pi) * exp(-(a * a)),),
    "the error function",
)


# --- activations ------------------------------------------------------------------------------------------


def _sigmoid(a: float) -> float:
    e = math.exp(-abs(a))  # never overflows
    return (e if a < 0.0 else 1.0) / (1.0 + e)


def _step(a: float) -> float:
    return a if a != a else (1.0 if a >= 0.0 else -1.0)


def _sign(a: float) -> float:
    return float((a > 0.0) - (a < 0.0))


def _relu_gradients(y: Any, a: Any) -> tuple[Any, ...]:
    if type(a) is float:  # as below, without two calls: half of all neurons come by here
        return (0.0,) if a <= 0.0 else (1.0,)
    return (where(less_equal(a, 0.0), 0.0, 1.0),)


sigmoid: Op = _row(
    "sigmoid", "σ", 1, _sigmoid, lambda y, a: (y * (1.0 - y),), "the logistic function 1 / (1 + e^-a)",
    formula=lambda a: where(less(a, 0.0), exp(-abs_(a)), 1.0) / (1.0 + exp(-abs_(a))),
)  # fmt: skip
log_sigmoid: Op = _row(
    "log_sigmoid", "logσ", 1, lambda a: (a if a < 0.0 else 0.0) - math.log1p(math.exp(-abs(a))),
    lambda y, a: (sigmoid(-a),), "log(sigmoid(a)) without underflow",
    formula=lambda a: where(less(a, 0.0), a, 0.0) - log1p(exp(-abs_(a))),
)  # fmt: skip
softplus: Op = _row(
    "softplus", "softplus", 1, lambda a: (0.0 if a < 0.0 else a) + math.log1p(math.exp(-abs(a))),
    lambda y, a: (sigmoid(a),), "log(1 + e^a), a smooth ReLU",
    formula=lambda a: where(less(a, 0.0), 0.0, a) + log1p(exp(-abs_(a))),
)  # fmt: skip
relu: Op = _row(
    "relu", "ReLU", 1, lambda a: 0.0 if a <= 0.0 else a, _relu_gradients,
    "the rectified linear unit: a if a > 0 else 0",
    formula=lambda a: where(less_equal(a, 0.0), 0.0, a),
)  # fmt: skip
step: Op = _row(
    "step", "step", 1, _step, _flat, "the notes' step function: 1 if a >= 0 else -1",
    formula=lambda a: where(less_equal(0.0, a), 1.0, where(less(a, 0.0), -1.0, a)),
)  # fmt: skip
sign: Op = _row(
    "sign", "sign", 1, _sign, _flat, "-1, 0 or 1; 0 for nan, as in torch",
    formula=lambda a: where(less(0.0, a), 1.0, where(less(a, 0.0), -1.0, 0.0)),
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
        formula=lambda a: where(less(0.0, a), a, slope * a),
    )  # fmt: skip


# --- choosing among operands ------------------------------------------------------------------------------


def _share(a: Any, b: Any) -> Any:
    """0 where a < b, one half where they tie, else 1: with a nan both operands get 1, as in torch."""
    return where(less(a, b), 0.0, where(equal(a, b), 0.5, 1.0))


def _maximum(a: float, b: float) -> float:
    return a if a != a or a >= b else b


def _minimum(a: float, b: float) -> float:
    return a if a != a or a <= b else b


maximum: Op = _row(
    "maximum", "max", 2, _maximum, lambda y, a, b: (_share(a, b), _share(b, a)), "the larger of two",
    formula=lambda a, b: where(equal(a, a), where(less_equal(b, a), a, b), a),
)  # fmt: skip
minimum: Op = _row(
    "minimum", "min", 2, _minimum, lambda y, a, b: (_share(b, a), _share(a, b)), "the smaller of two",
    formula=lambda a, b: where(equal(a, a), where(less_equal(a, b), a, b), a),
)  # fmt: skip


# --- n-ary operations: one node instead of a chain ----------------------------------------------------------

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


def _max(*operands: float) -> float:
    return next((a for a in operands if a != a), max(operands))


def _max_gradients(y: Any, *operands: Any) -> tuple[Any, ...]:
    largest = [equal(a, y) for a in operands]
    ties = sum_(*largest)  # 0 if there is a nan, which is not even equal to itself
    ties = where(equal(ties, 0.0), math.nan, ties)
    return tuple(share / ties for share in largest)


def _logsumexp(*operands: float) -> float:
    top = _max(*operands)
    if math.isinf(top) or top != top:
        return top
    return top + math.log(_add_up([math.exp(a - top) for a in operands]))


sum_: Op = _row(
    "sum", "Σ", None, lambda *terms: _add_up(terms, 0.0), lambda y, *terms: (1.0,) * len(terms),
    "the sum of all operands, from left to right",
)  # fmt: skip
dot: Op = _row(
    "dot", "·", None, _dot, _dot_gradients,
    "a_1 b_1 + ... + a_n b_n for operands (a_1..a_n, b_1..b_n); an odd last operand is the start of the sum",
)  # fmt: skip
max_: Op = _row("max", "max", None, _max, _max_gradients, "the largest operand")
logsumexp: Op = _row(
    "logsumexp", "lse", None, _logsumexp, lambda y, *operands: tuple(exp(a - y) for a in operands),
    "log(e^a_1 + ... + e^a_n) without overflow",
)  # fmt: skip
take: Op = _row(
    "take", "take", None, lambda index, *values: values[int(index)],
    lambda y, index, *values: (0.0, *(equal(index, float(i)) for i in range(len(values)))),
    "the operand that the first operand, an integer from 0, points at",
)  # fmt: skip

FAMILIES.update(power=power, exponential=exponential, leaky_relu=leaky_relu_with)

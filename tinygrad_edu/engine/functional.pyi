# Written by tools/signatures.py from the table of operations; change that, not this.
from collections.abc import Callable, Iterable
from typing import Any, overload

from tinygrad_edu.engine._signatures import Number, Numbers, Operand
from tinygrad_edu.engine.operation import Node
from tinygrad_edu.engine.value import Value

__all__ = [
    "abs",
    "acos",
    "acosh",
    "add",
    "asin",
    "asinh",
    "atan",
    "atan2",
    "atanh",
    "ceil",
    "clip",
    "cos",
    "cosh",
    "degrees",
    "detach",
    "digamma",
    "div",
    "dot",
    "elu",
    "equal",
    "erf",
    "erfc",
    "exp",
    "exp2",
    "expm1",
    "floor",
    "fmod",
    "gelu",
    "greater",
    "greater_equal",
    "hypot",
    "leaky_relu",
    "less",
    "less_equal",
    "lgamma",
    "log",
    "log10",
    "log1mexp",
    "log1p",
    "log2",
    "log_sigmoid",
    "log_softmax",
    "logsumexp",
    "max",
    "maximum",
    "mean",
    "min",
    "minimum",
    "mod",
    "mul",
    "neg",
    "norm",
    "polygamma",
    "pow",
    "radians",
    "relu",
    "round",
    "scan",
    "sigmoid",
    "sigmoid_slope",
    "sign",
    "silu",
    "sin",
    "sinh",
    "softmax",
    "softplus",
    "sqrt",
    "step",
    "sub",
    "sum",
    "take",
    "tan",
    "tanh",
    "where",
    "xlogy",
]

@overload
def abs(x: Number, /) -> float:
    """the absolute value |a|"""
    ...

@overload
def abs(x: Value, /) -> Value:
    """the absolute value |a|"""
    ...

@overload
def abs(x: Node | Number, /) -> Any:
    """the absolute value |a|"""
    ...

@overload
def acos(x: Number, /) -> float:
    """the arc cosine"""
    ...

@overload
def acos(x: Value, /) -> Value:
    """the arc cosine"""
    ...

@overload
def acos(x: Node | Number, /) -> Any:
    """the arc cosine"""
    ...

@overload
def acosh(x: Number, /) -> float:
    """the inverse of cosh"""
    ...

@overload
def acosh(x: Value, /) -> Value:
    """the inverse of cosh"""
    ...

@overload
def acosh(x: Node | Number, /) -> Any:
    """the inverse of cosh"""
    ...

@overload
def add(a: Number, b: Number, /) -> float:
    """a + b"""
    ...

@overload
def add(a: Value, b: Operand, /) -> Value:
    """a + b"""
    ...

@overload
def add(a: Number, b: Value, /) -> Value:
    """a + b"""
    ...

@overload
def add(a: Node | Number, b: Node | Number, /) -> Any:
    """a + b"""
    ...

@overload
def asin(x: Number, /) -> float:
    """the arc sine"""
    ...

@overload
def asin(x: Value, /) -> Value:
    """the arc sine"""
    ...

@overload
def asin(x: Node | Number, /) -> Any:
    """the arc sine"""
    ...

@overload
def asinh(x: Number, /) -> float:
    """the inverse of sinh"""
    ...

@overload
def asinh(x: Value, /) -> Value:
    """the inverse of sinh"""
    ...

@overload
def asinh(x: Node | Number, /) -> Any:
    """the inverse of sinh"""
    ...

@overload
def atan(x: Number, /) -> float:
    """the arc tangent"""
    ...

@overload
def atan(x: Value, /) -> Value:
    """the arc tangent"""
    ...

@overload
def atan(x: Node | Number, /) -> Any:
    """the arc tangent"""
    ...

@overload
def atan2(a: Number, b: Number, /) -> float:
    """the angle of the point (b, a), in radians"""
    ...

@overload
def atan2(a: Value, b: Operand, /) -> Value:
    """the angle of the point (b, a), in radians"""
    ...

@overload
def atan2(a: Number, b: Value, /) -> Value:
    """the angle of the point (b, a), in radians"""
    ...

@overload
def atan2(a: Node | Number, b: Node | Number, /) -> Any:
    """the angle of the point (b, a), in radians"""
    ...

@overload
def atanh(x: Number, /) -> float:
    """the inverse of tanh"""
    ...

@overload
def atanh(x: Value, /) -> Value:
    """the inverse of tanh"""
    ...

@overload
def atanh(x: Node | Number, /) -> Any:
    """the inverse of tanh"""
    ...

@overload
def ceil(x: Number, /) -> float:
    """the smallest whole number >= a"""
    ...

@overload
def ceil(x: Value, /) -> Value:
    """the smallest whole number >= a"""
    ...

@overload
def ceil(x: Node | Number, /) -> Any:
    """the smallest whole number >= a"""
    ...

@overload
def clip(a: Number, b: Number, c: Number, /) -> float:
    """a, but low where it is below low, and high where it is above high"""
    ...

@overload
def clip(a: Value, b: Operand, c: Operand, /) -> Value:
    """a, but low where it is below low, and high where it is above high"""
    ...

@overload
def clip(a: Number, b: Value, c: Operand, /) -> Value:
    """a, but low where it is below low, and high where it is above high"""
    ...

@overload
def clip(a: Number, b: Number, c: Value, /) -> Value:
    """a, but low where it is below low, and high where it is above high"""
    ...

@overload
def clip(a: Node | Number, b: Node | Number, c: Node | Number, /) -> Any:
    """a, but low where it is below low, and high where it is above high"""
    ...

@overload
def cos(x: Number, /) -> float:
    """the cosine"""
    ...

@overload
def cos(x: Value, /) -> Value:
    """the cosine"""
    ...

@overload
def cos(x: Node | Number, /) -> Any:
    """the cosine"""
    ...

@overload
def cosh(x: Number, /) -> float:
    """the hyperbolic cosine"""
    ...

@overload
def cosh(x: Value, /) -> Value:
    """the hyperbolic cosine"""
    ...

@overload
def cosh(x: Node | Number, /) -> Any:
    """the hyperbolic cosine"""
    ...

@overload
def degrees(x: Number, /) -> float:
    """a from radians to degrees"""
    ...

@overload
def degrees(x: Value, /) -> Value:
    """a from radians to degrees"""
    ...

@overload
def degrees(x: Node | Number, /) -> Any:
    """a from radians to degrees"""
    ...

@overload
def detach(x: Number, /) -> float:
    """a, but no gradient goes back through it"""
    ...

@overload
def detach(x: Value, /) -> Value:
    """a, but no gradient goes back through it"""
    ...

@overload
def detach(x: Node | Number, /) -> Any:
    """a, but no gradient goes back through it"""
    ...

@overload
def digamma(x: Number, /) -> float:
    """the derivative of lgamma"""
    ...

@overload
def digamma(x: Value, /) -> Value:
    """the derivative of lgamma"""
    ...

@overload
def digamma(x: Node | Number, /) -> Any:
    """the derivative of lgamma"""
    ...

@overload
def div(a: Number, b: Number, /) -> float:
    """a / b"""
    ...

@overload
def div(a: Value, b: Operand, /) -> Value:
    """a / b"""
    ...

@overload
def div(a: Number, b: Value, /) -> Value:
    """a / b"""
    ...

@overload
def div(a: Node | Number, b: Node | Number, /) -> Any:
    """a / b"""
    ...

@overload
def dot(a: Numbers[Number], b: Numbers[Number], start: Number | None = None) -> float:  # type: ignore[overload-overlap]
    """Return ``start + a[0] b[0] + ... + a[n-1] b[n-1]`` as a single node.

    This is a neuron before its activation, ``w . x + b``.

    Raises:
        ValueError: If ``a`` and ``b`` differ in length.

    >>> dot([1.0, 2.0], [3.0, 4.0], start=10.0)
    21.0
    """
    ...

@overload
def dot(a: Numbers[Operand], b: Numbers[Operand], start: Operand | None = None) -> Value:
    """Return ``start + a[0] b[0] + ... + a[n-1] b[n-1]`` as a single node.

    This is a neuron before its activation, ``w . x + b``.

    Raises:
        ValueError: If ``a`` and ``b`` differ in length.

    >>> dot([1.0, 2.0], [3.0, 4.0], start=10.0)
    21.0
    """
    ...

@overload
def dot(
    a: Numbers[Node | Number], b: Numbers[Node | Number], start: Node | Number | None = None
) -> Any:
    """Return ``start + a[0] b[0] + ... + a[n-1] b[n-1]`` as a single node.

    This is a neuron before its activation, ``w . x + b``.

    Raises:
        ValueError: If ``a`` and ``b`` differ in length.

    >>> dot([1.0, 2.0], [3.0, 4.0], start=10.0)
    21.0
    """
    ...

@overload
def elu(x: Number, alpha: float = 1.0) -> float:
    """Return ``x`` if ``x > 0``, else ``alpha * (e**x - 1)``.

    >>> elu(2.0), elu(-1000.0)
    (2.0, -1.0)
    """
    ...

@overload
def elu(x: Value, alpha: float = 1.0) -> Value:
    """Return ``x`` if ``x > 0``, else ``alpha * (e**x - 1)``.

    >>> elu(2.0), elu(-1000.0)
    (2.0, -1.0)
    """
    ...

@overload
def elu(x: Node | Number, alpha: float = 1.0) -> Any:
    """Return ``x`` if ``x > 0``, else ``alpha * (e**x - 1)``.

    >>> elu(2.0), elu(-1000.0)
    (2.0, -1.0)
    """
    ...

@overload
def equal(a: Number, b: Number, /) -> float:
    """1 if a == b else 0"""
    ...

@overload
def equal(a: Value, b: Operand, /) -> Value:
    """1 if a == b else 0"""
    ...

@overload
def equal(a: Number, b: Value, /) -> Value:
    """1 if a == b else 0"""
    ...

@overload
def equal(a: Node | Number, b: Node | Number, /) -> Any:
    """1 if a == b else 0"""
    ...

@overload
def erf(x: Number, /) -> float:
    """the error function"""
    ...

@overload
def erf(x: Value, /) -> Value:
    """the error function"""
    ...

@overload
def erf(x: Node | Number, /) -> Any:
    """the error function"""
    ...

@overload
def erfc(x: Number, /) -> float:
    """1 - erf(a), accurate where that is small"""
    ...

@overload
def erfc(x: Value, /) -> Value:
    """1 - erf(a), accurate where that is small"""
    ...

@overload
def erfc(x: Node | Number, /) -> Any:
    """1 - erf(a), accurate where that is small"""
    ...

@overload
def exp(x: Number, /) -> float:
    """e ** a"""
    ...

@overload
def exp(x: Value, /) -> Value:
    """e ** a"""
    ...

@overload
def exp(x: Node | Number, /) -> Any:
    """e ** a"""
    ...

@overload
def exp2(x: Number, /) -> float:
    """2 ** a"""
    ...

@overload
def exp2(x: Value, /) -> Value:
    """2 ** a"""
    ...

@overload
def exp2(x: Node | Number, /) -> Any:
    """2 ** a"""
    ...

@overload
def expm1(x: Number, /) -> float:
    """e ** a - 1, accurate near 0"""
    ...

@overload
def expm1(x: Value, /) -> Value:
    """e ** a - 1, accurate near 0"""
    ...

@overload
def expm1(x: Node | Number, /) -> Any:
    """e ** a - 1, accurate near 0"""
    ...

@overload
def floor(x: Number, /) -> float:
    """the largest whole number <= a"""
    ...

@overload
def floor(x: Value, /) -> Value:
    """the largest whole number <= a"""
    ...

@overload
def floor(x: Node | Number, /) -> Any:
    """the largest whole number <= a"""
    ...

@overload
def fmod(a: Number, b: Number, /) -> float:
    """the remainder of a / b with the sign of a, as in C; by b: minus the whole part of a / b"""
    ...

@overload
def fmod(a: Value, b: Operand, /) -> Value:
    """the remainder of a / b with the sign of a, as in C; by b: minus the whole part of a / b"""
    ...

@overload
def fmod(a: Number, b: Value, /) -> Value:
    """the remainder of a / b with the sign of a, as in C; by b: minus the whole part of a / b"""
    ...

@overload
def fmod(a: Node | Number, b: Node | Number, /) -> Any:
    """the remainder of a / b with the sign of a, as in C; by b: minus the whole part of a / b"""
    ...

@overload
def gelu(x: Number, /) -> float:
    """a times the probability that a standard normal number is below a"""
    ...

@overload
def gelu(x: Value, /) -> Value:
    """a times the probability that a standard normal number is below a"""
    ...

@overload
def gelu(x: Node | Number, /) -> Any:
    """a times the probability that a standard normal number is below a"""
    ...

@overload
def greater(a: Number, b: Number) -> float:
    """Return 1.0 if ``a > b``, else 0.0.

    >>> greater(2.0, 1.0)
    1.0
    """
    ...

@overload
def greater(a: Value, b: Operand) -> Value:
    """Return 1.0 if ``a > b``, else 0.0.

    >>> greater(2.0, 1.0)
    1.0
    """
    ...

@overload
def greater(a: Number, b: Value) -> Value:
    """Return 1.0 if ``a > b``, else 0.0.

    >>> greater(2.0, 1.0)
    1.0
    """
    ...

@overload
def greater(a: Node | Number, b: Node | Number) -> Any:
    """Return 1.0 if ``a > b``, else 0.0.

    >>> greater(2.0, 1.0)
    1.0
    """
    ...

@overload
def greater_equal(a: Number, b: Number) -> float:
    """Return 1.0 if ``a >= b``, else 0.0.

    >>> greater_equal(1.0, 1.0)
    1.0
    """
    ...

@overload
def greater_equal(a: Value, b: Operand) -> Value:
    """Return 1.0 if ``a >= b``, else 0.0.

    >>> greater_equal(1.0, 1.0)
    1.0
    """
    ...

@overload
def greater_equal(a: Number, b: Value) -> Value:
    """Return 1.0 if ``a >= b``, else 0.0.

    >>> greater_equal(1.0, 1.0)
    1.0
    """
    ...

@overload
def greater_equal(a: Node | Number, b: Node | Number) -> Any:
    """Return 1.0 if ``a >= b``, else 0.0.

    >>> greater_equal(1.0, 1.0)
    1.0
    """
    ...

@overload
def hypot(a: Number, b: Number, /) -> float:
    """sqrt(a^2 + b^2) without overflow"""
    ...

@overload
def hypot(a: Value, b: Operand, /) -> Value:
    """sqrt(a^2 + b^2) without overflow"""
    ...

@overload
def hypot(a: Number, b: Value, /) -> Value:
    """sqrt(a^2 + b^2) without overflow"""
    ...

@overload
def hypot(a: Node | Number, b: Node | Number, /) -> Any:
    """sqrt(a^2 + b^2) without overflow"""
    ...

@overload
def leaky_relu(x: Number, slope: float = 0.01) -> float:
    """Return ``x`` if ``x > 0``, else ``slope * x``.

    >>> leaky_relu(-2.0, slope=0.5)
    -1.0
    """
    ...

@overload
def leaky_relu(x: Value, slope: float = 0.01) -> Value:
    """Return ``x`` if ``x > 0``, else ``slope * x``.

    >>> leaky_relu(-2.0, slope=0.5)
    -1.0
    """
    ...

@overload
def leaky_relu(x: Node | Number, slope: float = 0.01) -> Any:
    """Return ``x`` if ``x > 0``, else ``slope * x``.

    >>> leaky_relu(-2.0, slope=0.5)
    -1.0
    """
    ...

@overload
def less(a: Number, b: Number, /) -> float:
    """1 if a < b else 0"""
    ...

@overload
def less(a: Value, b: Operand, /) -> Value:
    """1 if a < b else 0"""
    ...

@overload
def less(a: Number, b: Value, /) -> Value:
    """1 if a < b else 0"""
    ...

@overload
def less(a: Node | Number, b: Node | Number, /) -> Any:
    """1 if a < b else 0"""
    ...

@overload
def less_equal(a: Number, b: Number, /) -> float:
    """1 if a <= b else 0"""
    ...

@overload
def less_equal(a: Value, b: Operand, /) -> Value:
    """1 if a <= b else 0"""
    ...

@overload
def less_equal(a: Number, b: Value, /) -> Value:
    """1 if a <= b else 0"""
    ...

@overload
def less_equal(a: Node | Number, b: Node | Number, /) -> Any:
    """1 if a <= b else 0"""
    ...

@overload
def lgamma(x: Number, /) -> float:
    """log |gamma(a)|"""
    ...

@overload
def lgamma(x: Value, /) -> Value:
    """log |gamma(a)|"""
    ...

@overload
def lgamma(x: Node | Number, /) -> Any:
    """log |gamma(a)|"""
    ...

@overload
def log(x: Number, /) -> float:
    """the natural logarithm"""
    ...

@overload
def log(x: Value, /) -> Value:
    """the natural logarithm"""
    ...

@overload
def log(x: Node | Number, /) -> Any:
    """the natural logarithm"""
    ...

@overload
def log10(x: Number, /) -> float:
    """the logarithm to base 10"""
    ...

@overload
def log10(x: Value, /) -> Value:
    """the logarithm to base 10"""
    ...

@overload
def log10(x: Node | Number, /) -> Any:
    """the logarithm to base 10"""
    ...

@overload
def log1mexp(x: Number, /) -> float:
    """log(1 - e^a) for a < 0, without cancellation"""
    ...

@overload
def log1mexp(x: Value, /) -> Value:
    """log(1 - e^a) for a < 0, without cancellation"""
    ...

@overload
def log1mexp(x: Node | Number, /) -> Any:
    """log(1 - e^a) for a < 0, without cancellation"""
    ...

@overload
def log1p(x: Number, /) -> float:
    """log(1 + a), accurate near 0"""
    ...

@overload
def log1p(x: Value, /) -> Value:
    """log(1 + a), accurate near 0"""
    ...

@overload
def log1p(x: Node | Number, /) -> Any:
    """log(1 + a), accurate near 0"""
    ...

@overload
def log2(x: Number, /) -> float:
    """the logarithm to base 2"""
    ...

@overload
def log2(x: Value, /) -> Value:
    """the logarithm to base 2"""
    ...

@overload
def log2(x: Node | Number, /) -> Any:
    """the logarithm to base 2"""
    ...

@overload
def log_sigmoid(x: Number, /) -> float:
    """log(sigmoid(a)) without underflow"""
    ...

@overload
def log_sigmoid(x: Value, /) -> Value:
    """log(sigmoid(a)) without underflow"""
    ...

@overload
def log_sigmoid(x: Node | Number, /) -> Any:
    """log(sigmoid(a)) without underflow"""
    ...

@overload
def log_softmax(logits: Iterable[Number]) -> list[float]:  # type: ignore[overload-overlap]
    """Return the logarithms of the softmax probabilities, stable for any finite logits.

    >>> log_softmax([0.0, 0.0])
    [-0.6931471805599453, -0.6931471805599453]
    """
    ...

@overload
def log_softmax(logits: Iterable[Operand]) -> list[Value]:
    """Return the logarithms of the softmax probabilities, stable for any finite logits.

    >>> log_softmax([0.0, 0.0])
    [-0.6931471805599453, -0.6931471805599453]
    """
    ...

@overload
def log_softmax(logits: Iterable[Node | Number]) -> list[Any]:
    """Return the logarithms of the softmax probabilities, stable for any finite logits.

    >>> log_softmax([0.0, 0.0])
    [-0.6931471805599453, -0.6931471805599453]
    """
    ...

@overload
def logsumexp(values: Iterable[Number]) -> float:  # type: ignore[overload-overlap]
    """Return ``log(sum(exp(v) for v in values))`` without overflow.

    Raises:
        ValueError: If there are no values.

    >>> logsumexp([1000.0, 1000.0])
    1000.6931471805599
    """
    ...

@overload
def logsumexp(values: Iterable[Operand]) -> Value:
    """Return ``log(sum(exp(v) for v in values))`` without overflow.

    Raises:
        ValueError: If there are no values.

    >>> logsumexp([1000.0, 1000.0])
    1000.6931471805599
    """
    ...

@overload
def logsumexp(values: Iterable[Node | Number]) -> Any:
    """Return ``log(sum(exp(v) for v in values))`` without overflow.

    Raises:
        ValueError: If there are no values.

    >>> logsumexp([1000.0, 1000.0])
    1000.6931471805599
    """
    ...

@overload
def max(values: Iterable[Number]) -> float:  # type: ignore[overload-overlap]
    """Return the largest of ``values``; tied operands share the gradient evenly, as in torch.

    Raises:
        ValueError: If there are none.

    >>> max([1.0, 3.0, 2.0])
    3.0
    """
    ...

@overload
def max(values: Iterable[Operand]) -> Value:
    """Return the largest of ``values``; tied operands share the gradient evenly, as in torch.

    Raises:
        ValueError: If there are none.

    >>> max([1.0, 3.0, 2.0])
    3.0
    """
    ...

@overload
def max(values: Iterable[Node | Number]) -> Any:
    """Return the largest of ``values``; tied operands share the gradient evenly, as in torch.

    Raises:
        ValueError: If there are none.

    >>> max([1.0, 3.0, 2.0])
    3.0
    """
    ...

@overload
def maximum(a: Number, b: Number, /) -> float:
    """the larger of two"""
    ...

@overload
def maximum(a: Value, b: Operand, /) -> Value:
    """the larger of two"""
    ...

@overload
def maximum(a: Number, b: Value, /) -> Value:
    """the larger of two"""
    ...

@overload
def maximum(a: Node | Number, b: Node | Number, /) -> Any:
    """the larger of two"""
    ...

@overload
def mean(terms: Iterable[Number]) -> float:  # type: ignore[overload-overlap]
    """Return the arithmetic mean of ``terms``.

    Raises:
        ValueError: If there are none.

    >>> mean([1.0, 2.0, 6.0])
    3.0
    """
    ...

@overload
def mean(terms: Iterable[Operand]) -> Value:
    """Return the arithmetic mean of ``terms``.

    Raises:
        ValueError: If there are none.

    >>> mean([1.0, 2.0, 6.0])
    3.0
    """
    ...

@overload
def mean(terms: Iterable[Node | Number]) -> Any:
    """Return the arithmetic mean of ``terms``.

    Raises:
        ValueError: If there are none.

    >>> mean([1.0, 2.0, 6.0])
    3.0
    """
    ...

@overload
def min(values: Iterable[Number]) -> float:  # type: ignore[overload-overlap]
    """Return the smallest of ``values``; tied operands share the gradient evenly, as in torch.

    Raises:
        ValueError: If there are none.

    >>> min([1.0, 3.0, 2.0])
    1.0
    """
    ...

@overload
def min(values: Iterable[Operand]) -> Value:
    """Return the smallest of ``values``; tied operands share the gradient evenly, as in torch.

    Raises:
        ValueError: If there are none.

    >>> min([1.0, 3.0, 2.0])
    1.0
    """
    ...

@overload
def min(values: Iterable[Node | Number]) -> Any:
    """Return the smallest of ``values``; tied operands share the gradient evenly, as in torch.

    Raises:
        ValueError: If there are none.

    >>> min([1.0, 3.0, 2.0])
    1.0
    """
    ...

@overload
def minimum(a: Number, b: Number, /) -> float:
    """the smaller of two"""
    ...

@overload
def minimum(a: Value, b: Operand, /) -> Value:
    """the smaller of two"""
    ...

@overload
def minimum(a: Number, b: Value, /) -> Value:
    """the smaller of two"""
    ...

@overload
def minimum(a: Node | Number, b: Node | Number, /) -> Any:
    """the smaller of two"""
    ...

@overload
def mod(a: Number, b: Number, /) -> float:
    """a % b, with the sign of b, as in Python; by b: minus the whole part of a / b"""
    ...

@overload
def mod(a: Value, b: Operand, /) -> Value:
    """a % b, with the sign of b, as in Python; by b: minus the whole part of a / b"""
    ...

@overload
def mod(a: Number, b: Value, /) -> Value:
    """a % b, with the sign of b, as in Python; by b: minus the whole part of a / b"""
    ...

@overload
def mod(a: Node | Number, b: Node | Number, /) -> Any:
    """a % b, with the sign of b, as in Python; by b: minus the whole part of a / b"""
    ...

@overload
def mul(a: Number, b: Number, /) -> float:
    """a * b"""
    ...

@overload
def mul(a: Value, b: Operand, /) -> Value:
    """a * b"""
    ...

@overload
def mul(a: Number, b: Value, /) -> Value:
    """a * b"""
    ...

@overload
def mul(a: Node | Number, b: Node | Number, /) -> Any:
    """a * b"""
    ...

@overload
def neg(x: Number, /) -> float:
    """-a"""
    ...

@overload
def neg(x: Value, /) -> Value:
    """-a"""
    ...

@overload
def neg(x: Node | Number, /) -> Any:
    """-a"""
    ...

@overload
def norm(values: Iterable[Number]) -> float:  # type: ignore[overload-overlap]
    """Return the length of a vector, ``sqrt(sum(v**2))``, without overflow; its slope at 0 is 0.

    Raises:
        ValueError: If there are no values.

    >>> norm([3.0, 4.0])
    5.0
    """
    ...

@overload
def norm(values: Iterable[Operand]) -> Value:
    """Return the length of a vector, ``sqrt(sum(v**2))``, without overflow; its slope at 0 is 0.

    Raises:
        ValueError: If there are no values.

    >>> norm([3.0, 4.0])
    5.0
    """
    ...

@overload
def norm(values: Iterable[Node | Number]) -> Any:
    """Return the length of a vector, ``sqrt(sum(v**2))``, without overflow; its slope at 0 is 0.

    Raises:
        ValueError: If there are no values.

    >>> norm([3.0, 4.0])
    5.0
    """
    ...

@overload
def polygamma(order: int, x: Number) -> float:
    """Return the derivative of the digamma function, taken ``order`` times.

    Args:
        order: 0 (``digamma`` itself) to 100.
        x: A number or node; greater than 0 unless ``order`` is 0.

    Raises:
        ValueError: If ``order`` is not such a number.

    >>> round(polygamma(1, 1.0) * 1000.0)
    1645.0
    """
    ...

@overload
def polygamma(order: int, x: Value) -> Value:
    """Return the derivative of the digamma function, taken ``order`` times.

    Args:
        order: 0 (``digamma`` itself) to 100.
        x: A number or node; greater than 0 unless ``order`` is 0.

    Raises:
        ValueError: If ``order`` is not such a number.

    >>> round(polygamma(1, 1.0) * 1000.0)
    1645.0
    """
    ...

@overload
def polygamma(order: int, x: Node | Number) -> Any:
    """Return the derivative of the digamma function, taken ``order`` times.

    Args:
        order: 0 (``digamma`` itself) to 100.
        x: A number or node; greater than 0 unless ``order`` is 0.

    Raises:
        ValueError: If ``order`` is not such a number.

    >>> round(polygamma(1, 1.0) * 1000.0)
    1645.0
    """
    ...

@overload
def pow(base: Number, exponent: Number) -> float:
    """Return ``base ** exponent``; a constant exponent or base is captured by the rule.

    >>> pow(2.0, 3)
    8.0
    """
    ...

@overload
def pow(base: Value, exponent: Operand) -> Value:
    """Return ``base ** exponent``; a constant exponent or base is captured by the rule.

    >>> pow(2.0, 3)
    8.0
    """
    ...

@overload
def pow(base: Number, exponent: Value) -> Value:
    """Return ``base ** exponent``; a constant exponent or base is captured by the rule.

    >>> pow(2.0, 3)
    8.0
    """
    ...

@overload
def pow(base: Node | Number, exponent: Node | Number) -> Any:
    """Return ``base ** exponent``; a constant exponent or base is captured by the rule.

    >>> pow(2.0, 3)
    8.0
    """
    ...

@overload
def radians(x: Number, /) -> float:
    """a from degrees to radians"""
    ...

@overload
def radians(x: Value, /) -> Value:
    """a from degrees to radians"""
    ...

@overload
def radians(x: Node | Number, /) -> Any:
    """a from degrees to radians"""
    ...

@overload
def relu(x: Number, /) -> float:
    """the rectified linear unit: a if a > 0 else 0"""
    ...

@overload
def relu(x: Value, /) -> Value:
    """the rectified linear unit: a if a > 0 else 0"""
    ...

@overload
def relu(x: Node | Number, /) -> Any:
    """the rectified linear unit: a if a > 0 else 0"""
    ...

@overload
def round(x: Number, /) -> float:
    """the nearest whole number; halves go to the even one"""
    ...

@overload
def round(x: Value, /) -> Value:
    """the nearest whole number; halves go to the even one"""
    ...

@overload
def round(x: Node | Number, /) -> Any:
    """the nearest whole number; halves go to the even one"""
    ...

def scan(
    step: Callable[[Any, Any], Any],
    state: Any,
    xs: Any,
    *,
    outputs: bool | None = None,
    checkpoint: int | None = None,
) -> Any:
    """Run ``for x in xs: state = step(state, x)`` and return the last state.

    In the engine it is that loop. In compiled code the step is traced, differentiated and compiled
    once, however long ``xs`` is, and it runs as a loop; another length needs a short new trace, but
    no new code for the step. So, as in the whole of a compiled function, an ``if`` in the step
    cannot ask for a traced number, and side effects of the step happen once.

    Args:
        step: Takes the state and one entry of ``xs``; returns the new state, in the same structure,
            or a pair ``(state, y)`` of it and an output of any structure. It may use Values,
            arguments and modules of its surroundings; gradients flow to them.
        state: A number, or a list, tuple, named tuple, dict, dataclass or array of numbers.
        xs: What a loop can go over: a list or tuple with a structure of numbers for each turn, the
            rows of an array, ``range(n)``, ``zip(a, b)``; or a dict or named tuple of such columns.
        outputs: Whether the step returns pairs ``(state, y)``. By default the first turn tells:
            what it returns has the form of the state, or else is such a pair.
        checkpoint: In compiled gradients, keep every ``checkpoint``-th state only and compute those
            between again.

    Returns:
        The last state; with outputs ``(state, ys)``, where ``ys`` is the list of the outputs.

    Memory of a compiled gradient: for each of T turns the numbers of the state that the derivative
    of the step needs (at most all n of them), 8 T n bytes, for a row in each lane in ``map``; what
    the step computes on its way is computed again. With ``checkpoint=k`` it is 8 n (T / k + k)
    bytes, for one more run of the step.

    Raises:
        TypeError: If ``xs`` has no entries to go over, or the step returns another structure than
            the state's (lists, tuples and arrays of the same numbers pass).
        ValueError: If ``checkpoint`` is not a whole number from 1, or columns differ in length.

    >>> scan(lambda total, x: total + x * x, 0.0, [1.0, 2.0, 3.0])
    14.0
    >>> scan(lambda total, x: (total + x, 2.0 * total), 0.0, [1.0, 2.0, 3.0])
    (6.0, [0.0, 2.0, 6.0])
    """
    ...

@overload
def sigmoid(x: Number, /) -> float:
    """the logistic function 1 / (1 + e^-a)"""
    ...

@overload
def sigmoid(x: Value, /) -> Value:
    """the logistic function 1 / (1 + e^-a)"""
    ...

@overload
def sigmoid(x: Node | Number, /) -> Any:
    """the logistic function 1 / (1 + e^-a)"""
    ...

@overload
def sigmoid_slope(x: Number, /) -> float:
    """the derivative of the sigmoid, e^-a / (1 + e^-a)^2"""
    ...

@overload
def sigmoid_slope(x: Value, /) -> Value:
    """the derivative of the sigmoid, e^-a / (1 + e^-a)^2"""
    ...

@overload
def sigmoid_slope(x: Node | Number, /) -> Any:
    """the derivative of the sigmoid, e^-a / (1 + e^-a)^2"""
    ...

@overload
def sign(x: Number, /) -> float:
    """-1, 0 or 1; 0 for nan, as in torch"""
    ...

@overload
def sign(x: Value, /) -> Value:
    """-1, 0 or 1; 0 for nan, as in torch"""
    ...

@overload
def sign(x: Node | Number, /) -> Any:
    """-1, 0 or 1; 0 for nan, as in torch"""
    ...

@overload
def silu(x: Number, /) -> float:
    """a sigmoid(a), also called swish"""
    ...

@overload
def silu(x: Value, /) -> Value:
    """a sigmoid(a), also called swish"""
    ...

@overload
def silu(x: Node | Number, /) -> Any:
    """a sigmoid(a), also called swish"""
    ...

@overload
def sin(x: Number, /) -> float:
    """the sine"""
    ...

@overload
def sin(x: Value, /) -> Value:
    """the sine"""
    ...

@overload
def sin(x: Node | Number, /) -> Any:
    """the sine"""
    ...

@overload
def sinh(x: Number, /) -> float:
    """the hyperbolic sine"""
    ...

@overload
def sinh(x: Value, /) -> Value:
    """the hyperbolic sine"""
    ...

@overload
def sinh(x: Node | Number, /) -> Any:
    """the hyperbolic sine"""
    ...

@overload
def softmax(logits: Iterable[Number]) -> list[float]:  # type: ignore[overload-overlap]
    """Return K probabilities that add up to 1: ``exp(z_i) / sum_k exp(z_k)``, without overflow.

    Source: the notes, section 'Multi-Class Logistic Regression'.

    >>> softmax([0.0, 0.0, -10000.0])
    [0.5, 0.5, 0.0]
    """
    ...

@overload
def softmax(logits: Iterable[Operand]) -> list[Value]:
    """Return K probabilities that add up to 1: ``exp(z_i) / sum_k exp(z_k)``, without overflow.

    Source: the notes, section 'Multi-Class Logistic Regression'.

    >>> softmax([0.0, 0.0, -10000.0])
    [0.5, 0.5, 0.0]
    """
    ...

@overload
def softmax(logits: Iterable[Node | Number]) -> list[Any]:
    """Return K probabilities that add up to 1: ``exp(z_i) / sum_k exp(z_k)``, without overflow.

    Source: the notes, section 'Multi-Class Logistic Regression'.

    >>> softmax([0.0, 0.0, -10000.0])
    [0.5, 0.5, 0.0]
    """
    ...

@overload
def softplus(x: Number, /) -> float:
    """log(1 + e^a), a smooth ReLU"""
    ...

@overload
def softplus(x: Value, /) -> Value:
    """log(1 + e^a), a smooth ReLU"""
    ...

@overload
def softplus(x: Node | Number, /) -> Any:
    """log(1 + e^a), a smooth ReLU"""
    ...

@overload
def sqrt(x: Number, /) -> float:
    """the square root"""
    ...

@overload
def sqrt(x: Value, /) -> Value:
    """the square root"""
    ...

@overload
def sqrt(x: Node | Number, /) -> Any:
    """the square root"""
    ...

@overload
def step(x: Number, /) -> float:
    """the notes' step function: 1 if a >= 0 else -1"""
    ...

@overload
def step(x: Value, /) -> Value:
    """the notes' step function: 1 if a >= 0 else -1"""
    ...

@overload
def step(x: Node | Number, /) -> Any:
    """the notes' step function: 1 if a >= 0 else -1"""
    ...

@overload
def sub(a: Number, b: Number, /) -> float:
    """a - b"""
    ...

@overload
def sub(a: Value, b: Operand, /) -> Value:
    """a - b"""
    ...

@overload
def sub(a: Number, b: Value, /) -> Value:
    """a - b"""
    ...

@overload
def sub(a: Node | Number, b: Node | Number, /) -> Any:
    """a - b"""
    ...

@overload
def sum(terms: Iterable[Number]) -> float:  # type: ignore[overload-overlap]
    """Return the sum of ``terms`` as a single node, added from left to right; 0.0 if none.

    >>> sum([1.0, 2.0, 3.0])
    6.0
    """
    ...

@overload
def sum(terms: Iterable[Operand]) -> Value:
    """Return the sum of ``terms`` as a single node, added from left to right; 0.0 if none.

    >>> sum([1.0, 2.0, 3.0])
    6.0
    """
    ...

@overload
def sum(terms: Iterable[Node | Number]) -> Any:
    """Return the sum of ``terms`` as a single node, added from left to right; 0.0 if none.

    >>> sum([1.0, 2.0, 3.0])
    6.0
    """
    ...

@overload
def take(values: Numbers[Number], index: Number) -> float:  # type: ignore[overload-overlap]
    """Return ``values[index]`` for an index from 0 to ``len(values) - 1``.

    The index may be an integer, a float or a node that holds one; in compiled code it may be known
    at run time only. The gradient flows to the chosen value alone.

    Raises:
        IndexError: If the index is out of range or not a whole number.

    >>> take([10.0, 20.0, 30.0], 1)
    20.0
    """
    ...

@overload
def take(values: Numbers[Operand], index: Operand) -> Value:
    """Return ``values[index]`` for an index from 0 to ``len(values) - 1``.

    The index may be an integer, a float or a node that holds one; in compiled code it may be known
    at run time only. The gradient flows to the chosen value alone.

    Raises:
        IndexError: If the index is out of range or not a whole number.

    >>> take([10.0, 20.0, 30.0], 1)
    20.0
    """
    ...

@overload
def take(values: Numbers[Node | Number], index: Node | Number) -> Any:
    """Return ``values[index]`` for an index from 0 to ``len(values) - 1``.

    The index may be an integer, a float or a node that holds one; in compiled code it may be known
    at run time only. The gradient flows to the chosen value alone.

    Raises:
        IndexError: If the index is out of range or not a whole number.

    >>> take([10.0, 20.0, 30.0], 1)
    20.0
    """
    ...

@overload
def tan(x: Number, /) -> float:
    """the tangent"""
    ...

@overload
def tan(x: Value, /) -> Value:
    """the tangent"""
    ...

@overload
def tan(x: Node | Number, /) -> Any:
    """the tangent"""
    ...

@overload
def tanh(x: Number, /) -> float:
    """the hyperbolic tangent"""
    ...

@overload
def tanh(x: Value, /) -> Value:
    """the hyperbolic tangent"""
    ...

@overload
def tanh(x: Node | Number, /) -> Any:
    """the hyperbolic tangent"""
    ...

@overload
def where(condition: bool | Number, a: Number, b: Number) -> float:
    """Return ``a`` where the condition holds (is not 0), else ``b``; both have been computed.

    The gradient flows to the chosen one alone. ``condition`` is a bool, a number, or a node, such
    as the result of a comparison.

    >>> where(2.0 > 1.0, 10.0, 20.0)
    10.0
    """
    ...

@overload
def where(condition: bool | Operand, a: Value, b: Operand) -> Value:
    """Return ``a`` where the condition holds (is not 0), else ``b``; both have been computed.

    The gradient flows to the chosen one alone. ``condition`` is a bool, a number, or a node, such
    as the result of a comparison.

    >>> where(2.0 > 1.0, 10.0, 20.0)
    10.0
    """
    ...

@overload
def where(condition: bool | Operand, a: Operand, b: Value) -> Value:
    """Return ``a`` where the condition holds (is not 0), else ``b``; both have been computed.

    The gradient flows to the chosen one alone. ``condition`` is a bool, a number, or a node, such
    as the result of a comparison.

    >>> where(2.0 > 1.0, 10.0, 20.0)
    10.0
    """
    ...

@overload
def where(condition: Value, a: Number, b: Number) -> Value:
    """Return ``a`` where the condition holds (is not 0), else ``b``; both have been computed.

    The gradient flows to the chosen one alone. ``condition`` is a bool, a number, or a node, such
    as the result of a comparison.

    >>> where(2.0 > 1.0, 10.0, 20.0)
    10.0
    """
    ...

@overload
def where(condition: Any, a: Node | Number, b: Node | Number) -> Any:
    """Return ``a`` where the condition holds (is not 0), else ``b``; both have been computed.

    The gradient flows to the chosen one alone. ``condition`` is a bool, a number, or a node, such
    as the result of a comparison.

    >>> where(2.0 > 1.0, 10.0, 20.0)
    10.0
    """
    ...

@overload
def xlogy(a: Number, b: Number, /) -> float:
    """a log(b), and 0 where a is 0"""
    ...

@overload
def xlogy(a: Value, b: Operand, /) -> Value:
    """a log(b), and 0 where a is 0"""
    ...

@overload
def xlogy(a: Number, b: Value, /) -> Value:
    """a log(b), and 0 where a is 0"""
    ...

@overload
def xlogy(a: Node | Number, b: Node | Number, /) -> Any:
    """a log(b), and 0 where a is 0"""
    ...

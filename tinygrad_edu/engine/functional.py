"""Functions over numbers and nodes alike: ``exp(2.0)`` is a float, ``exp(Value(2.0))`` a Value.

Every operation of the table with a fixed number of operands is a function here as it stands
(``exp``, ``log``, ``relu``, ``maximum``, ``where``, ...). The n-ary ones take their operands as
sequences, as ``sum`` and ``max`` do in Python. Sources: the notes, sections 'Multi-Class Logistic
Regression' (softmax) and 'Measuring Accuracy' (log-likelihood).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from tinygrad_edu.engine import ops
from tinygrad_edu.engine.tracing import lifted, tracing
from tinygrad_edu.engine.operation import Node, to_float
from tinygrad_edu.engine.scanning import scan as scan

# for type checkers and editors there is functional.pyi, see tools/signatures.py
globals().update({op.name: op for op in ops.TABLE.values() if op.arity is not None})


def pow(base: Any, exponent: Any) -> Any:
    """Return ``base ** exponent``; a constant exponent or base is captured by the rule.

    >>> pow(2.0, 3)
    8.0
    """
    if isinstance(base, Node) or isinstance(exponent, Node):
        return base**exponent
    return ops.pow_(base, exponent)


def leaky_relu(x: Any, slope: float = 0.01) -> Any:
    """Return ``x`` if ``x > 0``, else ``slope * x``.

    >>> leaky_relu(-2.0, slope=0.5)
    -1.0
    """
    return ops.leaky_relu_with(to_float(slope, "slope"))(x)


def elu(x: Any, alpha: float = 1.0) -> Any:
    """Return ``x`` if ``x > 0``, else ``alpha * (e**x - 1)``.

    >>> elu(2.0), elu(-1000.0)
    (2.0, -1.0)
    """
    return ops.elu_with(to_float(alpha, "alpha"))(x)


def polygamma(order: int, x: Any) -> Any:
    """Return the derivative of the digamma function, taken ``order`` times.

    Args:
        order: 0 (``digamma`` itself) to 100.
        x: A number or node; greater than 0 unless ``order`` is 0.

    Raises:
        ValueError: If ``order`` is not such a number.

    >>> round(polygamma(1, 1.0) * 1000.0)
    1645.0
    """
    number = to_float(order, "order")
    return ops.digamma(x) if number == 0.0 else ops.polygamma_of(number)(x)


def greater(a: Any, b: Any) -> Any:
    """Return 1.0 if ``a > b``, else 0.0.

    >>> greater(2.0, 1.0)
    1.0
    """
    return ops.less(b, a)


def greater_equal(a: Any, b: Any) -> Any:
    """Return 1.0 if ``a >= b``, else 0.0.

    >>> greater_equal(1.0, 1.0)
    1.0
    """
    return ops.less_equal(b, a)


def where(condition: Any, a: Any, b: Any) -> Any:
    """Return ``a`` where the condition holds (is not 0), else ``b``; both have been computed.

    The gradient flows to the chosen one alone. ``condition`` is a bool, a number, or a node, such
    as the result of a comparison.

    >>> where(2.0 > 1.0, 10.0, 20.0)
    10.0
    """
    if isinstance(condition, bool) or str(getattr(condition, "dtype", "")) == "bool":  # or numpy's
        condition = float(condition)
    return ops.where(condition, a, b)


def sum(terms: Iterable[Any]) -> Any:
    """Return the sum of ``terms`` as a single node, added from left to right; 0.0 if none.

    >>> sum([1.0, 2.0, 3.0])
    6.0
    """
    operands = tuple(terms)
    return ops.sum_(*operands) if operands else 0.0


def mean(terms: Iterable[Any]) -> Any:
    """Return the arithmetic mean of ``terms``.

    Raises:
        ValueError: If there are none.

    >>> mean([1.0, 2.0, 6.0])
    3.0
    """
    operands = _some(terms, "mean")
    return ops.sum_(*operands) / len(operands)


def dot(a: Sequence[Any], b: Sequence[Any], start: Any = None) -> Any:
    """Return ``start + a[0] b[0] + ... + a[n-1] b[n-1]`` as a single node.

    This is a neuron before its activation, ``w . x + b``.

    Raises:
        ValueError: If ``a`` and ``b`` differ in length.

    >>> dot([1.0, 2.0], [3.0, 4.0], start=10.0)
    21.0
    """
    if len(a) != len(b):
        raise ValueError(
            f"dot: expected two sequences of one length, got lengths {len(a)} and {len(b)}"
        )
    if len(a) == 0:
        return 0.0 if start is None else start
    return ops.dot(*a, *b) if start is None else ops.dot(*a, *b, start)


def max(values: Iterable[Any]) -> Any:
    """Return the largest of ``values``; tied operands share the gradient evenly, as in torch.

    Raises:
        ValueError: If there are none.

    >>> max([1.0, 3.0, 2.0])
    3.0
    """
    return ops.max_(*_some(values, "max"))


def min(values: Iterable[Any]) -> Any:
    """Return the smallest of ``values``; tied operands share the gradient evenly, as in torch.

    Raises:
        ValueError: If there are none.

    >>> min([1.0, 3.0, 2.0])
    1.0
    """
    return -ops.max_(*(-value for value in _some(values, "min")))


def logsumexp(values: Iterable[Any]) -> Any:
    """Return ``log(sum(exp(v) for v in values))`` without overflow.

    Raises:
        ValueError: If there are no values.

    >>> logsumexp([1000.0, 1000.0])
    1000.6931471805599
    """
    return ops.logsumexp(*_some(values, "logsumexp"))


def log_softmax(logits: Iterable[Any]) -> list[Any]:
    """Return the logarithms of the softmax probabilities, stable for any finite logits.

    >>> log_softmax([0.0, 0.0])
    [-0.6931471805599453, -0.6931471805599453]
    """
    shifted = ops.less_the_largest(_some(logits, "log_softmax"))
    normaliser = ops.logsumexp(*shifted)
    return [logit - normaliser for logit in shifted]


def softmax(logits: Iterable[Any]) -> list[Any]:
    """Return K probabilities that add up to 1: ``exp(z_i) / sum_k exp(z_k)``, without overflow.

    Source: the notes, section 'Multi-Class Logistic Regression'.

    >>> softmax([0.0, 0.0, -10000.0])
    [0.5, 0.5, 0.0]
    """
    powers = [ops.exp(logit) for logit in ops.less_the_largest(_some(logits, "softmax"))]
    total = ops.sum_(*powers)
    return [power / total for power in powers]


def norm(values: Iterable[Any]) -> Any:
    """Return the length of a vector, ``sqrt(sum(v**2))``, without overflow; its slope at 0 is 0.

    Raises:
        ValueError: If there are no values.

    >>> norm([3.0, 4.0])
    5.0
    """
    return ops.norm(*_some(values, "norm"))


def take(values: Sequence[Any], index: Any) -> Any:
    """Return ``values[index]`` for an index from 0 to ``len(values) - 1``.

    The index may be an integer, a float or a node that holds one; in compiled code it may be known
    at run time only. The gradient flows to the chosen value alone.

    Raises:
        IndexError: If the index is out of range or not a whole number.

    >>> take([10.0, 20.0, 30.0], 1)
    20.0
    """
    operands = _some(values, "take")
    if tracing() and isinstance(index, Node):
        index = lifted(index)  # of a captured Value; a symbol stays one
    if any(isinstance(x, Node) and x.rank > 0 for x in (index, *operands)):
        return ops.take(index, *operands)
    position = to_float(getattr(index, "data", index), "take: index")
    if not 0 <= position < len(operands) or position != int(position):
        raise IndexError(
            f"take: expected a whole index from 0 to {len(operands) - 1}, got {position:g}"
        )
    return operands[int(position)]


def _some(values: Iterable[Any], name: str) -> tuple[Any, ...]:
    operands = tuple(values)
    if not operands:
        raise ValueError(f"{name}: expected at least one value, got none")
    return operands


__all__ = sorted(
    {op.name for op in ops.TABLE.values()}
    | {"elu", "greater", "greater_equal", "leaky_relu", "log_softmax", "mean"}
    | {"min", "polygamma", "scan", "softmax"}
)

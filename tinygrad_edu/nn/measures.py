"""How good predictions are: the notes' accuracy, and the confusion matrix.

Source: the notes, section 'Measuring Accuracy'. These count; they have no gradient.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from tinygrad_edu.engine.number import as_float


def sgn(x: Any) -> int:
    """Return -1 when ``x`` is negative, else 1: the notes' indicator function.

    >>> sgn(-0.5), sgn(0.0), sgn(2.0)
    (-1, 1, 1)
    """
    return -1 if as_float(x) < 0.0 else 1


def argmax(values: Sequence[Any]) -> int:
    """Return the position of the largest value, the first one if several are.

    Raises:
        ValueError: If there are no values.

    >>> argmax([1.0, 3.0, 3.0])
    1
    """
    numbers = [as_float(value) for value in values]
    if not numbers:
        raise ValueError("argmax: expected at least one value, got none")
    return numbers.index(max(numbers))


def decide(output: Any) -> int:
    """Return the label a classifier's scores stand for: argmax of a list, sgn of a single score.

    >>> decide([0.1, 0.7, 0.2]), decide(-3.0)
    (1, -1)
    """
    return argmax(output) if isinstance(output, (list, tuple)) else sgn(output)


def accuracy(predicted: Iterable[Any], labels: Iterable[Any]) -> float:
    """Return the fraction of predictions that equal their label, from 0 to 1.

    With ``predicted = [sgn(score) for ...]`` or ``[argmax(scores) for ...]`` this is the notes'
    ``1/n sum_i (sgn(w . f(x_i)) == y_i)``.

    Raises:
        ValueError: If there are none, or not one label for each prediction.

    >>> accuracy([1, -1, 1, 1], [1, -1, -1, 1])
    0.75
    """
    pairs = _pairs(predicted, labels)
    return sum(as_float(p) == as_float(y) for p, y in pairs) / len(pairs)


def confusion_matrix(
    predicted: Iterable[Any], labels: Iterable[Any], classes: int | None = None
) -> list[list[int]]:
    """Count how often class ``i`` was taken for class ``j``: row i, column j.

    Args:
        predicted: Predicted classes, whole numbers from 0.
        labels: The true classes, whole numbers from 0.
        classes: K; by default one more than the largest class that occurs.

    Raises:
        ValueError: If there are none, the lengths differ, or a class is not in 0 to K - 1.

    >>> confusion_matrix([0, 1, 1, 1], [0, 0, 1, 1])
    [[1, 1], [0, 2]]
    """
    pairs = _pairs(predicted, labels)
    found = [number for pair in pairs for number in pair]
    count = int(max(as_float(c) for c in found)) + 1 if classes is None else classes
    for i, number in enumerate(found):
        if not 0 <= as_float(number) < count or as_float(number) != int(number):
            kind = "label" if i % 2 else "prediction"
            raise ValueError(
                f"confusion_matrix: {kind} {i // 2}: expected a class from 0 to {count - 1}, "
                f"got {number!r}"
            )
    matrix = [[0] * count for _ in range(count)]
    for p, y in pairs:
        matrix[int(y)][int(p)] += 1
    return matrix


def _pairs(predicted: Iterable[Any], labels: Iterable[Any]) -> list[tuple[Any, Any]]:
    first, second = list(predicted), list(labels)
    if len(first) != len(second) or not first:
        raise ValueError(
            "expected as many predictions as labels, at least one; "
            f"got {len(first)} and {len(second)}"
        )
    return list(zip(first, second))

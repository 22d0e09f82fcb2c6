"""Feature maps: the functions ``f(x)`` that a linear model looks at instead of ``x`` itself.

The notes, section 'Non-linear Separators': points on a line that no single threshold separates are
separated by a line in the plane once ``x^2`` is added as a second feature. A feature map is any
function from a list of inputs to a list of features; it works on numbers and nodes alike.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import combinations_with_replacement
from typing import Any

FeatureMap = Callable[[Sequence[Any]], Sequence[Any]]


class Polynomial:
    """All products of up to ``degree`` inputs: x, y, x^2, xy, y^2, ... (without the constant 1).

    Args:
        degree: The highest degree, from 1.

    Raises:
        TypeError, ValueError: If the degree is no whole number from 1.

    The order is by degree, as in scikit-learn's ``PolynomialFeatures``.

    >>> Polynomial(2)([3.0])                 # the notes' x -> (x, x^2)
    [3.0, 9.0]
    >>> Polynomial(2)([3.0, 10.0])
    [3.0, 10.0, 9.0, 30.0, 100.0]
    """

    def __init__(self, degree: int) -> None:
        if not isinstance(degree, int) or isinstance(degree, bool):
            raise TypeError(
                f"degree: expected a whole number, got {type(degree).__name__} {degree!r}"
            )
        if degree < 1:
            raise ValueError(f"degree: expected at least 1, got {degree}")
        self.degree = degree

    def __call__(self, x: Sequence[Any]) -> list[Any]:
        # Each product of degree d is one of degree d - 1 times one more input.
        products: dict[tuple[int, ...], Any] = {(i,): value for i, value in enumerate(x)}
        for d in range(2, self.degree + 1):
            for chosen in combinations_with_replacement(range(len(x)), d):
                products[chosen] = products[chosen[:-1]] * x[chosen[-1]]
        return list(products.values())

    def __repr__(self) -> str:
        return f"Polynomial({self.degree})"


def feature_count(features: FeatureMap | None, nin: int) -> int:
    """Return how many features a map makes of ``nin`` inputs; it is tried on a row of ones.

    >>> feature_count(Polynomial(2), 2), feature_count(None, 2)
    (5, 2)
    """
    return nin if features is None else len(features([1.0] * nin))

"""Algorithms 1 and 2 of the notes on any function: follow its gradient until it converges."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from tinygrad_edu.engine.number import as_float
from tinygrad_edu.engine.value import Value
from tinygrad_edu.optim.clipping import gradient_norm
from tinygrad_edu.optim.optimizer import Optimizer


@dataclass
class Path:
    """Where an optimizer went.

    Attributes:
        points: The points, the start first; each a list of n numbers.
        values: The function's value at each point.
        converged: Whether the gradient became as small as asked for.

    >>> from tinygrad_edu.optim import GradientDescent, follow_gradient
    >>> path = follow_gradient(lambda x: (x - 3.0) ** 2, [0.0], GradientDescent(0.5))
    >>> path.converged, path.points[-1], path.values[-1]
    (True, [3.0], 0.0)
    """

    points: list[list[float]]
    values: list[float]
    converged: bool

    def __repr__(self) -> str:
        how = "converged" if self.converged else "not converged"
        return f"<path of {len(self.points) - 1} steps to {self.points[-1]}, {how}>"


def follow_gradient(
    function: Callable[..., Any],
    start: Sequence[float],
    optimizer: Optimizer,
    *,
    steps: int = 1000,
    tolerance: float = 1e-9,
) -> Path:
    """Minimise (or, with ``GradientAscent``, maximize) ``function(x_1, ..., x_n)`` from ``start``.

    Args:
        function: Takes n nodes, returns one.
        start: The n numbers to start from.
        optimizer: How to step; ``GradientDescent(alpha)`` is Algorithm 2, ``GradientAscent(alpha)``
            Algorithm 1.
        steps: How many steps to take at most.
        tolerance: Converged when the gradient is no longer than this.

    A path that diverges ends at its last finite point.

    >>> from tinygrad_edu.optim import GradientDescent
    >>> path = follow_gradient(lambda x, y: x**2 + 3 * y**2, [4.0, 2.0], GradientDescent(0.1))
    >>> path.converged, [round(x, 6) for x in path.points[-1]]
    (True, [0.0, 0.0])
    """
    point = [Value(x) for x in start]
    path = Path([[x.data for x in point]], [], False)
    while True:
        for x in point:
            x.grad = 0.0
        try:
            value = function(*point)
            number = as_float(value)
            if isinstance(value, Value):
                value.backward()
            finite = math.isfinite(number) and math.isfinite(gradient_norm(point))
            if not finite:
                raise FloatingPointError
        except ArithmeticError:
            if not path.values:
                raise
            path.points.pop()
            return path
        path.values.append(number)
        path.converged = gradient_norm(point) <= tolerance
        if path.converged or len(path.values) > steps:
            return path
        try:
            optimizer.step(point)
        except ArithmeticError:
            return path
        path.points.append([x.data for x in point])

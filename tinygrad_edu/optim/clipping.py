"""Gradient clipping: steps stay bounded where a gradient is huge (Pascanu et al., 2013).

Both functions agree with ``torch.nn.utils``.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any


def gradient_norm(parameters: Iterable[Any]) -> float:
    """Return the Euclidean length of the gradient, ``sqrt(sum of p.grad ** 2)``.

    >>> from tinygrad_edu import Value
    >>> a, b = Value(0.0), Value(0.0)
    >>> a.grad, b.grad = 3.0, 4.0
    >>> gradient_norm([a, b])
    5.0
    """
    return math.hypot(*[parameter.grad for parameter in parameters])


def clip_gradient_norm(parameters: Iterable[Any], limit: float) -> float:
    """Shorten the gradient to length ``limit`` if it is longer; return the length it had.

    Raises:
        ValueError: If the limit is not above 0.

    >>> from tinygrad_edu import Value
    >>> a = Value(0.0); a.grad = 30.0
    >>> clip_gradient_norm([a], 3.0), round(a.grad, 6)
    (30.0, 3.0)
    """
    _check(limit)
    clipped = list(parameters)
    norm = gradient_norm(clipped)
    factor = limit / (norm + 1e-6)  # torch's guard against division by zero
    if factor < 1.0:
        for parameter in clipped:
            parameter.grad *= factor
    return norm


def clip_gradient_value(parameters: Iterable[Any], limit: float) -> None:
    """Limit each component of the gradient to [-limit, limit].

    Raises:
        ValueError: If the limit is not above 0.

    >>> from tinygrad_edu import Value
    >>> a = Value(0.0); a.grad = -30.0
    >>> clip_gradient_value([a], 3.0); a.grad
    -3.0
    """
    _check(limit)
    for parameter in parameters:
        parameter.grad = max(-limit, min(limit, parameter.grad))


def _check(limit: float) -> None:
    if not limit > 0.0:
        raise ValueError(f"limit: expected a number above 0, got {limit!r}")

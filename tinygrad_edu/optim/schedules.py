"""Learning-rate schedules: how the size of the steps shrinks.

The notes, section 'Optimization': "start gradient descent with a relatively large learning rate and
reduce the learning rate as the number of iterations increases (learning rate decay)". A schedule is
a function from the number of steps taken so far (or, with ``per="epoch"``, of epochs) to the
learning rate.

>>> [InverseTime(1.0, decay=1.0)(t) for t in range(4)]
[1.0, 0.5, 0.3333333333333333, 0.25]
"""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Schedule:
    """A learning rate that stays ``start``; the base of the other schedules.

    Args:
        start: The learning rate at the beginning, above 0.
        per: ``"step"`` (default) or ``"epoch"``: what is counted.

    Raises:
        ValueError: If an argument is out of range.

    >>> Constant(0.1)(1000)
    0.1
    """

    start: float
    per: str = "step"

    def __post_init__(self) -> None:
        if not 0.0 < self.start < math.inf:
            raise ValueError(f"start: expected a learning rate above 0, got {self.start!r}")
        if self.per not in ("step", "epoch"):
            raise ValueError(f"per: expected 'step' or 'epoch', got {self.per!r}")

    def __call__(self, t: int) -> float:  # noqa: ARG002
        """Return the learning rate after ``t`` steps (or epochs), ``t`` from 0."""
        return self.start


class Constant(Schedule):
    """The same learning rate throughout.

    >>> [Constant(0.1)(t) for t in range(3)]
    [0.1, 0.1, 0.1]
    """


@dataclass(frozen=True)
class StepDecay(Schedule):
    """Multiply by ``factor`` after every ``every`` steps: ``start * factor ** (t // every)``.

    >>> [StepDecay(1.0, factor=0.5, every=2)(t) for t in range(5)]
    [1.0, 1.0, 0.5, 0.5, 0.25]
    """

    factor: float = 0.1
    every: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        _check(self.factor > 0.0, "factor: expected a number above 0", self.factor)
        _check(self.every >= 1, "every: expected at least 1", self.every)

    def __call__(self, t: int) -> float:
        return float(self.start * self.factor ** (t // self.every))


@dataclass(frozen=True)
class ExponentialDecay(Schedule):
    """Multiply by ``factor`` after each step: ``start * factor ** t``.

    >>> ExponentialDecay(1.0, factor=0.5)(3)
    0.125
    """

    factor: float = 0.99

    def __post_init__(self) -> None:
        super().__post_init__()
        _check(self.factor > 0.0, "factor: expected a number above 0", self.factor)

    def __call__(self, t: int) -> float:
        return float(self.start * self.factor**t)


@dataclass(frozen=True)
class InverseTime(Schedule):
    """Shrink as one over time: ``start / (1 + decay * t)``.

    >>> InverseTime(1.0, decay=0.5)(2)
    0.5
    """

    decay: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        _check(self.decay >= 0.0, "decay: expected a number from 0", self.decay)

    def __call__(self, t: int) -> float:
        return self.start / (1.0 + self.decay * t)


@dataclass(frozen=True)
class Linear(Schedule):
    """Go in a straight line from ``start`` to ``end`` within ``steps``, then stay there.

    >>> [Linear(1.0, end=0.0, steps=4)(t) for t in (0, 1, 4, 9)]
    [1.0, 0.75, 0.0, 0.0]
    """

    end: float = 0.0
    steps: int = 100

    def __post_init__(self) -> None:
        super().__post_init__()
        _check(self.end >= 0.0, "end: expected a learning rate from 0", self.end)
        _check(self.steps >= 1, "steps: expected at least 1", self.steps)

    def __call__(self, t: int) -> float:
        done = min(t, self.steps) / self.steps
        return self.start + (self.end - self.start) * done


@dataclass(frozen=True)
class Cosine(Linear):
    """Go from ``start`` to ``end`` within ``steps`` along half a cosine, then stay there.

    Source: Loshchilov and Hutter, 2017, without restarts.

    >>> [round(Cosine(1.0, end=0.0, steps=4)(t), 3) for t in (0, 1, 2, 4, 9)]
    [1.0, 0.854, 0.5, 0.0, 0.0]
    """

    def __call__(self, t: int) -> float:
        done = min(t, self.steps) / self.steps
        return self.end + (self.start - self.end) * (1.0 + math.cos(math.pi * done)) / 2.0


def _check(fine: bool, wanted: str, got: object) -> None:
    if not fine:
        raise ValueError(f"{wanted}, got {got!r}")

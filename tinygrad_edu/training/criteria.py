"""When to stop: the notes' "while w not converged", made precise.

A criterion is a function of the ``History`` so far that returns the reason to stop, or nothing. It
keeps no state of its own, so a training that is resumed with its history stops where it would have.

>>> from tinygrad_edu.training.history import History
>>> LossChange(below=0.01)(History(loss=[1.0, 0.5, 0.495]))
'the loss changed by less than 0.01'
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

from tinygrad_edu.training.history import History


@dataclass(frozen=True)
class GradientNorm:
    """Stop when the gradient is no longer than ``below``: at a stationary point it is 0.

    >>> GradientNorm(below=0.1)(History(gradient_norm=[1.0, 0.05]))
    'the gradient norm fell to 0.05'
    """

    below: float = 1e-6

    def __post_init__(self) -> None:
        _check(0.0 <= self.below < math.inf, "below: expected a number from 0", self.below)

    def __call__(self, history: History) -> str | None:
        """Return the reason to stop, or ``None``."""
        norm = history.gradient_norm[-1]
        return f"the gradient norm fell to {norm:.3g}" if norm <= self.below else None


@dataclass(frozen=True)
class LossChange:
    """Stop when the training loss changed by less than ``below`` in each of the last ``epochs``.

    >>> from tinygrad_edu.training import History
    >>> LossChange(below=0.01)(History(loss=[1.0, 0.5, 0.499]))
    'the loss changed by less than 0.01'
    """

    below: float = 1e-9
    epochs: int = 1

    def __post_init__(self) -> None:
        _check(0.0 < self.below < math.inf, "below: expected a number above 0", self.below)
        _check(self.epochs >= 1, "epochs: expected at least 1", self.epochs)

    def __call__(self, history: History) -> str | None:
        """Return the reason to stop, or ``None``."""
        recent = history.loss[-self.epochs - 1 :]
        if len(recent) <= self.epochs:
            return None
        small = all(abs(b - a) < self.below for a, b in pairwise(recent))
        return f"the loss changed by less than {self.below:g}" if small else None


@dataclass(frozen=True)
class Patience:
    """Stop when ``epochs`` epochs have passed without a loss better than before by ``margin``.

    Looks at the held-out loss if there is one, else at the training loss.

    >>> Patience(epochs=2)(History(validation_loss=[1.0, 0.5, 0.6, 0.7]))
    'no better loss in 2 epochs'
    """

    epochs: int = 10
    margin: float = 0.0

    def __post_init__(self) -> None:
        _check(self.epochs >= 1, "epochs: expected at least 1", self.epochs)
        _check(0.0 <= self.margin < math.inf, "margin: expected a number from 0", self.margin)

    def __call__(self, history: History) -> str | None:
        """Return the reason to stop, or ``None``."""
        sign = -1.0 if history.maximize else 1.0
        best, since = math.inf, 0
        for loss in history.monitored:
            if sign * loss < best - self.margin:
                best, since = sign * loss, 0
            else:
                since += 1
        return f"no better loss in {self.epochs} epochs" if since >= self.epochs else None


def _check(fine: bool, wanted: str, got: object) -> None:
    if not fine:
        raise ValueError(f"{wanted}, got {got!r}")

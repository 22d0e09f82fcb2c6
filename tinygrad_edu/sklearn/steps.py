"""The steps of the networks' solvers on one array of numbers: ``"sgd"``, ``"adam"``, and ours.

The first two step as scikit-learn's do, which differs in small things from ``tinygrad_edu.optim``
and torch: the learning rate is inside of the velocity, and Adam's ``epsilon`` is added to a root
that is not yet corrected for its start at 0.
"""

from __future__ import annotations

import math
from copy import deepcopy
from typing import Any, Protocol

import numpy

from tinygrad_edu.engine.value import Value
from tinygrad_edu.optim import Optimizer

_SMALLEST_RATE, _DIVISOR = 1e-6, 5.0  # of learning_rate="adaptive"


class Steps(Protocol):
    """How a solver gets from a gradient to the next numbers."""

    def step(self, numbers: Any, gradient: Any) -> Any:
        """Return the numbers after a step down the gradient."""

    def epoch_ends(self, rows: int) -> None:
        """Take note of an epoch's end, after so many rows since training began."""

    def slower(self) -> bool:
        """Go on with smaller steps where that is foreseen; else return ``False``."""


class Descent:
    """Gradient descent with (Nesterov's) momentum.

    >>> import numpy
    >>> Descent(0.5, momentum=0.0, nesterov=False).step(numpy.ones(1), numpy.ones(1)).tolist()
    [0.5]
    """

    def __init__(
        self,
        rate: float,
        schedule: str = "constant",
        *,
        momentum: float,
        nesterov: bool,
        power: float = 0.5,
    ) -> None:
        self.first = self.rate = float(rate)
        self.schedule, self.power = schedule, power
        self.momentum, self.nesterov = momentum, nesterov
        self.velocity: Any = 0.0

    def step(self, numbers: Any, gradient: Any) -> Any:
        push = self.rate * gradient
        self.velocity = self.momentum * self.velocity - push
        if self.nesterov:
            return numbers + (self.momentum * self.velocity - push)
        return numbers + self.velocity

    def epoch_ends(self, rows: int) -> None:
        if self.schedule == "invscaling":
            self.rate = self.first / (rows + 1) ** self.power

    def slower(self) -> bool:
        if self.schedule != "adaptive" or self.rate <= _SMALLEST_RATE:
            return False
        self.rate /= _DIVISOR
        return True


class AdamSteps:
    """Adam with ``epsilon`` beside the root of the running mean of squares.

    Source: Kingma and Ba, 2015, the more efficient order at the end of section 2.
    """

    def __init__(self, rate: float, beta_1: float, beta_2: float, epsilon: float) -> None:
        self.rate, self.betas, self.epsilon = rate, (beta_1, beta_2), epsilon
        self.mean: Any = 0.0
        self.square: Any = 0.0
        self.taken = 0

    def step(self, numbers: Any, gradient: Any) -> Any:
        beta_1, beta_2 = self.betas
        self.taken += 1
        self.mean = beta_1 * self.mean + (1.0 - beta_1) * gradient
        self.square = beta_2 * self.square + (1.0 - beta_2) * gradient**2
        rate = self.rate * math.sqrt(1.0 - beta_2**self.taken) / (1.0 - beta_1**self.taken)
        return numbers - rate * self.mean / (numpy.sqrt(self.square) + self.epsilon)

    def epoch_ends(self, rows: int) -> None:
        """Nothing changes."""

    def slower(self) -> bool:
        return False


class OptimizerSteps:
    """An optimizer of ``tinygrad_edu.optim``, with its own schedule; it works on a copy."""

    def __init__(self, optimizer: Optimizer, compiled: bool) -> None:
        self.optimizer = deepcopy(optimizer)
        # who steps in another way than by update alone does so here too
        self.compiled = compiled and type(optimizer).step is Optimizer.step
        self.parameters: list[Value] = []
        self.state: Any = None
        self._program: Any = None

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_program": None}

    def step(self, numbers: Any, gradient: Any) -> Any:
        optimizer = self.optimizer
        if not self.compiled:
            if len(self.parameters) != len(numbers):
                self.parameters = [Value(x) for x in numbers.tolist()]
            for parameter, number, slope in zip(
                self.parameters, numbers.tolist(), gradient.tolist()
            ):
                parameter.data, parameter.grad = number, slope
            optimizer.step(self.parameters)
            return numpy.array([parameter.data for parameter in self.parameters])
        if self.state is None:
            self.state = numpy.tile(numpy.array(optimizer.initial, float), (len(numbers), 1))
        if self._program is None:
            from tinygrad_edu.compiler import compile

            def update(number: Any, slope: Any, state: Any, rate: Any, taken: Any) -> Any:
                moved, after = optimizer.update(number, slope, tuple(state), rate, taken)
                return [moved, *after]

            self._program = compile(update)
        sign = -1.0 if optimizer.maximize else 1.0
        rate, taken = optimizer.learning_rate, optimizer.steps + 1
        moved, *after = self._program.map(
            numbers, sign * gradient, self.state, rate, float(taken), shared=(3, 4)
        )
        if after:
            self.state = numpy.stack(after, axis=-1)
        optimizer.steps = taken
        return moved

    def epoch_ends(self, rows: int) -> None:  # noqa: ARG002 (it counts for itself)
        self.optimizer.end_epoch()

    def slower(self) -> bool:
        return False

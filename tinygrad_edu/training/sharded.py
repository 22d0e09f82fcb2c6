"""Training on many workers: gradients of parts of the data, added up.

The notes' log-likelihood is a sum over the examples, and so is its gradient. Each batch is cut into
shards, workers compute the sums over a shard each, and one step is taken with their total. The
workers may be threads, processes or machines: whatever a ``concurrent.futures.Executor`` has.

The shards of a batch and the order in which they are added depend on the number of shards alone, so
the result is the same, bit for bit, however many workers there are and however often one of them
fails; with one process and no shards it is the same up to the rounding of a sum in another order.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from tinygrad_edu.training.eager import EagerEngine, Measured
from tinygrad_edu.training.problem import Problem
from tinygrad_edu.training.workers import Sharding, Workers


class ShardedEngine(EagerEngine):
    """Has the gradients computed by workers, and takes the steps here.

    Raises:
        TypeError: If model or loss cannot be sent to another process.
    """

    workers: Workers
    place: str

    def __init__(self, problem: Problem, sharding: Sharding, compiled: bool) -> None:
        super().__init__(problem)
        self.workers, self.place = Workers(problem, sharding, compiled), ""
        self.taken: _NativeStep | None = _NativeStep(problem) if compiled else None

    def epoch(self, batches: Sequence[Sequence[int]], number: int) -> Measured:
        """Take one step for each batch; see ``StepEngine``."""
        if self.taken is None:
            return super().epoch(batches, number)
        self.taken.read()
        try:
            return super().epoch(batches, number)
        finally:
            self.taken.write()

    def step(
        self, batch: Sequence[int], epoch: int, number: int
    ) -> tuple[float, float, float, int]:
        """Take a step; see ``EagerEngine``.

        Raises:
            RuntimeError: If a shard failed, or was late, more often than it may. The parameters and
                the optimizer are as they were before the step.
        """
        self.place = f"epoch {epoch}, batch {number}"
        return super().step(batch, epoch, number)

    def _step(self, batch: Sequence[int]) -> tuple[float, float, float, int]:
        if self.taken is None:
            return super()._step(batch)
        shards = self.workers.sums(self.taken.numbers.tobytes(), batch, self.place)
        loss = math.fsum(sums.loss for sums in shards)
        taken = self.taken.take([sums.gradient for sums in shards], loss, len(batch))
        return loss, *taken, sum(sums.correct for sums in shards)

    def _add_gradients(self, batch: Sequence[int]) -> tuple[float, int]:
        parameters = self.problem.parameters
        total, correct = 0.0, 0
        for sums in self.workers.sums([p.data for p in parameters], batch, self.place):
            total += sums.loss
            correct += sums.correct
            for parameter, partial in zip(parameters, sums.gradient):
                parameter.grad += partial
        return total, correct


class _NativeStep:
    """The step of ``EagerEngine`` on arrays, penalty and update compiled.

    Workers are of no use to a training whose steps take longer here than the gradients take there.
    """

    numpy: Any
    problem: Problem
    depth: int
    steps: int

    def __init__(self, problem: Problem) -> None:
        import numpy

        from tinygrad_edu.compiler import compile

        self.numpy, self.problem = numpy, problem
        self.depth = depth = len(problem.optimizer.initial)
        penalty, update = problem.penalty, problem.optimizer.update

        def moved(parameter: Any, gradient: Any, state: Any, rate: Any, number: Any) -> Any:
            after, state = update(parameter, gradient, tuple(state)[:depth], rate, number)
            return [after, *state]

        # compiled from functions that do not know of this object: no cycles
        self.update: Any = compile(moved)
        self.penalty: Any = (
            None if penalty is None else compile(lambda numbers: penalty(list(numbers)))
        )
        self.numbers: Any = None  # these three are arrays
        self.gradient: Any = None
        self.states: Any = None
        self.known: Any = None  # the optimizer's state, as last written
        self.steps = 0  # that the Values do not know of

    def read(self) -> None:
        """Take over the parameters and the optimizer's state."""
        numpy, optimizer = self.numpy, self.problem.optimizer
        self.numbers = numpy.array([p.data for p in self.problem.parameters])
        count = len(self.numbers)
        if optimizer._state is not self.known:
            before = optimizer._state or [optimizer.initial] * count
            self.states = numpy.array(before, dtype=float).reshape(count, self.depth)
        self.steps = 0

    def write(self) -> None:
        """Bring parameters, their gradients and the optimizer's state up to date."""
        if self.steps:
            after = zip(self.problem.parameters, self.numbers.tolist(), self.gradient.tolist())
            for parameter, number, slope in after:
                parameter.data, parameter.grad = number, slope
            self.known = [tuple(state) for state in self.states.tolist()]
            self.problem.optimizer._state = self.known

    def take(self, gradients: Sequence[Any], loss: float, count: int) -> tuple[float, float]:
        """Take a step; return penalty and gradient norm. On error nothing has changed.

        Args:
            gradients: Of the shards, to be added in this order.
            loss: The sum of the examples' losses.
            count: How many examples there were.
        """
        numpy, p, numbers = self.numpy, self.problem, self.numbers
        optimizer = p.optimizer
        gradient = sum(map(numpy.asarray, gradients))
        # 1. The gradient of the objective.
        if p.loss.reduction == "mean":
            gradient = gradient / count
        penalty = 0.0
        if self.penalty is not None:
            penalty, by = self.penalty.value_and_grad(numbers)
            sign = -1.0 if p.loss.maximize else 1.0
            penalty, gradient = sign * penalty, gradient + sign * by
        # 2. Nothing moves unless all is finite.
        norm = float(numpy.sqrt(gradient @ gradient))
        for name, number in (("loss", loss + penalty), ("gradient norm", norm)):
            if not math.isfinite(number):
                raise FloatingPointError(f"the {name} is {number}")
        # 3. Clipping, as tinygrad_edu.optim has it.
        if p.clip_norm is not None and p.clip_norm / (norm + 1e-6) < 1.0:
            gradient = gradient * (p.clip_norm / (norm + 1e-6))
        if p.clip_value is not None:
            gradient = numpy.clip(gradient, -p.clip_value, p.clip_value)
        # 4. The optimizer's step.
        states = self.states if self.depth else numpy.zeros((len(numbers), 1))
        moved, *after = self.update.map(
            numbers, -gradient if optimizer.maximize else gradient, states,
            optimizer.learning_rate, optimizer.steps + 1, shared=(3, 4),
        )  # fmt: skip
        if not numpy.isfinite(moved).all():
            raise FloatingPointError("a parameter would become nan or infinite")
        self.numbers, self.gradient = moved, gradient
        if after:
            self.states = numpy.stack(after, axis=1)
        self.steps += 1
        optimizer.steps += 1
        return penalty, norm

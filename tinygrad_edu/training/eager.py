"""Step engines: what computes gradients and takes the steps while ``fit`` keeps the books.

``fit`` hands an engine a ``Problem`` and then, epoch by epoch, batches of row numbers. The engine
here builds a graph of Values for each example and calls ``backward()``, as the notes' section 'The
Backpropagation Algorithm' has it. A compiled engine does the same work in native code behind the
same two methods.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

from tinygrad_edu.engine.number import as_float
from tinygrad_edu.engine.value import Value
from tinygrad_edu.nn.loss import Loss, predictor
from tinygrad_edu.nn.module import Module
from tinygrad_edu.optim import clip_gradient_norm, clip_gradient_value, gradient_norm
from tinygrad_edu.training.problem import Problem


class Measured(NamedTuple):
    """What an epoch, or an evaluation, came to.

    ``loss`` is the objective over all examples seen (averaged or added up, by the loss's reduction)
    with the penalty, which is averaged over the steps; ``correct`` the number of examples whose
    class was predicted, ``None`` where there are none; ``gradient_norm`` the mean over the steps;
    ``learning_rate`` that of the last step.

    >>> Measured(loss=0.25, correct=3).correct
    3
    """

    loss: float
    correct: int | None
    gradient_norm: float = 0.0
    learning_rate: float = 0.0


class StepEngine(Protocol):
    """The seam between ``fit`` and what does the work.

    >>> sorted(name for name in vars(StepEngine) if name in ("epoch", "evaluate"))
    ['epoch', 'evaluate']
    """

    def epoch(self, batches: Sequence[Sequence[int]], number: int) -> Measured:
        """Take one step of the optimizer for each batch of row numbers.

        When it returns, the parameters of the model and the optimizer's state are up to date.

        Raises:
            FloatingPointError: Made by ``step_error``, if the loss or a gradient is not finite.
                The parameters, their gradients and the optimizer are as they were before that step.
        """

    def evaluate(self, rows: Sequence[Sequence[float]], targets: Sequence[Any]) -> Measured:
        """Return the objective and the number of correct predictions, with present parameters."""


def step_error(epoch: int, batch: int, learning_rate: float, reason: str) -> FloatingPointError:
    """Return the error for a step that failed; epochs and batches count from 1.

    >>> step_error(3, 2, 0.5, "the loss is nan")
    FloatingPointError('epoch 3, batch 2, learning rate 0.5: the loss is nan')
    """
    place = f"epoch {epoch}, batch {batch}, learning rate {learning_rate:g}"
    return FloatingPointError(f"{place}: {reason}")


class EagerEngine:
    """Trains with graphs of Values, one example at a time: memory does not grow with the batch.

    >>> from tinygrad_edu.nn import LinearRegression, squared_error
    >>> from tinygrad_edu.optim import GradientDescent
    >>> from tinygrad_edu.training import Problem
    >>> model = LinearRegression(1, initialization="zeros")
    >>> problem = Problem(model, model.parameters(), [[1.0], [2.0]], [1.0, 3.0], squared_error,
    ...                   GradientDescent(0.1))
    >>> EagerEngine(problem).evaluate([[2.0]], [3.0]).loss
    4.5
    """

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self.predict: Callable[[Any], Any] = predictor(problem.model, problem.loss)

    def epoch(self, batches: Sequence[Sequence[int]], number: int) -> Measured:
        """Take one step for each batch; see ``StepEngine``."""
        p = self.problem
        data = penalty = norms = rate = 0.0
        correct, examples = 0, 0
        for i, batch in enumerate(batches, start=1):
            rate = p.optimizer.learning_rate
            step = self.step(batch, number, i)
            data += step[0]
            penalty += step[1]
            norms += step[2]
            correct += step[3]
            examples += len(batch)
        if p.loss.reduction == "mean":
            data /= examples
        return Measured(
            data + penalty / len(batches),
            correct if p.loss.classifies else None,
            norms / len(batches),
            rate,
        )

    def step(
        self, batch: Sequence[int], epoch: int, number: int
    ) -> tuple[float, float, float, int]:
        """Take step ``number`` of an epoch; return loss, penalty, gradient norm, number correct.

        Raises:
            FloatingPointError: See ``StepEngine.epoch``; on any error all is as before the step.
        """
        p = self.problem
        before = [parameter.grad for parameter in p.parameters]
        try:
            return self._step(batch)
        except BaseException as error:
            for parameter, gradient in zip(p.parameters, before):
                parameter.grad = gradient
            if isinstance(error, (ArithmeticError, ValueError)):
                raise step_error(epoch, number, p.optimizer.learning_rate, str(error)) from error
            raise

    def _step(self, batch: Sequence[int]) -> tuple[float, float, float, int]:
        p, loss = self.problem, self.problem.loss
        for parameter in p.parameters:
            parameter.grad = 0.0
        # 1. The gradients of the examples add up in the leaves.
        total, correct = self._add_gradients(batch)
        if loss.reduction == "mean":
            for parameter in p.parameters:
                parameter.grad /= len(batch)
        # 2. So does the gradient of the penalty.
        penalty = 0.0
        if p.penalty is not None:
            node = p.penalty(p.parameters)
            if loss.maximize:
                node = -node
            if isinstance(node, Value):
                node.backward()
            penalty = as_float(node)
        # 3. Nothing moves unless all is finite.
        norm = gradient_norm(p.parameters)
        for name, number in (("loss", total + penalty), ("gradient norm", norm)):
            if not math.isfinite(number):
                raise FloatingPointError(f"the {name} is {number}")
        if p.clip_norm is not None:
            clip_gradient_norm(p.parameters, p.clip_norm)
        if p.clip_value is not None:
            clip_gradient_value(p.parameters, p.clip_value)
        p.optimizer.step(p.parameters)
        return total, penalty, norm, correct

    def _add_gradients(self, batch: Sequence[int]) -> tuple[float, int]:
        """Add the gradients of the rows to those of the parameters; return loss and correct."""
        p, predict, loss = self.problem, self.predict, self.problem.loss
        counts = loss.classifies
        total, correct = 0.0, 0
        for i in batch:
            prediction, target = predict(p.rows[i]), p.targets[i]
            lost = loss(prediction, target)
            if isinstance(lost, Value):
                lost.backward()
            total += as_float(lost)
            if counts:
                correct += int(loss.correct(prediction, target))
        return total, correct

    def evaluate(self, rows: Sequence[Sequence[float]], targets: Sequence[Any]) -> Measured:
        """Return loss and correct predictions; computed on plain numbers, without a graph."""
        return evaluate_on(
            self.problem.model, rows, targets, self.problem.loss, self.problem.penalty
        )


def evaluate_on(
    model: Module,
    rows: Sequence[Sequence[float]],
    targets: Sequence[Any],
    loss: Loss,
    penalty: Callable[[Sequence[Any]], Any] | None = None,
) -> Measured:
    """Return the objective of a model over checked examples, and how many it gets right."""
    frozen = model.numbers()
    predict = predictor(frozen, loss)
    total, correct = 0.0, 0
    for row, target in zip(rows, targets):
        prediction = predict(row)
        total += as_float(loss(prediction, target))
        if loss.classifies:
            correct += int(loss.correct(prediction, target))
    if loss.reduction == "mean":
        total /= len(rows)
    if penalty is not None:
        extra = as_float(penalty([as_float(p) for p in model.parameters()]))
        total += -extra if loss.maximize else extra
    return Measured(total, correct if loss.classifies else None)

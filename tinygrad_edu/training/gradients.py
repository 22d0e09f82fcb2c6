"""The gradient of a sum of losses over some rows: what is left of training without the steps.

Because an objective is a sum over examples (the notes' log-likelihood, their squared error), so is
its gradient: parts of it can be computed anywhere and added. ``sharding`` does that; a
quasi-Newton method, which chooses its own steps, needs the same function.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

from tinygrad_edu.engine.number import as_float
from tinygrad_edu.engine.value import Value
from tinygrad_edu.nn.loss import Loss, predictor
from tinygrad_edu.nn.module import Module


class Sums(NamedTuple):
    """Sums over rows: of the losses, of correct predictions, and the gradient of the former."""

    loss: float
    correct: int
    gradient: Any  # a list or a numpy array


class Gradients(Protocol):
    """A function of the parameters' numbers and of rows with their targets."""

    def __call__(
        self, numbers: Sequence[float], rows: Sequence[Any], targets: Sequence[Any]
    ) -> Sums:
        """Return the sums over the rows; without rows all are 0."""


class EagerGradients:
    """Builds a graph of Values for each row, on parameters of its own.

    >>> from tinygrad_edu.nn import LinearRegression, squared_error
    >>> gradients = EagerGradients(LinearRegression(1), squared_error)
    >>> gradients([2.0, 0.0], [[1.0], [3.0]], [1.0, 5.0])
    Sums(loss=1.0, correct=0, gradient=[4.0, 2.0])
    """

    def __init__(self, model: Module, loss: Loss) -> None:
        self.parameters: list[Value] = [Value(p.data) for p in model.parameters()]
        self.predict: Any = predictor(model.with_parameters(self.parameters), loss)
        self.loss = loss

    def __call__(
        self, numbers: Sequence[float], rows: Sequence[Any], targets: Sequence[Any]
    ) -> Sums:
        for parameter, number in zip(self.parameters, numbers):
            parameter.data, parameter.grad = float(number), 0.0
        total, correct = 0.0, 0
        for row, target in zip(rows, targets):
            prediction = self.predict(row)
            lost = self.loss(prediction, target)
            if isinstance(lost, Value):
                lost.backward()
            total += as_float(lost)
            if self.loss.classifies:
                correct += int(self.loss.correct(prediction, target))
        return Sums(total, correct, [parameter.grad for parameter in self.parameters])


class CompiledGradients:
    """Runs a native program over the rows; numpy arrays are taken as they are.

    Raises:
        ImportError: If numpy or llvmlite is missing.
    """

    def __init__(self, model: Module, loss: Loss) -> None:
        from tinygrad_edu.compiler import compile

        def example(parameters: Any, row: Any, target: Any) -> Any:
            prediction = predictor(model.with_parameters(parameters), loss)(list(row))
            target = list(target) if hasattr(target, "__len__") else target
            right = loss.correct(prediction, target) if loss.classifies else 0.0
            return loss(prediction, target), right

        self.program: Any = compile(example)

    def __call__(self, numbers: Any, rows: Sequence[Any], targets: Sequence[Any]) -> Sums:
        import numpy

        if len(rows) == 0:
            return Sums(0.0, 0, numpy.zeros(len(numbers)))
        numbers = numpy.asarray(numbers, dtype=numpy.float64)
        total, gradient, correct = self.program.batch_value_and_grad(
            numbers, rows, targets, reduce="sum"
        )
        return Sums(total, round(float(correct.sum())), gradient)


def gradients_of(model: Module, loss: Loss, compiled: bool) -> Gradients:
    """Return the one or the other."""
    return CompiledGradients(model, loss) if compiled else EagerGradients(model, loss)

"""The optimizers: how a gradient becomes a step.

Source: the notes, section 'Optimization', Algorithm 1 (gradient ascent) and Algorithm 2 (gradient
descent), which differ in one sign:

>>> from tinygrad_edu import Value
>>> w = Value(5.0)
>>> optimizer = GradientDescent(0.1)
>>> for _ in range(100):                  # minimize (w - 2)^2
...     w.grad = 0.0
...     ((w - 2.0) ** 2).backward()
...     optimizer.step([w])
>>> round(w.data, 6)
2.0

All of them agree with ``torch.optim``, step for step.
"""
# ruff: noqa: ARG002 (every update takes the state and the number of the step)

from __future__ import annotations

import math
from typing import Any

from tinygrad_edu.engine import ops
from tinygrad_edu.engine.operation import to_float
from tinygrad_edu.optim.optimizer import Optimizer, State
from tinygrad_edu.optim.schedules import Schedule


class GradientDescent(Optimizer):
    """Algorithm 2 of the notes: ``w <- w - alpha * df/dw``.

    >>> GradientDescent(0.1)
    GradientDescent(0.1)
    """

    def update(
        self, parameter: Any, gradient: Any, state: State, learning_rate: Any, step: Any
    ) -> tuple[Any, State]:
        return parameter - learning_rate * gradient, ()


class GradientAscent(GradientDescent):
    """Algorithm 1 of the notes: ``w <- w + alpha * df/dw``, for what is to be maximized.

    >>> GradientAscent(0.1).maximize
    True
    """

    def __init__(self, learning_rate: float | Schedule) -> None:
        super().__init__(learning_rate, maximize=True)


class Momentum(Optimizer):
    """Gradient descent with momentum: ``v <- momentum * v + g``, ``w <- w - alpha * v``.

    Source: Polyak, 1964, in the form of ``torch.optim.SGD``.

    >>> Momentum(0.1, momentum=0.8).momentum
    0.8
    """

    initial: State = (0.0,)

    def __init__(
        self, learning_rate: float | Schedule, momentum: float = 0.9, *, maximize: bool = False
    ) -> None:
        super().__init__(learning_rate, maximize=maximize)
        self.momentum: float = _fraction(momentum, "momentum")

    def update(
        self, parameter: Any, gradient: Any, state: State, learning_rate: Any, step: Any
    ) -> tuple[Any, State]:
        velocity = self.momentum * state[0] + gradient
        return parameter - learning_rate * velocity, (velocity,)


class SGD(Momentum):
    """Gradient descent with momentum 0 by default: torch's name, for programs that move in.

    Whether it is stochastic is said by ``fit(batch=1)``, or by the rows that a loop of one's own
    takes.

    >>> SGD([], lr=0.1)
    SGD(0.1, momentum=0.0)
    """

    def __init__(
        self, learning_rate: float | Schedule, momentum: float = 0.0, *, maximize: bool = False
    ) -> None:
        super().__init__(learning_rate, momentum, maximize=maximize)


class Nesterov(Momentum):
    """Momentum that looks ahead: ``w <- w - alpha * (g + momentum * v)`` with the new ``v``.

    Source: Nesterov, 1983, in the form of ``torch.optim.SGD(nesterov=True)``.

    >>> from tinygrad_edu import Value
    >>> from tinygrad_edu.optim import Nesterov
    >>> w, optimizer = Value(1.0), Nesterov(0.1, momentum=0.5)
    >>> w.grad = 1.0
    >>> optimizer.step([w])                        # 1 - 0.1 (1 + 0.5 * 1)
    >>> print(round(w.data, 12))
    0.85
    """

    def update(
        self, parameter: Any, gradient: Any, state: State, learning_rate: Any, step: Any
    ) -> tuple[Any, State]:
        velocity = self.momentum * state[0] + gradient
        return parameter - learning_rate * (gradient + self.momentum * velocity), (velocity,)


class AdaGrad(Optimizer):
    """Steps divided by the root of the sum of all squared gradients so far.

    Source: Duchi, Hazan and Singer, 2011.

    >>> from tinygrad_edu import Value
    >>> w, optimizer = Value(1.0), AdaGrad(0.1)
    >>> for _ in range(2):
    ...     w.grad = 5.0
    ...     optimizer.step([w])                    # 0.1, then 0.1 over the root of 2
    >>> print(round(w.data, 4))
    0.8293
    """

    initial: State = (0.0,)

    def __init__(
        self, learning_rate: float | Schedule = 0.01, *, eps: float = 1e-10, maximize: bool = False
    ) -> None:
        super().__init__(learning_rate, maximize=maximize)
        self.eps: float = _positive(eps, "eps")

    def update(
        self, parameter: Any, gradient: Any, state: State, learning_rate: Any, step: Any
    ) -> tuple[Any, State]:
        squares = state[0] + gradient * gradient
        return parameter - learning_rate * gradient / (ops.sqrt(squares) + self.eps), (squares,)


class RMSProp(Optimizer):
    """Steps divided by the root of a running mean of the squared gradients.

    Source: Tieleman and Hinton, 2012.

    >>> from tinygrad_edu import Value
    >>> from tinygrad_edu.optim import RMSProp
    >>> w, v = Value(1.0), Value(1.0)
    >>> w.grad, v.grad = 5.0, 0.005
    >>> RMSProp(0.01).step([w, v])                 # steps of one size, whatever the gradient's
    >>> print(round(w.data, 4), round(v.data, 4))
    0.9 0.9
    """

    decay: float
    eps: float

    initial: State = (0.0,)

    def __init__(
        self,
        learning_rate: float | Schedule = 0.01,
        *,
        decay: float = 0.99,
        eps: float = 1e-8,
        maximize: bool = False,
    ) -> None:
        super().__init__(learning_rate, maximize=maximize)
        self.decay, self.eps = _fraction(decay, "decay"), _positive(eps, "eps")

    def update(
        self, parameter: Any, gradient: Any, state: State, learning_rate: Any, step: Any
    ) -> tuple[Any, State]:
        mean = self.decay * state[0] + (1.0 - self.decay) * gradient * gradient
        return parameter - learning_rate * gradient / (ops.sqrt(mean) + self.eps), (mean,)


class Adam(Optimizer):
    """Running means of the gradient and of its square, corrected for their start at 0.

    Source: Kingma and Ba, 2015, Algorithm 1.

    >>> Adam(0.001, betas=(0.8, 0.99)).betas
    (0.8, 0.99)
    """

    initial: State = (0.0, 0.0)

    def __init__(
        self,
        learning_rate: float | Schedule = 0.001,
        *,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        maximize: bool = False,
    ) -> None:
        super().__init__(learning_rate, maximize=maximize)
        self.betas: tuple[float, float] = (
            _fraction(betas[0], "betas[0]"),
            _fraction(betas[1], "betas[1]"),
        )
        self.eps: float = _positive(eps, "eps")

    def update(
        self, parameter: Any, gradient: Any, state: State, learning_rate: Any, step: Any
    ) -> tuple[Any, State]:
        beta1, beta2 = self.betas
        # 1. Running means of the gradient and of its square.
        mean = beta1 * state[0] + (1.0 - beta1) * gradient
        square = beta2 * state[1] + (1.0 - beta2) * gradient * gradient
        # 2. They started at 0: divide by the weight that real gradients have in them by now.
        corrected_mean = mean / (1.0 - beta1**step)
        corrected_square = square / (1.0 - beta2**step)
        # 3. The step.
        change = learning_rate * corrected_mean / (ops.sqrt(corrected_square) + self.eps)
        return parameter - change, (mean, square)


class AdamW(Adam):
    """Adam with decoupled weight decay: the parameter also shrinks by ``alpha * weight_decay``.

    Source: Loshchilov and Hutter, 2019.

    >>> from tinygrad_edu import Value
    >>> from tinygrad_edu.optim import AdamW
    >>> w = Value(2.0)
    >>> AdamW(0.1, weight_decay=0.5).step([w])     # no gradient: the weight shrinks
    >>> print(round(w.data, 12))
    1.9
    """

    def __init__(
        self,
        learning_rate: float | Schedule = 0.001,
        *,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.01,
        maximize: bool = False,
    ) -> None:
        super().__init__(learning_rate, betas=betas, eps=eps, maximize=maximize)
        if not 0.0 <= weight_decay < math.inf:
            raise ValueError(f"weight_decay: expected a number from 0, got {weight_decay!r}")
        self.weight_decay: float = float(weight_decay)

    def update(
        self, parameter: Any, gradient: Any, state: State, learning_rate: Any, step: Any
    ) -> tuple[Any, State]:
        shrunk = parameter * (1.0 - learning_rate * self.weight_decay)
        return super().update(shrunk, gradient, state, learning_rate, step)


def _fraction(number: float, name: str) -> float:
    if not 0.0 <= to_float(number, name) < 1.0:
        raise ValueError(f"{name}: expected a number from 0 to below 1, got {number!r}")
    return float(number)


def _positive(number: float, name: str) -> float:
    if not 0.0 < to_float(number, name) < math.inf:
        raise ValueError(f"{name}: expected a number above 0, got {number!r}")
    return float(number)

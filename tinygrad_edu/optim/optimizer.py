"""What all optimizers have in common: a learning rate, a state, a count of steps, the step itself.

An optimizer states one step for one number, in ``update``, as arithmetic without branches: it runs
on floats here, and on a compiler's symbols. The optimizers themselves are in ``optimizers.py``.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from tinygrad_edu.engine.operation import to_float
from tinygrad_edu.optim.schedules import Constant, Schedule

if TYPE_CHECKING:
    import inspect

State = tuple[Any, ...]


class _BothForms(type):
    """Lets ``Adam(parameters, lr=0.1)``, as torch has it, mean what ``Adam(0.1)`` means here."""

    def __call__(cls, *arguments: Any, **named: Any) -> Any:
        parameters = None
        if arguments and isinstance(arguments[0], Iterable) and not isinstance(arguments[0], str):
            parameters, arguments = list(arguments[0]), arguments[1:]
        if "weight_decay" in named and "weight_decay" not in cls.__signature__.parameters:
            raise TypeError(
                f"{cls.__name__}: there is no weight_decay=; write fit(penalty=L2(strength)), or "
                "take AdamW"
            )
        if "lr" in named:
            named["learning_rate"] = named.pop("lr")
        made = super().__call__(*arguments, **named)
        if parameters is not None:
            for x in parameters:
                if not hasattr(x, "grad"):
                    raise TypeError(
                        f"{cls.__name__}: expected a learning rate, or parameters (Values) and "
                        f"lr=, got {type(x).__name__} {x!r:.40} among them"
                    )
            made.parameters = parameters
        return made

    @property
    def __signature__(cls) -> inspect.Signature:
        import inspect  # asked for by editors and documentation alone

        own = inspect.signature(cls.__init__)  # type: ignore[misc]
        return own.replace(parameters=list(own.parameters.values())[1:])


class Optimizer(metaclass=_BothForms):
    """Base class: the learning rate, the state of each parameter, and the step itself.

    A subclass defines ``update``, and ``initial``: the state of a parameter before the first step.

    Args:
        learning_rate: The size alpha of the steps: a number above 0, or a ``Schedule``.
        maximize: Go up the gradient instead of down.

    Attributes:
        steps: How many steps have been taken.
        epochs: How many epochs have ended, for schedules that count these; ``fit`` counts, a loop
            of one's own calls ``end_epoch()``.

    Raises:
        TypeError, ValueError: If an argument is out of range.

    >>> from tinygrad_edu import Value
    >>> from tinygrad_edu.optim import Optimizer
    >>> class Signs(Optimizer):
    ...     def update(self, parameter, gradient, state, learning_rate, step):
    ...         return parameter - learning_rate * (1.0 if gradient > 0.0 else -1.0), state
    >>> w = Value(1.0)
    >>> w.grad = 0.001
    >>> Signs(0.25).step([w])
    >>> w.data
    0.75
    """

    steps: int
    epochs: int

    initial: State = ()
    unfollowed = ("steps", "epochs", "_state", "_of", "parameters")  # what update gets handed in
    parameters: list[Any] | None = None  # those it was made with, in torch's form

    def __init__(self, learning_rate: float | Schedule, *, maximize: bool = False) -> None:
        if not isinstance(learning_rate, Schedule):
            learning_rate = Constant(to_float(learning_rate, "learning_rate"))
        self.schedule = learning_rate
        self.maximize = maximize
        self.steps = 0
        self.epochs = 0
        self._state: list[State] = []
        self._of: list[Any] | None = None  # whose state it is

    def belongs_to(self, parameters: list[Any]) -> None:
        """Take these as the parameters whose state is kept from now on.

        Raises:
            ValueError: If there is a state, and it is that of others.
        """
        of = self._of
        if self._state and self.initial and of is not None:
            same = len(of) == len(parameters) and all(map(operator.is_, of, parameters))
            if not same:
                raise ValueError(
                    f"{type(self).__name__}: has been stepping other parameters and remembers "
                    "their gradients; take a new one for these"
                )
        self._of = list(parameters)

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_of": None}  # a copy goes on with copies

    def update(
        self, parameter: Any, gradient: Any, state: State, learning_rate: Any, step: Any
    ) -> tuple[Any, State]:
        """Return the parameter after one step down the gradient, and its state.

        Args:
            parameter: Its present number.
            gradient: The derivative of the loss by it (``step`` hands in the negative derivative
                where something is maximized).
            state: What this method returned the last time, ``initial`` before.
            learning_rate: The learning rate of this step.
            step: The number of this step, from 1.
        """
        raise NotImplementedError(f"{type(self).__name__} does not say how it steps: define update")

    @property
    def learning_rate(self) -> float:
        """The learning rate of the next step."""
        return self.learning_rate_after(0)

    def learning_rate_after(self, steps: int) -> float:
        """Return the learning rate of the step that follows ``steps`` more steps of this epoch."""
        return self.schedule(self.steps + steps if self.schedule.per == "step" else self.epochs)

    def _own(self, parameters: Iterable[Any] | None, method: str) -> list[Any]:
        if parameters is not None:
            return list(parameters)
        if self.parameters is None:
            raise TypeError(
                f"{type(self).__name__}.{method}: give the parameters, as in "
                f"optimizer.{method}(model.parameters()), or make the optimizer with them: "
                f"{type(self).__name__}(model.parameters(), lr=0.1)"
            )
        return self.parameters

    def zero_grad(self, parameters: Iterable[Any] | None = None) -> None:
        """Set the gradients of the parameters to 0.

        Args:
            parameters: Those that the optimizer was made with, if ``None``.

        Raises:
            TypeError: If it was made without.

        >>> from tinygrad_edu import Value
        >>> from tinygrad_edu.optim import Adam
        >>> w = Value(1.0)
        >>> optimizer = Adam([w], lr=0.1)
        >>> (w * w).backward(); optimizer.step(); optimizer.zero_grad()
        >>> round(w.data, 6), w.grad
        (0.9, 0.0)
        """
        for parameter in self._own(parameters, "zero_grad"):
            parameter.grad = 0.0

    def step(self, parameters: Iterable[Any] | None = None) -> None:
        """Move the parameters by one step, according to their ``.grad``.

        Args:
            parameters: The same Values, in the same order, at each step; those that the optimizer
                was made with (``Adam(model.parameters(), lr=0.1)``), if ``None``.

        Raises:
            ValueError: If they are not those of the steps before, and there is a state.
            FloatingPointError: If a parameter, or what is remembered of it, would become nan or
                infinite. All are then unchanged.
        """
        moved = self._own(parameters, "step")
        before = self._state or [self.initial] * len(moved)
        if len(before) != len(moved):
            raise ValueError(
                f"{type(self).__name__}.step: expected the {len(before)} parameters of the steps "
                f"before, got {len(moved)}"
            )
        self.belongs_to(moved)
        rate, number = self.learning_rate, self.steps + 1
        sign = -1.0 if self.maximize else 1.0
        update = self.update
        after = [update(p.data, sign * p.grad, s, rate, number) for p, s in zip(moved, before)]
        for i, (data, state) in enumerate(after):
            if not all(map(math.isfinite, state)):  # or the steps would be 0 from now on
                raise FloatingPointError(
                    f"{type(self).__name__}.step {number}: what it remembers of parameter {i} "
                    f"would become {next(x for x in state if not math.isfinite(x))} (gradient "
                    f"{moved[i].grad}): scale the loss or the data, or clip the gradient"
                )
            if not math.isfinite(data):
                raise FloatingPointError(
                    f"{type(self).__name__}.step {number}: parameter {i} would become {data} "
                    f"(gradient {moved[i].grad}, learning rate {rate:g})"
                )
        for parameter, (data, _) in zip(moved, after):
            parameter.data = data
        self._state = [state for _, state in after]
        self.steps = number

    def end_epoch(self) -> None:
        """Count one epoch, for schedules with ``per="epoch"``."""
        self.epochs += 1

    def state_dict(self) -> dict[str, Any]:
        """Return what is needed to go on later, bit for bit, as numbers, lists and texts.

        >>> from tinygrad_edu.optim import Adam
        >>> Adam(0.1).state_dict()
        {'kind': 'Adam', 'steps': 0, 'epochs': 0, 'state': []}
        """
        return {
            "kind": type(self).__name__,
            "steps": self.steps,
            "epochs": self.epochs,
            "state": [list(state) for state in self._state],
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a ``state_dict``; on error nothing is changed.

        Raises:
            ValueError: If it belongs to another kind of optimizer or is damaged.
        """
        kind, here = state.get("kind"), type(self).__name__
        if kind != here:
            raise ValueError(f"load_state_dict: expected the state of {here}, got {kind!r}")
        try:
            steps, epochs = int(state["steps"]), int(state["epochs"])
            states = [tuple(to_float(x, "state") for x in entry) for entry in state["state"]]
        except (KeyError, TypeError) as error:
            raise ValueError(f"load_state_dict: damaged state of {here}: {error!r}") from error
        if any(len(entry) != len(self.initial) for entry in states) or min(steps, epochs) < 0:
            raise ValueError(
                f"load_state_dict: expected {len(self.initial)} numbers for each parameter "
                f"of {here}, and counts from 0"
            )
        self.steps, self.epochs, self._state, self._of = steps, epochs, states, None

    def __repr__(self) -> str:
        counters = ("schedule", "steps", "epochs", "_state", "_of", "parameters")
        constant = isinstance(self.schedule, Constant)
        shown = [f"{self.schedule.start:g}" if constant else repr(self.schedule)]
        for name, value in vars(self).items():
            if name not in counters and value is not False:
                shown.append(f"{name}={value!r}")
        return f"{type(self).__name__}({', '.join(shown)})"

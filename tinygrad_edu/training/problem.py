"""What is to be trained on what: put together and checked before anything changes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from tinygrad_edu.data import as_rows, as_targets
from tinygrad_edu.engine.order import topological_order
from tinygrad_edu.engine.value import Value
from tinygrad_edu.nn.loss import Loss, predictor
from tinygrad_edu.nn.module import Module
from tinygrad_edu.optim import GradientAscent, GradientDescent, Optimizer, Schedule


@dataclass
class Problem:
    """What is to be trained on what, checked by ``fit``.

    Attributes:
        model: The model; its parameters are the ones to change.
        parameters: ``model.parameters()``.
        rows: The training examples.
        targets: Their targets: numbers, whole numbers or lists, as ``loss`` takes them.
        loss: The loss of one example.
        optimizer: Holds the learning rate, the state of the parameters and the count of steps.
        penalty: A function of the parameters, added to the loss (subtracted where it is maximized).
        clip_norm, clip_value: Limits for the gradient, or ``None``.

    >>> from tinygrad_edu.nn import LinearRegression, squared_error
    >>> from tinygrad_edu.optim import GradientDescent
    >>> model = LinearRegression(1)
    >>> problem = Problem(model, model.parameters(), [[1.0]], [2.0], squared_error,
    ...                   GradientDescent(0.1))
    >>> len(problem.parameters), problem.penalty
    (2, None)
    """

    model: Module
    parameters: list[Any]
    rows: list[list[float]]
    targets: list[Any]
    loss: Loss
    optimizer: Optimizer
    penalty: Callable[[Sequence[Any]], Any] | None = None
    clip_norm: float | None = None
    clip_value: float | None = None
    unreached: list[str] = field(
        default_factory=list
    )  # parameters that no looked-at loss depends on


_LOOKED_AT = 20  # rows at most; as a rule the first one reaches all parameters


def make_problem(
    model: Module,
    X: Any,
    y: Any,
    loss: Loss,
    optimizer: Optimizer | None,
    learning_rate: float | Schedule | None,
) -> Problem:
    """Return the problem that ``fit`` was asked to solve, or raise what is wrong with it."""
    if not isinstance(model, Module):
        raise TypeError(f"model: expected a Module, got {type(model).__name__}")
    parameters = model.parameters()
    if not parameters:
        raise ValueError(f"model: expected at least one parameter, {model!r} has none")
    if optimizer is None:
        kind = GradientAscent if loss.maximize else GradientDescent
        optimizer = kind(0.1 if learning_rate is None else learning_rate)
    elif learning_rate is not None:
        raise ValueError("learning_rate: expected it in the optimizer, or no optimizer")
    elif not isinstance(optimizer, Optimizer):
        hint = "; import one from tinygrad_edu.optim, such as Adam(0.01)"
        raise TypeError(
            f"optimizer: expected an Optimizer, got {type(optimizer).__name__}"
            f"{hint if isinstance(optimizer, (str, type)) else ''}"
        )
    if optimizer.maximize != loss.maximize:
        wanted = "be maximized" if loss.maximize else "be minimized"
        raise ValueError(
            f"optimizer: {loss.name} is to {wanted}, but {optimizer!r} does the opposite"
        )
    known = len(optimizer.state_dict()["state"])
    if known not in (0, len(parameters)):
        raise ValueError(
            f"optimizer: has been stepping {known} parameters, this model has {len(parameters)}; "
            "take a new one"
        )
    rows, targets, first = _checked(model, loss, X, y, "")
    optimizer.belongs_to(parameters)
    unreached = _unreached(model, loss, rows, targets, first)
    return Problem(model, parameters, rows, targets, loss, optimizer, unreached=unreached)


def _unreached(
    model: Module, loss: Loss, rows: list[list[float]], targets: list[Any], first: Any
) -> list[str]:
    """Return the names of parameters that the losses of the first rows do not depend on."""
    missing = {parameter: name for name, parameter in model.named_parameters()}
    for i in range(min(len(rows), _LOOKED_AT)):
        value = first if i == 0 else loss(predictor(model, loss)(rows[i]), targets[i])
        if isinstance(value, Value):
            for node in topological_order(value):
                missing.pop(node, None)
        if not missing:
            break
    return list(missing.values())


def held_out_data(problem: Problem, validation: Any) -> tuple[list[list[float]], list[Any]]:
    """Return checked held-out rows and targets for a problem."""
    if not isinstance(validation, (tuple, list)) or len(validation) != 2:
        raise TypeError("validation: expected a pair (X, y)")
    return checked(problem.model, problem.loss, validation[0], validation[1], "validation ")


def checked(
    model: Module, loss: Loss, X: Any, y: Any, which: str
) -> tuple[list[list[float]], list[Any]]:
    """Return rows and targets that suit a model and a loss; ``which`` starts the error messages."""
    rows, targets, _ = _checked(model, loss, X, y, which)
    return rows, targets


def _checked(
    model: Module, loss: Loss, X: Any, y: Any, which: str
) -> tuple[list[list[float]], list[Any], Any]:
    """Do what ``checked`` does; return the loss of the first row, too."""
    rows = as_rows(X, width=getattr(model, "nin", None), name=f"{which}X")
    prediction = predictor(model, loss)(rows[0])  # tells how many outputs there are
    outputs = len(prediction) if isinstance(prediction, (list, tuple)) else 1
    targets = as_targets(y, loss.targets, len(rows), outputs, name=f"{which}y")
    # whatever is wrong with loss and model together, show it now
    first = loss(prediction, targets[0])
    return rows, targets, first

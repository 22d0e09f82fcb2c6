"""The form of a loss, and how training asks a model for what the loss takes.

The losses themselves are in ``losses.py``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from tinygrad_edu.engine import functional, ops
from tinygrad_edu.engine.number import as_float
from tinygrad_edu.engine.operation import Node
from tinygrad_edu.engine.value import Value
from tinygrad_edu.nn.measures import argmax


class Loss:
    """A function of one example's prediction and target, and what training must know about it.

    Args:
        function: ``(prediction, target) -> node``.
        name: For messages and plots.
        reduction: ``"mean"`` or ``"sum"`` over the examples of a batch.
        takes: What a prediction is taken for: ``"numbers"``, ``"scores"`` (a class is chosen by
            sign or by argmax), ``"logits"`` (scores whose sigmoid or softmax are probabilities),
            or ``"probabilities"``.
        targets: ``"number"``, ``"sign"`` (1 and -1, or 1 and 0), or ``"class"`` (0 to K - 1, or
            one-hot; with a single output, two classes as for ``"sign"``), or ``"any"``: numbers or
            lists of them, unchecked.
        maximize: Whether larger is better, as for a log-likelihood.

    >>> absolute = Loss(lambda prediction, target: abs(prediction - target), "absolute error")
    >>> absolute(3.0, 5.0), absolute
    (2.0, <loss absolute error, mean>)
    """

    maximize: bool

    def __init__(
        self,
        function: Callable[[Any, Any], Any],
        name: str = "",
        *,
        reduction: str = "mean",
        takes: str = "numbers",
        targets: str = "number",
        maximize: bool = False,
    ) -> None:
        if reduction not in ("mean", "sum"):
            raise ValueError(f"reduction: expected 'mean' or 'sum', got {reduction!r}")
        if takes not in ("numbers", "scores", "logits", "probabilities"):
            raise ValueError(
                f"takes: expected 'numbers', 'scores', 'logits' or 'probabilities', got {takes!r}"
            )
        if targets not in ("number", "sign", "class", "any"):
            raise ValueError(
                f"targets: expected 'number', 'sign', 'class' or 'any', got {targets!r}"
            )
        self.function = function
        self.name: str | Any = name or getattr(function, "__name__", "loss")
        self.reduction, self.takes, self.targets, self.maximize = (
            reduction,
            takes,
            targets,
            maximize,
        )
        self.__doc__ = function.__doc__

    def __call__(self, prediction: Any, target: Any) -> Any:
        """Return the loss of one example."""
        return self.function(prediction, target)

    def of(self, predictions: Iterable[Any], targets: Iterable[Any]) -> Any:
        """Return the loss of a batch: the sum or mean over its examples, as a single node.

        Raises:
            ValueError: If there are no examples, or not one target for each prediction.

        >>> from tinygrad_edu.nn import squared_error
        >>> squared_error.of([1.0, 2.0], [1.0, 4.0])
        2.0
        """
        first, second = list(predictions), list(targets)
        if len(first) != len(second) or not first:
            raise ValueError(
                f"{self.name}: expected as many predictions as targets, at least one; "
                f"got {len(first)} and {len(second)}"
            )
        total = functional.sum([self.function(p, t) for p, t in zip(first, second)])
        return total / len(first) if self.reduction == "mean" else total

    def mean(self) -> Loss:
        """Return the same loss, averaged over the examples."""
        return self._with(reduction="mean")

    def sum(self) -> Loss:
        """Return the same loss, summed over the examples."""
        return self._with(reduction="sum")

    def _with(self, **changes: Any) -> Loss:
        kept = {k: getattr(self, k) for k in ("reduction", "takes", "targets", "maximize")}
        return Loss(self.function, self.name, **{**kept, **changes})

    @property
    def classifies(self) -> bool:
        """Whether targets are classes, so that predictions are right or wrong."""
        return self.targets in ("sign", "class")

    def correct(self, prediction: Any, target: Any) -> Any:
        """Return 1.0 if the prediction means the target's class, else 0.0; ``None`` if no classes.

        Several outputs: the largest one's position (the first, if several are largest). One output:
        the positive class if it is above 0.5 (probabilities) or 0 (logits), or at least 0 (scores:
        the notes' step function). Works on plain numbers, Values and a compiler's symbols.

        >>> from tinygrad_edu.nn import cross_entropy, hinge
        >>> cross_entropy.correct([0.1, 0.9], 1), hinge.correct(-2.0, 1)
        (1.0, 0.0)
        """
        if not self.classifies:
            return None
        if isinstance(prediction, (list, tuple)):
            truth = _position(target)
            if any(isinstance(x, Node) and x.rank > 0 for x in (truth, *prediction)):
                return ops.equal(_traced_argmax(prediction), truth)
            return as_float(argmax(prediction) == int(as_float(truth)))
        chosen = (
            functional.greater_equal(prediction, 0.0)
            if self.takes == "scores"
            else functional.greater(prediction, 0.5 if self.takes == "probabilities" else 0.0)
        )
        right = ops.equal(chosen, functional.greater(target, 0.0))
        return right.data if isinstance(right, Value) else right

    def __repr__(self) -> str:
        return f"<loss {self.name}, {self.reduction}>"


def _position(target: Any) -> Any:
    if not isinstance(target, (list, tuple)):
        return target
    if any(isinstance(t, Node) and t.rank > 0 for t in target):
        return _traced_argmax(target)
    return argmax(target)


def _traced_argmax(values: Sequence[Any]) -> Any:
    best, largest = 0.0, values[0]
    for i, value in enumerate(values[1:], start=1):
        larger = ops.less(largest, value)
        best = functional.where(larger, float(i), best)
        largest = functional.where(larger, value, largest)
    return best


# losses by the names that other libraries have for them
_WORDS_HERE = {
    name: f"; import {here} from tinygrad_edu.nn and pass it"
    for here, names in {
        "mean_squared_error": ["mse", "l2", "mean_squared_error"],
        "squared_error": ["squared", "squared_error"],
        "cross_entropy": ["cross_entropy", "crossentropy", "categorical_crossentropy", "ce", "nll",
                          "sparse_categorical_crossentropy", "softmax"],
        "log_loss": ["bce", "log", "binary_crossentropy", "log_loss", "logistic"],
        "hinge": ["hinge", "svm", "margin", "max_margin", "max-margin"],
    }.items()
    for name in names
}  # fmt: skip


def as_loss(loss: Any) -> Loss:
    """Return a ``Loss``; any other function of prediction and target becomes one.

    It is averaged over the examples, unless it has an attribute ``reduction``; any targets do.

    Raises:
        TypeError: If it is not a function.

    >>> as_loss(lambda prediction, target: abs(target - prediction))
    <loss <lambda>, mean>
    """
    if isinstance(loss, Loss):
        return loss
    if not callable(loss):
        hint = _WORDS_HERE.get(str(loss).lower().replace("loss", "").strip("_"), "")
        raise TypeError(
            f"loss: expected a function of prediction and target, got {loss!r:.60}{hint}"
        )
    return Loss(loss, reduction=getattr(loss, "reduction", "mean"), targets="any")


def expects_logits(loss: Any) -> bool:
    """Tell whether training should hand a classifier's logits to ``loss``, not its probabilities.

    >>> from tinygrad_edu.nn import cross_entropy, squared_error
    >>> expects_logits(cross_entropy), expects_logits(squared_error)
    (True, False)
    """
    return getattr(loss, "takes", "") in ("logits", "scores")


def predictor(model: Any, loss: Any) -> Callable[[Any], Any]:
    """Return the function of one row whose result ``loss`` takes: ``model``, or its ``logits``.

    Raises:
        ValueError: If the loss takes logits and the last layer already makes probabilities of them.

    >>> from tinygrad_edu.nn import LogisticRegression, cross_entropy
    >>> predictor(LogisticRegression(2), cross_entropy).__name__
    'logits'
    """
    if not expects_logits(loss):
        return model  # type: ignore[no-any-return]
    logits = getattr(model, "logits", None)
    if logits is not None:
        return logits  # type: ignore[no-any-return]
    layers = getattr(model, "layers", None)
    last = getattr(layers[-1], "neurons", None) if layers else None
    if last and last[0].activation is ops.sigmoid:
        raise ValueError(
            f"{loss.name} takes logits, but the last layer of {model!r} has the sigmoid: "
            "leave its output 'identity', or use log_loss"
        )
    return model  # type: ignore[no-any-return]

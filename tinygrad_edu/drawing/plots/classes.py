"""Points of the plane with their classes, and how a model's outputs are read as a class.

What pages and plots of classifiers share: which label is which class, and where the border lies,
are said once, as ``Loss.correct`` in ``nn/loss.py`` has them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from tinygrad_edu.data import as_rows
from tinygrad_edu.nn.loss import Loss, as_loss, predictor
from tinygrad_edu.nn.losses import cross_entropy, hinge, log_loss

# Okabe and Ito's palette without its green and vermilion: green and red are the passes' own.
CLASS_COLORS = ("#0072b2", "#e69f00", "#cc79a7", "#56b4e9", "#8c6d1f", "#6f6f6f")
CLASS_MARKERS = ("o", "s", "^", "D", "o", "s")  # as matplotlib calls them


class Classified:
    """Labelled points of the plane and a classifier's way of answering.

    Args:
        model: A model with two inputs.
        X: The points, n rows of two numbers.
        y: Their labels: 0 to K - 1 (or one-hot) for K outputs; 1 and -1, or 1 and 0, for one.
        loss: The loss of the training, which knows how outputs are read. By default a single output
            is a probability if the last layer is a sigmoid, else a score with its border at 0.
        names: Names of the classes, in the order of their labels.

    Attributes:
        points: The points, as lists of floats.
        labels: For each point its label.
        indices: For each point the place of its class, 0 to K - 1.
        names: The names of the classes.
        outputs: How many outputs the model has.
        threshold: The border of a single output; ``None`` for several, of which the largest counts.
        tie: Whether a single output just on the border means the positive class.

    Raises:
        ValueError: If ``X`` is not n x 2, a label is none of the model's classes, there are too
            many classes, or the names are not as many as the classes.

    >>> from tinygrad_edu.nn import LogisticRegression
    >>> classified = Classified(LogisticRegression(2, seed=0), [[0, 0], [1, 1]], [-1, 1])
    >>> classified.names, classified.indices, classified.decide([0.3])
    (['class -1', 'class 1'], [0, 1], 1)
    """

    def __init__(
        self, model: Any, X: Any, y: Any, loss: Any = None, names: Sequence[str] | None = None
    ) -> None:
        self.points: list[list[float]] = as_rows(X, 2)
        self.loss: Loss = _default_loss(model) if loss is None else as_loss(loss)
        self.outputs: int = len(self.answers(model.numbers())([0.0, 0.0]))
        self.labels: list[float] = self._labels(y)
        labels = self.labels
        negative = -1.0 if -1.0 in labels else 0.0
        classes = [*map(float, range(self.outputs))] if self.outputs > 1 else [negative, 1.0]
        if len(classes) > len(CLASS_COLORS):
            raise ValueError(f"expected at most {len(CLASS_COLORS)} classes, got {len(classes)}")
        self.names: list[str] = (
            [f"class {k:g}" for k in classes] if names is None else list(map(str, names))
        )
        if len(self.names) != len(classes):
            raise ValueError(f"class_names: expected {len(classes)} names, got {len(self.names)}")
        if not set(labels) <= set(classes):
            raise ValueError("y: expected labels 1 and -1, or 1 and 0, got all three")
        self.indices: list[int] = [classes.index(label) for label in labels]
        self.threshold: float | None = None
        if self.outputs == 1:
            middle = {"probabilities": 0.5, "numbers": sum(classes) / 2.0}
            self.threshold = middle.get(self.loss.takes, 0.0)
        self.tie: bool = self.loss.takes == "scores"

    def answers(self, model: Any) -> Callable[[Any], list[Any]]:
        """Return the function from a point to a list of what ``model`` puts out."""
        predict = predictor(model, self.loss)

        def answer(x: Any) -> list[Any]:
            outputs = predict(x)
            return list(outputs) if isinstance(outputs, (list, tuple)) else [outputs]

        return answer

    def lead(self, outputs: Sequence[float]) -> float:
        """Return how far a single output is above the border (negative: below)."""
        return outputs[0] - (self.threshold or 0.0)

    def decide(self, outputs: Sequence[float]) -> int:
        """Return the place of the class that the outputs mean."""
        if self.threshold is None:
            return list(outputs).index(max(outputs))
        lead = self.lead(outputs)
        return int(lead > 0.0 or (self.tie and lead == 0.0))

    def _labels(self, y: Any) -> list[float]:
        rows = as_rows(y, name="y")
        labels = [row[0] if len(row) == 1 else float(row.index(max(row))) for row in rows]
        if len(labels) != len(self.points):
            raise ValueError(
                f"y: expected {len(self.points)} labels, one for each point, got {len(labels)}"
            )
        allowed = [*map(float, range(self.outputs))] if self.outputs > 1 else [-1.0, 0.0, 1.0]
        for i, label in enumerate(labels):
            if label not in allowed:
                several = f"0 to {self.outputs - 1}"
                expected = several if self.outputs > 1 else "1 and -1, or 1 and 0"
                raise ValueError(f"y: label {i}: expected {expected}, got {label:g}")
        return labels


def _default_loss(model: Any) -> Loss:
    if hasattr(model, "logits"):
        return cross_entropy
    layers = getattr(model, "layers", None)
    neuron = layers[-1].neurons[0] if layers else model
    activation = getattr(getattr(neuron, "activation", None), "name", "")
    return log_loss if activation == "sigmoid" else hinge


def span(numbers: Sequence[float], margin: float = 0.12) -> tuple[float, float]:
    """Return the range of some numbers, wider by ``margin`` of it on both sides.

    >>> span([0.0, 10.0], 0.1)
    (-1.0, 11.0)
    """
    low, high = min(numbers), max(numbers)
    room = margin * (high - low) or 1.0
    return low - room, high + room

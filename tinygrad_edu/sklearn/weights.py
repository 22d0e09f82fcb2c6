"""How much each row counts: ``sample_weight``, ``class_weight``, and losses that heed them."""

from __future__ import annotations

from collections.abc import Mapping
from numbers import Real
from typing import Any

import numpy
from sklearn.utils.validation import check_array

from tinygrad_edu.nn.loss import Loss


def sample_weights(given: Any, X: Any) -> Any:
    """Return the weight of each row, or ``None`` if all count the same.

    Raises:
        ValueError: If there is not one finite number from 0 for each row, or all are 0.
    """
    if given is None:
        return None
    if isinstance(given, Real):
        weights = numpy.full(len(X), float(given))
    else:
        weights = check_array(
            given, ensure_2d=False, dtype=numpy.float64, input_name="sample_weight"
        )
    if weights.ndim != 1:
        raise ValueError(f"Sample weights must be 1D array or scalar, got {weights.ndim}D array")
    if weights.shape != (len(X),):
        raise ValueError(
            f"sample_weight.shape == {weights.shape}, expected {(len(X),)}: one for each row of X"
        )
    if (weights < 0.0).any():
        raise ValueError("Negative values in data passed to `sample_weight`")
    if not weights.any():
        raise ValueError("All sample weights are zero: at least one must be above 0.")
    return weights


def with_class_weights(class_weight: Any, classes: Any, indices: Any, weights: Any) -> Any:
    """Return the weights of rows times those of their classes; ``None`` if all count the same.

    Args:
        class_weight: ``None``, ``"balanced"`` (each class counts as much in all) or a dict, in
            which a class that is missing has 1.
        classes: The labels.
        indices: The class of each row, by number.
        weights: The rows' own, or ``None``.

    Raises:
        ValueError: If the dict has another key than a class, or a weight below 0.
    """
    if class_weight is None:
        return weights
    if isinstance(class_weight, Mapping):
        labels = classes.tolist()
        wrong = [label for label in class_weight if label not in labels]
        if wrong:
            raise ValueError(
                f"The classes, {wrong}, are not in class_weight's data: expected keys among "
                f"{labels}"
            )
        each = numpy.array([float(class_weight.get(label, 1.0)) for label in labels])
        if not (each >= 0.0).all() or not numpy.isfinite(each).all():
            raise ValueError(f"class_weight: expected numbers from 0, got {dict(class_weight)!r}")
    else:
        counts = numpy.bincount(indices, weights, len(classes))
        each = numpy.divide(
            counts.sum(), len(classes) * counts, out=numpy.zeros(len(classes)), where=counts > 0
        )
    found = each[indices]
    return found if weights is None else found * weights


def weighted(loss: Loss) -> Loss:
    """Return ``loss`` times a weight, which follows the target: ``[target, weight]``.

    >>> from tinygrad_edu.nn import squared_error
    >>> weighted(squared_error)(3.0, [1.0, 0.5])
    1.0
    """

    def of_one(prediction: Any, target: Any) -> Any:
        *inner, weight = target
        return weight * loss(prediction, inner[0] if len(inner) == 1 else inner)

    return Loss(
        of_one,
        f"weighted {loss.name}",
        reduction=loss.reduction,
        takes=loss.takes,
        targets="any",
        maximize=loss.maximize,
    )


def targets_with_weights(y: Any, weights: Any) -> Any:
    """Return the targets that a ``weighted`` loss takes: a row of numbers for each."""
    return numpy.column_stack([y, weights])

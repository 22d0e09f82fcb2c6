"""What all estimators share: a model of ours, its outputs, labels of any kind."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from functools import cache
from importlib.util import find_spec
from typing import Any

import numpy
from scipy.optimize import minimize
from scipy.special import expit, log_softmax, softmax
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data
from threadpoolctl import ThreadpoolController  # type: ignore[import-untyped]

from tinygrad_edu import nn
from tinygrad_edu.engine import ops
from tinygrad_edu.nn.loss import Loss, predictor

# What a row costs without compiling: building its graph and going back, and each parameter's part.
_SECONDS_PER_ROW, _SECONDS_PER_PARAMETER = 60e-6, 0.7e-6
_COMPILING_SECONDS = 0.06  # in these a small program is compiled and loaded


class Estimator(BaseEstimator):  # type: ignore[misc]
    """A model of ``tinygrad_edu.nn`` as ``model_``, and what it says about rows."""

    def _compiled(self, model: Any, rows: int) -> bool:
        """Tell whether to compile, if so many rows (once for each epoch) are to be computed."""
        if self.compiled != "auto":
            return bool(self.compiled)
        each = _SECONDS_PER_ROW + _SECONDS_PER_PARAMETER * len(model.parameters())
        return rows * each > _COMPILING_SECONDS and find_spec("llvmlite") is not None

    def _outputs(self, X: Any, loss: Loss) -> Any:
        """Return what the model says before any sigmoid or softmax: shape [n] or [n, K]."""
        check_is_fitted(self)
        return self._outputs_of(validate_data(self, X, dtype=numpy.float64, reset=False), loss)

    def _outputs_of(self, X: Any, loss: Loss) -> Any:
        model = self.model_
        if self._compiled(model, len(X) // 2):
            from tinygrad_edu.compiler import compile

            numbers = numpy.array([p.data for p in model.parameters()])
            program = compile(lambda w, x: predictor(model.with_parameters(w), loss)(x))
            found = program.map(numbers, X, shared=(0,))
            return numpy.stack(found, axis=-1) if isinstance(found, list) else found
        predict = predictor(model.numbers(), loss)
        return numpy.array([predict(row) for row in X.tolist()], dtype=numpy.float64)

    def _tell_not_converged(self, why: str) -> None:
        warnings.warn(f"{type(self).__name__}: {why}", ConvergenceWarning, stacklevel=4)


@cache
def blas() -> Any:
    """Return what holds the threads of linear algebra back."""
    return ThreadpoolController()


def lbfgs(objective: Any, start: Any, **options: Any) -> Any:
    """Return scipy's result for a function that returns a number and its gradient."""
    # Threads would not make the algebra of such short vectors faster, only busier.
    with blas().limit(limits=1, user_api="blas"):
        return minimize(objective, start, method="L-BFGS-B", jac=True, **options)


class WeightPenalty:
    """``strength / 2 * ||w||^2`` over the weights, not the biases."""

    def __init__(self, model: Any, strength: float) -> None:
        self.strength = float(strength)
        names = [name for name, _ in model.named_parameters()]
        self.weights = numpy.array([name.split(".")[-1] != "b" for name in names])

    def __call__(self, parameters: Sequence[Any]) -> Any:
        chosen = [p for p, is_weight in zip(parameters, self.weights) if is_weight]
        return 0.5 * self.strength * ops.dot(*chosen, *chosen)


class Classifier(ClassifierMixin, Estimator):  # type: ignore[misc]
    """Labels of any kind, taken for classes 0 to K - 1 by their order."""

    def _labels(self, X: Any, y: Any) -> tuple[Any, Any]:
        """Return X, and the class of each row by number; set ``classes_``."""
        X, y = validate_data(self, X, y, dtype=numpy.float64)
        check_classification_targets(y)
        self.classes_, indices = numpy.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            raise ValueError(
                f"{type(self).__name__}: expected at least 2 classes, got 1 class: "
                f"{self.classes_[0]!r}"
            )
        return X, indices.reshape(-1)

    def predict(self, X: Any) -> Any:
        """Return the most probable class of each row of ``X``, shape [n, n_features]."""
        return self._classes_by(self._outputs(X, nn.cross_entropy))

    def _classes_by(self, outputs: Any) -> Any:
        chosen = (outputs > 0.0).astype(int) if outputs.ndim == 1 else outputs.argmax(axis=1)
        return self.classes_[chosen]

    def predict_proba(self, X: Any) -> Any:
        """Return the probabilities of the classes for each row, shape [n, K]."""
        outputs = self._outputs(X, nn.cross_entropy)
        if outputs.ndim == 1:
            return numpy.stack([expit(-outputs), expit(outputs)], axis=1)
        return softmax(outputs, axis=1)

    def predict_log_proba(self, X: Any) -> Any:
        """Return the logarithms of the probabilities, finite where these underflow to 0."""
        outputs = self._outputs(X, nn.cross_entropy)
        if outputs.ndim == 1:
            both = numpy.stack([outputs, -outputs], axis=1)
            return -numpy.logaddexp(0.0, both)
        return log_softmax(outputs, axis=1)

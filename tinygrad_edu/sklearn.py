"""The models of the notes as scikit-learn estimators: for pipelines, grid searches and the like.

Each estimator trains one of the models of ``tinygrad_edu.nn`` and keeps it as ``model_``, ready to
be drawn, saved or exported. By default the convex ones (linear, logistic and softmax regression;
the notes, sections 'Optimization' to 'Multi-Class Logistic Regression') are handed to scipy's
L-BFGS, which asks our graphs for gradients; ``optimizer=GradientDescent(0.1)`` or any other of
``tinygrad_edu.optim`` trains them the way the notes do. Where the parameters mean the same as in
scikit-learn's own estimators, they have the same names and defaults.

Needs scikit-learn, from the extra ``[sklearn]``.

>>> from sklearn.datasets import load_iris
>>> from sklearn.model_selection import cross_val_score
>>> from sklearn.pipeline import make_pipeline
>>> from sklearn.preprocessing import StandardScaler
>>> pipeline = make_pipeline(StandardScaler(), SoftmaxRegression())
>>> float(cross_val_score(pipeline, *load_iris(return_X_y=True)).mean().round(2))
0.96
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from copy import deepcopy
from functools import cache
from importlib.util import find_spec
from numbers import Integral
from typing import Any

try:
    import numpy
    from scipy.optimize import minimize
    from scipy.special import expit, softmax
    from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.utils import check_random_state
    from sklearn.utils.multiclass import check_classification_targets, type_of_target
    from sklearn.utils.validation import check_is_fitted, validate_data
    from threadpoolctl import ThreadpoolController  # type: ignore[import-untyped]
except ImportError as error:
    raise ImportError(
        'tinygrad_edu.sklearn needs scikit-learn 1.6 or later: pip install "tinygrad_edu[sklearn]"'
    ) from error

from tinygrad_edu import nn
from tinygrad_edu.engine import ops
from tinygrad_edu.nn.loss import Loss, predictor
from tinygrad_edu.optim import Adam, Optimizer
from tinygrad_edu.training import Patience, fit
from tinygrad_edu.training.gradients import gradients_of

__all__ = ["LinearRegression", "LogisticRegression", "MLPClassifier", "SoftmaxRegression"]

# What a row costs without compiling: building its graph and going back, and each parameter's part.
_SECONDS_PER_ROW, _SECONDS_PER_PARAMETER = 60e-6, 0.7e-6
_COMPILING_SECONDS = 0.06  # in these a small program is compiled and loaded


class _Estimator(BaseEstimator):  # type: ignore[misc]
    """What all four have in common: training a model, and asking it for its outputs."""

    def _train(self, model: Any, X: Any, y: Any, loss: Loss, strength: float) -> None:
        """Minimize the mean loss + ``strength / 2 * ||w||^2`` and keep the model.

        ``w`` are the weights without the biases, as in scikit-learn.
        """
        penalty = _WeightPenalty(model, strength)
        if self.optimizer == "lbfgs":
            self.n_iter_, converged = self._lbfgs(model, X, y, loss, penalty)
        else:
            self.n_iter_, converged = self._steps(model, X, y, loss, penalty)
        self.model_ = model
        if not converged:
            warnings.warn(
                f"{type(self).__name__}: not converged within max_iter={self.max_iter}; scale the "
                "data, or raise max_iter",
                ConvergenceWarning,
                stacklevel=3,
            )

    def _lbfgs(
        self, model: Any, X: Any, y: Any, loss: Loss, penalty: _WeightPenalty
    ) -> tuple[int, bool]:
        parameters = model.parameters()
        compiled = self._compiled(model, 20 * len(X))
        gradients = gradients_of(model, loss, compiled)
        rows, targets = (X, y) if compiled else (X.tolist(), y.tolist())

        def objective(numbers: Any) -> tuple[float, Any]:
            sums = gradients(numbers, rows, targets)
            shrink = penalty.weights * penalty.strength * numbers
            value = sums.loss / len(X) + 0.5 * float(shrink @ numbers)
            return value, numpy.asarray(sums.gradient) / len(X) + shrink

        # Threads would not make the algebra of such short vectors faster, only busier.
        with _blas().limit(limits=1, user_api="blas"):
            found = minimize(
                objective,
                numpy.array([p.data for p in parameters]),
                method="L-BFGS-B",
                jac=True,
                options={"maxiter": self.max_iter, "gtol": self.tol, "ftol": 0.0, "maxls": 50},
            )
        for parameter, number in zip(parameters, found.x.tolist()):
            parameter.data = number
        # Whatever the reason to stop: nothing better was found. That is so at the last digits of a
        # minimum, where the gradient is small, and it is a failure anywhere else.
        flat = float(abs(found.jac).max()) <= max(self.tol, 1e-5 * max(1.0, abs(float(found.fun))))
        return max(1, int(found.nit)), found.status != 1 and flat

    def _steps(
        self, model: Any, X: Any, y: Any, loss: Loss, penalty: _WeightPenalty
    ) -> tuple[int, bool]:
        optimizer = deepcopy(self.optimizer)
        if optimizer == "adam":
            optimizer = Adam(self.learning_rate_init)
        if not isinstance(optimizer, Optimizer):
            raise ValueError(
                "optimizer: expected 'lbfgs', 'adam' or an optimizer of tinygrad_edu.optim, "
                f"got {self.optimizer!r:.60}"
            )
        patience = getattr(self, "n_iter_no_change", 5)
        batch = self._batch_size(len(X))
        self.history_ = fit(
            model, X, y, loss=loss, optimizer=optimizer, batch=batch, epochs=self.max_iter,
            penalty=penalty if penalty.strength else None,
            until=Patience(patience, margin=self.tol),
            seed=int(self._random.randint(2**31 - 1)), progress=False,
            compiled=self._compiled(model, self.max_iter * len(X)),
        )  # fmt: skip
        return len(self.history_), self.history_.stopped.startswith("no better")

    def _batch_size(self, n: int) -> int | str:
        size = min(200, n) if self.batch_size == "auto" else self.batch_size
        if size != "full" and (not isinstance(size, Integral) or int(size) < 1):
            raise ValueError(
                f"batch_size: expected 'auto', 'full' or a whole number from 1, got {size!r}"
            )
        return "full" if size == "full" else int(size)

    def _compiled(self, model: Any, rows: int) -> bool:
        """Tell whether to compile, if so many rows (once for each epoch) are to be computed."""
        if self.compiled != "auto":
            return bool(self.compiled)
        each = _SECONDS_PER_ROW + _SECONDS_PER_PARAMETER * len(model.parameters())
        return rows * each > _COMPILING_SECONDS and find_spec("llvmlite") is not None

    def _outputs(self, X: Any, loss: Loss) -> Any:
        """Return what the model says before any sigmoid or softmax: shape [n] or [n, K]."""
        check_is_fitted(self)
        X = validate_data(self, X, dtype=numpy.float64, reset=False)
        model = self.model_
        if self._compiled(model, len(X) // 2):
            from tinygrad_edu.compiler import compile

            numbers = numpy.array([p.data for p in model.parameters()])
            program = compile(lambda w, x: predictor(model.with_parameters(w), loss)(x))
            found = program.map(numbers, X, shared=(0,))
            return numpy.stack(found, axis=-1) if isinstance(found, list) else found
        predict = predictor(model.numbers(), loss)
        return numpy.array([predict(row) for row in X.tolist()], dtype=numpy.float64)


@cache
def _blas() -> Any:
    return ThreadpoolController()


class _WeightPenalty:
    """``strength / 2 * ||w||^2`` over the weights, not the biases."""

    def __init__(self, model: Any, strength: float) -> None:
        self.strength = float(strength)
        names = [name for name, _ in model.named_parameters()]
        self.weights = numpy.array([name.split(".")[-1] != "b" for name in names])

    def __call__(self, parameters: Sequence[Any]) -> Any:
        chosen = [p for p, is_weight in zip(parameters, self.weights) if is_weight]
        return 0.5 * self.strength * ops.dot(*chosen, *chosen)


def _check_alpha(alpha: float) -> None:
    if not 0.0 <= alpha < float("inf"):
        raise ValueError(f"alpha: expected a number from 0, got {alpha!r}")


class _Classifier(ClassifierMixin, _Estimator):  # type: ignore[misc]
    """Labels of any kind, taken for classes 0 to K - 1 by their order."""

    def _begin(self, X: Any, y: Any) -> tuple[Any, Any]:
        X, y = validate_data(self, X, y, dtype=numpy.float64)
        check_classification_targets(y)
        self.classes_, indices = numpy.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            raise ValueError(
                f"{type(self).__name__}: expected at least 2 classes, got 1 class: "
                f"{self.classes_[0]!r}"
            )
        self._random = check_random_state(self.random_state)
        return X, indices.reshape(-1)

    def predict(self, X: Any) -> Any:
        """Return the most probable class of each row of ``X``, shape [n, n_features]."""
        outputs = self._outputs(X, nn.cross_entropy)
        chosen = (outputs > 0.0).astype(int) if outputs.ndim == 1 else outputs.argmax(axis=1)
        return self.classes_[chosen]

    def predict_proba(self, X: Any) -> Any:
        """Return the probabilities of the classes for each row, shape [n, K]."""
        outputs = self._outputs(X, nn.cross_entropy)
        if outputs.ndim == 1:
            return numpy.stack([expit(-outputs), expit(outputs)], axis=1)
        return softmax(outputs, axis=1)


class _Linear(_Estimator):
    """Coefficients under the names that scikit-learn gives them."""

    learning_rate_init = 0.01

    @property
    def coef_(self) -> Any:
        """The weights: [n_features], or a row for each class (one row for two classes)."""
        neurons = getattr(self.model_, "neurons", [self.model_])
        rows = numpy.array([[w.data for w in neuron.w] for neuron in neurons])
        return rows[0] if isinstance(self, RegressorMixin) else rows

    @property
    def intercept_(self) -> Any:
        """The biases, 0 where there are none; a number for a regression."""
        neurons = getattr(self.model_, "neurons", [self.model_])
        biases = numpy.array([0.0 if n.b is None else n.b.data for n in neurons])
        return float(biases[0]) if isinstance(self, RegressorMixin) else biases


class LinearRegression(RegressorMixin, _Linear):  # type: ignore[misc]
    """Least squares: the mean of ``1/2 (y - w . x - b)^2``, and ``alpha / 2 ||w||^2 / n``.

    Args:
        alpha: Strength of the L2 penalty, 0 for none; as in scikit-learn's ``Ridge``.
        fit_intercept: Whether there is a ``b``.
        optimizer: ``"lstsq"``, the closed form by a singular value decomposition; ``"lbfgs"``,
            ``"adam"`` (learning rate 0.01), or an optimizer of ``tinygrad_edu.optim``.
        max_iter: Iterations (L-BFGS) or epochs at most.
        tol: Stop when no component of the gradient is larger (L-BFGS), or when the loss has not
            become better by as much in 5 epochs.
        batch_size: For optimizers: ``"full"``, ``"auto"`` (at most 200), or a number (1: a random
            row at a time, as in the notes).
        compiled: Train and predict in native code; ``"auto"``: where that is faster.
        random_state: For the order of the rows; a number makes fits repeatable.

    >>> import numpy
    >>> X = numpy.array([[0.0], [1.0], [2.0]])
    >>> LinearRegression().fit(X, [1.0, 3.0, 5.0]).predict([[10.0]]).round(6).tolist()
    [21.0]
    """

    def __init__(
        self,
        *,
        alpha: float = 0.0,
        fit_intercept: bool = True,
        optimizer: Any = "lstsq",
        max_iter: int = 1000,
        tol: float = 1e-6,
        batch_size: int | str = "full",
        compiled: bool | str = "auto",
        random_state: Any = None,
    ) -> None:
        self.alpha = alpha
        self.fit_intercept = fit_intercept
        self.optimizer = optimizer
        self.max_iter = max_iter
        self.tol = tol
        self.batch_size = batch_size
        self.compiled = compiled
        self.random_state = random_state

    def fit(self, X: Any, y: Any) -> LinearRegression:
        """Train on ``X``, shape [n, n_features], and ``y``, shape [n]."""
        X, y = validate_data(self, X, y, dtype=numpy.float64, y_numeric=True)
        self._random = check_random_state(self.random_state)
        model = nn.LinearRegression(X.shape[1], bias=self.fit_intercept, initialization="zeros")
        _check_alpha(self.alpha)
        y = numpy.asarray(y, dtype=numpy.float64)
        if self.optimizer == "lstsq":
            self._solve(model, X, y)
        else:
            self._train(model, X, y, nn.squared_error.mean(), self.alpha / len(X))
        return self

    def _solve(self, model: Any, X: Any, y: Any) -> None:
        """Set the parameters to the least-squares solution (the notes, section 'Optimization').

        The means are taken out first, so that columns far from 0 lose no digits; the penalty is a
        row for each weight.
        """
        middle, level = (X.mean(0), y.mean()) if self.fit_intercept else (0.0, 0.0)
        rows, targets = X - middle, y - level
        if self.alpha:
            ridge = numpy.sqrt(self.alpha) * numpy.eye(X.shape[1])
            rows = numpy.vstack([rows, ridge])
            targets = numpy.concatenate([targets, numpy.zeros(X.shape[1])])
        weights = numpy.linalg.lstsq(rows, targets, rcond=None)[0]
        found = weights.tolist()
        if self.fit_intercept:
            found.append(float(level - middle @ weights))
        for parameter, number in zip(model.parameters(), found):
            parameter.data = number
        self.model_, self.n_iter_ = model, 1

    def predict(self, X: Any) -> Any:
        """Return a number for each row of ``X``."""
        return self._outputs(X, nn.squared_error)


class LogisticRegression(_Classifier, _Linear):
    """Two classes: the mean of ``-log P(y | x; w)``, and ``||w||^2 / (2 C n)``.

    Args:
        C: Inverse strength of the L2 penalty, as in scikit-learn; ``inf`` for none.
        fit_intercept, optimizer, max_iter, tol, batch_size, compiled, random_state: As for
            ``LinearRegression``.

    >>> import numpy
    >>> X = numpy.array([[0.0], [1.0], [2.0], [3.0]])
    >>> LogisticRegression().fit(X, ["no", "no", "yes", "yes"]).predict([[-1.0], [4.0]]).tolist()
    ['no', 'yes']
    """

    def __init__(
        self,
        *,
        C: float = 1.0,
        fit_intercept: bool = True,
        optimizer: Any = "lbfgs",
        max_iter: int = 200,
        tol: float = 1e-4,
        batch_size: int | str = "full",
        compiled: bool | str = "auto",
        random_state: Any = None,
    ) -> None:
        self.C = C
        self.fit_intercept = fit_intercept
        self.optimizer = optimizer
        self.max_iter = max_iter
        self.tol = tol
        self.batch_size = batch_size
        self.compiled = compiled
        self.random_state = random_state

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_class = self._many
        return tags

    _many = False

    def fit(self, X: Any, y: Any) -> Any:
        """Train on ``X``, shape [n, n_features], and labels ``y``, shape [n]."""
        X, indices = self._begin(X, y)
        if not self._many and len(self.classes_) > 2:
            raise ValueError(
                "Only binary classification is supported. The type of the target is "
                f"{type_of_target(y)}. SoftmaxRegression takes more classes."
            )
        if not self.C > 0.0:
            raise ValueError(f"C: expected a number above 0, got {self.C!r}")
        model = self._model(X.shape[1])
        self._train(model, X, indices, nn.cross_entropy, 1.0 / (self.C * len(X)))
        return self

    def _model(self, nin: int) -> Any:
        return nn.LogisticRegression(nin, bias=self.fit_intercept, initialization="zeros")

    def decision_function(self, X: Any) -> Any:
        """Return ``w . x + b``: above 0 for the second of two classes, or [n, K]."""
        outputs = self._outputs(X, nn.cross_entropy)
        binary = outputs.ndim == 2 and outputs.shape[1] == 2
        return outputs[:, 1] - outputs[:, 0] if binary else outputs


class SoftmaxRegression(LogisticRegression):
    """K classes, from 2 on: the mean of ``-log P(y | x; w)``, and ``||w||^2 / (2 C n)``.

    The parameters are those of ``LogisticRegression``.

    >>> import numpy
    >>> X = numpy.array([[0.0], [1.0], [4.0], [5.0], [9.0], [10.0]])
    >>> SoftmaxRegression(C=100.0).fit(X, list("aabbcc")).predict([[0.5], [4.5], [11.0]]).tolist()
    ['a', 'b', 'c']
    """

    _many = True

    def _model(self, nin: int) -> Any:
        classes = len(self.classes_)
        return nn.SoftmaxRegression(nin, classes, bias=self.fit_intercept, initialization="zeros")


class MLPClassifier(_Classifier):
    """A multi-layer perceptron: the mean of ``-log P(y | x; w)``, and ``alpha / 2 ||w||^2 / m``.

    Parameters and defaults are those of scikit-learn's ``MLPClassifier``.

    Args:
        hidden_layer_sizes: The widths of the hidden layers.
        activation: Of the hidden layers, by the names of ``tinygrad_edu.nn``.
        optimizer: ``"adam"``, ``"lbfgs"``, or an optimizer of ``tinygrad_edu.optim``.
        alpha: Strength of the L2 penalty, divided by the size ``m`` of a batch.
        batch_size: ``"auto"`` (at most 200), ``"full"``, or a number.
        learning_rate_init: The learning rate of ``"adam"``.
        max_iter: Epochs (or iterations of L-BFGS) at most.
        tol, n_iter_no_change: Stop when the loss has not become better by ``tol`` in as many
            epochs.
        random_state: For the initial weights and the order of the rows.
        compiled: Train and predict in native code; ``"auto"``: where that is faster.

    >>> X, y = [[0, 0], [0, 1], [1, 0], [1, 1]], ["even", "odd", "odd", "even"]
    >>> mlp = MLPClassifier((8,), "tanh", optimizer="lbfgs", random_state=1).fit(X, y)
    >>> mlp.predict(X).tolist()
    ['even', 'odd', 'odd', 'even']
    """

    def __init__(
        self,
        hidden_layer_sizes: Sequence[int] = (100,),
        activation: str = "relu",
        *,
        optimizer: Any = "adam",
        alpha: float = 0.0001,
        batch_size: int | str = "auto",
        learning_rate_init: float = 0.001,
        max_iter: int = 200,
        tol: float = 1e-4,
        n_iter_no_change: int = 10,
        random_state: Any = None,
        compiled: bool | str = "auto",
    ) -> None:
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.optimizer = optimizer
        self.alpha = alpha
        self.batch_size = batch_size
        self.learning_rate_init = learning_rate_init
        self.max_iter = max_iter
        self.tol = tol
        self.n_iter_no_change = n_iter_no_change
        self.random_state = random_state
        self.compiled = compiled

    def fit(self, X: Any, y: Any) -> MLPClassifier:
        """Train on ``X``, shape [n, n_features], and labels ``y``, shape [n]."""
        X, indices = self._begin(X, y)
        outputs = 1 if len(self.classes_) == 2 else len(self.classes_)
        model = nn.MLP(
            X.shape[1],
            [*self.hidden_layer_sizes, outputs],
            self.activation,  # type: ignore[arg-type]  # the name is checked there
            seed=int(self._random.randint(2**31 - 1)),
        )
        batch = self._batch_size(len(X)) if self.optimizer != "lbfgs" else "full"
        size = len(X) if batch == "full" else int(batch)
        _check_alpha(self.alpha)
        self._train(model, X, indices, nn.cross_entropy, self.alpha / size)
        return self

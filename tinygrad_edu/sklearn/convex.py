"""The convex models: least squares, logistic and softmax regression."""

from __future__ import annotations

from copy import deepcopy
from typing import Any, ClassVar

import numpy
from sklearn.base import RegressorMixin
from sklearn.utils import check_random_state
from sklearn.utils.multiclass import type_of_target
from sklearn.utils.validation import validate_data

from tinygrad_edu import nn
from tinygrad_edu.nn.loss import Loss
from tinygrad_edu.optim import Adam
from tinygrad_edu.sklearn import allowed as rules
from tinygrad_edu.sklearn.estimator import Classifier, Estimator, WeightPenalty, lbfgs
from tinygrad_edu.sklearn.weights import (
    sample_weights,
    targets_with_weights,
    weighted,
    with_class_weights,
)
from tinygrad_edu.training import History, Patience, fit
from tinygrad_edu.training.gradients import gradients_of

_LEARNING_RATE, _EPOCHS_WITHOUT_GAIN = 0.01, 5  # of solver="adam"; of all that take steps

_SHARED_RULES = {
    "fit_intercept": rules.BOOLEAN,
    "max_iter": rules.WHOLE,
    "tol": rules.real(0.0),
    "batch_size": rules.WHOLE | rules.names("auto", "full"),
    "warm_start": rules.BOOLEAN,
    "verbose": rules.VERBOSE,
    "compiled": rules.COMPILED,
}


class _Linear(Estimator):
    """One layer of linear neurons, its coefficients under the names that scikit-learn gives them.

    Attributes:
        n_iter_: Iterations of L-BFGS, or epochs.
        history_: What ``fit`` returned, where a solver takes steps.
    """

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

    def _begin_with(self, model: Any) -> Any:
        """Return the model to train: with a warm start the one there is, if it is of the kind."""
        if not (self.warm_start and hasattr(self, "model_")):
            return model
        if repr(model) != repr(self.model_):
            raise ValueError(
                f"warm_start: expected data for {self.model_!r}, got data for {model!r}; "
                "set warm_start=False to start anew"
            )
        return deepcopy(self.model_)

    def _train(
        self, model: Any, X: Any, y: Any, weights: Any, loss: Loss, penalty: WeightPenalty
    ) -> None:
        """Minimize the weighted mean of the losses, and the penalty; keep the model."""
        if weights is not None:
            heard = weights > 0.0
            X, y, weights = X[heard], y[heard], weights[heard]
            # a mean over rows is one over weights if these add up to the number of rows
            y = targets_with_weights(y, weights * (len(X) / weights.sum()))
            loss = weighted(loss)
        if self.solver == "lbfgs":
            self.n_iter_, converged = self._lbfgs(model, X, y, loss, penalty)
        else:
            self.n_iter_, converged = self._steps(model, X, y, loss, penalty)
        self.model_ = model
        if not converged:
            self._tell_not_converged(
                f"not converged within max_iter={self.max_iter}; scale the data, or raise max_iter"
            )

    def _lbfgs(
        self, model: Any, X: Any, y: Any, loss: Loss, penalty: WeightPenalty
    ) -> tuple[int, bool]:
        parameters = model.parameters()
        compiled = self._compiled(model, 20 * len(X))
        gradients = gradients_of(model, loss, compiled)
        rows, targets = (X, y) if compiled else (X.tolist(), y.tolist())
        seen = [0.0]

        def objective(numbers: Any) -> tuple[float, Any]:
            sums = gradients(numbers, rows, targets)
            shrink = penalty.weights * penalty.strength * numbers
            seen[0] = sums.loss / len(X) + 0.5 * float(shrink @ numbers)
            return seen[0], numpy.asarray(sums.gradient) / len(X) + shrink

        iteration = iter(range(1, self.max_iter + 2))

        def tell(_: Any) -> None:
            if self.verbose:
                print(f"Iteration {next(iteration)}, loss = {seen[0]:.8f}")

        found = lbfgs(
            objective,
            numpy.array([p.data for p in parameters]),
            callback=tell,
            options={"maxiter": self.max_iter, "gtol": self.tol, "ftol": 0.0, "maxls": 50},
        )
        for parameter, number in zip(parameters, found.x.tolist()):
            parameter.data = number
        # Whatever the reason to stop: nothing better was found. That is so at the last digits of a
        # minimum, where the gradient is small, and it is a failure anywhere else.
        flat = float(abs(found.jac).max()) <= max(self.tol, 1e-5 * max(1.0, abs(float(found.fun))))
        return max(1, int(found.nit)), found.status != 1 and flat

    def _steps(
        self, model: Any, X: Any, y: Any, loss: Loss, penalty: WeightPenalty
    ) -> tuple[int, bool]:
        n = len(X)
        batch = min(200, n) if self.batch_size == "auto" else self.batch_size

        def tell(_: Any, history: History) -> None:
            if self.verbose:
                print(f"Iteration {len(history)}, loss = {history.loss[-1]:.8f}")

        self.history_ = fit(
            model, X, y, loss=loss, batch=batch, epochs=self.max_iter, callbacks=[tell],
            optimizer=Adam(_LEARNING_RATE) if self.solver == "adam" else deepcopy(self.solver),
            penalty=penalty if penalty.strength else None,
            until=Patience(_EPOCHS_WITHOUT_GAIN, margin=self.tol),
            seed=int(check_random_state(self.random_state).randint(2**31 - 1)), progress=False,
            compiled=self._compiled(model, self.max_iter * n),
        )  # fmt: skip
        return len(self.history_), self.history_.stopped.startswith("no better")


class LinearRegression(RegressorMixin, _Linear):  # type: ignore[misc]
    """Least squares: the mean of ``1/2 (y - w . x - b)^2``, and ``alpha / 2 ||w||^2 / n``.

    Args:
        alpha: Strength of the L2 penalty, 0 for none; as in scikit-learn's ``Ridge``.
        fit_intercept: Whether there is a ``b``.
        max_iter: Iterations (L-BFGS) or epochs at most.
        tol: Stop when no component of the gradient is larger (L-BFGS), or when the loss has not
            become better by as much in 5 epochs.
        solver: ``"svd"``, the closed form by a singular value decomposition, which ``"auto"``
            takes; ``"lbfgs"``, ``"adam"`` (learning rate 0.01), or an optimizer of
            ``tinygrad_edu.optim``.
        random_state: For the order of the rows; a number makes fits repeatable.
        batch_size: For solvers that take steps: ``"full"``, ``"auto"`` (at most 200), or a number
            (1: a random row at a time, as in the notes).
        warm_start: Go on from the model of the last fit (not by ``"svd"``, which starts nowhere).
        verbose: Print the loss of each iteration.
        compiled: Train and predict in native code; ``"auto"``: where that is faster.

    >>> import numpy
    >>> X = numpy.array([[0.0], [1.0], [2.0]])
    >>> LinearRegression().fit(X, [1.0, 3.0, 5.0]).predict([[10.0]]).round(6).tolist()
    [21.0]
    """

    _rules: ClassVar[dict[str, rules.Rule]] = {
        **_SHARED_RULES,
        "alpha": rules.real(0.0, closed="[)"),
        "solver": rules.names("auto", "svd", "lbfgs", "adam") | rules.OPTIMIZER,
    }

    def __init__(
        self,
        alpha: float = 0.0,
        *,
        fit_intercept: bool = True,
        max_iter: int = 1000,
        tol: float = 1e-6,
        solver: Any = "auto",
        random_state: Any = None,
        batch_size: int | str = "full",
        warm_start: bool = False,
        verbose: bool | int = False,
        compiled: bool | str = "auto",
    ) -> None:
        self.alpha = alpha
        self.fit_intercept = fit_intercept
        self.max_iter = max_iter
        self.tol = tol
        self.solver = solver
        self.random_state = random_state
        self.batch_size = batch_size
        self.warm_start = warm_start
        self.verbose = verbose
        self.compiled = compiled

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> LinearRegression:
        """Train on ``X``, shape [n, n_features], and ``y``, shape [n].

        Args:
            X, y: Rows, and a number for each.
            sample_weight: How much each row counts, shape [n]; ``None``: all the same.

        Raises:
            ValueError: If a parameter or the data are unusable.
        """
        rules.check_parameters(self, self._rules)
        X, y = validate_data(self, X, y, dtype=numpy.float64, y_numeric=True)
        weights = sample_weights(sample_weight, X)
        y = numpy.asarray(y, dtype=numpy.float64)
        model = nn.LinearRegression(X.shape[1], bias=self.fit_intercept, initialization="zeros")
        if self.solver in ("auto", "svd"):
            self._solve(model, X, y, weights)
        else:
            model = self._begin_with(model)
            total = len(X) if weights is None else weights.sum()
            penalty = WeightPenalty(model, self.alpha / total)
            self._train(model, X, y, weights, nn.squared_error.mean(), penalty)
        return self

    def _solve(self, model: Any, X: Any, y: Any, weights: Any) -> None:
        """Set the parameters to the least-squares solution (the notes, section 'Optimization').

        The means are taken out first, so that columns far from 0 lose no digits; a weight is a
        row's length; the penalty is a row for each coefficient.
        """
        middle, level = numpy.zeros(X.shape[1]), 0.0
        if self.fit_intercept:
            middle = numpy.average(X, axis=0, weights=weights)
            level = float(numpy.average(y, weights=weights))
        rows, targets = X - middle, y - level
        if weights is not None:
            rows, targets = rows * numpy.sqrt(weights)[:, None], targets * numpy.sqrt(weights)
        if self.alpha:
            ridge = numpy.sqrt(self.alpha) * numpy.eye(X.shape[1])
            rows = numpy.vstack([rows, ridge])
            targets = numpy.concatenate([targets, numpy.zeros(X.shape[1])])
        found = numpy.linalg.lstsq(rows, targets, rcond=None)[0].tolist()
        if self.fit_intercept:
            found.append(float(level - middle @ found))
        for parameter, number in zip(model.parameters(), found):
            parameter.data = number
        self.model_, self.n_iter_ = model, 1

    def predict(self, X: Any) -> Any:
        """Return a number for each row of ``X``."""
        return self._outputs(X, nn.squared_error)


class LogisticRegression(Classifier, _Linear):
    """Two classes: the mean of ``-log P(y | x; w)``, and ``||w||^2 / (2 C n)``.

    Args:
        C: Inverse strength of the L2 penalty, as in scikit-learn; ``inf`` for none.
        tol, fit_intercept, random_state, max_iter, verbose, warm_start, batch_size, compiled: As
            for ``LinearRegression``.
        class_weight: How much the rows of each class count: ``"balanced"`` or a dict.
        solver: ``"lbfgs"``, ``"adam"`` (learning rate 0.01), or an optimizer of
            ``tinygrad_edu.optim``.

    >>> import numpy
    >>> X = numpy.array([[0.0], [1.0], [2.0], [3.0]])
    >>> LogisticRegression().fit(X, ["no", "no", "yes", "yes"]).predict([[-1.0], [4.0]]).tolist()
    ['no', 'yes']
    """

    _rules: ClassVar[dict[str, rules.Rule]] = {
        **_SHARED_RULES,
        "C": rules.real(0.0, closed="(]"),
        "class_weight": rules.WEIGHTS,
        "solver": rules.names("lbfgs", "adam") | rules.OPTIMIZER,
    }

    def __init__(
        self,
        *,
        C: float = 1.0,
        tol: float = 1e-4,
        fit_intercept: bool = True,
        class_weight: Any = None,
        random_state: Any = None,
        solver: Any = "lbfgs",
        max_iter: int = 100,
        verbose: bool | int = 0,
        warm_start: bool = False,
        batch_size: int | str = "full",
        compiled: bool | str = "auto",
    ) -> None:
        self.C = C
        self.tol = tol
        self.fit_intercept = fit_intercept
        self.class_weight = class_weight
        self.random_state = random_state
        self.solver = solver
        self.max_iter = max_iter
        self.verbose = verbose
        self.warm_start = warm_start
        self.batch_size = batch_size
        self.compiled = compiled

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_class = self._many
        return tags

    _many = False

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Any:
        """Train on ``X``, shape [n, n_features], and labels ``y``, shape [n].

        Args:
            X, y: Rows, and a label for each.
            sample_weight: How much each row counts, shape [n]; ``None``: all the same.

        Raises:
            ValueError: If a parameter or the data are unusable.
        """
        rules.check_parameters(self, self._rules)
        X, indices = self._labels(X, y)
        if not self._many and len(self.classes_) > 2:
            raise ValueError(
                "Only binary classification is supported. The type of the target is "
                f"{type_of_target(y)}. SoftmaxRegression takes more classes."
            )
        weights = with_class_weights(
            self.class_weight, self.classes_, indices, sample_weights(sample_weight, X)
        )
        model = self._begin_with(self._model(X.shape[1]))
        total = len(X) if weights is None else weights.sum()
        penalty = WeightPenalty(model, 1.0 / (self.C * total))
        self._train(model, X, indices, weights, nn.cross_entropy, penalty)
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

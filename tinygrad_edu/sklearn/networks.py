"""Multi-layer perceptrons, with the parameters, the steps and the results of scikit-learn's.

Only gradients and predictions are ours: each row is a graph (or native code made from one). Initial
weights, the order of the rows, early stopping and the steps follow scikit-learn's documentation,
drawing from ``random_state`` in the same order, so that the same seed gives the same network up to
rounding.
"""

from __future__ import annotations

import math
import warnings
from typing import Any, ClassVar

import numpy
from sklearn.base import RegressorMixin
from sklearn.metrics import accuracy_score, r2_score
from sklearn.model_selection import train_test_split
from sklearn.utils import check_random_state, shuffle
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import check_classification_targets, type_of_target, unique_labels
from sklearn.utils.validation import column_or_1d, validate_data

from tinygrad_edu import nn
from tinygrad_edu.engine import functional, ops
from tinygrad_edu.nn.loss import Loss
from tinygrad_edu.sklearn import allowed as rules
from tinygrad_edu.sklearn.estimator import Classifier, Estimator, WeightPenalty, lbfgs
from tinygrad_edu.sklearn.steps import AdamSteps, Descent, OptimizerSteps, Steps
from tinygrad_edu.sklearn.weights import (
    sample_weights,
    targets_with_weights,
    weighted,
    with_class_weights,
)
from tinygrad_edu.training.gradients import gradients_of

_RULES: dict[str, rules.Rule] = {
    "hidden_layer_sizes": rules.WIDTHS,
    "activation": rules.ACTIVATION,
    "solver": rules.names("lbfgs", "sgd", "adam") | rules.OPTIMIZER,
    "alpha": rules.real(0.0),
    "batch_size": rules.WHOLE | rules.names("auto", "full"),
    "learning_rate": rules.names("constant", "invscaling", "adaptive"),
    "learning_rate_init": rules.real(0.0, closed="()"),
    "power_t": rules.real(0.0),
    "max_iter": rules.WHOLE,
    "shuffle": rules.BOOLEAN,
    "tol": rules.real(0.0),
    "verbose": rules.VERBOSE,
    "warm_start": rules.BOOLEAN,
    "momentum": rules.real(0.0, 1.0, "[]"),
    "nesterovs_momentum": rules.BOOLEAN,
    "early_stopping": rules.BOOLEAN,
    "validation_fraction": rules.real(0.0, 1.0),
    "beta_1": rules.real(0.0, 1.0),
    "beta_2": rules.real(0.0, 1.0),
    "epsilon": rules.real(0.0, closed="()"),
    "n_iter_no_change": rules.WHOLE | rules.INFINITY,
    "max_fun": rules.WHOLE,
    "compiled": rules.COMPILED,
}

_NOT_FINITE = (
    "Solver produced non-finite parameter weights. The input data may contain large values: scale "
    "them (StandardScaler), or lower learning_rate_init."
)


def _takes_steps(estimator: Any) -> bool:
    if isinstance(estimator.solver, str) and estimator.solver == "lbfgs":
        raise AttributeError(
            "partial_fit is only available for solvers that take steps: "
            "solver='sgd', 'adam' or an optimizer; solver='lbfgs' is not"
        )
    return True


class _Network(Estimator):
    """What the two have in common: everything but their targets."""

    _rules: ClassVar[dict[str, rules.Rule]] = _RULES
    model_: Any
    n_outputs_: int

    # --- what differs: targets and losses ---

    def _targets(self, X: Any, y: Any, again: bool, classes: Any) -> tuple[Any, Any]:
        """Return X and numbers for y, shape [n] or [n, K]; set what is known of the targets."""
        raise NotImplementedError

    def _loss(self) -> Loss:
        raise NotImplementedError

    def _weights(self, sample_weight: Any, X: Any, y: Any) -> Any:  # noqa: ARG002
        return sample_weights(sample_weight, X)

    def _held_out_score(self, X: Any, y: Any, weights: Any) -> float:
        raise NotImplementedError

    # --- the network ---

    def _new_model(self, nin: int, random: Any) -> Any:
        """Return a network with initial weights drawn from ``random``, as Glorot and Bengio do."""
        hidden = self.hidden_layer_sizes
        widths = [int(n) for n in (hidden if numpy.ndim(hidden) else [hidden])]
        chosen: Any = "sigmoid" if self.activation == "logistic" else self.activation
        last: Any = {"identity": "identity", "exp": ops.exp}.get(self._last_activation, "identity")
        model = nn.MLP(
            nin,
            [*widths, self.n_outputs_],
            [*([chosen] * len(widths)), last],
            initialization="zeros",
        )
        numbers = numpy.zeros(len(model.parameters()))
        factor = 2.0 if chosen == "sigmoid" else 6.0
        for weights, biases in _positions(model):
            bound = math.sqrt(factor / sum(weights.shape))
            numbers[weights] = random.uniform(-bound, bound, weights.shape)
            numbers[biases] = random.uniform(-bound, bound, biases.shape)
        _set(model, numbers)
        return model

    @property
    def coefs_(self) -> list[Any]:
        """The weights of each layer, shape [inputs, outputs]."""
        numbers = _numbers(self.model_)
        return [numbers[weights] for weights, _ in _positions(self.model_)]

    @property
    def intercepts_(self) -> list[Any]:
        """The biases of each layer, shape [outputs]."""
        numbers = _numbers(self.model_)
        return [numbers[biases] for _, biases in _positions(self.model_)]

    # --- training ---

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Any:
        """Train on ``X``, shape [n, n_features], and targets ``y``, shape [n] or [n, n_outputs].

        Args:
            X, y: Rows and their targets.
            sample_weight: How much each row counts, shape [n]; ``None``: all the same.

        Raises:
            ValueError: If a parameter or the data are unusable, or numbers are no longer finite.
        """
        return self._fit(X, y, sample_weight, incremental=False)

    def _fit(
        self, X: Any, y: Any, sample_weight: Any, *, incremental: bool, classes: Any = None
    ) -> Any:
        # 1. What was given.
        rules.check_parameters(self, self._rules)
        if incremental and self.early_stopping:
            raise ValueError("partial_fit does not support early_stopping=True")
        again = hasattr(self, "model_") and (incremental or self.warm_start)
        X, y = self._targets(X, y, again, classes)
        weights = self._weights(sample_weight, X, y)
        random = check_random_state(self.random_state)
        # 2. The network, and the books.
        model = self.model_ if again else self._new_model(X.shape[1], random)
        if again and (model.nin, len(model.layers[-1].neurons)) != (X.shape[1], self.n_outputs_):
            raise ValueError(
                f"warm_start: expected {model.nin} features and {len(model.layers[-1].neurons)} "
                f"outputs, as before; got {X.shape[1]} and {self.n_outputs_}"
            )
        if not again:
            self._steps: Steps | None = None
            self._idle, self.t_ = 0, 0
            self.loss_curve_: list[float] = []
            self.validation_scores_: list[float] | None = None
            self.best_loss_: float | None = math.inf
            self.best_validation_score_: float | None = None
            self.n_layers_ = len(model.layers) + 1
            self.out_activation_ = self._out_activation()
        # 3. The numbers.
        start = _numbers(model)
        try:
            with numpy.errstate(over="ignore", invalid="ignore"):
                if isinstance(self.solver, str) and self.solver == "lbfgs":
                    numbers = self._by_lbfgs(model, start, X, y, weights)
                else:
                    numbers = self._by_steps(model, start, X, y, weights, random, incremental)
        except ArithmeticError as error:
            raise ValueError(f"{_NOT_FINITE} ({error})") from error
        if not numpy.isfinite(numbers).all():
            raise ValueError(_NOT_FINITE)
        _set(model, numbers)
        self.model_ = model
        return self

    def _objective(self, model: Any, weights: Any, rows: int) -> Any:
        """Return the function (numbers, rows, targets, weights) -> mean loss and its gradient.

        The penalty counts as one row, as scikit-learn has it: its share falls with the batch.
        """
        compiled = self._compiled(model, rows)
        loss = self._loss() if weights is None else weighted(self._loss())
        key = (compiled, weights is None)
        if self._made.get("objective", (None, None))[:2] != (model, key):
            self._made["objective"] = (model, key, gradients_of(model, loss, compiled))
        gradients = self._made["objective"][2]
        is_weight, alpha = WeightPenalty(model, 0.0).weights, float(self.alpha)

        def objective(numbers: Any, rows: Any, targets: Any, weights: Any) -> tuple[float, Any]:
            total = len(rows)
            if weights is not None:
                total = weights.sum()
                if total == 0.0:
                    return 0.0, numpy.zeros(len(numbers))
                targets = targets_with_weights(targets, weights)
            if not compiled:
                rows, targets = rows.tolist(), targets.tolist()
            sums = gradients(numbers, rows, targets)
            shrink = alpha * is_weight * numbers
            value = (float(sums.loss) + 0.5 * float(shrink @ numbers)) / total
            return value, (numpy.asarray(sums.gradient) + shrink) / total

        return objective

    @property
    def _made(self) -> dict[str, Any]:
        """Programs and graphs made for this network, which no copy takes along."""
        if "_programs" not in vars(self):
            self._programs: dict[str, Any] = {}
        return self._programs

    def __getstate__(self) -> Any:
        state = dict(super().__getstate__())
        state.pop("_programs", None)
        return state

    def _by_lbfgs(self, model: Any, start: Any, X: Any, y: Any, weights: Any) -> Any:
        objective = self._objective(model, weights, 20 * len(X))
        seen = [math.inf]
        curve: list[float] = []

        def value(numbers: Any) -> tuple[float, Any]:
            found: tuple[float, Any] = objective(numbers, X, y, weights)
            seen[0] = found[0]
            return found

        def iteration_ends(_: Any) -> None:
            curve.append(seen[0])
            self._tell_loss(len(curve), seen[0])

        options = {"maxfun": self.max_fun, "maxiter": self.max_iter, "gtol": self.tol}
        found = lbfgs(value, start, options=options, callback=iteration_ends)
        if found.status != 0:
            self._tell_not_converged(
                f"lbfgs not converged within max_iter={self.max_iter} and max_fun={self.max_fun} "
                f"({found.message}); scale the data, or raise them"
            )
        self.n_iter_, self.loss_ = int(found.nit), float(found.fun)
        self.loss_curve_ = [*self.loss_curve_, *curve]
        self.best_loss_ = min(self.loss_, math.inf if self.best_loss_ is None else self.best_loss_)
        return found.x

    def _new_steps(self, compiled: bool) -> Steps:
        if not isinstance(self.solver, str):
            return OptimizerSteps(self.solver, compiled)
        if self.solver == "adam":
            return AdamSteps(self.learning_rate_init, self.beta_1, self.beta_2, self.epsilon)
        return Descent(
            self.learning_rate_init,
            self.learning_rate,
            momentum=self.momentum,
            nesterov=self.nesterovs_momentum,
            power=self.power_t,
        )

    def _by_steps(
        self, model: Any, numbers: Any, X: Any, y: Any, weights: Any, random: Any,
        incremental: bool,
    ) -> Any:  # fmt: skip
        held_out = None
        if self.early_stopping:
            X, y, weights, held_out = self._hold_out(X, y, weights, random)
            if self.validation_scores_ is None:
                self.validation_scores_, self.best_validation_score_ = [], -math.inf
            self.best_loss_ = None
        n = len(X)
        epochs = 1 if incremental else self.max_iter
        objective = self._objective(model, weights, epochs * n)
        if self._steps is None or not incremental:
            self._steps = self._new_steps(self._compiled(model, epochs * n))
        steps, size = self._steps, self._batch_size(n)
        order, best = numpy.arange(n), numbers
        self.n_iter_ = 0
        stopped = incremental
        try:
            while self.n_iter_ < epochs:
                if self.shuffle:
                    order = shuffle(order, random_state=random)
                total, moved = 0.0, numbers
                for begin in range(0, n, size):
                    rows = order[begin : begin + size]
                    part = None if weights is None else weights[rows]
                    value, gradient = objective(moved, X[rows], y[rows], part)
                    moved = steps.step(moved, gradient)
                    total += value * len(rows)
                if not numpy.isfinite(moved).all():
                    raise ValueError(_NOT_FINITE)
                numbers = moved
                self.n_iter_ += 1
                self.t_ += n
                self.loss_ = total / n
                self.loss_curve_.append(self.loss_)
                self._tell_loss(self.n_iter_, self.loss_)
                if self._is_best(model, numbers, held_out):
                    best = numbers
                steps.epoch_ends(self.t_)
                if self._idle > self.n_iter_no_change:
                    if not steps.slower():
                        stopped = True
                        break
                    self._idle = 0
        except KeyboardInterrupt:
            warnings.warn("Training interrupted by user.", stacklevel=4)
            stopped = True
        if not stopped:
            self._tell_not_converged(
                f"not converged within max_iter={self.max_iter}; scale the data, or raise max_iter"
            )
        return best if held_out else numbers

    def _batch_size(self, n: int) -> int:
        if self.batch_size == "full":
            return n
        if self.batch_size == "auto":
            return min(200, n)
        return min(int(self.batch_size), n)

    def _hold_out(self, X: Any, y: Any, weights: Any, random: Any) -> tuple[Any, ...]:
        arrays = [X, y] if weights is None else [X, y, weights]
        two_classes = isinstance(self, Classifier) and self.n_outputs_ == 1
        parts = train_test_split(
            *arrays,
            random_state=random,
            test_size=self.validation_fraction,
            stratify=y if two_classes else None,
        )
        kept, held_out = parts[0::2], parts[1::2]
        if len(held_out[0]) < 2:
            raise ValueError(
                "The validation set is too small. Increase 'validation_fraction' or the size of "
                "your dataset."
            )
        none = [] if weights is not None else [None]
        return *kept, *none, [*held_out, *none]

    def _is_best(self, model: Any, numbers: Any, held_out: Any) -> bool:
        """Enter how good an epoch was; count those in a row that were not better by ``tol``."""
        if held_out is None:
            loss, least = self.loss_, math.inf if self.best_loss_ is None else self.best_loss_
            self._idle = self._idle + 1 if loss > least - self.tol else 0
            self.best_loss_ = min(loss, least)
            return loss < least
        _set(model, numbers)
        self.model_ = model
        score = self._held_out_score(*held_out)
        assert self.validation_scores_ is not None
        assert self.best_validation_score_ is not None
        self.validation_scores_.append(score)
        if self.verbose:
            print(f"Validation score: {score:f}")
        self._idle = self._idle + 1 if score < self.best_validation_score_ + self.tol else 0
        better = score > self.best_validation_score_
        self.best_validation_score_ = max(score, self.best_validation_score_)
        return better

    def _tell_loss(self, iteration: int, loss: float) -> None:
        if self.verbose:
            print(f"Iteration {iteration}, loss = {loss:.8f}")

    # --- what kind of outputs ---

    _last_activation = "identity"

    def _out_activation(self) -> str:
        return self._last_activation


def _positions(model: Any) -> list[tuple[Any, Any]]:
    """Return where each layer's weights [inputs, outputs] and biases are among the parameters."""
    place = {id(p): i for i, p in enumerate(model.parameters())}
    return [
        (
            numpy.array([[place[id(w)] for w in neuron.w] for neuron in layer.neurons]).T,
            numpy.array([place[id(neuron.b)] for neuron in layer.neurons]),
        )
        for layer in model.layers
    ]


def _numbers(model: Any) -> Any:
    return numpy.array([p.data for p in model.parameters()])


def _set(model: Any, numbers: Any) -> None:
    for parameter, number in zip(model.parameters(), numbers.tolist()):
        parameter.data = number


def _each_label(logits: Any, target: Any) -> Any:
    """-log P of each of several labels that may be there or not, added up."""
    return functional.sum([nn.cross_entropy(z, t) for z, t in zip(logits, target)])


def _poisson(rate: Any, target: Any) -> Any:
    """Half the Poisson deviance: y log(y / h) - y + h, summed over the outputs."""
    rates = rate if isinstance(rate, list | tuple) else [rate]
    targets = target if isinstance(target, list | tuple) else [target]
    parts = [ops.xlogy(t, t) - t * ops.log(h) - t + h for h, t in zip(rates, targets)]
    return functional.sum(parts)


_LABELS = Loss(_each_label, "cross-entropy of labels", takes="logits", targets="any")
_POISSON = Loss(_poisson, "half Poisson deviance", targets="any")


class MLPClassifier(Classifier, _Network):
    """A multi-layer perceptron: the mean of ``-log P(y | x; w)``, and ``alpha / 2 ||w||^2 / m``.

    Parameters and defaults are those of scikit-learn's ``MLPClassifier``, and two more; the same
    ``random_state`` gives the same network as there, up to rounding. What differs is a table in the
    documentation ('The estimators beside scikit-learn's').

    Args:
        hidden_layer_sizes: The widths of the hidden layers; a number is one layer.
        activation: Of the hidden layers: ``"identity"``, ``"logistic"`` (ours: ``"sigmoid"``),
            ``"tanh"``, ``"relu"``, any other name of ``tinygrad_edu.nn``, or a function of one
            number.
        solver: ``"lbfgs"``, ``"sgd"``, ``"adam"``, or an optimizer of ``tinygrad_edu.optim``.
        alpha: Strength of the L2 penalty, divided by the size ``m`` of a batch.
        batch_size: ``"auto"`` (at most 200), ``"full"``, or a number.
        learning_rate: Of ``"sgd"``: ``"constant"``; ``"invscaling"``, ``learning_rate_init``
            divided by ``(rows seen + 1)**power_t``; or ``"adaptive"``, divided by 5 whenever the
            loss or score has not become better, down to 1e-6.
        learning_rate_init: The (first) learning rate of ``"sgd"`` and ``"adam"``.
        power_t: The exponent of ``"invscaling"``.
        max_iter: Epochs (or iterations of L-BFGS) at most.
        shuffle: Take the rows in another order in each epoch.
        random_state: For the initial weights, the rows held out, and the order of the rows.
        tol, n_iter_no_change: Stop when the loss (early stopping: the score) has not become better
            by ``tol`` in more than as many epochs. For L-BFGS ``tol`` bounds the gradient.
        verbose: Print the loss of each iteration.
        warm_start: Go on from the network of the last fit.
        momentum, nesterovs_momentum: Of ``"sgd"``.
        early_stopping, validation_fraction: Hold out so large a part of the rows, stop when the
            score on them no longer rises, and keep the weights that had the best.
        beta_1, beta_2, epsilon: Of ``"adam"``.
        max_fun: Calls of the objective by L-BFGS at most.
        class_weight: How much the rows of each class count: ``"balanced"`` or a dict.
        compiled: Train and predict in native code; ``"auto"``: where that is faster.

    Attributes:
        model_: The trained network of ``tinygrad_edu.nn``.
        coefs_, intercepts_: Its weights and biases, layer by layer.
        loss_, best_loss_, loss_curve_: The last, the least and all losses (``best_loss_`` is
            ``None`` with early stopping).
        validation_scores_, best_validation_score_: With early stopping, else ``None``.
        classes_, n_iter_, t_, n_layers_, n_outputs_, out_activation_: As in scikit-learn.

    >>> X, y = [[0, 0], [0, 1], [1, 0], [1, 1]], ["even", "odd", "odd", "even"]
    >>> mlp = MLPClassifier(8, "tanh", solver="lbfgs", random_state=1).fit(X, y)
    >>> mlp.predict(X).tolist()
    ['even', 'odd', 'odd', 'even']
    """

    _rules: ClassVar[dict[str, rules.Rule]] = {**_RULES, "class_weight": rules.WEIGHTS}
    classes_: Any
    _several: bool = False

    def __init__(
        self,
        hidden_layer_sizes: Any = (100,),
        activation: Any = "relu",
        *,
        solver: Any = "adam",
        alpha: float = 0.0001,
        batch_size: int | str = "auto",
        learning_rate: str = "constant",
        learning_rate_init: float = 0.001,
        power_t: float = 0.5,
        max_iter: int = 200,
        shuffle: bool = True,
        random_state: Any = None,
        tol: float = 1e-4,
        verbose: bool | int = False,
        warm_start: bool = False,
        momentum: float = 0.9,
        nesterovs_momentum: bool = True,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        n_iter_no_change: float = 10,
        max_fun: int = 15000,
        class_weight: Any = None,
        compiled: bool | str = "auto",
    ) -> None:
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.solver = solver
        self.alpha = alpha
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.learning_rate_init = learning_rate_init
        self.power_t = power_t
        self.max_iter = max_iter
        self.shuffle = shuffle
        self.random_state = random_state
        self.tol = tol
        self.verbose = verbose
        self.warm_start = warm_start
        self.momentum = momentum
        self.nesterovs_momentum = nesterovs_momentum
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon
        self.n_iter_no_change = n_iter_no_change
        self.max_fun = max_fun
        self.class_weight = class_weight
        self.compiled = compiled

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags

    @available_if(_takes_steps)  # type: ignore[untyped-decorator]
    def partial_fit(
        self, X: Any, y: Any, sample_weight: Any = None, classes: Any = None
    ) -> MLPClassifier:
        """Train for one epoch on ``X`` and ``y``, going on from where training is.

        Args:
            X, y: Rows and labels of one batch, or of all.
            sample_weight: How much each row counts, shape [n]; ``None``: all the same.
            classes: All labels that will ever come; only the first call needs them.

        Raises:
            ValueError: As ``fit``; if the first call has no ``classes``, or a label is not of them.
        """
        if not hasattr(self, "model_") and classes is None:
            raise ValueError("classes must be passed on the first call to partial_fit.")
        self._fit(X, y, sample_weight, incremental=True, classes=classes)
        return self

    def _targets(self, X: Any, y: Any, again: bool, classes: Any) -> tuple[Any, Any]:
        X, y = validate_data(
            self, X, y, dtype=numpy.float64, multi_output=True, reset=not again
        )  # fmt: skip
        check_classification_targets(y)
        several = type_of_target(y).startswith("multilabel")
        if not several:
            y = column_or_1d(y, warn=True)
        found = unique_labels(y)
        if again:
            known = self.classes_
            if several != self._several:
                raise ValueError(
                    f"y: expected {'a matrix of 0 and 1' if not several else 'labels'}"
                )
        elif classes is not None:
            known = unique_labels(classes)
        else:
            known = found
        if classes is not None and not numpy.array_equal(known, unique_labels(classes)):
            raise ValueError(
                f"`classes={classes!r}` is not the same as on last call to partial_fit, was: "
                f"{known!r}"
            )
        if not set(found.tolist()) <= set(known.tolist()):
            raise ValueError(f"`y` has classes not in `self.classes_`: {found} beside {known}")
        if again and classes is None and self.warm_start and len(found) != len(known):
            raise ValueError(
                "warm_start can only be used where `y` has the same classes as in the previous "
                f"call to fit. Previously got {known}, `y` has {found}"
            )
        if len(known) < 2 and not several:
            raise ValueError(
                f"{type(self).__name__}: expected at least 2 classes, got 1 class: {known[0]!r}"
            )
        self.classes_, self._several = known, several
        if several:
            self.n_outputs_ = y.shape[1]
            return X, numpy.asarray(y, dtype=numpy.float64)
        self.n_outputs_ = 1 if len(known) == 2 else len(known)
        return X, numpy.searchsorted(known, y)

    def _weights(self, sample_weight: Any, X: Any, y: Any) -> Any:
        weights = sample_weights(sample_weight, X)
        if self._several and self.class_weight is not None:
            raise ValueError("class_weight: expected None where a row has several labels")
        return with_class_weights(self.class_weight, self.classes_, y, weights)

    def _loss(self) -> Loss:
        return _LABELS if self._several and self.n_outputs_ > 1 else nn.cross_entropy

    def _out_activation(self) -> str:
        return "logistic" if self._several or self.n_outputs_ == 1 else "softmax"

    def predict(self, X: Any) -> Any:
        """Return the class of each row of ``X``, or a matrix of 0 and 1 for several labels."""
        outputs = self._outputs(X, nn.cross_entropy)
        if not self._several:
            return self._classes_by(outputs)
        return (outputs.reshape(len(outputs), -1) > 0.0).astype(int)

    def predict_proba(self, X: Any) -> Any:
        """Return probabilities, shape [n, K]: of the classes, or of each of several labels."""
        if not self._several:
            return super().predict_proba(X)
        outputs = self._outputs(X, nn.cross_entropy)
        return numpy.exp(-numpy.logaddexp(0.0, -outputs.reshape(len(outputs), -1)))

    def predict_log_proba(self, X: Any) -> Any:
        """Return the logarithms of the probabilities, finite where these underflow to 0."""
        if not self._several:
            return super().predict_log_proba(X)
        outputs = self._outputs(X, nn.cross_entropy)
        return -numpy.logaddexp(0.0, -outputs.reshape(len(outputs), -1))

    def _held_out_score(self, X: Any, y: Any, weights: Any) -> float:
        outputs = self._outputs_of(X, nn.cross_entropy)
        if self._several:
            found = (outputs.reshape(len(outputs), -1) > 0.0).astype(float)
            return float(accuracy_score(y, found, sample_weight=weights))
        found = (outputs > 0.0).astype(int) if outputs.ndim == 1 else outputs.argmax(axis=1)
        return float(accuracy_score(y, found, sample_weight=weights))


class MLPRegressor(RegressorMixin, _Network):  # type: ignore[misc]
    """A multi-layer perceptron for numbers: the mean of ``1/2 (y - h(x))^2``, and the penalty.

    Parameters and defaults are those of scikit-learn's ``MLPRegressor`` and ``compiled``; the same
    ``random_state`` gives the same network as there, up to rounding. What differs is a table in the
    documentation ('The estimators beside scikit-learn's').

    Args:
        loss: ``"squared_error"``, or ``"poisson"``: half the deviance of counts, for targets from
            0; the output of the network then has an ``exp``.
        compiled: As for ``MLPClassifier``, and so are all the others; the score of early stopping
            is R^2.

    >>> import numpy
    >>> X = numpy.linspace(-1.0, 1.0, 20)[:, None]
    >>> mlp = MLPRegressor(hidden_layer_sizes=8, solver="lbfgs", random_state=1)
    >>> mlp.fit(X, X[:, 0] ** 2).score(X, X[:, 0] ** 2) > 0.99
    True
    """

    _rules: ClassVar[dict[str, rules.Rule]] = {
        **_RULES,
        "loss": rules.names("squared_error", "poisson"),
    }

    def __init__(
        self,
        loss: str = "squared_error",
        hidden_layer_sizes: Any = (100,),
        activation: Any = "relu",
        *,
        solver: Any = "adam",
        alpha: float = 0.0001,
        batch_size: int | str = "auto",
        learning_rate: str = "constant",
        learning_rate_init: float = 0.001,
        power_t: float = 0.5,
        max_iter: int = 200,
        shuffle: bool = True,
        random_state: Any = None,
        tol: float = 1e-4,
        verbose: bool | int = False,
        warm_start: bool = False,
        momentum: float = 0.9,
        nesterovs_momentum: bool = True,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        n_iter_no_change: float = 10,
        max_fun: int = 15000,
        compiled: bool | str = "auto",
    ) -> None:
        self.loss = loss
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.solver = solver
        self.alpha = alpha
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.learning_rate_init = learning_rate_init
        self.power_t = power_t
        self.max_iter = max_iter
        self.shuffle = shuffle
        self.random_state = random_state
        self.tol = tol
        self.verbose = verbose
        self.warm_start = warm_start
        self.momentum = momentum
        self.nesterovs_momentum = nesterovs_momentum
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon
        self.n_iter_no_change = n_iter_no_change
        self.max_fun = max_fun
        self.compiled = compiled

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags

    @available_if(_takes_steps)  # type: ignore[untyped-decorator]
    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> MLPRegressor:
        """Train for one epoch on ``X`` and ``y``, going on from where training is.

        Raises:
            ValueError: As ``fit``.
        """
        self._fit(X, y, sample_weight, incremental=True)
        return self

    def _targets(self, X: Any, y: Any, again: bool, classes: Any) -> tuple[Any, Any]:  # noqa: ARG002
        X, y = validate_data(
            self, X, y, dtype=numpy.float64, multi_output=True, y_numeric=True, reset=not again
        )
        if y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y, warn=True)
        y = numpy.asarray(y, dtype=numpy.float64)
        if self.loss == "poisson" and (y < 0.0).any():
            raise ValueError(f"loss='poisson': expected targets from 0, got {float(y.min())!r}")
        self.n_outputs_ = 1 if y.ndim == 1 else y.shape[1]
        return X, y

    @property
    def _last_activation(self) -> str:  # type: ignore[override]
        return "exp" if self.loss == "poisson" else "identity"

    def _loss(self) -> Loss:
        return _POISSON if self.loss == "poisson" else nn.squared_error

    def predict(self, X: Any) -> Any:
        """Return the numbers for each row of ``X``, shape [n] or [n, n_outputs]."""
        return self._outputs(X, nn.squared_error)

    def _held_out_score(self, X: Any, y: Any, weights: Any) -> float:
        return float(r2_score(y, self._outputs_of(X, nn.squared_error), sample_weight=weights))

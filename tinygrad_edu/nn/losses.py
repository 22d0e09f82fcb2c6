"""Losses: how wrong one prediction is, as a node that can be differentiated.

A loss is a function of one example, ``loss(prediction, target)``, and knows what training has to
know about it (``loss.py``). Predictions are a node or, where a model has several outputs, a list.

Sources: the notes, sections 'Optimization' (squared error), 'Logistic Regression' (its L2 loss),
'Multi-Class Logistic Regression' and 'Measuring Accuracy' (likelihood and log-likelihood).

>>> from tinygrad_edu import Value
>>> cross_entropy([Value(0.0), Value(0.0)], 1).data        # two classes, no idea: log 2
0.6931471805599453
>>> squared_error(3.0, 1.0)                                # 1/2 (1 - 3)^2
2.0

Labels of two classes are 1 and 0, or 1 and -1; of K classes 0 to K - 1, or one-hot lists ``t_k``
(or probabilities that add up to 1). The functions use arithmetic and table operations only, without
branches on numbers, so they can be compiled.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from tinygrad_edu.engine import functional, ops
from tinygrad_edu.engine.operation import Node
from tinygrad_edu.nn.loss import Loss


def _several(prediction: Any) -> bool:
    return isinstance(prediction, (list, tuple))


def _expected(target: Sequence[Any], numbers: Sequence[Any], of: Any = None) -> Any:
    """Return sum_k t_k of(x_k), where a weight of 0 counts for nothing: x_k may be infinite.

    So a one-hot target gives what the index of its class gives.
    """
    if not any(isinstance(t, Node) for t in target):
        kept = [(t, x) for t, x in zip(target, numbers) if t != 0.0]
        numbers = [x if of is None else of(x) for _, x in kept]
        return functional.dot([t for t, _ in kept], numbers) if kept else 0.0
    if of is ops.log:
        return functional.sum([ops.xlogy(t, x) for t, x in zip(target, numbers)])
    return functional.sum(
        [functional.where(ops.equal(t, 0.0), 0.0, t * x) for t, x in zip(target, numbers)]
    )


def _square(x: Any) -> Any:
    return x * x


def _squared_error(prediction: Any, target: Any) -> Any:
    """1/2 (y - h)^2, summed over the outputs; over a batch 1/2 ||y - Xw||^2.

    >>> from tinygrad_edu.nn import squared_error
    >>> squared_error(3.0, 1.0), squared_error([3.0, 1.0], [1.0, 1.0])
    (2.0, 2.0)
    """
    if not _several(prediction):
        return 0.5 * _square(target - prediction)
    return 0.5 * functional.sum([_square(t - p) for p, t in zip(prediction, target)])


def _mean_squared_error(prediction: Any, target: Any) -> Any:
    """(y - h)^2, averaged over outputs and examples.

    >>> from tinygrad_edu.nn import mean_squared_error
    >>> mean_squared_error(3.0, 1.0), mean_squared_error.of([3.0, 1.0], [1.0, 1.0])
    (4.0, 2.0)
    """
    if not _several(prediction):
        return _square(target - prediction)
    return functional.mean([_square(t - p) for p, t in zip(prediction, target)])


def _logistic_loss(probability: Any, target: Any) -> Any:
    """The notes' L2 loss of logistic regression, 1/2 (y - h_w(x))^2 with y = 1 or 0.

    >>> from tinygrad_edu.nn import logistic_loss
    >>> logistic_loss(0.5, 1), logistic_loss(0.5, -1)
    (0.125, 0.125)
    """
    return 0.5 * _square(functional.greater(target, 0.0) - probability)


def _log_likelihood(logits: Any, target: Any) -> Any:
    """log P(y | x; w) of the softmax of K logits, or of the sigmoid of one.

    >>> from tinygrad_edu.nn import log_likelihood
    >>> log_likelihood(0.0, 1), log_likelihood([0.0, 0.0], 1)      # two classes, no idea: -log 2
    (-0.6931471805599453, -0.6931471805599453)
    """
    if not _several(logits):
        return ops.log_sigmoid(functional.where(functional.greater(target, 0.0), logits, -logits))
    if _several(target):  # sum_k t_k log p_k
        return _expected(target, functional.log_softmax(logits))
    logits = ops.less_the_largest(logits)
    return functional.take(logits, target) - functional.logsumexp(logits)


def _cross_entropy(logits: Any, target: Any) -> Any:
    """-log P(y | x; w) of the softmax of K logits, or of the sigmoid of one.

    >>> from tinygrad_edu.nn import cross_entropy
    >>> cross_entropy(0.0, 1), cross_entropy([0.0, 0.0], 1)        # two classes, no idea: log 2
    (0.6931471805599453, 0.6931471805599453)
    """
    if not _several(logits):
        return ops.softplus(functional.where(functional.greater(target, 0.0), -logits, logits))
    if _several(target):
        return -_expected(target, functional.log_softmax(logits))
    logits = ops.less_the_largest(logits)
    return functional.logsumexp(logits) - functional.take(logits, target)


def probability_of(probabilities: Any, target: Any) -> Any:
    """Return P(y | x): the probability that a prediction gives to its target.

    ``probabilities`` is P(y = +1), or a list of K; of one-hot targets t it is prod_k p_k^t_k.

    >>> probability_of(0.9, -1), probability_of([0.2, 0.8], 1), probability_of([0.2, 0.8], [0, 1])
    (0.09999999999999998, 0.8, 0.8)
    """
    if not _several(probabilities):
        positive = functional.greater(target, 0.0)
        return functional.where(positive, probabilities, 1.0 - probabilities)
    if _several(target):
        return _product([functional.pow(p, t) for p, t in zip(probabilities, target)])
    return functional.take(probabilities, target)


def likelihood(predictions: Iterable[Any], targets: Iterable[Any]) -> Any:
    """Return the product over the examples of P(y_i | x_i; w), the notes' likelihood.

    For small n: the product of many probabilities underflows to 0 (some hundred examples are
    enough). ``log_likelihood`` is the form for any n.

    Raises:
        TypeError: If predictions or targets are those of one example, as ``fit`` hands them to a
            loss.
        ValueError: If there are no examples, or not one target for each prediction.

    >>> likelihood([0.5, 0.9], [1, 1]), likelihood([[0.25, 0.75]], [1])
    (0.45, 0.75)
    """
    for given, name in ((predictions, "predictions"), (targets, "targets")):
        if not isinstance(given, Iterable):
            raise TypeError(
                f"likelihood: expected the {name} of all examples, got {type(given).__name__}; "
                "to train, maximize log_likelihood"
            )
    first, second = list(predictions), list(targets)
    if len(first) != len(second) or not first:
        raise ValueError(
            "likelihood: expected as many predictions as targets, at least one; "
            f"got {len(first)} and {len(second)}"
        )
    return _product([probability_of(p, t) for p, t in zip(first, second)])


def _product(factors: Sequence[Any]) -> Any:
    product = factors[0]
    for factor in factors[1:]:
        product = product * factor
    return product


def _log_loss(probabilities: Any, target: Any) -> Any:
    """-log P(y | x; w), given probabilities; of logits, cross_entropy is the stable way.

    >>> from tinygrad_edu.nn import log_loss
    >>> log_loss(0.5, 1), log_loss([0.5, 0.5], 0)
    (0.6931471805599453, 0.6931471805599453)
    """
    if _several(probabilities) and _several(target):
        return -_expected(target, probabilities, ops.log)
    return -ops.log(probability_of(probabilities, target))


def _hinge(scores: Any, target: Any) -> Any:
    """max(0, 1 - y s) for y = 1 or -1; for K scores the mean over k of max(0, 1 + s_k - s_y).

    >>> from tinygrad_edu.nn import hinge
    >>> hinge(0.25, 1), hinge(0.25, -1), hinge(2.0, 1)
    (0.75, 1.25, 0.0)
    """
    if not _several(scores):
        margin = functional.where(functional.greater(target, 0.0), scores, -scores)
        return ops.relu(1.0 - margin)
    true = _expected(target, scores) if _several(target) else functional.take(scores, target)
    terms = [ops.relu(1.0 + s - true) for s in scores]
    return (functional.sum(terms) - 1.0) / len(scores)  # the true class itself adds relu(1) = 1


squared_error: Loss = Loss(_squared_error, "squared error", reduction="sum")
mean_squared_error: Loss = Loss(_mean_squared_error, "mean squared error")
logistic_loss: Loss = Loss(
    _logistic_loss, "L2 logistic loss", reduction="sum", takes="probabilities", targets="sign"
)
log_likelihood: Loss = Loss(
    _log_likelihood,
    "log-likelihood",
    reduction="sum",
    takes="logits",
    targets="class",
    maximize=True,
)
negative_log_likelihood: Loss = Loss(
    _cross_entropy, "negative log-likelihood", reduction="sum", takes="logits", targets="class"
)
cross_entropy: Loss = Loss(_cross_entropy, "cross-entropy", takes="logits", targets="class")
log_loss: Loss = Loss(_log_loss, "log loss", takes="probabilities", targets="class")
hinge: Loss = Loss(_hinge, "hinge", takes="scores", targets="class")


class L2:
    """L2 regularisation: ``strength * (p_1^2 + p_2^2 + ...)``, to be added to a loss.

    Raises:
        ValueError: If the strength is negative or not finite.

    >>> L2(0.5)([1.0, 2.0])
    2.5
    """

    def __init__(self, strength: float) -> None:
        if not 0.0 <= strength < float("inf"):
            raise ValueError(f"strength: expected a number >= 0, got {strength!r}")
        self.strength: float = float(strength)

    def __call__(self, parameters: Iterable[Any]) -> Any:
        """Return the penalty as a node."""
        all_of_them = tuple(parameters)
        return self.strength * ops.dot(*all_of_them, *all_of_them) if all_of_them else 0.0

    def __repr__(self) -> str:
        return f"L2({self.strength:g})"

"""The notes' linear models: each looks at ``w . f(x) + b`` and differs in what it makes of it.

=====================  =======================================  ====================================
model                  ``model(x)``, the notes' ``h_w(x)``      section of the notes
=====================  =======================================  ====================================
``LinearRegression``   ``w . f(x) + b``                         Optimization
``LogisticRegression`` ``1 / (1 + exp(-(w . f(x) + b)))``       Logistic Regression
``SoftmaxRegression``  ``softmax(w_k . f(x) + b_k)``            Multi-Class Logistic Regression
``Perceptron``         ``step(w . f(x) + b)``                   Multi-layer Perceptron
=====================  =======================================  ====================================

``f`` is a feature map, the identity by default. The notes write no ``b``: it is the weight of a
feature that is always 1; ``bias=False`` leaves it out. Losses that work on logits, such as
``cross_entropy``, ask a classifier for ``logits(x)``, which is ``w . f(x) + b``: the logarithm of a
probability is exact that way.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from tinygrad_edu.data import as_rows, as_targets
from tinygrad_edu.engine import functional
from tinygrad_edu.engine.number import as_float
from tinygrad_edu.nn.features import FeatureMap, feature_count
from tinygrad_edu.nn.initialization import ActivationName, Seed, random_source
from tinygrad_edu.nn.layers import MLP, Layer, Neuron, as_inputs, check_count
from tinygrad_edu.nn.measures import argmax, sgn


class _LinearNeuron(Neuron):
    """A neuron that looks at features of its inputs."""

    nin: int
    features: FeatureMap | None

    _activation: ClassVar[ActivationName] = "identity"

    def __init__(
        self, nin: int, *, features: FeatureMap | None = None, seed: Seed = None, **options: Any
    ) -> None:
        inputs, width = check_count(nin, "nin"), feature_count(features, nin)
        super().__init__(width, self._activation, seed=seed, **options)
        self.nin, self.features = inputs, features

    def score(self, x: Any) -> Any:
        """Return ``w . f(x) + b``.

        Raises:
            ValueError: If ``x`` does not hold ``nin`` numbers or nodes.
        """
        return self._sum(_features_of(x, self))

    def __repr__(self) -> str:
        return _describe(self)


class LinearRegression(_LinearNeuron):
    """A number as a linear function of the features: ``h_w(x) = w . f(x) + b``.

    Args:
        nin: Number of inputs.
        features: A feature map, such as ``Polynomial(2)``.
        options: ``bias``, ``initialization``, ``seed``, ``expanded``, as for ``Neuron``.

    >>> model = LinearRegression(2)
    >>> model.load_state_dict({"w": [2.0, 3.0], "b": 1.0})
    >>> model([10.0, 100.0]).data, model.predict([10.0, 100.0])
    (321.0, 321.0)
    """

    def predict(self, x: Any) -> float:
        """Return the predicted number for one example."""
        return as_float(self(x))


class LogisticRegression(_LinearNeuron):
    """The probability of one of two classes: ``P(y = +1 | f(x); w) = 1 / (1 + exp(-w . f(x)))``.

    The options are those of ``LinearRegression``.

    >>> model = LogisticRegression(1)
    >>> model.load_state_dict({"w": [2.0], "b": 0.0})
    >>> model([0.0]).data, model.predict([3.0]), model.predict([-3.0])
    (0.5, 1, 0)
    """

    _activation: ClassVar[ActivationName] = "sigmoid"

    def logits(self, x: Any) -> Any:
        """Return ``w . f(x) + b``, of which the probability is the logistic function."""
        return self.score(x)

    def probabilities(self, x: Any) -> tuple[Any, Any]:
        """Return ``P(y = +1)`` and ``P(y = -1) = 1 - P(y = +1)`` for one example.

        >>> model = LogisticRegression(1, initialization="zeros")
        >>> [p.data for p in model.probabilities([1.0])]
        [0.5, 0.5]
        """
        positive = self(x)
        return positive, 1.0 - positive

    def predict(self, x: Any) -> int:
        """Return 1 if ``P(y = +1)`` is greater than 0.5, else 0."""
        return int(as_float(self(x)) > 0.5)


class SoftmaxRegression(Layer):
    """The probabilities of K classes: ``P(y = i | f(x); w) = softmax(w_k . f(x))_i``.

    Args:
        nin: Number of inputs.
        classes: K, at least 2; labels are 0 to K - 1.
        features: A feature map, such as ``Polynomial(2)``.
        options: ``bias``, ``initialization``, ``expanded``, as for ``Neuron``.

    Raises:
        TypeError, ValueError: For arguments that are none of these.

    >>> model = SoftmaxRegression(2, 4, initialization="zeros")
    >>> [p.data for p in model([1.0, 2.0])]
    [0.25, 0.25, 0.25, 0.25]
    """

    nin: int
    features: FeatureMap | None

    def __init__(
        self,
        nin: int,
        classes: int,
        *,
        features: FeatureMap | None = None,
        seed: Seed = None,
        **options: Any,
    ) -> None:
        if check_count(classes, "classes") < 2:
            raise ValueError(
                "classes: expected at least 2, got 1; LogisticRegression has one output"
            )
        inputs, width = check_count(nin, "nin"), feature_count(features, nin)
        super().__init__(width, classes, "identity", seed=seed, **options)
        self.nin, self.features = inputs, features

    def logits(self, x: Any) -> list[Any]:
        """Return ``w_k . f(x) + b_k`` for each class k: their softmax are the probabilities."""
        inputs = _features_of(x, self)
        return [
            neuron._sum(inputs) if type(neuron).__call__ is Neuron.__call__ else neuron(inputs)
            for neuron in self.neurons
        ]

    def __call__(self, x: Any) -> list[Any]:
        return functional.softmax(self.logits(x))

    def predict(self, x: Any) -> int:
        """Return the most probable class, the first one if several are."""
        return argmax(self.logits(x))

    def __repr__(self) -> str:
        return _describe(self, f", {self.nout}")


class Perceptron(_LinearNeuron):
    """A binary classifier that answers 1 or -1: the step function of ``w . f(x) + b``.

    Its gradient is zero everywhere, so gradient descent cannot train it; ``learn`` can. The options
    are those of ``LinearRegression``.

    >>> model = Perceptron(1, initialization="zeros")
    >>> model.learn([[1.0], [2.0], [-1.0]], [1, 1, -1])
    1
    >>> [model.predict([x]) for x in (5.0, -5.0)]
    [1, -1]
    """

    _activation: ClassVar[ActivationName] = "step"

    def predict(self, x: Any) -> int:
        """Return 1 or -1."""
        return sgn(as_float(self.score(x)))

    def learn(
        self,
        X: Sequence[Sequence[float]],
        y: Sequence[float],
        *,
        epochs: int = 100,
        seed: Seed = None,
    ) -> int:
        """Train by the perceptron rule: where the answer is wrong, ``w <- w + y f(x)``.

        Args:
            X: The examples, each a row of ``nin`` numbers.
            y: Their labels, 1 and -1 (or 1 and 0).
            epochs: How often to go through the examples at most; stops once none is wrong.
            seed: Shuffles the examples anew in each epoch; ``None`` goes through them in order.

        Returns:
            The number of corrections made. On linearly separable data it is finite (Rosenblatt).

        Raises:
            TypeError, ValueError: If the data are unusable; the weights are then unchanged.
        """
        rows = as_rows(X, width=self.nin)
        labels = [1 if label > 0 else -1 for label in as_targets(y, "sign", len(rows))]
        order, corrections = list(range(len(rows))), 0
        source = None if seed is None else random_source(seed)
        for _ in range(epochs):
            before = corrections
            if source is not None:
                source.shuffle(order)
            for i in order:
                inputs = [float(value) for value in _features_of(rows[i], self)]
                if sgn(as_float(self._sum(inputs))) != labels[i]:
                    corrections += 1
                    for weight, value in zip(self.w, inputs):
                        weight.data += labels[i] * value
                    if self.b is not None:
                        self.b.data += labels[i]
            if corrections == before:
                break
        return corrections


class MultiLayerPerceptron(MLP):
    """The notes' N-layer perceptron: every neuron is a perceptron, with the step function.

    Its gradient is zero everywhere: the notes' reason to choose sigmoid or ReLU instead (``MLP``).
    Arguments as for ``MLP``, without the activations.

    >>> MultiLayerPerceptron(2, [3, 1], seed=0)
    MultiLayerPerceptron(2 -> 3 step -> 1 step, 13 parameters)
    """

    def __init__(
        self, nin: int, nouts: Sequence[int], *, seed: Seed = None, **options: Any
    ) -> None:
        super().__init__(nin, nouts, "step", "step", seed=seed, **options)


def _features_of(x: Any, model: Any) -> Sequence[Any]:
    weight = model.w[0] if isinstance(model, Neuron) else model.neurons[0].w[0]
    features = model.features
    if features is None:
        return as_inputs(x, model.nin, weight)
    # Features are computed on the numbers themselves, and become constants afterwards.
    mapped = features(as_inputs(x, model.nin, None))
    return as_inputs(mapped, len(mapped), weight)


def _describe(model: Any, more: str = "") -> str:
    features = "" if model.features is None else f", features={model.features!r}"
    return f"{type(model).__name__}({model.nin}{more}{features})"

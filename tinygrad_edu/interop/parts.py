"""A model taken apart for export: a feature map, then matrices and activations in turn."""

from __future__ import annotations

from typing import Any, NamedTuple

from tinygrad_edu import nn
from tinygrad_edu.engine import functional
from tinygrad_edu.engine.number import as_float
from tinygrad_edu.engine.ops import softplus
from tinygrad_edu.nn.structure import activation_key, code_of_its_own, layers_of

EXPORTED = ("identity", "leaky_relu", "relu", "sigmoid", "softplus", "step", "tanh")


class Linear(NamedTuple):
    """A layer before its activation: ``weights[k] . x + biases[k]`` for each neuron k."""

    weights: list[list[float]]
    biases: list[float] | None
    activation: tuple[Any, ...]


class Parts(NamedTuple):
    """What a model consists of; ``degree`` is that of its polynomial features, 1 for none."""

    nin: int
    degree: int
    layers: list[Linear]
    softmax: bool


def take_apart(model: Any) -> Parts:
    """Return the parts of a model of ``tinygrad_edu.nn``.

    Raises:
        TypeError: If it is another kind of model, or one with a ``__call__`` of its own in it.
        ValueError: If it has activations or features that have no counterpart elsewhere.

    >>> take_apart(nn.Neuron(1, "tanh", initialization="zeros")).layers
    [Linear(weights=[[0.0]], biases=[0.0], activation=('tanh',))]
    """
    features = getattr(model, "features", None)
    if features is not None and type(features) is not nn.Polynomial:
        raise ValueError(f"features: expected Polynomial or none, got {features!r:.60}")
    structure = layers_of(model)
    own = code_of_its_own(model)
    if own:
        raise TypeError(f"model: {own} computes something of its own, which has no counterpart")
    layers = []
    for i, neurons in enumerate(structure):
        keys = {_key(neuron.activation) for neuron in neurons}
        if len(keys) != 1 or not {key[0] for key in keys} <= set(EXPORTED):
            found = ", ".join(sorted(str(key[0]) for key in keys))
            raise ValueError(
                f"layer {i}: expected one activation of {', '.join(EXPORTED)}; got {found}"
            )
        biases = [neuron.b for neuron in neurons]
        if len({b is None for b in biases}) != 1:
            raise ValueError(f"layer {i}: expected a bias in all neurons, or in none")
        layers.append(
            Linear(
                [[as_float(w) for w in neuron.w] for neuron in neurons],
                None if biases[0] is None else [as_float(b) for b in biases],
                keys.pop(),
            )
        )
    degree = 1 if features is None else features.degree
    return Parts(model.nin, degree, layers, isinstance(model, nn.SoftmaxRegression))


def _key(activation: Any) -> tuple[Any, ...]:
    if isinstance(activation, TorchSoftplus):
        return ("softplus", activation.beta, activation.threshold)
    return activation_key(activation) or (repr(activation)[:60],)


def steps_of(nin: int, degree: int) -> list[tuple[list[int], list[int]]]:
    """Return how polynomial features are made of the inputs, degree by degree.

    For each degree from 2 on, two lists of equal length: positions among the products of the degree
    before, and positions among the inputs; what they point at is multiplied. The order is that of
    ``Polynomial``.

    >>> steps_of(2, 2)                       # x x, x y, y y
    [([0, 0, 1], [0, 1, 1])]
    """
    steps, last = [], [(i,) for i in range(nin)]
    for _ in range(2, degree + 1):
        chosen = [(k, i) for k, product in enumerate(last) for i in range(product[-1], nin)]
        steps.append(([k for k, _ in chosen], [i for _, i in chosen]))
        last = [(i,) for _, i in chosen]  # the last factor is all that the next degree looks at
    return steps


class TorchSoftplus:
    """torch's softplus: ``log(1 + exp(beta x)) / beta``, but ``x`` where ``beta x > threshold``.

    The cut changes the value by less than ``exp(-threshold) / beta``: 2e-9 by torch's defaults.

    >>> TorchSoftplus(1.0, 20.0)(25.0)
    25.0
    """

    beta: float
    threshold: float

    def __init__(self, beta: float, threshold: float) -> None:
        self.beta, self.threshold = float(beta), float(threshold)
        self.__name__: str = f"softplus(beta={self.beta:g}, threshold={self.threshold:g})"

    def __call__(self, x: Any) -> Any:
        scaled = self.beta * x
        smooth = softplus(scaled) / self.beta
        return functional.where(functional.greater(scaled, self.threshold), x, smooth)

    def __repr__(self) -> str:
        return self.__name__

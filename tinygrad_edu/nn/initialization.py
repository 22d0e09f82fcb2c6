"""How a neuron starts: activation functions by name, and random initial weights.

"Randomly initialize w" is the first line of the notes' Algorithms 1 to 3. How large the random
numbers should be depends on the width of the layers:

- ``"xavier"``: uniform in ``+-sqrt(6 / (n_in + n_out))`` (Glorot and Bengio, 2010), which suits
  sigmoid, tanh and linear neurons;
- ``"he"``: normal with standard deviation ``sqrt(2 / n_in)`` (He et al., 2015), which suits ReLU;
- ``"uniform"``: uniform in [-1, 1] whatever the width, as micrograd has it;
- ``"auto"``: ``"he"`` for the ReLU family, else ``"xavier"``;
- where nothing is said, ``MLP(2, [16, 16, 1])``: as micrograd draws them, ``"uniform"`` from
  Python's ``random``. With a seed or an activation it is ``"auto"``.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from numbers import Integral
from typing import Any, Literal, TypedDict

from tinygrad_edu.engine import functional, ops

Seed = int | random.Random | None
Activation = Callable[[Any], Any]
# spelled out for checkers and editors; a test compares them with what there is
ActivationName = Literal[
    "identity", "leaky_relu", "relu", "sigmoid", "softplus", "step", "tanh"
]  # fmt: skip
InitializationName = Literal["auto", "xavier", "he", "uniform", "zeros"]
Initialization = InitializationName | Callable[[random.Random, int, int], float]


class NeuronOptions(TypedDict, total=False):
    """What a layer, or a network, hands on to each ``Neuron``."""

    nonlin: bool | None
    bias: bool
    initialization: Initialization | None
    expanded: bool


# Python's shared generator, which random.seed() seeds: the functions of random are its methods
_SHARED: random.Random = random.uniform.__self__  # type: ignore[attr-defined]


def identity(x: Any) -> Any:
    """Return ``x``: the activation of a linear neuron.

    >>> identity(2.0)
    2.0
    """
    return x


ACTIVATIONS: dict[str, Activation] = {
    "identity": identity,
    "leaky_relu": functional.leaky_relu,
    "relu": ops.relu,
    "sigmoid": ops.sigmoid,
    "softplus": ops.softplus,
    "step": ops.step,
    "tanh": ops.tanh,
}
_RELU_FAMILY = ("relu", "leaky_relu", "softplus")


def activation_function(activation: ActivationName | bool | Activation) -> Activation:
    """Return the function for a name, and any other function as it is.

    ``True`` and ``False`` are micrograd's ``nonlin``: ReLU and identity.

    Raises:
        TypeError: If it is neither a name nor callable.
        ValueError: If there is no activation of that name.

    >>> activation_function("step")(-3.0)
    -1.0
    """
    if isinstance(activation, bool):
        return ops.relu if activation else identity
    if isinstance(activation, str):
        if activation not in ACTIVATIONS:
            known = ", ".join(ACTIVATIONS)
            raise ValueError(f"activation: expected {known}, or a function; got {activation!r}")
        return ACTIVATIONS[activation]
    if not callable(activation):
        raise TypeError(
            "activation: expected a name or a function, "
            f"got {type(activation).__name__} {activation!r}"
        )
    return activation


def activation_name(activation: Activation) -> str:
    """Return the name of an activation function, as ``activation_function`` takes it.

    >>> activation_name(ops.relu)
    'relu'
    """
    return str(getattr(activation, "__name__", type(activation).__name__))


def random_source(seed: Seed) -> random.Random:
    """Return the source of randomness for a ``seed``.

    A ``random.Random`` is used as it is (and advances), a whole number makes a new one, ``None``
    makes one from fresh entropy. The global generator of ``random`` is never touched.

    Raises:
        TypeError: If the seed is none of these.

    >>> random_source(1).random() == random_source(1).random()
    True
    """
    if isinstance(seed, random.Random):
        return seed
    if seed is None:
        return random.Random()
    if isinstance(seed, Integral) and not isinstance(seed, bool):
        return random.Random(int(seed))
    raise TypeError(
        "seed: expected a whole number, a random.Random or None, "
        f"got {type(seed).__name__} {seed!r}"
    )


def weight_source(seed: Seed) -> random.Random:
    """Return the source of initial weights: for ``None`` the one that ``random.seed()`` governs.

    >>> random.seed(1337)
    >>> weight_source(None).uniform(-1, 1)
    0.23550571390294128
    """
    return _SHARED if seed is None else random_source(seed)


def chosen_initialization(
    initialization: Initialization | None, activation: Any, usual: Any, seed: Seed
) -> Initialization:
    """Return the initialization where none is named: see the top of this file.

    >>> chosen_initialization(None, "relu", "relu", None)
    'uniform'
    >>> chosen_initialization(None, "tanh", "relu", None)
    'auto'
    """
    if initialization is not None:
        return initialization
    plain = isinstance(activation, bool) or activation is usual or activation == usual
    return "uniform" if plain and seed is None else "auto"


def _xavier(source: random.Random, n_in: int, n_out: int) -> float:
    bound = math.sqrt(6.0 / (n_in + n_out))
    return source.uniform(-bound, bound)


def _he(source: random.Random, n_in: int, _: int) -> float:
    return source.gauss(0.0, math.sqrt(2.0 / n_in))


def _uniform(source: random.Random, *_: int) -> float:
    return source.uniform(-1.0, 1.0)


def _zeros(*_: Any) -> float:
    return 0.0


INITIALIZATIONS: dict[str, Callable[[random.Random, int, int], float]] = {
    "he": _he,
    "uniform": _uniform,
    "xavier": _xavier,
    "zeros": _zeros,
}


def initial_weight(
    initialization: Initialization, activation: Activation
) -> Callable[[random.Random, int, int], float]:
    """Return the rule ``(source, n_in, n_out) -> weight`` for a name; a function is its own rule.

    Raises:
        ValueError: If there is no initialization of that name.

    >>> initial_weight("zeros", identity)(random.Random(0), 2, 3)
    0.0
    """
    if callable(initialization):
        return initialization
    if initialization == "auto":
        initialization = "he" if activation_name(activation) in _RELU_FAMILY else "xavier"
    if initialization not in INITIALIZATIONS:
        known = ", ".join(["auto", *INITIALIZATIONS])
        raise ValueError(f"initialization: expected {known}, or a function; got {initialization!r}")
    return INITIALIZATIONS[initialization]

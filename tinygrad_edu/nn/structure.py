"""The structure of the models of ``nn`` as plain data, and models built from it.

What files and other libraries need to know of a model: its kind, widths, activations, features. The
parameters are not in it. A model with code of its own (a subclass, an activation that is not in the
table, a feature map of one's own) has no such description, only the name of its kind.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tinygrad_edu import nn
from tinygrad_edu.engine.operation import FAMILIES, OWN, TABLE, Op, lookup
from tinygrad_edu.nn.initialization import ACTIVATIONS

_SINGLE: dict[str, Any] = {
    kind.__name__: kind for kind in (nn.LinearRegression, nn.LogisticRegression, nn.Perceptron)
}
_KINDS: dict[str, Any] = {
    kind.__name__: kind
    for kind in (
        *_SINGLE.values(),
        *(nn.Neuron, nn.Layer, nn.MLP, nn.MultiLayerPerceptron, nn.SoftmaxRegression),
    )
}


def layers_of(model: Any) -> list[Sequence[Any]]:
    """Return the neurons of a model, layer by layer.

    Raises:
        TypeError: If the model is not one of ``tinygrad_edu.nn``.

    >>> [len(neurons) for neurons in layers_of(nn.MLP(2, [4, 1]))]
    [4, 1]
    """
    if isinstance(model, nn.MLP):
        return [layer.neurons for layer in model.layers]
    if isinstance(model, nn.Layer):
        return [model.neurons]
    if isinstance(model, nn.Neuron):
        return [[model]]
    kinds = ", ".join(sorted(_KINDS))
    raise TypeError(f"model: expected one of {kinds}; got {type(model).__name__}")


def code_of_its_own(model: Any) -> str:
    """Return the name of a class in the model that computes something of its own; else ``""``.

    >>> code_of_its_own(nn.Layer(2, 3))
    ''
    """
    for module in model.modules():
        for name in ("__call__", "score", "logits"):
            written = getattr(getattr(type(module), name, None), "__module__", _HERE)
            if written != "tinygrad_edu.nn" and not written.startswith(_HERE):
                return type(module).__name__
    return ""


_HERE = "tinygrad_edu.nn."


def describe(model: Any) -> dict[str, Any]:
    """Return a model's structure as data fit for JSON; for a model of one's own the kind alone.

    >>> describe(nn.SoftmaxRegression(2, 3, features=nn.Polynomial(2)))["features"]
    {'polynomial': 2}
    """
    kind = type(model).__name__
    nothing = {"kind": kind}
    if _KINDS.get(kind) is not type(model) or code_of_its_own(model):
        return nothing
    layers = layers_of(model)
    names = [{activation_key(neuron.activation) for neuron in neurons} for neurons in layers]
    biases = {neuron.b is not None for neurons in layers for neuron in neurons}
    if any(len(found) != 1 or None in found for found in names) or len(biases) != 1:
        return nothing
    features = getattr(model, "features", None)
    if features is not None and type(features) is not nn.Polynomial:
        return nothing
    return {
        "kind": kind,
        "nin": int(model.nin),
        "nouts": [len(neurons) for neurons in layers],
        "activations": [list(*found) for found in names],
        "bias": biases.pop(),
        "features": None if features is None else {"polynomial": int(features.degree)},
    }


def build(structure: Mapping[str, Any], count: int) -> Any:
    """Build the model that ``describe`` described, with weights of 0.

    Args:
        structure: The description; it may come from anywhere.
        count: How many parameters the model must have; none is made before that is certain.

    Raises:
        KeyError, TypeError, ValueError: If there is no such model.

    >>> build(describe(nn.MLP(2, [3, 1], "tanh")), 13)
    MLP(2 -> 3 tanh -> 1 identity, 13 parameters)
    """
    kind, nin, nouts = structure["kind"], structure["nin"], list(structure["nouts"])
    activations = [activation(*described) for described in structure["activations"]]
    options: dict[str, Any] = {"bias": structure["bias"], "initialization": "zeros"}
    features = structure["features"]
    _check_count(nin, nouts, structure["bias"], features, count)
    if features is not None:
        options["features"] = nn.Polynomial(features["polynomial"])
    if kind in _SINGLE:
        return _SINGLE[kind](nin, **options)
    if kind == "Neuron":
        return nn.Neuron(nin, *activations, **options)
    if kind == "Layer":
        return nn.Layer(nin, *nouts, *activations, **options)
    if kind == "SoftmaxRegression":
        return nn.SoftmaxRegression(nin, *nouts, **options)
    if kind == "MultiLayerPerceptron":
        return nn.MultiLayerPerceptron(nin, nouts, **options)
    if kind == "MLP":
        return nn.MLP(nin, nouts, activations, **options)
    raise ValueError(f"kind: expected one of {', '.join(sorted(_KINDS))}; got {kind!r:.60}")


def check(structure: Mapping[str, Any]) -> None:
    """Raise unless the entries of a description are of the right types; it may come from anywhere.

    Raises:
        ValueError: If one is missing or of another type.

    >>> check({"kind": "MLP", "nin": "two"})
    Traceback (most recent call last):
        ...
    ValueError: nin: expected a whole number from 1, got 'two'
    """

    def expect(holds: bool, name: str, wanted: str) -> None:
        if not holds:
            raise ValueError(f"{name}: expected {wanted}, got {structure.get(name)!r:.60}")

    expect(isinstance(structure.get("kind"), str), "kind", "a name")
    if "nin" not in structure:
        return
    expect(_whole(structure["nin"]), "nin", "a whole number from 1")
    nouts, named = structure.get("nouts"), structure.get("activations")
    expect(
        isinstance(nouts, list) and bool(nouts) and all(map(_whole, nouts)),
        "nouts",
        "widths from 1",
    )
    expect(
        isinstance(named, list)
        and len(named) == len(nouts or ())
        and all(isinstance(x, list) and _names_activation(x) for x in named),
        "activations",
        "a name, and a number for some, for each layer",
    )
    expect(isinstance(structure.get("bias"), bool), "bias", "true or false")
    features = structure.get("features", 0)
    expect(
        features is None
        or (
            (isinstance(features, dict) and [*map(_whole, features.values())] == [True])
            and "polynomial" in features
        ),
        "features",
        "none, or the degree of a polynomial",
    )


def _whole(number: Any) -> bool:
    return isinstance(number, int) and not isinstance(number, bool) and number >= 1


def _names_activation(described: list[Any]) -> bool:
    return (
        len(described) in (1, 2)
        and isinstance(described[0], str)
        and all(isinstance(x, float | int) and not isinstance(x, bool) for x in described[1:])
    )


def in_words(structure: Mapping[str, Any]) -> str:
    """Say in a few words which model a description is of.

    >>> in_words(describe(nn.MLP(2, [3, 1]))), in_words({"kind": "Mine"})
    ('MLP(2 -> 3 relu -> 1 identity)', 'Mine')
    """
    if "nin" not in structure:
        return str(structure.get("kind"))
    steps = [
        f"{n} {' '.join(map(str, named))}"
        for n, named in zip(structure["nouts"], structure["activations"])
    ]
    features = structure.get("features")
    more = "" if features is None else f", features {features}"
    bias = "" if structure.get("bias") else ", no bias"
    return f"{structure['kind']}({' -> '.join([str(structure['nin']), *steps])}{more}{bias})"


def activation(name: str, parameter: float | None = None) -> Any:
    """Return the activation function of a described layer.

    >>> activation("leaky_relu", 0.2)(-1.0), activation("relu")(-1.0)
    (-0.2, 0.0)
    """
    if parameter is None and name in ACTIVATIONS:
        return ACTIVATIONS[name]
    known = TABLE.keys() | OWN.keys() if parameter is None else FAMILIES.keys()
    if name not in known or lookup(name, parameter).arity != 1:
        raise ValueError(f"activation: expected an operation of one operand, got {name!r:.60}")
    return lookup(name, parameter)


def activation_key(function: Any) -> tuple[Any, ...] | None:
    """Return the name of an activation and its parameters, if any; ``None`` for unknown functions.

    >>> activation_key(activation("leaky_relu", 0.2)), activation_key(activation("relu"))
    (('leaky_relu', 0.2), ('relu',))
    """
    for name, known in ACTIVATIONS.items():
        if function is known:
            return (name,)
    if isinstance(function, Op):
        found = TABLE.keys() | OWN.keys() if function.parameter is None else FAMILIES.keys()
        if function.name in found:
            return (function.name, *(() if function.parameter is None else (function.parameter,)))
    return None


def _check_count(nin: int, nouts: list[int], bias: bool, features: Any, count: int) -> None:
    """Raise unless the widths give as many parameters; a few bytes can describe a huge model."""
    width = nin
    if features is not None:
        degree, products = features["polynomial"], 1
        for i in range(min(nin, degree)):  # (nin + degree choose degree), products with the 1
            products = products * (nin + degree - i) // (i + 1)
            if products > count + 1:
                break
        width = products - 1
    total = 0
    for nout in nouts:
        total, width = total + nout * (width + bool(bias)), nout
    if total != count:
        raise ValueError(f"expected a model of {count} parameters, this one has {total} or more")

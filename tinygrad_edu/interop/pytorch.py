"""Models to and from torch, in float64: equal outputs and gradients.

torch is imported when a function here is first called.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

from tinygrad_edu import nn
from tinygrad_edu.engine.ops import leaky_relu_with, sigmoid, step
from tinygrad_edu.engine.value import Value
from tinygrad_edu.interop.parts import TorchSoftplus, steps_of, take_apart
from tinygrad_edu.nn.initialization import ACTIVATIONS, Activation, identity
from tinygrad_edu.nn.structure import layers_of

# From here on log(1 + exp(-x)) is less than half a unit in the last place of x.
_EXACT_THRESHOLD = 36.0


def to_torch(model: Any) -> Any:
    """Return a ``torch.nn.Sequential`` that computes what the model does, with the same parameters.

    It takes a float64 tensor of shape [n, nin] (or [nin]) and returns one of shape [n, nout], with
    what ``model(x)`` returns for each row: probabilities from ``SoftmaxRegression`` and
    ``LogisticRegression``. ``torch.optim`` and ``torch.autograd`` go on from there; cast it with
    ``.float()`` for speed. The parameters are copies.

    Args:
        model: An ``MLP``, a layer, a neuron, or one of the notes' models, with the activations
            identity, leaky_relu, relu, sigmoid, softplus, step or tanh.

    Raises:
        TypeError: If it is another kind of model.
        ValueError: If it has other activations, or features other than ``Polynomial``.
        ImportError: If torch is not installed.

    >>> print(to_torch(nn.MLP(2, [3, 1], "tanh")))
    Sequential(
      (0): Linear(in_features=2, out_features=3, bias=True)
      (1): Tanh()
      (2): Linear(in_features=3, out_features=1, bias=True)
    )
    """
    torch, parts = _torch(), take_apart(model)
    activations = {
        "leaky_relu": torch.nn.LeakyReLU,
        "relu": torch.nn.ReLU,
        "sigmoid": torch.nn.Sigmoid,
        "softplus": lambda beta=1.0, threshold=_EXACT_THRESHOLD: torch.nn.Softplus(beta, threshold),
        "step": _own_modules()[0],
        "tanh": torch.nn.Tanh,
    }
    modules = [] if parts.degree == 1 else [_own_modules()[1](parts.nin, parts.degree)]
    for layer in parts.layers:
        rows = torch.tensor(layer.weights, dtype=torch.float64)
        linear = torch.nn.Linear(
            rows.shape[1], rows.shape[0], bias=layer.biases is not None, dtype=torch.float64
        )
        with torch.no_grad():
            linear.weight.copy_(rows)
            if layer.biases is not None:
                linear.bias.copy_(torch.tensor(layer.biases, dtype=torch.float64))
        name, *parameters = layer.activation
        modules += [linear] if name == "identity" else [linear, activations[name](*parameters)]
    if parts.softmax:
        modules.append(torch.nn.Softmax(dim=-1))
    return torch.nn.Sequential(*modules)


def from_torch(module: Any) -> Any:
    """Return the model that computes what a torch network does, with the same parameters.

    Args:
        module: A ``Linear``, or a ``Sequential`` (nested ones are flattened) of ``Linear`` layers,
            each followed by at most one of ``ReLU``, ``LeakyReLU``, ``Sigmoid``, ``Tanh``,
            ``Softplus`` and ``Identity``, with ``Dropout`` in eval mode anywhere; and whatever
            ``to_torch`` returns. Exactly these classes, without hooks or parametrizations.

    Returns:
        An ``MLP``. A single linear layer becomes the notes' model of that form:
        ``LinearRegression`` (one output, no activation), ``LogisticRegression`` (one output,
        ``Sigmoid``) or ``SoftmaxRegression`` (several outputs, ``Softmax``).

    Raises:
        TypeError: If ``module`` is no torch module, or has a part that is none of these.
        ValueError: If the parts do not follow each other so, or a part is used twice.
        ImportError: If torch is not installed.

    >>> from tinygrad_edu import MLP, from_torch, to_torch
    >>> model = MLP(2, [3, 1], "tanh", seed=0)
    >>> again = from_torch(to_torch(model))
    >>> again([1.0, 2.0]).data == model([1.0, 2.0]).data
    True
    """
    torch = _torch()
    if not isinstance(module, torch.nn.Module):
        raise TypeError(f"module: expected a torch.nn.Module, got {type(module).__name__}")
    parts = list(_flat(torch, module, "module"))
    if len({id(part) for _, part in parts}) != len(parts):
        raise ValueError("module: expected every part once; tied parameters are not supported")
    # 1. Features in front, softmax at the end, linear layers and activations between.
    features = parts.pop(0)[1] if parts and isinstance(parts[0][1], _own_modules()[1]) else None
    softmax = bool(parts) and isinstance(parts[-1][1], torch.nn.Softmax)
    if softmax and parts.pop()[1].dim not in (-1, 1):
        raise ValueError("module: expected a Softmax over the last dimension (dim=-1)")
    layers: list[tuple[Any, list[Activation]]] = []
    for where, part in parts:
        if isinstance(part, torch.nn.Linear):
            if layers and part.in_features != layers[-1][0].out_features:
                raise ValueError(
                    f"{where}: expected {layers[-1][0].out_features} inputs, as many as the layer "
                    f"before has outputs, got {part.in_features}"
                )
            layers.append((part, []))
        elif not isinstance(part, torch.nn.Identity):
            function = _activation(torch, part, where)
            if not layers or layers[-1][1]:
                raise ValueError(f"{where}: expected a Linear before {part}")
            layers[-1][1].append(function)
    if not layers:
        raise ValueError("module: expected at least one Linear")
    # 2. A model of that structure, then its numbers.
    activations = [found[0] if found else identity for _, found in layers]
    model = _model_of([linear for linear, _ in layers], activations, features, softmax)
    for (linear, _), neurons in zip(layers, layers_of(model)):
        biases = None if linear.bias is None else linear.bias.detach().double().tolist()
        for k, (neuron, row) in enumerate(zip(neurons, linear.weight.detach().double().tolist())):
            for parameter, number in zip(neuron.w, row):
                parameter.data = number
            neuron.b = None if biases is None else Value(biases[k])
    return model


def _model_of(
    linears: list[Any], activations: list[Activation], features: Any, softmax: bool
) -> Any:
    nin, nouts = linears[0].in_features, [linear.out_features for linear in linears]
    options: dict[str, Any] = {"initialization": "zeros"}
    if features is not None:
        nin, options["features"] = features.nin, nn.Polynomial(features.degree)
    if len(linears) == 1:
        if softmax and nouts[0] > 1 and activations[0] is identity:
            return nn.SoftmaxRegression(nin, nouts[0], **options)
        one = {identity: nn.LinearRegression, sigmoid: nn.LogisticRegression, step: nn.Perceptron}
        if not softmax and nouts[0] == 1 and activations[0] in one:
            return one[activations[0]](nin, **options)
    if softmax:
        raise ValueError(
            "module: expected a Softmax only after a single Linear with several outputs; leave it "
            "out: cross_entropy takes the logits"
        )
    if features is not None:
        raise ValueError("module: expected polynomial features only before a single Linear")
    return nn.MLP(nin, nouts, activations, **options)


def _part_classes(torch: Any) -> tuple[type, ...]:
    """Return the classes that a network to be read may be made of."""
    nn = torch.nn
    return (nn.Sequential, nn.Linear, nn.ReLU, nn.LeakyReLU, nn.Sigmoid, nn.Tanh, nn.Softplus,
            nn.Softmax, nn.Identity, nn.Dropout, *_own_modules())  # fmt: skip


def _activation(torch: Any, part: Any, where: str) -> Activation:
    if isinstance(part, torch.nn.LeakyReLU):
        slope = part.negative_slope
        return ACTIVATIONS["leaky_relu"] if slope == 0.01 else leaky_relu_with(slope)
    if isinstance(part, torch.nn.Softplus):
        exact = part.beta == 1.0 and part.threshold >= _EXACT_THRESHOLD
        return ACTIVATIONS["softplus"] if exact else TorchSoftplus(part.beta, part.threshold)
    for kind, name in (
        (torch.nn.ReLU, "relu"),
        (torch.nn.Sigmoid, "sigmoid"),
        (torch.nn.Tanh, "tanh"),
        (_own_modules()[0], "step"),
    ):
        if isinstance(part, kind):
            return ACTIVATIONS[name]
    raise TypeError(
        f"{where}: expected Linear, ReLU, LeakyReLU, Sigmoid, Tanh, Softplus, Identity or "
        f"Sequential; got {type(part).__name__}"
    )


def _flat(torch: Any, module: Any, name: str) -> Iterator[tuple[str, Any]]:
    """Yield the parts of nested Sequentials with their names; a Dropout at rest is no part.

    Raises:
        TypeError: For what could compute something else than its class says: a subclass, a module
            with hooks or parametrizations, a Dropout in training mode.
    """
    kind = type(module)
    known = kind in _own_modules() or getattr(torch.nn, kind.__name__, None) is kind
    if not known and isinstance(module, _part_classes(torch)):
        raise TypeError(
            f"{name}: {kind.__name__} is a class of its own (a subclass, or parametrized), which "
            "may compute something else than the layer it is made from; use layers of torch.nn"
        )
    if "forward" in vars(module):
        raise TypeError(
            f"{name}: a forward of its own was set on this {kind.__name__}; use layers of torch.nn"
        )
    hooks = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
    if any(getattr(module, hook, None) for hook in hooks):
        raise TypeError(
            f"{name}: {kind.__name__} has hooks, which may change what it computes; remove them"
        )
    if kind is torch.nn.Dropout:
        if module.training and module.p > 0.0:
            raise TypeError(
                f"{name}: Dropout draws random numbers in training mode; call module.eval() first"
            )
        return
    if isinstance(module, torch.nn.Sequential):
        for key, part in module._modules.items():
            yield from _flat(torch, part, f"{name}[{key}]")
    else:
        yield name, module


def _torch() -> Any:
    try:
        import torch
    except ImportError as error:
        raise ImportError("models to and from torch need torch: pip install torch") from error
    return torch


@cache
def _own_modules() -> tuple[Any, Any]:
    """Make the modules that torch lacks: the notes' step function, and polynomial features."""
    torch = _torch()

    class Step(torch.nn.Module):  # type: ignore[misc, name-defined]
        def forward(self, x: Any) -> Any:
            return torch.where(x >= 0.0, 1.0, torch.where(x < 0.0, -1.0, x)).to(x.dtype)

    class Polynomial(torch.nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self, nin: int, degree: int) -> None:
            super().__init__()
            self.nin, self.degree = nin, degree

        def forward(self, x: Any) -> Any:
            products = [x]
            for before, factors in steps_of(self.nin, self.degree):
                products.append(products[-1][..., before] * x[..., factors])
            return torch.cat(products, dim=-1)

        def extra_repr(self) -> str:
            return f"{self.nin}, degree={self.degree}"

    return Step, Polynomial

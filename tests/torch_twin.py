"""torch twins of our models, for the tests: the same weights in float64."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import torch

from tinygrad_edu.nn import MLP
from tinygrad_edu.nn.initialization import activation_name

ACTIVATIONS = {
    "identity": torch.nn.Identity,
    "leaky_relu": torch.nn.LeakyReLU,
    "relu": torch.nn.ReLU,
    "sigmoid": torch.nn.Sigmoid,
    "softplus": torch.nn.Softplus,
    "tanh": torch.nn.Tanh,
}


def twin(model: Any) -> torch.nn.Sequential:
    """Return the torch network with the same weights as an MLP, a layer or a neuron."""
    layers = model.layers if isinstance(model, MLP) else [model]
    parts: list[torch.nn.Module] = []
    for layer in layers:
        neurons = getattr(layer, "neurons", [layer])
        linear = torch.nn.Linear(
            len(neurons[0].w), len(neurons), bias=neurons[0].b is not None, dtype=torch.float64
        )
        with torch.no_grad():
            linear.weight.copy_(tensor([[w.data for w in n.w] for n in neurons]))
            if neurons[0].b is not None:
                linear.bias.copy_(tensor([n.b.data for n in neurons]))
        parts += [linear, ACTIVATIONS[activation_name(neurons[0].activation)]()]
    return torch.nn.Sequential(*parts)


def in_our_order(model: torch.nn.Module, numbers: str = "grad") -> list[float]:
    """List the parameters (``"data"``) or gradients of a twin in the order of ``parameters()``."""
    found: list[float] = []
    for part in model.modules():
        if isinstance(part, torch.nn.Linear):
            weights = getattr(part.weight, numbers).tolist()
            biases = getattr(part.bias, numbers).tolist() if part.bias is not None else None
            for i, row in enumerate(weights):
                found += row if biases is None else [*row, biases[i]]
    return found


def tensor(rows: Sequence[Any]) -> torch.Tensor:
    return torch.tensor(rows, dtype=torch.float64)


def numbers(nodes: Iterable[Any]) -> list[float]:
    return [node.data for node in nodes]

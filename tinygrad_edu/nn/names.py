"""Names of parameters and of what neurons put out, as the notes have them.

A single neuron has ``w1``, ``w2``, ... and ``b``. In a network ``w1_23`` is the weight of layer 1
that leads to neuron 2 from input 3, and ``b1_2`` that neuron's bias; figures lower and raise the
digits. From ten on a comma stands between them: ``w1_12,3``. What hidden neurons put out is ``h1``,
``h2``, ..., with several hidden layers ``h1_2``; the outputs are ``out``, or ``out_1``, ``out_2``.

They are labels like any other: assign to ``label``, or to a neuron's ``output_name``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def name_neuron(neuron: Any, prefix: str = "") -> None:
    """Name weights and bias of one neuron.

    >>> from tinygrad_edu.nn import Neuron
    >>> [parameter.label for parameter in Neuron(2).parameters()]
    ['w1', 'w2', 'b']
    """
    wide = len(neuron.w) > 9 or len(prefix.rpartition("_")[2]) > 1
    for i, weight in enumerate(neuron.w, 1):
        weight.label = f"w{prefix}{',' * (wide and bool(prefix))}{i}"
    if neuron.b is not None:
        neuron.b.label = f"b{prefix}"


def name_layer(neurons: Sequence[Any], layer: str = "", output: str = "h{}") -> None:
    """Name the parameters and outputs of the neurons of one layer.

    Args:
        neurons: The neurons.
        layer: The layer's number in its network; empty for a layer by itself.
        output: What the outputs are called, with ``{}`` for the neuron's number.

    >>> from tinygrad_edu.nn import MLP
    >>> model = MLP(2, [3, 1])
    >>> [parameter.label for parameter in model.layers[0].neurons[1].parameters()]
    ['w1_21', 'w1_22', 'b1_2']
    >>> [node.label for node in model.layers[0]([1.0, 2.0])], model([1.0, 2.0]).label
    (['h1', 'h2', 'h3'], 'out')
    """
    for j, neuron in enumerate(neurons, 1):
        name_neuron(neuron, f"{layer}_{j}")
        neuron.output_name = output.format(j)


def name_network(layers: Sequence[Any]) -> None:
    """Name the parameters and outputs of a network, layer by layer."""
    hidden = "h{}" if len(layers) == 2 else "h{k}_{{}}"
    for k, layer in enumerate(layers[:-1], 1):
        name_layer(layer.neurons, str(k), hidden.format("{}", k=k))
    neurons = layers[-1].neurons
    name_layer(neurons, str(len(layers)), "out" if len(neurons) == 1 else "out_{}")

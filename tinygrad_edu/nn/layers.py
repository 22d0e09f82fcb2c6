"""Neurons, layers of them, and networks of layers.

A neuron computes ``f(w . x + b)``. The sum is a single n-ary ``dot`` node, which is what makes the
engine fast; ``expanded=True`` records every ``*`` and ``+`` instead, with the same values and
gradients. Source: the notes, sections 'Multi-layer Perceptron' and 'Multi-layer Feedforward Neural
Networks'. The interface (``MLP(2, [16, 16, 1])``, ``w``, ``b``, ``neurons``, ``layers``,
``nonlin``) is that of micrograd's ``nn``, so its programs run here: in its own constructor form,
``MLP(2, [16, 16, 1])`` with no option, weights are drawn as micrograd draws them, from Python's
``random``, so ``random.seed(1337)`` gives the numbers that it gives there.
"""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral
from typing import TYPE_CHECKING, Any

from tinygrad_edu.engine import ops
from tinygrad_edu.engine.operation import Node, Op
from tinygrad_edu.engine.value import Constant, Value
from tinygrad_edu.nn.initialization import (
    Activation,
    ActivationName,
    Initialization,
    NeuronOptions,
    Seed,
    activation_function,
    activation_name,
    chosen_initialization,
    identity,
    initial_weight,
    weight_source,
)
from tinygrad_edu.nn.module import Module
from tinygrad_edu.nn.names import name_layer, name_network, name_neuron

if TYPE_CHECKING:
    from typing_extensions import Unpack


class Neuron(Module):
    """One neuron, ``activation(w . x + b)``.

    Args:
        nin: Number of inputs.
        activation: ``"relu"`` (default), ``"sigmoid"``, ``"tanh"``, ``"step"``, ``"identity"``,
            ``"leaky_relu"``, ``"softplus"``, or any function of one node.
        nonlin: micrograd's switch: ``True`` for ReLU, ``False`` for identity.
        bias: Whether there is a ``b``; it starts at 0.
        initialization: ``"auto"``, ``"xavier"``, ``"he"``, ``"uniform"``, ``"zeros"``, or a
            function ``(random.Random, n_in, n_out) -> float``. By default ``"auto"``; but
            ``"uniform"``, as micrograd has it, where neither seed nor activation is given.
        seed: A whole number, a ``random.Random``, or ``None`` for Python's shared generator, which
            ``random.seed()`` governs.
        expanded: Record single ``+`` and ``*`` nodes.
        nout: Width of the layer that the neuron is part of, for the initialization.

    Raises:
        TypeError, ValueError: For arguments that are none of these.

    >>> neuron = Neuron(2, "relu")
    >>> neuron.load_state_dict({"w": [1.0, -2.0], "b": 0.5})
    >>> neuron([3.0, 1.0]).data
    1.5
    """

    # for a subclass whose __init__ does not call this one, as micrograd's programs write it
    nin: int = 0
    activation: Activation = ops.relu
    output_name: str = ""
    expanded: bool = False

    def __init__(
        self,
        nin: int,
        activation: ActivationName | bool | Activation = "relu",
        *,
        nonlin: bool | None = None,
        bias: bool = True,
        initialization: Initialization | None = None,
        seed: Seed = None,
        expanded: bool = False,
        nout: int = 1,
    ) -> None:
        self.nin = check_count(nin, "nin")
        initialization = chosen_initialization(initialization, activation, "relu", seed)
        self.activation = activation_function(activation if nonlin is None else nonlin)
        weight, source = initial_weight(initialization, self.activation), weight_source(seed)
        self.w: list[Any] = [Value(weight(source, nin, nout)) for _ in range(nin)]
        self.b: Any = Value(0.0) if bias else None
        self.expanded = expanded
        self.output_name = ""
        name_neuron(self)

    def __call__(self, x: Any) -> Value | Any:
        return self._named(self.activation(self.score(x)))

    def _named(self, output: Any) -> Any:
        """Return the output with the name that the network has for it (see ``names.py``)."""
        if self.output_name and type(output) is Value and not output.label:
            output.label = self.output_name
        return output

    def score(self, x: Any) -> Any:
        """Return ``w . x + b``, what goes into the activation.

        Raises:
            ValueError: If ``x`` does not hold ``nin`` numbers or nodes.
        """
        return self._sum(as_inputs(x, _width(self), self.w[0]))

    def _answer(self, x: Sequence[Any], values: bool) -> Any:
        """Do what ``__call__`` does; with ``values``, weights and inputs are known to be Values.

        Then recording need not look at the kind of every operand, of every neuron of a layer.
        """
        if self.expanded or not values:
            return self._named(self.activation(self._sum(x)))
        score = Value.record(ops.dot, (*self.w, *x) if self.b is None else (*self.w, *x, self.b))
        if isinstance(self.activation, Op):
            score = Value.unary(self.activation, score)
        else:
            score = self.activation(score)
        return self._named(score)

    def _sum(self, x: Sequence[Any]) -> Any:
        if not self.expanded:
            return ops.dot(*self.w, *x) if self.b is None else ops.dot(*self.w, *x, self.b)
        total = self.b  # as dot adds up: from the bias on, from left to right
        for weight, value in zip(self.w, x):
            total = weight * value if total is None else total + weight * value
        return total

    @property
    def nonlin(self) -> bool:
        """micrograd's name for "this neuron is not linear"."""
        return self.activation is not identity

    @nonlin.setter
    def nonlin(self, nonlin: bool) -> None:
        self.activation = activation_function(bool(nonlin))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({_width(self)}, {activation_name(self.activation)!r})"


class Layer(Module):
    """``nout`` neurons that look at the same ``nin`` inputs; the options are those of ``Neuron``.

    Returns a list of nodes, or the node itself where there is one neuron.

    >>> layer = Layer(2, 3, "tanh", initialization="zeros")
    >>> [node.data for node in layer([1.0, 2.0])]
    [0.0, 0.0, 0.0]
    """

    nin: int = 0  # of a subclass whose __init__ does not call this one
    nout: int = 0

    def __init__(
        self,
        nin: int,
        nout: int,
        activation: ActivationName | bool | Activation = "relu",
        *,
        seed: Seed = None,
        **options: Unpack[NeuronOptions],
    ) -> None:
        self.nin, self.nout = check_count(nin, "nin"), check_count(nout, "nout")
        options["initialization"] = chosen_initialization(
            options.get("initialization"), activation, "relu", seed
        )
        source = weight_source(seed)
        self.neurons: list[Neuron] = [
            Neuron(nin, activation, seed=source, nout=nout, **options) for _ in range(nout)
        ]
        name_layer(self.neurons)

    def __call__(self, x: Any) -> Value | Any:
        # Inputs become constants here, once for the layer and not once for each neuron.
        neurons = self.neurons
        first = neurons[0] if neurons else None
        if type(first) is not Neuron:  # neurons of the user's own get what the layer got
            outputs = [neuron(x) for neuron in neurons]
            return outputs[0] if len(outputs) == 1 else outputs
        weight = first.w[0]
        inputs = as_inputs(x, _width(first), weight)
        values = isinstance(weight, Value) and all(isinstance(value, Value) for value in inputs)
        outputs = [
            neuron._answer(inputs, values) if type(neuron) is Neuron else neuron(x)
            for neuron in neurons
        ]
        return outputs[0] if len(outputs) == 1 else outputs

    def __repr__(self) -> str:
        kinds = {_kind(neuron) for neuron in self.neurons}
        nin = self.nin or (_width(self.neurons[0]) if self.neurons else 0)
        return f"{type(self).__name__}({nin}, {len(self.neurons)}, {'/'.join(sorted(kinds))!r})"


class MLP(Module):
    """A multi-layer perceptron: layers in sequence, the outputs of one the inputs of the next.

    Args:
        nin: Number of inputs.
        nouts: Number of neurons in each layer, the last one being the output.
        activation: That of the hidden layers; or a list with one for each layer, output included.
        output: The activation of the last layer, ``"identity"`` by default.
        seed: A whole number, a ``random.Random``, or ``None`` for Python's shared generator.
        options: ``bias``, ``initialization``, ``expanded``, as for ``Neuron``.

    Raises:
        TypeError, ValueError: For arguments that are none of these.

    >>> model = MLP(2, [16, 16, 1], seed=1)
    >>> model
    MLP(2 -> 16 relu -> 16 relu -> 1 identity, 337 parameters)
    >>> type(model([1.0, 2.0])).__name__
    'Value'
    """

    def __init__(
        self,
        nin: int,
        nouts: Sequence[int],
        activation: ActivationName | Activation | Sequence[ActivationName | Activation] = "relu",
        output: ActivationName | Activation = "identity",
        *,
        seed: Seed = None,
        **options: Unpack[NeuronOptions],
    ) -> None:
        if isinstance(nouts, Integral):
            raise TypeError(
                f"nouts: expected the width of each layer, such as [{nouts}]; got {nouts}"
            )
        self.nin: int = check_count(nin, "nin")
        self.nouts: tuple[int, ...] = tuple(check_count(nout, "nout") for nout in nouts)
        if not self.nouts:
            raise ValueError("nouts: expected the width of at least one layer, got none")
        if isinstance(activation, Sequence) and not isinstance(activation, str):
            activations = list(activation)
            if len(activations) != len(self.nouts):
                raise ValueError(
                    f"activation: expected one for each of {len(self.nouts)} layers, "
                    f"got {len(activations)}"
                )
        else:
            activations = [activation] * (len(self.nouts) - 1) + [output]
        usual = "relu" if output == "identity" else None
        options["initialization"] = chosen_initialization(
            options.get("initialization"), activation, usual, seed
        )
        source = weight_source(seed)
        self.layers: list[Layer] = [
            Layer(a, b, f, seed=source, **options)
            for a, b, f in zip((nin, *self.nouts), self.nouts, activations)
        ]
        name_network(self.layers)

    def __call__(self, x: Any) -> Value | Any:
        for layer in self.layers:
            x = layer(x)
        return x

    def __repr__(self) -> str:
        if not all(getattr(layer, "neurons", None) for layer in self.layers):  # of the user's own
            return f"{type(self).__name__}({len(self.parameters())} parameters)"
        steps = [f"{len(layer.neurons)} {_kind(layer.neurons[0])}" for layer in self.layers]
        shape = " -> ".join([str(self.nin), *steps])
        return f"{type(self).__name__}({shape}, {len(self.parameters())} parameters)"


def _width(neuron: Any) -> int:
    """The number of inputs, also where a subclass has not said it."""
    return int(neuron.nin or len(neuron.w))


def _kind(neuron: Any) -> str:
    activation = getattr(neuron, "activation", None)
    return type(neuron).__name__ if activation is None else activation_name(activation)


def check_count(count: Any, name: str) -> int:
    """Return ``count`` if it is a whole number from 1 on.

    Raises:
        TypeError, ValueError: If it is not; ``name`` starts the message.

    >>> check_count(3, "nin")
    3
    """
    if not isinstance(count, Integral) or isinstance(count, bool):
        raise TypeError(f"{name}: expected a whole number, got {type(count).__name__} {count!r}")
    if count < 1:
        raise ValueError(f"{name}: expected at least 1, got {count}")
    return int(count)  # numpy's integers become Python's


def as_inputs(x: Any, nin: int, weight: Any) -> Sequence[Any]:
    """Return the inputs as ``nin`` operands; a single number stands for a list of one.

    Numbers that will meet Values become constants.

    Raises:
        ValueError: If there are more or fewer than ``nin``.
        TypeError: If an input is no number.

    >>> as_inputs(3.0, 1, Value(1.0))
    [Constant(data=3.0, grad=0.0)]
    """
    if isinstance(x, Node) or not hasattr(x, "__len__"):
        x = [x]
    if len(x) != nin:
        raise ValueError(f"expected {nin} input(s), got {len(x)}")
    if isinstance(weight, Value):
        return [value if isinstance(value, Node) else Constant(value) for value in x]
    return x if isinstance(x, (list, tuple)) else list(x)

"""What models have in common: parameters with names, a state that can be saved, and copies.

A ``Module`` is an ordinary object whose attributes hold parameters: a ``Value``, another module, or
lists and dicts of these. They are found by looking at the attributes, in the order in which they
were assigned; there is nothing to register. A ``Constant`` and a computed Value are no parameters.
The notes write all parameters together as ``w`` (section 'The Backpropagation Algorithm').
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from copy import copy
from typing import Any

from tinygrad_edu.engine.notebook import svg_of
from tinygrad_edu.engine.number import as_float
from tinygrad_edu.engine.operation import Node, to_float
from tinygrad_edu.engine.value import Constant, Leaf, Value


class Module:
    """Base class of everything with parameters; a subclass says what ``model(x)`` computes.

    >>> class Line(Module):
    ...     def __init__(self):
    ...         self.slope, self.offset = Value(2.0), Value(1.0)
    ...     def __call__(self, x):
    ...         return self.slope * x + self.offset
    >>> line = Line()
    >>> [name for name, parameter in line.named_parameters()], line(3.0).data
    (['slope', 'offset'], 7.0)
    >>> line
    Line(2 parameters)
    """

    def __call__(self, x: Any) -> Value | Any:
        """Return the prediction for one example: a node, or a list of nodes.

        Raises:
            NotImplementedError: If the subclass does not define it.
        """
        raise NotImplementedError(
            f"{type(self).__name__} does not say what it computes: define __call__"
        )

    def parameters(self) -> list[Value]:
        """Return every parameter once, in a fixed order: as attributes were assigned, depth first.

        >>> Module().parameters()
        []
        """
        found: dict[Any, None] = {}
        _collect(self, found)
        return list(found)

    def named_parameters(self) -> Iterator[tuple[str, Any]]:
        """Yield the parameters with their names, such as ``"layers.0.neurons.3.w.1"``.

        >>> from tinygrad_edu.nn import Neuron
        >>> [name for name, parameter in Neuron(2).named_parameters()]
        ['w.0', 'w.1', 'b']
        """
        seen: set[Any] = set()
        for name, held in _holders("", self):
            several = isinstance(held, (list, tuple))
            for i, parameter in enumerate(held if several else (held,)):
                if parameter not in seen:
                    seen.add(parameter)
                    yield f"{name}.{i}" if several else name, parameter

    def modules(self) -> Iterator[Module]:
        """Yield this module and all modules inside it, the outer ones first."""
        yield self
        for held in vars(self).values():
            yield from _modules(held)

    def zero_grad(self) -> None:
        """Set the gradient of every parameter to 0."""
        for parameter in self.parameters():
            parameter.grad = 0.0

    def with_parameters(self, nodes: Iterable[Any]) -> Any:
        """Return a copy of this module that computes with ``nodes`` in place of its parameters.

        The nodes are Values, a compiler's symbols or plain numbers, one for each of
        ``parameters()`` in that order. With numbers the copy's predictions are plain numbers: the
        fast way to predict where no gradient is wanted. This module stays as it is.

        Raises:
            ValueError: If there are more or fewer nodes than parameters.

        >>> from tinygrad_edu.nn import Neuron
        >>> Neuron(2).with_parameters([1.0, 2.0, 3.0])([10.0, 20.0])
        53.0
        """
        old, new = self.parameters(), list(nodes)
        if len(new) != len(old):
            raise ValueError(
                f"with_parameters: {type(self).__name__} has {len(old)} parameters, got {len(new)}"
            )
        return _replaced(self, dict(zip(old, new)))

    def numbers(self) -> Any:
        """Return a copy that computes with the parameters' present numbers and records no graph.

        >>> from tinygrad_edu.nn import Neuron
        >>> Neuron(2, initialization="zeros").numbers()([10.0, 20.0])
        0.0
        """
        return self.with_parameters([as_float(parameter) for parameter in self.parameters()])

    def expand(self) -> Any:
        """Return a copy with the same parameters whose neurons record single ``+`` and ``*`` nodes.

        For drawings and for teaching; values and gradients are the same.

        >>> from tinygrad_edu.nn import Neuron
        >>> neuron = Neuron(2, "identity")
        >>> neuron([1.0, 2.0]).op.symbol, neuron.expand()([1.0, 2.0]).op.symbol
        ('·', '+')
        """
        copied = self.with_parameters(self.parameters())
        for module in copied.modules():
            if hasattr(module, "expanded"):
                module.expanded = True
        return copied

    def state_dict(self) -> dict[str, Any]:
        """Return the numbers in all parameters: a float, or a list of them, for each name.

        >>> from tinygrad_edu.nn import Neuron
        >>> Neuron(2, initialization="zeros").state_dict()
        {'w': [0.0, 0.0], 'b': 0.0}
        """
        return {
            name: [float(p) for p in held] if isinstance(held, (list, tuple)) else float(held)
            for name, held in _holders("", self)
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Set all parameters to the numbers of ``state``; on error none is changed.

        Raises:
            TypeError: If ``state`` is no mapping, or holds something other than numbers.
            ValueError: If a name is missing or unknown, or a list has another length.

        >>> from tinygrad_edu.nn import Neuron
        >>> neuron = Neuron(2)
        >>> neuron.load_state_dict({"w": [1.0, 2.0], "b": 3.0})
        >>> neuron([0.0, 0.0]).data
        3.0
        """
        if not isinstance(state, Mapping):
            raise TypeError(f"load_state_dict: expected a mapping, got {type(state).__name__}")
        holders = dict(_holders("", self))
        for trouble, names in (
            ("missing", [name for name in holders if name not in state]),
            ("unknown", [name for name in state if name not in holders]),
        ):
            if names:
                more = f" and {len(names) - 5} more" if len(names) > 5 else ""
                raise ValueError(
                    f"load_state_dict: {trouble} in the state for this {type(self).__name__}: "
                    f"{', '.join(map(str, names[:5]))}{more}"
                )
        changes: list[tuple[Any, float]] = []
        for name, held in holders.items():
            changes += _matched(name, held, state[name])
        for parameter, number in changes:
            parameter.data = number

    def __repr__(self) -> str:
        return f"{type(self).__name__}({len(self.parameters())} parameters)"

    def _repr_svg_(self) -> str | None:
        """Draw the network where a notebook shows this model; others stay text."""
        return svg_of(self)


def _is_parameter(held: Any) -> bool:
    """A leaf that is no constant; what a compiler's symbols stand for is a parameter as well."""
    if isinstance(held, Value):
        return held.op is None and not isinstance(held, Constant)
    return isinstance(held, Node)


def _items(held: Any) -> Iterable[tuple[Any, Any]]:
    if isinstance(held, Module):
        return vars(held).items()
    if isinstance(held, (list, tuple)):
        return enumerate(held)
    return held.items() if isinstance(held, dict) else ()


def _collect(held: Any, found: dict[Any, None]) -> None:
    for _, item in _items(held):
        # the common case first, for this is called often
        if (type(item) is Leaf and item.op is None) or _is_parameter(item):
            found[item] = None
        else:
            _collect(item, found)


def _holders(name: str, held: Any) -> Iterator[tuple[str, Any]]:
    """Yield each parameter, or flat list of parameters, with its dotted name."""
    for key, item in _items(held):
        full = f"{name}.{key}" if name else str(key)
        flat = isinstance(item, (list, tuple)) and item and all(map(_is_parameter, item))
        if flat or _is_parameter(item):
            yield full, item
        else:
            yield from _holders(full, item)


def _modules(held: Any) -> Iterator[Module]:
    if isinstance(held, Module):
        yield from held.modules()
    else:
        for _, item in _items(held):
            yield from _modules(item)


def _replaced(held: Any, new: Mapping[Any, Any]) -> Any:
    if isinstance(held, Module):
        copied = copy(held)
        copied.__dict__ = {name: _replaced(item, new) for name, item in vars(held).items()}
        return copied
    if isinstance(held, (list, tuple)):
        return type(held)([_replaced(item, new) for item in held])
    if isinstance(held, dict):
        return {key: _replaced(item, new) for key, item in held.items()}
    return new.get(held, held) if isinstance(held, Node) else held


def _matched(name: str, held: Any, saved: Any) -> list[tuple[Any, float]]:
    several = isinstance(held, (list, tuple))
    if hasattr(saved, "tolist"):  # numpy arrays and scalars
        saved = saved.tolist()
    if several != isinstance(saved, (list, tuple)) or (several and len(saved) != len(held)):
        wanted = f"a list of {len(held)} numbers" if several else "one number"
        got = (
            f"a list of {len(saved)}" if isinstance(saved, (list, tuple)) else type(saved).__name__
        )
        raise ValueError(f"load_state_dict: {name}: expected {wanted}, got {got}")
    pairs = zip(held, saved) if several else ((held, saved),)
    return [
        (parameter, to_float(number, f"load_state_dict: {name}")) for parameter, number in pairs
    ]

"""What models have in common: parameters with names, a state that can be saved, and copies.

A ``Module`` is an ordinary object whose attributes hold parameters: a ``Value``, another module, or
lists, tuples, dicts, dataclasses of these. They are found by looking at the attributes, in the
order in which they were assigned; there is nothing to register. A ``Constant`` and a computed Value
are no parameters. ``parameters.py`` says where is searched, and what is refused.
The notes write all parameters together as ``w`` (section 'The Backpropagation Algorithm').
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from tinygrad_edu.engine.notebook import svg_of
from tinygrad_edu.engine.number import as_float
from tinygrad_edu.engine.operation import GraphWarning, to_float
from tinygrad_edu.engine.value import Value
from tinygrad_edu.nn.parameters import (
    Searched,
    collect,
    holders,
    is_flat,
    is_parameter,
    lost,
    replaced,
    walk,
)
from tinygrad_edu.nn.plain import Plain


class Module(Searched):
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

        A subclass may say itself which they are, as micrograd's modules do; one that leaves some
        out has these frozen: they are saved, but not trained.

        Raises:
            TypeError: If parameters are where they would not be found again, such as in a set.

        >>> Module().parameters()
        []
        """
        return collect(self)

    def __setattr__(self, name: str, value: Any) -> None:
        before = self.__dict__.get(name)
        if isinstance(value, (list, tuple)):
            computed = next((x for x in value if isinstance(x, Value) and x.op is not None), None)
            if (
                computed is not None
                and isinstance(before, (list, tuple))
                and any(map(is_parameter, before))
            ):
                warnings.warn(lost(name, computed), GraphWarning, stacklevel=2)
        elif (
            isinstance(value, Value)
            and not is_parameter(value)
            and value.op is not None
            and is_parameter(before)
        ):
            warnings.warn(lost(name, value), GraphWarning, stacklevel=2)
        super().__setattr__(name, value)

    def named_parameters(self) -> Iterator[tuple[str, Any]]:
        """Yield the parameters with their names, such as ``"layers.0.neurons.3.w.1"``.

        >>> from tinygrad_edu.nn import Neuron
        >>> [name for name, parameter in Neuron(2).named_parameters()]
        ['w.0', 'w.1', 'b']
        """
        seen: set[int] = set()
        for name, held in holders(self).items():
            several = is_flat(held)
            for i, parameter in enumerate(held if several else (held,)):
                if id(parameter) not in seen:
                    seen.add(id(parameter))
                    yield f"{name}.{i}" if several else name, parameter

    def modules(self) -> Iterator[Module]:
        """Yield this module and all modules inside it, the outer ones first."""
        yield self
        for _, _, held in walk(self):
            if isinstance(held, Module):
                yield held

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
            ValueError: If there are more or fewer nodes than parameters, or a ``parameters()`` of
                the module's own returns one that is in none of its attributes.

        >>> from tinygrad_edu.nn import Neuron
        >>> Neuron(2).with_parameters([1.0, 2.0, 3.0])([10.0, 20.0])
        53.0
        """
        old, new = self.parameters(), list(nodes)
        if len(new) != len(old):
            raise ValueError(
                f"with_parameters: {type(self).__name__} has {len(old)} parameters, got {len(new)}"
            )
        found = {id(item) for _, _, item in walk(self)}
        for i, parameter in enumerate(old):
            if id(parameter) not in found:
                raise ValueError(
                    f"{type(self).__name__}.parameters() returns {parameter!r} at place {i}, which "
                    "none of the attributes holds: keep it in one"
                )
        return replaced(self, dict(zip(map(id, old), new)))

    def numbers(self) -> Any:
        """Return a copy that computes with the parameters' present numbers and records no graph.

        Where a module has a ``__call__`` of the user's own, the numbers have the methods of Values
        (``act.relu()``), and are floats all the same.

        >>> from tinygrad_edu.nn import Neuron
        >>> Neuron(2, initialization="zeros").numbers()([10.0, 20.0])
        0.0
        """
        everything = [item for _, _, item in walk(self) if is_parameter(item)]
        own = any(_has_own_call(module) for module in self.modules())
        number = (lambda p: Plain(as_float(p))) if own else as_float
        return replaced(self, {id(parameter): number(parameter) for parameter in everything})

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
            name: [float(p) for p in held] if is_flat(held) else float(held)
            for name, held in holders(self).items()
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
        held_here = holders(self)
        for trouble, names in (
            ("missing", [name for name in held_here if name not in state]),
            ("unknown", [name for name in state if name not in held_here]),
        ):
            if names:
                more = f" and {len(names) - 5} more" if len(names) > 5 else ""
                raise ValueError(
                    f"load_state_dict: {trouble} in the state for this {type(self).__name__}: "
                    f"{', '.join(map(str, names[:5]))}{more}"
                )
        changes: list[tuple[Any, float]] = []
        for name, held in held_here.items():
            changes += _matched(name, held, state[name])
        for parameter, number in changes:
            parameter.data = number

    def __repr__(self) -> str:
        return f"{type(self).__name__}({len(self.parameters())} parameters)"

    def _repr_svg_(self) -> str | None:
        """Draw the network where a notebook shows this model; others stay text."""
        return svg_of(self)


def _matched(name: str, held: Any, saved: Any) -> list[tuple[Any, float]]:
    several = is_flat(held)
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


def _has_own_call(module: Module) -> bool:
    """Is ``module`` called by code from outside this package?"""
    call = getattr(type(module), "__call__", None)  # noqa: B004
    return not getattr(call, "__module__", "").startswith("tinygrad_edu.")

"""What a parameter is: the same for parameters(), names, states, numbers(), compile and saving."""

from __future__ import annotations

import random
import warnings
from collections import OrderedDict, deque, namedtuple
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from tinygrad_edu import GraphWarning, Value, compile, load, save
from tinygrad_edu import functional as F
from tinygrad_edu.engine.value import Constant
from tinygrad_edu.nn import MLP, Layer, Module, Neuron

Pair = namedtuple("Pair", "left right")


@dataclass
class Gate:
    w: Any
    b: Any


@dataclass(frozen=True)
class Frozen:
    w: Any


@dataclass(slots=True)
class Slotted:
    w: Any


class Holder(Module):
    """Multiplies the sum of what a reader finds in ``held`` by x."""

    def __init__(self, held: Any, read: Any) -> None:
        self.held, self.read = held, read

    def __call__(self, x: Any) -> Any:
        total: Any = 0.0
        for i, parameter in enumerate(self.read(self.held)):
            total = total + (i + 1.0) * parameter * x
        return total


def _array(shape: tuple[int, ...], values: list[Value]) -> Any:
    made = np.empty(shape, object)
    made.reshape(-1)[:] = values
    return made


def _ring(values: list[Value]) -> list[Any]:
    ring: list[Any] = list(values)
    ring.append({"back": ring, "pair": (ring, values[0])})
    return ring


def _chain(values: list[Value]) -> Any:
    chain: Any = None
    for value in values * 2000:
        chain = [value, chain]
    return chain


def _unchain(chain: Any) -> list[Any]:
    return [chain[0], chain[1][0], chain[1][1][0]]


CONTAINERS = {
    "list": (lambda v: list(v), list),
    "tuple": (tuple, list),
    "named tuple": (lambda v: Pair(v[0], [v[1], v[2]]), lambda h: [h.left, *h.right]),
    "deque": (lambda v: deque(v, maxlen=3), list),
    "dict": (lambda v: {"a": v[0], 3: v[1:]}, lambda h: [h["a"], *h[3]]),
    "ordered dict": (lambda v: OrderedDict(zip("abc", v)), lambda h: list(h.values())),
    "object array": (lambda v: _array((3,), v), list),
    "object array of order 2": (lambda v: _array((3, 1), v), lambda h: list(h[:, 0])),
    "object array of order 0": (
        lambda v: [_array((), v[:1]), *v[1:]], lambda h: [h[0].item(), *h[1:]]
    ),
    "dataclass": (lambda v: Gate(v[:2], v[2]), lambda h: [*h.w, h.b]),
    "frozen dataclass": (lambda v: Frozen(v), lambda h: h.w),
    "dataclass with slots": (lambda v: [Slotted(x) for x in v], lambda h: [s.w for s in h]),
    "nested tuples": (lambda v: ((v[0], (v[1],)), (v[2],)), lambda h: [h[0][0], *h[0][1], *h[1]]),
    "a ring": (_ring, lambda h: [h[0], h[1], h[2]]),
    "a long chain": (_chain, _unchain),
}  # fmt: skip


@pytest.mark.parametrize("name", CONTAINERS)
def test_all_who_ask_for_parameters_find_the_same(name: str, tmp_path: Any) -> None:
    make, read = CONTAINERS[name]
    values = [Value(2.0), Value(3.0), Value(5.0)]
    model = Holder(make(values), read)
    found = model.parameters()
    assert set(found) == set(values)
    assert [p for _, p in model.named_parameters()] == found
    # with_parameters and numbers
    new = [Value(p.data * 10.0) for p in found]
    moved = model.with_parameters(new)
    assert moved.parameters() == new
    assert type(moved.held) is type(model.held)
    assert (model(1.0).data, moved(1.0).data) == (
        model.numbers()(1.0), model.with_parameters([p.data for p in new])(1.0),
    )  # fmt: skip
    assert isinstance(model.numbers()(1.0), float)
    assert model.parameters() == found
    # compile
    value, (by_model, by_x) = compile(lambda m, x: m(x)).value_and_grad(model, 2.0)
    model(2.0).backward()
    assert value == model(2.0).data
    assert by_x == model(1.0).data
    flat = [x for entry in by_model.values() for x in np.ravel(entry)]
    if name not in ("a long chain", "a ring"):  # where a Value is held under several names
        assert flat == [p.grad for p in found]
    # saving
    twin = Holder(make([Value(0.0) for _ in values]), read)
    save(tmp_path / "model.safetensors", model)
    load(tmp_path / "model.safetensors", twin)
    assert [p.data for p in twin.parameters()] == [p.data for p in found]


def test_rings_and_what_is_shared_stay_so_in_copies() -> None:
    class Node(Module):
        def __init__(self, parent: Any = None) -> None:
            self.parent, self.w, self.children = parent, Value(1.0), []
            if parent is not None:
                parent.children.append(self)

    root = Node()
    a, b = Node(root), Node(root)
    a.friend, b.friend = b, a
    root.again = root.children
    assert len(root.parameters()) == 3
    assert len(list(root.modules())) == 3
    copied = root.numbers()
    assert copied.again is copied.children
    assert [child.parent for child in copied.children] == [copied, copied]
    assert copied.children[0].friend is copied.children[1]
    assert copied.children[1].w == 1.0
    assert sorted(root.state_dict()) == ["children.0.friend.w", "children.0.w", "w"]


def test_slots_of_a_module_are_searched() -> None:
    class Slim(Module):
        __slots__ = ("w",)

    slim = Slim()
    assert slim.parameters() == []
    slim.w = [Value(1.0)]
    assert slim.parameters() == slim.w
    assert slim.with_parameters([7.0]).w == [7.0]


@pytest.mark.parametrize(
    ("held", "message"),
    [
        ({Value(1.0)}, r"Holder\.held: expected parameters in lists.* a set of 1.*use a list"),
        (frozenset({Neuron(1)}), "a frozenset of 1"),
        ([[{Value(1.0)}]], r"Holder\.held\.0\.0: expected"),
    ],
)
def test_parameters_without_an_order_are_refused(held: Any, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        Holder(held, None).parameters()


class Cell:
    def __init__(self, w: Any) -> None:
        self.w = w


@pytest.mark.parametrize("w", [Value(1.0), [Value(1.0)], {"a": Value(1.0)}, Neuron(2)])
def test_an_object_that_is_not_searched_may_hold_none(w: Any) -> None:
    with pytest.raises(TypeError, match=r"Holder\.held: a Cell holds parameters in its attribute"):
        Holder(Cell(w), None).parameters()
    model = Holder([w], None)
    model.helper = Cell(w)  # found elsewhere: no harm
    assert model.parameters()
    assert Holder(Cell([1.0, "a", Constant(2.0), Value(1.0) * 2.0]), None).parameters() == []


def test_names_that_collide_are_an_error() -> None:
    model = Holder({1: Value(1.0), "1": Value(2.0)}, None)
    with pytest.raises(ValueError, match=r"two parameters would have the name 'held\.1'"):
        model.state_dict()
    with pytest.raises(ValueError, match=r"held\.1"):
        list(model.named_parameters())


def test_parameters_that_a_module_chooses_itself() -> None:
    class FrozenLayer(Layer):
        def parameters(self) -> list[Any]:
            return []

    model = MLP(2, [3, 1], seed=0)
    frozen = FrozenLayer(2, 3, seed=0)
    frozen.load_state_dict(model.layers[0].state_dict())
    model.layers[0] = frozen
    assert model.parameters() == model.layers[1].parameters()
    assert len(model.state_dict()) == 8  # all of them are saved
    assert type(model.numbers()([1.0, 2.0])) is float
    assert model.with_parameters([0.0] * 4)([1.0, 2.0]).data == 0.0

    class Elsewhere(Module):
        def parameters(self) -> list[Any]:
            return [loose]

    loose = Value(3.0, "loose")
    with pytest.raises(ValueError, match="which none of the attributes holds"):
        Elsewhere().with_parameters([1.0])


# --- traps ---


def test_a_parameter_that_is_computed_with_is_told_at_once() -> None:
    model = Holder(Value(2.0), lambda held: [held])
    with pytest.warns(GraphWarning, match=r"held was a parameter .* computed by sub.*write"):
        model.held = model.held - 0.1 * 3.0
    neuron = Neuron(2)
    neuron.w[1] = neuron.w[1] - 0.1 * 4.0
    with pytest.warns(GraphWarning, match=r"w\.1 was a parameter .* write w\.1\.data -="):
        neuron.parameters()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.held = Value(3.0)
        model.cache = model(2.0)  # what is computed may be kept
        model.cache = model(3.0)
        model.parameters()


# --- neurons and layers of one's own ---


class Cubed(Neuron):
    """As a micrograd program writes one: no super().__init__, its own __call__."""

    def __init__(self, nin: int, nonlin: bool = True) -> None:
        self.w = [Value(random.uniform(-1, 1)) for _ in range(nin)]
        self.b = Value(0)
        self.nonlin = nonlin

    def __call__(self, x: Any) -> Any:
        act = sum((wi * xi for wi, xi in zip(self.w, x)), self.b)
        return act**3 if self.nonlin else act


class Doubled(Layer):
    def __init__(self, nin: int, nout: int, **kwargs: Any) -> None:
        self.neurons = [Cubed(nin, **kwargs) for _ in range(nout)]

    def __call__(self, x: Any) -> Any:
        out = super().__call__(x)
        return [2.0 * y for y in out] if isinstance(out, list) else 2.0 * out


def test_neurons_and_layers_of_ones_own_are_honoured_everywhere() -> None:
    model = MLP(2, [3, 1], seed=1)
    model.layers[0] = Doubled(2, 3)
    model.layers[1].neurons[0] = Cubed(3, nonlin=False)
    x = [0.3, -0.8]
    hidden = [
        2.0 * sum((w.data * xi for w, xi in zip(n.w, x)), n.b.data) ** 3
        for n in model.layers[0].neurons
    ]
    last = model.layers[1].neurons[0]
    expected = sum((w.data * h for w, h in zip(last.w, hidden)), last.b.data)
    assert model(x).data == pytest.approx(expected, rel=1e-14)
    assert model([Value(xi) for xi in x]).data == model(x).data
    assert model.numbers()(x) == model(x).data
    assert compile(lambda m, x: m(x))(model, x) == pytest.approx(expected, rel=1e-13)
    assert (last.nonlin, model.layers[0].neurons[0].nonlin) == (False, True)
    assert repr(model.layers[0]).startswith("Doubled(2, 3,")
    mixed = Layer(2, 2, seed=0)
    mixed.neurons[1] = Cubed(2)
    assert mixed(x)[1].data == mixed.neurons[1](x).data
    with pytest.raises(ValueError, match=r"expected 3 input\(s\), got 2"):
        last.score([1.0, 2.0])


def test_a_neuron_of_ones_own_is_not_exported_as_another() -> None:
    torch = pytest.importorskip("torch")
    from tinygrad_edu import to_torch

    model = MLP(2, [3, 1], seed=1)
    assert isinstance(to_torch(model), torch.nn.Module)
    model.layers[0].neurons[1] = Cubed(2)
    with pytest.raises(TypeError, match="Cubed computes something of its own"):
        to_torch(model)
    assert F.relu(1.0) == 1.0

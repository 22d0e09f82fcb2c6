"""Programs that were written for micrograd, or for the 200-line GPT, and make nodes themselves."""

from __future__ import annotations

import copy
import gc
import math
import pickle
import random
import weakref

import pytest

import tinygrad_edu as tg
from tinygrad_edu import Value, draw
from tinygrad_edu.engine.value import Constant, topological_order


def test_micrograds_names() -> None:
    x, y = Value(2.0, label="x"), Value(3.0, label="y")
    product = x * y
    assert (product._prev, product._op, x._prev, x._op) == ((x, y), "*", (), "")
    assert set((x + x)._prev) == {x}
    nodes, edges = set(), set()

    def build(v: Value) -> None:  # the package's own drawing notebook
        if v not in nodes:
            nodes.add(v)
            for child in v._prev:
                edges.add((child, v))
                build(child)

    build(product + x)
    assert (len(nodes), len(edges)) == (4, 4)


def test_a_node_with_an_assigned_backward() -> None:
    def tanh(x: Value) -> Value:
        t = (math.exp(2 * x.data) - 1) / (math.exp(2 * x.data) + 1)
        out = Value(t, (x,), "tanh")

        def _backward() -> None:
            x.grad += (1 - t**2) * out.grad

        out._backward = _backward
        return out

    for data in (-1.5, 0.0, 0.7):
        x, twin = Value(data, label="x"), Value(data)
        f, g = tanh(x * 2.0) * x + tanh(x), (twin * 2.0).tanh() * twin + twin.tanh()
        f.backward()
        g.backward()
        assert f.data == pytest.approx(g.data, rel=1e-14)
        assert x.grad == pytest.approx(twin.grad, rel=1e-14)
    assert "tanh" in draw(f).svg


def test_a_backward_assigned_to_a_node_of_ours_is_used_for_that_node_alone() -> None:
    x = Value(3.0)
    y, z = x * x, x * x
    calls = []
    y._backward = lambda: calls.append(y.grad)
    (y + z).backward()
    assert (calls, x.grad) == ([1.0], 6.0)

    def step() -> None:
        raise AssertionError

    with pytest.raises(AttributeError, match="is a leaf"):
        x._backward = step
    x._backward = lambda: None
    with pytest.raises(TypeError, match="_backward: expected a function"):
        y._backward = 3  # type: ignore[assignment]


def test_constructors_of_other_engines() -> None:
    x, y = Value(2.0, "x"), Value(3.0, "y")
    for node in (
        Value(6.0, (x, y), (3.0, 2.0)),
        Value(6.0, (x, y), local_grads=(3.0, 2.0)),
        Value(6.0, children=(x, y), local_grads=(3.0, 2.0)),
        Value(6.0, operands=(x, y), local_gradients=[3, 2]),
        Value(6.0, (x, y), "*", "f"),
        Value(6.0, _children=(x, y), _op="*", label="f"),
    ):
        assert node.operands == (x, y)
        if node._op == "*":
            assert node.label == "f"
            with pytest.raises(ValueError, match="made by hand: assign its _backward"):
                node.backward()
            assert (x.grad, y.grad) == (0.0, 0.0)
            continue
        node.backward()
        assert (x.grad, y.grad, node.local_gradients()) == (3.0, 2.0, (3.0, 2.0))
        assert tg.grad(node * node, x) == 36.0
        x.grad = y.grad = 0.0
    many = Value(1.0, (x, y, x, 5.0), (1.0, 2.0, 3.0, 4.0))
    many.backward()
    assert (x.grad, y.grad) == (4.0, 2.0)
    assert Value(1.0, (), ()).op is None
    assert Value(1.0, (), "", "a").label == "a"
    for bad, error, words in (
        (lambda: Value(1.0, (x,), (1.0, 2.0)), ValueError, "got 2 for 1 operands"),
        (lambda: Value(1.0, (x,), ("a",)), TypeError, "local_gradients: expected a real number"),
        (lambda: Value(1.0, ("a",), (1.0,)), TypeError, "got str 'a'"),
        (lambda: Value(1.0, colour="red"), TypeError, "unknown argument 'colour'"),
        (lambda: Value(1.0, 3), TypeError, "label: expected text, got int 3"),
        (lambda: Value(1.0, (), "+", 3), TypeError, "label: expected text, got int 3"),
    ):
        with pytest.raises(error, match=words):
            bad()


def test_leaves_take_attributes_that_copies_and_pickles_keep() -> None:
    p = Value(2.0, "p")
    p.m, p.v, p.colour = 0.5, [1.0], "red"
    for twin in (copy.copy(p), copy.deepcopy(p), pickle.loads(pickle.dumps(p))):
        assert (twin.data, twin.label, twin.m, twin.v, twin.colour) == (2.0, "p", 0.5, [1.0], "red")
    assert copy.deepcopy(p).v is not p.v
    assert vars(Value(1.0)) == {}


class Tagged(Value):
    """A subclass with attributes of its own."""

    __slots__ = ("colour",)

    def __init__(self, data: float, colour: str) -> None:
        super().__init__(data)
        self.colour = colour


class Loud(Value):
    def shout(self) -> str:
        return f"{self.data:g}!"


class Louder(Loud):
    pass


def test_subclasses_keep_their_attributes_and_their_kind() -> None:
    tagged = Tagged(2.0, "red")
    tagged.grad = 4.0
    for twin in (copy.copy(tagged), copy.deepcopy(tagged), pickle.loads(pickle.dumps(tagged))):
        assert (type(twin), twin.data, twin.grad, twin.colour) == (Tagged, 2.0, 4.0, "red")
    for kind in (Loud, Louder):
        a, b, one = kind(2.0), Value(3.0), Constant(1.0)
        for result in (
            a + b, b + a, a * b, b * a, a + 1.0, 1.0 + a, 1 + a, a - b, b - a, b / a, a**2, 2**a,
            -a, a.exp(), tg.exp(a), tg.sum([b, a, b]), tg.dot([b], [a]), one * a, (a + b) * b,
            b + a.relu(), tg.maximum(b, a), sum([b, a]),
        ):  # fmt: skip
            assert type(result) is kind
            assert result.shout() == f"{result.data:g}!"
            result.backward()
    assert type(Loud(1.0) + Louder(1.0)) is type(Louder(1.0) + Loud(1.0)) is Louder
    a = Loud(2.0)
    a.data = 3.0
    a.data -= 1
    assert (a * a).data == 4.0
    with pytest.raises(AttributeError, match="is computed by mul"):
        (a * a).data = 1.0
    with pytest.raises(TypeError, match="data: expected a real number"):
        a.data = "2"  # type: ignore[assignment]


def test_a_subclass_that_overrides_an_operator_is_honoured() -> None:
    class Counting(Value):
        count = 0

        def __add__(self, other):
            Counting.count += 1
            return super().__add__(other)

    total = Counting(1.0) + Value(2.0) + 3.0
    assert (type(total), total.data, Counting.count) == (Counting, 6.0, 2)


def test_weak_references() -> None:
    x = Value(2.0)
    y = x * x
    alive = weakref.ref(y), weakref.WeakKeyDictionary({y: "red", x: "blue"})
    assert alive[1][y] == "red"
    gc.disable()
    try:
        del y
        assert alive[0]() is None
        assert len(alive[1]) == 1
    finally:
        gc.enable()


def test_detach_and_item() -> None:
    x = Value(3.0)
    y = x * x
    cut = y.detach()
    assert (cut.data, cut.op, y.item(), type(y.item())) == (9.0, None, 9.0, float)
    (x * cut).backward()
    assert x.grad == 9.0


def _random_graph(seed: int) -> Value:
    rng = random.Random(seed)
    leaves = [Value(rng.uniform(0.5, 1.5), "abcd"[i]) for i in range(4)]
    nodes = list(leaves)
    for _ in range(rng.randrange(1, 30)):
        a, b, c = rng.choices(nodes, k=3)
        made = [
            a + b, a * b, a - 2.0, a / (1.0 + b * b), a.tanh(), tg.dot([a, b], [b, c], c),
            tg.max([a, b, c]), a.relu() * 0.5, tg.logsumexp([a, b, a]),
        ]  # fmt: skip
        nodes.append(rng.choice(made))
    return tg.sum(nodes[4:])


@pytest.mark.parametrize("seed", range(40))
def test_steps_back_by_hand_in_the_right_order_are_the_backward_pass(seed: int) -> None:
    output = _random_graph(seed)
    output.backward()
    expected = [node.grad for node in topological_order(output)]
    for call in ("step_back", "_backward"):
        output.zero_grad()
        output.grad = 1.0
        for node in reversed(topological_order(output)):
            getattr(node, call)() if call == "step_back" else node._backward()
        assert [node.grad for node in topological_order(output)] == expected

"""Neurons, layers and networks: outputs and gradients against torch, names, state, copies."""

from __future__ import annotations

import copy
import math
import pickle
import random
import statistics
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch_twin import ACTIVATIONS, in_our_order, numbers, tensor, twin

from tinygrad_edu import Value, grad
from tinygrad_edu.engine import functional as F
from tinygrad_edu.engine.ops import TABLE
from tinygrad_edu.engine.value import Constant, topological_order
from tinygrad_edu.nn import MLP, Layer, Module, MultiLayerPerceptron, Neuron, squared_error
from tinygrad_edu.nn.initialization import INITIALIZATIONS, initial_weight
from tinygrad_edu.training import fit


def random_rows(n: int, width: int, seed: int) -> list[list[float]]:
    source = random.Random(seed)
    return [[source.uniform(-2.0, 2.0) for _ in range(width)] for _ in range(n)]


# --- against torch ---


@pytest.mark.parametrize("activation", sorted(ACTIVATIONS))
@pytest.mark.parametrize("bias", [True, False])
def test_outputs_and_gradients_equal_torch(activation: str, bias: bool) -> None:
    model = MLP(3, [5, 4, 2], activation, seed=1, bias=bias)
    for i, parameter in enumerate(model.parameters()):
        parameter.data += 0.01 * i  # biases as well
    reference = twin(model)
    rows = random_rows(4, 3, seed=2)
    ours = [model(row) for row in rows]
    theirs = reference(tensor(rows))
    assert [numbers(out) for out in ours] == [
        pytest.approx(row, rel=1e-12, abs=1e-14) for row in theirs.tolist()
    ]
    F.sum([a * a + b for a, b in ours]).backward()
    (theirs[:, 0] ** 2 + theirs[:, 1]).sum().backward()
    assert [p.grad for p in model.parameters()] == pytest.approx(
        in_our_order(reference), rel=1e-11, abs=1e-13
    )


@settings(max_examples=40, deadline=None)
@given(
    widths=st.lists(st.integers(1, 5), min_size=1, max_size=3),
    nin=st.integers(1, 4),
    activation=st.sampled_from(sorted(ACTIVATIONS)),
    seed=st.integers(0, 10**6),
)
def test_any_shape_equals_torch(widths: list[int], nin: int, activation: str, seed: int) -> None:
    model = MLP(nin, widths, activation, "tanh", seed=seed)
    reference = twin(model)
    row = random_rows(1, nin, seed)[0]
    out = model(row)
    total = F.sum(out) if isinstance(out, list) else out
    expected = reference(tensor(row)).sum()
    assert total.data == pytest.approx(expected.item(), rel=1e-11, abs=1e-13)
    total.backward()
    expected.backward()
    assert [p.grad for p in model.parameters()] == pytest.approx(
        in_our_order(reference), rel=1e-10, abs=1e-12
    )


# --- one dot node, or single + and * nodes ---


@pytest.mark.parametrize("bias", [True, False])
def test_expanded_neurons_give_the_same_bits(bias: bool) -> None:
    model = MLP(3, [4, 3, 1], "tanh", seed=3, bias=bias)
    for parameter in model.parameters():
        parameter.data += 0.1
    written_out = MLP(3, [4, 3, 1], "tanh", expanded=True, bias=bias)
    written_out.load_state_dict(model.state_dict())
    for row in random_rows(5, 3, seed=4):
        outputs = [model(row), written_out(row), model.expand()(row)]
        assert len({out.data for out in outputs}) == 1
        gradients = [grad(outputs[i], m.parameters()) for i, m in enumerate([model, written_out])]
        gradients.append(grad(outputs[2], model.parameters()))  # the copy shares the parameters
        assert gradients[1] == pytest.approx(gradients[0], rel=1e-13)
        assert gradients[2] == gradients[1]
    symbols = [{n.op.symbol for n in topological_order(out) if n.op} for out in outputs]
    assert symbols == [{"·", "tanh"}, {"+", "*", "tanh"}, {"+", "*", "tanh"}]
    assert not model.layers[0].neurons[0].expanded  # the original stays as it was


def test_a_neuron_is_one_node_and_inputs_are_shared_by_the_layer() -> None:
    layer = Layer(3, 4, "identity", seed=0)
    out = layer([1.0, 2.0, 3.0])
    assert all(node.op.name == "dot" and len(node.operands) == 7 for node in out)
    constants = {x for node in out for x in node.operands if isinstance(x, Constant)}
    assert len(constants) == 3
    assert out[0].operands[:3] == tuple(layer.neurons[0].w)
    assert out[0].operands[-1] is layer.neurons[0].b


def test_inputs_may_be_values_numbers_arrays_or_a_single_number() -> None:
    model = MLP(2, [3, 1], "tanh", seed=5)
    x = [Value(0.3), Value(-0.7)]
    expected = model(x)
    for same in ([0.3, -0.7], (0.3, -0.7), np.array([0.3, -0.7]), [x[0], -0.7]):
        assert model(same).data == expected.data
    assert grad(expected, x)[0] != 0.0
    line = Neuron(1, "identity", seed=1)
    assert line(2.0).data == line([2.0]).data == line(Value(2.0)).data
    assert len(Layer(1, 3)(0.5)) == 3


def test_any_function_is_an_activation() -> None:
    neuron = Neuron(2, lambda z: z * z + 1.0)
    neuron.load_state_dict({"w": [1.0, 2.0], "b": 0.5})
    assert neuron([1.0, 1.0]).data == 3.5**2 + 1.0
    model = MLP(2, [3, 2, 1], ["sigmoid", F.sin, "step"])
    assert [layer.neurons[0].activation for layer in model.layers] == [F.sigmoid, F.sin, F.step]
    assert [n.activation for n in MLP(2, [3, 1], output="tanh").layers[1].neurons] == [F.tanh]
    assert repr(model) == "MLP(2 -> 3 sigmoid -> 2 sin -> 1 step, 20 parameters)"


def test_multi_layer_perceptron_steps_and_its_gradient_is_zero_everywhere() -> None:
    model = MultiLayerPerceptron(2, [3, 1], seed=0)
    out = model([0.3, -0.2])
    assert out.data in (1.0, -1.0)
    out.backward()
    assert [p.grad for p in model.parameters()] == [0.0] * 13


def test_dead_neurons_pass_nothing_on() -> None:
    w = [Value(1.0), Value(2.0)]
    score = F.dot(w, [3.0, -4.0])
    F.relu(score).backward()
    assert [x.grad for x in w] == [0.0, 0.0]
    for wild in (math.inf, math.nan):  # what is not chosen contributes nothing, whatever it is
        w = [Value(1.0), Value(2.0)]
        F.where(0.0, F.dot(w, [wild, 1.0]), 5.0).backward()
        assert [x.grad for x in w] == [0.0, 0.0]


@given(
    st.sampled_from(["dot", "sum", "max", "logsumexp"]),
    st.lists(st.floats(allow_nan=True, allow_infinity=True), min_size=1, max_size=4),
)
def test_a_finite_n_ary_result_has_finite_partials(name: str, numbers: list[float]) -> None:
    """What backward() relies on when it does not multiply them by 0."""
    op = TABLE[name]
    operands = numbers * 2 if name == "dot" else numbers
    result = op.forward(*operands)
    if math.isfinite(result):
        assert all(map(math.isfinite, op.local_gradients(result, *operands)))


# --- micrograd's interface ---


def test_micrograds_arguments_and_attributes() -> None:
    neuron = Neuron(2, nonlin=False)
    assert (neuron.nonlin, Neuron(2).nonlin, Neuron(2, False).nonlin) == (False, True, False)
    assert neuron.parameters() == [*neuron.w, neuron.b]
    assert neuron.b.data == 0.0
    assert Layer(2, 3, nonlin=False).neurons[0].nonlin is False
    model = MLP(2, [16, 16, 1])
    assert [layer.neurons[0].nonlin for layer in model.layers] == [True, True, False]
    assert model.parameters() == [
        p for ly in model.layers for n in ly.neurons for p in n.parameters()
    ]
    assert len(model.parameters()) == 337
    assert isinstance(model([1.0, 2.0]), Value)
    assert isinstance(MLP(2, [4, 2])([1.0, 2.0]), list)
    model([1.0, -2.0]).backward()
    assert any(p.grad for p in model.parameters())
    model.zero_grad()
    assert not any(p.grad for p in model.parameters())


def test_a_module_of_micrograds_kind_only_has_parameters() -> None:
    class Pair(Module):
        def __init__(self) -> None:
            self.a, self.c = Value(1.0), Value(2.0)

        def parameters(self) -> list[Any]:
            return [self.c, self.a]  # an order of its own

    pair = Pair()
    (pair.a * pair.c).backward()
    pair.zero_grad()
    assert (pair.a.grad, pair.c.grad) == (0.0, 0.0)
    swapped = pair.with_parameters([10.0, 20.0])
    assert (swapped.a, swapped.c) == (20.0, 10.0)


# --- randomness ---


def test_seeds() -> None:
    def start(seed: Any) -> list[float]:
        return numbers(MLP(2, [3, 1], seed=seed).parameters())

    assert start(1) == start(1) == start(random.Random(1)) != start(2)
    assert start(None) != start(None)
    source = random.Random(1)
    assert start(source) != start(source)  # a source is used up
    before = random.getstate()
    start(1)
    assert random.getstate() == before
    random.seed(3)  # governs where no seed is given
    first = start(None)
    random.seed(3)
    assert start(None) == first
    random.setstate(before)
    with pytest.raises(TypeError, match="seed: expected a whole number"):
        start(1.5)


@pytest.mark.parametrize(
    ("rule", "activation", "deviation"),
    [
        ("xavier", "tanh", math.sqrt(2.0 / (30 + 50))),
        ("he", "relu", math.sqrt(2.0 / 30)),
        ("uniform", "relu", math.sqrt(1.0 / 3.0)),
        ("auto", "relu", math.sqrt(2.0 / 30)),
        ("auto", "sigmoid", math.sqrt(2.0 / (30 + 50))),
    ],
)
def test_initial_weights_have_the_spread_they_should(
    rule: str, activation: str, deviation: float
) -> None:
    layer = Layer(30, 50, activation, initialization=rule, seed=0)
    weights = [w.data for neuron in layer.neurons for w in neuron.w]
    assert statistics.fmean(weights) == pytest.approx(0.0, abs=4 * deviation / math.sqrt(1500))
    assert statistics.pstdev(weights) == pytest.approx(deviation, rel=0.06)
    if rule in ("xavier", "uniform"):
        assert max(map(abs, weights)) <= deviation * math.sqrt(3.0)
        assert max(map(abs, weights)) > deviation * math.sqrt(3.0) * 0.98
    assert all(neuron.b.data == 0.0 for neuron in layer.neurons)


def test_an_initialization_of_ones_own() -> None:
    neuron = Neuron(3, initialization=lambda source, n_in, n_out: n_in + 10.0 * n_out, nout=2)
    assert numbers(neuron.w) == [23.0] * 3
    assert set(INITIALIZATIONS) == {"he", "uniform", "xavier", "zeros"}
    with pytest.raises(ValueError, match=r"initialization: expected auto, he, .* got 'best'"):
        initial_weight("best", F.relu)


# --- names, state, copies ---


def test_names_follow_the_structure() -> None:
    names = [name for name, _ in MLP(2, [2, 1]).named_parameters()]
    assert names == [
        "layers.0.neurons.0.w.0", "layers.0.neurons.0.w.1", "layers.0.neurons.0.b",
        "layers.0.neurons.1.w.0", "layers.0.neurons.1.w.1", "layers.0.neurons.1.b",
        "layers.1.neurons.0.w.0", "layers.1.neurons.0.w.1", "layers.1.neurons.0.b",
    ]  # fmt: skip


def test_parameters_are_found_in_attributes_lists_and_dicts_once() -> None:
    class Odd(Module):
        def __init__(self) -> None:
            self.shared = Value(1.0)
            self.table = {"rows": [[Value(2.0), Value(3.0)], [Value(4.0)]], "also": self.shared}
            self.mixed = (Neuron(1, seed=0), Value(5.0), Constant(6.0), "text", None)
            self.computed = self.shared * 2.0

    model = Odd()
    named = list(model.named_parameters())
    assert [name for name, _ in named] == [
        "shared", "table.rows.0.0", "table.rows.0.1", "table.rows.1.0", "mixed.0.w.0", "mixed.0.b",
        "mixed.1",
    ]  # fmt: skip
    assert [p for _, p in named] == model.parameters()
    copied = model.with_parameters(range(7))
    assert copied.table == {"rows": [[1, 2], [3]], "also": 0}
    assert copied.mixed[0].w == [4]
    assert copied.mixed[2] is model.mixed[2]
    assert model.shared.data == 1.0
    assert [type(m).__name__ for m in model.modules()] == ["Odd", "Neuron"]


def test_state_survives_a_round_trip() -> None:
    model, other = MLP(2, [3, 1], seed=1), MLP(2, [3, 1], seed=2)
    state = model.state_dict()
    assert list(state)[:2] == ["layers.0.neurons.0.w", "layers.0.neurons.0.b"]
    other.load_state_dict(state)
    assert numbers(other.parameters()) == numbers(model.parameters())
    other.load_state_dict({name: np.array(numbers_) for name, numbers_ in state.items()})
    assert numbers(other.parameters()) == numbers(model.parameters())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.pop("b"), "missing in the state for this Neuron: b"),
        (lambda s: s.update(c=1.0), "unknown in the state for this Neuron: c"),
        (lambda s: s.update(w=[1.0]), "w: expected a list of 2 numbers, got a list of 1"),
        (lambda s: s.update(w=1.0), "w: expected a list of 2 numbers, got float"),
        (lambda s: s.update(b=[1.0]), "b: expected one number, got a list of 1"),
    ],
)
def test_a_state_that_does_not_fit_changes_nothing(change: Any, message: str) -> None:
    neuron = Neuron(2, seed=0)
    before = numbers(neuron.parameters())
    state = {"w": [7.0, 8.0], "b": 9.0}
    change(state)
    with pytest.raises(ValueError, match=message):
        neuron.load_state_dict(state)
    assert numbers(neuron.parameters()) == before
    with pytest.raises(TypeError, match="w: expected a real number"):
        neuron.load_state_dict({"w": [7.0, "8"], "b": 9.0})
    with pytest.raises(TypeError, match="expected a mapping, got list"):
        neuron.load_state_dict([1.0])  # type: ignore[arg-type]
    assert numbers(neuron.parameters()) == before


def test_copies_pickles_and_models_of_plain_numbers() -> None:
    model = MLP(2, [3, 2], "tanh", seed=1)
    x = [0.2, -0.4]
    expected = [node.data for node in model(x)]
    for same in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert [node.data for node in same(x)] == expected
        assert not set(same.parameters()) & set(model.parameters())
    plain = model.numbers()
    assert plain(x) == expected
    assert all(type(out) is float for out in plain(x))
    nodes = [Value(p.data) for p in model.parameters()]
    moved = model.with_parameters(nodes)
    assert moved.parameters() == nodes
    sum(moved(x)).backward()
    assert any(p.grad for p in nodes)
    assert not any(p.grad for p in model.parameters())
    with pytest.raises(ValueError, match="MLP has 17 parameters, got 1"):
        model.with_parameters([1.0])


# --- errors ---


@pytest.mark.parametrize(
    ("make", "kind", "message"),
    [
        (lambda: Neuron(0), ValueError, "nin: expected at least 1, got 0"),
        (lambda: Neuron(2.0), TypeError, "nin: expected a whole number, got float 2.0"),
        (lambda: Neuron(True), TypeError, "nin: expected a whole number, got bool"),
        (lambda: MLP(2, []), ValueError, "nouts: expected the width of at least one layer"),
        (lambda: MLP(2, 1), TypeError, r"nouts: expected the width of each layer, such as \[1\]"),
        (lambda: MLP(2, [3, -1]), ValueError, "nout: expected at least 1, got -1"),
        (lambda: Neuron(2, "swish"), ValueError, "activation: expected identity, .* got 'swish'"),
        (lambda: Neuron(2, 3), TypeError, "activation: expected a name or a function, got int 3"),
        (lambda: MLP(2, [3, 1], ["relu"]), ValueError, "one for each of 2 layers, got 1"),
        (lambda: MLP(2, [3])([1.0]), ValueError, r"expected 2 input\(s\), got 1"),
        (lambda: MLP(2, [3])(1.0), ValueError, r"expected 2 input\(s\), got 1"),
        (lambda: MLP(2, [3])([1.0, "2"]), TypeError, "expected a real number"),
        (lambda: Module()(1.0), NotImplementedError, "define __call__"),
    ],
)
def test_errors_say_what_was_wanted(make: Any, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        make()


def test_numpy_counts_and_seeds_are_whole_numbers_too() -> None:
    numpy = pytest.importorskip("numpy")
    two = numpy.array([2, 2])[0]
    model, usual = MLP(two, [two, 1], seed=two), MLP(2, [2, 1], seed=2)
    assert model.state_dict() == usual.state_dict()
    assert (repr(model), model.nouts) == (repr(usual), (2, 1))
    assert type(model.nouts[0]) is int


def test_training_by_hand_equals_torch_loss_by_loss() -> None:
    """A loop in micrograd's style over 50 steps."""
    model = MLP(2, [8, 8, 1], "tanh", seed=1)
    reference = twin(model)
    optimizer = torch.optim.SGD(reference.parameters(), lr=0.2)
    rows = random_rows(20, 2, seed=6)
    labels = [1.0 if a * b > 0 else -1.0 for a, b in rows]
    for _ in range(50):
        losses = [(1.0 - y * model(x)).relu() for x, y in zip(rows, labels)]
        total = sum(losses) * (1.0 / len(losses)) + 1e-3 * sum(p * p for p in model.parameters())
        model.zero_grad()
        total.backward()
        for p in model.parameters():
            p.data -= 0.2 * p.grad
        optimizer.zero_grad()
        theirs = torch.relu(1.0 - tensor(labels) * reference(tensor(rows))[:, 0]).mean()
        theirs = theirs + 1e-3 * sum((p * p).sum() for p in reference.parameters())
        theirs.backward()
        optimizer.step()
        assert total.data == pytest.approx(theirs.item(), rel=1e-11)


# --- neurons of the user's own ---


class _InMicrogradsStyle(Neuron):
    def __call__(self, x: Any) -> Any:
        act = sum((w * v for w, v in zip(self.w, x)), self.b)
        return act.relu() * 2 - (1.5 / (act.exp() + 1)).tanh()


class _WithFunctions(Neuron):
    def __call__(self, x: Any) -> Any:
        return F.dot(self.w, list(x), self.b).tanh() ** 2 + F.exp(-abs(self.b)).sigmoid()


class _Net(Module):
    def __init__(self) -> None:
        self.hidden = [_InMicrogradsStyle(2, seed=i) for i in range(3)]
        self.output = _WithFunctions(3, seed=9)

    def __call__(self, x: Any) -> Any:
        return self.output([neuron(x) for neuron in self.hidden])


@pytest.mark.parametrize(
    "make", [lambda: _InMicrogradsStyle(2, seed=1), lambda: _WithFunctions(2, seed=1), _Net]
)
def test_models_with_code_of_the_users_own_compute_with_numbers(make: Any) -> None:
    model = make()
    found = model.numbers()([0.5, -2.0])
    assert isinstance(found, float)
    assert found == model([0.5, -2.0]).data
    history = fit(model, [[0.0, 1.0], [1.0, 1.0]], [1.0, 0.0], loss=squared_error, epochs=2,
                  validation=([[1.0, 0.0]], [0.5]))  # fmt: skip
    assert len(history.validation_loss) == 2


def test_ordinary_models_compute_with_plain_floats() -> None:
    assert type(MLP(2, [3, 1], seed=0).numbers().layers[0].neurons[0].w[0]) is float

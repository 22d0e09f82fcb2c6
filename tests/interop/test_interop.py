"""Models to and from torch and to ONNX: equal outputs, equal gradients, clear refusals."""

from __future__ import annotations

import math
import os
import random
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy
import onnx
import onnxruntime
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch_twin import in_our_order, tensor

from tinygrad_edu.engine import ops
from tinygrad_edu.interop import from_torch, to_onnx, to_torch
from tinygrad_edu.interop.parts import TorchSoftplus, steps_of
from tinygrad_edu.nn import (
    MLP,
    Layer,
    LinearRegression,
    LogisticRegression,
    Module,
    MultiLayerPerceptron,
    Neuron,
    Perceptron,
    Polynomial,
    SoftmaxRegression,
    cross_entropy,
)
from tinygrad_edu.optim import GradientDescent
from tinygrad_edu.training import fit

TOLERANCE = 1e-12
SMOOTH = ["identity", "leaky_relu", "relu", "sigmoid", "softplus", "tanh"]

MODELS: dict[str, Callable[[], Any]] = {
    **{name: (lambda name=name: MLP(3, [4, 2], name, name, seed=1)) for name in SMOOTH},  # type: ignore[misc]
    "steps": lambda: MultiLayerPerceptron(2, [3, 2], seed=1),
    "slopes": lambda: MLP(2, [3, 1], [ops.leaky_relu_with(1.7), ops.leaky_relu_with(-0.2)], seed=1),
    "torch softplus": lambda: MLP(2, [3, 1], [TorchSoftplus(2.0, 1.0), TorchSoftplus(1, 20)]),
    "no bias": lambda: MLP(2, [3, 1], "tanh", bias=False, seed=1),
    "layer": lambda: Layer(2, 3, "tanh", seed=1),
    "neuron": lambda: Neuron(2, "sigmoid", seed=1),
    "linear": lambda: LinearRegression(2, features=Polynomial(3), seed=1),
    "logistic": lambda: LogisticRegression(3, features=Polynomial(2), seed=1),
    "softmax": lambda: SoftmaxRegression(2, 4, features=Polynomial(2), bias=False, seed=1),
    "plain softmax": lambda: SoftmaxRegression(3, 2, seed=1),
    "perceptron": lambda: Perceptron(2, seed=1),
}


def rows_for(model: Any, n: int = 7, scale: float = 2.0) -> list[list[float]]:
    source = random.Random(5)
    return [[source.gauss(0.0, scale) for _ in range(model.nin)] for _ in range(n)]


def outputs_of(model: Any, rows: list[list[float]]) -> list[list[float]]:
    found = [model(row) for row in rows]
    ys = [y if isinstance(y, list) else [y] for y in found]
    return [[getattr(o, "data", o) for o in y] for y in ys]


def ours(model: Any, rows: list[list[float]]) -> tuple[list[list[float]], list[float]]:
    """Return the outputs, and the gradient of the sum of their sines."""
    model.zero_grad()
    for row in rows:
        found = model(row)
        total = sum(ops.sin(o) for o in (found if isinstance(found, list) else [found]))
        total.backward()
    return outputs_of(model, rows), [p.grad for p in model.parameters()]


def theirs(network: Any, rows: list[list[float]]) -> tuple[list[list[float]], list[float]]:
    network.zero_grad()
    found = network(tensor(rows))
    if found.requires_grad:
        found.sin().sum().backward()
    return found.tolist(), in_our_order(network)


def agree(model: Any, network: Any, rows: list[list[float]]) -> None:
    (values, gradients), (wanted, wanted_gradients) = ours(model, rows), theirs(network, rows)
    assert numpy.allclose(values, wanted, rtol=TOLERANCE, atol=TOLERANCE)
    size = max(1.0, max(map(abs, wanted_gradients)))
    assert numpy.allclose(gradients, wanted_gradients, rtol=TOLERANCE, atol=TOLERANCE * size)


# --- torch ---


@pytest.mark.parametrize("name", [name for name in MODELS if name not in ("steps", "perceptron")])
def test_torch_has_the_same_outputs_and_gradients(name: str) -> None:
    model = MODELS[name]()
    network = to_torch(model)
    rows = rows_for(model)
    agree(model, network, rows)
    # and back
    again = from_torch(network)
    assert outputs_of(again, rows) == outputs_of(model, rows)
    agree(again, network, rows)
    if not isinstance(model, Layer | Neuron):
        assert repr(again) == repr(model)


@pytest.mark.parametrize("name", ["steps", "perceptron"])
def test_the_step_function_goes_to_torch_and_back(name: str) -> None:
    model = MODELS[name]()
    network = to_torch(model)
    rows = [*rows_for(model), [0.0] * model.nin]
    assert network(tensor(rows)).tolist() == outputs_of(model, rows)
    assert outputs_of(from_torch(network), rows) == outputs_of(model, rows)
    assert {y for row in outputs_of(model, rows) for y in row} == {1.0, -1.0}


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(1, 5), min_size=2, max_size=4),
    st.lists(st.sampled_from(SMOOTH), min_size=3, max_size=3),
    st.booleans(),
    st.sampled_from([0.1, 2.0, 60.0]),
    st.integers(0, 10_000),
)
def test_random_networks_agree_with_torch(
    widths: list[int], activations: list[str], bias: bool, scale: float, seed: int
) -> None:
    nouts = widths[1:]
    model = MLP(widths[0], nouts, activations[: len(nouts)], bias=bias, seed=seed)
    rows = rows_for(model, 4, scale)
    agree(model, to_torch(model), rows)


def test_networks_made_in_torch_come_here() -> None:
    torch.manual_seed(3)
    network = torch.nn.Sequential(
        torch.nn.Linear(3, 5),
        torch.nn.Sequential(torch.nn.Softplus(), torch.nn.Linear(5, 4, bias=False)),
        torch.nn.Identity(),
        torch.nn.LeakyReLU(0.3),
        torch.nn.Linear(4, 2),
        torch.nn.Softplus(beta=3.0, threshold=2.0),
    )
    model = from_torch(network)  # float32 numbers, computed with in float64 on either side
    assert model.layers[1].neurons[0].b is None
    agree(model, network.double(), rows_for(model, 20, 30.0))
    with torch.no_grad():
        network[0].weight.zero_()  # the model has numbers of its own
    assert any(w.data != 0.0 for w in model.layers[0].neurons[0].w)


def test_a_network_trained_there_or_here_is_the_same() -> None:
    X, y = [[0.0, 1.0], [1.0, 0.5], [-1.0, 0.3], [0.2, -2.0]], [0, 1, 2, 1]
    model = MLP(2, [4, 3], "tanh", seed=1)
    network = to_torch(model)
    fit(model, X, y, loss=cross_entropy, optimizer=GradientDescent(0.5), epochs=20)
    sgd = torch.optim.SGD(network.parameters(), lr=0.5)
    for _ in range(20):
        sgd.zero_grad()
        torch.nn.functional.cross_entropy(network(tensor(X)), torch.tensor(y)).backward()
        sgd.step()
    wanted = in_our_order(network, "data")
    assert numpy.allclose([p.data for p in model.parameters()], wanted, rtol=1e-11, atol=1e-12)


class Own(Module):
    pass


def test_what_has_no_counterpart_in_torch_is_refused() -> None:
    for model, kind, message in (
        (Own(), TypeError, "model: expected one of Layer, LinearRegression"),
        (None, TypeError, "got NoneType"),
        (MLP(2, [2, 1], ops.sin), ValueError, "layer 0: expected one activation of identity"),
        (Neuron(2, lambda x: x), ValueError, "layer 0"),
        (LinearRegression(2, features=lambda x: x), ValueError, "features: expected Polynomial"),
    ):
        for export in (to_torch, lambda model: to_onnx(model, os.devnull)):
            with pytest.raises(kind, match=message):
                export(model)
    mixed = Layer(2, 2)
    mixed.neurons[1].b = None
    with pytest.raises(ValueError, match="a bias in all neurons, or in none"):
        to_torch(mixed)
    mixed = Layer(2, 2)
    mixed.neurons[1].activation = ops.tanh
    with pytest.raises(ValueError, match="got relu, tanh"):
        to_torch(mixed)


def test_what_has_no_counterpart_here_is_refused() -> None:
    t = torch.nn
    shared = t.Linear(2, 2)
    for parts, kind, message in (
        ([], ValueError, "at least one Linear"),
        ([t.ReLU()], ValueError, r"module\[0\]: expected a Linear before ReLU"),
        ([t.Linear(2, 2), t.ReLU(), t.Tanh()], ValueError, r"module\[2\]: expected a Linear"),
        ([t.Linear(2, 3), t.Linear(2, 1)], ValueError, r"module\[1\]: expected 3 inputs.*got 2"),
        ([t.Linear(2, 3), t.Dropout()], TypeError, r"module\[1\]: Dropout draws"),
        ([t.Linear(2, 3), t.GELU()], TypeError, "got GELU"),
        ([t.Linear(2, 3), t.LogSoftmax(dim=1)], TypeError, "got LogSoftmax"),
        ([t.Linear(2, 3), t.ReLU(), t.Softmax(dim=1)], ValueError, "leave it out"),
        ([t.Linear(2, 3), t.Linear(3, 2), t.Softmax(dim=1)], ValueError, "leave it out"),
        ([t.Linear(2, 3), t.Softmax(dim=0)], ValueError, "last dimension"),
        ([shared, t.ReLU(), shared], ValueError, "expected every part once"),
    ):
        with pytest.raises(kind, match=message):
            from_torch(t.Sequential(*parts))
    with pytest.raises(TypeError, match=r"expected a torch.nn.Module, got MLP"):
        from_torch(MLP(2, [1]))
    features = to_torch(LinearRegression(2, features=Polynomial(2)))[0]
    with pytest.raises(ValueError, match="only before a single Linear"):
        from_torch(t.Sequential(features, t.Linear(5, 2), t.Linear(2, 1)))


@given(st.integers(1, 4), st.integers(1, 5))
def test_polynomial_features_in_steps(nin: int, degree: int) -> None:
    x = [1.5, -2.0, 0.25, 3.0][:nin]
    products, last = list(x), list(x)
    for before, factors in steps_of(nin, degree):
        last = [last[k] * x[i] for k, i in zip(before, factors)]
        products += last
    assert products == Polynomial(degree)(x)


# --- ONNX ---


def run(path: Path, rows: list[list[float]]) -> list[list[float]]:
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {"x": numpy.array(rows, dtype=numpy.float64)})
    assert found.dtype == numpy.float64
    return found.tolist()  # type: ignore[no-any-return]


@pytest.mark.parametrize("scale", [1.0, 40.0])
@pytest.mark.parametrize("name", MODELS)
def test_onnxruntime_computes_the_same(name: str, scale: float, tmp_path: Path) -> None:
    model = MODELS[name]()
    for parameter in model.parameters():
        parameter.data += 0.1
    path = tmp_path / "model.onnx"
    to_onnx(model, path)
    rows = rows_for(model, 50, scale)
    assert numpy.allclose(run(path, rows), outputs_of(model, rows), rtol=1e-12, atol=1e-12)
    assert len(run(path, rows[:1])) == 1  # any number of rows
    written = onnx.load(path)
    assert written.doc_string == repr(model)
    assert os.listdir(tmp_path) == ["model.onnx"]


def test_softplus_keeps_its_digits_far_to_the_left(tmp_path: Path) -> None:
    model = Neuron(1, "softplus", initialization="zeros")
    model.w[0].data = 1.0
    to_onnx(model, tmp_path / "f")
    points = [-700.0, -50.0, -37.0, -20.0, -1e-9, 0.0, 1e-9, 30.0, 800.0]
    for x, (y,) in zip(points, run(tmp_path / "f", [[x] for x in points])):
        assert math.isclose(y, model([x]).data, rel_tol=1e-14)


def test_the_same_model_makes_the_same_onnx_file(tmp_path: Path) -> None:
    model = SoftmaxRegression(2, 3, features=Polynomial(2), seed=1)
    to_onnx(model, tmp_path / "a")
    to_onnx(model, tmp_path / "b")
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


@pytest.mark.parametrize("library", ["torch", "onnx"])
def test_a_missing_library_is_named(
    library: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(ImportError, match=rf"pip install .*{library}"):
        to_torch(MLP(2, [1])) if library == "torch" else to_onnx(MLP(2, [1]), tmp_path / "f")
    assert os.listdir(tmp_path) == []


# --- networks that are not what their classes say ---


class _Doubled(torch.nn.Linear):
    def forward(self, x: Any) -> Any:
        return 2.0 * super().forward(x)


class _Reversed(torch.nn.Sequential):
    def forward(self, x: Any) -> Any:
        return super().forward(-x)


def _hooked() -> Any:
    layer = torch.nn.Linear(2, 1)
    layer.register_forward_hook(lambda module, given, found: found * 3.0)
    return torch.nn.Sequential(layer)


def _normed(how: Any) -> Any:
    return torch.nn.Sequential(how(torch.nn.Linear(2, 1)))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: _Doubled(2, 1), "_Doubled is a class of its own"),
        (lambda: torch.nn.Sequential(torch.nn.Sequential(_Doubled(2, 1))), r"\[0\].*_Doubled"),
        (lambda: _Reversed(torch.nn.Linear(2, 1)), "_Reversed is a class of its own"),
        (_hooked, "has hooks"),
        (lambda: _normed(torch.nn.utils.parametrizations.weight_norm), "class of its own"),
        (lambda: _normed(torch.nn.utils.parametrizations.spectral_norm), "class of its own"),
        (lambda: torch.nn.Sequential(torch.nn.Linear(2, 1), torch.nn.Dropout(0.5)), "module.eval"),
    ],
)
def test_what_may_compute_something_else_is_refused(make: Any, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        from_torch(make())


def test_dropout_at_rest_is_the_identity() -> None:
    network = torch.nn.Sequential(
        torch.nn.Dropout(0.3), torch.nn.Linear(2, 3), torch.nn.Tanh(), torch.nn.Dropout(0.5),
        torch.nn.Linear(3, 1),
    ).double().eval()  # fmt: skip
    model = from_torch(network)
    x = [0.3, -0.7]
    expected = network(torch.tensor(x, dtype=torch.float64)).item()
    assert model(x).data == pytest.approx(expected, rel=1e-14)


def test_a_forward_set_on_one_layer_is_refused() -> None:
    layer = torch.nn.Linear(2, 1)
    layer.forward = lambda x: x.sum(-1, keepdim=True)
    with pytest.raises(TypeError, match="a forward of its own was set on this Linear"):
        from_torch(torch.nn.Sequential(layer))

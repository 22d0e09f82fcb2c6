"""Files: round trips, resumed trainings, refusals, and savings interrupted at every byte."""

from __future__ import annotations

import copy
import json
import math
import os
import random
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy
import pytest
import safetensors.numpy
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import tinygrad_edu
from tinygrad_edu import Value, _files
from tinygrad_edu.engine import ops
from tinygrad_edu.nn import (
    L2,
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
    hinge,
)
from tinygrad_edu.optim import (
    AdaGrad,
    Adam,
    AdamW,
    Cosine,
    GradientDescent,
    Momentum,
    Nesterov,
    Optimizer,
    RMSProp,
    StepDecay,
)
from tinygrad_edu.saving import checkpoint, load, load_model, save
from tinygrad_edu.training import History, fit

FUZZ_FILES = 400

MODELS: dict[str, Callable[[], Any]] = {
    "mlp": lambda: MLP(2, [3, 2], ["tanh", "sigmoid"], seed=1),
    "mlp without bias": lambda: MLP(3, [2, 1], "leaky_relu", bias=False, seed=1),
    "mlp of operations": lambda: MLP(2, [2, 2], [ops.sin, ops.leaky_relu_with(0.3)], seed=1),
    "perceptrons": lambda: MultiLayerPerceptron(2, [3, 1], seed=1),
    "layer": lambda: Layer(2, 3, "softplus", seed=1),
    "neuron": lambda: Neuron(4, "relu", seed=1),
    "perceptron": lambda: Perceptron(2, seed=1),
    "linear": lambda: LinearRegression(2, features=Polynomial(3), seed=1),
    "logistic": lambda: LogisticRegression(3, bias=False, seed=1),
    "softmax": lambda: SoftmaxRegression(2, 3, features=Polynomial(2), seed=1),
}


class Own(Module):
    """A model with code of its own: its numbers can be saved, but not how to build it."""

    def __init__(self, size: int = 2) -> None:
        self.scale = Value(1.5)
        self.parts = {"a": [Value(0.1 * i) for i in range(size)], "b": Neuron(size, seed=1)}

    def __call__(self, x: Any) -> Any:
        return self.scale * self.parts["b"](x)


def bits(numbers: Any) -> list[str]:
    return [float(number).hex() for number in numbers]


def xor() -> tuple[list[list[float]], list[int]]:
    return [[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0], [0.5, 0.2]], [0, 1, 1, 0, 1]


# --- round trips ---


@pytest.mark.parametrize("name", MODELS)
def test_a_model_comes_back_as_it_was(name: str, tmp_path: Path) -> None:
    model = MODELS[name]()
    for i, parameter in enumerate(model.parameters()):
        parameter.data += 0.1 * math.sin(i)
    save(tmp_path / "model", model)
    again = load_model(tmp_path / "model")
    assert repr(again) == repr(model)
    assert type(again) is type(model)
    assert bits(again.parameters()) == bits(model.parameters())
    x = [0.3, -1.7, 0.9, 2.0][: model.nin]
    assert repr(again(x)) == repr(model(x))
    other = MODELS[name]()
    assert load(tmp_path / "model", other) is None
    assert bits(other.parameters()) == bits(model.parameters())


def test_a_model_with_code_of_its_own_is_filled_but_not_built(tmp_path: Path) -> None:
    saved, model = Own(), Own()
    saved.scale.data = -7.25
    save(tmp_path / "own", saved)
    load(tmp_path / "own", model)
    assert model.state_dict() == saved.state_dict()
    with pytest.raises(ValueError, match=r"does not say how to build its model, Own"):
        load_model(tmp_path / "own")
    strange = Neuron(2, lambda x: x * x, seed=0)
    save(tmp_path / "strange", strange)
    with pytest.raises(ValueError, match=r"build it yourself"):
        load_model(tmp_path / "strange")
    load(tmp_path / "strange", Neuron(2, lambda x: x * x))


@given(st.lists(st.floats(width=64), min_size=1, max_size=6))
def test_every_float_survives(numbers: list[float]) -> None:
    import tempfile

    model = Neuron(len(numbers), bias=False)
    for parameter, number in zip(model.w, numbers):
        parameter.data = number
    with tempfile.TemporaryDirectory() as folder:
        save(f"{folder}/f", model)
        assert bits(load_model(f"{folder}/f").parameters()) == bits(numbers)


def test_the_same_training_makes_the_same_bytes(tmp_path: Path) -> None:
    contents = set()
    for _ in range(5):
        save(tmp_path / "f", MLP(2, [3, 1], seed=1), optimizer=Adam(0.1), seed=random.Random(3))
        contents.add((tmp_path / "f").read_bytes())
    assert len(contents) == 1


def test_other_readers_of_safetensors_can_read_the_numbers(tmp_path: Path) -> None:
    from safetensors.torch import load_file

    model = MLP(2, [3, 1], seed=1)
    save(tmp_path / "f", model)
    tensors = load_file(tmp_path / "f")
    assert tensors["model.layers.0.neurons.2.w"].dtype == torch.float64
    assert tensors["model.layers.0.neurons.2.w"].tolist() == bits_as_numbers(
        model.layers[0].neurons[2].w
    )


def bits_as_numbers(nodes: Any) -> list[float]:
    return [node.data for node in nodes]


# --- going on ---

OPTIMIZERS: dict[str, Callable[[], Optimizer]] = {
    "descent": lambda: GradientDescent(StepDecay(0.5, factor=0.5, every=3)),
    "momentum": lambda: Momentum(0.1),
    "nesterov": lambda: Nesterov(0.1),
    "adagrad": lambda: AdaGrad(0.1),
    "rmsprop": lambda: RMSProp(StepDecay(0.1, every=2, per="epoch")),
    "adam": lambda: Adam(Cosine(0.1, steps=20)),
    "adamw": lambda: AdamW(0.05),
}


@pytest.mark.parametrize("batch", ["full", 1, 2])
@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_a_training_goes_on_bit_for_bit(kind: str, batch: Any, tmp_path: Path) -> None:
    X, y = xor()

    def start() -> tuple[Any, Optimizer, random.Random]:
        return MLP(2, [3, 1], "tanh", seed=1), OPTIMIZERS[kind](), random.Random(4)

    def train(epochs: int, state: Any, history: History | None = None, **options: Any) -> History:
        model, optimizer, source = state
        return fit(
            model, X, y, loss=cross_entropy, penalty=L2(0.01), optimizer=optimizer, batch=batch,
            epochs=epochs, seed=source, history=history, validation=(X[1:], y[1:]), record=2,
            restore_best=True, **options,
        )  # fmt: skip

    whole = start()
    expected = train(7, whole)
    part = start()
    # The file is written as if the machine went down after epoch 3: nothing else is kept.
    _, optimizer, source = part
    train(3, part, callbacks=[checkpoint(tmp_path / "f", optimizer=optimizer, seed=source)])
    resumed = (MLP(2, [3, 1], "tanh"), OPTIMIZERS[kind](), random.Random())
    history = load(tmp_path / "f", resumed[0], optimizer=resumed[1], seed=resumed[2])
    assert history is not None
    assert history.epochs == 3
    train(4, resumed, history)
    assert bits(resumed[0].parameters()) == bits(whole[0].parameters())
    assert resumed[1].state_dict() == whole[1].state_dict()
    assert resumed[2].getstate() == whole[2].getstate()
    history.seconds = expected.seconds = []
    history.stopped = expected.stopped = ""
    assert history == expected


def test_the_best_epoch_may_lie_before_the_interruption(tmp_path: Path) -> None:
    X, y = xor()
    runs = []
    for parts in ([9], [2, 7]):  # the learning rate is so large that the loss rises at once
        model, optimizer, history = MLP(2, [3, 1], "tanh", seed=1), GradientDescent(20.0), None
        for epochs in parts:
            history = fit(
                model, X, y, loss=cross_entropy, optimizer=optimizer, epochs=epochs,
                history=history, restore_best=epochs != 2,
            )  # fmt: skip
            save(tmp_path / "f", model, optimizer=optimizer, history=history)
            model, optimizer = MLP(2, [3, 1], "tanh"), GradientDescent(20.0)
            history = load(tmp_path / "f", model, optimizer=optimizer)
        assert history is not None
        assert history.best_epoch <= 2
        runs.append((bits(model.parameters()), history.loss, history.best_epoch))
    assert runs[0] == runs[1]


def test_a_history_of_another_model_is_refused() -> None:
    X, y = xor()
    history = fit(MLP(2, [3, 1], seed=1), X, y, loss=cross_entropy, epochs=1)
    model = MLP(2, [2, 1], seed=1)
    before = bits(model.parameters())
    with pytest.raises(ValueError, match=r"history: belongs to a model with 13 parameters"):
        fit(model, X, y, loss=cross_entropy, epochs=1, history=history)
    assert bits(model.parameters()) == before


def test_checkpoints_come_every_so_many_epochs(tmp_path: Path) -> None:
    X, y = xor()
    path, seen = tmp_path / "f", []
    model = MLP(2, [2, 1], seed=1)

    def look(model: Any, history: History) -> None:
        seen.append(load(path, MLP(2, [2, 1])).epochs if path.exists() else 0)  # type: ignore[union-attr]

    fit(model, X, y, loss=hinge, epochs=7, callbacks=[checkpoint(path, every=3), look])
    assert seen == [0, 0, 3, 3, 3, 6, 6]
    for wrong in (0, -1, 1.5, True, None):
        with pytest.raises(ValueError, match=r"every: expected a whole number from 1"):
            checkpoint(path, every=wrong)  # type: ignore[arg-type]


# --- refusals ---


def training(folder: Path) -> tuple[Path, dict[str, Any]]:
    """A file with everything in it, and the objects to load it into."""
    X, y = xor()
    model, optimizer, source = MLP(2, [2, 1], seed=1), Adam(0.1), random.Random(1)
    history = fit(
        model, X, y, loss=hinge, optimizer=optimizer, batch=2, epochs=2, seed=source, record=1
    )
    path = folder / "training.safetensors"
    save(path, model, optimizer=optimizer, history=history, seed=source)
    return path, {"model": model, "optimizer": optimizer, "seed": source}


def untouched(refused: Callable[[], Any], *owners: Any, match: str = "") -> None:
    """Check that loading is refused, and that everything is as it was."""

    def state() -> list[Any]:
        return [o.getstate() if isinstance(o, random.Random) else o.state_dict() for o in owners]

    before = state()
    with pytest.raises(ValueError, match=match):
        refused()
    assert state() == before


def test_a_file_cut_anywhere_is_refused(tmp_path: Path) -> None:
    path, _ = training(tmp_path)
    content = path.read_bytes()
    into = (MLP(2, [2, 1], seed=9), Adam(0.1), random.Random(9))
    model, optimizer, source = into
    for length in [*range(0, 64), *range(64, len(content), 97), len(content) - 1]:
        path.write_bytes(content[:length])
        untouched(
            lambda: load(path, model, optimizer=optimizer, seed=source), *into, match="damaged"
        )
    path.write_bytes(content + b"\0")
    untouched(lambda: load(path, model), *into, match="damaged")


def test_foreign_files_are_refused(tmp_path: Path) -> None:
    path, model = tmp_path / "foreign", MLP(2, [2, 1], seed=1)
    array = {"a": numpy.zeros(3)}
    for content, message in (
        (b"", "damaged"),
        (b"GIF89a and so on", "damaged"),
        (json.dumps(model.state_dict()).encode(), "damaged"),
        (safetensors.numpy.save(array), "not one written by tinygrad_edu"),
        (safetensors.numpy.save(array, metadata={"format": "pt"}), "not one written by"),
        (safetensors.numpy.save(array, metadata={"tinygrad_edu": "?"}), "not JSON"),
        (safetensors.numpy.save(array, metadata={"tinygrad_edu": "[" * 100_000}), "not JSON"),
        (safetensors.numpy.save(array, metadata={"tinygrad_edu": "3"}), "no entries"),
        (safetensors.numpy.save(array, metadata={"tinygrad_edu": "{}"}), "expected format 1"),
    ):
        path.write_bytes(content)
        untouched(lambda: load(path, model), model, match=message)
        untouched(lambda: load_model(path), model, match=message)
    with pytest.raises(FileNotFoundError):
        load(tmp_path / "missing", model)
    with pytest.raises(OSError):
        load(tmp_path, model)


def forged(path: Path, change: Callable[[dict[str, Any], dict[str, Any]], Any]) -> None:
    """Change header or tensors of a file, and give it a checksum that is right."""
    from tinygrad_edu import saving

    header, tensors = saving._unpacked(path)
    change(header, tensors)
    path.write_bytes(saving._packed(header, tensors))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda h, t: h.update(format=2), "expected format 1, got 2"),
        (lambda h, t: h.pop("format"), "expected format 1, got None"),
        (lambda h, t: h.pop("model"), "names no model"),
        (lambda h, t: h.update(model=[]), "no entries"),
        (lambda h, t: t.update({"model.layers.0.neurons.0.w": [1.0]}), "expected a list of 2"),
        (lambda h, t: t.update({"model.layers.0.neurons.0.w": [[1.0, 2.0]]}), "list"),
        (lambda h, t: t.pop("model.layers.1.neurons.0.b"), "missing"),
        (lambda h, t: t.update({"model.more": [1.0]}), "unknown"),
        (lambda h, t: t.update({"optimizer.state": [[1.0, 2.0]]}), "other parameters"),
        (lambda h, t: t.update({"optimizer.state": [[1.0]] * 9}), "2 numbers for each parameter"),
        (lambda h, t: t.update({"optimizer.state": 3.0}), "damaged"),
        (lambda h, t: t.pop("optimizer.state"), "damaged"),
        (lambda h, t: h["optimizer"].update(steps=-1), "counts from 0"),
        (lambda h, t: h["optimizer"].update(steps=math.inf), "does not fit"),
        (lambda h, t: h["optimizer"].update(epochs="many"), "does not fit"),
        (lambda h, t: h.update(random=[3, [1, 2], None]), "random source cannot be read"),
        (lambda h, t: h.update(random=[2**70, [2**70] * 625, None]), "random source"),
        (lambda h, t: h.update(random=None), "random source"),
        (lambda h, t: h.pop("random"), "holds no random source"),
        (lambda h, t: h.pop("optimizer"), "holds no optimizer"),
        (lambda h, t: h["history"].update(losses=3), "its history cannot be read"),
        (lambda h, t: h["history"].pop("snapshots"), "its history cannot be read"),
        (lambda h, t: t.pop("history.snapshots"), "its history cannot be read"),
    ],
)
def test_forged_files_are_refused(change: Any, message: str, tmp_path: Path) -> None:
    path, _ = training(tmp_path)
    forged(path, change)
    into = (MLP(2, [2, 1], seed=9), Adam(0.1), random.Random(9))
    model, optimizer, source = into
    untouched(lambda: load(path, model, optimizer=optimizer, seed=source), *into, match=message)


@pytest.mark.parametrize(
    "change",
    [
        {"nin": 10**9},
        {"nouts": [10**9, 1]},
        {"nouts": [2]},
        {"nouts": []},
        {"kind": "Neuron"},
        {"kind": "os.system"},
        {"kind": None},
        {"activations": [["eval"], ["identity"]]},
        {"activations": [["logsumexp"], ["identity"]]},
        {"activations": [["power", "x"], ["identity"]]},
        {"activations": [["relu"]]},
        {"bias": False},
        {"bias": "yes", "nin": 2.5},
        {"features": {"polynomial": 10**9}},
        {"features": {"polynomial": "2"}},
        {"features": {}},
    ],
)
def test_forged_structures_are_not_built(change: dict[str, Any], tmp_path: Path) -> None:
    path, _ = training(tmp_path)
    forged(path, lambda header, tensors: header["model"].update(change))
    with pytest.raises(ValueError, match=r"the model cannot be built"):
        load_model(path)


ODD = [
    None, True, -1, 3, 0.5, 2**70, math.inf, math.nan, "", "text", [], [1], [[]], ["relu"], {},
    {"a": 1}, [None], [[None]], [-1], [2**70],
]  # fmt: skip


def places(held: Any) -> list[tuple[Any, ...]]:
    """The ways to all entries of nested dicts and lists (of long lists the first two)."""
    found: list[tuple[Any, ...]] = []
    if isinstance(held, dict):
        steps = list(held.items())
    else:
        steps = list(enumerate(held[:2])) if isinstance(held, list) else []
    for key, inner in steps:
        found += [(key,), *((key, *way) for way in places(inner))]
    return found


def test_a_forged_entry_anywhere_is_refused_or_harmless(tmp_path: Path) -> None:
    from tinygrad_edu import saving

    path, _ = training(tmp_path)
    header, tensors = saving._unpacked(path)
    cases: list[tuple[dict[str, Any], dict[str, Any]]] = []
    for way in places(header):
        for odd in ODD:
            changed = copy.deepcopy(header)
            inner: Any = changed
            for key in way[:-1]:
                inner = inner[key]
            inner[way[-1]] = odd
            cases.append((changed, tensors))
    for name in tensors:
        odd_ones = (0.5, [], [0.5], [0.5] * 9, [[0.5]], [[[0.5]] * 2], [[0.5] * 9] * 9, [math.nan])
        cases += [(header, {**tensors, name: odd}) for odd in odd_ones]
    assert len(cases) > 500
    refused = 0
    for forged_header, forged_tensors in cases:
        path.write_bytes(saving._packed(forged_header, forged_tensors))
        model, optimizer, source = MLP(2, [2, 1], seed=9), Adam(0.1), random.Random(9)
        before = bits(model.parameters()), optimizer.state_dict(), source.getstate()
        try:
            history = load(path, model, optimizer=optimizer, seed=source)
        except ValueError:
            refused += 1
            after = bits(model.parameters()), optimizer.state_dict(), source.getstate()
            assert after == before, forged_header
        else:  # what was believed can be used
            assert history is None or "epochs" in repr(history)
            fit(model, [[0, 0], [1, 1]], [0, 1], loss=cross_entropy, optimizer=optimizer,
                seed=source, history=history, epochs=1, batch=1)  # fmt: skip
        with suppress(ValueError):
            assert len(repr(load_model(path))) < 200
    assert refused > 0.8 * len(cases)


def test_models_and_optimizers_of_another_kind_are_refused(tmp_path: Path) -> None:
    path, objects = training(tmp_path)
    for other, message in (
        (MLP(2, [3, 1]), r"holds MLP\(2 -> 2 relu -> 1 identity\), which does not fit"),
        (MLP(2, [2, 1], "tanh"), r"does not fit into MLP\(2 -> 2 tanh"),
        (MLP(2, [2, 1], bias=False), "does not fit"),
        (LinearRegression(2), "does not fit"),
        (Own(), "missing"),
    ):
        untouched(lambda other=other: load(path, other), other, match=message)  # type: ignore[misc]
    model = MLP(2, [2, 1])
    for optimizer in (AdamW(0.1), GradientDescent(0.1)):
        untouched(
            lambda optimizer=optimizer: load(path, model, optimizer=optimizer),  # type: ignore[misc]
            model,
            optimizer,
            match="expected the state of",
        )
    plain = tmp_path / "plain"
    save(plain, objects["model"])
    optimizer, source = Adam(0.1), random.Random(1)
    untouched(lambda: load(plain, model, optimizer=optimizer), model, optimizer, match="no optim")
    untouched(lambda: load(plain, model, seed=source), model, source, match="no random source")


def test_wrong_arguments_write_nothing(tmp_path: Path) -> None:
    path, model = tmp_path / "f", MLP(2, [2, 1])
    for options, message in (
        ({"optimizer": "adam"}, "optimizer: expected an Optimizer, got str"),
        ({"history": {}}, "history: expected a History, got dict"),
        ({"seed": 3}, r"seed: expected a random.Random"),
        ({"seed": random.SystemRandom()}, "SystemRandom has no state"),
    ):
        with pytest.raises(TypeError, match=message):
            save(path, model, **options)  # type: ignore[arg-type]
        assert os.listdir(tmp_path) == []
    with pytest.raises(TypeError, match="model: expected a Module, got list"):
        save(path, [])  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="at least one parameter"):
        save(path, Module())
    with pytest.raises(FileNotFoundError):
        save(tmp_path / "no" / "folder", model)
    save(path, model, seed=random.Random(1))
    with pytest.raises(TypeError, match=r"seed: expected a random.Random, got int"):
        load(path, model, seed=1)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="model: expected a Module"):
        load(path, None)  # type: ignore[arg-type]


def test_a_missing_library_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "safetensors.numpy", None)
    with pytest.raises(ImportError, match=r'pip install "tinygrad_edu\[io\]"'):
        save(tmp_path / "f", MLP(2, [2, 1]))


# --- fuzzing the loader: seeded, so that a failure can be repeated ---


def mutated(content: bytes, source: random.Random) -> bytes:
    """Damage a file: flip bits, cut, insert, swap pieces, meddle with the JSON."""
    data = bytearray(content)
    header = 8 + int.from_bytes(content[:8], "little")
    for _ in range(source.choice((1, 1, 1, 2, 5))):
        end = source.choice((8, min(header, len(data)), len(data))) or 1
        at = source.randrange(min(end, len(data)) or 1)
        kind = source.randrange(6)
        if kind == 0 and data:
            data[at] ^= 1 << source.randrange(8)
        elif kind == 1:
            del data[at : at + source.choice((1, 8, 1000))]
        elif kind == 2:
            data[at:at] = source.randbytes(source.choice((1, 8, 100)))
        elif kind == 3:
            other = source.randrange(len(data) or 1)
            data[at : at + 8] = data[other : other + 8]
        elif kind == 4 and data:
            data[at : at + 1] = source.choice((b'"', b"{", b"}", b",", b"9", b"-", b"e", b"\xff"))
        else:
            words = (b"F64", b"null", b"model", b"relu", b"data_offsets", b"Adam", b"0.0")
            found = bytes(data).find(source.choice(words))
            if found >= 0:
                data[found : found + 3] = source.choice((b"F32", b"BF16", b"I64", b"1e9", b"[]"))
    return bytes(data)


def fuzz(path: Path, source: random.Random, rounds: int) -> int:
    """Load damaged files: each is refused, or holds exactly what was saved."""
    content = path.read_bytes()
    saved = MLP(2, [2, 1], seed=1), Adam(0.1), random.Random(1)
    history = load(path, saved[0], optimizer=saved[1], seed=saved[2])
    refused = 0
    for _ in range(rounds):
        path.write_bytes(damaged := mutated(content, source))
        into = MLP(2, [2, 1], seed=9), Adam(0.1), random.Random(9)
        before = into[0].state_dict(), into[1].state_dict(), into[2].getstate()
        try:
            found = load(path, into[0], optimizer=into[1], seed=into[2])
        except ValueError:
            refused += 1
            after = into[0].state_dict(), into[1].state_dict(), into[2].getstate()
            assert after == before, damaged
        else:
            assert found == history, damaged
            assert into[0].state_dict() == saved[0].state_dict(), damaged
            assert into[1].state_dict() == saved[1].state_dict(), damaged
            assert into[2].getstate() == saved[2].getstate(), damaged
    path.write_bytes(content)
    return refused


def test_damaged_files_are_refused_or_harmless(tmp_path: Path) -> None:
    path, _ = training(tmp_path)
    assert fuzz(path, random.Random(6), FUZZ_FILES) > 0.9 * FUZZ_FILES


@pytest.mark.slow
def test_ten_minutes_of_damaged_files(tmp_path: Path) -> None:
    import time

    path, _ = training(tmp_path)
    minutes = float(os.environ.get("FUZZ_MINUTES", "10"))
    end, round_ = time.monotonic() + 60.0 * minutes, 0
    while time.monotonic() < end:
        round_ += 1  # the seed of a failing round is in the traceback
        fuzz(path, random.Random(round_), 100)


# --- interrupted savings ---


class Full:
    """A file on a disk that is full after so many bytes."""

    def __init__(self, file: Any, room: int) -> None:
        self.file, self.room = file, room

    def __enter__(self) -> Full:
        return self

    def __exit__(self, *reason: object) -> None:
        self.file.close()

    def write(self, content: bytes) -> None:
        self.file.write(content[: self.room])
        if len(content) > self.room:
            self.file.flush()
            raise OSError(28, "No space left on device")

    def __getattr__(self, name: str) -> Any:
        return getattr(self.file, name)


def test_an_error_at_any_byte_leaves_the_old_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path, old, new = tmp_path / "f", Neuron(2, seed=1), Neuron(2, seed=2)
    save(path, old)
    content, size, opened = path.read_bytes(), len(path.read_bytes()), os.fdopen
    for room in range(size + 1):
        monkeypatch.setattr(_files.os, "fdopen", lambda *args, room=room: Full(opened(*args), room))
        if room < size:
            with pytest.raises(OSError, match="No space left"):
                save(path, new)
            assert path.read_bytes() == content
        else:
            save(path, new)
            assert bits(load_model(path).parameters()) == bits(new.parameters())
        assert os.listdir(tmp_path) == ["f"]


@pytest.mark.parametrize("call", ["fsync", "replace", "chmod", "open"])
def test_an_error_of_the_system_leaves_the_old_file(
    call: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = tmp_path / "f"
    save(path, Neuron(2, seed=1))
    content = path.read_bytes()

    def broken(*args: Any) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(_files.os, call, broken)
    with pytest.raises(OSError, match="Input/output error"):
        save(path, Neuron(2, seed=2))
    monkeypatch.undo()
    assert path.read_bytes() == content
    assert os.listdir(tmp_path) == ["f"]


KILLED = """
import os, sys
from tinygrad_edu import _files
from tinygrad_edu.nn import Neuron
from tinygrad_edu.saving import load_model, save

path = sys.argv[1]
old, new = Neuron(2, seed=1), Neuron(2, seed=2)
save(path, old)
size, opened = os.path.getsize(path), os.fdopen

class Dying:
    def __init__(self, file, left): self.file, self.left = file, left
    def __enter__(self): return self
    def __exit__(self, *reason): self.file.close()
    def fileno(self): return self.file.fileno()
    def flush(self): self.file.flush()
    def write(self, content):
        self.file.write(content[:self.left])
        if len(content) > self.left:
            self.file.flush()
            os._exit(9)

def die(*arguments): os._exit(9)

def survives(prepare):
    child = os.fork()
    if child == 0:
        prepare()
        save(path, new)
        os._exit(0)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    found = [p.data for p in load_model(path).parameters()]
    is_new = found == [p.data for p in new.parameters()]
    assert is_new or found == [p.data for p in old.parameters()], (code, found)
    assert is_new == (code == 0), code
    if is_new:
        save(path, old)
    return code

codes = []
for left in range(size + 1):
    def at_byte():
        os.fdopen = lambda *arguments: Dying(opened(*arguments), left)
    codes.append(survives(at_byte))
assert codes == [9] * size + [0], codes
for name in ("open", "fsync", "chmod", "replace"):
    assert survives(lambda: setattr(os, name, die)) == 9, name
print("killed", len(codes) + 3, "times")
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")
def test_a_process_killed_at_any_byte_leaves_the_old_file_or_the_new(tmp_path: Path) -> None:
    root = Path(tinygrad_edu.__file__).parent.parent
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(tmp_path / "f")],
        env={**os.environ, "PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("killed")


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000), st.booleans())
def test_what_is_saved_twice_is_the_second(number: int, first: bool) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path, model = f"{folder}/f", Neuron(1, seed=number)
        if first:
            save(path, Neuron(3, seed=number))
        save(path, model)
        assert bits(load_model(path).parameters()) == bits(model.parameters())

"""Trainings that are interrupted, killed, or fail: nothing is lost, nothing is half done."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from interrupting import interrupted_at

import tinygrad_edu
from tinygrad_edu._interrupts import EndsOnTermination, HeldBack
from tinygrad_edu.nn import MLP, LinearRegression, cross_entropy, squared_error
from tinygrad_edu.optim import Adam, Momentum
from tinygrad_edu.saving import load, save
from tinygrad_edu.training import GradientNorm, History, bookkeeping, fit
from tinygrad_edu.training.problem import make_problem

_drawn = random.Random(4)
X = [[_drawn.gauss(0, 1), _drawn.gauss(0, 1)] for _ in range(12)]
Y = [int(a * b > 0) for a, b in X]
COLUMNS = (
    "loss", "accuracy", "learning_rate", "gradient_norm", "seconds", "validation_loss",
    "validation_accuracy",
)  # fmt: skip
ROOT = Path(tinygrad_edu.__file__).parent.parent


def numbers(model: Any) -> list[float]:
    return [p.data for p in model.parameters()]


def timeless(history: History) -> dict[str, Any]:
    return {**history.to_dict(), "seconds": len(history.seconds)}


def test_an_epoch_is_entered_whole_or_not_at_all() -> None:
    def training() -> Any:
        model = MLP(2, [3, 1], "tanh", seed=1)
        history = fit(model, X, Y, loss=cross_entropy, optimizer=Momentum(0.5), batch=4, epochs=4,
                      seed=2, record=1, validation=(X[:5], Y[:5]))  # fmt: skip
        return model, history

    whole = training()[1]
    events, _ = interrupted_at(-1, training, bookkeeping.__file__)
    assert events > 500
    lengths = set()
    for event in range(1, events + 1, 11):
        ended: list[Any] = []

        def trained(ended: list[Any] = ended) -> None:
            ended.append(training())

        _, raised = interrupted_at(event, trained, bookkeeping.__file__)
        if not ended:  # before the first epoch, or while the parameters are put back
            assert type(raised) is KeyboardInterrupt
            continue
        model, history = ended[0]
        n = len(history)
        lengths.add(n)
        assert {len(getattr(history, name)) for name in COLUMNS} == {n}, event
        assert history.validation_loss == whole.validation_loss[:n]
        assert [epoch for epoch, _ in history.snapshots] == list(range(n + 1)), event
        assert history.snapshots == whole.snapshots[: n + 1]
        if n:
            best = min(range(n), key=history.validation_loss.__getitem__) + 1
            assert history.best_epoch == best, event
            assert history.best_parameters == dict(whole.snapshots)[best], event
        assert numbers(model) == dict(whole.snapshots)[history.best_epoch], event
    assert lengths == {0, 1, 2, 3, 4}


def test_parameters_are_put_back_under_repeated_ctrl_c() -> None:
    model = MLP(2, [3, 1], seed=1)
    problem = make_problem(model, X, Y, cross_entropy, None, None)
    keeper = bookkeeping.Keeper(problem, History(), before=False, record=0)
    before = numbers(model)
    for p in model.parameters():
        p.data += 1.0

    class Pressed(list):  # type: ignore[type-arg]
        def __iter__(self) -> Iterator[Any]:
            for p in list.__iter__(self):
                signal.raise_signal(signal.SIGINT)
                yield p

    keeper.parameters = Pressed(keeper.parameters)
    with pytest.raises(KeyboardInterrupt):
        keeper.restore()
    assert numbers(model) == before


def test_the_handlers_are_those_of_the_program_again() -> None:
    interrupt, end = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    came: list[int] = []
    signal.signal(signal.SIGINT, lambda number, frame: came.append(number))
    try:
        with HeldBack(), HeldBack():
            signal.raise_signal(signal.SIGINT)
            assert came == []
        assert came == [signal.SIGINT]
        with pytest.raises(ZeroDivisionError), HeldBack():
            raise ZeroDivisionError
    finally:
        signal.signal(signal.SIGINT, interrupt)
    with pytest.raises(SystemExit) as ended, EndsOnTermination():
        signal.raise_signal(signal.SIGTERM)
    assert ended.value.code == 143
    assert signal.getsignal(signal.SIGTERM) is end
    signal.signal(signal.SIGTERM, lambda number, frame: came.append(number))
    try:
        with EndsOnTermination():  # whoever has a handler keeps it
            signal.raise_signal(signal.SIGTERM)
    finally:
        signal.signal(signal.SIGTERM, end)
    assert came == [signal.SIGINT, signal.SIGTERM]


# --- fit(checkpoint=...) ---


@pytest.mark.parametrize("batch", [1, 5, "full"])
@pytest.mark.parametrize("compiled", [False, True])
def test_a_training_goes_on_by_itself(batch: Any, compiled: bool, tmp_path: Path) -> None:
    def train(path: Path | None, *stops: int, epochs: int = 7) -> tuple[Any, History]:
        model = MLP(2, [3, 1], "tanh", seed=1)

        def stop(_: Any, history: History) -> None:
            if len(history) in stops:
                raise RuntimeError("the machine is wanted by others")

        history = fit(model, X, Y, loss=cross_entropy, optimizer=Adam(0.05), batch=batch, seed=3,
                      epochs=epochs, callbacks=[stop], record=2, checkpoint=path,
                      compiled=compiled)  # fmt: skip
        return model, history

    path = tmp_path / "xor.safetensors"
    wanted, whole = train(None)
    for epoch in (3, 5):
        with pytest.raises(RuntimeError, match="wanted"):
            train(path, epoch)
        # the epoch that failed was not saved yet, the one before it was
        assert len(load(path, MLP(2, [3, 1], "tanh")) or ()) == epoch - 1
    model, history = train(path)
    assert numbers(model) == numbers(wanted)
    assert timeless(history) == timeless(whole)
    again, done = train(path)  # nothing is left to do
    assert numbers(again) == numbers(wanted)
    assert done == history
    assert len(train(path, epochs=9)[1]) == 9
    assert os.listdir(tmp_path) == [path.name]


def test_a_training_that_has_converged_stays_so(tmp_path: Path) -> None:
    path = tmp_path / "line.safetensors"

    def train() -> History:
        line = LinearRegression(1, seed=0)
        return fit(line, [0.0, 1.0], [1.0, 3.0], loss=squared_error.mean(), epochs=2000,
                   learning_rate=0.3, until=GradientNorm(1e-3), checkpoint=path)  # fmt: skip

    first = train()
    assert first.epochs < 2000
    assert train() == first


def test_what_stands_in_the_way_of_saving_is_said_before_the_first_step(tmp_path: Path) -> None:
    model = MLP(2, [3, 1], seed=1)
    before = numbers(model)

    def refused(kind: type[Exception], match: str, **options: Any) -> None:
        with pytest.raises(kind, match=match):
            fit(model, X, Y, loss=cross_entropy, epochs=2, **options)
        assert numbers(model) == before

    other = tmp_path / "other.safetensors"
    save(other, MLP(2, [2, 1]), optimizer=Adam())
    refused(FileNotFoundError, "no/f", checkpoint=tmp_path / "no" / "f")
    refused(IsADirectoryError, "directory", checkpoint=f"{tmp_path}/f/")
    refused(TypeError, "path|str", checkpoint=3)
    refused(ValueError, "does not fit", checkpoint=other)
    refused(ValueError, "history: expected none", checkpoint=tmp_path / "f", history=History())
    save(other, model)
    refused(ValueError, "optimizer", checkpoint=other)
    assert os.listdir(tmp_path) == [other.name]


@pytest.mark.parametrize("error", [ZeroDivisionError("no"), SystemExit(3), GeneratorExit()])
def test_the_history_is_attached_to_any_exception(error: BaseException) -> None:
    def failing(_: Any, history: History) -> None:
        if len(history) == 2:
            raise error

    with pytest.raises(type(error)) as caught:
        fit(MLP(2, [2, 1], seed=1), X, Y, loss=cross_entropy, epochs=5, callbacks=[failing])
    history = caught.value.history  # type: ignore[attr-defined]
    assert len(history) == 2
    assert history.stopped.startswith(type(error).__name__)


TERMINATED = """
import sys
from test_training_interrupted import X, Y
from tinygrad_edu.nn import MLP, cross_entropy
from tinygrad_edu.optim import Adam
from tinygrad_edu.training import fit

def tell(model, history):
    print(len(history), flush=True)

try:
    fit(MLP(2, [3, 1], "tanh", seed=1), X, Y, loss=cross_entropy, optimizer=Adam(0.05), batch=5,
        seed=3, epochs=10 ** 9, checkpoint=sys.argv[1], callbacks=[tell])
except SystemExit as ended:
    print("ended", len(ended.history), ended.history.stopped, flush=True)
    raise
"""


@pytest.mark.skipif(os.name != "posix", reason="POSIX signals")
def test_sigterm_ends_a_training_in_order(tmp_path: Path) -> None:
    path = tmp_path / "xor.safetensors"
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{Path(__file__).parent}"}
    environment["PYTHONPATH"] += f"{os.pathsep}{Path(__file__).parents[1]}"
    process = subprocess.Popen(
        [sys.executable, "-c", TERMINATED, os.fspath(path)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment,
    )  # fmt: skip
    assert process.stdout is not None
    for line in process.stdout:
        if int(line) == 5:
            break
    process.send_signal(signal.SIGTERM)
    output, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (143, "")
    ended = output.splitlines()[-1].split()
    assert ended[0] == "ended"
    assert ended[2:] == ["SystemExit:", "143"]
    assert os.listdir(tmp_path) == [path.name]
    saved = MLP(2, [3, 1], "tanh")
    history = load(path, saved)
    assert history is not None
    assert int(ended[1]) - 1 <= len(history) <= int(ended[1])
    wanted = MLP(2, [3, 1], "tanh", seed=1)
    whole = fit(wanted, X, Y, loss=cross_entropy, optimizer=Adam(0.05), batch=5, seed=3,
                epochs=len(history))  # fmt: skip
    assert numbers(saved) == numbers(wanted)
    assert history.loss == whole.loss
